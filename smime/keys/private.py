"""Private keys in the open and under a passphrase: PKCS#8, PKCS#1, SEC 1.

What kind and how large a key is is read before the library loads it, for the
library tests the primes of an RSA key while loading, as it should.

Floor:  keys (uses errors and cms)
Source: RFC 5958 and 5208 (PKCS#8), RFC 8017 Appendix A.1.2 (RSA keys),
        RFC 5915 (EC keys), RFC 9881 and 9935 (post-quantum keys)
"""

from __future__ import annotations

import binascii

from smime.cms.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Indefinite,
    children,
    octet_string,
    sequence,
    tlv,
    top,
)
from smime.errors import KeyProblem, LimitExceeded, MalformedMail, NotSupported
from smime.keys import pbe

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from smime.cms.der import Node
    from smime.keys import Passphrase

__all__ = ["Secret", "damaged", "key_from_der", "key_to_pem", "plain_key", "traditional_key"]

# An RSA key of 16384 bits takes 10 KiB. Testing primes any longer takes minutes.
MAX_KEY_DER = 12 * 1024
MAX_RSA_BITS = 16_384

_EC = "1.2.840.10045.2.1"
_RSA = ("1.2.840.113549.1.1.1", "1.2.840.113549.1.1.10")
_FOREIGN_KEYS = {
    "1.2.840.10040.4.1": "DSA keys",
    "1.2.840.113549.1.3.1": "DH keys",
    "1.2.840.10046.2.1": "DH keys",
}
_POST_QUANTUM = "2.16.840.1.101.3.4."  # ML-DSA, ML-KEM, SLH-DSA


class Secret:
    """A passphrase that is asked for when it is needed, and once."""

    __slots__ = ("_given", "_name", "_value")

    def __init__(self, given: Passphrase | None, name: str) -> None:
        if given is not None and not isinstance(given, (str, bytes)) and not callable(given):
            raise TypeError(
                f"passphrase= takes a str, bytes or a function, not {type(given).__name__}:"
                " passphrase=getpass.getpass"
            )
        self._given = given
        self._name = name
        self._value: bytes | None = None

    def ask(self) -> bytes | None:
        """Return the passphrase as UTF-8, or None if none was given."""
        if self._value is None and self._given is not None:
            given: Any = self._given() if callable(self._given) else self._given
            if not isinstance(given, (str, bytes)):
                raise TypeError(f"the passphrase is a str or bytes, not {type(given).__name__}")
            self._value = (
                given.encode("utf-8", "surrogateescape") if isinstance(given, str) else bytes(given)
            )
        return self._value

    def demand(self) -> bytes:
        """Return the passphrase as UTF-8; ``KeyProblem`` if none was given."""
        value = self.ask()
        if value is None:
            raise KeyProblem(
                f"{self._name} is locked with a passphrase",
                hint="passphrase=getpass.getpass asks for it, passphrase='...' gives it",
            )
        return value

    def wrong(self) -> KeyProblem:
        return KeyProblem(
            f"the passphrase is wrong: {self._name} does not open with it",
            hint="mind the keyboard's layout; a passphrase cannot be recovered",
        )


def key_from_der(key_der: bytes, name: str, secret: Secret) -> PrivateKeyTypes:
    """Return a private key from PKCS#8 (encrypted or not), PKCS#1 or SEC 1."""
    if len(key_der) > MAX_KEY_DER:
        raise _too_large(key_der, name)
    parts = children(key_der, top(key_der))
    if [part[0] for part in parts] != [SEQUENCE, OCTET_STRING]:
        return plain_key(key_der, name)
    scheme = pbe.plan(key_der, parts[0], pbe.Budget())
    passwords = pbe.Passwords(secret.demand())
    try:
        plain = scheme.decrypt(passwords, key_der[parts[1][2] : parts[1][3]], {})
    except pbe.WrongPassphrase as error:
        raise secret.wrong() from error
    if not _is_pkcs8(plain):
        # A wrong passphrase leaves a right padding once in 256 times.
        raise secret.wrong()
    return plain_key(plain, name)


def _too_large(key_der: bytes, name: str) -> LimitExceeded:
    return LimitExceeded(f"a private key of {len(key_der)} octets in {name}: none is so large")


def _is_pkcs8(der: bytes) -> bool:
    try:
        node = top(der)
        tags = [part[0] for part in children(der, node)]
    except (Indefinite, MalformedMail):
        return False
    return node[0] == SEQUENCE and tags[:3] == [INTEGER, SEQUENCE, OCTET_STRING]


