"""Revoking and releasing: entries for the ledger and the next CRL, without any key.

Floor:  revocation (uses ledger and crl)
Source: RFC 5280 §5.3.1
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from pki import crl
from pki.authority import moment
from pki.errors import RequestRefused
from pki.facts import REASONS, RELEASED

if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pki.ledger import Ledger

__all__ = ["release", "revoke"]


def revoke(
    ledger: Ledger, serials: Iterable[int], *, reason: str, at: datetime | None = None
) -> None:
    """Revoke certificates as of ``at`` (now), all or none. Raises ``RequestRefused``."""
    if reason not in REASONS:
        raise RequestRefused(
            f"{reason!r} is no reason to revoke", hint=f"there are {', '.join(REASONS)}"
        )
    _change(ledger, serials, REASONS[reason], at)


def release(ledger: Ledger, serials: Iterable[int], *, at: datetime | None = None) -> None:
    """Let certificates count again that were on hold.

    Raises ``RequestRefused``, also for one that waits for the answer to a challenge.
    """
    _change(ledger, serials, RELEASED, at)


def _change(ledger: Ledger, serials: Iterable[int], reason: int, at: datetime | None) -> None:
    when = moment(at)
    changes = [(serial, reason, crl.entry(serial, at=when, reason=reason)) for serial in serials]
    with ledger.writing() as log:
        for serial, _, _ in changes:
            if reason == RELEASED and log.waits(serial):
                raise RequestRefused(
                    f"the certificate {serial:x} waits for the answer to its challenge",
                    hint="`smimetool ca challenge answer`",
                )
        log.revoke(changes, revoked_at=when, at=moment(None))
