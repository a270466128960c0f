"""One table: object identifier, name, primitive.

A name that is not here is not supported; what is weak is marked and read only
when the policy names it.

Floor:  cms (uses errors, policy)
Source: RFC 5754 for digests and signatures, RFC 3565 and RFC 5084 for content,
        RFC 8017 A.2.1 for OAEP, RFC 5753 §7 for key agreement
"""

from __future__ import annotations

import hashlib

from smime.cms.der import NULL, integer, oid, oid_text, sequence, tlv
from smime.errors import NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Protocol

    from cryptography.hazmat.primitives import hashes

    from smime.policy import Policy

    class Hasher(Protocol):
        """A digest that is fed piece by piece."""

        def update(self, data: bytes | bytearray | memoryview, /) -> None: ...

        def digest(self) -> bytes: ...


__all__ = [
    "AUTH_ENVELOPED_DATA",
    "CIPHERS",
    "DATA",
    "DIGESTS",
    "DIGEST_OF",
    "ENVELOPED_DATA",
    "SIGNED_DATA",
    "digest",
    "hash_class",
    "named",
    "new_hash",
    "pss_signature",
    "refuse_weak",
]

# Content types, as the content octets of their OBJECT IDENTIFIER.
DATA = oid("1.2.840.113549.1.7.1")[2:]
SIGNED_DATA = oid("1.2.840.113549.1.7.2")[2:]
ENVELOPED_DATA = oid("1.2.840.113549.1.7.3")[2:]
DIGESTED_DATA = oid("1.2.840.113549.1.7.5")[2:]
ENCRYPTED_DATA = oid("1.2.840.113549.1.7.6")[2:]
AUTH_ENVELOPED_DATA = oid("1.2.840.113549.1.9.16.1.23")[2:]
COMPRESSED_DATA = oid("1.2.840.113549.1.9.16.1.9")[2:]
AUTHENTICATED_DATA = oid("1.2.840.113549.1.9.16.1.2")[2:]

CONTENT_TYPES = {
    DATA: "data",
    SIGNED_DATA: "signedData",
    ENVELOPED_DATA: "envelopedData",
    DIGESTED_DATA: "digestedData",
    ENCRYPTED_DATA: "encryptedData",
    AUTH_ENVELOPED_DATA: "authEnvelopedData",
    COMPRESSED_DATA: "compressedData",
    AUTHENTICATED_DATA: "authenticatedData",
}

ZLIB = oid("1.2.840.113549.1.9.16.3.8")

# Digests: name -> OBJECT IDENTIFIER (whole), octets.
DIGESTS = {
    "sha256": (oid("2.16.840.1.101.3.4.2.1"), 32),
    "sha384": (oid("2.16.840.1.101.3.4.2.2"), 48),
    "sha512": (oid("2.16.840.1.101.3.4.2.3"), 64),
    "sha224": (oid("2.16.840.1.101.3.4.2.4"), 28),
    "sha1": (oid("1.3.14.3.2.26"), 20),
    "md5": (oid("1.2.840.113549.2.5"), 16),
    "sha3-224": (oid("2.16.840.1.101.3.4.2.7"), 28),
    "sha3-256": (oid("2.16.840.1.101.3.4.2.8"), 32),
    "sha3-384": (oid("2.16.840.1.101.3.4.2.9"), 48),
    "sha3-512": (oid("2.16.840.1.101.3.4.2.10"), 64),
    "shake256": (oid("2.16.840.1.101.3.4.2.12"), 64),  # in CMS always 512 bits (RFC 8702 §3.1)
}
DIGEST_OF = {whole[2:]: name for name, (whole, _) in DIGESTS.items()}
# The same digest with its length as a parameter, which Ed448 asks for (RFC 8419 §3.1).
SHAKE256_LEN = oid("2.16.840.1.101.3.4.2.18")
SHAKE256_BITS = integer(512)
# RFC 5754 §2: the parameters are absent; NULL is read too.
DIGEST_ALGORITHM = {
    **{name: sequence(whole) for name, (whole, _) in DIGESTS.items()},
    "shake256": sequence(SHAKE256_LEN, SHAKE256_BITS),
}
WEAK_DIGESTS = frozenset({"sha1", "md5"})
WEAK_SIGNATURES = frozenset({"dsa"})

