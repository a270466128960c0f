"""What is asked of a ledger: statements, put together once, and their answers.

A statement is built here when the module is loaded, not when it runs: SQLAlchemy takes
longer to put one together than SQLite to answer it.

Floor:  questions (uses tables and facts)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pki import tables
from pki.errors import LedgerProblem
from pki.facts import (
    REASON_NAMES,
    RELEASED,
    CrlRecord,
    Record,
    Revocation,
    addresses_of,
    from_seconds,
    serial_text,
)
from pki.tables import Prepared, sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import Any, TypeAlias

    Holder: TypeAlias = tuple[frozenset[str], int | None]
    """The addresses that a key was certified for, and why it was revoked."""

__all__ = [
    "MAX_AT_ONCE",
    "MAX_PAGE",
    "RECORDS",
    "addressed",
    "challenge_of",
    "head_of",
    "holders",
    "issuer_number",
    "labelled",
    "last_crl",
    "of_one",
    "record_of",
    "records",
]

_NO_HEAD = "the ledger has no head: it was not made by smimetool"
MAX_AT_ONCE = 500  # values in one IN (...): PostgreSQL plans it in no time, SQLite takes 32,766
_HELD_ROWS = 500  # certificates of a stream that are in memory at once
MAX_PAGE = 10_000  # certificates in one answer: about 15 MB

_CERTIFICATES, _GONE = tables.certificates.c, tables.revocations.c
_ASKED: sql.BindParameter[Any] = sql.bindparam("asked", expanding=True)
_HEAD = sql.select(tables.head.c.number, tables.head.c.hash)
_HEAD_AS_IT_IS = Prepared(_HEAD)
_HEAD_TO_CHANGE = Prepared(_HEAD.with_for_update())

RECORDS = sql.select(
    *tables.certificates.columns,
    _GONE.at.label("revoked_at"),
    sql.case((_GONE.reason != RELEASED, _GONE.reason)).label("reason"),
).outerjoin_from(tables.certificates, tables.revocations, _CERTIFICATES.serial == _GONE.serial)
"""Certificates with what became of them: for ``records``, with a WHERE of one's own."""

_ADDRESSED = (
    RECORDS.add_columns(tables.addresses.c.address.label("held_by"))
    .join(tables.addresses, tables.addresses.c.serial == _CERTIFICATES.serial)
    # As the table is sorted already: nothing is sorted for it.
    .order_by(tables.addresses.c.address, tables.addresses.c.serial)
)
_LABELLED = RECORDS.where(_CERTIFICATES.label.in_(_ASKED))

_HOLDERS = (
    sql.select(_CERTIFICATES.public_key, _CERTIFICATES.der, _GONE.reason)
    .outerjoin_from(tables.certificates, tables.revocations, _CERTIFICATES.serial == _GONE.serial)
    .where(_CERTIFICATES.public_key.in_(_ASKED))
)
_LABELLED_AS = sql.bindparam("label", type_=sql.Text)
_OTHER = tables.certificates.alias()
# All that is asked before one certificate is made, at once: a statement costs more than it finds.
_OF_ONE = Prepared(
    sql.select(
        tables.head.c.number,
        sql.select(_OTHER.c.serial).where(_OTHER.c.label == _LABELLED_AS).scalar_subquery(),
        _CERTIFICATES.der,
        _GONE.reason,
    )
    .outerjoin_from(
        tables.head, tables.certificates, _CERTIFICATES.public_key == sql.bindparam("public_key")
    )
    .outerjoin(tables.revocations, _CERTIFICATES.serial == _GONE.serial)
)

_LAST_CRL = (
    sql.select(tables.crls)
    .where(
        tables.crls.c.issuer == sql.bindparam("issuer"),
        tables.crls.c.scope == sql.bindparam("scope"),
        tables.crls.c.base.is_(None),
    )
    .order_by(tables.crls.c.number.desc())
    .limit(1)
)

_CHALLENGE = sql.select(tables.challenges.c.sha256, tables.challenges.c.answered).where(
    tables.challenges.c.serial == sql.bindparam("serial")
)
_ISSUER = sql.select(tables.issuers.c.id).where(tables.issuers.c.der == sql.bindparam("der"))


