"""A mail in a file brought into canonical form, part by part and piece by piece.

What ``mime.canonical`` does in memory, for parts that are too large for it; a
small part goes through it as it is. What has to be decoded first waits in an
unnamed file, and so does a multipart until it is known what its label says.

Floor:  formats (uses mime, stored, release)
Source: RFC 8551 §3.1, RFC 2045 §6
"""

from __future__ import annotations

from itertools import chain

from smime.errors import LimitExceeded, MalformedMail
from smime.formats.large import SMALL_OCTETS, Large, NotCanonical, canonical_pieces, with_crlf
from smime.formats.spooled import Decoded, Keeping, Region, cuts, keep
from smime.mime.canonical import (
    FORWARDED,
    MAX_DEPTH,
    PLAIN,
    is_wide,
    refuse_encoding,
    rewritten,
    to_crlf,
    to_quoted_printable,
    unfinished_quoted_printable,
    write_head,
)
from smime.mime.entity import Entity
from smime.mime.headers import default_type, whole_line
from smime.mime.legacy_display import displayed
from smime.mime.lines import lines_of
from smime.mime.multipart import boundary_of
from smime.release import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from smime.mime.entity import Field
    from smime.source import Piece

__all__ = ["recoded"]

LONG_LINE_OCTETS = 64 * 1024  # of text: a longer line is broken before all of it was seen
_ONE_OCTET_CHARACTERS = bytes(range(128))


def recoded(mail: Large, hidden: Sequence[Field]) -> Large:
    """Return the mail with what describes its body, and the body, in canonical form.

    Its message fields stay as they are. The ``hidden`` ones are repeated at the top
    of its text (RFC 9788 §5.2.2). Raises what ``mime.canonical`` raises, and ``OSError``.
    """
    head, body = _entity(mail, hidden)
    made = spool()
    try:
        made.writelines(whole_line(f.raw) for f in mail.head.fields if not _describes_body(f))
        for piece in _anew(head, body, "text/plain", 0):
            made.write(piece)
        made.seek(0)
        return Large(made, True)
    except BaseException:
        made.close()
        raise


def _entity(mail: Large, hidden: Sequence[Field]) -> tuple[Entity, Region]:
    """Return what describes the body, as a header block, and the body."""
    body = keep(mail.body())  # the caller's file may change while it is read several times
    structural = [field for field in mail.head.fields if _describes_body(field)]
    lines = [whole_line(field.raw) for field in structural]
    if not any(field.key == "content-type" for field in structural):
        lines.insert(0, default_type(structural, body.pieces()))
    block = b"".join([*lines, b"\r\n"])
    if not hidden:
        return Entity(block, 0, len(block)), body
    shown = displayed(keep(chain((block,), body.pieces())), hidden)
    head = shown.head()
    return head, shown.part(head.body_at)


def _describes_body(field: Field) -> bool:
    return field.key.startswith("content-")


def _rewritten(part: Region, default: str, depth: int) -> Iterator[Piece]:
    """Yield the canonical form of a part so many parts deep; ``default`` is its type unsaid."""
    if part.size <= SMALL_OCTETS:
        yield rewritten(part.read(0, part.size), default, depth)
    elif _is_canonical(part.pieces()):
        yield from part.pieces()
    else:
        head = part.head()
        yield from _anew(head, part.part(head.body_at), default, depth)


def _anew(head: Entity, body: Region, default: str, depth: int) -> Iterator[Piece]:
    if depth > MAX_DEPTH:
        raise LimitExceeded(f"there are more than {MAX_DEPTH} parts within parts")
    kind = head.content_type.value
    if kind == "text/plain" and head.get("content-type") is None:
        kind = default
    if kind in ("multipart/signed", "multipart/encrypted"):
        yield to_crlf(head.header_block)
        yield from with_crlf(body.pieces())
    elif kind.startswith("multipart/"):
        yield from _around(head, _multipart(head, body, kind, depth))
    elif kind in FORWARDED and head.transfer_encoding in PLAIN:
        yield from _around(head, _rewritten(body, "text/plain", depth + 1))
    else:
        yield from _leaf(head, body, kind)


