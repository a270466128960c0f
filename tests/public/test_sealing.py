"""encrypt(), protect(), protect_each() and decrypt(): who reads what, and how it fails."""

from __future__ import annotations

import base64
import inspect
import re
from collections.abc import Callable, Iterable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.asymmetric import ec

import pki
import smime
from smime import Outcome
from tests.support.world import World

PLAIN = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: noon\r\n\r\nat noon\r\n"
CIPHERS = ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm"]
GCM = smime.Policy.modern().replace(cipher="aes-256-gcm")
NOBODY = smime.NoTrust()


def blob(mail: smime.Mail | bytes) -> bytes:
    """The CMS structure of a sealed mail."""
    return base64.b64decode(bytes(mail).partition(b"\r\n\r\n")[2])


def with_blob(mail: smime.Mail, der: bytes) -> bytes:
    head = bytes(mail).partition(b"\r\n\r\n")[0]
    return head + b"\r\n\r\n" + base64.encodebytes(der)


# --- good -----------------------------------------------------------------------


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.parametrize("who", ["bob", "rsa"])
@pytest.mark.parametrize("transport", ["rsa-v15", "rsa-oaep"])
def test_sealed_and_opened(
    world: World, letter: bytes, cipher: str, who: str, transport: str
) -> None:
    reader = getattr(world, who)
    policy = smime.Policy.modern().replace(cipher=cipher, key_transport=transport)

    sealed = smime.encrypt(letter, to=reader, policy=policy)
    opened = smime.decrypt(sealed, keys=reader, trust=world.anchors)

    assert opened.encrypted
    assert opened.signer is None
    assert opened.report.outcome is Outcome.UNSIGNED
    assert opened.contacts == ()
    (layer,) = opened.report.layers
    assert layer.algorithm.lower() == cipher
    assert layer.authenticated is cipher.endswith("gcm")
    assert layer.opened_by == reader.addresses[0]
    assert opened.message["Subject"] == "会议记录"
    assert b"we meet at noon" in opened.content
    assert b"noon" not in bytes(sealed)


@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm"])
def test_protect_signs_inside_and_the_sender_reads_too(world: World, cipher: str) -> None:
    policy = smime.Policy.modern().replace(cipher=cipher)

    mail = smime.protect(PLAIN, by=world.alice, to=[world.bob, world.rsa.recipient], policy=policy)

    for reader in (world.alice, world.bob, world.rsa):
        opened = smime.verify(mail, keys=reader, trust=world.anchors)
        assert opened.signer == "alice@example.org"
        assert opened.encrypted
        assert [layer.kind for layer in opened.report.layers] == ["encrypted", "signed"]
    with pytest.raises(smime.DecryptionFailed):
        smime.open(mail, keys=world.carol, trust=world.anchors)


def test_to_self_can_be_left_out(world: World) -> None:
    mail = smime.protect(PLAIN, by=world.alice, to=world.bob, to_self=False)

    assert smime.open(mail, keys=world.bob, trust=world.anchors).signer
    with pytest.raises(smime.DecryptionFailed):
        smime.open(mail, keys=world.alice, trust=world.anchors)


def test_a_sender_among_the_readers_is_named_once(world: World) -> None:
    mail = smime.protect(PLAIN, by=world.alice, to=[world.bob, world.alice, world.bob])

    (layer,) = smime.examine(mail, trust=NOBODY).layers
    assert len(layer.recipients) == 2


@pytest.mark.parametrize("form", ["identity", "recipient", "certificate", "list", "generator"])
def test_to_takes_one_or_several(world: World, form: str) -> None:
    bob = world.bob
    forms: dict[str, smime.Addressee | Iterable[smime.Addressee]] = {
        "identity": bob,
        "recipient": bob.recipient,
        "certificate": bob.certificate,
        "list": [bob, world.carol.recipient, world.rsa.certificate],
        "generator": (one for one in (world.carol, bob)),
    }

    mail = smime.encrypt(PLAIN, to=forms[form])

    assert smime.decrypt(mail, keys=bob, trust=NOBODY).encrypted


