"""GnuPG as the engine: one short run of gpg per question, with a status pipe of its own.

The only program is gpg, with gpgconf, which ends its agents. Every run has a time
limit, asks nobody anything, and sees binary packets that were taken apart before
(``packets``); ``status`` alone says what came of it.

Floor:  pgp (uses errors, backend, packets, running, status, strict, stored)
Source: GnuPG's manual for the options
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import tempfile
from dataclasses import replace
from functools import cache
from itertools import islice

from smime.errors import DecryptionFailed, KeyProblem, LimitExceeded, NotSupported, SmimeError
from smime.pgp import status as said
from smime.pgp.backend import Decrypted, Encrypted, SignatureFacts, Signed
from smime.pgp.inflating import MAX_INFLATED
from smime.pgp.packets import AEAD, MAX_TRIALS, PROTECTED, enarmor, read_message
from smime.pgp.running import INSTALL, Run, communicate
from smime.pgp.strict import KNOWN_VERSIONS, is_strict, packet_version
from smime.stored import has_bare_cr, size_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator, Sequence
    from datetime import datetime

    from smime.pgp.backend import Opening
    from smime.pgp.packets import Sealed
    from smime.stored import Data

__all__ = ["INSTALL", "GnuPG", "Run", "agent_socket", "end_agents", "find_gpg", "version_of"]

TIME_LIMIT_SECONDS = 60.0  # 50 MiB take one; generating RSA-4096 on a slow machine, some ten
LEAST_OCTETS_A_SECOND = 1 << 20  # of large data: a fiftieth of what a slow machine does
MAX_PASSPHRASE = 255  # octets that gpg-agent takes
MAX_ANSWERS = 200  # of 255 octets: a pipe holds 65,536
LARGE = 1 << 20  # octets
MAX_RECIPIENTS = 10_000  # each is an argument of 42 octets; together they must fit a command line
LEAST_VERSION = (2, 2, 8)  # earlier ones could be made to write status lines (CVE-2018-12020)

_ARGUMENTS = (
    "--no-options", "--batch", "--no-tty", "--no-verbose", "--no-greeting",
    "--no-auto-key-retrieve", "--no-auto-key-locate", "--no-auto-check-trustdb",
    "--disable-dirmngr", "--pinentry-mode", "loopback", "--trust-model", "always",
    "--no-encrypt-to", "--max-output", str(MAX_INFLATED), "--exit-on-status-write-error",
    "--display-charset", "utf-8", "--enable-special-filenames", "-z", "0",
)  # fmt: skip
_FORMS = {
    "detached-text": ("--textmode", "--detach-sign"),
    "message": ("--sign",),
    "message-text": ("--textmode", "--sign"),
    "clear": ("--clear-sign",),
}
_VERSION = re.compile(r"gpg \(GnuPG[^)]*\) (\d+)\.(\d+)\.(\d+)")
_FINGERPRINT = re.compile(r"[0-9a-f]{40}|[0-9a-f]{64}")


def find_gpg() -> str:
    """Return the path of gpg. Raises ``NotSupported`` if it is not installed, or is too old."""
    if os.name != "posix":
        raise NotSupported("OpenPGP needs GnuPG with pipes of its own, which this system lacks")
    path = shutil.which("gpg") or shutil.which("gpg2")
    if path is None:
        raise NotSupported("OpenPGP needs GnuPG, and there is no gpg on this machine", hint=INSTALL)
    found = version_of(path)
    if found < LEAST_VERSION:
        text = ".".join(map(str, found))
        raise NotSupported(f"gpg {text} is too old to be relied on", hint=INSTALL)
    return path


@cache
def version_of(path: str) -> tuple[int, ...]:
    """Return the version of the gpg at this path; zeros if it is not gpg."""
    try:
        done = subprocess.run(  # noqa: S603  # gpg, as find_gpg found it
            [path, "--version"], capture_output=True, timeout=TIME_LIMIT_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired) as problem:
        raise NotSupported(f"gpg cannot be run: {problem}", hint=INSTALL) from problem
    match = _VERSION.match(done.stdout.decode("utf-8", "replace"))
    return tuple(map(int, match.groups())) if match else (0, 0, 0)


def end_agents(home: str) -> None:
    """End what gpg started for this home. Never raises: it is what is done last."""
    _ask_gpgconf(home, "--kill", "all")


def agent_socket(home: str) -> str:
    """Return where gpg looks for the agent of this home; empty if it does not say."""
    return os.fsdecode(_ask_gpgconf(home, "--list-dirs", "agent-socket")).strip()


def _ask_gpgconf(home: str, *words: str) -> bytes:
    gpgconf = shutil.which("gpgconf")
    if gpgconf is None:
        return b""
    try:
        return subprocess.run(  # noqa: S603  # as above, and a home that we made or use
            [gpgconf, "--homedir", home, *words],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=TIME_LIMIT_SECONDS,
            check=False,
        ).stdout
    except (OSError, subprocess.TimeoutExpired):
        return b""


class GnuPG:
    """The engine over one home; ``home=None`` is the user's own."""

    name = "gnupg"

    def __init__(self, path: str, home: str | None) -> None:
        self.path = path
        self.home = home

    # --- running ------------------------------------------------------------

    def run(
        self,
        *arguments: str,
        data: Data = b"",
        beside: bytes | None = None,
        passphrase: bytes | None = None,
        answers: Sequence[bytes] = (),
        session_key: bytes | None = None,
        at: datetime | None = None,
        limit_seconds: float | None = None,
    ) -> Run:
        """Run gpg once; ``{beside}`` in an argument stands for a file with those octets.

        Data that is no bytes is given to it piece by piece, with time for its size, and
        what it writes then goes into a file. ``answers`` are lines that it reads when it
        asks something, secret ones among them.

        Raises ``LimitExceeded`` when it does not end in time, ``KeyProblem`` for
        a passphrase that cannot be one, ``NotSupported`` if gpg cannot be run.
        """
        ours: list[int] = []  # ends to be closed whatever happens
        theirs: list[int] = []
        try:
            status_read, status_write = os.pipe()
            ours.append(status_read)
            theirs.append(status_write)
            command = [self.path, *_ARGUMENTS, "--status-fd", str(status_write)]
            if self.home is not None:
                command += ["--homedir", self.home]
            if at is not None:
                command += ["--faked-system-time", f"{int(at.timestamp())}!"]
            if passphrase:  # an empty one would take the first line of the data instead
                theirs.append(_secret_pipe([passphrase]))
                command += ["--passphrase-fd", str(theirs[-1])]
            if session_key is not None:
                theirs.append(_secret_pipe([session_key]))
                command += ["--override-session-key-fd", str(theirs[-1])]
            if answers:
                theirs.append(_secret_pipe(answers))
                command += ["--no-batch", "--command-fd", str(theirs[-1])]
            if beside is not None:
                theirs.append(_unnamed_file(beside))
            named = f"-&{theirs[-1]}"
            command += [one.replace("{beside}", named) for one in arguments]
            if limit_seconds is None:
                limit_seconds = TIME_LIMIT_SECONDS + size_of(data) / LEAST_OCTETS_A_SECOND
            return communicate(command, data, self.home, ours, theirs, limit_seconds)
        finally:
            for one in (*ours, *theirs):
                os.close(one)

    # --- what a backend does --------------------------------------------------

    def sign(
        self,
        data: Data,
        key: str,
        *,
        passphrase: bytes | None = None,
        digest: str = "",
        at: datetime | None = None,
    ) -> Signed:
        """See ``Backend.sign``."""
        run = self.run(
            *_digest(digest),
            *("--armor", "--local-user", _whole(key), "--detach-sign", "--output", "-"),
            data=data,
            passphrase=passphrase,
            at=at,
        )
        used, by = said.signed(run.status, run.exit_status)
        return Signed(_crlf(run.output), used, by)

    def sign_otherwise(
        self, data: bytes, key: str, form: str, *, passphrase: bytes | None = None
    ) -> tuple[bytes, str]:
        """Sign in a form that mail does not have; return armour and the digest.

        ``form`` is ``detached-text`` (line ends do not count), ``message`` and
        ``message-text`` (the content inside) or ``clear`` (text that stays readable).
        """
        run = self.run(
            *("--armor", "--local-user", _whole(key), *_FORMS[form], "--output", "-"),
            data=data,
            passphrase=passphrase,
        )
        return run.output, said.signed(run.status, run.exit_status)[0]

    def seal(
        self,
        data: bytes,
        to: Sequence[str] = (),
        *,
        sign_with: Sequence[str] = (),
        passphrase: Sequence[bytes] = (),
    ) -> bytes:
        """Encrypt for keys and who knows a passphrase, signed by several; armoured.

        ``passphrase`` is one or none, and the keys that sign are not locked: gpg takes
        one for a call.
        """
        more = [word for one in to for word in ("--recipient", _whole(one))]
        more += ["--encrypt"] if to else []
        more += [word for one in sign_with for word in ("--local-user", _whole(one))]
        more += ["--sign"] if sign_with else []
        more += ["--symmetric"] if passphrase else []
        run = self.run(
            *("--armor", "--cipher-algo", "AES256", *more, "--output", "-"),
            data=data,
            passphrase=passphrase[0] if passphrase else None,
        )
        said.sealed(run.status, run.exit_status)
        if run.status.count("SIG_CREATED") != len(sign_with):
            raise KeyProblem("gpg did not sign with all of the OpenPGP keys")
        return run.output

    def decrypt_with_session_key(self, sealed: Sealed, session_key: str) -> Decrypted:
        """Open a message with its session key: ``9:`` and digits. Raises as ``decrypt``."""
        if sealed.container_tag == PROTECTED and sealed.container_version != 1:
            raise NotSupported("GnuPG does not open encrypted content of version 2 (RFC 9580)")
        run = self.run(
            *("--no-armor", "--unwrap", "--decrypt", "--output", "-"),
            data=sealed.container,
            session_key=session_key.encode("ascii"),
        )
        _, cipher = said.opened(run.status, run.exit_status, aead=sealed.container_tag == AEAD)
        message = read_message(run.output if run.stored is None else run.stored)
        return Decrypted(message.content, "", cipher, message.signatures, stored=message.stored)

    def session_key(
        self, sealed: Sealed, keys: Sequence[Opening], *, passphrase: bytes | None = None
    ) -> str:
        """Return the session key of what opens with these. Raises ``DecryptionFailed``."""
        for data, key, secret in _attempts(sealed, keys, passphrase):
            trying = ("--try-secret-key", _whole(key)) if key else ()
            run = self.run(
                *(*trying, "--no-armor", "--show-session-key", "--unwrap", "--decrypt"),
                *("--output", "-"),
                data=data,
                passphrase=secret() if callable(secret) else secret,
            )
            found = run.status.all("SESSION_KEY")
            if run.exit_status == 0 and len(found) == 1:
                return found[0].strip()
        raise DecryptionFailed(said.FAILED)

    def check(
        self, data: Data, signatures: Sequence[bytes], *, at: datetime | None = None
    ) -> tuple[SignatureFacts, ...]:
        """See ``Backend.check``. Each signature is a run: no other one can disturb it."""
        return tuple(self._check(data, one, at) for one in signatures)

    def _check(self, data: Data, signature: bytes, at: datetime | None) -> SignatureFacts:
        if (version := packet_version(signature)) not in KNOWN_VERSIONS:
            text = f"the signature is of version {version}, which is not known"
            return SignatureFacts("unsupported", reason=text)
        run = self.run(
            "--no-armor", "--verify", "--", "{beside}", "-", data=data, beside=signature, at=at
        )
        facts = said.checked(run.status, run.exit_status)
        loose = facts.text and has_bare_cr(data)
        return replace(facts, loose=loose or not is_strict(signature))

    def encrypt(
        self,
        data: Data,
        to: Sequence[str],
        *,
        hidden: Sequence[str] = (),
        sign_with: str = "",
        passphrase: bytes | None = None,
        cipher: str = "aes-256",
        digest: str = "",
        at: datetime | None = None,
    ) -> Encrypted:
        """See ``Backend.encrypt``."""
        if len(to) + len(hidden) > MAX_RECIPIENTS:
            raise LimitExceeded(f"one message is sealed for at most {MAX_RECIPIENTS} OpenPGP keys")
        # gpg's own armour has a checksum, which old readers want, and takes its time.
        plain = not isinstance(data, bytes) or len(data) > LARGE
        arguments = [
            "--no-armor" if plain else "--armor",
            "--cipher-algo",
            cipher.upper().replace("-", ""),
        ]
        if cipher == "aes-128":
            arguments[-1] = "AES"
        for one in to:
            arguments += ["--recipient", _whole(one)]
        for one in hidden:
            arguments += ["--hidden-recipient", _whole(one)]
        if sign_with:
            arguments += [*_digest(digest), "--local-user", _whole(sign_with), "--sign"]
        run = self.run(
            *arguments, "--encrypt", "--output", "-", data=data, passphrase=passphrase, at=at
        )
        used = said.sealed(run.status, run.exit_status)
        signed = said.signed(run.status, run.exit_status)[0] if sign_with else ""
        if run.stored is not None:
            return Encrypted(b"", used, signed, stored=run.stored)
        armour = enarmor(run.output, "MESSAGE", b"\r\n") if plain else _crlf(run.output)
        return Encrypted(armour, used, signed)

    def decrypt(
        self,
        sealed: Sealed,
        keys: Sequence[Opening],
        *,
        passphrase: bytes | None = None,
        at: datetime | None = None,
    ) -> Decrypted:
        """See ``Backend.decrypt``.

        One session key and one key to a run: gpg counts every key that did not fit
        as a fault. It only takes the encryption off.
        """
        if sealed.container_tag == PROTECTED and sealed.container_version != 1:
            raise NotSupported("GnuPG does not open encrypted content of version 2 (RFC 9580)")
        failed: SmimeError | None = None
        for data, key, secret in islice(_attempts(sealed, keys, passphrase), MAX_TRIALS):
            trying = ("--try-secret-key", _whole(key)) if key else ()
            run = self.run(
                *(*trying, "--no-armor", "--unwrap", "--decrypt", "--output", "-"),
                data=data,
                passphrase=secret() if callable(secret) else secret,
                at=at,
            )
            try:
                opened_by, cipher = said.opened(
                    run.status, run.exit_status, aead=sealed.container_tag == AEAD
                )
                if opened_by != key:
                    raise DecryptionFailed(said.FAILED)
            except DecryptionFailed as problem:
                failed = failed or problem
                continue
            except KeyProblem as problem:
                # Without a key it was a wrong passphrase of the message itself.
                failed = problem if key else DecryptionFailed(said.FAILED)
                continue
            message = read_message(run.output if run.stored is None else run.stored)
            return Decrypted(
                message.content, opened_by, cipher, message.signatures, stored=message.stored
            )
        if failed is None or (isinstance(failed, DecryptionFailed) and not _named(sealed, keys)):
            failed = DecryptionFailed(
                "the mail is sealed for other OpenPGP keys than those given",
                hint=f"it is sealed for {', '.join(sealed.recipients[:8]) or 'a passphrase'}",
            )
        raise failed


