"""Bouncy Castle 1.80 and we on all kinds of recipients and ciphers, and on ML-DSA, both ways.

One run of a Java program seals, and one opens, everything; each cell looks at its result. What it
lacks is not in the tables: X25519 and X448 in CMS, and AuthEnvelopedData of its own with
ChaCha20-Poly1305.
"""

from __future__ import annotations

import os
import subprocess
from pathlib import Path
from typing import Any

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import smime
from smime.cms import (
    OpeningKey,
    Passphrase,
    RecipientKey,
    SharedKey,
    enveloped,
    signatures,
    signed,
)
from smime.cms.der import children, octet_string, sequence, top
from smime.errors import DecryptionFailed
from tests.cms.people import KINDS, person
from tests.cms.signers import AT, certificate_of, signing_key
from tests.cms.signers import key_of as signing_key_of
from tests.support.peers import peer

pytestmark = pytest.mark.peer("bouncycastle180")

TEXT = b"We meet at noon.\r\n"
SOURCE = Path(__file__).parent / "java/Envelopes.java"
CIPHERS = (
    "aes-128-cbc", "aes-256-cbc", "aes-128-gcm", "aes-256-gcm", "aes-128-ccm", "aes-256-ccm",
    "aes-192-cbc", "aes-192-gcm", "aes-192-ccm",
)  # fmt: skip
# What is read under a policy for old mail.
OLD = [("rsa", "v15", cipher, "plain") for cipher in ("3des-cbc", "rc2-128-cbc")]
LEGACY = smime.Policy.legacy_read()
# Key agreement by X9.63 with the digest that fits the curve; for RSA the padding.
HOW = {
    "p256": ("1.3.132.1.11.1",),
    "p384": ("1.3.132.1.11.2",),
    "p521": ("1.3.132.1.11.3",),
    "brainpool256": ("1.3.132.1.11.1",),
    "brainpool384": ("1.3.132.1.11.2",),
    "brainpool512": ("1.3.132.1.11.3",),
    "rsa": ("v15", "oaep"),
}
NAMED = [kind for kind in KINDS if not kind.startswith("x")]
Job = tuple[str, str, str, str]


def jobs(*more: str) -> list[Job]:
    """Return kind, how, cipher, and whether the content key is derived (RFC 9709)."""
    found = [
        (kind, how, cipher, "plain")
        for kind in NAMED
        for how in HOW.get(kind, ("-",))
        for cipher in (*CIPHERS, *more)
    ]
    found += [("shared", "-", cipher, "plain") for cipher in CIPHERS]
    found += [("passphrase", "-", f"aes-256-{mode}", "plain") for mode in ("cbc", "gcm")]
    kinds = (("rsa", "v15"), ("p256", HOW["p256"][0]), ("ml-kem-768", "-"))
    return found + [(*kind, cipher, "hkdf") for kind in kinds for cipher in CIPHERS[:4]]


TO_US = jobs() + OLD
# With key agreement it does not open what it derived itself.
FROM_US = [job for job in jobs("chacha20-poly1305") if job[0] != "p256" or job[3] != "hkdf"]


def key_of(kind: str, number: int = 0) -> object:
    if kind == "shared":
        return SharedKey(bytes(range(16)) if not number else bytes(16), b"july")
    if kind == "passphrase":
        return Passphrase("tell nobody" if not number else "tell everybody")
    return OpeningKey(person(kind, number)[0], person(kind)[1])


def private_der(kind: str) -> bytes:
    return as_it_reads(person(kind)[0])


def as_it_reads(key: Any) -> bytes:
    """Return PKCS#8; for ML-KEM and ML-DSA in the form of a draft that 1.80 reads: a bare seed."""
    made: bytes = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
    if "ML" not in type(key).__name__:
        return made
    parts = children(made, top(made))
    inner = top(made, parts[2][2], parts[2][3])
    seed = octet_string(made[inner[2] : inner[3]])
    return sequence(*(made[one[1] : one[3]] for one in parts[:2]), octet_string(seed))


