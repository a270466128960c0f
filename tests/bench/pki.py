"""What the mini-CA does in a second: python -m tests.bench.pki

CPU time, beside the raw signatures of the same key; on the disk beside the disk's own syncs,
taken in turn. ``make bench`` writes it into the page; run alone it renews its section there.
"""

from __future__ import annotations

import hashlib
import json
import os
import random
import re
import shutil
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509 import ocsp

import pki
from pki import keys
from pki.authority import moment, new_serial
from pki.folder import LEDGER
from pki.listing import Wanted
from pki.orders import Order
from tests.bench.ledgers import address, filled
from tests.pki.house import kept, quick, reopened

ROOT = Path(__file__).parents[2]
AT = datetime(2026, 11, 24, 12, tzinfo=UTC)
CERTIFIED = {"p256": 5_000, "p384": 1_500, "ed25519": 5_000, "rsa3072": 600, "rsa4096": 400}
ORDERS = 4_000
SINGLES, THREADS = 600, 8
LOOKUPS = 300
ANSWERS = 2_000
LISTS = {"100,000": 100_000, "1,000,000": 1_000_000}
HEADING = "## The mini-CA"

Rows = list[list[str]]


def rate(count: int, seconds: float) -> str:
    return f"{count / seconds:,.0f}/s"


def certified() -> Rows:
    """``Authority.certify`` with nine extensions; one in 32 is checked by its issuer's key."""
    user = keys.generate("p256").public_key()
    mailbox = pki.Profile.named("mailbox")
    rows = []
    for algorithm, count in CERTIFIED.items():
        root = pki.Authority.create("Bench CA", algorithm=algorithm, at=AT)
        ca = pki.Authority(
            root.private_key,
            root.certificate,
            crl_url="http://pki.example.org/ca.crl",
            ca_url="http://pki.example.org/ca.cer",
        )
        requests = [
            pki.CertificationRequest(user, [f"user{n}@example.org"], f"User {n}")
            for n in range(count)
        ]
        begun = time.process_time()
        made = [
            ca.certify(request, profile=mailbox, serial=new_serial(), at=AT) for request in requests
        ]
        taken = time.process_time() - begun
        for certificate in made[::32]:
            certificate.verify_directly_issued_by(ca.certificate)
        begun = time.process_time()
        for certificate in made:
            ca.sign(certificate.tbs_certificate_bytes)
        signed = time.process_time() - begun
        rows.append([algorithm, rate(count, taken), rate(count, signed)])
    return rows


# --- on the disk ------------------------------------------------------------


def orders(count: int, of: str) -> list[Order]:
    public = [ec.generate_private_key(ec.SECP256R1()).public_key() for _ in range(count)]
    return [
        Order(pki.CertificationRequest(key, [f"{of}{n}@chess.example"]), label=f"{of} {n}")
        for n, key in enumerate(public)
    ]


def bulk(folder: str, of: str) -> None:
    """Certify orders for a CA on the disk; say when, and the CPU time. Run as a child."""
    asked = orders(ORDERS, of)
    with reopened(folder) as ca:
        print("ready", flush=True)
        sys.stdin.readline()
        began, busy = time.monotonic(), time.process_time()
        for outcome in ca.certify_many(asked):
            assert outcome.certificate is not None, outcome.refused
        taken = time.process_time() - busy
        print(json.dumps([began, time.monotonic(), taken]))


def together(folder: Path, processes: int) -> tuple[float, float]:
    """Let so many work at one ledger at once: seconds of all, CPU seconds of each."""
    started = [child("bulk", str(folder), f"p{processes}{n}") for n in range(processes)]
    for one in started:
        assert one.stdout is not None
        assert one.stdout.readline() == "ready\n"
    told = []
    for one in started:
        assert one.stdin is not None
        one.stdin.write("go\n")
        one.stdin.flush()
    for one in started:
        told.append(json.loads(one.communicate()[0]))
    begins, ends, busy = zip(*told, strict=True)
    return max(ends) - min(begins), sum(busy) / processes


def child(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "tests.bench.pki", *arguments],
        cwd=ROOT,
        env={**os.environ, "PYTHONPATH": str(ROOT)},
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )


class Disk:
    """A block written and synced, over and over: what a disk can do at that moment."""

    def __init__(self, folder: Path) -> None:
        self._block, self._count = os.urandom(4096), 0
        self._file = (folder / "synced").open("wb+", buffering=0)
        self._file.write(self._block * 64)
        os.fsync(self._file.fileno())

    def sync(self) -> float:
        """Do it once; give the seconds."""
        began = time.perf_counter()
        self._count += 1
        os.pwrite(self._file.fileno(), self._block, self._count % 64 * 4096)
        os.fdatasync(self._file.fileno())
        return time.perf_counter() - began

    def close(self) -> None:
        self._file.close()


