"""How signature values are made and checked: identifier, parameters, primitive.

``read`` takes the AlgorithmIdentifier of a signature apart, ``verify`` holds a
value against a certificate's key, ``Signer`` makes values with a private key or
asks the object that keeps it.

Floor:  cms (uses errors)
Source: RFC 5754 §3 for RSA, DSA and ECDSA; RFC 4055 §3 and RFC 4056 for RSASSA-PSS;
        RFC 8419 for Ed25519 and Ed448; RFC 9882 for ML-DSA
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from smime.cms import algorithms as alg
from smime.cms.der import (
    INTEGER,
    NULL,
    SEQUENCE,
    Indefinite,
    children,
    oid_text,
    sequence,
    tlv,
    top,
)
from smime.errors import KeyProblem, LimitExceeded, MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Set
    from typing import Any

    from cryptography import x509

    from smime.cms.der import Node

__all__ = ["Hashed", "PssLimits", "Scheme", "Signer", "digest_name", "pss_limits", "read", "verify"]

MAX_SALT_OCTETS = 2048  # no RSA key that is read has room for more
# PureEdDSA goes twice over all it signs, so all of it stands in memory.
MAX_EDDSA_OCTETS = 64 * 1024 * 1024

_CURVE_DIGEST = {
    "secp256r1": "sha256",
    "secp384r1": "sha384",
    "secp521r1": "sha512",
    "brainpoolP256r1": "sha256",
    "brainpoolP384r1": "sha384",
    "brainpoolP512r1": "sha512",
}
# Kinds of key that fix the digest of the content: RFC 8419 §3.1, RFC 9882 §3.3.
FIXED_DIGEST = {"ed25519": "sha512", "ed448": "shake256", **dict.fromkeys(alg.ML_DSA, "sha512")}
_ALGORITHM = {
    "ed25519": sequence(alg.ED25519),
    "ed448": sequence(alg.ED448),
    **{name: sequence(whole) for name, whole in alg.ML_DSA.items()},
}
_STRONG = ("sha384", "sha3-384")
_STRONGEST = frozenset({"sha512", "sha3-512", "shake256"})
# What a signature of this kind may be combined with. RSA, DSA and ECDSA with
# SHAKE are algorithms of their own (RFC 8702) without a primitive here.
_DIGESTS_READ: dict[str, Set[str]] = {
    "ed25519": {"sha512"},  # RFC 8419 §3.1: no other
    "ed448": {"shake256"},
    # RFC 9882 §3.3: what is at least as strong as the key
    "ml-dsa-44": {"sha256", "sha3-256", *_STRONG, *_STRONGEST},
    "ml-dsa-65": {*_STRONG, *_STRONGEST},
    "ml-dsa-87": _STRONGEST,
}
_NO_SHAKE = set(alg.DIGESTS) - {"shake256"}


# Made at the first use, then kept: how primitives are called, and what keys are.
_ways: dict[tuple[str, str], tuple[Any, ...]] = {}
_kinds: dict[type, str] = {}


class Hashed(bytes):
    """The digest of what is signed, where the octets themselves went by already."""


class Scheme:
    """A signature algorithm as it stands in a message."""

    __slots__ = ("digest", "kind", "label", "mask_digest", "problem", "salt_octets")

    def __init__(self, kind: str, digest: str | None, label: str = "") -> None:
        self.kind = kind
        """``rsa``, ``rsa-pss``, ``ec``, ``dsa``, ``ed25519``, ``ed448``, ``ml-dsa-65``, or empty
        for what is not supported."""
        self.digest = digest
        """The digest that the algorithm or its parameters name, if they name one."""
        self.label = label or kind
        """For people; the dotted identifier of what is unknown here."""
        self.mask_digest = digest
        self.salt_octets = 0
        self.problem = ""
        """What is wrong with the parameters, if anything."""

    def refuses(self, digest: str) -> str:
        """Say why it does not go with content of this digest; empty if it does."""
        allowed = _DIGESTS_READ.get(self.kind, _NO_SHAKE)
        if digest in allowed:
            return ""
        return f"{self.label} signatures over {digest} are not supported"


# What nearly every message says, with parameters absent or NULL: read here once.
_ORDINARY_DIGESTS = {
    sequence(whole, *null): name
    for name, (whole, _) in alg.DIGESTS.items()
    for null in ((), (NULL,))
}
_ORDINARY_SCHEMES = {
    sequence(tlv(0x06, identifier), *null): Scheme(kind, digest)
    for identifier, (kind, digest) in alg.SIGNATURES.items()
    if kind in ("rsa", "ec")
    for null in ((), (NULL,))
}


def digest_name(data: bytes, node: Node) -> str:
    """Return the name of a digest by its AlgorithmIdentifier; dotted if it is not known."""
    ordinary = _ORDINARY_DIGESTS.get(data[node[1] : node[3]])
    if ordinary is not None:
        return ordinary
    identifier, parameters = _parts(data, node)
    if identifier == alg.SHAKE256_LEN[2:]:
        if parameters is not None and data[parameters[1] : parameters[3]] == alg.SHAKE256_BITS:
            return "shake256"
        return "SHAKE256 of another length than 512 bits"
    return alg.DIGEST_OF.get(identifier) or alg.called(identifier)


def read(data: bytes, node: Node) -> Scheme:
    """Take the AlgorithmIdentifier of a signature apart.

    Raises ``MalformedMail`` where it has no identifier; parameters that are not
    as they must be are told by ``problem``.
    """
    ordinary = _ORDINARY_SCHEMES.get(data[node[1] : node[3]])
    if ordinary is not None:
        return ordinary
    identifier, parameters = _parts(data, node)
    kind, digest = alg.SIGNATURES.get(identifier, ("", None))
    if not kind:
        name = alg.UNSUPPORTED_SIGNATURES.get(identifier) or alg.called(identifier)
        return Scheme("", None, name)
    scheme = Scheme(kind, digest)
    if kind == "rsa-pss":
        try:
            _read_pss(data, parameters, scheme)
        except (MalformedMail, Indefinite):
            scheme.problem = "the parameters of RSASSA-PSS cannot be read"
    elif kind in FIXED_DIGEST and parameters is not None:
        scheme.problem = f"{kind} has parameters, which it must not"
    return scheme


def _parts(data: bytes, node: Node) -> tuple[bytes, Node | None]:
    """Return identifier (content octets) and parameters of an AlgorithmIdentifier."""
    parts = children(data, node) if node[0] == SEQUENCE else []
    if not parts or parts[0][0] != 0x06:
        raise MalformedMail("an algorithm is named in no known way")
    return data[parts[0][2] : parts[0][3]], parts[1] if len(parts) > 1 else None


def _read_pss(data: bytes, parameters: Node | None, scheme: Scheme) -> None:
    """Read RSASSA-PSS-params (RFC 4055 §3.1); what is absent has SHA-1 for default."""
    if parameters is None or parameters[0] != SEQUENCE:
        scheme.problem = "RSASSA-PSS without parameters, which must be there (RFC 4056 §3)"
        return
    digest = mask = "sha1"
    salt, trailer = 20, 1
    for field in children(data, parameters):
        (inner,) = children(data, field)[:1] or (field,)
        if field[0] == 0xA0:
            digest = digest_name(data, inner)
        elif field[0] == 0xA1:
            identifier, below = _parts(data, inner)
            if identifier != alg.MGF1[2:] or below is None:
                scheme.problem = f"mask generation {oid_text(identifier)} is not supported"
                return
            mask = digest_name(data, below)
        elif field[0] in (0xA2, 0xA3) and inner[0] == INTEGER:
            octets = data[inner[2] : inner[3]]
            value = int.from_bytes(octets[:8], "big", signed=True) if len(octets) <= 8 else -1
            if field[0] == 0xA2:
                salt = value
            else:
                trailer = value
        else:
            scheme.problem = "the parameters of RSASSA-PSS hold what does not belong there"
            return
    unknown = next((one for one in (digest, mask) if one not in _NO_SHAKE), None)
    if unknown is not None:
        scheme.problem = f"RSASSA-PSS with {unknown} is not supported"
    elif not 0 <= salt <= MAX_SALT_OCTETS:
        scheme.problem = (
            f"RSASSA-PSS with a salt of more than {MAX_SALT_OCTETS} octets, or less than 0"
        )
    elif trailer != 1:
        scheme.problem = f"RSASSA-PSS with trailer field {trailer} is not supported"
    scheme.digest, scheme.mask_digest, scheme.salt_octets = digest, mask, salt


class PssLimits:
    """What a key of the kind id-RSASSA-PSS is restricted to (RFC 4055 §3.1, §3.3)."""

    __slots__ = ("digest", "mask_digest", "problem", "salt_octets")

    def __init__(self, scheme: Scheme | None) -> None:
        self.problem = scheme.problem if scheme else ""
        self.digest = scheme.digest if scheme else None
        """The only digest, or None if any will do."""
        self.mask_digest = scheme.mask_digest if scheme else None
        self.salt_octets = scheme.salt_octets if scheme else 0
        """The least length of a salt."""

    def allow(self, scheme: Scheme) -> bool:
        if scheme.kind != "rsa-pss" or self.problem:
            return False
        return self.digest is None or (
            scheme.digest == self.digest
            and scheme.mask_digest == self.mask_digest
            and scheme.salt_octets >= self.salt_octets
        )


def pss_limits(certificate: x509.Certificate) -> PssLimits | None:
    """Return what a key is restricted to, or None if it is no id-RSASSA-PSS key."""
    if certificate.public_key_algorithm_oid.dotted_string != _RSA_PSS_DOTTED:
        return None
    tbs = certificate.tbs_certificate_bytes
    try:
        fields = children(tbs, top(tbs))
        # version [0], serial, signature, issuer, validity, subject, then the key
        spki = fields[6 if fields[0][0] == 0xA0 else 5]
        algorithm = children(tbs, spki)[0]
        if len(children(tbs, algorithm)) == 1:
            return PssLimits(None)
        scheme = read(tbs, algorithm)
    except (IndexError, MalformedMail, Indefinite):
        scheme = Scheme("rsa-pss", None)
        scheme.problem = "the restrictions of the key cannot be read"
    return PssLimits(scheme)


_RSA_PSS_DOTTED = oid_text(alg.RSA_PSS[2:])


def verify(
    certificate: x509.Certificate,
    scheme: Scheme,
    digest: str,
    value: bytes,
    forms: Iterable[bytes],
) -> bytes | None:
    """Return the form over which ``value`` was made with the certificate's key, or None.

    ``digest`` is the one that the signer names; a form that is ``Hashed`` is the
    digest of what was signed. Raises ``NotSupported`` where what is signed would
    be needed whole, or where this build lacks the primitive.
    """
    try:
        public: Any = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return None
    kind = scheme.kind
    name = kind_of(public)
    if name != ("rsa" if kind == "rsa-pss" else kind):
        return None
    if name == "rsa":
        limits = pss_limits(certificate)
        if limits is not None and not limits.allow(scheme):
            return None
    for form in forms:
        try:
            if kind in FIXED_DIGEST:
                if isinstance(form, Hashed):
                    raise NotSupported(f"{kind} needs what was signed whole")
                public.verify(value, form)
            else:
                public.verify(value, form, *how_to(scheme, digest, isinstance(form, Hashed)))
        except (InvalidSignature, ValueError):
            continue
        except UnsupportedAlgorithm as lacking:
            raise NotSupported(f"{scheme.label} with {digest}: {lacking}") from lacking
        return form
    return None


def how_to(scheme: Scheme, digest: str, hashed: bool) -> tuple[Any, ...]:
    """Return how the primitive is told what to do; the ordinary ways are made once."""
    known = None if hashed else _ways.get((scheme.kind, digest))
    if known is None:
        known = _make_way(scheme, digest, hashed)
        if scheme.kind in ("rsa", "ec") and not hashed:
            _ways[scheme.kind, digest] = known
    return known


def _make_way(scheme: Scheme, digest: str, hashed: bool) -> tuple[Any, ...]:
    from cryptography.hazmat.primitives.asymmetric import ec, padding, utils

    primitive: Any = alg.hash_class(digest)
    if hashed:
        primitive = utils.Prehashed(primitive)
    if scheme.kind == "ec":
        return (ec.ECDSA(primitive),)
    if scheme.kind == "dsa":
        return (primitive,)
    if scheme.kind == "rsa":
        return padding.PKCS1v15(), primitive
    mask = padding.MGF1(alg.hash_class(scheme.mask_digest or digest))
    return padding.PSS(mask, scheme.salt_octets), primitive


def kind_of(public: object) -> str:
    """Return the kind of a public key as schemes name it; empty if it signs nothing here."""
    # The classes of the library are abstract, and asking them costs; the types are few.
    known = _kinds.get(type(public))
    if known is None:
        known = _kinds[type(public)] = _find_kind(public)
    return known


def _find_kind(public: object) -> str:
    from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa

    for classes, kind in (
        (rsa.RSAPublicKey, "rsa"),
        (ec.EllipticCurvePublicKey, "ec"),
        (ed25519.Ed25519PublicKey, "ed25519"),
        (ed448.Ed448PublicKey, "ed448"),
        (mldsa.MLDSA44PublicKey, "ml-dsa-44"),
        (mldsa.MLDSA65PublicKey, "ml-dsa-65"),
        (mldsa.MLDSA87PublicKey, "ml-dsa-87"),
        (dsa.DSAPublicKey, "dsa"),
    ):
        if isinstance(public, classes):
            return kind
    return ""


class Signer:
    """One way to sign with one key: digest, AlgorithmIdentifier, and the making of values."""

    __slots__ = ("algorithm", "digest", "fixed_octets", "sign", "sign_hashed")

    algorithm: bytes
    """The AlgorithmIdentifier that is written, whole."""
    digest: str
    """Name of the digest of the content, and of the attributes."""
    sign: Callable[[bytes], bytes]
    """Makes the value over these octets."""
    sign_hashed: Callable[[bytes], bytes] | None
    """Makes the value over what has this digest; None where that cannot be."""
    fixed_octets: int
    """Length of every value, or 0 if it differs from one to the next (ECDSA)."""


class Keyed:
    """A private key, or an object that keeps it, as ways to sign by choice of the policy.

    Raises ``NotSupported`` for a kind of key that does not sign in CMS.
    """

    __slots__ = ("_key", "_limits", "_public", "digest", "kind")

    def __init__(self, key: object, certificate: x509.Certificate) -> None:
        public: Any = certificate.public_key()
        kind = kind_of(public)
        if kind in ("", "dsa"):
            name = type(public).__name__.removesuffix("PublicKey")
            raise NotSupported(f"signing with a key of kind {name}")
        self.kind = kind
        """Kind of the key, as ``Scheme.kind``; never ``rsa-pss``."""
        self._limits = pss_limits(certificate) if kind == "rsa" else None
        self._public = public
        self._key = key
        if kind == "ec":
            curve = public.curve.name
            if curve not in _CURVE_DIGEST:
                raise NotSupported(f"signing with a key on curve {curve}")
            self.digest = _CURVE_DIGEST[curve]
        else:
            self.digest = FIXED_DIGEST.get(kind, "sha256")
        if self._limits is not None:
            if self._limits.problem:
                raise NotSupported(f"the certificate's key: {self._limits.problem}")
            self.digest = self._limits.digest or self.digest
        if self.digest not in alg.DIGEST_ALGORITHM or self.digest in alg.WEAK_DIGESTS:
            raise NotSupported(f"signing with {self.digest}, which the certificate's key demands")
        if not is_private(key) and not (
            callable(getattr(key, "sign", None)) and hasattr(key, "certificate")
        ):
            raise KeyProblem(
                f"{type(key).__name__} cannot sign with an {kind.upper()} certificate",
                hint="give a private key, or an object with .certificate and"
                " .sign(data, algorithm)",
            )

    @property
    def fixed(self) -> bool:
        """The key fixes the digest, whatever a policy says."""
        return self.kind in FIXED_DIGEST or (
            self._limits is not None and self._limits.digest is not None
        )

    def signer(self, signature: str, digest: str) -> Signer:
        """Return the way to sign that a policy's ``signature`` and ``digest`` choose."""
        name = self.digest if digest == "auto" or self.fixed else digest
        made = Signer()
        made.digest = name
        pss = self.kind == "rsa" and (self._limits is not None or signature == "rsa-pss")
        mask, salt = name, alg.DIGESTS[name][1]
        if self._limits is not None:
            mask = self._limits.mask_digest or name
            salt = max(salt, self._limits.salt_octets)
        made.fixed_octets = _value_octets(self._public, self.kind)
        if self.kind == "ec":
            made.algorithm = alg.ECDSA_SIGNATURE[name]
        elif pss:
            made.algorithm = alg.pss_signature(name, mask, salt)
        elif self.kind == "rsa":
            made.algorithm = alg.RSA_SIGNATURE
        else:
            made.algorithm = _ALGORITHM[self.kind]
        key: Any = self._key
        if not is_private(key):
            made.sign = self._asked(f"rsa-pss-{name}" if pss else name, made.algorithm)
            made.sign_hashed = None
            return made
        sign = key.sign
        if self.kind in FIXED_DIGEST:
            made.sign = sign
            made.sign_hashed = None
            return made
        scheme = Scheme("rsa-pss" if pss else self.kind, name)
        scheme.mask_digest, scheme.salt_octets = mask, salt
        how, how_hashed = how_to(scheme, name, False), how_to(scheme, name, True)
        if len(how) == 1:  # written out for speed: no packing of arguments per message
            (only,) = how
            made.sign = lambda data: sign(data, only)
        else:
            padding, primitive = how
            made.sign = lambda data: sign(data, padding, primitive)
        made.sign_hashed = lambda value: sign(value, *how_hashed)
        return made

    def _asked(self, algorithm: str, identifier: bytes) -> Callable[[bytes], bytes]:
        """Sign by asking the object that keeps the key, and look at what it gives."""
        key: Any = self._key
        certificate = key.certificate
        scheme = read(identifier, top(identifier))
        digest = scheme.digest or algorithm

        def sign(data: bytes) -> bytes:
            value = bytes(key.sign(data, algorithm))
            if verify(certificate, scheme, digest, value, (data,)) is None:
                raise KeyProblem(
                    f"{type(key).__name__}.sign(data, {algorithm!r}) gave a value that is no"
                    " signature by the key of its certificate",
                    hint="it signs data, not a digest; RSA by PKCS#1 v1.5 unless rsa-pss- is asked,"
                    " ECDSA values are DER",
                )
            return value

        return sign


def is_private(key: object) -> bool:
    return callable(getattr(key, "private_bytes", None)) and hasattr(key, "public_key")


def _value_octets(public: Any, kind: str) -> int:
    if kind == "rsa":
        return int(public.key_size + 7) // 8
    return _VALUE_OCTETS.get(kind, 0)


# RFC 8032 §5.1.6, §5.2.6; FIPS 204 table 2
_VALUE_OCTETS = {
    "ed25519": 64,
    "ed448": 114,
    "ml-dsa-44": 2420,
    "ml-dsa-65": 3309,
    "ml-dsa-87": 4627,
}


def check_pure_length(kind: str, octets: int) -> None:
    """Raise ``LimitExceeded`` for content too long to be signed by EdDSA without attributes."""
    if kind.startswith("ed") and octets > MAX_EDDSA_OCTETS:
        raise LimitExceeded(
            f"{kind} signs at most {MAX_EDDSA_OCTETS} octets without signed attributes"
        )
