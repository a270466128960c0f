"""Threads that write at once: one commit for many, and each answers for its own step alone."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import pki
from pki.audit import audit
from pki.ledger import Ledger, Writing
from pki.tables import Prepared, sql
from tests.pki.house import quick

AT = datetime(2030, 6, 1, tzinfo=UTC)
Step = Callable[[Writing], object]


@pytest.fixture
def ca(tmp_path: Path) -> Iterator[pki.Registrar]:
    with quick(tmp_path / "ca") as made:
        yield made


def at_once(ledger: Ledger, steps: list[Step]) -> list[Future[object]]:
    """Have all these steps wait for one commit, and give what came of each."""
    with ThreadPoolExecutor(len(steps)) as pool, ledger.writing() as log:
        log.note("before", {}, at=AT)
        done = []
        for count, step in enumerate(steps, 1):  # in this order, whatever the threads do
            done.append(pool.submit(ledger.write, step))
            end = time.monotonic() + 30
            while len(ledger._together._waiting) < count:
                assert time.monotonic() < end
    return done


def note(kind: str) -> Step:
    return lambda log: log.note(kind, {}, at=AT)


def refuse(log: Writing) -> None:
    log.note("refused", {}, at=AT)
    raise pki.RequestRefused("not this one")


def kinds(ledger: Ledger) -> list[str]:
    with ledger.reading() as connection:
        found = connection.execute(sql.text("SELECT kind FROM events ORDER BY number")).scalars()
        return list(found)


def test_what_waits_is_written_by_one_commit(
    ca: pki.Registrar, monkeypatch: pytest.MonkeyPatch
) -> None:
    commits, run = [], Prepared.run

    def counting(statement: Prepared, *values: object) -> object:
        commits.extend(text for text in statement._texts.values() if text == "COMMIT")
        return run(statement, *values)

    with ca.ledger.writing() as log:
        head = log.number
    monkeypatch.setattr(Prepared, "run", counting)
    done = at_once(ca.ledger, [note(f"step {n}") for n in range(20)])

    assert [one.result() for one in done] == list(range(head + 2, head + 22))
    assert len(commits) == 2  # the one that all waited for, and their own
    assert audit(ca.ledger).unbroken


def test_a_step_that_fails_takes_no_other_along(ca: pki.Registrar) -> None:
    done = at_once(ca.ledger, [note("one"), refuse, note("two"), refuse, note("three")])

    failed = [one.exception() for one in done]
    assert [type(error) for error in failed] == [
        type(None),
        pki.RequestRefused,
        type(None),
        pki.RequestRefused,
        type(None),
    ]
    assert kinds(ca.ledger)[-4:] == ["before", "one", "two", "three"]
    assert audit(ca.ledger).unbroken


@pytest.mark.parametrize("alone", [True, False])
def test_what_the_database_refuses_is_not_done_for_anybody(ca: pki.Registrar, alone: bool) -> None:
    def full(log: Writing) -> None:
        log.connection.exec_driver_sql("PRAGMA max_page_count = 1")
        log.note("large", {"": "x" * 100_000}, at=AT)

    before = kinds(ca.ledger)
    steps = [full] if alone else [note("one"), full, note("two")]
    done = at_once(ca.ledger, steps)

    for one in done:
        with pytest.raises(pki.LedgerProblem, match="full"):
            one.result()
    assert kinds(ca.ledger) == [*before, "before"]
    ca.issue("alice@chess.example", algorithm="p256")  # the next one goes through
    assert audit(ca.ledger).unbroken


def test_who_breaks_in_leaves_nothing_that_another_thread_would_write(ca: pki.Registrar) -> None:
    def interrupted(log: Writing) -> None:
        log.note("half", {}, at=AT)
        raise KeyboardInterrupt

    before = kinds(ca.ledger)
    with pytest.raises(KeyboardInterrupt):
        ca.ledger.write(interrupted)
    assert not ca.ledger._together._waiting
    done = at_once(ca.ledger, [note("one"), interrupted, note("two")])

    # One of the three was the one that wrote for all, and was broken into.
    said = [one.exception() for one in done]
    assert sum(isinstance(error, KeyboardInterrupt) for error in said) == 1
    assert sum(isinstance(error, pki.LedgerProblem) for error in said) == 2
    assert kinds(ca.ledger) == [*before, "before"]
    assert audit(ca.ledger).unbroken


def test_threads_that_issue_at_once_share_no_number_and_no_key(ca: pki.Registrar) -> None:
    public = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(40)]
    requests = [
        pki.CertificationRequest(key, [f"u{n}@chess.example"]) for n, key in enumerate(public)
    ]

    def certify(number: int) -> object:
        try:
            return ca.certify(requests[number % 40], label=f"row {number % 40}").serial_number
        except pki.RequestRefused as refused:
            return refused

    stolen = pki.CertificationRequest(public[0], ["mallory@chess.example"])
    with ThreadPoolExecutor(8) as pool:
        made = list(pool.map(certify, range(120)))
        refused = pool.submit(ca.certify, stolen)

    assert made[:40] == made[40:80] == made[80:]  # asked three times, made once
    assert len(set(made)) == 40
    with pytest.raises(pki.RequestRefused, match="somebody else"):
        refused.result()
    assert ca.ledger.count() == 40
    assert audit(ca.ledger).unbroken
