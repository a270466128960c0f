"""Web Key Directory, from a web server here, over TLS with a certificate of a CA made here."""

from __future__ import annotations

import ssl
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import smime
from smime import wkd
from smime.pgp.packets import dearmor_keys
from tests.support.web import Web, send, web
from tests.trust.ca import key_usage, make, root

pytestmark = pytest.mark.peer("gpg")


class Domain:
    """Stands for the name servers: takes what is asked of a domain to the server here."""

    def __init__(self, site: Web, tls: ssl.SSLContext, host: str) -> None:
        self.site, self.host = site, host
        self.fetcher = smime.HttpFetcher(allow_private=True, tls=tls)

    def get(self, url: str, *, limit_octets: int) -> bytes:
        begin = f"https://{self.host}/"
        if not url.startswith(begin):
            raise OSError(f"{url} is not there")
        here = self.site.url(url[len(begin) - 1 :], "localhost")
        return self.fetcher.get(here, limit_octets=limit_octets)


@pytest.fixture
def place(tmp_path: Path) -> Iterator[tuple[Web, ssl.SSLContext]]:
    begin = datetime(2020, 1, 1, tzinfo=UTC)
    top = root("Web CA", begin=begin)
    usage = key_usage(digital_signature=True)
    names = (x509.DNSName("localhost"),)
    leaf = make("localhost", top, names=names, usage=usage, begin=begin)
    key = leaf.key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    (tmp_path / "site.pem").write_bytes(leaf.certificate.public_bytes(Encoding.PEM) + key)
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(tmp_path / "site.pem")
    trusted = top.certificate.public_bytes(Encoding.PEM).decode("ascii")
    with web(tls=server) as site:
        yield site, ssl.create_default_context(cadata=trusted)


def path_of(url: str) -> str:
    return url.partition("://")[2].partition("/")[1] + url.partition("://")[2].partition("/")[2]


@pytest.mark.parametrize("host", ["openpgpkey.example.org", "example.org"])
def test_a_key_is_found_at_either_place(ring, alice, place, host):
    site, tls = place
    octets = dearmor_keys(ring.export(alice))
    for url in wkd.urls("alice@example.org"):
        if url.startswith(f"https://{host}/"):
            site.pages[path_of(url)] = octets
    with smime.PgpKeyring() as other:
        found = wkd.find_key("alice@example.org", other, fetch=Domain(site, tls, host))
        assert found.fingerprint == alice.fingerprint
        assert smime.encrypt(b"From: bob@example.org\r\n\r\nnoon\r\n", to=found)
    assert len(site.asked) == 1


def test_only_that_address_comes_in(place, gpg):
    site, tls = place
    with smime.PgpKeyring() as origin, smime.PgpKeyring() as other:
        carol = origin.add_address(origin.generate("carol@example.org"), "carol@example.net")
        site.otherwise = lambda handler: send(handler, dearmor_keys(origin.export(carol)))
        found = wkd.find_key("carol@example.org", other, fetch=Domain(site, tls, "example.org"))
        assert found.user_ids == ("carol@example.org",)


@pytest.mark.parametrize("what", ["another", "secret", "armour", "junk", "nothing"])
def test_what_is_no_key_for_the_address_is_refused(ring, alice, bob, place, what):
    site, tls = place
    answers = {
        "another": dearmor_keys(ring.export(bob)),
        "secret": dearmor_keys(ring.export(alice, secret=True)),
        "armour": ring.export(alice),
        "junk": b"\x99\xff\xff",
        "nothing": b"",
    }
    site.otherwise = lambda handler: send(handler, answers[what])
    with smime.PgpKeyring() as other:
        with pytest.raises(smime.KeyProblem) as refused:
            wkd.find_key("alice@example.org", other, fetch=Domain(site, tls, "example.org"))
        assert refused.value.missing == ("alice@example.org",)
        assert len(other) == 0


def test_a_server_that_is_not_there_or_not_the_one(place, gpg):
    site, tls = place
    with smime.PgpKeyring() as other:
        with pytest.raises(OSError, match="404"):
            wkd.find_key("alice@example.org", other, fetch=Domain(site, tls, "example.org"))
        stranger = Domain(site, ssl.create_default_context(), "example.org")
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.get("https://example.org/", limit_octets=10)
        site.otherwise = lambda handler: send(handler, b"\x99" * (wkd.MAX_OCTETS + 1))
        with pytest.raises(smime.LimitExceeded):
            wkd.find_key("alice@example.org", other, fetch=Domain(site, tls, "example.org"))


@pytest.mark.parametrize("address", ["alice", "a@b@c", "alice@ex ample.org", "alice@example.org/x"])
def test_what_is_no_address_is_not_asked_for(address):
    with pytest.raises(ValueError, match=r"no mail address|no domain"):
        wkd.urls(address)
