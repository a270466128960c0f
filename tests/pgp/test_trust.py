"""Whom to believe about OpenPGP keys: pinned ones, keyrings, and both beside certificates."""

from __future__ import annotations

import pickle
from collections.abc import Iterator
from datetime import timedelta

import pytest

import smime
from smime.pgp.packets import dearmor_keys

pytestmark = pytest.mark.peer("gpg")

SHORT = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: lunch\r\n\r\nWe meet at noon.\r\n"
)


@pytest.fixture(scope="module")
def signed(alice: smime.PgpKey) -> smime.Mail:
    return smime.sign(SHORT, by=alice)


@pytest.fixture(scope="module")
def mine(ring: smime.PgpKeyring) -> Iterator[smime.PgpKeyring]:
    """Bob's keyring: his own key, and alice's, of which nobody said whose it is."""
    with smime.PgpKeyring(ring.export(*ring), ring.export(secret=True)) as made:
        yield made


def code_of(report: smime.Report, question: str) -> str:
    (check,) = report.signatures
    return getattr(check, question).code


# --- who signed -----------------------------------------------------------------


def test_a_pinned_key_speaks_for_whom_it_names(signed, alice, mine):
    trust = smime.Pinned(alice.fingerprint)
    opened = smime.verify(signed, trust=trust, keys=mine.find("bob@example.org"))

    assert opened.signer == "alice@example.org"
    assert "pinned" in opened.report.signatures[0].path.reason
    spaced = " ".join(alice.fingerprint[n : n + 4] for n in range(0, 40, 4)).upper()
    assert smime.verify(signed, trust=smime.Pinned(spaced), keys=[*mine]).signer


def test_a_pinned_key_brings_its_keyring_along(signed, alice, bob):
    assert smime.verify(signed, trust=smime.Pinned(alice)).signer == "alice@example.org"
    report = smime.examine(signed, trust=smime.Pinned(bob))
    assert code_of(report, "path") == "pinned-differs"
    assert report.outcome == smime.Outcome.REJECTED


def test_without_the_key_at_hand_nothing_is_good(signed, alice):
    report = smime.examine(signed, trust=smime.Pinned(alice.fingerprint))
    assert code_of(report, "genuine") == "no-certificate"
    assert report.outcome == smime.Outcome.UNKNOWN


@pytest.mark.parametrize("cut", [slice(24, 40), slice(32, 40), slice(0, 39)])
def test_a_key_id_or_a_part_is_no_pin(alice, cut):
    assert smime.Pinned(alice.fingerprint)
    with pytest.raises(ValueError, match="fingerprint"):
        smime.Pinned(alice.fingerprint[cut])


def test_the_fingerprint_of_a_subkey_pins_nothing(signed, alice, mine):
    subkey = alice.facts.keys[1].fingerprint
    report = smime.examine(signed, trust=smime.Pinned(subkey), keys=[*mine])
    assert code_of(report, "path") == "pinned-differs"


@pytest.mark.parametrize(
    ("sender", "options", "code"),
    [
        ("alice@example.org", {}, "ok"),
        ("shop@example.org", {}, "address-differs"),
        ("shop@example.org", {"sender": "shop@example.org"}, "ok"),
        ("alice@example.org", {"sender": "shop@example.org"}, "address-differs"),
        ("partner-id", {"sender": "partner-id"}, "ok"),
        ("shop@example.org", {"any_address": True}, "not-asked"),
    ],
)
def test_whom_a_pinned_key_speaks_for(signed, alice, sender, options, code):
    trust = smime.Pinned(alice, **options)
    report = smime.examine(signed, trust=trust, sender=sender)
    assert code_of(report, "address") == code
    good = code in ("ok", "not-asked")
    assert (report.outcome == smime.Outcome.GOOD) is good


def test_two_authors_are_no_sender(alice):
    two = SHORT.replace(b"From: alice@example.org", b"From: alice@example.org, bob@example.org")
    mail = smime.sign(two, by=alice)
    for trust in (smime.Pinned(alice), smime.Pinned(alice, sender="alice@example.org")):
        assert code_of(smime.examine(mail, trust=trust), "address") == "sender-unknown"


