"""A new key on its way to its owner: killed at any moment, it is handed over or was never made."""

from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

import pki
from pki import challenge, proving
from pki.audit import audit
from pki.cli import main
from pki.folder import Records
from pki.handover import NOTES, HandOver
from tests.pki.house import PASS, loaded

REPOSITORY = Path(__file__).parents[2]
pytestmark = pytest.mark.skipif(os.name != "posix", reason="platform: no kill -9")

CHILD = """
import os, signal, sys
import pki.keys
from smime.keys import pbe
pki.keys.SEAL_ROUNDS = pbe.MODERN_ROUNDS = 1_000
from pki import files, handover
from pki.cli import main
from pki.ledger import Ledger
places = {"os": os, "files": files, "handover": handover, "Ledger": Ledger}
places["HandOver"] = handover.HandOver
where, name = sys.argv[1].split(".")
home, count = places[where], int(sys.argv[2])
real = getattr(home, name)

def dying(*given, **named):
    global count
    count -= 1
    if count < 0:
        os.kill(os.getpid(), signal.SIGKILL)
    return real(*given, **named)

setattr(home, name, dying)
sys.exit(main(sys.argv[3:]))
"""


@pytest.fixture
def club(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_locks: None) -> Path:
    monkeypatch.chdir(tmp_path)
    Path("ca-pass").write_text("of the CA")
    with pki.Registrar.create("club", name="Club", passphrase="of the CA"):
        return tmp_path / "club"


FILES = {"alice.p12", "alice.pem", "alice.pass"}
ISSUE = (
    *("issue", "alice@chess.example", "--pair", "--key", "p256", *PASS, "-o", "alice.p12"),
    *("--write-passphrase", "alice.pass"),
)


