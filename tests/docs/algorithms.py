"""The tables of docs/reference/algorithms.md, made of the registry and of what foreign tests show.

    python -m tests.docs.algorithms     run the tests against foreign programs, then write the page

A row says what the code does; which foreign program confirms it is said by the tests that show it
(``tests/support/confirms.py``), which foreign messages do by the table below.
"""

from __future__ import annotations

import json
import os
import re
import subprocess
import sys
import tempfile
from collections.abc import Iterable
from dataclasses import dataclass
from functools import cache
from pathlib import Path

from smime import Policy
from smime.cms import agreement
from smime.cms import algorithms as alg
from smime.policy import CONTENT_CIPHERS, DIGESTS
from tests.docs.blocks import ROOT

PAGE = ROOT / "docs/reference/algorithms.md"
OWN = "own vectors only"
HEAD = ("| Algorithm | Standard | Write | Read | Verified against |", "|---|---|---|---|---|")

# What other projects' messages confirm, in the words of the runner that judges them all: each
# is used by a message that opens or verifies as its manifest says.
VECTORS = {
    "signature:rsa": "rsassa_pkcs1v15",
    "signature:dsa": "sha1_dsa",
    "signature:ml-dsa-44": "2.16.840.1.101.3.4.3.17",
    "signature:ml-dsa-65": "2.16.840.1.101.3.4.3.18",
    "signature:ml-dsa-87": "2.16.840.1.101.3.4.3.19",
    "digest:sha1": "sha1",
    "digest:sha256": "sha256",
    "digest:sha512": "sha512",
    "recipient:rsa-v15": "rsaes_pkcs1v15",
    "recipient:rsa-oaep": "rsaes_oaep",
    "recipient:ml-kem-768": "2.16.840.1.101.3.4.4.2",
    "recipient:ml-kem-1024": "2.16.840.1.101.3.4.4.3",
    "recipient:passphrase": "1.2.840.113549.1.9.16.3.9",
    "agreement:x963-sha1": "1.3.133.16.840.63.0.2",
    "agreement:x963-sha256": "1.3.132.1.11.1",
    "agreement:x963-sha384": "1.3.132.1.11.2",
    "wrap:aes-128-wrap": "aes128_wrap",
    "wrap:aes-192-wrap": "aes192_wrap",
    "wrap:pwri-kek": "1.2.840.113549.1.9.16.3.9",
    "cipher:aes-128-cbc": "aes128_cbc",
    "cipher:aes-192-cbc": "aes192_cbc",
    "cipher:aes-256-cbc": "aes256_cbc",
    "cipher:aes-128-gcm": "aes128_gcm",
    "cipher:3des-cbc": "tripledes_3key",
    "content:signedData": "signed_data",
    "content:envelopedData": "enveloped_data",
    "content:authEnvelopedData": "authenticated_enveloped_data",
}

