"""Mails that go out in pieces: the same as in memory, octet for octet where that can be."""

from __future__ import annotations

import io
import os
from email import message_from_bytes, policy
from pathlib import Path
from typing import Any

import pytest

import smime
from smime.formats import large
from tests.support.sources import given_as
from tests.support.world import World

HEAD = (
    b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\n"
    b"Subject: a large one\r\nBcc: carol@example.org\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
)
LINES = b"".join(
    b"line %d of a large mail, which is canonical already\r\n" % n for n in range(40_000)
)
MAIL = HEAD.replace(b"Bcc: carol@example.org\r\n", b"") + LINES
EXACT = smime.Policy.as2()
OUTS = ["path", "memory file"]


def sent(out: str, folder: Path, work: Any) -> tuple[bytes, smime.Mail]:
    if out == "memory file":
        file = io.BytesIO()
        mail = work(file)
        return file.getvalue(), mail
    path = folder / "sent.eml"
    mail = work(path)
    return path.read_bytes(), mail


@pytest.mark.parametrize("form", ["path", "file", "pipe", "memory file"])
@pytest.mark.parametrize("out", OUTS)
@pytest.mark.parametrize("verb", ["sign", "opaque", "encrypt", "protect"])
def test_what_goes_out_in_pieces_opens(
    world: World, tmp_path: Path, form: str, out: str, verb: str
) -> None:
    def work(target: Any) -> smime.Mail:
        mail = given_as(form, MAIL, tmp_path)
        if verb == "encrypt":
            return smime.encrypt(mail, to=world.bob, out=target)
        if verb == "protect":
            return smime.protect(mail, by=world.alice, to=world.bob, out=target)
        return smime.sign(mail, by=world.alice, opaque=verb == "opaque", out=target)

    data, mail = sent(out, tmp_path, work)

    opened = smime.open(data, trust=world.anchors, keys=world.bob)
    assert opened.signer == (None if verb == "encrypt" else "alice@example.org")
    assert opened.content.endswith(LINES)
    assert opened.message["Subject"] == "a large one"
    assert mail.size == len(data)
    assert mail.recipients == ("bob@example.org",)
    assert "a large one" not in repr(mail)
    with pytest.raises(ValueError, match="out="):
        bytes(mail)


@pytest.mark.parametrize("verb", ["sign", "encrypt"])
def test_headers_are_those_of_a_small_mail(world: World, tmp_path: Path, verb: str) -> None:
    """What stands outside, and what goes inside, does not depend on the size."""

    def work(mail: Any, out: Any) -> smime.Mail:
        if verb == "sign":
            return smime.sign(mail, by=world.alice, out=out)
        return smime.encrypt(mail, to=world.bob, out=out)

    whole = bytes(work(MAIL, None))
    pieces, _ = sent("path", tmp_path, lambda out: work(given_as("path", MAIL, tmp_path), out))

    def outside(data: bytes) -> list[tuple[str, str]]:
        fields = message_from_bytes(data, policy=policy.compat32).items()
        return [(name, str(value)) for name, value in fields if name != "Content-Type"]

    def inside(data: bytes) -> bytes:
        return smime.open(data, trust=world.anchors, keys=world.bob).content

    assert outside(pieces) == outside(whole)
    assert inside(pieces) == inside(whole)


@pytest.mark.parametrize(
    "change",
    [
        lambda mail: mail.replace(b"\r\n", b"\n"),
        lambda mail: mail[:-2] + b" \r\n",
        lambda mail: mail + b"From here on\r\n",
        lambda mail: mail + "Grüße\r\n".encode(),
        lambda mail: mail + b"x" * 5000 + b"\r\n",
        lambda mail: mail + b"\0\r\n",
        lambda mail: mail + b"bare \r cr\r\n",
    ],
)
@pytest.mark.parametrize("out", OUTS)
@pytest.mark.parametrize("form", ["path", "pipe"])
def test_what_is_not_canonical_is_made_so(
    world: World, tmp_path: Path, change: Any, out: str, form: str
) -> None:
    """Then the mail is taken whole, and nothing of the first try is in it."""
    mail = change(MAIL)

    data, _ = sent(
        out,
        tmp_path,
        lambda out: smime.sign(given_as(form, mail, tmp_path), by=world.alice, out=out),
    )

    opened = smime.verify(data, trust=world.anchors)
    assert (
        opened.content
        == smime.verify(bytes(smime.sign(mail, by=world.alice)), trust=world.anchors).content
    )


def test_a_blind_reader_is_refused_whatever_the_size(world: World, tmp_path: Path) -> None:
    path = given_as("path", HEAD + LINES, tmp_path)
    with pytest.raises(smime.KeyProblem, match="Bcc"):
        smime.encrypt(path, to=[world.bob, world.carol], out=tmp_path / "sent.eml")
    assert not (tmp_path / "sent.eml").exists()


@pytest.mark.parametrize("form", ["path", "pipe"])
def test_as2_takes_octets_as_they_are(world: World, tmp_path: Path, form: str) -> None:
    entity = b"Content-Type: application/octet-stream\r\n\r\n" + os.urandom(3_000_000)

    signed, _ = sent(
        "path",
        tmp_path,
        lambda out: smime.sign(
            given_as(form, entity, tmp_path), by=world.alice, policy=EXACT, out=out
        ),
    )
    sealed, _ = sent(
        "path",
        tmp_path,
        lambda out: smime.encrypt(
            given_as(form, signed, tmp_path), to=world.bob, policy=EXACT, out=out
        ),
    )

    opened = smime.verify(
        sealed, trust=world.anchors, keys=world.bob, sender="alice@example.org", policy=EXACT
    )
    assert opened.content == entity


def test_few_octets_are_simply_read(world: World, tmp_path: Path, letter: bytes) -> None:
    for form in ("path", "file", "pipe"):
        made = smime.sign(
            given_as(form, letter, tmp_path), by=world.alice, out=tmp_path / "sent.eml"
        )
        assert bytes(made) == (tmp_path / "sent.eml").read_bytes()
    assert len(letter) < large.SMALL_OCTETS < len(MAIL)
