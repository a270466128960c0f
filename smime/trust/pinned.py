"""Trust without authorities: one key known from elsewhere, or nobody at all.

Floor:  trust
Source: RFC 5280 §6.1.1 (a trust anchor may be any key); RFC 8550 §3, §4.4
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryptography import x509

from smime.errors import KeyProblem
from smime.protocols import Judgement
from smime.report import Finding
from smime.trust.facts import Facts
from smime.trust.judge import (
    judge_address,
    judge_time,
    judge_usage,
    revocation_not_asked,
    whole_seconds,
)
from smime.trust.loading import load_certificates

if TYPE_CHECKING:
    from os import PathLike
    from typing import Self

    from smime.protocols import Claim

__all__ = ["NoTrust", "Pinned"]


class Pinned:
    """Exactly this key, for ``sender`` or, without it, for the addresses it names itself.

    ``key`` is the certificate, or the SHA-256 fingerprint of its DER: 64
    hexadecimal digits, colons and blanks allowed. It stands for the whole
    certificate, not for its names or its key. It replaces chain and revocation
    only: dates, key usage, algorithms and address are judged as ever. What an
    authority meant the certificate for (extended key usage) is not asked, for
    partners in AS2 exchange those of their TLS servers.

    Raises ``ValueError`` for a text that is no such fingerprint.

    >>> Pinned("00:" * 31 + "ff", sender="shop@example.org")
    Pinned('00000000000000000000000000000000000000000000000000000000000000ff', sender='shop@example.org')
    """  # noqa: E501

    def __init__(self, key: x509.Certificate | str, *, sender: str | None = None) -> None:
        if isinstance(key, x509.Certificate):
            self.fingerprint = Facts(key).digest.hex()
        elif isinstance(key, str):
            self.fingerprint = re.sub(r"[:\s]", "", key).lower()
            if not re.fullmatch(r"[0-9a-f]{64}", self.fingerprint):
                raise ValueError(
                    "a pinned key is a certificate or its SHA-256 fingerprint (64 hexadecimal "
                    "digits); for a file use Pinned.load(path)"
                )
        else:
            raise TypeError(
                f"Pinned takes a certificate or its fingerprint, not {type(key).__name__}"
            )
        self.sender = sender

    @classmethod
    def load(cls, path: PathLike[str] | str, *, sender: str | None = None) -> Self:
        """Pin the one certificate in a file (PEM, DER or PKCS#7).

        Raises ``KeyProblem`` if there is none or more than one.
        """
        found = load_certificates([path])
        if len(found) != 1:
            raise KeyProblem(f"{path}: {len(found)} certificates, and exactly one can be pinned")
        return cls(found[0], sender=sender)

    def judge(self, claim: Claim) -> Judgement:
        """Say whether the claim is made with the pinned key. Never raises for a bad one."""
        leaf = Facts(claim.certificate)
        if leaf.digest.hex() != self.fingerprint:
            path = Finding.no(
                "pinned-differs",
                f"the certificate of {leaf.label} is not the pinned one",
                "RFC 5280 §6.1.1",
            )
        elif leaf.unusable:
            path = Finding.no(
                "certificate-malformed",
                f"the pinned certificate cannot be used: {leaf.unusable}",
                "RFC 5280 §4.2",
            )
        else:
            path = Finding.yes("the certificate is the pinned one", "RFC 5280 §6.1.1")
        return _judge_alone(
            claim, leaf, path, "the key is pinned", self.sender, purposes_asked=False
        )

    def __repr__(self) -> str:
        sender = f", sender={self.sender!r}" if self.sender is not None else ""
        return f"Pinned({self.fingerprint!r}{sender})"


class NoTrust:
    """Check mathematics only; no verdict is ever good.

    Use, dates and address of the certificate are reported all the same.
    """

    def judge(self, claim: Claim) -> Judgement:
        """Say what the certificate says of itself, and that nobody vouches for it."""
        path = Finding.open(
            "no-trust", "no trust was given: anybody can make such a certificate", "RFC 5280 §6.1.1"
        )
        return _judge_alone(claim, Facts(claim.certificate), path, "no trust was given", None)

    def __repr__(self) -> str:
        return "NoTrust()"


def _judge_alone(
    claim: Claim,
    leaf: Facts,
    path: Finding,
    why: str,
    pinned_sender: str | None,
    *,
    purposes_asked: bool = True,
) -> Judgement:
    return Judgement(
        path=path,
        revocation=revocation_not_asked(claim.policy, f"revocation was not checked: {why}"),
        usage=judge_usage(
            (leaf,), claim.policy, claim.digest_algorithm, purposes_asked=purposes_asked
        ),
        address=judge_address(claim, leaf, pinned_sender=pinned_sender),
        time=judge_time((leaf,), whole_seconds(claim.at)),
        chain=(leaf.certificate,) if path.accepted else (),
    )
