"""What the library asks of objects that are handed in: one method each.

A user's own ``Trust``, signing key or fetcher needs nothing from here but the
shape. ``Claim`` and ``Judgement`` are the question and the answer of a trust.

Floor:  protocols (uses errors, report, policy)
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Protocol, TypeAlias

from smime.policy import MODERN, Policy
from smime.report import all_accepted

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from cryptography import x509

    from smime.pgp.backend import SignatureFacts
    from smime.pgp.listing import KeyFacts
    from smime.report import Finding, Note

__all__ = [
    "Claim",
    "FetchBudget",
    "Fetcher",
    "Judgement",
    "Opener",
    "PgpClaim",
    "Signer",
    "Trust",
    "Trusts",
]

MAX_FETCHES = 8  # for one message; a chain of four asks for a parent, an answer and a list each
MAX_FETCH_SECONDS = 15.0  # for one message; after that no further fetch begins


class FetchBudget:
    """How much may still be fetched for one message, whatever number of signatures it has."""

    __slots__ = ("_left", "_until")

    def __init__(self) -> None:
        self._left = MAX_FETCHES
        self._until: float | None = None

    def take(self) -> bool:
        """Say whether one more fetch may begin, and count it. The time runs from the first on."""
        from time import monotonic

        now = monotonic()
        if self._until is None:
            self._until = now + MAX_FETCH_SECONDS
        if self._left <= 0 or now > self._until:
            return False
        self._left -= 1
        return True


@dataclass(frozen=True, slots=True)
class Claim:
    """A key signed: may it speak for this address, at this moment?

    Made only after the signature value was found to be made with the key of
    ``certificate``; nothing in it is believed but that.
    """

    certificate: x509.Certificate
    """The signer's certificate."""
    sender: str | None
    """The address to speak for; None when there is not exactly one, see ``sender_reason``."""
    at: datetime
    """The moment to judge at, with a time zone."""
    certificates: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    """What came with the message: candidates for a path, never anchors."""
    crls: tuple[bytes, ...] = field(default=(), repr=False)
    """CRLs that came with the message, as DER."""
    ocsp: tuple[bytes, ...] = field(default=(), repr=False)
    """OCSP responses that came with the message, as DER (RFC 5940)."""
    sender_asked: bool = True
    """False when the caller asks for no address (CMS without mail)."""
    sender_reason: str = ""
    """Why ``sender`` is None: ``the mail has 2 From addresses``."""
    evidence: Any = None
    """The caller's ``Evidence``: more certificates, CRLs and OCSP answers."""
    policy: Policy = MODERN
    digest_algorithm: str = "sha256"
    """The digest under the signature, for the algorithm policy."""
    use: str = "sign"
    """What the key is for: ``sign``, or ``encrypt`` for a certificate to seal mail to."""
    purpose: str = "mail"
    """What certificates with an extended key usage must be meant for: ``mail``, a dotted
    identifier, or ``any`` where it is not asked."""
    proof: str = ""
    """What shows that the signature was there at ``at``, if that lies in the past:
    ``time-stamp`` (a token by an authority that is believed) or ``received`` (the caller says
    so). What was revoked since then counts unless it was right at ``at``; a claim does not
    undo a key's compromise."""
    fetches: FetchBudget = field(default_factory=FetchBudget, repr=False, compare=False)
    """What may still be fetched; claims about the same message share one."""


@dataclass(frozen=True, slots=True)
class PgpClaim:
    """An OpenPGP key signed: may it speak for this address, at this moment?

    Asked of a trust that has ``judge_openpgp(claim) -> Judgement``, as ``PgpKeyring``
    does, and of no other: a certificate is no matter of it.
    """

    signature: SignatureFacts
    """What holds of the signature; nothing in it is believed but that."""
    sender: str | None
    """The address to speak for; None when there is not exactly one, see ``sender_reason``."""
    at: datetime
    """The moment to judge at, with a time zone."""
    sender_reason: str = ""
    policy: Policy = MODERN
    key: KeyFacts | None = field(default=None, repr=False)
    """What the keyring says of the key in which it was found, for a trust that has no keys."""
    use: str = "sign"
    """What the key is for: ``sign``, or ``encrypt`` for one to seal mail to. Then ``signature``
    names the primary key and nothing more, and ``sender`` is whom the mail is for, if it is known.
    """


