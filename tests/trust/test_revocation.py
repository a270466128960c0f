"""Revoked is never good; unknown is good and said, unless the policy demands an answer."""

from __future__ import annotations

import time
from base64 import b64decode, encodebytes
from datetime import datetime, timedelta

import pytest
from asn1crypto import cms
from asn1crypto.ocsp import OCSPResponse
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

import smime
from smime.cms.der import children, tlv
from smime.cms.der import top as top_node
from smime.policy import Policy, Revocation
from smime.report import Answer
from smime.trust import Anchors, Evidence
from smime.trust.crl import RevocationList
from smime.trust.facts import Facts
from tests.trust.ca import (
    ADDRESS,
    AT,
    Entity,
    claim,
    codes,
    key_usage,
    make,
    new_key,
    root,
    sub_ca,
    user,
)

DAY = timedelta(days=1)
TOP = root()
MIDDLE = sub_ca(TOP)
ALICE = user(MIDDLE)
BOB = user(MIDDLE, "bob@example.org")
ANCHORS = Anchors([TOP.certificate])
MODERN = Policy.modern()
REQUIRE = Policy.modern().replace(revocation=Revocation.REQUIRE)
OFF = Policy.modern().replace(revocation=Revocation.OFF)
HOLD, REMOVED = x509.ReasonFlags.certificate_hold, x509.ReasonFlags.remove_from_crl


def judge(*crls: bytes, policy: Policy = MODERN, sent: bool = False, **given: object):
    if sent:
        return ANCHORS.judge(claim(ALICE, MIDDLE, crls=crls, policy=policy, **given))
    evidence = Evidence(crls=crls)
    return ANCHORS.judge(claim(ALICE, MIDDLE, evidence=evidence, policy=policy, **given))


def indirect() -> tuple[tuple[x509.ExtensionType, bool], ...]:
    point = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=True,
        only_contains_ca_certs=False,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    return ((point, True),)


CLEAN = (TOP.crl(), MIDDLE.crl())
TABLE = {
    # crls, code when available, code when required
    "none": ((), "revocation-not-checked", "revocation-unknown"),
    "all there": (CLEAN, "ok", "ok"),
    "leaf revoked": ((TOP.crl(), MIDDLE.crl(ALICE)), "revoked", "revoked"),
    "another revoked": ((TOP.crl(), MIDDLE.crl(BOB)), "ok", "ok"),
    "CA revoked": ((TOP.crl(MIDDLE), MIDDLE.crl()), "revoked", "revoked"),
    "leaf revoked, nothing of the CA": ((MIDDLE.crl(ALICE),), "revoked", "revoked"),
    "CA revoked, nothing of the leaf": ((TOP.crl(MIDDLE),), "revoked", "revoked"),
    "nothing of the CA": ((MIDDLE.crl(),), "revocation-unknown", "revocation-unknown"),
    "nothing of the leaf": ((TOP.crl(),), "revocation-unknown", "revocation-unknown"),
    "revoked later": ((TOP.crl(), MIDDLE.crl(ALICE, since=AT + DAY)), None, None),
    "out of date": (
        (TOP.crl(), MIDDLE.crl(end=AT - timedelta(hours=1))),
        "revocation-unknown",
        "revocation-unknown",
    ),
    "not yet": (
        (TOP.crl(), MIDDLE.crl(begin=AT + DAY)),
        "revocation-unknown",
        "revocation-unknown",
    ),
    "out of date, revoked": (
        (TOP.crl(), MIDDLE.crl(ALICE, end=AT - timedelta(hours=1))),
        "revoked",
        "revoked",
    ),
    "out of date, on hold": (
        (TOP.crl(), MIDDLE.crl(ALICE, end=AT - timedelta(hours=1), reason=HOLD)),
        "revocation-unknown",
        "revocation-unknown",
    ),
    "on hold": ((TOP.crl(), MIDDLE.crl(ALICE, reason=HOLD)), "revoked", "revoked"),
    "revoked in one of two": (
        (TOP.crl(), MIDDLE.crl(), MIDDLE.crl(ALICE)),
        "revoked",
        "revoked",
    ),
    "of another key": (
        (TOP.crl(), MIDDLE.crl(key=new_key())),
        "revocation-unknown",
        "revocation-unknown",
    ),
    "of another CA": (
        (TOP.crl(), root("Other").crl(ALICE)),
        "revocation-unknown",
        "revocation-unknown",
    ),
    "signed by the wrong CA": (
        (TOP.crl(), TOP.crl(ALICE)),
        "revocation-unknown",
        "revocation-unknown",
    ),
    "for users only": ((TOP.crl(), MIDDLE.crl(extensions=indirect())), "ok", "ok"),
    "for users only, revoked": (
        (TOP.crl(), MIDDLE.crl(ALICE, extensions=indirect())),
        "revoked",
        "revoked",
    ),
    "delta says revoked": (
        (*CLEAN, MIDDLE.crl(ALICE, extensions=((x509.DeltaCRLIndicator(7), True),))),
        "revoked",
        "revoked",
    ),
    "delta alone": (
        (TOP.crl(), MIDDLE.crl(extensions=((x509.DeltaCRLIndicator(7), True),))),
        "revocation-unknown",
        "revocation-unknown",
    ),
}


