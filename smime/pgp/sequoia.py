"""Sequoia as the engine: in this process, without a home, quick, and at home in RFC 9580.

pysequoia gives away little and takes much on trust, so checks of ours stand
around it: it encrypts to keys that are expired or revoked (the caller looks
before), takes all subkeys that encrypt (it is shown one), reads the first of
several signatures only (each is asked alone), and says of a signature that it
holds, or nothing. Where it says nothing, nothing holds.

It holds Python's lock while it works; who has large mails has GnuPG, too. How it
is given what is in memory and what is in a file is in ``bulk``.

Floor:  pgp (uses errors, asking, backend, bulk, certs, packets, strict)
Source: RFC 9580
"""

from __future__ import annotations

from datetime import UTC
from itertools import islice

from smime.errors import DecryptionFailed, KeyProblem, LimitExceeded, NotSupported
from smime.pgp import bulk
from smime.pgp.asking import (
    INSTALL,
    Refused,
    ask,
    no_decryptor,
    refuse_moment,
    text_of,
)
from smime.pgp.backend import DIGESTS, STRONG_DIGESTS, Decrypted, Encrypted, SignatureFacts, Signed
from smime.pgp.certs import believed, only_subkey, read_certs, split_keys, unusable, with_secret
from smime.pgp.packets import (
    AEAD,
    MAX_TRIALS,
    PROTECTED,
    dearmor,
    enarmor,
    key_id_of,
    packets,
    read_sealed,
)
from smime.pgp.strict import is_strict, packet_version
from smime.pgp.uncommon import Uncommon
from smime.policy import moment
from smime.stored import has_bare_cr

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from typing import Any

    from smime.pgp.backend import Opening
    from smime.pgp.listing import KeyFacts
    from smime.pgp.packets import Sealed
    from smime.stored import Data, Stored

__all__ = ["Sequoia"]

MAX_OCTETS = 64 << 20  # of a message: it is held several times while it is worked on
FAILED = "the content could not be opened with this key"
# A handful of lines of a Rust backtrace follow; they tell nothing.
_STRUCTURE = "Unexpected message structure"


