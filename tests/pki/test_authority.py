"""The CA in memory: what its certificates say, who believes them, what it refuses."""

from __future__ import annotations

import pickle
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

import pki
import smime
from pki.authority import new_serial
from tests.support.peers import Peer

AT = datetime(2030, 6, 1, 12, tzinfo=UTC)


@pytest.fixture(scope="module")
def root() -> pki.Authority:
    return pki.Authority.create("Test CA", at=AT)


@pytest.fixture(scope="module")
def issuing(root: pki.Authority) -> pki.Authority:
    return root.subordinate("Test CA (issuing)", at=AT)


def value(certificate: x509.Certificate, kind: type) -> x509.ExtensionType:
    return certificate.extensions.get_extension_for_class(kind).value


def critical(certificate: x509.Certificate) -> set[str]:
    return {type(e.value).__name__ for e in certificate.extensions if e.critical}


def names(certificate: x509.Certificate) -> list[str]:
    return [str(a.value) for a in certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)]


def test_the_fixture_factory_in_one_line() -> None:
    alice = pki.Authority.create("Test CA").issue("alice@example.org")

    assert isinstance(alice, smime.Identity)
    assert alice.addresses == ("alice@example.org",)
    now = datetime.now(UTC)
    assert alice.certificate.not_valid_before_utc < now < alice.certificate.not_valid_after_utc


def test_a_root_certificate(root: pki.Authority) -> None:
    certificate = root.certificate

    certificate.verify_directly_issued_by(certificate)
    assert value(certificate, x509.BasicConstraints) == x509.BasicConstraints(True, None)
    usage = value(certificate, x509.KeyUsage)
    assert usage.key_cert_sign
    assert usage.crl_sign
    assert not usage.digital_signature
    assert critical(certificate) == {"BasicConstraints", "KeyUsage"}
    assert root.chain == ()
    assert root.root == certificate


