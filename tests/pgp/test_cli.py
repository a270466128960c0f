"""``smimetool pgp``, and the other commands with ``--pgp``."""

from __future__ import annotations

import shutil
import tempfile
from pathlib import Path

import pytest

from smime.cli.main import main
from smime.pgp.gnupg import end_agents
from tests.pgp.desk import Desk

pytestmark = pytest.mark.peer("gpg")


def test_a_key_is_made_listed_and_shown(desk):
    said = desk.run("pgp", "keygen", "alice@example.org", "--name", "Alice", "--days", "30")
    fingerprint = said.split()[0]

    assert len(fingerprint) == 40
    assert "note: the key has no passphrase" in said
    assert desk.run("pgp", "list").startswith(f"{fingerprint} secret until ")
    shown = desk.run("pgp", "show", fingerprint)
    assert "user ID  Alice <alice@example.org> (valid, vouched for)" in shown
    assert "eddsa 255, certify, sign, secret" in shown
    assert shown == desk.run("pgp", "show", "alice@example.org")


def test_keys_go_out_and_in(people, gpg):
    people.run("pgp", "export", "alice@example.org", "-o", "alice.asc")
    people.run("pgp", "export", "bob@example.org", "--secret", "-o", "bob.asc")

    assert b"PUBLIC KEY" in (people.folder / "alice.asc").read_bytes()
    assert (people.folder / "bob.asc").stat().st_mode & 0o777 == 0o600
    other = Desk(people.folder, f"{people.home}/other", people.capture)
    said = other.run("pgp", "import", "alice.asc", "bob.asc")
    assert "public until" in said
    assert "secret until" in said
    end_agents(other.home)


def test_protected_and_opened(people):
    people.run(
        "protect", "-i", "alice@example.org", "-t", "bob@example.org", "-o", "s.eml", "letter.eml"
    )
    said = people.run("open", "-i", "bob@example.org", "-o", "out.eml", "s.eml")

    assert "good: signed by alice@example.org" in said
    assert "sealed for bob@example.org with AES-256 (MDC)" in said
    assert b"minutes.bin" in (people.folder / "out.eml").read_bytes()
    assert "signed by alice@example.org (good)" in people.run("decrypt", "-o", "out2.eml", "s.eml")
    assert "good" in people.run("verify", "s.eml")


def test_signed_changed_and_refused(people):
    people.run("sign", "-i", "alice@example.org", "-o", "signed.eml", "letter.eml")
    signed = people.folder / "signed.eml"
    assert "good: signed by alice@example.org" in people.run("verify", "signed.eml")
    signed.write_bytes(signed.read_bytes().replace(b"noon", b"dusk"))

    said = people.run("verify", "-o", "out.eml", "signed.eml", status=7)
    assert "changed after signing" in said
    assert not (people.folder / "out.eml").exists()


def test_a_key_that_came_in_counts_once_it_is_vouched_for(people):
    people.run("pgp", "export", "alice@example.org", "--secret", "-o", "alice.asc")
    people.run("pgp", "export", "alice@example.org", "-o", "alice-pub.asc")
    people.run("sign", "-i", "alice@example.org", "-o", "signed.eml", "letter.eml")
    mine = Desk(people.folder, f"{people.home}/mine", people.capture)
    mine.run("pgp", "keygen", "carol@example.org")
    mine.run("pgp", "import", "alice-pub.asc")

    assert "nobody told GnuPG" in mine.run("verify", "signed.eml", status=7)
    mine.run("pgp", "vouch", "alice@example.org")
    assert "good" in mine.run("verify", "signed.eml")
    end_agents(mine.home)


def test_a_passphrase_comes_from_a_file(desk):
    (desk.folder / "pass").write_text("open sesame\n")
    desk.run("pgp", "keygen", "alice@example.org", "--passphrase-file", "pass")
    end_agents(desk.home)  # the agent of a home that is kept may keep the passphrase
    words = ("sign", "-i", "alice@example.org", "letter.eml", "-o", "signed.eml")

    assert "passphrase is missing or wrong" in desk.run(*words, status=5)
    desk.run(*words, "--passphrase-file", "pass")
    assert "good" in desk.run("verify", "signed.eml")


