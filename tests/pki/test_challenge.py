"""A certificate for a key that cannot sign: read by who holds the key, proven by the answer."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import pki
import smime
from pki import challenge, keys
from pki.authority import new_serial
from tests.support.peers import Peer

AT = datetime.now(UTC).replace(microsecond=0)  # sealing is for certificates of today


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    return pki.Authority.create("Test CA", at=AT)


def certified(ca: pki.Authority, algorithm: str) -> tuple[object, object]:
    key = keys.generate(algorithm)
    request = pki.CertificationRequest(key.public_key(), ["alice@example.org"])
    reading = pki.Profile.named("encryption")
    return key, ca.certify(request, profile=reading, serial=new_serial(), at=AT)


@pytest.mark.parametrize("algorithm", ["rsa2048", "p256", "p384"])
def test_who_holds_the_key_reads_and_answers(ca: pki.Authority, algorithm: str) -> None:
    key, certificate = certified(ca, algorithm)

    made = challenge.make(certificate, ca.chain)
    answer, certificates = challenge.read(made.sealed, key)

    assert certificates == (certificate, *ca.chain)
    assert made.agrees(answer)
    assert made.agrees(f" {answer}\n")
    assert not made.agrees(answer[:-1])
    assert not made.agrees("")


def test_who_does_not_hold_it_learns_nothing(ca: pki.Authority) -> None:
    _, certificate = certified(ca, "p256")
    made = challenge.make(certificate)

    with pytest.raises(smime.DecryptionFailed):
        challenge.read(made.sealed, keys.generate("p256"))
    assert certificate.public_bytes(Encoding.DER)[-64:] not in made.sealed
    assert repr(made) == "Challenge()"


def test_every_challenge_has_its_own_answer(ca: pki.Authority) -> None:
    key, certificate = certified(ca, "p256")
    first, second = challenge.make(certificate), challenge.make(certificate)

    assert not first.agrees(challenge.read(second.sealed, key)[0])


def test_what_is_sealed_but_no_challenge(ca: pki.Authority) -> None:
    from pki import sealed

    key, certificate = certified(ca, "p256")

    for content in (b"", b"answer: 00\n", b"answer: " + b"0" * 64 + b"\nno certificate"):
        with pytest.raises(smime.MalformedMail):
            challenge.read(sealed.seal(content, [certificate]), key)


def test_a_seal_without_a_tag_is_none(ca: pki.Authority) -> None:
    from smime.cms import enveloped

    key, certificate = certified(ca, "p256")
    reader = smime.Recipient(certificate).recipient_key
    bad = enveloped.build(b"x", [reader], cipher="aes-256-cbc", transport="rsa-oaep")

    with pytest.raises(smime.MalformedMail, match="not sealed by a CA"):
        challenge.read(bad, key)


def test_openssl_opens_a_challenge(ca: pki.Authority, openssl: Peer, tmp_path: Path) -> None:
    """A holder without this library answers just as well."""
    key, certificate = certified(ca, "rsa2048")
    made = challenge.make(certificate)
    file = tmp_path / "key.pem"
    file.write_bytes(key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()))

    said = openssl.run("cms", "-decrypt", "-inform", "DER", "-inkey", file, input=made.sealed)

    answer = said.split(b"\n")[0].decode().removeprefix("answer: ").strip()
    assert made.agrees(answer)
