"""The shortest way says yes only where the full way does, and of exactly the same."""

from __future__ import annotations

import base64
import random
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

import pki
import smime
from smime import swift
from smime.cms import der
from tests.support.world import LETTER, World

PLAIN = smime.Policy.modern().replace(headers="none")
SENDER = "alice@example.org"


class Ways:
    """Counts how many mails were taken by the shortest way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.short = 0
        real = swift.vouched

        def counting(*given: Any) -> Any:
            found = real(*given)
            self.short += found is not None
            return found

        monkeypatch.setattr(swift, "vouched", counting)


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


def letter(number: int) -> bytes:
    return LETTER.replace(b"Subject: ", b"Subject: %d " % number)


def signed(world: World, number: int = 0, **how: Any) -> bytes:
    how.setdefault("policy", PLAIN)
    return bytes(smime.sign(letter(number), by=world.alice, **how))


def warm(world: World) -> smime.Anchors:
    """Return anchors that have met alice."""
    anchors = smime.Anchors(world.anchors.certificates)
    for number in range(40):  # of each length that an ECDSA signature has
        smime.verify(signed(world, number), trust=anchors)
    assert anchors.signers
    assert any(anchors.signers.values())
    return anchors


def fresh(world: World) -> smime.Anchors:
    return smime.Anchors(world.anchors.certificates)


def outcome(mail: bytes, trust: Any, **how: Any) -> object:
    try:
        opened = smime.verify(mail, trust=trust, **how)
    except smime.SmimeError as refused:
        return type(refused), str(refused)
    return opened.signer, opened.content, bytes(opened.mail), opened.report.to_dict()


@pytest.mark.parametrize("headers", ["none", "baseline"])
@pytest.mark.parametrize("sender", [None, "dave@example.org"])
def test_the_third_mail_goes_the_shortest_way(
    world: World, ways: Ways, headers: Any, sender: str | None
) -> None:
    anchors = fresh(world)
    at = datetime.now(UTC)
    for number in range(4):
        text = letter(number).replace(b"alice", b"dave")
        mail = bytes(smime.sign(text, by=world.rsa, policy=PLAIN.replace(headers=headers)))
        opened = smime.verify(mail, trust=anchors, at=at, sender=sender)
        assert ways.short == max(number - 1, 0)
        other = smime.verify(mail, trust=fresh(world), at=at, sender=sender)
        assert opened.signer == other.signer == "dave@example.org"
        assert opened == other
        assert opened.contacts == other.contacts
        assert not opened.encrypted


def test_what_differs_goes_the_full_way(world: World, ways: Ways) -> None:
    """Each of these is no yes, or no yes of the shortest way."""
    anchors = warm(world)
    before = ways.short
    mail = signed(world)
    long_ago = datetime.now(UTC) - timedelta(days=9999)
    stranger = pki.Authority.create("Strange CA").issue(SENDER)
    inside = signed(world, policy=smime.Policy.modern())
    assert inside.count(b"From: Alice") == 2
    inside_other = inside.replace(b"From: Alice", b"From: Alicia", 1)
    two_from = mail.replace(b"From: ", b"From: bob@example.org\r\nFrom: ", 1)
    cases: list[tuple[bytes, dict[str, Any]]] = [
        (mail, {"sender": "bob@example.org"}),
        (mail, {"at": long_ago}),
        (mail, {"policy": smime.Policy(revocation="require")}),
        (mail, {"evidence": smime.Evidence()}),
        (two_from, {}),
        (inside_other, {}),
        (bytes(smime.sign(LETTER, by=stranger, policy=PLAIN)), {}),
        (bytes(smime.sign(LETTER, by=world.alice, opaque=True, policy=PLAIN)), {}),
        (bytes(smime.sign(LETTER, by=[world.alice, stranger], policy=PLAIN)), {}),
        (bytes(smime.sign(signed(world), by=world.alice, policy=PLAIN)), {}),
        (LETTER, {}),
    ]
    for number, (one, how) in enumerate(cases):
        how.setdefault("at", datetime.now(UTC))
        assert outcome(one, anchors, **how) == outcome(one, fresh(world), **how), number
    assert ways.short == before
    assert smime.verify(mail, trust=anchors).signer == SENDER
    assert ways.short == before + 1


@pytest.mark.parametrize("headers", ["none", "baseline"])
def test_a_letter_changed_anywhere_is_judged_as_ever(
    world: World, ways: Ways, headers: Any
) -> None:
    """The control is the mail itself, which goes the shortest way."""
    anchors, at = warm(world), datetime.now(UTC)
    mail = signed(world, policy=PLAIN.replace(headers=headers))
    draw = random.Random(20)
    for _ in range(300):
        at_octet = draw.randrange(len(mail))
        other = bytes([draw.randrange(256)]) if draw.random() < 0.7 else b""
        changed = mail[:at_octet] + other + mail[at_octet + 1 :]
        assert outcome(changed, anchors, at=at) == outcome(changed, fresh(world), at=at)
    for end in range(0, len(mail), 97):
        cut = mail[:end]
        assert outcome(cut, anchors, at=at) == outcome(cut, fresh(world), at=at)
    before = ways.short
    assert smime.verify(mail, trust=anchors, at=at).signer == SENDER
    assert ways.short == before + 1


def test_dates_and_policy_are_asked_each_time(world: World) -> None:
    anchors, mail = warm(world), signed(world)
    expires = world.alice.certificate.not_valid_after_utc

    assert smime.verify(mail, trust=anchors, at=expires).signer == SENDER
    with pytest.raises(smime.SignatureRejected, match="expired"):
        smime.verify(mail, trust=anchors, at=expires + timedelta(seconds=1))
    with pytest.raises(smime.SignatureRejected):
        smime.verify(mail, trust=anchors, policy=smime.Policy(revocation="require"))
    assert smime.verify(mail, trust=anchors).signer == SENDER


def test_anchors_of_another_kind_are_asked_themselves(world: World, ways: Ways) -> None:
    class Refusing(smime.Anchors):
        def judge(self, claim: Any) -> Any:
            found = super().judge(claim)
            return smime.NoTrust().judge(claim) if self.off else found

    anchors = Refusing(world.anchors.certificates)
    anchors.off = False  # type: ignore[attr-defined]
    for number in range(3):
        assert smime.verify(signed(world, number), trust=anchors).signer == SENDER
    anchors.off = True  # type: ignore[attr-defined]
    with pytest.raises(smime.SignatureRejected):
        smime.verify(signed(world), trust=anchors)
    assert ways.short == 0


def test_signers_are_forgotten_when_they_are_many(
    world: World, monkeypatch: pytest.MonkeyPatch
) -> None:
    anchors = warm(world)
    monkeypatch.setattr(swift, "MAX_LENGTHS", 1)
    carol = world.ca.issue("carol-of-the-long-name@example.org")
    text = LETTER.replace(SENDER.encode(), b"carol-of-the-long-name@example.org")

    smime.verify(smime.sign(text, by=carol, policy=PLAIN), trust=anchors)

    assert anchors.signers is not None
    assert len(anchors.signers) == 1


def test_of_one_length_some_are_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    anchors = fresh(world)
    for number in range(40):
        smime.verify(signed(world, number), trust=anchors)

    assert anchors.signers is not None
    assert 0 < max(map(len, anchors.signers.values())) <= 1  # of one signer one is enough


def place_of(mail: bytes) -> tuple[int, int]:
    start = mail.index(b"\r\n\r\n", mail.index(b"application/pkcs7-signature; name")) + 4
    return start, mail.index(b"\r\n--", start)


def with_blob(mail: bytes, make: Any) -> bytes:
    """Return the mail with another signature structure, made of its own."""
    start, end = place_of(mail)
    return mail[:start] + base64.encodebytes(make(base64.b64decode(mail[start:end]))) + mail[end:]


def with_more(blob: bytes) -> bytes:
    """Put an OCTET STRING behind the signature value, the same once more."""

    def parts(data: bytes) -> list[bytes]:
        return [data[one[1] : one[3]] for one in der.children(data, der.top(data))]

    kind, inside = parts(blob)
    fields = parts(parts(inside)[0])
    (signer,) = parts(fields[-1])
    more = der.sequence(*parts(signer), parts(signer)[-1])
    data = der.sequence(*fields[:-1], der.set_of(more))
    return der.sequence(kind, der.tlv(0xA0, data))


def test_a_structure_changed_anywhere_is_judged_as_ever(world: World, ways: Ways) -> None:
    anchors, at = warm(world), datetime.now(UTC)
    mail = signed(world)
    start, end = place_of(mail)
    size = len(base64.b64decode(mail[start:end]))
    assert outcome(with_blob(mail, bytes), anchors, at=at)[0] == SENDER  # type: ignore[index]
    short = ways.short
    for place in range(0, size, 4):

        def flipped(blob: bytes, place: int = place) -> bytes:
            return blob[:place] + bytes([blob[place] ^ 1 << place % 8]) + blob[place + 1 :]

        changed = with_blob(mail, flipped)
        assert outcome(changed, anchors, at=at) == outcome(changed, fresh(world), at=at)
    assert short > 0


def test_what_stands_behind_a_signature_value_is_not_taken_for_one(
    world: World, ways: Ways
) -> None:
    """RSA, whose values have one length: the first is of another mail, the second is right."""
    anchors, at = fresh(world), datetime.now(UTC)

    def by_dave(number: int) -> bytes:
        text = letter(number).replace(b"alice", b"dave")
        return bytes(smime.sign(text, by=world.rsa, policy=PLAIN))

    for number in range(4):
        mail = with_blob(by_dave(number), with_more)
        assert outcome(mail, anchors, at=at) == outcome(mail, fresh(world), at=at)
    assert ways.short == 2  # it is the first value that counts, here as there

    def wrong_first(blob: bytes) -> bytes:
        more = bytearray(with_more(blob))
        more[-2 * 256 - 4] ^= 1
        return bytes(more)

    mail = with_blob(by_dave(9), wrong_first)
    assert outcome(mail, anchors, at=at) == outcome(mail, fresh(world), at=at)
    assert outcome(mail, anchors, at=at)[0] is smime.SignatureRejected  # type: ignore[index]
    assert ways.short == 2


def test_what_is_large_is_not_kept(world: World, monkeypatch: pytest.MonkeyPatch) -> None:
    for limit, kept in ((16 * 1024, True), (500, False)):
        monkeypatch.setattr(swift, "MAX_KEPT_OCTETS", limit)
        anchors = fresh(world)
        for number in range(3):
            smime.verify(signed(world, number), trust=anchors)
        assert bool(anchors.signers) is kept
