"""One damaged case: read it in every way, and say what is wrong with how that went."""

from __future__ import annotations

import time
import traceback
from random import Random

from smime.errors import SmimeError
from tests.fuzz.damage import DAMAGE
from tests.fuzz.structures import Case

MAX_SECONDS = 1.0


def damaged(case: Case, seed: str) -> bytes:
    """Return the case's octets, damaged as the seed says."""
    chance = Random(seed)
    blob = case.blob
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        if blob:
            blob = chance.choice(DAMAGE)(blob, chance)
    return blob


def faults(case: Case, blob: bytes) -> list[str]:
    """Return what went wrong: foreign errors, another content, too long a time."""
    found = []
    for way in case.ways:
        began = time.process_time()  # of this process: other work of the machine is no fault
        try:
            content = way(blob)
        except SmimeError:
            content = None
        except Exception:
            found.append(f"{way.__name__}: {traceback.format_exc()}")
            content = None
        spent = time.process_time() - began
        if spent > MAX_SECONDS:
            found.append(f"{way.__name__}: {spent:.2f} s for {len(blob)} octets")
        if content is not None and case.vouched is not None and content != case.vouched:
            found.append(f"{way.__name__}: gave out another content: {content[:80]!r}")
    return found
