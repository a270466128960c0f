"""A small factory of certificates, good and bad, with cryptography's builders only."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from smime.policy import Policy
from smime.protocols import Claim, Judgement

AT = datetime(2030, 6, 1, tzinfo=UTC)
BEGIN = datetime(2029, 1, 1, tzinfo=UTC)
END = datetime(2032, 1, 1, tzinfo=UTC)
MAIL = (ExtendedKeyUsageOID.EMAIL_PROTECTION,)
TLS_CLIENT = (ExtendedKeyUsageOID.CLIENT_AUTH,)
ANY_USE = (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)
ADDRESS = "alice@example.org"

_KEYS = [ec.generate_private_key(ec.SECP256R1()) for _ in range(8)]
_taken = 0


def new_key() -> ec.EllipticCurvePrivateKey:
    """Return one of a few P-256 keys in turn: making them is what costs time."""
    global _taken
    _taken += 1
    if _taken > len(_KEYS):
        _KEYS.append(ec.generate_private_key(ec.SECP256R1()))
    return _KEYS[_taken - 1]


def name_of(common: str | None, *more: tuple[Any, str]) -> x509.Name:
    parts = [x509.NameAttribute(oid, value) for oid, value in more]
    if common is not None:
        parts.append(x509.NameAttribute(NameOID.COMMON_NAME, common))
    return x509.Name(parts)


def key_usage(**on: bool) -> x509.KeyUsage:
    bits = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{bit: on.get(bit, False) for bit in bits})


@dataclass
class Entity:
    """A certificate with its key."""

    certificate: x509.Certificate
    key: Any
    crl_number: int = field(default=0, repr=False)

    @property
    def name(self) -> x509.Name:
        return self.certificate.subject

    def crl(
        self,
        *revoked: Entity,
        since: datetime = AT - timedelta(days=30),
        begin: datetime = AT - timedelta(days=1),
        end: datetime = AT + timedelta(days=6),
        key: Any = None,
        name: x509.Name | None = None,
        reason: x509.ReasonFlags | None = None,
        number: int = 7,
        extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
    ) -> bytes:
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(name or self.name)
            .last_update(begin)
            .next_update(end)
            .add_extension(x509.CRLNumber(number), critical=False)
        )
        for extension, critical in extensions:
            builder = builder.add_extension(extension, critical)
        for one in revoked:
            entry = (
                x509.RevokedCertificateBuilder()
                .serial_number(one.certificate.serial_number)
                .revocation_date(since)
            )
            if reason is not None:
                entry = entry.add_extension(x509.CRLReason(reason), critical=False)
            builder = builder.add_revoked_certificate(entry.build())
        return builder.sign(key or self.key, hashes.SHA256()).public_bytes(Encoding.DER)


def make(
    common: str | None,
    issuer: Entity | None = None,
    *,
    ca: bool | None = False,
    path_length: int | None = None,
    usage: x509.KeyUsage | None = None,
    purposes: tuple[x509.ObjectIdentifier, ...] = (),
    names: tuple[x509.GeneralName, ...] = (),
    begin: datetime = BEGIN,
    end: datetime = END,
    key: Any = None,
    subject: x509.Name | None = None,
    issuer_name: x509.Name | None = None,
    sign_with: Any = None,
    digest: Any = None,
    permitted: tuple[x509.GeneralName, ...] = (),
    excluded: tuple[x509.GeneralName, ...] = (),
    identifiers: bool = True,
    serial: int | None = None,
    extensions: tuple[tuple[x509.ExtensionType, bool], ...] = (),
) -> Entity:
    """Make a certificate; every knob may be turned to something wrong."""
    key = key or new_key()
    subject = subject if subject is not None else name_of(common)
    signer = sign_with or (issuer.key if issuer else key)
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer_name or (issuer.name if issuer else subject))
        .public_key(key.public_key())
        .serial_number(serial or x509.random_serial_number())
        .not_valid_before(begin)
        .not_valid_after(end)
    )
    found: list[tuple[x509.ExtensionType, bool]] = []
    if ca is not None:
        found.append((x509.BasicConstraints(ca=ca, path_length=path_length), True))
    if usage is not None:
        found.append((usage, True))
    if purposes:
        found.append((x509.ExtendedKeyUsage(purposes), False))
    if names:
        found.append((x509.SubjectAlternativeName(names), not list(subject)))
    if permitted or excluded:
        found.append((x509.NameConstraints(permitted or None, excluded or None), True))
    if identifiers:
        found.append((x509.SubjectKeyIdentifier.from_public_key(key.public_key()), False))
        if issuer:
            above = x509.AuthorityKeyIdentifier.from_issuer_public_key(signer.public_key())
            found.append((above, False))
    for extension, critical in (*found, *extensions):
        builder = builder.add_extension(extension, critical)
    if digest is None and isinstance(signer, ec.EllipticCurvePrivateKey):
        digest = hashes.SHA256()
    return Entity(builder.sign(signer, digest), key)


def signed_weakly(one: Entity, by: Entity, digest: hashes.HashAlgorithm) -> Entity:
    """Sign an RSA SHA-256 certificate anew with a digest the builder refuses.

    The OIDs of the algorithms differ in their last octet only, so no length changes.
    """
    last = {"sha1": 5, "md5": 4}[digest.name]
    sha256_with_rsa = bytes.fromhex("2a864886f70d01010b")
    der = one.certificate.public_bytes(Encoding.DER)
    der = der.replace(sha256_with_rsa, sha256_with_rsa[:-1] + bytes([last]))
    signed = x509.load_der_x509_certificate(der).tbs_certificate_bytes
    signature = by.key.sign(signed, padding.PKCS1v15(), digest)
    der = der.replace(one.certificate.signature, signature)
    return Entity(x509.load_der_x509_certificate(der), one.key)


SIGNS_CERTIFICATES = key_usage(key_cert_sign=True, crl_sign=True)


def root(common: str = "Chess Club CA", **knobs: Any) -> Entity:
    return make(common, **{"ca": True, "usage": SIGNS_CERTIFICATES, **knobs})


def sub_ca(issuer: Entity, common: str = "Chess Club Mail CA", **knobs: Any) -> Entity:
    return make(common, issuer, **{"ca": True, "usage": SIGNS_CERTIFICATES, **knobs})


def user(issuer: Entity, address: str | None = ADDRESS, **knobs: Any) -> Entity:
    given = {
        "usage": key_usage(digital_signature=True),
        "purposes": MAIL,
        "names": (x509.RFC822Name(address),) if address else (),
    }
    return make(knobs.pop("common", "Alice"), issuer, **{**given, **knobs})


def claim(leaf: Entity, *others: Entity, **given: Any) -> Claim:
    """Make the claim that the leaf signed as alice, with the others in the message."""
    fields = {
        "sender": ADDRESS,
        "at": AT,
        "certificates": tuple(one.certificate for one in (leaf, *others)),
        "policy": Policy.modern(),
    }
    return Claim(certificate=leaf.certificate, **{**fields, **given})


def codes(judgement: Judgement) -> dict[str, str]:
    """Return the codes of all findings that are not yes, for short comparisons."""
    names = ("path", "revocation", "usage", "address", "time")
    found = {name: getattr(judgement, name) for name in names}
    return {
        name: one.code
        for name, one in found.items()
        if one.code not in ("ok", "revocation-not-checked")
    }


def version_1(one: Entity, by: Any) -> Entity:
    """Return the certificate without version and extensions, signed anew by an EC key."""
    from asn1crypto.x509 import Certificate

    parsed = Certificate.load(one.certificate.public_bytes(Encoding.DER))
    parsed["tbs_certificate"]["version"] = "v1"
    del parsed["tbs_certificate"]["extensions"]
    parsed["signature_value"] = by.sign(
        parsed["tbs_certificate"].dump(force=True), ec.ECDSA(hashes.SHA256())
    )
    return Entity(x509.load_der_x509_certificate(parsed.dump(force=True)), one.key)
