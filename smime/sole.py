"""A mail signed by one, or sealed for one, by the shortest way: the same octets, or the full way.

Most mail has one signer and one reader, whose certificate and policy are those of the
mail before. What follows from them was worked out then, and is kept with the
``Identity`` or the ``Recipient``. The mail is looked at as ever, and so is the day: what
may not be signed or sealed, or what differs from the ordinary in any way, goes the full
way, from the beginning. A test holds each mail against it.

Floor:  sole (uses formats, keys, mime, cms)
Source: RFC 8551 §3.3, §3.5.3; RFC 9788 for the headers
"""

from __future__ import annotations

from time import time

from smime.cms.algorithms import digest
from smime.cms.sole import only
from smime.errors import SmimeError
from smime.formats import smime as form
from smime.formats.attributes import has_own
from smime.formats.dividing import divided
from smime.keys.identity import Identity
from smime.keys.recipient import Recipient
from smime.mail import Mail
from smime.mime.entity import split_entity
from smime.mime.headers import sealed_at_once, signed_at_once
from smime.policy import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from smime.cms.signed import Way
    from smime.policy import Policy

__all__ = ["sealed", "signed"]

MAX_POLICIES = 8  # whose choices are kept for one signer: programs have one or two


class _Signing:
    """How mail is signed by one alone under one policy."""

    __slots__ = ("micalg", "policy", "way")

    def __init__(self, policy: Policy, way: Way, micalg: str) -> None:
        self.policy = policy
        self.way = way
        self.micalg = micalg


def signed(mail: object, by: object, policy: Policy, at: datetime | None) -> Mail | None:
    """Return the signed mail; None for "go the full way".

    The arguments are those of ``smime.sign``, for a signature beside the mail.
    """
    by, raw = only(by), _octets(mail)
    if type(by) is not Identity or raw is None:
        return None
    when = moment(at)
    try:
        signing = _signing(by, policy)
        if signing is None:
            return None
        by.fitness.check_signs(when, policy)
        outer, inner = b"", signed_at_once(raw) if policy.line_ends != "exact" else b""
        if not inner:
            inner, outer, _ = divided(split_entity(raw), policy, "clear")
    except SmimeError:
        return None  # the full way says what is wrong
    way = signing.way
    covered = way.fill(digest(way.digest, inner), when)
    blob = way.detached(covered, way.sign(covered))
    return _made(mail, raw, form.wrap_signed(inner, blob, signing.micalg, outer))


def _signing(by: Identity, policy: Policy) -> _Signing | None:
    """Return how ``by`` signs alone under this policy, worked out once; None where it is not here.

    Attributes of a mail's own are not: a certificate to write to, a wish for a receipt.
    """
    ways = by._ways
    if ways is None:
        object.__setattr__(by, "_ways", ways := {})
    found: _Signing | None = ways.get(id(policy))
    if found is None:
        if policy.compress or has_own(by, policy):
            return None
        way = by.signing_key.way(policy)
        found = _Signing(policy, way, policy.micalg_names([way.digest]))
        if len(ways) >= MAX_POLICIES:
            ways.clear()
        ways[id(policy)] = found  # which keeps the policy, and so its id
    return found


def _octets(mail: object) -> bytes | None:
    """Return the octets of a mail that is held; None for another source."""
    if type(mail) is bytes:
        return mail
    return bytes(mail) if type(mail) is Mail else None


def _made(mail: object, raw: bytes, data: bytes) -> Mail:
    """Return what was made of a mail, or of its octets."""
    if type(mail) is Mail:
        return mail._changed(data)
    made = Mail._made(data)
    made._envelope = raw
    return made


def sealed(mail: object, to: object, policy: Policy) -> Mail | None:
    """Return the sealed mail; None for "go the full way".

    The arguments are those of ``smime.encrypt``, which nobody else is to vouch for.
    """
    to, raw = only(to), _octets(mail)
    if type(to) is Identity:
        to = to.recipient
    if type(to) is not Recipient or raw is None or policy.compress or policy.readers != "given":
        return None
    try:
        way = to._alone(policy)
        if way is None or not way.since <= time() <= way.until or len(raw) > way.most:
            return None
        inner, outer = _apart(raw, policy)
        if not way.least <= len(inner) <= way.most:
            return None
    except SmimeError:
        return None  # the full way says what is wrong
    made = _made(mail, raw, form.wrap_sealed(way.seal(inner), way.kind, outer))
    made._unverified = to.addresses
    return made


def _apart(raw: bytes, policy: Policy) -> tuple[bytes, bytes]:
    """Return what is sealed, and the fields outside; nothing for what the full way looks at."""
    whole = sealed_at_once(raw)
    # AS2 keeps its MIME-Version.
    if whole and (len(whole) == len(raw) or policy.line_ends != "exact"):
        return whole, b""
    entity = split_entity(raw)
    if entity.mentions(b"bcc"):
        return b"", b""
    inner, _, outer = divided(entity, policy, "cipher", travels=False)
    return inner, outer
