"""Web Key Directory: ask the mail domain of somebody for the OpenPGP key of an address.

Who runs the domain's web server says what the key is, over TLS: better than a key
from anywhere, and less than a fingerprint compared. The server learns for whom was
asked, and when. Nothing is fetched but by the fetcher that is handed in.

Floor:  wkd (uses pgp, keys)
Source: draft-koch-openpgp-webkey-service, §3.1
"""

from __future__ import annotations

import hashlib
from typing import TYPE_CHECKING
from urllib.parse import quote

from smime.errors import KeyProblem
from smime.keys.address import split_address

if TYPE_CHECKING:
    from smime.pgp import PgpKey, PgpKeyring
    from smime.protocols import Fetcher

__all__ = ["find_key", "urls"]

MAX_OCTETS = 256 << 10  # of an answer; a key with a few subkeys has some thousand
_DIGITS = "ybndrfg8ejkmcpqxot1uwisza345h769"


def urls(address: str) -> tuple[str, str]:
    """Return where the key of an address is to be found: the advanced place, and the direct one.

    Raises ``ValueError`` for what is no address with a plain domain.

    >>> urls("Joe.Doe@Example.ORG")[1]
    'https://example.org/.well-known/openpgpkey/hu/iy9q119eutrkn8s1mk4r39qejnbu3n5q?l=Joe.Doe'
    """
    parts = split_address(address)
    if parts is None:
        raise ValueError(f"{address!r} is no mail address")
    local, domain = parts
    domain = domain.lower()
    if not domain.isascii():
        domain = domain.encode("idna").decode("ascii")
    if not all(one.isalnum() or one in "-." for one in domain) or domain.startswith((".", "-")):
        raise ValueError(f"{domain!r} is no domain to ask")
    # Only ASCII letters are lowered (§3.1).
    lowered = "".join(one.lower() if one.isascii() else one for one in local)
    name = _zbase32(hashlib.sha1(lowered.encode(), usedforsecurity=False).digest())
    tail = f"hu/{name}?l={quote(local, safe='')}"
    return (
        f"https://openpgpkey.{domain}/.well-known/openpgpkey/{domain}/{tail}",
        f"https://{domain}/.well-known/openpgpkey/{tail}",
    )


def find_key(address: str, ring: PgpKeyring, *, fetch: Fetcher) -> PgpKey:
    """Ask for the key of an address, and put it into a keyring; return it.

    The advanced place is asked first, then the direct one. Of what comes only a key
    counts that names the address, cut down to that user ID (§3.1). A keyring that
    says whose signatures are good will believe it from then on: use another one
    for keys that are only to be written to.

    Raises ``KeyProblem``, whose ``missing`` names the address, if there is none, and
    ``OSError`` if neither place could be asked.
    """
    from smime.pgp.certs import for_address

    octets = _fetched(address, fetch)
    found = for_address(octets, address)
    if not found:
        raise KeyProblem(
            f"what the domain of {address} gave out is no key for that address", missing=(address,)
        )
    return ring.add(found)[0]


def _fetched(address: str, fetch: Fetcher) -> bytes:
    failed: OSError | None = None
    for url in urls(address):
        try:
            return fetch.get(url, limit_octets=MAX_OCTETS)
        except OSError as problem:
            failed = problem
    assert failed is not None
    raise failed


def _zbase32(octets: bytes) -> str:
    number = int.from_bytes(octets, "big")
    return "".join(_DIGITS[number >> shift & 31] for shift in range(155, -1, -5))
