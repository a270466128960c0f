"""DER: what is written is read back, and what is cut or enlarged is refused."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta, timezone

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.cms import der
from smime.errors import LimitExceeded, MalformedMail

LENGTHS = (0, 1, 127, 128, 255, 256, 65535, 65536, 70000)


@pytest.mark.parametrize("length", LENGTHS)
def test_top_reads_what_tlv_writes(length: int) -> None:
    data = der.tlv(0x04, bytes(length))

    tag, start, content, end = der.top(data)

    assert (tag, start, end - content, end) == (0x04, 0, length, len(data))


@given(parts=st.lists(st.binary(max_size=300), max_size=30))
def test_children_are_the_parts_of_a_sequence(parts: list[bytes]) -> None:
    data = der.sequence(*(der.octet_string(part) for part in parts))

    found = [data[node[2] : node[3]] for node in der.children(data, der.top(data))]

    assert found == parts


@given(parts=st.lists(st.binary(max_size=200), min_size=1, max_size=5), data=st.data())
def test_an_element_that_is_cut_short_is_refused(parts: list[bytes], data: st.DataObject) -> None:
    whole = der.sequence(*(der.octet_string(part) for part in parts))
    cut = data.draw(st.integers(min_value=0, max_value=len(whole) - 1))

    with pytest.raises(MalformedMail):
        der.top(whole[:cut])


def test_a_child_that_reaches_beyond_its_parent_is_refused() -> None:
    data = bytearray(der.sequence(der.octet_string(b"1234")))
    data[3] += 1

    with pytest.raises(MalformedMail):
        der.children(bytes(data), der.top(bytes(data)))


@pytest.mark.parametrize(
    "start", [b"\x30\x89" + b"\x01" * 9, b"\x30\x88" + b"\xff" * 8, b"\x3f\x01\x00"]
)
def test_lengths_and_tags_that_cannot_be_are_refused(start: bytes) -> None:
    with pytest.raises(MalformedMail):
        der.top(start + bytes(20))


def test_an_indefinite_length_is_told_apart() -> None:
    with pytest.raises(der.Indefinite):
        der.top(b"\x30\x80\x00\x00")


def test_the_number_of_elements_has_a_limit() -> None:
    at_limit = der.sequence(*[der.NULL] * 100)
    above = der.sequence(*[der.NULL] * 101)

    assert len(der.children(at_limit, der.top(at_limit), 100)) == 100
    with pytest.raises(LimitExceeded):
        der.children(above, der.top(above), 100)


@pytest.mark.parametrize(
    "dotted", ["1.2.840.113549.1.7.2", "2.16.840.1.101.3.4.1.42", "2.5.4.3", "0.9.2342", "2.999.1"]
)
def test_oid_text_reads_what_oid_writes(dotted: str) -> None:
    assert der.oid_text(der.oid(dotted)[2:]) == dotted


@given(st.integers(min_value=0, max_value=2**200))
def test_integers_are_minimal_and_positive(value: int) -> None:
    content = der.integer(value)[2:] if value < 2**1000 else b""

    assert int.from_bytes(content, "big", signed=True) == value
    assert len(content) == 1 or content[0] or content[1] & 0x80


@pytest.mark.parametrize(
    ("year", "form"), [(1950, b"\x17\x0d50"), (2049, b"\x17\x0d49"), (2050, b"\x18\x0f2050")]
)
def test_times_change_form_in_2050(year: int, form: bytes) -> None:
    written = der.time(datetime(year, 1, 2, 3, 4, 5, tzinfo=UTC))

    assert written == form + b"0102030405Z"


def test_set_of_is_sorted_by_encoding() -> None:
    assert der.set_of(b"\x04\x01b", b"\x04\x01a") == b"\x31\x06\x04\x01a\x04\x01b"


WRITTEN = [
    der.tlv(tag, bytes(octets))
    for tag in (0x02, 0x30, 0x80, 0xA0, 0x1F)
    for octets in (0, 1, 127, 128, 255, 256, 300)
]
ODD = (0, 1, 0x1F, 0x7F, 0x80, 0x81, 0x82, 0x83, 0x84, 0x88, 0x89, 0xFF)


def plain_children(data: bytes, start: int, end: int) -> list[tuple[int, int, int, int]] | str:
    """Read elements with ``top`` alone."""
    found = []
    try:
        while start < end:
            found.append(der.top(data, start, end))
            start = found[-1][3]
    except MalformedMail as problem:
        return type(problem).__name__
    return found


@given(
    st.lists(st.sampled_from(WRITTEN), max_size=5),
    st.lists(st.tuples(st.integers(0, 60), st.sampled_from(ODD)), max_size=3),
    st.integers(0, 12),
    st.integers(0, 40),
)
def test_the_quick_way_reads_what_the_plain_way_does(
    parts: list[bytes], changes: list[tuple[int, int]], start: int, less: int
) -> None:
    """Whatever stands there: the same elements, or the same error."""
    data = bytearray(b"".join(parts))
    for at, octet in changes:
        if data:
            data[at % len(data)] = octet
    end = max(len(data) - less, 0)
    found: object
    try:
        found = der.children(bytes(data), (0x30, 0, start, end))
    except MalformedMail as problem:
        found = type(problem).__name__

    assert found == plain_children(bytes(data), start, end)


@given(
    moment=st.datetimes(datetime(1900, 1, 2), datetime(2200, 1, 1)),
    hours=st.integers(min_value=-14, max_value=14),
)
def test_times_are_in_utc(moment: datetime, hours: int) -> None:
    """Written from the fields as they are formatted by others, whatever the zone."""
    moment = moment.replace(tzinfo=timezone(timedelta(hours=hours)))
    digits = moment.astimezone(UTC).strftime("%m%d%H%M%SZ")
    year = moment.astimezone(UTC).year
    short = 1950 <= year < 2050
    text = f"{year % 100:02}{digits}" if short else f"{year:04}{digits}"

    assert der.time(moment) == der.tlv(0x17 if short else 0x18, text.encode())


@given(value=st.binary(min_size=8, max_size=256), inside=st.booleans())
def test_what_stands_around_a_content_fits_every_content_of_its_length(
    value: bytes, inside: bool
) -> None:
    def write(content: bytes) -> bytes:
        parts = [der.integer(3), der.octet_string(content)]
        return der.sequence(*parts, der.NULL) if inside else der.sequence(*parts)

    before, behind = der.around(write, len(value))

    assert before + value + behind == write(value)
