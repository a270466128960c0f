"""Sealed mail that is opened the straight way is opened to what the full way finds."""

from __future__ import annotations

import random
from collections.abc import Callable
from datetime import UTC, datetime
from typing import Any

import pytest

import smime
from smime import cms
from smime.cms import OpeningKey, straight
from smime.cms.der import children, head, sequence, set_of, tlv, top
from smime.formats.smime import recognise, wrap_sealed
from smime.mime.entity import split_entity
from tests.support.world import LETTER, World
from tests.vectors.test_own import POLICIES, VECTORS, anchors, bobs

CBC = smime.Policy.modern().replace(cipher="aes-256-cbc", content_key="plain")
GCM = CBC.replace(cipher="aes-256-gcm")
TRUST = smime.NoTrust()


class Ways:
    """Counts what was opened the straight way, and can close that way."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.straight = 0
        self.closed = False
        real = straight.opened

        def counting(*given: Any) -> Any:
            found = None if self.closed else real(*given)
            self.straight += found is not None
            return found

        monkeypatch.setattr(straight, "opened", counting)

    def both(self, mail: bytes, keys: Any, **how: Any) -> tuple[object, object]:
        """Return what comes of a mail by either way."""
        how.setdefault("at", datetime.now(UTC))
        found = outcome(mail, keys, **how)
        self.closed = True
        try:
            return found, outcome(mail, keys, **how)
        finally:
            self.closed = False


@pytest.fixture
def ways(monkeypatch: pytest.MonkeyPatch) -> Ways:
    return Ways(monkeypatch)


def outcome(mail: bytes, keys: Any, **how: Any) -> tuple[object, ...]:
    """Return all that the verbs make of a mail."""
    how.setdefault("trust", TRUST)
    found: list[object] = []
    for verb in (smime.decrypt, smime.open):
        try:
            opened = verb(mail, keys=keys, **how)
        except smime.SmimeError as refused:
            found.append((type(refused), str(refused)))
        else:
            known = opened.signer, opened.encrypted, opened.contacts, opened.safe_to_render
            said = opened.report.to_dict()
            found.append((opened.content, bytes(opened.mail), known, said))
    found.append(smime.examine(mail, keys=keys, **how).to_dict())
    return tuple(found)


def sealed(world: World, to: Any, policy: smime.Policy = CBC, letter: bytes = LETTER) -> bytes:
    return bytes(smime.encrypt(letter, to=to, policy=policy))


def blob_of(mail: bytes) -> bytes:
    found = recognise(split_entity(mail))
    assert found is not None
    return found.blob


def with_blob(mail: bytes, blob: bytes) -> bytes:
    """Return the mail with another structure in it."""
    start = mail[: mail.index(b"MIME-Version")]
    return wrap_sealed(blob, "envelopedData", start)


def parts(data: bytes) -> list[bytes]:
    return [data[one[1] : one[3]] for one in children(data, top(data))]


@pytest.mark.parametrize(
    "policy", [CBC, GCM, CBC.replace(cipher="aes-128-cbc"), GCM.replace(headers="none")]
)
@pytest.mark.parametrize(
    "readers", [["bob"], ["rsa"], ["carol", "rsa"], ["rsa", "bob"], ["bob", "carol", "rsa"]]
)
def test_ordinary_mail_goes_the_straight_way(
    world: World, ways: Ways, policy: smime.Policy, readers: list[str]
) -> None:
    people = [getattr(world, name) for name in readers]
    mail = sealed(world, people, policy)
    # Readers on one curve stand in one recipient: that is read element by element.
    straight_for = [
        one
        for one in people
        if one is world.rsa or readers.count("bob") + readers.count("carol") == 1
    ]

    for reader in people:
        before = ways.straight
        first, second = ways.both(mail, reader)
        assert first == second
        content = first[0][0]  # type: ignore[index]  # it is a tuple, or the test fails
        assert b"we meet at noon" in content
        assert ways.straight - before == (3 if reader in straight_for else 0)
    assert cms.decrypt(blob_of(mail), keys=people[0]) == content
    with pytest.raises(smime.DecryptionFailed, match="not sealed for any"):
        smime.decrypt(mail, keys=world.alice, trust=TRUST)


def test_several_keys(world: World, ways: Ways) -> None:
    mail = sealed(world, [world.rsa, world.bob])
    bare = world.bob.opening_keys[0]._private
    shared = cms.SharedKey(bytes(16), b"july")
    for keys in (
        [world.alice, world.bob],
        [world.bob, world.rsa],
        [world.rsa, world.bob, world.carol],
        [shared, world.rsa],
        [bare, world.rsa],
        [bare],
        [world.alice] * 20 + [world.bob],
    ):
        first, second = ways.both(mail, keys)
        assert first == second
        assert isinstance(first[0], tuple)
        assert isinstance(first[0][0], bytes)
    assert ways.straight


@pytest.mark.parametrize("name", ["bob", "rsa"])
@pytest.mark.parametrize("policy", [CBC, GCM])
def test_a_structure_changed_anywhere_comes_to_the_same(
    world: World, ways: Ways, policy: smime.Policy, name: str
) -> None:
    reader = getattr(world, name)
    mail = sealed(world, [reader, world.carol] if name == "rsa" else reader, policy)
    blob = blob_of(mail)
    draw = random.Random(3)
    behind = blob.index(bytes.fromhex("06092a864886f70d010701"))
    places = [*range(behind + 60), *draw.sample(range(behind, len(blob)), 20), len(blob) - 1]
    straight_ones = 0
    for place in places:
        changed = bytearray(blob)
        changed[place] ^= 1 << draw.randrange(8)
        before = ways.straight
        first, second = ways.both(with_blob(mail, bytes(changed)), reader)
        assert first == second, place
        straight_ones += ways.straight - before
    assert 0 < straight_ones < 3 * len(places)
    for end in [*range(0, behind, 5), *range(len(blob) - 40, len(blob))]:
        first, second = ways.both(with_blob(mail, blob[:end]), reader)
        assert first == second, end


def other_forms(blob: bytes) -> dict[str, bytes]:
    """Return the same message in forms that senders use, and in some that nobody should."""
    kind, explicit = parts(blob)
    (enveloped,) = parts(explicit)
    version, recipients, content = parts(enveloped)
    (reader,) = parts(recipients)
    described, cipher, string = parts(content)

    def around(*fields: bytes) -> bytes:
        return sequence(kind, tlv(0xA0, sequence(*fields)))

    octets = string[top(string)[2] :]
    in_pieces = tlv(
        0xA0, b"".join(tlv(4, octets[at : at + 100]) for at in range(0, len(octets), 100))
    )
    return {
        "indefinite": b"\x30\x80" + kind + b"\xa0\x80" + enveloped + bytes(4),
        "originator": around(version, tlv(0xA0, b""), recipients, content),
        "unprotected attributes": around(version, recipients, content, tlv(0xA1, b"")),
        "behind it": blob + b"\r\n",
        "twice": around(version, set_of(reader, reader), content),
        "nobody": around(version, set_of(), content),
        "another kind": around(version, tlv(0x31, tlv(0xA4, b"") + reader), content),
        "unreadable": around(version, tlv(0x31, reader + tlv(0x30, b"\x02\x01\x00")), content),
        "in pieces": around(version, recipients, sequence(described, cipher, in_pieces)),
        "no content": around(version, recipients, sequence(described, cipher, tlv(0x80, b""))),
        "no block": around(version, recipients, sequence(described, cipher, tlv(0x80, octets[1:]))),
        "signed data": around(version, recipients, sequence(tlv(6, cms_oid(2)), cipher, string)),
        "authenticated": sequence(tlv(6, bytes.fromhex("2a864886f70d0109100117")), explicit),
        "long form": b"\x30\x84"
        + (len(blob) - top(blob)[2]).to_bytes(4, "big")
        + blob[top(blob)[2] :],
        "longer form": b"\x30\x85"
        + (len(blob) - top(blob)[2]).to_bytes(5, "big")
        + blob[top(blob)[2] :],
        "five readers": around(version, set_of(*[reader] * 5), content),
        "short": around(version, recipients, content[:-1]),
        "length over the end": head(0x30, len(blob)) + blob[4:],
    }


def cms_oid(last: int) -> bytes:
    return bytes.fromhex("2a864886f70d0107") + bytes([last])


@pytest.mark.parametrize("name", ["bob", "rsa"])
def test_other_forms_come_to_the_same(world: World, ways: Ways, name: str) -> None:
    reader = getattr(world, name)
    mail = sealed(world, reader)
    seen = set()
    for form, blob in other_forms(blob_of(mail)).items():
        first, second = ways.both(with_blob(mail, blob), reader)
        assert first == second, form
        if isinstance(first[0][0], bytes):  # type: ignore[index]  # it is a tuple, or the test fails
            seen.add(form)
    assert {"indefinite", "originator", "behind it", "twice", "in pieces", "long form"} <= seen
    assert not {"no content", "short", "nobody", "authenticated", "no block"} & seen


INSIDE: dict[str, Callable[[World], bytes]] = {
    "a signed mail": lambda world: bytes(smime.sign(LETTER, by=world.alice)),
    "an opaque one": lambda world: bytes(smime.sign(LETTER, by=world.alice, opaque=True)),
    "a sealed one": lambda world: sealed(world, world.bob),
    "a forwarded one": lambda world: b"Content-Type: message/rfc822\r\n\r\n" + LETTER,
    "a list of certificates": lambda world: b"Content-Type: application/pkcs7-mime\r\n\r\nAAAA",
    "nothing": lambda world: b"",
    "no header": lambda world: b"\r\nwords\r\n",
    "many fields": lambda world: b"X: y\r\n" * 10_001 + b"\r\nwords\r\n",
    "many, but not too many": lambda world: b"X: y\r\n" * 3000 + b"\r\nwords\r\n",
    "a long field": lambda world: b"X: " + b"y" * (1 << 21) + b"\r\n\r\nwords\r\n",
    "a broken multipart": lambda world: b"Content-Type: multipart/signed\r\n\r\nwords\r\n",
    "inline": lambda world: b"\r\n-----BEGIN PGP MESSAGE-----\r\n\r\nAAAA\r\n",
    "protected the old way": lambda world: (
        b'Content-Type: text/plain; protected-headers="v1"\r\nSubject: inside\r\n\r\nwords\r\n'
    ),
}


@pytest.mark.parametrize("policy", [CBC, GCM])
@pytest.mark.parametrize("inside", sorted(INSIDE))
def test_whatever_is_inside_is_said_alike(
    world: World, ways: Ways, inside: str, policy: smime.Policy
) -> None:
    content = INSIDE[inside](world)
    for reader in (world.bob, world.rsa):
        blob = cms.encrypt(content, to=reader, policy=policy)
        mail = wrap_sealed(blob, "envelopedData", b"From: alice@example.org\r\nSubject: x\r\n")
        for trust in (TRUST, world.anchors):
            first, second = ways.both(mail, [reader], trust=trust)
            assert first == second
    assert ways.straight


class Counting:
    """A private key that counts how often it was used."""

    def __init__(self, key: Any) -> None:
        self.key, self.used = key, 0

    def decrypt(self, *given: Any) -> bytes:
        self.used += 1
        found: bytes = self.key.decrypt(*given)
        return found


@pytest.mark.parametrize("damaged", [False, True])
def test_the_key_is_used_once(world: World, ways: Ways, damaged: bool, monkeypatch: Any) -> None:
    """Whatever is asked for afterwards."""
    mail = sealed(world, world.rsa)
    if damaged:
        mail = with_blob(mail, blob_of(mail)[:-1] + b"\xff")
    (key,) = world.rsa.opening_keys
    assert isinstance(key, OpeningKey)
    counting = Counting(key._private)
    monkeypatch.setattr(key, "_private", counting)

    if damaged:
        with pytest.raises(smime.DecryptionFailed, match="could not be opened"):
            smime.decrypt(mail, keys=world.rsa, trust=TRUST)
    else:
        opened = smime.decrypt(mail, keys=world.rsa, trust=TRUST)
        assert opened.report.encrypted
        assert b"we meet at noon" in bytes(opened.mail)
    assert ways.straight == counting.used == 1


def test_trust_and_times_are_looked_at_at_once(world: World) -> None:
    mail = sealed(world, world.bob)
    with pytest.raises(TypeError, match="trust="):
        smime.decrypt(mail, keys=world.bob, trust=object())  # type: ignore[arg-type]  # wrong on purpose
    with pytest.raises(TypeError):
        smime.decrypt(mail, keys=world.bob, trust=TRUST, at="now")  # type: ignore[arg-type]  # wrong on purpose
    assert smime.decrypt(mail, keys=world.bob, trust=TRUST).encrypted


def test_every_vector_comes_to_the_same(ways: Ways) -> None:
    readers = bobs()
    tried = 0
    for vector in VECTORS:
        if b"pkcs7-mime" not in vector.mail:
            continue
        how = {"trust": anchors(), "at": vector.at, "policy": POLICIES[vector.policy]}
        first, second = ways.both(vector.mail, readers, **how)
        assert first == second, vector.name
        tried += 1
    assert tried > 100
    assert ways.straight > 50
