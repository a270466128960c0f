"""With trust= a mail is sealed only for certificates that are believed."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest

import pki
import smime
from tests.support.world import World

MAIL = b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: hi\r\n\r\nat noon\r\n"


@pytest.fixture(scope="module")
def strange() -> pki.Authority:
    return pki.Authority.create("Strange CA")


def ways(world: World, to: list[object], **how: object) -> list[smime.Mail]:
    """Seal by every verb."""
    return [
        smime.encrypt(MAIL, to=to, **how),  # type: ignore[arg-type]
        smime.protect(MAIL, by=world.alice, to=to, **how),  # type: ignore[arg-type]
        *smime.protect_each(MAIL, by=world.alice, to=to, **how),  # type: ignore[arg-type]
    ]


def test_readers_who_are_believed(world: World) -> None:
    for sealed in ways(world, [world.bob], trust=world.anchors):
        assert sealed.unverified == ()
        assert smime.decrypt(sealed, keys=world.bob, trust=world.anchors).encrypted


def test_without_trust_the_result_says_that_nobody_was_asked(world: World) -> None:
    sealed, protected, copy, _ = ways(world, [world.bob, world.carol])

    assert sealed.unverified == protected.unverified == ("bob@example.org", "carol@example.org")
    assert copy.unverified == ("bob@example.org",)
    assert smime.sign(MAIL, by=world.alice).unverified == ()


def test_a_reader_of_an_unknown_ca(world: World, strange: pki.Authority) -> None:
    bob = strange.issue("bob@example.org")

    assert ways(world, [bob])  # the control: it is fit, and nobody is asked
    for call in (
        lambda: smime.encrypt(MAIL, to=[world.carol, bob], trust=world.anchors),
        lambda: smime.protect(MAIL, by=world.alice, to=bob, trust=world.anchors),
        lambda: list(smime.protect_each(MAIL, by=world.alice, to=[bob], trust=world.anchors)),
        lambda: smime.encrypt(MAIL, to=bob, trust=smime.NoTrust()),
    ):
        with pytest.raises(smime.KeyProblem, match="is not to be believed") as no:
            call()
        assert no.value.missing == ("bob@example.org",)
    both = [world.anchors, strange.anchors]
    assert smime.encrypt(MAIL, to=bob, trust=both).unverified == ()


def test_of_two_certificates_the_one_that_is_believed_is_taken(
    world: World, strange: pki.Authority
) -> None:
    """Somebody plants a newer certificate for Bob's address."""
    planted = strange.issue("bob@example.org", at=datetime.now(UTC) + timedelta(minutes=1))
    later = {"policy": smime.Policy.modern(), "at": datetime.now(UTC) + timedelta(minutes=2)}

    believed = smime.protect(
        MAIL, by=world.alice, to=[planted, world.bob], trust=world.anchors, **later
    )
    newest = smime.protect(MAIL, by=world.alice, to=[planted, world.bob], **later)

    for mail, reads in ((believed, True), (newest, False)):
        report = smime.examine(mail, keys=world.bob, trust=world.anchors)
        assert (report.outcome is not smime.Outcome.SEALED) is reads


def test_a_revoked_reader(world: World) -> None:
    evidence = smime.Evidence(crls=[world.ca.crl(world.bob.certificate)])

    for trust, given in ((world.anchors, evidence), (world.anchors, None)):
        if given is None:
            assert ways(world, [world.bob], trust=trust)
            continue
        with pytest.raises(smime.KeyProblem, match="revoked"):
            smime.encrypt(MAIL, to=world.bob, trust=trust, evidence=given)
    assert smime.encrypt(MAIL, to=world.carol, trust=world.anchors, evidence=evidence)


def test_revocation_that_is_demanded(world: World) -> None:
    policy = smime.Policy.modern().replace(revocation="require")
    clean = smime.Evidence(crls=[world.ca.crl()])

    with pytest.raises(smime.KeyProblem, match=r"bob@example\.org"):
        smime.encrypt(MAIL, to=world.bob, trust=world.anchors, policy=policy)
    assert (
        smime.encrypt(
            MAIL, to=world.bob, trust=world.anchors, policy=policy, evidence=clean
        ).unverified
        == ()
    )


def test_a_certificate_that_only_signs(world: World) -> None:
    signing = world.ca.issue("bob@example.org", profile="signing")

    with pytest.raises(smime.KeyProblem):
        smime.encrypt(MAIL, to=signing, trust=world.anchors)


def test_a_pinned_reader(world: World) -> None:
    pinned = smime.Pinned(world.bob.certificate)

    assert smime.encrypt(MAIL, to=world.bob, trust=pinned).unverified == ()
    with pytest.raises(smime.KeyProblem, match=r"carol@example\.org"):
        smime.encrypt(MAIL, to=world.carol, trust=pinned)


def test_nobody_is_asked_about_the_sender(world: World, strange: pki.Authority) -> None:
    """It is trust in the readers; the sender knows his own certificate."""
    alice = strange.issue("alice@example.org")

    sealed = smime.protect(MAIL, by=alice, to=world.bob, trust=world.anchors)

    for reader in (alice, world.bob):
        assert smime.decrypt(sealed, keys=reader, trust=strange.anchors).signer


def test_mistakes(world: World) -> None:
    with pytest.raises(TypeError, match="evidence= is for trust="):
        smime.encrypt(MAIL, to=world.bob, evidence=smime.Evidence())
