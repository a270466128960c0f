"""The few DER writers and readers that the hot path needs.

Lengths are definite here; ``ber`` turns what arrives in another form into
this one first. Reading gives positions, not copies: a node is the tuple
``(tag, start, content, end)`` of offsets into the bytes that arrived.

Floor:  cms (uses errors)
Source: ITU-T X.690 §8, §10
"""

from __future__ import annotations

import struct

from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import TypeAlias

    Node: TypeAlias = tuple[int, int, int, int]

__all__ = [
    "NULL",
    "Indefinite",
    "around",
    "children",
    "head",
    "integer",
    "octet_string",
    "oid",
    "oid_text",
    "sequence",
    "set_of",
    "time",
    "tlv",
    "top",
]

MAX_CHILDREN = 20_000  # more elements in one structure than any real message has recipients
MAX_LENGTH_OCTETS = 8

_TWO_DIGITS = tuple(b"%02d" % number for number in range(100))

# Tag and length by a Struct, in half the time of a tuple.
_SHORT, _ONE_OCTET = struct.Struct(">BB").pack, struct.Struct(">BBB").pack
_TWO_OCTETS = struct.Struct(">BBH").pack

INTEGER = 0x02
OCTET_STRING = 0x04
SEQUENCE = 0x30
SET = 0x31
NULL = b"\x05\x00"


class Indefinite(MalformedMail):
    """A length is indefinite: ``ber.definite`` has to go over the bytes first.

    Where nobody does, it is malformed: an indefinite length where none can be.
    """

    def __init__(self, message: str = "an indefinite length stands where none can be") -> None:
        super().__init__(message)


def head(tag: int, length: int) -> bytes:
    """Return tag and length octets for ``length`` octets of content."""
    if length < 0x80:
        return _SHORT(tag, length)
    if length < 0x100:
        return _ONE_OCTET(tag, 0x81, length)
    if length < 0x10000:
        return _TWO_OCTETS(tag, 0x82, length)
    octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets


def tlv(tag: int, content: bytes) -> bytes:
    r"""Return ``content`` with tag and length before it.

    >>> tlv(0x04, b"hi")
    b'\x04\x02hi'
    """
    return head(tag, len(content)) + content


def around(write: Callable[[bytes], bytes], octets: int) -> tuple[bytes, bytes]:
    r"""Return what ``write`` puts before and behind a content of so many octets, at most 256.

    With it a structure that is the same in every message is written once.

    >>> around(octet_string, 12)
    (b'\x04\x0c', b'')
    """
    content = bytes(range(octets))
    before, _, behind = write(content).partition(content)
    return before, behind


def sequence(*parts: bytes) -> bytes:
    content = b"".join(parts)
    return head(SEQUENCE, len(content)) + content


def set_of(*parts: bytes) -> bytes:
    """Return a SET OF in DER order (X.690 §11.6)."""
    content = parts[0] if len(parts) == 1 else b"".join(sorted(parts))
    return head(SET, len(content)) + content


def octet_string(content: bytes) -> bytes:
    return tlv(OCTET_STRING, content)


def integer(value: int) -> bytes:
    r"""Return an INTEGER; negative values do not occur.

    >>> integer(128)
    b'\x02\x02\x00\x80'
    """
    return tlv(INTEGER, value.to_bytes(value.bit_length() // 8 + 1, "big"))


def oid(dotted: str) -> bytes:
    """Return an OBJECT IDENTIFIER.

    >>> oid("1.2.840.113549.1.7.2").hex()
    '06092a864886f70d010702'
    """
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    content = bytearray()
    for arc in (first * 40 + second, *rest):
        septets = [arc & 0x7F]
        while arc := arc >> 7:
            septets.append(0x80 | (arc & 0x7F))
        content += bytes(reversed(septets))
    return tlv(0x06, bytes(content))


def oid_text(content: bytes) -> str:
    """Return the dotted form of an OBJECT IDENTIFIER's content octets.

    >>> oid_text(bytes.fromhex("2a864886f70d010702"))
    '1.2.840.113549.1.7.2'
    """
    arcs: list[int] = []
    value = 0
    for octet in content[:64]:
        value = value << 7 | octet & 0x7F
        if not octet & 0x80:
            arcs.append(value)
            value = 0
    if not arcs:
        return "(no identifier)"
    first = min(arcs[0] // 40, 2)
    return ".".join(str(arc) for arc in (first, arcs[0] - 40 * first, *arcs[1:]))


def time(moment: datetime) -> bytes:
    """Return a Time: UTCTime up to 2049, GeneralizedTime after (RFC 5652 §11.3)."""
    away = moment.utcoffset()
    if away:
        moment = moment.replace(tzinfo=None) - away
    century, year = divmod(moment.year, 100)
    digits = _TWO_DIGITS  # a table and one join: several times as fast as to format
    rest = (
        digits[year],
        digits[moment.month],
        digits[moment.day],
        digits[moment.hour],
        digits[moment.minute],
        digits[moment.second],
        b"Z",
    )
    if 1950 <= moment.year < 2050:
        return b"".join((b"\x17\x0d", *rest))
    return b"".join((b"\x18\x0f", digits[century], *rest))


def top(data: bytes, at: int = 0, end: int | None = None) -> Node:
    """Return the node that begins at ``at``; what follows it is not looked at.

    Raises ``Indefinite`` where a length is indefinite, ``MalformedMail`` where
    the bytes end before the node does.
    """
    limit = len(data) if end is None else end
    if at + 2 > limit:
        raise _cut_short()
    tag, length, content = data[at], data[at + 1], at + 2
    if tag & 0x1F == 0x1F:
        raise MalformedMail("the CMS structure holds a tag that CMS does not use")
    if length >= 0x80:
        if length == 0x80:
            raise Indefinite
        content += length & 0x7F
        if length & 0x7F > MAX_LENGTH_OCTETS or content > limit:
            raise MalformedMail("the CMS structure holds a length that cannot be")
        length = int.from_bytes(data[at + 2 : content], "big")
    stop = content + length
    if stop > limit:
        raise MalformedMail("the CMS structure is cut short")
    return tag, at, content, stop


def children(data: bytes, node: Node, limit: int = MAX_CHILDREN) -> list[Node]:
    """Return the nodes inside a constructed node, in the order in which they stand."""
    at, end = node[2], node[3]
    if end - at > 2 * limit:  # an element has two octets at least
        return _many(data, at, end, limit)
    found: list[Node] = []
    try:
        while at < end:
            # The common cases of ``top``, written out: this loop is the parser.
            length = data[at + 1]
            if length < 0x80:
                content = at + 2
                stop = content + length
            elif length == 0x82:
                content = at + 4
                stop = content + (data[at + 2] << 8 | data[at + 3])
            elif length == 0x81:
                content = at + 3
                stop = content + data[at + 2]
            else:
                content = stop = end + 1
            tag = data[at]
            # Another form, or no form at all, or what reaches over the end: ``top`` will tell.
            child = (
                top(data, at, end) if stop > end or tag & 0x1F == 0x1F else (tag, at, content, stop)
            )
            found.append(child)
            at = child[3]
    except IndexError:
        raise _cut_short() from None
    return found


def _many(data: bytes, at: int, end: int, limit: int) -> list[Node]:
    """Return the nodes between two places, where they may be too many."""
    found: list[Node] = []
    while at < end:
        if len(found) == limit:
            raise LimitExceeded(f"more than {limit} elements in one CMS structure")
        child = top(data, at, end)
        found.append(child)
        at = child[3]
    return found


def _cut_short() -> MalformedMail:
    return MalformedMail("the CMS structure ends in the middle of an element")
