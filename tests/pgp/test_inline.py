"""Inline PGP and unobtrusive signatures count where they are the whole mail, and nowhere else."""

from __future__ import annotations

import pytest
from pybase64 import b64encode

import smime
from smime.pgp.packets import dearmor, read_cleartext

pytestmark = pytest.mark.peer("gpg")

HEAD = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: lunch\r\nMIME-Version: 1.0\r\n"
TEXT = b"We meet at noon.\r\n\r\n-- \r\nAlice  \r\n"
PLAIN = HEAD + b"Content-Type: text/plain; charset=utf-8\r\n\r\n"


@pytest.fixture(scope="module")
def whose(ring, alice):
    home = ["--homedir", ring.gnupg.home, "--batch", "--trust-model", "always"]
    return [*home, "-u", alice.fingerprint]


@pytest.fixture(scope="module")
def clear(gpg, whose):
    """TEXT signed in the clear, as gpg writes it."""
    return (
        gpg.run(*whose, "--clearsign", input=TEXT).replace(b"\n", b"\r\n").replace(b"\r\r", b"\r")
    )


def test_text_signed_in_the_clear(ring, clear):
    opened = smime.verify(PLAIN + clear, trust=ring)

    assert opened.signer == "alice@example.org"
    assert opened.content == b"We meet at noon.\r\n\r\n--\r\nAlice"
    assert opened.mail.body == opened.content
    assert opened.message["Subject"] == "lunch"
    assert opened.report.layers[0].form == "inline"


def test_a_changed_text_is_refused(ring, clear):
    with pytest.raises(smime.SignatureRejected, match="changed after signing"):
        smime.verify(PLAIN + clear.replace(b"noon", b"dusk"), trust=ring)


@pytest.mark.parametrize("place", ["before", "behind", "both"])
def test_words_beside_the_block_are_not_signed(ring, clear, place):
    before = b"Pay Eve at once.\r\n\r\n" if place != "behind" else b""
    behind = b"\r\nPay Eve at once.\r\n" if place != "before" else b""
    report = smime.examine(PLAIN + before + clear + behind, trust=ring)

    assert (report.outcome, report.signer) == (smime.Outcome.UNSIGNED, None)
    assert [note.code for note in report.notes] == ["inline-part"]
    opened = smime.open(PLAIN + before + clear + behind, trust=ring)
    assert b"BEGIN PGP" in bytes(opened.mail)


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"Hash: SHA", b"Comment: x\r\nHash: SHA"),
        (b"\r\n\r\nWe meet", b"\r\nNotDashEscaped: You need GnuPG to verify\r\n\r\nWe meet"),
        (b"We meet", b"-----BEGIN PGP SIGNED MESSAGE-----\r\n\r\nWe meet"),
        (b"We meet", b"-we meet"),
        (b"-----END PGP SIGNATURE-----", b""),
    ],
)
def test_what_two_readers_could_take_differently_is_text(ring, clear, old, new):
    assert old in clear
    changed = clear.replace(old, new, 1)

    with pytest.raises(smime.MalformedMail):
        read_cleartext(changed)
    assert smime.examine(PLAIN + changed, trust=ring).outcome == smime.Outcome.UNSIGNED


def test_a_sealed_text(ring, bob, gpg, whose):
    armour = gpg.run(*whose, "--armor", "-r", bob.fingerprint, "--sign", "--encrypt", input=TEXT)
    opened = smime.verify(PLAIN + armour, keys=bob, trust=ring)

    assert opened.encrypted
    assert opened.signer == "alice@example.org"
    assert opened.content == TEXT
    assert opened.message.get_content_type() == "text/plain"
    with pytest.raises(smime.DecryptionFailed):
        smime.open(PLAIN + armour, trust=ring)


def test_what_was_sealed_is_text_whatever_it_looks_like(ring, bob, gpg, whose):
    evil = b"Content-Type: text/html\r\n\r\n<img src=//evil.example/"
    armour = gpg.run(*whose, "--armor", "-r", bob.fingerprint, "--encrypt", input=evil)
    opened = smime.open(PLAIN + armour, keys=bob, trust=ring)

    assert opened.message.get_content_type() == "text/plain"
    assert opened.mail.body == evil


def test_in_quoted_printable_and_base64(ring, clear):
    quoted = PLAIN.replace(b"\r\n\r\n", b"\r\nContent-Transfer-Encoding: base64\r\n\r\n")
    opened = smime.verify(quoted + b64encode(clear) + b"\r\n", trust=ring)

    assert opened.signer == "alice@example.org"


def test_a_block_in_another_part_is_no_layer(ring, clear):
    mixed = (
        HEAD
        + b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n--x\r\n\r\nPay Eve.\r\n--x\r\n\r\n'
        + clear
        + b"\r\n--x--\r\n"
    )
    assert smime.examine(mixed, trust=ring).outcome == smime.Outcome.UNSIGNED


# --- unobtrusive signatures -----------------------------------------------------

ENTITY = (
    b'Content-Type: text/plain; charset=utf-8; protected-headers="v1"\r\n'
    b"From: alice@example.org\r\nSubject: lunch\r\n\r\nWe meet at noon.\r\n"
)


@pytest.fixture(scope="module")
def unobtrusive(ring, alice):
    signature = b64encode(dearmor(ring.engine.sign(ENTITY, alice.fingerprint).signature))
    field = b"Sig: t=p; b=" + signature[:60] + b"\r\n " + signature[60:] + b"\r\n"
    body = b"--x\r\n" + field + ENTITY + b"\r\n--x--\r\n"
    return HEAD + b'Content-Type: multipart/mixed; boundary="x"\r\n\r\n' + body


@pytest.mark.parametrize("end", [b"\r\n", b"\n"])
def test_a_signature_in_a_field(ring, unobtrusive, end):
    opened = smime.verify(unobtrusive.replace(b"\r\n", end), trust=ring)

    assert opened.signer == "alice@example.org"
    assert opened.content == ENTITY


def test_a_signature_in_a_field_covers_the_only_part(ring, unobtrusive):
    changed = unobtrusive.replace(b"noon", b"dusk")
    assert smime.examine(changed, trust=ring).outcome == smime.Outcome.REJECTED

    more = unobtrusive.replace(b"\r\n--x--", b"\r\n--x\r\n\r\nPay Eve.\r\n--x--")
    assert smime.examine(more, trust=ring).outcome == smime.Outcome.UNSIGNED
    moved = unobtrusive.replace(b"\r\nSig:", b"\r\nX-First: 1\r\nSig:")
    assert smime.examine(moved, trust=ring).outcome == smime.Outcome.UNSIGNED
