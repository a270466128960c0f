"""What two sides share beforehand: a secret key, a passphrase, or the content key itself.

``SharedKey``, ``Passphrase`` and ``ContentKey`` stand among the readers when sealing and among
the keys when opening. They are for CMS alone: a mail is written to addresses.

Floor:  cms (uses errors)
Source: RFC 5652 §6.2.3 for shared keys, §6.2.4 for passphrases; RFC 3394 for
        AES key wrap, RFC 3211 for the wrap under a passphrase, RFC 8018 for PBKDF2
"""

from __future__ import annotations

import hashlib
import os

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC
from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from smime.cms import algorithms as alg
from smime.cms.ber import octets
from smime.cms.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    children,
    integer,
    octet_string,
    oid_text,
    sequence,
    tlv,
)
from smime.cms.unwrapping import MAX_ROUNDS, Sealed, right_length, substitute, unwrap_aes
from smime.errors import LimitExceeded, MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import NoReturn

    from smime.cms.der import Node
    from smime.cms.unwrapping import Opener, Unwrap

__all__ = ["ContentKey", "Passphrase", "SharedKey", "read_passphrase", "read_shared_key"]

ROUNDS = 600_000  # of PBKDF2-HMAC-SHA-256, as written
SALT_OCTETS = 16
MAX_SALT_OCTETS = 1024

_ZERO, _FOUR = integer(0), integer(4)


class _Secret:
    """What both kinds have in common with an ``OpeningKey``: no certificate, no way out."""

    __slots__ = ("_secret", "key_identifiers", "label")

    certificate = None
    identifier = b""
    modulus_octets = 0
    kind = ""
    version = 0
    """What it makes of an EnvelopedData's version (RFC 5652 §6.1)."""
    curve = ""

    _secret: bytes
    key_identifiers: tuple[bytes, ...]
    label: str

    def __reduce__(self) -> NoReturn:
        raise TypeError("a secret does not leave its process: make it where it is used")


class SharedKey(_Secret):
    """A secret AES key that two sides share, and the name by which both know it.

    ``key`` has 16, 24 or 32 octets, ``identifier`` is any octets that tell it
    from other keys. Raises ``ValueError`` for another length.

    >>> SharedKey(bytes(16), b"july")
    <SharedKey 128 bits, identifier 6a756c79>
    """

    __slots__ = ()

    kind = "shared key"
    version = 2

    def __init__(self, key: bytes, identifier: bytes) -> None:
        if len(key) not in alg.KEY_WRAP:
            raise ValueError(f"a shared key has 16, 24 or 32 octets, not {len(key)}")
        self._secret = bytes(key)
        self.key_identifiers = (bytes(identifier),)
        self.label = f"shared key {self.key_identifiers[0].hex()}"

    def info(self, content_key: bytes, _how: str = "") -> bytes:
        """Return a KEKRecipientInfo."""
        return tlv(
            0xA2,
            _FOUR
            + sequence(octet_string(self.key_identifiers[0]))
            + sequence(alg.KEY_WRAP[len(self._secret)])
            + octet_string(aes_key_wrap(self._secret, content_key)),
        )

    def unwrap(self, sealed: bytes, octets: int, length: int) -> bytes:
        """Return the content key of a length, or nothing; ``octets`` is what the wrap takes."""
        key = self._secret if len(self._secret) == octets else substitute(sealed, octets)
        return unwrap_aes((key,), sealed, length)

    def __repr__(self) -> str:
        name = self.key_identifiers[0].hex()
        return f"<SharedKey {len(self._secret) * 8} bits, identifier {name}>"


class ContentKey(_Secret):
    """The very key that a content is sealed with, where both sides have it already (RFC 5652 §8).

    ``key`` has 16, 24 or 32 octets. Alone in ``to=`` it makes EncryptedData,
    AES-CBC of that length, which nothing authenticates. Prefer a ``SharedKey``:
    under it each message has a content key of its own. Raises ``ValueError``
    for another length.

    >>> ContentKey(bytes(32))
    <ContentKey 256 bits>
    """

    __slots__ = ()

    kind = "content key"

    def __init__(self, key: bytes) -> None:
        if len(key) not in alg.KEY_WRAP:
            raise ValueError(f"a content key has 16, 24 or 32 octets, not {len(key)}")
        self._secret = bytes(key)
        self.key_identifiers = ()
        self.label = "content key"

    @property
    def value(self) -> bytes:
        """The key itself, for the cipher alone."""
        return self._secret

    def info(self, _content_key: bytes, _how: str = "") -> bytes:
        """Refuse: it seals contents and no keys."""
        raise ValueError("a ContentKey seals contents, and no keys")

    def cipher(self, wanted: str) -> str:
        """Return the content cipher for a policy's; raises ``ValueError`` where it does not fit."""
        own = f"aes-{len(self._secret) * 8}-cbc"
        if wanted not in ("auto", own):
            raise ValueError(f"this ContentKey is for {own}, and the policy says cipher={wanted!r}")
        return own

    def __repr__(self) -> str:
        return f"<ContentKey {len(self._secret) * 8} bits>"


