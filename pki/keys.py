"""Private keys of a CA and its users: named in one table, made, and sealed under a passphrase.

Floor:  keys (uses errors)
Source: RFC 5958 for the sealed key, RFC 8018 §6.2 and §A.4 for PBES2 and PBKDF2;
        RFC 4055, RFC 5758, RFC 8410, RFC 9881 for the signature algorithms
"""

from __future__ import annotations

import os
from typing import NamedTuple

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import (
    ec,
    ed448,
    ed25519,
    mldsa,
    mlkem,
    padding,
    rsa,
    x448,
    x25519,
)

from pki.errors import NoAuthority, RequestRefused, WrongPassphrase
from smime import NotSupported
from smime.cms.der import NULL, integer, octet_string, oid, sequence

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, TypeAlias

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from smime import Passphrase

    Key: TypeAlias = (
        rsa.RSAPrivateKey
        | ec.EllipticCurvePrivateKey
        | ed25519.Ed25519PrivateKey
        | ed448.Ed448PrivateKey
        | mldsa.MLDSA44PrivateKey
        | mldsa.MLDSA65PrivateKey
        | mldsa.MLDSA87PrivateKey
    )
    ReadingKey: TypeAlias = (
        x25519.X25519PrivateKey
        | x448.X448PrivateKey
        | mlkem.MLKEM768PrivateKey
        | mlkem.MLKEM1024PrivateKey
    )
    AnyKey: TypeAlias = Key | ReadingKey
    PublicKey: TypeAlias = (
        rsa.RSAPublicKey
        | ec.EllipticCurvePublicKey
        | ed25519.Ed25519PublicKey
        | ed448.Ed448PublicKey
        | x25519.X25519PublicKey
        | x448.X448PublicKey
        | mldsa.MLDSA44PublicKey
        | mldsa.MLDSA65PublicKey
        | mldsa.MLDSA87PublicKey
        | mlkem.MLKEM768PublicKey
        | mlkem.MLKEM1024PublicKey
    )

__all__ = [
    "ALGORITHMS",
    "CA_ALGORITHMS",
    "FAMILIES",
    "PAIRS",
    "certifies",
    "check",
    "family",
    "generate",
    "hash_for",
    "key_name",
    "passphrase_octets",
    "pure_algorithm",
    "seal",
    "sign",
    "signature_algorithm",
    "signer",
    "spki",
    "spki_pem",
    "unseal",
]


class _Kind(NamedTuple):
    """One row of the table of key kinds."""

    family: str
    """What a profile lists key usages by."""
    make: Callable[[], Any]
    public: type
    size: int | None
    """Bits, where the class alone does not tell."""
    partner: str
    """The kind that is the reading half beside it; empty if it does not sign."""


def _ec(curve: type[ec.EllipticCurve]) -> Callable[[], Any]:
    return lambda: ec.generate_private_key(curve())


def _rsa(bits: int) -> Callable[[], Any]:
    return lambda: rsa.generate_private_key(public_exponent=65537, key_size=bits)


