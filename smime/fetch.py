"""``HttpFetcher``: gets what a URL in a certificate names, within limits and from public places.

Whoever writes to you chooses the URLs in the certificate, so a fetcher is a tool
in a stranger's hand. It goes to public addresses only, connects to the very
address that it checked (a name that is resolved twice can change in between),
checks every redirect anew, sends nothing that tells who asks, and gives up in
time. Proxies, cookies, credentials and ``.netrc`` play no part.

Fetching still tells: the server learns that and when somebody looked at a
certificate, and if it is the sender's own, that the mail was read.

``ldap:`` is not spoken: such URLs are of directories inside of a company, and
those can be loaded beforehand.

Floor:  fetch (uses errors)
Source: RFC 9110 §15.4 for redirects, RFC 9112 for HTTP/1.1; RFC 6890 for special addresses
"""

from __future__ import annotations

import socket
import ssl
import threading
import time
from http.client import HTTPException, HTTPResponse
from io import BytesIO
from ipaddress import IPv4Address, IPv6Address, ip_address
from urllib.parse import urljoin, urlsplit

from smime.errors import LimitExceeded, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

__all__ = ["HttpFetcher"]

MAX_SECONDS = 5.0  # for one URL with its redirects; a reader waits for it
MAX_OCTETS = 1024 * 1024  # of an answer; certificates, OCSP answers and most CRLs are far below
MAX_REDIRECTS = 2
MAX_HEAD_OCTETS = 64 * 1024  # of an answer's head and of what chunks add to its body
MAX_ADDRESSES = 4  # of a name that are tried
MAX_URL = 2000  # characters; an OCSP request in it has some 200
_MOVED = frozenset({301, 302, 303, 307, 308})
_PORTS = {"http": 80, "https": 443}
# Below this other services listen, which might take a request for something else.
FIRST_FREE_PORT = 1024
_NAT64 = int(IPv6Address("64:ff9b::")) >> 32


class HttpFetcher:
    """Gets ``http:`` and ``https:`` URLs from public addresses, within limits.

    ``timeout_seconds`` is for one URL with its redirects, ``limit_octets`` for
    one answer (large CRLs need more). ``allow_private`` also goes to private,
    loopback and link-local addresses: for intranets whose certificates are all
    their own, never for mail from strangers. ``tls`` is the context for
    ``https:``; without it the system's roots vouch for servers.

    Give it to ``Evidence(fetch=)``. It is safe to share between threads.

    >>> HttpFetcher(timeout_seconds=2)
    HttpFetcher(timeout_seconds=2)
    """

    __slots__ = ("allow_private", "limit_octets", "timeout_seconds", "tls")

    def __init__(
        self,
        *,
        timeout_seconds: float = MAX_SECONDS,
        limit_octets: int = MAX_OCTETS,
        allow_private: bool = False,
        tls: ssl.SSLContext | None = None,
    ) -> None:
        if not (timeout_seconds > 0 and limit_octets > 0):
            raise ValueError("timeout_seconds= and limit_octets= are more than nothing")
        self.timeout_seconds = timeout_seconds
        self.limit_octets = limit_octets
        self.allow_private = allow_private
        self.tls = tls

    def get(self, url: str, *, limit_octets: int = MAX_OCTETS) -> bytes:
        """Return what the URL names, at most ``limit_octets`` and the fetcher's own limit.

        Raises ``NotSupported`` for another scheme or an odd URL, ``LimitExceeded``
        for more octets or redirects, ``OSError`` for all that goes wrong on the
        way: ``PermissionError`` for an address that is not public,
        ``TimeoutError`` when the time is over.
        """
        deadline = time.monotonic() + self.timeout_seconds
        limit = min(limit_octets, self.limit_octets)
        for _ in range(MAX_REDIRECTS + 1):
            status, location, body = self._get_once(url, limit, deadline)
            if status == 200:
                return body
            if status not in _MOVED or not location:
                raise OSError(f"{_shown(url)} answered with status {status}")
            following = urljoin(url, location)
            if url.startswith("https:") and not following.startswith("https:"):
                raise PermissionError(f"{_shown(url)} leads from https to something else")
            url = following
        raise LimitExceeded(f"more than {MAX_REDIRECTS} redirects, at last to {_shown(url)}")

    def _get_once(self, url: str, limit: int, deadline: float) -> tuple[int, str, bytes]:
        scheme, host, port, target = _parts_of(url)
        raw = b""
        with self._connect(scheme, host, port, deadline) as connection:
            named = f"[{host}]" if ":" in host else host
            request = (
                f"GET {target} HTTP/1.1\r\n"
                f"Host: {named if port == _PORTS[scheme] else f'{named}:{port}'}\r\n"
                "User-Agent: smimetool\r\nAccept: */*\r\nConnection: close\r\n\r\n"
            )
            connection.settimeout(_left(deadline))
            connection.sendall(request.encode("ascii"))
            pieces, octets = [], 0
            while True:
                connection.settimeout(_left(deadline))
                piece = connection.recv(64 * 1024)
                if not piece:
                    break
                pieces.append(piece)
                octets += len(piece)
                if octets > limit + MAX_HEAD_OCTETS:
                    raise LimitExceeded(f"{_shown(url)}: more than {limit} octets")
            raw = b"".join(pieces)
        status, location, body = _read_answer(raw, url)
        if len(body) > limit:
            raise LimitExceeded(f"{_shown(url)}: more than {limit} octets")
        return status, location, body

    def _connect(self, scheme: str, host: str, port: int, deadline: float) -> socket.socket:
        """Return a connection to an address of the host, each checked before."""
        problem: OSError = OSError(f"{host} has no address")
        for family, address in self._addresses(host, port, deadline)[:MAX_ADDRESSES]:
            connection = socket.socket(family, socket.SOCK_STREAM)
            try:
                connection.settimeout(_left(deadline))
                connection.connect(address)
                if scheme == "http":
                    return connection
                context = self.tls or ssl.create_default_context()
                connection.settimeout(_left(deadline))
                return context.wrap_socket(connection, server_hostname=host)
            except OSError as error:
                connection.close()
                problem = error
        raise problem

    def _addresses(self, host: str, port: int, deadline: float) -> list[tuple[int, Any]]:
        found = []
        for family, _, _, _, address in _resolve(host, port, deadline):
            number = str(address[0]).partition("%")[0]
            if not (self.allow_private or is_public(number)):
                # Who names a public and an inner address at once means the inner one.
                raise PermissionError(f"{host} has the address {number}, which is not public")
            found.append((family, address))
        return found

    def __repr__(self) -> str:
        default = {
            "timeout_seconds": MAX_SECONDS,
            "limit_octets": MAX_OCTETS,
            "allow_private": False,
            "tls": None,
        }
        given = [f"{n}={getattr(self, n)!r}" for n, v in default.items() if getattr(self, n) != v]
        return f"HttpFetcher({', '.join(given)})"


