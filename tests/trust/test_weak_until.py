"""Weak algorithms with a last day: believed of moments before it, and of no others."""

from __future__ import annotations

import pickle
from datetime import timedelta
from typing import Any

import pytest
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import rsa

import smime
from smime import cms
from tests.cms import forge
from tests.cms.signers import AT as SIGNED_AT
from tests.cms.signers import certificate_of
from tests.cms.signers import root as signers_root
from tests.trust.ca import AT, claim, codes, root, signed_weakly, user

DAY = timedelta(days=1)
UNTIL = AT + DAY
LEGACY = smime.Policy.legacy_read()
DATED = LEGACY.replace(weak_until=UNTIL)
RSA_TOP = root("RSA CA", key=rsa.generate_private_key(65537, 2048), digest=hashes.SHA256())


def of_rsa(bits: int) -> Any:
    return user(RSA_TOP, key=rsa.generate_private_key(65537, bits), digest=hashes.SHA256())


SMALL = of_rsa(1024)
WEAK = {
    "key-too-small": SMALL,
    "weak-algorithm": signed_weakly(of_rsa(2048), RSA_TOP, hashes.SHA1()),
}


@pytest.mark.parametrize("code", WEAK)
def test_chains(code: str) -> None:
    anchors = smime.Anchors([RSA_TOP.certificate])
    leaf = WEAK[code]

    for at, good in ((AT, True), (UNTIL - DAY / 24, True), (UNTIL, False), (UNTIL + DAY, False)):
        judgement = anchors.judge(claim(leaf, at=at, policy=DATED))
        assert codes(judgement) == ({} if good else {"usage": code})
        assert anchors.judge(claim(leaf, at=at, policy=LEGACY)).good
        assert not anchors.judge(claim(leaf, at=at)).good


def verified(blob: bytes, **given: Any) -> smime.SignatureCheck:
    trust = smime.Anchors([signers_root()])
    try:
        (check,) = cms.verify(blob, trust=trust, **given).signatures
    except smime.SignatureRejected as refused:
        (check,) = refused.report.signatures
    return check


SHA1 = forge.signed_by("rsa", name="sha1")
BARE = forge.signed_by("rsa", attributes=[])


@pytest.mark.parametrize("blob", [SHA1, BARE], ids=["SHA-1", "no attributes"])
def test_signatures(blob: bytes) -> None:
    """The digest and the form of the signature itself, too."""
    until = SIGNED_AT + DAY
    dated = LEGACY.replace(weak_until=until)
    last = certificate_of("rsa").not_valid_after_utc

    assert verified(blob, at=SIGNED_AT, policy=dated).good
    assert not verified(blob, at=SIGNED_AT).good
    late = min(until + DAY, last)
    assert late >= until
    assert not verified(blob, at=late, policy=dated).good
    assert verified(blob, at=late, policy=LEGACY).good
    assert not verified(blob, at=late, received_at=until, policy=dated).good
    assert verified(blob, at=late, received_at=SIGNED_AT, policy=dated).good


def test_who_trusts_otherwise_is_told_the_policy_of_the_moment() -> None:
    asked = []

    class Mine:
        def judge(self, claim: smime.Claim) -> smime.Judgement:
            asked.append(claim.policy)
            return smime.NoTrust().judge(claim)

    until = SIGNED_AT + DAY
    blob = forge.signed_by("rsa")
    for at in (SIGNED_AT, until):
        with pytest.raises(smime.SignatureRejected):
            cms.verify(
                blob,
                trust=Mine(),
                at=at,
                policy=LEGACY.replace(weak_until=until),
            )

    assert ["sha1" in one.weak for one in asked] == [True, False]
    assert asked[1].rsa_bits_min == 2048


def test_what_is_read_though_it_is_weak_has_no_last_day_for_opening() -> None:
    """Ciphers hide; they do not vouch."""
    assert "3des-cbc" in DATED.as_of(UNTIL).weak


def test_it_is_a_value_as_the_others() -> None:
    assert pickle.loads(pickle.dumps(DATED)) == DATED != LEGACY
    assert "weak_until" in repr(DATED)
    with pytest.raises(ValueError, match="weak_until"):
        LEGACY.replace(weak_until=UNTIL.replace(tzinfo=None))
