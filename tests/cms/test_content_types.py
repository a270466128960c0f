"""DigestedData, EncryptedData, AuthenticatedData: written, read, and refused when changed."""

from __future__ import annotations

import io
from itertools import product
from pathlib import Path
from typing import Any

import pytest

import smime
from smime import cms
from smime.cms import algorithms as alg
from smime.cms import authenticated, der, enveloped
from tests.cms.people import KINDS, person
from tests.support.sources import FORMS, given_as, taken_from
from tests.support.world import World

CONTENT = bytes(range(256)) * 2000 + b"the end"
DIGESTS = ["sha256", "sha384", "sha512"]
SHARED = cms.SharedKey(bytes(range(32)), b"july")
KEY = cms.ContentKey(bytes(range(32)))


def by(digest: str) -> smime.Policy:
    return smime.Policy(digest=digest)


def parts(blob: bytes) -> list[bytes]:
    """Return the elements of the structure inside a ContentInfo."""
    _, explicit = der.children(blob, der.top(blob))
    (inner,) = der.children(blob, explicit)
    return [blob[one[1] : one[3]] for one in der.children(blob, inner)]


def whole(kind: bytes, *elements: bytes) -> bytes:
    return der.sequence(der.tlv(0x06, kind), der.tlv(0xA0, der.sequence(*elements)))


# --- digests ---------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "digest"), list(product(FORMS, DIGESTS)))
def test_digested(form: str, digest: str, tmp_path: Path) -> None:
    blob = cms.digest(given_as(form, CONTENT, tmp_path), policy=by(digest))

    opened = cms.open(given_as(form, blob, tmp_path))

    assert opened.content == CONTENT
    assert (opened.kind, opened.algorithm) == ("digestedData", digest.upper())
    assert not opened.authenticated
    assert (blob[1] != 0x80) is (form in ("bytes", "path", "file"))
    with pytest.raises(TypeError):
        bool(opened)


@pytest.mark.parametrize("form", FORMS)
def test_a_digest_beside_its_content(form: str, tmp_path: Path) -> None:
    blob = cms.digest(given_as(form, CONTENT, tmp_path), detached=True)
    assert len(blob) < 120

    opened = cms.open(blob, content=given_as(form, CONTENT, tmp_path))

    assert opened.held == (CONTENT if form == "bytes" else None)
    with pytest.raises(smime.MalformedMail, match="does not have the digest"):
        cms.open(blob, content=given_as(form, CONTENT[:-1], tmp_path))
    with pytest.raises(smime.MalformedMail, match="stands elsewhere"):
        cms.open(blob)
    with pytest.raises(smime.MalformedMail, match="content of its own"):
        cms.open(cms.digest(CONTENT), content=CONTENT)


def test_a_changed_content_has_another_digest(tmp_path: Path) -> None:
    blob = cms.digest(CONTENT)
    out = tmp_path / "out"

    with pytest.raises(smime.MalformedMail, match="does not have the digest"):
        cms.open(blob.replace(b"the end", b"the End"), out=out)

    assert not out.exists()
    cms.open(blob, out=out)
    assert out.read_bytes() == CONTENT


def test_weak_and_unknown_digests() -> None:
    from hashlib import sha1

    inner = der.sequence(der.tlv(0x06, alg.DATA), der.tlv(0xA0, der.octet_string(b"x")))

    def made(algorithm: bytes, value: bytes) -> bytes:
        return whole(alg.DIGESTED_DATA, der.integer(0), algorithm, inner, der.octet_string(value))

    old = made(alg.DIGEST_ALGORITHM["sha1"], sha1(b"x", usedforsecurity=False).digest())

    assert cms.open(old, policy=smime.Policy.legacy_read()).content == b"x"
    with pytest.raises(smime.NotSupported, match="SHA1 is too weak"):
        cms.open(old)
    with pytest.raises(smime.NotSupported, match=r"digest 1\.2\.3 is not supported"):
        cms.open(made(der.sequence(der.oid("1.2.3")), b"x"))


def test_other_content_makes_another_version() -> None:
    assert parts(cms.digest(b"x"))[0] == der.integer(0)
    blob = cms.digest(b"x", content_type="1.2.3.4")
    assert parts(blob)[0] == der.integer(2)
    assert cms.open(blob).content_type == "1.2.3.4"


# --- content keys ----------------------------------------------------------------------


