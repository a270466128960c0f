"""What is read by comparing octets is what is read element by element."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.cms import algorithms as alg
from smime.cms import enveloped, ordinary
from smime.cms.der import integer, octet_string, sequence, tlv
from smime.errors import SmimeError

KNOWN = [name for name in alg.CIPHERS if name.startswith("aes-") and not name.endswith("ccm")]


def algorithm(name: str) -> bytes:
    identifier, _, mode, _ = alg.CIPHERS[name]
    if mode == "cbc":
        return sequence(identifier, octet_string(bytes(range(16))))
    return sequence(identifier, sequence(octet_string(bytes(range(12))), integer(16)))


def envelope(content_cipher: bytes, tagged: bool, octets: int = 32) -> bytes:
    """Return a structure around a cipher with its parameters, sealed for nobody."""
    content = sequence(tlv(0x06, alg.DATA), content_cipher, tlv(0x80, bytes(octets)))
    kind = alg.AUTH_ENVELOPED_DATA if tagged else alg.ENVELOPED_DATA
    mac = octet_string(bytes(16)) if tagged else b""
    inner = sequence(integer(0), tlv(0x31, b""), content, mac)
    return sequence(tlv(0x06, kind), tlv(0xA0, inner))


def read(blob: bytes) -> object:
    try:
        found = enveloped.read(blob)
    except SmimeError as problem:
        return type(problem), str(problem)
    return found.cipher, found.nonce, found.tag, found.ciphertext, found.tag_inside, found.why_not


@pytest.mark.parametrize("name", KNOWN)
def test_the_usual_form_is_known(name: str) -> None:
    found = ordinary.content_cipher(algorithm(name))

    assert found is not None
    assert found[0] == name
    assert found[1] == bytes(range(16 if name.endswith("cbc") else 12))
    assert len(found[2]) == (16 if name.endswith("gcm") else 0)


@given(
    name=st.sampled_from([*alg.CIPHERS]),
    change=st.tuples(st.integers(0, 40), st.integers(0, 255)),
    cut=st.integers(0, 3),
    tagged=st.booleans(),
    octets=st.sampled_from([0, 15, 16, 32]),
)
def test_both_readings_agree(
    name: str, change: tuple[int, int], cut: int, tagged: bool, octets: int
) -> None:
    whole = bytearray(algorithm(name if name in KNOWN else "aes-128-cbc"))
    whole[change[0] % len(whole)] = change[1]
    blob = envelope(bytes(whole[: len(whole) - cut % 2]), tagged, octets)

    found = read(blob)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(enveloped, "content_cipher", lambda _: None)
        expected = read(blob)

    assert found == expected
