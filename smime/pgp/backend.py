"""What an OpenPGP engine is asked, and the facts with which it answers.

The engine says what is mathematically so, one answer per signature; whose key
that is, and whether it may speak for somebody, is judged elsewhere. Everything
is octets: an engine knows no mail. Octets in memory give octets in memory; what is
read piece by piece gives a file, and nothing larger than a piece is held for it.

Floor:  pgp (uses nothing)
Source: RFC 9580 for the algorithms' numbers (§9)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from smime.pgp.packets import Sealed
    from smime.stored import Data, Stored

__all__ = [
    "DIGESTS",
    "STRONG_DIGESTS",
    "Backend",
    "Decrypted",
    "Encrypted",
    "Opening",
    "SignatureFacts",
    "Signed",
]

# RFC 9580 §9.5
DIGESTS = {
    1: "md5",
    2: "sha1",
    3: "ripemd160",
    8: "sha256",
    9: "sha384",
    10: "sha512",
    11: "sha224",
    12: "sha3-256",
    14: "sha3-512",
}
STRONG_DIGESTS = frozenset({"sha224", "sha256", "sha384", "sha512", "sha3-256", "sha3-512"})


@dataclass(frozen=True, slots=True)
class SignatureFacts:
    """What the mathematics of one signature gave."""

    state: str
    """``holds``, ``bad`` (of other octets, or by another key), ``refused`` (it does not hold,
    and the engine does not say why), ``no-key`` (the key is not at hand), ``unsupported``
    (an algorithm or form), or ``broken`` (it cannot be read)."""
    key: str = ""
    """Fingerprint of the key or subkey that made it, or its key id; lower case."""
    primary: str = ""
    """Fingerprint of the primary key that ``key`` belongs to; empty unless it holds."""
    created: datetime | None = None
    """When it was made, as its maker says."""
    expires: datetime | None = None
    """When it ceases to hold; None for never."""
    digest: str = ""
    """The digest under the signature: ``sha256``; empty if it is not known."""
    reason: str = ""
    """Why it does not hold; one sentence for a person."""
    text: bool = False
    """It is over text, whose line ends may differ, and not over octets."""
    loose: bool = False
    """Others read the signature, or the text's line ends, in another way."""
    vetted: bool = False
    """The engine judged key and algorithms itself, as of now, and hands out no more."""


@dataclass(frozen=True, slots=True)
class Signed:
    """A detached signature."""

    signature: bytes
    """Armoured, lines ended by CRLF."""
    digest: str
    """The digest under it: ``sha512``."""
    key: str
    """Fingerprint of the key or subkey that made it."""


@dataclass(frozen=True, slots=True)
class Encrypted:
    """An encrypted message."""

    message: bytes
    """Armoured, lines ended by CRLF; empty for what is ``stored``."""
    cipher: str
    """``AES-256``."""
    digest: str = ""
    """The digest under the signature inside, if there is one."""
    version: int = 1
    """1 for content with MDC, which everybody reads, 2 for AEAD (RFC 9580 §5.13.2)."""
    stored: Stored | None = None
    """The message as packets, where the data came in pieces."""


@dataclass(frozen=True, slots=True)
class Decrypted:
    """What was inside an encrypted message that was whole and unchanged."""

    content: bytes = field(repr=False)
    opened_by: str
    """Fingerprint of the primary key whose subkey opened it; empty for a passphrase."""
    cipher: str
    """Content cipher and what protects it from change: ``AES-256 (MDC)``."""
    signatures: tuple[bytes, ...] = field(default=(), repr=False)
    """The signatures inside, as packets: for ``check`` with exactly this content."""
    checked: tuple[SignatureFacts, ...] = ()
    """Or what the engine found of them, where it does not hand them out."""
    stored: Stored | None = None
    """The content of a message in a file; ``content`` is empty then."""


class Opening(Protocol):
    """A key that may open: a ``PgpKey`` is one."""

    @property
    def fingerprint(self) -> str:
        """Of the primary key."""
        ...

    @property
    def key_ids(self) -> Sequence[str]:
        """Key ids of the primary key and its subkeys."""
        ...

    def passphrase(self) -> bytes | None:
        """Return what opens its secret half."""
        ...


class Backend(Protocol):
    """An engine with the keys it may use."""

    name: str

    def sign(
        self,
        data: Data,
        key: str,
        *,
        passphrase: bytes | None = None,
        digest: str = "",
        at: datetime | None = None,
    ) -> Signed:
        """Sign octets as they are with the key of this fingerprint.

        Raises ``KeyProblem`` if it is not there, locked, or must not sign.
        """
        ...

    def check(
        self, data: Data, signatures: Sequence[bytes], *, at: datetime | None = None
    ) -> tuple[SignatureFacts, ...]:
        """Hold signature packets against the data; one answer each, in their order."""
        ...

    def encrypt(
        self,
        data: Data,
        to: Sequence[str],
        *,
        hidden: Sequence[str] = (),
        sign_with: str = "",
        passphrase: bytes | None = None,
        cipher: str = "aes-256",
        digest: str = "",
        at: datetime | None = None,
    ) -> Encrypted:
        """Encrypt to the keys of these fingerprints; those in ``hidden`` are not named.

        Raises ``KeyProblem`` for a key that must not be written to.
        """
        ...

    def decrypt(
        self,
        sealed: Sealed,
        keys: Sequence[Opening],
        *,
        passphrase: bytes | None = None,
        at: datetime | None = None,
    ) -> Decrypted:
        """Open an encrypted message, whole and unchanged, or raise.

        ``keys`` are tried and no others; ``passphrase`` is that of the message, if it
        is sealed with one. Raises ``DecryptionFailed``, ``KeyProblem`` for a key that
        is locked, ``NotSupported`` and ``LimitExceeded``; no plaintext leaves then.
        """
        ...
