"""OCSP over HTTP: openssl asks by POST, anybody by GET, and caches are told what they may keep."""

from __future__ import annotations

import base64
import threading
import urllib.request
from collections.abc import Iterator
from datetime import timedelta
from email.utils import parsedate_to_datetime
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from urllib.parse import quote

import pytest
from cryptography.hazmat.primitives.hashes import SHA1, SHA256
from cryptography.x509 import ocsp
from hypothesis import given
from hypothesis import strategies as st

import pki
from pki.authority import moment
from pki.bundle import to_pem
from pki.ocsp import MAX_REQUEST_OCTETS, Responder
from pki.ocsp_http import headers, request_in
from tests.pki.house import quick
from tests.pki.test_ocsp import ask
from tests.support.peers import Peer

NOW = moment(None)
CA = pki.Authority.create("Test CA")
ALICE = CA.issue("alice@chess.example").certificate


def responder() -> Responder:
    return Responder(CA.private_key, CA.certificate, CA.certificate, dict.fromkeys)


@pytest.mark.parametrize("algorithm", [SHA1(), SHA256()], ids=lambda a: a.name)
def test_a_request_comes_back_from_its_path(algorithm: object) -> None:
    request = ask(ALICE, CA.certificate, algorithm=algorithm)
    text = base64.b64encode(request).decode()

    for path in (f"/{quote(text, safe='')}", f"/{text}", text, quote(text)):
        assert request_in(path) == request


@given(st.text(max_size=300))
def test_any_path_gets_an_answer(path: str) -> None:
    read = ocsp.load_der_ocsp_response(responder().answer(request_in(path), at=NOW))
    assert read.response_status is ocsp.OCSPResponseStatus.MALFORMED_REQUEST


def test_a_path_without_end_is_no_request() -> None:
    assert request_in("A" * 4_000) == bytes(3_000)
    assert request_in("A" * 4_004) == b""


def test_what_may_be_kept_is_kept_until_its_end() -> None:
    answer = responder().answer(ask(ALICE, CA.certificate), at=NOW)
    later = NOW + timedelta(hours=3)

    fields = headers(answer, at=later)

    assert fields["Content-Type"] == "application/ocsp-response"
    assert fields["Content-Length"] == str(len(answer))
    assert parsedate_to_datetime(fields["Last-Modified"]) == NOW
    assert parsedate_to_datetime(fields["Expires"]) == NOW + timedelta(days=1)
    assert fields["Cache-Control"].startswith(f"max-age={21 * 3600 - 1}, public")
    over = headers(answer, at=NOW + timedelta(days=2))
    assert over["Cache-Control"].startswith("max-age=0,")
    other = headers(responder().answer(ask(ALICE, CA.certificate), at=later), at=later)
    assert other["ETag"] != fields["ETag"]


def test_an_answer_to_a_nonce_and_a_refusal_are_not_kept() -> None:
    for request in (ask(ALICE, CA.certificate, nonce=bytes(32)), b"no request"):
        fields = headers(responder().answer(request, at=NOW), at=NOW)
        assert fields["Cache-Control"] == "no-store"
        assert "Expires" not in fields


@pytest.fixture
def served(tmp_path: Path) -> Iterator[tuple[pki.Registrar, str]]:
    """A responder behind a web server of the standard library."""
    with quick(tmp_path / "ca") as ca:
        answering = ca.responder()

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                self.give(request_in(self.path))

            def do_POST(self) -> None:
                length = int(self.headers["Content-Length"])
                self.give(self.rfile.read(min(length, MAX_REQUEST_OCTETS + 1)))

            def give(self, request: bytes) -> None:
                now = moment(None)
                answer = answering.answer(request, at=now)
                self.send_response(200)
                for name, value in headers(answer, at=now).items():
                    self.send_header(name, value)
                self.end_headers()
                self.wfile.write(answer)

            def log_message(self, *_: object) -> None:
                pass

        with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
            running = threading.Thread(target=server.serve_forever)
            running.start()
            yield ca, f"http://127.0.0.1:{server.server_address[1]}"
            server.shutdown()
            running.join()


@pytest.mark.server
def test_openssl_asks_over_http_with_a_nonce(
    openssl: Peer, served: tuple[pki.Registrar, str], tmp_path: Path
) -> None:
    ca, url = served
    alice, bob = (
        ca.issue(f"{who}@chess.example", algorithm="p256").certificate for who in ("alice", "bob")
    )
    ca.revoke(bob.serial_number, reason="superseded")
    files = {"root": ca.records.root, "issuing": ca.records.issuing, "alice": alice, "bob": bob}
    for name, certificate in files.items():
        (tmp_path / name).write_bytes(to_pem(certificate))

    def told(who: str, *more: str) -> str:
        done = openssl.attempt(
            *("ocsp", "-url", url, "-issuer", tmp_path / "issuing", *more),
            *("-cert", tmp_path / who, "-CAfile", tmp_path / "root"),
            *("-verify_other", tmp_path / "issuing"),
        )
        return (done.stdout + done.stderr).decode()

    for form in ((), ("-sha256",)):
        good, gone = told("alice", *form), told("bob", *form)
        assert "Response verify OK" in good
        assert "Response verify OK" in gone
        assert "alice: good" in good
        assert "bob: revoked" in gone
        assert "nonce" not in good.lower()  # it warns where there is none
    request = ask(alice, ca.records.issuing)
    path = quote(base64.b64encode(request).decode(), safe="")
    with urllib.request.urlopen(f"{url}/{path}", timeout=10) as got:
        read = ocsp.load_der_ocsp_response(got.read())
        assert got.headers["Cache-Control"].startswith("max-age=8639")
    assert read.certificate_status is ocsp.OCSPCertStatus.GOOD
