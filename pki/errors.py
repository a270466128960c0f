"""Every exception the CA raises on purpose, below ``smime.SmimeError``.

PkiError               20  the base; never raised itself
├─ AuthorityExists     21  there is a CA in that folder already
├─ NoAuthority         22  there is none, or its files do not belong together
├─ RequestRefused      23  this CA does not certify that name, key or time
├─ WrongPassphrase     24  a key of the CA did not open
├─ ProfileProblem      25  a profile is unknown or says something impossible
├─ Unattended          26  a question is open and there is no terminal to ask on
├─ LedgerProblem       27  the records cannot be read or written: locked, full, newer
├─ AuditFailed         28  the records are not what they were; ``.audit`` says where
└─ DirectoryProblem    29  a directory cannot be reached, or takes nothing from us

Floor:  errors (uses smime.SmimeError)
"""

from __future__ import annotations

from smime import SmimeError

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from pki.audit import Audit

__all__ = [
    "AuditFailed",
    "AuthorityExists",
    "DirectoryProblem",
    "LedgerProblem",
    "NoAuthority",
    "PkiError",
    "ProfileProblem",
    "RequestRefused",
    "Unattended",
    "WrongPassphrase",
]


class PkiError(SmimeError):
    """Base of all that a CA refuses. The message names the thing; ``hint`` the next step."""

    exit_status = 20


class AuthorityExists(PkiError):
    """There is a CA in that folder already; it is never written over."""

    exit_status = 21


class NoAuthority(PkiError):
    """There is no CA in that folder, or its files do not belong together."""

    exit_status = 22


class RequestRefused(PkiError):
    """This CA does not certify that name, key or time."""

    exit_status = 23


class WrongPassphrase(PkiError):
    """A private key of the CA did not open with the passphrase given."""

    exit_status = 24


class ProfileProblem(PkiError):
    """A profile is unknown, or says something that no certificate can hold."""

    exit_status = 25


class Unattended(PkiError):
    """A question is open and there is no terminal to ask it on."""

    exit_status = 26


class LedgerProblem(PkiError):
    """The records cannot be read or written: locked, full, damaged, or of a newer version."""

    exit_status = 27


class AuditFailed(PkiError):
    """The records are not what they were; ``audit`` says what is wrong, and from which entry."""

    exit_status = 28

    def __init__(self, audit: Audit) -> None:
        super().__init__(str(audit), hint="compare with a backup: nothing recorded may change")
        self.audit = audit

    def __reduce__(self) -> tuple[type[AuditFailed], tuple[Audit]]:
        return AuditFailed, (self.audit,)


class DirectoryProblem(PkiError):
    """An LDAP directory cannot be reached, is not who it should be, or refuses a change."""

    exit_status = 29
