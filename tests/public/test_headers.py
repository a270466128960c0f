"""Header protection (RFC 9788): what is hidden outside, restored inside, and whose From counts."""

from __future__ import annotations

import pytest

import smime
from tests.support.world import World

MAIL = (
    b"From: Alice <alice@example.org>\r\n"
    b"To: bob@example.org\r\n"
    b"Cc: carol@example.org\r\n"
    b"Subject: the price is 7\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <price-1@example.org>\r\n"
    b"Keywords: price\r\n"
    b"Received: from here by there; Tue, 24 Nov 2026 12:00:01 +0000\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n"
    b"\r\n"
    b"at noon\r\n"
)
NOBODY = smime.NoTrust()


def outside(mail: smime.Mail) -> bytes:
    return bytes(mail).partition(b"\r\n\r\n")[0]


@pytest.mark.parametrize("signed", [False, True])
def test_the_subject_is_hidden_outside_and_restored_inside(world: World, signed: bool) -> None:
    sealed = (
        smime.protect(MAIL, by=world.alice, to=world.bob)
        if signed
        else smime.encrypt(MAIL, to=world.bob)
    )

    opened = smime.decrypt(sealed, keys=world.bob, trust=world.anchors)

    assert b"Subject: [...]\r\n" in outside(sealed)
    assert b"price is 7" not in outside(sealed)
    assert b"Keywords" not in outside(sealed)
    assert opened.message["Subject"] == "the price is 7"
    assert opened.message["Keywords"] == "price"
    assert opened.message["Message-ID"] == "<price-1@example.org>"
    assert opened.message["Cc"] == "carol@example.org"
    assert opened.message.get_all("From") == ["Alice <alice@example.org>"]
    assert len(opened.message.get_all("Received", [])) == 1
    assert opened.message.get_content().splitlines() == ["at noon"]
    assert "HP-Outer" not in opened.message
    assert sealed.recipients == ("bob@example.org", "carol@example.org")


def test_a_policy_without_header_protection(world: World) -> None:
    policy = smime.Policy.modern().replace(headers="none")

    sealed = smime.protect(MAIL, by=world.alice, to=world.bob, policy=policy)
    opened = smime.verify(sealed, keys=world.bob, trust=world.anchors)

    assert b"Subject: the price is 7" in outside(sealed)
    assert b"Subject" not in opened.content
    assert opened.message["Subject"] == "the price is 7"


def test_a_signed_subject_changed_on_the_way_is_shown_as_signed(world: World) -> None:
    signed = bytes(smime.sign(MAIL, by=world.alice))

    changed = signed.replace(b"the price is 7", b"the price is 9", 1)
    opened = smime.verify(changed, trust=world.anchors)

    assert b"the price is 9" in changed
    assert opened.message["Subject"] == "the price is 7"


def test_a_field_added_outside_is_not_shown_as_the_author_s(world: World) -> None:
    letter = MAIL.replace(b"Cc: carol@example.org\r\n", b"")
    signed = b"Cc: mallory@example.org\r\n" + bytes(smime.sign(letter, by=world.alice))

    opened = smime.verify(signed, trust=world.anchors)

    assert "Cc" not in opened.message


def test_an_inner_from_that_nobody_signed_does_not_count(world: World) -> None:
    """Anybody can seal a mail to Bob with any From inside: the outer one stands."""
    sealed = bytes(smime.encrypt(MAIL, to=world.bob))
    forwarded = sealed.replace(b"From: Alice <alice@example.org>", b"From: mallory@example.org")

    opened = smime.decrypt(forwarded, keys=world.bob, trust=world.anchors)

    assert opened.signer is None
    assert opened.report.sender == "mallory@example.org"
    assert opened.message.get_all("From") == ["mallory@example.org"]
    assert [note.code for note in opened.report.notes] == ["from-mismatch"]
    assert "alice@example.org" in opened.report.notes[0].text
    untouched = smime.decrypt(sealed, keys=world.bob, trust=world.anchors)
    assert untouched.report.notes == ()


@pytest.mark.parametrize(
    ("by", "inner", "outer", "signer", "shown"),
    [
        ("alice", "alice", "alice", "alice", "alice"),
        ("alice", "alice", "mallory", "alice", "alice"),  # the list that writes its own From
        ("carol", "carol", "alice", "carol", "carol"),  # Carol signed: it is hers, and says so
        ("carol", "alice", "alice", None, "alice"),  # Carol writes as Alice
        ("carol", "alice", "carol", "carol", "carol"),  # the outer From is hers: shown, and good
        ("carol", "alice", "mallory", None, "mallory"),
        ("alice", "alice", None, "alice", "alice"),
    ],
)
@pytest.mark.parametrize("sealed", [False, True])
def test_whose_from_counts(
    world: World,
    by: str,
    inner: str,
    outer: str | None,
    signer: str | None,
    shown: str,
    sealed: bool,
) -> None:
    """``by`` signs a mail with the From ``inner``; on the way the outer becomes ``outer``."""
    identity = getattr(world, by)
    mail = MAIL.replace(b"From: Alice <alice@", f"From: <{inner}@".encode())
    made = bytes(
        smime.protect(mail, by=identity, to=world.bob) if sealed else smime.sign(mail, by=identity)
    )
    field = f"From: <{inner}@example.org>\r\n".encode()
    new = f"From: {outer}@example.org\r\n".encode() if outer else b""
    arrived = made.replace(field, new, 1)
    assert made.startswith(field)

    opened = smime.open(arrived, keys=world.bob, trust=world.anchors)

    assert opened.signer == (f"{signer}@example.org" if signer else None)
    (from_shown,) = opened.message.get_all("From", [])
    assert f"{shown}@example.org" in from_shown
    mismatch = any(note.code == "from-mismatch" for note in opened.report.notes)
    assert mismatch is (inner != outer)


def test_sealing_a_signed_mail_leaves_its_protected_headers(world: World) -> None:
    signed = smime.sign(MAIL, by=world.alice)

    opened = smime.verify(smime.encrypt(signed, to=world.bob), keys=world.bob, trust=world.anchors)

    assert opened.message["Subject"] == "the price is 7"
    assert opened.content == smime.verify(signed, trust=world.anchors).content


@pytest.mark.parametrize(
    ("subject", "text"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
        ("Grüße".encode(), None),
        (b"=?utf-8?b?5Lya6K6u6K6w5b2V?=", "会议记录"),
        (b"=?gb18030?b?u+HS6bzHwrw=?=", "会议记录"),
        (b"x" * 60 + b" " + b"y" * 12, "x" * 60 + " " + "y" * 12),
        (b"z" * 900, "z" * 900),
        (b"a\r\n b", "a b"),
        (b"", ""),
    ],
    ids=["q", "raw-utf8", "b", "gb18030", "73", "900", "folded", "empty"],
)
def test_subjects_survive(world: World, subject: bytes, text: str | None) -> None:
    mail = MAIL.replace(b"the price is 7", subject)

    opened = smime.verify(
        smime.protect(mail, by=world.alice, to=world.bob), keys=world.bob, trust=world.anchors
    )

    if text is not None:
        assert opened.message["Subject"] == text
    else:
        assert str(opened.message["Subject"]) == "Grüße"
