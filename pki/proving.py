"""Certificates that count when their holder has shown the private key, and not before.

For keys that cannot sign a request: X25519, X448, ML-KEM. The certificate is recorded and
put on hold by one commit, and leaves sealed to its own key alone (``pki.challenge``). The
answer that was sealed with it takes it off hold.

Floor:  proving (uses issuance and challenge)
Source: RFC 4211 §5.2.8.3, RFC 6955 §1
"""

from __future__ import annotations

import hmac
from typing import TYPE_CHECKING

from pki import challenge, crl, renewal
from pki.authority import moment
from pki.errors import RequestRefused
from pki.facts import HOLD, RELEASED
from pki.orders import Known, Order

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography import x509

    from pki.challenge import Challenge
    from pki.issuance import Issuance
    from pki.ledger import Ledger, Writing
    from pki.profiles import Profile
    from pki.requests import CertificationRequest

__all__ = ["ask", "take"]


def ask(
    desk: Issuance,
    request: CertificationRequest,
    *,
    profile: str | Profile,
    at: datetime | None,
    lifetime_days: int | None,
    stage: Callable[[Challenge], object] | None,
) -> Challenge:
    """Certify a key, record it on hold, seal the certificate to it (``Registrar.challenge``)."""
    when = moment(at)
    chosen = desk.profile(profile)
    if not chosen.reads:
        raise RequestRefused(
            "a key that only signs opens no challenge", hint="its holder signs the request: a CSR"
        )
    if lifetime_days is not None:
        chosen = chosen.lasting(lifetime_days)
    order, key_hash = Order(request, chosen), request.key_id
    _refuse_others(desk.ledger.ask(lambda asked: Known(asked, [], [key_hash])), order, key_hash)
    issue = desk.sign(order, when, desk.profile_name(profile), chosen)
    made = challenge.make(issue.certificate, desk.authority.chain)
    if stage is not None:
        stage(made)
    serial = made.serial
    on_hold = [(serial, HOLD, crl.entry(serial, at=when, reason=HOLD))]

    def write(log: Writing) -> None:
        _refuse_others(Known(log.connection, [], [key_hash]), order, key_hash)
        now = moment(None)
        log.record([issue], desk.issuer, at=now)
        log.revoke(on_hold, revoked_at=when, at=now)
        log.challenge(serial, made.expected, at=now)

    desk.ledger.write(write)
    return made


def _refuse_others(known: Known, order: Order, key_hash: bytes) -> None:
    found = known.outcome(order, key_hash)
    if found is not None and found.refused is not None:
        raise found.refused


def take(
    ledger: Ledger, serial: int, answer: str, *, at: datetime | None = None
) -> x509.Certificate:
    """Take a certificate off hold, if this is the answer to its challenge: no key is needed.

    Once more, with the same answer, it gives the certificate again. Raises ``RequestRefused``.
    """
    when = moment(at)
    digest = challenge.digest_of(answer)
    record = renewal.find(ledger, serial)
    waiting = ledger.challenge(serial)
    if waiting is None:
        raise RequestRefused(f"the certificate {serial:x} waits for no answer")
    if not hmac.compare_digest(waiting[0], digest):
        raise RequestRefused(
            f"this is not the answer to the challenge of {serial:x}",
            hint="its holder opens the challenge with the private key: `ca challenge open`",
        )
    released = [(serial, RELEASED, crl.entry(serial, at=when, reason=RELEASED))]

    def write(log: Writing) -> None:
        if not log.waits(serial):
            return
        log.revoke(released, revoked_at=when, at=moment(None))
        log.answered(serial, digest, at=moment(None))

    ledger.write(write)
    return record.certificate
