"""Large mails that have to be written anew before they are signed or sealed: the same as small."""

from __future__ import annotations

from pathlib import Path

import pytest

import smime
from smime.formats import recoding
from smime.formats.large import Large
from smime.mime.canonical import canonical, is_canonical
from smime.mime.entity import split_entity
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

    with opened:
        _, made = [form.whole() for form in recoding.forms(opened, smime.Policy.modern())]

    expected = canonical(path.read_bytes())
    assert is_canonical(made)
    assert leaves(made) == leaves(expected)
    # Lines of quoted-printable may be broken elsewhere; what they say is the same.
    assert split_entity(made).header_block == split_entity(expected).header_block


def leaves(mail: bytes) -> list[tuple[bytes, bytes]]:
    from smime.mime.multipart import boundary_of, split_parts

    entity = split_entity(mail)
    if entity.content_type.value.startswith("multipart/"):
        return [
            leaf for part in split_parts(entity.body, boundary_of(entity)) for leaf in leaves(part)
        ]
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


def test_what_has_to_be_decoded_first_is_taken_whole(world: World, tmp_path: Path) -> None:
    path, sent = tmp_path / "large.eml", tmp_path / "sent.eml"
    path.write_bytes(HEAD + BASE64 + (b"QUJD" * 250 + b"\r\n") * 1500)
    opened = Large.open(path)
    assert isinstance(opened, Large)
    with opened:
        assert len(list(recoding.forms(opened, smime.Policy.modern()))) == 1

    smime.sign(path, by=world.alice, out=sent)

    found = smime.verify(sent, trust=world.anchors)
    assert split_entity(bytes(found.mail)).decoded() == b"ABC" * 250 * 1500
