"""pysequoia asked: whether it is there, and its exceptions as one of ours.

Floor:  pgp (uses nothing)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

__all__ = ["INSTALL", "Refused", "ask", "has_sequoia"]

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
