"""What mail asks of a certificate beyond its chain: use, strength, dates, address.

``CODES`` lists every code that a finding of this floor can have.

Floor:  trust (uses report, protocols, policy, keys, facts)
Source: RFC 8550 §3, §4.4; RFC 5280 §4.1.2.5, §4.2.1.3, §4.2.1.12; RFC 8551 §2, §4
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cache
from typing import TYPE_CHECKING, NamedTuple

from cryptography.hazmat.primitives.asymmetric import ec, mlkem, rsa, x448, x25519
from cryptography.x509 import ReasonFlags

from smime.keys.address import same_address
from smime.policy import Revocation
from smime.report import Finding
from smime.trust.chain import ANY_PURPOSE, CURVES, MAIL, STRONG_DIGESTS, Chain

if TYPE_CHECKING:
    from collections.abc import Sequence

    from smime.policy import Policy
    from smime.protocols import Claim
    from smime.report import Note
    from smime.trust.facts import Facts

__all__ = [
    "CODES",
    "Looked",
    "Moment",
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
    "anchor-distrusted": "the system trusts the anchor only for older certificates",
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
    "usage-wrong": "the key usage does not allow what the key is used for",
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
    "not-asked": "the caller did not ask for it",
}

_EKU_RULE = "RFC 8550 §4.4.4"
_MAY_SIGN = Finding.yes("the key may sign mail", "RFC 8550 §4.4")
_MAY_ENCRYPT = Finding.yes("mail may be sealed to the key", "RFC 8550 §4.4")
_NOT_ASKED = Finding.open("not-asked", "no address was asked for", "RFC 8550 §3")
_DATES_RULE = "RFC 5280 §4.1.2.5"
_AGREEING_KEYS = (ec.EllipticCurvePublicKey, x25519.X25519PublicKey, x448.X448PublicKey)
# Keys that can only be sealed to: nothing in a chain is signed by one.
_SEALING_KEYS = (
    x25519.X25519PublicKey,
    x448.X448PublicKey,
    mlkem.MLKEM768PublicKey,
    mlkem.MLKEM1024PublicKey,
)


def judge_usage(chain: Sequence[Facts], claim: Claim, *, purposes: bool = True) -> Finding:
    """May the key be used as claimed, and is everything it rests on strong enough?

    ``chain`` is leaf first, anchor last, or the leaf alone. Keys of the whole
    chain are judged, and all signatures but the anchor's own (RFC 8550 §4.4).
    ``purposes=False`` leaves the extended key usage out.
    """
    policy, digest = claim.policy, claim.digest_algorithm
    if claim.use == "sign" and claim.purpose == "mail" and isinstance(chain, Chain):
        bits = chain.mail_rsa_bits
        if (
            bits is not None
            and policy.rsa_bits_min <= bits[0]
            and bits[1] <= policy.rsa_bits_max
            and digest in STRONG_DIGESTS
        ):
            return _MAY_SIGN  # what follows would find nothing
    encrypts = claim.use == "encrypt"
    if not encrypts and claim.use != "sign":
        raise ValueError(f"use={claim.use!r} of a claim: choose sign or encrypt")
    leaf = chain[0]
    if leaf.unusable:
        return Finding.no(
            "certificate-malformed",
            f"the use of the certificate cannot be told: {leaf.unusable}",
            "RFC 5280 §4.2",
        )
    if not (_may_encrypt(leaf) if encrypts else _may_sign(leaf)):
        what = "encryption" if encrypts else "signatures"
        return Finding.no(
            "usage-wrong", f"the certificate's key is not meant for {what}", "RFC 8550 §4.4.2"
        )
    wanted = MAIL if claim.purpose == "mail" else frozenset({claim.purpose, ANY_PURPOSE})
    for one in chain if purposes and claim.purpose != "any" else ():
        found = one.purposes
        if found is not None and found.isdisjoint(wanted):
            who = "the certificate is" if one is leaf else f"certificates of {one.label} are"
            return Finding.no("eku-wrong", f"{who} not meant for {claim.purpose}", _EKU_RULE)
    if not encrypts and not digest_allowed(digest, policy):
        return Finding.no("weak-algorithm", f"the signature uses {_spell(digest)}", "RFC 8551 §2.1")
    for one in chain:
        if encrypts and one is leaf and isinstance(one.public_key, _SEALING_KEYS):
            continue
        problem = _key_problem(one, policy, one is leaf)
        if problem:
            return problem
    for one in chain[:-1]:
        signed = one.signature_digest
        if signed is None or not digest_allowed(signed, policy):
            return _signature_problem(one, signed, one is leaf)
    return _MAY_ENCRYPT if encrypts else _MAY_SIGN


def _may_sign(leaf: Facts) -> bool:
    usage = leaf.key_usage
    return usage is None or usage.digital_signature or usage.content_commitment


def _may_encrypt(leaf: Facts) -> bool:
    """RSA and ML-KEM keys transport, EC and X keys agree (RFC 8550 §4.4.2, RFC 9935)."""
    usage, key = leaf.key_usage, leaf.public_key
    if isinstance(key, (rsa.RSAPublicKey, mlkem.MLKEM768PublicKey, mlkem.MLKEM1024PublicKey)):
        return usage is None or usage.key_encipherment
    if isinstance(key, _AGREEING_KEYS):
        return usage is None or usage.key_agreement
    return False


def _key_problem(one: Facts, policy: Policy, is_leaf: bool) -> Finding | None:
    kind, size = one.strength
    if kind == "rsa":
        assert isinstance(size, int)
        if policy.rsa_bits_min <= size <= policy.rsa_bits_max:
            return None
        what = f"the RSA key of {_who(one, is_leaf)} has {size} bits"
        if size < policy.rsa_bits_min:
            what += f"; at least {policy.rsa_bits_min} are asked"
            return Finding.no("key-too-small", what, "RFC 8550 §4.3")
        what += f"; at most {policy.rsa_bits_max} are read"
        return Finding.no("key-too-large", what, "RFC 8550 §4.3")
    if kind == "other" or (kind == "ec" and size in CURVES):
        return None
    if kind == "dsa" and "dsa" in policy.weak:
        return None
    what = f"an EC key on {size}" if kind == "ec" else str(size)
    return Finding.no(
        "weak-algorithm",
        f"{_who(one, is_leaf)} has {what}, which is not accepted",
        "RFC 8550 §4.3",
    )


def _signature_problem(one: Facts, digest: str | None, is_leaf: bool) -> Finding:
    what = "by an algorithm unknown here" if digest is None else f"with {_spell(digest)}"
    reason = f"the certificate of {_who(one, is_leaf)} is signed {what}"
    return Finding.no("weak-algorithm", reason, "RFC 8550 §4.3")


def _who(one: Facts, is_leaf: bool) -> str:
    return "the signer" if is_leaf else one.label


def digest_allowed(digest: str, policy: Policy) -> bool:
    """Say whether signatures with this digest, ``sha256``, are believed."""
    if digest in STRONG_DIGESTS:
        return True
    name = digest.lower()
    # An algorithm without a digest of its own (Ed25519, ML-DSA) names none.
    return not name or name in STRONG_DIGESTS or name in policy.weak


def _spell(digest: str) -> str:
    return f"{digest.upper().replace('SHA', 'SHA-', 1)}, which is too weak or unknown here"


def judge_time(chain: Sequence[Facts], at: datetime) -> Finding:
    """Were all certificates of the chain valid at ``at``, both ends included?"""
    rule = "RFC 5280 §4.1.2.5"
    leaf = chain[0]
    if isinstance(chain, Chain) and chain.lasts and chain.lasts[0] <= at <= chain.lasts[1]:
        return leaf.in_time
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
    return leaf.in_time


def judge_address(claim: Claim, leaf: Facts, *, pinned_sender: str | None = None) -> Finding:
    """Does the certificate name the sender? ``pinned_sender`` stands in for what it names."""
    rule = "RFC 8550 §3"
    if not claim.sender_asked:
        return _NOT_ASKED
    if claim.sender is None:
        reason = claim.sender_reason or "the mail has not exactly one sender"
        return Finding.no("sender-unknown", reason, rule)
    if pinned_sender is None and (found := leaf.naming.get(claim.sender)) is not None:
        return found
    if pinned_sender is not None:
        names: tuple[str, ...] = (pinned_sender,)
        who = "the key was pinned for"
    else:
        names = leaf.addresses
        who = "the certificate names"
    any_case = claim.policy.local_part == "any-case"
    for name in names:
        # What a key was pinned for may be no mail address: AS2 names its partners otherwise.
        if name == pinned_sender == claim.sender or same_address(
            claim.sender, name, any_case=any_case
        ):
            return Finding.yes(f"{who} {name}", rule)
    if not names:
        return Finding.no(
            "no-address", f"the certificate names no address, so not {claim.sender}", rule
        )
    shown = ", ".join(names[:3]) + (" and others" if len(names) > 3 else "")
    return Finding.no("address-differs", f"{who} {shown}, not {claim.sender}", rule)


class Looked(NamedTuple):
    """What was found of the revocation of a path."""

    finding: Finding
    revoked: bool = False
    """The leaf itself was revoked."""
    notes: tuple[Note, ...] = ()
    unknown: tuple[int, ...] = ()
    """Places in the path, leaf first, of which nothing at hand tells."""
    ran: int = 0
    """How often lists were gone through: that is what takes time."""


# Who has a stolen key can have written any date; and who gives no reason may mean that.
_COMPROMISE = frozenset(
    {
        None,
        ReasonFlags.unspecified,
        ReasonFlags.key_compromise,
        ReasonFlags.ca_compromise,
        ReasonFlags.aa_compromise,
    }
)


@dataclass(frozen=True, slots=True)
class Moment:
    """The moment that revocation is judged for, and what proves it, as in ``Claim``."""

    at: datetime
    proof: str = ""

    def counts(self, since: datetime, reason: ReasonFlags | None) -> bool:
        """Say whether a revocation with this date, or one before, is held against the claim.

        A mere claim does not undo the compromise of a key; a time stamp does, if it is older.
        """
        return since <= self.at or (self.proof == "received" and reason in _COMPROMISE)

    def covers(self, said_at: datetime, one: Facts) -> bool:
        """Say whether "not revoked", said at that time, holds for this earlier moment too.

        Only while the certificate had not expired: lists forget those that have.
        """
        return (
            bool(self.proof) and one.validity is not None and self.at <= said_at <= one.validity[1]
        )


def revocation_not_asked(policy: Policy, why: str) -> Finding:
    """Return the open finding of a chain whose revocation is not looked at."""
    if policy.revocation is Revocation.OFF:
        why = "revocation was not checked: the policy does not ask for it"
    return _not_checked(why)


@cache  # a handful of sentences
def _not_checked(why: str) -> Finding:
    return Finding.open("revocation-not-checked", why, "RFC 5280 §6.3")


def whole_seconds(at: datetime) -> datetime:
    """Return the moment in UTC without its fraction; dates in certificates have none.

    Raises ``ValueError`` for a moment without a time zone.
    """
    if at.tzinfo is not UTC and at.utcoffset() is None:
        raise ValueError(f"at={at!r} has no time zone: use datetime(..., tzinfo=UTC)")
    return (at if at.tzinfo is UTC else at.astimezone(UTC)).replace(microsecond=0)
