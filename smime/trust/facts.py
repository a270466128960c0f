"""What a certificate says, read once, and which key signed it.

Facts are what is true of the bytes whatever the day, the policy and the
anchors: parsed extensions, and "the signature of X verifies under the key of
Y". Only these are kept between calls; verdicts never are.

Floor:  trust
Source: RFC 5280 §4.1, §4.2, and §7.1 for comparing names
"""

from __future__ import annotations

import threading
import unicodedata
from collections import OrderedDict
from functools import cached_property
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

__all__ = ["UNREADABLE", "Cache", "Facts", "common_name", "name_key"]

# All that the parser raises on structures made to trouble it; not one family.
UNREADABLE = (
    ValueError,
    TypeError,
    UnsupportedAlgorithm,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
    Warning,  # in programs that turn warnings into errors
)

MAX_CACHED_FACTS = 1000  # some 20 MB at most; a mail server sees fewer CAs than that

# What the ordinary certificate carries and the quick way understands whole.
_PLAIN = {
    ExtensionOID.BASIC_CONSTRAINTS,
    ExtensionOID.KEY_USAGE,
    ExtensionOID.EXTENDED_KEY_USAGE,
    ExtensionOID.SUBJECT_KEY_IDENTIFIER,
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER,
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME,
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS,
    ExtensionOID.CRL_DISTRIBUTION_POINTS,
    ExtensionOID.CERTIFICATE_POLICIES,
}
# Critical ones that RFC 5280 §6 or the judge acts upon. What else is critical
# makes a certificate unusable (RFC 5280 §4.2).
_UNDERSTOOD = _PLAIN | {
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.FRESHEST_CRL,
    ExtensionOID.OCSP_NO_CHECK,
}


_NO_REVOCATION_AVAILABLE = x509.ObjectIdentifier("2.5.29.56")

_KEYS_WITHOUT_PARAMETERS = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)


class Facts:
    """One certificate and what it says; ``problem`` is set if it cannot be read."""

    def __init__(self, certificate: x509.Certificate) -> None:
        self.certificate = certificate
        self.digest = certificate.fingerprint(SHA256())
        """SHA-256 of the whole certificate."""
        self.problem = ""
        self.unknown_critical = ""
        """OID of a critical extension that is unknown here (RFC 5280 §4.2)."""
        self.no_revocation = False
        """Its issuer will never revoke it (RFC 9608)."""
        self.ocsp_no_check = False
        self.validity: tuple[datetime, datetime] | None = None
        """Not before and not after, both included; None if they cannot be read."""
        self.version = x509.Version.v3
        self.ca: bool | None = None
        """What basicConstraints says; None without that extension."""
        self.subject: tuple[object, ...] = ()
        """Normalised: equal for names that RFC 5280 §7.1 calls equal."""
        self.issuer: tuple[object, ...] = ()
        self.path_length: int | None = None
        self.key_usage: x509.KeyUsage | None = None
        self.purposes: frozenset[str] | None = None
        """Dotted OIDs of the extended key usage; None without that extension."""
        self.key_identifier: bytes | None = None
        self.issuer_key_identifier: bytes | None = None
        self.alternative_names: x509.SubjectAlternativeName | None = None
        self.name_constraints: x509.NameConstraints | None = None
        self.plain = False
        """Version 3, and every extension is one of the ordinary ones."""
        try:
            self.validity = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
            self.version = certificate.version
            self._read_extensions()
            self.subject = name_key(certificate.subject)
            self.issuer = name_key(certificate.issuer)
        except UNREADABLE as error:
            self.problem = f"it breaks the rules of X.509 ({error})"
        try:
            self.public_key: CertificatePublicKeyTypes | None = certificate.public_key()
        except UNREADABLE:
            self.public_key = None

    def _read_extensions(self) -> None:
        plain = self.version is x509.Version.v3
        # `type() is` and not isinstance: the classes are abstract, which costs 0.4 us each.
        for extension in self.certificate.extensions:
            oid, value = extension.oid, extension.value
            if oid not in _PLAIN:
                plain = False
                if extension.critical and oid not in _UNDERSTOOD:
                    self.unknown_critical = oid.dotted_string
                if oid == _NO_REVOCATION_AVAILABLE:
                    self.no_revocation = True
            if type(value) is x509.OCSPNoCheck:
                self.ocsp_no_check = True
            elif type(value) is x509.BasicConstraints:
                self.ca, self.path_length = value.ca, value.path_length
            elif type(value) is x509.KeyUsage:
                self.key_usage = value
            elif type(value) is x509.ExtendedKeyUsage:
                self.purposes = frozenset(purpose.dotted_string for purpose in value)
            elif type(value) is x509.SubjectKeyIdentifier:
                self.key_identifier = value.digest
            elif type(value) is x509.AuthorityKeyIdentifier:
                self.issuer_key_identifier = value.key_identifier
            elif type(value) is x509.SubjectAlternativeName:
                self.alternative_names = value
            elif type(value) is x509.NameConstraints:
                self.name_constraints = value
        self.plain = plain

    @cached_property
    def der(self) -> bytes:
        return self.certificate.public_bytes(Encoding.DER)

    @cached_property
    def key_der(self) -> bytes:
        """The public key as a SubjectPublicKeyInfo; empty for a kind unknown here."""
        if self.public_key is None:
            return b""
        return self.public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)

    @property
    def verifies_without_digest(self) -> bool:
        """The key takes the data itself: EdDSA and ML-DSA."""
        return isinstance(self.public_key, _KEYS_WITHOUT_PARAMETERS)

    @property
    def unusable(self) -> str:
        """Why nobody can rely on the certificate, whatever stands above it; else empty."""
        if self.unknown_critical:
            return f"it has a critical extension that is unknown here ({self.unknown_critical})"
        return self.problem

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer

    @cached_property
    def label(self) -> str:
        """How a person calls it: the common name, else the whole subject."""
        return common_name(self.certificate)

    @cached_property
    def signature_digest(self) -> str | None:
        """The digest under the issuer's signature; empty if it has none of its own (Ed25519).

        None for an algorithm unknown here.
        """
        try:
            digest = self.certificate.signature_hash_algorithm
        except UNREADABLE:
            return None
        return "" if digest is None else digest.name

    @property
    def may_certify(self) -> bool:
        """It may sign certificates (RFC 5280 §4.2.1.3, §4.2.1.9), as far as itself says.

        Version 1 has no extensions; such a certificate signs others only if the
        user made it an anchor: in the middle of a path the engine refuses it.
        """
        if self.key_usage is not None and not self.key_usage.key_cert_sign:
            return False
        return self.ca is True or (self.ca is None and self.version is x509.Version.v1)


