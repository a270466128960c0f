"""Sequoia as the engine, alone and beside GnuPG: each hole of its library has a test."""

from __future__ import annotations

import resource
import shutil
import time
from collections.abc import Iterator
from datetime import UTC, datetime

import pytest

import smime
from smime.pgp import sequoia
from smime.pgp.packets import dearmor_keys, packets, read_sealed, read_signatures
from smime.pgp.sequoia import Sequoia

pytest.importorskip("pysequoia", reason="peer pysequoia")

TEXT = b"We meet at noon.\r\n"
LETTER = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: lunch\r\n\r\nnoon\r\n"
ENGINES = [
    pytest.param("gnupg", marks=pytest.mark.peer("gpg")),
    "sequoia",
    pytest.param("auto", marks=pytest.mark.peer("gpg")),
]


@pytest.fixture(scope="module", params=[4, 6])
def memory(request) -> Iterator[smime.PgpKeyring]:
    """Alice and bob in memory, with keys of both versions."""
    with smime.PgpKeyring(engine="sequoia") as made:
        made.generate("alice@example.org", name="Alice", version=request.param)
        made.generate("bob@example.org", version=request.param)
        yield made


def test_all_verbs_without_gnupg(memory, monkeypatch):
    monkeypatch.setattr(shutil, "which", lambda _: None)
    alice, bob = memory.find("alice@example.org"), memory.find("bob@example.org")

    assert alice.is_secret
    assert smime.verify(smime.sign(LETTER, by=alice), trust=memory).signer == "alice@example.org"
    sealed = smime.protect(LETTER, by=alice, to=bob)
    opened = smime.verify(sealed, trust=memory, keys=bob)
    assert opened.signer == "alice@example.org"
    assert opened.message["Subject"] == "lunch"
    assert smime.decrypt(smime.encrypt(LETTER, to=bob), trust=memory, keys=bob).signer is None
    copies = smime.protect_each(LETTER, by=alice, to=[bob])
    assert all(smime.verify(one, trust=memory, keys=bob).signer for one in copies)


def test_what_was_changed_is_not_good_and_gives_nothing(memory):
    alice, bob = memory.find("alice@example.org"), memory.find("bob@example.org")
    signed = bytes(smime.sign(LETTER, by=alice))
    report = smime.examine(signed.replace(b"noon", b"dusk"), trust=memory)
    assert report.outcome is smime.Outcome.REJECTED

    made = memory.engine.encrypt(TEXT, [bob.fingerprint]).message
    whole = b"".join(one.raw for one in packets(_binary(made)))
    assert memory.engine.decrypt(read_sealed(whole), [bob]).content == TEXT
    for place in (-1, -20, -40):
        changed = bytearray(whole)
        changed[place] ^= 1
        with pytest.raises(smime.DecryptionFailed):
            memory.engine.decrypt(read_sealed(bytes(changed)), [bob])


def _binary(armour: bytes) -> bytes:
    from smime.pgp.packets import dearmor

    return dearmor(armour)


def test_a_key_of_version_6_goes_out_and_in():
    with smime.PgpKeyring(engine="sequoia") as ring:
        carol = ring.generate("carol@example.org", version=6, lifetime_days=None)
        public, secret = ring.export(carol), ring.export(carol, secret=True)
        signed = smime.sign(LETTER.replace(b"alice", b"carol"), by=carol)
    with smime.PgpKeyring(public, engine="sequoia") as other:
        found = other.find("carol@example.org")
        assert (len(found.fingerprint), found.is_secret) == (64, False)
        assert smime.verify(signed, trust=other).signer == "carol@example.org"
        with pytest.raises(smime.KeyProblem):
            other.export(found, secret=True)
        other.add(secret)
        assert other.find("carol@example.org").is_secret


def test_post_quantum_keys():
    with smime.PgpKeyring(engine="sequoia") as ring:
        alice = ring.generate("alice@example.org", version=6, algorithm="ml-dsa-65")
        sealed = smime.protect(LETTER, by=alice, to=alice)
        assert smime.verify(sealed, trust=ring, keys=alice).signer == "alice@example.org"


