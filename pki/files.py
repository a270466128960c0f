"""Files and folders that appear whole, with the mode that is meant, or not at all.

Floor:  files (uses no other file of pki)
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

__all__ = ["empty_folder", "fill_new", "unlink_all", "write_new", "write_over"]


def write_new(path: str, data: bytes | Iterable[bytes], *, mode: int) -> None:
    """Write a file that must not exist yet, whole and on the disk, or leave none.

    ``data`` may come in pieces. The mode is as given, never wider, whatever the umask.
    """
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    descriptor = os.open(path, flags, mode)
    try:
        with os.fdopen(descriptor, "wb") as file:
            file.writelines((data,) if isinstance(data, bytes) else data)
            file.flush()
            os.fsync(file.fileno())
        _sync_folder(os.path.dirname(path) or ".")
    except BaseException:
        os.unlink(path)
        raise


def _sync_folder(folder: str) -> None:
    """Put a new file's name on the disk too; Windows has no such call and needs none."""
    if os.name != "posix":
        return
    descriptor = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def write_over(path: str, data: bytes | Iterable[bytes], *, mode: int) -> None:
    """Write a file beside ``path`` and rename it: the old one or the new, never a half.

    ``data`` may come in pieces.
    """
    beside = f"{path}.new"
    if os.path.lexists(beside):
        os.unlink(beside)  # left by who was killed here
    write_new(beside, data, mode=mode)
    os.replace(beside, path)
    _sync_folder(os.path.dirname(path) or ".")


def unlink_all(paths: Iterable[str]) -> None:
    """Remove those of these files that are there."""
    for path in paths:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def fill_new(place: str, sealed: dict[str, bytes]) -> Iterator[None]:
    """Make a folder with keys in ``private``; what fails inside leaves nothing of it."""
    made = not os.path.isdir(place)
    if made:
        os.mkdir(place, 0o755)
    private = os.path.join(place, "private")
    # Only one of two that start together gets past here, and only that one cleans up.
    os.mkdir(private, 0o700)
    try:
        for name, data in sealed.items():
            write_new(os.path.join(private, name), data, mode=0o600)
        yield
    except BaseException:
        empty_folder(place)
        if made:
            os.rmdir(place)
        raise


def empty_folder(place: str) -> None:
    """Remove what is in a folder that was empty before."""
    import shutil

    for entry in os.scandir(place):
        if entry.is_dir(follow_symlinks=False):
            shutil.rmtree(entry.path)
        else:
            os.unlink(entry.path)
