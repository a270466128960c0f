"""Each policy preset against the rules it is named after, and what explain() says."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from asn1crypto import cms as asn1

import smime
from smime import Policy, cms, incoming
from smime.cms import algorithms as alg
from smime.formats import smime as form
from smime.mime.entity import split_entity
from smime.mime.multipart import split_signed
from smime.policy import CONTENT_CIPHERS
from tests.cms.people import certify, person
from tests.public.test_compressed_mail import layers
from tests.support.peers import Peer
from tests.support.world import LETTER, World

NOBODY = smime.NoTrust()
ALL = ("aes-256-gcm", "aes-128-gcm", "aes-256-cbc", "rsa-oaep", "cek-hkdf-sha256")


def sealed_info(mail: smime.Mail) -> Any:
    blob = form.binary(split_entity(bytes(mail)))
    return asn1.ContentInfo.load(blob)["content"]


def knows(one: smime.Identity, *capabilities: str) -> smime.Recipient:
    return smime.Recipient(one.certificate, capabilities)


# --- the choice -------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("policy", "known", "cipher", "transport", "derived"),
    [
        (Policy.modern(), [()], "aes-256-cbc", "rsa-v15", False),
        (Policy.modern(), [ALL], "aes-256-gcm", "rsa-oaep", True),
        (Policy.modern(), [ALL, ()], "aes-256-cbc", "rsa-v15", False),
        (Policy.modern(), [ALL, ("aes-128-gcm",)], "aes-128-gcm", "rsa-v15", False),
        (Policy.modern(), [("aes-128-cbc",)], "aes-128-cbc", "rsa-v15", False),
        (Policy.modern(), [("aes-128-cbc",), ()], "aes-128-cbc", "rsa-v15", False),
        (Policy.modern(), [("aes-128-cbc",), ALL], "aes-256-cbc", "rsa-v15", False),
        (Policy.modern(), [("rsa-oaep",)], "aes-256-cbc", "rsa-oaep", False),
        (Policy.modern(), [], "aes-256-cbc", "rsa-v15", False),
        (Policy.rfc8551(), [()], "aes-256-gcm", "rsa-v15", False),
        (Policy.rfc8551(), [(), ALL], "aes-256-gcm", "rsa-v15", False),
        (Policy.rfc8551(), [(), ("aes-256-cbc",)], "aes-256-cbc", "rsa-v15", False),
        (Policy.rfc8551(), [("aes-128-cbc",)], "aes-128-cbc", "rsa-v15", False),
        (Policy.edi_energy(), [()], "aes-128-gcm", "rsa-oaep", False),
        (Policy.edi_energy(), [("aes-256-cbc",)], "aes-128-gcm", "rsa-oaep", False),
        (Policy.as2(), [()], "aes-256-cbc", "rsa-v15", False),
        (Policy(content_key="derived"), [()], "aes-256-cbc", "rsa-v15", True),
        (Policy(content_key="plain"), [ALL], "aes-256-gcm", "rsa-oaep", False),
    ],
)
def test_what_is_chosen_for_whom(
    policy: Policy, known: list[tuple[str, ...]], cipher: str, transport: str, derived: bool
) -> None:
    assert policy.choose_cipher(known) == cipher
    assert policy.choose_transport(known) == transport
    assert policy.derives_key(known) is derived


@pytest.mark.parametrize("cipher", CONTENT_CIPHERS)
def test_every_cipher_of_a_policy_is_written_and_read(world: World, cipher: str) -> None:
    policy = Policy.modern().replace(cipher=cipher)
    mail = smime.protect(LETTER, by=world.alice, to=[world.bob, world.rsa], policy=policy)

    opened = smime.open(mail, keys=world.rsa, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert opened.report.layers[0].algorithm.lower() == cipher
    assert opened.report.layers[0].authenticated is not cipher.endswith("cbc")


def test_oaep_is_learned_with_its_digest(world: World) -> None:
    """Who reads OAEP by its default, SHA-1, does not read what is written here."""
    from smime.cms import der
    from smime.cms.attributes import Attributes

    def read(capability: bytes) -> tuple[str, ...]:
        kind = der.oid("1.2.840.113549.1.9.15")
        attribute = der.sequence(kind, der.tlv(0x31, der.sequence(capability)))
        blob = der.tlv(0x31, attribute)
        return Attributes(blob, der.top(blob)).capabilities()

    announced = dict(alg.CAPABILITIES)["rsa-oaep"]
    assert read(announced) == ("rsa-oaep",)
    assert all(read(one) == ("rsa-oaep",) for one in alg.OAEP_ANNOUNCED)
    assert read(der.sequence(alg.RSA_OAEP, der.sequence())) == ()


# --- what explain() says -----------------------------------------------------------------


def test_explain_says_it_of_the_content_and_of_each(world: World) -> None:
    everything = knows(world.bob, *ALL)

    assert Policy.modern().explain([everything, knows(world.rsa, *ALL)]).splitlines() == [
        "aes-256-gcm: every recipient says that it reads it",
        "content key: derived for this cipher, RFC 9709; every recipient says that it reads that",
        "bob@example.org: ECDH on secp256r1",
        "dave@example.org: RSA, OAEP with SHA-256; every one with an RSA key says that it reads it",
    ]
    assert Policy.modern().explain([everything, world.rsa]).splitlines() == [
        "aes-256-cbc: AES-GCM is not known to be readable by dave@example.org",
        "it has no tag that shows whether it was changed on the way: sign as well",
        "content key: plain; not every recipient says that it reads derived ones",
        "bob@example.org: ECDH on secp256r1",
        "dave@example.org: RSA, PKCS #1 v1.5; every client reads it",
    ]
    assert Policy.edi_energy().explain([world.rsa]).splitlines() == [
        "aes-128-gcm: named by the policy",
        "content key: plain; named by the policy",
        "dave@example.org: RSA, OAEP with SHA-256; by the policy",
    ]
    told = Policy.rfc8551().explain([world.rsa, world.alice])
    assert "nothing is known of dave@example.org; alice@example.org" in told


def test_a_sender_is_known_by_what_it_announces(world: World) -> None:
    """All readers of protect() and protect_each(): who is sealed for as the sender is one."""

    def protected(*to: smime.Addressee, to_self: bool = True) -> str:
        one = smime.protect(LETTER, by=world.alice, to=to, to_self=to_self)
        for made in (one, *smime.protect_each(LETTER, by=world.alice, to=to, to_self=to_self)):
            opened = smime.verify(made, keys=[world.alice, world.bob], trust=world.anchors)
            (layer, _) = opened.report.layers
            found.add(layer.algorithm.lower())
        (cipher,) = found
        found.clear()
        return cipher

    found: set[str] = set()
    bob = knows(world.bob, *ALL)
    assert protected(bob) == "aes-256-gcm"
    assert protected(bob, to_self=False) == "aes-256-gcm"
    assert (
        protected(world.alice) == "aes-256-gcm"
    )  # named among the readers, it is the sender still
    assert protected(world.bob) == "aes-256-cbc"  # of whom nothing is known
    assert protected(knows(world.bob, "aes-128-gcm", "aes-128-cbc")) == "aes-128-gcm"
    assert protected(knows(world.alice, "aes-128-cbc")) == "aes-128-cbc"  # as the caller says
    told = Policy.modern().explain([bob], by=world.alice).splitlines()
    assert told[0] == "aes-256-gcm: every recipient says that it reads it"
    assert told[-1].startswith("alice@example.org: ")
    told = Policy.modern().explain([world.bob], by=world.alice).splitlines()
    assert told[0] == "aes-256-cbc: AES-GCM is not known to be readable by bob@example.org"


def test_oaep_is_asked_of_those_with_rsa_keys_alone(world: World) -> None:
    """What a reader with an EC key says of RSA is no matter to the others."""
    mixed = [knows(world.bob, "aes-256-gcm"), knows(world.rsa, "aes-256-gcm", "rsa-oaep")]

    info = sealed_info(smime.encrypt(LETTER, to=mixed))
    blob = cms.encrypt(b"data", to=mixed)

    kinds = {
        one.chosen["key_encryption_algorithm"]["algorithm"].native
        for one in info["recipient_infos"]
        if one.name == "ktri"
    }
    assert kinds == {"rsaes_oaep"}
    assert alg.RSA_OAEP in blob
    assert "OAEP" in Policy.modern().explain(mixed)
    assert alg.RSA_OAEP not in cms.encrypt(b"data", to=[mixed[0], world.rsa])


@pytest.mark.parametrize("known", [(), ALL, ("aes-128-cbc",), ("aes-256-gcm",)])
def test_what_is_explained_is_what_is_done(world: World, known: tuple[str, ...]) -> None:
    for policy in (Policy.modern(), Policy.rfc8551(), Policy.edi_energy(), Policy.as2()):
        reader = knows(world.rsa, *known)
        told = policy.explain([reader])
        content = sealed_info(smime.encrypt(LETTER, to=reader, policy=policy))
        name = "auth_encrypted_content_info" if "-gcm" in told else "encrypted_content_info"
        algorithm = content[name]["content_encryption_algorithm"]["algorithm"].native
        if "derived for" in told:
            assert algorithm == "1.2.840.113549.1.9.16.3.31"
        else:
            assert algorithm.replace("_", "-").replace("aes", "aes-") == told.partition(":")[0]
        (info,) = content["recipient_infos"]
        way = info.chosen["key_encryption_algorithm"]["algorithm"].native
        assert (way == "rsaes_oaep") is ("OAEP" in told)


# --- presets -------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def brainpool(world: World) -> smime.Identity:
    key, _ = person("brainpool256")
    return smime.Identity(
        key, certify(key.public_key(), "grid", serial=4711, address="edifact@example.org")
    )


def test_edi_energy_signs_by_pss_and_seals_by_oaep(world: World) -> None:
    """RSASSA-PSS and RSAES-OAEP, SHA-256 and MGF1 with it, salt of 32 octets, AES-128-GCM."""
    policy = Policy.edi_energy()
    signed = smime.sign(LETTER, by=world.rsa, policy=policy)
    sealed = smime.encrypt(signed, to=world.rsa, policy=policy)

    assert b"\r\nSubject: =?utf-8?b?" in bytes(sealed)  # it names the file, and stays
    content = sealed_info(sealed)
    info = content["auth_encrypted_content_info"]
    assert info["content_encryption_algorithm"]["algorithm"].native == "aes128_gcm"
    (recipient,) = content["recipient_infos"]
    oaep = recipient.chosen["key_encryption_algorithm"]
    assert oaep["algorithm"].native == "rsaes_oaep"
    assert oaep["parameters"].native["hash_algorithm"]["algorithm"] == "sha256"
    mask = oaep["parameters"].native["mask_gen_algorithm"]
    assert (mask["algorithm"], mask["parameters"]["algorithm"]) == ("mgf1", "sha256")
    opened = smime.verify(
        sealed, keys=world.rsa, trust=world.anchors, policy=policy, sender="dave@example.org"
    )
    (check,) = opened.report.signatures
    assert check.digest_algorithm == "sha256"
    signature = form.binary(split_entity(split_signed(split_entity(bytes(signed)))[1].raw))
    (signer,) = asn1.ContentInfo.load(signature)["content"]["signer_infos"]
    assert signer["signature_algorithm"]["algorithm"].native == "rsassa_pss"
    pss = signer["signature_algorithm"]["parameters"].native
    assert (pss["hash_algorithm"]["algorithm"], pss["salt_length"]) == ("sha256", 32)
    assert pss["mask_gen_algorithm"]["parameters"]["algorithm"] == "sha256"


def test_edi_energy_on_brainpool(brainpool: smime.Identity) -> None:
    policy = Policy.edi_energy()
    mail = LETTER.replace(b"alice@example.org", b"edifact@example.org")
    sealed = smime.protect(mail, by=brainpool, to=brainpool, policy=policy)

    opened = smime.verify(
        sealed, keys=brainpool, trust=smime.Pinned(brainpool.certificate), policy=policy
    )

    assert opened.signer == "edifact@example.org"
    content = sealed_info(sealed)
    (info,) = content["recipient_infos"]
    assert info.name == "kari"
    assert (
        content["auth_encrypted_content_info"]["content_encryption_algorithm"]["algorithm"].native
        == "aes128_gcm"
    )


@pytest.mark.peer("openssl")
def test_edi_energy_to_openssl_and_back(world: World, openssl: Peer, tmp_path: Path) -> None:
    """What its partners' programs do is what `openssl cms` does."""
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
    )

    key, certificate = person("rsa")
    reader = smime.Identity(key, certificate)
    (tmp_path / "key").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (tmp_path / "crt").write_bytes(certificate.public_bytes(Encoding.PEM))
    (tmp_path / "content").write_bytes(LETTER)
    signed = cms.sign(LETTER, by=reader, policy=Policy.edi_energy())
    sealed = cms.encrypt(signed, to=certificate, policy=Policy.edi_energy())
    (tmp_path / "sealed").write_bytes(sealed)

    opened = openssl.run(
        "cms", "-decrypt", "-binary", "-inform", "DER", "-in", tmp_path / "sealed",
        "-inkey", tmp_path / "key",
    )  # fmt: skip
    assert opened == signed
    (tmp_path / "signed").write_bytes(opened)
    verified = openssl.run(
        "cms", "-verify", "-binary", "-inform", "DER", "-in", tmp_path / "signed", "-noverify",
        "-certfile", tmp_path / "crt",
    )  # fmt: skip
    assert verified == LETTER
    theirs = openssl.run(
        "cms", "-encrypt", "-binary", "-in", tmp_path / "content", "-outform", "DER",
        "-aes-128-gcm", "-recip", tmp_path / "crt", "-keyopt", "rsa_padding_mode:oaep",
        "-keyopt", "rsa_oaep_md:sha256",
    )  # fmt: skip
    assert cms.decrypt(theirs, keys=reader, policy=Policy.edi_energy()) == LETTER


