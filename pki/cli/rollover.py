"""``smimetool ca rollover``: a new key for the issuing CA; the old one signs its lists to the end.

Floor:  cli (uses rollover)
"""

from __future__ import annotations

import argparse
import contextlib
import os

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from pki.authority import Authority
    from pki.folder import Records
    from pki.keys import Key
    from pki.token import Token

EXAMPLE = (
    "smimetool ca rollover --root-key /media/stick/root.key.pem "
    "--crl-url http://pki.chess.example/club-2.crl --ca-url http://pki.chess.example/club-2.cer"
)
MAX_READ_OCTETS = 1_048_576


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--root-key", metavar="FILE", help="the root's key, from its medium")
    how.add_argument(
        "--request-dir",
        metavar="DIR",
        help="folder of `ca root request`, where the root is on a machine of its own",
    )
    parser.add_argument(
        "--answer", metavar="FILE", help="with --request-dir: what the root's machine wrote"
    )
    options.passphrase(parser, "root-", "of --root-key (default: as of the CA's keys)")
    options.ca_key(parser, "--key", "")
    parser.add_argument(
        "--token-key",
        metavar="L",
        default="",
        help="of a CA in a token: label of the new key (default: the next number)",
    )
    parser.add_argument("--crl-url", metavar="URL", default="", help="of the new CA's list")
    parser.add_argument("--ca-url", metavar="URL", default="", help="of the new CA's certificate")
    parser.add_argument("--ocsp-url", metavar="URL", help="default: as before")
    parser.add_argument("--delta-url", metavar="URL", default="", help="of the new CA's deltas")
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make or take the new CA, put the old one aside."""
    from pki.rollover import check_places, next_label, succeed
    from pki.token import Token

    if bool(arguments.request_dir) != bool(arguments.answer):
        arguments.refuse("--request-dir and --answer go together")
    records = common.records_of(arguments)
    for option, before in (("crl_url", records.crl_url), ("ca_url", records.ca_url)):
        if before and not getattr(arguments, option):
            name = f"--{option.replace('_', '-')}"
            arguments.refuse(f"{name} is needed: certificates before name {before}")
    if arguments.token_key and not records.token:
        arguments.refuse("--token-key is for a CA whose key is in a token")
    places = {name: getattr(arguments, name) for name in ("crl_url", "ca_url", "delta_url")}
    check_places(records, **places)  # before a key is made in a token
    passphrase = common.given_or_asked(arguments, records.name)
    with contextlib.ExitStack() as clean:
        token = None
        if records.token:
            token = clean.enter_context(
                Token.open(records.token, label=records.token_label, pin=passphrase)
            )
        label = (arguments.token_key or next_label(records.token_key)) if token else ""
        new = succeed(
            records,
            _made(arguments, records, passphrase, token, label),
            passphrase=passphrase,
            token=token,
            token_key=label,
            ocsp_url=records.ocsp_url if arguments.ocsp_url is None else arguments.ocsp_url,
            **places,
        )
    if arguments.json:
        common.say_json({**new.to_dict(), "former": list(new.former)})
        return 0
    common.announce(f"{os.path.join(new.folder, 'issuing.pem')}\n  the CA that issues from now on")
    common.announce(f"{new.former[-1]}\n  the one before; `ca crl` signs its list too, to its end")
    if label:
        common.tell(f"the key {label} in the token is new; {records.token_key} has to stay there")
    return 0


def _made(
    arguments: argparse.Namespace,
    records: Records,
    passphrase: str,
    token: Token | None,
    label: str,
) -> Authority:
    from pki import ceremony
    from pki.authority import Authority
    from pki.keys import key_name, passphrase_octets, unseal
    from pki.rollover import domains_of, kind_of, next_name

    if arguments.request_dir:
        answer = _read(arguments.answer)
        if token is not None:
            return ceremony.accept(token.key(label), answer)
        path = os.path.join(arguments.request_dir, "private", "issuing.key.pem")
        return ceremony.accept(unseal(_read(path), passphrase_octets(passphrase)), answer)
    root = Authority(_root_key(arguments, records, passphrase), records.root)
    name, domains = next_name(records.issuing), domains_of(records.issuing)
    profile = kind_of(records.issuing)
    algorithm = arguments.key or key_name(records.issuing.public_key())
    if token is None:
        return root.subordinate(name, algorithm=algorithm, domains=domains, profile=profile)
    key, request = ceremony.ask(name, key=token.generate(label, algorithm))
    answer = ceremony.certify(root, request, name=name, domains=domains, profile=profile)
    return ceremony.accept(key, answer)


def _root_key(arguments: argparse.Namespace, records: Records, passphrase: str) -> Key:
    """Open the root's key; its passphrase is that of the CA's keys where no option gives it."""
    from pki.keys import passphrase_octets, unseal

    given = common.given_passphrase(arguments.root_passphrase_file, arguments.root_passphrase_env)
    if not given and records.token:  # what opens the token is its PIN
        given = common.secret("Passphrase of the root's key: ", "--root-passphrase-file")
    return unseal(_read(arguments.root_key), passphrase_octets(given or passphrase))


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_READ_OCTETS)
