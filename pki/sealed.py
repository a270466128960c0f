"""Octets sealed to certificates, for the archive of keys and for challenges.

Always AES-256-GCM: what opens is what was sealed, to the last bit.

Floor:  sealed (uses smime.cms)
Source: RFC 5083 and RFC 5084 for AuthEnvelopedData
"""

from __future__ import annotations

import smime
from smime.cms import OpeningKey, enveloped

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any

    from cryptography import x509

__all__ = ["seal", "unseal"]

_CIPHER = "aes-256-gcm"


def seal(content: bytes, to: Iterable[x509.Certificate]) -> bytes:
    """Seal to one or several certificates, each of which alone opens it; DER.

    Raises ``NotSupported`` for a kind of key that cannot be written to.
    """
    readers = [smime.Recipient(one).recipient_key for one in to]
    return enveloped.build(content, readers, cipher=_CIPHER, transport="rsa-oaep")


def unseal(blob: bytes, keys: Any) -> bytes:
    """Open with an ``Identity``, or with a private key that has no certificate yet.

    Raises ``DecryptionFailed``, and ``MalformedMail`` if it is not sealed by ``seal``.
    """
    envelope = enveloped.read(blob)
    if not envelope.authenticated:
        # A form without a tag could be made from ours by who has neither key.
        raise smime.MalformedMail("this was not sealed by a CA: nothing shows a change in it")
    known = isinstance(keys, smime.Identity)
    opening = keys.opening_keys if known else (OpeningKey(keys, None),)
    content, _ = enveloped.open_with(envelope, opening, smime.Policy.modern())
    return content
