"""`smimetool ca publish` holds some hundred certificates, however many there are.

Here for some thousand; SMIMETOOL_CERTIFICATES=50000 does the same for as many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.bench.ledgers import filled
from tests.pki.house import kept

CERTIFICATES = int(os.environ.get("SMIMETOOL_CERTIFICATES", "3000"))
GROWTH_OCTETS = 4 << 20  # SQLite's cache of pages, and little else; held they take 10 KB each

PROGRAM = """
import sys
from pki.cli import main

main(["publish", "--ca-dir", sys.argv[1], "--zone", sys.argv[1] + ".zone",
      "--ldif", sys.argv[1] + ".ldif", "--dn", "uid={local},dc=x"])
line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(line.split()[1]) * 1024)
"""


def peak(folder: Path, count: int) -> int:
    """Publish a ledger of so many in a process of its own; give the most memory it had."""
    ca, _ = filled(folder, count, revoked=count // 10)
    with ca:
        kept(ca)
    environment = {**os.environ}
    environment.pop("PYTHONDEVMODE", None)  # its hooks around malloc are no memory of ours
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(folder)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    zone = Path(f"{folder}.zone").read_text(encoding="ascii")
    assert zone.count("SMIMEA 3 0 0") == count - count // 10
    entries = Path(f"{folder}.ldif").read_bytes()
    assert entries.count(b"\ndn: uid=") == count  # the revoked ones too: they are taken away
    assert entries.count(b"userCertificate;binary:: ") == count - count // 10
    return int(done.stdout.split()[-1])


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="platform: the peak is read from /proc"
)
def test_publishing_many(tmp_path: Path) -> None:
    few = peak(tmp_path / "few", CERTIFICATES // 10)

    assert peak(tmp_path / "many", CERTIFICATES) - few <= GROWTH_OCTETS
