"""The messages of RFC 9788, built anew and compared with its text header by header."""

from __future__ import annotations

import pickle

import pytest

import smime
from smime.mime.entity import split_entity
from smime.mime.headers import divide
from tests.public.test_spoofing import payload_sealed, payload_signed
from tests.support.world import World

SHY = smime.Policy.modern().replace(headers="shy")
LEGACY = smime.Policy.modern().replace(legacy_display=True)


def lines(*text: str) -> bytes:
    return "\r\n".join(text).encode() + b"\r\n"


# Appendix C.3.1.2: what stands outside, and the payload.
BASELINE_MAIL = lines(
    "MIME-Version: 1.0",
    "Content-Transfer-Encoding: 7bit",
    "Subject: smime-signed-enc-hp-baseline",
    "Message-ID: <smime-signed-enc-hp-baseline@example>",
    "From: Alice <alice@smime.example>",
    "To: Bob <bob@smime.example>",
    "Date: Sat, 20 Feb 2021 10:09:02 -0500",
    "User-Agent: Sample MUA Version 1.0",
    'Content-Type: text/plain; charset="utf-8"',
    "",
    "This is the",
    "smime-signed-enc-hp-baseline",
    "message.",
)
BASELINE_PAYLOAD = lines(
    "MIME-Version: 1.0",
    "Content-Transfer-Encoding: 7bit",
    "Subject: smime-signed-enc-hp-baseline",
    "Message-ID: <smime-signed-enc-hp-baseline@example>",
    "From: Alice <alice@smime.example>",
    "To: Bob <bob@smime.example>",
    "Date: Sat, 20 Feb 2021 10:09:02 -0500",
    "User-Agent: Sample MUA Version 1.0",
    "HP-Outer: Subject: [...]",
    "HP-Outer: Message-ID: <smime-signed-enc-hp-baseline@example>",
    "HP-Outer: From: Alice <alice@smime.example>",
    "HP-Outer: To: Bob <bob@smime.example>",
    "HP-Outer: Date: Sat, 20 Feb 2021 10:09:02 -0500",
    "HP-Outer: User-Agent: Sample MUA Version 1.0",
    'Content-Type: text/plain; charset="utf-8"; hp="cipher"',
    "",
    "This is the",
    "smime-signed-enc-hp-baseline",
    "message.",
)
# Appendix E.1 and E.2: Legacy Display Elements.
DINNER = (
    "Date: Fri, 21 Jan 2022 20:40:48 -0500",
    "From: Alice <alice@example.net>",
    "To: Bob <bob@example.net>",
    "Subject: Dinner plans",
)
DINNER_OUTER = (
    "HP-Outer: Date: Fri, 21 Jan 2022 20:40:48 -0500",
    "HP-Outer: From: Alice <alice@example.net>",
    "HP-Outer: To: Bob <bob@example.net>",
    "HP-Outer: Subject: [...]",
)
PLAIN_ID = "Message-ID: <text-plain-legacy-display@lhp.example>"
HTML_ID = "Message-ID: <text-html-legacy-display@lhp.example>"
PLAIN_BODY = (
    "Let's meet at Rama's Roti Shop at 8pm and go to the park",
    "from there.",
)
HTML_BODY = (
    "<p>",
    "Let's meet at Rama's Roti Shop at 8pm and go to the park",
    "from there.",
    "</p>",
    "</body>",
    "</html>",
)
PLAIN_PAYLOAD = lines(
    *DINNER,
    PLAIN_ID,
    "MIME-Version: 1.0",
    'Content-Type: text/plain; charset="us-ascii"; hp-legacy-display="1";',
    ' hp="cipher"',
    *DINNER_OUTER,
    "HP-Outer: " + PLAIN_ID,
    "",
    "Subject: Dinner plans",
    "",
    *PLAIN_BODY,
)
HTML_PAYLOAD = lines(
    *DINNER,
    HTML_ID,
    "MIME-Version: 1.0",
    'Content-Type: text/html; charset="us-ascii"; hp-legacy-display="1";',
    ' hp="cipher"',
    *DINNER_OUTER,
    "HP-Outer: " + HTML_ID,
    "",
    "<html><head><title></title></head><body>",
    '<div class="header-protection-legacy-display">',
    "<pre>Subject: Dinner plans</pre>",
    "</div>",
    *HTML_BODY,
)
PLAIN_MAIL = lines(
    *DINNER,
    PLAIN_ID,
    "MIME-Version: 1.0",
    'Content-Type: text/plain; charset="us-ascii"',
    "",
    *PLAIN_BODY,
)
HTML_MAIL = lines(
    *DINNER,
    HTML_ID,
    "MIME-Version: 1.0",
    'Content-Type: text/html; charset="us-ascii"',
    "",
    "<html><head><title></title></head><body>",
    *HTML_BODY,
)


