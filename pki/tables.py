"""The tables of a CA's ledger, and the way into the database that holds them.

SQLite is opened with a write-ahead log and full syncs: what was committed is on the
disk. PostgreSQL is reached by its URL, and durable as its server is set up to be.

Floor:  tables (uses errors)
Source: sqlite.org/wal.html and /pragma.html#pragma_synchronous for what a commit means
"""

from __future__ import annotations

import contextlib
import os
from typing import TYPE_CHECKING

from pki.errors import LedgerProblem
from smime import NotSupported

try:
    import alembic
    import sqlalchemy as sql
except ModuleNotFoundError as error:  # the base installation has no need of a database
    raise NotSupported(
        "the records of a CA need SQLAlchemy and Alembic, which are not installed",
        hint="pipx install 'smimetool[ca]'",
    ) from error

if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import Any

__all__ = [
    "REVISION",
    "Prepared",
    "addresses",
    "agents",
    "archive",
    "certificates",
    "challenges",
    "connect",
    "crls",
    "events",
    "head",
    "hidden",
    "issuers",
    "ours",
    "prepare",
    "reader",
    "reminders",
    "revocations",
    "sql",
    "sqlite_url",
    "translated",
    "writer",
]

_ = alembic  # imported to be missed early; its parts are imported where tables are made
REVISION = "0003"  # of the tables below; the way from older ones is in migrations/
LOCK_SECONDS = 60  # longer than any commit; who waits longer waits for something hung
_ADVISORY = 0x736D696D65  # PostgreSQL's lock while the tables are made: any fixed number

metadata = sql.MetaData()

