"""The people of the interop tests, as objects and as the PEM files that a command reads."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat
from cryptography.x509 import random_serial_number

import pki
import smime

MOST = 5  # recipients in the widest cell
_KEYS: dict[str, Callable[[], rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey]] = {
    "rsa2048": lambda: rsa.generate_private_key(65537, 2048),
    "p256": lambda: ec.generate_private_key(ec.SECP256R1()),
    "p384": lambda: ec.generate_private_key(ec.SECP384R1()),
    "p521": lambda: ec.generate_private_key(ec.SECP521R1()),
}


@dataclass(frozen=True)
class Person:
    """Somebody with a key, and where certificate and key lie as PEM."""

    identity: smime.Identity
    address: str
    cert: Path
    key: Path


@dataclass(frozen=True)
class People:
    """Five people of each kind of key, below an intermediate, and the root in a file."""

    anchors: smime.Anchors
    other_anchors: smime.Anchors
    root: Path
    intermediate: Path
    by_key: dict[str, tuple[Person, ...]]


def make_people(folder: Path, algorithms: tuple[str, ...]) -> People:
    """Make keys and certificates, and write them to ``folder``."""
    root = pki.Authority.create("Interop Root")
    ca = root.subordinate("Interop CA")
    (folder / "root.pem").write_bytes(root.certificate.public_bytes(Encoding.PEM))
    (folder / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    by_key = {
        algorithm: tuple(_person(folder, ca, algorithm, number) for number in range(MOST))
        for algorithm in algorithms
    }
    return People(
        anchors=ca.anchors,
        other_anchors=pki.Authority.create("Interop Root").anchors,
        root=folder / "root.pem",
        intermediate=folder / "ca.pem",
        by_key=by_key,
    )


def _person(folder: Path, ca: pki.Authority, algorithm: str, number: int) -> Person:
    address = f"{algorithm}-{number}@example.org"
    key = _KEYS[algorithm]()
    certificate = ca.certify(
        pki.CertificationRequest(key.public_key(), (address,)),
        profile=pki.Profile.named("mailbox"),
        serial=random_serial_number() >> 1,
        at=datetime.now(UTC),
    )
    cert, key_file = folder / f"{address}.crt", folder / f"{address}.key"
    cert.write_bytes(certificate.public_bytes(Encoding.PEM))
    key_file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))
    return Person(smime.Identity(key, certificate, ca.chain), address, cert, key_file)
