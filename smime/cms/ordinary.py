"""What nearly every message says word for word, read by comparing octets.

All else is ``None`` here and is read element by element; what is read here is
read there to the same values.

Floor:  cms (uses algorithms, attributes, bindings, ciphers)
Source: RFC 3565 §4.1 for AES-CBC; RFC 5084 §3.2 for AES-GCM; RFC 5652 §5 for SignedData
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms.attributes import Attributes
from smime.cms.bindings import check_protection
from smime.cms.ciphers import NONCE_OCTETS, TAG_OCTETS
from smime.cms.der import OCTET_STRING, SEQUENCE, SET, children, integer, octet_string, sequence

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    Sid: TypeAlias = tuple[bytes, bytes, bytes, bytes]

__all__ = ["Detached", "content_cipher", "detached"]

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


class Detached:
    """A detached signature of one signer over plain data, with signed attributes in DER order."""

    __slots__ = ("attributes", "by", "value")

    attributes: Attributes
    by: Sid
    """The certificates, who of them signed, digest and signature algorithm: whole, as they stand.

    Of the same octets the same holds in every message."""
    value: bytes

    def covers(self, digest: bytes) -> bool:
        """Whether the attributes are of a content with this digest, and name nobody else's key."""
        attributes = self.attributes
        return (
            attributes.in_order
            and attributes.message_digest() == digest
            and attributes.content_type() == alg.DATA
            and not attributes.names_certificates()
            and check_protection(attributes, self.by[2], self.by[3]) is None
        )


def detached(blob: bytes) -> Detached | None:
    """Read a detached signature of the usual form; None for any other, good or bad.

    Raises ``MalformedMail`` where an element does not end within the one around it.
    """
    outer = children(blob, (0, 0, 0, len(blob)))
    if len(outer) != 1 or outer[0][0] != SEQUENCE:
        return None
    info = children(blob, outer[0])
    if len(info) != 2 or blob[info[0][1] : info[0][3]] != _SIGNED_DATA or info[1][0] != 0xA0:
        return None
    inner = children(blob, info[1])
    fields = children(blob, inner[0]) if len(inner) == 1 else []
    if [one[0] for one in fields] != _FIELDS or blob[fields[2][2] : fields[2][3]] != _DATA:
        return None  # more fields, or a content
    infos = children(blob, fields[4])
    parts = children(blob, infos[0]) if len(infos) == 1 else []
    if [one[0] for one in parts] != _PARTS:
        return None  # unsigned attributes, or named by key identifier
    _, sid, digest, attributes, signature, value = parts
    found = Detached()
    found.by = (
        blob[fields[3][1] : fields[3][3]],
        blob[sid[1] : sid[3]],
        blob[digest[1] : digest[3]],
        blob[signature[1] : signature[3]],
    )
    found.attributes = Attributes(blob, attributes)
    found.value = blob[value[2] : value[3]]
    return found


_SIGNED_DATA = b"\x06\x09" + alg.SIGNED_DATA
_DATA = b"\x06\x09" + alg.DATA
# version, digests, content, certificates, signers; version, name, digest, attributes, ...
_FIELDS = [0x02, SET, SEQUENCE, 0xA0, SET]
_PARTS = [0x02, SEQUENCE, SEQUENCE, 0xA0, SEQUENCE, OCTET_STRING]
