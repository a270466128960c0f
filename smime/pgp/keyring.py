"""OpenPGP keys: in a private GnuPG home, or the user's own.

A key's secret half stays in the home; what is handed about is its name. The
keyring is a ``Trust`` too: the keys that somebody put into it may speak for the
addresses they name.

Floor:  pgp (uses errors, keys, policy, protocols, report)
Source: RFC 9580 §5.11 for user IDs
"""

from __future__ import annotations

import os
import string
import threading
from dataclasses import replace
from typing import TYPE_CHECKING

from smime.errors import KeyProblem, NotSupported
from smime.keys.address import same_address
from smime.pgp import editing, judging, making
from smime.pgp.asking import INSTALL as SEQUOIA
from smime.pgp.asking import has_sequoia
from smime.pgp.auto import Auto
from smime.pgp.gnupg import INSTALL, GnuPG, Run, find_gpg, version_of
from smime.pgp.homes import PrivateHome, prepare_own
from smime.pgp.key import PgpKey, asked
from smime.pgp.listing import KeyFacts, UserId, address_of, read_listing
from smime.pgp.manager import Manager, read_keys
from smime.pgp.own import OwnKeys
from smime.pgp.sequoia import Sequoia
from smime.pgp.strict import beyond_gnupg, parts_of
from smime.policy import moment
from smime.protocols import Judgement
from smime.report import Finding

if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime
    from types import TracebackType
    from typing import NoReturn, Self

    from smime.keys import Passphrase
    from smime.pgp.backend import Backend
    from smime.protocols import Claim, PgpClaim

__all__ = ["PgpKeyring"]


