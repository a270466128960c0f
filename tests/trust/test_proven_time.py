"""Good when signed: what proves an earlier moment, and what does not."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

import smime
from smime import cms
from smime.cms.der import integer, octet_string, oid, sequence, tlv
from tests.support.stamps import STAMPING, authority, stamped, stamped_mail
from tests.trust.ca import ADDRESS, AT, BEGIN, Entity, root, sub_ca, user

DAY = timedelta(days=1)
EXPIRY = AT + 10 * DAY
LATER = AT + 100 * DAY
TOP = root()
MIDDLE = sub_ca(TOP)
ALICE = user(MIDDLE, end=EXPIRY)
ANCHORS = smime.Anchors([TOP.certificate])
TIME_ROOT = root("Time Root")
STAMPER = authority(TIME_ROOT)
TSA = smime.Anchors([TIME_ROOT.certificate])
REASONS = x509.ReasonFlags
COMPROMISES = [
    None,
    REASONS.unspecified,
    REASONS.key_compromise,
    REASONS.ca_compromise,
    REASONS.aa_compromise,
]
MILD = [REASONS.superseded, REASONS.cessation_of_operation, REASONS.affiliation_changed]
CONTENT = b"We meet at noon.\r\n"
MAIL = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: chess\r\n"
    b"Date: Sat, 01 Jun 2030 00:00:00 +0000\r\nMIME-Version: 1.0\r\n"
    b"Content-Type: text/plain\r\n\r\nWe meet at noon.\r\n"
)


def identity(one: Entity) -> smime.Identity:
    return smime.Identity(one.key, one.certificate, [MIDDLE.certificate])


def signed(**given: Any) -> bytes:
    return cms.sign(CONTENT, by=identity(ALICE), at=AT, **given)


BLOB = signed()


def check_of(blob: bytes, **given: Any) -> smime.SignatureCheck:
    """Return what is said of the one signature, good or not."""
    asked = {"trust": ANCHORS, "at": LATER, "sender": ADDRESS, **given}
    try:
        (check,) = cms.verify(blob, **asked).signatures
    except smime.SignatureRejected as refused:
        (check,) = refused.report.signatures
    return check


def said(check: smime.SignatureCheck) -> list[str]:
    return [note.code for note in check.notes]


# --- what proves --------------------------------------------------------------------


def test_what_the_signer_says_proves_nothing() -> None:
    check = check_of(BLOB)

    assert check.signed_at == AT
    assert check.time.code == "expired"
    assert not check.proof
    assert check_of(BLOB, at=AT).good


def test_a_time_stamp_proves_when() -> None:
    check = check_of(stamped(BLOB, STAMPER, AT + DAY), tsa=TSA)

    assert check.good
    assert (check.proof, check.at, check.time.code) == ("time-stamp", AT + DAY, "proven-time")
    assert said(check) == ["time-stamp-good", "since-then"]
    assert "2030-06-02" in check.time.reason


def test_nobody_believes_a_time_stamp_unasked() -> None:
    check = check_of(stamped(BLOB, STAMPER, AT + DAY))

    assert check.time.code == "expired"
    assert said(check) == ["time-stamp"]


def test_the_caller_may_know_when_it_was_received() -> None:
    check = check_of(BLOB, received_at=AT + DAY)

    assert check.good
    assert (check.proof, check.at) == ("received", AT + DAY)
    assert said(check) == ["since-then"]


def test_what_is_good_now_needs_no_proof() -> None:
    check = check_of(stamped(BLOB, STAMPER, AT), tsa=TSA, at=AT + DAY, received_at=AT)

    assert check.good
    assert (check.proof, check.at) == ("", AT + DAY)


def test_the_moment_must_lie_within_the_validity() -> None:
    assert check_of(BLOB, received_at=EXPIRY).good
    assert check_of(BLOB, received_at=EXPIRY + timedelta(seconds=1)).time.code == "expired"
    assert check_of(BLOB, received_at=BEGIN - DAY).time.code == "expired"
    assert check_of(stamped(BLOB, STAMPER, EXPIRY), tsa=TSA).good
    assert not check_of(stamped(BLOB, STAMPER, EXPIRY + DAY), tsa=TSA).good


def test_a_chain_that_expired_is_good_when_signed() -> None:
    middle = sub_ca(TOP, end=EXPIRY)
    leaf = user(middle, end=EXPIRY + DAY)
    by = smime.Identity(leaf.key, leaf.certificate, [middle.certificate])
    blob = cms.sign(CONTENT, by=by, at=AT)

    assert check_of(blob, at=EXPIRY + DAY).time.code == "chain-expired"
    assert check_of(blob, at=EXPIRY + DAY, received_at=AT).good


@pytest.mark.parametrize("given", [{"received_at": AT}, {"tsa": TSA}], ids=["received", "stamp"])
def test_a_proof_of_when_proves_nothing_else(given: dict[str, Any]) -> None:
    blob = stamped(BLOB, STAMPER, AT)
    other = smime.Anchors([root("Other").certificate])

    assert check_of(blob, **given).good
    assert check_of(blob, trust=other, **given).path.code == "no-anchor"
    assert check_of(blob, sender="bob@example.org", **given).address.code == "address-differs"
    assert not check_of(blob, trust=smime.NoTrust(), **given).good
    changed = blob.replace(b"noon", b"dusk")
    assert check_of(changed, **given).intact.code == "digest-differs"


def test_pinned_keys_expire_too() -> None:
    pinned = smime.Pinned(ALICE.certificate)

    assert check_of(BLOB, trust=pinned).time.code == "expired"
    assert check_of(BLOB, trust=pinned, received_at=AT).proof == "received"


# --- who may stamp --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("knobs", "why"),
    [
        ({"purposes": ()}, "not meant for time stamps"),
        ({"critical": False}, "not meant for time stamps alone"),
        ({"purposes": (STAMPING, ExtendedKeyUsageOID.EMAIL_PROTECTION)}, "alone"),
        ({"purposes": (ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE,)}, "alone"),
        ({"end": AT + 50 * DAY}, "expired"),
        ({"begin": AT + 20 * DAY}, "before its maker's certificate"),
    ],
)
def test_not_everybody_may_stamp(knobs: dict[str, Any], why: str) -> None:
    by = authority(TIME_ROOT, **knobs)

    check = check_of(stamped(BLOB, by, AT + DAY), tsa=TSA)

    assert check.time.code == "expired"
    assert said(check) == ["time-stamp-refused"]
    assert why in check.notes[0].text


def test_a_thief_of_an_expired_authority_stamps_in_vain() -> None:
    """Its maker is judged as of when the caller had the token."""
    old = authority(TIME_ROOT, end=AT + 50 * DAY)
    blob = stamped(BLOB, old, AT + DAY)

    assert not check_of(blob, tsa=TSA).good
    assert check_of(blob, tsa=TSA, at=AT + 40 * DAY).good
    late = AT + 20 * DAY  # after Alice's certificate, before the authority's
    assert check_of(blob, tsa=TSA, received_at=late).proof == "time-stamp"
    assert not check_of(blob, tsa=TSA, received_at=AT + 60 * DAY).good


def test_anchors_of_mail_are_none_of_time() -> None:
    by_mail_ca = authority(TOP)

    assert not check_of(stamped(BLOB, by_mail_ca, AT), tsa=TSA).good
    assert not check_of(stamped(BLOB, STAMPER, AT), tsa=ANCHORS).good
    assert check_of(stamped(BLOB, by_mail_ca, AT), tsa=ANCHORS).good


def test_a_revoked_authority() -> None:
    evidence = smime.Evidence(crls=[TIME_ROOT.crl(STAMPER, begin=LATER - DAY, end=LATER + DAY)])

    check = check_of(stamped(BLOB, STAMPER, AT), tsa=TSA, evidence=evidence)

    assert check.time.code == "expired"
    assert "revoked" in check.notes[0].text


def test_a_stamp_from_the_future() -> None:
    check = check_of(stamped(BLOB, STAMPER, LATER + DAY), tsa=TSA)

    assert said(check) == ["time-stamp-refused"]
    assert "still to come" in check.notes[0].text


# --- what a token must be -------------------------------------------------------------


SECONDS_60 = sequence(integer(60))


def test_the_latest_moment_counts() -> None:
    """A token that may be off by a minute proves the end of that minute."""
    edge = EXPIRY - timedelta(seconds=30)

    assert check_of(stamped(BLOB, STAMPER, edge), tsa=TSA).good
    assert not check_of(stamped(BLOB, STAMPER, edge, accuracy=SECONDS_60), tsa=TSA).good
    earlier = EXPIRY - timedelta(seconds=60)
    assert check_of(stamped(BLOB, STAMPER, earlier, accuracy=SECONDS_60), tsa=TSA).good


CRITICAL = sequence(oid("1.2.3.4"), tlv(0x01, b"\xff"), octet_string(b""))


@pytest.mark.parametrize(
    "how",
    [
        {"version": 2},
        {"accuracy": sequence(integer(10**9))},
        {"accuracy": sequence(tlv(0x80, b"\x03\xe8"))},
        {"extensions": tlv(0xA1, CRITICAL)},
    ],
)
def test_tokens_that_cannot_be_relied_on(how: dict[str, Any]) -> None:
    blob = BLOB
    token_query = cms.timestamp_query(blob)
    from tests.support.stamps import token_for

    with pytest.raises(smime.MalformedMail):
        cms.attach(blob, timestamp=token_for(token_query, STAMPER, AT, **how))


def test_a_harmless_extension_of_a_token() -> None:
    plain = sequence(oid("1.2.3.4"), octet_string(b""))

    assert check_of(stamped(BLOB, STAMPER, AT, extensions=tlv(0xA1, plain)), tsa=TSA).good


def test_a_token_of_another_signature() -> None:
    """Its imprint is of the value of this signature, and not of the content."""
    other = cms.sign(CONTENT, by=identity(ALICE), at=AT + timedelta(hours=1))
    from smime.cms import signatures

    token = stamped(other, STAMPER, AT)
    (signer,) = signatures.read(token).signers
    moved = BLOB
    (mine,) = signatures.read(BLOB).signers
    assert signer.value != mine.value
    from smime.cms.attributes import TIME_STAMP_TOKEN
    from tests.support.stamps import token_for

    (der,) = signer.unsigned.every(TIME_STAMP_TOKEN)
    with pytest.raises(smime.MalformedMail, match="something else"):
        cms.attach(moved, timestamp=der)
    with pytest.raises(smime.MalformedMail):
        cms.attach(moved, timestamp=token_for(cms.timestamp_query(other), STAMPER, AT))


# --- revoked since ----------------------------------------------------------------------


def crl(reason: x509.ReasonFlags | None, since: datetime, **given: Any) -> bytes:
    window = {"begin": LATER - DAY, "end": LATER + DAY, **given}
    return MIDDLE.crl(ALICE, since=since, reason=reason, **window)


def answer(reason: x509.ReasonFlags | None, since: datetime) -> bytes:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    return (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=ALICE.certificate,
            issuer=MIDDLE.certificate,
            algorithm=hashes.SHA256(),
            cert_status=ocsp.OCSPCertStatus.REVOKED,
            this_update=LATER - DAY,
            next_update=LATER + DAY,
            revocation_time=since,
            revocation_reason=reason,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, MIDDLE.certificate)
        .sign(MIDDLE.key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )


SOURCES = {
    "crl": lambda *what: smime.Evidence(crls=[crl(*what)]),
    "ocsp": lambda *what: smime.Evidence(ocsp=[answer(*what)]),
}
STAMPED = stamped(BLOB, STAMPER, AT)


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reason", COMPROMISES, ids=str)
def test_a_compromise_is_undone_by_an_older_stamp_alone(source: str, reason: Any) -> None:
    since_then = SOURCES[source](reason, AT + 5 * DAY)
    before = SOURCES[source](reason, AT - DAY)

    assert check_of(STAMPED, evidence=since_then, received_at=AT).revocation.code != "ok"
    assert not check_of(STAMPED, evidence=since_then, received_at=AT).good
    assert check_of(STAMPED, evidence=since_then, tsa=TSA).proof == "time-stamp"
    assert not check_of(STAMPED, evidence=before, tsa=TSA).good
    assert not check_of(STAMPED, evidence=before, received_at=AT).good


@pytest.mark.parametrize("source", SOURCES)
@pytest.mark.parametrize("reason", MILD, ids=str)
def test_other_reasons_count_from_their_day_on(source: str, reason: Any) -> None:
    since_then = SOURCES[source](reason, AT + 5 * DAY)
    before = SOURCES[source](reason, AT - DAY)

    assert check_of(STAMPED, evidence=since_then, received_at=AT).proof == "received"
    assert check_of(STAMPED, evidence=since_then, tsa=TSA).proof == "time-stamp"
    assert not check_of(STAMPED, evidence=before, tsa=TSA).good
    assert not check_of(STAMPED, evidence=before, received_at=AT).good


def test_revoked_without_having_expired() -> None:
    evidence = SOURCES["crl"](REASONS.superseded, AT + 2 * DAY)
    given = {"at": AT + 3 * DAY, "evidence": evidence}

    assert check_of(BLOB, **given).revocation.code == "revoked"
    assert check_of(BLOB, received_at=AT + DAY, **given).proof == "received"


def test_the_day_the_key_was_lost_counts_not_the_day_it_was_reported() -> None:
    from cryptography.hazmat.primitives import hashes
    from cryptography.hazmat.primitives.serialization import Encoding

    entry = (
        x509.RevokedCertificateBuilder()
        .serial_number(ALICE.certificate.serial_number)
        .revocation_date(AT + 5 * DAY)
        .add_extension(x509.CRLReason(REASONS.key_compromise), critical=False)
        .add_extension(x509.InvalidityDate(AT - DAY), critical=False)
        .build()
    )
    lost = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(MIDDLE.name)
        .last_update(LATER - DAY)
        .next_update(LATER + DAY)
        .add_revoked_certificate(entry)
        .sign(MIDDLE.key, hashes.SHA256())
        .public_bytes(Encoding.DER)
    )

    assert not check_of(STAMPED, evidence=smime.Evidence(crls=[lost]), tsa=TSA).good


def test_a_list_that_only_the_engine_reads_is_never_undone() -> None:
    """Reasons in partitions: no telling here since when, so revoked it stays."""
    some = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=False,
        only_some_reasons=frozenset({REASONS.superseded, REASONS.key_compromise}),
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    listed = crl(REASONS.superseded, AT + 5 * DAY, extensions=((some, True),))
    other = MIDDLE.crl(begin=LATER - DAY, end=LATER + DAY, extensions=((some, True),))

    assert not check_of(STAMPED, evidence=smime.Evidence(crls=[listed]), tsa=TSA).good
    assert check_of(STAMPED, evidence=smime.Evidence(crls=[other]), tsa=TSA).good


REQUIRE = smime.Policy.modern().replace(revocation=smime.Revocation.REQUIRE)
UPPER = TOP.crl(begin=AT - DAY, end=LATER + DAY)


@pytest.mark.parametrize(
    ("window", "good"),
    [
        ({"begin": AT - DAY, "end": AT + DAY}, True),  # kept from then
        ({"begin": AT + DAY, "end": AT + 2 * DAY}, True),  # made while it was valid
        ({"begin": EXPIRY + DAY, "end": LATER + DAY}, False),  # lists forget what has expired
        ({"begin": AT - 3 * DAY, "end": AT - 2 * DAY}, False),
    ],
)
def test_not_revoked_then_has_to_be_shown_where_it_is_demanded(
    window: dict[str, Any], good: bool
) -> None:
    evidence = smime.Evidence(crls=[UPPER, MIDDLE.crl(**window)])
    given = {"evidence": evidence, "policy": REQUIRE, "received_at": AT}

    assert check_of(BLOB, **given).good is good
    evidence = smime.Evidence(crls=[UPPER, crl(REASONS.superseded, AT + 5 * DAY)])
    assert check_of(BLOB, **{**given, "evidence": evidence}).good


# --- mail ---------------------------------------------------------------------------------


def test_mail_is_good_when_signed() -> None:
    mail = bytes(smime.sign(MAIL, by=identity(ALICE), at=AT, opaque=True))
    mail = stamped_mail(mail, STAMPER, AT)
    given = {"trust": ANCHORS, "at": LATER}

    assert smime.examine(mail, **given).outcome == "rejected"
    assert smime.open(mail, **given).signer is None
    for proof in ({"tsa": TSA}, {"received_at": AT + DAY}):
        opened = smime.verify(mail, **given, **proof)
        assert opened.report.outcome is smime.Outcome.GOOD_THEN
        assert opened.signer == ADDRESS
        assert "good when signed: signed by alice@example.org" in str(opened.report)
        assert opened.report.to_dict()["layers"][0]["signatures"][0]["proof"]
        assert smime.examine(mail, **given, **proof).signer == ADDRESS
    assert smime.examine(mail, trust=ANCHORS, at=AT, tsa=TSA).outcome == "good"


@pytest.mark.parametrize(
    ("given", "error"),
    [
        ({"received_at": AT.replace(tzinfo=None)}, ValueError),
        ({"received_at": LATER + DAY}, ValueError),
        ({"received_at": "2030-06-01"}, TypeError),
        ({"tsa": "tsa.pem"}, TypeError),
        ({"tsa": []}, TypeError),
    ],
)
def test_what_is_no_proof(given: dict[str, Any], error: type[Exception]) -> None:
    mail = bytes(smime.sign(MAIL, by=identity(ALICE), at=AT))
    name = next(iter(given))

    for verb in (smime.verify, smime.open, smime.examine):
        with pytest.raises(error, match=name):
            verb(mail, trust=ANCHORS, at=LATER, **given)
    with pytest.raises(error, match=name):
        cms.verify(BLOB, trust=ANCHORS, at=LATER, **given)
