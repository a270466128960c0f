"""Octets sealed to certificates, for the archive of keys and for challenges.

Always AES-256-GCM: what opens is what was sealed, to the last bit.

Floor:  sealed (uses smime.cms)
Source: RFC 5083 and RFC 5084 for AuthEnvelopedData
"""

from __future__ import annotations

import smime
from smime import cms

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cryptography import x509

__all__ = ["readers_of", "seal", "unseal"]

_POLICY = smime.Policy.modern().replace(cipher="aes-256-gcm", key_transport="rsa-oaep")


def seal(content: bytes, to: Iterable[x509.Certificate]) -> bytes:
    """Seal to one or several certificates, each of which alone opens it; DER.

    Raises ``NotSupported`` for a kind of key that cannot be written to, ``KeyProblem`` for a
    certificate that has ended or does not read.
    """
    return cms.encrypt(content, to=list(to), policy=_POLICY)


def unseal(blob: bytes, keys: Any) -> bytes:
    """Open with an ``Identity``, or with a private key that has no certificate yet.

    Raises ``DecryptionFailed``, and ``MalformedMail`` if it is not sealed by ``seal``.
    """
    if not cms.inspect(blob).get("authenticated"):
        # A form without a tag could be made from ours by who has neither key.
        raise smime.MalformedMail("this was not sealed by a CA: nothing shows a change in it")
    return cms.decrypt(blob, keys=keys)


def readers_of(blob: bytes) -> frozenset[str]:
    """Name those who can open it, by issuer and serial number; no key is needed.

    Raises ``MalformedMail``.
    """
    return frozenset(one["identifier"] for one in cms.inspect(blob).get("recipients", ()))
