"""Entities: where header and body are, what fields say, decoding; odd real mail."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.errors import LimitExceeded, MalformedMail
from smime.mime import entity as entity_module
from smime.mime.entity import ContentType, Field, decode_words, split_entity, split_part

SPLITS = [
    ("crlf", b"A: 1\r\nB: 2\r\n\r\nbody\r\n", ["A", "B"], b"body\r\n"),
    ("lf", b"A: 1\nB: 2\n\nbody\n", ["A", "B"], b"body\n"),
    ("mixed, CRLF ends first", b"A: 1\n\r\nbody\n\nmore", ["A"], b"body\n\nmore"),
    ("mixed, LF ends first", b"A: 1\r\n\nbody\n\r\nmore", ["A"], b"body\n\r\nmore"),
    ("no body", b"A: 1\r\n", ["A"], b""),
    ("no line end", b"A: 1", ["A"], b""),
    ("no fields", b"\r\nbody", [], b"body"),
    ("no fields, LF", b"\nA: 1\n\nbody", [], b"A: 1\n\nbody"),
    ("no header at all", b"just text\r\n\r\nmore", [], b"just text\r\n\r\nmore"),
    ("text that begins like mbox", b"From here on\r\nit is text\r\n", [], None),
    ("mbox line", b"From a@b Mon Jan 1 00:00:00 2030\nA: 1\n\nbody", ["A"], b"body"),
    ("quoted mbox line", b">From a@b Mon Jan  1\nFrom c d\nA: 1\n\nbody", ["A"], b"body"),
    ("folds", b"A: 1\r\n\t2\r\n \r\n 3\r\nB: 4\r\n\r\nbody", ["A", "B"], b"body"),
    ("line that is no field", b"A: 1\r\nno field\r\nB: 2\r\n\r\nx", ["A", "B"], b"x"),
    ("blank before colon", b"A : 1\r\n\r\nx", ["A"], b"x"),
    ("8-bit name", b"A: 1\r\n\xe9: 2\r\n\r\nx", ["A"], b"x"),
    ("NUL", b"A: 1\0\r\n\r\n\0", ["A"], b"\0"),
    ("bare CR is no line end", b"A: 1\rB: 2\r\n\r\nx", ["A"], b"x"),
]


@pytest.mark.parametrize(
    ("raw", "names", "body"), [s[1:] for s in SPLITS], ids=[s[0] for s in SPLITS]
)
def test_split(raw, names, body):
    """Header and body are found by position, whatever the line ends are."""
    entity = split_entity(raw)

    assert [field.name for field in entity.fields] == names
    assert entity.body == (raw if body is None else body)
    assert entity.raw[entity.body_at :] == entity.body
    assert entity.raw.endswith(entity.header_block + entity.body)


def test_empty_lines_on_top_of_a_message_are_passed_over_only_when_asked():
    raw = b"\r\n\nFrom x y\nSubject: hi\n\nbody"

    assert split_entity(raw, message=True).get("subject") == "hi"
    assert split_entity(raw).fields == ()
    assert split_entity(b"\r\nno field", message=True).body == b"no field"


def test_empty_input_is_no_mail():
    with pytest.raises(MalformedMail, match="empty"):
        split_entity(b"")


def test_header_octets_have_a_limit():
    size = entity_module.MAX_HEADER_OCTETS
    at_limit = b"A: " + b"x" * (size - 7) + b"\r\n\r\n"

    assert split_entity(at_limit + b"body").body == b"body"
    with pytest.raises(LimitExceeded):
        split_entity(b"A: x" + at_limit[3:] + b"body")
    with pytest.raises(LimitExceeded):
        split_entity(b"A: " + b"x" * 2 * size)
    assert split_entity(b"no header " * size).fields == ()


def test_fields_have_a_limit():
    count = entity_module.MAX_FIELDS

    assert len(split_entity(b"A: 1\r\n" * count + b"\r\n").fields) == count
    with pytest.raises(LimitExceeded):
        split_entity(b"A: 1\r\n" * (count + 1) + b"\r\n")


FIELDS = [
    (b"Subject:  two words \r\n", "two words", "two words"),
    (b"Subject: folded\r\n\there\n and there\r\n", "folded\there and there", None),
    ("Subject: Grüße\r\n".encode(), "Grüße", "Grüße"),
    (b"Subject: Gr\xfc\xdfe\r\n", "Grüße", "Grüße"),
    (b"Subject: =?utf-8?Q?Gr=C3=BC=C3=9Fe?=\r\n", "=?utf-8?Q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    (b"Subject:\r\n", "", ""),
    (b"Subject: a:b\r\n", "a:b", "a:b"),
]


@pytest.mark.parametrize(("raw", "value", "text"), FIELDS)
def test_field_value_and_text(raw, value, text):
    """The value is unfolded and no more; the text has its encoded words decoded."""
    field = Field("Subject", raw)

    assert (field.value, field.text) == (value, value if text is None else text)
    assert (field.key, field.raw) == ("subject", raw)


WORDS = [
    ("=?iso-8859-1?q?caf=E9_au?= lait", "café au lait"),
    ("=?utf-8?b?w6k=?=  =?utf-8?b?w6k=?=", "éé"),
    ("=?utf-8?b?5Lit5w==?= =?utf-8?b?loc=?=", "中\u7587"),  # cut inside a character
    ("=?gb2312?B?1tDOxA==?=", "中文"),
    ("=?iso-2022-jp?B?GyRCRnxLXBsoQg==?=", "日本"),
    ("=?utf-8*de?q?Gr=C3=BC=C3=9Fe?=", "Grüße"),
    ("=?utf-8?q?a?= x =?utf-8?q?b?=", "a x b"),
    ("=?utf-8?q?a?= =?utf-16-be?q?=00b?=", "ab"),
    ("=?no-such-charset?q?x?=", "=?no-such-charset?q?x?="),
    ("=?unicode_escape?q?=5Cu0041?=", "=?unicode_escape?q?=5Cu0041?="),
    ("=?zlib?q?x?=", "=?zlib?q?x?="),
    ("=?utf-8?b?x?=", "=?utf-8?b?x?="),
    ("=?unknown-8bit?B?6Q==?=", "é"),
    ("a =? b ?=", "a =? b ?="),
]


@pytest.mark.parametrize(("raw", "text"), WORDS)
def test_decode_words(raw, text):
    """Encoded words are decoded as mail writes them; the rest stays (RFC 2047)."""
    assert decode_words(raw) == text


TYPES = [
    ("text/plain", "text/plain", {}),
    ("Multipart/Signed; Boundary=abc; micalg=SHA-256", "multipart/signed",
     {"boundary": "abc", "micalg": "SHA-256"}),
    ('a/b; x="q;u\\"o\\\\te"; y=2', "a/b", {"x": 'q;u"o\\te', "y": "2"}),
    ("a/b; name=two words.pdf; y=2", "a/b", {"name": "two words.pdf", "y": "2"}),
    ('a/b; boundary="open', "a/b", {"boundary": "open"}),
    ("a/b; boundary=a=b/c", "a/b", {"boundary": "a=b/c"}),
    ("a/b (comment; x=1); y=2 (more (nested) \\) )", "a/b", {"y": "2"}),
    ('a/b; x="(no comment)"', "a/b", {"x": "(no comment)"}),
    ("a/b; x=1; X=2", "a/b", {"x": "1"}),
    ("a/b;; ;x=1;", "a/b", {"x": "1"}),
    ("a/b; x = 1 ; y", "a/b", {"x": "1"}),
    ('a/b; x="', "a/b", {"x": ""}),
    ("a/b; name*=utf-8'de'Gr%C3%BC%C3%9Fe", "a/b", {"name": "Grüße"}),
    ("a/b; name*0*=utf-8''Gr%C3%BC; name*1=\"%41 \"; name*2*=%C3%9Fe", "a/b",
     {"name": "Grü%41 ße"}),
    ("a/b; boundary*1=b; boundary*0=a", "a/b", {"boundary": "ab"}),
    ("a/b; name*=utf-8''x; name=y", "a/b", {"name": "x"}),
    ("a/b; name*1=lost", "a/b", {}),
    ("text", "text/plain", {}),
    ("", "text/plain", {}),
    ("a/b/c; x=1", "text/plain", {}),
    ("text/html charset=utf-8", "text/plain", {}),
]  # fmt: skip


@pytest.mark.parametrize(("text", "value", "params"), TYPES)
def test_content_type(text, value, params):
    """Parameters are read as real mail writes them (RFC 2045 §5.1, RFC 2231)."""
    kind = ContentType.parse(text)

    assert (kind.value, kind.params) == (value, params)


def test_content_type_of_an_entity():
    assert split_entity(b"A: 1\n\n").content_type.value == "text/plain"
    assert split_entity(b"content-TYPE : a/b\n\n").content_type.value == "a/b"
    assert (
        split_entity(b"X: 1\n Content-Type: a/b\nContent-Type-X: a/b\n\n").get("content-type")
        is None
    )
    assert split_entity(b"Content-Type: a/b\nContent-Type: c/d\n\n").content_type.value == "a/b"


def test_get_before_and_after_the_fields_are_read():
    entity = split_entity("Subject: é\nX: 1\nx : 2\n\n".encode())

    before = [entity.get(name) for name in ("subject", "X", "é", "none")]
    assert entity.get_all("x") == ["1", "2"]
    assert [entity.get(name) for name in ("subject", "X", "é", "none")] == before
    assert before == ["é", "1", None, None]


DECODED = [
    (b"base64", b"aGVs\r\n bG8=\r\n", b"hello"),
    (b"BASE64 (comment)", b"", b""),
    (b"quoted-printable", b"caf=C3=A9=\r\n!=20 \t\r\n=3d\r\n", "café! \r\n=\r\n".encode()),
    (b"quoted-printable", b"=XY=\rkept\nx=", b"=XY=\rkept\nx"),
    (b"8bit", b"\xff\n", b"\xff\n"),
    (b"x-unknown", b"as it is", b"as it is"),
    (b"", b"as it is", b"as it is"),
]


@pytest.mark.parametrize(("encoding", "body", "content"), DECODED)
def test_decoded(encoding, body, content):
    """A body loses its transfer encoding and nothing else."""
    assert (
        split_entity(b"Content-Transfer-Encoding: " + encoding + b"\r\n\r\n" + body).decoded()
        == content
    )


@pytest.mark.parametrize(
    "body", [b"aGVsbG8", b"aGVsbG8=x", b"aGVs*bG8=", b"aGVsbG8=\r\n-- \r\nfooter", b"\xff"]
)
def test_damaged_base64_is_refused(body):
    """Base64 is strict: what is cut short or has foreign characters gives nothing."""
    with pytest.raises(MalformedMail):
        split_entity(b"Content-Transfer-Encoding: base64\r\n\r\n" + body).decoded()


HOSTILE = [
    b"A: " + b"(" * 500_000,
    b"Content-Type: a/b" + b"; x=(" * 100_000,
    b"Content-Type: a/b; " + b'"' * 500_000,
    b"Content-Type: a/b; x=" + b'"\\' * 250_000,
    b"Content-Type: a/b" + b"; x*1=y" * 100_000,
    b"Content-Type: a/b" + b";" * 500_000 + b" " * 400_000 + b"x",
    b"Content-Type: " + b" " * 900_000 + b"x",
    b"Content-Type: a/b; x*=" + b"''" * 300_000,
    b"Content-Type: a/b; x*=utf-8''" + b"%" * 500_000,
    b"Subject: " + b"=?" * 400_000,
    b"Subject: " + b"=?a?q?" * 150_000,
    b"Subject: " + b"=?utf-8?q?x?=" * 70_000,
    b"Content-Transfer-Encoding: quoted-printable\n\n" + b" " * 1_000_000 + b"x",
    b"Content-Transfer-Encoding: quoted-printable\n\n" + b"=\r" * 500_000,
    b"Content-Transfer-Encoding: " + b"(" * 900_000,
    b"a" * 1_000_000,
    b"\n" * 1_000_000,
    b"From \n" * 150_000,
    b"Content-Type\n" * 70_000 + b"a: b",
    b"A: 1\n" + b"Content-Type\n" * 70_000,
]


@pytest.mark.parametrize("raw", HOSTILE, ids=range(len(HOSTILE)))
def test_hostile_input_takes_bounded_time(raw, bounded):
    """A megabyte made to be slow is read, or refused, in far less than a second."""
    with bounded():
        try:
            entity = split_entity(raw, message=True)
            entity.content_type, entity.transfer_encoding  # noqa: B018
            [field.text for field in entity.fields]
            entity.decoded()
        except MalformedMail:
            pass


@given(st.binary(max_size=300) | st.text(":;=\"'()\\*?\r\n \tAB=/", max_size=80).map(str.encode))
def test_nothing_crashes(raw):
    """Any octets are an entity, or are refused by our own error."""
    try:
        entity = split_entity(b"Content-Type:" + raw)
        assert entity.header_block + entity.body == entity.raw
        assert all(field.raw in entity.header_block for field in entity.fields)
        named = [field.value for field in entity.fields if field.key == "content-type"]
        assert split_entity(entity.raw).get("Content-Type") == (named[0] if named else None)
        [(field.value, field.text) for field in entity.fields]
        entity.decoded()
        split_entity(raw)
    except MalformedMail:
        pass


PIECES = [
    b"Content-Type", b"content-TYPE", b"X", b":", b" :", b"\t: ", b" ", b"\t", b"\r\n", b"\n",
    b"\r", b"\r\n\r\n", b"\n\n", b"text/plain", b"; charset=utf-8", b"From x", b"\xe4",
]  # fmt: skip


@given(st.lists(st.sampled_from(PIECES), min_size=1, max_size=12))
def test_a_field_that_is_looked_for_is_the_first_of_all_fields(pieces):
    raw = b"X: 1\r\n" + b"".join(pieces)
    quick, whole = split_entity(raw), split_entity(raw)
    values = {field.key: field.value for field in reversed(whole.fields)}

    for name in ("content-type", "x", "from"):
        assert quick.get(name) == values.get(name)


def test_what_was_read_of_a_part_before_is_read_of_its_own_octets():
    for charset in ("utf-8", "latin1", "utf-8"):
        part = split_part(b"Content-Type: text/html; charset=%b\r\n\r\nx" % charset.encode())
        assert (part.content_type.value, part.content_type.params) == (
            "text/html",
            {"charset": charset},
        )
        assert part.transfer_encoding == "7bit"
