"""Mail that is written to deceive or to break: a verdict or a clear error, within bounds.

Damage at random is in test_damage.py, limits are in test_coverage.py.
"""

from __future__ import annotations

import time

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from smime.mime.multipart import MAX_PARTS
from tests.support.world import World

MAIL = (
    b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: the price\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nat noon\r\n"
)
EVIL = b"Content-Type: text/plain\r\n\r\nat four\r\n"


@pytest.fixture(scope="module")
def signed(world: World) -> bytes:
    return bytes(smime.sign(MAIL, by=world.alice))


def edge_of(signed: bytes) -> bytes:
    return signed.partition(b'boundary="')[2].partition(b'"')[0]


# What is done to a signed mail, EDGE being its boundary, and what a reader is shown then:
# the signed text as Alice's, a mail of nobody, or an error.
MARK = b'; boundary="EDGE"'
MORE = b"\r\n--EDGE\r\n" + EVIL
TRICKS: dict[str, tuple[bytes, bytes, str]] = {
    "a boundary before the boundary": (MARK, b"; boundary=x" + MARK, "error"),
    "a boundary behind the boundary": (MARK, MARK + b"; boundary=x", "alice"),
    "a boundary in pieces": (MARK, b'; boundary*0="ED"; boundary*1="GE"', "alice"),
    "a boundary in an encoded form": (MARK, b"; boundary*=us-ascii''EDGE", "alice"),
    "a shorter boundary": (MARK, b'; boundary="EDG"', "error"),
    "no boundary": (MARK, b"", "error"),
    "a part before": (b"\r\n--EDGE\r\n", MORE + b"\r\n--EDGE\r\n", "error"),
    "a part behind": (b"\r\n--EDGE--", MORE + b"\r\n--EDGE--", "error"),
    "text before": (b"\r\n\r\n", b"\r\n\r\nat four\r\n", "alice"),
    "text behind": (b"\r\n--EDGE--", b"\r\n--EDGE--\r\nat four", "alice"),
    "ended before the signature": (b"noon\r\n\r\n--EDGE", b"noon\r\n\r\n--EDGE--", "error"),
    "never ended": (b"--EDGE--", b"", "error"),
    "blanks behind a delimiter": (b"EDGE\r\n", b"EDGE \t\r\n", "alice"),
    "a delimiter in the text": (b"at noon", b"--EDGE\r\n" + EVIL, "error"),
    "another text": (b"at noon", b"at four", "nobody"),
    "a header in the part": (
        b"\r\nContent-Type: text",
        b"\r\nX: y\r\nContent-Type: text",
        "nobody",
    ),
    "called alternative": (b"multipart/signed", b"multipart/alternative", "nobody"),
    "a type before the type": (
        b"Content-Type: multipart",
        b"Content-Type: text/plain\r\nContent-Type: multipart",
        "nobody",
    ),
    "a NUL in the type": (b"multipart/signed", b"multipart/sig\0ned", "nobody"),
    "a NUL in the From": (b"From: Alice", b"From: \0Alice", "alice"),
    "a NUL in the text": (b"at noon", b"at\0noon", "nobody"),
    "CR alone": (b"\r\n", b"\r", "nobody"),
    "LF alone": (b"\r\n", b"\n", "alice"),
}


@pytest.mark.parametrize("trick", TRICKS)
def test_tricks_with_a_signed_mail(world: World, signed: bytes, trick: str) -> None:
    old, new, shown = TRICKS[trick]
    edge = edge_of(signed)
    marked = signed.replace(edge, b"EDGE")
    assert old in marked
    mail = marked.replace(old, new, -1 if trick.endswith("alone") else 1)

    report = smime.examine(mail, trust=world.anchors)

    if shown == "error":
        with pytest.raises(smime.MalformedMail):
            smime.open(mail, trust=world.anchors)
        assert (report.signer, report.outcome) == (None, smime.Outcome.UNKNOWN)
        return
    opened = smime.open(mail, trust=world.anchors)
    assert opened.signer == ("alice@example.org" if shown == "alice" else None)
    if opened.signer:
        assert smime.view(opened).text.strip() == "at noon"


