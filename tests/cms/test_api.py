"""The verbs of smime.cms: what they take, give and refuse."""

from __future__ import annotations

import base64
import pickle
from datetime import UTC, datetime, timedelta
from itertools import product
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from smime import cms
from smime.cms import ber
from tests.support.sources import FORMS, given_as, taken_from
from tests.support.world import World
from tests.trust import ca

CONTENT = bytes(range(256)) * 4000 + b"the end"  # several pieces, and no whole block
CIPHERS = ["aes-256-cbc", "aes-128-cbc", "aes-256-gcm", "aes-128-gcm"]
OUTS = ["path", "file", "memory file"]


def armoured(blob: bytes) -> bytes:
    return b"-----BEGIN CMS-----\n" + base64.encodebytes(blob) + b"-----END CMS-----\n"


def sealing(cipher: str) -> smime.Policy:
    return smime.Policy.modern().replace(cipher=cipher)


# --- sealing -------------------------------------------------------------------------


@pytest.mark.parametrize(("form", "cipher"), list(product(FORMS, CIPHERS)))
def test_sealed_from_any_source_opens_from_any_source(
    world: World, tmp_path: Path, form: str, cipher: str
) -> None:
    data = given_as(form, CONTENT, tmp_path)
    blob = cms.encrypt(data, to=[world.bob, world.rsa], policy=sealing(cipher))

    assert cms.decrypt(given_as(form, blob, tmp_path), keys=world.bob) == CONTENT
    assert cms.decrypt(given_as(form, armoured(blob), tmp_path), keys=world.rsa) == CONTENT


@pytest.mark.parametrize("cipher", CIPHERS)
def test_what_is_sealed_goes_wherever_it_is_to_go(
    world: World, tmp_path: Path, cipher: str
) -> None:
    source = given_as("path", CONTENT, tmp_path)
    for out in OUTS:
        blob = taken_from(
            out,
            lambda out: cms.encrypt(source, to=world.bob, policy=sealing(cipher), out=out),
            tmp_path,
        )
        sealed = given_as("path", blob, tmp_path)

        opened = taken_from(
            out, lambda out, sealed=sealed: cms.decrypt(sealed, keys=world.bob, out=out), tmp_path
        )

        assert opened == CONTENT


@pytest.mark.parametrize("cipher", CIPHERS)
def test_a_file_is_sealed_as_der_and_a_pipe_as_ber(
    world: World, tmp_path: Path, cipher: str
) -> None:
    """The size of a file is known, so gpgsm and others that read no BER can read it."""
    policy = sealing(cipher)
    whole, file, pipe = (
        cms.encrypt(given_as(form, CONTENT, tmp_path), to=world.rsa, policy=policy)
        for form in ("bytes", "path", "pipe")
    )

    assert len(file) == len(whole)
    assert ber.definite(file) == file
    assert ber.definite(pipe) != pipe


@pytest.mark.parametrize("octets", [0, 1, 15, 16, 17, 31, 32])
@pytest.mark.parametrize("form", ["path", "pipe"])
def test_any_length(world: World, tmp_path: Path, octets: int, form: str) -> None:
    for cipher in CIPHERS:
        data = given_as(form, b"x" * octets, tmp_path)
        blob = cms.encrypt(data, to=world.bob, policy=sealing(cipher))

        opened = cms.decrypt(given_as(form, blob, tmp_path), keys=world.bob)

        assert opened == b"x" * octets


def test_a_certificate_and_a_bare_key_will_do(world: World, tmp_path: Path) -> None:
    key = smime.Identity.parse(world.rsa.to_p12("secret"), passphrase="secret")
    from cryptography.hazmat.primitives.serialization.pkcs12 import load_pkcs12

    bare = load_pkcs12(world.rsa.to_p12("secret"), b"secret").key
    assert bare is not None
    blob = cms.encrypt(CONTENT, to=world.rsa.certificate)

    for source in (blob, given_as("path", blob, tmp_path), given_as("pipe", blob, tmp_path)):
        assert cms.decrypt(source, keys=bare) == CONTENT  # type: ignore[arg-type]
    assert cms.decrypt(blob, keys=[key]) == CONTENT


def test_a_reader_named_twice_is_written_to_once(world: World) -> None:
    blob = cms.encrypt(b"x", to=[world.bob, world.bob.recipient, world.bob.certificate])

    assert len(cms.inspect(blob)["recipients"]) == 1


