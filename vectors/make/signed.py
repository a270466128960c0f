"""Signed mails: every algorithm, and every way in which a signature can be wrong."""

from __future__ import annotations

from collections.abc import Iterator

from cms import (
    DATA,
    RSA,
    SIGNED,
    By,
    a_digest,
    a_time,
    a_type,
    attribute,
    content_info,
    digest,
    key_identifier,
    seeded,
    signed_data,
    signed_value,
)
from der import NULL, integer, octets, oid, seq, set_of, tlv
from mails import ENTITY, Vector, fields, shelf, signed_entity, wrapped_entity
from people import ALICE, CAROL, DAVE, EVE, issue, make_key, person

RSA_ALICE, P256 = ALICE["rsa2048"], ALICE["p256"]
CHANGED = ENTITY.replace(b"noon", b"dusk")
FIXED_DIGEST = {"p256": "sha256", "p384": "sha384", "p521": "sha512", "rsa2048": "sha256"}
vector = shelf("signed")


def detached(blob: bytes, content: bytes = ENTITY, **form: object) -> bytes:
    return fields() + signed_entity(content, blob, **form)  # type: ignore[arg-type]


def opaque(blob: bytes, smime_type: str | None = "signed-data") -> bytes:
    return fields() + wrapped_entity(blob, smime_type)


def honest(*signers: By, content: bytes = ENTITY) -> bytes:
    return detached(signed_data(content, *signers, detached=True), content)


def vectors() -> Iterator[Vector]:
    yield from algorithms()
    yield from signers()
    yield from changed()
    yield from attributes()
    yield from weak()
    yield from certificates()
    yield from structures()


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
    yield vector("two-signers", "a second signer beside the sender", rule, "good",
                 honest(By(P256), By(CAROL)))  # fmt: skip
    yield vector("three-signers", "RSA and two kinds of ECDSA at once", rule, "good",
                 honest(By(RSA_ALICE), By(CAROL, "sha512"), By(DAVE)))  # fmt: skip
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
        honest(By(P256, attributes=[a_type(), a_time("450101000000Z"),
                                    a_digest(digest("sha256", ENTITY))])),
    )  # fmt: skip
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
        honest(By(P256, attributes=[a_type(), a_digest(digest("sha256", ENTITY)),
                                    attribute("1.3.6.1.4.1.99999.4", octets(b"anything"))])),
    )  # fmt: skip


def changed() -> Iterator[Vector]:
    rule = "RFC 5652 §5.4"
    for name, who in (("rsa", By(RSA_ALICE)), ("p256", By(P256))):
        blob = signed_data(ENTITY, who, detached=True)
        yield vector(f"{name}-content-changed", "a word was changed after signing", rule, "digest",
                     detached(blob, CHANGED))  # fmt: skip
    blob = signed_data(ENTITY, By(P256), inside=CHANGED)
    yield vector("opaque-content-changed", "a word was changed inside of the signature", rule,
                 "digest", opaque(blob))  # fmt: skip
    blob = signed_data(ENTITY, By(P256), detached=True)
    yield vector("tail-spaces", "spaces at the end of lines are part of what was signed",
                 "RFC 1847 §2.1", "good", detached(blob))  # fmt: skip
    lost = ENTITY.replace(b" \r\n", b"\r\n")
    yield vector("tail-spaces-lost", "a relay that took spaces away changed the content",
                 "RFC 1847 §2.1", "digest", detached(blob, lost))  # fmt: skip
    yield vector("header-of-part-changed", "the part's own fields are part of what was signed",
                 "RFC 1847 §2.1", "digest",
                 detached(blob, ENTITY.replace(b"utf-8", b"UTF-8")))  # fmt: skip
    yield vector("last-line-break-lost", "the line break that ends the text is signed, too",
                 "RFC 2046 §5.1.1", "digest", detached(blob, ENTITY[:-2]))  # fmt: skip
    yield vector("footer-inside", "a mailing list wrote its footer into the signed part", rule,
                 "digest", detached(blob, ENTITY + b"_____\r\nlist footer\r\n"))  # fmt: skip
    yield vector("bare-lf", "all of the mail was stored with bare LF", "RFC 8551 §3.1.1", "good",
                 detached(blob).replace(b"\r\n", b"\n"))  # fmt: skip
    yield vector("bare-lf-signed-so", "the signer signed bare LF, and a relay made CRLF of it",
                 "RFC 8551 §3.1.1", "digest",
                 honest_lf())  # fmt: skip
    value = signed_value(RSA_ALICE, "sha256", tlv(0x31, *sorted(
        [a_type(), a_time(), a_digest(digest("sha256", ENTITY))])))  # fmt: skip
    broken = value[:100] + bytes((value[100] ^ 1,)) + value[101:]
    rule = "RFC 5652 §5.6"
    yield vector("signature-bit-changed", "one bit of the signature value was changed", rule,
                 "key", honest(By(RSA_ALICE, value=broken)))  # fmt: skip
    yield vector("signature-too-short", "the signature value has lost its last octet", rule,
                 "key", honest(By(RSA_ALICE, value=value[:-1])))  # fmt: skip
    yield vector("signature-empty", "the signature value is one zero octet", rule, "key",
                 honest(By(P256, value=b"\x00")))  # fmt: skip
    zero = seq(integer(0), integer(0))
    yield vector("ecdsa-zero", "r and s are zero: a forgery that naive code accepts",
                 "FIPS 186-5 §6.4.2", "key", honest(By(P256, value=zero)))  # fmt: skip
    raw = seeded("raw", 64)
    yield vector("ecdsa-not-der", "r and s as 64 plain octets, which CMS does not know",
                 "RFC 5753 §2.1.1", "key", honest(By(P256, value=raw)))  # fmt: skip
    yield vector("wrong-key", "eve's key signed, alice's certificate is shown", rule, "key",
                 honest(By(P256, key=EVE)))  # fmt: skip
    yield vector("kind-of-key-differs", "the signature says RSA, the certificate has P-256", rule,
                 "key", honest(By(P256, signature_algorithm=seq(oid(RSA), NULL))))  # fmt: skip


