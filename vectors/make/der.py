"""DER and BER written by hand, so that a vector can break any rule.

Nothing here is the library's: what makes the vectors must not share its mistakes.

Source: ITU-T X.690
"""

from __future__ import annotations

NULL = b"\x05\x00"


def tlv(tag: int, *parts: bytes) -> bytes:
    """Return tag, definite length and the joined parts."""
    body = b"".join(parts)
    size = len(body)
    if size < 0x80:
        return bytes((tag, size)) + body
    octets = size.to_bytes((size.bit_length() + 7) // 8, "big")
    return bytes((tag, 0x80 | len(octets))) + octets + body


def indefinite(tag: int, *parts: bytes) -> bytes:
    """Return a constructed value of indefinite length (X.690 §8.1.3.6)."""
    return bytes((tag | 0x20, 0x80)) + b"".join(parts) + b"\x00\x00"


def seq(*parts: bytes) -> bytes:
    return tlv(0x30, *parts)


def set_of(*parts: bytes) -> bytes:
    return tlv(0x31, *sorted(parts))


def octets(data: bytes) -> bytes:
    return tlv(0x04, data)


def split_octets(tag: int, data: bytes, size: int) -> bytes:
    """Return an octet string in pieces, as streaming writers do."""
    pieces = [octets(data[at : at + size]) for at in range(0, len(data), size)]
    return indefinite(tag, *pieces)


def bits(data: bytes) -> bytes:
    return tlv(0x03, b"\x00" + data)


def integer(value: int) -> bytes:
    size = value.bit_length() // 8 + 1
    return tlv(0x02, value.to_bytes(size, "big"))


def utc_time(text: str) -> bytes:
    return tlv(0x17, text.encode())


def oid(dotted: str) -> bytes:
    first, second, *rest = (int(arc) for arc in dotted.split("."))
    out = bytearray()
    for arc in (first * 40 + second, *rest):
        group = [arc & 0x7F]
        while arc := arc >> 7:
            group.append(arc & 0x7F | 0x80)
        out += bytes(reversed(group))
    return tlv(0x06, bytes(out))


def items(data: bytes) -> list[bytes]:
    """Return the values inside of a constructed DER value, each whole."""
    found = []
    at, _ = _head(data, 0)
    while at < len(data):
        begin, size = _head(data, at)
        found.append(data[at : begin + size])
        at = begin + size
    return found


def _head(data: bytes, at: int) -> tuple[int, int]:
    """Return where the content of the value at ``at`` begins, and its length."""
    first = data[at + 1]
    if first < 0x80:
        return at + 2, first
    octets_of_length = first & 0x7F
    begin = at + 2 + octets_of_length
    return begin, int.from_bytes(data[at + 2 : begin], "big")
