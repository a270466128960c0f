"""GnuPG's gpgsm and we read what the other one wrote: RSA and AES-CBC, which it has."""

from __future__ import annotations

import base64
import hashlib
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from tests.support.peers import Peer, peer

pytestmark = pytest.mark.peer("gpgsm")

PASSPHRASE = "x"
IMPORTS = 3  # gpgsm 2.2 refuses one good file of a hundred, and takes the next export
ENTITY = b"Content-Type: text/plain; charset=us-ascii\r\n\r\nWe meet at noon.\r\n"
LETTER = b"From: alice@example.org\r\nMIME-Version: 1.0\r\n" + ENTITY
READ = ("--batch", "--no-tty", "--pinentry-mode", "loopback", "--passphrase-fd", "0")


@dataclass(frozen=True)
class Home:
    """A GnuPG home that trusts the root and holds alice's key."""

    gpgsm: Peer
    folder: Path
    anchors: smime.Anchors
    alice: smime.Identity
    fingerprint: str

    def run(self, *arguments: str | Path, input: bytes = b"") -> bytes:
        return self.gpgsm.run("--homedir", self.folder, *arguments, input=input)

    def verifies(self, *files: Path) -> bool:
        done = self.gpgsm.attempt(
            *("--homedir", self.folder, "--batch", "--status-fd", "1", "--verify"), *files
        )
        return done.returncode == 0 and b"[GNUPG:] GOODSIG " in done.stdout

    def write(self, name: str, data: bytes) -> Path:
        path = self.folder / name
        path.write_bytes(data)
        return path


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Home]:
    folder = tmp_path_factory.mktemp("gnupg")
    folder.chmod(0o700)
    root = pki.Authority.create("GnuPG Test Root", algorithm="rsa2048")
    alice = root.issue("alice@example.org", name="Alice", algorithm="rsa2048", profile="internal")
    root_der = root.certificate.public_bytes(Encoding.DER)
    trusted = hashlib.sha1(root_der, usedforsecurity=False).hexdigest().upper()
    leaf = alice.certificate.public_bytes(Encoding.DER)
    fingerprint = hashlib.sha1(leaf, usedforsecurity=False).hexdigest().upper()
    (folder / "trustlist.txt").write_text(f"{trusted} S relax\n")
    (folder / "gpgsm.conf").write_text("disable-crl-checks\ndisable-dirmngr\n")
    (folder / "gpg-agent.conf").write_text("allow-loopback-pinentry\n")
    made = Home(peer("gpgsm"), folder, root.anchors, alice, fingerprint)
    try:
        made.run("--batch", "--import", made.write("root.der", root_der))
        for _ in range(IMPORTS):
            file = made.write("alice.p12", alice.to_p12(PASSPHRASE, compat="legacy"))
            done = made.gpgsm.attempt(
                *("--homedir", folder, *READ, "--import", file), input=PASSPHRASE.encode() + b"\n"
            )
            if done.returncode == 0:
                break
        assert done.returncode == 0, done.stderr.decode()
        yield made
    finally:
        # The agent that gpgsm started in this home.
        subprocess.run(["gpgconf", "--homedir", folder, "--kill", "all"], check=False, timeout=30)


def test_it_takes_the_key_under_its_passphrase_alone(home: Home, tmp_path: Path) -> None:
    """The same file that went into the home above, into one that is empty."""
    tmp_path.chmod(0o700)
    for name in ("gpgsm.conf", "gpg-agent.conf"):
        (tmp_path / name).write_bytes((home.folder / name).read_bytes())
    try:
        done = home.gpgsm.attempt(
            *("--homedir", tmp_path, *READ, "--import", home.folder / "alice.p12"),
            input=b"wrong\n",
        )
    finally:
        subprocess.run(["gpgconf", "--homedir", tmp_path, "--kill", "all"], check=False, timeout=30)

    assert done.returncode
    assert b"secret keys imported" not in done.stderr
    assert not list((tmp_path / "private-keys-v1.d").glob("*.key"))


def cms_of(mail: smime.Mail) -> bytes:
    """The CMS structure of a mail of ours: the base64 of its part smime.p7m or smime.p7s."""
    part = bytes(mail).rpartition(b"smime.p7")[2].partition(b"\r\n\r\n")[2]
    return base64.b64decode(part.partition(b"\r\n--")[0])


