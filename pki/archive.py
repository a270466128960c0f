"""Reading keys kept in the ledger for their recovery agents, and what the log says of each.

``pki.escrow`` seals and opens; here is where the records lie. The agents are named in
the ledger too: who changes them leaves an entry.

Floor:  archive (uses ledger and escrow)
"""

from __future__ import annotations

import hashlib
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki import escrow, tables
from pki.authority import moment
from pki.errors import RequestRefused
from pki.facts import serial_text
from pki.tables import sql

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    import smime
    from pki import keys
    from pki.escrow import Recovered
    from pki.ledger import Ledger, Writing

__all__ = ["Agents", "Kept", "agents", "hand_over", "keep", "name_agents", "overview"]
__all__ += ["recover", "rotate", "serials_of"]

MAX_REASON = 1_000  # characters: a sentence or two for who audits
_AT_ONCE = 50  # records sealed anew by one commit
_HINT = "`smimetool ca escrow agents` names them"


@dataclass(frozen=True, slots=True)
class Agents:
    """Those for whom reading keys are sealed from now on, and how many of them it takes."""

    number: int
    """The entry of the log that named them."""
    threshold: int
    certificates: tuple[x509.Certificate, ...] = field(repr=False)


@dataclass(frozen=True, slots=True)
class Kept:
    """How many keys are kept, and how many of them for agents who were before."""

    agents: Agents | None
    records: int
    left: int


def agents(ledger: Ledger) -> Agents | None:
    """Give the recovery agents of today; None if no keys are kept."""
    with ledger.reading() as connection:
        return _agents(connection)


def _agents(connection: sql.Connection) -> Agents | None:
    asked = sql.select(tables.agents).order_by(tables.agents.c.number.desc()).limit(1)
    row = connection.execute(asked).first()
    if row is None:
        return None
    return Agents(row.number, row.threshold, tuple(x509.load_pem_x509_certificates(row.pem)))


def overview(ledger: Ledger) -> Kept:
    """Say what is kept, and for whom; no key is needed."""
    with ledger.reading() as connection:
        now = _agents(connection)
        records, left = _counts(connection, now)
    return Kept(now, records, left)


def _counts(connection: sql.Connection, now: Agents | None) -> tuple[int, int]:
    counted = sql.select(tables.archive.c.agents, sql.func.count()).group_by(
        tables.archive.c.agents
    )
    found = {row[0]: row[1] for row in connection.execute(counted)}
    records = sum(found.values())
    return records, records - (0 if now is None else found.get(now.number, 0))


def name_agents(
    ledger: Ledger,
    certificates: Sequence[x509.Certificate],
    *,
    threshold: int = 1,
    at: datetime | None = None,
) -> Agents:
    """Name those who shall open the keys that are kept from now on.

    Raises ``RequestRefused`` for agents that cannot be, and if keys are kept for others
    already: then ``rotate``.
    """
    when = moment(at)
    escrow.check_agents(certificates, threshold, when)
    with ledger.writing() as log:
        found = _agents(log.connection)
        records, _ = _counts(log.connection, found)
        if found is not None and _same(found, certificates, threshold):
            return found
        if records:
            raise RequestRefused(
                f"{records} keys are kept for other agents",
                hint="`smimetool ca escrow rotate` seals them anew",
            )
        return _named(log, certificates, threshold, when)


def _same(one: Agents, certificates: Sequence[x509.Certificate], threshold: int) -> bool:
    return one.threshold == threshold and set(one.certificates) == set(certificates)


def _named(
    log: Writing, certificates: Sequence[x509.Certificate], threshold: int, when: datetime
) -> Agents:
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in certificates)
    said = {"threshold": threshold, "sha256": hashlib.sha256(pem).hexdigest()}
    number = log.note("agents", said, at=when)
    log.connection.execute(
        sql.insert(tables.agents).values(number=number, threshold=threshold, pem=pem)
    )
    return Agents(number, threshold, tuple(certificates))


def keep(
    log: Writing,
    pairs: Iterable[tuple[keys.AnyKey, x509.Certificate]],
    whose: Agents,
    *,
    at: datetime,
) -> None:
    """Keep reading keys, in the commit that records their certificates.

    Raises ``RequestRefused`` for a key that signs.
    """
    for key, certificate in pairs:
        record = escrow.seal(
            key, certificate, agents=whose.certificates, threshold=whose.threshold, at=at
        )
        serial = certificate.serial_number
        number = log.note("kept", _said(record, whose), at=at, serial=serial)
        log.connection.execute(
            sql.insert(tables.archive).values(
                serial=serial_text(serial), number=number, agents=whose.number, record=record
            )
        )


def _said(record: bytes, whose: Agents) -> dict[str, int | str]:
    return {"agents": whose.number, "sha256": hashlib.sha256(record).hexdigest()}


