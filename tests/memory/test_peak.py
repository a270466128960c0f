"""A file of 256 MiB goes through each verb in a process that never has 64 MiB.

Read from VmHWM: ``ru_maxrss`` of a child begins with that of its parent.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.support.world import World

OCTETS = 256 << 20
PEAK_OCTETS = 64 << 20
PASSPHRASE = "correct horse"

pytestmark = pytest.mark.skipif(
    not Path("/proc/self/status").exists(), reason="the peak is read from /proc"
)

START = """
import os, sys
from pathlib import Path
import smime
from smime import cms
alice = smime.Identity.load("alice.p12", passphrase="correct horse")
bob = smime.Identity.load("bob.p12", passphrase="correct horse")
def anchors():
    return smime.Anchors.load("root.pem")
def policy(cipher):
    return smime.Policy.modern().replace(cipher=cipher)
"""
END = """
peak = next(line for line in open("/proc/self/status") if line.startswith("VmHWM"))
print(int(peak.split()[1]) * 1024, file=sys.stderr)
"""


@pytest.fixture(scope="module")
def folder(world: World, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Keys, and a sparse file: it costs no disk."""
    from cryptography.hazmat.primitives.serialization import Encoding

    folder = tmp_path_factory.mktemp("memory")
    (folder / "alice.p12").write_bytes(world.alice.to_p12(PASSPHRASE))
    (folder / "bob.p12").write_bytes(world.bob.to_p12(PASSPHRASE))
    (folder / "bob.pem").write_bytes(world.bob.recipient.to_pem())
    (folder / "root.pem").write_bytes(world.ca.certificate.public_bytes(Encoding.PEM))
    with (folder / "big").open("wb") as file:
        file.truncate(OCTETS)
    return folder


def peak(folder: Path, program: str, stdin: Path | None = None) -> int:
    """Run the program in a process of its own and return the most it had."""
    return measured(folder, START + program + END, stdin)


