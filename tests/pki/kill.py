"""Run the CA in a process and kill it: python -m tests.pki.kill FOLDER STEP | FOLDER random N.

Prints a line per certificate that was handed out: only what was printed counts as given.
"""

from __future__ import annotations

import hashlib
import os
import random
import signal
import sys
import time
from collections.abc import Iterator

from cryptography.hazmat.primitives.asymmetric import ec
from sqlalchemy import event

import pki
from pki.ledger import Ledger, Writing
from pki.orders import Order
from tests.pki.house import reopened

ROWS = 2_000
STEPS = ("signed", "begun", "logged", "recorded", "committed")


def orders() -> Iterator[Order]:
    """The same people with the same keys in each run, as rows of one file have."""
    for row in range(ROWS):
        secret = int.from_bytes(hashlib.sha256(b"row %d" % row).digest(), "big") % (1 << 250) + 1
        key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
        request = pki.CertificationRequest(key, (f"u{row}@chess.example",))
        yield Order(request, label=f"row {row}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(step: str, ca: pki.Registrar) -> None:
    """Make the next pass of that step the last."""
    if step == "signed":
        Ledger.writing = lambda _: die()
    elif step == "begun":
        Writing.__init__ = lambda *_: die()
    elif step in {"logged", "recorded"}:
        table = {"logged": "INSERT INTO events", "recorded": "UPDATE head"}[step]

        def after(_c: object, _u: object, statement: str, *_: object) -> None:
            if statement.startswith(table):
                die()

        event.listen(ca.ledger._writer, "after_cursor_execute", after)
    elif step == "committed":
        real = Ledger.writing

        class Dying:
            def __init__(self, ledger: Ledger) -> None:
                self.inside = real(ledger)

            def __enter__(self) -> Writing:
                return self.inside.__enter__()

            def __exit__(self, *exc: object) -> None:
                self.inside.__exit__(*exc)
                die()

        Ledger.writing = lambda ledger: Dying(ledger)


def bulk(folder: str) -> None:
    """Certify all rows; say which are handed out."""
    with reopened(folder) as ca:
        for outcome in ca.certify_many(orders(), group=50):
            assert outcome.certificate is not None, outcome.refused
            serial = outcome.certificate.serial_number
            os.write(1, f"{outcome.order.label}:{serial:x}\n".encode())


def once(folder: str, what: str, step: str) -> None:
    """Do one thing and die at that step of it."""
    with reopened(folder) as ca:
        serial = ca.ledger.page(limit=1)[0].serial if what != "issue" else 0
        die_at(step, ca)
        if what == "issue":
            made = ca.certify(next(orders()).request.authorise("once@chess.example"))
            os.write(1, f"once:{made.serial_number:x}\n".encode())
        elif what == "revoke":
            ca.revoke(serial, reason="keyCompromise")
            os.write(1, b"revoked\n")
        else:
            os.write(1, ca.crl())


def at_random(folder: str, times: int) -> None:
    """Start the bulk again and again, and kill each run at another moment."""
    chance = random.Random(7)
    for _ in range(times):
        child = os.fork()
        if not child:
            bulk(folder)
            os._exit(0)
        time.sleep(chance.uniform(0.005, 0.1))  # a random moment of a run of half a second
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    bulk(folder)


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, "random", times]:
            at_random(folder, int(times))
        case [folder, what, step]:
            once(folder, what, step)
