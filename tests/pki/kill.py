"""Run a CA in processes of its own, to be killed or to meet another: python -m tests.pki.kill

    FOLDER issue|revoke|crl STEP    do it, and die at that step of it
    FOLDER random TIMES ROWS        bulks of ROWS, killed at so many random moments in all
    FOLDER again TIMES ROWS         one bulk of ROWS, killed so many times on its way
    FOLDER share WHO COUNT          issue, while another process does

Prints a line for each thing done, after it was done: only what was printed counts as given.
"""

from __future__ import annotations

import hashlib
import itertools
import os
import random
import shutil
import signal
import sys
import time
from collections.abc import Iterator
from dataclasses import replace

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec

import pki
from pki.ledger import Ledger, Writing
from pki.orders import Order
from pki.tables import Prepared, sql
from tests.pki.house import reopened

REVOKED_EVERY, LISTED_EVERY = 40, 500  # rows of a bulk
STEPS = ("signed", "begun", "logged", "recorded", "committed")


def orders(rows: int) -> Iterator[Order]:
    """The same people with the same keys in each run, as rows of one file have."""
    for row in range(rows):
        secret = int.from_bytes(hashlib.sha256(b"row %d" % row).digest(), "big") % (1 << 250) + 1
        key = ec.derive_private_key(secret, ec.SECP256R1()).public_key()
        request = pki.CertificationRequest(key, (f"u{row}@chess.example",))
        yield Order(request, label=f"row {row}")


def die() -> None:
    os.kill(os.getpid(), signal.SIGKILL)


def die_at(step: str) -> None:
    """Make the next pass of that step the last."""
    if step == "signed":
        Ledger.writing = lambda _: die()
    elif step == "begun":
        Writing.__init__ = lambda *_: die()
    elif step in {"logged", "recorded"}:
        last = {"logged": "INSERT INTO events", "recorded": "UPDATE head"}[step]
        run = Prepared.run

        def dying(statement: Prepared, connection: sql.Connection, values: object = None) -> object:
            found = run(statement, connection, values)
            if statement._texts[connection.dialect.name].startswith(last):
                die()
            return found

        Prepared.run = dying
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


def say(*words: object) -> None:
    os.write(1, " ".join(map(str, words)).encode() + b"\n")


def bulk(folder: str, rows: int) -> None:
    """Certify all rows, revoke some and list them; go on where the run before was cut off."""
    with reopened(folder) as ca:
        for row, outcome in enumerate(ca.certify_many(orders(rows), group=50)):
            assert outcome.certificate is not None, outcome.refused
            serial = outcome.certificate.serial_number
            say(folder, "given", outcome.order.label, f"{serial:x}")
            if row % REVOKED_EVERY == 0:
                if ca.ledger.statuses([serial])[serial] is None:
                    ca.revoke(serial)
                say(folder, "revoked", f"{serial:x}")
            if row % LISTED_EVERY == LISTED_EVERY - 1:
                listed = x509.load_der_x509_crl(ca.crl())
                number = listed.extensions.get_extension_for_class(x509.CRLNumber).value
                say(folder, "listed", number.crl_number)


def once(folder: str, what: str, step: str) -> None:
    """Do one thing and die at that step of it."""
    with reopened(folder) as ca:
        serial = ca.ledger.page(limit=1)[0].serial if what != "issue" else 0
        die_at(step)
        if what == "issue":
            made = ca.certify(next(orders(1)).request.authorise("once@chess.example"))
            os.write(1, f"once:{made.serial_number:x}\n".encode())
        elif what == "revoke":
            ca.revoke(serial, reason="keyCompromise")
            os.write(1, b"revoked\n")
        else:
            os.write(1, ca.crl())


def at_random(folder: str, times: int, rows: int) -> None:
    """Kill bulks at random moments of their time, each until it comes to its end."""
    chance, copies = random.Random(7), itertools.count()
    done, span, place = True, 0.0, ""
    for _ in range(times):
        if done:
            place = f"{folder}-{next(copies)}"
            shutil.copytree(folder, place)
        if not span:
            began = time.monotonic()
            bulk(place, rows)
            span = time.monotonic() - began
            place = f"{folder}-{next(copies)}"
            shutil.copytree(folder, place)
        child = os.fork()
        if not child:
            bulk(place, rows)
            os._exit(0)
        time.sleep(chance.uniform(0, span))
        os.kill(child, signal.SIGKILL)
        done = os.waitpid(child, 0)[1] == 0
    if not done:
        bulk(place, rows)


def again(folder: str, times: int, rows: int) -> None:
    """Kill one bulk again and again: its ledger lies in a server, and cannot be copied."""
    chance = random.Random(7)
    for _ in range(times):
        child = os.fork()
        if not child:
            bulk(folder, rows)
            os._exit(0)
        time.sleep(chance.uniform(0.05, 0.4))
        os.kill(child, signal.SIGKILL)
        os.waitpid(child, 0)
    bulk(folder, rows)


def share(folder: str, who: str, count: int) -> None:
    """Issue one by one and in groups: what is one's own, and what the other wants too."""
    with reopened(folder) as ca:
        say("ready")
        sys.stdin.readline()
        own = [replace(order, label=f"{who} {order.label}") for order in orders(count)]
        for place, order in enumerate(own):
            # Another person with another key for each: the keys of `orders` are shared.
            key = ec.generate_private_key(ec.SECP256R1()).public_key()
            mine = pki.CertificationRequest(key, (f"{who}{place}@chess.example",))
            made = ca.certify(mine, label=order.label)
            say(order.label, f"{made.serial_number:x}")
        for outcome in ca.certify_many(orders(count), group=3):
            assert outcome.certificate is not None, outcome.refused
            say(outcome.order.label, f"{outcome.certificate.serial_number:x}")


if __name__ == "__main__":
    match sys.argv[1:]:
        case [folder, "random", times, rows]:
            at_random(folder, int(times), int(rows))
        case [folder, "again", times, rows]:
            again(folder, int(times), int(rows))
        case [folder, "share", who, count]:
            share(folder, who, int(count))
        case [folder, what, step]:
            once(folder, what, step)
