"""OpenPGP keys: in a private GnuPG home, or the user's own.

A key's secret half stays in the home; what is handed about is its name. The
keyring is a ``Trust`` too: the keys that somebody put into it may speak for the
addresses they name.

Floor:  pgp (uses errors, keys, policy, protocols, report)
Source: RFC 9580 §5.11 for user IDs
"""

from __future__ import annotations

import os
import threading
from typing import TYPE_CHECKING

from smime.errors import KeyProblem
from smime.keys.address import same_address
from smime.pgp import editing, judging, making
from smime.pgp.gnupg import GnuPG, Run, find_gpg, version_of
from smime.pgp.homes import PrivateHome
from smime.pgp.key import PgpKey, asked
from smime.pgp.listing import KeyFacts, UserId, address_of, read_listing
from smime.pgp.manager import Manager, read_keys
from smime.pgp.strict import parts_of
from smime.policy import moment
from smime.protocols import Judgement
from smime.report import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import NoReturn, Self

    from smime.keys import Passphrase
    from smime.protocols import Claim, PgpClaim

__all__ = ["PgpKeyring"]


class PgpKeyring:
    """OpenPGP keys in a private GnuPG home, or the user's own; a context manager.

    ``keys`` are keys as octets, armoured or not; ``passphrase`` opens their secret
    halves, as text, octets, or a function that asks. The home is made below the
    system's folder for temporary files, mode 0700, and wiped by ``close``, with
    the agents that GnuPG started.

    As a ``Trust`` it says good of signatures by its keys for the addresses that they
    name themselves: put in only keys of which you know whose they are. In the
    user's own keyring (``user()``), where keys come in by many ways, only
    addresses count that GnuPG takes for the owner's by what its user told it
    (own keys, and what was certified with ``gpg --quick-lsign-key``).

    Raises ``NotSupported`` if GnuPG is not installed, ``KeyProblem`` and
    ``MalformedMail`` for what are no keys.
    """

    def __init__(self, *keys: bytes, passphrase: Passphrase | None = None) -> None:
        self._open(PrivateHome(), passphrase)
        try:
            for data in keys:
                self.add(data)
        except BaseException:
            self.close()
            raise

    def _open(
        self, home: PrivateHome | None, passphrase: Passphrase | None, where: str | None = None
    ) -> None:
        path = find_gpg()
        self._home = home
        self._passphrase = passphrase
        if home is not None:
            where = home.path
        self._engine = GnuPG(path, where)
        self._manager = Manager(path, where)
        self._known: dict[str, KeyFacts] = {}
        self._bound: frozenset[str] = frozenset()
        self._loose: frozenset[str] = frozenset()
        self._index: dict[str, tuple[str, ...]] | None = None
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def load(cls, *paths: os.PathLike[str] | str, passphrase: Passphrase | None = None) -> Self:
        """Make a private keyring from files of keys. Raises ``OSError`` too."""
        found = []
        for path in paths:
            with open(path, "rb") as file:
                found.append(file.read())
        return cls(*found, passphrase=passphrase)

    @classmethod
    def user(
        cls,
        home: os.PathLike[str] | str | None = None,
        *,
        passphrase: Passphrase | None = None,
    ) -> Self:
        """Use the user's own keyring, with its agent and smartcards (``GNUPGHOME``, ``~/.gnupg``).

        ``home`` is another GnuPG home that is kept. Nothing asks the user anything: a
        key is used if the agent has it open, or with ``passphrase``. ``close`` leaves
        the agent alone.
        """
        made = cls.__new__(cls)
        made._open(None, passphrase, None if home is None else os.path.abspath(os.fspath(home)))
        return made

    @property
    def engine(self) -> GnuPG:
        """What signs, checks, encrypts and decrypts with these keys."""
        if self._closed:
            raise ValueError("the keyring is closed")
        return self._engine

    @property
    def version(self) -> str:
        """The version of GnuPG."""
        return ".".join(map(str, version_of(self._engine.path)))

    # --- keys ---------------------------------------------------------------

    def add(self, data: bytes) -> tuple[PgpKey, ...]:
        """Take keys in, armoured or not; of a key that is there already, what is new.

        A revocation certificate revokes its key, and returns none.
        Raises ``KeyProblem`` or ``MalformedMail`` if there is none, ``LimitExceeded``
        for more than any file of keys has.
        """
        if not isinstance(data, bytes | bytearray | memoryview):
            raise TypeError(
                f"keys are octets, not a {type(data).__name__}: PgpKeyring.load('alice.asc')"
            )
        self.engine  # noqa: B018  # raises if closed
        binary = read_keys(bytes(data))
        found = self._manager.import_keys(binary)
        parts, bound = parts_of(binary)
        self._bound |= bound
        self._loose = (self._loose | parts) - self._bound
        self._forget()
        return tuple(self.key(one) for one in found if self._facts(one) is not None)

    def generate(
        self,
        address: str,
        *,
        name: str = "",
        algorithm: str = "ed25519",
        lifetime_days: int | None = 730,
        passphrase: Passphrase | None = None,
    ) -> PgpKey:
        """Make a key that signs, with a subkey to encrypt to, both of version 4.

        ``algorithm`` is ``ed25519`` or ``rsa3072``; ``lifetime_days=None`` makes one
        without end. ``passphrase`` locks its secret half. Raises ``ValueError`` for
        what is no address or no name.
        """
        secret = asked(passphrase)
        wanted = making.parameters(address, name, algorithm, lifetime_days, locked=bool(secret))
        run = self.engine.run("--generate-key", data=wanted, passphrase=secret)
        made = [rest.split() for rest in run.status.all("KEY_CREATED")]
        if run.exit_status != 0 or len(made) != 1 or len(made[0]) < 2:
            raise KeyProblem("gpg made no key")
        self._forget()
        return self.key(made[0][1].lower(), passphrase=passphrase)

    def find(self, address: str, *, passphrase: Passphrase | None = None) -> PgpKey:
        """Return the key for this address: one that is valid today before one that is not.

        Of several that are, one with a secret half, then the newest. A key that is
        expired or revoked still reads old mail. Raises ``KeyProblem``, whose
        ``missing`` names the address, if there is none.
        """
        now = moment(None)
        found = []
        for fingerprint, names in self._names().items():
            if any(same_address(address, address_of(name)) for name in names):
                facts = self._facts(fingerprint)
                if facts is not None:
                    found.append(facts)

        def worth(facts: KeyFacts) -> tuple[bool, bool, bool, datetime]:
            named = any(same_address(address, one) for one in facts.addresses_at(now))
            encrypts = facts.encrypts_at(now)
            newest = encrypts.created if encrypts else facts.primary.created
            return named, facts.primary.valid_at(now), facts.secret, newest

        if not found:
            raise KeyProblem(
                f"the keyring has no key for {address}",
                hint="add it: keyring.add(data), or smimetool pgp import",
                missing=(address,),
            )
        return PgpKey(self, max(found, key=worth), self._or_ours(passphrase))

    def key(self, fingerprint: str, *, passphrase: Passphrase | None = None) -> PgpKey:
        """Return the key whose primary key has this whole fingerprint. Raises ``KeyProblem``."""
        wanted = "".join(fingerprint.split()).lower()
        facts = self._facts(wanted)
        if facts is None:
            raise KeyProblem(f"the keyring has no key {wanted}")
        return PgpKey(self, facts, self._or_ours(passphrase))

    def addresses_of(self, key: str) -> tuple[str, ...]:
        """Return the addresses that the owner of a key or subkey names; a key id will do.

        For telling whom a signature speaks of, be it good or bad; not for trusting it.
        """
        if len(key) not in (16, 40, 64) or not set(key) <= set("0123456789abcdef"):
            return ()
        now = moment(None)
        facts = self._facts(key)
        found = (facts,) if facts is not None else read_listing(self._list(key).output)
        return tuple(dict.fromkeys(a for one in found for a in one.addresses_at(now)))

    def __iter__(self) -> Iterator[PgpKey]:
        for fingerprint in self._names():
            if self._facts(fingerprint) is not None:
                yield self.key(fingerprint)

    def __len__(self) -> int:
        return len(self._names())

    def export(self, *keys: PgpKey, secret: bool = False) -> bytes:
        """Return keys as armour, all of the keyring if none is named; with ``secret`` both halves.

        What has a passphrase keeps it. Raises ``KeyProblem`` if there is none.
        """
        chosen = keys or tuple(self)
        if not chosen:
            raise KeyProblem("the keyring is empty")
        self.engine  # noqa: B018  # raises if closed
        return b"".join(
            self._manager.export(
                [one.fingerprint],
                secret=secret,
                passphrase=one.passphrase() if secret else None,
            )
            for one in chosen
        )

    # --- changes to one's own keys: each returns the key as it is then ----------

    def change_passphrase(self, key: PgpKey, new: Passphrase | None) -> PgpKey:
        """Lock the secret half of a key with another passphrase; with None it is not locked.

        Raises ``KeyProblem`` if the key's own passphrase is missing or wrong.
        """
        secret = asked(new)
        editing.change_passphrase(self.engine, key.facts, key.passphrase(), secret)
        return PgpKey(self, key.facts, secret)

    def extend(self, key: PgpKey, *, lifetime_days: int | None = 730) -> PgpKey:
        """Let a key and its subkeys be valid so many days from now, or without end for None.

        What was sealed for it and signed by it is untouched; others learn of it when they
        get the key again. Raises ``KeyProblem`` if it is not one's own, or locked.
        """
        if lifetime_days is not None and lifetime_days < 1:
            raise ValueError("a key lives for a day at least: retire it with revoke()")
        before = self.export(key)
        editing.set_expiry(self.engine, key.facts, lifetime_days, key.passphrase())
        # gpg replaces what the key said of itself: put back, it still speaks for old mail.
        self.add(before)
        return self._changed(key)

    def add_address(self, key: PgpKey, address: str, *, name: str = "") -> PgpKey:
        """Let a key name another address. Raises as ``extend``, ``ValueError`` for no address."""
        editing.add_user_id(self.engine, key.facts, making.user_id(address, name), key.passphrase())
        return self._changed(key)

    def revoke_address(self, key: PgpKey, address: str) -> PgpKey:
        """Take back an address that a key names. Raises as ``extend``."""
        found = [one for one in key.facts.user_ids if same_address(one.address, address)]
        if not found:
            raise KeyProblem(f"{key!r} does not name {address}", missing=(address,))
        for one in found:
            editing.revoke_user_id(self.engine, key.facts, one.text, key.passphrase())
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
        editing.add_subkey(self.engine, key.facts, use, algorithm, lifetime_days, key.passphrase())
        return self._changed(key)

    def revoke_subkey(self, key: PgpKey, fingerprint: str, *, reason: str = "superseded") -> PgpKey:
        """Revoke one subkey; the reasons are those of ``revoke``. Raises as ``extend``."""
        numbers = {one.fingerprint: n for n, one in enumerate(key.facts.keys)}
        number = numbers.get(fingerprint.lower(), 0)
        if number == 0:
            raise KeyProblem(f"{key!r} has no subkey {fingerprint}")
        editing.revoke_subkey(self.engine, key.facts, number, reason, key.passphrase())
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
        return editing.revocation(self.engine, key.facts, reason, key.passphrase())

    def _changed(self, key: PgpKey) -> PgpKey:
        self._forget()
        return self.key(key.fingerprint, passphrase=key.passphrase())

    def vouch(self, key: PgpKey, *, by: PgpKey) -> None:
        """Say to GnuPG that a key is its owner's: certify it, for this home alone.

        ``by`` is a key of one's own in the same keyring. Only ``user()`` asks for
        that; in a private keyring every key counts. Raises ``KeyProblem``.
        """
        done = self.engine.run(
            *("--local-user", by.fingerprint.upper(), "--quick-lsign-key", key.fingerprint.upper()),
            passphrase=by.passphrase(),
        )
        if done.exit_status != 0:
            raise KeyProblem(
                f"gpg did not certify {key!r}",
                hint="the key that certifies must be your own, and open",
            )
        self._forget()

    def _or_ours(self, passphrase: Passphrase | None) -> Passphrase | None:
        return self._passphrase if passphrase is None else passphrase

    def _forget(self) -> None:
        with self._lock:
            self._known.clear()
            self._index = None

    def _names(self) -> dict[str, tuple[str, ...]]:
        self.engine  # noqa: B018  # raises if closed
        with self._lock:
            if self._index is None or self._home is None:
                self._index = self._manager.names()
                if self._home is None:
                    self._known.clear()  # other programs write there, too
            return self._index

    def _facts(self, fingerprint: str) -> KeyFacts | None:
        with self._lock:
            known = self._known.get(fingerprint)
        if known is not None:
            return known
        if len(fingerprint) not in (40, 64) or not set(fingerprint) <= set("0123456789abcdef"):
            return None
        run = self._list(fingerprint)
        found = next((o for o in read_listing(run.output) if o.fingerprint == fingerprint), None)
        if found is not None:
            with self._lock:
                self._known[fingerprint] = found
        return found

    def _list(self, fingerprint: str) -> Run:
        # How far GnuPG takes an address for the owner's is asked of the user's own only.
        model = ("--trust-model", "pgp", "--auto-check-trustdb") if self._home is None else ()
        return self.engine.run(
            *(*model, "--with-colons", "--with-secret", "--with-fingerprint", "--with-fingerprint"),
            *("--check-sigs", fingerprint.upper()),
        )

    # --- trust --------------------------------------------------------------

    def judge(self, claim: Claim) -> Judgement:
        """Say that certificates are no matter of a keyring."""
        rule = "RFC 9580 §12"
        other = Finding.open("not-asked", f"not asked by an OpenPGP keyring: {claim.use}", rule)
        return Judgement(
            path=Finding.no("no-anchor", "an OpenPGP keyring vouches for no certificate", rule),
            revocation=other,
            usage=other,
            address=other,
            time=other,
        )

    def judge_openpgp(self, claim: PgpClaim) -> Judgement:
        """Say whether the key of the claim may speak for its sender. Never raises for a bad one."""
        facts = self._facts(claim.signature.primary)
        if facts is None:
            return judging.unknown_key(claim)
        return judging.judge(facts, claim, self._speaks_for, self._loose)

    def _speaks_for(self, user_id: UserId) -> bool:
        return self._home is not None or user_id.vouched

    # --- ending -------------------------------------------------------------

    def close(self) -> None:
        """End the agents of a private home and wipe it; more than once does nothing more."""
        self._closed = True
        if self._home is not None:
            self._home.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        value: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.close()

    def __reduce__(self) -> NoReturn:
        raise TypeError("a keyring owns a folder and processes, and is not pickled")

    def __repr__(self) -> str:
        if self._closed:
            return "<PgpKeyring, closed>"
        whose = "the user's own" if self._home is None else "private"
        return f"<PgpKeyring, {whose}, GnuPG {self.version}>"
