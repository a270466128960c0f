"""Ledgers of any size in seconds: one certificate, with another name, key and serial in each row.

The signatures are those of the first certificate, which nobody checks here; all else is as
``pki`` writes it, the chain of the log too (``pki.audit`` agrees).
"""

from __future__ import annotations

import json
import os
import sqlite3
from hashlib import sha256, sha512
from pathlib import Path

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

import pki
from pki import crl
from pki.authority import moment
from pki.facts import facts_of, from_seconds, issued_detail, link, serial_text
from pki.folder import LEDGER
from pki.keys import spki
from pki.requests import CertificationRequest
from tests.pki.house import quick

_ADDRESS = "u%08d@chess.example"
_PART = 20_000
_CACHE_KIB = 500_000  # the indexes of a million rows


def address(row: int) -> str:
    """Give the address of the certificate in that row."""
    return _ADDRESS % row


def serials(count: int) -> list[int]:
    """Draw serial numbers of 16 octets, all of one length in DER."""
    made: set[int] = set()
    while len(made) < count:
        made.add(int.from_bytes(os.urandom(16), "big") & ~(1 << 127) | 1 << 126)
    return sorted(made)


def filled(folder: Path, count: int, *, revoked: int = 0) -> tuple[pki.Registrar, list[int]]:
    """Give a CA with so many certificates, the first of them revoked; and all serial numbers."""
    ca = quick(folder)
    public = ec.generate_private_key(ec.SECP256R1()).public_key()
    numbers = serials(count)
    first = ca.authority.certify(
        CertificationRequest(public, [address(0)]),
        profile=pki.Profile.named("mailbox"),
        serial=numbers[0],
        at=moment(None),
    )
    pattern = _Pattern(
        first.public_bytes(Encoding.DER),
        spki(public),
        public.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)[1:],
        facts_of(first, first.public_bytes(Encoding.DER)),
        numbers[0],
    )
    head = ca.ledger.head()
    ca.ledger.close()  # it opens again when it is asked
    _fill(_Filling(folder / LEDGER, head), pattern, numbers, revoked)
    return ca, numbers


class _Pattern:
    """The first certificate, and how the others differ."""

    def __init__(
        self, cert_der: bytes, key: bytes, point: bytes, facts: dict[str, object], serial: int
    ) -> None:
        self.cert_der, self.key, self.point = cert_der, key, point
        self.facts, self.serial = facts, serial.to_bytes(16, "big")
        self.address = address(0)

    def row(self, row: int, serial: int) -> dict[str, object]:
        """Give the columns of a certificate."""
        text, own = serial_text(serial), address(row)
        point = sha512(text.encode()).digest()
        cert_der = (
            self.cert_der.replace(self.serial, serial.to_bytes(16, "big"))
            .replace(self.address.encode(), own.encode())
            .replace(self.point, point)
        )
        return self.facts | {
            "serial": text,
            "issuer": 1,
            "fingerprint": sha256(cert_der).digest(),
            "public_key": sha256(self.key.replace(self.point, point)).digest(),
            "subject": str(self.facts["subject"]).replace(self.address, own),
            "profile": "mailbox",
            "scope": "",
            "label": None,
            "renews": None,
            "der": cert_der,
        }


class _Filling:
    """The tables, a part of the rows at a time: a million at once would be gigabytes."""

    def __init__(self, path: Path, head: tuple[int, bytes]) -> None:
        self.number, self.value = head
        self.when = int(moment(None).timestamp())
        self.connection = sqlite3.connect(path, isolation_level=None)
        for setting in ("journal_mode = OFF", "synchronous = OFF", f"cache_size = -{_CACHE_KIB}"):
            self.connection.execute(f"PRAGMA {setting}")
        self.connection.execute("BEGIN")
        self.waiting: dict[str, list[dict[str, object]]] = {}

    def add(self, table: str, row: dict[str, object]) -> None:
        self.waiting.setdefault(table, []).append(row)

    def event(self, kind: str, serial: object, facts: object) -> int:
        self.number += 1
        detail = json.dumps(facts, sort_keys=True, separators=(",", ":"))
        self.value = link(self.value, self.number, self.when, kind, str(serial), detail)
        entry = {"number": self.number, "at": self.when, "kind": kind, "serial": serial}
        self.add("events", entry | {"detail": detail, "hash": self.value})
        return self.number

    def flush(self) -> None:
        for table, rows in self.waiting.items():
            values = ", ".join(f":{name}" for name in rows[0])
            statement = f"INSERT INTO {table} ({', '.join(rows[0])}) VALUES ({values})"
            self.connection.executemany(statement, rows)
        self.waiting.clear()

    def finish(self) -> None:
        self.flush()
        self.connection.execute("UPDATE head SET number = ?, hash = ?", (self.number, self.value))
        self.connection.execute("COMMIT")
        self.connection.execute("PRAGMA journal_mode = WAL")
        self.connection.close()


def _fill(filling: _Filling, pattern: _Pattern, numbers: list[int], revoked: int) -> None:
    for row, serial in enumerate(numbers):
        made = pattern.row(row, serial)
        number = filling.event("issued", made["serial"], issued_detail(made))
        filling.add("certificates", made | {"number": number})
        filling.add("addresses", {"address": address(row), "serial": made["serial"]})
        if row % _PART == _PART - 1:
            filling.flush()
    for row, serial in enumerate(numbers[:revoked]):
        text, reason = serial_text(serial), row % 6
        entry = crl.entry(serial, at=from_seconds(filling.when), reason=reason)
        facts = {"at": filling.when, "entry": entry.hex(), "reason": reason}
        number = filling.event("revoked", text, facts)
        gone = {"serial": text, "number": number, "issuer": 1, "scope": "", "entry": entry}
        filling.add("revocations", gone | {"at": filling.when, "reason": reason})
        if row % _PART == _PART - 1:
            filling.flush()
    filling.finish()
