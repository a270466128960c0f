"""What is known of a limit, and how a walk over all of them goes.

Each module of the project has its constants in one table of this folder, as one of

- ``Refused``: at the limit it works, one above raises the error that is documented;
- ``Passed``: what is above is not looked at, not shown or not kept, and nothing is
  refused; a check shows that it stays bounded, and what still comes out;
- ``Elsewhere``: a test of the same in another file, which names the constant.
"""

from __future__ import annotations

import ast
import importlib
import re
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

import pki
import smime
from tests.support.world import World

ROOT = Path(__file__).parents[2]
PACKAGES = (smime, pki)
# However it is written: with a type, by a sum of two, as one mode's own.
LIMIT = re.compile(r"(?:^|_)MAX(?:_|$)|(?:^|_)LIMIT(?:_|$)")


@dataclass(frozen=True)
class Bench:
    """What an attempt is given beside the count."""

    world: World
    patch: pytest.MonkeyPatch
    folder: Path
    capsys: pytest.CaptureFixture[str]


Attempt = Callable[[int, Bench], Any]


@dataclass(frozen=True)
class Refused:
    """At the limit it works, one above is refused."""

    attempt: Attempt
    error: type[BaseException] = smime.LimitExceeded
    lower: int | None = None
    """The constant is set to this meanwhile, where its true value would cost seconds."""
    says: str = ""
    """What the error has to say, where other faults raise the same."""


@dataclass(frozen=True)
class Passed:
    """What is above is passed over or forgotten; ``attempt`` asserts that it is."""

    attempt: Attempt
    why: str
    lower: int | None = None


@dataclass(frozen=True)
class Elsewhere:
    """Walked by a test that stands with others of its kind: ``path::name``."""

    test: str


Known = Refused | Passed | Elsewhere
Table = dict[str, Known]


def sources() -> Iterator[tuple[str, str]]:
    """Return name and text of every module of the project, without ``__init__`` in it."""
    for package in PACKAGES:
        home = Path(next(iter(package.__path__)))
        for path in sorted(home.rglob("*.py")):
            parts = [package.__name__, *path.relative_to(home).with_suffix("").parts]
            name = ".".join(parts).removesuffix(".__init__")
            yield name, path.read_text(encoding="utf-8")


def numbers(text: str) -> list[str]:
    """Return the constants of a module that are numbers, however they are written."""
    found = []
    for node in ast.parse(text).body:
        if isinstance(node, ast.Assign):
            target, value = node.targets[0], node.value
        elif isinstance(node, ast.AnnAssign) and node.value is not None:
            target, value = node.target, node.value
        else:
            continue
        if isinstance(target, ast.Name) and target.id.isupper() and _is_number(value):
            found.append(target.id)
    return found


def _is_number(node: ast.expr) -> bool:
    if isinstance(node, ast.Constant):
        return type(node.value) in (int, float)
    if isinstance(node, ast.BinOp):
        return _is_number(node.left) and _is_number(node.right)
    if isinstance(node, ast.UnaryOp):
        return _is_number(node.operand)
    if isinstance(node, ast.Call):
        return isinstance(node.func, ast.Name) and node.func.id == "len"
    return isinstance(node, ast.Name) and (LIMIT.search(node.id) is not None)


def home_of(name: str) -> tuple[ModuleType, str]:
    module, _, constant = name.rpartition(".")
    return importlib.import_module(module), constant


def lowered(name: str, value: int, patch: pytest.MonkeyPatch) -> None:
    """Set a constant, also where other modules have imported it."""
    home, constant = home_of(name)
    taken = re.compile(rf"from {re.escape(home.__name__)} import [^\n(]*(?:\([^)]*)?\b{constant}\b")
    texts = dict(sources())
    before = getattr(home, constant)
    for other, text in texts.items():
        loaded = sys.modules.get(other)
        if loaded is None or loaded is home or not taken.search(text):
            continue
        if vars(loaded).get(constant) == before:
            patch.setattr(loaded, constant, value)
    patch.setattr(home, constant, value)


def walk(name: str, known: Known, bench: Bench) -> None:
    """Go to the limit, and one above."""
    if isinstance(known, Elsewhere):
        path, _, test = known.test.partition("::")
        text = (ROOT / path).read_text(encoding="utf-8")
        assert re.search(rf"^def {test}\(", text, re.MULTILINE), f"{known.test} is gone"
        assert re.search(rf"\b{name.rpartition('.')[2]}\b", text), f"{path} does not name {name}"
        return
    home, constant = home_of(name)
    if known.lower is not None:
        lowered(name, known.lower, bench.patch)
    limit = getattr(home, constant)
    known.attempt(limit, bench)
    if isinstance(known, Refused):
        with pytest.raises(known.error, match=known.says or None) as caught:
            known.attempt(limit + 1, bench)
        if known.error is smime.LimitExceeded:
            assert type(caught.value) is smime.LimitExceeded