def test_as2_keeps_every_octet_and_spells_as_the_partner_does(world: World) -> None:
    content = b"Content-Type: application/edi-x12\r\n\r\nISA*00*\n\x80"
    for micalg, digest in (("sha256", "sha256"), ("sha-384", "sha384"), ("SHA512", "sha512")):
        signed = smime.sign(content, by=world.rsa, policy=Policy.as2(micalg=micalg))
        assert f'micalg="{micalg}"'.encode() in bytes(signed)
        opened = smime.verify(
            signed,
            trust=world.anchors,
            sender="dave@example.org",
            policy=Policy.as2(micalg=micalg),
        )
        assert opened.content == content
        assert opened.report.signatures[0].digest_algorithm == digest
    with pytest.raises(ValueError, match="micalg"):
        Policy.as2(micalg="md5")


def test_presets_are_values() -> None:
    presets = [
        Policy.modern(),
        Policy.rfc8551(),
        Policy.edi_energy(),
        Policy.as2(),
        Policy.as2(micalg="sha-512"),
        Policy.legacy_read(),
        Policy.modern().replace(compress=True),
    ]

    assert len(set(presets)) == len(presets)
    assert all(one.replace() == one for one in presets)
    assert Policy.edi_energy().replace(cipher="aes-128-cbc").cipher == "aes-128-cbc"
    with pytest.raises(TypeError, match="no field"):
        Policy.modern().replace(colour="green")
    # Nothing weak is ever written, under whatever policy.
    for one in presets:
        assert one.digest not in ("sha1", "md5")
        assert not one.cipher.startswith(("3des", "rc2"))