_TABLE = {
    "p256": _Kind("ec", _ec(ec.SECP256R1), ec.EllipticCurvePublicKey, 256, "p256"),
    "p384": _Kind("ec", _ec(ec.SECP384R1), ec.EllipticCurvePublicKey, 384, "p384"),
    "p521": _Kind("ec", _ec(ec.SECP521R1), ec.EllipticCurvePublicKey, 521, "p521"),
    "rsa2048": _Kind("rsa", _rsa(2048), rsa.RSAPublicKey, 2048, "rsa2048"),
    "rsa3072": _Kind("rsa", _rsa(3072), rsa.RSAPublicKey, 3072, "rsa3072"),
    "rsa4096": _Kind("rsa", _rsa(4096), rsa.RSAPublicKey, 4096, "rsa4096"),
    "ed25519": _Kind(
        "eddsa", ed25519.Ed25519PrivateKey.generate, ed25519.Ed25519PublicKey, None, "x25519"
    ),
    "ed448": _Kind("eddsa", ed448.Ed448PrivateKey.generate, ed448.Ed448PublicKey, None, "x448"),
    "x25519": _Kind("xdh", x25519.X25519PrivateKey.generate, x25519.X25519PublicKey, None, ""),
    "x448": _Kind("xdh", x448.X448PrivateKey.generate, x448.X448PublicKey, None, ""),
    "mldsa44": _Kind(
        "mldsa", mldsa.MLDSA44PrivateKey.generate, mldsa.MLDSA44PublicKey, None, "mlkem768"
    ),
    "mldsa65": _Kind(
        "mldsa", mldsa.MLDSA65PrivateKey.generate, mldsa.MLDSA65PublicKey, None, "mlkem768"
    ),
    "mldsa87": _Kind(
        "mldsa", mldsa.MLDSA87PrivateKey.generate, mldsa.MLDSA87PublicKey, None, "mlkem1024"
    ),
    "mlkem768": _Kind(
        "mlkem", mlkem.MLKEM768PrivateKey.generate, mlkem.MLKEM768PublicKey, None, ""
    ),
    "mlkem1024": _Kind(
        "mlkem", mlkem.MLKEM1024PrivateKey.generate, mlkem.MLKEM1024PublicKey, None, ""
    ),
}

ALGORITHMS = tuple(_TABLE)
"""Every kind of key that is certified, by the name used in all calls and options."""
CA_ALGORITHMS = tuple(name for name, kind in _TABLE.items() if kind.partner)
"""The kinds that can certify: those that sign."""
PAIRS = {name: (name, kind.partner) for name, kind in _TABLE.items() if kind.partner}
"""For each kind that signs, what the two halves of a split pair are made of."""
FAMILIES = tuple(dict.fromkeys(kind.family for kind in _TABLE.values()))
"""What profiles list key usages by: ``rsa ec eddsa xdh mldsa mlkem``."""

MIN_RSA_BITS = 2048  # below, mail readers refuse the certificate
MAX_RSA_BITS = 8192  # above, every verification by every reader costs milliseconds

# PBKDF2, not scrypt: the openssl command refuses scrypt above 32 MiB of memory, and a
# CA key that only one program can read is no backup. The library's own writer has 2,048 rounds.
SEAL_ROUNDS = 1_000_000
_SALT_OCTETS = 16

_PBES2 = oid("1.2.840.113549.1.5.13")
_PBKDF2 = oid("1.2.840.113549.1.5.12")
_HMAC_SHA256 = oid("1.2.840.113549.2.9")
_AES256_CBC = oid("2.16.840.1.101.3.4.1.42")
_PKCS1 = padding.PKCS1v15()
_RSA_SHA256 = sequence(oid("1.2.840.113549.1.1.11"), NULL)
# Without parameters: RFC 5758 §3.2, RFC 8410 §3, RFC 9881 §2.
_ECDSA = {
    "sha256": sequence(oid("1.2.840.10045.4.3.2")),
    "sha384": sequence(oid("1.2.840.10045.4.3.3")),
    "sha512": sequence(oid("1.2.840.10045.4.3.4")),
}
_PURE = {
    "ed25519": "1.3.101.112",
    "ed448": "1.3.101.113",
    "mldsa44": "2.16.840.1.101.3.4.3.17",
    "mldsa65": "2.16.840.1.101.3.4.3.18",
    "mldsa87": "2.16.840.1.101.3.4.3.19",
}
"""Kinds of keys with one signature algorithm, which takes the data itself; its OID is the key's."""


def generate(algorithm: str) -> Any:
    """Make a fresh private key of a kind in ``ALGORITHMS``.

    Raises ``ValueError`` for any other name, ``NotSupported`` if this build of
    the cryptographic library lacks the kind.
    """
    kind = _TABLE.get(algorithm)
    if kind is None:
        raise ValueError(f"algorithm {algorithm!r} is none of {', '.join(ALGORITHMS)}")
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return kind.make()
    except UnsupportedAlgorithm as error:
        raise NotSupported(
            f"this build of cryptography cannot make {algorithm} keys",
            hint="install its wheel from PyPI, or take rsa3072 or p256",
        ) from error


