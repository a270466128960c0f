"""OpenPGP in mail without PGP/MIME: inline text, and unobtrusive signatures. Read, never written.

Inline, a block of armour is the text of a mail. It counts as a layer only where it is
the whole of a mail that is one text: words beside it could be anybody's. What
is shown is then the text that was signed or sealed, and nothing of the mail's own.

Floor:  formats (uses pgp, mime)
Source: RFC 9580 §7 for text signed in the clear; draft-gallagher-email-unobtrusive-signatures
"""

from __future__ import annotations

import re

from smime.errors import MalformedMail
from smime.mime.canonical import to_crlf
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.formats.pgpmime import Wrapped
    from smime.mime.entity import Entity

__all__ = ["holds_block", "recognise_inline", "recognise_unobtrusive"]

MAX_ENCODED = 1 << 20  # octets of base64 text that are decoded to see whether armour is inside

_SIGNED = b"-----BEGIN PGP SIGNED MESSAGE-----"
_SEALED = b"-----BEGIN PGP MESSAGE-----"
_BLOCK = re.compile(rb"^-----BEGIN PGP (?:SIGNED )?MESSAGE-----", re.MULTILINE)
_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}")
_BLANKS = b" \t\r\n\xc2\xa0"  # a no-break space in UTF-8 too, which editors put into armour
_NO_BREAK_LINE = re.compile(rb"^\xc2\xa0(?=\r?\n)", re.MULTILINE)


def recognise_inline(entity: Entity) -> Wrapped | None:
    """Return the layer of a text that is one block of armour, and nothing else."""
    text = _text(entity)
    if text is None:
        return None
    from smime.formats.pgpmime import Wrapped

    head = _head(entity)
    if text.startswith(_SIGNED):
        from smime.pgp.packets import read_cleartext

        try:
            message = read_cleartext(text)
        except MalformedMail:
            return None  # then it is text, of which nothing is known
        signatures = b"".join(message.signatures)
        return Wrapped("inline", signatures, message.content, head=head)
    if text.startswith(_SEALED) and text.endswith(b"-----END PGP MESSAGE-----"):
        return Wrapped("inline", _NO_BREAK_LINE.sub(b"", text), head=head)
    return None


def holds_block(entity: Entity) -> bool:
    """Whether the text of an entity holds a block of armour, which is not all of it."""
    text = _text(entity)
    return text is not None and _BLOCK.search(text) is not None


def _text(entity: Entity) -> bytes | None:
    """Return the text of an entity that is one, without what its transfer encoding adds."""
    if entity.content_type.value != "text/plain":
        return None
    # Asked first, since decoding costs: armour begins so in every encoding but base64.
    if entity.transfer_encoding == "base64":
        if len(entity.raw) > MAX_ENCODED:
            return None
    elif b"-----BEGIN PGP" not in entity.raw:
        return None
    try:
        return entity.decoded().strip(_BLANKS)
    except MalformedMail:
        return None


def _head(entity: Entity) -> bytes:
    """Return header fields for the text inside: what it is, as far as its mail says so."""
    named = entity.content_type.params.get("charset", "")
    charset = named if _CHARSET.fullmatch(named) else "utf-8"
    return (
        f"Content-Type: text/plain; charset={charset}\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    ).encode()


def recognise_unobtrusive(entity: Entity) -> Wrapped | None:
    """Return the layer of a multipart/mixed with its signature in a Sig field of its one part."""
    from smime.formats.pgpmime import Wrapped

    body = entity.body
    spans = cut(body, boundary_of(entity)).spans
    if len(spans) != 1 or spans[0][0] == spans[0][1]:
        return None
    part = split_entity(body[spans[0][0] : spans[0][1]])
    own = [field for field in part.fields if field.key == "sig"]
    if not own or part.fields[0].key != "sig":
        return None
    tags = [_tags(field.value) for field in own]
    signatures = b"".join(_octets(one["b"]) for one in tags if one.get("t") == "p" and "b" in one)
    if not signatures:
        return None
    # What was signed is the part without these fields, with CRLF.
    rest = b"".join([field.raw for field in part.fields if field.key != "sig"])
    return Wrapped("Sig", signatures, to_crlf(rest + b"\r\n" + part.body))


def _tags(value: str) -> dict[str, str]:
    pairs = (one.partition("=") for one in value.split(";"))
    return {name.strip(): text for name, _, text in pairs}


def _octets(text: str) -> bytes:
    from binascii import Error

    from pybase64 import b64decode

    try:
        return b64decode("".join(text.split()).encode("ascii", "replace"), validate=True)
    except (Error, ValueError):
        return b""
