"""What nearly every message says word for word, read by comparing octets.

All else is ``None`` here and is read element by element; what is read here is
read there to the same values.

Floor:  cms (uses algorithms, ciphers)
Source: RFC 3565 §4.1 for AES-CBC; RFC 5084 §3.2 for AES-GCM
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms.ciphers import NONCE_OCTETS, TAG_OCTETS
from smime.cms.der import integer, octet_string, sequence

__all__ = ["content_cipher"]

_BEGINNING = 15  # octets up to the parameters: of AES-CBC one OCTET STRING, of AES-GCM a SEQUENCE


def content_cipher(algorithm: bytes) -> tuple[str, bytes, bytes] | None:
    """Return name, nonce and room for the tag of a contentEncryptionAlgorithm.

    >>> content_cipher(bytes.fromhex("301d060960864801650304012a0410") + b"sixteen octets..")
    ('aes-256-cbc', b'sixteen octets..', b'')
    """
    found = _CIPHERS.get(algorithm[:_BEGINNING])
    if found is None:
        return None
    name, tag, length, before, after = found
    end = length - len(after)
    if (
        len(algorithm) != length
        or not algorithm.startswith(before, _BEGINNING)
        or algorithm[end:] != after
    ):
        return None
    return name, algorithm[_BEGINNING + len(before) : end], tag


def _written(name: str) -> tuple[bytes, tuple[str, bytes, int, bytes, bytes]]:
    """Return how it begins; name, tag, length, and what stands before and after the nonce."""
    identifier, _, mode, _ = alg.CIPHERS[name]
    nonce = octet_string(bytes(NONCE_OCTETS[mode]))
    if mode == "cbc":
        whole = sequence(identifier, nonce)
        return whole[:_BEGINNING], (name, b"", len(whole), b"", b"")
    after = integer(TAG_OCTETS)
    whole = sequence(identifier, sequence(nonce, after))
    return whole[:_BEGINNING], (name, bytes(TAG_OCTETS), len(whole), nonce[:2], after)


_CIPHERS = dict(
    _written(name)
    for name, (_, _, mode, _) in alg.CIPHERS.items()
    if name.startswith("aes-") and mode in ("cbc", "gcm")
)
