"""Keyrings: keys come in, are found by address and go out; they say whose signatures count."""

from __future__ import annotations

import os
import pickle
import signal
import subprocess
import sys
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

import smime
from smime.pgp import homes, manager
from smime.pgp.listing import address_of
from smime.pgp.packets import read_sealed, read_signatures
from smime.protocols import PgpClaim
from tests.support.agents import processes

pytestmark = pytest.mark.peer("gpg")

TEXT = b"We meet at noon.\r\n"


def claim_of(ring, key, sender="alice@example.org", *, signed_at=None, at=None, **named):
    """Sign with the key, and ask about that signature."""
    signed = ring.engine.sign(TEXT, key.fingerprint, passphrase=key.passphrase(), at=signed_at)
    (facts,) = ring.engine.check(TEXT, read_signatures(signed.signature), at=at)
    assert facts.state == "holds"
    return PgpClaim(facts, sender, at or datetime.now(UTC), **named)


# --- keys ---------------------------------------------------------------------


def test_a_key_says_what_it_is(alice):
    assert alice.addresses == ("alice@example.org",)
    assert alice.user_ids == ("Alice <alice@example.org>",)
    assert alice.is_secret
    assert alice.expires - alice.created == timedelta(days=730)
    assert len(alice.fingerprint) == 40
    assert "alice@example.org, secret, until" in repr(alice)


def test_keys_go_from_ring_to_ring(ring, alice, gpg):
    with smime.PgpKeyring(ring.export(alice)) as public:
        found = public.find("alice@EXAMPLE.org")
        assert (found.fingerprint, found.is_secret) == (alice.fingerprint, False)
        assert len(public) == 1
        public.add(ring.export(alice, secret=True))
        assert public.find("alice@example.org").is_secret
        assert [one.fingerprint for one in public] == [alice.fingerprint]


def test_several_keys_come_from_one_file_with_text_around(ring, tmp_path):
    file = tmp_path / "keys.asc"
    file.write_bytes(b"my keys:\n" + ring.export() + b"that is all\n")

    with smime.PgpKeyring.load(file) as other:
        assert {one.addresses for one in other} == {("alice@example.org",), ("bob@example.org",)}


@pytest.mark.parametrize("data", [b"", b"hello", b"\x99junk", b"-----BEGIN PGP MESSAGE-----\n"])
def test_what_is_no_key_is_refused(gpg, data):
    with pytest.raises((smime.MalformedMail, smime.KeyProblem)):
        smime.PgpKeyring(data)


def test_a_str_is_refused_with_the_line_to_type(ring):
    with pytest.raises(TypeError, match=r"PgpKeyring\.load"):
        ring.add("alice.asc")


def test_a_file_of_keys_has_a_limit(ring, monkeypatch):
    data = ring.export()
    monkeypatch.setattr(manager, "MAX_KEY_OCTETS", len(data))
    smime.PgpKeyring(data).close()

    with pytest.raises(smime.LimitExceeded):
        smime.PgpKeyring(data + b"\n")


def test_signatures_of_others_stay_outside(ring, alice, bob, gpg):
    whose = ["--homedir", ring.gnupg.home, "--batch", "--yes"]
    with smime.PgpKeyring(ring.export(alice, bob, secret=True)) as other:
        whose[1] = other.gnupg.home
        gpg.run(*whose, "-u", bob.fingerprint, "--quick-sign-key", alice.fingerprint)
        certified = other.export(alice)
    with smime.PgpKeyring(certified) as clean:
        assert len(certified) > len(clean.export())


def test_an_unknown_address_is_named(ring):
    with pytest.raises(smime.KeyProblem) as problem:
        ring.find("carol@example.org")
    assert problem.value.missing == ("carol@example.org",)


def test_of_several_keys_the_newest_that_is_valid_is_found(gpg):
    with smime.PgpKeyring() as ring:
        first = ring.generate("carol@example.org", lifetime_days=None)
        time.sleep(1.1)  # keys are dated to the second
        second = ring.generate("carol@example.org")
        assert ring.find("carol@example.org") == second
        ring.add(_revoked(ring, second))
        assert ring.find("carol@example.org") == first


