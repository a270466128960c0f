"""Sequoia over octets in memory, or over more than memory should hold.

Its library reads and writes files. It signs and encrypts those as they go by. To
check or open one it takes all of it into memory, but not what comes from a pipe, of
which it holds 25 MiB and works on three copies; and as it holds Python's lock, nobody
here could write into that pipe. So that is done in a copy of this process, made by
fork, and for what is large in memory as well: nothing is sent to it but the data, and
its memory goes with it. Nothing secret is drawn at random there, which two copies might
draw alike.

Floor:  pgp (uses errors, asking, inflating, stored)
"""

from __future__ import annotations

import json
import os
import signal
import threading
import warnings
from contextlib import suppress

from smime.errors import LimitExceeded
from smime.pgp.asking import Refused, ask, decrypted, growing_to
from smime.pgp.inflating import Allowance
from smime.stored import Stored, size_of, unnamed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from typing import Any, BinaryIO

    from smime.source import Piece
    from smime.stored import Data, Pieces

__all__ = ["MAX_QUICK", "decrypt", "encrypt", "sign", "verify"]

# Octets in memory that are worked on in place, which takes some hundredths of a second.
MAX_QUICK = 4 << 20
_PIECE_OCTETS = 256 * 1024
TIME_LIMIT_SECONDS = 60.0  # and a second for each of as many octets:
LEAST_OCTETS_A_SECOND = 1 << 20
MAX_ANSWER = 1 << 20  # octets: fingerprints of some signatures


def sign(library: Any, signer: Any, data: Data) -> bytes:
    """Return a detached signature as packets. Raises ``Refused``."""
    mode = library.SignatureMode.DETACHED
    if isinstance(data, bytes):
        made: bytes = ask(library.sign, signer, data, mode=mode, armor=False)
        return made
    with _copied(data) as source, unnamed() as target:
        ask(library.sign_file, signer, _named(source), _named(target), mode=mode, armor=False)
        return target.read()


def encrypt(library: Any, data: Data, certs: list[Any], signer: Any) -> bytes | Stored:
    """Return a message as packets, from a file in a file. Raises ``Refused``."""
    if isinstance(data, bytes):
        made: bytes = ask(library.encrypt, data, certs, signer, armor=False)
        return made
    target = unnamed()
    try:
        with _copied(data) as source:
            named = _named(source), _named(target)
            ask(library.encrypt_file, *named, certs, signer, armor=False)
    except BaseException:
        target.close()
        raise
    return Stored.of(target)


def verify(library: Any, data: Data, cert: Any, signature: Any) -> list[tuple[str, str]]:
    """Return key and subkey of each valid signature. Raises ``Refused``."""

    def store(_: list[str]) -> list[Any]:
        return [cert]

    if isinstance(data, bytes) and len(data) <= MAX_QUICK:
        return _said(ask(library.verify, data, store, signature=signature).valid_sigs)

    def work(path: str) -> Any:
        return _said(ask(library.verify, file=path, store=store, signature=signature).valid_sigs)

    return [(key, subkey) for key, subkey in _apart(work, data)]


def decrypt(
    library: Any, data: Data, asked: list[str], **how: Any
) -> tuple[bytes | Stored, list[tuple[str, str]]]:
    """Open a message; return the content, from a file in a file, and who signed it well.

    That is key and subkey for each signature; ``asked`` gets the names that ``store`` in
    ``how`` was asked for. Raises ``Refused``, and ``LimitExceeded`` for what grows too far.
    """
    if isinstance(data, bytes) and len(data) <= MAX_QUICK:
        content, valid = decrypted(library, data, **how)
        return content, _said(valid)
    target = unnamed()

    def work(path: str) -> Any:
        with growing_to(Allowance(size_of(data)).limit, target.fileno()):
            found = ask(library.decrypt_file, path, _named(target), **how)
        return _said(found.valid_sigs)

    try:
        found = _apart(work, data, asked)
    except BaseException:
        target.close()
        raise
    stored = Stored.of(target)
    valid = [(key, subkey) for key, subkey in found]
    return stored[:] if isinstance(data, bytes) else stored, valid


def _said(valid: Any) -> list[tuple[str, str]]:
    return [(str(one.certificate), str(one.signing_key)) for one in valid]


def _named(file: BinaryIO) -> str:
    return f"/dev/fd/{file.fileno()}"


def _copied(data: Pieces) -> BinaryIO:
    """Return a file with the octets, which can be opened by a name once more."""
    file = unnamed()
    try:
        for piece in data.pieces():
            file.write(piece)
        file.flush()
    except BaseException:
        file.close()
        raise
    return file


def _pieces(data: Data) -> Iterator[Piece]:
    if not isinstance(data, bytes):
        return data.pieces()
    view = memoryview(data)
    return (view[at : at + _PIECE_OCTETS] for at in range(0, len(data), _PIECE_OCTETS))


def _apart(work: Callable[[str], Any], data: Data, asked: list[str] | None = None) -> Any:
    """Do work in a copy of this process, which is given the path of a pipe with the data.

    Raises ``Refused`` and ``LimitExceeded`` as the work does, ``LimitExceeded`` also where
    it does not end in time, and whatever reading the data raises; it has ended then.
    """
    asked = [] if asked is None else asked
    data_out, data_in = os.pipe()
    answer_out, answer_in = os.pipe()
    with warnings.catch_warnings():
        # Other threads are not there in the copy, which needs no lock that one may hold.
        warnings.simplefilter("ignore", DeprecationWarning)
        child = os.fork()
    if child == 0:
        _work(work, asked, data_out, data_in, answer_in)
    os.close(data_out)
    os.close(answer_in)
    limit = TIME_LIMIT_SECONDS + size_of(data) / LEAST_OCTETS_A_SECOND
    late = threading.Event()

    def end() -> None:
        late.set()
        os.kill(child, signal.SIGKILL)

    watch = threading.Timer(limit, end)
    watch.daemon = True
    watch.start()
    try:
        # What refuses before it has read all says why in its answer.
        with os.fdopen(answer_out, "rb") as answer:
            all_of_it = False
            with suppress(BrokenPipeError), os.fdopen(data_in, "wb", buffering=0) as pipe:
                for piece in _pieces(data):
                    _write_all(pipe, piece)
                all_of_it = True
            told = answer.read(MAX_ANSWER)
    except BaseException:
        os.kill(child, signal.SIGKILL)
        raise
    finally:
        watch.cancel()
        os.waitpid(child, 0)
    if late.is_set():
        raise LimitExceeded(f"Sequoia did not answer within {limit:g} seconds")
    try:
        kind, value, names = json.loads(told)
    except ValueError:
        raise Refused("Sequoia's library ended without an answer") from None
    asked.extend(names)
    if kind == "limit":
        raise LimitExceeded(value)
    if kind != "done":
        raise Refused(value)
    if not all_of_it:
        raise Refused("Sequoia's library did not read all of it")
    return value


def _work(
    work: Callable[[str], Any], asked: list[str], data_out: int, data_in: int, answer_in: int
) -> None:
    """Work, answer, and end; all of it in the copy, from which nothing returns."""
    try:
        os.close(data_in)
        try:
            answer = ["done", work(f"/dev/fd/{data_out}"), asked]
        except LimitExceeded as limit:
            answer = ["limit", str(limit), asked]
        except Refused as refused:
            answer = ["refused", str(refused), asked]
        os.write(answer_in, json.dumps(answer).encode())
    finally:
        os._exit(0)


def _write_all(pipe: Any, piece: Any) -> None:
    view = memoryview(piece)
    while view:
        view = view[pipe.write(view) :]
