"""Keys in and out of a home, by python-gnupg: listing names, importing, exporting.

It is used for nothing else: it reads gpg's answers and its messages from one
pipe, has no time limit, and takes an empty passphrase for the first line of the
data. So a watch stands beside each of its calls, and no passphrase is empty.

Floor:  pgp (uses errors, gnupg, packets)
"""

from __future__ import annotations

import logging
import threading
from contextlib import contextmanager
from typing import TYPE_CHECKING

from smime.errors import KeyProblem, LimitExceeded, NotSupported
from smime.pgp.gnupg import TIME_LIMIT_SECONDS
from smime.pgp.packets import dearmor_keys

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any

__all__ = ["Manager", "read_keys"]

MAX_KEY_OCTETS = 8 << 20  # one file of keys; a key with thousands of foreign signatures has one
_OPTIONS = (
    "--no-options", "--no-auto-check-trustdb", "--disable-dirmngr",
    "--pinentry-mode", "loopback", "--display-charset", "utf-8",
)  # fmt: skip


def read_keys(data: bytes) -> bytes:
    """Return the packets in a file of keys, armoured or not.

    Raises ``LimitExceeded`` for more octets than one has, ``MalformedMail`` for no keys.
    """
    if len(data) > MAX_KEY_OCTETS:
        raise LimitExceeded(f"a file of OpenPGP keys has at most {MAX_KEY_OCTETS} octets")
    return dearmor_keys(data)


class Manager:
    """python-gnupg over one home, kept in bounds."""

    def __init__(self, path: str, home: str | None) -> None:
        self._path = path
        self._home = home
        self._gpg: Any = None
        self._lock = threading.Lock()
        self._running: Any = None

    def import_keys(self, data: bytes) -> tuple[str, ...]:
        """Import keys as packets; return the fingerprints, lower case, without repeats.

        Only what a key says of itself comes in, no signatures of others. A
        revocation certificate changes a key and returns none. Raises ``KeyProblem``
        if gpg takes none.
        """
        with self._watched() as gpg:
            result = gpg.import_keys(
                data, extra_args=["--no-armor", "--import-options", "self-sigs-only"]
            )
        found = [str(one["fingerprint"]).lower() for one in result.results if "ok" in one]
        found = [one for one in found if one != "none"]
        if not found and not result.n_revoc:
            raise KeyProblem("gpg found no OpenPGP key that it could take")
        return tuple(dict.fromkeys(found))

    def names(self) -> dict[str, tuple[str, ...]]:
        """Return the user IDs of every key by fingerprint, lower case."""
        with self._watched() as gpg:
            listed = gpg.list_keys()
        return {str(one["fingerprint"]).lower(): tuple(one["uids"]) for one in listed}

    def export(
        self, fingerprints: Sequence[str], *, secret: bool = False, passphrase: bytes | None = None
    ) -> bytes:
        """Return keys as armour. Raises ``KeyProblem`` if one is not there, or is locked."""
        if not fingerprints:
            raise ValueError("no key was named to be exported")
        try:
            text = passphrase.decode() if passphrase else None
        except UnicodeDecodeError:  # whose text would show of it
            raise KeyProblem("a passphrase for an export is text in UTF-8") from None
        with self._watched() as gpg:
            exported = gpg.export_keys(
                [one.upper() for one in fingerprints],
                secret=secret,
                passphrase=text,
                expect_passphrase=False,
            )
        if not exported:
            what = "secret half of the key is not at hand, or is locked" if secret else "key is not"
            raise KeyProblem(f"nothing was exported: the {what} in this keyring")
        return str(exported).replace("\r\n", "\n").replace("\n", "\r\n").encode("ascii")

    @contextmanager
    def _watched(self) -> Iterator[Any]:
        """Give out python-gnupg, one call at a time, and end the gpg that it started in time."""
        with self._lock:
            late = threading.Event()

            def end() -> None:
                late.set()
                if self._running is not None:
                    self._running.kill()

            watch = threading.Timer(TIME_LIMIT_SECONDS, end)
            watch.daemon = True
            watch.start()
            try:
                if self._gpg is None:
                    self._gpg = self._made()
                yield self._gpg
            except (OSError, ValueError) as problem:
                if late.is_set():
                    raise _late() from problem
                raise KeyProblem(f"gpg could not be asked for its keys: {problem}") from problem
            finally:
                watch.cancel()
                self._running = None
            if late.is_set():
                raise _late()

    def _made(self) -> Any:
        try:
            import gnupg
        except ImportError as missing:
            raise NotSupported(
                "OpenPGP needs python-gnupg", hint="pip install python-gnupg"
            ) from missing
        # It writes the beginning of keys into its log, and that keys were not found.
        log = logging.getLogger("gnupg")
        if log.level == logging.NOTSET:
            log.setLevel(logging.CRITICAL)
        manager = self

        base: Any = gnupg.GPG

        class Watched(base):  # type: ignore[misc]  # it has no types
            """python-gnupg, which tells what it started."""

            def _open_subprocess(self, args: list[str], passphrase: bool = False) -> Any:
                manager._running = super()._open_subprocess(args, passphrase)
                return manager._running

        made = Watched(gpgbinary=self._path, gnupghome=self._home, options=list(_OPTIONS))
        made.encoding = "utf-8"
        return made


def _late() -> LimitExceeded:
    return LimitExceeded(
        f"gpg did not answer within {TIME_LIMIT_SECONDS:g} seconds",
        hint="another program may hold the keyring",
    )
