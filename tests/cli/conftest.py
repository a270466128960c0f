"""The folder in which every story begins, made once."""

from __future__ import annotations

from base64 import b64decode, encodebytes
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from tests.cli.stories import Stage

if TYPE_CHECKING:
    import pki
    import smime

REPOSITORY = Path(__file__).parents[2]
PASSPHRASE = b"one two three"

LETTER = (
    b"From: Alice <alice@example.org>\r\n"
    b"To: Bob <bob@example.org>\r\n"
    b"Subject: chess\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <1@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"\r\n"
    b"We meet at noon.\r\n"
)


@pytest.fixture(scope="session")
def props(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a CA's root, alice, bob, carol, an expired certificate and a letter.

    NAME.pem is a certificate, NAME-id.pem key and certificate, NAME-key.pem the key alone.
    """
    import pki
    import smime

    folder = tmp_path_factory.mktemp("props")
    now = datetime.now(UTC)
    long_ago = datetime(2024, 6, 1, tzinfo=UTC)
    root = pki.Authority.create("Test CA")
    other = pki.Authority.create("Other CA")
    old = pki.Authority.create("Old CA", at=long_ago)
    for name, ca in (("root", root), ("other-root", other), ("old-root", old)):
        (folder / f"{name}.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))

    alice = _person(folder, "alice", root, now)
    bob = _person(folder, "bob", root, now)
    _person(folder, "carol", root, now)
    _person(folder, "stranger", other, now, address="alice@example.org")
    (folder / "clean.crl").write_bytes(root.crl())
    (folder / "alice-revoked.crl").write_bytes(root.crl(alice.certificate))
    pem = x509.load_der_x509_crl(root.crl(bob.certificate)).public_bytes(Encoding.PEM)
    (folder / "bob-revoked.pem").write_bytes(pem)
    expired = _person(folder, "expired", old, long_ago, address="alice@example.org")
    signed = smime.sign(LETTER, by=expired, at=long_ago)
    (folder / "expired.eml").write_bytes(bytes(signed))
    (folder / "alice.p12").write_bytes(alice.to_p12(PASSPHRASE))
    (folder / "locked.pem").write_bytes(alice.to_pem(PASSPHRASE))
    (folder / "passphrase").write_bytes(PASSPHRASE + b"\nnot this line\n")
    (folder / "wrong").write_bytes(b"four five six\n")
    (folder / "letter.eml").write_bytes(LETTER)
    (folder / "unknown-cipher.eml").write_bytes(_unknown_cipher(bob))
    return folder


def _unknown_cipher(reader: smime.Identity) -> bytes:
    """A letter sealed with a cipher that nobody has: the last arc of its OID is another."""
    import smime

    sealed = bytes(smime.encrypt(LETTER, to=reader))
    head, _, body = sealed.partition(b"\r\n\r\n")
    aes_256_cbc = bytes.fromhex("60864801650304012a")
    der = b64decode(body)
    assert der.count(aes_256_cbc) == 1
    return head + b"\r\n\r\n" + encodebytes(der.replace(aes_256_cbc, aes_256_cbc[:-1] + b"\x63"))


def _person(
    folder: Path, name: str, ca: pki.Authority, at: datetime, *, address: str = ""
) -> smime.Identity:
    """Make a key of our own, since an Identity gives none out without a passphrase."""
    import smime
    from pki.authority import new_serial
    from pki.profiles import Profile
    from pki.requests import CertificationRequest

    key = ec.generate_private_key(ec.SECP256R1())
    request = CertificationRequest(key.public_key(), (address or f"{name}@example.org",))
    certificate = ca.certify(
        request, profile=Profile.named("mailbox").lasting(90), serial=new_serial(), at=at
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    certificate_pem = certificate.public_bytes(Encoding.PEM)
    (folder / f"{name}.pem").write_bytes(certificate_pem)
    (folder / f"{name}-key.pem").write_bytes(key_pem)
    (folder / f"{name}-id.pem").write_bytes(key_pem + certificate_pem)
    return smime.Identity(key, certificate)


@pytest.fixture
def stage(props: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, launcher: Path) -> Stage:
    """A fresh copy of the folder, in which the test runs."""
    folder = tmp_path / "stage"
    folder.mkdir()
    for file in props.iterdir():
        (folder / file.name).write_bytes(file.read_bytes())
    monkeypatch.chdir(folder)
    return Stage(folder, launcher)


@pytest.fixture(scope="session")
def launcher(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The command as a shell finds it: a script that needs no environment."""
    import sys

    script = tmp_path_factory.mktemp("bin") / "smimetool"
    script.write_text(
        f"#!/bin/sh\nPYTHONPATH='{REPOSITORY}' exec '{sys.executable}' -P -m smime \"$@\"\n"
    )
    script.chmod(0o755)
    return script
