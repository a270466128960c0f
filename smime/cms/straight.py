"""An ordinary sealed structure opened by the shortest way: straight to its content.

Ordinary is what nearly every mail is: DER, a few recipients, one of them named
by the certificate of a key that is here, AES-CBC or AES-GCM. Which structure it
is shows without any key; all else is ``None`` here, before a key was used, and
is read element by element. What is opened here is opened there to the same
content, and what does not open, does not open there.

Floor:  cms (uses errors)
Source: RFC 5652 §6.1, §6.2; RFC 5083 §2.1
"""

from __future__ import annotations

from smime.cms import agreement, ciphers, transport
from smime.cms import algorithms as alg
from smime.cms.der import INTEGER, NULL, OCTET_STRING, SEQUENCE, SET
from smime.cms.ordinary import content_cipher
from smime.cms.recipients import SEARCHED_OCTETS, OpeningKey, read_one
from smime.errors import SmimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import TypeGuard

    from smime.cms.recipients import Key

__all__ = ["opened"]

# What is more is looked through by what is made for it.
MAX_LOOKED_AT = 4
MAX_KEYS = 16

_ID_DATA = b"\x06\x09" + alg.DATA
_ID_ENVELOPED_DATA = b"\x06\x09" + alg.ENVELOPED_DATA
_ID_AUTH_ENVELOPED_DATA = b"\x06\x0b" + alg.AUTH_ENVELOPED_DATA
_OID = 0x06
_VERSION_0, _VERSION_3 = b"\x02\x01\x00", b"\x02\x01\x03"


class _Unusual(Exception):
    """It is not of the ordinary form."""


def opened(blob: bytes, keys: Sequence[Key]) -> tuple[bytes | None, OpeningKey] | None:
    """Return the content of a ContentInfo and the key that opened it.

    The content is None where it did not open with the key that it names; the
    whole is None for what is not ordinary, and no key was used then.
    """
    if len(keys) > MAX_KEYS:
        return None
    try:
        way = _Way(blob, keys)
    except (_Unusual, IndexError, SmimeError):
        return None
    return way.content(), way.key


class _Way:
    """All that it takes to open a structure, read without using a key."""

    __slots__ = ("_ciphertext", "_name", "_nonce", "_sealed", "_shared", "_tag", "key")

    key: OpeningKey

    def __init__(self, blob: bytes, keys: Sequence[Key]) -> None:
        at, end = _within(blob, 0, SEQUENCE)
        tagged = blob.startswith(_ID_AUTH_ENVELOPED_DATA, at)
        if not tagged and not blob.startswith(_ID_ENVELOPED_DATA, at):
            raise _Unusual
        at += 13 if tagged else 11
        at, explicit = _within(blob, at, 0xA0)
        at, inner = _within(blob, at, SEQUENCE)
        at, version = _within(blob, at, INTEGER)
        at, recipients = _within(blob, version, SET)
        content, described = _within(blob, recipients, SEQUENCE)
        if not blob.startswith(_ID_DATA, content) or not end == explicit == inner == len(blob):
            raise _Unusual
        content += 11
        _, parameters = _within(blob, content, SEQUENCE)
        cipher = content_cipher(blob[content:parameters])
        sealed, behind = _within(blob, parameters, 0x80)
        if cipher is None or behind != described:
            raise _Unusual
        self._name, self._nonce, tag = cipher
        if tagged:
            # Neither attributes before the tag, nor anything behind it.
            tag_at, behind = _within(blob, behind, OCTET_STRING)
            if not tag or behind - tag_at != len(tag):
                raise _Unusual
            tag = blob[tag_at:behind]
        elif tag or (behind - sealed) % 16 or behind == sealed:
            raise _Unusual
        if behind != end:
            raise _Unusual
        self._ciphertext, self._tag = blob[sealed:described], tag
        reader = _Reader()
        reader.look(blob, at, recipients, keys)
        if reader.key is None:
            raise _Unusual
        self.key, self._sealed, self._shared = reader.key, reader.sealed, reader.shared

    def content(self) -> bytes | None:
        """Use the key: return the content, or None where it does not open."""
        octets = alg.CIPHERS[self._name][1]
        if self._shared is None:
            content_key = transport.unwrap(self.key, self._sealed, transport.V15, octets)
        else:
            content_key = agreement.unwrap(self.key, self._shared, self._sealed, octets)
        try:
            return ciphers.unseal(self._name, content_key, self._nonce, self._ciphertext, self._tag)
        except ciphers.BadSeal:
            return None


