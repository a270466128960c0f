"""Was a certificate of the path revoked? What is at hand is sifted, then asked.

Plain full CRLs and OCSP answers are read here; everything beyond (indirect
CRLs, partitions, deltas) is the engine's. A CRL that came with a message was
chosen by its sender: it counts only if a certificate of the path signed it, or
one that a certificate of the path issued itself.

Floor:  trust (uses report, policy, facts, ocsp, path)
Source: RFC 5280 §5 and §6.3, RFC 6960 §4.2, RFC 9608
"""

from __future__ import annotations

from itertools import pairwise
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import dsa
from cryptography.hazmat.primitives.serialization import Encoding

from smime.policy import Revocation
from smime.report import Finding
from smime.trust.evidence import MAX_CRL_OCTETS
from smime.trust.facts import UNREADABLE, name_key
from smime.trust.judge import digest_allowed
from smime.trust.ocsp import ocsp_status
from smime.trust.path import RevocationData, validate

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import TypeAlias

    from cryptography.x509.ocsp import OCSPResponse

    from smime.policy import Policy
    from smime.trust.facts import Cache, Facts

    _Lists: TypeAlias = Mapping[object, Sequence[x509.CertificateRevocationList]]

__all__ = ["judge_revocation", "read_lists"]

MAX_SENT_CRLS = 64  # that came with a message; a path of eight with deltas has sixteen
MAX_CRL_SIGNATURE_CHECKS = 100  # for one path; honest ones need one for each CRL
_RULE = "RFC 5280 §6.3"
_HARMLESS = {x509.CRLNumber.oid, x509.AuthorityKeyIdentifier.oid}


def read_lists(crls: Sequence[bytes]) -> dict[object, list[x509.CertificateRevocationList]]:
    """Read the CRLs that came with a message, by issuer; junk is passed over."""
    lists: dict[object, list[x509.CertificateRevocationList]] = {}
    octets = 0
    for crl_der in crls[:MAX_SENT_CRLS]:
        octets += len(crl_der)
        if octets > MAX_CRL_OCTETS:
            break
        try:
            crl = x509.load_der_x509_crl(crl_der)
            lists.setdefault(name_key(crl.issuer), []).append(crl)
        except UNREADABLE:
            continue
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
) -> tuple[Finding, bool]:
    """Return the finding for a path that is otherwise valid, and if the leaf itself is revoked.

    ``others`` are certificates at hand that may belong to signers of indirect CRLs.
    """
    sifted = _Sifted(path, lists, others, policy, cache)
    unknown: list[int] = []
    for place, (one, issuer) in enumerate(pairwise(path)):
        status = _status_in_lists(one, sifted.direct.get(issuer.digest, ()), at)
        if status != "revoked":
            answer = ocsp_status(one, issuer, answers, at=at, policy=policy, cache=cache)
            status = answer if answer == "revoked" or not status else status
        if status == "revoked":
            return _revoked(path, place), place == 0
        # A CA certificate has to have revocation (RFC 9608 §3).
        if not status and not (one.no_revocation and not one.ca):
            unknown.append(place)
    if unknown and sifted.kept:
        data = RevocationData(
            (crl.public_bytes(Encoding.DER) for crl in sifted.kept), sifted.signers.values()
        )
        still_unknown = []
        for place in unknown:
            result = validate(path[place:], at=at, revocation=data)
            if result.kind == "revoked":
                return _revoked(path, place), place == 0
            if result.kind != "ok":
                still_unknown.append(place)
        unknown = still_unknown
    if not unknown:
        return Finding.yes("no certificate of the chain was revoked by its issuer", _RULE), False
    whose = "the signer" if unknown[0] == 0 else path[unknown[0]].label
    reason = f"nothing at hand says whether the certificate of {whose} was revoked"
    if policy.revocation is Revocation.REQUIRE:
        return Finding.no("revocation-unknown", reason, _RULE), False
    return Finding.open("revocation-unknown", reason, _RULE), False


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
    ) -> None:
        self.kept: list[x509.CertificateRevocationList] = []
        self.direct: dict[bytes, list[x509.CertificateRevocationList]] = {}
        """By the digest of the certificate in the path whose key signed them."""
        self.signers: dict[bytes, Facts] = {}
        """Signers outside of the path, each issued by a certificate of it."""
        self._checks_left = MAX_CRL_SIGNATURE_CHECKS
        inside = {one.digest for one in path}
        for one in path[1:]:
            self.direct[one.digest] = self._signed_by(one, lists, policy)
            self.kept += self.direct[one.digest]
        for one in others:
            if one.digest in inside or not any(one.subject in group for group in lists):
                continue
            found = self._signed_by(one, lists, policy)
            if found and any(
                cache.signed_by(one, parent) for parent in path[1:] if parent.subject == one.issuer
            ):
                self.kept += found
                self.signers[one.digest] = one

    def _signed_by(
        self, one: Facts, lists: Sequence[_Lists], policy: Policy
    ) -> list[x509.CertificateRevocationList]:
        found: list[x509.CertificateRevocationList] = []
        for group in lists:
            for crl in group.get(one.subject, ()):
                if self._checks_left <= 0:
                    return found
                self._checks_left -= 1
                if _signature_holds(crl, one, policy):
                    found.append(crl)
        return found


