"""The limits of smime.pgp: files of keys, packets, what grows."""

from __future__ import annotations

import smime
from smime.pgp import making, packets
from tests.limits.walk import Bench, Elsewhere, Refused, Table
from tests.pgp.test_packets import literal, packet

PACKETS = "tests/pgp/test_packets.py::"


def part(count: int, bench: Bench) -> None:
    body = b"\4\0\x16\x08"
    head = len(packet(2, body))
    data = packet(2, body + bytes(count - head))
    assert packets.read_signatures(data) == (data,)
    assert packets.read_message(data + literal(b"x")).content == b"x"


def name(count: int, bench: Bench) -> None:
    assert making.user_id("a@example.org", "x" * count)


TABLE: Table = {
    "smime.pgp.gnupg.MAX_RECIPIENTS": Elsewhere(
        "tests/pgp/test_gnupg.py::test_no_more_readers_than_fit"
    ),
    "smime.pgp.inflating.MAX_INFLATED": Elsewhere(PACKETS + "test_a_bomb_is_stopped"),
    "smime.pgp.making.MAX_NAME": Refused(name, ValueError, says="short"),
    "smime.pgp.manager.MAX_KEY_OCTETS": Elsewhere(
        "tests/pgp/test_keyring.py::test_a_file_of_keys_has_a_limit"
    ),
    "smime.pgp.packets.MAX_NESTING": Elsewhere(PACKETS + "test_nesting_is_limited"),
    "smime.pgp.packets.MAX_PACKETS": Elsewhere(PACKETS + "test_the_number_of_packets_is_limited"),
    "smime.pgp.packets.MAX_PART": Refused(part, smime.LimitExceeded),
    "smime.pgp.packets.MAX_PIECES": Elsewhere(PACKETS + "test_the_number_of_pieces_is_limited"),
    "smime.pgp.packets.MAX_SIGNATURES": Elsewhere(
        PACKETS + "test_the_number_of_signatures_is_limited"
    ),
    "smime.pgp.status.MAX_STATUS": Elsewhere(
        "tests/pgp/test_status.py::test_a_stream_beyond_its_budget_is_odd"
    ),
}