# --- compressed mail ------------------------------------------------------------------------

PACKED = Policy.modern().replace(compress=True)


def test_compressed_before_it_is_signed_and_sealed(world: World) -> None:
    long = LETTER.replace(b"we meet at noon.", b"we meet at noon. " * 2000)
    plain = smime.protect(long, by=world.alice, to=world.bob)
    mail = smime.protect(long, by=world.alice, to=world.bob, policy=PACKED)

    opened = smime.verify(mail, keys=world.bob, trust=world.anchors)

    assert layers(opened.report) == ["encrypted", "signed", "compressed"]
    assert opened.signer == "alice@example.org"
    assert opened.message["Subject"] == smime.Mail(LETTER).parsed()["Subject"]
    assert len(bytes(mail)) < len(bytes(plain)) / 4
    signed = smime.verify(smime.sign(long, by=world.alice, policy=PACKED), trust=world.anchors)
    assert layers(signed.report) == ["signed", "compressed"]
    sealed = smime.encrypt(long, to=world.bob, policy=PACKED)
    report = smime.examine(sealed, keys=world.bob, trust=world.anchors)
    assert layers(report) == ["encrypted", "compressed"]
    (copy,) = smime.protect_each(long, by=world.alice, to=[world.bob], policy=PACKED)
    assert smime.verify(copy, keys=world.bob, trust=world.anchors).report.layers[-1].kind == (
        "compressed"
    )


