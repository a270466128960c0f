"""Multipart bodies, found and built by byte position.

A part is a slice of the bytes that arrived. Nothing is decoded and written out
again, because a signature covers those bytes and no others.

Floor:  mime (uses errors; knows nothing of CMS, OpenPGP or trust)
Source: RFC 2046 §5.1 for the syntax, RFC 1847 §2.1 for multipart/signed
"""

from __future__ import annotations

import re
from itertools import pairwise

from smime.errors import LimitExceeded, MalformedMail
from smime.mime.entity import split_part

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from smime.mime.entity import Entity

__all__ = ["Cuts", "boundary_of", "cut", "join_parts", "split_parts", "split_signed"]

MAX_PARTS = 10_000  # of one multipart; a digest of a busy list has some hundreds
MAX_BOUNDARY = 70  # octets (RFC 2046 §5.1.1)
MAX_LOOKALIKES = 100_000  # lines that only begin like a delimiter; keeps the search short
MAX_PADDING_OCTETS = 4096  # blanks behind a delimiter; relays add a few

# What follows the boundary on a delimiter line: dashes if it is the last, and
# blanks that were added on the way (transport-padding).
LINE_END = re.compile(rb"(--)?+[ \t]{0,%d}+(?:\r?\n|\r?\Z)" % MAX_PADDING_OCTETS)
_BOUNDARY = re.compile(rf"[ -~]{{0,{MAX_BOUNDARY - 1}}}[!-~]")


class Cuts:
    """Where the parts of a multipart body are.

    ``spans`` holds start and end of each part; ``preamble`` ends where the
    first delimiter's line break begins and ``epilogue`` begins after the last
    delimiter's line.
    """

    __slots__ = ("epilogue", "preamble", "spans")

    def __init__(self, spans: list[tuple[int, int]], preamble: int, epilogue: int) -> None:
        self.spans = spans
        self.preamble = preamble
        self.epilogue = epilogue


def cut(body: bytes, boundary: bytes) -> Cuts:
    """Find the parts of a multipart body; see ``split_parts``."""
    if not 1 <= len(boundary) <= MAX_BOUNDARY:
        raise MalformedMail(f"a boundary has 1 to {MAX_BOUNDARY} octets")
    lines: list[tuple[int, int]] = []
    closed = False
    lookalikes = 0
    mark = b"\n--" + boundary
    # Where the dashes are, or -1: at the first octet or after a line break.
    dashes = 0 if body.startswith(mark[1:]) else body.find(mark) + 1 or -1
    while dashes >= 0 and not closed:
        after = dashes + len(mark) - 1
        # The common ends of a delimiter's line, written out.
        end = after + 2 if body.startswith(b"\r\n", after) else after + 1
        if body[end - 1 : end] != b"\n":
            line_end = LINE_END.match(body, after)
            end = 0 if line_end is None else line_end.end()
            closed = line_end is not None and line_end[1] is not None
        if end:
            start = max(dashes - (2 if body[dashes - 2 : dashes] == b"\r\n" else 1), 0)
            lines.append((start, end))
            # The line break that ends this line may be the one before the next.
            after = end - 1
            if len(lines) - 1 > MAX_PARTS:
                raise LimitExceeded(f"the multipart has more than {MAX_PARTS} parts")
        else:
            lookalikes += 1
            if lookalikes > MAX_LOOKALIKES:
                raise LimitExceeded("too many lines look like a delimiter of the multipart")
        dashes = body.find(mark, after) + 1 or -1
    if not closed or len(lines) < 2:
        raise MalformedMail(f"multipart {boundary!r} has no opened and closed part")
    spans = [(a[1], max(a[1], b[0])) for a, b in pairwise(lines)]
    return Cuts(spans, lines[0][0], lines[-1][1])


def split_parts(body: bytes, boundary: bytes) -> list[bytes]:
    r"""Cut a multipart body into its parts, byte for byte.

    ``body`` starts after the blank line that ends the multipart's own headers;
    ``boundary`` is the parameter's value, without dashes, 1 to 70 octets.
    Each part comes back as headers, blank line, content. The line break before
    a delimiter belongs to the delimiter (RFC 2046 §5.1.1).

    Raises ``MalformedMail`` if no part is opened, or the last is never closed,
    and ``LimitExceeded`` for more parts than mail has.

    >>> split_parts(b"--b\r\n\r\nhi \r\n--b--\r\n", b"b")
    [b'\r\nhi ']
    """
    return [body[start:end] for start, end in cut(body, boundary).spans]


def join_parts(parts: Sequence[bytes], boundary: bytes) -> bytes:
    r"""Build a multipart body from whole parts; ``split_parts`` undoes it.

    >>> join_parts([b"\r\nhi "], b"b")
    b'--b\r\n\r\nhi \r\n--b--\r\n'
    """
    open_line = b"--" + boundary + b"\r\n"
    return b"".join([*(open_line + part + b"\r\n" for part in parts), open_line[:-2], b"--\r\n"])


def boundary_of(entity: Entity) -> bytes:
    """Return the boundary that a multipart's content type names.

    Raises ``MalformedMail`` if there is none, or it is not 1 to 70 printable
    ASCII characters of which the last is no blank (RFC 2046 §5.1.1).
    """
    boundary = entity.content_type.params.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise MalformedMail("the multipart names no boundary, or none that is allowed")
    return boundary.encode("ascii")


def split_signed(entity: Entity) -> tuple[bytes, Entity]:
    """Cut a multipart/signed into the exact bytes that were signed and the signature part.

    Raises ``MalformedMail`` unless it is a multipart/signed of exactly two
    parts (RFC 1847 §2.1).
    """
    if entity.content_type.value != "multipart/signed":
        raise MalformedMail(f"not a multipart/signed but {entity.content_type.value}")
    boundary = boundary_of(entity)
    body = entity.raw
    spans = _two_spans(body, entity.body_at, boundary)
    if not spans:
        spans = cut(body := entity.body, boundary).spans
    if len(spans) != 2:
        raise MalformedMail(f"a multipart/signed has two parts, this one {len(spans)}")
    (start, end), (signature_start, signature_end) = spans
    return body[start:end], split_part(body[signature_start:signature_end])


def _two_spans(raw: bytes, body_at: int, boundary: bytes) -> list[tuple[int, int]]:
    """Do what ``cut`` does, for two parts between lines of nothing but dashes and boundary.

    Positions are in ``raw``, of which the body begins at ``body_at``. Empty where anything else
    stands there: then ``cut`` tells what.
    """
    mark = b"\n--" + boundary
    lines = []
    at = body_at - 1  # a line end, which may be that of the first delimiter
    if raw[at:body_at] != b"\n":
        return []
    for _ in range(3):
        at = raw.find(mark, at)
        after = at + len(mark)
        end = after + 2 if raw.startswith(b"\r\n", after) else after + 1
        lines.append((at - 1 if raw[at - 1 : at] == b"\r" else at, end))
        if at < 0 or raw[end - 1 : end] != b"\n":
            break
        at = end - 1
    if len(lines) != 3 or at < 0 or not raw.startswith((b"--\r\n", b"--\n"), after):
        return []
    (_, one), (two, three), (four, _) = lines
    return [(one, max(one, two)), (three, max(three, four))]
