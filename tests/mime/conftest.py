"""What tests of mime share."""

from __future__ import annotations

import time
from contextlib import contextmanager

import pytest


@pytest.fixture
def bounded():
    """A block that takes at most two seconds of processor time, on a slow machine too."""

    @contextmanager
    def limit(seconds: float = 2.0):
        start = time.process_time()
        yield
        assert time.process_time() - start < seconds

    return limit
