"""sign() and verify(): what they return, what they refuse, and which finding says why."""

from __future__ import annotations

import re
from datetime import UTC, date, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

import pki
import smime
from smime import Answer, Outcome
from tests.support.world import World

PLAIN = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: noon\r\n\r\nat noon\r\n"
OTHER = PLAIN.replace(b"at noon", b"at dusk")


def rejected(mail: smime.Mail | bytes, trust: smime.Trusts) -> smime.Report:
    """The report of a mail that verify() has to refuse; open() must not name a signer."""
    at = datetime.now(UTC)
    with pytest.raises(smime.SignatureRejected) as refused:
        smime.verify(mail, trust=trust, at=at)
    opened = smime.open(mail, trust=trust, at=at)
    assert opened.signer is None
    assert opened.contacts == ()
    report = refused.value.report
    assert report.signer is None
    assert report.outcome is not Outcome.GOOD
    assert smime.examine(mail, trust=trust, at=at) == report
    return report


# --- good -----------------------------------------------------------------------


@pytest.mark.parametrize("opaque", [False, True])
@pytest.mark.parametrize("who", ["alice", "rsa"])
def test_a_good_signature(world: World, letter: bytes, who: str, opaque: bool) -> None:
    signer = getattr(world, who)
    letter = letter.replace(b"alice@example.org", signer.addresses[0].encode())

    signed = smime.sign(letter, by=signer, opaque=opaque)
    opened = smime.verify(signed, trust=world.anchors)

    assert isinstance(signed, smime.Mail)
    assert opened.signer == signer.addresses[0]
    assert not opened.encrypted
    assert opened.report.outcome is Outcome.GOOD
    (check,) = opened.report.signatures
    assert check.good
    assert check.problems == ()
    assert check.certificate == signer.certificate
    assert [answer.answer for name, answer in check.findings if name != "revocation"] == [
        Answer.YES
    ] * 6
    assert opened.message["Subject"] == "会议记录"
    (attachment,) = opened.message.iter_attachments()
    assert attachment.get_filename() == "minutes.bin"
    assert opened.content.endswith(letter[letter.index(b"--part\r\n") :])


def test_a_clear_signed_mail_shows_its_text_to_everybody(world: World, letter: bytes) -> None:
    clear = bytes(smime.sign(letter, by=world.alice))
    opaque = bytes(smime.sign(letter, by=world.alice, opaque=True))

    assert b"we meet at noon" in clear
    assert b"Content-Type: multipart/signed" in clear
    assert b"we meet at noon" not in opaque
    assert b"smime-type=signed-data" in opaque


def test_the_signed_bytes_are_a_slice_of_the_mail(world: World, letter: bytes) -> None:
    signed = smime.sign(letter, by=world.alice)

    assert smime.verify(signed, trust=world.anchors).content in bytes(signed)


@pytest.mark.parametrize("opaque", [False, True])
def test_several_signers_give_several_checks(world: World, opaque: bool) -> None:
    by = [world.alice, world.bob, world.rsa]

    opened = smime.verify(smime.sign(PLAIN, by=by, opaque=opaque), trust=world.anchors)

    assert opened.signer == "alice@example.org"
    # Bob and Dave signed well and are not the sender: said of each, and no harm to Alice.
    assert {check.signer: check.good for check in opened.report.signatures} == {
        "alice@example.org": True,
        "bob@example.org": False,
        "dave@example.org": False,
    }
    others = [check for check in opened.report.signatures if not check.good]
    assert [check.problems[0].code for check in others] == ["address-differs"] * 2
    assert [one.addresses for one in opened.contacts] == [("alice@example.org",)]


def test_signing_time_is_said_and_believed_for_nothing(world: World) -> None:
    at = datetime.now(UTC).replace(microsecond=0) - timedelta(minutes=30)

    opened = smime.verify(smime.sign(PLAIN, by=world.alice, at=at), trust=world.anchors)

    (check,) = opened.report.signatures
    assert check.signed_at == at
    assert check.at > at
    late = datetime.now(UTC) + timedelta(days=4000)
    with pytest.raises(smime.SignatureRejected) as refused:
        smime.verify(smime.sign(PLAIN, by=world.alice, at=at), trust=world.anchors, at=late)
    (check,) = refused.value.report.signatures
    assert check.time.answer is Answer.NO


