"""Certificates, lists and answers of one CA, as openssl, NSS and pkilint judge them."""

from __future__ import annotations

import shutil
import subprocess
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from pkilint import loader, pkix
from pkilint.pkix import crl, extension, name, ocsp
from pkilint.validation import ValidationFindingSeverity

import pki
from pki.authority import moment
from pki.bundle import to_der, to_pem
from tests.pki.house import quick
from tests.pki.test_ocsp import ask
from tests.support.peers import Peer

URLS = {
    "crl_url": "http://ca.example/{shard}.crl",
    "delta_url": "http://ca.example/{shard}-delta.crl",
    "ca_url": "http://ca.example/ca.cer",
    "shards": 2,
}


@dataclass(frozen=True)
class House:
    """Two lists; of each one certificate that is good, one gone, one gone since the full list."""

    ca: pki.Registrar
    good: dict[str, x509.Certificate]
    gone: dict[str, x509.Certificate]
    lately: dict[str, x509.Certificate]
    full: dict[str, bytes]
    delta: dict[str, bytes]


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    with quick(tmp_path_factory.mktemp("ca") / "ca", **URLS) as ca:
        held: dict[str, list[x509.Certificate]] = {scope: [] for scope in ca.scopes()}
        number = 0
        while any(len(found) < 3 for found in held.values()):
            number += 1
            made = ca.issue(f"u{number}@chess.example", algorithm="p256").certificate
            held[str(made.serial_number % 2)].append(made)
        good, gone, lately = (
            {scope: found[place] for scope, found in held.items()} for place in range(3)
        )
        ca.revoke(*(one.serial_number for one in gone.values()), reason="keyCompromise")
        full = {scope: ca.crl(scope) for scope in held}
        ca.revoke(*(one.serial_number for one in lately.values()), reason="superseded")
        delta = {scope: ca.crl(scope, delta=True) for scope in held}
        yield House(ca, good, gone, lately, full, delta)


# --- pkilint ----------------------------------------------------------------

_DECODERS = [
    pkix.create_attribute_decoder(name.ATTRIBUTE_TYPE_MAPPINGS),
    pkix.create_extension_decoder(extension.EXTENSION_MAPPINGS),
]


def _problems(results: Iterable[Any]) -> list[str]:
    return [
        f"{one.finding.code} {one.message or ''}"
        for result in results
        for one in result.finding_descriptions
        if one.finding.severity <= ValidationFindingSeverity.WARNING
    ]


def problems_of_list(crl_der: bytes) -> list[str]:
    judge = crl.create_pkix_crl_validator_container(
        _DECODERS,
        [
            crl.create_issuer_validator_container([]),
            crl.create_validity_validator_container([]),
            crl.create_extensions_validator_container([]),
        ],
    )
    read = loader.RFC5280CertificateListDocumentLoader().load_document(crl_der, "list")
    return _problems(judge.validate(read.root))


def problems_of_answer(answer: bytes) -> list[str]:
    judge = ocsp.create_pkix_ocsp_response_validator_container(
        [ocsp.create_response_decoder(), *_DECODERS], []
    )
    read = loader.RFC6960OCSPResponseDocumentLoader().load_document(answer, "answer")
    return _problems(judge.validate(read.root))


def test_the_linter_finds_nothing_in_lists(house: House) -> None:
    for made in (*house.full.values(), *house.delta.values()):
        assert problems_of_list(made) == []


def test_the_linter_finds_nothing_in_answers(house: House) -> None:
    issuer, responder, now = house.ca.records.issuing, house.ca.responder(), moment(None)
    answers = [
        responder.answer(ask(one, issuer, **how), at=now)
        for one in (house.good["0"], house.gone["1"])
        for how in ({}, {"nonce": bytes(32)}, {"algorithm": SHA1()}, {"algorithm": SHA256()})
    ]
    for hash_name in ("sha1", "sha256"):
        serials = [house.good["1"].serial_number, house.lately["0"].serial_number]
        answers += dict(responder.presign(serials, at=now, hash_name=hash_name)).values()

    assert len(answers) == 12
    for answer in answers:
        assert problems_of_answer(answer) == []


