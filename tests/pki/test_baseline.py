"""The S/MIME Baseline Requirements: the linter finds nothing, and what breaks them is refused."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import pki
from pki import keys, lint
from pki.authority import new_serial

AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
URLS = {
    "crl_url": "http://pki.example.org/ca.crl",
    "ca_url": "http://pki.example.org/ca.cer",
    "ocsp_url": "http://ocsp.example.org/",
}
COMPANY = {
    "country": "DE",
    "organization": "Example GmbH",
    "organization_identifier": "NTRDE-HRB123456",
}
PERSON = {"name": "Alice Example", "given_name": "Alice", "surname": "Example"}


def authority(algorithm: str = "p256", at: datetime = AT) -> pki.Authority:
    root = pki.Authority.create("Test Root", algorithm=algorithm, at=at)
    below = root.subordinate("Test CA", algorithm=algorithm, profile="issuing-multipurpose", at=at)
    return pki.Authority(below.private_key, below.certificate, (root.certificate,), **URLS)


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    return authority()


def profile(name: str) -> tuple[pki.Profile, dict[str, str]]:
    found = pki.Profile.named(name)
    return (found.speaking_for(**COMPANY), PERSON) if name == "sponsored" else (found, {})


BASELINE = ("mailbox-strict", "mailbox-multipurpose", "sponsored")


def test_the_linter_is_installed_where_tests_run() -> None:
    assert lint.available()


@pytest.mark.parametrize("pair", [False, True])
@pytest.mark.parametrize("algorithm", ["rsa2048", "p256", "p384", "mldsa65"])
@pytest.mark.parametrize("name", BASELINE)
def test_the_linter_finds_nothing(ca: pki.Authority, name: str, algorithm: str, pair: bool) -> None:
    chosen, person = profile(name)
    alice = ca.issue(
        "alice@example.org",
        "a@example.org",
        profile=chosen,
        algorithm=algorithm,
        pair=pair or None,
        at=AT,
        lifetime_days=825,
        **person,
    )

    for certificate in {alice.certificate, alice.recipient.certificate}:
        assert lint.findings(certificate.public_bytes(Encoding.DER), chosen.lint) == []


@pytest.mark.parametrize("address", ["grüße@bücher.org", f"{'a' * 60}@example.org"])
def test_the_linter_finds_nothing_in_odd_addresses(ca: pki.Authority, address: str) -> None:
    alice = ca.issue(address, profile="mailbox-strict", at=AT)

    der = alice.certificate.public_bytes(Encoding.DER)
    assert lint.findings(der, "mailbox-strict") == []


def test_the_linter_finds_what_is_wrong(ca: pki.Authority) -> None:
    """A house's own certificate is not one of the Baseline Requirements, and is said to be none."""
    alice = ca.issue("alice@example.org", name="Alice", at=AT).certificate

    found = lint.findings(alice.public_bytes(Encoding.DER), "mailbox-strict")

    assert any("certificate_policies" in line for line in found), found
    with pytest.raises(pki.ProfileProblem, match="mailbox-lax"):
        lint.findings(alice.public_bytes(Encoding.DER), "mailbox-lax")


@pytest.mark.parametrize("name", ["tls-server", "ocsp-responder", "time-stamping"])
def test_machines_are_linted_too(name: str) -> None:
    root = pki.Authority.create("Test Root", at=AT)
    chosen = pki.Profile.named(name)
    hosts = ["imap.example.org"] if name == "tls-server" else []
    request = pki.CertificationRequest(
        keys.generate("p256").public_key(), name="" if hosts else name, hosts=hosts
    )

    certificate = root.certify(request, profile=chosen, serial=new_serial(), at=AT)

    assert lint.findings(certificate.public_bytes(Encoding.DER), "pkix") == []


def test_a_profile_that_the_linter_refuses_signs_nothing(ca: pki.Authority) -> None:
    """Our own checks let a domain pass that nobody can own; the second opinion does not."""
    good = pki.Profile.named("mailbox-strict")

    ca.issue("alice@example.org", profile=good, at=AT)
    ca.issue("alice@internal.test", profile="internal", at=AT)
    with pytest.raises(pki.RequestRefused, match=r"break its profile.*internal_domain_name"):
        ca.issue("alice@internal.test", profile=good, at=AT)


@pytest.mark.parametrize(
    ("changes", "says"),
    [
        ({"extended_key_usage": ("emailProtection", "clientAuth")}, "strict"),
        ({"extended_key_usage": ("clientAuth",)}, "emailProtection"),
        ({"policies": ()}, "policies"),
        ({"policies": ("2.23.140.1.5.1.3", "2.23.140.1.5.1.2")}, "policies"),
        ({"max_lifetime_days": 826}, "825"),
    ],
)
def test_own_profiles_that_break_them_are_refused(
    ca: pki.Authority, changes: dict[str, object], says: str
) -> None:
    broken = replace(pki.Profile.named("mailbox-strict"), lint="", **changes)

    with pytest.raises(pki.ProfileProblem, match=says):
        ca.issue("alice@example.org", profile=broken, at=AT)


