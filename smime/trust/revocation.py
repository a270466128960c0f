"""Was a certificate of the path revoked? What is at hand is sifted, then asked.

Full CRLs, partitions and OCSP answers are read here; everything beyond
(indirect CRLs, lists of some reasons, deltas) is the engine's. A CRL that came with a message was
chosen by its sender: it counts only if a certificate of the path signed it, or
one that a certificate of the path issued itself.

Floor:  trust (uses report, policy, facts, ocsp, path)
Source: RFC 5280 §5 and §6.3, RFC 6960 §4.2, RFC 9608
"""

from __future__ import annotations

from datetime import UTC, datetime
from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509

from smime.errors import MalformedMail
from smime.policy import Revocation
from smime.report import Finding, Note
from smime.trust.crl import RevocationList
from smime.trust.evidence import MAX_CRL_OCTETS
from smime.trust.judge import Looked, Moment, digest_allowed
from smime.trust.ocsp import ocsp_status
from smime.trust.path import RevocationData, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from cryptography.x509.ocsp import OCSPResponse

    from smime.policy import Policy
    from smime.trust.crl import Numbers
    from smime.trust.facts import Cache, Facts

    _Lists: TypeAlias = Mapping[object, Sequence[RevocationList]]

__all__ = ["judge_revocation", "read_lists"]

MAX_SENT_CRLS = 64  # that came with a message; a path of eight with deltas has sixteen
MAX_CRL_SIGNATURE_CHECKS = 100  # for one path; honest ones need one for each CRL
_RULE = "RFC 5280 §6.3"
_EVER = datetime(5000, 1, 1, tzinfo=UTC)  # after all revocations, amid the calendar


def read_lists(crls: Sequence[bytes]) -> dict[object, list[RevocationList]]:
    """Read the CRLs that came with a message, by issuer; junk is passed over."""
    lists: dict[object, list[RevocationList]] = {}
    octets = 0
    for crl_der in crls[:MAX_SENT_CRLS]:
        octets += len(crl_der)
        if octets > MAX_CRL_OCTETS:
            break
        try:
            crl = RevocationList(crl_der)
        except MalformedMail:
            continue
        lists.setdefault(crl.issuer, []).append(crl)
    return lists


def judge_revocation(
    path: Sequence[Facts],
    *,
    at: datetime,
    lists: Sequence[_Lists],
    answers: Sequence[OCSPResponse],
    others: Sequence[Facts],
    policy: Policy,
    cache: Cache,
    numbers: Numbers,
    proof: str = "",
) -> Looked:
    """Look for what speaks of a path that is otherwise valid.

    ``others`` are certificates at hand that may belong to signers of indirect CRLs.
    ``proof`` is what proves ``at`` if it lies in the past, as in ``Claim``: then what
    was found out since is held against the path.
    """
    moment = Moment(at, proof)
    sifted = _Sifted(path, lists, others, policy, cache, numbers)
    looked = _judged(path, moment, sifted, answers, policy, cache)
    notes = tuple(Note("crl-number-back", text) for text in dict.fromkeys(sifted.problems))
    return looked._replace(notes=notes, ran=1)


def _judged(
    path: Sequence[Facts],
    moment: Moment,
    sifted: _Sifted,
    answers: Sequence[OCSPResponse],
    policy: Policy,
    cache: Cache,
) -> Looked:
    at = moment.at
    unknown: list[int] = []
    exempt = False
    for place, (one, issuer) in enumerate(pairwise(path)):
        status = _status_in_lists(one, sifted.direct.get(issuer.digest, ()), moment)
        if status != "revoked":
            answer = ocsp_status(one, issuer, answers, moment, policy=policy, cache=cache)
            status = answer if answer == "revoked" or not status else status
        if status == "revoked":
            return Looked(_revoked(path, place), place == 0)
        if not status and place == 0 and one.no_revocation and not one.ca:
            exempt = True  # a CA certificate has to have revocation (RFC 9608 §3)
        elif not status:
            unknown.append(place)
    if unknown and sifted.kept:
        data = RevocationData((crl.der for crl in sifted.kept), sifted.signers.values())
        still_unknown = []
        for place in unknown:
            result = validate(path[place:], at=at, revocation=data)
            # The engine does not say since when, so what it reads is undone by nothing.
            if result.kind == "revoked" or (
                moment.proof
                and validate(path[place:], at=_EVER, revocation=data, dates=False).kind == "revoked"
            ):
                return Looked(_revoked(path, place), place == 0)
            if result.kind != "ok":
                still_unknown.append(place)
        unknown = still_unknown
    if not unknown and exempt:
        why = (
            "does not apply: the signer's certificate says that its issuer revokes none of its kind"
        )
        return Looked(Finding.yes(f"revocation {why}", "RFC 9608 §4"))
    if not unknown:
        return Looked(Finding.yes("no certificate of the chain was revoked by its issuer", _RULE))
    whose = "the signer" if unknown[0] == 0 else path[unknown[0]].label
    reason = f"nothing at hand says whether the certificate of {whose} was revoked"
    if policy.revocation is Revocation.REQUIRE:
        finding = Finding.no("revocation-unknown", reason, _RULE)
    else:
        finding = Finding.open("revocation-unknown", reason, _RULE)
    return Looked(finding, unknown=tuple(unknown))


