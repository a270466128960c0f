"""Where passphrases come from."""

from __future__ import annotations

from pathlib import Path

import pytest

from smime.cli.passphrase import MAX_PASSPHRASE_OCTETS, Passphrases
from smime.errors import KeyProblem


@pytest.mark.parametrize(
    ("content", "passphrase"),
    [
        (b"one two\n", b"one two"),
        (b"one two", b"one two"),
        (b" one \r\nthree\r\n", b" one "),
        (b"", b""),
        (b"\nx", b""),
        ("grün\n".encode(), "grün".encode()),
        (b"\xff\xfe\n", b"\xff\xfe"),
    ],
)
def test_the_first_line_of_a_file(tmp_path: Path, content: bytes, passphrase: bytes) -> None:
    """Without its line end, and nothing else is taken off."""
    file = tmp_path / "passphrase"
    file.write_bytes(content)

    passphrases = Passphrases(file=str(file), variable=None)
    file.unlink()

    assert passphrases.of("a.p12")() == passphrases.of("b.p12")() == passphrase


def test_a_variable(monkeypatch: pytest.MonkeyPatch) -> None:
    """It may be empty, but it must be there."""
    monkeypatch.setenv("SECRET", "")
    monkeypatch.delenv("ABSENT", raising=False)

    assert Passphrases(file=None, variable="SECRET").of("a.p12")() == b""
    with pytest.raises(KeyProblem, match="ABSENT is not set"):
        Passphrases(file=None, variable="ABSENT")


def test_a_file_without_lines_is_no_passphrase_file(tmp_path: Path) -> None:
    """At the limit it is one, above it is not."""
    file = tmp_path / "passphrase"

    file.write_bytes(b"x" * MAX_PASSPHRASE_OCTETS + b"\r\n")
    assert Passphrases(file=str(file), variable=None).of("a")() == b"x" * MAX_PASSPHRASE_OCTETS
    file.write_bytes(b"x" * (MAX_PASSPHRASE_OCTETS + 1))
    with pytest.raises(KeyProblem, match="longer than"):
        Passphrases(file=str(file), variable=None)
