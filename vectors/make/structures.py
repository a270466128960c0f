"""Signed mails whose structure is odd or wrong: attributes, certificates, BER, cut ends."""

from __future__ import annotations

from collections.abc import Iterator

from cms import (
    DATA,
    SIGNED,
    By,
    a_digest,
    a_time,
    a_type,
    content_info,
    digest,
    seeded,
    signed_data,
)
from der import integer, octets, oid, seq, set_of, tlv
from mails import ENTITY, Vector, shelf
from people import CA, issue, make_key
from signed import CHANGED, P256, RSA_ALICE, detached, honest, opaque

vector = shelf("signed")


def vectors() -> Iterator[Vector]:
    yield from attributes()
    yield from certificates()
    yield from structures()


def attributes() -> Iterator[Vector]:
    right = a_digest(digest("sha256", ENTITY))
    rule = "RFC 5652 §11.2"
    for name, about, sent in (
        ("message-digest-missing", "no message-digest attribute", [a_type()]),
        (
            "message-digest-twice",
            "two message-digest attributes, the right one first",
            [a_type(), right, a_digest(digest("sha256", CHANGED))],
        ),
        (
            "message-digest-two-values",
            "message-digest with two values",
            [a_type(), a_digest(digest("sha256", ENTITY), digest("sha256", CHANGED))],
        ),
        ("message-digest-no-value", "message-digest without a value", [a_type(), a_digest()]),
    ):
        yield vector(name, about, rule, "cms", honest(By(P256, attributes=sent)))
    rule = "RFC 5652 §11.1"
    for name, about, sent in (
        ("content-type-missing", "no content-type attribute", [right, a_time()]),
        ("content-type-twice", "two content-type attributes", [a_type(), a_type(SIGNED), right]),
        ("content-type-two-values", "content-type with two values", [a_type(DATA, SIGNED), right]),
        (
            "content-type-differs",
            "content-type names another type than the content has",
            [a_type(SIGNED), right],
        ),
    ):
        yield vector(name, about, rule, "cms", honest(By(P256, attributes=sent)))
    short = a_digest(digest("sha256", ENTITY)[:20])
    yield vector(
        "message-digest-short",
        "message-digest is cut to 20 octets",
        "RFC 5652 §11.2",
        "digest",
        honest(By(P256, attributes=[a_type(), short])),
    )
    ordered = sorted([a_type(), a_time(), right])
    sent = ordered[::-1]
    yield vector(
        "attributes-not-in-order",
        "attributes not in DER order, signed as they were sent",
        "RFC 5652 §5.3",
        "good",
        honest(By(P256, attributes=sent, sort=False)),
    )
    yield vector(
        "attributes-sorted-for-signing",
        "attributes not in DER order, sorted before they were signed",
        "RFC 5652 §5.3",
        "good",
        honest(By(P256, attributes=sent, sort=False, covered=tlv(0x31, *ordered))),
    )
    covered = tlv(0x31, *ordered)
    rule = "draft-ietf-lamps-cms-euf-cma-signeddata §4.2"
    forged = By(RSA_ALICE, plain=True, covered=covered)
    for name, policy in (("attributes-as-content", ""), ("attributes-as-content-legacy", "legacy")):
        yield vector(
            name,
            "the signed attributes of an honest mail stand as content without attributes",
            rule,
            "cms",
            opaque(signed_data(covered, forged)),
            policy=policy,
        )


