"""OpenPGP mail in files: the same as in memory, and nothing of it before all of it is good."""

from __future__ import annotations

import io
import os
import re
import threading
import time
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import smime
from smime.formats import large
from smime.formats.pgpmime import wrap_sealed
from smime.pgp import bulk, gnupg, inflating, packets
from smime.pgp.armour import dearmor, dearmored, enarmor
from smime.pgp.packets import read_message, read_sealed
from smime.stored import has_bare_cr, keep
from tests.pgp.test_packets import ARMOUR, ONE_PASS, SIGNATURE, literal, squeezed
from tests.support.sources import given_as

pytestmark = pytest.mark.peer("gpg")

HEAD = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: a large one\r\n"
    b"MIME-Version: 1.0\r\nContent-Type: text/plain; charset=us-ascii\r\n\r\n"
)
LINES = b"".join(b"line %d of a mail that is not that large\r\n" % n for n in range(3000))
MAIL = HEAD + LINES
VERBS = ("sign", "encrypt", "protect")


@pytest.fixture(autouse=True)
def _everything_is_large(monkeypatch):
    monkeypatch.setattr(large, "SMALL_OCTETS", 1000)


@pytest.fixture(scope="module", params=["gnupg", "sequoia", "auto", "v6"])
def people(request, gpg):
    """Two people, by each engine, and by both where one key is beyond GnuPG."""
    engine, version = ("auto", 6) if request.param == "v6" else (request.param, 4)
    with smime.PgpKeyring(engine=engine) as ring:
        alice = ring.generate("alice@example.org", version=version)
        yield ring, alice, ring.generate("bob@example.org", version=version)


@pytest.fixture(scope="module")
def opens_in_memory():
    """Open without a file, whatever the size."""
    return lambda data, ring: smime.open(data, trust=ring, keys=list(ring))


def sent(verb, people, mail, out):
    _, alice, bob = people
    if verb == "sign":
        return smime.sign(mail, by=alice, out=out)
    if verb == "encrypt":
        return smime.encrypt(mail, to=bob, out=out)
    return smime.protect(mail, by=alice, to=bob, out=out)


@pytest.mark.parametrize("form", ["path", "file", "pipe"])
@pytest.mark.parametrize("verb", VERBS)
def test_out_and_in_as_in_memory(people, opens_in_memory, tmp_path, verb, form):
    ring, _, bob = people
    path = tmp_path / "sent.eml"
    made = sent(verb, people, given_as(form, MAIL, tmp_path), path)
    whole = opens_in_memory(path.read_bytes(), ring)

    opened = smime.open(
        given_as(form, path.read_bytes(), tmp_path),
        trust=ring,
        keys=bob,
        out=tmp_path / "opened.eml",
    )
    assert opened.signer == whole.signer == (None if verb == "encrypt" else "alice@example.org")
    assert (tmp_path / "opened.eml").read_bytes() == bytes(whole.mail) == bytes(opened.mail)
    assert (tmp_path / "opened.eml").stat().st_mode & 0o777 == 0o600
    assert opened.content == whole.content
    assert opened.content.endswith(LINES)
    assert opened.encrypted == whole.encrypted == (verb != "sign")
    assert made.size == path.stat().st_size
    assert made.recipients == ("bob@example.org",)
    for one in (opened, whole):
        assert one.report.outcome.value == ("unsigned" if verb == "encrypt" else "good")
    kinds = [[layer.kind for layer in one.report.layers] for one in (opened, whole)]
    assert kinds[0] == kinds[1]


@pytest.mark.parametrize("verb", VERBS)
def test_what_is_not_canonical_is_made_so(people, tmp_path, verb):
    """Then the mail is taken whole, and gpg, which was given a part of it, is ended."""
    ring, _, bob = people
    path = tmp_path / "sent.eml"
    sent(verb, people, given_as("path", MAIL + b"From here on\r\nblanks \r\n", tmp_path), path)

    opened = smime.open(path, trust=ring, keys=bob)
    assert opened.content.replace(b"=20", b" ").replace(b"=46", b"F").endswith(b"blanks \r\n")


