"""``smimetool sop`` with several signers and passwords, session keys, and keys of version 6."""

from __future__ import annotations

import pytest

from tests.interop.test_sop import BINARY, HERE, TEXT, Sop, make_keys
from tests.support.peers import peer

pytestmark = pytest.mark.peer("gpg")


OURS = HERE


@pytest.fixture(scope="module")
def ours(tmp_path_factory):
    return make_keys(OURS, tmp_path_factory.mktemp("ours"))


@pytest.fixture(scope="module")
def new(tmp_path_factory):
    """Keys of version 6."""
    pytest.importorskip("pysequoia")
    folder = tmp_path_factory.mktemp("new")
    for name in ("alice", "bob"):
        key = OURS.run("generate-key", "--profile=rfc9580", f"{name} <{name}@example.org>")
        (folder / name).write_bytes(key)
        (folder / f"{name}.cert").write_bytes(OURS.run("extract-cert", input=key))
    return folder


@pytest.fixture
def locked(tmp_path, monkeypatch):
    """A key with a password of its own."""
    monkeypatch.setenv("LOCK", "open sesame\n")
    path = tmp_path / "locked"
    path.write_bytes(OURS.run("generate-key", "--with-key-password=@ENV:LOCK", "C <c@example.org>"))
    cert = tmp_path / "locked.cert"
    cert.write_bytes(OURS.run("extract-cert", input=path.read_bytes()))
    return path, cert


def lines(data: bytes) -> int:
    return data.count(b"\n")


# --- several signers ------------------------------------------------------------------


@pytest.mark.parametrize("form", ["binary", "text", "clearsigned"])
def test_several_sign_inside(ours, locked, form, tmp_path):
    key, cert = locked
    text = b"- a list\nFrom me  \n\xc3\xa9 and an end\n"
    message = OURS.run(
        *("inline-sign", f"--as={form}", "--with-key-password=@ENV:LOCK", ours.alice, key),
        input=text,
    )
    found = tmp_path / "found"
    certs = (ours.alice_cert, cert)
    out = OURS.run("inline-verify", f"--verifications-out={found}", *certs, input=message)
    if form != "clearsigned":
        assert out == text
    assert lines(found.read_bytes()) == 2
    # Each alone holds, and a stranger's does not.
    for one in certs:
        assert OURS.run("inline-verify", one, input=message) == out
    assert OURS.attempt("inline-verify", ours.bob_cert, input=message).returncode == 3
    assert message.count(b"BEGIN PGP") == (2 if form == "clearsigned" else 1)
    # What was changed is refused by all.
    if form == "clearsigned":
        changed = message.replace(b"From me", b"From him")
        assert OURS.attempt("inline-verify", *certs, input=changed).returncode == 3


@pytest.mark.peer("sqop")
@pytest.mark.parametrize("form", ["binary", "clearsigned"])
def test_others_read_what_several_signed(ours, form, tmp_path):
    sqop = peer("sqop").path
    message = OURS.run("inline-sign", f"--as={form}", ours.alice, ours.bob, input=TEXT)
    found = tmp_path / "found"
    out = Sop((sqop,)).run(
        *("inline-verify", f"--verifications-out={found}", ours.alice_cert, ours.bob_cert),
        input=message,
    )
    assert out.replace(b"\r\n", b"\n").rstrip(b"\n") == TEXT.replace(b"\r\n", b"\n").rstrip(b"\n")
    assert lines(found.read_bytes()) == 2
    # And what it signed for two, we read.
    theirs_ = Sop((sqop,)).run("inline-sign", f"--as={form}", ours.alice, ours.bob, input=TEXT)
    certs = (ours.alice_cert, ours.bob_cert)
    found.unlink()
    OURS.run("inline-verify", f"--verifications-out={found}", *certs, input=theirs_)
    assert lines(found.read_bytes()) == 2


