"""The page of algorithms says what the code does, and names only what confirms it."""

from __future__ import annotations

import re

import pytest

from smime.policy import WEAK
from tests.docs.algorithms import OWN, PAGE, VECTORS, rendered, sections, shown
from tests.support.peers import listed

TEXT = PAGE.read_text(encoding="utf-8")


def rows(section: str) -> dict[str, tuple[str, str, str]]:
    """Name of each row -> write, read, verified against."""
    part = TEXT.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = {}
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = re.match(r"`([^`]+)`", cells[0])
        if len(cells) == 5 and name:
            found[name[1]] = (cells[2], cells[3], cells[4])
    return found


def test_the_page_is_what_the_registry_and_the_foreign_tests_make() -> None:
    """Made anew by ``python -m tests.docs.algorithms``."""
    assert rendered(TEXT, shown()) == TEXT


def test_every_row_of_the_registry_is_there() -> None:
    for title, listed_rows in sections().items():
        assert set(rows(title)) == {row.name.partition(":")[2] for row in listed_rows}, title


def test_what_foreign_tests_show_has_a_row() -> None:
    """A name that no row has would show nothing: a slip of the pen."""
    names = {row.name for listed_rows in sections().values() for row in listed_rows}

    assert set(shown()) <= names
    assert set(VECTORS) <= names


def test_a_claim_that_no_test_makes_is_noticed() -> None:
    without = {name: ways for name, ways in shown().items() if name != "cipher:aes-256-ccm"}

    assert rendered(TEXT, without) != TEXT
    (changed,) = (
        line
        for line, other in zip(TEXT.splitlines(), rendered(TEXT, without).splitlines(), strict=True)
        if line != other
    )
    assert changed.startswith("| `aes-256-ccm`")


def test_weak_names_are_a_policys() -> None:
    for section in sections():
        for _, read, _ in rows(section).values():
            assert read == "yes" or read.strip("`") in WEAK


@pytest.mark.parametrize("section", [*sections(), "What is signed beside the content"])
def test_what_confirms_it_is_there(section: str) -> None:
    """A peer of the list, other projects' vectors, or the plain word that there is nothing."""
    for name, (_, _, confirmed) in rows(section).items():
        told = {one.partition(" (")[0] for one in confirmed.split(", ")}
        assert told == {OWN} or told <= {*listed(), "vectors"}, name


def test_vectors_that_confirm_are_claimed() -> None:
    """What the page says of vectors is what their runner demands."""
    from tests.vectors.foreign_algorithms import CLAIMED

    assert set(VECTORS.values()) <= CLAIMED
