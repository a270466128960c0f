"""Content ciphers: equal to the library's own classes, whatever the pieces."""

from __future__ import annotations

import os
from itertools import pairwise

import pytest
from cryptography.hazmat.primitives.ciphers.aead import AESCCM, AESGCM, ChaCha20Poly1305
from hypothesis import given
from hypothesis import strategies as st

from smime.cms import ciphers
from smime.cms.algorithms import CIPHERS, WEAK_CIPHERS
from smime.errors import LimitExceeded, NotSupported

WRITTEN = sorted(set(CIPHERS) - WEAK_CIPHERS)
AEAD = [name for name in WRITTEN if CIPHERS[name][2] != "cbc"]


def keyed(name: str) -> tuple[bytes, bytes]:
    return os.urandom(CIPHERS[name][1]), os.urandom(ciphers.NONCE_OCTETS[CIPHERS[name][2]])


def in_pieces(one, data: bytes, cuts: list[int]) -> bytes:
    edges = [0, *sorted(cut % (len(data) + 1) for cut in cuts), len(data)]
    return b"".join(one.update(data[a:b]) for a, b in pairwise(edges))


def by_library(name: str, key: bytes, nonce: bytes, content: bytes, aad: bytes) -> bytes:
    mode = CIPHERS[name][2]
    made = {"gcm": AESGCM, "ccm": AESCCM, "chacha": ChaCha20Poly1305}[mode](key)
    return made.encrypt(nonce, content, aad or None)


@pytest.mark.parametrize("name", WRITTEN)
@given(
    content=st.binary(max_size=300),
    aad=st.binary(max_size=40),
    cuts=st.lists(st.integers(0, 400), max_size=5),
)
def test_pieces_and_one_call_agree(name, content, aad, cuts):
    """A content sealed in any pieces opens in any others, and in one call."""
    key, nonce = keyed(name)
    aad = aad if CIPHERS[name][2] != "cbc" else b""
    sealing = ciphers.encryptor(name, key, nonce, aad)
    sealed = in_pieces(sealing, content, cuts) + sealing.finalize()

    assert ciphers.seal(name, key, nonce, content, aad) == (sealed, sealing.tag)
    assert ciphers.unseal(name, key, nonce, sealed, sealing.tag, aad) == content
    opening = ciphers.decryptor(name, key, nonce, tag_octets=len(sealing.tag), aad=aad)
    assert in_pieces(opening, sealed, cuts[::-1]) + opening.finalize(sealing.tag) == content
    if aad or CIPHERS[name][2] != "cbc":
        assert sealed + sealing.tag == by_library(name, key, nonce, content, aad)


@pytest.mark.parametrize("octets", range(301))
def test_chacha_composed_is_chacha(octets):
    """Every length, cut once at every place, is what the library's class gives."""
    key, nonce, content = os.urandom(32), os.urandom(12), os.urandom(octets)
    aad = os.urandom(octets % 50)
    expected = ChaCha20Poly1305(key).encrypt(nonce, content, aad)
    for cut in range(octets + 1):
        one = ciphers.encryptor("chacha20-poly1305", key, nonce, aad)
        sealed = one.update(content[:cut]) + one.update(content[cut:]) + one.finalize()
        assert sealed + one.tag == expected


def test_chacha_vector_of_rfc_8439():
    """RFC 8439 §2.8.2, by the composed form and by the class."""
    key = bytes(range(0x80, 0xA0))
    nonce = bytes.fromhex("070000004041424344454647")
    aad = bytes.fromhex("50515253c0c1c2c3c4c5c6c7")
    text = (
        b"Ladies and Gentlemen of the class of '99: If I could offer you only one tip for "
        b"the future, sunscreen would be it."
    )
    tag = bytes.fromhex("1ae10b594f09e26a7e902ecbd0600691")
    one = ciphers.encryptor("chacha20-poly1305", key, nonce, aad)
    sealed = one.update(text) + one.finalize()

    assert sealed.startswith(bytes.fromhex("d31a8d34648e60db7b86afbc53ef7ec2"))
    assert sealed.endswith(bytes.fromhex("3ff4def08e4b7a9de576d26586cec64b6116"))
    assert one.tag == tag
    assert ciphers.seal("chacha20-poly1305", key, nonce, text, aad) == (sealed, tag)


