"""GnuPG does what it is asked, says what it did, and is stopped where it would lie or wait."""

from __future__ import annotations

import os
import shutil
import time
from datetime import UTC, datetime, timedelta

import pytest

import smime
from smime.pgp import gnupg, inflating
from smime.pgp.packets import dearmor, read_sealed, read_signatures

pytestmark = pytest.mark.peer("gpg")

TEXT = b"Content-Type: text/plain\r\n\r\nWe meet at noon.\r\n"


def signatures_of(signed):
    return read_signatures(signed.signature)


def test_a_signature_holds_for_these_octets_and_this_key(ring, alice):
    signed = ring.gnupg.sign(TEXT, alice.fingerprint)
    (found,) = ring.gnupg.check(TEXT, signatures_of(signed))

    assert found.state == "holds"
    assert found.primary == alice.fingerprint
    assert found.digest == signed.digest == "sha256"
    assert signed.signature.count(b"\n") == signed.signature.count(b"\r\n")


@pytest.mark.parametrize("changed", [TEXT[:-1], TEXT + b" ", TEXT.replace(b"noon", b"dusk"), b""])
def test_other_octets_are_bad(ring, alice, changed):
    signed = ring.gnupg.sign(TEXT, alice.fingerprint)

    assert ring.gnupg.check(changed, signatures_of(signed))[0].state == "bad"


def test_the_first_line_counts(ring, alice):
    """With an empty passphrase on a pipe that holds the data, gpg would take it for that."""
    signed = ring.gnupg.sign(b"one\ntwo\n", alice.fingerprint, passphrase=b"")

    assert ring.gnupg.check(b"one\ntwo\n", signatures_of(signed))[0].state == "holds"
    assert ring.gnupg.check(b"two\n", signatures_of(signed))[0].state == "bad"


def test_every_signature_has_its_own_answer(ring, alice, bob, gpg):
    with smime.PgpKeyring() as other:
        carol = other.generate("carol@example.org")
        strange = signatures_of(other.gnupg.sign(TEXT, carol.fingerprint))
    by_alice = signatures_of(ring.gnupg.sign(TEXT, alice.fingerprint))
    of_other = signatures_of(ring.gnupg.sign(b"something else", bob.fingerprint))

    found = ring.gnupg.check(TEXT, (*strange, *by_alice, *of_other, by_alice[0][:-9] + bytes(9)))

    assert [one.state for one in found] == ["no-key", "holds", "bad", "bad"]
    assert carol.fingerprint.endswith(found[0].key[-16:])


def test_a_signature_is_made_and_judged_at_a_moment(ring, alice):
    then = alice.created + timedelta(days=30)
    signed = ring.gnupg.sign(TEXT, alice.fingerprint, at=then)
    (found,) = ring.gnupg.check(TEXT, signatures_of(signed), at=then)

    assert found.created == then.replace(microsecond=0)


def test_the_digest_can_be_chosen(ring, alice):
    assert ring.gnupg.sign(TEXT, alice.fingerprint, digest="sha512").digest == "sha512"


def test_a_key_is_named_whole_or_not_at_all(ring, alice):
    for name in (alice.fingerprint[-16:], "alice@example.org", "--version", ""):
        with pytest.raises(ValueError, match="whole fingerprint"):
            ring.gnupg.sign(TEXT, name)


def test_who_has_no_secret_key_does_not_sign(ring, alice, gpg):
    with smime.PgpKeyring(ring.export(alice)) as other, pytest.raises(smime.KeyProblem):
        other.gnupg.sign(TEXT, alice.fingerprint)


def test_sealed_signed_and_opened(ring, alice, bob):
    made = ring.gnupg.encrypt(TEXT, [bob.fingerprint], sign_with=alice.fingerprint)
    opened = ring.gnupg.decrypt(read_sealed(made.message), [bob])

    assert (made.cipher, made.digest) == ("AES-256", "sha512")
    assert opened.content == TEXT
    assert opened.opened_by == bob.fingerprint
    assert opened.cipher == "AES-256 (MDC)"
    (found,) = ring.gnupg.check(TEXT, opened.signatures)
    assert (found.state, found.primary) == ("holds", alice.fingerprint)


def test_sealed_without_signature(ring, bob):
    made = ring.gnupg.encrypt(TEXT, [bob.fingerprint], cipher="aes-128")
    opened = ring.gnupg.decrypt(read_sealed(made.message), [bob])

    assert (opened.content, opened.signatures, made.cipher) == (TEXT, (), "AES-128")


def test_hidden_readers_open_and_are_not_named(ring, alice, bob):
    made = ring.gnupg.encrypt(TEXT, [alice.fingerprint], hidden=[bob.fingerprint])
    sealed = read_sealed(made.message)

    assert sealed.recipients == (alice.facts.keys[1].key_id, "0" * 16)
    assert ring.gnupg.decrypt(sealed, [bob]).opened_by == bob.fingerprint


