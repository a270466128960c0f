"""What is kept between calls is true whatever the day: nothing that was good stays good for it."""

from __future__ import annotations

import random
from datetime import timedelta
from typing import Any

import pytest

import smime
from tests.trust.ca import AT, Entity, new_key, root, sub_ca, user

DAY = timedelta(days=1)
TOP, OTHER = root(), root("Other CA")
MIDDLE = sub_ca(TOP, end=AT + 300 * DAY)
ALICE = user(MIDDLE, end=AT + 200 * DAY)
LETTER = (
    b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: chess\r\n"
    b"Date: Sat, 01 Jun 2030 00:00:00 +0000\r\n\r\nat noon\r\n"
)
MAIL = smime.sign(
    LETTER, by=smime.Identity(ALICE.key, ALICE.certificate, [MIDDLE.certificate]), at=AT
)
REQUIRE = smime.Policy.modern().replace(revocation="require")


def evidence(*revoked: Entity, top: tuple[Entity, ...] = ()) -> smime.Evidence:
    return smime.Evidence(crls=[TOP.crl(*top), MIDDLE.crl(*revoked)])


# What changes, and what is said then; each in one process, with the same warm objects.
CHANGES: dict[str, tuple[dict[str, Any], str]] = {
    "a CRL that revokes her": ({"evidence": evidence(ALICE)}, "revoked"),
    "a CRL that revokes her CA": ({"evidence": evidence(top=(MIDDLE,))}, "revoked"),
    "other anchors": ({"trust": smime.Anchors([OTHER.certificate])}, "no-anchor"),
    "nobody": ({"trust": smime.NoTrust()}, "no-trust"),
    "another pinned key": (
        {"trust": smime.Pinned(MIDDLE.certificate, sender="alice@example.org")},
        "pinned-differs",
    ),
    "status demanded": ({"policy": REQUIRE}, "revocation-unknown"),
    "certificate policies demanded": (
        {"policy": smime.Policy.modern().replace(certificate_policies=("1.2.3",))},
        "path-invalid",
    ),
    "past her expiry": ({"at": AT + 201 * DAY}, "expired"),
    "past her CA's expiry": ({"at": AT + 301 * DAY}, "expired"),
    "before her time": ({"at": AT - 2000 * DAY}, "not-yet-valid"),
    "another sender": ({"sender": "bob@example.org"}, "address-differs"),
}
WARM = smime.Anchors([TOP.certificate])
AT_HAND = evidence()


def refusal(mail: smime.Mail | bytes, **given: Any) -> set[str]:
    asked = {"trust": WARM, "at": AT, "evidence": AT_HAND, **given}
    if "policy" in given:
        asked["evidence"] = None  # demanded, and not at hand
    with pytest.raises(smime.SignatureRejected) as refused:
        smime.verify(mail, **asked)
    (check,) = refused.value.report.signatures
    return {finding.code for finding in check.problems}


def good() -> bool:
    opened = smime.verify(MAIL, trust=WARM, at=AT, evidence=AT_HAND, policy=REQUIRE)
    return opened.signer == "alice@example.org"


@pytest.mark.parametrize("name", CHANGES)
def test_good_and_then_refused(name: str) -> None:
    given, code = CHANGES[name]
    assert good()

    for _ in range(3):
        assert code in refusal(MAIL, **given)
        assert good()


def test_in_any_order() -> None:
    dice = random.Random(4)
    for _ in range(5):
        names = list(CHANGES)
        dice.shuffle(names)
        assert good()
        for name in names:
            given, code = CHANGES[name]
            assert code in refusal(MAIL, **given), name
        assert good()


def test_a_twin_of_a_warm_ca() -> None:
    """The same names and serial numbers, another key: nothing that is kept speaks for it."""
    twin = sub_ca(
        OTHER,
        key=new_key(),
        serial=MIDDLE.certificate.serial_number,
        issuer_name=TOP.name,
    )
    mallory = user(twin, serial=ALICE.certificate.serial_number, end=AT + 200 * DAY)
    by = smime.Identity(mallory.key, mallory.certificate, [twin.certificate, MIDDLE.certificate])
    forged = smime.sign(LETTER, by=by, at=AT)
    assert good()

    assert "no-anchor" in refusal(forged)
    assert good()