@pytest.mark.parametrize(("form", "octets"), list(product(FORMS, [16, 24, 32])))
def test_encrypted_with_a_key_that_both_have(form: str, octets: int, tmp_path: Path) -> None:
    key = cms.ContentKey(bytes(range(octets)))
    blob = cms.encrypt(given_as(form, CONTENT, tmp_path), to=key)
    assert cms.inspect(blob)["cipher"] == f"AES-{octets * 8}-CBC"

    assert cms.decrypt(given_as(form, blob, tmp_path), keys=key) == CONTENT
    opened = cms.open(given_as(form, blob, tmp_path), keys=[key])
    assert (opened.kind, opened.content) == ("encryptedData", CONTENT)
    assert not opened.authenticated


def test_a_content_key_and_what_it_is_not_for(world: World) -> None:
    blob = cms.encrypt(CONTENT, to=KEY)

    with pytest.raises(smime.DecryptionFailed, match="no content key of the right length") as bad:
        cms.decrypt(blob, keys=[world.bob, cms.ContentKey(bytes(16))])
    assert "32 octets" in bad.value.hint
    with pytest.raises(smime.DecryptionFailed) as bad:
        cms.decrypt(blob, keys=cms.ContentKey(bytes(32)))
    assert str(bad.value) == enveloped.FAILED
    with pytest.raises(ValueError, match="stands alone"):
        cms.encrypt(b"x", to=[KEY, world.bob])
    with pytest.raises(ValueError, match="stands alone"):
        cms.encrypt(b"x", to=[world.bob, KEY])
    with pytest.raises(ValueError, match="aes-256-cbc"):
        cms.encrypt(b"x", to=KEY, policy=smime.Policy(cipher="aes-256-gcm"))
    with pytest.raises(ValueError, match="16, 24 or 32 octets"):
        cms.ContentKey(b"short")
    with pytest.raises(ValueError, match="SharedKey"):
        cms.authenticate(b"x", to=KEY)
    with pytest.raises(smime.DecryptionFailed, match="not sealed for any"):
        cms.decrypt(cms.encrypt(b"x", to=world.bob), keys=KEY)
    assert cms.decrypt(blob, keys=[world.bob, cms.ContentKey(bytes(16)), KEY]) == CONTENT


def test_one_of_several_content_keys_opens() -> None:
    """Each is tried; one that opens the content is believed if no other does."""
    content = CONTENT[:400]
    others = [cms.ContentKey(bytes((n,)) * 32) for n in range(5)]
    for _ in range(20):
        blob = cms.encrypt(content, to=KEY)
        found = {cms.decrypt(blob, keys=KEY)}
        try:
            found.add(cms.decrypt(blob, keys=[*others, KEY]))
        except smime.DecryptionFailed:
            continue  # one in 256 endings is right by chance
        assert found == {content}
        return
    raise AssertionError("it never opened")


def test_a_content_key_tells_nothing() -> None:
    import pickle

    assert bytes(range(8)).hex() not in repr(KEY)
    with pytest.raises(TypeError):
        pickle.dumps(KEY)


# --- codes -----------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "digest"), list(product(FORMS, DIGESTS)))
def test_authenticated(form: str, digest: str, tmp_path: Path) -> None:
    blob = cms.authenticate(given_as(form, CONTENT, tmp_path), to=SHARED, policy=by(digest))

    opened = cms.open(given_as(form, blob, tmp_path), keys=SHARED)

    assert opened.content == CONTENT
    assert (opened.kind, opened.algorithm) == ("authenticatedData", f"HMAC-{digest.upper()}")
    assert opened.authenticated
    assert (blob[1] != 0x80) is (form in ("bytes", "path", "file"))
    assert {"1.2.840.113549.1.9.3", "1.2.840.113549.1.9.4", "1.2.840.113549.1.9.52"} == set(
        opened.attributes
    )


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("digest", DIGESTS)
def test_authenticated_for_every_kind_of_reader(kind: str, digest: str) -> None:
    """A key for SHA-512 has 64 octets, more than any cipher's."""
    key, certificate = person(kind)
    blob = cms.authenticate(CONTENT, to=[certificate, SHARED], policy=by(digest))

    identity = smime.Identity(key, certificate)
    assert cms.open(blob, keys=identity).content == CONTENT
    assert cms.open(blob, keys=cms.OpeningKey(key)).content == CONTENT


def test_a_passphrase_authenticates() -> None:
    blob = cms.authenticate(CONTENT, to=cms.Passphrase("correct horse"))

    assert cms.open(blob, keys=cms.Passphrase("correct horse")).content == CONTENT
    with pytest.raises(smime.DecryptionFailed) as bad:
        cms.open(blob, keys=cms.Passphrase("battery staple"))
    assert str(bad.value) == authenticated.FAILED


