"""``smimetool ca challenge``: both halves, for keys that cannot sign a request."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki.audit import audit
from pki.cli import main
from pki.folder import Records
from pki.keys import generate, spki_pem
from smime.cli.main import main as smimetool
from tests.pki.house import PASS, said
from tests.pki.test_requests import stated
from tests.support.peers import Peer

ALICE = "alice@chess.example"


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA; only copied."""
    folder = tmp_path_factory.mktemp("made")
    url = "http://pki.example/club.crl"
    pki.Registrar.create(folder / "club", name="Club", passphrase="secret", crl_url=url).close()
    (folder / "ca-pass").write_text("secret\n")
    (folder / "people-pass").write_text("of people\n")
    return folder


def challenged(name: str = "alice", kind: str = "x25519", address: str = ALICE) -> None:
    key = ["challenge", "key", "--key", kind, "-o", f"{name}.key"]
    main([*key, "--public-key", f"{name}.pub", "--passphrase-file", "people-pass"])
    new = ["challenge", "new", address, "--public-key", f"{name}.pub", *PASS]
    assert main([*new, "-o", f"{name}.challenge"]) == 0


def opened(name: str = "alice") -> list[str]:
    key = ["--key", f"{name}.key", "--key-passphrase-file", "people-pass"]
    out = ["-o", f"{name}.pem", "--answer", f"{name}.answer"]
    return ["challenge", "open", f"{name}.challenge", *key, *out]


@pytest.mark.parametrize("kind", ["x25519", "x448", "mlkem768", "mlkem1024"])
def test_both_halves(club: Path, kind: str, capsys: pytest.CaptureFixture[str]) -> None:
    challenged(kind=kind)
    (before,) = said(capsys, "show", ALICE)["certificates"]
    assert (before["state"], before["reason"]) == ("on-hold", "certificateHold")
    assert said(capsys, *opened())["addresses"] == [ALICE]
    main(["challenge", "answer", ALICE, "--answer", "alice.answer", "-o", "given.pem"])

    assert Path("given.pem").read_bytes() == Path("alice.pem").read_bytes()
    assert said(capsys, "show", ALICE)["certificates"][0]["state"] == "valid"
    with Records.load(club).ledger() as ledger:
        assert audit(ledger).unbroken
    # The certificate is in use: what is sealed to it, its holder opens.
    Path("letter").write_bytes(b"From: b@x.example\r\nSubject: S\r\n\r\nNoon.\r\n")
    assert smimetool(["encrypt", "-t", "alice.pem", "letter", "-o", "sealed"]) == 0
    own = ["-i", "alice.key", "--certificate", "alice.pem", "--passphrase-file", "people-pass"]
    assert smimetool(["decrypt", *own, "sealed", "-o", "read"]) == 0
    assert b"Noon." in Path("read").read_bytes()


