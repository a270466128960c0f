"""Signature packets whose numbers are written in more than one way are told apart here.

A number in a signature has one length, that of its first bit that is set. gpg
takes longer ones, other engines take such a packet for damaged, so two readers
would say different things of one mail. Such a signature, and a key of which
nothing else binds the parts together, is taken as weak.

Floor:  pgp (uses errors, packets)
Source: RFC 9580 §3.2 for numbers, §5.2.2 and §5.2.3 for signatures, §5.5.4 for
        fingerprints
"""

from __future__ import annotations

import hashlib

from smime.errors import SmimeError
from smime.pgp.packets import SIGNATURE, packets

__all__ = [
    "KNOWN_VERSIONS",
    "beyond_gnupg",
    "fingerprint_of",
    "is_by",
    "is_strict",
    "packet_version",
    "parts_of",
    "subpackets_of",
]

KNOWN_VERSIONS = frozenset({2, 3, 4, 5, 6})  # 2 is read as 3; 5 is LibrePGP's
_SECRET_KEY, _KEY, _SECRET_SUBKEY, _SUBKEY, _USER_ID, _ATTRIBUTE = 5, 6, 7, 14, 13, 17
_ISSUER, _ISSUER_FINGERPRINT = 16, 33
_FIRST_OF_RFC_9580 = b"\x19"  # X25519; GnuPG knows algorithms up to 22
# RSA, DSA, ECDSA: how many numbers. EdDSA as GnuPG writes it are octets, not numbers.
_NUMBERS = {1: 1, 3: 1, 17: 2, 19: 2}


def packet_version(signature: bytes) -> int:
    """Return the version of a signature packet; 0 if it has none."""
    body = _body(signature)
    return body[0] if body else 0


def is_strict(signature: bytes) -> bool:
    """Whether the numbers of a signature packet are as long as they say, to its last octet."""
    try:
        algorithm, _, _, at, body = _parts(_body(signature))
        for _ in range(_NUMBERS.get(algorithm, 0)):
            bits = int.from_bytes(body[at : at + 2], "big")
            size = (bits + 7) // 8
            number = body[at + 2 : at + 2 + size]
            if len(number) != size or int.from_bytes(number, "big").bit_length() != bits:
                return False
            at += 2 + size
    except IndexError:
        return False
    return algorithm not in _NUMBERS or at == len(body)


def parts_of(octets: bytes) -> tuple[frozenset[str], frozenset[str]]:
    """Return the fingerprints of the public keys and subkeys in a file of keys, and of those bound.

    Bound are those that a strict signature of the key itself binds. gpg writes numbers
    anew when it takes a key in, so this is asked before. Never raises.
    """
    found: set[str] = set()
    bound: set[str] = set()
    primary = current = ""
    try:
        for packet in packets(octets):
            if packet.tag in (_KEY, _SUBKEY):
                current = fingerprint_of(packet.body)
                primary = current if packet.tag == _KEY else primary
                found.add(current)
            elif packet.tag in (_USER_ID, _ATTRIBUTE):
                current = primary
            elif packet.tag in (_SECRET_KEY, _SECRET_SUBKEY):
                primary = current = ""  # one's own keys are not in question
            elif (
                packet.tag == SIGNATURE
                and current
                and is_by(packet.body, primary)
                and is_strict(packet.raw)
            ):
                bound.add(current)
    except (SmimeError, IndexError):
        return frozenset(found), frozenset(bound)
    return frozenset(found), frozenset(bound)


def beyond_gnupg(octets: bytes) -> bytes:
    """Return the keys in a file of keys that GnuPG does not take, or of which it drops parts.

    Those are keys of version 6 and keys with algorithms of RFC 9580 and later.
    """
    found: list[tuple[list[bytes], list[bool]]] = []
    try:
        for packet in packets(octets):
            if packet.tag in (_KEY, _SECRET_KEY):
                found.append(([], []))
            if found:
                found[-1][0].append(packet.raw)
            if packet.tag in (_KEY, _SECRET_KEY, _SUBKEY, _SECRET_SUBKEY) and found:
                start = packet.beginning(6)
                found[-1][1].append(start[:1] == b"\6" or start[5:] >= _FIRST_OF_RFC_9580)
    except SmimeError:
        return b""
    return b"".join(b"".join(raw) for raw, beyond in found if any(beyond))


def _body(signature: bytes) -> bytes:
    try:
        return next((one.body for one in packets(signature)), b"")
    except SmimeError:
        return b""


def _parts(body: bytes) -> tuple[int, bytes, bytes, int, bytes]:
    """Return key algorithm, both areas of subpackets, where the numbers begin, and the body."""
    version = body[0]
    if version in (2, 3):
        return body[15], b"", b"", 19, body
    wide = 4 if version == 6 else 2
    at = 4
    areas = []
    for _ in range(2):
        size = int.from_bytes(body[at : at + wide], "big")
        areas.append(body[at + wide : at + wide + size])
        at += wide + size
    at += 2
    if version == 6:
        at += 1 + body[at]
    return body[2], areas[0], areas[1], at, body


def is_by(body: bytes, primary: str) -> bool:
    """Whether a signature, given as its packet's body, says that this primary key made it."""
    if body[0] in (2, 3):
        return body[7:15].hex() == primary[-16:]
    for area in subpackets_of(body):
        for kind, value in area:
            if kind == _ISSUER_FINGERPRINT:
                return value[1:].hex() == primary
            if kind == _ISSUER:
                return value.hex() == primary[-16:]
    return False


def subpackets_of(body: bytes) -> tuple[list[tuple[int, bytes]], list[tuple[int, bytes]]]:
    """Return the subpackets of a signature's body, those that it covers and the others."""
    _, hashed, unhashed, _, _ = _parts(body)
    return _subpackets(hashed), _subpackets(unhashed)


def _subpackets(area: bytes) -> list[tuple[int, bytes]]:
    """Cut an area into its subpackets (RFC 9580 §5.2.3.7)."""
    found = []
    at = 0
    while at < len(area):
        first = area[at]
        if first < 192:
            size, at = first, at + 1
        elif first < 255:
            size, at = (first - 192 << 8) + area[at + 1] + 192, at + 2
        else:
            size, at = int.from_bytes(area[at + 1 : at + 5], "big"), at + 5
        if size < 1:
            break
        found.append((area[at] & 0x7F, area[at + 1 : at + size]))
        at += size
    return found


def fingerprint_of(key: bytes) -> str:
    """Return the fingerprint of a public key, given as its packet's body."""
    if key[0] == 6:
        return hashlib.sha256(b"\x9b" + len(key).to_bytes(4, "big") + key).hexdigest()
    data = b"\x99" + len(key).to_bytes(2, "big") + key
    return hashlib.sha1(data, usedforsecurity=False).hexdigest()
