"""Lists of certificates by state, kind and end, page by page: each from an index.

A page goes on where the one before ended, in the order of the index that it is read from:
by entry of the log, by end, or by when they were revoked. So the last page of a million
costs what the first does, and nothing is sorted.

Floor:  listing (uses questions)
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pki import tables
from pki.errors import RequestRefused
from pki.facts import HOLD, RELEASED
from pki.questions import MAX_PAGE, RECORDS, record_of
from pki.tables import sql

if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from pki.facts import Record

__all__ = ["STATES", "Wanted", "page"]

STATES = ("valid", "expired", "revoked", "on-hold")
"""As ``Record.state`` says them."""

_CERTIFICATES, _GONE = tables.certificates.c, tables.revocations.c
_AFTER = re.compile(r"([0-9]{1,18})(?:-([0-9]{1,18}))?")
# From the revoked ones, where those are asked for: they are fewer.
_REVOKED = sql.select(
    *tables.certificates.columns, _GONE.at.label("revoked_at"), _GONE.reason.label("reason")
).join_from(tables.revocations, tables.certificates, _CERTIFICATES.serial == _GONE.serial)


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which certificates a list is of; what is not said does not matter."""

    text: str = ""
    """To be found in addresses and subjects, in any case. All that else fits is read for it."""
    state: str = ""
    """One of ``STATES``."""
    profile: str = ""
    ending_after: datetime | None = None
    ending_before: datetime | None = None
    due: bool = False
    """Not those that are revoked or renewed already."""


def page(
    connection: sql.Connection, wanted: Wanted, now: datetime, after: str, limit: int
) -> tuple[list[Record], str | None]:
    """Give at most ``limit`` certificates, and after what the next page begins, if there is one.

    Raises ``RequestRefused`` for a state or an ``after`` that is none.
    """
    if not 0 < limit <= MAX_PAGE:
        raise ValueError(f"limit is 1 to {MAX_PAGE}")
    if wanted.state and wanted.state not in STATES:
        raise RequestRefused(f"{wanted.state!r} is no state", hint=f"there are {', '.join(STATES)}")
    start, conditions = _conditions(wanted, now)
    by_end = bool(wanted.state or wanted.profile or wanted.ending_after or wanted.ending_before)
    statement = RECORDS
    order: tuple[sql.Column[Any], ...] = (_CERTIFICATES.number,)
    if wanted.state in ("revoked", "on-hold"):
        statement, order = _REVOKED, (_GONE.number,)
    elif by_end:
        order = (_CERTIFICATES.not_after, _CERTIFICATES.number)
    places = _places(after, len(order)) if after else []
    if len(places) == 2 and (start is None or places[0] >= start):
        # One lower bound: of two SQLite might take the one that passes over nothing.
        conditions.append(sql.tuple_(*order) > sql.tuple_(*places))
    elif start is not None:
        conditions.append(_CERTIFICATES.not_after >= start)
    if len(places) == 1:
        conditions.append(order[0] > places[0])
    columns = [column.label(f"place_{number}") for number, column in enumerate(order)]
    asked = statement.add_columns(*columns).where(*conditions).order_by(*order).limit(limit)
    rows = connection.execute(asked).all()
    found = [record_of(row) for row in rows]
    if len(found) < limit:
        return found, None
    return found, "-".join(str(value) for value in rows[-1][-len(order) :])


def _places(after: str, count: int) -> list[int]:
    read = _AFTER.fullmatch(after)
    places = [] if read is None else [int(part) for part in read.groups() if part is not None]
    if len(places) != count:
        raise RequestRefused(
            f"{after!a} is not where a page of this list ended",
            hint="take what the page before it said, with the same options",
        )
    return places


def _conditions(wanted: Wanted, now: datetime) -> tuple[int | None, list[Any]]:
    """Give the moment from which on they end, and what else holds of them."""
    moment = int(now.timestamp())
    starts = [] if wanted.ending_after is None else [int(wanted.ending_after.timestamp())]
    ends = [] if wanted.ending_before is None else [int(wanted.ending_before.timestamp())]
    asked: list[Any] = []
    if wanted.state == "on-hold":
        asked.append(_GONE.reason == HOLD)
    elif wanted.state == "revoked":
        asked.append(_GONE.reason.not_in((HOLD, RELEASED)))
    elif wanted.state:
        starts += [moment] if wanted.state == "valid" else []
        ends += [moment] if wanted.state == "expired" else []
    if wanted.due or wanted.state in ("valid", "expired"):
        asked.append(sql.or_(_GONE.reason.is_(None), _GONE.reason == RELEASED))
    if ends:
        asked.append(_CERTIFICATES.not_after < min(ends))
    if wanted.profile:
        asked.append(_CERTIFICATES.profile == wanted.profile)
    if wanted.due:
        later = tables.certificates.alias()
        asked.append(~sql.exists().where(later.c.renews == _CERTIFICATES.serial))
    if wanted.text:
        held = sql.select(tables.addresses.c.serial).where(
            tables.addresses.c.address.contains(wanted.text.lower(), autoescape=True)
        )
        named = _CERTIFICATES.subject.icontains(wanted.text, autoescape=True)
        asked.append(sql.or_(named, _CERTIFICATES.serial.in_(held)))
    return max(starts, default=None), asked