RSA_ENCRYPTION = oid("1.2.840.113549.1.1.1")
RSA_OAEP = oid("1.2.840.113549.1.1.7")
RSA_PSS = oid("1.2.840.113549.1.1.10")
MGF1 = oid("1.2.840.113549.1.1.8")
P_SPECIFIED = oid("1.2.840.113549.1.1.9")
RSA_SIGNATURE = sequence(RSA_ENCRYPTION, NULL)

_SIGNATURE_ARC = "2.16.840.1.101.3.4.3."  # NIST's
_SHA3 = ("sha3-224", "sha3-256", "sha3-384", "sha3-512")
ED25519 = oid("1.3.101.112")
ED448 = oid("1.3.101.113")
ML_DSA = {
    "ml-dsa-44": oid(_SIGNATURE_ARC + "17"),
    "ml-dsa-65": oid(_SIGNATURE_ARC + "18"),
    "ml-dsa-87": oid(_SIGNATURE_ARC + "19"),
}
# Signatures as they are read: content octets -> (kind of key, digest or None).
# rsaEncryption names no digest (RFC 3370 §3.2); id-ecPublicKey and others do so
# in error. RSASSA-PSS names it in its parameters, what signs without a digest never.
SIGNATURES: dict[bytes, tuple[str, str | None]] = {
    RSA_ENCRYPTION[2:]: ("rsa", None),
    oid("1.2.840.113549.1.1.4")[2:]: ("rsa", "md5"),
    oid("1.2.840.113549.1.1.5")[2:]: ("rsa", "sha1"),
    oid("1.2.840.113549.1.1.11")[2:]: ("rsa", "sha256"),
    oid("1.2.840.113549.1.1.12")[2:]: ("rsa", "sha384"),
    oid("1.2.840.113549.1.1.13")[2:]: ("rsa", "sha512"),
    oid("1.2.840.113549.1.1.14")[2:]: ("rsa", "sha224"),
    RSA_PSS[2:]: ("rsa-pss", None),
    oid("1.2.840.10045.2.1")[2:]: ("ec", None),
    oid("1.2.840.10045.4.1")[2:]: ("ec", "sha1"),
    oid("1.2.840.10045.4.3.1")[2:]: ("ec", "sha224"),
    oid("1.2.840.10045.4.3.2")[2:]: ("ec", "sha256"),
    oid("1.2.840.10045.4.3.3")[2:]: ("ec", "sha384"),
    oid("1.2.840.10045.4.3.4")[2:]: ("ec", "sha512"),
    oid("1.2.840.10040.4.1")[2:]: ("dsa", None),
    oid("1.2.840.10040.4.3")[2:]: ("dsa", "sha1"),
    **{
        oid(f"{_SIGNATURE_ARC}{arc}")[2:]: (kind, digest_name)
        for kind, first, names in (
            ("dsa", 1, ("sha224", "sha256", "sha384", "sha512", *_SHA3)),
            ("ec", 9, _SHA3),
            ("rsa", 13, _SHA3),
        )
        for arc, digest_name in enumerate(names, first)
    },
    ED25519[2:]: ("ed25519", None),
    ED448[2:]: ("ed448", None),
    **{whole[2:]: (name, None) for name, whole in ML_DSA.items()},
}
# What is known by name and not built: no primitive, or forbidden in CMS.
UNSUPPORTED_SIGNATURES = {
    **{
        oid(f"{_SIGNATURE_ARC}{arc}")[2:]: name
        for arc, name in enumerate(
            (
                *(
                    f"SLH-DSA-{family}-{bits}{speed}"
                    for family in ("SHA2", "SHAKE")
                    for bits in (128, 192, 256)
                    for speed in "sf"
                ),
                *(f"HashML-DSA-{size}" for size in (44, 65, 87)),
                *(
                    f"HashSLH-DSA-{family}-{bits}{speed}"
                    for family in ("SHA2", "SHAKE")
                    for bits in (128, 192, 256)
                    for speed in "sf"
                ),
            ),
            20,
        )
    },
    oid("1.2.840.113549.1.9.16.3.17")[2:]: "HSS/LMS",
    oid("1.3.6.1.5.5.7.6.30")[2:]: "RSASSA-PSS with SHAKE128",
    oid("1.3.6.1.5.5.7.6.31")[2:]: "RSASSA-PSS with SHAKE256",
    oid("1.3.6.1.5.5.7.6.32")[2:]: "ECDSA with SHAKE128",
    oid("1.3.6.1.5.5.7.6.33")[2:]: "ECDSA with SHAKE256",
    oid("1.2.156.10197.1.501")[2:]: "SM2 with SM3",
    oid("1.2.643.7.1.1.3.2")[2:]: "GOST R 34.10-2012",
    oid("1.2.840.113549.1.1.2")[2:]: "RSA with MD2",
    oid("1.2.840.113549.1.1.3")[2:]: "RSA with MD4",
}
ECDSA_SIGNATURE = {
    "sha256": sequence(oid("1.2.840.10045.4.3.2")),
    "sha384": sequence(oid("1.2.840.10045.4.3.3")),
    "sha512": sequence(oid("1.2.840.10045.4.3.4")),
}