LINES = st.sampled_from(
    [
        b"--EDGE", b"--EDGE--", b"--EDGE --", b"--EDGE\t", b"--EDGEx", b"-- EDGE", b"--", b"",
        b"Content-Type: text/plain", b"Content-Type: multipart/mixed; boundary=EDGE", b"at four",
        b"Content-Transfer-Encoding: base64", b"From: eve@example.net", b" folded", b"\0",
        b"Content-Type: application/pkcs7-signature", b"Content-Type: message/rfc822", b"From x",
    ]
)  # fmt: skip


@settings(max_examples=400, deadline=None)
@given(
    added=st.lists(st.tuples(st.floats(0, 1), LINES), min_size=1, max_size=4),
    dropped=st.lists(st.floats(0, 1), max_size=2),
    swapped=st.booleans(),
)
def test_what_is_called_alice_s_is_what_she_signed(
    world: World,
    signed: bytes,
    added: list[tuple[float, bytes]],
    dropped: list[float],
    swapped: bool,
) -> None:
    """However lines are put in, taken out and moved: a good mail shows exactly what was signed."""
    edge = edge_of(signed)
    lines = signed.split(b"\r\n")
    for place in dropped:
        del lines[int(place * (len(lines) - 1))]
    for place, line in added:
        lines.insert(int(place * len(lines)), line.replace(b"EDGE", edge))
    if swapped:
        lines[8:10] = lines[9:7:-1]

    try:
        opened = smime.open(b"\r\n".join(lines), trust=world.anchors)
    except smime.MalformedMail:
        return
    if opened.signer is not None:
        assert opened.signer == "alice@example.org"
        assert b"\r\n" + opened.content + b"\r\n--" + edge in signed
        assert smime.view(opened).text.strip() == "at noon"


RAW = [
    "From: Älice <alice@example.org>\r\nSubject: Grüße\r\n".encode(),
    "From: 用户@例え.example\r\nTo: 鲍勃 <bob@example.org>\r\nSubject: 会议\r\n".encode(),
    "From: alice@example.org (Älice)\r\nMessage-ID: <ä@example.org>\r\n".encode(),
    b"From: \xc4lice <alice@example.org>\r\nSubject: Gr\xfc\xdfe\r\n",  # Latin-1, in no RFC
    b"From: \xff\xfe <alice@example.org>\r\nSubject: \x80\x81\r\nX-\xc3\xa4: y\r\n",
    b"From: alice@example.org\r\nSubject: \xed\xa0\x80 \xf4\x90\x80\x80\r\n",  # no Unicode
    b"From: alice@example.org\0\r\nSubject: a\0b\r\n",
]


@pytest.mark.parametrize("fields", RAW)
@pytest.mark.parametrize("how", ["as it is", "sign", "opaque", "protect"])
def test_raw_headers(world: World, fields: bytes, how: str) -> None:
    """RFC 6532, and octets that are nothing: the body intact, the fields decoded or escaped."""
    mail = fields + b"MIME-Version: 1.0\r\n\r\nGr\xc3\xbc\xc3\x9fe\r\n"
    made: bytes | smime.Mail = mail
    if how == "protect":
        made = smime.protect(mail, by=world.alice, to=world.bob)
    elif how != "as it is":
        made = smime.sign(mail, by=world.alice, opaque=how == "opaque")

    opened = smime.open(made, keys=world.bob, trust=world.anchors)
    view = smime.view(opened)

    assert view.text.strip() == "Grüße"
    assert str(view).replace("\n", "").isprintable()
    assert opened.signer in (None, "alice@example.org")
    if how == "as it is":
        assert bytes(opened.mail) == mail
    elif fields == RAW[0]:
        assert opened.signer == "alice@example.org"
        assert [one.value for one in view.headers] == ["Älice <alice@example.org>", "Grüße"]


def test_ten_thousand_parts_that_were_signed(world: World) -> None:
    """So many can be sent and verified; they are looked at within a limit, and that is said."""
    part = b"--p\r\n\r\nx\r\n"
    head = MAIL.partition(b"\r\n\r\n")[0] + b"\r\nContent-Type: multipart/mixed; boundary=p\r\n\r\n"
    start = time.process_time()
    most = bytes(smime.sign(head + part * MAX_PARTS + b"--p--\r\n", by=world.alice))

    opened = smime.verify(most, trust=world.anchors)
    view = smime.view(opened)

    assert opened.signer == "alice@example.org"
    assert [note.code for note in view.warnings] == ["parts-limit"]
    assert time.process_time() - start < 10
