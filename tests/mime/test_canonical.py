"""The canonical form: nothing a relay might change, and the same mail as before."""

from __future__ import annotations

import base64

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from smime.errors import LimitExceeded, MalformedMail
from smime.mime import canonical as canonical_module
from smime.mime.canonical import canonical, is_canonical, to_crlf
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, split_parts, split_signed

CANONICAL = [
    (b"A: 1\r\n\r\nbody\r\n", True),
    (b"", True),
    (b"no line end", True),
    (b"\r\n\r\n", True),
    (b"x" * 998 + b"\r\n" + b"y" * 998, True),
    (b"x" * 999, False),
    (b"\r\n" + b"x" * 999 + b"\r\n", False),
    (b"x\r\n" * 400 + b"y" * 998 + b"\r\n", True),
    (b"a\nb", False),
    (b"a\rb", False),
    (b"a\r\r\n", False),
    (b"a\n\rb", False),
    (b"a\r", False),
    (b"a \r\n", False),
    (b"a\t\r\n", False),
    (b"a\tb c\r\n", True),
    (b"a ", False),
    (b"a\t", False),
    (b"a\0", False),
    (b"\xe9", False),
    (b"From me\r\n", False),
    (b"a\r\nFrom me\r\n", False),
    (b"a From me\r\nFrom: me\r\nfrom me\r\n", True),
    (b"F" * 9 + b"\r\nFrom me\r\n", False),
    (b"F" * 9 + b"\r\nFrom: me\r\n", True),
    (b"FFFFFFF\r\nFrom me\r\n", False),
]


@pytest.mark.parametrize(("data", "answer"), CANONICAL, ids=range(len(CANONICAL)))
def test_is_canonical(data, answer):
    assert is_canonical(data) is answer


