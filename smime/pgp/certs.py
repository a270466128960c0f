"""Public keys read packet by packet: what they say of themselves, believed by nobody yet.

For the engine that tells little of a key. Whether a self-signature holds is the
engine's to say; what is read here serves to choose a subkey, to say why one is
not used, and to refuse, never to accept.

Floor:  pgp (uses errors, packets, listing, strict)
Source: RFC 9580 §5.5.2 for keys, §5.2.3 for signatures, §10.1 for their order
"""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta

from smime.errors import MalformedMail
from smime.keys.address import same_address
from smime.pgp.backend import DIGESTS
from smime.pgp.listing import (
    ALGORITHMS,
    SOFT_REASONS,
    KeyFacts,
    Mark,
    Revocation,
    Subkey,
    UserId,
    address_of,
)
from smime.pgp.packets import SIGNATURE, packets
from smime.pgp.strict import fingerprint_of, is_by, subpackets_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.pgp.packets import Packet

__all__ = [
    "believed",
    "for_address",
    "only_subkey",
    "only_user_id",
    "read_certs",
    "split_keys",
    "unusable",
    "with_secret",
]

_SECRET_KEY, _KEY, _SECRET_SUBKEY, _USER_ID, _SUBKEY, _ATTRIBUTE = 5, 6, 7, 13, 14, 17
_MADE, _LASTS, _KEY_LASTS, _FLAGS, _REASON = 2, 3, 9, 27, 29
_CERTIFICATIONS, _BINDING, _DIRECT = (0x10, 0x11, 0x12, 0x13), 0x18, 0x1F
_REVOCATIONS = (0x20, 0x28, 0x30)
_FLAG_NAMES = ((1, "certify"), (2, "sign"), (4, "encrypt"), (8, "encrypt"), (32, "authenticate"))
_WITH_SIZE = frozenset({1, 2, 3, 16, 17})


class _Part:
    """A key or a user ID, and the signatures on it."""

    def __init__(self, packet: Packet) -> None:
        self.packet = packet
        self.signatures: list[Packet] = []


def read_certs(octets: bytes) -> tuple[tuple[bytes, KeyFacts], ...]:
    """Return every public key in a file of keys, with its octets.

    Raises ``MalformedMail`` and ``LimitExceeded``.
    """
    return tuple((b"".join(_raw(one) for one in parts), _facts(parts)) for parts in _certs(octets))


def split_keys(octets: bytes) -> tuple[tuple[bytes, bool], ...]:
    """Cut a file of keys into its keys; with each, whether a secret half is in it.

    Raises ``MalformedMail`` and ``LimitExceeded``.
    """
    found: list[tuple[list[bytes], list[int]]] = []
    for packet in packets(octets):
        if packet.tag in (_KEY, _SECRET_KEY):
            found.append(([], []))
        if found:
            found[-1][0].append(packet.raw)
            found[-1][1].append(packet.tag)
    secret = {_SECRET_KEY, _SECRET_SUBKEY}
    return tuple((b"".join(raw), not secret.isdisjoint(tags)) for raw, tags in found)


def only_subkey(octets: bytes, fingerprint: str) -> bytes:
    """Return a public key with this subkey and no other; without any, if that is the primary."""
    (parts,) = _certs(octets)
    kept = [
        one
        for one in parts
        if one.packet.tag != _SUBKEY or fingerprint_of(one.packet.body) == fingerprint
    ]
    return b"".join(map(_raw, kept))


def only_user_id(octets: bytes, text: str) -> bytes:
    """Return a public key with this user ID and no other."""
    (parts,) = _certs(octets)
    names = (_USER_ID, _ATTRIBUTE)
    wanted = text.encode()
    kept = [one for one in parts if one.packet.tag not in names or one.packet.body == wanted]
    return b"".join(map(_raw, kept))


def for_address(octets: bytes, address: str) -> bytes:
    """Return the first public key that names the address, with that user ID alone; or nothing.

    Who sends a key for one address must not bring in one for another. Armour and
    secret halves have no place where such keys come from. Never raises.
    """
    if not octets[:1] >= b"\x80":
        return b""
    try:
        if any(secret for _, secret in split_keys(octets)):
            return b""
        for key, facts in read_certs(octets):
            for one in facts.user_ids:
                if same_address(one.address, address):
                    return only_user_id(key, one.text)
    except MalformedMail:
        return b""
    return b""


def _raw(part: _Part) -> bytes:
    return part.packet.raw + b"".join(one.raw for one in part.signatures)


def _certs(octets: bytes) -> list[list[_Part]]:
    found: list[list[_Part]] = []
    for packet in packets(octets):
        if packet.tag == _KEY:
            found.append([_Part(packet)])
        elif not found:
            continue
        elif packet.tag in (_USER_ID, _SUBKEY, _ATTRIBUTE):
            found[-1].append(_Part(packet))
        elif packet.tag == SIGNATURE:
            found[-1][-1].signatures.append(packet)
    return found


