"""The fetcher goes where it may, gives up in time, and tells nobody who asks."""

from __future__ import annotations

import socket
import ssl
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import smime
from smime import fetch
from smime.fetch import is_public
from tests.support.web import Web, moved, send, web
from tests.trust.ca import key_usage, make, root

HERE = smime.HttpFetcher(allow_private=True, timeout_seconds=3)
LIMIT = 1000


@pytest.fixture
def site() -> Iterator[Web]:
    with web() as served:
        yield served


def get(fetcher: smime.HttpFetcher, url: str, limit: int = LIMIT) -> bytes:
    return fetcher.get(url, limit_octets=limit)


def test_what_a_url_names_is_got(site: Web) -> None:
    site.pages["/ca.crl?scope=1"] = b"\x30\x00" * 100

    assert get(HERE, site.url("/ca.crl?scope=1#part")) == b"\x30\x00" * 100
    assert site.asked == ["/ca.crl?scope=1"]


def test_nothing_tells_who_asks(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """No credentials, no cookies, no proxy, whatever the environment says."""
    monkeypatch.setenv("http_proxy", "http://127.0.0.1:1/")
    site.pages["/"] = lambda one: (
        one.send_response(200),
        one.send_header("Set-Cookie", "who=you"),
        one.end_headers(),
        one.wfile.write(b"x"),
    )

    get(HERE, site.url(""))
    get(HERE, site.url("/"))

    assert site.asked == ["/", "/"]
    for headers in site.headers:
        assert set(headers) == {"Host", "User-Agent", "Accept", "Connection"}
        assert headers["User-Agent"] == "smimetool"
        assert headers["Host"] == f"127.0.0.1:{site.port}"


# --- where it goes --------------------------------------------------------------------


@pytest.mark.parametrize(
    "host",
    [
        "127.0.0.1",
        "127.1",
        "2130706433",
        "0x7f000001",
        "localhost",
        "[::ffff:127.0.0.1]",
        "0.0.0.0",
    ],
)
def test_addresses_that_are_not_public_are_refused(site: Web, host: str) -> None:
    site.pages["/"] = b"secret"
    url = f"http://{host}:{site.port}/"

    with pytest.raises(PermissionError, match="not public"):
        get(smime.HttpFetcher(), url)
    assert not site.asked
    assert get(HERE, site.url("/")) == b"secret"


@pytest.mark.parametrize(
    ("number", "public"),
    [
        ("1.1.1.1", True),
        ("2606:4700::1", True),
        ("10.1.2.3", False),
        ("172.16.0.1", False),
        ("192.168.1.1", False),
        ("169.254.169.254", False),  # metadata of cloud machines
        ("100.64.0.1", False),
        ("127.0.0.53", False),
        ("0.0.0.0", False),
        ("224.0.1.1", False),
        ("255.255.255.255", False),
        ("::1", False),
        ("::", False),
        ("fe80::1", False),
        ("fc00::1", False),
        ("ff02::1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:1.1.1.1", True),
        ("64:ff9b::a00:1", False),
        ("64:ff9b::101:101", True),
        ("2002:7f00:1::", False),
    ],
)
def test_public_addresses(number: str, public: bool) -> None:
    assert is_public(number) is public


def test_a_name_with_one_inner_address_is_refused(
    site: Web, monkeypatch: pytest.MonkeyPatch
) -> None:
    found = [
        (socket.AF_INET, socket.SOCK_STREAM, 6, "", (number, site.port))
        for number in ("1.1.1.1", "127.0.0.1")
    ]
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: found)

    with pytest.raises(PermissionError, match=r"127\.0\.0\.1"):
        get(smime.HttpFetcher(), f"http://pki.example.org:{site.port}/")
    assert not site.asked


