"""What mail asks of a certificate beyond its chain: use, strength, dates, address.

``CODES`` lists every code that a finding of this floor can have.

Floor:  trust (uses report, protocols, policy, keys, facts)
Source: RFC 8550 §3, §4.4; RFC 5280 §4.1.2.5, §4.2.1.3, §4.2.1.12; RFC 8551 §2, §4
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from cryptography.hazmat.primitives.asymmetric import dsa, ec, ed448, ed25519, mldsa, rsa
from cryptography.x509.oid import ExtendedKeyUsageOID

from smime.keys.address import certificate_addresses, same_address
from smime.policy import Revocation
from smime.report import Finding

if TYPE_CHECKING:
    from collections.abc import Sequence
    from datetime import datetime

    from smime.policy import Policy
    from smime.protocols import Claim
    from smime.trust.facts import Facts

__all__ = [
    "CODES",
    "digest_allowed",
    "judge_address",
    "judge_time",
    "judge_usage",
    "revocation_not_asked",
    "whole_seconds",
]

CODES = {
    "ok": "the answer is yes",
    # path
    "no-anchor": "no chain leads from the certificate to an anchor that was given",
    "path-invalid": "a chain leads to an anchor, but it breaks a rule of RFC 5280",
    "name-constraints": "a CA of the chain may not certify a name in it",
    "search-limit": "no chain was found before the limits of the search were reached",
    "certificate-malformed": "the certificate cannot be read, or asks for what is unknown here",
    "pinned-differs": "the certificate is not the one that was pinned",
    "no-trust": "no trust was given, so nobody vouches for the certificate",
    # revocation
    "revoked": "a certificate of the chain was revoked",
    "revocation-unknown": "nothing at hand says whether a certificate of the chain was revoked",
    "revocation-not-checked": "the policy does not ask for it, or there is nothing to check with",
    # usage
    "usage-wrong": "the key usage does not allow signatures",
    "eku-wrong": "a certificate of the chain is not meant for mail",
    "key-too-small": "an RSA key of the chain is smaller than the policy allows",
    "key-too-large": "an RSA key of the chain is larger than the policy allows",
    "weak-algorithm": "an algorithm of the signature or the chain is weak or unknown here",
    # time
    "not-yet-valid": "the signer's certificate is valid only from a later moment on",
    "expired": "the signer's certificate has expired",
    "chain-expired": "another certificate of the chain has expired, or is not yet valid",
    # address
    "address-differs": "the certificate names other addresses than the sender",
    "no-address": "the certificate names no address",
    "sender-unknown": "the mail has not exactly one sender to compare with",
    "not-asked": "the caller asked for no address",
}

_EMAIL_PROTECTION = ExtendedKeyUsageOID.EMAIL_PROTECTION.dotted_string
_ANY_PURPOSE = ExtendedKeyUsageOID.ANY_EXTENDED_KEY_USAGE.dotted_string
_CURVES = {
    "secp256r1",
    "secp384r1",
    "secp521r1",
    "brainpoolP256r1",
    "brainpoolP384r1",
    "brainpoolP512r1",
}
_STRONG_DIGESTS = {"sha224", "sha256", "sha384", "sha512", "shake256"} | {
    f"sha3-{bits}" for bits in (224, 256, 384, 512)
}
_OTHER_KEYS = (
    ed25519.Ed25519PublicKey,
    ed448.Ed448PublicKey,
    mldsa.MLDSA44PublicKey,
    mldsa.MLDSA65PublicKey,
    mldsa.MLDSA87PublicKey,
)


def judge_usage(
    chain: Sequence[Facts], policy: Policy, digest: str, *, purposes_asked: bool = True
) -> Finding:
    """May the key sign mail, and is everything it rests on strong enough?

    ``chain`` is leaf first, anchor last, or the leaf alone; ``digest`` is the
    one under the signature. Keys of the whole chain are judged, and all
    signatures but the anchor's own (RFC 8550 §4.4). ``purposes_asked=False``
    leaves out what the certificates are meant for.
    """
    leaf = chain[0]
    if leaf.unusable:
        return Finding.no(
            "certificate-malformed",
            f"the use of the certificate cannot be told: {leaf.unusable}",
            "RFC 5280 §4.2",
        )
    usage = leaf.key_usage
    if usage is not None and not (usage.digital_signature or usage.content_commitment):
        return Finding.no(
            "usage-wrong", "the certificate's key is not meant for signatures", "RFC 8550 §4.4.2"
        )
    for one in chain if purposes_asked else ():
        purposes = one.purposes
        if purposes is not None and not purposes & {_EMAIL_PROTECTION, _ANY_PURPOSE}:
            who = "the certificate is" if one is leaf else f"certificates of {one.label} are"
            return Finding.no("eku-wrong", f"{who} not meant for mail", "RFC 8550 §4.4.4")
    if not digest_allowed(digest, policy):
        return Finding.no("weak-algorithm", f"the signature uses {_spell(digest)}", "RFC 8551 §2.1")
    for one in chain:
        problem = _key_problem(one, policy, "the signer" if one is leaf else one.label)
        if problem:
            return problem
    for one in chain[:-1]:
        problem = _signature_problem(one, policy, "the signer" if one is leaf else one.label)
        if problem:
            return problem
    return Finding.yes("the key may sign mail", "RFC 8550 §4.4")


def _key_problem(one: Facts, policy: Policy, whose: str) -> Finding | None:
    key = one.public_key
    if isinstance(key, rsa.RSAPublicKey):
        bits = key.key_size
        if bits < policy.rsa_bits_min:
            return Finding.no(
                "key-too-small",
                f"the RSA key of {whose} has {bits} bits; at least {policy.rsa_bits_min} are asked",
                "RFC 8550 §4.3",
            )
        if bits > policy.rsa_bits_max:
            return Finding.no(
                "key-too-large",
                f"the RSA key of {whose} has {bits} bits; at most {policy.rsa_bits_max} are read",
                "RFC 8550 §4.3",
            )
        return None
    if isinstance(key, ec.EllipticCurvePublicKey):
        if key.curve.name in _CURVES:
            return None
        what = f"an EC key on {key.curve.name}"
    elif isinstance(key, _OTHER_KEYS):
        return None
    elif isinstance(key, dsa.DSAPublicKey):
        if "dsa" in policy.weak:
            return None
        what = "a DSA key"
    else:
        what = "a key of a kind unknown here"
    return Finding.no(
        "weak-algorithm", f"{whose} has {what}, which is not accepted", "RFC 8550 §4.3"
    )


def _signature_problem(one: Facts, policy: Policy, whose: str) -> Finding | None:
    digest = one.signature_digest
    if digest is not None and digest_allowed(digest, policy):
        return None
    what = "by an algorithm unknown here" if digest is None else f"with {_spell(digest)}"
    return Finding.no(
        "weak-algorithm", f"the certificate of {whose} is signed {what}", "RFC 8550 §4.3"
    )


def digest_allowed(digest: str, policy: Policy) -> bool:
    """Say whether signatures with this digest, ``sha256``, are believed."""
    name = digest.lower()
    # An algorithm without a digest of its own (Ed25519, ML-DSA) names none.
    return not name or name in _STRONG_DIGESTS or name in policy.weak


def _spell(digest: str) -> str:
    return f"{digest.upper().replace('SHA', 'SHA-', 1)}, which is too weak or unknown here"


def judge_time(chain: Sequence[Facts], at: datetime) -> Finding:
    """Were all certificates of the chain valid at ``at``, both ends included?"""
    rule = "RFC 5280 §4.1.2.5"
    leaf = chain[0]
    if leaf.validity is None:
        return Finding.no("certificate-malformed", "the certificate's dates cannot be read", rule)
    for one in chain:
        if one.validity is None:
            continue  # such a certificate is in no path
        begin, end = one.validity
        if begin <= at <= end:
            continue
        whose = "the signer's certificate" if one is leaf else f"the certificate of {one.label}"
        if at < begin:
            code, what = "not-yet-valid", f"is valid only from {begin:%Y-%m-%d %H:%M} UTC on"
        else:
            code, what = "expired", f"expired on {end:%Y-%m-%d}"
        return Finding.no(code if one is leaf else "chain-expired", f"{whose} {what}", rule)
    begin, end = leaf.validity
    return Finding.yes(f"the certificate is valid from {begin:%Y-%m-%d} to {end:%Y-%m-%d}", rule)


def judge_address(claim: Claim, leaf: Facts, *, pinned_sender: str | None = None) -> Finding:
    """Does the certificate name the sender? ``pinned_sender`` stands in for what it names."""
    rule = "RFC 8550 §3"
    if not claim.sender_asked:
        return Finding.open("not-asked", "no address was asked for", rule)
    if claim.sender is None:
        reason = claim.sender_reason or "the mail has not exactly one sender"
        return Finding.no("sender-unknown", reason, rule)
    if pinned_sender is not None:
        names: tuple[str, ...] = (pinned_sender,)
        who = "the key was pinned for"
    else:
        # What cannot be read whole names nobody.
        names = () if leaf.problem else certificate_addresses(leaf.certificate)
        who = "the certificate names"
    for name in names:
        # What a key was pinned for may be no mail address: AS2 names its partners otherwise.
        if name == pinned_sender == claim.sender or same_address(claim.sender, name):
            return Finding.yes(f"{who} {name}", rule)
    if not names:
        return Finding.no(
            "no-address", f"the certificate names no address, so not {claim.sender}", rule
        )
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return Finding.no("address-differs", f"{who} {shown}, not {claim.sender}", rule)


def revocation_not_asked(policy: Policy, why: str) -> Finding:
    """Return the open finding of a chain whose revocation is not looked at."""
    if policy.revocation is Revocation.OFF:
        why = "revocation was not checked: the policy does not ask for it"
    return Finding.open("revocation-not-checked", why, "RFC 5280 §6.3")


def whole_seconds(at: datetime) -> datetime:
    """Return the moment in UTC without its fraction; dates in certificates have none.

    Raises ``ValueError`` for a moment without a time zone.
    """
    from datetime import UTC

    if at.utcoffset() is None:
        raise ValueError(f"at={at!r} has no time zone: use datetime(..., tzinfo=UTC)")
    return at.astimezone(UTC).replace(microsecond=0)
