"""Peers: found by version, named when missing, counted, and nothing skipped silently."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.support import peers

ROOT = Path(__file__).parents[2]
STORY = """
import pytest
pytest_plugins = ["tests.support.plugin"]

@pytest.fixture
def openssl(): ...

def test_by_fixture(openssl): ...

@pytest.mark.peer("openssl")
@pytest.mark.parametrize("n", [1, 2])
def test_by_mark(n): ...

def test_without(): ...
"""


def run_story(folder: Path, *, program: str, ci: bool, story: str = STORY) -> tuple[int, str, int]:
    """Run the story with this openssl on the PATH: status, output, tests counted."""
    (folder / "bin").mkdir()
    if program:
        (folder / "bin/openssl").write_text(program)
        (folder / "bin/openssl").chmod(0o755)
    (folder / "test_story.py").write_text(story)
    (folder / "pytest.ini").write_text("[pytest]\nmarkers = peer(name): x\n")
    counts = folder / "peers.json"
    done = subprocess.run(
        [sys.executable, "-m", "pytest", "-q", "-ra", "-p", "no:cacheprovider", folder],
        cwd=folder,
        env={
            "PATH": f"{folder / 'bin'}",
            "PYTHONPATH": str(ROOT),
            "PEER_COUNTS": str(counts),
            "CI": "true" if ci else "",
        },
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    return done.returncode, done.stdout, json.loads(counts.read_text()).get("openssl", 0)


RIGHT = "#!/bin/sh\necho 'OpenSSL 3.5.1 1 Jul 2026'\n"
OLD = "#!/bin/sh\necho 'OpenSSL 1.1.1w  11 Sep 2023'\n"
LIBRESSL = "#!/bin/sh\necho 'LibreSSL 3.3.6'\n"


@pytest.mark.parametrize("ci", [False, True])
def test_a_peer_that_is_there_is_used_and_counted(tmp_path: Path, ci: bool) -> None:
    status, said, count = run_story(tmp_path, program=RIGHT, ci=ci)

    assert (status, count) == (0, 3), said
    assert "peer openssl: 3 tests run" in said


@pytest.mark.parametrize(
    ("program", "reason"),
    [("", "apt install -y openssl"), (OLD, "3.0 or newer"), (LIBRESSL, "not the openssl meant")],
    ids=["missing", "old", "libressl"],
)
def test_a_missing_peer_skips_here_and_fails_in_ci(
    tmp_path: Path, program: str, reason: str
) -> None:
    (tmp_path / "here").mkdir()
    (tmp_path / "ci").mkdir()

    here = run_story(tmp_path / "here", program=program, ci=False)
    in_ci = run_story(tmp_path / "ci", program=program, ci=True)

    assert here[::2] == (0, 0)
    assert "3 skipped" in here[1]
    assert reason in here[1]
    assert in_ci[::2] == (1, 0)
    assert "3 errors" in in_ci[1]


@pytest.mark.parametrize(("reason", "status"), [("no time", 1), ("platform: not POSIX", 0)])
def test_no_other_skip_passes_ci(tmp_path: Path, reason: str, status: int) -> None:
    story = STORY + f"\ndef test_skipped():\n    pytest.skip({reason!r})\n"

    assert run_story(tmp_path, program=RIGHT, ci=True, story=story)[0] == status


def test_a_listed_peer_without_tests_is_said(monkeypatch: pytest.MonkeyPatch) -> None:
    here = peers.Peer("openssl", "/usr/bin/openssl", "3.0")
    monkeypatch.setattr(peers, "peer", lambda name: here)
    monkeypatch.setattr(peers, "listed", lambda: {"openssl": {}})

    assert peers.summary({"openssl": 4}) == (
        ["openssl: /usr/bin/openssl, version 3.0, 4 tests run"],
        True,
    )
    assert peers.summary({}) == (["openssl: /usr/bin/openssl, version 3.0, 0 tests run"], False)


def test_every_listed_peer_can_be_asked_for() -> None:
    for name, entry in peers.listed().items():
        got_by = {"package", "script"} & set(entry)
        assert len(got_by) == 1, name
        assert set(entry) - got_by == {"program", "arguments", "version", "least"}, name
    assert os.access(ROOT / ".ci/run", os.X_OK)
