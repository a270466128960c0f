"""Pytest plugin: every report that any test makes is held against the schema and the docs.

``Report.to_dict()`` has the form of ``docs/reference/report.schema.json``, without a field
that is not in it; and every code, with the rule beside it, has its line in ``report.md``.
A test whose own ``Trust`` says what no other says is marked ``own_words``.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any

import fastjsonschema
import pytest

from smime.report import Report

REFERENCE = Path(__file__).parents[2] / "docs/reference"
made = 0
_own_words = False


@cache
def schema() -> dict[str, Any]:
    return json.loads((REFERENCE / "report.schema.json").read_text(encoding="utf-8"))


def closed(value: Any) -> Any:
    """The schema, but that no object has a field beside those it names."""
    if isinstance(value, list):
        return [closed(one) for one in value]
    if not isinstance(value, dict):
        return value
    found = {key: closed(one) for key, one in value.items()}
    if "required" in found and isinstance(found.get("properties"), dict):
        found["additionalProperties"] = False
    return found


@cache
def validator() -> Callable[[dict[str, Any]], None]:
    return fastjsonschema.compile(closed(schema()))


def rows(section: str) -> dict[str, list[str]]:
    """The cells of a table of the page by the code that each row begins with."""
    text = (REFERENCE / "report.md").read_text(encoding="utf-8")
    part = re.split(r"^## ", text.partition(f"\n## {section}\n")[2], flags=re.MULTILINE)[0]
    found = {}
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if line.startswith("| `"):
            found[cells[0].strip("`")] = cells[1:]
    return found


@cache
def rules() -> dict[str, set[str]]:
    """By code the rules that findings and problems name."""
    found: dict[str, set[str]] = {}
    for section in ("Findings", "Problems"):
        for code, cells in rows(section).items():
            found.setdefault(code, set()).update(cells[-1].split("; "))
    return found


@cache
def notes() -> set[str]:
    return set(rows("Notes"))


def walk(value: Any) -> Iterator[dict[str, Any]]:
    """Every object inside, and the value itself if it is one."""
    if isinstance(value, dict):
        yield value
    for one in value.values() if isinstance(value, dict) else value:
        if isinstance(one, dict | list):
            yield from walk(one)


def check(report: dict[str, Any]) -> None:
    """Raise unless it is as the reference says."""
    validator()(json.loads(json.dumps(report)))
    if _own_words:
        return
    for one in walk(report):
        if one.get("code") == "ok":
            assert one["answer"] == "yes"  # by the rule of its question
        elif "answer" in one:
            assert one["source"] in rules().get(one["code"], set()), (
                f"{one['code']}: {one['source']} is not its rule in report.md"
            )
        elif set(one) == {"code", "text"}:
            assert one["code"] in notes(), f"the note {one['code']} is not in report.md"


@pytest.fixture(autouse=True)
def _in_whose_words(request: pytest.FixtureRequest) -> Iterator[None]:
    global _own_words
    _own_words = request.node.get_closest_marker("own_words") is not None
    yield
    _own_words = False


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "own_words: a trust of the test's own names other rules")
    make = Report.__init__

    def checked(self: Report, *given: Any, **named: Any) -> None:
        global made
        make(self, *given, **named)
        made += 1
        check(self.to_dict())

    Report.__init__ = checked  # type: ignore[method-assign]