def pss_signature(name: str, mask: str, salt_octets: int) -> bytes:
    """Return the AlgorithmIdentifier of RSASSA-PSS: digest, digest of MGF1, length of the salt.

    All parameters are written, for their defaults are SHA-1. Unlike elsewhere in
    CMS the digest has a NULL here (RFC 4055 §2.1), as everybody writes it.
    """
    return sequence(
        RSA_PSS,
        sequence(
            tlv(0xA0, sequence(DIGESTS[name][0], NULL)),
            tlv(0xA1, sequence(MGF1, sequence(DIGESTS[mask][0], NULL))),
            tlv(0xA2, integer(salt_octets)),
        ),
    )


# Content ciphers: name -> (OBJECT IDENTIFIER, key octets, mode, name for people).
CIPHERS = {
    "aes-128-cbc": (oid("2.16.840.1.101.3.4.1.2"), 16, "cbc", "AES-128-CBC"),
    "aes-192-cbc": (oid("2.16.840.1.101.3.4.1.22"), 24, "cbc", "AES-192-CBC"),
    "aes-256-cbc": (oid("2.16.840.1.101.3.4.1.42"), 32, "cbc", "AES-256-CBC"),
    "aes-128-gcm": (oid("2.16.840.1.101.3.4.1.6"), 16, "gcm", "AES-128-GCM"),
    "aes-192-gcm": (oid("2.16.840.1.101.3.4.1.26"), 24, "gcm", "AES-192-GCM"),
    "aes-256-gcm": (oid("2.16.840.1.101.3.4.1.46"), 32, "gcm", "AES-256-GCM"),
    "aes-128-ccm": (oid("2.16.840.1.101.3.4.1.7"), 16, "ccm", "AES-128-CCM"),
    "aes-192-ccm": (oid("2.16.840.1.101.3.4.1.27"), 24, "ccm", "AES-192-CCM"),
    "aes-256-ccm": (oid("2.16.840.1.101.3.4.1.47"), 32, "ccm", "AES-256-CCM"),
    "chacha20-poly1305": (
        oid("1.2.840.113549.1.9.16.3.18"),
        32,
        "chacha",
        "ChaCha20-Poly1305",
    ),
    "3des-cbc": (oid("1.2.840.113549.3.7"), 24, "cbc", "3DES-CBC"),
    # RC2 has one identifier for all key sizes; only 128 bits are known here.
    "rc2-128-cbc": (oid("1.2.840.113549.3.2"), 16, "cbc", "RC2-128-CBC"),
}
CIPHER_OF = {whole[2:]: name for name, (whole, _, _, _) in CIPHERS.items()}
WEAK_CIPHERS = frozenset({"3des-cbc", "rc2-128-cbc"})

