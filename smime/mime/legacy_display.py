"""Legacy Display: hidden header fields repeated in the text, for readers that know no better.

Written only where it is asked for; taken off what a reader is shown, since the
fields stand in their places there. What was signed or sealed is never changed.

Floor:  mime (uses errors)
Source: RFC 9788 §5.2.2 for writing, §4.5.3 for reading; the older form, a part
        of its own, is draft-autocrypt-lamps-protected-headers §4
"""

from __future__ import annotations

import re

from smime.errors import MalformedMail
from smime.mime.entity import ContentType, Entity, Field, decode_charset, split_entity
from smime.mime.multipart import boundary_of, cut
from smime.mime.wording import write_content_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["add", "strip"]

MAX_DEPTH = 8  # multiparts around the text of a mail; people write two
MAX_LINES = 100  # of a Legacy Display

_PARAMETER = "hp-legacy-display"
_CLASS = "header-protection-legacy-display"
# Of the fields that are hidden, those that a reader is shown.
_DISPLAYED = frozenset({"cc", "comments", "date", "from", "keywords", "reply-to", "subject", "to"})
_TEXTS = ("text/plain", "text/html")
_PSEUDO_FIELD = re.compile(r"[!-9;-~]+:|[ \t]+\S")
_BODY = re.compile(r"<body\b[^>]*>", re.IGNORECASE)
_DIV = re.compile(rf"""<div\b[^<>]*\bclass\s*=\s*["']?{_CLASS}["']?[^<>]*>""", re.IGNORECASE)
_DIV_END = re.compile(r"</div\s*>\s*", re.IGNORECASE)


def add(raw: bytes, hidden: Sequence[Field]) -> bytes:
    """Return an entity whose texts begin with the fields that are hidden outside."""
    lines = [f"{one.name}: {' '.join(one.text.split())}" for one in hidden if one.key in _DISPLAYED]
    if not lines:
        return raw

    def with_lines(kind: str, text: str) -> str:
        if kind == "text/plain":
            return "\r\n".join([*lines, "", text])
        from html import escape

        shown = escape("\r\n".join(lines), quote=False)
        block = f'<div class="{_CLASS}">\r\n<pre>{shown}</pre>\r\n</div>\r\n'
        body = _BODY.search(text)
        at = body.end() if body else 0
        return text[:at] + ("\r\n" if body else "") + block + text[at:].lstrip("\r\n")

    return _rewritten(raw, with_lines, marked=False, depth=0)


def strip(entity: Entity, mode: str) -> Entity:
    """Return the entity as it is shown, without its Legacy Display."""
    try:
        if mode == "v1":
            return _without_first_part(entity)
        if mode != "cipher":
            return entity
        return split_entity(_rewritten(entity.raw, _without_lines, marked=True, depth=0))
    except MalformedMail:
        return entity


def _without_lines(kind: str, text: str) -> str:
    if kind == "text/plain":
        lines = text.split("\n", MAX_LINES + 1)
        for n, line in enumerate(lines[: MAX_LINES + 1]):
            if not line.strip("\r"):
                return "\n".join(lines[n + 1 :]) if n else text
            if not _PSEUDO_FIELD.match(line):
                return text
        return text
    start = _DIV.search(text)
    end = _DIV_END.search(text, start.end()) if start else None
    return text[: start.start()] + text[end.end() :] if start and end else text


def _without_first_part(entity: Entity) -> Entity:
    """Show the second of two parts, of which the first is the display (older form)."""
    if entity.content_type.value != "multipart/mixed":
        return entity
    body = entity.body
    spans = cut(body, boundary_of(entity)).spans
    if len(spans) != 2 or spans[0][0] == spans[0][1] or spans[1][0] == spans[1][1]:
        return entity
    kind = split_entity(body[slice(*spans[0])]).content_type
    if not kind.params.get("protected-headers", "").lower().startswith("v1"):
        return entity
    return split_entity(body[slice(*spans[1])])


def _rewritten(raw: bytes, change: Callable[[str, str], str], *, marked: bool, depth: int) -> bytes:
    """Return the entity with ``change(type, text)`` applied to the main texts.

    ``marked`` says that only texts with the parameter are meant, and takes it
    off; else it is put on.
    """
    entity = split_entity(raw)
    kind = entity.content_type
    if kind.value.startswith("multipart/") and depth < MAX_DEPTH:
        body = entity.body
        spans = cut(body, boundary_of(entity)).spans
        # All views of the same, or the first part with what is attached to it.
        meant = spans if kind.value == "multipart/alternative" else spans[:1]
        pieces = [entity.header_block]
        done = 0
        for start, end in meant:
            if end > start:
                made = _rewritten(body[start:end], change, marked=marked, depth=depth + 1)
                pieces += body[done:start], made
                done = end
        return b"".join([*pieces, body[done:]])
    attached = (entity.get("content-disposition") or "").lower().startswith("attachment")
    if kind.value not in _TEXTS or attached or (_PARAMETER in kind.params) is not marked:
        return raw
    octets = entity.decoded()
    charset = kind.params.get("charset", "us-ascii")
    text = decode_charset(octets, charset)
    if text is None or not _gives_back(text, charset, octets):
        return raw
    changed = change(kind.value, text)
    params = {name: value for name, value in kind.params.items() if name != _PARAMETER}
    if not marked:
        params[_PARAMETER] = "1"
    try:
        made = changed.encode(charset)
    except UnicodeEncodeError:
        made, params["charset"] = changed.encode(), "utf-8"
    # Raw; what has to be encoded is, when the whole is made canonical.
    encoding = b"7bit" if made.isascii() else b"8bit"
    kept = [
        one.raw
        for one in entity.fields
        if one.key not in ("content-type", "content-transfer-encoding")
    ]
    return b"".join(
        [
            write_content_type(ContentType(kind.value, params)),
            b"Content-Transfer-Encoding: " + encoding + b"\r\n",
            *kept,
            b"\r\n",
            made,
        ]
    )


def _gives_back(text: str, charset: str, octets: bytes) -> bool:
    """Whether the text can be written in its charset again; wide characters have no lines."""
    if charset.lower().startswith(("utf-16", "utf-32", "utf16", "utf32")):
        return False
    try:
        return text.encode(charset) == octets
    except (LookupError, UnicodeError):
        return False
