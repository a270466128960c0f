"""Whom to believe: certificates, chains, addresses, dates, revocation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cms import By, signed_data
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID
from mails import ENTITY, Vector, fields, shelf, signed_entity
from people import (
    ALICE,
    AT,
    CA,
    EVE,
    ROOT,
    Person,
    authority,
    name,
    person,
)

P256 = ALICE["p256"]
ADDRESS = "alice@example.org"
vector = shelf("trust")


def by(who: Person, sender: str | None = "Alice <alice@example.org>", **more: object) -> bytes:
    """Return a mail that is signed by ``who`` as it has to be."""
    crls = more.pop("crls", ())
    certificates = more.pop("certificates", None)
    blob = signed_data(
        ENTITY,
        By(who),
        detached=True,
        crls=crls,
        certificates=certificates,
    )
    return fields(sender, **more) + signed_entity(ENTITY, blob)


def alice(**rest: object) -> Person:
    return person(ADDRESS, label="alice of trust", **rest)


def vectors() -> Iterator[Vector]:
    yield from dates()
    yield from usage()
    yield from addresses()
    yield from senders()
    yield from revocation()


def dates() -> Iterator[Vector]:
    rule = "RFC 5280 §4.1.2.5"
    year = [datetime(one, 1, 1, tzinfo=UTC) for one in range(2025, 2036)]
    old = alice(end=year[4])
    mail = by(old)
    yield vector("expired", "the certificate has expired", rule, "trust", mail)
    yield vector(
        "expired-since",
        "the same mail, judged when it was valid",
        rule,
        "good",
        mail,
        at=datetime(2028, 6, 1, tzinfo=UTC),
    )
    yield vector(
        "last-second", "both ends of the validity belong to it", rule, "good", mail, at=year[4]
    )
    yield vector(
        "not-yet-valid",
        "the certificate is valid from next year on",
        rule,
        "trust",
        by(alice(begin=year[6])),
    )
    stale = authority("Stale CA", ROOT, end=year[4])
    yield vector(
        "authority-expired",
        "the certificate of the CA has expired",
        rule,
        "trust",
        by(alice(by=stale)),
    )


def usage() -> Iterator[Vector]:
    rule = "RFC 8550 §4.4"
    oids = ExtendedKeyUsageOID
    other = x509.ObjectIdentifier("1.3.6.1.4.1.99999.5")
    for title, about, expect, options in (
        ("eku-server", "made for TLS servers only", "trust", {"purposes": (oids.SERVER_AUTH,)}),
        (
            "eku-client-and-unknown",
            "made for anything but mail",
            "trust",
            {"purposes": (oids.CLIENT_AUTH, other)},
        ),
        ("eku-any", "made for any purpose", "good", {"purposes": (oids.ANY_EXTENDED_KEY_USAGE,)}),
        (
            "eku-several",
            "made for mail among others",
            "good",
            {"purposes": (oids.CLIENT_AUTH, oids.EMAIL_PROTECTION)},
        ),
        ("eku-missing", "no extended key usage", "good", {"purposes": None}),
        ("ku-missing", "no key usage", "good", {"usage": None}),
        (
            "ku-encipher-only",
            "the key is for encryption only",
            "trust",
            {"usage": ("key_encipherment", "key_agreement")},
        ),
        (
            "ku-non-repudiation",
            "non-repudiation alone allows signatures",
            "good",
            {"usage": ("content_commitment",)},
        ),
    ):
        yield vector(title, about, rule, expect, by(alice(**options)))
    tls = authority(
        "TLS only CA", ROOT, more=((x509.ExtendedKeyUsage((oids.SERVER_AUTH,)), False),)
    )
    yield vector(
        "eku-of-authority", "the CA may certify TLS servers only", rule, "trust", by(alice(by=tls))
    )


def addresses() -> Iterator[Vector]:
    rule = "RFC 8550 §3"
    dn = name("Alice", email=ADDRESS)
    for title, about, expect, options in (
        (
            "address-other",
            "the certificate names eve",
            "trust",
            {"addresses": ("eve@example.org",)},
        ),
        (
            "address-other-domain",
            "the same name at another domain",
            "trust",
            {"addresses": ("alice@example.com",)},
        ),
        (
            "address-longer",
            "the sender's address is only the end of the certificate's",
            "trust",
            {"addresses": ("malice@example.org",)},
        ),
        ("address-none", "no address, only a common name", "trust", {"addresses": ()}),
        (
            "address-as-common-name",
            "the address stands in the common name, which names none",
            "trust",
            {"addresses": (), "subject": name(ADDRESS)},
        ),
        (
            "address-in-subject",
            "the address stands in the subject, as of old",
            "good",
            {"addresses": (), "subject": dn},
        ),
        (
            "address-one-of-three",
            "the address is the last of three",
            "good",
            {"addresses": ("a@example.org", "b@example.org", ADDRESS)},
        ),
        (
            "address-domain-case",
            "the domain in capitals",
            "good",
            {"addresses": ("alice@EXAMPLE.ORG",)},
        ),
    ):
        yield vector(title, about, rule, expect, by(alice(**options)))


def senders() -> Iterator[Vector]:
    rule = "RFC 8550 §3"
    for title, about, expect, sender in (
        ("from-other", "alice signed, and eve stands in From", "trust", "Eve <eve@example.org>"),
        ("from-none", "no From at all", "trust", None),
        ("from-empty", "From without an address", "trust", "alice"),
        ("from-two", "two addresses in From", "trust", "alice@example.org, eve@example.org"),
        (
            "from-display-name",
            "alice's address is only the display name of eve",
            "trust",
            '"alice@example.org" <eve@example.org>',
        ),
        (
            "from-comment",
            "alice's address is only a comment",
            "trust",
            "eve@example.org (alice@example.org)",
        ),
        (
            "from-encoded-name",
            "alice's address is an encoded display name",
            "trust",
            "=?utf-8?q?alice=40example=2Eorg?= <eve@example.org>",
        ),
        ("from-domain-case", "the domain of From in capitals", "good", "alice@Example.ORG"),
        (
            "from-quoted-name",
            "a comma in the display name",
            "good",
            '"Example, Alice" <alice@example.org>',
        ),
        ("from-folded", "From over two lines", "good", "Alice\r\n <alice@example.org>"),
    ):
        more = {"signer": "alice@Example.ORG"} if title == "from-domain-case" else {}
        yield vector(title, about, rule, expect, by(P256, sender), **more)
    yield vector(
        "from-twice",
        "two From fields: readers would disagree",
        "RFC 5322 §3.6",
        "trust",
        b"From: eve@example.org\r\n" + by(P256),
    )
    yield vector(
        "from-twice-other-order",
        "two From fields, the signer's first",
        "RFC 5322 §3.6",
        "trust",
        b"From: alice@example.org\r\n" + by(P256, "Eve <eve@example.org>"),
    )
    yield vector(
        "sender-field",
        "Sender names the signer, From somebody else",
        rule,
        "trust",
        b"Sender: alice@example.org\r\n" + by(P256, "Eve <eve@example.org>"),
    )
    rule = "RFC 9788 §4.4"
    inside = _inside("Alice <alice@example.org>")
    yield vector(
        "from-inside-counts",
        "outside stands a list, inside is who signed",
        rule,
        "good",
        _mail(inside, By(P256), "A list <list@example.org>"),
        content=inside,
    )
    yield vector(
        "from-inside-forged",
        "eve signed, and wrote alice inside and outside",
        rule,
        "trust",
        _mail(inside, By(EVE), "Alice <alice@example.org>"),
    )
    yield vector(
        "from-inside-only-forged",
        "eve signed, and wrote alice inside",
        rule,
        "trust",
        _mail(inside, By(EVE), "A list <list@example.org>"),
    )


def _inside(sender: str) -> bytes:
    return (
        b'Content-Type: text/plain; charset=utf-8; hp="clear"\r\nFrom: '
        + sender.encode()
        + b"\r\nTo: Bob <bob@example.org>\r\nSubject: Noon\r\n\r\nwe meet at noon\r\n"
    )


def _mail(content: bytes, signer: By, sender: str) -> bytes:
    return fields(sender) + signed_entity(content, signed_data(content, signer, detached=True))


def revocation() -> Iterator[Vector]:
    rule = "RFC 5280 §6.3"
    serial = P256.certificate.serial_number
    begin, end = datetime(2030, 5, 1, tzinfo=UTC), datetime(2030, 7, 1, tzinfo=UTC)
    yield vector(
        "crl-clean",
        "a CRL of the CA, without alice",
        rule,
        "good",
        by(P256, crls=(crl(CA, begin, end),)),
    )
    yield vector(
        "crl-revoked",
        "a CRL of the CA, with alice",
        rule,
        "trust",
        by(P256, crls=(crl(CA, begin, end, serial),)),
    )
    stale = datetime(2030, 5, 2, tzinfo=UTC)
    yield vector(
        "crl-revoked-stale",
        "an old CRL with alice: revocation is for good",
        rule,
        "trust",
        by(P256, crls=(crl(CA, begin, stale, serial),)),
    )
    yield vector(
        "crl-by-another",
        "a CRL that eve made proves nothing",
        rule,
        "good",
        by(P256, crls=(crl(EVE, begin, end, serial),)),
    )
    yield vector(
        "crl-of-authority",
        "the root revoked the CA",
        rule,
        "trust",
        by(P256, crls=(crl(ROOT, begin, end, CA.certificate.serial_number),)),
    )
    late = datetime(2030, 6, 15, tzinfo=UTC)
    yield vector(
        "crl-revoked-later",
        "alice was revoked after the moment asked for",
        rule,
        "good",
        by(P256, crls=(crl(CA, late, end, serial),)),
    )
    assert begin < AT < end


def crl(who: Person, begin: datetime, end: datetime, *serials: int) -> bytes:
    builder = (
        x509.CertificateRevocationListBuilder()
        .issuer_name(who.certificate.subject)
        .last_update(begin)
        .next_update(end)
        .add_extension(x509.CRLNumber(1), critical=False)
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_public_key(who.key.public_key()),
            critical=False,
        )
    )
    for serial in serials:
        revoked = x509.RevokedCertificateBuilder().serial_number(serial).revocation_date(begin)
        builder = builder.add_revoked_certificate(revoked.build())
    made = builder.sign(who.key, hashes.SHA256(), ecdsa_deterministic=True)
    return made.public_bytes(Encoding.DER)
