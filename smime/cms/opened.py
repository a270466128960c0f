"""What ``smime.cms.verify`` and ``smime.cms.open`` give back.

Floor:  cms (uses report)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any, NoReturn

from smime.report import SignatureCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping
    from typing import TypeAlias

    from smime.cms.judging import Judged
    from smime.cms.signatures import SignedData
    from smime.report import Note

    _Found: TypeAlias = "tuple[tuple[Judged | SignatureCheck, ...], SignedData | tuple[bytes, ...]]"

__all__ = ["Content", "Opened"]

_NOT_HELD = (
    "the content is not held: it was written to out=, or read from a file;"
    " to have exactly what was verified, give out="
)


class Opened:
    """Signed content whose signatures are good; immutable."""

    __slots__ = ("_found", "_tell", "content_type", "encrypted", "held")

    held: bytes | None
    """The content, or None where it went to ``out`` or came from a file."""
    content_type: str
    """What kind of content was signed: its identifier, ``1.2.840.113549.1.7.1`` for plain data."""
    encrypted: bool
    """The content is sealed itself: who signed it sent it, and need not have written it."""
    _found: _Found | None
    _tell: Callable[[], _Found] | None

    def __init__(
        self,
        held: bytes | None,
        content_type: str,
        encrypted: bool,
        found: _Found | None = None,
        tell: Callable[[], _Found] | None = None,
    ) -> None:
        """``found`` is what was found of the signatures, or ``tell`` finds it when it is asked."""
        _set(self, "held", held)
        _set(self, "content_type", content_type)
        _set(self, "encrypted", encrypted)
        _set(self, "_found", found)
        _set(self, "_tell", tell)

    def _all(self) -> _Found:
        """Return what was found, and forget what it takes to find it."""
        found, tell = self._found, self._tell
        if found is None:
            # Another thread may have been asked meanwhile.
            found = tell() if tell is not None else self._found
            assert found is not None
            _set(self, "_found", found)
            _set(self, "_tell", None)
        return found

    @property
    def signatures(self) -> tuple[SignatureCheck, ...]:
        """One check for each signature, good or bad."""
        checks, _ = self._all()
        return tuple(one if isinstance(one, SignatureCheck) else one.check for one in checks)

    @property
    def attributes_der(self) -> tuple[bytes, ...]:
        """The signed attributes of each signer as SET OF, in the order of ``signatures``."""
        _, data = self._all()
        if isinstance(data, tuple):
            return data
        return tuple(
            one.attributes.as_received() if one.attributes else b"" for one in data.signers
        )

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

    def _facts(self) -> tuple[Any, ...]:
        return self.held, self.content_type, self.encrypted, (self.signatures, self.attributes_der)

    def __eq__(self, other: object) -> bool:
        return self._facts() == other._facts() if isinstance(other, Opened) else NotImplemented

    def __hash__(self) -> int:
        return hash(self._facts())

    def __reduce__(self) -> tuple[Any, ...]:
        return Opened, self._facts()

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("opened content is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("opened content is frozen")

    def __repr__(self) -> str:
        return f"Opened(signatures={self.signatures!r}, content_type={self.content_type!r})"

    def __bool__(self) -> NoReturn:
        raise TypeError("opened content is not a yes or no: read .signatures")


_set = object.__setattr__


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
