"""``smimetool ca issue ADDRESS -o FILE.p12``: make keys and certificates for one user.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse

from pki.cli import common, delivery, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    import smime

EXAMPLE = "smimetool ca issue alice@chess.example --name Alice -o alice.p12"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("address", metavar="ADDRESS", nargs="+", help="mail address of the user")
    delivery.arguments(parser)
    options.subject(parser)
    options.profile(parser)
    options.key(parser, "rsa3072", "rsa3072, which every mail program reads")
    parser.add_argument(
        "--pair",
        action="store_true",
        default=None,
        help="two keys: one that signs, and one that reads, of which a copy may be kept",
    )
    options.days(parser)
    options.keep(parser)
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Refuse what can be refused, ask, issue, write the files."""
    from pki.folder import to_pem

    p12_path: str = arguments.output
    pem_path = common.beside_p12(arguments)
    new = delivery.Delivery(arguments, p12_path, pem_path)
    subject = options.subject_of(arguments)
    with common.registrar(arguments) as ca:
        secret = new.secret()

        def stage(identity: smime.Identity) -> None:
            pem = to_pem(*common.certificates_of(identity), *ca.chain)
            p12 = identity.to_p12(secret, compat=new.compat)
            new.stage([(pem_path, pem, 0o644), (p12_path, p12, 0o600)], ca, identity)

        with new:
            identity = ca.issue(
                *arguments.address,
                name=arguments.name,
                profile=options.profile_of(arguments.profile),
                algorithm=arguments.key,
                lifetime_days=arguments.days,
                pair=arguments.pair,
                keep=arguments.keep,
                stage=stage,
                **subject,
            )
        records = [ca.find(one.serial_number) for one in common.certificates_of(identity)]
        kept = common.kept_of(ca.ledger, records)
    if arguments.json:
        now = common.now()
        common.say_json(
            {
                "p12": p12_path,
                "pem": pem_path,
                "certificate": records[0].to_dict(now),
                "certificates": [record.to_dict(now) for record in records],
                "kept": [f"{serial:x}" for serial in kept],
            }
        )
        return 0
    several = "keys and certificates" if len(records) > 1 else "key and certificate"
    common.announce(f"{p12_path}\n  {several}, for {', '.join(arguments.address)} alone")
    common.announce(f"{pem_path}\n  certificate, for everybody who writes to them")
    if kept:
        common.tell("a sealed copy of the reading key is kept: the recovery agents open it")
    return 0