@pytest.mark.parametrize("form", ["identity", "list", "key", "keys"])
def test_keys_takes_one_or_several(world: World, form: str) -> None:
    key = ec.generate_private_key(ec.SECP256R1())
    certificate = world.ca.certify(
        pki.CertificationRequest(key.public_key(), ("erin@example.org",)),
        profile=pki.Profile.named("mailbox"),
        serial=7,
        at=datetime.now(UTC),
    )
    erin = smime.Identity(key, certificate)
    readers: dict[str, smime.Reader | list[smime.Reader]] = {
        "identity": erin,
        "list": [world.alice, world.bob, erin],
        "key": key,
        "keys": [world.alice, key],
    }

    mail = smime.encrypt(PLAIN, to=erin)

    assert smime.decrypt(mail, keys=readers[form], trust=NOBODY).encrypted


def test_every_mail_has_a_content_key_of_its_own(world: World) -> None:
    first, second = (blob(smime.encrypt(PLAIN, to=world.rsa)) for _ in range(2))

    assert first != second
    assert first[-64:] != second[-64:]


def test_out_gets_what_was_opened_and_nothing_on_failure(world: World, tmp_path: Path) -> None:
    good, bad = tmp_path / "good", tmp_path / "bad"
    smime.encrypt(PLAIN, to=world.bob, out=tmp_path / "sealed")

    opened = smime.decrypt(tmp_path / "sealed", keys=world.bob, trust=NOBODY, out=good)
    with pytest.raises(smime.DecryptionFailed):
        smime.decrypt(tmp_path / "sealed", keys=world.carol, trust=NOBODY, out=bad)

    assert good.read_bytes() == bytes(opened.mail)
    assert sorted(path.name for path in tmp_path.iterdir()) == ["good", "sealed"]


