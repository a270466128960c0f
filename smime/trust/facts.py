"""What a certificate says, read once, and which key signed it.

Facts are what is true of the bytes whatever the day, the policy and the
anchors: parsed extensions, and "the signature of X verifies under the key of
Y". Only these are kept between calls; verdicts never are.

Floor:  trust (uses errors, report, names, keys.address, cms)
Source: RFC 5280 §4.1, §4.2, and §7.1 for comparing names
"""

from __future__ import annotations

import hashlib
import threading
from collections import OrderedDict
from typing import TYPE_CHECKING, Any, Generic, TypeVar

from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, padding, rsa
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID, SignatureAlgorithmOID

from smime.cms.der import children, top
from smime.cms.signerinfo import parse_certificate
from smime.errors import MalformedMail
from smime.keys.address import addresses_in, certificate_addresses
from smime.report import Finding
from smime.trust.names import name_key, spoken_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from cryptography.hazmat.primitives.asymmetric.types import CertificatePublicKeyTypes

    from smime.trust.crl import RevocationList
    from smime.trust.names import NameKey

__all__ = ["UNREADABLE", "Cache", "Facts", "Lazy", "signature_holds"]

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

MAX_CACHED_NAMES = 1000  # of some hundred octets each
MAX_CACHED_FACTS = 1000  # some 20 MB at most; a mail server sees fewer CAs than that

# Critical ones that RFC 5280 §6 or the judge acts upon, beside the plain ones. What
# else is critical makes a certificate unusable (RFC 5280 §4.2).
_UNDERSTOOD = {
    ExtensionOID.NAME_CONSTRAINTS,
    ExtensionOID.POLICY_CONSTRAINTS,
    ExtensionOID.POLICY_MAPPINGS,
    ExtensionOID.INHIBIT_ANY_POLICY,
    ExtensionOID.FRESHEST_CRL,
    ExtensionOID.OCSP_NO_CHECK,
}
# What the ordinary certificate carries and the quick way understands whole, and
# where its value is kept.
_PLAIN: dict[type, str] = {
    x509.BasicConstraints: "_basic_constraints",
    x509.KeyUsage: "key_usage",
    x509.ExtendedKeyUsage: "_extended_key_usage",
    x509.SubjectKeyIdentifier: "_subject_key_identifier",
    x509.AuthorityKeyIdentifier: "_authority_key_identifier",
    x509.SubjectAlternativeName: "alternative_names",
    x509.AuthorityInformationAccess: "information_access",
    x509.CRLDistributionPoints: "distribution_points",
    x509.CertificatePolicies: "_policies",
}

# Of a mail user's certificate; no part of its validity (RFC 4262).
_SMIME_CAPABILITIES = x509.ObjectIdentifier("1.2.840.113549.1.9.15")
_NO_REVOCATION_AVAILABLE = x509.ObjectIdentifier("2.5.29.56")

_KEYS_WITHOUT_PARAMETERS = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)


_T = TypeVar("_T")


class Lazy(Generic[_T]):
    """Worked out at the first look, then kept.

    Before Python 3.12 ``functools.cached_property`` takes a lock each time; here
    two threads may both work it out, and find the same.
    """

    def __init__(self, make: Callable[[Any], _T]) -> None:
        self._make = make
        self._name = make.__name__

    def __get__(self, one: Any, kind: object) -> _T:
        value = one.__dict__[self._name] = self._make(one)
        return value


