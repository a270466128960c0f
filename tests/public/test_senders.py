"""Whose mail it is: one From, a Sender beside it, and what could mislead about either."""

from __future__ import annotations

import time
from datetime import UTC, datetime, timedelta

import pytest

import smime
from smime.formats import senders
from smime.mime.entity import split_entity
from tests.support.world import World

REST = (
    b"To: bob@example.org\r\nSubject: chess\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain\r\n\r\nat noon\r\n"
)
BARE = smime.Policy.modern().replace(headers="none")


def codes(report: smime.Report) -> set[str]:
    return {note.code for note in report.notes}


def signed(world: World, fields: bytes, *, by: str = "alice", protected: bool = False) -> bytes:
    """A mail with these fields outside, signed by alice; with them inside too if ``protected``."""
    identity = getattr(world, by)
    if protected:
        return bytes(smime.sign(fields + REST, by=identity))
    mail = bytes(smime.sign(b"From: alice@example.org\r\n" + REST, by=identity, policy=BARE))
    return mail.replace(b"From: alice@example.org\r\n", fields, 1)


def judged(world: World, fields: bytes, **given: object) -> smime.Report:
    return smime.examine(signed(world, fields), trust=world.anchors, **given)


# Field lines, and why there is nobody to compare with.
NOBODY = {
    "none": (b"", "the mail has no From address"),
    "empty": (b"From:\r\n", "the mail has an empty From"),
    "blanks": (b"From: \r\n \r\n", "the mail has an empty From"),
    "a name": (b"From: Alice\r\n", "has a From without an address"),
    "two": (b"From: alice@example.org, bob@example.org\r\n", "has 2 From addresses"),
    "twice": (b"From: alice@example.org\r\n" * 2, "has 2 From addresses"),
    "empty beside": (b"From: alice@example.org\r\nFrom:\r\n", None),
    "in the name": (b"From: alice@example.org <eve@example.com>\r\n", "in more than one way"),
    "encoded address": (b"From: =?utf-8?q?alice=40example.org?=\r\n", "without an address"),
    "two senders": (
        b"From: alice@example.org\r\nSender: a@example.com, b@example.com\r\n",
        "has 2 Sender addresses",
    ),
    "sender twice": (
        b"From: alice@example.org\r\n" + b"Sender: alice@example.org\r\n" * 2,
        "has 2 Sender addresses",
    ),
    "empty sender": (b"From: alice@example.org\r\nSender:\r\n", "has an empty Sender"),
    "a name as sender": (b"From: alice@example.org\r\nSender: Bob\r\n", "Sender without an"),
    "doubtful sender": (
        b"From: alice@example.org\r\nSender: alice@example.org <eve@example.com>\r\n",
        "in more than one way",
    ),
}


@pytest.mark.parametrize("name", NOBODY)
def test_nobody_to_compare_with_is_no_match_and_said(world: World, name: str) -> None:
    fields, why = NOBODY[name]

    report = judged(world, fields)

    if why is None:  # an empty field names nobody, and takes nothing away
        assert report.signer == "alice@example.org"
        return
    assert report.signer is None
    assert report.outcome == "rejected"
    (check,) = report.signatures
    assert check.address.code == "sender-unknown"
    assert why in check.address.reason
    assert judged(world, fields, sender="alice@example.org").signer == "alice@example.org"


@pytest.mark.parametrize("protected", [False, True])
def test_who_sends_for_another(world: World, protected: bool) -> None:
    """The author signs: good, and said. The sender signs for the author: not good."""
    fields = b"From: alice@example.org\r\nSender: Carol <carol@example.org>\r\n"

    report = smime.examine(signed(world, fields, protected=protected), trust=world.anchors)
    assert report.signer == "alice@example.org"
    assert "sender-differs" in codes(report)

    other = signed(world, fields, by="carol", protected=protected)
    report = smime.examine(other, trust=world.anchors)
    assert report.signer is None
    assert report.signatures[0].address.code == "address-differs"
    named = smime.examine(other, trust=world.anchors, sender="carol@example.org")
    assert named.signer == "carol@example.org"


def test_a_sender_who_is_the_author_is_nothing_to_tell(world: World) -> None:
    fields = b"From: Alice <alice@example.org>\r\nSender: alice@EXAMPLE.org\r\n"

    report = judged(world, fields)

    assert report.signer == "alice@example.org"
    assert "sender-differs" not in codes(report)


def test_a_doubtful_sender_inside_counts_too(world: World) -> None:
    fields = b"From: alice@example.org\r\nSender: a@example.com, b@example.com\r\n"
    mail = signed(world, fields, protected=True)
    outside = mail.replace(b"Sender: a@example.com, b@example.com\r\n", b"", 1)
    assert outside != mail

    assert smime.examine(outside, trust=world.anchors).signer is None


