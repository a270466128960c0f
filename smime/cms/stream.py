"""BER read from front to end, once, with nothing held that need not be.

``Reader`` walks elements of definite and indefinite length alike. What is
small (recipients, certificates, signers) comes whole, and byte for byte; the
content comes in pieces, also where it was sent as a string of strings.

Floor:  cms (uses errors, source, der)
Source: ITU-T X.690 §8.1 for lengths, §8.7 for strings in pieces
"""

from __future__ import annotations

from smime.cms.ber import MAX_DEPTH, MAX_ELEMENTS, octets, parsed
from smime.cms.der import MAX_LENGTH_OCTETS, SEQUENCE, top
from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from smime.source import Piece, Source

__all__ = ["MAX_HELD_OCTETS", "Reader", "begin"]

# All but the content: 20,000 recipients with long names, or twenty certificates
# and as many CRLs of some MiB.
MAX_HELD_OCTETS = 64 << 20
# Pieces shorter than this are gathered first: a call per octet would cost more than the cipher.
_GATHERED_OCTETS = 64 * 1024
_CUT = "the CMS structure is cut short"


def begin(source: Source) -> tuple[Reader, bytes]:
    """Return a reader inside a ContentInfo, and the content type that it names.

    Raises ``MalformedMail`` for what is none.
    """
    reader = Reader(source)
    reader.enter(SEQUENCE)
    kind = reader.whole(0x06)
    reader.enter(0xA0)
    return reader, kind[2:]