# AES key wrap by key octets (RFC 3565 §2.3.2): parameters absent.
KEY_WRAP = {
    16: oid("2.16.840.1.101.3.4.1.5"),
    24: oid("2.16.840.1.101.3.4.1.25"),
    32: oid("2.16.840.1.101.3.4.1.45"),
}
WRAP_3DES = oid("1.2.840.113549.1.9.16.3.6")  # RFC 3370 §4.3.1, read by policy
KEY_WRAP_OF = {whole[2:]: octets for octets, whole in KEY_WRAP.items()}

# Key agreement: derivation and its digest. Standard and cofactor Diffie-Hellman
# (RFC 5753 §7.1.4) are the same on the curves with cofactor 1 that are read here;
# HKDF is for X25519 and X448 (RFC 8418 §2.2).
HKDF_AGREEMENT = {
    "sha256": oid("1.2.840.113549.1.9.16.3.19"),
    "sha384": oid("1.2.840.113549.1.9.16.3.20"),
    "sha512": oid("1.2.840.113549.1.9.16.3.21"),
}
AGREEMENTS = {
    oid("1.3.133.16.840.63.0.2")[2:]: ("x963", "sha1"),
    oid("1.3.132.1.11.0")[2:]: ("x963", "sha224"),
    oid("1.3.132.1.11.1")[2:]: ("x963", "sha256"),
    oid("1.3.132.1.11.2")[2:]: ("x963", "sha384"),
    oid("1.3.132.1.11.3")[2:]: ("x963", "sha512"),
    oid("1.3.133.16.840.63.0.3")[2:]: ("x963", "sha1"),
    oid("1.3.132.1.14.0")[2:]: ("x963", "sha224"),
    oid("1.3.132.1.14.1")[2:]: ("x963", "sha256"),
    oid("1.3.132.1.14.2")[2:]: ("x963", "sha384"),
    oid("1.3.132.1.14.3")[2:]: ("x963", "sha512"),
    **{whole[2:]: ("hkdf", name) for name, whole in HKDF_AGREEMENT.items()},
}
AGREEMENT_WRITTEN = {
    "sha256": oid("1.3.132.1.11.1"),
    "sha384": oid("1.3.132.1.11.2"),
    "sha512": oid("1.3.132.1.11.3"),
}
EC_PUBLIC_KEY = oid("1.2.840.10045.2.1")
X25519 = oid("1.3.101.110")
X448 = oid("1.3.101.111")

# Key encapsulation (RFC 9629, RFC 9936) and the derivations in it (RFC 8619).
ORI_KEM = oid("1.2.840.113549.1.9.16.13.3")
KEMS = {
    "ml-kem-768": oid("2.16.840.1.101.3.4.4.2"),
    "ml-kem-1024": oid("2.16.840.1.101.3.4.4.3"),
}
KEM_OF = {whole[2:]: name for name, whole in KEMS.items()}
# Known by name alone: there is no primitive.
KEM_OF[oid("2.16.840.1.101.3.4.4.1")[2:]] = "ML-KEM-512"
HKDF = {
    "sha256": oid("1.2.840.113549.1.9.16.3.28"),
    "sha384": oid("1.2.840.113549.1.9.16.3.29"),
    "sha512": oid("1.2.840.113549.1.9.16.3.30"),
}
CEK_HKDF_SHA256 = oid("1.2.840.113549.1.9.16.3.31")  # RFC 9709 §2
HKDF_OF = {whole[2:]: name for name, whole in HKDF.items()}

# Passphrases (RFC 3211): derivation by PBKDF2 (RFC 8018) with HMAC, and the key wrap.
PBKDF2 = oid("1.2.840.113549.1.5.12")
PWRI_KEK = oid("1.2.840.113549.1.9.16.3.9")
HMACS = {
    "sha1": oid("1.2.840.113549.2.7"),
    "sha224": oid("1.2.840.113549.2.8"),
    "sha256": oid("1.2.840.113549.2.9"),
    "sha384": oid("1.2.840.113549.2.10"),
    "sha512": oid("1.2.840.113549.2.11"),
}
HMAC_OF = {whole[2:]: name for name, whole in HMACS.items()}

