"""What an envelope carries beside its content: what the content is, and attributes.

Attributes stand inside the tag, which vouches for them, or outside of it,
where anybody can change them.

Floor:  cms (uses errors)
Source: RFC 5652 §6.1 for unprotectedAttrs; RFC 5083 §2.1 for authAttrs and unauthAttrs
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms.attributes import CONTENT_TYPE, Attributes, checked
from smime.cms.der import (
    OCTET_STRING,
    SEQUENCE,
    SET,
    children,
    head,
    oid,
    oid_text,
    sequence,
    tlv,
    top,
)
from smime.errors import MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from smime.cms.der import Node

__all__ = ["PLAIN", "Extras", "by_type", "check_authenticated", "extras", "read_attributes"]


class Extras:
    """What is written beside a content; the attributes as SET OF in DER, empty for none."""

    __slots__ = ("authenticated", "identifier", "unprotected")

    def __init__(
        self, content_type: bytes, authenticated: bytes = b"", unprotected: bytes = b""
    ) -> None:
        self.identifier = tlv(0x06, content_type)
        """What the content is."""
        self.authenticated = authenticated
        self.unprotected = unprotected

    def tail(self, tag: bytes) -> bytes:
        """Return what stands behind the sealed content; without a tag it is EnvelopedData."""
        if not tag:
            return b"\xa1" + self.unprotected[1:] if self.unprotected else b""
        inside = b"\xa1" + self.authenticated[1:] if self.authenticated else b""
        outside = b"\xa2" + self.unprotected[1:] if self.unprotected else b""
        return b"".join((inside, head(OCTET_STRING, len(tag)), tag, outside))


PLAIN = Extras(alg.DATA)


def extras(
    content_type: str,
    authenticated: Iterable[bytes],
    unprotected: Iterable[bytes],
    *,
    tagged: bool,
) -> Extras:
    """Return what a caller wants beside the content; ``tagged`` says that a tag is there.

    Raises ``ValueError`` for what is no attribute, and for authenticated ones
    that no tag would authenticate.
    """
    kind = oid(content_type)[2:]
    inside = checked(authenticated, signed=True)
    outside = checked(unprotected, signed=False)
    if inside and not tagged:
        raise ValueError(
            "AES-CBC authenticates no attributes: name a cipher with a tag,"
            " policy=Policy(cipher='aes-256-gcm')"
        )
    # RFC 5083 §2.1: required where the content is not plain data. There is no
    # message-digest, for the tag is over the content itself.
    if tagged and (inside or kind != alg.DATA):
        inside = (*inside, sequence(CONTENT_TYPE, tlv(SET, tlv(0x06, kind))))
    if not inside and not outside and kind == alg.DATA:
        return PLAIN
    return Extras(kind, _set(inside), _set(outside))


def _set(attributes: Iterable[bytes]) -> bytes:
    ordered = sorted(attributes)
    return tlv(SET, b"".join(ordered)) if ordered else b""


def read_attributes(data: bytes, node: Node) -> bytes:
    """Return attributes as SET OF in DER, in which order they ever stood.

    Raises ``MalformedMail`` and ``LimitExceeded``.
    """
    return Attributes(data, node).in_der()


def check_authenticated(attributes: bytes, content_type: bytes) -> None:
    """Hold the authenticated attributes of an AuthEnvelopedData against what the content is.

    Raises ``MalformedMail`` where they say another thing, or must be there and are not.
    """
    stated = None
    if attributes:
        found = Attributes(attributes, top(attributes))
        stated = found.content_type()
        if found.has(CONTENT_TYPE) and stated != content_type:
            raise MalformedMail("the authenticated attributes are of another kind of content")
    if stated is None and content_type != alg.DATA:
        raise MalformedMail("a content that is not plain data has no authenticated content type")


def by_type(attributes: bytes) -> dict[str, tuple[bytes, ...]]:
    """Return the values of attributes, each as DER, by dotted identifier."""
    found: dict[str, tuple[bytes, ...]] = {}
    for one in children(attributes, top(attributes)) if attributes else []:
        kind, values = children(attributes, one)
        if one[0] == SEQUENCE:
            name = oid_text(attributes[kind[2] : kind[3]])
            found[name] = found.get(name, ()) + tuple(
                attributes[value[1] : value[3]] for value in children(attributes, values)
            )
    return found
