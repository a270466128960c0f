"""``smimetool ca ocsp``: answer whether certificates are revoked.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common, options

EXAMPLE = "smimetool ca ocsp request.der -o answer.der --passphrase-file ca.pass"

MAX_READ_OCTETS = 1_048_576  # the request's own limit is below


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("request", metavar="REQUEST", nargs="?", help="OCSP request, DER")
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="the answer; with --all a folder"
    )
    parser.add_argument(
        "--all",
        action="store_true",
        help="answers for all certificates that have not ended, as SERIAL.ocsp",
    )
    parser.add_argument(
        "--hash",
        choices=("sha1", "sha256"),
        default="sha1",
        help="how answers of --all name the CA (default: sha1, which most programs ask with)",
    )
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make a responder, answer, write."""
    from pki.files import write_over

    if (arguments.request is None) != arguments.all:
        arguments.refuse("name a request, or --all")
    request = b""
    if arguments.request is not None:
        with open(arguments.request, "rb") as file:
            request = file.read(MAX_READ_OCTETS)
    count = 0
    with common.registrar(arguments) as ca:
        responder, now = ca.responder(), common.now()
        if arguments.all:
            os.makedirs(arguments.output, exist_ok=True)
            serials = ca.current(now)
            for serial, answer in responder.presign(serials, at=now, hash_name=arguments.hash):
                path = os.path.join(arguments.output, f"{serial:032x}.ocsp")
                write_over(path, answer, mode=0o644)
                count += 1
        else:
            write_over(arguments.output, responder.answer(request, at=now), mode=0o644)
            count = 1
    if arguments.json:
        common.say_json({"written": arguments.output, "answers": count})
    else:
        common.announce(f"{arguments.output}\n  {count} answer{'s' if count != 1 else ''}")
    return 0