@pytest.mark.parametrize("name", TABLE)
@pytest.mark.parametrize("sent", [False, True], ids=["evidence", "message"])
def test_what_crls_say(name, sent):
    crls, available, required = TABLE[name]

    for policy, code in ((Policy.modern(), available), (REQUIRE, required), (OFF, "off")):
        found = judge(*crls, policy=policy, sent=sent)
        finding = found.revocation
        if code == "off":
            assert finding.code == "revocation-not-checked"
        elif code is not None:
            assert finding.code == code
        if finding.code in ("revocation-unknown", "revocation-not-checked"):
            assert finding.answer is (Answer.NO if policy is REQUIRE else Answer.NOT_CHECKED)
        if finding.code == "revoked":
            assert finding.answer is Answer.NO
        assert found.good is finding.accepted
        assert found.path.code == "ok"


def test_revoked_later_was_good_before():
    crls = (TOP.crl(), MIDDLE.crl(ALICE, since=AT + DAY, begin=AT + 2 * DAY, end=AT + 9 * DAY))

    assert judge(*crls).revocation.code == "revocation-unknown"
    assert judge(*crls, at=AT + 3 * DAY).revocation.code in ("revoked", "revocation-unknown")
    assert codes(judge(MIDDLE.crl(ALICE, since=AT + DAY), at=AT + 2 * DAY)) == {
        "revocation": "revoked"
    }


def test_the_reason_says_who_revoked_whom():
    assert judge(MIDDLE.crl(ALICE)).revocation.reason == (
        "the signer's certificate was revoked by Chess Club Mail CA"
    )
    assert judge(TOP.crl(MIDDLE)).revocation.reason == (
        "the certificate of Chess Club Mail CA was revoked by Chess Club CA"
    )


def test_a_ca_that_may_not_sign_crls_revokes_nothing():
    middle = sub_ca(TOP, usage=key_usage(key_cert_sign=True))
    alice = user(middle)

    judgement = ANCHORS.judge(claim(alice, middle, crls=(TOP.crl(), middle.crl(alice))))

    assert codes(judgement) == {"revocation": "revocation-unknown"}


def test_junk_among_the_crls_of_a_message_is_passed_over():
    crls = (b"", b"\x30\x80", b"\x30\x03\x02\x01\x01", *CLEAN)

    assert judge(*crls, sent=True).revocation.code == "ok"


def test_a_revoked_certificate_that_is_an_anchor_itself_is_revoked():
    both = Anchors([TOP.certificate, ALICE.certificate])

    assert both.judge(claim(ALICE, MIDDLE)).good
    found = both.judge(claim(ALICE, MIDDLE, crls=(MIDDLE.crl(ALICE),)))
    assert codes(found) == {"revocation": "revoked"}


def test_another_chain_serves_when_an_intermediate_is_revoked():
    other_top = root("Other Root")
    crossed = sub_ca(other_top, "Chess Club Mail CA", key=MIDDLE.key)
    both = Anchors([TOP.certificate, other_top.certificate])
    crls = (TOP.crl(MIDDLE), other_top.crl(), MIDDLE.crl())

    found = both.judge(claim(ALICE, MIDDLE, crossed, crls=crls))
    assert found.good
    assert found.path.reason == "chain to Other Root"
    # The leaf's own revocation counts on every chain.
    found = both.judge(claim(ALICE, MIDDLE, crossed, crls=(*crls, MIDDLE.crl(ALICE))))
    assert codes(found) == {"revocation": "revoked"}