def bare(source: Path, copy: Path, disk: Disk) -> tuple[list[float], list[float]]:
    """Write the rows of the single certificates with SQLite alone: seconds of sync and commit."""
    read, written = (sqlite3.connect(path, isolation_level=None) for path in (source, copy))
    written.execute("PRAGMA journal_mode = WAL")
    written.execute("PRAGMA synchronous = FULL")
    chosen = "SELECT * FROM certificates WHERE label LIKE 'single %' ORDER BY number"
    found = []
    for row in read.execute(chosen).fetchall():
        event = read.execute("SELECT * FROM events WHERE number = ?", (row[1],)).fetchone()
        found.append((event, row, ("address", row[0])))
    synced, taken = [], []
    for event, row, held in found:
        synced.append(disk.sync())
        began = time.perf_counter()
        written.execute("BEGIN IMMEDIATE")
        for table, values in (("events", event), ("certificates", row), ("addresses", held)):
            places = ", ".join("?" * len(values))
            written.execute(f"INSERT INTO {table} VALUES ({places})", values)
        written.execute("UPDATE head SET number = ?, hash = ?", (event[0], event[-1]))
        written.execute("COMMIT")
        taken.append(time.perf_counter() - began)
    read.close()
    written.close()
    return synced, taken


def compared(synced: list[float], taken: float) -> str:
    """Say what the disk did in turn with it, or just before and after."""
    sync = statistics.median(synced)
    return f"{1 / sync:,.0f}/s syncs of the disk, {sync / taken:.2f}x"


