"""Header fields: which go inside what is signed or sealed, and which come out.

Three kinds of fields are told apart. *Structural* fields (Content-*,
MIME-Version) describe the body and belong to the entity. *Protected* fields are
what the author wrote: a copy of each goes inside. The rest, named in ``places``,
stays outside only:

- Received, Return-Path, ARC-*, DKIM-Signature and their like are written by
  those who carry the mail, or hold only outside;
- Resent-* describe a later sending of a mail that is signed already;
- List-* are the list's own: a copy inside would stand before what the list
  really says, for instance where to unsubscribe;
- what a mail store notes (Status, X-UID and so on) is no part of the mail.

Bcc and Resent-Bcc are dropped everywhere.

With ``mode="cipher"`` the outside gets the fields as hcp_baseline leaves them:
Subject is ``[...]``, Comments and Keywords are gone (with hcp_shy also names
before addresses and the time zone), and what stays outside is listed inside in
HP-Outer, so that a reader can tell what was confidential.

Floor:  mime (uses errors)
Source: RFC 9788 §2 for hp and HP-Outer, §3.2 for hcp_baseline and hcp_shy, §5 for
        composing, §4 for rendering; the older form is
        draft-autocrypt-lamps-protected-headers (protected-headers="v1")
"""

from __future__ import annotations

import re

from smime.errors import LimitExceeded
from smime.mime.addresses import addresses
from smime.mime.canonical import MAX_LINE, canonical, is_canonical, to_crlf
from smime.mime.confidentiality import SHY_FIELDS, shy_form
from smime.mime.dividing import at_once
from smime.mime.entity import Entity, Field, split_entity
from smime.mime.places import (
    INSIDE,
    NOWHERE,
    OBSCURED_SUBJECT,
    ONCE,
    REMOVED,
    STRUCTURE,
    is_structural,
    place_of,
    stays_outside,
)
from smime.mime.wording import mark, written_7bit

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = [
    "Divided",
    "Protected",
    "divide",
    "protected",
    "sealed_at_once",
    "signed_at_once",
    "whole_line",
]

MODES = ("clear", "cipher", "none")

# A message inside that is protected itself was passed on.
_LAYERS = frozenset(
    {
        "application/pkcs7-mime", "application/x-pkcs7-mime", "multipart/encrypted",
        "multipart/signed",
    }
)  # fmt: skip

# A header block of nothing but structural fields, with the empty line behind it.
_ONLY_STRUCTURE = re.compile(
    rb"(?:(?i:content-)[!-9;-~]*+[ \t]*+:[^\n]*+\n(?:[ \t][^\n]*+\n)*+)++\r\n"
)
_VERSION_LINE = b"MIME-Version: 1.0\r\n"
_TYPE_FIELD = re.compile(rb"(?im)^content-type[ \t]*+:")


class Divided:
    """A mail taken apart for protection; all octets.

    ``outer``: the lines of the message fields, each with CRLF, without
    structural fields, Bcc and blank line. ``inner``: the whole entity that is to
    be signed or sealed. ``sealed_outer``: for ``cipher``, the lines to be used in
    place of ``outer``; else empty.
    """

    __slots__ = ("inner", "outer", "sealed_outer")

    def __init__(self, outer: bytes, inner: bytes, sealed_outer: bytes) -> None:
        self.outer = outer
        self.inner = inner
        self.sealed_outer = sealed_outer

    def __repr__(self) -> str:
        return f"<Divided: {len(self.outer)} octets outside, {len(self.inner)} inside>"


class Protected:
    """The header fields that a payload protects.

    ``mode`` is ``clear`` or ``cipher`` (RFC 9788), or for older mail ``v1`` or
    ``wrapped`` (a message inside). ``outer`` holds what HP-Outer says was left
    outside, as fields; ``ignored`` what may not be inside: structural and trace
    fields, and repeated ones of which a message has one.
    """

    __slots__ = ("fields", "ignored", "mode", "outer")

    def __init__(
        self,
        mode: str,
        fields: tuple[Field, ...],
        outer: tuple[Field, ...],
        ignored: tuple[Field, ...],
    ) -> None:
        self.mode = mode
        self.fields = fields
        self.outer = outer
        self.ignored = ignored

    def get(self, name: str) -> str | None:
        """Value of the first protected field of this name, or ``None``."""
        key = name.lower()
        return next((field.value for field in self.fields if field.key == key), None)

    def __repr__(self) -> str:
        return f"<Protected {self.mode}: {len(self.fields)} fields>"


