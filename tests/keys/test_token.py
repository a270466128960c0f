"""Keys in a PKCS#11 token sign and open mail there, and do not leave it."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

import pki
import smime
from pki.authority import new_serial
from smime import cms
from smime.cms import enveloped
from smime.keys.token_key import TokenKey
from tests.support.hsm import PIN
from tests.support.peers import Peer

LETTER = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nWe meet at noon.\r\n"
)
CA = pki.Authority.create("Test CA")
GCM = smime.Policy.modern().replace(cipher="aes-256-gcm")
OAEP = GCM.replace(key_transport="rsa-oaep")


@pytest.fixture
def module(softhsm: Peer, token_module: str) -> str:
    return token_module


@pytest.fixture
def token(module: str) -> Iterator[smime.Token]:
    with smime.Token.load(module, label="Office", passphrase=PIN) as opened:
        yield opened


def certify(key: Any, address: str = "alice@example.org") -> x509.Certificate:
    request = pki.CertificationRequest(key.public_key(), (address,))
    profile = pki.Profile.named("mailbox")
    return CA.certify(request, profile=profile, serial=new_serial(), at=datetime.now(UTC))


def made(token: smime.Token, kind: str) -> tuple[smime.Identity, x509.Certificate]:
    """Return the identity of a kind, its key made at the first call."""
    try:
        key = token.key(kind)
    except smime.KeyProblem:
        key = token.generate(kind, kind)
        token.store(kind, certify(key))
    identity = token.identity(kind)
    assert identity.certificate.public_key() == key.public_key()
    return identity, identity.certificate


@pytest.mark.parametrize("kind", ["rsa2048", "p256", "p384", "p521"])
def test_mail_by_and_for_a_key_in_a_token(token: smime.Token, kind: str) -> None:
    alice, _ = made(token, kind)

    sealed = smime.protect(LETTER, by=alice, to=alice, policy=GCM)
    opened = smime.verify(sealed, keys=alice, trust=CA.anchors)

    assert opened.signer == "alice@example.org"
    assert opened.report.layers[0].opened_by == "alice@example.org"
    assert b"noon" in opened.content
    forged = bytes(smime.sign(LETTER, by=alice)).replace(b"noon", b"dusk")
    with pytest.raises(smime.SignatureRejected):
        smime.verify(forged, trust=CA.anchors)


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_pss(token: smime.Token, digest: str) -> None:
    alice, _ = made(token, "rsa2048")
    policy = smime.Policy.modern().replace(signature="rsa-pss", digest=digest)

    blob = cms.sign(b"data", by=alice, policy=policy)

    assert cms.verify(blob, trust=CA.anchors).content == b"data"


def test_what_the_token_does_for_no_message_is_said(token: smime.Token) -> None:
    """SoftHSM opens OAEP with SHA-1 alone: that is no wrong key."""
    alice, certificate = made(token, "rsa2048")
    blob = cms.encrypt(b"data", to=certificate, policy=OAEP)

    with pytest.raises(smime.NotSupported, match="token"):
        cms.decrypt(blob, keys=alice)
    assert cms.decrypt(cms.encrypt(b"data", to=certificate), keys=alice) == b"data"


def test_what_is_written_back_opens_in_the_token(token: smime.Token) -> None:
    """OAEP with SHA-256 is not announced, nor taken for the sender; all else is."""
    alice, _ = made(token, "rsa2048")
    signed = smime.sign(LETTER, by=alice)
    (contact,) = smime.verify(signed, trust=CA.anchors).contacts
    assert "aes-256-gcm" in contact.capabilities
    assert "rsa-oaep" not in contact.capabilities
    assert contact.capabilities == alice.announcing.capabilities
    ec, _ = made(token, "p256")
    assert (
        "rsa-oaep"
        in smime.verify(smime.sign(LETTER, by=ec), trust=CA.anchors).contacts[0].capabilities
    )  # of its key that says nothing

    for mail in (
        smime.encrypt(LETTER, to=contact),
        smime.protect(LETTER, by=alice, to=contact),
        smime.protect(LETTER, by=alice, to=alice.certificate),
    ):
        opened = smime.open(mail, keys=alice, trust=CA.anchors)
        assert opened.report.layers[0].algorithm == "AES-256-GCM"


def test_oaep_with_sha1(token: smime.Token) -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.asymmetric import padding

    made(token, "rsa2048")
    key = token.key("rsa2048")
    pad = padding.OAEP(padding.MGF1(hashes.SHA1()), hashes.SHA1(), None)

    assert key.decrypt(key.public_key().encrypt(b"0" * 32, pad), "rsa-oaep-sha1") == b"0" * 32
    with pytest.raises(ValueError, match="did not open"):
        key.decrypt(b"\1" * 256, "rsa-oaep-sha1")


@pytest.mark.parametrize("kind", ["rsa2048", "p256"])
def test_a_wrong_key_is_one_error(
    token: smime.Token, kind: str, caplog: pytest.LogCaptureFixture
) -> None:
    """Padding the token refuses, another key sealed in, a changed tag: one text."""
    caplog.set_level(logging.DEBUG)
    alice, certificate = made(token, kind)
    blob = cms.encrypt(b"data", to=certificate, policy=GCM)
    assert cms.decrypt(blob, keys=alice) == b"data"
    envelope = enveloped.read(blob)
    (found,) = list(envelope.sealed)
    assert found.identifier
    where = blob.index(found.identifier) + len(found.identifier)
    told = set()
    for at in (where + 40, len(blob) - 1):
        for _ in range(2):
            damaged = bytearray(blob)
            damaged[at] ^= 1
            with pytest.raises(smime.DecryptionFailed) as failed:
                cms.decrypt(bytes(damaged), keys=alice)
            told.add((str(failed.value), failed.value.hint, repr(failed.value.__cause__)))
    assert told == {(enveloped.FAILED, "", "None")}
    assert kind != "rsa2048" or "did not open" in caplog.text
    assert PIN not in caplog.text


def test_openssl_verifies_what_a_token_signed(
    token: smime.Token, openssl: Peer, tmp_path: Any
) -> None:
    from cryptography.hazmat.primitives.serialization import Encoding

    alice, _ = made(token, "p256")
    (tmp_path / "blob").write_bytes(cms.sign(b"data", by=alice))
    (tmp_path / "root").write_bytes(CA.root.public_bytes(Encoding.PEM))

    said = openssl.run(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "blob"),
        *("-CAfile", tmp_path / "root", "-purpose", "smimesign"),
    )

    assert said == b"data"


def test_the_certificate_of_a_key(token: smime.Token) -> None:
    """Given, or the one that expires last of those in the token; never another key's."""
    key = token.generate("certified")
    assert not hasattr(key, "certificate")
    with pytest.raises(smime.KeyProblem, match="no certificate") as missing:
        token.identity("certified")
    assert "token.store" in missing.value.hint

    first, other = certify(key), made(token, "p256")[1]
    assert token.identity("certified", first, CA.chain).chain == CA.chain
    token.store("certified", first)
    assert token.identity("certified").certificate == first
    for refused in (
        lambda: token.identity("certified", other),
        lambda: token.store("certified", other),
    ):
        with pytest.raises(smime.KeyProblem, match="not one of the key"):
            refused()
    newer = CA.certify(
        pki.CertificationRequest(key.public_key(), ("alice@example.org",)),
        profile=pki.Profile.named("mailbox"),
        serial=new_serial(),
        at=datetime.now(UTC).replace(year=datetime.now(UTC).year + 1, day=1),
    )
    token.store("certified", newer)
    assert token.identity("certified").certificate == newer