class Facts:
    """One certificate and what it says; ``problem`` is set if it cannot be read."""

    problem = ""
    unknown_critical = ""
    """OID of a critical extension that is unknown here (RFC 5280 §4.2)."""
    no_revocation = False
    """Its issuer will never revoke it (RFC 9608)."""
    ocsp_no_check = False
    validity: tuple[datetime, datetime] | None = None
    """Not before and not after, both included; None if they cannot be read."""
    version = x509.Version.v3
    subject: NameKey = ()
    """Normalised: equal for names that RFC 5280 §7.1 calls equal."""
    issuer: NameKey = ()
    subject_der = issuer_der = b""
    key_der = b""
    """The public key as a SubjectPublicKeyInfo, as it stands."""
    signed = b""
    """The octets under the signature."""
    one_algorithm = False
    """It names the same signature algorithm in both places (RFC 5280 §4.1.1.2)."""
    key_usage: x509.KeyUsage | None = None
    alternative_names: x509.SubjectAlternativeName | None = None
    name_constraints: x509.NameConstraints | None = None
    distribution_points: x509.CRLDistributionPoints | None = None
    information_access: x509.AuthorityInformationAccess | None = None
    plain = False
    """Version 3, and every extension is one of the ordinary ones."""
    public_key: CertificatePublicKeyTypes | None = None
    _basic_constraints: x509.BasicConstraints | None = None
    _extended_key_usage: x509.ExtendedKeyUsage | None = None
    _subject_key_identifier: x509.SubjectKeyIdentifier | None = None
    _authority_key_identifier: x509.AuthorityKeyIdentifier | None = None

    def __init__(
        self,
        certificate: x509.Certificate,
        name_of: Callable[[bytes], NameKey] = name_key,
        der: bytes | None = None,
    ) -> None:
        self.certificate = certificate
        if der is None:
            der = certificate.public_bytes(Encoding.DER)
        self.der = der
        self.digest = hashlib.sha256(der).digest()
        """SHA-256 of the whole certificate."""
        try:
            self.validity = (certificate.not_valid_before_utc, certificate.not_valid_after_utc)
            self.version = certificate.version
            self._read_layout(der, name_of)
            self._read_extensions()
        except (*UNREADABLE, MalformedMail, IndexError) as error:
            self.problem = f"it breaks the rules of X.509 ({error})"
        try:
            self.public_key = certificate.public_key()
        except UNREADABLE:
            self.public_key = None  # a kind of key that is unknown here

    def _read_layout(self, der: bytes, name_of: Callable[[bytes], NameKey]) -> None:
        """Find the parts by position; the library has read the structure strictly before."""
        tbs = top(der, top(der)[2])
        algorithm = top(der, tbs[3])
        fields = children(der, tbs)
        _, inner, issuer, _, subject, key = fields[1:7] if fields[0][0] == 0xA0 else fields[:6]
        self.signed = der[tbs[1] : tbs[3]]
        self.one_algorithm = der[inner[1] : inner[3]] == der[algorithm[1] : algorithm[3]]
        self.issuer_der = der[issuer[1] : issuer[3]]
        self.subject_der = der[subject[1] : subject[3]]
        self.key_der = der[key[1] : key[3]]
        self.issuer = name_of(self.issuer_der)
        self.subject = name_of(self.subject_der)

    def _read_extensions(self) -> None:
        plain = self.version is x509.Version.v3
        # By type and not by OID or isinstance: those cost twice what the rest does.
        for extension in self.certificate.extensions:
            value = extension.value
            kind = type(value)
            kept = _PLAIN.get(kind)
            if kept is not None:
                setattr(self, kept, value)
                continue
            if extension.oid == _SMIME_CAPABILITIES and not extension.critical:
                continue
            plain = False
            if kind is x509.NameConstraints:
                self.name_constraints = value
            elif kind is x509.OCSPNoCheck:
                self.ocsp_no_check = True
            elif extension.oid == _NO_REVOCATION_AVAILABLE:
                self.no_revocation = True
            if extension.critical and extension.oid not in _UNDERSTOOD:
                self.unknown_critical = extension.oid.dotted_string
        self.plain = plain

    @Lazy
    def ca(self) -> bool | None:
        """What basicConstraints says; None without that extension."""
        return None if self._basic_constraints is None else self._basic_constraints.ca

    @Lazy
    def path_length(self) -> int | None:
        return None if self._basic_constraints is None else self._basic_constraints.path_length

    @Lazy
    def purposes(self) -> frozenset[str] | None:
        """Dotted OIDs of the extended key usage; None without that extension."""
        found = self._extended_key_usage
        return None if found is None else frozenset(one.dotted_string for one in found)

    @property
    def key_identifier(self) -> bytes | None:
        found = self._subject_key_identifier
        return None if found is None else found.digest

    @property
    def issuer_key_identifier(self) -> bytes | None:
        found = self._authority_key_identifier
        return None if found is None else found.key_identifier

    @Lazy
    def addresses(self) -> tuple[str, ...]:
        """The mail addresses it speaks for; none if it cannot be read whole."""
        if self.problem:
            return ()
        if self.alternative_names is not None:
            found = addresses_in(self.alternative_names)
            if found is not None:
                return found
        return certificate_addresses(self.certificate)

    @Lazy
    def dates(self) -> str:
        """Its validity in words."""
        assert self.validity is not None
        begin, end = self.validity
        return f"from {begin.date().isoformat()} to {end.date().isoformat()}"

    @property
    def verifies_without_digest(self) -> bool:
        """The key takes the data itself: EdDSA and ML-DSA."""
        return isinstance(self.public_key, _KEYS_WITHOUT_PARAMETERS)

    @Lazy
    def unusable(self) -> str:
        """Why nobody can rely on the certificate, whatever stands above it; else empty."""
        if self.unknown_critical:
            return f"it has a critical extension that is unknown here ({self.unknown_critical})"
        return self.problem

    @property
    def self_issued(self) -> bool:
        return self.subject == self.issuer

    @Lazy
    def label(self) -> str:
        """How a person calls it: the common name, else the whole subject."""
        return spoken_name(self.subject_der) or f"certificate {self.digest.hex()[:16]}"

    @Lazy
    def chain_words(self) -> str:
        return f"chain to {self.label}"

    @Lazy
    def in_time(self) -> Finding:
        """The finding for a moment within its dates; whether it is, is for others to say."""
        return Finding.yes(f"the certificate is valid {self.dates}", "RFC 5280 §4.1.2.5")

    @Lazy
    def naming(self) -> dict[str, Finding]:
        """The finding that it names an address, for each that it names."""
        return {
            name: Finding.yes(f"the certificate names {name}", "RFC 8550 §3")
            for name in self.addresses
        }

    @Lazy
    def strength(self) -> tuple[str, str | int]:
        """Kind and size of the key: ``rsa`` and bits, ``ec`` and curve; or what else it is."""
        key = self.public_key
        if isinstance(key, rsa.RSAPublicKey):
            return "rsa", key.key_size
        if isinstance(key, ec.EllipticCurvePublicKey):
            return "ec", key.curve.name
        if isinstance(key, _KEYS_WITHOUT_PARAMETERS):
            return "other", ""
        if isinstance(key, dsa.DSAPublicKey):
            return "dsa", "a DSA key"
        return "none", "a key of a kind unknown here"

    @Lazy
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


