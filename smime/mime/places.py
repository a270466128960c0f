"""Where header fields belong when a mail is protected, by their names.

Structural fields describe the body and are the entity's, what the author wrote goes
inside, what those who carry the mail write stays outside; ``headers`` says why.

Floor:  mime (uses nothing)
Source: RFC 9788 §2, §3.2 for hcp_baseline; RFC 5322 §3.6
"""

from __future__ import annotations

__all__ = [
    "INSIDE",
    "NOWHERE",
    "OBSCURED_SUBJECT",
    "ONCE",
    "OUTER",
    "REMOVED",
    "SHOWN",
    "STRUCTURE",
    "is_authors",
    "is_structural",
    "named",
    "place_of",
    "stays_outside",
]

DROPPED = frozenset({"bcc", "resent-bcc", "hp-outer"})
_OUTSIDE = frozenset(
    {
        "apparently-to", "authentication-results", "delivered-to", "dkim-signature",
        "domainkey-signature", "envelope-from", "envelope-to", "old-return-path", "received",
        "received-spf", "return-path", "status", "x-envelope-from", "x-envelope-to", "x-keywords",
        "x-original-to", "x-status", "x-uid",
    }
)  # fmt: skip
_OUTSIDE_STARTS = ("arc-", "list-", "resent-", "x-mozilla-", "x-spam-")
# Of these a message has one (RFC 5322 §3.6): a second one inside is not believed.
ONCE = frozenset(
    {
        "cc", "date", "from", "in-reply-to", "message-id", "references", "reply-to", "sender",
        "subject", "to",
    }
)  # fmt: skip
# With hp every field the author wrote is inside, so one of these that is only
# outside was added on the way; a reader is not shown it as the author's, nor does
# an answer follow it (RFC 9788 §4.4.4, §4.6).
SHOWN = frozenset(
    {
        "cc", "comments", "in-reply-to", "keywords", "mail-followup-to", "mail-reply-to",
        "references", "reply-to", "subject", "to",
    }
)  # fmt: skip

OBSCURED_SUBJECT = b"Subject: [...]\r\n"
REMOVED = frozenset({"comments", "keywords"})


def is_structural(key: str) -> bool:
    return key.startswith("content-") or key == "mime-version"


def stays_outside(key: str) -> bool:
    return key in _OUTSIDE or key.startswith(_OUTSIDE_STARTS) or key in DROPPED


def place_of(key: str) -> str:
    """Return where fields of this name (in lower case) belong when a mail is divided."""
    return _PLACES.get(key) or _find_place(key)


def _find_place(key: str) -> str:
    if key.startswith("content-"):
        return STRUCTURE
    if key == "mime-version" or key in DROPPED:
        return NOWHERE
    return OUTER if stays_outside(key) else INSIDE


STRUCTURE, NOWHERE, OUTER, INSIDE = "structure", "nowhere", "outside", "inside"
# The names that nearly every mail has.
_PLACES = {
    key: _find_place(key)
    for key in (
        *ONCE, *DROPPED, "content-disposition", "content-language", "content-transfer-encoding",
        "content-type", "mime-version", "received", "user-agent", "x-mailer",
    )
}  # fmt: skip
# The same by the name as mail programs spell it.
_BY_NAME = {
    name.encode(): (place, key)
    for key, place in _PLACES.items()
    for name in {key.title(), key.title().replace("Mime", "MIME").replace("-Id", "-ID")}
}


def named(name: bytes) -> tuple[str, str]:
    """Return where a field of this name belongs, and the name in lower case."""
    found = _BY_NAME.get(name)
    if found is None:
        key = name.decode("ascii").lower()
        found = place_of(key), key
    return found


def is_authors(key: str) -> bool:
    """Whether fields of this name (in lower case) are the author's, and go inside."""
    return not is_structural(key) and not stays_outside(key)
