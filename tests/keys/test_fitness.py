"""What a certificate may be used for, and when."""

from __future__ import annotations

from datetime import timedelta

import pytest

from smime.errors import KeyProblem, NotSupported
from smime.keys import Identity, Recipient
from smime.policy import Policy
from tests.keys.people import EMAIL, END, NOON, START, TLS, certify, key, san, usage

MODERN = Policy.modern()
ADDRESS = san("alice@example.org")

# keyUsage and extKeyUsage, kind of key, why it does not sign, why it does not read
CASES = {
    "RSA without usages": ([], "rsa2048", "", ""),
    "RSA both": ([usage("digital_signature", "key_encipherment"), EMAIL], "rsa2048", "", ""),
    "RSA nonRepudiation": ([usage("content_commitment")], "rsa2048", "", "keyEncipherment"),
    "RSA encryption": ([usage("key_encipherment")], "rsa2048", "digitalSignature", ""),
    "RSA agreement": ([usage("key_agreement")], "rsa2048", "digitalSignature", "keyEncipherment"),
    "EC both": ([usage("digital_signature", "key_agreement")], "p256", "", ""),
    "EC with the bit of RSA": (
        [usage("digital_signature", "key_encipherment")],
        "p256",
        "",
        "keyAgreement",
    ),
    "Ed25519": ([], "ed25519", "", "only signs"),
    "X25519": ([], "x25519", "cannot make signatures", ""),
    "X25519 with a bit": ([usage("key_agreement")], "x25519", "cannot make signatures", ""),
    "ML-KEM": ([usage("key_encipherment")], "mlkem768", "cannot make signatures", ""),
    "for web servers": ([TLS], "p256", "emailProtection", "emailProtection"),
}


@pytest.mark.parametrize(("extensions", "kind", "no_sign", "no_read"), CASES.values(), ids=CASES)
def test_usages(extensions, kind, no_sign, no_read):
    certificate = certify(key(kind), ADDRESS, *extensions)
    identity, recipient = Identity(key(kind), certificate), Recipient(certificate)

    for check, why in ((identity.check_signs, no_sign), (recipient.check_reads, no_read)):
        if not why:
            check(NOON, MODERN)
            continue
        with pytest.raises(KeyProblem, match=why) as caught:
            check(NOON, MODERN)
        assert "alice@example.org" in str(caught.value)
        assert caught.value.hint


@pytest.mark.parametrize(
    ("at", "why"),
    [
        (START - timedelta(seconds=1), "not valid before 2026-01-01"),
        (START, ""),
        (END, ""),
        (END + timedelta(seconds=1), "expired on 2036-01-01"),
    ],
)
def test_dates(at, why):
    """Both ends belong to the validity (RFC 5280 §4.1.2.5)."""
    certificate = certify(key(), ADDRESS)

    for check in (Identity(key(), certificate).check_signs, Recipient(certificate).check_reads):
        if why:
            with pytest.raises(KeyProblem, match=why):
                check(at, MODERN)
        else:
            check(at, MODERN)


def test_naive_moment_is_a_mistake():
    with pytest.raises(ValueError, match="time zone"):
        Recipient(certify(key(), ADDRESS)).check_reads(NOON.replace(tzinfo=None), MODERN)


@pytest.mark.parametrize(
    ("policy", "why"),
    [
        (MODERN, ""),
        (MODERN.replace(rsa_bits_min=3072), "policy asks for 3072 bits"),
        (MODERN.replace(rsa_bits_max=2047), "policy allows 2047 bits"),
    ],
)
def test_rsa_sizes(policy, why):
    recipient = Recipient(certify(key("rsa2048"), ADDRESS))

    if why:
        with pytest.raises(KeyProblem, match=why):
            recipient.check_reads(NOON, policy)
    else:
        recipient.check_reads(NOON, policy)


def test_dsa_is_refused_by_name():
    from cryptography.hazmat.primitives.asymmetric import dsa

    with pytest.raises(NotSupported, match="DSA"):
        Identity(key(), certify(dsa.generate_private_key(1024), ADDRESS))
