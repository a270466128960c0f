"""Content ciphers: one shape for all of them, in one call or piece by piece.

``encryptor`` and ``decryptor`` take pieces of any size; ``seal`` and ``unseal``
do the same in one call and are quicker for what is in memory. What a decryptor
gives out before ``finalize`` returned is not authenticated: who calls it keeps
it back until then.

Floor:  cms (uses errors, algorithms)
Source: RFC 3565 and RFC 5652 §6.3 for AES-CBC; RFC 5084 for AES-GCM and AES-CCM;
        RFC 8103 and RFC 8439 §2.8 for ChaCha20-Poly1305; RFC 3370 §5 for 3DES, RC2;
        RFC 9709 for content keys that are derived
"""

from __future__ import annotations

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, GCM

from smime.cms.algorithms import CIPHERS, WEAK_CIPHERS
from smime.errors import LimitExceeded, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol, TypeAlias

    from cryptography.hazmat.primitives.ciphers import BlockCipherAlgorithm
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM

    Data: TypeAlias = bytes | bytearray | memoryview

    class Encryptor(Protocol):
        """Seals a content piece by piece."""

        tag: bytes
        """The tag, after ``finalize``; empty for a mode without one."""

        def update(self, data: Data) -> bytes:
            """Take a piece and return what can be written already, perhaps nothing."""

        def finalize(self) -> bytes:
            """Return the last octets."""

    class Decryptor(Protocol):
        """Opens a content piece by piece."""

        def update(self, data: Data) -> bytes:
            """Take a piece and return what is decrypted already, not yet to be believed."""

        def finalize(self, tag: bytes = b"") -> bytes:
            """Return the last octets; raises ``BadSeal`` if padding or tag is not right."""


__all__ = [
    "GCM_MAX_OCTETS",
    "NONCE_OCTETS",
    "TAG_OCTETS",
    "TAG_OCTETS_MIN",
    "BadSeal",
    "check_length",
    "decryptor",
    "derive",
    "encryptor",
    "nonce_fits",
    "seal",
    "tag_fits",
    "unseal",
]

TAG_OCTETS = 16
TAG_OCTETS_MIN = 12  # RFC 5084 allows 12 to 16; the length is not authenticated
# Nonce or initialization vector that is written, by mode.
NONCE_OCTETS = {"cbc": 16, "gcm": 12, "ccm": 12, "chacha": 12}

GCM_MAX_OCTETS = 2**36 - 32  # NIST SP 800-38D §5.2.1.1
CHACHA_MAX_OCTETS = (2**32 - 1) * 64  # RFC 8439 §2.8: the block counter has 32 bits
CCM_MAX_OCTETS = 64 * 1024 * 1024  # CCM is one call, so all of it stands in memory
GCM_ONE_CALL = 1024 * 1024  # above, to put the tag behind the ciphertext costs more than it saves
CHACHA_ONE_CALL = 1024 * 1024  # above, the library's class is slower than its two halves


# RFC 5652 §6.3, by how many octets stand in the last block.
PADDING = tuple(bytes((16 - octets,)) * (16 - octets) for octets in range(16))

_SALT = b"The Cryptographic Message Syntax"  # RFC 9709 §2


class BadSeal(Exception):
    """Padding or tag is not right; which of them is not said."""


def nonce_fits(name: str, octets: int) -> bool:
    """Say whether a nonce, or initialization vector, can have this length."""
    mode = CIPHERS[name][2]
    if mode == "cbc":
        return octets == (16 if name.startswith("aes-") else 8)
    if mode == "gcm":
        return 8 <= octets <= 64
    return 7 <= octets <= 13 if mode == "ccm" else octets == 12


def tag_fits(name: str, octets: int) -> bool:
    """Say whether a tag of this length protects the content; 0 for modes without one."""
    mode = CIPHERS[name][2]
    if mode == "cbc":
        return octets == 0
    if mode == "chacha":
        return octets == TAG_OCTETS
    # NIST SP 800-38C: tags of CCM have an even number of octets.
    return TAG_OCTETS_MIN <= octets <= TAG_OCTETS and not (mode == "ccm" and octets % 2)


