"""The certificates that messages carry alike are read once, and mean the same each time."""

from __future__ import annotations

import smime
from smime import cms
from smime.cms import signatures, signerinfo
from tests.cms.people import person


def test_the_same_field_is_read_once_and_others_are_told_apart() -> None:
    one, other = (
        signatures.read(cms.sign(b"x", by=smime.Identity(*person(name))))
        for name in ("rsa", "p256")
    )
    again = signatures.read(cms.sign(b"y", by=smime.Identity(*person("rsa"))))

    assert one.carried is again.carried
    assert one.carried is not other.carried
    assert one.certificates_der != other.certificates_der
    # Whoever is named by one message is found among its own certificates only.
    identifier = one.signers[0].identifier
    assert one.carried.named(identifier) == one.certificates_der
    assert other.carried.named(identifier) == ()
    assert other.carried.named(identifier) == ()


def test_fields_are_forgotten_when_they_are_many(monkeypatch) -> None:
    monkeypatch.setattr(signerinfo, "MAX_KNOWN_FIELDS", 1)
    monkeypatch.setattr(signerinfo, "_known_fields", {})
    for name in ("rsa", "p256", "rsa"):
        found = signatures.read(cms.sign(b"x", by=smime.Identity(*person(name))))
        assert found.certificates()[0] == person(name)[1]
        assert len(signerinfo._known_fields) == 1
