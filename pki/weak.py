"""RSA keys that anybody can factor: made badly, and known by the modulus alone.

Not here: the keys of Debian's 2008 generator. They can only be told by a list of all
of them, and none is maintained; such a key has been in no package since.

Floor:  weak (uses nothing)
Source: Nemec et al., "The Return of Coppersmith's Attack" (ROCA, CVE-2017-15361) §5;
        NIST SP 800-89 §5.3.3 (small factors); S/MIME Baseline Requirements §6.1.1.3
        (Fermat's method, 100 rounds)
"""

from __future__ import annotations

import math

__all__ = ["weakness"]

FERMAT_ROUNDS = 100  # what the Baseline Requirements ask for; each costs some microseconds
MAX_SMALL_FACTOR = 752  # SP 800-89 asks for no factor below it
_GENERATOR = 65537


def _primes(end: int) -> list[int]:
    return [n for n in range(2, end) if all(n % d for d in range(2, math.isqrt(n) + 1))]


def _powers(prime: int) -> frozenset[int]:
    """All that the generator's powers leave when divided by a prime."""
    found, value = set(), 1
    while value not in found:
        found.add(value)
        value = value * _GENERATOR % prime
    return frozenset(found)


# ROCA primes are k * M + (65537 ** a mod M), M the product of the primes to 167. So each
# of those primes leaves a power of 65537 of the modulus: for a good key 1 time in 2 ** 27.
_ROCA = {
    prime: powers
    for prime in _primes(168)[1:]
    if len(powers := _powers(prime)) < prime - 1  # where all are powers nothing is told
}
_ROCA_PRODUCT = math.prod(_ROCA)
_SMALL_PRODUCT = math.prod(_primes(MAX_SMALL_FACTOR))


def weakness(modulus: int) -> str:
    """Say why a modulus is no secret, in some words; empty if nothing is known against it.

    >>> weakness((2**521 - 1) * (2**607 - 1))
    ''
    >>> weakness(3 * (2**607 - 1))
    'it has a small factor'
    """
    if math.gcd(modulus, _SMALL_PRODUCT) != 1:
        return "it has a small factor"
    rest = modulus % _ROCA_PRODUCT
    if all(rest % prime in powers for prime, powers in _ROCA.items()):
        return "it was made by a chip with the ROCA flaw (CVE-2017-15361)"
    # Fermat: with p and q close together, a * a - n is a square for an a close above √n.
    a = math.isqrt(modulus - 1) + 1
    square = a * a - modulus
    for _ in range(FERMAT_ROUNDS):
        # Squares end in few ways: most candidates fall without a root being drawn.
        if square & 15 in (0, 1, 4, 9) and math.isqrt(square) ** 2 == square:
            return "its two primes lie close together"
        square += 2 * a + 1
        a += 1
    return ""