def _revoked(ring, key):
    return ring.make_revocation(key)


def test_a_revoked_key_is_not_written_to_and_reads(gpg):
    with smime.PgpKeyring() as ring:
        key = ring.generate("carol@example.org")
        sealed = read_sealed(ring.engine.encrypt(TEXT, [key.fingerprint]).message)
        ring.add(_revoked(ring, key))
        found = ring.find("carol@example.org")

        now = datetime.now(UTC)
        with pytest.raises(smime.KeyProblem, match="revoked"):
            found.check_reads(now)
        with pytest.raises(smime.KeyProblem, match="revoked"):
            found.check_signs(now)
        assert ring.engine.decrypt(sealed, [found]).content == TEXT


def test_a_public_key_does_not_sign(ring, alice, gpg):
    with (
        smime.PgpKeyring(ring.export(alice)) as public,
        pytest.raises(smime.KeyProblem, match="public half"),
    ):
        public.find("alice@example.org").check_signs(datetime.now(UTC))


def test_expiry_is_told(ring, alice):
    alice.check_reads(datetime.now(UTC))
    for check in (alice.check_reads, alice.check_signs):
        with pytest.raises(smime.KeyProblem, match="expired on"):
            check(alice.expires)


@pytest.mark.parametrize(
    ("address", "named"),
    [
        ("no address", {}),
        ("a@b>\n%commit", {}),
        ("carol@example.org", {"name": "x\nName-Email: eve@example.org"}),
        ("carol@example.org", {"name": "Eve <eve@example.org>"}),
        ("carol@example.org", {"algorithm": "dsa1024"}),
        ("carol@example.org", {"lifetime_days": 0}),
    ],
)
def test_no_key_is_made_for_nonsense(ring, address, named):
    with pytest.raises(ValueError, match=r"address|name|choose|day"):
        ring.generate(address, **named)


def test_secrets_stay_where_they_are(ring, alice):
    with pytest.raises(TypeError):
        pickle.dumps(alice)
    with pytest.raises(TypeError):
        pickle.dumps(ring)
    assert "secret key" not in repr(ring)


@pytest.mark.parametrize(
    ("user_id", "address"),
    [
        ("Alice <alice@example.org>", "alice@example.org"),
        ("alice@example.org", "alice@example.org"),
        ("<alice@example.org>", "alice@example.org"),
        ("Alice (work) <alice@example.org> ", "alice@example.org"),
        ("Alice", ""),
        ("alice@example.org <eve@example.org> x", ""),
        ("<alice@example.org> <eve@example.org>", ""),
        ("<alice@example.org", ""),
        ("alice@example.org (eve@example.org)", ""),
        ("Alice <alice@@example.org>", ""),
        ("Alice <al ice@example.org>", ""),
        ("Alice <alice@example.org\u202e>", ""),
    ],
)
def test_a_user_id_names_one_address_or_none(user_id, address):
    assert address_of(user_id) == address


# --- judging ------------------------------------------------------------------


def test_a_signature_by_a_key_of_the_ring_is_good(ring, alice):
    judgement = ring.judge_openpgp(claim_of(ring, alice))

    assert judgement.good
    assert judgement.address.reason == "the key names alice@example.org"


@pytest.mark.parametrize(
    ("sender", "code"),
    [
        ("bob@example.org", "address-differs"),
        ("Alice@example.org", "address-differs"),
        (None, "sender-unknown"),
    ],
)
def test_a_key_speaks_for_its_addresses_only(ring, alice, sender, code):
    judgement = ring.judge_openpgp(claim_of(ring, alice, sender))

    assert not judgement.good
    assert judgement.address.code == code


def test_a_key_that_is_not_in_the_ring_is_unknown(ring, alice, bob, gpg):
    claim = claim_of(ring, alice)
    with smime.PgpKeyring(ring.export(bob)) as other:
        judgement = other.judge_openpgp(claim)

    assert (judgement.good, judgement.path.code) == (False, "no-anchor")


