"""Who signed, as somebody to write to: with two certificates, with one, with a planted one."""

from __future__ import annotations

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from smime.cms import signed
from smime.cms.attributes import attribute
from smime.cms.names import issuer_and_serial, key_identifiers
from smime.cms.preference import PREFERENCE, write_preference
from smime.formats.smime import wrap_signed
from smime.policy import MODERN, moment
from tests.support.world import World

LETTER = b"From: erin@example.org\r\nSubject: hi\r\n\r\nhello\r\n"
ENTITY = b"Content-Type: text/plain\r\n\r\nhello\r\n"
MICROSOFT = "1.3.6.1.4.1.311.16.4"


@pytest.fixture(scope="module")
def signing(world: World) -> smime.Identity:
    return world.ca.issue("erin@example.org", profile="signing")


@pytest.fixture(scope="module")
def reading(world: World) -> smime.Identity:
    return world.ca.issue("erin@example.org", profile="encryption")


@pytest.fixture(scope="module")
def erin(signing: smime.Identity, reading: smime.Identity) -> smime.Identity:
    return smime.Identity.parse(signing.to_p12("x"), reading.to_p12("x"), passphrase="x")


def der(one: smime.Identity) -> bytes:
    return one.certificate.public_bytes(Encoding.DER)


def contacts(world: World, mail: bytes | smime.Mail) -> list[object]:
    opened = smime.open(mail, trust=world.anchors)
    assert opened.signer == "erin@example.org"
    return [one.certificate for one in opened.contacts]


def signed_with(by: smime.Identity, more: tuple[bytes, ...], *beside: smime.Identity) -> bytes:
    """Sign with attributes of our choice, and any certificates in the bag."""
    key = signed.SigningKey(
        by._key, by.certificate, (*by.chain, *(one.certificate for one in beside))
    )
    blob, _ = signed.build(
        ENTITY, [key], detached=True, at=moment(None), policy=MODERN, signed_attributes=more
    )
    return wrap_signed(ENTITY, blob, "sha-256", b"From: erin@example.org\r\n")


def test_two_certificates_are_told_apart(
    world: World, erin: smime.Identity, signing: smime.Identity, reading: smime.Identity
) -> None:
    opened = smime.open(smime.sign(LETTER, by=erin), trust=world.anchors)

    first, second = opened.contacts
    assert first.certificate == reading.certificate
    assert first.capabilities
    assert second.certificate == signing.certificate
    assert opened.report.signatures[0].certificate == signing.certificate
    # Both can be handed on: the one that reads is taken.
    answer = smime.protect(LETTER, by=world.alice, to=opened.contacts)
    assert smime.decrypt(answer, keys=reading, trust=world.anchors).encrypted


def test_openssl_reads_the_attribute(erin: smime.Identity, openssl, tmp_path) -> None:
    mail = tmp_path / "mail.eml"
    smime.sign(LETTER, by=erin).save(mail)

    shown = openssl.run("cms", "-cmsout", "-print", "-in", mail, "-inform", "SMIME")

    assert b"id-smime-aa-encrypKeyPref" in shown


@pytest.mark.parametrize(
    "form", ["issuer and serial", "key identifier", "subject key", "microsoft"]
)
def test_every_form_is_read(
    world: World, signing: smime.Identity, reading: smime.Identity, form: str
) -> None:
    named = issuer_and_serial(der(reading))
    identifier = key_identifiers(reading.certificate)[0]
    attributes = {
        "issuer and serial": write_preference(der(reading)),
        "key identifier": attribute(
            PREFERENCE, bytes((0xA1, len(identifier) + 2, 0x04, len(identifier))) + identifier
        ),
        "subject key": attribute(PREFERENCE, bytes((0x82, len(identifier))) + identifier),
        "microsoft": attribute(MICROSOFT, named),
    }
    mail = signed_with(signing, (attributes[form],), reading)

    assert contacts(world, mail) == [reading.certificate, signing.certificate]


def test_a_preference_stands_before_a_signing_certificate_that_reads(world: World) -> None:
    both = world.ca.issue("erin@example.org")
    other = world.ca.issue("erin@example.org")

    named = signed_with(both, (write_preference(der(other)),), other)
    unnamed = signed_with(both, (), other)

    assert contacts(world, named) == [other.certificate]
    assert contacts(world, unnamed) == [both.certificate]


def test_a_planted_certificate_is_not_taken(
    world: World, signing: smime.Identity, reading: smime.Identity
) -> None:
    """Nobody signed the bag of certificates: whatever lies in it must come from the same issuer."""
    evil = pki.Authority.create("Test CA").issue("erin@example.org", profile="encryption")
    other = world.ca.issue("mallory@example.org", profile="encryption")
    assert contacts(world, signed_with(signing, (), reading)) == [
        reading.certificate,
        signing.certificate,
    ]

    for planted in (evil, other):
        for more in ((), (write_preference(der(planted)),)):
            assert contacts(world, signed_with(signing, more, planted)) == [signing.certificate]


@pytest.mark.parametrize("value", [b"\x05\x00", b"\xa0\x00", b"\xa1\x00", b"\x82\x00", b"\x30\x00"])
def test_an_attribute_that_is_nonsense_names_nobody(
    world: World, signing: smime.Identity, reading: smime.Identity, value: bytes
) -> None:
    mail = signed_with(signing, (attribute(PREFERENCE, value),), reading)

    # As without the attribute: the one that came along and reads.
    assert contacts(world, mail) == [reading.certificate, signing.certificate]


def test_a_bad_signature_gives_no_contact(world: World, erin: smime.Identity) -> None:
    forged = bytes(smime.sign(LETTER, by=erin)).replace(b"hello", b"hallo")

    assert smime.open(forged, trust=world.anchors).contacts == ()