def test_a_changed_letter_is_refused(signed, alice):
    with pytest.raises(smime.SignatureRejected, match="changed after signing"):
        smime.verify(bytes(signed).replace(b"noon", b"dusk"), trust=smime.Pinned(alice))


def test_a_revoked_or_expired_key_is_judged_though_it_is_pinned(gpg):
    with smime.PgpKeyring() as ring:
        key = ring.generate("alice@example.org", lifetime_days=30)
        mail = smime.sign(SHORT, by=key)
        late = key.expires + timedelta(days=2)
        assert smime.verify(mail, trust=smime.Pinned(key), at=late).signer
        ring.revoke(key, reason="stolen")
        report = smime.examine(mail, trust=smime.Pinned(ring.key(key.fingerprint)))
        assert code_of(report, "revocation") == "revoked"
        assert report.outcome == smime.Outcome.REJECTED


def test_a_key_that_had_expired_when_it_signed_needs_to_be_pinned_whatever_its_dates(gpg):
    with smime.PgpKeyring() as ring:
        key = ring.generate("alice@example.org", lifetime_days=30)
        signed_at = key.created + timedelta(days=10)
        mail = smime.sign(SHORT, by=key, at=signed_at)
        late = signed_at + timedelta(days=1)
        assert smime.verify(mail, trust=smime.Pinned(key), at=late).signer
        key = ring.extend(key, lifetime_days=1)  # it ends before it signed

        report = smime.examine(mail, trust=smime.Pinned(key), at=late)
        assert code_of(report, "time") == "expired"
        assert smime.verify(mail, trust=smime.Pinned(key, ignore_dates=True), at=late).signer


def test_a_user_id_that_was_taken_back_is_nobodys_address(gpg):
    with smime.PgpKeyring() as ring:
        key = ring.add_address(ring.generate("alice@example.org"), "alice@example.net")
        other = SHORT.replace(b"alice@example.org", b"alice@example.net")
        for trust in (ring, smime.Pinned(key)):
            assert smime.verify(smime.sign(other, by=key), trust=trust).signer
        key = ring.revoke_address(key, "alice@example.net")
        later = key.created + timedelta(days=3)
        mail = smime.sign(other, by=key, at=later)
        for trust in (ring, smime.Pinned(key)):
            report = smime.examine(mail, trust=trust, at=later)
            assert code_of(report, "address") == "address-differs"


def test_a_key_of_version_6_is_pinned_by_its_64_digits(signed):
    pytest.importorskip("pysequoia")
    with smime.PgpKeyring(engine="sequoia") as ring:
        dora = ring.generate("alice@example.org", version=6)
        mail = smime.sign(SHORT, by=dora)
        assert len(dora.fingerprint) == 64
        trust = smime.Pinned(dora.fingerprint)
        assert smime.verify(mail, trust=trust, keys=dora).signer == "alice@example.org"
        wrong = smime.Pinned(dora.fingerprint[:-1] + "0" if dora.fingerprint[-1] != "0" else "1")
        assert code_of(smime.examine(mail, trust=wrong, keys=dora), "path") == "pinned-differs"


def test_pinned_beside_certificates_and_keyrings(signed, alice, bob, mine, world):
    trust = [world.anchors, smime.Pinned(alice.fingerprint)]
    assert smime.verify(signed, trust=trust, keys=[*mine]).signer
    assert smime.verify(smime.sign(SHORT, by=world.alice), trust=trust).signer
    # A fingerprint of the one is none of the other.
    with pytest.raises(smime.SignatureRejected):
        smime.verify(smime.sign(SHORT, by=world.alice), trust=smime.Pinned(alice.fingerprint))
    assert smime.verify(signed, trust=[smime.Pinned(bob), mine]).signer