def killed(where: str, count: int, *arguments: str) -> None:
    died = subprocess.run(
        [sys.executable, "-c", CHILD, where, str(count), *arguments],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()
    assert died.stdout == b""


def made() -> set[str]:
    return {path.name for path in Path().iterdir()} - {"club", "ca-pass"}


def recorded(club: Path) -> int:
    with Records.load(club).ledger() as ledger:
        return ledger.count()


@pytest.mark.parametrize(
    ("where", "count", "hidden", "done"),
    [
        ("os.rename", 0, 0, False),  # the note has no name yet
        ("handover.write_new", 0, 0, False),  # it has, and no file is there
        ("handover.write_new", 2, 2, False),
        ("Ledger.write", 0, 3, False),  # all files are there, nothing is recorded
        ("HandOver.publish", 0, 3, True),  # recorded, and no file has its name
        ("os.rename", 2, 2, True),  # the passphrase has
        ("os.rename", 3, 1, True),
        ("HandOver._end", 0, 0, True),  # all have; the note is there still
    ],
)
def test_killed_at_a_step_the_next_command_ends_it(
    club: Path, where: str, count: int, hidden: int, done: bool, capsys: pytest.CaptureFixture[str]
) -> None:
    killed(where, count, *ISSUE)
    assert sum(name.startswith(".") for name in made()) == hidden
    assert recorded(club) == 2 * done

    main(["list"])

    said = capsys.readouterr()
    assert made() == (FILES if done else set())
    assert list((club / NOTES).iterdir()) == []
    assert ("alice.p12: made by" in said.err) == done
    main(["list"])
    assert "alice.p12" not in capsys.readouterr().err
    if done:
        secret = Path("alice.pass").read_text().strip()
        alice = loaded("alice.p12", secret)
        assert {alice.certificate, alice.recipient.certificate} == {
            one.certificate for one in Records.load(club).ledger().page()
        }
        assert Path("alice.p12").stat().st_mode & 0o777 == 0o600
        with pytest.raises(FileExistsError):
            main([*ISSUE])
    else:
        assert main([*ISSUE]) == 0
        assert made() == FILES
    assert recorded(club) == 2


def test_a_new_key_for_old_names_is_handed_over_too(club: Path) -> None:
    main([*ISSUE])
    new = ("rekey", "alice@chess.example", *PASS, "-o", "new.p12", "--write-passphrase", "new.pass")
    killed("HandOver.publish", 0, *new)

    main(["show"])

    assert loaded("new.p12", Path("new.pass").read_text().strip()).addresses
    assert recorded(club) == 4


def test_a_file_of_another_is_not_written_over(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """The key waits until there is room for it, and each command says where."""
    killed("HandOver.publish", 0, *ISSUE)
    Path("alice.p12").write_text("of another")
    for _ in range(2):
        main(["list"])
        said = capsys.readouterr().err
        assert "waits still" in said
        assert "alice.p12" in said
    assert Path("alice.p12").read_text() == "of another"

    Path("alice.p12").unlink()
    main(["list"])

    assert loaded("alice.p12", Path("alice.pass").read_text().strip()).addresses
    assert made() == FILES


def test_a_folder_that_is_away_is_waited_for(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("stick").mkdir()
    killed("HandOver.publish", 0, *ISSUE[:-4], "-o", "stick/alice.p12", *ISSUE[-2:])
    Path("stick").rename("away")
    main(["list"])
    assert "waits still" in capsys.readouterr().err
    Path("away").rename("stick")
    main(["list"])
    assert "stick/alice.p12: made" in capsys.readouterr().err
    assert loaded("stick/alice.p12", Path("alice.pass").read_text().strip()).addresses


def test_a_command_at_work_is_left_alone(club: Path) -> None:
    files = [(str(Path("alice.p12").resolve()), b"of somebody at work", 0o600)]
    staged = HandOver.stage(files, str(club), [12345])
    before = made()

    main(["list"])

    assert made() == before != set()
    staged.drop()
    assert made() == set()


@pytest.mark.parametrize("reason", [errno.EROFS, errno.EACCES])
def test_a_folder_that_cannot_be_written_gets_no_note(
    club: Path, monkeypatch: pytest.MonkeyPatch, reason: int
) -> None:
    """Whose ledger is in a server needs to read the folder alone."""

    def refuse(path: str, **_: object) -> None:
        raise OSError(reason, os.strerror(reason), path)

    with monkeypatch.context() as patch:
        patch.setattr(os, "makedirs", refuse)
        assert main([*ISSUE]) == 0
    assert made() == FILES
    assert not (club / NOTES).exists()


def test_broken_off_after_the_commit_it_is_handed_over(
    club: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Ctrl-C, or whatever fails, once the certificate is recorded."""
    from pki.issuance import Issuance

    record = Issuance.record

    def interrupted(*given: object) -> None:
        record(*given)
        raise KeyboardInterrupt

    monkeypatch.setattr(Issuance, "record", interrupted)
    with pytest.raises(KeyboardInterrupt):
        main([*ISSUE])

    assert made() == FILES
    assert recorded(club) == 2


@pytest.mark.parametrize("note", [b"", b"no JSON", b"[]", b'{"files": 1}', b'{"files": [["a"]]}'])
def test_a_note_that_is_none_stops_nobody(club: Path, note: bytes) -> None:
    place = club / NOTES
    place.mkdir()
    (place / "0.json").write_bytes(note)

    assert main([*ISSUE]) == 0
    assert made() == FILES


def test_a_list_that_was_signed_and_not_written_is_made_anew(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Else readers had no list, or the one before, until half of its time is over."""
    crl = ("crl", "--if-due", "-o", "ca.crl", *PASS)
    for _ in range(2):  # the first list, and one that replaces another
        before = Path("ca.crl").read_bytes() if Path("ca.crl").exists() else None
        killed("files.write_over", 0, *crl)
        assert (Path("ca.crl").read_bytes() if Path("ca.crl").exists() else None) == before

        main([*crl])

        assert Path("ca.crl").read_bytes() != before
        capsys.readouterr()
        main([*crl])
        assert "no list is due" in capsys.readouterr().out
        with Records.load(club).ledger() as ledger:
            assert audit(ledger).unbroken
        if before is None:
            main([*ISSUE])
            main(["revoke", "alice@chess.example", "--all"])


def test_a_backup_takes_no_notes(club: Path) -> None:
    killed("HandOver.publish", 0, *ISSUE)
    (club / NOTES / "x.json").write_text("{}")
    main(["backup", "-o", "club.tar"])
    listed = subprocess.run(["tar", "tf", "club.tar"], capture_output=True, text=True, check=True)
    assert "ca.toml" in listed.stdout
    assert NOTES not in listed.stdout


@pytest.mark.parametrize(("where", "done"), [("Ledger.write", False), ("HandOver.publish", True)])
def test_a_challenge_leaves_when_its_certificate_is_recorded(
    club: Path, where: str, done: bool
) -> None:
    key = pki.keys.generate("x25519")
    Path("alice.pub").write_bytes(pki.keys.spki_pem(key.public_key()))
    new = ("challenge", "new", "alice@chess.example", "--public-key", "alice.pub", *PASS)
    killed(where, 0, *new, "-o", "alice.challenge")
    assert not Path("alice.challenge").exists()
    assert recorded(club) == done

    main(["list"])

    assert made() == {"alice.pub", *(["alice.challenge"] if done else [])}
    if done:
        answer, certificates = challenge.read(Path("alice.challenge").read_bytes(), key)
        with Records.load(club).ledger() as ledger:
            assert proving.take(ledger, certificates[0].serial_number, answer)
            assert audit(ledger).unbroken
