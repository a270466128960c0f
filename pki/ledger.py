"""What a CA remembers: every certificate, every revocation, and a log that only grows.

Each entry of the log holds the hash of the one before. What the other tables say
follows from the log, so ``pki.audit`` can tell whether somebody changed either.

Floor:  ledger (uses tables and facts; knows no key and signs nothing)
"""

from __future__ import annotations

import contextlib
import hashlib
import json
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki import tables
from pki.errors import LedgerProblem, RequestRefused
from pki.facts import (
    HOLD,
    REASON_NAMES,
    RELEASED,
    CrlRecord,
    Issue,
    Record,
    Revocation,
    addresses_of,
    facts_of,
    from_seconds,
    issued_detail,
    link,
    serial_text,
)
from pki.tables import sql, translated

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any, Self

__all__ = ["Ledger", "Writing", "head_of", "holders", "labelled"]

MAX_AT_ONCE = 500  # values in one IN (...): PostgreSQL plans it in no time, SQLite takes 32,766
MAX_PAGE = 10_000  # certificates in one answer: about 15 MB


class Ledger:
    """The tables of one CA, opened; a context manager. Threads may share it."""

    __slots__ = ("_reader", "_writer")

    def __init__(self, engine: sql.Engine) -> None:
        self._reader = tables.reader(engine)
        self._writer = tables.writer(engine)

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
        self._reader.dispose()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    @contextlib.contextmanager
    def reading(self) -> Iterator[sql.Connection]:
        """Give a connection that sees one state of the ledger, whatever others write."""
        with translated(), self._reader.connect() as connection:
            yield connection

    @contextlib.contextmanager
    def writing(self) -> Iterator[Writing]:
        """Give the only writer there is at the moment; at its end all is on disk, or nothing."""
        with translated(), self._writer.begin() as connection:
            yield Writing(connection)

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
        asked: list[sql.ColumnElement[bool]] = []
        table = tables.certificates.c
        if serial is not None:
            asked.append(table.serial == serial_text(serial))
        if address is not None:
            held = sql.select(tables.addresses.c.serial).where(
                tables.addresses.c.address == address.lower()
            )
            asked.append(table.serial.in_(held))
        if fingerprint is not None:
            asked.append(table.fingerprint == fingerprint)
        if label is not None:
            asked.append(table.label == label)
        if public_key is not None:
            asked.append(table.public_key == public_key)
        if len(asked) != 1:
            raise TypeError("find() takes exactly one of its arguments")
        with self.reading() as connection:
            return _records(connection, asked, latest_first=True, limit=MAX_PAGE)

    def scopes(self) -> tuple[str, ...]:
        """Name the CRLs that certificates given out belong to."""
        with self.reading() as connection:
            asked = sql.select(tables.certificates.c.scope).distinct().order_by("scope")
            return tuple(connection.execute(asked).scalars())

    def page(
        self,
        *,
        after: int = 0,
        limit: int = 100,
        text: str = "",
        ending_before: datetime | None = None,
        ending_after: datetime | None = None,
        due: bool = False,
    ) -> list[Record]:
        """Give the next certificates after entry ``after`` of the log, at most ``limit``.

        ``text`` is looked for in addresses and subjects, in any case; ``due`` leaves
        out what is revoked or renewed already.
        """
        if not 0 < limit <= MAX_PAGE:
            raise ValueError(f"limit is 1 to {MAX_PAGE}")
        table = tables.certificates.c
        asked = [table.number > after]
        if text:
            held = sql.select(tables.addresses.c.serial).where(
                tables.addresses.c.address.contains(text.lower(), autoescape=True)
            )
            asked.append(
                sql.or_(table.subject.icontains(text, autoescape=True), table.serial.in_(held))
            )
        if ending_before is not None:
            asked.append(table.not_after < int(ending_before.timestamp()))
        if ending_after is not None:
            asked.append(table.not_after >= int(ending_after.timestamp()))
        if due:
            later = tables.certificates.alias()
            asked.append(~sql.exists().where(later.c.renews == table.serial))
            reason = tables.revocations.c.reason  # of the row joined, if there is one
            asked.append(sql.or_(reason.is_(None), reason == RELEASED))
        with self.reading() as connection:
            return _records(connection, asked, latest_first=False, limit=limit)

    def statuses(self, serials: Sequence[int]) -> dict[int, Revocation | None]:
        """Say of each serial number that was given out why it is revoked; None if it is not."""
        table, gone = tables.certificates.c, tables.revocations.c
        found: dict[int, Revocation | None] = {}
        with self.reading() as connection:
            for start in range(0, len(serials), MAX_AT_ONCE):
                part = [serial_text(one) for one in serials[start : start + MAX_AT_ONCE] if one > 0]
                for serial, at, reason in connection.execute(
                    sql.select(table.serial, gone.at, gone.reason)
                    .outerjoin_from(
                        tables.certificates, tables.revocations, table.serial == gone.serial
                    )
                    .where(table.serial.in_(part))
                ):
                    good = reason is None or reason == RELEASED
                    found[int(serial, 16)] = (
                        None if good else Revocation(from_seconds(at), REASON_NAMES[reason])
                    )
        return found

    def count(self) -> int:
        """Say how many certificates were given out."""
        with self.reading() as connection:
            return connection.execute(
                sql.select(sql.func.count()).select_from(tables.certificates)
            ).scalar_one()

    def lapsing(self) -> list[tuple[str, datetime]]:
        """Give scope and end of the newest full CRL of each kind that was made."""
        table = tables.crls.c
        with self.reading() as connection:
            rows = connection.execute(
                sql.select(table.scope, sql.func.max(table.next_update))
                .where(table.base.is_(None))
                .group_by(table.scope)
                .order_by(table.scope)
            )
            return [(scope, from_seconds(end)) for scope, end in rows]

    def head(self) -> tuple[int, bytes]:
        """Give number and hash of the last entry of the log."""
        with self.reading() as connection:
            return head_of(connection)


