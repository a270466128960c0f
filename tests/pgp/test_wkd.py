"""Web Key Directory, from a web server here, over TLS with a certificate of a CA made here."""

from __future__ import annotations

import ssl

import pytest

import smime
from smime import wkd
from smime.pgp.packets import dearmor_keys
from tests.support.web import send

pytestmark = pytest.mark.peer("gpg")


@pytest.mark.parametrize("which", [0, 1], ids=["advanced", "direct"])
def test_a_key_is_found_at_either_place(ring, alice, place, which):
    place.put(wkd.urls("alice@example.org")[which], dearmor_keys(ring.export(alice)))
    with smime.PgpKeyring() as other:
        found = wkd.find_key("alice@example.org", other, fetch=place.fetcher)
        assert found.fingerprint == alice.fingerprint
        assert smime.encrypt(b"From: bob@example.org\r\n\r\nnoon\r\n", to=found)
    assert len(place.site.asked) == which + 1
    assert place.site.headers[0]["Host"] == "openpgpkey.example.org"


def test_only_that_address_comes_in(place, gpg):
    site = place.site
    with smime.PgpKeyring() as origin, smime.PgpKeyring() as other:
        carol = origin.add_address(origin.generate("carol@example.org"), "carol@example.net")
        site.otherwise = lambda handler: send(handler, dearmor_keys(origin.export(carol)))
        found = wkd.find_key("carol@example.org", other, fetch=place.fetcher)
        assert found.user_ids == ("carol@example.org",)


@pytest.mark.parametrize("what", ["another", "secret", "armour", "junk", "nothing"])
def test_what_is_no_key_for_the_address_is_refused(ring, alice, bob, place, what):
    site = place.site
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
            wkd.find_key("alice@example.org", other, fetch=place.fetcher)
        assert refused.value.missing == ("alice@example.org",)
        assert len(other) == 0


def test_a_server_that_is_not_there_or_not_the_one(place, gpg):
    site = place.site
    with smime.PgpKeyring() as other:
        with pytest.raises(OSError, match="404"):
            wkd.find_key("alice@example.org", other, fetch=place.fetcher)
        stranger = smime.HttpFetcher(allow_private=True)
        with pytest.raises(ssl.SSLCertVerificationError):
            stranger.get("https://example.org/", limit_octets=10)
        site.otherwise = lambda handler: send(handler, b"\x99" * (wkd.MAX_OCTETS + 1))
        with pytest.raises(smime.LimitExceeded):
            wkd.find_key("alice@example.org", other, fetch=place.fetcher)


@pytest.mark.parametrize("address", ["alice", "a@b@c", "alice@ex ample.org", "alice@example.org/x"])
def test_what_is_no_address_is_not_asked_for(address):
    with pytest.raises(ValueError, match=r"no mail address|no domain"):
        wkd.urls(address)
