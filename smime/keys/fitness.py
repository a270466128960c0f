"""What a certificate is fit for, found once so that asking again costs a comparison.

Floor:  keys (uses errors and policy)
Source: RFC 8550 §4.4.2 (keyUsage) and §4.4.4 (extKeyUsage): absent allows all;
        RFC 8410 §5, RFC 9295, RFC 9935 for the bits that each kind of key has
"""

from __future__ import annotations

from smime.errors import KeyProblem, NotSupported
from smime.keys.address import certificate_addresses, unreadable

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from cryptography import x509

    from smime.policy import Policy

__all__ = ["Fitness", "fingerprint", "in_words", "key_kind", "public_key_of"]

_SIGN, _TRANSPORT, _AGREE = "sign", "transport", "agree"
# By the name of the class of the public key in cryptography: what it is called, what it can do.
_KINDS: tuple[tuple[str, str, tuple[str, ...]], ...] = (
    ("RSAPublicKey", "RSA", (_SIGN, _TRANSPORT)),
    ("ECPublicKey", "EC", (_SIGN, _AGREE)),
    ("EllipticCurvePublicKey", "EC", (_SIGN, _AGREE)),
    ("Ed25519PublicKey", "Ed25519", (_SIGN,)),
    ("Ed448PublicKey", "Ed448", (_SIGN,)),
    ("X25519PublicKey", "X25519", (_AGREE,)),
    ("X448PublicKey", "X448", (_AGREE,)),
    ("MLDSA44PublicKey", "ML-DSA-44", (_SIGN,)),
    ("MLDSA65PublicKey", "ML-DSA-65", (_SIGN,)),
    ("MLDSA87PublicKey", "ML-DSA-87", (_SIGN,)),
    ("MLKEM768PublicKey", "ML-KEM-768", (_TRANSPORT,)),
    ("MLKEM1024PublicKey", "ML-KEM-1024", (_TRANSPORT,)),
)
_RSASSA_PSS = "1.2.840.113549.1.1.10"
_DIFFIE_HELLMAN = ("1.2.840.113549.1.3.1", "1.2.840.10046.2.1")
_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
_ANY_USAGE = "2.5.29.37.0"
_DOTTED = r"[0-2](?:\.[0-9]+){3,}"
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def public_key_of(certificate: x509.Certificate) -> Any:
    """Return the public key; ``NotSupported`` by name if this build cannot."""
    from cryptography.exceptions import UnsupportedAlgorithm

    name = certificate.public_key_algorithm_oid.dotted_string
    if name in _DIFFIE_HELLMAN:  # before the library warns of it
        raise NotSupported("certificates of DH keys are not supported")
    try:
        return certificate.public_key()
    except UnsupportedAlgorithm as error:
        raise NotSupported(f"the certificate's key is not supported: {in_words(error)}") from error
    except ValueError as error:
        raise KeyProblem(f"the certificate's public key is damaged: {error}") from error


def in_words(error: Exception) -> str:
    """Return what the library says of an algorithm, with its name where it says the identifier."""
    import re

    from smime.cms.algorithms import STRANGERS

    return re.sub(_DOTTED, lambda found: STRANGERS.get(found[0], found[0]), str(error))


def key_kind(public_key: Any) -> tuple[str, tuple[str, ...]]:
    """Return what the key is called, with its size, and what it can do.

    Raises ``NotSupported`` for kinds that mail does not use any more (DSA, DH).
    """
    names = {one.__name__ for one in type(public_key).__mro__}
    for class_name, kind, abilities in _KINDS:
        if class_name in names:
            if kind == "RSA":
                return f"RSA-{public_key.key_size}", abilities
            if kind == "EC":
                curve = public_key.curve.name
                return _CURVES.get(curve, curve), abilities
            return kind, abilities
    kind = type(public_key).__name__.removesuffix("PublicKey")
    raise NotSupported(
        f"keys of the kind {kind} are not supported",
        hint="make a new key: RSA from 2048 bits, P-256 or Ed25519",
    )


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate in lower-case hexadecimal digits."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding

    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


