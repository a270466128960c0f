"""Whatever label an S/MIME mail has, however its base64 is written: the report says the same."""

from __future__ import annotations

from base64 import b64decode, encodebytes
from collections.abc import Callable

import pytest

import smime
from smime import cms
from tests.public.test_coverage import MAIL, OUTSIDE, entity, mixed, text
from tests.support.world import World

BASE64 = b"Content-Transfer-Encoding: base64\r\n"
GOOD = "verdict: signed by alice@example.org (good)"


def one_line(body: bytes) -> bytes:
    return b"".join(body.split())


def bare_lf(body: bytes) -> bytes:
    return body.replace(b"\r\n", b"\n")


def wide(body: bytes) -> bytes:
    flat = one_line(body)
    return b"\r\n".join(flat[at : at + 998] for at in range(0, len(flat), 998))


LABELS = [
    b"Content-Type: application/pkcs7-mime; smime-type=signed-data; name=smime.p7m\r\n" + BASE64,
    b"Content-Type: application/pkcs7-mime\r\n" + BASE64,
    b"Content-Type: application/pkcs7-mime; smime-type=enveloped-data\r\n" + BASE64,
    b"Content-Type: application/pkcs7-mime; smime-type=nonsense\r\n" + BASE64,
    b"CONTENT-TYPE: Application/PKCS7-MIME; SMIME-TYPE=Signed-Data\r\n" + BASE64,
    b"Content-Type: application/x-pkcs7-mime; name=smime.p7m\r\n" + BASE64,
    b"Content-Type: application/octet-stream; name=smime.p7m\r\n" + BASE64,
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Disposition: attachment; filename=smime.p7m\r\n" + BASE64,
    b"Content-Type: application/octet-stream\r\n"
    b"Content-Disposition: attachment; filename*=utf-8''smime%2Ep7m\r\n" + BASE64,
    b"Content-Type: application/pkcs7-mime\r\n",  # base64 without saying so
    b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: 8bit\r\n",
]


@pytest.mark.parametrize("label", LABELS)
@pytest.mark.parametrize("written", [bytes, one_line, bare_lf, wide])
def test_an_opaque_mail_under_any_label(
    world: World, label: bytes, written: Callable[[bytes], bytes]
) -> None:
    body = smime.sign(MAIL, by=world.alice, opaque=True).body

    opened = smime.verify(OUTSIDE + label + b"\r\n" + written(body), trust=world.anchors)

    assert opened.message.get_content().strip() == "the secret is noon"
    assert str(smime.view(opened)).startswith(GOOD)


@pytest.mark.parametrize("label", LABELS)
def test_a_sealed_mail_under_any_label(world: World, label: bytes) -> None:
    body = smime.protect(MAIL, by=world.alice, to=world.bob).body

    opened = smime.verify(
        OUTSIDE + label + b"\r\n" + one_line(body), keys=world.bob, trust=world.anchors
    )

    assert str(smime.view(opened)).startswith(f"{GOOD}; sealed: nobody on the way could read it")


@pytest.mark.parametrize("label", LABELS)
def test_binary(world: World, label: bytes) -> None:
    if BASE64 not in label:
        return
    blob = b64decode(smime.sign(MAIL, by=world.alice, opaque=True).body)
    label = label.replace(BASE64, b"Content-Transfer-Encoding: binary\r\n")

    assert smime.verify(OUTSIDE + label + b"\r\n" + blob, trust=world.anchors).signer


@pytest.mark.parametrize(
    "old", [b"pkcs7-signature", b"x-pkcs7-signature", b"pkcs7-mime", b"octet-stream"]
)
def test_a_signature_beside_under_any_label(world: World, old: bytes) -> None:
    signed = bytes(smime.sign(MAIL, by=world.alice))
    head, _, tail = signed.rpartition(b"Content-Type: application/pkcs7-signature")
    relabelled = head + b"Content-Type: application/" + old + tail

    assert smime.verify(relabelled, trust=world.anchors).signer == "alice@example.org"
    no_protocol = signed.replace(b' protocol="application/pkcs7-signature";', b"", 1)
    assert no_protocol != signed
    assert smime.verify(no_protocol, trust=world.anchors).signer == "alice@example.org"


def armoured(blob: bytes, label: bytes = b"PKCS7") -> bytes:
    lines = encodebytes(blob).replace(b"\n", b"\r\n")
    return b"-----BEGIN " + label + b"-----\r\n" + lines + b"-----END " + label + b"-----\r\n"


