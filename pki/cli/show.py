"""``smimetool ca show [WHICH]``: say what the CA's folder or a certificate holds.

Floor:  cli (uses ledger)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Mapping

EXAMPLE = "smimetool ca show alice@chess.example"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "which",
        metavar="WHICH",
        nargs="?",
        help="serial number, SHA-256 fingerprint, file or address (default: the CA itself)",
    )
    options.ca(parser, key=False)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Say what is there."""
    with common.opened(arguments) as (records, ledger):
        if arguments.which is None:
            facts = {**records.to_dict(), "issued": ledger.count()}
            if arguments.json:
                common.say_json(facts)
            else:
                _write(facts)
            return 0
        found = [record.to_dict(common.now()) for record in common.chosen(ledger, arguments.which)]
        if arguments.json:
            common.say_json({"certificates": found})
            return 0
        for place, one in enumerate(found):
            if place:
                common.say("")
            one["addresses"] = ", ".join(one["addresses"])
            _write({key: value for key, value in one.items() if value is not None})
    return 0


def _write(facts: Mapping[str, object]) -> None:
    for key, value in facts.items():
        common.say(f"{key.replace('_', ' ')}: {value}")
