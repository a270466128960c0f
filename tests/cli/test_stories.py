"""Every story of ``stories/*.txt``, and that together they reach every exit status."""

from __future__ import annotations

import re

import pytest

from smime.cli.main import COMMANDS, STATUSES
from tests.cli.stories import STORIES, Stage, Story, load_stories


@pytest.mark.parametrize("story", load_stories(), ids=str)
def test_story(story: Story, stage: Stage) -> None:
    """It goes as it is written."""
    stage.play(story)


def test_every_documented_status_occurs_in_a_story() -> None:
    """No status is promised that is never seen; `ca` has tests of its own."""
    told = "\n".join(file.read_text(encoding="utf-8") for file in STORIES.glob("*.txt"))
    seen = set(re.findall(r"^status (\d+)$", told, re.MULTILINE))

    documented = {number for number, _ in STATUSES if "-" not in number}
    # 70 is a fault of ours and 130 a signal: both are made in test_failures.py.
    assert seen == documented - {"0", "70", "130"} | (seen & {"0"})


def test_help_of_sop_names_its_verbs(stage: Stage) -> None:
    """Its statuses are those of its specification."""
    done = stage.here("sop", "--help")

    assert done.status == 0
    assert b"usage: smimetool sop" in done.stdout
    assert b" inline-verify" in done.stdout


@pytest.mark.parametrize("command", [one for one, _, _ in COMMANDS if one not in ("ca", "sop")])
def test_help_of_each_command_names_its_statuses(command: str, stage: Stage) -> None:
    """What a script needs stands in --help."""
    done = stage.here(command, "--help")

    said = done.stdout.decode()
    assert done.status == 0
    assert said.startswith(f"usage: smimetool {command}")
    assert "exit status:\n  0     done\n  2     wrong usage\n" in said
    assert max(map(len, said.splitlines())) <= 100


def test_help_at_the_top_names_every_command_and_status(stage: Stage) -> None:
    """The table is what is said."""
    said = stage.here("--help").stdout.decode()

    for name, _, line in COMMANDS:
        assert re.search(rf"^  {name} +{re.escape(line)}$", said, re.MULTILINE)
    for number, line in STATUSES:
        assert re.search(rf"^  {number} +{re.escape(line)}$", said, re.MULTILINE)
