"""Keys and certificates, the same in every run.

EC keys come from a label, RSA keys from files made once (``vectors/keys``), for their making
cannot be seeded. Serials and dates are fixed, and ECDSA is deterministic (RFC 6979).
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

KEYS = Path(__file__).resolve().parents[1] / "keys"
AT = datetime(2030, 6, 1, tzinfo=UTC)
BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2040, 1, 1, tzinfo=UTC)
MAIL = ExtendedKeyUsageOID.EMAIL_PROTECTION
CURVES = {"p256": ec.SECP256R1(), "p384": ec.SECP384R1(), "p521": ec.SECP521R1()}
# Octets of a private key: fewer than the order of the curve has, so that any will do.
KEY_OCTETS = {"p256": 31, "p384": 47, "p521": 65}


def seeded(label: str, size: int) -> bytes:
    """Return octets that nobody could guess, and that are the same in every run."""
    return hashlib.shake_256(f"smimetool vectors: {label}".encode()).digest(size)


def ec_key(label: str, curve: str = "p256") -> ec.EllipticCurvePrivateKey:
    number = int.from_bytes(seeded(label, KEY_OCTETS[curve]), "big")
    return ec.derive_private_key(number, CURVES[curve])


def rsa_key(name: str) -> rsa.RSAPrivateKey:
    key = load_pem_private_key((KEYS / f"{name}.pem").read_bytes(), None)
    assert isinstance(key, rsa.RSAPrivateKey)
    return key


def make_key(label: str, kind: str) -> Any:
    return rsa_key(label) if kind.startswith("rsa") else ec_key(label, kind)


@dataclass(frozen=True)
class Person:
    """A key with its certificate, and the certificates above it."""

    key: Any = field(repr=False)
    certificate: x509.Certificate = field(repr=False)
    chain: tuple[bytes, ...] = field(default=(), repr=False)

    @property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @property
    def is_rsa(self) -> bool:
        return isinstance(self.key, rsa.RSAPrivateKey)

    @property
    def all(self) -> tuple[bytes, ...]:
        """The certificate and those above it, as they go into a message."""
        return (self.der, *self.chain)

    def pem(self) -> bytes:
        key = self.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        return self.certificate.public_bytes(Encoding.PEM) + key


def name(common: str, *, email: str = "") -> x509.Name:
    parts = [x509.NameAttribute(NameOID.COMMON_NAME, common)]
    if email:
        parts.append(x509.NameAttribute(NameOID.EMAIL_ADDRESS, email))
    return x509.Name(parts)


def key_usage(*names: str) -> x509.KeyUsage:
    every = (
        *("digital_signature", "content_commitment", "key_encipherment", "data_encipherment"),
        *("key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only"),
    )
    return x509.KeyUsage(**{one: one in names for one in every})


def issue(
    key: Any,
    subject: x509.Name,
    issuer: Person | None,
    *,
    serial: int | None = None,
    begin: datetime = BEGIN,
    end: datetime = END,
    addresses: tuple[str, ...] = (),
    usage: tuple[str, ...] | None = ("digital_signature", "key_encipherment", "key_agreement"),
    purposes: tuple[x509.ObjectIdentifier, ...] | None = (MAIL,),
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    chain: tuple[bytes, ...] | None = None,
) -> Person:
    """Return a person with a certificate by ``issuer``, or by its own key if there is none."""
    public = key.public_key()
    issuer_name = issuer.certificate.subject if issuer else subject
    signer = issuer.key if issuer else key
    if serial is None:
        text = subject.rfc4514_string() + issuer_name.rfc4514_string() + repr(addresses)
        serial = int.from_bytes(seeded(text, 15), "big") >> 1 | 1
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name)
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(begin)
        .not_valid_after(end)
        .add_extension(x509.SubjectKeyIdentifier.from_public_key(public), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key()), critical=False
        )
    )
    if usage is not None:
        builder = builder.add_extension(key_usage(*usage), critical=True)
    if purposes is not None:
        builder = builder.add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if addresses:
        builder = builder.add_extension(
            x509.SubjectAlternativeName([x509.RFC822Name(one) for one in addresses]),
            critical=False,
        )
    for extension, critical in more:
        builder = builder.add_extension(extension, critical=critical)
    deterministic = True if isinstance(signer, ec.EllipticCurvePrivateKey) else None
    certificate = builder.sign(signer, hashes.SHA256(), ecdsa_deterministic=deterministic)
    if chain is None:
        chain = issuer.all if issuer and issuer is not ROOT else ()
    return Person(key, certificate, chain)


def authority(
    label: str,
    issuer: Person | None,
    *,
    length: int | None = None,
    is_ca: bool | None = True,
    usage: tuple[str, ...] = ("key_cert_sign", "crl_sign"),
    more: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    **rest: Any,
) -> Person:
    """Return a certification authority; ``is_ca=None`` leaves basicConstraints out."""
    if is_ca is not None:
        constraints = x509.BasicConstraints(is_ca, length if is_ca else None)
        more = ((constraints, True), *more)
    return issue(ec_key(label), name(label), issuer, usage=usage, purposes=None, more=more, **rest)


def person(address: str, kind: str = "p256", *, by: Person | None = None, **rest: Any) -> Person:
    """Return somebody with a certificate for ``address`` by the issuing authority."""
    who = address.partition("@")[0].capitalize()
    label = rest.pop("label", f"{address.partition('@')[0]}-{kind}")
    rest.setdefault("addresses", (address,))
    subject = rest.pop("subject", None) or name(f"{who} {kind}")
    return issue(make_key(label, kind), subject, by or CA, **rest)


ROOT: Any = None
ROOT = authority("Vectors Root", None)
CA = authority("Vectors CA", ROOT, length=0)
OTHER_ROOT = authority("Some Other Root", None)

ALICE = {kind: person("alice@example.org", kind) for kind in ("rsa2048", "p256", "p384", "p521")}
BOB = {kind: person("bob@example.org", kind) for kind in ("rsa2048", "p256", "p384", "p521")}
CAROL = person("carol@example.org")
DAVE = person("dave@example.org")
EVE = person("eve@example.org")
