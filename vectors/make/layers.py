"""Compressed layers around and inside others, derived keys, and what stands beside a content."""

from __future__ import annotations

from collections.abc import Iterator

from cms import (
    ENVELOPED,
    SIGNED,
    By,
    a_type,
    auth_enveloped,
    compressed,
    signed_data,
    stored,
)
from mails import ENTITY, Vector, fields, shelf, signed_entity, wrapped_entity
from people import ALICE
from sealed import cbc, for_bob, gcm, mail

P256 = ALICE["p256"]
MIME = "RFC 8551 §3.6"
signed = shelf("signed")
sealed = shelf("sealed")


def vectors() -> Iterator[Vector]:
    yield from packed()
    yield from packed_and_sealed()
    yield from derived()
    yield from beside()


def entity(stream: bytes, **more: str) -> bytes:
    return wrapped_entity(compressed(stream, **more), "compressed-data", file="smime.p7z")


def by_alice(content: bytes) -> bytes:
    return signed_entity(content, signed_data(content, By(P256), detached=True))


def packed() -> Iterator[Vector]:
    stream = stored(ENTITY)
    yield signed(
        "compressed-inside",
        "compressed, then signed",
        MIME,
        "good",
        fields() + by_alice(entity(stream)),
    )
    yield signed(
        "compressed-around",
        "signed, then compressed",
        MIME,
        "good",
        fields() + entity(stored(by_alice(ENTITY))),
    )
    for name, about, damaged in (
        ("cut", "the compressed content ends too soon", stream[:-5]),
        ("sum", "the check sum of the compressed content differs", stream[:-1] + b"x"),
        ("tail", "the compressed content goes on after its end", stream + b"x"),
        ("bare", "deflate without the frame of zlib", stream[2:-4]),
    ):
        yield signed(
            f"compressed-{name}", about, "RFC 1950 §2.2", "cms", fields() + by_alice(entity(damaged))
        )
    yield signed(
        "compressed-otherwise",
        "compressed by an algorithm that nobody knows",
        "RFC 3274 §1.1",
        "cms",
        fields() + by_alice(entity(stream, algorithm="1.2.3.4")),
    )
    yield signed(
        "compressed-no-mail",
        "what is compressed says that it is no mail",
        MIME,
        "cms",
        fields() + by_alice(entity(stream, kind=SIGNED)),
    )


def packed_and_sealed() -> Iterator[Vector]:
    stream = stored(ENTITY)
    yield sealed(
        "compressed-inside-gcm",
        "compressed, then sealed",
        MIME,
        "opens",
        gcm("compressed gcm", entity(stream)),
    )
    yield sealed(
        "compressed-inside-cbc",
        "compressed, then sealed without a tag",
        MIME,
        "opens",
        cbc("compressed cbc", entity(stream)),
    )
    yield sealed(
        "compressed-sum-inside-cbc",
        "a fault inside a layer without a tag is told like a wrong key",
        "RFC 5652 §14",
        "key",
        cbc("compressed sum", entity(stream[:-1] + b"x")),
    )


def derived() -> Iterator[Vector]:
    rule = "RFC 9709 §2"
    for cipher in ("aes-128-gcm", "aes-256-gcm"):
        name = f"derived-{cipher}"
        yield sealed(
            name,
            f"the content key is derived for {cipher.upper()}",
            rule,
            "opens",
            gcm(name, cipher=cipher, derived=True),
        )


def beside() -> Iterator[Vector]:
    rule = "RFC 5083 §2.1"
    other = "1.2.3.4"
    yield sealed(
        "gcm-no-data",
        "what is sealed is no plain data, and the tag does not cover what it is",
        rule,
        "cms",
        gcm("no data", content_type=other),
    )
    yield sealed(
        "gcm-another-type",
        "the tag covers another content type than is shown",
        rule,
        "cms",
        gcm("another type", attributes=[a_type(other)]),
    )
    name = "gcm-tag-inside"
    blob = auth_enveloped(ENTITY, for_bob(name, "aes-256-gcm"), name, kind=ENVELOPED)
    yield sealed(
        name,
        "AES-GCM in EnvelopedData is read where the policy names it",
        "RFC 5084 §1",
        "opens",
        mail(blob),
        policy="legacy",
    )