def test_a_certificate_is_no_matter_of_a_keyring(ring, world):
    claim = smime.Claim(world.alice.certificate, "alice@example.org", datetime.now(UTC))

    assert not ring.judge(claim).good


def test_what_a_key_signed_while_it_was_valid_stays_good(ring, alice):
    claim = claim_of(ring, alice, at=alice.expires + timedelta(days=1))
    judgement = ring.judge_openpgp(claim)

    assert judgement.good
    assert "and expired on" in judgement.time.reason


def test_what_says_it_was_made_later_is_not_good_yet(ring, alice):
    later = datetime.now(UTC) + timedelta(days=1)
    claim = claim_of(ring, alice, signed_at=later, at=later)
    assert ring.judge_openpgp(claim).good

    early = PgpClaim(claim.signature, claim.sender, later - timedelta(days=1))
    assert ring.judge_openpgp(early).time.code == "not-yet-valid"


def test_a_revocation_without_a_soft_reason_counts_from_ever(gpg):
    with smime.PgpKeyring() as ring:
        key = ring.generate("alice@example.org")
        claim = claim_of(ring, key)
        assert ring.judge_openpgp(claim).good
        ring.add(_revoked(ring, key))

        assert ring.judge_openpgp(claim).revocation.code == "revoked"


def test_a_key_below_the_policy_is_not_good(gpg):
    with smime.PgpKeyring() as ring:
        key = ring.generate("alice@example.org", algorithm="rsa3072")
        claim = claim_of(ring, key)
        assert ring.judge_openpgp(claim).good

        strict = PgpClaim(
            claim.signature,
            claim.sender,
            claim.at,
            policy=smime.Policy.modern().replace(rsa_bits_min=4096),
        )
        assert ring.judge_openpgp(strict).usage.code == "key-too-small"


@pytest.mark.parametrize(
    ("digest", "allowed"), [("sha1", "sha1"), ("md5", "md5"), ("ripemd160", "sha1")]
)
def test_weak_digests_are_good_by_a_legacy_policy_only(ring, alice, digest, allowed):
    from dataclasses import replace

    claim = claim_of(ring, alice)
    weak = replace(claim, signature=replace(claim.signature, digest=digest))
    assert ring.judge_openpgp(weak).usage.code == "weak-algorithm"

    legacy = replace(weak, policy=smime.Policy.modern().replace(weak=[allowed]))
    assert ring.judge_openpgp(legacy).good


def test_in_the_users_own_ring_only_what_the_user_vouched_for_counts(
    ring, alice, bob, gpg, tmp_path, monkeypatch
):
    """Keys come into it from everywhere; own ones, and those certified, are the owner's."""
    with smime.PgpKeyring(ring.export(alice)) as theirs:
        home = theirs.gnupg.home
        monkeypatch.setenv("GNUPGHOME", home)
        with smime.PgpKeyring.user() as mine:
            claim = claim_of(ring, alice)
            assert mine.judge_openpgp(claim).address.code == "no-trust"

            theirs.add(ring.export(bob, secret=True))
            whose = ["--homedir", home, "--batch", "--yes"]
            gpg.run(*whose, "--import-ownertrust", input=f"{bob.fingerprint}:6:\n".encode())
            gpg.run(*whose, "-u", bob.fingerprint, "--quick-lsign-key", alice.fingerprint)
            mine.find("alice@example.org")  # looks anew: others write there
            assert mine.judge_openpgp(claim).good
        assert Path(home).exists()


# --- homes --------------------------------------------------------------------


def agents_of(home: str) -> list[int]:
    """Return the process ids of the agents that serve this home."""
    return [pid for pid, line in processes() if "gpg-agent" in line and home in line]


def wait_for(condition) -> bool:
    """Wait for what the system does in its own time; at most ten seconds."""
    end = time.monotonic() + 10
    while not condition() and time.monotonic() < end:
        time.sleep(0.02)
    return condition()


