"""A CA's key in a PKCS#11 token: it signs there, and never leaves it.

    with Token.open("/usr/lib/softhsm/libsofthsm2.so", label="Club CA", pin=ask) as token:
        key = token.generate("issuing", "p256")         # or token.key("issuing")
        key, request = ceremony.ask("Club CA", key=key)

A key from here goes wherever a CA's key goes. Extra ``[pkcs11]``.

Floor:  token (uses keys)
Source: PKCS #11 v2.40 §2.1 (RSA) and §2.3 (EC); RFC 3279 §2.2.3 for ECDSA's value in DER
"""

from __future__ import annotations

import hashlib
import threading

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature
from cryptography.hazmat.primitives.serialization import load_der_public_key

import smime
from pki.errors import NoAuthority, RequestRefused, WrongPassphrase
from smime.cms.der import children, top

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from os import PathLike
    from typing import Any, NoReturn, Self

    from pki import keys

__all__ = ["Token"]

KINDS = {"p256": "secp256r1", "p384": "secp384r1", "rsa3072": 3072, "rsa4096": 4096}
"""The kinds of key that a token makes for a CA."""


class Token:
    """An open session with a token; a context manager."""

    __slots__ = ("_lock", "_session")

    def __init__(self, session: Any) -> None:
        """Take a session; ``open`` is how one is got."""
        self._session = session
        # A session of PKCS#11 does one thing at a time.
        self._lock = threading.Lock()

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
        import os

        try:
            import pkcs11
        except ImportError as error:
            raise smime.NotSupported(
                "keys in tokens need python-pkcs11", hint="pip install 'smimetool[pkcs11]'"
            ) from error
        path = os.fspath(module)
        given = pin() if callable(pin) else pin
        secret = given.decode() if isinstance(given, bytes | bytearray) else given
        try:
            library = pkcs11.lib(path)
        except (RuntimeError, OSError) as error:
            raise OSError(f"{path} is no PKCS#11 module that can be used: {error}") from error
        try:
            token = library.get_token(token_label=label)
            session = token.open(rw=True, user_pin=secret)
        except (pkcs11.PinIncorrect, pkcs11.PinInvalid, pkcs11.PinLenRange) as error:
            raise WrongPassphrase(
                f"the token {label} does not take this PIN",
                hint="after some wrong ones it locks itself",
            ) from error
        except pkcs11.PinLocked as error:
            raise WrongPassphrase(f"the token {label} is locked after wrong PINs") from error
        except (pkcs11.NoSuchToken, pkcs11.MultipleTokensReturned) as error:
            raise NoAuthority(f"there is no token {label}, or more than one") from error
        except pkcs11.UserAlreadyLoggedIn as error:
            # The token would take any PIN now, and say nothing.
            raise NoAuthority(
                f"the token {label} is open in this program already", hint="use that one"
            ) from error
        except pkcs11.PKCS11Error as error:
            raise NoAuthority(f"the token {label} cannot be used: {_named(error)}") from error
        return cls(session)

    def key(self, label: str) -> keys.Key:
        """Give the private key with this label.

        Raises ``NoAuthority`` if there is none, more than one, or its public half is not there.
        """
        import pkcs11

        try:
            with self._lock:
                private = self._session.get_key(
                    object_class=pkcs11.ObjectClass.PRIVATE_KEY, label=label
                )
                public = self._session.get_key(
                    object_class=pkcs11.ObjectClass.PUBLIC_KEY, label=label
                )
                return self._made(private, public)
        except (pkcs11.NoSuchKey, pkcs11.MultipleObjectsReturned) as error:
            raise NoAuthority(
                f"the token holds no one key pair with the label {label}",
                hint="private and public key bear the same label, and no other pair does",
            ) from error
        except pkcs11.PKCS11Error as error:
            raise NoAuthority(f"the token gives no key {label}: {_named(error)}") from error

    def generate(self, label: str, algorithm: str = "p256") -> keys.Key:
        """Make a key pair in the token: ``p256 p384 rsa3072 rsa4096``. It cannot be taken out.

        Raises ``RequestRefused`` if there is a key of that label, ``NotSupported`` if the
        token cannot make one, and ``ValueError`` for another kind.
        """
        import pkcs11
        import pkcs11.util.ec

        kind = KINDS.get(algorithm)
        if kind is None:
            raise ValueError(f"algorithm {algorithm!r} is none of {', '.join(KINDS)}")
        with self._lock:
            for found in self._session.get_objects({pkcs11.Attribute.LABEL: label}):
                raise RequestRefused(f"the token holds {found} with the label {label} already")
            try:
                public, private = self._generate(label, kind)
            except pkcs11.PKCS11Error as error:
                raise smime.NotSupported(
                    f"the token does not make {algorithm} keys: {_named(error)}"
                ) from error
            return self._made(private, public)

    def _generate(self, label: str, kind: object) -> tuple[Any, Any]:
        import pkcs11
        import pkcs11.util.ec

        fixed = {
            "store": True,
            "label": label,
            "private_template": {
                pkcs11.Attribute.EXTRACTABLE: False,
                pkcs11.Attribute.SENSITIVE: True,
            },
        }
        if isinstance(kind, int):
            made: tuple[Any, Any] = self._session.generate_keypair(
                pkcs11.KeyType.RSA, kind, **fixed
            )
            return made
        parameters = self._session.create_domain_parameters(
            pkcs11.KeyType.EC,
            {pkcs11.Attribute.EC_PARAMS: pkcs11.util.ec.encode_named_curve_parameters(str(kind))},
            local=True,
        )
        pair: tuple[Any, Any] = parameters.generate_keypair(**fixed)
        return pair

    def _made(self, private: Any, public: Any) -> keys.Key:
        import pkcs11

        if private.key_type == pkcs11.KeyType.EC:
            from pkcs11.util.ec import encode_ec_public_key

            known = load_der_public_key(encode_ec_public_key(public))
            if isinstance(known, ec.EllipticCurvePublicKey):
                return _EcKey(private, known, self._lock)
        if private.key_type == pkcs11.KeyType.RSA:
            from pkcs11.util.rsa import encode_rsa_public_key

            # PKCS#1 in what the token tells; with its algorithm in front the library reads it.
            bits = encode_rsa_public_key(public)
            numbers = children(bits, top(bits))
            n, e = (int.from_bytes(bits[one[2] : one[3]], "big") for one in numbers)
            return _RsaKey(private, rsa.RSAPublicNumbers(e, n).public_key(), self._lock)
        raise NoAuthority("the key in the token is neither RSA nor EC")

    def close(self) -> None:
        """End the session: its keys sign no more. Closing twice does no harm."""
        with self._lock:
            if self._session is not None:
                self._session.close()
                self._session = None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()


