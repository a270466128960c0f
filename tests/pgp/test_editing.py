"""Changes to one's own keys, each seen by the next one who reads them."""

from __future__ import annotations

import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

import pytest

import smime
from smime.pgp.packets import read_sealed

pytestmark = pytest.mark.peer("gpg")

TEXT = b"We meet at noon.\r\n"


@pytest.fixture
def ring(gpg) -> Iterator[smime.PgpKeyring]:
    with smime.PgpKeyring() as made:
        yield made


@pytest.fixture
def carol(ring) -> smime.PgpKey:
    return ring.generate("carol@example.org", name="Carol")


@pytest.mark.parametrize(
    ("old", "new"), [(None, "another one"), ("open sesame", "another one"), ("open sesame", "")]
)
def test_the_passphrase_is_changed(ring, old, new):
    key = ring.generate("carol@example.org", passphrase=old)
    changed = ring.change_passphrase(key, new)

    assert ring.engine.sign(TEXT, key.fingerprint, passphrase=changed.passphrase())
    sealed = read_sealed(ring.engine.encrypt(TEXT, [key.fingerprint]).message)
    assert ring.engine.decrypt(sealed, [changed]).content == TEXT
    if new:
        with pytest.raises(smime.KeyProblem):
            ring.engine.decrypt(sealed, [ring.key(key.fingerprint, passphrase=old)])
    else:
        assert ring.engine.decrypt(sealed, [ring.key(key.fingerprint)]).content == TEXT


def test_without_the_old_passphrase_nothing_is_changed(ring):
    locked = ring.generate("carol@example.org", passphrase="open sesame")
    for wrong in (None, "wrong"):
        with pytest.raises(smime.KeyProblem, match="missing or wrong"):
            ring.change_passphrase(ring.key(locked.fingerprint, passphrase=wrong), "another one")
    ring.change_passphrase(locked, "another one")


def test_a_key_lives_longer(ring, carol):
    signed = smime.sign(b"From: carol@example.org\r\n\r\nnoon\r\n", by=carol)
    time.sleep(1.1)  # what it says of itself now is younger than the signature
    short = ring.extend(carol, lifetime_days=10)
    assert short.expires - datetime.now(UTC) < timedelta(days=11)
    longer = ring.extend(short, lifetime_days=800)
    assert longer.expires - datetime.now(UTC) > timedelta(days=799)
    assert all(one.expires == longer.expires for one in longer.facts.keys)
    assert ring.extend(longer, lifetime_days=None).expires is None
    assert smime.verify(signed, trust=ring).signer
    with smime.PgpKeyring(ring.export(carol)) as elsewhere:
        assert smime.verify(signed, trust=elsewhere).signer
        assert elsewhere.find("carol@example.org").expires is None
    with pytest.raises(ValueError, match="revoke"):
        ring.extend(carol, lifetime_days=0)


def test_addresses_come_and_go(ring, carol):
    both = ring.add_address(carol, "carol@example.net", name="Carol at home")
    assert set(both.addresses) == {"carol@example.org", "carol@example.net"}
    assert ring.find("carol@example.net") == carol
    time.sleep(1.1)  # what is taken back in the second in which it was said, is taken back later
    left = ring.revoke_address(both, "carol@example.org")
    assert left.addresses == ("carol@example.net",)
    with pytest.raises(smime.KeyProblem, match="does not name"):
        ring.revoke_address(left, "dave@example.org")
    with pytest.raises(ValueError, match="no mail address"):
        ring.add_address(carol, "nobody")


def test_the_newest_subkey_is_written_to_and_the_old_one_opens(ring, carol):
    before = ring.engine.encrypt(TEXT, [carol.fingerprint]).message
    time.sleep(1.1)  # keys are dated to the second
    changed = ring.add_subkey(carol)
    newest = changed.facts.keys[-1]
    after = read_sealed(ring.engine.encrypt(TEXT, [carol.fingerprint]).message)

    assert after.recipients == (newest.key_id,)
    assert changed.facts.encrypts_at(datetime.now(UTC)) == newest
    for sealed in (read_sealed(before), after):
        assert ring.engine.decrypt(sealed, [changed]).content == TEXT


def test_a_revoked_subkey_is_not_written_to_and_opens(ring, carol):
    changed = ring.add_subkey(carol)
    newest = changed.facts.keys[-1]
    sealed = read_sealed(
        ring.gnupg.run(
            *("--no-armor", "--recipient", newest.fingerprint.upper() + "!"),
            *("--encrypt", "--output", "-"),
            data=TEXT,
        ).output
    )
    left = ring.revoke_subkey(changed, newest.fingerprint)

    assert left.facts.encrypts_at(datetime.now(UTC)) == left.facts.keys[1]
    assert ring.engine.decrypt(sealed, [left]).content == TEXT
    with pytest.raises(smime.KeyProblem, match="no subkey"):
        ring.revoke_subkey(left, carol.fingerprint)


def test_a_signing_subkey_signs_for_its_key(ring, carol):
    changed = ring.add_subkey(carol, use="sign", lifetime_days=None)
    signed = smime.sign(b"From: carol@example.org\r\n\r\nnoon\r\n", by=changed)

    opened = smime.verify(signed, trust=ring)
    assert opened.report.signatures[0].fingerprint == carol.fingerprint
    with pytest.raises(ValueError, match="a subkey is for"):
        ring.add_subkey(carol, use="authenticate")


@pytest.mark.parametrize(
    ("reason", "stays"),
    [("superseded", True), ("retired", True), ("stolen", False), ("none", False)],
)
def test_a_key_is_revoked_for_a_reason(ring, carol, reason, stays):
    signed = smime.sign(b"From: carol@example.org\r\n\r\nnoon\r\n", by=carol)
    public = ring.export(carol)
    time.sleep(1.1)  # what is revoked in the second in which it signed had not signed before
    certificate = ring.revoke(carol, reason=reason)

    assert (smime.examine(signed, trust=ring).signer is not None) is stays
    with pytest.raises(smime.KeyProblem, match="revoked"):
        smime.sign(b"From: carol@example.org\r\n\r\nnoon\r\n", by=ring.find("carol@example.org"))
    with smime.PgpKeyring(public, certificate) as elsewhere:
        assert elsewhere.find("carol@example.org").facts.primary.revoked_at(datetime.now(UTC))
        assert (smime.examine(signed, trust=elsewhere).signer is not None) is stays


def test_a_revocation_can_be_made_beforehand(ring, carol):
    certificate = ring.make_revocation(carol)

    carol.check_signs(datetime.now(UTC))
    ring.key(carol.fingerprint).check_signs(datetime.now(UTC))
    ring.add(certificate)
    with pytest.raises(smime.KeyProblem, match="revoked"):
        ring.key(carol.fingerprint).check_signs(datetime.now(UTC))
    with pytest.raises(ValueError, match="choose one of"):
        ring.revoke(carol, reason="boredom")


def test_the_keys_of_others_are_not_changed(ring, carol, gpg):
    with smime.PgpKeyring(ring.export(carol)) as other:
        theirs = other.find("carol@example.org")
        for change in (
            lambda: other.extend(theirs),
            lambda: other.add_address(theirs, "carol@example.net"),
            lambda: other.add_subkey(theirs),
            lambda: other.revoke(theirs),
            lambda: other.change_passphrase(theirs, "x"),
        ):
            with pytest.raises(smime.KeyProblem):
                change()
        assert other.find("carol@example.org").user_ids == carol.user_ids
