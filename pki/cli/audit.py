"""``smimetool ca audit``: say whether the ledger is what was written.

Floor:  cli (uses audit)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options
from pki.errors import AuditFailed

EXAMPLE = "smimetool ca audit --checkpoint-to /mnt/elsewhere/club.checkpoint"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--checkpoint", metavar="FILE", help="a checkpoint kept elsewhere, to compare with"
    )
    parser.add_argument(
        "--checkpoint-to",
        metavar="FILE",
        help="if all is well, sign how far the log has come; keep it where nobody here writes",
    )
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Read the whole ledger; status 28 if it is not what was written."""
    from pki.audit import MAX_CHECKPOINT_OCTETS, Checkpoint, audit
    from pki.files import write_over
    from pki.log_key import sign_checkpoint

    against = None
    if arguments.checkpoint is not None:
        with open(arguments.checkpoint, "rb") as file:
            against = Checkpoint.parse(file.read(MAX_CHECKPOINT_OCTETS + 1))
    with common.opened(arguments) as (records, ledger):
        passphrase = ""
        if arguments.checkpoint_to is not None:
            passphrase = common.given_or_asked(arguments, records.name)
        found = audit(ledger, against)
        if not found.unbroken:
            raise AuditFailed(found)
        if arguments.checkpoint_to is not None:
            data = sign_checkpoint(records, ledger, passphrase)
            write_over(arguments.checkpoint_to, data, mode=0o644)
    if arguments.json:
        common.say_json({"outcome": found.outcome, "entries": found.entry})
    else:
        common.say(str(found))
    return 0