def measured(folder: Path, text: str, stdin: Path | None, *arguments: str) -> int:
    """Run a text that ends with ``END``; return the most that it says it had."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    environment.pop("PYTHONDEVMODE", None)  # its hooks around malloc are no memory of ours
    with (
        (stdin or Path(os.devnull)).open("rb") as file,
        subprocess.Popen(["cat"], stdin=file, stdout=subprocess.PIPE) as cat,
    ):
        done = subprocess.run(
            [sys.executable, "-c", text, *arguments],
            cwd=folder,
            env=environment,
            stdin=cat.stdout,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=False,
        )
        cat.terminate()
    said = done.stderr.decode()
    assert done.returncode == 0, said
    return int(said.split()[-1])


SIGNED = 'cms.sign(Path("big"), by=alice, detached={d}, out=Path("signed-{d}"))'
VERIFIED = (
    'cms.verify(Path("signed-{d}"), content={c}, trust=anchors(), out=Path("verified"));'
    ' assert os.path.getsize("verified") == os.path.getsize("big"); os.unlink("verified")'
)
SEALED = 'cms.encrypt(Path("big"), to=bob, policy=policy("{c}"), out=Path("sealed-{c}"))'
OPENED = (
    'cms.decrypt(Path("sealed-{c}"), keys=bob, out=Path("opened"));'
    ' assert os.path.getsize("opened") == os.path.getsize("big"); os.unlink("opened")'
)


def test_signed_beside(folder: Path) -> None:
    assert peak(folder, SIGNED.format(d=True)) <= PEAK_OCTETS
    assert peak(folder, VERIFIED.format(d=True, c='Path("big")')) <= PEAK_OCTETS


def test_signed_inside(folder: Path) -> None:
    assert peak(folder, SIGNED.format(d=False)) <= PEAK_OCTETS
    assert peak(folder, VERIFIED.format(d=False, c=None)) <= PEAK_OCTETS
    (folder / "signed-False").unlink()


@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_sealed(folder: Path, cipher: str) -> None:
    assert peak(folder, SEALED.format(c=cipher)) <= PEAK_OCTETS
    assert peak(folder, OPENED.format(c=cipher)) <= PEAK_OCTETS
    sealed = folder / f"sealed-{cipher}"
    # To a pipe: by way of an unlinked file, and from a pipe as well.
    program = "cms.decrypt(sys.stdin.buffer, keys=bob, out=sys.stdout.buffer)"
    assert peak(folder, program, stdin=sealed) <= PEAK_OCTETS
    sealed.unlink()


def test_from_a_pipe(folder: Path) -> None:
    """Of a size that nobody knows: indefinite lengths, written and read."""
    seal = 'cms.encrypt(sys.stdin.buffer, to=bob, policy=policy("aes-256-gcm"), out=Path("piped"))'
    assert peak(folder, seal, stdin=folder / "big") <= PEAK_OCTETS
    assert peak(folder, OPENED.format(c="x").replace("sealed-x", "piped")) <= PEAK_OCTETS
    (folder / "piped").unlink()


HEAD = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: large\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
)
LINE = b"a line of a large mail, canonical already, of sixty-four in all\r\n"
MAIL_VERBS = {
    "sign": "by=alice",
    "opaque": "by=alice, opaque=True",
    "encrypt": "to=bob",
    "protect": "by=alice, to=bob",
}


@pytest.fixture(scope="module")
def mail(folder: Path) -> Iterator[Path]:
    path = folder / "large.eml"
    with path.open("wb") as file:
        file.write(HEAD)
        for _ in range(OCTETS >> 20):
            file.write(LINE * ((1 << 20) // len(LINE)))
    yield path
    path.unlink()


@pytest.mark.parametrize("verb", MAIL_VERBS)
def test_mail_goes_out(folder: Path, mail: Path, verb: str) -> None:
    name = "sign" if verb == "opaque" else verb
    program = f'smime.{name}(Path("large.eml"), {MAIL_VERBS[verb]}, out=Path("sent.eml"))'
    assert peak(folder, program) <= PEAK_OCTETS
    assert (folder / "sent.eml").stat().st_size > OCTETS * 0.9
    name = "decrypt" if verb == "encrypt" else "verify"
    opened = (
        f'opened = smime.{name}(Path("sent.eml"), trust=anchors(), keys=bob, out=Path("opened.eml")'
        f");assert opened.signer == {None if verb == 'encrypt' else 'alice@example.org'!r}"
    )
    assert peak(folder, opened) <= PEAK_OCTETS
    assert (folder / "opened.eml").stat().st_size > OCTETS * 0.99
    (folder / "opened.eml").unlink()
    if verb == "protect":
        piped = "smime.open(sys.stdin.buffer, trust=anchors(), keys=bob, out=sys.stdout.buffer)"
        assert peak(folder, piped, stdin=folder / "sent.eml") <= PEAK_OCTETS
    (folder / "sent.eml").unlink()


def test_line_ends_are_put_right_on_the_way(folder: Path) -> None:
    """A mail with LF alone, as mailboxes keep it."""
    path = folder / "unix.eml"
    with path.open("wb") as file:
        file.write(HEAD.replace(b"\r\n", b"\n"))
        for _ in range(OCTETS >> 20):
            file.write(LINE.replace(b"\r\n", b"\n") * ((1 << 20) // len(LINE)))
    program = 'smime.sign(Path("unix.eml"), by=alice, out=Path("sent.eml"))'
    assert peak(folder, program) <= PEAK_OCTETS
    path.unlink()
    verified = 'smime.verify(Path("sent.eml"), trust=anchors(), out=Path("opened.eml"))'
    assert peak(folder, verified) <= PEAK_OCTETS
    (folder / "sent.eml").unlink()
    (folder / "opened.eml").unlink()


def test_a_mail_is_written_anew_on_the_way(folder: Path) -> None:
    """Text of 8 bits becomes quoted-printable, what is binary base64."""
    path = folder / "eight.eml"
    text = "Content-Type: text/plain; charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n"
    with path.open("wb") as file:
        file.write(HEAD.partition(b"Content-")[0])
        file.write(b"Content-Type: multipart/mixed; boundary=part\r\n\r\n--part\r\n")
        file.write(text.encode())
        for _ in range(16):
            file.write("Grüße, eine Zeile mit Umlauten und Blank am Ende \r\n".encode() * 20_000)
        file.write(b"\r\n--part\r\nContent-Type: application/zip\r\n")
        file.write(b"Content-Transfer-Encoding: binary\r\n\r\n")
        for _ in range(100):
            file.write(bytes(range(256)) * 4096)
        file.write(b"\r\n--part--\r\n")
    assert path.stat().st_size > 1.8 * PEAK_OCTETS
    program = 'smime.protect(Path("eight.eml"), by=alice, to=bob, out=Path("sent.eml"))'

    assert peak(folder, program) <= PEAK_OCTETS
    path.unlink()
    assert (folder / "sent.eml").stat().st_size > 2 * PEAK_OCTETS
    (folder / "sent.eml").unlink()


def test_a_mail_in_an_unusual_form_is_written_anew(folder: Path) -> None:
    """One line of text, a forwarded mail, base64 in one line, and a Subject that is empty."""
    path = folder / "odd.eml"
    edge = b"\r\n--part\r\n"
    with path.open("wb") as file:
        file.write(HEAD.partition(b"Subject")[0] + b"Subject: \r\n")
        file.write(b"Content-Type: multipart/mixed; boundary=part\r\n" + edge)
        file.write(b"Content-Type: text/plain\r\n\r\nhello\r\n" + edge)
        for start in (
            b"Content-Type: text/plain\r\n\r\n",
            b"Content-Type: message/rfc822\r\n\r\nSubject: passed on \r\n\r\n",
            b"Content-Type: a/b\r\nContent-Transfer-Encoding: base64\r\n\r\n",
        ):
            file.write(start)
            for _ in range(40):
                file.write(b"QUJD" * (1 << 18))
            file.write(edge)
        file.write(b"\r\nlast\r\n--part--\r\n")
    policy = "policy=smime.Policy.modern().replace(legacy_display=True)"
    program = f'smime.protect(Path("odd.eml"), by=alice, to=bob, out=Path("sent.eml"), {policy})'

    assert path.stat().st_size > 1.8 * PEAK_OCTETS
    assert peak(folder, program) <= PEAK_OCTETS
    assert (folder / "sent.eml").stat().st_size > 2 * PEAK_OCTETS
    for name in ("odd.eml", "sent.eml"):
        (folder / name).unlink()


def test_a_compressed_mail_is_opened(folder: Path) -> None:
    """RFC 3274 inside a seal: what comes out of it is larger than what may be held."""
    path = folder / "packed.eml"
    with path.open("wb") as file:
        file.write(HEAD)
        for _ in range(150 << 4):
            line = os.urandom(250).hex().encode() + b"\r\n"
            file.write(line * ((64 << 10) // len(line)))
    policy = "policy=smime.Policy.modern().replace(compress=True)"
    program = f'smime.protect(Path("packed.eml"), by=alice, to=bob, out=Path("sent.eml"), {policy})'
    opened = (
        'found = smime.open(Path("sent.eml"), trust=anchors(), keys=bob, out=Path("opened.eml"));'
        'assert "compressed" in [one.kind for one in found.report.layers]'
    )

    assert peak(folder, program) <= PEAK_OCTETS
    assert (folder / "sent.eml").stat().st_size > 1 << 20  # small mails are simply read
    assert peak(folder, opened) <= PEAK_OCTETS
    assert (folder / "opened.eml").stat().st_size > 2 * PEAK_OCTETS
    for name in ("packed.eml", "sent.eml", "opened.eml"):
        (folder / name).unlink()


@pytest.mark.parametrize("verb", ["verify", "decrypt", "open"])
def test_the_command_opens_mail(folder: Path, mail: Path, verb: str) -> None:
    protect = 'smime.protect(Path("large.eml"), by=alice, to=bob, out=Path("sent.eml"))'
    if not (folder / "sent.eml").exists():
        assert peak(folder, protect) <= PEAK_OCTETS
    (folder / "secret").write_text(PASSPHRASE)
    (folder / "secret").chmod(0o600)
    who = ["-i", "bob.p12", "--passphrase-file", "secret", "--ca", "root.pem"]
    argv = [verb, *who, "sent.eml", "-o", "opened.eml"]
    program = f"from smime.cli.main import main\nassert main({argv!r}) == 0"
    assert peak(folder, program) <= PEAK_OCTETS
    assert (folder / "opened.eml").stat().st_size > OCTETS * 0.99
    (folder / "opened.eml").unlink()
    if verb == "open":
        (folder / "sent.eml").unlink()


@pytest.mark.parametrize("verb", ["sign", "encrypt", "protect"])
@pytest.mark.parametrize("output", ["sent.eml", "-"])
def test_the_command_sends_mail(folder: Path, mail: Path, verb: str, output: str) -> None:
    (folder / "secret").write_text(PASSPHRASE)
    (folder / "secret").chmod(0o600)
    who = ["-i", "alice.p12", "--passphrase-file", "secret"] if verb != "encrypt" else []
    to = ["--to", "bob.pem"] if verb != "sign" else []
    argv = [verb, *who, *to, "large.eml", "-o", output]
    program = f"from smime.cli.main import main\nassert main({argv!r}) == 0"
    assert peak(folder, program) <= PEAK_OCTETS
    (folder / "sent.eml").unlink(missing_ok=True)


FILE, PIPE = 'Path("big")', "sys.stdin.buffer"
LAYERS = {
    "compress": (PIPE, 'cms.compress({s}, out=Path("layer"))', "limit_ratio=2000"),
    "digest": (FILE, 'cms.digest({s}, out=Path("layer"))', ""),
    "authenticate": (PIPE, 'cms.authenticate({s}, to=bob, out=Path("layer"))', "keys=bob"),
    "attributes": (
        FILE,
        'cms.encrypt({s}, to=bob, policy=policy("aes-256-gcm").replace(content_key="derived"),'
        ' authenticated_attributes=[cms.attribute("1.2.3", b"\\5\\0")], out=Path("layer"))',
        "keys=bob",
    ),
}


@pytest.mark.parametrize("layer", LAYERS)
def test_other_layers(folder: Path, layer: str) -> None:
    """Put around a file or what comes from a pipe, and taken off again."""
    source, work, more = LAYERS[layer]
    verb = "decompress" if layer == "compress" else "open"
    comma = ", " if more else ""
    program = (
        f'{work.format(s=source)}; cms.{verb}(Path("layer"){comma}{more}, out=Path("opened"));'
        ' assert os.path.getsize("opened") == os.path.getsize("big"); os.unlink("opened")'
    )

    assert peak(folder, program, stdin=folder / "big" if source == PIPE else None) <= PEAK_OCTETS
    (folder / "layer").unlink()
