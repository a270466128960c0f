"""What Sequoia's library does that mail has no use for: text in the clear, several passphrases.

Floor:  pgp (uses errors, packets, armour, asking)
Source: RFC 9580 §7 for text in the clear, §5.3 for passphrases
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from smime.errors import KeyProblem
from smime.pgp.armour import enarmor
from smime.pgp.asking import Refused, ask, text_of
from smime.pgp.packets import PROTECTED, read_sealed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any

__all__ = ["Uncommon"]


class Uncommon(ABC):
    """The part of an engine that mail does not ask."""

    _lib: Any

    @abstractmethod
    def _signer(self, key: str, passphrase: bytes | None) -> Any: ...

    @abstractmethod
    def _tsk(self, name: str) -> Any: ...

    @abstractmethod
    def _readers(self, to: Sequence[str]) -> tuple[list[Any], set[str]]: ...

    def sign_in_the_clear(self, text: bytes, key: str, *, passphrase: bytes | None = None) -> bytes:
        """Sign text that stays readable (RFC 9580 §7). Raises ``KeyProblem``."""
        signer = self._signer(key, passphrase)
        try:
            return bytes(ask(self._lib.sign, signer, text, mode=self._lib.SignatureMode.CLEAR))
        except Refused as refused:
            raise KeyProblem(f"Sequoia made no signature: {refused}") from None

    def seal_for_passphrases(
        self,
        data: bytes,
        passphrases: Sequence[bytes],
        to: Sequence[str] = (),
        *,
        sign_with: str = "",
        passphrase: bytes | None = None,
    ) -> bytes:
        """Encrypt for who knows one of several passphrases, and for keys; armoured."""
        certs, _ = self._readers(to)
        signer = self._signer(sign_with, passphrase) if sign_with else None
        secrets = [text_of(one) for one in passphrases]
        try:
            message = bytes(ask(self._lib.encrypt, data, certs, signer, secrets, armor=False))
        except Refused as refused:
            raise KeyProblem(f"Sequoia did not encrypt this: {refused}") from None
        sealed = read_sealed(message)
        if sealed.passphrases != len(secrets) or sealed.container_tag != PROTECTED:
            raise KeyProblem("Sequoia encrypted in another way than was asked")
        return enarmor(message, "MESSAGE")

    def opens(self, key: str, passphrase: bytes | None) -> bool:
        """Whether this opens the secret half of a key that is kept here."""
        tsk = self._tsk(key)
        for opener in (tsk.signer, tsk.decryptor) if tsk is not None else ():
            try:
                ask(opener, text_of(passphrase))
            except Refused:
                continue
            return True
        return False
