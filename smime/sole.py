"""A mail sealed for one reader met before, by the shortest way: the same octets, or the full way.

Most sealed mail has one reader, whose certificate and policy are those of the mail
before. What follows from them was worked out then, and is kept with the reader. The
mail is looked at as ever, and so is the day: what may not be sealed, or what differs
from the ordinary in any way, goes the full way, from the beginning. A test holds
each mail against it.

Floor:  sole (uses formats, keys, mime, cms)
Source: RFC 8551 §3.3; RFC 9788 for the headers
"""

from __future__ import annotations

from time import time

from smime.errors import SmimeError
from smime.formats import smime as form
from smime.formats.dividing import divided
from smime.keys.identity import Identity
from smime.keys.recipient import Recipient
from smime.mail import Mail
from smime.mime.entity import split_entity
from smime.mime.headers import sealed_at_once

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.policy import Policy

__all__ = ["sealed"]


def sealed(mail: object, to: object, policy: Policy) -> Mail | None:
    """Return the sealed mail; None for "go the full way".

    The arguments are those of ``smime.encrypt``, which nobody else is to vouch for.
    """
    if isinstance(to, (list, tuple)) and len(to) == 1:
        to = to[0]
    if type(to) is Identity:
        to = to.recipient
    if type(to) is not Recipient or policy.compress or policy.readers != "given":
        return None
    if type(mail) is bytes:
        raw, source = mail, None
    elif type(mail) is Mail:
        raw, source = bytes(mail), mail
    else:
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
    data = form.wrap_sealed(way.seal(inner), way.kind, outer)
    if source is None:
        made = Mail._made(data)
        made._envelope = raw
    else:
        made = source._changed(data)
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
