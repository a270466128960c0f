"""``make fuzz``: damage every structure for some minutes.

    tests/fuzz/run.py [--cases 50000] [--seed TEXT]

What goes wrong is kept in tests/fuzz/found/, named by its structure, and is a
test from then on. Prints the seed; the same seed gives the same damage to
structures made with other keys.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

FOUND = Path(__file__).parent / "found"
MAX_PEAK_OCTETS = 256 << 20


def main() -> int:
    from tests.fuzz.judge import damaged, faults
    from tests.fuzz.structures import structures
    from tests.support.world import make_world

    parser = argparse.ArgumentParser(description="damage every structure")
    parser.add_argument("--cases", type=int, default=50_000)
    parser.add_argument("--seed", default=os.urandom(4).hex())
    args = parser.parse_args()
    cases = structures(make_world())
    began, bad = time.monotonic(), 0
    for number in range(args.cases):
        case = cases[number % len(cases)]
        blob = damaged(case, f"{args.seed} {number}")
        wrong = faults(case, blob)
        if wrong:
            bad += 1
            kept = FOUND / f"{case.name.replace(' ', '-').replace(',', '')}.{args.seed}.{number}"
            FOUND.mkdir(exist_ok=True)
            kept.write_bytes(blob)
            print(kept, *wrong, sep="\n")
        if number % 5000 == 4999:
            print(f"{number + 1} cases, {time.monotonic() - began:.0f} s", flush=True)
    peak = peak_octets()
    print(f"seed {args.seed}: {args.cases} cases, {bad} bad, at most {peak >> 20} MiB")
    return 1 if bad or peak > MAX_PEAK_OCTETS else 0


def peak_octets() -> int:
    """Return the most memory that this process had; 0 where the system does not say."""
    status = Path("/proc/self/status")
    lines = status.read_text().splitlines() if status.exists() else []
    return next((int(one.split()[1]) * 1024 for one in lines if one.startswith("VmHWM")), 0)


if __name__ == "__main__":
    sys.exit(main())
