"""ContentInfo: what kind of CMS structure this is.

Floor:  cms (uses errors)
Source: RFC 5652 §3
"""

from __future__ import annotations

from smime.cms.algorithms import CONTENT_TYPES, called
from smime.cms.ber import parsed
from smime.cms.der import SEQUENCE, children, top
from smime.errors import MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.cms.der import Node

__all__ = ["content_info", "kind", "name"]


def kind(blob: bytes) -> str:
    """Return the content type of a ContentInfo by name, such as ``signedData``."""
    # The identifier stands right behind the outer header, whose length need not be known.
    at = 2 + (blob[1] & 0x7F if len(blob) > 1 and blob[1] & 0x80 else 0)
    if blob[:1] == b"0" and blob[at : at + 1] == b"\x06" and at + 1 < len(blob):
        found = CONTENT_TYPES.get(blob[at + 2 : at + 2 + blob[at + 1]])
        if found is not None:
            return found
    return called(parsed(blob, lambda data: content_info(data)[0]))


def name(content_type: bytes) -> str:
    """Return what a content type is called; its dotted identifier if nobody knows it."""
    return CONTENT_TYPES.get(content_type) or called(content_type)


def content_info(data: bytes) -> tuple[bytes, Node]:
    """Return the content type of a ContentInfo and the node inside (RFC 5652 §3)."""
    outer = top(data)
    if outer[0] != SEQUENCE:
        raise MalformedMail("this is not CMS: it does not begin with a SEQUENCE")
    parts = children(data, outer)
    if len(parts) < 2 or parts[0][0] != 0x06 or parts[1][0] != 0xA0:
        raise MalformedMail("this is not CMS: no content type stands at its beginning")
    inner = children(data, parts[1])
    if len(inner) != 1:
        raise MalformedMail("the CMS structure holds no content")
    return data[parts[0][2] : parts[0][3]], inner[0]
