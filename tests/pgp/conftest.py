"""Keyrings for the tests of OpenPGP: made once, each in a home of its own."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import smime
from smime.pgp.packets import packets
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


def longer(signature: bytes) -> bytes:
    """Return an RSA signature packet of gpg whose number has an octet more than it needs."""
    (packet,) = packets(signature)
    body = packet.body
    unhashed = 6 + int.from_bytes(body[4:6], "big")
    at = unhashed + 4 + int.from_bytes(body[unhashed : unhashed + 2], "big")
    number = b"\0" + body[at + 2 :]
    changed = body[:at] + (8 * len(number)).to_bytes(2, "big") + number
    return b"\xc2\xff" + len(changed).to_bytes(4, "big") + changed
