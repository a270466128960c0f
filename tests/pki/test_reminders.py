"""Letters to people whose certificates end soon."""

from __future__ import annotations

import json
import shutil
import socket
from datetime import timedelta
from email import message_from_bytes, policy
from pathlib import Path

import pytest
from cryptography import x509

import pki
import smime
from pki import reminders
from pki.audit import audit
from pki.authority import moment
from pki.cli import main
from pki.folder import Records

PASS = ("--passphrase-file", "ca-pass")
FROM = ("--from", "ca@chess.example")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA: alice and bob end soon, carol in a year, dora is revoked, eve renewed."""
    folder = tmp_path_factory.mktemp("made")
    with pki.Registrar.create(folder / "club", name="Chess Club CA", passphrase="secret") as ca:
        for name, days in (("alice", 20), ("bob", 10), ("carol", 365), ("dora", 10), ("eve", 10)):
            made = ca.issue(f"{name}@chess.example", algorithm="p256", lifetime_days=days)
            if name == "dora":
                ca.revoke(made.certificate.serial_number)
            if name == "eve":
                ca.renew(made.certificate.serial_number)
    return folder / "club"


@pytest.fixture
def club(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca-pass").write_text("secret\n")
    return Path(shutil.copytree(made, tmp_path / "club"))


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    capsys.readouterr()
    assert main(["remind", *FROM, *PASS, *arguments, "--json"]) == 0
    return json.loads(capsys.readouterr().out)


def people(answer: dict[str, object]) -> set[str]:
    return {address for one in answer["reminded"] for address in one["addresses"]}


def test_each_is_written_to_once_and_signed(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    answer = said(capsys, "-o", "letters")

    assert people(answer) == {"alice@chess.example", "bob@chess.example"}
    letters = [path.read_bytes() for path in Path("letters").iterdir()]
    assert len(letters) == 2
    for letter in letters:
        opened = smime.verify(letter, trust=smime.Anchors.load("club/root.pem"))
        assert opened.signer == "ca@chess.example"
        mail = message_from_bytes(bytes(opened.mail), policy=policy.default)
        assert mail["To"] in people(answer)
        assert mail["To"] in mail["Subject"]
        assert mail["Auto-Submitted"] == "auto-generated"
        assert "Chess Club CA" in mail.get_content()
    assert people(said(capsys, "-o", "letters")) == set()  # cron, the day after
    assert people(said(capsys, "-o", "letters", "--again", "0")) == {
        "alice@chess.example",
        "bob@chess.example",
    }
    with Records.load(club).ledger() as ledger:
        assert audit(ledger).unbroken
        (own,) = ledger.find(address="ca@chess.example")  # made once
    (key,) = (club / "private").glob("mail-*.key.pem")
    assert key.stat().st_mode & 0o777 == 0o600
    assert people(said(capsys, "-o", "more", "--within", "400")) == {
        "carol@chess.example",
        "eve@chess.example",
    }
    assert own.profile == "mailbox"


def test_the_cas_own_certificate_is_made_anew_in_time(club: Path) -> None:
    with pki.Registrar.load(club, passphrase="secret") as ca:
        first = reminders.own_identity(ca, "ca@chess.example", "secret")
        again = reminders.own_identity(ca, "ca@chess.example", "secret")
        later = moment(None) + timedelta(days=340)
        new = reminders.own_identity(ca, "ca@chess.example", "secret", at=later)
        other = reminders.own_identity(ca, "post@chess.example", "secret")
        with pytest.raises(pki.WrongPassphrase):
            reminders.own_identity(ca, "ca@chess.example", "wrong")
        ca.revoke(other.certificate.serial_number)
        assert reminders.own_identity(ca, "post@chess.example", "secret").certificate != (
            other.certificate
        )
    assert again.certificate == first.certificate
    assert new.certificate != first.certificate
    assert new.certificate.public_key() == first.certificate.public_key()
    assert other.addresses == ("post@chess.example",)


def test_a_letter_in_words_of_ones_own(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    Path("text").write_text("Zertifikat läuft aus: {address}\n\nAm {date} ({serial}). 再见\n")
    said(capsys, "-o", "letters", "--text", "text", "--within", "15")

    (path,) = Path("letters").iterdir()
    opened = smime.verify(path, trust=smime.Anchors.load("club/root.pem"))
    mail = message_from_bytes(bytes(opened.mail), policy=policy.default)
    assert mail["Subject"] == "Zertifikat läuft aus: bob@chess.example"
    assert mail.get_content().rstrip().endswith("再见")

    too_long = "ends: {address}\n\n" + "ü" * (reminders.MAX_TEXT_OCTETS // 2)
    for text in ("{password}", " \n", "a {address.x}", too_long):
        Path("text").write_text(text)
        with pytest.raises(pki.ProfileProblem):
            main(["remind", *FROM, *PASS, "-o", "bad", "--text", "text"])
        assert not any(Path("bad").glob("*"))


def test_what_is_in_a_certificate_makes_no_header(club: Path) -> None:
    """A line end in a subject cannot be issued; a header would not be made of one either."""
    with pki.Registrar.load(club, passphrase="secret") as ca:
        (bob,) = ca.ledger.find(address="bob@chess.example")
        own = reminders.own_identity(ca, "ca@chess.example", "secret")
        text = "{subject} {ca}\n\nhello\n"
        letter = reminders.letter(bob, by=own, name="A" * 2_000, at=moment(None), text=text)
    assert bytes(letter).count(b"\nFrom: ") == 1


@pytest.mark.parametrize(
    "arguments",
    [[], ["-o", "x", "--smtp", "y"], ["-o", "x", "--within", "-1"], ["-o", "x", "--again", "-1"]],
)
def test_wrong_usage_is_status_2(club: Path, arguments: list[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["remind", *FROM, *PASS, *arguments])
    assert stopped.value.code == 2


def test_no_server_is_said_and_nobody_counts_as_told(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(OSError, match="refused"):
        main(["remind", *FROM, *PASS, "--smtp", "127.0.0.1:9"])
    assert people(said(capsys, "-o", "letters")) == {"alice@chess.example", "bob@chess.example"}


@pytest.mark.server
def test_a_mail_server_takes_them(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """One address is refused there: the other letter is sent, and only that is recorded."""
    from aiosmtpd.controller import Controller

    taken: list[tuple[list[str], bytes]] = []

    class Post:
        async def handle_RCPT(self, _s, _e, envelope, address, _o):  # type: ignore[no-untyped-def]
            if address.startswith("bob"):
                return "550 no such user"
            envelope.rcpt_tos.append(address)
            return "250 OK"

        async def handle_DATA(self, _s, _e, envelope):  # type: ignore[no-untyped-def]
            taken.append((envelope.rcpt_tos, envelope.content))
            return "250 OK"

    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    server = Controller(Post(), hostname="127.0.0.1", port=port)
    server.start()
    try:
        with pytest.raises(OSError, match="1 letters were not taken"):
            main(["remind", *FROM, *PASS, "--smtp", f"127.0.0.1:{port}"])
    finally:
        server.stop()

    assert "bob@chess.example: the mail server refused" in capsys.readouterr().err
    [(readers, content)] = taken
    assert readers == ["alice@chess.example"]
    opened = smime.verify(content, trust=smime.Anchors.load("club/root.pem"))
    assert opened.signer == "ca@chess.example"
    assert people(said(capsys, "-o", "letters")) == {"bob@chess.example"}


def test_the_cas_certificate_is_one_of_its_own(club: Path, capsys: object) -> None:
    main(["remind", *FROM, *PASS, "-o", "letters"])
    with Records.load(club).ledger() as ledger:
        (own,) = ledger.find(address="ca@chess.example")
        own.certificate.verify_directly_issued_by(Records.load(club).issuing)
    names = own.certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    assert [name.value for name in names.value] == ["ca@chess.example"]
