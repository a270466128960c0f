"""Autocrypt: keys in header fields, gossip, and the setup message."""

from __future__ import annotations

import pytest

import smime
from smime import autocrypt

pytestmark = pytest.mark.peer("gpg")

LETTER = b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: lunch\r\n\r\nnoon\r\n"


def test_a_key_goes_with_a_mail_and_is_written_to(ring, alice, gpg):
    mail = autocrypt.announce(LETTER, alice, mutual=True)
    found = autocrypt.announced(mail)

    assert (found.address, found.mutual) == ("alice@example.org", True)
    assert max(map(len, bytes(mail).split(b"\r\n"))) <= 78
    assert mail.recipients == ("bob@example.org",)
    with smime.PgpKeyring(found.keydata) as other:
        got = other.find("alice@example.org")
        assert got.fingerprint == alice.fingerprint
        sealed = smime.encrypt(LETTER, to=got)
    assert smime.decrypt(sealed, keys=alice, trust=ring).encrypted
    again = autocrypt.announce(mail, alice)
    assert bytes(again).count(b"Autocrypt:") == 1
    assert not autocrypt.announced(again).mutual


def test_the_key_is_cut_down(gpg):
    with smime.PgpKeyring() as ring:
        carol = ring.generate("carol@example.org")
        carol = ring.add_subkey(ring.add_address(carol, "carol@example.net"), use="sign")
        mail = autocrypt.announce(LETTER.replace(b"alice", b"carol"), carol)
        with smime.PgpKeyring(autocrypt.announced(mail).keydata) as other:
            found = other.find("carol@example.org")
            assert found.user_ids == ("carol@example.org",)
            assert len(found.facts.keys) == 2


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"addr=alice@", b"addr=mallory@"),
        (b"Autocrypt: addr", b"Autocrypt: type=2; addr"),
        (b"Autocrypt: addr", b"Autocrypt: addr=x; addr"),
        (b"keydata=", b"keydata=*"),
        (b"keydata=", b"nodata="),
        (b"From: Alice", b"From: bob@example.org, Alice"),
        (b"Autocrypt: ", b"Autocrypt: nothing; "),
    ],
)
def test_what_does_not_count_is_ignored(alice, old, new):
    mail = bytes(autocrypt.announce(LETTER, alice))
    assert autocrypt.announced(mail)
    assert autocrypt.announced(mail.replace(b"Autocrypt: ", b"Autocrypt: _more=1; "))

    assert autocrypt.announced(mail.replace(old, new)) is None


def test_two_fields_are_none(alice):
    mail = bytes(autocrypt.announce(LETTER, alice))
    at = mail.index(b"Autocrypt:")
    field = mail[at : mail.index(b"\r\n\r\n") + 2]

    assert autocrypt.announced(mail[:at] + field + mail[at:]) is None


def test_only_the_senders_key_is_announced(alice, bob):
    with pytest.raises(smime.KeyProblem, match="does not name"):
        autocrypt.announce(LETTER, bob)


def test_gossip_is_inside_alone(ring, alice, bob):
    mail = LETTER.replace(b"bob@example.org", b"bob@example.org, alice@example.org")
    policy = smime.Policy.modern().replace(hidden={"Autocrypt-Gossip"})
    told = autocrypt.add_gossip(mail, [alice, bob])
    sealed = smime.protect(told, by=alice, to=bob, policy=policy)

    assert b"Autocrypt-Gossip" not in bytes(sealed)
    found = autocrypt.gossip(smime.open(sealed, keys=bob, trust=ring))
    assert {one.address for one in found} == {"bob@example.org", "alice@example.org"}
    with smime.PgpKeyring(found[0].keydata) as other:
        assert len(other) == 1
    assert autocrypt.gossip(smime.open(told, trust=ring)) == ()
    moved = bytes(told).replace(b"addr=bob@", b"addr=mallory@")
    other = smime.protect(moved, by=alice, to=bob, policy=policy)
    (left,) = autocrypt.gossip(smime.open(other, keys=bob, trust=ring))
    assert left.address == "alice@example.org"


def test_a_setup_message_moves_a_key(ring, alice, gpg):
    mail, code = autocrypt.write_setup(alice, mutual=True)

    assert len(code) == 44
    assert mail.recipients == ("alice@example.org",)
    assert code.encode() not in bytes(mail)
    with smime.PgpKeyring() as other:
        secret, mutual = autocrypt.read_setup(mail, code.replace("-", " "), other)
        assert mutual
        (found,) = other.add(secret)
        assert (found.fingerprint, found.is_secret) == (alice.fingerprint, True)
        wrong = ("1" if code[0] != "1" else "2") + code[1:]
        for bad in (wrong, "1234", ""):
            with pytest.raises(smime.DecryptionFailed):
                autocrypt.read_setup(mail, bad, other)
        for broken in (
            LETTER,
            bytes(mail).replace(b"application/autocrypt-setup", b"text/html"),
            bytes(mail).replace(b"Autocrypt-Setup-Message: v1", b"Autocrypt-Setup-Message: v2"),
        ):
            with pytest.raises(smime.MalformedMail):
                autocrypt.read_setup(broken, code, other)