def _named(error: Exception) -> str:
    return str(error) or type(error).__name__


def _stays(*_: object, **__: object) -> NoReturn:
    raise smime.KeyProblem("the key is in a token and does not leave it")


class _InToken:
    """What both kinds have in common."""

    def __init__(self, private: Any, public: Any, lock: threading.Lock) -> None:
        self._private = private
        self._public = public
        self._lock = lock

    def _sign(self, data: bytes, mechanism: Any) -> bytes:
        import pkcs11

        try:
            with self._lock:
                return bytes(self._private.sign(data, mechanism=mechanism))
        except pkcs11.PKCS11Error as error:
            raise smime.KeyProblem(
                f"the token does not sign: {_named(error)}", hint="is it there, and logged in to?"
            ) from error

    def public_key(self) -> Any:
        return self._public

    @property
    def key_size(self) -> int:
        size: int = self._public.key_size
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
        curve: ec.EllipticCurve = self._public.curve
        return curve

    def sign(self, data: Any, signature_algorithm: ec.EllipticCurveSignatureAlgorithm) -> bytes:
        import pkcs11

        digest = hashlib.new(signature_algorithm.algorithm.name, data).digest()  # type: ignore[union-attr]
        raw = self._sign(digest, pkcs11.Mechanism.ECDSA)
        half = len(raw) // 2
        r, s = (int.from_bytes(part, "big") for part in (raw[:half], raw[half:]))
        return encode_dss_signature(r, s)


class _RsaKey(_InToken, rsa.RSAPrivateKey):
    def sign(self, data: Any, padding_: Any, algorithm: Any) -> bytes:
        import pkcs11

        mechanism = {
            "sha256": pkcs11.Mechanism.SHA256_RSA_PKCS,
            "sha384": pkcs11.Mechanism.SHA384_RSA_PKCS,
            "sha512": pkcs11.Mechanism.SHA512_RSA_PKCS,
        }.get(getattr(algorithm, "name", ""))
        if mechanism is None or not isinstance(padding_, padding.PKCS1v15):
            raise smime.NotSupported("a CA's key in a token signs PKCS#1 v1.5 with SHA-2 alone")
        return self._sign(bytes(data), mechanism)
