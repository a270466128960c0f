"""Sealed mails that must not open, and why."""

from __future__ import annotations

from collections.abc import Iterator

from cms import (
    AUTH_ENVELOPED,
    CIPHERS,
    ENVELOPED,
    a_type,
    agreement,
    auth_enveloped,
    content_info,
    content_key,
    enveloped,
    issuer_and_serial,
    kek_recipient,
    passphrase_recipient,
    seeded,
    transport,
    transport_oaep,
)
from der import integer, octets, oid, seq, tlv
from mails import ENTITY, Vector, shelf
from people import ALICE, person
from sealed import P256_BOB, RSA_BOB, cbc, for_bob, gcm, mail

CAROL_RSA = person("carol@example.org", "rsa2048")
vector = shelf("sealed")


def vectors() -> Iterator[Vector]:
    yield from refused_by_cms()
    yield from refused_by_key()


def refused_by_cms() -> Iterator[Vector]:
    rule = "RFC 5084 §3.2"
    for size in (4, 8, 11):
        yield vector(
            f"gcm-tag-{size}",
            f"a tag of {size} octets protects too little",
            rule,
            "cms",
            gcm(f"tag {size}", tag=size),
        )
    yield vector(
        "gcm-tag-cut",
        "16 octets of tag are stated, 12 are there",
        rule,
        "cms",
        gcm("tag cut", tag=12, stated=16),
    )
    yield vector(
        "gcm-tag-longer-than-stated",
        "12 octets of tag are stated, 16 are there",
        rule,
        "cms",
        gcm("tag longer", stated=12),
    )
    name = "gcm-in-enveloped-data"
    blob = auth_enveloped(ENTITY, for_bob(name, "aes-256-gcm"), name, kind=ENVELOPED)
    about = "AES-GCM in EnvelopedData, its tag at the end of the content"
    yield vector(name, about, "RFC 5084 §1", "cms", mail(blob))
    name = "cbc-in-auth-enveloped"
    key = content_key(name, "aes-256-cbc")
    named = seq(oid(CIPHERS["aes-256-cbc"][0]), octets(seeded(name, 16)))
    inner = seq(oid("1.2.840.113549.1.7.1"), named, tlv(0x80, seeded(name, 64)))
    body = seq(integer(0), tlv(0x31, transport(RSA_BOB, key, name)), inner, octets(bytes(16)))
    yield vector(
        name,
        "AES-CBC where a tag is promised",
        "RFC 5083 §2.1",
        "cms",
        mail(content_info(AUTH_ENVELOPED, body), "authEnveloped-data"),
    )
    rule = "RFC 5652 §6.1"
    yield vector(
        "cbc-no-ciphertext",
        "ciphertext of no octets: not even padding",
        "RFC 5652 §6.3",
        "cms",
        cbc("none", ciphertext=b""),
    )
    yield vector(
        "cbc-half-a-block",
        "ciphertext that is not whole blocks",
        "RFC 5652 §6.3",
        "cms",
        cbc("half", ciphertext=seeded("half", 40)),
    )
    yield vector(
        "content-absent",
        "the encrypted content is elsewhere",
        rule,
        "cms",
        cbc("absent", absent=True),
    )
    yield vector(
        "no-readers",
        "nobody is named who could open it",
        "RFC 5652 §6.1",
        "key",
        mail(enveloped(ENTITY, [], "nobody")),
    )
    yield vector(
        "rc2",
        "RC2 is known by name and not read",
        "RFC 8551 §2.7",
        "cms",
        cbc("rc2", cipher="rc2-cbc"),
    )
    name = "only-shared-key"
    yield vector(
        name,
        "only a shared key opens it, and bob has none",
        "RFC 5652 §6.2.3",
        "key",
        cbc(name, readers=[kek_recipient(name)]),
    )
    name = "only-passphrase"
    yield vector(
        name,
        "only a passphrase opens it, and bob has none",
        "RFC 5652 §6.2.4",
        "key",
        cbc(name, readers=[passphrase_recipient(name)]),
    )
    name = "key-transport-unknown"
    reader = transport(RSA_BOB, content_key(name, "aes-256-cbc"), name)
    strange = reader.replace(oid("1.2.840.113549.1.1.1"), oid("1.2.840.113549.1.1.9"))
    yield vector(
        name,
        "bob's key is sealed by an algorithm that nobody knows",
        "RFC 5652 §6.2.1",
        "cms",
        cbc(name, readers=[strange]),
    )
    whole = enveloped(ENTITY, for_bob("cut", "aes-256-cbc"), "cut")
    for name, cut in (("half", len(whole) // 2), ("by-one", len(whole) - 1), ("to-header", 4)):
        yield vector(
            f"truncated-{name}",
            "the structure ends too early",
            "X.690 §8.1.3",
            "cms",
            mail(whole[:cut]),
        )
    yield vector(
        "trailing-data",
        "data after the end of the structure is passed over",
        "X.690 §8.1",
        "opens",
        mail(whole + b"\x04\x01x"),
    )
    yield vector(
        "compressed",
        "compressed data without anything in it",
        "RFC 3274 §1.1",
        "cms",
        mail(content_info("1.2.840.113549.1.9.16.1.9", seq(integer(0))), "compressed-data"),
    )


def refused_by_key() -> Iterator[Vector]:
    name = "for-somebody-else"
    key = content_key(name, "aes-256-cbc")
    yield vector(
        name,
        "bob is not among the readers",
        "RFC 5652 §6.2",
        "key",
        cbc(name, readers=[transport(ALICE["rsa2048"], key, name)]),
    )
    rule = "RFC 5652 §6.3"
    block = 16 - len(ENTITY) % 16
    for name, padded in (
        ("cbc-padding-zero", ENTITY + bytes(block)),
        ("cbc-padding-differs", ENTITY + bytes((1,)) * (block - 1) + bytes((block,))),
        ("cbc-padding-too-long", ENTITY + bytes((17,)) * block),
    ):
        yield vector(
            name, "the padding is not what it has to be", rule, "key", cbc(name, padded=padded)
        )
    for name, damage in (("gcm-tag-wrong", "tag"), ("gcm-content-changed", "content")):
        yield vector(
            name,
            f"one bit of the {damage} was changed",
            "RFC 5084 §1.5",
            "key",
            gcm(name, damage=damage),
        )
    yield vector(
        "gcm-attributes-changed",
        "other attributes than the tag covers",
        "RFC 5083 §2.2",
        "key",
        gcm("aad changed", attributes=[a_type()], damage="attributes"),
    )
    # With a tag: CBC under the substitute for such a key would "open" one time in 256.
    name = "v15-padding-wrong"
    yield vector(
        name,
        "the RSA block does not begin as it has to",
        "RFC 8017 §7.2.2",
        "key",
        gcm(name, readers=[transport(RSA_BOB, b"", name, block=b"\x00\x01" + seeded(name, 254))]),
    )
    name = "v15-key-too-short"
    yield vector(
        name,
        "the RSA block holds a key of 5 octets",
        "RFC 3218 §2.3.2",
        "key",
        gcm(name, readers=[transport(RSA_BOB, b"short", name)]),
    )
    name = "v15-other-key"
    yield vector(
        name,
        "the RSA block holds another content key",
        "RFC 3218 §2.3",
        "key",
        gcm(name, readers=[transport(RSA_BOB, seeded(name, 32), name)]),
    )
    name = "oaep-other-reader"
    oaep = transport_oaep(CAROL_RSA, content_key(name, "aes-256-gcm"), name)
    renamed = oaep.replace(issuer_and_serial(CAROL_RSA), issuer_and_serial(RSA_BOB))
    yield vector(
        name,
        "sealed by carol's key, bob's certificate is named",
        "RFC 5652 §6.2.1",
        "key",
        gcm(name, readers=[renamed]),
    )
    name = "ecdh-wrap-wrong"
    key = content_key(name, "aes-256-gcm")
    yield vector(
        name,
        "the wrapped key was changed",
        "RFC 3394 §2.2.2",
        "key",
        gcm(name, readers=[agreement([P256_BOB], key, name, damage=True)]),
    )
    name = "ecdh-point-off-curve"
    point = b"\x04" + seeded(name, 64)
    key = content_key(name, "aes-256-gcm")
    yield vector(
        name,
        "the sender's point is not on the curve",
        "SEC 1 §3.2.2",
        "key",
        gcm(name, readers=[agreement([P256_BOB], key, name, point=point)]),
    )
    name = "ecdh-other-curve"
    key = content_key(name, "aes-256-gcm")
    reader = agreement([P256_BOB], key, name, curve="p384")
    yield vector(
        name,
        "the sender's point is on P-384, bob's key on P-256",
        "RFC 5753 §3.1",
        "key",
        gcm(name, readers=[reader]),
    )