class Writing:
    """What may be done in one transaction; each call adds its entries to the log."""

    __slots__ = ("_hash", "_number", "connection")

    def __init__(self, connection: sql.Connection) -> None:
        self.connection = connection
        # PostgreSQL's writers wait for each other here; SQLite's did when they began.
        self._number, self._hash = head_of(connection, lock=True)

    def note(
        self, kind: str, detail: Mapping[str, Any], *, at: datetime, serial: int | None = None
    ) -> int:
        """Add one entry to the log; give its number. ``detail`` is plain texts and numbers."""
        return self._append([(kind, serial, detail)], at)[0]

    def _append(
        self, entries: Sequence[tuple[str, int | None, Mapping[str, Any]]], at: datetime
    ) -> range:
        first, when = self._number + 1, int(at.timestamp())
        rows = []
        for number, (kind, serial, facts) in enumerate(entries, first):
            text = None if serial is None else serial_text(serial)
            detail = json.dumps(facts, sort_keys=True, separators=(",", ":"))
            self._hash = link(self._hash, number, when, kind, text, detail)
            rows.append(
                {
                    "number": number,
                    "at": when,
                    "kind": kind,
                    "serial": text,
                    "detail": detail,
                    "hash": self._hash,
                }
            )
        self._number += len(rows)
        self.connection.execute(sql.insert(tables.events), rows)
        self.connection.execute(
            sql.update(tables.head).values(number=self._number, hash=self._hash)
        )
        return range(first, self._number + 1)

    def issuer(self, certificate: x509.Certificate, *, at: datetime) -> int:
        """Give the number of an issuing CA; at the first time it is recorded."""
        cert_der = certificate.public_bytes(Encoding.DER)
        found = self.connection.execute(
            sql.select(tables.issuers.c.id).where(tables.issuers.c.der == cert_der)
        ).scalar()
        if found is not None:
            return int(found)
        last = self.connection.execute(sql.select(sql.func.max(tables.issuers.c.id))).scalar()
        made: int = (last or 0) + 1
        facts = {"id": made, "sha256": hashlib.sha256(cert_der).hexdigest()}
        number = self.note("issuer", facts, at=at)
        self.connection.execute(
            sql.insert(tables.issuers).values(id=made, number=number, der=cert_der)
        )
        return made

    def record(self, issues: Sequence[Issue], issuer: int, *, at: datetime) -> None:
        """Record certificates that were signed.

        Raises ``LedgerProblem`` for a serial number or label that was used before.
        """
        if not issues:
            return
        rows: list[dict[str, Any]] = []
        entries: list[tuple[str, int | None, Mapping[str, Any]]] = []
        held: list[dict[str, str]] = []
        for issue in issues:
            cert_der = issue.certificate.public_bytes(Encoding.DER)
            renews = None if issue.renews is None else serial_text(issue.renews)
            row = facts_of(issue.certificate, cert_der) | {
                "issuer": issuer,
                "profile": issue.profile,
                "scope": issue.scope,
                "label": issue.label,
                "renews": renews,
                "der": cert_der,
            }
            rows.append(row)
            held += [
                {"address": address, "serial": row["serial"]}
                for address in {a.lower() for a in addresses_of(issue.certificate)}
            ]
            said = issued_detail(row)
            entries.append(("issued", issue.certificate.serial_number, said))
        for row, number in zip(rows, self._append(entries, at), strict=True):
            row["number"] = number
        try:
            self.connection.execute(sql.insert(tables.certificates), rows)
            if held:
                self.connection.execute(sql.insert(tables.addresses), held)
        except sql.exc.IntegrityError as error:
            raise LedgerProblem("this serial number or label is recorded already") from error

    def revoke(
        self, changes: Sequence[tuple[int, int, bytes]], *, revoked_at: datetime, at: datetime
    ) -> None:
        """Record revocations and releases: serial, reason and CRL entry of each.

        Raises ``RequestRefused`` for a certificate that is not here, is revoked
        already, or is to be released and was not on hold.
        """
        for start in range(0, len(changes), MAX_AT_ONCE):
            self._revoke(changes[start : start + MAX_AT_ONCE], revoked_at, at)

    def _revoke(
        self, changes: Sequence[tuple[int, int, bytes]], revoked_at: datetime, at: datetime
    ) -> None:
        table, gone = tables.certificates.c, tables.revocations.c
        asked = [serial_text(serial) for serial, _, _ in changes]
        found = {
            row.serial: row
            for row in self.connection.execute(
                sql.select(table.serial, table.issuer, table.scope, gone.reason)
                .outerjoin_from(
                    tables.certificates, tables.revocations, table.serial == gone.serial
                )
                .where(table.serial.in_(asked))
            )
        }
        when = int(revoked_at.timestamp())
        rows: list[dict[str, Any]] = []
        entries: list[tuple[str, int | None, Mapping[str, Any]]] = []
        for text, (serial, reason, entry) in zip(asked, changes, strict=True):
            known = found.get(text)
            if known is None:
                raise RequestRefused(
                    f"no certificate with the serial number {serial:x} was given out here",
                    hint="`smimetool ca list` shows those that were",
                )
            _allow_change(serial, known.reason, reason)
            rows.append(
                {
                    "serial": text,
                    "issuer": known.issuer,
                    "scope": known.scope,
                    "at": when,
                    "reason": reason,
                    "entry": entry,
                }
            )
            detail = {"at": when, "entry": entry.hex(), "reason": reason}
            entries.append(("released" if reason == RELEASED else "revoked", serial, detail))
        if len({row["serial"] for row in rows}) != len(rows):
            raise RequestRefused("the same certificate twice in one revocation")
        for row, number in zip(rows, self._append(entries, at), strict=True):
            row["number"] = number
        changed = [text for text in asked if found[text].reason is not None]
        if changed:
            self.connection.execute(sql.delete(tables.revocations).where(gone.serial.in_(changed)))
        self.connection.execute(sql.insert(tables.revocations), rows)

    def revoked_entries(
        self, issuer: int, scope: str | None, since: int | None = None
    ) -> Iterator[bytes]:
        """Give the entries of a CRL, joined in pieces; ``scope`` None is all of them.

        With ``since`` only what changed after that entry of the log, released ones too.
        """
        table = tables.revocations.c
        asked = sql.select(table.entry).where(table.issuer == issuer)
        if scope is not None:
            asked = asked.where(table.scope == scope)
        if since is None:
            asked = asked.where(table.reason != RELEASED)
        else:
            asked = asked.where(table.number > since)
        # On the statement: on the connection it would stay, and no INSERT can be streamed.
        rows = self.connection.execute(asked.execution_options(stream_results=True)).scalars()
        for part in rows.partitions(MAX_PAGE):
            yield b"".join(part)

    def last_change(self, issuer: int, scope: str | None) -> int:
        """Give the entry of the log with the last revocation or release, 0 if there is none."""
        table = tables.revocations.c
        asked = sql.select(sql.func.max(table.number)).where(table.issuer == issuer)
        if scope is not None:
            asked = asked.where(table.scope == scope)
        return self.connection.execute(asked).scalar() or 0

    @property
    def number(self) -> int:
        """The last entry of the log."""
        return self._number

    def last_crl_number(self, issuer: int) -> int:
        """Give the highest CRL number of that CA, 0 if there was none."""
        table = tables.crls.c
        return (
            self.connection.execute(
                sql.select(sql.func.max(table.crl_number)).where(table.issuer == issuer)
            ).scalar()
            or 0
        )

    def last_crl(self, issuer: int, scope: str) -> CrlRecord | None:
        """Give the last full CRL of that scope."""
        return _last_crl(self.connection, issuer, scope)

    def crl(self, issuer: int, scope: str, made: CrlRecord, crl_der: bytes) -> None:
        """Record a CRL that was signed."""
        digest = hashlib.sha256(crl_der).digest()
        row = {
            "issuer": issuer,
            "scope": scope,
            "crl_number": made.number,
            "base": made.base,
            "this_update": int(made.this_update.timestamp()),
            "next_update": int(made.next_update.timestamp()),
            "covers": made.covers,
        }
        number = self.note("crl", row | {"sha256": digest.hex()}, at=made.this_update)
        self.connection.execute(sql.insert(tables.crls).values(number=number, sha256=digest, **row))


