"""Signed receipts: the request among the signed attributes, and the receipt as content.

Floor:  cms (uses errors)
Source: RFC 2634 §2.5 for what a receipt is held against, §2.7 to §2.9 for syntax
"""

from __future__ import annotations

import os

from smime.cms.attributes import attribute
from smime.cms.der import (
    OCTET_STRING,
    SEQUENCE,
    Indefinite,
    children,
    integer,
    octet_string,
    oid,
    sequence,
    tlv,
    top,
)
from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from smime.cms.attributes import Attributes
    from smime.cms.der import Node

__all__ = [
    "RECEIPT",
    "Receipt",
    "Request",
    "message_digest_of",
    "read_request",
    "write_digest",
    "write_request",
]

RECEIPT = oid("1.2.840.113549.1.9.16.1.1")[2:]
REQUEST_TYPE = "1.2.840.113549.1.9.16.2.1"
DIGEST_TYPE = "1.2.840.113549.1.9.16.2.5"
_REQUEST = oid(REQUEST_TYPE)
_DIGEST = oid(DIGEST_TYPE)
MAX_NAMES = 16  # ub-receiptsTo of RFC 2634 §2.7; readers named are held to the same
IDENTIFIER_OCTETS = 24  # nobody meets the same twice


class Request:
    """What a signer asks for: whose receipts, and where they go."""

    __slots__ = ("identifier", "of", "to")

    def __init__(self, identifier: bytes, to: tuple[str, ...], of: tuple[str, ...] | None) -> None:
        self.identifier = identifier
        self.to = to
        self.of = of
        """The addresses that are asked; None for everybody."""


def write_request(to: Sequence[str]) -> bytes:
    """Return the attribute that asks every reader for a receipt, to be sent to these addresses."""
    if not 0 < len(to) <= MAX_NAMES:
        raise LimitExceeded(f"receipts go to 1 to {MAX_NAMES} addresses")
    names = [sequence(tlv(0x81, one.encode("ascii"))) for one in to]
    everybody = b"\x80\x01\x00"
    value = sequence(octet_string(os.urandom(IDENTIFIER_OCTETS)), everybody, sequence(*names))
    return attribute(REQUEST_TYPE, value)


def read_request(attributes: Attributes) -> Request | None:
    """Return the request among signed attributes, or None; raises ``MalformedMail``."""
    value = attributes.single(_REQUEST)
    if value is None:
        return None
    try:
        parts = children(value, top(value))
    except Indefinite:
        parts = []
    if len(parts) != 3 or parts[0][0] != OCTET_STRING or parts[2][0] != SEQUENCE:
        raise MalformedMail("a request for a receipt does not have the form of one")
    identifier, whose, to = parts
    of = _addresses(value, whose) if whose[0] == 0xA1 else None
    return Request(value[identifier[2] : identifier[3]], _addresses(value, to), of)


def _addresses(data: bytes, node: Node) -> tuple[str, ...]:
    """Return the rfc822Names of a SEQUENCE OF GeneralNames."""
    named = children(data, node)
    if len(named) > MAX_NAMES:
        raise LimitExceeded(f"a request for a receipt names more than {MAX_NAMES}")
    return tuple(
        data[name[2] : name[3]].decode("ascii", "replace")
        for names in named
        if names[0] == SEQUENCE
        for name in children(data, names)[:MAX_NAMES]
        if name[0] == 0x81
    )


class Receipt:
    """The content of a receipt: which message it is for."""

    __slots__ = ("content_type", "identifier", "signature")

    def __init__(self, content_type: bytes, identifier: bytes, signature: bytes) -> None:
        self.content_type = content_type
        self.identifier = identifier
        self.signature = signature

    def to_der(self) -> bytes:
        return sequence(
            integer(1),
            tlv(0x06, self.content_type),
            octet_string(self.identifier),
            octet_string(self.signature),
        )

    @classmethod
    def parse(cls, data: bytes) -> Receipt:
        """Read one; raises ``MalformedMail``."""
        try:
            node = top(data)
            parts = children(data, node) if node[0] == SEQUENCE else []
        except Indefinite:
            parts = []
        if [part[0] for part in parts] != [0x02, 0x06, OCTET_STRING, OCTET_STRING]:
            raise MalformedMail("a receipt does not have the form of one")
        _, kind, identifier, signature = (data[part[2] : part[3]] for part in parts)
        return cls(kind, identifier, signature)


def write_digest(digest: bytes) -> bytes:
    """Return the attribute msgSigDigest (RFC 2634 §2.9)."""
    return attribute(DIGEST_TYPE, octet_string(digest))


def message_digest_of(attributes: Attributes) -> bytes | None:
    """Return msgSigDigest of a receipt's signer, or None."""
    value = attributes.single(_DIGEST)
    if value is None or value[0] != OCTET_STRING:
        return None
    node = top(value)
    return value[node[2] : node[3]]