@pytest.mark.parametrize("engine", ENGINES)
def test_every_signature_has_its_own_answer(engine):
    """Sequoia's library reads the first of several only."""
    with smime.PgpKeyring(engine=engine) as ring:
        alice, bob = ring.generate("alice@example.org"), ring.generate("bob@example.org")
        both = [
            read_signatures(ring.engine.sign(text, key.fingerprint).signature)[0]
            for text, key in ((b"another\r\n", bob), (TEXT, alice))
        ]
        for order in (both, both[::-1]):
            states = {one.state for one in ring.engine.check(TEXT, order)}
            assert len(states) == 2
            assert "holds" in states


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_a_revoked_key_is_neither_written_to_nor_believed(engine, gpg):
    """Sequoia's library encrypts to revoked keys, and signs with them."""
    with smime.PgpKeyring(engine="gnupg") as origin:
        alice = origin.generate("alice@example.org")
        signed = smime.sign(LETTER, by=alice)
        public, secret = origin.export(alice), origin.export(alice, secret=True)
        revocation = origin.make_revocation(alice)
    with smime.PgpKeyring(secret, engine=engine) as ring:
        assert smime.verify(signed, trust=ring).signer
        ring.add(revocation)
        found = ring.find("alice@example.org")
        for use in (lambda: smime.encrypt(LETTER, to=found), lambda: smime.sign(LETTER, by=found)):
            with pytest.raises(smime.KeyProblem, match="revoked"):
                use()
        assert smime.examine(signed, trust=ring).signer is None
    with (
        smime.PgpKeyring(public, engine=engine) as ring,
        pytest.raises((smime.KeyProblem, smime.MalformedMail)),
    ):
        ring.add(b"")


@pytest.mark.parametrize("engine", ENGINES[1:])
def test_an_expired_key_is_not_written_to(engine):
    with smime.PgpKeyring(engine="sequoia") as origin:
        alice = origin.generate("alice@example.org", lifetime_days=1)
        octets = origin.export(alice)
    with smime.PgpKeyring(octets, engine=engine) as ring:
        found = ring.find("alice@example.org")
        found.check_reads(datetime.now(UTC))
        with pytest.raises(smime.KeyProblem, match="expired"):
            found.check_reads(found.expires)


def test_one_subkey_is_written_to_the_newest(gpg):
    """Sequoia's library writes to all that encrypt."""
    with smime.PgpKeyring(engine="auto") as ring:
        alice = ring.generate("alice@example.org")
        time.sleep(1.1)  # keys are dated to the second
        alice = ring.add_subkey(alice)
        with smime.PgpKeyring(ring.export(alice), engine="sequoia") as other:
            sealed = read_sealed(other.engine.encrypt(TEXT, [alice.fingerprint]).message)
        assert sealed.recipients == (alice.facts.keys[-1].key_id,)
        assert ring.engine.decrypt(sealed, [alice]).content == TEXT


def test_a_user_id_that_the_key_did_not_sign_is_none(memory):
    """The octets of a key are anybody's to put together."""
    alice, bob = memory.find("alice@example.org"), memory.find("bob@example.org")
    mine = list(packets(dearmor_keys(memory.export(alice))))
    theirs = [one.raw for one in packets(dearmor_keys(memory.export(bob))) if one.tag == 13]
    binding = next(n for n, one in enumerate(mine) if one.tag == 13) + 1
    forged = b"".join(one.raw for one in mine) + theirs[0] + mine[binding].raw
    with smime.PgpKeyring(forged, engine="sequoia") as ring:
        assert ring.find("alice@example.org").addresses == ("alice@example.org",)
        with pytest.raises(smime.KeyProblem):
            ring.find("bob@example.org")


def test_what_gnupg_seals_and_signs_in_one_opens_and_its_signature_is_not_claimed(gpg):
    """It is compressed inside, and there Sequoia's library does not look."""
    with smime.PgpKeyring(engine="gnupg") as origin:
        alice = origin.generate("alice@example.org")
        secret = origin.export(alice, secret=True)
        whose = ("--homedir", origin.gnupg.home, "--batch", "--trust-model", "always", "--armor")
        made = gpg.run(*whose, "-r", alice.fingerprint, "--sign", "--encrypt", input=TEXT)
    with smime.PgpKeyring(secret, engine="sequoia") as ring:
        opened = ring.engine.decrypt(read_sealed(made), list(ring))
        assert opened.content == TEXT
        assert [one.state for one in opened.checked] == ["unsupported"]
    with smime.PgpKeyring(secret, engine="auto") as ring:
        opened = ring.engine.decrypt(read_sealed(made), list(ring))
        (facts,) = ring.engine.check(opened.content, opened.signatures)
        assert (opened.content, facts.state) == (TEXT, "holds")


def test_both_engines_read_what_the_other_makes(gpg):
    with (
        smime.PgpKeyring(engine="auto") as auto,
        smime.PgpKeyring(engine="gnupg") as slow,
        smime.PgpKeyring(engine="sequoia") as quick,
    ):
        for address in ("alice@example.org", "bob@example.org"):
            auto.generate(address)
        secret = auto.export(secret=True)
        rings = {"auto": auto, "gnupg": slow, "sequoia": quick}
        for ring in (slow, quick):
            ring.add(secret)
        for writer in rings.values():
            by, to = writer.find("alice@example.org"), writer.find("bob@example.org")
            signed = smime.sign(LETTER, by=by)
            parts = smime.encrypt(signed, to=to)
            for reader in rings.values():
                bob = reader.find("bob@example.org")
                assert smime.verify(signed, trust=reader).signer
                assert smime.verify(parts, trust=reader, keys=bob).signer