def _signature_holds(crl: x509.CertificateRevocationList, one: Facts, policy: Policy) -> bool:
    if one.key_usage is not None and not one.key_usage.crl_sign:
        return False
    try:
        digest = crl.signature_hash_algorithm
        if digest is not None and not digest_allowed(digest.name, policy):
            return False
        if isinstance(one.public_key, dsa.DSAPublicKey) and digest is not None:
            # The library calls every list of such a key wrong.
            one.public_key.verify(crl.signature, crl.tbs_certlist_bytes, digest)
            return True
        return crl.is_signature_valid(one.public_key)  # type: ignore[arg-type]
    except (InvalidSignature, *UNREADABLE):
        return False


def _status_in_lists(
    one: Facts, lists: Sequence[x509.CertificateRevocationList], at: datetime
) -> str:
    """Say ``good`` or ``revoked`` by plain CRLs of the issuer; empty if they do not tell."""
    good = doubt = False
    for crl in lists:
        try:
            kinds = {extension.oid for extension in crl.extensions}
            delta = x509.DeltaCRLIndicator.oid in kinds
            # Partitions and indirect lists are the engine's. A delta alone cannot
            # say good, but it can say revoked, and the engine would not find it.
            if not delta and kinds - _HARMLESS:
                continue
            current = _is_current(crl, at)
            entry = crl.get_revoked_certificate_by_serial_number(one.certificate.serial_number)
            if entry is None:
                good = good or (current and not delta)
            elif _is_plain_revocation(entry, at, current):
                return "revoked"
            else:
                doubt = True
        except UNREADABLE:
            continue
    return "good" if good and not doubt else ""


def _is_current(crl: x509.CertificateRevocationList, at: datetime) -> bool:
    end = crl.next_update_utc
    return end is not None and crl.last_update_utc <= at < end


def _is_plain_revocation(entry: x509.RevokedCertificate, at: datetime, current: bool) -> bool:
    """Say whether the certificate was revoked at this moment.

    Revocation is for good, so a CRL that is out of date shows it as well as a
    current one; only a hold may have been lifted since.
    """
    since = entry.revocation_date_utc
    for extension in entry.extensions:
        value = extension.value
        if isinstance(value, x509.CRLReason):
            if value.reason is x509.ReasonFlags.remove_from_crl:
                return False
            if value.reason is x509.ReasonFlags.certificate_hold and not current:
                return False
        elif isinstance(value, x509.InvalidityDate):
            since = min(since, value.invalidity_date_utc)
        elif isinstance(value, x509.CertificateIssuer) or extension.critical:
            return False
    return since <= at
