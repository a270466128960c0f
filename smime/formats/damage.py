"""Which harmless accident on the way would explain a digest that differs.

A diagnosis and no repair: the verdict stays what it is. It is asked only where
the signed attributes are genuine, so the digest sought is the signer's own, and
a match proves what the content was before the accident. A forger's change is
none of these accidents and matches nothing.

Floor:  formats (uses mime and report)
Source: RFC 8551 §3.1.1, §3.1.2 for what gateways do; RFC 4155 for ``>From``
"""

from __future__ import annotations

import re

from smime.errors import MalformedMail
from smime.mime.canonical import to_crlf
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, cut
from smime.report import Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from typing import Any, TypeAlias

    Leaf: TypeAlias = tuple[int, int, str, str]  # body from, to; content type; encoding

__all__ = ["diagnose"]

MAX_OCTETS = 64 << 20  # hashed in all for one diagnosis: about a quarter of a second
MAX_TEXT = 2 << 20  # longer content is not searched for lost blanks; texts are shorter
MAX_LINES = 100  # lines that a footer may have, or that one blank is tried at
MAX_LEAVES = 8  # parts of text that a footer is looked for in
MAX_DEPTH = 8
WIDTHS = (76, 72, 64, 60)  # lines of base64 as MIME, OpenSSL and uuencode's heirs write them

_MANGLED = re.compile(rb"(?m)^>(>*From )")
_SEPARATOR = re.compile(rb"(?m)^--(?=\r\n|\Z)")
_QUOTE = re.compile(rb"(?m)^(>+)(?=\r\n|\Z)")
_FLOWED = re.compile(rb"(?m)([^ \r\n])\r\n(?=[^\r\n>])")

_WHAT = {
    "damage-line-ends": "its line ends were changed on the way",
    "damage-footer": "a footer was added to it on the way",
    "damage-base64": "its base64 lines were wrapped anew on the way",
    "damage-blanks": "blanks at the ends of its lines were lost on the way",
    "damage-from": "a mailbox put '>' before a line that begins with 'From '",
}


class _BudgetSpent(Exception):
    """So much was hashed that nothing more is tried; never leaves this module."""


class _Search:
    """The digest that is sought, and how much was hashed."""

    def __init__(self, new: Callable[[], Any], sought: bytes) -> None:
        self.new = new
        self.sought = sought
        self.left = MAX_OCTETS

    def spend(self, octets: int) -> None:
        self.left -= octets
        if self.left < 0:
            raise _BudgetSpent

    def fits(self, pieces: Iterable[bytes]) -> bool:
        state = self.new()
        for piece in pieces:
            self.spend(len(piece))
            state.update(piece)
        return bool(state.digest() == self.sought)


def diagnose(content: bytes, digest: str, sought: bytes) -> Note | None:
    """Return a note on the damage after which ``content`` has another digest, if one is known.

    ``digest`` names the algorithm, ``sought`` is what the signer signed. The work
    is bounded by ``MAX_OCTETS``.
    """
    import hashlib

    if digest not in hashlib.algorithms_guaranteed or digest.startswith("shake"):
        return None
    search = _Search(lambda: hashlib.new(digest, usedforsecurity=False), sought)
    try:
        code = _find(content, search)
    except _BudgetSpent:
        return None
    if code is None:
        return None
    return Note(code, f"the digest fits what it was before {_WHAT[code]}; it is not good for that")


def _find(received: bytes, search: _Search) -> str | None:
    content = to_crlf(received)
    for form in (content, content.replace(b"\r\n", b"\n")):
        if form != received and search.fits((form,)):
            return "damage-line-ends"
    unmangled = _MANGLED.sub(rb"\1", content)
    if unmangled != content and search.fits((unmangled,)):
        return "damage-from"
    leaves = list(_leaves(content, 0, 0))[:MAX_LEAVES]
    for name, tried in (
        ("damage-base64", _rewrapped(content, leaves)),
        ("damage-blanks", _with_blanks(content)),
    ):
        if any(search.fits(pieces) for pieces in tried):
            return name
    if _had_a_footer(content, leaves, search):
        return "damage-footer"
    return "damage-blanks" if _had_one_blank(content, search) else None


def _leaves(content: bytes, at: int, depth: int) -> Iterator[Leaf]:
    """Find the parts that are no multipart, by position in ``content``."""
    try:
        entity = split_entity(content)
        kind = entity.content_type.value
        if not kind.startswith("multipart/"):
            end = at + len(content)
            yield at + entity.body_at, end, kind, entity.transfer_encoding
        elif depth < MAX_DEPTH:
            body = entity.body
            for start, end in cut(body, boundary_of(entity)).spans[:MAX_LEAVES]:
                yield from _leaves(body[start:end], at + entity.body_at + start, depth + 1)
    except MalformedMail:
        return


def _rewrapped(content: bytes, leaves: list[Leaf]) -> Iterator[list[bytes]]:
    """Wrap what is base64 as other programs do."""
    coded = [(start, end) for start, end, _, encoding in leaves if encoding == "base64"]
    if not coded:
        return
    for width in (*WIDTHS, 0):
        pieces: list[bytes] = []
        done = 0
        for start, end in coded:
            body = content[start:end]
            text = body.translate(None, b"\r\n\t ")
            step = width or max(len(text), 1)
            lines = [text[at : at + step] for at in range(0, len(text), step)]
            tail = b"\r\n" if body.endswith(b"\r\n") else b""
            pieces += content[done:start], b"\r\n".join(lines), tail
            done = end
        yield [*pieces, content[done:]]


def _with_blanks(content: bytes) -> Iterator[list[bytes]]:
    """Put blanks back where they usually stand: after ``--``, after ``>``, in flowed text."""
    if len(content) > MAX_TEXT:
        return
    separated = _SEPARATOR.sub(b"-- ", content)
    quoted = _QUOTE.sub(rb"\1 ", separated)
    for form in (separated, quoted, _in_body(_FLOWED, quoted), _in_body(_FLOWED, content)):
        if form != content:
            yield [form]


def _in_body(flowed: re.Pattern[bytes], content: bytes) -> bytes:
    at = content.find(b"\r\n\r\n") + 4
    return content[:at] + flowed.sub(rb"\1 \r\n", content[at:])


def _had_a_footer(content: bytes, leaves: list[Leaf], search: _Search) -> bool:
    """Take line after line off the end of each text."""
    for start, end, kind, _ in leaves:
        if not kind.startswith("text/"):
            continue
        ends: list[int] = []
        before = end
        while len(ends) < MAX_LINES and (before := content.rfind(b"\r\n", start, before)) >= 0:
            ends.append(before)
        tail = content[end:]
        state = search.new()
        done = 0
        for at in reversed(ends):
            search.spend(at - done)
            state.update(content[done:at])
            done = at
            # The text ended here, with a line end of its own or without.
            for last in (b"", b"\r\n"):
                tried = state.copy()
                search.spend(len(tail) + 2)
                tried.update(last + tail)
                if tried.digest() == search.sought:
                    return True
    return False


def _had_one_blank(content: bytes, search: _Search) -> bool:
    """Put one blank at the end of one line, of each in turn."""
    state = search.new()
    done, at = 0, -2
    for _ in range(MAX_LINES):
        at = content.find(b"\r\n", at + 2)
        if at < 0:
            return False
        search.spend(at - done)
        state.update(content[done:at])
        done = at
        for blank in (b" ", b"\t"):
            tried = state.copy()
            search.spend(len(content) - at)
            tried.update(blank)
            tried.update(content[at:])
            if tried.digest() == search.sought:
                return True
    return False
