"""What a CA remembers: every certificate, every revocation, and a log that only grows.

Each entry of the log holds the hash of the one before. What the other tables say
follows from the log, so ``pki.audit`` can tell whether somebody changed either.

Floor:  ledger (uses writing, together and questions; knows no key and signs nothing)
"""

from __future__ import annotations

import contextlib
from itertools import groupby
from operator import attrgetter, itemgetter
from typing import TYPE_CHECKING

from pki import listing, tables
from pki.facts import REASON_NAMES, RELEASED, Record, Revocation, from_seconds, serial_text
from pki.questions import (
    MAX_AT_ONCE,
    MAX_PAGE,
    RECORDS,
    addressed,
    challenge_of,
    head_of,
    records,
)
from pki.tables import Prepared, sql, translated
from pki.together import Together
from pki.writing import Writing

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Any, Self, TypeVar

    from pki.listing import Wanted

    Answer = TypeVar("Answer")

__all__ = ["MAX_PAGE", "Ledger", "Writing"]

_table = tables.certificates.c
_LATEST = RECORDS.order_by(_table.number.desc()).limit(MAX_PAGE)
_FOUND: dict[str, sql.Select[Any]] = {
    name: _LATEST.where(column == sql.bindparam("asked"))
    for name, column in (
        ("serial", _table.serial),
        ("fingerprint", _table.fingerprint),
        ("label", _table.label),
        ("public_key", _table.public_key),
    )
}
_FOUND["address"] = _LATEST.where(
    _table.serial.in_(
        sql.select(tables.addresses.c.serial).where(
            tables.addresses.c.address == sql.bindparam("asked")
        )
    )
)
_STATUS = sql.select(
    _table.serial, tables.revocations.c.at, tables.revocations.c.reason, _table.issuer
).outerjoin_from(
    tables.certificates, tables.revocations, _table.serial == tables.revocations.c.serial
)
_STATUSES = _STATUS.where(_table.serial.in_(sql.bindparam("asked", expanding=True)))
# Takes the lock before anything is read: else two that have read cannot both go on to write.
_BEGIN, _COMMIT = Prepared(sql.text("BEGIN IMMEDIATE")), Prepared(sql.text("COMMIT"))
_gone = tables.revocations.c
# A revocation says all there is to say: then the certificate's row, a large one, is not read.
_STATUS_OF_ONE = Prepared(
    sql.select(_gone.serial, _gone.at, _gone.reason, _gone.issuer)
    .where(_gone.serial == sql.bindparam("asked"))
    .union_all(
        sql.select(_table.serial, sql.null(), sql.null(), _table.issuer).where(
            _table.serial == sql.bindparam("asked")
        )
    )
)


