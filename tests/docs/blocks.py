"""The fenced blocks of a Markdown page, and a folder to run them in.

The first word after the fence is the language; what follows is for us, and a
reader never sees it:

    ```sh                 run by sh, must end with status 0
    ```sh status=7        must end with status 7
    ```python             run; the blocks of a page share their names
    ```python file=x.py   saved as x.py, for a later shell block to run
    ```text output        what the shell block above prints; ... stands for anything

A block that is not run has ``<!-- not run: reason -->`` on the line above it.
Standard library only: the demo runs without the tools of the tests.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).parents[2]
FENCE = re.compile(r"^```(\S*)[ ]*(.*)$")
NOT_RUN = re.compile(r"^<!-- not run: (.+) -->$")
RUNS = ("sh", "python")


@dataclass(frozen=True)
class Block:
    """One fenced block: where it stands, what it holds, what is said of it."""

    page: Path
    line: int
    language: str
    text: str
    options: dict[str, str] = field(default_factory=dict)
    not_run: str = ""

    def __str__(self) -> str:
        return f"{self.page.relative_to(ROOT)}:{self.line}"


class Differs(Exception):
    """A block did something else than its page says."""


def read_blocks(page: Path) -> list[Block]:
    """Return the blocks of a page in order, all languages."""
    blocks: list[Block] = []
    inside: tuple[int, str, dict[str, str], str] | None = None
    before = ""
    held: list[str] = []
    for number, line in enumerate(page.read_text(encoding="utf-8").splitlines(), 1):
        fence = FENCE.match(line)
        if inside is None and fence:
            options = dict(part.partition("=")[::2] for part in fence[2].split())
            reason = NOT_RUN.match(before)
            inside = (number, fence[1], options, reason[1] if reason else "")
            held = []
        elif inside is not None and fence:
            if fence[1]:
                raise ValueError(f"{page}:{number}: the block above is not closed")
            at, language, options, not_run = inside
            text = "".join(f"{one}\n" for one in held)
            blocks.append(Block(page, at, language, text, options, not_run))
            inside = None
        elif inside is not None:
            held.append(line)
        before = line.strip()
    if inside is not None:
        raise ValueError(f"{page}: the last block is not closed")
    return blocks


def with_output(blocks: list[Block]) -> list[tuple[Block, Block | None]]:
    """Return the blocks to run, each with the block of its output if it has one."""
    pairs = []
    for block, after in zip(blocks, [*blocks[1:], None], strict=True):
        if block.language in RUNS:
            expected = after if after and "output" in after.options else None
            pairs.append((block, expected))
    return pairs


def commands(text: str) -> list[str]:
    """Cut a shell block into its commands: a line each, or several joined by a backslash."""
    return [line for line in re.split(r"(?<!\\)\n", text) if line.strip()]


def agrees(expected: str, printed: str) -> bool:
    """Compare line by line, blanks at the ends aside; ``...`` stands for anything."""
    pattern = ".*".join(re.escape(part) for part in expected.strip().split("..."))
    lines = "\n".join(line.rstrip() for line in printed.strip().splitlines())
    return re.fullmatch(pattern, lines, re.DOTALL) is not None


class Scratch:
    """A folder in which blocks run, with ``smimetool`` and ``python3`` on the PATH."""

    def __init__(self, folder: Path, tools: Path) -> None:
        self.folder = folder
        tools.mkdir(parents=True, exist_ok=True)
        for name, arguments in (("smimetool", " -m smime"), ("python3", "")):
            tool = tools / name
            tool.write_text(f'#!/bin/sh\nexec "{sys.executable}"{arguments} "$@"\n')
            tool.chmod(0o755)
        inherited = os.environ.get("PATH", os.defpath)
        self.env = {
            **os.environ,
            "PATH": f"{tools}{os.pathsep}{inherited}",
            "PYTHONPATH": str(ROOT),
        }

    def run(self, command: str) -> tuple[int, str]:
        """Run shell text: its status, and what it prints on both streams in order."""
        shell = shutil.which("sh") or "/bin/sh"
        done = subprocess.run(
            [shell, "-eu"],
            input=command.encode(),
            cwd=self.folder,
            env=self.env,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=300,
            start_new_session=True,  # no terminal: whatever would ask fails instead of waiting
            check=False,
        )
        return done.returncode, done.stdout.decode(errors="backslashreplace")

    def save(self, block: Block) -> str:
        """Write a block with ``file=`` to that file and return its name."""
        (self.folder / block.options["file"]).write_text(block.text, encoding="utf-8")
        return block.options["file"]


def check(block: Block, status: int, printed: str, expected: Block | None) -> None:
    """Raise ``Differs`` unless status and output are what the page says."""
    wanted = int(block.options.get("status", "0"))
    if status != wanted:
        raise Differs(f"{block}: status {status}, the page says {wanted}\n{printed}")
    if expected and not agrees(expected.text, printed):
        raise Differs(f"{block}: printed\n{printed}\nthe page says\n{expected.text}")
