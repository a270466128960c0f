"""Signed and sealed parts in the middle of a mail.

They are found and named, never opened, and never taken for the state of the
mail: whoever puts words around a sealed part wants its reader to leak it.

Floor:  formats (uses mime)
Source: RFC 9787 §4.2 for what counts; EFAIL (USENIX Security 2018) for why
"""

from __future__ import annotations

from smime.errors import MalformedMail
from smime.formats import smime as form
from smime.formats.spooled import spans
from smime.mime.entity import Entity, split_entity
from smime.mime.multipart import boundary_of, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from smime.formats.spooled import Region

__all__ = ["Found", "FoundPart", "find_parts", "find_parts_in"]

MAX_DEPTH = 16  # parts within parts that are looked at; people nest five
MAX_PARTS = 1000  # parts that are looked at in all
MAX_FOUND = 100  # that are named
MAX_READ_OCTETS = 1 << 20  # of a part in a file that is read to check its signatures
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

    __slots__ = ("entity", "form", "forwarded", "kind", "path", "whole")

    def __init__(
        self, path: str, kind: str, entity: Entity, forwarded: bool, whole: bool = True
    ) -> None:
        self.path = path
        self.kind = kind
        self.form = entity.content_type.value
        self.entity = entity
        self.forwarded = forwarded
        self.whole = whole
        """Whether ``entity`` is all of it, and not its beginning."""


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
    return _find(_Held(entity))


def find_parts_in(region: Region) -> Found:
    """Return the same of a mail in a file; of a large part the beginning alone."""
    return _find(_Kept(region))


class _Held:
    """A part in memory."""

    __slots__ = ("entity",)

    def __init__(self, entity: Entity) -> None:
        self.entity = entity

    def kind(self) -> str:
        return _kind(self.entity)

    def children(self) -> tuple[Sequence[_Held | None], bool]:
        """Return the parts, None for what cannot be one and has none; whether it is a mail."""
        pieces, is_mail = _children(self.entity)
        return [None if one is None else _held_part(one) for one in pieces], is_mail

    def found(self, path: str, kind: str, forwarded: bool) -> FoundPart:
        return FoundPart(path, kind, self.entity, forwarded)


class _Kept:
    """A part in a file, of which the beginning is read."""

    __slots__ = ("entity", "region")

    def __init__(self, region: Region) -> None:
        self.region = region
        beginning = region.read(0, PEEK)
        entity = split_entity(beginning)
        self.entity = entity if entity.body_at < len(beginning) else region.head()

    def kind(self) -> str:
        return _kind(_whole_groups(self.entity))

    def children(self) -> tuple[Sequence[_Kept | None], bool]:
        kind = self.entity.content_type.value
        body = self.region.part(self.entity.body_at)
        if kind in ("message/rfc822", "message/global"):
            return ([_kept_part(body)] if body.size else []), True
        if not kind.startswith("multipart/"):
            return [], False
        try:
            found = spans(body, boundary_of(self.entity))
        except MalformedMail:
            return [], False
        return [
            _kept_part(body.part(start, end))
            if end > start and _matters(body.read(start, min(end - start, PEEK)))
            else None
            for start, end in found
        ], False

    def found(self, path: str, kind: str, forwarded: bool) -> FoundPart:
        whole = self.region.size <= MAX_READ_OCTETS
        entity = split_entity(self.region.read(0, self.region.size)) if whole else self.entity
        return FoundPart(path, kind, entity, forwarded, whole)


def _held_part(piece: bytes) -> _Held | None:
    entity = _entity(piece)
    return None if entity is None else _Held(entity)


def _kept_part(region: Region) -> _Kept | None:
    try:
        return _Kept(region)
    except MalformedMail:
        return None


def _whole_groups(entity: Entity) -> Entity:
    """Return the beginning of a part so that its base64 does not end within a group."""
    if entity.transfer_encoding != "base64" and entity.body[:1] == b"0":
        return entity
    text = b"".join(entity.body.split())
    head = entity.header_block
    return Entity(head + text[: len(text) // 4 * 4], 0, len(head))


def _find(root: _Held | _Kept) -> Found:
    found = Found()
    waiting: list[tuple[_Held | _Kept, str, int, bool]] = [(root, "", 0, False)]
    seen = 0
    while waiting:
        one, path, depth, forwarded = waiting.pop()
        kind = one.kind()
        if kind and (depth or kind == "tnef"):
            if len(found.parts) == MAX_FOUND:
                found.complete = False
                return found
            found.parts.append(one.found(path, kind, forwarded))
            continue
        pieces, is_mail = one.children()
        if not pieces:
            continue
        if depth == MAX_DEPTH or seen + len(pieces) > MAX_PARTS:
            found.complete = False
            pieces = pieces[: MAX_PARTS - seen] if depth < MAX_DEPTH else []
        seen += len(pieces)
        below = [
            (child, f"{path}.{n}" if path else str(n), depth + 1, forwarded or is_mail)
            for n, child in enumerate(pieces, 1)
            if child is not None
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
        return _KINDS.get(said or _held_kind(entity), "encrypted")
    if form.is_tnef(entity):
        return "tnef"
    return ""


def _held_kind(entity: Entity) -> str:
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
        found = cut(body, boundary_of(entity)).spans
    except MalformedMail:
        return [], False
    return [
        body[start:end] if end > start and _matters(body[start : min(end, start + PEEK)]) else None
        for start, end in found
    ], False


def _matters(beginning: bytes) -> bool:
    """Whether a part may be or hold one that is sought, told by its first octets."""
    entity = _entity(beginning)
    if entity is None:
        return False
    if entity.body_at == len(beginning) == PEEK:
        return True  # its header block is longer than what was looked at
    return bool(_kind(entity)) or entity.content_type.value.startswith(("multipart/", "message/"))