def test_a_key_without_its_public_half(token: smime.Token) -> None:
    """It shows by a signature that the certificate is its own."""
    import pkcs11

    key = token.generate("halved")
    certificate = certify(key)
    half = {
        pkcs11.Attribute.CLASS: pkcs11.ObjectClass.PUBLIC_KEY,
        pkcs11.Attribute.LABEL: "halved",
    }
    for found in token.alone(lambda session: list(session.get_objects(half))):
        found.destroy()

    identity = token.identity("halved", certificate)

    assert cms.verify(cms.sign(b"data", by=identity), trust=CA.anchors).content == b"data"
    with pytest.raises(smime.KeyProblem, match="no signature by the key"):
        token.identity("halved", made(token, "p256")[1])
    with pytest.raises(smime.KeyProblem, match="no public key"):
        token.key("halved")


def test_a_key_that_may_not(token: smime.Token) -> None:
    """Its attributes forbid it: said, whatever the message."""
    import pkcs11
    from pkcs11.util.ec import encode_named_curve_parameters

    def make(session: Any) -> Any:
        curve = {pkcs11.Attribute.EC_PARAMS: encode_named_curve_parameters("secp256r1")}
        parameters = session.create_domain_parameters(pkcs11.KeyType.EC, curve, local=True)
        return parameters.generate_keypair(
            label="signs", store=False, capabilities=pkcs11.MechanismFlag.SIGN
        )

    _, private = token.alone(make)
    key = TokenKey(token, "signs", private, token.key("signs").public_key())
    key.certificate = certify(key)
    blob = cms.encrypt(b"data", to=key.certificate)

    with pytest.raises(smime.KeyProblem, match="does not let the key signs agree on a secret"):
        cms.decrypt(blob, keys=key)


