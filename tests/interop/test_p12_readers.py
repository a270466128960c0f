"""PKCS#12 files of ours, in the programs of those who get them: opened, every key used.

The passphrase must be the right one. What the key did there (a signature, a request, a
sealed letter opened) is judged here; so a key that was read wrongly, or taken for
another, does not pass.
"""

from __future__ import annotations

import re
import shutil
import subprocess
import zipfile
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import pki
import smime
from pki import bundle, keys
from pki.authority import new_serial
from pki.escrow import Recovered
from tests.support.peers import Peer

SECRET = "a long one"
CONTENT = b"We meet at noon.\r\n"
FORMER = (30, 60)  # days until each former key's certificate ends
KINDS = ("rsa2048-modern", "rsa2048-legacy", "p256-modern")


@dataclass(frozen=True)
class Given:
    """A file, whose certificates its keys belong to, and all that lies beside it."""

    file: Path
    certificates: tuple[x509.Certificate, ...]
    chain: int
    identity: smime.Identity
    anchors: smime.Anchors
    root: Path

    @property
    def reading(self) -> list[x509.Certificate]:
        usages = [
            (one, one.extensions.get_extension_for_class(x509.KeyUsage).value)
            for one in self.certificates
        ]
        return [one for one, usage in usages if not usage.digital_signature]

    @property
    def publics(self) -> list[object]:
        return [one.public_key() for one in self.certificates]


@pytest.fixture(scope="module")
def ca() -> pki.Authority:
    return pki.Authority.create("Test CA").subordinate("Test CA (issuing)")


Made = tuple[bytes, tuple[x509.Certificate, ...], smime.Identity]


@pytest.fixture(scope="module")
def made(ca: pki.Authority) -> Callable[[str], Made]:
    """Make each file once, for all readers."""

    @cache
    def make(kind: str) -> Made:
        what, algorithm, compat = ("single", *kind.split("-"))[-3:]
        if what == "former":
            found = [_former(ca, algorithm, days) for days in FORMER]
            [data] = bundle.former_keys(
                found, SECRET, chain=ca.chain, single=True, compat=compat
            ).values()
            certificates = [one.certificate for one in found]
            return data, tuple(certificates), smime.Identity.parse(data, passphrase=SECRET)
        alice = ca.issue("alice@example.org", algorithm=algorithm, pair=what == "pair")
        held = dict.fromkeys((alice.certificate, alice.recipient.certificate))
        return alice.to_p12(SECRET, compat=compat), tuple(held), alice

    return make


@pytest.fixture
def given(
    request: pytest.FixtureRequest,
    made: Callable[[str], Made],
    ca: pki.Authority,
    tmp_path: Path,
) -> Given:
    """A file for one person (``rsa2048-modern``), with a pair, or with all former keys."""
    data, certificates, identity = made(request.param)
    file, root = tmp_path / "alice.p12", tmp_path / "root.pem"
    file.write_bytes(data)
    root.write_bytes(bundle.to_pem(ca.root))
    return Given(file, certificates, len(ca.chain), identity, ca.anchors, root)


def _former(ca: pki.Authority, algorithm: str, days: int) -> Recovered:
    key, now = keys.generate(algorithm), datetime.now(UTC)
    request = pki.CertificationRequest(key.public_key(), ["alice@example.org"])
    profile = pki.Profile.named("encryption").lasting(days)
    certificate = ca.certify(request, profile=profile, serial=new_serial(), at=now)
    return Recovered(key, certificate, "alice@example.org", now)


several = pytest.mark.parametrize(
    "given",
    ["pair-rsa2048-legacy", "former-rsa2048-modern", "former-p256-modern"],
    indirect=True,
)
single = pytest.mark.parametrize("given", KINDS, indirect=True)


def believed(given: Given, signed: bytes, content: bytes | None = None) -> None:
    """The signature is alice's and covers this content, no other."""
    beside = smime.Evidence(certificates=given.identity.chain)  # not all send the chain along
    opened = smime.cms.verify(signed, trust=given.anchors, evidence=beside, content=content)
    assert [one.signer for one in opened.signatures] == ["alice@example.org"]
    assert opened.content == (CONTENT if content is None else content)
    changed, other = (
        (signed.replace(b"noon", b"dusk"), None) if content is None else (signed, content + b"!")
    )
    with pytest.raises(smime.SignatureRejected, match="changed"):
        smime.cms.verify(changed, trust=given.anchors, evidence=beside, content=other)