@pytest.fixture(scope="module")
def classes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("classes")
    jars = peer("bouncycastle180").run("jars").decode().strip()
    subprocess.run(
        ["javac", "-d", folder, "-cp", jars, SOURCE, SOURCE.with_name("BouncyCastle.java")],
        check=True,
        capture_output=True,
        timeout=120,
    )
    return folder


def run(classes: Path, program: str, *arguments: str | Path) -> dict[str, str]:
    """Run it; return what it says of each file."""
    done = subprocess.run(
        [peer("bouncycastle180").path, program, *arguments],
        env={**os.environ, "CLASSES": str(classes)},
        check=True,
        capture_output=True,
        text=True,
        timeout=120,
    )
    return dict(line.split(" ", 1) for line in done.stdout.splitlines())


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("people")
    (found / "content").write_bytes(TEXT)
    for kind in NAMED:
        (found / f"{kind}.crt").write_bytes(person(kind)[1].public_bytes(Encoding.DER))
        (found / f"{kind}.key").write_bytes(private_der(kind))
    return found


def write_jobs(folder: Path, prefix: str, listed: list[Job]) -> None:
    lines = [f"{prefix}{number} {' '.join(job)}\n" for number, job in enumerate(listed)]
    (folder / "jobs").write_text("".join(lines))


@pytest.fixture(scope="module")
def sealed(classes: Path, folder: Path) -> dict[Job, bytes]:
    """What Bouncy Castle sealed."""
    write_jobs(folder, "theirs", TO_US)
    said = run(classes, "Envelopes", "seal", folder)
    assert set(said.values()) == {"made"}, said
    return {job: (folder / f"theirs{n}").read_bytes() for n, job in enumerate(TO_US)}


@pytest.fixture(scope="module")
def opened(classes: Path, folder: Path) -> dict[Job, tuple[str, str]]:
    """What Bouncy Castle says of what we sealed, and of a copy with an octet changed."""
    for number, (kind, how, cipher, hkdf) in enumerate(FROM_US):
        reader = key_of(kind) if kind in ("shared", "passphrase") else RecipientKey(person(kind)[1])
        transport = "rsa-oaep" if how == "oaep" else "rsa-v15"
        blob = enveloped.build(
            TEXT, [reader], cipher=cipher, transport=transport, derived=hkdf == "hkdf"
        )
        changed = blob[:-1] + bytes((blob[-1] ^ 1,))
        (folder / f"ours{number}").write_bytes(blob)
        (folder / f"ours{len(FROM_US) + number}").write_bytes(changed)
    write_jobs(folder, "ours", FROM_US * 2)
    said = run(classes, "Envelopes", "open", folder)
    count = len(FROM_US)
    return {
        job: (said[f"ours{number}"], said[f"ours{count + number}"])
        for number, job in enumerate(FROM_US)
    }


@pytest.mark.parametrize("job", TO_US, ids="-".join)
@pytest.mark.cell("bouncycastle180", "sealed theirs -> ours")
@pytest.mark.confirms(
    "theirs",
    "recipient:{job[0]}-{job[1]}",
    "agreement:{job[1]}",
    "cipher:{job[2]}",
    "derived:{job[3]}",
    "wrap:32",
)
def test_we_open(sealed: dict[Job, bytes], job: Job) -> None:
    kind, _, cipher, _ = job
    blob = sealed[job]
    envelope = enveloped.read(blob)

    assert envelope.cipher == cipher
    if job in OLD:
        with pytest.raises(smime.NotSupported, match="too weak"):
            enveloped.open_with(envelope, [key_of(kind)], MODERN)
    assert enveloped.open_with(envelope, [key_of(kind)], LEGACY)[0] == TEXT
    try:
        other = enveloped.open_with(envelope, [key_of(kind, 1)], LEGACY)[0]
    except DecryptionFailed:
        return
    assert cipher.endswith("cbc")  # a wrong key ends in a right padding once in 256 times
    assert other != TEXT


