"""``smimetool ca crl``: sign the list of revoked certificates.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common, options

EXAMPLE = "smimetool ca crl --if-due -o /srv/www/club.crl --passphrase-file ca.pass"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "-o",
        "--output",
        metavar="FILE",
        help="DER file, written over (default: crl/NAME.crl in the CA's folder); "
        "a folder if there are several lists",
    )
    parser.add_argument(
        "--delta", action="store_true", help="what changed since the last full list"
    )
    parser.add_argument(
        "--if-due",
        action="store_true",
        help="only if something changed, half of the last list's time is over, or the file is "
        "not the last list; for cron",
    )
    parser.add_argument(
        "--complete", action="store_true", help="one list for all, where there are several"
    )
    parser.add_argument(
        "--days", type=int, default=7, metavar="N", help="until the next list (default: 7)"
    )
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Sign each list that is called for, record it, write it."""
    from datetime import timedelta

    from pki.files import write_over
    from pki.registrar import Registrar

    if not 1 <= arguments.days <= 366:
        arguments.refuse("--days is 1 to 366")
    records = common.records_of(arguments)
    passphrase = common.given_or_asked(arguments, records.name)
    made = []
    for folder in (records.folder, *records.former):
        output = arguments.output if folder == records.folder else None
        with Registrar.load(folder, passphrase=passphrase) as ca:
            scopes = ("",) if arguments.complete else ca.scopes()
            several = scopes != ("",)
            for scope in scopes:
                path = _path(output, folder, scope, several, arguments.delta)
                there = None if arguments.delta else _published(path)
                if arguments.if_due and not ca.crl_due(scope, published=there):
                    continue
                days = timedelta(days=arguments.days)
                crl = ca.crl(scope, delta=arguments.delta, lifetime=days)
                os.makedirs(os.path.dirname(path) or ".", exist_ok=True)
                write_over(path, crl, mode=0o644)
                made.append(path)
    if arguments.json:
        common.say_json({"written": made})
        return 0
    where = "put it where the certificates say"
    if not records.crl_url:
        where = "hand it to your readers: certificates do not say where it is"
    for path in made:
        common.announce(f"{path}\n  {where}")
    if not made:
        common.announce("no list is due")
    return 0


def _published(path: str) -> bytes:
    """Give the list that is there; who was killed before it wrote it left another, or none."""
    try:
        with open(path, "rb") as file:
            return file.read(common.MAX_CRL_OCTETS)
    except FileNotFoundError:
        return b""


def _path(output: str | None, folder: str, scope: str, several: bool, delta: bool) -> str:
    """Say where a list goes: the file named, or a file of its own in a folder."""
    if output is not None and not several:
        return output
    path = common.crl_path(folder, scope, delta=delta)
    return path if output is None else os.path.join(output, os.path.basename(path))