def test_the_linter_would_find_something(house: House) -> None:
    """A list whose number is not minimal, and an answer that ends before it begins."""
    made = house.full["0"]
    number = x509.load_der_x509_crl(made).extensions.get_extension_for_class(x509.CRLNumber).value
    octets = number.crl_number.to_bytes(4, "big")
    assert made.count(b"\x02\x04" + octets) == 1
    assert problems_of_list(made.replace(b"\x02\x04" + octets, b"\x02\x04\x80" + octets[1:]))
    responder = house.ca.responder()
    answer = responder.answer(ask(house.good["0"], house.ca.records.issuing), at=moment(None))
    assert problems_of_answer(answer.replace(b"\x18\x0f2026", b"\x18\x0f20X6"))


# --- openssl ----------------------------------------------------------------


@pytest.mark.parametrize("scope", ["0", "1"])
def test_openssl_believes_the_lists(
    openssl: Peer, house: House, tmp_path: Path, scope: str
) -> None:
    """Of a shard, with and without its delta; the other shard's list says nothing of these."""
    root, issuing = house.ca.records.root, house.ca.records.issuing
    (tmp_path / "root.pem").write_bytes(to_pem(root))
    (tmp_path / "issuing.pem").write_bytes(to_pem(issuing))
    other = "1" if scope == "0" else "0"
    files = {"full": house.full[scope], "delta": house.delta[scope], "other": house.full[other]}
    for file, made in files.items():
        (tmp_path / file).write_bytes(
            openssl.run("crl", "-inform", "DER", "-outform", "PEM", input=made)
        )
        checked = openssl.attempt(
            "crl", "-in", tmp_path / file, "-noout", "-CAfile", tmp_path / "issuing.pem"
        )
        assert b"verify OK" in checked.stderr

    def said(certificate: x509.Certificate, *lists: str) -> str:
        (tmp_path / "leaf.pem").write_bytes(to_pem(certificate))
        done = openssl.attempt(
            *("verify", "-crl_check", "-extended_crl", "-use_deltas", "-x509_strict"),
            *("-CAfile", tmp_path / "root.pem", "-untrusted", tmp_path / "issuing.pem"),
            *(part for one in lists for part in ("-CRLfile", tmp_path / one)),
            tmp_path / "leaf.pem",
        )
        return (done.stdout + done.stderr).decode()

    good, gone, lately = (each[scope] for each in (house.good, house.gone, house.lately))
    assert ": OK" in said(good, "full", "delta")
    assert "certificate revoked" in said(gone, "full", "delta")
    assert ": OK" in said(lately, "full")
    assert "certificate revoked" in said(lately, "full", "delta")
    assert "different CRL scope" in said(good, "other")


# --- NSS --------------------------------------------------------------------


def program(command: str, *arguments: str | Path) -> subprocess.CompletedProcess[bytes]:
    found = shutil.which(command)
    assert found, command
    return subprocess.run([found, *arguments], capture_output=True, timeout=60, check=False)


def test_nss_believes_certificates_and_lists(nss: Peer, tmp_path: Path) -> None:
    """For signing and for reading mail; not for a web server; not once it is listed."""
    assert nss.path
    with quick(tmp_path / "ca") as ca:
        given = {
            who: ca.issue(f"{who}@chess.example", algorithm="p256").certificate
            for who in ("good", "gone")
        }
        ca.revoke(given["gone"].serial_number, reason="keyCompromise")
        made = ca.crl()
        held = {"root": ca.records.root, "issuing": ca.records.issuing, **given}
    database = ("-d", f"sql:{tmp_path}")
    assert program("certutil", "-N", *database, "--empty-password").returncode == 0
    for who, certificate in held.items():
        (tmp_path / who).write_bytes(to_der(certificate))
        trust = "C,C,C" if who == "root" else ",,"
        added = program("certutil", "-A", *database, "-n", who, "-t", trust, "-i", tmp_path / who)
        assert added.returncode == 0, added.stderr

    def fit(who: str, usage: str) -> bool:
        return program("certutil", "-V", "-e", *database, "-n", who, "-u", usage).returncode == 0

    for who in given:
        assert fit(who, "S")
        assert fit(who, "R")
        assert not fit(who, "V")
    (tmp_path / "list").write_bytes(made)
    taken = program("crlutil", "-I", *database, "-i", tmp_path / "list", "-t", "1")
    assert taken.returncode == 0, taken.stderr
    assert fit("good", "S")
    assert fit("good", "R")
    assert not fit("gone", "S")
    assert not fit("gone", "R")
