"""What two engines read in different ways is good by legacy policy only."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

import smime
from smime.pgp.packets import Packet, packets, read_signatures
from smime.pgp.strict import is_strict, packet_version, parts_of
from smime.protocols import PgpClaim
from tests.pgp.conftest import longer

TEXT = b"We meet at noon.\r\n"


def signature(*numbers: bytes) -> bytes:
    """Make an RSA signature packet of version 4 whose numbers are these octets."""
    body = bytes([4, 0, 1, 8, 0, 0, 0, 0, 1, 2]) + b"".join(numbers)
    return b"\xc2" + bytes([len(body)]) + body


@pytest.mark.parametrize(
    ("numbers", "strict"),
    [
        ([b"\x00\x09\x01\x80"], True),
        ([b"\x00\x01\x01"], True),
        ([b"\x00\x10\x01\x80"], False),  # says 16 bits, and has 9
        ([b"\x00\x08\x01\x80"], False),  # an octet too many
        ([b"\x00\x11\x01\x80"], False),  # cut
        ([b"\x00\x09\x01\x80", b"\x00\x01\x01"], False),  # RSA has one number
        ([], False),
    ],
)
def test_a_number_has_one_length(numbers, strict):
    assert is_strict(signature(*numbers)) is strict


def test_the_version_is_read():
    assert packet_version(signature()) == 4
    assert packet_version(b"junk") == 0


@pytest.fixture(scope="module")
def rsa(gpg):
    with smime.PgpKeyring() as made:
        made.generate("alice@example.org", algorithm="rsa3072")
        yield made


def packets_of(ring: smime.PgpKeyring, key: smime.PgpKey) -> list[Packet]:
    from smime.pgp.packets import dearmor_keys

    return list(packets(dearmor_keys(ring.export(key))))


def judged(ring: smime.PgpKeyring, signed: bytes, policy: smime.Policy) -> smime.Finding:
    (facts,) = ring.engine.check(TEXT, read_signatures(signed))
    assert facts.state == "holds"
    now = datetime.now(UTC)
    return ring.judge_openpgp(PgpClaim(facts, "alice@example.org", now, policy=policy)).usage


def test_a_signature_with_a_longer_number_is_weak(rsa):
    alice = rsa.find("alice@example.org")
    fine = read_signatures(rsa.engine.sign(TEXT, alice.fingerprint).signature)[0]

    assert judged(rsa, fine, smime.Policy.modern()).code == "ok"
    assert judged(rsa, longer(fine), smime.Policy.modern()).code == "weak-algorithm"
    assert judged(rsa, longer(fine), smime.Policy.legacy_read()).code == "ok"


def test_a_key_bound_by_longer_numbers_alone_is_weak(rsa):
    """gpg writes the numbers anew when it takes the key in, and knows nothing of it later."""
    alice = rsa.find("alice@example.org")
    signed = rsa.engine.sign(TEXT, alice.fingerprint).signature
    fine = packets_of(rsa, alice)
    loose = b"".join(longer(one.raw) if one.tag == 2 else one.raw for one in fine)
    with smime.PgpKeyring(loose) as other:
        assert judged(other, signed, smime.Policy.modern()).code == "weak-algorithm"
        assert judged(other, signed, smime.Policy.legacy_read()).code == "ok"
        other.add(rsa.export(alice))  # the same key as it should be
        assert judged(other, signed, smime.Policy.modern()).code == "ok"
        other.add(loose)
        assert judged(other, signed, smime.Policy.modern()).code == "ok"


def test_parts_are_found_with_their_fingerprints(ring, alice):
    octets = b"".join(one.raw for one in packets_of(ring, alice))
    found, bound = parts_of(octets)

    assert found == bound == {one.fingerprint for one in alice.facts.keys}
    assert parts_of(octets[:100])[1] == frozenset()


def test_a_signature_of_an_unknown_version_is_one_more_answer(ring, alice):
    """gpg gives up at it; it neither hides the other one nor counts (RFC 9580 §5.2)."""
    fine = read_signatures(ring.engine.sign(TEXT, alice.fingerprint).signature)[0]
    strange = bytearray(fine)
    strange[fine.index(b"\x04\x00")] = 10
    for order in ([fine, bytes(strange)], [bytes(strange), fine]):
        states = {one.state for one in ring.engine.check(TEXT, order)}
        assert states == {"holds", "unsupported"}
    (alone,) = ring.engine.check(TEXT, [bytes(strange)])
    assert (alone.state, alone.reason) == (
        "unsupported",
        "the signature is of version 10, which is not known",
    )
