"""The commands of the README on a system that has sh, coreutils and make, and little else.

Interpreters are shell scripts that answer as the real ones were seen to: no network, quick.
"""

from __future__ import annotations

import shutil
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
COREUTILS = [
    "cat",
    "cksum",
    "cp",
    "cut",
    "env",
    "head",
    "id",
    "ls",
    "mkdir",
    "mv",
    "rm",
    "sort",
    "tail",
    "test",
    "touch",
    "tr",
    "uname",
    "wc",
]
TARGETS = ["demo", "test", "test-servers", "check", "bench", "fuzz", "vectors", "docs", "clean"]

GOOD = """#!/bin/sh
echo "$*" >> ../calls
case "$1$2" in
    -c*) echo "fit 3.12" ;;
    -mvenv) mkdir -p "$3/bin"; cp "$0" "$3/bin/python" ;;
esac
"""
OLD = "#!/bin/sh\necho old 3.9\n"
NO_ENSUREPIP = '#!/bin/sh\ncase "$1" in -c) echo "no-venv 3.11" ;; *) exit 1 ;; esac\n'
# Debian without python3-venv: status 1, and half an environment left behind.
FAILING_VENV = """#!/bin/sh
case "$1$2" in
    -c*) echo "fit 3.11" ;;
    -mvenv) mkdir -p .venv/bin; cp "$0" .venv/bin/python; exit 1 ;;
    *) exit 1 ;;
esac
"""
PIP_SILENT = FAILING_VENV.replace("; exit 1 ;;\n    *)", " ;;\n    *)")
PIP_WITHOUT_NETWORK = GOOD.replace("case", 'case "$2$3" in pipinstall) exit 1 ;; esac\ncase', 1)


@dataclass
class Machine:
    """A copy of the project, and a PATH with nothing but what is put there."""

    project: Path
    bin: Path

    def python(self, script: str, name: str = "python3") -> None:
        (self.bin / name).write_text(script)
        (self.bin / name).chmod(0o755)

    def run(self, *command: str, **env: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            command,
            cwd=self.project,
            env={"PATH": str(self.bin), **env},
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )

    def environment(self, level: str = "runtime", **env: str) -> subprocess.CompletedProcess[str]:
        return self.run("sh", ".ci/environment.sh", level, **env)

    def calls(self) -> list[str]:
        """Return what GOOD was asked to do, in order."""
        return (self.bin.parent / "calls").read_text().splitlines()


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    project, bin = tmp_path / "project", tmp_path / "bin"
    (project / ".ci").mkdir(parents=True)
    bin.mkdir()
    for file in ("Makefile", "pyproject.toml", ".ci/environment.sh"):
        shutil.copy(ROOT / file, project / file)
    for tool in ("sh", "make", *COREUTILS):
        found = shutil.which(tool)
        assert found, tool
        (bin / tool).symlink_to(found)
    return Machine(project, bin)


def test_make_alone_prints_the_menu(machine: Machine) -> None:
    done = machine.run("make")

    assert done.returncode == 0
    assert done.stderr == ""
    named = [line.split()[1] for line in done.stdout.splitlines()]
    assert named == TARGETS
    assert not (machine.project / ".venv").exists()


@pytest.mark.parametrize(
    ("script", "says"),
    [
        (None, "no python3 found, 3.11 or newer is needed: apt install -y python3-venv"),
        (OLD, "python3 is 3.9, and 3.11 or newer is needed: apt install -y python3.11-venv"),
        (NO_ENSUREPIP, "python3 has no working venv module: apt install -y python3-venv"),
        (FAILING_VENV, "python3 cannot make an environment with pip in it: apt install -y"),
        (PIP_SILENT, "python3 cannot make an environment with pip in it: apt install -y"),
        (PIP_WITHOUT_NETWORK, "pip could not install .[ca] (see above)"),
    ],
    ids=["none", "old", "no-ensurepip", "failing-venv", "pip-silent", "no-network"],
)
def test_what_is_missing_is_said_in_one_line_and_twice_the_same(
    machine: Machine, script: str | None, says: str
) -> None:
    """The second run finds what the first left behind, and is not taken in by it."""
    if script:
        machine.python(script)

    first, second = machine.environment(), machine.environment()

    for done in (first, second):
        assert done.returncode == 2
        assert done.stderr.startswith(says)
        assert done.stderr.count("\n") == 1
    assert not (machine.project / ".venv/.finished").exists()
    assert machine.run("make", "demo").returncode == 2
    assert machine.run("make", "test").returncode == 2


def test_a_left_over_half_environment_is_made_anew(machine: Machine) -> None:
    half = machine.project / ".venv/bin"
    half.mkdir(parents=True)
    (half / "python").write_text("#!/bin/sh\nexit 1\n")
    (half / "python").chmod(0o755)
    machine.python(GOOD)

    assert machine.environment().returncode == 0

    assert "-m venv .venv" in machine.calls()


def test_a_finished_environment_is_left_alone(machine: Machine) -> None:
    machine.python(GOOD)
    assert machine.environment("dev").returncode == 0
    before = machine.calls()

    for level in ("dev", "runtime"):
        done = machine.environment(level)
        assert (done.returncode, done.stdout, done.stderr) == (0, "", "")

    assert machine.calls() == before
    assert sum("install" in call for call in before) == 1


def test_more_is_added_to_what_is_there(machine: Machine) -> None:
    machine.python(GOOD)
    machine.environment("runtime")

    done = machine.environment("dev")

    assert done.returncode == 0
    assert machine.calls()[-1] == "-m pip install --quiet --editable .[dev]"
    assert machine.calls().count("-m venv .venv") == 1


def test_other_dependencies_are_installed(machine: Machine) -> None:
    machine.python(GOOD)
    machine.environment()
    with (machine.project / "pyproject.toml").open("a") as file:
        file.write("# changed\n")

    machine.environment()

    assert sum("install" in call for call in machine.calls()) == 2


def test_a_moved_environment_is_made_anew(machine: Machine) -> None:
    """Scripts of a virtual environment name the folder it was made in."""
    machine.python(GOOD)
    machine.environment()
    moved = machine.project.rename(machine.project.with_name("moved"))

    assert Machine(moved, machine.bin).environment().returncode == 0

    assert machine.calls().count("-m venv .venv") == 2


def test_the_newest_fit_interpreter_is_taken(machine: Machine) -> None:
    machine.python(OLD)
    machine.python(NO_ENSUREPIP, "python3.13")
    machine.python(GOOD, "python3.12")

    done = machine.environment()

    assert done.returncode == 0
    assert "with python3.12\n" in done.stdout


def test_the_package_of_an_interpreter_without_venv_is_named(machine: Machine) -> None:
    machine.python(NO_ENSUREPIP, "python3.11")

    done = machine.environment()

    assert done.stderr == (
        "python3.11 has no working venv module: apt install -y python3.11-venv\n"
    )


def test_a_real_interpreter_without_an_index(machine: Machine) -> None:
    """The probe and venv as they are; pip has nowhere to go."""
    machine.python(f'#!/bin/sh\nexec "{sys.executable}" "$@"\n')

    done = machine.environment(PIP_NO_INDEX="1")

    assert done.returncode == 2
    assert done.stderr.splitlines()[-1].startswith("pip could not install .")
    assert not (machine.project / ".venv").exists()
