"""``smimetool ca renew WHICH...``: certify the same keys and names again.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common, options

EXAMPLE = "smimetool ca renew --all-due -o renewed --passphrase-file ca.pass"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "which",
        metavar="WHICH",
        nargs="*",
        help="serial number, SHA-256 fingerprint, file, or address: its newest certificate",
    )
    parser.add_argument(
        "--all-due", action="store_true", help="all that end soon and are not renewed yet; for cron"
    )
    parser.add_argument(
        "--within", type=int, default=30, metavar="DAYS", help="what --all-due takes for soon"
    )
    parser.add_argument(
        "--days", type=int, default=365, metavar="N", help="lifetime (default: 365)"
    )
    parser.add_argument(
        "-o", "--output", metavar="DIR", default=".", help="folder for the certificates, SERIAL.pem"
    )
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Renew what is meant; each certificate goes into a file of its own."""
    from datetime import timedelta

    from pki.folder import to_pem

    if bool(arguments.which) == arguments.all_due:
        arguments.refuse("name certificates, or --all-due")
    if not 0 <= arguments.within <= 36_525:
        arguments.refuse("--within is a number of days")
    os.makedirs(arguments.output, exist_ok=True)
    written = []
    with common.registrar(arguments) as ca:
        serials = [common.chosen(ca.ledger, which)[0].serial for which in arguments.which]
        if arguments.all_due:
            now = common.now()
            serials = ca.due(now, now + timedelta(days=arguments.within))
        for serial in serials:
            certificate = ca.renew(serial, lifetime_days=arguments.days)
            path = os.path.join(arguments.output, f"{certificate.serial_number:032x}.pem")
            common.write_recorded(path, certificate, to_pem(certificate, *ca.chain))
            written.append((path, ca.find(certificate.serial_number)))
    if arguments.json:
        common.say_json(
            {
                "renewed": [
                    {"pem": path, "certificate": record.to_dict(common.now())}
                    for path, record in written
                ]
            }
        )
        return 0
    for path, record in written:
        common.announce(
            f"{path}\n  certificate until {record.not_after:%Y-%m-%d}, "
            f"for {', '.join(record.addresses)}"
        )
    if not written:
        common.announce("none is due")
    return 0
