"""BER: indefinite lengths and strings in pieces become what they say."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.cms import ber, der
from smime.errors import LimitExceeded, MalformedMail

END = b"\x00\x00"

# A tree: a leaf is bytes, a node a list of trees.
trees = st.recursive(
    st.binary(max_size=40), lambda inner: st.lists(inner, max_size=4), max_leaves=25
)


def as_der(tree: Any) -> bytes:
    if isinstance(tree, bytes):
        return der.octet_string(tree)
    return der.sequence(*(as_der(one) for one in tree))


def as_indefinite(tree: Any, choose: st.DataObject) -> bytes:
    """Write the tree with some of its lengths left open."""
    if isinstance(tree, bytes):
        return der.octet_string(tree)
    inside = b"".join(as_indefinite(one, choose) for one in tree)
    if choose.draw(st.booleans()):
        return b"\x30\x80" + inside + END
    return der.tlv(0x30, inside)


@given(tree=trees, choose=st.data())
def test_definite_undoes_open_lengths(tree: Any, choose: st.DataObject) -> None:
    assert ber.definite(as_indefinite(tree, choose)) == as_der(tree)


def test_what_is_definite_keeps_its_octets() -> None:
    """A length in a longer form than needed stays, for a signature may cover it."""
    odd = b"\x30\x82\x00\x03\x04\x01a"

    assert ber.definite(b"\x30\x80" + odd + END) == der.sequence(odd)


def test_octets_follow_in_order_through_nested_pieces() -> None:
    pieces = der.tlv(0x24, der.octet_string(b"b") + der.tlv(0x24, der.octet_string(b"c")))
    data = der.tlv(0xA0, der.octet_string(b"a") + pieces + der.octet_string(b"d"))

    assert ber.octets(data, der.top(data)) == b"abcd"


def test_a_piece_that_is_no_string_is_refused() -> None:
    data = der.tlv(0x24, der.octet_string(b"a") + der.integer(1))

    with pytest.raises(MalformedMail):
        ber.octets(data, der.top(data))


@pytest.mark.parametrize(
    "data",
    [
        b"\x30\x80\x04\x01a",  # never ended
        b"\x04\x80\x00\x00",  # a primitive cannot be open
        b"\x30\x80\x04\x05a" + END,  # reaches beyond the end
        b"\x30\x03\x30\x80\x00",  # open inside, cut by the definite one around
        b"\x30\x80\x3f\x81\x81\x81\x81\x81\x81\x81\x81\x01\x00" + END,  # a tag without end
        b"",
    ],
)
def test_broken_values_are_refused(data: bytes) -> None:
    with pytest.raises(MalformedMail):
        ber.definite(data)


@pytest.mark.parametrize(("depth", "fits"), [(ber.MAX_DEPTH, True), (ber.MAX_DEPTH + 1, False)])
def test_depth_has_a_limit(depth: int, fits: bool) -> None:
    data = b"\x30\x80" * depth + END * depth

    if fits:
        assert ber.definite(data)[0] == 0x30
    else:
        with pytest.raises(LimitExceeded):
            ber.definite(data)


def test_ten_thousand_levels_are_refused_at_once() -> None:
    with pytest.raises(LimitExceeded):
        ber.definite(b"\x30\x80" * 10_000)


def test_a_string_in_very_many_pieces_is_read_up_to_a_limit() -> None:
    count = 50_000
    data = b"\x24\x80" + b"\x04\x01a" * count + END

    whole = ber.definite(data)

    assert ber.octets(whole, der.top(whole)) == b"a" * count
