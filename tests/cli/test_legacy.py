"""``--legacy`` reads what old software wrote, and only when it is asked for."""

from __future__ import annotations

from pathlib import Path

from tests.cli.stories import Stage
from tests.support.peers import Peer
from tests.support.world import World


def test_a_signature_over_sha1(stage: Stage, openssl: Peer) -> None:
    """Not good without it."""
    signer = ["-signer", "alice-id.pem", "-from", "alice@example.org", "-out", "old.eml"]
    openssl.run("cms", "-sign", "-in", "letter.eml", "-md", "sha1", *signer)

    plain = stage.here("verify", "--ca", "root.pem", "old.eml")
    legacy = stage.here("verify", "--ca", "root.pem", "--legacy", "old.eml")

    assert (plain.status, legacy.status) == (7, 0), plain.stderr + legacy.stderr
    assert b"SHA-1" in plain.stderr.upper().replace(b"SHA1", b"SHA-1")


def test_content_under_3des(stage: Stage, openssl: Peer, world: World) -> None:
    """Not opened without it; the hint names the option."""
    Path("dave.pem").write_bytes(world.rsa.recipient.to_pem())
    Path("dave.p12").write_bytes(world.rsa.to_p12(b"one two three"))
    openssl.run("cms", "-encrypt", "-in", "letter.eml", "-des3", "-out", "old.eml", "dave.pem")
    command = ["decrypt", "-i", "dave.p12", "--passphrase-file", "passphrase", "-o", "out.eml"]

    plain = stage.here(*command, "old.eml")
    assert plain.status == 4
    assert b"hint: --legacy" in plain.stderr
    assert not Path("out.eml").exists()
    legacy = stage.here(*command, "--legacy", "old.eml")
    assert legacy.status == 0, legacy.stderr
    assert b"noon" in Path("out.eml").read_bytes()
