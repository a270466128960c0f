"""``smimetool ca root`` and ``ca init``: roots on machines of their own, kinds of CAs."""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki.cli import main
from pki.folder import Records
from tests.pki.house import PASS, issue, loaded, said
from tests.support.peers import Peer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA with its root beside it. Only copied."""
    folder = tmp_path_factory.mktemp("made")
    pki.Registrar.create(folder / "club", name="Club", passphrase="secret").close()
    (folder / "ca-pass").write_text("secret\n")
    (folder / "people-pass").write_text("of people\n")
    return folder


def test_a_root_on_a_machine_of_its_own(
    club: Path, capsys: pytest.CaptureFixture[str], openssl: Peer
) -> None:
    """Four steps; only two files travel."""
    root = said(capsys, "root", "init", "usb", "--name", "Club Root", *PASS)
    asked = said(
        capsys, "root", "request", "new", "--name", "Club Mail", *PASS, "-o", "request.pem"
    )
    assert asked == {"request": "request.pem", "folder": "new"}
    answered = said(
        capsys,
        *("root", "sign-request", "request.pem", "--root-dir", "usb", "--name", "Club Post"),
        *("--domain", "chess.example", "--crl-url", "http://pki.example/root.crl"),
        *("-o", "answer.pem", *PASS),
    )
    assert (answered["wished"], answered["subject"]) == ("CN=Club Mail", "CN=Club Post")
    made = said(
        capsys,
        *("root", "accept", "answer.pem", "new", *PASS),
        *("--crl-url", "http://pki.example/post.crl", "--ocsp-url", "http://pki.example/ocsp"),
    )

    assert made["root_sha256"] == root["sha256"]
    assert not Path("new/private/root.key.pem").exists()
    main([*issue("alice"), "--ca-dir", "new"])
    check = ("verify", "-purpose", "smimesign", "-CAfile", "new/root.pem")
    openssl.run(*check, "-untrusted", "alice.pem", "alice.pem")
    with pytest.raises(pki.RequestRefused):
        main([*issue("eve", address="eve@other.example"), "--ca-dir", "new"])
    main(["crl", "--ca-dir", "new", *PASS])
    assert said(capsys, "audit", "--ca-dir", "new")["outcome"] == "unbroken"
    with pytest.raises(pki.AuthorityExists):
        main(["root", "accept", "answer.pem", "new", *PASS])


def test_the_root_takes_a_ca_back(
    club: Path, capsys: pytest.CaptureFixture[str], openssl: Peer
) -> None:
    """With --revoke once; later lists hold it too."""
    main(["root", "init", "usb", "--name", "Club Root", *PASS])
    main(["root", "request", "new", "--name", "Club Mail", *PASS, "-o", "request.pem"])
    sign = ("root", "sign-request", "request.pem", "--root-dir", "usb", "--name", "Club Mail")
    main([*sign, *PASS, "-o", "answer.pem"])
    main(["root", "accept", "answer.pem", "new", *PASS])
    main([*issue("alice"), "--ca-dir", "new"])
    sign = ("root", "crl", "--root-dir", "usb", "-o", "root.crl", *PASS)
    assert said(capsys, *sign)["revoked"] == []
    with pytest.raises(pki.RequestRefused, match="another root"):
        main([*sign, "--revoke", "club/issuing.pem"])

    (serial,) = said(capsys, *sign, "--revoke", "new/issuing.pem")["revoked"]

    assert said(capsys, *sign)["revoked"] == [serial]
    crl = x509.load_der_x509_crl(Path("root.crl").read_bytes())
    assert [f"{one.serial_number:x}" for one in crl] == [serial]
    main(["crl", "--ca-dir", "new", *PASS, "-o", "issuing.crl"])
    lists = [Path(name).read_bytes() for name in ("root.crl", "issuing.crl")]
    pem = b"".join(x509.load_der_x509_crl(one).public_bytes(Encoding.PEM) for one in lists)
    Path("crls.pem").write_bytes(pem)
    check = ("verify", "-CAfile", "new/root.pem", "-untrusted", "new/issuing.pem")
    openssl.run(*check, "alice.pem")
    refused = openssl.attempt(*check, "-crl_check_all", "-CRLfile", "crls.pem", "alice.pem")
    assert b"revoked" in refused.stderr


def test_an_answer_that_is_none_makes_no_ca(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["root", "init", "usb", "--name", "Club Root", *PASS])
    main(["root", "request", "new", "--name", "Club Mail", *PASS, "-o", "request.pem"])
    main(["root", "request", "other", "--name", "Other", *PASS, "-o", "other.pem"])
    sign = ("root", "sign-request", "--root-dir", "usb", "--name", "N", *PASS)
    main([*sign, "other.pem", "-o", "other-answer.pem"])
    before = sorted(Path().rglob("*"))

    with pytest.raises(pki.NoAuthority, match="another key"):
        main(["root", "accept", "other-answer.pem", "new", *PASS])
    with pytest.raises(pki.NoAuthority):
        main(["root", "accept", "request.pem", "new", *PASS])
    with pytest.raises(pki.NoAuthority, match="no request"):
        main(["root", "accept", "other-answer.pem", "nowhere", *PASS])
    with pytest.raises(pki.WrongPassphrase):
        main(["root", "accept", "other-answer.pem", "other", "--passphrase-file", "people-pass"])
    with pytest.raises(pki.RequestRefused):
        main(["root", "accept", "other-answer.pem", "other", *PASS, "--crl-url", "no url"])
    with pytest.raises(pki.RequestRefused):
        main([*sign, "other-answer.pem", "-o", "x"])
    with pytest.raises(pki.Unattended):
        main(["root", "sign-request", "other.pem", "--root-dir", "usb", *PASS, "-o", "x"])
    assert sorted(Path().rglob("*")) == before
    main(["root", "accept", "other-answer.pem", "other", *PASS])


def test_kinds_of_keys_of_a_ca(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "pq", "--name", "PQ", "--root-key", "mldsa87", "--key", "mldsa65", *PASS])
    main([*issue("alice"), "--ca-dir", "pq"])
    main(["crl", "--ca-dir", "pq", *PASS])

    crl = x509.load_der_x509_crl(Path("pq/crl/ca.crl").read_bytes())
    assert crl.is_signature_valid(Records.load("pq").issuing.public_key())
    trust = smime.Anchors.load("pq/root.pem")
    letter = b"From: alice@chess.example\r\n\r\nhello\r\n"
    assert smime.verify(bytes(smime.sign(letter, by=loaded("alice.p12"))), trust=trust).signer
    with pytest.raises(SystemExit):
        main(["init", "x", "--name", "X", "--rsa", "--key", "p256", *PASS])


def test_a_server_gets_its_certificate(club: Path, openssl: Peer) -> None:
    """A CA for services certifies hosts; a CA for mail refuses them."""
    main(["init", "services", "--name", "Services", "--kind", "issuing-services", *PASS])
    key = ec.generate_private_key(ec.SECP256R1())
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    Path("imap.csr").write_bytes(csr.public_bytes(Encoding.PEM))
    sign = (
        "sign-csr",
        "imap.csr",
        "--host",
        "imap.chess.example",
        "--profile",
        "tls-server",
        *PASS,
    )

    with pytest.raises((pki.RequestRefused, pki.ProfileProblem)):
        main([*sign, "--ca-dir", "club", "-o", "no.pem"])
    main([*sign, "--ca-dir", "services", "-o", "imap.pem"])

    check = ("verify", "-purpose", "sslserver", "-verify_hostname", "imap.chess.example")
    openssl.run(*check, "-CAfile", "services/root.pem", "-untrusted", "imap.pem", "imap.pem")


def test_another_root_is_believed_for_its_own_domain(
    club: Path, openssl: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    """Who trusts our root believes their users, at their domain alone; by files."""
    main(["root", "init", "usb", "--name", "Club Root", *PASS])
    for address in ("gina@go.example", "gina@chess.example"):
        main(["issue", address, "--key", "p256", "--ca-dir", "club", *PASS, "--p12-passphrase-file",
              "people-pass", "-o", f"{address}.p12"])  # fmt: skip
    sha256 = said_of("club/root.pem").upper()
    cross = ["root", "cross-certify", "club/root.pem", "--root-dir", "usb", *PASS]
    cross += ["--domain", "go.example", "-o", "cross.pem"]

    with pytest.raises(pki.Unattended):
        main(cross)
    with pytest.raises(pki.RequestRefused, match="another fingerprint"):
        main([*cross, "--fingerprint", sha256.replace("A", "B").replace("1", "2")])
    assert not Path("cross.pem").exists()
    made = said(capsys, *cross, "--fingerprint", sha256)

    assert made["written"] == "cross.pem"
    Path("between").write_bytes(
        Path("cross.pem").read_bytes() + Path("club/issuing.pem").read_bytes()
    )
    check = ("verify", "-CAfile", "usb/root.pem", "-untrusted", "between")
    openssl.run(*check, "gina@go.example.pem")
    refused = openssl.attempt(*check, "gina@chess.example.pem")
    assert b"permitted subtree" in refused.stderr
    with pytest.raises(pki.RequestRefused):  # a root does not vouch for itself
        main(["root", "cross-certify", "usb/root.pem", "--root-dir", "usb", *PASS, "-o", "self.pem",
              "--fingerprint", said_of("usb/root.pem")])  # fmt: skip


def said_of(path: str) -> str:
    certificate = x509.load_pem_x509_certificate(Path(path).read_bytes())
    return certificate.fingerprint(SHA256()).hex()