def check_length(name: str, nonce_octets: int, octets: int) -> None:
    """Raise ``LimitExceeded`` for more content than the cipher can carry under one nonce.

    AES-CCM counts the content in the octets that the nonce leaves free (RFC
    5084 §3.1): a nonce of 12 octets carries less than 16 MiB.
    """
    mode = CIPHERS[name][2]
    if mode == "gcm":
        limit = GCM_MAX_OCTETS
    elif mode == "ccm":
        limit = min(CCM_MAX_OCTETS, 256 ** (15 - nonce_octets) - 1)
    elif mode == "chacha":
        limit = CHACHA_MAX_OCTETS
    else:
        return
    if octets > limit:
        raise LimitExceeded(
            f"{CIPHERS[name][3]} carries at most {limit} octets here, and this is {octets}",
            hint="use AES-256-CBC, or split the content",
        )


def encryptor(name: str, key: bytes, nonce: bytes, aad: bytes = b"") -> Encryptor:
    """Return what seals a content piece by piece; ``aad`` is authenticated beside it.

    Raises ``NotSupported`` for a cipher that is read only, and from its methods
    ``LimitExceeded`` for more than the cipher can carry.
    """
    mode = CIPHERS[name][2]
    if name in WEAK_CIPHERS:
        raise NotSupported(f"{CIPHERS[name][3]} is read and never written")
    if mode == "gcm":
        return _GcmEncryptor(name, key, nonce, aad)
    if mode == "ccm":
        return _CcmEncryptor(name, key, nonce, aad)
    if mode == "chacha":
        return _ChaChaEncryptor(name, key, nonce, aad)
    return _CbcEncryptor(key, nonce)


def decryptor(
    name: str, key: bytes, nonce: bytes, *, tag_octets: int = 0, aad: bytes = b""
) -> Decryptor:
    """Return what opens a content piece by piece; ``tag_octets`` is 0 for CBC.

    A nonce or tag of a length that cannot be is for the caller to refuse
    before (``nonce_fits``, ``tag_fits``).
    """
    mode = CIPHERS[name][2]
    if mode == "gcm":
        return _GcmDecryptor(name, key, nonce, tag_octets, aad)
    if mode == "ccm":
        return _CcmDecryptor(name, key, nonce, tag_octets, aad)
    if mode == "chacha":
        return _ChaChaDecryptor(name, key, nonce, aad)
    return _CbcDecryptor(name, key, nonce)


def seal(
    name: str, key: bytes, nonce: bytes, content: bytes, aad: bytes = b""
) -> tuple[bytes, bytes]:
    """Return ciphertext and tag of a content in memory."""
    mode = CIPHERS[name][2]
    if mode == "cbc" and name not in WEAK_CIPHERS:
        cbc = Cipher(AES(key), CBC(nonce)).encryptor()
        # Whole blocks (RFC 5652 §6.3): all of it comes out at once.
        return cbc.update(content + PADDING[len(content) % 16]), b""
    if mode == "gcm":
        check_length(name, len(nonce), len(content))
        sealed = AESGCM(key).encrypt(nonce, content, aad or None)
        return sealed[:-TAG_OCTETS], sealed[-TAG_OCTETS:]
    if mode == "chacha" and len(content) <= CHACHA_ONE_CALL:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        sealed = ChaCha20Poly1305(key).encrypt(nonce, content, aad or None)
        return sealed[:-TAG_OCTETS], sealed[-TAG_OCTETS:]
    one = encryptor(name, key, nonce, aad)
    ciphertext = one.update(content)
    last = one.finalize()
    return ciphertext + last if last else ciphertext, one.tag


def unseal(
    name: str, key: bytes, nonce: bytes, ciphertext: bytes, tag: bytes = b"", aad: bytes = b""
) -> bytes:
    """Return the content of a ciphertext in memory; raises ``BadSeal``."""
    mode = CIPHERS[name][2]
    if mode == "gcm" and len(tag) == TAG_OCTETS and len(ciphertext) <= GCM_ONE_CALL:
        try:
            return AESGCM(key).decrypt(nonce, ciphertext + tag, aad or None)
        except InvalidTag:
            raise BadSeal from None
    if mode == "cbc":
        cipher = Cipher(_block_cipher(name, key), CBC(nonce)).decryptor()
        if not ciphertext or len(ciphertext) % len(nonce):
            raise BadSeal
        return _unpadded(cipher.update(ciphertext), len(nonce))
    if mode == "chacha" and len(ciphertext) <= CHACHA_ONE_CALL:
        from cryptography.hazmat.primitives.ciphers.aead import ChaCha20Poly1305

        try:
            return ChaCha20Poly1305(key).decrypt(nonce, ciphertext + tag, aad or None)
        except InvalidTag:
            raise BadSeal from None
    one = decryptor(name, key, nonce, tag_octets=len(tag), aad=aad)
    content = one.update(ciphertext)
    last = one.finalize(tag)
    return content + last if content and last else content or last