def head_of(connection: sql.Connection, *, lock: bool = False) -> tuple[int, bytes]:
    """Give number and hash of the last entry; with ``lock`` no other may add one."""
    row = (_HEAD_TO_CHANGE if lock else _HEAD_AS_IT_IS).run(connection).fetchone()
    if row is None:
        raise LedgerProblem(_NO_HEAD)
    return row[0], row[1]


def issuer_number(connection: sql.Connection, cert_der: bytes) -> int | None:
    """Give the number of an issuing CA that is recorded."""
    return connection.execute(_ISSUER, {"der": cert_der}).scalar()


def labelled(connection: sql.Connection, labels: Sequence[str]) -> list[Record]:
    """Give the certificates that have these labels."""
    found: list[Record] = []
    for start in range(0, len(labels), MAX_AT_ONCE):
        found += records(connection, _LABELLED, {"asked": labels[start : start + MAX_AT_ONCE]})
    return found


def holders(connection: sql.Connection, key_hashes: Sequence[bytes]) -> dict[bytes, list[Holder]]:
    """Say who has certificates for these public keys: their addresses, and why revoked."""
    found: dict[bytes, list[Holder]] = {}
    for start in range(0, len(key_hashes), MAX_AT_ONCE):
        asked = {"asked": key_hashes[start : start + MAX_AT_ONCE]}
        for key_hash, cert_der, reason in connection.execute(_HOLDERS, asked):
            found.setdefault(key_hash, []).append((_people(cert_der), reason))
    return found


def of_one(
    connection: sql.Connection, label: str | None, key_hash: bytes
) -> tuple[int, list[Record], list[Holder]]:
    """Give the last entry's number, what ``label`` names, and who has the key."""
    rows = _OF_ONE.run(connection, {"label": label, "public_key": key_hash}).fetchall()
    if not rows:
        raise LedgerProblem(_NO_HEAD)
    number, known = rows[0][:2]
    made = [] if label is None or known is None else labelled(connection, [label])
    # The table of addresses is not asked: it is sorted by them, and not by certificates.
    return number, made, [(_people(row[2]), row[3]) for row in rows if row[2] is not None]


def _people(cert_der: bytes) -> frozenset[str]:
    return frozenset(address.lower() for address in addresses_of(cert_der))


def records(
    connection: sql.Connection,
    statement: sql.Select[tuple[object, ...]],
    values: dict[str, object] | None = None,
) -> list[Record]:
    """Run a statement that was made of ``RECORDS``; give what it finds."""
    return [record_of(row) for row in connection.execute(statement, values or {})]


def addressed(connection: sql.Connection) -> Iterator[tuple[str, Record]]:
    """Give all certificates by their addresses, in lower case and sorted; few are held at once."""
    streaming = _ADDRESSED.execution_options(stream_results=True)
    for part in connection.execute(streaming).partitions(_HELD_ROWS):
        for row in part:
            yield row.held_by, record_of(row)


def record_of(row: Any) -> Record:
    """Give a row of ``RECORDS`` as it is meant."""
    revocation = None
    if row.reason is not None:
        revocation = Revocation(from_seconds(row.revoked_at), REASON_NAMES[row.reason])
    try:
        held = addresses_of(row.der)
    except ValueError as error:
        raise LedgerProblem(
            f"the certificate of entry {row.number} is damaged", hint="`smimetool ca audit`"
        ) from error
    return Record(
        serial=int(row.serial, 16),
        number=row.number,
        issuer=row.issuer,
        subject=row.subject,
        addresses=held,
        profile=row.profile,
        scope=row.scope,
        not_before=from_seconds(row.not_before),
        not_after=from_seconds(row.not_after),
        label=row.label,
        renews=None if row.renews is None else int(row.renews, 16),
        revocation=revocation,
        cert_der=row.der,
    )


def last_crl(connection: sql.Connection, issuer: int, scope: str) -> CrlRecord | None:
    """Give the last full CRL of that scope."""
    row = connection.execute(_LAST_CRL, {"issuer": issuer, "scope": scope}).first()
    if row is None:
        return None
    return CrlRecord(
        row.crl_number,
        row.base,
        from_seconds(row.this_update),
        from_seconds(row.next_update),
        row.covers,
        row.sha256,
    )


def challenge_of(connection: sql.Connection, serial: int) -> tuple[bytes, bool] | None:
    """Give the SHA-256 of the answer that a certificate waits for, and whether it came."""
    row = connection.execute(_CHALLENGE, {"serial": serial_text(serial)}).first()
    return None if row is None else (row.sha256, row.answered != 0)
