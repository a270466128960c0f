"""``make bench``: measure against raw primitives, write docs/reference/performance.md.

CPU time of this process; the library and the primitives take turns in the same run, and the
ratio is taken turn by turn, so that it holds on a machine that does other work too. Nothing
is kept between calls: fresh anchors for every verification, messages in rotation.
"""

from __future__ import annotations

import hashlib
import os
import platform
import re
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from datetime import UTC, datetime
from itertools import cycle
from pathlib import Path
from typing import TypeVar

import cryptography
import pybase64
from cryptography.hazmat.primitives import hashes, keywrap
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import pki
import smime
import smime.cms
from smime.cms.signerinfo import read
from tests.bench import pgp, trust
from tests.bench import pki as ca

ROOT = Path(__file__).parents[2]
PAGE = ROOT / "docs/reference/performance.md"
MESSAGES = 32
MESSAGE_OCTETS = 10 * 1024
TURNS = 11
TURN_SECONDS = 0.04
START_TURNS = 15

Work = Callable[[], object]
T = TypeVar("T")


def letters() -> list[bytes]:
    """Return plain letters of 10 KiB, each another."""
    head = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: letter %d\r\n"
    kind = b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
    line = b"The quick brown fox jumps over the lazy dog, and so on.\r\n"
    body = line * (MESSAGE_OCTETS // len(line))
    return [head % n + kind + b"%d\r\n" % n + body for n in range(MESSAGES)]


def rotate(work: Callable[[T], object], mails: list[T]) -> Work:
    """Return the work on the next mail at each call."""
    following = cycle(mails)
    return lambda: work(next(following))


def measure(pair: tuple[Work, Work]) -> tuple[float, float, float]:
    """Return seconds per call of both, and the ratio of the second to the first: medians."""
    counts = []
    for work in pair:
        work()
        began, done = time.process_time(), 0
        while time.process_time() - began < TURN_SECONDS:
            work()
            done += 1
        counts.append(done)
    taken: tuple[list[float], list[float]] = ([], [])
    for turn in range(TURNS):
        for one in (0, 1) if turn % 2 else (1, 0):
            began = time.process_time()
            for _ in range(counts[one]):
                pair[one]()
            taken[one].append((time.process_time() - began) / counts[one])
    ratios = [ours / raw for raw, ours in zip(*taken, strict=True)]
    return statistics.median(taken[0]), statistics.median(taken[1]), statistics.median(ratios)


class Raw:
    """The primitives that each operation cannot do without, and base64; no message comes out."""

    def __init__(self, key: rsa.RSAPrivateKey | ec.EllipticCurvePrivateKey) -> None:
        self.key, self.public = key, key.public_key()
        self.attributes = os.urandom(160)
        self.container = os.urandom(3000)
        self.signature = self._sign()
        self.sealed_key, self.sealed, self.ephemeral = self._seal(letters()[0])

    def _sign(self) -> bytes:
        if isinstance(self.key, rsa.RSAPrivateKey):
            return self.key.sign(self.attributes, padding.PKCS1v15(), hashes.SHA256())
        return self.key.sign(self.attributes, ec.ECDSA(hashes.SHA256()))

    def sign(self, mail: bytes) -> None:
        hashlib.sha256(mail).digest()
        self._sign()
        pybase64.encodebytes(self.container)

    def verify(self, mail: bytes, signatures: int = 3) -> None:
        hashlib.sha256(mail).digest()
        pybase64.b64decode(pybase64.b64encode(self.container))
        for _ in range(signatures):  # the signer's, its certificate's, the issuing CA's
            if isinstance(self.public, rsa.RSAPublicKey):
                self.public.verify(
                    self.signature, self.attributes, padding.PKCS1v15(), hashes.SHA256()
                )
            else:
                self.public.verify(self.signature, self.attributes, ec.ECDSA(hashes.SHA256()))

    def _seal(self, mail: bytes) -> tuple[bytes, bytes, ec.EllipticCurvePublicKey | None]:
        key, iv = os.urandom(32), os.urandom(16)
        encryptor = Cipher(algorithms.AES(key), modes.CBC(iv)).encryptor()
        pad = 16 - len(mail) % 16
        sealed = encryptor.update(mail + bytes([pad]) * pad) + encryptor.finalize()
        if isinstance(self.public, rsa.RSAPublicKey):
            return self.public.encrypt(key, padding.PKCS1v15()), pybase64.encodebytes(sealed), None
        ephemeral = ec.generate_private_key(ec.SECP256R1())
        wrapping = self._derive(ephemeral.exchange(ec.ECDH(), self.public))
        wrapped = keywrap.aes_key_wrap(wrapping, key)
        return wrapped, pybase64.encodebytes(sealed), ephemeral.public_key()

    @staticmethod
    def _derive(shared: bytes) -> bytes:
        return X963KDF(hashes.SHA256(), 32, b"shared info").derive(shared)

    def encrypt(self, mail: bytes) -> None:
        self._seal(mail)

    def decrypt(self, mail: bytes) -> None:
        sealed = pybase64.b64decode(self.sealed)
        if isinstance(self.key, rsa.RSAPrivateKey):
            key = self.key.decrypt(self.sealed_key, padding.PKCS1v15())
        else:
            assert self.ephemeral is not None
            wrapping = self._derive(self.key.exchange(ec.ECDH(), self.ephemeral))
            key = keywrap.aes_key_unwrap(wrapping, self.sealed_key)
        decryptor = Cipher(algorithms.AES(key), modes.CBC(bytes(16))).decryptor()
        decryptor.update(sealed)
        decryptor.finalize()


def message_rows(algorithm: str) -> list[list[str]]:
    """Measure the four operations with keys of this algorithm."""
    root = pki.Authority.create("Bench CA", algorithm=algorithm)
    issuing = root.subordinate("Bench CA (issuing)", algorithm=algorithm)
    # The one profile under which a CA may have RSA-2048, which most mail is signed with.
    alice = issuing.issue("alice@example.org", algorithm=algorithm, profile="internal")
    bob = issuing.issue("bob@example.org", algorithm=algorithm, profile="internal")
    plain = letters()
    signed = [bytes(smime.sign(mail, by=alice)) for mail in plain]
    sealed = [bytes(smime.encrypt(mail, to=bob)) for mail in plain]
    top = root.certificate
    raw = Raw(pki.keys.generate(algorithm))

    def verify(mail: bytes) -> smime.Opened:
        return smime.verify(mail, trust=smime.Anchors([top]))

    kept = smime.Anchors([top])

    def verify_again(mail: bytes) -> smime.Opened:
        return smime.verify(mail, trust=kept)

    def decrypt(mail: bytes) -> smime.Opened:
        return smime.decrypt(mail, keys=bob, trust=smime.NoTrust())

    assert verify(signed[0]).signer == "alice@example.org"
    assert decrypt(sealed[0]).encrypted
    table: list[tuple[str, Callable[[bytes], None], Callable[[bytes], object], list[bytes]]] = [
        ("sign", raw.sign, lambda mail: smime.sign(mail, by=alice), plain),
        ("verify, with chain", raw.verify, verify, signed),
        ("verify, signer met before", lambda mail: raw.verify(mail, 1), verify_again, signed),
        ("encrypt, AES-256-CBC", raw.encrypt, lambda mail: smime.encrypt(mail, to=bob), plain),
        ("decrypt, AES-256-CBC", raw.decrypt, decrypt, sealed),
    ]
    rows = []
    for name, primitive, ours, mails in table:
        rows.append(row(name, rotate(primitive, mails), rotate(ours, mails)))
    return rows + pinned_rows(alice, plain)


def row(name: str, primitive: Work, ours: Work) -> list[str]:
    """Measure both in turn; return the cells."""
    least, taken, ratio = measure((primitive, ours))
    return [name, human(least), human(taken), f"{ratio:.2f}x"]


def pinned_rows(by: smime.Identity, contents: list[bytes]) -> list[list[str]]:
    """Measure ``smime.cms.verify`` of a partner whose certificate is pinned."""
    public = by.certificate.public_key()
    ec_how, rsa_how = (ec.ECDSA(hashes.SHA256()),), (padding.PKCS1v15(), hashes.SHA256())
    how = rsa_how if isinstance(public, rsa.RSAPublicKey) else ec_how

    def raw(signed: tuple[bytes, bytes, bytes]) -> None:
        content, attributes, value = signed
        hashlib.sha256(content).digest()
        public.verify(value, attributes, *how)

    rows = []
    for where, detached in (("detached", True), ("content inside", False)):
        blobs = [smime.cms.sign(one, by=by, detached=detached) for one in contents]
        parts = []
        for blob, content in zip(blobs, contents, strict=True):
            (signer,) = read(blob).signers
            assert signer.attributes is not None
            parts.append((content, signer.attributes.as_received(), signer.value))
        pin = smime.Pinned(by.certificate)

        def verify(
            given: tuple[bytes, bytes], trust: smime.Pinned, detached: bool = detached
        ) -> smime.cms.Opened:
            blob, content = given
            return smime.cms.verify(blob, content=content if detached else None, trust=trust)

        pairs = list(zip(blobs, contents, strict=True))
        for given in pairs * 2:  # ECDSA values have several lengths: each is met
            assert verify(given, pin).content == given[1]
        rows.append(
            row(
                f"`cms.verify`, pinned, {where}",
                rotate(raw, parts),
                rotate(lambda given, pin=pin, verify=verify: verify(given, pin), pairs),
            )
        )
    return rows


def start_rows(folder: Path) -> list[list[str]]:
    """Measure what a fresh process costs: CPU of the child, peers taking turns."""
    key = ec.generate_private_key(ec.SECP256R1())
    request = pki.CertificationRequest(key.public_key(), ("alice@example.org",))
    certificate = pki.Authority.create("Bench CA").certify(
        request, profile=pki.Profile.named("mailbox"), serial=1, at=datetime.now(UTC)
    )
    key_pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (folder / "alice.pem").write_bytes(key_pem + certificate.public_bytes(Encoding.PEM))
    (folder / "letter.eml").write_bytes(letters()[0])
    floor = (
        "from cryptography import x509\n"
        "from cryptography.hazmat.primitives import hashes, serialization\n"
        "from cryptography.hazmat.primitives.asymmetric import ec\n"
        "data = open('alice.pem', 'rb').read()\n"
        "x509.load_pem_x509_certificate(data)\n"
        "key = serialization.load_pem_private_key(data, None)\n"
        "key.sign(open('letter.eml', 'rb').read(), ec.ECDSA(hashes.SHA256()))\n"
    )
    script = Path(sys.executable).with_name("smimetool")
    command = [str(script)] if script.exists() else [sys.executable, "-m", "smime"]
    peers: dict[str, tuple[list[str], str]] = {
        "`python -c pass`": ([sys.executable, "-c", "pass"], ""),
        "`import smime`": ([sys.executable, "-c", "import smime"], "`python -c pass`"),
        "`smimetool --version`": ([*command, "--version"], "`python -c pass`"),
        "`smimetool --help`": ([*command, "--help"], "`python -c pass`"),
        "key, certificate, signature": ([sys.executable, "-c", floor], "`python -c pass`"),
        "`smimetool sign`": (
            [*command, "sign", "letter.eml", "-i", "alice.pem", "-o", "signed.eml"],
            "key, certificate, signature",
        ),
    }
    taken: dict[str, list[float]] = {name: [] for name in peers}
    names = list(peers)
    for turn in range(START_TURNS):
        for name in names if turn % 2 else reversed(names):
            taken[name].append(child_seconds(peers[name][0], folder))
    rows = []
    for name, (_, against) in peers.items():
        cells = [name, human(statistics.median(taken[name])), "", ""]
        if against:
            pairs = zip(taken[name], taken[against], strict=True)
            cells[2:] = [f"{statistics.median(a / b for a, b in pairs):.2f}x", against]
        rows.append(cells)
    return rows


def child_seconds(command: list[str], folder: Path) -> float:
    """Run a program and return the CPU seconds it took."""
    env = {**os.environ, "PYTHONPATH": str(ROOT)}
    with subprocess.Popen(command, cwd=folder, env=env, stdout=subprocess.DEVNULL) as child:
        _, status, usage = os.wait4(child.pid, 0)
        child.returncode = os.waitstatus_to_exitcode(status)
    if child.returncode:
        raise SystemExit(f"{' '.join(command)}: status {child.returncode}")
    return usage.ru_utime + usage.ru_stime


def human(seconds: float) -> str:
    """Return microseconds or milliseconds, three digits."""
    return f"{seconds * 1e6:.0f} µs" if seconds < 1e-3 else f"{seconds * 1e3:.1f} ms"


def table(head: list[str], rows: list[list[str]]) -> str:
    """Return a Markdown table."""
    lines = [head, ["---"] * len(head), *rows]
    return "\n".join(f"| {' | '.join(cells)} |" for cells in lines)


def put(heading: str, section: str) -> None:
    """Write one section of the page anew, in its place, or as the first where it is new."""
    page = PAGE.read_text(encoding="utf-8")
    there = re.compile(rf"^{re.escape(heading)}\n.*?(?=^## |^Python )", re.MULTILINE | re.DOTALL)
    if there.search(page):
        page = there.sub(lambda _: f"{section}\n", page)
    else:
        page = re.sub(
            r"^(?=## |Python )", lambda _: f"{section}\n", page, count=1, flags=re.MULTILINE
        )
    PAGE.write_text(page, encoding="utf-8")


def main() -> int:
    """Measure, print and write the page."""
    began = time.monotonic()
    head = ["", "primitives", "smime", "ratio"]
    rsa_rows, ec_rows = message_rows("rsa2048"), message_rows("p256")
    with tempfile.TemporaryDirectory() as folder:
        starts = start_rows(Path(folder))
    text = f"""# Performance

Written by `make bench`. Read the ratios: the times are of one machine, which does other work too.

CPU time per call, medians of turns taken in one run. *Primitives* is what the operation cannot do
without (hash, signature, cipher, base64) done by the `cryptography` package alone; no message comes
of it. A verification checks three signatures: the mail's, its certificate's and the issuing CA's.
Nothing is kept between calls, but where the signer was met before: there the `Anchors` are the
same. They keep the path and what the signer's signatures are like; the signature, dates, policy and
address are asked of each mail. `cms.verify` of what a pinned key signed, as AS2 partners do, is
measured against one signature; there the `Pinned` is the same, and keeps no more.

One letter of 10 KiB, RSA-2048:

{table(head, rsa_rows)}

One letter of 10 KiB, P-256:

{table(head, ec_rows)}

What opening adds, about: 20 µs for the parts of the mail, 12 µs for the CMS structure, 8 µs to find
the recipient, 4 µs so that no failure is quicker than another, 15 µs for all between. A key on a
curve takes 10 µs more: the sender's point is read, and both forms in which senders derive the key
are always tried. A chain that is new takes 55 µs to read its certificates, and as much to search
and to judge.

A fresh process:

{table(["", "CPU", "ratio", "to"], starts)}

{pgp.section()}
{trust.section()}
{ca.section()}
Python {platform.python_version()}, cryptography {cryptography.__version__}, \
{platform.system()} {platform.machine()}, {os.cpu_count()} cores.
"""
    PAGE.write_text(text, encoding="utf-8")
    print(text)
    print(f"{time.monotonic() - began:.0f} s; written to {PAGE.relative_to(ROOT)}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