issuers = sql.Table(
    "issuers",
    metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("number", sql.BigInteger, nullable=False),
    sql.Column("der", sql.LargeBinary, nullable=False),
)
certificates = sql.Table(
    "certificates",
    metadata,
    sql.Column("serial", sql.String(40), primary_key=True),  # 40 hex digits
    sql.Column("number", sql.BigInteger, nullable=False, unique=True),  # its entry in the log
    sql.Column("issuer", sql.Integer, sql.ForeignKey("issuers.id"), nullable=False),
    sql.Column("fingerprint", sql.LargeBinary(32), nullable=False, unique=True),
    sql.Column("public_key", sql.LargeBinary(32), nullable=False, index=True),
    sql.Column("subject", sql.Text, nullable=False),
    sql.Column("profile", sql.Text, nullable=False),
    sql.Column("scope", sql.Text, nullable=False),  # which of several CRLs covers it
    sql.Column("not_before", sql.BigInteger, nullable=False),  # moments are Unix seconds
    sql.Column("not_after", sql.BigInteger, nullable=False),
    sql.Column("label", sql.Text, unique=True),  # who asked for it once gets it once
    sql.Column("renews", sql.String(40), index=True),
    sql.Column("der", sql.LargeBinary, nullable=False),
    # Each page of a list begins where the one before ended: nothing is sorted for it.
    sql.Index("ix_certificates_end", "not_after", "number"),
    sql.Index("ix_certificates_kind", "profile", "not_after", "number"),
)
addresses = sql.Table(
    "addresses",
    metadata,
    sql.Column("address", sql.Text, primary_key=True),
    sql.Column("serial", sql.String(40), sql.ForeignKey("certificates.serial"), primary_key=True),
)
revocations = sql.Table(
    "revocations",
    metadata,
    sql.Column("serial", sql.String(40), sql.ForeignKey("certificates.serial"), primary_key=True),
    sql.Column("number", sql.BigInteger, nullable=False, index=True),  # of the latest change
    sql.Column("issuer", sql.Integer, nullable=False),
    sql.Column("scope", sql.Text, nullable=False),
    sql.Column("at", sql.BigInteger, nullable=False),
    sql.Column("reason", sql.Integer, nullable=False),  # 8: was on hold and is released
    sql.Column("entry", sql.LargeBinary, nullable=False),  # as it stands in a CRL
    sql.Index("ix_revocations_scope", "issuer", "scope"),
    sql.Index("ix_revocations_reason", "reason", "number"),
)
crls = sql.Table(
    "crls",
    metadata,
    # Its entry in the log.
    sql.Column("number", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("issuer", sql.Integer, nullable=False),
    sql.Column("scope", sql.Text, nullable=False),
    sql.Column("crl_number", sql.BigInteger, nullable=False),
    sql.Column("base", sql.BigInteger),  # the CRL number that a delta counts from
    sql.Column("this_update", sql.BigInteger, nullable=False),
    sql.Column("next_update", sql.BigInteger, nullable=False),
    sql.Column("covers", sql.BigInteger, nullable=False),  # the last entry that it takes in
    sql.Column("sha256", sql.LargeBinary(32), nullable=False),
)
agents = sql.Table(
    "agents",
    metadata,
    # Its entry in the log. The latest row counts, the others say whose turn it was before.
    sql.Column("number", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("threshold", sql.Integer, nullable=False),
    sql.Column("pem", sql.LargeBinary, nullable=False),  # certificates of the recovery agents
)
archive = sql.Table(
    "archive",
    metadata,
    sql.Column("serial", sql.String(40), sql.ForeignKey("certificates.serial"), primary_key=True),
    sql.Column("number", sql.BigInteger, nullable=False),  # of the entry that sealed it last
    sql.Column("agents", sql.BigInteger, sql.ForeignKey("agents.number"), nullable=False),
    sql.Column("record", sql.LargeBinary, nullable=False),  # a reading key, sealed to them
    sql.Index("ix_archive_agents", "agents"),
)
reminders = sql.Table(
    "reminders",
    metadata,
    sql.Column("serial", sql.String(40), sql.ForeignKey("certificates.serial"), primary_key=True),
    sql.Column("number", sql.BigInteger, nullable=False),
    sql.Column("at", sql.BigInteger, nullable=False),  # when its holder was last written to
)
challenges = sql.Table(
    "challenges",
    metadata,
    sql.Column("serial", sql.String(40), sql.ForeignKey("certificates.serial"), primary_key=True),
    sql.Column("number", sql.BigInteger, nullable=False),  # of the entry that asked or took it
    sql.Column("sha256", sql.LargeBinary(32), nullable=False),  # of the answer that shows the key
    sql.Column("answered", sql.Integer, nullable=False),  # 0 or 1
)
events = sql.Table(
    "events",
    metadata,
    sql.Column("number", sql.BigInteger, primary_key=True, autoincrement=False),
    sql.Column("at", sql.BigInteger, nullable=False),
    sql.Column("kind", sql.Text, nullable=False),
    sql.Column("serial", sql.String(40)),
    sql.Column("detail", sql.Text, nullable=False),  # JSON
    sql.Column("hash", sql.LargeBinary(32), nullable=False),
)
head = sql.Table(
    "head",
    metadata,
    sql.Column("id", sql.Integer, primary_key=True),
    sql.Column("number", sql.BigInteger, nullable=False),
    sql.Column("hash", sql.LargeBinary(32), nullable=False),
)


class Prepared:
    """A statement whose text is made once for each kind of database, and then only run.

    For those that run at every certificate, by the driver itself: SQLAlchemy takes longer
    to run one than the database does. Only inside a transaction that was begun, or ``alone``.
    """

    __slots__ = ("_statement", "_texts")

    def __init__(self, statement: sql.ClauseElement) -> None:
        self._statement = statement
        self._texts: dict[str, str] = {}

    def run(self, connection: sql.Connection, values: Any = None) -> Any:
        """Run it with values by name, or with a list of those; give the driver's cursor."""
        dialect = connection.dialect
        text = self._texts.get(dialect.name)
        if text is None:
            # SQLite's driver takes names, PostgreSQL's its own form of them.
            style = {"paramstyle": "named"} if dialect.name == "sqlite" else {}
            text = str(self._statement.compile(dialect=type(dialect)(**style)))
            self._texts[dialect.name] = text
        held = connection.connection
        cursor = held.cursor()
        try:
            if isinstance(values, list):
                cursor.executemany(text, values)
            else:
                cursor.execute(text, values or {})
        except dialect.loaded_dbapi.Error as error:
            raise sql.exc.DBAPIError.instance(
                text,
                None,  # what was to be written is nobody's business
                error,
                dialect.loaded_dbapi.Error,
                hide_parameters=True,
                connection_invalidated=dialect.is_disconnect(error, held, cursor),
                dialect=dialect,
            ) from error
        return cursor


def connect(url: str | sql.URL) -> sql.Engine:
    """Give the engine for a URL as SQLAlchemy writes it; nothing is opened yet.

    Raises ``LedgerProblem`` for a URL that is none, ``NotSupported`` without its driver.
    """
    try:
        made = sql.make_url(url)
        if made.get_backend_name() == "postgresql":
            # The driver that the extra installs, whatever SQLAlchemy's default is.
            made = made.set(drivername="postgresql+psycopg")
            engine = sql.create_engine(made, pool_pre_ping=True)
        elif made.get_backend_name() == "sqlite":
            # As many connections as there are threads: the ledger keeps them.
            many = {"max_overflow": -1} if made.database else {}
            engine = sql.create_engine(
                made, connect_args={"timeout": LOCK_SECONDS, "isolation_level": None}, **many
            )
            sql.event.listen(engine, "connect", _sqlite_settings)
            sql.event.listen(engine, "begin", _sqlite_begin)
        else:
            raise LedgerProblem(
                f"records cannot be kept in {made.get_backend_name()}",
                hint="SQLite and PostgreSQL are supported",
            )
    except ModuleNotFoundError as error:
        raise NotSupported(
            "PostgreSQL needs psycopg, which is not installed",
            hint="pipx install 'smimetool[ca,postgresql]'",
        ) from error
    except sql.exc.ArgumentError as error:
        # The text of the URL stays out of the message: it may hold a secret.
        raise LedgerProblem(
            "the URL of the records is none", hint="like postgresql://host/database"
        ) from error
    return engine


def sqlite_url(path: str) -> sql.URL:
    """Give the URL of a SQLite file, whatever characters its path has."""
    return sql.URL.create("sqlite", database=path)


def hidden(url: str | sql.URL) -> str:
    """Write a URL for people: without its password."""
    try:
        return sql.make_url(url).render_as_string(hide_password=True)
    except sql.exc.ArgumentError:
        return "no URL"


def _sqlite_settings(connection: Any, _record: object) -> None:
    cursor = connection.cursor()
    cursor.execute("PRAGMA journal_mode = WAL")
    cursor.execute("PRAGMA synchronous = FULL")
    cursor.execute("PRAGMA foreign_keys = ON")
    cursor.close()


def _sqlite_begin(connection: sql.Connection) -> None:
    # A transaction that will write takes the lock before it reads: else two that have
    # read cannot both go on to write, and one fails at once instead of waiting.
    options = connection.get_execution_options()
    if not options.get("smimetool_alone", False):
        writes = options.get("smimetool_writes", False)
        connection.exec_driver_sql("BEGIN IMMEDIATE" if writes else "BEGIN")


def writer(engine: sql.Engine) -> sql.Engine:
    """Give the same engine, whose transactions write, one after the other."""
    return engine.execution_options(smimetool_writes=True)


def reader(engine: sql.Engine) -> sql.Engine:
    """Give the same engine, whose transactions see one state from beginning to end."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="REPEATABLE READ")
    return engine  # SQLite's always do


def alone(engine: sql.Engine) -> sql.Engine:
    """Give the same engine for one statement at a time: a transaction would cost more than it."""
    if engine.dialect.name == "postgresql":
        return engine.execution_options(isolation_level="AUTOCOMMIT")
    return engine.execution_options(smimetool_alone=True)


@contextlib.contextmanager
def translated() -> Iterator[None]:
    """Turn what a database raises into ``LedgerProblem``."""
    try:
        yield
    except sql.exc.DBAPIError as error:
        raise ours(error) from error


def ours(error: sql.exc.DBAPIError) -> LedgerProblem:
    """Say what a database raised."""
    said = str(error.orig).strip().split("\n")[0]
    if "locked" in said:
        return LedgerProblem(
            "the records are locked by another process", hint="wait for it to end, and try again"
        )
    if "full" in said or "No space" in said or "disk I/O" in said:
        return LedgerProblem(
            f"the records could not be written: {said}", hint="nothing was recorded: make room"
        )
    if "malformed" in said or "not a database" in said:
        return LedgerProblem(f"the records are damaged: {said}", hint="`smimetool ca restore`")
    if "readonly" in said:
        return LedgerProblem("the records are write-protected", hint="whose files are they?")
    return LedgerProblem(f"the database refused: {said}")


def prepare(engine: sql.Engine) -> None:
    """Make the tables, or bring those of an older version up to this one.

    Raises ``LedgerProblem``, also for tables of a newer version.
    """
    with translated():
        with engine.connect() as connection:
            if _revision(connection) == REVISION:
                return
        with writer(engine).begin() as connection:
            if engine.dialect.name == "postgresql":
                connection.execute(sql.select(sql.func.pg_advisory_xact_lock(_ADVISORY)))
            if _revision(connection) != REVISION:  # another process may have been first
                _upgrade(connection)


def _revision(connection: sql.Connection) -> str | None:
    if not sql.inspect(connection).has_table("alembic_version"):
        return None
    return connection.execute(sql.text("SELECT version_num FROM alembic_version")).scalar()


def _upgrade(connection: sql.Connection) -> None:
    from alembic.config import Config
    from alembic.runtime.environment import EnvironmentContext
    from alembic.script import ScriptDirectory
    from alembic.util import CommandError

    place = os.path.join(os.path.dirname(__file__), "migrations")
    script = ScriptDirectory(place)

    def steps(revision: Any, _context: object) -> Any:
        return script._upgrade_revs("head", revision)

    try:
        # Inside the caller's transaction: the tables are changed whole or not at all.
        with EnvironmentContext(Config(), script, fn=steps) as environment:
            environment.configure(connection=connection)
            environment.run_migrations()
    except CommandError as error:
        raise LedgerProblem(
            "the records were made by a newer smimetool", hint="use that one, or a newer"
        ) from error