def labelled(connection: sql.Connection, labels: Sequence[str]) -> list[Record]:
    """Give the certificates that have these labels."""
    found: list[Record] = []
    for start in range(0, len(labels), MAX_AT_ONCE):
        asked = [tables.certificates.c.label.in_(labels[start : start + MAX_AT_ONCE])]
        found += _records(connection, asked, latest_first=False, limit=MAX_PAGE)
    return found


def holders(
    connection: sql.Connection, key_hashes: Sequence[bytes]
) -> dict[bytes, list[tuple[frozenset[str], int | None]]]:
    """Say who has certificates for these public keys: their addresses, and why revoked."""
    table, gone, held = tables.certificates.c, tables.revocations.c, tables.addresses.c
    found: dict[bytes, dict[str, tuple[set[str], int | None]]] = {}
    for start in range(0, len(key_hashes), MAX_AT_ONCE):
        rows = connection.execute(
            sql.select(table.public_key, table.serial, held.address, gone.reason)
            .outerjoin_from(tables.certificates, tables.addresses)
            .outerjoin(tables.revocations, table.serial == gone.serial)
            .where(table.public_key.in_(key_hashes[start : start + MAX_AT_ONCE]))
        )
        for key_hash, serial, address, reason in rows:
            people = found.setdefault(key_hash, {}).setdefault(serial, (set(), reason))
            people[0].add(address or "")
    return {
        key_hash: [(frozenset(people), reason) for people, reason in certificates.values()]
        for key_hash, certificates in found.items()
    }