def plain_key(key_der: bytes, name: str) -> PrivateKeyTypes:
    """Load a key in the open, after a look at what kind and how large it is."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_der_private_key

    if len(key_der) > MAX_KEY_DER:
        raise _too_large(key_der, name)
    algorithm, parameters = _looked_at(key_der, name)
    if algorithm.startswith(_POST_QUANTUM):
        key_der = _seed_alone(key_der)
    try:
        return load_der_private_key(key_der, None)
    except (UnsupportedAlgorithm, ValueError, TypeError) as error:
        if algorithm == _EC and parameters and parameters[0] == SEQUENCE:
            raise NotSupported(
                f"the EC key in {name} spells out a curve of its own instead of naming one",
                hint="make a new key on P-256",
            ) from error
        if isinstance(error, UnsupportedAlgorithm):
            from smime.keys.fitness import in_words

            raise NotSupported(
                f"the private key in {name} is not supported: {in_words(error)}"
            ) from error
        if algorithm.startswith(_POST_QUANTUM):
            raise NotSupported(
                f"the private key in {name} ({algorithm}) is in a form without its seed,"
                " which is not read",
                hint="export it in the form that holds the seed",
            ) from error
        raise damaged(name, "the private key in it is cut, or its numbers do not fit") from error


def _looked_at(key_der: bytes, name: str) -> tuple[str, Node | None]:
    """Refuse kinds and sizes that are not read; return algorithm and parameters."""
    parts = children(key_der, top(key_der))
    tags = [part[0] for part in parts]
    if tags[:2] == [INTEGER, INTEGER]:  # PKCS#1, or DSA in openssl's old form
        if len(parts) < 9:
            raise NotSupported(f"{name}: DSA keys are not supported")
        _check_rsa_size(parts[1], name)
        return _RSA[0], None
    if tags[:2] == [INTEGER, OCTET_STRING]:  # SEC 1: the curve stands in [0]
        curve = [inner for part in parts if part[0] == 0xA0 for inner in children(key_der, part)]
        return _EC, curve[0] if curve else None
    if tags[:3] != [INTEGER, SEQUENCE, OCTET_STRING]:
        raise damaged(name, "the private key has no known form")
    algorithm, parameters = pbe.algorithm_of(key_der, parts[1])
    if algorithm in _FOREIGN_KEYS:
        raise NotSupported(f"{name}: {_FOREIGN_KEYS[algorithm]} are not supported")
    if algorithm in _RSA:
        inner = children(key_der, top(key_der, parts[2][2], parts[2][3]))
        if len(inner) > 1:
            _check_rsa_size(inner[1], name)
    return algorithm, parameters


def _seed_alone(key_der: bytes) -> bytes:
    """Return a post-quantum key with its seed only (RFC 9881, RFC 9935).

    openssl writes seed and expanded key together, which the library does not
    read. That the seed is the right one shows when the certificate is compared.
    """
    parts = children(key_der, top(key_der))
    inner = top(key_der, parts[2][2], parts[2][3])
    both = children(key_der, inner) if inner[0] == SEQUENCE else []
    if [part[0] for part in both] != [OCTET_STRING, OCTET_STRING]:
        return key_der
    seed = tlv(0x80, key_der[both[0][2] : both[0][3]])
    before = (key_der[part[1] : part[3]] for part in parts[:2])
    return sequence(*before, octet_string(seed))


def _check_rsa_size(modulus: Node, name: str) -> None:
    if (modulus[3] - modulus[2] - 1) * 8 > MAX_RSA_BITS:
        raise LimitExceeded(f"the RSA key in {name} has more than {MAX_RSA_BITS} bits")


def traditional_key(block: bytes, name: str, secret: Secret) -> PrivateKeyTypes:
    """Load a key in openssl's old encrypted PEM (one round of MD5, so no work to limit)."""
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import load_pem_private_key

    if len(block) > 2 * MAX_KEY_DER:
        raise _too_large(block, name)
    passphrase = secret.demand()
    if not passphrase:
        raise secret.wrong()  # the old form cannot be made with an empty one
    try:
        return load_pem_private_key(block, passphrase)
    except UnsupportedAlgorithm as error:
        from smime.keys.fitness import in_words

        raise NotSupported(
            f"the private key in {name} is not supported: {in_words(error)}"
        ) from error
    except (ValueError, TypeError) as error:
        raise secret.wrong() from error


def key_to_pem(key: PrivateKeyTypes, writer: pbe.Writer) -> bytes:
    """Return a key as encrypted PKCS#8 in PEM (RFC 7468 §11)."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key_der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    algorithm, sealed = writer.seal(key_der)
    text = binascii.b2a_base64(sequence(algorithm, octet_string(sealed)), newline=False)
    lines = (text[at : at + 64] for at in range(0, len(text), 64))
    return b"\n".join(
        (
            b"-----BEGIN ENCRYPTED PRIVATE KEY-----",
            *lines,
            b"-----END ENCRYPTED PRIVATE KEY-----\n",
        )
    )


def damaged(name: str, why: str = "it is cut short or was changed") -> KeyProblem:
    return KeyProblem(f"{name} is damaged: {why}", hint="copy or export it again")
