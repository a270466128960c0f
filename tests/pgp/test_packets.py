"""Messages are taken apart to their last octet, and what does not belong is refused."""

from __future__ import annotations

import bz2
import zlib

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pybase64 import b64encode

import smime
from smime.pgp import inflating, packets
from smime.pgp.packets import dearmor, read_message, read_sealed, read_signatures


def packet(tag: int, body: bytes) -> bytes:
    return bytes([0xC0 | tag, 255]) + len(body).to_bytes(4, "big") + body


def literal(content: bytes, name: bytes = b"", form: bytes = b"b") -> bytes:
    return packet(11, form + bytes([len(name)]) + name + b"\0\0\0\0" + content)


def session_key(key_id: str) -> bytes:
    return packet(1, b"\3" + bytes.fromhex(key_id) + b"\1secret")


def squeezed(data: bytes) -> bytes:
    return packet(8, b"\2" + zlib.compress(data))


NAMED, OTHER = "0123456789abcdef", "fedcba9876543210"
# Class 0, a digest, a key algorithm; the signature has the latter two the other way round.
ONE_PASS, SIGNATURE = packet(4, b"\3\0\x08\x16one pass"), packet(2, b"\4\0\x16\x08signature")
OTHER_SIGNATURE = packet(2, b"\4\0\x16\x0asignature")
SEALED = packet(18, b"\1sealed")
ARMOUR = b"-----BEGIN PGP MESSAGE-----\r\n\r\n%b\r\n-----END PGP MESSAGE-----\r\n"


@pytest.mark.parametrize(
    ("data", "signatures"),
    [
        (literal(b"noon"), 0),
        (literal(b"noon", name=b"letter.txt", form=b"t"), 0),
        (ONE_PASS + literal(b"noon") + SIGNATURE, 1),
        (ONE_PASS * 2 + literal(b"noon") + SIGNATURE * 2, 2),
        (SIGNATURE + literal(b"noon"), 1),
        (ONE_PASS + literal(b"noon") + packet(2, b"\3\5\0" + bytes(12) + b"\x16\x08sig"), 1),
        (squeezed(ONE_PASS + literal(b"noon") + SIGNATURE), 1),
        (ONE_PASS + squeezed(literal(b"noon")) + SIGNATURE, 1),
        (packet(8, b"\1" + zlib.compress(literal(b"noon"))[2:-4]), 0),
        (packet(8, b"\3" + bz2.compress(literal(b"noon"))), 0),
        (packet(8, b"\0" + literal(b"noon")), 0),
        (packet(10, b"PGP") + literal(b"noon"), 0),
        (b"\xaf" + literal(b"noon")[6:], 0),  # the old form, without a length
        (b"\xcb\xe3b\0\0\0\0\0no\2on", 0),  # in pieces of 8 and 2 octets
    ],
)
def test_a_message_has_one_content(data, signatures):
    found = read_message(data)

    assert found.content == b"noon"
    assert len(found.signatures) == signatures


@pytest.mark.parametrize(
    "data",
    [
        b"",
        literal(b"noon") * 2,
        squeezed(literal(b"noon")) + literal(b"dusk"),
        squeezed(literal(b"noon") + literal(b"dusk")),
        literal(b"noon") + SIGNATURE,
        ONE_PASS + literal(b"noon"),
        ONE_PASS + literal(b"noon") + OTHER_SIGNATURE,
        packet(4, b"\4\0\x08\x16one pass") + literal(b"noon") + SIGNATURE,
        ONE_PASS + literal(b"noon") + SIGNATURE * 2,
        SIGNATURE + ONE_PASS + literal(b"noon") + SIGNATURE,
        ONE_PASS + squeezed(ONE_PASS + literal(b"noon") + SIGNATURE) + SIGNATURE,
        SEALED,
        literal(b"noon")[:-1],
        packet(11, b"x\0\0\0\0\0noon"),
        packet(11, b"b\xff"),
        packet(8, b"\2" + zlib.compress(literal(b"noon"))[:-5]),
        packet(8, b"\2noise"),
        packet(8, b""),
        literal(b"noon") + b"\n",
        b"\xc2\xe2four",  # a signature may not come in pieces
    ],
)
def test_what_is_not_one_content_is_refused(data):
    with pytest.raises((smime.MalformedMail, smime.NotSupported)):
        read_message(data)


def test_a_bomb_is_stopped():
    """A thousandth of the octets that it grows to."""
    room = inflating.MAX_INFLATED + 1
    bomb = packet(8, b"\2" + zlib.compress(literal(bytes(room)), 9))

    assert len(bomb) * 900 < room
    with pytest.raises(smime.LimitExceeded):
        read_message(bomb)


def test_nesting_is_limited():
    data = literal(b"noon")
    for _ in range(packets.MAX_NESTING):
        data = squeezed(data)

    assert read_message(data).content == b"noon"
    with pytest.raises(smime.LimitExceeded):
        read_message(squeezed(data))


def test_the_number_of_signatures_is_limited():
    most = packets.MAX_SIGNATURES

    assert len(read_signatures(SIGNATURE * most)) == most
    with pytest.raises(smime.LimitExceeded):
        read_signatures(SIGNATURE * (most + 1))
    with pytest.raises(smime.LimitExceeded):
        read_message(ONE_PASS * (most + 1) + literal(b"") + SIGNATURE * (most + 1))


