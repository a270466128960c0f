"""``smimetool ca sign-csr CSR ADDRESS -o FILE.pem``: certify a key that its holder made.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options

EXAMPLE = "smimetool ca sign-csr alice.csr alice@chess.example --name Alice -o alice.pem"

MAX_READ_OCTETS = 1_048_576  # the request's own limit is below


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("csr", metavar="CSR", help="request (PKCS#10), PEM or DER")
    parser.add_argument(
        "address",
        metavar="ADDRESS",
        nargs="*",
        help="mail address that its holder was found to have: only these are certified",
    )
    parser.add_argument("-o", "--output", metavar="FILE.pem", required=True, help="new file")
    parser.add_argument(
        "--host",
        action="append",
        default=[],
        metavar="H",
        help="host, for a server's certificate: --profile tls-server",
    )
    parser.add_argument(
        "--ignore-names",
        action="store_true",
        help="do not refuse a request that asks for other names; they are never taken",
    )
    options.subject(parser)
    options.profile(parser)
    options.days(parser)
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Check the request, certify its key, write certificate and chain."""
    from pki.folder import to_pem
    from pki.requests import check_wishes

    if not arguments.address and not arguments.host:
        arguments.refuse("name the mail addresses, or --host")
    common.refuse_unwritable(arguments.output)
    with open(arguments.csr, "rb") as file:
        csr = file.read(MAX_READ_OCTETS)
    if not arguments.ignore_names:  # refused before a passphrase is asked for
        check_wishes(csr, arguments.address, arguments.host)
    with common.registrar(arguments) as ca:
        certificate = ca.enrol(
            csr,
            *arguments.address,
            name=arguments.name,
            hosts=arguments.host,
            profile=options.profile_of(arguments.profile),
            lifetime_days=arguments.days,
            **options.subject_of(arguments),
        )
        record = ca.find(certificate.serial_number)
        pem = to_pem(certificate, *ca.chain)
        common.write_recorded(arguments.output, certificate, pem)
    if arguments.json:
        common.say_json({"pem": arguments.output, "certificate": record.to_dict(common.now())})
        return 0
    names = ", ".join((*record.addresses, *arguments.host))
    common.announce(f"{arguments.output}\n  certificate, for {names}")
    return 0