_SIGNATURES = {
    "rsa": ("RSA PKCS#1 v1.5", "RFC 5754 §3.2"),
    "rsa-pss": ("RSASSA-PSS, id-RSASSA-PSS keys too", "RFC 4056, RFC 4055 §3"),
    "ec": ("ECDSA: P-256, P-384, P-521, brainpool P256r1, P384r1, P512r1", "RFC 5754 §3.3"),
    "ed25519": ("Ed25519", "RFC 8419"),
    "ed448": ("Ed448", "RFC 8419"),
    "ml-dsa-44": ("ML-DSA-44", "RFC 9882"),
    "ml-dsa-65": ("ML-DSA-65", "RFC 9882"),
    "ml-dsa-87": ("ML-DSA-87", "RFC 9882"),
    "dsa": ("DSA", "RFC 5754 §3.1"),
}
_DIGESTS = {
    **{
        name: (f"SHA-{name[3:]}", "RFC 5754 §2")
        for name in ("sha256", "sha384", "sha512", "sha224")
    },
    **{f"sha3-{bits}": (f"SHA3-{bits}", "RFC 9688") for bits in (224, 256, 384, 512)},
    "shake256": ("SHAKE256 of 512 bits, with Ed448 and ML-DSA", "RFC 8419, RFC 8702"),
    "sha1": ("SHA-1", "RFC 3370 §2.1"),
    "md5": ("MD5", "RFC 3370 §2.2"),
}
_RECIPIENTS = {
    "rsa-v15": ("RSA, PKCS#1 v1.5", "RFC 3370 §4.2.1"),
    "rsa-oaep": ("RSA-OAEP: any digest, MGF1 digest and label", "RFC 3560"),
    **{
        name: (f"ECDH on {said}", "RFC 5753")
        for name, said in (
            ("secp256r1", "P-256"),
            ("secp384r1", "P-384"),
            ("secp521r1", "P-521"),
            ("brainpoolP256r1", "brainpool P256r1"),
            ("brainpoolP384r1", "brainpool P384r1"),
            ("brainpoolP512r1", "brainpool P512r1"),
        )
    },
    "x25519": ("X25519", "RFC 8418"),
    "x448": ("X448", "RFC 8418"),
    "ml-kem-768": ("ML-KEM-768", "RFC 9629, RFC 9936"),
    "ml-kem-1024": ("ML-KEM-1024", "RFC 9629, RFC 9936"),
    "shared key": ("a secret key that both have", "RFC 5652 §6.2.3"),
    "passphrase": ("a passphrase: PBKDF2, with HMAC-SHA-1 to HMAC-SHA-512", "RFC 5652 §6.2.4"),
}
_CIPHERS = {
    "cbc": "RFC 3565",
    "gcm": "RFC 5084",
    "ccm": "RFC 5084",
    "chacha": "RFC 8103",
}
_CONTENT = {
    "data": ("octets, or a mail", "RFC 5652 §4"),
    "signedData": ("signed; without signers: certificates", "RFC 5652 §5"),
    "envelopedData": ("sealed", "RFC 5652 §6"),
    "authEnvelopedData": ("sealed, with a tag", "RFC 5083"),
    "digestedData": ("with a digest", "RFC 5652 §7"),
    "encryptedData": ("sealed under a key that both have", "RFC 5652 §8"),
    "authenticatedData": ("with a MAC for its readers", "RFC 5652 §9"),
    "compressedData": ("compressed, opened up to a ceiling", "RFC 3274"),
}


@dataclass(frozen=True)
class Row:
    name: str
    """Section and name in the registry."""
    said: str
    standard: str
    write: str
    read: str

    def line(self, shown: dict[str, dict[str, set[str]]]) -> str:
        name = self.name.partition(":")[2]
        cells = (f"`{name}` {self.said}", self.standard, self.write, self.read, self.by(shown))
        return f"| {' | '.join(cells)} |"

    def by(self, shown: dict[str, dict[str, set[str]]]) -> str:
        """Return who confirms it, and which way where it is one of two that there are."""
        found = []
        for peer, ways in sorted(shown.get(self.name, {}).items()):
            one = "" if len(ways) == 2 or self.write == "-" else f" ({_WAY[next(iter(ways))]})"
            found.append(peer + one)
        if self.name in VECTORS:
            found.append("vectors")
        return ", ".join(found) or OWN


_WAY = {"ours": "reads ours", "theirs": "its read"}


def _weak(name: str, weak: Iterable[str]) -> str:
    return f"`{name}`" if name in weak else "yes"


