"""`openssl cms` and we on newer ways to sign: PSS, brainpool, CAdES, several signers.

Each cell both ways, with one octet changed as its control.
"""

from __future__ import annotations

from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

from smime import Policy
from smime.cms import add_signer, signatures, signed
from tests.cms.signers import AT, certificate_of, identity, key_of, root, signing_key
from tests.support.peers import Peer

pytestmark = pytest.mark.peer("openssl")

CONTENT = b"We meet at noon.\r\n"
MODERN = Policy.modern()
PSS = MODERN.replace(signature="rsa-pss")
AT_EPOCH = str(int(AT.timestamp()))


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """A folder with the root, and certificate and key of each signer as PEM."""
    (tmp_path / "root.pem").write_bytes(root().public_bytes(Encoding.PEM))
    for kind in ("rsa", "bp256", "bp384", "p256"):
        pem = certificate_of(kind).public_bytes(Encoding.PEM)
        (tmp_path / f"{kind}.crt").write_bytes(pem)
        key = key_of(kind).private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
        (tmp_path / f"{kind}.key").write_bytes(key)
    (tmp_path / "content").write_bytes(CONTENT)
    return tmp_path


def openssl_accepts(openssl: Peer, files: Path, blob: bytes, *options: str) -> bool:
    """It verifies, and gives out the content."""
    (files / "blob").write_bytes(blob)
    done = openssl.attempt(
        *("cms", "-verify", "-binary", "-inform", "DER", "-in", files / "blob"),
        *("-CAfile", files / "root.pem", "-purpose", "smimesign", "-attime", AT_EPOCH),
        *options,
    )
    return done.returncode == 0 and done.stdout == CONTENT


@pytest.mark.parametrize(
    ("kind", "policy", "options"),
    [
        ("rsa", PSS, ()),
        ("rsa", PSS.replace(digest="sha384"), ()),
        ("rsa", PSS.replace(digest="sha512", cades=True), ("-cades",)),
        ("rsa", MODERN.replace(cades=True), ("-cades",)),
        ("p256", MODERN.replace(cades=True), ("-cades",)),
        ("bp256", MODERN, ()),
        ("bp384", MODERN, ()),
    ],
)
@pytest.mark.confirms("ours", "signature:rsa-pss", "signature:{kind}")
def test_ours_to_openssl(
    openssl: Peer, files: Path, kind: str, policy: Policy, options: tuple[str, ...]
) -> None:
    blob, _ = signed.build(CONTENT, [signing_key(kind)], detached=False, at=AT, policy=policy)

    assert openssl_accepts(openssl, files, blob, *options)
    changed = blob.replace(b"noon", b"dusk")
    assert not openssl_accepts(openssl, files, changed, *options)


def test_openssl_wants_the_certificate_named(openssl: Peer, files: Path) -> None:
    """Control of -cades: without the attribute it refuses."""
    blob, _ = signed.build(CONTENT, [signing_key("rsa")], detached=False, at=AT, policy=MODERN)

    assert openssl_accepts(openssl, files, blob)
    assert not openssl_accepts(openssl, files, blob, "-cades")


@pytest.mark.parametrize(
    ("kind", "options"),
    [
        ("rsa", ("-keyopt", "rsa_padding_mode:pss")),
        ("rsa", ("-keyopt", "rsa_padding_mode:pss", "-keyopt", "rsa_pss_saltlen:-1")),
        ("rsa", ("-md", "sha512", "-keyopt", "rsa_padding_mode:pss",
                 "-keyopt", "rsa_mgf1_md:sha256")),
        ("rsa", ("-cades",)),
        ("p256", ("-cades", "-md", "sha384")),
        ("bp256", ()),
        ("bp384", ("-md", "sha384",)),
    ],
)  # fmt: skip
@pytest.mark.confirms("theirs", "signature:rsa-pss", "signature:{kind}")
def test_openssl_to_us(openssl: Peer, files: Path, kind: str, options: tuple[str, ...]) -> None:
    md, keyopt = _split(options)
    blob = openssl.run(
        *("cms", "-sign", "-binary", "-nodetach", "-in", files / "content", "-outform", "DER"),
        *md,
        *("-signer", files / f"{kind}.crt", "-inkey", files / f"{kind}.key"),
        *keyopt,
    )

    data = signatures.read(blob)
    assert data.content == CONTENT
    (check,) = signatures.check(data, signatures.Content(CONTENT), policy=MODERN)
    assert check.holds
    (check,) = signatures.check(data, signatures.Content(CONTENT + b"!"), policy=MODERN)
    assert check.intact.code == "digest-differs"


def _split(options: tuple[str, ...]) -> tuple[list[str], list[str]]:
    """Options of the whole, and those that must follow the signer."""
    of_key = [
        one for at, one in enumerate(options) if "-keyopt" in options[max(at - 1, 0) : at + 1]
    ]
    return [one for one in options if one not in of_key], of_key


def test_openssl_reads_what_was_added(openssl: Peer, files: Path) -> None:
    """It demands that every signer is right."""
    first, _ = signed.build(CONTENT, [signing_key("p256")], detached=False, at=AT, policy=PSS)

    both = add_signer(first, by=identity("rsa"), policy=PSS, at=AT)

    assert openssl_accepts(openssl, files, both)


def test_we_add_to_what_openssl_made(openssl: Peer, files: Path) -> None:
    first = openssl.run(
        *("cms", "-sign", "-binary", "-nodetach", "-in", files / "content", "-outform", "DER"),
        *("-stream", "-signer", files / "p256.crt", "-inkey", files / "p256.key"),
    )

    both = add_signer(first, by=identity("rsa"), at=AT)

    assert openssl_accepts(openssl, files, both)
    checks = signatures.check(signatures.read(both), signatures.Content(CONTENT), policy=MODERN)
    assert [one.holds for one in checks] == [True, True]
