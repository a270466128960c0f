"""A CA in a folder whose issuing key is in a token: made below an offline root, by the command."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.x509 import ocsp

import pki
import smime
from pki.audit import audit
from pki.cli import main
from pki.folder import Records
from tests.support.hsm import PIN
from tests.support.peers import Peer

ROOT_PASS = ("--passphrase-file", "root-pass")
WITH_PIN = ("--passphrase-file", "pin")
P12 = ("--p12-passphrase-file", "people-pass")
URLS = ("--crl-url", "http://pki.example/club.crl", "--ca-url", "http://pki.example/club.cer")


@pytest.fixture
def module(softhsm: Peer, token_module: str) -> str:
    return token_module


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_locks: None, module: str) -> Path:
    """A folder with an offline root."""
    monkeypatch.chdir(tmp_path)
    for name, text in (("root-pass", "of the root"), ("pin", PIN), ("people-pass", "of people")):
        Path(name).write_text(f"{text}\n")
    Path("log-pass").write_text("of the log\n")
    main(["root", "init", "usb", "--name", "Club Root", *ROOT_PASS])
    return tmp_path


def token(module: str, key: str) -> tuple[str, ...]:
    place = ("--token", module, "--token-label", "Registrar", "--token-key", key)
    return (*place, "--pin-passphrase-file", "pin")


def test_its_life(
    here: Path, module: str, openssl: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["root", "request", "club", "--name", "Club", *token(module, "life"), "-o", "request"])
    assert list(Path("club/private").iterdir()) == []
    sign = ("root", "sign-request", "request", "--root-dir", "usb", "--name", "Club")
    main([*sign, *ROOT_PASS, "-o", "answer"])
    accept = ("root", "accept", "answer", "club", *token(module, "life"), *URLS)
    main([*accept, "--passphrase-file", "log-pass"])

    assert {path.name for path in Path("club/private").iterdir()} == {"log.key.pem"}
    assert Records.load("club").token == module
    issue = ("issue", "alice@chess.example", "--key", "p256", *P12, "-o", "alice.p12")
    main([*issue, *WITH_PIN])
    main(["rekey", "alice@chess.example", *P12, *WITH_PIN, "-o", "new.p12"])
    main(["renew", "alice@chess.example", *WITH_PIN, "-o", "renewed"])
    main(["revoke", "alice@chess.example", "--all"])
    main(["crl", *WITH_PIN])
    crl = x509.load_der_x509_crl(Path("club/crl/ca.crl").read_bytes())
    assert crl.is_signature_valid(Records.load("club").issuing.public_key())
    assert len(list(crl)) == 3
    openssl.run(
        *("verify", "-CAfile", "club/root.pem", "-untrusted", "club/issuing.pem", "new.pem")
    )
    openssl.run("ocsp", "-issuer", "club/issuing.pem", "-cert", "new.pem", "-reqout", "asked")
    main(["ocsp", "asked", "-o", "answered", *WITH_PIN])
    said = openssl.run(
        *("ocsp", "-respin", "answered", "-issuer", "club/issuing.pem", "-cert", "new.pem"),
        *("-CAfile", "club/root.pem", "-verify_other", "club/issuing.pem", "-no_nonce"),
    )
    assert b"revoked" in said
    # What is locked in files has a passphrase of its own: a PIN is short.
    main(["audit", "--checkpoint-to", "kept", "--passphrase-file", "log-pass"])
    with pytest.raises(pki.WrongPassphrase):
        main(["audit", "--checkpoint-to", "other", *WITH_PIN])
    main(["backup", "-o", "club.tar"])
    capsys.readouterr()
    main(["show", "--json"])
    assert json.loads(capsys.readouterr().out)["issued"] == 4  # and the responder's
    with Records.load("club").ledger() as ledger:
        assert audit(ledger).unbroken


def test_what_does_not_work_is_said(here: Path, module: str) -> None:
    main(["root", "request", "club", "--name", "Club", *token(module, "bad"), "-o", "request"])
    sign = ("root", "sign-request", "request", "--root-dir", "usb", "--name", "Club")
    main([*sign, *ROOT_PASS, "-o", "answer"])
    accept = ("root", "accept", "answer", "club", "--passphrase-file", "log-pass")
    for given, error in (
        (token(module, "nowhere"), pki.NoAuthority),
        ((*token(module, "bad")[:-1], "root-pass"), pki.WrongPassphrase),
        (("--token", module), SystemExit),
        ((), pki.NoAuthority),
    ):
        with pytest.raises(error):
            main([*accept, *given])
        assert not Path("club/ca.toml").exists()
    main([*accept, *token(module, "bad")])

    issue = ("issue", "alice@chess.example", "--key", "p256", *P12, "-o", "alice.p12")
    with pytest.raises(pki.WrongPassphrase) as refused:
        main([*issue, *ROOT_PASS])
    assert refused.value.exit_status == 24
    with pytest.raises(pki.Unattended):
        main([*issue])
    with pytest.raises(pki.RequestRefused):  # a key of that label is there
        main(["root", "request", "two", "--name", "Two", *token(module, "bad"), "-o", "second"])
    assert not Path("two").exists()
    settings = Path("club/ca.toml").read_text()
    Path("club/ca.toml").write_text(settings.replace('token_label = "Registrar"', ""))
    with pytest.raises(pki.NoAuthority, match="label"):
        Records.load("club")
    assert not Path("alice.p12").exists()


def test_letters_are_signed_by_a_key_file(here: Path, module: str) -> None:
    """The CA's own mail key would be locked by its PIN, beside the token."""
    main(["root", "request", "club", "--name", "Club", *token(module, "mail"), "-o", "request"])
    sign = ("root", "sign-request", "request", "--root-dir", "usb", "--name", "Club")
    main([*sign, *ROOT_PASS, "-o", "answer"])
    accept = ("root", "accept", "answer", "club", "--passphrase-file", "log-pass")
    main([*accept, *token(module, "mail")])
    for name in ("ca", "alice"):
        address = f"{name}@chess.example"
        main(["issue", address, "--key", "p256", *P12, *WITH_PIN, "-o", f"{name}.p12"])
    remind = ("remind", "--from", "ca@chess.example", "--within", "400", *WITH_PIN, "-o", "letters")

    with pytest.raises(smime.NotSupported):
        main([*remind])
    with pytest.raises(pki.RequestRefused):
        main([*remind, "--identity", "alice.p12", "--identity-passphrase-file", "people-pass"])
    main([*remind, "--identity", "ca.p12", "--identity-passphrase-file", "people-pass"])

    (letter,) = Path("letters").iterdir()
    opened = smime.verify(letter, trust=smime.Anchors.load("club/root.pem"))
    assert opened.signer == "ca@chess.example"


