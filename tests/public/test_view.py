"""What a mail reader should show: every header with its state, the verdict, the text."""

from __future__ import annotations

import json
import re
from datetime import UTC, datetime

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from smime import viewing
from tests.support.world import LETTER, World

HEAD = b"From: Alice <alice@example.org>\r\nSubject: x\r\nMIME-Version: 1.0\r\n"


def shown(mail: bytes | smime.Mail, world: World, **how: object) -> smime.View:
    return smime.view(smime.open(mail, trust=world.anchors, keys=world.bob, **how))  # type: ignore[arg-type]


def signed_layer(sealed: smime.Mail, world: World) -> bytes:
    """What whoever opened the seal can pass on: the signed layer under it."""
    from base64 import b64decode

    from smime.cms import decrypt

    return decrypt(b64decode(sealed.body), keys=world.bob)


def multipart(kind: bytes, *parts: bytes) -> bytes:
    body = b"".join(b"--" + kind + b"\r\n" + part + b"\r\n" for part in parts)
    head = b"Content-Type: multipart/" + kind + b"; boundary=" + kind + b"\r\n\r\n"
    return head + body + b"--" + kind + b"--\r\n"


PLAIN = b"Content-Type: text/plain; charset=utf-8\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
HTML = b"Content-Type: text/html\r\n\r\n<img src=//x.example>\r\n"


def test_every_header_with_its_state(world: World) -> None:
    mail = LETTER.replace(b"Date:", b"Cc: carol@example.org\r\nReply-To: a@example.org\r\nDate:")

    view = shown(smime.protect(mail, by=world.alice, to=world.bob), world)

    assert [(one.name, one.value, str(one.protection), one.outside) for one in view.headers] == [
        ("From", "Alice <alice@example.org>", "signed", None),
        ("Reply-To", "a@example.org", "signed", None),
        ("To", "Bob <bob@example.org>", "signed", None),
        ("Cc", "carol@example.org", "signed", None),
        ("Subject", "会议记录", "signed and encrypted", ("[...]",)),
        ("Date", "Tue, 24 Nov 2026 12:00:00 +0000", "signed", None),
    ]
    assert view.warnings == ()
    assert view.text.strip() == "Grüße, we meet at noon."
    assert [(one.path, one.name) for one in view.files] == [("2", "minutes.bin")]


@pytest.mark.parametrize(
    ("how", "verdict"),
    [
        ("protect", "signed by alice@example.org (good); sealed: nobody on the way could read it"),
        ("sign", "signed by alice@example.org (good)"),
        (
            "encrypt",
            "unsigned: nobody vouches for this mail; sealed: nobody on the way could read it, and "
            "it may have been changed",
        ),
        ("nothing", "unsigned: nobody vouches for this mail"),
        (
            "by another",
            "signature NOT good: the certificate names carol@example.org, not alice@example.org",
        ),
        ("around", "unsigned: nobody vouches for this mail; sealed: nobody on the way"),
    ],
)
def test_the_verdict(world: World, how: str, verdict: str) -> None:
    sealed = smime.encrypt(LETTER, to=world.bob)
    mails = {
        "protect": lambda: smime.protect(LETTER, by=world.alice, to=world.bob),
        "sign": lambda: smime.sign(LETTER, by=world.alice),
        "encrypt": lambda: sealed,
        "nothing": lambda: LETTER,
        "by another": lambda: smime.sign(LETTER, by=world.carol),
        "around": lambda: smime.sign(sealed, by=world.alice),
    }

    view = shown(mails[how](), world)

    assert view.verdict == verdict or (how == "around" and view.verdict.startswith(verdict))


def test_nobody_was_asked(world: World) -> None:
    opened = smime.open(smime.sign(LETTER, by=world.alice), trust=smime.NoTrust())

    assert smime.view(opened).verdict == (
        "signature not judged: it claims to be by alice@example.org"
    )


