"""The content that signatures are held against, and its digests.

Floor:  cms (uses errors)
Source: RFC 5652 §5.4; RFC 8551 §3.1.1 for line ends
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms.schemes import FIXED_DIGEST, Hashed, check_pure_length
from smime.errors import NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping

__all__ = ["Content", "HashedContent"]


class Content:
    """The content that signatures are held against, with its digests kept.

    ``repair`` gives the same content with CRLF line ends, or None when there
    is nothing to repair: mail filters and mailboxes hand over bare LF, and
    what was signed had CRLF (RFC 8551 §3.1.1).
    """

    __slots__ = ("_digests", "_repair", "_repaired", "as_received", "repaired")

    def __init__(self, data: bytes, repair: Callable[[bytes], bytes] | None = None) -> None:
        self.as_received = data
        self.repaired = False
        self._repair = repair if repair is not None and b"\n" in data else None
        self._repaired: bytes | None = None
        self._digests: dict[tuple[str, bool], bytes] = {}

    @property
    def beginning(self) -> bytes:
        return self.as_received

    @property
    def data(self) -> bytes:
        """The content in the form in which a signature fitted."""
        return self._repaired if self.repaired and self._repaired is not None else self.as_received

    def digest(self, name: str, repaired: bool = False) -> bytes | None:
        """Return the digest, of the repaired form if asked; None where there is none."""
        known = self._digests.get((name, repaired))
        if known is not None:
            return known
        data = self._repaired_form() if repaired else self.as_received
        if data is None:
            return None
        value = self._digests[name, repaired] = alg.digest(name, data)
        return value

    def _repaired_form(self) -> bytes | None:
        """Return the repaired form where it is another one than what was received."""
        if self._repaired is None and self._repair is not None:
            self._repaired = self._repair(self.as_received)
        return None if self._repaired == self.as_received else self._repaired

    def forms(self, kind: str, name: str) -> list[bytes]:  # noqa: ARG002  # as HashedContent has it
        """Return what a signature without attributes may cover: the content, perhaps repaired.

        Raises ``LimitExceeded`` for what its kind of key does not take whole.
        """
        check_pure_length(kind, len(self.as_received))
        repaired = self._repaired_form()
        return [self.as_received] if repaired is None else [self.as_received, repaired]


class HashedContent:
    """Content that went by piece by piece: its digests are left, and how it began.

    ``digests`` are by name, such as ``sha256``; ``beginning`` are its first
    octets, at least 64 KiB of them or all; ``octets`` is its whole length.
    """

    __slots__ = ("_digests", "beginning", "octets", "repaired")

    def __init__(self, digests: Mapping[str, bytes], beginning: bytes, octets: int) -> None:
        self._digests = digests
        self.beginning = beginning
        self.octets = octets
        self.repaired = False

    def digest(self, name: str, repaired: bool = False) -> bytes | None:
        """Return the digest, or None if it was not computed."""
        return None if repaired else self._digests.get(name)

    def forms(self, kind: str, name: str) -> list[bytes]:
        """Return what a signature without attributes may cover, as a digest if that will do.

        Raises ``NotSupported`` where the content would be needed whole.
        """
        check_pure_length(kind, self.octets)
        if len(self.beginning) == self.octets:
            return [self.beginning]
        value = self._digests.get(name)
        if kind in FIXED_DIGEST or value is None:
            raise NotSupported("a signature without attributes needs its content whole here")
        return [Hashed(value)]
