"""A CA's folder and ledger in one file, and back again.

The file is a tar archive: a list of what is in it with the hash of each, the folder's
files, and the ledger as SQLite, whatever database it was in. Keys in it are locked as
they are in the folder. Restoring audits the ledger: a damaged copy is never a CA.

Floor:  backup (uses folder, ledger, audit)
"""

from __future__ import annotations

import contextlib
import errno
import hashlib
import io
import json
import os
import re
import sqlite3
import tarfile
import tempfile
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

from pki import tables
from pki.audit import audit
from pki.authority import moment
from pki.errors import AuditFailed, AuthorityExists, LedgerProblem
from pki.files import empty_folder, write_new, write_over
from pki.folder import LEDGER, SETTINGS, Records, refuse_existing, settings_toml
from pki.ledger import Ledger
from pki.tables import sql, sqlite_url

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from os import PathLike

    from pki.audit import Checkpoint

__all__ = ["Backup", "make", "restore"]

MANIFEST = "backup.json"
VERSION = 1
MAX_FILES = 20_000  # CRLs of 10,000 shards, full and delta
MAX_MANIFEST_OCTETS = 4_194_304  # 200 octets a file
MAX_FILE_OCTETS = 268_435_456  # a CRL of five million entries
MAX_LEDGER_OCTETS = 1 << 38  # a hundred million certificates; the disk ends before
# former/N/private/issuing.key.pem is the deepest there is.
_NAME = re.compile(r"[A-Za-z0-9_-][A-Za-z0-9._@{}-]*(/[A-Za-z0-9_-][A-Za-z0-9._@{}-]*){0,3}")
_ROWS = 2_000  # copied at a time
_CHUNK = 1 << 20


@dataclass(frozen=True, slots=True)
class Backup:
    """What a backup says of itself."""

    name: str
    """The CA's."""
    made: str
    entries: int
    """How far its log had come."""
    hash: str
    """That of the last entry: compare it with one noted elsewhere."""