def test_the_number_of_packets_is_limited():
    marker = packet(10, b"PGP")
    fits = marker * (packets.MAX_PACKETS - 1)

    assert read_message(fits + literal(b"noon")).content == b"noon"
    with pytest.raises(smime.LimitExceeded):
        read_message(fits + marker + literal(b"noon"))


def test_the_number_of_pieces_is_limited():
    piece = b"\xe0x"
    fits = b"\xcb" + b"\xe3b\0\0\0\0\0no" + piece * (packets.MAX_PIECES - 1) + b"\0"

    assert read_message(fits).content == b"no" + b"x" * (packets.MAX_PIECES - 1)
    with pytest.raises(smime.LimitExceeded):
        read_message(b"\xcb" + piece + fits[1:])


def test_a_detached_signature_is_signatures_and_nothing_else():
    assert read_signatures(SIGNATURE * 2) == (SIGNATURE, SIGNATURE)
    for data in (literal(b"noon"), SIGNATURE + literal(b"noon"), b"", SIGNATURE[:-1]):
        with pytest.raises(smime.MalformedMail):
            read_signatures(data)


def test_readers_are_named_and_session_keys_of_others_left_out():
    mine, other, hidden = (session_key(one) for one in (NAMED, OTHER, "0" * 16))
    by_passphrase = packet(3, b"\4passphrase")
    found = read_sealed(mine + other + hidden + by_passphrase + SEALED)

    assert found.recipients == (NAMED, OTHER, "0" * 16)
    assert found.passphrases == 1
    assert found.is_for([NAMED])
    assert not found.is_for(["1" * 16])
    assert list(found.attempts([NAMED])) == [mine + SEALED, hidden + SEALED]
    assert list(found.attempts(["1" * 16])) == [hidden + SEALED]
    assert list(found.by_passphrase()) == [by_passphrase + SEALED]


@pytest.mark.parametrize(
    "data",
    [
        session_key(NAMED),
        session_key(NAMED) + SEALED + SEALED,
        session_key(NAMED) + SEALED + literal(b"noon"),
        session_key(NAMED) + literal(b"noon"),
        literal(b"noon"),
        packet(1, b"\3short") + SEALED,
    ],
)
def test_an_encrypted_message_has_one_container(data):
    assert read_sealed(session_key(NAMED) + SEALED).container == SEALED
    with pytest.raises(smime.MalformedMail):
        read_sealed(data)


def test_a_container_without_protection_against_change_is_refused():
    with pytest.raises(smime.NotSupported, match="whether it was changed"):
        read_sealed(session_key(NAMED) + packet(9, b"sealed"))


@given(st.binary(min_size=1, max_size=300), st.sampled_from([b"\n", b"\r\n"]), st.booleans())
def test_armour_is_taken_off(data, end, checked):
    data = b"\xcb" + data
    text = b64encode(data)
    lines = [text[at : at + 64] for at in range(0, len(text), 64)] + [b"=twTO"] * checked
    armour = end.join(
        [b"-----BEGIN PGP MESSAGE-----", b"Version: x", b"", *lines, b"-----END PGP MESSAGE-----"]
    )

    assert dearmor(armour, "MESSAGE") == data
    assert dearmor(b"\r\n" + armour + b"\n \n") == data


@pytest.mark.parametrize(
    "text",
    [
        b"",
        b"noon",
        b"see below\n" + ARMOUR % b"ywViAG5vdGU=",
        ARMOUR % b"ywViAG5vdGU=" + b"see above",
        ARMOUR % b"ywViAG5vdGU=" * 2,
        (ARMOUR % b"ywViAG5vdGU=")[:-30],
        ARMOUR % b"ywViAG5vdGU=\r\n=twTO\r\nAAAA",
        ARMOUR % b"ywV?AG5vdGU=",
        ARMOUR % b"ywViAG5vdG",
        (ARMOUR % b"ywViAG5vdGU=").replace(b"MESSAGE", b"SIGNATURE"),
    ],
)
def test_armour_that_is_damaged_or_not_alone_is_refused(text):
    assert dearmor(ARMOUR % b"ywViAG5vdGU=", "MESSAGE") == b"\xcb\x05b\x00note"
    with pytest.raises(smime.MalformedMail):
        dearmor(text, "MESSAGE")


@given(st.binary(max_size=400))
def test_any_octets_are_read_or_refused(data):
    for read in (read_message, read_sealed, read_signatures, packets.dearmor_keys):
        try:
            read(b"\xcb" + data)
            read(data)
        except smime.SmimeError:
            continue


@given(st.data())
def test_cut_and_changed_messages_are_read_or_refused(data):
    whole = squeezed(ONE_PASS + literal(b"We meet at noon.") + SIGNATURE)
    at = data.draw(st.integers(0, len(whole) - 1))
    with pytest.raises(smime.MalformedMail):
        read_message(whole[:at])
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(1, 255))
    try:
        read_message(bytes(changed))
    except (smime.MalformedMail, smime.NotSupported):
        return
