"""pysequoia asked: whether it is there, and its exceptions as one of ours.

Floor:  pgp (uses errors, packets)
"""

from __future__ import annotations

import os
import tempfile

from smime.errors import LimitExceeded
from smime.pgp.packets import MAX_INFLATED

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["INSTALL", "Refused", "ask", "decrypted", "has_sequoia"]

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
    import resource

    with tempfile.TemporaryFile() as source, tempfile.TemporaryFile() as target:
        source.write(data)
        source.flush()
        soft, hard = resource.getrlimit(resource.RLIMIT_FSIZE)
        limit = MAX_INFLATED if soft == resource.RLIM_INFINITY else min(soft, MAX_INFLATED)
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, hard))
        try:
            names = (f"/dev/fd/{one.fileno()}" for one in (source, target))
            found = ask(library.decrypt_file, *names, **how).valid_sigs
        except Refused:
            if os.fstat(target.fileno()).st_size >= limit:
                raise LimitExceeded(
                    f"the OpenPGP message grows to more than {MAX_INFLATED} octets"
                ) from None
            raise
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, (soft, hard))
        target.seek(0)
        return target.read(), found
