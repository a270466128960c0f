"""Header protection: what goes inside, what stays outside, what a reader sees."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.mime import headers, wording
from smime.mime.canonical import is_canonical
from smime.mime.entity import Field, split_entity
from smime.mime.headers import divide, protected
from smime.mime.rendering import readable
from smime.mime.wording import written_7bit

MAIL = b"""Received: from a by b
Return-Path: <a@example.org>
DKIM-Signature: v=1
From: Alice <alice@example.org>
To: bob@example.org
Bcc: secret@example.org
Subject: plans
Date: Mon, 1 Jan 2030 00:00:00 +0000
Message-ID: <1@example.org>
Comments: private
Keywords: private
List-Id: <list.example.org>
Resent-Bcc: other@example.org
MIME-Version: 1.0
Content-Type: text/plain; charset=utf-8
Content-Language: en

hello
"""

PROTECTED = ["From", "To", "Subject", "Date", "Message-ID", "Comments", "Keywords"]


def names(block: bytes) -> list[str]:
    return [field.name for field in split_entity(block + b"\r\n").fields]


def test_clear_copies_what_the_author_wrote():
    made = divide(MAIL, mode="clear")
    inner = split_entity(made.inner)

    assert names(inner.header_block) == ["Content-Type", "Content-Language", *PROTECTED]
    assert inner.content_type.params == {"charset": "utf-8", "hp": "clear"}
    assert inner.body == b"hello\r\n"
    assert is_canonical(made.inner)
    assert names(made.outer) == ["Received", "Return-Path", "DKIM-Signature", *PROTECTED, "List-Id"]
    assert made.outer.count(b"\n") == made.outer.count(b"\r\n") == 11
    assert made.sealed_outer == b""


def test_cipher_obscures_outside_and_says_so_inside():
    made = divide(MAIL, mode="cipher")
    inner = split_entity(made.inner)

    assert inner.content_type.params["hp"] == "cipher"
    assert inner.get("Subject") == "plans"
    assert inner.get_all("HP-Outer") == [
        "From: Alice <alice@example.org>",
        "To: bob@example.org",
        "Subject: [...]",
        "Date: Mon, 1 Jan 2030 00:00:00 +0000",
        "Message-ID: <1@example.org>",
    ]
    sealed = split_entity(made.sealed_outer + b"\r\n")
    assert sealed.get("Subject") == "[...]"
    assert b"private" not in made.sealed_outer
    assert b"plans" in made.outer
    assert sealed.get("Received") == "from a by b"


def test_none_copies_nothing():
    made = divide(MAIL, mode="none")

    assert made.inner == (
        b"Content-Type: text/plain; charset=utf-8\r\nContent-Language: en\r\n\r\nhello\r\n"
    )
    assert made.outer == divide(MAIL, mode="clear").outer


@pytest.mark.parametrize("mode", ["clear", "cipher", "none"])
def test_bcc_is_nowhere(mode):
    made = divide(MAIL, mode=mode)

    assert b"secret" not in made.outer + made.inner + made.sealed_outer
    assert b"other@" not in made.outer + made.inner + made.sealed_outer


@pytest.mark.parametrize("mode", ["clear", "cipher", "none"])
def test_an_entity_of_its_own_gets_nothing_added(mode):
    entity = b"MIME-Version: 1.0\r\nContent-Type: application/edi-x12\r\n\r\nISA*00\r\n"

    made = divide(entity, mode=mode)

    assert made.inner == entity.partition(b"\r\n")[2]
    assert (made.outer, made.sealed_outer) == (b"", b"")


@pytest.mark.parametrize("mode", ["clear", "cipher", "none"])
@pytest.mark.parametrize("raw", [MAIL, b"Content-Type: a/b\r\n\r\nx", b"Content-Type: a/b\n\nx"])
def test_an_entity_already_split_is_taken_as_well(raw, mode):
    one, other = divide(raw, mode=mode), divide(split_entity(raw), mode=mode)

    assert (one.outer, one.inner, one.sealed_outer) == (
        other.outer,
        other.inner,
        other.sealed_outer,
    )


FIELD_LINES = [
    b"Content-Type: text/plain\r\n", b"content-type:text/html\r\n", b"Content-ID: <a@b>\r\n",
    b"Content-Description: a\r\n b\r\n", b"Content-Description : a\r\n", b"MIME-Version: 1.0\r\n",
    b"Subject: Content-Type: x\r\n", b"no field\r\n", b"Content- Type: x\r\n",
    b"Content-Disposition: a\r\n\tb\r\n", b"Content-Language: de\n", b"Content-Type\r\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(FIELD_LINES), max_size=5), st.sampled_from([b"\r\n", b"\n", b""]))
def test_an_entity_of_its_own_is_told_by_its_fields(lines, empty):
    """It has a type and no field but what it is, each with what is folded below it."""
    entity = split_entity(b"".join([*lines, empty, b"body\r\n"]))
    keys = [field.key for field in entity.fields]
    octets = sum(len(field.raw) for field in entity.fields)

    expected = (
        all(key.startswith("content-") for key in keys)
        and "content-type" in keys
        and entity.header_block.endswith(b"\n\r\n")
        and octets + 2 == entity.body_at
    )

    assert headers._is_whole(entity) == expected


TYPE_PIECES = [
    b"Content-Type:", b"content-type: ", b"text/plain", b"multipart/x-y", b";", b"; ", b"a=b",
    b";\r\n ", b'boundary="a b"', b'c="(d)"', b"charset=utf-8", b"hp=clear", b"HP=x", b"php=1",
    b"e*=utf-8''f", b'g="', b"(note)", b" ", b'h="\\""', b"text", b"\r\n",
]  # fmt: skip


@given(st.lists(st.sampled_from(TYPE_PIECES), max_size=6), st.booleans())
def test_a_type_that_is_taken_for_plain_says_hp_once(pieces, start):
    """What is not read before ``hp`` is added would be read as just that."""
    raw = b"".join([b"Content-Type: text/plain" if start else b"", *pieces, b"\r\n"])
    if wording._PLAIN_TYPE.fullmatch(raw) and b"hp=" not in raw.lower():
        marked = raw[:-2] + b'; hp="cipher"\r\n'
        assert wording._says_once(marked, "cipher")

    made = divide(raw + b"Subject: x\r\n\r\nbody\r\n", mode="clear") if start else None
    if made is not None and made.outer:
        assert split_entity(made.inner).content_type.params["hp"] == "clear"


def test_a_field_that_is_cut_short_gets_its_line_end():
    made = divide(b"Content-Type: text/plain\r\nSubject: x\r\nX-", mode="clear")

    assert made.outer == b"Subject: x\r\n"
    assert made.inner == b'Content-Type: text/plain; hp="clear"\r\nSubject: x\r\n\r\n'
    entity = divide(b"Content-Type: text/plain\r\nX-", mode="clear")
    assert entity.inner == b"Content-Type: text/plain\r\n\r\n"


@pytest.mark.parametrize("name", ["bcc", "BCC", "Bcc "])
def test_a_word_of_a_header_block_is_found_in_any_case(name):
    entity = split_entity(f"To: a@b.example\r\n{name}: c@d.example\r\n\r\nof bob\r\n".encode())

    assert entity.mentions(b"bcc")
    assert entity.mentions(b"@d.ex")
    assert not entity.mentions(b"bob")


def test_lf_and_crlf_give_the_same():
    for mode in ("clear", "cipher", "none"):
        one, other = divide(MAIL, mode=mode), divide(MAIL.replace(b"\n", b"\r\n"), mode=mode)
        assert (one.outer, one.inner, one.sealed_outer) == (
            other.outer,
            other.inner,
            other.sealed_outer,
        )


def test_an_unknown_mode_is_a_mistake():
    with pytest.raises(ValueError, match="clear, cipher, none"):
        divide(MAIL, mode="sealed")


@pytest.mark.parametrize(
    ("raw", "content_type"),
    [
        (b"Subject: x\n\nhello\n", 'text/plain; charset=us-ascii; hp="clear"'),
        ("Subject: x\n\ngrüße\n".encode(), 'text/plain; charset=utf-8; hp="clear"'),
        (b"Subject: x\n\ngr\xfc\xdfe\n", 'text/plain; hp="clear"'),
        (b"Subject: x\nContent-Transfer-Encoding: base64\n\nQQ==\n", 'text/plain; hp="clear"'),
        (b"Subject: x\nContent-Type: a/b;\n\nx\n", 'a/b; hp="clear"'),
        (b'Subject: x\nContent-Type: a/b; hp="cipher"; x=1\n\nx\n', 'a/b; hp="clear"; x="1"'),
        (b'Subject: x\nContent-Type: a/b; x="open\n\nx\n', 'a/b; x="open"; hp="clear"'),
        (b"Subject: x\nContent-Type: a/b (open\n\nx\n", 'a/b; hp="clear"'),
        (b"Subject: x\nContent-Type: nonsense\n\nx\n", 'text/plain; hp="clear"'),
        (b"Subject: x\nContent-Type: a/b; x=php\n\nx\n", 'a/b; x=php; hp="clear"'),
        ('Subject: x\nContent-Type: a/b (o; name="é"\n\nx\n'.encode(), 'a/b; hp="clear"'),
        (
            'Subject: x\nContent-Type: a/b; hp=x; name="é"\n\nx\n'.encode(),
            "a/b; hp=\"clear\"; name*=utf-8''%C3%A9",
        ),
    ],
)
def test_hp_parameter(raw, content_type):
    """It is added without touching what is there, unless that would hide it."""
    inner = split_entity(divide(raw, mode="clear").inner)

    assert inner.get("content-type") == content_type
    assert inner.content_type.params["hp"] == "clear"


def test_long_content_types_are_folded():
    raw = (
        b"Subject: x\nContent-Type: multipart/mixed; boundary=" + b"b" * 70 + b"\n\n--" + b"b" * 70
    )
    raw += b"\n\nx\n--" + b"b" * 70 + b"--\n"

    assert b'\r\n hp="clear"\r\n' in divide(raw, mode="clear").inner


FIELDS = [
    ("Subject: Grüße aus Köln", "Grüße aus Köln"),
    ("Subject: =?utf-8?q?x?= é", "x é"),
    ("Subject: " + "ü" * 300, "ü" * 300),
    ("X-Note: a " + "中文" * 50, "a " + "中文" * 50),
    ('From: "Größe, Jürgen" <j@example.org>', "Größe, Jürgen <j@example.org>"),
    ("To: Jürgen Größe <j@example.org>, b@c.example", "Jürgen Größe <j@example.org>, b@c.example"),
    ("Cc: Büro: a@b.example;", "Büro: a@b.example;"),
]


@pytest.mark.parametrize(("line", "text"), FIELDS)
def test_8_bit_fields_inside_are_encoded_words(line, text):
    """A copy says the same in 7-bit (RFC 2047)."""
    made = written_7bit(Field(line.partition(":")[0], line.encode() + b"\n"))

    assert is_canonical(made)
    assert max(map(len, made.split(b"\r\n"))) < 90
    assert split_entity(made + b"\r\n").fields[0].text.replace("\t", " ") == text


@pytest.mark.parametrize(
    "line",
    ["To: jürgen@bücher.example", "Message-ID: <é@b.example>", "To: (é) <a@b.example>"],
)
def test_8_bit_without_a_7_bit_form_stays(line):
    raw = line.encode() + b"\r\n"

    assert written_7bit(Field(line.partition(":")[0], raw)) == raw


def test_octets_of_an_unknown_charset():
    subject = written_7bit(Field("Subject", b"Subject: \xc4\xe3\n"))
    sender = written_7bit(Field("From", b"From: \xc4\xe3 <a@b.example>\n"))

    assert subject == b"Subject: =?unknown-8bit?B?xOM=?=\r\n"
    assert sender == b"From: \xc4\xe3 <a@b.example>\r\n"


@given(st.text(st.characters(exclude_categories=("Cs", "Cc")), max_size=200))
def test_any_subject_reads_the_same_inside(subject):
    mail = f"Subject: {subject}\r\nFrom: a@b.example\r\n\r\nx\r\n".encode()
    outside = split_entity(mail).fields[0].text

    inner = split_entity(divide(mail, mode="clear").inner)

    shown = next(field.text for field in inner.fields if field.key == "subject")
    assert shown == outside or not outside.strip()
    assert inner.header_block.isascii()


@pytest.mark.parametrize("mode", ["clear", "cipher"])
def test_protected_undoes_divide(mode):
    made = protected(split_entity(divide(MAIL, mode=mode).inner))

    assert made is not None
    assert made.mode == mode
    assert [field.name for field in made.fields] == PROTECTED
    assert made.ignored == ()
    listed = [(field.name, field.value) for field in made.outer]
    assert (("Subject", "[...]") in listed) is (mode == "cipher")
    assert made.get("from") == "Alice <alice@example.org>"


@pytest.mark.parametrize(
    ("content_type", "mode"),
    [
        (b'text/plain; hp="clear"', "clear"),
        (b"text/plain; HP=Cipher", "cipher"),
        (b'text/plain; protected-headers="v1"', "v1"),
        (b"text/plain; hp=other", None),
        (b"text/plain", None),
        (b"message/rfc822", None),
    ],
)
def test_which_payload_protects(content_type, mode):
    """Only the root's own parameter counts (RFC 9788 §2.1)."""
    made = protected(split_entity(b"Content-Type: " + content_type + b"\nSubject: x\n\nx"))

    assert (made.mode if made else None) == mode


