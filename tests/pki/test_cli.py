"""``smimetool ca init, issue, show`` as people type them, with options."""

from __future__ import annotations

import json
import os
import re
import shutil
import stat
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

import pki
import smime
from pki.cli import main
from pki.folder import Records
from tests.support.peers import Peer


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA made once; its keys are slow to encrypt, on purpose."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "ca-pass").write_text("of the CA")
    options = ["--name", "Chess Club CA", "--passphrase-file", str(folder / "ca-pass")]
    assert main(["init", str(folder / "club"), *options]) == 0
    return folder / "club"


@pytest.fixture
def club(here: Path, made: Path) -> Path:
    """A copy of it, in the folder of the test."""
    return Path(shutil.copytree(made, here / "club"))


def issue(*more: str) -> list[str]:
    return [
        "issue",
        "alice@chess.example",
        "--passphrase-file",
        "ca-pass",
        "--key",
        "p256",
        "-o",
        "alice.p12",
        *more,
    ]


P12_PASS = ("--p12-passphrase-file", "p12-pass")


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def issued(folder: Path) -> int:
    with Records.load(folder).ledger() as ledger:
        return ledger.count()


def names(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def test_init_says_what_to_give_to_readers(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["init", "club", "--name", "Chess Club CA", "--passphrase-file", "ca-pass"])

    said = capsys.readouterr()
    assert "--ca club/root.pem" in said.out.replace(os.sep, "/")
    assert "--crl-url cannot be added later" in said.err
    with pki.Registrar.load(here / "club", passphrase="of the CA") as ca:
        assert ca.records.name == "Chess Club CA"
        assert ca.records.crl_url == ""


def test_init_takes_everything_by_option(here: Path) -> None:
    os.environ["CA_PASS"] = "from the environment"
    try:
        main(
            [
                *("init", "club", "--name", "Club", "--passphrase-env", "CA_PASS", "--rsa"),
                *("--crl-url", "http://ca.example/crl", "--ca-url", "http://ca.example/cer"),
                *("--domain", "chess.example", "--domain", ".chess.example"),
            ]
        )
    finally:
        del os.environ["CA_PASS"]

    with pki.Registrar.load(here / "club", passphrase="from the environment") as ca:
        assert ca.records.crl_url == "http://ca.example/crl"
        assert ca.records.ca_url == "http://ca.example/cer"
        assert ca.records.issuing.public_key().key_size == 4096
        with pytest.raises(pki.RequestRefused):
            ca.issue("a@example.org", algorithm="p256")


def test_init_twice_is_refused_and_changes_nothing(club: Path) -> None:
    before = {path: path.read_bytes() for path in club.rglob("*") if path.is_file()}

    # Before any question: there is no passphrase here, and none is missed.
    with pytest.raises(pki.AuthorityExists):
        main(["init", "club"])
    assert {path: path.read_bytes() for path in club.rglob("*") if path.is_file()} == before


@pytest.mark.parametrize(
    ("arguments", "names_option"),
    [
        (["init", "club"], "--name"),
        (["init", "club", "--name", "Club"], "--passphrase-file"),
    ],
)
def test_init_without_a_terminal_never_waits(
    here: Path, arguments: list[str], names_option: str
) -> None:
    with pytest.raises(pki.Unattended) as refused:
        main(arguments)

    assert refused.value.exit_status == 26
    assert names_option in refused.value.hint
    assert names(here) == {"ca-pass", "p12-pass"}


def test_issue_writes_a_p12_and_a_certificate(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = club.parent
    capsys.readouterr()

    assert main(issue(*P12_PASS, "--name", "Alice", "--days", "30")) == 0

    said = capsys.readouterr()
    assert "alice.p12" in said.out
    assert "alice.pem" in said.out
    assert said.err == ""
    alice = smime.Identity.load(here / "alice.p12", passphrase="für alice")
    first, second = x509.load_pem_x509_certificates((here / "alice.pem").read_bytes())
    assert alice.addresses == ("alice@chess.example",)
    assert first == alice.certificate
    assert (second,) == alice.chain
    assert isinstance(first.public_key(), ec.EllipticCurvePublicKey)
    assert (first.not_valid_after_utc - first.not_valid_before_utc).days == 29


def test_issue_hides_the_p12_whatever_the_umask(club: Path) -> None:
    before = os.umask(0)
    try:
        main(issue("--write-passphrase", "made-up"))
    finally:
        os.umask(before)

    here = club.parent
    assert mode(here / "alice.p12") == 0o600
    assert mode(here / "made-up") == 0o600
    assert mode(here / "alice.pem") == 0o644


def test_issue_makes_up_a_passphrase_nobody_guesses(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    here = club.parent
    main(issue("--write-passphrase", "made-up"))

    secret = (here / "made-up").read_text()
    assert re.fullmatch(r"[a-z2-7]{26}\n", secret)
    said = capsys.readouterr()
    assert secret.strip() not in said.out + said.err
    assert smime.Identity.load(here / "alice.p12", passphrase=secret.strip()).addresses


@pytest.mark.parametrize("compat", ["modern", "legacy"])
def test_openssl_reads_the_p12(
    openssl: Peer, club: Path, compat: str, capsys: pytest.CaptureFixture[str]
) -> None:
    here = club.parent
    main(issue("--compat", compat, "--write-passphrase", "made-up"))
    assert ("weakly" in capsys.readouterr().err) == (compat == "legacy")
    read = ("pkcs12", "-in", here / "alice.p12", "-noenc", "-passin", f"file:{here / 'made-up'}")

    said = openssl.run(*read, *(["-legacy"] if compat == "legacy" else []))

    assert said.count(b"BEGIN CERTIFICATE") == 2
    assert said.count(b"BEGIN PRIVATE KEY") == 1


def test_openssl_believes_the_certificate(openssl: Peer, club: Path) -> None:
    main(issue(*P12_PASS))
    here = club.parent
    check = ("verify", "-purpose", "smimesign", "-verify_email", "alice@chess.example")

    openssl.run(
        *check, "-CAfile", club / "root.pem", "-untrusted", here / "alice.pem", here / "alice.pem"
    )


@pytest.mark.parametrize("there", ["alice.p12", "alice.pem", "made-up"])
def test_issue_writes_over_nothing(club: Path, there: str) -> None:
    here = club.parent
    (here / there).write_text("dear")

    with pytest.raises(FileExistsError):
        main(issue("--write-passphrase", "made-up"))

    assert (here / there).read_text() == "dear"
    assert names(here) == {"ca-pass", "p12-pass", "club", there}
    assert issued(club) == 0


@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        (["issue", "alice", "-o", "alice.p12"], pki.RequestRefused),
        (["issue", "a@b.example", "-o", "no/alice.p12"], FileNotFoundError),
        (["issue", "a@b.example", "-o", "alice.pem"], SystemExit),
        (["issue", "a@b.example", "-o", "-"], SystemExit),
        (["issue", "a@b.example", "-o", "alice.p12", "--days", "0"], pki.ProfileProblem),
        (["issue", "a@b.example", "-o", "alice.p12", "--days", "99999"], pki.ProfileProblem),
        (["issue", "a@b.example", "-o", "alice.p12", "--name", "a\x1b[2Jb"], pki.RequestRefused),
        (["issue", "a@b.example", "-o", "alice.p12", "--ca-dir", "."], pki.NoAuthority),
    ],
)
def test_issue_that_is_refused_leaves_nothing(
    club: Path, arguments: list[str], error: type[Exception], capsys: pytest.CaptureFixture[str]
) -> None:
    capsys.readouterr()
    with pytest.raises(error):
        main([*arguments, "--key", "p256", "--passphrase-file", "ca-pass", *P12_PASS])

    assert names(club.parent) == {"ca-pass", "p12-pass", "club"}
    assert issued(club) == 0
    assert capsys.readouterr().out == ""


def test_issue_with_another_passphrase_is_refused(club: Path) -> None:
    (club.parent / "ca-pass").write_text("wrong")

    with pytest.raises(pki.WrongPassphrase):
        main(issue(*P12_PASS))
    assert names(club.parent) == {"ca-pass", "p12-pass", "club"}


@pytest.mark.parametrize(
    ("arguments", "names_option"),
    [
        (["issue", "a@b.example", "-o", "a.p12", "--passphrase-file", "ca-pass"], "--write-pass"),
        (["issue", "a@b.example", "-o", "a.p12", *P12_PASS], "--passphrase-file"),
    ],
)
def test_issue_without_a_terminal_never_waits(
    club: Path, arguments: list[str], names_option: str
) -> None:
    with pytest.raises(pki.Unattended) as refused:
        main(arguments)

    assert names_option in refused.value.hint
    assert names(club.parent) == {"ca-pass", "p12-pass", "club"}


@pytest.mark.parametrize(
    ("content", "status"), [(b"", 26), (b"\nx\n", 26), (b"\xff\n", 26), (b"x" * 4_097, 26)]
)
def test_files_without_a_passphrase_are_refused(here: Path, content: bytes, status: int) -> None:
    (here / "ca-pass").write_bytes(content)

    with pytest.raises(pki.Unattended) as refused:
        main(["init", "club", "--name", "Club", "--passphrase-file", "ca-pass"])
    assert refused.value.exit_status == status
    assert not (here / "club").exists()


def test_a_passphrase_that_is_nowhere_is_refused(here: Path) -> None:
    with pytest.raises(pki.Unattended):
        main(["init", "club", "--name", "Club", "--passphrase-env", "NO_SUCH_VARIABLE"])
    with pytest.raises(FileNotFoundError):
        main(["init", "club", "--name", "Club", "--passphrase-file", "nowhere"])
    assert not (here / "club").exists()


@pytest.mark.parametrize(
    "arguments", [[], ["inti"], ["init"], ["issue", "-o", "x"], ["init", "a", "--passphrase", "x"]]
)
def test_wrong_usage_is_one_line_a_hint_and_status_2(
    arguments: list[str], capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(arguments)

    said = capsys.readouterr()
    assert stopped.value.code == 2
    assert said.out == ""
    first, second = said.err.splitlines()
    assert first.startswith("smimetool ca")
    assert second.startswith("hint: ")


def test_the_ca_is_found_here_or_just_below(
    club: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    here = club.parent
    main(["show"])
    monkeypatch.chdir(club)
    main(["show"])
    assert capsys.readouterr().out.count("name: Chess Club CA") == 2

    monkeypatch.chdir(here)
    main(["init", "second", "--name", "Second", "--passphrase-file", "ca-pass"])
    with pytest.raises(pki.NoAuthority, match="club, second") as refused:
        main(["show"])
    assert "--ca-dir" in refused.value.hint
    main(["show", "--ca-dir", "second"])
    assert "name: Second" in capsys.readouterr().out
    monkeypatch.chdir(club / "private")
    with pytest.raises(pki.NoAuthority):
        main(["show"])


def test_show_as_json(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(issue(*P12_PASS))
    capsys.readouterr()
    main(["show", "--json"])

    shown = json.loads(capsys.readouterr().out)
    assert shown["version"] == 1
    assert shown["issued"] == 1
    assert len(shown["root_sha256"]) == 64
