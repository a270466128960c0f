"""Signed receipts (RFC 2634): asked for, made, held against the mail; and with openssl."""

from __future__ import annotations

from pathlib import Path

import pytest

import smime
from smime.cms import signed
from smime.cms.attributes import attribute
from smime.cms.receipt import RECEIPT, REQUEST_TYPE, write_request
from smime.formats.smime import binary, wrap_sealed, wrap_signed
from smime.mime.entity import split_entity
from smime.policy import MODERN, moment
from tests.support.peers import Peer
from tests.support.world import World

LETTER = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: offer\r\n"
    b"Message-ID: <offer-1@example.org>\r\n\r\nat noon\r\n"
)
ASKS = smime.Policy.modern().replace(receipts_to=["alice@example.org"])
SIGNED = "multipart/signed", "opaque", "sealed"


def sent(world: World, form: str) -> smime.Mail:
    if form == "sealed":
        return smime.protect(LETTER, by=world.alice, to=world.bob, policy=ASKS)
    return smime.sign(LETTER, by=world.alice, policy=ASKS, opaque=form == "opaque")


@pytest.mark.parametrize("form", SIGNED)
def test_a_receipt_is_asked_for_made_and_verified(world: World, form: str) -> None:
    mail = sent(world, form)

    wanted = smime.receipt_wanted(mail, keys=world.bob, trust=world.anchors)
    receipt = smime.make_receipt(mail, by=world.bob, keys=world.bob, trust=world.anchors)
    report = smime.verify_receipt(receipt, sent=mail, keys=world.alice, trust=world.anchors)

    assert wanted == ("alice@example.org",)
    assert receipt.recipients == ("alice@example.org",)
    assert receipt.message["In-Reply-To"] == "<offer-1@example.org>"
    assert b"smime-type=signed-receipt" in bytes(receipt)
    assert report.signer == "bob@example.org"
    assert report.outcome is smime.Outcome.GOOD
    (check,) = report.signatures
    assert check.good
    assert check.signed_at is not None


def test_a_receipt_for_another_mail_is_refused(world: World) -> None:
    mail, other = sent(world, "opaque"), sent(world, "opaque")
    receipt = smime.make_receipt(mail, by=world.bob, trust=world.anchors)

    assert smime.verify_receipt(receipt, sent=mail, trust=world.anchors).signer
    with pytest.raises(smime.SignatureRejected, match="another mail"):
        smime.verify_receipt(receipt, sent=other, trust=world.anchors)
    with pytest.raises(smime.SignatureRejected, match="asks for no receipt"):
        smime.verify_receipt(receipt, sent=smime.sign(LETTER, by=world.alice), trust=world.anchors)


def test_a_receipt_by_another_than_its_from_is_refused(world: World) -> None:
    mail = sent(world, "opaque")
    receipt = smime.make_receipt(mail, by=world.carol, trust=world.anchors)
    as_bob = bytes(receipt).replace(b"From: carol@", b"From: bob@")

    assert smime.verify_receipt(receipt, sent=mail, trust=world.anchors).signer == (
        "carol@example.org"
    )
    for forged, more in ((as_bob, {}), (receipt, {"sender": "bob@example.org"})):
        with pytest.raises(smime.SignatureRejected):
            smime.verify_receipt(forged, sent=mail, trust=world.anchors, **more)
    with pytest.raises(smime.SignatureRejected):
        smime.verify_receipt(receipt, sent=mail, trust=smime.NoTrust())


def test_no_receipt_for_a_mail_that_is_not_good(world: World) -> None:
    forged = bytes(sent(world, "multipart/signed")).replace(b"noon", b"dusk")

    assert smime.receipt_wanted(forged, trust=world.anchors) == ()
    with pytest.raises(smime.SignatureRejected):
        smime.make_receipt(forged, by=world.bob, trust=world.anchors)


def test_no_receipt_where_none_is_asked_for(world: World) -> None:
    mail = smime.sign(LETTER, by=world.alice)

    assert smime.receipt_wanted(mail, trust=world.anchors) == ()
    with pytest.raises(smime.MalformedMail, match="no receipt"):
        smime.make_receipt(mail, by=world.bob, trust=world.anchors)


def test_a_mail_is_no_receipt(world: World) -> None:
    mail = sent(world, "opaque")
    for other in (mail, sent(world, "multipart/signed"), LETTER):
        with pytest.raises(smime.MalformedMail):
            smime.verify_receipt(other, sent=mail, trust=world.anchors)


def test_a_receipt_is_no_mail(world: World) -> None:
    """Who asks for a receipt chooses octets that the reader then signs: they are no letter."""
    receipt = smime.make_receipt(sent(world, "opaque"), by=world.bob, trust=world.anchors)

    with pytest.raises(smime.NotSupported):
        smime.open(receipt, trust=world.anchors)
    report = smime.examine(receipt, trust=world.anchors)
    assert report.signer is None
    assert report.outcome is smime.Outcome.UNKNOWN


