"""Algorithms that are not built are refused by name: SM2, SM3 and SM4 among them."""

from __future__ import annotations

from base64 import b64decode, encodebytes
from pathlib import Path

import pytest
from asn1crypto import cms as asn1

import smime
from smime.cms.algorithms import STRANGERS
from smime.cms.der import oid, sequence, tlv
from tests.support.peers import Peer
from tests.support.world import World

MAIL = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nhello\r\n"
SM3, SM2_WITH_SM3, SM4_CBC = (
    "1.2.156.10197.1.401",
    "1.2.156.10197.1.501",
    "1.2.156.10197.1.104.2",
)
ALGORITHM_PROTECTION = "cms_algorithm_protection"


def opaque(blob: bytes) -> bytes:
    head = b"From: alice@example.org\r\nContent-Type: application/pkcs7-mime\r\n"
    return head + b"Content-Transfer-Encoding: base64\r\n\r\n" + encodebytes(blob)


def unbind(signer: asn1.SignerInfo) -> None:
    """Take out what names the algorithms once more (RFC 6211): else they differ."""
    kept = [one for one in signer["signed_attrs"] if one["type"].native != ALGORITHM_PROTECTION]
    signer["signed_attrs"] = asn1.CMSAttributes(kept)


def renamed(mail: smime.Mail, *, digest: str = "", signature: str = "", cipher: str = "") -> bytes:
    """The same structure with other algorithms named; nobody could make it here."""
    info = asn1.ContentInfo.load(b64decode(mail.body))
    content = info["content"]
    if digest:
        content["digest_algorithms"][0]["algorithm"] = digest
        content["signer_infos"][0]["digest_algorithm"]["algorithm"] = digest
    if signature:
        content["signer_infos"][0]["signature_algorithm"] = asn1.SignedDigestAlgorithm(
            {"algorithm": signature}
        )
    if signature or digest:
        for info_of_signer in content["signer_infos"]:
            unbind(info_of_signer)
    if cipher:
        content["encrypted_content_info"]["content_encryption_algorithm"]["algorithm"] = cipher
    return opaque(info.dump(force=True))


def test_a_signature_with_sm2_and_sm3(world: World) -> None:
    signed = smime.sign(MAIL, by=world.alice, opaque=True)
    assert smime.open(renamed(signed), trust=world.anchors).signer  # the control

    for mail, name in (
        (renamed(signed, digest=SM3, signature=SM2_WITH_SM3), "SM3"),
        (renamed(signed, signature=SM2_WITH_SM3), "SM2 with SM3"),
        (renamed(signed, digest="1.3.36.3.2.1"), "RIPEMD-160"),
        (renamed(signed, digest="1.2.643.7.1.1.2.2"), "GOST R 34.11-2012"),
    ):
        opened = smime.open(mail, trust=world.anchors)

        assert opened.signer is None
        found = [f for _, f in opened.report.signatures[0].findings if f.code == "not-supported"]
        assert found
        assert all(name in finding.reason for finding in found)
        assert name in str(smime.view(opened))
        with pytest.raises(smime.NotSupported, match=name):
            smime.verify(mail, trust=world.anchors)
        with pytest.raises(smime.NotSupported, match=name):
            smime.cms.verify(b64decode(mail.partition(b"\r\n\r\n")[2]), trust=world.anchors)


def test_a_lacking_algorithm_excuses_nothing_else(world: World) -> None:
    """Beside a signature that is bad, or where the sender is not known, it is rejected."""
    signed = smime.sign(MAIL, by=[world.alice, world.bob], opaque=True)
    assert smime.open(signed, trust=world.anchors).signer  # the control

    info = asn1.ContentInfo.load(b64decode(signed.body))
    mine = world.alice.certificate.serial_number
    first, second = sorted(
        info["content"]["signer_infos"], key=lambda one: one["sid"].native["serial_number"] != mine
    )
    unbind(first)
    first["signature_algorithm"] = asn1.SignedDigestAlgorithm({"algorithm": SM2_WITH_SM3})
    for value in (second["signature"].native, bytes(64)):  # good, but not the sender's; and bad
        second["signature"] = value
        mail = opaque(info.dump(force=True))
        assert smime.open(mail, trust=world.anchors).signer is None
        with pytest.raises(smime.SignatureRejected):
            smime.verify(mail, trust=world.anchors)
    two_authors = renamed(smime.sign(MAIL, by=world.alice, opaque=True), signature=SM2_WITH_SM3)
    with pytest.raises(smime.SignatureRejected):
        smime.verify(b"From: bob@example.org\r\n" + two_authors, trust=world.anchors)