def divide(
    source: bytes | Entity,
    *,
    mode: str,
    travels: bool = True,
    shy: bool = False,
    hidden: frozenset[str] = frozenset(),
    legacy: bool = False,
) -> Divided:
    r"""Take a mail apart into what stays outside and the entity to be protected.

    ``mode`` is ``clear`` (signed), ``cipher`` (sealed) or ``none`` (no copies of
    fields inside). A source without message fields, such as a MIME entity of
    its own, gets no copies and no ``hp`` in any mode. The inner body is made
    canonical; with ``travels=False`` (see ``is_canonical``) only if it has to be.
    For ``cipher``: ``shy`` is hcp_shy, ``hidden`` names more fields that are left
    out outside, ``legacy`` writes a Legacy Display.
    Raises as ``split_entity`` and ``canonical`` do.

    >>> divide(b"Subject: hi\n\nhello\n", mode="clear").inner.decode().splitlines()
    ['Content-Type: text/plain; charset=us-ascii; hp="clear"', 'Subject: hi', '', 'hello']
    """
    if mode not in MODES:
        raise ValueError(f"mode={mode!r}: choose from {', '.join(MODES)}")
    entity = split_entity(source) if isinstance(source, bytes) else source
    structural: list[Field] = []
    message: list[Field] = []
    inside: list[Field] = []
    whole = _is_whole(entity)
    if travels and whole:
        return Divided(b"", canonical(entity), b"")
    # One look at all of it serves for the mail that is canonical already.
    fit = is_canonical(entity.raw, travels=travels)
    if fit and whole:
        return Divided(b"", entity.raw, b"")
    block = entity.header_block
    if fit and not (shy or hidden or legacy) and (found := at_once(entity, block, mode, travels)):
        return Divided(*found)
    lines = block if fit else to_crlf(block)
    if lines and not lines.endswith(b"\n"):
        lines += b"\r\n"  # a mail of nothing but fields, the last of which is cut short
    fields = entity.fields if lines is block else Entity(lines, 0, len(lines)).fields
    for field in fields:
        place = place_of(field.key)
        if place == STRUCTURE:
            structural.append(field)
        elif place != NOWHERE:
            message.append(field)
            if place == INSIDE and mode != "none":
                inside.append(field)

    # In the ordinary mail all fields are fit to be inside as they stand.
    tidy = not inside or (fit and travels) or is_canonical(lines)
    copy_of = _as_it_stands if tidy else written_7bit
    outer = b"".join([field.raw for field in message])
    outside = [_outside(field, shy, hidden) for field in message] if mode == "cipher" else []
    if legacy and outside:
        changed = [f for f, line in zip(message, outside, strict=True) if line != f.raw]
        entity, structural = _with_display(entity, structural, changed)
        fit = False
    heads, body = _canonical_entity(structural, entity.body, travels, fit)
    if not inside:
        return Divided(outer, b"".join([*heads, b"\r\n", body]), b"")
    mark(heads, mode)
    if mode == "clear":
        copies = [copy_of(field) for field in inside]
        return Divided(outer, b"".join([*heads, *copies, b"\r\n", body]), b"")

    sealed: list[bytes] = []
    copies = []
    listed: list[bytes] = []
    for field, line in zip(message, outside, strict=True):
        copied = place_of(field.key) == INSIDE
        if copied:
            copies.append(copy := copy_of(field))
        if not line:
            continue
        sealed.append(line)
        if copied:
            listed.append(_listed(copy if line is field.raw else line))
    inner = b"".join([*heads, *copies, *listed, b"\r\n", body])
    return Divided(outer, inner, b"".join(sealed))


def _outside(field: Field, shy: bool, hidden: frozenset[str]) -> bytes:
    """Return the field as it stands outside of what is sealed; empty if it does not."""
    key = field.key
    if key == "subject":
        return OBSCURED_SUBJECT
    if key in REMOVED or key in hidden:
        return b""
    if shy and key in SHY_FIELDS:
        return shy_form(field)
    return field.raw


def _with_display(
    entity: Entity, structural: Sequence[Field], changed: Sequence[Field]
) -> tuple[Entity, list[Field]]:
    """Put what is hidden outside at the top of the text (RFC 9788 §5.2.2)."""
    from smime.mime.legacy_display import add

    heads = [field.raw for field in structural]
    if not any(field.key == "content-type" for field in structural):
        heads.insert(0, _default_type(structural, entity.body))
    made = split_entity(add(b"".join([*heads, b"\r\n", entity.body]), changed))
    return made, [Field(field.name, whole_line(field.raw)) for field in made.fields]


def _is_whole(entity: Entity) -> bool:
    """Whether an entity says of what type it is, and has nothing in its head but what it is."""
    return (
        entity.head_at == 0
        and _ONLY_STRUCTURE.fullmatch(entity.raw, 0, entity.body_at) is not None
        and _TYPE_FIELD.search(entity.raw, 0, entity.body_at) is not None
    )


def signed_at_once(raw: bytes) -> bytes:
    """Return what ``divide`` puts inside of a mail to be signed that has no fields outside.

    That is the canonical form of an entity that says of what type it is; nothing for
    any other mail. Raises as ``canonical`` does.
    """
    return canonical(raw) if _is_whole_from(raw, 0) else b""


def sealed_at_once(raw: bytes) -> bytes:
    """Return what ``divide`` puts inside of a mail to be sealed that has no fields outside.

    That is an entity that is canonical and says of what type it is: it stays, but for
    the MIME-Version on top of what was just signed. Nothing for any other mail.
    """
    at = len(_VERSION_LINE) if raw.startswith(_VERSION_LINE) else 0
    return raw[at:] if _is_whole_from(raw, at) and is_canonical(raw, travels=False) else b""


