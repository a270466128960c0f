"""Content in memory sealed for one reader alone, with nothing done twice.

Most of what ``enveloped.build`` writes is the same in every message for one
reader, one cipher and one way of sealing its key. Here it is joined once, and a
message is those octets, five lengths, and what is drawn and encrypted for it. A
test holds each message against the other way, octet by octet.

Floor:  cms (uses errors, policy)
Source: RFC 5652 §6; RFC 5083 and RFC 5084 for AES-GCM
"""

from __future__ import annotations

import os
import struct
from time import time

from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC

from smime.choices import cipher_for, derives_for, transport_for
from smime.cms import agreement
from smime.cms import algorithms as alg
from smime.cms.ciphers import NONCE_OCTETS, PADDING, TAG_OCTETS
from smime.cms.der import OCTET_STRING, SET, head
from smime.cms.enveloped import around_nonce, kind_of, start_of
from smime.cms.extras import PLAIN
from smime.cms.recipients import RecipientKey

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any

    from smime.cms.fitness import Fitness
    from smime.policy import Policy

__all__ = ["MAX_POLICIES", "Sole", "only", "seal", "sole"]

# From here on every length around the content is written in the form of two octets,
_LEAST = 0x100
_MOST = 0xFFFF  # and up to here.
MAX_POLICIES = 8  # whose choices are kept for one key: programs have one or two


class Sole:
    """How content is sealed for one reader under one policy; and when it may be."""

    __slots__ = ("kind", "least", "most", "policy", "seal", "since", "until")

    def __init__(
        self,
        policy: Policy,
        span: tuple[float, float],
        seal: Callable[[bytes], bytes],
        most: int,
        kind: str,
    ) -> None:
        self.policy = policy
        self.since, self.until = span
        """In seconds since 1970."""
        self.seal = seal
        """Seals a content of ``least`` to ``most`` octets."""
        self.least, self.most = _LEAST, most
        self.kind = kind
        """The CMS content type that comes out."""


def only(given: Any) -> Any:
    """Return the one that is given, alone or as the only one of several."""
    return given[0] if isinstance(given, (list, tuple)) and len(given) == 1 else given


def seal(content: bytes, to: Any, policy: Policy) -> bytes | None:
    """Return the ContentInfo that seals ``content``; None for "go the full way".

    ``to`` and ``policy`` are those of ``smime.cms.encrypt``.
    """
    one = only(to)
    key = getattr(one, "recipient_key", None)
    if type(key) is not RecipientKey:
        return None
    capabilities = one.capabilities
    way: Sole | None = key.ways.get((id(policy), capabilities))
    if way is None:
        way = sole(key, capabilities, key.fitness, policy)
        if way is None:
            return None
        if len(key.ways) >= MAX_POLICIES:
            key.ways.clear()
        key.ways[id(policy), capabilities] = way  # which keeps the policy, and so its id
    if not (way.since <= time() <= way.until and way.least <= len(content) <= way.most):
        return None
    return way.seal(content)


def sole(
    key: RecipientKey, capabilities: tuple[str, ...], fitness: Fitness, policy: Policy
) -> Sole | None:
    """Return how content is sealed for this reader alone; None where it is not here.

    ``fitness`` is what its certificate allows, for mail or for anything.
    """
    known = (capabilities,)
    cipher = cipher_for(policy.cipher, known)
    transport = transport_for(policy.key_transport, known if key.kind == "rsa" else ())
    span = fitness.reads_during(policy)
    mode = alg.CIPHERS[cipher][2]
    if span is None or mode not in ("cbc", "gcm") or derives_for(policy.content_key, known):
        return None
    found = _around_key(key, transport, alg.CIPHERS[cipher][1])
    if found is None:
        return None
    outer, version = start_of(mode, key.version)
    start, key_octets, wrap = found
    start = version + head(SET, len(start) + key_octets) + start
    make, behind = _writer(cipher, outer, start, key_octets, wrap)
    return Sole(policy, span, make, _MOST - behind, kind_of(cipher))


def _around_key(
    key: RecipientKey, transport: str, octets: int
) -> tuple[bytes, int, Callable[[bytes], bytes]] | None:
    """Return how the RecipientInfo begins, how long the rest is, and what makes it of a key."""
    if key.transport is not None:
        return key.transport.alone(transport)
    return agreement.alone(key, octets) if key.kind == "ec" else None


def _writer(
    cipher: str, outer: bytes, start: bytes, key_octets: int, wrap: Callable[[bytes], bytes]
) -> tuple[Callable[[bytes], bytes], int]:
    """Return what seals, and how many octets it puts around a content at most."""
    _, cipher_octets, mode, _ = alg.CIPHERS[cipher]
    nonce_octets = NONCE_OCTETS[mode]
    before, after = around_nonce(cipher)
    described = PLAIN.identifier + before
    outer += b"\xa0\x82"
    after += b"\x80\x82"
    drawn = nonce_octets + cipher_octets
    tail = head(OCTET_STRING, TAG_OCTETS) if mode == "gcm" else b""
    # Tag and form of a length, the length, and what follows it, outermost first.
    first = struct.Struct(f">2sH{len(outer)}sH2sH{len(start)}s").pack
    second = struct.Struct(f">2sH{len(described)}s{nonce_octets}s{len(after)}sH").pack
    # What is counted in each length beside the content, from the inside out.
    in_content = len(described) + nonce_octets + len(after) + 2
    in_envelope = 4 + len(start) + key_octets + (len(tail) + TAG_OCTETS if tail else 0)
    in_whole = len(outer) + 2 + 4

    def around(octets: int, nonce: bytes) -> tuple[bytes, bytes]:
        inner = octets + in_content
        envelope = inner + in_envelope
        return (
            first(
                b"\x30\x82", envelope + in_whole, outer, envelope + 4, b"\x30\x82", envelope, start
            ),
            second(b"\x30\x82", inner, described, nonce, after, octets),
        )

    def cbc(content: bytes) -> bytes:
        drawing = os.urandom(drawn)
        nonce, key = drawing[:nonce_octets], drawing[nonce_octets:]
        padded = content + PADDING[len(content) % 16]
        before_key, behind_key = around(len(padded), nonce)
        sealed_key = wrap(key)
        # Whole blocks (RFC 5652 §6.3): all of it comes out at once.
        ciphertext = Cipher(AES(key), CBC(nonce)).encryptor().update(padded)
        return b"".join((before_key, sealed_key, behind_key, ciphertext))

    def gcm(content: bytes) -> bytes:
        drawing = os.urandom(drawn)
        nonce, key = drawing[:nonce_octets], drawing[nonce_octets:]
        before_key, behind_key = around(len(content), nonce)
        sealed_key = wrap(key)
        sealed = AESGCM(key).encrypt(nonce, content, None)
        ciphertext, tag = sealed[:-TAG_OCTETS], sealed[-TAG_OCTETS:]
        return b"".join((before_key, sealed_key, behind_key, ciphertext, tail, tag))

    behind = in_content + in_envelope + in_whole
    return (gcm, behind) if mode == "gcm" else (cbc, behind + 16)
