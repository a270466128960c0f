"""The forms in which octets are handed in and taken out."""

from __future__ import annotations

import io
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

OPENED: list[Any] = []  # closed after each test
FORMS = ["bytes", "path", "file", "memory file", "pipe", "reader"]


class OnlyReads:
    """A file that can be read and nothing else, in turns of odd sizes."""

    def __init__(self, data: bytes) -> None:
        self.left = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.left.read(size if size < 0 else min(size, 1021))


def given_as(form: str, data: bytes, folder: Path) -> Any:
    """Return the octets in one of ``FORMS``."""
    if form == "bytes":
        return data
    if form == "memory file":
        return io.BytesIO(data)
    if form == "reader":
        return OnlyReads(data)
    if form == "pipe":
        return piped(data)
    path = folder / f"given-{os.urandom(4).hex()}"
    path.write_bytes(data)
    return path if form == "path" else _kept(path.open("rb"))


def piped(data: bytes) -> Any:
    """Return the reading end of a pipe into which a thread writes."""
    reading, writing = os.pipe()

    def write() -> None:
        try:
            with open(writing, "wb") as file:
                file.write(data)
        except BrokenPipeError:
            pass  # nobody wanted the rest

    threading.Thread(target=write, daemon=True).start()
    return _kept(open(reading, "rb"))


def _kept(file: Any) -> Any:
    OPENED.append(file)
    return file


def taken_from(form: str, work: Callable[..., Any], folder: Path) -> bytes:
    """Run ``work(out=...)`` with a path, a file or a memory file; return what appeared."""
    if form == "memory file":
        out = io.BytesIO()
        work(out=out)
        return out.getvalue()
    path = folder / "taken"
    if form == "path":
        work(out=path)
    else:
        with path.open("wb") as file:
            work(out=file)
    return path.read_bytes()