def _revoked(path: Sequence[Facts], place: int) -> Finding:
    whose = "the signer's certificate" if place == 0 else f"the certificate of {path[place].label}"
    return Finding.no("revoked", f"{whose} was revoked by {path[place + 1].label}", _RULE)


class _Sifted:
    """The CRLs that a path can vouch for, and who signed them."""

    def __init__(
        self,
        path: Sequence[Facts],
        lists: Sequence[_Lists],
        others: Iterable[Facts],
        policy: Policy,
        cache: Cache,
        numbers: Numbers,
    ) -> None:
        self.problems: list[str] = []
        """What is wrong with the numbers of the lists."""
        self._numbers = numbers
        self.kept: list[RevocationList] = []
        self.direct: dict[bytes, list[RevocationList]] = {}
        """By the digest of the certificate in the path whose key signed them."""
        self.signers: dict[bytes, Facts] = {}
        """Signers outside of the path, each issued by a certificate of it."""
        self._checks_left = MAX_CRL_SIGNATURE_CHECKS
        self._policy, self._cache = policy, cache
        inside = {one.digest for one in path}
        for one in path[1:]:
            self.direct[one.digest] = self._signed_by(one, lists)
            self.kept += self.direct[one.digest]
        for one in others:
            if one.digest in inside or not any(one.subject in group for group in lists):
                continue
            found = self._signed_by(one, lists)
            if found and any(
                cache.signed_by(one, parent) for parent in path[1:] if parent.subject == one.issuer
            ):
                self.kept += found
                self.signers[one.digest] = one

    def _signed_by(self, one: Facts, lists: Sequence[_Lists]) -> list[RevocationList]:
        found: list[RevocationList] = []
        if one.key_usage is not None and not one.key_usage.crl_sign:
            return found
        for group in lists:
            for crl in group.get(one.subject, ()):
                if self._checks_left <= 0:
                    return found
                self._checks_left -= 1
                digest = crl.signature_digest
                if digest is None or not digest_allowed(digest, self._policy):
                    continue
                if self._cache.list_signed_by(crl, one):
                    found.append(crl)
                    problem = self._numbers.problem(crl, one)
                    if problem:
                        self.problems.append(problem)
        return found


def _status_in_lists(one: Facts, lists: Sequence[RevocationList], moment: Moment) -> str:
    """Say ``good`` or ``revoked`` by direct CRLs of the issuer; empty if they do not tell."""
    good = doubt = False
    changes = any(crl.delta for crl in lists)
    for crl in lists:
        if not crl.speaks_for(one):
            continue
        current = crl.is_current(moment.at)
        try:
            entry = crl.entry(one.certificate.serial_number)
        except MalformedMail:
            doubt = True
            continue
        if entry is None:
            # A delta alone cannot say good, but it can say revoked, and the
            # engine would not find it.
            good = good or ((current or moment.covers(crl.begin, one)) and not crl.delta)
            continue
        revoked = _is_plain_revocation(entry, moment, final=current and not changes)
        if revoked:
            return "revoked"
        if revoked is False and moment.proof:
            good = True  # it was revoked, but only later
        else:
            doubt = True
    return "good" if good and not doubt else ""


def _is_plain_revocation(
    entry: x509.RevokedCertificate, moment: Moment, *, final: bool
) -> bool | None:
    """Say whether the certificate was revoked at this moment; None if the entry does not tell.

    Revocation is for good, so a CRL that is out of date shows it as well as a
    current one; only a hold may have been lifted since, or by a delta: it
    counts if this list is ``final``.
    """
    since = entry.revocation_date_utc
    reason = None
    for extension in entry.extensions:
        value = extension.value
        if isinstance(value, x509.CRLReason):
            reason = value.reason
            if reason is x509.ReasonFlags.remove_from_crl:
                return None
            if reason is x509.ReasonFlags.certificate_hold and not (final or moment.proof):
                return None
        elif isinstance(value, x509.InvalidityDate):
            since = min(since, value.invalidity_date_utc)
        elif isinstance(value, x509.CertificateIssuer) or extension.critical:
            return None
    if moment.counts(since, reason):
        return True
    return False if moment.proof else None
