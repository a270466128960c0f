"""Signed mails: every algorithm, several signers, and what was changed afterwards."""

from __future__ import annotations

from collections.abc import Iterator

from cms import (
    RSA,
    By,
    a_digest,
    a_time,
    a_type,
    attribute,
    digest,
    key_identifier,
    seeded,
    signed_data,
    signed_value,
)
from der import NULL, integer, octets, oid, seq, tlv
from mails import ENTITY, Vector, fields, shelf, signed_entity, wrapped_entity
from people import ALICE, CAROL, DAVE, EVE, person

RSA_ALICE, P256 = ALICE["rsa2048"], ALICE["p256"]
CHANGED = ENTITY.replace(b"noon", b"dusk")
FIXED_DIGEST = {"p256": "sha256", "p384": "sha384", "p521": "sha512", "rsa2048": "sha256"}
vector = shelf("signed")


def detached(blob: bytes, content: bytes = ENTITY, **form: object) -> bytes:
    return fields() + signed_entity(content, blob, **form)


def opaque(blob: bytes, smime_type: str | None = "signed-data") -> bytes:
    return fields() + wrapped_entity(blob, smime_type)


def honest(*signers: By, content: bytes = ENTITY) -> bytes:
    return detached(signed_data(content, *signers, detached=True), content)


def vectors() -> Iterator[Vector]:
    yield from algorithms()
    yield from signers()
    yield from changed()
    yield from weak()


def algorithms() -> Iterator[Vector]:
    for name in ("sha256", "sha384", "sha512"):
        yield vector(
            f"rsa-{name}-detached",
            f"RSA PKCS#1 v1.5 with {name}, content beside the signature",
            "RFC 8551 §3.5.3",
            "good",
            honest(By(RSA_ALICE, name)),
        )
    for kind, name in FIXED_DIGEST.items():
        who = By(ALICE[kind], name)
        if kind != "rsa2048":
            yield vector(
                f"{kind}-{name}-detached",
                f"ECDSA on {kind} with {name}, content beside the signature",
                "RFC 5753 §2.1",
                "good",
                honest(who),
            )
        yield vector(
            f"{kind}-{name}-opaque",
            f"{kind} with {name}, content inside of the signature",
            "RFC 8551 §3.5.2",
            "good",
            opaque(signed_data(ENTITY, who)),
        )
    yield vector(
        "p256-sha512-detached",
        "a digest longer than the curve is cut to its size",
        "RFC 5753 §2.1",
        "good",
        honest(By(P256, "sha512")),
    )
    rsa_named = By(RSA_ALICE, signature_algorithm=seq(oid("1.2.840.113549.1.1.11"), NULL))
    yield vector(
        "rsa-named-with-digest",
        "sha256WithRSAEncryption stands where rsaEncryption is usual",
        "RFC 5754 §3.2",
        "good",
        honest(rsa_named),
    )
    yield vector(
        "digest-other-than-named",
        "the signature algorithm names SHA-512, the signer SHA-256",
        "RFC 5652 §5.3",
        "key",
        honest(By(RSA_ALICE, signature_algorithm=seq(oid("1.2.840.113549.1.1.13"), NULL))),
    )
    yield vector(
        "signature-algorithm-unknown",
        "a signature algorithm that nobody knows",
        "RFC 5652 §5.6",
        "key",
        honest(By(RSA_ALICE, signature_algorithm=seq(oid("1.3.6.1.4.1.99999.7")))),
    )
    yield vector(
        "digest-unknown",
        "RIPEMD-160 as digest: not known, so nothing is said to be intact",
        "RFC 5754 §2",
        "digest",
        honest(By(RSA_ALICE, digest_oid="1.3.36.3.2.1")),
    )


def signers() -> Iterator[Vector]:
    rule = "RFC 5652 §5.1"
    yield vector(
        "two-signers",
        "a second signer beside the sender",
        rule,
        "good",
        honest(By(P256), By(CAROL)),
    )
    yield vector(
        "three-signers",
        "RSA and two kinds of ECDSA at once",
        rule,
        "good",
        honest(By(RSA_ALICE), By(CAROL, "sha512"), By(DAVE)),
    )
    other = By(CAROL, attributes=[a_type(), a_digest(digest("sha256", CHANGED))])
    yield vector(
        "two-signers-one-digest-wrong",
        "the second signer signed another content: the structure was put together",
        rule,
        "digest",
        honest(By(P256), other),
    )
    yield vector(
        "two-signers-same-twice-one-wrong",
        "the sender signed twice, and one of the signatures is wrong",
        rule,
        "key",
        honest(By(P256), By(RSA_ALICE, key=person("carol@example.org", "rsa2048"))),
    )
    yield vector(
        "signed-by-key-identifier",
        "the signer is named by subjectKeyIdentifier",
        "RFC 5652 §5.3",
        "good",
        honest(By(P256, identifier=tlv(0x80, key_identifier(P256)))),
    )
    yield vector(
        "key-identifier-of-nobody",
        "no certificate has the key identifier that the signer names",
        "RFC 5652 §5.3",
        "key",
        honest(By(P256, identifier=tlv(0x80, seeded("nobody", 20)))),
    )
    yield vector(
        "signing-time-in-future",
        "what the signer says of the time moves no verdict",
        "RFC 5652 §11.3",
        "good",
        honest(
            By(
                P256,
                attributes=[a_type(), a_time("450101000000Z"), a_digest(digest("sha256", ENTITY))],
            )
        ),
    )
    unsigned = tlv(0xA1, attribute("1.3.6.1.4.1.99999.3", octets(b"anything")))
    yield vector(
        "unsigned-attributes",
        "attributes outside of the signature are passed over",
        "RFC 5652 §11.4",
        "good",
        honest(By(P256, unsigned=unsigned)),
    )
    yield vector(
        "unknown-signed-attribute",
        "an attribute that nobody knows is covered like the others",
        "RFC 5652 §5.3",
        "good",
        honest(
            By(
                P256,
                attributes=[
                    a_type(),
                    a_digest(digest("sha256", ENTITY)),
                    attribute("1.3.6.1.4.1.99999.4", octets(b"anything")),
                ],
            )
        ),
    )