def test_no_revocation_available_is_believed_of_users_only():
    promise = (
        (x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.56"), b"\x05\x00"), False),
    )
    middle = sub_ca(TOP, extensions=promise)
    alice = user(MIDDLE, extensions=promise)

    judgement = ANCHORS.judge(claim(alice, MIDDLE, crls=(TOP.crl(),), policy=REQUIRE))
    assert judgement.good
    assert "does not apply" in judgement.revocation.reason
    found = ANCHORS.judge(claim(user(middle), middle, crls=(middle.crl(),), policy=REQUIRE))
    assert codes(found) == {"revocation": "revocation-unknown"}


# --- OCSP -------------------------------------------------------------------


def answer(
    one: Entity,
    issuer: Entity,
    *,
    status: ocsp.OCSPCertStatus = ocsp.OCSPCertStatus.GOOD,
    signer: Entity | None = None,
    inside: tuple[Entity, ...] = (),
    begin: datetime = AT - timedelta(hours=1),
    end: datetime | None = AT + DAY,
    hash_name: hashes.HashAlgorithm = hashes.SHA1(),  # noqa: B008
) -> bytes:
    signer = signer or issuer
    revoked = status is ocsp.OCSPCertStatus.REVOKED
    builder = (
        ocsp.OCSPResponseBuilder()
        .add_response(
            cert=one.certificate,
            issuer=issuer.certificate,
            algorithm=hash_name,
            cert_status=status,
            this_update=begin,
            next_update=end,
            revocation_time=AT - DAY if revoked else None,
            revocation_reason=None,
        )
        .responder_id(ocsp.OCSPResponderEncoding.HASH, signer.certificate)
    )
    if inside:
        builder = builder.certificates([other.certificate for other in inside])
    return builder.sign(signer.key, hashes.SHA256()).public_bytes(Encoding.DER)


def responder(issuer: Entity, **knobs: object) -> Entity:
    given = {
        "usage": key_usage(digital_signature=True),
        "purposes": (ExtendedKeyUsageOID.OCSP_SIGNING,),
        "extensions": ((x509.OCSPNoCheck(), False),),
    }
    return make("Responder", issuer, **{**given, **knobs})


REVOKED, UNKNOWN = ocsp.OCSPCertStatus.REVOKED, ocsp.OCSPCertStatus.UNKNOWN
DELEGATE = responder(MIDDLE)
NO_EKU = responder(MIDDLE, purposes=())
EXPIRED = responder(MIDDLE, end=AT - DAY)
FOREIGN = responder(root("Other"))
CHECKABLE = responder(MIDDLE, extensions=())

OCSP = {
    "good": (answer(ALICE, MIDDLE), "ok"),
    "good by SHA-256": (answer(ALICE, MIDDLE, hash_name=hashes.SHA256()), "ok"),
    "revoked": (answer(ALICE, MIDDLE, status=REVOKED), "revoked"),
    "unknown": (answer(ALICE, MIDDLE, status=UNKNOWN), "revocation-unknown"),
    "of another": (answer(BOB, MIDDLE, status=REVOKED), "revocation-unknown"),
    "out of date": (answer(ALICE, MIDDLE, end=AT - timedelta(minutes=1)), "revocation-unknown"),
    "not yet": (answer(ALICE, MIDDLE, begin=AT + timedelta(minutes=1)), "revocation-unknown"),
    "without end": (answer(ALICE, MIDDLE, end=None), "ok"),
    "without end, old": (
        answer(ALICE, MIDDLE, begin=AT - 2 * DAY, end=None),
        "revocation-unknown",
    ),
    "out of date, revoked": (
        answer(ALICE, MIDDLE, status=REVOKED, end=AT - timedelta(minutes=1)),
        "revoked",
    ),
    "wrong key": (answer(ALICE, MIDDLE, signer=TOP), "revocation-unknown"),
    "delegated": (answer(ALICE, MIDDLE, signer=DELEGATE, inside=(DELEGATE,)), "ok"),
    "delegated, not for OCSP": (
        answer(ALICE, MIDDLE, signer=NO_EKU, inside=(NO_EKU,)),
        "revocation-unknown",
    ),
    "delegated, expired": (
        answer(ALICE, MIDDLE, signer=EXPIRED, inside=(EXPIRED,)),
        "revocation-unknown",
    ),
    "delegated by another CA": (
        answer(ALICE, MIDDLE, signer=FOREIGN, inside=(FOREIGN,)),
        "revocation-unknown",
    ),
    "delegated without nocheck": (
        answer(ALICE, MIDDLE, signer=CHECKABLE, inside=(CHECKABLE,)),
        "revocation-unknown",
    ),
    "delegated without nocheck, revoked": (
        answer(ALICE, MIDDLE, status=REVOKED, signer=CHECKABLE, inside=(CHECKABLE,)),
        "revoked",
    ),
    "the user's own key": (
        answer(ALICE, MIDDLE, signer=ALICE, inside=(ALICE,)),
        "revocation-unknown",
    ),
}


@pytest.mark.parametrize("name", OCSP)
def test_what_ocsp_answers_say(name):
    response, code = OCSP[name]
    evidence = Evidence(ocsp=[response], crls=[TOP.crl()])

    found = ANCHORS.judge(claim(ALICE, MIDDLE, evidence=evidence, policy=REQUIRE))

    assert found.revocation.code == code
    assert found.good is (code == "ok")


def test_revoked_wins_over_good_whoever_says_it():
    good, bad = answer(ALICE, MIDDLE), answer(ALICE, MIDDLE, status=REVOKED)

    for evidence in (
        Evidence(ocsp=[good, bad]),
        Evidence(ocsp=[bad], crls=CLEAN),
        Evidence(ocsp=[good], crls=[TOP.crl(), MIDDLE.crl(ALICE)]),
    ):
        found = ANCHORS.judge(claim(ALICE, MIDDLE, evidence=evidence))
        assert codes(found) == {"revocation": "revoked"}


# --- what came with the message --------------------------------------------------------------


def test_an_ocsp_answer_of_the_message_counts():
    for status, code in ((ocsp.OCSPCertStatus.GOOD, "ok"), (REVOKED, "revoked")):
        sent = (b"junk", answer(ALICE, MIDDLE, status=status))
        given = {"ocsp": sent, "evidence": Evidence(crls=[TOP.crl()]), "policy": REQUIRE}

        assert ANCHORS.judge(claim(ALICE, MIDDLE, **given)).revocation.code == code


def test_a_mail_carries_its_ocsp_answer_in_the_cms():
    """RFC 5940: beside the CRLs, as other revocation information."""
    signed = mail_with_answer(ocsp.OCSPCertStatus.GOOD)
    evidence = Evidence(crls=[TOP.crl()])
    given = {"trust": ANCHORS, "at": AT, "evidence": evidence, "policy": REQUIRE}

    assert smime.verify(signed, **given).signer == ADDRESS
    with pytest.raises(smime.SignatureRejected, match="revoked"):
        smime.verify(mail_with_answer(REVOKED), **given)


def mail_with_answer(status: ocsp.OCSPCertStatus) -> bytes:
    key = ALICE.key.private_bytes(
        Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    chain = [one.certificate.public_bytes(Encoding.DER) for one in (ALICE, MIDDLE)]
    alice = smime.Identity.parse(key, *chain)
    letter = b"From: alice@example.org\r\nTo: bob@example.org\r\n\r\nnoon\r\n"
    fields, _, body = bytes(smime.sign(letter, by=alice, opaque=True, at=AT)).partition(b"\r\n\r\n")
    info = cms.ContentInfo.load(b64decode(body))
    response = answer(ALICE, MIDDLE, status=status)
    other = {
        "other_rev_info_format": "ocsp_response",
        "other_rev_info": OCSPResponse.load(response),
    }
    info["content"]["crls"] = [cms.RevocationInfoChoice("other", other)]
    return fields + b"\r\n\r\n" + encodebytes(info.dump(force=True)).replace(b"\n", b"\r\n")


# --- CRLs by serial number -------------------------------------------------------------------


def large_crl(count: int, *revoked: Entity) -> bytes:
    """Return a CRL of MIDDLE with this many more entries, joined by hand: builders are slow."""
    small = MIDDLE.crl(*revoked, BOB)
    tbs, algorithm, _ = children(small, top_node(small))
    fields = children(small, tbs)
    entries = next(node for node in fields if node[0] == 0x30 and node[1] > fields[4][1])
    rest = bytes.fromhex("170d3239303130313030303030305a300c300a0603551d1504030a0101")
    more = b"".join(
        tlv(0x30, tlv(2, b"\x11" + number.to_bytes(15, "big")) + rest) for number in range(count)
    )
    body = small[tbs[2] : entries[1]]
    body += tlv(0x30, small[entries[2] : entries[3]] + more) + small[entries[3] : tbs[3]]
    signed = tlv(0x30, body)
    value = MIDDLE.key.sign(signed, ec.ECDSA(hashes.SHA256()))
    return tlv(0x30, signed + small[algorithm[1] : algorithm[3]] + tlv(3, b"\0" + value))


def test_large_crls_are_loaded_once_and_answer_at_once():
    crls = large_crl(100_000, ALICE)

    begin = time.process_time()
    found = RevocationList(crls)
    assert found.signed_by(Facts(MIDDLE.certificate))
    assert found.entry(ALICE.certificate.serial_number) is not None
    loaded = time.process_time()
    for number in range(1000):
        found.entry(number + 5)
    done = time.process_time()

    assert loaded - begin < 0.15 * 3  # three times the goal: the machine is shared
    assert (done - loaded) / 1000 < 10e-6 * 3
    assert len(found.serial_numbers()) == 100_002
    assert judge(TOP.crl(), crls).revocation.code == "revoked"
    assert judge(TOP.crl(), large_crl(1000)).revocation.code == "ok"


POINT = x509.UniformResourceIdentifier("http://crl.example/7.crl")
ELSEWHERE = x509.UniformResourceIdentifier("http://crl.example/8.crl")


def partition(name: x509.GeneralName | None, **only: object):
    given = {
        "full_name": [name] if name else None,
        "relative_name": None,
        "only_contains_user_certs": False,
        "only_contains_ca_certs": False,
        "only_some_reasons": None,
        "indirect_crl": False,
        "only_contains_attribute_certs": False,
    }
    return ((x509.IssuingDistributionPoint(**{**given, **only}), True),)


@pytest.mark.parametrize(
    ("scope", "good"),
    [
        (partition(POINT), True),
        (partition(ELSEWHERE), False),
        (partition(None, only_contains_user_certs=True), True),
        (partition(None, only_contains_ca_certs=True), False),
        (partition(POINT, only_contains_user_certs=True), True),
        (partition(None, only_contains_attribute_certs=True), False),
        (partition(POINT, only_some_reasons=frozenset({HOLD})), False),
    ],
)
def test_partitions_speak_for_what_names_them(scope, good):
    points = x509.CRLDistributionPoints([x509.DistributionPoint([POINT], None, None, None)])
    carol = user(MIDDLE, extensions=((points, False),))

    def ask(*revoked: Entity):
        evidence = Evidence(crls=[TOP.crl(), MIDDLE.crl(*revoked, extensions=scope)])
        return ANCHORS.judge(claim(carol, MIDDLE, evidence=evidence, policy=REQUIRE)).revocation

    assert ask().code == ("ok" if good else "revocation-unknown")
    assert not ask(carol).accepted
    if good:
        assert ask(carol).code == "revoked"


def test_an_entry_that_cannot_be_read_is_no_good_news():
    crl = MIDDLE.crl(ALICE, reason=x509.ReasonFlags.superseded)
    broken = crl.replace(
        bytes.fromhex("0603551d1504030a0104"), bytes.fromhex("0603551d1504030a010c")
    )
    tbs, algorithm, _ = children(broken, top_node(broken))
    value = MIDDLE.key.sign(broken[tbs[1] : tbs[3]], ec.ECDSA(hashes.SHA256()))
    signed = tlv(0x30, broken[tbs[1] : algorithm[3]] + tlv(3, b"\0" + value))

    assert judge(TOP.crl(), crl).revocation.code == "revoked"
    assert not judge(TOP.crl(), signed, policy=REQUIRE).revocation.accepted
