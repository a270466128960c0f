"""Fixtures of the CA's tests."""

from __future__ import annotations

from collections.abc import Iterator

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
