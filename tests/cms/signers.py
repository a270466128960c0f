"""Keys of every kind that signs, each with a certificate of one small authority."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    mldsa,
    rsa,
)

from smime import Anchors, Identity
from smime.cms import SigningKey

AT = datetime(2026, 11, 24, 12, 0, 0, tzinfo=UTC)
KEYS: dict[str, Callable[[], Any]] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "bp256": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "bp384": lambda: ec.generate_private_key(ec.BrainpoolP384R1()),
    "bp512": lambda: ec.generate_private_key(ec.BrainpoolP512R1()),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "ed448": ed448.Ed448PrivateKey.generate,
    "ml-dsa-44": mldsa.MLDSA44PrivateKey.generate,
    "ml-dsa-65": mldsa.MLDSA65PrivateKey.generate,
    "ml-dsa-87": mldsa.MLDSA87PrivateKey.generate,
}
# The digest that each of them takes by itself, and the octets of its identifier.
DIGEST = {
    "rsa": "sha256",
    "p256": "sha256",
    "p384": "sha384",
    "p521": "sha512",
    "bp256": "sha256",
    "bp384": "sha384",
    "bp512": "sha512",
    "ed25519": "sha512",
    "ed448": "shake256",
    "ml-dsa-44": "sha512",
    "ml-dsa-65": "sha512",
    "ml-dsa-87": "sha512",
}


def key_of(kind: str, number: int = 0) -> Any:
    """Return a private key of this kind, the same one at every call."""
    return _key(kind, number)


@cache
def _key(kind: str, number: int) -> Any:
    return KEYS[kind]()


def certificate_of(
    kind: str, number: int = 0, address: str = "", purpose: str = "email", twin: int = 0
) -> x509.Certificate:
    """Return its certificate; ``twin`` makes another one with the same key and serial number."""
    return _certificate(kind, number, address, purpose, twin)


@cache
def _certificate(kind: str, number: int, address: str, purpose: str, twin: int) -> x509.Certificate:
    key = key_of(kind, number)
    address = address or f"{kind}-{number}@example.org"
    oid = {
        "email": x509.ExtendedKeyUsageOID.EMAIL_PROTECTION,
        "time": x509.ExtendedKeyUsageOID.TIME_STAMPING,
    }[purpose]
    usage = x509.KeyUsage(
        digital_signature=True,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=False,
        crl_sign=False,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name(address + ("!" * twin)))
        .issuer_name(_name("Signers' Root"))
        .public_key(key.public_key())
        .serial_number(1000 + list(KEYS).index(kind) * 10 + number)
        .not_valid_before(AT - timedelta(days=30))
        .not_valid_after(AT + timedelta(days=3000))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
        .add_extension(x509.ExtendedKeyUsage([oid]), critical=purpose == "time")
        .add_extension(usage, critical=True)
        .add_extension(x509.BasicConstraints(ca=False, path_length=None), critical=True)
        .sign(key_of("p256", 99), hashes.SHA256())
    )


@cache
def root() -> x509.Certificate:
    key = key_of("p256", 99)
    usage = x509.KeyUsage(
        digital_signature=False,
        content_commitment=False,
        key_encipherment=False,
        data_encipherment=False,
        key_agreement=False,
        key_cert_sign=True,
        crl_sign=True,
        encipher_only=False,
        decipher_only=False,
    )
    return (
        x509.CertificateBuilder()
        .subject_name(_name("Signers' Root"))
        .issuer_name(_name("Signers' Root"))
        .public_key(key.public_key())
        .serial_number(1)
        .not_valid_before(AT - timedelta(days=60))
        .not_valid_after(AT + timedelta(days=6000))
        .add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
        .add_extension(usage, critical=True)
        .sign(key, hashes.SHA256())
    )


def _name(text: str) -> x509.Name:
    return x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, text)])


def signing_key(kind: str, number: int = 0) -> SigningKey:
    return SigningKey(key_of(kind, number), certificate_of(kind, number))


def identity(kind: str, number: int = 0) -> Identity:
    return Identity(key_of(kind, number), certificate_of(kind, number))


@cache
def anchors() -> Anchors:
    return Anchors([root()])
