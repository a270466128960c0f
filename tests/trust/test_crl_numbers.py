"""CRL numbers only rise: one that went back is told, and moves no verdict."""

from __future__ import annotations

from datetime import datetime

import pytest
from cryptography import x509

from smime.trust import Evidence
from tests.trust.ca import AT, claim, new_key
from tests.trust.test_revocation import ALICE, ANCHORS, DAY, MIDDLE, TOP, judge


def numbered(number: int, begin: datetime, **given: object) -> bytes:
    return MIDDLE.crl(number=number, begin=begin, **given)


@pytest.mark.parametrize(
    ("lists", "said"),
    [
        ([(7, AT - 2 * DAY), (8, AT - DAY)], False),
        ([(7, AT - 2 * DAY), (7, AT - DAY)], False),
        ([(8, AT - 2 * DAY), (7, AT - DAY)], True),
        ([(7, AT - DAY), (8, AT - 2 * DAY)], True),
        ([(9, AT - 3 * DAY), (8, AT - DAY), (9, AT - 2 * DAY)], True),
    ],
)
def test_a_crl_number_that_went_back_is_told(lists: list[tuple[int, datetime]], said: bool) -> None:
    """It moves no verdict: what either list revokes is revoked."""
    crls = [numbered(*one) for one in lists]

    judgement = judge(*crls)

    assert judgement.good
    assert [note.code for note in judgement.notes] == ["crl-number-back"] * said
    if said:
        assert "Chess Club Mail CA went back from" in judgement.notes[0].text
    evidence = Evidence(crls=[*crls, MIDDLE.crl(ALICE)])
    assert not ANCHORS.judge(claim(ALICE, MIDDLE, evidence=evidence)).good


def test_numbers_are_remembered_by_the_evidence() -> None:
    """A list that comes with a later mail is held against those met before."""
    evidence = Evidence(crls=[TOP.crl()])
    first, back = numbered(9, AT - 2 * DAY), numbered(8, AT - DAY)

    for sent, said in ((first, False), (back, True), (first, True)):
        judgement = ANCHORS.judge(claim(ALICE, MIDDLE, crls=(sent,), evidence=evidence))
        assert bool(judgement.notes) is said
    fresh = ANCHORS.judge(claim(ALICE, MIDDLE, crls=(back,), evidence=Evidence(crls=[TOP.crl()])))
    assert not fresh.notes


def test_numbers_of_forged_lists_are_not_remembered() -> None:
    evidence = Evidence(crls=[TOP.crl()])
    forged = numbered(99, AT - 2 * DAY, key=new_key())

    ANCHORS.judge(claim(ALICE, MIDDLE, crls=(forged,), evidence=evidence))

    honest = numbered(8, AT - DAY)
    assert not ANCHORS.judge(claim(ALICE, MIDDLE, crls=(honest,), evidence=evidence)).notes


def test_other_scopes_and_deltas_count_for_themselves() -> None:
    users = x509.IssuingDistributionPoint(None, None, True, False, None, False, False)
    partial = numbered(3, AT - DAY, extensions=((users, True),))
    whole = numbered(9, AT - 2 * DAY)

    assert not judge(whole, partial).notes
    assert not judge(whole, TOP.crl(number=1)).notes
