"""Hurried lines: each fails in the type checker, and when run with the line to type."""

from __future__ import annotations

import re
from pathlib import Path

import pytest
from mypy import api

import smime
from tests.support.world import World
from tests.usage.conftest import PROGRAMS, load

ROOT = Path(__file__).parents[2]
IGNORE = re.compile(r"  # type: ignore\[[a-z,-]+\]")


def run_mypy(*arguments: str, cache: Path | None = None) -> tuple[str, int]:
    out, err, status = api.run(
        [
            "--config-file",
            str(ROOT / "pyproject.toml"),
            "--no-error-summary",
            "--cache-dir",
            str(cache or ROOT / ".mypy_cache"),
            *arguments,
        ]
    )
    return out + err, status


def test_programs_are_typed() -> None:
    """mypy --strict has nothing to say, unused-ignore included."""
    said, status = run_mypy(str(Path(__file__).parent))

    assert (said, status) == ("", 0)


def test_each_mistake_is_one_to_the_type_checker(tmp_path: Path) -> None:
    lines = (PROGRAMS / "mistakes.py").read_text(encoding="utf-8").splitlines()
    wrong = {number for number, line in enumerate(lines, 1) if IGNORE.search(line)}
    bare = tmp_path / "bare_mistakes.py"
    bare.write_text("\n".join(IGNORE.sub("", line) for line in lines), encoding="utf-8")

    said, status = run_mypy(str(bare))

    assert status == 1
    assert {int(number) for number in re.findall(r"bare_mistakes.py:(\d+): error", said)} == wrong
    assert len(wrong) >= 12


def test_each_mistake_is_refused_with_the_line_to_type(world: World) -> None:
    made = load("mistakes.py").mistakes(world.alice, world.bob.recipient, world.anchors)

    assert len(made) == 12
    for call, kind, named in made:
        with pytest.raises(kind, match=re.escape(named)):
            call()


def test_no_result_is_a_yes_or_a_no(world: World) -> None:
    signed = smime.sign(b"From: alice@example.org\r\n\r\nhi\r\n", by=world.alice)
    opened = smime.verify(signed, trust=world.anchors)

    for call in load("mistakes.py").truths(opened):
        with pytest.raises(TypeError, match="not a yes or no"):
            call()