def test_a_closed_ring_leaves_nothing(gpg):
    with smime.PgpKeyring() as ring:
        ring.generate("carol@example.org")
        home = ring.gnupg.home
        assert os.stat(home).st_mode & 0o777 == 0o700
        assert agents_of(home)  # the positive control: there was one

    assert not os.path.exists(home)
    assert wait_for(lambda: not agents_of(home))
    with pytest.raises(ValueError, match="closed"):
        ring.find("carol@example.org")
    ring.close()


def test_a_ring_that_is_forgotten_is_closed(gpg):
    import gc

    ring = smime.PgpKeyring()
    home = ring.gnupg.home
    del ring
    gc.collect()

    assert not os.path.exists(home)


KILLED = """
import sys, smime
ring = smime.PgpKeyring()
ring.generate("carol@example.org")
print(ring.gnupg.home, flush=True)
sys.stdin.read()
"""


@pytest.fixture
def killed(gpg):
    """A program in a session of its own, with a home and an agent; what is left is ended."""
    child = subprocess.Popen(
        [sys.executable, "-c", KILLED],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        start_new_session=True,
    )
    home = child.stdout.readline().decode().strip()
    assert agents_of(home)  # the positive control: there is one
    yield child, home
    child.kill()
    child.communicate()


@pytest.mark.parametrize("whom", ["program", "group"])
def test_the_agent_of_a_killed_program_ends(killed, whom):
    """And no other keyring is made for it; the next one wipes the home."""
    child, home = killed
    smime.PgpKeyring().close()
    assert os.path.exists(home)  # somebody lives there
    assert agents_of(home)
    if whom == "group":
        os.killpg(child.pid, signal.SIGKILL)
    else:
        child.send_signal(signal.SIGKILL)
    child.communicate()

    assert wait_for(lambda: not agents_of(home))
    assert wait_for(lambda: not clients_of(home))
    smime.PgpKeyring().close()
    assert not os.path.exists(home)


def test_an_agent_that_nothing_ties_is_ended_by_the_next(killed):
    child, home = killed
    for pid in agents_of(home):
        os.kill(pid, signal.SIGKILL)
    gnupg = ["gpgconf", "--homedir", home, "--launch", "gpg-agent"]
    subprocess.run(gnupg, check=True)
    child.send_signal(signal.SIGKILL)
    child.communicate()
    assert agents_of(home)

    smime.PgpKeyring().close()
    assert not os.path.exists(home)
    assert wait_for(lambda: not agents_of(home))


def clients_of(home: str) -> list[int]:
    return [pid for pid, line in processes() if "gpg-connect-agent" in line and home in line]


def test_a_closed_ring_leaves_no_client(gpg):
    with smime.PgpKeyring() as ring:
        home = ring.gnupg.home
        assert len(clients_of(home)) >= 1
        assert len(agents_of(home)) == 1
    assert wait_for(lambda: not clients_of(home))
    assert wait_for(lambda: not agents_of(home))


def test_a_forked_child_leaves_the_home_alone(ring):
    pid = os.fork()
    if pid == 0:
        ring._home._end()
        os._exit(0)
    os.waitpid(pid, 0)

    assert os.path.exists(ring.gnupg.home)


def test_a_home_that_is_too_deep_is_refused_or_put_elsewhere(tmp_path, monkeypatch):
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)

    with pytest.raises(smime.KeyProblem, match="too long"):
        homes.PrivateHome(str(deep))
    monkeypatch.setattr(homes.tempfile, "tempdir", str(deep))
    home = homes.PrivateHome()
    assert home.path.startswith("/tmp/")
    home.close()


def test_folders_of_others_are_left_alone(tmp_path):
    bystander = tmp_path / (homes.PREFIX + "notes.txt")
    bystander.write_text("mine")
    young = tmp_path / (homes.PREFIX + "young")
    young.mkdir()
    old = tmp_path / (homes.PREFIX + "old")
    old.mkdir()
    os.utime(old, (0, 0))

    homes.wipe_forsaken(str(tmp_path))

    assert bystander.exists()
    assert young.exists()
    assert not old.exists()