def test_an_issuing_certificate(root: pki.Authority, issuing: pki.Authority) -> None:
    certificate = issuing.certificate

    certificate.verify_directly_issued_by(root.certificate)
    assert value(certificate, x509.BasicConstraints) == x509.BasicConstraints(True, 0)
    assert list(value(certificate, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    assert issuing.chain == (certificate,)
    assert issuing.root == root.certificate
    assert value(certificate, x509.AuthorityKeyIdentifier).key_identifier == (
        value(root.certificate, x509.SubjectKeyIdentifier).digest
    )


@pytest.mark.parametrize(
    ("algorithm", "reading"),
    [("p256", "key_agreement"), ("p384", "key_agreement"), ("rsa2048", "key_encipherment")],
)
def test_a_mailbox_certificate(issuing: pki.Authority, algorithm: str, reading: str) -> None:
    alice = issuing.issue(
        "Alice@Example.org", "a@example.org", name="Alice", algorithm=algorithm, at=AT
    )
    certificate = alice.certificate

    certificate.verify_directly_issued_by(issuing.certificate)
    assert alice.chain == (issuing.certificate,)
    assert names(certificate) == ["Alice"]
    assert value(certificate, x509.BasicConstraints) == x509.BasicConstraints(False, None)
    assert list(value(certificate, x509.ExtendedKeyUsage)) == [ExtendedKeyUsageOID.EMAIL_PROTECTION]
    assert value(certificate, x509.SubjectAlternativeName).get_values_for_type(x509.RFC822Name) == [
        "Alice@example.org",
        "a@example.org",
    ]
    usage = value(certificate, x509.KeyUsage)
    wanted = {"digital_signature", reading}
    flags = ("digital_signature", "content_commitment", "key_encipherment", "data_encipherment")
    flags += ("key_agreement", "key_cert_sign", "crl_sign")
    assert {flag for flag in flags if getattr(usage, flag)} == wanted
    assert critical(certificate) == {"BasicConstraints", "KeyUsage"}
    assert value(certificate, x509.AuthorityKeyIdentifier).key_identifier == (
        value(issuing.certificate, x509.SubjectKeyIdentifier).digest
    )
    assert value(certificate, x509.SubjectKeyIdentifier) == (
        x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    )


@pytest.mark.parametrize(
    ("algorithm", "purpose"),
    [
        ("p256", "smimesign"),
        ("p384", "smimesign"),
        ("rsa2048", "smimesign"),
        # For EC keys openssl asks for keyEncipherment, against RFC 8550 4.4.2.
        ("rsa2048", "smimeencrypt"),
    ],
)
def test_openssl_believes_the_chain(
    openssl: Peer, tmp_path: Path, algorithm: str, purpose: str
) -> None:
    root = pki.Authority.create("Test CA", algorithm=algorithm)
    issuing = root.subordinate("Test CA (issuing)", algorithm=algorithm)
    alice = issuing.issue("alice@example.org", algorithm=algorithm, profile="internal")
    files = write(tmp_path, root.certificate, issuing.certificate, alice.certificate)
    check = ("verify", "-x509_strict", "-purpose", purpose, "-CAfile", files[0])

    openssl.run(*check, "-verify_email", "alice@example.org", "-untrusted", files[1], files[2])
    refused = openssl.attempt(
        *check, "-verify_email", "bob@example.org", "-untrusted", files[1], files[2]
    )
    assert refused.returncode != 0


def write(folder: Path, *certificates: x509.Certificate) -> list[Path]:
    files = [folder / f"{n}.pem" for n in range(len(certificates))]
    for file, certificate in zip(files, certificates, strict=True):
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
    return files


def test_validity_begins_an_hour_early_and_counts_both_ends(root: pki.Authority) -> None:
    certificate = root.issue("a@example.org", at=AT, lifetime_days=30).certificate

    begin = AT - timedelta(hours=1)
    assert certificate.not_valid_before_utc == begin
    assert certificate.not_valid_after_utc == begin + timedelta(days=30, seconds=-1)


def test_no_certificate_outlives_its_ca(root: pki.Authority) -> None:
    end = root.certificate.not_valid_after_utc

    late = root.issue("a@example.org", at=end - timedelta(days=10))
    assert late.certificate.not_valid_after_utc == end
    with pytest.raises(pki.RequestRefused, match="ended"):
        root.issue("a@example.org", at=end)


@pytest.mark.parametrize("days", [0, -1, 826, 10**12])
def test_lifetimes_that_mail_users_do_not_get(root: pki.Authority, days: int) -> None:
    root.issue("a@example.org", at=AT, lifetime_days=825)
    with pytest.raises(pki.ProfileProblem):
        root.issue("a@example.org", at=AT, lifetime_days=days)


def test_a_moment_needs_a_time_zone(root: pki.Authority) -> None:
    with pytest.raises(ValueError, match="time zone"):
        root.issue("a@example.org", at=datetime(2030, 6, 1))
    with pytest.raises(ValueError, match="time zone"):
        pki.Authority.create("Test CA", at=datetime(2030, 6, 1))


def test_serials_are_random_positive_and_short_enough() -> None:
    drawn = {new_serial() for _ in range(2000)}

    assert len(drawn) == 2000
    assert all(0 < serial <= 1 << 128 for serial in drawn)
    # All 128 bits are used: one that never changes would show here.
    assert all(len({serial >> bit & 1 for serial in drawn}) == 2 for bit in range(128))


def test_without_a_name_the_address_is_the_subject(root: pki.Authority) -> None:
    assert names(root.issue("alice@example.org", at=AT).certificate) == ["alice@example.org"]


def test_an_address_too_long_for_a_subject_stands_in_the_san_alone(root: pki.Authority) -> None:
    address = f"{'a' * 60}@example.org"
    certificate = root.issue(address, at=AT).certificate

    assert not list(certificate.subject)
    assert critical(certificate) == {"BasicConstraints", "KeyUsage", "SubjectAlternativeName"}
    assert value(certificate, x509.SubjectAlternativeName).get_values_for_type(x509.RFC822Name) == [
        address
    ]


@pytest.mark.parametrize("address", ["alice", "alice@", "a@b@c", "grü ße@example.org"])
def test_bad_addresses_are_refused(root: pki.Authority, address: str) -> None:
    with pytest.raises(pki.RequestRefused) as refused:
        root.issue(address)

    assert refused.value.exit_status == 23
    assert refused.value.hint


def test_nobody_gets_a_certificate_without_an_address(root: pki.Authority) -> None:
    with pytest.raises(pki.RequestRefused, match="no mail address"):
        root.issue(name="Alice", at=AT)


def test_unknown_profiles_and_algorithms_are_refused(root: pki.Authority) -> None:
    with pytest.raises(pki.ProfileProblem):
        root.issue("a@example.org", profile="mailbx", at=AT)
    with pytest.raises(ValueError, match="rsa1024"):
        root.issue("a@example.org", algorithm="rsa1024", at=AT)


def test_a_profile_without_the_kind_of_key_is_refused(root: pki.Authority) -> None:
    only_rsa = pki.Profile({"rsa": ("digitalSignature",)})

    root.issue("a@example.org", profile=only_rsa, algorithm="rsa2048", at=AT)
    with pytest.raises(pki.RequestRefused, match="kind"):
        root.issue("a@example.org", profile=only_rsa, at=AT)


def test_own_profiles_are_data(root: pki.Authority) -> None:
    profile = pki.Profile({"ec": ("digitalSignature", "contentCommitment")}, policies=("1.2.3.4",))
    certificate = root.issue("a@example.org", profile=profile, at=AT).certificate

    policies = value(certificate, x509.CertificatePolicies)
    assert [policy.policy_identifier.dotted_string for policy in policies] == ["1.2.3.4"]
    assert value(certificate, x509.KeyUsage).content_commitment
    with pytest.raises(x509.ExtensionNotFound):
        value(certificate, x509.ExtendedKeyUsage)


def test_below_an_issuing_ca_there_is_none(issuing: pki.Authority) -> None:
    with pytest.raises(pki.RequestRefused, match="below"):
        issuing.subordinate("Third", at=AT)


def test_certify_takes_the_key_of_a_request_and_the_names_given(issuing: pki.Authority) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    wished = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "Mallory")])
    csr = (
        x509.CertificateSigningRequestBuilder()
        .subject_name(wished)
        .sign(key, issuing.certificate.signature_hash_algorithm)
        .public_bytes(Encoding.PEM)
    )
    request = pki.CertificationRequest.parse(csr)
    mailbox = pki.Profile.named("mailbox")

    with pytest.raises(pki.RequestRefused, match="no mail address"):
        issuing.certify(request, profile=mailbox, serial=7, at=AT)
    certificate = issuing.certify(
        request.authorise("alice@example.org"), profile=mailbox, serial=7, at=AT
    )

    assert certificate.serial_number == 7
    assert certificate.public_key() == key.public_key()
    assert names(certificate) == ["alice@example.org"]


