"""A file cannot ask for hours of work or gigabytes of memory."""

from __future__ import annotations

import time

import pytest

from smime.cms.der import NULL, integer, octet_string, oid, sequence, tlv, top
from smime.errors import KeyProblem, LimitExceeded
from smime.keys import Identity, pbe, pkcs12, private
from smime.keys.loading import MAX_BLOCKS, MAX_FILE, read_certificates
from tests.keys.people import pem, person

KEY, LEAF = person("alice@example.org")
AES_256_CBC = sequence(oid("2.16.840.1.101.3.4.1.42"), octet_string(bytes(16)))
HMAC_SHA256 = sequence(oid("1.2.840.113549.2.9"), NULL)
ROUNDS = pbe.MAX_ROUNDS


def pbes2(derivation: bytes) -> bytes:
    return sequence(oid("1.2.840.113549.1.5.13"), sequence(derivation, AES_256_CBC))


def pbkdf2(rounds: int, *length: bytes) -> bytes:
    fields = (octet_string(bytes(16)), integer(rounds), *length, HMAC_SHA256)
    return pbes2(sequence(oid("1.2.840.113549.1.5.12"), sequence(*fields)))


def scrypt(n: int, r: int, p: int) -> bytes:
    fields = (octet_string(bytes(16)), integer(n), integer(r), integer(p))
    return pbes2(sequence(oid("1.3.6.1.4.1.11591.4.11"), sequence(*fields)))


def old_pbe(rounds: int) -> bytes:
    parameters = sequence(octet_string(bytes(8)), integer(rounds))
    return sequence(oid("1.2.840.113549.1.12.1.3"), parameters)


WITHIN = {
    "rounds": pbkdf2(ROUNDS),
    "rounds of the old form": old_pbe(ROUNDS),
    "scrypt memory": scrypt(1 << 18, 8, 1),
    "scrypt work": scrypt(1 << 18, 8, 4),
}
BEYOND = {
    "rounds": pbkdf2(ROUNDS + 1),
    "rounds beyond any number": pbkdf2(1 << 100),
    "rounds of the old form": old_pbe(ROUNDS + 1),
    "scrypt memory": scrypt(1 << 19, 8, 1),
    "scrypt memory by r": scrypt(1 << 18, 9, 1),
    "scrypt work": scrypt(1 << 18, 8, 5),
    "length of the key": pbkdf2(1000, integer(65)),
    "no key at all": pbkdf2(1000, integer(0)),
}


@pytest.mark.parametrize("algorithm", WITHIN.values(), ids=WITHIN.keys())
def test_at_the_limit_it_is_planned(algorithm):
    pbe.plan(algorithm, top(algorithm), pbe.Budget())


def sealed_key(algorithm: bytes) -> bytes:
    return sequence(algorithm, octet_string(bytes(64)))


def p12_with(*algorithms: bytes, mac_rounds: int = 1) -> bytes:
    """Return a PKCS#12 file whose key bags are encrypted so; its MAC agrees with nothing."""
    bag = "1.2.840.113549.1.12.10.1.2"
    bags = [sequence(oid(bag), tlv(0xA0, sealed_key(one))) for one in algorithms]
    data = oid("1.2.840.113549.1.7.1")
    safe = sequence(sequence(data, tlv(0xA0, octet_string(sequence(*bags)))))
    digest = sequence(sequence(oid("2.16.840.1.101.3.4.2.1"), NULL), octet_string(bytes(32)))
    mac = sequence(digest, octet_string(bytes(8)), integer(mac_rounds))
    return sequence(integer(3), sequence(data, tlv(0xA0, octet_string(safe))), mac)


FILES = {
    **{f"PKCS#8: {name}": sealed_key(one) for name, one in BEYOND.items()},
    **{f"PKCS#12: {name}": p12_with(one) for name, one in BEYOND.items()},
    "PKCS#12: rounds of the MAC": p12_with(mac_rounds=ROUNDS + 1),
    "PKCS#12: rounds of all keys together": p12_with(*[pbkdf2(ROUNDS)] * 5),
}


@pytest.mark.parametrize("data", FILES.values(), ids=FILES.keys())
def test_beyond_the_limit_nothing_is_computed(data):
    """Nor is the passphrase asked for."""

    def never() -> str:
        raise AssertionError("it was to be refused before")

    began = time.process_time()
    with pytest.raises(LimitExceeded):
        Identity.parse(data, passphrase=never)
    assert time.process_time() - began < 0.5


def test_the_refusals_above_have_a_positive_control():
    """The same files with modest numbers are only wrong in their passphrase."""
    for data in (sealed_key(pbkdf2(1000)), p12_with(pbkdf2(1000))):
        with pytest.raises(KeyProblem, match="the passphrase is wrong"):
            Identity.parse(data, passphrase="x")


@pytest.mark.parametrize("algorithm", [pbkdf2(0), scrypt(3, 8, 1), scrypt(16, 0, 1)])
def test_parameters_that_cannot_be(algorithm):
    with pytest.raises(KeyProblem, match="damaged"):
        Identity.parse(sealed_key(algorithm), passphrase="x")


def test_size_of_a_file():
    sound = pem(KEY, LEAF)

    assert Identity.parse(sound.ljust(MAX_FILE)).certificate == LEAF
    with pytest.raises(LimitExceeded):
        Identity.parse(sound.ljust(MAX_FILE + 1))


def test_number_of_blocks():
    block = b"-----BEGIN X-----\n-----END X-----\n"

    assert read_certificates(pem(LEAF) + block * (MAX_BLOCKS - 1), "x") == [LEAF]
    with pytest.raises(LimitExceeded):
        read_certificates(pem(LEAF) + block * MAX_BLOCKS, "x")


def test_size_of_a_key():
    def rsa_key(octets: int) -> bytes:
        return sequence(*[integer(0), integer((1 << 8 * octets) - 1), *[integer(3)] * 7])

    with pytest.raises(KeyProblem, match="damaged"):
        Identity.parse(rsa_key(private.MAX_RSA_BITS // 8))
    with pytest.raises(LimitExceeded, match="16384 bits"):
        Identity.parse(rsa_key(private.MAX_RSA_BITS // 8 + 1))
    with pytest.raises(LimitExceeded):
        Identity.parse(sequence(pbkdf2(1000), octet_string(bytes(private.MAX_KEY_DER))))


def test_nesting_of_bags():
    def nested(depth: int) -> bytes:
        inner = b""
        for _ in range(depth):
            inner = sequence(oid("1.2.840.113549.1.12.10.1.6"), tlv(0xA0, sequence(inner)))
        return sequence(inner)

    assert pkcs12._bags(nested(pkcs12.MAX_BAG_DEPTH - 1), pbe.Budget()) == []
    with pytest.raises(LimitExceeded):
        pkcs12._bags(nested(pkcs12.MAX_BAG_DEPTH + 1), pbe.Budget())


def test_hostile_pem_takes_linear_time():
    began = time.process_time()
    for data in (
        b"-----BEGIN " * 500_000,
        b"-----BEGIN A-----\n" * 300_000,
        b"-----BEGIN A-----\n" + b"-----END B-----\n" * 300_000,
    ):
        with pytest.raises(KeyProblem):
            Identity.parse(data)
    assert time.process_time() - began < 1