def sealed_for(certificate: x509.Certificate) -> bytes:
    made = smime.cms.encrypt(CONTENT, to=smime.Recipient(certificate))
    assert made is not None
    return made


def program(name: str, *arguments: str | Path, input: bytes = b"") -> bytes:
    """Run a program that comes with a peer."""
    found = shutil.which(name)
    assert found, name
    done = subprocess.run(
        [found, *arguments], input=input, capture_output=True, timeout=60, check=False
    )
    assert done.returncode == 0, (name, arguments, done.stderr.decode(errors="replace"))
    return done.stdout


# --- ourselves --------------------------------------------------------------


@several
def test_we_open_mail_for_every_key(given: Given) -> None:
    for certificate in given.reading:
        opened = smime.cms.decrypt(sealed_for(certificate), keys=given.identity)
        assert opened == CONTENT
    with pytest.raises(smime.KeyProblem):
        smime.Identity.load(given.file, passphrase="wrong")


# --- openssl ----------------------------------------------------------------


def opened_by_openssl(openssl: Peer, given: Given) -> Path:
    read = ("pkcs12", "-in", given.file, "-noenc", "-passin")
    assert openssl.attempt(*read, "pass:wrong").returncode
    pem = given.file.with_suffix(".pem")
    pem.write_bytes(openssl.run(*read, f"pass:{SECRET}"))
    return pem


@single
def test_openssl_signs(openssl: Peer, given: Given) -> None:
    pem = opened_by_openssl(openssl, given)

    signed = openssl.run(
        *("cms", "-sign", "-binary", "-nodetach", "-outform", "DER", "-signer", pem),
        input=CONTENT,
    )

    believed(given, signed)


@several
def test_openssl_opens_with_every_key(openssl: Peer, given: Given) -> None:
    """It finds the key that belongs to each certificate."""
    listed = opened_by_openssl(openssl, given).read_bytes()
    start, mark = b"-----BEGIN PRIVATE KEY-----", b"-----BEGIN CERTIFICATE-----"
    found = [start + block for block in listed.split(start)[1:]]
    held = [load_pem_private_key(block, None).public_key() for block in found]

    assert len(held) == len(given.certificates)
    assert all(public in held for public in given.publics)
    assert listed.count(mark) == len(given.certificates) + given.chain
    for certificate in given.reading:
        key = given.file.with_suffix(".key")
        key.write_bytes(found[held.index(certificate.public_key())])
        sealed = given.file.with_suffix(".cms")
        sealed.write_bytes(sealed_for(certificate))
        opened = openssl.run(
            "cms", "-decrypt", "-binary", "-inform", "DER", "-in", sealed, "-inkey", key
        )
        assert opened == CONTENT


# --- NSS: Thunderbird, Firefox ----------------------------------------------


@pytest.fixture
def database(nss: Peer, given: Given, tmp_path: Path) -> str:
    """A database of NSS that has taken in the file, and trusts the root."""
    name = f"sql:{tmp_path}"
    program("certutil", "-N", "-d", name, "--empty-password")
    wrong = nss.attempt("-i", given.file, "-d", name, "-K", "", "-W", "wrong")
    assert wrong.returncode
    assert b"IMPORT SUCCESSFUL" not in wrong.stdout + wrong.stderr
    nss.run("-i", given.file, "-d", name, "-K", "", "-W", SECRET)
    program("certutil", "-A", "-d", name, "-n", "root", "-t", "C,C,C", "-a", "-i", given.root)
    return name


@single
def test_nss_signs(nss: Peer, database: str, given: Given, tmp_path: Path) -> None:
    content, signed = tmp_path / "content", tmp_path / "signed"
    content.write_bytes(CONTENT)

    program(
        *("cmsutil", "-S", "-G", "-d", database, "-N", "alice@example.org"),
        *("-i", content, "-o", signed),
    )

    believed(given, signed.read_bytes())
    # What it is asked when a mail is signed: is the certificate good for that?
    program("certutil", "-V", "-e", "-u", "S", "-d", database, "-n", "alice@example.org")


