"""Bouncy Castle and we on what CMS does to a content beside signing it, both ways.

One Java program does a row of steps in one run.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import smime
from smime import cms
from tests.cms.people import person
from tests.support.peers import listed, peer

pytestmark = pytest.mark.peer("bouncycastle")

JARS = listed()["bouncycastle"]["arguments"][1]
SOURCE = Path(__file__).parent / "java/BouncyCastleContent.java"
CONTENT = b"UNH+1+ORDERS:D:96A:UN'\r\n" * 3000


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    subprocess.run(
        ["javac", "-d", folder, "-cp", JARS, SOURCE], check=True, capture_output=True, timeout=120
    )
    return folder


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the content, and certificate and key of an RSA reader as DER."""
    key, certificate = person("rsa")
    (tmp_path / "rsa.crt").write_bytes(certificate.public_bytes(Encoding.DER))
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "rsa.key").write_bytes(der)
    (tmp_path / "content").write_bytes(CONTENT)
    return tmp_path


def run(classes: Path, files: Path, *steps: str) -> dict[str, str]:
    """Let Bouncy Castle do the steps; return what it says of each, by the file it writes."""
    bouncycastle = peer("bouncycastle")
    said = bouncycastle.run("-cp", f"{JARS}:{classes}", "BouncyCastleContent", files, *steps)
    told = dict(line.split(" ", 1) for line in said.decode().splitlines())
    assert len(told) == len(steps)
    return told


@pytest.mark.confirms("both", "content:compressedData")
def test_compressed_both_ways(classes: Path, files: Path) -> None:
    (files / "ours").write_bytes(cms.compress(CONTENT))
    cms.compress(files / "content", out=files / "streamed")
    (files / "damaged").write_bytes(cms.compress(CONTENT)[:-2] + b"xx")

    told = run(
        classes,
        files,
        "compress,content,theirs",
        "expand,ours,ours-out",
        "expand,streamed,streamed-out",
        "expand,damaged,damaged-out",
    )

    assert told.pop("damaged-out").startswith("refused")
    assert set(told.values()) == {"done"}
    assert cms.decompress(files / "theirs") == CONTENT
    assert (files / "ours-out").read_bytes() == CONTENT
    assert (files / "streamed-out").read_bytes() == CONTENT


@pytest.mark.confirms("ours", "content:digestedData")
def test_digested(classes: Path, files: Path) -> None:
    (files / "ours").write_bytes(cms.digest(CONTENT))
    (files / "changed").write_bytes(cms.digest(CONTENT).replace(b"UNH+1", b"UNH+2", 1))

    told = run(classes, files, "undigest,ours,out", "undigest,changed,changed-out")

    assert told["out"] == "done"
    assert (files / "out").read_bytes() == CONTENT
    assert "digest differs" in told["changed-out"]


@pytest.mark.confirms("theirs", "content:encryptedData")
def test_encrypted(classes: Path, files: Path) -> None:
    """Read only: it gives nobody a way to open these with a plain key."""
    run(
        classes,
        files,
        "encrypt,aes-128-cbc,k128,content,c128",
        "encrypt,aes-256-cbc,k256,content,c256",
    )

    for name in ("128", "256"):
        key = cms.ContentKey((files / f"k{name}").read_bytes())
        assert cms.decrypt(files / f"c{name}", keys=key) == CONTENT


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.confirms("both", "content:authenticatedData")
def test_authenticated_both_ways(classes: Path, files: Path, digest: str) -> None:
    key, certificate = person("rsa")
    reader = smime.Identity(key, certificate)
    own = cms.attribute("1.3.6.1.4.1.99999.1", b"\x05\x00")
    ours = cms.authenticate(
        CONTENT,
        to=certificate,
        authenticated_attributes=[own],
        policy=smime.Policy(digest=digest),
    )
    (files / "ours").write_bytes(ours)
    (files / "changed").write_bytes(ours.replace(b"UNH+1", b"UNH+2", 1))
    (files / "wrong").write_bytes(ours[:-1] + bytes((ours[-1] ^ 1,)))

    told = run(
        classes,
        files,
        f"mac,rsa,hmac-{digest},none,content,bare",
        f"mac,rsa,hmac-{digest},sha256,content,attributes",
        "unmac,rsa,ours,ours-out",
        "unmac,rsa,changed,changed-out",
        "unmac,rsa,wrong,wrong-out",
    )

    assert told["ours-out"] == "done"
    assert (files / "ours-out").read_bytes() == CONTENT
    assert "differs" in told["changed-out"]
    assert "differs" in told["wrong-out"]
    for name in ("bare", "attributes"):
        blob = (files / name).read_bytes()
        opened = cms.open(blob, keys=reader)
        assert opened.content == CONTENT
        assert opened.algorithm == f"HMAC-{digest.upper()}"
        assert bool(opened.attributes) is (name == "attributes")
        with pytest.raises(smime.DecryptionFailed):
            cms.open(blob.replace(b"UNH+1", b"UNH+2", 1), keys=reader)


@pytest.mark.parametrize("cipher", ["aes-128-gcm", "aes-256-gcm", "aes-256-ccm"])
@pytest.mark.confirms("both", "cipher:{cipher}")
def test_attributes_of_sealed_content_both_ways(classes: Path, files: Path, cipher: str) -> None:
    """Who counts the attributes in under another tag or order finds another tag."""
    key, certificate = person("rsa")
    reader = smime.Identity(key, certificate)
    own = [
        cms.attribute("1.3.6.1.4.1.99999.1", b"\x0c\x0da longer text"),
        cms.attribute("1.3.6.1.4.1.99999.2", b"\x05\x00"),
    ]
    ours = cms.encrypt(
        CONTENT,
        to=certificate,
        authenticated_attributes=own,
        unprotected_attributes=own,
        policy=smime.Policy(cipher=cipher),
    )
    (files / "ours").write_bytes(ours)
    (files / "changed").write_bytes(ours.replace(b"a longer text", b"a longer tale", 1))

    told = run(
        classes,
        files,
        f"seal,rsa,{cipher},content,theirs",
        "unseal,rsa,ours,ours-out",
        "unseal,rsa,changed,changed-out",
    )

    assert told["ours-out"] == "done"
    assert (files / "ours-out").read_bytes() == CONTENT
    assert b"a longer text" in (files / "ours-out.attributes").read_bytes()
    assert told["changed-out"].startswith("refused")
    opened = cms.open(files / "theirs", keys=reader)
    assert opened.content == CONTENT
    assert {"1.3.6.1.4.1.99999.29", "1.3.6.1.4.1.99999.5"} <= set(opened.attributes)
    assert set(opened.unprotected_attributes) == {"1.3.6.1.4.1.99999.29", "1.3.6.1.4.1.99999.5"}
    blob = (files / "theirs").read_bytes()
    with pytest.raises(smime.DecryptionFailed):
        cms.open(blob.replace(b"a longer text of an", b"a longer tale of an", 1), keys=reader)


def test_unprotected_attributes_of_cbc(classes: Path, files: Path) -> None:
    _, certificate = person("rsa")
    blob = cms.encrypt(
        CONTENT,
        to=certificate,
        unprotected_attributes=[cms.attribute("1.3.6.1.4.1.99999.1", b"\x05\x00")],
    )
    (files / "ours").write_bytes(blob)

    told = run(classes, files, "unseal,rsa,ours,out")

    assert told["out"] == "done"
    assert (files / "out").read_bytes() == CONTENT
    assert len((files / "out.attributes").read_bytes()) > 10
