"""Octets too many to hold, in a file without a name that nobody else writes to.

Only what was copied into such a file is ever looked at: whatever becomes of the
file that a mail came from, what was checked is what is handed out.

Floor:  stored (uses release, source)
"""

from __future__ import annotations

import re
import weakref

from smime.release import Release, spool
from smime.source import PIECE_OCTETS

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from typing import BinaryIO, Protocol, Self, TypeAlias

    from smime.source import Piece

    class Pieces(Protocol):
        """What can be read piece by piece, of a size that is known: a ``Stored`` is one."""

        @property
        def size(self) -> int | None: ...

        def pieces(self) -> Iterator[Piece]: ...

    Data: TypeAlias = bytes | Pieces

__all__ = ["Behind", "Keeping", "Stored", "has_bare_cr", "keep", "size_of", "unnamed"]

_BARE_CR = re.compile(rb"\r(?!\n)")


class _Owned:
    """A file that is closed when nobody has it any more."""

    __slots__ = ("__weakref__", "file")

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        weakref.finalize(self, file.close)


class Stored:
    """Octets in a file that nobody else writes to; a slice of it is read when it is asked for."""

    __slots__ = ("_owned", "_start", "size")

    size: int

    def __init__(self, owned: _Owned, start: int, size: int) -> None:
        self._owned = owned
        self._start = start
        self.size = size

    @classmethod
    def of(cls, file: BinaryIO) -> Self:
        """Take all of a file over; it is closed with the last who has it."""
        return cls(_Owned(file), 0, file.seek(0, 2))

    def pieces(self) -> Iterator[bytes]:
        """Yield the octets; others may read the same file meanwhile."""
        at = 0
        while piece := self.read(at, PIECE_OCTETS):
            at += len(piece)
            yield piece

    def read(self, at: int, count: int) -> bytes:
        """Return so many octets, fewer at the end."""
        count = min(count, self.size - at)
        if count <= 0:
            return b""
        file = self._owned.file
        file.seek(self._start + at)
        found = file.read(count)
        if len(found) != count:
            raise OSError("a temporary file was cut short")
        return found

    def part(self, start: int, end: int | None = None) -> Self:
        """Return a part of it."""
        stop = self.size if end is None else end
        return type(self)(self._owned, self._start + start, stop - start)

    def __len__(self) -> int:
        return self.size

    def __getitem__(self, wanted: slice) -> bytes:
        start, stop, _ = wanted.indices(self.size)
        return self.read(start, stop - start)

    def __repr__(self) -> str:
        return f"<{type(self).__name__} of {self.size} octets>"


class Behind:
    """Some octets in memory, and behind them those in a file."""

    __slots__ = ("_head", "_rest", "size")

    def __init__(self, head: bytes, rest: Stored) -> None:
        self._head = head
        self._rest = rest
        self.size = len(head) + rest.size

    def pieces(self) -> Iterator[bytes]:
        """Yield all of them."""
        yield self._head
        yield from self._rest.pieces()


class Keeping(Release):
    """Takes a content into an unnamed file, where it stays to be looked at."""

    def __init__(self) -> None:
        self._file: BinaryIO = spool()
        self._is_taken = False

    def write(self, piece: Piece) -> object:
        return self._file.write(piece)

    def publish(self) -> None:
        pass

    def discard(self) -> None:
        if not self._is_taken:
            self._file.close()

    def stored(self) -> Stored:
        """Return what was written; the file goes with the last who has it."""
        self._is_taken = True
        return Stored.of(self._file)


def keep(pieces: Iterable[Piece]) -> Stored:
    """Return a copy of the octets that nobody else can change. Raises ``OSError``."""
    with Keeping() as kept:
        for piece in pieces:
            kept.write(piece)
        return kept.stored()


def unnamed() -> BinaryIO:
    """Return a new file without a name, 0600, which a program can be given to write to."""
    import tempfile

    return tempfile.TemporaryFile()


def size_of(data: Data) -> int:
    """Return how many octets these are; 0 for a number that nobody knows."""
    return len(data) if isinstance(data, bytes) else data.size or 0


def has_bare_cr(data: Data) -> bool:
    """Whether a CR stands without the LF that ends a line."""
    if isinstance(data, bytes):
        return _BARE_CR.search(data) is not None
    held = False
    for piece in data.pieces():
        octets = b"\r" + bytes(piece) if held else bytes(piece)
        held = octets.endswith(b"\r")
        if _BARE_CR.search(octets[:-1] if held else octets):
            return True
    return held
