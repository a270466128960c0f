"""Vectors that nobody on this project made, judged through the public library.

They are kept beside a checkout and not in it, for their licences differ. Each entry of their
manifest says what must come out; ``judge`` says what did, in one word, or why it is wrong.
"""

from __future__ import annotations

import base64
import json
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from functools import cache
from pathlib import Path
from typing import Any

from cryptography import x509
from cryptography.hazmat.primitives.serialization import (
    load_der_private_key,
    load_pem_private_key,
)

import smime
import smime.cms

FOLDER = Path(
    os.environ.get(
        "SMIMETOOL_VECTORS", Path(__file__).resolve().parents[2].parent / "shared" / "vectors"
    )
)
DEFAULT_TIME = "2026-11-24T00:00:00Z"


class UnknownWord(Exception):
    """The manifest says something that this runner has no rule for."""


@dataclass(frozen=True, eq=False)
class Entry:
    """One entry of the manifest."""

    folder: Path = field(repr=False)
    raw: dict[str, Any] = field(repr=False)

    @property
    def id(self) -> str:
        return str(self.raw["id"])

    @property
    def kind(self) -> str:
        return str(self.raw["kind"])

    @property
    def expect(self) -> dict[str, Any]:
        return self.raw["expect"]

    @property
    def outcome(self) -> str:
        return str(self.expect["outcome"])

    @property
    def needs(self) -> dict[str, Any]:
        return self.raw["needs"]

    @property
    def at(self) -> datetime:
        return datetime.fromisoformat(self.expect.get("verified_at", DEFAULT_TIME)).astimezone(UTC)

    @property
    def data(self) -> bytes:
        return self.read(self.raw["file"])

    def read(self, name: str) -> bytes:
        return (self.folder / name).read_bytes()

    def listed(self, need: str) -> list[str]:
        value = self.needs.get(need, [])
        return [value] if isinstance(value, str) else list(value)


def load_manifest(suite: str) -> list[Entry]:
    """Return every entry of a suite; empty where its folder is not there."""
    manifest = FOLDER / suite / "manifest.json"
    if not manifest.exists():
        return []
    entries = [Entry(manifest.parent, raw) for raw in json.loads(manifest.read_bytes())]
    if len({entry.id for entry in entries}) != len(entries):
        raise UnknownWord("two entries have the same id")
    return entries


# --- what an entry brings along ----------------------------------------------


def blob_of(data: bytes) -> bytes:
    """Return the DER or BER bytes of a file that may be PEM."""
    if b"-----BEGIN " not in data:
        return data
    text = data[data.index(b"-----BEGIN ") :].split(b"-----END")[0]
    return base64.b64decode(b"".join(text.splitlines()[1:]))


def mail_of(entry: Entry) -> bytes:
    """Return the mail, made around the bare CMS structure if it is none."""
    if entry.raw["format"] == "eml":
        return entry.data
    body = base64.encodebytes(blob_of(entry.data)).replace(b"\n", b"\r\n")
    fields = b"MIME-Version: 1.0\r\nContent-Type: "
    encoding = b"\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    content = entry.listed("content")
    if not content:
        return fields + b"application/pkcs7-mime; name=smime.p7m" + encoding + body
    return (
        fields + b'multipart/signed; protocol="application/pkcs7-signature"; boundary=_edge_'
        b"\r\n\r\n--_edge_\r\n" + entry.read(content[0]) + b"\r\n--_edge_\r\n"
        b"Content-Type: application/pkcs7-signature" + encoding + body + b"--_edge_--\r\n"
    )


@cache
def trust_of(entry: Entry) -> smime.Anchors | smime.Pinned | smime.NoTrust:
    named = entry.listed("trust")
    if "as2" in entry.raw["area"] and len(named) == 1 and named[0].endswith("_public.pem"):
        # Partners in AS2 exchange certificates beforehand; they are not made for mail.
        return smime.Pinned.load(entry.folder / named[0])
    return smime.Anchors.load(*(entry.folder / one for one in named)) if named else smime.NoTrust()


def evidence_of(entry: Entry) -> smime.Evidence | None:
    named = entry.listed("cert")
    found = [one for name in named for one in certificates_in(entry.read(name))]
    return smime.Evidence(certificates=found) if found else None


def certificates_in(data: bytes) -> list[x509.Certificate]:
    if b"-----BEGIN CERTIFICATE" in data:
        return x509.load_pem_x509_certificates(data)
    if b"-----BEGIN" in data:
        return []
    try:
        return [x509.load_der_x509_certificate(data)]
    except ValueError:
        return []


def keys_of(entry: Entry) -> list[Any]:
    """Return what opens: identities, and bare keys where no certificate belongs to one."""
    certificates = tuple(entry.read(name) for name in entry.listed("cert"))
    named = entry.listed("key")
    passphrase = entry.needs.get("password")
    if "secret_key_id_hex" in entry.needs:
        shared = (bytes.fromhex(entry.needs[f"secret_{one}_hex"]) for one in ("key", "key_id"))
        return [smime.cms.SharedKey(*shared)]
    if isinstance(passphrase, str) and not named:
        return [smime.cms.Passphrase(passphrase)]
    return [one for name in named for one in _keys(entry.read(name), certificates, passphrase)]


@cache
def _keys(data: bytes, certificates: tuple[bytes, ...], passphrase: str | None) -> tuple[Any, ...]:
    try:
        return smime.Identity.parse_all(data, *certificates, passphrase=passphrase)
    except smime.KeyProblem:
        return (bare_key(data),)
    except smime.NotSupported:
        return ()  # a kind of key that is not claimed opens nothing


def bare_key(data: bytes) -> Any:
    return (
        load_pem_private_key(data, None) if b"-----" in data else load_der_private_key(data, None)
    )
