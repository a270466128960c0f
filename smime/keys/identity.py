"""Who signs and reads: a private key with its certificate.

One person often has two keys, one that signs and one that opens (RFC 9216),
and keeps the former ones for old mail. Such a file is one ``Identity``: its
certificate is the one that signs, and all its keys open. Two certificates
that both sign are two identities, and nobody guesses which is meant.

Floor:  keys (uses errors, policy and cms)
Source: RFC 8551 §2, RFC 8550 §4; RFC 9216 §4 for two keys in one file
"""

from __future__ import annotations

from smime.errors import KeyProblem, NotSupported
from smime.keys.fitness import Fitness, key_kind, public_key_of
from smime.keys.recipient import Recipient, describe

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    import os
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Any, NoReturn, Self

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from smime.cms import OpeningKey, SigningKey
    from smime.keys import Passphrase
    from smime.keys.loading import KeyPair
    from smime.policy import Policy
    from smime.protocols import Opener, Signer

__all__ = ["Identity", "is_private_key"]

_OPENING = ("RSA", "EllipticCurve", "EC", "X25519", "X448")
_CACHED = ("_fitness", "_signing_key", "_opening_keys", "_recipient", "_announcing", "_ways")
_set = object.__setattr__


class Identity:
    """A private key with its certificate and chain: it signs and it reads.

    ``key`` is a private key of ``cryptography``, or any object that signs or
    opens with a key kept elsewhere (``Signer``, ``Opener``). ``chain`` holds the
    certificates above, in any order.

    Raises ``KeyProblem`` if the key is not the certificate's, and
    ``NotSupported`` for kinds of key that mail does not use (DSA).

    Immutable, safe to share between threads, and refuses to be pickled.
    """

    __slots__ = ("_certificate", "_chain", "_key", "_more", *_CACHED)

    _key: PrivateKeyTypes | Signer | Opener
    _certificate: x509.Certificate
    _chain: tuple[x509.Certificate, ...]
    # Further keys that open, with every certificate each of them has or had.
    _more: tuple[KeyPair, ...]
    _fitness: Fitness | None
    _signing_key: SigningKey | None
    _opening_keys: tuple[OpeningKey, ...] | None
    _recipient: Recipient | None
    _announcing: Recipient | None
    _ways: dict[int, Any] | None  # how it signs alone, by policy: ``sole`` keeps it here

    def __init__(
        self,
        key: PrivateKeyTypes | Signer | Opener,
        certificate: x509.Certificate,
        chain: Iterable[x509.Certificate] = (),
    ) -> None:
        _check_pair(key, certificate)
        from smime.keys.loading import ordered_chain

        self._fill(key, certificate, ordered_chain(certificate, chain), ())

    def _fill(
        self,
        key: PrivateKeyTypes | Signer | Opener,
        certificate: x509.Certificate,
        chain: tuple[x509.Certificate, ...],
        more: tuple[KeyPair, ...],
    ) -> None:
        _set(self, "_key", key)
        _set(self, "_certificate", certificate)
        _set(self, "_chain", chain)
        _set(self, "_more", more)
        for cached in _CACHED:
            _set(self, cached, None)

    @classmethod
    def load(
        cls,
        path: os.PathLike[str] | str,
        *more: os.PathLike[str] | str,
        passphrase: Passphrase | None = None,
        allow_unauthenticated: bool = False,
    ) -> Self:
        """Read key and certificates from files; ``parse`` says of what forms.

        Raises what ``parse`` raises, and ``OSError``.
        """
        pairs, chain, name = cls._read_files((path, *more), passphrase, allow_unauthenticated)
        return cls._one(pairs, chain, name)

    @classmethod
    def parse(
        cls,
        data: bytes,
        *more: bytes,
        passphrase: Passphrase | None = None,
        allow_unauthenticated: bool = False,
    ) -> Self:
        """Read key and certificates from PKCS#12, PEM, DER or PKCS#7, in one piece or several.

        ``passphrase`` is a str, bytes, or a function without arguments that
        gives one (``input``, ``getpass.getpass``), called once at most for
        each piece, and only if it is locked. A PKCS#12 without a MAC opens
        under any passphrase and anybody can have changed it: it is refused
        unless ``allow_unauthenticated``.

        Raises ``KeyProblem`` if the passphrase is missing or wrong, the data
        damaged, the certificate missing, or if several certificates sign
        (then take ``parse_all``); ``NotSupported`` for forms that are not
        built; ``LimitExceeded`` if the data asks for absurd work.
        """
        pairs, chain, name = cls._read_pieces((data, *more), passphrase, allow_unauthenticated)
        return cls._one(pairs, chain, name)

    @classmethod
    def load_all(
        cls,
        path: os.PathLike[str] | str,
        *more: os.PathLike[str] | str,
        passphrase: Passphrase | None = None,
        allow_unauthenticated: bool = False,
    ) -> tuple[Self, ...]:
        """Read every key with its certificate from files, one ``Identity`` for each.

        Raises what ``parse_all`` raises, and ``OSError``.
        """
        pairs, chain, _ = cls._read_files((path, *more), passphrase, allow_unauthenticated)
        return tuple(cls._made(pair, chain) for pair in pairs)

    @classmethod
    def parse_all(
        cls,
        data: bytes,
        *more: bytes,
        passphrase: Passphrase | None = None,
        allow_unauthenticated: bool = False,
    ) -> tuple[Self, ...]:
        """Read every key with its certificate, one ``Identity`` for each.

        In the order of the data. Raises what ``parse`` raises, but for several
        certificates that sign.
        """
        pairs, chain, _ = cls._read_pieces((data, *more), passphrase, allow_unauthenticated)
        return tuple(cls._made(pair, chain) for pair in pairs)

    @staticmethod
    def _read_files(
        paths: tuple[os.PathLike[str] | str, ...],
        passphrase: Passphrase | None,
        unauthenticated: bool,
    ) -> tuple[list[KeyPair], list[x509.Certificate], str]:
        from smime.keys.loading import read_file, read_pairs

        pieces = [read_file(path, "smime.Identity") for path in paths]
        return *read_pairs(pieces, passphrase, unauthenticated), pieces[0][1]

    @staticmethod
    def _read_pieces(
        pieces: tuple[bytes, ...], passphrase: Passphrase | None, unauthenticated: bool
    ) -> tuple[list[KeyPair], list[x509.Certificate], str]:
        from smime.keys.loading import as_bytes, read_pairs

        named = [(as_bytes(piece, "smime.Identity"), "the data") for piece in pieces]
        return *read_pairs(named, passphrase, unauthenticated), "the data"

    @classmethod
    def _one(cls, pairs: list[KeyPair], chain: list[x509.Certificate], name: str) -> Self:
        """Make the one identity that these keys are."""
        fit = [(pair, Fitness(pair.certificates[0])) for pair in pairs]
        signing = [pair for pair, fitness in fit if fitness.signs]
        if len(signing) > 1:
            listed = "; ".join(describe(pair.certificates[0]) for pair in signing)
            raise KeyProblem(
                f"{name} holds {len(signing)} identities that sign: {listed}",
                hint="smime.Identity.load_all(...) returns each of them; choose there",
            )
        # Without one that signs: the newest, for what is written to it opens.
        main = signing[0] if signing else max(fit, key=lambda one: one[1].not_after)[0]
        return cls._made(main, chain, tuple(pair for pair in pairs if pair is not main))

    @classmethod
    def _made(
        cls, pair: KeyPair, chain: list[x509.Certificate], more: tuple[KeyPair, ...] = ()
    ) -> Self:
        from smime.keys.loading import ordered_chain

        self = cls.__new__(cls)
        certificate = pair.certificates[0]
        _check_pair(pair.key, certificate)
        former = (type(pair)(pair.key, pair.certificates[1:]),) if pair.certificates[1:] else ()
        self._fill(pair.key, certificate, ordered_chain(certificate, chain), former + more)
        return self

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate: the one that signs, if there are several."""
        return self._certificate

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """The certificates above, from the issuer to the root, then any others that came along."""
        return self._chain

    @property
    def addresses(self) -> tuple[str, ...]:
        """The mail addresses in the certificate."""
        return self.fitness.addresses

    @property
    def fitness(self) -> Fitness:
        """What the certificate is fit for."""
        fitness = self._fitness
        if fitness is None:
            fitness = Fitness(self._certificate)
            _set(self, "_fitness", fitness)
        return fitness

    @property
    def recipient(self) -> Recipient:
        """The same person to write to: the newest of their certificates that reads.

        A certificate of other addresses that merely came in the same file is
        not taken. If none reads it is the signing one, and ``check_reads`` of
        the result says why it will not do.
        """
        recipient = self._recipient
        if recipient is None:
            recipient = Recipient(self._reading_certificate())
            _set(self, "_recipient", recipient)
        return recipient

    @property
    def announcing(self) -> Recipient:
        """``recipient`` with the capabilities that every mail signed by it announces."""
        announcing = self._announcing
        if announcing is None:
            from smime.cms.algorithms import ANNOUNCED

            names, own = ANNOUNCED, self.recipient.certificate
            if own is self._certificate and not is_private_key(self._key):
                # Many tokens and key services open OAEP with SHA-1 only, or not at all.
                names = tuple(one for one in names if one != "rsa-oaep")
            announcing = Recipient(own, names)
            _set(self, "_announcing", announcing)
        return announcing

    def _reading_certificate(self) -> x509.Certificate:
        own = self.fitness
        if own.reads:
            return self._certificate
        best, newest = self._certificate, None
        for pair in self._more:
            for certificate in pair.certificates:
                other = Fitness(certificate)
                same = set(own.addresses) & set(other.addresses) or (
                    not own.addresses and certificate.subject == self._certificate.subject
                )
                if same and other.reads and (newest is None or other.not_after > newest):
                    best, newest = certificate, other.not_after
        return best

    @property
    def signing_key(self) -> SigningKey:
        """Key and certificates, prepared for signing.

        With it travel the chain without its root, and the certificate to
        write back to, if it is another one (RFC 8551 §2.5.3).

        Raises ``KeyProblem`` if the key cannot make signatures.
        """
        key = self._signing_key
        if key is None:
            kind, abilities = key_kind(public_key_of(self._certificate))
            if "sign" not in abilities:
                raise KeyProblem(
                    f"a key of the kind {kind} cannot make signatures",
                    hint="give by= an Identity whose key signs",
                )
            from smime.cms import SigningKey

            # The root stays out there: a reader has it already, or must not believe it.
            chain = (*self._chain, self.recipient.certificate)
            key = SigningKey(self._key, self._certificate, chain)
            _set(self, "_signing_key", key)
        return key

    @property
    def opening_keys(self) -> tuple[OpeningKey, ...]:
        """Every key that may open, with each certificate it has or had; expired ones too.

        Empty for a key that only signs.
        """
        keys = self._opening_keys
        if keys is None:
            from smime.cms import OpeningKey
            from smime.keys.address import certificate_addresses

            keys = tuple(
                OpeningKey(key, certificate, ", ".join(certificate_addresses(certificate)))
                for key, certificate in self._exportable()
                if _opens(key)
            )
            if not is_private_key(self._key):
                from smime.cms.kept import KeptKey, opens

                if opens(self._key, public_key_of(self._certificate)):
                    kept = KeptKey(self._key, self._certificate, ", ".join(self.addresses))
                    keys = (kept, *keys)
            _set(self, "_opening_keys", keys)
        return keys

    def _exportable(self) -> list[tuple[PrivateKeyTypes, x509.Certificate]]:
        """Return every private key at hand with each of its certificates, the main one first."""
        key: Any = self._key
        pairs = [(key, self._certificate)] if is_private_key(key) else []
        for pair in self._more:
            pairs += [(pair.key, certificate) for certificate in pair.certificates]
        return pairs

    def check_signs(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless its certificate may sign mail at this moment.

        It must be valid at ``at`` (with a time zone), allow the signing of
        mail, and have a key of a size within ``policy``.
        """
        self.fitness.check_signs(at, policy)

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Sign ``data`` (not its digest) and return the signature value.

        ``algorithm`` is ``sha256``, ``sha384`` or ``sha512``: RSA is PKCS#1
        v1.5, EC is ECDSA in DER. ``rsa-pss-sha256`` and the like are RSASSA-PSS
        with a salt as long as the digest. Ed25519, Ed448 and ML-DSA have their
        own digest and sign ``data`` as it is, whatever is named.

        Raises ``KeyProblem`` if the key cannot make signatures.
        """
        key: Any = self._key
        if not is_private_key(key):
            made: bytes = key.sign(data, algorithm)
            return made
        kind, abilities = key_kind(public_key_of(self._certificate))
        if "sign" not in abilities:
            raise KeyProblem(f"a key of the kind {kind} cannot make signatures")
        from cryptography.hazmat.primitives import hashes
        from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

        if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
            pure: bytes = key.sign(data)
            return pure
        known: dict[str, type[hashes.SHA256 | hashes.SHA384 | hashes.SHA512]] = {
            "sha256": hashes.SHA256,
            "sha384": hashes.SHA384,
            "sha512": hashes.SHA512,
        }
        name = algorithm.removeprefix("rsa-pss-")
        if name not in known or (name != algorithm and not isinstance(key, rsa.RSAPrivateKey)):
            raise NotSupported(f"signing with {algorithm}: choose one of {', '.join(known)}")
        digest = known[name]()
        if not isinstance(key, rsa.RSAPrivateKey):
            return key.sign(data, ec.ECDSA(digest))
        if name == algorithm:
            return key.sign(data, padding.PKCS1v15(), digest)
        return key.sign(data, padding.PSS(padding.MGF1(digest), digest.digest_size), digest)

    def to_p12(self, passphrase: Passphrase, *, compat: str = "modern") -> bytes:
        """Return all keys, certificates and the chain as PKCS#12.

        ``compat="modern"`` is AES-256-CBC and a SHA-256 MAC, each under
        600,000 rounds; ``"legacy"`` is 3DES and a SHA-1 MAC for software
        that reads nothing better (Windows Server 2016, gpgsm 2.2): it protects
        a weak passphrase for minutes only.

        Raises ``KeyProblem`` if the key is kept elsewhere.
        """
        from smime.keys.pkcs12 import write

        if compat not in ("modern", "legacy"):
            raise ValueError(f"compat={compat!r}: choose one of modern, legacy")
        pairs = self._demand_keys("to_p12")
        return write(pairs, self._chain, _asked(passphrase), legacy=compat == "legacy")

    def to_pem(self, passphrase: Passphrase | None = None) -> bytes:
        """Return the certificates as PEM, leaf first; with ``passphrase`` the keys before them.

        The keys are encrypted PKCS#8: AES-256-CBC under 600,000 rounds of PBKDF2.

        Raises ``KeyProblem`` if keys are asked for and the key is kept elsewhere.
        """
        from smime.keys.loading import to_pem

        pairs = self._exportable() if passphrase is None else self._demand_keys("to_pem")
        certificates = [self._certificate, *(one for _, one in pairs), *self._chain]
        keys = [] if passphrase is None else [key for key, _ in pairs]
        return to_pem(keys, certificates, None if passphrase is None else _asked(passphrase))

    def _demand_keys(self, name: str) -> list[tuple[PrivateKeyTypes, x509.Certificate]]:
        if not is_private_key(self._key):
            raise KeyProblem(
                f"{name} needs the private key, and this one is kept elsewhere",
                hint="a key in a token or a key service cannot be written to a file",
            )
        return self._exportable()

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("an Identity is immutable: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("an Identity is immutable: make another one")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError(
            "an Identity holds a private key and does not pickle: pass on where the key is,"
            " and call smime.Identity.load(path) there"
        )

    def __repr__(self) -> str:
        more = len({id(pair.key) for pair in self._more if pair.key is not self._key})
        also = f", and {more} more to open with" if more else ""
        return f"<Identity {describe(self._certificate, usage=False)}{also}>"


def is_private_key(given: object) -> bool:
    """Say whether it is a private key of ``cryptography``, without importing it."""
    return callable(getattr(given, "private_bytes", None)) and callable(
        getattr(given, "public_key", None)
    )


def _opens(key: object) -> bool:
    """Say whether keys of this kind open content: Ed25519, Ed448 and ML-DSA only sign."""
    names = {one.__name__.removesuffix("PrivateKey") for one in type(key).__mro__}
    return any(name in _OPENING or name.startswith("MLKEM") for name in names)


def _check_pair(key: Any, certificate: Any) -> None:
    """Refuse what is no key, no certificate, or not a pair."""
    if not hasattr(certificate, "tbs_certificate_bytes"):
        raise TypeError(
            f"an Identity needs an x509.Certificate, not {type(certificate).__name__}:"
            " smime.Identity.load('alice.p12') reads files"
        )
    certified = public_key_of(certificate)
    key_kind(certified)
    if is_private_key(key):
        public = key.public_key()
    elif hasattr(key, "certificate") and any(
        callable(getattr(key, name, None)) for name in ("sign", "decrypt", "agree")
    ):
        public = public_key_of(key.certificate)
    else:
        raise TypeError(
            f"an Identity needs a private key, not {type(key).__name__}:"
            " smime.Identity.load('alice.p12') reads files"
        )
    if public != certified:
        raise KeyProblem(
            "the private key does not belong to the certificate of "
            + describe(certificate, usage=False),
            hint="their public keys differ: give the certificate that was issued for this key",
        )


def _asked(passphrase: Passphrase) -> bytes:
    from smime.keys.private import Secret

    return Secret(passphrase, "the new file").demand()