def made(module: str, key: str, capsys: pytest.CaptureFixture[str]) -> None:
    main(["root", "request", "club", "--name", "Club (issuing)", *token(module, key), "-o", "req"])
    sign = ("root", "sign-request", "req", "--root-dir", "usb", "--name", "Club (issuing)")
    main([*sign, "--domain", "chess.example", *ROOT_PASS, "-o", "answer"])
    accept = ("root", "accept", "answer", "club", *token(module, key), *URLS)
    main([*accept, "--passphrase-file", "log-pass"])
    issue = ("issue", "alice@chess.example", "--key", "p256", *P12, "-o", "alice.p12")
    main([*issue, *WITH_PIN])
    capsys.readouterr()


NEW = ("--crl-url", "http://pki.example/2.crl", "--ca-url", "http://pki.example/2.cer")
ROLL = ("rollover", "--root-key", "usb/private/root.key.pem", *NEW, *WITH_PIN)
ROOT_TOO = ("--root-passphrase-file", "root-pass")


def test_a_new_key_in_the_token(
    here: Path, module: str, openssl: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    """The new key issues, the old one signs the old list and answers for what it gave out."""
    made(module, "first", capsys)
    old = Records.load("club").issuing

    main([*ROLL, *ROOT_TOO, "--json"])

    assert json.loads(capsys.readouterr().out)["former"] == ["club/former/1"]
    records, former = Records.load("club"), Records.load("club/former/1")
    assert (records.token_key, former.token_key) == ("first-2", "first")
    assert former.issuing == old != records.issuing
    assert records.issuing.extensions.get_extension_for_class(x509.NameConstraints).critical
    assert list(Path("club/former/1/private").iterdir()) == []
    main(["issue", "bob@chess.example", "--key", "p256", *P12, *WITH_PIN, "-o", "bob.p12"])
    main(["revoke", "alice@chess.example"])
    main(["crl", *WITH_PIN])
    for place, issuing, listed in (
        ("club", records.issuing, 0),
        ("club/former/1", old, 1),
    ):
        crl = x509.load_der_x509_crl(Path(place, "crl/ca.crl").read_bytes())
        assert crl.is_signature_valid(issuing.public_key())
        assert len(list(crl)) == listed
    for name, place in (("bob", "club"), ("alice", "club/former/1")):
        chain = ("-CAfile", "club/root.pem", "-untrusted", f"{place}/issuing.pem")
        openssl.run("verify", *chain, f"{name}.pem")
    openssl.run("ocsp", "-issuer", "club/former/1/issuing.pem", "-cert", "alice.pem",
                "-reqout", "asked")  # fmt: skip
    main(["ocsp", "asked", "-o", "said", "--ca-dir", "club/former/1", *WITH_PIN])
    answer = ocsp.load_der_ocsp_response(Path("said").read_bytes())
    assert answer.certificate_status is ocsp.OCSPCertStatus.REVOKED
    # And once more: the label goes on, and there are two former ones.
    again = ("--crl-url", "http://pki.example/3.crl", "--ca-url", "http://pki.example/3.cer")
    main([*ROLL[:3], *again, *WITH_PIN, *ROOT_TOO])
    assert Records.load("club").token_key == "first-3"
    main(["crl", *WITH_PIN])
    assert len(Records.load("club").former) == 2
    with Records.load("club").ledger() as ledger:
        assert audit(ledger).unbroken


def test_a_new_key_in_the_token_below_a_root_elsewhere(
    here: Path, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made(module, "far", capsys)
    request = ("root", "request", "next", "--name", "Club (issuing 2)", *token(module, "later"))
    main([*request, "-o", "second"])
    sign = ("root", "sign-request", "second", "--root-dir", "usb", "--name", "Club (issuing 2)")
    main([*sign, *ROOT_PASS, "-o", "second-answer"])
    roll = ("rollover", "--request-dir", "next", "--answer", "second-answer", *NEW, *WITH_PIN)
    before = Path("club/ca.toml").read_bytes()
    with pytest.raises(pki.NoAuthority):  # not the key that was certified
        main([*roll, "--token-key", "far"])
    assert Path("club/ca.toml").read_bytes() == before
    assert not Path("club/former").exists()

    main([*roll, "--token-key", "later"])

    assert Records.load("club").token_key == "later"
    main(["issue", "bob@chess.example", "--key", "p256", *P12, *WITH_PIN, "-o", "bob.p12"])


def test_a_change_of_key_that_is_refused_makes_none(
    here: Path, module: str, capsys: pytest.CaptureFixture[str]
) -> None:
    made(module, "kept", capsys)
    before = Path("club/ca.toml").read_bytes()
    same = ("--crl-url", URLS[1], "--ca-url", "http://pki.example/2.cer")
    for words, error in (
        ((*ROLL[:3], *same, *WITH_PIN, *ROOT_TOO), pki.RequestRefused),
        ((*ROLL, "--root-passphrase-file", "log-pass"), pki.WrongPassphrase),
        (ROLL, pki.Unattended),
        ((*ROLL, *ROOT_TOO, "--token-key", "kept"), pki.RequestRefused),
        ((*ROLL[:-1], "root-pass", *ROOT_TOO), pki.WrongPassphrase),
    ):
        with pytest.raises(error):
            main([*words])
        assert Path("club/ca.toml").read_bytes() == before
        assert not Path("club/former").exists()
    main([*ROLL, *ROOT_TOO])  # nothing is in the way of the right one
    assert Records.load("club").token_key == "kept-2"
