"""EnvelopedData, AuthEnvelopedData, EncryptedData: sealed by joining bytes, opened by one key.

Floor:  cms (uses errors, policy)
Source: RFC 5652 §6, §8; RFC 5083 and RFC 5084 for AES-GCM; RFC 3565 for AES-CBC;
        RFC 9709 for content keys that are derived
"""

from __future__ import annotations

import os
from functools import cache

from smime.cms import algorithms as alg
from smime.cms import ciphers, recipients
from smime.cms.ber import octets, parsed
from smime.cms.content import content_info
from smime.cms.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    SET,
    around,
    children,
    head,
    integer,
    octet_string,
    oid_text,
    sequence,
    tlv,
    top,
)
from smime.cms.extras import PLAIN, check_authenticated, read_attributes
from smime.cms.ordinary import content_cipher
from smime.errors import DecryptionFailed, MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smime.cms.der import Node
    from smime.cms.extras import Extras
    from smime.cms.recipients import Key, Reader, Recipients
    from smime.policy import Policy

__all__ = [
    "FAILED",
    "PLACE_HOLDER",
    "Envelope",
    "Frame",
    "around_nonce",
    "build",
    "content_keys",
    "kind_of",
    "open_with",
    "read",
    "read_head",
    "read_tail",
    "start_of",
]

RC2_VERSION_128 = 58  # RFC 3370 §5.2: how 128 effective bits are written

_ID_ENVELOPED_DATA = tlv(0x06, alg.ENVELOPED_DATA)
_ID_AUTH_ENVELOPED_DATA = tlv(0x06, alg.AUTH_ENVELOPED_DATA)
_ID_ENCRYPTED_DATA = tlv(0x06, alg.ENCRYPTED_DATA)
_VERSIONS = tuple(integer(number) for number in range(5))  # RFC 5652 §6.1
_ZERO = _VERSIONS[0]

FAILED = "the content could not be opened with the key that it names"


def kind_of(cipher: str) -> str:
    """Return the CMS content type that a content cipher is carried in."""
    return "envelopedData" if alg.CIPHERS[cipher][2] == "cbc" else "authEnvelopedData"


def build(
    content: bytes,
    readers: Sequence[Reader],
    *,
    cipher: str,
    transport: str,
    derived: bool = False,
    extras: Extras = PLAIN,
) -> bytes:
    """Return a ContentInfo that seals ``content`` for the readers, in DER.

    ``cipher`` is a name of ``Policy.cipher`` other than ``auto``, ``transport``
    is ``rsa-v15`` or ``rsa-oaep``. AES-GCM gives AuthEnvelopedData. With
    ``derived`` the readers get what the content key is derived from. The content
    key and all nonces are drawn here, fresh for each call. A lone ``ContentKey``
    among the readers gives EncryptedData.

    Raises ``LimitExceeded`` for content that AES-GCM cannot carry.
    """
    frame = Frame(readers, cipher, transport, derived, extras)
    ciphertext, tag = ciphers.seal(cipher, frame.key, frame.nonce, content, extras.authenticated)
    tail = extras.tail(tag)
    return b"".join((*frame.before(len(ciphertext), len(tail)), ciphertext, tail))