class _Near:
    """A certificate that was parsed here: while it is kept, no other object has its number."""

    __slots__ = ("certificate", "der", "facts")

    def __init__(self, certificate: x509.Certificate, der: bytes) -> None:
        self.certificate = certificate
        self.der = der
        self.facts: Facts | None = None


class Cache:
    """A bounded store of facts, the least recently used dropped first; thread-safe."""

    def __init__(self, size: int = MAX_CACHED_FACTS) -> None:
        self._size = size
        self._lock = threading.Lock()
        self._kept: OrderedDict[object, Any] = OrderedDict()
        self._names: dict[bytes, NameKey] = {}
        # Beside it, by what is at hand and quick to compare; emptied when full.
        self._parsed: dict[bytes, x509.Certificate] = {}
        self._near: dict[int, _Near] = {}

    def __len__(self) -> int:
        return len(self._kept)

    def facts(self, certificate: x509.Certificate) -> Facts:
        """Return what the certificate says, read now or before."""
        near = self._near.get(id(certificate))
        if near is None or near.certificate is not certificate:
            return self._facts(certificate, certificate.public_bytes(Encoding.DER))
        if near.facts is None:
            near.facts = self._facts(certificate, near.der)
        return near.facts

    def _facts(self, certificate: x509.Certificate, der: bytes) -> Facts:
        known: Facts | None = self._get(der)
        if known is None:
            known = Facts(certificate, self.name, der)
            self._put(der, known)
        return known

    def certificate(self, der: bytes) -> x509.Certificate | None:
        """Return a certificate, parsed now or before; None where a strict parser refuses it."""
        known = self._parsed.get(der)
        if known is None:
            known = parse_certificate(der)
            if known is not None:
                if len(self._parsed) >= self._size:
                    self._parsed.clear()
                    self._near.clear()
                self._parsed[der] = known
                self._near[id(known)] = _Near(known, der)
        return known

    def name(self, name_der: bytes) -> NameKey:
        """Return a name in a form that can be compared; each CA's name is met again and again."""
        known = self._names.get(name_der)
        if known is None:
            if len(self._names) >= MAX_CACHED_NAMES:
                self._names.clear()
            known = self._names[name_der] = name_key(name_der)
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

    def list_signed_by(self, crl: RevocationList, one: Facts) -> bool:
        """Say whether this key signed the CRL."""
        key = crl.digest + one.digest
        if self._get(key) is None:
            if not crl.signed_by(one):
                return False
            self._put(key, "list")
        return True

    def _get(self, key: object) -> Any:
        known = self._kept.get(key)
        # Who was used last matters only when somebody will have to go.
        if known is not None and len(self._kept) * 2 > self._size:
            with self._lock:
                if key in self._kept:
                    self._kept.move_to_end(key)
        return known

    def _put(self, key: object, value: Any) -> None:
        with self._lock:
            self._kept[key] = value
            while len(self._kept) > self._size:
                self._kept.popitem(last=False)