@pytest.mark.parametrize(
    ("name", "said"),
    [
        (b'"bob@example.com"', True),
        (b'"Bob (bob@example.com)"', True),
        (b"=?utf-8?q?bob=40example=2Ecom?=", True),
        (b'"alice@example.org"', False),
        (b'"Alice, alice@EXAMPLE.org"', False),
        (b"Alice", False),
        (b'"Alice @ home"', False),
        (b'"me@home"', False),
    ],
)
def test_an_address_in_the_display_name_is_no_match_and_said(
    world: World, name: bytes, said: bool
) -> None:
    report = judged(world, b"From: " + name + b" <alice@example.org>\r\n")

    assert report.signer == "alice@example.org"
    assert ("display-name-address" in codes(report)) is said
    if said:
        opened = smime.open(
            signed(world, b"From: " + name + b" <alice@example.org>\r\n"), trust=world.anchors
        )
        assert "display-name-address" in {one.code for one in smime.view(opened).warnings}


def test_long_names_cost_no_more_than_their_length() -> None:
    fields = split_entity(
        b"From: =?x?= " + b"a" * 400_000 + b" <alice@example.org>\r\n\r\nx"
    ).fields
    begun = time.process_time()

    senders.sender_notes("alice@example.org", fields)

    assert time.process_time() - begun < 0.5


# --- the relaxed mode -----------------------------------------------------------------

ANY_CASE = smime.Policy.modern().replace(local_part="any-case")


@pytest.mark.parametrize(
    ("sender", "exact", "relaxed"),
    [
        ("alice@example.org", True, True),
        ("alice@EXAMPLE.ORG", True, True),
        ("Alice@example.org", False, True),
        ("ALICE@Example.org", False, True),
        ("alice.b@example.org", False, False),
        ("a.lice@example.org", False, False),
        ("alice+chess@example.org", False, False),
    ],
)
def test_case_of_the_local_part(world: World, sender: str, exact: bool, relaxed: bool) -> None:
    """RFC 5321 §2.4: the case of a local part counts; who says otherwise says it."""
    mail = signed(world, b"From: " + sender.encode() + b"\r\n")

    assert (smime.examine(mail, trust=world.anchors).signer == sender) is exact
    report = smime.examine(mail, trust=world.anchors, policy=ANY_CASE)
    assert (report.signer == sender) is relaxed


def test_a_bad_signature_in_other_case_is_theirs_in_the_relaxed_mode(world: World) -> None:
    """A good and a bad signature by one address: in either mode they are counted alike."""
    mail = signed(world, b"From: Alice@example.org\r\n")
    changed = mail.replace(b"noon", b"dusk")
    assert changed != mail

    assert smime.examine(changed, trust=world.anchors, policy=ANY_CASE).signer is None


# --- Date and signing time ------------------------------------------------------------


AT = datetime.now(UTC).replace(microsecond=0)  # certificates are valid from about now on


def dated(later: timedelta = timedelta(0), form: str = "%a, %d %b %Y %H:%M:%S +0000") -> bytes:
    return (AT + later).strftime(form).encode()


@pytest.mark.parametrize(
    ("date", "said"),
    [
        (dated(), False),
        (dated(timedelta(hours=1)), False),
        (dated(timedelta(hours=1, seconds=1), "%d %b %Y %H:%M:%S +0000"), True),
        (dated(timedelta(hours=2), "%a, %d %b %Y %H:%M +0200"), False),
        (dated(form="%a, %d %b %Y %H:%M:%S -0530 (here)"), True),
        (dated(timedelta(days=-1)), True),
        (b"yesterday", False),
        (b"Tue, 99 Nov 2026 12:00:00 +0000", False),
        (b"Tue, 24 Nov 2026 12:00:00 +9999", False),
    ],
    ids=range(9),
)
def test_a_date_far_from_the_signing_time_is_a_note(world: World, date: bytes, said: bool) -> None:
    mail = b"From: alice@example.org\r\nDate: " + date + b"\r\n" + REST
    made = smime.sign(mail, by=world.alice, at=AT)

    report = smime.examine(made, trust=world.anchors)

    assert report.signer == "alice@example.org"
    notes = [one.code for one in report.signatures[0].notes]
    assert ("signing-time-gap" in notes) is said


def test_the_date_inside_counts(world: World) -> None:
    mail = b"From: alice@example.org\r\nDate: " + dated() + b"\r\n" + REST
    made = bytes(smime.sign(mail, by=world.alice, at=AT))
    resent = made.replace(dated(), dated(timedelta(days=6)), 1)
    assert resent != made

    for one in (made, resent):
        report = smime.examine(one, trust=world.anchors)
        assert "signing-time-gap" not in [n.code for n in report.signatures[0].notes]
    late = smime.sign(mail, by=world.alice, at=AT + timedelta(hours=2))
    report = smime.examine(late, trust=world.anchors)
    assert "signing-time-gap" in [n.code for n in report.signatures[0].notes]
