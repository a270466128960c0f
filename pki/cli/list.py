"""``smimetool ca list``: list certificates that were given out.

Floor:  cli (uses ledger)
"""

from __future__ import annotations

import argparse

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from datetime import datetime

EXAMPLE = "smimetool ca list --state valid --expiring 30"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    from pki.listing import STATES

    parser.add_argument("--search", metavar="TEXT", default="", help="in addresses and names")
    parser.add_argument(
        "--state", choices=STATES, default="", metavar="S", help=f"one of: {', '.join(STATES)}"
    )
    parser.add_argument(
        "--profile", default="", metavar="P", help="kind of certificate, as --json says it"
    )
    parser.add_argument(
        "--expiring", type=int, metavar="DAYS", help="those that end within DAYS, not renewed yet"
    )
    parser.add_argument("--ending-from", metavar="DATE", help="those that end then or later")
    parser.add_argument(
        "--ending-before", metavar="DATE", help="those that end before, like 2027-01-31"
    )
    parser.add_argument(
        "--after", default="", metavar="N", help="go on after N, which the page before said"
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
    from pki.listing import Wanted

    if not 1 <= arguments.limit <= MAX_PAGE:
        arguments.refuse(f"--limit is 1 to {MAX_PAGE}")
    if arguments.expiring is not None and not 0 <= arguments.expiring <= 36_525:
        arguments.refuse("--expiring is a number of days")
    start, end = _date(arguments, "ending_from"), _date(arguments, "ending_before")
    with common.opened(arguments) as (_, ledger):
        now = common.now()
        if arguments.expiring is not None:
            within = now + timedelta(days=arguments.expiring)
            start = now if start is None else max(start, now)
            end = within if end is None else min(end, within)
        wanted = Wanted(
            text=arguments.search,
            state=arguments.state,
            profile=arguments.profile,
            ending_after=start,
            ending_before=end,
            due=arguments.expiring is not None,
        )
        found, following = ledger.listed(
            wanted, now=now, after=arguments.after, limit=arguments.limit
        )
        if arguments.json:
            common.say_json(
                {"certificates": [record.to_dict(now) for record in found], "next": following}
            )
            return 0
        for record in found:
            who = ", ".join(record.addresses) or record.subject
            common.say(
                f"{record.serial:032x}  {record.not_after:%Y-%m-%d}  {record.state(now):<8}  {who}"
            )
        if following is not None:
            common.tell(f"there may be more: --after {following}")
    return 0


def _date(arguments: argparse.Namespace, name: str) -> datetime | None:
    from datetime import UTC, datetime

    given = getattr(arguments, name)
    if given is None:
        return None
    try:
        found = datetime.fromisoformat(given)
        return found.replace(tzinfo=UTC) if found.tzinfo is None else found.astimezone(UTC)
    except (ValueError, OverflowError):
        arguments.refuse(f"--{name.replace('_', '-')} {given} is no date like 2027-01-31")
        raise  # refuse() ends the program