class _Reader:
    """The recipient that one of the keys is."""

    __slots__ = ("key", "sealed", "shared")

    def __init__(self) -> None:
        self.key: OpeningKey | None = None
        self.sealed = b""
        self.shared: agreement.Shared | None = None

    def look(self, blob: bytes, at: int, end: int, keys: Sequence[Key]) -> None:
        """Find the first recipient that is named by a key; all must have the form of one."""
        if end - at > SEARCHED_OCTETS:
            raise _Unusual
        count = 0
        while at < end:
            count += 1
            if count > MAX_LOOKED_AT:
                raise _Unusual
            tag = blob[at]
            start, behind = _within(blob, at, tag)
            if self.key is not None or not (
                (tag == SEQUENCE and self._transport(blob, start, behind, keys))
                or (tag == 0xA1 and self._agreement(blob, start, behind, keys))
            ):
                self._other(blob, (tag, at, start, behind), keys)
            at = behind
        if at != end:
            raise _Unusual

    def _transport(self, blob: bytes, at: int, end: int, keys: Sequence[Key]) -> bool:
        """Look at a KeyTransRecipientInfo by PKCS #1 v1.5."""
        if not blob.startswith(_VERSION_0, at):
            return False
        at += 3
        for key in keys:
            if key.kind == "rsa" and _is_at(key, blob, at):
                at += len(key.identifier)
                if not blob.startswith(alg.RSA_SIGNATURE, at):
                    return False
                at, behind = _within(blob, at + len(alg.RSA_SIGNATURE), OCTET_STRING)
                if behind != end:
                    return False
                self.key, self.sealed = key, blob[at:end]
                return True
        return False

    def _agreement(self, blob: bytes, at: int, end: int, keys: Sequence[Key]) -> bool:
        """Look at a KeyAgreeRecipientInfo for one reader, from an ephemeral key on a curve."""
        if not blob.startswith(_VERSION_3, at):
            return False
        at, originator = _within(blob, at + 3, 0xA0)
        at, inner = _within(blob, at, 0xA1)
        at, behind = _within(blob, at, SEQUENCE)
        point, key_end = _within(blob, behind, 0x03)
        named = at + len(alg.EC_PUBLIC_KEY)
        if not blob.startswith(alg.EC_PUBLIC_KEY, at) or not originator == inner == key_end:
            return False
        if named != behind:  # the curve, or that nothing is said of it
            _, named = _within(blob, named, NULL[0] if blob[named] == NULL[0] else _OID)
            if named != behind:
                return False
        ukm, at = b"", originator
        if blob[at] == 0xA1:
            start, behind = _within(blob, at, 0xA1)
            start, at = _within(blob, start, OCTET_STRING)
            ukm = blob[start:at]
            if at != behind:
                return False
        _, behind = _within(blob, at, SEQUENCE)
        algorithm = blob[at:behind]
        at, reader = _within(blob, behind, SEQUENCE)
        at, only = _within(blob, at, SEQUENCE)
        if not reader == only == end or alg.WRAP_3DES in algorithm:
            return False
        for key in keys:
            if key.kind == "ec" and _is_at(key, blob, at):
                at, behind = _within(blob, at + len(key.identifier), OCTET_STRING)
                if behind != end:
                    return False
                ways = agreement.ways_of(algorithm, "ec")
                self.key, self.sealed = key, blob[at:end]
                self.shared = ways, blob[point + 1 : key_end], ukm
                return True
        return False

    def _other(self, blob: bytes, node: tuple[int, int, int, int], keys: Sequence[Key]) -> None:
        """Make sure that a recipient is somebody else."""
        others = read_one(blob, node)
        if self.key is None and any(
            one.identifier == key.identifier or one.key_identifier in key.key_identifiers
            for one in others
            for key in keys
        ):
            raise _Unusual


def _is_at(key: Key, blob: bytes, at: int) -> TypeGuard[OpeningKey]:
    """Whether a key that is held here is named at this place by its certificate."""
    return type(key) is OpeningKey and key.identifier != b"" and blob.startswith(key.identifier, at)


def _within(data: bytes, at: int, tag: int) -> tuple[int, int]:
    """Return where the content of an element begins and ends, if it has this tag."""
    length = data[at + 1]
    if data[at] != tag:
        raise _Unusual
    at += 2
    if length >= 0x80:
        count = length & 0x7F
        if not 1 <= count <= 4:
            raise _Unusual
        length = int.from_bytes(data[at : at + count], "big")
        at += count
    if at + length > len(data):
        raise _Unusual
    return at, at + length