class Frame:
    """What stands around a content that is sealed, with the key and nonce it is sealed with."""

    __slots__ = ("described", "extras", "key", "nonce", "outer", "start")

    key: bytes
    """What the content is encrypted with."""
    nonce: bytes
    outer: bytes
    """The content type of the whole."""
    start: bytes
    """Version and recipients."""
    described: bytes
    """Type of the content, and the cipher with its parameters."""

    def __init__(
        self,
        readers: Sequence[Reader],
        cipher: str,
        transport: str,
        derived: bool = False,
        extras: Extras = PLAIN,
    ) -> None:
        _, key_octets, mode, _ = alg.CIPHERS[cipher]
        self.nonce = os.urandom(ciphers.NONCE_OCTETS[mode])
        before_nonce, after_nonce = around_nonce(cipher)
        algorithm = before_nonce + self.nonce + after_nonce
        self.extras = extras
        if readers[0].kind == "content key":
            self._start_encrypted(readers)
        else:
            self.key = os.urandom(key_octets)
            infos, version = recipients.seal(self.key, readers, transport)
            # RFC 5652 §6.1: 2 with unprotected attributes.
            version = max(version, 2) if extras.unprotected else version
            self.outer, version_der = start_of(mode, version)
            self.start = version_der + infos
        if derived:
            self.key = ciphers.derive(self.key, algorithm)
            algorithm = sequence(alg.CEK_HKDF_SHA256, algorithm)
        self.described = extras.identifier + algorithm

    def _start_encrypted(self, readers: Sequence[Reader]) -> None:
        """Begin an EncryptedData: both sides have the key already (RFC 5652 §8)."""
        from smime.cms.shared_keys import ContentKey

        (reader,) = readers
        assert isinstance(reader, ContentKey)
        self.key = reader.value
        self.outer = _ID_ENCRYPTED_DATA
        self.start = _VERSIONS[2] if self.extras.unprotected else _ZERO

    def before(self, octets: int, tail_octets: int) -> tuple[bytes, ...]:
        """Return what stands before so many octets of ciphertext, and a tail, in DER.

        In pieces, outermost first, for the lengths grow from the inside out.
        """
        string = head(0x80, octets)
        length = len(self.described) + len(string) + octets
        content = head(SEQUENCE, length)
        length += len(self.start) + len(content) + tail_octets
        within = head(SEQUENCE, length)
        length += len(within)
        explicit = head(0xA0, length)
        length += len(self.outer) + len(explicit)
        whole = head(SEQUENCE, length)
        return whole, self.outer, explicit, within, self.start, content, self.described, string

    def __repr__(self) -> str:
        return "<Frame of a sealed content>"


def start_of(mode: str, version: int) -> tuple[bytes, bytes]:
    """Return the content type of the whole and its version, in DER.

    ``version`` is what recipients and attributes make of an EnvelopedData's; that of
    AuthEnvelopedData is always 0 (RFC 5083 §2.1).
    """
    if mode == "cbc":
        return _ID_ENVELOPED_DATA, _VERSIONS[version]
    return _ID_AUTH_ENVELOPED_DATA, _ZERO


@cache
def around_nonce(cipher: str) -> tuple[bytes, bytes]:
    """Return what stands around the nonce in the AlgorithmIdentifier of a cipher, as written."""
    identifier, _, mode, _ = alg.CIPHERS[cipher]

    def write(nonce: bytes) -> bytes:
        parameters = octet_string(nonce)
        if mode in ("gcm", "ccm"):
            parameters = sequence(parameters, integer(ciphers.TAG_OCTETS))
        return sequence(identifier, parameters)

    return around(write, ciphers.NONCE_OCTETS[mode])


class Envelope:
    """A sealed structure as it arrived."""

    __slots__ = (
        "aad",
        "authenticated",
        "by_content_key",
        "cipher",
        "ciphertext",
        "content_type",
        "derived_for",
        "nonce",
        "opened_by",
        "sealed",
        "tag",
        "tag_inside",
        "unprotected",
        "why_not",
    )

    authenticated: bool
    """AuthEnvelopedData: a tag shows whether the content was changed."""
    cipher: str
    """Name of the content cipher; its dotted identifier if it is not known."""
    why_not: str
    """Why the content cannot be opened here whatever the key: an unknown cipher."""
    opened_by: Key
    """The key that opened it, once one did."""
    content_type: bytes
    nonce: bytes
    ciphertext: bytes
    tag: bytes
    tag_inside: bool
    """The tag ends the encrypted content: AES-GCM in a structure that has no place for it."""
    aad: bytes
    """Authenticated attributes as SET OF in DER."""
    unprotected: bytes
    """Attributes that nothing protects, as SET OF in DER."""
    derived_for: bytes
    """The AlgorithmIdentifier that the content key is derived for (RFC 9709), or nothing."""
    by_content_key: bool
    """EncryptedData: whoever opens it has the content key already."""
    sealed: Recipients

    @property
    def label(self) -> str:
        """Name of the content cipher for people."""
        return alg.CIPHERS[self.cipher][3] if self.cipher in alg.CIPHERS else self.cipher

    @property
    def tagged(self) -> bool:
        """A tag shows whether the content was changed."""
        return self.authenticated or self.tag_inside

    @property
    def tag_note(self) -> str:
        """What is to be said of a tag that is shorter than usual; empty for others."""
        if not self.tag or len(self.tag) >= ciphers.TAG_OCTETS:
            return ""
        return f"the tag that protects the content has {len(self.tag)} octets, and not the usual 16"


