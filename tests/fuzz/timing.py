"""``make fuzz``, its second half: can the clock tell why sealed content did not open?

    tests/fuzz/timing.py [--timings 2000] [--kind NAME]

For each kind of recipient and cipher it opens messages of each class of
failures (``oracles``), in turn and in an order drawn anew each round, and
compares the CPU times of the thread by the area under the curve (AUC): 0.5 is
a coin, 1 is somebody who always knows. Between 0.45 and 0.55 is demanded.

A machine that does other things adds noise, never a difference that lasts: a
pair outside the bounds is measured anew, and is a finding if it lies on the
same side each of three times.
"""

from __future__ import annotations

import argparse
import gc
import random
import sys
import time
from itertools import combinations
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[2]))

BOUNDS = (0.45, 0.55)
TRIES = 3
MESSAGES = 16  # different ones of each class, so that none stands for its class


def main() -> int:
    from tests.fuzz.oracles import CIPHERS, KINDS

    parser = argparse.ArgumentParser(description="time what does not open")
    parser.add_argument("--timings", type=int, default=2000)
    parser.add_argument("--kind", choices=KINDS)
    args = parser.parse_args()
    found = 0
    for kind in KINDS if args.kind is None else (args.kind,):
        for cipher in CIPHERS:
            found += not agrees(kind, cipher, args.timings)
    print(f"{found} kinds that the clock tells apart")
    return 1 if found else 0


def agrees(kind: str, cipher: str, timings: int) -> bool:
    """Say whether no pair of classes can be told apart; prints what was measured."""
    tries: list[dict[tuple[str, str], float]] = []
    for _ in range(TRIES):
        measured = areas(kind, cipher, timings)
        worst = max(measured, key=lambda pair: abs(measured[pair] - 0.5))
        print(f"{kind}, {cipher}: AUC {measured[worst]:.3f} for {' / '.join(worst)}", flush=True)
        tries.append(measured)
        if not told_apart([measured]):
            break
    return not told_apart(tries)


def told_apart(tries: list[dict[tuple[str, str], float]]) -> bool:
    """Say whether some pair lies outside of the bounds in every try, and on the same side."""
    low, high = BOUNDS
    return any(
        all(one[pair] > high for one in tries) or all(one[pair] < low for one in tries)
        for pair in tries[0]
    )


def areas(kind: str, cipher: str, timings: int) -> dict[tuple[str, str], float]:
    """Return the AUC of each pair of classes."""
    from tests.fuzz.oracles import CLASSES, keys_of, made, opens

    _, key = keys_of(kind)
    messages = {way: [made(kind, cipher, way) for _ in range(MESSAGES)] for way in CLASSES}
    times: dict[str, list[int]] = {way: [] for way in CLASSES}
    order = list(CLASSES)
    gc.collect()
    gc.disable()
    try:
        for number in range(-timings // 10, timings):  # the first ones warm up
            random.shuffle(order)
            for way in order:
                blob = messages[way][number % MESSAGES]
                began = time.thread_time_ns()
                opens(blob, key)
                took = time.thread_time_ns() - began
                if number >= 0:
                    times[way].append(took)
    finally:
        gc.enable()
    return {(a, b): area(times[a], times[b]) for a, b in combinations(CLASSES, 2)}


def area(first: list[int], second: list[int]) -> float:
    """Return how often one of ``first`` is larger than one of ``second``; equal ones count half."""
    ranked = sorted([(value, 0) for value in first] + [(value, 1) for value in second])
    total, at = 0.0, 0
    while at < len(ranked):
        end = at
        while end < len(ranked) and ranked[end][0] == ranked[at][0]:
            end += 1
        middle = (at + end + 1) / 2  # the rank that all of this value share
        total += middle * sum(which == 0 for _, which in ranked[at:end])
        at = end
    count = len(first)
    return (total - count * (count + 1) / 2) / (count * len(second))


if __name__ == "__main__":
    sys.exit(main())
