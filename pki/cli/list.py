"""``smimetool ca list``: list certificates that were given out.

Floor:  cli (uses ledger)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options

EXAMPLE = "smimetool ca list --search chess.example --expiring 30"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("--search", metavar="TEXT", default="", help="in addresses and names")
    parser.add_argument(
        "--expiring", type=int, metavar="DAYS", help="those that end within DAYS, not renewed yet"
    )
    parser.add_argument(
        "--after", type=int, default=0, metavar="N", help="go on after entry N of the log"
    )
    parser.add_argument(
        "--limit", type=int, default=100, metavar="N", help="at most N (default: 100)"
    )
    options.ca(parser, key=False)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write a page of the list, and how to get the next."""
    from datetime import timedelta

    from pki.ledger import MAX_PAGE

    if not 1 <= arguments.limit <= MAX_PAGE:
        arguments.refuse(f"--limit is 1 to {MAX_PAGE}")
    if arguments.expiring is not None and not 0 <= arguments.expiring <= 36_525:
        arguments.refuse("--expiring is a number of days")
    with common.opened(arguments) as (_, ledger):
        now = common.now()
        end = None
        if arguments.expiring is not None:
            end = now + timedelta(days=arguments.expiring)
        found = ledger.page(
            after=arguments.after,
            limit=arguments.limit,
            text=arguments.search,
            ending_before=end,
            ending_after=None if end is None else now,
            due=end is not None,
        )
        next_page = found[-1].number if len(found) == arguments.limit else None
        if arguments.json:
            common.say_json(
                {"certificates": [record.to_dict(now) for record in found], "next": next_page}
            )
            return 0
        for record in found:
            who = ", ".join(record.addresses) or record.subject
            common.say(
                f"{record.serial:032x}  {record.not_after:%Y-%m-%d}  {record.state(now):<8}  {who}"
            )
        if next_page is not None:
            common.tell(f"there may be more: --after {next_page}")
    return 0