@pytest.mark.parametrize("ends", ["lf", "mixed"])
def test_changed_line_ends_are_put_back_and_said(world: World, letter: bytes, ends: str) -> None:
    today = f"Date: {datetime.now(UTC):%a, %d %b %Y %H:%M:%S} +0000".encode()
    signed = bytes(smime.sign(re.sub(rb"Date: [^\r\n]+", today, letter), by=world.alice))
    received = signed.replace(b"\r\n", b"\n")
    if ends == "mixed":
        half = signed.index(b"Gr=C3")
        received = signed[:half] + signed[half:].replace(b"\r\n", b"\n")

    opened = smime.verify(received, trust=world.anchors)

    notes = [note.code for check in opened.report.signatures for note in check.notes]
    assert notes == ["line-ends"]
    exact = smime.Policy.modern().replace(line_ends="exact")
    with pytest.raises(smime.SignatureRejected):
        smime.verify(received, trust=world.anchors, policy=exact)
    assert not smime.verify(signed, trust=world.anchors, policy=exact).report.signatures[0].notes


@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
def test_the_policy_names_the_digest(world: World, digest: str) -> None:
    policy = smime.Policy.modern().replace(digest=digest)

    signed = smime.sign(PLAIN, by=world.alice, policy=policy)

    (check,) = smime.verify(signed, trust=world.anchors).report.signatures
    assert check.digest_algorithm.replace("-", "") == digest
    assert f'micalg="sha-{digest[3:]}"'.encode() in bytes(signed)


def test_as2_keeps_every_octet(world: World) -> None:
    """An entity without From, binary body and all: nothing is made canonical (RFC 4130)."""
    entity = b"Content-Type: application/edi-x12\nContent-Transfer-Encoding: binary\n\n"
    entity += bytes(range(256)) + b"\nUNZ  \n\n"
    policy = smime.Policy.as2(micalg="sha256")
    trust = smime.Pinned(world.alice.certificate, sender="partner-as2-id")

    signed = smime.sign(entity, by=world.alice, policy=policy)
    sealed = smime.encrypt(signed, to=world.bob, policy=policy)
    opened = smime.verify(
        sealed, keys=world.bob, trust=trust, sender="partner-as2-id", policy=policy
    )

    assert opened.content == entity
    assert opened.signer == "partner-as2-id"
    assert b'micalg="sha256"' in bytes(signed)
    (check,) = opened.report.signatures
    assert len(check.digest) == 32
    with pytest.raises(smime.SignatureRejected):
        smime.verify(sealed, keys=world.bob, trust=trust, sender="another-as2-id", policy=policy)