# --- signing -----------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("form", "detached", "who"), list(product(FORMS, (False, True), ("alice", "rsa", "both")))
)
def test_signed_from_any_source_verifies_from_any_source(
    world: World, tmp_path: Path, form: str, detached: bool, who: str
) -> None:
    by = {"alice": world.alice, "rsa": world.rsa, "both": [world.alice, world.rsa]}[who]
    blob = cms.sign(given_as(form, CONTENT, tmp_path), by=by, detached=detached)
    beside = given_as(form, CONTENT, tmp_path) if detached else None

    opened = cms.verify(given_as(form, blob, tmp_path), content=beside, trust=world.anchors)

    assert all(one.good for one in opened.signatures)
    assert len(opened.signatures) == (2 if who == "both" else 1)
    if not detached or form == "bytes":
        assert opened.content == CONTENT
    else:
        with pytest.raises(ValueError, match="out="):
            _ = opened.content


@pytest.mark.parametrize(("out", "detached"), list(product(OUTS, (False, True))))
def test_out_gets_what_was_verified(world: World, tmp_path: Path, out: str, detached: bool) -> None:
    source = given_as("path", CONTENT, tmp_path)
    blob = given_as("path", cms.sign(source, by=world.alice, detached=detached), tmp_path)
    beside = source if detached else None

    taken = taken_from(
        out,
        lambda out: cms.verify(blob, content=beside, trust=world.anchors, out=out),
        tmp_path,
    )

    assert taken == CONTENT


def test_a_file_signed_with_rsa_is_der(world: World, tmp_path: Path) -> None:
    """All lengths are known beforehand; those of ECDSA values are not."""
    source = given_as("path", CONTENT, tmp_path)

    by_rsa, by_ec = (cms.sign(source, by=one) for one in (world.rsa, world.alice))

    assert ber.definite(by_rsa) == by_rsa
    assert ber.definite(by_ec) != by_ec


def test_the_address_is_asked_only_of_a_sender(world: World) -> None:
    blob = cms.sign(b"x", by=world.alice)

    (check,) = cms.verify(blob, trust=world.anchors).signatures
    assert check.address.code == "not-asked"
    assert check.signer == "alice@example.org"
    assert cms.verify(blob, trust=world.anchors, sender="alice@example.org").signatures
    with pytest.raises(smime.SignatureRejected) as caught:
        cms.verify(blob, trust=world.anchors, sender="bob@example.org")
    assert caught.value.report.signatures[0].address.code == "address-differs"


PASSES = x509.ObjectIdentifier("1.2.840.113635.100.4.14")


@pytest.mark.parametrize(
    ("purpose", "good"),
    [("mail", False), (PASSES.dotted_string, True), ("any", True), ("1.2.3.4", False)],
)
def test_certificates_of_another_world(purpose: str, good: bool) -> None:
    """A pass is signed with a certificate that is not meant for mail."""
    root = ca.root()
    leaf = ca.user(root, purposes=(PASSES,))
    key = cms.SigningKey(leaf.key, leaf.certificate)
    blob = cms.sign(b"manifest", by=key, at=ca.AT)
    anchors = smime.Anchors([root.certificate])

    if good:
        assert cms.verify(blob, trust=anchors, at=ca.AT, purpose=purpose).content == b"manifest"
    else:
        with pytest.raises(smime.SignatureRejected) as caught:
            cms.verify(blob, trust=anchors, at=ca.AT, purpose=purpose)
        assert caught.value.report.signatures[0].usage.code == "eku-wrong"


@pytest.mark.parametrize("form", FORMS)
def test_secrets_that_two_sides_share(tmp_path: Path, form: str) -> None:
    shared = cms.SharedKey(bytes(32), b"july")
    spoken = cms.Passphrase("correct horse")
    data = given_as(form, CONTENT, tmp_path)
    blob = cms.encrypt(data, to=[shared, spoken], policy=sealing("aes-256-gcm"))

    for key in (shared, spoken):
        assert cms.decrypt(given_as(form, blob, tmp_path), keys=key) == CONTENT
    with pytest.raises(smime.DecryptionFailed):
        cms.decrypt(given_as(form, blob, tmp_path), keys=cms.Passphrase("wrong"))


