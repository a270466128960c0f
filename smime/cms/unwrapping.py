"""What all kinds of recipients share: a way in, and what stands in for a wrong key.

What depends on a secret never shows. A value that does not unwrap is replaced
by one that nobody can predict and decryption goes on with it, so that a wrong
key, a wrong padding and a wrong tag look the same from outside.

Floor:  cms (uses errors)
Source: RFC 5652 §6.2; RFC 3218 §2.3.2 for the substitute
"""

from __future__ import annotations

import hashlib
import hmac  # for what is compared
import os

from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap

from smime.cms.ber import octets
from smime.cms.der import SEQUENCE, Indefinite, children, top
from smime.cms.names import describe
from smime.errors import MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, TypeAlias

    from smime.cms.der import Node

    Unwrap: TypeAlias = Callable[[int], bytes]
    Opener: TypeAlias = Callable[[Any], Unwrap]

__all__ = [
    "MAX_ROUNDS",
    "Sealed",
    "balance",
    "read_identifier",
    "right_length",
    "spoken",
    "substitute",
    "unwrap_3des",
    "unwrap_aes",
]

_3DES_VECTOR = bytes.fromhex("4adda22c79e82105")  # RFC 3217 §3.1

# Of PBKDF2, for all that one message asks for: some three seconds. 2^31 rounds
# would hang for minutes in one call.
MAX_ROUNDS = 10_000_000

# What a substitute for a content key is derived from: new for each process,
# never shown. The same message then fails in the same way every time; a fresh
# substitute each time would make failures differ, which tells something.
_SUBSTITUTE_SECRET = os.urandom(32)
# HMAC-SHA-512 with that key, as far as it can be done beforehand (RFC 2104 §2, §4).
_INNER, _OUTER = (
    hashlib.sha512(bytes(octet ^ pad for octet in _SUBSTITUTE_SECRET.ljust(128, b"\0")))
    for pad in (0x36, 0x5C)
)


def substitute(sealed: bytes, length: int) -> bytes:
    """Return what to go on with where ``sealed`` did not unwrap; at most 64 octets."""
    inner, outer = _INNER.copy(), _OUTER.copy()
    inner.update(sealed)
    outer.update(inner.digest())
    return outer.digest()[:length]


def right_length(value: bytes, length: int, sealed: bytes) -> bytes:
    """Return ``value`` if it can be the content key, else a substitute for it.

    The substitute is always computed, so that its absence cannot be timed.
    """
    other = substitute(sealed, length)
    return value if len(value) == length else other


def unwrap_aes(keys: Sequence[bytes], sealed: bytes, length: int) -> bytes:
    """Return what is wrapped (RFC 3394) under one of the keys, or nothing.

    Every key is tried, on as many octets as ``length`` of them wrapped have.
    """
    fitting = (sealed + bytes(length + 8))[: length + 8]
    found = b""
    for key in keys:
        found = _unwrapped(key, fitting) or found
    balance(bool(found), 1)
    return found if len(sealed) == length + 8 else b""


def unwrap_3des(keys: Sequence[bytes], sealed: bytes, length: int) -> bytes:
    """Return what is wrapped by 3DES (RFC 3217 §3.2) under one of the keys, or nothing.

    For old archives alone. Parity is not looked at: nobody's 3DES uses those bits.
    """
    from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    fitting = (sealed + bytes(40))[:40]
    found = b""
    for key in keys:
        once = Cipher(TripleDES(key), CBC(_3DES_VECTOR)).decryptor().update(fitting)[::-1]
        value = Cipher(TripleDES(key), CBC(once[:8])).decryptor().update(once[8:])
        check = hashlib.sha1(value[:24], usedforsecurity=False).digest()[:8]
        found = value[:24] if hmac.compare_digest(check, value[24:]) else found
    return found if len(sealed) == 40 and length == 24 else b""


def balance(opened: bool, times: int) -> None:
    """Make up for the time by which a failure takes longer than a success.

    Something of our own is unwrapped so many times, which fails after a success
    and succeeds after a failure: the calls are the same, and so is the sum.
    """
    sealed = _OUR_OWN[opened]
    for _ in range(times):
        _unwrapped(_SUBSTITUTE_SECRET, sealed)


def _unwrapped(key: bytes, sealed: bytes) -> bytes:
    try:
        return aes_key_unwrap(key, sealed)
    except (InvalidUnwrap, ValueError):
        return b""


# What unwraps with the secret of this process, and what does not.
_RIGHT = aes_key_wrap(_SUBSTITUTE_SECRET, bytes(32))
_OUR_OWN = (_RIGHT, _RIGHT[:-1] + bytes((_RIGHT[-1] ^ 1,)))


def read_identifier(data: bytes, node: Node) -> tuple[bytes, bytes]:
    """Return (IssuerAndSerialNumber, key identifier) of a recipient; one of them is empty."""
    if node[0] == SEQUENCE:
        return data[node[1] : node[3]], b""
    if node[0] == 0x80:
        return b"", data[node[2] : node[3]]
    if node[0] == 0xA0:
        inner = children(data, node)
        # RecipientKeyIdentifier is a sequence of the identifier, and a date perhaps.
        return b"", octets(data, inner[0]) if inner else b""
    raise MalformedMail("a recipient is named in no known way")


class Sealed:
    """One way in: a recipient as it stands in the message.

    ``prepare`` reads the algorithms, when it is known that they matter, and
    returns what unwraps with a key; it raises ``NotSupported``.
    """

    __slots__ = (
        "_opener",
        "_prepare",
        "identifier",
        "key_identifier",
        "kind",
        "octets",
        "rounds",
        "weak",
    )

    def __init__(
        self,
        kind: str,
        prepare: Callable[[], Opener],
        *,
        identifier: bytes = b"",
        key_identifier: bytes = b"",
        octets: int = 0,
        rounds: int = 0,
        weak: str = "",
    ) -> None:
        self.kind = kind
        """The kind of key that opens it, as in ``OpeningKey.kind``."""
        self._prepare = prepare
        self._opener: Opener | None = None
        self.identifier = identifier
        self.key_identifier = key_identifier
        self.octets = octets
        """Length of what is sealed: for RSA the length of the modulus."""
        self.rounds = rounds
        """Rounds that a passphrase has to be worked through."""
        self.weak = weak
        """Name of a weak algorithm that it takes, which a policy has to allow."""

    def unwrap_with(self, key: Any) -> Unwrap:
        """Return what gives the content key of a length; raises ``NotSupported``."""
        return self._ready()(key)

    def _ready(self) -> Opener:
        if self._opener is None:
            self._opener = self._prepare()
        return self._opener

    @property
    def why_not(self) -> str:
        """Why nobody can be this recipient here: an algorithm that is not supported."""
        try:
            self._ready()
        except NotSupported as unknown:
            return str(unknown)
        return ""

    @property
    def name(self) -> str:
        """The recipient for people: ``serial 1f2e issued by Test CA``."""
        return spoken(self.called)

    @property
    def called(self) -> tuple[bytes, bytes, str]:
        """How the message calls it: identifier, key identifier, kind of key."""
        return self.identifier, self.key_identifier, self.kind


def spoken(called: tuple[bytes, bytes, str]) -> str:
    """Say for people how a message calls a recipient."""
    identifier, key_identifier, kind = called
    if identifier:
        try:
            return describe(identifier, top(identifier))
        except (MalformedMail, Indefinite):
            return "(unreadable identifier)"
    return f"key {key_identifier.hex()}" if key_identifier else kind
