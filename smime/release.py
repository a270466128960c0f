"""Where what was made or opened may appear, and when.

A plaintext is held back until its tag, and the signature where one is asked
for, is known to be good. Meanwhile it is in a file without a name, or in one
that its owner alone can read and nobody knows of, or in memory; when it is not
good all of it goes. An unlinked file is not an erased one: what was written to
a disk can stay there until it is overwritten.

Floor:  release (uses nothing)
"""

from __future__ import annotations

import os
import stat

TYPE_CHECKING = False
if TYPE_CHECKING:
    from types import TracebackType
    from typing import Any, BinaryIO, Self, TypeAlias

    Out: TypeAlias = "os.PathLike[str] | BinaryIO"
    Piece: TypeAlias = "bytes | bytearray | memoryview"

__all__ = ["SPOOL_OCTETS", "Nowhere", "Release", "beside", "spool", "to"]

SPOOL_OCTETS = 8 << 20  # what is kept in memory; above, an unlinked file takes it
_COPY_OCTETS = 256 * 1024

_NEW_FILE = (
    os.O_RDWR | os.O_CREAT | os.O_EXCL | getattr(os, "O_NOFOLLOW", 0) | getattr(os, "O_BINARY", 0)
)
_UNNAMED = getattr(os, "O_TMPFILE", 0)


class Release:
    """Takes pieces; ``publish`` lets them appear, and leaving without it makes them vanish."""

    value: bytes | None = None
    """All that was published, where it is held in memory."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        problem: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.discard()

    def write(self, piece: Piece) -> object:
        """Take a piece; it may be changed by its owner afterwards."""
        raise NotImplementedError

    def publish(self) -> None:
        """Let all that was written appear."""
        raise NotImplementedError

    def discard(self) -> None:
        """Leave nothing behind, unless it was published."""


class Nowhere(Release):
    """Keeps nothing: for a content that is looked at where it stands."""

    def write(self, piece: Piece) -> object:  # noqa: ARG002
        return None

    def publish(self) -> None:
        pass


class _Held(Release):
    """Held in memory."""

    def __init__(self) -> None:
        self._pieces = bytearray()

    def write(self, piece: Piece) -> object:
        self._pieces += piece
        return None

    def publish(self) -> None:
        self.value = bytes(self._pieces)
        self.discard()

    def discard(self) -> None:
        self._pieces = bytearray()


class _Straight(Release):
    """An open file that is written to at once: for what need not be kept back."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file

    def write(self, piece: Piece) -> object:
        write_all(self._file, piece)
        return None

    def publish(self) -> None:
        pass


class _Spooled(Release):
    """An open file or pipe that gets all of it at once, when it is good."""

    def __init__(self, file: BinaryIO) -> None:
        self._file = file
        self._spool = spool()

    def write(self, piece: Piece) -> object:
        return self._spool.write(piece)

    def publish(self) -> None:
        self._spool.seek(0)
        while piece := self._spool.read(_COPY_OCTETS):
            write_all(self._file, piece)

    def discard(self) -> None:
        self._spool.close()


class _Renamed(Release):
    """A new file in the folder of the target, which takes its name when it is good."""

    def __init__(self, target: str, private: bool) -> None:
        self._target = target
        self._private = private
        folder, name = os.path.split(target)
        self._folder = folder or os.curdir
        # What tempfile.mkstemp does, without its import, which costs more than a signature.
        hidden = os.path.join(self._folder, f".{name[:40]}.{os.urandom(8).hex()}.part")
        self._temporary = hidden
        handle = _open_unnamed(self._folder)
        self._named = handle is None
        if handle is None:
            handle = os.open(hidden, _NEW_FILE, 0o600)
        self._file = os.fdopen(handle, "wb", buffering=0)

    def write(self, piece: Piece) -> object:
        write_all(self._file, piece)
        return None

    def publish(self) -> None:
        handle = self._file.fileno()
        if not self._private and hasattr(os, "fchmod"):
            mask = os.umask(0)
            os.umask(mask)
            os.fchmod(handle, 0o666 & ~mask)
        os.fsync(handle)
        if not self._named:
            _give_name(handle, self._temporary)
            self._named = True
        self._file.close()  # Windows renames no open file
        os.replace(self._temporary, self._target)
        self._named = False

    def discard(self) -> None:
        self._file.close()
        if self._named:
            os.unlink(self._temporary)
            self._named = False


