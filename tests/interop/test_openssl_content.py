"""`openssl cms` and we: EncryptedData and DigestedData, both ways, and what each refuses."""

from __future__ import annotations

from itertools import product
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from smime import cms
from smime.cms import algorithms as alg
from smime.cms import enveloped, recipients
from tests.cms.people import person
from tests.support.peers import Peer

pytestmark = pytest.mark.peer("openssl")

TEXT = b"We meet at noon.\r\n" * 500
LEGACY = smime.Policy.legacy_read()


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def stream(form: str) -> list[str]:
    return ["-stream", "-indef"] if form == "BER" else []


@pytest.mark.parametrize(("octets", "form"), list(product([16, 24, 32], ["DER", "BER"])))
@pytest.mark.confirms("both", "content:encryptedData")
def test_encrypted(openssl: Peer, tmp_path: Path, octets: int, form: str) -> None:
    key = bytes(range(octets))
    text = written(tmp_path / "text", TEXT)
    common = ["cms", "-binary", "-secretkey", key.hex()]

    theirs = openssl.run(
        *common, "-EncryptedData_encrypt", f"-aes-{octets * 8}-cbc", *stream(form),
        "-in", text, "-outform", "DER",
    )  # fmt: skip
    assert cms.decrypt(theirs, keys=cms.ContentKey(key)) == TEXT
    assert cms.open(written(tmp_path / "theirs", theirs), keys=cms.ContentKey(key)).content == TEXT

    ours = cms.encrypt(TEXT, to=cms.ContentKey(key))
    if form == "BER":
        from tests.fuzz.structures import Pipe

        ours = cms.encrypt(Pipe(TEXT), to=cms.ContentKey(key))  # type: ignore[call-overload]
        assert ours[1] == 0x80
    opened = openssl.run(
        *common, "-EncryptedData_decrypt", "-inform", "DER", "-in", written(tmp_path / "p", ours)
    )
    assert opened == TEXT
    other = openssl.attempt(
        "cms", "-binary", "-secretkey", bytes(octets).hex(), "-EncryptedData_decrypt",
        "-inform", "DER", "-in", tmp_path / "p",
    )  # fmt: skip
    assert other.returncode != 0 or other.stdout != TEXT


@pytest.mark.confirms("theirs", "cipher:3des-cbc")
def test_encrypted_with_3des_is_for_old_archives(openssl: Peer, tmp_path: Path) -> None:
    key = bytes(range(24))
    theirs = openssl.run(
        "cms", "-binary", "-secretkey", key.hex(), "-EncryptedData_encrypt", "-des3",
        "-in", written(tmp_path / "text", TEXT), "-outform", "DER",
    )  # fmt: skip

    assert cms.decrypt(theirs, keys=cms.ContentKey(key), policy=LEGACY) == TEXT
    with pytest.raises(smime.NotSupported, match="3DES-CBC is too weak"):
        cms.decrypt(theirs, keys=cms.ContentKey(key))


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("where", ["inside", "beside"])
@pytest.mark.confirms("both", "content:digestedData", "digest:{digest}")
def test_digested(openssl: Peer, tmp_path: Path, digest: str, where: str) -> None:
    text = written(tmp_path / "text", TEXT)
    beside = [] if where == "inside" else ["-content", text]

    theirs = openssl.run(  # which puts the content inside whatever is asked
        "cms", "-digest_create", "-md", digest, "-binary", "-in", text, "-outform", "DER"
    )
    opened = cms.open(theirs)
    assert (opened.content, opened.algorithm) == (TEXT, digest.upper())
    with pytest.raises(smime.MalformedMail):
        cms.open(theirs.replace(b"noon", b"dusk", 1))

    ours = cms.digest(TEXT, detached=where == "beside", policy=smime.Policy(digest=digest))
    for blob, good in ((ours, True), (ours[:-1] + bytes((ours[-1] ^ 1,)), False)):
        done = openssl.attempt(
            "cms", "-digest_verify", "-binary", "-inform", "DER", *beside,
            "-in", written(tmp_path / "ours", blob), "-out", tmp_path / "out",
        )  # fmt: skip
        assert (done.returncode == 0) is good
        assert not good or (tmp_path / "out").read_bytes() == TEXT


@pytest.mark.parametrize("kind", ["p256", "p384", "brainpool256"])
def test_old_key_agreement_wraps_by_3des(openssl: Peer, tmp_path: Path, kind: str) -> None:
    """Archives of OpenSSL 1.1 are full of it; read by policy alone."""
    key, certificate = person(kind)
    cert = written(tmp_path / "crt", certificate.public_bytes(Encoding.PEM))
    theirs = openssl.run(
        "cms", "-encrypt", "-binary", "-des3", "-in", written(tmp_path / "text", TEXT),
        "-outform", "DER", "-recip", cert,
    )  # fmt: skip
    assert alg.WRAP_3DES in theirs

    for one in (cms.OpeningKey(key), cms.OpeningKey(key, certificate)):
        assert cms.decrypt(theirs, keys=one, policy=LEGACY) == TEXT
        with pytest.raises(smime.NotSupported, match="too weak"):
            cms.decrypt(theirs, keys=one)
    stranger = person(kind, 1)
    with pytest.raises(smime.DecryptionFailed, match="not sealed for any"):
        cms.decrypt(theirs, keys=cms.OpeningKey(*stranger), policy=LEGACY)


def test_a_weak_wrap_around_a_strong_cipher_is_weak(openssl: Peer, tmp_path: Path) -> None:
    key, certificate = person("p256")
    cert = written(tmp_path / "crt", certificate.public_bytes(Encoding.PEM))
    theirs = openssl.run(
        "cms", "-encrypt", "-binary", "-des3", "-in", written(tmp_path / "text", TEXT),
        "-outform", "DER", "-recip", cert,
    )  # fmt: skip
    policy = smime.Policy(weak=["3des-cbc"])

    assert cms.decrypt(theirs, keys=cms.OpeningKey(key), policy=policy) == TEXT
    sealed = enveloped.read(theirs).sealed
    with pytest.raises(smime.NotSupported, match="3DES-CBC is too weak"):
        recipients.unwrapped(sealed, [cms.OpeningKey(key)], 24, smime.Policy.modern())
    assert len(recipients.unwrapped(sealed, [cms.OpeningKey(key)], 24, policy)) == 1
