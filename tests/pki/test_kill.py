"""kill -9 at any moment: what was handed out is recorded, and the next run finishes."""

from __future__ import annotations

import os
import subprocess
import sys
from collections import defaultdict
from pathlib import Path

import pytest
from cryptography import x509

from pki.audit import audit
from pki.folder import Records
from pki.ledger import Ledger
from tests.pki.house import kept, quick, reopened
from tests.pki.kill import REVOKED_EVERY, STEPS

ROOT = Path(__file__).parents[2]
ENVIRONMENT = {"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)}
posix = pytest.mark.skipif(os.name != "posix", reason="platform: no kill -9")


@pytest.fixture
def folder(tmp_path: Path) -> Path:
    """A CA that another process can open without a passphrase, with one certificate."""
    with quick(tmp_path / "ca", crl_url="") as ca:
        ca.issue("first@chess.example", algorithm="p256")
        kept(ca)
    return tmp_path / "ca"


def run(folder: Path, *arguments: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [sys.executable, "-m", "tests.pki.kill", str(folder), *arguments],
        cwd=ROOT,
        env=ENVIRONMENT,
        capture_output=True,
        timeout=500,
        check=False,
    )


def opened(folder: Path) -> Ledger:
    return Records.load(folder).ledger()


@posix
@pytest.mark.parametrize("step", STEPS)
@pytest.mark.parametrize("what", ["issue", "revoke", "crl"])
def test_killed_at_a_step_it_was_done_or_it_was_not(folder: Path, what: str, step: str) -> None:
    """Only after the commit is it done; nothing leaves before."""
    with opened(folder) as ledger:
        before = ledger.head()[0]

    died = run(folder, what, step)

    assert died.returncode == -9, died.stderr.decode()
    assert died.stdout == b""
    with opened(folder) as ledger:
        assert audit(ledger).unbroken
        done = 1 if step == "committed" else 0
        assert ledger.head()[0] == before + done
        assert len(ledger.find(address="once@chess.example")) == (what == "issue" and done)
        (first,) = ledger.find(address="first@chess.example")
        assert (first.revocation is not None) == (what == "revoke" and bool(done))
    with reopened(folder) as ca:  # and the next one goes through
        if what != "revoke" or not done:
            ca.revoke(first.serial)
        crl = x509.load_der_x509_crl(ca.crl())
        assert [entry.serial_number for entry in crl] == [first.serial]


def check_bulks(folder: Path, times: int, rows: int) -> None:
    """Each bulk came to exactly its rows; what was said before a kill is so after it."""
    assert check_run(folder, "random", times, rows) > 1


def check_run(folder: Path, how: str, times: int, rows: int) -> int:
    """Check each bulk of a run; give how many there were."""
    done = run(folder, how, str(times), str(rows))
    assert done.returncode == 0, done.stderr.decode()
    said: dict[str, list[list[str]]] = defaultdict(list)
    for line in done.stdout.decode().splitlines():
        place, *words = line.split(" ", 2)
        said[place].append(words)
    for place, lines in said.items():
        check_bulk(Path(place), lines, rows)
    return len(said)


def check_bulk(place: Path, lines: list[list[str]], rows: int) -> None:
    given: dict[str, set[str]] = defaultdict(set)
    for kind, words in lines:
        if kind == "given":
            label, _, serial = words.rpartition(" ")
            given[label].add(serial)
    gone = {words for kind, words in lines if kind == "revoked"}
    numbers = [int(words) for kind, words in lines if kind == "listed"]
    assert len(given) == rows
    assert all(len(serials) == 1 for serials in given.values())  # the same in every run
    assert len(set.union(*given.values())) == rows
    assert len(gone) == rows // REVOKED_EVERY + bool(rows % REVOKED_EVERY)
    assert sorted(set(numbers)) == numbers
    with reopened(place) as ca:
        assert audit(ca.ledger).unbroken
        assert ca.ledger.count() == rows + 1
        records = ca.ledger.page(limit=rows + 1)
        recorded = {one.label: f"{one.serial:x}" for one in records if one.label is not None}
        assert recorded == {label: serial for label, (serial,) in given.items()}
        assert {f"{one.serial:x}" for one in records if one.revocation is not None} == gone
        listed = x509.load_der_x509_crl(ca.crl())
        assert {f"{one.serial_number:x}" for one in listed} == gone
        number = listed.extensions.get_extension_for_class(x509.CRLNumber).value.crl_number
        assert number > max(numbers, default=0)


@posix
def test_bulks_killed_at_20_moments_come_to_exactly_all(folder: Path) -> None:
    check_bulks(folder, 20, 500)


@posix
@pytest.mark.server
def test_bulks_killed_at_200_moments_come_to_exactly_all(folder: Path) -> None:
    """Not a server's, but as long as one: two minutes."""
    check_bulks(folder, 200, 2_000)


def test_two_processes_issue_at_once(folder: Path) -> None:
    check_share(folder, 60)


def check_share(folder: Path, count: int) -> None:
    """Two processes, one ledger: each has its own, and what both want is made once."""
    both = [
        subprocess.Popen(
            [sys.executable, "-m", "tests.pki.kill", str(folder), "share", who, str(count)],
            cwd=ROOT,
            env=ENVIRONMENT,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for who in ("one", "two")
    ]
    for each in both:
        assert each.stdout is not None
        assert each.stdout.readline() == "ready\n"
    said = []
    for each in both:
        assert each.stdin is not None
        each.stdin.write("go\n")
        each.stdin.flush()
    for each in both:
        lines = each.communicate(timeout=120)[0].splitlines()
        assert each.returncode == 0
        said.append(dict(line.rsplit(" ", 1) for line in lines))

    one, two = said
    shared = one.keys() & two.keys()
    assert len(one) == len(two) == 2 * count
    assert len(shared) == count
    assert all(one[label] == two[label] for label in shared)
    every = one | two
    assert len(set(every.values())) == len(every) == 3 * count
    with reopened(folder) as ca:
        assert audit(ca.ledger).unbroken
        assert ca.ledger.count() == len(every) + 1
        recorded = {one.label: f"{one.serial:x}" for one in ca.ledger.page(limit=1_000)}
        assert {label: serial for label, serial in recorded.items() if label} == every