def read(blob: bytes) -> Envelope:
    """Read a ContentInfo with EnvelopedData, AuthEnvelopedData or EncryptedData, BER or DER.

    Raises ``MalformedMail`` for anything else.
    """
    return parsed(blob, _read_all)


# Stands for a content that is read later: whole blocks of any cipher.
PLACE_HOLDER = tlv(0x80, bytes(16))


def read_head(blob: bytes) -> Envelope:
    """Read one that has ``PLACE_HOLDER`` in place of its content, and nothing after it.

    Of ``tag`` the length alone is right, and ``aad`` is still to come.
    """
    return parsed(blob, _read)[0]


def read_tail(found: Envelope, blob: bytes) -> None:
    """Take in what stands behind the content: the elements one after the other."""
    parsed(tlv(SEQUENCE, blob), lambda data: _read_tail(data, children(data, top(data)), found))


def _read_all(data: bytes) -> Envelope:
    found, rest = _read(data)
    if rest or found.authenticated:
        _read_tail(data, rest, found)
    return found


def _read(data: bytes) -> tuple[Envelope, list[Node]]:
    kind, inner = content_info(data)
    if kind not in (alg.ENVELOPED_DATA, alg.AUTH_ENVELOPED_DATA, alg.ENCRYPTED_DATA):
        raise MalformedMail(
            f"this is {alg.CONTENT_TYPES.get(kind, oid_text(kind))}, not envelopedData"
        )
    fields = children(data, inner)
    if inner[0] != SEQUENCE or not fields:
        raise MalformedMail("the envelopedData does not have the form of one")
    found = Envelope()
    found.authenticated = kind == alg.AUTH_ENVELOPED_DATA
    found.by_content_key = kind == alg.ENCRYPTED_DATA
    rest = fields[1:]
    if found.by_content_key:
        found.sealed = recipients.NOBODY
    else:
        if rest and rest[0][0] == 0xA0:
            rest = rest[1:]  # originatorInfo: certificates and CRLs, not needed to open
        if not rest or rest[0][0] != SET:
            raise MalformedMail("the envelopedData does not have the form of one")
        found.sealed = recipients.read(data, rest[0])
        rest = rest[1:]
    if not rest or rest[0][0] != SEQUENCE:
        raise MalformedMail("the envelopedData does not have the form of one")
    found.tag = found.aad = found.nonce = found.unprotected = found.derived_for = b""
    found.tag_inside = False
    found.why_not = ""
    _read_content(data, rest[0], found)
    return found, rest[1:]


