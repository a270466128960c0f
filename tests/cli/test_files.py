"""Reading, writing and saying, apart from any command."""

from __future__ import annotations

import io
import os
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime import source
from smime.cli import files as module
from smime.cli.files import Files, say_to
from smime.errors import LimitExceeded


def stream(encoding: str, *, terminal: bool = False) -> io.TextIOWrapper:
    """A text stream in memory; ``terminal`` makes it claim to be one."""
    raw = io.BytesIO()
    raw.isatty = lambda: terminal  # type: ignore[method-assign]
    return io.TextIOWrapper(raw, encoding)


def written(text: io.TextIOWrapper) -> bytes:
    return text.buffer.getvalue()  # type: ignore[attr-defined,no-any-return]


@given(st.text(), st.sampled_from(["ascii", "cp1252", "gbk", "utf-8", "utf-16"]))
def test_whatever_is_said_can_be_said(text: str, encoding: str) -> None:
    """No text stops a message, and none of it is a control for the terminal."""
    out = stream(encoding)

    say_to(out, text)

    said = written(out).decode(encoding)
    assert all(line.isprintable() for line in said.removesuffix(os.linesep).split(os.linesep))
    assert said.count(os.linesep) == text.count("\n") + 1


def test_a_plain_text_is_said_as_it_is() -> None:
    out = stream("utf-8")

    say_to(out, "Grüße\n会议")

    assert written(out).decode().split(os.linesep) == ["Grüße", "会议", ""]


def test_output_is_binary_unless_it_is_a_terminal(monkeypatch: pytest.MonkeyPatch) -> None:
    """Bytes pass as they are; what a terminal would obey is escaped there."""
    mail = b"a\r\n\tb\n\x1b[2J\xff\xc2\x9b\n"
    file, terminal = stream("ascii"), stream("utf-8", terminal=True)

    for out in (file, terminal):
        monkeypatch.setattr(sys, "stdout", out)
        Files().write("-", mail, private=True)

    assert written(file) == mail
    assert written(terminal) == b"a\n\tb\n\\x1b[2J\\xff\\x9b\n"


def test_what_fails_before_the_name_leaves_no_file(tmp_path: Path) -> None:
    """A report that cannot be said keeps the mail from appearing."""
    out = tmp_path / "out.eml"
    out.write_bytes(b"before")

    def fail() -> None:
        raise OSError(32, "Broken pipe", "standard output")

    with pytest.raises(OSError, match="standard output"):
        Files().write(str(out), b"after", private=True, then=fail)

    assert out.read_bytes() == b"before"
    assert list(tmp_path.iterdir()) == [out]
    Files().write(str(out), b"after", private=True, then=lambda: None)
    assert out.read_bytes() == b"after"


def test_input_above_the_limit_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """At the limit it is read, above it is not, whatever the chunks."""
    monkeypatch.setattr(module, "MAX_INPUT_OCTETS", 1000)
    monkeypatch.setattr(source, "PIECE_OCTETS", 300)
    file = tmp_path / "mail"

    file.write_bytes(b"x" * 1000)
    assert Files().read(str(file)) == b"x" * 1000
    file.write_bytes(b"x" * 1001)
    with pytest.raises(LimitExceeded, match="1000 octets"):
        Files().read(str(file))


def test_standard_input_at_a_terminal_is_wrong_usage(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody is left waiting."""
    from smime.cli.failures import UsageError

    monkeypatch.setattr(sys, "stdin", stream("utf-8", terminal=True))

    with pytest.raises(UsageError, match="terminal"):
        Files().read("-")