def _is_whole_from(raw: bytes, at: int) -> bool:
    """Say the same of a mail whose head begins there, and ends with an empty line in CRLF."""
    head = _ONLY_STRUCTURE.match(raw, at)
    return head is not None and _TYPE_FIELD.search(raw, at, head.end()) is not None


def _as_it_stands(field: Field) -> bytes:
    return field.raw


def _listed(copy: bytes) -> bytes:
    line = b"HP-Outer: " + copy
    if copy.find(b"\r\n") < MAX_LINE - 10:
        return line
    return written_7bit(Field("HP-Outer", line))


def whole_line(raw: bytes) -> bytes:
    if not raw.endswith(b"\r\n") or raw.count(b"\n") > 1:
        raw = to_crlf(raw)
    return raw if raw.endswith(b"\n") else raw + b"\r\n"


def _canonical_entity(
    structural: Sequence[Field], body: bytes, travels: bool, fit: bool
) -> tuple[list[bytes], bytes]:
    """Return the structural fields, which are whole lines, and the body, all canonical.

    ``fit`` says that they are of a whole that is canonical.
    """
    heads = [field.raw for field in structural]
    if not any(field.key == "content-type" for field in structural):
        heads.insert(0, _default_type(structural, body))
    if fit:
        return heads, body
    whole = b"".join([*heads, b"\r\n", body])
    if not travels and is_canonical(whole, travels=False):
        return heads, body
    rewritten = canonical(whole)
    if rewritten is whole:
        return heads, body
    made = split_entity(rewritten)
    return [field.raw for field in made.fields], made.body


def _default_type(structural: Sequence[Field], body: bytes) -> bytes:
    """Say what a body without a Content-Type is (RFC 2045 §5.2), and no more than is known."""
    if any(field.key == "content-transfer-encoding" for field in structural):
        return b"Content-Type: text/plain\r\n"
    if body.isascii():
        return b"Content-Type: text/plain; charset=us-ascii\r\n"
    try:
        body.decode("utf-8")
    except UnicodeDecodeError:
        return b"Content-Type: text/plain\r\n"
    return b"Content-Type: text/plain; charset=utf-8\r\n"


def protected(inner: Entity, outer: Entity | None = None) -> Protected | None:
    """Return the fields that the root of a payload protects, or ``None`` if it protects none.

    ``outer`` is the mail around it: a whole message inside that does not say
    whether it stands for the mail does so if both are from the same address.

    Asks the payload's root only; whether a layer around it was signed or
    sealed, and what ``mode`` is worth then, is the caller's to say (RFC 9788 §4).
    """
    params = inner.content_type.params
    mode = params.get("hp", "").lower()
    source = inner
    if mode not in ("clear", "cipher"):
        if params.get("protected-headers", "").lower().startswith("v1"):
            mode = "v1"
        elif _is_wrapped(inner, outer):
            mode = "wrapped"
            source = split_entity(inner.body)
        else:
            return None
    kept: list[Field] = []
    listed: list[Field] = []
    ignored: list[Field] = []
    seen: set[str] = set()
    for field in source.fields:
        key = field.key
        if key == "hp-outer":
            # Its raw octets begin with the name of the field that it lists.
            rest = field.raw.partition(b":")[2].lstrip()
            name, colon, _ = rest.partition(b":")
            name = name.strip()
            if colon and name and name.isascii():
                listed.append(Field(name.decode("ascii"), rest))
        elif is_structural(key):
            # On the payload's own root these are the entity's; none of the message's.
            if key == "mime-version":
                ignored.append(field)
        elif stays_outside(key) or (key in ONCE and key in seen):
            ignored.append(field)
        else:
            seen.add(key)
            kept.append(field)
    return Protected(mode, tuple(kept), tuple(listed), tuple(ignored))


def _is_wrapped(inner: Entity, outer: Entity | None) -> bool:
    """Whether a whole message inside stands for the mail (RFC 8551 §3.1, RFC 9788 §4.10.1)."""
    kind = inner.content_type
    if (
        kind.value != "message/rfc822"
        or inner.transfer_encoding not in ("7bit", "8bit", "binary")
        or inner.body_at == len(inner.raw)
    ):
        return False
    forwarded = kind.params.get("forwarded", "").lower()
    if forwarded or outer is None:
        return forwarded == "no"
    try:
        child = split_entity(inner.body)
    except LimitExceeded:
        return False
    if child.content_type.value in _LAYERS or "hp" in child.content_type.params:
        return False
    # It looks just like somebody else's mail that is passed on alone. RFC 9788 leaves that
    # open; here whoever passes on is shown as the author of no words but their own.
    author = addresses(child, "from")
    return len(author) == 1 and [author[0].lower()] == [
        one.lower() for one in addresses(outer, "from")
    ]
