"""``smimetool ca revoke WHICH...``: take back certificates, or put them on hold.

Floor:  cli (uses revocation)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options
from pki.errors import RequestRefused

EXAMPLE = "smimetool ca revoke alice@chess.example --reason keyCompromise"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from pki.facts import REASONS

    parser.add_argument(
        "which",
        metavar="WHICH",
        nargs="+",
        help="serial number, SHA-256 fingerprint, file, or address with one valid certificate",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument(
        "--reason",
        choices=tuple(REASONS),
        default="unspecified",
        metavar="R",
        help=f"one of: {', '.join(REASONS)}; certificateHold can be undone",
    )
    what.add_argument("--release", action="store_true", help="undo certificateHold")
    parser.add_argument("--all", action="store_true", help="all certificates of an address")
    # No passphrase: a lost key must not wait for who knows it, and signs nothing yet.
    options.ca(parser, key=False)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Find the certificates meant, record that they are revoked."""
    from pki.revocation import release, revoke

    with common.opened(arguments) as (_, ledger):
        meant = {}
        state = "on-hold" if arguments.release else "valid"
        for which in arguments.which:
            found = common.chosen(ledger, which)
            if len(found) > 1:
                found = [record for record in found if record.state(common.now()) == state] or found
            if len(found) > 1 and not arguments.all:
                serials = ", ".join(f"{record.serial:x}" for record in found)
                raise RequestRefused(
                    f"{which} has {len(found)} certificates: {serials}",
                    hint="name the serial number, or --all",
                )
            meant.update({record.serial: record for record in found})
        if arguments.release:
            release(ledger, meant)
        else:
            revoke(ledger, meant, reason=arguments.reason)
        records = [ledger.find(serial=serial)[0] for serial in meant]
        if arguments.json:
            common.say_json({"certificates": [each.to_dict(common.now()) for each in records]})
            return 0
        for record in records:
            people = ", ".join(record.addresses)
            common.announce(f"{record.serial:x}\n  {record.state(common.now())}: {people}")
        common.tell("readers learn of it from the next list: `smimetool ca crl`")
    return 0