def test_a_large_mail_is_compressed_in_pieces(world: World, tmp_path: Path) -> None:
    lines = b"".join(b"%d bottles of beer on the wall\r\n" % n for n in range(60_000))
    mail = b"From: alice@example.org\r\nSubject: song\r\nContent-Type: text/plain\r\n\r\n" + lines
    source, out = tmp_path / "in", tmp_path / "out"
    source.write_bytes(mail)

    for verb, given in (
        (smime.sign, {"by": world.alice}),
        (smime.encrypt, {"to": world.bob}),
        (smime.protect, {"by": world.alice, "to": world.bob}),
    ):
        verb(source, policy=PACKED, out=out, **given)
        assert out.stat().st_size < len(mail) / 3
        opened = smime.open(out.read_bytes(), keys=world.bob, trust=world.anchors)
        assert opened.content.endswith(lines)
        assert layers(opened.report)[-1] == "compressed"


def test_as2_with_compression_has_a_mic_of_what_was_signed(world: World) -> None:
    """RFC 5402: compressed before signing, the MIC is over the compressed entity."""
    import hashlib

    policy = Policy.as2(micalg="sha256").replace(compress=True)
    entity = b"Content-Type: application/edifact\r\n\r\n" + b"UNH+1+ORDERS:D:96A:UN'" * 500
    sent = smime.encrypt(
        smime.sign(entity, by=world.rsa, policy=policy),
        to=world.bob,
        policy=policy.replace(compress=False),
    )

    opened = smime.verify(
        sent, keys=world.bob, trust=world.anchors, sender="dave@example.org", policy=policy
    )

    assert opened.content == entity
    (check,) = opened.report.signatures
    packed = incoming.inspect(smime.sign(entity, by=world.rsa, policy=policy))["children"][0]
    assert packed["cms"]["type"] == "compressedData"
    signed = bytes(smime.sign(entity, by=world.rsa, policy=policy))
    boundary = signed.split(b'boundary="')[1].split(b'"')[0]
    part = signed.split(b"\r\n--" + boundary)[1].removeprefix(b"\r\n")
    assert check.digest == hashlib.sha256(part).digest()