def message_fields(raw: bytes) -> list[tuple[str, str]]:
    """Return the fields but the structural ones, in order."""
    found = split_entity(raw).fields
    return [
        (one.name, one.value)
        for one in found
        if not one.key.startswith("content-") and one.key != "mime-version"
    ]


@pytest.mark.parametrize(
    ("mail", "payload", "legacy"),
    [
        (BASELINE_MAIL, BASELINE_PAYLOAD, False),
        (PLAIN_MAIL, PLAIN_PAYLOAD, True),
        (HTML_MAIL, HTML_PAYLOAD, True),
    ],
    ids=["C.3.1.2", "E.1", "E.2"],
)
def test_a_payload_of_the_appendix(mail: bytes, payload: bytes, legacy: bool) -> None:
    """Ours has the same fields in the same order, the same parameters, and the same text."""
    made = split_entity(divide(mail, mode="cipher", legacy=legacy).inner)
    stated = split_entity(payload)

    assert message_fields(made.raw) == message_fields(payload)
    assert made.content_type.value == stated.content_type.value
    assert made.content_type.params == stated.content_type.params
    assert made.decoded() == stated.body


def test_the_outside_of_the_appendix() -> None:
    outside = divide(BASELINE_MAIL, mode="cipher").sealed_outer

    stated = [
        (name, value.removeprefix("HP-Outer: "))
        for name, value in message_fields(BASELINE_PAYLOAD)
        if name == "HP-Outer"
    ]
    assert [("HP-Outer", f"{name}: {value}") for name, value in message_fields(outside)] == stated


@pytest.mark.parametrize(
    ("mail", "payload"),
    [(BASELINE_MAIL, BASELINE_PAYLOAD), (PLAIN_MAIL, PLAIN_PAYLOAD), (HTML_MAIL, HTML_PAYLOAD)],
    ids=["C.3.1.2", "E.1", "E.2"],
)
def test_reading_the_messages_of_the_appendix(world: World, mail: bytes, payload: bytes) -> None:
    """What the RFC prints, signed and sealed, is shown as the mail that it was made of."""
    author = world.ca.issue("alice@smime.example", "alice@example.net")
    sealed = payload_sealed(
        world.bob,
        payload_signed(author, payload, b""),
        divide(mail, mode="cipher").sealed_outer,
    )

    opened = smime.verify(sealed, keys=world.bob, trust=world.anchors)

    shown = bytes(opened.mail)
    assert message_fields(shown) == message_fields(mail)
    assert split_entity(shown).decoded() == split_entity(mail).decoded()
    assert "hp-legacy-display" not in split_entity(shown).content_type.params
    assert opened.content == payload  # what was signed is there, octet for octet
    assert {one.name: str(one.protection) for one in opened.report.headers} == {
        name: "signed and encrypted" if name == "Subject" else "signed"
        for name, _ in message_fields(mail)
    }


def test_shy(world: World) -> None:
    """§3.2.2: addresses without names, the time in UTC."""
    mail = (
        b"From: Alice <alice@example.org>\r\n"
        b'To: "Bob, B." <bob@example.org>, Team: carol@example.org;\r\n'
        b"Cc: carol@example.org\r\n"
        b"Subject: the price\r\n"
        b"Date: Sat, 20 Feb 2021 10:09:02 -0500\r\n"
        b"Message-ID: <1@example.org>\r\n\r\nhi\r\n"
    )
    sealed = smime.protect(mail, by=world.alice, to=[world.bob, world.carol], policy=SHY)

    outside = dict(message_fields(bytes(sealed)))
    assert outside == {
        "From": "alice@example.org",
        "To": "bob@example.org, carol@example.org",
        "Cc": "carol@example.org",
        "Subject": "[...]",
        "Date": "Sat, 20 Feb 2021 15:09:02 +0000",
        "Message-ID": "<1@example.org>",
    }
    opened = smime.verify(sealed, keys=world.bob, trust=world.anchors)
    assert message_fields(bytes(opened.mail)) == message_fields(mail)
    assert opened.report.notes == ()
    assert {one.name: str(one.protection) for one in opened.report.headers} == {
        "From": "signed and encrypted",
        "To": "signed and encrypted",
        "Cc": "signed",
        "Subject": "signed and encrypted",
        "Date": "signed and encrypted",
        "Message-ID": "signed",
    }


