"""EnvelopedData and AuthEnvelopedData: sealed by joining bytes, opened by one key.

Floor:  cms (uses errors, policy)
Source: RFC 5652 §6; RFC 5083 and RFC 5084 for AES-GCM; RFC 3565 for AES-CBC
"""

from __future__ import annotations

import os

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, GCM

from smime.cms import algorithms as alg
from smime.cms import recipients
from smime.cms.ber import octets, parsed
from smime.cms.content import content_info
from smime.cms.der import (
    OCTET_STRING,
    SEQUENCE,
    SET,
    children,
    enclose,
    head,
    integer,
    octet_string,
    oid_text,
    sequence,
    tlv,
)
from smime.errors import DecryptionFailed, LimitExceeded, MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm

    from smime.cms.der import Node
    from smime.cms.recipients import OpeningKey, RecipientKey, Sealed
    from smime.policy import Policy

__all__ = ["FAILED", "Envelope", "build", "kind_of", "open_with", "read"]

GCM_NONCE_OCTETS = 12  # RFC 5084 §3.2
GCM_TAG_OCTETS = 16
GCM_TAG_OCTETS_MIN = 12  # RFC 5084 allows 12 to 16; the length is not authenticated
GCM_MAX_OCTETS = 2**36 - 32  # NIST SP 800-38D §5.2.1.1

_ID_ENVELOPED_DATA = tlv(0x06, alg.ENVELOPED_DATA)
_ID_AUTH_ENVELOPED_DATA = tlv(0x06, alg.AUTH_ENVELOPED_DATA)
_ID_DATA = tlv(0x06, alg.DATA)
_ZERO, _TWO = integer(0), integer(2)

FAILED = "the content could not be opened with the key that it names"


def kind_of(cipher: str) -> str:
    """Return the CMS content type that a content cipher is carried in."""
    return "authEnvelopedData" if alg.CIPHERS[cipher][2] == "gcm" else "envelopedData"


def build(content: bytes, readers: Sequence[RecipientKey], *, cipher: str, transport: str) -> bytes:
    """Return a ContentInfo that seals ``content`` for the readers, in DER.

    ``cipher`` is a name of ``Policy.cipher`` other than ``auto``, ``transport``
    is ``rsa-v15`` or ``rsa-oaep``. AES-GCM gives AuthEnvelopedData. The content
    key and all nonces are drawn here, fresh for each call.

    Raises ``LimitExceeded`` for content that AES-GCM cannot carry.
    """
    identifier, key_octets, mode, _ = alg.CIPHERS[cipher]
    key = os.urandom(key_octets)
    infos, not_version_0 = recipients.seal(key, readers, transport)
    tail: list[bytes] = []
    if mode == "gcm":
        if len(content) > GCM_MAX_OCTETS:
            raise LimitExceeded("AES-GCM cannot carry so much", hint="use AES-256-CBC")
        nonce = os.urandom(GCM_NONCE_OCTETS)
        sealed = AESGCM(key).encrypt(nonce, content, None)
        ciphertext = sealed[:-GCM_TAG_OCTETS]
        tail = [octet_string(sealed[-GCM_TAG_OCTETS:])]
        parameters = sequence(octet_string(nonce), integer(GCM_TAG_OCTETS))
        start, outer = _ZERO + infos, _ID_AUTH_ENVELOPED_DATA
    else:
        iv = os.urandom(16)
        ciphertext = _encrypt_cbc(key, iv, content)
        parameters = octet_string(iv)
        # RFC 5652 §6.1: version 2 as soon as a recipient is not version 0.
        start, outer = (_TWO if not_version_0 else _ZERO) + infos, _ID_ENVELOPED_DATA
    algorithm = sequence(identifier, parameters)
    parts = [_ID_DATA, algorithm, head(0x80, len(ciphertext)), ciphertext]
    parts = [start, *enclose(0x30, parts), *tail]
    parts = [outer, *enclose(0xA0, enclose(0x30, parts))]
    return b"".join(enclose(0x30, parts))


def _encrypt_cbc(key: bytes, iv: bytes, content: bytes) -> bytes:
    encryptor = Cipher(AES(key), CBC(iv)).encryptor()
    pad = 16 - len(content) % 16  # RFC 5652 §6.3
    return encryptor.update(content + bytes((pad,)) * pad) + encryptor.finalize()


