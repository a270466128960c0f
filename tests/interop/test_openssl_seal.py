"""`openssl cms` and we open what the other sealed: shared keys, passphrases, brainpool, OAEP.

Each has its control: another key or passphrase, and it does not open.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smime.cms import OpeningKey, Passphrase, RecipientKey, SharedKey, enveloped
from smime.errors import DecryptionFailed
from smime.policy import Policy
from tests.cms.people import person
from tests.support.peers import Peer

pytestmark = pytest.mark.peer("openssl")

TEXT = b"We meet at noon.\r\n"
CIPHERS = ("aes-128-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm")
SECRET = bytes(range(16))


def ours(*readers: object, cipher: str = "aes-256-cbc", transport: str = "rsa-v15") -> bytes:
    return enveloped.build(TEXT, readers, cipher=cipher, transport=transport)


def opened(blob: bytes, *keys: object) -> bytes:
    return enveloped.open_with(enveloped.read(blob), keys, Policy.modern())[0]


def does_not_open(blob: bytes, *keys: object) -> bool:
    """It is refused, or what comes is not the text: CBC shows a wrong key 255 times in 256."""
    try:
        return opened(blob, *keys) != TEXT
    except DecryptionFailed as refusal:
        return str(refusal) == enveloped.FAILED or "not sealed for any" in str(refusal)


def written(path: Path, data: bytes) -> Path:
    path.write_bytes(data)
    return path


def encrypt(openssl: Peer, tmp: Path, *options: str | Path) -> bytes:
    text = written(tmp / "text", TEXT)
    return openssl.run("cms", "-encrypt", "-binary", "-in", text, "-outform", "DER", *options)


def decrypt(openssl: Peer, tmp: Path, blob: bytes, *options: str | Path) -> bytes:
    sealed = written(tmp / "sealed", blob)
    return openssl.run("cms", "-decrypt", "-binary", "-inform", "DER", "-in", sealed, *options)


def refuses(openssl: Peer, tmp: Path, blob: bytes, *options: str | Path) -> bool:
    sealed = written(tmp / "sealed", blob)
    done = openssl.attempt("cms", "-decrypt", "-binary", "-inform", "DER", "-in", sealed, *options)
    return done.returncode != 0 or TEXT not in done.stdout


@pytest.mark.parametrize("octets", [16, 24, 32])
@pytest.mark.cell("openssl", "sealed shared key ours -> openssl")
@pytest.mark.confirms("ours", "recipient:shared key", "wrap:{octets}")
def test_openssl_opens_by_shared_key(openssl, tmp_path, octets):
    secret = bytes(range(octets))
    blob = ours(SharedKey(secret, b"\x0a\x0b"))
    by = ("-secretkey", secret.hex(), "-secretkeyid", "0a0b")

    assert decrypt(openssl, tmp_path, blob, *by) == TEXT
    assert refuses(openssl, tmp_path, blob, "-secretkey", bytes(octets).hex(), *by[2:])


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.cell("openssl", "sealed shared key openssl -> ours")
@pytest.mark.confirms("theirs", "recipient:shared key", "cipher:{cipher}", "wrap:16")
def test_we_open_by_shared_key(openssl, tmp_path, cipher):
    blob = encrypt(
        openssl, tmp_path, f"-{cipher}", "-secretkey", SECRET.hex(), "-secretkeyid", "0a0b"
    )

    assert opened(blob, SharedKey(SECRET, b"\x0a\x0b")) == TEXT
    assert does_not_open(blob, SharedKey(bytes(16), b"\x0a\x0b"))


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.cell("openssl", "sealed passphrase ours -> openssl")
@pytest.mark.confirms("ours", "recipient:passphrase", "cipher:{cipher}", "wrap:pwri-kek")
def test_openssl_opens_by_passphrase(openssl, tmp_path, cipher):
    blob = ours(Passphrase("tell nobody"), cipher=cipher)

    assert decrypt(openssl, tmp_path, blob, "-pwri_password", "tell nobody") == TEXT
    assert refuses(openssl, tmp_path, blob, "-pwri_password", "tell everybody")


# It wraps a content key under a passphrase with the content's own cipher, which GCM cannot be.
@pytest.mark.parametrize("cipher", [one for one in CIPHERS if one.endswith("cbc")])
@pytest.mark.cell("openssl", "sealed passphrase openssl -> ours")
@pytest.mark.confirms("theirs", "recipient:passphrase", "cipher:{cipher}", "wrap:pwri-kek")
def test_we_open_by_passphrase(openssl, tmp_path, cipher):
    blob = encrypt(openssl, tmp_path, f"-{cipher}", "-pwri_password", "tell nobody")

    assert opened(blob, Passphrase("tell nobody")) == TEXT
    assert does_not_open(blob, Passphrase("tell everybody"))


CURVES = ("p256", "p384", "p521", "brainpool256", "brainpool384", "brainpool512")


def files(tmp: Path, kind: str, number: int = 0) -> tuple[Path, Path]:
    key, certificate = person(kind, number)
    pem = key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    return (
        written(tmp / f"{kind}-{number}.crt", certificate.public_bytes(Encoding.PEM)),
        written(tmp / f"{kind}-{number}.key", pem),
    )


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.cell("openssl", "sealed by curve ours -> openssl")
@pytest.mark.confirms("ours", "recipient:{kind}", "wrap:32")
def test_openssl_opens_by_curve(openssl, tmp_path, kind):
    cert, key = files(tmp_path, kind)
    _, wrong = files(tmp_path, kind, 1)
    blob = ours(RecipientKey(person(kind)[1]), RecipientKey(person(kind, 2)[1]))

    assert decrypt(openssl, tmp_path, blob, "-recip", cert, "-inkey", key) == TEXT
    assert refuses(openssl, tmp_path, blob, "-inkey", wrong)


KDFS = [
    ("sha1", "std"), ("sha224", "std"), ("sha256", "std"), ("sha384", "cofactor"),
    ("sha512", "cofactor"),
]  # fmt: skip


@pytest.mark.parametrize("kind", CURVES)
@pytest.mark.parametrize(("kdf", "mode"), KDFS)
@pytest.mark.cell("openssl", "sealed by curve openssl -> ours")
@pytest.mark.confirms("theirs", "recipient:{kind}", "agreement:x963-{kdf}", "wrap:24")
def test_we_open_by_curve(openssl, tmp_path, kind, kdf, mode):
    cert, _ = files(tmp_path, kind)
    how = ("-keyopt", f"ecdh_kdf_md:{kdf}", "-keyopt", f"ecdh_cofactor_mode:{int(mode != 'std')}")
    blob = encrypt(openssl, tmp_path, "-aes-192-cbc", "-recip", cert, *how)

    assert opened(blob, OpeningKey(*person(kind))) == TEXT
    assert does_not_open(blob, OpeningKey(person(kind, 1)[0], person(kind)[1]))


OAEP = [
    ("sha1", "sha1", ""), ("sha224", "sha256", ""), ("sha256", "sha256", "0102"),
    ("sha384", "sha1", ""), ("sha512", "sha512", "6c6162656c"), ("sha1", "sha512", ""),
]  # fmt: skip


@pytest.mark.parametrize(("digest", "mask", "label"), OAEP)
@pytest.mark.cell("openssl", "sealed by OAEP openssl -> ours")
@pytest.mark.confirms("theirs", "recipient:rsa-oaep")
def test_we_open_oaep_of_every_form(openssl, tmp_path, digest, mask, label):
    cert, _ = files(tmp_path, "rsa")
    how = ["rsa_padding_mode:oaep", f"rsa_oaep_md:{digest}", f"rsa_mgf1_md:{mask}"]
    how += [f"rsa_oaep_label:{label}"] if label else []
    options = [part for one in how for part in ("-keyopt", one)]
    blob = encrypt(openssl, tmp_path, "-aes-128-cbc", "-recip", cert, *options)

    assert opened(blob, OpeningKey(*person("rsa"))) == TEXT
    assert does_not_open(blob, OpeningKey(person("rsa", 1)[0], person("rsa")[1]))


@pytest.mark.parametrize("cipher", CIPHERS)
@pytest.mark.cell("openssl", "sealed by key identifier openssl -> ours")
def test_we_open_by_key_identifier(openssl, tmp_path, cipher):
    from cryptography.hazmat.primitives import hashes
    from cryptography.x509 import CertificateBuilder, SubjectKeyIdentifier

    from tests.cms.people import issuer

    key, made = person("rsa")
    identifier = SubjectKeyIdentifier.from_public_key(key.public_key())
    certificate = (
        CertificateBuilder(made.issuer, made.subject, made.public_key(), made.serial_number)
        .not_valid_before(made.not_valid_before_utc)
        .not_valid_after(made.not_valid_after_utc)
        .add_extension(identifier, critical=False)
        .sign(issuer(), hashes.SHA256())
    )
    cert = written(tmp_path / "ski.crt", certificate.public_bytes(Encoding.PEM))
    blob = encrypt(openssl, tmp_path, f"-{cipher}", "-keyid", cert)

    assert opened(blob, OpeningKey(key, certificate)) == TEXT
    assert opened(blob, OpeningKey(key)) == TEXT
    assert does_not_open(blob, OpeningKey(*person("rsa", 1)))
