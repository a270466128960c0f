"""Keys that anybody can factor are told from good ones."""

from __future__ import annotations

import math

import pytest
from cryptography.hazmat.primitives.asymmetric import rsa
from hypothesis import given
from hypothesis import strategies as st

from pki import CertificationRequest, RequestRefused, keys, weak


def next_prime(n: int) -> int:
    n |= 1
    while not all(pow(base, n - 1, n) == 1 for base in (2, 3, 5, 7)):
        n += 2
    return n


def close_primes(bits: int, gap: int) -> int:
    p = next_prime(3 << (bits // 2 - 2))
    return p * next_prime(p + gap)


def roca_prime(bits: int, start: int) -> int:
    """A prime of the flawed form, k * M + (65537 ** a mod M)."""
    product = math.prod(p for p in range(2, 168) if all(p % d for d in range(2, p)))
    k = (3 << (bits - 2)) // product + start
    n = k * product + pow(65537, 12345 + start, product)
    while not all(pow(base, n - 1, n) == 1 for base in (2, 3, 5)):
        n += product
    return n


def test_a_good_key_is_good() -> None:
    assert weak.weakness(keys.generate("rsa2048").public_key().public_numbers().n) == ""


@pytest.mark.parametrize(
    ("modulus", "says"),
    [
        (close_primes(2048, 2), "close together"),
        (close_primes(2048, 1 << 500), "close together"),
        (roca_prime(1024, 1) * roca_prime(1024, 999), "ROCA"),
        (751 * (2**2203 - 1), "small factor"),
        (2**2048, "small factor"),
    ],
    ids=["twins", "near", "roca", "751", "even"],
)
def test_weak_keys_are_named(modulus: int, says: str) -> None:
    assert says in weak.weakness(modulus)


def test_a_weak_key_is_certified_for_nobody() -> None:
    numbers = rsa.RSAPublicNumbers(65537, close_primes(2048, 2))

    with pytest.raises(RequestRefused, match="broken: its two primes"):
        CertificationRequest(numbers.public_key(), ["a@example.org"])


@given(st.integers(3, 2**64))
def test_no_modulus_makes_it_fail(modulus: int) -> None:
    assert isinstance(weak.weakness(modulus), str)
