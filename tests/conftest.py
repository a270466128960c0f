"""Fixtures for all tests: people with certificates, a letter, the peers."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hypothesis import settings

from tests.support import sources
from tests.support.hsm import make_tokens
from tests.support.peers import Peer, peer
from tests.support.world import LETTER, World, make_world

collect_ignore = ["bench"]  # programs that measure, not tests
pytest_plugins = [
    "tests.support.agents",
    "tests.support.plugin",
    "tests.support.cells",
    "tests.support.confirms",
    "tests.support.reports",
]

# A machine may be busy: where time is the point, the test names its own limit.
settings.register_profile("busy", deadline=None)
settings.load_profile("busy")


@pytest.fixture(autouse=True)
def _closed_files() -> Iterator[None]:
    """Close the files in which a test handed something in."""
    yield
    while sources.OPENED:
        sources.OPENED.pop().close()


@pytest.fixture(scope="session")
def world() -> World:
    """One authority, its anchors, and the people it knows. Shared: change nothing."""
    return make_world()


@pytest.fixture(scope="session")
def letter() -> bytes:
    """A letter from alice to bob: two parts, umlauts, a Chinese subject, CRLF."""
    return LETTER


@pytest.fixture(scope="session")
def openssl() -> Peer:
    """The openssl command; a test that takes it counts as one of that peer."""
    return peer("openssl")


@pytest.fixture
def softhsm() -> Peer:
    """SoftHSM: a PKCS#11 token in files."""
    return peer("softhsm")


@pytest.fixture(scope="session")
def token_module(tmp_path_factory: pytest.TempPathFactory) -> str:
    """SoftHSM's PKCS#11 module, with tokens in a folder of this run's."""
    return make_tokens(tmp_path_factory.mktemp("tokens"))


@pytest.fixture
def nss() -> Peer:
    """NSS's pk12util: how Thunderbird reads key files."""
    return peer("nss")


@pytest.fixture(scope="session")
def gpg() -> Peer:
    """GnuPG: the engine under OpenPGP, and what other people's programs use, too."""
    return peer("gpg")


@pytest.fixture
def gnutls() -> Peer:
    """GnuTLS's certtool."""
    return peer("gnutls")


@pytest.fixture
def java() -> Peer:
    """Java's keytool, and jarsigner beside it."""
    return peer("java")


@pytest.fixture
def bind() -> Peer:
    """BIND's named-checkzone: whether a name server takes a zone, and what it reads there."""
    return peer("bind")
