"""Whom a certificate speaks for."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID

from smime.report import Answer
from smime.trust import Anchors
from tests.trust.ca import claim, codes, name_of, root, user

TOP = root()
ANCHORS = Anchors([TOP.certificate])


def mail(*addresses: str) -> tuple[x509.GeneralName, ...]:
    # Without the library's own check, which depends on the version of Python.
    return tuple(map(x509.RFC822Name._init_without_validation, addresses))


def in_subject(address: str) -> x509.Name:
    return name_of("Alice", (NameOID.EMAIL_ADDRESS, address))


TABLE = {
    "the same": (mail("alice@example.org"), None, "alice@example.org", "ok"),
    "one of several": (mail("a@b.example", "alice@example.org"), None, "alice@example.org", "ok"),
    "another": (mail("bob@example.org"), None, "alice@example.org", "address-differs"),
    "domain in capitals": (mail("alice@EXAMPLE.org"), None, "alice@example.ORG", "ok"),
    "local part in capitals": (
        mail("Alice@example.org"),
        None,
        "alice@example.org",
        "address-differs",
    ),
    "subdomain": (mail("alice@sub.example.org"), None, "alice@example.org", "address-differs"),
    "prefix": (mail("xalice@example.org"), None, "alice@example.org", "address-differs"),
    "domain beyond ASCII": (
        mail("alice@xn--bcher-kva.example"),
        None,
        "alice@bücher.example",
        "ok",
    ),
    "subject only": ((), in_subject("alice@example.org"), "alice@example.org", "ok"),
    "subject beside another name": (
        mail("bob@example.org"),
        in_subject("alice@example.org"),
        "alice@example.org",
        "address-differs",
    ),
    "common name only": ((), name_of("alice@example.org"), "alice@example.org", "no-address"),
    "nothing": ((), None, "alice@example.org", "no-address"),
    "host name only": (
        (x509.DNSName("example.org"),),
        None,
        "alice@example.org",
        "no-address",
    ),
    "two in one": (
        mail("alice@example.org,bob@example.org"),
        None,
        "alice@example.org",
        "no-address",
    ),
}


@pytest.mark.parametrize("name", TABLE)
def test_the_sender_against_what_the_certificate_names(name):
    names, subject, sender, code = TABLE[name]
    given = {} if subject is None else {"subject": subject}
    alice = user(TOP, names=names, **given)

    judgement = ANCHORS.judge(claim(alice, sender=sender))

    assert judgement.address.code == code
    assert codes(judgement) == ({} if code == "ok" else {"address": code})


def test_no_single_sender_is_never_a_match():
    judgement = ANCHORS.judge(
        claim(user(TOP), sender=None, sender_reason="the mail has 2 From addresses")
    )

    assert codes(judgement) == {"address": "sender-unknown"}
    assert judgement.address.reason == "the mail has 2 From addresses"
    assert not judgement.good


def test_an_address_that_was_not_asked_for_stays_open():
    judgement = ANCHORS.judge(claim(user(TOP), sender=None, sender_asked=False))

    assert judgement.address.answer is Answer.NOT_CHECKED
    assert judgement.address.code == "not-asked"
    assert judgement.good


def test_the_reason_names_both_sides():
    judgement = ANCHORS.judge(claim(user(TOP), sender="carol@example.org"))

    assert judgement.address.reason == (
        "the certificate names alice@example.org, not carol@example.org"
    )