def test_a_name_is_resolved_once(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """Who answers a second question otherwise (DNS rebinding) is never asked it."""
    site.pages["/"] = b"here"
    answers = iter(["127.0.0.1", "127.0.0.2", "127.0.0.2"])

    def resolve(host: str, port: int, **_: Any) -> list[Any]:
        assert host == "pki.example.org"
        return [(socket.AF_INET, socket.SOCK_STREAM, 6, "", (next(answers), port))]

    monkeypatch.setattr(socket, "getaddrinfo", resolve)

    assert get(HERE, site.url("/", "pki.example.org")) == b"here"
    assert next(answers) == "127.0.0.2"


@pytest.mark.parametrize(
    "url",
    [
        "ftp://127.0.0.1/x",
        "ldap://127.0.0.1/cn=CA",
        "file:///etc/passwd",
        "gopher://127.0.0.1/",
        "//127.0.0.1/",
        "http:///x",
        "http://user:secret@127.0.0.1/",
        "http://user@127.0.0.1/",
        "http://127.0.0.1/a b",
        "http://127.0.0.1/\r\nHost: other",
        "http://127.0.0.1/ü",
        "http://127.0.0.1:25/",
        "http://127.0.0.1:99999/",
        "http://[::1/",
        "http://127.0.0.1/" + "x" * 3000,
        "",
    ],
)
def test_urls_that_are_not_fetched(url: str) -> None:
    with pytest.raises(smime.NotSupported):
        get(HERE, url)


# --- redirects ------------------------------------------------------------------------


def test_redirects_are_followed_twice(site: Web) -> None:
    site.pages |= {
        "/1": moved("/2", 301),
        "/2": moved(site.url("/3"), 307),
        "/3": b"there",
        "/0": moved("/1"),
    }

    assert get(HERE, site.url("/1")) == b"there"
    with pytest.raises(smime.LimitExceeded, match="2 redirects"):
        get(HERE, site.url("/0"))


def test_redirects_are_checked_as_the_first_url(site: Web, monkeypatch: pytest.MonkeyPatch) -> None:
    """A public place cannot send us to an inner one."""
    monkeypatch.setattr(fetch, "is_public", lambda number: number == "127.0.0.1")
    outside = smime.HttpFetcher()
    with web("127.0.0.2") as inner:
        inner.pages["/"] = b"secret"
        site.pages |= {"/in": moved(inner.url("/")), "/file": moved("file:///etc/passwd")}
        site.pages["/own"] = moved("/page")
        site.pages["/page"] = b"page"

        with pytest.raises(PermissionError):
            get(outside, site.url("/in"))
        with pytest.raises(smime.NotSupported):
            get(outside, site.url("/file"))
        assert not inner.asked
        assert get(outside, site.url("/own")) == b"page"


@pytest.mark.parametrize("status", [204, 304, 400, 404, 500])
def test_other_answers_are_no_content(site: Web, status: int) -> None:
    site.pages["/"] = lambda one: send(one, b"" if status < 400 else b"no", status)

    with pytest.raises(OSError, match=str(status)):
        get(HERE, site.url("/"))


# --- limits ---------------------------------------------------------------------------


def chunked(one: BaseHTTPRequestHandler, sizes: list[int]) -> None:
    one.protocol_version = "HTTP/1.1"
    one.send_response(200)
    one.send_header("Transfer-Encoding", "chunked")
    one.end_headers()
    for size in sizes:
        one.wfile.write(b"%x\r\n" % size + b"x" * size + b"\r\n")
    one.wfile.write(b"0\r\n\r\n")


def test_no_more_than_the_limit(site: Web) -> None:
    site.pages |= {
        "/fits": b"x" * LIMIT,
        "/more": b"x" * (LIMIT + 1),
        "/chunks": lambda one: chunked(one, [1] * LIMIT),
        "/more-chunks": lambda one: chunked(one, [LIMIT, 1]),
        "/flood": lambda one: chunked(one, [60_000] * 1000),
    }

    assert get(HERE, site.url("/fits")) == b"x" * LIMIT
    assert get(HERE, site.url("/chunks")) == b"x" * LIMIT
    for path in ("/more", "/more-chunks", "/flood"):
        with pytest.raises(smime.LimitExceeded):
            get(HERE, site.url(path))
    small = smime.HttpFetcher(allow_private=True, limit_octets=LIMIT - 1)
    with pytest.raises(smime.LimitExceeded):
        get(small, site.url("/fits"))


@pytest.mark.parametrize("drip", [b"HTTP/1.1 200 OK\r\nX: ", b"HTTP/1.1 200 OK\r\n\r\n", b""])
def test_who_drips_is_given_up(site: Web, drip: bytes) -> None:
    """The time is for all of it, not from one octet to the next."""

    def slowly(one: BaseHTTPRequestHandler) -> None:
        one.wfile.write(drip)
        for _ in range(60):
            one.wfile.write(b"x")
            one.wfile.flush()
            time.sleep(0.05)

    site.pages["/"] = slowly
    begun = time.monotonic()

    with pytest.raises(TimeoutError):
        get(smime.HttpFetcher(allow_private=True, timeout_seconds=0.3), site.url("/"))

    assert time.monotonic() - begun < 1.5


def test_a_resolver_that_sleeps_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(socket, "getaddrinfo", lambda *_, **__: time.sleep(1.0))
    begun = time.monotonic()

    with pytest.raises(TimeoutError):
        get(smime.HttpFetcher(timeout_seconds=0.2), "http://pki.example.org/")

    assert time.monotonic() - begun < 0.9


@pytest.mark.parametrize(
    "raw",
    [
        b"",
        b"hello",
        b"HTTP/1.1 abc OK\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nContent-Length: 10\r\n\r\nhalf",
        b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\nzz\r\n",
        b"HTTP/1.1 200 OK\r\n" + b"X: y\r\n" * 300 + b"\r\n",
        b"HTTP/1.1 200 OK\r\nX: " + b"y" * 70_000 + b"\r\n\r\n",
    ],
)
def test_answers_that_are_no_http(site: Web, raw: bytes) -> None:
    site.pages["/"] = lambda one: one.wfile.write(raw)

    with pytest.raises((OSError, smime.LimitExceeded)):
        get(HERE, site.url("/"))


def test_nobody_listens() -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(ConnectionRefusedError):
        get(HERE, f"http://127.0.0.1:{port}/")
    with pytest.raises(OSError, match="not found"):
        get(HERE, "http://does-not-exist.invalid/")


# --- TLS ------------------------------------------------------------------------------


@pytest.fixture
def secure(tmp_path: Path) -> Iterator[tuple[Web, ssl.SSLContext]]:
    """A site with a certificate for localhost, and a context that believes its CA."""
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    top = root("Web CA", begin=begin)
    leaf = make(
        "localhost",
        top,
        names=(x509.DNSName("localhost"),),
        usage=key_usage(digital_signature=True),
        begin=begin,
    )
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "site.pem").write_bytes(leaf.certificate.public_bytes(Encoding.PEM) + key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "site.pem")
    trusted = top.certificate.public_bytes(Encoding.PEM).decode("ascii")
    client = ssl.create_default_context(cadata=trusted)
    with web(tls=server) as site:
        yield site, client


def test_https(secure: tuple[Web, ssl.SSLContext]) -> None:
    site, believing = secure
    site.pages |= {"/": b"safe", "/down": moved("http://127.0.0.1:1/"), "/up": moved("/")}
    fetcher = smime.HttpFetcher(allow_private=True, tls=believing)

    assert get(fetcher, site.url("/", "localhost")) == b"safe"
    assert get(fetcher, site.url("/up", "localhost")) == b"safe"
    with pytest.raises(PermissionError, match="from https"):
        get(fetcher, site.url("/down", "localhost"))
    with pytest.raises(ssl.SSLCertVerificationError):
        get(HERE, site.url("/", "localhost"))
    with pytest.raises(ssl.SSLCertVerificationError):
        get(fetcher, site.url("/"))  # another name than in the certificate


@pytest.mark.parametrize("given", [{"timeout_seconds": 0}, {"limit_octets": 0}])
def test_limits_are_more_than_nothing(given: dict[str, Any]) -> None:
    with pytest.raises(ValueError, match="more than nothing"):
        smime.HttpFetcher(**given)
