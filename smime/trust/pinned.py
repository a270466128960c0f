"""Trust without authorities: one key known from elsewhere, or nobody at all.

Floor:  trust (uses pgp for OpenPGP keys)
Source: RFC 5280 §6.1.1 (a trust anchor may be any key); RFC 8550 §3, §4.4
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from cryptography import x509

from smime.cms.met import Met
from smime.cms.signerinfo import parse_certificate
from smime.errors import KeyProblem
from smime.protocols import Judgement
from smime.report import Finding
from smime.trust.chain import STRONG_DIGESTS, Chain
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
    from datetime import datetime
    from os import PathLike
    from typing import Self

    from smime.pgp import PgpKey, PgpKeyring
    from smime.policy import Policy
    from smime.protocols import Claim, PgpClaim

__all__ = ["NoTrust", "Pinned"]

_PINNED = Finding.yes("the certificate is the pinned one", "RFC 5280 §6.1.1")


class Pinned:
    """Exactly this key, for ``sender`` or, without it, for the addresses it names itself.

    ``key`` is the certificate, or the SHA-256 fingerprint of its DER: 64
    hexadecimal digits, colons and blanks allowed. It stands for the whole
    certificate, not for its names or its key. It replaces chain and revocation,
    and the extended key usage: who pins a key has said what it is for. Dates,
    key usage, algorithms and address are judged as ever, but for
    ``ignore_dates=True`` (a certificate that nobody renews) and
    ``any_address=True`` (the key may speak for whoever the mail is from).

    For OpenPGP ``key`` is a ``PgpKey``, or the whole fingerprint of its primary key: 40
    digits, or 64 for a key of version 6. A mail does not bring that key along: the keyring
    of a ``PgpKey`` has it, or that of ``keys=``. That a key was revoked stands in the key
    itself, and counts.

    Raises ``ValueError`` for a text that is no such fingerprint (a key id is none), and
    for ``sender`` together with ``any_address``.

    >>> Pinned("00:" * 31 + "ff", sender="shop@example.org")
    Pinned('00000000000000000000000000000000000000000000000000000000000000ff', sender='shop@example.org')
    """  # noqa: E501

    def __init__(
        self,
        key: x509.Certificate | PgpKey | str,
        *,
        sender: str | None = None,
        ignore_dates: bool = False,
        any_address: bool = False,
    ) -> None:
        if any_address and sender is not None:
            raise ValueError("a key is pinned for one sender or for any address, not for both")
        self._alone: Chain | None = None
        self.met = Met() if type(self) is Pinned else None
        """What its signatures are like, as ``smime.cms`` keeps it; no verdicts.

        None where ``judge`` may be another."""
        self.keyring: PgpKeyring | None = None
        """Where the pinned OpenPGP key is, if it was given."""
        if isinstance(key, x509.Certificate):
            self._alone = Chain((Facts(key),))
            self.fingerprint = self._alone[0].digest.hex()
        elif isinstance(key, str):
            self.fingerprint = re.sub(r"[:\s]", "", key).lower()
            if not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", self.fingerprint):
                raise ValueError(
                    "a pinned key is a certificate or its SHA-256 fingerprint (64 hexadecimal "
                    "digits), or an OpenPGP key or its whole fingerprint (40 or 64); for a file "
                    "of a certificate use Pinned.load(path)"
                )
        elif getattr(key, "is_openpgp", False) is True:
            self.fingerprint = key.fingerprint
            self.keyring = key.keyring
        else:
            raise TypeError(
                f"Pinned takes a certificate, an OpenPGP key or a fingerprint, not "
                f"{type(key).__name__}"
            )
        self.sender = sender
        self.ignore_dates = ignore_dates
        self.any_address = any_address

    @property
    def wants_no_chain(self) -> bool:
        """It asks a claim for nothing but the signer's own certificate."""
        return type(self).judge is Pinned.judge

    @classmethod
    def load(
        cls,
        path: PathLike[str] | str,
        *,
        sender: str | None = None,
        ignore_dates: bool = False,
        any_address: bool = False,
    ) -> Self:
        """Pin the one certificate in a file (PEM, DER or PKCS#7).

        Raises ``KeyProblem`` if there is none or more than one.
        """
        found = load_certificates([path])
        if len(found) != 1:
            raise KeyProblem(f"{path}: {len(found)} certificates, and exactly one can be pinned")
        return cls(found[0], sender=sender, ignore_dates=ignore_dates, any_address=any_address)

    def judge(self, claim: Claim) -> Judgement:
        """Say whether the claim is made with the pinned key. Never raises for a bad one."""
        alone = self._alone
        if alone is None or (
            alone[0].certificate is not claim.certificate
            and alone[0].certificate != claim.certificate
        ):
            alone = Chain((Facts(claim.certificate),))
        (leaf,) = alone
        if alone is not self._alone and leaf.digest.hex() != self.fingerprint:
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
            path = _PINNED
            self._alone = alone
        if self.any_address:
            address = Finding.open("not-asked", "the key is pinned for any address", "RFC 8550 §3")
        else:
            address = judge_address(claim, leaf, pinned_sender=self.sender)
        time = judge_time(alone, whole_seconds(claim.at))
        if self.ignore_dates:
            time = Finding.open(
                "not-asked", "the key is pinned whatever its dates", "RFC 5280 §4.1.2.5"
            )
        return Judgement(
            path=path,
            revocation=_no_revocation(claim, "the key is pinned"),
            usage=judge_usage(alone, claim, purposes=False),
            address=address,
            time=time,
            chain=(leaf.certificate,) if path.accepted else (),
            chain_der=(leaf.der,) if path.accepted else (),
        )

    def surely(
        self, cert_der: bytes, sender: str | None, at: datetime, policy: Policy, digest: str
    ) -> bool:
        """Say yes if ``judge`` would find all good of this certificate, no for "ask it".

        ``digest`` is the one under the signature; ``sender`` is None where no address is asked
        for. What the certificate is worth is asked anew each time, as ever.
        """
        alone = self._alone
        if alone is None or alone[0].der != cert_der:
            return False
        bits, lasts = alone.signer_rsa_bits, alone.lasts
        if (
            bits is None
            or bits[0] < policy.rsa_bits_min
            or bits[1] > policy.rsa_bits_max
            or digest not in STRONG_DIGESTS
            or policy.weak_until is not None
        ):
            return False
        if sender is not None and not self.any_address:
            named = sender in alone[0].naming if self.sender is None else sender == self.sender
            if not named:
                return False
        return self.ignore_dates or (
            lasts is not None and lasts[0] <= whole_seconds(at) <= lasts[1]
        )

    def judge_openpgp(self, claim: PgpClaim) -> Judgement:
        """Say whether the claim is made with the pinned OpenPGP key. Never raises for a bad one."""
        from smime.pgp import judging

        return judging.judge_pinned(
            claim,
            self.fingerprint,
            sender=self.sender,
            any_address=self.any_address,
            dates=not self.ignore_dates,
        )

    def parse_certificate(self, der: bytes) -> x509.Certificate | None:
        """Return a certificate, the pinned one without parsing it again; None if it is none."""
        known = self._alone
        if known is not None and known[0].der == der:
            return known[0].certificate
        return parse_certificate(der)

    def __getstate__(self) -> dict[str, object]:
        met = None if self.met is None else Met()
        return {**self.__dict__, "_alone": None, "met": met}

    def __repr__(self) -> str:
        named = [f"{self.fingerprint!r}"]
        if self.sender is not None:
            named.append(f"sender={self.sender!r}")
        named += [f"{name}=True" for name in ("ignore_dates", "any_address") if getattr(self, name)]
        return f"Pinned({', '.join(named)})"


class NoTrust:
    """Check mathematics only; no verdict is ever good.

    Use, dates and address of the certificate are reported all the same.
    """

    def judge(self, claim: Claim) -> Judgement:
        """Say what the certificate says of itself, and that nobody vouches for it."""
        path = Finding.open(
            "no-trust", "no trust was given: anybody can make such a certificate", "RFC 5280 §6.1.1"
        )
        leaf = Facts(claim.certificate)
        return Judgement(
            path=path,
            revocation=_no_revocation(claim, "no trust was given"),
            usage=judge_usage((leaf,), claim),
            address=judge_address(claim, leaf),
            time=judge_time((leaf,), whole_seconds(claim.at)),
        )

    def __repr__(self) -> str:
        return "NoTrust()"


def _no_revocation(claim: Claim, why: str) -> Finding:
    return revocation_not_asked(claim.policy, f"revocation was not checked: {why}")
