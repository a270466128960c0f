"""What an OpenPGP signature is worth: whether its key could speak for the sender when it signed.

gpg says that a signature holds, and of the key what is so today. Judged here is
what was so at the time the signature was made, as its maker says: the key and
its subkey had been made and bound, had not expired, and were not revoked. A
revocation because a key was superseded or retired counts from its date; one
because it was stolen, or without a reason, from ever.

Floor:  pgp (uses keys, policy, protocols, report)
Source: RFC 9580 §5.2.3.13 for expiry, §5.2.3.31 for revocation, §9.5 and §12 for
        what is weak
"""

from __future__ import annotations

from dataclasses import replace
from typing import TYPE_CHECKING

from smime.keys.address import same_address
from smime.pgp.backend import STRONG_DIGESTS
from smime.protocols import Judgement
from smime.report import Finding

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime

    from smime.pgp.backend import SignatureFacts
    from smime.pgp.listing import KeyFacts, Subkey, UserId
    from smime.policy import Policy
    from smime.protocols import PgpClaim

__all__ = ["judge", "judge_pinned", "unfit_to_read", "unknown_key", "weakness"]

DSA_BITS_MIN = 2048  # FIPS 186-4 §4.2; 1024 bits with SHA-1 is what old keys have
_OLD = {"dsa": "a DSA", "elgamal": "an ElGamal"}
FUTURE_SECONDS = 300  # clocks differ; mail that is signed later than that is not signed yet
_WHOSE, _NAMES = "RFC 9580 §12", "RFC 9580 §5.11"
# Digests that a policy may allow, by the name under which it does.
_WEAK = {"sha1": "sha1", "ripemd160": "sha1", "md5": "md5"}


def judge(
    facts: KeyFacts,
    claim: PgpClaim,
    speaks_for: Callable[[UserId], bool],
    *,
    dates: bool = True,
) -> Judgement:
    """Judge a signature that holds, by this key; or whether mail may be sealed to it.

    ``speaks_for`` says which user IDs count; without ``dates`` it does not count that
    the key expired.
    """
    if claim.use == "encrypt":
        return _judge_reader(facts, claim, speaks_for)
    if not dates:
        facts = _without_end(facts)
    signature = claim.signature
    key = facts.find(signature.key)
    made = signature.created
    if key is None or made is None or signature.primary != facts.fingerprint:
        return unknown_key(claim)
    revocation = _judge_revocation(facts, key, made)
    time = _judge_time(facts, key, signature, made, claim)
    if not (revocation.accepted and time.accepted):
        signature = replace(signature, loose=False)  # why others refuse it is said already
    return Judgement(
        path=Finding.yes(f"the keyring has the key {facts.fingerprint}", "RFC 9580 §12"),
        revocation=revocation,
        usage=_judge_usage(facts, key, signature, claim.policy),
        address=_judge_address(facts, claim, made, speaks_for),
        time=time,
    )


def judge_pinned(
    claim: PgpClaim, fingerprint: str, *, sender: str | None, any_address: bool, dates: bool
) -> Judgement:
    """Judge a signature by the one key with this fingerprint, known from elsewhere.

    It may speak for ``sender``; without it, for whom it names, or for anybody. What the key
    says of itself counts: that it was revoked, too.
    """
    facts, name = claim.key, claim.signature.primary
    if name != fingerprint:
        text = f"the key {name or claim.signature.key} is not the pinned one"
        return unknown_key(claim, Finding.no("pinned-differs", text, _WHOSE))
    if facts is None or facts.fingerprint != fingerprint:
        text = f"no keyring at hand has the pinned key {fingerprint}"
        return unknown_key(claim, Finding.no("no-anchor", text, _WHOSE))
    judged = judge(facts, claim, lambda _: True, dates=dates)
    address = judged.address
    if any_address:
        address = Finding.open("not-asked", "the key is pinned for any address", _NAMES)
    elif sender is not None and claim.sender is not None:
        same = sender == claim.sender or same_address(
            claim.sender, sender, any_case=claim.policy.local_part == "any-case"
        )
        address = (
            Finding.yes(f"the key was pinned for {sender}", _NAMES)
            if same
            else Finding.no(
                "address-differs", f"the key was pinned for {sender}, not {claim.sender}", _NAMES
            )
        )
    path = judged.path
    if path.accepted:
        path = Finding.yes("the key is the pinned one", _WHOSE)
    return replace(judged, path=path, address=address)


