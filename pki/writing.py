"""One transaction that writes to a ledger: each change adds its entries to the log.

Floor:  writing (uses questions, tables and facts)
"""

from __future__ import annotations

import contextlib
import hashlib
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
    addresses_of,
    facts_of,
    issued_detail,
    json_text,
    link,
    serial_text,
)
from pki.questions import MAX_AT_ONCE, MAX_PAGE, challenge_of, head_of, issuer_number, last_crl
from pki.tables import Prepared, sql

if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping, Sequence
    from datetime import datetime
    from typing import Any

__all__ = ["Writing"]

_MOVE_HEAD = Prepared(
    sql.update(tables.head).values(number=sql.bindparam("last"), hash=sql.bindparam("last_hash"))
)
_SAVE, _KEEP, _UNDO = (
    Prepared(sql.text(f"{words}SAVEPOINT step")) for words in ("", "RELEASE ", "ROLLBACK TO ")
)
_NEW_EVENTS = Prepared(sql.insert(tables.events))
_NEW_CERTIFICATES = Prepared(sql.insert(tables.certificates))
_NEW_ADDRESSES = Prepared(sql.insert(tables.addresses))
_NEW_REVOCATIONS = Prepared(sql.insert(tables.revocations))
_REVOCABLE = (
    sql.select(
        tables.certificates.c.serial,
        tables.certificates.c.issuer,
        tables.certificates.c.scope,
        tables.revocations.c.reason,
    )
    .outerjoin_from(
        tables.certificates,
        tables.revocations,
        tables.certificates.c.serial == tables.revocations.c.serial,
    )
    .where(tables.certificates.c.serial.in_(sql.bindparam("asked", expanding=True)))
)


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
            detail = json_text(facts)
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
        _NEW_EVENTS.run(self.connection, rows)
        _MOVE_HEAD.run(self.connection, {"last": self._number, "last_hash": self._hash})
        return range(first, self._number + 1)

    @contextlib.contextmanager
    def apart(self) -> Iterator[None]:
        """Undo what was written inside, and only that, if it fails."""
        before = self._number, self._hash
        _SAVE.run(self.connection)
        try:
            yield
        except sql.exc.DBAPIError:
            raise  # nobody knows what is left of the transaction: all of it is undone
        except Exception:  # whatever the step raises: it is raised again
            _UNDO.run(self.connection)
            self._number, self._hash = before
            raise
        _KEEP.run(self.connection)

    def issuer(self, certificate: x509.Certificate, *, at: datetime) -> int:
        """Give the number of an issuing CA; at the first time it is recorded."""
        cert_der = certificate.public_bytes(Encoding.DER)
        found = issuer_number(self.connection, cert_der)
        if found is not None:
            return found
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
                for address in {a.lower() for a in addresses_of(cert_der)}
            ]
            said = issued_detail(row)
            entries.append(("issued", issue.certificate.serial_number, said))
        for row, number in zip(rows, self._append(entries, at), strict=True):
            row["number"] = number
        try:
            _NEW_CERTIFICATES.run(self.connection, rows)
            if held:
                _NEW_ADDRESSES.run(self.connection, held)
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
        asked = [serial_text(serial) for serial, _, _ in changes]
        found = {row.serial: row for row in self.connection.execute(_REVOCABLE, {"asked": asked})}
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
            gone = tables.revocations.c.serial
            self.connection.execute(sql.delete(tables.revocations).where(gone.in_(changed)))
        _NEW_REVOCATIONS.run(self.connection, rows)

    def challenge(self, serial: int, digest: bytes, *, at: datetime) -> None:
        """Have a certificate wait for the answer that has this SHA-256."""
        number = self.note("challenged", {"sha256": digest.hex()}, at=at, serial=serial)
        row = {"serial": serial_text(serial), "number": number, "sha256": digest}
        self.connection.execute(sql.insert(tables.challenges).values(answered=0, **row))

    def answered(self, serial: int, digest: bytes, *, at: datetime) -> None:
        """Record that the answer came."""
        number = self.note("answered", {"sha256": digest.hex()}, at=at, serial=serial)
        changed = sql.update(tables.challenges).where(
            tables.challenges.c.serial == serial_text(serial)
        )
        self.connection.execute(changed.values(number=number, answered=1))

    def waits(self, serial: int) -> bool:
        """Say whether a certificate waits for the answer to a challenge."""
        found = challenge_of(self.connection, serial)
        return found is not None and not found[1]

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
        return last_crl(self.connection, issuer, scope)

    def crl(self, issuer: int, scope: str, made: CrlRecord) -> None:
        """Record a CRL that was signed."""
        row = {
            "issuer": issuer,
            "scope": scope,
            "crl_number": made.number,
            "base": made.base,
            "this_update": int(made.this_update.timestamp()),
            "next_update": int(made.next_update.timestamp()),
            "covers": made.covers,
        }
        number = self.note("crl", row | {"sha256": made.sha256.hex()}, at=made.this_update)
        self.connection.execute(
            sql.insert(tables.crls).values(number=number, sha256=made.sha256, **row)
        )


def _allow_change(serial: int, before: int | None, reason: int) -> None:
    if reason == RELEASED and before != HOLD:
        raise RequestRefused(f"the certificate {serial:x} is not on hold")
    if reason != RELEASED and before not in (None, RELEASED, HOLD):
        raise RequestRefused(
            f"the certificate {serial:x} is revoked already: {REASON_NAMES[before]}"
        )
    if reason == before:
        raise RequestRefused(f"the certificate {serial:x} is on hold already")
