"""Good when it was signed: a signature judged at a moment that is proven.

A certificate expires, and signing keys get stolen afterwards. That a signature
was made before is worth something only if somebody else says so: a time-stamp
authority whose token is over this very signature, or the caller, who had the
message then. What the signer says itself (signingTime) is no proof: a thief of
an old key writes the date that suits.

Floor:  cms (uses judging, protocols, policy; knows no trust but the one handed in)
Source: RFC 3161 §2.3, §2.4.2 and Appendix A; RFC 5280 §4.2.1.12 for the extended key usage
"""

from __future__ import annotations

from smime.cms.judging import best, trusts
from smime.policy import moment
from smime.protocols import FetchBudget
from smime.report import Finding, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from datetime import datetime

    from cryptography import x509

    from smime.cms.signatures import CheckedSignature
    from smime.cms.timestamp import CheckedTimeStamp
    from smime.protocols import Claim, Judgement, Trust, Trusts

__all__ = ["Times", "judge"]

_TIME_STAMPING = "1.3.6.1.5.5.7.3.8"


class Times:
    """The moment to judge at, and what may prove an earlier one.

    ``at`` is now if it is None; ``received_at`` is when the caller had the
    message; ``tsa`` is the trust in time-stamp authorities.

    Raises ``ValueError`` for a moment without a zone or a ``received_at`` after
    ``at``, ``TypeError`` for what is no moment or no trust.
    """

    __slots__ = ("at", "earliest", "fetches", "received_at", "tsa")

    def __init__(
        self,
        at: datetime | None,
        received_at: datetime | None = None,
        tsa: Trusts | None = None,
    ) -> None:
        self.at = moment(at)
        self.received_at = None if received_at is None else moment(received_at, "received_at")
        if self.received_at is not None and self.received_at > self.at:
            raise ValueError(
                f"received_at={self.received_at.isoformat()} is after the moment to judge at "
                f"({self.at.isoformat()})"
            )
        self.earliest = self.received_at or self.at
        """The earliest moment that the caller vouches for."""
        self.fetches = FetchBudget()
        """Shared by all signatures of a message, or many signers would make many fetches."""
        self.tsa: tuple[Trust, ...] = () if tsa is None else trusts(tsa, "tsa")


def judge(
    trusts: tuple[Trust, ...], claim: Claim, checked: CheckedSignature, times: Times
) -> Judgement:
    """Ask the trusts; where date or revocation alone refuse, ask again for each proven moment.

    ``claim`` is at ``times.at``. A judgement for a proven moment has ``proof``.
    """
    now = best(trusts, claim)
    if not times.tsa and times.received_at is None:
        return now
    from dataclasses import replace

    stamps, notes = _believed(claim, checked, times)
    notes += now.notes
    bound = (now.time, now.revocation, *((now.usage,) if claim.policy.weak_until else ()))
    if not (now.good or all(one.accepted for one in bound)):
        for at, proof, words in _moments(stamps, times):
            then = best(trusts, replace(claim, at=at, proof=proof))
            if then.good:
                time = Finding.yes(
                    f"{then.time.reason}; {words}", "RFC 3161 Appendix B", "proven-time"
                )
                notes = (*notes, _since(now))
                return replace(then, time=time, at=at, proof=proof, notes=notes)
    return replace(now, notes=notes)


def _moments(stamps: list[CheckedTimeStamp], times: Times) -> Iterator[tuple[datetime, str, str]]:
    """Return each proven moment, what proves it, and that in words: the best proof first."""
    for one in stamps:
        assert one.latest is not None
        yield (
            one.latest,
            "time-stamp",
            f"{one.name} stamped the signature on {one.latest:%Y-%m-%d %H:%M} UTC",
        )
    if times.received_at is not None:
        at = times.received_at
        yield at, "received", f"it was received on {at:%Y-%m-%d %H:%M} UTC, as the caller says"


def _since(now: Judgement) -> Note:
    findings = (now.time, now.revocation, now.usage)
    bad = next(one for one in findings if not one.accepted)
    return Note("since-then", f"today it would not be good: {bad.reason}")


def _believed(
    claim: Claim, checked: CheckedSignature, times: Times
) -> tuple[list[CheckedTimeStamp], tuple[Note, ...]]:
    """Return the tokens whose makers may be believed, and what is to be said of all."""
    if not times.tsa:
        return [], ()
    # The mathematics said of a token that nobody was asked; now somebody is.
    checked.notes = tuple(one for one in checked.notes if one.code != "time-stamp")
    found, notes = [], []
    for one in checked.time_stamps:
        if not one.holds:
            continue  # its note stands
        why_not = _why_not(one, claim, times)
        when = f"{one.time:%Y-%m-%d %H:%M:%S} UTC by {one.name}"
        if why_not:
            text = f"the time stamp of {when} is not believed: {why_not}"
            notes.append(Note("time-stamp-refused", text))
        else:
            found.append(one)
            notes.append(Note("time-stamp-good", f"the signature was stamped on {when}"))
    return found, tuple(notes)


def _why_not(stamp: CheckedTimeStamp, claim: Claim, times: Times) -> str:
    """Say why a token proves nothing; empty if it does.

    Its maker is judged as of the moment at which the caller had it, never as of the time that
    it states itself: a thief of an authority's old key writes the date that suits.
    """
    from dataclasses import replace

    certificate = stamp.certificate
    assert certificate is not None
    assert stamp.latest is not None
    had_at = times.earliest
    if stamp.latest > had_at:
        return "its time is still to come, or after the mail was received"
    unfit = _unfit(certificate)
    if unfit:
        return unfit
    asked = replace(
        claim,
        certificate=certificate,
        sender=None,
        sender_asked=False,
        at=had_at,
        proof="received" if times.received_at else "",
        certificates=stamp.certificates,
        crls=(),
        ocsp=(),
        digest_algorithm=stamp.digest_algorithm,
        purpose=_TIME_STAMPING,
    )
    judgement = best(times.tsa, asked)
    if judgement.good:
        if stamp.latest < certificate.not_valid_before_utc:
            return "its time is before its maker's certificate"
        return ""
    findings = (judgement.path, judgement.time, judgement.revocation, judgement.usage)
    return "; ".join(one.reason for one in findings if not one.accepted)


def _unfit(certificate: x509.Certificate) -> str:
    """Say why a certificate may make no time stamps (RFC 3161 §2.3); empty if it may."""
    from cryptography import x509

    try:
        usage = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage)
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
        Warning,
    ):
        return "its maker's certificate is not meant for time stamps"
    purposes = [one.dotted_string for one in usage.value]
    if purposes != [_TIME_STAMPING] or not usage.critical:
        return "its maker's certificate is not meant for time stamps alone"
    return ""
