"""Who is said to have written a mail, and what could mislead about it.

A signature speaks for exactly one address. That is the one in From; a Sender
beside it says who pressed the button for another, and is never taken for the
author. Where either field names more than one, or could be read in two ways,
there is nobody to compare with.

Floor:  formats (uses mime, keys, report)
Source: RFC 8550 §3; RFC 5322 §3.3 for dates, §3.6.2 for From and Sender
"""

from __future__ import annotations

import re

from smime.keys.address import same_address
from smime.mime.addresses import addresses
from smime.report import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from smime.mime.entity import Field
    from smime.report import SignatureCheck

__all__ = ["date_of", "sender_notes", "sender_problem", "shown", "sole_author", "with_gaps"]

MAX_GAP_SECONDS = 3600  # between signing and Date; clocks differ by less, and drafts by more

_BETWEEN = re.compile(r"[\s<>()\[\]\",;:\\]+")  # what stands between words, and in no address
_MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
_DATE = re.compile(
    r"(?:[A-Za-z]{3},)?\s*(\d{1,2})\s+([A-Za-z]{3})\s+(\d{4})\s+"
    r"(\d\d):(\d\d)(?::(\d\d))?\s+([+-])(\d\d)(\d\d)\b"
)


def sole_author(fields: Sequence[Field]) -> tuple[str | None, str]:
    """Return the one address in From, or None and why there is not exactly one."""
    named = [field for field in fields if field.key == "from"]
    found = addresses(named, "from")
    if len(found) == 1:
        return found[0], ""
    if len(found) > 1:
        return None, f"the mail has {len(found)} From addresses, and one signer cannot be all"
    return None, f"the mail {_no_address(named, 'From')}"


def sender_problem(*headers: Iterable[Field]) -> str:
    """Say what is wrong with Sender in any of these header blocks; empty if nothing is.

    A mail needs none (RFC 5322 §3.6.2). Of two, readers would show one or the other.
    """
    for fields in headers:
        named = [field for field in fields if field.key == "sender"]
        if not named:
            continue
        found = addresses(named, "sender")
        if len(found) > 1:
            return f"the mail has {len(found)} Sender addresses"
        if not found:
            return f"the mail {_no_address(named, 'Sender')}"
    return ""


def _no_address(named: list[Field], name: str) -> str:
    if not named:
        return f"has no {name} address"
    if not any(field.value for field in named):
        return f"has an empty {name}"
    if not any("@" in field.value for field in named):
        return f"has a {name} without an address"
    return f"has a {name} that can be read in more than one way, so that it names nobody"


def shown(outer: Iterable[Field], inner: Iterable[Field], *, use_from: bool) -> list[Field]:
    """Return the From and Sender that a reader is shown: those inside where they count."""
    keys = ("from", "sender") if use_from else ("sender",)
    inside = [field for field in inner if field.key in keys]
    there = {field.key for field in inside}
    named = [field for field in outer if field.key in ("from", "sender")]
    return inside + [field for field in named if field.key not in there]


def sender_notes(author: str | None, fields: Iterable[Field]) -> list[Note]:
    """Say what in From and Sender, as they are shown, could mislead about the author."""
    notes = []
    for field in fields:
        if field.key == "from":
            # Nothing to find where there is one @ and nothing encoded: nearly always.
            if field.raw.count(b"@") > 1 or b"=?" in field.raw:
                notes += _name_note(author, field)
        elif field.key == "sender" and author is not None:
            found = addresses([field], "sender")
            if len(found) == 1 and not same_address(found[0], author):
                text = f"{found[0]} is named as who sent it for {author}; nobody vouches for that"
                notes.append(Note("sender-differs", text))
    return notes


def _name_note(author: str | None, field: Field) -> list[Note]:
    text = field.text
    words = _BETWEEN.split(text[: text.rfind("<")] if "<" in text else "")
    known = (author or "").casefold()
    found = [one for one in words if _reads_as_address(one) and one.casefold() != known]
    if not found:
        return []
    whom = author or "nobody"
    said = f"the name in From looks like another address: {found[0]}; the mail is from {whom}"
    return [Note("display-name-address", said)]


def _reads_as_address(word: str) -> bool:
    local, _, domain = word.rpartition("@")
    return bool(local) and "." in domain.strip(".")


def date_of(fields: Iterable[Field]) -> datetime | None:
    """Return what the one Date says; None if there is none, two, or one of another form."""
    from datetime import UTC, datetime, timedelta, timezone

    values = [field.value for field in fields if field.key == "date"]
    match = _DATE.match(values[0]) if len(values) == 1 else None
    if match is None or match[2].lower() not in _MONTHS:
        return None
    offset = timedelta(hours=int(match[8]), minutes=int(match[9]))
    try:
        zone = timezone(-offset if match[7] == "-" else offset)
        at = datetime(
            int(match[3]), _MONTHS.index(match[2].lower()) + 1, int(match[1]),
            int(match[4]), int(match[5]), int(match[6] or 0), tzinfo=zone,
        )  # fmt: skip
        return at.astimezone(UTC)
    except (ValueError, OverflowError):
        return None


def with_gaps(checks: list[SignatureCheck], fields: Sequence[Field]) -> tuple[SignatureCheck, ...]:
    """Note on each check whose signing time is far from the mail's Date; no verdict moves.

    The Date counts that stands first: inside, else outside.
    """
    if not any(one.signed_at for one in checks):
        return tuple(checks)
    date = date_of([field for field in fields if field.key == "date"][:1])
    return tuple(_with_gap(one, date) for one in checks) if date else tuple(checks)


def _with_gap(check: SignatureCheck, date: datetime) -> SignatureCheck:
    at = check.signed_at
    if at is None or abs((at - date).total_seconds()) <= MAX_GAP_SECONDS:
        return check
    from dataclasses import replace

    text = f"it says it was signed on {at:%Y-%m-%d %H:%M} UTC, and the mail's Date is "
    note = Note("signing-time-gap", f"{text}{date:%Y-%m-%d %H:%M} UTC")
    return replace(check, notes=(*check.notes, note))
