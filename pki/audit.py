"""Is the ledger what it was? The chain of its log, and all that follows from it.

The chain alone shows accidents and clumsy hands: who can write every row can write a
whole new chain. A checkpoint, signed by the log's own key and kept elsewhere, binds
everything before it.

Floor:  audit (uses ledger, facts, keys)
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
from dataclasses import dataclass
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA256
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    PublicFormat,
    load_der_public_key,
)

from pki import tables
from pki.errors import LedgerProblem
from pki.facts import addresses_of, facts_of, issued_detail, link
from pki.tables import sql, translated
from smime import SmimeError

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from typing import Any

    from pki import keys
    from pki.ledger import Ledger

__all__ = ["Audit", "Checkpoint", "audit", "checkpoint", "log_key_detail"]

MAX_CHECKPOINT_OCTETS = 10_000  # one has about 500
_PAGE = 2_000  # rows held at a time
_FIRST_LINE = "smimetool checkpoint 1"


@dataclass(frozen=True, slots=True)
class Audit:
    """What was found. Whether it is good is ``unbroken``."""

    outcome: str
    """``unbroken``, ``truncated`` (the end is missing) or ``rewritten``."""
    entry: int
    """The last entry if unbroken, else the first one missing or changed."""
    problems: tuple[str, ...] = ()

    @property
    def unbroken(self) -> bool:
        """All is as it was written."""
        return self.outcome == "unbroken"

    def __bool__(self) -> bool:
        raise TypeError("an audit is not a yes or no: ask .unbroken or read .problems")

    def __str__(self) -> str:
        if self.unbroken:
            return f"unbroken: {self.entry} entries"
        text = f"{self.outcome} at entry {self.entry}"
        return f"{text}: {self.problems[0]}" if self.problems else text


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """How far the log had come at a moment: all before it is bound by one hash."""

    number: int
    hash: bytes
    at: str
    key: bytes
    """The log's public key, as DER."""

    @classmethod
    def parse(cls, data: bytes) -> Checkpoint:
        """Read one and check its signature. Raises ``LedgerProblem``."""
        try:
            if len(data) > MAX_CHECKPOINT_OCTETS:
                raise ValueError("too large")
            text, found, signature = data.decode("ascii").partition("signature: ")
            lines = text.splitlines()
            if lines[0] != _FIRST_LINE or not found:
                raise ValueError("no checkpoint")
            fields = dict(line.split(": ", 1) for line in lines[1:])
            made = cls(
                int(fields["entry"]),
                bytes.fromhex(fields["hash"]),
                fields["at"],
                base64.b64decode(fields["key"], validate=True),
            )
            key = load_der_public_key(made.key)
            if not isinstance(key, ec.EllipticCurvePublicKey):
                raise ValueError("another kind of key")
            value = base64.b64decode(signature.strip(), validate=True)
            if base64.b64encode(value).decode() != signature.strip():
                # Bits of the last character that carry nothing have to be zero.
                raise ValueError("changed base64")
            key.verify(value, text.encode(), ec.ECDSA(SHA256()))
        except (
            ValueError,
            KeyError,
            IndexError,
            TypeError,
            InvalidSignature,
            UnsupportedAlgorithm,
        ) as error:
            raise LedgerProblem(
                "not a checkpoint, or one that was changed",
                hint="take the file as `smimetool ca audit --checkpoint-to` wrote it",
            ) from error
        return made


def checkpoint(ledger: Ledger, key: keys.Key, *, at: datetime) -> bytes:
    """Sign how far the log has come: some lines of text, to be kept where nobody here writes.

    The signature is ECDSA with SHA-256 over all lines before it, in base64.
    """
    assert isinstance(key, ec.EllipticCurvePrivateKey)
    number, value = ledger.head()
    text = "\n".join(
        (
            _FIRST_LINE,
            f"entry: {number}",
            f"hash: {value.hex()}",
            f"at: {at:%Y-%m-%dT%H:%M:%SZ}",
            f"key: {log_key_detail(key)['key']}",
            "",
        )
    )
    signature = key.sign(text.encode(), ec.ECDSA(SHA256()))
    return f"{text}signature: {base64.b64encode(signature).decode()}\n".encode()


