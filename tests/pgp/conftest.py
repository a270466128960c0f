"""Keyrings for the tests of OpenPGP: made once, each in a home of its own."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

import smime
from smime.pgp import homes
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


@pytest.fixture(scope="session", autouse=True)
def _no_agent_stays() -> Iterator[None]:
    """After all of it, no agent runs for a home whose program is gone."""
    yield
    left = forsaken_agents()
    for _ in range(50):  # one that was just told to end
        if not left:
            return
        time.sleep(0.1)
        left = forsaken_agents()
    assert not left, left


def forsaken_agents() -> list[str]:
    """Return the homes of agents whose home is gone, or lived in by nobody."""
    found = []
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        if b"gpg-agent" not in words[0] or b"--homedir" not in words:
            continue
        home = Path(os.fsdecode(words[words.index(b"--homedir") + 1]))
        if home.name.startswith(homes.PREFIX) and not is_lived_in(home):
            found.append(str(home))
    return found


def is_lived_in(home: Path) -> bool:
    try:
        with (home / "lock").open("rb") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:
        return False
    return False