class Reader:
    """Reads one BER value from a source, element by element.

    ``enter`` goes into a constructed element and ``leave`` out of it;
    ``at_end`` says whether the innermost one has more inside. Raises
    ``MalformedMail`` where the octets are not BER or end too soon, and
    ``LimitExceeded`` above ``MAX_DEPTH`` or ``MAX_HELD_OCTETS``.
    """

    __slots__ = (
        "_at",
        "_bounds",
        "_elements",
        "_ends",
        "_held",
        "_here",
        "_peeked",
        "_pieces",
        "_read",
        "_source",
    )

    def __init__(self, source: Source) -> None:
        self._source = source
        self._pieces: Iterator[Piece] = source.pieces()
        self._here: memoryview = memoryview(b"")
        self._at = 0  # in _here
        self._read = 0  # octets taken so far
        self._held = 0
        self._elements = 0
        # Where each open element ends, counted as _read is; None if that is not known.
        self._ends: list[int | None] = []
        # Where it ends at the latest, by what is around it.
        self._bounds: list[int | None] = [source.size]
        self._peeked: tuple[int, int | None, bytes] | None = None

    # --- octets ---------------------------------------------------------------

    def _fill(self) -> None:
        """Make sure that at least one octet is at hand."""
        while self._at == len(self._here):
            self._here = memoryview(next(self._pieces, b""))
            self._at = 0
            if not self._here:
                raise MalformedMail(_CUT)

    def _octet(self) -> int:
        if self._at == len(self._here):
            self._fill()
        value = self._here[self._at]
        self._at += 1
        self._read += 1
        return value

    def _take(self, count: int) -> bytes:
        """Return so many octets; memory is used as they arrive, not as they are announced."""
        if self._at + count <= len(self._here):
            taken = bytes(self._here[self._at : self._at + count])
            self._at += count
            self._read += count
            return taken
        return b"".join(bytes(piece) for piece in self._run(count))

    def _run(self, count: int) -> Iterator[memoryview]:
        """Yield the next ``count`` octets as they lie."""
        while count:
            if self._at == len(self._here):
                self._fill()
            piece = self._here[self._at : self._at + count]
            self._at += len(piece)
            self._read += len(piece)
            count -= len(piece)
            yield piece

    # --- elements ---------------------------------------------------------------

    def _header(self) -> tuple[int, int | None, bytes]:
        """Return tag, length (None if indefinite) and the header's own octets."""
        tag = self._octet()
        if tag & 0x1F == 0x1F:
            raise MalformedMail("the CMS structure holds a tag that CMS does not use")
        length: int | None = self._octet()
        assert length is not None
        header = bytes((tag, length))
        if length >= 0x80:
            count = length & 0x7F
            if count == 0:
                if not tag & 0x20:
                    raise MalformedMail("a primitive element has an indefinite length")
                length = None
            elif count > MAX_LENGTH_OCTETS:
                raise MalformedMail("the CMS structure holds a length that cannot be")
            else:
                octets = self._take(count)
                header += octets
                length = int.from_bytes(octets, "big")
        # Of a file the size bounds all, so a length that cannot be is seen before it is read.
        bound = self._bounds[-1]
        if bound is not None and self._read + (length or 0) > bound:
            raise MalformedMail(_CUT)
        return tag, length, header

    def _open(self, length: int | None) -> None:
        end = None if length is None else self._read + length
        self._ends.append(end)
        self._bounds.append(self._bounds[-1] if end is None else end)

    def _close(self) -> None:
        self._ends.pop()
        self._bounds.pop()

    def peek(self) -> int:
        """Return the tag of the next element, which stays the next; 0 at the end."""
        if self._peeked is None:
            if self._ends and self._ends[-1] == self._read:
                return 0
            self._peeked = self._header()
        return self._peeked[0]

    def _next(self) -> tuple[int, int | None, bytes]:
        if self._peeked is not None:
            found, self._peeked = self._peeked, None
            return found
        if self._ends and self._ends[-1] == self._read:
            raise MalformedMail(_CUT)
        return self._header()

    def at_end(self) -> bool:
        """Whether the innermost open element holds nothing more."""
        if self.peek() != 0:
            return False
        # Tag 0 is either the end itself, or the two octets that mark it.
        if self._peeked is not None and (self._ends[-1] is not None or self._peeked[1] != 0):
            raise MalformedMail("the CMS structure holds an end where none can be")
        return True

    def enter(self, *tags: int) -> int:
        """Go into the next element, whose tag must be one of these; return the tag."""
        tag, length, _ = self._next()
        if tag not in tags or not tag & 0x20:
            raise MalformedMail("the CMS structure does not have the form of one")
        if len(self._ends) >= MAX_DEPTH:
            raise LimitExceeded(f"a BER structure is nested deeper than {MAX_DEPTH}")
        self._open(length)
        return tag

    def leave(self) -> None:
        """Go out of the innermost element, past anything in it that was not read."""
        while not self.at_end():
            for _ in self._raw():
                pass
        self._peeked = None
        self._close()

    def whole(self, *tags: int) -> bytes:
        """Return the next element, header and all, as it stands; its tag must be one of these."""
        if self.peek() not in tags:
            raise MalformedMail("the CMS structure does not have the form of one")
        parts = []
        for piece in self._raw():
            self._held += len(piece)
            if self._held > MAX_HELD_OCTETS:
                raise LimitExceeded(
                    f"a CMS structure holds more than {MAX_HELD_OCTETS} octets beside its content"
                )
            parts.append(bytes(piece))
        return b"".join(parts)

    def string(self) -> bytes:
        """Return the next element, an OCTET STRING that is not the content: a digest, a tag."""
        return parsed(self.whole(0x04, 0x24), lambda data: octets(data, top(data)))

    def _raw(self) -> Iterator[Piece]:
        """Yield the octets of the next element, of whatever length."""
        _, length, header = self._next()
        yield header
        if length is not None:
            yield from self._run(length)
            return
        open_elements = 1
        while open_elements:
            tag, length, header = self._header()
            self._elements += 1
            if self._elements > MAX_ELEMENTS:
                raise LimitExceeded(f"more than {MAX_ELEMENTS} elements in a BER structure")
            yield header
            if tag == 0:
                if length != 0:
                    raise MalformedMail("the CMS structure holds an end where none can be")
                open_elements -= 1
            elif length is not None:
                yield from self._run(length)
            else:
                open_elements += 1
                if open_elements > MAX_DEPTH:
                    raise LimitExceeded(f"a BER structure is nested deeper than {MAX_DEPTH}")

    # --- the content --------------------------------------------------------------

    def content(self, *tags: int) -> Iterator[Piece]:
        """Yield the content of the next element, a string whole or in pieces.

        ``tags`` are those of the primitive form. A piece is valid until the
        next one is asked for.
        """
        tag, length, _ = self._next()
        if tag & ~0x20 not in tags:
            raise MalformedMail("the content is not an OCTET STRING")
        if not tag & 0x20:
            assert length is not None
            yield from self._run(length)
            return
        gathered = bytearray()
        for piece in self._strings(length):
            if not gathered and len(piece) >= _GATHERED_OCTETS:
                yield piece
                continue
            gathered += piece
            if len(gathered) >= _GATHERED_OCTETS:
                yield gathered
                gathered = bytearray()
        if gathered:
            yield gathered

    def _strings(self, length: int | None) -> Iterator[memoryview]:
        depth = len(self._ends)
        self._open(length)
        while len(self._ends) > depth:
            end = self._ends[-1]
            if end == self._read:
                self._close()
                continue
            tag, length, _ = self._header()
            if tag == 0x04:
                assert length is not None
                yield from self._run(length)
            elif tag == 0x24:
                if len(self._ends) - depth >= MAX_DEPTH:
                    raise LimitExceeded(f"a BER string is nested deeper than {MAX_DEPTH}")
                self._open(length)
            elif tag == 0 and length == 0 and end is None:
                self._close()
            else:
                raise MalformedMail("a string in pieces holds something that is not a string")

    # --- what stands behind the content -------------------------------------------------

    def read_behind(self) -> bytes | None:
        """Return what follows the content, within the element around it all.

        The next element is the content and stays the next. None where it cannot
        be told without reading the content: a pipe, or an indefinite length.
        """
        self.peek()
        assert self._peeked is not None
        length = self._peeked[1]
        if length is None or None in self._ends or len(self._ends) < 2:
            return None
        behind = self._read + length
        inner, around = self._ends[-1], self._ends[-2]
        if inner != behind or around is None:
            return None
        if around - behind > MAX_HELD_OCTETS:
            raise LimitExceeded(
                f"a CMS structure holds more than {MAX_HELD_OCTETS} octets beside its content"
            )
        return self._source.ahead(behind, around - behind)
