"""Sealed mails that open: every cipher, every way to a key, layers within each other."""

from __future__ import annotations

from collections.abc import Iterator

from cms import (
    CIPHERS,
    By,
    a_type,
    agreement,
    auth_enveloped,
    content_key,
    enveloped,
    kek_recipient,
    key_identifier,
    other_recipient,
    passphrase_recipient,
    signed_data,
    transport,
    transport_oaep,
)
from der import tlv
from mails import ENTITY, Vector, fields, sealed_entity, shelf, signed_entity, wrapped_entity
from people import ALICE, BOB, CAROL, DAVE, EVE

RSA_BOB, P256_BOB = BOB["rsa2048"], BOB["p256"]
P256 = ALICE["p256"]
CBC = [one for one in CIPHERS if one.startswith("aes") and one.endswith("cbc")]
GCM = [one for one in CIPHERS if one.endswith("gcm")]
MIME = b"MIME-Version: 1.0\r\n"
vector = shelf("sealed")


def mail(blob: bytes, smime_type: str = "enveloped-data") -> bytes:
    return fields(subject="...") + sealed_entity(blob, smime_type)


def for_bob(label: str, cipher: str) -> list[bytes]:
    return [transport(RSA_BOB, content_key(label, cipher), label)]


def cbc(label: str, content: bytes = ENTITY, cipher: str = "aes-256-cbc", **more: object) -> bytes:
    """Return a mail sealed for bob's RSA key in CBC mode."""
    readers = more.pop("readers", None) or for_bob(label, cipher)
    return mail(enveloped(content, readers, label, cipher=cipher, **more))


def gcm(label: str, content: bytes = ENTITY, cipher: str = "aes-256-gcm", **more: object) -> bytes:
    """Return a mail sealed for bob's RSA key in AES-GCM."""
    readers = more.pop("readers", None) or for_bob(label, cipher)
    blob = auth_enveloped(content, readers, label, cipher=cipher, **more)
    return mail(blob, "authEnveloped-data")


def vectors() -> Iterator[Vector]:
    yield from ciphers()
    yield from ways()
    yield from many()
    yield from forms()
    yield from layers()


def ciphers() -> Iterator[Vector]:
    for cipher in CBC:
        yield vector(
            cipher,
            f"{cipher} with a key by RSA PKCS#1 v1.5",
            "RFC 3565",
            "opens",
            cbc(cipher, cipher=cipher),
        )
    for cipher in GCM:
        yield vector(
            cipher,
            f"{cipher} in AuthEnvelopedData",
            "RFC 5084",
            "opens",
            gcm(cipher, cipher=cipher),
        )
    yield vector(
        "3des-legacy",
        "triple DES, where old mail is asked for",
        "RFC 8551 §2.7",
        "opens",
        cbc("3des", cipher="3des-cbc"),
        policy="legacy",
    )
    yield vector(
        "3des-default",
        "triple DES is not read by default",
        "RFC 8551 §2.7",
        "cms",
        cbc("3des", cipher="3des-cbc"),
    )


def ways() -> Iterator[Vector]:
    for name, options in (
        ("oaep-sha1", {"name": "sha1"}),
        ("oaep-sha256", {"name": "sha256"}),
        ("oaep-sha512", {"name": "sha512"}),
        ("oaep-sha256-mgf-sha1", {"name": "sha256", "mask": "sha1"}),
        ("oaep-label", {"name": "sha256", "text": b"a label"}),
    ):
        key = content_key(name, "aes-256-cbc")
        readers = [transport_oaep(RSA_BOB, key, name, **options)]
        yield vector(
            name, f"RSA-OAEP: {options}", "RFC 8017 §7.1", "opens", cbc(name, readers=readers)
        )
    for curve, scheme, cipher in (
        ("p256", "std-sha256", "aes-128-cbc"),
        ("p256", "std-sha256", "aes-256-gcm"),
        ("p256", "std-sha1", "aes-256-cbc"),
        ("p256", "std-sha224", "aes-128-cbc"),
        ("p256", "cofactor-sha256", "aes-256-cbc"),
        ("p384", "std-sha384", "aes-256-cbc"),
        ("p521", "std-sha512", "aes-256-gcm"),
    ):
        name = f"ecdh-{curve}-{scheme}-{cipher}"
        wrap = CIPHERS[cipher][1]
        reader = agreement(
            [BOB[curve]], content_key(name, cipher), name, scheme=scheme, wrap=wrap, curve=curve
        )
        make = gcm if cipher.endswith("gcm") else cbc
        yield vector(
            name,
            f"ECDH on {curve}, {scheme}, AES-{wrap * 8} key wrap",
            "RFC 5753 §3.1",
            "opens",
            make(name, cipher=cipher, readers=[reader]),
        )
    for name, about, rule, options in (
        (
            "ecdh-no-ukm",
            "key agreement without user keying material",
            "RFC 5753 §7.2",
            {"ukm": False},
        ),
        (
            "ecdh-wrap-null",
            "NULL stands where the key wrap has no parameters",
            "RFC 3565 §2.3.2",
            {"null": True},
        ),
        (
            "ecdh-key-identifier",
            "the reader is named by rKeyId",
            "RFC 5652 §6.2.2",
            {"by_key": True},
        ),
        ("ecdh-wrap-other-size", "AES-128 wraps a key of AES-256", "RFC 5753 §3.1", {"wrap": 16}),
    ):
        key = content_key(name, "aes-256-cbc")
        reader = agreement([P256_BOB], key, name, **options)
        yield vector(name, about, rule, "opens", cbc(name, readers=[reader]))
    name = "rsa-key-identifier"
    reader = transport(
        RSA_BOB,
        content_key(name, "aes-256-cbc"),
        name,
        identifier=tlv(0x80, key_identifier(RSA_BOB)),
    )
    yield vector(
        name,
        "the reader is named by subjectKeyIdentifier",
        "RFC 5652 §6.2.1",
        "opens",
        cbc(name, readers=[reader]),
    )