def honest_lf() -> bytes:
    blob = signed_data(ENTITY.replace(b"\r\n", b"\n"), By(P256), detached=True)
    return detached(blob)


def attributes() -> Iterator[Vector]:
    right = a_digest(digest("sha256", ENTITY))
    rule = "RFC 5652 §11.2"
    for name, about, sent in (
        ("message-digest-missing", "no message-digest attribute", [a_type()]),
        ("message-digest-twice", "two message-digest attributes, the right one first",
         [a_type(), right, a_digest(digest("sha256", CHANGED))]),
        ("message-digest-two-values", "message-digest with two values",
         [a_type(), a_digest(digest("sha256", ENTITY), digest("sha256", CHANGED))]),
        ("message-digest-no-value", "message-digest without a value", [a_type(), a_digest()]),
    ):  # fmt: skip
        yield vector(name, about, rule, "cms", honest(By(P256, attributes=sent)))
    rule = "RFC 5652 §11.1"
    for name, about, sent in (
        ("content-type-missing", "no content-type attribute", [right, a_time()]),
        ("content-type-twice", "two content-type attributes", [a_type(), a_type(SIGNED), right]),
        ("content-type-two-values", "content-type with two values", [a_type(DATA, SIGNED), right]),
        ("content-type-differs", "content-type names another type than the content has",
         [a_type(SIGNED), right]),
    ):  # fmt: skip
        yield vector(name, about, rule, "cms", honest(By(P256, attributes=sent)))
    short = a_digest(digest("sha256", ENTITY)[:20])
    yield vector("message-digest-short", "message-digest is cut to 20 octets", "RFC 5652 §11.2",
                 "digest", honest(By(P256, attributes=[a_type(), short])))  # fmt: skip
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


def weak() -> Iterator[Vector]:
    for name, title in (("md5", "MD5"), ("sha1", "SHA-1")):
        mail = honest(By(RSA_ALICE, name))
        about = f"{title} under the signature"
        yield vector(f"{name}-default", f"{about}: never good by default", "RFC 8551 §2.1",
                     "digest", mail)  # fmt: skip
        yield vector(f"{name}-legacy", f"{about}: good where old mail is asked for",
                     "RFC 8551 §2.1", "good", mail, policy="legacy")  # fmt: skip
    mail = honest(By(RSA_ALICE, plain=True))
    yield vector("no-attributes-default", "a signature over the content itself is not good alone",
                 "RFC 5652 §5.4", "cms", mail)  # fmt: skip
    yield vector("no-attributes-legacy", "a signature over the content itself, by policy",
                 "RFC 5652 §5.4", "good", mail, policy="legacy")  # fmt: skip


