"""Beside a sealed content: attributes, what it is, derived keys, short tags, tags inside."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from smime import cms, incoming
from smime.cms import algorithms as alg
from smime.cms import ciphers, der, enveloped
from smime.cms.extras import Extras, by_type
from smime.cms.extras import extras as made_extras
from tests.cms.test_content_types import parts, whole
from tests.fuzz import structures
from tests.support.sources import FORMS, given_as, taken_from
from tests.support.world import LETTER, World

CONTENT = bytes(range(256)) * 2000 + b"the end"
TAGGED = ["aes-256-gcm", "aes-128-ccm", "chacha20-poly1305"]
MINE = "1.3.6.1.4.1.99999.1"
YOURS = "1.3.6.1.4.1.99999.2"
VALUE = der.octet_string(b"a value that is longer than others")
ATTRIBUTES = [cms.attribute(MINE, VALUE), cms.attribute(YOURS, der.NULL)]
CONTENT_TYPE = "1.2.840.113549.1.9.3"


def by(cipher: str, **more: Any) -> smime.Policy:
    return smime.Policy(cipher=cipher, **more)


def kind_of(blob: bytes) -> bytes:
    kind, _ = der.children(blob, der.top(blob))
    return blob[kind[2] : kind[3]]


# --- attributes ------------------------------------------------------------------------


@pytest.mark.parametrize(("cipher", "form"), list(product(TAGGED, FORMS)))
def test_attributes_inside_and_outside_the_tag(
    world: World, tmp_path: Path, cipher: str, form: str
) -> None:
    blob = cms.encrypt(
        given_as(form, CONTENT, tmp_path),
        to=[world.bob, world.rsa],
        authenticated_attributes=ATTRIBUTES,
        unprotected_attributes=ATTRIBUTES[:1],
        policy=by(cipher),
    )

    for given_form in ("bytes", form):
        opened = cms.open(given_as(given_form, blob, tmp_path), keys=world.bob)
        assert opened.content == CONTENT
        assert opened.attributes == {
            CONTENT_TYPE: (der.tlv(0x06, alg.DATA),),
            MINE: (VALUE,),
            YOURS: (der.NULL,),
        }
        assert opened.unprotected_attributes == {MINE: (VALUE,)}
    assert cms.decrypt(blob, keys=world.rsa) == CONTENT
    assert set(cms.inspect(blob)["attributes"]) == {CONTENT_TYPE, MINE, YOURS}
    assert "1.2.840.113549.1.9.4" not in opened.attributes  # RFC 5083 §2.1: no digest


@pytest.mark.parametrize("out", ["path", "file"])
def test_attributes_of_a_file_that_goes_to_one(world: World, tmp_path: Path, out: str) -> None:
    source = given_as("path", CONTENT, tmp_path)
    blob = taken_from(
        out,
        lambda out: cms.encrypt(
            source,
            to=world.bob,
            authenticated_attributes=ATTRIBUTES,
            policy=by("aes-256-gcm"),
            out=out,
        ),
        tmp_path,
    )

    assert der.top(blob)[3] == len(blob)  # DER: the length of all is known
    assert cms.decrypt(given_as("path", blob, tmp_path), keys=world.bob) == CONTENT


@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_unprotected_attributes_beside_cbc(world: World, tmp_path: Path, form: str) -> None:
    plain = cms.encrypt(CONTENT, to=world.rsa)
    blob = cms.encrypt(
        given_as(form, CONTENT, tmp_path), to=world.rsa, unprotected_attributes=ATTRIBUTES
    )

    opened = cms.open(blob, keys=world.rsa)

    assert set(opened.unprotected_attributes) == {MINE, YOURS}
    assert opened.attributes == {}
    if form == "bytes":
        # RFC 5652 §6.1: the version says that they are there.
        assert (parts(plain)[0], parts(blob)[0]) == (der.integer(0), der.integer(2))
    with pytest.raises(ValueError, match="AES-CBC authenticates no attributes"):
        cms.encrypt(CONTENT, to=world.rsa, authenticated_attributes=ATTRIBUTES)
    key = cms.ContentKey(bytes(16))
    sealed = cms.encrypt(CONTENT, to=key, unprotected_attributes=ATTRIBUTES)
    assert set(cms.open(sealed, keys=key).unprotected_attributes) == {MINE, YOURS}
    assert parts(sealed)[0] == der.integer(2)


@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_the_tag_is_over_the_attributes_as_der(world: World, form: str, tmp_path: Path) -> None:
    """RFC 5083 §2.2: a SET OF in order, whatever the order and the tag they arrive in."""
    blob = cms.encrypt(
        CONTENT, to=world.bob, authenticated_attributes=ATTRIBUTES, policy=by("aes-256-gcm")
    )
    version, infos, sealed, attributes, tag = parts(blob)
    split = [attributes[a[1] : a[3]] for a in der.children(attributes, der.top(attributes))]
    assert split == sorted(split)
    turned = der.tlv(0xA1, b"".join(reversed(split)))
    other = whole(kind_of(blob), version, infos, sealed, turned, tag)

    assert cms.decrypt(given_as(form, other, tmp_path), keys=world.bob) == CONTENT
    for wrong in (split[:-1], [*split, cms.attribute("1.2.3", der.NULL)]):
        bad = whole(
            kind_of(blob), version, infos, sealed, der.tlv(0xA1, b"".join(sorted(wrong))), tag
        )
        with pytest.raises((smime.DecryptionFailed, smime.MalformedMail)):
            cms.decrypt(given_as(form, bad, tmp_path), keys=world.bob)


def built(world: World, kind: str, attributes: list[bytes], cipher: str = "aes-256-gcm") -> bytes:
    """Seal with attributes as they are given, right or wrong."""
    covered = der.set_of(*attributes) if attributes else b""
    extras = Extras(der.oid(kind)[2:], covered)
    reader = world.bob.recipient.recipient_key
    return enveloped.build(CONTENT, [reader], cipher=cipher, transport="rsa-v15", extras=extras)


def content_type(kind: str) -> bytes:
    return cms.attribute(CONTENT_TYPE, der.oid(kind))


@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_what_is_no_plain_data_says_so_under_the_tag(
    world: World, form: str, tmp_path: Path
) -> None:
    """RFC 5083 §2.1: authAttrs with content-type, or nobody could rely on the type."""
    other, plain = "1.2.3.4", "1.2.840.113549.1.7.1"
    good = cms.encrypt(CONTENT, to=world.bob, content_type=other, policy=by("aes-256-gcm"))
    assert cms.open(good, keys=world.bob).content_type == other
    refused = {
        "not there": built(world, other, []),
        "another attribute": built(world, other, ATTRIBUTES),
        "another type": built(world, other, [content_type(plain)]),
        "another type of data": built(world, plain, [content_type(other)]),
        "twice": built(world, other, [content_type(other), content_type(plain)]),
    }
    for blob in refused.values():
        with pytest.raises(smime.MalformedMail, match="content"):
            cms.decrypt(given_as(form, blob, tmp_path), keys=world.bob)
    # Beside plain data others leave it out.
    silent = built(world, plain, ATTRIBUTES)
    assert cms.decrypt(given_as(form, silent, tmp_path), keys=world.bob) == CONTENT
    sealed = cms.encrypt(CONTENT, to=world.bob, content_type=other)
    assert cms.open(sealed, keys=world.bob).content_type == other


def test_attributes_that_are_none(world: World) -> None:
    for wrong in ([b"x"], [ATTRIBUTES[0], ATTRIBUTES[0]], [content_type("1.2.3")]):
        with pytest.raises(ValueError, match="attribute"):
            cms.encrypt(
                b"x", to=world.bob, authenticated_attributes=wrong, policy=by("aes-256-gcm")
            )
    assert made_extras("1.2.840.113549.1.7.1", (), (), tagged=True).tail(b"") == b""


@settings(max_examples=40, deadline=None)
@given(values=st.lists(st.binary(max_size=40), min_size=1, max_size=6))
def test_any_attributes(values: list[bytes]) -> None:
    shared = cms.SharedKey(bytes(16), b"july")
    given_ = [
        cms.attribute(f"1.3.6.1.4.1.99999.{n}", der.octet_string(one))
        for n, one in enumerate(values)
    ]
    blob = cms.encrypt(
        b"x",
        to=shared,
        authenticated_attributes=given_,
        unprotected_attributes=given_,
        policy=by("aes-128-gcm"),
    )

    opened = cms.open(blob, keys=shared)

    found = {k: v for k, v in opened.attributes.items() if k != CONTENT_TYPE}
    assert found == opened.unprotected_attributes == by_type(der.set_of(*given_))
    assert len(found) == len(values)


# --- derived keys (RFC 9709) -----------------------------------------------------------


def test_the_derivation_of_the_standard() -> None:
    """RFC 9709, Appendix A.2: AES-128-GCM."""
    key = bytes.fromhex("c702e7d0a9e064b09ba55245fb733cf3")
    algorithm = bytes.fromhex("301b0609608648016503040106300e040c5c79058ba2f43447639d29e2")

    assert ciphers.derive(key, algorithm).hex() == "2124ffb29fac4e0fbbc7d5d87492bff3"


@pytest.mark.parametrize("cipher", [*TAGGED, "aes-256-cbc", "aes-192-cbc"])
@pytest.mark.parametrize("form", ["bytes", "path", "pipe"])
def test_derived_keys(world: World, tmp_path: Path, cipher: str, form: str) -> None:
    policy = by(cipher, content_key="derived")
    blob = cms.encrypt(given_as(form, CONTENT, tmp_path), to=[world.rsa, world.bob], policy=policy)

    assert cms.inspect(blob)["derived_key"] is True
    assert cms.inspect(blob)["cipher"].lower() == cipher
    for keys in (world.bob, world.rsa):
        assert cms.decrypt(given_as(form, blob, tmp_path), keys=keys) == CONTENT
    plain = cms.encrypt(CONTENT, to=world.bob, policy=by(cipher))
    assert cms.inspect(plain)["derived_key"] is False


@pytest.mark.parametrize("how", ["plain", "derived"])
def test_a_tagged_content_cannot_be_passed_off_as_an_untagged_one(how: str) -> None:
    """What RFC 9709 is for: told to be CBC, the content has another key, which helps nobody."""
    shared = cms.SharedKey(bytes(16), b"july")
    blob = cms.encrypt(CONTENT, to=shared, policy=by("aes-128-gcm", content_key=how))
    _, infos, _, _ = parts(blob)
    algorithm = der.sequence(alg.CIPHERS["aes-128-cbc"][0], der.octet_string(bytes(16)))
    if how == "derived":
        algorithm = der.sequence(alg.CEK_HKDF_SHA256, algorithm)
    content = der.sequence(der.tlv(0x06, alg.DATA), algorithm, der.tlv(0x80, bytes(32)))
    forged = whole(alg.ENVELOPED_DATA, der.integer(2), infos, content)

    keys = [
        enveloped.content_keys(enveloped.read(one), [shared], smime.Policy.modern())
        for one in (blob, forged)
    ]

    ((_, right),), ((_, other),) = keys
    assert (right == other) is (how == "plain")


def test_a_key_derived_for_another_cipher_opens_nothing(world: World) -> None:
    shared = cms.SharedKey(bytes(16), b"july")
    blob = cms.encrypt(CONTENT, to=shared, policy=by("aes-256-gcm", content_key="derived"))
    for change in (
        lambda b: b.replace(alg.CIPHERS["aes-256-gcm"][0], alg.CIPHERS["aes-256-ccm"][0]),
        lambda b: b.replace(alg.CEK_HKDF_SHA256, der.oid("1.2.840.113549.1.9.16.3.30")),
    ):
        other = change(blob)
        assert other != blob
        with pytest.raises((smime.DecryptionFailed, smime.NotSupported)):
            cms.decrypt(other, keys=shared)
    assert cms.decrypt(blob, keys=shared) == CONTENT


def test_derived_when_all_readers_say_so(world: World) -> None:
    def sealed(*capabilities: tuple[str, ...]) -> dict[str, Any]:
        people = (world.bob, world.rsa)[: len(capabilities)]
        to = [
            smime.Recipient(one.certificate, can)
            for one, can in zip(people, capabilities, strict=True)
        ]
        mail = smime.encrypt(LETTER, to=to)
        found = incoming.inspect(bytes(mail))["cms"]
        direct = cms.inspect(cms.encrypt(b"x", to=to))
        assert (direct["cipher"], direct["derived_key"]) == (found["cipher"], found["derived_key"])
        return found

    both, gcm = ("aes-256-gcm", "cek-hkdf-sha256"), ("aes-256-gcm",)
    assert sealed(both)["derived_key"] is True
    assert sealed(both, both)["derived_key"] is True
    assert sealed(both, gcm)["derived_key"] is False
    assert sealed(both, gcm)["cipher"] == "AES-256-GCM"
    assert sealed(())["derived_key"] is False
    assert sealed(("cek-hkdf-sha256",))["cipher"] == "AES-256-CBC"


def test_we_say_that_we_read_it(world: World) -> None:
    mail = LETTER.replace(b"Alice <alice@", b"Bob <bob@")
    signed = smime.sign(mail, by=world.bob)
    (bob,) = smime.verify(signed, trust=world.anchors).contacts

    assert {"cek-hkdf-sha256", "chacha20-poly1305", "aes-256-gcm"} <= set(bob.capabilities)
    found = incoming.inspect(bytes(smime.encrypt(mail, to=bob)))["cms"]
    assert found["derived_key"] is True


# --- tags ------------------------------------------------------------------------------


def with_tag(world: World, octets: int, *, said: int | None = None) -> bytes:
    """Seal with AES-GCM and a tag of so many octets."""
    frame = enveloped.Frame([world.bob.recipient.recipient_key], "aes-256-gcm", "rsa-v15")
    ciphertext, tag = ciphers.seal("aes-256-gcm", frame.key, frame.nonce, LETTER)
    parameters = der.sequence(
        der.octet_string(frame.nonce), *([] if said == 0 else [der.integer(said or octets)])
    )
    algorithm = der.sequence(alg.CIPHERS["aes-256-gcm"][0], parameters)
    inner = der.sequence(der.tlv(0x06, alg.DATA), algorithm, der.tlv(0x80, ciphertext))
    start = der.top(frame.start)
    version, infos = frame.start[: start[3]], frame.start[start[3] :]
    return whole(alg.AUTH_ENVELOPED_DATA, version, infos, inner, der.octet_string(tag[:octets]))


@pytest.mark.parametrize("octets", [12, 13, 14, 15, 16])
def test_short_tags_are_read_and_noted(world: World, octets: int, tmp_path: Path) -> None:
    from smime.formats import smime as form

    blob = with_tag(world, octets)
    mail = form.wrap_sealed(blob, "authEnvelopedData", b"From: alice@example.org\r\n")

    for given_form in ("bytes", "pipe"):
        opened = cms.open(given_as(given_form, blob, tmp_path), keys=world.bob)
        assert opened.content == LETTER
        assert [note.code for note in opened.notes] == (["short-tag"] if octets < 16 else [])
    report = smime.open(mail, keys=world.bob, trust=world.anchors).report
    assert [note.code for note in report.layers[0].notes] == (["short-tag"] if octets < 16 else [])
    assert (f"{octets} octets" in str(report)) is (octets < 16)
    assert report.layers[0].authenticated


def test_shorter_tags_are_refused(world: World) -> None:
    """Parameters are not under the tag: who shortens it has an easier time."""
    for octets in (1, 4, 8, 11):
        with pytest.raises(smime.MalformedMail, match=f"tag of {octets} octets"):
            cms.decrypt(with_tag(world, octets), keys=world.bob)
    for octets, said in ((12, 16), (16, 12), (13, 14), (15, 16)):
        with pytest.raises(smime.MalformedMail, match="tag"):
            cms.decrypt(with_tag(world, octets, said=said), keys=world.bob)
    assert cms.decrypt(with_tag(world, 12, said=0), keys=world.bob) == LETTER  # 12 unless said


# --- AES-GCM where only AES-CBC belongs -------------------------------------------------

LENIENT = smime.Policy(weak=["gcm-in-enveloped"])


def tag_inside(world: World, cipher: str = "aes-256-gcm", content: bytes = CONTENT) -> bytes:
    return structures.tag_inside(cms.encrypt(content, to=[world.bob, world.rsa], policy=by(cipher)))


@pytest.mark.parametrize("form", FORMS)
def test_a_tag_at_the_end_of_the_content(world: World, tmp_path: Path, form: str) -> None:
    blob = tag_inside(world)

    with pytest.raises(smime.NotSupported, match="not standard") as refused:
        cms.decrypt(given_as(form, blob, tmp_path), keys=world.bob)
    assert "gcm-in-enveloped" in refused.value.hint
    opened = cms.open(given_as(form, blob, tmp_path), keys=world.bob, policy=LENIENT)
    assert opened.content == CONTENT
    assert opened.kind == "envelopedData"
    assert opened.authenticated
    assert cms.decrypt(blob, keys=world.rsa, policy=smime.Policy.legacy_read()) == CONTENT


@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_a_tag_inside_protects(world: World, tmp_path: Path, form: str) -> None:
    blob = tag_inside(world)
    out = io.BytesIO()

    for at in (-1, -16, -17, -300_000):
        broken = bytearray(blob)
        broken[at] ^= 1
        with pytest.raises(smime.DecryptionFailed):
            cms.open(
                given_as(form, bytes(broken), tmp_path), keys=world.bob, policy=LENIENT, out=out
            )
    assert out.getvalue() == b""
    for cipher in ("aes-256-ccm", "chacha20-poly1305"):
        with pytest.raises(smime.NotSupported, match="not standard"):
            cms.decrypt(tag_inside(world, cipher), keys=world.bob, policy=LENIENT)


def test_a_tag_inside_in_tiny_pieces(world: World) -> None:
    for octets in (1, 7, 16, 17):
        blob = structures.in_pieces(tag_inside(world, content=LETTER), octets)
        pipe: Any = structures.Pipe(blob)
        assert cms.decrypt(blob, keys=world.bob, policy=LENIENT) == LETTER
        assert cms.decrypt(pipe, keys=world.bob, policy=LENIENT) == LETTER


def test_a_mail_with_its_tag_inside(world: World) -> None:
    from smime.formats import smime as form

    blob = tag_inside(world)
    mail = form.wrap_sealed(blob, "envelopedData", b"From: alice@example.org\r\n")

    with pytest.raises(smime.NotSupported):
        smime.open(mail, keys=world.bob, trust=world.anchors)
    report = smime.examine(mail, keys=world.bob, trust=world.anchors, policy=LENIENT)
    assert report.layers[0].authenticated
