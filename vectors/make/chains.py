"""Chains of certificates, and how strong their links are."""

from __future__ import annotations

from collections.abc import Iterator

from cms import By, signed_data
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID
from der import bits, items, oid, seq
from mails import ENTITY, Vector, fields, shelf, signed_entity
from people import (
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
from trust import ADDRESS, P256, alice, by

vector = shelf("trust")


def vectors() -> Iterator[Vector]:
    yield from chains()
    yield from strength()


def chains() -> Iterator[Vector]:
    rule = "RFC 5280 §6.1"
    lonely = issue(make_key("lonely", "p256"), name("Alice"), None, addresses=(ADDRESS,))
    yield vector("self-signed", "the certificate vouches for itself", rule, "trust", by(lonely))
    yield vector(
        "other-root", "a CA that nobody here trusts", rule, "trust", by(alice(by=OTHER_ROOT))
    )
    yield vector(
        "intermediate-missing",
        "the certificate of the CA did not come along",
        rule,
        "trust",
        by(P256, certificates=(P256.der,)),
    )
    forged = authority("Vectors Root", None, serial=99)
    fake = issue(
        make_key("fake root", "p256"),
        name("Vectors Root"),
        None,
        purposes=None,
        usage=("key_cert_sign",),
        serial=ROOT.certificate.serial_number,
        more=((x509.BasicConstraints(True, None), True),),
    )
    yield vector(
        "root-of-same-name",
        "a root with the name and serial of ours, and another key",
        rule,
        "trust",
        by(alice(by=fake)),
    )
    again = alice(by=forged)
    yield vector(
        "root-of-same-key",
        "the root's key under another serial: the same anchor",
        rule,
        "good",
        by(again),
    )
    extra = (*P256.all, OTHER_ROOT.der, lonely.der, forged.der)
    yield vector(
        "certificates-beside",
        "certificates that lead nowhere came along",
        rule,
        "good",
        by(P256, certificates=extra[::-1]),
    )
    deep = authority("Deep CA", CA)
    yield vector(
        "path-too-long",
        "the CA may certify people only, and certified a CA",
        "RFC 5280 §4.2.1.9",
        "trust",
        by(alice(by=deep)),
    )
    middle = authority("Middle CA", ROOT)
    under = authority("Lower CA", middle)
    yield vector("path-of-four", "root, two CAs, and alice", rule, "good", by(alice(by=under)))
    no_flag = authority("Flagless CA", ROOT, is_ca=False)
    none = authority("Bare CA", ROOT, is_ca=None)
    no_sign = authority("Silent CA", ROOT, usage=("crl_sign",))
    yield vector(
        "issued-by-person", "eve certified alice", "RFC 5280 §4.2.1.9", "trust", by(alice(by=EVE))
    )
    for title, about, who in (
        ("ca-flag-false", "basicConstraints says that it is no CA", no_flag),
        ("ca-flag-missing", "no basicConstraints", none),
        ("ca-may-not-certify", "key usage without keyCertSign", no_sign),
    ):
        yield vector(title, about, "RFC 5280 §6.1.4", "trust", by(alice(by=who)))
    wrong = _broken_signature(P256)
    blob = signed_data(ENTITY, By(wrong), detached=True)
    yield vector(
        "certificate-signature-wrong",
        "the CA's signature in the certificate is wrong",
        rule,
        "trust",
        fields() + signed_entity(ENTITY, blob),
    )
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.3.6.1.4.1.99999.6"), b"\x05\x00")
    yield vector(
        "critical-unknown",
        "a critical extension that nobody knows",
        "RFC 5280 §4.2",
        "trust",
        by(alice(more=((unknown, True),))),
    )
    yield vector(
        "uncritical-unknown",
        "an extension that nobody knows, not critical",
        "RFC 5280 §4.2",
        "good",
        by(alice(more=((unknown, False),))),
    )
    for title, about, expect, permitted, excluded in (
        ("names-permitted", "the CA may certify example.org", "good", ["example.org"], None),
        (
            "names-not-permitted",
            "the CA may certify example.com only",
            "trust",
            ["example.com"],
            None,
        ),
        ("names-excluded", "the CA may not certify example.org", "trust", None, ["example.org"]),
        (
            "names-excluded-other",
            "the CA may not certify example.com",
            "good",
            None,
            ["example.com"],
        ),
    ):
        constraints = x509.NameConstraints(
            [x509.RFC822Name(one) for one in permitted] if permitted else None,
            [x509.RFC822Name(one) for one in excluded] if excluded else None,
        )
        bound = authority(f"CA {title}", ROOT, more=((constraints, True),))
        yield vector(title, about, "RFC 5280 §4.2.1.10", expect, by(alice(by=bound)))
    bound = authority(
        "CA names in subject",
        ROOT,
        more=((x509.NameConstraints([x509.RFC822Name("example.com")], None), True),),
    )
    subject = x509.Name([x509.NameAttribute(NameOID.EMAIL_ADDRESS, ADDRESS)])
    yield vector(
        "names-in-subject",
        "the address that is not permitted stands in the subject",
        "RFC 5280 §4.2.1.10",
        "trust",
        by(alice(by=bound, addresses=(), subject=subject)),
    )


def _broken_signature(who: Person) -> Person:
    """Return ``who`` with a certificate of the same content, signed by nobody."""
    der = bytearray(who.der)
    der[-3] ^= 1
    return Person(who.key, x509.load_der_x509_certificate(bytes(der)), who.chain)


def strength() -> Iterator[Vector]:
    rule = "RFC 8550 §4.3"
    weak = person(ADDRESS, "rsa1024")
    yield vector("rsa-1024-default", "an RSA key of 1024 bits", rule, "trust", by(weak))
    yield vector(
        "rsa-1024-legacy",
        "an RSA key of 1024 bits, by policy",
        rule,
        "good",
        by(weak),
        policy="legacy",
    )
    sha1 = _with_sha1(alice())
    yield vector(
        "certificate-by-sha1", "the certificate was signed with SHA-1", rule, "trust", by(sha1)
    )
    yield vector(
        "certificate-by-sha1-legacy",
        "the certificate was signed with SHA-1, by policy",
        rule,
        "good",
        by(sha1),
        policy="legacy",
    )


def _with_sha1(who: Person) -> Person:
    """Return ``who`` with a certificate that the CA signed with SHA-1, put together by hand."""
    strong, weak = seq(oid("1.2.840.10045.4.3.2")), seq(oid("1.2.840.10045.4.1"))
    fields_of_it = [weak if one == strong else one for one in items(items(who.der)[0])]
    body = seq(*fields_of_it)
    value = CA.key.sign(body, ec.ECDSA(hashes.SHA1(), deterministic_signing=True))
    der = seq(body, weak, bits(value))
    return Person(who.key, x509.load_der_x509_certificate(der), who.chain)