def test_a_key_gets_another_passphrase(desk):
    (desk.folder / "old").write_text("open sesame\n")
    (desk.folder / "new").write_text("another one\n")
    desk.run("pgp", "keygen", "alice@example.org", "--passphrase-file", "old")
    words = ("pgp", "passwd", "alice@example.org", "--new-passphrase-file", "new")
    assert "missing or wrong" in desk.run(*words, "--passphrase-file", "new", status=5)
    assert "another passphrase" in desk.run(*words, "--passphrase-file", "old")
    end_agents(desk.home)
    sign = ("sign", "-i", "alice@example.org", "letter.eml", "-o", "signed.eml")
    desk.run(*sign, "--passphrase-file", "old", status=5)
    desk.run(*sign, "--passphrase-file", "new")
    assert "no terminal" in desk.run(
        "pgp", "passwd", "alice@example.org", "--passphrase-file", "new", status=5
    )


def test_a_key_is_extended_and_revoked(people):
    people.run("sign", "-i", "alice@example.org", "-o", "signed.eml", "letter.eml")
    said = people.run("pgp", "extend", "alice@example.org", "--days", "0")
    assert "without end" in said

    assert "-o OUT is missing" in people.run(
        "pgp", "revoke", "alice@example.org", "--prepare", status=2
    )
    people.run("pgp", "revoke", "alice@example.org", "--prepare", "-o", "revoke.asc")
    assert (people.folder / "revoke.asc").stat().st_mode & 0o777 == 0o600
    assert "good" in people.run("verify", "signed.eml")
    assert "in force now" in people.run("pgp", "import", "revoke.asc")
    assert "was revoked" in people.run("verify", "signed.eml", status=7)

    people.run("sign", "-i", "bob@example.org", "-o", "signed.eml", "letter.eml")
    assert "revoked" in people.run("pgp", "revoke", "bob@example.org", "--reason", "retired")
    assert "revoked" in people.run("sign", "-i", "bob@example.org", "letter.eml", status=5)


@pytest.mark.parametrize(
    ("words", "status", "text"),
    [
        (("pgp", "keygen"), 2, "keygen takes ADDRESS"),
        (("pgp", "list", "x"), 2, "list takes no names"),
        (("pgp", "keygen", "nobody"), 2, "no mail address"),
        (("pgp", "show", "carol@example.org"), 5, "no key for carol@example.org"),
        (("pgp", "show", "0123"), 5, "no key 0123"),
        (("pgp", "import", "letter.eml"), 3, "letter.eml"),
        (("pgp", "import", "absent.asc"), 8, "absent.asc"),
        (("pgp", "exprot"), 2, "did you mean export?"),
        (("sign", "-i", "carol@example.org", "letter.eml"), 5, "no key for carol@example.org"),
        (("sign", "--opaque", "-i", "carol@example.org", "letter.eml"), 2, "not --opaque"),
    ],
)
def test_mistakes_are_one_line(desk, words, status, text):
    assert text in desk.run(*words, status=status)


def test_a_home_that_is_not_there(desk):
    nowhere = Desk(desk.folder, f"{desk.home}/nowhere", desk.capture)

    assert "no such GnuPG home" in nowhere.run("pgp", "list", status=8)
    assert "no such GnuPG home" in nowhere.run("verify", "letter.eml", status=8)


def test_whom_to_believe_is_asked(desk, capsys):
    assert main(["verify", "letter.eml"]) == 2
    assert "whom to believe? name --ca FILE" in capsys.readouterr().err
    assert main(["decrypt", "letter.eml"]) == 2
    assert "-i ID is missing" in capsys.readouterr().err


def test_from_an_empty_home(gpg, tmp_path, monkeypatch, capsys):
    """Who has no GnuPG home yet gets one, as gpg makes it; and other places only with a key."""
    folder = tempfile.mkdtemp(prefix="pgp-", dir="/tmp")
    home = Path(folder) / ".gnupg"
    monkeypatch.setenv("HOME", folder)
    monkeypatch.delenv("GNUPGHOME", raising=False)
    assert main(["pgp", "keygen", "alice@example.org"]) == 0
    assert main(["pgp", "list"]) == 0
    assert "alice@example.org" in capsys.readouterr().out
    assert home.stat().st_mode & 0o777 == 0o700
    elsewhere = Path(folder) / "else"
    monkeypatch.setenv("GNUPGHOME", str(elsewhere))
    assert main(["pgp", "list"]) == 8
    assert main(["pgp", "keygen", "bob@example.org"]) == 0
    for one in (home, elsewhere):
        end_agents(str(one))
    shutil.rmtree(folder)
