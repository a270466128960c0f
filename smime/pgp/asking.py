"""pysequoia asked: whether it is there, what it takes, and its exceptions as one of ours.

Floor:  pgp (uses errors, inflating)
"""

from __future__ import annotations

import os
import tempfile
from contextlib import contextmanager

from smime.errors import KeyProblem, LimitExceeded, NotSupported
from smime.pgp.inflating import Allowance

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from datetime import datetime
    from typing import Any

__all__ = [
    "INSTALL",
    "Refused",
    "ask",
    "decrypted",
    "growing_to",
    "has_sequoia",
    "no_decryptor",
    "refuse_moment",
    "text_of",
]

_NO_SUBKEY = "No suitable decryption subkey"
INSTALL = "pip install 'smimetool[sequoia]'"


class Refused(Exception):
    """What Sequoia did not do, in its words; never shown to others."""


def has_sequoia() -> bool:
    """Whether pysequoia is installed."""
    from importlib.util import find_spec

    return find_spec("pysequoia") is not None


def ask(call: Callable[..., Any], *arguments: Any, **named: Any) -> Any:
    """Call pysequoia; raises ``Refused`` for whatever it raises."""
    try:
        return call(*arguments, **named)
    except BaseException as problem:
        # It raises RuntimeError, OSError and others, and for a panic in Rust something
        # that is no Exception at all.
        if not isinstance(problem, Exception) and type(problem).__name__ != "PanicException":
            raise
        raise Refused(str(problem).partition("\n")[0][:200]) from None


def decrypted(library: Any, data: bytes, **how: Any) -> tuple[bytes, list[Any]]:
    """Open a message; return the content and the signatures that are valid.

    Raises ``Refused``, and ``LimitExceeded`` for what grows beyond its limit. In memory the
    library has none, and a message of one KiB may grow to a GiB; so it writes into a file
    without a name, which the system stops growing. The library holds Python's lock in the
    meantime, so that no other thread meets the limit. Nothing is read before it succeeded.
    """
    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(data)
        source.flush()
        names = (f"/dev/fd/{one.fileno()}" for one in (source, target))
        with growing_to(Allowance(len(data)).limit, target.fileno()):
            found = ask(library.decrypt_file, *names, **how).valid_sigs
        target.seek(0)
        return target.read(), found


@contextmanager
def growing_to(allowed: int, target: int) -> Iterator[None]:
    """Let no file of this process grow beyond what is allowed; ``target`` is the one that may.

    What was ``Refused`` because of it is ``LimitExceeded``.
    """
    import resource

    soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
    limit = allowed if soft == resource.RLIM_INFINITY else min(soft, allowed)
    resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
    try:
        yield
    except Refused:
        if os.fstat(target).st_size >= limit:
            raise LimitExceeded(f"the OpenPGP message grows to more than {limit} octets") from None
        raise
    finally:
        resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))


def no_decryptor(why: str) -> Exception:
    if _NO_SUBKEY in why:
        return NotSupported("Sequoia's library opens nothing with keys that are expired")
    return KeyProblem(
        "the OpenPGP key is locked, and its passphrase is missing or wrong",
        hint="give it to the keyring: smime.PgpKeyring(data, passphrase=...)",
    )


def refuse_moment(at: datetime | None) -> None:
    if at is not None:
        raise NotSupported("Sequoia's library works as of now only")


def text_of(passphrase: bytes | None) -> str | None:
    if not passphrase:
        return None
    try:
        return passphrase.decode()
    except UnicodeDecodeError:
        raise NotSupported("a passphrase for Sequoia is text in UTF-8") from None