@pytest.mark.parametrize("verb", VERBS)
@pytest.mark.parametrize("place", [0.2, 0.5, 0.9])
@pytest.mark.parametrize("form", ["path", "pipe"])
def test_nothing_comes_of_what_was_changed(people, tmp_path, verb, place, form):
    ring, _, bob = people
    path = tmp_path / "sent.eml"
    sent(verb, people, given_as("path", MAIL, tmp_path), path)
    data = bytearray(path.read_bytes())
    at = int(len(data) * place)
    while not bytes(data[at : at + 1]).isalpha():
        at += 1
    data[at] = ord("b") if data[at] == ord("a") else ord("a")
    path.write_bytes(data)
    out = tmp_path / "opened.eml" if form == "path" else io.BytesIO()
    open_it = smime.decrypt if verb == "encrypt" else smime.verify
    how = {"trust": ring, "keys": bob}

    with pytest.raises((smime.DecryptionFailed, smime.SignatureRejected, smime.MalformedMail)):
        open_it(path, **how, out=out)
    assert {name.partition("-")[0] for name in os.listdir(tmp_path)} == {"given", "sent.eml"}
    assert form == "path" or out.getvalue() == b""
    report = smime.examine(path, **how)
    assert report.outcome.value in ("sealed", "rejected", "unknown")
    assert report.signer is None


@pytest.mark.parametrize("kept", [0.3, 0.9])
@pytest.mark.parametrize("verb", VERBS)
def test_nothing_comes_of_what_was_cut(people, tmp_path, verb, kept):
    ring, _, bob = people
    path = tmp_path / "sent.eml"
    sent(verb, people, given_as("path", MAIL, tmp_path), path)
    data = path.read_bytes()
    path.write_bytes(data[: int(len(data) * kept)])

    with pytest.raises(smime.SmimeError):
        smime.open(path, trust=ring, keys=bob, out=tmp_path / "opened.eml")
    assert not (tmp_path / "opened.eml").exists()
    assert smime.examine(path, trust=ring, keys=bob).signer is None


def test_a_key_that_does_not_fit_is_told_and_examined(people, tmp_path):
    ring, alice, bob = people
    path = tmp_path / "sent.eml"
    sent("encrypt", people, given_as("path", MAIL, tmp_path), path)

    for keys in (alice, ()):
        with pytest.raises(smime.DecryptionFailed):
            smime.open(path, trust=ring, keys=keys, out=tmp_path / "opened.eml")
        report = smime.examine(path, trust=ring, keys=keys)
        assert report.outcome.value == "sealed"
        assert report.layers[0].recipients == read_sealed(_armour_in(path)).recipients
    assert not (tmp_path / "opened.eml").exists()
    assert smime.open(path, trust=ring, keys=bob).encrypted


def _armour_in(path: Path) -> bytes:
    block = rb"-----BEGIN PGP MESSAGE-----.*-----END PGP MESSAGE-----"
    return re.search(block, path.read_bytes(), re.DOTALL)[0]


def test_line_ends_that_were_changed_are_put_back(people, tmp_path):
    ring, _, _ = people
    path = tmp_path / "sent.eml"
    sent("sign", people, given_as("path", MAIL, tmp_path), path)
    path.write_bytes(path.read_bytes().replace(b"\r\n", b"\n"))

    opened = smime.verify(path, trust=ring)
    assert opened.content.endswith(LINES)
    assert opened.report.signatures[0].notes[0].code == "line-ends"
    exact = smime.Policy.modern().replace(line_ends="exact")
    with pytest.raises(smime.SignatureRejected):
        smime.verify(path, trust=ring, policy=exact)


