"""Requests that a CA with a ledger takes in: whose names they ask for, who vouches for a key."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

import pki
from pki import tables
from pki.audit import audit
from pki.keys import generate
from tests.pki.house import quick
from tests.pki.test_requests import stated

ALICE = "alice@chess.example"
SMTP_UTF8 = x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9")


@pytest.fixture
def ca(tmp_path: Path) -> pki.Registrar:
    with quick(tmp_path / "ca") as made:
        yield made


def csr(*names: x509.GeneralName, subject: dict[x509.ObjectIdentifier, str] | None = None) -> bytes:
    key = ec.generate_private_key(ec.SECP256R1())
    wished = [x509.NameAttribute(kind, text) for kind, text in (subject or {}).items()]
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name(wished))
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    return builder.sign(key, SHA256()).public_bytes(Encoding.DER)


FITTING = [
    csr(),
    csr(x509.RFC822Name("alice@CHESS.example")),
    csr(subject={NameOID.COMMON_NAME: "Alice of anywhere"}),
    csr(subject={NameOID.COMMON_NAME: ALICE, NameOID.EMAIL_ADDRESS: ALICE}),
]
OTHERS = [
    csr(x509.RFC822Name("bob@chess.example")),
    csr(x509.RFC822Name(ALICE), x509.RFC822Name("bob@chess.example")),
    csr(x509.RFC822Name(ALICE), x509.DNSName("chess.example")),
    csr(x509.UniformResourceIdentifier("http://chess.example")),
    csr(
        x509.OtherName(
            x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), b"\x0c\x07\xc3\xa4@b.example"[:9]
        )
    ),
    csr(subject={NameOID.EMAIL_ADDRESS: "bob@chess.example"}),
    csr(subject={NameOID.COMMON_NAME: "bob@chess.example"}),
]


@pytest.mark.parametrize("request_der", FITTING)
def test_a_request_for_the_names_given_is_certified(ca: pki.Registrar, request_der: bytes) -> None:
    made = ca.enrol(request_der, ALICE, demand_names=True)
    assert made.subject.rfc4514_string() == f"CN={ALICE}"


@pytest.mark.parametrize("request_der", OTHERS)
def test_a_request_for_other_names_is_refused(ca: pki.Registrar, request_der: bytes) -> None:
    with pytest.raises(pki.RequestRefused, match="asks for"):
        ca.enrol(request_der, ALICE, demand_names=True)
    assert ca.ledger.count() == 0

    made = ca.enrol(request_der, ALICE)  # its key, under the names given alone
    names = made.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
    assert [name.value for name in names] == [ALICE]


def test_a_key_of_1024_bits_is_refused(ca: pki.Registrar) -> None:
    for bits, refused in ((1024, True), (2048, False)):
        key = rsa.generate_private_key(65537, bits)
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
        if refused:
            with pytest.raises(pki.RequestRefused, match="1024 bits"):
                ca.enrol(request, ALICE)
        else:
            assert ca.enrol(request, ALICE)


# --- keys that cannot sign (RFC 9883) ---------------------------------------


def vouched(ca: pki.Registrar, *, profile: str = "signing") -> tuple[object, x509.Certificate]:
    """Alice's signing key, certified here."""
    key = generate("p256")
    request = pki.CertificationRequest(key.public_key(), (ALICE,))
    return key, ca.certify(request, profile=profile)


@pytest.mark.parametrize("kind", ["x25519", "mlkem768"])
def test_a_certified_key_vouches_and_the_log_says_so(ca: pki.Registrar, kind: str) -> None:
    signer, known = vouched(ca)
    key = generate(kind)
    asked = stated(key, signer, ca.authority.name_der, known.serial_number)

    made = ca.enrol(asked, ALICE, profile="encryption")

    assert made.public_key() == key.public_key()
    with ca.ledger.reading() as connection:
        event = tables.events.c
        row = connection.execute(
            tables.sql.select(event.serial, event.detail).where(event.kind == "stated")
        ).one()
    assert int(row.serial, 16) == made.serial_number
    assert json.loads(row.detail) == {"by": f"{known.serial_number:x}"}
    assert audit(ca.ledger).unbroken


def test_a_word_that_does_not_count(ca: pki.Registrar) -> None:
    """Another person's, a revoked one's, an expired one's, one that only reads, a stranger's."""
    signer, known = vouched(ca)
    reader, reading = vouched(ca, profile="encryption")
    key = generate("x25519")
    name = ca.authority.name_der
    asked = stated(key, signer, name, known.serial_number)
    other = pki.Authority.create("Other").name_der
    later = datetime.now(UTC) + timedelta(days=400)
    cases = (
        (asked, "bob@chess.example", {}, "not one for"),
        (asked, ALICE, {"at": later}, "expired"),
        (stated(key, signer, name, 4711), ALICE, {}, "not known here"),
        (stated(key, signer, other, known.serial_number), ALICE, {}, "not known here"),
        (stated(key, reader, name, reading.serial_number), ALICE, {}, "does not sign"),
        (stated(key, generate("p256"), name, known.serial_number), ALICE, {}, "not signed by"),
    )
    before = ca.ledger.count()
    for request, address, more, says in cases:
        with pytest.raises(pki.RequestRefused, match=says):
            ca.enrol(request, address, profile="encryption", **more)
    with pytest.raises(pki.RequestRefused, match="not one for"):
        ca.enrol(asked, ALICE, "bob@chess.example", profile="encryption")
    ca.revoke(known.serial_number, reason="keyCompromise")
    with pytest.raises(pki.RequestRefused, match="revoked"):
        ca.enrol(asked, ALICE, profile="encryption")
    assert ca.ledger.count() == before