def test_several_hidden_readers_each_open(ring, alice, bob):
    """gpg counts a key that does not fit as a fault: each is tried alone."""
    made = ring.gnupg.encrypt(TEXT, [], hidden=[alice.fingerprint, bob.fingerprint])

    for key in (alice, bob):
        opened = ring.gnupg.decrypt(read_sealed(made.message), [key])
        assert (opened.content, opened.opened_by) == (TEXT, key.fingerprint)


def test_only_the_keys_named_open(ring, alice, bob):
    sealed = read_sealed(ring.gnupg.encrypt(TEXT, [bob.fingerprint]).message)

    with pytest.raises(smime.DecryptionFailed, match="other OpenPGP keys") as refused:
        ring.gnupg.decrypt(sealed, [alice])
    assert bob.facts.keys[1].key_id in refused.value.hint
    assert ring.gnupg.decrypt(sealed, [alice, bob]).content == TEXT


@pytest.fixture(scope="module")
def sealed_octets(ring, bob):
    return dearmor(ring.gnupg.encrypt(TEXT * 50, [bob.fingerprint]).message)


@pytest.mark.parametrize("from_end", [1, 5, 21, 22, 40, 300])
def test_no_plaintext_of_what_was_changed(ring, bob, sealed_octets, from_end):
    changed = bytearray(sealed_octets)
    changed[-from_end] ^= 1
    assert ring.gnupg.decrypt(read_sealed(sealed_octets), [bob]).content == TEXT * 50

    with pytest.raises(smime.DecryptionFailed) as refused:
        ring.gnupg.decrypt(read_sealed(bytes(changed)), [bob])
    assert "noon" not in str(refused.value)


@pytest.mark.parametrize("kept", [0.3, 0.9, 0.99])
def test_no_plaintext_of_what_was_cut(sealed_octets, kept):
    with pytest.raises(smime.MalformedMail):
        read_sealed(sealed_octets[: int(len(sealed_octets) * kept)])


def test_no_plaintext_of_two_messages_in_one(sealed_octets):
    with pytest.raises(smime.MalformedMail):
        read_sealed(sealed_octets * 2)


def test_a_foreign_mail_for_ours_is_compressed_and_signed(ring, alice, bob, gpg):
    """gpg by hand compresses, and signs inside: the content is that of the message."""
    whose = ["--homedir", ring.gnupg.home, "--batch", "--trust-model", "always"]
    named = ["-u", alice.fingerprint, "-r", bob.fingerprint]
    made = gpg.run(*whose, *named, "--sign", "--encrypt", input=TEXT * 100)

    opened = ring.gnupg.decrypt(read_sealed(made), [bob])
    assert opened.content == TEXT * 100
    assert ring.gnupg.check(TEXT * 100, opened.signatures)[0].state == "holds"


def test_gpg_by_hand_reads_ours(ring, alice, bob, gpg, tmp_path):
    whose = ["--homedir", ring.gnupg.home, "--batch", "--trust-model", "always"]
    made = ring.gnupg.encrypt(TEXT, [bob.fingerprint], sign_with=alice.fingerprint)
    (tmp_path / "sig.asc").write_bytes(ring.gnupg.sign(TEXT, alice.fingerprint).signature)

    assert gpg.run(*whose, "--decrypt", input=made.message) == TEXT
    gpg.run(*whose, "--verify", tmp_path / "sig.asc", "-", input=TEXT)


@pytest.fixture(scope="module")
def locked(gpg):
    with smime.PgpKeyring() as made:
        made.generate("lock@example.org", passphrase="open sesame")
        yield made


@pytest.mark.parametrize("passphrase", [None, "wrong", ""])
def test_a_locked_key_waits_for_nobody(locked, passphrase):
    key = locked.find("lock@example.org", passphrase=passphrase)
    sealed = read_sealed(locked.engine.encrypt(TEXT, [key.fingerprint]).message)
    started = time.monotonic()

    with pytest.raises(smime.KeyProblem, match="passphrase"):
        locked.engine.sign(TEXT, key.fingerprint, passphrase=key.passphrase())
    with pytest.raises(smime.KeyProblem, match="passphrase"):
        locked.engine.decrypt(sealed, [key])
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("passphrase", ["open sesame", b"open sesame", lambda: "open sesame"])
def test_a_locked_key_opens_with_its_passphrase_each_time(locked, passphrase):
    key = locked.find("lock@example.org", passphrase=passphrase)
    locked.engine.sign(TEXT, key.fingerprint, passphrase=key.passphrase())
    sealed = read_sealed(locked.engine.encrypt(TEXT, [key.fingerprint]).message)

    assert locked.engine.decrypt(sealed, [key]).content == TEXT
    with pytest.raises(smime.KeyProblem):  # the agent has kept nothing
        locked.engine.sign(TEXT, key.fingerprint)


