"""Signed attributes: what is written, and what is read of them.

Floor:  cms (uses errors)
Source: RFC 5652 §5.3, §11; RFC 8551 §2.5
"""

from __future__ import annotations

from smime.cms.algorithms import CAPABILITIES, CAPABILITY_OF, DATA
from smime.cms.der import (
    OCTET_STRING,
    SEQUENCE,
    SET,
    children,
    head,
    octet_string,
    oid,
    sequence,
    set_of,
    time,
    tlv,
)
from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from smime.cms.der import Node

__all__ = ["Attributes", "write"]

MAX_ATTRIBUTES = 64  # real signers write four to ten
MAX_CAPABILITIES = 64  # the longest list seen has some fifteen

CONTENT_TYPE = oid("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = oid("1.2.840.113549.1.9.4")
SIGNING_TIME = oid("1.2.840.113549.1.9.5")
SMIME_CAPABILITIES = oid("1.2.840.113549.1.9.15")

_CAPABILITIES = sequence(
    SMIME_CAPABILITIES, tlv(SET, sequence(*(encoded for _, encoded in CAPABILITIES)))
)


def _content_type(content_type: bytes) -> bytes:
    return sequence(CONTENT_TYPE, tlv(SET, tlv(0x06, content_type)))


# Attributes of plain data with a time up to 2049 always have the same lengths,
# so their DER order and the octets around time and digest are always the same.
_UTC_TIME_OCTETS = 15


def _around(digest_octets: int) -> tuple[bytes, bytes, bytes]:
    """Return the octets before the time, between time and digest, and after the digest."""
    content_type = _content_type(DATA)
    time_head = sequence(SIGNING_TIME, tlv(SET, bytes(_UTC_TIME_OCTETS)))[:-_UTC_TIME_OCTETS]
    digest = sequence(MESSAGE_DIGEST, tlv(SET, octet_string(bytes(digest_octets))))
    digest_head = digest[:-digest_octets]
    total = sum(map(len, (content_type, time_head, digest, _CAPABILITIES))) + _UTC_TIME_OCTETS
    return head(SET, total) + content_type + time_head, digest_head, _CAPABILITIES


_AROUND = {octets: _around(octets) for octets in (32, 48, 64)}


def write(content_type: bytes, digest: bytes, at: datetime) -> bytes:
    """Return the attributes of one signer as SET OF Attribute in DER (tag 0x31)."""
    when = time(at)
    if content_type == DATA and len(when) == _UTC_TIME_OCTETS and len(digest) in _AROUND:
        before, between, after = _AROUND[len(digest)]
        return b"".join((before, when, between, digest, after))
    return set_of(
        _content_type(content_type),
        sequence(SIGNING_TIME, tlv(SET, when)),
        sequence(MESSAGE_DIGEST, tlv(SET, octet_string(digest))),
        _CAPABILITIES,
    )


class Attributes:
    """Signed attributes as they arrived.

    ``values`` maps the identifier's content octets to the value nodes of every
    attribute of that type: one list per occurrence.
    """

    __slots__ = ("_data", "_node", "in_order", "values")

    def __init__(self, data: bytes, node: Node) -> None:
        """``node`` is the ``[0]`` or SET that holds them."""
        self._data = data
        self._node = node
        self.values: dict[bytes, list[list[Node]]] = {}
        found = children(data, node)
        if len(found) > MAX_ATTRIBUTES:
            raise LimitExceeded(f"a signer has more than {MAX_ATTRIBUTES} signed attributes")
        for attribute in found:
            parts = children(data, attribute)
            if attribute[0] != SEQUENCE or len(parts) != 2 or parts[1][0] != SET:
                raise MalformedMail("a signed attribute does not have the form of one")
            kind = data[parts[0][2] : parts[0][3]]
            self.values.setdefault(kind, []).append(children(data, parts[1]))
        encoded = [data[one[1] : one[3]] for one in found]
        self.in_order = encoded == sorted(encoded)

    def as_received(self) -> bytes:
        """Return what the signature covers if the signer kept the order sent."""
        # On the wire signedAttrs is tagged [0], but the signature covers the
        # same bytes tagged SET OF (RFC 5652 §5.4).
        return b"\x31" + self._data[self._node[1] + 1 : self._node[3]]

    def in_der(self) -> bytes:
        """Return the attributes in DER order: what the signature should cover."""
        encoded = (self._data[one[1] : one[3]] for one in children(self._data, self._node))
        return tlv(SET, b"".join(sorted(encoded)))

    def _single(self, kind: bytes) -> Node | None:
        """Return the one value of the one attribute of this type, else None."""
        found = self.values.get(kind[2:], [])
        return found[0][0] if len(found) == 1 and len(found[0]) == 1 else None

    def content_type(self) -> bytes | None:
        """Content octets of the identifier, or None unless there is exactly one."""
        node = self._single(CONTENT_TYPE)
        return self._data[node[2] : node[3]] if node and node[0] == 0x06 else None

    def message_digest(self) -> bytes | None:
        """The digest, or None unless there is exactly one."""
        node = self._single(MESSAGE_DIGEST)
        return self._data[node[2] : node[3]] if node and node[0] == OCTET_STRING else None

    def signing_time(self) -> datetime | None:
        """When the signer says that it signed, or None."""
        node = self._single(SIGNING_TIME)
        return read_time(self._data, node) if node else None

    def capabilities(self) -> tuple[str, ...]:
        """Names of the algorithms that the signer's software reads, most wanted first."""
        node = self._single(SMIME_CAPABILITIES)
        if not node or node[0] != SEQUENCE:
            return ()
        names = []
        for one in children(self._data, node)[:MAX_CAPABILITIES]:
            parts = children(self._data, one) if one[0] == SEQUENCE else []
            if parts:
                name = CAPABILITY_OF.get(self._data[parts[0][2] : parts[0][3]])
                if name:
                    names.append(name)
        return tuple(dict.fromkeys(names))


def read_time(data: bytes, node: Node) -> datetime | None:
    """Return a UTCTime or GeneralizedTime in UTC, or None if it is not one."""
    from datetime import UTC, datetime

    text = data[node[2] : node[3]].decode("ascii", "replace")
    form = {0x17: "%y%m%d%H%M%SZ", 0x18: "%Y%m%d%H%M%SZ"}.get(node[0])
    if form is None or not text.endswith("Z") or not text[:-1].isdigit():
        return None
    if node[0] == 0x17:
        # RFC 5280 §4.1.2.5.1: 50 to 99 are of the 20th century.
        form = "%Y%m%d%H%M%SZ"
        text = ("19" if text[:2] >= "50" else "20") + text
    try:
        return datetime.strptime(text, form).replace(tzinfo=UTC)
    except ValueError:
        return None
