"""Private keys of a CA and its users: made, and sealed under a passphrase.

Floor:  keys (uses errors)
Source: RFC 5958 for the sealed key, RFC 8018 §6.2 and §A.4 for PBES2 and PBKDF2
"""

from __future__ import annotations

import os

from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec, rsa

from pki.errors import NoAuthority, RequestRefused, WrongPassphrase

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import TypeAlias

    from cryptography.hazmat.primitives.asymmetric.types import PublicKeyTypes

    from smime import Passphrase

    Key: TypeAlias = rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey
    PublicKey: TypeAlias = rsa.RSAPublicKey | ec.EllipticCurvePublicKey

__all__ = [
    "ALGORITHMS",
    "check",
    "family",
    "generate",
    "hash_for",
    "passphrase_octets",
    "seal",
    "unseal",
]

_CURVES: dict[str, type[ec.EllipticCurve]] = {
    "p256": ec.SECP256R1,
    "p384": ec.SECP384R1,
    "p521": ec.SECP521R1,
}
_RSA_BITS = {"rsa2048": 2048, "rsa3072": 3072, "rsa4096": 4096}
ALGORITHMS = (*_CURVES, *_RSA_BITS)

MIN_RSA_BITS = 2048  # below, mail readers refuse the certificate
MAX_RSA_BITS = 8192  # above, every verification by every reader costs milliseconds

# PBKDF2, not scrypt: the openssl command refuses scrypt above 32 MiB of memory, and a
# CA key that only one program can read is no backup. The library's own writer has 2,048 rounds.
SEAL_ROUNDS = 1_000_000
_SALT_OCTETS = 16

_SEQUENCE, _INTEGER, _OCTETS, _NULL = b"\x30", b"\x02", b"\x04", b"\x05\x00"
_PBES2 = bytes.fromhex("06092a864886f70d01050d")
_PBKDF2 = bytes.fromhex("06092a864886f70d01050c")
_HMAC_SHA256 = bytes.fromhex("06082a864886f70d0209")
_AES256_CBC = bytes.fromhex("060960864801650304012a")


def generate(algorithm: str) -> Key:
    """Make a fresh key pair: ``p256 p384 p521 rsa2048 rsa3072 rsa4096``.

    Raises ``ValueError`` for any other name.
    """
    if algorithm in _CURVES:
        return ec.generate_private_key(_CURVES[algorithm]())
    if algorithm in _RSA_BITS:
        return rsa.generate_private_key(public_exponent=65537, key_size=_RSA_BITS[algorithm])
    raise ValueError(f"algorithm {algorithm!r} is none of {', '.join(ALGORITHMS)}")


def check(key: PublicKeyTypes) -> PublicKey:
    """Give back ``key`` if mail readers accept its kind and size, else raise ``RequestRefused``."""
    if isinstance(key, rsa.RSAPublicKey):
        if not MIN_RSA_BITS <= key.key_size <= MAX_RSA_BITS:
            raise RequestRefused(
                f"an RSA key of {key.key_size} bits is not certified",
                hint=f"make one of {MIN_RSA_BITS} to {MAX_RSA_BITS} bits, best 3072",
            )
        if key.public_numbers().e != 65537:
            raise RequestRefused(
                "an RSA key with another exponent than 65537 is not certified",
                hint="make the key with the usual exponent",
            )
        return key
    if isinstance(key, ec.EllipticCurvePublicKey) and isinstance(
        key.curve, tuple(_CURVES.values())
    ):
        return key
    raise RequestRefused(
        "a key of this kind is not certified", hint="use RSA, or EC on P-256, P-384 or P-521"
    )


def family(key: PublicKey) -> str:
    """``rsa`` or ``ec``: what a profile's key usages are listed by."""
    return "rsa" if isinstance(key, rsa.RSAPublicKey) else "ec"


def hash_for(key: Key) -> hashes.SHA256 | hashes.SHA384 | hashes.SHA512:
    """Choose the hash that fits a CA key's strength (RFC 5480 §4)."""
    if isinstance(key, rsa.RSAPrivateKey) or key.key_size <= 256:
        return hashes.SHA256()
    return hashes.SHA384() if key.key_size <= 384 else hashes.SHA512()


def passphrase_octets(passphrase: Passphrase) -> bytes:
    """Ask for a passphrase if it is a callable; text is UTF-8, as openssl takes it.

    Raises ``ValueError`` if it is empty.
    """
    given = passphrase() if callable(passphrase) else passphrase
    secret = given.encode() if isinstance(given, str) else bytes(given)
    if not secret:
        raise ValueError("an empty passphrase protects nothing")
    return secret


def seal(key: Key, passphrase: bytes) -> bytes:
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
    kdf = _tlv(
        _SEQUENCE,
        _PBKDF2,
        _tlv(
            _SEQUENCE,
            _tlv(_OCTETS, salt),
            _tlv(_INTEGER, SEAL_ROUNDS.to_bytes(SEAL_ROUNDS.bit_length() // 8 + 1, "big")),
            _tlv(_SEQUENCE, _HMAC_SHA256, _NULL),
        ),
    )
    cipher = _tlv(_SEQUENCE, _AES256_CBC, _tlv(_OCTETS, iv))
    pbes2 = _tlv(_SEQUENCE, _PBES2, _tlv(_SEQUENCE, kdf, cipher))
    return _pem("ENCRYPTED PRIVATE KEY", _tlv(_SEQUENCE, pbes2, _tlv(_OCTETS, sealed)))


def _tlv(tag: bytes, *content: bytes) -> bytes:
    body = b"".join(content)
    size = len(body)
    if size < 128:
        return tag + bytes((size,)) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return tag + bytes((128 | len(octets),)) + octets + body


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
    if not isinstance(key, rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey):
        raise NoAuthority("the key file of the CA holds a key of another kind")
    return key
