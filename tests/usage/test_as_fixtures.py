"""pki as a fixture factory in the tests of a user: no disk, no passphrase, three lines."""

import pytest

import pki
import smime

ca = pki.Authority.create("Test CA")
alice, bob = ca.issue("alice@example.org"), ca.issue("bob@example.org")


def test_forged() -> None:
    mallory = pki.Authority.create("Other CA").issue("alice@example.org")
    forged = smime.sign(b"From: alice@example.org\n\nhi", by=mallory)
    with pytest.raises(smime.SignatureRejected) as refused:
        smime.verify(forged, trust=ca.anchors)
    assert refused.value.report.signatures[0].path.code == "no-anchor"


def test_from_alice_to_bob() -> None:
    sealed = smime.protect(b"From: alice@example.org\n\nhi", by=alice, to=bob)
    opened = smime.verify(sealed, keys=bob, trust=ca.anchors)
    assert opened.signer == "alice@example.org"
    assert opened.encrypted
