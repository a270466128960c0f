"""``smimetool ca escrow ACTION``: whose keys open the kept ones.

Floor:  cli (uses archive)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from cryptography import x509

    from pki.archive import Kept

EXAMPLE = "smimetool ca escrow agents ann.pem ben.pem cem.pem --threshold 2"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")

    one = options.action(actions, "agents", "name who can open what is kept from now on", EXAMPLE)
    _agents(one)
    options.ca(one, key=False)
    one.set_defaults(act=agents)

    one = options.action(
        actions,
        "rotate",
        "seal all kept keys anew, for other agents",
        "smimetool ca escrow rotate ann.pem dora.pem -i ann.p12",
    )
    _agents(one)
    options.identity(one)
    options.ca(one, key=False)
    one.set_defaults(act=rotate)

    one = options.action(
        actions,
        "hand-over",
        "send an agent's half of a key to another agent",
        "smimetool ca escrow hand-over alice@chess.example --reason 'lost laptop' "
        "-i ann.p12 --to cem.pem -o for-cem",
    )
    one.add_argument("which", metavar="WHICH", help="serial number, fingerprint, file or address")
    one.add_argument("--reason", required=True, metavar="TEXT", help="why; the log keeps it")
    options.identity(one)
    one.add_argument("--to", required=True, metavar="CERT", help="certificate of the other agent")
    one.add_argument(
        "-o", "--output", required=True, metavar="NAME", help="new files: NAME-1.p7m and so on"
    )
    options.ca(one, key=False)
    one.set_defaults(act=hand_over)

    one = options.action(
        actions, "show", "say how many keys are kept, and for whom", "smimetool ca escrow show"
    )
    options.ca(one, key=False)
    one.set_defaults(act=show)


def _agents(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("agent", metavar="CERT", nargs="+", help="certificate of an agent")
    parser.add_argument(
        "--threshold",
        type=int,
        choices=(1, 2),
        default=1,
        help="how many of them it takes (default: 1)",
    )


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says."""
    status: int = arguments.act(arguments)
    return status


def agents(arguments: argparse.Namespace) -> int:
    """Name the recovery agents."""
    from pki import archive

    with common.opened(arguments) as (_, ledger):
        archive.name_agents(ledger, _certificates(arguments), threshold=arguments.threshold)
        return _say(arguments, archive.overview(ledger))


def rotate(arguments: argparse.Namespace) -> int:
    """Seal anew."""
    from pki import archive

    identities = common.identities(arguments)
    with common.opened(arguments) as (_, ledger):
        archive.rotate(
            ledger, _certificates(arguments), threshold=arguments.threshold, keys=identities
        )
        return _say(arguments, archive.overview(ledger))


def hand_over(arguments: argparse.Namespace) -> int:
    """Write what the other agent needs."""
    from pki import archive
    from pki.cli.recover import kept_serials

    to = common.read_certificates(arguments.to)[0]
    identities = common.identities(arguments)
    if len(identities) != 1:
        arguments.refuse("-i is one key of one agent")
    with common.opened(arguments) as (_, ledger):
        serials = kept_serials(ledger, [arguments.which])
        paths = [f"{arguments.output}-{number}.p7m" for number, _ in enumerate(serials, 1)]
        for path in paths:
            common.refuse_unwritable(path)
        letters = archive.hand_over(
            ledger, serials, reason=arguments.reason, keys=identities[0], to=to
        )
        common.write_all(
            [(path, letter, 0o600) for path, letter in zip(paths, letters, strict=True)]
        )
    if arguments.json:
        common.say_json({"written": paths})
    else:
        for path in paths:
            common.announce(f"{path}\n  for the other agent: `ca recover --handed-over {path}`")
    return 0


def show(arguments: argparse.Namespace) -> int:
    """Say what is kept."""
    from pki import archive

    with common.opened(arguments) as (_, ledger):
        return _say(arguments, archive.overview(ledger))


def _certificates(arguments: argparse.Namespace) -> list[x509.Certificate]:
    return [common.read_certificates(path)[0] for path in arguments.agent]


def _say(arguments: argparse.Namespace, kept: Kept) -> int:
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.serialization import Encoding

    from pki.facts import addresses_of

    found = () if kept.agents is None else kept.agents.certificates
    who = [
        {
            "addresses": list(addresses_of(one.public_bytes(Encoding.DER))),
            "subject": one.subject.rfc4514_string(),
            "until": f"{one.not_valid_after_utc:%Y-%m-%d}",
            "sha256": one.fingerprint(SHA256()).hex(),
        }
        for one in found
    ]
    threshold = 0 if kept.agents is None else kept.agents.threshold
    if arguments.json:
        common.say_json(
            {"agents": who, "threshold": threshold, "kept": kept.records, "left": kept.left}
        )
        return 0
    if not who:
        common.say("no recovery agents: no keys are kept")
        return 0
    common.say(f"agents: {len(who)}, of whom it takes {threshold}")
    for one in who:
        names = ", ".join(one["addresses"]) or one["subject"]
        common.say(f"  {names}, until {one['until']}")
    common.say(f"kept keys: {kept.records}")
    if kept.left:
        common.tell(f"{kept.left} of them are for agents who were before: `ca escrow rotate`")
    return 0
