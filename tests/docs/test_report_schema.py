"""The form of a report: what its schema takes, what it refuses, and the rule of each code."""

from __future__ import annotations

import ast
import copy
import json
import re
from collections.abc import Callable
from typing import Any

import fastjsonschema
import pytest

import smime
from smime.trust.judge import CODES
from tests.docs.blocks import ROOT
from tests.support import reports
from tests.support.world import LETTER, World


def report_of(world: World) -> dict[str, Any]:
    """A sealed and signed mail, so that there is something of everything."""
    # Of a day that is gone, so that the gap to the moment of signing is noted on every day.
    letter = LETTER.replace(b"Tue, 24 Nov 2026", b"Tue, 3 Nov 2026")
    mail = smime.protect(letter, by=world.alice, to=world.bob)
    found = smime.examine(mail, keys=world.bob, trust=world.anchors)
    return json.loads(json.dumps(found.to_dict()))


def places(value: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Every place in it where a field stands."""
    found = [path] if path and isinstance(path[-1], str) else []
    pairs = value.items() if isinstance(value, dict) else enumerate(value)
    for key, one in pairs:
        if isinstance(one, dict | list):
            found += places(one, (*path, key))
        elif isinstance(key, str):
            found.append((*path, key))
    return found


def parent_of(report: dict[str, Any], place: tuple[Any, ...]) -> Any:
    for key in place[:-1]:
        report = report[key]
    return report


def test_it_takes_what_is_made_and_what_may_be_added(world: World) -> None:
    report = report_of(world)
    published = fastjsonschema.compile(reports.schema())

    reports.check(report)
    published(report)
    published({**report, "of a later version": 1})
    with pytest.raises(fastjsonschema.JsonSchemaException):
        reports.check({**report, "of a later version": 1})


CHANGES: dict[str, Callable[[Any], Any]] = {
    "a number": lambda value: 7 if value != 7 else 8,
    "an object": lambda value: {"no such": "thing"},
}


@pytest.mark.parametrize("change", CHANGES)
def test_it_refuses_every_field_of_another_type(world: World, change: str) -> None:
    report = report_of(world)
    found = places(report)
    assert len(found) > 100

    for place in found:
        other = copy.deepcopy(report)
        where = parent_of(other, place)
        where[place[-1]] = CHANGES[change](where[place[-1]])
        with pytest.raises(fastjsonschema.JsonSchemaException):
            reports.check(other)


def test_it_refuses_a_report_that_lacks_a_field(world: World) -> None:
    report = report_of(world)

    for place in places(report):
        other = copy.deepcopy(report)
        del parent_of(other, place)[place[-1]]
        with pytest.raises(fastjsonschema.JsonSchemaException):
            reports.check(other)


def test_good_without_a_signer_and_a_signer_without_good(world: World) -> None:
    report = report_of(world)

    for changed in ({"signer": None}, {"outcome": "rejected"}):
        with pytest.raises(fastjsonschema.JsonSchemaException):
            reports.check({**report, **changed})


def test_unknown_codes_and_rules_are_noticed(world: World) -> None:
    for changed in ({"code": "no-such"}, {"code": "not-sealed", "source": "RFC 822 §1"}):
        report = report_of(world)
        report["addressed_to_me"].update(changed)
        with pytest.raises(AssertionError):
            reports.check(report)
    report = report_of(world)
    report["notes"].append({"code": "no-such", "text": "x"})
    with pytest.raises(AssertionError):
        reports.check(report)


def test_every_report_that_is_made_is_held_against_it(world: World) -> None:
    """The whole run is: a report that breaks the schema fails the test that made it."""
    before = reports.made

    smime.examine(LETTER, trust=world.anchors)

    assert reports.made == before + 1
    with pytest.raises(fastjsonschema.JsonSchemaException):
        smime.Report(smime.Outcome.GOOD)


# --- the rule of each code ------------------------------------------------------------


def stated() -> dict[str, set[str]]:
    """By code the rules that stand beside it in the source, where both are written out."""
    found: dict[str, set[str]] = {}
    for file in (ROOT / "smime").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if not (isinstance(node, ast.Call) and len(node.args) > 2):
                continue
            if ast.unparse(node.func) in {"Finding.no", "Finding.open"}:
                code, _, rule = node.args[:3]
                if isinstance(code, ast.Constant) and isinstance(rule, ast.Constant):
                    found.setdefault(code.value, set()).add(rule.value)
    return found


def test_every_code_has_its_rule() -> None:
    documented = reports.rules()

    for code, rules in stated().items():
        assert rules <= documented[code], code
    for code in CODES:
        assert code == "ok" or documented[code], code
    whole = "\n".join(file.read_text(encoding="utf-8") for file in (ROOT / "smime").rglob("*.py"))
    for code, rules in documented.items():
        for rule in rules - {"that of its question"}:
            assert re.fullmatch(r"RFC \d+ (§|Appendix )[A-Z\d.]+(, §[\d.]+)*", rule), (code, rule)
            assert f'"{rule}"' in whole, f"{code}: nothing names {rule}"
