"""OCSP answers at hand: what they say of one certificate, if they may speak for it.

Floor:  trust (uses policy, facts, judge)
Source: RFC 6960 §3.2, §4.2.2.2; RFC 9919 for the hashes that name a certificate
"""

from __future__ import annotations

from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.x509 import ReasonFlags, ocsp
from cryptography.x509.oid import ExtendedKeyUsageOID

from smime.trust.facts import UNREADABLE
from smime.trust.judge import Moment, digest_allowed

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from smime.policy import Policy
    from smime.trust.facts import Cache, Facts

__all__ = ["ocsp_status", "read_answers"]

MAX_SENT_RESPONSES = 20  # that came with a message; a path of eight needs seven
MAX_SENT_OCTETS = 100_000  # of one of them; with a responder's certificate inside it has 2,000

MAX_RESPONDER_CERTIFICATES = 5  # in one response; one is enough
# An answer without nextUpdate says "newer ones are always to be had" (RFC 6960 §4.2.2.1).
LIFETIME_WITHOUT_END = timedelta(hours=24)
_OCSP_SIGNING = ExtendedKeyUsageOID.OCSP_SIGNING.dotted_string


def read_answers(responses: Sequence[bytes]) -> list[ocsp.OCSPResponse]:
    """Read the OCSP responses that came with a message; junk is passed over."""
    answers = []
    for response_der in responses[:MAX_SENT_RESPONSES]:
        if len(response_der) > MAX_SENT_OCTETS:
            continue
        try:
            response = ocsp.load_der_ocsp_response(response_der)
        except UNREADABLE:
            continue
        if response.response_status is ocsp.OCSPResponseStatus.SUCCESSFUL:
            answers.append(response)
    return answers


def ocsp_status(
    one: Facts,
    issuer: Facts,
    answers: Sequence[ocsp.OCSPResponse],
    moment: Moment,
    *,
    policy: Policy,
    cache: Cache,
) -> str:
    """Say ``good`` or ``revoked`` by the answers for this very certificate; else empty.

    An answer counts if the issuer's own key signed it, or a certificate that
    the issuer made for this purpose. ``unknown`` is not ``good``.
    """
    good = False
    for response in answers:
        try:
            statuses = _statuses(response, one, issuer, moment)
            if not statuses or not _may_answer(
                response,
                issuer,
                # What was found out later was said by who was its responder then.
                at=None if moment.proof and "revoked" in statuses else moment.at,
                policy=policy,
                cache=cache,
                revoked="revoked" in statuses,
            ):
                continue
        except UNREADABLE:
            continue
        if "revoked" in statuses:
            return "revoked"
        good = good or statuses == {"good"}
    return "good" if good else ""


def _statuses(response: ocsp.OCSPResponse, one: Facts, issuer: Facts, moment: Moment) -> set[str]:
    """Return what the response says of this certificate at this moment."""
    found = set()
    at = moment.at
    for single in response.responses:
        if single.serial_number != one.certificate.serial_number:
            continue
        # The library computes both hashes of the issuer as a request would.
        asked = (
            ocsp.OCSPRequestBuilder()
            .add_certificate(one.certificate, issuer.certificate, single.hash_algorithm)
            .build()
        )
        if (single.issuer_name_hash, single.issuer_key_hash) != (
            asked.issuer_name_hash,
            asked.issuer_key_hash,
        ):
            continue
        begin = single.this_update_utc
        end = single.next_update_utc or begin + LIFETIME_WITHOUT_END
        current = begin <= at <= end
        if single.certificate_status is ocsp.OCSPCertStatus.REVOKED:
            when = single.revocation_time_utc
            # Revocation is for good, however old the answer; only a hold may be lifted.
            reason = single.revocation_reason
            hold = reason is ReasonFlags.certificate_hold
            if (current or moment.proof or not hold) and (
                when is None or moment.counts(when, reason)
            ):
                found.add("revoked")
            elif moment.proof:
                found.add("good")  # it was revoked, but only later
            elif current:
                found.add("unknown")
        elif current or moment.covers(begin, one):
            is_good = single.certificate_status is ocsp.OCSPCertStatus.GOOD
            found.add("good" if is_good else "unknown")
    return found


def _may_answer(
    response: ocsp.OCSPResponse,
    issuer: Facts,
    *,
    at: datetime | None,
    policy: Policy,
    cache: Cache,
    revoked: bool,
) -> bool:
    digest = response.signature_hash_algorithm
    if digest is not None and not digest_allowed(digest.name, policy):
        return False
    if _signed_by(response, issuer):
        return True
    for certificate in response.certificates[:MAX_RESPONDER_CERTIFICATES]:
        responder = cache.facts(certificate)
        begin_end = responder.validity
        if (
            responder.unusable
            or begin_end is None
            or (at is not None and not begin_end[0] <= at <= begin_end[1])
            or _OCSP_SIGNING not in (responder.purposes or ())
            or (responder.key_usage is not None and not responder.key_usage.digital_signature)
            or responder.issuer != issuer.subject
        ):
            continue
        # Who cannot be shown to be unrevoked itself may say revoked, but not good.
        if not (responder.ocsp_no_check or revoked):
            continue
        if cache.signed_by(responder, issuer) and _signed_by(response, responder):
            return True
    return False


def _signed_by(response: ocsp.OCSPResponse, one: Facts) -> bool:
    key, digest = one.public_key, response.signature_hash_algorithm
    signature, signed = response.signature, response.tbs_response_bytes
    try:
        if isinstance(key, rsa.RSAPublicKey) and digest is not None:
            # RSASSA-PSS answers fail here and so say nothing; nobody writes them.
            key.verify(signature, signed, padding.PKCS1v15(), digest)
        elif isinstance(key, ec.EllipticCurvePublicKey) and digest is not None:
            key.verify(signature, signed, ec.ECDSA(digest))
        elif digest is None and one.verifies_without_digest:
            key.verify(signature, signed)  # type: ignore[union-attr, call-arg]
        else:
            return False
    except (InvalidSignature, *UNREADABLE):
        return False
    return True
