"""CAs that meet by files: what each side takes, and what it refuses."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki import ceremony, keys
from pki.bundle import to_pem
from pki.rules import extension
from tests.support.peers import Peer

AT = datetime(2030, 6, 1, 12, tzinfo=UTC)
LETTER = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nhi\r\n"


@pytest.fixture(scope="module")
def root() -> pki.Authority:
    return pki.Authority.create("Club Root", algorithm="p384", at=AT)


@pytest.mark.parametrize("algorithm", ["p256", "rsa3072", "ed25519", "mldsa65"])
def test_three_steps_make_a_ca(root: pki.Authority, algorithm: str) -> None:
    key, request = ceremony.ask("Club CA", algorithm=algorithm, organization="Club")
    answer = ceremony.certify(root, request, name="Club CA", at=AT, domains=["example.org"])
    ca = ceremony.accept(key, answer, crl_url="http://pki.example.org/ca.crl")

    assert ca.root == root.certificate
    assert ca.crl_url == "http://pki.example.org/ca.crl"
    alice = ca.issue("alice@example.org", at=AT)
    mail = smime.sign(LETTER, by=alice, at=AT)
    assert smime.verify(mail, trust=root.anchors, at=AT).signer == "alice@example.org"
    with pytest.raises(pki.RequestRefused, match="outside"):
        ca.issue("alice@example.com", at=AT)


def test_openssl_reads_the_request(openssl: Peer) -> None:
    _, request = ceremony.ask("Club CA", organization="Club", country="DE")

    said = openssl.run("req", "-verify", "-noout", "-subject", input=request).decode()

    assert "C = DE" in said
    assert "CN = Club CA" in said


def test_the_name_is_the_keepers_not_the_askers(root: pki.Authority) -> None:
    _, request = ceremony.ask("World CA", organization="World")

    made = x509.load_pem_x509_certificates(ceremony.certify(root, request, name="Club CA", at=AT))[
        0
    ]

    assert ceremony.wished_name(request) == "CN=World CA,O=World"
    assert made.subject.rfc4514_string() == "CN=Club CA"


def test_what_is_no_request_is_refused(root: pki.Authority) -> None:
    _, request = ceremony.ask("Club CA")
    der = bytearray(x509.load_pem_x509_csr(request).public_bytes(Encoding.DER))
    der[-1] ^= 1
    for bad in (b"", bytes(der), root.certificate.public_bytes(Encoding.PEM)):
        with pytest.raises(pki.RequestRefused):
            ceremony.certify(root, bad, name="Club CA", at=AT)
        with pytest.raises(pki.RequestRefused):
            ceremony.wished_name(bad)
    with pytest.raises(pki.RequestRefused):
        ceremony.certify(root, request, name="", at=AT)
    with pytest.raises(pki.RequestRefused, match="names that differ"):
        ceremony.certify(root, request, name="Club Root", at=AT)
    with pytest.raises(pki.RequestRefused):
        ceremony.ask("")
    with pytest.raises(ValueError, match="none of"):
        ceremony.ask("Club CA", algorithm="x25519")


def test_an_answer_that_does_not_hold_is_refused(root: pki.Authority) -> None:
    key, request = ceremony.ask("Club CA")
    answer = ceremony.certify(root, request, name="Club CA", at=AT)
    other = pki.Authority.create("Club Root", algorithm="p384", at=AT)
    [own, top] = x509.load_pem_x509_certificates(answer)

    ceremony.accept(key, answer)
    for bad, says in (
        (b"", "not the certificates"),
        (to_pem(own), "not the certificates"),  # no root
        (to_pem(own, other.certificate), "not the certificates"),  # another root of that name
        (to_pem(top, own), "not the certificates"),
        (answer[:-40], "not the certificates"),
        (to_pem(top), "another key"),
        (to_pem(*[top] * 9), "more than 8"),
        (b"#" * 300_000, "octets"),
    ):
        with pytest.raises(pki.NoAuthority, match=says):
            ceremony.accept(key, bad)
    with pytest.raises(pki.NoAuthority, match="another key"):
        ceremony.accept(keys.generate("p256"), answer)


def test_a_cross_certificate_lends_trust(
    root: pki.Authority, openssl: Peer, tmp_path: Path
) -> None:
    """Who trusts our root alone believes the other's people, and only at the other's domain."""
    now = datetime.now(UTC)
    ours = pki.Authority.create("Our Root", at=now)
    theirs = pki.Authority.create("Their Root", algorithm="rsa3072", at=now)
    cross = ceremony.cross_certify(ours, theirs.certificate, domains=["their.example"], at=now)

    assert cross.subject == theirs.certificate.subject
    assert cross.public_key() == theirs.certificate.public_key()
    assert cross.not_valid_after_utc <= theirs.certificate.not_valid_after_utc
    files = {name: tmp_path / f"{name}.pem" for name in ("ours", "cross", "in", "out")}
    files["ours"].write_bytes(to_pem(ours.certificate))
    files["cross"].write_bytes(to_pem(cross))
    files["in"].write_bytes(to_pem(theirs.issue("bob@their.example").certificate))
    files["out"].write_bytes(to_pem(theirs.issue("bob@example.org").certificate))
    check = ("verify", "-x509_strict", "-CAfile", files["ours"])
    openssl.run(*check, "-untrusted", files["cross"], files["in"])
    refused = openssl.attempt(*check, "-untrusted", files["cross"], files["out"])
    assert b"permitted subtree" in refused.stderr
    assert openssl.attempt(*check, files["in"]).returncode


def test_what_is_not_cross_certified(root: pki.Authority) -> None:
    alice = root.issue("alice@example.org", at=AT)

    with pytest.raises(pki.RequestRefused, match="no CA"):
        ceremony.cross_certify(root, alice.certificate, at=AT)
    with pytest.raises(pki.RequestRefused, match="own key"):
        ceremony.cross_certify(root, root.certificate, at=AT)


@pytest.mark.parametrize("name", ["Club Root", "Club Root 2"])
def test_a_root_changes_its_key(openssl: Peer, tmp_path: Path, name: str) -> None:
    """Old readers believe new certificates, new readers old ones; the name may stay."""
    now = datetime.now(UTC)
    old = pki.Authority.create("Club Root", at=now - timedelta(days=7000))
    new = pki.Authority.create(name, algorithm="p384", at=now)
    new_by_old, old_by_new = ceremony.roll_over(old, new, at=now)
    people = {"old": old.issue("a@example.org", at=now), "new": new.issue("b@example.org", at=now)}
    trust = {"old": old.certificate, "new": new.certificate}
    links = {"old": new_by_old, "new": old_by_new}

    assert new_by_old.not_valid_after_utc == old.certificate.not_valid_after_utc
    assert old_by_new.not_valid_after_utc == old.certificate.not_valid_after_utc
    for reader in ("old", "new"):
        (tmp_path / "root.pem").write_bytes(to_pem(trust[reader]))
        (tmp_path / "link.pem").write_bytes(to_pem(links[reader]))
        for writer in ("old", "new"):
            (tmp_path / "leaf.pem").write_bytes(to_pem(people[writer].certificate))
            check = ("verify", "-CAfile", tmp_path / "root.pem", "-no-CApath")
            openssl.run(*check, "-untrusted", tmp_path / "link.pem", tmp_path / "leaf.pem")
            alone = openssl.attempt(*check, tmp_path / "leaf.pem").returncode
            assert (alone == 0) == (reader == writer)


def test_a_ca_that_ended_still_signs_its_crl(root: pki.Authority) -> None:
    late = root.certificate.not_valid_after_utc + timedelta(days=30)
    alice = root.issue("alice@example.org", at=AT).certificate

    crl = x509.load_der_x509_crl(root.crl(alice, at=late))

    assert crl.is_signature_valid(root.certificate.public_key())
    with pytest.raises(pki.RequestRefused, match="ended"):
        root.issue("alice@example.org", at=late)


@pytest.mark.parametrize("where", ["root", "issuing"])
@pytest.mark.parametrize("form", ["host", "address", "common name"])
def test_a_stolen_mail_ca_is_harmless(openssl: Peer, tmp_path: Path, where: str, form: str) -> None:
    """Whatever its thief signs, no reader takes it for a web server: neither by name nor by IP."""
    import ipaddress

    from cryptography.hazmat.primitives.asymmetric import ec
    from cryptography.hazmat.primitives.hashes import SHA256

    at_root = ["chess.example"] if where == "root" else []
    root = pki.Authority.create("Test CA", domains=at_root)
    ca = root.subordinate("Chess", domains=["chess.example"])
    thief = root if where == "root" else ca
    constraints = thief.certificate.extensions.get_extension_for_class(x509.NameConstraints)
    assert constraints.critical
    if where == "issuing":
        assert extension(thief.certificate, x509.BasicConstraints).path_length == 0
    now = datetime.now(UTC)
    name = {
        "host": x509.DNSName("www.chess.example"),
        "address": x509.IPAddress(ipaddress.ip_address("192.0.2.1")),
    }.get(form)
    subject = [x509.NameAttribute(x509.NameOID.COMMON_NAME, "www.chess.example")]
    builder = (
        x509.CertificateBuilder()
        .serial_number(7)
        .issuer_name(thief.certificate.subject)
        .subject_name(x509.Name(subject if name is None else []))
        .not_valid_before(now - timedelta(minutes=5))
        .not_valid_after(now + timedelta(days=1))
        .public_key(ec.generate_private_key(ec.SECP256R1()).public_key())
    )
    if name is not None:
        builder = builder.add_extension(x509.SubjectAlternativeName([name]), critical=True)
    server = builder.sign(thief.private_key, SHA256())
    alice = thief.issue("alice@chess.example").certificate
    files = [tmp_path / f"{n}.pem" for n in range(4)]
    for file, certificate in zip(
        files, (root.certificate, ca.certificate, server, alice), strict=True
    ):
        file.write_bytes(to_pem(certificate))

    check = ("verify", "-CAfile", files[0], "-untrusted", files[1])
    openssl.run(*check, "-purpose", "smimesign", files[3])
    assert b"excluded subtree" in openssl.attempt(*check, files[2]).stderr
    assert openssl.attempt(*check, "-purpose", "sslserver", files[2]).returncode


def test_what_limits_a_root_limits_all_below_it() -> None:
    """A CA below is not asked to certify what every reader would refuse."""
    root = pki.Authority.create("Test CA", domains=["chess.example"], at=AT)
    ca = root.subordinate("Chess", domains=["chess.example", "go.example"], at=AT)

    ca.issue("alice@chess.example", at=AT)
    with pytest.raises(pki.RequestRefused, match="outside"):
        ca.issue("alice@go.example", at=AT)
