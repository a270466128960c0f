"""Foreign programs: found, of a known version, and counted.

python -m tests.support.peers packages        what apt has to install
python -m tests.support.peers scripts         what has to be run to get the others
python -m tests.support.peers summary FILE    a line per peer; status 1 if one was not used
"""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
import tomllib
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

LISTED = Path(__file__).parents[1] / "peers.toml"
# Where scripts put programs that are not to be installed on the machine.
BESIDE = LISTED.parents[1] / "build/peers/bin"


class PeerMissing(Exception):
    """The program is not there, or is another one than the tests expect."""


@dataclass(frozen=True)
class Peer:
    """A foreign program that is there and of a version that will do."""

    name: str
    path: str
    version: str

    def run(self, *arguments: str | Path, input: bytes = b"") -> bytes:
        """Run it and return its standard output; what it says on failure is in the error."""
        done = self.attempt(*arguments, input=input)
        if done.returncode:
            raise AssertionError(
                f"{self.name} {' '.join(map(str, arguments))}: status {done.returncode}\n"
                + done.stderr.decode(errors="replace")
            )
        return done.stdout

    def attempt(
        self, *arguments: str | Path, input: bytes = b""
    ) -> subprocess.CompletedProcess[bytes]:
        """Run it whatever its status: for what it has to refuse."""
        return subprocess.run(
            [self.path, *map(str, arguments)],
            input=input,
            capture_output=True,
            timeout=60,
            check=False,
        )


@cache
def listed() -> dict[str, dict[str, Any]]:
    """Return the table of ``tests/peers.toml``."""
    return tomllib.loads(LISTED.read_text(encoding="utf-8"))


@cache
def peer(name: str) -> Peer:
    """Return the peer of that name; ``PeerMissing`` says what is wrong with it."""
    entry = listed()[name]
    path = shutil.which(entry["program"]) or shutil.which(entry["program"], path=str(BESIDE))
    if path is None:
        how = f"sh {entry['script']}" if "script" in entry else f"apt install -y {entry['package']}"
        raise PeerMissing(f"{name} is not installed: {how}")
    said = subprocess.run(
        [path, *entry["arguments"]],
        cwd=LISTED.parents[1],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )
    found = re.search(entry["version"], said.stdout + said.stderr, re.MULTILINE)
    if found is None:
        raise PeerMissing(f"{path} is not the {name} meant here: {said.stdout.strip()[:60]!r}")
    if _numbers(found[1]) < _numbers(entry["least"]):
        raise PeerMissing(f"{path} is {found[1]}; the tests need {entry['least']} or newer")
    return Peer(name, path, found[1])


def _numbers(version: str) -> tuple[int, ...]:
    return tuple(int(part) for part in version.split("."))


def summary(counts: dict[str, int]) -> tuple[list[str], bool]:
    """Return a line per listed peer, and whether every one was there and used."""
    lines, fine = [], True
    for name in listed():
        ran = counts.get(name, 0)
        try:
            found = peer(name)
        except PeerMissing as missing:
            lines.append(f"{name}: {missing}")
            fine = False
            continue
        lines.append(f"{name}: {found.path}, version {found.version}, {ran} tests run")
        fine = fine and ran > 0
    return lines, fine


def main(arguments: list[str]) -> int:
    match arguments:
        case ["packages"]:
            named = (entry.get("package", "").split() for entry in listed().values())
            print(*sorted({package for one in named for package in one}), sep="\n")
            return 0
        case ["scripts"]:
            print(*sorted(one["script"] for one in listed().values() if "script" in one), sep="\n")
            return 0
        case ["summary", file]:
            path = Path(file)
            counts = json.loads(path.read_text()) if path.exists() else {}
            lines, fine = summary(counts)
            print(*lines, sep="\n")
            return 0 if fine else 1
    print(__doc__, file=sys.stderr)
    return 2


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