def sections() -> dict[str, list[Row]]:
    """Return the rows of each section, of what the registry holds."""
    from tests.cms.signers import KEYS, signing_key

    policies = (Policy.modern(), Policy.modern().replace(signature="rsa-pss"))
    written = [{_kind(signing_key(one).way(policy).after) for one in KEYS} for policy in policies]

    def signature(kind: str) -> Row:
        write = "yes" if kind in written[0] else "by policy" if kind in written[1] else "-"
        return Row(f"signature:{kind}", *_SIGNATURES[kind], write, _weak(kind, alg.WEAK_SIGNATURES))

    digests = {*DIGESTS, *(signing_key(one).digest for one in KEYS)}
    recipients = ("rsa-v15", "rsa-oaep", *agreement.WRITTEN, *alg.KEMS, "shared key", "passphrase")
    agreed = sorted({f"{how}-{digest}" for how, digest in alg.AGREEMENTS.values()}, key=_natural)
    standards = {"x963": "RFC 5753 §7.1", "hkdf": "RFC 8418 §2.2"}
    said = {"x963": "ANSI X9.63, standard and cofactor", "hkdf": "HKDF, for X25519 and X448"}
    ours = {f"{how}-{digest}" for how, digest, _ in agreement.WRITTEN.values()}
    ciphers = [
        Row(
            f"cipher:{name}",
            people,
            {"3des-cbc": "RFC 3370 §5.1", "rc2-128-cbc": "RFC 3370 §5.2"}.get(name, _CIPHERS[mode]),
            "-" if name not in CONTENT_CIPHERS else "yes" if name == "aes-256-cbc" else "by policy",
            _weak(name, alg.WEAK_CIPHERS),
        )
        for name, (_, _, mode, people) in alg.CIPHERS.items()
    ]
    derived = Row(
        "cipher:cek-hkdf-sha256",
        "a content key that is bound to its cipher",
        "RFC 9709",
        "by policy",
        "yes",
    )
    return {
        "Signatures": [signature(kind) for kind in _SIGNATURES if kind in _kinds()],
        "Digests": [
            Row(f"digest:{name}", *_DIGESTS[name], "yes" if name in digests else "-",
                _weak(name, alg.WEAK_DIGESTS))
            for name in alg.DIGESTS
        ],
        "Recipients": [
            Row(f"recipient:{name}", *_RECIPIENTS[name],
                "by policy" if name == "rsa-oaep" else "yes", "yes")
            for name in recipients
        ],
        "Key agreement": [
            Row(f"agreement:{name}", said[name[:4]], standards[name[:4]],
                "yes" if name in ours else "-", "yes")
            for name in agreed
        ],
        "Key wraps": [
            *(
                Row(f"wrap:aes-{octets * 8}-wrap", f"AES-{octets * 8} key wrap", "RFC 3565 §2.3.2",
                    "yes", "yes")
                for octets in alg.KEY_WRAP
            ),
            Row("wrap:pwri-kek", "under a passphrase: AES-CBC twice", "RFC 3211", "yes", "yes"),
        ],
        "Ciphers": [*ciphers, derived],
        "Content types": [
            Row(f"content:{name}", *_CONTENT[name], "yes", "yes")
            for name in alg.CONTENT_TYPES.values()
            if name != "data"
        ],
    }  # fmt: skip


def _kinds() -> set[str]:
    return {kind for kind, _ in alg.SIGNATURES.values()}


def _kind(algorithm: bytes) -> str:
    from smime.cms.der import top
    from smime.cms.schemes import read

    return read(algorithm, top(algorithm)).kind


def _natural(name: str) -> tuple[bool, int]:
    return name.startswith("hkdf"), int(name.rpartition("sha")[2])


def rendered(page: str, shown: dict[str, dict[str, set[str]]]) -> str:
    """Return the page with the table of each section put in anew."""
    for title, rows in sections().items():
        table = "\n".join((*HEAD, *(row.line(shown) for row in rows)))
        place = re.compile(rf"(?<=\n## {title}\n\n)(?:[^|#\n][^\n]*\n|\n)*?(?:\|[^\n]*\n)+")
        found = place.search(page)
        if found is None:
            raise ValueError(f"the page has no table under {title}")
        before = found[0].partition("|")[0]
        page = page[: found.start()] + before + table + "\n" + page[found.end() :]
    return page


@cache
def shown(*, run: bool = False) -> dict[str, dict[str, set[str]]]:
    """Return name -> peer -> ways that the tests against foreign programs say, or that ran."""
    with tempfile.TemporaryDirectory() as folder:
        told = Path(folder) / "confirmed.json"
        how = ["-q"] if run else ["-qq", "--collect-only"]
        done = subprocess.run(
            [sys.executable, "-m", "pytest", "-n", "0", *how, "tests/interop"],
            cwd=ROOT,
            env={**os.environ, "CONFIRMED": str(told)},
            capture_output=not run,
            check=False,
        )
        if done.returncode:
            raise RuntimeError(f"the tests against foreign programs: status {done.returncode}")
        found: dict[str, dict[str, set[str]]] = {}
        for peer, way, name in json.loads(told.read_text()):
            found.setdefault(name, {}).setdefault(peer, set()).add(way)
        return found


if __name__ == "__main__":
    PAGE.write_text(rendered(PAGE.read_text("utf-8"), shown(run=True)), encoding="utf-8")
