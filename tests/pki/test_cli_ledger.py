"""``smimetool ca revoke, crl, list, show, audit`` as people type them."""

from __future__ import annotations

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from datetime import timedelta
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki.authority import moment
from pki.cli import COMMANDS, main
from tests.support.peers import Peer

REPOSITORY = Path(__file__).parents[2]
PASS = ("--passphrase-file", "ca-pass")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA with certificates for alice, bob, and carol, who has two. Only copied."""
    folder = tmp_path_factory.mktemp("made")
    with pki.Registrar.create(folder / "club", name="Club", passphrase="secret") as ca:
        for who in ("alice", "bob", "carol", "carol"):
            ca.issue(f"{who}@chess.example", name=who.title(), algorithm="p256")
    return folder / "club"


@pytest.fixture
def club(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca-pass").write_text("secret\n")
    return Path(shutil.copytree(made, tmp_path / "club"))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """Give what a command says as JSON."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.pop("version") == 1
    return answer


def listed(capsys: pytest.CaptureFixture[str], *arguments: str) -> list[dict[str, object]]:
    return said(capsys, "list", *arguments)["certificates"]


def test_revoked_is_on_the_next_list(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (alice,) = said(capsys, "show", "alice@chess.example")["certificates"]
    main(["revoke", "alice@chess.example", "--reason", "keyCompromise"])
    shown = capsys.readouterr()
    assert "revoked: alice@chess.example" in shown.out
    assert "ca crl" in shown.err

    assert said(capsys, "crl", *PASS, "-o", "club.crl")["written"] == ["club.crl"]

    crl = x509.load_der_x509_crl(Path("club.crl").read_bytes())
    assert [f"{entry.serial_number:x}" for entry in crl] == [alice["serial"]]
    assert listed(capsys, "--search", "alice")[0]["reason"] == "keyCompromise"


def test_each_way_to_name_a_certificate(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with pki.Registrar.load(club, passphrase="secret") as ca:
        (alice,) = ca.ledger.find(address="alice@chess.example")
    Path("alice.der").write_bytes(alice.cert_der)
    Path("alice.pem").write_bytes(pki.folder.to_pem(alice.certificate))
    fingerprint = said(capsys, "show", f"{alice.serial:x}")["certificates"][0]["sha256"]
    colons = ":".join(fingerprint[n : n + 2] for n in range(0, 64, 2)).upper()

    for which in (f"0x{alice.serial:X}", fingerprint, colons, "alice.der", "alice.pem"):
        assert said(capsys, "show", which)["certificates"][0]["serial"] == f"{alice.serial:x}"
    for which in ("1234", "nobody@chess.example", "nowhere.pem", "0" * 41, "ca-pass"):
        with pytest.raises(pki.RequestRefused):
            main(["show", which])


def test_an_address_with_two_certificates_is_not_guessed(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(pki.RequestRefused, match="2 certificates") as refused:
        main(["revoke", "carol@chess.example"])
    assert "--all" in refused.value.hint
    first, second = listed(capsys, "--search", "carol")
    assert (first["state"], second["state"]) == ("valid", "valid")

    main(["revoke", str(first["serial"]), "--reason", "certificateHold"])
    main(["revoke", "carol@chess.example"])  # one that counts is left: that is meant
    assert [one["state"] for one in listed(capsys, "--search", "carol")] == ["on-hold", "revoked"]
    main(["revoke", "carol@chess.example", "--release"])
    assert [one["state"] for one in listed(capsys, "--search", "carol")] == ["valid", "revoked"]


def test_all_of_an_address_at_once(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["revoke", "carol@chess.example", "--all", "--reason", "cessationOfOperation"])

    assert {one["state"] for one in listed(capsys, "--search", "carol")} == {"revoked"}
    assert {one["state"] for one in listed(capsys, "--search", "alice")} == {"valid"}


def test_if_due_writes_only_what_is_due(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "crl", *PASS, "--if-due")["written"] != []
    first = (club / "crl" / "ca.crl").read_bytes()
    assert said(capsys, "crl", *PASS, "--if-due")["written"] == []
    assert (club / "crl" / "ca.crl").read_bytes() == first
    main(["revoke", "bob@chess.example"])
    assert len(said(capsys, "crl", *PASS, "--if-due")["written"]) == 1
    assert (club / "crl" / "ca.crl").read_bytes() != first
    assert said(capsys, "crl", *PASS, "--delta", "-o", "d.crl")["written"] == ["d.crl"]


def test_every_command_warns_of_a_list_that_ends(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["list"])
    assert capsys.readouterr().err == ""
    with pki.Registrar.load(club, passphrase="secret") as ca:
        ca.crl(at=moment(None) - timedelta(days=6))
    for command in (["list"], ["show"], ["audit"], ["revoke", "bob@chess.example"]):
        main(command)
        assert "the revocation list ends on" in capsys.readouterr().err
    main(["crl", *PASS])
    capsys.readouterr()
    main(["list"])
    assert capsys.readouterr().err == ""


def test_pages_of_the_list(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    first = said(capsys, "list", "--limit", "3")
    rest = said(capsys, "list", "--limit", "3", "--after", str(first["next"]))

    people = [one["addresses"][0] for one in [*first["certificates"], *rest["certificates"]]]
    assert people == [f"{who}@chess.example" for who in ("alice", "bob", "carol", "carol")]
    assert rest["next"] is None
    assert listed(capsys, "--expiring", "400") != []
    assert listed(capsys, "--expiring", "30") == []
    main(["list", "--limit", "1"])
    shown = capsys.readouterr()
    assert shown.out.count("\n") == 1
    assert "--after" in shown.err


def test_lists_by_state_kind_and_end(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["revoke", "alice@chess.example"])
    main(["revoke", "bob@chess.example", "--reason", "certificateHold"])
    today = moment(None)
    in_a_year, later = (f"{today + timedelta(days=days):%Y-%m-%d}" for days in (364, 370))
    for options, expected in (
        (("--state", "revoked"), "alice"),
        (("--state", "on-hold"), "bob"),
        (("--state", "valid"), "carol carol"),
        (("--state", "expired"), ""),
        (("--state", "valid", "--profile", "mailbox"), "carol carol"),
        (("--profile", "encryption"), ""),
        (("--state", "valid", "--search", "CAROL@"), "carol carol"),
        (("--ending-before", in_a_year), ""),
        (("--ending-from", in_a_year, "--ending-before", later), "alice bob carol carol"),
        (("--ending-from", later), ""),
        (("--expiring", "370", "--ending-before", in_a_year), ""),
    ):
        found = [str(one["addresses"][0]).partition("@")[0] for one in listed(capsys, *options)]
        assert found == expected.split()
    page = said(capsys, "list", "--state", "valid", "--limit", "1")
    rest = ["list", "--state", "valid", "--after", str(page["next"])]
    assert len(said(capsys, *rest)["certificates"]) == 1
    for wrong in ("1", "x", "1-2-3", "-1"):
        with pytest.raises(pki.RequestRefused, match="not where"):
            main(["list", "--state", "valid", f"--after={wrong}"])
    for options in (("--state", "lost"), ("--ending-from", "soon"), ("--limit", "0")):
        with pytest.raises(SystemExit):
            main(["list", *options])


def test_audit_with_and_without_a_checkpoint(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["audit", "--checkpoint-to", "kept", *PASS])
    assert capsys.readouterr().out.startswith("unbroken: ")
    main(["revoke", "alice@chess.example"])
    assert said(capsys, "audit", "--checkpoint", "kept")["outcome"] == "unbroken"

    connection = sqlite3.connect(club / "ledger.db")
    connection.execute("DELETE FROM revocations")
    connection.commit()
    connection.close()
    with pytest.raises(pki.AuditFailed) as failed:
        main(["audit", "--checkpoint-to", "second", *PASS])
    assert failed.value.exit_status == 28
    assert not Path("second").exists()
    with pytest.raises(pki.LedgerProblem, match="checkpoint"):
        main(["audit", "--checkpoint", "ca-pass"])


def test_a_request_is_certified(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    wished = x509.Name([x509.NameAttribute(x509.NameOID.COMMON_NAME, "Boss")])
    csr = x509.CertificateSigningRequestBuilder().subject_name(wished).sign(key, SHA256())
    Path("dora.csr").write_bytes(csr.public_bytes(Encoding.PEM))

    made = said(
        capsys,
        "sign-csr",
        "dora.csr",
        "dora@chess.example",
        "--name",
        "Dora",
        "-o",
        "dora.pem",
        *PASS,
    )

    first, second = x509.load_pem_x509_certificates(Path("dora.pem").read_bytes())
    assert first.public_key() == key.public_key()
    assert first.subject.rfc4514_string() == "CN=Dora"
    first.verify_directly_issued_by(second)
    assert made["certificate"]["addresses"] == ["dora@chess.example"]
    Path("bad.csr").write_bytes(csr.public_bytes(Encoding.DER)[:-1] + b"x")
    for refused in (["bad.csr", "-o", "bad.pem"], ["dora.csr", "-o", "dora.pem"]):
        with pytest.raises((pki.RequestRefused, FileExistsError)):
            main(["sign-csr", refused[0], "eve@chess.example", *refused[1:], *PASS])
    assert not Path("bad.pem").exists()
    assert listed(capsys, "--search", "eve") == []


def test_renewing_all_that_is_due(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert said(capsys, "renew", "--all-due", "-o", "new", *PASS)["renewed"] == []
    main(["revoke", "bob@chess.example"])

    soon = ("--all-due", "--within", "400", "-o", "new")
    made = said(capsys, "renew", *soon, "--days", "700", *PASS)

    people = [each["certificate"]["addresses"][0][:5] for each in made["renewed"]]
    assert people == ["alice", "carol", "carol"]
    assert {path.name for path in Path("new").iterdir()} == {
        Path(each["pem"]).name for each in made["renewed"]
    }
    again = said(capsys, "renew", *soon, *PASS)
    assert again["renewed"] == []
    assert len(said(capsys, "renew", "alice@chess.example", "-o", "new", *PASS)["renewed"]) == 1


def test_ocsp_answers_one_and_all(
    club: Path, openssl: Peer, capsys: pytest.CaptureFixture[str]
) -> None:
    main(["revoke", "alice@chess.example", "--reason", "keyCompromise"])
    with pki.Registrar.load(club, passphrase="secret") as ca:
        (alice,) = ca.ledger.find(address="alice@chess.example")
        count = ca.ledger.count()
    Path("alice.pem").write_bytes(pki.folder.to_pem(alice.certificate))
    which = ("-issuer", "club/issuing.pem", "-cert", "alice.pem")
    openssl.run("ocsp", *which, "-reqout", "request", "-no_nonce")

    assert said(capsys, "ocsp", "request", "-o", "answer", *PASS)["answers"] == 1
    assert said(capsys, "ocsp", "--all", "-o", "all", *PASS)["answers"] == count + 2

    for answer in ("answer", f"all/{alice.serial:032x}.ocsp"):
        trusting = ("-CAfile", "club/root.pem", "-verify_other", "club/issuing.pem", "-no_nonce")
        done = openssl.attempt("ocsp", *which, "-respin", answer, *trusting)
        assert b"Response verify OK" in done.stderr, done
        assert b"alice.pem: revoked" in done.stdout


@pytest.mark.parametrize(
    "arguments",
    [
        ["crl"],
        ["renew", "--all-due"],
        ["audit", "--checkpoint-to", "kept"],
    ],
)
def test_without_a_terminal_nothing_waits(club: Path, arguments: list[str]) -> None:
    with pytest.raises(pki.Unattended) as refused:
        main(arguments)
    assert "--passphrase-file" in refused.value.hint


@pytest.mark.parametrize(
    "arguments",
    [
        ["crl", "--days", "0"],
        ["renew"],
        ["renew", "1", "--all-due"],
        ["ocsp", "-o", "x"],
        ["list", "--limit", "0"],
        ["list", "--expiring", "-1"],
        ["revoke"],
        ["revoke", "1", "--reason", "boredom"],
        ["revoke", "1", "--reason", "superseded", "--release"],
    ],
)
def test_wrong_usage_is_status_2(club: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)
    assert stopped.value.code == 2


def test_an_unknown_option_is_told_by_the_command_that_was_meant(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """With the help that has its options: not that of all commands."""
    for words in (["list"], ["escrow", "show"]):
        with pytest.raises(SystemExit) as stopped:
            main([*words, "--passphrase-file", "ca-pass"])
        assert stopped.value.code == 2
        assert f"`smimetool ca {' '.join(words)} --help`" in capsys.readouterr().err


ACTIONS = {
    "root": ("init", "request", "sign-request", "accept", "crl", "cross-certify"),
    "escrow": ("agents", "rotate", "hand-over", "show"),
    "challenge": ("key", "new", "open", "answer"),
}


@pytest.mark.parametrize(
    "words",
    [
        *([name] for name, _ in COMMANDS if name not in ACTIONS),
        *([name, action] for name, actions in ACTIONS.items() for action in actions),
    ],
    ids=" ".join,
)
def test_help_has_an_example_and_json(words: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main([*words, "--help"])

    shown = capsys.readouterr().out
    assert stopped.value.code == 0
    assert f"example:\n  smimetool ca {' '.join(words)}" in shown
    assert "--json" in shown


@pytest.mark.parametrize("name", ACTIONS)
def test_help_lists_the_actions(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        main([name, "--help"])
    shown = capsys.readouterr().out
    lines = [line.split() for line in shown.splitlines()]
    assert {words[0] for words in lines if words} >= set(ACTIONS[name])


def test_the_base_installation_says_what_to_install(tmp_path: Path) -> None:
    """Without SQLAlchemy the CA in memory works, and the one in a folder says why not."""
    script = """
import sys
sys.modules.update(dict.fromkeys(["sqlalchemy", "alembic"]))
import pki, smime
assert pki.Authority.create("Test CA").issue("a@example.org").addresses
from smime.cli.main import main
sys.exit(main(sys.argv[1:]))
"""
    arguments = ["ca", "init", "club", "--name", "Club", "--passphrase-env", "SECRET"]
    done = subprocess.run(
        [sys.executable, "-c", script, *arguments],
        cwd=tmp_path,
        env={"PYTHONPATH": str(REPOSITORY), "PATH": os.environ["PATH"], "SECRET": "x"},
        capture_output=True,
        text=True,
        check=False,
    )

    assert done.returncode == smime.NotSupported.exit_status, done.stderr
    assert "hint: pipx install 'smimetool[ca]'" in done.stderr
    assert not (tmp_path / "club").exists()