@pytest.mark.parametrize("state", ["refused", "broken"])
def test_two_engines_that_disagree_make_a_signature_weak(gpg, monkeypatch, state):
    with smime.PgpKeyring(engine="auto") as ring:
        alice = ring.generate("alice@example.org")
        signed = smime.sign(LETTER, by=alice)
        assert smime.verify(signed, trust=ring).signer
        monkeypatch.setattr(
            Sequoia,
            "_check",
            lambda *_: sequoia.SignatureFacts(state, key=alice.fingerprint),
        )
        report = smime.examine(signed, trust=ring)
        assert report.signatures[0].usage.code == "weak-algorithm"
        assert smime.examine(signed, trust=ring, policy=smime.Policy.legacy_read()).signer


def test_what_sequoia_cannot_is_said_by_name(memory):
    alice = memory.find("alice@example.org")
    now = datetime.now(UTC)
    for call, what in (
        (lambda: memory.engine.encrypt(TEXT, [], hidden=[alice.fingerprint]), "hidden|names all"),
        (lambda: memory.engine.sign(TEXT, alice.fingerprint, digest="sha256"), "SHA256"),
        (lambda: memory.engine.sign(TEXT, alice.fingerprint, at=now), "as of now"),
        (lambda: memory.extend(alice), "GnuPG"),
        (lambda: memory.generate("carol@example.org", passphrase="open sesame"), "locks no keys"),
    ):
        with pytest.raises(smime.NotSupported, match=what):
            call()
    with pytest.raises(ValueError, match="choose one of"):
        memory.generate("carol@example.org", algorithm="rot13")
    with pytest.raises(ValueError, match="engine"):
        smime.PgpKeyring(engine="enigma")


def test_without_its_library_the_error_says_what_to_install(monkeypatch):
    monkeypatch.setitem(__import__("sys").modules, "pysequoia", None)
    with pytest.raises(smime.NotSupported) as missing:
        smime.PgpKeyring(engine="sequoia")
    assert "smimetool[sequoia]" in missing.value.hint


@pytest.mark.parametrize("data", [b"", b"\x99\x00", b"\xc6\x00", b"junk"])
def test_what_is_no_key_is_refused(data):
    with pytest.raises((smime.MalformedMail, smime.KeyProblem)):
        smime.PgpKeyring(data, engine="sequoia")


def test_a_locked_key_is_a_matter_of_the_key(gpg):
    with smime.PgpKeyring(engine="gnupg") as origin:
        alice = origin.generate("alice@example.org", passphrase="open sesame")
        secret = origin.export(alice, secret=True)
        sealed = read_sealed(origin.engine.encrypt(TEXT, [alice.fingerprint]).message)
    with smime.PgpKeyring(secret, engine="sequoia") as ring:
        for passphrase in (None, "wrong"):
            with pytest.raises(smime.KeyProblem, match="locked"):
                ring.engine.decrypt(sealed, [ring.key(alice.fingerprint, passphrase=passphrase)])
        mine = ring.key(alice.fingerprint, passphrase="open sesame")
        assert ring.engine.decrypt(sealed, [mine]).content == TEXT
        assert smime.verify(smime.sign(LETTER, by=mine), trust=ring).signer


def test_a_bomb_is_stopped(gpg, monkeypatch):
    """Sequoia's library has no limit of its own."""
    import zlib

    from smime.pgp import inflating

    monkeypatch.setattr(inflating, "MAX_INFLATED", 8 << 20)
    before = resource.getrlimit(resource.RLIMIT_FSIZE)
    with smime.PgpKeyring(engine="gnupg") as origin:
        alice = origin.generate("alice@example.org")
        secret = origin.export(alice, secret=True)

        def bomb(octets: int) -> bytes:
            literal = b"\xcb\xff" + (6 + octets).to_bytes(4, "big") + b"b\0" + bytes(4 + octets)
            squeeze = zlib.compressobj(9, zlib.DEFLATED, -15)
            packed = b"\1" + squeeze.compress(literal) + squeeze.flush()
            whole = b"\xc8\xff" + len(packed).to_bytes(4, "big") + packed
            return origin.gnupg.run(
                *("--no-literal", "--recipient", alice.fingerprint.upper(), "--encrypt"),
                *("--output", "-"),
                data=whole,
            ).output

        small, large = bomb(4 << 20), bomb(64 << 20)
    assert len(large) < 1 << 17
    with smime.PgpKeyring(secret, engine="sequoia") as ring:
        assert len(ring.engine.decrypt(read_sealed(small), list(ring)).content) == 4 << 20
        with pytest.raises(smime.LimitExceeded):
            ring.engine.decrypt(read_sealed(large), list(ring))
    assert resource.getrlimit(resource.RLIMIT_FSIZE) == before
