"""Keys that are too weak to be written to, or of which anybody could have made a part."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

import smime

pytestmark = pytest.mark.peer("gpg")

MAIL = b"From: alice@example.org\r\nTo: bob@example.org\r\n\r\nnoon\r\n"


@pytest.fixture(params=["gnupg", "auto"])
def ring(request, gpg) -> Iterator[smime.PgpKeyring]:
    with smime.PgpKeyring(engine=request.param) as made:
        yield made


def with_subkey(ring: smime.PgpKeyring, algorithm: str, *options: str) -> smime.PgpKey:
    """Return bob's key, with a subkey of that kind which is written to."""
    bob = ring.generate("bob@example.org")
    (old,) = (one for one in bob.facts.keys if "encrypt" in one.capabilities)
    name = bob.fingerprint.upper()
    words = ("--quick-add-key", name, algorithm, "encr", "0")
    made = ring.gnupg.run(*options, *words, answers=[b""] * 4)
    assert made.exit_status == 0, made.messages
    ring._forget()
    return ring.revoke_subkey(ring.key(bob.fingerprint), old.fingerprint)


def test_a_subkey_that_is_too_small_is_not_written_to(ring):
    good = with_subkey(ring, "rsa3072")
    assert smime.encrypt(MAIL, to=good)
    bad = with_subkey(ring, "rsa1024")
    assert bad.facts.primary.algorithm == "eddsa"
    for attempt in (
        lambda: smime.encrypt(MAIL, to=bad),
        lambda: smime.encrypt(MAIL, to=bad, trust=ring),
        lambda: smime.protect(MAIL.replace(b"alice", b"bob"), by=good, to=bad),
    ):
        with pytest.raises(smime.KeyProblem, match="1024 bits is too small") as refused:
            attempt()
        assert refused.value.missing == ("bob@example.org",)


def test_a_subkey_that_is_bound_with_sha_1_is_not_written_to(ring):
    bad = with_subkey(ring, "cv25519", "--cert-digest-algo", "SHA1")
    with pytest.raises(smime.KeyProblem, match="SHA1, which is weak"):
        smime.encrypt(MAIL, to=bad)
    strong = with_subkey(ring, "cv25519", "--cert-digest-algo", "SHA256")
    assert smime.encrypt(MAIL, to=strong)
