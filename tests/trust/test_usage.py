"""What mail asks of keys: use, purpose, size and algorithm."""

from __future__ import annotations

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import (
    dsa,
    ec,
    ed25519,
    mldsa,
    mlkem,
    padding,
    rsa,
    x25519,
)

from smime.policy import Policy
from smime.trust import Anchors, NoTrust, Pinned
from tests.trust.ca import (
    ANY_USE,
    MAIL,
    TLS_CLIENT,
    Entity,
    claim,
    codes,
    key_usage,
    root,
    signed_weakly,
    sub_ca,
    user,
)

SMALL = rsa.generate_private_key(65537, 1024)
RSA = rsa.generate_private_key(65537, 2048)


@pytest.mark.parametrize(
    ("usage", "code"),
    [
        (key_usage(digital_signature=True), {}),
        (key_usage(content_commitment=True), {}),
        (key_usage(digital_signature=True, key_encipherment=True), {}),
        (None, {}),
        (key_usage(key_encipherment=True), {"usage": "usage-wrong"}),
        (key_usage(key_agreement=True), {"usage": "usage-wrong"}),
        (key_usage(key_cert_sign=True, crl_sign=True), {"usage": "usage-wrong"}),
    ],
)
def test_key_usage_of_the_signer(usage, code):
    top = root()

    judgement = Anchors([top.certificate]).judge(claim(user(top, usage=usage)))

    assert codes(judgement) == code
    assert judgement.usage.source.startswith("RFC 8550")


@pytest.mark.parametrize(
    ("leaf", "middle", "top", "good"),
    [
        (MAIL, (), (), True),
        ((), (), (), True),
        (ANY_USE, (), (), True),
        (TLS_CLIENT, (), (), False),
        ((*TLS_CLIENT, *MAIL), (), (), True),
        (MAIL, MAIL, MAIL, True),
        (MAIL, ANY_USE, (), True),
        (MAIL, TLS_CLIENT, (), False),
        ((), TLS_CLIENT, (), False),
        (MAIL, (), TLS_CLIENT, False),
    ],
)
def test_purposes_of_the_whole_chain(leaf, middle, top, good):
    anchor = root(purposes=top)
    between = sub_ca(anchor, purposes=middle)

    judgement = Anchors([anchor.certificate]).judge(claim(user(between, purposes=leaf), between))

    assert codes(judgement) == ({} if good else {"usage": "eku-wrong"})


@pytest.mark.parametrize("place", ["leaf", "middle", "root"])
def test_small_rsa_keys_anywhere_in_the_chain(place):
    knobs = {
        name: {"key": SMALL, "digest": hashes.SHA256()} if name == place else {}
        for name in ("leaf", "middle", "root")
    }
    if place == "root":
        knobs["middle"] = {"digest": hashes.SHA256()}
    if place == "middle":
        knobs["leaf"] = {"digest": hashes.SHA256()}
    top = root(**knobs["root"])
    between = sub_ca(top, **knobs["middle"])
    alice = user(between, **knobs["leaf"])
    anchors = Anchors([top.certificate])

    assert codes(anchors.judge(claim(alice, between))) == {"usage": "key-too-small"}
    legacy = Policy.legacy_read()
    assert anchors.judge(claim(alice, between, policy=legacy)).good


def test_large_rsa_keys_are_refused_by_policy():
    top = root()
    alice = user(top, key=RSA)
    small = Policy.modern().replace(rsa_bits_max=2047, rsa_bits_min=1024)

    assert Anchors([top.certificate]).judge(claim(alice)).good
    assert codes(Anchors([top.certificate]).judge(claim(alice, policy=small))) == {
        "usage": "key-too-large"
    }


@pytest.mark.parametrize("digest", ["sha1", "md5", "sha512-256", "unheard-of"])
def test_weak_digests_under_the_signature(digest):
    top = root()
    anchors = Anchors([top.certificate])

    judgement = anchors.judge(claim(user(top), digest_algorithm=digest))

    assert codes(judgement) == {"usage": "weak-algorithm"}
    legacy = anchors.judge(claim(user(top), digest_algorithm=digest, policy=Policy.legacy_read()))
    assert legacy.good is (digest in ("sha1", "md5"))


@pytest.mark.parametrize("digest", [hashes.SHA1(), hashes.MD5()], ids=lambda one: one.name)
@pytest.mark.parametrize("place", ["leaf", "middle", "root"])
def test_weak_digests_under_certificates(digest, place):
    """The anchor's own signature means nothing, so its digest does not either."""
    sha256 = hashes.SHA256()
    top = root(key=RSA, digest=sha256)
    middle = sub_ca(top, key=RSA, digest=sha256)
    alice = user(middle, key=RSA, digest=sha256)
    if place == "root":
        top = signed_weakly(top, top, digest)
    elif place == "middle":
        middle = signed_weakly(middle, top, digest)
    else:
        alice = signed_weakly(alice, middle, digest)
    anchors = Anchors([top.certificate])

    modern = anchors.judge(claim(alice, middle))
    assert codes(modern) == ({} if place == "root" else {"usage": "weak-algorithm"})
    assert anchors.judge(claim(alice, middle, policy=Policy.legacy_read())).good


