"""A content with something before and something behind it, written piece by piece.

That is what DigestedData, AuthenticatedData and CompressedData have in common.

Floor:  cms (uses source, release)
Source: RFC 5652 §5.2 for EncapsulatedContentInfo, §7, §9; RFC 3274 §1.1
"""

from __future__ import annotations

from smime.cms.der import OCTET_STRING, SEQUENCE, head, tlv
from smime.release import to as release_to
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from smime.cms.algorithms import Hasher
    from smime.release import Out
    from smime.source import Data, Piece

__all__ = ["encapsulate", "encapsulated"]

_END = b"\0\0"


def _nothing() -> bytes:
    return b""


def encapsulated(
    pieces: Iterable[Piece],
    size: int | None,
    *,
    kind: bytes,
    before: bytes,
    content_type: bytes,
    behind: Callable[[], bytes] = _nothing,
    behind_octets: int = 0,
    detached: bool = False,
) -> Iterator[Piece]:
    """Yield a ContentInfo of the type ``kind`` around a content of ``size`` octets.

    ``before`` stands before the content, and ``behind`` is asked for what stands
    behind it, ``behind_octets`` in all, when the content has gone by. In DER, or
    where the size is None with indefinite lengths. Of a ``detached`` content the
    octets go by and are not written.
    """
    outer, typed = tlv(0x06, kind), tlv(0x06, content_type)
    if size is None and not detached:
        yield b"\x30\x80" + outer + b"\xa0\x80\x30\x80" + before + b"\x30\x80" + typed
        yield b"\xa0\x80\x24\x80"
        for piece in pieces:
            if piece:
                yield head(OCTET_STRING, len(piece))
                yield piece
        yield _END * 3
        yield behind()
        yield _END * 3
        return
    octets = 0 if detached or size is None else size
    start = b""
    if not detached:
        start = head(OCTET_STRING, octets)
        start = head(0xA0, len(start) + octets) + start
    # Each part goes before all that is there, ``octets`` and what is behind counted in.
    start = head(SEQUENCE, len(typed) + len(start) + octets) + typed + start
    start = before + start
    start = head(SEQUENCE, len(start) + octets + behind_octets) + start
    start = outer + head(0xA0, len(start) + octets + behind_octets) + start
    yield head(SEQUENCE, len(start) + octets + behind_octets) + start
    for piece in pieces:
        if not detached:
            yield piece
    yield behind()


def encapsulate(
    data: Data,
    out: Out | None,
    *,
    tally: Hasher,
    kind: bytes,
    before: bytes,
    content_type: bytes,
    behind: Callable[[], bytes],
    behind_octets: int,
    detached: bool,
) -> bytes | None:
    """Write a content of any size with a digest behind it; return it where ``out`` is None.

    ``tally`` is the hash that takes in the content before ``behind`` is asked; the
    rest is as in ``encapsulated``. Raises ``OSError``.
    """
    with (
        Source(data, "data") as source,
        release_to(out, private=False, wait=False) as release,
    ):

        def passing() -> Iterator[Piece]:
            for piece in source.pieces():
                tally.update(piece)
                yield piece

        for piece in encapsulated(
            passing(),
            source.size,
            kind=kind,
            before=before,
            content_type=content_type,
            behind=behind,
            behind_octets=behind_octets,
            detached=detached,
        ):
            release.write(piece)
        release.publish()
        return release.value
