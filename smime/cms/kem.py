"""Key encapsulation: the content key wrapped with a key that ML-KEM hands over.

Floor:  cms (uses errors)
Source: RFC 9629 for KEMRecipientInfo, RFC 9936 for ML-KEM in it
"""

from __future__ import annotations

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from smime.cms import algorithms as alg
from smime.cms.ber import octets
from smime.cms.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    children,
    integer,
    octet_string,
    oid_text,
    sequence,
    tlv,
)
from smime.cms.unwrapping import Sealed, read_identifier, right_length, substitute, unwrap_aes
from smime.errors import MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from smime.cms.der import Node
    from smime.cms.recipients import OpeningKey
    from smime.cms.unwrapping import Opener, Unwrap

__all__ = ["info", "read"]

_ZERO = integer(0)
_WRAP_OCTETS = 32  # RFC 9936 §2.3: id-aes256-wrap for ML-KEM-768 and ML-KEM-1024
_WRAP = sequence(alg.KEY_WRAP[_WRAP_OCTETS])


def info(content_key: bytes, public: Any, kind: str, identifier: bytes) -> bytes:
    """Return a KEMRecipientInfo within OtherRecipientInfo; ``kind`` is ``ml-kem-768`` or -1024."""
    secret, ciphertext = public.encapsulate()
    wrapping_key = _derive("sha256", secret, _other_info(_WRAP, _WRAP_OCTETS, b""), _WRAP_OCTETS)
    return tlv(
        0xA4,
        alg.ORI_KEM
        + sequence(
            _ZERO,
            identifier,
            sequence(alg.KEMS[kind]),
            octet_string(ciphertext),
            sequence(alg.HKDF["sha256"]),
            integer(_WRAP_OCTETS),
            _WRAP,
            octet_string(aes_key_wrap(wrapping_key, content_key)),
        ),
    )


def _other_info(wrap_algorithm: bytes, key_octets: int, ukm: bytes) -> bytes:
    """Return CMSORIforKEMOtherInfo (RFC 9629 §5); ``ukm`` is [0] as it stands."""
    return sequence(wrap_algorithm, integer(key_octets), ukm)


def _derive(digest: str, secret: bytes, other_info: bytes, length: int) -> bytes:
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(alg.hash_class(digest), length, None, other_info).derive(secret)


def read(data: bytes, node: Node) -> Sealed:
    """Read an OtherRecipientInfo; every kind but KEMRecipientInfo is named only."""
    fields = children(data, node)
    if len(fields) != 2 or fields[0][0] != 0x06:
        raise MalformedMail("a recipient does not have the form of one")
    kind = data[fields[0][2] : fields[0][3]]
    if kind != alg.ORI_KEM[2:]:
        return _named_only(f"recipients of the kind {oid_text(kind)}")
    parts = children(data, fields[1])
    if len(parts) in (8, 9) and parts[2][0] == SEQUENCE:
        ukm = b""
        if parts[6][0] == 0xA0:
            ukm = data[parts[6][1] : parts[6][3]]
            del parts[6]
        if (
            len(parts) == 8
            and parts[3][0] & ~0x20 == parts[7][0] & ~0x20 == OCTET_STRING
            and parts[4][0] == parts[6][0] == SEQUENCE
            and parts[5][0] == INTEGER
        ):
            return _read(data, parts, ukm)
    raise MalformedMail("a key encapsulation recipient does not have the form of one")


def _named_only(what: str) -> Sealed:
    def prepare() -> Opener:
        raise NotSupported(f"{what} are not supported")

    return Sealed(what, prepare)


def _read(data: bytes, parts: list[Node], ukm: bytes) -> Sealed:
    identifier, key_identifier = read_identifier(data, parts[1])
    content = _algorithm(data, parts[2])
    kind = alg.KEM_OF.get(content, f"KEM {oid_text(content)}")
    ciphertext, sealed = octets(data, parts[3]), octets(data, parts[7])

    def prepare() -> Opener:
        if kind not in alg.KEMS:
            raise NotSupported(f"recipients by {kind} are not supported")
        digest = alg.named(alg.HKDF_OF, _algorithm(data, parts[4]), "key derivation")
        wrap = alg.KEY_WRAP_OF.get(_algorithm(data, parts[6]))
        if wrap is None:
            what = oid_text(_algorithm(data, parts[6]))
            raise NotSupported(f"the key wrap {what} of a key encapsulation is not supported")
        length_said = int.from_bytes(data[parts[5][2] : parts[5][3]], "big")
        if length_said != wrap:
            raise MalformedMail("a key encapsulation derives a key of another length than it needs")
        other_info = _other_info(data[parts[6][1] : parts[6][3]], wrap, ukm)

        def unwrap_with(key: OpeningKey) -> Unwrap:
            def unwrap(length: int) -> bytes:
                try:
                    secret = key.decapsulate(ciphertext)
                except ValueError:  # not of the length that the key takes
                    secret = substitute(ciphertext, 32)
                key_derived = _derive(digest, secret, other_info, wrap)
                return right_length(unwrap_aes((key_derived,), sealed, length), length, sealed)

            return unwrap

        return unwrap_with

    return Sealed(
        kind,
        prepare,
        identifier=identifier,
        key_identifier=key_identifier,
        octets=len(ciphertext),
    )


def _algorithm(data: bytes, node: Node) -> bytes:
    """Return the identifier's content octets of an AlgorithmIdentifier."""
    parts = children(data, node)
    if not parts or parts[0][0] != 0x06:
        raise MalformedMail("a recipient names no algorithm")
    return data[parts[0][2] : parts[0][3]]