@pytest.mark.parametrize("serial", [0, -1, 1 << 159])
def test_serials_that_no_certificate_has(issuing: pki.Authority, serial: int) -> None:
    request = pki.CertificationRequest(
        ec.generate_private_key(ec.SECP256R1()).public_key(), ("a@example.org",)
    )
    mailbox = pki.Profile.named("mailbox")

    issuing.certify(request, profile=mailbox, serial=(1 << 159) - 1, at=AT)
    with pytest.raises(ValueError, match="serial"):
        issuing.certify(request, profile=mailbox, serial=serial, at=AT)


def test_the_key_of_the_ca_is_nobody_elses(issuing: pki.Authority) -> None:
    request = pki.CertificationRequest(issuing.certificate.public_key(), ("a@example.org",))

    with pytest.raises(pki.RequestRefused, match="key of the CA"):
        issuing.certify(request, profile=pki.Profile.named("mailbox"), serial=1, at=AT)


def test_domains_limit_what_a_ca_certifies(root: pki.Authority) -> None:
    ca = root.subordinate("Chess", domains=["Chess.example", ".chess.example"], at=AT)

    for address in ("a@chess.example", "a@mail.chess.example"):
        ca.issue(address, at=AT)
    for address in ("a@example", "a@xchess.example", "a@chess.example.org"):
        with pytest.raises(pki.RequestRefused, match="outside"):
            ca.issue(address, at=AT)
    with pytest.raises(pki.RequestRefused):
        root.subordinate("Chess", domains=["a@chess.example"], at=AT)


def test_openssl_refuses_outside_of_the_domains(openssl: Peer, tmp_path: Path) -> None:
    """The same key certifies with and without the limit: only the limit makes the difference."""
    root = pki.Authority.create("Test CA")
    limited = root.subordinate("Chess", domains=["chess.example"])
    certificates = {
        "inside": limited.issue("a@chess.example").certificate,
        # Who holds the key could sign anything: the readers must refuse it.
        "outside": unlimited(limited, x509.RFC822Name("a@example.org")),
        "server": unlimited(limited, x509.DNSName("chess.example")),
    }
    roots = write(tmp_path, root.certificate, limited.certificate)
    verdicts = {}
    for name, certificate in certificates.items():
        file = tmp_path / name
        file.write_bytes(certificate.public_bytes(Encoding.PEM))
        done = openssl.attempt("verify", "-CAfile", roots[0], "-untrusted", roots[1], file)
        verdicts[name] = "permitted subtree" in done.stderr.decode(), done.returncode == 0
        if name == "server":
            verdicts[name] = "excluded subtree" in done.stderr.decode(), done.returncode == 0

    assert verdicts == {"inside": (False, True), "outside": (True, False), "server": (True, False)}


