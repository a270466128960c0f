"""Addresses in certificates, and when two are the same."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.x509.oid import NameOID
from hypothesis import given
from hypothesis import strategies as st

from smime.keys import certificate_addresses, same_address, split_address
from tests.keys.people import certify, key, san, utf8_mailbox


def subject_with(*addresses: str) -> x509.Name:
    return x509.Name(
        [
            x509.NameAttribute(NameOID.COMMON_NAME, "cn@example.org"),
            *(x509.NameAttribute(NameOID.EMAIL_ADDRESS, one) for one in addresses),
        ]
    )


MAILBOX = utf8_mailbox("grüße@example.org")
CASES = {
    "rfc822Name": ([san("alice@example.org")], (), ("alice@example.org",)),
    "several, without repeats": (
        [san("alice@example.org", "a@example.org", "alice@example.org")],
        (),
        ("alice@example.org", "a@example.org"),
    ),
    "rfc822Name before SmtpUTF8Mailbox": (
        [x509.SubjectAlternativeName([MAILBOX, x509.RFC822Name("alice@example.org")])],
        (),
        ("alice@example.org", "grüße@example.org"),
    ),
    "SmtpUTF8Mailbox with an ASCII local part is none": (
        [x509.SubjectAlternativeName([utf8_mailbox("alice@example.org")])],
        (),
        (),
    ),
    "subject when nothing else": ([], ("alice@example.org",), ("alice@example.org",)),
    "subject beside a DNS name": (
        [x509.SubjectAlternativeName([x509.DNSName("example.org")])],
        ("alice@example.org",),
        ("alice@example.org",),
    ),
    "subject not beside a mailbox": (
        [san("bob@example.org")],
        ("alice@example.org",),
        ("bob@example.org",),
    ),
    "subject not beside a mailbox that is no address": (
        [x509.SubjectAlternativeName([utf8_mailbox("bøb@b@example.org")])],
        ("alice@example.org",),
        (),
    ),
    "never the common name": ([], (), ()),
    "white space": ([], ("alice @example.org",), ()),
    "several": ([], ("alice@example.org, bob@example.org",), ()),
    "controls": ([], ("alice@example.org\n",), ()),
    "bidirectional marks": ([], ("a\u202elice@example.org",), ()),
}


@pytest.mark.parametrize(("extensions", "subject", "expected"), CASES.values(), ids=CASES.keys())
def test_addresses_of_a_certificate(extensions, subject, expected):
    certificate = certify(key(), *extensions, subject=subject_with(*subject))

    assert certificate_addresses(certificate) == expected


@pytest.mark.parametrize(
    ("a", "b", "same"),
    [
        ("alice@example.org", "alice@EXAMPLE.ORG", True),
        ("Alice@example.org", "alice@example.org", False),
        ("alice@bücher.example", "alice@xn--bcher-kva.example", True),
        ("alice@BÜCHER.example", "alice@XN--BCHER-KVA.example", True),
        ("alice@bu\u0308cher.example", "alice@bücher.example", True),
        ("alice@straße.example", "alice@strasse.example", False),
        ("alice@xn--strae-oqa.example", "alice@straße.example", True),
        ("grüße@example.org", "grüße@example.org", True),
        ("alice@example.org", "alice@example.org.", False),
        ("alice", "alice", False),
        ("", "", False),
        ("a@b@c", "a@b@c", False),
    ],
)
def test_same_address(a, b, same):
    assert same_address(a, b) is same
    assert same_address(b, a) is same


@given(st.text(), st.text())
def test_comparing_never_raises(a, b):
    assert same_address(a, b) in (True, False)
    assert same_address(a + "@" + b, a + "@" + b) in (True, False)


@given(st.text())
def test_what_splits_joins(text):
    """An address comes apart at its one @ and nowhere else."""
    parts = split_address(text + "@example.org")

    assert parts is None or "@".join(parts) == text + "@example.org"
