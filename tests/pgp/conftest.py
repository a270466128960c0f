"""Keyrings for the tests of OpenPGP: made once, each in a home of its own."""

from __future__ import annotations

import shutil
import socket
import ssl
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from cryptography.hazmat.primitives.serialization import Encoding, NoEncryption, PrivateFormat

import pki
import smime
from pki import keys
from pki.authority import new_serial
from smime import fetch
from smime.pgp.gnupg import end_agents
from smime.pgp.packets import packets
from tests.pgp.desk import Desk, Place
from tests.support.peers import Peer
from tests.support.web import web
from tests.support.world import LETTER


@pytest.fixture(scope="session")
def ring(gpg: Peer) -> Iterator[smime.PgpKeyring]:
    """Alice and bob, both with secret keys. Shared: add nothing."""
    with smime.PgpKeyring() as made:
        made.generate("alice@example.org", name="Alice")
        made.generate("bob@example.org", name="Bob")
        yield made


@pytest.fixture(scope="session")
def alice(ring: smime.PgpKeyring) -> smime.PgpKey:
    return ring.find("alice@example.org")


@pytest.fixture(scope="session")
def bob(ring: smime.PgpKeyring) -> smime.PgpKey:
    return ring.find("bob@example.org")


@pytest.fixture
def desk(gpg: Peer, tmp_path: Path, capsys, monkeypatch) -> Iterator[Desk]:
    home = tempfile.mkdtemp(prefix="pgp-", dir="/tmp")  # short, for the agent's sockets
    (Path(home) / "gpg-agent.conf").write_text("s2k-count 65536\n")  # as of other homes of tests
    monkeypatch.chdir(tmp_path)
    (tmp_path / "letter.eml").write_bytes(LETTER)
    yield Desk(tmp_path, home, capsys)
    end_agents(home)
    shutil.rmtree(home)


@pytest.fixture
def people(desk: Desk) -> Desk:
    desk.run("pgp", "keygen", "alice@example.org", "--name", "Alice")
    desk.run("pgp", "keygen", "bob@example.org")
    return desk


@pytest.fixture(scope="session")
def place_files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A certificate for example.org, as our own CA for servers issues it, and the root."""
    folder = tmp_path_factory.mktemp("place")
    now = smime.policy.moment(None)
    top = pki.Authority.create("Web root", at=now)
    services = top.subordinate("Services", profile="issuing-services", at=now)
    key = keys.generate("p256")
    request = pki.CertificationRequest(
        key.public_key(), hosts=["openpgpkey.example.org", "example.org"]
    )
    profile = pki.Profile.named("tls-server")
    made = services.certify(request, profile=profile, serial=new_serial(), at=now)
    (folder / "root.pem").write_bytes(top.certificate.public_bytes(Encoding.PEM))
    (folder / "site.pem").write_bytes(
        made.public_bytes(Encoding.PEM)
        + services.certificate.public_bytes(Encoding.PEM)
        + key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption())
    )
    return folder


@pytest.fixture
def place(place_files: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Place]:
    """The names of example.org lead here, as name servers would say, and to a port that is free."""
    server = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    server.load_cert_chain(place_files / "site.pem")
    ask = socket.getaddrinfo

    def here(host: str, *rest, **more):
        ours = host in ("openpgpkey.example.org", "example.org")
        return ask("127.0.0.1" if ours else host, *rest, **more)

    monkeypatch.setattr(socket, "getaddrinfo", here)
    with web(tls=server) as site:
        monkeypatch.setitem(fetch._PORTS, "https", site.port)
        yield Place(site, place_files / "root.pem")


def longer(signature: bytes) -> bytes:
    """Return an RSA signature packet of gpg whose number has an octet more than it needs."""
    (packet,) = packets(signature)
    body = packet.body
    unhashed = 6 + int.from_bytes(body[4:6], "big")
    at = unhashed + 4 + int.from_bytes(body[unhashed : unhashed + 2], "big")
    number = b"\0" + body[at + 2 :]
    changed = body[:at] + (8 * len(number)).to_bytes(2, "big") + number
    return b"\xc2\xff" + len(changed).to_bytes(4, "big") + changed
