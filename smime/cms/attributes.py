"""Attributes of a signer: what is written, and what is read of them.

Floor:  cms (uses errors)
Source: RFC 5652 §5.3, §11; RFC 8551 §2.5; RFC 6211 for cmsAlgorithmProtection;
        RFC 5035 for signingCertificateV2
"""

from __future__ import annotations

from smime.cms.algorithms import CAPABILITIES, CAPABILITY_OF, DATA, OAEP_ANNOUNCED
from smime.cms.der import (
    OCTET_STRING,
    SEQUENCE,
    SET,
    Indefinite,
    children,
    head,
    octet_string,
    oid,
    oid_text,
    sequence,
    set_of,
    time,
    tlv,
    top,
)
from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime

    from smime.cms.der import Node

__all__ = [
    "Attributes",
    "Template",
    "attribute",
    "checked",
    "protection",
    "reads_as_attributes",
    "write",
]

MAX_ATTRIBUTES = 64  # real signers write four to ten
MAX_CAPABILITIES = 64  # the longest list seen has some fifteen

CONTENT_TYPE = oid("1.2.840.113549.1.9.3")
MESSAGE_DIGEST = oid("1.2.840.113549.1.9.4")
SIGNING_TIME = oid("1.2.840.113549.1.9.5")
COUNTERSIGNATURE = oid("1.2.840.113549.1.9.6")
SMIME_CAPABILITIES = oid("1.2.840.113549.1.9.15")
ALGORITHM_PROTECTION = oid("1.2.840.113549.1.9.52")
SIGNING_CERTIFICATE = oid("1.2.840.113549.1.9.16.2.12")
SIGNING_CERTIFICATE_V2 = oid("1.2.840.113549.1.9.16.2.47")
TIME_STAMP_TOKEN = oid("1.2.840.113549.1.9.16.2.14")

# What is written here itself, each at most once (RFC 5652 §11; RFC 6211 §2; RFC 5035 §3).
_OWN = {
    CONTENT_TYPE,
    MESSAGE_DIGEST,
    SIGNING_TIME,
    ALGORITHM_PROTECTION,
    SIGNING_CERTIFICATE,
    SIGNING_CERTIFICATE_V2,
}

CAPABILITIES_ATTRIBUTE = sequence(
    SMIME_CAPABILITIES, tlv(SET, sequence(*(encoded for _, encoded in CAPABILITIES)))
)
# Of a key in a token or a key service: many of those open OAEP with SHA-1 only, or not at all.
KEPT_CAPABILITIES = sequence(
    SMIME_CAPABILITIES,
    tlv(SET, sequence(*(encoded for name, encoded in CAPABILITIES if name != "rsa-oaep"))),
)
# Attributes of plain data with a time up to 2049 always have the same lengths,
# so their DER order and the octets around time and digest are always the same.
_UTC_TIME_OCTETS = 15


def attribute(dotted: str, *values_der: bytes) -> bytes:
    """Return an Attribute: its type, and its values each as DER.

    >>> attribute("2.16.840.1.113733.1.9.2", b"\x13\x0219").hex()
    '3012060a6086480186f845010902310413023139'

    Raises ``ValueError`` without a value, or for one that is not a single element.
    """
    if not values_der:
        raise ValueError("an attribute needs at least one value")
    for value in values_der:
        _demand_single(value)
    return sequence(oid(dotted), set_of(*values_der))


def checked(attributes: Iterable[bytes], *, signed: bool) -> tuple[bytes, ...]:
    """Return a caller's own attributes (each as DER) once they are known to do no harm.

    Raises ``ValueError`` for what is no attribute, for a type that occurs twice,
    and where ``signed`` for the types that are written here.
    """
    found = tuple(bytes(one) for one in attributes)
    kinds = []
    for one in found:
        node = _demand_single(one)
        parts = children(one, node) if node[0] == SEQUENCE else []
        if len(parts) != 2 or parts[0][0] != 0x06 or parts[1][0] != SET:
            raise ValueError("an attribute is a SEQUENCE of type and SET: cms.attribute() makes it")
        kinds.append(one[parts[0][1] : parts[0][3]])
    if len(set(kinds)) != len(kinds):
        raise ValueError("an attribute type occurs twice")
    own = next((one for one in kinds if signed and one in _OWN), None)
    if own is not None:
        raise ValueError(f"attribute {oid_text(own[2:])} is written by the library itself")
    if len(found) > MAX_ATTRIBUTES // 2:
        raise ValueError(f"more than {MAX_ATTRIBUTES // 2} attributes")
    return found