def _without_end(facts: KeyFacts) -> KeyFacts:
    keys = tuple(replace(one, expires=None, bound_until=None) for one in facts.keys)
    return replace(facts, keys=keys)


def _judge_reader(
    facts: KeyFacts, claim: PgpClaim, speaks_for: Callable[[UserId], bool]
) -> Judgement:
    """Judge whether mail may be sealed to the key, for whom it is known to be."""
    at, primary = claim.at, facts.primary
    subkey = facts.encrypts_at(at)
    revocation = Finding.yes("the key is not revoked", "RFC 9580 §5.2.3.31")
    time = Finding.yes("the key is valid", "RFC 9580 §5.2.3.13")
    usage = Finding.yes("the key may be written to", "RFC 9580 §5.2.3.29")
    if primary.revoked_at(at):
        text = f"the key {primary.fingerprint} was revoked"
        revocation = Finding.no("revoked", text, "RFC 9580 §5.2.3.31")
    elif primary.ends is not None and primary.ends <= at:
        text = f"the key expired on {primary.ends:%Y-%m-%d}"
        time = Finding.no("expired", text, "RFC 9580 §5.2.3.13")
    elif subkey is None:
        text = "no part of the key that is valid is meant for encryption"
        usage = Finding.no("usage-wrong", text, "RFC 9580 §5.2.3.29")
    else:
        usage = unfit_to_read(facts, at, claim.policy) or usage
    path = Finding.yes(f"the keyring has the key {facts.fingerprint}", _WHOSE)
    if claim.sender is not None:
        address = _judge_address(facts, claim, at, speaks_for)
    else:
        address = Finding.open("not-asked", "no address was asked for", _NAMES)
        if facts.user_ids and not any(speaks_for(i) and i.valid_at(at) for i in facts.user_ids):
            text = f"nobody told GnuPG whose the key {facts.fingerprint} is"
            path = Finding.no("no-trust", text, _WHOSE)
    return Judgement(path=path, revocation=revocation, usage=usage, address=address, time=time)


def unknown_key(claim: PgpClaim, path: Finding | None = None) -> Judgement:
    """Return the judgement of who does not know the key; ``path`` says why not."""
    rule = "RFC 9580 §12"
    open_ = Finding.open("not-reached", "not asked, since the key is not known", rule)
    name = claim.signature.primary or claim.signature.key
    return Judgement(
        path=path or Finding.no("no-anchor", f"the keyring does not have the key {name}", rule),
        revocation=open_,
        usage=open_,
        address=open_,
        time=open_,
    )


def _judge_revocation(facts: KeyFacts, key: Subkey, made: datetime) -> Finding:
    rule = "RFC 9580 §5.2.3.31"
    for one in dict.fromkeys((facts.primary, key)):
        if one.revoked_at(made):
            what = "key" if one is facts.primary else "subkey"
            return Finding.no("revoked", f"the {what} {one.fingerprint} was revoked", rule)
    return Finding.yes("the key was not revoked when it signed", rule)


def _judge_time(
    facts: KeyFacts, key: Subkey, signature: SignatureFacts, made: datetime, claim: PgpClaim
) -> Finding:
    rule = "RFC 9580 §5.2.3.13"
    at = claim.at
    if (made - at).total_seconds() > FUTURE_SECONDS:
        text = (
            f"the signature says it was made on {made:%Y-%m-%d %H:%M} UTC, after the moment judged"
        )
        return Finding.no("not-yet-valid", text, rule)
    if signature.expires is not None and signature.expires <= at:
        return Finding.no("expired", f"the signature held until {signature.expires:%Y-%m-%d}", rule)
    for one in dict.fromkeys((facts.primary, key)):
        what = "key" if one is facts.primary else "subkey"
        begin = one.created
        # A subkey is part of the key once it is bound. A primary key whose older
        # self-signatures were left out (as Autocrypt does) may have said more before.
        if one.marks and not (one is facts.primary and "loose" in claim.policy.weak):
            begin = max(begin, min(mark.made for mark in one.marks))
        if made < begin:
            text = f"the signature is older than what makes its {what} a part of the key"
            return Finding.no("not-yet-valid", text, rule)
        if one.ends is not None and one.ends <= made:
            text = f"the {what} expired on {one.ends:%Y-%m-%d}, before it signed"
            return Finding.no("expired", text, rule)
    ended = min((one.ends for one in (facts.primary, key) if one.ends), default=None)
    if ended is not None and ended <= at:
        text = f"the key was valid when it signed, and expired on {ended:%Y-%m-%d}"
        return Finding.yes(text, rule)
    return Finding.yes("the key was valid when it signed", rule)


