"""What readers ask of a certificate's revocation: signed lists, and answers to OCSP requests.

Floor:  status (uses issuance, crl, ocsp)
Source: RFC 5280 §5 for the lists, RFC 6960 §4.2.2.2 for who may answer
"""

from __future__ import annotations

import hashlib
from functools import partial
from typing import TYPE_CHECKING

from pki import crl, keys
from pki.authority import moment
from pki.errors import RequestRefused
from pki.facts import CrlRecord
from pki.ocsp import Responder
from pki.orders import Order
from pki.profiles import Profile
from pki.requests import CertificationRequest
from pki.signing import Signing

if TYPE_CHECKING:
    from datetime import datetime, timedelta

    from pki.issuance import Issuance
    from pki.ledger import Writing

__all__ = ["Lists", "responder"]


class Lists:
    """The revocation lists of one issuing CA."""

    __slots__ = ("_desk", "_signing")

    def __init__(self, desk: Issuance) -> None:
        self._desk = desk
        self._signing = Signing(desk.authority.private_key)

    def crl(self, scope: str, delta: bool, at: datetime | None, lifetime: timedelta) -> bytes:
        """Sign a list and record it (``Registrar.crl``). Raises ``RequestRefused``."""
        when = moment(at)
        if scope and scope not in self.scopes():
            raise RequestRefused(f"no certificates belong to the list {scope!r}")
        with self._desk.ledger.writing() as log:
            return self._crl(log, scope, delta, when, when + lifetime)

    def _crl(self, log: Writing, scope: str, delta: bool, when: datetime, until: datetime) -> bytes:
        issuer, records = self._desk.issuer, self._desk.records
        base = log.last_crl(issuer, scope) if delta else None
        if delta and base is None:
            raise RequestRefused(
                "a delta needs a full list first", hint="`smimetool ca crl` makes one"
            )
        # The second it was made: higher than any before it, though the ledger forgot some.
        number = max(log.last_crl_number(issuer) + 1, int(when.timestamp()))
        form = crl.Form(
            number,
            when,
            until,
            base=None if base is None else base.number,
            point=records.url(records.crl_url, scope) if scope else "",
            freshest=""
            if delta or not records.delta_url
            else records.url(records.delta_url, scope),
        )
        entries = log.revoked_entries(issuer, scope or None, None if base is None else base.covers)
        covers = log.number
        made = crl.build(self._signing, self._desk.authority.certificate, entries, form)
        digest = hashlib.sha256(made).digest()
        log.crl(issuer, scope, CrlRecord(number, form.base, when, until, covers, digest))
        return made

    def due(self, scope: str, at: datetime | None, published: bytes | None = None) -> bool:
        """Tell whether a new full list is called for (``Registrar.crl_due``)."""
        when, issuer = moment(at), self._desk.issuer
        with self._desk.ledger.writing() as log:
            last = log.last_crl(issuer, scope)
            changed = log.last_change(issuer, scope or None)
        if last is None or changed > last.covers:
            return True
        if published is not None and hashlib.sha256(published).digest() != last.sha256:
            return True
        return when >= last.this_update + (last.next_update - last.this_update) / 2

    def scopes(self) -> tuple[str, ...]:
        """Name the lists that certificates point to; one without a name covers all."""
        return self._desk.records.scopes(self._desk.ledger)


def responder(desk: Issuance, *, at: datetime | None = None) -> Responder:
    """Make a key and a certificate that answer OCSP requests for the CA; it is recorded."""
    when = moment(at)
    key = keys.generate("p256")
    request = CertificationRequest(key.public_key(), name=f"{desk.records.name} OCSP")
    profile = Profile.named("ocsp-responder")
    issue = desk.sign(Order(request, profile), when, "ocsp-responder")
    desk.record([issue])
    statuses = partial(desk.ledger.statuses, issuer=desk.issuer)
    return Responder(key, issue.certificate, desk.authority.certificate, statuses)
