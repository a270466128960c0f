"""What is asked of a ledger: statements, put together once, and their answers.

A statement is built here when the module is loaded, not when it runs: SQLAlchemy takes
longer to put one together than SQLite to answer it.

Floor:  questions (uses tables and facts)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

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
)
from pki.tables import Prepared, sql

if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = [
    "MAX_AT_ONCE",
    "MAX_PAGE",
    "RECORDS",
    "head_of",
    "holders",
    "issuer_number",
    "labelled",
    "last_crl",
    "records",
]

MAX_AT_ONCE = 500  # values in one IN (...): PostgreSQL plans it in no time, SQLite takes 32,766
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

_LABELLED = RECORDS.where(_CERTIFICATES.label.in_(_ASKED))
_LABELLED_ONE = Prepared(
    sql.select(_CERTIFICATES.serial).where(_CERTIFICATES.label == sql.bindparam("asked"))
)

_HELD = (
    sql.select(
        _CERTIFICATES.public_key, _CERTIFICATES.serial, tables.addresses.c.address, _GONE.reason
    )
    .outerjoin_from(tables.certificates, tables.addresses)
    .outerjoin(tables.revocations, _CERTIFICATES.serial == _GONE.serial)
)
_HOLDERS = _HELD.where(_CERTIFICATES.public_key.in_(_ASKED))
_HOLDERS_OF_ONE = Prepared(_HELD.where(_CERTIFICATES.public_key == sql.bindparam("asked")))

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

_ISSUER = sql.select(tables.issuers.c.id).where(tables.issuers.c.der == sql.bindparam("der"))


def head_of(connection: sql.Connection, *, lock: bool = False) -> tuple[int, bytes]:
    """Give number and hash of the last entry; with ``lock`` no other may add one."""
    row = (_HEAD_TO_CHANGE if lock else _HEAD_AS_IT_IS).run(connection).fetchone()
    if row is None:
        raise LedgerProblem("the ledger has no head: it was not made by smimetool")
    return row[0], row[1]


def issuer_number(connection: sql.Connection, cert_der: bytes) -> int | None:
    """Give the number of an issuing CA that is recorded."""
    return connection.execute(_ISSUER, {"der": cert_der}).scalar()


def labelled(connection: sql.Connection, labels: Sequence[str]) -> list[Record]:
    """Give the certificates that have these labels."""
    if len(labels) == 1 and not _LABELLED_ONE.run(connection, {"asked": labels[0]}).fetchone():
        return []
    found: list[Record] = []
    for start in range(0, len(labels), MAX_AT_ONCE):
        found += records(connection, _LABELLED, {"asked": labels[start : start + MAX_AT_ONCE]})
    return found


def holders(
    connection: sql.Connection, key_hashes: Sequence[bytes]
) -> dict[bytes, list[tuple[frozenset[str], int | None]]]:
    """Say who has certificates for these public keys: their addresses, and why revoked."""
    found: dict[bytes, dict[str, tuple[set[str], int | None]]] = {}
    for start in range(0, len(key_hashes), MAX_AT_ONCE):
        part = key_hashes[start : start + MAX_AT_ONCE]
        rows: Any = (
            _HOLDERS_OF_ONE.run(connection, {"asked": part[0]})
            if len(part) == 1
            else connection.execute(_HOLDERS, {"asked": part})
        )
        for key_hash, serial, address, reason in rows:
            people = found.setdefault(key_hash, {}).setdefault(serial, (set(), reason))
            people[0].add(address or "")
    return {
        key_hash: [(frozenset(people), reason) for people, reason in certificates.values()]
        for key_hash, certificates in found.items()
    }


def records(
    connection: sql.Connection,
    statement: sql.Select[tuple[object, ...]],
    values: dict[str, object] | None = None,
) -> list[Record]:
    """Run a statement that was made of ``RECORDS``; give what it finds."""
    made = []
    for row in connection.execute(statement, values or {}):
        revocation = None
        if row.reason is not None:
            revocation = Revocation(from_seconds(row.revoked_at), REASON_NAMES[row.reason])
        certificate = x509.load_der_x509_certificate(row.der)
        made.append(
            Record(
                serial=int(row.serial, 16),
                number=row.number,
                issuer=row.issuer,
                subject=row.subject,
                addresses=addresses_of(certificate),
                profile=row.profile,
                scope=row.scope,
                not_before=from_seconds(row.not_before),
                not_after=from_seconds(row.not_after),
                label=row.label,
                renews=None if row.renews is None else int(row.renews, 16),
                revocation=revocation,
                cert_der=row.der,
            )
        )
    return made


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
    )
