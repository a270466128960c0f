"""Both engines: each question goes to the one that is right for it.

Sequoia is quick and knows RFC 9580, GnuPG knows everything older, its agent and
cards. What a message and its packets say decides, never the hope for a better
answer: only what an engine does not support goes to the other. Where Sequoia
does not say that a signature holds, GnuPG is asked why; should it say that all
is well, the two disagree, and that is a weak signature.

Floor:  pgp (uses errors, backend, bulk, gnupg, sequoia, strict)
Source: RFC 9580 for versions
"""

from __future__ import annotations

from dataclasses import replace

from smime.errors import NotSupported
from smime.pgp.bulk import MAX_QUICK
from smime.pgp.packets import PROTECTED
from smime.pgp.strict import packet_version

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from smime.pgp.backend import Decrypted, Encrypted, Opening, SignatureFacts, Signed
    from smime.pgp.gnupg import GnuPG
    from smime.pgp.packets import Sealed
    from smime.pgp.sequoia import Sequoia
    from smime.stored import Data

__all__ = ["Auto"]


def _is_quick(data: Data) -> bool:
    """Whether Sequoia, which holds Python's lock while it makes something, does it at once."""
    return isinstance(data, bytes) and len(data) <= MAX_QUICK


class Auto:
    """Sequoia and GnuPG over the same keys, each with some that the other does not know."""

    name = "auto"

    def __init__(self, gnupg: GnuPG, sequoia: Sequoia) -> None:
        self.gnupg = gnupg
        self.sequoia = sequoia

    def _is_beyond(self, *names: str) -> bool:
        """Whether one of these keys is in memory, since GnuPG does not take it."""
        return any(self.sequoia.facts(one) is not None for one in names)

    def sign(
        self,
        data: Data,
        key: str,
        *,
        passphrase: bytes | None = None,
        digest: str = "",
        at: datetime | None = None,
    ) -> Signed:
        """See ``Backend.sign``."""
        beyond = self._is_beyond(key)
        if beyond or (_is_quick(data) and self.sequoia.can_sign(key)):
            try:
                return self.sequoia.sign(data, key, passphrase=passphrase, digest=digest, at=at)
            except NotSupported:
                if beyond:
                    raise
        return self.gnupg.sign(data, key, passphrase=passphrase, digest=digest, at=at)

    def check(
        self, data: Data, signatures: Sequence[bytes], *, at: datetime | None = None
    ) -> tuple[SignatureFacts, ...]:
        """See ``Backend.check``."""
        return tuple(self._check(data, one, at) for one in signatures)

    def _check(self, data: Data, signature: bytes, at: datetime | None) -> SignatureFacts:
        beyond = packet_version(signature) == 6
        if beyond or at is None:
            (facts,) = self.sequoia.check(data, (signature,), at=at)
            if beyond or facts.state == "holds" or (facts.key and self._is_beyond(facts.key)):
                return facts
            (why,) = self.gnupg.check(data, (signature,), at=at)
            if facts.state in ("refused", "broken") and why.state == "holds":
                return replace(why, loose=True)
            return why
        return self.gnupg.check(data, (signature,), at=at)[0]

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
        """See ``Backend.encrypt``. For keys that GnuPG knows everybody can read what is written."""
        beyond = self._is_beyond(*to, *hidden, *([sign_with] if sign_with else []))
        quick = _is_quick(data) and (not sign_with or self.sequoia.can_sign(sign_with))
        if beyond or quick:
            try:
                made = self.sequoia.encrypt(
                    data,
                    to,
                    hidden=hidden,
                    sign_with=sign_with,
                    passphrase=passphrase,
                    cipher=cipher,
                    digest=digest,
                    at=at,
                )
            except NotSupported:
                if beyond:
                    raise
            else:
                if beyond or made.version == 1:
                    return made
        return self.gnupg.encrypt(
            data,
            to,
            hidden=hidden,
            sign_with=sign_with,
            passphrase=passphrase,
            cipher=cipher,
            digest=digest,
            at=at,
        )

    def decrypt(
        self,
        sealed: Sealed,
        keys: Sequence[Opening],
        *,
        passphrase: bytes | None = None,
        at: datetime | None = None,
    ) -> Decrypted:
        """See ``Backend.decrypt``. GnuPG hands out the signatures inside, so it is asked first."""
        theirs = [one for one in keys if self._is_beyond(one.fingerprint)]
        named = any(sealed.is_for(one.key_ids) for one in theirs)
        modern = sealed.container_tag == PROTECTED and sealed.container_version == 2
        if named or modern or sealed.argon2:
            return self.sequoia.decrypt(sealed, keys, passphrase=passphrase, at=at)
        try:
            return self.gnupg.decrypt(sealed, keys, passphrase=passphrase, at=at)
        except NotSupported:
            return self.sequoia.decrypt(sealed, keys, passphrase=passphrase, at=at)
