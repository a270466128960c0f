"""What goes wrong with OpenPGP in the world: a clear error in time, and no plaintext.

The messages are made by a gpg run by hand and changed; each one is opened by either
engine and by both, in memory and in a file.
"""

from __future__ import annotations

import bz2
import os
import re
import signal
import subprocess
import sys
import threading
import time
import tracemalloc
import zlib
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

import smime
from smime.cli.main import main
from smime.formats import large
from smime.formats.pgpmime import wrap_sealed
from smime.pgp import gnupg, homes, manager
from smime.pgp.packets import enarmor, packets
from tests.pgp.test_packets import literal, packet
from tests.support.agents import processes

pytestmark = pytest.mark.peer("gpg")

SECRET = b"the meeting is at noon"
TEXT = b"Content-Type: text/plain\r\n\r\n" + SECRET + b"\r\n"
SECONDS = 20.0  # far below any limit of ours: nothing waits for it


class Hand:
    """gpg run by hand, as people do, over a home with one key."""

    def __init__(self, gpg, home, fingerprint, passphrase=""):
        self.fingerprint = fingerprint
        self._gpg = gpg
        self._base = ["--homedir", home, "--batch", "--trust-model", "always"]
        self._base += ["--pinentry-mode", "loopback", "--passphrase", passphrase]

    def seal(self, data: bytes, *words: str) -> bytes:
        return self._gpg.run(*self._base, *words, "-r", self.fingerprint, "--encrypt", input=data)

    def attempt(self, *words: str, data: bytes):
        return self._gpg.attempt(*self._base, *words, input=data)


@pytest.fixture(scope="module")
def origin(gpg):
    with smime.PgpKeyring(engine="gnupg") as ring:
        ring.generate("bob@example.org")
        yield ring


@pytest.fixture(scope="module")
def hand(origin, gpg):
    return Hand(gpg, origin.gnupg.home, origin.find("bob@example.org").fingerprint)


@pytest.fixture(scope="module", params=["gnupg", "sequoia", "auto"])
def reader(request, origin):
    with smime.PgpKeyring(origin.export(secret=True), engine=request.param) as ring:
        yield ring


def mail_of(octets: bytes) -> bytes:
    """Put packets into a mail; what is armour already stays as it is."""
    armour = octets if octets.startswith(b"---") else enarmor(octets, "MESSAGE", b"\r\n")
    return wrap_sealed(armour, b"From: alice@example.org\r\nTo: bob@example.org\r\n")


def split(message: bytes) -> tuple[bytes, bytes]:
    """Return the session keys of a message, and its container."""
    *keys, container = packets(message)
    return b"".join(one.raw for one in keys), container.body


def without_mdc(hand: Hand, message: bytes) -> bytes:
    """Return the message in the form of PGP 2 to 6, that nothing protects (RFC 9580 §5.7)."""
    said = hand.attempt("--show-session-key", "--decrypt", data=message).stderr
    number, key = re.search(rb"session key: '(\d+):([0-9A-F]+)'", said).groups()
    assert number == b"9"
    seal = Cipher(algorithms.AES(bytes.fromhex(key.decode())), modes.ECB())
    block = seal.encryptor()

    def feedback(data: bytes, register: bytes) -> bytes:
        made = b""
        for at in range(0, len(data), 16):
            stream = block.update(register)
            made += bytes(a ^ b for a, b in zip(data[at : at + 16], stream, strict=False))
            register = made[-16:]
        return made

    start = os.urandom(16)
    head = feedback(start + start[-2:], bytes(16))
    return split(message)[0] + packet(9, head + feedback(literal(TEXT), head[2:18]))


def tampered(message: bytes, from_end: int) -> bytes:
    changed = bytearray(message)
    changed[-from_end] ^= 1
    return bytes(changed)


