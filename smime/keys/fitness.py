"""What a certificate is fit for in mail, found once so that asking again costs a comparison.

Floor:  keys (uses cms: dates, keyUsage and sizes are asked there)
Source: RFC 8550 §4.4.4 (extKeyUsage): absent allows all
"""

from __future__ import annotations

from smime.cms.fitness import Fitness as CmsFitness
from smime.cms.fitness import in_words, key_kind, public_key_of
from smime.keys.address import certificate_addresses

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from cryptography import x509

__all__ = ["Fitness", "fingerprint", "in_words", "key_kind", "public_key_of"]

_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
_ANY_USAGE = "2.5.29.37.0"


def fingerprint(certificate: x509.Certificate) -> str:
    """Return the SHA-256 of the certificate in lower-case hexadecimal digits."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import Encoding

    return hashlib.sha256(certificate.public_bytes(Encoding.DER)).hexdigest()


class Fitness(CmsFitness):
    """What one certificate is fit for in mail; immutable."""

    __slots__ = ("_who", "addresses")

    _CANNOT_SIGN = "the certificate of {} cannot sign mail"
    _CANNOT_READ = "mail cannot be sealed for the certificate of {}"

    def __init__(self, certificate: x509.Certificate) -> None:
        super().__init__(certificate)
        self.addresses = certificate_addresses(certificate)
        self._who = ", ".join(self.addresses) or f"fingerprint {fingerprint(certificate)[:16]}"
        purposes = self.purposes
        if purposes is not None and not purposes & {_EMAIL_PROTECTION, _ANY_USAGE}:
            problem = (
                "its extKeyUsage has neither emailProtection nor anyExtendedKeyUsage"
                " (RFC 8550 §4.4.4)"
            )
            self._sign_problem = self._sign_problem or problem
            self._read_problem = self._read_problem or problem

    @property
    def who(self) -> str:
        """The addresses in the certificate, or its fingerprint."""
        return self._who

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
