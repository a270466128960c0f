"""CAs that meet by files: a root that is never on a network, other CAs, a change of keys.

    key, request = ask("Club CA (issuing)")                 # the issuing machine
    answer = certify(root, request, name="Club CA (issuing)", at=now)   # the root's machine
    ca = accept(key, answer, crl_url="http://...")          # the issuing machine again

The private keys stay where they were made; what travels is no secret, and each side
checks what comes.

Floor:  ceremony (uses authority)
Source: RFC 2986 for the request, RFC 5280 §3.2 for cross-certificates,
        RFC 4210 §4.4 for a root's change of keys
"""

from __future__ import annotations

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.serialization import Encoding

from pki import keys
from pki.authority import Authority
from pki.certificate import signed, subject_of
from pki.errors import NoAuthority, RequestRefused
from pki.names import checked_attribute, checked_name, subject_name
from pki.requests import CertificationRequest
from pki.rules import CaFacts
from smime.cms.der import integer, sequence

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime
    from typing import Any

    from pki.profiles import Profile

__all__ = ["accept", "ask", "certify", "cross_certify", "roll_over", "wished_name"]

MAX_CHAIN_OCTETS = 262_144  # eight ML-DSA-87 certificates in PEM are under 100,000
MAX_CHAIN = 8  # as deep as any reader follows


def ask(
    name: str, *, algorithm: str = "p256", key: keys.Key | None = None, **subject: str
) -> tuple[Any, bytes]:
    """Make a CA's key and the request for its certificate, PEM (PKCS#10).

    The request goes to the machine of the root, or to a CA outside. The name in it is a
    wish. With ``key`` a key made before is used, such as one in a token.

    Raises ``RequestRefused``, and ``ValueError`` for a kind of key that certifies nothing.
    """
    if algorithm not in keys.CA_ALGORITHMS:
        raise ValueError(f"algorithm {algorithm!r} is none of {', '.join(keys.CA_ALGORITHMS)}")
    own = keys.generate(algorithm) if key is None else key
    fields = {field: checked_attribute(field, text) for field, text in subject.items()}
    if not name:
        raise RequestRefused("a CA needs a name")
    fields["common_name"] = checked_name(name)
    spki = keys.spki(own.public_key())
    # The attributes, which follow, have to be there though there are none.
    information = sequence(integer(0), subject_name(fields), spki, b"\xa0\x00")
    der = signed(information, keys.signature_algorithm(own), keys.sign(own, information))
    return own, x509.load_der_x509_csr(der).public_bytes(Encoding.PEM)


def wished_name(request: bytes) -> str:
    """Give the name that a request asks for, to be read by the person who decides.

    Raises ``RequestRefused`` for what is no request signed by the key in it.
    """
    CertificationRequest.parse(request)
    load = x509.load_pem_x509_csr if b"-----BEGIN" in request else x509.load_der_x509_csr
    return load(request).subject.rfc4514_string()


def certify(
    root: Authority,
    request: bytes,
    *,
    name: str,
    profile: str | Profile = "issuing",
    at: datetime | None = None,
    domains: Iterable[str] = (),
    **subject: str,
) -> bytes:
    """Certify the CA whose request came by file: its certificate and those above it, PEM.

    ``name`` and ``subject`` are what the root's keeper authorises; the wishes in the
    request are not read. ``domains`` as in ``Authority.subordinate``.

    Raises ``RequestRefused``.
    """
    proven = CertificationRequest.parse(request).authorise(name=name, **subject)
    made = root.certify_authority(proven, profile=profile, at=at, domains=domains)
    chain = (made, *root.chain, root.root)
    return b"".join(one.public_bytes(Encoding.PEM) for one in chain)


def accept(
    key: keys.Key, answer: bytes, *, crl_url: str = "", ca_url: str = "", ocsp_url: str = ""
) -> Authority:
    """Take the answer of the root, checked: its chain holds, and ends in a root.

    Raises ``NoAuthority`` if it is damaged, or was made for another key.
    """
    if len(answer) > MAX_CHAIN_OCTETS:
        raise NoAuthority(f"a chain of more than {MAX_CHAIN_OCTETS} octets")
    try:
        chain = x509.load_pem_x509_certificates(answer)
        if len(chain) > MAX_CHAIN:
            raise NoAuthority(f"a chain of more than {MAX_CHAIN} certificates")
        for below, above in zip(chain, (*chain[1:], chain[-1]), strict=True):
            below.verify_directly_issued_by(above)
        own = key.public_key() == chain[0].public_key()
    except (ValueError, TypeError, InvalidSignature, x509.InvalidVersion) as error:
        raise NoAuthority(
            "these are not the certificates of a CA, from its own up to its root",
            hint="bring the file again as the root's machine wrote it",
        ) from error
    if not own:
        raise NoAuthority("the certificate was made for another key")
    return Authority(key, chain[0], chain[1:], crl_url=crl_url, ca_url=ca_url, ocsp_url=ocsp_url)


def cross_certify(
    by: Authority,
    other: x509.Certificate,
    *,
    at: datetime | None = None,
    domains: Iterable[str] = (),
    profile: str | Profile = "cross",
) -> x509.Certificate:
    """Certify another CA's key under the name that it has: who trusts ``by`` then trusts it.

    ``domains`` limits that to mail addresses there. The certificate ends no later than
    the other's own. See first that the one given is that CA's: its fingerprint, by
    telephone.

    Raises ``RequestRefused`` if the other is no CA, or the key is ``by``'s own.
    """
    if CaFacts(other).public_key == by.certificate.public_key():
        raise RequestRefused("a CA does not certify its own key")
    request = CertificationRequest(other.public_key(), name="-")  # type: ignore[arg-type]
    return by.certify_authority(
        request,
        profile=profile,
        at=at,
        domains=domains,
        subject=subject_of(other.tbs_certificate_bytes),
        until=other.not_valid_after_utc,
    )


def roll_over(
    old: Authority, new: Authority, *, at: datetime | None = None
) -> tuple[x509.Certificate, x509.Certificate]:
    """Link a root to its successor: the new key certified by the old one, and the reverse.

    With the first, who trusts the old root believes what the new one certifies; with the
    second, who trusts only the new root still reads what the old one certified. Publish
    both. The old key goes on signing its CRLs until its last certificate has ended.

    Raises ``RequestRefused``.
    """
    return (
        cross_certify(old, new.certificate, at=at),
        cross_certify(new, old.certificate, at=at),
    )