class Ledger:
    """The tables of one CA, opened; a context manager. Threads may share it."""

    __slots__ = ("_alone", "_idle", "_reader", "_together", "_writer")

    def __init__(self, engine: sql.Engine) -> None:
        self._alone = tables.alone(engine)
        self._idle: list[sql.Connection] = []
        self._reader = tables.reader(engine)
        self._together = Together()
        # SQLite needs none: who asks writes on the same connection, and finds what it
        # read before in its cache still.
        self._writer = None if engine.dialect.name == "sqlite" else tables.writer(engine)

    @classmethod
    def open(cls, url: str | sql.URL) -> Self:
        """Open the ledger at a URL, and make its tables if there are none yet.

        Raises ``LedgerProblem``, ``NotSupported``.
        """
        engine = tables.connect(url)
        try:
            tables.prepare(engine)
        except BaseException:
            engine.dispose()
            raise
        return cls(engine)

    def close(self) -> None:
        """Let go of the database. Closing twice does no harm."""
        while self._idle:
            self._idle.pop().close()
        self._reader.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """Give a connection that sees one state of the ledger, whatever others write."""
        with translated(), self._reader.begin() as connection:
            yield connection

    def ask(self, question: Callable[[sql.Connection], Answer]) -> Answer:
        """Give the answer to a question of prepared statements, each of which stands alone.

        On a connection that is kept: to take one and give it back costs more than they do.
        """
        try:  # written out: a context manager takes as long as the question
            return self._ask(question)
        except sql.exc.DBAPIError as error:
            raise tables.ours(error) from error

    def _ask(self, question: Callable[[sql.Connection], Answer]) -> Answer:
        while True:
            connection, kept = self._take()
            try:
                answer = question(connection)
            except BaseException as error:
                lost = isinstance(error, sql.exc.DBAPIError) and error.connection_invalidated
                if lost:
                    connection.invalidate(error)
                connection.close()
                if kept and lost:
                    continue  # the server was restarted since: another one, or new
                raise
            self._idle.append(connection)
            return answer

    def _take(self) -> tuple[sql.Connection, bool]:
        """Take a connection that is kept, or a new one: no other thread has it now."""
        try:
            return self._idle.pop(), True
        except IndexError:
            return self._alone.connect(), False

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """Give the only writer there is at the moment; at its end all is on disk, or nothing."""
        with self._together.turn, translated():
            if self._writer is not None:
                with self._writer.begin() as connection:
                    yield Writing(connection)
                return
            connection, _ = self._take()
            try:
                _BEGIN.run(connection)
                yield Writing(connection)
                _COMMIT.run(connection)
            except BaseException:
                connection.close()  # the pool rolls back what is open
                raise
            self._idle.append(connection)

    def write(self, step: Callable[[Writing], Answer]) -> Answer:
        """Let ``step`` write, and give its answer when that is on the disk.

        What other threads want to write meanwhile goes along in the same commit, each step
        whole or not at all: so many threads are not bound to one sync of the disk each.
        """
        return self._together.write(step, self.writing)

    # --- questions ----------------------------------------------------------

    def find(
        self,
        *,
        serial: int | None = None,
        address: str | None = None,
        fingerprint: bytes | None = None,
        label: str | None = None,
        public_key: bytes | None = None,
    ) -> list[Record]:
        """Find certificates by exactly one of these, the latest first; addresses in any case."""
        asked: list[tuple[str, object]] = []
        if serial is not None:
            asked.append(("serial", serial_text(serial)))
        if address is not None:
            asked.append(("address", address.lower()))
        if fingerprint is not None:
            asked.append(("fingerprint", fingerprint))
        if label is not None:
            asked.append(("label", label))
        if public_key is not None:
            asked.append(("public_key", public_key))
        if len(asked) != 1:
            raise TypeError("find() takes exactly one of its arguments")
        [(name, value)] = asked
        with self.reading() as connection:
            return records(connection, _FOUND[name], {"asked": value})

    def challenge(self, serial: int) -> tuple[bytes, bool] | None:
        """Give the SHA-256 of the answer to a certificate's challenge, and whether it came."""
        with self.reading() as connection:
            return challenge_of(connection, serial)

    def scopes(self) -> tuple[str, ...]:
        """Name the CRLs that certificates given out belong to."""
        with self.reading() as connection:
            asked = sql.select(tables.certificates.c.scope).distinct().order_by("scope")
            return tuple(connection.execute(asked).scalars())

    def page(self, *, after: int = 0, limit: int = 100) -> list[Record]:
        """Give the next certificates after entry ``after`` of the log, at most ``limit``."""
        if not 0 < limit <= MAX_PAGE:
            raise ValueError(f"limit is 1 to {MAX_PAGE}")
        number = tables.certificates.c.number
        asked = RECORDS.where(number > after).order_by(number).limit(limit)
        with self.reading() as connection:
            return records(connection, asked)

    def listed(
        self, wanted: Wanted, *, now: datetime, after: str = "", limit: int = 100
    ) -> tuple[list[Record], str | None]:
        """Give a page of certificates of a state, kind or end (``pki.listing``).

        ``after`` is what came with the page before, and is None with the last one: then
        there is no more. Raises ``RequestRefused`` for another.
        """
        with self.reading() as connection:
            return listing.page(connection, wanted, now, after, limit)

    def holders(self) -> Iterator[tuple[str, list[Record]]]:
        """Give each address, in lower case and in order, with its certificates, oldest first.

        One state of the ledger from beginning to end, and never more than some hundred
        certificates in memory.
        """
        with self.reading() as connection:
            for address, pairs in groupby(addressed(connection), key=itemgetter(0)):
                yield address, sorted((one for _, one in pairs), key=attrgetter("number"))

    def statuses(
        self, serials: Sequence[int], issuer: int | None = None
    ) -> dict[int, Revocation | None]:
        """Say of each serial number that was given out why it is revoked; None if it is not.

        With ``issuer`` only of those that this CA gave out.
        """
        if len(serials) == 1 and serials[0] > 0:  # a request has one, nearly always
            one = {"asked": serial_text(serials[0])}
            return self.ask(lambda asked: _read_status(_STATUS_OF_ONE.run(asked, one), issuer))
        found: dict[int, Revocation | None] = {}
        with self.reading() as connection:
            for start in range(0, len(serials), MAX_AT_ONCE):
                part = [serial_text(one) for one in serials[start : start + MAX_AT_ONCE] if one > 0]
                found |= _read_statuses(connection.execute(_STATUSES, {"asked": part}), issuer)
        return found

    def count(self) -> int:
        """Say how many certificates were given out."""
        with self.reading() as connection:
            return connection.execute(
                sql.select(sql.func.count()).select_from(tables.certificates)
            ).scalar_one()

    def lapsing(self) -> list[tuple[str, datetime]]:
        """Give scope and end of the newest full CRL of each CA and kind that was made."""
        table = tables.crls.c
        with self.reading() as connection:
            rows = connection.execute(
                sql.select(table.scope, sql.func.max(table.next_update))
                .where(table.base.is_(None))
                .group_by(table.issuer, table.scope)
                .order_by(table.issuer, table.scope)
            )
            return [(scope, from_seconds(end)) for scope, end in rows]

    def head(self) -> tuple[int, bytes]:
        """Give number and hash of the last entry of the log."""
        with self.reading() as connection:
            return head_of(connection)


def _read_status(rows: Iterable[Any], issuer: int | None) -> dict[int, Revocation | None]:
    """Read the rows of one: its revocation counts, in whichever order they come."""
    last: list[Any] = []
    for row in rows:
        last = [row]
        if row[2] is not None:
            break
    return _read_statuses(last, issuer)


def _read_statuses(rows: Iterable[Any], issuer: int | None) -> dict[int, Revocation | None]:
    found: dict[int, Revocation | None] = {}
    for serial, at, reason, by in rows:
        if issuer is not None and by != issuer:
            continue
        good = reason is None or reason == RELEASED
        found[int(serial, 16)] = (
            None if good else Revocation(from_seconds(at), REASON_NAMES[reason])
        )
    return found
