"""Which algorithms this version claims, and which ones a vector uses, told by another reader."""

from __future__ import annotations

from email import message_from_bytes
from typing import Any

from asn1crypto import cms as asn1
from asn1crypto import core
from asn1crypto.algos import EncryptionAlgorithm as Algorithm

from tests.vectors.foreign import Entry, blob_of

# What this version claims, in the words of the reader below. Whatever an entry uses beyond it
# must be refused, and is counted as such; what is claimed must come out as the manifest says.
CLAIMED = {
    # digests
    "sha224", "sha256", "sha384", "sha512", "sha1", "md5",
    "sha3_224", "sha3_256", "sha3_384", "sha3_512", "shake256",
    # signatures
    "rsassa_pkcs1v15", "sha1_rsa", "sha256_rsa", "sha384_rsa", "sha512_rsa",
    "sha256_ecdsa", "sha384_ecdsa", "sha512_ecdsa", "rsassa_pss", "ed25519", "ed448",
    "2.16.840.1.101.3.4.3.17", "2.16.840.1.101.3.4.3.18", "2.16.840.1.101.3.4.3.19",
    "dsa", "sha1_dsa", "sha224_dsa", "sha256_dsa",
    # content
    "aes128_cbc", "aes192_cbc", "aes256_cbc", "aes128_gcm", "aes192_gcm", "aes256_gcm",
    "tripledes_3key",
    # content keys: RSA; ECDH (standard, cofactor) with SHA-1 to SHA-512; key wrap
    "rsaes_pkcs1v15", "rsaes_oaep",
    "1.3.133.16.840.63.0.2", "1.3.132.1.11.0", "1.3.132.1.11.1", "1.3.132.1.11.2",
    "1.3.132.1.11.3", "1.3.133.16.840.63.0.3", "1.3.132.1.14.0", "1.3.132.1.14.1",
    "1.3.132.1.14.2", "1.3.132.1.14.3",
    "aes128_wrap", "aes192_wrap", "aes256_wrap", "1.2.840.113549.1.9.16.3.6",
    # ML-KEM-768 and ML-KEM-1024; a shared key; a passphrase
    "2.16.840.1.101.3.4.4.2", "2.16.840.1.101.3.4.4.3", "1.2.840.113549.1.9.16.3.28",
    "1.2.840.113549.1.9.16.3.29", "1.2.840.113549.1.9.16.3.30",
    "pbkdf2", "1.2.840.113549.1.9.16.3.9",
    # structures
    "data", "signed_data", "enveloped_data", "authenticated_enveloped_data",
}  # fmt: skip
WEAK = {"sha1", "md5", "tripledes_3key", "sha1_rsa", "dsa", "sha1_dsa", "sha256_dsa"}


def outer_blob(entry: Entry) -> bytes:
    """Return the outermost CMS structure, found by Python's own mail parser; empty if none."""
    if entry.raw["format"] != "eml":
        return blob_of(entry.data)
    message = message_from_bytes(entry.data)
    if message.get_content_type() == "multipart/signed":
        message = message.get_payload(1)
    if message.is_multipart():
        return b""
    data = message.get_payload(decode=True)
    assert isinstance(data, bytes)
    return data


def algorithms(entry: Entry) -> set[str]:
    """Return what the entry uses itself, not what it announces, as far as can be seen unopened."""
    blob = outer_blob(entry)
    if not blob:
        return set()
    try:
        return _used(asn1.ContentInfo.load(blob))
    except (ValueError, TypeError, KeyError):
        return {"unreadable"}


def _used(info: Any) -> set[str]:
    kind = _name(info["content_type"])
    found = {kind}
    if kind == "signed_data":
        for signer in info["content"]["signer_infos"]:
            for which in ("digest_algorithm", "signature_algorithm"):
                found.add(_name(signer[which]["algorithm"]))
    inner = {
        "enveloped_data": "encrypted_content_info",
        "authenticated_enveloped_data": "auth_encrypted_content_info",
    }.get(kind)
    if inner:
        found.add(_name(info["content"][inner]["content_encryption_algorithm"]["algorithm"]))
        for recipient in info["content"]["recipient_infos"]:
            if recipient.name == "ori":
                found |= _kem(recipient.chosen)
                continue
            if recipient.name == "pwri":
                found.add(_name(recipient.chosen["key_derivation_algorithm"]["algorithm"]))
            way = recipient.chosen["key_encryption_algorithm"]
            found.add(_name(way["algorithm"]))
            if recipient.name == "kari" and way["parameters"].native:
                found.add(_name(Algorithm.load(way["parameters"].dump())["algorithm"]))
    return found


class _Algorithm(core.Sequence):
    _fields = [("algorithm", core.ObjectIdentifier), ("parameters", core.Any, {"optional": True})]


class _Kem(core.Sequence):
    """KEMRecipientInfo (RFC 9629 §3)."""

    _fields = [
        ("version", core.Integer),
        ("rid", core.Any),
        ("kem", _Algorithm),
        ("kemct", core.OctetString),
        ("kdf", _Algorithm),
        ("kek_length", core.Integer),
        ("ukm", core.OctetString, {"explicit": 0, "optional": True}),
        ("wrap", _Algorithm),
        ("encrypted_key", core.OctetString),
    ]


class _Ori(core.Sequence):
    _fields = [("type", core.ObjectIdentifier), ("value", _Kem)]


def _kem(other: Any) -> set[str]:
    """Return the KEM, and the derivation beside it, of an OtherRecipientInfo."""
    info = _Ori.load(b"\x30" + other.dump()[1:])["value"]
    return {_name(info[one]["algorithm"]) for one in ("kem", "kdf")}


# The validation engine teaches the reader some names when it is imported.
_DOTTED = {
    f"mldsa{size}": f"2.16.840.1.101.3.4.3.{arc}" for size, arc in ((44, 17), (65, 18), (87, 19))
}


def _name(value: Any) -> str:
    return _DOTTED.get(value.native, str(value.native))
