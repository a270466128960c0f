"""What gpg leaves running: found, and after all tests not there."""

from __future__ import annotations

import fcntl
import os
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from smime.pgp import homes

PREFIX = "smime-pgp-"  # of the homes that smime makes
SECONDS = 10.0  # for one that was just told to end


def processes() -> Iterator[tuple[int, str]]:
    """Yield every process with its command line."""
    for entry in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            words = entry.read_bytes().split(b"\0")
        except OSError:
            continue
        yield int(entry.parent.name), os.fsdecode(b" ".join(words))


def forsaken_agents(folder: Path | None = None) -> list[str]:
    """Return the homes of agents whose home is gone, or lived in by nobody.

    Those of homes that smime makes; of any others that lie below ``folder``, all.
    """
    found = []
    for _, line in processes():
        program, _, rest = line.partition(" --homedir ")
        home = Path(rest.partition(" --")[0].strip())
        if "gpg-agent" not in program or not rest:
            continue
        ours = home.name.startswith(PREFIX) and not is_lived_in(home)
        if ours or (folder is not None and home.is_relative_to(folder)):
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


@pytest.fixture(scope="session", autouse=True)
def _passphrases_are_quick() -> Iterator[None]:
    """An agent measures how often it hashes a passphrase: some tenths of a second's worth.

    Those of the homes that smime makes in this process hash less. The examples of the docs,
    and whatever else is a process of its own, have the agent as users have it.
    """
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(homes, "_AGENT_CONF", f"{homes._AGENT_CONF}s2k-count 65536\n")
        yield


@pytest.fixture(scope="session", autouse=True)
def _no_agent_stays(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """After all of it no agent runs that a test started."""
    yield
    folder = tmp_path_factory.getbasetemp()
    end = time.monotonic() + SECONDS
    while left := forsaken_agents(folder):
        assert time.monotonic() < end, left
        time.sleep(0.1)