@dataclass(frozen=True, slots=True)
class Judgement:
    """The answer to a claim: five findings, and the path if there is one."""

    path: Finding
    revocation: Finding
    usage: Finding
    address: Finding
    time: Finding
    chain: tuple[x509.Certificate, ...] = field(default=(), repr=False)
    """The path that was found, leaf first, anchor last."""
    chain_der: tuple[bytes, ...] = field(default=(), repr=False)
    """The same as DER, where it is at hand; empty otherwise."""
    notes: tuple[Note, ...] = ()
    """What is worth knowing and moves no verdict."""
    at: datetime | None = None
    """The moment that was judged, where it is another than the claim's."""
    proof: str = ""
    """What proves that moment, as in ``Claim``."""

    @property
    def good(self) -> bool:
        """Every finding is yes, or was not demanded."""
        return all_accepted((self.path, self.revocation, self.usage, self.address, self.time))


class Trust(Protocol):
    """Answers one question: may this key speak for this address, now?"""

    def judge(self, claim: Claim) -> Judgement:
        """Return what holds of the claim. Never raises for a certificate that is bad."""
        ...


class Signer(Protocol):
    """Anything that has a certificate and signs: a token, a KMS, an ``Identity``."""

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the key."""
        ...

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Sign ``data`` (not its digest) and return the signature value.

        ``algorithm`` names the digest: ``sha256``, ``sha384`` or ``sha512``.
        RSA keys sign with PKCS#1 v1.5, or with RSASSA-PSS and a salt as long as
        the digest where it is ``rsa-pss-sha256`` and the like; EC keys with
        ECDSA in DER. Ed25519, Ed448 and ML-DSA keys sign ``data`` as it is.
        """
        ...


class Opener(Protocol):
    """Anything that has a certificate and opens: a token, a KMS.

    Of an RSA key ``decrypt`` is asked, of an EC, X25519 or X448 key ``agree``;
    the other one is never called. Whatever they raise for a message that does
    not open looks to the caller as a wrong key does, and is not shown. Three
    kinds of errors pass through as they are, for they tell nothing of the
    message: ``OSError`` (not reached), ``KeyProblem`` (not logged in, not
    allowed) and ``NotSupported`` (not an algorithm of this key).
    """

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate of the key: it says which recipient of a message is meant."""
        ...

    def decrypt(self, wrapped: bytes, algorithm: str) -> bytes:
        """Return the content key that is encrypted to the RSA key.

        ``algorithm`` is ``rsa-v15`` (RFC 8017 §7.2), or ``rsa-oaep-sha256`` and
        the like (§7.1) with MGF1 of the same digest and no label; for another
        digest in MGF1 it is named: ``rsa-oaep-sha256-mgf1-sha1``.
        """
        ...

    def agree(self, public: bytes) -> bytes:
        """Return the secret agreed on with the sender's ``public`` key.

        That is a SubjectPublicKeyInfo in DER, on the curve of this key. The
        secret is raw: for EC keys the x coordinate (RFC 5753 §7.1, without
        cofactor on curves whose cofactor is 1), else what RFC 7748 §6 gives.
        """
        ...


class Fetcher(Protocol):
    """Gets what a URL names; nothing is fetched unless the caller hands one in."""

    def get(self, url: str, *, limit_octets: int) -> bytes:
        """Return at most ``limit_octets``; raise ``OSError`` or an ``SmimeError``."""
        ...


Trusts: TypeAlias = "Trust | Sequence[Trust]"
"""What ``trust=`` takes: one trust or several, of which the best answer counts."""
