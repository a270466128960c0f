"""OpenPGP's armour, put on and taken off: base64 between two lines that say what it is.

One block is one thing: what is cut, goes on, or is not alone is refused, for two
readers could take it differently.

Floor:  pgp (uses errors, mime, cms, stored)
Source: RFC 9580 §6
"""

from __future__ import annotations

import re

from pybase64 import b64decode, encodebytes

from smime.cms.armour import base64_pieces
from smime.errors import MalformedMail
from smime.mime.lines import base64_blocks
from smime.stored import keep

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.stored import Stored

__all__ = ["BLANKS", "dearmor", "dearmor_keys", "dearmored", "enarmor", "frame"]

BLANKS = b" \t\r\n"
MAX_AROUND = 64 * 1024  # octets of blanks and of armour headers at either end of a block in a file

_BEGIN = re.compile(rb"-----BEGIN PGP ([A-Z ]{1,40})-----[ \t]*+\r?\n")
_HEADERS = re.compile(rb"(?:[!-9;-~]++:[^\n]*+\n)*+[ \t]*+\r?\n")
_CHECKSUM = re.compile(rb"^=[A-Za-z0-9+/]{4}[ \t]*+\r?\n?", re.MULTILINE)
_KEY_BLOCK = re.compile(
    rb"^-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----.*?^-----END PGP \1 KEY BLOCK-----",
    re.MULTILINE | re.DOTALL,
)


def dearmor(data: bytes, *kinds: str) -> bytes:
    r"""Return the octets in one block of armour; what is no armour comes back as it is.

    ``kinds`` are those allowed: ``MESSAGE``, ``SIGNATURE``. Around the block only
    blanks may stand. The checksum is not looked at (RFC 9580 §6.1): it protects
    from nobody.

    Raises ``MalformedMail`` for a block that is cut, of another kind, not
    base64, or not alone.

    >>> dearmor(b"-----BEGIN PGP MESSAGE-----\n\nywViAG5vdGU=\n-----END PGP MESSAGE-----\n")
    b'\xcb\x05b\x00note'
    """
    if data[:1] >= b"\x80":
        return data
    text = data.strip(BLANKS)
    begin = _BEGIN.match(text)
    if begin is None:
        raise MalformedMail("this is no OpenPGP data: neither packets nor armour")
    kind = begin[1].decode("ascii")
    if kinds and kind not in kinds:
        raise MalformedMail(f"an armoured {kind} stands where {' or '.join(kinds)} should")
    end = b"-----END PGP " + begin[1] + b"-----"
    headers = _HEADERS.match(text, begin.end())
    if not text.endswith(end) or headers is None:
        raise MalformedMail("the OpenPGP armour is cut short, or something follows it")
    inside = text[headers.end() : -len(end)]
    sum_line = _CHECKSUM.search(inside, max(len(inside) - 80, 0))
    if sum_line is not None:
        if inside[sum_line.end() :].strip(BLANKS):
            raise MalformedMail("the OpenPGP armour goes on after its checksum")
        inside = inside[: sum_line.start()]
    try:
        return b64decode(b"".join(inside.split()), validate=True)
    except ValueError as wrong:
        raise MalformedMail("the OpenPGP armour is not base64") from wrong


def dearmored(data: Stored, *kinds: str) -> Stored:
    """Return what one block of armour in a file holds; see ``dearmor``, which raises the same."""
    start = data.read(0, MAX_AROUND)
    if start[:1] >= b"\x80":
        return data
    lead = len(start) - len(start.lstrip(BLANKS))
    begin = _BEGIN.match(start, lead)
    if begin is None:
        raise MalformedMail("this is no OpenPGP data: neither packets nor armour")
    kind = begin[1].decode("ascii")
    if kinds and kind not in kinds:
        raise MalformedMail(f"an armoured {kind} stands where {' or '.join(kinds)} should")
    headers = _HEADERS.match(start, begin.end())
    tail_at = max(data.size - MAX_AROUND, headers.end() if headers else 0)
    tail = data.read(tail_at, MAX_AROUND).rstrip(BLANKS)
    end = b"-----END PGP " + begin[1] + b"-----"
    if not tail.endswith(end) or headers is None:
        raise MalformedMail("the OpenPGP armour is cut short, or something follows it")
    tail = tail[: -len(end)]
    sum_line = _CHECKSUM.search(tail, max(len(tail) - 80, 0))
    if sum_line is not None:
        if tail[sum_line.end() :].strip(BLANKS):
            raise MalformedMail("the OpenPGP armour goes on after its checksum")
        tail = tail[: sum_line.start()]
    inside = data.part(headers.end(), tail_at + len(tail))
    try:
        return keep(base64_pieces(inside.pieces()))
    except MalformedMail as wrong:
        raise MalformedMail("the OpenPGP armour is not base64") from wrong


def enarmor(data: bytes, kind: str, line_end: bytes = b"\n") -> bytes:
    """Return packets as armour, without a checksum (RFC 9580 §6.1); lines end in LF or CRLF."""
    start, end = frame(kind, line_end)
    if line_end == b"\r\n":
        return b"".join((start, *base64_blocks(data), end))
    return b"".join((start, encodebytes(data), end))  # of 76 characters, as §6.2 allows


def frame(kind: str, line_end: bytes) -> tuple[bytes, bytes]:
    """Return what stands before the base64 lines of armour, and behind them."""
    name = kind.encode("ascii")
    start = b"-----BEGIN PGP " + name + b"-----" + 2 * line_end
    return start, b"-----END PGP " + name + b"-----" + line_end


def dearmor_keys(data: bytes) -> bytes:
    """Return the octets of all blocks of keys in a file; text may stand around them.

    What is no text comes back as it is. Raises ``MalformedMail`` if there is no
    block of keys, or one is damaged.
    """
    if data[:1] >= b"\x80":
        return data
    found = [
        dearmor(match[0], "PUBLIC KEY BLOCK", "PRIVATE KEY BLOCK")
        for match in _KEY_BLOCK.finditer(data)
    ]
    if not found:
        raise MalformedMail("there is no OpenPGP key: neither packets nor armour of keys")
    return b"".join(found)