def _open_unnamed(folder: str) -> int | None:
    """Open a file that has no name, so that not even a crash leaves it; None where that fails."""
    if not _UNNAMED or not os.path.isdir("/proc/self/fd"):
        return None
    try:
        return os.open(folder, os.O_RDWR | _UNNAMED, 0o600)
    except OSError:
        return None  # some file systems have no such files


def _give_name(handle: int, path: str) -> None:
    """Give an unnamed file its first name (open(2), O_TMPFILE)."""
    # Without a folder's handle Python calls link(), which does not follow the link in /proc.
    fds = os.open("/proc/self/fd", os.O_RDONLY)
    try:
        os.link(str(handle), path, src_dir_fd=fds, follow_symlinks=True)
    finally:
        os.close(fds)


def spool() -> BinaryIO:
    """Return a file for what is kept back: memory first, then a file without a name, 0600.

    That file is in the folder that ``TMPDIR`` names, else in the system's.
    """
    from tempfile import SpooledTemporaryFile

    kept: Any = SpooledTemporaryFile(max_size=SPOOL_OCTETS)  # noqa: SIM115  # its taker closes it
    return kept  # type: ignore[no-any-return]


def to(out: Out | None, *, private: bool, wait: bool) -> Release:
    """Return what writes to ``out``: a path, an open binary file, or None for memory.

    A path gets its content by a rename, so that it is there whole or not at
    all; ``private`` makes it readable by its owner alone. With ``wait`` an open
    file, a device or a pipe gets nothing before all is published; without it,
    each piece at once. Raises ``TypeError`` for a str and ``OSError``.
    """
    if out is None:
        return _Held()
    if isinstance(out, str):
        raise TypeError(f"out=Path({out!r}): a path is given as a Path, not a str")
    if isinstance(out, os.PathLike):
        target = os.path.realpath(out)  # of a symbolic link, the target is replaced
        return _Renamed(target, private) if _is_file_to_be(target) else _Device(target, wait)
    if not hasattr(out, "write"):
        raise TypeError(f"out= is a Path or a binary file, not {type(out).__name__}")
    return _Spooled(out) if wait else _Straight(out)


def beside(path: os.PathLike[str] | str, *, private: bool) -> Release:
    """Return what writes a new file beside ``path`` and renames it: for regular and new files."""
    return _Renamed(os.path.realpath(path), private)


class _Device(Release):
    """A device or a pipe named by its path: opened here, closed here, never replaced."""

    def __init__(self, path: str, wait: bool) -> None:
        self._file = open(path, "wb", buffering=0)  # noqa: SIM115  # closed by discard
        opened: Any = self._file
        self._inner = _Spooled(opened) if wait else _Straight(opened)

    def write(self, piece: Piece) -> object:
        return self._inner.write(piece)

    def publish(self) -> None:
        self._inner.publish()

    def discard(self) -> None:
        self._inner.discard()
        self._file.close()


def _is_file_to_be(path: str) -> bool:
    """Whether the path is a regular file, or will be a new one."""
    try:
        return stat.S_ISREG(os.stat(path).st_mode)
    except FileNotFoundError:
        return True


def write_all(file: Any, piece: Piece) -> None:
    """Write all octets; an unbuffered file may take them in several turns."""
    written = file.write(piece)
    if written is None or written == len(piece):
        return
    view = memoryview(piece)[written:]
    while view:
        view = view[file.write(view) or 0 :]
