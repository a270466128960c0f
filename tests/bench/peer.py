"""The library as a peer of the S/MIME benchmark: public names only.

Keys, certificates and trust roots are loaded in ``setup``; a timed call gets
bytes and gives bytes, and keeps nothing for the next one.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

from benchlib.peer import Peer
from cryptography import x509
from cryptography.hazmat.primitives.serialization import load_pem_private_key

import smime
from smime import cms

CIPHERS = {"cbc": "aes-256-cbc", "gcm": "aes-256-gcm"}


class Project(Peer):  # type: ignore[misc]
    def setup(self, idents: dict[str, Any]) -> None:
        self.identities = {}
        self.anchors = {}
        self.recipients = {}
        self.policies = {
            name: smime.Policy.modern().replace(cipher=cipher) for name, cipher in CIPHERS.items()
        }
        for kind, ident in idents.items():
            paths = ident.p
            self.identities[kind] = smime.Identity(ident.key, ident.cert, [ident.inter])
            self.recipients[kind] = smime.Recipient.load(paths["cert"])

    def anchors_of(self, ident: Any) -> smime.Anchors:
        """Return trust in the root, loaded once: what does not verify needs none."""
        path = ident.p["root"]
        if path not in self.anchors:
            self.anchors[path] = smime.Anchors.load(path)
        return self.anchors[path]

    def sign(self, ident: Any, data: bytes) -> bytes:
        return bytes(smime.sign(data, by=self.identities[ident.alg]))

    def verify(self, ident: Any, msg: bytes) -> None:
        # A fresh object for each call: the chains cached in a long-lived one
        # are what verify_cached measures.
        anchors = smime.Anchors([ident.root])
        smime.verify(msg, trust=anchors, sender=f"alice-{ident.alg}@example.org")

    def verify_cached(self, ident: Any, msg: bytes) -> None:
        smime.verify(msg, trust=self.anchors_of(ident), sender=f"alice-{ident.alg}@example.org")

    def encrypt(self, ident: Any, data: bytes, cipher: str) -> bytes:
        policy = self.policies[cipher]
        return bytes(smime.encrypt(data, to=self.recipients[ident.alg], policy=policy))

    def decrypt(self, ident: Any, msg: bytes, cipher: str) -> bytes:
        opened = smime.decrypt(msg, keys=self.identities[ident.alg], trust=smime.NoTrust())
        return opened.content

    def sign_encrypt(self, ident: Any, data: bytes, cipher: str) -> bytes:
        policy = self.policies[cipher]
        signed = smime.sign(data, by=self.identities[ident.alg], policy=policy)
        return bytes(smime.encrypt(signed, to=self.recipients[ident.alg], policy=policy))

    def file_sign(self, ident: Any, src: str, dst: str) -> None:
        cms.sign(Path(src), by=self.identities[ident.alg], detached=True, out=Path(dst))

    def file_verify(self, ident: Any, src: str, sig: str) -> None:
        cms.verify(Path(sig), content=Path(src), trust=self.anchors_of(ident))

    def file_encrypt(self, ident: Any, src: str, dst: str, cipher: str) -> None:
        to = self.recipients[ident.alg]
        cms.encrypt(Path(src), to=to, policy=self.policies[cipher], out=Path(dst))

    def file_smime_encrypt(self, ident: Any, src: str, dst: str) -> None:
        policy = self.policies["cbc"].replace(headers="none", line_ends="exact")
        to = self.recipients[ident.alg]
        smime.encrypt(Path(src), to=to, policy=policy, out=Path(dst))

    def file_decrypt(self, ident: Any, src: str, dst: str, cipher: str) -> None:
        cms.decrypt(Path(src), keys=self.identities[ident.alg], out=Path(dst))

    def load_recipients(self, pems: list[bytes]) -> object:
        return [smime.Recipient.parse(pem) for pem in pems]

    def encrypt_many(self, recips: Any, data: bytes) -> bytes:
        return cms.encrypt(data, to=recips, policy=self.policies["cbc"])

    def decrypt_many(self, key_pem: bytes, cert_pem: bytes, msg: bytes) -> bytes:
        # A key that this program knows to be sound: a full check takes longer than all else.
        key = load_pem_private_key(key_pem, None, unsafe_skip_rsa_key_validation=True)
        identity = smime.Identity(key, x509.load_pem_x509_certificate(cert_pem))
        return cms.decrypt(msg, keys=identity)


def commands(ident: Any, msg: Path) -> dict[str, list[str]]:
    """Command lines for the cold start table: the installed command, else the module."""
    script = Path(sys.executable).with_name("smimetool")
    run = [str(script)] if script.exists() else [sys.executable, "-m", "smime"]
    return {
        "import smime": [sys.executable, "-c", "import smime"],
        "smimetool --version": [*run, "--version"],
        "smimetool --help": [*run, "--help"],
        "smimetool sign": [
            *run, "sign", "--identity", ident.p["key"], "--certificate", ident.p["cert"],
            "--certificate", ident.p["inter"], str(msg), "-o", "/dev/null",
        ],
    }  # fmt: skip
