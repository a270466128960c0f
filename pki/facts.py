"""What the ledger says of certificates, revocations and CRLs: plain values.

Floor:  facts (uses no other file of pki)
Source: RFC 5280 §5.3.1 for the reasons of a revocation
"""

from __future__ import annotations

import hashlib
import json
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime import SmimeError
from smime.cms import der

if TYPE_CHECKING:
    from collections.abc import Mapping
    from typing import Any

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

__all__ = [
    "HOLD",
    "REASONS",
    "REASON_NAMES",
    "RELEASED",
    "CrlRecord",
    "Issue",
    "Record",
    "Revocation",
    "addresses_of",
    "facts_of",
    "from_seconds",
    "issued_detail",
    "json_text",
    "link",
    "public_key_hash",
    "serial_text",
]

REASONS = {
    "unspecified": 0,
    "keyCompromise": 1,
    "cACompromise": 2,
    "affiliationChanged": 3,
    "superseded": 4,
    "cessationOfOperation": 5,
    "certificateHold": 6,
    "privilegeWithdrawn": 9,
    "aACompromise": 10,
}
HOLD, RELEASED = 6, 8  # certificateHold, removeFromCRL
REASON_NAMES = {number: name for name, number in REASONS.items()}

_SMTP_UTF8 = der.oid("1.3.6.1.5.5.7.8.9")  # SmtpUTF8Mailbox (RFC 9598)
_SAN = der.oid("2.5.29.17")
_KEY, _EXTENSIONS = 6, 0xA3  # in a TBSCertificate (RFC 5280 §4.1): a position, and a tag
_OTHER_NAME, _RFC822_NAME = 0xA0, 0x81  # in GeneralNames (§4.2.1.6)
_ENCODER = json.JSONEncoder(sort_keys=True, separators=(",", ":"))


@dataclass(frozen=True, slots=True)
class Issue:
    """A certificate that was signed and has not left yet, with what the ledger shall say of it."""

    certificate: x509.Certificate
    profile: str
    scope: str = ""
    """Which of several CRLs covers it; empty if there is one for all."""
    label: str | None = None
    """Who asked: asked again under the same label, the same certificate is the answer."""
    renews: int | None = None
    """The serial number of the one before."""


@dataclass(frozen=True, slots=True)
class Revocation:
    """Since when and why a certificate is not to be believed."""

    at: datetime
    reason: str


@dataclass(frozen=True, slots=True)
class Record:
    """A certificate as the ledger has it."""

    serial: int
    number: int
    """Its entry in the log; later ones have higher numbers."""
    issuer: int
    subject: str
    addresses: tuple[str, ...]
    profile: str
    scope: str
    not_before: datetime
    not_after: datetime
    label: str | None
    renews: int | None
    revocation: Revocation | None
    cert_der: bytes = field(repr=False)

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate itself."""
        return x509.load_der_x509_certificate(self.cert_der)

    def state(self, at: datetime) -> str:
        """``valid``, ``on-hold``, ``revoked`` or ``expired`` at that moment."""
        if self.revocation is not None:
            return "on-hold" if self.revocation.reason == REASON_NAMES[HOLD] else "revoked"
        return "expired" if at > self.not_after else "valid"

    def to_dict(self, at: datetime) -> dict[str, Any]:
        """Give it as plain texts and numbers, for JSON."""
        gone = self.revocation
        return {
            "serial": f"{self.serial:x}",
            "state": self.state(at),
            "addresses": list(self.addresses),
            "subject": self.subject,
            "profile": self.profile,
            "not_before": f"{self.not_before:%Y-%m-%dT%H:%M:%SZ}",
            "not_after": f"{self.not_after:%Y-%m-%dT%H:%M:%SZ}",
            "sha256": hashlib.sha256(self.cert_der).hexdigest(),
            "renews": None if self.renews is None else f"{self.renews:x}",
            "revoked": None if gone is None else f"{gone.at:%Y-%m-%dT%H:%M:%SZ}",
            "reason": None if gone is None else gone.reason,
            "entry": self.number,
        }


@dataclass(frozen=True, slots=True)
class CrlRecord:
    """A CRL that was made."""

    number: int
    base: int | None
    this_update: datetime
    next_update: datetime
    covers: int
    """The last entry of the log that it takes in."""
    sha256: bytes


def serial_text(serial: int) -> str:
    """Write a serial number as the tables hold it: 40 hex digits."""
    return f"{serial:040x}"


def facts_of(certificate: x509.Certificate, cert_der: bytes) -> dict[str, Any]:
    """Give what the ledger's columns say of a certificate, all of it from its own bytes."""
    key = _fields(cert_der)[_KEY]
    return {
        "serial": serial_text(certificate.serial_number),
        "fingerprint": hashlib.sha256(cert_der).digest(),
        "public_key": hashlib.sha256(cert_der[key[1] : key[3]]).digest(),
        "subject": certificate.subject.rfc4514_string(),
        "not_before": int(certificate.not_valid_before_utc.timestamp()),
        "not_after": int(certificate.not_valid_after_utc.timestamp()),
    }


