"""Sealed mails: every cipher and way to a key, and every way in which they can be wrong."""

from __future__ import annotations

from collections.abc import Iterator

from cms import (
    AUTH_ENVELOPED,
    CIPHERS,
    ENVELOPED,
    By,
    a_type,
    agreement,
    auth_enveloped,
    content_info,
    content_key,
    enveloped,
    issuer_and_serial,
    kek_recipient,
    key_identifier,
    other_recipient,
    passphrase_recipient,
    seeded,
    signed_data,
    transport,
    transport_oaep,
)
from der import integer, octets, oid, seq, tlv
from mails import ENTITY, Vector, fields, sealed_entity, shelf, signed_entity, wrapped_entity
from people import ALICE, BOB, CAROL, DAVE, EVE, person

RSA_BOB, P256_BOB = BOB["rsa2048"], BOB["p256"]
P256 = ALICE["p256"]
CBC = [one for one in CIPHERS if one.startswith("aes") and one.endswith("cbc")]
CAROL_RSA = person("carol@example.org", "rsa2048")
GCM = [one for one in CIPHERS if one.endswith("gcm")]
vector = shelf("sealed")


def mail(blob: bytes, smime_type: str = "enveloped-data") -> bytes:
    return fields(subject="...") + sealed_entity(blob, smime_type)


def for_bob(label: str, cipher: str) -> list[bytes]:
    return [transport(RSA_BOB, content_key(label, cipher), label)]


def cbc(label: str, content: bytes = ENTITY, cipher: str = "aes-256-cbc", **more: object) -> bytes:
    """Return a mail sealed for bob's RSA key in CBC mode."""
    readers = more.pop("readers", None) or for_bob(label, cipher)
    return mail(enveloped(content, readers, label, cipher=cipher, **more))  # type: ignore[arg-type]


def gcm(label: str, content: bytes = ENTITY, cipher: str = "aes-256-gcm", **more: object) -> bytes:
    """Return a mail sealed for bob's RSA key in AES-GCM."""
    readers = more.pop("readers", None) or for_bob(label, cipher)
    blob = auth_enveloped(content, readers, label, cipher=cipher, **more)  # type: ignore[arg-type]
    return mail(blob, "authEnveloped-data")


def vectors() -> Iterator[Vector]:
    yield from ciphers()
    yield from ways()
    yield from many()
    yield from forms()
    yield from refused_by_cms()
    yield from refused_by_key()
    yield from layers()


def ciphers() -> Iterator[Vector]:
    for cipher in CBC:
        yield vector(cipher, f"{cipher} with a key by RSA PKCS#1 v1.5", "RFC 3565", "opens",
                     cbc(cipher, cipher=cipher))  # fmt: skip
    for cipher in GCM:
        yield vector(cipher, f"{cipher} in AuthEnvelopedData", "RFC 5084", "opens",
                     gcm(cipher, cipher=cipher))  # fmt: skip
    yield vector("3des-legacy", "triple DES, where old mail is asked for", "RFC 8551 §2.7", "opens",
                 cbc("3des", cipher="3des-cbc"), policy="legacy")  # fmt: skip
    yield vector("3des-default", "triple DES is not read by default", "RFC 8551 §2.7", "cms",
                 cbc("3des", cipher="3des-cbc"))  # fmt: skip


def ways() -> Iterator[Vector]:
    for name, options in (
        ("oaep-sha1", {"name": "sha1"}),
        ("oaep-sha256", {"name": "sha256"}),
        ("oaep-sha512", {"name": "sha512"}),
        ("oaep-sha256-mgf-sha1", {"name": "sha256", "mask": "sha1"}),
        ("oaep-label", {"name": "sha256", "text": b"a label"}),
    ):
        key = content_key(name, "aes-256-cbc")
        readers = [transport_oaep(RSA_BOB, key, name, **options)]  # type: ignore[arg-type]
        yield vector(name, f"RSA-OAEP: {options}", "RFC 8017 §7.1", "opens",
                     cbc(name, readers=readers))  # fmt: skip
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
        reader = agreement([BOB[curve]], content_key(name, cipher), name, scheme=scheme, wrap=wrap,
                           curve=curve)  # fmt: skip
        make = gcm if cipher.endswith("gcm") else cbc
        yield vector(name, f"ECDH on {curve}, {scheme}, AES-{wrap * 8} key wrap", "RFC 5753 §3.1",
                     "opens", make(name, cipher=cipher, readers=[reader]))  # fmt: skip
    for name, about, rule, options in (
        ("ecdh-no-ukm", "key agreement without user keying material", "RFC 5753 §7.2",
         {"ukm": False}),
        ("ecdh-wrap-null", "NULL stands where the key wrap has no parameters", "RFC 3565 §2.3.2",
         {"null": True}),
        ("ecdh-key-identifier", "the reader is named by rKeyId", "RFC 5652 §6.2.2",
         {"by_key": True}),
        ("ecdh-wrap-other-size", "AES-128 wraps a key of AES-256", "RFC 5753 §3.1", {"wrap": 16}),
    ):  # fmt: skip
        key = content_key(name, "aes-256-cbc")
        reader = agreement([P256_BOB], key, name, **options)  # type: ignore[arg-type]
        yield vector(name, about, rule, "opens", cbc(name, readers=[reader]))
    name = "rsa-key-identifier"
    reader = transport(RSA_BOB, content_key(name, "aes-256-cbc"), name,
                       identifier=tlv(0x80, key_identifier(RSA_BOB)))  # fmt: skip
    yield vector(name, "the reader is named by subjectKeyIdentifier", "RFC 5652 §6.2.1", "opens",
                 cbc(name, readers=[reader]))  # fmt: skip


