"""A time-stamp authority (RFC 3161), good or bad in any way a test wants."""

from __future__ import annotations

from base64 import b64decode, encodebytes
from datetime import datetime
from typing import TYPE_CHECKING, Any

from asn1crypto import tsp
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID

import smime
from smime import cms
from smime.cms.der import integer, oid, sequence, tlv
from tests.trust.ca import BEGIN, Entity, key_usage, make

if TYPE_CHECKING:
    from collections.abc import Sequence

STAMPING = ExtendedKeyUsageOID.TIME_STAMPING
TST_INFO = "1.2.840.113549.1.9.16.1.4"


def authority(
    issuer: Entity, *, purposes: Sequence[Any] = (STAMPING,), critical: bool = True, **knobs: Any
) -> Entity:
    """A certificate for time stamps; without ``purposes`` it has no extended key usage."""
    given = ((x509.ExtendedKeyUsage(purposes), critical),) if purposes else ()
    usage = key_usage(digital_signature=True)
    return make("Time Stamps", issuer, **{"usage": usage, "extensions": given, **knobs})


def token_for(
    query: bytes,
    by: Entity,
    at: datetime,
    *,
    naming: bool = True,
    accuracy: bytes = b"",
    version: int = 1,
    extensions: bytes = b"",
) -> bytes:
    """Answer a query: a token of this time over what was asked for."""
    info = sequence(
        integer(version),
        oid("1.2.3.4.5"),
        tsp.TimeStampReq.load(query)["message_imprint"].dump(),
        integer(77),
        tlv(0x18, f"{at:%Y%m%d%H%M%S}Z".encode()),
        accuracy,
        extensions,
    )
    # Signed while its certificate is valid: an old key of a thief signs as well.
    return cms.sign(
        info,
        by=smime.Identity(by.key, by.certificate),
        content_type=TST_INFO,
        policy=smime.Policy.modern().replace(cades=naming),
        at=max(BEGIN, by.certificate.not_valid_before_utc),
    )


def stamped(blob: bytes, by: Entity, at: datetime, **how: Any) -> bytes:
    """Return a signed blob with a time stamp on its first signature."""
    token = token_for(cms.timestamp_query(blob), by, at, **how)
    return cms.attach(blob, timestamp=token)


def stamped_mail(mail: bytes, by: Entity, at: datetime, **how: Any) -> bytes:
    """Return an opaque signed mail with a time stamp on its signature."""
    head, gap, body = mail.partition(b"\r\n\r\n")
    blob = stamped(b64decode(body), by, at, **how)
    return head + gap + encodebytes(blob).replace(b"\n", b"\r\n")
