"""``smimetool ca import-csv``: one bad row among many, a run that was cut off, odd files."""

from __future__ import annotations

import contextlib
import csv
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from pki import archive, bulk
from pki.audit import audit
from pki.cli import main
from pki.folder import Records
from tests.pki.house import quick
from tests.pki.test_cli_process import run
from tests.pki.test_cli_terminal import Terminal

REPOSITORY = Path(__file__).parents[2]
PASS = ("--passphrase-file", "ca-pass")


@pytest.fixture(scope="module")
def made(tmp_path_factory: pytest.TempPathFactory, quick_locks: None) -> Path:
    """A CA for one domain. Only copied."""
    folder = tmp_path_factory.mktemp("made")
    pki.Registrar.create(
        folder / "club", name="Club", passphrase="secret", domains=["chess.example"]
    ).close()
    return folder / "club"


@pytest.fixture
def club(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca-pass").write_text("secret\n")
    return Path(shutil.copytree(made, tmp_path / "club"))


def imported(
    capsys: pytest.CaptureFixture[str], text: str, *more: str, encoding: str = "utf-8"
) -> dict[str, object]:
    """Give what the command says as JSON, refused rows or not."""
    Path("people.csv").write_bytes(text.encode(encoding))
    files = ("-o", "people", "--write-passphrases", "people.pass")
    capsys.readouterr()
    command = ["import-csv", "people.csv", *files, "--key", "p256", *PASS, "--json", *more]
    with contextlib.suppress(pki.RequestRefused):  # some rows
        assert main(command) == 0
    return json.loads(capsys.readouterr().out)


def passphrases() -> dict[str, str]:
    rows = csv.reader(Path("people.pass").read_text().splitlines())
    return {name: secret for name, _, secret in rows}


def recorded(club: Path) -> int:
    with Records.load(club).ledger() as ledger:
        assert audit(ledger).unbroken
        return ledger.count()


def test_everybody_gets_a_key_and_a_passphrase_of_their_own(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "address,name,key,days,pair\n" + (
        "alice@chess.example,Alice,,,\n"
        "bob@chess.example bobby@chess.example,Bob,ed25519,30,\n"
        "\n"
        '"carol@chess.example","Carol, née Kasparova",,,yes\n'
    )

    said = imported(capsys, rows)

    assert (said["made"], said["refused"]) == (3, [])
    secrets = passphrases()
    assert len(set(secrets.values())) == 3
    people = {}
    for name, secret in secrets.items():
        path = Path("people") / name
        assert path.stat().st_mode & 0o777 == 0o600
        identity = smime.Identity.load(path, passphrase=secret)
        people[identity.addresses[0][:3]] = identity
        first = x509.load_pem_x509_certificates(path.with_suffix(".pem").read_bytes())[0]
        assert first == identity.certificate
    assert people["bob"].addresses == ("bob@chess.example", "bobby@chess.example")
    bob = people["bob"].certificate
    assert (bob.not_valid_after_utc - bob.not_valid_before_utc).days == 29
    assert people["car"].recipient.certificate != people["car"].certificate
    assert "née Kasparova" in str(people["car"].certificate.subject)
    assert Path("people.pass").stat().st_mode & 0o777 == 0o600
    assert list(Path("people/pending").iterdir()) == []
    assert recorded(club) == 5


BAD = [
    ("no address", "carol at chess.example,,,,"),
    ("another domain", "eve@other.example,,,,"),
    ("a key that is none", "eve@chess.example,,rsa512,,"),
    ("days", "eve@chess.example,,,many,"),
    ("too many days", "eve@chess.example,,,9999,"),
    ("pair", "eve@chess.example,,,,perhaps"),
    ("empty", ",Eve,,,"),
    ("too few cells", "eve@chess.example"),
    ("too many cells", "eve@chess.example,,,,,,"),
    ("twice", "alice@chess.example,,,,"),
    ("a name that hides", "eve@chess.example,E\u202eve,,,"),
    ("not UTF-8", "eve@chess.example,\udcff,,,"),
    ("no CSV", 'eve@chess.example,"E"ve,,,'),
]


@pytest.mark.parametrize("bad", [row for _, row in BAD], ids=[name for name, _ in BAD])
def test_one_bad_row_is_reported_and_the_others_made(
    club: Path, capsys: pytest.CaptureFixture[str], bad: str
) -> None:
    rows = f"address,name,key,days,pair\nalice@chess.example,,,,\n{bad}\nbob@chess.example,,,,\n"
    Path("people.csv").write_bytes(rows.encode("utf-8", "surrogateescape"))
    files = ("-o", "people", "--write-passphrases", "people.pass")

    with pytest.raises(pki.RequestRefused, match="1 of 3 rows") as refused:
        main(["import-csv", "people.csv", *files, "--key", "p256", *PASS])

    assert refused.value.exit_status == 23
    assert "refused.csv" in refused.value.hint
    assert "line 3: " in capsys.readouterr().err
    assert len(passphrases()) == 2
    head, row = csv.reader(Path("people/refused.csv").read_text().splitlines())
    assert (head[0], row[0]) == ("line", "3")
    assert row[2].isprintable()
    assert row[2]
    assert {path.name for path in Path("people").glob("*.p12")} == {
        "alice@chess.example.p12",
        "bob@chess.example.p12",
    }
    assert recorded(club) == 2


def test_a_second_run_makes_what_was_missing(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    first = imported(capsys, "address\nalice@chess.example\nbob at chess\n")
    assert (first["made"], [one["line"] for one in first["refused"]]) == (1, [3])
    alice = Path("people/alice@chess.example.p12").read_bytes()

    again = imported(capsys, "address\nalice@chess.example\nbob@chess.example\n")

    assert (again["made"], again["made_before"], again["refused"]) == (1, 1, [])
    assert Path("people/alice@chess.example.p12").read_bytes() == alice
    assert not Path("people/refused.csv").exists()
    assert recorded(club) == 2
    for name, secret in passphrases().items():
        assert smime.Identity.load(Path("people") / name, passphrase=secret)


def test_who_made_their_own_key_gets_a_certificate(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, wish in (("dora", "dora"), ("mallory", "alice")):
        key = ec.generate_private_key(ec.SECP256R1())
        wished = x509.SubjectAlternativeName([x509.RFC822Name(f"{wish}@chess.example")])
        builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
        request = builder.add_extension(wished, critical=False).sign(key, SHA256())
        Path(f"{name}.csr").write_bytes(request.public_bytes(Encoding.PEM))
    rows = "address,csr\ndora@chess.example,dora.csr\nmallory@chess.example,mallory.csr\n"

    said = imported(capsys, rows + "eve@chess.example,nowhere.csr\n")

    assert said["made"] == 1
    assert ["asks for" in one["reason"] for one in said["refused"]] == [True, False]
    assert "nowhere.csr" in said["refused"][1]["reason"]
    assert {path.name for path in Path("people").glob("*@*")} == {"dora@chess.example.pem"}
    assert passphrases() == {}


@pytest.mark.parametrize(
    ("head", "says"),
    [("name\n", "no column address"), ("", "no column"), ("address,colour\n", "colour")],
)
def test_a_first_line_that_names_no_columns(
    club: Path, capsys: pytest.CaptureFixture[str], head: str, says: str
) -> None:
    Path("people.csv").write_text(f"{head}alice@chess.example\n" if head else "")
    files = ("-o", "people", "--write-passphrases", "people.pass")
    with pytest.raises(pki.RequestRefused, match=says):
        main(["import-csv", "people.csv", *files, *PASS])
    assert not Path("people").exists()


def test_a_file_from_a_spreadsheet(club: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """With a byte order mark, semicolons, CRLF."""
    said = imported(capsys, "Address;Name\r\nalice@chess.example;Müller\r\n", encoding="utf-8-sig")
    assert (said["made"], said["refused"]) == (1, [])


def test_folders_and_files_of_others_are_left_alone(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    Path("people.csv").write_text("address\nalice@chess.example\n")
    command = ["import-csv", "people.csv", "--key", "p256", *PASS]
    Path("full").mkdir()
    Path("full/dear").write_text("x")
    with pytest.raises(FileExistsError):
        main([*command, "-o", "full", "--write-passphrases", "p"])
    Path("open.pass").write_text("")
    Path("open.pass").chmod(0o644)
    with pytest.raises(PermissionError):
        main([*command, "-o", "a", "--write-passphrases", "open.pass"])
    Path("other.pass").write_text("no passphrases\n")
    Path("other.pass").chmod(0o600)
    with pytest.raises(pki.RequestRefused):
        main([*command, "-o", "b", "--write-passphrases", "other.pass"])
    assert Path("other.pass").read_text() == "no passphrases\n"
    assert recorded(club) == 0


def test_reading_keys_are_kept_where_there_are_agents(
    club: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    rows = "address,pair\nalice@chess.example,yes\nbob@chess.example,no\n"
    ann = pki.Authority.create("Elsewhere").issue("ann@board.example")
    with Records.load(club).ledger() as ledger:
        archive.name_agents(ledger, [ann.certificate])

    imported(capsys, rows)

    with Records.load(club).ledger() as ledger:
        assert archive.overview(ledger).records == 1
        serials = [one.serial for one in ledger.find(address="alice@chess.example")]
        (kept,) = archive.serials_of(ledger, serials)
        (found,) = archive.recover(ledger, [kept], reason="test", keys=[ann])
    secret = passphrases()["alice@chess.example.p12"]
    alice = smime.Identity.load("people/alice@chess.example.p12", passphrase=secret)
    assert found.certificate == alice.recipient.certificate


def test_file_names_are_plain_and_differ() -> None:
    """Whatever an address holds, its file stays in the folder, in every run under one name."""
    keys = [
        "a@b.example",
        "A@b.example x@b.example",
        "../../etc/passwd",
        "..",
        "ä@b.example",
        "a" * 300,
    ]
    keys += ["a/b@c.example", "con@b.example", "a@b.example c@b.example"]
    stems = [bulk._stem(key.lower(), key.split()) for key in keys]
    assert len(set(stems)) == len(keys)
    for stem in stems:
        assert os.path.basename(stem) == stem
        assert not stem.startswith(".")
        assert stem.isascii()
        assert len(stem) < 200


@pytest.mark.skipif(os.name != "posix", reason="platform: no pseudo-terminals")
def test_a_bar_is_for_terminals_alone(club: Path) -> None:
    Path("people.csv").write_text("address\nalice@chess.example\nbob@chess.example\n")
    command = ["import-csv", "people.csv", "--key", "p256", *PASS]

    files = ["-o", "one", "--write-passphrases", "one.pass"]
    typed = Terminal(*command, *files, cwd=Path.cwd(), TERM="xterm", PYTHONWARNINGS="error")
    status, seen = typed.end()
    assert status == 0, seen
    assert "\x1b[" in seen
    assert "certificates" in seen
    assert "2 made" in seen

    files = ["-o", "two", "--write-passphrases", "two.pass"]
    done = run(*command, *files, cwd=Path.cwd())
    assert done.returncode == 0
    assert done.stderr == b""
    assert b"\x1b" not in done.stdout


# --- cut off ----------------------------------------------------------------

CHILD = """
import os, signal, sys
import pki.keys
from smime.keys import pbe
pki.keys.SEAL_ROUNDS = pbe.MODERN_ROUNDS = 1_000
from pki import bulk
from pki.cli import main
bulk.GROUP = 7
where, count = sys.argv[1], int(sys.argv[2])

def dying(real):
    def step(*given, **named):
        global count
        count -= 1
        if count < 0:
            os.kill(os.getpid(), signal.SIGKILL)
        return real(*given, **named)
    return step

module, name = where.rsplit(".", 1)
home = {"bulk": bulk, "Import": bulk.Import}[module]
setattr(home, name, dying(getattr(home, name)))
sys.exit(main(sys.argv[3:]))
"""


@pytest.mark.skipif(os.name != "posix", reason="platform: no kill -9")
@pytest.mark.parametrize(
    ("where", "count"),
    [
        ("bulk.write_over", 5),  # between the keys of a group
        ("bulk.write_over", 17),  # between its certificates and .p12 files
        ("Import._hand_out_passphrases", 1),
        ("Import._certify", 1),  # keys there, nothing recorded
        ("Import._deliver", 0),  # recorded, nothing delivered
        ("Import._deliver", 9),
        ("Import._drop_pending", 3),  # delivered, and its key lies there still
    ],
)
def test_killed_and_started_again_every_row_comes_to_one_certificate(
    club: Path, capsys: pytest.CaptureFixture[str], where: str, count: int
) -> None:
    people = 20
    text = "address\n" + "".join(f"u{n}@chess.example\n" for n in range(people))
    Path("people.csv").write_text(text)
    files = ["-o", "people", "--write-passphrases", "people.pass", "--key", "p256"]
    died = subprocess.run(
        [sys.executable, "-c", CHILD, where, str(count), "import-csv", "people.csv", *files, *PASS],
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(REPOSITORY)},
        capture_output=True,
        timeout=60,
        check=False,
    )
    assert died.returncode == -signal.SIGKILL, died.stderr.decode()

    said = imported(capsys, text)

    assert said["made"] + said["made_before"] == people
    assert said["refused"] == []
    assert recorded(club) == people
    secrets = passphrases()
    assert len(secrets) == people
    for name, secret in secrets.items():
        assert smime.Identity.load(Path("people") / name, passphrase=secret)
    assert list(Path("people/pending").iterdir()) == []


@pytest.mark.server
def test_one_bad_row_among_ten_thousand(tmp_path: Path) -> None:
    """All others are issued; by their own keys, which are quick to make."""
    people, bad = 10_000, 4_321
    with quick(tmp_path / "ca", crl_url="") as ca:
        rows = []
        for n in range(people):
            key = ec.generate_private_key(ec.SECP256R1())
            builder = x509.CertificateSigningRequestBuilder().subject_name(x509.Name([]))
            csr = builder.sign(key, SHA256()).public_bytes(Encoding.DER)
            (tmp_path / f"{n}.csr").write_bytes(csr)
            at = "@" if n != bad else " at "
            rows.append(f"u{n}{at}chess.example,{n}.csr")
        file = io.StringIO("address,csr\n" + "\n".join(rows))
        run = bulk.Import(ca, tmp_path / "people", tmp_path / "pass", base=tmp_path)
        results = list(run.run(bulk.read_rows(file, bulk.Defaults())))

        assert [one.row.number for one in results if one.refused] == [bad + 2]
        assert ca.ledger.count() == people - 1
        assert audit(ca.ledger).unbroken
    assert len(list((tmp_path / "people").glob("*.pem"))) == people - 1