def test_signed_then_sealed_by_hand_is_what_protect_makes(world: World) -> None:
    signed = smime.sign(PLAIN, by=[world.alice, world.carol])

    opened = smime.verify(smime.encrypt(signed, to=world.bob), keys=world.bob, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert len(opened.report.signatures) == 2


def test_a_signature_around_sealed_content_is_no_authorship(world: World) -> None:
    mail = smime.sign(smime.encrypt(PLAIN, to=world.bob), by=world.alice)

    opened = smime.open(mail, keys=world.bob, trust=world.anchors)

    assert opened.signer is None
    assert opened.encrypted
    assert [layer.covers for layer in opened.report.layers if layer.kind == "signed"] == [
        "sealed form"
    ]
    with pytest.raises(smime.SignatureRejected, match="sealed content"):
        smime.verify(mail, keys=world.bob, trust=world.anchors)


def test_triple_wrapping_is_by_its_inner_signature(world: World) -> None:
    inside = smime.protect(PLAIN, by=world.alice, to=world.bob)
    mail = smime.sign(inside, by=world.carol)

    opened = smime.verify(mail, keys=world.bob, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert [layer.kind for layer in opened.report.layers] == ["signed", "encrypted", "signed"]


# --- ciphers ----------------------------------------------------------------------


def test_gcm_is_chosen_when_all_readers_say_that_they_read_it(world: World) -> None:
    """Capabilities come with a good signature; from there to Recipient, from there to GCM."""
    from_bob = smime.sign(PLAIN.replace(b"alice@", b"bob@"), by=world.bob)
    (bob,) = smime.verify(from_bob, trust=world.anchors).contacts
    assert "aes-256-gcm" in bob.capabilities
    assert bob.certificate == world.bob.certificate

    def cipher(*to: smime.Addressee) -> str:
        (layer,) = smime.examine(smime.encrypt(PLAIN, to=to), trust=NOBODY).layers
        return layer.algorithm.lower()

    assert cipher(bob) == "aes-256-gcm"
    assert cipher(bob, world.carol.recipient) == "aes-256-cbc"
    assert cipher(smime.Recipient(world.bob.certificate, ("aes-128-gcm",))) == "aes-128-gcm"
    assert cipher(smime.Recipient(world.bob.certificate, ("aes-256-cbc",))) == "aes-256-cbc"
    assert "every recipient" in smime.Policy.modern().explain([bob])
    assert "carol@example.org" in smime.Policy.modern().explain([bob, world.carol])


def test_capabilities_of_a_bad_signature_are_not_learned(world: World) -> None:
    mail = bytes(smime.sign(PLAIN, by=world.alice)).replace(b"at noon", b"at dusk")

    assert smime.open(mail, trust=world.anchors).contacts == ()


# --- refusals -----------------------------------------------------------------------


def test_bcc_among_the_readers_is_refused(world: World) -> None:
    mail = PLAIN.replace(b"To:", b"Bcc: carol@example.org\r\nTo:")

    calls: list[Callable[[], smime.Mail]] = [
        lambda: smime.encrypt(mail, to=[world.bob, world.carol]),
        lambda: smime.protect(mail, by=world.alice, to=[world.bob, world.carol]),
    ]
    for call in calls:
        with pytest.raises(smime.KeyProblem, match=r"carol@example\.org") as refused:
            call()
        assert "smime.protect_each" in refused.value.hint
    sealed = smime.encrypt(mail, to=world.bob)
    assert b"carol" not in bytes(sealed)
    assert b"carol" not in bytes(smime.decrypt(sealed, keys=world.bob, trust=NOBODY).mail)


def test_a_mail_that_is_not_sealed(world: World) -> None:
    for mail in (PLAIN, bytes(smime.sign(PLAIN, by=world.alice))):
        with pytest.raises(smime.DecryptionFailed, match="not encrypted") as refused:
            smime.decrypt(mail, keys=world.bob, trust=world.anchors)
        assert "smime.open" in refused.value.hint


def test_a_sealed_part_is_not_a_sealed_mail(world: World) -> None:
    sealed = bytes(smime.encrypt(PLAIN, to=world.bob))
    part = sealed[sealed.index(b"Content-Type: application/pkcs7-mime") :]
    mail = (
        b"From: alice@example.org\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/mixed; boundary="around"\r\n\r\n'
        b'--around\r\nContent-Type: text/html\r\n\r\n<img src="http://mallory.example/\r\n'
        b"--around\r\n"
        + part
        + b'\r\n--around\r\nContent-Type: text/html\r\n\r\n">\r\n--around--\r\n'
    )

    with pytest.raises(smime.DecryptionFailed):
        smime.decrypt(mail, keys=world.bob, trust=NOBODY)
    opened = smime.open(mail, keys=world.bob, trust=NOBODY)
    assert not opened.encrypted
    assert b"at noon" not in bytes(opened.mail)
    assert [note.code for note in opened.report.notes] == ["protected-part"]


def test_no_key_and_the_wrong_key(world: World) -> None:
    sealed = smime.encrypt(PLAIN, to=world.bob)

    with pytest.raises(smime.DecryptionFailed):
        smime.open(sealed, trust=NOBODY)
    with pytest.raises(smime.DecryptionFailed):
        smime.decrypt(sealed, keys=[world.carol, world.rsa], trust=NOBODY)
    report = smime.examine(sealed, trust=NOBODY)
    assert report.outcome is Outcome.SEALED
    assert report.encrypted
    assert not report.layers[0].opened


def test_an_expired_reader(world: World) -> None:
    old = world.ca.issue(
        "old@example.org", at=datetime.now(UTC) - timedelta(days=60), lifetime_days=30
    )

    with pytest.raises(smime.KeyProblem):
        smime.encrypt(PLAIN, to=old)
    with pytest.raises(smime.KeyProblem):
        smime.protect(PLAIN, by=world.alice, to=[world.bob, old])


def test_nobody_reads(world: World) -> None:
    with pytest.raises(ValueError, match="to="):
        smime.encrypt(PLAIN, to=[])


def test_one_failure_whichever_step_failed(world: World) -> None:
    """Law 4: once a key matched, who sees errors learns nothing of why it did not open."""
    cbc = smime.Policy.modern().replace(cipher="aes-256-cbc")
    said = set()
    for policy, reader in ((cbc, world.rsa), (cbc, world.bob), (GCM, world.rsa), (GCM, world.bob)):
        sealed = smime.encrypt(PLAIN, to=reader, policy=policy)
        der = blob(sealed)
        assert smime.decrypt(with_blob(sealed, der), keys=reader, trust=NOBODY).encrypted
        bad = [
            _flip(der, len(der) - 1),  # padding, or tag
            _flip(der, len(der) - 20),  # the block before, or content under the tag
            _flip(
                der, der.index(b"\x04\x82\x01\x00") + 40 if reader is world.rsa else _wrapped(der)
            ),
        ]
        for one in bad:
            for call in (smime.decrypt, smime.open):
                try:
                    call(with_blob(sealed, one), keys=reader, trust=NOBODY)
                except smime.SmimeError as failed:
                    said.add((type(failed), str(failed), failed.hint, failed.args))
    # The MIME inside does not hold: a layer that says it is S/MIME, and is none.
    broken = (
        b"From: alice@example.org\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: application/pkcs7-mime; smime-type=signed-data\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\nAAAA\r\n"
    )
    sealed = smime.encrypt(broken, to=world.bob, policy=cbc)
    with pytest.raises(smime.DecryptionFailed) as refused:
        smime.open(sealed, keys=world.bob, trust=NOBODY)
    said.add((type(refused.value), str(refused.value), refused.value.hint, refused.value.args))

    assert len(said) == 1
    assert next(iter(said))[0] is smime.DecryptionFailed


def _flip(der: bytes, at: int) -> bytes:
    return der[:at] + bytes([der[at] ^ 0x55]) + der[at + 1 :]


def _wrapped(der: bytes) -> int:
    """Where the wrapped key of an ECDH recipient is: an OCTET STRING of 40 octets."""
    return der.index(b"\x04\x28") + 12


# --- a copy for each ----------------------------------------------------------------


def test_a_copy_for_each_reader(world: World) -> None:
    readers = [world.bob, world.carol, world.rsa]
    copies = list(smime.protect_each(PLAIN, by=world.alice, to=readers))

    assert [copy.recipients for copy in copies] == [one.addresses for one in readers]
    for mine, copy in zip(readers, copies, strict=True):
        opened = smime.verify(copy, keys=mine, trust=world.anchors)
        assert opened.signer == "alice@example.org"
        assert smime.open(copy, keys=world.alice, trust=world.anchors).signer
        assert len(opened.report.layers[0].recipients) == 2
        for other in readers:
            if other is not mine:
                with pytest.raises(smime.DecryptionFailed):
                    smime.open(copy, keys=other, trust=world.anchors)
    contents = {smime.open(c, keys=world.alice, trust=world.anchors).content for c in copies}
    assert len(contents) == 1  # signed once
    assert len({blob(copy)[-64:] for copy in copies}) == 3  # sealed with a key of its own each


def test_a_bcc_reader_gets_a_copy_and_is_named_in_none(world: World) -> None:
    mail = PLAIN.replace(b"To:", b"Bcc: carol@example.org\r\nTo:")

    copies = list(smime.protect_each(mail, by=world.alice, to=[world.bob, world.carol]))

    for reader, copy in zip((world.bob, world.carol), copies, strict=True):
        opened = smime.open(copy, keys=reader, trust=world.anchors)
        assert copy.recipients == reader.addresses
        assert b"carol" not in bytes(copy)
        assert b"carol" not in bytes(opened.mail) + opened.content


def test_copies_are_made_when_they_are_asked_for(world: World) -> None:
    taken = 0

    def readers() -> Iterator[smime.Recipient]:
        nonlocal taken
        for _ in range(1000):
            taken += 1
            yield world.bob.recipient

    copies = smime.protect_each(PLAIN, by=world.alice, to=readers())

    assert inspect.isgenerator(copies)
    assert taken == 0
    next(copies)
    next(copies)
    assert taken == 2
    copies.close()


def test_a_copy_without_the_sender(world: World) -> None:
    (copy,) = smime.protect_each(PLAIN, by=world.alice, to=[world.bob], to_self=False)

    with pytest.raises(smime.DecryptionFailed):
        smime.open(copy, keys=world.alice, trust=world.anchors)


def test_a_reader_that_does_not_fit_is_refused_when_its_copy_is_due(world: World) -> None:
    old = world.ca.issue(
        "old@example.org", at=datetime.now(UTC) - timedelta(days=60), lifetime_days=30
    )

    copies = smime.protect_each(PLAIN, by=world.alice, to=[world.bob, old])

    assert next(copies).recipients == ("bob@example.org",)
    with pytest.raises(smime.KeyProblem):
        next(copies)


def test_mistakes_are_said_before_the_first_copy(world: World) -> None:
    """The signer is looked at when the call is made, not when the first copy is asked for."""
    with pytest.raises(TypeError):
        smime.protect_each(PLAIN, by="alice.p12", to=[world.bob])  # type: ignore[arg-type]
    with pytest.raises(TypeError):
        smime.protect_each("letter.eml", by=world.alice, to=[world.bob])  # type: ignore[arg-type]


def test_the_sealed_mail_is_7bit_with_short_lines(world: World) -> None:
    mail = bytes(smime.protect(PLAIN, by=world.alice, to=world.bob))

    assert mail.isascii()
    assert max(map(len, mail.split(b"\r\n"))) <= 78
    assert not re.search(rb"(?<!\r)\n", mail)