def test_is_canonical_sees_line_ends_on_both_sides_of_a_chunk():
    """Large data is looked at in pieces; a CRLF may lie across two of them."""
    size = canonical_module._CHUNK
    line = b"x" * 126 + b"\r\n"
    data = b"x" * 127 + b"\r\n" + line * (size // 64)

    assert data[size - 1 : size + 1] != b"xx"
    assert is_canonical(data)
    assert not is_canonical(data[: size + 1000] + b"\r" + data[size + 1000 :])


@given(st.lists(st.sampled_from([b"\r", b"\n", b"\r\n", b"a"])).map(b"".join))
def test_to_crlf(data):
    """Bare LF becomes CRLF; CRLF and bare CR stay; twice is once."""
    out = to_crlf(data)

    assert out.count(b"\n") == out.count(b"\r\n") == data.count(b"\n")
    assert out.replace(b"\r\n", b"\n") == data.replace(b"\r\n", b"\n")
    assert to_crlf(out) == out


def leaves(raw: bytes, *, of_digest: bool = False) -> list[tuple[str, bytes]]:
    """Type and content of every part that has no parts; text with LF."""
    entity = split_entity(raw)
    kind = entity.content_type.value
    if of_digest and entity.get("content-type") is None:
        kind = "message/rfc822"
    if kind.startswith("multipart/"):
        parts = split_parts(entity.body, boundary_of(entity))
        return [leaf for p in parts if p for leaf in leaves(p, of_digest=kind.endswith("digest"))]
    if kind == "message/rfc822" and entity.body and entity.transfer_encoding in ("7bit", "8bit"):
        return leaves(entity.body)
    content = entity.decoded()
    charset = entity.content_type.params.get("charset", "")
    if kind.startswith(("text/", "message/")) and charset != "utf-16":
        content = content.replace(b"\r\n", b"\n")
    return [(kind, content)]


LATIN = "Grüße aus Köln, wo es schön ist\n"

CASES = {
    "text, LF": (b"Content-Type: text/plain\n\nhello\nworld\n", b"hello\r\nworld\r\n"),
    "no header": (b"hello\nworld\n", b"hello\r\nworld\r\n"),
    "trailing blank": (b"A: 1\n\nhi \nthere\t\n", b"hi=20\r\nthere=09\r\n"),
    "From line": (b"A: 1\n\nFrom me\n", b"=46rom me\r\n"),
    "signature mark": (b"A: 1\n\nx\n-- \nme\n", b"x\r\n=2D-=20\r\nme\r\n"),
    "8-bit": (
        f"Content-Type: text/plain; charset=utf-8\n\n{LATIN}".encode(),
        b"Gr=C3=BC=C3=9Fe aus K=C3=B6ln, wo es sch=C3=B6n ist\r\n",
    ),
    "mostly 8-bit": (
        "Content-Type: text/plain; charset=utf-8\n\n你好世界\n".encode(),
        base64.b64encode("你好世界\r\n".encode()) + b"\r\n",
    ),
    "bare CR in text": (b"A: 1\n\na\rb\n", base64.b64encode(b"a\rb\r\n") + b"\r\n"),
    "binary with LF": (
        b"Content-Type: application/json\n\n{\n}\n",
        base64.b64encode(b"{\n}\n") + b"\r\n",
    ),
    "binary 8-bit": (
        b"Content-Type: image/png\nContent-Transfer-Encoding: binary\n\n\x89PNG\r\n\x1a\n\0",
        base64.b64encode(b"\x89PNG\r\n\x1a\n\0") + b"\r\n",
    ),
    "binary as lines": (b"Content-Type: a/b \r\n\r\nlines\r\n", b"lines\r\n"),
    "UTF-16": (
        b"Content-Type: text/plain; charset=utf-16\r\n\r\n" + "a\n".encode("utf-16"),
        base64.b64encode("a\n".encode("utf-16")) + b"\r\n",
    ),
    "base64 stays": (
        b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\naGVs\nbG8=\n",
        b"aGVs\r\nbG8=\r\n",
    ),
    "endless base64": (
        b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\n" + b"QUJD" * 300,
        (b"QUJD" * 19 + b"\r\n") * 15 + b"QUJD" * 15 + b"\r\n",
    ),
    "quoted-printable stays": (
        b"Content-Transfer-Encoding: quoted-printable\n\ncaf=E9=\n!\n",
        b"caf=E9=\r\n!\r\n",
    ),
    "quoted-printable with a blank": (
        b"Content-Transfer-Encoding: quoted-printable\n\ncaf=E9 \n",
        b"caf=E9\r\n",
    ),
    "quoted-printable data": (
        b"Content-Type: a/b\nContent-Transfer-Encoding: quoted-printable\n\na=00\nb\n",
        base64.b64encode(b"a\0\nb\n") + b"\r\n",
    ),
    "NUL in encoded text": (
        b"Content-Transfer-Encoding: base64\n\n" + base64.b64encode(b"a\0\n") + b" \n",
        base64.b64encode(b"a\0\n") + b"\r\n",
    ),
    "delivery status": (
        b"Content-Type: message/delivery-status\n\nStatus: 5.0.0 \n",
        b"Status: 5.0.0=20\r\n",
    ),
}


@pytest.mark.parametrize(("raw", "body"), CASES.values(), ids=CASES)
def test_leaf(raw, body):
    """Each kind of part has its canonical body, and says its encoding."""
    made = canonical(raw)

    assert split_entity(made).body == body
    assert is_canonical(made)
    assert leaves(made) == leaves(raw)


HEADS = {
    "encoding replaced in its place": (
        b"A: 1\nContent-Transfer-Encoding: 8bit\nB: 2\n\n\xe9 abc\n",
        b"A: 1\r\nContent-Transfer-Encoding: quoted-printable\r\nB: 2\r\n\r\n",
    ),
    "encoding twice": (
        b"Content-Transfer-Encoding: 8bit\nContent-Transfer-Encoding: binary\n\n\xe9 abc\n",
        b"Content-Transfer-Encoding: quoted-printable\r\n\r\n",
    ),
    "8bit no longer true": (
        b"Content-Transfer-Encoding: 8bit\nB: 2\n\nabc\n",
        b"B: 2\r\n\r\n",
    ),
    "blanks at line ends": (b"A: 1; \n b=2\t\n \n c \n\nx", b"A: 1;\r\n b=2\r\n c\r\n\r\n"),
    "only blanks": (b"A: \n\nx", b"A:\r\n\r\n"),
    "bare CR and NUL": (b"A: 1\r2\0003\n\nx", b"A: 1 2 3\r\n\r\n"),
    "blank before colon": (b"From : 1\n\nx", b"From: 1\r\n\r\n"),
    "no field": (b"A: 1\nFrom here\nB: 2\n\nx", b"A: 1\r\nB: 2\r\n\r\n"),
    "mbox line": (b"From a b\nA: 1\n\nx", b"A: 1\r\n\r\n"),
    "8-bit text stays": (b"A: caf\xe9 \n\nx", b"A: caf\xe9\r\n\r\n"),
    "long line": (
        b"A: " + b"x" * 990 + b"  " + b"y" * 990 + b"\n\nx",
        b"A: " + b"x" * 990 + b"\r\n  " + b"y" * 990 + b"\r\n\r\n",
    ),
    "long line without a blank": (
        b"A:" + b"x" * 1200 + b"\n\nx",
        b"A:" + b"x" * 1200 + b"\r\n\r\n",
    ),
    "no end": (b"A: 1 ", b"A: 1\r\n\r\n"),
}


@pytest.mark.parametrize(("raw", "head"), HEADS.values(), ids=HEADS)
def test_header_of_a_part(raw, head):
    """Form changes, text does not (blanks and folds apart)."""
    made = canonical(raw)

    assert split_entity(made).header_block == head
    assert canonical(made) == made


def multipart_of(*parts: bytes, kind: bytes = b"mixed", nl: bytes = b"\n") -> bytes:
    head = b"Content-Type: multipart/" + kind + b"; boundary=b" + nl + nl
    return head + b"".join(b"--b" + nl + part + nl for part in parts) + b"--b--" + nl


def test_multipart_is_rebuilt_part_by_part():
    clean = b"Content-Type: text/plain\r\n\r\nclean"
    raw = multipart_of(clean, b"Content-Type: a/b\r\n\r\n\xff", nl=b"\r\n")

    made = canonical(raw)

    assert split_parts(split_entity(made).body, b"b") == [
        clean,
        b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n/w==\r\n",
    ]


def test_preamble_and_epilogue_stay_if_they_can():
    head = b"Content-Type: multipart/mixed; boundary=b\n\n"
    body = b"--b\n\nx\n--b--\n"

    assert canonical(head + b"pre\n" + body + b"epi\n") == to_crlf(
        head + b"pre\n" + body + b"epi\n"
    )
    assert canonical(head + b"pre \n" + body + b"\xe9") == to_crlf(head + body)


def test_encoding_makes_no_delimiter():
    """A soft line break must not put what looks like a delimiter at a line's start."""
    for fill in range(60, 80):
        raw = multipart_of(b"\n" + b"x" * fill + b"--b\n" + b"y" * 200 + b"--b--\n\xe9abc")
        assert leaves(canonical(raw)) == leaves(raw)
    raw = multipart_of(b"\n" + b"-" * 500 + b"--b\n\xe9" + b"From From " * 30)
    made = canonical(raw)
    assert leaves(made) == leaves(raw)
    assert max(map(len, made.split(b"\r\n"))) <= 76


@pytest.mark.parametrize("end", [b"", b" " * 3, b"x" * 100, b"\xe9abc"])
def test_text_that_comes_out_of_base64_makes_no_delimiter(end):
    hidden = base64.b64encode(b"--b\r\n\r\nx\r\n--b--" + end + b"\r\n--b--\r\n")
    raw = multipart_of(b"Content-Transfer-Encoding: base64\n\n" + hidden + b" ")

    assert leaves(canonical(raw)) == leaves(raw)
    assert len(leaves(raw)) == 1


def test_digest_parts_are_messages():
    raw = multipart_of(b"\nSubject: x \n\nbody \n", kind=b"digest")

    made = canonical(raw)

    assert (
        b"\r\n\r\nSubject: x\r\nContent-Transfer-Encoding: quoted-printable\r\n\r\nbody=20" in made
    )


def test_forwarded_message_is_walked():
    raw = (
        b"Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\nSubject: x\n\ncaf\xe9\n"
    )

    made = canonical(raw)

    assert made.startswith(b"Content-Type: message/rfc822\r\n\r\nSubject: x\r\n")
    assert made.endswith(b"\r\n\r\ncaf=E9\r\n")


INNER = b"Content-Type: text/plain\r\n\r\nformat flowed \r\nFrom me \r\n"
SIGNED = multipart_of(INNER, b"Content-Type: a/b\r\n\r\nMII", kind=b"signed", nl=b"\r\n")


@pytest.mark.parametrize("nl", [b"\r\n", b"\n"])
def test_an_inner_signature_stays_whole(nl):
    """What an inner signature covers stays, in the CRLF form it was made over."""
    inside = SIGNED.replace(b"\r\n", nl)
    made = canonical(
        multipart_of(inside, b"\n\xe9abc", nl=nl)
        .replace(b"=b", b"=c", 1)
        .replace(
            b"--b" + nl + b"Content-Type: multipart/signed",
            b"--c" + nl + b"Content-Type: multipart/signed",
        )
        .replace(
            b"--b" + nl + b"\n\xe9abc" + nl + b"--b--", b"--c" + nl + b"\n\xe9abc" + nl + b"--c--"
        )
    )

    part = split_parts(split_entity(made).body, b"c")[0]
    assert part == SIGNED.removesuffix(b"\r\n") or part == SIGNED
    assert split_signed(split_entity(part))[0] == INNER


def test_an_inner_signature_over_8_bit_stays_though_it_cannot_be_canonical():
    raw = SIGNED.replace(b"flowed", b"fl\xf6wed")

    assert canonical(raw) == raw
    around = b"Content-Type: message/rfc822\nContent-Transfer-Encoding: 8bit\n\n" + raw
    assert canonical(around) == to_crlf(around)


REFUSED = {
    "multipart without end": b"Content-Type: multipart/mixed; boundary=b\n\n--b\n\nx \n",
    "multipart without boundary": b"Content-Type: multipart/mixed\n\nx \n",
    "damaged base64": b"Content-Type: a/b\nContent-Transfer-Encoding: base64\n\nQ \n",
    "unknown encoding": b"Content-Type: a/b\nContent-Transfer-Encoding: x-uuencode\n\nx \n",
}


@pytest.mark.parametrize("raw", REFUSED.values(), ids=REFUSED)
def test_what_cannot_be_encoded_anew_is_refused(raw):
    """Only where it has to be changed; with no blank at a line's end it stays."""
    with pytest.raises(MalformedMail):
        canonical(raw)
    assert canonical(raw.replace(b" \n", b"\n")) == to_crlf(raw.replace(b" \n", b"\n"))


def nested(depth: int) -> bytes:
    """Return multiparts within multiparts."""
    raw = b"\n\xe9 abc"
    for level in range(depth):
        name = b"%d" % level
        raw = b"Content-Type: multipart/mixed; boundary=%s\n\n--%s\n%s\n--%s--\n" % (
            name,
            name,
            raw,
            name,
        )
    return raw


def test_depth_has_a_limit(bounded):
    limit = canonical_module.MAX_DEPTH

    assert is_canonical(canonical(nested(limit)))
    with bounded(), pytest.raises(LimitExceeded):
        canonical(nested(limit + 1))
    with bounded(), pytest.raises(LimitExceeded):
        canonical(b"Content-Type: message/rfc822\n\n" * 10_000 + b"\xe9")


@pytest.mark.parametrize(
    "body",
    [
        b"\xe9\n" * 150_000,
        b"\xe9" * 300_000,
        b"x " * 150_000,
        b" " * 300_000 + b"x",
        b"\r" * 300_000,
        b"x\xe9" + b"-" * 300_000,
        b"\xe9" + b"abcd From " * 30_000,
        b"a\n" + b"--\n" * 100_000 + b"\xe9",
    ],
    ids=range(8),
)
def test_encoding_takes_bounded_time(body, bounded):
    for head in (b"A: 1\n\n", b"Content-Type: a/b\n\n", b"A: 1\n\nB: ", b"A: "):
        with bounded():
            made = canonical(head + body)
        assert leaves(made) == leaves(head + body) or head == b"A: "


TYPES = [
    b"", b"Content-Type: text/plain; charset=utf-8", b"Content-Type: application/octet-stream",
    b"Content-Type: text/plain; charset=utf-16", b"Content-Type: message/delivery-status",
]  # fmt: skip
CHUNKS = [
    b"text", b" ", b"\t", b"\n", b"\r\n", b"\r", b"\0", b"\xe9", "ü".encode(), b"From ",
    b"\nFrom me",
    b"--", b"-", b".", b"=", b"x" * 70, b"y" * 1000, b"=20", b"--b", b"\n--bb", b"--1",
]  # fmt: skip


@st.composite
def entities(draw, depth: int = 2):
    nl = draw(st.sampled_from([b"\n", b"\r\n"]))
    if depth and draw(st.booleans()):
        if draw(st.integers(0, 3)) == 0:
            return b"Content-Type: message/rfc822" + nl + nl + draw(entities(depth - 1))
        name = b"=_%d" % depth
        parts = draw(st.lists(entities(depth - 1), min_size=1, max_size=3))
        kind = draw(st.sampled_from([b"mixed", b"alternative", b"digest"]))
        out = b"Content-Type: multipart/" + kind + b'; boundary="' + name + b'" ' + nl + nl
        return out + b"".join(b"--" + name + nl + p + nl for p in parts) + b"--" + name + b"--" + nl
    head = draw(st.sampled_from(TYPES))
    content = b"".join(draw(st.lists(st.sampled_from(CHUNKS) | st.binary(max_size=3), max_size=10)))
    encoding = draw(st.sampled_from([b"", b"8bit", b"base64", b"quoted-printable"]))
    if encoding == b"base64":
        content = base64.b64encode(content) + draw(st.sampled_from([b"", nl, b" " + nl]))
    elif encoding == b"quoted-printable":
        content = content.replace(b"=", b"=3D")
    lines = [head] if head else []
    if encoding:
        lines.append(b"Content-Transfer-Encoding: " + encoding)
    return b"".join(line + nl for line in [*lines, b"X-Note: a "]) + nl + content


@settings(max_examples=200, deadline=None)
@given(raw=entities())
def test_canonical_form(raw):
    """It is canonical, making it twice changes nothing, and the contents are the same."""
    made = canonical(raw)

    assert is_canonical(made)
    assert canonical(made) == made
    assert leaves(made) == leaves(raw)


@settings(max_examples=200, deadline=None)
@given(
    raw=st.lists(
        st.sampled_from(
            [
                *CHUNKS,
                b"Content-Type: multipart/x; boundary=b\n\n",
                b"A: 1\n",
                b"Content-Type: message/rfc822\n",
                b"\n\n",
            ]
        )
        | st.binary(max_size=5),
        max_size=12,
    ).map(b"".join)
)
def test_canonical_never_crashes_and_is_stable(raw):
    try:
        made = canonical(raw)
    except MalformedMail:
        return
    assert canonical(made) == made
