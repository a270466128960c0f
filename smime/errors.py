"""Every exception raised on purpose. Catch ``SmimeError`` to catch them all.

SmimeError              1  the base; never raised itself
├─ MalformedMail        3  the bytes are not the structure they claim to be
│  └─ LimitExceeded     3  larger, deeper or more than the policy allows
├─ NotSupported         4  well formed, but an algorithm or feature we lack
├─ KeyProblem           5  missing, locked, expired or unfit key or certificate
├─ DecryptionFailed     6  no recipient matched, or the content did not open
└─ SignatureRejected    7  no acceptable signature; ``.report`` says why

``TypeError`` and ``ValueError`` mean a mistake in the calling program, and
``OSError`` passes through from the file system; neither is ever wrapped.

Floor:  errors (uses nothing)
"""

from __future__ import annotations

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from smime.report import Report

__all__ = [
    "DecryptionFailed",
    "KeyProblem",
    "LimitExceeded",
    "MalformedMail",
    "NotSupported",
    "SignatureRejected",
    "SmimeError",
]


class SmimeError(Exception):
    """Base of all. The message names the thing; ``hint`` names the next step."""

    exit_status = 1

    def __init__(self, message: str, *, hint: str = "") -> None:
        super().__init__(message)
        self.hint = hint


class MalformedMail(SmimeError):
    """The bytes are not the structure they claim to be."""

    exit_status = 3


class LimitExceeded(MalformedMail):
    """Larger, deeper or more than the policy allows."""


class NotSupported(SmimeError):
    """Well formed, but an algorithm or feature that is not built or not allowed."""

    exit_status = 4


class KeyProblem(SmimeError):
    """A key or certificate is missing, locked, expired or unfit for the use.

    ``missing`` lists the addresses for which no certificate was at hand.
    """

    exit_status = 5

    def __init__(self, message: str, *, hint: str = "", missing: tuple[str, ...] = ()) -> None:
        super().__init__(message, hint=hint)
        self.missing = missing


class DecryptionFailed(SmimeError):
    """The content could not be opened.

    That no recipient matched is visible to everybody and is said. Once a key
    matched there is one message whichever step failed: padding, key unwrap and
    tag are not told apart, so who can see errors learns nothing.
    """

    exit_status = 6


class SignatureRejected(SmimeError):
    """No acceptable signature. ``report`` holds every finding of every signature."""

    exit_status = 7

    def __init__(self, message: str, report: Report, *, hint: str = "") -> None:
        super().__init__(message, hint=hint)
        self.report = report

    def __reduce__(self) -> tuple[Any, ...]:
        # Exception's own __reduce__ would call __init__ with the message alone.
        return type(self), (self.args[0], self.report), {"hint": self.hint}