def log_key_detail(key: keys.Key) -> dict[str, str]:
    """Give what the log says of the key of its checkpoints."""
    spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return {"key": base64.b64encode(spki).decode()}


def audit(ledger: Ledger, against: Checkpoint | None = None) -> Audit:
    """Read the whole ledger and say whether it is what was written, and since that checkpoint.

    Every entry's hash is counted again; every row of the other tables is compared
    with the entry that made it, and with the certificate in it.
    """
    with ledger.reading() as connection, translated():
        return _Auditor(connection, against).run()


class _Broken(Exception):
    """The first thing that is wrong."""

    def __init__(self, outcome: str, entry: int, problem: str) -> None:
        super().__init__(problem)
        self.audit = Audit(outcome, entry, (problem,))


class _Auditor:
    """One pass over the log; the tables follow it in the order of their entries."""

    def __init__(self, connection: sql.Connection, against: Checkpoint | None) -> None:
        self._connection = connection
        self._against = against
        self._changes: dict[str, int] = {}  # serial -> entry of its last revocation or release
        self._sealed: dict[str, int] = {}  # serial -> entry that sealed its kept key last
        self._reminded: dict[str, int] = {}  # serial -> entry of the last reminder
        self._challenged: dict[str, int] = {}  # serial -> entry of its challenge, or the answer
        self._log_keys: set[bytes] = set()
        self._addresses = 0
        self._number = 0  # the last entry that is as it was
        self._streams = contextlib.ExitStack()

    def run(self) -> Audit:
        try:
            with contextlib.ExitStack() as self._streams:
                self._log()
                self._revocations()
                self._archive()
                self._reminders()
                self._challenges()
        except _Broken as broken:
            return broken.audit
        except (TypeError, ValueError, KeyError, SmimeError):
            # SQLite holds whatever somebody wrote into a column, of any type.
            return Audit("rewritten", self._number + 1, ("a row cannot be read",))
        return Audit("unbroken", self._number)

    def _log(self) -> None:
        head = self._connection.execute(sql.select(tables.head.c.number, tables.head.c.hash)).all()
        certificates = self._certificates()
        issuers = self._rows(tables.issuers)
        crls = self._rows(tables.crls)
        agents = self._rows(tables.agents)
        number, value = 0, bytes(32)
        for row in self._rows(tables.events):
            if row.number != number + 1:
                raise _Broken("rewritten", number + 1, "this entry is missing")
            number = row.number
            value = link(value, number, row.at, row.kind, row.serial, row.detail)
            if value != row.hash:
                raise _Broken("rewritten", number, "the entry does not fit its hash")
            if self._against is not None and self._against.number == number:
                self._checkpoint(value)
            detail = json.loads(row.detail)
            self._number = number - 1
            if row.kind == "issued":
                self._issued(number, row, detail, next(certificates, None))
            elif row.kind == "issuer":
                self._issuer(number, detail, next(issuers, None))
            elif row.kind == "crl":
                self._crl(number, detail, next(crls, None))
            elif row.kind in ("revoked", "released"):
                self._changes[row.serial] = number
            elif row.kind in ("kept", "resealed"):
                self._sealed[row.serial] = number
            elif row.kind == "reminded":
                self._reminded[row.serial] = number
            elif row.kind in ("challenged", "answered"):
                self._challenged[row.serial] = number
            elif row.kind == "agents":
                self._agents(number, detail, next(agents, None))
            elif row.kind == "log-key":
                self._log_keys.add(base64.b64decode(detail["key"]))
        if self._against is not None and self._against.number > number:
            raise _Broken(
                "truncated", number + 1, f"the checkpoint knows {self._against.number} entries"
            )
        if len(head) != 1:
            raise _Broken("rewritten", number, "the head of the log is gone")
        if head[0].number > number:
            raise _Broken("truncated", number + 1, f"there were {head[0].number} entries")
        if head[0].number < number or head[0].hash != value:
            raise _Broken("rewritten", number, "the last entry is not the one that was last")
        for extra, what in (
            (certificates, "certificate"),
            (issuers, "CA"),
            (crls, "CRL"),
            (agents, "set of recovery agents"),
        ):
            if next(extra, None) is not None:
                raise _Broken("truncated", number + 1, f"a {what} is there that no entry records")
        self._number = number
        counted = sql.select(sql.func.count()).select_from(tables.addresses)
        if self._connection.execute(counted).scalar_one() != self._addresses:
            raise _Broken("rewritten", number, "an address is there that no certificate holds")

    def _checkpoint(self, value: bytes) -> None:
        assert self._against is not None
        number = self._against.number
        if value != self._against.hash:
            raise _Broken("rewritten", number, "this entry or one before it is another")
        if self._against.key not in self._log_keys:
            raise _Broken("rewritten", number, "the checkpoint was signed by another log's key")

    def _issued(self, number: int, event: Any, detail: dict[str, Any], row: Any) -> None:
        if row is None or row.number != number:
            raise _Broken("rewritten", number, "the certificate of this entry is missing")
        problem = "the certificate is not the one of this entry"
        try:
            certificate = x509.load_der_x509_certificate(row.der)
            derived = facts_of(certificate, row.der)
            held = {address.lower() for address in addresses_of(row.der)}
        except ValueError:
            raise _Broken("rewritten", number, problem) from None
        stored = row._mapping
        same = (
            event.serial == row.serial
            and all(stored[name] == value for name, value in derived.items())
            and issued_detail(stored) == detail
        )
        if not same:
            raise _Broken("rewritten", number, problem)
        if held != row.addresses:
            raise _Broken("rewritten", number, "the addresses are not those of the certificate")
        self._addresses += len(held)

    def _issuer(self, number: int, detail: dict[str, Any], row: Any) -> None:
        if row is None or row.number != number:
            raise _Broken("rewritten", number, "the CA of this entry is missing")
        if detail != {"id": row.id, "sha256": hashlib.sha256(row.der).hexdigest()}:
            raise _Broken("rewritten", number, "the CA is not the one of this entry")

    def _crl(self, number: int, detail: dict[str, Any], row: Any) -> None:
        if row is None or row.number != number:
            raise _Broken("rewritten", number, "the CRL of this entry is missing")
        stored = {**row._mapping, "sha256": row.sha256.hex()}
        if {name: stored[name] for name in detail} != detail:
            raise _Broken("rewritten", number, "the CRL is not the one of this entry")

    def _agents(self, number: int, detail: dict[str, Any], row: Any) -> None:
        if row is None or row.number != number:
            raise _Broken("rewritten", number, "the recovery agents of this entry are missing")
        if detail != {"threshold": row.threshold, "sha256": hashlib.sha256(row.pem).hexdigest()}:
            raise _Broken("rewritten", number, "the recovery agents are not those of this entry")

    def _archive(self) -> None:
        """Compare the kept keys with the entries that sealed them last."""
        for row in self._followed(tables.archive, self._sealed, "kept key"):
            digest = hashlib.sha256(row.record).hexdigest()
            if json.loads(row.detail) != {"agents": row.agents, "sha256": digest}:
                raise _Broken("rewritten", row.number, "a kept key is not as recorded")

    def _reminders(self) -> None:
        for row in self._followed(tables.reminders, self._reminded, "reminder"):
            if row.at != row.said_at:
                raise _Broken("rewritten", row.number, "a reminder is not as recorded")

    def _challenges(self) -> None:
        for row in self._followed(tables.challenges, self._challenged, "challenge"):
            stored = {"sha256": row.sha256.hex()}
            kind = {0: "challenged", 1: "answered"}.get(row.answered)
            if json.loads(row.detail) != stored or row.said_kind != kind:
                raise _Broken("rewritten", row.number, "a challenge is not as recorded")

    def _followed(self, table: sql.Table, last: dict[str, int], what: str) -> Iterator[Any]:
        """Give the rows of a table that holds one for each serial, with their entries."""
        events = tables.events.c
        asked = sql.select(
            table,
            events.serial.label("said_serial"),
            events.detail,
            events.at.label("said_at"),
            events.kind.label("said_kind"),
        ).outerjoin(tables.events, events.number == table.c.number)
        for row in self._stream(asked):
            entry = last.pop(row.serial, None)
            if entry is None or entry != row.number or row.said_serial != row.serial:
                raise _Broken("rewritten", entry or row.number, f"a {what} is not as recorded")
            yield row
        if last:
            raise _Broken("rewritten", min(last.values()), f"a {what} is missing")

    def _revocations(self) -> None:
        """Compare what is revoked now with the last entry of each serial."""
        asked = (
            sql.select(
                tables.revocations,
                tables.events.c.serial.label("said_serial"),
                tables.events.c.detail,
                tables.certificates.c.issuer.label("said_issuer"),
                tables.certificates.c.scope.label("said_scope"),
            )
            .outerjoin(tables.events, tables.events.c.number == tables.revocations.c.number)
            .outerjoin(
                tables.certificates,
                tables.certificates.c.serial == tables.revocations.c.serial,
            )
        )
        for row in self._stream(asked):
            last = self._changes.pop(row.serial, None)
            if last is None or last != row.number or row.said_serial != row.serial:
                raise _Broken("rewritten", last or row.number, "a revocation is not as recorded")
            detail = json.loads(row.detail)
            stored = {"at": row.at, "entry": row.entry.hex(), "reason": row.reason}
            placed = (row.issuer, row.scope) == (row.said_issuer, row.said_scope)
            if stored != detail or not placed:
                raise _Broken("rewritten", row.number, "a revocation is not as recorded")
        if self._changes:
            raise _Broken("rewritten", min(self._changes.values()), "a revocation is missing")

    def _certificates(self) -> Iterator[Any]:
        """Give the rows in the order of their entries, each with its set of addresses."""
        start = 0
        while True:
            table = tables.certificates.c
            rows = self._connection.execute(
                sql.select(tables.certificates)
                .where(table.number > start)
                .order_by(table.number)
                .limit(_PAGE)
            ).all()
            if not rows:
                return
            held: dict[str, set[str]] = {row.serial: set() for row in rows}
            for serial, address in self._connection.execute(
                sql.select(tables.addresses.c.serial, tables.addresses.c.address)
                .join(tables.certificates)
                .where(table.number > start, table.number <= rows[-1].number)
            ):
                held[serial].add(address)
            for row in rows:
                yield _WithAddresses(row, held[row.serial])
            start = rows[-1].number

    def _rows(self, table: sql.Table) -> Iterator[Any]:
        return self._stream(sql.select(table).order_by(table.c.number))

    def _stream(self, asked: sql.Select[Any]) -> Iterator[Any]:
        rows = self._connection.execute(asked.execution_options(yield_per=_PAGE))
        self._streams.callback(rows.close)  # a pass that stops half way leaves no cursor open
        yield from rows


class _WithAddresses:
    """A row of ``certificates`` and what ``addresses`` has for it."""

    __slots__ = ("_row", "addresses")

    def __init__(self, row: Any, addresses: set[str]) -> None:
        self._row = row
        self.addresses = addresses

    def __getattr__(self, name: str) -> Any:
        return getattr(self._row, name)
