"""Compressed mail: a layer like others, a bounded one, and no oracle inside a sealed one."""

from __future__ import annotations

import base64
import os
import time
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path

import pytest

import smime
from smime import Outcome, cms
from smime.cms import algorithms as alg
from smime.cms import compressed, der, enveloped
from smime.formats import smime as form
from tests.cms.test_compressed import packed
from tests.support.world import LETTER, World

AT = datetime.now(UTC)
HEAD = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: prices\r\n"
INNER = b"Content-Type: text/plain\r\n\r\n" + b"We meet at noon.\r\n" * 200


def wrapped(content: bytes, outer: bytes = HEAD) -> bytes:
    return form.wrap_sealed(cms.compress(content), "compressedData", outer)


def layers(report: smime.Report) -> list[str]:
    return [one.kind for one in report.layers]


def test_a_compressed_mail_is_opened_and_nobody_vouches_for_it(world: World) -> None:
    mail = wrapped(INNER)
    assert b"smime-type=compressed-data" in mail
    assert b"smime.p7z" in mail

    opened = smime.open(mail, trust=world.anchors)

    assert opened.content == INNER
    assert opened.message.get_content().splitlines() == ["We meet at noon."] * 200
    assert opened.report.outcome is Outcome.UNSIGNED
    assert layers(opened.report) == ["compressed"]
    assert opened.report.layers[0].algorithm == "zlib"
    with pytest.raises(smime.SignatureRejected):
        smime.verify(mail, trust=world.anchors)


@pytest.mark.parametrize(
    "label",
    [
        b"application/x-pkcs7-mime; smime-type=compressed-data",
        b"application/pkcs7-mime",  # it says nothing of what is inside
        b"application/octet-stream; name=smime.p7z",
        b"application/pkcs7-mime; smime-type=enveloped-data",  # and this is not so
    ],
)
def test_it_is_known_by_what_is_inside(world: World, label: bytes) -> None:
    mail = wrapped(INNER).replace(
        b'application/pkcs7-mime; smime-type=compressed-data;\r\n name="smime.p7z"', label
    )
    assert label in mail

    assert smime.open(mail, trust=world.anchors).content == INNER


def test_signed_around_and_inside(world: World) -> None:
    around = smime.sign(wrapped(INNER), by=world.alice)
    inside = wrapped(bytes(smime.sign(INNER, by=world.alice)))

    for mail, kinds in ((around, ["signed", "compressed"]), (inside, ["compressed", "signed"])):
        opened = smime.verify(mail, trust=world.anchors)
        assert opened.signer == "alice@example.org"
        assert b"We meet at noon." in opened.content
        assert layers(opened.report) == kinds


def test_sealed_around(world: World) -> None:
    signed = smime.sign(LETTER, by=world.alice)
    mail = smime.encrypt(wrapped(bytes(signed)), to=world.bob)

    opened = smime.decrypt(mail, keys=world.bob, trust=world.anchors)

    assert layers(opened.report) == ["encrypted", "compressed", "signed"]
    assert opened.signer == "alice@example.org"


DAMAGED: dict[str, Callable[[], bytes]] = {
    "cut": lambda: zlib.compress(INNER)[:-2],
    "sum": lambda: zlib.compress(INNER)[:-1] + b"x",
    "no zlib": lambda: b"nothing of the kind",
    "bomb": lambda: zlib.compress(bytes(8 << 20)),
}


@pytest.mark.parametrize("damage", list(DAMAGED))
def test_a_fault_is_told_where_anybody_can_see_it(world: World, damage: str) -> None:
    mail = form.wrap_sealed(packed(DAMAGED[damage]()), "compressedData", HEAD)
    expected = smime.LimitExceeded if damage == "bomb" else smime.MalformedMail

    with pytest.raises(expected):
        smime.open(mail, trust=world.anchors)

    report = smime.examine(mail, trust=world.anchors)
    assert report.problem is not None
    assert report.problem.code == ("limit-exceeded" if damage == "bomb" else "malformed")
    assert smime.open(wrapped(INNER), trust=world.anchors).content == INNER


@pytest.mark.parametrize("damage", [*DAMAGED, "another type", "another compression"])
def test_inside_an_untagged_layer_every_fault_looks_the_same(world: World, damage: str) -> None:
    """Else who may change what is sealed learns of the plaintext from the errors."""
    if damage == "another type":
        blob = cms.compress(cms.sign(b"x", by=world.alice)).replace(alg.DATA, alg.SIGNED_DATA)
    elif damage == "another compression":
        blob = packed(b"", algorithm=der.oid("1.2.3"))
    else:
        blob = packed(DAMAGED[damage]())
    inner = form.wrap_sealed(blob, "compressedData")
    reader = world.bob.recipient.recipient_key

    def sealed(cipher: str, content: bytes) -> bytes:
        made = enveloped.build(content, [reader], cipher=cipher, transport="rsa-v15")
        return form.wrap_sealed(made, enveloped.kind_of(cipher), HEAD)

    for verb in (smime.open, smime.decrypt, smime.verify):
        with pytest.raises(smime.DecryptionFailed) as failed:
            verb(sealed("aes-256-cbc", inner), keys=world.bob, trust=world.anchors)
        assert str(failed.value) == enveloped.FAILED
        assert failed.value.hint == ""
    with pytest.raises((smime.MalformedMail, smime.NotSupported)) as told:
        smime.open(sealed("aes-256-gcm", inner), keys=world.bob, trust=world.anchors)
    assert not isinstance(told.value, smime.DecryptionFailed)
    good = sealed("aes-256-cbc", wrapped(INNER, b""))
    assert smime.decrypt(good, keys=world.bob, trust=world.anchors).content == INNER