@pytest.mark.parametrize(
    "date", ["yesterday", "", "Sat, 99 Foo 2021 10:09:02 -0500", "1 Jan 99999"]
)
def test_a_date_that_cannot_be_read_stays(date: str) -> None:
    mail = f"From: a@b.example\r\nDate: {date}\r\nSubject: x\r\n\r\nhi\r\n".encode()

    outside = divide(mail, mode="cipher", shy=True).sealed_outer

    assert dict(message_fields(outside))["Date"] == date


class TestLegacyDisplay:
    MAIL = (
        b"From: alice@example.org\r\nTo: bob@example.org\r\n"
        b"Subject: =?utf-8?q?Gr=C3=BC=C3=9Fe_=3C3?=\r\nKeywords: one\r\nMIME-Version: 1.0\r\n"
    )

    def shown(self, world: World, entity: bytes) -> tuple[smime.Opened, smime.Opened]:
        """Return the mail opened, and as a reader sees it that does not know hp."""
        sealed = smime.protect(self.MAIL + entity, by=world.alice, to=world.bob, policy=LEGACY)
        opened = smime.verify(sealed, keys=world.bob, trust=world.anchors)
        plain = smime.open(opened.content, trust=world.anchors)
        return opened, plain

    @pytest.mark.parametrize(
        ("charset", "text"),
        [("us-ascii", "hi"), ("utf-8", "Grüße"), ("windows-1252", "€"), ("iso-2022-jp", "会議")],
    )
    def test_text(self, world: World, charset: str, text: str) -> None:
        entity = f"Content-Type: text/plain; charset={charset}\r\n\r\n".encode()
        opened, plain = self.shown(world, entity + text.encode(charset) + b"\r\n")

        # "Grüße" is not of us-ascii: the part is written as UTF-8 then.
        assert plain.message.get_content().splitlines() == [
            "Subject: Grüße <3",
            "Keywords: one",
            "",
            text,
        ]
        assert opened.message.get_content().splitlines() == [text]

    def test_alternatives_and_an_attachment(self, world: World) -> None:
        entity = (
            b"Content-Type: multipart/mixed; boundary=m\r\n\r\n--m\r\n"
            b"Content-Type: multipart/alternative; boundary=a\r\n\r\n"
            b"--a\r\nContent-Type: text/plain\r\n\r\nhi\r\n"
            b"--a\r\nContent-Type: text/html\r\n\r\n<html><body class=x><p>hi</p></body></html>\r\n"
            b"--a--\r\n"
            b"--m\r\nContent-Type: text/plain\r\n\r\nan attached text\r\n--m--\r\n"
        )
        opened, plain = self.shown(world, entity)

        text, html, attached = [
            part.get_content() for part in plain.message.walk() if not part.is_multipart()
        ]
        assert text.splitlines() == ["Subject: Grüße <3", "Keywords: one", "", "hi"]
        assert "<pre>Subject: Grüße &lt;3\nKeywords: one</pre>" in html.replace("\r", "")
        assert html.startswith("<html><body class=x>")
        assert attached.startswith("an attached text")
        text, html, attached = [
            part.get_content() for part in opened.message.walk() if not part.is_multipart()
        ]
        assert text.rstrip() == "hi"
        assert "Subject" not in html
        assert "<p>hi</p>" in html

    def test_it_is_not_written_unless_asked_for(self, world: World) -> None:
        mail = self.MAIL + b"Content-Type: text/plain\r\n\r\nhi\r\n"
        sealed = smime.protect(mail, by=world.alice, to=world.bob)

        assert b"display" not in smime.open(sealed, keys=world.bob, trust=world.anchors).content
        signed = smime.sign(mail, by=world.alice, policy=LEGACY)
        assert b"display" not in bytes(signed)

    @pytest.mark.parametrize(
        "payload",
        [
            PLAIN_PAYLOAD.replace(b'hp="cipher"', b'hp="clear"'),
            PLAIN_PAYLOAD.replace(b' hp-legacy-display="1";', b""),
            PLAIN_PAYLOAD.replace(b"\r\n\r\nSubject: Dinner plans", b"\r\n\r\nDinner plans"),
            HTML_PAYLOAD.replace(b"</div>", b""),
        ],
        ids=["clear", "unmarked", "no pseudo field", "not closed"],
    )
    def test_what_is_no_legacy_display_stays(self, world: World, payload: bytes) -> None:
        sealed = payload_sealed(world.bob, payload, lines(*DINNER))

        opened = smime.open(sealed, keys=world.bob, trust=world.anchors)

        assert split_entity(bytes(opened.mail)).body == split_entity(payload).body

    def test_the_older_form_is_a_part(self, world: World) -> None:
        payload = (
            b'Content-Type: multipart/mixed; boundary=b; protected-headers="v1"\r\n'
            b"Subject: Dinner plans\r\n\r\n--b\r\n"
            b'Content-Type: text/plain; protected-headers="v1"\r\n\r\nSubject: Dinner plans\r\n'
            b"--b\r\nContent-Type: text/plain\r\n\r\nat noon\r\n--b--\r\n"
        )
        sealed = payload_sealed(world.bob, payload, lines("Subject: ...", "From: a@b.example"))

        opened = smime.open(sealed, keys=world.bob, trust=world.anchors)

        assert opened.message["Subject"] == "Dinner plans"
        assert opened.message.get_content().rstrip() == "at noon"

    def test_many_starts_take_no_time(self, world: World) -> None:
        page = b'<div class="header-protection-legacy-display">' * 50_000
        payload = PLAIN_PAYLOAD.replace(b"text/plain", b"text/html") + page

        opened = smime.open(
            payload_sealed(world.bob, payload, lines(*DINNER)),
            keys=world.bob,
            trust=world.anchors,
        )

        assert opened.mail.size > len(page)