def test_several_sign_what_is_sealed(ours, locked, tmp_path, monkeypatch):
    key, cert = locked
    found = tmp_path / "found"
    options = (f"--sign-with={ours.alice}", f"--sign-with={key}", "--with-key-password=@ENV:LOCK")
    verify = (f"--verify-with={ours.alice_cert}", f"--verify-with={cert}")
    for more, opening in (
        ((ours.bob_cert,), (ours.bob,)),
        ((ours.bob_cert, "--with-password=@ENV:LOCK"), ("--with-password=@ENV:LOCK",)),
    ):
        sealed = OURS.run("encrypt", *options, *more, input=BINARY)
        found.unlink(missing_ok=True)
        out = OURS.run("decrypt", f"--verifications-out={found}", *verify, *opening, input=sealed)
        assert (out, lines(found.read_bytes())) == (BINARY, 2)


# --- several passwords, and session keys --------------------------------------------------


def test_several_passwords_open_alone(ours, locked, monkeypatch):
    pytest.importorskip("pysequoia")
    monkeypatch.setenv("OTHER", "another one ")
    monkeypatch.setenv("WRONG", "no such")
    passwords = ("--with-password=@ENV:LOCK", "--with-password=@ENV:OTHER")
    sign = (f"--sign-with={ours.alice}",)
    for more in ((), (ours.bob_cert,), (*sign, ours.bob_cert)):
        sealed = OURS.run("encrypt", *passwords, *more, input=TEXT)
        for one in passwords:
            assert OURS.run("decrypt", one, input=sealed) == TEXT
        assert OURS.attempt("decrypt", "--with-password=@ENV:WRONG", input=sealed).returncode == 29
        if more:
            assert OURS.run("decrypt", ours.bob, input=sealed) == TEXT


@pytest.mark.peer("sqop")
def test_others_open_with_each_password(monkeypatch):
    pytest.importorskip("pysequoia")
    sqop = Sop((peer("sqop").path,))
    monkeypatch.setenv("ONE", "open sesame")
    monkeypatch.setenv("TWO", "another one")
    passwords = ("--with-password=@ENV:ONE", "--with-password=@ENV:TWO")
    sealed = OURS.run("encrypt", *passwords, input=TEXT)
    for option, name in zip(("--with-password", "--with-password"), ("ONE", "TWO"), strict=True):
        assert sqop.run("decrypt", option, f"@ENV:{name}", input=sealed) == TEXT


def test_a_session_key_opens_one_message(ours, tmp_path, monkeypatch):
    out = tmp_path / "key"
    sealed = OURS.run("encrypt", f"--sign-with={ours.alice}", ours.bob_cert, input=TEXT)
    OURS.run("decrypt", f"--session-key-out={out}", ours.bob, input=sealed)
    assert out.read_bytes().startswith(b"9:")

    found = tmp_path / "found"
    again = OURS.run(
        "decrypt", f"--with-session-key={out}", f"--verify-with={ours.alice_cert}",
        f"--verifications-out={found}", input=sealed,
    )  # fmt: skip
    assert (again, lines(found.read_bytes())) == (TEXT, 1)
    other_mail = OURS.run("encrypt", ours.bob_cert, input=TEXT)
    refused = OURS.attempt("decrypt", f"--with-session-key={out}", input=other_mail)
    assert (refused.returncode, refused.stdout) == (29, b"")
    damaged = OURS.run("dearmor", input=sealed)
    damaged = damaged[:-3] + bytes([damaged[-3] ^ 1]) + damaged[-2:]
    refused = OURS.attempt("decrypt", f"--with-session-key={out}", input=damaged)
    assert (refused.returncode, refused.stdout) == (29, b"")
    (tmp_path / "junk").write_bytes(b"9:xyz")
    junk = OURS.attempt("decrypt", f"--with-session-key={tmp_path / 'junk'}", input=sealed)
    assert junk.returncode == 41

    monkeypatch.setenv("LOCK", "open sesame")
    by_word = OURS.run("encrypt", "--with-password=@ENV:LOCK", input=TEXT)
    out.unlink()
    OURS.run("decrypt", "--with-password=@ENV:LOCK", f"--session-key-out={out}", input=by_word)
    assert OURS.run("decrypt", f"--with-session-key={out}", input=by_word) == TEXT


# --- version 6 ------------------------------------------------------------------------


