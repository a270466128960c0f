"""SIGNED structures written by hand: the part to sign, its algorithm, the signature.

``cryptography`` builds certificates; a CRL of a million entries and an OCSP answer
in thirty microseconds are joined from octets here, and only signed by it.

Floor:  signing (uses keys)
Source: RFC 5280 §4.1.1, RFC 5758 §3.2, RFC 4055 §5, RFC 8410 §3, RFC 9881 §2
"""

from __future__ import annotations

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from pki import keys
from smime.cms import der

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from datetime import datetime

__all__ = ["Signing", "authority_key_id", "extension", "generalized_time", "key_bits"]

_ECDSA = {"sha256": "1.2.840.10045.4.3.2", "sha384": "1.2.840.10045.4.3.3"} | {
    "sha512": "1.2.840.10045.4.3.4"
}
_RSA = {"sha256": "1.2.840.113549.1.1.11", "sha384": "1.2.840.113549.1.1.12"} | {
    "sha512": "1.2.840.113549.1.1.13"
}


class Signing:
    """A CA's key, ready to sign what was written as DER."""

    __slots__ = ("_key", "_scheme", "algorithm")

    algorithm: bytes
    """The AlgorithmIdentifier, as DER."""

    def __init__(self, key: keys.Key) -> None:
        self._key = key
        digest = keys.hash_for(key)
        if isinstance(key, rsa.RSAPrivateKey):
            self._scheme: tuple[object, ...] = (padding.PKCS1v15(), digest)
            self.algorithm = der.sequence(der.oid(_RSA[digest.name]), der.NULL)
        else:
            self._scheme = (ec.ECDSA(digest),)
            self.algorithm = der.sequence(der.oid(_ECDSA[digest.name]))

    def sign(self, data: bytes) -> bytes:
        """Give the signature over ``data``."""
        return self._key.sign(data, *self._scheme)  # type: ignore[arg-type]

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


def key_bits(certificate: x509.Certificate) -> bytes:
    """Give the octets of the BIT STRING subjectPublicKey, which OCSP hashes."""
    spki = certificate.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    _, _, at, end = der.children(spki, der.top(spki))[1]
    return spki[at + 1 : end]  # the first octet counts unused bits: none


def generalized_time(at: datetime) -> bytes:
    """Write a GeneralizedTime to the second."""
    return b"\x18\x0f" + at.strftime("%Y%m%d%H%M%SZ").encode()
