"""Files for other programs: read back by them, with every key, and not under another passphrase."""

from __future__ import annotations

import base64
from datetime import UTC, datetime

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import pkcs7

import pki
import smime
from pki import bundle, keys
from pki.authority import new_serial
from pki.escrow import Recovered

SECRET = "a long one"


@pytest.fixture(scope="module")
def root() -> pki.Authority:
    return pki.Authority.create("Test CA")


@pytest.fixture(scope="module")
def ca(root: pki.Authority) -> pki.Authority:
    return root.subordinate("Test CA (issuing)")


@pytest.fixture(scope="module")
def pair(ca: pki.Authority) -> smime.Identity:
    return ca.issue("alice@example.org", algorithm="rsa2048", pair=True, name="Alice")


@pytest.fixture(scope="module")
def found(ca: pki.Authority) -> list[Recovered]:
    """Two former reading keys."""
    made = []
    for days in (30, 60):
        key = keys.generate("rsa2048")
        request = pki.CertificationRequest(key.public_key(), ["alice@example.org"])
        reading = pki.Profile.named("encryption").lasting(days)
        now = datetime.now(UTC)
        certificate = ca.certify(request, profile=reading, serial=new_serial(), at=now)
        made.append(Recovered(key, certificate, "alice@example.org", now))
    return made


def test_passphrases_are_long_and_never_the_same() -> None:
    assert len({bundle.new_passphrase() for _ in range(1000)}) == 1000


def test_certificates_in_every_form(ca: pki.Authority, root: pki.Authority) -> None:
    chain = (ca.certificate, root.certificate)

    assert x509.load_pem_x509_certificates(bundle.to_pem(*chain)) == list(chain)
    assert x509.load_der_x509_certificate(bundle.to_der(chain[0])) == chain[0]
    assert set(pkcs7.load_der_pkcs7_certificates(bundle.to_p7c(*chain))) == set(chain)


@pytest.mark.parametrize(
    ("version", "prefix"),
    [("4.0", "KEY:data:application/pkix-cert;base64,"), ("3.0", "KEY;TYPE=X509;ENCODING=b:")],
)
def test_a_vcard_holds_all_certificates(pair: smime.Identity, version: str, prefix: str) -> None:
    certificates = (pair.certificate, pair.recipient.certificate)

    card = bundle.to_vcard(*certificates, name="Alice, Ärztin; \\", version=version)

    assert all(len(line) <= 75 for line in card.split(b"\r\n"))
    lines = card.replace(b"\r\n ", b"").decode().split("\r\n")
    assert lines[:2] == ["BEGIN:VCARD", f"VERSION:{version}"]
    assert "FN:Alice\\, Ärztin\\; \\\\" in lines
    assert lines.count("EMAIL:alice@example.org") == 1
    held = [base64.b64decode(one.removeprefix(prefix)) for one in lines if one.startswith("KEY")]
    assert held == [bundle.to_der(one) for one in certificates]


def test_a_vcard_is_a_persons(ca: pki.Authority) -> None:
    with pytest.raises(pki.RequestRefused, match="person"):
        bundle.to_vcard(ca.certificate)
    with pytest.raises(ValueError, match=r"3\.0"):
        bundle.to_vcard(ca.certificate, version="2.1")


def test_former_keys_one_file_each(found: list[Recovered], ca: pki.Authority) -> None:
    files = bundle.former_keys(found, SECRET, chain=ca.chain)

    assert sorted(files) == sorted(
        f"{one.certificate.not_valid_after_utc:%Y-%m-%d}-{one.certificate.serial_number:x}.p12"
        for one in found
    )
    for one in files.values():
        assert smime.Identity.parse(one, passphrase=SECRET).chain == ca.chain
    with pytest.raises(pki.RequestRefused):
        bundle.former_keys([], SECRET)


def test_the_passphrase_is_asked_for_once(found: list[Recovered]) -> None:
    asked = []
    bundle.former_keys(found, lambda: asked.append(1) or SECRET)

    assert asked == [1]