def test_until_the_answer_comes(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """It is published nowhere, exported for nobody, released by no other command."""
    challenged()
    (record,) = said(capsys, "list")["certificates"]
    serial = record["serial"]
    main(["crl", *PASS, "-o", "club.crl"])
    (entry,) = x509.load_der_x509_crl(Path("club.crl").read_bytes())
    assert f"{entry.serial_number:x}" == serial
    main(["publish", "--zone", "zone"])
    assert "SMIMEA" not in Path("zone").read_text()
    for words in (["export", ALICE, "-o", "alice.vcf"], ["revoke", serial, "--release"]):
        with pytest.raises(pki.RequestRefused, match="waits for the answer"):
            main(words)
    with pytest.raises(pki.RequestRefused):
        main(["renew", serial, *PASS, "-o", "renewed"])
    assert not Path("alice.vcf").exists()

    main(opened())
    main(["challenge", "answer", serial, "--answer", "alice.answer"])
    for words in (["export", ALICE, "-o", "alice.vcf"], ["publish", "--zone", "zone"]):
        main(words)
    assert "SMIMEA" in Path("zone").read_text()
    # Answered, it is on hold and released like any other.
    main(["revoke", serial, "--reason", "certificateHold"])
    main(["revoke", serial, "--release"])


def test_answers_that_are_none(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    challenged()
    challenged("bob", address="bob@chess.example")
    main(opened())
    main(opened("bob"))
    answer = ["challenge", "answer", ALICE, "--answer"]
    with pytest.raises(pki.RequestRefused, match="not the answer"):
        main([*answer, "bob.answer"])
    Path("wrong").write_text("answer: 00\n")
    with pytest.raises(smime.MalformedMail):
        main([*answer, "wrong"])
    states = [one["state"] for one in said(capsys, "list")["certificates"]]
    assert states == ["on-hold", "on-hold"]
    main([*answer, "alice.answer"])
    main([*answer, "alice.answer", "-o", "again.pem"])  # once more does no harm
    assert Path("again.pem").read_bytes() == Path("alice.pem").read_bytes()
    main(["issue", "carol@chess.example", "--key", "p256", *PASS, "-o", "carol.p12",
          "--write-passphrase", "carol-pass"])  # fmt: skip
    with pytest.raises(pki.RequestRefused, match="waits for no answer"):
        main(["challenge", "answer", "carol@chess.example", "--answer", "bob.answer"])
    # Taken back in the meantime: no answer brings it back.
    main(["revoke", "bob@chess.example", "--all"])
    with pytest.raises(pki.RequestRefused, match="not on hold"):
        main(["challenge", "answer", "bob@chess.example", "--answer", "bob.answer"])


def test_who_cannot_open_it(club: Path) -> None:
    challenged()
    challenged("bob", address="bob@chess.example")
    shutil.copy("bob.key", "alice.key")
    with pytest.raises(smime.DecryptionFailed):
        main(opened())
    with pytest.raises(pki.WrongPassphrase):
        main([*opened(), "--key-passphrase-file", "ca-pass"])
    with pytest.raises(pki.Unattended):
        main([word for word in opened() if word not in ("--key-passphrase-file", "people-pass")])
    assert not Path("alice.pem").exists()
    assert not Path("alice.answer").exists()
    main(opened("bob"))


def test_keys_that_get_no_challenge(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One that only signs, one of somebody else, what is no key: nothing is recorded."""
    challenged()
    before = len(said(capsys, "list")["certificates"])
    key = generate("ed25519").public_key()
    Path("signs.pub").write_bytes(spki_pem(key))
    Path("none.pub").write_bytes(b"none")
    for address, file, error in (
        (ALICE, "signs.pub", smime.SmimeError),
        (ALICE, "none.pub", pki.RequestRefused),
        ("mallory@chess.example", "alice.pub", pki.RequestRefused),
        ("no address", "alice.pub", pki.RequestRefused),
    ):
        with pytest.raises(error):
            main(["challenge", "new", address, "--public-key", file, *PASS, "-o", "new"])
        assert not Path("new").exists()
    assert len(said(capsys, "list")["certificates"]) == before


def test_what_cannot_be_written_is_not_recorded(club: Path) -> None:
    key = generate("x25519").public_key()
    request = pki.CertificationRequest(key, [ALICE])

    def full(_: object) -> None:
        raise OSError(28, "no space left")

    with pki.Registrar.load(club, passphrase="secret") as ca:
        before = ca.ledger.head()
        with pytest.raises(OSError, match="no space"):
            ca.challenge(request, stage=full)
        assert ca.ledger.head() == before
        ca.challenge(request)


def test_a_changed_challenge_is_found_by_the_audit(club: Path) -> None:
    challenged()
    for change in ("answered = 1", "sha256 = zeroblob(32)"):
        shutil.copy(club / "ledger.db", "kept.db")
        with sqlite3.connect(club / "ledger.db") as database:
            database.execute(f"UPDATE challenges SET {change}")
        database.close()
        with Records.load(club).ledger() as ledger:
            assert audit(ledger).outcome == "rewritten"
        shutil.copy("kept.db", club / "ledger.db")
    with Records.load(club).ledger() as ledger:
        assert audit(ledger).unbroken


def test_openssl_makes_the_key_and_reads_the_answer(club: Path, openssl: Peer) -> None:
    """A holder without this command: what RSA keys are sealed with, openssl opens."""
    for kind, options in (("X25519", ()), ("RSA", ("-pkeyopt", "rsa_keygen_bits:2048"))):
        Path("alice.key").write_bytes(openssl.run("genpkey", "-algorithm", kind, *options))
        openssl.run("pkey", "-in", "alice.key", "-pubout", "-out", "alice.pub")
        name = f"{kind}.challenge"
        main(["challenge", "new", ALICE, "--public-key", "alice.pub", *PASS, "-o", name])
        out = ["-o", f"{kind}.pem", "--answer", f"{kind}.answer"]
        main(["challenge", "open", name, "--key", "alice.key", *out])
    opens = ("cms", "-decrypt", "-inform", "DER", "-in", "RSA.challenge", "-inkey", "alice.key")
    openssl.run(*opens, "-out", "all")  # the answer, and the certificates after it
    for answer in ("X25519.answer", "all"):
        main(["challenge", "answer", ALICE, "--answer", answer])
    openssl.run(
        *("verify", "-CAfile", "club/root.pem", "-untrusted", "club/issuing.pem", "X25519.pem")
    )


def test_a_statement_by_a_certified_key(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """RFC 9883, from the command: no challenge is needed, and the log says whose word it was."""
    signer, reading = generate("p256"), generate("x25519")
    csr = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    Path("sign.csr").write_bytes(csr.sign(signer, SHA256()).public_bytes(Encoding.PEM))
    main(["sign-csr", "sign.csr", ALICE, "--profile", "signing", *PASS, "-o", "signing.pem"])
    known = x509.load_pem_x509_certificates(Path("signing.pem").read_bytes())[0]
    asked = stated(reading, signer, known.issuer.public_bytes(), known.serial_number)
    Path("read.csr").write_bytes(asked)

    words = ["--profile", "encryption", *PASS, "-o"]
    made = said(capsys, "sign-csr", "read.csr", ALICE, *words, "reading.pem")["certificate"]

    assert made["state"] == "valid"
    with pytest.raises(pki.RequestRefused, match="not one for"):
        main(["sign-csr", "read.csr", "bob@chess.example", *words, "bob.pem"])
    assert not Path("bob.pem").exists()
