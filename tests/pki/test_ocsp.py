"""OCSP: openssl and cryptography read the answers, and believe them for the right reasons."""

from __future__ import annotations

from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1, SHA256, SHA384
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

import pki
from pki.authority import moment
from pki.ocsp import MAX_QUESTIONS, Responder
from smime.cms import der
from tests.pki.house import quick
from tests.support.peers import Peer

NOW = moment(None)
CA = pki.Authority.create("Test CA")
ALICE = CA.issue("alice@chess.example").certificate


@pytest.fixture
def ca(tmp_path: Path) -> pki.Registrar:
    with quick(tmp_path / "ca") as made:
        yield made


def ask(certificate: x509.Certificate, issuer: x509.Certificate, **how: object) -> bytes:
    builder = ocsp.OCSPRequestBuilder().add_certificate(
        certificate, issuer, how.get("algorithm", SHA1())
    )
    if "nonce" in how:
        builder = builder.add_extension(x509.OCSPNonce(how["nonce"]), critical=False)
    return builder.build().public_bytes(Encoding.DER)


def plain() -> Responder:
    return Responder(
        CA.private_key, CA.certificate, CA.certificate, lambda serials: dict.fromkeys(serials)
    )


@pytest.mark.parametrize("algorithm", [SHA1(), SHA256(), SHA384()], ids=lambda a: a.name)
def test_good_revoked_unknown(ca: pki.Registrar, algorithm: object) -> None:
    issuer = ca.records.issuing
    responder = ca.responder()
    alice, bob = (
        ca.issue(f"{who}@chess.example", algorithm="p256").certificate for who in ("alice", "bob")
    )
    ca.revoke(bob.serial_number, reason="keyCompromise", at=NOW - timedelta(hours=1))
    stranger = ca.authority.issue("stranger@chess.example").certificate  # not recorded

    def answer(certificate: x509.Certificate) -> ocsp.OCSPResponse:
        request = ask(certificate, issuer, algorithm=algorithm)
        return ocsp.load_der_ocsp_response(responder.answer(request, at=NOW))

    good, gone, unknown = answer(alice), answer(bob), answer(stranger)
    assert good.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert good.serial_number == alice.serial_number
    assert good.hash_algorithm.name == algorithm.name
    assert (good.this_update_utc, good.next_update_utc) == (NOW, NOW + timedelta(days=1))
    assert gone.certificate_status is ocsp.OCSPCertStatus.REVOKED
    assert gone.revocation_reason is x509.ReasonFlags.key_compromise
    assert gone.revocation_time_utc == NOW - timedelta(hours=1)
    assert unknown.certificate_status is ocsp.OCSPCertStatus.UNKNOWN
    (delegated,) = good.certificates
    delegated.verify_directly_issued_by(issuer)
    for one in (good, gone, unknown):
        delegated.public_key().verify(
            one.signature,
            one.tbs_response_bytes,
            ec.ECDSA(one.signature_hash_algorithm),
        )


@pytest.mark.parametrize("length", [1, 16, 32, 128])
def test_a_nonce_comes_back(length: int) -> None:
    nonce = bytes(range(length))
    answer = plain().answer(ask(ALICE, CA.certificate, nonce=nonce), at=NOW)

    found = ocsp.load_der_ocsp_response(answer).extensions.get_extension_for_class(x509.OCSPNonce)
    assert found.value.nonce == nonce


@pytest.mark.parametrize("length", [0, 129, 1000])
def test_a_nonce_of_another_length_is_refused(length: int) -> None:
    answer = plain().answer(ask(ALICE, CA.certificate, nonce=bytes(length)), at=NOW)

    status = ocsp.load_der_ocsp_response(answer).response_status
    assert status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_another_ca_gets_no_answer() -> None:
    other = pki.Authority.create("Test CA")
    request = ask(other.issue("a@chess.example").certificate, other.certificate)

    status = ocsp.load_der_ocsp_response(plain().answer(request, at=NOW)).response_status
    assert status is ocsp.OCSPResponseStatus.UNAUTHORIZED


def test_several_questions_up_to_the_limit() -> None:
    request = ask(ALICE, CA.certificate)
    (tbs,) = der.children(request, der.top(request))
    (wanted,) = der.children(request, tbs)
    one = request[wanted[2] : wanted[3]]

    def many(count: int) -> bytes:
        return plain().answer(der.sequence(der.sequence(der.sequence(one * count))), at=NOW)

    assert len(list(ocsp.load_der_ocsp_response(many(MAX_QUESTIONS)).responses)) == MAX_QUESTIONS
    above = ocsp.load_der_ocsp_response(many(MAX_QUESTIONS + 1)).response_status
    assert above is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


