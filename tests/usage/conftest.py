"""A folder as its user has it, and programs run in it."""

from __future__ import annotations

import importlib.util
import subprocess
import sys
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from types import ModuleType

import pytest
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import pki
from pki.authority import new_serial
from tests.support.world import LETTER, World

collect_ignore_glob = ["programs/*"]

PROGRAMS = Path(__file__).parent / "programs"
PASSPHRASE = "correct horse battery staple"


@dataclass(frozen=True)
class Desk:
    """A folder with the files that the programs name."""

    folder: Path

    def run(self, program: str, typed: str = "") -> str:
        """Run a program as its user does, every warning an error; return what it prints."""
        done = subprocess.run(
            [sys.executable, "-X", "dev", "-W", "error", PROGRAMS / program],
            cwd=self.folder,
            input=typed,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        return done.stdout


def load(program: str) -> ModuleType:
    """Import a program anew, in the current folder."""
    spec = importlib.util.spec_from_file_location(program.removesuffix(".py"), PROGRAMS / program)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


@pytest.fixture(scope="session")
def alice_p12(world: World) -> bytes:
    return world.alice.to_p12(PASSPHRASE)  # once: 600,000 rounds


@pytest.fixture
def desk(world: World, alice_p12: bytes, tmp_path: Path) -> Desk:
    root = world.ca.root.public_bytes(Encoding.PEM)
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = world.ca.certify(
        pki.CertificationRequest(key.public_key(), ("alice@example.org",)),
        profile=pki.Profile.named("mailbox"),
        serial=new_serial(),
        at=datetime.now(UTC),
    )
    office = rsa.generate_private_key(65537, 2048)
    office_certificate = world.ca.certify(
        pki.CertificationRequest(office.public_key(), ("office@example.org",)),
        profile=pki.Profile.named("mailbox"),
        serial=new_serial(),
        at=datetime.now(UTC),
    )
    files = {
        "alice.p12": alice_p12,
        "bob.pem": world.bob.recipient.to_pem(),
        "root.pem": root,
        "ca.pem": root,
        "partners-ca.pem": root,
        "letter.eml": LETTER,
        "mail.eml": LETTER,
        "c.pem": certificate.public_bytes(Encoding.PEM),
        "k.pem": key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
        "office.pem": office_certificate.public_bytes(Encoding.PEM),
        "office-key.pem": office.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
    }
    for name, content in files.items():
        (tmp_path / name).write_bytes(content)
    return Desk(tmp_path)
