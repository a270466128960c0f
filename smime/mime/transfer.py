"""Content transfer encodings, undone.

Floor:  mime (uses errors)
Source: RFC 2045 §6
"""

from __future__ import annotations

import re

from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smime.source import Piece

__all__ = [
    "BASE64_DAMAGED",
    "from_base64",
    "from_quoted_printable",
    "quoted_printable_pieces",
]

MAX_HELD_OCTETS = 1 << 20  # of a line of quoted-printable that can be cut nowhere
_LOOKED_BACK = 4096  # octets for a place to cut a long line at

BASE64_DAMAGED = "the base64 is cut short or holds characters that are none"

_TRAILING_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_WRITTEN_OUT = re.compile(rb"=[0-9A-Fa-f]{2}")
_BARE_SOFT_BREAK = re.compile(rb"=(?=\r(?!\n))")


def from_base64(body: bytes) -> bytes:
    """Return what base64 holds; raises ``MalformedMail`` if it is damaged."""
    import pybase64

    # To take out single octets is several times as fast as to translate.
    text = body.replace(b"\n", b"")
    if b"\r" in text:
        text = text.replace(b"\r", b"")
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        pass
    # Blanks are rare, so they are looked for only now.
    try:
        return pybase64.b64decode(text.translate(None, b" \t"), validate=True)
    except ValueError as problem:
        raise MalformedMail(BASE64_DAMAGED) from problem


def from_quoted_printable(body: bytes) -> bytes:
    """Return what quoted-printable holds, read as far as it goes (RFC 2045 §6.7)."""
    from binascii import a2b_qp

    # Blanks at the end of a line were added on the way (RFC 2045 §6.7 rule 3).
    body = _TRAILING_BLANKS.sub(b"", body)
    if b"=\r" in body:
        # The C decoder drops a line after "=" and a bare CR; no reader would.
        body = _BARE_SOFT_BREAK.sub(b"=3D", body)
    return a2b_qp(body)


def quoted_printable_pieces(texts: Iterable[Piece]) -> Iterator[bytes]:
    r"""Yield what quoted-printable in pieces holds, as ``from_quoted_printable`` reads it.

    Raises ``LimitExceeded`` for a line of nothing but blanks or ``=`` that has no end.

    >>> b"".join(quoted_printable_pieces([b"caf=", b"C3=A9 =\r", b"\nau lait"]))
    b'caf\xc3\xa9 au lait'
    """
    rest = b""
    for text in texts:
        data = rest + bytes(text)
        end = _cut(data)
        if end:
            yield from_quoted_printable(data[:end])
            data = data[end:]
        if len(data) > MAX_HELD_OCTETS:
            raise LimitExceeded("a line of quoted-printable has no end")
        rest = data
    if rest:
        yield from_quoted_printable(rest)


def _cut(data: bytes) -> int:
    """Return where the text can be cut so that both sides are read alike; 0 for nowhere."""
    end = data.rfind(b"\n") + 1
    if end:
        return end
    for at in range(len(data), max(len(data) - _LOOKED_BACK, 3), -1):
        if data[at - 1] in b" \t\r":
            continue  # blanks count only where the line goes on
        before = data[at - 4 : at]
        # Either nothing that begins before ends behind, or an octet was just written out.
        if b"=" not in before[1:] or (before[0] != 0x3D and _WRITTEN_OUT.fullmatch(before, 1)):
            return at
    return 0