def _attempts(
    sealed: Sealed, keys: Sequence[Opening], passphrase: bytes | None
) -> Iterator[tuple[Data, str, bytes | Callable[[], bytes | None] | None]]:
    """Yield what to try: message, fingerprint, and what opens it; keys that are named first."""
    for key in sorted(keys, key=lambda one: not sealed.is_for(one.key_ids)):
        for data in sealed.attempts(key.key_ids):
            yield data, key.fingerprint, key.passphrase
    for data in sealed.by_passphrase() if passphrase else ():
        yield data, "", passphrase


def _named(sealed: Sealed, keys: Sequence[Opening]) -> bool:
    return sealed.passphrases > 0 or any(sealed.is_for(one.key_ids) for one in keys)


def _digest(name: str) -> tuple[str, ...]:
    return ("--digest-algo", name.upper()) if name else ()


def _whole(fingerprint: str) -> str:
    """Return a fingerprint as an argument; never part of one, and no other way to name a key."""
    if not _FINGERPRINT.fullmatch(fingerprint):
        raise ValueError("a key is named by its whole fingerprint: 40 or 64 hexadecimal digits")
    return fingerprint.upper()


def _crlf(text: bytes) -> bytes:
    """Return armour with CRLF; gpg ends all of its lines alike."""
    return text if b"\r" in text else text.replace(b"\n", b"\r\n")


def _secret_pipe(lines: Sequence[bytes]) -> int:
    """Return a pipe's end from which gpg reads secrets: never argv or environment."""
    if any(len(one) > MAX_PASSPHRASE or b"\n" in one or b"\0" in one for one in lines):
        raise KeyProblem(f"a passphrase for gpg is one line of at most {MAX_PASSPHRASE} octets")
    read_end, write_end = os.pipe()
    # Far less than a pipe holds, so it does not block.
    os.write(write_end, b"".join(one + b"\n" for one in lines[:MAX_ANSWERS]))
    os.close(write_end)
    return read_end


def _unnamed_file(data: bytes) -> int:
    with tempfile.TemporaryFile() as file:
        file.write(data)
        file.seek(0)
        return os.dup(file.fileno())
