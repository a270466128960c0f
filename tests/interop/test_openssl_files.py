"""Large files both ways with openssl: DER, BER, pieces, and nothing in memory."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

import smime
from smime import cms
from tests.interop.people import People, make_people
from tests.support.peers import Peer
from tests.support.sources import given_as

CONTENT = os.urandom(3_000_001)
KEYS = ("rsa2048", "p256")

pytestmark = pytest.mark.peer("openssl")


@pytest.fixture(scope="module")
def people(tmp_path_factory: pytest.TempPathFactory) -> People:
    return make_people(tmp_path_factory.mktemp("people"), KEYS)


@pytest.fixture
def big(tmp_path: Path) -> Path:
    path = tmp_path / "big.bin"
    path.write_bytes(CONTENT)
    return path


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
@pytest.mark.parametrize("form", ["path", "pipe"])
def test_openssl_opens_what_was_sealed_in_pieces(
    openssl: Peer, people: People, tmp_path: Path, key: str, cipher: str, form: str
) -> None:
    reader = people.by_key[key][0]
    policy = smime.Policy.modern().replace(cipher=cipher)
    sealed = tmp_path / "sealed.der"
    cms.encrypt(given_as(form, CONTENT, tmp_path), to=reader.identity, policy=policy, out=sealed)

    opened = openssl.run(
        *("cms", "-decrypt", "-binary", "-inform", "DER", "-in", sealed),
        *("-recip", reader.cert, "-inkey", reader.key),
    )

    assert opened == CONTENT


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("cipher", ["-aes-256-cbc", "-aes-256-gcm"])
@pytest.mark.parametrize("stream", [(), ("-stream",)])
def test_what_openssl_sealed_opens_in_pieces(
    openssl: Peer,
    people: People,
    tmp_path: Path,
    big: Path,
    key: str,
    cipher: str,
    stream: tuple[str, ...],
) -> None:
    reader = people.by_key[key][0]
    sealed = tmp_path / "sealed.der"
    openssl.run(
        *("cms", "-encrypt", "-binary", cipher, *stream, "-outform", "DER", "-in", big),
        *("-out", sealed, reader.cert),
    )

    cms.decrypt(sealed, keys=reader.identity, out=tmp_path / "opened")

    assert (tmp_path / "opened").read_bytes() == CONTENT


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("detached", [False, True])
@pytest.mark.parametrize("form", ["path", "pipe"])
def test_openssl_verifies_what_was_signed_in_pieces(
    openssl: Peer,
    people: People,
    tmp_path: Path,
    big: Path,
    key: str,
    detached: bool,
    form: str,
) -> None:
    signer = people.by_key[key][0]
    signed = tmp_path / "signed.der"
    cms.sign(given_as(form, CONTENT, tmp_path), by=signer.identity, detached=detached, out=signed)

    content = openssl.run(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", signed),
        *("-CAfile", people.root, *(("-content", big) if detached else ())),
    )

    assert content == CONTENT


@pytest.mark.parametrize("key", KEYS)
@pytest.mark.parametrize("options", [(), ("-nodetach",), ("-nodetach", "-stream")])
def test_what_openssl_signed_verifies_in_pieces(
    openssl: Peer,
    people: People,
    tmp_path: Path,
    big: Path,
    key: str,
    options: tuple[str, ...],
) -> None:
    signer = people.by_key[key][0]
    signed = tmp_path / "signed.der"
    openssl.run(
        *("cms", "-sign", "-binary", "-outform", "DER", *options, "-in", big, "-out", signed),
        *("-signer", signer.cert, "-certfile", people.intermediate, "-inkey", signer.key),
    )
    beside = None if options else big

    cms.verify(signed, content=beside, trust=people.anchors, out=tmp_path / "content")

    assert (tmp_path / "content").read_bytes() == CONTENT
