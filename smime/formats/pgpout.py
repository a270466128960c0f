"""Mail made with OpenPGP keys: which of what is given as ``by=`` and ``to=`` are such, and how.

A mail has one form: OpenPGP keys and certificates are never mixed in one call.

Floor:  formats (uses pgpmime, keys, mail)
Source: RFC 3156 §5 signed, §4 sealed, §6 both
"""

from __future__ import annotations

from smime.formats import pgpmime
from smime.formats.packing import refuse
from smime.formats.readers import refuse_unvouched
from smime.keys.choice import refuse_strangers
from smime.keys.identity import Identity
from smime.keys.recipient import Recipient
from smime.keys.roles import recipients_of
from smime.mail import Mail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime
    from typing import Any

    from smime.keys import Addressee
    from smime.mime.entity import Entity
    from smime.pgp import PgpKey
    from smime.policy import Policy
    from smime.protocols import Trusts
    from smime.source import Piece, Source

__all__ = ["Sealing", "Signing", "apart", "certified", "copies", "openpgp_readers", "signer_of"]


class Signing:
    """How a mail is signed with an OpenPGP key."""

    look = None

    def __init__(self, signer: PgpKey, policy: Policy, at: datetime | None) -> None:
        refuse(policy)
        self._signer = signer
        self._policy = policy
        self._at = at

    def small(self, inner: bytes, outer: bytes, _: bytes) -> bytes:
        """Protect an entity in memory; ``outer`` are the fields outside."""
        return pgpmime.sign(inner, self._signer, self._policy, self._at, outer)

    def large(self, inner: Source, outer: bytes, _: bytes) -> Iterator[Piece]:
        """Protect an entity that is read piece by piece."""
        return pgpmime.sign_pieces(inner, self._signer, self._policy, self._at, outer)


class Sealing:
    """How a mail is sealed for OpenPGP keys, and signed inside if there is a signer."""

    def __init__(
        self,
        readers: tuple[PgpKey, ...],
        policy: Policy,
        *,
        signer: PgpKey | None = None,
        to_self: bool = False,
        at: datetime | None = None,
        trust: Trusts | None = None,
    ) -> None:
        refuse(policy)
        self._trust = trust
        self._others = readers
        self._readers = _with_self(readers, signer, to_self)
        self._policy = policy
        self._signer = signer
        self._at = at
        self._blind: tuple[str, ...] = ()

    def look(self, entity: Entity, named: Mail) -> None:
        """Learn from the mail who is a blind reader.

        Raises ``KeyProblem`` for strangers, and for whom nobody vouches for.
        """
        if self._policy.readers == "named":
            also = self._signer.addresses if self._signer is not None else ()
            refuse_strangers(self._others, named.recipients, also=also)
        refuse_unvouched(self._trust, self._others, named.recipients, self._policy, self._at)
        self._blind = pgpmime.blind_readers(entity)

    def small(self, inner: bytes, _: bytes, sealed_outer: bytes) -> bytes:
        """Protect an entity in memory; ``sealed_outer`` are the fields outside."""
        return pgpmime.seal(
            inner,
            self._readers,
            self._policy,
            blind=self._blind,
            signer=self._signer,
            at=self._at,
            outer=sealed_outer,
        )

    def large(self, inner: Source, _: bytes, sealed_outer: bytes) -> Iterator[Piece]:
        """Protect an entity that is read piece by piece."""
        return pgpmime.seal_pieces(
            inner,
            self._readers,
            self._policy,
            blind=self._blind,
            signer=self._signer,
            at=self._at,
            outer=sealed_outer,
        )


def copies(
    inner: bytes,
    outer: bytes,
    signer: PgpKey,
    to: Iterable[Addressee],
    to_self: bool,
    policy: Policy,
    at: datetime | None,
    trust: Trusts | None,
) -> Iterator[Mail]:
    """Sign once, and seal what was signed for one reader after the other (RFC 3156 §6.1)."""
    signed_inner = pgpmime.sign(inner, signer, policy, at)

    def made() -> Iterator[Mail]:
        for one in to:
            (reader,) = openpgp_readers(one)
            refuse_unvouched(trust, (reader,), (), policy, at)
            readers = _with_self((reader,), signer, to_self)
            sealed = pgpmime.seal(signed_inner, readers, policy, outer=outer)
            made = Mail._made(sealed, recipients=reader.addresses)
            if trust is None:
                made._unverified = reader.addresses
            yield made

    return made()


def apart(given: Any, name: str) -> tuple[tuple[PgpKey, ...], Any]:
    """Return the OpenPGP keys in what was given, or what else it is.

    Raises ``TypeError`` where it is both.
    """
    if isinstance(given, (Identity, Recipient)):
        return (), given
    keys, others = pgpmime.keys_apart(given)
    if keys and others:
        raise TypeError(
            f"{name}= holds OpenPGP keys and certificates: a mail has one form, call once for each"
        )
    return keys, others


def signer_of(by: Any) -> tuple[PgpKey | None, Any]:
    """Return the OpenPGP key that signs, or None and what else was given as ``by=``."""
    keys, others = apart(by, "by")
    if len(keys) > 1:
        raise TypeError("one OpenPGP key signs a mail: by=alice, not by=[alice, bob]")
    return (keys[0] if keys else None), others


def openpgp_readers(to: Addressee | Iterable[Addressee]) -> tuple[PgpKey, ...]:
    """Return the readers of OpenPGP mail; raises ``TypeError`` for others."""
    keys, others = apart(to, "to")
    if not keys:
        recipients_of(others)  # says what is wrong with what is no reader at all
        raise TypeError("by= is an OpenPGP key and to= holds certificates: a mail has one form")
    return keys


def certified(to: Any) -> Any:
    """Return the readers of S/MIME mail; raises ``TypeError`` for OpenPGP keys."""
    keys, others = apart(to, "to")
    if keys:
        raise TypeError("by= has a certificate and to= holds OpenPGP keys: a mail has one form")
    return others


def _with_self(
    readers: tuple[PgpKey, ...], signer: PgpKey | None, to_self: bool
) -> tuple[PgpKey, ...]:
    return (*readers, signer) if to_self and signer is not None else readers
