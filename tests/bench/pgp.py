"""OpenPGP measured against the programs under it: ``python -m tests.bench.pgp``.

10 KiB in memory against gpg run by hand with the same options, and against
pysequoia's own calls; 50 MiB encrypted by gpg. Each cell is the median of the
rounds; ours and theirs take turns, so that what else the machine does hits both.
"""

from __future__ import annotations

import base64
import os
import statistics
import subprocess
import sys
import time
from collections.abc import Callable

import pysequoia

import smime
from smime.pgp.packets import dearmor, dearmor_keys, read_sealed, read_signatures

SMALL = base64.encodebytes(os.urandom(7680))
LARGE = base64.encodebytes(os.urandom(50 << 20))[: 50 << 20]


def medians(rounds: int, *calls: Callable[[], object]) -> list[float]:
    """Return the median of each call in milliseconds, taken in turns."""
    taken: list[list[float]] = [[] for _ in calls]
    for call in calls:
        call()
    for _ in range(rounds):
        for call, times in zip(calls, taken, strict=True):
            begin = time.perf_counter()
            call()
            times.append(1000 * (time.perf_counter() - begin))
    return [statistics.median(times) for times in taken]


def row(name: str, ours: float, theirs: float, limit: float) -> bool:
    fine = ours <= limit * theirs
    print(f"{name:<34}{ours:>9.2f}{theirs:>9.2f}{ours / theirs:>7.2f}x of {limit}x", flush=True)
    return fine


def by_gpg(rounds: int) -> bool:
    fine = True
    with smime.PgpKeyring(engine="gnupg") as ring:
        alice, bob = ring.generate("alice@example.org"), ring.generate("bob@example.org")
        home = ring.gnupg.home or ""
        base = [
            "gpg",
            "--homedir",
            home,
            "--no-options",
            "--batch",
            "--no-tty",
            "--armor",
            "-z",
            "0",
        ]
        base += [
            "--trust-model",
            "always",
            "--no-auto-check-trustdb",
            "--pinentry-mode",
            "loopback",
        ]

        def gpg(*words: str, data: bytes = SMALL) -> bytes:
            return subprocess.run(
                [*base, *words], input=data, capture_output=True, check=True
            ).stdout

        signed = ring.engine.sign(SMALL, alice.fingerprint)
        signature = read_signatures(signed.signature)
        file = os.path.join(home, "signature")
        with open(file, "wb") as target:
            target.write(signature[0])
        sealed = ring.engine.encrypt(SMALL, [bob.fingerprint]).message
        opened = read_sealed(sealed)
        for name, ours, theirs in (
            (
                "sign",
                lambda: ring.engine.sign(SMALL, alice.fingerprint),
                lambda: gpg("-u", alice.fingerprint, "--detach-sign"),
            ),
            (
                "verify",
                lambda: ring.engine.check(SMALL, signature),
                lambda: gpg("--verify", file, "-"),
            ),
            (
                "encrypt",
                lambda: ring.engine.encrypt(SMALL, [bob.fingerprint]),
                lambda: gpg("-r", bob.fingerprint, "--encrypt"),
            ),
            (
                "decrypt",
                lambda: ring.engine.decrypt(opened, [bob]),
                lambda: gpg("--decrypt", data=sealed),
            ),
        ):
            fine &= row(f"gpg, 10 KiB, {name}", *medians(rounds, ours, theirs), 1.3)
        large = medians(
            3,
            lambda: ring.engine.encrypt(LARGE, [bob.fingerprint]),
            lambda: gpg("-r", bob.fingerprint, "--encrypt", data=LARGE),
        )
        fine &= row("gpg, 50 MiB, encrypt", *large, 1.1)
    return fine


def by_sequoia(rounds: int) -> bool:
    fine = True
    with smime.PgpKeyring(engine="sequoia") as ring:
        alice, bob = ring.generate("alice@example.org"), ring.generate("bob@example.org")
        tsk = pysequoia.Tsk.from_bytes(dearmor_keys(ring.export(alice, secret=True)))
        certs = [pysequoia.Cert.from_bytes(ring.export(one)) for one in (alice, bob)]
        detached = pysequoia.SignatureMode.DETACHED
        armour = ring.engine.sign(SMALL, alice.fingerprint).signature
        signature = read_signatures(armour)
        raw = dearmor(armour)
        for name, ours, theirs in (
            (
                "sign",
                lambda: ring.engine.sign(SMALL, alice.fingerprint),
                lambda: pysequoia.sign(tsk.signer(), SMALL, mode=detached),
            ),
            (
                "verify",
                lambda: ring.engine.check(SMALL, signature),
                lambda: pysequoia.verify(
                    SMALL, lambda _: certs[:1], signature=pysequoia.Sig.from_bytes(raw)
                ),
            ),
            (
                "encrypt",
                lambda: ring.engine.encrypt(SMALL, [bob.fingerprint]),
                lambda: pysequoia.encrypt(SMALL, certs[1:]),
            ),
        ):
            fine &= row(f"Sequoia, 10 KiB, {name}", *medians(20 * rounds, ours, theirs), 1.3)
    return fine


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 15
    print(f"{'':<34}{'ours ms':>9}{'theirs':>9}")
    return 0 if by_gpg(rounds) & by_sequoia(rounds) else 1


if __name__ == "__main__":
    sys.exit(main())
