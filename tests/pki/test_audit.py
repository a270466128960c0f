"""Whatever is changed behind the ledger's back, the audit says where."""

from __future__ import annotations

import shutil
import sqlite3
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

import pki
from pki import archive, challenge
from pki.audit import Audit, Checkpoint, audit, checkpoint
from pki.authority import moment
from pki.keys import generate
from pki.ledger import Ledger
from pki.reminders import note_reminded
from pki.tables import metadata, sqlite_url
from tests.pki.house import quick, with_log_key

TABLES = sorted(metadata.tables)


@pytest.fixture(scope="module")
def told(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, list[Checkpoint]]:
    """A ledger in which everything occurs, and two checkpoints of it. Only copied."""
    folder = tmp_path_factory.mktemp("told")
    with quick(folder / "ca") as ca:
        key = with_log_key(ca)
        serials = [
            ca.certify(
                pki.CertificationRequest(generate("p256").public_key(), (f"u{n}@chess.example",)),
                label=f"row {n}",
            ).serial_number
            for n in range(6)
        ]
        agent = pki.Authority.create("Elsewhere").issue("ann@chess.example", algorithm="rsa2048")
        archive.name_agents(ca.ledger, [agent.certificate])
        kept = ca.issue("kept@chess.example", algorithm="p256", pair=True)
        note_reminded(ca.ledger, [kept.certificate.serial_number], at=moment(None))
        ca.revoke(serials[0], reason="keyCompromise")
        ca.revoke(serials[1], serials[2], reason="certificateHold")
        ca.release(serials[1])
        for name in ("waits", "answered"):
            key_of = generate("x25519")
            asked = pki.CertificationRequest(key_of.public_key(), (f"{name}@chess.example",))
            sent = ca.challenge(asked)
            if name == "answered":
                ca.answer(sent.serial, challenge.read(sent.sealed, key_of)[0])
        ca.crl()
        middle = Checkpoint.parse(checkpoint(ca.ledger, key, at=moment(None)))
        ca.renew(serials[3])
        ca.crl(delta=True)
        end = Checkpoint.parse(checkpoint(ca.ledger, key, at=moment(None)))
        assert audit(ca.ledger, middle).unbroken
        assert audit(ca.ledger, end) == Audit("unbroken", end.number)
    return folder / "ca" / "ledger.db", [middle, end]


@pytest.fixture
def own(told: tuple[Path, list[Checkpoint]], tmp_path: Path) -> Path:
    return Path(shutil.copy(told[0], tmp_path / "ledger.db"))


def alter(file: Path, *statements: str, values: tuple[object, ...] = ()) -> None:
    connection = sqlite3.connect(file)
    for statement in statements:
        connection.execute(statement, values)
    connection.commit()
    connection.close()


def said(file: Path, against: Checkpoint | None = None) -> Audit:
    with Ledger.open(sqlite_url(str(file))) as ledger:
        return audit(ledger, against)


def columns() -> list[tuple[str, str]]:
    return [
        (table.name, column.name) for table in metadata.sorted_tables for column in table.columns
    ]


def changed(value: object, how: int) -> object:
    if isinstance(value, bytes):
        place = how % len(value)
        return value[:place] + bytes([value[place] ^ 1 << how % 8]) + value[place + 1 :]
    if isinstance(value, str):
        place = how % (len(value) or 1)
        other = "x" if value[place : place + 1] != "x" else "y"
        return value[:place] + other + value[place + 1 :]
    if isinstance(value, int):
        return value + (1, -1, 1000)[how % 3]
    return ("x", 7, b"\1")[how % 3]


@pytest.mark.parametrize(("table", "column"), columns(), ids=".".join)
@pytest.mark.parametrize("how", [0, 5, 77])
def test_a_change_in_any_column_is_found(own: Path, table: str, column: str, how: int) -> None:
    connection = sqlite3.connect(own)
    rows = connection.execute(f"SELECT rowid, {column} FROM {table} ORDER BY rowid").fetchall()
    rowid, value = rows[how % len(rows)]
    new = changed(value, how)
    connection.execute(f"UPDATE OR REPLACE {table} SET {column} = ? WHERE rowid = ?", (new, rowid))
    connection.commit()
    connection.close()

    if (table, column) == ("head", "id"):
        assert said(own).outcome in ("unbroken", "rewritten")  # says nothing of what was done
    else:
        assert not said(own).unbroken


@pytest.mark.parametrize("table", TABLES)
def test_a_row_removed_or_doubled_is_found(own: Path, table: str) -> None:
    alter(own, f"DELETE FROM {table} WHERE rowid = (SELECT min(rowid) FROM {table})")

    if table == "head":
        with pytest.raises(pki.LedgerProblem), Ledger.open(sqlite_url(str(own))) as ledger:
            ledger.head()
    assert said(own).outcome == "rewritten"


def test_two_entries_swapped_are_found_at_the_first(own: Path) -> None:
    alter(
        own,
        "UPDATE events SET number = -5 WHERE number = 5",
        "UPDATE events SET number = 5 WHERE number = 6",
        "UPDATE events SET number = 6 WHERE number = -5",
    )

    assert (said(own).outcome, said(own).entry) == ("rewritten", 5)


