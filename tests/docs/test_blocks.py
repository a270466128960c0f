"""The reader of fenced blocks, on pages made here."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.docs import blocks
from tests.docs.blocks import Block, Differs, agrees, check, commands, read_blocks, with_output

PAGE = """# A page

```python file=a.py
print(1)
```

```sh status=3
exit 3
```
Which prints:
```text output
a ... c
```

<!-- not run: needs a mail server -->
```sh
sendmail
```
"""


@pytest.fixture
def page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setattr(blocks, "ROOT", tmp_path)
    path = tmp_path / "page.md"
    path.write_text(PAGE)
    return path


def test_blocks_are_read_with_their_options(page: Path) -> None:
    first, second, output, last = read_blocks(page)

    assert (first.language, first.text, first.options) == ("python", "print(1)\n", {"file": "a.py"})
    assert (second.options, second.not_run) == ({"status": "3"}, "")
    assert (last.not_run, last.line) == ("needs a mail server", 16)
    assert with_output([first, second, output, last]) == [
        (first, None),
        (second, output),
        (last, None),
    ]


@pytest.mark.parametrize("broken", ["```sh\nls\n", "```sh\nls\n```sh\nls\n```\n"])
def test_an_open_block_is_an_error(page: Path, broken: str) -> None:
    """Else the examples after it would silently not run."""
    page.write_text(broken)

    with pytest.raises(ValueError, match="not closed"):
        read_blocks(page)


@pytest.mark.parametrize(
    ("expected", "printed", "same"),
    [
        ("a\nb\n", "a\nb\n", True),
        ("a ... c", "a b c  \n", True),
        ("a\n...\nd", "a\nb\nc\nd", True),
        ("a", "a\nb", False),
        ("a.c", "abc", False),
    ],
)
def test_output_is_compared(expected: str, printed: str, same: bool) -> None:
    assert agrees(expected, printed) is same


def test_status_and_output_are_checked(page: Path) -> None:
    _, block, output, _ = read_blocks(page)

    check(block, 3, "a b c", output)
    with pytest.raises(Differs, match="status 0"):
        check(block, 0, "a b c", output)
    with pytest.raises(Differs, match="the page says"):
        check(block, 3, "a b d", output)


def test_commands_are_cut_at_line_ends() -> None:
    assert commands("one\ntwo \\\n  three\n\nfour\n") == ["one", "two \\\n  three", "four"]


def test_a_block_names_its_place(page: Path) -> None:
    assert str(Block(page, 7, "sh", "")) == "page.md:7"
