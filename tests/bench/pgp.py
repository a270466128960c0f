"""OpenPGP measured against what is under it; ``python -m tests.bench.pgp`` does this part alone.

10 KiB in memory against gpg run by hand with the same options, and against pysequoia's
own calls; 50 MiB encrypted by gpg. Ours and theirs take turns, so that what else the
machine does hits both. CPU time, of this process and of the gpg that it runs; what the
agent does is the same for both.
"""

from __future__ import annotations

import base64
import os
import resource
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pysequoia

import smime
from smime.pgp.packets import dearmor, dearmor_keys, read_sealed, read_signatures

HEADING = "## OpenPGP"
SMALL = base64.encodebytes(os.urandom(7680))
LARGE = base64.encodebytes(os.urandom(50 << 20))[: 50 << 20]
ROUNDS = 25
ROUNDS_LARGE = 5
PER_ROUND = 10  # calls in one turn, of those that take less than a millisecond
LIMIT, LIMIT_LARGE = 1.3, 1.1

Pair = tuple[str, Callable[[], object], Callable[[], object]]


class Row:
    """One operation: what is under it, ours, and the ratio, taken turn by turn."""

    def __init__(self, pair: Pair, rounds: int, limit: float, calls: int = 1) -> None:
        self.name, ours, theirs = pair
        self.limit = limit
        taken: list[tuple[float, float]] = []
        for turn in range(rounds + 1):  # the first warms up
            first, second = (ours, theirs) if turn % 2 else (theirs, ours)
            times = seconds(first, calls), seconds(second, calls)
            taken.append(times if turn % 2 else times[::-1])
        del taken[0]
        self.ours, self.theirs = (statistics.median(one) for one in zip(*taken, strict=True))
        self.ratio = statistics.median(mine / other for mine, other in taken)

    @property
    def cells(self) -> list[str]:
        from tests.bench.run import human

        ratio = f"{self.ratio:.2f}x"
        return [self.name, human(self.theirs), human(self.ours), ratio, f"{self.limit}x"]


def spent() -> float:
    """Return the CPU seconds of this process and of those that it ran and waited for."""
    own, others = (
        resource.getrusage(who) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN)
    )
    return own.ru_utime + own.ru_stime + others.ru_utime + others.ru_stime


def seconds(call: Callable[[], object], calls: int) -> float:
    begin = spent()
    for _ in range(calls):
        call()
    return (spent() - begin) / calls


def by_gpg() -> list[Row]:
    with smime.PgpKeyring(engine="gnupg") as ring:
        alice, bob = ring.generate("alice@example.org"), ring.generate("bob@example.org")
        home = ring.gnupg.home or ""
        base = ["gpg", "--homedir", home, "--no-options", "--batch", "--no-tty", "--armor"]
        base += ["-z", "0", "--trust-model", "always", "--no-auto-check-trustdb"]
        base += ["--pinentry-mode", "loopback"]

        def gpg(*words: str, data: bytes = SMALL) -> bytes:
            return subprocess.run(
                [*base, *words], input=data, capture_output=True, check=True
            ).stdout

        engine = ring.engine
        signature = read_signatures(engine.sign(SMALL, alice.fingerprint).signature)
        file = os.path.join(home, "signature")
        with open(file, "wb") as target:
            target.write(signature[0])
        sealed = engine.encrypt(SMALL, [bob.fingerprint]).message
        opened = read_sealed(sealed)
        assert engine.decrypt(opened, [bob]).content == SMALL == gpg("--decrypt", data=sealed)
        pairs: list[Pair] = [
            (
                "sign",
                lambda: engine.sign(SMALL, alice.fingerprint),
                lambda: gpg("-u", alice.fingerprint, "--detach-sign"),
            ),
            (
                "verify",
                lambda: engine.check(SMALL, signature),
                lambda: gpg("--verify", file, "-"),
            ),
            (
                "encrypt",
                lambda: engine.encrypt(SMALL, [bob.fingerprint]),
                lambda: gpg("-r", bob.fingerprint, "--encrypt"),
            ),
            (
                "decrypt",
                lambda: engine.decrypt(opened, [bob]),
                lambda: gpg("--decrypt", data=sealed),
            ),
        ]
        large: Pair = (
            "encrypt, 50 MiB",
            lambda: engine.encrypt(LARGE, [bob.fingerprint]),
            lambda: gpg("-r", bob.fingerprint, "--encrypt", data=LARGE),
        )
        rows = [Row(pair, ROUNDS, LIMIT) for pair in pairs]
        return [*rows, Row(large, ROUNDS_LARGE, LIMIT_LARGE)]


def by_sequoia() -> list[Row]:
    with smime.PgpKeyring(engine="sequoia") as ring:
        alice, bob = ring.generate("alice@example.org"), ring.generate("bob@example.org")
        tsk = pysequoia.Tsk.from_bytes(dearmor_keys(ring.export(alice, secret=True)))
        certs = [pysequoia.Cert.from_bytes(ring.export(one)) for one in (alice, bob)]
        detached = pysequoia.SignatureMode.DETACHED
        engine = ring.engine
        armour = engine.sign(SMALL, alice.fingerprint).signature
        signature = read_signatures(armour)
        raw = dearmor(armour)
        pairs: list[Pair] = [
            (
                "sign",
                lambda: engine.sign(SMALL, alice.fingerprint),
                lambda: pysequoia.sign(tsk.signer(), SMALL, mode=detached),
            ),
            (
                "verify",
                lambda: engine.check(SMALL, signature),
                lambda: pysequoia.verify(
                    SMALL, lambda _: certs[:1], signature=pysequoia.Sig.from_bytes(raw)
                ),
            ),
            (
                "encrypt",
                lambda: engine.encrypt(SMALL, [bob.fingerprint]),
                lambda: pysequoia.encrypt(SMALL, certs[1:]),
            ),
        ]
        return [Row(pair, 2 * ROUNDS, LIMIT, PER_ROUND) for pair in pairs]


def measured() -> tuple[str, bool]:
    """Measure; return the section of the page, and whether all is within its limits."""
    from smime.pgp.gnupg import find_gpg, version_of
    from tests.bench.run import table

    gpg, sequoia = by_gpg(), by_sequoia()
    version = ".".join(map(str, version_of(find_gpg())))
    limits = "at most"
    text = f"""{HEADING}

10 KiB in memory, keys of Ed25519 and Cv25519; CPU time, that of gpg with it. Against GnuPG
{version}, run by hand with the same options:

{table(["", "gpg", "smime", "ratio", limits], [row.cells for row in gpg])}

Against the calls of Sequoia's library:

{table(["", "pysequoia", "smime", "ratio", limits], [row.cells for row in sequoia])}

A mail in a file of any size goes through either engine in less than 64 MiB.
"""
    return text, all(row.ratio <= row.limit for row in (*gpg, *sequoia))


def section() -> str:
    """Measure, and give the section of the page."""
    return measured()[0]


def main() -> int:
    """Write the section anew, in its place on the page; 1 if something takes too long."""
    from tests.bench.run import put

    begun = time.monotonic()
    text, fine = measured()
    put(HEADING, text)
    print(text)
    print(f"{time.monotonic() - begun:.0f} s")
    return 0 if fine else 1


if __name__ == "__main__":
    sys.exit(main())