def test_certificates_of_two_entries_swapped_are_found(own: Path) -> None:
    alter(
        own,
        "UPDATE certificates SET number = -5 WHERE number = 5",
        "UPDATE certificates SET number = 5 WHERE number = 6",
        "UPDATE certificates SET number = 6 WHERE number = -5",
    )

    assert (said(own).outcome, said(own).entry) == ("rewritten", 5)


@pytest.mark.parametrize("left", [1, 3, 8, 12])
def test_a_cut_tail_is_truncation(own: Path, left: int) -> None:
    alter(own, f"DELETE FROM events WHERE number > {left}")

    assert said(own).outcome in ("truncated",)
    assert said(own).entry == left + 1


def cut(file: Path, left: int) -> None:
    """Cut the tail and all that shows it, as one would who can write everything."""
    alter(
        file,
        f"DELETE FROM events WHERE number > {left}",
        f"DELETE FROM addresses WHERE serial IN "
        f"(SELECT serial FROM certificates WHERE number > {left})",
        *(f"DELETE FROM {t} WHERE number > {left}" for t in ("certificates", "crls")),
        f"UPDATE head SET number = {left}, hash = (SELECT hash FROM events WHERE number = {left})",
    )


def test_only_a_checkpoint_finds_a_tail_that_was_cut_well(
    own: Path, told: tuple[Path, list[Checkpoint]]
) -> None:
    middle, end = told[1]
    cut(own, middle.number)

    assert said(own) == Audit("unbroken", middle.number)
    assert said(own, middle).unbroken
    found = said(own, end)
    assert (found.outcome, found.entry) == ("truncated", middle.number + 1)


def test_only_a_checkpoint_finds_a_chain_that_was_made_anew(
    own: Path, told: tuple[Path, list[Checkpoint]]
) -> None:
    """Another moment in an entry, and every hash after it counted again."""
    from pki.facts import link

    connection = sqlite3.connect(own)
    connection.execute("UPDATE events SET at = at - 86400 WHERE number = 4")
    value = bytes(32)
    for row in connection.execute(
        "SELECT number, at, kind, serial, detail FROM events ORDER BY number"
    ).fetchall():
        value = link(value, *row)
        connection.execute("UPDATE events SET hash = ? WHERE number = ?", (value, row[0]))
    connection.execute("UPDATE head SET hash = ?", (value,))
    connection.commit()
    connection.close()

    assert said(own).unbroken
    for each in told[1]:
        found = said(own, each)
        assert (found.outcome, found.entry) == ("rewritten", each.number)


def test_a_checkpoint_of_another_log_is_refused(
    own: Path, told: tuple[Path, list[Checkpoint]], tmp_path: Path
) -> None:
    with quick(tmp_path / "other") as other:
        key = with_log_key(other)
        foreign = Checkpoint.parse(checkpoint(other.ledger, key, at=moment(None)))
        with Ledger.open(sqlite_url(str(own))) as ledger:
            stolen = Checkpoint.parse(checkpoint(ledger, key, at=moment(None)))

    assert said(own, foreign).outcome == "rewritten"
    assert "another log's key" in said(own, stolen).problems[0]


def test_a_checkpoint_changed_anywhere_is_refused(tmp_path: Path) -> None:
    with quick(tmp_path / "ca") as ca:
        key = with_log_key(ca)
        data = checkpoint(ca.ledger, key, at=moment(None))
    Checkpoint.parse(data)

    for place in range(len(data) - 1):
        for bit in (1, 4):
            damaged = bytearray(data)
            damaged[place] ^= bit
            with pytest.raises(pki.LedgerProblem):
                Checkpoint.parse(bytes(damaged))
    for end in range(len(data) - 1):
        with pytest.raises(pki.LedgerProblem):
            Checkpoint.parse(data[:end])


@given(st.binary(max_size=300))
def test_what_is_no_checkpoint_is_refused(data: bytes) -> None:
    with pytest.raises(pki.LedgerProblem):
        Checkpoint.parse(data)


def test_openssl_checks_a_checkpoint(openssl: object, tmp_path: Path) -> None:
    """The signature is over the lines above it, so anybody can check it without us."""
    import base64

    with quick(tmp_path / "ca") as ca:
        data = checkpoint(ca.ledger, with_log_key(ca), at=moment(None))
    text, _, signature = data.partition(b"signature: ")
    key = base64.b64decode(dict(line.split(b": ") for line in text.splitlines()[1:])[b"key"])
    for name, octets in (("text", text), ("sig", base64.b64decode(signature)), ("key", key)):
        (tmp_path / name).write_bytes(octets)

    pem = openssl.run("pkey", "-pubin", "-inform", "DER", "-in", tmp_path / "key")
    (tmp_path / "pem").write_bytes(pem)
    check = ("dgst", "-sha256", "-verify", tmp_path / "pem", "-signature", tmp_path / "sig")
    assert b"Verified OK" in openssl.run(*check, tmp_path / "text")
    (tmp_path / "text").write_bytes(text.replace(b"entry: ", b"entry: 1"))
    assert openssl.attempt(*check, tmp_path / "text").returncode != 0