def public_key_hash(key: PublicKeyTypes) -> bytes:
    """Give the SHA-256 of a subjectPublicKeyInfo, by which keys are told apart."""
    return hashlib.sha256(
        key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    ).digest()


def addresses_of(cert_der: bytes) -> tuple[str, ...]:
    """Give the mail addresses in a certificate, ASCII ones first, then internationalised ones.

    Read here and not by ``cryptography``, which makes objects of all extensions. Raises
    ``ValueError`` for bytes that are no certificate.
    """
    try:
        return _addresses_in(cert_der)
    except (SmimeError, IndexError) as error:
        raise ValueError("not a certificate with names that can be read") from error


def _addresses_in(cert_der: bytes) -> tuple[str, ...]:
    plain: list[str] = []
    international: list[str] = []
    fields = _fields(cert_der)
    if fields[-1][0] != _EXTENSIONS:
        return ()
    for extension in der.children(cert_der, der.top(cert_der, fields[-1][2])):
        if not cert_der.startswith(_SAN, extension[2]):
            continue
        value = der.children(cert_der, extension)[-1]
        for tag, _, start, end in der.children(cert_der, der.top(cert_der, value[2])):
            if tag == _RFC822_NAME:
                plain.append(cert_der[start:end].decode("ascii"))
            elif tag == _OTHER_NAME and cert_der.startswith(_SMTP_UTF8, start):
                text = der.top(cert_der, der.top(cert_der, start + len(_SMTP_UTF8))[2])
                international.append(cert_der[text[2] : text[3]].decode())
    return (*plain, *international)


def _fields(cert_der: bytes) -> list[der.Node]:
    """Give the fields of a TBSCertificate with a version (RFC 5280 §4.1)."""
    return der.children(cert_der, der.children(cert_der, der.top(cert_der))[0])


def json_text(value: object) -> str:
    """Write JSON as it stands in the log: always the same octets for the same facts."""
    return _ENCODER.encode(value)


def link(before: bytes, number: int, at: int, kind: str, serial: str | None, detail: str) -> bytes:
    """Give the hash of an entry of the log, which takes in the hash of the one before."""
    entry = json_text([number, at, kind, serial, detail])
    return hashlib.sha256(before + entry.encode()).digest()


def issued_detail(row: Mapping[str, Any]) -> dict[str, Any]:
    """Give what the log says of a certificate, from the columns of its row."""
    said = {name: row[name] for name in ("issuer", "profile", "scope", "label", "renews")}
    return {
        "sha256": row["fingerprint"].hex(),
        **{name: value for name, value in said.items() if value not in (None, "")},
    }


def from_seconds(seconds: int) -> datetime:
    """Give a moment from Unix seconds."""
    return datetime.fromtimestamp(seconds, UTC)