def derive(key: bytes, algorithm: bytes) -> bytes:
    """Return the content key that is derived for one cipher and its parameters (RFC 9709 §2).

    Who exchanges the cipher in a message makes another key of it, which opens nothing.
    """
    from cryptography.hazmat.primitives.hashes import SHA256
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(SHA256(), len(key), _SALT, algorithm).derive(key)


class _CbcEncryptor:
    """AES-CBC with the padding of RFC 5652 §6.3."""

    __slots__ = ("_cipher", "_octets", "tag")

    def __init__(self, key: bytes, iv: bytes) -> None:
        self._cipher = Cipher(AES(key), CBC(iv)).encryptor()
        self._octets = 0
        self.tag = b""

    def update(self, data: Data) -> bytes:
        self._octets += len(data)
        return self._cipher.update(data)

    def finalize(self) -> bytes:
        return self._cipher.update(PADDING[self._octets % 16]) + self._cipher.finalize()


class _CbcDecryptor:
    """CBC of any block cipher; gives each piece out when the next one came.

    The end of the last piece is padding, and no piece knows that it is the
    last: to hold back whole pieces costs no copy.
    """

    __slots__ = ("_block", "_cipher", "_held")

    def __init__(self, name: str, key: bytes, iv: bytes) -> None:
        self._cipher = Cipher(_block_cipher(name, key), CBC(iv)).decryptor()
        self._block = len(iv)
        self._held = b""

    def update(self, data: Data) -> bytes:
        found = self._cipher.update(data)
        if not found:
            return b""
        ready, self._held = self._held, found
        return ready

    def finalize(self, tag: bytes = b"") -> bytes:  # noqa: ARG002  # CBC has none
        try:
            self._cipher.finalize()
        except ValueError:  # not a whole number of blocks
            raise BadSeal from None
        return _unpadded(self._held, self._block)


def _unpadded(last: bytes, block: int) -> bytes:
    """Take the padding off (RFC 5652 §6.3); raises ``BadSeal``."""
    pad = last[-1] if last else 0
    # Whatever stands there takes the same steps over a whole block.
    end = int.from_bytes(last[-block:], "big") ^ int.from_bytes(bytes((pad,)) * block, "big")
    if end & ((1 << 8 * (pad % (block + 1))) - 1) or not 1 <= pad <= block:
        raise BadSeal
    return last[:-pad]


def _block_cipher(name: str, key: bytes) -> BlockCipherAlgorithm:
    if name.startswith("aes-"):
        return AES(key)
    # Old mail, where the policy allows it.
    from cryptography.hazmat.decrepit.ciphers.algorithms import RC2, TripleDES

    return RC2(key) if name.startswith("rc2-") else TripleDES(key)


class _GcmEncryptor:
    __slots__ = ("_cipher", "_name", "_nonce_octets", "_octets", "tag")

    def __init__(self, name: str, key: bytes, nonce: bytes, aad: bytes) -> None:
        self._cipher = Cipher(AES(key), GCM(nonce)).encryptor()
        if aad:
            self._cipher.authenticate_additional_data(aad)
        self._name, self._nonce_octets, self._octets = name, len(nonce), 0
        self.tag = b""

    def update(self, data: Data) -> bytes:
        self._octets += len(data)
        if self._octets > GCM_MAX_OCTETS:
            check_length(self._name, self._nonce_octets, self._octets)
        return self._cipher.update(data)

    def finalize(self) -> bytes:
        last = self._cipher.finalize()
        self.tag = self._cipher.tag
        return last


class _GcmDecryptor:
    __slots__ = ("_cipher", "_name", "_nonce_octets", "_octets")

    def __init__(self, name: str, key: bytes, nonce: bytes, tag_octets: int, aad: bytes) -> None:
        mode = GCM(nonce, None, min_tag_length=tag_octets)
        self._cipher = Cipher(AES(key), mode).decryptor()
        if aad:
            self._cipher.authenticate_additional_data(aad)
        self._name, self._nonce_octets, self._octets = name, len(nonce), 0

    def update(self, data: Data) -> bytes:
        self._octets += len(data)
        if self._octets > GCM_MAX_OCTETS:
            check_length(self._name, self._nonce_octets, self._octets)
        return self._cipher.update(data)

    def finalize(self, tag: bytes = b"") -> bytes:
        try:
            return self._cipher.finalize_with_tag(tag)
        except (InvalidTag, ValueError):  # ValueError: shorter than was said
            raise BadSeal from None