class TestReplyPolicy:
    MAIL = (
        b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\n"
        b"Cc: carol@example.org\r\nSubject: x\r\nMessage-ID: <1@example.org>\r\n"
        b"X-Case: 7\r\n\r\nhi\r\n"
    )

    def policy(self, world: World, **changes: object) -> smime.Policy:
        sealed = smime.protect(
            self.MAIL,
            by=world.alice,
            to=world.bob,
            policy=smime.Policy.modern().replace(**changes),  # type: ignore[arg-type]
        )
        opened = smime.open(sealed, keys=world.bob, trust=world.anchors)
        assert sorted(message_fields(bytes(opened.mail))) == sorted(message_fields(self.MAIL))
        return opened.reply_policy()

    def test_of_a_baseline_mail(self, world: World) -> None:
        assert self.policy(world) == smime.Policy.modern()

    def test_of_a_shy_mail(self, world: World) -> None:
        assert self.policy(world, headers="shy") == SHY

    def test_of_a_mail_that_hides_more(self, world: World) -> None:
        found = self.policy(world, hidden=["Cc", "X-Case", "Message-ID"])

        assert found.hidden == {"cc", "x-case", "in-reply-to", "references"}
        answer = smime.protect(self.MAIL + b"", by=world.bob, to=world.alice, policy=found)
        assert b"X-Case" not in bytes(answer)
        assert b"Cc:" not in bytes(answer)

    def test_of_a_mail_that_was_not_sealed(self, world: World) -> None:
        opened = smime.open(smime.sign(self.MAIL, by=world.alice), trust=world.anchors)
        none = smime.Policy.modern().replace(headers="none")

        assert opened.reply_policy(none) == none

    def test_a_policy_hides_no_from(self) -> None:
        for names in (["From"], ["Date"], ["Content-Type"], "cc"):
            with pytest.raises(ValueError, match="hidden"):
                smime.Policy.modern().replace(hidden=names)
        policy = smime.Policy.modern().replace(hidden=["Cc"], legacy_display=True)
        assert pickle.loads(pickle.dumps(policy)) == policy
