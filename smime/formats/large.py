"""Mails larger than a little, on their way out: the header in memory, the body in pieces.

A body that is canonical already, but for its line ends perhaps, goes by and is
looked at while it goes. Another has to be written anew part by part first
(``recoding``): ``NotCanonical`` says so.

Floor:  formats (uses mime, cms, source)
Source: RFC 8551 §3.1 for the canonical form
"""

from __future__ import annotations

from smime.mime.canonical import MAX_LINE, is_canonical, to_crlf
from smime.mime.entity import MAX_HEADER_OCTETS, Entity, split_entity
from smime.source import PIECE_OCTETS, Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable, Iterator
    from types import TracebackType
    from typing import Any, BinaryIO, Self

    from smime.source import Piece

__all__ = ["Large", "NotCanonical", "Parted", "canonical_pieces", "with_crlf"]

SMALL_OCTETS = 1 << 20  # below, a mail is simply read


class NotCanonical(Exception):
    """The mail has to be written anew before it can be protected."""


class Large:
    """A mail in a file, read once for each use.

    ``head`` is its header block as an entity without a body. A context manager.
    """

    __slots__ = ("_body_at", "_file", "_opened", "_start", "head", "size")

    def __init__(self, file: Any, opened: bool) -> None:
        self._file = file
        self._opened = opened
        try:
            self._start = file.tell()
            file.seek(0, 2)
            self.size: int = file.tell() - self._start
            file.seek(self._start)
            beginning = file.read(MAX_HEADER_OCTETS + 4)
            entity = split_entity(beginning)
        except BaseException:
            if opened:
                file.close()  # nobody else will, where it is no mail
            raise
        self._body_at = entity.body_at
        self.head = Entity(beginning[: entity.body_at], entity.head_at, entity.body_at)

    @classmethod
    def open(cls, mail: os.PathLike[str] | BinaryIO) -> Large | bytes:
        """Return the mail in a file, or its octets where they are few.

        What comes from a pipe waits in a spool.
        """
        source = Source(mail, "a mail")
        if source.seekable:
            if source.size is not None and source.size > SMALL_OCTETS:
                return cls(*source.take_file())
            with source:
                return b"".join(map(bytes, source.pieces()))
        from smime.release import spool

        with source:
            kept = spool()
            for piece in source.pieces():
                kept.write(piece)
        size = kept.tell()
        kept.seek(0)
        if size > SMALL_OCTETS:
            return cls(kept, True)
        with kept:
            return kept.read()

    def pieces(self) -> Iterator[Piece]:
        """Yield all octets."""
        return self._from(self._start)

    def body(self) -> Iterator[Piece]:
        """Yield the octets of the body."""
        return self._from(self._start + self._body_at)

    def _from(self, at: int) -> Iterator[Piece]:
        self._file.seek(at)
        buffer = memoryview(bytearray(PIECE_OCTETS))
        readinto = getattr(self._file, "readinto", None)
        if readinto is None:
            while piece := self._file.read(PIECE_OCTETS):
                yield piece
            return
        while count := readinto(buffer):
            yield buffer[:count]

    @property
    def body_octets(self) -> int:
        return self.size - self._body_at

    @property
    def has_bare_lf(self) -> bool:
        """Lines of the header block end in LF alone, as those of the body will."""
        return to_crlf(self.head.header_block) != self.head.header_block

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        if self._opened:
            self._file.close()


class Parted(Source):
    """The entity to protect: its own header block, then the body of a mail as it goes by.

    ``looked_at``: the body has to be canonical (see ``is_canonical`` for
    ``travels``), or ``NotCanonical`` is raised while it is read.
    """

    __slots__ = ("_head", "_large", "_looked_at", "_travels")

    def __init__(self, head: bytes, large: Large, *, looked_at: bool, travels: bool) -> None:
        super().__init__(b"", "a mail")
        self.whole = None
        if looked_at and large.has_bare_lf:
            raise NotCanonical  # which of its line ends are data shows part by part
        # A length that is known beforehand makes DER. If the file changes until it
        # is read again, the source finds another length and fails.
        self.size = len(head) + large.body_octets
        self._head = head
        self._large = large
        self._looked_at = looked_at
        self._travels = travels

    def _read(self) -> Iterator[Piece]:
        yield self._head
        body = self._large.body()
        yield from canonical_pieces(body, self._travels) if self._looked_at else body


def with_crlf(pieces: Iterable[Piece]) -> Iterator[Piece]:
    """Turn bare LF into CRLF; other octets stay."""
    held = b""
    for piece in pieces:
        data = held + piece
        held = b"\r" if data.endswith(b"\r") else b""
        yield to_crlf(data[:-1] if held else data)
    yield held


def canonical_pieces(pieces: Iterator[Piece], travels: bool) -> Iterator[Piece]:
    """Pass whole lines on, as long as they are canonical; else raise ``NotCanonical``."""
    rest = b""
    for piece in pieces:
        data = rest + piece
        if travels:
            end = data.rfind(b"\r\n") + 2
            if end == 1:
                end = 0
                if len(data) > MAX_LINE + 2:
                    raise NotCanonical
        else:
            # No relay will see it, so lines may be long; only a line end is not cut in two.
            end = len(data) - data.endswith(b"\r")
        if end and not is_canonical(data[:end], travels=travels):
            raise NotCanonical
        yield data[:end]
        rest = data[end:]
    if rest:
        if not is_canonical(rest, travels=travels):
            raise NotCanonical
        yield rest
