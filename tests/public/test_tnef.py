"""winmail.dat: an S/MIME mail that Exchange packed into TNEF is opened, any other is named."""

from __future__ import annotations

import struct
import time
from base64 import b64decode, encodebytes
from contextlib import suppress

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from smime.mime.tnef import MAX_ATTRIBUTES, smime_of
from tests.support.world import World

MAIL = (
    b"From: Alice <alice@example.org>\r\nTo: Bob <bob@example.org>\r\nSubject: the price\r\n"
    b"Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n\r\nat noon\r\n"
)
FIELDS = MAIL.partition(b"\r\n\r\n")[0].replace(b"the price", b"[...]") + b"\r\n"
OPAQUE, CLEAR = b"IPM.Note.SMIME\0", b"IPM.Note.SMIME.MultipartSigned\0"


def attribute(level: int, number: int, data: bytes, kind: int = 6) -> bytes:
    """MS-OXTNEF §2.1.3.1: level, number, type, length, data, sum of its octets."""
    head = struct.pack("<BHHI", level, number, kind, len(data))
    return head + data + struct.pack("<H", sum(data) & 0xFFFF)


def attachment(data: bytes, name: bytes = b"smime.p7m\0") -> bytes:
    return (
        attribute(2, 0x9002, b"\1" + b"\0" * 13)
        + attribute(2, 0x8010, name, 1)
        + attribute(2, 0x800F, data)
        + attribute(2, 0x9005, struct.pack("<I", 0))
    )


def tnef(kind: bytes, *attachments: bytes) -> bytes:
    return (
        struct.pack("<IH", 0x223E9F78, 0x17)
        + attribute(1, 0x9006, struct.pack("<I", 0x10000))
        + attribute(1, 0x9007, struct.pack("<II", 1252, 0))
        + attribute(1, 0x8008, kind, 7)
        + attribute(1, 0x9003, struct.pack("<I", 0))
        + b"".join(attachments)
    )


def winmail(stream: bytes, kind: bytes = b"application/ms-tnef; name=winmail.dat") -> bytes:
    return (
        b"Content-Type: " + kind + b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + encodebytes(stream)
    )  # fmt: skip


def cms_of(mail: smime.Mail) -> bytes:
    return b64decode(mail.body)


@pytest.mark.parametrize(
    "kind",
    [
        b"application/ms-tnef; name=winmail.dat",
        b"application/vnd.ms-tnef",
        b"application/octet-stream; name=WINMAIL.DAT",
    ],
)
def test_a_sealed_mail_in_it_is_opened(world: World, kind: bytes) -> None:
    sealed = smime.protect(MAIL, by=world.alice, to=world.bob)
    stream = tnef(OPAQUE, attachment(cms_of(sealed)))

    opened = smime.verify(FIELDS + winmail(stream, kind), keys=world.bob, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert opened.message["Subject"] == "the price"
    assert opened.report.layers[0].form == kind.partition(b";")[0].decode()
    assert opened.report.parts == ()


def test_signed_mails_in_it_are_verified(world: World) -> None:
    opaque = cms_of(smime.sign(MAIL, by=world.alice, opaque=True))
    signed = bytes(smime.sign(MAIL, by=world.alice))
    clear = signed[signed.index(b"MIME-Version") :]  # Exchange keeps the entity alone

    for kind, data in ((OPAQUE, opaque), (CLEAR, clear)):
        mail = FIELDS + winmail(tnef(kind, attachment(data)))
        assert smime.verify(mail, trust=world.anchors).signer == "alice@example.org"
        forged = FIELDS + winmail(tnef(kind, attachment(data.replace(b"at noon", b"at four"))))
        assert smime.open(forged, trust=world.anchors).signer is None


def test_a_file_attached_to_another_message_is_not_the_mail(world: World) -> None:
    """Its text is in properties; the file must not be shown in place of that."""
    opaque = attachment(cms_of(smime.sign(MAIL, by=world.alice, opaque=True)), b"contract.p7m\0")

    for stream in (
        tnef(b"IPM.Note\0", opaque),
        tnef(b"", opaque),
        tnef(OPAQUE),
        tnef(OPAQUE, opaque, opaque),
        b"hello",
        tnef(OPAQUE, opaque)[:-20],
    ):
        report = smime.examine(FIELDS + winmail(stream), trust=world.anchors)
        assert (report.layers, report.signer) == ((), None)
        assert [note.code for note in report.notes] == ["tnef"]


def test_beside_other_parts_it_is_a_part(world: World) -> None:
    """Who writes words around it must not have it opened (EFAIL)."""
    sealed = winmail(tnef(OPAQUE, attachment(cms_of(smime.encrypt(MAIL, to=world.bob)))))
    mail = (
        FIELDS + b"Content-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n\r\nlook:\r\n--b\r\n"
        + sealed + b"\r\n--b--\r\n"
    )  # fmt: skip

    opened = smime.open(mail, keys=world.bob, trust=world.anchors)

    assert [(part.path, part.kind) for part in opened.report.parts] == [("2", "tnef")]
    assert not opened.encrypted
    assert b"noon" not in bytes(opened.mail)


def test_what_says_that_it_is_and_is_not(world: World) -> None:
    mail = FIELDS + winmail(tnef(OPAQUE, attachment(b"not a CMS structure")))

    with pytest.raises(smime.MalformedMail):
        smime.open(mail, trust=world.anchors)


def test_limits() -> None:
    many = tnef(OPAQUE, *[attribute(1, 0x8004, b"x")] * (MAX_ATTRIBUTES - 8), attachment(b"0"))
    assert smime_of(many) == b"0"  # four of the message, four of the attachment
    with pytest.raises(smime.LimitExceeded):
        smime_of(many + attribute(1, 0x8004, b"x"))
    start = time.process_time()
    with pytest.raises(smime.LimitExceeded):
        smime_of(tnef(OPAQUE, *[attribute(1, 0x8004, b"")] * 1_000_000))
    assert time.process_time() - start < 2


@settings(max_examples=300, deadline=None)
@given(
    data=st.data(),
    stream=st.sampled_from([tnef(OPAQUE, attachment(b"0" * 40)), tnef(CLEAR, attachment(b"x"))]),
)
def test_damaged_streams(data: st.DataObject, stream: bytes) -> None:
    at = data.draw(st.integers(0, len(stream) - 1))
    damaged = stream[:at] + data.draw(st.binary(max_size=4)) + stream[at + 1 :]
    with suppress(smime.MalformedMail):
        smime_of(damaged)