def test_compressed_layers_share_one_allowance(world: World) -> None:
    """Three bombs in one another, each of which is small for what it came out of."""
    content = b"\r\n" + bytes(900_000)
    for _ in range(3):
        content = form.wrap_sealed(cms.compress(content), "compressedData") + b" " * 900_000
    mail = form.wrap_sealed(cms.compress(content), "compressedData", HEAD)
    assert len(mail) < 10_000

    began = time.process_time()
    with pytest.raises(smime.LimitExceeded):
        smime.open(mail, trust=world.anchors)
    assert time.process_time() - began < 1


@pytest.mark.parametrize("octets", [4000, 4001])
def test_how_much_comes_out_at_most(
    world: World, monkeypatch: pytest.MonkeyPatch, octets: int
) -> None:
    monkeypatch.setattr("smime.formats.packing.MAX_INFLATED_OCTETS", 4000)
    mail = wrapped(b"\r\n" + os.urandom(octets - 2))

    if octets == 4000:
        assert len(smime.open(mail, trust=world.anchors).content) == octets
    else:
        with pytest.raises(smime.LimitExceeded):
            smime.open(mail, trust=world.anchors)


def test_something_else_than_mail_is_not_opened(world: World) -> None:
    blob = cms.compress(INNER).replace(alg.DATA, alg.SIGNED_DATA)
    mail = form.wrap_sealed(blob, "compressedData", HEAD)

    with pytest.raises(smime.NotSupported, match="what is compressed is signedData"):
        smime.open(mail, trust=world.anchors)


def test_inspect_shows_what_is_inside(world: World) -> None:
    from smime import incoming

    found = incoming.inspect(wrapped(bytes(smime.sign(INNER, by=world.alice))))

    assert found["cms"]["type"] == "compressedData"
    assert found["cms"]["compression"] == "zlib"
    assert found["children"][0]["type"] == "multipart/signed"


def test_a_compressed_part_is_neither_signed_nor_sealed(world: World) -> None:
    part = wrapped(INNER, b"")
    mail = (
        HEAD + b"MIME-Version: 1.0\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n"
        b"--b\r\n" + part + b"\r\n--b--\r\n"
    )

    report = smime.examine(mail, trust=world.anchors)

    assert report.parts == ()
    assert report.outcome is Outcome.UNSIGNED
    assert compressed.MAX_RATIO > 1


def noise() -> bytes:
    """Return an entity that packs by a quarter and is large all the same."""
    text = base64.encodebytes(os.urandom(1_200_000)).replace(b"\n", b"\r\n")
    return b"Content-Type: text/plain\r\n\r\n" + text


@pytest.mark.parametrize("damage", [None, "cut", "bomb", "another type"])
@pytest.mark.parametrize("cipher", ["", "aes-256-cbc", "aes-256-gcm"])
def test_in_a_large_file_the_same_is_said(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, damage: str | None, cipher: str
) -> None:
    """In pieces as in memory: what comes out, what is said of it, and what is refused."""
    monkeypatch.setattr("smime.formats.packing.MAX_INFLATED_OCTETS", 2 << 20)
    content = noise()
    stream = zlib.compress(content)
    if damage == "cut":
        stream = stream[:-1]
    elif damage == "bomb":
        stream = zlib.compress(content + bytes(1 << 20))
    blob = packed(stream)
    if damage == "another type":
        blob = blob.replace(alg.DATA, alg.SIGNED_DATA)
    mail = form.wrap_sealed(blob, "compressedData", b"" if cipher else HEAD)
    if cipher:
        reader = world.bob.recipient.recipient_key
        made = enveloped.build(mail, [reader], cipher=cipher, transport="rsa-v15")
        mail = form.wrap_sealed(made, enveloped.kind_of(cipher), HEAD)
    path = tmp_path / "mail"
    path.write_bytes(mail)
    assert len(mail) > 1 << 20

    def said(given: object) -> tuple[object, ...]:
        try:
            opened = smime.open(given, keys=world.bob, trust=world.anchors, at=AT)  # type: ignore[arg-type]
        except smime.SmimeError as refused:
            return type(refused), str(refused), refused.hint
        return opened.content, opened.report.to_dict()

    held = said(mail)
    assert said(path) == held
    if damage is None:
        assert len(held[0]) > 1_600_000  # type: ignore[arg-type]
    elif cipher == "aes-256-cbc":
        assert held == (smime.DecryptionFailed, enveloped.FAILED, "")
    else:
        assert held[0] in (smime.MalformedMail, smime.LimitExceeded, smime.NotSupported)


def test_a_large_file_is_unpacked_in_pieces(
    world: World, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def stop(*_: object) -> None:
        raise AssertionError("it was taken into memory")

    content = noise()
    path = tmp_path / "mail"
    path.write_bytes(wrapped(content))
    monkeypatch.setattr("smime.incoming._Peeled", stop)

    out = tmp_path / "out"
    opened = smime.open(path, trust=world.anchors, out=out)

    assert opened.content == content
    assert out.read_bytes().endswith(content[-1000:])
