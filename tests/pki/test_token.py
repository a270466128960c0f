"""A CA whose key is in a token: the same certificates, and no way to take the key out."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from cryptography import x509

import pki
import smime
from pki import ceremony, keys
from pki.token import Token
from tests.support.hsm import PIN
from tests.support.peers import Peer

AT = datetime(2030, 6, 1, 12, tzinfo=UTC)
LETTER = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nhi\r\n"


@pytest.fixture
def module(softhsm: Peer, token_module: str) -> str:
    return token_module


@pytest.fixture
def token(module: str) -> Iterator[Token]:
    with Token.open(module, label="Club", pin=PIN) as opened:
        yield opened


@pytest.mark.parametrize("algorithm", ["p256", "p384", "rsa3072"])
def test_a_ca_in_a_token(token: Token, algorithm: str) -> None:
    """Its root, its users, its revocation list: all as with a key in a file."""
    label = f"ca-{algorithm}"
    made = token.generate(label, algorithm)
    found = token.key(label)
    root = pki.Authority.create("Test CA", key=found, at=AT)

    alice = root.issue("alice@example.org", at=AT)

    assert made.public_key() == found.public_key()
    assert keys.key_name(found.public_key()) == algorithm
    assert keys.certifies(found)
    root.certificate.verify_directly_issued_by(root.certificate)
    mail = smime.sign(LETTER, by=alice, at=AT)
    assert smime.verify(mail, trust=root.anchors, at=AT).signer == "alice@example.org"
    crl = x509.load_der_x509_crl(root.crl(alice.certificate, at=AT))
    assert crl.is_signature_valid(root.certificate.public_key())


def test_a_key_in_a_token_meets_an_offline_root(token: Token) -> None:
    root = pki.Authority.create("Root", at=AT)
    key, request = ceremony.ask("Club CA", key=token.generate("offline"))

    ca = ceremony.accept(key, ceremony.certify(root, request, name="Club CA", at=AT))

    ca.issue("alice@example.org", at=AT).certificate.verify_directly_issued_by(ca.certificate)


def test_the_key_stays(token: Token) -> None:
    key = token.generate("stays")

    for take in (
        lambda: key.private_numbers(),
        lambda: key.private_bytes(None, None, None),
        lambda: keys.seal(key, b"secret"),
    ):
        with pytest.raises(smime.KeyProblem, match="does not leave"):
            take()
    with pytest.raises(TypeError, match="pickled"):
        pickle.dumps(key)
    assert PIN not in repr(key) + repr(token)


def test_threads_share_a_token(token: Token) -> None:
    root = pki.Authority.create("Test CA", key=token.generate("shared"), at=AT)

    with ThreadPoolExecutor(4) as pool:
        made = list(pool.map(lambda n: root.issue(f"u{n}@example.org", at=AT), range(20)))

    for one in made:
        one.certificate.verify_directly_issued_by(root.certificate)


def test_what_is_not_there_is_named(token: Token, module: str) -> None:
    token.generate("twice")
    with pytest.raises(pki.RequestRefused, match="already"):
        token.generate("twice")
    with pytest.raises(pki.NoAuthority, match="nobody"):
        token.key("nobody")
    with pytest.raises(ValueError, match="ed25519"):
        token.generate("other", "ed25519")
    with pytest.raises(pki.NoAuthority, match="already"):
        Token.open(module, label="Club", pin="4321")
    with pytest.raises(pki.NoAuthority, match="Other"):
        Token.open(module, label="Other", pin=PIN)
    with pytest.raises(OSError, match="PKCS#11"):
        Token.open("/dev/null", label="Club", pin=PIN)


@pytest.mark.parametrize("pin", ["4321", "", "1234 ", lambda: b"0000"])
def test_a_wrong_pin_is_refused(module: str, pin: object) -> None:
    with pytest.raises(pki.WrongPassphrase, match="PIN"):
        Token.open(module, label="Club", pin=pin)
    Token.open(module, label="Club", pin=PIN).close()


def test_a_closed_token_signs_no_more(module: str) -> None:
    with Token.open(module, label="Club", pin=lambda: PIN.encode()) as token:
        root = pki.Authority.create("Test CA", key=token.generate("closed"), at=AT)
    token.close()

    with pytest.raises(smime.KeyProblem, match="Club is closed"):
        root.issue("alice@example.org", at=AT)