@pytest.mark.parametrize("cipher", ["1.2.156.10197.1.104.2", "1.2.392.200011.61.1.1.1.4"])
def test_content_sealed_with_a_cipher_of_elsewhere(world: World, cipher: str) -> None:
    sealed = smime.encrypt(MAIL, to=world.bob)
    assert smime.open(renamed(sealed), keys=world.bob, trust=world.anchors).encrypted

    mail = renamed(sealed, cipher=cipher)

    with pytest.raises(smime.NotSupported, match=f"content cipher {STRANGERS[cipher]} is not"):
        smime.open(mail, keys=world.bob, trust=world.anchors)
    report = smime.examine(mail, keys=world.bob, trust=world.anchors)
    assert report.problem is not None
    assert (report.problem.code, report.outcome) == ("not-supported", smime.Outcome.SEALED)


@pytest.mark.parametrize("arc", [1, 2, 3, 4, 5])
def test_the_structures_of_gm_t_0010(world: World, arc: int) -> None:
    kind = f"1.2.156.10197.6.1.4.2.{arc}"
    mail = opaque(sequence(oid(kind), tlv(0xA0, sequence(b"\x02\x01\x01"))))

    with pytest.raises(smime.NotSupported, match=r"SM2 .*GM/T 0010"):
        smime.open(mail, trust=world.anchors)
    assert smime.examine(mail, trust=world.anchors).outcome is smime.Outcome.UNKNOWN


@pytest.fixture
def sm2(openssl: Peer, tmp_path: Path) -> Path:
    """A key and a certificate for SM2, whose subject is in UTF-8."""
    key, cert = tmp_path / "sm2-key.pem", tmp_path / "sm2.pem"
    openssl.run("genpkey", "-algorithm", "EC", "-pkeyopt", "ec_paramgen_curve:SM2", "-out", key)
    openssl.run(
        "req", "-new", "-x509", "-key", key, "-sm3", "-utf8", "-subj", "/CN=王小明", "-out", cert,
        "-addext", "subjectAltName=email:wang@example.org",
    )  # fmt: skip
    (tmp_path / "sm2-id.pem").write_bytes(key.read_bytes() + cert.read_bytes())
    return tmp_path


@pytest.mark.peer("openssl")
def test_keys_for_sm2(sm2: Path) -> None:
    with pytest.raises(smime.NotSupported, match="SM2"):
        smime.encrypt(MAIL, to=smime.Recipient.load(sm2 / "sm2.pem"))
    with pytest.raises(smime.NotSupported, match="SM2"):
        smime.Identity.load(sm2 / "sm2-id.pem")


@pytest.mark.peer("openssl")
def test_a_mail_that_openssl_sealed_with_sm4(world: World, openssl: Peer, tmp_path: Path) -> None:
    (tmp_path / "text").write_bytes(b"Content-Type: text/plain\r\n\r\nhello\r\n")
    (tmp_path / "dave.pem").write_bytes(world.rsa.recipient.to_pem())
    mails = {
        name: openssl.run(
            "cms", "-encrypt", cipher, "-in", tmp_path / "text", tmp_path / "dave.pem"
        )
        for name, cipher in (("SM4-CBC", "-sm4-cbc"), ("AES", "-aes-128-cbc"))
    }

    assert smime.decrypt(mails["AES"], keys=world.rsa, trust=world.anchors).encrypted
    with pytest.raises(smime.NotSupported, match="content cipher SM4-CBC is not supported"):
        smime.decrypt(mails["SM4-CBC"], keys=world.rsa, trust=world.anchors)