@given(st.binary(max_size=200))
def test_what_is_no_request_gets_a_refusal(data: bytes) -> None:
    assert plain().answer(data, at=NOW) == b"\x30\x03\x0a\x01\x01"


def test_a_request_damaged_anywhere_never_fails() -> None:
    request = ask(ALICE, CA.certificate, nonce=b"n" * 16)
    for place in range(len(request)):
        for bit in (1, 2, 128):
            damaged = bytearray(request)
            damaged[place] ^= bit
            ocsp.load_der_ocsp_response(plain().answer(bytes(damaged), at=NOW))
        ocsp.load_der_ocsp_response(plain().answer(request[:place], at=NOW))


@pytest.mark.parametrize("hash_name", ["sha1", "sha256"])
def test_answers_signed_beforehand_are_those_to_a_request(hash_name: str) -> None:
    algorithm = {"sha1": SHA1(), "sha256": SHA256()}[hash_name]
    made = dict(plain().presign([ALICE.serial_number], at=NOW, hash_name=hash_name))

    answer = ocsp.load_der_ocsp_response(made[ALICE.serial_number])
    asked = ocsp.load_der_ocsp_request(ask(ALICE, CA.certificate, algorithm=algorithm))
    assert answer.issuer_name_hash == asked.issuer_name_hash
    assert answer.issuer_key_hash == asked.issuer_key_hash
    assert answer.certificate_status is ocsp.OCSPCertStatus.GOOD
    assert answer.next_update_utc == NOW + timedelta(days=7)


def test_beforehand_only_for_what_was_given_out(ca: pki.Registrar) -> None:
    responder = ca.responder()
    alice = ca.issue("alice@chess.example", algorithm="p256").certificate.serial_number

    assert [serial for serial, _ in responder.presign([alice, 12345], at=NOW)] == [alice]


def test_openssl_asks_and_believes(openssl: Peer, ca: pki.Registrar, tmp_path: Path) -> None:
    responder = ca.responder()
    alice, bob = (
        ca.issue(f"{who}@chess.example", algorithm="p256").certificate for who in ("alice", "bob")
    )
    ca.revoke(bob.serial_number, reason="keyCompromise")
    files = {"root": ca.records.root, "issuing": ca.records.issuing, "alice": alice, "bob": bob}
    for name, certificate in files.items():
        (tmp_path / name).write_bytes(certificate.public_bytes(Encoding.PEM))
    both = ("-issuer", tmp_path / "issuing", "-cert", tmp_path / "alice", "-cert", tmp_path / "bob")
    openssl.run("ocsp", *both, "-reqout", tmp_path / "request")

    answer = bytearray(responder.answer((tmp_path / "request").read_bytes(), at=moment(None)))

    def said() -> bytes:
        (tmp_path / "answer").write_bytes(answer)
        done = openssl.attempt(
            *("ocsp", *both, "-reqin", tmp_path / "request", "-respin", tmp_path / "answer"),
            *("-CAfile", tmp_path / "root", "-verify_other", tmp_path / "issuing", "-no_nonce"),
        )
        return done.stdout + done.stderr

    text = said()
    assert b"Response verify OK" in text
    assert b"alice: good" in text
    assert b"bob: revoked" in text
    assert b"Reason: keyCompromise" in text
    assert b"WARNING: no nonce" not in text
    place = answer.index(bob.serial_number.to_bytes(16, "big").lstrip(b"\0")[-8:])
    answer[place] ^= 1
    assert b"Response verify OK" not in said()


def test_our_own_reader_believes_the_answer(ca: pki.Registrar) -> None:
    import smime

    responder = ca.responder()
    alice, bob = (ca.issue(f"{who}@chess.example", algorithm="p256") for who in ("alice", "bob"))
    ca.revoke(bob.certificate.serial_number, reason="keyCompromise")
    letter = b"From: %s@chess.example\r\nContent-Type: text/plain\r\n\r\nhello\r\n"
    for who, name, good in ((alice, b"alice", True), (bob, b"bob", False)):
        mail = bytes(smime.sign(letter % name, by=who))
        request = ask(who.certificate, ca.records.issuing)
        answer = responder.answer(request, at=moment(None))
        evidence = smime.Evidence(ocsp=[answer])
        report = smime.examine(mail, trust=ca.anchors, evidence=evidence)
        assert (report.signer is not None) == good