def _read_content(data: bytes, node: Node, found: Envelope) -> None:
    """Read EncryptedContentInfo (RFC 5652 §6.1)."""
    parts = children(data, node)
    if len(parts) < 2 or parts[0][0] != 0x06 or parts[1][0] != SEQUENCE:
        raise MalformedMail("the encrypted content does not have the form of one")
    if len(parts) < 3 or parts[2][0] not in (0x80, 0xA0):
        raise MalformedMail("the encrypted content is not there")
    found.content_type = data[parts[0][2] : parts[0][3]]
    found.ciphertext = octets(data, parts[2])
    ordinary = content_cipher(data[parts[1][1] : parts[1][3]])
    if ordinary is not None and found.authenticated == bool(ordinary[2]):
        found.cipher, found.nonce, found.tag = ordinary
        _check_octets(found)
        return
    algorithm = children(data, parts[1])
    if not algorithm or algorithm[0][0] != 0x06:
        raise MalformedMail("the encrypted content names no cipher")
    identifier = data[algorithm[0][2] : algorithm[0][3]]
    if identifier == alg.CEK_HKDF_SHA256[2:] and len(algorithm) == 2:
        inner = algorithm[1]
        algorithm = children(data, inner) if inner[0] == SEQUENCE else []
        if not algorithm or algorithm[0][0] != 0x06:
            raise MalformedMail("the encrypted content names no cipher")
        found.derived_for = data[inner[1] : inner[3]]
        identifier = data[algorithm[0][2] : algorithm[0][3]]
    found.cipher = alg.CIPHER_OF.get(identifier) or alg.called(identifier)
    if found.cipher not in alg.CIPHERS:
        found.why_not = f"content cipher {found.cipher} is not supported"
        return
    mode = alg.CIPHERS[found.cipher][2]
    found.tag_inside = mode == "gcm" and not (found.authenticated or found.by_content_key)
    if (mode != "cbc") != found.tagged:
        found.why_not = f"{found.label} in this structure is not standard and not supported"
        return
    _read_parameters(data, algorithm[1] if len(algorithm) > 1 else None, found)
    if found.tag_inside:
        if len(found.ciphertext) < len(found.tag):
            raise MalformedMail("the tag that protects the content is not there")
        found.tag = found.ciphertext[-len(found.tag) :]
        found.ciphertext = found.ciphertext[: -len(found.tag)]
    _check_octets(found)


def _check_octets(found: Envelope) -> None:
    """Say whether the cipher can have made so many octets."""
    if found.tag:
        ciphers.check_length(found.cipher, len(found.nonce), len(found.ciphertext))
    elif not found.ciphertext or len(found.ciphertext) % len(found.nonce):
        raise MalformedMail("the encrypted content is not a whole number of blocks")


def _read_parameters(data: bytes, node: Node | None, found: Envelope) -> None:
    """Read initialization vector, or nonce and length of the tag."""
    name, mode = found.cipher, alg.CIPHERS[found.cipher][2]
    values = [node] if node is not None else []
    tag_octets = ciphers.TAG_OCTETS if mode == "chacha" else 0
    if node is not None and node[0] == SEQUENCE:
        values = children(data, node)
        if name == "rc2-128-cbc" and len(values) == 2 and values[0][0] == INTEGER:
            version = int.from_bytes(data[values[0][2] : values[0][3]], "big")
            if version != RC2_VERSION_128:
                found.why_not = "RC2 with a key of other than 128 bits is not supported"
            values = values[1:]
        elif mode in ("gcm", "ccm"):
            # RFC 5084 §3: what is absent is 12.
            last = values[1] if len(values) > 1 else None
            tag_octets = int.from_bytes(data[last[2] : last[3]][:4], "big") if last else 12
            if last and last[3] - last[2] > 4:
                raise MalformedMail("a tag of so many octets does not protect the content")
    if not values or values[0][0] != OCTET_STRING:
        raise MalformedMail("the content cipher has no initialization vector or nonce")
    found.nonce = data[values[0][2] : values[0][3]]
    if not ciphers.nonce_fits(name, len(found.nonce)):
        raise MalformedMail(f"the nonce of {found.label} has a length that cannot be")
    if not ciphers.tag_fits(name, tag_octets):
        raise MalformedMail(f"a tag of {tag_octets} octets does not protect the content")
    found.tag = bytes(tag_octets)


