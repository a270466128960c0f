"""Rules that hold for every module, read from the source."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
MODULES = sorted(
    path.relative_to(ROOT).as_posix()
    for package in ("smime", "pki")
    for path in (ROOT / package).rglob("*.py")
)

# What starts other programs. These have a reason to: they run gpg, and what cleans up after it.
STARTERS = {"smime/pgp/gnupg.py", "smime/pgp/running.py", "smime/pgp/tied.py"}
# One works in a copy of the process, which starts no program.
FORKERS = {"smime/pgp/bulk.py"}
STARTS = {"subprocess", "multiprocessing", "pty"}
STARTING_CALLS = {"os.system", "os.popen", "os.posix_spawn", "os.fork", "os.execv", "os.execvp"}
# What writes a message object as bytes: done once, on its way in, and never again.
WRITES = {".as_bytes", ".as_string", "BytesGenerator", "Generator", "DecodedGenerator"}
WRITERS = {"smime/mail.py", "smime/_flat.py"}
# Only these speak to other machines, and only to those that their caller names.
TALKERS = {
    "smime/fetch.py",  # the fetcher that is handed in
    "smime/cli/pgpmail.py",  # says to that one whose certificates count
    "pki/cli/remind.py",  # reminders, to a mail server
    "pki/directory.py",  # what is published, to an LDAP server
}
NETWORK = {"socket", "urllib.request", "http.client", "smtplib", "imaplib", "ssl", "requests"}
WEAK_RANDOMNESS = {"random"}


def imports(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (name.name for name in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module and not node.level:
            yield node.module
            yield from (f"{node.module}.{name.name}" for name in node.names)


def used_names(tree: ast.AST) -> Iterator[str]:
    for node in ast.walk(tree):
        if isinstance(node, ast.Attribute):
            yield f".{node.attr}"
            if isinstance(node.value, ast.Name):
                yield f"{node.value.id}.{node.attr}"
        elif isinstance(node, ast.Name):
            yield node.id
        elif isinstance(node, ast.alias):
            yield node.name


@pytest.fixture(params=MODULES)
def module(request: pytest.FixtureRequest) -> tuple[str, ast.Module]:
    name = str(request.param)
    return name, ast.parse((ROOT / name).read_text(encoding="utf-8"), name)


def test_the_rules_can_see() -> None:
    """The positive control: what the rules look for is found where it is."""
    tree = ast.parse(
        "import subprocess\nfrom os import system\nos.system('x')\nm.as_bytes()\nimport random"
    )
    assert STARTS & set(imports(tree))
    assert STARTING_CALLS & set(imports(tree))
    assert STARTING_CALLS & set(used_names(tree))
    assert WRITES & set(used_names(tree))
    for name in STARTERS:
        assert STARTS & set(imports(ast.parse((ROOT / name).read_text(encoding="utf-8"))))
    for name in WRITERS:
        assert WRITES & set(used_names(ast.parse((ROOT / name).read_text(encoding="utf-8"))))
    assert len(MODULES) > 40


def test_no_program_is_started_but_gpg(module: tuple[str, ast.Module]) -> None:
    name, tree = module

    assert not (set() if name in STARTERS else STARTS) & set(imports(tree))
    calls = STARTING_CALLS & (set(imports(tree)) | set(used_names(tree)))
    assert calls == ({"os.fork"} if name in FORKERS else set())


def test_a_message_is_written_in_one_place(module: tuple[str, ast.Module]) -> None:
    name, tree = module
    if name not in WRITERS:
        assert not WRITES & set(used_names(tree))


def test_nothing_is_fetched_but_by_those_who_may(module: tuple[str, ast.Module]) -> None:
    name, tree = module
    used = NETWORK & set(imports(tree))

    assert bool(used) is (name in TALKERS)


def test_randomness_is_the_system_s(module: tuple[str, ast.Module]) -> None:
    _, tree = module

    assert not WEAK_RANDOMNESS & set(imports(tree))


def test_nothing_is_printed_but_by_the_command(module: tuple[str, ast.Module]) -> None:
    name, tree = module
    if not name.startswith(("smime/cli/", "pki/cli", "smime/__main__")):
        calls = {
            node.func.id
            for node in ast.walk(tree)
            if isinstance(node, ast.Call) and isinstance(node.func, ast.Name)
        }
        assert not calls & {"print", "input", "eval", "exec"}


def test_a_module_says_what_it_is_and_where_it_stands(module: tuple[str, ast.Module]) -> None:
    name, tree = module
    about = ast.get_docstring(tree) or ""

    assert about
    if name.count("/") > 1 and not name.endswith("__init__.py"):
        assert "Floor:" in about


def test_a_module_fits_in_a_reader_s_head(module: tuple[str, ast.Module]) -> None:
    name, _ = module

    assert len((ROOT / name).read_text(encoding="utf-8").splitlines()) < 700