def _verify(child: Facts, parent: Facts) -> str:
    if not signature_holds(child.certificate, child.signed, parent.public_key):
        return ""
    exact = child.one_algorithm and child.issuer_der == parent.subject_der
    return "exact" if exact else "loose"


def signature_holds(
    one: x509.Certificate | x509.CertificateRevocationList,
    signed: bytes,
    key: CertificatePublicKeyTypes | None,
) -> bool:
    """Say whether ``key`` made the signature of a certificate or CRL over ``signed``."""
    try:
        _verify_by_key(one, signed, key)
    except (InvalidSignature, *UNREADABLE):
        return False
    return True


def _verify_by_key(
    one: x509.Certificate | x509.CertificateRevocationList,
    signed: bytes,
    key: CertificatePublicKeyTypes | None,
) -> None:
    how = one.signature_algorithm_parameters
    if one.signature_algorithm_oid == SignatureAlgorithmOID.RSA_WITH_MD5:
        how = padding.PKCS1v15()  # the library names no parameters for it
    elif one.signature_algorithm_oid == SignatureAlgorithmOID.ECDSA_WITH_SHA1:
        how = ec.ECDSA(SHA1())  # noqa: S303  # nor for this; the policy judges it later
    if isinstance(key, rsa.RSAPublicKey) and isinstance(how, (padding.PKCS1v15, padding.PSS)):
        digest = one.signature_hash_algorithm
        if digest is None:
            raise InvalidSignature
        key.verify(one.signature, signed, how, digest)
    elif isinstance(key, ec.EllipticCurvePublicKey) and isinstance(how, ec.ECDSA):
        key.verify(one.signature, signed, how)
    elif isinstance(key, dsa.DSAPublicKey) and one.signature_hash_algorithm is not None:
        key.verify(one.signature, signed, one.signature_hash_algorithm)
    elif how is None and isinstance(key, _KEYS_WITHOUT_PARAMETERS):
        key.verify(one.signature, signed)
    else:
        raise InvalidSignature
