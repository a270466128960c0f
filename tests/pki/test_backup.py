"""The drill: a CA is wiped, restored, and goes on."""

from __future__ import annotations

import io
import json
import shutil
import sqlite3
import tarfile
from pathlib import Path

import pytest
from cryptography import x509
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import pki
import smime
from pki import archive, backup
from pki.audit import audit
from pki.cli import main
from pki.folder import Records

PASS = ("--passphrase-file", "ca-pass")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA with everything in it, and its backup. Only copied."""
    folder = tmp_path_factory.mktemp("made")
    (folder / "ca-pass").write_text("secret\n")
    (folder / "club").mkdir()
    with pki.Registrar.create(folder / "club", name="Club", passphrase="secret") as ca:
        agent = pki.Authority.create("Elsewhere").issue("ann@board.example")
        archive.name_agents(ca.ledger, [agent.certificate])
        for name in ("alice", "bob", "carol"):
            ca.issue(f"{name}@chess.example", algorithm="p256", pair=name == "alice")
        (bob,) = ca.ledger.find(address="bob@chess.example")
        ca.revoke(bob.serial, reason="keyCompromise")
    (folder / "club/profiles").mkdir()
    (folder / "club/profiles/members.toml").write_text('based_on = "mailbox"\n')
    assert (
        main(
            ["crl", "--ca-dir", str(folder / "club"), "--passphrase-file", str(folder / "ca-pass")]
        )
        == 0
    )
    with Records.load(folder / "club").ledger() as ledger:
        backup.make(Records.load(folder / "club"), ledger, folder / "club.tar")
    return folder


@pytest.fixture
def here(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here"


def files(folder: Path) -> dict[str, bytes]:
    return {
        str(path.relative_to(folder)): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file() and not path.name.startswith("ledger.db")
    }


def test_wiped_and_restored_it_goes_on(here: Path, capsys: pytest.CaptureFixture[str]) -> None:
    main(["audit", "--ca-dir", "club", "--checkpoint-to", "kept", *PASS])
    main(["backup", "--ca-dir", "club", "-o", "new.tar"])
    before = files(here / "club")
    old = x509.load_der_x509_crl((here / "club/crl/ca.crl").read_bytes())
    shutil.rmtree("club")
    capsys.readouterr()

    main(["restore", "new.tar", "club", "--checkpoint", "kept", "--json"])

    assert json.loads(capsys.readouterr().out)["entries"] > 5
    assert files(here / "club") == before
    assert (here / "club/private").stat().st_mode & 0o777 == 0o700
    assert (here / "club/private/issuing.key.pem").stat().st_mode & 0o777 == 0o600
    assert (here / "club/ledger.db").stat().st_mode & 0o777 == 0o600
    with pki.Registrar.load("club", passphrase="secret") as ca:
        dora = ca.issue("dora@chess.example", algorithm="p256", profile="members")
        ca.revoke(dora.certificate.serial_number, reason="superseded")
        crl = x509.load_der_x509_crl(ca.crl())
        (bob,) = ca.ledger.find(address="bob@chess.example")
        assert {one.serial_number for one in crl} == {bob.serial, dora.certificate.serial_number}
        number = x509.CRLNumber
        assert (
            crl.extensions.get_extension_for_class(number).value.crl_number
            > old.extensions.get_extension_for_class(number).value.crl_number
        )
        assert archive.overview(ca.ledger).records == 1
        assert audit(ca.ledger).unbroken
    main(["audit", "--ca-dir", "club", "--checkpoint", "kept"])
    assert "unbroken" in capsys.readouterr().out


def test_a_backup_is_one_moment_while_others_write(here: Path) -> None:
    with pki.Registrar.load("club", passphrase="secret") as ca:
        count = ca.ledger.count()
        backup.make(ca.records, ca.ledger, "first.tar")
        ca.issue("late@chess.example", algorithm="p256")
        assert ca.ledger.count() == count + 1
    assert (here / "first.tar").stat().st_mode & 0o777 == 0o600
    backup.restore("first.tar", "again")
    with Records.load("again").ledger() as ledger:
        assert ledger.count() == count
        assert ledger.find(address="late@chess.example") == []


def test_nothing_is_written_over(here: Path) -> None:
    for argv, error in (
        (["backup", "--ca-dir", "club", "-o", "club.tar"], FileExistsError),
        (["backup", "--ca-dir", "club", "-o", "no/club.tar"], FileNotFoundError),
        (["restore", "club.tar", "club"], pki.AuthorityExists),
        (["restore", "club.tar", "."], FileExistsError),
        (["restore", "nowhere.tar", "new"], FileNotFoundError),
    ):
        before = sorted(here.rglob("*"))
        with pytest.raises(error):
            main(argv)
        assert sorted(here.rglob("*")) == before


def rewritten(source: str, target: str, change: object) -> None:
    """Copy a backup, each member through a function of its name and content."""
    with tarfile.open(source) as old, tarfile.open(target, "w") as new:
        for member in old:
            content = old.extractfile(member).read()
            for name, data in change(member.name, content):
                info = tarfile.TarInfo(name)
                info.size = len(data)
                new.addfile(info, io.BytesIO(data))


CHANGES = {
    "a changed file": lambda name, data: (
        [(name, data.replace(b"Club", b"Blub"))] if name == "ca.toml" else [(name, data)]
    ),
    "a missing file": lambda name, data: [] if name == "root.pem" else [(name, data)],
    "one more file": lambda name, data: [
        (name, data),
        *([("x", b"")] if name == "ca.toml" else []),
    ],
    "a file twice": lambda name, data: [(name, data)] * (2 if name == "root.pem" else 1),
    "no list": lambda name, data: [] if name == backup.MANIFEST else [(name, data)],
    "a list that is none": lambda name, data: [(name, b"[]" if name == backup.MANIFEST else data)],
    "a way out": lambda name, data: [("../root.pem" if name == "root.pem" else name, data)],
    "an absolute way out": lambda name, data: [("/tmp/x" if name == "root.pem" else name, data)],
}


@pytest.mark.parametrize("change", CHANGES.values(), ids=CHANGES)
def test_a_changed_backup_makes_no_ca(here: Path, change: object) -> None:
    rewritten("club.tar", "changed.tar", change)

    with pytest.raises(pki.LedgerProblem):
        backup.restore("changed.tar", "new")
    assert not Path("new").exists()
    rewritten("club.tar", "same.tar", lambda name, data: [(name, data)])
    backup.restore("same.tar", "new")


def test_links_in_a_backup_are_refused(here: Path) -> None:
    with tarfile.open("club.tar") as old, tarfile.open("link.tar", "w") as new:
        for member in old:
            if member.name == "root.pem":
                member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc/passwd", 0
            new.addfile(member, None if member.issym() else old.extractfile(member))
    with pytest.raises(pki.LedgerProblem):
        backup.restore("link.tar", "new")
    assert not Path("new").exists()


def test_a_ledger_that_was_changed_well_is_found_by_the_audit(here: Path) -> None:
    """Also where the list of hashes was written anew."""
    import hashlib

    with tarfile.open("club.tar") as old:
        Path("ledger").write_bytes(old.extractfile("ledger.db").read())
    connection = sqlite3.connect("ledger")
    connection.execute("DELETE FROM revocations")
    connection.commit()
    connection.close()
    data = Path("ledger").read_bytes()

    def change(name: str, content: bytes) -> list[tuple[str, bytes]]:
        if name == "ledger.db":
            return [(name, data)]
        if name == backup.MANIFEST:
            manifest = json.loads(content)
            manifest["files"]["ledger.db"] = hashlib.sha256(data).hexdigest()
            return [(name, json.dumps(manifest).encode())]
        return [(name, content)]

    rewritten("club.tar", "changed.tar", change)
    with pytest.raises(pki.AuditFailed, match="a revocation is missing") as found:
        main(["restore", "changed.tar", "new"])
    assert found.value.exit_status == 28
    assert not Path("new").exists()


def test_a_backup_older_than_the_checkpoint_is_told(here: Path) -> None:
    with pki.Registrar.load("club", passphrase="secret") as ca:
        ca.issue("late@chess.example", algorithm="p256")
    main(["audit", "--ca-dir", "club", "--checkpoint-to", "kept", *PASS])

    with pytest.raises(pki.AuditFailed, match="truncated"):
        main(["restore", "club.tar", "new", "--checkpoint", "kept"])
    assert not Path("new").exists()


def test_a_backup_of_a_newer_version(here: Path) -> None:
    def newer(name: str, data: bytes) -> list[tuple[str, bytes]]:
        changed = data.replace(b'"version": 1', b'"version": 2')
        return [(name, changed if name == backup.MANIFEST else data)]

    rewritten("club.tar", "newer.tar", newer)
    with pytest.raises(pki.LedgerProblem, match="newer"):
        backup.restore("newer.tar", "new")


@settings(
    max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture], deadline=None
)
@given(place=st.floats(0, 1, exclude_max=True), cut=st.booleans(), bit=st.integers(0, 7))
def test_a_damaged_backup_is_no_ca_or_the_same(
    here: Path, place: float, cut: bool, bit: int
) -> None:
    data = bytearray(Path("club.tar").read_bytes())
    at = int(place * len(data))
    if cut:
        del data[at:]
    else:
        data[at] ^= 1 << bit
    Path("damaged.tar").write_bytes(data)
    try:
        backup.restore("damaged.tar", "damaged")
    except smime.SmimeError:
        assert not Path("damaged").exists()
        return
    # Padding of the archive, or fields of it that say nothing here.
    same = files(here / "club")
    assert files(here / "damaged") == same
    shutil.rmtree("damaged")
