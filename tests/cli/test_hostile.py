"""Mail from an attacker through the commands: one status, one line, and never half a file."""

from __future__ import annotations

import os
import re
from base64 import b64decode, encodebytes
from collections.abc import Iterator
from pathlib import Path
from random import Random

import pytest

import smime
from smime.cli.main import main
from tests.support.world import LETTER, World

LARGE = LETTER + b"a line of a mail that is read in pieces\r\n" * 30_000
CRLF = b"\r\n"
SIGNED = LETTER.partition(CRLF * 2)[2].replace(CRLF, b"\n")
STATUSES = {0, 3, 4, 6, 7}


def mails(world: World) -> Iterator[tuple[str, bytes]]:
    gcm = smime.Policy.modern().replace(cipher="aes-256-gcm")
    packed = smime.Policy.modern().replace(compress=True)
    for size, mail in (("small", LETTER), ("large", LARGE)):
        yield f"signed {size}", bytes(smime.sign(mail, by=world.alice))
        yield f"opaque {size}", bytes(smime.sign(mail, by=world.alice, opaque=True))
        yield f"cbc {size}", bytes(smime.protect(mail, by=world.alice, to=world.bob))
        yield f"gcm {size}", bytes(smime.protect(mail, by=world.alice, to=world.bob, policy=gcm))
        yield f"packed {size}", bytes(smime.sign(mail, by=world.alice, policy=packed))


def damaged(mail: bytes, chance: Random) -> Iterator[tuple[str, bytes]]:
    head, _, body = mail.partition(b"\r\n\r\n")
    yield "cut", mail[: chance.randrange(len(mail))]
    yield "cut in the header", mail[: chance.randrange(len(head))]
    yield "one octet short", mail[:-1]
    yield "twice", mail + mail
    yield "no line ends", mail.replace(b"\r\n", b"\r")
    yield "no body", head + b"\r\n\r\n"
    yield "much header", b"X: y\r\n" * 20_000 + mail
    if b"multipart/signed" in head:
        mark = b"--" + re.findall(rb'boundary="([^"]+)"', head)[0]
        before, first, second, after = mail.split(mark)
        yield "swapped", mark.join([before, second, first, after])
        yield "one part", mark.join([before, second, after])
        yield "no boundary", re.sub(rb'boundary="[^"]+"', b'boundary=""', mail, count=1)
        return
    blob = b64decode(body)

    def wrapped(octets: bytes) -> bytes:
        return head + b"\r\n\r\n" + encodebytes(octets).replace(b"\n", b"\r\n")

    for number in range(3):
        at = chance.randrange(len(blob))
        changed = bytes([blob[at] ^ (1 << chance.randrange(8))])
        yield f"one bit {number}", wrapped(blob[:at] + changed + blob[at + 1 :])
    yield "cut inside", wrapped(blob[: chance.randrange(len(blob))])
    yield "huge", wrapped(b"\x30\x88\x7f" + b"\xff" * 7 + blob[4:])
    yield "deep", wrapped(b"\x30\x80" * 100_000)
    yield "deep string", wrapped(blob[:60] + b"\x24\x80" * 100_000)
    yield "more behind", wrapped(blob + bytes(1_500_000))
    yield "no base64", head + b"\r\n\r\n" + b"!!!!" * 300_000
    yield "called 8bit", mail.replace(b"base64", b"8bit")
    yield "called otherwise", mail.replace(b"signed-data", b"enveloped-data")


def nested(world: World) -> Iterator[tuple[str, bytes]]:
    mail = LETTER
    for _ in range(12):
        mail = bytes(smime.sign(mail, by=world.alice))
    yield "twelve layers", mail
    start = b"From: a@example.org\r\nContent-Type: multipart/"
    yield (
        "parts in parts",
        start
        + b"mixed; boundary=x\r\n\r\n"
        + (b"--x\r\nContent-Type: multipart/mixed; boundary=x\r\n\r\n" * 30_000),
    )
    signed = b'signed; protocol="application/pkcs7-signature"; boundary=x\r\n\r\n'
    yield "many parts", start + signed + b"--x\r\n\r\n" * 30_000 + b"--x--\r\n"


def test_hostile_mail(
    world: World,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    capfdbinary: pytest.CaptureFixture[bytes],
) -> None:
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        pkcs12,
    )

    key, certificate, _ = pkcs12.load_key_and_certificates(world.bob.to_p12("x"), b"x")
    assert key is not None
    assert certificate is not None
    plain = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    monkeypatch.chdir(tmp_path)
    Path("bob.pem").write_bytes(plain + certificate.public_bytes(Encoding.PEM))
    Path("bob.pem").chmod(0o600)
    Path("root.pem").write_bytes(world.ca.certificate.public_bytes(Encoding.PEM))
    there = {"bob.pem", "root.pem", "in.eml"}

    def run(command: str, mail: bytes) -> tuple[int, bytes | None, bytes]:
        Path("in.eml").write_bytes(mail)
        who = ["-i", "bob.pem", "--ca", "root.pem"]
        status = main([command, *who, "in.eml", "-o", "out.eml"])
        said = capfdbinary.readouterr().err
        out = Path("out.eml")
        written = out.read_bytes() if out.exists() else None
        out.unlink(missing_ok=True)
        assert set(os.listdir()) == there  # nothing half made, under no name
        return status, written, said

    chance, wrong = Random("an attacker"), []
    for name, good in mails(world):
        assert run("verify", good)[0] == 0  # the control
        wrong += [
            f"{name}, {how}, {command}: {fault}"
            for how, mail in damaged(good, chance)
            for command in ("open", "verify", "decrypt")
            if (fault := fault_of(command, *run(command, mail)))
        ]
    for name, mail in nested(world):
        wrong += [
            f"{name}, {command}: {fault}"
            for command in ("open", "verify", "decrypt")
            if (fault := fault_of(command, *run(command, mail)))
        ]

    assert not wrong, "\n".join(wrong)


def fault_of(command: str, status: int, written: bytes | None, said: bytes) -> str:
    """Say what is wrong with how a command ended, or nothing."""
    if status not in STATUSES:
        return f"status {status}"
    if (written is None) != (status != 0):
        return f"status {status}, and a file: {written is not None}"
    if b"Traceback" in said or (status and not said.startswith(b"smimetool: ")):
        return f"said {said[:200]!r}"
    if command == "verify" and written is not None and SIGNED not in written.replace(CRLF, b"\n"):
        return f"vouched for {written[:80]!r}"
    return ""
