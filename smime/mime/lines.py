"""Base64 in lines, quicker than an encoder that writes the line ends itself.

Floor:  mime (uses nothing)
Source: RFC 2045 §6.8
"""

from __future__ import annotations

import struct

from pybase64 import b64encode

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from smime.source import Piece

__all__ = ["base64_blocks", "base64_lines", "before_base64", "lines_of"]

LINE_OCTETS = 76
_LINE_INPUT = 57  # what one line holds
_BLOCK_OCTETS = 57 * 1000  # a multiple of what one line of base64 holds

_cutters: dict[int, struct.Struct] = {}


def base64_lines(data: bytes) -> bytes:
    r"""Return base64 in lines of 76 octets, each ended by CRLF.

    >>> base64_lines(b"hi")
    b'aGk=\r\n'
    """
    return b"".join(base64_blocks(data))


def before_base64(start: bytes, data: bytes) -> bytes:
    r"""Return ``start``, which ends with CRLF, and the base64 lines of ``data`` behind it.

    >>> before_base64(b"\r\n", b"hi")
    b'\r\naGk=\r\n'
    """
    if len(data) > _BLOCK_OCTETS:
        return b"".join((start, *base64_blocks(data)))
    flat = b64encode(data)
    lines = len(flat) // LINE_OCTETS
    cut = (_cutters.get(lines) or _cutter(lines)).unpack_from(flat)
    last = flat[lines * LINE_OCTETS :]
    # One join for all of it: no line is copied twice.
    return b"\r\n".join([start[:-2], *cut, last, b""] if last else [start[:-2], *cut, b""])


def _cutter(lines: int) -> struct.Struct:
    return _cutters.setdefault(lines, struct.Struct(f"{LINE_OCTETS}s" * lines))


def base64_blocks(data: bytes) -> Sequence[bytes]:
    """Return the same as pieces that are still to be joined."""
    if len(data) > _BLOCK_OCTETS:
        return [
            block
            for at in range(0, len(data), _BLOCK_OCTETS)
            for block in base64_blocks(data[at : at + _BLOCK_OCTETS])
        ]
    # A Struct cuts the flat text into lines at the speed of memcpy, several
    # times as fast as any encoder that writes the line ends itself.
    flat = b64encode(data)
    lines, rest = divmod(len(flat), LINE_OCTETS)
    joined = b"\r\n".join((_cutters.get(lines) or _cutter(lines)).unpack_from(flat))
    if not rest:
        return (joined, b"\r\n") if lines else ()
    last = flat[lines * LINE_OCTETS :]
    return (joined, b"\r\n", last, b"\r\n") if lines else (last, b"\r\n")


def lines_of(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Yield the base64 lines of octets that come in pieces."""
    rest = b""
    for piece in pieces:
        data = rest + piece if rest else bytes(piece)
        whole = len(data) // _LINE_INPUT * _LINE_INPUT
        if whole:
            yield base64_lines(data[:whole])
        rest = data[whole:]
    if rest:
        yield base64_lines(rest)
