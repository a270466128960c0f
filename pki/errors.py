"""Every exception the CA raises on purpose, below ``smime.SmimeError``.

PkiError               20  the base; never raised itself
├─ AuthorityExists     21  there is a CA in that folder already
├─ NoAuthority         22  there is none, or its files do not belong together
├─ RequestRefused      23  this CA does not certify that name, key or time
├─ WrongPassphrase     24  a key of the CA did not open
├─ ProfileProblem      25  a profile is unknown or says something impossible
└─ Unattended          26  a question is open and there is no terminal to ask on

Floor:  errors (uses smime.SmimeError)
"""

from __future__ import annotations

from smime import SmimeError

__all__ = [
    "AuthorityExists",
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
