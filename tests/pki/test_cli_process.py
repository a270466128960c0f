"""``smimetool ca`` in a process of its own: status, locale, streams, what it imports."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

from pki.folder import Records
from tests.pki.house import COMMAND, ENVIRONMENT


def run(*arguments: str, cwd: Path, **environment: str) -> subprocess.CompletedProcess[bytes]:
    return subprocess.run(
        [*COMMAND, *arguments],
        cwd=cwd,
        env=ENVIRONMENT | environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )


def test_a_failure_is_one_line_a_hint_and_a_status(here: Path) -> None:
    done = run("init", "club", cwd=here, LC_ALL="C")

    assert done.returncode == 26
    assert done.stdout == b""
    assert len(done.stderr.splitlines()) == 2
    assert b"hint: " in done.stderr


def test_names_beyond_ascii_pass_in_any_locale(here: Path) -> None:
    name = "国际象棋 Zürich"
    options = ("--name", name, "--passphrase-file", "ca-pass")

    assert run("init", "club", *options, cwd=here, PYTHONIOENCODING="ascii").returncode == 0
    shown = run("show", cwd=here, PYTHONIOENCODING="ascii")

    assert shown.returncode == 0
    assert rb"\u56fd" in shown.stdout
    assert Records.load(here / "club").name == name


def test_what_only_some_systems_have_is_not_imported(here: Path) -> None:
    missing = "import sys; sys.modules.update(dict.fromkeys(['fcntl','pwd','grp','termios']))"
    script = f"{missing}; import pki.cli; sys.exit(pki.cli.main(sys.argv[1:]))"
    options = ["init", "club", "--name", "Club", "--passphrase-file", "ca-pass"]

    done = subprocess.run(
        [sys.executable, "-c", script, *options],
        cwd=here,
        env=ENVIRONMENT,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 0, done.stderr


def test_closed_output_is_said_before_anything_is_made(here: Path) -> None:
    options = "init club --name Club --passphrase-file ca-pass"
    line = " ".join([*COMMAND, options]) + " >&-"
    done = subprocess.run(
        ["/bin/sh", "-c", line], cwd=here, env=ENVIRONMENT, capture_output=True, check=False
    )

    assert done.returncode == 8
    assert not (here / "club").exists()
