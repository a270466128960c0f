"""Large mails that have to be written anew before they are signed or sealed: the same as small."""

from __future__ import annotations

import io
import re
from base64 import b64encode
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from smime import stored
from smime.formats import large, recoding
from smime.formats.large import Large
from smime.mime.canonical import canonical, is_canonical
from smime.mime.entity import split_entity
from smime.mime.headers import divide
from smime.mime.transfer import from_quoted_printable, quoted_printable_pieces
from tests.support.world import World

HEAD = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: large\r\nMIME-Version: 1.0\r\n"
TEXT = "Grüße aus der Küche, und mehr davon \r\n".encode()
MANY = 40_000
PLAIN = b"Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
BINARY = b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n\r\n"
BASE64 = b"Content-Type: application/pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
MIXED = b"Content-Type: multipart/mixed; boundary=x\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"


def mixed(*parts: bytes, around: bytes = b"") -> bytes:
    return MIXED + around + b"".join(b"--x\r\n" + one + b"\r\n" for one in parts) + b"--x--\r\n"


LARGE = {
    "8-bit text": PLAIN + TEXT * MANY,
    "text with LF": (PLAIN + TEXT * MANY).replace(b"\r\n", b"\n"),
    "text with both": PLAIN + (TEXT + TEXT.replace(b"\r\n", b"\n")) * (MANY // 2),
    "dashes and From": PLAIN + b"From here on -\r\n--x is no delimiter\r\n. and a dot\r\n" * MANY,
    "blanks at the end": PLAIN.replace(b"8bit", b"7bit") + b"blank \r\n\ttab\t\r\n" * MANY * 4,
    "a blank last": PLAIN + TEXT * MANY + b"no line end, but a blank ",
    "mostly not ASCII": PLAIN + "Привет\r\n".encode() * MANY * 2,
    "bare CR": PLAIN + b"a line\rand another\r\n" * MANY * 2,
    "text with NUL": PLAIN + b"nothing\0 here\r\n" * MANY * 2,
    "wide text": PLAIN.replace(b"utf-8", b"utf-16-le") + "wide\n".encode("utf-16-le") * MANY * 4,
    "binary": BINARY + bytes(range(256)) * 6000,
    "binary with long lines": BINARY + b"x" * 1_500_000,
    "a small text beside a large attachment": mixed(PLAIN + TEXT, BASE64 + b"QUJD\r\n" * 300_000),
    "base64 with LF": mixed(PLAIN + TEXT, BASE64 + b"QUJD\n" * 300_000),
    "both large": mixed(PLAIN + TEXT * MANY, BINARY + bytes(range(256)) * 6000, around=b"hi\r\n"),
    "nested": mixed(mixed(PLAIN + TEXT * MANY).replace(b"=x", b"=y").replace(b"--x", b"--y")),
    "a preamble that cannot stay": mixed(PLAIN + TEXT * MANY, around=TEXT),
}


@pytest.mark.parametrize("name", LARGE)
def test_what_is_written_anew_is_the_same_in_pieces(name: str, tmp_path: Path) -> None:
    """Readers get what they get from the form that is made in memory."""
    path = tmp_path / "large.eml"
    path.write_bytes(HEAD + LARGE[name])
    opened = Large.open(path)
    assert isinstance(opened, Large)

    with opened, recoding.recoded(opened, ()) as anew:
        made = b"".join(map(bytes, anew.pieces()))

    expected = canonical(path.read_bytes())
    assert is_canonical(made)
    assert leaves(made) == leaves(expected)
    # Lines of quoted-printable may be broken elsewhere; what they say is the same.
    assert split_entity(made).header_block == split_entity(expected).header_block


def leaves(mail: bytes, default: str = "text/plain") -> list[tuple[bytes, bytes]]:
    from smime.mime.multipart import boundary_of, split_parts

    if not mail:
        return []
    entity = split_entity(mail)
    kind = entity.content_type.value if entity.get("content-type") else default
    if kind.startswith("multipart/"):
        below = "message/rfc822" if kind == "multipart/digest" else "text/plain"
        try:
            parts = split_parts(entity.body, boundary_of(entity))
        except smime.MalformedMail:
            return [(entity.header_block, entity.body)]
        inside = [leaf for part in parts for leaf in leaves(part, below)]
        # What is of 7 bits may say 8bit all the same, where only line ends had to be put right.
        said = entity.header_block.replace(b"Content-Transfer-Encoding: 8bit\r\n", b"")
        return [(said, b""), *inside]
    if kind == "message/rfc822" and entity.transfer_encoding in ("7bit", "8bit", "binary"):
        return [(entity.header_block, b""), *leaves(entity.body)]
    return [(entity.header_block, entity.decoded())]


@pytest.mark.parametrize("name", ["8-bit text", "both large", "binary"])
def test_it_is_signed_and_sealed(world: World, tmp_path: Path, name: str) -> None:
    path, sent = tmp_path / "large.eml", tmp_path / "sent.eml"
    path.write_bytes(HEAD + LARGE[name])

    smime.sign(path, by=world.alice, out=sent)
    opened = smime.verify(sent, trust=world.anchors)
    assert opened.signer == "alice@example.org"
    assert [leaf for _, leaf in leaves(bytes(opened.mail))] == [
        leaf for _, leaf in leaves(canonical(path.read_bytes()))
    ]

    smime.protect(path, by=world.alice, to=world.bob, out=sent)
    opened = smime.verify(sent, keys=world.bob, trust=world.anchors)
    assert opened.signer == "alice@example.org"
    assert opened.report.layers[0].kind == "encrypted"


@st.composite
def entities(draw: st.DrawFn, depth: int = 0) -> bytes:
    """Parts of every form, with every kind of line end, encoding and blank."""
    kinds = ["text", "binary", "base64", "quoted-printable", "encoded-data", "untyped", "foreign"]
    if depth < 3:
        kinds += ["multipart", "multipart", "message", "digest", "signed", "unclosed"]
    kind = draw(st.sampled_from(kinds))
    end = draw(st.sampled_from([b"\r\n", b"\n"]))
    if kind in ("multipart", "digest", "signed", "unclosed"):
        edge = b"b%d" % depth
        subtype = {"digest": b"digest", "signed": b"signed"}.get(kind, b"mixed")
        around = draw(st.sampled_from([b"", b"preamble" + end, "präambel".encode() + end]))
        parts = draw(st.lists(entities(depth + 1), min_size=1, max_size=3))
        body = around + b"".join(b"--" + edge + end + one + end for one in parts)
        body += b"--" + edge + b"--" * (kind != "unclosed") + draw(st.sampled_from([b"", end]))
        label = draw(st.sampled_from([b"", b"Content-Transfer-Encoding: 8bit" + end]))
        head = b"Content-Type: multipart/" + subtype + b"; boundary=" + edge + end + label
        return head + end + body
    if kind == "message":
        inner = draw(entities(depth + 1))
        return b"Content-Type: message/rfc822" + end + end + b"Subject: x " + end + inner
    words = [
        b"hello",
        b" ",
        b"\t",
        b"\r\n",
        b"\n",
        b"From ",
        b"--b0",
        "ü".encode(),
        b"x" * 80,
        b"=",
        b".",
    ]
    if kind in ("text", "binary"):
        words += [b"\0", b"\r", b"long " * 300]
    body = b"".join(draw(st.lists(st.sampled_from(words), max_size=12)))
    types = {
        "text": b"Content-Type: text/plain; charset=utf-8" + end,
        "binary": b'Content-Type: image/x; name="a "' + end,
        "base64": b"Content-Type: text/html" + end + b"Content-Transfer-Encoding: base64" + end,
        "quoted-printable": b"Content-Transfer-Encoding: quoted-printable" + end,
        "encoded-data": b"Content-Type: a/b"
        + end
        + b"Content-Transfer-Encoding: quoted-printable"
        + end,
        "foreign": b"Content-Transfer-Encoding: x-uuencode" + end,
        "untyped": b"",
    }
    if kind == "base64":
        flat = b64encode(body)
        body = flat + draw(st.sampled_from([b"", b" ", end, b"\n \r\n"]))
    return types[kind] + end + body


@settings(max_examples=150, deadline=None)
@given(
    entity=entities(),
    subject=st.sampled_from([b"hi", b"", "Grüße".encode(), b"x" * 1200]),
    octets=st.integers(1, 40),
)
def test_every_form_is_the_same_in_pieces(entity: bytes, subject: bytes, octets: int) -> None:
    """Wherever the pieces end, and whatever is large: what is signed is what is made in memory."""
    mail = b"From: a@example.org\r\nSubject: " + subject + b"\r\n" + entity
    with pytest.MonkeyPatch.context() as patched:
        for module in (large, recoding):
            patched.setattr(module, "SMALL_OCTETS", 30)
        patched.setattr(stored, "PIECE_OCTETS", octets)
        patched.setattr(recoding, "LONG_LINE_OCTETS", 50)
        try:
            inside = divide(mail, mode="clear").inner
        except smime.MalformedMail as refused:
            with pytest.raises(type(refused), match=re.escape(str(refused))):
                in_pieces(mail)
            return
        assert leaves(in_pieces(mail)) == leaves(inside)


def in_pieces(mail: bytes) -> bytes:
    """Return what is signed of a mail: as it is if it can stay so, else written anew."""
    opened = Large(io.BytesIO(mail), True)
    with opened:
        try:
            head = divide(opened.head, mode="clear").inner
            parted = large.Parted(head, opened, looked_at=True, travels=True)
            return b"".join(map(bytes, parted.pieces()))
        except large.NotCanonical:
            pass
        with recoding.recoded(opened, ()) as anew:
            head = divide(anew.head, mode="clear", bodiless=True).inner
            return head + b"".join(map(bytes, anew.body()))


def test_a_display_of_what_is_hidden_is_put_on_in_pieces(world: World, tmp_path: Path) -> None:
    path, sent = tmp_path / "large.eml", tmp_path / "sent.eml"
    policy = smime.Policy.modern().replace(legacy_display=True)
    mail = HEAD + LARGE["a small text beside a large attachment"]
    path.write_bytes(mail)

    smime.protect(path, by=world.alice, to=world.bob, policy=policy, out=sent)

    same = smime.protect(mail, by=world.alice, to=world.bob, policy=policy)
    how = {"trust": world.anchors, "keys": world.bob}
    opened, expected = smime.verify(sent, **how), smime.verify(same, **how)
    assert leaves(opened.content) == leaves(expected.content)
    assert b"Subject: large" in leaves(opened.content)[1][1]
    path.write_bytes(HEAD + PLAIN + TEXT * MANY * 4)
    with pytest.raises(smime.LimitExceeded, match="Legacy Display"):
        smime.protect(path, by=world.alice, to=world.bob, policy=policy, out=sent)


@pytest.mark.parametrize("decode", [3, 50_000])
def test_quoted_printable_is_read_in_pieces(decode: int) -> None:
    data = b"a=\r\nb =\t\r\n==41=4\n=\rx  \r\n" * 3000 + b"=41" * 70_000
    pieces = [data[at : at + decode] for at in range(0, len(data), decode)]
    assert b"".join(quoted_printable_pieces(pieces)) == from_quoted_printable(data)
    with pytest.raises(smime.LimitExceeded):
        list(quoted_printable_pieces([b" " * 65536] * 20))
