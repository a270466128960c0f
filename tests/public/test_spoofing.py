"""Who is shown as the author, whatever is tried; and what the report says of each header."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from smime import Protection
from smime.mime.addresses import addresses
from smime.mime.entity import split_entity
from tests.support.world import World

MAIL = (
    b"From: Alice <alice@example.org>\r\n"
    b"To: Bob <bob@example.org>\r\n"
    b"Subject: the price is 7\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
    b"Message-ID: <price-1@example.org>\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n"
    b"\r\n"
    b"at noon\r\n"
)
ALICE = b"From: Alice <alice@example.org>\r\n"
EVE = b"From: Eve <carol@example.org>\r\n"


def as_wire(mail: smime.Mail) -> bytes:
    return bytes(mail)


def payload_signed(by: smime.Identity, payload: bytes, outside: bytes) -> bytes:
    """Sign exactly these octets, whatever fields are in them, under fields chosen freely."""
    from smime.outgoing import _sign
    from smime.policy import MODERN, moment

    return _sign(payload, (by,), False, MODERN, moment(None), outside)


def payload_sealed(to: smime.Identity, payload: bytes, outside: bytes) -> bytes:
    from smime.outgoing import _seal
    from smime.policy import MODERN

    return _seal(payload, (to.recipient,), MODERN, None, outside, None)


def body(fields: bytes, kind: bytes = b'hp="clear"') -> bytes:
    return b"Content-Type: text/plain; charset=us-ascii; " + kind + b"\r\n" + fields + b"\r\nhi\r\n"


def case_honest(world: World) -> bytes:
    return as_wire(smime.sign(MAIL, by=world.alice))


def case_outer_replaced(world: World) -> bytes:
    return case_honest(world).replace(ALICE, EVE, 1)


def case_outer_gone(world: World) -> bytes:
    return case_honest(world).replace(ALICE, b"", 1)


def case_outer_doubled(world: World) -> bytes:
    return EVE + case_honest(world)


def case_outer_display_name_forged(world: World) -> bytes:
    """The address stays, and before it stands the name of somebody else."""
    return case_honest(world).replace(b"From: Alice <", b"From: The Board <", 1)


def case_inner_is_not_the_signer(world: World) -> bytes:
    return payload_signed(world.carol, body(ALICE), EVE)


def case_inner_and_outer_are_not_the_signer(world: World) -> bytes:
    return payload_signed(world.carol, body(ALICE), ALICE)


def case_two_inner_froms(world: World) -> bytes:
    return payload_signed(world.carol, body(EVE + ALICE), ALICE)


def case_two_inner_froms_signer_second(world: World) -> bytes:
    return payload_signed(world.carol, body(ALICE + EVE), ALICE)


def case_two_addresses_inside(world: World) -> bytes:
    both = b"From: alice@example.org, carol@example.org\r\n"
    return payload_signed(world.carol, body(both), ALICE)


def case_sealed_only(world: World) -> bytes:
    """Anybody can seal a mail to Bob, with any From inside."""
    return payload_sealed(world.bob, body(ALICE, b'hp="cipher"'), EVE)


def case_sealed_only_same_address(world: World) -> bytes:
    inside = b'From: "Alice, verified" <carol@example.org>\r\n'
    return payload_sealed(world.bob, body(inside, b'hp="cipher"'), EVE)


def case_address_in_the_display_name(world: World) -> bytes:
    field = b'From: "alice@example.org" <carol@example.org>\r\n'
    return payload_signed(world.carol, body(field), field)


def case_encoded_word_as_address(world: World) -> bytes:
    field = b"From: =?utf-8?q?alice=40example=2Eorg?= <carol@example.org>\r\n"
    return payload_signed(world.carol, body(field), field)


def case_hp_deeper_down(world: World) -> bytes:
    """``hp`` counts at the root of the payload alone."""
    inner = (
        b'Content-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n'
        + body(ALICE)
        + b"\r\n--b--\r\n"
    )
    return payload_signed(world.carol, inner, EVE)


def case_forwarded_mail_inside(world: World) -> bytes:
    """A message/rfc822 that does not say it stands for the mail is an attachment."""
    return payload_signed(world.carol, b"Content-Type: message/rfc822\r\n\r\n" + MAIL, EVE)


def case_wrapped_older_form(world: World) -> bytes:
    inner = b"Content-Type: message/rfc822; forwarded=no\r\n\r\n" + MAIL
    return payload_signed(world.alice, inner, EVE)


def case_wrapped_older_form_by_another(world: World) -> bytes:
    inner = b"Content-Type: message/rfc822; forwarded=no\r\n\r\n" + MAIL
    return payload_signed(world.carol, inner, EVE)


def case_v1_older_form(world: World) -> bytes:
    return payload_signed(world.alice, body(ALICE, b'protected-headers="v1"'), EVE)


def case_changed_body(world: World) -> bytes:
    return case_outer_replaced(world).replace(b"at noon", b"at four")


def case_nul_in_outer_from(world: World) -> bytes:
    return case_honest(world).replace(ALICE, b"From: carol@example.org\0<alice@example.org>\r\n", 1)


def case_sealed_form_signed(world: World) -> bytes:
    """Carol signs around what Alice sealed: that is no authorship."""
    sealed = as_wire(smime.encrypt(MAIL, to=world.bob))
    return payload_signed(world.carol, sealed[sealed.index(b"Content-Type") :], EVE)


CASES: list[tuple[Callable[[World], bytes], str, str | None]] = [
    (case_honest, "Alice <alice@example.org>", "alice@example.org"),
    (case_outer_replaced, "Alice <alice@example.org>", "alice@example.org"),
    (case_outer_gone, "Alice <alice@example.org>", "alice@example.org"),
    (case_outer_doubled, "Alice <alice@example.org>", "alice@example.org"),
    (case_outer_display_name_forged, "Alice <alice@example.org>", "alice@example.org"),
    (case_inner_is_not_the_signer, "Eve <carol@example.org>", "carol@example.org"),
    (case_inner_and_outer_are_not_the_signer, "Alice <alice@example.org>", None),
    (case_two_inner_froms, "Alice <alice@example.org>", None),
    (case_two_inner_froms_signer_second, "Alice <alice@example.org>", None),
    (case_two_addresses_inside, "Alice <alice@example.org>", None),
    (case_sealed_only, "Eve <carol@example.org>", None),
    (case_sealed_only_same_address, "Eve <carol@example.org>", None),
    (
        case_address_in_the_display_name,
        '"alice@example.org" <carol@example.org>',
        "carol@example.org",
    ),
    (
        case_encoded_word_as_address,
        '"alice@example.org" <carol@example.org>',
        "carol@example.org",
    ),
    (case_hp_deeper_down, "Eve <carol@example.org>", "carol@example.org"),
    (case_forwarded_mail_inside, "Eve <carol@example.org>", "carol@example.org"),
    (case_wrapped_older_form, "Alice <alice@example.org>", "alice@example.org"),
    (case_wrapped_older_form_by_another, "Eve <carol@example.org>", "carol@example.org"),
    (case_v1_older_form, "Alice <alice@example.org>", "alice@example.org"),
    (case_changed_body, "Eve <carol@example.org>", None),
    (case_sealed_form_signed, "Eve <carol@example.org>", None),
]


@pytest.mark.parametrize(
    ("make", "shown", "signer"), CASES, ids=[make.__name__[5:] for make, *_ in CASES]
)
def test_the_from_that_is_shown(
    world: World, make: Callable[[World], bytes], shown: str, signer: str | None
) -> None:
    opened = smime.open(make(world), keys=world.bob, trust=world.anchors)

    assert [str(one) for one in opened.message.get_all("From", [])] == [shown]
    assert opened.signer == signer
    (from_check,) = [one for one in opened.report.headers if one.name == "From"]
    is_protected = from_check.protection in (Protection.SIGNED, Protection.BOTH)
    assert not (signer is None and is_protected)


def test_a_from_with_a_nul_names_nobody(world: World) -> None:
    opened = smime.open(case_nul_in_outer_from(world), trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert opened.message["From"] == "Alice <alice@example.org>"


def protections(opened: smime.Opened) -> dict[str, str]:
    return {one.name: str(one.protection) for one in opened.report.headers}


def test_what_protects_each_header_of_a_protected_mail(world: World) -> None:
    sealed = smime.protect(MAIL, by=world.alice, to=world.bob)

    opened = smime.open(sealed, keys=world.bob, trust=world.anchors)

    assert protections(opened) == {
        "From": "signed",
        "To": "signed",
        "Subject": "signed and encrypted",
        "Date": "signed",
        "Message-ID": "signed",
    }
    (subject,) = [one for one in opened.report.headers if one.name == "Subject"]
    assert subject.outside == ("[...]",)
    assert opened.report.notes == ()
    assert "price" not in repr(opened.report)  # a report gives no content


def test_what_tells_a_mail_that_is_sent_again(world: World) -> None:
    """The signed Date and Message-ID, whatever stands outside; of a mail that is not good, none."""
    sealed = as_wire(smime.protect(MAIL, by=world.alice, to=world.bob))
    again = sealed.replace(b"<price-1@", b"<price-2@").replace(b"Tue, 24", b"Wed, 25")
    assert again != sealed

    for mail in (sealed, again):
        report = smime.examine(mail, keys=world.bob, trust=world.anchors)
        assert report.message_id == "<price-1@example.org>"
        assert report.date is not None
        assert report.date.startswith("Tue, 24")
        assert report.to_dict()["message_id"] == report.message_id
    for mail in (MAIL, as_wire(smime.encrypt(MAIL, to=world.bob)), case_changed_body(world)):
        report = smime.examine(mail, keys=world.bob, trust=world.anchors)
        assert (report.date, report.message_id) == (None, None)


@pytest.mark.parametrize(
    "name", ["Cc", "Reply-To", "Mail-Followup-To", "In-Reply-To", "References", "Keywords"]
)
def test_a_field_that_is_only_outside_leads_no_answer_astray(world: World, name: str) -> None:
    """RFC 9788 §4.4.4: who writes one there would get the answer, or the place in a thread."""
    sealed = as_wire(smime.protect(MAIL, by=world.alice, to=world.bob))
    added = f"{name}: <mallory@example.net>\r\n".encode() + sealed

    opened = smime.open(added, keys=world.bob, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert name not in opened.message
    assert [note.code for note in opened.report.notes] == ["header-changed"]
    assert name in opened.report.notes[0].text


def test_a_mail_that_is_only_sealed_has_no_signed_header(world: World) -> None:
    opened = smime.open(smime.encrypt(MAIL, to=world.bob), keys=world.bob, trust=world.anchors)

    found = protections(opened)
    assert found.pop("Subject") == "encrypted"
    assert set(found.values()) == {"none"}


def test_a_mail_that_is_only_signed_has_no_encrypted_header(world: World) -> None:
    opened = smime.open(smime.sign(MAIL, by=world.alice), trust=world.anchors)

    assert set(protections(opened).values()) == {"signed"}


def test_plain_mail_and_a_bad_signature_protect_nothing(world: World) -> None:
    for mail in (MAIL, case_changed_body(world)):
        opened = smime.open(mail, trust=world.anchors)
        assert set(protections(opened).values()) == {"none"}


@pytest.mark.parametrize(
    ("old", "new", "named"),
    [
        (b"Subject: the price is 7\r\n", b"Subject: the price is 9\r\n", "Subject"),
        (b"To: Bob <bob@", b"To: Robert <bob@", "To"),
        (b"Date: Tue, 24", b"Cc: mallory@example.net\r\nDate: Tue, 24", "Cc"),
        (b"From: Alice <", b"From: The Board <", "From"),
        (b"Message-ID: <price-1@example.org>\r\n", b"", "Message-ID"),
    ],
)
def test_an_edited_outside_is_noticed(world: World, old: bytes, new: bytes, named: str) -> None:
    signed = as_wire(smime.sign(MAIL, by=world.alice))
    assert smime.open(signed, trust=world.anchors).report.notes == ()

    opened = smime.open(signed.replace(old, new, 1), trust=world.anchors)

    (note,) = opened.report.notes
    assert note.code == "header-changed"
    assert note.text.endswith(f": {named}")
    assert opened.message["Subject"] == "the price is 7"


def test_a_folded_field_and_an_encoded_one_are_not_changed(world: World) -> None:
    mail = MAIL.replace(b"the price is 7", "Grüße, the price is 7".encode())
    signed = as_wire(smime.sign(mail, by=world.alice))

    folded = signed.replace(b"To: Bob <bob", b"To: Bob\r\n <bob", 1)
    opened = smime.open(folded, trust=world.anchors)

    assert folded != signed
    assert opened.report.notes == ()


def test_an_outer_subject_edited_in_a_sealed_mail_is_noticed(world: World) -> None:
    sealed = as_wire(smime.protect(MAIL, by=world.alice, to=world.bob))

    edited = sealed.replace(b"Subject: [...]", b"Subject: URGENT", 1)
    opened = smime.open(edited, keys=world.bob, trust=world.anchors)

    assert [note.code for note in opened.report.notes] == ["header-changed"]
    assert opened.message["Subject"] == "the price is 7"


def test_a_subject_shown_outside_after_all_is_not_encrypted(world: World) -> None:
    sealed = as_wire(smime.protect(MAIL, by=world.alice, to=world.bob))

    shown = sealed.replace(b"Subject: [...]", b"Subject: the price is 7", 1)
    opened = smime.open(shown, keys=world.bob, trust=world.anchors)

    assert protections(opened)["Subject"] == "signed"


@pytest.mark.parametrize(
    ("kind", "sealed", "code"),
    [
        (b'hp="clear"', False, None),
        (b'hp="cipher"', True, None),
        (b'hp="clear"', True, "header-contradiction"),
        (b'hp="cipher"', False, "header-contradiction"),
    ],
)
def test_contradictions_take_the_weaker_reading(
    world: World, kind: bytes, sealed: bool, code: str | None
) -> None:
    outside = ALICE + b"To: Bob <bob@example.org>\r\nSubject: [...]\r\n"
    inside = ALICE + b"To: Bob <bob@example.org>\r\nSubject: the price is 7\r\n"
    listed = b"".join(b"HP-Outer: " + line for line in outside.splitlines(keepends=True))
    mail = payload_signed(world.alice, body(inside + listed, kind), b"" if sealed else outside)
    if sealed:
        mail = payload_sealed(world.bob, mail, outside)

    opened = smime.open(mail, keys=world.bob, trust=world.anchors)

    codes = [note.code for note in opened.report.notes]
    assert (code in codes) is (code is not None)
    assert "header-contradiction" in codes or code is None
    honest = sealed and kind == b'hp="cipher"'
    assert protections(opened)["Subject"] == ("signed and encrypted" if honest else "signed")
    assert opened.signer == "alice@example.org"


def test_fields_that_may_not_be_inside_are_said_and_not_shown(world: World) -> None:
    inside = ALICE + b"Received: from evil\r\nSubject: one\r\nSubject: two\r\n"
    mail = payload_signed(world.alice, body(inside), ALICE + b"Subject: one\r\n")

    opened = smime.open(mail, trust=world.anchors)

    (note,) = opened.report.notes
    assert note.code == "header-ignored"
    assert "Received, Subject" in note.text
    assert opened.message.get_all("Subject") == ["one"]
    assert "Received" not in opened.message


def test_many_fields_are_reported_within_a_limit(world: World) -> None:
    many = b"".join(b"X-%d: 1\r\n" % n for n in range(5000))

    opened = smime.open(many + MAIL, trust=world.anchors)

    assert len(opened.report.headers) == 200


class TestAddressedToMe:
    """Surreptitious forwarding: what was signed for Bob is sealed anew for Carol."""

    @staticmethod
    def passed_on(world: World, to: smime.Identity) -> bytes:
        opened = smime.open(
            smime.protect(MAIL, by=world.alice, to=world.bob), keys=world.bob, trust=world.anchors
        )
        signed = smime.sign(MAIL, by=world.alice)
        assert opened.signer == "alice@example.org"
        return bytes(smime.encrypt(signed, to=to))

    def test_yes(self, world: World) -> None:
        sealed = smime.protect(MAIL, by=world.alice, to=world.bob)

        for reader in (world.bob, world.alice):  # the sender keeps a copy
            report = smime.examine(sealed, keys=reader, trust=world.anchors)
            assert report.addressed_to_me.answer is smime.Answer.YES

    def test_no(self, world: World) -> None:
        mail = self.passed_on(world, world.carol)

        report = smime.examine(mail, keys=world.carol, trust=world.anchors)

        assert report.signer == "alice@example.org"
        assert report.addressed_to_me.answer is smime.Answer.NO
        assert report.addressed_to_me.code == "not-addressed-to-you"
        assert "not-addressed-to-you" in [note.code for note in report.notes]

    def test_unknown(self, world: World) -> None:
        unsigned = smime.encrypt(MAIL, to=world.bob)
        nobody = smime.protect(
            MAIL.replace(b"To: Bob <bob@example.org>\r\n", b""), by=world.alice, to=world.bob
        )
        for mail in (unsigned, nobody):
            report = smime.examine(mail, keys=world.bob, trust=world.anchors)
            assert report.addressed_to_me.answer is smime.Answer.NOT_CHECKED
            assert report.addressed_to_me.code == "unknown-recipients"

    def test_not_sealed(self, world: World) -> None:
        report = smime.examine(smime.sign(MAIL, by=world.alice), trust=world.anchors)

        assert report.addressed_to_me.code == "not-sealed"


def test_protect_signs_what_binds_a_mail_to_its_reader(world: World) -> None:
    mail = MAIL.replace(b"Subject", b"Cc: carol@example.org\r\nSubject")

    opened = smime.open(
        smime.protect(mail, by=world.alice, to=world.bob), keys=world.bob, trust=world.anchors
    )

    signed = {
        one.name
        for one in opened.report.headers
        if one.protection in (Protection.SIGNED, Protection.BOTH)
    }
    assert signed == {"From", "To", "Cc", "Date", "Message-ID", "Subject"}


FROMS = [
    b"From: Alice <alice@example.org>\r\n",
    b"From: alice@example.org\r\n",
    b"From: Eve <carol@example.org>\r\n",
    b'From: "alice@example.org" <carol@example.org>\r\n',
    b"From: alice@example.org, carol@example.org\r\n",
    b"From: alice@example.org (carol@example.org)\r\n",
    b"From : alice@example.org\r\n",
    b"FROM:\r\n carol@example.org\r\n",
    b"From: alice@example.org\0\r\n",
    b"From:\r\n",
    b"Sender: alice@example.org\r\n",
    b"",
]
KINDS = [b'hp="clear"', b'hp="cipher"', b'protected-headers="v1"', b"x=y"]


@settings(max_examples=300, deadline=None)
@given(
    inside=st.lists(st.sampled_from(FROMS), max_size=3),
    outside=st.lists(st.sampled_from(FROMS), max_size=3),
    kind=st.sampled_from(KINDS),
    by=st.sampled_from(["alice", "carol"]),
    wrapped=st.booleans(),
    sealed=st.booleans(),
)
def test_a_signer_is_always_the_from_that_is_shown(
    world: World,
    inside: list[bytes],
    outside: list[bytes],
    kind: bytes,
    by: str,
    wrapped: bool,
    sealed: bool,
) -> None:
    """Whatever stands inside and outside: who is called the signer is the one From, and signed."""
    identity = getattr(world, by)
    payload = body(b"".join(inside), kind)
    if wrapped:
        payload = b"Content-Type: message/rfc822; forwarded=no\r\n\r\n" + payload
    mail = payload_signed(identity, payload, b"" if sealed else b"".join(outside))
    if sealed:
        mail = payload_sealed(world.bob, mail, b"".join(outside))

    opened = smime.open(mail, keys=world.bob, trust=world.anchors)

    if opened.signer is not None:
        assert opened.signer == f"{by}@example.org"
        assert addresses(split_entity(bytes(opened.mail)), "from") == (opened.signer,)
    for one in opened.report.headers:
        if one.protection is not Protection.NONE:
            assert opened.signer is not None or one.protection is Protection.ENCRYPTED
