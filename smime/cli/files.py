"""What commands read, write and say: binary streams, whole files, escaped lines.

Standard streams are binary, so no line end is changed on any system. An output
that is a regular or new file is written beside and renamed; anything else (a
device, a FIFO) is written through at the end.

Floor:  cli
"""

from __future__ import annotations

import errno
import os
import stat
import sys

from smime.errors import LimitExceeded
from smime.source import read_at_most

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from pathlib import Path
    from typing import BinaryIO, TextIO

    import smime

__all__ = ["STANDARD", "Files", "say_to", "shut_up"]

STANDARD = "-"
"""The name that stands for standard input and standard output."""

MAX_INPUT_OCTETS = 1 << 30  # read whole, several times its size in memory; no mail is larger
_LARGE = 1 << 20


class Files:
    """The files and streams of one call.

    ``subject`` is the name of the mail once it was read: what went wrong
    after that is about it.
    """

    def __init__(self) -> None:
        self.subject = ""

    def read(self, name: str) -> bytes:
        """Return the whole input; ``-`` is standard input.

        Raises ``OSError``, ``LimitExceeded``, and ``UsageError`` where a
        person would wait at a terminal for nothing.
        """
        if name != STANDARD:
            with open(name, "rb") as file:
                data = _read_whole(file, name)
            self.subject = name
            return data
        stream = _standard_input()
        try:
            data = _read_whole(stream, "standard input")
        except OSError as problem:
            problem.filename = "standard input"
            raise
        self.subject = "standard input"
        return data

    def mail(self, name: str) -> bytes | Path | BinaryIO:
        """Return the input for a verb that takes a large one piece by piece.

        Raises what ``read`` raises.
        """
        if name == STANDARD:
            stream = _standard_input()
            self.subject = "standard input"
            return stream
        if not _is_large(name):
            return self.read(name)
        from pathlib import Path

        self.subject = name
        return Path(name)

    def write(
        self,
        name: str,
        data: bytes | Iterable[bytes],
        *,
        private: bool,
        then: Callable[[], object] | None = None,
    ) -> None:
        """Write the whole output, perhaps in pieces; ``-`` is standard output.

        ``private`` makes a new file readable by its owner alone. ``then`` is
        called when all is written and before the file gets its name, so that
        what fails there leaves no file behind. Raises ``OSError``.
        """
        pieces = (data,) if isinstance(data, bytes) else data
        if name == STANDARD:
            if sys.stdout is None or sys.stdout.isatty():
                pieces = (b"".join(pieces),)  # what is escaped is escaped whole
            for piece in pieces:
                _write_stream(sys.stdout, piece, "standard output")
            if then:
                then()
            return
        try:
            if _is_file_to_be(name):
                from smime.mail import write_beside

                write_beside(name, _and_then(pieces, then), private=private)
                return
            with open(name, "wb", buffering=0) as file:
                if file.isatty():
                    pieces = (_for_terminal(b"".join(pieces)),)
                for piece in pieces:
                    _write_all(file.write, piece)
        except OSError as problem:
            if problem.filename != "standard output":
                problem.filename, problem.filename2 = name, None
            raise
        if then:
            then()

    def send(
        self, source: str, name: str, verb: Callable[..., smime.Mail], **how: object
    ) -> smime.Mail:
        """Read a mail, let ``verb`` protect it, write what it made, and return that.

        A file that is large goes through in pieces. Raises what both raise.
        """
        if not _is_large(source):
            made = verb(self.read(source), **how)
            self.write(name, bytes(made), private=False)
            return made
        from pathlib import Path

        from smime.release import to

        self.subject = source
        if name != STANDARD:
            # The verb gives out nothing before all is well, so this may be written to at once.
            try:
                _is_file_to_be(name)
                with to(Path(name), private=False, wait=False) as release:
                    made = verb(Path(source), out=release, **how)
                    release.publish()
            except OSError as problem:
                if problem.filename != source:
                    problem.filename, problem.filename2 = name, None
                raise
            return made
        if sys.stdout is None or sys.stdout.isatty():
            made = verb(self.read(source), **how)
            self.write(name, bytes(made), private=False)
            return made
        sys.stdout.flush()
        return verb(Path(source), out=_Named(sys.stdout), **how)

    def say(self, text: str) -> None:
        """Say lines on standard output."""
        if sys.stdout is None:
            raise OSError(errno.EBADF, "it is closed", "standard output")
        say_to(sys.stdout, text)

    def tell(self, text: str) -> None:
        """Say lines on standard error; that nobody listens there stops nothing."""
        try:
            say_to(sys.stderr, text)
        except OSError:
            shut_up(sys.stderr)


