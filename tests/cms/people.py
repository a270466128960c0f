"""Keys of every kind that reads, each with a certificate; made once per run."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa, x448, x25519
from cryptography.x509.oid import NameOID

MAKERS: dict[str, Any] = {
    "rsa": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
    "brainpool256": lambda: ec.generate_private_key(ec.BrainpoolP256R1()),
    "brainpool384": lambda: ec.generate_private_key(ec.BrainpoolP384R1()),
    "brainpool512": lambda: ec.generate_private_key(ec.BrainpoolP512R1()),
    "x25519": x25519.X25519PrivateKey.generate,
    "x448": x448.X448PrivateKey.generate,
    "ml-kem-768": mlkem.MLKEM768PrivateKey.generate,
    "ml-kem-1024": mlkem.MLKEM1024PrivateKey.generate,
}
KINDS = tuple(MAKERS)


@cache
def issuer() -> ec.EllipticCurvePrivateKey:
    return ec.generate_private_key(ec.SECP256R1())


def person(kind: str, number: int = 0) -> tuple[Any, x509.Certificate]:
    """Return a key of a kind and its certificate, the same ones each time."""
    return _person(kind, number)


@cache
def _person(kind: str, number: int) -> tuple[Any, x509.Certificate]:
    key = MAKERS[kind]()
    return key, certify(key.public_key(), kind, serial=2**40 + 100 * KINDS.index(kind) + number)


def certify(
    public: Any, name: str, *, serial: int, usage: str = "", address: str = "bob@example.org"
) -> x509.Certificate:
    now = datetime.now(UTC)
    builder = (
        x509.CertificateBuilder()
        .subject_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)]))
        .issuer_name(x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Test Issuer")]))
        .public_key(public)
        .serial_number(serial)
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=365))
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name(address)]), critical=False)
    )
    if usage:
        bits = (
            "digital_signature", "content_commitment", "key_encipherment", "data_encipherment",
            "key_agreement", "key_cert_sign", "crl_sign", "encipher_only", "decipher_only",
        )  # fmt: skip
        allowed = x509.KeyUsage(**{bit: bit == usage for bit in bits})
        builder = builder.add_extension(allowed, critical=True)
    return builder.sign(issuer(), hashes.SHA256())