def test_chacha_keys_of_poly1305_of_rfc_8439():
    """RFC 8439 A.5: the decryption vector opens, in pieces too."""
    key = bytes.fromhex("1c9240a5eb55d38af333888604f6b5f0473917c1402b80099dca5cbc207075c0")
    nonce = bytes.fromhex("000000000102030405060708")
    aad = bytes.fromhex("f33388860000000000004e91")
    sealed = bytes.fromhex(
        "64a0861575861af460f062c79be643bd5e805cfd345cf389f108670ac76c8cb2"
        "4c6cfc18755d43eea09ee94e382d26b0bdb7b73c321b0100d4f03b7f355894cf"
        "332f830e710b97ce98c8a84abd0b948114ad176e008d33bd60f982b1ff37c855"
        "9797a06ef4f0ef61c186324e2b3506383606907b6a7c02b0f9f6157b53c867e4"
        "b9166c767b804d46a59b5216cde7a4e99040c5a40433225ee282a1b0a06c523e"
        "af4534d7f83fa1155b0047718cbc546a0d072b04b3564eea1b422273f548271a"
        "0bb2316053fa76991955ebd63159434ecebb4e466dae5a1073a6727627097a10"
        "49e617d91d361094fa68f0ff77987130305beaba2eda04df997b714d6c6f2c29"
        "a6ad5cb4022b02709b"
    )
    tag = bytes.fromhex("eead9d67890cbb22392336fea1851f38")
    one = ciphers.decryptor("chacha20-poly1305", key, nonce, tag_octets=16, aad=aad)
    text = one.update(sealed[:70]) + one.update(sealed[70:]) + one.finalize(tag)

    assert text.startswith(b"Internet-Drafts are draft documents valid for a maximum of six months")


@pytest.mark.parametrize("octets", [0, 1, 1024 * 1024, 1024 * 1024 + 1])
def test_chacha_around_the_size_where_the_form_changes(octets):
    key, nonce = keyed("chacha20-poly1305")
    content = bytes(octets)
    sealed, tag = ciphers.seal("chacha20-poly1305", key, nonce, content, b"x")

    assert sealed + tag == ChaCha20Poly1305(key).encrypt(nonce, content, b"x")
    assert ciphers.unseal("chacha20-poly1305", key, nonce, sealed, tag, b"x") == content


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize("change", ["content", "tag", "aad", "short tag"])
def test_what_was_changed_does_not_open(name, change):
    key, nonce = keyed(name)
    content = os.urandom(100)
    sealed, tag = ciphers.seal(name, key, nonce, content, b"beside")
    assert ciphers.unseal(name, key, nonce, sealed, tag, b"beside") == content
    if change == "content":
        sealed = sealed[:-1] + bytes((sealed[-1] ^ 1,))
    elif change == "tag":
        tag = tag[:-1] + bytes((tag[-1] ^ 1,))
    elif change == "short tag":
        tag = tag[:12]
    aad = b"other" if change == "aad" else b"beside"
    one = ciphers.decryptor(name, key, nonce, tag_octets=16, aad=aad)
    one.update(sealed)
    with pytest.raises(ciphers.BadSeal):
        one.finalize(tag)
    if change != "short tag":  # that length is for the structure to refuse
        with pytest.raises(ciphers.BadSeal):
            ciphers.unseal(name, key, nonce, sealed, tag, aad)


@pytest.mark.parametrize("name", AEAD)
@pytest.mark.parametrize("octets", [12, 14])
def test_shorter_tags_that_are_allowed(name, octets):
    """RFC 5084 allows 12 octets; they are the first ones of the full tag for GCM."""
    if CIPHERS[name][2] == "chacha":
        assert not ciphers.tag_fits(name, octets)
        return
    assert ciphers.tag_fits(name, octets)
    key, nonce = keyed(name)
    if CIPHERS[name][2] == "ccm":
        sealed = AESCCM(key, octets).encrypt(nonce, b"content", None)
    else:
        sealed = AESGCM(key).encrypt(nonce, b"content", None)[: 7 + octets]

    assert ciphers.unseal(name, key, nonce, sealed[:7], sealed[7:]) == b"content"
    with pytest.raises(ciphers.BadSeal):
        ciphers.unseal(name, key, nonce, sealed[:7], sealed[7:-1] + bytes((sealed[-1] ^ 1,)))