class Fitness:
    """What one certificate is fit for; immutable."""

    __slots__ = (
        "_read_problem",
        "_rsa_bits",
        "_sign_problem",
        "_who",
        "addresses",
        "kind",
        "not_after",
        "not_before",
    )

    def __init__(self, certificate: x509.Certificate) -> None:
        public_key = public_key_of(certificate)
        self.kind, abilities = key_kind(public_key)
        self.addresses = certificate_addresses(certificate)
        self._rsa_bits: int = public_key.key_size if self.kind.startswith("RSA") else 0
        try:
            self.not_before = certificate.not_valid_before_utc
            self.not_after = certificate.not_valid_after_utc
        except ValueError as error:
            raise KeyProblem(f"the certificate's dates are damaged: {error}") from error
        self._who = ", ".join(self.addresses) or f"fingerprint {fingerprint(certificate)[:16]}"
        if certificate.public_key_algorithm_oid.dotted_string == _RSASSA_PSS:
            abilities = (_SIGN,)
        unreadable, key_usage, extended = _usages(certificate)
        self._sign_problem = unreadable or _sign_problem(self.kind, abilities, key_usage, extended)
        self._read_problem = unreadable or _read_problem(self.kind, abilities, key_usage, extended)

    @property
    def signs(self) -> bool:
        """The certificate allows signing mail; dates are not looked at."""
        return not self._sign_problem

    @property
    def reads(self) -> bool:
        """The certificate allows being written to; dates are not looked at."""
        return not self._read_problem

    @property
    def usage(self) -> str:
        """What it is for, in a word or two."""
        uses = [name for name, fit in (("signs", self.signs), ("reads", self.reads)) if fit]
        return " and ".join(uses) or "neither signs nor reads mail"

    def check_signs(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless it may sign mail at this moment under this policy."""
        if self._sign_problem:
            raise KeyProblem(
                f"the certificate of {self._who} cannot sign mail: {self._sign_problem}",
                hint="take a certificate issued for signing mail",
            )
        self._check(at, policy, "cannot sign mail", "renew it; mail sealed to it still opens")

    def check_reads(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless mail may be sealed to it at this moment under this policy."""
        if self._read_problem:
            raise KeyProblem(
                f"mail cannot be sealed for the certificate of {self._who}: {self._read_problem}",
                hint="ask for a certificate issued for encryption",
            )
        self._check(at, policy, "cannot be written to", "ask its owner for the present one")

    def _check(self, at: datetime, policy: Policy, what: str, hint: str) -> None:
        if at.tzinfo is None:
            raise ValueError("at= needs a time zone: datetime.now(timezone.utc)")
        problem = ""
        if at > self.not_after:
            problem = f"it expired on {self.not_after:%Y-%m-%d}"
        elif at < self.not_before:
            problem = f"it is not valid before {self.not_before:%Y-%m-%d}"
            hint = "wait, or look at this machine's clock"
        elif self._rsa_bits and self._rsa_bits < policy.rsa_bits_min:
            problem = f"its key is {self.kind}, the policy asks for {policy.rsa_bits_min} bits"
            hint = "make a longer key"
        elif self._rsa_bits > policy.rsa_bits_max:
            problem = f"its key is {self.kind}, the policy allows {policy.rsa_bits_max} bits"
            hint = "Policy.modern().replace(rsa_bits_max=...) allows it"
        if problem:
            raise KeyProblem(f"the certificate of {self._who} {what}: {problem}", hint=hint)


def _usages(certificate: x509.Certificate) -> tuple[str, Any, frozenset[str] | None]:
    """Return why the extensions cannot be read, keyUsage, and the OIDs of extKeyUsage."""
    from cryptography import x509

    try:
        extensions = certificate.extensions
        key_usage = extended = None
        for extension in extensions:
            value = extension.value
            if isinstance(value, x509.KeyUsage):
                key_usage = value
            elif isinstance(value, x509.ExtendedKeyUsage):
                extended = frozenset(one.dotted_string for one in value)
    except unreadable() as error:
        return f"its extensions cannot be read ({error})", None, None
    return "", key_usage, extended


def _sign_problem(
    kind: str, abilities: tuple[str, ...], key_usage: Any, extended: frozenset[str] | None
) -> str:
    if _SIGN not in abilities:
        return f"a key of the kind {kind} cannot make signatures"
    if key_usage and not (key_usage.digital_signature or key_usage.content_commitment):
        return "its keyUsage has neither digitalSignature nor nonRepudiation (RFC 8550 §4.4.2)"
    return _extended_problem(extended)


def _read_problem(
    kind: str, abilities: tuple[str, ...], key_usage: Any, extended: frozenset[str] | None
) -> str:
    if _TRANSPORT in abilities:
        if key_usage and not key_usage.key_encipherment:
            return "its keyUsage lacks keyEncipherment (RFC 8550 §4.4.2)"
    elif _AGREE in abilities:
        if key_usage and not key_usage.key_agreement:
            return "its keyUsage lacks keyAgreement (RFC 8550 §4.4.2)"
    else:
        return f"a key of the kind {kind} only signs"
    return _extended_problem(extended)


def _extended_problem(extended: frozenset[str] | None) -> str:
    if extended is None or extended & {_EMAIL_PROTECTION, _ANY_USAGE}:
        return ""
    return "its extKeyUsage has neither emailProtection nor anyExtendedKeyUsage (RFC 8550 §4.4.4)"
