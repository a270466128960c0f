"""One CRL, read by position: serial numbers are indexed, an entry is read when it is met.

The library finds an entry by walking through all of them, and encodes a list
anew to check its signature; for a million entries both take too long. So the
octets that were signed are taken as they arrived, and the serial numbers are
indexed at the first question after the signature was found to hold.

Floor:  trust (uses errors, facts, cms.der)
Source: RFC 5280 §5.1, §5.2
"""

from __future__ import annotations

import hashlib
import threading
from typing import TYPE_CHECKING

from cryptography import x509

from smime.cms.der import SEQUENCE, Indefinite, children, head, tlv, top
from smime.errors import MalformedMail
from smime.trust.facts import UNREADABLE, signature_holds
from smime.trust.names import name_key

if TYPE_CHECKING:
    from datetime import datetime

    from smime.cms.der import Node
    from smime.trust.facts import Facts

__all__ = ["Numbers", "RevocationList"]

MAX_REMEMBERED = 1000  # issuers and scopes whose CRL numbers are kept; a mail server sees fewer

_TIMES = (0x17, 0x18)
_PLAIN = {x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid}
# Beside those; freshestCRL only says where changes are to be had.
_UNDERSTOOD = {
    x509.IssuingDistributionPoint.oid,
    x509.DeltaCRLIndicator.oid,
    x509.FreshestCRL.oid,
}