def name_key(name: x509.Name) -> tuple[object, ...]:
    """Return a name in a form that is equal for names that are equal.

    String types are ignored, letters compared without case, runs of blanks are
    one (RFC 5280 §7.1, RFC 4518 in short).
    """
    return tuple(
        frozenset((attribute.oid.dotted_string, _fold(attribute.value)) for attribute in rdn)
        for rdn in name.rdns
    )


def _fold(value: str | bytes) -> str | bytes:
    if isinstance(value, bytes):
        return value
    if not value.isascii():
        value = unicodedata.normalize("NFKC", value)
    return " ".join(value.casefold().split())


def common_name(certificate: x509.Certificate) -> str:
    """Return the common name, else the whole subject, else the beginning of the fingerprint."""
    try:
        subject = certificate.subject
        names = subject.get_attributes_for_oid(x509.NameOID.COMMON_NAME)
        text = str(names[-1].value) if names else subject.rfc4514_string()
    except UNREADABLE:
        text = ""
    return text or f"certificate {certificate.fingerprint(SHA256()).hex()[:16]}"


class Cache:
    """A bounded store of facts, the least recently used dropped first; thread-safe."""

    def __init__(self, size: int = MAX_CACHED_FACTS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[bytes, Any] = OrderedDict()

    def __len__(self) -> int:
        return len(self._kept)

    def facts(self, certificate: x509.Certificate) -> Facts:
        """Return what the certificate says, read now or before."""
        key = certificate.fingerprint(SHA256())
        known = self._get(key)
        if known is None:
            known = Facts(certificate)
            self._put(key, known)
        assert isinstance(known, Facts)
        return known

    def signed_by(self, child: Facts, parent: Facts) -> str:
        """Say whether the parent's key made the child's signature.

        ``exact``: it did, the parent's subject is the child's issuer byte for
        byte, and the child names one signature algorithm in both places.
        ``loose``: it did. Empty: it did not.
        """
        key = child.digest + parent.digest
        known = self._get(key)
        if known is None:
            known = _verify(child, parent)
            # A "no" is not kept: whoever sends junk would push out what is used.
            if known:
                self._put(key, known)
        return str(known)

    def _get(self, key: bytes) -> Any:
        with self._lock:
            known = self._kept.get(key)
            if known is not None:
                self._kept.move_to_end(key)
            return known

    def _put(self, key: bytes, value: Any) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)


def _verify(child: Facts, parent: Facts) -> str:
    try:
        child.certificate.verify_directly_issued_by(parent.certificate)
    except InvalidSignature:
        return ""
    except UNREADABLE:
        # Names that differ in their bytes, or kinds of keys it does not know.
        pass
    else:
        return "exact"
    try:
        _verify_by_key(child.certificate, parent.public_key)
    except (InvalidSignature, *UNREADABLE):
        return ""
    return "loose"


def _verify_by_key(child: x509.Certificate, key: CertificatePublicKeyTypes | None) -> None:
    signature, signed = child.signature, child.tbs_certificate_bytes
    how = child.signature_algorithm_parameters
    if child.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_MD5:
        how = padding.PKCS1v15()  # the library names no parameters for it
    elif child.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA1:
        # None for this either; whether SHA-1 will do is the policy's to say.
        how = ec.ECDSA(SHA1())  # noqa: S303
    if isinstance(key, rsa.RSAPublicKey) and isinstance(how, (padding.PKCS1v15, padding.PSS)):
        digest = child.signature_hash_algorithm
        if digest is None:
            raise InvalidSignature
        key.verify(signature, signed, how, digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
        key.verify(signature, signed, how)
    elif isinstance(key, dsa.DSAPublicKey) and child.signature_hash_algorithm is not None:
        key.verify(signature, signed, child.signature_hash_algorithm)
    elif how is None and isinstance(key, _KEYS_WITHOUT_PARAMETERS):
        key.verify(signature, signed)
    else:
        raise InvalidSignature