def _facts(parts: list[_Part]) -> KeyFacts:
    try:
        primary = fingerprint_of(parts[0].packet.body)
        named = [one for one in parts if one.packet.tag == _USER_ID]
        ids = [_user_id(one, primary) for one in named]
        of_names = [one for part in named for one in part.signatures]
        keys = [_key(parts[0], primary, of_names)]
        keys += [_key(one, primary, []) for one in parts if one.packet.tag == _SUBKEY]
    except (IndexError, ValueError, OverflowError) as broken:
        raise MalformedMail("an OpenPGP key cannot be read") from broken
    return KeyFacts(tuple(keys), tuple(ids))


def _user_id(part: _Part, primary: str) -> UserId:
    text = part.packet.body.decode("utf-8", "replace")
    marks, revocations, _ = _says(part.signatures, primary)
    return UserId(text, address_of(text), marks, revocations)


def _key(part: _Part, primary: str, more: list[Packet]) -> Subkey:
    body = part.packet.body
    created = datetime.fromtimestamp(int.from_bytes(body[1:5], "big"), UTC)
    # Of the primary key its user IDs say something, too.
    marks, revocations, newest = _says([*part.signatures, *more], primary, part.packet.tag)
    lasts = int.from_bytes(newest.get(_KEY_LASTS, b""), "big")
    flags = newest.get(_FLAGS, b"")
    number = body[5]
    fingerprint = fingerprint_of(body)
    at = 10 if body[0] == 6 else 6
    return Subkey(
        fingerprint=fingerprint,
        key_id=fingerprint[:16] if body[0] == 6 else fingerprint[-16:],
        created=created,
        expires=created + timedelta(seconds=lasts) if lasts else None,
        algorithm=ALGORITHMS.get(number, f"algorithm {number}"),
        bits=int.from_bytes(body[at : at + 2], "big") if number in _WITH_SIZE else 0,
        capabilities=frozenset(name for bit, name in _FLAG_NAMES if flags[:1] and flags[0] & bit),
        marks=marks,
        revocations=revocations,
    )


def _says(
    signatures: list[Packet], primary: str, tag: int = 0
) -> tuple[tuple[Mark, ...], tuple[Revocation, ...], dict[int, bytes]]:
    """Return what binds, what revokes, and the subpackets of the newest that binds."""
    marks: list[tuple[Mark, dict[int, bytes], int]] = []
    revocations = []
    for one in signatures:
        body = one.body
        if body[:1] not in (b"\4", b"\6") or not is_by(body, primary):
            continue
        said = dict(subpackets_of(body)[0])
        made = datetime.fromtimestamp(int.from_bytes(said.get(_MADE, b""), "big"), UTC)
        if body[1] in _REVOCATIONS:
            # Of a user ID and not of the key itself, where it stands among those of the key.
            if tag != _KEY or body[1] == 0x20:
                reason = said.get(_REASON, b"")
                revocations.append(Revocation(made, not (reason and reason[0] in SOFT_REASONS)))
        elif body[1] in (*_CERTIFICATIONS, _BINDING, _DIRECT):
            lasts = int.from_bytes(said.get(_LASTS, b""), "big")
            until = made + timedelta(seconds=lasts) if lasts else None
            marks.append((Mark(made, DIGESTS.get(body[3], ""), until), said, body[1]))
    marks.sort(key=lambda one: one[0].made, reverse=True)
    # A direct signature speaks for the key as a whole (RFC 9580 §5.2.1.10).
    telling = [one for one in marks if one[2] == _DIRECT] or marks
    newest = telling[0][1] if telling else {}
    return tuple(one[0] for one in marks), tuple(revocations), newest


def believed(
    facts: KeyFacts, user_ids: list[str], expires: datetime | None, revoked: bool
) -> KeyFacts:
    """Return the facts with what an engine verified instead of what the key says."""
    primary = facts.primary
    ends = None if expires is None else expires.astimezone(UTC)
    revocations = primary.revocations
    if revoked and not primary.revoked_at(datetime.now(UTC)):
        revocations = (*revocations, Revocation(primary.created, True))
    return KeyFacts(
        (replace(primary, expires=ends, revocations=revocations), *facts.keys[1:]),
        tuple(one for one in facts.user_ids if one.text in user_ids),
    )


def unusable(facts: KeyFacts) -> KeyFacts:
    """Return the facts of a key of which an engine believes nothing."""
    return KeyFacts(tuple(replace(one, usable=False) for one in facts.keys), ())


def with_secret(facts: KeyFacts) -> KeyFacts:
    """Return the facts of a key whose secret half is at hand."""
    return KeyFacts(tuple(replace(one, secret=True) for one in facts.keys), facts.user_ids)