def serials_of(ledger: Ledger, serials: Iterable[int]) -> list[int]:
    """Say for which of these certificates the key is kept."""
    asked = [serial_text(one) for one in serials]
    held = sql.select(tables.archive.c.serial).where(tables.archive.c.serial.in_(asked))
    with ledger.reading() as connection:
        found = set(connection.execute(held).scalars())
    return [int(text, 16) for text in asked if text in found]


def recover(
    ledger: Ledger,
    serials: Sequence[int],
    *,
    reason: str,
    keys: Sequence[smime.Identity],
    handed_over: Iterable[bytes] = (),
    at: datetime | None = None,
) -> list[Recovered]:
    """Open kept keys with the Identities of agents; the log says so before they are given.

    Raises ``RequestRefused`` without a reason or for a key that is not kept,
    ``DecryptionFailed`` if the agents' keys are not enough of the right ones.
    """
    _demand_reason(reason)
    letters = list(handed_over)
    found = [
        escrow.recover(record, keys=keys, handed_over=letters)
        for record in _records(ledger, serials)
    ]
    by = ", ".join(dict.fromkeys(one.label for one in map(_Agent, keys)))
    with ledger.writing() as log:
        for serial in serials:
            log.note("recovered", {"reason": reason, "by": by}, at=moment(at), serial=serial)
    return found


def hand_over(
    ledger: Ledger,
    serials: Sequence[int],
    *,
    reason: str,
    keys: smime.Identity,
    to: x509.Certificate,
    at: datetime | None = None,
) -> list[bytes]:
    """Give an agent's halves of kept keys, sealed to another agent; the log says so.

    Raises what ``recover`` raises.
    """
    _demand_reason(reason)
    letters = [escrow.hand_over(record, keys=keys, to=to) for record in _records(ledger, serials)]
    by = _Agent(keys).label
    with ledger.writing() as log:
        for serial in serials:
            log.note("handed-over", {"reason": reason, "by": by}, at=moment(at), serial=serial)
    return letters


class _Agent:
    """Whose Identity it is, for the log."""

    def __init__(self, identity: smime.Identity) -> None:
        certificate = identity.certificate
        self.label = ", ".join(identity.addresses) or certificate.subject.rfc4514_string()


def _demand_reason(reason: str) -> None:
    if not reason.strip() or not reason.isprintable() or len(reason) > MAX_REASON:
        raise RequestRefused(
            f"a reason has 1 to {MAX_REASON} characters, all of which show",
            hint="the log keeps it: --reason 'lost laptop, asked for by the board'",
        )


def _records(ledger: Ledger, serials: Sequence[int]) -> list[bytes]:
    table = tables.archive.c
    asked = [serial_text(one) for one in serials]
    with ledger.reading() as connection:
        rows = connection.execute(
            sql.select(table.serial, table.record).where(table.serial.in_(asked))
        )
        found = {row.serial: row.record for row in rows}
    for serial, text in zip(serials, asked, strict=True):
        if text not in found:
            raise RequestRefused(
                f"no key is kept for the certificate {serial:x}",
                hint="kept are reading keys of pairs that were made here: `ca issue --pair`",
            )
    return [found[text] for text in asked]


def rotate(
    ledger: Ledger,
    certificates: Sequence[x509.Certificate],
    *,
    threshold: int,
    keys: Sequence[smime.Identity],
    at: datetime | None = None,
) -> int:
    """Seal all kept keys anew, for other agents; give how many.

    ``keys`` are Identities of the agents before. New keys are sealed to the new ones from
    the first moment. What was cut off is finished by calling it again.

    Raises ``DecryptionFailed`` if these keys do not open the first record: then nothing
    was changed.
    """
    when, done = moment(at), 0
    escrow.check_agents(certificates, threshold, when)
    while True:
        with ledger.writing() as log:
            now = _agents(log.connection)
            if now is None:
                raise RequestRefused("no recovery agents are named yet", hint=_HINT)
            if not _same(now, certificates, threshold):
                now = _named(log, certificates, threshold, when)
            rows = log.connection.execute(
                sql.select(tables.archive)
                .where(tables.archive.c.agents != now.number)
                .limit(_AT_ONCE)
            ).all()
            for row in rows:
                record = escrow.rotate(
                    row.record, keys=keys, agents=certificates, threshold=threshold, at=when
                )
                number = log.note(
                    "resealed", _said(record, now), at=when, serial=int(row.serial, 16)
                )
                log.connection.execute(
                    sql.update(tables.archive)
                    .where(tables.archive.c.serial == row.serial)
                    .values(number=number, agents=now.number, record=record)
                )
        done += len(rows)
        if len(rows) < _AT_ONCE:
            return done
