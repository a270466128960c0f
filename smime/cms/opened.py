"""What ``smime.cms.verify`` and ``smime.cms.open`` give back.

Floor:  cms (uses report)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Mapping

    from smime.report import Note, SignatureCheck

__all__ = ["Content", "Opened"]

_NOT_HELD = (
    "the content is not held: it was written to out=, or read from a file;"
    " to have exactly what was verified, give out="
)


@dataclass(frozen=True, slots=True)
class Opened:
    """Signed content whose signatures are good."""

    held: bytes | None = field(repr=False)
    """The content, or None where it went to ``out`` or came from a file."""
    signatures: tuple[SignatureCheck, ...]
    """One check for each signature, good or bad."""
    content_type: str = "1.2.840.113549.1.7.1"
    """What kind of content was signed: its identifier, here that of plain data."""
    encrypted: bool = False
    """The content is sealed itself: who signed it sent it, and need not have written it."""
    attributes_der: tuple[bytes, ...] = field(default=(), repr=False)
    """The signed attributes of each signer as SET OF, in the order of ``signatures``."""

    @property
    def attributes(self) -> tuple[Mapping[str, tuple[bytes, ...]], ...]:
        """For each signature its signed attributes: identifier, and its values as DER.

        Of a signature that is not good they are what somebody wrote.
        """
        from smime.cms.extras import by_type

        return tuple(by_type(one) for one in self.attributes_der)

    @property
    def content(self) -> bytes:
        """Exactly the octets that were signed.

        Raises ``ValueError`` where they went to ``out`` or came from a file that
        ``content`` named, for they may be larger than memory.
        """
        if self.held is None:
            raise ValueError(_NOT_HELD)
        return self.held

    def __bool__(self) -> NoReturn:
        raise TypeError("opened content is not a yes or no: read .signatures")


@dataclass(frozen=True, slots=True)
class Content:
    """What was inside one layer, and what the layer was."""

    kind: str
    """The layer: ``envelopedData``, ``authEnvelopedData``, ``encryptedData``,
    ``authenticatedData``, ``digestedData`` or ``compressedData``."""
    held: bytes | None = field(repr=False)
    """The content, or None where it went to ``out`` or came from a file."""
    content_type: str
    """What kind of content it is: its identifier."""
    algorithm: str = ""
    """Cipher, code, digest or compression: ``AES-256-GCM``, ``HMAC-SHA256``, ``SHA256``."""
    authenticated: bool = False
    """A tag or code shows that somebody with the key made exactly this content."""
    attributes: Mapping[str, tuple[bytes, ...]] = field(default_factory=dict, repr=False)
    """Authenticated attributes: identifier, and its values as DER."""
    unprotected_attributes: Mapping[str, tuple[bytes, ...]] = field(
        default_factory=dict, repr=False
    )
    """Attributes that anybody on the way could have written."""
    notes: tuple[Note, ...] = ()

    @property
    def content(self) -> bytes:
        """Exactly the octets that were inside.

        Raises ``ValueError`` where they went to ``out`` or came from a file that
        ``content`` named, for they may be larger than memory.
        """
        if self.held is None:
            raise ValueError(_NOT_HELD)
        return self.held

    def __bool__(self) -> NoReturn:
        raise TypeError("a content is not a yes or no: read .authenticated")
