"""Signed messages put together field by field, as others write them or as nobody should."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from typing import Any

from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.serialization import Encoding

from smime.cms.der import integer, octet_string, oid, sequence, set_of, tlv
from smime.cms.names import issuer_and_serial
from tests.cms.signers import certificate_of, key_of

CONTENT = b"Content-Type: text/plain\r\n\r\nWe meet at noon.\r\n"
DATA = "1.2.840.113549.1.7.1"
_ARC = "2.16.840.1.101.3.4.2."
DIGEST_OID = {
    "sha1": "1.3.14.3.2.26",
    "md5": "1.2.840.113549.2.5",
    "sha256": _ARC + "1",
    "sha224": _ARC + "4",
    "sha384": _ARC + "2",
    "sha512": _ARC + "3",
    "sha3_224": _ARC + "7",
    "sha3_256": _ARC + "8",
    "sha3_384": _ARC + "9",
    "sha3_512": _ARC + "10",
    "shake256": _ARC + "12",
}
HASHES: dict[str, Any] = {
    "sha1": hashes.SHA1(),
    "md5": hashes.MD5(),
    "sha224": hashes.SHA224(),
    "sha256": hashes.SHA256(),
    "sha384": hashes.SHA384(),
    "sha512": hashes.SHA512(),
    "sha3_224": hashes.SHA3_224(),
    "sha3_256": hashes.SHA3_256(),
    "sha3_384": hashes.SHA3_384(),
    "sha3_512": hashes.SHA3_512(),
}
SIGNATURE_OID = {
    "rsa": "1.2.840.113549.1.1.1",
    "p256": "1.2.840.10045.4.3.2",
    "ed25519": "1.3.101.112",
    "ed448": "1.3.101.113",
    "ml-dsa-44": "2.16.840.1.101.3.4.3.17",
    "ml-dsa-65": "2.16.840.1.101.3.4.3.18",
    "ml-dsa-87": "2.16.840.1.101.3.4.3.19",
}


def digest(name: str, data: bytes) -> bytes:
    if name == "shake256":
        return hashlib.shake_256(data).digest(64)
    return hashlib.new(name, data).digest()


def algorithm(dotted: str, parameters: bytes = b"") -> bytes:
    return sequence(oid(dotted), parameters)


def attribute(dotted: str, *values: bytes) -> bytes:
    return sequence(oid(dotted), tlv(0x31, b"".join(values)))


def content_type(dotted: str = DATA) -> bytes:
    return attribute("1.2.840.113549.1.9.3", oid(dotted))


def message_digest(value: bytes) -> bytes:
    return attribute("1.2.840.113549.1.9.4", octet_string(value))


def signer_info(
    kind: str,
    *,
    name: str = "sha256",
    over: bytes = CONTENT,
    digest_algorithm: bytes | None = None,
    signature: bytes | None = None,
    attributes: Sequence[bytes] | None = None,
    more: Sequence[bytes] = (),
    sign: Callable[[bytes], bytes] | None = None,
    cert_der: bytes | None = None,
    unsigned: Iterable[bytes] = (),
) -> bytes:
    """Return a SignerInfo; ``attributes`` replaces all of them, ``more`` adds some."""
    if attributes is None:
        attributes = [content_type(), message_digest(digest(name, over)), *more]
    covered = tlv(0x31, b"".join(sorted(attributes))) if attributes else over
    value = sign(covered) if sign else plain_sign(kind, covered, name)
    beside = b"".join(unsigned)
    return sequence(
        integer(1),
        issuer_and_serial(cert_der or certificate_of(kind).public_bytes(Encoding.DER)),
        digest_algorithm or algorithm(DIGEST_OID[name]),
        b"\xa0" + covered[1:] if attributes else b"",
        signature or algorithm(SIGNATURE_OID[kind]),
        octet_string(value),
        tlv(0xA1, beside) if beside else b"",
    )


def plain_sign(kind: str, covered: bytes, name: str) -> bytes:
    private = key_of(kind)
    if kind == "rsa":
        return private.sign(covered, padding.PKCS1v15(), HASHES[name])
    if kind == "p256":
        return private.sign(covered, ec.ECDSA(HASHES[name]))
    return private.sign(covered)


def message(
    *infos: bytes,
    certificates: Iterable[bytes],
    content: bytes | None = CONTENT,
    kind: str = DATA,
) -> bytes:
    """Return a ContentInfo with these signers, sorted as DER wants it."""
    inside = tlv(0xA0, octet_string(content)) if content is not None else b""
    return sequence(
        oid("1.2.840.113549.1.7.2"),
        tlv(
            0xA0,
            sequence(
                integer(1),
                set_of(),
                sequence(oid(kind), inside),
                tlv(0xA0, b"".join(sorted(set(certificates)))),
                set_of(*infos),
            ),
        ),
    )


def signed_by(kind: str, **given: Any) -> bytes:
    """Return a message of one signer with its certificate; arguments as ``signer_info``."""
    cert_der = given.get("cert_der") or certificate_of(kind).public_bytes(Encoding.DER)
    return message(signer_info(kind, **given), certificates=[cert_der])