@pytest.mark.parametrize(
    ("entity", "text", "files"),
    [
        (PLAIN, "Grüße", []),
        (multipart(b"alternative", PLAIN, HTML), "Grüße", []),
        (multipart(b"alternative", HTML, HTML), "", [("2", "text/html")]),
        (HTML, "", [("", "text/html")]),
        (multipart(b"mixed", PLAIN, PLAIN), "Grüße\r\n\n\nGrüße", []),
        (
            multipart(b"mixed", PLAIN, b"Content-Disposition: attachment\r\n\r\nno\r\n"),
            "Grüße",
            [("2", "text/plain")],
        ),
        (multipart(b"mixed", multipart(b"related", PLAIN, HTML)), "Grüße", [("1.2", "text/html")]),
        (b"Content-Type: text/plain; charset=x-none\r\n\r\na\xffb\r\n", "a\\xffb", []),
        (
            b"Content-Transfer-Encoding: base64\r\nContent-Type: text/plain\r\n\r\n!\r\n",
            "",
            [("", "text/plain")],
        ),
        (b"Content-Type: multipart/mixed; boundary=b\r\n\r\nx", "", [("", "multipart/mixed")]),
        (
            b"Content-Type: message/rfc822\r\n\r\nSubject: y\r\n\r\nwithin\r\n",
            "",
            [("", "message/rfc822")],
        ),
        (multipart(b"signed", PLAIN, b"\r\nx"), "Grüße", []),
    ],
)
def test_the_text_and_what_is_not_shown(
    world: World, entity: bytes, text: str, files: list[tuple[str, str]]
) -> None:
    view = shown(HEAD + entity, world)

    assert view.text.strip() == text
    assert [(one.path, one.kind) for one in view.files] == files


@pytest.mark.parametrize(
    ("field", "name"),
    [
        (b"Content-Disposition: attachment; filename=\"a b.pdf\"", "a b.pdf"),
        (b"Content-Disposition: attachment; filename*=utf-8''%E4%BC%9A%E8%AE%AE.pdf", "会议.pdf"),
        (b"Content-Disposition: inline; filename*0*=gbk''%BB%E1; filename*1=.pdf", "会.pdf"),
        (b"Content-Type: a/b; name=\"=?gb18030?b?u+HS6Q==?=\"", "会议"),
        (b"Content-Disposition: attachment", ""),
    ],
)  # fmt: skip
def test_the_name_of_a_file(world: World, field: bytes, name: str) -> None:
    kind = b"" if field.startswith(b"Content-Type") else b"Content-Type: a/b\r\n"

    view = shown(HEAD + kind + field + b"\r\n\r\nx", world)

    assert [one.name for one in view.files] == [name]


def test_an_address_behind_a_long_name_is_shown(world: World) -> None:
    mail = b'From: "' + b"a" * 5000 + b'" <eve@example.net>\r\n\r\nhi\r\n'

    (sender,) = shown(mail, world).headers

    assert sender.value.endswith("<eve@example.net>")
    assert len(sender.value) < 1020


@pytest.mark.parametrize(
    ("field", "shown_as"),
    [
        (b"=?utf-8?q?Gr=C3=BC=C3=9Fe?= <eve@example.net>", "Grüße <eve@example.net>"),
        (
            b"=?utf-8?q?=22A=22_=3Calice=40example=2Eorg=3E?= <eve@example.net>",
            '"\\"A\\" <alice@example.org>" <eve@example.net>',
        ),
        (b"=?utf-8?q?a=40b=2C?= =?utf-8?q?_c?= <eve@example.net>", '"a@b, c" <eve@example.net>'),
        (b"=?x-none?q?a=40b?= <eve@example.net>", "=?x-none?q?a=40b?= <eve@example.net>"),
        (b'"a@b" <eve@example.net>', '"a@b" <eve@example.net>'),
    ],
)
def test_a_name_cannot_write_an_address(world: World, field: bytes, shown_as: str) -> None:
    (sender,) = shown(b"From: " + field + b"\r\n\r\nhi\r\n", world).headers

    assert sender.value == shown_as


