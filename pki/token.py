"""A CA's key in a PKCS#11 token: it signs there, and never leaves it.

    with Token.open("/usr/lib/softhsm/libsofthsm2.so", label="Club CA", pin=ask) as token:
        key = token.generate("issuing", "p256")         # or token.key("issuing")
        key, request = ceremony.ask("Club CA", key=key)

A key from here goes wherever a CA's key goes. Extra ``[pkcs11]``.

Floor:  token (uses keys, smime.Token)
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

import smime
from pki.errors import NoAuthority, RequestRefused, WrongPassphrase

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, NoReturn, Self

    from pki import keys

__all__ = ["Token"]

KINDS = ("p256", "p384", "rsa3072", "rsa4096")
"""The kinds of key that a token makes for a CA."""


class Token:
    """An open session with a token; a context manager."""

    __slots__ = ("_token",)

    def __init__(self, token: smime.Token) -> None:
        """Take a token that is logged in to; ``open`` logs in."""
        self._token = token

    @classmethod
    def open(
        cls,
        module: PathLike[str] | str,
        *,
        label: str,
        pin: smime.Passphrase,
    ) -> Self:
        """Log in to the token with this label, through a PKCS#11 module (a shared library).

        Raises ``NotSupported`` without the extra, ``NoAuthority`` if there is no such token,
        ``WrongPassphrase`` for a wrong PIN, ``OSError`` for a module that does not load.
        """
        try:
            return cls(smime.Token.load(module, label=label, passphrase=pin))
        except smime.KeyProblem as problem:
            about_pin = type(problem.__cause__).__name__.startswith("Pin")
            kind = WrongPassphrase if about_pin else NoAuthority
            raise kind(str(problem), hint=problem.hint) from problem

    def key(self, label: str) -> keys.Key:
        """Give the private key with this label.

        Raises ``NoAuthority`` if there is none, more than one, or its public half is not there.
        """
        try:
            return _made(self._token.key(label))
        except smime.KeyProblem as problem:
            raise NoAuthority(str(problem), hint=problem.hint) from problem

    def generate(self, label: str, algorithm: str = "p256") -> keys.Key:
        """Make a key pair in the token: ``p256 p384 rsa3072 rsa4096``. It cannot be taken out.

        Raises ``RequestRefused`` if there is a key of that label, ``NotSupported`` if the
        token cannot make one, and ``ValueError`` for another kind.
        """
        if algorithm not in KINDS:
            raise ValueError(f"algorithm {algorithm!r} is none of {', '.join(KINDS)}")
        try:
            return _made(self._token.generate(label, algorithm))
        except smime.KeyProblem as problem:
            raise RequestRefused(str(problem), hint=problem.hint) from problem

    def close(self) -> None:
        """End the session: its keys sign no more. Closing twice does no harm."""
        self._token.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _made(key: Any) -> keys.Key:
    public = key.public_key()
    if isinstance(public, ec.EllipticCurvePublicKey):
        return _EcKey(key)
    if isinstance(public, rsa.RSAPublicKey):
        return _RsaKey(key)
    raise NoAuthority("the key in the token is neither RSA nor EC")


def _stays(*_: object, **__: object) -> NoReturn:
    raise smime.KeyProblem("the key is in a token and does not leave it")


class _InToken:
    """What both kinds have in common."""

    def __init__(self, key: Any) -> None:
        self._key = key

    def public_key(self) -> Any:
        return self._key.public_key()

    @property
    def key_size(self) -> int:
        size: int = self.public_key().key_size
        return size

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: Any) -> Self:
        return self

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key in a token is not pickled")

    private_bytes = private_numbers = decrypt = exchange = _stays


class _EcKey(_InToken, ec.EllipticCurvePrivateKey):
    @property
    def curve(self) -> ec.EllipticCurve:
        curve: ec.EllipticCurve = self.public_key().curve
        return curve

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        name: str = signature_algorithm.algorithm.name  # type: ignore[union-attr]  # no Prehashed
        value: bytes = self._key.sign(bytes(data), name)
        return value


class _RsaKey(_InToken, rsa.RSAPrivateKey):
    def sign(self, data: Any, padding_: Any, algorithm: Any) -> bytes:
        name = getattr(algorithm, "name", "")
        if name not in ("sha256", "sha384", "sha512") or not isinstance(padding_, padding.PKCS1v15):
            raise smime.NotSupported("a CA's key in a token signs PKCS#1 v1.5 with SHA-2 alone")
        value: bytes = self._key.sign(bytes(data), name)
        return value
