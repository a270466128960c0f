"""A certificate given only to who holds its private key, where that key cannot sign a request.

X25519, X448 and ML-KEM keys prove nothing beforehand. So the certificate is sealed to
its own key, with an answer that only who opens it can give. Until the answer comes
the certificate is given to nobody else, and published nowhere.

    challenge = make(certificate, ca.chain)     # challenge.sealed goes to the holder
    answer, certificates = read(sealed, key)    # the holder, or `openssl cms -decrypt`
    challenge.agrees(answer)                    # True: it is proven

Floor:  challenge (uses sealed)
Source: RFC 4211 §5.2.8.3 (the certificate is returned encrypted), RFC 6955 §1
"""

from __future__ import annotations

import hashlib
import hmac
import os
import re
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from pki import sealed

if TYPE_CHECKING:
    from collections.abc import Iterable

__all__ = ["Challenge", "digest_of", "find_answer", "make", "read"]

ANSWER_OCTETS = 32
_ANSWER = re.compile(rb"answer: ([0-9a-f]{64})\r?\n")


@dataclass(frozen=True, slots=True)
class Challenge:
    """What goes to the holder, and by what the answer is known."""

    serial: int = field(repr=False)
    """Of the certificate."""
    sealed: bytes = field(repr=False)
    """CMS, to be opened with the private key of the certificate."""
    expected: bytes = field(repr=False)
    """SHA-256 of the answer: what the CA keeps; the answer itself it forgets."""

    def agrees(self, answer: str) -> bool:
        """Say whether this is the answer that was sealed."""
        return hmac.compare_digest(digest_of(answer), self.expected)


def make(certificate: x509.Certificate, chain: Iterable[x509.Certificate] = ()) -> Challenge:
    """Seal a new certificate, and an answer, to the certificate's own key.

    Raises ``NotSupported`` for a key that cannot be written to.
    """
    answer = os.urandom(ANSWER_OCTETS).hex()
    pem = b"".join(one.public_bytes(Encoding.PEM) for one in (certificate, *chain))
    content = f"answer: {answer}\n".encode() + pem
    blob = sealed.seal(content, [certificate])
    return Challenge(certificate.serial_number, blob, digest_of(answer))


def read(blob: bytes, key: Any) -> tuple[str, tuple[x509.Certificate, ...]]:
    """Open a challenge with the private key: the answer to send back, and the certificates.

    Raises ``DecryptionFailed``, ``MalformedMail``.
    """
    content = sealed.unseal(blob, key)
    found = _ANSWER.match(content)
    try:
        certificates = tuple(x509.load_pem_x509_certificates(content))
    except ValueError:
        certificates = ()
    if found is None or not certificates:
        raise smime.MalformedMail("this is sealed to the key, but is no challenge of a CA")
    return found[1].decode(), certificates


def digest_of(answer: str) -> bytes:
    """Give the SHA-256 of an answer: what is kept of it."""
    return hashlib.sha256(answer.strip().encode("utf-8", "surrogatepass")).digest()


def find_answer(data: bytes) -> str:
    """Read the answer from what a holder sends back: its line, or all that was sealed.

    Raises ``MalformedMail``.
    """
    found = _ANSWER.match(data if data.endswith(b"\n") else data + b"\n")
    if found is None:
        raise smime.MalformedMail(
            "this is no answer to a challenge", hint="its first line is like `answer: 0123...`"
        )
    return found[1].decode()
