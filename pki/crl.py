"""Revocation lists: entries that are written once, joined and signed.

Full, delta, and for a scope (a shard or a profile, named by its distribution point).

Floor:  crl (uses signing and facts)
Source: RFC 5280 §5
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import ExtensionOID

from pki.signing import Signing, authority_key_id, extension
from smime.cms import der

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

__all__ = ["LIFETIME", "Form", "build", "entry"]

LIFETIME = timedelta(days=7)
"""Of a full CRL: the S/MIME Baseline Requirements want a new one every seven days."""

_REASON = x509.ObjectIdentifier("2.5.29.21")
_ENUMERATED = 0x0A


@dataclass(frozen=True, slots=True)
class Form:
    """What a CRL says of itself."""

    number: int
    this_update: datetime
    next_update: datetime
    base: int | None = None
    """The number of the full CRL that a delta adds to."""
    point: str = ""
    """The URL in the certificates that this CRL covers, if it does not cover all."""
    freshest: str = ""
    """Where deltas to this CRL are."""


def entry(serial: int, *, at: datetime, reason: int) -> bytes:
    """Write one revoked certificate (RFC 5280 §5.3).

    ``reason`` is the number of §5.3.1; unspecified (0) is left out, as that section asks.
    """
    why = b""
    if reason:
        why = der.sequence(extension(_REASON, bytes((_ENUMERATED, 1, reason))))
    return der.sequence(der.integer(serial), der.time(at), why)


def build(
    signing: Signing, issuer: x509.Certificate, entries: Iterable[bytes], form: Form
) -> bytes:
    """Sign a CRL of these entries, each piece one or more of ``entry``; give its DER."""
    revoked = b"".join(entries)
    head = b"".join(
        (
            der.integer(1),  # v2
            signing.algorithm,
            issuer.subject.public_bytes(),
            der.time(form.this_update),
            der.time(form.next_update),
            # An empty list is left out (§5.1.2.6).
            der.head(der.SEQUENCE, len(revoked)) if revoked else b"",
        )
    )
    tail = der.tlv(0xA0, der.sequence(*_extensions(issuer, form)))
    size = len(head) + len(revoked) + len(tail)
    return signing.signed(b"".join((der.head(der.SEQUENCE, size), head, revoked, tail)))


def _extensions(issuer: x509.Certificate, form: Form) -> Iterable[bytes]:
    yield extension(ExtensionOID.AUTHORITY_KEY_IDENTIFIER, authority_key_id(issuer))
    yield extension(ExtensionOID.CRL_NUMBER, der.integer(form.number))
    if form.base is not None:
        yield extension(ExtensionOID.DELTA_CRL_INDICATOR, der.integer(form.base), critical=True)
    if form.point:
        # Without it a reader would take the list of one shard for the list of all.
        point = der.sequence(_distribution_point(form.point))
        yield extension(ExtensionOID.ISSUING_DISTRIBUTION_POINT, point, critical=True)
    if form.freshest:
        where = der.sequence(der.sequence(_distribution_point(form.freshest)))
        yield extension(ExtensionOID.FRESHEST_CRL, where)


def _distribution_point(url: str) -> bytes:
    """Write ``[0] { fullName [0] { uniformResourceIdentifier [6] } }`` (§4.2.1.13)."""
    return der.tlv(0xA0, der.tlv(0xA0, der.tlv(0x86, url.encode("ascii"))))
