"""What ``smime.cms.verify`` gives back.

Floor:  cms (uses report)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NoReturn

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.report import SignatureCheck

__all__ = ["Opened"]


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

    @property
    def content(self) -> bytes:
        """Exactly the octets that were signed.

        Raises ``ValueError`` where they went to ``out`` or came from a file that
        ``content`` named, for they may be larger than memory.
        """
        if self.held is None:
            raise ValueError(
                "the content is not held: it was written to out=, or read from a file;"
                " to have exactly what was verified, give out="
            )
        return self.held

    def __bool__(self) -> NoReturn:
        raise TypeError("opened content is not a yes or no: read .signatures")