@pytest.mark.parametrize(
    ("key", "good"),
    [
        (RSA, True),
        (ec.generate_private_key(ec.SECP384R1()), True),
        (ec.generate_private_key(ec.SECP521R1()), True),
        (ec.generate_private_key(ec.BrainpoolP256R1()), True),
        (ed25519.Ed25519PrivateKey.generate(), True),
        (mldsa.MLDSA65PrivateKey.generate(), True),
        (ec.generate_private_key(ec.SECP256K1()), False),
        (ec.generate_private_key(ec.SECP192R1()), False),
        (dsa.generate_private_key(2048), False),
    ],
    ids=lambda value: type(value).__name__,
)
def test_kinds_of_keys(key, good):
    top = root()

    judgement = Anchors([top.certificate]).judge(claim(user(top, key=key)))

    assert codes(judgement) == ({} if good else {"usage": "weak-algorithm"})


@pytest.mark.parametrize(
    ("key", "digest"),
    [
        (RSA, hashes.SHA256()),
        (RSA, hashes.SHA384()),
        (ec.generate_private_key(ec.SECP384R1()), hashes.SHA384()),
        (ed25519.Ed25519PrivateKey.generate(), None),
    ],
)
@pytest.mark.parametrize("constrained", [False, True])
def test_chains_of_other_keys(key, digest, constrained):
    """By the quick way, and by the engine for the chain with constraints."""
    knobs = {"permitted": (x509.RFC822Name("example.org"),)} if constrained else {}
    top = root(key=key, digest=digest, **knobs)
    alice = user(top, digest=digest)

    assert Anchors([top.certificate]).judge(claim(alice)).good


def test_rsa_pss_chains():
    top = root(key=RSA, digest=hashes.SHA256())
    builder = (
        x509.CertificateBuilder()
        .subject_name(user(top, digest=hashes.SHA256()).name)
        .issuer_name(top.name)
        .public_key(RSA.public_key())
        .serial_number(7)
        .not_valid_before(top.certificate.not_valid_before_utc)
        .not_valid_after(top.certificate.not_valid_after_utc)
        .add_extension(x509.SubjectAlternativeName([x509.RFC822Name("alice@example.org")]), False)
    )
    how = padding.PSS(mgf=padding.MGF1(hashes.SHA256()), salt_length=32)
    leaf = builder.sign(RSA, hashes.SHA256(), rsa_padding=how)
    assert Anchors([top.certificate]).judge(claim(Entity(leaf, RSA))).good


TRANSPORT, AGREEMENT = key_usage(key_encipherment=True), key_usage(key_agreement=True)
SIGNATURE = key_usage(digital_signature=True)


@pytest.mark.parametrize(
    ("key", "usage", "good"),
    [
        ("rsa", None, True),
        ("rsa", TRANSPORT, True),
        ("rsa", SIGNATURE, False),
        ("rsa", AGREEMENT, False),
        ("ec", None, True),
        ("ec", AGREEMENT, True),
        ("ec", TRANSPORT, False),
        ("ec", SIGNATURE, False),
        ("x25519", None, True),
        ("x25519", AGREEMENT, True),
        ("x25519", TRANSPORT, False),
        ("ml-kem", TRANSPORT, True),
        ("ml-kem", AGREEMENT, False),
        ("ed25519", None, False),
        ("ed25519", SIGNATURE, False),
    ],
)
def test_a_certificate_to_seal_to_is_judged_by_another_use(key, usage, good):
    keys = {
        "rsa": lambda: rsa.generate_private_key(65537, 2048),
        "ec": lambda: ec.generate_private_key(ec.SECP256R1()),
        "x25519": x25519.X25519PrivateKey.generate,
        "ml-kem": mlkem.MLKEM768PrivateKey.generate,
        "ed25519": ed25519.Ed25519PrivateKey.generate,
    }
    top = root()
    bob = user(top, key=keys[key](), usage=usage)

    found = Anchors([top.certificate]).judge(claim(bob, use="encrypt", digest_algorithm=""))

    assert codes(found) == ({} if good else {"usage": "usage-wrong"})


def test_a_use_that_is_none_is_a_mistake():
    top = root()
    with pytest.raises(ValueError, match="sign or encrypt"):
        Anchors([top.certificate]).judge(claim(user(top), use="read"))


@pytest.mark.parametrize("trust", ["pinned", "none"])
def test_use_and_strength_are_judged_without_a_chain_too(trust):
    for knobs, code in (
        ({"usage": key_usage(key_encipherment=True)}, "usage-wrong"),
        ({"purposes": TLS_CLIENT}, "ok" if trust == "pinned" else "eku-wrong"),
        ({"key": SMALL, "digest": hashes.SHA256()}, "key-too-small"),
    ):
        leaf = user(None, **knobs)
        judge = Pinned(leaf.certificate).judge if trust == "pinned" else NoTrust().judge
        assert judge(claim(leaf)).usage.code == code