class Envelope:
    """A sealed structure as it arrived."""

    __slots__ = (
        "aad",
        "authenticated",
        "cipher",
        "ciphertext",
        "content_type",
        "nonce",
        "sealed",
        "tag",
        "why_not",
    )

    authenticated: bool
    """AuthEnvelopedData: a tag shows whether the content was changed."""
    cipher: str
    """Name of the content cipher; its dotted identifier if it is not known."""
    why_not: str
    """Why the content cannot be opened here whatever the key: an unknown cipher."""
    content_type: bytes
    nonce: bytes
    ciphertext: bytes
    tag: bytes
    aad: bytes
    sealed: list[Sealed]

    @property
    def label(self) -> str:
        """Name of the content cipher for people."""
        return alg.CIPHERS[self.cipher][3] if self.cipher in alg.CIPHERS else self.cipher


def read(blob: bytes) -> Envelope:
    """Read a ContentInfo with EnvelopedData or AuthEnvelopedData, BER or DER.

    Raises ``MalformedMail`` for anything else.
    """
    return parsed(blob, _read)


def _read(data: bytes) -> Envelope:
    kind, inner = content_info(data)
    if kind not in (alg.ENVELOPED_DATA, alg.AUTH_ENVELOPED_DATA):
        raise MalformedMail(
            f"this is {alg.CONTENT_TYPES.get(kind, oid_text(kind))}, not envelopedData"
        )
    fields = children(data, inner)
    if inner[0] != SEQUENCE or not fields:
        raise MalformedMail("the envelopedData does not have the form of one")
    rest = fields[1:]
    if rest and rest[0][0] == 0xA0:
        rest = rest[1:]  # originatorInfo: certificates and CRLs, not needed to open
    if len(rest) < 2 or rest[0][0] != SET or rest[1][0] != SEQUENCE:
        raise MalformedMail("the envelopedData does not have the form of one")
    found = Envelope()
    found.authenticated = kind == alg.AUTH_ENVELOPED_DATA
    found.sealed = recipients.read(data, rest[0])
    found.tag = found.aad = found.nonce = b""
    # Where nobody can be a recipient here, no key would help.
    hopeless = found.sealed and all(one.why_not for one in found.sealed)
    found.why_not = found.sealed[0].why_not if hopeless else ""
    _read_content(data, rest[1], found)
    if found.authenticated:
        _read_tag(data, rest[2:], found)
    return found


def _read_content(data: bytes, node: Node, found: Envelope) -> None:
    """Read EncryptedContentInfo (RFC 5652 §6.1)."""
    parts = children(data, node)
    if len(parts) < 2 or parts[0][0] != 0x06 or parts[1][0] != SEQUENCE:
        raise MalformedMail("the encrypted content does not have the form of one")
    if len(parts) < 3 or parts[2][0] not in (0x80, 0xA0):
        raise MalformedMail("the encrypted content is not there")
    found.content_type = data[parts[0][2] : parts[0][3]]
    found.ciphertext = octets(data, parts[2])
    algorithm = children(data, parts[1])
    if not algorithm or algorithm[0][0] != 0x06:
        raise MalformedMail("the encrypted content names no cipher")
    identifier = data[algorithm[0][2] : algorithm[0][3]]
    found.cipher = alg.CIPHER_OF.get(identifier, oid_text(identifier))
    if found.cipher not in alg.CIPHERS:
        found.why_not = f"content cipher {found.cipher} is not supported"
        return
    mode = alg.CIPHERS[found.cipher][2]
    if (mode == "gcm") != found.authenticated:
        found.why_not = f"{found.label} in this structure is not standard and not supported"
        return
    parameters = algorithm[1] if len(algorithm) > 1 else None
    if mode == "cbc":
        if parameters is None or parameters[0] != OCTET_STRING:
            raise MalformedMail("the content cipher has no initialization vector")
        found.nonce = data[parameters[2] : parameters[3]]
        block = 8 if found.cipher == "3des-cbc" else 16
        if len(found.nonce) != block or not found.ciphertext or len(found.ciphertext) % block:
            raise MalformedMail("the encrypted content is not a whole number of blocks")
        return
    values = children(data, parameters) if parameters and parameters[0] == SEQUENCE else []
    if not values or values[0][0] != OCTET_STRING:
        raise MalformedMail("the content cipher has no nonce")
    found.nonce = data[values[0][2] : values[0][3]]
    if not 8 <= len(found.nonce) <= 64:
        raise MalformedMail("the nonce of AES-GCM has a length that cannot be")
    length = int.from_bytes(data[values[1][2] : values[1][3]], "big") if len(values) > 1 else 12
    found.tag = bytes(length) if GCM_TAG_OCTETS_MIN <= length <= GCM_TAG_OCTETS else b""
    if not found.tag:
        raise MalformedMail(f"a tag of {length} octets does not protect the content")