@pytest.mark.parametrize("job", FROM_US, ids="-".join)
@pytest.mark.cell("bouncycastle180", "sealed ours -> theirs")
@pytest.mark.confirms(
    "ours",
    "recipient:{job[0]}-{job[1]}",
    "agreement:{job[1]}",
    "cipher:{job[2]}",
    "derived:{job[3]}",
    "wrap:16",
    "wrap:24",
    "wrap:32",
)
def test_it_opens(opened: dict[Job, tuple[str, str]], job: Job) -> None:
    good, changed = opened[job]

    assert good == TEXT.hex()
    assert changed != TEXT.hex()


SIGNING = {
    "rsa": "SHA256withRSA",
    "p256": "SHA256withECDSA",
    "ed25519": "Ed25519",
    "ed448": "Ed448",
    "ml-dsa-44": "ML-DSA-44",
    "ml-dsa-65": "ML-DSA-65",
    "ml-dsa-87": "ML-DSA-87",
}
MODERN = smime.Policy.modern()


@pytest.fixture(scope="module")
def signers(tmp_path_factory: pytest.TempPathFactory) -> Path:
    found = tmp_path_factory.mktemp("signers")
    (found / "content").write_bytes(TEXT)
    for kind in SIGNING:
        (found / f"{kind}.crt").write_bytes(certificate_of(kind).public_bytes(Encoding.DER))
        (found / f"{kind}.key").write_bytes(as_it_reads(signing_key_of(kind)))
    return found


@pytest.fixture(scope="module")
def checked(classes: Path, signers: Path) -> dict[str, str]:
    """What Bouncy Castle says of what we signed, each beside a copy with a letter changed."""
    for kind in SIGNING:
        blob = signed.build(TEXT, [signing_key(kind)], detached=False, at=AT, policy=MODERN)[0]
        (signers / f"{kind}.der").write_bytes(blob)
        (signers / f"{kind}-changed.der").write_bytes(blob.replace(b"noon", b"dusk"))
    return run(classes, "BouncyCastle", "check", signers)


@pytest.mark.parametrize("kind", SIGNING)
@pytest.mark.cell("bouncycastle180", "signed ours -> theirs")
@pytest.mark.confirms("ours", "signature:{kind}")
def test_it_verifies(checked: dict[str, str], kind: str) -> None:
    assert checked[f"{kind}.der"] == "right"
    assert checked[f"{kind}-changed.der"] == "wrong"


# Beside the ordinary ones: digests that are read only.
THEIRS = [
    *((kind, algorithm, "") for kind, algorithm in SIGNING.items()),
    ("rsa", "SHA224withRSA", "sha224"),
    ("p256", "SHA3-224withECDSA", "sha3-224"),
    ("rsa", "SHA1withRSA", "sha1"),
    ("rsa", "MD5withRSA", "md5"),
]


@pytest.fixture(scope="module")
def signed_there(classes: Path, signers: Path) -> Path:
    """A folder with what Bouncy Castle signed, by its algorithm."""
    lines = [f"{algorithm} {kind} {algorithm}.out\n" for kind, algorithm, _ in THEIRS]
    (signers / "jobs").write_text("".join(lines))
    run(classes, "BouncyCastle", "sign", signers)
    return signers


@pytest.mark.parametrize(("kind", "algorithm", "digest"), THEIRS)
@pytest.mark.cell("bouncycastle180", "signed theirs -> ours")
@pytest.mark.confirms("theirs", "signature:{kind}", "digest:{digest}")
def test_we_verify(signed_there: Path, kind: str, algorithm: str, digest: str) -> None:
    data = signatures.read((signed_there / f"{algorithm}.out").read_bytes())
    (check,) = signatures.check(data, signatures.Content(TEXT), policy=LEGACY)

    assert data.content == TEXT
    assert check.holds
    assert digest in ("", check.digest_algorithm)
    (changed,) = signatures.check(data, signatures.Content(TEXT + b"!"), policy=LEGACY)
    assert changed.intact.code == "digest-differs"