@pytest.mark.parametrize(
    ("name", "given", "says"),
    [
        ("mailbox-strict", {"name": "Alice"}, "no person's name"),
        ("mailbox-strict", {"organization": "Example"}, "no organization"),
        ("sponsored", {"name": "Alice", "given_name": "Alice"}, "surname"),
        ("sponsored", {"given_name": "Alice", "surname": "E"}, "needs a name"),
        ("sponsored", {**PERSON, "pseudonym": "A"}, "instead of a name"),
        ("sponsored", {**PERSON, "unit": "Sales"}, "no unit"),
    ],
)
def test_subjects_that_break_them_are_refused(
    ca: pki.Authority, name: str, given: dict[str, str], says: str
) -> None:
    with pytest.raises(pki.RequestRefused, match=says):
        ca.issue("alice@example.org", profile=profile(name)[0], at=AT, **given)


def test_an_organisation_is_needed_and_none_is_made_up(ca: pki.Authority) -> None:
    with pytest.raises(pki.RequestRefused, match="country"):
        ca.issue("alice@example.org", profile="sponsored", at=AT, **PERSON)


@pytest.mark.parametrize(
    ("algorithm", "made", "at", "allowed"),
    [
        ("rsa4096", datetime(2026, 9, 15, tzinfo=UTC), AT, True),
        ("rsa3072", datetime(2026, 9, 16, tzinfo=UTC), AT, False),
        ("rsa3072", datetime(2026, 9, 1, tzinfo=UTC), AT, True),
        ("rsa3072", datetime(2026, 9, 1, tzinfo=UTC), datetime(2027, 10, 1, tzinfo=UTC), True),
        ("rsa2048", datetime(2025, 9, 1, tzinfo=UTC), AT, True),
        ("rsa2048", datetime(2025, 9, 1, tzinfo=UTC), datetime(2027, 10, 1, tzinfo=UTC), False),
        ("p256", AT, datetime(2027, 10, 1, tzinfo=UTC), True),
    ],
)
def test_keys_of_cas_by_the_dates(
    algorithm: str, made: datetime, at: datetime, allowed: bool
) -> None:
    old = pki.Authority.create("Test Root", algorithm=algorithm, at=made)
    ca = pki.Authority(old.private_key, old.certificate, **URLS)

    if allowed:
        ca.issue("alice@example.org", profile="mailbox-strict", at=at)
    else:
        with pytest.raises(pki.RequestRefused, match="bits"):
            ca.issue("alice@example.org", profile="mailbox-strict", at=at)
    # The internal profiles are nobody's business but the organisation's.
    ca.issue("alice@example.org", profile="internal", at=at)


def test_outside_of_the_internal_profile_a_ca_has_3072_bits() -> None:
    ca = pki.Authority.create("Test Root", algorithm="rsa2048", at=AT)
    request = pki.CertificationRequest(keys.generate("p256").public_key(), hosts=["a.example.org"])

    with pytest.raises(pki.RequestRefused, match="2048 bits"):
        ca.certify(request, profile=pki.Profile.named("tls-server"), serial=new_serial(), at=AT)
    for profile in ("mailbox", "signing", "encryption"):
        with pytest.raises(pki.RequestRefused, match="2048 bits"):
            ca.issue("alice@example.org", profile=profile, algorithm="p256", at=AT)
    ca.issue("alice@example.org", profile="internal", algorithm="p256", at=AT)


@pytest.mark.parametrize("crl_url", ["", "https://pki.example.org/ca.crl"])
def test_without_a_crl_address_nothing_is_signed(ca: pki.Authority, crl_url: str) -> None:
    silent = pki.Authority(ca.private_key, ca.certificate, crl_url=crl_url)

    with pytest.raises(pki.RequestRefused, match="CRL"):
        silent.issue("alice@example.org", profile="mailbox-strict", at=AT)


def test_small_serials_and_odd_keys_are_refused(ca: pki.Authority) -> None:
    strict = pki.Profile.named("mailbox-strict")
    request = pki.CertificationRequest(keys.generate("p256").public_key(), ["a@example.org"])

    ca.certify(request, profile=strict, serial=1 << 63, at=AT)
    with pytest.raises(pki.RequestRefused, match="64 bits"):
        ca.certify(request, profile=strict, serial=(1 << 63) - 1, at=AT)
    with pytest.raises(pki.RequestRefused, match="know no keys"):
        ca.issue("a@example.org", profile=strict, algorithm="p521", at=AT)
