"""protect_each holds one copy at a time, however many readers there are.

Here for some thousand; SMIMETOOL_READERS=100000 does the same for as many.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

READERS = int(os.environ.get("SMIMETOOL_READERS", "2000"))
GROWTH_OCTETS = 1 << 20  # less than a thousandth of what the copies are together

PROGRAM = """
import sys
import pki, smime
from cryptography.hazmat.primitives.serialization import Encoding

readers, first = int(sys.argv[1]), int(sys.argv[1]) // 10
ca = pki.Authority.create("CA")
alice = ca.issue("alice@example.org")
people = [ca.issue(f"reader{n}@example.org").certificate for n in range(100)]
ders = [one.public_bytes(Encoding.DER) for one in people]
mail = b"From: alice@example.org\\r\\nSubject: news\\r\\n\\r\\n" + b"a line of text\\r\\n" * 64

def peak():
    line = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
    return int(line.split()[1]) * 1024

def to():  # each a new object, as from a database
    return (smime.Recipient.parse(ders[n % 100]) for n in range(readers))

count = octets = 0
for copy in smime.protect_each(mail, by=alice, to=to()):
    count += 1
    octets += copy.size
    if count == first:
        before = peak()
print(count, octets, before, peak())
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="platform: the peak is read from /proc"
)
def test_many_readers() -> None:
    environment = {**os.environ}
    environment.pop("PYTHONDEVMODE", None)  # its hooks around malloc are no memory of ours
    done = subprocess.run(
        [sys.executable, "-c", PROGRAM, str(READERS)],
        env=environment, capture_output=True, text=True, check=True,
    )  # fmt: skip
    count, octets, before, after = map(int, done.stdout.split())

    assert count == READERS
    assert octets > READERS * 4000
    assert after - before <= GROWTH_OCTETS