def test_what_may_not_be_inside_is_ignored_and_told():
    raw = (
        b"Content-Type: text/plain; hp=cipher\nFrom: a@b.example\nReceived: x\n"
        b"From: m@evil.example\nMIME-Version: 1.0\nBcc: x\nX-Tag: 1\nX-Tag: 2\n"
        b"HP-Outer: Subject: [...]\nHP-Outer: nothing\n"
        b"HP-Outer: X-Folded:\n a\n\nx"
    )

    made = protected(split_entity(raw))

    assert made is not None
    assert [field.value for field in made.fields] == ["a@b.example", "1", "2"]
    assert [field.name for field in made.ignored] == ["Received", "From", "MIME-Version", "Bcc"]
    assert [(field.key, field.value) for field in made.outer] == [
        ("subject", "[...]"),
        ("x-folded", "a"),
    ]


OUTER = b"""Received: from a by b
From: Mallory <mallory@evil.example>
To: someone@evil.example
Cc: added@evil.example
Subject: [...]
X-Spam-Level: *
MIME-Version: 1.0
Content-Type: application/pkcs7-mime; name=smime.p7m
Content-Transfer-Encoding: base64

MII
"""


def test_a_reader_sees_the_protected_fields():
    inner = split_entity(divide(MAIL, mode="cipher").inner)
    outer = split_entity(OUTER)

    mail = split_entity(readable(outer, inner, protected(inner), use_from=True))

    assert names(mail.header_block) == [
        "Received", "From", "To", "Subject", "X-Spam-Level",
        "Date", "Message-ID", "Comments", "Keywords",
        "MIME-Version", "Content-Type", "Content-Language",
    ]  # fmt: skip
    assert mail.get("Subject") == "plans"
    assert mail.get("From") == "Alice <alice@example.org>"
    assert mail.get("To") == "bob@example.org"
    assert mail.body == inner.body


