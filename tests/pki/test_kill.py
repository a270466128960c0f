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
from tests.pki.kill import ROWS, STEPS

ROOT = Path(__file__).parents[2]
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
        env={"PATH": os.environ["PATH"], "PYTHONPATH": str(ROOT)},
        capture_output=True,
        timeout=300,
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


def check_bulk(folder: Path, times: int) -> None:
    done = run(folder, "random", str(times))
    assert done.returncode == 0, done.stderr.decode()

    given: dict[str, set[str]] = defaultdict(set)
    for line in done.stdout.decode().splitlines():
        label, serial = line.split(":")
        given[label].add(serial)
    assert len(given) == ROWS
    assert all(len(serials) == 1 for serials in given.values())  # the same in every run
    with opened(folder) as ledger:
        assert audit(ledger).unbroken
        assert ledger.count() == ROWS + 1
        recorded = {
            record.label: f"{record.serial:x}"
            for record in ledger.page(limit=ROWS + 1)
            if record.label is not None
        }
    assert recorded == {label: serial for label, (serial,) in given.items()}


@posix
def test_a_bulk_killed_at_20_moments_comes_to_exactly_all(folder: Path) -> None:
    check_bulk(folder, 20)


@posix
@pytest.mark.server
def test_a_bulk_killed_at_200_moments_comes_to_exactly_all(folder: Path) -> None:
    check_bulk(folder, 200)
