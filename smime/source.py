"""Where octets come from: bytes, a path or a binary file, as one row of pieces.

Nothing larger than a piece is held, and everything is read once: what was
read to be checked is what is handed on, whatever becomes of the file meanwhile.

Floor:  source (uses nothing)
"""

from __future__ import annotations

import errno
import io
import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from types import TracebackType
    from typing import Any, BinaryIO, Self, TypeAlias

    Data: TypeAlias = "bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO"
    Piece: TypeAlias = "bytes | bytearray | memoryview"
else:
    # For whoever looks at run time; evaluated it would import typing.
    Data = "bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO"

__all__ = ["PIECE_OCTETS", "Source", "read_at_most"]

PIECE_OCTETS = 256 * 1024  # large enough that a call costs nothing beside it, and fits a cache


def read_at_most(file: BinaryIO, count: int) -> bytes:
    """Return what is left of a file, at most ``count`` octets; ``OSError`` as it comes.

    ``file.read(count)`` would take room for all of ``count`` first, of which a system that
    promises no more memory than it has may have none, however small the file.

    >>> read_at_most(io.BytesIO(b"abc"), 1 << 30)
    b'abc'
    """
    found = []
    while count and (piece := file.read(min(PIECE_OCTETS, count))):
        found.append(piece)
        if len(piece) < min(PIECE_OCTETS, count) and isinstance(file, io.BufferedReader):
            break  # it gives less at the end alone; a person would have to end it twice
        count -= len(piece)
    return b"".join(found)


class Source:
    """Octets that are read once, from front to end.

    ``whole`` are all of them where they are in memory already, else None;
    ``size`` is their number where it is known before they are read. A regular
    file begins where it stands. ``what`` names the thing in errors: ``data``.

    A context manager: it closes what it opened, and nothing else.

    Raises ``TypeError`` for a str or an object that is none of these, and
    ``OSError``, also for a file whose size changes while it is read.

    >>> with Source(b"abc", "data") as source:
    ...     source.size, [bytes(piece) for piece in source.pieces()]
    (3, [b'abc'])
    """

    __slots__ = ("_file", "_first", "_name", "_opened", "_start", "seekable", "size", "whole")

    whole: bytes | None
    size: int | None
    seekable: bool
    """It is a regular file that can be read at any place."""

    def __init__(self, data: Data, what: str) -> None:
        self.whole = self.size = None
        self.seekable = False
        self._opened = False
        self._start = 0
        self._first = b""
        self._name: Any = what
        if isinstance(data, (bytes, bytearray, memoryview)):
            self.whole = data if isinstance(data, bytes) else bytes(data)
            self.size = len(self.whole)
            return
        if isinstance(data, str):
            raise TypeError(
                f"{what} is not a str: for a file write Path({data[:40]!r}), for a text"
                " .encode() it"
            )
        if isinstance(data, os.PathLike):
            self._file: Any = open(data, "rb", buffering=0)  # noqa: SIM115  # closed by __exit__
            self._opened = True
            self._name = os.fspath(data)
        elif hasattr(data, "read"):
            if isinstance(data.read(0), str):
                raise TypeError("the file is open as text: open it with mode 'rb'")
            self._file = data
        else:
            raise TypeError(f"{what} is bytes, a Path or a binary file, not {type(data).__name__}")
        self._look()

    def _look(self) -> None:
        """Learn the size of a regular file."""
        try:
            status = os.fstat(self._file.fileno())
            if stat.S_ISREG(status.st_mode):
                self._start = self._file.tell()
                self.size = max(0, status.st_size - self._start)
                self.seekable = True
        except (AttributeError, OSError, ValueError):  # io.UnsupportedOperation is both
            return  # a pipe, or no file of the system: its end shows when it is there

    def pieces(self) -> Iterator[Piece]:
        """Yield the octets; a piece is valid until the next one is asked for."""
        if self.whole is not None:
            if self.whole:
                yield self.whole
            return
        seen = 0
        for piece in self._read():
            seen += len(piece)
            if self.size is not None and seen > self.size:
                break
            yield piece
        if self.size is not None and seen != self.size:
            raise OSError(errno.EIO, "the file changed while it was read", self._name)

    def _read(self) -> Iterator[Piece]:
        if self._first:
            yield self._first
        readinto = getattr(self._file, "readinto", None)
        if readinto is None:
            while piece := self._file.read(PIECE_OCTETS):
                yield piece
            return
        buffer = memoryview(bytearray(PIECE_OCTETS))
        while count := readinto(buffer):
            yield buffer[:count]

    def take_file(self) -> tuple[Any, bool]:
        """Return the file that it reads, and whether whoever takes it has to close it."""
        opened, self._opened = self._opened, False
        return self._file, opened

    def peek(self, count: int) -> bytes:
        """Return the first octets, at most so many; they stay to be read."""
        if self.seekable or self.whole is not None:
            return self.ahead(0, count) or b""
        self._first = self._file.read(count) or b""
        return self._first

    def ahead(self, at: int, count: int) -> bytes | None:
        """Return octets that come later, counted from the first; None for a pipe.

        They come once more in ``pieces``, where nobody may look at them again.
        """
        if self.whole is not None:
            return self.whole[at : at + count]
        if not self.seekable:
            return None
        here = self._file.tell()
        self._file.seek(self._start + at)
        found = bytearray()
        while len(found) < count and (piece := self._file.read(count - len(found))):
            found += piece
        self._file.seek(here)
        return bytes(found)

    def read(self, limit: int) -> bytes | None:
        """Return all octets if there are at most ``limit``, else None; then some are lost."""
        if self.whole is not None:
            return self.whole if len(self.whole) <= limit else None
        if self.size is not None and self.size > limit:
            return None
        found = bytearray()
        for piece in self.pieces():
            found += piece
            if len(found) > limit:
                return None
        return bytes(found)

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
