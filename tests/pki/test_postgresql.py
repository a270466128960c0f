"""The ledger in PostgreSQL, which several machines share: a real server, on this machine alone."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
import sqlalchemy as sql
from cryptography import x509

import pki
from pki import archive, backup
from pki.audit import audit
from tests.pki.house import kept, quick
from tests.pki.test_kill import check_run, check_share
from tests.support.peers import peer

pytestmark = [pytest.mark.server, pytest.mark.peer("postgresql")]


def _program(name: str) -> str:
    """Find a program of the server: Debian keeps them out of the PATH."""
    found = sorted(Path("/usr/lib/postgresql").glob(f"*/bin/{name}"))
    return str(found[-1]) if found else shutil.which(name) or name


def _run(*arguments: str) -> None:
    # The server refuses root; whoever else runs the tests is good enough.
    lowered = {"user": "nobody", "group": "nogroup", "extra_groups": []} if not os.getuid() else {}
    done = subprocess.run(
        arguments,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,  # a pipe would stay open as long as the server runs
        stderr=subprocess.DEVNULL,
        timeout=60,
        check=False,
        cwd="/",
        **lowered,  # type: ignore[arg-type]  # the stub wants each by its own name
    )
    assert done.returncode == 0, arguments


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """Start a server with an empty cluster on a free port, and give the URL of its database."""
    peer("postgresql")
    with tempfile.TemporaryDirectory(ignore_cleanup_errors=True) as name, socket.socket() as free:
        folder = Path(name)
        folder.chmod(0o777)
        free.bind(("127.0.0.1", 0))
        port = str(free.getsockname()[1])
        free.close()
        data = str(folder / "data")
        _run(_program("initdb"), "-D", data, "-U", "club", "--auth=trust", "-E", "UTF8", "-N")
        listening = f"-p {port} -h 127.0.0.1 -k {folder}"
        start = (_program("pg_ctl"), "-D", data, "-l", str(folder / "log"), "-w")
        _run(*start, "-o", listening, "start")
        try:
            yield f"postgresql://club@127.0.0.1:{port}/postgres"
        finally:
            _run(*start, "-m", "immediate", "stop")


@pytest.fixture
def url(server: str) -> str:
    """Give a database of its own to each test."""
    name = f"club{os.urandom(6).hex()}"
    engine = sql.create_engine(
        server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sql.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    return server.removesuffix("postgres") + name


def test_a_life_in_postgresql(url: str, tmp_path: Path) -> None:
    with quick(tmp_path / "ca", ledger_url=url) as ca:
        alice = ca.issue("alice@chess.example", algorithm="p256").certificate
        bob = ca.issue("bob@chess.example", algorithm="p256").certificate
        ca.revoke(alice.serial_number, reason="keyCompromise")
        crl = x509.load_der_x509_crl(ca.crl())

        assert crl.get_revoked_certificate_by_serial_number(alice.serial_number) is not None
        assert crl.get_revoked_certificate_by_serial_number(bob.serial_number) is None
        assert [one.serial for one in ca.ledger.find(address="Bob@chess.example")] == [
            bob.serial_number
        ]
        assert audit(ca.ledger).unbroken


def test_two_processes_issue_at_once(url: str, tmp_path: Path) -> None:
    """As on two machines with one database."""
    with quick(tmp_path / "ca", ledger_url=url) as ca:
        ca.issue("first@chess.example", algorithm="p256")
        kept(ca)

    check_share(tmp_path / "ca", 60)


def test_a_bulk_killed_at_20_moments_comes_to_exactly_all(url: str, tmp_path: Path) -> None:
    with quick(tmp_path / "ca", ledger_url=url) as ca:
        ca.issue("first@chess.example", algorithm="p256")
        kept(ca)

    assert check_run(tmp_path / "ca", "again", 20, 1_500) == 1


def test_a_changed_row_is_found(url: str, tmp_path: Path) -> None:
    with quick(tmp_path / "ca", ledger_url=url) as ca:
        ca.issue("alice@chess.example", algorithm="p256")
        assert audit(ca.ledger).unbroken
        engine = sql.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            changed = "UPDATE addresses SET address = 'mallory@chess.example'"
            assert connection.execute(sql.text(changed)).rowcount == 1
        engine.dispose()

        assert audit(ca.ledger).outcome == "rewritten"


def test_a_status_is_asked_for_again_when_the_connection_was_lost(url: str, tmp_path: Path) -> None:
    """As after a restart of the server: who answers OCSP requests goes on."""
    with quick(tmp_path / "ca", ledger_url=url) as ca:
        serial = ca.issue("alice@chess.example", algorithm="p256").certificate.serial_number
        assert ca.ledger.statuses([serial]) == {serial: None}
        ca.revoke(serial)
        engine = sql.create_engine(url.replace("postgresql:", "postgresql+psycopg:"))
        with engine.begin() as connection:
            ended = connection.execute(
                sql.text(
                    "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
                    " WHERE datname = current_database() AND pid <> pg_backend_pid()"
                )
            ).all()
        engine.dispose()
        assert ended

        assert ca.ledger.statuses([serial])[serial].reason == "unspecified"
        assert ca.ledger.count() == 1


def test_a_backup_goes_from_one_database_into_another(
    server: str, url: str, tmp_path: Path, quick_locks: None
) -> None:
    """From PostgreSQL to a file, and from that into another database: nothing is lost."""
    with pki.Registrar.create(
        tmp_path / "club", name="Club", passphrase="secret", ledger_url=url
    ) as ca:
        agent = pki.Authority.create("Elsewhere").issue("ann@board.example", algorithm="rsa2048")
        archive.name_agents(ca.ledger, [agent.certificate])
        alice = ca.issue("alice@chess.example", algorithm="p256", pair=True)
        bob = ca.issue("bob@chess.example", algorithm="p256")
        ca.revoke(bob.certificate.serial_number, reason="keyCompromise")
        ca.crl()
        made = backup.make(ca.records, ca.ledger, tmp_path / "club.tar")
        head = ca.ledger.head()
    assert (made.entries, made.hash) == (head[0], head[1].hex())

    name = f"club{os.urandom(6).hex()}"
    engine = sql.create_engine(
        server.replace("postgresql:", "postgresql+psycopg:"), isolation_level="AUTOCOMMIT"
    )
    with engine.connect() as connection:
        connection.execute(sql.text(f"CREATE DATABASE {name}"))
    engine.dispose()
    other = server.removesuffix("postgres") + name
    for place, ledger_url in (("file", ""), ("database", other)):
        backup.restore(tmp_path / "club.tar", tmp_path / place, ledger_url=ledger_url)
        with pki.Registrar.load(tmp_path / place, passphrase="secret") as ca:
            assert bool(ca.records.ledger_url) == bool(ledger_url)
            assert (tmp_path / place / "ledger.db").exists() != bool(ledger_url)
            carol = ca.issue("carol@chess.example", algorithm="p256")
            ca.revoke(carol.certificate.serial_number)
            crl = x509.load_der_x509_crl(ca.crl())
            gone = {bob.certificate.serial_number, carol.certificate.serial_number}
            assert {one.serial_number for one in crl} == gone
            reading = alice.recipient.certificate.serial_number
            (found,) = archive.recover(ca.ledger, [reading], reason="drill", keys=[agent])
            assert found.certificate == alice.recipient.certificate
            assert audit(ca.ledger).unbroken
    with pytest.raises(pki.AuthorityExists):
        backup.restore(tmp_path / "club.tar", tmp_path / "again", ledger_url=other)
    assert not (tmp_path / "again").exists()