# RSAES-OAEP as it is written (RFC 3560 §3), and as others announce the same.
OAEP_SHA256 = sequence(
    RSA_OAEP,
    sequence(
        tlv(0xA0, DIGEST_ALGORITHM["sha256"]),
        tlv(0xA1, sequence(MGF1, DIGEST_ALGORITHM["sha256"])),
    ),
)
_SHA256_NULL = sequence(DIGESTS["sha256"][0], NULL)
OAEP_ANNOUNCED = frozenset(
    {
        OAEP_SHA256,
        sequence(
            RSA_OAEP,
            sequence(tlv(0xA0, _SHA256_NULL), tlv(0xA1, sequence(MGF1, _SHA256_NULL))),
        ),
        sequence(RSA_OAEP),
    }
)

# What is announced to others (RFC 8551 §2.5.2), most wanted first. Only what
# this library itself reads is in it.
CAPABILITIES: tuple[tuple[str, bytes], ...] = (
    ("aes-256-gcm", sequence(CIPHERS["aes-256-gcm"][0])),
    ("aes-128-gcm", sequence(CIPHERS["aes-128-gcm"][0])),
    ("aes-256-cbc", sequence(CIPHERS["aes-256-cbc"][0])),
    ("aes-192-cbc", sequence(CIPHERS["aes-192-cbc"][0])),
    ("aes-128-cbc", sequence(CIPHERS["aes-128-cbc"][0])),
    ("chacha20-poly1305", sequence(CIPHERS["chacha20-poly1305"][0])),
    ("cek-hkdf-sha256", sequence(CEK_HKDF_SHA256)),
    ("rsa-oaep", OAEP_SHA256),
    ("ecdh-sha256", sequence(AGREEMENT_WRITTEN["sha256"], sequence(KEY_WRAP[32]))),
    ("ecdh-sha256", sequence(AGREEMENT_WRITTEN["sha256"], sequence(KEY_WRAP[16]))),
)
ANNOUNCED: tuple[str, ...] = tuple(dict.fromkeys(name for name, _ in CAPABILITIES))
CAPABILITY_OF = {
    **CIPHER_OF,
    CEK_HKDF_SHA256[2:]: "cek-hkdf-sha256",
    RSA_OAEP[2:]: "rsa-oaep",
    AGREEMENT_WRITTEN["sha256"][2:]: "ecdh-sha256",
}


_DIGEST_MAKERS = {
    "sha256": hashlib.sha256,
    "sha384": hashlib.sha384,
    "sha512": hashlib.sha512,
}


# Known by name, and not built: no primitive, or nobody should use it any more.
STRANGERS = {
    "1.2.156.10197.1.104.1": "SM4-ECB",
    "1.2.156.10197.1.104.2": "SM4-CBC",
    "1.2.156.10197.1.104.8": "SM4-GCM",
    "1.2.156.10197.1.104.9": "SM4-CCM",
    "1.2.156.10197.1.301": "SM2",
    "1.2.156.10197.1.301.1": "SM2",
    "1.2.156.10197.1.301.2": "SM2 key agreement",
    "1.2.156.10197.1.301.3": "SM2 encryption",
    "1.2.156.10197.1.401": "SM3",
    "1.2.156.10197.1.501": "SM2 with SM3",
    # GM/T 0010 has content types of its own.
    "1.2.156.10197.6.1.4.2.1": "SM2 data (GM/T 0010)",
    "1.2.156.10197.6.1.4.2.2": "SM2 signedData (GM/T 0010)",
    "1.2.156.10197.6.1.4.2.3": "SM2 envelopedData (GM/T 0010)",
    "1.2.156.10197.6.1.4.2.4": "SM2 signedAndEnvelopedData (GM/T 0010)",
    "1.2.156.10197.6.1.4.2.5": "SM2 encryptedData (GM/T 0010)",
    "1.2.392.200011.61.1.1.1.2": "Camellia-128-CBC",
    "1.2.392.200011.61.1.1.1.3": "Camellia-192-CBC",
    "1.2.392.200011.61.1.1.1.4": "Camellia-256-CBC",
    "1.2.410.200004.1.4": "SEED-CBC",
    "1.2.643.2.2.21": "GOST 28147-89",
    "1.2.643.7.1.1.2.2": "GOST R 34.11-2012 of 256 bits",
    "1.2.643.7.1.1.2.3": "GOST R 34.11-2012 of 512 bits",
    "1.2.840.10046.2.1": "Diffie-Hellman",
    "1.2.840.113549.1.9.16.3.5": "ESDH, ephemeral Diffie-Hellman (RFC 2631)",
    "1.2.840.113549.1.9.16.3.7": "RC2",
    "1.2.840.113549.1.9.16.3.10": "SSDH, static Diffie-Hellman (RFC 2631)",
    "1.2.840.113549.2.2": "MD2",
    "1.2.840.113549.2.4": "MD4",
    "1.2.840.113549.3.4": "RC4",
    "1.2.840.113549.2.7": "HMAC-SHA-1",
    "1.3.14.3.2.7": "DES-CBC",
    "1.3.6.1.5.5.8.1.1": "HMAC-MD5",
    "1.3.6.1.5.5.8.1.2": "HMAC-SHA-1",
    "1.3.36.3.2.1": "RIPEMD-160",
}


