"""The structure of a mail: parts, layers, names and sizes, without key or verdict.

Floor:  formats (uses mime, cms)
"""

from __future__ import annotations

from smime.cms.inspection import inspect as inspect_cms
from smime.errors import SmimeError
from smime.formats import smime as form
from smime.mail import Mail
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, split_parts

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from smime.mail import Source
    from smime.mime.entity import Entity

__all__ = ["inspect"]

MAX_DEPTH = 16  # deeper nesting is not shown
MAX_PARTS = 1000  # shown in all
MAX_INFLATED_OCTETS = 64 << 20  # of what is compressed; larger is not unpacked to be shown


def inspect(mail: Source) -> dict[str, Any]:
    """Return the structure of a mail as plain values.

    Each entity has ``type`` (its content type), ``size`` in octets, ``name``
    of an attachment, ``cms`` for a CMS structure (see ``smime.cms.inspect``),
    ``problem`` where it cannot be read, and ``children``. No key is needed,
    and nothing is verified.

    Raises ``MalformedMail`` for what is not a mail at all.
    """
    source = mail if isinstance(mail, Mail) else Mail(mail)
    return _entity(split_entity(bytes(source)), 0, [MAX_PARTS])


def _entity(entity: Entity, depth: int, left: list[int]) -> dict[str, Any]:
    left[0] -= 1
    found: dict[str, Any] = {"type": entity.content_type.value, "size": len(entity.raw)}
    name = entity.content_type.params.get("name")
    if name:
        found["name"] = name
    try:
        children = _children(entity, found)
    except SmimeError as problem:
        found["problem"] = str(problem)
        children = []
    if depth >= MAX_DEPTH or len(children) > left[0]:
        found["problem"] = "nested too deep or in too many parts to be shown"
        children = []
    found["children"] = [_entity(one, depth + 1, left) for one in children]
    return found


def _children(entity: Entity, found: dict[str, Any]) -> list[Entity]:
    wrapped = form.recognise(entity)
    if wrapped is not None:
        if wrapped.problem is not None:
            raise wrapped.problem
        found["cms"] = inspect_cms(wrapped.blob)
        if wrapped.content is not None:
            return [split_entity(wrapped.content)]
        if found["cms"]["type"] == "signedData":
            from smime.cms import signatures

            content = signatures.read(wrapped.blob).content
            return [split_entity(content)] if content else []
        if found["cms"]["type"] == "compressedData":
            from smime.cms.compressed import unpacked

            content, _ = unpacked(wrapped.blob, MAX_INFLATED_OCTETS)
            return [split_entity(content)] if content else []
        return []
    if entity.content_type.value.startswith("multipart/"):
        parts = split_parts(entity.body, boundary_of(entity))
        return [split_entity(part) for part in parts if part]
    return []
