"""Distinguished names, in a form that is equal for names that are equal.

Names are read from their bytes: the library's objects for them cost as much as
all else that is read of a certificate.

Floor:  trust (uses errors, cms.der)
Source: RFC 5280 §7.1, RFC 4518 in short; X.690 §8.23 for the string types
"""

from __future__ import annotations

import unicodedata

from smime.cms.der import SEQUENCE, SET, children, oid_text, top
from smime.errors import MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import TypeAlias

    from smime.cms.der import Node

    NameKey: TypeAlias = tuple[object, ...]

__all__ = ["name_key", "spoken_name"]

# UTF8String, and those that are ASCII where they are right: Numeric, Printable, IA5, Visible.
_UTF_8 = frozenset({0x0C, 0x12, 0x13, 0x16, 0x1A})
_COMMON_NAME = bytes.fromhex("0603550403")
_KINDS = {
    bytes.fromhex("550406"): "C",
    bytes.fromhex("550407"): "L",
    bytes.fromhex("550408"): "ST",
    bytes.fromhex("55040a"): "O",
    bytes.fromhex("55040b"): "OU",
    bytes.fromhex("2a864886f70d010901"): "emailAddress",
}
_OTHER_STRINGS = {0x14: "latin-1", 0x1C: "utf-32-be", 0x1E: "utf-16-be"}


def name_key(name_der: bytes) -> NameKey:
    """Return what a name says; string types, case and runs of blanks do not count.

    Raises ``MalformedMail`` or ``ValueError`` for what is no name, and for text
    that is not of its type.
    """
    found: list[object] = []
    _, _, at, end = top(name_der)
    while at < end:
        length = name_der[at + 1]
        stop = at + 2 + length
        # One attribute of less than 128 octets in the relative name: nearly always.
        if length < 0x80 and name_der[at + 2] == SEQUENCE and name_der[at + 3] == length - 2:
            value = at + 6 + name_der[at + 5]
            if value + 2 + name_der[value + 1] == stop and name_der[value + 1] < 0x80:
                text = _text(name_der[value], name_der[value + 2 : stop])
                found.append((name_der[at + 6 : value], text))
                at = stop
                continue
        relative = top(name_der, at, end)
        if relative[0] != SET:
            raise ValueError("a name holds what is no relative name")
        found.append(frozenset(_pairs(name_der, relative)))
        at = relative[3]
    return tuple(found)


def _pairs(data: bytes, relative: tuple[int, int, int, int]) -> list[tuple[bytes, str | bytes]]:
    found = []
    for attribute in children(data, relative):
        kind, value = children(data, attribute)
        found.append((data[kind[2] : kind[3]], _text(value[0], data[value[2] : value[3]])))
    return found


def _text(tag: int, value: bytes) -> str | bytes:
    if tag in _UTF_8:
        text = value.decode()
    elif tag in _OTHER_STRINGS:
        text = value.decode(_OTHER_STRINGS[tag])
    else:
        return bytes((tag,)) + value
    if not text.isascii():
        return " ".join(unicodedata.normalize("NFKC", text).casefold().split())
    text = text.lower()
    return text if text.isalnum() else " ".join(text.split())


def spoken_name(name_der: bytes) -> str:
    """Return how people call it: the common name, else the whole name; empty if unreadable."""
    try:
        at = name_der.rfind(_COMMON_NAME)
        if at >= 0:
            value = top(name_der, at + len(_COMMON_NAME))
            text = name_der[value[2] : value[3]]
            return text.decode(_OTHER_STRINGS.get(value[0], "utf-8"), "replace")
        parts = []
        _, _, at, end = top(name_der)
        while at < end:
            relative = top(name_der, at, end)
            parts += [
                _said(name_der, *children(name_der, one)) for one in children(name_der, relative)
            ]
            at = relative[3]
        return ",".join(reversed(parts))
    except (MalformedMail, ValueError, TypeError):
        return ""


def _said(data: bytes, kind: Node, value: Node) -> str:
    oid = data[kind[2] : kind[3]]
    text = data[value[2] : value[3]].decode(_OTHER_STRINGS.get(value[0], "utf-8"), "replace")
    return f"{_KINDS.get(oid) or oid_text(oid)}={text}"
