"""Signed and sealed parts in the middle of a mail.

They are found and named, never opened, and never taken for the state of the
mail: whoever puts words around a sealed part wants its reader to leak it.

Floor:  formats (uses mime)
Source: RFC 9787 §4.2 for what counts; EFAIL (USENIX Security 2018) for why
"""

from __future__ import annotations

from smime.errors import MalformedMail
from smime.formats import smime as form
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.mime.entity import Entity

__all__ = ["Found", "FoundPart", "find_parts"]

MAX_DEPTH = 16  # parts within parts that are looked at; people nest five
MAX_PARTS = 1000  # parts that are looked at in all
MAX_FOUND = 100  # that are named
PEEK = 16_384  # octets of a part that tell what it is; more are copied only where they matter

# By smime-type, or else by what is inside; whatever is not known may be sealed.
_KINDS = {
    "signed-data": "signed",
    "certs-only": "signed",
    "signedData": "signed",
    "compressed-data": "",  # neither signed nor sealed
    "compressedData": "",
}


class FoundPart:
    """A part that is signed, sealed or TNEF."""

    __slots__ = ("entity", "form", "forwarded", "kind", "path")

    def __init__(self, path: str, kind: str, entity: Entity, forwarded: bool) -> None:
        self.path = path
        self.kind = kind
        self.form = entity.content_type.value
        self.entity = entity
        self.forwarded = forwarded


class Found:
    """What was found, and whether that was all."""

    __slots__ = ("complete", "parts")

    def __init__(self) -> None:
        self.parts: list[FoundPart] = []
        self.complete = True
        """False where the mail has more parts, or deeper ones, than are looked at."""


def find_parts(entity: Entity) -> Found:
    """Return the signed, sealed and TNEF parts below (not at) the root, in order.

    Never raises: what cannot be cut has no parts.
    """
    found = Found()
    waiting = [(entity, "", 0, False)]
    seen = 0
    while waiting:
        one, path, depth, forwarded = waiting.pop()
        kind = _kind(one)
        if kind and (depth or kind == "tnef"):
            if len(found.parts) == MAX_FOUND:
                found.complete = False
                return found
            found.parts.append(FoundPart(path, kind, one, forwarded))
            continue
        pieces, is_mail = _children(one)  # None for what cannot be one and has no parts
        if not pieces:
            continue
        if depth == MAX_DEPTH or seen + len(pieces) > MAX_PARTS:
            found.complete = False
            pieces = pieces[: MAX_PARTS - seen] if depth < MAX_DEPTH else []
        seen += len(pieces)
        below = [
            (child, f"{path}.{n}" if path else str(n), depth + 1, forwarded or is_mail)
            for n, piece in enumerate(pieces, 1)
            if piece is not None and (child := _entity(piece)) is not None
        ]
        waiting += reversed(below)
    return found


def _entity(piece: bytes) -> Entity | None:
    try:
        return split_entity(piece)
    except MalformedMail:
        return None


def _kind(entity: Entity) -> str:
    kind = entity.content_type
    value = kind.value
    if value == "multipart/signed":
        return "signed"
    if value == "multipart/encrypted":
        return "encrypted"
    if value in form.PKCS7_MIME or (
        value == "application/octet-stream" and form.is_named_p7m(entity)
    ):
        said = kind.params.get("smime-type", "").lower()
        return _KINDS.get(said or _held(entity), "encrypted")
    if form.is_tnef(entity):
        return "tnef"
    return ""


def _held(entity: Entity) -> str:
    """What a part without an smime-type holds, told by its first octets."""
    from smime.cms.content import kind as cms_kind

    try:
        return cms_kind(form.binary(entity))
    except MalformedMail:
        return ""


def _children(entity: Entity) -> tuple[list[bytes | None], bool]:
    kind = entity.content_type.value
    if kind in ("message/rfc822", "message/global"):
        return ([entity.body] if entity.body else []), True
    if not kind.startswith("multipart/"):
        return [], False
    try:
        body = entity.body
        spans = cut(body, boundary_of(entity)).spans
    except MalformedMail:
        return [], False
    return [
        body[start:end] if end > start and _matters(body[start : min(end, start + PEEK)]) else None
        for start, end in spans
    ], False


def _matters(beginning: bytes) -> bool:
    """Whether a part may be or hold one that is sought, told by its first octets."""
    entity = _entity(beginning)
    if entity is None:
        return False
    if entity.body_at == len(beginning) == PEEK:
        return True  # its header block is longer than what was looked at
    return bool(_kind(entity)) or entity.content_type.value.startswith(("multipart/", "message/"))
