"""Compressed OpenPGP content taken apart, never to more than an honest one has.

A message of one KiB may grow to a GiB, packed twice even more so; what comes out
counts as it comes, and more than a multiple of what came in is no mail.

Floor:  pgp (uses errors, stored)
Source: RFC 9580 §5.6, §9.4
"""

from __future__ import annotations

from smime.errors import LimitExceeded, MalformedMail, NotSupported
from smime.stored import Keeping

TYPE_CHECKING = False
if TYPE_CHECKING:
    import bz2
    import zlib
    from collections.abc import Iterator

    from smime.stored import Data, Stored

__all__ = ["MAX_INFLATED", "Allowance", "inflate"]

MAX_INFLATED = 256 << 20  # what a mail may grow to: five times what mail servers take
MAX_GROWTH = 4  # and a larger one in a file, to as many times what came: text packs so well
# Below the limit: octets out for one in. Text stays below 50, an empty disk image reaches 1,030.
MAX_RATIO = 200
FREE_INFLATED = 16 << 20  # that much may come out before anybody counts: small things pack well
_IN_OCTETS = 64 * 1024
_OUT_OCTETS = 256 * 1024


class Allowance:
    """What may come out of all compressed packets of one message, in octets."""

    def __init__(self, came: int) -> None:
        self.limit = min(max(MAX_INFLATED, MAX_GROWTH * came), FREE_INFLATED + MAX_RATIO * came)
        self._left = self.limit

    def take(self, octets: int) -> None:
        """Count what came out. Raises ``LimitExceeded`` when it is too much."""
        self._left -= octets
        if self._left < 0:
            raise LimitExceeded(f"the OpenPGP message grows to more than {self.limit} octets")


def inflate(body: Data, allowance: Allowance) -> bytes | Stored:
    """Return what a compressed packet holds; ``body`` is its content, from a file a file.

    Raises ``MalformedMail`` for what is damaged, ``NotSupported`` for a way that is not
    known, and ``LimitExceeded``.
    """
    if isinstance(body, bytes):
        if body[:1] == b"\0":
            return body[1:]
        return b"".join(_inflated(iter([body]), allowance))
    with Keeping() as kept:
        for piece in _inflated(map(bytes, body.pieces()), allowance):
            kept.write(piece)
        return kept.stored()


def _inflated(pieces: Iterator[bytes], allowance: Allowance) -> Iterator[bytes]:
    import zlib

    first = next(pieces, b"")
    if first[:1] == b"\0":
        yield first[1:]
        yield from pieces
        return
    reader = _reader(first[:1])
    rest = first[1:]
    try:
        while True:
            for at in range(0, len(rest), _IN_OCTETS):
                yield from _some(reader, rest[at : at + _IN_OCTETS], allowance)
            following = next(pieces, None)
            if following is None:
                break
            rest = following
    except (OSError, ValueError, EOFError, zlib.error) as broken:
        raise MalformedMail("the compressed OpenPGP message is damaged") from broken
    if not reader.eof:
        raise MalformedMail("the compressed OpenPGP message is cut short")


def _some(
    reader: bz2.BZ2Decompressor | zlib._Decompress, data: bytes, allowance: Allowance
) -> Iterator[bytes]:
    """Yield what comes out for some octets, a piece at a time; what follows the end is not read."""
    while not reader.eof:
        made = reader.decompress(data, _OUT_OCTETS)
        data = getattr(reader, "unconsumed_tail", b"")  # the other one keeps it to itself
        allowance.take(len(made))
        if made:
            yield made
        elif not data:
            return


def _reader(method: bytes) -> bz2.BZ2Decompressor | zlib._Decompress:
    import bz2
    import zlib

    if method == b"\1":
        return zlib.decompressobj(-15)
    if method == b"\2":
        return zlib.decompressobj()
    if method == b"\3":
        return bz2.BZ2Decompressor()
    raise NotSupported("the OpenPGP message is compressed in a way that is not known")