@pytest.mark.parametrize("passphrase", [b"one\ntwo", b"x" * 256, b"nul\0"])
def test_what_cannot_be_a_passphrase_is_refused(locked, passphrase):
    key = locked.find("lock@example.org")

    with pytest.raises(smime.KeyProblem, match="one line"):
        locked.engine.sign(TEXT, key.fingerprint, passphrase=passphrase)


def test_no_secret_is_in_arguments_or_environment(locked, monkeypatch):
    seen = []
    popen = gnupg.subprocess.Popen

    def watched(command, **named):
        seen.append(f"{command} {named['env']}")
        return popen(command, **named)

    monkeypatch.setattr(gnupg.subprocess, "Popen", watched)
    key = locked.find("lock@example.org", passphrase="open sesame")
    locked.engine.sign(TEXT, key.fingerprint, passphrase=key.passphrase())

    assert seen
    assert not any("sesame" in one for one in seen)


def test_a_run_that_takes_too_long_is_ended(ring):
    with pytest.raises(smime.LimitExceeded, match="did not answer"):
        ring.gnupg.run("--check-sigs", limit_seconds=0.0)


def test_no_more_readers_than_fit(ring, bob, monkeypatch):
    monkeypatch.setattr(gnupg, "MAX_RECIPIENTS", 2)
    ring.gnupg.encrypt(TEXT, [bob.fingerprint], hidden=[bob.fingerprint])

    with pytest.raises(smime.LimitExceeded):
        ring.gnupg.encrypt(TEXT, [bob.fingerprint] * 2, hidden=[bob.fingerprint])


def test_an_expired_key_is_not_written_to_and_still_reads(ring, bob):
    sealed = read_sealed(ring.gnupg.encrypt(TEXT, [bob.fingerprint]).message)
    later = datetime.now(UTC) + timedelta(days=4000)

    with pytest.raises(smime.KeyProblem, match=bob.fingerprint):
        ring.gnupg.encrypt(TEXT, [bob.fingerprint], at=later)
    assert ring.gnupg.decrypt(sealed, [bob], at=later).content == TEXT


def test_a_bomb_is_not_opened(ring, bob, gpg):
    """An encrypted message of some hundred KiB that grows beyond the limit."""
    whose = ["--homedir", ring.gnupg.home, "--batch", "--trust-model", "always"]
    bomb = gpg.run(
        *whose,
        "-r",
        bob.fingerprint,
        "-z",
        "9",
        "--encrypt",
        input=bytes(inflating.MAX_INFLATED + 1),
    )

    assert len(bomb) < 1 << 20
    with pytest.raises(smime.LimitExceeded):
        ring.gnupg.decrypt(read_sealed(bomb), [bob])


def test_a_message_for_a_passphrase(ring, gpg):
    whose = ["--homedir", ring.gnupg.home, "--batch", "--pinentry-mode", "loopback"]
    made = gpg.run(*whose, "--passphrase", "open sesame", "--symmetric", input=TEXT)

    opened = ring.gnupg.decrypt(read_sealed(made), (), passphrase=b"open sesame")
    assert (opened.content, opened.opened_by) == (TEXT, "")
    for passphrase in (None, b"wrong"):
        with pytest.raises(smime.DecryptionFailed):
            ring.gnupg.decrypt(read_sealed(made), (), passphrase=passphrase)


def test_without_gpg_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)

    with pytest.raises(smime.NotSupported) as missing:
        smime.PgpKeyring(engine="gnupg")
    assert "apt install gnupg" in missing.value.hint
    with pytest.raises(smime.NotSupported) as missing:
        smime.PgpKeyring.user()
    assert "apt install gnupg" in missing.value.hint


def test_a_gpg_that_is_too_old_is_refused(tmp_path, monkeypatch):
    """Before 2.2.8 a message could write status lines of its own (CVE-2018-12020)."""
    for version, fine in (("2.2.7", False), ("2.2.8", True), ("1.4.23", False)):
        folder = tmp_path / version
        folder.mkdir()
        program = folder / "gpg"
        program.write_text(f"#!/bin/sh\necho 'gpg (GnuPG) {version}'\n")
        program.chmod(0o700)
        monkeypatch.setenv("PATH", f"{folder}{os.pathsep}/bin")
        if fine:
            assert gnupg.find_gpg() == str(program)
        else:
            with pytest.raises(smime.NotSupported, match="too old"):
                gnupg.find_gpg()