@several
def test_nss_holds_every_key(nss: Peer, database: str, given: Given, tmp_path: Path) -> None:
    listed = program("certutil", "-K", "-d", database).decode()
    opened = tmp_path / "opened"

    kind = "ec" if hasattr(given.certificates[0].public_key(), "curve") else "rsa"
    assert len(re.findall(rf"^<[ \d]+> {kind} ", listed, re.MULTILINE)) == len(given.certificates)
    if kind == "ec":
        return  # its command opens nothing by ECDH before 3.110
    for certificate in given.reading:
        (tmp_path / "sealed").write_bytes(sealed_for(certificate))
        program("cmsutil", "-D", "-d", database, "-i", tmp_path / "sealed", "-o", opened)
        assert opened.read_bytes() == CONTENT


# --- GnuTLS -----------------------------------------------------------------


def opened_by_gnutls(gnutls: Peer, given: Given) -> bytes:
    read = ("--p12-info", "--inder", "--infile", given.file, "--password")
    wrong = gnutls.attempt(*read, "wrong")
    assert wrong.returncode
    assert b"BEGIN CERTIFICATE" not in wrong.stdout
    return gnutls.run(*read, SECRET)


@single
def test_gnutls_signs(gnutls: Peer, given: Given, tmp_path: Path) -> None:
    pem, content = tmp_path / "alice.pem", tmp_path / "content"
    pem.write_bytes(opened_by_gnutls(gnutls, given))
    content.write_bytes(CONTENT)

    signed = gnutls.run(
        *("--p7-sign", "--p7-time", "--outder", "--load-privkey", pem, "--password", SECRET),
        *("--load-certificate", pem, "--infile", content),
    )

    believed(given, signed)


@several
def test_gnutls_asks_with_every_key(gnutls: Peer, given: Given, tmp_path: Path) -> None:
    """Each key signs a request for a certificate."""
    listed = opened_by_gnutls(gnutls, given)
    start = b"-----BEGIN ENCRYPTED PRIVATE KEY-----"
    asked = []
    (tmp_path / "template").write_text('cn = "Alice"\n')
    for block in listed.split(start)[1:]:
        (tmp_path / "key").write_bytes(start + block)
        request = gnutls.run(
            *("--generate-request", "--load-privkey", tmp_path / "key", "--password", SECRET),
            *("--template", tmp_path / "template", "--outder"),
        )
        parsed = x509.load_der_x509_csr(request)
        assert parsed.is_signature_valid
        asked.append(parsed.public_key())

    assert listed.count(b"BEGIN CERTIFICATE") == len(given.certificates) + given.chain
    assert len(asked) == len(given.certificates)
    assert all(public in asked for public in given.publics)


# --- Java -------------------------------------------------------------------


def store(given: Given, secret: str = SECRET) -> tuple[str | Path, ...]:
    return ("-storetype", "PKCS12", "-keystore", given.file, "-storepass", secret)


@pytest.mark.parametrize("given", ["rsa2048-legacy", "p256-modern"], indirect=True)
def test_java_signs(java: Peer, given: Given, tmp_path: Path) -> None:
    """A JAR, whose signature is a CMS over its list of digests."""
    jar = tmp_path / "letter.jar"
    with zipfile.ZipFile(jar, "w") as made:
        made.writestr("letter", CONTENT)
    wrong = java.attempt("-list", *store(given, "wrong one"))
    assert wrong.returncode
    assert b"password was incorrect" in wrong.stdout

    program("jarsigner", *store(given), "-sigfile", "alice", jar, "alice@example.org")

    with zipfile.ZipFile(jar) as signed:
        inside = {Path(name).suffix: signed.read(name) for name in signed.namelist()}
    believed(given, inside.get(".RSA") or inside[".EC"], inside[".SF"])


@pytest.mark.parametrize("given", ["pair-rsa2048-legacy", "former-p256-legacy"], indirect=True)
def test_java_asks_with_every_key(java: Peer, given: Given) -> None:
    """Two keys under one name would be one to Java, and the other lost."""
    listed = java.run("-list", *store(given)).decode()
    names = re.findall(r"^(alice@.*?), [A-Z].* PrivateKeyEntry", listed, re.MULTILINE)
    asked = []
    for name in names:
        request = x509.load_pem_x509_csr(java.run("-certreq", *store(given), "-alias", name))
        assert request.is_signature_valid
        asked.append(request.public_key())

    assert len(names) == len(set(names)) == len(given.certificates)
    assert all(public in asked for public in given.publics)
