"""Bouncy Castle and we on signatures: PSS, EdDSA, ECDSA, countersignatures, both ways.

One small Java program, compiled once, does its half; it takes a folder at a time.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smime import Policy
from smime.cms import add_signer, countersign, signatures, signed
from tests.cms.signers import AT, certificate_of, identity, key_of, signing_key
from tests.support.peers import Peer, listed, peer

pytestmark = pytest.mark.peer("bouncycastle")

CONTENT = b"We meet at noon.\r\n"
MODERN = Policy.modern()
PSS = MODERN.replace(signature="rsa-pss")
JARS = listed()["bouncycastle"]["arguments"][1]
SOURCE = Path(__file__).parent / "java/BouncyCastle.java"
KINDS = ("rsa", "p256", "p384", "bp256", "ed25519", "ed448")


@pytest.fixture
def bouncycastle() -> Peer:
    return peer("bouncycastle")


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    subprocess.run(
        ["javac", "-d", folder, "-cp", JARS, SOURCE],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the content, and certificate and key of each signer as DER."""
    for kind in KINDS:
        certificate = certificate_of(kind).public_bytes(Encoding.DER)
        (tmp_path / f"{kind}.crt").write_bytes(certificate)
        key = key_of(kind).private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{kind}.key").write_bytes(key)
    (tmp_path / "content").write_bytes(CONTENT)
    return tmp_path


def run(bouncycastle: Peer, classes: Path, *arguments: str | Path) -> str:
    return bouncycastle.run("-cp", f"{JARS}:{classes}", "BouncyCastle", *arguments).decode()


def made(*kinds: str, policy: Policy = MODERN) -> bytes:
    keys = [signing_key(kind) for kind in kinds]
    return signed.build(CONTENT, keys, detached=False, at=AT, policy=policy)[0]


def check_of(blob: bytes) -> signatures.CheckedSignature:
    data = signatures.read(blob)
    assert data.content == CONTENT
    (check,) = signatures.check(data, signatures.Content(CONTENT), policy=MODERN)
    return check


@pytest.mark.confirms(
    "ours",
    "signature:rsa",
    "signature:rsa-pss",
    "signature:ec",
    "signature:ed25519",
    "signature:ed448",
    "digest:sha384",
    "digest:sha512",
)
def test_ours_to_bouncy_castle(bouncycastle: Peer, classes: Path, files: Path) -> None:
    """A folder of messages, each beside a copy with one letter changed."""
    messages = {
        **{kind: made(kind) for kind in KINDS},
        "pss256": made("rsa", policy=PSS),
        "pss384": made("rsa", policy=PSS.replace(digest="sha384")),
        "pss512-cades": made("rsa", policy=PSS.replace(digest="sha512", cades=True)),
        "two": made("rsa", "p384"),
        "added": add_signer(made("p256"), by=identity("ed25519"), at=AT),
        "bare": signed.build(
            CONTENT, [signing_key("rsa")], detached=False, at=AT, policy=PSS, attributes=False
        )[0],
        **{
            f"counter-{kind}": countersign(made("rsa"), by=identity(kind), policy=PSS, at=AT)
            for kind in KINDS
            if kind != "rsa"
        },
    }
    for name, blob in messages.items():
        (files / f"{name}.der").write_bytes(blob)
        (files / f"{name}-changed.der").write_bytes(blob.replace(b"noon", b"dusk"))

    told = dict(
        line.split(" ", 1) for line in run(bouncycastle, classes, "check", files).splitlines()
    )

    assert len(told) == 2 * len(messages)
    for name in messages:
        signers = 2 if name in ("two", "added") else 1
        above = "[right]" if name.startswith("counter-") else ""
        assert told[f"{name}.der"] == " ".join(["right" + above] * signers), name
        assert told[f"{name}-changed.der"] == " ".join(["wrong" + above] * signers), name


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [
        ("rsa", "SHA256withRSA"),
        ("rsa", "SHA256withRSAandMGF1"),
        ("rsa", "SHA512withRSAandMGF1"),
        ("rsa", "SHA3-256withRSA"),
        ("rsa", "SHA3-512withRSAandMGF1"),
        ("p256", "SHA256withECDSA"),
        ("p384", "SHA3-384withECDSA"),
        ("bp256", "SHA256withECDSA"),
        ("ed25519", "Ed25519"),
        ("ed448", "Ed448"),
    ],
)
@pytest.mark.confirms(
    "theirs",
    "signature:{kind}",
    "signature:rsa-pss",
    "digest:sha3-256",
    "digest:sha3-384",
    "digest:sha3-512",
)
def test_bouncy_castle_to_us(
    bouncycastle: Peer, classes: Path, files: Path, kind: str, algorithm: str
) -> None:
    run(bouncycastle, classes, "sign", files, algorithm, kind, "out")
    blob = (files / "out").read_bytes()

    check = check_of(blob)

    assert check.holds
    assert check.certificate == certificate_of(kind)
    (changed,) = signatures.check(
        signatures.read(blob), signatures.Content(CONTENT + b"!"), policy=MODERN
    )
    assert changed.intact.code == "digest-differs"


@pytest.mark.parametrize(
    ("kind", "algorithm"),
    [("p256", "SHA256withECDSA"), ("ed25519", "Ed25519"), ("rsa", "SHA256withRSAandMGF1")],
)
def test_bouncy_castle_countersigns(
    bouncycastle: Peer, classes: Path, files: Path, kind: str, algorithm: str
) -> None:
    (files / "blob").write_bytes(made("p384"))
    run(bouncycastle, classes, "sign", files, algorithm, kind, "out", "blob")

    check = check_of((files / "out").read_bytes())

    assert check.holds
    (counter,) = check.countersignatures
    assert counter.holds
    assert counter.certificate == certificate_of(kind)