class Sequoia(Uncommon):
    """The engine over keys in memory, and over keys that ``find`` finds elsewhere.

    ``find`` takes a fingerprint or key id and returns a public key's packets, empty if
    there is none; ``find_secret`` the same with the secret half, if that is not locked.
    """

    name = "sequoia"

    def __init__(
        self,
        find: Callable[[str], bytes] | None = None,
        find_secret: Callable[[str], bytes] | None = None,
    ) -> None:
        try:
            import pysequoia
        except ImportError as missing:
            raise NotSupported("this needs Sequoia's library, pysequoia", hint=INSTALL) from missing
        self._lib: Any = pysequoia
        self._find = find
        self._find_secret = find_secret
        self._certs: dict[str, Any] = {}
        self._secrets: dict[str, Any] = {}
        self._facts: dict[str, KeyFacts] = {}
        self._parsed: dict[bytes, Any] = {}
        self._chosen: dict[tuple[str, str], Any] = {}

    # --- keys -----------------------------------------------------------------

    def add(self, octets: bytes) -> tuple[str, ...]:
        """Take keys in, given as packets; of one that is there already, what is new.

        A revocation alone revokes its key. Returns the fingerprints.
        Raises ``KeyProblem`` if there is no key that can be read.
        """
        if octets and all(one.tag == 2 for one in packets(octets)):
            return self._revoked(octets)
        names = []
        for chunk, secret in split_keys(octets):
            try:
                if secret:
                    tsk = ask(self._lib.Tsk.from_bytes, chunk)
                    cert = tsk.extract_certificate()
                    self._secrets[cert.fingerprint] = tsk
                else:
                    cert = ask(self._lib.Cert.from_bytes, chunk)
                self._take(cert)
            except Refused:
                continue
            names.append(cert.fingerprint)
        if not names:
            raise KeyProblem("Sequoia found no OpenPGP key that it could take")
        return tuple(dict.fromkeys(names))

    def not_among(self, octets: bytes, names: Iterable[str]) -> bytes:
        """Return the keys in a file of keys that have none of these fingerprints."""
        kept = []
        for chunk, secret in split_keys(octets):
            try:
                kind = self._lib.Tsk if secret else self._lib.Cert
                one = ask(kind.from_bytes, chunk)
            except Refused:
                continue
            if (one.extract_certificate() if secret else one).fingerprint not in names:
                kept.append(chunk)
        return b"".join(kept)

    def _take(self, cert: Any) -> None:
        name = cert.fingerprint
        self._chosen.clear()
        known = self._certs.get(name)
        self._certs[name] = cert if known is None else ask(known.merge, cert)
        facts = self._read(self._certs[name])
        self._facts[name] = with_secret(facts) if name in self._secrets else facts

    def _read(self, cert: Any) -> KeyFacts:
        ((_, facts),) = read_certs(bytes(cert))
        try:
            names = [str(one) for one in ask(getattr, cert, "user_ids")]
            expires = ask(getattr, cert, "expiration")
            revoked = ask(getattr, cert, "is_revoked")
        except Refused:  # nothing that is valid binds it together
            return unusable(facts)
        return believed(facts, names, expires, revoked)

    def _revoked(self, octets: bytes) -> tuple[str, ...]:
        for name, cert in self._certs.items():
            ((own, _),) = read_certs(bytes(cert))
            first = next(iter(packets(own))).raw
            try:
                self._take(ask(self._lib.Cert.from_bytes, first + octets + own[len(first) :]))
            except Refused:
                continue
            if self._certs[name].is_revoked:
                return (name,)
        raise KeyProblem("this revokes no key that is here")

    def names(self) -> dict[str, tuple[str, ...]]:
        """Return the user IDs of every key in memory by fingerprint."""
        return {name: tuple(one.text for one in self._facts[name].user_ids) for name in self._certs}

    def facts(self, name: str) -> KeyFacts | None:
        """Return what is known of the key with this fingerprint, or that of a subkey, or key id."""
        for facts in self._facts.values():
            if any(name in (one.fingerprint, one.key_id) for one in facts.keys):
                return facts
        return None

    def secret(self, name: str) -> bool:
        """Whether the secret half of the key with this fingerprint is in memory."""
        return name in self._secrets

    def export(self, name: str, *, secret: bool = False) -> bytes:
        """Return a key in memory as armour. Raises ``KeyProblem`` if it is not there."""
        kept = (self._secrets if secret else self._certs).get(name)
        if kept is None:
            what = "secret half of the key" if secret else "key"
            raise KeyProblem(f"the {what} is not in this keyring")
        kind = self._lib.ArmorKind.SecretKey if secret else self._lib.ArmorKind.PublicKey
        return _crlf(ask(self._lib.armor, bytes(kept), kind).encode("ascii"))

    def generate(self, user_id: str, *, version: int, suite: str, lifetime_days: int | None) -> str:
        """Make a key of version 4 or 6, in memory and not locked; return its fingerprint."""
        lib = self._lib
        made = ask(
            lib.Tsk.generate,
            user_id,
            profile=lib.Profile.RFC9580 if version == 6 else lib.Profile.RFC4880,
            cipher_suite=getattr(lib.CipherSuite, suite),
            validity_seconds=lifetime_days * 86400 if lifetime_days else None,
        )
        (name,) = self.add(bytes(made))
        return name

    def _cert(self, name: str) -> Any:
        """Return the key with this fingerprint or key id, or None."""
        facts = self.facts(name)
        if facts is not None:
            return self._certs[facts.fingerprint]
        octets = self._find(name) if self._find is not None else b""
        if not octets:
            return None
        if octets not in self._parsed:
            try:
                self._parsed[octets] = ask(self._lib.Cert.from_bytes, octets)
            except Refused:
                self._parsed[octets] = None
        return self._parsed[octets]

    def _tsk(self, name: str) -> Any:
        if name in self._secrets:
            return self._secrets[name]
        octets = self._find_secret(name) if self._find_secret is not None else b""
        if not octets:
            return None
        if octets not in self._parsed:
            try:
                self._parsed[octets] = ask(self._lib.Tsk.from_bytes, octets)
            except Refused:
                self._parsed[octets] = None
        return self._parsed[octets]

    def forget(self) -> None:
        """Forget what was found elsewhere: it may have changed."""
        self._parsed.clear()
        self._chosen.clear()

    # --- what a backend does -----------------------------------------------------

    def sign(
        self,
        data: Data,
        key: str,
        *,
        passphrase: bytes | None = None,
        digest: str = "",
        at: datetime | None = None,
    ) -> Signed:
        """See ``Backend.sign``. Raises ``NotSupported`` for another moment or digest."""
        refuse_moment(at)
        if digest not in ("", "sha512"):
            raise NotSupported(f"Sequoia signs with SHA-512, and not with {digest.upper()}")
        signer = self._signer(key, passphrase)
        lib = self._lib
        try:
            raw = bulk.sign(lib, signer, data)
        except Refused as refused:
            raise KeyProblem(f"Sequoia made no signature: {refused}") from None
        made = lib.Sig.from_bytes(raw)
        used = _digest_of(raw)
        if used not in STRONG_DIGESTS:
            raise KeyProblem("the OpenPGP key signs with a weak digest only, and is not used")
        return Signed(enarmor(raw, "SIGNATURE", b"\r\n"), used, made.issuer_fingerprint or key)

    def can_sign(self, key: str) -> bool:
        """Whether this key signs here without a passphrase."""
        try:
            return self._signer(key, None) is not None
        except KeyProblem:
            return False

    def _signer(self, key: str, passphrase: bytes | None) -> Any:
        tsk = self._tsk(key)
        if tsk is None:
            raise KeyProblem("the secret half of the OpenPGP key is not at hand, or is locked")
        try:
            return ask(tsk.signer, text_of(passphrase))
        except Refused:
            raise KeyProblem(
                "the OpenPGP key is locked, and its passphrase is missing or wrong; or no part of "
                "it that is valid is meant for signatures"
            ) from None

    def check(
        self, data: Data, signatures: Sequence[bytes], *, at: datetime | None = None
    ) -> tuple[SignatureFacts, ...]:
        """See ``Backend.check``. Each signature is asked alone: Sequoia sees the first only."""
        return tuple(self._check(data, one, at) for one in signatures)

    def _check(self, data: Data, signature: bytes, at: datetime | None) -> SignatureFacts:
        version = packet_version(signature)
        if version not in (4, 6):
            return SignatureFacts(
                "unsupported", reason=f"the signature is of version {version}, which is not known"
            )
        if at is not None:
            return SignatureFacts("unsupported", reason="Sequoia judges as of now")
        try:
            sig = ask(self._lib.Sig.from_bytes, signature)
        except Refused:
            return SignatureFacts("broken", reason="the signature cannot be read")
        name = sig.issuer_fingerprint or sig.issuer_key_id or ""
        created = None if sig.created is None else sig.created.astimezone(UTC)
        digest = _digest_of(signature)
        cert = self._cert(name) if name else None
        if cert is None:
            text = f"the key that made the signature, {name or 'not named'}, is not at hand"
            return SignatureFacts("no-key", key=name, created=created, digest=digest, reason=text)
        if digest not in STRONG_DIGESTS:
            text = (
                f"the signature uses {digest.upper() or 'an unknown digest'}, which Sequoia refuses"
            )
            return SignatureFacts(
                "unsupported", key=name, created=created, digest=digest, reason=text
            )
        try:
            found = bulk.verify(self._lib, data, cert, sig)
        except Refused:
            text = "the content was changed after signing, or the key could not sign it"
            return SignatureFacts("refused", key=name, created=created, digest=digest, reason=text)
        if len(found) != 1 or found[0][0] != cert.fingerprint or created is None:
            return SignatureFacts(
                "broken", key=name, reason="Sequoia's answer does not fit together"
            )
        text_kind = _kind_of(signature) == 1
        return SignatureFacts(
            "holds",
            key=found[0][1],
            primary=found[0][0],
            created=created,
            expires=None if sig.expiration is None else sig.expiration.astimezone(UTC),
            digest=digest,
            text=text_kind,
            loose=(text_kind and has_bare_cr(data)) or not is_strict(signature),
        )

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
        """See ``Backend.encrypt``. Raises ``NotSupported`` for hidden readers and other ciphers."""
        refuse_moment(at)
        if hidden:
            raise NotSupported("Sequoia's library names all readers of a message")
        if cipher != "aes-256" or (sign_with and digest not in ("", "sha512")):
            raise NotSupported("Sequoia's library writes AES-256 and SHA-512")
        if isinstance(data, bytes) and len(data) > MAX_OCTETS:
            raise NotSupported(f"Sequoia is given at most {MAX_OCTETS} octets")
        certs, wanted = self._readers(to)
        signer = self._signer(sign_with, passphrase) if sign_with else None
        try:
            message = bulk.encrypt(self._lib, data, certs, signer)
        except Refused as refused:
            raise KeyProblem(f"Sequoia did not encrypt to these OpenPGP keys: {refused}") from None
        sealed = read_sealed(message)
        named = {key_id_of(one) for one in sealed.recipients}
        if named != wanted or sealed.container_tag != PROTECTED:
            raise KeyProblem("Sequoia encrypted to other parts of the OpenPGP keys than was asked")
        return Encrypted(
            enarmor(message, "MESSAGE", b"\r\n") if isinstance(message, bytes) else b"",
            "AES-256",
            "sha512" if sign_with else "",
            sealed.container_version,
            stored=None if isinstance(message, bytes) else message,
        )

    def _readers(self, to: Sequence[str]) -> tuple[list[Any], set[str]]:
        """Return each reader's key with the one subkey that is written to, and their key ids."""
        certs, wanted = [], set()
        now = moment(None)
        for name in dict.fromkeys(to):
            cert = self._cert(name)
            facts = self.facts(name) or (self._read(cert) if cert is not None else None)
            newest = facts.encrypts_at(now) if facts is not None else None
            if newest is None or facts is None:
                raise KeyProblem(f"no mail can be written to the OpenPGP key {name}")
            chosen = (facts.fingerprint, newest.fingerprint)
            if chosen not in self._chosen:
                octets = only_subkey(bytes(cert), newest.fingerprint)
                self._chosen[chosen] = ask(self._lib.Cert.from_bytes, octets)
            certs.append(self._chosen[chosen])
            wanted.add(newest.key_id)
        return certs, wanted

    def decrypt(
        self,
        sealed: Sealed,
        keys: Sequence[Opening],
        *,
        passphrase: bytes | None = None,
        at: datetime | None = None,
    ) -> Decrypted:
        """See ``Backend.decrypt``.

        Sequoia looks at the signatures inside while it opens, and does not hand them
        out: what it said of them is in ``checked``.
        """
        refuse_moment(at)
        if sealed.container_tag == AEAD:
            raise NotSupported("Sequoia does not open GnuPG's own form of authenticated encryption")
        failed: Exception | None = None
        version = sealed.container_version
        left = MAX_TRIALS
        for key in sorted(keys, key=lambda one: not sealed.is_for(one.key_ids)):
            tsk = self._tsk(key.fingerprint)
            for data in islice(sealed.attempts(key.key_ids) if tsk is not None else (), left):
                left -= 1
                try:
                    decryptor = ask(tsk.decryptor, text_of(key.passphrase()))
                except Refused as refused:
                    failed = no_decryptor(str(refused))
                    continue
                try:
                    return self._open(data, key.fingerprint, version, decryptor=decryptor)
                except DecryptionFailed as problem:
                    failed = failed or problem
        if passphrase and sealed.passphrases:
            for data in islice(sealed.by_passphrase(), left):
                try:
                    return self._open(data, "", version, passwords=[text_of(passphrase)])
                except DecryptionFailed as problem:
                    failed = failed or problem
        if failed is not None:
            raise failed
        raise DecryptionFailed("the mail is not sealed for any of these OpenPGP keys")

    def _open(self, data: Data, by: str, version: int, **how: Any) -> Decrypted:
        if isinstance(data, bytes) and len(data) > MAX_OCTETS:
            raise LimitExceeded(f"Sequoia is given at most {MAX_OCTETS} octets")
        asked: list[str] = []

        def store(ids: list[str]) -> list[Any]:
            asked.extend(ids)
            return [cert for one in ids if (cert := self._cert(one)) is not None]

        label = "AEAD" if version == 2 else "MDC"
        try:
            content, found = bulk.decrypt(self._lib, data, asked, store=store, **how)
        except Refused as refused:
            return self._open_alone(data, by, label, asked, str(refused), how)
        checked = tuple(
            SignatureFacts(
                "holds",
                key=signing_key,
                primary=primary,
                created=moment(None),
                vetted=True,
            )
            for primary, signing_key in found
        )
        return _decrypted(content, by, label, checked)

    def _open_alone(
        self, data: Data, by: str, label: str, asked: list[str], why: str, how: dict[str, Any]
    ) -> Decrypted:
        """Open without a look at signatures: none holds, and what there is of them is said."""
        try:
            content, _ = bulk.decrypt(self._lib, data, [], **how)
        except Refused:
            raise DecryptionFailed(FAILED) from None
        checked: tuple[SignatureFacts, ...] = ()
        if why.startswith(_STRUCTURE) or _STRUCTURE in why:
            text = "Sequoia's library does not check signatures inside compressed content"
            checked = (SignatureFacts("unsupported", reason=text),)
        elif asked:
            known = any(self._cert(one) is not None for one in asked)
            text = "it does not hold" if known else f"the key {asked[0]} is not at hand"
            checked = (SignatureFacts("refused" if known else "no-key", key=asked[0], reason=text),)
        return _decrypted(content, by, label, checked)


def _decrypted(
    content: bytes | Stored, by: str, label: str, checked: tuple[SignatureFacts, ...]
) -> Decrypted:
    held, stored = (content, None) if isinstance(content, bytes) else (b"", content)
    return Decrypted(held, by, f"OpenPGP ({label})", checked=checked, stored=stored)


def _body(signature: bytes) -> bytes:
    return next(iter(packets(dearmor(signature)))).beginning(8)


def _digest_of(signature: bytes) -> str:
    return DIGESTS.get(_body(signature)[3], "")


def _kind_of(signature: bytes) -> int:
    return _body(signature)[1]


def _crlf(text: bytes) -> bytes:
    return text.replace(b"\r\n", b"\n").replace(b"\n", b"\r\n")
