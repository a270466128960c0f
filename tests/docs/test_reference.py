"""The reference names all there is, and nothing that is not."""

from __future__ import annotations

import ast
import re

import pytest

import pki
import smime
import smime.cms
from smime.trust.judge import CODES
from tests.docs.blocks import ROOT

REFERENCE = ROOT / "docs/reference"


def entries(page: str, section: str) -> set[str]:
    """Return the names that a section's headings and table rows begin with."""
    text = (REFERENCE / page).read_text(encoding="utf-8")
    _, _, after = text.partition(f"\n## {section}\n")
    assert after, f"{page} has no section {section}"
    part = re.split(r"^## ", after, maxsplit=1, flags=re.MULTILINE)[0]
    return set(re.findall(r"^(?:### |\| )`([A-Za-z_0-9-]+)", part, re.MULTILINE))


@pytest.mark.parametrize("module", [smime, smime.cms, pki], ids=lambda module: module.__name__)
def test_public_names(module: object) -> None:
    name = module.__name__  # type: ignore[attr-defined]
    public = set(module.__all__)  # type: ignore[attr-defined]

    assert entries("api.md", name) == public


def test_error_classes_and_statuses() -> None:
    """Every branch of the tree is in the table, with its exit status."""
    rows = (REFERENCE / "errors.md").read_text(encoding="utf-8")
    for module in (smime, pki):
        for name in module.__all__:
            value = getattr(module, name)
            if isinstance(value, type) and issubclass(value, smime.SmimeError):
                assert f"| `{name}` | {value.exit_status} |" in rows


def test_commands() -> None:
    from smime.cli.main import COMMANDS

    assert entries("cli.md", "Commands") == {command[0] for command in COMMANDS}


def test_codes_of_findings_and_notes() -> None:
    """Every code that can be said is explained, and every explained one can be said."""
    said, texts = codes_in_the_source()

    sections = ("Findings", "Problems", "Notes")
    documented = {code for section in sections for code in entries("report.md", section)}

    assert (said | set(CODES)) - documented == set()
    assert documented - texts == set()


def codes_in_the_source() -> tuple[set[str], set[str]]:
    """Return the codes given to findings and notes as literals, and all literal texts."""
    said: set[str] = set()
    texts: set[str] = set()
    for file in (ROOT / "smime").rglob("*.py"):
        for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
            if isinstance(node, ast.Constant) and isinstance(node.value, str):
                texts.add(node.value)
            elif isinstance(node, ast.Call) and node.args:
                called = ast.unparse(node.func)
                if called in {"Finding.no", "Finding.open", "Note"}:
                    said |= literals(node.args[0])
    return said, texts


def literals(node: ast.expr) -> set[str]:
    return {
        each.value
        for each in ast.walk(node)
        if isinstance(each, ast.Constant) and isinstance(each.value, str)
    }
