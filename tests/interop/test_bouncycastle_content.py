"""Bouncy Castle and we on what CMS does to a content beside signing it, both ways.

One Java program does a row of steps in one run.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

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
