"""Stateless OpenPGP commands, ours and others, crosswise: what one writes the others read."""

from __future__ import annotations

import io
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path

import pytest

from smime.cli.sop import main
from tests.support.peers import peer

pytestmark = pytest.mark.peer("gpg")

BINARY = bytes(range(256)) * 4
TEXT = "Wir treffen uns um zwölf.\nBis dann\n".encode()
OTHERS = [
    pytest.param("sqop", marks=pytest.mark.peer("sqop")),
    pytest.param("gosop", marks=pytest.mark.peer("gosop")),
    # A Java machine for each call: with the tests that take their time.
    pytest.param("pgpainless", marks=[pytest.mark.peer("pgpainless"), pytest.mark.server]),
]
DATA = [pytest.param(BINARY, id="binary"), pytest.param(TEXT, id="text")]


@dataclass(frozen=True)
class Sop:
    """One such command."""

    words: tuple[str, ...]

    def attempt(self, *arguments: str | Path, input: bytes = b"") -> subprocess.CompletedProcess:
        return subprocess.run(
            [*self.words, *map(str, arguments)],
            input=input,
            capture_output=True,
            timeout=60,
            check=False,
        )

    def run(self, *arguments: str | Path, input: bytes = b"") -> bytes:
        done = self.attempt(*arguments, input=input)
        assert done.returncode == 0, (self.words, arguments, done.stderr)
        return done.stdout


class Here(Sop):
    """Our command, without a process of its own for each call."""

    def attempt(self, *arguments: str | Path, input: bytes = b"") -> subprocess.CompletedProcess:
        kept = sys.stdin, sys.stdout, sys.stderr
        out, err = (io.TextIOWrapper(io.BytesIO(), write_through=True) for _ in range(2))
        sys.stdin, sys.stdout, sys.stderr = io.TextIOWrapper(io.BytesIO(input)), out, err
        words = [*map(str, arguments)]
        try:
            status = main(words)
        finally:
            sys.stdin, sys.stdout, sys.stderr = kept
        said = [one.buffer.getvalue() for one in (out, err)]
        return subprocess.CompletedProcess(words, status, *said)


OURS = Sop((sys.executable, "-m", "smime", "sop"))
HERE = Here(())


@dataclass(frozen=True)
class Keys:
    """Alice's key and certificate, and bob's, made by one command."""

    alice: Path
    alice_cert: Path
    bob: Path
    bob_cert: Path


def make_keys(sop: Sop, folder: Path) -> Keys:
    paths = []
    for name in ("alice", "bob"):
        key = sop.run("generate-key", f"{name.title()} <{name}@example.org>")
        (folder / name).write_bytes(key)
        (folder / f"{name}.cert").write_bytes(sop.run("extract-cert", input=key))
        paths += [folder / name, folder / f"{name}.cert"]
    return Keys(*paths)


