"""What pyHanko sealed opens here: the foreign X25519 and X448.

It derives by X9.63, as RFC 8418 §2 allows beside HKDF, and opens nothing else; we write HKDF.
"""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding

from smime import cms
from smime.cms import OpeningKey
from smime.errors import DecryptionFailed
from tests.cms.people import person
from tests.support.peers import peer

pytestmark = pytest.mark.peer("pyhanko")

SEED = bytes(range(20))
SCRIPT = Path(__file__).with_name("pyhanko_seal.py")
AGREED = [
    ("x25519", "x963-sha256"),
    ("x448", "x963-sha512"),
    ("p384", "x963-sha384"),
    ("brainpool512", "x963-sha512"),
]


@pytest.fixture(scope="module")
def sealed(tmp_path_factory: pytest.TempPathFactory) -> dict[str, bytes]:
    """What pyHanko sealed for each kind, in one run."""
    folder = tmp_path_factory.mktemp("pyhanko")
    kinds = [kind for kind, _ in AGREED]
    for kind in kinds:
        (folder / kind).write_bytes(person(kind)[1].public_bytes(Encoding.DER))
    done = subprocess.run(
        [peer("pyhanko").path, SCRIPT, SEED.hex(), *(folder / kind for kind in kinds)],
        capture_output=True,
        text=True,
        check=True,
        timeout=60,
    )
    blobs = [bytes.fromhex(line) for line in done.stdout.split()]
    return dict(zip(kinds, blobs, strict=True))


@pytest.mark.parametrize(("kind", "derivation"), AGREED)
@pytest.mark.cell("pyhanko", "sealed theirs -> ours")
@pytest.mark.confirms("theirs", "recipient:{kind}", "agreement:{derivation}", "cipher:aes-256-cbc")
def test_we_open(sealed: dict[str, bytes], kind: str, derivation: str) -> None:
    blob = sealed[kind]

    content = cms.decrypt(blob, keys=OpeningKey(*person(kind)))

    assert content[:20] == SEED
    assert len(content) == 24
    try:
        other = cms.decrypt(blob, keys=OpeningKey(person(kind, 1)[0], person(kind)[1]))
    except DecryptionFailed:
        return
    assert other[:20] != SEED  # a wrong key ends in a right padding once in 256 times
