"""What a shy author leaves of a header field outside: addresses without names, time without zone.

Floor:  mime (uses errors)
Source: RFC 9788 §3.2.2 for hcp_shy
"""

from __future__ import annotations

from smime.mime.addresses import addresses

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.mime.entity import Field

__all__ = ["SHY_FIELDS", "shy_form"]

SHY_FIELDS = frozenset({"cc", "date", "from", "to"})


def shy_form(field: Field) -> bytes:
    r"""Return the field as hcp_shy leaves it; as it stands if it cannot be read.

    >>> from smime.mime.entity import Field
    >>> shy_form(Field("To", b"To: Bob <bob@example.org>, carol@example.org\r\n"))
    b'To: bob@example.org,\r\n carol@example.org\r\n'
    >>> shy_form(Field("Date", b"Date: Sat, 20 Feb 2021 10:09:02 -0500\r\n"))
    b'Date: Sat, 20 Feb 2021 15:09:02 +0000\r\n'
    """
    if field.key == "date":
        text = _utc(field.value)
    else:
        found = addresses((field,), field.key)
        text = ",\r\n ".join(found)
    if not text or not text.isascii():
        return field.raw
    return f"{field.name}: {text}\r\n".encode("ascii")


def _utc(value: str) -> str:
    from datetime import UTC
    from email.utils import format_datetime, parsedate_to_datetime

    try:
        when = parsedate_to_datetime(value)
        # "-0000" says that the zone is unknown, and is UTC (RFC 5322 §3.3).
        return format_datetime((when if when.tzinfo else when.replace(tzinfo=UTC)).astimezone(UTC))
    except (ValueError, TypeError, OverflowError, IndexError):
        return ""
