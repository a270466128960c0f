"""One message for readers, and by signers, of every kind; and a thousand keys to open it with."""

from __future__ import annotations

import base64
import gc
import sys
from datetime import UTC, datetime, timedelta
from functools import cache
from typing import Any

import pytest

import pki
import smime
from smime import cms
from smime.cms import enveloped, recipients
from tests.support.world import LETTER, World

AT = datetime.now(UTC)  # sealing has no other moment
TEXT = b"we meet at noon."
JULY = cms.SharedKey(bytes(range(32)), b"july")
SPOKEN = cms.Passphrase("correct horse battery staple")
GCM = smime.Policy.modern().replace(cipher="aes-256-gcm")


@cache
def ca() -> pki.Authority:
    return pki.Authority.create("Mixed CA", at=AT - timedelta(days=1500))


@cache
def people() -> dict[str, smime.Identity]:
    """Alice and Bob have RSA keys, Carlos and Dana those of RFC 9216, Erin and Faythe others."""
    kinds = {
        "alice": {"algorithm": "rsa2048"},
        "bob": {"algorithm": "rsa2048"},
        "carlos": {"algorithm": "ed25519", "pair": True},
        "dana": {"algorithm": "ed25519", "pair": True},
        "erin": {"algorithm": "p256"},
        "faythe": {"algorithm": "mldsa65", "pair": True},
    }
    return {name: ca().issue(f"{name}@example.org", at=AT, **how) for name, how in kinds.items()}


def as_mail(blob: bytes) -> bytes:
    return (
        b"From: alice@example.org\r\nTo: all@example.org\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: application/pkcs7-mime; smime-type=authEnveloped-data; name="smime.p7m"\r\n'
        b"Content-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(blob).replace(b"\n", b"\r\n")
    )


@cache
def signed() -> bytes:
    by = [people()[name] for name in ("alice", "carlos", "erin", "faythe")]
    return bytes(smime.sign(LETTER, by=by, at=AT))


@cache
def sealed() -> bytes:
    """A mail that everybody signed, and that is sealed for everybody and by two secrets."""
    to = [one.recipient for one in people().values()]
    return as_mail(cms.encrypt(signed(), to=[*to, JULY, SPOKEN], policy=GCM))


KEYS = [*people(), "shared key", "passphrase"]


def key_of(name: str) -> Any:
    return {"shared key": JULY, "passphrase": SPOKEN}.get(name) or people()[name]


@pytest.mark.parametrize("name", KEYS)
def test_each_opens_it_alone(name: str) -> None:
    opened = smime.open(sealed(), keys=key_of(name), trust=ca().anchors, at=AT)

    assert TEXT in opened.content
    assert opened.signer == "alice@example.org"
    assert {check.signer for check in opened.report.signatures} == {
        f"{one}@example.org" for one in ("alice", "carlos", "erin", "faythe")
    }
    assert all(sound(check) for check in opened.report.signatures)


def sound(check: smime.SignatureCheck) -> bool:
    """All but the address, for the mail is from Alice."""
    findings = (check.intact, check.genuine, check.path, check.usage, check.time)
    return all(one.answer is smime.Answer.YES for one in findings)


def test_nobody_else_opens_it(world: World) -> None:
    strangers = [world.alice, cms.SharedKey(bytes(32), b"june")]
    with pytest.raises(smime.DecryptionFailed, match="not sealed for any"):
        smime.open(sealed(), keys=strangers, trust=ca().anchors, at=AT)
    for wrong in (cms.SharedKey(bytes(32), b"july"), cms.Passphrase("wrong")):
        with pytest.raises(smime.DecryptionFailed, match=enveloped.FAILED):
            smime.open(sealed(), keys=wrong, trust=ca().anchors, at=AT)


def test_the_ordinary_verbs_mix_kinds() -> None:
    """Recipients with certificates need no CMS by hand."""
    alice = people()["alice"]
    to = [one for name, one in people().items() if name != "alice"]
    mail = smime.protect(LETTER, by=alice, to=to, policy=GCM, at=AT)

    for one in people().values():
        opened = smime.verify(mail, keys=one, trust=ca().anchors, at=AT)
        assert opened.signer == "alice@example.org"
        assert opened.encrypted


def test_one_changed_signature_is_one_that_is_bad() -> None:
    """The others stay what they are; nobody's good one covers for it."""
    at = signed().rindex(b"application/pkcs7-signature")
    head, _, body = signed()[at:].partition(b"\r\n\r\n")
    blob = base64.b64decode(body.partition(b"\r\n--")[0])
    value = cms_signature_of(blob, "erin")
    changed = blob.replace(value, value[:-1] + bytes((value[-1] ^ 1,)))
    mail = signed()[:at] + head + b"\r\n\r\n" + base64.encodebytes(changed)

    report = smime.examine(mail + signed()[signed().rindex(b"\r\n--") :], trust=ca().anchors, at=AT)

    assert {check.signer: sound(check) for check in report.signatures} == {
        "alice@example.org": True,
        "carlos@example.org": True,
        "erin@example.org": False,
        "faythe@example.org": True,
    }


def cms_signature_of(blob: bytes, name: str) -> bytes:
    from asn1crypto import cms as asn1

    serial = people()[name].certificate.serial_number
    (found,) = (
        one
        for one in asn1.ContentInfo.load(blob)["content"]["signer_infos"]
        if one["sid"].chosen["serial_number"].native == serial
    )
    return bytes(found["signature"].native)


# --- many keys ------------------------------------------------------------------


@cache
def years() -> tuple[smime.Identity, ...]:
    """A thousand identities, as a provider has them: most are expired."""
    return tuple(
        ca().issue(f"user{number % 50}@example.org", at=AT - timedelta(days=number))
        for number in range(1000)
    )


@pytest.mark.parametrize("number", [0, 499, 999])
def test_a_thousand_identities_open_what_is_sealed_for_one(number: int) -> None:
    one = years()[number]
    readers = [JULY, cms.RecipientKey(one.certificate)]
    blob = enveloped.build(LETTER, readers, cipher="aes-256-gcm", transport="rsa-v15")

    opened = smime.open(as_mail(blob), keys=years(), trust=smime.NoTrust())

    assert TEXT in opened.content
    assert opened.report.layers[0].opened_by == one.addresses[0]


def steps(keys: tuple[smime.Identity, ...], count: int) -> int:
    """Return how many calls it takes to find which of ``count`` recipients is one of the keys."""
    strangers = [cms.SharedKey(bytes(16), b"%d" % number) for number in range(count)]
    blob = enveloped.build(b"", [*strangers], cipher="aes-256-gcm", transport="rsa-v15")
    envelope = enveloped.read(blob)
    opening = [key for one in keys for key in one.opening_keys]
    for key in opening:
        assert key.by_value  # which each works out once
    made = 0

    def note(*_: object) -> None:
        nonlocal made
        made += 1

    gc.collect()
    gc.disable()  # what other tests left to be finalised is none of these calls
    sys.setprofile(note)
    try:
        found = recipients.find(envelope.sealed, opening)
    finally:
        sys.setprofile(None)
        gc.enable()
    assert found == []
    return made


def test_a_recipient_costs_the_same_however_many_keys_there_are() -> None:
    few, many = years()[:10], years()
    steps(few, 10)

    for_few = steps(few, 200) - steps(few, 100)
    for_many = steps(many, 200) - steps(many, 100)

    assert for_few > 0
    assert for_many == for_few
    # And a key costs the same however many recipients there are.
    assert steps(many, 200) - steps(few, 200) == steps(many, 100) - steps(few, 100)
