"""``smimetool ca rekey WHICH -o FILE.p12``: make new keys for the same names.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse

from pki.cli import common, delivery, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    import smime

EXAMPLE = "smimetool ca rekey alice@chess.example -o alice-2027.p12"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "which",
        metavar="WHICH",
        nargs="+",
        help="serial number, SHA-256 fingerprint, file, or address: its newest certificate, "
        "or its newest pair",
    )
    delivery.arguments(parser)
    options.key(parser, "", "as before")
    options.days(parser)
    options.keep(parser)
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make new keys; the old certificates stay, so that old mail is read still."""
    from pki.folder import to_pem

    pem_path = common.beside_p12(arguments)
    new = delivery.Delivery(arguments, arguments.output, pem_path)
    with common.registrar(arguments) as ca:
        before = common.newest(ca.ledger, arguments.which)
        serials = [one.serial for one in before]
        secret = new.secret()

        def stage(identity: smime.Identity) -> None:
            pem = to_pem(*common.certificates_of(identity), *ca.chain)
            p12 = identity.to_p12(secret, compat=new.compat)
            new.stage([(pem_path, pem, 0o644), (arguments.output, p12, 0o600)], ca, identity)

        with new:
            identity = ca.rekey(
                *serials,
                algorithm=arguments.key,
                lifetime_days=arguments.days or 365,
                keep=arguments.keep,
                stage=stage,
            )
        records = [ca.find(one.serial_number) for one in common.certificates_of(identity)]
        kept = common.kept_of(ca.ledger, records)
    if arguments.json:
        common.say_json(
            {
                "p12": arguments.output,
                "pem": pem_path,
                "certificates": [record.to_dict(common.now()) for record in records],
                "kept": [f"{serial:x}" for serial in kept],
            }
        )
        return 0
    common.announce(f"{arguments.output}\n  new key and certificate; keep the old .p12 beside it")
    common.announce(f"{pem_path}\n  certificate, for everybody who writes to them")
    if any(one.state(common.now()) == "valid" for one in before):
        common.tell("the old certificates stay valid: revoke those whose keys are lost")
    return 0
