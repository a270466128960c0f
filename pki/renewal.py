"""Certificates made again for the same person: with the same key, or with a new one.

Floor:  renewal (uses issuance)
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

from pki import keys
from pki.authority import moment
from pki.errors import RequestRefused
from pki.listing import Wanted
from pki.orders import Order
from pki.requests import CertificationRequest

if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from cryptography import x509

    import smime
    from pki.facts import Record
    from pki.issuance import Issuance, Stage
    from pki.ledger import Ledger

__all__ = ["due", "ending", "find", "rekey", "renew"]

_PAGE = 1_000  # records held at a time


def renew(
    desk: Issuance, serial: int, *, at: datetime | None, lifetime_days: int
) -> x509.Certificate:
    """Certify the same key and names again, record the certificate. Raises ``RequestRefused``."""
    before = find(desk.ledger, serial)
    if before.revocation is not None:
        raise RequestRefused(
            f"the certificate {serial:x} is revoked: {before.revocation.reason}",
            hint="a new key is needed: Registrar.rekey(), or `smimetool ca rekey`",
        )
    key = keys.check(before.certificate.public_key())
    request = CertificationRequest(key, before.addresses, _name_in(before))
    profile = desk.profile(before.profile).lasting(lifetime_days)
    issue = desk.sign(Order(request, profile, renews=serial), moment(at), before.profile)
    desk.record([issue])
    return issue.certificate


def rekey(
    desk: Issuance,
    serials: Sequence[int],
    *,
    algorithm: str,
    at: datetime | None,
    lifetime_days: int,
    keep: bool | None,
    stage: Stage | None = None,
) -> smime.Identity:
    """Make new keys for the same names, all recorded in one commit. Raises ``RequestRefused``."""
    made: list[tuple[keys.AnyKey, x509.Certificate]] = []
    issues, when = [], moment(at)
    for serial in serials:
        before = find(desk.ledger, serial)
        profile = desk.profile(before.profile).lasting(lifetime_days)
        key = keys.generate(algorithm or _algorithm_of(before.certificate))
        request = CertificationRequest(key.public_key(), before.addresses, _name_in(before))
        issue = desk.sign(Order(request, profile, renews=serial), when, before.profile)
        issues.append(issue)
        made.append((key, issue.certificate))
    return desk.hand_over(made, issues, keep, stage)


def find(ledger: Ledger, serial: int) -> Record:
    """Give what the ledger has of one certificate. Raises ``RequestRefused``."""
    found = ledger.find(serial=serial)
    if not found:
        raise RequestRefused(
            f"no certificate with the serial number {serial:x} was given out here",
            hint="`smimetool ca list` shows those that were",
        )
    return found[0]


def due(ledger: Ledger, now: datetime, until: datetime) -> Iterator[Record]:
    """Give valid users' certificates that end before ``until``.

    What is revoked or renewed already is left out, and what machines make anew.
    """
    found = ending(ledger, now, until, due=True)
    return (record for record in found if record.profile != "ocsp-responder")


def ending(
    ledger: Ledger, now: datetime, until: datetime | None = None, *, due: bool = False
) -> Iterator[Record]:
    """Give the certificates that end from ``now`` on, and before ``until``."""
    wanted = Wanted(ending_after=now, ending_before=until, due=due)
    after: str | None = ""
    while after is not None:
        page, after = ledger.listed(wanted, now=now, after=after, limit=_PAGE)
        yield from page


def _name_in(record: Record) -> str:
    """Give the person's name from a certificate, empty if its subject is an address."""
    names = record.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    return "" if name in record.addresses else name


def _algorithm_of(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa{max(2048, min(key.key_size, 4096) // 1024 * 1024)}"
    return keys.key_name(key)
