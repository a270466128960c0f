"""What can be done to a structure of TLVs by somebody who means harm, or by a bad line.

Each kind of damage takes the octets and a source of chance, and gives other octets.
"""

from __future__ import annotations

from collections.abc import Callable
from random import Random

Span = tuple[int, int, int]  # start, content, end of an element

MAX_SPANS = 2000


def spans(data: bytes) -> list[Span]:
    """Return the elements of a DER or BER value, as far as they can be walked."""
    found: list[Span] = []
    waiting = [(0, len(data))]
    while waiting and len(found) < MAX_SPANS:
        at, end = waiting.pop()
        while at + 2 <= end and len(found) < MAX_SPANS:
            tag, length, content = data[at], data[at + 1], at + 2
            if length == 0x80:
                stop = end
            elif length > 0x80:
                content += length & 0x7F
                stop = content + int.from_bytes(data[at + 2 : content], "big")
            else:
                stop = content + length
            if stop > end:
                break
            found.append((at, content, stop))
            if tag & 0x20:
                waiting.append((content, stop))
            at = stop
    return found or [(0, min(2, len(data)), len(data))]


def cut(data: bytes, chance: Random) -> bytes:
    return data[: chance.randrange(len(data) + 1)]


def flip(data: bytes, chance: Random) -> bytes:
    changed = bytearray(data)
    for _ in range(chance.choice((1, 1, 1, 2, 8))):
        changed[chance.randrange(len(changed))] ^= 1 << chance.randrange(8)
    return bytes(changed)


def overwrite(data: bytes, chance: Random) -> bytes:
    at = chance.randrange(len(data))
    octets = chance.choice((b"\x00", b"\xff", b"\x00\x00", b"\x80", b"\x30\x80", b"\xff" * 8))
    return data[:at] + octets + data[at + len(octets) :]


def enlarge(data: bytes, chance: Random) -> bytes:
    """Let an element say that it is longer than it is, by one up to 2^64."""
    start, content, end = chance.choice(spans(data))
    length = chance.choice((end - content + 1, 2**31, 2**63, 2**63 - 1, 2**64 - 1, 10**6))
    octets = length.to_bytes(max(1, (length.bit_length() + 7) // 8), "big")
    return data[: start + 1] + bytes((0x80 | len(octets),)) + octets + data[content:]


def indefinite(data: bytes, chance: Random) -> bytes:
    """Open the length of an element, with its end or without."""
    start, content, end = chance.choice(spans(data))
    closing = b"\x00\x00" if chance.random() < 0.7 else b""
    return data[: start + 1] + b"\x80" + data[content:end] + closing + data[end:]


def remove(data: bytes, chance: Random) -> bytes:
    start, _, end = chance.choice(spans(data))
    return data[:start] + data[end:]


def double(data: bytes, chance: Random) -> bytes:
    """Put an element twice: attributes, recipients, signers, contents."""
    start, _, end = chance.choice(spans(data))
    return fitted(data, start, data[start:end] * chance.choice((2, 3, 50)), end)


def swap(data: bytes, chance: Random) -> bytes:
    (a, _, b), (c, _, d) = sorted((chance.choice(spans(data)), chance.choice(spans(data))))
    if c < b:
        return data[:a] + data[c:d] + data[b:]
    return data[:a] + data[c:d] + data[b:c] + data[a:b] + data[d:]


def retag(data: bytes, chance: Random) -> bytes:
    start, _, _ = chance.choice(spans(data))
    return data[:start] + bytes((chance.randrange(256),)) + data[start + 1 :]


def empty(data: bytes, chance: Random) -> bytes:
    start, _, end = chance.choice(spans(data))
    return fitted(data, start, data[start : start + 1] + b"\x00", end)


def deepen(data: bytes, chance: Random) -> bytes:
    """Nest 10,000 deep in place of an element."""
    start, _, end = chance.choice(spans(data))
    tag = chance.choice((b"\x30", b"\x24", b"\xa0", b"\x31"))
    depth = chance.choice((20, 40, 10_000))
    inside = (tag + b"\x80") * depth + chance.choice((b"\x00\x00" * depth, b""))
    return fitted(data, start, inside, end)


def crowd(data: bytes, chance: Random) -> bytes:
    """Put very many tiny elements in place of one: recipients, signers, pieces."""
    start, _, end = chance.choice(spans(data))
    one = chance.choice((b"\x30\x00", b"\x04\x01x", b"\x02\x01\x00", b"\x31\x00", b"\xa0\x00"))
    inside = one * chance.choice((100, 30_000))
    tag = data[start : start + 1]
    return fitted(data, start, tag + b"\x83" + len(inside).to_bytes(3, "big") + inside, end)


def version(data: bytes, chance: Random) -> bytes:
    """Change a small INTEGER: a version, a length, a count of rounds."""
    small = [one for one in spans(data) if data[one[0]] == 2 and one[2] - one[1] <= 4]
    if not small:
        return flip(data, chance)
    start, _, end = chance.choice(small)
    value = chance.choice((0, 1, 5, 11, 2**31 - 1, 2**63, 2**64))
    octets = value.to_bytes(value.bit_length() // 8 + 1, "big")
    return fitted(data, start, bytes((2, len(octets))) + octets, end)


def fitted(data: bytes, start: int, other: bytes, end: int) -> bytes:
    """Put ``other`` in the place of an element, and let all lengths around fit again."""
    around = [one for one in spans(data) if one[1] <= start and end <= one[2] and one[0] < start]
    made = data[:start] + other + data[end:]
    grown = len(other) - (end - start)
    for at, content, stop in sorted(around, reverse=True):
        if data[at + 1] == 0x80:
            continue
        length = stop - content + grown
        if length < 0x80:
            header = bytes((data[at], length))
        else:
            octets = length.to_bytes((length.bit_length() + 7) // 8, "big")
            header = bytes((data[at], 0x80 | len(octets))) + octets
        made = made[:at] + header + made[content:]
        grown += len(header) - (content - at)
    return made


DAMAGE: tuple[Callable[[bytes, Random], bytes], ...] = (
    cut,
    flip,
    flip,
    overwrite,
    enlarge,
    indefinite,
    remove,
    double,
    swap,
    retag,
    empty,
    deepen,
    crowd,
    version,
)
