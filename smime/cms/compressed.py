"""CompressedData: smaller on the way, and of a bounded size when it is unpacked.

A few octets can stand for gigabytes, so what comes out is counted while it
comes: all of it against a size, and each piece against what was read for it.

Floor:  cms (uses errors, source, release)
Source: RFC 3274; RFC 1950 for zlib
"""

from __future__ import annotations

import zlib

from smime.cms import algorithms as alg
from smime.cms.armour import unarmoured
from smime.cms.der import (
    OCTET_STRING,
    SEQUENCE,
    children,
    integer,
    oid_text,
    sequence,
    top,
)
from smime.cms.encapsulated import encapsulated
from smime.cms.stream import begin
from smime.errors import LimitExceeded, MalformedMail, NotSupported
from smime.release import to as release_to
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import overload

    from smime.cms.stream import Reader
    from smime.release import Out
    from smime.source import Data, Piece

__all__ = ["Compressed", "compress", "decompress", "inflated", "packed_pieces", "unpacked"]

MAX_INFLATED_OCTETS = 1 << 30  # of one content, unless its reader allows more
# Octets out for one in. Text and EDI stay below 50, an empty disk image reaches the 1,030 of zlib.
MAX_RATIO = 200
FREE_OCTETS = 1 << 20  # that much comes out before anybody counts: small things pack well

# What zlib does not take at once it gives back as a copy, so it gets little at a time.
_IN_OCTETS = 64 * 1024
_OUT_OCTETS = 256 * 1024
_BEFORE = integer(0) + sequence(alg.ZLIB)  # RFC 3274 §1.1; §2: parameters absent