def test_a_damaged_signature_leaves_the_content_readable(people, tmp_path):
    ring, _, _ = people
    path = tmp_path / "sent.eml"
    sent("sign", people, given_as("path", MAIL, tmp_path), path)
    path.write_bytes(path.read_bytes().replace(b"BEGIN PGP SIGNATURE", b"BEGIN PGP SIGNATURA"))

    assert smime.open(path, trust=ring).content.endswith(LINES)
    with pytest.raises(smime.MalformedMail):
        smime.verify(path, trust=ring, out=tmp_path / "opened.eml")
    assert smime.examine(path, trust=ring).outcome.value == "rejected"


def test_layers_of_both_forms(people, world, tmp_path):
    """Signed by a certificate, sealed for an OpenPGP key, each from file to file."""
    ring, alice, bob = people
    (tmp_path / "given").write_bytes(MAIL)
    smime.sign(tmp_path / "given", by=world.alice, out=tmp_path / "signed.eml")
    smime.encrypt(tmp_path / "signed.eml", to=bob, out=tmp_path / "sealed.eml")
    smime.sign(tmp_path / "sealed.eml", by=alice, out=tmp_path / "sent.eml")

    opened = smime.open(tmp_path / "sent.eml", trust=[world.anchors, ring], keys=bob)
    assert opened.signer == "alice@example.org"
    assert [layer.kind for layer in opened.report.layers] == ["signed", "encrypted", "signed"]
    assert opened.report.layers[0].covers == "sealed form"
    # In content that carries no tag of its own nothing is told of what is inside.
    smime.encrypt(tmp_path / "sealed.eml", to=world.bob, out=tmp_path / "sent.eml")
    with pytest.raises(smime.DecryptionFailed) as refused:
        smime.open(tmp_path / "sent.eml", trust=ring, keys=[world.bob, alice])
    assert "OpenPGP" not in str(refused.value)


@pytest.mark.parametrize("method", ["zip", "zlib", "bzip2", "uncompressed"])
def test_what_gpg_by_hand_compresses_and_signs(ring, alice, bob, gpg, tmp_path, method):
    whose = ["--homedir", ring.gnupg.home, "--batch", "--trust-model", "always"]
    named = ["-u", alice.fingerprint, "-r", bob.fingerprint, "--compress-algo", method, "-z", "6"]
    inner = HEAD[HEAD.index(b"MIME") :] + LINES
    made = gpg.run(*whose, *named, "--armor", "--sign", "--encrypt", input=inner)
    outside = b"From: alice@example.org\r\nSubject: x\r\n"
    (tmp_path / "sent.eml").write_bytes(wrap_sealed(made.replace(b"\n", b"\r\n"), outside))

    opened = smime.open(tmp_path / "sent.eml", trust=ring, keys=bob)
    assert (opened.content, opened.signer) == (inner, "alice@example.org")
    with smime.PgpKeyring(ring.export(secret=True), engine="sequoia") as alone:
        how = {"trust": alone, "keys": alone.find("bob@example.org")}
        if method == "bzip2":  # its library does not know it
            with pytest.raises(smime.DecryptionFailed):
                smime.open(tmp_path / "sent.eml", **how)
            return
        opened = smime.open(tmp_path / "sent.eml", **how)
        # Of a signature inside what is compressed it says nothing.
        signer = "alice@example.org" if method == "uncompressed" else None
        assert (opened.content, opened.signer) == (inner, signer)


def test_a_bomb_in_a_file_is_stopped(ring, bob, tmp_path, monkeypatch):
    """GnuPG takes the seal off; what is inside grows in our hands, counted."""
    monkeypatch.setattr(inflating, "FREE_INFLATED", 1 << 16)
    bomb = squeezed(literal(bytes(4 << 20)))
    for data, fine in ((squeezed(literal(b"\r\n" + LINES)), True), (bomb, False)):
        made = ring.gnupg.run(
            *("--no-literal", "--recipient", bob.fingerprint.upper(), "--encrypt"),
            *("--output", "-"),
            data=data,
        ).output
        path = tmp_path / "sent.eml"
        path.write_bytes(wrap_sealed(enarmor(made, "MESSAGE", b"\r\n")))
        if fine:
            assert smime.decrypt(path, trust=ring, keys=bob).content.endswith(LINES)
            continue
        with pytest.raises(smime.LimitExceeded, match="grows"):
            smime.decrypt(path, trust=ring, keys=bob, out=tmp_path / "opened.eml")
    assert sorted(os.listdir(tmp_path)) == ["sent.eml"]


