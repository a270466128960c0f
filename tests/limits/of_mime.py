"""The limits of smime.mime: header blocks, multiparts, lines, winmail.dat."""

from __future__ import annotations

import struct

import smime
from smime.mime import canonical, entity, legacy_display, multipart, protection, tnef
from smime.mime.headers import protected
from tests.limits.walk import Bench, Passed, Refused, Table

SUBJECT = b"Subject: "


def header_octets(count: int, bench: Bench) -> None:
    """Fields and empty line together, in memory and in front of a body."""
    block = b"A: b\r\n" * 10
    rest = count - len(block) - len(SUBJECT) - 4
    made = block + SUBJECT + b"x" * rest + b"\r\n\r\n"
    assert len(made) == count
    found = entity.split_entity(made + b"body")
    assert found.body == b"body"


def header_fields(count: int, bench: Bench) -> None:
    found = entity.split_entity(b"A: b\n" * count + b"\nbody")
    assert len(found.fields) == count


def known_types(limit: int, bench: Bench) -> None:
    for n in range(2 * limit + 3):
        made = b"Content-Type: x-limit/a%d\r\n\r\nx" % n
        assert entity.split_part(made).content_type.value == f"x-limit/a{n}"
        assert len(entity._known_types) <= limit
        assert len(entity._known_heads) <= limit
    assert f"x-limit/a{2 * limit + 2}" in entity._known_types


def known_head_octets(limit: int, bench: Bench) -> None:
    """A longer one is read each time, and the same comes out."""
    for octets, kept in ((limit, True), (limit + 1, False)):
        block = b"Content-Type: x-limit/longer\r\nX: " + b"x" * (octets - 37) + b"\r\n\r\n"
        assert len(block) == octets
        for _ in range(2):
            assert entity.split_part(block + b"x").content_type.value == "x-limit/longer"
        assert (block in entity._known_heads) is kept
        text = "x-limit/a; b=" + "c" * (octets - 13)
        assert entity.split_entity(f"Content-Type: {text}\r\n\r\n".encode()).content_type.params
        assert (text in entity._known_types) is kept


def parts(count: int, bench: Bench) -> None:
    assert len(multipart.split_parts(b"--b\n\n" * count + b"--b--", b"b")) == count


def lookalikes(count: int, bench: Bench) -> None:
    made = b"--b\n\nx\n" + b"--bx\n" * count + b"--b--"
    assert len(multipart.split_parts(made, b"b")) == 1


def boundary(count: int, bench: Bench) -> None:
    mark = b"b" * count
    assert multipart.split_parts(b"--%b\n\nx\n--%b--" % (mark, mark), mark) == [b"\nx"]


def line(limit: int, bench: Bench) -> None:
    """A longer line is encoded, so that none travels; nothing is refused."""
    head = b"Content-Type: text/plain\r\n"
    for octets, encoded in ((limit, False), (limit + 1, True)):
        made = canonical.canonical(head + b"\r\n" + b"x" * octets + b"\r\n")
        assert (b"quoted-printable" in made) is encoded
        assert max(map(len, made.split(b"\r\n"))) <= limit


def canonical_depth(count: int, bench: Bench) -> None:
    made = b"Content-Type: text/plain\n\nx \n"
    for _ in range(count):
        made = b"Content-Type: multipart/mixed; boundary=b%d\n\n--b%d\n%b\n--b%d--\n" % (
            len(made), len(made), made, len(made),
        )  # fmt: skip
    smime.sign(made, by=bench.world.alice)


def tnef_attributes(count: int, bench: Bench) -> None:
    one = struct.pack("<BIL", 1, 0x00068004, 1) + b"x" + b"\0\0"
    assert tnef.smime_of(struct.pack("<LH", 0x223E9F78, 1) + one * count) is None


def display_depth(limit: int, bench: Bench) -> None:
    """Text that lies deeper is shown as it is, its display included."""
    for depth, taken in ((limit, True), (limit + 1, False)):
        made = b'Content-Type: text/plain; hp-legacy-display="1"\r\n\r\nSubject: x\r\n\r\nhello'
        for n in range(depth):
            made = (
                b"Content-Type: multipart/mixed; boundary=b%d\r\n\r\n--b%d\r\n%b\r\n--b%d--\r\n"
                % (n, n, made, n)
            )
        shown = legacy_display.strip(entity.split_entity(made), "cipher").raw
        assert (b"Subject: x" not in shown) is taken
        assert b"hello" in shown


def display_lines(limit: int, bench: Bench) -> None:
    head = b'Content-Type: text/plain; hp-legacy-display="1"\r\n\r\n'
    for count, taken in ((limit, True), (limit + 1, False)):
        made = head + b"To: x\r\n" * count + b"\r\nhello\r\n"
        shown = legacy_display.strip(entity.split_entity(made), "cipher").raw
        assert shown.endswith(b"hello\r\n")
        assert (b"To: x" not in shown) is taken


def states(limit: int, bench: Bench) -> None:
    outside = entity.split_entity(b"".join(b"X-%d: y\r\n" % n for n in range(limit + 50)) + b"\r\n")
    assert len(protection.states(outside, None, encrypted=False, use_from=False).fields) == limit
    inside = b"".join(b"X-%d: z\r\n" % n for n in range(limit + 50))
    made = entity.split_entity(inside + b'Content-Type: text/plain; hp="clear"\r\n\r\nx')
    payload = protected(made, outside)
    assert payload is not None
    assert len(protection.states(outside, payload, encrypted=False, use_from=False).fields) == limit


TABLE: Table = {
    "smime.mime.canonical.MAX_DEPTH": Refused(canonical_depth),
    "smime.mime.canonical.MAX_LINE": Passed(line, "a longer line is encoded"),
    "smime.mime.entity.MAX_FIELDS": Refused(header_fields),
    "smime.mime.entity.MAX_HEADER_OCTETS": Refused(header_octets),
    "smime.mime.entity.MAX_KNOWN_HEAD_OCTETS": Passed(
        known_head_octets, "what is longer is read each time"
    ),
    "smime.mime.entity.MAX_KNOWN_TYPES": Passed(
        known_types, "what was read is forgotten and read again"
    ),
    "smime.mime.legacy_display.MAX_DEPTH": Passed(display_depth, "deeper text is shown as it is"),
    "smime.mime.legacy_display.MAX_LINES": Passed(
        display_lines, "a longer one is no display, and is shown"
    ),
    "smime.mime.multipart.MAX_BOUNDARY": Refused(boundary, smime.MalformedMail, says="70 octets"),
    "smime.mime.multipart.MAX_LOOKALIKES": Refused(lookalikes),
    "smime.mime.multipart.MAX_PARTS": Refused(parts),
    "smime.mime.protection.MAX_STATES": Passed(states, "the report names no more fields"),
    "smime.mime.tnef.MAX_ATTRIBUTES": Refused(tnef_attributes),
}
