"""What a keyring does to one's own keys; each change returns the key as it is then.

Floor:  pgp (uses errors, keys, editing, making)
Source: RFC 9580 §5.2.3.31 for the reasons of a revocation
"""

from __future__ import annotations

from abc import ABC, abstractmethod

from smime.errors import KeyProblem
from smime.keys.address import same_address
from smime.pgp import editing, making
from smime.pgp.key import asked

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.keys import Passphrase
    from smime.pgp.gnupg import GnuPG
    from smime.pgp.key import PgpKey

__all__ = ["OwnKeys"]

_ULTIMATE = 6  # of GnuPG's ownertrust (doc/DETAILS): one's own


class OwnKeys(ABC):
    """The part of a keyring that changes keys, through GnuPG."""

    @property
    @abstractmethod
    def gnupg(self) -> GnuPG: ...

    @abstractmethod
    def key(self, fingerprint: str, *, passphrase: Passphrase | None = None) -> PgpKey: ...

    @abstractmethod
    def add(self, data: bytes) -> tuple[PgpKey, ...]: ...

    @abstractmethod
    def export(self, *keys: PgpKey, secret: bool = False) -> bytes: ...

    @abstractmethod
    def _forget(self) -> None: ...

    def change_passphrase(self, key: PgpKey, new: Passphrase | None) -> PgpKey:
        """Lock the secret half of a key with another passphrase; with None it is not locked.

        Raises ``KeyProblem`` if the key's own passphrase is missing or wrong.
        """
        secret = asked(new)
        editing.change_passphrase(self.gnupg, key.facts, key.passphrase(), secret)
        return self.key(key.fingerprint, passphrase=secret)

    def extend(self, key: PgpKey, *, lifetime_days: int | None = 730) -> PgpKey:
        """Let a key and its subkeys be valid so many days from now, or without end for None.

        What was sealed for it and signed by it is untouched; others learn of it when they
        get the key again. Raises ``KeyProblem`` if it is not one's own, or locked.
        """
        if lifetime_days is not None and lifetime_days < 1:
            raise ValueError("a key lives for a day at least: retire it with revoke()")
        before = self.export(key)
        editing.set_expiry(self.gnupg, key.facts, lifetime_days, key.passphrase())
        # gpg replaces what the key said of itself: put back, it still speaks for old mail.
        self.add(before)
        return self._changed(key)

    def add_address(self, key: PgpKey, address: str, *, name: str = "") -> PgpKey:
        """Let a key name another address. Raises as ``extend``, ``ValueError`` for no address."""
        editing.add_user_id(self.gnupg, key.facts, making.user_id(address, name), key.passphrase())
        return self._changed(key)

    def add_user_id(self, key: PgpKey, user_id: str) -> PgpKey:
        """Let a key name anything; for mail, ``add_address``. Raises as ``extend``."""
        editing.add_user_id(self.gnupg, key.facts, user_id, key.passphrase())
        return self._changed(key)

    def revoke_address(self, key: PgpKey, address: str) -> PgpKey:
        """Take back an address that a key names. Raises as ``extend``."""
        found = [one for one in key.facts.user_ids if same_address(one.address, address)]
        if not found:
            raise KeyProblem(f"{key!r} does not name {address}", missing=(address,))
        for one in found:
            editing.revoke_user_id(self.gnupg, key.facts, one.text, key.passphrase())
        return self._changed(key)

    def add_subkey(
        self,
        key: PgpKey,
        *,
        use: str = "encrypt",
        algorithm: str = "ed25519",
        lifetime_days: int | None = 730,
    ) -> PgpKey:
        """Make another subkey, to ``encrypt`` to or to ``sign`` with; the newest is used.

        Old mail still opens with the old one. Raises as ``extend``.
        """
        editing.add_subkey(self.gnupg, key.facts, use, algorithm, lifetime_days, key.passphrase())
        return self._changed(key)

    def revoke_subkey(self, key: PgpKey, fingerprint: str, *, reason: str = "superseded") -> PgpKey:
        """Revoke one subkey; the reasons are those of ``revoke``. Raises as ``extend``."""
        numbers = {one.fingerprint: n for n, one in enumerate(key.facts.keys)}
        number = numbers.get(fingerprint.lower(), 0)
        if number == 0:
            raise KeyProblem(f"{key!r} has no subkey {fingerprint}")
        editing.revoke_subkey(self.gnupg, key.facts, number, reason, key.passphrase())
        return self._changed(key)

    def revoke(self, key: PgpKey, *, reason: str = "none") -> bytes:
        """Revoke a key, here and now; return the certificate that revokes it elsewhere.

        ``reason`` is ``superseded`` or ``retired``, after which what it signed before
        stays good, or ``stolen`` or ``none``, after which nothing does. Raises as ``extend``.
        """
        certificate = self.make_revocation(key, reason=reason)
        self.add(certificate)
        return certificate

    def make_revocation(self, key: PgpKey, *, reason: str = "none") -> bytes:
        """Return what revokes a key, and change nothing; to be kept apart. Raises as ``revoke``."""
        return editing.revocation(self.gnupg, key.facts, reason, key.passphrase())

    def _changed(self, key: PgpKey) -> PgpKey:
        self._forget()
        return self.key(key.fingerprint, passphrase=key.passphrase())

    def _own(self, key: PgpKey) -> None:
        if not key.is_secret:
            raise KeyProblem(f"{key!r} is not your own: its secret half is not in the keyring")
        trust = f"{key.fingerprint.upper()}:{_ULTIMATE}:\n".encode()
        if self.gnupg.run("--import-ownertrust", data=trust).exit_status != 0:
            raise KeyProblem(f"gpg did not take {key!r} for your own")
        self._forget()

    def vouch(self, key: PgpKey, *, by: PgpKey) -> None:
        """Say to GnuPG that a key is its owner's: certify it, for this home alone.

        ``by`` is a key of one's own in the same keyring; where it is the key itself, it is
        one's own from then on, and may vouch for others (which a secret key that came
        from elsewhere is not by itself). Only ``user()`` asks for
        that; in a private keyring every key counts. Raises ``KeyProblem``.
        """
        if by.fingerprint == key.fingerprint:
            self._own(key)
            return
        done = self.gnupg.run(
            *("--local-user", by.fingerprint.upper(), "--quick-lsign-key", key.fingerprint.upper()),
            passphrase=by.passphrase(),
        )
        if done.exit_status != 0:
            raise KeyProblem(
                f"gpg did not certify {key!r}",
                hint="the key that certifies must be your own, and open",
            )
        self._forget()
