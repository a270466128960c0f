"""``smimetool ca issue --pair, escrow, recover, rekey, export, publish`` as people type them."""

from __future__ import annotations

import json
import os
import re
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_der_private_key,
)

import pki
import smime
from pki.audit import audit
from pki.cli import main
from pki.folder import Records
from tests.pki.house import P12, PASS, issue, loaded, said
from tests.support.peers import Peer

REASON = ("--reason", "lost laptop")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA, and the keys of three recovery agents beside it. Only copied."""
    folder = tmp_path_factory.mktemp("made")
    urls = {
        "crl_url": "http://pki.example/club.crl",
        "ca_url": "http://pki.example/club.cer",
        "ocsp_url": "http://pki.example/ocsp",
    }
    pki.Registrar.create(folder / "club", name="Club", passphrase="secret", **urls).close()
    elsewhere = pki.Authority.create("Elsewhere")
    for name in ("ann", "ben", "cem"):
        agent = elsewhere.issue(f"{name}@board.example")
        (folder / f"{name}.p12").write_bytes(agent.to_p12("of the agent"))
        (folder / f"{name}.pem").write_bytes(agent.certificate.public_bytes(Encoding.PEM))
    (folder / "ca-pass").write_text("secret\n")
    (folder / "people-pass").write_text("of people\n")
    (folder / "agent-pass").write_text("of the agent\n")
    return folder


def agent(*names: str) -> list[str]:
    return [
        word
        for name in names
        for word in ("-i", f"{name}.p12", "--identity-passphrase-file", "agent-pass")
    ]


def entries(club: Path, kind: str) -> list[dict[str, object]]:
    from pki import tables

    with Records.load(club).ledger() as ledger, ledger.reading() as connection:
        assert audit(ledger).unbroken
        rows = connection.execute(
            tables.sql.select(tables.events).where(tables.events.c.kind == kind)
        ).all()
    return [{"serial": row.serial, **json.loads(row.detail)} for row in rows]


def mail_to(identity: smime.Identity) -> bytes:
    text = b"From: b@chess.example\r\nTo: alice@chess.example\r\n\r\nold news\r\n"
    return bytes(smime.encrypt(text, to=identity.recipient))


# --- issue ------------------------------------------------------------------


@pytest.mark.parametrize(
    ("kind", "signs", "reads"),
    [
        ("p256", "EC", "EC"),
        ("ed25519", "Ed25519", "X25519"),
        ("mldsa65", "MLDSA65", "MLKEM768"),
    ],
)
def test_a_pair_signs_with_one_key_and_reads_with_the_other(
    club: Path, capsys: pytest.CaptureFixture[str], kind: str, signs: str, reads: str
) -> None:
    options = ["--key", kind, *(["--pair"] if kind == "p256" else [])]
    made = said(capsys, "issue", "alice@chess.example", *options, *PASS, *P12, "-o", "alice.p12")

    assert [one["profile"] for one in made["certificates"]] == ["signing", "encryption"]
    alice = loaded("alice.p12")
    assert signs in type(alice.certificate.public_key()).__name__
    assert reads in type(alice.recipient.certificate.public_key()).__name__
    assert alice.certificate != alice.recipient.certificate
    trust = smime.Anchors.load("club/root.pem")
    letter = b"From: alice@chess.example\r\nTo: b@chess.example\r\n\r\nhello\r\n"
    assert smime.verify(bytes(smime.sign(letter, by=alice)), trust=trust).signer
    opened = smime.decrypt(mail_to(alice), keys=alice, trust=trust)
    assert b"old news" in bytes(opened.content)
    written = x509.load_pem_x509_certificates(Path("alice.pem").read_bytes())
    assert written[:2] == [alice.certificate, alice.recipient.certificate]


def test_the_three_urls_are_in_the_certificate(club: Path) -> None:
    main(issue("alice"))

    extensions = loaded("alice.p12").certificate.extensions
    access = extensions.get_extension_for_class(x509.AuthorityInformationAccess).value
    assert {one.access_location.value for one in access} == {
        "http://pki.example/ocsp",
        "http://pki.example/club.cer",
    }
    assert Records.load(club).ocsp_url == "http://pki.example/ocsp"


def test_a_profile_of_the_cas_own(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """By its name it can be renewed; one from a file elsewhere is used once."""
    (club / "profiles").mkdir()
    own = 'based_on = "mailbox"\nlifetime_days = 90\nsubject_allowed = ["organization"]\n'
    (club / "profiles" / "members.toml").write_text(own)
    Path("guest.toml").write_text(own)

    options = ("--profile", "members", "--subject", "organization=Chess")
    (one,) = said(capsys, *issue("a", *options))["certificates"]
    assert (one["profile"], "O=Chess" in one["subject"]) == ("members", True)
    renewed = said(capsys, "renew", one["serial"], *PASS, "-o", "new")["renewed"]
    assert renewed[0]["certificate"]["profile"] == "members"
    (pair, _) = said(capsys, *issue("b", "--pair", *options))["certificates"]
    assert pair["profile"] == "members-signing"
    main(["rekey", pair["serial"], *PASS, *P12, "-o", "c.p12"])

    (guest,) = said(capsys, *issue("d", "--profile", "guest.toml"))["certificates"]
    assert guest["profile"] == "own"
    with pytest.raises(pki.RequestRefused):
        main(["renew", guest["serial"], *PASS])
    with pytest.raises(pki.ProfileProblem) as refused:
        main(issue("e", "--profile", "nowhere"))
    assert "profiles/nowhere.toml" in refused.value.hint


@pytest.mark.parametrize("given", ["organization", "colour=red", "common_name=x"])
def test_a_subject_that_is_none_is_wrong_usage(club: Path, given: str) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(issue("a", "--subject", given))
    assert stopped.value.code == 2
    assert not Path("a.p12").exists()


# --- kept keys --------------------------------------------------------------


def test_one_agent_gets_all_former_keys_back(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["escrow", "agents", "ann.pem", "ben.pem"])
    first = said(capsys, *issue("first", "--pair"))
    second = said(capsys, "rekey", "alice@chess.example", *PASS, *P12, "-o", "second.p12")
    assert (len(first["kept"]), len(second["kept"])) == (1, 1)
    letters = [mail_to(loaded(name)) for name in ("first.p12", "second.p12")]

    made = said(
        capsys, "recover", "alice@chess.example", *REASON, *agent("ben"), *P12, "-o", "back"
    )

    assert made["recovered"] == [*second["kept"], *first["kept"]]
    assert sorted(made["written"]) == sorted(f"back/{path.name}" for path in Path("back").iterdir())
    assert {path.stat().st_mode & 0o777 for path in Path("back").iterdir()} == {0o600}
    keys = [loaded(path) for path in made["written"]]
    for letter in letters:
        opened = smime.decrypt(letter, keys=keys, trust=smime.Anchors.load("club/root.pem"))
        assert b"old news" in bytes(opened.content)
    assert [(one["reason"], one["by"]) for one in entries(club, "recovered")] == [
        ("lost laptop", "ben@board.example")
    ] * 2


def test_all_former_keys_in_one_file(
    club: Path, capsys: pytest.CaptureFixture[str], openssl: Peer
) -> None:
    main(["escrow", "agents", "ann.pem"])
    main(issue("first", "--pair"))
    main(["rekey", "alice@chess.example", *PASS, *P12, "-o", "second.p12"])
    letters = [mail_to(loaded(name)) for name in ("first.p12", "second.p12")]

    wanted = ("-o", "back", "--single", *P12)
    (path,) = said(capsys, "recover", "alice@chess.example", *REASON, *agent("ann"), *wanted)[
        "written"
    ]

    read = openssl.run("pkcs12", "-in", path, "-noenc", "-passin", "file:people-pass")
    assert read.count(b"BEGIN PRIVATE KEY") == 2
    keys = smime.Identity.load_all(path, passphrase="of people")
    for letter in letters:
        opened = smime.decrypt(letter, keys=keys, trust=smime.Anchors.load("club/root.pem"))
        assert b"old news" in bytes(opened.content)


def test_who_stops_at_new_kinds_of_keys_in_one_file_is_said(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["escrow", "agents", "ann.pem"])
    for name, kind, said_of in (("ec", "p256", False), ("new", "mldsa65", True)):
        main(issue(name, "--pair", "--key", kind, address=f"{name}@chess.example"))
        wanted = ("recover", f"{name}@chess.example", *REASON, *agent("ann"), *P12, "-o")
        capsys.readouterr()
        main([*wanted, f"{name}-apart"])
        assert "Thunderbird" not in capsys.readouterr().err
        main([*wanted, name, "--single"])
        assert ("mlkem768 keys: Thunderbird" in capsys.readouterr().err) is said_of


@pytest.mark.skipif(os.name != "posix", reason="platform: no modes of POSIX")
def test_a_web_server_reads_what_is_published_for_it(club: Path) -> None:
    before = os.umask(0o077)
    try:
        main(["publish", "--static", "www"])
    finally:
        os.umask(before)
    assert Path("www").stat().st_mode & 0o777 == 0o755
    assert {file.stat().st_mode & 0o777 for file in Path("www").iterdir()} == {0o644}


def test_two_agents_are_needed_where_it_takes_two(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["escrow", "agents", "ann.pem", "ben.pem", "cem.pem", "--threshold", "2"])
    main(issue("alice", "--pair"))
    wanted = ("recover", "alice@chess.example", *REASON, *P12)

    with pytest.raises(smime.DecryptionFailed):
        main([*wanted, *agent("ann"), "-o", "alone"])
    assert not Path("alone").exists()
    assert entries(club, "recovered") == []

    main([*wanted, *agent("ann", "cem"), "-o", "both"])
    assert len(list(Path("both").iterdir())) == 1

    given = ("escrow", "hand-over", "alice@chess.example", *REASON)
    (letter,) = said(capsys, *given, *agent("ben"), "--to", "cem.pem", "-o", "for-cem")["written"]
    main([*wanted, *agent("cem"), "--handed-over", letter, "-o", "apart"])
    assert len(list(Path("apart").iterdir())) == 1
    with pytest.raises(smime.DecryptionFailed):
        main([*wanted, *agent("ann"), "--handed-over", letter, "-o", "not for ann"])
    assert [one["by"] for one in entries(club, "handed-over")] == ["ben@board.example"]


def test_agents_change_only_by_sealing_anew(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["escrow", "agents", "ann.pem", "ben.pem"])
    main(["escrow", "agents", "ben.pem", "ann.pem"])  # the same ones
    for name in ("a", "b"):
        main(issue(name, "--pair", address=f"{name}@chess.example"))
    with pytest.raises(pki.RequestRefused, match="2 keys are kept") as refused:
        main(["escrow", "agents", "cem.pem"])
    assert "rotate" in refused.value.hint
    with pytest.raises(smime.DecryptionFailed):
        main(["escrow", "rotate", "cem.pem", *agent("cem")])
    assert said(capsys, "escrow", "show")["left"] == 0

    now = said(capsys, "escrow", "rotate", "cem.pem", *agent("ann"))

    assert [one["addresses"] for one in now["agents"]] == [["cem@board.example"]]
    assert (now["kept"], now["left"]) == (2, 0)
    wanted = ("recover", "b@chess.example", *REASON, *P12)
    main([*wanted, *agent("cem"), "-o", "back"])
    with pytest.raises(smime.DecryptionFailed):
        main([*wanted, *agent("ann"), "-o", "gone"])


def test_what_signs_is_never_kept(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(pki.RequestRefused, match="no recovery agents"):
        main(issue("a", "--pair", "--keep"))
    main(["escrow", "agents", "ann.pem"])
    with pytest.raises(pki.RequestRefused, match="never kept"):
        main(issue("b", "--keep"))
    assert not Path("b.p12").exists()
    assert said(capsys, *issue("c"))["kept"] == []
    assert said(capsys, *issue("d", "--pair", "--no-keep"))["kept"] == []
    with pytest.raises(pki.RequestRefused, match="no key is kept"):
        main(["recover", "alice@chess.example", *REASON, *agent("ann"), *P12, "-o", "x"])


@pytest.mark.parametrize("reason", ["", "  ", "a\x1b[2J", "x" * 1_001])
def test_recovery_without_a_reason_is_refused(club: Path, reason: str) -> None:
    main(["escrow", "agents", "ann.pem"])
    main(issue("alice", "--pair"))

    with pytest.raises(pki.RequestRefused, match="reason"):
        main(["recover", "alice@chess.example", "--reason", reason, *agent("ann"), *P12, "-o", "x"])
    assert not Path("x").exists()


@pytest.mark.parametrize(
    "arguments",
    [
        ["recover", "alice@chess.example", *REASON, "-i", "ann.p12", *P12, "-o", "x"],
        ["recover", "alice@chess.example", *REASON, *agent("ann"), "-o", "x"],
        ["escrow", "rotate", "ben.pem", "-i", "ann.p12"],
        ["rekey", "alice@chess.example", *P12, "-o", "x.p12"],
        ["root", "init", "root", "--name", "Root"],
        ["root", "request", "new", "--name", "Club", "-o", "x"],
    ],
)
def test_without_a_terminal_nothing_waits(club: Path, arguments: list[str]) -> None:
    main(["escrow", "agents", "ann.pem"])
    main(issue("alice", "--pair"))
    before = sorted(Path().rglob("*"))

    with pytest.raises(pki.Unattended):
        main(arguments)
    assert sorted(Path().rglob("*")) == before


# --- rekey ------------------------------------------------------------------


def test_after_a_rekey_old_mail_stays_readable(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(issue("old"))
    main(["rekey", "alice@chess.example", *PASS, *P12, "-o", "new.p12"])

    old, new = loaded("old.p12"), loaded("new.p12")
    assert old.certificate.public_key() != new.certificate.public_key()
    assert isinstance(new.certificate.public_key(), ec.EllipticCurvePublicKey)
    found = said(capsys, "list", "--search", "alice")["certificates"]
    assert [one["state"] for one in found] == ["valid", "valid"]
    assert found[1]["renews"] == found[0]["serial"]
    trust = smime.Anchors.load("club/root.pem")
    opened = smime.decrypt(mail_to(old), keys=[new, old], trust=trust)
    assert b"old news" in bytes(opened.content)
    main(["rekey", "alice@chess.example", "--key", "rsa2048", *PASS, *P12, "-o", "rsa.p12"])
    assert isinstance(loaded("rsa.p12").certificate.public_key(), rsa.RSAPublicKey)


# --- export and publish -----------------------------------------------------


def test_export_in_every_form(
    club: Path, capsys: pytest.CaptureFixture[str], openssl: Peer
) -> None:
    main(issue("alice", "--pair"))
    alice = loaded("alice.p12")
    both = [alice.certificate, alice.recipient.certificate]

    for name in ("a.pem", "a.p7c", "a.vcf"):
        assert said(capsys, "export", "alice@chess.example", "-o", name)["written"] == name
    serial = f"{alice.certificate.serial_number:x}"
    main(["export", serial, "-o", "a.cer"])
    main(["export", serial, "-o", "chain.pem", "--chain"])

    assert x509.load_pem_x509_certificates(Path("a.pem").read_bytes()) == both
    assert x509.load_der_x509_certificate(Path("a.cer").read_bytes()) == both[0]
    p7c = openssl.run("pkcs7", "-inform", "DER", "-in", "a.p7c", "-print_certs")
    assert p7c.count(b"BEGIN CERTIFICATE") == 4
    assert Path("a.vcf").read_bytes().count(b"KEY:data:application/pkix-cert") == 2
    assert openssl.run("verify", "-CAfile", "club/root.pem", "-untrusted", "chain.pem", "chain.pem")
    for wrong in (["-o", "a"], ["-o", "b.cer"], ["-o", "b.p12"], ["-o", "b.pem", "--key", "k"]):
        with pytest.raises(SystemExit):
            main(["export", "alice@chess.example", *wrong])
    with pytest.raises(FileExistsError):
        main(["export", serial, "-o", "a.cer"])


def test_export_joins_a_key_that_its_holder_made(club: Path) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    Path("dora.key").write_bytes(pem)
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([])).sign(key, SHA256())
    Path("dora.csr").write_bytes(csr.public_bytes(Encoding.DER))
    main(["sign-csr", "dora.csr", "dora@chess.example", *PASS, "-o", "dora.pem"])

    main(["export", "dora@chess.example", "--key", "dora.key", *P12, "-o", "dora.p12"])

    dora = loaded("dora.p12")
    assert dora.addresses == ("dora@chess.example",)
    assert len(dora.chain) == 1
    main(issue("other", address="e@chess.example"))
    with pytest.raises(smime.KeyProblem):
        main(["export", "e@chess.example", "--key", "dora.key", *P12, "-o", "e.p12"])
    assert not Path("e.p12").exists()


def test_publish_writes_what_each_server_takes(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(issue("alice", "--pair"))
    main(issue("bob", address="bob@chess.example"))
    main(["revoke", "bob@chess.example"])
    main(["crl", *PASS])

    dn = "uid={local},ou=people,dc=chess,dc=example"
    targets = ("--static", "www", "--zone", "zone", "--ldif", "ldif", "--dn", dn)
    made = said(capsys, "publish", *targets, "--ca-dn", "cn=ca,dc=chess,dc=example")

    assert made["people"] == 1
    assert {path.name for path in Path("www").iterdir()} == {"root.cer", "club.cer", "club.crl"}
    assert Path("www/club.crl").read_bytes() == (club / "crl" / "ca.crl").read_bytes()
    ldif = Path("ldif").read_text()
    alice, bob, own = re.split(r"\ndn: ", ldif)[1:]
    assert alice.startswith("uid=alice,")
    assert alice.count("userCertificate;binary::") == 1  # the one that reads
    assert "userCertificate;binary::" not in bob  # and what was published once goes
    assert "replace: userCertificate;binary\n-" in bob
    assert "certificateRevocationList;binary" in own
    zone = Path("zone").read_text()
    assert zone.count("SMIMEA 3 0 0") == 1
    reading = loaded("alice.p12").recipient.certificate
    assert reading.public_bytes(Encoding.DER).hex()[:120] in zone
    again = {path: path.read_bytes() for path in Path("www").iterdir()}
    main(["publish", *targets])
    assert {path: path.read_bytes() for path in Path("www").iterdir()} == again


@pytest.mark.parametrize(
    "arguments",
    [[], ["--ldif", "x"], ["--dn", "x", "--zone", "y"], ["--ldif", "x", "--dn", "uid={uid}"]],
)
def test_publishing_nothing_is_wrong_usage(club: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["publish", *arguments])
    assert stopped.value.code == 2


def test_the_recovered_key_is_the_right_one(club: Path) -> None:
    """Read without our own reader: the library's."""
    from cryptography.hazmat.primitives.serialization import pkcs12

    main(["escrow", "agents", "ann.pem"])
    main(issue("alice", "--pair"))
    main(["recover", "alice@chess.example", *REASON, *agent("ann"), *P12, "-o", "back"])

    (path,) = Path("back").iterdir()
    key, certificate, more = pkcs12.load_key_and_certificates(path.read_bytes(), b"of people")
    assert certificate == loaded("alice.p12").recipient.certificate
    assert key.public_key() == certificate.public_key()
    assert len(more) == 1
    der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    assert load_der_private_key(der, None).private_numbers() == key.private_numbers()