def compressed_pieces(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Yield the zlib form of octets that come in pieces."""
    engine = zlib.compressobj()
    for piece in pieces:
        packed = engine.compress(piece)
        if packed:
            yield packed
    yield engine.flush()


def packed_pieces(pieces: Iterable[Piece], *, definite: bool = False) -> Iterator[Piece]:
    """Yield a ContentInfo with the octets compressed; definite lengths hold it in memory first."""
    packed: Iterable[bytes] = compressed_pieces(pieces)
    size = None
    if definite:
        packed = list(packed)
        size = sum(map(len, packed))
    yield from encapsulated(
        packed, size, kind=alg.COMPRESSED_DATA, before=_BEFORE, content_type=alg.DATA
    )


if TYPE_CHECKING:

    @overload
    def compress(data: Data, *, out: None = None) -> bytes: ...
    @overload
    def compress(data: Data, *, out: Out) -> None: ...


def compress(data: Data, *, out: Out | None = None) -> bytes | None:
    """Compress content of any size; return the ContentInfo, or write it to ``out``.

    ``data`` is bytes, a path or a binary file. What is returned is DER; with
    ``out`` (a path, renamed when whole, or a binary file) the lengths are
    indefinite, for the size shows at the end. Compress before you sign or seal:
    what is sealed does not get smaller (RFC 8551 §3.6).

    Raises ``OSError``.

    >>> decompress(compress(b"again and again and again"))
    b'again and again and again'
    """
    with (
        Source(data, "data") as source,
        release_to(out, private=False, wait=False) as release,
    ):
        for piece in packed_pieces(source.pieces(), definite=out is None):
            release.write(piece)
        release.publish()
        return release.value


if TYPE_CHECKING:

    @overload
    def decompress(
        blob: Data, *, limit_octets: int = ..., limit_ratio: int = ..., out: None = None
    ) -> bytes: ...
    @overload
    def decompress(
        blob: Data, *, limit_octets: int = ..., limit_ratio: int = ..., out: Out
    ) -> None: ...


def decompress(
    blob: Data,
    *,
    limit_octets: int = MAX_INFLATED_OCTETS,
    limit_ratio: int = MAX_RATIO,
    out: Out | None = None,
) -> bytes | None:
    """Unpack CompressedData of any size; return the content, or write it to ``out``.

    ``blob`` is bytes, a path or a binary file, in DER, BER or PEM. At most
    ``limit_octets`` come out (1 GiB), and after the first MiB at most
    ``limit_ratio`` (200) for each octet that was read. ``out`` gets the content
    when all of it is right: a path by a rename, an open file or a pipe by a copy
    from a spool.

    Raises ``LimitExceeded``, ``MalformedMail`` for what is damaged or cut short,
    ``NotSupported`` for another compression than zlib, and ``OSError``.
    """
    with (
        Source(blob, "blob") as given,
        release_to(out, private=True, wait=True) as release,
    ):
        found = Compressed(*begin(unarmoured(given)))
        try:
            for piece in found.content(limit_octets, limit_ratio):
                release.write(piece)
        except LimitExceeded as exceeded:
            exceeded.hint = (
                "if it is no bomb, allow more: decompress(blob, limit_octets=..., limit_ratio=...)"
            )
            raise
        release.publish()
        return release.value


def unpacked(blob: bytes, limit_octets: int) -> tuple[bytes, bytes]:
    """Return content and content type of a CompressedData in memory."""
    found = Compressed(*begin(Source(blob, "blob")))
    return b"".join(found.content(limit_octets)), found.content_type


class Compressed:
    """A CompressedData that is read from its source, up to its content at first.

    ``reader`` and ``kind`` are what ``stream.begin`` returned. Raises
    ``MalformedMail`` for anything else.
    """

    __slots__ = ("_reader", "content_type", "why_not")

    content_type: bytes
    why_not: str
    """Why the content cannot be unpacked: a compression that is not known."""

    def __init__(self, reader: Reader, kind: bytes) -> None:
        if kind != alg.COMPRESSED_DATA:
            name = alg.CONTENT_TYPES.get(kind, oid_text(kind))
            raise MalformedMail(f"this is {name}, not compressedData")
        reader.enter(SEQUENCE)
        reader.whole(0x02)  # 0, and nobody needs another (RFC 3274 §1.1)
        algorithm = reader.whole(SEQUENCE)
        named = children(algorithm, top(algorithm))
        if not named or named[0][0] != 0x06:
            raise MalformedMail("the compressed content names no compression")
        identifier = algorithm[named[0][1] : named[0][3]]
        self.why_not = ""
        if identifier != alg.ZLIB:
            self.why_not = f"compression {oid_text(identifier[2:])} is not supported"
        reader.enter(SEQUENCE)
        self.content_type = reader.whole(0x06)[2:]
        self._reader = reader

    def content(
        self, limit_octets: int = MAX_INFLATED_OCTETS, limit_ratio: int = MAX_RATIO
    ) -> Iterator[bytes]:
        """Yield the content, which is right when all of it came; once.

        Raises ``NotSupported``, and what ``inflated`` raises.
        """
        if self.why_not:
            raise NotSupported(self.why_not)
        if self._reader.peek() != 0xA0:
            raise MalformedMail("the compressed content is not there")
        self._reader.enter(0xA0)
        yield from inflated(self._reader.content(OCTET_STRING), limit_octets, limit_ratio)
        for _ in range(5):
            self._reader.leave()


def inflated(pieces: Iterable[Piece], limit_octets: int, limit_ratio: int) -> Iterator[bytes]:
    """Yield what zlib made of octets that come in pieces, within limits.

    Raises ``LimitExceeded`` for more than ``limit_octets`` in all, or, above
    ``FREE_OCTETS``, than ``limit_ratio`` for each octet that was taken in;
    ``MalformedMail`` for what is no zlib, is cut short or goes on after its end.
    """
    engine = zlib.decompressobj()
    taken = made = 0
    ended = False
    for piece in pieces:
        view = memoryview(piece)
        for at in range(0, len(view), _IN_OCTETS):
            rest: Piece = view[at : at + _IN_OCTETS]
            taken += len(rest)
            more = True
            while more:
                if ended:
                    raise MalformedMail("the compressed content goes on after its end")
                try:
                    found = engine.decompress(rest, _OUT_OCTETS)
                except zlib.error as problem:
                    raise MalformedMail("the compressed content is damaged") from problem
                rest, ended = engine.unconsumed_tail, engine.eof
                # Of a full piece there may be more that needs no more input.
                more = not ended and (len(rest) > 0 or len(found) == _OUT_OCTETS)
                made += len(found)
                _check(made, taken - len(rest), limit_octets, limit_ratio)
                if found:
                    yield found
            if engine.unused_data:
                raise MalformedMail("the compressed content goes on after its end")
    if not ended:
        raise MalformedMail("the compressed content is cut short")


def _check(made: int, taken: int, limit_octets: int, limit_ratio: int) -> None:
    if made > limit_octets:
        raise LimitExceeded(f"what is compressed has more than {limit_octets} octets")
    if made > FREE_OCTETS + limit_ratio * taken:
        raise LimitExceeded(f"what is compressed grows by more than {limit_ratio} to one")
