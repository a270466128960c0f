"""``smimetool ca backup -o FILE``: all of a CA in one file.

Floor:  cli (uses backup)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options

EXAMPLE = "smimetool ca backup -o /mnt/elsewhere/club-2026-11-24.tar"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "-o", "--output", metavar="FILE", required=True, help="new file; keep it elsewhere"
    )
    # No passphrase: the keys stay locked, and cron can run it.
    options.ca(parser, key=False)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write the file, say how far the ledger had come."""
    from pki import backup

    common.refuse_unwritable(arguments.output)
    with common.opened(arguments) as (records, ledger):
        made = backup.make(records, ledger, arguments.output)
    if arguments.json:
        common.say_json({"written": arguments.output, "entries": made.entries, "hash": made.hash})
    else:
        common.announce(f"{arguments.output}\n  {made.name}: {made.entries} entries, {made.hash}")
    return 0