def test_nothing_leaves(token: smime.Token) -> None:
    alice, _ = made(token, "p256")
    key = token.key("p256")

    for kept in (token, key):
        with pytest.raises(TypeError, match="pickled"):
            pickle.dumps(kept)
    with pytest.raises(smime.KeyProblem, match="kept elsewhere"):
        alice.to_p12("passphrase")
    assert PIN not in repr(token) + repr(key) + repr(alice) + repr(alice.opening_keys)
    assert repr(token) == "<Token Office>"
    assert repr(key) == "<TokenKey p256>"


def test_threads_share_a_token(token: smime.Token) -> None:
    alice, certificate = made(token, "p256")

    def both(number: int) -> bytes:
        signed = cms.sign(b"%d" % number, by=alice)
        cms.verify(signed, trust=CA.anchors)
        return cms.decrypt(cms.encrypt(b"%d" % number, to=certificate), keys=alice)

    with ThreadPoolExecutor(4) as pool:
        assert list(pool.map(both, range(12))) == [b"%d" % number for number in range(12)]


def test_what_is_not_there_is_named(token: smime.Token, module: str) -> None:
    made(token, "p256")
    with pytest.raises(smime.KeyProblem, match="already"):
        token.generate("p256")
    with pytest.raises(smime.KeyProblem, match="no one private key with the label nobody"):
        token.identity("nobody")
    with pytest.raises(ValueError, match="ed25519"):
        token.generate("other", "ed25519")
    with pytest.raises(smime.KeyProblem, match="open in this program already"):
        smime.Token.load(module, label="Office", passphrase=PIN)
    with pytest.raises(smime.KeyProblem, match="no token Other"):
        smime.Token.load(module, label="Other", passphrase=PIN)
    with pytest.raises(OSError, match="PKCS#11"):
        smime.Token.load("/dev/null", label="Office", passphrase=PIN)
    with pytest.raises(smime.NotSupported, match="md5"):
        token.key("p256").sign(b"", "rsa-pss-md5")


@pytest.mark.parametrize("pin", ["4321", "", "1234 ", lambda: b"0000", b"\xff"])
def test_a_wrong_pin_is_refused_and_not_told(module: str, pin: Any) -> None:
    with pytest.raises(smime.KeyProblem, match="PIN") as refused:
        smime.Token.load(module, label="Office", passphrase=pin)
    assert "4321" not in str(refused.value) + repr(refused.value.__cause__)
    smime.Token.load(module, label="Office", passphrase=lambda: PIN).close()


def test_a_closed_token_does_no_more(module: str) -> None:
    with smime.Token.load(module, label="Office", passphrase=PIN.encode()) as token:
        alice, certificate = made(token, "p256")
        blob = cms.encrypt(b"data", to=certificate)
        assert cms.decrypt(blob, keys=alice) == b"data"
    token.close()

    assert repr(token) == "<Token Office, closed>"
    for use in (lambda: cms.sign(b"data", by=alice), lambda: cms.decrypt(blob, keys=alice)):
        with pytest.raises(smime.KeyProblem, match="closed"):
            use()


def test_what_is_no_key_of_the_token_is_refused(token: smime.Token) -> None:
    made(token, "p256")
    key = token.key("p256")
    other = ec.generate_private_key(ec.SECP384R1()).public_key()
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    with pytest.raises(ValueError, match="did not open"):
        key.agree(other.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo))