def test_an_armoured_signature_of_a_file_is_a_text(world: World) -> None:
    """Somebody pastes a signature, or something else in armour, into a letter."""
    beside = cms.sign(b"some file", by=world.alice, detached=True)
    for blob in (beside, b"0\x03\x02\x01\x00", b"0", b"hello"):
        mail = OUTSIDE + b"Content-Type: text/plain\r\n\r\n" + armoured(blob)
        opened = smime.open(mail, trust=world.anchors)

        assert bytes(opened.mail) == mail
        assert opened.report.outcome is smime.Outcome.UNSIGNED
        view = smime.view(opened)
        assert view.verdict == "unsigned: nobody vouches for this mail"
        assert view.text.startswith("-----BEGIN PKCS7-----")


def test_a_signature_without_content_that_says_it_is_a_mail(world: World) -> None:
    beside = cms.sign(b"some file", by=world.alice, detached=True)
    mail = OUTSIDE + LABELS[0] + b"\r\n" + encodebytes(beside)

    with pytest.raises(smime.MalformedMail, match="without the content that it signs"):
        smime.open(mail, trust=world.anchors)


@pytest.mark.parametrize(
    ("label", "armour"),
    [
        (b"application/pkcs7-mime; smime-type=certs-only; name=smime.p7c", False),
        (b"application/x-pkcs7-mime", False),
        (b"application/octet-stream; name=smime.p7c", False),
        (b"text/plain", True),
    ],
)
def test_certificates_only(world: World, label: bytes, armour: bool) -> None:
    bundle = cms.bundle([world.alice.certificate, world.bob.certificate])
    body = armoured(bundle) if armour else encodebytes(bundle)
    mail = OUTSIDE + b"Content-Type: " + label + (b"\r\n" if armour else b"\r\n" + BASE64)

    opened = smime.open(mail + b"\r\n" + body, trust=world.anchors)

    assert [layer.kind for layer in opened.report.layers] == ["certificates"]
    assert (opened.signer, opened.contacts) == (None, ())
    assert smime.view(opened).verdict == "no mail, only certificates, for which nobody vouches"
    with pytest.raises(smime.SignatureRejected, match="not signed"):
        smime.verify(mail + b"\r\n" + body, trust=world.anchors)


def quoted(sealed: bytes) -> bytes:
    return mixed(
        text(b'<img src="http://eve.example/', b"text/html"), sealed, text(b'">', b"text/html")
    )


def test_what_is_told_of_parts(world: World) -> None:
    """Footers, two sealed parts, a sealed part in HTML: the words that a reader sees."""
    signed = entity(smime.sign(MAIL, by=world.alice))
    sealed = entity(smime.encrypt(MAIL, to=world.bob))
    unsigned = "verdict: unsigned: nobody vouches for this mail\n"
    told = "warning: a part of the mail is signed or sealed, which says nothing about the mail: "
    apart = "sealed by itself (application/pkcs7-mime), and not opened"
    render = (
        "warning: show as plain text, do not quote: a sealed part stands among others, which could "
        "carry off what it says once it is opened"
    )
    cases = {
        mixed(signed, text(b"-- the list")): [
            told + "1 multipart/signed",
            "part 1: signed by itself (multipart/signed) by alice@example.org (good); it says "
            "nothing about the mail",
            "| the secret is noon",
            "| -- the list",
        ],
        mixed(sealed, sealed): [f"part 1: {apart}", f"part 2: {apart}", render],
        quoted(sealed): [
            f"part 2: {apart}",
            render,
            "not shown: 1 text/html, 29 octets",
            "not shown: 3 text/html, 2 octets",
        ],
    }
    for mail, words in cases.items():
        view = str(smime.view(smime.open(mail, keys=world.bob, trust=world.anchors)))
        assert view.startswith(unsigned)
        assert set(words) <= set(view.splitlines())
        assert ("noon" in view) is (b"multipart/signed" in mail)


def test_what_is_told_of_a_triple_wrapped_mail(world: World) -> None:
    mail = smime.sign(smime.protect(MAIL, by=world.alice, to=world.bob), by=world.carol)

    view = str(smime.view(smime.open(mail, keys=world.bob, trust=world.anchors)))

    assert view.startswith(f"{GOOD}; sealed: nobody on the way could read it\n")
    assert "why: NOT good: signed by carol@example.org" in view
    assert "names carol@example.org, not alice@example.org" in view
