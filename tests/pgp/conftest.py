"""Keyrings for the tests of OpenPGP: made once, each in a home of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import smime
from tests.support.peers import Peer


@pytest.fixture(scope="session")
def ring(gpg: Peer) -> Iterator[smime.PgpKeyring]:
    """Alice and bob, both with secret keys. Shared: add nothing."""
    with smime.PgpKeyring() as made:
        made.generate("alice@example.org", name="Alice")
        made.generate("bob@example.org", name="Bob")
        yield made


@pytest.fixture(scope="session")
def alice(ring: smime.PgpKeyring) -> smime.PgpKey:
    return ring.find("alice@example.org")


@pytest.fixture(scope="session")
def bob(ring: smime.PgpKeyring) -> smime.PgpKey:
    return ring.find("bob@example.org")