def _demand_single(value: bytes) -> Node:
    try:
        node = top(value)
    except (MalformedMail, Indefinite):
        node = (0, 0, 0, -1)
    if node[3] != len(value):
        raise ValueError("a value of an attribute is one element in DER")
    return node


def protection(digest_algorithm: bytes, signature_algorithm: bytes) -> bytes:
    """Return cmsAlgorithmProtection for these AlgorithmIdentifiers (RFC 6211 §2)."""
    inner = sequence(digest_algorithm, b"\xa1" + signature_algorithm[1:])
    return sequence(ALGORITHM_PROTECTION, tlv(SET, inner))


def signing_certificate(cert_der: bytes) -> bytes:
    """Return signingCertificateV2 for one certificate, by SHA-256 (RFC 5035 §3)."""
    from smime.cms.algorithms import digest
    from smime.cms.names import issuer_and_serial

    named = issuer_and_serial(cert_der)
    issuer, serial = children(named, top(named))
    # GeneralNames with the issuer as directoryName; SHA-256 is the default and left out.
    names = sequence(tlv(0xA4, named[issuer[1] : issuer[3]]))
    identified = sequence(
        octet_string(digest("sha256", cert_der)),
        sequence(names, named[serial[1] : serial[3]]),
    )
    return sequence(SIGNING_CERTIFICATE_V2, tlv(SET, sequence(sequence(identified))))


def _content_type(content_type: bytes) -> bytes:
    return sequence(CONTENT_TYPE, tlv(SET, tlv(0x06, content_type)))


def _signing_time(when: bytes) -> bytes:
    return sequence(SIGNING_TIME, tlv(SET, when))


def _message_digest(digest: bytes) -> bytes:
    return sequence(MESSAGE_DIGEST, tlv(SET, octet_string(digest)))


class Template:
    """The attributes of one way to sign plain data, but for time and digest."""

    __slots__ = ("_after", "_before", "_between", "more")

    def __init__(self, digest_octets: int, more: Sequence[bytes]) -> None:
        self.more = tuple(more)
        """Attributes beside type, time and digest, each as DER."""
        timed = _signing_time(bytes(_UTC_TIME_OCTETS))
        digested = _message_digest(bytes(digest_octets))
        # DER puts shorter ones first, so the time always stands before the digest.
        ordered = sorted((_content_type(DATA), timed, digested, *more))
        first, second = ordered.index(timed), ordered.index(digested)
        total = sum(map(len, ordered))
        self._before = head(SET, total) + b"".join(ordered[:first]) + timed[:-_UTC_TIME_OCTETS]
        self._between = b"".join(ordered[first + 1 : second]) + digested[:-digest_octets]
        self._after = b"".join(ordered[second + 1 :])

    def fill(self, digest: bytes, at: datetime) -> bytes:
        """Return the attributes of plain data as SET OF Attribute in DER (tag 0x31)."""
        when = time(at)
        if len(when) == _UTC_TIME_OCTETS:
            return b"".join((self._before, when, self._between, digest, self._after))
        return write(DATA, digest, at, self.more)


def write(
    content_type: bytes | None, digest: bytes, at: datetime | None, more: Sequence[bytes] = ()
) -> bytes:
    """Return the attributes of one signer as SET OF Attribute in DER (tag 0x31).

    ``content_type`` is None for a countersignature, which has none (RFC 5652 §11.4).
    """
    parts = [_message_digest(digest), *more]
    if content_type is not None:
        parts.append(_content_type(content_type))
    if at is not None:
        parts.append(_signing_time(time(at)))
    return set_of(*parts)