def called(content: bytes) -> str:
    """Return what an identifier that is not supported is called, or else its dotted form.

    >>> called(oid("1.2.156.10197.1.401")[2:]), called(oid("1.2.3")[2:])
    ('SM3', '1.2.3')
    """
    dotted = oid_text(content)
    return STRANGERS.get(dotted, dotted)


def named(table: dict[bytes, str], content: bytes, what: str) -> str:
    """Return the name of an algorithm, or raise ``NotSupported`` with its identifier."""
    name = table.get(content)
    if name is None:
        raise NotSupported(f"{what} {called(content)} is not supported")
    return name


_WEAK = WEAK_DIGESTS | WEAK_CIPHERS


def refuse_weak(name: str, policy: Policy) -> None:
    """Raise ``NotSupported`` for a weak algorithm that the policy does not name."""
    if name in _WEAK and name not in policy.weak:
        raise NotSupported(
            f"{name.upper()} is too weak to be relied on",
            hint="to read an old mail all the same, ask for it: policy=Policy.legacy_read()",
        )


def digest(name: str, data: bytes) -> bytes:
    """Return the digest of ``data``. SHA-1 and MD5 are for reading old mail only."""
    make = _DIGEST_MAKERS.get(name)
    if make is not None:
        return make(data).digest()
    hasher = new_hash(name)
    hasher.update(data)
    return hasher.digest()


def new_hash(name: str) -> Hasher:
    """Return the digest to be fed piece by piece."""
    if name == "shake256":
        return _Shake256()
    return hashlib.new(name.replace("-", "_"), usedforsecurity=name not in WEAK_DIGESTS)


class _Shake256:
    """SHAKE256 with the 512 bits that CMS takes of it."""

    __slots__ = ("_inner",)

    def __init__(self) -> None:
        self._inner = hashlib.shake_256()

    def update(self, data: bytes | bytearray | memoryview) -> None:
        self._inner.update(data)

    def digest(self) -> bytes:
        return self._inner.digest(DIGESTS["shake256"][1])


def hash_class(name: str) -> hashes.HashAlgorithm:
    """Return the digest as ``cryptography`` wants it."""
    known = _hash_classes.get(name)
    if known is not None:
        return known
    from cryptography.hazmat.primitives import hashes

    by_name: dict[str, hashes.HashAlgorithm] = {
        "sha256": hashes.SHA256(),
        "sha384": hashes.SHA384(),
        "sha512": hashes.SHA512(),
        "sha224": hashes.SHA224(),
        "sha1": hashes.SHA1(),  # noqa: S303  # old mail, by policy
        "md5": hashes.MD5(),  # noqa: S303  # old mail, by policy
        "sha3-224": hashes.SHA3_224(),
        "sha3-256": hashes.SHA3_256(),
        "sha3-384": hashes.SHA3_384(),
        "sha3-512": hashes.SHA3_512(),
    }
    _hash_classes.update(by_name)
    return by_name[name]


_hash_classes: dict[str, hashes.HashAlgorithm] = {}
