"""What a certificate must allow before a key signs or is written to, mail or no mail.

Dates, keyUsage and size. What a certificate is for beyond that (extKeyUsage)
differs from use to use of CMS, and is not asked here: mail asks it above.

Floor:  cms (uses errors, policy)
Source: RFC 5280 §4.1.2.5, §4.2.1.3; RFC 8550 §4.4.2 (keyUsage): absent allows all;
        RFC 8410 §5, RFC 9295, RFC 9935 for the bits that each kind of key has
"""

from __future__ import annotations

from smime.errors import KeyProblem, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any

    from cryptography import x509

    from smime.policy import Policy

__all__ = ["Fitness", "in_words", "key_kind", "public_key_of", "unreadable"]

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
_DOTTED = r"[0-2](?:\.[0-9]+){3,}"
_CURVES = {"secp256r1": "P-256", "secp384r1": "P-384", "secp521r1": "P-521"}


def unreadable() -> tuple[type[Exception], ...]:
    """Return all that the parser raises on certificates made to trouble it; not one family."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    return (
        ValueError,
        TypeError,
        UnsupportedAlgorithm,
        x509.DuplicateExtension,
        x509.InvalidVersion,
        x509.UnsupportedGeneralNameType,
    )


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


class Fitness:
    """What one certificate allows, read once and asked at every use; immutable.

    Raises ``KeyProblem`` for a certificate whose key or dates cannot be read,
    ``NotSupported`` for a kind of key that is not known.
    """

    __slots__ = (
        "_certificate",
        "_read_problem",
        "_rsa_bits",
        "_sign_problem",
        "kind",
        "not_after",
        "not_before",
        "purposes",
    )

    # How it is said what is refused, and what to do about it.
    _CANNOT_SIGN = "the certificate of {} cannot sign"
    _CANNOT_READ = "the certificate of {} cannot be written to"

    def __init__(self, certificate: x509.Certificate) -> None:
        public_key = public_key_of(certificate)
        self.kind, abilities = key_kind(public_key)
        self._rsa_bits: int = public_key.key_size if self.kind.startswith("RSA") else 0
        try:
            self.not_before = certificate.not_valid_before_utc
            self.not_after = certificate.not_valid_after_utc
        except ValueError as error:
            raise KeyProblem(f"the certificate's dates are damaged: {error}") from error
        self._certificate = certificate
        if certificate.public_key_algorithm_oid.dotted_string == _RSASSA_PSS:
            abilities = (_SIGN,)
        # Of extKeyUsage the identifiers, or None where it is absent.
        problem, key_usage, self.purposes = _usages(certificate)
        self._sign_problem = problem or _sign_problem(self.kind, abilities, key_usage)
        self._read_problem = problem or _read_problem(self.kind, abilities, key_usage)

    @property
    def who(self) -> str:
        """Whose certificate it is, for people."""
        from smime.cms.names import name_of

        one = self._certificate
        return name_of(lambda: one.subject) or f"serial {one.serial_number:x}"

    def check_signs(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless the key may sign at this moment under this policy."""
        if not self._sign_problem and self._is_in_time(at, policy):
            return
        hint = "take a certificate issued for signing"
        self._refuse(self._sign_problem, self._CANNOT_SIGN, hint)
        self._refuse(*self._problem_at(at, policy, self._CANNOT_SIGN, "renew it"))

    def check_reads(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless content may be sealed for it at this moment."""
        if not self._read_problem and self._is_in_time(at, policy):
            return
        hint = "ask for a certificate issued for encryption"
        self._refuse(self._read_problem, self._CANNOT_READ, hint)
        renew = "ask its owner for the present one"
        self._refuse(*self._problem_at(at, policy, self._CANNOT_READ, renew))

    def reads_during(self, policy: Policy) -> tuple[float, float] | None:
        """Return from when until when ``check_reads`` raises nothing under this policy.

        Both inclusive, in seconds since 1970; None if it always raises.
        """
        if self._read_problem or not self._is_in_time(self.not_after, policy):
            return None
        return self.not_before.timestamp(), self.not_after.timestamp()

    def _is_in_time(self, at: datetime, policy: Policy) -> bool:
        """Say in short whether dates and size allow it; ``_problem_at`` says what forbids it."""
        bits = self._rsa_bits
        return (
            at.tzinfo is not None
            and self.not_before <= at <= self.not_after
            and (not bits or policy.rsa_bits_min <= bits <= policy.rsa_bits_max)
        )

    def _problem_at(
        self, at: datetime, policy: Policy, what: str, renew: str
    ) -> tuple[str, str, str]:
        """Return what dates or size forbid, or nothing, how to say it, and what to do about it."""
        if at.tzinfo is None:
            raise ValueError("at= needs a time zone: datetime.now(timezone.utc)")
        if at > self.not_after:
            return f"it expired on {self.not_after:%Y-%m-%d}", what, renew
        if at < self.not_before:
            hint = "wait, or look at this machine's clock"
            return f"it is not valid before {self.not_before:%Y-%m-%d}", what, hint
        if self._rsa_bits and self._rsa_bits < policy.rsa_bits_min:
            problem = f"its key is {self.kind}, the policy asks for {policy.rsa_bits_min} bits"
            return problem, what, "make a longer key"
        if self._rsa_bits > policy.rsa_bits_max:
            problem = f"its key is {self.kind}, the policy allows {policy.rsa_bits_max} bits"
            return problem, what, "Policy.modern().replace(rsa_bits_max=...) allows it"
        return "", what, ""

    def _refuse(self, problem: str, what: str, hint: str) -> None:
        if problem:
            raise KeyProblem(f"{what.format(self.who)}: {problem}", hint=hint)


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


def _sign_problem(kind: str, abilities: tuple[str, ...], key_usage: Any) -> str:
    if _SIGN not in abilities:
        return f"a key of the kind {kind} cannot make signatures"
    if key_usage and not (key_usage.digital_signature or key_usage.content_commitment):
        return "its keyUsage has neither digitalSignature nor nonRepudiation (RFC 8550 §4.4.2)"
    return ""


def _read_problem(kind: str, abilities: tuple[str, ...], key_usage: Any) -> str:
    if _TRANSPORT in abilities:
        if key_usage and not key_usage.key_encipherment:
            return "its keyUsage lacks keyEncipherment (RFC 8550 §4.4.2)"
    elif _AGREE in abilities:
        if key_usage and not key_usage.key_agreement:
            return "its keyUsage lacks keyAgreement (RFC 8550 §4.4.2)"
    else:
        return f"a key of the kind {kind} only signs"
    return ""
