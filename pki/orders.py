"""Orders for many certificates, and what the ledger says of them before one is made.

Floor:  orders (uses questions)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509

import smime
from pki.errors import RequestRefused
from pki.facts import REASONS
from pki.profiles import Profile
from pki.questions import head_of, holders, labelled, of_one
from pki.requests import CertificationRequest

if TYPE_CHECKING:
    from pki.keys import AnyKey
    from pki.tables import sql

__all__ = ["Known", "Order", "Outcome"]


@dataclass(frozen=True, slots=True)
class Order:
    """One of many certificates to make."""

    request: CertificationRequest
    profile: str | Profile = "mailbox"
    label: str | None = None
    """Names this order for good: ordered again, it gives the certificate made the first time."""
    renews: int | None = None
    lifetime_days: int | None = None
    """Another lifetime than the profile's."""
    kept: AnyKey | None = field(default=None, repr=False)
    """A reading key that was made on behalf, to be kept for the recovery agents."""


@dataclass(frozen=True, slots=True)
class Outcome:
    """What became of an order: a certificate, or why there is none."""

    order: Order
    certificate: x509.Certificate | None
    refused: smime.SmimeError | None = None
    again: bool = False
    """It was made before, under the same label."""


class Known:
    """What the ledger knows at a moment of some orders' labels and keys."""

    __slots__ = ("_holders", "_made", "number")

    def __init__(self, connection: sql.Connection, labels: list[str], hashes: list[bytes]) -> None:
        if len(hashes) == 1:
            label = labels[0] if labels else None
            self.number, made, held = of_one(connection, label, hashes[0])
            self._made = {record.label: record.certificate for record in made}
            self._holders = {hashes[0]: held}
            return
        # One after another, the number first: what others wrote since, it tells.
        self.number = head_of(connection)[0]
        self._made = {record.label: record.certificate for record in labelled(connection, labels)}
        self._holders = holders(connection, hashes)

    def outcome(self, order: Order, key_hash: bytes) -> Outcome | None:
        """Say what an order comes to without a new certificate; None if it needs one."""
        made = None if order.label is None else self._made.get(order.label)
        if made is not None:
            return Outcome(order, made, again=True)
        for people, reason in self._holders.get(key_hash, ()):
            if reason == REASONS["keyCompromise"]:
                refused = RequestRefused(
                    "this key was revoked because it was compromised", hint="make a new key"
                )
                return Outcome(order, None, refused)
            if not people & _people(order.request):
                refused = RequestRefused(
                    "somebody else has a certificate for this key", hint="make a key of your own"
                )
                return Outcome(order, None, refused)
        return None

    def add(self, order: Order, key_hash: bytes, certificate: x509.Certificate) -> None:
        """Take in a certificate of the same group."""
        if order.label is not None:
            self._made[order.label] = certificate
        self._holders.setdefault(key_hash, []).append((_people(order.request), None))


def _people(request: CertificationRequest) -> frozenset[str]:
    return frozenset(address.lower() for address in request.addresses)