def many() -> Iterator[Vector]:
    name = "several-readers"
    key = content_key(name, "aes-256-cbc")
    others = [transport(ALICE["rsa2048"], key, name + " alice")]
    everybody = [*others, agreement([CAROL, DAVE, EVE], key, name), transport(RSA_BOB, key, name)]
    yield vector(name, "five readers: RSA, and three in one key agreement", "RFC 5652 §6.2",
                 "opens", cbc(name, readers=everybody))  # fmt: skip
    name = "unknown-readers-beside"
    key = content_key(name, "aes-256-gcm")
    strange = [kek_recipient(name), passphrase_recipient(name), other_recipient(name)]
    yield vector(name, "a shared key, a passphrase and a kind of the future beside bob",
                 "RFC 5652 §6.2", "opens",
                 gcm(name, readers=[*strange, transport(RSA_BOB, key, name)]))  # fmt: skip
    name = "readers-of-ec-in-one"
    key = content_key(name, "aes-128-cbc")
    yield vector(name, "bob is the third of three in one key agreement", "RFC 5753 §3.1", "opens",
                 cbc(name, cipher="aes-128-cbc",
                     readers=[agreement([CAROL, DAVE, P256_BOB], key, name)]))  # fmt: skip


def forms() -> Iterator[Vector]:
    for piece in (7, 64):
        yield vector(f"ber-pieces-of-{piece}",
                     f"BER: indefinite lengths, the ciphertext in pieces of {piece}",
                     "X.690 §8.1.3.6", "opens", cbc(f"ber {piece}", piece=piece))  # fmt: skip
    yield vector("originator-info", "certificates of the originator stand before the readers",
                 "RFC 5652 §6.1", "opens",
                 cbc("originator", originator=tlv(0xA0, tlv(0xA0, *P256.all))))  # fmt: skip
    yield vector("gcm-tag-12", "a tag of 12 octets, the shortest that is read", "RFC 5084 §3.2",
                 "opens", gcm("tag 12", tag=12))  # fmt: skip
    yield vector("gcm-attributes", "authenticated attributes are covered by the tag",
                 "RFC 5083 §2.2", "opens", gcm("aad", attributes=[a_type()]))  # fmt: skip
    yield vector("gcm-empty-content", "nothing at all was sealed, with a tag", "RFC 5084 §3.2",
                 "opens", gcm("empty gcm", b""), content=b"")  # fmt: skip
    yield vector("cbc-empty-content", "nothing at all was sealed: one block of padding",
                 "RFC 5652 §6.3", "opens", cbc("empty cbc", b""), content=b"")  # fmt: skip
    exact = ENTITY + b"x" * (-len(ENTITY) % 16)
    yield vector("cbc-whole-blocks", "content of whole blocks has a block of padding",
                 "RFC 5652 §6.3", "opens", cbc("whole", exact), content=exact)  # fmt: skip