CASES = {
    "armour cut": lambda hand, m: enarmor(m, "MESSAGE")[: len(m) // 2],
    "armour without its end": lambda hand, m: enarmor(m, "MESSAGE").rpartition(b"-----END")[0],
    "packets cut": lambda hand, m: m[:-30],
    "MDC changed": lambda hand, m: tampered(m, 3),
    "content changed": lambda hand, m: tampered(m, 40),
    "MDC cut off": lambda hand, m: split(m)[0] + packet(18, split(m)[1][:-22]),
    "no MDC": without_mdc,
    "two messages in one": lambda hand, m: m + m,
    "another message behind": lambda hand, m: m + hand.seal(b"Content-Type: x/y\r\n\r\nmore\r\n"),
    "text behind": lambda hand, m: m + literal(b"more"),
    "junk behind": lambda hand, m: m + b"junk",
    "armour behind": lambda hand, m: enarmor(m, "MESSAGE") * 2,
    "two texts in one": lambda hand, m: hand.seal(literal(TEXT) * 2, "--no-literal"),
    "text behind the text": lambda hand, m: hand.seal(
        literal(TEXT) + literal(b"more"), "--no-literal"
    ),
    "a message inside": lambda hand, m: hand.seal(m, "--no-literal"),
    "nothing inside": lambda hand, m: hand.seal(packet(10, b"PGP"), "--no-literal"),
    "compressed and cut": lambda hand, m: hand.seal(
        packet(8, b"\2" + zlib.compress(literal(TEXT * 100))[:-9]), "--no-literal"
    ),
}
ERRORS = (smime.DecryptionFailed, smime.MalformedMail, smime.NotSupported)


@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize("case", CASES)
def test_no_plaintext_of_what_is_not_one_whole_message(
    hand, reader, case, where, tmp_path, monkeypatch, capsysbinary
):
    message = hand.seal(TEXT, "-z", "0")
    bad = mail_of(CASES[case](hand, message))
    monkeypatch.setattr(large, "SMALL_OCTETS", 100)
    how = {"trust": reader, "keys": list(reader)}

    def given(mail):
        if where == "memory":
            return mail
        (tmp_path / "mail.eml").write_bytes(mail)
        return tmp_path / "mail.eml"

    # What was not changed opens.
    assert SECRET in smime.decrypt(given(mail_of(message)), **how).content
    began = time.monotonic()
    for verb in (smime.open, smime.decrypt, smime.verify):
        with pytest.raises(ERRORS) as refused:
            verb(given(bad), **how, out=tmp_path / "out.eml")
        assert SECRET.decode() not in str(refused.value) + refused.value.hint
    assert not (tmp_path / "out.eml").exists()
    report = smime.examine(given(bad), **how)
    assert report.signer is None
    assert report.outcome.value in ("sealed", "unknown")
    assert time.monotonic() - began < SECONDS
    assert SECRET not in b"".join(capsysbinary.readouterr())


def test_the_messages_are_real(hand):
    """gpg by hand gives out the text of those that it is known to take."""
    message = hand.seal(TEXT, "-z", "0")
    plain = hand.attempt("--ignore-mdc-error", "--decrypt", data=without_mdc(hand, message))
    assert SECRET in plain.stdout
    for case in ("content changed", "two messages in one", "junk behind", "two texts in one"):
        said = hand.attempt("--decrypt", data=CASES[case](hand, message))
        assert b"the me" in said.stdout, case


@pytest.mark.parametrize("engine", ["gnupg", "sequoia", "auto"])
def test_a_crowd_of_readers_without_names(origin, hand, engine):
    """Each might be me; some are tried, and the message is not held once for each."""
    message = hand.seal(os.urandom(200_000), "-z", "0")
    ((*_, key, container),) = [list(packets(message))]
    hidden = packet(1, b"\3" + bytes(8) + key.body[9:])
    wrong = packet(1, b"\3" + bytes(8) + b"\x12\1\7" + os.urandom(80))
    with smime.PgpKeyring(origin.export(secret=True), engine=engine) as ring:
        how = {"trust": ring, "keys": list(ring)}
        assert smime.decrypt(mail_of(hidden + container.raw), **how).encrypted
        assert smime.decrypt(mail_of(wrong * 3 + hidden + container.raw), **how).encrypted
        tracemalloc.start()
        began = time.monotonic()
        with pytest.raises(smime.DecryptionFailed):
            smime.decrypt(mail_of(wrong * 10_000 + container.raw), **how)
        most = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert most < 64 << 20  # once for each would be 2 GB
    assert time.monotonic() - began < SECONDS


def test_an_engine_that_cannot_leaves_it_to_that_of_another_keyring(gpg):
    """Two keyrings: one of GnuPG alone, and one whose key GnuPG would not know."""
    letter = b"From: alice@example.org\r\nTo: alice@example.org\r\n\r\nhi\r\n"
    with smime.PgpKeyring(engine="gnupg") as old, smime.PgpKeyring(engine="sequoia") as new:
        mine = old.generate("alice@example.org")
        modern = new.generate("alice@example.org", version=6)
        sealed = smime.encrypt(letter, to=modern)
        with pytest.raises(smime.NotSupported):
            smime.open(sealed, trust=old, keys=mine)
        assert smime.open(sealed, trust=old, keys=[mine, modern]).encrypted
        # What was changed is told as such, whatever the other one says.
        changed = bytes(sealed).replace(b"-----END", b"AAAA\r\n-----END", 1)
        with pytest.raises((smime.DecryptionFailed, smime.MalformedMail)):
            smime.open(changed, trust=old, keys=[mine, modern])


def test_a_passphrase_that_is_no_text_does_not_show(locked):
    key = locked.find("lock@example.org", passphrase=b"\xe9tude")
    with pytest.raises(smime.KeyProblem, match="UTF-8") as refused:
        locked.export(key, secret=True)
    assert "e9" not in str(refused.value)
    assert refused.value.__cause__ is None


# --- bombs ---------------------------------------------------------------------------


def zeros(octets: int) -> bytes:
    """Return a text of so many zeros, compressed; made of one piece, many times."""
    piece = 1 << 20
    squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
    head = b"\xcb\xff" + (octets + 6).to_bytes(4, "big") + b"b\0\0\0\0\0"
    first = squeeze.compress(head) + squeeze.flush(zlib.Z_FULL_FLUSH)
    one = squeeze.compress(bytes(piece)) + squeeze.flush(zlib.Z_FULL_FLUSH)
    return packet(8, b"\1" + first + one * (octets // piece) + squeeze.flush())


def bomb(octets: int, outer: str) -> bytes:
    inner = zeros(octets)
    if outer == "bzip2":
        return packet(8, b"\3" + bz2.compress(inner))
    return packet(8, b"\2" + zlib.compress(inner, 9))


BOMBED = """
import sys, time
from pathlib import Path
import smime
from smime.formats import large
large.SMALL_OCTETS = 100
ring = smime.PgpKeyring.load("keys.asc", engine=sys.argv[1])
given = Path("bomb.eml") if sys.argv[2] == "file" else Path("bomb.eml").read_bytes()
try:
    smime.open(given, trust=ring, keys=list(ring), out=Path("out.eml"))
except smime.SmimeError as refused:
    print(type(refused).__name__)
ring.close()
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024)
"""


@pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="platform: the peak is read from /proc"
)
@pytest.mark.parametrize("where", ["memory", "file"])
@pytest.mark.parametrize(
    ("engine", "outer"), [("gnupg", "bzip2"), ("gnupg", "zlib"), ("sequoia", "zlib")]
)
def test_a_gib_of_a_kib_is_stopped(origin, hand, tmp_path, engine, outer, where):
    (tmp_path / "keys.asc").write_bytes(origin.export(secret=True))
    message = hand.seal(bomb(1 << 30, outer), "--no-literal")
    assert len(message) < (1 << 10 if outer == "bzip2" else 1 << 13)
    (tmp_path / "bomb.eml").write_bytes(mail_of(message))
    began = time.monotonic()
    environment = {**os.environ, "TMPDIR": str(tmp_path)}
    environment.pop("PYTHONDEVMODE", None)  # its hooks around malloc are no memory of ours

    said = subprocess.run(
        [sys.executable, "-c", BOMBED, engine, where],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=True,
    ).stdout.split()

    assert said[0] == "LimitExceeded"
    assert int(said[1]) < 128 << 20
    assert time.monotonic() - began < SECONDS
    assert sorted(os.listdir(tmp_path)) == ["bomb.eml", "keys.asc"]
    if engine == "gnupg":  # what grows no further than mail does opens
        small = hand.seal(bomb(8 << 20, outer), "--no-literal")
        opened = smime.open(mail_of(small), trust=origin, keys=list(origin))
        assert len(opened.content) == 8 << 20


# --- passphrases -----------------------------------------------------------------------


@pytest.fixture(scope="module")
def locked(gpg):
    with smime.PgpKeyring(engine="gnupg") as ring:
        ring.generate("lock@example.org", passphrase="open sesame")
        yield ring


@pytest.mark.parametrize("engine", ["gnupg", "sequoia", "auto"])
def test_a_wrong_or_missing_passphrase_waits_for_nobody(locked, gpg, engine, tmp_path):
    key = locked.find("lock@example.org", passphrase="open sesame")
    sealed = mail_of(
        Hand(gpg, locked.gnupg.home, key.fingerprint, "open sesame").seal(TEXT, "-z", "0")
    )
    with smime.PgpKeyring(locked.export(key, secret=True), engine=engine) as ring:
        for passphrase in (None, "wrong", ""):
            mine = ring.find("lock@example.org", passphrase=passphrase)
            began = time.monotonic()
            with pytest.raises(smime.KeyProblem, match="passphrase") as refused:
                smime.open(sealed, trust=ring, keys=mine, out=tmp_path / "out.eml")
            assert "PgpKeyring" in refused.value.hint
            with pytest.raises(smime.KeyProblem, match="passphrase"):
                smime.sign(b"From: lock@example.org\r\n\r\nhi\r\n", by=mine)
            assert time.monotonic() - began < SECONDS
            assert smime.examine(sealed, trust=ring, keys=mine).outcome.value == "sealed"
        mine = ring.find("lock@example.org", passphrase="open sesame")
        assert SECRET in smime.open(sealed, trust=ring, keys=mine).content
    assert not (tmp_path / "out.eml").exists()


# --- a machine that lacks something, and others who use it ---------------------------------


WITHOUT = """
import sys
if sys.argv[1] == "neither":
    sys.modules["pysequoia"] = None
import smime
letter = b"From: alice@example.org\\r\\nTo: alice@example.org\\r\\n\\r\\nhi\\r\\n"
try:
    with smime.PgpKeyring() as ring:
        alice = ring.generate("alice@example.org")
        sealed = smime.protect(letter, by=alice, to=alice)
        print(smime.verify(sealed, trust=ring, keys=alice).signer, repr(ring))
except smime.NotSupported as missing:
    print(missing, missing.hint)
"""


@pytest.mark.parametrize(
    ("there", "said"), [("sequoia", "alice@example.org <PgpKeyring, private, Sequoia>"),
                        ("neither", "there is no gpg on this machine install GnuPG: apt install")]
)  # fmt: skip
def test_a_machine_without_gpg(there, said, tmp_path):
    done = subprocess.run(
        [sys.executable, "-c", WITHOUT, there],
        env={**os.environ, "PATH": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert (done.returncode, done.stderr) == (0, "")
    assert said in done.stdout


def test_the_command_says_what_to_install(tmp_path, monkeypatch, capsys):
    (tmp_path / "letter.eml").write_bytes(b"From: a@example.org\r\n\r\nhi\r\n")
    monkeypatch.setenv("PATH", str(tmp_path))

    assert main(["verify", "--pgp", str(tmp_path / "letter.eml")]) == 4
    assert "apt install gnupg" in capsys.readouterr().err


def test_without_gpgconf_an_agent_ends_with_its_home(gpg, tmp_path, monkeypatch):
    (tmp_path / "gpg").symlink_to(gpg.path)
    monkeypatch.setenv("PATH", str(tmp_path))
    with smime.PgpKeyring(engine="gnupg") as ring:
        ring.generate("carol@example.org")
        home = ring.gnupg.home
        assert agents_of(home)
    assert not os.path.exists(home)
    assert ended(home)


def test_a_home_whose_path_is_too_long(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True, mode=0o700)
    if len(gnupg.agent_socket(str(deep))) <= homes.MAX_SOCKET:
        return  # the agents of this machine have their sockets elsewhere
    with pytest.raises(smime.KeyProblem, match="too long") as refused:
        smime.PgpKeyring.user(deep)
    assert "shorter" in refused.value.hint
    monkeypatch.setenv("GNUPGHOME", str(deep))
    with pytest.raises(smime.KeyProblem, match="too long"):
        smime.PgpKeyring.user()
    assert smime.PgpKeyring.user(tmp_path.parent) is not None


def agents_of(home: str) -> list[int]:
    return [pid for pid, line in processes() if "gpg-agent" in line and home in line]


def ended(home: str) -> bool:
    end = time.monotonic() + 30
    while agents_of(home) and time.monotonic() < end:
        time.sleep(0.05)
    return not agents_of(home)


@pytest.fixture
def small(gpg, monkeypatch):
    """A keyring with a key, and limits that a test can wait for."""
    monkeypatch.setattr(gnupg, "TIME_LIMIT_SECONDS", 1.5)
    monkeypatch.setattr(manager, "TIME_LIMIT_SECONDS", 1.5)
    with smime.PgpKeyring(engine="gnupg") as ring:
        ring.generate("carol@example.org")
        yield ring
        for pid in agents_of(ring.gnupg.home):
            os.kill(pid, signal.SIGCONT)


def both(ring) -> bytes:
    """Seal and open, sign and verify."""
    carol = ring.find("carol@example.org")
    letter = b"From: carol@example.org\r\nTo: carol@example.org\r\n\r\nhi\r\n"
    opened = smime.verify(smime.protect(letter, by=carol, to=carol), trust=ring, keys=carol)
    return opened.content


def test_an_agent_that_died_is_started_anew(small):
    home = small.gnupg.home
    before = agents_of(home)
    for pid in before:
        os.kill(pid, signal.SIGKILL)
    assert ended(home)

    assert b"hi" in both(small)
    after = agents_of(home)
    assert after
    assert not set(after) & set(before)


def test_an_agent_that_dies_in_the_middle(small):
    """It has stopped answering, and is killed while gpg waits for it."""
    home = small.gnupg.home
    stopped = agents_of(home)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    threading.Timer(0.5, lambda: [os.kill(pid, signal.SIGKILL) for pid in stopped]).start()
    began = time.monotonic()
    try:
        assert b"hi" in both(small)  # gpg starts another one
    except smime.SmimeError as refused:
        assert isinstance(refused, (smime.KeyProblem, smime.LimitExceeded))  # noqa: PT017  # either outcome is right, this refusal alone
    assert 0.4 < time.monotonic() - began < SECONDS
    assert b"hi" in both(small)


def test_an_agent_that_does_not_answer(small):
    for pid in agents_of(small.gnupg.home):
        os.kill(pid, signal.SIGSTOP)
    began = time.monotonic()

    with pytest.raises(smime.LimitExceeded, match="did not answer"):
        both(small)
    assert time.monotonic() - began < SECONDS
    for pid in agents_of(small.gnupg.home):
        os.kill(pid, signal.SIGCONT)
    assert b"hi" in both(small)


def test_a_keyring_that_another_program_holds(small, origin):
    """A lock as GnuPG makes it, of a process that lives: reading works, writing says why not."""
    public = origin.export(origin.find("bob@example.org"))
    lock = Path(small.gnupg.home, "pubring.kbx.lock")
    lock.write_text(f"{os.getpid():10d}\n{os.uname().nodename}\n")
    for write in (lambda: small.add(public), lambda: small.generate("dora@example.org")):
        began = time.monotonic()
        with pytest.raises(smime.LimitExceeded, match="did not answer") as refused:
            write()
        assert "another program may hold the keyring" in refused.value.hint
        assert time.monotonic() - began < SECONDS
    assert b"hi" in both(small)
    lock.unlink()

    assert small.add(public)