@pytest.mark.parametrize("form", ["binary", "text", "clearsigned"])
def test_keys_of_version_6_sign_inside(new, ours, form, tmp_path):
    message = OURS.run("inline-sign", f"--as={form}", new / "alice", input=TEXT)
    found = tmp_path / "found"
    out = OURS.run(
        *("inline-verify", f"--verifications-out={found}", new / "alice.cert"), input=message
    )
    assert out.replace(b"\r\n", b"\n").rstrip(b"\n") == TEXT.replace(b"\r\n", b"\n").rstrip(b"\n")
    (one,) = found.read_bytes().splitlines()
    assert len(one.split()[2]) == 64
    assert OURS.attempt("inline-verify", new / "bob.cert", input=message).returncode == 3
    signatures = tmp_path / "signatures"
    content = OURS.run("inline-detach", f"--signatures-out={signatures}", input=message)
    assert OURS.run("verify", signatures, new / "alice.cert", input=content)
    assert (
        OURS.attempt("verify", signatures, new / "alice.cert", input=content + b"x").returncode == 3
    )


def test_keys_of_both_versions_sign_one_message(new, ours, tmp_path):
    certs = (new / "alice.cert", ours.alice_cert)
    for keys in ((new / "alice", ours.alice), (ours.alice, new / "alice")):
        message = OURS.run("inline-sign", "--no-armor", *keys, input=BINARY)
        found = tmp_path / "found"
        found.unlink(missing_ok=True)
        out = OURS.run("inline-verify", f"--verifications-out={found}", *certs, input=message)
        assert (out, lines(found.read_bytes())) == (BINARY, 2)
    done = OURS.attempt("inline-sign", "--as=clearsigned", *keys, input=TEXT)
    assert done.returncode == 37
    signature = tmp_path / "signature"
    for form in ("binary", "text"):
        signature.write_bytes(OURS.run("sign", f"--as={form}", *keys, input=TEXT))
        assert lines(OURS.run("verify", signature, *certs, input=TEXT)) == 2


def test_sequoia_reads_both_versions_in_one_pass(new, ours):
    """What was put together is whole to a reader that does it in one pass."""
    lib = pytest.importorskip("pysequoia")
    message = OURS.run("inline-sign", new / "alice", ours.alice, input=BINARY)
    certs = [lib.Cert.from_bytes(one.read_bytes()) for one in (new / "alice.cert", ours.alice_cert)]
    found = lib.verify(message, lambda ids: certs)
    assert bytes(found.bytes) == BINARY
    assert len(found.valid_sigs) == 2


# --- keys ------------------------------------------------------------------------------


def test_certificates_are_merged_and_keys_updated(ours, tmp_path):
    key = OURS.run("generate-key", "Dora <dora@example.org>")
    cert = OURS.run("extract-cert", input=key)
    revoked = tmp_path / "revoked"
    revoked.write_bytes(OURS.run("revoke-key", input=key))

    merged = tmp_path / "merged"
    merged.write_bytes(OURS.run("merge-certs", revoked, ours.bob_cert, input=cert))
    assert OURS.attempt("encrypt", merged, input=TEXT).returncode == 17
    assert OURS.run("merge-certs", ours.bob_cert, input=cert) == cert  # bob is another
    updated = tmp_path / "updated"
    updated.write_bytes(OURS.run("update-key", f"--merge-certs={revoked}", input=key))
    assert OURS.attempt("sign", updated, input=TEXT).returncode == 79
    updated.write_bytes(OURS.run("update-key", "--no-added-capabilities", input=key))
    assert OURS.run("sign", updated, input=TEXT)
    assert OURS.attempt("update-key", input=cert).returncode == 41


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("version", "--backend", "--sop-spec"), 83),
        (("certify-userid",), 69),
        (("update-key", "--revoke-deprecated-keys"), 37),
        (("encrypt", "--session-key-out=x", "alice.cert"), 37),
        (("generate-key",), 19),
        (("merge-certs",), 41),
    ],
)
def test_each_further_mistake_has_its_status(ours, words, status, monkeypatch):
    monkeypatch.chdir(ours.alice.parent)
    done = OURS.attempt(*words, input=b"\xff\xfe junk")
    assert done.returncode == status, done.stderr
    assert not done.stdout


def test_the_version_of_what_verifies():
    assert OURS.run("version", "--sopv") == b"1.0\n"
