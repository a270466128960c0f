"""``smimetool ca restore FILE DIR``: a CA from its backup.

Floor:  cli (uses backup)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options

EXAMPLE = "smimetool ca restore club-2026-11-24.tar club --checkpoint club.checkpoint"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("file", metavar="FILE", help="what `ca backup` wrote")
    parser.add_argument("dir", metavar="DIR", help="new or empty folder")
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="a checkpoint kept elsewhere, to compare with"
    )
    parser.add_argument(
        "--ledger",
        metavar="URL",
        default="",
        help="put the records into this empty PostgreSQL database (default: a file)",
    )
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Unpack, audit, say what there is."""
    from pki import backup
    from pki.audit import MAX_CHECKPOINT_OCTETS, Checkpoint

    against = None
    if arguments.checkpoint is not None:
        with open(arguments.checkpoint, "rb") as file:
            against = Checkpoint.parse(file.read(MAX_CHECKPOINT_OCTETS + 1))
    found = backup.restore(
        arguments.file, arguments.dir, ledger_url=arguments.ledger, against=against
    )
    if arguments.json:
        common.say_json({"folder": arguments.dir, "made": found.made, "entries": found.entries})
    else:
        common.announce(
            f"{arguments.dir}\n  {found.name} as of {found.made}: {found.entries} entries, unbroken"
        )
    common.tell("what was given out after that is not known here: sign a new list, `ca crl`")
    return 0