def make(records: Records, ledger: Ledger, path: PathLike[str] | str) -> Backup:
    """Write a new file with all of a CA, as of this moment, while others go on issuing.

    It is readable by its owner alone. Raises ``OSError``, ``LedgerProblem``; then there
    is no file.
    """
    target = os.fspath(path)
    with contextlib.ExitStack() as clean:
        place = clean.enter_context(
            tempfile.TemporaryDirectory(prefix=".backup-", dir=os.path.dirname(target) or ".")
        )
        copy = os.path.join(place, LEDGER)
        write_new(copy, b"", mode=0o600)
        _snapshot(ledger, copy)
        with Ledger.open(sqlite_url(copy)) as copied:
            entries, head = copied.head()
        made = Backup(records.name, f"{moment(None):%Y-%m-%dT%H:%M:%SZ}", entries, head.hex())
        files = {name: _digest(os.path.join(records.folder, name)) for name in _names(records)}
        files[LEDGER] = _digest(copy)
        manifest = {"version": VERSION, **_said(made), "files": files}
        whole = os.path.join(place, "whole")
        descriptor = os.open(whole, os.O_RDWR | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as file:
            with tarfile.open(fileobj=file, mode="w", format=tarfile.PAX_FORMAT) as archive:
                _add(archive, MANIFEST, io.BytesIO(json.dumps(manifest, indent=1).encode()))
                for name in files:
                    source = copy if name == LEDGER else os.path.join(records.folder, name)
                    with open(source, "rb") as content:
                        _add(archive, name, content)
            file.flush()
            os.fsync(file.fileno())
        if os.path.lexists(target):
            raise FileExistsError(errno.EEXIST, "exists already and is not written over", target)
        os.rename(whole, target)
    return made


def _said(one: Backup) -> dict[str, str | int]:
    return {"name": one.name, "made": one.made, "entries": one.entries, "hash": one.hash}


def _names(records: Records) -> Iterator[str]:
    """Name the files of a CA's folder, but for those of the ledger and half-written ones."""
    for folder, inner, files in os.walk(records.folder):
        inner.sort()
        for file in sorted(files):
            name = os.path.relpath(os.path.join(folder, file), records.folder).replace(os.sep, "/")
            known = _NAME.fullmatch(name) and not name.startswith(LEDGER)
            if known and not name.endswith(".new") and os.path.isfile(f"{records.folder}/{name}"):
                yield name


def _add(archive: tarfile.TarFile, name: str, content: Any) -> None:
    member = tarfile.TarInfo(name)
    member.size = content.seek(0, os.SEEK_END)
    member.mode = 0o600
    content.seek(0)
    archive.addfile(member, content)


def _digest(path: str) -> str:
    with open(path, "rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()


def _snapshot(ledger: Ledger, path: str) -> None:
    """Write one state of the ledger to a SQLite file."""
    with ledger.reading() as connection:
        if connection.dialect.name == "sqlite":
            source = connection.connection.driver_connection
            assert isinstance(source, sqlite3.Connection)
            try:
                with contextlib.closing(sqlite3.connect(path)) as target:
                    source.backup(target)
            except sqlite3.Error as error:
                raise LedgerProblem(
                    f"the records could not be copied: {error}", hint="make room on the disk"
                ) from error
            return
        with Ledger.open(sqlite_url(path)) as copy, copy.writing() as log:
            _copy(connection, log.connection)


def _copy(source: sql.Connection, target: sql.Connection) -> None:
    """Copy all rows of all tables into tables that are as new."""
    target.execute(sql.delete(tables.head))
    for table in tables.metadata.sorted_tables:
        rows = source.execute(sql.select(table).execution_options(stream_results=True))
        for part in rows.partitions(_ROWS):
            target.execute(sql.insert(table), [dict(row._mapping) for row in part])


# --- and back ---------------------------------------------------------------


def restore(
    path: PathLike[str] | str,
    folder: PathLike[str] | str,
    *,
    ledger_url: str = "",
    against: Checkpoint | None = None,
    at: datetime | None = None,
) -> Backup:
    """Make a CA's folder from a backup; its ledger is a file there, or put into a database.

    The ledger is audited, against a checkpoint too if one is given. Certificates that
    were given out after the backup are not known to it.

    Raises ``AuthorityExists``, ``LedgerProblem`` for a file that is no backup or was
    changed, ``AuditFailed``, ``OSError``; then nothing is left behind.
    """
    place = os.fspath(folder)
    refuse_existing(place)
    made = not os.path.isdir(place)
    if made:
        os.mkdir(place, 0o755)
    try:
        found = _unpacked(os.fspath(path), place)
        _check(place, found, against)
        settings = os.path.join(place, SETTINGS)
        records = replace(Records.load(place), ledger_url=ledger_url)
        if ledger_url:
            _fill(os.path.join(place, LEDGER), ledger_url)
        write_over(settings, settings_toml(records), mode=0o644)
        with records.ledger() as ledger, ledger.writing() as log:
            log.note("restored", {"made": found.made, "entries": found.entries}, at=moment(at))
    except BaseException:
        empty_folder(place)
        if made:
            os.rmdir(place)
        raise
    return found


def _unpacked(path: str, place: str) -> Backup:
    damaged = LedgerProblem(
        f"{path} is no backup of a CA, or was changed", hint="take another copy of it"
    )
    try:
        with tarfile.open(path, mode="r:") as archive:
            manifest = _manifest(archive)
            expected: dict[str, str] = manifest["files"]
            while (member := archive.next()) is not None:
                name = member.name
                limit = MAX_LEDGER_OCTETS if name == LEDGER else MAX_FILE_OCTETS
                if not member.isreg() or not _NAME.fullmatch(name) or member.size > limit:
                    raise damaged
                wanted = expected.pop(name, None)
                content = archive.extractfile(member)
                if wanted is None or content is None:
                    raise damaged
                target = os.path.join(place, name)
                private = "private" in name.split("/")[:-1]
                os.makedirs(os.path.dirname(target), exist_ok=True)
                if private:
                    os.chmod(os.path.dirname(target), 0o700)
                secret = private or name == LEDGER
                if _written(content, target, 0o600 if secret else 0o644) != wanted:
                    raise damaged
            if expected:
                raise damaged
            texts = [manifest[key] for key in ("name", "made", "hash")]
            if not all(isinstance(text, str) for text in texts):
                raise damaged
            return Backup(texts[0], texts[1], int(manifest["entries"]), texts[2])
    except (tarfile.TarError, ValueError, KeyError, TypeError, AttributeError, EOFError) as error:
        raise damaged from error


def _manifest(archive: tarfile.TarFile) -> dict[str, Any]:
    first = archive.next()
    if first is None or first.name != MANIFEST or first.size > MAX_MANIFEST_OCTETS:
        raise ValueError("no manifest")
    content = archive.extractfile(first)
    if content is None:
        raise ValueError("no manifest")
    found = json.loads(content.read())
    if found["version"] != VERSION:
        raise LedgerProblem(
            "the backup was made by a newer smimetool", hint="use that one, or a newer"
        )
    if len(found["files"]) > MAX_FILES:
        raise ValueError("too many files")
    return dict(found)


def _written(content: Any, target: str, mode: int) -> str:
    """Write a member to a new file; give the hash of what was written."""
    digest = hashlib.sha256()
    flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0)
    with os.fdopen(os.open(target, flags, mode), "wb") as file:
        while piece := content.read(_CHUNK):
            digest.update(piece)
            file.write(piece)
        file.flush()
        os.fsync(file.fileno())
    return digest.hexdigest()


def _check(place: str, found: Backup, against: Checkpoint | None) -> None:
    with Ledger.open(sqlite_url(os.path.join(place, LEDGER))) as ledger:
        result = audit(ledger, against)
        if not result.unbroken:
            raise AuditFailed(result)
        number, head = ledger.head()
        if (number, head.hex()) != (found.entries, found.hash):
            raise LedgerProblem("the ledger in the backup is not the one that it names")


def _fill(path: str, url: str) -> None:
    """Put the rows of a SQLite file into an empty database, and take the file away."""
    with (
        Ledger.open(url) as target,
        Ledger.open(sqlite_url(path)) as source,
        target.writing() as log,
        source.reading() as connection,
    ):
        if log.number:
            raise AuthorityExists(
                "there is the ledger of a CA in that database already",
                hint="one database for each CA",
            )
        _copy(connection, log.connection)
    for more in ("", "-wal", "-shm"):
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path + more)
