"""What a pin keeps of signatures that it met: bounded, once each, shared by threads."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

import smime
from smime import cms
from smime.cms import der, met
from tests.cms.signers import AT
from tests.cms.test_met import ADDRESS, outcome, pinned, signed, warm


def test_forms_are_forgotten_when_they_are_many(monkeypatch: pytest.MonkeyPatch) -> None:
    trust = pinned("rsa")
    assert trust.met is not None

    def meet(number: int) -> None:
        more = [cms.attribute("1.2.3", der.octet_string(bytes(number)))]
        for _ in range(2):
            blob, beside = signed("rsa", signed_attributes=more)
            cms.verify(blob, content=beside, trust=trust, at=AT)

    for number in range(met.MAX_ALIKE + 3):
        meet(number)
        assert len(trust.met) == min(number + 1, met.MAX_ALIKE)
    for number in range(met.MAX_SEEN + 2):
        more = [cms.attribute("1.2.4", der.octet_string(bytes(number)))]
        blob, beside = signed("rsa", signed_attributes=more)
        cms.verify(blob, content=beside, trust=trust, at=AT)
        assert len(trust.met._seen) <= met.MAX_SEEN
    monkeypatch.setattr(met, "MAX_KEPT_OCTETS", 500)
    small = pinned("rsa")
    for _ in range(3):
        blob, beside = signed("rsa")
        cms.verify(blob, content=beside, trust=small, at=AT)
    assert small.met is not None
    assert len(small.met) == 0


def test_of_one_form_one_is_enough() -> None:
    trust = warm("rsa")
    assert trust.met is not None
    assert len(trust.met) == 1
    blob, beside = signed("rsa")
    by_the_full_way: dict[str, Any] = {
        "policy": smime.Policy(local_part="any-case"),
        "sender": ADDRESS.replace("rsa", "RSA"),
    }
    for _ in range(4):
        cms.verify(blob, content=beside, trust=trust, at=AT, **by_the_full_way)
    assert len(trust.met) == 1


def test_threads_share_a_pin() -> None:
    trust = pinned("p256")
    mails = [signed("p256", number) for number in range(40)]

    def work(turn: int) -> list[object]:
        found = []
        for number in range(len(mails)):
            blob, beside = mails[(number * 7 + turn) % len(mails)]
            opened = outcome(blob, beside, trust)
            assert isinstance(opened, cms.Opened)
            assert opened.content == beside
            assert opened.signatures[0].good
            found.append(outcome(blob, (beside or b"") + b"!", trust))
        return found

    with ThreadPoolExecutor(8) as pool:
        for found in pool.map(work, range(8)):
            assert all(one[0] is smime.SignatureRejected for one in found)  # type: ignore[index]  # a refusal is a pair


def test_threads_ask_one_result() -> None:
    trust = warm("rsa")
    blob, beside = signed("rsa")
    opened = cms.verify(blob, content=beside, trust=trust, at=AT)
    with ThreadPoolExecutor(8) as pool:
        assert len(set(pool.map(lambda _: opened.signatures, range(32)))) == 1