@pytest.mark.parametrize("name", [n for n in CIPHERS if CIPHERS[n][2] == "cbc"])
def test_bad_padding(name):
    """Every ending that is not padding gives the one error."""
    from cryptography.hazmat.primitives.ciphers import Cipher
    from cryptography.hazmat.primitives.ciphers.modes import CBC

    block = 16 if name.startswith("aes") else 8
    key, iv = os.urandom(CIPHERS[name][1]), os.urandom(block)

    def raw(text: bytes) -> bytes:
        one = Cipher(ciphers._block_cipher(name, key), CBC(iv)).encryptor()
        return one.update(text) + one.finalize()

    good = b"x" * (block - 3) + b"\x03\x03\x03"
    assert ciphers.unseal(name, key, iv, raw(good)) == b"x" * (block - 3)
    assert ciphers.unseal(name, key, iv, raw(bytes((block,)) * block)) == b""
    endings = [b"\x00", b"\x02\x03\x03", bytes((block + 1,)) * (block), b"\xff"]
    for ending in endings:
        with pytest.raises(ciphers.BadSeal):
            ciphers.unseal(name, key, iv, raw((b"x" * block + ending)[-block:]))
    for octets in (0, block - 1, block + 1):
        with pytest.raises(ciphers.BadSeal):
            ciphers.unseal(name, key, iv, raw(good)[:1] * octets)


@pytest.mark.parametrize("name", sorted(WEAK_CIPHERS))
def test_weak_ciphers_are_read_only(name):
    with pytest.raises(NotSupported, match="never written"):
        ciphers.encryptor(name, bytes(CIPHERS[name][1]), bytes(8))
    with pytest.raises(NotSupported, match="never written"):
        ciphers.seal(name, bytes(CIPHERS[name][1]), bytes(8), b"")


def test_limits():
    """At the limit it works, one above is refused before anything is computed."""
    for name, nonce, limit in (
        ("aes-256-gcm", 12, ciphers.GCM_MAX_OCTETS),
        ("chacha20-poly1305", 12, ciphers.CHACHA_MAX_OCTETS),
        ("aes-256-ccm", 7, ciphers.CCM_MAX_OCTETS),
        ("aes-256-ccm", 12, 2**24 - 1),
        ("aes-256-ccm", 13, 2**16 - 1),
    ):
        ciphers.check_length(name, nonce, limit)
        with pytest.raises(LimitExceeded):
            ciphers.check_length(name, nonce, limit + 1)
    ciphers.check_length("aes-256-cbc", 16, 2**63)


def test_ccm_carries_what_its_nonce_allows():
    content = bytes(2**16 - 1)
    sealed, tag = ciphers.seal("aes-128-ccm", bytes(16), bytes(13), content)
    assert ciphers.unseal("aes-128-ccm", bytes(16), bytes(13), sealed, tag) == content
    with pytest.raises(LimitExceeded):
        ciphers.seal("aes-128-ccm", bytes(16), bytes(13), content + b"x")
    with pytest.raises(LimitExceeded):
        ciphers.unseal("aes-128-ccm", bytes(16), bytes(13), sealed + b"x", tag)


@pytest.mark.parametrize(
    ("name", "good", "bad"),
    [
        ("aes-256-cbc", (16,), (8, 12, 15)),
        ("3des-cbc", (8,), (16,)),
        ("rc2-128-cbc", (8,), (16,)),
        ("aes-256-gcm", (8, 12, 64), (0, 7, 65)),
        ("aes-128-ccm", (7, 13), (6, 14)),
        ("chacha20-poly1305", (12,), (8, 24)),
    ],
)
def test_nonces(name, good, bad):
    assert all(ciphers.nonce_fits(name, octets) for octets in good)
    assert not any(ciphers.nonce_fits(name, octets) for octets in bad)