def certificates() -> Iterator[Vector]:
    rule = "RFC 5652 §5.6"
    serial = P256.certificate.serial_number
    subject = P256.certificate.subject
    # Twins: issuer and serial of alice's certificate, another key. Only a broken CA makes one;
    # whoever can add certificates to a message can add it.
    from people import CA

    twin = issue(make_key("twin", "p256"), subject, CA, serial=serial,
                 addresses=("alice@example.org",))  # fmt: skip
    blob = signed_data(ENTITY, By(P256), detached=True,
                       certificates=(twin.der, *P256.all))  # fmt: skip
    yield vector("twin-certificate", "a certificate of the same issuer and serial stands first",
                 rule, "good", detached(blob))  # fmt: skip
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=(twin.der, *P256.chain))
    yield vector("twin-certificate-alone", "only the certificate with the other key is there",
                 rule, "key", detached(blob))  # fmt: skip
    same = issue(P256.key, subject, CA, serial=serial, addresses=("eve@example.org",))
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=(same.der, *P256.all))
    yield vector("twin-certificate-same-key", "two certificates of the same name, serial and key",
                 "RFC 5652 §5.3", "key", detached(blob))  # fmt: skip
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=())
    yield vector("no-certificate", "the signer's certificate is not in the message",
                 "RFC 8551 §3.5.3", "key", detached(blob))  # fmt: skip
    strange = (tlv(0xA1, seeded("attribute certificate", 40)), *P256.all)
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=strange)
    yield vector("other-certificate-forms", "an attribute certificate is passed over",
                 "RFC 5652 §10.2.2", "good", detached(blob))  # fmt: skip
    junk = (seq(integer(5), octets(b"no certificate")), *P256.all)
    blob = signed_data(ENTITY, By(P256), detached=True, certificates=junk)
    yield vector("junk-certificate", "what a strict parser refuses is passed over",
                 "RFC 5652 §10.2.2", "good", detached(blob))  # fmt: skip


def structures() -> Iterator[Vector]:
    rule = "RFC 5652 §5.1"
    who = By(P256)
    for piece in (1, 100):
        blob = signed_data(ENTITY, who, piece=piece)
        yield vector(f"ber-pieces-of-{piece}",
                     f"BER: indefinite lengths, the content in pieces of {piece} octets",
                     "X.690 §8.1.3.6", "good", opaque(blob))  # fmt: skip
    blob = signed_data(ENTITY, who, detached=True, inside=ENTITY)
    yield vector("content-inside-and-outside",
                 "the content stands beside the signature and inside of it, the same",
                 "RFC 8551 §3.5.3", "cms", detached(blob))  # fmt: skip
    blob = signed_data(CHANGED, who)
    yield vector("other-content-inside",
                 "the signature holds for a content inside, and another one is shown",
                 "RFC 8551 §3.5.3", "cms", detached(blob))  # fmt: skip
    yield vector("opaque-without-content", "a signature without content or a part beside it",
                 "RFC 8551 §3.5.2", "cms",
                 opaque(signed_data(ENTITY, who, detached=True)))  # fmt: skip
    yield vector("no-signers-detached", "a signature that nobody made", rule, "cms",
                 detached(signed_data(ENTITY, detached=True, certificates=P256.all)))  # fmt: skip
    yield vector("no-signers-opaque", "called signed, and nobody signed it", rule, "cms",
                 opaque(signed_data(ENTITY, certificates=P256.all)))  # fmt: skip
    only = content_info(SIGNED, seq(integer(1), set_of(), seq(oid(DATA)),
                                    tlv(0xA0, *P256.all), set_of()))  # fmt: skip
    yield vector("certificates-only", "certificates to import; nobody signed anything",
                 "RFC 8551 §3.8", "cms", opaque(only, "certs-only"))  # fmt: skip
    whole = signed_data(ENTITY, who, detached=True)
    for name, cut in (("half", len(whole) // 2), ("by-one", len(whole) - 1), ("to-header", 4),
                      ("in-certificate", 400)):  # fmt: skip
        yield vector(f"truncated-{name}", "the structure ends too early", "X.690 §8.1.3", "cms",
                     detached(whole[:cut]))  # fmt: skip
    yield vector("trailing-data", "data after the end of the structure is passed over",
                 "X.690 §8.1", "good",
                 detached(whole + b"\x30\x03\x02\x01\x01"))  # fmt: skip
    yield vector("not-cms", "the signature is something else altogether", rule, "cms",
                 detached(b"\x30\x10" + seeded("not cms", 16)))  # fmt: skip
    yield vector("data-as-signature", "the structure is plain data", rule, "cms",
                 detached(content_info(DATA, octets(ENTITY))))  # fmt: skip
    yield vector("version-unusual", "the version number is not looked at", rule, "good",
                 detached(_with_version(whole)))  # fmt: skip
    yield vector("empty-digest-list", "the list of digests is a hint for streaming, and is empty",
                 rule, "good",
                 detached(signed_data(ENTITY, who, detached=True, digests=set_of())))  # fmt: skip


def _with_version(blob: bytes) -> bytes:
    """Write version 5 where 1 stands first, which is the SignedData's own."""
    return blob.replace(integer(1), integer(5), 1)