@pytest.fixture(scope="module")
def ours(tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(OURS, tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module", params=OTHERS)
def other(request: pytest.FixtureRequest) -> Sop:
    return Sop((peer(request.param).path,))


@pytest.fixture(scope="module")
def theirs(other: Sop, tmp_path_factory: pytest.TempPathFactory) -> Keys:
    return make_keys(other, tmp_path_factory.mktemp("theirs"))


@pytest.mark.parametrize("data", DATA)
def test_signed_by_one_and_verified_by_the_other(other, ours, theirs, data, tmp_path):
    signature = tmp_path / "signature"
    for writer, reader, keys in (
        (OURS, other, ours),
        (OURS, other, theirs),
        (other, OURS, ours),
        (other, OURS, theirs),
    ):
        signature.write_bytes(writer.run("sign", keys.alice, input=data))
        found = reader.run("verify", signature, keys.alice_cert, input=data)
        assert found.count(b"\n") == 1
        changed = reader.attempt("verify", signature, keys.alice_cert, input=data + b"x")
        assert changed.returncode != 0
        assert not changed.stdout.strip()
        assert reader.attempt("verify", signature, keys.bob_cert, input=data).returncode != 0


@pytest.mark.parametrize("data", DATA)
def test_encrypted_by_one_and_decrypted_by_the_other(other, ours, theirs, data, tmp_path):
    found = tmp_path / "verifications"
    for writer, reader, keys in (
        (OURS, other, ours),
        (OURS, other, theirs),
        (other, OURS, ours),
        (other, OURS, theirs),
    ):
        sealed = writer.run("encrypt", keys.bob_cert, input=data)
        assert same(reader, reader.run("decrypt", keys.bob, input=sealed), data)
        wrong = reader.attempt("decrypt", keys.alice, input=sealed)
        assert wrong.returncode != 0
        assert not wrong.stdout
        if writer is OURS or other.words[0].endswith("sqop"):
            both = writer.run("encrypt", "--sign-with", keys.alice, keys.bob_cert, input=data)
        else:
            both = writer.run("encrypt", f"--sign-with={keys.alice}", keys.bob_cert, input=data)
        found.unlink(missing_ok=True)
        out = reader.run(
            "decrypt",
            f"--verify-with={keys.alice_cert}",
            f"{'--verifications-out' if reader is OURS else verifications_option(other)}={found}",
            keys.bob,
            input=both,
        )
        assert same(reader, out, data)
        assert found.read_bytes().count(b"\n") == 1


def same(reader: Sop, out: bytes, data: bytes) -> bool:
    """Whether it is the same; Debian's gosop takes all for text, and ends lines anew."""
    if reader.words[0].endswith("gosop"):
        out, data = (one.decode(errors="ignore").encode() for one in (out, data))
        out = out.replace("\N{REPLACEMENT CHARACTER}".encode(), b"")
        return out.replace(b"\r", b"") == data.replace(b"\r", b"")
    return out == data


def verifications_option(other: Sop) -> str:
    """Return what the option was called in the draft of that time."""
    return "--verify-out" if other.words[0].endswith("gosop") else "--verifications-out"


# --- our statuses ---------------------------------------------------------------


@pytest.mark.parametrize(
    ("words", "status"),
    [
        ((), 19),
        (("fly",), 69),
        (("sign", "--wings", "alice"), 37),
        (("sign",), 19),
        (("sign", "absent"), 61),
        (("sign", "@ENV:ABSENT"), 61),
        (("sign", "@MOON:x"), 71),
        (("sign", "--as=poem", "alice"), 37),
        (("sign", "--as=text", "alice"), 53),
        (("sign", "alice.cert"), 79),
        (("verify", "alice"), 19),
        (("verify", "alice", "alice.cert"), 41),
        (("encrypt",), 19),
        (("encrypt", "--profile=gold", "alice.cert"), 89),
        (("decrypt",), 19),
        (("decrypt", "--verify-with=alice.cert", "alice"), 23),
        (("decrypt", "alice"), 41),
        (("generate-key", "--profile=gold", "x"), 89),
        (("list-profiles", "sign"), 89),
        (("dearmor",), 41),
        (("inline-sign", "--as=clearsigned", "--no-armor", "alice"), 83),
    ],
)
def test_each_mistake_has_its_status(ours, words, status, monkeypatch):
    monkeypatch.chdir(ours.alice.parent)
    done = OURS.attempt(*words, input=b"\xff\xfe junk")

    assert done.returncode == status, done.stderr
    assert not done.stdout
    assert done.stderr.startswith(b"smimetool sop: ")
    assert done.stderr.count(b"\n") == 1


def test_what_does_not_open_or_hold_has_its_status(ours, tmp_path):
    sealed = OURS.run("encrypt", ours.bob_cert, input=TEXT)
    assert OURS.attempt("decrypt", ours.alice, input=sealed).returncode == 29
    signature = tmp_path / "signature"
    signature.write_bytes(OURS.run("sign", "--no-armor", ours.alice, input=TEXT))
    done = OURS.attempt("verify", signature, ours.bob_cert, input=TEXT)
    assert (done.returncode, done.stdout) == (3, b"")
    early = OURS.attempt(
        "verify", "--not-after=2020-01-01T00:00:00Z", signature, ours.alice_cert, input=TEXT
    )
    assert early.returncode == 3
    late = OURS.run(
        "verify", "--not-before=2020-01-01T00:00:00Z", signature, ours.alice_cert, input=TEXT
    )
    assert late.endswith(b" mode:binary\n")


def test_passwords(tmp_path, monkeypatch):
    monkeypatch.setenv("LOCK", "open sesame\n")
    monkeypatch.setenv("OTHER", "another one")
    key = HERE.run("generate-key", "--with-key-password=@ENV:LOCK", "Carol <carol@example.org>")
    path = tmp_path / "carol"
    path.write_bytes(key)
    assert HERE.attempt("sign", path, input=TEXT).returncode == 67
    assert HERE.run("sign", "--with-key-password=@ENV:LOCK", path, input=TEXT)
    other = HERE.run(
        "change-key-password",
        "--old-key-password=@ENV:LOCK",
        "--new-key-password=@ENV:OTHER",
        input=key,
    )
    path.write_bytes(other)
    assert HERE.run("sign", "--with-key-password=@ENV:OTHER", path, input=TEXT)

    sealed = HERE.run("encrypt", "--with-password=@ENV:LOCK", input=BINARY)
    assert HERE.run("decrypt", "--with-password=@ENV:LOCK", input=sealed) == BINARY
    assert HERE.attempt("decrypt", "--with-password=@ENV:OTHER", input=sealed).returncode == 29


def test_signed_inside(ours, tmp_path):
    for form in ("binary", "text", "clearsigned"):
        message = HERE.run("inline-sign", f"--as={form}", ours.alice, input=TEXT)
        found = tmp_path / form
        out = HERE.run(
            "inline-verify", f"--verifications-out={found}", ours.alice_cert, input=message
        )
        assert out.replace(b"\r\n", b"\n").rstrip(b"\n") == TEXT.rstrip(b"\n")
        assert found.read_bytes().count(b"\n") == 1
        assert HERE.attempt("inline-verify", ours.bob_cert, input=message).returncode == 3
        signatures = tmp_path / f"{form}.sig"
        content = HERE.run("inline-detach", f"--signatures-out={signatures}", input=message)
        assert HERE.run("verify", signatures, ours.alice_cert, input=content)
        again = HERE.attempt("inline-detach", f"--signatures-out={signatures}", input=message)
        assert again.returncode == 59


def test_armour_goes_on_and_off(ours):
    key = ours.alice.read_bytes()
    binary = OURS.run("dearmor", input=key)

    assert OURS.run("armor", input=key) == key
    assert OURS.run("armor", input=binary).startswith(b"-----BEGIN PGP PRIVATE KEY BLOCK-----\n")
    assert OURS.run("dearmor", input=OURS.run("armor", input=binary)) == binary


def test_a_revoked_key_and_a_key_of_version_6(ours, tmp_path):
    key = HERE.run("generate-key", "Dora <dora@example.org>")
    (tmp_path / "revoked").write_bytes(HERE.run("revoke-key", input=key))
    assert HERE.attempt("encrypt", tmp_path / "revoked", input=TEXT).returncode == 17

    path = tmp_path / "new"
    path.write_bytes(HERE.run("generate-key", "--profile=rfc9580", "Dora <dora@example.org>"))
    cert = tmp_path / "new.cert"
    cert.write_bytes(HERE.run("extract-cert", input=path.read_bytes()))
    sealed = HERE.run("encrypt", f"--sign-with={path}", cert, input=TEXT)
    assert HERE.run("decrypt", path, input=sealed) == TEXT
    signature = tmp_path / "signature"
    signature.write_bytes(HERE.run("sign", path, input=TEXT))
    assert HERE.run("verify", signature, cert, input=TEXT)


def test_it_says_what_it_is():
    assert OURS.run("version").startswith(b"smimetool ")
    assert OURS.run("version", "--backend").count(b"\n") == 2
    assert OURS.run("version", "--sop-spec").startswith(b"~draft-dkg-openpgp-stateless-cli-")
    assert b"rfc9580" in OURS.run("list-profiles", "generate-key")
