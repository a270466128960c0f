"""Every limit of the project, walked: at it all works, one above is refused as documented.

A constant that is in no table fails the first test, and so does an entry without a
constant. The limits of ``smime.cms`` have a walk of their own in tests/cms.
"""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from tests.limits import of_formats, of_keys, of_mime, of_pgp, of_pki, of_public, of_trust
from tests.limits.unwalked import UNWALKED
from tests.limits.walk import LIMIT, Bench, Known, numbers, sources, walk
from tests.support.world import World

TABLES = (
    of_formats.TABLE,
    of_keys.TABLE,
    of_mime.TABLE,
    of_pgp.TABLE,
    of_pki.TABLE,
    of_public.TABLE,
    of_trust.TABLE,
)
EVERY: dict[str, Known] = {name: known for table in TABLES for name, known in table.items()}
SECONDS = 2.0  # of this process, for one limit


def constants() -> list[str]:
    return [f"{module}.{name}" for module, text in sources() for name in numbers(text)]


def test_every_limit_is_walked() -> None:
    """By what they are called; those of smime.cms are compared beside their own walk."""
    found = [one for one in constants() if LIMIT.search(one.rpartition(".")[2])]
    elsewhere = [one for one in found if one.startswith("smime.cms.")]

    assert sum(map(len, TABLES)) == len(EVERY)  # none stands twice
    assert sorted([*EVERY, *UNWALKED.split()]) == sorted(set(found) - set(elsewhere))
    assert len(elsewhere) > 30


@pytest.mark.parametrize("name", sorted(EVERY))
def test_a_limit(
    world: World,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    name: str,
) -> None:
    began = time.process_time()

    walk(name, EVERY[name], Bench(world, monkeypatch, tmp_path, capsys))

    assert time.process_time() - began < SECONDS
