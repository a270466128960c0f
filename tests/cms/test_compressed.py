"""CompressedData: both ways at any size, foreign forms, damage, and bombs that stay small."""

from __future__ import annotations

import io
import os
import time
import tracemalloc
import zlib
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from smime import cms
from smime.cms import algorithms as alg
from smime.cms import compressed, der
from tests.support.sources import FORMS, given_as, taken_from
from tests.support.world import World

TEXT = b"".join(b"LIN+%d++4000862141404:SRV'QTY+21:48'\r\n" % n for n in range(20_000))
NOISE = os.urandom(300_000)


def packed(stream: bytes, *, algorithm: bytes = alg.ZLIB, content: bool = True) -> bytes:
    """Return a CompressedData around octets that need not be zlib."""
    inside = der.tlv(0xA0, der.octet_string(stream)) if content else b""
    encapsulated = der.sequence(der.tlv(0x06, alg.DATA), inside)
    inner = der.sequence(der.integer(0), der.sequence(algorithm), encapsulated)
    return der.sequence(der.tlv(0x06, alg.COMPRESSED_DATA), der.tlv(0xA0, inner))


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("content", [b"", b"x", TEXT, NOISE], ids=["empty", "x", "text", "noise"])
def test_what_is_compressed_comes_out_again(form: str, content: bytes, tmp_path: Path) -> None:
    blob = cms.compress(given_as(form, content, tmp_path))

    assert cms.decompress(given_as(form, blob, tmp_path)) == content
    assert len(blob) < len(content) // 5 or content != TEXT
    assert der.top(blob)[3] == len(blob)  # definite lengths


@pytest.mark.parametrize("out", ["path", "file", "memory file"])
def test_it_goes_wherever_it_is_to_go(out: str, tmp_path: Path) -> None:
    blob = taken_from(out, lambda out: cms.compress(TEXT, out=out), tmp_path)

    assert taken_from(out, lambda out: cms.decompress(blob, out=out), tmp_path) == TEXT
    assert blob[1] == 0x80  # the size shows at the end


@settings(max_examples=60, deadline=None)
@given(content=st.binary(max_size=3000), step=st.integers(1, 400))
def test_any_content_in_any_pieces(content: bytes, step: int) -> None:
    stream = zlib.compress(content)
    pieces = [stream[at : at + step] for at in range(0, len(stream), step)]

    assert b"".join(compressed.inflated(pieces, 3000, 200)) == content


def test_a_full_piece_may_have_more_behind_it() -> None:
    """What comes out in whole pieces leaves zlib nothing to read and something to say."""
    for octets in (256 * 1024, 512 * 1024, 512 * 1024 + 1):
        stream = zlib.compress(bytes(octets))
        assert b"".join(compressed.inflated([stream], 1 << 20, 200)) == bytes(octets)


def test_inside_a_signature_and_around_one(world: World) -> None:
    inside = cms.sign(cms.compress(TEXT), by=world.alice)
    around = cms.compress(cms.sign(TEXT, by=world.alice))

    assert cms.decompress(cms.verify(inside, trust=world.anchors).content) == TEXT
    assert cms.verify(cms.decompress(around), trust=world.anchors).content == TEXT


# --- what is refused --------------------------------------------------------------------


@pytest.mark.parametrize(
    ("damage", "why"),
    [
        (lambda s: s[:-1], "cut short"),
        (lambda s: s[: len(s) // 2], "cut short"),
        (lambda s: b"", "cut short"),
        (lambda s: s + b"x", "goes on after its end"),
        (lambda s: s + s, "goes on after its end"),
        (lambda s: s[:-1] + bytes((s[-1] ^ 1,)), "damaged"),  # the check sum at the end
        (lambda s: b"x" + s, "damaged"),
        (lambda s: zlib.compress(TEXT)[2:-4], "damaged"),  # deflate without its zlib frame
    ],
    ids=["cut", "half", "none", "tail", "twice", "sum", "before", "bare"],
)
@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_damaged(damage: Any, why: str, form: str, tmp_path: Path) -> None:
    blob = packed(damage(zlib.compress(TEXT)))
    out = tmp_path / "out"

    with pytest.raises(smime.MalformedMail, match=why):
        cms.decompress(given_as(form, blob, tmp_path), out=out)

    assert not out.exists()
    assert cms.decompress(packed(zlib.compress(TEXT))) == TEXT


def test_what_it_is_not(world: World) -> None:
    with pytest.raises(smime.MalformedMail, match="this is signedData, not compressedData"):
        cms.decompress(cms.sign(b"x", by=world.alice))
    with pytest.raises(smime.NotSupported, match=r"compression 1\.2\.3 is not supported"):
        cms.decompress(packed(b"", algorithm=der.oid("1.2.3")))
    with pytest.raises(smime.MalformedMail, match="not there"):
        cms.decompress(packed(b"", content=False))
    with pytest.raises(TypeError):
        cms.decompress("x")  # type: ignore[call-overload]


# --- bombs ------------------------------------------------------------------------------

BOMB = packed(zlib.compress(bytes(64 << 20), 9))


@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_a_bomb_is_refused_early(form: str, tmp_path: Path) -> None:
    assert len(BOMB) < 70_000
    tracemalloc.start()
    began = time.process_time()
    with pytest.raises(smime.LimitExceeded, match="grows by more than 200 to one") as refusal:
        cms.decompress(given_as(form, BOMB, tmp_path))
    spent = time.process_time() - began
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()

    assert "limit_ratio" in refusal.value.hint
    assert peak < 32 << 20
    assert spent < 1
    assert len(cms.decompress(BOMB, limit_ratio=2000)) == 64 << 20


def test_at_the_limit_and_one_above() -> None:
    blob = cms.compress(TEXT)

    assert cms.decompress(blob, limit_octets=len(TEXT)) == TEXT
    with pytest.raises(smime.LimitExceeded, match=f"more than {len(TEXT) - 1} octets"):
        cms.decompress(blob, limit_octets=len(TEXT) - 1)


def test_a_small_thing_may_pack_well() -> None:
    blob = cms.compress(bytes(compressed.FREE_OCTETS))

    assert len(cms.decompress(blob)) == compressed.FREE_OCTETS


def test_time_grows_with_what_was_received() -> None:
    """One piece of many MiB is not copied again and again."""
    times = []
    for octets in (4 << 20, 16 << 20):
        stream = zlib.compress(os.urandom(octets), 0)
        began = time.process_time()
        size = sum(map(len, compressed.inflated([stream], 1 << 30, 200)))
        times.append(time.process_time() - began)
        assert size == octets

    assert times[1] < 12 * max(times[0], 0.01)


def test_a_bomb_leaves_nothing_behind(tmp_path: Path) -> None:
    out = tmp_path / "out"
    held = io.BytesIO()

    for place in (out, held):
        with pytest.raises(smime.LimitExceeded):
            cms.decompress(BOMB, out=place)

    assert list(tmp_path.iterdir()) == []
    assert held.getvalue() == b""
