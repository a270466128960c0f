"""Files that tests opened are closed after them."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.cms import sources


@pytest.fixture(autouse=True)
def _closed_files() -> Iterator[None]:
    yield
    while sources.OPENED:
        sources.OPENED.pop().close()
