"""NSS's cmsutil and we: signatures and sealed content, both ways.

NSS 3.87 has neither OAEP, ECDH nor AuthEnvelopedData in CMS. Its keys come in PKCS#12 of ours.
"""

from __future__ import annotations

import subprocess
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

import pki
import smime
from smime import cms
from tests.support.peers import peer

pytestmark = pytest.mark.peer("nss")

TEXT = b"We meet at noon.\r\n"
MODERN = smime.Policy.modern()
PSS = MODERN.replace(signature="rsa-pss")
KINDS = ("rsa3072", "p256", "p384")
WAYS = [*((kind, MODERN) for kind in KINDS), ("rsa3072", PSS)]
NAMES = ["rsa", "p256", "p384", "pss"]


@dataclass(frozen=True)
class Nss:
    """A database that knows the root and holds everybody's keys."""

    folder: Path
    ca: pki.Authority
    people: dict[str, smime.Identity]

    def attempt(self, program: str, *given: str | Path) -> subprocess.CompletedProcess[bytes]:
        return subprocess.run(
            [program, *given, "-d", f"sql:{self.folder}"],
            capture_output=True,
            timeout=60,
            check=False,
        )

    def run(self, program: str, *given: str | Path) -> bytes:
        done = self.attempt(program, *given)
        assert done.returncode == 0, done.stderr
        return done.stdout

    def file(self, name: str, data: bytes = b"") -> Path:
        (self.folder / name).write_bytes(data)
        return self.folder / name


@pytest.fixture(scope="module")
def nss_base(tmp_path_factory: pytest.TempPathFactory) -> Nss:
    peer("nss")
    ca = pki.Authority.create("Interop Root")
    people = {kind: ca.issue(f"{kind}@example.org", algorithm=kind) for kind in KINDS}
    found = Nss(tmp_path_factory.mktemp("nss"), ca, people)
    found.run("certutil", "-N", "--empty-password")
    root = found.file("root", ca.root.public_bytes(Encoding.DER))
    found.run("certutil", "-A", "-n", "root", "-t", "C,C,C", "-i", root)
    for one in people.values():
        p12 = found.file("one.p12", one.to_p12("passphrase"))
        found.run("pk12util", "-i", p12, "-K", "", "-W", "passphrase")
    return found


@pytest.fixture
def nss_cms(nss_base: Nss) -> Iterator[Nss]:
    yield nss_base
    for name in ("blob", "content"):
        (nss_base.folder / name).unlink(missing_ok=True)


@pytest.mark.parametrize("detached", [False, True], ids=["opaque", "detached"])
@pytest.mark.parametrize(("kind", "policy"), WAYS, ids=NAMES)
@pytest.mark.cell("nss", "signed ours -> theirs")
@pytest.mark.confirms("ours", "signature:{kind}", "signature:rsa-pss")
def test_nss_verifies(nss_cms: Nss, kind: str, policy: smime.Policy, detached: bool) -> None:
    blob = cms.sign(TEXT, by=nss_cms.people[kind], detached=detached, policy=policy)
    content = ("-c", nss_cms.file("content", TEXT)) if detached else ()

    assert nss_cms.run("cmsutil", "-D", "-i", nss_cms.file("blob", blob), *content) == TEXT

    changed = TEXT.replace(b"noon", b"dusk")
    if detached:
        nss_cms.file("content", changed)
    else:
        nss_cms.file("blob", blob.replace(TEXT, changed))
    assert nss_cms.attempt("cmsutil", "-D", "-i", nss_cms.folder / "blob", *content).returncode


@pytest.mark.parametrize("detached", [False, True], ids=["opaque", "detached"])
@pytest.mark.parametrize("digest", ["SHA256", "SHA384", "SHA512"])
@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.cell("nss", "signed theirs -> ours")
@pytest.mark.confirms("theirs", "signature:{kind}", "digest:{digest}")
def test_we_verify(nss_cms: Nss, kind: str, digest: str, detached: bool) -> None:
    content = nss_cms.file("content", TEXT)
    blob = nss_cms.run(
        *("cmsutil", "-S", "-N", f"{kind}@example.org", "-H", digest, "-G", "-P", "-i", content),
        *(("-T",) if detached else ()),
    )
    beside = {"content": TEXT} if detached else {}

    opened = cms.verify(blob, trust=nss_cms.ca.anchors, **beside)

    assert opened.content == TEXT
    assert opened.signatures[0].digest_algorithm == digest.lower()
    changed = TEXT.replace(b"noon", b"dusk")
    with pytest.raises(smime.SignatureRejected):
        cms.verify(
            blob.replace(TEXT, changed),
            trust=nss_cms.ca.anchors,
            **({"content": changed} if detached else {}),
        )


@pytest.mark.parametrize("cipher", ["aes-128-cbc", "aes-256-cbc"])
@pytest.mark.cell("nss", "sealed ours -> theirs")
@pytest.mark.confirms("ours", "recipient:rsa-v15", "cipher:{cipher}")
def test_nss_opens(nss_cms: Nss, cipher: str) -> None:
    policy = MODERN.replace(cipher=cipher)
    to = [nss_cms.ca.issue("carol@example.org", algorithm="rsa2048"), nss_cms.people["rsa3072"]]
    blob = nss_cms.file("blob", cms.encrypt(TEXT, to=to, policy=policy))

    assert nss_cms.run("cmsutil", "-D", "-i", blob) == TEXT

    nss_cms.file("blob", cms.encrypt(TEXT, to=to[0], policy=policy))
    assert nss_cms.attempt("cmsutil", "-D", "-i", blob).returncode


@pytest.mark.cell("nss", "sealed theirs -> ours")
@pytest.mark.confirms("theirs", "recipient:rsa-v15")
def test_we_open(nss_cms: Nss) -> None:
    content = nss_cms.file("content", TEXT)
    blob = nss_cms.run("cmsutil", "-E", "-r", "rsa3072@example.org", "-i", content)

    assert cms.decrypt(blob, keys=nss_cms.people["rsa3072"]) == TEXT
    with pytest.raises(smime.DecryptionFailed, match="not sealed for any"):
        cms.decrypt(blob, keys=nss_cms.people["p256"])
