"""Fixtures of the CA's tests."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

import pki.keys
from smime.keys import pbe


@pytest.fixture(scope="module")
def quick_locks() -> Iterator[None]:
    """Passphrases that cost little: key files are made by the dozen here.

    That the real ones cost a second is tested beside the writers.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(pki.keys, "SEAL_ROUNDS", 1_000)
        patch.setattr(pbe, "MODERN_ROUNDS", 1_000)
        yield


@pytest.fixture
def here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, quick_locks: None) -> Path:
    """An empty folder with two passphrase files, and the folder of the test."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "ca-pass").write_text("of the CA\nnot this line\n")
    (tmp_path / "p12-pass").write_bytes("für alice\r\n".encode())
    return tmp_path


@pytest.fixture
def club(tmp_path: Path, made: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A copy of the CA that the module made, and a folder of its own to work in."""
    shutil.copytree(made, tmp_path / "here")
    monkeypatch.chdir(tmp_path / "here")
    return tmp_path / "here" / "club"