class PgpKeyring(OwnKeys):
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

    def __init__(
        self, *keys: bytes, passphrase: Passphrase | None = None, engine: str = "auto"
    ) -> None:
        engine = _engine_for(engine)
        self._open(None if engine == "sequoia" else PrivateHome(), passphrase, engine=engine)
        try:
            for data in keys:
                self.add(data)
        except BaseException:
            self.close()
            raise

    def _open(
        self,
        home: PrivateHome | None,
        passphrase: Passphrase | None,
        where: str | None = None,
        engine: str = "auto",
    ) -> None:
        self._home = home
        self._passphrase = passphrase
        self._gnupg: GnuPG | None = None
        self._memory: Sequoia | None = None
        if engine != "sequoia":
            path = find_gpg()
            self._gnupg = GnuPG(path, home.path if home is not None else where)
            self._manager = Manager(path, self._gnupg.home)
        if engine != "gnupg":
            self._memory = Sequoia(self._octets, self._secret_octets)
        self._is_own = self._gnupg is not None and home is None
        self._known: dict[str, KeyFacts] = {}
        self._exported: dict[tuple[str, bool], bytes] = {}
        self._bound: frozenset[str] = frozenset()
        self._loose: frozenset[str] = frozenset()
        self._index: dict[str, tuple[str, ...]] | None = None
        self._lock = threading.Lock()
        self._closed = False

    @classmethod
    def load(
        cls,
        *paths: os.PathLike[str] | str,
        passphrase: Passphrase | None = None,
        engine: str = "auto",
    ) -> Self:
        """Make a private keyring from files of keys. Raises ``OSError`` too."""
        found = []
        for path in paths:
            with open(path, "rb") as file:
                found.append(file.read())
        return cls(*found, passphrase=passphrase, engine=engine)

    @classmethod
    def user(
        cls,
        home: os.PathLike[str] | str | None = None,
        *,
        passphrase: Passphrase | None = None,
    ) -> Self:
        """Use the user's own keyring, with its agent and smartcards (``GNUPGHOME``, ``~/.gnupg``).

        ``home`` is another GnuPG home. Nothing asks the user anything: a key is used if the
        agent has it open, or with ``passphrase``. ``close`` leaves home and agent alone.
        """
        made = cls.__new__(cls)
        where = None if home is None else os.path.abspath(os.fspath(home))
        prepare_own(where)
        made._open(None, passphrase, where, "auto" if has_sequoia() else "gnupg")
        return made

    @property
    def engine(self) -> Backend:
        """What signs, checks, encrypts and decrypts with these keys."""
        if self._closed:
            raise ValueError("the keyring is closed")
        if self._gnupg is None:
            assert self._memory is not None
            return self._memory
        return Auto(self._gnupg, self._memory) if self._memory is not None else self._gnupg

    @property
    def gnupg(self) -> GnuPG:
        """GnuPG over this keyring. Raises ``NotSupported`` where it has none."""
        if self._closed:
            raise ValueError("the keyring is closed")
        if self._gnupg is None:
            raise NotSupported("this needs a keyring with GnuPG", hint=INSTALL)
        return self._gnupg

    @property
    def sequoia(self) -> Sequoia | None:
        """Sequoia over this keyring, where its library is installed."""
        return self._memory

    @property
    def version(self) -> str:
        """The version of GnuPG; empty if the keyring has none."""
        return "" if self._gnupg is None else ".".join(map(str, version_of(self._gnupg.path)))

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
        found = self._take(binary)
        parts, bound = parts_of(binary)
        self._bound |= bound
        self._loose = (self._loose | parts) - self._bound
        self._forget()
        return tuple(self.key(one) for one in found if self._facts(one) is not None)

    def _take(self, binary: bytes) -> tuple[str, ...]:
        """Give keys to GnuPG, and those that it does not take to Sequoia."""
        if self._gnupg is None:
            assert self._memory is not None
            return self._memory.add(binary)
        if self._memory is None:
            return self._manager.import_keys(binary)
        try:
            found = self._manager.import_keys(binary)
        except KeyProblem:
            found = self._memory.add(beyond_gnupg(binary) or binary)
        else:
            beyond = beyond_gnupg(binary) + self._memory.not_among(binary, found)
            if beyond:
                found += self._memory.add(beyond)
        return tuple(dict.fromkeys(found))

    def generate(
        self,
        address: str,
        *,
        name: str = "",
        algorithm: str = "ed25519",
        version: int = 4,
        lifetime_days: int | None = 730,
        passphrase: Passphrase | None = None,
    ) -> PgpKey:
        """Make a key that signs, with a subkey to encrypt to.

        ``algorithm`` is ``ed25519`` or ``rsa3072``; ``lifetime_days=None`` makes one
        without end. ``passphrase`` locks its secret half. With ``version=6`` the key is
        in the form of RFC 9580, which needs Sequoia, and which GnuPG and most mail
        programs do not read; ``algorithm`` may then be ``ml-dsa-65``, safe from quantum
        computers. Such a key cannot be locked here. Raises ``ValueError`` for what is no
        address or no name, ``NotSupported`` for what the engines cannot.
        """
        secret = asked(passphrase)
        if version != 4 or self._gnupg is None:
            return self._generate_quickly(address, name, algorithm, version, lifetime_days, secret)
        wanted = making.parameters(address, name, algorithm, lifetime_days, locked=bool(secret))
        run = self.gnupg.run("--generate-key", data=wanted, passphrase=secret)
        made = [rest.split() for rest in run.status.all("KEY_CREATED")]
        if run.exit_status != 0 or len(made) != 1 or len(made[0]) < 2:
            raise KeyProblem("gpg made no key")
        self._forget()
        return self.key(made[0][1].lower(), passphrase=passphrase)

    def _generate_quickly(
        self,
        address: str,
        name: str,
        algorithm: str,
        version: int,
        lifetime_days: int | None,
        secret: bytes | None,
    ) -> PgpKey:
        suite = making.suite(algorithm, version, lifetime_days)
        user_id = making.user_id(address, name)
        if secret is not None:
            raise NotSupported("Sequoia's library locks no keys: leave the passphrase out")
        return self._make_in_memory(user_id, version, suite, lifetime_days)

    def _make_in_memory(
        self, user_id: str, version: int, suite: str, lifetime_days: int | None
    ) -> PgpKey:
        if self._memory is None:
            raise NotSupported("a key of version 6 needs Sequoia's library", hint=SEQUOIA)
        made = self._memory.generate(
            user_id, version=version, suite=suite, lifetime_days=lifetime_days
        )
        self._forget()
        return self.key(made)

    def make_named(
        self, user_id: str, *, version: int = 4, passphrase: Passphrase | None = None
    ) -> PgpKey:
        """Make a key without end with any user ID; for mail, ``generate``."""
        secret = asked(passphrase)
        if version == 6 or self._gnupg is None:
            return self._make_in_memory(user_id, version, "Cv25519", None)
        made = editing.generate_named(self._gnupg, user_id, secret)
        self._forget()
        return self.key(made, passphrase=passphrase)

    def find(self, address: str, *, passphrase: Passphrase | None = None) -> PgpKey:
        """Return the key for this address: one that is valid today before one that is not.

        In the user's own keyring one that is vouched for comes before others. Of several,
        one with a secret half, then the newest. A key that is expired or revoked still
        reads old mail. Raises ``KeyProblem`` that names the address if there is none.
        """
        now = moment(None)
        known = (
            self._facts(fingerprint)
            for fingerprint, names in self._names().items()
            if any(same_address(address, address_of(name)) for name in names)
        )
        found = [facts for facts in known if facts is not None]

        def worth(facts: KeyFacts) -> tuple[bool, bool, bool, bool, datetime]:
            ids = (i for i in facts.user_ids if i.valid_at(now))
            named = [i for i in ids if same_address(address, i.address)]
            newest = (facts.encrypts_at(now) or facts.primary).created
            vouched = any(map(self._speaks_for, named))
            return bool(named), vouched, facts.primary.valid_at(now), facts.secret, newest

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

    def facts_of(self, fingerprint: str) -> KeyFacts | None:
        """Return what is known of the key with this whole fingerprint of its primary key."""
        return self._facts(fingerprint)

    def addresses_of(self, key: str) -> tuple[str, ...]:
        """Return the addresses that the owner of a key or subkey names; a key id will do.

        For telling whom a signature speaks of, be it good or bad; not for trusting it.
        """
        if len(key) not in (16, 40, 64) or not set(key) <= set("0123456789abcdef"):
            return ()
        now = moment(None)
        facts = self._facts(key)
        if facts is None and self._memory is not None:
            facts = self._memory.facts(key)
        found: tuple[KeyFacts, ...] = (facts,) if facts is not None else ()
        if facts is None and self._gnupg is not None:
            found = read_listing(self._list(key).output)
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
        return b"".join(self._export(one, secret) for one in chosen)

    def _export(self, key: PgpKey, secret: bool) -> bytes:
        if self._memory is not None and self._memory.facts(key.fingerprint) is not None:
            return self._memory.export(key.fingerprint, secret=secret)
        return self._manager.export(
            [key.fingerprint], secret=secret, passphrase=key.passphrase() if secret else None
        )

    def _or_ours(self, passphrase: Passphrase | None) -> Passphrase | None:
        return self._passphrase if passphrase is None else passphrase

    def _forget(self) -> None:
        with self._lock:
            self._known.clear()
            self._exported.clear()
            self._index = None
        if self._memory is not None:
            self._memory.forget()

    def _names(self) -> dict[str, tuple[str, ...]]:
        self.engine  # noqa: B018  # raises if closed
        with self._lock:
            if self._index is None or self._is_own:
                self._index = {} if self._gnupg is None else self._manager.names()
                if self._memory is not None:
                    self._index.update(self._memory.names())
                if self._is_own:
                    self._known.clear()  # other programs write there, too
                    self._exported.clear()
            return self._index

    def _facts(self, fingerprint: str) -> KeyFacts | None:
        with self._lock:
            known = self._known.get(fingerprint)
        if known is not None:
            return known
        if len(fingerprint) not in (40, 64) or not set(fingerprint) <= set("0123456789abcdef"):
            return None
        found = self._memory.facts(fingerprint) if self._memory is not None else None
        if found is None and self._gnupg is not None:
            listed = read_listing(self._list(fingerprint).output)
            found = next((one for one in listed if one.fingerprint == fingerprint), None)
        elif found is not None and found.fingerprint != fingerprint:
            found = None
        if found is not None:
            found = replace(
                found, loose=self._loose.intersection(k.fingerprint for k in found.keys)
            )
            with self._lock:
                self._known[fingerprint] = found
        return found

    def _octets(self, name: str) -> bytes:
        """Return the public key in GnuPG with this fingerprint, also of a subkey, or key id."""
        return self._export_octets(name, "--export", secret=False)

    def _secret_octets(self, name: str) -> bytes:
        """Return the same with its secret half, if that is not locked; never the user's own."""
        if self._is_own:
            return b""
        return self._export_octets(name, "--export-secret-keys", secret=True)

    def _export_octets(self, name: str, command: str, *, secret: bool) -> bytes:
        if (
            self._gnupg is None
            or len(name) not in (16, 40)
            or not set(name) <= set(string.hexdigits)
        ):
            return b""
        with self._lock:
            known = self._exported.get((name, secret))
        if known is None:
            run = self._gnupg.run("--no-armor", command, name.upper())
            known = run.output if run.exit_status == 0 else b""
            with self._lock:
                self._exported[name, secret] = known
        return known

    def _list(self, fingerprint: str) -> Run:
        # How far GnuPG takes an address for the owner's is asked of the user's own only.
        model = ("--trust-model", "pgp", "--auto-check-trustdb") if self._is_own else ()
        return self.gnupg.run(
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
        return judging.judge(facts, claim, self._speaks_for)

    def _speaks_for(self, user_id: UserId) -> bool:
        return not self._is_own or user_id.vouched

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
        whose = "the user's own" if self._is_own else "private"
        return f"<PgpKeyring, {whose}, {f'GnuPG {self.version}' if self._gnupg else 'Sequoia'}>"


def _engine_for(asked: str) -> str:
    """Return which engine there is; raises ``NotSupported`` if there is none."""
    if asked not in ("auto", "gnupg", "sequoia"):
        raise ValueError(f"engine={asked!r}: choose 'auto', 'gnupg' or 'sequoia'")
    if asked != "auto":
        return asked
    if not has_sequoia():
        return "gnupg"
    try:
        find_gpg()
    except NotSupported:
        return "sequoia"
    return "auto"
