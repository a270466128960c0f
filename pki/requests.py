"""What a CA is asked to certify: a key that was proven, and names that were authorised.

A request (CSR) proves who holds the key. It never says who somebody is: the names
in it are the asker's wish, so they are not read; ``authorise`` gives the names.

Floor:  requests (uses errors and keys)
Source: RFC 2986 for the request, RFC 5321 §4.1.2 for addresses, RFC 5280 §4.2.1.6
"""

from __future__ import annotations

import re

from pki import keys
from pki.errors import RequestRefused

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Self

__all__ = ["CertificationRequest", "checked_address", "checked_name", "checked_url"]

MAX_REQUEST_OCTETS = 65_536  # a request for an 8192-bit RSA key has under 3,000
MAX_ADDRESSES = 100  # of one person; every sender's program walks them at each message
MAX_NAME = 64  # ub-common-name (RFC 5280 appendix A.1)

_ATOM = r"[A-Za-z0-9!#$%&'*+/=?^_`{|}~-]+"
_LABEL = r"[A-Za-z0-9](?:[A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
_DOMAIN = re.compile(rf"{_LABEL}(?:\.{_LABEL})*")
_LOCAL = re.compile(rf"{_ATOM}(?:\.{_ATOM})*")
_URL = re.compile(r"https?://[!-~]{1,2000}")
_PROOF_HASHES = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})


class CertificationRequest:
    """A public key with the names that were authorised for it.

    The constructor takes a key whose owner is known to hold it; ``parse`` reads
    that proof from a CSR. Neither believes a name: ``authorise`` adds them.
    """

    __slots__ = ("addresses", "name", "public_key")

    public_key: keys.PublicKey
    addresses: tuple[str, ...]
    name: str

    def __init__(
        self, public_key: keys.PublicKey, addresses: tuple[str, ...] = (), name: str = ""
    ) -> None:
        self.public_key = keys.check(public_key)
        if len(addresses) > MAX_ADDRESSES:
            raise RequestRefused(f"more than {MAX_ADDRESSES} addresses in one certificate")
        # A dict, not a set: the order given is the order in the certificate.
        self.addresses = tuple(dict.fromkeys(checked_address(a) for a in addresses))
        self.name = checked_name(name)

    def __repr__(self) -> str:
        return f"<CertificationRequest {self.name or ', '.join(self.addresses) or 'unnamed'}>"

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read a CSR, DER or PEM, and check that its maker holds the private key.

        The names in it are not taken. Raises ``RequestRefused``.
        """
        from cryptography import x509
        from cryptography.exceptions import UnsupportedAlgorithm

        if len(data) > MAX_REQUEST_OCTETS:
            raise RequestRefused(f"a request of more than {MAX_REQUEST_OCTETS} octets")
        try:
            if b"-----BEGIN" in data:
                csr = x509.load_pem_x509_csr(data)
            else:
                csr = x509.load_der_x509_csr(data)
            public_key = csr.public_key()
            digest = csr.signature_hash_algorithm
            proven = digest is not None and csr.is_signature_valid
        except (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm) as error:
            raise RequestRefused(
                "not a certification request that can be read",
                hint="send a PKCS#10 request (CSR), as PEM or DER",
            ) from error
        if digest is None or digest.name not in _PROOF_HASHES:
            raise RequestRefused(
                "the request is signed with a hash that proves nothing today",
                hint="sign the request with SHA-256",
            )
        if not proven:
            raise RequestRefused(
                "the request is not signed by the key in it",
                hint="make the request again with the private key that belongs to it",
            )
        return cls(keys.check(public_key))

    def authorise(self, *addresses: str, name: str = "") -> CertificationRequest:
        """Give the same key with the names that the CA found to be its holder's."""
        return CertificationRequest(self.public_key, addresses, name)


def checked_address(address: str) -> str:
    """Give back a mail address as a certificate holds it, its domain in lower case.

    Raises ``RequestRefused`` for what is not one plain ASCII address.

    >>> checked_address("Alice@Example.ORG")
    'Alice@example.org'
    """
    local, at, domain = address.rpartition("@")
    if not address.isascii():
        raise RequestRefused(
            f"{address!a} is not an ASCII address",
            hint="write the domain in its xn-- form; other letters before the @ are not supported",
        )
    well_formed = (
        at
        and len(address) <= 254
        and len(local) <= 64
        and _LOCAL.fullmatch(local)
        and _DOMAIN.fullmatch(domain)
    )
    if not well_formed:
        raise RequestRefused(
            f"{address!a} is not a mail address", hint="write it like alice@example.org"
        )
    return f"{local}@{domain.lower()}"


def checked_name(name: str) -> str:
    """Give back a name for a certificate's subject, or raise ``RequestRefused``."""
    if len(name) > MAX_NAME:
        raise RequestRefused(f"a name of more than {MAX_NAME} characters")
    # Controls, line ends and bidi marks make a name look like another one.
    if name != name.strip() or not name.isprintable():
        raise RequestRefused(f"the name {name!a} holds characters that do not show")
    return name


def checked_url(url: str) -> str:
    """Give back a URL for a certificate, or raise ``RequestRefused``; empty is none."""
    if url and not _URL.fullmatch(url):
        raise RequestRefused(
            f"{url!a} is no address that mail programs fetch from",
            hint="write it like http://ca.example.org/ca.crl",
        )
    return url
