"""Whose word counts for a key that cannot sign: a certified key of the same person.

Floor:  vouching (uses issuance)
Source: RFC 9883 §2 and §5
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography import x509

from pki.certificate import subject_of
from pki.errors import RequestRefused

if TYPE_CHECKING:
    from datetime import datetime

    from pki.issuance import Issuance
    from pki.requests import CertificationRequest, Find

__all__ = ["check", "finder"]


def finder(desk: Issuance) -> Find:
    """Give what finds the certificate that a request names, among those given out here."""
    own = subject_of(desk.authority.certificate.tbs_certificate_bytes)

    def find(issuer_der: bytes, serial: int) -> x509.Certificate | None:
        if issuer_der != own or not 0 < serial < 1 << 159:
            return None
        found = desk.ledger.find(serial=serial)
        return found[0].certificate if found else None

    return find


def check(desk: Issuance, request: CertificationRequest, *, at: datetime) -> None:
    """See that the certificate which vouches is good, signs, and is of the same person.

    It is one only if it holds every address that the new one shall hold. A request that
    proves its own key needs nobody's word.

    Raises ``RequestRefused``.
    """
    if request.stated_by is None:
        return
    record = desk.ledger.find(serial=request.stated_by.serial_number)[0]
    state = record.state(at)
    if state != "valid":
        raise RequestRefused(f"the certificate that vouches for the key is {state}")
    usage = record.certificate.extensions.get_extension_for_class(x509.KeyUsage).value
    if not usage.digital_signature:
        raise RequestRefused("the certificate that vouches for the key does not sign")
    held = {address.lower() for address in record.addresses}
    foreign = [one for one in request.addresses if one.lower() not in held]
    if foreign or not request.addresses or request.hosts:
        who = foreign[0] if foreign else "a name that is no mail address"
        raise RequestRefused(
            f"the certificate that vouches for the key is not one for {who!a}",
            hint="sign the request with a certified key of the same person",
        )
