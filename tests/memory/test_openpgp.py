"""OpenPGP mail in a file goes through each verb in a process that never has 64 MiB.

Of 64 MiB here, which would not fit if it were held; of 256 MiB in `make test-servers`.
gpg has a process of its own, and so has Sequoia where its library wants to hold much.
"""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

import smime
from tests.memory.test_peak import END, HEAD, LINE, PEAK_OCTETS, measured

pytestmark = [
    pytest.mark.peer("gpg"),
    pytest.mark.skipif(
        not Path("/proc/self/status").exists(), reason="platform: the peak is read from /proc"
    ),
]

SIZES = [
    pytest.param(64 << 20, id="64MiB"),
    pytest.param(256 << 20, id="256MiB", marks=pytest.mark.server),
]
# What Sequoia's library has to open a message of any size, in a process that goes with it.
OTHERS_OCTETS = 320 << 20

START = """
import resource, sys
from pathlib import Path
import smime
ring = smime.PgpKeyring.load("keys.asc", engine=sys.argv[1])
alice, bob = ring.find("alice@example.org"), ring.find("bob@example.org")
"""
CLOSE = """
ring.close()
most = resource.getrusage(resource.RUSAGE_CHILDREN).ru_maxrss * 1024
assert most <= int(sys.argv[2]), most
"""
SENT = {"sign": "by=alice", "encrypt": "to=bob", "protect": "by=alice, to=bob"}


@pytest.fixture(scope="module", params=SIZES)
def folder(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A mail of that size, and keys."""
    folder: Path = tmp_path_factory.mktemp("memory")
    with (folder / "large.eml").open("wb") as file:
        file.write(HEAD)
        for _ in range(request.param >> 20):
            file.write(LINE * ((1 << 20) // len(LINE)))
    with smime.PgpKeyring(engine="gnupg") as ring:
        for name in ("alice", "bob"):
            ring.generate(f"{name}@example.org")
        (folder / "keys.asc").write_bytes(ring.export(secret=True))
    return folder


def peak(
    folder: Path,
    engine: str,
    program: str,
    stdin: Path | None = None,
    others: int = OTHERS_OCTETS,
) -> int:
    """Run the program in a process of its own and return the most it had."""
    return measured(folder, START + program + CLOSE + END, stdin, engine, str(others))


@pytest.mark.parametrize("engine", ["gnupg", "sequoia"])
@pytest.mark.parametrize("verb", SENT)
def test_mail_goes_out_and_in(folder: Path, engine: str, verb: str) -> None:
    program = f'smime.{verb}(Path("large.eml"), {SENT[verb]}, out=Path("sent.eml"))'
    assert peak(folder, engine, program) <= PEAK_OCTETS
    size = (folder / "large.eml").stat().st_size
    assert (folder / "sent.eml").stat().st_size > size

    name, signer = ("decrypt", None) if verb == "encrypt" else ("verify", "alice@example.org")
    opened = (
        f'opened = smime.{name}(Path("sent.eml"), trust=ring, keys=bob, out=Path("opened.eml"));'
        f" assert opened.signer == {signer!r}"
    )
    assert peak(folder, engine, opened) <= PEAK_OCTETS
    assert (folder / "opened.eml").stat().st_size >= size
    (folder / "opened.eml").unlink()
    if verb == "protect":
        piped = "smime.open(sys.stdin.buffer, trust=ring, keys=bob, out=sys.stdout.buffer)"
        assert peak(folder, engine, piped, stdin=folder / "sent.eml") <= PEAK_OCTETS
    (folder / "sent.eml").unlink()


def test_what_is_held_is_seen(folder: Path) -> None:
    """The measure shows a mail that is in memory."""
    held = 'smime.sign(Path("large.eml").read_bytes(), by=alice)'
    assert peak(folder, "gnupg", held, others=sys.maxsize) > PEAK_OCTETS
