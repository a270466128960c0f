"""Signatures of the vectors, judged by pins that have met them, as by pins that have not.

The project's own, and those of other projects where they are kept beside this checkout.
"""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime
from typing import Any

import pytest
from cryptography import x509

import smime
from smime import cms
from smime.cms import met, signatures
from smime.formats.smime import recognise
from smime.mime.entity import split_entity
from tests.vectors.foreign import load_manifest, mail_of
from tests.vectors.test_own import VECTORS

POLICIES = (smime.Policy.modern(), smime.Policy.legacy_read())
# Old certificates are read on purpose; the library that reads them warns of it.
pytestmark = pytest.mark.filterwarnings(
    "ignore::cryptography.utils.CryptographyDeprecationWarning"
)

Case = tuple[bytes, bytes | None, datetime]


def case_of(mail: bytes, at: datetime) -> Case | None:
    """Return the signature that a mail carries, and what stands beside it."""
    try:
        found = recognise(split_entity(mail))
    except smime.SmimeError:
        return None
    if found is None or found.problem is not None or not found.blob:
        return None
    return found.blob, found.content, at


def own() -> Iterator[Case]:
    for vector in VECTORS:
        case = case_of(vector.mail, vector.at)
        if case is not None:
            yield case


def foreign() -> Iterator[Case]:
    for entry in load_manifest("smime"):
        if entry.kind in ("signed-detached", "signed-opaque", "nested"):
            case = case_of(mail_of(entry), entry.at)
            if case is not None:
                yield case


def carried(blob: bytes) -> list[x509.Certificate]:
    try:
        return list(signatures.read(blob).certificates())
    except smime.SmimeError:
        return []


def outcome(case: Case, trust: smime.Pinned, policy: smime.Policy) -> object:
    blob, content, at = case
    try:
        return cms.verify(blob, content=content, trust=trust, policy=policy, at=at)
    except smime.SmimeError as refused:
        report = getattr(refused, "report", None)
        return type(refused), str(refused), report.to_dict() if report is not None else None


@pytest.mark.parametrize("where", [own, foreign])
def test_whoever_was_met_before_is_judged_as_ever(where: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """One pin for each certificate, for all that names it: bad ones between good ones."""
    cases = list(where())
    if not cases:
        pytest.skip("platform: other projects' vectors are not kept beside this checkout")
    short = 0
    real = met.Met.opened

    def counting(*given: Any, **how: Any) -> Any:
        nonlocal short
        found = real(*given, **how)
        short += found is not None
        return found

    monkeypatch.setattr(met.Met, "opened", counting)
    pins: dict[x509.Certificate, smime.Pinned] = {}
    good = 0
    for _ in range(3):
        for case in cases:
            for certificate in carried(case[0]):
                for policy in POLICIES:
                    pin = pins.setdefault(
                        certificate, smime.Pinned(certificate, ignore_dates=case[2] < datetime(2020, 1, 1, tzinfo=UTC))
                    )
                    fresh = smime.Pinned(certificate, ignore_dates=pin.ignore_dates)
                    found = outcome(case, pin, policy)
                    assert found == outcome(case, fresh, policy)
                    good += isinstance(found, cms.Opened)
    print(f"{where.__name__}: {len(cases)} cases, {len(pins)} pins, {good} good, {short} the shortest way")
    assert 0 < short < good