def _judge_usage(
    facts: KeyFacts, key: Subkey, signature: SignatureFacts, policy: Policy
) -> Finding:
    if "sign" not in key.capabilities:
        return Finding.no(
            "usage-wrong", "the key is not meant for signatures", "RFC 9580 §5.2.3.29"
        )
    if not signature.vetted and not _digest_allowed(signature.digest, policy):
        text = (
            f"the signature uses {signature.digest.upper() or 'an unknown digest'}, which is weak"
        )
        return Finding.no("weak-algorithm", text, "RFC 9580 §9.5")
    if signature.loose and "loose" not in policy.weak:
        text = "the signature, or the text it is over, is read by others in another way"
        return Finding.no("weak-algorithm", text, "RFC 9580 §3.2, §5.2.1.2")
    for one in dict.fromkeys((facts.primary, key)):
        problem = _unfit(one, policy)
        if problem is not None:
            return problem
        if one.fingerprint in facts.loose and "loose" not in policy.weak:
            text = "what binds the key's parts together has numbers that others take for damaged"
            return Finding.no("weak-algorithm", text, "RFC 9580 §3.2")
    return Finding.yes("the key may sign", "RFC 9580 §5.2.3.29")


def unfit_to_read(facts: KeyFacts, at: datetime, policy: Policy) -> Finding | None:
    """Return why the policy seals nothing for the key, weak or badly bound; None if it does."""
    parts = dict.fromkeys(one for one in (facts.primary, facts.encrypts_at(at)) if one is not None)
    return next((found for one in parts if (found := _unfit(one, policy)) is not None), None)


def _unfit(one: Subkey, policy: Policy) -> Finding | None:
    """Return why a part of a key is too weak, or bound to it in a way that proves nothing."""
    problem = weakness(one, policy)
    if problem is not None:
        return problem
    if not one.marks or not one.usable:
        text = "gpg finds fault with the key, or nothing binds its parts together"
        return Finding.no("certificate-malformed", text, "RFC 9580 §10.1")
    if not _digest_allowed(one.marks[0].digest, policy):
        name = one.marks[0].digest.upper() or "an unknown digest"
        text = f"the key binds its parts together with {name}, which is weak"
        return Finding.no("weak-algorithm", text, "RFC 9580 §9.5")
    return None


def weakness(key: Subkey, policy: Policy) -> Finding | None:
    """Return why the policy does not take a key of this kind and size; None if it does."""
    rule = "RFC 9580 §12"
    if key.algorithm == "rsa" and key.bits < policy.rsa_bits_min:
        return Finding.no("key-too-small", f"an RSA key of {key.bits} bits is too small", rule)
    if key.algorithm == "rsa" and key.bits > policy.rsa_bits_max:
        return Finding.no("key-too-large", f"an RSA key of {key.bits} bits is too large", rule)
    if key.algorithm in _OLD and key.bits < DSA_BITS_MIN and "dsa" not in policy.weak:
        name = _OLD[key.algorithm]
        return Finding.no("weak-algorithm", f"{name} key of {key.bits} bits is too small", rule)
    return None


def _digest_allowed(digest: str, policy: Policy) -> bool:
    return digest in STRONG_DIGESTS or _WEAK.get(digest, "") in policy.weak


def _judge_address(
    facts: KeyFacts, claim: PgpClaim, made: datetime, speaks_for: Callable[[UserId], bool]
) -> Finding:
    rule = "RFC 9580 §5.11"
    if claim.sender is None:
        reason = claim.sender_reason or "the mail has not exactly one sender"
        return Finding.no("sender-unknown", reason, rule)
    named = [one for one in facts.user_ids if one.address and one.valid_at(made)]
    any_case = claim.policy.local_part == "any-case"
    for one in named:
        if same_address(claim.sender, one.address, any_case=any_case):
            if speaks_for(one):
                return Finding.yes(f"the key names {one.address}", rule)
            text = f"nobody told GnuPG that the key is {one.address}'s"
            return Finding.no("no-trust", text, rule)
    if not named:
        return Finding.no("no-address", f"the key names no address, so not {claim.sender}", rule)
    shown = ", ".join(one.address for one in named[:3]) + (" and others" if len(named) > 3 else "")
    return Finding.no("address-differs", f"the key names {shown}, not {claim.sender}", rule)
