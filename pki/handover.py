"""Files with a new key, beside where they shall be until its certificate is recorded.

Who is killed after that has made a key that nobody can make again, and before it one that
nobody has a use for. A note in the CA's folder says where the files are: the next command
gives them their names, or takes them away, as the ledger says.

Floor:  handover (uses ledger and files)
"""

from __future__ import annotations

import contextlib
import errno
import json
import os
import time
from typing import TYPE_CHECKING

from pki.files import unlink_all, write_new

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import BinaryIO, Self

    from pki.ledger import Ledger

__all__ = ["HandOver", "unfinished"]

NOTES = ".handing-over"
MAX_NOTE_OCTETS = 1_048_576
ALIVE_SECONDS = 3_600  # without locks: longer than any command takes between note and commit


class HandOver:
    """New files, staged: ``publish`` gives them their names, ``settle`` does what is right."""

    __slots__ = ("_held", "_note", "paths", "serials")

    def __init__(
        self,
        note: str,
        held: BinaryIO | None,
        paths: Sequence[tuple[str, str]],
        serials: Sequence[int],
    ) -> None:
        self._note, self._held = note, held
        self.paths = tuple(paths)
        """Each path with the one where the file is until then."""
        self.serials = tuple(serials)

    @classmethod
    def stage(
        cls,
        files: Sequence[tuple[str, bytes, int]],
        folder: str = "",
        serials: Sequence[int] = (),
    ) -> Self:
        """Write files, each with its mode, beside their paths; or none, and raise ``OSError``.

        ``serials`` are those of the certificates that will be recorded, in one commit, and
        ``folder`` that of the CA, for the note. Without it there is none: what is written
        can be made again.
        """
        mark = os.urandom(4).hex()
        paths = [(path, _beside(path, mark)) for path, _, _ in files]
        note, held = "", None
        if folder:
            place = os.path.join(folder, NOTES)
            try:
                os.makedirs(place, mode=0o700, exist_ok=True)
                wanted = os.path.join(place, f"{mark}.json")
                held = _write_note(wanted, paths, serials)
                note = wanted
            except OSError as error:
                # A folder to read alone, its ledger in a server: then there is no note.
                if error.errno not in (errno.EACCES, errno.EPERM, errno.EROFS):
                    raise
        made = cls(note, held, paths, serials)
        try:
            for (_, beside), (_, data, mode) in zip(paths, files, strict=True):
                write_new(beside, data, mode=mode)
        except BaseException:
            made.drop()
            raise
        return made

    def publish(self) -> None:
        """Give the files their names. Raises ``OSError``; then the next command tries again."""
        with self._let_go():
            for path, beside in self.paths:
                if not os.path.lexists(beside):
                    continue  # it has its name already
                if os.path.lexists(path):
                    said = f"exists already; the new file is {beside}"
                    raise FileExistsError(errno.EEXIST, said, path)
                os.rename(beside, path)
            self._end()

    def drop(self) -> None:
        """Take the files away."""
        with self._let_go():
            unlink_all(beside for _, beside in self.paths)
            self._end()

    def settle(self, ledger: Ledger) -> bool:
        """Do the one if the certificates are recorded, else the other; say whether they are.

        Raises ``OSError``, ``LedgerProblem``; then the next command tries again.
        """
        with self._let_go():
            for _, beside in self.paths:
                if not os.path.isdir(os.path.dirname(beside)):  # not mounted at the moment?
                    raise FileNotFoundError(errno.ENOENT, "the folder of a new key is gone", beside)
            recorded = all(ledger.find(serial=serial) for serial in self.serials)
        if recorded:
            self.publish()
        else:
            self.drop()
        return recorded

    def _end(self) -> None:
        if self._held is not None and os.name != "posix":
            self._held.close()  # there no open file is removed
        if self._note:
            unlink_all([self._note])
        if self._held is not None:
            self._held.close()

    @contextlib.contextmanager
    def _let_go(self) -> Iterator[None]:
        """Leave the note to the next command if this one fails."""
        try:
            yield
        except BaseException:
            if self._held is not None:
                self._held.close()
            raise


def unfinished(folder: str) -> Iterator[HandOver]:
    """Give what commands before were killed on; not what others are about to do."""
    place = os.path.join(folder, NOTES)
    try:
        names = sorted(os.listdir(place))
    except OSError:
        return  # there are none, or they are not this user's
    for name in names:
        note = os.path.join(place, name)
        with contextlib.ExitStack() as clean:
            try:
                held: BinaryIO = clean.enter_context(open(note, "rb"))
            except OSError:
                continue  # it was finished meanwhile
            if not _locked(held):
                continue  # its command is at work
            if not os.path.exists(note):
                continue
            if not name.endswith(".json"):
                unlink_all([note])  # killed before anything was made
                continue
            try:
                said = json.loads(held.read(MAX_NOTE_OCTETS))
                paths = [(str(path), str(beside)) for path, beside in said["files"]]
                serials = [int(serial, 16) for serial in said["serials"]]
            except (ValueError, KeyError, TypeError):
                continue  # not one of ours
            clean.pop_all()
            yield HandOver(note, held, paths, serials)


def _write_note(
    note: str, paths: Sequence[tuple[str, str]], serials: Sequence[int]
) -> BinaryIO | None:
    """Write a note and give it open and locked: so others see that its command is alive."""
    said = {"files": paths, "serials": [f"{serial:x}" for serial in serials]}
    data = json.dumps(said).encode()
    if os.name != "posix":  # no lock, and no open file has its name changed
        write_new(note, data, mode=0o600)
        return None
    new = note.removesuffix(".json")
    descriptor = os.open(new, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
    held = os.fdopen(descriptor, "r+b")
    try:
        _locked(held)
        held.write(data)
        held.flush()
        os.fsync(held.fileno())
        os.rename(new, note)  # it has its name when it is whole, and locked
    except BaseException:
        held.close()
        unlink_all([new, note])
        raise
    return held


def _locked(file: BinaryIO) -> bool:
    """Take the lock of a note, which ends with the process; False if another has it."""
    try:
        import fcntl
    except ModuleNotFoundError:
        return time.time() - os.fstat(file.fileno()).st_mtime > ALIVE_SECONDS
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True


def _beside(path: str, mark: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{mark}")