def test_out_gets_the_mail_and_nothing_on_failure(world: World, tmp_path: Path) -> None:
    signed = smime.sign(PLAIN, by=world.alice, out=tmp_path / "signed.eml")
    good, bad = tmp_path / "good.eml", tmp_path / "bad.eml"

    opened = smime.verify(tmp_path / "signed.eml", trust=world.anchors, out=good)
    with pytest.raises(smime.SignatureRejected):
        smime.verify(bytes(signed).replace(b"at noon", b"at dusk"), trust=world.anchors, out=bad)

    assert (tmp_path / "signed.eml").read_bytes() == bytes(signed)
    assert good.read_bytes() == bytes(opened.mail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good.eml", "signed.eml"]


# --- not good -------------------------------------------------------------------


@pytest.mark.parametrize("opaque", [False, True])
def test_an_unsigned_mail(world: World, opaque: bool) -> None:
    with pytest.raises(smime.SignatureRejected, match="not signed") as refused:
        smime.verify(PLAIN, trust=world.anchors)

    assert refused.value.report.outcome is Outcome.UNSIGNED
    assert refused.value.hint
    assert smime.open(PLAIN, trust=world.anchors).signer is None
    assert bytes(smime.open(PLAIN, trust=world.anchors).mail) == PLAIN
    signed = smime.sign(PLAIN, by=world.alice, opaque=opaque)
    assert smime.verify(signed, trust=world.anchors).signer == "alice@example.org"


def test_a_changed_letter(world: World) -> None:
    signed = bytes(smime.sign(PLAIN, by=world.alice))

    report = rejected(signed.replace(b"at noon", b"at dusk"), world.anchors)

    (check,) = report.signatures
    assert check.intact.code == "digest-differs"
    assert report.outcome is Outcome.REJECTED


@pytest.mark.parametrize("field", [b"Subject: noon", b"From: alice@example.org"])
def test_a_changed_header_inside(world: World, field: bytes) -> None:
    signed = bytes(smime.sign(PLAIN, by=world.alice))
    inside = signed.rindex(field)

    report = rejected(
        signed[:inside] + field.replace(b"o", b"0") + signed[inside + len(field) :], world.anchors
    )

    assert report.signatures[0].intact.answer is Answer.NO


def test_the_signature_of_another_mail(world: World) -> None:
    """It is genuine, and by the sender; it is of another content."""
    first, second = (bytes(smime.sign(one, by=world.alice)) for one in (PLAIN, OTHER))
    mark = b"Content-Description: S/MIME Cryptographic Signature\r\n\r\n"
    body, signature = first.partition(mark)[0], second.partition(mark)[2].partition(b"\r\n--")[0]
    tail = first[first.rindex(b"\r\n--") :]

    report = rejected(body + mark + signature + tail, world.anchors)

    assert report.signatures[0].intact.code == "digest-differs"


def test_another_root(world: World) -> None:
    signed = smime.sign(PLAIN, by=world.alice)

    report = rejected(signed, pki.Authority.create("Test CA").anchors)

    (check,) = report.signatures
    assert check.path.code == "no-anchor"
    assert check.intact.answer is check.genuine.answer is Answer.YES


def test_one_of_several_trusts_is_enough(world: World) -> None:
    signed = smime.sign(PLAIN, by=world.alice)
    other = pki.Authority.create("Other CA").anchors

    assert smime.verify(signed, trust=[other, world.anchors]).signer == "alice@example.org"
    assert smime.verify(signed, trust=[smime.Pinned(world.alice.certificate), other]).signer
    rejected(signed, [other, smime.NoTrust()])


def test_the_wrong_sender(world: World) -> None:
    signed = smime.sign(PLAIN, by=world.bob)

    report = rejected(signed, world.anchors)

    (check,) = report.signatures
    assert check.address.code == "address-differs"
    assert report.sender == "alice@example.org"
    named = smime.verify(signed, trust=world.anchors, sender="bob@example.org")
    assert named.signer == "bob@example.org"


@pytest.mark.parametrize(
    "sender",
    [
        b"From: alice@example.org\r\nFrom: bob@example.org\r\n",
        b"From: alice@example.org, bob@example.org\r\n",
        b"",
        b"Sender: alice@example.org\r\n",
        b'From: "alice@example.org" <mallory@example.org>\r\n',
        b"From: mallory@example.org (alice@example.org)\r\n",
    ],
    ids=["two-fields", "two-addresses", "none", "sender-only", "display-name", "comment"],
)
def test_a_from_that_is_not_one_address_of_the_signer(world: World, sender: bytes) -> None:
    mail = PLAIN.replace(b"From: alice@example.org\r\n", sender)

    report = rejected(smime.sign(mail, by=world.alice), world.anchors)

    assert report.signatures[0].address.answer is not Answer.YES


def test_a_second_from_put_outside(world: World) -> None:
    signed = b"From: mallory@example.org\r\n" + bytes(smime.sign(PLAIN, by=world.alice))

    opened = smime.open(signed, trust=world.anchors)

    # The From inside is Alice's and her signature is good: it is the From of the mail.
    assert opened.signer == "alice@example.org"
    assert opened.message["From"] == "alice@example.org"
    assert [note.code for note in opened.report.notes] == ["from-mismatch"]


def test_notrust_is_never_good(world: World) -> None:
    report = rejected(smime.sign(PLAIN, by=world.alice), smime.NoTrust())

    (check,) = report.signatures
    assert check.intact.answer is check.genuine.answer is Answer.YES
    assert check.path.code == "no-trust"
    assert report.outcome is Outcome.UNKNOWN


def test_a_signed_part_says_nothing_of_the_mail(world: World) -> None:
    signed = bytes(smime.sign(PLAIN, by=world.alice))
    part = signed[signed.index(b"Content-Type: multipart/signed") :]
    mail = (
        b"From: alice@example.org\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="around"\r\n\r\n'
        b"--around\r\n\r\nSend the money to Mallory.\r\n"
        b"--around\r\n" + part + b"\r\n--around--\r\n"
    )

    report = rejected(mail, world.anchors)

    assert report.outcome is Outcome.UNSIGNED
    assert [note.code for note in report.notes] == ["protected-part"]


def test_text_after_the_signed_part_is_not_covered(world: World) -> None:
    signed = bytes(smime.sign(PLAIN, by=world.alice))
    with_footer = signed + b"\r\nSend the money to Mallory.\r\n"

    opened = smime.open(with_footer, trust=world.anchors)

    assert b"Mallory" not in bytes(opened.mail)
    assert b"Mallory" not in opened.content


def test_revoked(world: World) -> None:
    eve = world.ca.issue("eve@example.org")
    mail = smime.sign(PLAIN.replace(b"alice", b"eve"), by=eve)
    evidence = smime.Evidence(crls=[world.ca.crl(eve.certificate)])

    assert smime.verify(mail, trust=world.anchors).signer == "eve@example.org"
    with pytest.raises(smime.SignatureRejected) as refused:
        smime.verify(mail, trust=world.anchors, evidence=evidence)

    assert refused.value.report.signatures[0].revocation.code == "revoked"


# --- calling --------------------------------------------------------------------


def test_a_naive_time_is_refused_everywhere(world: World) -> None:
    naive = datetime(2030, 1, 1)
    signed = smime.sign(PLAIN, by=world.alice)

    for call in (
        lambda: smime.sign(PLAIN, by=world.alice, at=naive),
        lambda: smime.protect(PLAIN, by=world.alice, to=world.bob, at=naive),
        lambda: smime.protect_each(PLAIN, by=world.alice, to=[world.bob], at=naive),
        lambda: smime.verify(signed, trust=world.anchors, at=naive),
        lambda: smime.open(signed, trust=world.anchors, at=naive),
        lambda: smime.decrypt(signed, keys=world.bob, trust=world.anchors, at=naive),
        lambda: smime.examine(signed, trust=world.anchors, at=naive),
    ):
        with pytest.raises(ValueError, match="time zone"):
            call()


@pytest.mark.parametrize("at", ["2026-11-24", 0, date(2026, 11, 24)])
def test_a_time_is_a_datetime(world: World, at: Any) -> None:
    with pytest.raises(TypeError, match="at= takes a datetime"):
        smime.sign(PLAIN, by=world.alice, at=at)
    with pytest.raises(TypeError, match="at= takes a datetime"):
        smime.examine(PLAIN, trust=world.anchors, at=at)


def test_a_certificate_that_ended_does_not_sign(world: World) -> None:
    late = datetime.now(UTC) + timedelta(days=4000)

    with pytest.raises(smime.KeyProblem):
        smime.sign(PLAIN, by=world.alice, at=late)


@pytest.mark.parametrize("by", [[], ()])
def test_nobody_signs(world: World, by: list[smime.Identity]) -> None:
    with pytest.raises(ValueError, match="by="):
        smime.sign(PLAIN, by=by)


def test_bcc_is_in_no_signed_mail_and_among_its_recipients(world: World) -> None:
    mail = PLAIN.replace(b"To:", b"Bcc: secret@example.org\r\nTo:")

    signed = smime.sign(mail, by=world.alice)

    assert signed.recipients == ("bob@example.org", "secret@example.org")
    assert b"secret@example.org" not in bytes(signed)
    assert b"bcc:" not in bytes(signed).partition(b"Content-Transfer-Encoding: base64")[0].lower()