def changed() -> Iterator[Vector]:
    rule = "RFC 5652 §5.4"
    for name, who in (("rsa", By(RSA_ALICE)), ("p256", By(P256))):
        blob = signed_data(ENTITY, who, detached=True)
        yield vector(
            f"{name}-content-changed",
            "a word was changed after signing",
            rule,
            "digest",
            detached(blob, CHANGED),
        )
    blob = signed_data(ENTITY, By(P256), inside=CHANGED)
    yield vector(
        "opaque-content-changed",
        "a word was changed inside of the signature",
        rule,
        "digest",
        opaque(blob),
    )
    blob = signed_data(ENTITY, By(P256), detached=True)
    yield vector(
        "tail-spaces",
        "spaces at the end of lines are part of what was signed",
        "RFC 1847 §2.1",
        "good",
        detached(blob),
    )
    lost = ENTITY.replace(b" \r\n", b"\r\n")
    yield vector(
        "tail-spaces-lost",
        "a relay that took spaces away changed the content",
        "RFC 1847 §2.1",
        "digest",
        detached(blob, lost),
        damage="damage-blanks",
    )
    yield vector(
        "header-of-part-changed",
        "the part's own fields are part of what was signed",
        "RFC 1847 §2.1",
        "digest",
        detached(blob, ENTITY.replace(b"utf-8", b"UTF-8")),
    )
    yield vector(
        "last-line-break-lost",
        "the line break that ends the text is signed, too",
        "RFC 2046 §5.1.1",
        "digest",
        detached(blob, ENTITY[:-2]),
    )
    yield vector(
        "footer-inside",
        "a mailing list wrote its footer into the signed part",
        rule,
        "digest",
        detached(blob, ENTITY + b"_____\r\nlist footer\r\n"),
        damage="damage-footer",
    )
    yield vector(
        "bare-lf",
        "all of the mail was stored with bare LF",
        "RFC 8551 §3.1.1",
        "good",
        detached(blob).replace(b"\r\n", b"\n"),
    )
    yield vector(
        "bare-lf-signed-so",
        "the signer signed bare LF, and a relay made CRLF of it",
        "RFC 8551 §3.1.1",
        "digest",
        honest_lf(),
        damage="damage-line-ends",
    )
    value = signed_value(
        RSA_ALICE,
        "sha256",
        tlv(0x31, *sorted([a_type(), a_time(), a_digest(digest("sha256", ENTITY))])),
    )
    broken = value[:100] + bytes((value[100] ^ 1,)) + value[101:]
    rule = "RFC 5652 §5.6"
    yield vector(
        "signature-bit-changed",
        "one bit of the signature value was changed",
        rule,
        "key",
        honest(By(RSA_ALICE, value=broken)),
    )
    yield vector(
        "signature-too-short",
        "the signature value has lost its last octet",
        rule,
        "key",
        honest(By(RSA_ALICE, value=value[:-1])),
    )
    yield vector(
        "signature-empty",
        "the signature value is one zero octet",
        rule,
        "key",
        honest(By(P256, value=b"\x00")),
    )
    zero = seq(integer(0), integer(0))
    yield vector(
        "ecdsa-zero",
        "r and s are zero: a forgery that naive code accepts",
        "FIPS 186-5 §6.4.2",
        "key",
        honest(By(P256, value=zero)),
    )
    raw = seeded("raw", 64)
    yield vector(
        "ecdsa-not-der",
        "r and s as 64 plain octets, which CMS does not know",
        "RFC 5753 §2.1.1",
        "key",
        honest(By(P256, value=raw)),
    )
    yield vector(
        "wrong-key",
        "eve's key signed, alice's certificate is shown",
        rule,
        "key",
        honest(By(P256, key=EVE)),
    )
    yield vector(
        "kind-of-key-differs",
        "the signature says RSA, the certificate has P-256",
        rule,
        "key",
        honest(By(P256, signature_algorithm=seq(oid(RSA), NULL))),
    )


def honest_lf() -> bytes:
    blob = signed_data(ENTITY.replace(b"\r\n", b"\n"), By(P256), detached=True)
    return detached(blob)


def weak() -> Iterator[Vector]:
    for name, title in (("md5", "MD5"), ("sha1", "SHA-1")):
        mail = honest(By(RSA_ALICE, name))
        about = f"{title} under the signature"
        yield vector(
            f"{name}-default", f"{about}: never good by default", "RFC 8551 §2.1", "digest", mail
        )
        yield vector(
            f"{name}-legacy",
            f"{about}: good where old mail is asked for",
            "RFC 8551 §2.1",
            "good",
            mail,
            policy="legacy",
        )
    mail = honest(By(RSA_ALICE, plain=True))
    yield vector(
        "no-attributes-default",
        "a signature over the content itself is not good alone",
        "RFC 5652 §5.4",
        "cms",
        mail,
    )
    yield vector(
        "no-attributes-legacy",
        "a signature over the content itself, by policy",
        "RFC 5652 §5.4",
        "good",
        mail,
        policy="legacy",
    )
