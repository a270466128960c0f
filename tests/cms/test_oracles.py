"""What does not open takes the same steps, whichever secret step it is that fails.

The same calls in the same order, of Python's functions and the library's, over
as much content. How long they take is measured by tests/fuzz/timing.py.
"""

from __future__ import annotations

import gc
import sys
import time
from collections.abc import Callable
from types import FrameType
from typing import Any

import pytest

from smime.cms import unwrapping
from tests.fuzz.oracles import (
    CIPHERS,
    CLASSES,
    KINDS,
    ORDINARY,
    keys_of,
    made,
    mail_of,
    opens,
    opens_as_mail,
    opens_straight,
)
from tests.fuzz.timing import area, areas, told_apart

CONTENT_STAGE = "ciphers"
Opens = Callable[[bytes, Any], bool]


def calls(blob: bytes, key: Any, opens: Opens = opens) -> list[object]:
    """Open, and return each call, with the octets given to what works on content."""
    found: list[object] = []

    def note(frame: FrameType, event: str, what: Any) -> None:
        if event == "c_call":
            found.append(getattr(what, "__qualname__", what))
        elif event == "call":
            code = frame.f_code
            octets: tuple[int, ...] = ()
            if CONTENT_STAGE in code.co_filename:
                octets = tuple(
                    len(value) for value in frame.f_locals.values() if isinstance(value, bytes)
                )
            found.append((code.co_qualname, octets))

    gc.collect()
    gc.disable()  # what other tests left to be finalised is none of these calls
    sys.setprofile(note)
    try:
        opened = opens(blob, key)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert not opened
    return found


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("kind", KINDS)
def test_every_failure_takes_the_same_calls(kind: str, cipher: str) -> None:
    _, key = keys_of(kind)
    calls(made(kind, cipher, CLASSES[0]), key)  # what is read once is read now

    sequences = [calls(made(kind, cipher, way), key) for way in CLASSES for _ in range(2)]

    assert len(sequences[0]) > 50
    for one in sequences[1:]:
        assert one == sequences[0]


@pytest.mark.parametrize("way_in", [opens_straight, opens_as_mail])
@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("kind", ORDINARY)
def test_every_failure_of_the_straight_way_takes_the_same_calls(
    kind: str, cipher: str, way_in: Opens
) -> None:
    _, key = keys_of(kind)

    def message(way: str) -> bytes:
        blob = made(kind, cipher, way)
        return mail_of(blob) if way_in is opens_as_mail else blob

    calls(message(CLASSES[0]), key, way_in)  # what is read once is read now

    sequences = [calls(message(way), key, way_in) for way in CLASSES for _ in range(2)]

    assert len(sequences[0]) > 30
    for one in sequences[1:]:
        assert one == sequences[0]


def test_a_step_that_only_some_take_is_seen(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control: a substitute computed only where it is needed."""

    def lazy(value: bytes, length: int, sealed: bytes) -> bytes:
        return value if len(value) == length else unwrapping.substitute(sealed, length)

    for module in ("transport", "agreement", "kem", "shared_keys"):
        monkeypatch.setattr(f"smime.cms.{module}.right_length", lazy)
    for kind in KINDS:
        _, key = keys_of(kind)
        sequences = [calls(made(kind, "aes-256-gcm", way), key) for way in CLASSES for _ in "12"]
        assert sequences[1] == sequences[3] != sequences[5], kind


def test_the_area_under_the_curve() -> None:
    assert area([1, 2, 3], [1, 2, 3]) == 0.5
    assert area([4, 5], [1, 2, 3]) == 1
    assert area([1, 2], [3]) == 0
    assert area([1, 3], [2, 2]) == 0.5
    assert area([1, 1, 2], [1, 1]) == pytest.approx(2 / 3)


def test_a_difference_that_lasts_is_a_finding() -> None:
    pair, other = ("a", "b"), ("a", "c")
    assert told_apart([{pair: 0.6}, {pair: 0.56}, {pair: 0.7}])
    assert told_apart([{pair: 0.4, other: 0.5}, {pair: 0.44, other: 0.6}, {pair: 0.3, other: 0.5}])
    assert not told_apart([{pair: 0.6}, {pair: 0.54}])
    assert not told_apart([{pair: 0.6}, {pair: 0.4}, {pair: 0.6}])
    assert not told_apart([{pair: 0.45}])


def test_the_clock_would_tell(monkeypatch: pytest.MonkeyPatch) -> None:
    """The control of the timings: a fifth of a millisecond more where nothing unwraps."""

    def slow(value: bytes, length: int, sealed: bytes) -> bytes:
        if len(value) != length:
            began = time.thread_time_ns()
            while time.thread_time_ns() - began < 200_000:
                pass
        return real(value, length, sealed)

    real = unwrapping.right_length
    monkeypatch.setattr("smime.cms.shared_keys.right_length", slow)

    measured = areas("shared key", "aes-256-cbc", 100)

    bad = CLASSES[2]
    assert all(found > 0.9 for pair, found in measured.items() if bad in pair)


def test_a_failure_is_the_same_each_time() -> None:
    """A substitute drawn anew would let the same message fail in two ways."""
    for kind in KINDS:
        sealed = bytes(range(40))
        assert unwrapping.substitute(sealed, 32) == unwrapping.substitute(sealed, 32)
        assert unwrapping.substitute(sealed, 32) != unwrapping.substitute(bytes(40), 32)
        blob = made(kind, "aes-256-cbc", CLASSES[0])
        assert {opens(blob, keys_of(kind)[1]) for _ in range(20)} == {False}