def test_compression_is_still_refused(people, tmp_path):
    (tmp_path / "given").write_bytes(MAIL)
    policy = smime.Policy.modern().replace(compress=True)
    with pytest.raises(smime.NotSupported, match="S/MIME"):
        smime.sign(tmp_path / "given", by=people[1], policy=policy, out=tmp_path / "sent.eml")
    assert not (tmp_path / "sent.eml").exists()


# --- the parts it is made of -------------------------------------------------------


def test_a_run_that_takes_too_long_is_ended(ring, alice, monkeypatch):
    """It waits for data that does not come to an end."""

    class Endless:
        size = None

        def pieces(self):
            while True:
                yield bytes(1 << 16)

    monkeypatch.setattr(gnupg, "TIME_LIMIT_SECONDS", 0.3)
    began = time.monotonic()
    with pytest.raises(smime.LimitExceeded, match="did not answer"):
        ring.gnupg.sign(Endless(), alice.fingerprint)
    assert time.monotonic() - began < 10


def test_gpg_that_does_not_see_all_says_nothing_good(ring, alice, tmp_path, monkeypatch):
    """Whatever it said of what it saw."""
    program = tmp_path / "gpg"
    program.write_text("#!/bin/sh\nexit 0\n")
    program.chmod(0o700)
    engine = gnupg.GnuPG(str(program), ring.gnupg.home)

    run = engine.run("--verify", data=keep([bytes(1 << 20)]))
    assert run.exit_status != 0