@pytest.mark.parametrize("out", ["path", "file", "memory file"])
def test_a_code_beside_its_content(out: str, tmp_path: Path) -> None:
    own = cms.attribute("1.3.6.1.4.1.99999.1", der.octet_string(b"mine"))
    blob = taken_from(
        out,
        lambda out: cms.authenticate(
            CONTENT,
            to=SHARED,
            detached=True,
            content_type="1.2.3.4",
            authenticated_attributes=[own],
            out=out,
        ),
        tmp_path,
    )
    assert blob[1] != 0x80

    opened = cms.open(blob, keys=SHARED, content=CONTENT)

    assert opened.content_type == "1.2.3.4"
    assert opened.attributes["1.3.6.1.4.1.99999.1"] == (der.octet_string(b"mine"),)
    with pytest.raises(smime.DecryptionFailed):
        cms.open(blob, keys=SHARED, content=CONTENT + b"x")


def bare(content: bytes, *, kind: bytes = alg.DATA, key: bytes = bytes(32)) -> bytes:
    """Return an AuthenticatedData without attributes, as others write it."""
    import hmac

    infos = der.set_of(SHARED.info(key))
    inner = der.sequence(der.tlv(0x06, kind), der.tlv(0xA0, der.octet_string(content)))
    mac = hmac.digest(key, content, "sha256")
    return whole(
        alg.AUTHENTICATED_DATA,
        der.integer(0),
        infos,
        der.sequence(alg.HMACS["sha256"]),
        inner,
        der.octet_string(mac),
    )


@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_without_attributes(form: str, tmp_path: Path) -> None:
    blob = bare(CONTENT)

    opened = cms.open(given_as(form, blob, tmp_path), keys=SHARED)

    assert opened.content == CONTENT
    assert opened.attributes == {}
    with pytest.raises(smime.DecryptionFailed):
        cms.open(given_as(form, blob.replace(b"the end", b"the End"), tmp_path), keys=SHARED)
    with pytest.raises(smime.MalformedMail, match="not plain data has no attributes"):
        cms.open(bare(CONTENT, kind=alg.SIGNED_DATA), keys=SHARED)


def test_attributes_are_not_taken_for_content(world: World) -> None:
    """A code over attributes fits a message whose content they are (RFC 5652 §9.2)."""
    blob = cms.authenticate(CONTENT, to=SHARED)
    version, infos, mac, _, _, attributes, code = parts(blob)
    content = b"\x31" + attributes[1:]
    inner = der.sequence(der.tlv(0x06, alg.DATA), der.tlv(0xA0, der.octet_string(content)))

    forged = whole(alg.AUTHENTICATED_DATA, version, infos, mac, inner, code)

    with pytest.raises(smime.MalformedMail, match="a forgery"):
        cms.open(forged, keys=SHARED)


def changed(blob: bytes, at: int, *elements: bytes) -> bytes:
    found = parts(blob)
    return whole(alg.AUTHENTICATED_DATA, *found[:at], *elements, *found[at + 1 :])


def with_attributes(blob: bytes, *attributes: bytes) -> bytes:
    return changed(blob, 5, der.tlv(0xA2, b"".join(sorted(attributes))))


def split(blob: bytes) -> list[bytes]:
    attributes = parts(blob)[5]
    return [attributes[a[1] : a[3]] for a in der.children(attributes, der.top(attributes))]


FORGERIES: dict[str, tuple[Any, type[Exception], str]] = {
    "no attributes": (lambda b: changed(b, 5), smime.MalformedMail, "are not there"),
    "no digest named": (lambda b: changed(b, 3), smime.MalformedMail, "name no digest"),
    "no code": (lambda b: changed(b, 6), smime.MalformedMail, ""),
    "a short code": (
        lambda b: changed(b, 6, der.octet_string(parts(b)[6][2:18])),
        smime.DecryptionFailed,
        "",
    ),
    "another digest": (
        lambda b: changed(b, 3, b"\xa1" + alg.DIGEST_ALGORITHM["sha512"][1:]),
        smime.MalformedMail,
        "protect other algorithms",
    ),
    "another code": (
        lambda b: changed(b, 2, der.sequence(alg.HMACS["sha512"])),
        smime.MalformedMail,
        "protect other algorithms",
    ),
    "SHA-1": (
        lambda b: changed(b, 2, der.sequence(alg.HMACS["sha1"])),
        smime.NotSupported,
        "authentication by HMAC-SHA-1 is not supported",
    ),
    "attributes but one": (
        lambda b: with_attributes(b, *split(b)[:-1]),
        smime.MalformedMail,
        "",
    ),
    "an attribute twice": (
        lambda b: with_attributes(b, *split(b), split(b)[0]),
        smime.MalformedMail,
        "",
    ),
    "an attribute more": (
        lambda b: with_attributes(b, *split(b), cms.attribute("1.2.3", der.NULL)),
        smime.DecryptionFailed,
        "",
    ),
    "another content": (
        lambda b: b.replace(b"the end", b"the End"),
        smime.DecryptionFailed,
        "",
    ),
}