def refused_by_cms() -> Iterator[Vector]:
    rule = "RFC 5084 §3.2"
    for size in (4, 8, 11):
        yield vector(f"gcm-tag-{size}", f"a tag of {size} octets protects too little", rule, "cms",
                     gcm(f"tag {size}", tag=size))  # fmt: skip
    yield vector("gcm-tag-cut", "16 octets of tag are stated, 12 are there", rule, "cms",
                 gcm("tag cut", tag=12, stated=16))  # fmt: skip
    yield vector("gcm-tag-longer-than-stated", "12 octets of tag are stated, 16 are there", rule,
                 "cms", gcm("tag longer", stated=12))  # fmt: skip
    name = "gcm-in-enveloped-data"
    blob = auth_enveloped(ENTITY, for_bob(name, "aes-256-gcm"), name, kind=ENVELOPED)
    yield vector(name, "AES-GCM without a tag, in EnvelopedData", "RFC 5084 §1", "cms",
                 mail(blob))  # fmt: skip
    name = "cbc-in-auth-enveloped"
    key = content_key(name, "aes-256-cbc")
    named = seq(oid(CIPHERS["aes-256-cbc"][0]), octets(seeded(name, 16)))
    inner = seq(oid("1.2.840.113549.1.7.1"), named, tlv(0x80, seeded(name, 64)))
    body = seq(integer(0), tlv(0x31, transport(RSA_BOB, key, name)), inner, octets(bytes(16)))
    yield vector(name, "AES-CBC where a tag is promised", "RFC 5083 §2.1", "cms",
                 mail(content_info(AUTH_ENVELOPED, body), "authEnveloped-data"))  # fmt: skip
    rule = "RFC 5652 §6.1"
    yield vector("cbc-no-ciphertext", "ciphertext of no octets: not even padding",
                 "RFC 5652 §6.3", "cms", cbc("none", ciphertext=b""))  # fmt: skip
    yield vector("cbc-half-a-block", "ciphertext that is not whole blocks", "RFC 5652 §6.3", "cms",
                 cbc("half", ciphertext=seeded("half", 40)))  # fmt: skip
    yield vector("content-absent", "the encrypted content is elsewhere", rule, "cms",
                 cbc("absent", absent=True))  # fmt: skip
    yield vector("no-readers", "nobody is named who could open it", "RFC 5652 §6.1", "key",
                 mail(enveloped(ENTITY, [], "nobody")))  # fmt: skip
    yield vector("rc2", "RC2 is known by name and not read", "RFC 8551 §2.7", "cms",
                 cbc("rc2", cipher="rc2-cbc"))  # fmt: skip
    name = "only-shared-key"
    yield vector(name, "only a shared key opens it, and bob has none", "RFC 5652 §6.2.3", "key",
                 cbc(name, readers=[kek_recipient(name)]))  # fmt: skip
    name = "only-passphrase"
    yield vector(name, "only a passphrase opens it, and bob has none", "RFC 5652 §6.2.4", "key",
                 cbc(name, readers=[passphrase_recipient(name)]))  # fmt: skip
    name = "key-transport-unknown"
    reader = transport(RSA_BOB, content_key(name, "aes-256-cbc"), name)
    strange = reader.replace(oid("1.2.840.113549.1.1.1"), oid("1.2.840.113549.1.1.9"))
    yield vector(name, "bob's key is sealed by an algorithm that nobody knows", "RFC 5652 §6.2.1",
                 "cms", cbc(name, readers=[strange]))  # fmt: skip
    whole = enveloped(ENTITY, for_bob("cut", "aes-256-cbc"), "cut")
    for name, cut in (("half", len(whole) // 2), ("by-one", len(whole) - 1), ("to-header", 4)):
        yield vector(f"truncated-{name}", "the structure ends too early", "X.690 §8.1.3", "cms",
                     mail(whole[:cut]))  # fmt: skip
    yield vector("trailing-data", "data after the end of the structure is passed over",
                 "X.690 §8.1", "opens",
                 mail(whole + b"\x04\x01x"))  # fmt: skip
    yield vector("compressed", "compressed data is not read", "RFC 3274", "cms",
                 mail(content_info("1.2.840.113549.1.9.16.1.9", seq(integer(0))),
                      "compressed-data"))  # fmt: skip


def refused_by_key() -> Iterator[Vector]:
    name = "for-somebody-else"
    key = content_key(name, "aes-256-cbc")
    yield vector(name, "bob is not among the readers", "RFC 5652 §6.2", "key",
                 cbc(name, readers=[transport(ALICE["rsa2048"], key, name)]))  # fmt: skip
    rule = "RFC 5652 §6.3"
    block = 16 - len(ENTITY) % 16
    for name, padded in (
        ("cbc-padding-zero", ENTITY + bytes(block)),
        ("cbc-padding-differs", ENTITY + bytes((1,)) * (block - 1) + bytes((block,))),
        ("cbc-padding-too-long", ENTITY + bytes((17,)) * block),
    ):
        yield vector(name, "the padding is not what it has to be", rule, "key",
                     cbc(name, padded=padded))  # fmt: skip
    for name, damage in (("gcm-tag-wrong", "tag"), ("gcm-content-changed", "content")):
        yield vector(name, f"one bit of the {damage} was changed", "RFC 5084 §1.5", "key",
                     gcm(name, damage=damage))  # fmt: skip
    yield vector("gcm-attributes-changed", "other attributes than the tag covers",
                 "RFC 5083 §2.2", "key",
                 gcm("aad changed", attributes=[a_type()], damage="attributes"))  # fmt: skip
    name = "v15-padding-wrong"
    yield vector(name, "the RSA block does not begin as it has to", "RFC 8017 §7.2.2", "key",
                 cbc(name, readers=[transport(RSA_BOB, b"", name, block=b"\x00\x01" +
                                              seeded(name, 254))]))  # fmt: skip
    name = "v15-key-too-short"
    yield vector(name, "the RSA block holds a key of 5 octets", "RFC 3218 §2.3.2", "key",
                 cbc(name, readers=[transport(RSA_BOB, b"short", name)]))  # fmt: skip
    name = "v15-other-key"
    yield vector(name, "the RSA block holds another content key", "RFC 3218 §2.3", "key",
                 gcm(name, readers=[transport(RSA_BOB, seeded(name, 32), name)]))  # fmt: skip
    name = "oaep-other-reader"
    oaep = transport_oaep(CAROL_RSA, content_key(name, "aes-256-gcm"), name)
    renamed = oaep.replace(issuer_and_serial(CAROL_RSA), issuer_and_serial(RSA_BOB))
    yield vector(name, "sealed by carol's key, bob's certificate is named", "RFC 5652 §6.2.1",
                 "key", gcm(name, readers=[renamed]))  # fmt: skip
    name = "ecdh-wrap-wrong"
    key = content_key(name, "aes-256-gcm")
    yield vector(name, "the wrapped key was changed", "RFC 3394 §2.2.2", "key",
                 gcm(name, readers=[agreement([P256_BOB], key, name, damage=True)]))  # fmt: skip
    name = "ecdh-point-off-curve"
    point = b"\x04" + seeded(name, 64)
    key = content_key(name, "aes-256-gcm")
    yield vector(name, "the sender's point is not on the curve", "SEC 1 §3.2.2", "key",
                 gcm(name, readers=[agreement([P256_BOB], key, name, point=point)]))  # fmt: skip
    name = "ecdh-other-curve"
    key = content_key(name, "aes-256-gcm")
    reader = agreement([P256_BOB], key, name, curve="p384")
    yield vector(name, "the sender's point is on P-384, bob's key on P-256", "RFC 5753 §3.1", "key",
                 gcm(name, readers=[reader]))  # fmt: skip


def layers() -> Iterator[Vector]:
    signed = signed_entity(ENTITY, signed_data(ENTITY, By(P256), detached=True))
    rule = "RFC 8551 §3.7"
    yield vector("signed-inside", "signed, then sealed", rule, "good",
                 gcm("signed inside", signed))  # fmt: skip
    opaque = wrapped_entity(signed_data(ENTITY, By(P256)))
    yield vector("opaque-signed-inside-cbc", "signed with the content inside, then sealed in CBC",
                 rule, "good", cbc("opaque inside", opaque))  # fmt: skip
    eve = signed_entity(ENTITY, signed_data(ENTITY, By(EVE), detached=True))
    yield vector("signed-inside-by-another", "eve signed what is sealed, and alice stands outside",
                 "RFC 8550 §3", "trust", gcm("eve inside", eve))  # fmt: skip
    changed = signed.replace(b"noon", b"dusk")
    yield vector("signed-inside-changed", "the content was changed before it was sealed",
                 "RFC 5652 §5.4", "digest", gcm("changed inside", changed))  # fmt: skip
    sealed = gcm("triple", signed).partition(b"MIME-Version: 1.0\r\n")[2]
    triple = signed_entity(sealed, signed_data(sealed, By(EVE), detached=True), edge="outer")
    yield vector("triple-wrapped", "signed, sealed, and signed again by a gateway",
                 "RFC 2634 §1.1", "good", fields() + triple)  # fmt: skip
    sealed = gcm("outer").partition(b"MIME-Version: 1.0\r\n")[2]
    outer = signed_entity(sealed, signed_data(sealed, By(P256), detached=True), edge="outer")
    yield vector("signed-around-sealed", "a signature around sealed content says not who wrote it",
                 "RFC 9787 §4", "trust", fields() + outer)  # fmt: skip
    inner = gcm("inner of two").partition(b"MIME-Version: 1.0\r\n")[2]
    yield vector("sealed-twice", "sealed, and sealed again", rule, "opens",
                 cbc("outer of two", inner))  # fmt: skip
    entity = ENTITY
    for _ in range(9):
        entity = wrapped_entity(signed_data(entity, By(P256)))
    yield vector("nine-layers", "wrapped deeper than any mail is", "RFC 8551 §3.7", "mime",
                 fields() + entity)  # fmt: skip
