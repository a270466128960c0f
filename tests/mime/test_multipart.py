"""Multipart bodies: cut and joined byte for byte, in linear time."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.errors import LimitExceeded, MalformedMail
from smime.mime import multipart
from smime.mime.entity import split_entity
from smime.mime.multipart import cut, join_parts, split_parts, split_signed

CUTS = [
    ("one part", b"--b\r\n\r\nhi \r\n--b--\r\n", [b"\r\nhi "]),
    ("LF", b"--b\n\nhi\n--b\nx\n--b--\n", [b"\nhi", b"x"]),
    ("mixed", b"--b\n\nhi\r\n--b\r\nx\n--b--", [b"\nhi", b"x"]),
    ("preamble and epilogue", b"pre\r\n--b\r\nx\r\n--b--\r\nepi\r\n--b\r\ny\r\n--b--", [b"x"]),
    ("transport padding", b"--b \t\r\nx\r\n--b--  \r\n", [b"x"]),
    ("longer boundary is another", b"--b\r\nx\r\n--bb\r\ny\r\n--b--", [b"x\r\n--bb\r\ny"]),
    ("not in a line", b"--b\r\nx--b\r\n --b\r\n--b--", [b"x--b\r\n --b"]),
    ("bare CR is no line start", b"--b\r\nx\r--b\r\ny\r\n--b--", [b"x\r--b\r\ny"]),
    ("final line break is content", b"--b\r\nx\r\n\r\n--b--", [b"x\r\n"]),
    ("empty parts", b"--b\r\n--b\r\n\r\n--b--", [b"", b""]),
    ("dashes go on", b"--b\r\nx\r\n--b---\r\n--b--", [b"x\r\n--b---"]),
    ("no line end at the end", b"--b\r\nx\r\n--b--", [b"x"]),
    ("bare CR at the end", b"--b\r\nx\r\n--b--\r", [b"x"]),
    ("bare CR before a delimiter's LF", b"--b\r\nx\r\r\n--b--", [b"x\r"]),
]


@pytest.mark.parametrize(("body", "parts"), [c[1:] for c in CUTS], ids=[c[0] for c in CUTS])
def test_split_parts(body, parts):
    """A line break before a delimiter belongs to it, and nothing else does (RFC 2046 §5.1.1)."""
    assert split_parts(body, b"b") == parts


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"text",
        b"--b",
        b"--b--",
        b"--b--\r\n--b\r\nx\r\n--b--",
        b"--b\r\nx",
        b"--b\r\nx\r\n--b\r\n",
        b"x--b\r\n--bb--\r\n",
    ],
)
def test_what_is_not_opened_and_closed_is_refused(body):
    with pytest.raises(MalformedMail, match="opened and closed"):
        split_parts(body, b"b")
    assert split_parts(b"--b\r\n" + b"x\r\n--b--", b"b") == [b"x"]


@pytest.mark.parametrize("boundary", [b"", b"b" * 71])
def test_boundaries_have_1_to_70_octets(boundary):
    with pytest.raises(MalformedMail):
        split_parts(join_parts([b"x"], boundary), boundary)
    assert split_parts(join_parts([b"x"], b"b" * 70), b"b" * 70) == [b"x"]


def boundaries():
    letters = "'()+_,-./:=?" + "aZ09"
    return st.text(letters, min_size=1, max_size=70).map(str.encode)


def mail_parts():
    pieces = st.sampled_from([b"\r\n", b"\n", b"\r", b"--", b"-", b"x", b" ", b"\t", b"b", b"text"])
    return st.lists(pieces | st.binary(max_size=8), max_size=12).map(b"".join)


@given(parts=st.lists(mail_parts(), min_size=1, max_size=5), boundary=boundaries())
def test_split_undoes_join(parts, boundary):
    """Whatever is joined can be cut apart again without losing a byte."""
    if any(b"--" + boundary in part for part in parts):
        return  # a writer chooses another boundary then

    assert split_parts(join_parts(parts, boundary), boundary) == parts


@given(body=mail_parts().filter(lambda part: b"--b--" not in part))  # closed before it is opened
def test_cuts_are_slices_in_order(body):
    """Preamble, parts and epilogue follow each other and do not overlap."""
    body = body + b"\r\n--b\r\n" + body + b"\r\n--b--\r\n" + body
    cuts = cut(body, b"b")

    ends = [cuts.preamble, *(at for span in cuts.spans for at in span), cuts.epilogue]
    assert ends == sorted(ends)


def test_parts_have_a_limit():
    count = multipart.MAX_PARTS

    assert len(split_parts(b"--b\n\n" * count + b"--b--", b"b")) == count
    with pytest.raises(LimitExceeded):
        split_parts(b"--b\n\n" * (count + 1) + b"--b--", b"b")


def test_lookalikes_have_a_limit():
    count = multipart.MAX_LOOKALIKES

    assert len(split_parts(b"--b\n" + b"--bx\n" * count + b"--b--", b"b")) == 1
    with pytest.raises(LimitExceeded):
        split_parts(b"--b\n" + b"--bx\n" * (count + 1) + b"--b--", b"b")


@pytest.mark.parametrize(
    "body",
    [
        b"--b" * 2_000_000,
        b"\n--b" * 2_000_000,
        b"\n--b" + b" " * 6_000_000,
        (b"\n--b" + b" " * 1000 + b"x") * 6_000,
        b"\n--" * 2_000_000,
        b"\r" * 6_000_000,
    ],
    ids=range(6),
)
def test_boundary_bombs_take_bounded_time(body, bounded):
    with bounded(), pytest.raises(MalformedMail):
        split_parts(body, b"b")


SIGNED = b"""Subject: hi\r
Content-Type: multipart/signed; boundary="=_b"; micalg=sha-256\r
\r
This is signed.\r
--=_b\r
Content-Type: text/plain\r
\r
hello \r
\r
--=_b\r
Content-Type: application/pkcs7-signature\r
Content-Transfer-Encoding: base64\r
\r
QUJD\r
--=_b--\r
"""


def test_split_signed_gives_the_exact_bytes():
    content, signature = split_signed(split_entity(SIGNED))

    assert content == b"Content-Type: text/plain\r\n\r\nhello \r\n"
    assert signature.content_type.value == "application/pkcs7-signature"
    assert signature.decoded() == b"ABC"


@pytest.mark.parametrize(
    ("old", "new"),
    [
        (b"multipart/signed", b"multipart/mixed"),
        (b'boundary="=_b"; ', b""),
        (b'boundary="=_b"', b'boundary=""'),
        (b'boundary="=_b"', b'boundary="' + b"b" * 71 + b'"'),
        (b'boundary="=_b"', b"boundary*=utf-8''%0Ab"),
        (b"--=_b--", b"--=_b\r\n\r\nthird\r\n--=_b--"),
        (b"--=_b--", b""),
        (b"\r\n\r\n--=_b\r\nContent-Type: application", b"\r\n\r\nContent-Type: application"),
    ],
)
def test_what_is_not_two_parts_is_refused(old, new):
    assert old in SIGNED
    with pytest.raises(MalformedMail):
        split_signed(split_entity(SIGNED.replace(old, new, 1)))


@given(
    st.lists(
        st.sampled_from(
            [b"--b", b"--", b"\r\n", b"\n", b"\r", b" ", b"x", b"--b--", b"\r\n--b\r\n", b"\n--bb"]
        ),
        max_size=14,
    ),
    st.sampled_from([b"A: 1\r\n\r\n", b"A: 1\n\n", b"\n", b""]),
)
def test_the_quick_way_finds_the_same_two_parts(pieces, head):
    raw = head + b"".join(pieces)
    found = multipart._two_spans(raw, len(head), b"b")
    if found:
        spans = multipart.cut(raw[len(head) :], b"b").spans
        assert found == [(start + len(head), end + len(head)) for start, end in spans]


def test_the_quick_way_is_gone_where_nothing_is_unusual():
    raw = b"A: 1\r\n\r\npreamble\r\n--b\r\n\r\nhi\r\n--b\r\n\r\nsigned\r\n--b--\r\n"

    (start, end), (_, last) = multipart._two_spans(raw, 8, b"b")

    assert raw[start:end] == b"\r\nhi"
    assert raw[:last].endswith(b"signed")
    # At the very first octet no line end stands before the dashes.
    assert multipart._two_spans(raw[raw.index(b"--b") :], 0, b"b") == []
