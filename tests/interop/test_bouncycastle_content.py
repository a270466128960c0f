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
@pytest.mark.confirms("theirs", "content:encryptedData")
def test_digested_and_encrypted(classes: Path, files: Path) -> None:
    """Encrypted is read only: it gives nobody a way to open these with a plain key."""
    (files / "ours").write_bytes(cms.digest(CONTENT))
    (files / "changed").write_bytes(cms.digest(CONTENT).replace(b"UNH+1", b"UNH+2", 1))

    told = run(
        classes,
        files,
        "undigest,ours,out",
        "undigest,changed,changed-out",
        "encrypt,aes-128-cbc,k128,content,c128",
        "encrypt,aes-256-cbc,k256,content,c256",
    )

    assert told["out"] == "done"
    assert (files / "out").read_bytes() == CONTENT
    assert "digest differs" in told["changed-out"]
    for name in ("128", "256"):
        key = cms.ContentKey((files / f"k{name}").read_bytes())
        assert cms.decrypt(files / f"c{name}", keys=key) == CONTENT


@pytest.mark.confirms("both", "content:authenticatedData")
def test_authenticated_both_ways(classes: Path, files: Path) -> None:
    key, certificate = person("rsa")
    reader = smime.Identity(key, certificate)
    own = cms.attribute("1.3.6.1.4.1.99999.1", b"\x05\x00")
    digests = ("sha256", "sha384", "sha512")
    steps = []
    for name in digests:
        ours = cms.authenticate(
            CONTENT,
            to=certificate,
            authenticated_attributes=[own],
            policy=smime.Policy(digest=name),
        )
        (files / f"ours-{name}").write_bytes(ours)
        (files / f"changed-{name}").write_bytes(ours.replace(b"UNH+1", b"UNH+2", 1))
        (files / f"wrong-{name}").write_bytes(ours[:-1] + bytes((ours[-1] ^ 1,)))
        steps += [
            f"unmac,rsa,{one}-{name},{one}-{name}-out" for one in ("ours", "changed", "wrong")
        ]
        steps += [
            f"mac,rsa,hmac-{name},none,content,bare-{name}",
            f"mac,rsa,hmac-{name},sha256,content,attributes-{name}",
        ]

    told = run(classes, files, *steps)

    for name in digests:
        assert told[f"ours-{name}-out"] == "done"
        assert (files / f"ours-{name}-out").read_bytes() == CONTENT
        assert "differs" in told[f"changed-{name}-out"]
        assert "differs" in told[f"wrong-{name}-out"]
        for form in ("bare", "attributes"):
            blob = (files / f"{form}-{name}").read_bytes()
            opened = cms.open(blob, keys=reader)
            assert opened.content == CONTENT
            assert opened.algorithm == f"HMAC-{name.upper()}"
            assert bool(opened.attributes) is (form == "attributes")
            with pytest.raises(smime.DecryptionFailed):
                cms.open(blob.replace(b"UNH+1", b"UNH+2", 1), keys=reader)


@pytest.mark.confirms("both", "cipher:aes-128-gcm", "cipher:aes-256-gcm", "cipher:aes-256-ccm")
def test_attributes_of_sealed_content_both_ways(classes: Path, files: Path) -> None:
    """Who counts the attributes in under another tag or order finds another tag."""
    key, certificate = person("rsa")
    reader = smime.Identity(key, certificate)
    own = [
        cms.attribute("1.3.6.1.4.1.99999.1", b"\x0c\x0da longer text"),
        cms.attribute("1.3.6.1.4.1.99999.2", b"\x05\x00"),
    ]
    steps = []
    ciphers = ("aes-128-gcm", "aes-256-gcm", "aes-256-ccm", "aes-256-cbc")
    for cipher in ciphers:
        ours = cms.encrypt(
            CONTENT,
            to=certificate,
            authenticated_attributes=() if cipher.endswith("cbc") else own,
            unprotected_attributes=own,
            policy=smime.Policy(cipher=cipher),
        )
        (files / f"ours-{cipher}").write_bytes(ours)
        # Of CBC these are unprotected, and nobody minds.
        changed = ours.replace(b"a longer text", b"a longer tale", 1)
        (files / f"changed-{cipher}").write_bytes(changed)
        steps += [f"unseal,rsa,{one}-{cipher},{one}-{cipher}-out" for one in ("ours", "changed")]
        if not cipher.endswith("cbc"):
            steps.append(f"seal,rsa,{cipher},content,theirs-{cipher}")

    told = run(classes, files, *steps)

    for cipher in ciphers:
        assert told[f"ours-{cipher}-out"] == "done"
        assert (files / f"ours-{cipher}-out").read_bytes() == CONTENT
        assert b"a longer text" in (files / f"ours-{cipher}-out.attributes").read_bytes()
        if cipher.endswith("cbc"):
            assert told[f"changed-{cipher}-out"] == "done"
            continue
        assert told[f"changed-{cipher}-out"].startswith("refused")
        opened = cms.open(files / f"theirs-{cipher}", keys=reader)
        assert opened.content == CONTENT
        theirs = {"1.3.6.1.4.1.99999.29", "1.3.6.1.4.1.99999.5"}
        assert theirs <= set(opened.attributes)
        assert set(opened.unprotected_attributes) == theirs
        blob = (files / f"theirs-{cipher}").read_bytes()
        with pytest.raises(smime.DecryptionFailed):
            cms.open(blob.replace(b"a longer text of an", b"a longer tale of an", 1), keys=reader)