def _read_tag(data: bytes, rest: list[Node], found: Envelope) -> None:
    """Read authAttrs and mac of AuthEnvelopedData (RFC 5083 §2.1)."""
    for node in rest:
        if node[0] == 0xA1:
            # The tag covers the attributes as DER SET OF, not as [1] (RFC 5083 §2.2).
            attributes = sorted(data[one[1] : one[3]] for one in children(data, node))
            found.aad = tlv(SET, b"".join(attributes))
        elif node[0] & ~0x20 == OCTET_STRING:
            tag = octets(data, node)
            if found.tag and len(tag) != len(found.tag):
                raise MalformedMail("the tag has another length than the message says")
            found.tag = tag
            return
    raise MalformedMail("the tag that protects the content is not there")


def open_with(
    envelope: Envelope, keys: Iterable[OpeningKey], policy: Policy
) -> tuple[bytes, OpeningKey]:
    """Return the content and the key that opened it.

    Raises ``NotSupported`` for a cipher that is not known or that the policy
    does not allow, and ``DecryptionFailed``: either no recipient is one of the
    keys, which is visible to everybody, or the one message for all else.
    """
    if envelope.why_not:
        raise NotSupported(envelope.why_not)
    alg.refuse_weak(envelope.cipher, policy)
    keys = tuple(keys)
    ways = recipients.find(envelope.sealed, keys)
    if not ways:
        names = "; ".join(dict.fromkeys(one.name for one in envelope.sealed[:8]))
        raise DecryptionFailed(
            "the mail is not sealed for any of the keys given",
            hint=f"it is sealed for {names or 'nobody'}"
            + (f" and {len(envelope.sealed) - 8} more" if len(envelope.sealed) > 8 else ""),
        )
    length = alg.CIPHERS[envelope.cipher][1]
    opened: list[tuple[bytes, OpeningKey]] = []
    for key, sealed in ways:
        if sealed.unwrap_with is None:
            continue
        content = _decrypt(envelope, sealed.unwrap_with(key)(length))
        if content is not None:
            opened.append((content, key))
    # Several can only be tried for a key without certificate, and unwrapping
    # "works" for each: only one that opens the content in all is believed.
    if len(opened) != 1:
        raise DecryptionFailed(FAILED)
    return opened[0]


def _decrypt(envelope: Envelope, key: bytes) -> bytes | None:
    """Return the content, or None if padding or tag is not right."""
    if envelope.authenticated:
        try:
            return _decrypt_gcm(envelope, key)
        except InvalidTag:
            return None
    plain = _decrypt_cbc(envelope, key)
    pad = plain[-1]
    block = len(envelope.nonce)
    if not 1 <= pad <= block or plain[-pad:] != bytes((pad,)) * pad:
        return None
    return plain[:-pad]


def _decrypt_gcm(envelope: Envelope, key: bytes) -> bytes:
    mode = GCM(envelope.nonce, envelope.tag, min_tag_length=len(envelope.tag))
    decryptor = Cipher(AES(key), mode).decryptor()
    if envelope.aad:
        decryptor.authenticate_additional_data(envelope.aad)
    return decryptor.update(envelope.ciphertext) + decryptor.finalize()


def _decrypt_cbc(envelope: Envelope, key: bytes) -> bytes:
    cipher: BlockCipherAlgorithm = AES(key) if envelope.cipher != "3des-cbc" else _triple_des(key)
    decryptor = Cipher(cipher, CBC(envelope.nonce)).decryptor()
    return decryptor.update(envelope.ciphertext) + decryptor.finalize()


def _triple_des(key: bytes) -> BlockCipherAlgorithm:
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES

    return TripleDES(key)
