"""``smimetool ca sign-csr CSR ADDRESS -o FILE.pem``: certify a key that its holder made.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse

from pki.cli import common

EXAMPLE = "smimetool ca sign-csr alice.csr alice@chess.example --name Alice -o alice.pem"

MAX_READ_OCTETS = 1_048_576  # the request's own limit is below


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("csr", metavar="CSR", help="request (PKCS#10), PEM or DER")
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        nargs="+",
        help="mail address that its holder was found to have; names in the CSR are not read",
    )
    parser.add_argument("-o", "--output", metavar="FILE.pem", required=True, help="new file")
    parser.add_argument("--name", default="", help="the user's name")
    parser.add_argument(
        "--profile", default="mailbox", help="kind of certificate (default: mailbox)"
    )
    common.ca_options(parser)
    common.json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the request, certify its key, write certificate and chain."""
    from pki.folder import to_pem
    from pki.requests import CertificationRequest

    common.refuse_unwritable(arguments.output)
    with open(arguments.csr, "rb") as file:
        csr = file.read(MAX_READ_OCTETS)
    CertificationRequest.parse(csr)  # refused before a passphrase is asked for
    with common.registrar(arguments) as ca:
        certificate = ca.enrol(
            csr, *arguments.address, name=arguments.name, profile=arguments.profile
        )
        record = ca.find(certificate.serial_number)
        common.write_all([(arguments.output, to_pem(certificate, *ca.chain), 0o644)])
    if arguments.json:
        common.say_json({"pem": arguments.output, "certificate": record.to_dict(common.now())})
        return 0
    common.announce(f"{arguments.output}\n  certificate, for {', '.join(record.addresses)}")
    return 0