def unlimited(ca: pki.Authority, name: x509.GeneralName) -> x509.Certificate:
    from cryptography.hazmat.primitives.hashes import SHA256

    now = datetime.now(UTC)
    return (
        x509.CertificateBuilder()
        .serial_number(new_serial())
        .issuer_name(ca.certificate.subject)
        .subject_name(x509.Name([]))
        .not_valid_before(now - timedelta(days=1))
        .not_valid_after(now + timedelta(days=1))
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
        .add_extension(x509.SubjectAlternativeName([name]), critical=True)
        .sign(ca.private_key, SHA256())
    )


def test_urls_are_written_into_what_is_certified(root: pki.Authority) -> None:
    crl_url, ca_url = "http://ca.example/ca.crl", "http://ca.example/ca.cer"
    ca = pki.Authority(root.private_key, root.certificate, crl_url=crl_url, ca_url=ca_url)
    certificate = ca.issue("a@example.org", at=AT).certificate

    [point] = value(certificate, x509.CRLDistributionPoints)
    [access] = value(certificate, x509.AuthorityInformationAccess)
    assert [name.value for name in point.full_name] == [crl_url]
    assert access.access_location.value == ca_url
    with pytest.raises(pki.RequestRefused):
        pki.Authority(root.private_key, root.certificate, crl_url="ca.crl")


def test_a_crl_names_the_revoked_and_nobody_else(root: pki.Authority) -> None:
    alice, bob = (root.issue(f"{name}@example.org", at=AT).certificate for name in ("a", "b"))

    crl = x509.load_der_x509_crl(root.crl(alice, at=AT))
    later = x509.load_der_x509_crl(root.crl(at=AT + timedelta(seconds=1)))

    assert crl.is_signature_valid(root.certificate.public_key())
    assert crl.last_update_utc == AT
    assert crl.next_update_utc == AT + timedelta(days=7)
    assert crl.get_revoked_certificate_by_serial_number(alice.serial_number)
    assert not crl.get_revoked_certificate_by_serial_number(bob.serial_number)
    numbers = [c.extensions.get_extension_for_class(x509.CRLNumber).value for c in (crl, later)]
    assert numbers[0].crl_number < numbers[1].crl_number


def test_a_crl_is_of_one_ca(root: pki.Authority) -> None:
    stranger = pki.Authority.create("Other CA").issue("a@example.org")

    with pytest.raises(pki.RequestRefused, match="another CA"):
        root.crl(stranger.certificate)


def test_openssl_sees_the_revocation(openssl: Peer, tmp_path: Path) -> None:
    root = pki.Authority.create("Test CA")
    alice, bob = (root.issue(f"{name}@example.org").certificate for name in ("a", "b"))
    files = write(tmp_path, root.certificate, alice, bob)
    crl = tmp_path / "crl.pem"
    crl.write_bytes(x509.load_der_x509_crl(root.crl(alice)).public_bytes(Encoding.PEM))
    check = ("verify", "-crl_check", "-CRLfile", crl, "-CAfile", files[0])

    openssl.run(*check, files[2])
    assert b"certificate revoked" in openssl.attempt(*check, files[1]).stderr


def test_the_anchors_are_the_root(issuing: pki.Authority) -> None:
    assert isinstance(issuing.anchors, smime.Anchors)


def test_key_and_certificate_of_a_ca_belong_together(
    root: pki.Authority, issuing: pki.Authority
) -> None:
    with pytest.raises(pki.RequestRefused, match="belong together"):
        pki.Authority(root.private_key, issuing.certificate)


def test_the_key_is_in_no_repr_and_no_pickle(root: pki.Authority) -> None:
    assert repr(root) == "<Authority CN=Test CA until 2050-06-01>"
    with pytest.raises(TypeError, match="private key"):
        pickle.dumps(root)


def test_errors_survive_pickling() -> None:
    error = pickle.loads(pickle.dumps(pki.RequestRefused("no", hint="do")))

    assert (str(error), error.hint, error.exit_status) == ("no", "do", 23)
    assert isinstance(error, smime.SmimeError)


def test_every_error_has_a_status_of_its_own() -> None:
    errors = [getattr(pki, name) for name in pki.__all__]
    errors = [e for e in errors if isinstance(e, type) and issubclass(e, pki.PkiError)]

    assert sorted(error.exit_status for error in errors) == list(range(20, 30))


def test_all_names_are_there_and_no_other() -> None:
    assert all(getattr(pki, name) for name in pki.__all__)
    assert dir(pki) == pki.__all__
    with pytest.raises(AttributeError, match="Athority"):
        pki.Athority  # noqa: B018
