"""What openssl writes we read, and what we write openssl reads."""

from __future__ import annotations

import pytest

from smime.errors import KeyProblem, NotSupported
from smime.keys import Identity
from tests.keys.people import authorities, key, pem, person

ROOT, ISSUING = authorities()
KEY, LEAF = person("alice@example.org", issuer=ISSUING, issuer_key=key("p256", 901))
PASSPHRASE = "Grüße 密码"
PASS = f"pass:{PASSPHRASE}"


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    made = tmp_path_factory.mktemp("openssl")
    (made / "key.pem").write_bytes(pem(KEY))
    (made / "cert.pem").write_bytes(pem(LEAF))
    (made / "all.pem").write_bytes(pem(KEY, LEAF, ISSUING, ROOT))
    return made


EXPORTS = {
    "default": [],
    "legacy": ["-legacy"],
    "RC2-40 certificates": ["-legacy", "-certpbe", "PBE-SHA1-RC2-40"],
    "RC2-128 certificates": ["-legacy", "-certpbe", "PBE-SHA1-RC2-128"],
    "3DES with two keys": ["-legacy", "-keypbe", "PBE-SHA1-2DES", "-certpbe", "PBE-SHA1-3DES"],
    "AES-128": ["-keypbe", "AES-128-CBC", "-certpbe", "AES-192-CBC"],
    "nothing encrypted": ["-keypbe", "NONE", "-certpbe", "NONE"],
    "SHA-512 MAC": ["-macalg", "sha512", "-iter", "5000"],
    "one round": ["-noiter"],
}


@pytest.mark.parametrize("options", EXPORTS.values(), ids=EXPORTS.keys())
@pytest.mark.parametrize("passphrase", [PASSPHRASE, ""])
def test_pkcs12_of_openssl(openssl, folder, options, passphrase):
    data = openssl.run(
        "pkcs12", "-export", "-in", folder / "all.pem", "-passout", f"pass:{passphrase}", *options
    )

    identity = Identity.parse(data, passphrase=passphrase)

    assert identity.certificate == LEAF
    assert identity.chain == (ISSUING, ROOT)
    with pytest.raises(KeyProblem, match="the passphrase is wrong"):
        Identity.parse(data, passphrase="x")


def test_without_mac(openssl, folder):
    data = openssl.run("pkcs12", "-export", "-in", folder / "all.pem", "-passout", PASS, "-nomac")

    with pytest.raises(KeyProblem, match="without a MAC"):
        Identity.parse(data, passphrase=PASSPHRASE)
    identity = Identity.parse(data, passphrase=PASSPHRASE, allow_unauthenticated=True)
    assert identity.certificate == LEAF


LOCKS = {
    "scrypt": ["pkcs8", "-topk8", "-scrypt"],
    "AES-256 with SHA-512": ["pkcs8", "-topk8", "-v2", "aes-256-cbc", "-v2prf", "hmacWithSHA512"],
    "3DES": ["pkcs8", "-topk8", "-v2", "des3"],
    "3DES as in PKCS#12": ["pkcs8", "-topk8", "-v1", "PBE-SHA1-3DES"],
    "old form": ["ec", "-aes128"],
}


@pytest.mark.parametrize("form", ["PEM", "DER"])
@pytest.mark.parametrize("command", LOCKS.values(), ids=LOCKS.keys())
def test_locked_keys_of_openssl(openssl, folder, command, form):
    if command[0] == "ec":
        form = "PEM"  # the old form has no other
    data = openssl.run(*command, "-in", folder / "key.pem", "-passout", PASS, "-outform", form)

    assert Identity.parse(data, pem(LEAF), passphrase=PASSPHRASE).certificate == LEAF
    with pytest.raises(KeyProblem, match="the passphrase is wrong"):
        Identity.parse(data, pem(LEAF), passphrase="x")


def test_single_des_is_refused_by_name(openssl, folder):
    data = openssl.run(
        *["pkcs8", "-topk8", "-v1", "PBE-MD5-DES", "-provider", "legacy", "-provider", "default"],
        *["-in", folder / "key.pem", "-passout", PASS],
    )

    with pytest.raises(NotSupported, match="DES with MD5"):
        Identity.parse(data, pem(LEAF), passphrase=PASSPHRASE)


def test_a_known_curve_that_is_spelled_out(openssl, folder):
    """Microsoft's exports do that; the numbers are P-256's, so it is P-256."""
    data = openssl.run("ec", "-in", folder / "key.pem", "-param_enc", "explicit")

    assert Identity.parse(data, pem(LEAF)).certificate == LEAF


@pytest.mark.parametrize("compat", ["modern", "legacy"])
def test_openssl_reads_all_our_keys(openssl, tmp_path, compat):
    sign = person("alice@example.org", "rsa2048", 10, ("digital_signature",))
    read = person("alice@example.org", "x25519", 11, ("key_agreement",))
    identity = Identity.parse(pem(sign[0], read[0], read[1], sign[1], ROOT))
    path = tmp_path / "alice.p12"
    path.write_bytes(identity.to_p12(PASSPHRASE, compat=compat))
    more = ["-legacy"] if compat == "legacy" else []

    said = openssl.run("pkcs12", "-in", path, "-passin", PASS, "-nodes", *more)

    assert said.count(b"BEGIN PRIVATE KEY") == 2
    assert said.count(b"BEGIN CERTIFICATE") == 3
    for private_key in (sign[0], read[0]):
        assert pem(private_key) in said
    refused = openssl.attempt("pkcs12", "-in", path, "-passin", "pass:x", "-nodes", *more)
    assert refused.returncode


def test_openssl_reads_our_pem(openssl, tmp_path):
    path = tmp_path / "alice.pem"
    path.write_bytes(Identity(KEY, LEAF).to_pem(PASSPHRASE))

    assert openssl.run("pkey", "-in", path, "-passin", PASS) == pem(KEY)
    assert openssl.attempt("pkey", "-in", path, "-passin", "pass:x").returncode