def test_a_mail_without_from_and_one_with_two(world: World) -> None:
    assert shown(b"Subject: x\r\n\r\nhi\r\n", world).headers[0].value == "(nobody)"
    two = shown(b"From: a@b.example\r\nFrom: c@d.example\r\n\r\nhi\r\n", world)
    assert [one.value for one in two.headers] == ["a@b.example", "c@d.example"]


def test_warnings_are_told_apart_from_notes(world: World) -> None:
    today = f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000".encode()
    letter = re.sub(rb"Date: [^\r\n]+", today, LETTER)
    signed = bytes(smime.sign(letter, by=world.alice)).replace(b"\r\n", b"\n")
    view = shown(signed, world)
    assert ([one.code for one in view.warnings], [one.code for one in view.notes]) == (
        [],
        ["line-ends"],
    )
    passed_on = smime.encrypt(smime.sign(LETTER, by=world.alice), to=world.carol)
    opened = smime.open(passed_on, keys=world.carol, trust=world.anchors)
    view = smime.view(opened)
    assert [one.code for one in view.warnings] == ["not-addressed-to-you"]
    # Its headers were protected for a mail that is only signed, and somebody sealed it.
    assert "header-contradiction" in [one.code for one in view.notes]
    sealed = smime.protect(LETTER, by=world.alice, to=world.bob)
    inside = smime.decrypt(sealed, keys=world.bob, trust=world.anchors)
    bare = b"From: alice@example.org\r\n" + signed_layer(sealed, world)
    assert inside.signer == smime.open(bare, trust=world.anchors).signer
    assert "header-contradiction" in [one.code for one in shown(bare, world).warnings]


def test_limits(world: World) -> None:
    """Ten thousand parts, sixty levels, a long text: shown as far as the limits go."""
    many = shown(HEAD + multipart(b"mixed", *[HTML] * 10_000), world)
    assert len(many.files) == viewing.MAX_FILES
    deep = PLAIN
    for n in range(60):
        edge = b"e%d" % n
        deep = b"Content-Type: multipart/mixed; boundary=" + edge + b"\r\n\r\n" + (
            b"--" + edge + b"\r\n" + deep + b"\r\n--" + edge + b"--\r\n"
        )  # fmt: skip
    assert [one.kind for one in shown(HEAD + deep, world).files] == ["multipart/mixed"]
    long = HEAD + b"\r\n" + b"x" * (viewing.MAX_TEXT + 1)
    assert len(shown(long, world).text) == viewing.MAX_TEXT


def test_it_is_json_and_steers_no_terminal(world: World) -> None:
    mail = (
        b"From: \x1b[2Ja@b.example\r\nSubject: \x07\xe2\x80\xae\r\nContent-Type: a/b; "
        b'name="\x1b[1m"\r\n\r\n\x1b[1m\r\n'
    )
    for one in (mail, mail.replace(b"a/b", b"text/plain")):
        view = shown(one, world)
        assert all(line.isprintable() for line in str(view).split("\n"))
        assert json.loads(json.dumps(view.to_dict()))["headers"][1]["value"] == "\x07\u202e"
    assert "\x1b" not in repr(view)


PIECES = [
    b"From: a@b.example", b"\r\n", b"\n", b"\r", b"Content-Type: ", b"multipart/mixed; boundary=b",
    b"multipart/alternative; boundary=c", b"text/plain; charset=", b"utf-7", b"gb18030", b"--b",
    b"--b--", b"--c", b"--c--", b"Content-Transfer-Encoding: ", b"base64", b"quoted-printable",
    b"=?", b"=?=", b"?=", b"=\r", b"\0", b"\xff", b"Subject: =?utf-7?b?AA?=", b"\r\n\r\n",
    b"Content-Disposition: attachment; filename*0*=", b"'%zz", b"multipart/signed; boundary=b",
]  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=30).map(b"".join))
def test_whatever_a_mail_holds_can_be_shown(world: World, mail: bytes) -> None:
    try:
        opened = smime.open(mail, trust=world.anchors)
    except smime.SmimeError:
        return
    view = smime.view(opened)
    assert all(line.isprintable() for line in str(view).split("\n"))
    json.dumps(view.to_dict())
