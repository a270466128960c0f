"""The mail that a reader is shown: the protected fields, and the entity that was opened.

Floor:  mime (uses nothing)
Source: RFC 9788 §4.4 for rendering
"""

from __future__ import annotations

from smime.mime.entity import split_entity
from smime.mime.headers import whole_line
from smime.mime.places import SHOWN, is_structural

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from smime.mime.entity import Entity, Field
    from smime.mime.headers import Protected

__all__ = ["readable"]


def readable(
    outer: Entity,
    inner: Entity,
    protected: Protected | None,
    *,
    use_from: bool,
    sealed: bool = False,
) -> bytes:
    """Build the mail a reader should see: message fields and the opened entity.

    Protected fields stand where the outer ones of their name stood, the rest
    after them; the outer From stays unless ``use_from``. Subject, To, Cc and
    their like that are outside only are left out if the payload is of RFC 9788,
    since the author put all of them inside. The body's octets are unchanged, but
    for a Legacy Display in what was ``sealed``: the headers say it already.
    """
    inside: dict[str, list[Field]] = {}
    for field in protected.fields if protected else ():
        if field.key != "from" or use_from:
            inside.setdefault(field.key, []).append(field)
    all_are_inside = protected is not None and protected.mode in ("clear", "cipher")
    if protected is not None and protected.mode == "wrapped":
        inner = split_entity(inner.body)
    elif sealed and protected is not None and _may_display(inner, protected.mode):
        from smime.mime.legacy_display import strip

        inner = strip(inner, protected.mode)

    fields: list[Field] = []
    placed: set[str] = set()
    for field in outer.fields:
        key = field.key
        if is_structural(key) or key == "hp-outer" or key in placed:
            continue
        if key in inside:
            placed.add(key)
            fields += inside[key]
        elif not (all_are_inside and key in SHOWN):
            fields.append(field)
    for key, added in inside.items():
        if key not in placed:
            fields += added
    lines = [whole_line(field.raw) for field in fields]
    lines.append(b"MIME-Version: 1.0\r\n")
    lines += _content_lines(inner.fields)
    return b"".join([*lines, b"\r\n", inner.body])


def _may_display(inner: Entity, mode: str) -> bool:
    return mode == "v1" or (mode == "cipher" and b"hp-legacy-display" in inner.raw.lower())


def _content_lines(fields: Iterable[Field]) -> list[bytes]:
    return [whole_line(field.raw) for field in fields if field.key.startswith("content-")]
