"""Revocation lists: what openssl and cryptography read from them is what was revoked."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from hypothesis import given
from hypothesis import strategies as st

import pki
from pki import crl
from pki.facts import REASONS
from pki.signing import Signing
from tests.pki.house import quick
from tests.support.peers import Peer

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
CA = pki.Authority.create("Test CA")


@pytest.fixture
def ca(tmp_path: Path) -> pki.Registrar:
    with quick(tmp_path / "ca") as made:
        yield made


def give(ca: pki.Registrar, who: str) -> x509.Certificate:
    return ca.issue(f"{who}@chess.example", algorithm="p256").certificate


def read(der: bytes) -> x509.CertificateRevocationList:
    return x509.load_der_x509_crl(der)


def reasons(der: bytes) -> dict[int, str]:
    found = {}
    for revoked in read(der):
        try:
            reason = revoked.extensions.get_extension_for_class(x509.CRLReason).value.reason.value
        except x509.ExtensionNotFound:
            reason = "unspecified"
        found[revoked.serial_number] = reason
    return found


@given(
    entries=st.dictionaries(
        st.integers(1, 2**159 - 1), st.sampled_from([*REASONS.values(), 8]), max_size=30
    ),
    number=st.integers(0, 2**64),
    at=st.datetimes(datetime(2000, 1, 1), datetime(2200, 1, 1)),
)
def test_any_list_reads_back(entries: dict[int, int], number: int, at: datetime) -> None:
    """Serials of every length, every reason, years in both forms of time."""
    at = at.replace(tzinfo=UTC, microsecond=0)
    form = crl.Form(number, at, at + timedelta(days=7))
    pieces = [crl.entry(serial, at=at, reason=reason) for serial, reason in entries.items()]

    der = crl.build(Signing(CA.private_key), CA.certificate, pieces, form)

    made = read(der)
    assert made.public_bytes(Encoding.DER) == der
    assert made.is_signature_valid(CA.certificate.public_key())
    assert made.issuer == CA.certificate.subject
    assert made.last_update_utc == at
    assert made.next_update_utc == at + timedelta(days=7)
    assert {each.serial_number: each.revocation_date_utc for each in made} == dict.fromkeys(
        entries, at
    )
    names = {number: name for name, number in REASONS.items()} | {8: "removeFromCRL"}
    assert reasons(der) == {serial: names[reason] for serial, reason in entries.items()}
    assert made.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number == number


@pytest.mark.parametrize("algorithm", ["p256", "p384", "p521", "rsa2048"])
def test_openssl_checks_the_signature(openssl: Peer, tmp_path: Path, algorithm: str) -> None:
    ca = pki.Authority.create("Test CA", algorithm=algorithm)
    form = crl.Form(1, AT, AT + timedelta(days=7))
    entry = crl.entry(1 << 140, at=AT, reason=1)
    der = bytearray(crl.build(Signing(ca.private_key), ca.certificate, [entry], form))
    (tmp_path / "ca.pem").write_bytes(ca.certificate.public_bytes(Encoding.PEM))

    def verdict() -> bytes:
        (tmp_path / "crl").write_bytes(der)
        check = ("crl", "-inform", "DER", "-in", tmp_path / "crl", "-noout")
        return openssl.attempt(*check, "-CAfile", tmp_path / "ca.pem").stderr

    assert b"verify OK" in verdict()
    der[der.index(entry) + 8] ^= 1
    assert b"verify failure" in verdict()


def test_openssl_refuses_exactly_whom_the_list_names(
    openssl: Peer, ca: pki.Registrar, tmp_path: Path
) -> None:
    alice, bob = give(ca, "alice"), give(ca, "bob")
    ca.revoke(alice.serial_number, reason="keyCompromise")
    pem = Encoding.PEM
    (tmp_path / "root.pem").write_bytes(ca.records.root.public_bytes(pem))
    (tmp_path / "issuing.pem").write_bytes(ca.records.issuing.public_bytes(pem))
    (tmp_path / "crl.pem").write_bytes(read(ca.crl()).public_bytes(pem))

    def verdict(certificate: x509.Certificate) -> tuple[int, bytes]:
        (tmp_path / "one.pem").write_bytes(certificate.public_bytes(pem))
        done = openssl.attempt(
            *("verify", "-crl_check", "-x509_strict", "-CAfile", tmp_path / "root.pem"),
            *("-CRLfile", tmp_path / "crl.pem", "-untrusted", tmp_path / "issuing.pem"),
            tmp_path / "one.pem",
        )
        return done.returncode, done.stderr

    assert verdict(bob)[0] == 0
    status, said = verdict(alice)
    assert status != 0
    assert b"certificate revoked" in said

    # On hold, then released: the next list lets it pass again.
    ca.revoke(bob.serial_number, reason="certificateHold")
    (tmp_path / "crl.pem").write_bytes(read(ca.crl()).public_bytes(pem))
    assert verdict(bob)[0] != 0
    ca.release(bob.serial_number)
    (tmp_path / "crl.pem").write_bytes(read(ca.crl()).public_bytes(pem))
    assert verdict(bob)[0] == 0


@pytest.mark.parametrize("reason", REASONS)
def test_every_reason_is_written(ca: pki.Registrar, reason: str) -> None:
    serial = give(ca, "alice").serial_number
    ca.revoke(serial, reason=reason)

    assert reasons(ca.crl()) == {serial: reason}
    (record,) = ca.ledger.find(serial=serial)
    assert record.revocation is not None
    assert record.revocation.reason == reason


def test_what_cannot_be_revoked_changes_nothing(ca: pki.Registrar) -> None:
    alice, bob = give(ca, "alice").serial_number, give(ca, "bob").serial_number
    ca.revoke(alice, reason="superseded")
    head = ca.ledger.head()

    for refused in (
        lambda: ca.revoke(alice, reason="keyCompromise"),
        lambda: ca.revoke(bob, alice, reason="keyCompromise"),
        lambda: ca.revoke(bob, bob, reason="keyCompromise"),
        lambda: ca.revoke(12345),
        lambda: ca.revoke(bob, reason="boredom"),
        lambda: ca.revoke(bob, reason="removeFromCRL"),
        lambda: ca.release(alice),
        lambda: ca.release(bob),
    ):
        with pytest.raises(pki.RequestRefused):
            refused()

    assert ca.ledger.head() == head
    assert reasons(ca.crl()) == {alice: "superseded"}


def test_hold_may_become_final_and_is_then_not_released(ca: pki.Registrar) -> None:
    alice = give(ca, "alice").serial_number
    ca.revoke(alice, reason="certificateHold")
    with pytest.raises(pki.RequestRefused, match="on hold already"):
        ca.revoke(alice, reason="certificateHold")
    ca.release(alice)
    ca.revoke(alice, reason="certificateHold")
    ca.revoke(alice, reason="keyCompromise")

    with pytest.raises(pki.RequestRefused):
        ca.release(alice)
    assert reasons(ca.crl()) == {alice: "keyCompromise"}


def test_numbers_grow_whatever_the_clock_says(ca: pki.Registrar) -> None:
    numbers = [
        read(ca.crl(at=at)).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        for at in (AT, AT, AT - timedelta(days=1), AT + timedelta(days=1))
    ]

    assert numbers == sorted(set(numbers))


def test_a_delta_has_what_changed_since_the_full_list(ca: pki.Registrar) -> None:
    old, held, new = (give(ca, who).serial_number for who in ("old", "held", "new"))
    with pytest.raises(pki.RequestRefused, match="full list first"):
        ca.crl(delta=True)
    ca.revoke(old, reason="superseded")
    ca.revoke(held, reason="certificateHold")
    base = read(ca.crl()).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
    assert reasons(ca.crl(delta=True)) == {}
    ca.release(held)
    ca.revoke(new, reason="keyCompromise")

    der = ca.crl(delta=True)

    assert reasons(der) == {held: "removeFromCRL", new: "keyCompromise"}
    indicator = read(der).extensions.get_extension_for_class(x509.DeltaCRLIndicator)
    assert indicator.critical
    assert indicator.value.crl_number == base
    assert reasons(ca.crl()) == {old: "superseded", new: "keyCompromise"}


def test_shards_and_profiles_have_lists_of_their_own(tmp_path: Path) -> None:
    url = "http://ca.example/{profile}-{shard}.crl"
    with quick(tmp_path / "ca", crl_url=url, shards=3) as ca:
        made = {
            identity.certificate.serial_number: identity.certificate
            for who in range(12)
            for identity in [
                ca.issue(f"u{who}@a.example", algorithm="p256", profile=profile)
                for profile in ("mailbox", "signing")
            ]
        }
        ca.revoke(*made, reason="superseded")

        points, seen = {}, set()
        for scope in ca.scopes():
            der = ca.crl(scope)
            point = read(der).extensions.get_extension_for_class(x509.IssuingDistributionPoint)
            assert point.critical
            points[scope] = point.value.full_name[0].value
            for serial in reasons(der):
                names = made[serial].extensions.get_extension_for_class(x509.CRLDistributionPoints)
                assert names.value[0].full_name[0].value == points[scope]
                seen.add(serial)

        assert seen == set(made)
        assert set(points.values()) <= {
            f"http://ca.example/{p}-{n}.crl" for p in ("mailbox", "signing") for n in range(3)
        }
        assert reasons(ca.crl()) == dict.fromkeys(made, "superseded")  # one for all
        with pytest.raises(pki.RequestRefused, match="belong to"):
            ca.crl("9-mailbox")


def test_the_full_list_says_where_deltas_are(tmp_path: Path) -> None:
    with quick(tmp_path / "ca", delta_url="http://ca.example/d.crl") as ca:
        point = read(ca.crl()).extensions.get_extension_for_class(x509.FreshestCRL).value[0]
        assert point.full_name[0].value == "http://ca.example/d.crl"
        with pytest.raises(x509.ExtensionNotFound):
            read(ca.crl(delta=True)).extensions.get_extension_for_class(x509.FreshestCRL)


def test_a_list_is_due_when_something_changed_or_half_its_time_is_over(ca: pki.Registrar) -> None:
    alice = give(ca, "alice").serial_number
    assert ca.crl_due(at=AT)
    ca.crl(at=AT)
    assert not ca.crl_due(at=AT)
    assert not ca.crl_due(at=AT + timedelta(days=3))
    assert ca.crl_due(at=AT + timedelta(days=3.5))
    ca.revoke(alice)
    assert ca.crl_due(at=AT)
    ca.crl(at=AT)
    give(ca, "bob")  # changes no list
    assert not ca.crl_due(at=AT)
    last = ca.crl(at=AT)
    assert not ca.crl_due(at=AT, published=last)
    for other in (b"", last[:-1], ca.crl(at=AT, delta=True)):
        assert ca.crl_due(at=AT, published=other)