def _read_tail(data: bytes, rest: list[Node], found: Envelope) -> None:
    """Read attributes and mac behind the content (RFC 5083 §2.1, RFC 5652 §6.1)."""
    outside = 0xA1
    if found.authenticated:
        outside = 0xA2
        if rest and rest[0][0] == 0xA1:
            # The tag covers the attributes as DER SET OF, not as [1] (RFC 5083 §2.2).
            found.aad = read_attributes(data, rest[0])
            rest = rest[1:]
        check_authenticated(found.aad, found.content_type)
        if not rest or rest[0][0] & ~0x20 != OCTET_STRING:
            raise MalformedMail("the tag that protects the content is not there")
        tag = octets(data, rest[0])
        if found.tag and len(tag) != len(found.tag):
            raise MalformedMail("the tag has another length than the message says")
        found.tag = tag
        rest = rest[1:]
    if rest and rest[0][0] == outside:
        found.unprotected = read_attributes(data, rest[0])


def open_with(envelope: Envelope, keys: Iterable[Key], policy: Policy) -> tuple[bytes, Key]:
    """Return the content and the key that opened it.

    Raises what ``content_keys`` raises, and ``DecryptionFailed`` with one
    message whichever step failed.
    """
    opened: list[tuple[bytes, Key, bytes]] = []
    for key, content_key in content_keys(envelope, keys, policy):
        content = _decrypt(envelope, content_key)
        if content is not None:
            opened.append((content, key, content_key))
    # Several can only be tried for a key without certificate, and unwrapping
    # "works" for each: only one that opens the content in all is believed. It
    # comes more than once where several of the keys are among the readers.
    if len({content_key for _, _, content_key in opened}) != 1:
        raise DecryptionFailed(FAILED)
    return opened[0][:2]


def content_keys(
    envelope: Envelope, keys: Iterable[Key], policy: Policy
) -> list[tuple[Key, bytes]]:
    """Return what may be the content key, and whose key gave it; each is to be tried.

    Where a key gives none, a value nobody can predict stands for it. Raises
    ``NotSupported`` for a cipher that is not known or that the policy
    does not allow, and ``DecryptionFailed`` where no recipient is one of the
    keys, which is visible to everybody.
    """
    if envelope.why_not:
        raise NotSupported(envelope.why_not)
    alg.refuse_weak(envelope.cipher, policy)
    if envelope.tag_inside and "gcm-in-enveloped" not in policy.weak:
        raise NotSupported(
            f"{envelope.label} in this structure is not standard and not supported",
            hint="where a sender does so all the same: policy=Policy(weak=['gcm-in-enveloped'])",
        )
    keys = tuple(keys)
    if envelope.by_content_key:
        return _given(envelope, keys)
    octets_of_key = alg.CIPHERS[envelope.cipher][1]
    found = recipients.unwrapped(envelope.sealed, keys, octets_of_key, policy)
    if envelope.derived_for:
        found = [
            (key, ciphers.derive(content_key, envelope.derived_for)) for key, content_key in found
        ]
    return found


def _given(envelope: Envelope, keys: Sequence[Key]) -> list[tuple[Key, bytes]]:
    """Return the content keys that were given, of those with the length that is needed."""
    from smime.cms.shared_keys import ContentKey

    length = alg.CIPHERS[envelope.cipher][1]
    found: list[tuple[Key, bytes]] = [
        (one, one.value) for one in keys if isinstance(one, ContentKey) and len(one.value) == length
    ]
    if not found:
        raise DecryptionFailed(
            "no content key of the right length was given",
            hint=f"{envelope.label} takes {length} octets: keys=cms.ContentKey(...)",
        )
    if envelope.derived_for:
        found = [(one, ciphers.derive(value, envelope.derived_for)) for one, value in found]
    return found


def _decrypt(envelope: Envelope, key: bytes) -> bytes | None:
    """Return the content, or None if padding or tag is not right."""
    try:
        return ciphers.unseal(
            envelope.cipher, key, envelope.nonce, envelope.ciphertext, envelope.tag, envelope.aad
        )
    except ciphers.BadSeal:
        return None
