"""One run of gpg: given its input, ended in time, and what it said and wrote.

Floor:  pgp (uses errors, status, stored)
"""

from __future__ import annotations

import os
import subprocess
import threading
from contextlib import suppress

from smime.errors import LimitExceeded, NotSupported
from smime.pgp import status as said
from smime.stored import Stored, unnamed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from smime.source import Piece
    from smime.stored import Data

__all__ = ["INSTALL", "Run", "communicate"]

NOT_ALL = 2  # the exit status of a run that says that all is well and did not see all
INSTALL = "install GnuPG: apt install gnupg, brew install gnupg, or https://gnupg.org/download"


class Run:
    """What came of one run of gpg."""

    __slots__ = ("_output", "exit_status", "messages", "status", "stored")

    def __init__(
        self, exit_status: int, output: bytes | Stored, status: said.Status, messages: str
    ) -> None:
        self.exit_status = exit_status
        self._output = output
        self.stored = None if isinstance(output, bytes) else output
        """What it wrote, where its data came in pieces."""
        self.status = status
        self.messages = messages
        """For a log only: what gpg says to people decides nothing."""

    @property
    def output(self) -> bytes:
        """What it wrote."""
        kept = self._output
        return kept if isinstance(kept, bytes) else kept[:]


def communicate(
    command: list[str],
    data: Data,
    home: str | None,
    ours: list[int],
    theirs: list[int],
    limit: float,
) -> Run:
    """Run gpg; of the pipes, which are closed here, the first of ``ours`` has its status.

    Raises ``LimitExceeded`` when it does not end in time, ``NotSupported`` if it cannot
    be run, and whatever reading the data raises; it has ended then.
    """
    target = None if isinstance(data, bytes) else unnamed()
    try:
        try:
            process = subprocess.Popen(  # noqa: S603  # options of ours, and whole fingerprints
                command,
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE if target is None else target,
                stderr=subprocess.PIPE if target is None else subprocess.DEVNULL,
                pass_fds=theirs,
                env=_environment(home),
            )
        except OSError as problem:
            raise NotSupported(f"gpg cannot be run: {problem}", hint=INSTALL) from problem
        while theirs:
            os.close(theirs.pop())
        lines: list[bytes] = []
        reader = threading.Thread(target=_read_all, args=(ours.pop(), lines), daemon=True)
        reader.start()
        messages, all_of_it = b"", True
        try:
            if isinstance(data, bytes):
                output, messages = process.communicate(data, timeout=limit)
            else:
                all_of_it = _feed(process, data.pieces(), limit)
        except subprocess.TimeoutExpired as late:
            _end(process)
            raise LimitExceeded(
                f"gpg did not answer within {limit:g} seconds",
                hint="another program may hold the keyring, or the key waits for somebody",
            ) from late
        except BaseException:
            _end(process)
            raise
        # An agent that gpg started holds none of these pipes: the end of gpg is their end.
        reader.join(limit)
        result = output if target is None else Stored.of(target)
    except BaseException:
        if target is not None:
            target.close()
        raise
    return Run(
        process.returncode if all_of_it else process.returncode or NOT_ALL,
        result,
        said.read(b"".join(lines)),
        messages.decode("utf-8", "replace"),
    )


def _feed(process: subprocess.Popen[bytes], pieces: Iterator[Piece], limit: float) -> bool:
    """Give a program its input; False if it ended before it took all of it.

    Raises ``TimeoutExpired`` if it does not end in time.
    """
    late = threading.Event()

    def end() -> None:
        late.set()
        process.kill()

    watch = threading.Timer(limit, end)
    watch.daemon = True
    watch.start()
    stdin = process.stdin
    assert stdin is not None
    all_of_it = False
    try:
        with suppress(BrokenPipeError):
            for piece in pieces:
                stdin.write(piece)
            stdin.flush()
            all_of_it = True
        with suppress(BrokenPipeError):
            stdin.close()
        process.wait()
    finally:
        watch.cancel()
    if late.is_set():
        raise subprocess.TimeoutExpired(process.args, limit)
    return all_of_it


def _end(process: subprocess.Popen[bytes]) -> None:
    process.kill()
    for end in (process.stdin, process.stdout, process.stderr):
        if end is not None:
            with suppress(BrokenPipeError):
                end.close()
    process.wait()


def _read_all(end: int, lines: list[bytes]) -> None:
    """Read a pipe to its end, and keep no more than a status may have."""
    kept = 0
    with os.fdopen(end, "rb") as file:
        while piece := file.read1(65536):
            if kept <= said.MAX_STATUS:
                lines.append(piece)
            kept += len(piece)


def _environment(home: str | None) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in ("LANGUAGE", "LANG")}
    if home is not None:
        kept.pop("GNUPGHOME", None)
    return {**kept, "LC_ALL": "C"}
