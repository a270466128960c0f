"""One private key in a PKCS#11 token: it signs, opens and agrees where it is.

Floor:  keys (uses errors and cms)
Source: PKCS #11 v2.40 §2.1 (RSA) and §2.3 (EC), v3.0 §2.3 (Ed25519, X25519);
        RFC 3279 §2.2.3 for ECDSA's value in DER
"""

from __future__ import annotations

from smime.errors import KeyProblem, NotSupported

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn

    from cryptography import x509

    from smime.keys.token import Token

__all__ = ["TokenKey", "attribute", "named", "pkcs11_library", "public_key"]

# Errors that say that the token, the session or the key is not to be had, whatever the message.
_AWAY = (
    "SessionClosed", "SessionHandleInvalid", "TokenNotPresent", "TokenNotRecognised",
    "DeviceRemoved", "DeviceError", "DeviceMemory", "HostMemory", "UserNotLoggedIn",
    "KeyHandleInvalid", "ObjectHandleInvalid", "PinExpired", "OperationActive",
)  # fmt: skip
# Errors that say that it does this for no message at all.
_CANNOT = (
    "MechanismInvalid", "MechanismParamInvalid", "FunctionNotSupported", "KeyTypeInconsistent",
)  # fmt: skip
_SAID = {"sign": "sign", "decrypt": "decrypt", "derive_key": "agree on a secret"}
_SIGNED = ("sha256", "sha384", "sha512")
# SHA-256 and the like by the name of the digest: the member of Mechanism and of MGF.
_DIGESTS = {
    "sha1": "SHA_1",
    "sha224": "SHA224",
    "sha256": "SHA256",
    "sha384": "SHA384",
    "sha512": "SHA512",
}