def test_all_signatures_must_be_good_or_any(world: World, tmp_path: Path) -> None:
    import pki

    stranger = pki.Authority.create("Other").issue("mallory@example.org")
    blob = cms.sign(b"x", by=[world.alice, stranger])

    for source in (blob, given_as("path", blob, tmp_path)):
        with pytest.raises(smime.SignatureRejected):
            cms.verify(source, trust=world.anchors)
        opened = cms.verify(source, trust=world.anchors, require="any")
        assert [one.good for one in opened.signatures].count(True) == 1
        with pytest.raises(smime.SignatureRejected):
            cms.verify(source, trust=smime.NoTrust(), require="any")


@pytest.mark.parametrize("form", ["bytes", "path"])
def test_nobody_signed(world: World, tmp_path: Path, form: str) -> None:
    """A bundle of certificates is a SignedData without signers: never good."""
    blob = cms.bundle([world.alice.certificate])

    with pytest.raises(smime.SignatureRejected, match="nobody"):
        cms.verify(given_as(form, blob, tmp_path), content=b"x", trust=world.anchors)


@pytest.mark.parametrize("form", FORMS)
def test_changed_content_is_refused_and_leaves_nothing(
    world: World, tmp_path: Path, form: str
) -> None:
    folder = tmp_path / "out"
    folder.mkdir()
    for detached in (False, True):
        blob = cms.sign(CONTENT, by=world.alice, detached=detached)
        changed = CONTENT[:-1] + b"!"
        if not detached:
            blob = blob.replace(b"the end", b"the enD")
        beside = given_as(form, changed, tmp_path) if detached else None

        with pytest.raises(smime.SignatureRejected) as caught:
            cms.verify(
                given_as(form, blob, tmp_path),
                content=beside,
                trust=world.anchors,
                out=folder / "content",
            )

        assert caught.value.report.signatures[0].intact.code == "digest-differs"
        assert list(folder.iterdir()) == []


@pytest.mark.parametrize("form", ["bytes", "path", "pipe"])
def test_the_content_is_inside_or_beside_never_both_or_neither(
    world: World, tmp_path: Path, form: str
) -> None:
    opaque = cms.sign(b"x", by=world.alice)
    detached = cms.sign(b"x", by=world.alice, detached=True)

    with pytest.raises(smime.MalformedMail, match="content of its own"):
        cms.verify(given_as(form, opaque, tmp_path), content=b"x", trust=world.anchors)
    with pytest.raises(smime.MalformedMail, match="detached"):
        cms.verify(given_as(form, detached, tmp_path), trust=world.anchors)


def test_the_kind_of_content_is_told(world: World, tmp_path: Path) -> None:
    inner = cms.encrypt(b"x", to=world.bob)
    other = "2.23.136.1.1.1"  # id-icao-mrtd-security-ldsSecurityObject
    for source in (inner, given_as("path", inner, tmp_path)):
        blob = cms.sign(source, by=world.rsa, content_type=other)
        opened = cms.verify(blob, trust=world.anchors)
        assert (opened.content_type, opened.encrypted) == (other, False)

        blob = cms.sign(source, by=world.rsa, content_type="1.2.840.113549.1.7.3")
        assert cms.verify(given_as("path", blob, tmp_path), trust=world.anchors).encrypted


def test_without_attributes_only_by_policy(world: World, tmp_path: Path) -> None:
    """A file is digested as it goes by, and verifies without its content in memory."""
    legacy = smime.Policy.modern().replace(weak=["no-attributes"])
    for form in ("bytes", "path", "pipe"):
        blob = cms.sign(given_as(form, CONTENT, tmp_path), by=world.rsa, attributes=False)
        for read in ("bytes", "path"):
            with pytest.raises(smime.SignatureRejected):
                cms.verify(given_as(read, blob, tmp_path), trust=world.anchors)
            opened = cms.verify(given_as(read, blob, tmp_path), trust=world.anchors, policy=legacy)
            assert opened.content == CONTENT


def test_results_pickle_and_are_no_yes_or_no(world: World) -> None:
    opened = cms.verify(cms.sign(b"x", by=world.alice), trust=world.anchors)

    assert pickle.loads(pickle.dumps(opened)) == opened
    assert "held" not in repr(opened)
    with pytest.raises(TypeError, match="yes or no"):
        bool(opened)


@pytest.mark.parametrize("form", FORMS)
def test_inspect_from_any_source(world: World, tmp_path: Path, form: str) -> None:
    blob = cms.sign(b"x", by=world.alice)

    assert cms.inspect(given_as(form, blob, tmp_path)) == cms.inspect(blob)
    assert cms.inspect(given_as(form, armoured(blob), tmp_path)) == cms.inspect(blob)