def test_the_copy_that_works_ends_with_its_work():
    """And whatever ends it early is a refusal."""

    def answer(path):
        with open(path, "rb") as file:
            return [len(file.read()), os.getpid()]

    size, pid = bulk._apart(answer, keep([bytes(3 << 20)]))
    assert size == 3 << 20
    assert pid != os.getpid()
    with pytest.raises(ProcessLookupError):
        os.kill(pid, 0)

    def part(path):
        with open(path, "rb") as file:
            return len(file.read(10))

    for work, why in (
        (part, "did not read all"),
        (lambda path: os._exit(0), "without an answer"),
        (lambda path: 1 // 0, "without an answer"),
    ):
        with pytest.raises(bulk.Refused, match=why):
            bulk._apart(work, keep([bytes(3 << 20)]))


def test_what_is_large_in_memory_leaves_others_their_turn():
    """Other threads go on while Sequoia checks and opens it."""
    data = LINES * ((24 << 20) // len(LINES))
    with smime.PgpKeyring(engine="sequoia") as ring:
        alice = ring.generate("alice@example.org")
        signature = packets.read_signatures(ring.engine.sign(data, alice.fingerprint).signature)
        sealed = read_sealed(ring.engine.encrypt(data, [alice.fingerprint]).message)
        for work in (
            lambda: ring.engine.check(data, signature)[0].state == "holds",
            lambda: ring.engine.decrypt(sealed, [alice]).content == data,
            lambda: ring.engine.check(data + b" ", signature)[0].state == "refused",
        ):
            stop, longest = threading.Event(), [0.0]

            def tick(stop=stop, longest=longest):
                before = time.monotonic()
                while not stop.wait(0.001):
                    longest[0] = max(longest[0], time.monotonic() - before)
                    before = time.monotonic()

            ticker = threading.Thread(target=tick)
            ticker.start()
            began = time.monotonic()
            assert work()
            taken = time.monotonic() - began
            stop.set()
            ticker.join()
            # The mail is put together here, which takes some of the time; no more.
            assert longest[0] < max(0.8 * taken, 0.05)


def test_the_copy_is_ended_in_time(monkeypatch):
    monkeypatch.setattr(bulk, "TIME_LIMIT_SECONDS", 0.3)
    began = time.monotonic()

    with pytest.raises(smime.LimitExceeded, match="did not answer"):
        bulk._apart(lambda path: time.sleep(60), keep([b"abc"]))
    assert time.monotonic() - began < 10


def test_a_stored_bare_cr_is_found():
    for pieces in ([b"a\r", b"b"], [b"a\r"], [b"\r\r", b"\n"]):
        assert has_bare_cr(_Row(pieces)), pieces
        assert has_bare_cr(b"".join(pieces)), pieces
    assert not has_bare_cr(_Row([b"a\r", b"\nb\r\n"]))


class _Row:
    size = None

    def __init__(self, pieces):
        self._pieces = pieces

    def pieces(self):
        return iter(self._pieces)


def _outcome(read, data):
    try:
        found = read(data)
    except smime.SmimeError as problem:
        return type(problem)
    if isinstance(found, packets.Message):
        content = found.content if found.stored is None else found.stored[:]
        return content, found.signatures
    if isinstance(found, packets.Sealed):
        container = found.container
        return found.recipients, container if isinstance(container, bytes) else container[:]
    return found if isinstance(found, bytes) else found[:]


@settings(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.data())
def test_a_file_is_read_as_memory_is(data):
    """Cut, changed, appended to: whatever comes of it, it is the same."""
    whole = data.draw(
        st.sampled_from(
            [
                squeezed(ONE_PASS + literal(b"We meet at noon.") + SIGNATURE),
                literal(b"noon"),
                b"\xcb\xe1no\x06on" + literal(b"on"),
                squeezed(squeezed(literal(b"noon"))),
                b"\xc1\x0c\x03" + bytes(8) + b"\x01\x00\x01" + b"\xd2\x03\x01ab",
            ]
        )
    )
    at = data.draw(st.integers(0, len(whole) - 1))
    changed = bytearray(whole)
    changed[at] ^= data.draw(st.integers(0, 255))
    octets = bytes(changed[: data.draw(st.integers(1, len(whole)))]) + data.draw(
        st.sampled_from([b"", b"\0", literal(b"more")])
    )

    for read in (read_message, read_sealed):
        if read is read_sealed and octets[:1] < b"\x80":
            continue  # text may be armour in memory; in a file that was taken off before
        assert _outcome(read, keep([octets])) == _outcome(read, octets)


@given(st.data())
def test_armour_in_a_file_is_taken_off_as_in_memory(data):
    base64 = data.draw(st.sampled_from([b"ywViAG5vdGU=", b"ywVi\r\nAG5v\ndGU=", b"", b"yw", b"!"]))
    text = ARMOUR % base64
    at = data.draw(st.integers(0, len(text) - 1))
    added = data.draw(st.sampled_from([b"", b" ", b"\r\n", b"-", b"\n=abcd\n", b"a: b\n", b"="]))
    text = text[:at] + added + text[at + data.draw(st.integers(0, 1)) :]

    def in_memory(octets):
        return dearmor(octets, "MESSAGE")

    def in_file(octets):
        return dearmored(keep([octets]), "MESSAGE")

    assert _outcome(in_file, text) == _outcome(in_memory, text)


def test_a_file_that_changes_meanwhile_is_no_mail(people, tmp_path, monkeypatch):
    path = given_as("path", MAIL, tmp_path)
    pieces = large.Parted.pieces

    def shrinking(self):
        for piece in pieces(self):
            yield piece
            os.truncate(path, 100_000)

    monkeypatch.setattr(large.Parted, "pieces", shrinking)
    monkeypatch.setattr(large, "PIECE_OCTETS", 4096)
    with pytest.raises(OSError, match="changed"):
        sent("encrypt", people, path, tmp_path / "sent.eml")
    assert not (tmp_path / "sent.eml").exists()
