"""Whom to believe: certificates, chains, addresses, dates, revocation."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime

from cms import By, signed_data
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from der import bits, items, oid, seq
from mails import ENTITY, Vector, fields, shelf, signed_entity
from people import (
    ALICE,
    AT,
    CA,
    EVE,
    OTHER_ROOT,
    ROOT,
    Person,
    authority,
    issue,
    make_key,
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
    blob = signed_data(ENTITY, By(who), detached=True, crls=crls,  # type: ignore[arg-type]
                       certificates=certificates)  # type: ignore[arg-type]  # fmt: skip
    return fields(sender, **more) + signed_entity(ENTITY, blob)  # type: ignore[arg-type]


def alice(**rest: object) -> Person:
    return person(ADDRESS, label="alice of trust", **rest)  # type: ignore[arg-type]


def vectors() -> Iterator[Vector]:
    yield from dates()
    yield from usage()
    yield from addresses()
    yield from senders()
    yield from chains()
    yield from strength()
    yield from revocation()


def dates() -> Iterator[Vector]:
    rule = "RFC 5280 §4.1.2.5"
    year = [datetime(one, 1, 1, tzinfo=UTC) for one in range(2025, 2036)]
    old = alice(end=year[4])
    mail = by(old)
    yield vector("expired", "the certificate has expired", rule, "trust", mail)
    yield vector("expired-since", "the same mail, judged when it was valid", rule, "good", mail,
                 at=datetime(2028, 6, 1, tzinfo=UTC))  # fmt: skip
    yield vector("last-second", "both ends of the validity belong to it", rule, "good", mail,
                 at=year[4])  # fmt: skip
    yield vector("not-yet-valid", "the certificate is valid from next year on", rule, "trust",
                 by(alice(begin=year[6])))  # fmt: skip
    stale = authority("Stale CA", ROOT, end=year[4])
    yield vector("authority-expired", "the certificate of the CA has expired", rule, "trust",
                 by(alice(by=stale)))  # fmt: skip


def usage() -> Iterator[Vector]:
    rule = "RFC 8550 §4.4"
    oids = ExtendedKeyUsageOID
    other = x509.ObjectIdentifier("1.3.6.1.4.1.99999.5")
    for title, about, expect, options in (
        ("eku-server", "made for TLS servers only", "trust", {"purposes": (oids.SERVER_AUTH,)}),
        ("eku-client-and-unknown", "made for anything but mail", "trust",
         {"purposes": (oids.CLIENT_AUTH, other)}),
        ("eku-any", "made for any purpose", "good",
         {"purposes": (oids.ANY_EXTENDED_KEY_USAGE,)}),
        ("eku-several", "made for mail among others", "good",
         {"purposes": (oids.CLIENT_AUTH, oids.EMAIL_PROTECTION)}),
        ("eku-missing", "no extended key usage", "good", {"purposes": None}),
        ("ku-missing", "no key usage", "good", {"usage": None}),
        ("ku-encipher-only", "the key is for encryption only", "trust",
         {"usage": ("key_encipherment", "key_agreement")}),
        ("ku-non-repudiation", "non-repudiation alone allows signatures", "good",
         {"usage": ("content_commitment",)}),
    ):  # fmt: skip
        yield vector(title, about, rule, expect, by(alice(**options)))
    tls = authority("TLS only CA", ROOT,
                    more=((x509.ExtendedKeyUsage((oids.SERVER_AUTH,)), False),))  # fmt: skip
    yield vector("eku-of-authority", "the CA may certify TLS servers only", rule, "trust",
                 by(alice(by=tls)))  # fmt: skip


def addresses() -> Iterator[Vector]:
    rule = "RFC 8550 §3"
    dn = name("Alice", email=ADDRESS)
    for title, about, expect, options in (
        ("address-other", "the certificate names eve", "trust",
         {"addresses": ("eve@example.org",)}),
        ("address-other-domain", "the same name at another domain", "trust",
         {"addresses": ("alice@example.com",)}),
        ("address-longer", "the sender's address is only the end of the certificate's", "trust",
         {"addresses": ("malice@example.org",)}),
        ("address-none", "no address, only a common name", "trust", {"addresses": ()}),
        ("address-as-common-name", "the address stands in the common name, which names none",
         "trust", {"addresses": (), "subject": name(ADDRESS)}),
        ("address-in-subject", "the address stands in the subject, as of old", "good",
         {"addresses": (), "subject": dn}),
        ("address-one-of-three", "the address is the last of three", "good",
         {"addresses": ("a@example.org", "b@example.org", ADDRESS)}),
        ("address-domain-case", "the domain in capitals", "good",
         {"addresses": ("alice@EXAMPLE.ORG",)}),
    ):  # fmt: skip
        yield vector(title, about, rule, expect, by(alice(**options)))


def senders() -> Iterator[Vector]:
    rule = "RFC 8550 §3"
    for title, about, expect, sender in (
        ("from-other", "alice signed, and eve stands in From", "trust", "Eve <eve@example.org>"),
        ("from-none", "no From at all", "trust", None),
        ("from-empty", "From without an address", "trust", "alice"),
        ("from-two", "two addresses in From", "trust", "alice@example.org, eve@example.org"),
        ("from-display-name", "alice's address is only the display name of eve", "trust",
         '"alice@example.org" <eve@example.org>'),
        ("from-comment", "alice's address is only a comment", "trust",
         "eve@example.org (alice@example.org)"),
        ("from-encoded-name", "alice's address is an encoded display name", "trust",
         "=?utf-8?q?alice=40example=2Eorg?= <eve@example.org>"),
        ("from-domain-case", "the domain of From in capitals", "good", "alice@Example.ORG"),
        ("from-quoted-name", "a comma in the display name", "good",
         '"Example, Alice" <alice@example.org>'),
        ("from-folded", "From over two lines", "good", "Alice\r\n <alice@example.org>"),
    ):  # fmt: skip
        more = {"signer": "alice@Example.ORG"} if title == "from-domain-case" else {}
        yield vector(title, about, rule, expect, by(P256, sender), **more)
    yield vector("from-twice", "two From fields: readers would disagree", "RFC 5322 §3.6", "trust",
                 b"From: eve@example.org\r\n" + by(P256))  # fmt: skip
    yield vector("from-twice-other-order", "two From fields, the signer's first",
                 "RFC 5322 §3.6", "trust",
                 b"From: alice@example.org\r\n" + by(P256, "Eve <eve@example.org>"))  # fmt: skip
    yield vector("sender-field", "Sender names the signer, From somebody else", rule, "trust",
                 b"Sender: alice@example.org\r\n" + by(P256, "Eve <eve@example.org>"))  # fmt: skip
    rule = "RFC 9788 §4.4"
    inside = _inside("Alice <alice@example.org>")
    yield vector("from-inside-counts", "outside stands a list, inside is who signed", rule, "good",
                 _mail(inside, By(P256), "A list <list@example.org>"), content=inside)  # fmt: skip
    yield vector("from-inside-forged", "eve signed, and wrote alice inside and outside", rule,
                 "trust", _mail(inside, By(EVE), "Alice <alice@example.org>"))  # fmt: skip
    yield vector("from-inside-only-forged", "eve signed, and wrote alice inside", rule, "trust",
                 _mail(inside, By(EVE), "A list <list@example.org>"))  # fmt: skip


def _inside(sender: str) -> bytes:
    return (
        b'Content-Type: text/plain; charset=utf-8; hp="clear"\r\nFrom: ' + sender.encode() +
        b"\r\nTo: Bob <bob@example.org>\r\nSubject: Noon\r\n\r\nwe meet at noon\r\n"
    )  # fmt: skip


def _mail(content: bytes, signer: By, sender: str) -> bytes:
    return fields(sender) + signed_entity(content, signed_data(content, signer, detached=True))


def chains() -> Iterator[Vector]:
    rule = "RFC 5280 §6.1"
    lonely = issue(make_key("lonely", "p256"), name("Alice"), None, addresses=(ADDRESS,))
    yield vector("self-signed", "the certificate vouches for itself", rule, "trust", by(lonely))
    yield vector("other-root", "a CA that nobody here trusts", rule, "trust",
                 by(alice(by=OTHER_ROOT)))  # fmt: skip
    yield vector("intermediate-missing", "the certificate of the CA did not come along", rule,
                 "trust", by(P256, certificates=(P256.der,)))  # fmt: skip
    forged = authority("Vectors Root", None, serial=99)
    fake = issue(make_key("fake root", "p256"), name("Vectors Root"), None, purposes=None,
                 usage=("key_cert_sign",), serial=ROOT.certificate.serial_number,
                 more=((x509.BasicConstraints(True, None), True),))  # fmt: skip
    yield vector("root-of-same-name", "a root with the name and serial of ours, and another key",
                 rule, "trust", by(alice(by=fake)))  # fmt: skip
    again = alice(by=forged)
    yield vector("root-of-same-key", "the root's key under another serial: the same anchor", rule,
                 "good", by(again))  # fmt: skip
    extra = (*P256.all, OTHER_ROOT.der, lonely.der, forged.der)
    yield vector("certificates-beside", "certificates that lead nowhere came along", rule, "good",
                 by(P256, certificates=extra[::-1]))  # fmt: skip
    deep = authority("Deep CA", CA)
    yield vector("path-too-long", "the CA may certify people only, and certified a CA",
                 "RFC 5280 §4.2.1.9", "trust", by(alice(by=deep)))  # fmt: skip
    middle = authority("Middle CA", ROOT)
    under = authority("Lower CA", middle)
    yield vector("path-of-four", "root, two CAs, and alice", rule, "good", by(alice(by=under)))
    no_flag = authority("Flagless CA", ROOT, is_ca=False)
    none = authority("Bare CA", ROOT, is_ca=None)
    no_sign = authority("Silent CA", ROOT, usage=("crl_sign",))
    yield vector("issued-by-person", "eve certified alice", "RFC 5280 §4.2.1.9", "trust",
                 by(alice(by=EVE)))  # fmt: skip
    for title, about, who in (
        ("ca-flag-false", "basicConstraints says that it is no CA", no_flag),
        ("ca-flag-missing", "no basicConstraints", none),
        ("ca-may-not-certify", "key usage without keyCertSign", no_sign),
    ):
        yield vector(title, about, "RFC 5280 §6.1.4", "trust", by(alice(by=who)))
    wrong = _broken_signature(P256)
    blob = signed_data(ENTITY, By(wrong), detached=True)
    yield vector("certificate-signature-wrong", "the CA's signature in the certificate is wrong",
                 rule, "trust", fields() + signed_entity(ENTITY, blob))  # fmt: skip
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.6"), b"\x05\x00")
    yield vector("critical-unknown", "a critical extension that nobody knows",
                 "RFC 5280 §4.2", "trust", by(alice(more=((unknown, True),))))  # fmt: skip
    yield vector("uncritical-unknown", "an extension that nobody knows, not critical",
                 "RFC 5280 §4.2", "good", by(alice(more=((unknown, False),))))  # fmt: skip
    for title, about, expect, permitted, excluded in (
        ("names-permitted", "the CA may certify example.org", "good", ["example.org"], None),
        ("names-not-permitted", "the CA may certify example.com only", "trust", ["example.com"],
         None),
        ("names-excluded", "the CA may not certify example.org", "trust", None, ["example.org"]),
        ("names-excluded-other", "the CA may not certify example.com", "good", None,
         ["example.com"]),
    ):  # fmt: skip
        constraints = x509.NameConstraints(
            [x509.RFC822Name(one) for one in permitted] if permitted else None,
            [x509.RFC822Name(one) for one in excluded] if excluded else None,
        )
        bound = authority(f"CA {title}", ROOT, more=((constraints, True),))
        yield vector(title, about, "RFC 5280 §4.2.1.10", expect, by(alice(by=bound)))
    bound = authority("CA names in subject", ROOT, more=((
        x509.NameConstraints([x509.RFC822Name("example.com")], None), True),))  # fmt: skip
    subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, ADDRESS)])
    yield vector("names-in-subject", "the address that is not permitted stands in the subject",
                 "RFC 5280 §4.2.1.10", "trust",
                 by(alice(by=bound, addresses=(), subject=subject)))  # fmt: skip


def _broken_signature(who: Person) -> Person:
    """Return ``who`` with a certificate of the same content, signed by nobody."""
    der = bytearray(who.der)
    der[-3] ^= 1
    return Person(who.key, x509.load_der_x509_certificate(bytes(der)), who.chain)


def strength() -> Iterator[Vector]:
    rule = "RFC 8550 §4.3"
    weak = person(ADDRESS, "rsa1024")
    yield vector("rsa-1024-default", "an RSA key of 1024 bits", rule, "trust", by(weak))
    yield vector("rsa-1024-legacy", "an RSA key of 1024 bits, by policy", rule, "good", by(weak),
                 policy="legacy")  # fmt: skip
    sha1 = _with_sha1(alice())
    yield vector("certificate-by-sha1", "the certificate was signed with SHA-1", rule, "trust",
                 by(sha1))  # fmt: skip
    yield vector("certificate-by-sha1-legacy", "the certificate was signed with SHA-1, by policy",
                 rule, "good", by(sha1), policy="legacy")  # fmt: skip


def _with_sha1(who: Person) -> Person:
    """Return ``who`` with a certificate that the CA signed with SHA-1, put together by hand."""
    strong, weak = seq(oid("1.2.840.10045.4.3.2")), seq(oid("1.2.840.10045.4.1"))
    fields_of_it = [weak if one == strong else one for one in items(items(who.der)[0])]
    body = seq(*fields_of_it)
    value = CA.key.sign(body, ec.ECDSA(hashes.SHA1(), deterministic_signing=True))
    der = seq(body, weak, bits(value))
    return Person(who.key, x509.load_der_x509_certificate(der), who.chain)


def revocation() -> Iterator[Vector]:
    rule = "RFC 5280 §6.3"
    serial = P256.certificate.serial_number
    begin, end = datetime(2030, 5, 1, tzinfo=UTC), datetime(2030, 7, 1, tzinfo=UTC)
    yield vector("crl-clean", "a CRL of the CA, without alice", rule, "good",
                 by(P256, crls=(crl(CA, begin, end),)))  # fmt: skip
    yield vector("crl-revoked", "a CRL of the CA, with alice", rule, "trust",
                 by(P256, crls=(crl(CA, begin, end, serial),)))  # fmt: skip
    yield vector("crl-revoked-stale", "an old CRL with alice: revocation is for good", rule,
                 "trust", by(P256, crls=(crl(CA, begin, datetime(2030, 5, 2, tzinfo=UTC), serial),)))  # fmt: skip
    yield vector("crl-by-another", "a CRL that eve made proves nothing", rule, "good",
                 by(P256, crls=(crl(EVE, begin, end, serial),)))  # fmt: skip
    yield vector("crl-of-authority", "the root revoked the CA", rule, "trust",
                 by(P256, crls=(crl(ROOT, begin, end, CA.certificate.serial_number),)))  # fmt: skip
    late = datetime(2030, 6, 15, tzinfo=UTC)
    yield vector("crl-revoked-later", "alice was revoked after the moment asked for", rule, "good",
                 by(P256, crls=(crl(CA, late, end, serial),)))  # fmt: skip
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
