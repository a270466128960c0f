"""What a certificate must allow before a key signs or is written to, mail or no mail.

Dates, keyUsage and size. What a certificate is for beyond that (extKeyUsage)
differs from use to use of CMS, and is not asked here: mail asks it above.

Floor:  cms (uses errors, policy)
Source: RFC 5280 §4.1.2.5, §4.2.1.3
"""

from __future__ import annotations

from smime.errors import KeyProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from smime.policy import Policy

__all__ = ["check_reads", "check_signs"]


def check_signs(certificate: x509.Certificate, at: datetime, policy: Policy) -> None:
    """Raise ``KeyProblem`` unless the key may sign at this moment under this policy."""
    _check(certificate, at, policy, "sign", ("digital_signature", "content_commitment"))


def check_reads(certificate: x509.Certificate, at: datetime, policy: Policy) -> None:
    """Raise ``KeyProblem`` unless content may be sealed for it at this moment."""
    from cryptography.hazmat.primitives.asymmetric import ec, x448, x25519

    agreeing = (ec.EllipticCurvePublicKey, x25519.X25519PublicKey, x448.X448PublicKey)
    agrees = isinstance(_public_key(certificate), agreeing)
    _check(
        certificate,
        at,
        policy,
        "be written to",
        ("key_agreement",) if agrees else ("key_encipherment",),
    )


def _check(
    certificate: x509.Certificate, at: datetime, policy: Policy, what: str, usages: tuple[str, ...]
) -> None:
    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric import rsa

    problem = ""
    try:
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
        usage = next(
            (one.value for one in certificate.extensions if isinstance(one.value, x509.KeyUsage)),
            None,
        )
    except (ValueError, x509.DuplicateExtension, x509.UnsupportedGeneralNameType) as error:
        raise KeyProblem(f"a certificate cannot {what}: it cannot be read ({error})") from error
    key = _public_key(certificate)
    bits = key.key_size if isinstance(key, rsa.RSAPublicKey) else policy.rsa_bits_min
    if usage is not None and not any(getattr(usage, name) for name in usages):
        allowed = " or ".join(usages)
        problem = f"its keyUsage does not allow {allowed.replace('_', ' ')}"
    elif at > end:
        problem = f"it expired on {end:%Y-%m-%d}"
    elif at < begin:
        problem = f"it is not valid before {begin:%Y-%m-%d}"
    elif not policy.rsa_bits_min <= bits <= policy.rsa_bits_max:
        problem = (
            f"its RSA key has {bits} bits, and the policy asks for {policy.rsa_bits_min} to"
            f" {policy.rsa_bits_max}"
        )
    if problem:
        name = certificate.subject.rfc4514_string() or f"serial {certificate.serial_number:x}"
        raise KeyProblem(f"the certificate of {name} cannot {what}: {problem}")


def _public_key(certificate: x509.Certificate) -> object:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return certificate.public_key()
    except (UnsupportedAlgorithm, ValueError) as error:
        raise KeyProblem(f"the key of a certificate cannot be read: {error}") from error