class Passphrase(_Secret):
    """A passphrase that two sides share; whoever has the message can try to guess it.

    Text is taken as UTF-8. Raises ``ValueError`` for an empty one.

    >>> Passphrase("correct horse battery staple")
    <Passphrase>
    """

    __slots__ = ()

    kind = "passphrase"
    version = 3

    def __init__(self, passphrase: str | bytes) -> None:
        self._secret = passphrase.encode() if isinstance(passphrase, str) else bytes(passphrase)
        if not self._secret:
            raise ValueError("an empty passphrase protects nothing")
        self.key_identifiers = ()
        self.label = "passphrase"

    def info(self, content_key: bytes, _how: str = "") -> bytes:
        """Return a PasswordRecipientInfo: PBKDF2 with HMAC-SHA-256, then AES-256 twice."""
        salt, iv = os.urandom(SALT_OCTETS), os.urandom(16)
        # RFC 3211 §2.3.1: length, three check octets, the key, and random octets to whole blocks.
        check = bytes(octet ^ 0xFF for octet in content_key[:3])
        block = bytes((len(content_key),)) + check + content_key
        block += os.urandom(max(32, -(-len(block) // 16) * 16) - len(block))
        key = self.derive("sha256", salt, ROUNDS, 32)
        encryptor = Cipher(AES(key), CBC(iv)).encryptor()
        once = encryptor.update(block)
        sealed = encryptor.update(once)  # the second pass goes on where the first ended
        derivation = alg.PBKDF2 + sequence(
            octet_string(salt), integer(ROUNDS), sequence(alg.HMACS["sha256"], b"\x05\x00")
        )
        wrap = sequence(alg.PWRI_KEK, sequence(alg.CIPHERS["aes-256-cbc"][0], octet_string(iv)))
        return tlv(0xA3, _ZERO + tlv(0xA0, derivation) + wrap + octet_string(sealed))

    def derive(self, digest: str, salt: bytes, rounds: int, octets: int) -> bytes:
        """Return the key that PBKDF2 makes of the passphrase."""
        return hashlib.pbkdf2_hmac(digest, self._secret, salt, rounds, octets)

    def __repr__(self) -> str:
        return "<Passphrase>"


def read_shared_key(data: bytes, node: Node) -> Sealed:
    """Read a KEKRecipientInfo."""
    fields = children(data, node)
    if len(fields) < 4 or fields[1][0] != SEQUENCE or fields[3][0] & ~0x20 != OCTET_STRING:
        raise MalformedMail("a shared key recipient does not have the form of one")
    named = children(data, fields[1])
    if not named or named[0][0] & ~0x20 != OCTET_STRING:
        raise MalformedMail("a shared key recipient names no key")
    sealed = octets(data, fields[3])

    def prepare() -> Opener:
        content, _ = _algorithm(data, fields[2])
        wrap = alg.KEY_WRAP_OF.get(content)
        if wrap is None:
            raise NotSupported(f"the key wrap {oid_text(content)} of a shared key is not supported")
        key_octets = wrap

        def unwrap_with(key: SharedKey) -> Unwrap:
            def unwrap(length: int) -> bytes:
                return right_length(key.unwrap(sealed, key_octets, length), length, sealed)

            return unwrap

        return unwrap_with

    return Sealed("shared key", prepare, key_identifier=octets(data, named[0]))


def read_passphrase(data: bytes, node: Node) -> Sealed:
    """Read a PasswordRecipientInfo; ``rounds`` is what opening it costs."""
    fields = children(data, node)
    derivation = fields[1] if len(fields) > 1 and fields[1][0] == 0xA0 else None
    if derivation is not None:
        del fields[1]
    if len(fields) < 3 or fields[1][0] != SEQUENCE or fields[2][0] & ~0x20 != OCTET_STRING:
        raise MalformedMail("a passphrase recipient does not have the form of one")
    sealed = octets(data, fields[2])
    plan: tuple[str, bytes, int, int] | None = None
    why_not = "a passphrase recipient names no derivation, and that is not supported"
    if derivation is not None:
        try:
            plan = _derivation(data, derivation)
        except NotSupported as unknown:
            why_not = str(unknown)

    def prepare() -> Opener:
        if plan is None:
            raise NotSupported(why_not)
        digest, salt, rounds, said = plan
        key_octets, iv = _wrap(data, fields[1])
        if said not in (0, key_octets):
            raise MalformedMail("a passphrase recipient derives a key of the wrong length")
        if len(sealed) < 32 or len(sealed) % 16 or len(sealed) > 512:
            raise MalformedMail("a passphrase recipient holds no wrapped key")

        def unwrap_with(key: Passphrase) -> Unwrap:
            def unwrap(length: int) -> bytes:
                value = _unwrap(key.derive(digest, salt, rounds, key_octets), iv, sealed)
                return right_length(value, length, sealed)

            return unwrap

        return unwrap_with

    return Sealed("passphrase", prepare, rounds=plan[2] if plan else 0)


def _algorithm(data: bytes, node: Node) -> tuple[bytes, Node | None]:
    parts = children(data, node)
    if not parts or parts[0][0] != 0x06:
        raise MalformedMail("a recipient names no algorithm")
    return data[parts[0][2] : parts[0][3]], parts[1] if len(parts) > 1 else None


def _derivation(data: bytes, node: Node) -> tuple[str, bytes, int, int]:
    """Return HMAC, salt, rounds and, if said, the length of PBKDF2 (RFC 8018 A.2)."""
    content, parameters = _algorithm(data, node)
    if content != alg.PBKDF2[2:]:
        raise NotSupported(f"key derivation {oid_text(content)} is not supported")
    parts = children(data, parameters) if parameters and parameters[0] == SEQUENCE else []
    if len(parts) < 2 or parts[0][0] != OCTET_STRING or parts[1][0] != INTEGER:
        raise MalformedMail("a passphrase recipient has no salt or rounds")
    salt = data[parts[0][2] : parts[0][3]]
    rounds = int.from_bytes(data[parts[1][2] : parts[1][3]][:16], "big")
    if rounds > MAX_ROUNDS or parts[1][3] - parts[1][2] > 16:
        raise LimitExceeded(f"a passphrase with more than {MAX_ROUNDS} rounds")
    if not rounds or data[parts[1][2]] & 0x80:
        raise MalformedMail("a passphrase recipient has no rounds")
    if len(salt) > MAX_SALT_OCTETS:
        raise LimitExceeded(f"a salt of more than {MAX_SALT_OCTETS} octets")
    length, digest = 0, "sha1"  # RFC 8018 A.2: what an absent HMAC means
    for one in parts[2:]:
        if one[0] == INTEGER:
            length = int.from_bytes(data[one[2] : one[3]][:4], "big")
        elif one[0] == SEQUENCE:
            digest = alg.named(alg.HMAC_OF, _algorithm(data, one)[0], "HMAC")
    return digest, salt, rounds, length


def _wrap(data: bytes, node: Node) -> tuple[int, bytes]:
    """Return key octets and initialization vector of id-alg-PWRI-KEK."""
    content, parameters = _algorithm(data, node)
    if content != alg.PWRI_KEK[2:] or parameters is None:
        raise NotSupported(f"the key wrap {oid_text(content)} of a passphrase is not supported")
    inner, vector = _algorithm(data, parameters)
    name = alg.CIPHER_OF.get(inner, "")
    if not name.startswith("aes-") or not name.endswith("-cbc"):
        raise NotSupported(f"a passphrase with {name or oid_text(inner)} is not supported")
    iv = data[vector[2] : vector[3]] if vector is not None else b""
    if len(iv) != 16:
        raise MalformedMail("a passphrase recipient has no initialization vector")
    return alg.CIPHERS[name][1], iv


def _unwrap(key: bytes, iv: bytes, sealed: bytes) -> bytes:
    """Return the content key, or nothing if its check octets are not right (RFC 3211 §2.3.2)."""
    # The last block of the first pass is the vector of the second one.
    last = Cipher(AES(key), CBC(sealed[-32:-16])).decryptor().update(sealed[-16:])
    once = Cipher(AES(key), CBC(last)).decryptor().update(sealed)
    block = Cipher(AES(key), CBC(iv)).decryptor().update(once)
    check = [block[at] ^ block[at + 3] for at in (1, 2, 3)]
    value = block[4 : 4 + block[0]]
    return value if check == [0xFF, 0xFF, 0xFF] and len(value) == block[0] else b""
