"""SIGNED structures written by hand: the part to sign, its algorithm, the signature.

``cryptography`` builds certificates; a CRL of a million entries and an OCSP answer
in thirty microseconds are joined from octets here, and only signed by it.

Floor:  signing (uses keys)
Source: RFC 5280 §4.1.1
"""

from __future__ import annotations

from cryptography import x509

from pki import keys
from smime.cms import der

__all__ = ["Signing", "authority_key_id", "extension"]


class Signing:
    """A CA's key, ready to sign what was written as DER."""

    __slots__ = ("algorithm", "key", "sign")

    key: keys.Key
    algorithm: bytes
    """The AlgorithmIdentifier, as DER."""

    def __init__(self, key: keys.Key) -> None:
        self.key = key
        self.sign = keys.signer(key)
        self.algorithm = keys.signature_algorithm(key)

    def signed(self, tbs: bytes) -> bytes:
        """Give SEQUENCE { tbs, algorithm, BIT STRING signature }."""
        signature = self.sign(tbs)
        end = b"%b%b\0%b" % (self.algorithm, der.head(0x03, len(signature) + 1), signature)
        # Joined once: a CRL can have 50 MB.
        return b"".join((der.head(der.SEQUENCE, len(tbs) + len(end)), tbs, end))


def extension(oid: x509.ObjectIdentifier, value: bytes, *, critical: bool = False) -> bytes:
    """Write an Extension around its value's DER."""
    flag = b"\x01\x01\xff" if critical else b""
    return der.sequence(der.oid(oid.dotted_string), flag, der.octet_string(value))


def authority_key_id(certificate: x509.Certificate) -> bytes:
    """Give the value of an authorityKeyIdentifier that points to this CA."""
    try:
        own = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier).value
    except x509.ExtensionNotFound:
        own = x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
    return der.sequence(der.tlv(0x80, own.digest))
