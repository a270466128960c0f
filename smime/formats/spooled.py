"""Mails and their parts that are too large to hold, kept in an unnamed file (``stored``).

Floor:  formats (uses mime, cms, source, stored)
Source: RFC 2046 §5.1 for parts; RFC 8551 §3.1.1 for line ends
"""

from __future__ import annotations

from itertools import pairwise

from smime import stored
from smime.cms import algorithms as alg
from smime.cms.armour import base64_pieces
from smime.cms.contents import HashedContent
from smime.cms.schemes import FIXED_DIGEST, Hashed, check_pure_length
from smime.errors import LimitExceeded, MalformedMail, NotSupported
from smime.formats.large import with_crlf
from smime.mime.canonical import to_crlf
from smime.mime.entity import MAX_HEADER_OCTETS, Entity, split_entity
from smime.mime.multipart import (
    LINE_END,
    MAX_LOOKALIKES,
    MAX_PADDING_OCTETS,
    MAX_PARTS,
)
from smime.mime.transfer import BASE64_DAMAGED
from smime.source import Source
from smime.stored import Stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator

    from smime.source import Piece

__all__ = ["Decoded", "Keeping", "Region", "RegionContent", "keep", "spans"]

_BEGINNING_OCTETS = 64 * 1024


class Region(Stored):
    """A mail or a part of one, in a file that nobody else writes to."""

    __slots__ = ()

    @classmethod
    def over(cls, stored: Stored) -> Region:
        """Look at what is stored as a part of a mail."""
        return cls(stored._owned, stored._start, stored.size)

    def head(self) -> Entity:
        """Return the header block as an entity without its body."""
        beginning = self.read(0, MAX_HEADER_OCTETS + 4)
        entity = split_entity(beginning)
        return Entity(beginning[: entity.body_at], entity.head_at, entity.body_at)

    def crlf(self) -> Iterator[bytes]:
        """Yield the form with CRLF; below the header of a part that is binary nothing changes."""
        head = self.head()
        body = self.part(head.body_at)
        yield to_crlf(head.raw)
        if head.transfer_encoding == "binary":
            yield from body.pieces()
            return
        for piece in with_crlf(body.pieces()):
            yield bytes(piece)


class Keeping(stored.Keeping):
    """Takes a content into an unnamed file, where it stays to be looked at."""

    def region(self) -> Region:
        """Return what was written; the file goes with the last who has it."""
        return Region.over(self.stored())


def keep(pieces: Iterable[Piece]) -> Region:
    """Return a copy of the octets that nobody else can change. Raises ``OSError``."""
    return Region.over(stored.keep(pieces))


class Decoded(Source):
    """The CMS structure that a part holds, without its transfer encoding."""

    __slots__ = ("_base64", "_region")

    def __init__(self, body: Region, *, base64: bool) -> None:
        super().__init__(b"", "a part of the mail")
        self.whole = None
        self.size = None if base64 else body.size
        self._region = body
        self._base64 = base64

    def pieces(self) -> Iterator[Piece]:
        return self._decoded() if self._base64 else self._region.pieces()

    def _decoded(self) -> Iterator[Piece]:
        try:
            yield from base64_pieces(self._region.pieces())
        except MalformedMail as damaged:
            raise MalformedMail(BASE64_DAMAGED) from damaged


class RegionContent(HashedContent):
    """A content that signatures are held against, read from its file for each digest.

    ``repair`` says that CRLF may have become LF on the way (RFC 8551 §3.1.1).
    """

    __slots__ = ("_found", "_region", "_repair")

    def __init__(self, region: Region, *, repair: bool = False) -> None:
        super().__init__({}, region.read(0, _BEGINNING_OCTETS), region.size)
        self._region = region
        self._repair = repair
        self._found: dict[tuple[str, bool], bytes | None] = {}

    @property
    def region(self) -> Region:
        """The content in the form in which a signature fitted."""
        return keep(self._region.crlf()) if self.repaired else self._region

    def digest(self, name: str, repaired: bool = False) -> bytes | None:
        """Return the digest, of the repaired form if asked; None where there is none."""
        if (name, repaired) not in self._found:
            self._found[name, repaired] = self._digest(name, repaired)
        return self._found[name, repaired]

    def _digest(self, name: str, repaired: bool) -> bytes | None:
        if repaired and not self._repair:
            return None
        hasher = alg.new_hash(name)
        octets = 0
        for piece in self._region.crlf() if repaired else self._region.pieces():
            hasher.update(piece)
            octets += len(piece)
        return None if repaired and octets == self._region.size else hasher.digest()

    def forms(self, kind: str, name: str) -> list[bytes]:
        """Return what a signature without attributes may cover: its digest.

        Raises ``NotSupported`` where the content would be needed whole.
        """
        check_pure_length(kind, self._region.size)
        value = self.digest(name)
        if kind in FIXED_DIGEST or value is None:
            raise NotSupported("a signature without attributes needs its content whole here")
        return [Hashed(value)]


def spans(body: Region, boundary: bytes) -> list[tuple[int, int]]:
    """Return where the parts of a multipart body are; see ``multipart.cut``.

    Raises what that raises.
    """
    lines: list[tuple[int, int]] = []
    lookalikes = 0
    for dashes in _candidates(body, b"\n--" + boundary, lines):
        after = dashes + 2 + len(boundary)
        window = body.read(after, MAX_PADDING_OCTETS + len(b"--\r\n"))
        line_end = LINE_END.match(window)
        if line_end is None or (
            after + line_end.end() < body.size and not line_end[0].endswith(b"\n")
        ):
            lookalikes += 1
            if lookalikes > MAX_LOOKALIKES:
                raise LimitExceeded("too many lines look like a delimiter of the multipart")
            continue
        before = body.read(max(dashes - 2, 0), min(dashes, 2))
        start = max(dashes - (2 if before == b"\r\n" else 1), 0)
        lines.append((start, after + line_end.end()))
        if line_end[1] is not None:
            break
        if len(lines) > MAX_PARTS:
            raise LimitExceeded(f"the multipart has more than {MAX_PARTS} parts")
    else:
        raise MalformedMail(f"multipart {boundary!r} has no opened and closed part")
    if len(lines) < 2:
        raise MalformedMail(f"multipart {boundary!r} has no opened and closed part")
    return [(a[1], max(a[1], b[0])) for a, b in pairwise(lines)]


def _candidates(body: Region, mark: bytes, lines: list[tuple[int, int]]) -> Iterator[int]:
    """Yield where dashes and boundary begin a line, behind the last of ``lines``."""
    if body.read(0, len(mark) - 1) == mark[1:]:
        yield 0
    base, tail = 0, b""
    for piece in body.pieces():
        data = tail + piece
        at = data.find(mark)
        while at >= 0:
            # The line break that ends a delimiter may be the one before the next.
            if not lines or base + at >= lines[-1][1] - 1:
                yield base + at + 1
            at = data.find(mark, at + 1)
        tail = data[1 - len(mark) :]
        base += len(data) - len(tail)