# --- certificates ---------------------------------------------------------------------------


@pytest.mark.parametrize("form", FORMS)
def test_certificates_both_ways(world: World, tmp_path: Path, form: str) -> None:
    given = [world.alice.certificate, world.bob.certificate]

    found = cms.certificates(given_as(form, cms.bundle(given), tmp_path))

    assert sorted(one.public_bytes(Encoding.DER) for one in found) == sorted(
        one.public_bytes(Encoding.DER) for one in given
    )
    signed = cms.sign(b"x", by=world.alice)
    assert world.alice.certificate in cms.certificates(given_as(form, signed, tmp_path))
    with pytest.raises(ValueError, match="at least one"):
        cms.bundle([])


# --- what is refused -------------------------------------------------------------------------


def test_a_str_is_refused_with_the_line_to_type(world: World) -> None:
    calls = [
        lambda: cms.sign("x", by=world.alice),  # type: ignore[call-overload]
        lambda: cms.sign(b"x", by="alice.p12"),
        lambda: cms.encrypt(b"x", to="bob.pem"),
        lambda: cms.decrypt(b"x", keys="bob.p12"),
        lambda: cms.decrypt(b"x", keys=world.bob, out="out.bin"),  # type: ignore[call-overload]
        lambda: cms.verify("x", trust=world.anchors),  # type: ignore[arg-type]
        lambda: cms.verify(b"x", trust="root.pem"),  # type: ignore[arg-type]
        lambda: cms.encrypt(b"x", to=None),
        lambda: cms.sign(b"x", by=world.bob.recipient),
        lambda: cms.encrypt(object(), to=world.bob),  # type: ignore[call-overload]
    ]
    for call in calls:
        with pytest.raises(TypeError):
            call()
    with pytest.raises(ValueError, match="empty"):
        cms.sign(b"x", by=[])
    with pytest.raises(ValueError, match="empty"):
        cms.encrypt(b"x", to=[])
    with pytest.raises(ValueError, match="all or any"):
        cms.verify(b"x", trust=world.anchors, require="some")  # type: ignore[arg-type]


def test_a_text_file_is_refused(world: World, tmp_path: Path) -> None:
    path = tmp_path / "text"
    path.write_text("x")
    with path.open() as file, pytest.raises(TypeError, match="rb"):
        cms.encrypt(file, to=world.bob)  # type: ignore[call-overload]


def test_certificates_are_judged_before_they_are_used(world: World) -> None:
    """Dates and keyUsage; what mail asks of extKeyUsage is not asked here."""
    later = datetime.now(UTC) + timedelta(days=4000)

    with pytest.raises(smime.KeyProblem, match="expired"):
        cms.sign(b"x", by=world.alice, at=later)
    assert cms.sign(b"x", by=world.alice)
    with pytest.raises(smime.KeyProblem, match="RSA-2048"):
        cms.encrypt(b"x", to=world.rsa, policy=smime.Policy.modern().replace(rsa_bits_min=3072))
    with pytest.raises(smime.KeyProblem, match="keyUsage"):
        cms.encrypt(b"x", to=world.ca.certificate)


def test_who_is_no_reader_learns_for_whom_it_is(world: World, tmp_path: Path) -> None:
    blob = cms.encrypt(b"x", to=world.bob)
    for source in (blob, given_as("path", blob, tmp_path)):
        with pytest.raises(smime.DecryptionFailed, match="not sealed for any") as caught:
            cms.decrypt(source, keys=world.carol)
        assert "serial" in caught.value.hint


@pytest.mark.parametrize("form", FORMS)
def test_one_kind_is_not_taken_for_another(world: World, tmp_path: Path, form: str) -> None:
    signed, sealed = cms.sign(b"x", by=world.alice), cms.encrypt(b"x", to=world.bob)

    with pytest.raises(smime.MalformedMail):
        cms.decrypt(given_as(form, signed, tmp_path), keys=world.bob)
    with pytest.raises(smime.MalformedMail):
        cms.verify(given_as(form, sealed, tmp_path), trust=world.anchors)
    for junk in (b"", b"\x30", b"hello", b"-----BEGIN CMS-----\n", b"\x30\x80"):
        with pytest.raises(smime.MalformedMail):
            cms.decrypt(given_as(form, junk, tmp_path), keys=world.bob)
        with pytest.raises(smime.MalformedMail):
            cms.verify(given_as(form, junk, tmp_path), trust=world.anchors)