def test_a_pinned_fingerprint_pickles_and_a_key_does_not(alice):
    pinned = smime.Pinned(alice.fingerprint, sender="alice@example.org")
    assert repr(pickle.loads(pickle.dumps(pinned))) == repr(pinned)
    with pytest.raises(TypeError):
        pickle.dumps(smime.Pinned(alice))


# --- for whom it is sealed ----------------------------------------------------------


def test_readers_are_vouched_for(ring, alice, bob):
    for trust in (ring, smime.Pinned(bob.fingerprint), [smime.Pinned(alice), ring]):
        made = smime.encrypt(SHORT, to=bob, trust=trust)
        assert smime.decrypt(made, keys=bob, trust=smime.NoTrust()).encrypted
        assert made.unverified == ()
        assert smime.protect(SHORT, by=alice, to=bob, trust=trust).unverified == ()
        (one,) = smime.protect_each(SHORT, by=alice, to=[bob], trust=trust)
        assert one.unverified == ()
    assert smime.encrypt(SHORT, to=bob).unverified == ("bob@example.org",)
    assert smime.protect(SHORT, by=alice, to=bob).unverified == ("bob@example.org",)
    (one,) = smime.protect_each(SHORT, by=alice, to=[bob])
    assert one.unverified == ("bob@example.org",)


def test_whom_nobody_vouches_for_gets_nothing(ring, alice, bob, world):
    with smime.PgpKeyring(ring.export(alice)) as others:
        for trust in (others, smime.Pinned(alice.fingerprint), [world.anchors, others]):
            for attempt in (
                lambda: smime.encrypt(SHORT, to=bob, trust=trust),  # noqa: B023  # called in this turn
                lambda: smime.protect(SHORT, by=alice, to=bob, trust=trust),  # noqa: B023  # called in this turn
                lambda: list(smime.protect_each(SHORT, by=alice, to=[bob], trust=trust)),  # noqa: B023  # called in this turn
            ):
                with pytest.raises(smime.KeyProblem) as refused:
                    attempt()
                assert refused.value.missing == ("bob@example.org",)


def test_a_key_pinned_for_another_is_not_written_to(bob):
    assert smime.encrypt(SHORT, to=bob, trust=smime.Pinned(bob, sender="bob@example.org"))
    with pytest.raises(smime.KeyProblem, match="pinned for eve"):
        smime.encrypt(SHORT, to=bob, trust=smime.Pinned(bob, sender="eve@example.org"))


def test_what_the_trusted_keyring_knows_of_a_key_counts(ring, bob, gpg):
    """The copy to write to says nothing of a revocation; the one that is believed does."""
    with smime.PgpKeyring(ring.export(bob, secret=True)) as theirs:
        theirs.revoke(theirs.find("bob@example.org"), reason="superseded")
        with pytest.raises(smime.KeyProblem, match="revoked"):
            smime.encrypt(SHORT, to=bob, trust=theirs)


def test_in_the_users_own_ring_readers_are_vouched_for(ring, bob, gpg, monkeypatch):
    with smime.PgpKeyring(dearmor_keys(ring.export(bob))) as theirs:
        monkeypatch.setenv("GNUPGHOME", theirs.gnupg.home)
        with smime.PgpKeyring.user() as mine:
            me = mine.generate("alice@example.org")
            reader = mine.find("bob@example.org")
            assert smime.encrypt(SHORT, to=reader)
            with pytest.raises(smime.KeyProblem, match="nobody told GnuPG"):
                smime.encrypt(SHORT, to=reader, trust=mine)
            mine.vouch(reader, by=me)
            assert smime.encrypt(SHORT, to=mine.find("bob@example.org"), trust=mine)


def test_trust_that_knows_no_openpgp_keys_is_a_mistake(bob, world):
    with pytest.raises(TypeError, match="OpenPGP"):
        smime.encrypt(SHORT, to=bob, trust=world.anchors)
    with pytest.raises(TypeError, match="evidence= is for certificates"):
        smime.encrypt(SHORT, to=bob, evidence=smime.Evidence())
