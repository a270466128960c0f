r"""PEM armour taken off, and base64 read piece by piece.

Floor:  cms (uses errors, source)
Source: RFC 7468 §2 and §8 for the armour, RFC 4648 §4 for base64
"""

from __future__ import annotations

from smime.errors import MalformedMail
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smime.source import Piece

__all__ = ["base64_pieces", "unarmoured"]

_BEGIN = b"-----BEGIN "
MAX_LABEL_OCTETS = 128  # "-----BEGIN CMS-----" and its kin, with blanks before
_BLANKS = b" \t\r\n"


def unarmoured(source: Source) -> Source:
    """Return the source, or what its PEM armour holds; any label will do, as senders vary."""
    start = source.peek(MAX_LABEL_OCTETS)
    if not start.lstrip(_BLANKS).startswith(_BEGIN):
        return source
    if source.whole is not None:
        return Source(b"".join(_inside(source)), "blob")
    return _Unarmoured(source)


class _Unarmoured(Source):
    """What the armour of a file holds; its size shows when it was read."""

    __slots__ = ("_armoured",)

    def __init__(self, armoured: Source) -> None:
        super().__init__(b"", "blob")
        self.whole = self.size = None
        self._armoured = armoured

    def pieces(self) -> Iterator[Piece]:
        return _inside(self._armoured)


def _inside(source: Source) -> Iterator[Piece]:
    return base64_pieces(_lines(source))


def _lines(source: Source) -> Iterator[Piece]:
    """Yield the text between the line that begins the armour and the one that ends it."""
    start = b""
    for piece in source.pieces():
        text = bytes(piece)
        if start is not None:
            start = start + text if start else text
            after = start.find(b"\n", start.find(_BEGIN)) + 1
            if not after:
                if len(start) > 2 * MAX_LABEL_OCTETS:
                    break
                continue
            text, start = start[after:], None  # type: ignore[assignment]
        dash = text.find(b"-")
        if dash >= 0:
            yield text[:dash]
            return
        yield text
    raise MalformedMail("the PEM armour has no end")


def base64_pieces(texts: Iterable[Piece]) -> Iterator[bytes]:
    r"""Yield what base64 text in pieces holds; blanks and line ends are passed over.

    Raises ``MalformedMail`` for anything else that is not base64.

    >>> b"".join(base64_pieces([b"aGV", b"sbG8\r\n", b"="]))
    b'hello'
    """
    from pybase64 import b64decode

    rest = b""
    ended = False
    for text in texts:
        flat = rest + bytes(text).translate(None, _BLANKS)
        whole = len(flat) // 4 * 4
        rest = flat[whole:]
        if not whole:
            continue
        if ended:
            raise MalformedMail("base64 goes on after its end")
        ended = flat[whole - 1] == 0x3D
        try:
            yield b64decode(flat[:whole], validate=True)
        except ValueError as problem:
            raise MalformedMail("the text is not base64") from problem
    if rest:
        raise MalformedMail("the base64 text is cut short")
