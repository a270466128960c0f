"""Letters to people whose certificates end soon, signed by the CA's own mail identity.

The ledger knows who was written to and when, so that a daily run writes once.

Floor:  reminders (uses registrar)
"""

from __future__ import annotations

import hashlib
import os
import re
from datetime import UTC, timedelta
from email.message import EmailMessage
from email.utils import format_datetime, make_msgid
from typing import TYPE_CHECKING

import smime
from pki import keys, tables
from pki.authority import moment
from pki.errors import ProfileProblem, RequestRefused
from pki.facts import public_key_hash, serial_text
from pki.files import write_over
from pki.folder import read_key
from pki.names import checked_address
from pki.requests import CertificationRequest
from pki.tables import sql

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pki.facts import Record
    from pki.ledger import Ledger
    from pki.registrar import Registrar

__all__ = ["TEXT", "letter", "not_reminded", "note_reminded", "own_identity"]

MAX_TEXT_OCTETS = 65_536  # of a letter's text: no one reads more
_RENEWED_BEFORE = timedelta(days=30)  # the CA's own certificate outlives the letters it signs
_AT_ONCE = 500
_PLACE = re.compile(r"\{([^{}]*)\}")

TEXT = """\
Your certificate for {address} ends on {date}.

Until then ask {ca} for a new one, and go on using it as before. Keep
the old key: it opens the mail that you have.

Certificate {serial}
"""
"""What a letter says unless told otherwise; the first line is its subject."""


def own_identity(
    ca: Registrar, address: str, passphrase: smime.Passphrase, *, at: datetime | None = None
) -> smime.Identity:
    """Give the identity by which the CA itself writes; it is made when it is first needed.

    Its key lies in ``private``, ``mail-….key.pem``; its certificate is recorded like all others,
    and made anew a month before it ends. Raises ``WrongPassphrase``, ``RequestRefused``.
    """
    if ca.records.token:
        # Its PIN is short: what it locked beside the token could be guessed without the token.
        raise smime.NotSupported(
            "the CA's key is in a token, and its mail key would be in a file",
            hint="sign the letters with a key file of the CA's: `ca remind --identity FILE`",
        )
    when, address = moment(at), checked_address(address)
    # One for each address: a key is one person's.
    name = f"mail-{hashlib.sha256(address.encode()).hexdigest()[:12]}.key.pem"
    path = os.path.join(ca.records.folder, "private", name)
    secret = keys.passphrase_octets(passphrase)
    if os.path.exists(path):
        key = read_key(ca.records, name, secret)
        found = ca.ledger.find(public_key=public_key_hash(keys.check(key.public_key())))
        for record in found:
            lasts = record.not_after > when + _RENEWED_BEFORE
            if record.state(when) == "valid" and lasts:
                return smime.Identity(key, record.certificate, ca.chain)
        if any(record.revocation is not None for record in found):
            key = _new_key(path, secret)
    else:
        key = _new_key(path, secret)
    request = CertificationRequest(keys.check(key.public_key()), (address,))
    return smime.Identity(key, ca.certify(request, at=at), ca.chain)


def _new_key(path: str, secret: bytes) -> keys.Key:
    key: keys.Key = keys.generate("rsa3072")
    write_over(path, keys.seal(key, secret), mode=0o600)
    return key


def letter(
    record: Record, *, by: smime.Identity, name: str, at: datetime, text: str = TEXT
) -> smime.Mail:
    """Write and sign the letter about one certificate to the person it was given to.

    ``text`` begins with the subject, in a line of its own; ``{address}``, ``{date}``,
    ``{serial}``, ``{ca}`` and ``{subject}`` in it are filled in. ``name`` is the CA's.

    Raises ``ProfileProblem`` for a text with other places in it, ``RequestRefused`` for a
    certificate without a mail address.
    """
    if not record.addresses:
        raise RequestRefused(f"the certificate {record.serial:x} holds no mail address")
    values = {
        "address": record.addresses[0],
        "date": f"{record.not_after:%Y-%m-%d}",
        "serial": f"{record.serial:x}",
        "ca": name,
        "subject": record.subject,
    }
    unknown = {one[1] for one in _PLACE.finditer(text)} - set(values)
    if unknown or not text.strip():
        raise ProfileProblem(
            f"the text of a reminder has a subject, and places among {', '.join(values)} only"
        )
    filled = _PLACE.sub(lambda one: values[one[1]], text)
    subject, _, body = filled.strip().partition("\n")
    mail = EmailMessage()
    mail["From"] = by.addresses[0]
    mail["To"] = record.addresses[0]
    mail["Date"] = format_datetime(at.astimezone(UTC))
    mail["Message-ID"] = make_msgid(domain=by.addresses[0].rpartition("@")[2])
    mail["Subject"] = subject.strip()
    # No vacation note answers a machine (RFC 3834 §5).
    mail["Auto-Submitted"] = "auto-generated"
    mail.set_content(body.lstrip("\n") or subject)
    return smime.sign(mail, by=by)


def not_reminded(ledger: Ledger, records: Iterable[Record], since: datetime) -> list[Record]:
    """Leave out those whose holders were written to after that moment."""
    asked = list(records)
    table = tables.reminders.c
    told: set[str] = set()
    with ledger.reading() as connection:
        for start in range(0, len(asked), _AT_ONCE):
            part = [serial_text(one.serial) for one in asked[start : start + _AT_ONCE]]
            told |= set(
                connection.execute(
                    sql.select(table.serial).where(
                        table.serial.in_(part), table.at > int(since.timestamp())
                    )
                ).scalars()
            )
    return [record for record in asked if serial_text(record.serial) not in told]


def note_reminded(ledger: Ledger, serials: Iterable[int], *, at: datetime) -> None:
    """Record that the holders of these were written to."""
    table = tables.reminders
    with ledger.writing() as log:
        for serial in serials:
            number = log.note("reminded", {}, at=at, serial=serial)
            row = {"number": number, "at": int(at.timestamp())}
            text = serial_text(serial)
            changed = log.connection.execute(
                sql.update(table).where(table.c.serial == text).values(**row)
            )
            if not changed.rowcount:
                log.connection.execute(sql.insert(table).values(serial=text, **row))
