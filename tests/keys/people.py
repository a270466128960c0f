"""Keys and certificates of all kinds, made on the spot."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, mlkem, rsa, x25519
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
)
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID, ObjectIdentifier

START = datetime(2026, 1, 1, tzinfo=UTC)
END = datetime(2036, 1, 1, tzinfo=UTC)
NOON = datetime(2030, 6, 1, 12, tzinfo=UTC)

MAKERS = {
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "ed25519": ed25519.Ed25519PrivateKey.generate,
    "x25519": x25519.X25519PrivateKey.generate,
    "mlkem768": mlkem.MLKEM768PrivateKey.generate,
}


def key(kind: str = "p256", number: int = 0) -> Any:
    """Return the same key for the same arguments."""
    return _key(kind, number)


@cache
def _key(kind: str, number: int) -> Any:
    return MAKERS[kind]()


USAGES = (
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


def usage(*bits: str) -> x509.KeyUsage:
    return x509.KeyUsage(**{name: name in bits for name in USAGES})


EMAIL = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.EMAIL_PROTECTION])
TLS = x509.ExtendedKeyUsage([ExtendedKeyUsageOID.SERVER_AUTH])


def san(*addresses: str) -> x509.SubjectAlternativeName:
    return x509.SubjectAlternativeName([x509.RFC822Name(one) for one in addresses])


def utf8_mailbox(text: str) -> x509.OtherName:
    encoded = text.encode()
    return x509.OtherName(
        ObjectIdentifier("1.3.6.1.5.5.7.8.9"), bytes((0x0C, len(encoded))) + encoded
    )


def certify(
    private_key: Any,
    *extensions: x509.ExtensionType,
    name: str = "Somebody",
    subject: x509.Name | None = None,
    issuer: x509.Certificate | None = None,
    issuer_key: Any = None,
    start: datetime = START,
    end: datetime = END,
) -> x509.Certificate:
    """Return a certificate, self-signed by the CA key unless ``issuer`` is given."""
    subject = subject or x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    builder = (
        x509.CertificateBuilder()
        .subject_name(subject)
        .issuer_name(issuer.subject if issuer else subject)
        .public_key(private_key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(start)
        .not_valid_after(end)
    )
    for extension in extensions:
        builder = builder.add_extension(extension, critical=False)
    return builder.sign(issuer_key or key("p256", 900), hashes.SHA256())


def person(
    address: str,
    kind: str = "p256",
    number: int = 0,
    bits: tuple[str, ...] = (),
    **more: Any,
) -> tuple[Any, x509.Certificate]:
    """Return a key and a certificate for mail; without ``bits`` there is no keyUsage."""
    extensions = [san(address), EMAIL, *([usage(*bits)] if bits else [])]
    root, _ = authorities()
    private_key = key(kind, number)
    return private_key, certify(
        private_key,
        *extensions,
        name=address.partition("@")[0],
        **{"issuer": root, "issuer_key": key("p256", 900), **more},
    )


@cache
def authorities() -> tuple[x509.Certificate, x509.Certificate]:
    """Return a root and an issuing CA below it."""
    ca = x509.BasicConstraints(ca=True, path_length=None)
    root = certify(key("p256", 900), ca, name="Root")
    issuing = certify(
        key("p256", 901), ca, name="Issuing", issuer=root, issuer_key=key("p256", 900)
    )
    return root, issuing


def pem(*things: Any) -> bytes:
    """Return keys and certificates as PEM, in this order."""
    return b"".join(
        one.public_bytes(Encoding.PEM)
        if isinstance(one, x509.Certificate)
        else one.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        for one in things
    )


def der(thing: Any) -> bytes:
    """Return a key or certificate as DER."""
    if isinstance(thing, x509.Certificate):
        return thing.public_bytes(Encoding.DER)
    made: bytes = thing.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    return made


class Elsewhere:
    """A signing key that is not at hand, as in a token."""

    def __init__(self, private_key: Any, certificate: x509.Certificate) -> None:
        self._private_key = private_key
        self._certificate = certificate

    @property
    def certificate(self) -> x509.Certificate:
        return self._certificate

    def sign(self, data: bytes, algorithm: str) -> bytes:
        assert algorithm == "sha256"
        made: bytes = self._private_key.sign(data, ec.ECDSA(hashes.SHA256()))
        return made


LATER = timedelta(days=400)