def many() -> Iterator[Vector]:
    name = "several-readers"
    key = content_key(name, "aes-256-cbc")
    others = [transport(ALICE["rsa2048"], key, name + " alice")]
    everybody = [*others, agreement([CAROL, DAVE, EVE], key, name), transport(RSA_BOB, key, name)]
    yield vector(
        name,
        "five readers: RSA, and three in one key agreement",
        "RFC 5652 §6.2",
        "opens",
        cbc(name, readers=everybody),
    )
    name = "unknown-readers-beside"
    key = content_key(name, "aes-256-gcm")
    strange = [kek_recipient(name), passphrase_recipient(name), other_recipient(name)]
    yield vector(
        name,
        "a shared key, a passphrase and a kind of the future beside bob",
        "RFC 5652 §6.2",
        "opens",
        gcm(name, readers=[*strange, transport(RSA_BOB, key, name)]),
    )
    name = "readers-of-ec-in-one"
    key = content_key(name, "aes-128-cbc")
    yield vector(
        name,
        "bob is the third of three in one key agreement",
        "RFC 5753 §3.1",
        "opens",
        cbc(name, cipher="aes-128-cbc", readers=[agreement([CAROL, DAVE, P256_BOB], key, name)]),
    )


def forms() -> Iterator[Vector]:
    for piece in (7, 64):
        yield vector(
            f"ber-pieces-of-{piece}",
            f"BER: indefinite lengths, the ciphertext in pieces of {piece}",
            "X.690 §8.1.3.6",
            "opens",
            cbc(f"ber {piece}", piece=piece),
        )
    yield vector(
        "originator-info",
        "certificates of the originator stand before the readers",
        "RFC 5652 §6.1",
        "opens",
        cbc("originator", originator=tlv(0xA0, tlv(0xA0, *P256.all))),
    )
    yield vector(
        "gcm-tag-12",
        "a tag of 12 octets, the shortest that is read",
        "RFC 5084 §3.2",
        "opens",
        gcm("tag 12", tag=12),
    )
    yield vector(
        "gcm-attributes",
        "authenticated attributes are covered by the tag",
        "RFC 5083 §2.2",
        "opens",
        gcm("aad", attributes=[a_type()]),
    )
    yield vector(
        "gcm-empty-content",
        "nothing at all was sealed, with a tag",
        "RFC 5084 §3.2",
        "opens",
        gcm("empty gcm", b""),
        content=b"",
    )
    yield vector(
        "cbc-empty-content",
        "nothing at all was sealed: one block of padding",
        "RFC 5652 §6.3",
        "opens",
        cbc("empty cbc", b""),
        content=b"",
    )
    exact = ENTITY + b"x" * (-len(ENTITY) % 16)
    yield vector(
        "cbc-whole-blocks",
        "content of whole blocks has a block of padding",
        "RFC 5652 §6.3",
        "opens",
        cbc("whole", exact),
        content=exact,
    )


def layers() -> Iterator[Vector]:
    signed = signed_entity(ENTITY, signed_data(ENTITY, By(P256), detached=True))
    rule = "RFC 8551 §3.7"
    yield vector("signed-inside", "signed, then sealed", rule, "good", gcm("signed inside", signed))
    opaque = wrapped_entity(signed_data(ENTITY, By(P256)))
    yield vector(
        "opaque-signed-inside-cbc",
        "signed with the content inside, then sealed in CBC",
        rule,
        "good",
        cbc("opaque inside", opaque),
    )
    eve = signed_entity(ENTITY, signed_data(ENTITY, By(EVE), detached=True))
    yield vector(
        "signed-inside-by-another",
        "eve signed what is sealed, and alice stands outside",
        "RFC 8550 §3",
        "trust",
        gcm("eve inside", eve),
    )
    changed = signed.replace(b"noon", b"dusk")
    yield vector(
        "signed-inside-changed",
        "the content was changed before it was sealed",
        "RFC 5652 §5.4",
        "digest",
        gcm("changed inside", changed),
    )
    sealed = gcm("triple", signed).partition(MIME)[2]
    triple = signed_entity(sealed, signed_data(sealed, By(EVE), detached=True), edge="outer")
    yield vector(
        "triple-wrapped",
        "signed, sealed, and signed again by a gateway",
        "RFC 2634 §1.1",
        "good",
        fields() + triple,
    )
    sealed = gcm("outer").partition(MIME)[2]
    outer = signed_entity(sealed, signed_data(sealed, By(P256), detached=True), edge="outer")
    yield vector(
        "signed-around-sealed",
        "a signature around sealed content says not who wrote it",
        "RFC 9787 §4",
        "trust",
        fields() + outer,
    )
    inner = gcm("inner of two").partition(MIME)[2]
    yield vector(
        "sealed-twice", "sealed, and sealed again", rule, "opens", cbc("outer of two", inner)
    )
    claimed = (
        b'Content-Type: text/plain; hp="cipher"\r\nFrom: Alice <alice@example.org>\r\n\r\ntext\r\n'
    )
    yield vector(
        "from-inside-unsigned",
        "inside, the mail says that it is alice's, which nobody signed",
        "RFC 9788 §4.4",
        "opens",
        fields("Eve <eve@example.org>") + gcm("from inside", claimed).partition(MIME)[2],
        content=claimed,
    )
    entity = ENTITY
    for _ in range(9):
        entity = wrapped_entity(signed_data(entity, By(P256)))
    yield vector(
        "nine-layers", "wrapped deeper than any mail is", "RFC 8551 §3.7", "mime", fields() + entity
    )
