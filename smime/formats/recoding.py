"""A mail in a file brought into canonical form, part by part and piece by piece.

What ``mime.canonical`` does in memory, for parts that are too large for it; a
small part goes through it as it is. A part that would have to be decoded first,
or that is not read here, is needed whole.

Floor:  formats (uses mime, stored, release)
Source: RFC 8551 §3.1, RFC 2045 §6
"""

from __future__ import annotations

from smime.errors import LimitExceeded, MalformedMail
from smime.formats.large import SMALL_OCTETS, Large, NotCanonical, canonical_pieces, with_crlf
from smime.formats.spooled import Keeping, Region, keep, spans
from smime.mime.canonical import (
    MAX_DEPTH,
    ignored_text,
    is_wide,
    rewritten,
    to_crlf,
    to_quoted_printable,
    write_head,
)
from smime.mime.lines import lines_of
from smime.mime.multipart import boundary_of
from smime.release import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smime.mime.entity import Entity
    from smime.policy import Policy
    from smime.source import Piece

__all__ = ["forms"]

MAX_AROUND_OCTETS = 64 * 1024  # of a preamble or an epilogue, which no reader is shown
MAX_LINE_OCTETS = 1 << 20  # of text: with a longer line it is needed whole
_ONE_OCTET_CHARACTERS = bytes(range(128))


def forms(mail: Large, policy: Policy) -> Iterator[Large]:
    """Yield the mail as it is, then in canonical form where it can be had in pieces.

    Each is closed behind the next. Raises ``LimitExceeded`` for parts within
    parts deeper than mail has them, and ``OSError``.
    """
    yield mail
    if mail.tidy and not policy.legacy_display and policy.line_ends != "exact":
        again = _recoded(mail)
        if again is not None:
            with again:
                yield again


def _recoded(mail: Large) -> Large | None:
    source = keep(mail.pieces())  # the caller's file may change while it is read twice
    made = spool()
    try:
        for piece in _rewritten(source, "text/plain", 0):
            made.write(piece)
        made.seek(0)
        return Large(made, True)
    except (NotCanonical, MalformedMail) as needed:
        made.close()
        if isinstance(needed, LimitExceeded):
            raise
        return None
    except BaseException:
        made.close()
        raise


def _rewritten(part: Region, default: str, depth: int) -> Iterator[Piece]:
    if part.size <= SMALL_OCTETS:
        yield rewritten(part.read(0, part.size), default, depth)
        return
    if depth > MAX_DEPTH:
        raise LimitExceeded(f"there are more than {MAX_DEPTH} parts within parts")
    head = part.head()
    body = part.part(head.body_at)
    kind = head.content_type.value
    if kind == "text/plain" and head.get("content-type") is None:
        kind = default
    if kind in ("multipart/signed", "multipart/encrypted"):
        yield to_crlf(head.header_block)
        yield from with_crlf(body.pieces())
    elif kind.startswith("multipart/"):
        yield from _multipart(head, body, kind, depth)
    elif kind.startswith("message/"):
        raise NotCanonical  # rarely large
    else:
        yield from _leaf(head, body, kind)


def _multipart(head: Entity, body: Region, kind: str, depth: int) -> Iterator[Piece]:
    default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    boundary = b"--" + boundary_of(head)
    found = spans(body, boundary[2:])
    ascii_only = True
    with Keeping() as kept:
        for piece in _parts(body, boundary, found, default, depth):
            ascii_only = ascii_only and bytes(piece).isascii()
            kept.write(piece)
        written = kept.region()
    # An inner signature may have kept 8-bit content: then the label stays true.
    yield write_head(head, "" if ascii_only else None)
    yield from written.pieces()


def _parts(
    body: Region, boundary: bytes, found: list[tuple[int, int]], default: str, depth: int
) -> Iterator[Piece]:
    first, last = found[0][0], found[-1][1]
    if max(first, body.size - last) > MAX_AROUND_OCTETS:
        raise NotCanonical
    before = body.read(0, first)
    preamble = ignored_text(
        before[: before.rindex(boundary)].removesuffix(b"\n").removesuffix(b"\r")
    )
    if preamble:
        yield preamble + b"\r\n"
    for start, end in found:
        yield boundary + b"\r\n"
        yield from _rewritten(body.part(start, end), default, depth + 1)
        yield b"\r\n"
    yield boundary + b"--"
    after = body.read(last, body.size - last)
    _, line_end, epilogue = after[after.index(boundary) :].partition(b"\n")
    if line_end:
        yield b"\r\n" + ignored_text(epilogue)


def _leaf(head: Entity, body: Region, kind: str) -> Iterator[Piece]:
    plain = head.transfer_encoding in ("7bit", "8bit", "binary")
    nul, bare_cr, bare_lf, eight_bit = _looked_at(body)
    is_text = kind.startswith("text/") and not is_wide(head) and not nul
    encoded_data = not is_text and head.transfer_encoding == "quoted-printable"
    if is_text or not plain:
        # Line ends of quoted-printable are those of the content, data if it is no text.
        if not (encoded_data and bare_lf) and _is_canonical(with_crlf(body.pieces())):
            yield write_head(head, "")
            yield from with_crlf(body.pieces())
            return
    elif _is_canonical(body.pieces()):
        yield write_head(head, "")
        yield from body.pieces()
        return
    if not plain:
        raise NotCanonical  # it is decoded first
    if is_text and not bare_cr and eight_bit * 2 <= body.size:
        yield write_head(head, "quoted-printable")
        yield from map(to_quoted_printable, _whole_lines(with_crlf(body.pieces())))
        return
    yield write_head(head, "base64")
    yield from lines_of(with_crlf(body.pieces()) if is_text else body.pieces())


def _looked_at(body: Region) -> tuple[bool, bool, bool, int]:
    """Return whether there is NUL, bare CR and bare LF, and how many octets are not ASCII."""
    nul = bare_cr = bare_lf = False
    eight_bit = 0
    for data in _unsplit(body.pieces()):
        nul = nul or b"\0" in data
        pairs = data.count(b"\r\n")
        bare_cr = bare_cr or data.count(b"\r") > pairs
        bare_lf = bare_lf or data.count(b"\n") > pairs
        if not data.isascii():
            eight_bit += len(data.translate(None, _ONE_OCTET_CHARACTERS))
    return nul, bare_cr, bare_lf, eight_bit


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


def _whole_lines(pieces: Iterable[Piece]) -> Iterator[bytes]:
    rest = b""
    for piece in pieces:
        data = rest + bytes(piece)
        end = data.rfind(b"\r\n") + 2
        if end > 1:
            yield data[:end]
            data = data[end:]
        if len(data) > MAX_LINE_OCTETS:
            raise NotCanonical
        rest = data
    if rest:
        yield rest