def durable(folder: Path) -> Rows:
    """What ``Registrar`` gives back only when it is on the disk (SQLite, FULL)."""
    with quick(folder) as ca:
        kept(ca)
    alone, busy = together(folder, 1)
    rows = [["bulk, one process", rate(ORDERS, busy), rate(ORDERS, alone), ""]]
    both, busy = together(folder, 2)
    rows.append(["bulk, two processes", rate(ORDERS, busy), rate(2 * ORDERS, both), ""])
    shutil.copy(folder / LEDGER, folder / "bare")
    with reopened(folder) as ca:
        asked = orders(SINGLES, "single")
        disk = Disk(folder)
        synced, taken, worked = [], [], []
        for order in asked:
            synced.append(disk.sync())
            between, busy = time.perf_counter(), time.process_time()
            ca.certify(order.request, label=order.label)
            taken.append(time.perf_counter() - between)
            worked.append(time.process_time() - busy)
        asked = orders(SINGLES, "thread")
        around = [disk.sync() for _ in range(SINGLES // 4)]
        with ThreadPoolExecutor(THREADS) as pool:
            began, busy = time.perf_counter(), time.process_time()
            list(pool.map(lambda order: ca.certify(order.request, label=order.label), asked))
        clock, worked_together = time.perf_counter() - began, time.process_time() - busy
        around += [disk.sync() for _ in range(SINGLES // 4)]
        assert ca.ledger.count() == 3 * ORDERS + 2 * SINGLES
    beside, alone_too = bare(folder / LEDGER, folder / "bare", disk)
    disk.close()
    rows.append(
        [
            "one after another",
            rate(SINGLES, sum(worked)),
            rate(SINGLES, sum(taken)),
            compared(synced, statistics.median(taken)),
        ]
    )
    rows.append(
        [
            f"{THREADS} threads, each one after another",
            rate(SINGLES, worked_together),
            rate(SINGLES, clock),
            compared(around, clock / SINGLES),
        ]
    )
    rows.append(
        [
            "their rows alone, by `sqlite3`",
            "",
            rate(SINGLES, sum(alone_too)),
            compared(beside, statistics.median(alone_too)),
        ]
    )
    return rows


# --- status -----------------------------------------------------------------


def crl(folder: str) -> None:
    """Make a list; say its size, the CPU time, and by how much memory grew. Run as a child."""

    def peak() -> int:
        status = Path("/proc/self/status").read_text(encoding="ascii")
        return int(status.partition("VmHWM:")[2].split()[0])

    with reopened(folder) as ca:
        ca.crl_due()
        before, busy = peak(), time.process_time()
        made = ca.crl()
        print(json.dumps([len(made), time.process_time() - busy, (peak() - before) / 1024]))


def lists(name: str, folder: Path) -> Rows:
    size, taken, grown = json.loads(child("crl", str(folder)).communicate()[0])
    return [[f"CRL of {name}", f"{taken:.2f} s", f"{grown:.0f} MiB", f"{size / 1e6:.1f} MB"]]


def answers(ca: pki.Registrar, serials: list[int]) -> Rows:
    """OCSP, the responder's certificate in each answer."""
    at, issuer, responder = moment(None), ca.records.issuing, ca.responder()
    chosen = random.Random(1).sample(serials, ANSWERS)
    requests = []
    for serial in chosen:
        asked = ca.ledger.find(serial=serial)[0].certificate
        builder = ocsp.OCSPRequestBuilder().add_certificate(asked, issuer, SHA1())
        nonce = x509.OCSPNonce(os.urandom(32))
        built = builder.add_extension(nonce, critical=False).build()
        requests.append(built.public_bytes(Encoding.DER))
    begun = time.process_time()
    made = [responder.answer(request, at=at) for request in requests]
    asked_for = time.process_time() - begun
    begun = time.process_time()
    beforehand = dict(responder.presign(chosen, at=at))
    presigned = time.process_time() - begun
    begun = time.process_time()
    for answer in made:
        keys.sign(responder._signing.key, answer[:200])
    raw = rate(ANSWERS, time.process_time() - begun)
    for serial, answer in zip(chosen[::32], made[::32], strict=True):
        read = ocsp.load_der_ocsp_response(answer)
        assert read.serial_number == serial
        assert len(read.certificates) == 1
    assert beforehand.keys() == set(chosen)
    return [
        ["OCSP, asked with a nonce, looked up in a ledger", rate(ANSWERS, asked_for), raw],
        ["OCSP, signed beforehand", rate(ANSWERS, presigned), raw],
    ]


def lookups(ca: pki.Registrar, serials: list[int]) -> Rows:
    """Questions to a ledger, each time for another certificate."""
    chance = random.Random(2)
    places = [chance.randrange(len(serials)) for _ in range(LOOKUPS)]
    found = [ca.ledger.find(serial=serials[place])[0] for place in places]
    prints = [hashlib.sha256(one.cert_der).digest() for one in found]
    now, end = moment(None), int(found[0].not_after.timestamp())
    later = now + timedelta(days=400)

    def listed(wanted: Wanted, after: str) -> list[pki.Record]:
        return ca.ledger.listed(wanted, now=now, after=after)[0]

    asked: dict[str, Callable[[int], object]] = {
        "by serial number": lambda n: ca.ledger.find(serial=serials[places[n]]),
        "by address": lambda n: ca.ledger.find(address=address(places[n])),
        "by fingerprint": lambda n: ca.ledger.find(fingerprint=prints[n]),
        "a page of 100": lambda n: ca.ledger.page(after=places[n], limit=100),
        "a text that is nowhere": lambda n: not listed(Wanted(text=f"nobody {n}"), ""),
        "a page of 100 revoked ones": lambda n: listed(Wanted(state="revoked"), str(places[n])),
        "a page of 100 of a kind, that end in a year": lambda n: listed(
            Wanted(profile="mailbox", ending_after=now, ending_before=later),
            f"{end}-{places[n]}",
        ),
    }
    rows = []
    for name, ask in asked.items():
        taken = []
        count = LOOKUPS if name != "a text that is nowhere" else 5
        for number in range(count):
            began = time.process_time()
            assert ask(number)
            taken.append(time.process_time() - began)
        worst = sorted(taken)[count * 99 // 100]
        rows.append([name, f"{statistics.median(taken) * 1e3:.2f} ms", f"{worst * 1e3:.2f} ms"])
    return rows


def section() -> str:
    """Measure, and give the section of the page."""
    from tests.bench.run import table

    made = certified()
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        on_disk = durable(folder / "durable")
        crls: Rows = []
        for words, count in LISTS.items():
            ca, serials = filled(folder / words, count, revoked=count)
            with ca:
                kept(ca)
                ca.ledger.close()
                crls += lists(words, folder / words)
                if count == max(LISTS.values()):
                    given, found = answers(ca, serials), lookups(ca, serials)
    return f"""{HEADING}

`Authority.certify`, users' certificates with nine extensions, by the CA's key:

{table(["", "per CPU second", "raw signatures"], made)}

`Registrar`, P-256, given back when it is on the disk (SQLite, synchronous FULL). *By the clock* is
of a machine that does other work too, its disk as well. A certificate alone costs its CPU time and
one commit of fourteen pages, which is more than the sync of one page that it is compared with: a
disk of 300 syncs in a second gives 0.8 of them, one of some thousand less. Threads of one process
share commits, and `certify_many` records two hundred by one:

{table(["", "per CPU second", "by the clock", ""], on_disk)}

Revocation, P-256, from the ledger: CPU time, and by how much memory grew.

{table(["", "CPU", "memory", "size"], crls)}

{table(["", "per CPU second", "raw signatures"], given)}

Questions to a ledger of a million certificates, CPU time. A text is looked for in every address and
name. An index of all their parts (FTS5, trigrams) was tried: it finds a text in 4 ms, and each
certificate issued alone writes 24 pages more, for 0.4 ms of CPU time; so there is none:

{table(["", "median", "of a hundred the slowest but one"], found)}
"""


def main(arguments: list[str]) -> int:
    match arguments:
        case ["bulk", folder, of]:
            bulk(folder, of)
        case ["crl", folder]:
            crl(folder)
        case []:
            from tests.bench.run import PAGE

            made = section()
            print(made)
            text = PAGE.read_text(encoding="utf-8")
            pattern = re.compile(rf"{HEADING}\n.*?(?=^Python )", re.DOTALL | re.MULTILINE)
            if not pattern.search(text):
                text = re.sub(r"^(?=Python )", f"{HEADING}\n", text, flags=re.MULTILINE)
            PAGE.write_text(pattern.sub(lambda _: made + "\n", text), encoding="utf-8")
        case _:
            print(__doc__, file=sys.stderr)
            return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
