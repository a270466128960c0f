"""Certificates made to trouble the reader: always a verdict, never an exception, never good."""

from __future__ import annotations

import warnings

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import ExtensionOID

from smime.errors import KeyProblem
from smime.trust import CODES, Anchors, NoTrust, Pinned
from tests.trust.ca import ADDRESS, AT, claim, codes, root, sub_ca, user

TOP = root()
ALICE = user(TOP)
DER = Encoding.DER


def test_flipped_bytes_never_raise_and_are_never_good():
    der = user(TOP).certificate.public_bytes(DER)
    judges = [Anchors([TOP.certificate]), Pinned(ALICE.certificate), NoTrust()]
    loaded = 0
    for place in range(len(der)):
        changed = bytearray(der)
        changed[place] ^= 1 << place % 8
        try:
            with warnings.catch_warnings():  # of serial numbers below one
                warnings.simplefilter("ignore")
                certificate = x509.load_der_x509_certificate(bytes(changed))
        except (ValueError, x509.InvalidVersion):
            continue
        loaded += 1
        asked = claim(ALICE)
        asked = type(asked)(
            certificate=certificate, sender=ADDRESS, at=AT, certificates=(certificate,)
        )
        for one in judges:
            found = one.judge(asked)
            assert not found.good
            assert set(codes(found).values()) <= set(CODES)
    assert loaded > 100


BODIES = [
    bytes.fromhex(text)
    for text in (
        "",
        "0500",
        "3080",
        "3000",
        "3006a504a1020c00",  # a kind of general name that the library refuses
        "04020000",
        "0201ff",
        "030307ffff",
        "3006820461c3bc62",
        "30058703010203",
        "3004a0020500",
    )
]
KNOBS = {
    ExtensionOID.KEY_USAGE: {"usage": None},
    ExtensionOID.EXTENDED_KEY_USAGE: {"purposes": ()},
    ExtensionOID.BASIC_CONSTRAINTS: {"ca": None},
    ExtensionOID.SUBJECT_ALTERNATIVE_NAME: {"names": ()},
    ExtensionOID.SUBJECT_KEY_IDENTIFIER: {"identifiers": False},
    ExtensionOID.AUTHORITY_KEY_IDENTIFIER: {"identifiers": False},
    ExtensionOID.NAME_CONSTRAINTS: {},
    ExtensionOID.POLICY_CONSTRAINTS: {},
    ExtensionOID.POLICY_MAPPINGS: {},
    ExtensionOID.INHIBIT_ANY_POLICY: {},
    ExtensionOID.CERTIFICATE_POLICIES: {},
    ExtensionOID.CRL_DISTRIBUTION_POINTS: {},
    ExtensionOID.AUTHORITY_INFORMATION_ACCESS: {},
    ExtensionOID.FRESHEST_CRL: {},
}


@pytest.mark.parametrize("oid", KNOBS, ids=lambda oid: oid.dotted_string)
def test_broken_extensions_never_raise(oid):
    """In the leaf, in an intermediate and in an anchor; a warning counts as raising."""
    anchors = Anchors([TOP.certificate])
    assert anchors.judge(claim(ALICE)).good
    for body in BODIES:
        broken = {**KNOBS[oid], "extensions": ((x509.UnrecognizedExtension(oid, body), True),)}
        leaf = user(TOP, **broken)
        middle = sub_ca(TOP, **broken)
        below = user(middle)
        for trust in (anchors, Pinned(leaf.certificate), NoTrust()):
            assert set(codes(trust.judge(claim(leaf))).values()) <= set(CODES)
        assert set(codes(anchors.judge(claim(below, middle))).values()) <= set(CODES)
        try:
            other = Anchors([middle.certificate])
        except KeyProblem:
            continue
        assert set(codes(other.judge(claim(below))).values()) <= set(CODES)


def test_one_extension_twice_is_refused():
    """Two name lists: which one counts would be up to the reader (RFC 5280 §4.2)."""
    one = x509.SubjectAlternativeName([x509.RFC822Name(ADDRESS)])
    twin = x509.UnrecognizedExtension(x509.ObjectIdentifier("2.5.29.99"), one.public_bytes())
    leaf = user(TOP, extensions=((twin, False),))
    der = leaf.certificate.public_bytes(DER).replace(b"\x55\x1d\x63", b"\x55\x1d\x11")
    twice = type(leaf)(x509.load_der_x509_certificate(der), leaf.key)

    assert codes(Pinned(twice.certificate).judge(claim(twice))) == {
        "path": "certificate-malformed",
        "usage": "certificate-malformed",
        "address": "no-address",
    }