def test_the_outer_from_stays_unless_the_inner_may_be_used():
    inner = split_entity(divide(MAIL, mode="cipher").inner)

    mail = split_entity(readable(split_entity(OUTER), inner, protected(inner), use_from=False))

    assert mail.get_all("From") == ["Mallory <mallory@evil.example>"]
    assert mail.get("Subject") == "plans"


def test_without_protection_the_outer_fields_are_all_there_is():
    inner = split_entity(b"Content-Type: text/html\nSubject: not protected\n\n<p>\n")

    mail = split_entity(readable(split_entity(OUTER), inner, None, use_from=True))

    assert mail.get("Subject") == "[...]"
    assert mail.get("Cc") == "added@evil.example"
    assert mail.get_all("Content-Type") == ["text/html"]
    assert mail.body == b"<p>\n"


def test_older_protection_leaves_the_other_outer_fields():
    inner = split_entity(b'Content-Type: text/plain; protected-headers="v1"\nSubject: x\n\nhi')

    mail = split_entity(readable(split_entity(OUTER), inner, protected(inner), use_from=True))

    assert mail.get("Subject") == "x"
    assert mail.get("Cc") == "added@evil.example"


def test_a_wrapped_message_is_the_mail():
    inner = split_entity(
        b"Content-Type: message/rfc822; forwarded=no\n\n"
        b"From: a@b.example\nSubject: x\nMIME-Version: 1.0\nContent-Type: text/html\n\n<p>"
    )

    made = protected(inner)
    assert made is not None
    mail = split_entity(readable(split_entity(OUTER), inner, made, use_from=True))

    assert made.mode == "wrapped"
    assert (mail.get("Subject"), mail.get("From")) == ("x", "a@b.example")
    assert (mail.get("Content-Type"), mail.body) == ("text/html", b"<p>")


@pytest.mark.parametrize("mode", ["clear", "cipher", "none"])
@given(raw=st.binary(max_size=200).map(lambda raw: b"Subject: x\r\n" + raw))
def test_divide_takes_any_mail(mode, raw):
    """Nothing crashes, and what goes inside is an entity with CRLF lines."""
    made = divide(raw, mode=mode)

    assert made.inner.count(b"\n") == made.inner.count(b"\r\n")
    assert made.outer == b"" or made.outer.endswith(b"\r\n")
    again = protected(split_entity(made.inner))
    assert (again is None) is (mode == "none")