class _Named:
    """Standard output as a binary file, whose errors say what it is."""

    def __init__(self, stream: TextIO) -> None:
        self._stream = stream

    def write(self, data: bytes) -> int:
        _write_stream(self._stream, data, "standard output", escape=False)
        return len(data)


def _is_large(name: str) -> bool:
    """Whether the input is a regular file that need not be read whole."""
    try:
        status = os.stat(name)
    except OSError:
        return False  # reading it will tell what is wrong
    return name != STANDARD and stat.S_ISREG(status.st_mode) and status.st_size > _LARGE


def say_to(stream: TextIO | None, text: str) -> None:
    """Write lines, each escaped, in whatever encoding the stream has."""
    if stream is None:
        return
    lines = "".join(_printable(line) + os.linesep for line in text.split("\n"))
    encoding = stream.encoding or "ascii"
    name = "standard error" if stream is sys.stderr else "standard output"
    _write_stream(stream, lines.encode(encoding, "backslashreplace"), name, escape=False)


def shut_up(stream: TextIO | None) -> None:
    """Let what is left in a broken stream go nowhere, for Python writes it once more at its end."""
    try:
        nowhere = os.open(os.devnull, os.O_WRONLY)
        try:
            os.dup2(nowhere, stream.fileno() if stream else nowhere)
        finally:
            os.close(nowhere)
    except (OSError, ValueError):
        pass  # a stream that is no file of the system keeps nothing back


def _read_whole(file: BinaryIO, name: str) -> bytes:
    data = read_at_most(file, MAX_INPUT_OCTETS + 1)
    if len(data) > MAX_INPUT_OCTETS:
        raise LimitExceeded(f"{name}: larger than {MAX_INPUT_OCTETS} octets")
    return data


def _standard_input() -> BinaryIO:
    if sys.stdin is None:
        raise OSError(errno.EBADF, "it is closed", "standard input")
    if sys.stdin.isatty():
        from smime.cli.failures import UsageError

        raise UsageError(
            "no mail was given, and standard input is a terminal",
            hint="name the file that holds the mail, or `< FILE`",
        )
    return sys.stdin.buffer


def _and_then(pieces: Iterable[bytes], then: Callable[[], object] | None) -> Iterator[bytes]:
    yield from pieces
    if then:
        then()


def _is_file_to_be(name: str) -> bool:
    """Whether the output is a regular file, or will be a new one."""
    try:
        mode = os.stat(name).st_mode
    except FileNotFoundError:
        mode = stat.S_IFDIR if name.endswith(("/", os.sep)) else stat.S_IFREG
    if stat.S_ISDIR(mode):
        raise IsADirectoryError(errno.EISDIR, "it is a folder; name a file in it", name)
    return stat.S_ISREG(mode)


def _write_stream(stream: TextIO | None, data: bytes, name: str, *, escape: bool = True) -> None:
    if stream is None:
        raise OSError(errno.EBADF, "it is closed", name)
    try:
        if escape and stream.isatty():
            data = _for_terminal(data)
        stream.flush()
        _write_all(stream.buffer.write, data)
        stream.buffer.flush()
    except OSError as problem:
        problem.filename, problem.filename2 = name, None
        shut_up(stream)
        raise


def _write_all(write: Callable[[bytes], int | None], data: bytes) -> None:
    """Write all octets; an unbuffered file may take them in several turns."""
    view = memoryview(data)
    while view:
        view = view[write(view) or 0 :]  # type: ignore[arg-type]


def _printable(line: str) -> str:
    if line.isprintable():
        return line
    from smime.report import printable  # late, for its import costs more than all of `sign` does

    return printable(line)


def _for_terminal(data: bytes) -> bytes:
    """Return a mail as a terminal may see it: nothing in it steers the terminal."""
    lines = data.decode("utf-8", "backslashreplace").replace("\r\n", "\n").split("\n")
    shown = ("\t".join(_printable(cell) for cell in line.split("\t")) for line in lines)
    return "\n".join(shown).encode()
