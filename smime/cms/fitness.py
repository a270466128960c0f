"""What a certificate must allow before a key signs or is written to, mail or no mail.

Dates, keyUsage and size. What a certificate is for beyond that (extKeyUsage)
differs from use to use of CMS, and is not asked here: mail asks it above.

Floor:  cms (uses errors, policy)
Source: RFC 5280 §4.1.2.5, §4.2.1.3
"""

from __future__ import annotations

from smime.cms.names import name_of
from smime.errors import KeyProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from smime.policy import Policy

__all__ = ["Fitness"]

_SIGN = ("digital_signature", "content_commitment")
_TRANSPORT = ("key_encipherment",)
_AGREE = ("key_agreement",)


class Fitness:
    """What one certificate allows, read once and asked at every use.

    Raises ``KeyProblem`` for a certificate that cannot be read.
    """

    __slots__ = ("_begin", "_certificate", "_end", "_reads", "_rsa_bits", "_signs")

    def __init__(self, certificate: x509.Certificate) -> None:
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm
        from cryptography.hazmat.primitives.asymmetric import ec, rsa, x448, x25519

        try:
            self._begin = certificate.not_valid_before_utc
            self._end = certificate.not_valid_after_utc
            key = certificate.public_key()
            usage = next(
                (
                    one.value
                    for one in certificate.extensions
                    if isinstance(one.value, x509.KeyUsage)
                ),
                None,
            )
        except (
            UnsupportedAlgorithm,
            ValueError,
            x509.DuplicateExtension,
            x509.UnsupportedGeneralNameType,
        ) as error:
            raise KeyProblem(
                f"a certificate cannot be used: it cannot be read ({error})"
            ) from error
        self._certificate = certificate
        self._rsa_bits = key.key_size if isinstance(key, rsa.RSAPublicKey) else 0
        agreeing = (ec.EllipticCurvePublicKey, x25519.X25519PublicKey, x448.X448PublicKey)
        reading = _AGREE if isinstance(key, agreeing) else _TRANSPORT
        # Without keyUsage all is allowed (RFC 5280 §4.2.1.3).
        self._signs = usage is None or any(getattr(usage, name) for name in _SIGN)
        self._reads = usage is None or any(getattr(usage, name) for name in reading)

    def check_signs(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless the key may sign at this moment under this policy."""
        self._check(self._signs, "sign", at, policy)

    def check_reads(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless content may be sealed for it at this moment."""
        self._check(self._reads, "be written to", at, policy)

    def _check(self, allowed: bool, what: str, at: datetime, policy: Policy) -> None:
        bits = self._rsa_bits
        if not allowed:
            problem = "its keyUsage does not allow it"
        elif at > self._end:
            problem = f"it expired on {self._end:%Y-%m-%d}"
        elif at < self._begin:
            problem = f"it is not valid before {self._begin:%Y-%m-%d}"
        elif bits and not policy.rsa_bits_min <= bits <= policy.rsa_bits_max:
            problem = (
                f"its RSA key has {bits} bits, and the policy asks for {policy.rsa_bits_min} to"
                f" {policy.rsa_bits_max}"
            )
        else:
            return
        one = self._certificate
        name = name_of(lambda: one.subject) or f"serial {one.serial_number:x}"
        raise KeyProblem(f"the certificate of {name} cannot {what}: {problem}")