def certificates() -> Iterator[Vector]:
    rule = "RFC 5652 §5.6"
    serial = P256.certificate.serial_number
    subject = P256.certificate.subject
    # Twins: issuer and serial of alice's certificate, another key. Only a broken CA makes one;
    # whoever can add certificates to a message can add it.
    twin = issue(
        make_key("twin", "p256"), subject, CA, serial=serial, addresses=("alice@example.org",)
    )
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=(twin.der, *P256.all))
    yield vector(
        "twin-certificate",
        "a certificate of the same issuer and serial stands first",
        rule,
        "good",
        detached(blob),
    )
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=(twin.der, *P256.chain))
    yield vector(
        "twin-certificate-alone",
        "only the certificate with the other key is there",
        rule,
        "key",
        detached(blob),
    )
    same = issue(P256.key, subject, CA, serial=serial, addresses=("eve@example.org",))
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=(same.der, *P256.all))
    yield vector(
        "twin-certificate-same-key",
        "two certificates of the same name, serial and key",
        "RFC 5652 §5.3",
        "key",
        detached(blob),
    )
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=())
    yield vector(
        "no-certificate",
        "the signer's certificate is not in the message",
        "RFC 8551 §3.5.3",
        "key",
        detached(blob),
    )
    strange = (tlv(0xA1, seeded("attribute certificate", 40)), *P256.all)
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=strange)
    yield vector(
        "other-certificate-forms",
        "an attribute certificate is passed over",
        "RFC 5652 §10.2.2",
        "good",
        detached(blob),
    )
    junk = (seq(integer(5), octets(b"no certificate")), *P256.all)
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=junk)
    yield vector(
        "junk-certificate",
        "what a strict parser refuses is passed over",
        "RFC 5652 §10.2.2",
        "good",
        detached(blob),
    )


def structures() -> Iterator[Vector]:
    rule = "RFC 5652 §5.1"
    who = By(P256)
    for piece in (1, 100):
        blob = signed_data(ENTITY, who, piece=piece)
        yield vector(
            f"ber-pieces-of-{piece}",
            f"BER: indefinite lengths, the content in pieces of {piece} octets",
            "X.690 §8.1.3.6",
            "good",
            opaque(blob),
        )
    blob = signed_data(ENTITY, who, detached=True, inside=ENTITY)
    yield vector(
        "content-inside-and-outside",
        "the content stands beside the signature and inside of it, the same",
        "RFC 8551 §3.5.3",
        "cms",
        detached(blob),
    )
    blob = signed_data(CHANGED, who)
    yield vector(
        "other-content-inside",
        "the signature holds for a content inside, and another one is shown",
        "RFC 8551 §3.5.3",
        "cms",
        detached(blob),
    )
    yield vector(
        "opaque-without-content",
        "a signature without content or a part beside it",
        "RFC 8551 §3.5.2",
        "cms",
        opaque(signed_data(ENTITY, who, detached=True)),
    )
    yield vector(
        "no-signers-detached",
        "a signature that nobody made",
        rule,
        "cms",
        detached(signed_data(ENTITY, detached=True, certificates=P256.all)),
    )
    yield vector(
        "no-signers-opaque",
        "called signed, and nobody signed it",
        rule,
        "cms",
        opaque(signed_data(ENTITY, certificates=P256.all)),
    )
    only = content_info(
        SIGNED, seq(integer(1), set_of(), seq(oid(DATA)), tlv(0xA0, *P256.all), set_of())
    )
    yield vector(
        "certificates-only",
        "certificates to import; nobody signed anything",
        "RFC 8551 §3.8",
        "cms",
        opaque(only, "certs-only"),
    )
    whole = signed_data(ENTITY, who, detached=True)
    for name, cut in (
        ("half", len(whole) // 2),
        ("by-one", len(whole) - 1),
        ("to-header", 4),
        ("in-certificate", 400),
    ):
        yield vector(
            f"truncated-{name}",
            "the structure ends too early",
            "X.690 §8.1.3",
            "cms",
            detached(whole[:cut]),
        )
    yield vector(
        "trailing-data",
        "data after the end of the structure is passed over",
        "X.690 §8.1",
        "good",
        detached(whole + b"\x30\x03\x02\x01\x01"),
    )
    yield vector(
        "not-cms",
        "the signature is something else altogether",
        rule,
        "cms",
        detached(b"\x30\x10" + seeded("not cms", 16)),
    )
    yield vector(
        "data-as-signature",
        "the structure is plain data",
        rule,
        "cms",
        detached(content_info(DATA, octets(ENTITY))),
    )
    yield vector(
        "version-unusual",
        "the version number is not looked at",
        rule,
        "good",
        detached(_with_version(whole)),
    )
    yield vector(
        "empty-digest-list",
        "the list of digests is a hint for streaming, and is empty",
        rule,
        "good",
        detached(signed_data(ENTITY, who, detached=True, digests=set_of())),
    )


def _with_version(blob: bytes) -> bytes:
    """Write version 5 where 1 stands first, which is the SignedData's own."""
    return blob.replace(integer(1), integer(5), 1)