def is_public(number: str) -> bool:
    """Say whether an IP address is one of the public internet.

    >>> is_public("127.0.0.1"), is_public("::ffff:10.0.0.1"), is_public("1.1.1.1")
    (False, False, True)
    """
    address = ip_address(number)
    if isinstance(address, IPv6Address):
        inner = _embedded(address)
        if inner is not None:
            return is_public(str(inner))
    return address.is_global and not (
        address.is_multicast
        or address.is_private
        or address.is_loopback
        or address.is_link_local
        or address.is_reserved
        or address.is_unspecified
    )


def _embedded(address: IPv6Address) -> IPv4Address | None:
    """Return the IPv4 address to which a packet to this one goes at last, if it says so."""
    if int(address) >> 32 == _NAT64:
        return IPv4Address(int(address) & 0xFFFFFFFF)
    return address.ipv4_mapped or address.sixtofour


def _resolve(host: str, port: int, deadline: float) -> list[Any]:
    """Resolve a name in a thread of its own: there is no other way to stop waiting."""
    answer: list[Any] = []

    def work() -> None:
        try:
            answer.append(socket.getaddrinfo(host, port, type=socket.SOCK_STREAM))
        except (OSError, UnicodeError) as error:
            answer.append(error)

    thread = threading.Thread(target=work, daemon=True)
    thread.start()
    thread.join(_left(deadline))
    if not answer:
        raise TimeoutError(f"the address of {host} was not found in time")
    if isinstance(answer[0], Exception):
        raise OSError(f"the address of {host} was not found: {answer[0]}") from answer[0]
    return list(answer[0])


def _parts_of(url: str) -> tuple[str, str, int, str]:
    """Return scheme, host, port and what is asked for there; raises ``NotSupported``."""
    if not (url.isascii() and url.isprintable() and " " not in url) or len(url) > MAX_URL:
        raise NotSupported(f"{_shown(url)} is no URL that is fetched")
    try:
        parts = urlsplit(url)
        scheme, host, port = parts.scheme, parts.hostname, parts.port
    except ValueError as error:
        raise NotSupported(f"{_shown(url)} is no URL: {error}") from error
    if scheme not in _PORTS:
        raise NotSupported(f"{_shown(url)}: only http and https are fetched")
    if not host or parts.username is not None or parts.password is not None:
        raise NotSupported(f"{_shown(url)} names no host, or a user")
    port = _PORTS[scheme] if port is None else port
    if port not in _PORTS.values() and port < FIRST_FREE_PORT:
        raise NotSupported(f"{_shown(url)}: port {port} is not for the web")
    return scheme, host, port, f"{parts.path or '/'}{'?' if parts.query else ''}{parts.query}"


def _left(deadline: float) -> float:
    left = deadline - time.monotonic()
    if left <= 0:
        raise TimeoutError("the time for fetching is over")
    return left


class _Whole:
    """An answer that was read to its end, in the shape in which the standard library reads."""

    def __init__(self, raw: bytes) -> None:
        self._raw = raw

    def makefile(self, mode: str) -> BytesIO:
        assert mode == "rb"
        return BytesIO(self._raw)


def _read_answer(raw: bytes, url: str) -> tuple[int, str, bytes]:
    """Return status, Location and body, chunks joined."""
    try:
        answer = HTTPResponse(_Whole(raw), method="GET")  # type: ignore[arg-type]  # as a socket
        answer.begin()
        return answer.status, answer.headers.get("Location", "").strip(), answer.read()
    except (HTTPException, ValueError) as error:
        raise OSError(f"{_shown(url)} gave no answer in HTTP: {type(error).__name__}") from error


def _shown(url: str) -> str:
    return url if len(url) <= 200 else f"{url[:200]}…"