def _around(head: Entity, body: Iterator[Piece]) -> Iterator[Piece]:
    ascii_only = True
    with Keeping() as kept:
        for piece in body:
            ascii_only = ascii_only and bytes(piece).isascii()
            kept.write(piece)
        written = kept.region()
    # An inner signature may have kept 8-bit content: then the label stays true.
    yield write_head(head, "" if ascii_only else None)
    yield from written.pieces()


def _multipart(head: Entity, body: Region, kind: str, depth: int) -> Iterator[Piece]:
    try:
        boundary = boundary_of(head)
        found = cuts(body, boundary)
    except LimitExceeded:
        raise
    except MalformedMail:
        if not _is_canonical(with_crlf(body.pieces())):
            raise
        yield from with_crlf(body.pieces())
        return
    default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    yield from _ignored_text(body.part(0, found.preamble), b"\r\n")
    for start, end in found.spans:
        yield b"--" + boundary + b"\r\n"
        yield from _rewritten(body.part(start, end), default, depth + 1)
        yield b"\r\n"
    yield b"--" + boundary + b"--"
    if body.read(found.epilogue - 1, 1) == b"\n":
        yield b"\r\n"
        yield from _ignored_text(body.part(found.epilogue), b"")


def _ignored_text(text: Region, behind: bytes) -> Iterator[Piece]:
    """Keep a preamble or epilogue, which no reader is shown, only if it can stay as it is."""
    if text.size and _is_canonical(with_crlf(text.pieces())):
        yield from with_crlf(text.pieces())
        yield behind


def _leaf(head: Entity, body: Region, kind: str) -> Iterator[Piece]:
    plain = head.transfer_encoding in PLAIN
    seen = _Looked(body)
    is_text = kind.startswith(("text/", "message/")) and not is_wide(head) and not seen.nul
    if is_text or not plain:
        # Line ends of quoted-printable are those of the content, data if it is no text.
        same = is_text or head.transfer_encoding != "quoted-printable" or not seen.bare_lf
        if same and _is_canonical(with_crlf(body.pieces())):
            yield write_head(head, "")
            yield from with_crlf(body.pieces())
            return
    elif _is_canonical(body.pieces()):
        yield write_head(head, "")
        yield from body.pieces()
        return
    content = body
    if not plain:
        refuse_encoding(head)
        content = keep(Decoded(body, head.transfer_encoding).pieces())
        seen = _Looked(content) if is_text else seen
    is_text = is_text and not seen.nul
    if is_text and not seen.bare_cr and seen.eight_bit * 2 <= content.size + seen.bare_lf:
        yield write_head(head, "quoted-printable")
        yield from _quoted_printable(with_crlf(content.pieces()))
        return
    yield write_head(head, "base64")
    yield from lines_of(with_crlf(content.pieces()) if is_text else content.pieces())


class _Looked:
    """Whether there is NUL and bare CR, how many bare LF, and how many octets are not ASCII."""

    def __init__(self, body: Region) -> None:
        self.nul = self.bare_cr = False
        self.bare_lf = self.eight_bit = 0
        for data in _unsplit(body.pieces()):
            self.nul = self.nul or b"\0" in data
            pairs = data.count(b"\r\n")
            self.bare_cr = self.bare_cr or data.count(b"\r") > pairs
            self.bare_lf += data.count(b"\n") - pairs
            if not data.isascii():
                self.eight_bit += len(data.translate(None, _ONE_OCTET_CHARACTERS))


def _unsplit(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Yield the octets so that no CR is parted from what follows it."""
    held = b""
    for piece in pieces:
        data = held + bytes(piece)
        held = b"\r" if data.endswith(b"\r") else b""
        yield data[:-1] if held else data
    yield held


def _is_canonical(pieces: Iterator[Piece]) -> bool:
    try:
        for _ in canonical_pieces(pieces, True):
            pass
    except NotCanonical:
        return False
    return True


def _quoted_printable(pieces: Iterable[Piece]) -> Iterator[bytes]:
    """Encode text whose lines end in CRLF, in whole lines as far as they are short."""
    rest = b""
    for piece in pieces:
        data = rest + bytes(piece)
        end = data.rfind(b"\r\n") + 2
        if end > 1:
            yield to_quoted_printable(data[:end])
            data = data[end:]
        if len(data) > LONG_LINE_OCTETS:
            yield unfinished_quoted_printable(data)
            data = b""
        rest = data
    if rest:
        yield to_quoted_printable(rest)