def multipart_signed(entity: bytes, signature: bytes) -> bytes:
    return (
        b"From: alice@example.org\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
        b' micalg="sha-256"; boundary="b"\r\n\r\n--b\r\n' + entity + b"\r\n--b\r\n"
        b"Content-Type: application/pkcs7-signature\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(signature).replace(b"\n", b"\r\n")
        + b"\r\n--b--\r\n"
    )


def pkcs7_mime(cms: bytes) -> bytes:
    return (
        b"From: alice@example.org\r\nMIME-Version: 1.0\r\n"
        b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + base64.encodebytes(cms).replace(b"\n", b"\r\n")
    )


@pytest.mark.cell("gpgsm", "signed ours -> gpgsm")
@pytest.mark.parametrize("digest", ["sha256", "sha384", "sha512"])
@pytest.mark.parametrize("opaque", [False, True], ids=["detached", "opaque"])
@pytest.mark.confirms("ours", "signature:rsa", "digest:{digest}")
def test_it_verifies_ours(home: Home, opaque: bool, digest: str) -> None:
    policy = smime.Policy.modern().replace(digest=digest)
    signed = smime.sign(LETTER, by=home.alice, opaque=opaque, policy=policy)
    content = smime.verify(signed, trust=home.anchors).content
    cms = cms_of(signed)
    assert b"noon" in content

    if opaque:
        assert home.verifies(home.write("good", cms))
        assert not home.verifies(home.write("bad", cms.replace(b"noon", b"dusk")))
    else:
        signature = home.write("signature", cms)
        assert home.verifies(signature, home.write("good", content))
        assert not home.verifies(signature, home.write("bad", content.replace(b"noon", b"dusk")))


@pytest.mark.cell("gpgsm", "signed gpgsm -> ours")
@pytest.mark.parametrize("form", ["detached", "opaque"])
@pytest.mark.confirms("theirs", "signature:rsa")
def test_we_verify_its(home: Home, form: str) -> None:
    how = "--detach-sign" if form == "detached" else "--sign"
    file = home.write("entity", ENTITY)
    cms = home.run(
        *(*READ, "--include-certs", "-2", "-u", home.fingerprint, how, file),
        input=PASSPHRASE.encode() + b"\n",
    )
    received = multipart_signed(ENTITY, cms) if form == "detached" else pkcs7_mime(cms)

    opened = smime.verify(received, trust=home.anchors)

    assert opened.signer == "alice@example.org"
    assert opened.content == ENTITY
    bad = (
        received.replace(b"noon", b"dusk")
        if form == "detached"
        else pkcs7_mime(cms.replace(b"noon", b"dusk"))
    )
    with pytest.raises(smime.SignatureRejected):
        smime.verify(bad, trust=home.anchors)


@pytest.mark.cell("gpgsm", "sealed ours -> gpgsm")
@pytest.mark.parametrize("cipher", ["aes-128-cbc", "aes-192-cbc", "aes-256-cbc"])
@pytest.mark.confirms("ours", "recipient:rsa-v15", "cipher:{cipher}")
def test_it_opens_ours(home: Home, cipher: str) -> None:
    policy = smime.Policy.modern().replace(cipher=cipher)
    sealed = smime.encrypt(LETTER, to=home.alice, policy=policy)

    opened = home.run(
        *READ, "--decrypt", home.write("sealed", cms_of(sealed)), input=PASSPHRASE.encode() + b"\n"
    )

    assert opened == smime.decrypt(sealed, keys=home.alice, trust=home.anchors).content


@pytest.mark.cell("gpgsm", "sealed gpgsm -> ours")
@pytest.mark.parametrize("cipher", ["AES128", "AES192", "AES256"])
@pytest.mark.parametrize("form", ["binary", "armor"])
@pytest.mark.confirms("theirs", "recipient:rsa-v15", "cipher:{cipher}")
def test_we_open_its(home: Home, cipher: str, form: str) -> None:
    """With --armor the CMS structure comes as PEM."""
    cms = home.run(
        *("--batch", "--cipher-algo", cipher, "-r", home.fingerprint),
        *(("--armor",) if form == "armor" else ()),
        *("--encrypt", home.write("entity", ENTITY)),
    )

    opened = smime.decrypt(pkcs7_mime(cms), keys=home.alice, trust=home.anchors)

    assert opened.content == ENTITY
    with pytest.raises(smime.DecryptionFailed):
        smime.decrypt(
            pkcs7_mime(cms),
            keys=pki.Authority.create("Other").issue("alice@example.org"),
            trust=home.anchors,
        )