@pytest.mark.parametrize("opaque", [False, True])
def test_what_is_signed_as_something_else_is_no_mail(world: World, opaque: bool) -> None:
    entity = b"Content-Type: text/plain\r\n\r\nI owe you 7\r\n"
    for kind, good in ((RECEIPT, False), ("1.2.840.113549.1.7.1", True)):
        blob, _ = signed.build(
            entity, [world.bob.signing_key], detached=not opaque, at=moment(None),
            policy=MODERN, content_type=kind,
        )  # fmt: skip
        outer = b"From: bob@example.org\r\n"
        mail = (
            wrap_sealed(blob, "signedData", outer)
            if opaque
            else wrap_signed(entity, blob, "sha-256", outer)
        )
        report = smime.examine(mail, trust=world.anchors)
        assert (report.signer == "bob@example.org") is good


@pytest.mark.parametrize("value", [b"\x05\x00", b"\x30\x00", b"\x30\x03\x04\x01\x00"])
def test_a_request_that_is_nonsense(world: World, value: bytes) -> None:
    entity = b"Content-Type: text/plain\r\n\r\nhi\r\n"
    blob, _ = signed.build(
        entity, [world.alice.signing_key], detached=True, at=moment(None), policy=MODERN,
        signed_attributes=(attribute(REQUEST_TYPE, value),),
    )  # fmt: skip
    mail = wrap_signed(entity, blob, "sha-256", b"From: alice@example.org\r\n")

    assert smime.open(mail, trust=world.anchors).signer == "alice@example.org"
    with pytest.raises(smime.MalformedMail):
        smime.receipt_wanted(mail, trust=world.anchors)


@pytest.mark.parametrize(
    "evil",
    [
        "eve@example.net\r\nBcc: all@example.org",
        "eve@example.net>\r\nDATA",
        "eve@example.net, all@example.org",
        "Eve <eve@example.net>",
        "eve@example.net\0",
        "eve",
        "",
    ],
)
def test_addresses_of_a_request_write_nothing(world: World, evil: str) -> None:
    """Whoever sends a mail chooses them; the reader's program sends to them."""
    entity = b"Content-Type: text/plain\r\n\r\nhi\r\n"
    blob, _ = signed.build(
        entity, [world.alice.signing_key], detached=True, at=moment(None), policy=MODERN,
        signed_attributes=(write_request((evil, "alice@example.org")),),
    )  # fmt: skip
    mail = wrap_signed(entity, blob, "sha-256", b"From: alice@example.org\r\n")

    receipt = smime.make_receipt(mail, by=world.bob, trust=world.anchors)

    assert receipt.recipients == ("alice@example.org",)
    fields = bytes(receipt).partition(b"MIME-Version")[0]
    assert fields == b"From: bob@example.org\r\nTo: alice@example.org\r\nSubject: Receipt\r\n"


def test_a_policy_takes_addresses() -> None:
    for bad in ("alice@example.org", ["alice"], ["用户@example.org"]):
        with pytest.raises(ValueError, match="receipts_to"):
            smime.Policy.modern().replace(receipts_to=bad)


@pytest.fixture
def files(world: World, tmp_path: Path) -> Path:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    (tmp_path / "root.pem").write_bytes(world.ca.certificate.public_bytes(Encoding.PEM))
    for name in ("alice", "bob"):
        one = getattr(world, name)
        key = one._key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        cert = one.certificate.public_bytes(Encoding.PEM)
        (tmp_path / f"{name}.pem").write_bytes(key + cert)
    return tmp_path


def test_openssl_verifies_our_receipt(world: World, files: Path, openssl: Peer) -> None:
    mail = sent(world, "opaque")
    mail.save(files / "mail.eml")
    receipt = smime.make_receipt(mail, by=world.bob, trust=world.anchors)
    (files / "receipt.der").write_bytes(binary(split_entity(bytes(receipt))))

    done = openssl.run(
        "cms", "-verify_receipt", files / "receipt.der", "-rctform", "DER",
        "-in", files / "mail.eml", "-CAfile", files / "root.pem",
    )  # fmt: skip

    assert done is not None


def test_we_verify_the_receipt_of_openssl(world: World, files: Path, openssl: Peer) -> None:
    mail = sent(world, "opaque")
    mail.save(files / "mail.eml")

    openssl.run(
        "cms", "-sign_receipt", "-in", files / "mail.eml", "-out", files / "receipt.eml",
        "-signer", files / "bob.pem",
    )  # fmt: skip
    receipt = (files / "receipt.eml").read_bytes()

    report = smime.verify_receipt(receipt, sent=mail, sender="bob@example.org", trust=world.anchors)
    assert report.signer == "bob@example.org"


def test_we_read_the_request_of_openssl(world: World, files: Path, openssl: Peer) -> None:
    (files / "letter.txt").write_bytes(b"Content-Type: text/plain\r\n\r\nhi\r\n")
    made = openssl.run(
        "cms", "-sign", "-in", files / "letter.txt", "-signer", files / "alice.pem",
         "-receipt_request_to", "desk@example.org",
        "-receipt_request_all", "-from", "alice@example.org",
    )  # fmt: skip

    assert smime.receipt_wanted(made, trust=world.anchors) == ("desk@example.org",)
    receipt = smime.make_receipt(made, by=world.bob, trust=world.anchors)
    assert smime.verify_receipt(receipt, sent=made, trust=world.anchors).signer