@pytest.mark.parametrize("forgery", list(FORGERIES))
@pytest.mark.parametrize("form", ["bytes", "pipe"])
def test_what_was_changed_is_refused(forgery: str, form: str, tmp_path: Path) -> None:
    change, error, why = FORGERIES[forgery]
    blob = cms.authenticate(CONTENT, to=SHARED)
    out = io.BytesIO()

    with pytest.raises(error, match=why or None) as refused:
        cms.open(given_as(form, change(blob), tmp_path), keys=SHARED, out=out)

    assert out.getvalue() == b""
    if error is smime.DecryptionFailed:
        assert str(refused.value) == authenticated.FAILED
    again = with_attributes(blob, *split(blob))
    assert cms.open(given_as(form, again, tmp_path), keys=SHARED).content == CONTENT


def test_attributes_in_another_order_are_what_they_are(tmp_path: Path) -> None:
    blob = cms.authenticate(CONTENT, to=SHARED)
    other = changed(blob, 5, der.tlv(0xA2, b"".join(reversed(split(blob)))))
    assert other != blob

    assert cms.open(other, keys=SHARED).content == CONTENT


def test_a_wrong_key_and_a_wrong_content_look_the_same(world: World) -> None:
    blob = cms.authenticate(CONTENT, to=world.rsa)
    at = blob.index(b"the end")
    told = set()
    for damage in (at, len(blob) - 3, blob.index(parts(blob)[1]) + 250):
        broken = bytearray(blob)
        broken[damage] ^= 1
        with pytest.raises(smime.DecryptionFailed) as refused:
            cms.open(bytes(broken), keys=world.rsa)
        told.add((str(refused.value), refused.value.hint))

    assert told == {(authenticated.FAILED, "")}
    with pytest.raises(smime.DecryptionFailed, match="not sealed for any"):
        cms.open(blob, keys=world.bob)


# --- open ------------------------------------------------------------------------------


def test_open_says_what_it_is_not_for(world: World) -> None:
    with pytest.raises(smime.MalformedMail, match="signedData is not opened") as refused:
        cms.open(cms.sign(b"x", by=world.alice))
    assert "verify" in refused.value.hint
    with pytest.raises(smime.MalformedMail, match="has its content inside"):
        cms.open(cms.compress(b"x"), content=b"x")
    with pytest.raises(smime.MalformedMail):
        cms.open(b"nothing")
    assert cms.open(cms.compress(b"x")).content == b"x"


@pytest.mark.parametrize("cipher", ["aes-256-cbc", "aes-256-gcm", "aes-128-ccm"])
def test_open_says_what_sealed_it(world: World, cipher: str, tmp_path: Path) -> None:
    blob = cms.encrypt(CONTENT, to=world.bob, policy=smime.Policy(cipher=cipher))

    opened = cms.open(blob, keys=world.bob)

    assert opened.content == CONTENT
    assert opened.algorithm == cipher.upper()
    assert opened.authenticated is not cipher.endswith("cbc")
    cms.open(blob, keys=world.bob, out=tmp_path / "out")
    assert (tmp_path / "out").read_bytes() == CONTENT


def test_inspect_shows_them_without_a_key(world: World) -> None:
    digested = cms.inspect(cms.digest(b"x", content_type="1.2.3.4"))
    assert (digested["type"], digested["digest"]) == ("digestedData", "sha256")
    assert (digested["content_type"], digested["detached"]) == ("1.2.3.4", False)

    coded = cms.inspect(cms.authenticate(b"x", to=[world.bob, SHARED], detached=True))
    assert (coded["type"], coded["code"]) == ("authenticatedData", "HMAC-SHA256")
    assert coded["detached"]
    assert {one["kind"] for one in coded["recipients"]} == {"ec", "shared key"}

    sealed = cms.inspect(cms.encrypt(b"x", to=KEY))
    assert (sealed["type"], sealed["cipher"]) == ("encryptedData", "AES-256-CBC")
    assert sealed["recipients"] == []
    assert cms.inspect(cms.compress(b"x"))["compression"] == "zlib"