def _allow_change(serial: int, before: int | None, reason: int) -> None:
    if reason == RELEASED and before != HOLD:
        raise RequestRefused(f"the certificate {serial:x} is not on hold")
    if reason != RELEASED and before not in (None, RELEASED, HOLD):
        raise RequestRefused(
            f"the certificate {serial:x} is revoked already: {REASON_NAMES[before]}"
        )
    if reason == before:
        raise RequestRefused(f"the certificate {serial:x} is on hold already")


def _records(
    connection: sql.Connection,
    asked: Sequence[sql.ColumnElement[bool]],
    *,
    latest_first: bool,
    limit: int,
) -> list[Record]:
    table, gone = tables.certificates.c, tables.revocations.c
    rows = connection.execute(
        sql.select(
            *tables.certificates.columns,
            gone.at.label("revoked_at"),
            sql.case((gone.reason != RELEASED, gone.reason)).label("reason"),
        )
        .outerjoin_from(tables.certificates, tables.revocations, table.serial == gone.serial)
        .where(*asked)
        .order_by(table.number.desc() if latest_first else table.number)
        .limit(limit)
    ).all()
    records = []
    for row in rows:
        revocation = None
        if row.reason is not None:
            revocation = Revocation(from_seconds(row.revoked_at), REASON_NAMES[row.reason])
        certificate = x509.load_der_x509_certificate(row.der)
        records.append(
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
    return records


def _last_crl(connection: sql.Connection, issuer: int, scope: str) -> CrlRecord | None:
    table = tables.crls.c
    asked = (
        sql.select(tables.crls)
        .where(table.issuer == issuer, table.scope == scope, table.base.is_(None))
        .order_by(table.number.desc())
        .limit(1)
    )
    row = connection.execute(asked).first()
    if row is None:
        return None
    return CrlRecord(
        row.crl_number,
        row.base,
        from_seconds(row.this_update),
        from_seconds(row.next_update),
        row.covers,
    )


def head_of(connection: sql.Connection, *, lock: bool = False) -> tuple[int, bytes]:
    """Give number and hash of the last entry; with ``lock`` no other may add one."""
    asked = sql.select(tables.head.c.number, tables.head.c.hash)
    row = connection.execute(asked.with_for_update() if lock else asked).first()
    if row is None:
        raise LedgerProblem("the ledger has no head: it was not made by smimetool")
    return row.number, row.hash
