"""A path that was found, and what its certificates say taken together.

What is summed up here is true of the bytes whatever the day, the policy and
the claim, as ``Facts`` are; so it is worked out once and kept with them.

Floor:  trust (uses facts)
Source: RFC 5280 §6.1, reduced to paths on which most of it has nothing to do;
        RFC 8550 §4.4 for what a chain is meant for
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.x509.oid import ExtendedKeyUsageOID

from smime.report import Finding
from smime.trust.facts import Facts, Lazy

if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

__all__ = ["ANY_PURPOSE", "CURVES", "MAIL", "STRONG_DIGESTS", "Chain"]

MAX_PLAIN_PATH = 4  # certificates; longer ones are rare and may take their time

ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string
MAIL = frozenset({ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string, ANY_PURPOSE})
CURVES = {
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
}
STRONG_DIGESTS = {"sha224", "sha256", "sha384", "sha512", "shake256"} | {
    f"sha3-{bits}" for bits in (224, 256, 384, 512)
}
MANY = 1 << 20  # bits; no key has as many


class Chain(tuple[Facts, ...]):
    """Certificates, leaf first and anchor last; the signatures between them are verified."""

    @Lazy
    def certificates(self) -> tuple[x509.Certificate, ...]:
        return tuple([one.certificate for one in self])

    @Lazy
    def ders(self) -> tuple[bytes, ...]:
        return tuple([one.der for one in self])

    @Lazy
    def leads(self) -> Finding:
        """The finding that it is valid; whether it is, is for others to say."""
        return Finding.yes(self[-1].chain_words, "RFC 5280 §6.1")

    @Lazy
    def lasts(self) -> tuple[datetime, datetime] | None:
        """From when to when all of its certificates are valid; None if that cannot be told."""
        spans = [one.validity for one in self if one.validity is not None]
        if len(spans) != len(self):
            return None
        return max(begin for begin, _ in spans), min(end for _, end in spans)

    @Lazy
    def is_plain(self) -> bool:
        """Nothing in it calls for the engine, and all but its dates is as RFC 5280 §6.1 asks.

        Names and signature algorithms of neighbours are the caller's business.
        """
        if not 2 <= len(self) <= MAX_PLAIN_PATH or self.lasts is None:
            return False
        for below, one in enumerate(self):
            if one.unusable or not one.plain or not one.subject or one.public_key is None:
                return False
            if below == 0:
                if one.ca:
                    return False
                continue
            if not one.ca or one.key_usage is None or not one.key_usage.key_cert_sign:
                return False
            # Intermediate certificates below this one, the leaf not counted
            # (RFC 5280 §4.2.1.9). Self-issued ones count here: stricter, never laxer.
            if one.path_length is not None and below - 1 > one.path_length:
                return False
        return True

    @Lazy
    def mail_rsa_bits(self) -> tuple[int, int] | None:
        """As ``signer_rsa_bits``; None too where a certificate has a purpose that is not mail."""
        for one in self:
            if one.purposes is not None and one.purposes.isdisjoint(MAIL):
                return None
        return self.signer_rsa_bits

    @Lazy
    def signer_rsa_bits(self) -> tuple[int, int] | None:
        """The least and the most bits of its RSA keys; ``(MANY, 0)`` without one.

        None where it takes a closer look whether the leaf may sign: a key or a digest
        that not every policy accepts. Extended key usages are not looked at.
        """
        leaf = self[0]
        usage = leaf.key_usage
        if leaf.unusable or not (
            usage is None or usage.digital_signature or usage.content_commitment
        ):
            return None
        least, most = MANY, 0
        for one in self:
            kind, size = one.strength
            if isinstance(size, int):
                least, most = min(least, size), max(most, size)
            elif not (kind == "other" or (kind == "ec" and size in CURVES)):
                return None
        for one in self[:-1]:
            digest = one.signature_digest
            if digest is None or not (digest == "" or digest in STRONG_DIGESTS):
                return None
        return least, most
