"""OpenSSL 3.5 and we on what its predecessors lack: Ed25519, Ed448, ML-DSA, SHA-3, both ways."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smime import Policy
from smime.cms import add_signer, signatures, signed
from tests.cms.signers import AT, certificate_of, identity, key_of, root, signing_key
from tests.support.peers import Peer, peer

pytestmark = pytest.mark.peer("openssl35")

CONTENT = b"We meet at noon.\r\n"
MODERN = Policy.modern()
PSS = MODERN.replace(signature="rsa-pss")
KINDS = ("rsa", "p256", "ed25519", "ed448", "ml-dsa-44", "ml-dsa-65", "ml-dsa-87")


@pytest.fixture
def openssl35() -> Peer:
    return peer("openssl35")


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the root, and certificate and key of each signer as PEM."""
    (tmp_path / "root.pem").write_bytes(root().public_bytes(Encoding.PEM))
    for kind in KINDS:
        pem = certificate_of(kind).public_bytes(Encoding.PEM)
        (tmp_path / f"{kind}.crt").write_bytes(pem)
        key = key_of(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{kind}.key").write_bytes(key)
    (tmp_path / "content").write_bytes(CONTENT)
    return tmp_path


def accepts(openssl35: Peer, files: Path, blob: bytes) -> bool:
    (files / "blob").write_bytes(blob)
    done = openssl35.attempt(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", files / "blob"),
        *("-CAfile", files / "root.pem", "-purpose", "smimesign"),
        *("-attime", str(int(AT.timestamp()))),
    )
    return done.returncode == 0 and done.stdout == CONTENT


@pytest.mark.parametrize("kind", [kind for kind in KINDS if kind != "ed448"])
@pytest.mark.confirms(
    "ours",
    "signature:rsa-pss",
    "signature:ec",
    "signature:ed25519",
    "signature:ml-dsa-44",
    "signature:ml-dsa-65",
    "signature:ml-dsa-87",
)
def test_ours_to_openssl(openssl35: Peer, files: Path, kind: str) -> None:
    blob, _ = signed.build(CONTENT, [signing_key(kind)], detached=False, at=AT, policy=PSS)

    assert accepts(openssl35, files, blob)
    assert not accepts(openssl35, files, blob.replace(b"noon", b"dusk"))


def test_signers_of_several_kinds(openssl35: Peer, files: Path) -> None:
    first, _ = signed.build(
        CONTENT, [signing_key("rsa"), signing_key("ml-dsa-65")], detached=False, at=AT, policy=PSS
    )

    assert accepts(openssl35, files, add_signer(first, by=identity("ed25519"), at=AT))


@pytest.mark.parametrize(
    ("kind", "digest"),
    [
        ("ed25519", "sha512"),
        ("ed448", "shake256"),  # and it does not read the identifier that RFC 8419 asks for
        ("ml-dsa-44", "sha512"),
        ("ml-dsa-44", "sha256"),
        ("ml-dsa-65", "sha512"),
        ("ml-dsa-65", "sha3-512"),
        ("ml-dsa-87", "sha512"),
        ("p256", "sha3-256"),
        ("rsa", "sha3-384"),
    ],
)
@pytest.mark.confirms("theirs", "signature:{kind}", "digest:{digest}")
def test_openssl_to_us(openssl35: Peer, files: Path, kind: str, digest: str) -> None:
    blob = openssl35.run(
        *("cms", "-sign", "-binary", "-nodetach", "-in", files / "content", "-outform", "DER"),
        *("-md", digest, "-signer", files / f"{kind}.crt", "-inkey", files / f"{kind}.key"),
    )

    data = signatures.read(blob)
    (check,) = signatures.check(data, signatures.Content(CONTENT), policy=MODERN)

    assert data.content == CONTENT
    assert check.holds
    assert check.digest_algorithm == digest
    (changed,) = signatures.check(data, signatures.Content(CONTENT + b"!"), policy=MODERN)
    assert changed.intact.code == "digest-differs"
