"""Keys in a PKCS#11 token, by the commands: they sign and open there."""

from __future__ import annotations

import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki.authority import new_serial
from smime.cli import passphrase
from tests.cli.stories import Done, Stage
from tests.support.hsm import PIN
from tests.support.peers import Peer

KEYS = {"alice": "p256", "alice-rsa": "rsa2048", "uncertified": "p256"}


@pytest.fixture(scope="module")
def ca(token_module: str) -> pki.Authority:
    """Make the keys in the token, with certificates for all but one."""
    made = pki.Authority.create("Token CA")
    with smime.Token.load(token_module, label="Desk", passphrase=PIN) as token:
        for label, kind in KEYS.items():
            key = token.generate(label, kind)
            if label != "uncertified":
                token.store(label, certify(made, key.public_key()))
    return made


def certify(ca: pki.Authority, public: Any) -> x509.Certificate:
    request = pki.CertificationRequest(public, ("alice@example.org",))
    profile = pki.Profile.named("mailbox")
    return ca.certify(request, profile=profile, serial=new_serial(), at=datetime.now(UTC))


@pytest.fixture
def desk(stage: Stage, ca: pki.Authority, token_module: str, softhsm: Peer) -> Stage:
    """The folder, with the CA's root and the PIN in files, the token's module as ``$MODULE``."""
    Path("ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))
    Path("pin").write_text(f"{PIN}\n")
    Path("wrong-pin").write_text("4321\n")
    stage.env["DESK_PIN"] = PIN
    stage.env["MODULE"] = token_module
    return stage


def run(desk: Stage, line: str, *more: str) -> Done:
    words = [word.replace("$MODULE", desk.env["MODULE"]) for word in (*line.split(), *more)]
    desk.last = desk.here(*words)
    return desk.last


TOKEN = "--token $MODULE --token-label Desk"


@pytest.mark.parametrize("label", ["alice", "alice-rsa"])
def test_a_mail_there_and_back(desk: Stage, label: str) -> None:
    """Signed and sealed by one key in the token; it opens it with any of the commands."""
    by = f"{TOKEN} -i {label} --passphrase-file pin"
    assert run(desk, f"sign {by} letter.eml -o signed.eml").status == 0
    assert run(desk, "verify --ca ca.pem signed.eml").status == 0
    assert run(desk, f"protect {by} -t bob.pem letter.eml -o sealed.eml").status == 0
    assert b"noon" not in Path("sealed.eml").read_bytes()

    opened = run(desk, f"decrypt {by} --ca ca.pem sealed.eml")
    assert opened.status == 0
    assert b"We meet at noon." in opened.stdout
    assert b"signed by alice@example.org (good)" in opened.stderr
    assert run(desk, f"verify {by} --ca ca.pem sealed.eml").status == 0
    assert b"We meet at noon." in run(desk, f"open {by} --ca ca.pem sealed.eml").stdout
    assert run(desk, "decrypt -i bob-id.pem --ca ca.pem sealed.eml").status == 0
    assert run(desk, "decrypt -i carol-id.pem sealed.eml").status == 6


def test_where_the_pin_comes_from(desk: Stage, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file, a variable, the terminal; without any of them it is an error at once."""
    line = f"sign {TOKEN} -i alice letter.eml -o signed.eml"
    assert run(desk, line, "--passphrase-env", "DESK_PIN").status == 0
    asked: list[str] = []
    monkeypatch.setattr(passphrase, "_has_terminal", lambda: True)
    monkeypatch.setattr("getpass.getpass", lambda prompt: asked.append(prompt) or PIN)
    assert run(desk, line).status == 0
    assert asked == ["Passphrase of the token Desk: "]

    Path("signed.eml").unlink()
    monkeypatch.setattr(passphrase, "_has_terminal", lambda: False)
    refused = run(desk, line)
    assert refused.status == 5
    assert b"the token Desk needs a passphrase" in refused.stderr
    wrong = run(desk, line, "--passphrase-file", "wrong-pin")
    assert wrong.status == 5
    assert b"does not take this PIN" in wrong.stderr
    assert b"4321" not in wrong.stderr
    assert not Path("signed.eml").exists()
    assert run(desk, line, "--passphrase-file", "pin").status == 0  # it was not locked


def test_a_certificate_beside_the_token(desk: Stage, ca: pki.Authority) -> None:
    """--certificate gives the key's, and the ones above it travel along."""
    by = f"{TOKEN} -i uncertified --passphrase-file pin"
    missing = run(desk, f"sign {by} letter.eml")
    assert (missing.status, missing.stdout) == (5, b"")
    assert b"holds no certificate" in missing.stderr
    with smime.Token.load(desk.env["MODULE"], label="Desk", passphrase=PIN) as token:
        own = certify(ca, token.key("uncertified").public_key())
    pem = [one.public_bytes(Encoding.PEM) for one in (own, *ca.chain)]
    Path("own.pem").write_bytes(b"".join(pem))

    assert run(desk, f"sign {by} --certificate own.pem letter.eml -o signed.eml").status == 0
    assert run(desk, "verify --ca ca.pem signed.eml").status == 0
    other = run(desk, f"sign {by} --certificate bob.pem letter.eml")
    assert other.status == 5
    assert b"not one of the key" in other.stderr


@pytest.mark.parametrize(
    ("line", "status", "said"),
    [
        ("sign --token $MODULE -i alice letter.eml", 2, b"belong together"),
        ("sign --token-label Desk -i alice letter.eml", 2, b"belong together"),
        (f"sign {TOKEN} --pgp -i alice letter.eml", 2, b"OpenPGP"),
        (f"open {TOKEN} --ca ca.pem letter.eml", 2, b"-i names it"),
        (f"sign {TOKEN} -i alice -i alice-rsa --certificate bob.pem letter.eml", 2, b"exactly one"),
        (f"sign {TOKEN} -i nobody --passphrase-file pin letter.eml", 5, b"nobody"),
        (
            "sign --token $MODULE --token-label Shelf -i alice --passphrase-file pin letter.eml",
            5,
            b"no token Shelf",
        ),
        (
            "sign --token letter.eml --token-label Desk -i alice --passphrase-file pin letter.eml",
            8,
            b"no PKCS#11 module",
        ),
    ],
)
def test_refusals(desk: Stage, line: str, status: int, said: bytes) -> None:
    """In one line, and nothing is written."""
    before = set(os.listdir())
    done = run(desk, line)

    assert done.status == status
    assert said in done.stderr
    assert done.stdout == b""
    assert set(os.listdir()) == before
