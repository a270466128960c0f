"""Damaged structures: only our errors, in time, and nothing but what was signed or sealed.

2,000 cases here, the same in every run; ``make fuzz`` takes as many as there is time for.
"""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from smime.errors import SmimeError
from tests.fuzz.judge import damaged, faults
from tests.fuzz.structures import Case, structures
from tests.support.world import World

CASES = 2000


@pytest.fixture(scope="module")
def cases(world: World) -> list[Case]:
    return structures(world)


def test_whole_structures_are_read(cases: list[Case]) -> None:
    """The control: undamaged, each way gives the content."""
    for case in cases:
        for way in case.ways:
            content = way(case.blob)
            assert case.vouched is None or content in (None, case.vouched), case.name


@pytest.mark.parametrize("share", range(8))
def test_damaged_structures(cases: list[Case], share: int) -> None:
    wrong = []
    for number in range(share, CASES, 8):
        case = cases[number % len(cases)]
        wrong += [
            f"{case.name}, {number}: {one}" for one in faults(case, damaged(case, f"{number}"))
        ]

    assert not wrong, "\n".join(wrong)


@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_every_structure_cut_at_every_octet(cases: list[Case], form: str) -> None:
    """None of them is whole when its last octet is missing, nor at any other place."""
    for case in cases:
        if "mail" in case.name or case.name == "armoured":
            continue
        way = case.ways[0] if form == "bytes" else case.ways[min(1, len(case.ways) - 1)]
        step = max(1, len(case.blob) // 300)
        cuts = {*range(0, len(case.blob), step), *range(40), len(case.blob) - 1}
        for cut in sorted(cuts):
            with pytest.raises(SmimeError):
                way(case.blob[:cut])


def test_what_was_found_once(cases: list[Case]) -> None:
    wrong = []
    for path in sorted(Path(__file__).parent.glob("found/*.*.*")):
        name = path.name.split(".")[0]
        wrong += faults(named(cases, name), path.read_bytes())

    assert not wrong, "\n".join(wrong)


def named(cases: list[Case], name: str) -> Case:
    return next(one for one in cases if one.name.replace(" ", "-").replace(",", "") == name)


@pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="read from /proc")
def test_announced_sizes_take_no_memory(world: World) -> None:
    """A million recipients, 2^63 octets: what is announced is not what is there."""
    import io

    import smime
    from smime import cms
    from tests.fuzz.run import peak_octets

    head = bytes.fromhex("3087ffffffffffffff06092a864886f70d010703a087ffffffffffffff")
    before = peak_octets()
    for tail in (
        "3087ffffffffffffff0201003187ffffffffffffff",
        "30800201003184ffffffff",
        "30800201003083ffffff",
    ):
        blob = head + bytes.fromhex(tail) + os.urandom(100)
        for source in (blob, io.BytesIO(blob)):
            with pytest.raises(smime.MalformedMail):
                cms.decrypt(source, keys=world.bob)  # type: ignore[call-overload]
    assert peak_octets() - before < 16 << 20
