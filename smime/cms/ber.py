"""BER as it arrives: indefinite lengths and strings in pieces.

Outlook, ``openssl -stream``, gpgsm and key services send them. ``definite``
rewrites such a value once, in linear time, keeping every element that is
already definite byte for byte; ``octets`` joins a string that came in pieces.

Floor:  cms (uses errors)
Source: ITU-T X.690 §8.1.3, §8.7; RFC 5652 §5.2, §6.1
"""

from __future__ import annotations

from smime.cms.der import MAX_LENGTH_OCTETS, Indefinite, children, head
from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeVar

    from smime.cms.der import Node

    T = TypeVar("T")

__all__ = ["definite", "octets", "parsed"]

MAX_DEPTH = 32  # deeper than any certificate inside any CMS structure; more is an attack
MAX_ELEMENTS = 2_000_000  # of a rewritten value: strings cut into very small pieces


def parsed(data: bytes, parse: Callable[[bytes], T]) -> T:
    """Return ``parse(data)``, going over to definite lengths first where needed."""
    try:
        return parse(data)
    except Indefinite:
        return parse(definite(data))


def definite(data: bytes) -> bytes:
    """Return the same value with definite lengths.

    An element that was definite through and through is copied as it stands, so
    certificates and signed attributes keep their bytes.
    """
    # Each open element: where it starts, its identifier octets, where it ends
    # (None if indefinite), the pieces inside, and whether any was rewritten.
    stack: list[tuple[int, bytes, int | None, list[bytes], bool]] = []
    at, size, elements = 0, len(data), 0
    while True:
        if stack:
            start, identifier, end, pieces, changed = stack[-1]
            closing = at == end
            if end is None and data[at : at + 2] == b"\x00\x00":
                at += 2
                closing = True
            if closing:
                stack.pop()
                if changed or end is None:
                    content = b"".join(pieces)
                    done = identifier + head(0, len(content))[1:] + content
                else:
                    done = data[start:at]
                if not stack:
                    return done
                stack[-1][3].append(done)
                if changed or end is None:
                    stack[-1] = (*stack[-1][:4], True)
                continue
            limit = size if end is None else end
        else:
            limit = size
        elements += 1
        if elements > MAX_ELEMENTS:
            raise LimitExceeded(f"more than {MAX_ELEMENTS} elements in a BER structure")
        identifier, content_at, stop = _header(data, at, limit)
        if not identifier[0] & 0x20:
            if stop is None:
                raise MalformedMail("a primitive element has an indefinite length")
            if not stack:
                return data[at:stop]
            stack[-1][3].append(data[at:stop])
            at = stop
            continue
        if len(stack) >= MAX_DEPTH:
            raise LimitExceeded(f"a BER structure is nested deeper than {MAX_DEPTH}")
        stack.append((at, identifier, stop, [], False))
        at = content_at


def _header(data: bytes, at: int, limit: int) -> tuple[bytes, int, int | None]:
    """Return identifier octets, where the content begins, and where it ends, if said."""
    start = at
    if at + 2 > limit:
        raise MalformedMail("the BER structure is cut short")
    at += 1
    if data[start] & 0x1F == 0x1F:
        while at < limit and data[at] & 0x80:
            at += 1
        at += 1
    identifier = data[start:at]
    if at >= limit or len(identifier) > MAX_LENGTH_OCTETS:
        raise MalformedMail("the BER structure is cut short")
    length = data[at]
    at += 1
    if length == 0x80:
        return identifier, at, None
    if length > 0x80:
        count = length & 0x7F
        if count > MAX_LENGTH_OCTETS or at + count > limit:
            raise MalformedMail("the BER structure holds a length that cannot be")
        length = int.from_bytes(data[at : at + count], "big")
        at += count
    if at + length > limit:
        raise MalformedMail("the BER structure is cut short")
    return identifier, at, at + length


def octets(data: bytes, node: Node) -> bytes:
    """Return the content of an OCTET STRING, joined if it came in pieces.

    ``node`` is primitive, or constructed of OCTET STRINGs, as ``[0] IMPLICIT``
    too. Raises ``MalformedMail`` for anything else inside.
    """
    if not node[0] & 0x20:
        return data[node[2] : node[3]]
    pieces: list[bytes] = []
    waiting = [(child, 1) for child in reversed(children(data, node, MAX_ELEMENTS))]
    while waiting:
        child, depth = waiting.pop()
        if child[0] == 0x04:
            pieces.append(data[child[2] : child[3]])
        elif child[0] == 0x24:
            if depth >= MAX_DEPTH:
                raise LimitExceeded(f"a BER string is nested deeper than {MAX_DEPTH}")
            waiting += [
                (inner, depth + 1) for inner in reversed(children(data, child, MAX_ELEMENTS))
            ]
        else:
            raise MalformedMail("a string in pieces holds something that is not a string")
    return b"".join(pieces)
