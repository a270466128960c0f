"""Legacy Display: hidden header fields repeated in the text, for readers that know no better.

Written only where it is asked for; taken off what a reader is shown, since the
fields stand in their places there. What was signed or sealed is never changed.
A mail may be in a file: of it the texts alone are read that a display is in.

Floor:  mime (uses errors)
Source: RFC 9788 §5.2.2 for writing, §4.5.3 for reading; the older form, a part
        of its own, is draft-autocrypt-lamps-protected-headers §4
"""

from __future__ import annotations

import re

from smime.errors import LimitExceeded, MalformedMail
from smime.mime.entity import ContentType, Entity, Field, decode_charset, split_entity
from smime.mime.multipart import boundary_of, cut
from smime.mime.wording import write_content_type

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from typing import Protocol, Self, TypeAlias, TypeVar

    Change: TypeAlias = tuple[int, int, bytes]
    """From where to where other octets stand, and which."""

    class Part(Protocol):
        """A part in memory or in a file; the positions in it are octets."""

        @property
        def size(self) -> int: ...

        def head(self) -> Entity:
            """Return its header block as an entity, which may lack its body."""

        def read(self, at: int, count: int) -> bytes: ...

        def part(self, start: int, end: int | None = None) -> Self: ...

        def spans(self, boundary: bytes) -> list[tuple[int, int]]:
            """Return where the parts are, if this is the body of a multipart."""

        def spliced(self, changes: Sequence[Change]) -> Self:
            """Return it with other octets in some places."""

    AnyPart = TypeVar("AnyPart", bound=Part)

__all__ = ["add", "displayed", "strip", "stripped"]

MAX_DEPTH = 8  # multiparts around the text of a mail; people write two
MAX_LINES = 100  # of a Legacy Display
MAX_TEXT_OCTETS = 4 << 20  # of a text that it is put on or taken off, which is held; a book has 1

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
    return displayed(_Held(raw), hidden).raw


def displayed(entity: AnyPart, hidden: Sequence[Field]) -> AnyPart:
    """Do the same, in memory or in a file.

    Raises ``MalformedMail`` for a multipart that has no parts, and ``LimitExceeded``
    for texts larger than ``MAX_TEXT_OCTETS``.
    """
    lines = [f"{one.name}: {' '.join(one.text.split())}" for one in hidden if one.key in _DISPLAYED]
    if not lines:
        return entity

    def with_lines(kind: str, text: str) -> str:
        if kind == "text/plain":
            return "\r\n".join([*lines, "", text])
        from html import escape

        shown = escape("\r\n".join(lines), quote=False)
        block = f'<div class="{_CLASS}">\r\n<pre>{shown}</pre>\r\n</div>\r\n'
        body = _BODY.search(text)
        at = body.end() if body else 0
        return text[:at] + ("\r\n" if body else "") + block + text[at:].lstrip("\r\n")

    changes = list(_changes(entity, 0, with_lines, marked=False, depth=0))
    return entity.spliced(changes) if changes else entity


def strip(entity: Entity, mode: str) -> Entity:
    """Return the entity as it is shown, without its Legacy Display."""
    held = _Held(entity.raw)
    found = stripped(held, mode)
    return entity if found is held else split_entity(found.raw)


def stripped(entity: AnyPart, mode: str) -> AnyPart:
    """Do the same, in memory or in a file; texts larger than ``MAX_TEXT_OCTETS`` stay."""
    try:
        if mode == "v1":
            return _without_first_part(entity)
        if mode != "cipher":
            return entity
        changes = list(_changes(entity, 0, _without_lines, marked=True, depth=0))
    except MalformedMail:
        return entity
    return entity.spliced(changes) if changes else entity


class _Held:
    """A part in memory."""

    __slots__ = ("raw",)

    def __init__(self, raw: bytes) -> None:
        self.raw = raw

    @property
    def size(self) -> int:
        return len(self.raw)

    def head(self) -> Entity:
        return split_entity(self.raw)

    def read(self, at: int, count: int) -> bytes:
        return self.raw[at : at + count]

    def part(self, start: int, end: int | None = None) -> _Held:
        return _Held(self.raw[start:end])

    def spans(self, boundary: bytes) -> list[tuple[int, int]]:
        return cut(self.raw, boundary).spans

    def spliced(self, changes: Sequence[Change]) -> _Held:
        pieces: list[bytes] = []
        done = 0
        for start, end, octets in changes:
            pieces += self.raw[done:start], octets
            done = end
        return _Held(b"".join([*pieces, self.raw[done:]]))


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


def _without_first_part(entity: AnyPart) -> AnyPart:
    """Show the second of two parts, of which the first is the display (older form)."""
    head = entity.head()
    if head.content_type.value != "multipart/mixed":
        return entity
    body = entity.part(head.body_at)
    spans = body.spans(boundary_of(head))
    if len(spans) != 2 or spans[0][0] == spans[0][1] or spans[1][0] == spans[1][1]:
        return entity
    kind = body.part(*spans[0]).head().content_type
    if not kind.params.get("protected-headers", "").lower().startswith("v1"):
        return entity
    return body.part(*spans[1])


def _changes(
    part: Part, at: int, change: Callable[[str, str], str], *, marked: bool, depth: int
) -> Iterator[Change]:
    """Yield what ``change(type, text)`` makes of the main texts of a part that begins at ``at``.

    ``marked`` says that only texts with the parameter are meant, and takes it
    off; else it is put on.
    """
    head = part.head()
    kind = head.content_type
    if kind.value.startswith("multipart/") and depth < MAX_DEPTH:
        body = part.part(head.body_at)
        spans = body.spans(boundary_of(head))
        # All views of the same, or the first part with what is attached to it.
        meant = spans if kind.value == "multipart/alternative" else spans[:1]
        for start, end in meant:
            if end > start:
                there = at + head.body_at + start
                one = body.part(start, end)
                yield from _changes(one, there, change, marked=marked, depth=depth + 1)
        return
    attached = (head.get("content-disposition") or "").lower().startswith("attachment")
    if kind.value not in _TEXTS or attached or (_PARAMETER in kind.params) is not marked:
        return
    if part.size <= MAX_TEXT_OCTETS:
        made = _changed(split_entity(part.read(0, part.size)), change, marked=marked)
        if made is not None:
            yield at, at + part.size, made
    elif not marked:
        raise LimitExceeded(
            f"a text of more than {MAX_TEXT_OCTETS} octets gets no Legacy Display",
            hint="attach it as a file, or seal the mail without legacy_display",
        )


def _changed(entity: Entity, change: Callable[[str, str], str], *, marked: bool) -> bytes | None:
    """Return a text with ``change(type, text)`` applied; None where it is to stay as it is."""
    kind = entity.content_type
    octets = entity.decoded()
    charset = kind.params.get("charset", "us-ascii")
    text = decode_charset(octets, charset)
    if text is None or not _gives_back(text, charset, octets):
        return None
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
