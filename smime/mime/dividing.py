"""A canonical mail divided without an object for each field: the ordinary case, or none.

All that is asked of it ``headers.divide`` asks too, to the same end; a test compares.

Floor:  mime (uses errors)
Source: RFC 9788 §2 for hp and HP-Outer, §3.2 for hcp_baseline
"""

from __future__ import annotations

from smime.mime.canonical import MAX_LINE, is_canonical
from smime.mime.entity import LINES, MAX_FIELDS
from smime.mime.places import INSIDE, NOWHERE, OBSCURED_SUBJECT, REMOVED, STRUCTURE, named
from smime.mime.wording import mark

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.mime.entity import Entity

__all__ = ["at_once"]


def at_once(
    entity: Entity, block: bytes, mode: str, travels: bool
) -> tuple[bytes, bytes, bytes] | None:
    """Return ``outer``, ``inner`` and ``sealed_outer`` of a canonical mail; None for others.

    ``block`` is its header block; mode and ``travels`` are those of ``divide``.
    """
    # Fewer octets than fields are allowed, and lines that need no folding behind HP-Outer.
    if len(block) > MAX_FIELDS or not (travels or is_canonical(block)):
        return None
    cipher = mode == "cipher"
    heads: list[bytes] = []
    outer: list[bytes] = []
    copies: list[bytes] = []
    sealed: list[bytes] = []
    listed: list[bytes] = []
    typed = False
    for match in LINES.finditer(block):
        raw, name = match.group(0, 1)
        if not name:
            continue  # a line that is no field
        place, key = named(name)
        if place == STRUCTURE:
            heads.append(raw)
            typed = typed or key == "content-type"
        elif place != NOWHERE:
            outer.append(raw)
            line = raw
            if place == INSIDE:
                copies.append(raw)
                if key == "subject":
                    line = OBSCURED_SUBJECT
                elif key in REMOVED:
                    continue
                elif len(raw) > MAX_LINE - 10:
                    return None
                listed.append(line)
            sealed.append(line)
    if not typed or not block.endswith(b"\n"):
        return None
    outside = b"".join(outer)
    if not copies or mode == "none":
        return (outside, b"".join((*heads, b"\r\n", entity.body)), b"")
    mark(heads, mode)
    if not cipher:
        return (outside, b"".join((*heads, *copies, b"\r\n", entity.body)), b"")
    kept = b"HP-Outer: ".join((b"", *listed))
    return (outside, b"".join((*heads, *copies, kept, b"\r\n", entity.body)), b"".join(sealed))
