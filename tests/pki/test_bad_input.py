"""What goes wrong in a CA's life: one clear line, a status, nothing half done, nothing lost."""

from __future__ import annotations

import errno
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from csv import reader as csv_reader
from dataclasses import dataclass
from pathlib import Path
from typing import TypeAlias

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import pki.files
import pki.tables
import smime
from pki.audit import audit
from pki.folder import Records
from smime.cli.main import main as command
from tests.support.peers import Peer

REPOSITORY = Path(__file__).parents[2]
PASS = ("--passphrase-file", "ca-pass")
P12 = ("--p12-passphrase-file", "ca-pass")
ISSUE = ("issue", "new@chess.example", "--key", "p256", *PASS, *P12, "-o", "new.p12")

# A child whose disk is full; the locks are quick to open and close.
CHILD = """
import resource, signal, sqlite3, sys
import pki.keys
from smime.keys import pbe
pki.keys.SEAL_ROUNDS = pbe.MODERN_ROUNDS = 1_000
signal.signal(signal.SIGXFSZ, signal.SIG_IGN)  # an error then, no signal
limit = int(sys.argv[1])
resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
from smime.cli.main import main
sys.exit(main(["ca", *sys.argv[2:]]))
"""


@dataclass
class Done:
    """What a command said."""

    returncode: int
    stdout: str
    stderr: str


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA for one domain that gave out three certificates. Only copied."""
    folder = tmp_path_factory.mktemp("made")
    with pki.Registrar.create(
        folder / "club", name="Club", passphrase="secret", domains=["chess.example"]
    ) as ca:
        for name in ("alice", "bob", "carol"):
            made = ca.issue(f"{name}@chess.example", algorithm="p256")
        ca.revoke(made.certificate.serial_number, reason="keyCompromise")
        ca.crl()
    return folder / "club"


@pytest.fixture
def club(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca-pass").write_text("secret\n")
    return Path(shutil.copytree(made, tmp_path / "club"))


Run: TypeAlias = Callable[..., Done]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str]) -> Run:
    def run(*arguments: str) -> Done:
        capsys.readouterr()
        status = command(["ca", *arguments])
        said = capsys.readouterr()
        return Done(status, said.out, said.err)

    return run


def with_full_disk(limit: int, *arguments: str) -> Done:
    """Run it in a process whose files may reach that size and no more."""
    done = subprocess.run(
        [sys.executable, "-c", CHILD, str(limit), *arguments],
        env={
            "PYTHONPATH": str(REPOSITORY),
            "PATH": os.environ["PATH"],
            "PYTHONDONTWRITEBYTECODE": "1",  # half a file of it would stay
        },
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return Done(done.returncode, done.stdout, done.stderr)


def told(done: Done, status: int, says: str) -> None:
    """One line of what is wrong, at most one of what to do, nothing on standard output."""
    assert done.returncode == status, done.stderr
    assert done.stdout == ""
    lines = done.stderr.splitlines()
    assert says in lines[0]
    assert "Traceback" not in done.stderr
    assert len(lines) == 1 or (len(lines) == 2 and lines[1].startswith("hint: ")), lines


def state(club: Path) -> tuple[int, int]:
    """How many certificates and entries there are, in a ledger that is unbroken."""
    with Records.load(club).ledger() as ledger:
        assert audit(ledger).unbroken
        return ledger.count(), ledger.head()[0]


def names() -> set[str]:
    return {path.name for path in Path().iterdir()}


def csr(key: object, *wished: str, damage: bool = False) -> bytes:
    builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
    if wished:
        names = [x509.RFC822Name(one) for one in wished]
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    made = bytearray(builder.sign(key, SHA256()).public_bytes(Encoding.DER))
    if damage:
        made[-1] ^= 1
    return bytes(made)


GOOD = ec.generate_private_key(ec.SECP256R1())
WEAK = rsa.generate_private_key(65537, 1024)
REQUESTS = {
    "broken signature": (csr(GOOD, damage=True), "new@chess.example", "not signed by"),
    "wrong name": (csr(GOOD, "bob@chess.example"), "new@chess.example", "asks for"),
    "extra name": (
        csr(GOOD, "new@chess.example", "bob@chess.example"),
        "new@chess.example",
        "asks for 'bob@chess.example'",
    ),
    "1024 bits": (csr(WEAK), "new@chess.example", "an RSA key of 1024 bits"),
    "foreign domain": (csr(GOOD), "new@other.example", "outside"),
    "no request": (b"hello", "new@chess.example", "not a certification request"),
}


@pytest.mark.parametrize("case", REQUESTS.values(), ids=REQUESTS)
def test_requests_that_are_refused(run: Run, club: Path, case: tuple[bytes, str, str]) -> None:
    request, address, says = case
    Path("new.csr").write_bytes(request)
    before, there = state(club), names()

    told(run("sign-csr", "new.csr", address, "-o", "new.pem", *PASS), 23, says)

    assert (state(club), names()) == (before, there)
    Path("new.csr").write_bytes(csr(GOOD, "new@chess.example"))
    assert run("sign-csr", "new.csr", "new@chess.example", "-o", "new.pem", *PASS).returncode == 0


def test_an_address_elsewhere_is_refused(run: Run, club: Path) -> None:
    before, there = state(club), names()
    told(run("issue", "new@other.example", *ISSUE[2:]), 23, "outside")
    assert (state(club), names()) == (before, there)


def test_another_passphrase(run: Run, club: Path) -> None:
    Path("ca-pass").write_text("guessed\n")
    there = names()
    for typed in (
        ISSUE,
        ("crl", *PASS),
        ("audit", "--checkpoint-to", "kept", *PASS),
        ("renew", "alice@chess.example", *PASS),
    ):
        told(run(*typed), 24, "does not open")
    assert names() == there
    assert state(club)[0] == 3


def test_a_locked_database(run: Run, club: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    before, there = state(club), names()
    monkeypatch.setattr(pki.tables, "LOCK_SECONDS", 0.1)
    holder = sqlite3.connect(club / "ledger.db", isolation_level=None)
    holder.execute("BEGIN IMMEDIATE")
    try:
        told(run(*ISSUE), 27, "locked by another process")
        told(run("revoke", "alice@chess.example"), 27, "locked by another process")
        assert run("list").returncode == 0  # reading goes on
    finally:
        holder.execute("ROLLBACK")
        holder.close()
    assert (state(club), names()) == (before, there)
    assert run(*ISSUE).returncode == 0


@pytest.mark.skipif(os.name != "posix", reason="platform: no limits of files")
def test_a_disk_that_is_full_at_any_moment(run: Run, club: Path) -> None:
    """At each size a file may reach: all is done, or nothing is, and the next try goes through."""
    before, there = state(club), names()
    done = 0
    for limit in (1, 600, 2_000, 34_000, 50_000, 1_000_000):
        tried = with_full_disk(limit, *ISSUE)
        if tried.returncode == 0:
            done += 1
            assert state(club)[0] == before[0] + 1
            break
        assert tried.returncode in (8, 27), tried.stderr
        told(tried, tried.returncode, "")
        assert (state(club), names()) == (before, there)
    assert done, "it never went through"
    assert smime.Identity.load("new.p12", passphrase="secret").addresses == ("new@chess.example",)


CHANGES = {
    "revoke": ("revoke", "alice@chess.example", "--reason", "superseded"),
    "crl": ("crl", *PASS, "-o", "new.crl"),
    "renew": ("renew", "alice@chess.example", *PASS, "-o", "."),
    "sign-csr": ("sign-csr", "new.csr", "new@chess.example", *PASS, "-o", "new.pem"),
}


@pytest.mark.skipif(os.name != "posix", reason="platform: no limits of files")
@pytest.mark.parametrize("typed", CHANGES.values(), ids=CHANGES)
def test_a_disk_that_is_full_for_other_changes(
    run: Run, club: Path, typed: tuple[str, ...]
) -> None:
    """Nothing is done, and said; with room it is done."""
    Path("new.csr").write_bytes(csr(GOOD, "new@chess.example"))
    before, there = state(club), names()
    for limit in (1, 12_000, 1_000_000):
        tried = with_full_disk(limit, *typed)
        if tried.returncode == 0:
            break
        told(tried, tried.returncode, "")
        assert tried.returncode in (8, 27), tried.stderr
        assert (state(club), names()) == (before, there)
    assert limit > 1
    assert state(club)[1] == before[1] + 1


@pytest.mark.parametrize("typed", [CHANGES["renew"], CHANGES["sign-csr"]], ids=["renew", "csr"])
def test_a_certificate_that_finds_no_room_is_had_all_the_same(
    run: Run, club: Path, typed: tuple[str, ...], monkeypatch: pytest.MonkeyPatch
) -> None:
    """The ledger has room and the folder of the new file has not: two disks."""
    Path("new.csr").write_bytes(csr(GOOD, "new@chess.example"))
    before, there = state(club), names()

    def full(path: str, data: bytes, *, mode: int) -> None:
        raise OSError(errno.ENOSPC, os.strerror(errno.ENOSPC), path)

    with monkeypatch.context() as patch:
        patch.setattr(pki.files, "write_new", full)
        done = run(*typed)
    told(done, 8, "the certificate is recorded: `smimetool ca export ")

    assert (state(club)[0], names()) == (before[0] + 1, there)
    words = done.stderr.partition("`smimetool ca ")[2].partition("`")[0].split()
    assert run(*words).returncode == 0
    (made,) = x509.load_pem_x509_certificates(Path("FILE.pem").read_bytes())
    assert f"{made.serial_number:x}" == words[1]


@pytest.mark.skipif(os.name != "posix", reason="platform: no limits of files")
def test_a_disk_that_is_full_for_many(run: Run, club: Path) -> None:
    """What was made stays made, and the same command makes the rest."""
    people = [f"u{n}@chess.example" for n in range(5)]
    Path("people.csv").write_text("\n".join(["address", *people]))
    typed = ("import-csv", "people.csv", "-o", "people", "--write-passphrases", "people.pass")
    for limit in (1, 250, 34_000):
        tried = with_full_disk(limit, *typed, "--key", "p256", *PASS)
        if tried.returncode == 0:
            break
        told(tried, tried.returncode, "")
        assert tried.returncode in (8, 27), tried.stderr
        assert state(club)[0] in (3, 8)  # one commit
    assert run(*typed, "--key", "p256", *PASS).returncode == 0
    assert state(club)[0] == 8
    with Path("people.pass").open(newline="") as file:
        secrets = {row[1]: (row[0], row[2]) for row in csv_reader(file)}
    for address in people:
        path, secret = secrets[address]
        made = smime.Identity.load(Path("people") / path, passphrase=secret)
        assert made.addresses == (address,)


@pytest.mark.skipif(os.name != "posix", reason="platform: no limits of files")
def test_a_disk_that_is_full_for_a_backup(run: Run, club: Path) -> None:
    before, there = state(club), names()
    tried = with_full_disk(60_000, "backup", "-o", "club.tar")
    assert tried.returncode in (8, 27)
    told(tried, tried.returncode, "")
    assert (state(club), names()) == (before, there)
    assert run("backup", "-o", "club.tar").returncode == 0


def test_records_of_a_newer_version(run: Run, club: Path) -> None:
    connection = sqlite3.connect(club / "ledger.db")
    connection.execute("UPDATE alembic_version SET version_num = '9999'")
    connection.commit()
    connection.close()
    data = (club / "ledger.db").read_bytes()

    for typed in (ISSUE, ("list",), ("revoke", "alice@chess.example"), ("audit",)):
        told(run(*typed), 27, "newer smimetool")
    assert (club / "ledger.db").read_bytes() == data


def test_a_folder_of_a_newer_version(run: Run, club: Path) -> None:
    settings = (club / "ca.toml").read_text()
    (club / "ca.toml").write_text(settings.replace("version = 2", "version = 3"))
    told(run("list"), 22, "version")


@pytest.mark.parametrize(
    ("damage", "status", "says"),
    [
        (lambda file: file.unlink(), 27, "missing"),
        (lambda file: file.write_bytes(b"no database" * 1_000), 27, "damaged"),
        (lambda file: file.write_bytes(file.read_bytes()[:20_000]), 27, "damaged"),
    ],
    ids=["gone", "overwritten", "cut"],
)
def test_a_ledger_that_is_none(
    run: Run, club: Path, damage: Callable[[Path], None], status: int, says: str
) -> None:
    for extra in ("-wal", "-shm"):
        (club / f"ledger.db{extra}").unlink(missing_ok=True)
    damage(club / "ledger.db")
    there = names()

    told(run(*ISSUE), status, says)
    assert names() == there


TAMPERED = {
    "a changed byte": ("UPDATE events SET detail = replace(detail, 'reason', 'treason')", 28),
    "a removed row": ("DELETE FROM events WHERE number = 4", 28),
    "a removed certificate": (
        "DELETE FROM certificates WHERE number = (SELECT max(number) FROM certificates)",
        28,
    ),
    "two swapped": (
        "UPDATE events SET number = CASE number WHEN 3 THEN -4 WHEN 4 THEN -3 END "
        "WHERE number IN (3, 4); UPDATE events SET number = -number WHERE number < 0",
        28,
    ),
    "a cut tail": ("DELETE FROM events WHERE number > 5", 28),
}


@pytest.mark.parametrize(("change", "status"), TAMPERED.values(), ids=TAMPERED)
def test_a_log_that_was_changed(run: Run, club: Path, change: str, status: int) -> None:
    assert run("audit").returncode == 0
    connection = sqlite3.connect(club / "ledger.db")
    connection.executescript(change)
    connection.close()

    told(run("audit"), status, " at entry ")


def test_the_key_file_is_damaged(run: Run, club: Path) -> None:
    key = club / "private/issuing.key.pem"
    for content, status in ((b"", 22), (key.read_bytes()[:200], 24), (b"-----BEGIN X", 22)):
        key.write_bytes(content)
        told(run(*ISSUE), status, "key")
    key.unlink()
    told(run(*ISSUE), 8, "issuing.key.pem")


def test_a_thief_of_the_keys_makes_no_web_server(openssl: Peer, run: Run, club: Path) -> None:
    """The root, limited too, and the CA below it: both are refused by OpenSSL for a host."""
    run("init", "own", "--name", "Own", "--domain", "chess.example", "--constrain", *PASS)
    run(*ISSUE, "--ca-dir", "own")
    check = ("verify", "-CAfile", "own/root.pem", "-untrusted", "own/issuing.pem")
    openssl.run(*check, "-purpose", "smimesign", "new.pem")
    for name in ("issuing", "root"):
        sign = ("-CA", f"own/{name}.pem", "-CAkey", f"own/private/{name}.key.pem")
        Path("ext").write_text("subjectAltName = DNS:www.chess.example\n")
        openssl.run(
            *("req", "-new", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-noenc"),
            *("-keyout", "web.key", "-out", "web.csr", "-subj", "/CN=www.chess.example"),
        )
        openssl.run(
            *("x509", "-req", "-in", "web.csr", *sign, "-passin", "file:ca-pass"),
            *("-extfile", "ext", "-days", "30", "-set_serial", "7", "-out", "web.pem"),
        )
        refused = openssl.attempt(*check, "-purpose", "sslserver", "web.pem")
        assert refused.returncode
        assert b"excluded subtree" in openssl.attempt(*check, "web.pem").stderr
