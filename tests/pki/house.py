"""CAs for tests: with a ledger on the disk, without the sealed keys that take a second."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from cryptography.hazmat.primitives.serialization import (
    Encoding,
    NoEncryption,
    PrivateFormat,
    load_pem_private_key,
)

import pki
import smime
from pki.audit import log_key_detail
from pki.cli import main
from pki.folder import SETTINGS, Records, settings_toml, to_pem
from pki.keys import generate
from pki.ledger import Ledger

if TYPE_CHECKING:
    from pki.keys import Key


def quick(folder: Path, *, ledger_url: str = "", **settings: object) -> pki.Registrar:
    """Open a new CA whose keys are in memory only."""
    root = pki.Authority.create("Chess Club CA", algorithm="p384")
    below = root.subordinate("Chess Club CA (issuing)")
    folder.mkdir(exist_ok=True)
    records = Records(
        folder=str(folder),
        name="Chess Club CA",
        root=root.certificate,
        issuing=below.certificate,
        ledger_url=ledger_url,
        **{"crl_url": "http://ca.example/club.crl", "ca_url": "", **settings},
    )
    records.check()
    return pki.Registrar(below, records, Ledger.open(records.database))


def with_log_key(ca: pki.Registrar) -> Key:
    """Give the CA's log a key, as ``Registrar.create`` does."""
    key = generate("p256")
    with ca.ledger.writing() as log:
        log.note("log-key", log_key_detail(key), at=pki.authority.moment(None))
    return key


def kept(ca: pki.Registrar) -> None:
    """Write what another process needs to open this CA: its key lies open in the folder."""
    place = Path(ca.records.folder)
    for name in ("root", "issuing"):
        (place / f"{name}.pem").write_bytes(to_pem(getattr(ca.records, name)))
    key = ca.authority.private_key
    (place / "key.pem").write_bytes(
        key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    (place / SETTINGS).write_bytes(settings_toml(ca.records))


def reopened(folder: Path | str) -> pki.Registrar:
    """Open a CA that was ``kept``."""
    records = Records.load(folder)
    key = load_pem_private_key((Path(folder) / "key.pem").read_bytes(), None)
    return pki.Registrar(
        pki.Authority(key, records.issuing, (records.root,)), records, records.ledger()
    )


# --- the command in a process of its own ---------------------------------------------

COMMAND = [sys.executable, "-P", "-m", "smime", "ca"]
ENVIRONMENT = {"PYTHONPATH": str(Path(__file__).parents[2]), "PATH": os.environ["PATH"]}

# --- what a person types, in a folder with the files ca-pass and people-pass ---------

PASS = ("--passphrase-file", "ca-pass")
P12 = ("--p12-passphrase-file", "people-pass")


def said(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, object]:
    """Give what a command says as JSON."""
    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    answer = json.loads(capsys.readouterr().out)
    assert answer.pop("version") == 1
    return answer


def issue(name: str, *more: str, address: str = "alice@chess.example") -> list[str]:
    return ["issue", address, "--key", "p256", *PASS, *P12, "-o", f"{name}.p12", *more]


def loaded(path: str, passphrase: str = "of people") -> smime.Identity:
    return smime.Identity.load(path, passphrase=passphrase)
