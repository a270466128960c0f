"""A key that is kept elsewhere, in a token or a key service: it is asked to open.

What such a key says about a message that is damaged is its own: one service
raises, another gives back nothing. None of it may show, or whoever sends
messages could learn the content of others by trying, so all of it becomes what
a wrong key is everywhere (see ``unwrapping``).

Floor:  cms (uses errors, protocols)
Source: RFC 5652 §6.2, RFC 3218 §2.3.2
"""

from __future__ import annotations

from smime.cms.recipients import OpeningKey, kind_of
from smime.errors import KeyProblem, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from cryptography import x509

    from smime.cms.transport import Padding

__all__ = ["KeptKey", "is_opener", "opens"]

# What is asked of a key of each kind.
_METHODS = {"rsa": "decrypt", "ec": "agree", "x25519": "agree", "x448": "agree"}


def is_opener(given: object) -> bool:
    """Say whether it has the shape of ``Opener``: a certificate, and one way to open."""
    return hasattr(given, "certificate") and any(
        callable(getattr(given, name, None)) for name in ("decrypt", "agree")
    )


def opens(given: object, public: object) -> bool:
    """Say whether it has the method by which a key of this kind is asked to open."""
    return callable(getattr(given, _METHODS.get(kind_of(public), ""), None))


class KeptKey(OpeningKey):
    """An ``Opener`` as CMS needs it to open; its certificate says which recipient it is.

    ``certificate`` is another one for the same key. Raises ``NotSupported`` for
    a kind of key that is not asked (ML-KEM), and ``KeyProblem`` for an object
    that lacks the method for its kind.
    """

    __slots__ = ()

    def __init__(
        self, opener: Any, certificate: x509.Certificate | None = None, label: str = ""
    ) -> None:
        known = opener.certificate if certificate is None else certificate
        self._fill(opener, known.public_key(), known, label)
        if not opens(opener, self._public):
            kind = type(self._public).__name__.removesuffix("PublicKey")
            method = _METHODS.get(self.kind)
            if method is None:
                raise NotSupported(f"opening with a {kind} key that is kept elsewhere")
            raise KeyProblem(
                f"{type(opener).__name__} cannot open with a certificate of a {kind} key",
                hint=f"it needs .{method}(), see smime.Opener",
            )

    def decrypt(self, sealed: bytes, pad: Padding) -> bytes:
        """Have it decrypted; raises ``ValueError`` whatever is wrong with what is sealed."""
        if not pad.name:
            raise NotSupported("OAEP with a label, for a key that is kept elsewhere")
        return _asked(self._private.decrypt, sealed, pad.name)

    def exchange(self, point: bytes) -> bytes:
        """Have a secret agreed on; raises ``ValueError`` for a point that is none of the curve."""
        from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

        public = self._known(point)
        public_der = public.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        return _asked(self._private.agree, public_der)

    def __repr__(self) -> str:
        return f"<KeptKey {self.kind} {self.computed.hex()[:16]}>"


def _asked(ask: Callable[..., Any], *given: Any) -> bytes:
    try:
        value = ask(*given)
    except (OSError, KeyProblem, NotSupported):
        # It was not reached, or does this for no message: that tells nothing of this one.
        raise
    except Exception as error:  # any client library's own, and each may tell of the padding
        _debug("a key kept elsewhere did not open: %s", type(error).__name__)
        raise ValueError("it did not open") from None
    if not isinstance(value, (bytes, bytearray, memoryview)):
        _debug("a key kept elsewhere gave a %s", type(value).__name__)
        raise ValueError("it did not open")
    return bytes(value)


def _debug(message: str, detail: str) -> None:
    import logging  # late: signing imports this file, and needs no log

    logging.getLogger("smime").debug(message, detail)
