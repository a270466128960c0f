"""Signers, countersignatures and evidence added to a message that exists."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from asn1crypto import cms as asn1
from asn1crypto import tsp
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from smime import Policy, cms
from smime.cms import signatures, signed
from smime.cms.der import integer, octet_string, oid, sequence, set_of, tlv
from smime.errors import LimitExceeded, MalformedMail
from tests.cms import forge
from tests.cms.forge import CONTENT
from tests.cms.signers import (
    AT,
    KEYS,
    anchors,
    certificate_of,
    identity,
    key_of,
    root,
    signing_key,
)

MODERN = Policy.modern()
STAMPED = datetime(2026, 11, 24, 12, 34, 56, 250000, tzinfo=UTC)


def made(*kinds: str, detached: bool = False, content: bytes = CONTENT) -> bytes:
    keys = [signing_key(kind) for kind in kinds]
    return signed.build(content, keys, detached=detached, at=AT, policy=MODERN)[0]


def in_ber(kind: str) -> bytes:
    frame = signed.frame([signing_key(kind)], detached=False, at=AT, policy=MODERN)
    digests = {name: signed.digest(name, CONTENT) for name in frame.digests}
    return frame.before + frame.piece(CONTENT) + frame.after(digests)


def checks(blob: bytes, content: bytes = CONTENT) -> tuple[signatures.CheckedSignature, ...]:
    return signatures.check(signatures.read(blob), signatures.Content(content), policy=MODERN)


def infos(blob: bytes) -> list[bytes]:
    found = asn1.ContentInfo.load(blob)["content"]["signer_infos"]
    return [one.dump() for one in found]


def index_of(blob: bytes, kind: str) -> int:
    """Where the signer with this key stands."""
    found = [one.certificate for one in checks(blob)]
    return found.index(certificate_of(kind))


# --- signers ------------------------------------------------------------------


@pytest.mark.parametrize("more", ["rsa", "ed25519", "ed448", "ml-dsa-65"])
@pytest.mark.parametrize("detached", [False, True])
def test_a_signer_more(more: str, detached: bool) -> None:
    first = made("p256", detached=detached)

    both = cms.add_signer(first, by=identity(more), content=CONTENT if detached else None, at=AT)

    assert infos(first)[0] in infos(both)
    assert {one.certificate for one in checks(both)} == {
        certificate_of("p256"),
        certificate_of(more),
    }
    assert all(one.holds for one in checks(both))
    assert not any(one.holds for one in checks(both, CONTENT + b"!"))
    assert (signatures.read(both).content is None) is detached


def test_adding_to_what_came_in_ber() -> None:
    before = in_ber("rsa")
    value = signatures.read(before).signers[0].value

    both = cms.add_signer(before, by=signing_key("p256"), at=AT)

    assert value in {one.value for one in signatures.read(both).signers}
    assert all(one.holds for one in checks(both))


def test_what_is_added_is_as_if_built_together() -> None:
    """EdDSA is deterministic, so the two ways can be compared octet by octet."""
    at_once = made("ed25519", "ed448")

    assert cms.add_signer(made("ed25519"), by=identity("ed448"), at=AT) == at_once
    assert cms.add_signer(made("ed448"), by=[identity("ed25519")], at=AT) == at_once


def test_nobody_signs_beside_another_content() -> None:
    """One detached signature over two contents is how messages are put together wrongly."""
    first = made("p256", detached=True)

    with pytest.raises(MalformedMail, match="another content"):
        cms.add_signer(first, by=identity("rsa"), content=CONTENT + b"!", at=AT)
    with pytest.raises(MalformedMail, match="not the one inside"):
        cms.add_signer(made("p256"), by=identity("rsa"), content=b"other", at=AT)
    with pytest.raises(ValueError, match="content="):
        cms.add_signer(first, by=identity("rsa"), at=AT)


def test_signers_have_a_limit(monkeypatch: pytest.MonkeyPatch) -> None:
    from smime.cms import amend

    monkeypatch.setattr(amend, "MAX_SIGNERS", 2)
    two = cms.add_signer(made("p256"), by=identity("ed25519"), at=AT)
    with pytest.raises(LimitExceeded):
        cms.add_signer(two, by=identity("ed448"), at=AT)


@pytest.mark.parametrize("wrong", ["alice.p12", None, 7])
def test_what_cannot_sign(wrong: Any) -> None:
    with pytest.raises(TypeError, match=r"Identity\.load"):
        cms.add_signer(made("p256"), by=wrong)


@pytest.mark.parametrize(
    "blob", [b"", b"\x30\x00", b"\x30\x80", made("p256")[:-1], sequence(oid("1.2.3"))]
)
def test_what_is_no_signed_data(blob: bytes) -> None:
    calls = (
        lambda: cms.add_signer(blob, by=identity("p256")),
        lambda: cms.countersign(blob, by=identity("p256")),
        lambda: cms.attach(blob),
        lambda: cms.strip(blob, unsigned=True),
        lambda: cms.timestamp_query(blob),
    )
    for call in calls:
        with pytest.raises(MalformedMail):
            call()


# --- countersignatures ----------------------------------------------------------


@pytest.mark.parametrize("kind", KEYS)
def test_countersignatures(kind: str) -> None:
    """Over the value of one signer; the other one keeps every byte."""
    first = made("rsa", "p384")
    place = index_of(first, "rsa")
    other = infos(first)[1 - place]

    blob = cms.countersign(first, place, by=identity(kind), at=AT)

    assert other in infos(blob)
    by_rsa = checks(blob)[index_of(blob, "rsa")]
    assert by_rsa.holds
    (counter,) = by_rsa.countersignatures
    assert counter.holds
    assert counter.certificate == certificate_of(kind)
    assert counter.signed_at == AT
    assert [note.code for note in by_rsa.notes] == ["countersignature"]
    assert checks(blob)[index_of(blob, "p384")].countersignatures == ()


def test_several_countersignatures_and_one_upon_another() -> None:
    blob = made("rsa")
    for kind in ("p256", "ed25519", "p256"):
        blob = cms.countersign(blob, by=identity(kind), at=AT)

    (check,) = checks(blob)

    assert [one.holds for one in check.countersignatures] == [True] * len(check.countersignatures)
    assert len(check.countersignatures) == 3


@pytest.mark.parametrize(
    "attributes_given",
    [
        # RFC 5652 §11.4: no content-type, and the digest is of the value
        [forge.content_type(), forge.message_digest(b"digest")],
        [forge.message_digest(bytes(32))],
        [],
    ],
    ids=["typed", "other-digest", "bare"],
)
def test_countersignatures_that_are_wrong(attributes_given: list[bytes]) -> None:
    """Said in a note; the signature below is what it was."""
    inner = forge.signer_info("rsa")
    value = signatures.read_signer(inner, signatures.top(inner)).value
    digest = forge.digest("sha256", value)
    given = [
        forge.message_digest(digest) if one == forge.message_digest(b"digest") else one
        for one in attributes_given
    ]
    counter = forge.signer_info("p256", over=value, attributes=given)
    beside = forge.attribute("1.2.840.113549.1.9.6", counter)
    der = [certificate_of(kind).public_bytes(Encoding.DER) for kind in ("rsa", "p256")]

    (check,) = checks(forge.message(forge.signer_info("rsa", unsigned=[beside]), certificates=der))

    assert check.holds
    assert not check.countersignatures[0].holds
    assert [note.code for note in check.notes] == ["countersignature-wrong"]


@pytest.mark.parametrize("junk", [tlv(0x04, b"x"), sequence(), b"\x30\x03\x02\x01\x01"])
def test_countersignatures_that_cannot_be_read(junk: bytes) -> None:
    beside = forge.attribute("1.2.840.113549.1.9.6", junk)

    (check,) = checks(forge.signed_by("rsa", unsigned=[beside]))

    assert check.holds
    assert [note.code for note in check.notes] == ["countersignature-wrong"]


def test_countersignatures_are_counted() -> None:
    """Anybody can add some; each costs a check."""
    counter = forge.signer_info("ed25519", name="sha512", attributes=[])
    beside = [forge.attribute("1.2.840.113549.1.9.6", *[counter] * 40)]

    (check,) = checks(forge.signed_by("rsa", unsigned=beside))

    assert check.holds
    assert len(check.countersignatures) == signatures.MAX_COUNTERSIGNATURES


def test_a_signer_that_is_not_there() -> None:
    with pytest.raises(IndexError):
        cms.countersign(made("p256"), 1, by=identity("rsa"))


def test_a_countersigned_mail_says_so() -> None:
    letter = b"From: p256-0@example.org\r\nSubject: x\r\n\r\nat noon\r\n"
    mail = bytes(smime.sign(letter, by=identity("p256"), opaque=True, at=AT))
    head, _, body = mail.partition(b"\r\n\r\n")
    import base64

    blob = cms.countersign(base64.b64decode(body), by=identity("ed25519"), at=AT)

    opened = smime.verify(
        head + b"\r\n\r\n" + base64.encodebytes(blob).replace(b"\n", b"\r\n"),
        trust=anchors(),
        at=AT,
    )

    assert [note.code for note in opened.report.signatures[0].notes] == ["countersignature"]


# --- evidence -------------------------------------------------------------------


def crl() -> x509.CertificateRevocationList:
    return (
        x509.CertificateRevocationListBuilder()
        .issuer_name(root().subject)
        .last_update(AT)
        .next_update(AT.replace(year=2027))
        .sign(key_of("p256", 99), hashes.SHA256())
    )


def test_certificates_lists_and_answers_are_attached() -> None:
    first = made("p256")
    answer, revoked = sequence(tlv(0x0A, b"\x00")), crl()

    blob = cms.attach(first, certificates=[root()], crls=[revoked], ocsps=[answer])

    found = signatures.read(blob)
    assert infos(blob) == infos(first)
    assert root().public_bytes(Encoding.DER) in found.certificates_der
    assert found.crls == (revoked.public_bytes(Encoding.DER),)
    assert found.ocsp == (answer,)
    assert asn1.ContentInfo.load(blob)["content"]["version"].native == "v5"
    assert cms.attach(blob, certificates=[root()], crls=[revoked], ocsps=[answer]) == blob
    assert cms.strip(blob, crls=True) == cms.attach(first, certificates=[root()])
    assert all(one.holds for one in checks(blob))


@pytest.mark.parametrize("wrong", [b"", b"\x04\x00", b"\x30\x80\x00\x00", b"\x30\x00\x00"])
def test_only_whole_structures_are_attached(wrong: bytes) -> None:
    with pytest.raises(MalformedMail):
        cms.attach(made("p256"), certificates=[wrong])


# --- time stamps (RFC 3161) ---------------------------------------------------------


def stamp(query: bytes, *, naming: bool = True, kind: str = "rsa") -> bytes:
    """What a time-stamp authority answers: status and token."""
    asked = tsp.TimeStampReq.load(query)
    info = sequence(
        integer(1),
        oid("1.2.3.4.5"),
        asked["message_imprint"].dump(),
        integer(77),
        tlv(0x18, b"20261124123456.25Z"),
    )
    certificate = certificate_of(kind, 7, "", "time")
    der = certificate.public_bytes(Encoding.DER)
    from smime.cms import SigningKey

    key = SigningKey(key_of(kind, 7), certificate)
    policy = MODERN.replace(cades=naming)
    token, _ = signed.build(
        info, [key], detached=False, at=AT, policy=policy, content_type="1.2.840.113549.1.9.16.1.4"
    )
    assert der in token
    return sequence(sequence(integer(0)), token)


@pytest.mark.parametrize("digest", ["sha256", "sha512"])
def test_time_stamps(digest: str) -> None:
    first = made("p256", "ed25519")
    place = index_of(first, "p256")
    query = cms.timestamp_query(first, place, digest=digest)
    assert tsp.TimeStampReq.load(query)["cert_req"].native

    blob = cms.attach(first, timestamp=stamp(query), index=place)

    check = checks(blob)[index_of(blob, "p256")]
    (found,) = check.time_stamps
    assert check.holds
    assert found.holds
    assert found.time == STAMPED
    assert found.certificate == certificate_of("rsa", 7, "", "time")
    assert [note.code for note in check.notes] == ["time-stamp"]
    assert cms.strip(blob, unsigned=True) == first


def test_a_query_is_never_the_same_twice() -> None:
    blob = made("p256")

    assert cms.timestamp_query(blob) != cms.timestamp_query(blob)


def test_a_token_over_something_else() -> None:
    """Not attached here; and where somebody else attached it, said."""
    mine, other = made("p256"), made("rsa")
    answer = stamp(cms.timestamp_query(other))
    with pytest.raises(MalformedMail, match="something else"):
        cms.attach(mine, timestamp=answer)

    token = asn1.ContentInfo.load(tsp.TimeStampResp.load(answer)["time_stamp_token"].dump())
    beside = forge.attribute("1.2.840.113549.1.9.16.2.14", token.dump())
    (check,) = checks(forge.signed_by("rsa", unsigned=[beside]))

    assert check.holds
    assert check.time_stamps[0].intact.code == "digest-differs"
    assert [note.code for note in check.notes] == ["time-stamp-wrong"]


def test_a_token_must_name_its_maker() -> None:
    """RFC 3161 §2.4.2, RFC 5816: else another certificate could be shown for it."""
    first = made("p256")
    answer = stamp(cms.timestamp_query(first), naming=False)

    (check,) = checks(cms.attach(first, timestamp=answer))

    assert check.time_stamps[0].genuine.code == "certificate-differs"


def test_a_token_that_was_changed() -> None:
    first = made("p256")
    blob = cms.attach(first, timestamp=stamp(cms.timestamp_query(first)))
    changed = blob.replace(b"20261124123456.25Z", b"20251124123456.25Z")

    (check,) = checks(changed)

    assert check.holds
    assert not check.time_stamps[0].holds
    assert [note.code for note in check.notes] == ["time-stamp-wrong"]


@pytest.mark.parametrize(
    "answer", [b"", sequence(sequence(integer(2))), made("p256"), tlv(0x04, b"x"), b"\x30" * 9]
)
def test_answers_without_a_token(answer: bytes) -> None:
    with pytest.raises(MalformedMail):
        cms.attach(made("p256"), timestamp=answer)


def test_unsigned_attributes_that_cannot_be_read_harm_nothing() -> None:
    blob = forge.signed_by("rsa", unsigned=[octet_string(b"x"), set_of()])

    (check,) = checks(blob)

    assert check.holds
