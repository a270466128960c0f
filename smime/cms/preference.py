"""Which certificate a signer wants to be written to.

Floor:  cms (uses errors)
Source: RFC 8551 §2.5.3 for SMIMEEncryptionKeyPreference; Microsoft's variant
        (1.3.6.1.4.1.311.16.4) holds the IssuerAndSerialNumber alone
"""

from __future__ import annotations

from smime.cms.attributes import attribute
from smime.cms.der import children, oid, top
from smime.cms.names import issuer_and_serial, key_identifiers

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography import x509

    from smime.cms.attributes import Attributes

__all__ = ["prefers", "write_preference"]

PREFERENCE = "1.2.840.113549.1.9.16.2.11"
_PREFERENCE = oid(PREFERENCE)
_MICROSOFT = oid("1.3.6.1.4.1.311.16.4")


def write_preference(cert_der: bytes) -> bytes:
    """Return the attribute that names this certificate, as DER."""
    return attribute(PREFERENCE, b"\xa0" + issuer_and_serial(cert_der)[1:])


def prefers(attributes: Attributes, certificate: x509.Certificate) -> bool | None:
    """Say whether the signed attributes name this certificate; None if they name none."""
    from cryptography.hazmat.primitives.serialization import Encoding

    value = attributes.single(_PREFERENCE)
    microsoft = attributes.single(_MICROSOFT)
    named = b"\x30" + value[1:] if value and value[0] == 0xA0 else microsoft
    if named and named[0] == 0x30:
        return named == issuer_and_serial(certificate.public_bytes(Encoding.DER))
    if not value or value[0] not in (0xA1, 0x82):
        return None
    node = top(value)
    if value[0] == 0xA1:  # RecipientKeyIdentifier: the identifier stands first
        parts = children(value, node)
        if not parts:
            return None
        node = parts[0]
    return value[node[2] : node[3]] in key_identifiers(certificate)