class TokenKey:
    """A private key in a token: a ``Signer`` and an ``Opener``, once it has a certificate."""

    __slots__ = ("_label", "_private", "_public", "_token", "certificate")

    certificate: x509.Certificate
    """The certificate; a key that has none yet has no such attribute."""

    def __init__(
        self,
        token: Token,
        label: str,
        private: Any,
        public: Any,
        certificate: x509.Certificate | None = None,
    ) -> None:
        self._token, self._label = token, label
        self._private, self._public = private, public
        if certificate is not None:
            self.certificate = certificate

    def public_key(self) -> Any:
        """Return the public half, as a public key of ``cryptography``."""
        return self._public

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Sign ``data``, as ``Signer.sign`` has it.

        Raises ``KeyProblem`` if the token does not, ``NotSupported`` for an
        algorithm that it or this program lacks.
        """
        from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

        pkcs11 = pkcs11_library()
        name = algorithm.removeprefix("rsa-pss-")
        if isinstance(self._public, ec.EllipticCurvePublicKey) and name == algorithm:
            return self._sign_ecdsa(data, algorithm)
        if isinstance(self._public, ed25519.Ed25519PublicKey):
            return self._sign(data, pkcs11.Mechanism.EDDSA)
        if not isinstance(self._public, rsa.RSAPublicKey) or name not in (
            "sha256",
            "sha384",
            "sha512",
        ):
            raise NotSupported(f"signing with {algorithm} and a key in a token")
        digest = _DIGESTS[name]
        if name == algorithm:
            return self._sign(data, getattr(pkcs11.Mechanism, f"{digest}_RSA_PKCS"))
        salted = (
            getattr(pkcs11.Mechanism, digest),
            getattr(pkcs11.MGF, digest),
            int(name[3:]) // 8,
        )
        return self._sign(data, getattr(pkcs11.Mechanism, f"{digest}_RSA_PKCS_PSS"), salted)

    def _sign_ecdsa(self, data: bytes, algorithm: str) -> bytes:
        import hashlib

        from cryptography.hazmat.primitives.asymmetric.utils import encode_dss_signature

        raw = self._sign(hashlib.new(algorithm, data).digest(), pkcs11_library().Mechanism.ECDSA)
        half = len(raw) // 2
        r, s = (int.from_bytes(part, "big") for part in (raw[:half], raw[half:]))
        return encode_dss_signature(r, s)

    def _sign(self, data: bytes, mechanism: Any, parameter: Any = None) -> bytes:
        pkcs11 = pkcs11_library()
        try:
            return bytes(
                self._token.alone(
                    lambda _: self._able("sign")(
                        data, mechanism=mechanism, mechanism_param=parameter
                    )
                )
            )
        except pkcs11.PKCS11Error as error:
            raise KeyProblem(
                f"the token does not sign with {self._label}: {named(error)}",
                hint="is it there, and logged in to?",
            ) from error

    def decrypt(self, wrapped: bytes, algorithm: str) -> bytes:
        """Decrypt what is sealed to this RSA key, as ``Opener.decrypt`` has it.

        Raises ``ValueError`` for what does not open, ``KeyProblem`` if the token
        is away or forbids it, ``NotSupported`` for what it does for no message.
        """
        pkcs11 = pkcs11_library()
        if algorithm == "rsa-v15":
            return self._open(pkcs11.Mechanism.RSA_PKCS, None, wrapped)
        digest, _, mask = algorithm.removeprefix("rsa-oaep-").partition("-mgf1-")
        if not algorithm.startswith("rsa-oaep-") or {digest, mask or digest} - set(_DIGESTS):
            raise NotSupported(f"opening with {algorithm} and a key in a token")
        parameter = (
            getattr(pkcs11.Mechanism, _DIGESTS[digest]),
            getattr(pkcs11.MGF, _DIGESTS[mask or digest].replace("_", "")),
            None,
        )
        # What it cannot do it says by this, too; of the padding that would tell nothing here.
        cannot = (*_CANNOT, "ArgumentsBad")
        return self._open(pkcs11.Mechanism.RSA_PKCS_OAEP, parameter, wrapped, cannot)

    def _open(
        self, mechanism: Any, parameter: Any, wrapped: bytes, cannot: tuple[str, ...] = _CANNOT
    ) -> bytes:
        def ask() -> bytes:
            decrypt = self._able("decrypt")
            return bytes(decrypt(wrapped, mechanism=mechanism, mechanism_param=parameter))

        return self._ask(ask, cannot)

    def agree(self, public: bytes) -> bytes:
        """Agree on a secret with a public key in DER, as ``Opener.agree`` has it.

        Raises what ``decrypt`` raises.
        """
        from cryptography.hazmat.primitives.asymmetric import ec
        from cryptography.hazmat.primitives.serialization import (
            Encoding,
            PublicFormat,
            load_der_public_key,
        )

        pkcs11 = pkcs11_library()
        theirs: Any = load_der_public_key(public)
        if isinstance(theirs, ec.EllipticCurvePublicKey):
            point = theirs.public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
            octets = (theirs.key_size + 7) // 8
        else:
            point = theirs.public_bytes_raw()
            octets = len(point)

        def ask() -> bytes:
            derived = self._able("derive_key")(
                pkcs11.KeyType.GENERIC_SECRET,
                octets * 8,
                mechanism=pkcs11.Mechanism.ECDH1_DERIVE,
                mechanism_param=(pkcs11.KDF.NULL, None, point),
                store=False,
                capabilities=0,
                template={
                    pkcs11.Attribute.SENSITIVE: False,
                    pkcs11.Attribute.EXTRACTABLE: True,
                },
            )
            return bytes(derived[pkcs11.Attribute.VALUE])

        return self._ask(ask, _CANNOT)

    def _able(self, name: str) -> Any:
        """Return what the token does with this key, if its attributes allow it."""
        found = getattr(self._private, name, None)
        if found is None:
            raise KeyProblem(f"the token does not let the key {self._label} {_SAID[name]}")
        return found

    def _ask(self, ask: Callable[[], bytes], cannot: tuple[str, ...]) -> bytes:
        pkcs11 = pkcs11_library()
        try:
            return self._token.alone(lambda _: ask())
        except pkcs11.PKCS11Error as error:
            name = type(error).__name__
            if name in _AWAY:
                raise KeyProblem(f"the token cannot be asked: {named(error)}") from error
            if name in cannot:
                raise NotSupported(f"the token does not do this: {named(error)}") from error
            # All else may be about what was sealed, and a token has many ways to say it.
            raise ValueError("the token did not open it") from None

    def prove(self) -> None:
        """Raise ``KeyProblem`` unless key and certificate belong together, by one signature."""
        from smime.cms import SigningKey

        signing = SigningKey(self, self.certificate)
        signing.sign(b"does this key belong to this certificate?", signing.digest)

    def __repr__(self) -> str:
        return f"<TokenKey {self._label}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("a key in a token is not pickled")


def pkcs11_library() -> Any:
    try:
        import pkcs11
    except ImportError as error:
        raise NotSupported(
            "keys in tokens need python-pkcs11", hint="pip install 'smimetool[pkcs11]'"
        ) from error
    return pkcs11


def named(error: Exception) -> str:
    return str(error) or type(error).__name__


def attribute(found: Any, kind: Any) -> Any:
    """Return an attribute of an object, or nothing if the token does not tell it."""
    pkcs11 = pkcs11_library()
    try:
        return found[kind]
    except (pkcs11.AttributeTypeInvalid, pkcs11.AttributeSensitive):
        return b""


def public_key(public: Any) -> Any:
    """Return a key of the token as one of ``cryptography``; ``NotSupported`` for other kinds."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ed25519, rsa, x25519
    from cryptography.hazmat.primitives.serialization import load_der_public_key

    pkcs11 = pkcs11_library()
    kind = pkcs11.Attribute
    try:
        if public.key_type == pkcs11.KeyType.RSA:
            n = int.from_bytes(public[kind.MODULUS], "big")
            e = int.from_bytes(public[kind.PUBLIC_EXPONENT], "big")
            return rsa.RSAPublicNumbers(e, n).public_key()
        if public.key_type == pkcs11.KeyType.EC:
            from pkcs11.util.ec import encode_ec_public_key

            return load_der_public_key(encode_ec_public_key(public))
        # PKCS #11 v3.0 §2.3.5 and §2.3.6: the curve by name or identifier, the point in the raw
        # or as an OCTET STRING.
        curve, point = public[kind.EC_PARAMS], public[kind.EC_POINT][-32:]
        if curve in (b"\x13\x0cedwards25519", b"\x06\x03\x2b\x65\x70"):
            return ed25519.Ed25519PublicKey.from_public_bytes(point)
        if curve in (b"\x13\x0acurve25519", b"\x06\x03\x2b\x65\x6e"):
            return x25519.X25519PublicKey.from_public_bytes(point)
    except (UnsupportedAlgorithm, ValueError) as error:
        raise NotSupported(f"the key in the token is not supported: {error}") from error
    raise NotSupported("the key in the token is neither RSA nor EC")
