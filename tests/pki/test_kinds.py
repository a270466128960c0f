"""Every kind of key, for CAs and for users, alone and in pairs: used, not only made."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki import keys
from pki.authority import halves, new_serial
from pki.rules import extension
from tests.support.peers import Peer

AT = datetime(2030, 6, 1, 12, tzinfo=UTC)
LETTER = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nhi\r\n"


@pytest.fixture(scope="module")
def root() -> pki.Authority:
    return pki.Authority.create("Test CA", at=AT)


def usages(certificate: x509.Certificate) -> set[str]:
    usage = extension(certificate, x509.KeyUsage)
    names = ("digital_signature", "key_encipherment", "key_agreement", "key_cert_sign", "crl_sign")
    return {name for name in names if getattr(usage, name)}


@pytest.mark.parametrize("algorithm", [one for one in keys.CA_ALGORITHMS if one != "rsa4096"])
def test_a_ca_of_every_kind_certifies(algorithm: str) -> None:
    root = pki.Authority.create("Test CA", algorithm=algorithm, at=AT)
    issuing = root.subordinate("Test CA (issuing)", algorithm=algorithm, at=AT)
    profile = "internal" if algorithm == "rsa2048" else "mailbox"
    alice = issuing.issue("alice@example.org", profile=profile, at=AT)

    root.certificate.verify_directly_issued_by(root.certificate)
    issuing.certificate.verify_directly_issued_by(root.certificate)
    alice.certificate.verify_directly_issued_by(issuing.certificate)
    signed = smime.sign(LETTER, by=alice, at=AT)
    assert smime.verify(signed, trust=root.anchors, at=AT).signer == "alice@example.org"


@pytest.mark.parametrize("algorithm", ["ed25519", "ed448", "mldsa65", "p384"])
def test_a_ca_of_every_kind_signs_its_crl(algorithm: str) -> None:
    root = pki.Authority.create("Test CA", algorithm=algorithm, at=AT)
    alice = root.issue("alice@example.org", at=AT).certificate

    crl = x509.load_der_x509_crl(root.crl(alice, at=AT))

    assert crl.is_signature_valid(root.certificate.public_key())
    assert crl.get_revoked_certificate_by_serial_number(alice.serial_number)


def test_addresses_of_the_ca_may_change(root: pki.Authority) -> None:
    """What is kept from one certificate to the next is not kept longer than it is true."""
    ca = pki.Authority(root.private_key, root.certificate, crl_url="http://a.example/1.crl")
    before = ca.issue("alice@example.org", at=AT).certificate
    ca.crl_url = "http://a.example/2.crl"
    after = ca.issue("alice@example.org", at=AT).certificate

    assert [
        extension(one, x509.CRLDistributionPoints)[0].full_name[0].value[-5:]
        for one in (before, after)
    ] == ["1.crl", "2.crl"]


@pytest.mark.parametrize("algorithm", ["x25519", "mlkem768", "rsa1024", ""])
def test_a_key_that_does_not_sign_is_no_cas(algorithm: str) -> None:
    with pytest.raises(ValueError, match="none of"):
        pki.Authority.create("Test CA", algorithm=algorithm)


@pytest.mark.parametrize("algorithm", ["rsa3072", "p384", "ed25519"])
def test_openssl_believes_a_ca_of_every_kind(openssl: Peer, tmp_path: Path, algorithm: str) -> None:
    root = pki.Authority.create("Test CA", algorithm=algorithm)
    alice = root.issue("alice@example.org").certificate
    files = [tmp_path / "root.pem", tmp_path / "alice.pem"]
    for file, certificate in zip(files, (root.certificate, alice), strict=True):
        file.write_bytes(certificate.public_bytes(Encoding.PEM))

    openssl.run("verify", "-x509_strict", "-purpose", "smimesign", "-CAfile", *files)


@pytest.mark.parametrize(
    ("algorithm", "signing", "reading"),
    [
        ("rsa2048", {"digital_signature"}, {"key_encipherment"}),
        ("p256", {"digital_signature"}, {"key_agreement"}),
        ("ed25519", {"digital_signature"}, {"key_agreement"}),
        ("ed448", {"digital_signature"}, {"key_agreement"}),
        ("mldsa65", {"digital_signature"}, {"key_encipherment"}),
        ("mldsa87", {"digital_signature"}, {"key_encipherment"}),
    ],
)
def test_a_pair_is_one_identity_with_two_keys(
    root: pki.Authority, algorithm: str, signing: set[str], reading: set[str]
) -> None:
    alice = root.issue("alice@example.org", algorithm=algorithm, pair=True, at=AT)

    first, second = alice.certificate, alice.recipient.certificate
    assert usages(first) == signing
    assert usages(second) == reading
    assert first.public_key() != second.public_key()
    assert first.serial_number != second.serial_number
    assert len(alice.opening_keys) >= 1
    assert alice.addresses == ("alice@example.org",)


@pytest.mark.parametrize("algorithm", ["rsa2048", "p256", "ed25519", "mldsa65"])
def test_a_pair_travels_in_one_p12(root: pki.Authority, algorithm: str) -> None:
    alice = root.issue("alice@example.org", algorithm=algorithm, pair=True, at=AT)

    again = smime.Identity.parse(alice.to_p12("secret"), passphrase="secret")

    assert again.certificate == alice.certificate
    assert again.recipient.certificate == alice.recipient.certificate


@pytest.mark.parametrize("algorithm", ["rsa2048", "p256"])
def test_a_pair_signs_and_opens(root: pki.Authority, algorithm: str) -> None:
    alice = root.issue("alice@example.org", algorithm=algorithm, pair=True, at=AT)

    sealed = smime.protect(LETTER, by=alice, to=alice, at=AT)
    opened = smime.open(sealed, keys=alice, trust=root.anchors, at=AT)

    assert opened.signer == "alice@example.org"
    assert opened.encrypted


def test_one_certificate_where_one_will_do(root: pki.Authority) -> None:
    alice = root.issue("alice@example.org", at=AT)

    assert alice.recipient.certificate == alice.certificate
    assert usages(alice.certificate) == {"digital_signature", "key_agreement"}


def test_what_only_signs_needs_no_second_key(root: pki.Authority) -> None:
    alice = root.issue("alice@example.org", profile="signing", algorithm="ed25519", at=AT)

    assert usages(alice.certificate) == {"digital_signature"}
    with pytest.raises(pki.RequestRefused, match="does not read"):
        root.issue("alice@example.org", algorithm="ed25519", pair=False, at=AT)


def test_halves_say_what_is_going_to_be_made() -> None:
    mailbox = pki.Profile.named("mailbox")

    assert halves(mailbox, "p256") == ((mailbox, "p256"),)
    assert [kind for _, kind in halves(mailbox, "mldsa87")] == ["mldsa87", "mlkem1024"]
    assert [half.reads for half, _ in halves(mailbox, "rsa3072", pair=True)] == [False, True]


def test_a_server_is_certified_by_a_ca_for_services(
    root: pki.Authority, openssl: Peer, tmp_path: Path
) -> None:
    """The CA for mail users certifies no server; the one beside it no mail user."""
    mail = root.subordinate("Mail", at=AT)
    services = root.subordinate("Services", profile="issuing-services", at=AT)
    key = keys.generate("p256")
    request = pki.CertificationRequest(key.public_key(), hosts=["imap.example.org"])
    server = pki.Profile.named("tls-server")

    certificate = services.certify(request, profile=server, serial=new_serial(), at=AT)
    with pytest.raises(pki.RequestRefused, match="purposes"):
        mail.certify(request, profile=server, serial=new_serial(), at=AT)
    with pytest.raises(pki.RequestRefused, match="purposes"):
        services.issue("alice@example.org", at=AT)

    files = [tmp_path / name for name in ("root.pem", "services.pem", "server.pem")]
    for file, one in zip(files, (root.certificate, services.certificate, certificate), strict=True):
        file.write_bytes(one.public_bytes(Encoding.PEM))
    check = ("verify", "-x509_strict", "-purpose", "sslserver", "-attime", str(int(AT.timestamp())))
    check += ("-CAfile", str(files[0]), "-untrusted", str(files[1]))
    openssl.run(*check, "-verify_hostname", "imap.example.org", files[2])
    assert openssl.attempt(*check, "-verify_hostname", "example.org", files[2]).returncode


@pytest.mark.parametrize(
    ("profile", "hosts", "addresses", "name", "says"),
    [
        ("tls-server", [], [], "", "no host"),
        ("tls-server", ["imap.example.org"], ["a@example.org"], "", "mail address has no place"),
        ("mailbox", ["imap.example.org"], ["a@example.org"], "", "host has no place"),
        ("ocsp-responder", [], [], "", "needs a name"),
        ("issuing", [], [], "Sub", "certify_authority"),
    ],
)
def test_names_that_a_profile_does_not_have(
    root: pki.Authority,
    profile: str,
    hosts: list[str],
    addresses: list[str],
    name: str,
    says: str,
) -> None:
    request = pki.CertificationRequest(
        keys.generate("p256").public_key(), addresses, name, hosts=hosts
    )
    with pytest.raises(pki.PkiError, match=says):
        root.certify(request, profile=pki.Profile.named(profile), serial=new_serial(), at=AT)


def test_a_responder_and_a_time_stamper(root: pki.Authority) -> None:
    """An OCSP responder is not asked whether it is revoked; time stamping is critical."""
    made = {}
    for profile in ("ocsp-responder", "time-stamping"):
        request = pki.CertificationRequest(keys.generate("p256").public_key(), name=profile)
        chosen = pki.Profile.named(profile)
        made[profile] = root.certify(request, profile=chosen, serial=new_serial(), at=AT)

    assert extension(made["ocsp-responder"], x509.OCSPNoCheck) is not None
    purposes = made["time-stamping"].extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    assert purposes.critical
    assert [one.dotted_string for one in purposes.value] == ["1.3.6.1.5.5.7.3.8"]
    assert extension(made["time-stamping"], x509.OCSPNoCheck) is None


def test_capabilities_are_written_as_in_signed_mail(root: pki.Authority) -> None:
    """The extension holds what the signed attribute of the same name holds (RFC 4262 §2)."""
    from asn1crypto import core

    alice = root.issue("alice@example.org", profile="internal", at=AT)

    [found] = [e for e in alice.certificate.extensions if e.oid.dotted_string.endswith(".9.15")]
    assert not found.critical
    listed = core.SequenceOf(spec=core.Sequence).load(found.value.value)
    assert [one[0].native for one in listed] == ["2.16.840.1.101.3.4.1.42"]
    signing = root.issue("alice@example.org", profile="internal", pair=True, at=AT).certificate
    assert not [e for e in signing.extensions if e.oid.dotted_string.endswith(".9.15")]


def test_nss_believes_the_chain(nss: Peer, tmp_path: Path) -> None:
    """NSS, the library of Thunderbird, takes signer and recipient; it refuses a server."""
    import shutil
    import subprocess

    root = pki.Authority.create("Test CA", algorithm="rsa3072")
    issuing = root.subordinate("Test CA (issuing)", algorithm="p256", domains=["example.org"])
    alice = issuing.issue("alice@example.org", algorithm="rsa2048")
    program = shutil.which("certutil")
    assert program
    store = ["-d", f"sql:{tmp_path}"]

    def certutil(*arguments: str, input: bytes = b"") -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [program, *arguments, *store], input=input, capture_output=True, check=False
        )

    assert certutil("-N", "--empty-password").returncode == 0
    for name, one, trust in (
        ("root", root.certificate, ",C,"),
        ("issuing", issuing.certificate, ",,"),
        ("alice", alice.certificate, ",,"),
    ):
        der = one.public_bytes(Encoding.DER)
        assert certutil("-A", "-n", name, "-t", trust, input=der).returncode == 0
    verdicts = {use: certutil("-V", "-n", "alice", "-u", use).returncode for use in "SRV"}
    assert verdicts["S"] == verdicts["R"] == 0
    assert verdicts["V"] != 0
