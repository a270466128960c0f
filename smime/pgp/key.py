"""One OpenPGP key: what is known of it, and whether it may sign or be written to.

Floor:  pgp (uses errors, policy, listing)
Source: RFC 9580 §5.11 for user IDs
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smime.errors import KeyProblem
from smime.pgp import judging
from smime.policy import MODERN, moment

if TYPE_CHECKING:
    from datetime import datetime
    from typing import NoReturn

    from smime.keys import Passphrase
    from smime.pgp.keyring import PgpKeyring
    from smime.pgp.listing import KeyFacts
    from smime.policy import Policy

__all__ = ["PgpKey", "asked"]


class PgpKey:
    """One OpenPGP key of a keyring: signs and reads, or without its secret half is written to.

    It is a name and what was known when it was found; it works as long as its
    keyring is open. Immutable; it refuses to pickle.
    """

    is_openpgp = True
    __slots__ = ("_facts", "_keyring", "_passphrase")

    def __init__(
        self, keyring: PgpKeyring, facts: KeyFacts, passphrase: Passphrase | None = None
    ) -> None:
        self._keyring = keyring
        self._facts = facts
        self._passphrase = passphrase

    @property
    def keyring(self) -> PgpKeyring:
        """The keyring that holds it."""
        return self._keyring

    @property
    def facts(self) -> KeyFacts:
        """Its subkeys and user IDs, with their dates."""
        return self._facts

    @property
    def fingerprint(self) -> str:
        """Of the primary key: 40 or 64 hexadecimal digits, lower case."""
        return self._facts.fingerprint

    @property
    def addresses(self) -> tuple[str, ...]:
        """The mail addresses in its user IDs that are valid today."""
        return self._facts.addresses_at(moment(None))

    @property
    def user_ids(self) -> tuple[str, ...]:
        """Its user IDs, as they are spelled."""
        return tuple(one.text for one in self._facts.user_ids)

    @property
    def created(self) -> datetime:
        """When the primary key was made."""
        return self._facts.primary.created

    @property
    def expires(self) -> datetime | None:
        """When the primary key ceases to be valid; None for never."""
        return self._facts.primary.expires

    @property
    def is_secret(self) -> bool:
        """Whether its secret half is at hand, so that it signs and reads."""
        return self._facts.secret

    @property
    def key_ids(self) -> tuple[str, ...]:
        """Key ids of the primary key and its subkeys, as messages name their readers."""
        return tuple(one.key_id for one in self._facts.keys)

    def passphrase(self) -> bytes | None:
        """Return what opens its secret half; asks, if it was given as a function."""
        return asked(self._passphrase)

    def check_signs(self, at: datetime, policy: Policy = MODERN) -> None:
        """Raise ``KeyProblem`` unless it may sign at that moment."""
        if not self.is_secret:
            raise KeyProblem(f"{self!r} cannot sign: only its public half is in the keyring")
        self._check(self._facts.signs_at(at), at, policy, "sign")

    def check_reads(self, at: datetime, policy: Policy = MODERN) -> None:
        """Raise ``KeyProblem`` unless mail may be written to it at that moment."""
        self._check(self._facts.encrypts_at(at) is not None, at, policy, "be written to")
        problem = judging.unfit_to_read(self._facts, at, policy)
        if problem is not None:
            raise KeyProblem(
                f"{self!r} cannot be written to: {problem.reason}", missing=self.addresses
            )

    def _check(self, fit: bool, at: datetime, policy: Policy, what: str) -> None:
        primary = self._facts.primary
        if primary.revoked_at(at):
            why = "it was revoked"
        elif primary.ends is not None and primary.ends <= at:
            why = f"it expired on {primary.ends:%Y-%m-%d}"
        elif not fit:
            why = "no part of it that is valid is meant for that"
        else:
            problem = judging.weakness(primary, policy)
            if problem is None:
                return
            why = problem.reason
        raise KeyProblem(f"{self!r} cannot {what}: {why}", missing=self.addresses)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, PgpKey):
            return NotImplemented
        return self.fingerprint == other.fingerprint and self._keyring is other._keyring

    def __hash__(self) -> int:
        return hash(self.fingerprint)

    def __reduce__(self) -> NoReturn:
        raise TypeError("a PgpKey is part of a keyring and is not pickled: find it there again")

    def __repr__(self) -> str:
        kind = "secret" if self.is_secret else "public"
        until = f"until {self.expires:%Y-%m-%d}" if self.expires else "without end"
        named = ", ".join(self.addresses[:3]) or "no address"
        return f"<PgpKey {named}, {kind}, {until}, {self.fingerprint}>"


def asked(passphrase: Passphrase | None) -> bytes | None:
    """Return a passphrase as octets; an empty one is none."""
    given = passphrase() if callable(passphrase) else passphrase
    if given is None:
        return None
    return (given.encode() if isinstance(given, str) else bytes(given)) or None