class RevocationList:
    """A CRL as it arrived; raises ``MalformedMail`` for what is none."""

    def __init__(self, crl_der: bytes) -> None:
        self.der = crl_der
        try:
            self._list = x509.load_der_x509_crl(crl_der)
            self.begin: datetime = self._list.last_update_utc
            self.end: datetime | None = self._list.next_update_utc
            self._signed, self._fields, issuer_der = _layout(crl_der)
            self.issuer = name_key(issuer_der)
            """Normalised, as in ``Facts``."""
        except (*UNREADABLE, Indefinite) as error:
            raise MalformedMail(
                f"this is no CRL: {error}", hint="CRLs are given as DER, not as PEM"
            ) from error
        self.delta = False
        """It names changes to another list only."""
        self.scope: x509.IssuingDistributionPoint | None = None
        """What it is limited to."""
        self.direct = False
        """It speaks of its issuer's own certificates and of all reasons, within its scope."""
        self.number: int | None = None
        """Its CRL number (RFC 5280 §5.2.3); the lists of an issuer and scope count upwards."""
        self._scope_der = b""
        self._read_extensions()
        self._index: dict[bytes, int] | None = None
        self._digest = b""

    def _read_extensions(self) -> None:
        kinds = set()
        try:
            for extension in self._list.extensions:
                kinds.add(extension.oid)
                if isinstance(extension.value, x509.IssuingDistributionPoint):
                    self.scope = extension.value
                    self._scope_der = extension.value.public_bytes()
                elif isinstance(extension.value, x509.CRLNumber):
                    self.number = extension.value.crl_number
        except UNREADABLE:
            return  # it says nothing
        self.delta = x509.DeltaCRLIndicator.oid in kinds
        self.direct = not kinds - _PLAIN - _UNDERSTOOD and not (
            self.scope
            and (
                self.scope.indirect_crl
                or self.scope.only_some_reasons
                or self.scope.relative_name
                or self.scope.only_contains_attribute_certs
            )
        )

    @property
    def digest(self) -> bytes:
        """SHA-256 of the whole list."""
        if not self._digest:
            self._digest = hashlib.sha256(self.der).digest()
        return self._digest

    @property
    def signature_digest(self) -> str | None:
        """The digest under its signature, empty if it has none of its own; None if unknown."""
        try:
            digest = self._list.signature_hash_algorithm
        except UNREADABLE:
            return None
        return "" if digest is None else digest.name

    def is_current(self, at: datetime) -> bool:
        return self.end is not None and self.begin <= at < self.end

    def speaks_for(self, one: Facts) -> bool:
        """Say whether a certificate of its issuer is within its scope (RFC 5280 §6.3.3 b)."""
        if not self.direct:
            return False
        scope = self.scope
        if scope is None:
            return True
        if scope.only_contains_user_certs and one.ca:
            return False
        if scope.only_contains_ca_certs and not one.ca:
            return False
        if scope.full_name is None:
            return True
        return any(
            name in scope.full_name
            for point in one.distribution_points or ()
            if not point.crl_issuer and not point.reasons
            for name in point.full_name or ()
        )

    def signed_by(self, one: Facts) -> bool:
        """Say whether this key signed the list; whether it may is another question."""
        return signature_holds(self._list, self._signed, one.public_key)

    def entry(self, serial_number: int) -> x509.RevokedCertificate | None:
        """Return what the list says of a certificate; None if it does not name it.

        Raises ``MalformedMail`` for an entry that cannot be read.
        """
        if self._index is None:
            self._index = _serials(self.der, self._fields)
        octets = serial_number.to_bytes(serial_number.bit_length() // 8 + 1, "big", signed=True)
        at = self._index.get(octets)
        if at is None:
            return None
        try:
            (found,) = x509.load_der_x509_crl(self._with_one(at))
            _ = found.extensions
        except UNREADABLE as error:
            raise MalformedMail(f"an entry of a CRL cannot be read: {error}") from error
        return found

    def serial_numbers(self) -> list[int]:
        """Return all serial numbers in the list."""
        if self._index is None:
            self._index = _serials(self.der, self._fields)
        return [int.from_bytes(octets, "big", signed=True) for octets in self._index]

    def _with_one(self, at: int) -> bytes:
        """Return this list with one entry only: the library reads it as strictly as all."""
        der = self.der
        _, entries = self._fields
        node = top(der, at)
        outer = top(der)
        tbs, *rest = children(der, outer)
        alone = tlv(SEQUENCE, der[node[1] : node[3]])
        assert entries is not None
        body = der[tbs[2] : entries[1]] + alone + der[entries[3] : tbs[3]]
        signed = tlv(SEQUENCE, body)
        tail = der[rest[0][1] : rest[-1][3]]
        return head(SEQUENCE, len(signed) + len(tail)) + signed + tail


class Numbers:
    """The highest CRL number seen of each issuer's key and scope, and of when; thread-safe.

    Numbers only rise (RFC 5280 §5.2.3). A later list with a lower number is one
    from a lost or second set of books, and may lack what was revoked.
    """

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._seen: dict[object, list[tuple[datetime, int]]] = {}

    def problem(self, crl: RevocationList, signer: Facts) -> str:
        """Remember a list whose signature was verified; say what is wrong with its number."""
        if crl.number is None:
            return ""
        key = (signer.key_der, crl.issuer, crl._scope_der, crl.delta)
        now = (crl.begin, crl.number)
        with self._lock:
            earlier = self._seen.get(key)
            if earlier is None:
                if len(self._seen) >= MAX_REMEMBERED:
                    self._seen.pop(next(iter(self._seen)))
                self._seen[key] = [now]
                return ""
            # Of all lists seen the one with the highest number, and the latest.
            before = max(earlier, key=lambda one: one[1])
            latest = max(earlier)
            self._seen[key] = list({max(before, now, key=lambda one: one[1]), max(latest, now)})
        if crl.begin > before[0] and crl.number < before[1]:
            back = crl.number, before[1]
        elif crl.begin < latest[0] and crl.number > latest[1]:
            back = latest[1], crl.number
        else:
            return ""
        return (
            f"the number of the CRLs of {signer.label} went back from {back[1]} to {back[0]}, "
            "so that one of them may lack what was revoked"
        )


def _layout(der: bytes) -> tuple[bytes, tuple[Node, Node | None], bytes]:
    """Return the octets that were signed; the nodes of tbsCertList and its entries; the issuer."""
    tbs = children(der, top(der))[0]
    fields = children(der, tbs)
    times = [place for place, node in enumerate(fields) if node[0] in _TIMES]
    issuer, rest = fields[times[0] - 1], fields[times[-1] + 1 :]
    entries = rest[0] if rest and rest[0][0] == SEQUENCE else None
    return der[tbs[1] : tbs[3]], (tbs, entries), der[issuer[1] : issuer[3]]


def _serials(der: bytes, fields: tuple[Node, Node | None]) -> dict[bytes, int]:
    """Return the place of each entry by its serial number; the library has read the list once."""
    index: dict[bytes, int] = {}
    entries = fields[1]
    if entries is None:
        return index
    at, end = entries[2], entries[3]
    while at < end:
        length, content = der[at + 1], at + 2
        if length >= 0x80:
            _, _, content, stop = top(der, at, end)
        else:
            stop = content + length
        # A serial number of more than 127 octets is none that a certificate can have.
        serial = content + 2
        index[der[serial : serial + der[content + 1]]] = at
        at = stop
    return index