def reads_as_attributes(beginning: bytes) -> bool:
    """Say whether content could be the signed attributes of another message.

    That is a SET with a contentType or a messageDigest in it; DER puts both near
    the front, so the beginning of a content will do. A signature over attributes
    fits such content, and the other way round (RFC 5652 §5.4).
    """
    if beginning[:1] != b"\x31" or len(beginning) < 2:
        return False
    at = 2 + (beginning[1] & 0x7F if beginning[1] >= 0x80 else 0)
    known = (CONTENT_TYPE, MESSAGE_DIGEST)
    for _ in range(MAX_ATTRIBUTES):
        try:
            node = top(beginning, at)
            kind = top(beginning, node[2])
        except (MalformedMail, Indefinite):
            return False  # no such structure, or it ends here
        if node[0] == SEQUENCE and beginning[kind[1] : kind[3]] in known:
            return True
        at = node[3]
    return False


class Attributes:
    """Attributes as they arrived, signed ones or not.

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
            raise LimitExceeded(f"a signer has more than {MAX_ATTRIBUTES} attributes")
        encoded = []
        for attribute in found:
            tag, start, content, end = attribute
            encoded.append(data[start:end])
            # The common form written out: a short identifier, and a set of one short value.
            value = content + 2 + data[content + 1] if content + 1 < end else end
            if (
                tag == SEQUENCE
                and value + 3 < end
                and data[value] == SET
                and value + 2 + data[value + 1] == end
                and value + 4 + data[value + 3] == end
                and end - value < 0x80
                and data[value + 2] & 0x1F != 0x1F
                and data[content] & 0x1F != 0x1F
                and data[content + 1] < 0x80
            ):
                kind = data[content + 2 : value]
                values = [(data[value + 2], value + 2, value + 4, end)]
            else:
                parts = children(data, attribute)
                if tag != SEQUENCE or len(parts) != 2 or parts[1][0] != SET:
                    raise MalformedMail("an attribute of a signer does not have the form of one")
                kind = data[parts[0][2] : parts[0][3]]
                values = children(data, parts[1])
            if kind in self.values:
                self.values[kind].append(values)
            else:
                self.values[kind] = [values]
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

    @property
    def span(self) -> tuple[int, int]:
        """Where they begin and end in what they were read of."""
        return self._node[1], self._node[3]

    @property
    def data(self) -> bytes:
        """All that they were read of."""
        return self._data

    def place(self, kind: bytes) -> tuple[int, int] | None:
        """Return where the content of the one value of this type stands, or None."""
        node = self._single(kind)
        return None if node is None or node[0] & 0x20 else (node[2], node[3])

    def has(self, kind: bytes) -> bool:
        """An attribute of this type is there, whatever its values."""
        return kind[2:] in self.values

    def single(self, kind: bytes) -> bytes | None:
        """Return the one value of the one attribute of this type as DER, else None."""
        node = self._single(kind)
        return self._data[node[1] : node[3]] if node else None

    def every(self, kind: bytes) -> list[bytes]:
        """Return all values of all attributes of this type as DER."""
        found = self.values.get(kind[2:], [])
        return [self._data[node[1] : node[3]] for values in found for node in values]

    def names_certificates(self) -> bool:
        """One of the signing certificate attributes is there."""
        return self.has(SIGNING_CERTIFICATE_V2) or self.has(SIGNING_CERTIFICATE)

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
                if name == "rsa-oaep" and self._data[one[1] : one[3]] not in OAEP_ANNOUNCED:
                    continue  # with another digest than is written
                if name:
                    names.append(name)
        return tuple(dict.fromkeys(names))


def read_time(data: bytes, node: Node) -> datetime | None:
    """Return a UTCTime or GeneralizedTime in UTC, or None if it is not one."""
    from datetime import UTC, datetime

    tag, text = node[0], data[node[2] : node[3]]
    digits = text[:-1]
    if text[-1:] != b"Z" or not digits.isdigit() or len(digits) != {0x17: 12, 0x18: 14}.get(tag):
        return None
    if tag == 0x17:
        # RFC 5280 §4.1.2.5.1: 50 to 99 are of the 20th century.
        digits = (b"19" if digits >= b"5" else b"20") + digits
    try:
        month, day, hour, minute, second = (int(digits[at : at + 2]) for at in (4, 6, 8, 10, 12))
        return datetime(int(digits[:4]), month, day, hour, minute, second, tzinfo=UTC)
    except ValueError:
        return None