def check(key: PublicKeyTypes) -> PublicKey:
    """Give back ``key`` if it may be certified, else raise ``RequestRefused``.

    Its kind and size are ones that mail readers accept, and it is none of the keys
    whose private half can be computed from the public one (``pki.weak``).
    """
    if isinstance(key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS or key.key_size % 8:
            raise RequestRefused(
                f"an RSA key of {key.key_size} bits is not certified",
                hint=f"make one of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, best 3072",
            )
        numbers = key.public_numbers()
        if numbers.e != 65537:
            raise RequestRefused(
                "an RSA key with another exponent than 65537 is not certified",
                hint="make the key with the usual exponent",
            )
        from pki.weak import weakness

        found = weakness(numbers.n)
        if found:
            raise RequestRefused(
                f"this RSA key is broken: {found}",
                hint="make a new one with up to date software, and use this one nowhere",
            )
        return key
    if key_name(key):
        return key  # type: ignore[return-value]
    raise RequestRefused(
        "a key of this kind is not certified",
        hint=f"use RSA, or one of {', '.join(n for n in ALGORITHMS if not n.startswith('rsa'))}",
    )


def key_name(key: object) -> str:
    """Name the kind of a public key as in ``ALGORITHMS``; empty if it is none of them.

    RSA keys of other sizes are named alike: ``rsa5120``.
    """
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa{key.key_size}"
    for name, kind in _TABLE.items():
        if isinstance(key, kind.public) and (
            kind.size is None
            or (
                isinstance(key, ec.EllipticCurvePublicKey)
                and key.curve.name == f"secp{kind.size}r1"
            )
        ):
            return name
    return ""


def family(key: PublicKey) -> str:
    """Give the family of a public key, one of ``FAMILIES``: what key usages are listed by."""
    if isinstance(key, rsa.RSAPublicKey):
        return "rsa"
    if isinstance(key, ec.EllipticCurvePublicKey):
        return "ec"
    return _TABLE[key_name(key)].family


def certifies(key: object) -> bool:
    """Say whether a private key, in memory or in a token, is of a kind that signs certificates."""
    return isinstance(key, (rsa.RSAPrivateKey, ec.EllipticCurvePrivateKey, *_PURE_KEYS))


_PURE_KEYS = (
    ed25519.Ed25519PrivateKey,
    ed448.Ed448PrivateKey,
    mldsa.MLDSA44PrivateKey,
    mldsa.MLDSA65PrivateKey,
    mldsa.MLDSA87PrivateKey,
)


def pure_algorithm(name: str) -> str | None:
    """Give the OID of the one signature algorithm of a kind of key; None for RSA and EC."""
    return _PURE.get(name)


def spki(key: PublicKey) -> bytes:
    """Give the SubjectPublicKeyInfo of a public key, in DER."""
    return key.public_bytes(
        serialization.Encoding.DER, serialization.PublicFormat.SubjectPublicKeyInfo
    )


def spki_pem(key: PublicKey) -> bytes:
    """Write a public key as PEM."""
    return _pem("PUBLIC KEY", spki(key))


def hash_for(key: Key) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512 | None:
    """Choose the hash that fits a CA key's strength (RFC 5480 §4).

    None for Ed25519, Ed448 and ML-DSA, which have their own.
    """
    if isinstance(key, _PURE_KEYS):
        return None
    if isinstance(key, rsa.RSAPrivateKey) or key.key_size <= 256:
        return hashes.SHA256()
    return hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()


def signature_algorithm(key: Key) -> bytes:
    """Give the AlgorithmIdentifier, in DER, of what ``sign`` makes with this key."""
    chosen = hash_for(key)
    if chosen is None:
        return sequence(oid(_PURE[key_name(key.public_key())]))
    return _RSA_SHA256 if isinstance(key, rsa.RSAPrivateKey) else _ECDSA[chosen.name]


def sign(key: Key, data: bytes) -> bytes:
    """Sign ``data`` with a CA's key: PKCS#1 v1.5, ECDSA in DER, or the key's own scheme."""
    return signer(key)(data)


def signer(key: Key) -> Callable[[bytes], bytes]:
    """Give what signs with a CA's key as ``sign`` does: for who signs many times."""
    if isinstance(key, ec.EllipticCurvePrivateKey):
        chosen = hash_for(key)
        assert chosen is not None
        curve_key, scheme = key, ec.ECDSA(chosen)
        return lambda data: curve_key.sign(data, scheme)
    if isinstance(key, rsa.RSAPrivateKey):
        rsa_key, digest = key, hashes.SHA256()
        return lambda data: rsa_key.sign(data, _PKCS1, digest)
    return key.sign


def passphrase_octets(passphrase: Passphrase) -> bytes:
    """Ask for a passphrase if it is a callable; text is UTF-8, as openssl takes it.

    Raises ``ValueError`` if it is empty.
    """
    given = passphrase() if callable(passphrase) else passphrase
    secret = given.encode() if isinstance(given, str) else bytes(given)
    if not secret:
        raise ValueError("an empty passphrase protects nothing")
    return secret


def seal(key: AnyKey, passphrase: bytes) -> bytes:
    """Write ``key`` as PEM, encrypted: PBES2, PBKDF2-HMAC-SHA-256, AES-256-CBC.

    The cost of one guess is ``SEAL_ROUNDS`` rounds; openssl and cryptography read it.
    """
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
    from cryptography.hazmat.primitives.kdf.pbkdf2 import PBKDF2HMAC
    from cryptography.hazmat.primitives.padding import PKCS7

    salt, iv = os.urandom(_SALT_OCTETS), os.urandom(16)
    wrapping = PBKDF2HMAC(hashes.SHA256(), 32, salt, SEAL_ROUNDS).derive(passphrase)
    padder = PKCS7(128).padder()
    encryptor = Cipher(algorithms.AES(wrapping), modes.CBC(iv)).encryptor()
    plain = key.private_bytes(
        serialization.Encoding.DER,
        serialization.PrivateFormat.PKCS8,
        serialization.NoEncryption(),
    )
    sealed = encryptor.update(padder.update(plain) + padder.finalize()) + encryptor.finalize()
    parameters = sequence(octet_string(salt), integer(SEAL_ROUNDS), sequence(_HMAC_SHA256, NULL))
    cipher = sequence(_AES256_CBC, octet_string(iv))
    pbes2 = sequence(_PBES2, sequence(sequence(_PBKDF2, parameters), cipher))
    return _pem("ENCRYPTED PRIVATE KEY", sequence(pbes2, octet_string(sealed)))


def _pem(label: str, der: bytes) -> bytes:
    """Armour as RFC 7468 §2 wants it: 64 characters a line."""
    from base64 import b64encode

    text = b64encode(der)
    lines = [text[n : n + 64] for n in range(0, len(text), 64)]
    frame = label.encode()
    return b"\n".join((b"-----BEGIN %b-----" % frame, *lines, b"-----END %b-----\n" % frame))


def unseal(data: bytes, passphrase: bytes) -> Key:
    """Open what ``seal`` wrote.

    Raises ``WrongPassphrase``, and ``NoAuthority`` if it is no encrypted key of a CA.
    """
    if b"-----BEGIN ENCRYPTED PRIVATE KEY-----" not in data:
        raise NoAuthority("the key file of the CA holds no encrypted key")
    try:
        key = serialization.load_pem_private_key(data, passphrase)
    except (ValueError, TypeError) as error:
        raise WrongPassphrase(
            "the key of the CA does not open: wrong passphrase, or a damaged file",
            hint="try again; without the passphrase the key is lost",
        ) from error
    if not certifies(key):
        raise NoAuthority("the key file of the CA holds a key that certifies nothing")
    return key  # type: ignore[return-value]