class _Collected:
    """AES-CCM knows its length first, so it is one call: the pieces are kept until the end."""

    __slots__ = ("_name", "_nonce", "_octets", "_pieces")

    def __init__(self, name: str, nonce: bytes) -> None:
        self._name, self._nonce = name, nonce
        self._pieces: list[bytes] = []
        self._octets = 0

    def update(self, data: Data) -> bytes:
        self._octets += len(data)
        check_length(self._name, len(self._nonce), self._octets)
        self._pieces.append(bytes(data))
        return b""


class _CcmEncryptor(_Collected):
    __slots__ = ("_aad", "_ccm", "tag")

    def __init__(self, name: str, key: bytes, nonce: bytes, aad: bytes) -> None:
        super().__init__(name, nonce)
        self._ccm, self._aad, self.tag = _ccm(key, TAG_OCTETS), aad, b""

    def finalize(self) -> bytes:
        sealed = self._ccm.encrypt(self._nonce, b"".join(self._pieces), self._aad or None)
        self.tag = sealed[-TAG_OCTETS:]
        return sealed[:-TAG_OCTETS]


class _CcmDecryptor(_Collected):
    __slots__ = ("_aad", "_ccm", "_tag_octets")

    def __init__(self, name: str, key: bytes, nonce: bytes, tag_octets: int, aad: bytes) -> None:
        super().__init__(name, nonce)
        self._ccm, self._aad, self._tag_octets = _ccm(key, tag_octets), aad, tag_octets

    def finalize(self, tag: bytes = b"") -> bytes:
        if len(tag) != self._tag_octets:
            raise BadSeal
        try:
            return self._ccm.decrypt(self._nonce, b"".join((*self._pieces, tag)), self._aad or None)
        except InvalidTag:
            raise BadSeal from None


def _ccm(key: bytes, tag_octets: int) -> AESCCM:
    from cryptography.hazmat.primitives.ciphers.aead import AESCCM

    return AESCCM(key, tag_octets)


class _ChaCha:
    """ChaCha20 and Poly1305 put together as RFC 8439 §2.8 says."""

    __slots__ = ("_aad_octets", "_cipher", "_name", "_octets", "_poly")

    def __init__(self, name: str, key: bytes, nonce: bytes, aad: bytes) -> None:
        from cryptography.hazmat.primitives.ciphers.algorithms import ChaCha20
        from cryptography.hazmat.primitives.poly1305 import Poly1305

        # Block 0 of the key stream is the key of Poly1305, the content begins at block 1.
        first = Cipher(ChaCha20(key, bytes(4) + nonce), None).encryptor()
        self._poly = Poly1305(first.update(bytes(32)))
        self._cipher = Cipher(ChaCha20(key, b"\x01\0\0\0" + nonce), None).encryptor()
        self._name, self._octets, self._aad_octets = name, 0, len(aad)
        if aad:
            self._poly.update(aad + bytes(-len(aad) % 16))

    def _count(self, octets: int) -> None:
        self._octets += octets
        if self._octets > CHACHA_MAX_OCTETS:
            check_length(self._name, 12, self._octets)

    def _end(self) -> None:
        lengths = self._aad_octets.to_bytes(8, "little") + self._octets.to_bytes(8, "little")
        self._poly.update(bytes(-self._octets % 16) + lengths)


class _ChaChaEncryptor(_ChaCha):
    __slots__ = ("tag",)

    def __init__(self, name: str, key: bytes, nonce: bytes, aad: bytes) -> None:
        super().__init__(name, key, nonce, aad)
        self.tag = b""

    def update(self, data: Data) -> bytes:
        self._count(len(data))
        sealed = self._cipher.update(data)
        self._poly.update(sealed)
        return sealed

    def finalize(self) -> bytes:
        self._end()
        self.tag = self._poly.finalize()
        return b""


class _ChaChaDecryptor(_ChaCha):
    __slots__ = ()

    def update(self, data: Data) -> bytes:
        self._count(len(data))
        self._poly.update(data)
        return self._cipher.update(data)

    def finalize(self, tag: bytes = b"") -> bytes:
        from cryptography.exceptions import InvalidSignature

        self._end()
        try:
            self._poly.verify(tag)
        except InvalidSignature:
            raise BadSeal from None
        return b""
