"""Key agreement: the content key wrapped with a key that two sides derive.

All readers on one curve share one ephemeral key of the sender, so one
recipient info holds a wrapped content key for each of them.

Floor:  cms (uses errors)
Source: RFC 5652 §6.2.2; RFC 5753 for ECDH, RFC 8418 for X25519 and X448
"""

from __future__ import annotations

import os
from functools import cache

from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime.cms import algorithms as alg
from smime.cms.ber import octets
from smime.cms.der import (
    NULL,
    OCTET_STRING,
    SEQUENCE,
    around,
    children,
    head,
    integer,
    octet_string,
    sequence,
    tlv,
    top,
)
from smime.cms.unwrapping import (
    Sealed,
    read_identifier,
    right_length,
    substitute,
    unwrap_3des,
    unwrap_aes,
)
from smime.errors import MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from typing import Any, Protocol, TypeAlias

    from smime.cms.der import Node
    from smime.cms.recipients import OpeningKey
    from smime.cms.unwrapping import Opener, Unwrap

    Unwrapping: TypeAlias = Callable[[Sequence[bytes], bytes, int], bytes]
    # Derivation, digest, octets of the wrapping key, what wraps as it is called in the message
    # and as it might have been, and what unwraps.
    Ways: TypeAlias = tuple[str, str, int, bytes, bytes, Unwrapping]
    # The ways, the sender's public key and the keying material.
    Shared: TypeAlias = tuple[Ways, bytes, bytes]

    class Agreeing(Protocol):
        """A reader whose key agrees on a secret with an ephemeral key."""

        @property
        def identifier(self) -> bytes: ...
        @property
        def public(self) -> Any: ...


__all__ = ["WRITTEN", "info", "read", "unwrap", "ways_of"]

UKM_OCTETS = 64  # RFC 5753 §7.2 and NIST SP 800-56A: fresh for each message

# Curve as in ``RecipientKey.curve``: derivation, its digest, and the scheme that is written.
WRITTEN = {
    "secp256r1": ("x963", "sha256", alg.AGREEMENT_WRITTEN["sha256"]),
    "secp384r1": ("x963", "sha384", alg.AGREEMENT_WRITTEN["sha384"]),
    "secp521r1": ("x963", "sha512", alg.AGREEMENT_WRITTEN["sha512"]),
    "brainpoolP256r1": ("x963", "sha256", alg.AGREEMENT_WRITTEN["sha256"]),
    "brainpoolP384r1": ("x963", "sha384", alg.AGREEMENT_WRITTEN["sha384"]),
    "brainpoolP512r1": ("x963", "sha512", alg.AGREEMENT_WRITTEN["sha512"]),
    "x25519": ("hkdf", "sha256", alg.HKDF_AGREEMENT["sha256"]),  # RFC 8418 §2.3
    "x448": ("hkdf", "sha512", alg.HKDF_AGREEMENT["sha512"]),
}
_CURVES: dict[str, Any] = {
    "secp256r1": ec.SECP256R1(),
    "secp384r1": ec.SECP384R1(),
    "secp521r1": ec.SECP521R1(),
    "brainpoolP256r1": ec.BrainpoolP256R1(),
    "brainpoolP384r1": ec.BrainpoolP384R1(),
    "brainpoolP512r1": ec.BrainpoolP512R1(),
}
# Kind of key by the algorithm of the sender's ephemeral key.
_KINDS = {
    alg.EC_PUBLIC_KEY[2:]: "ec",
    alg.X25519[2:]: "x25519",
    alg.X448[2:]: "x448",
}
# suppPubInfo by the octets of the wrapping key: how many bits it has (RFC 5753 §7.2).
_LENGTHS = {
    octets: tlv(0xA2, octet_string((octets * 8).to_bytes(4, "big"))) for octets in (16, 24, 32)
}
_ECDH = ec.ECDH()
_THREE = integer(3)
# keyEncryptionAlgorithms that are kept, read: real mail has a dozen, of some thirty octets.
MAX_KNOWN_WAYS = 64
MAX_WAY_OCTETS = 64
_known_ways: dict[bytes, Ways] = {}


def _derive(
    how: str, digest: str, secret: bytes, salt: bytes, shared_info: bytes, length: int
) -> bytes:
    if how == "x963":
        return X963KDF(alg.hash_class(digest), length, shared_info).derive(secret)
    from cryptography.hazmat.primitives.kdf.hkdf import HKDF

    return HKDF(alg.hash_class(digest), length, salt or None, shared_info).derive(secret)


def _shared_info(wrap_algorithm: bytes, ukm: bytes, wrap: int) -> bytes:
    """Return ECC-CMS-SharedInfo (RFC 5753 §7.2)."""
    return sequence(wrap_algorithm, _behind_algorithm(ukm, wrap))


def _behind_algorithm(ukm: bytes, wrap: int) -> bytes:
    """Return what stands in it behind the algorithm: entityUInfo, if any, and suppPubInfo."""
    length = _LENGTHS[wrap]
    return tlv(0xA0, octet_string(ukm)) + length if ukm else length


def _ephemeral(curve: str) -> tuple[Any, bytes]:
    """Return a fresh private key on the curve and its public key, as octets."""
    if curve in _CURVES:
        private = ec.generate_private_key(_CURVES[curve])
        return private, private.public_key().public_bytes(
            Encoding.X962, PublicFormat.UncompressedPoint
        )
    from cryptography.hazmat.primitives.asymmetric import x448, x25519

    made: Any = (
        x25519.X25519PrivateKey.generate() if curve == "x25519" else x448.X448PrivateKey.generate()
    )
    return made, made.public_key().public_bytes_raw()


@cache
def _written_once(curve: str, wrap: int) -> tuple[bytes, ...]:
    """Return what is the same in every recipient info for a curve and a length of key wrap.

    That is what stands before the sender's public key, between it and the keying
    material, and behind that up to the readers; and what stands in
    ECC-CMS-SharedInfo before and behind the keying material. With HKDF there is none.
    """
    how, _, scheme = WRITTEN[curve]
    if curve in _CURVES:
        octets, algorithm = 1 + 2 * ((_CURVES[curve].key_size + 7) // 8), alg.EC_PUBLIC_KEY
    else:
        octets, algorithm = (32, alg.X25519) if curve == "x25519" else (56, alg.X448)
    wrap_algorithm = sequence(alg.KEY_WRAP[wrap])

    def originator(point: bytes) -> bytes:
        key = sequence(algorithm) + tlv(0x03, b"\x00" + point)
        return _THREE + tlv(0xA0, tlv(0xA1, key))

    start, behind_point = around(originator, octets)
    before_ukm, end, info = behind_point, b"", (_shared_info(wrap_algorithm, b"", wrap), b"")
    if how == "x963":
        before, end = around(lambda ukm: tlv(0xA1, octet_string(ukm)), UKM_OCTETS)
        before_ukm += before
        info = around(lambda ukm: _shared_info(wrap_algorithm, ukm, wrap), UKM_OCTETS)
    return start, before_ukm, end + sequence(scheme, wrap_algorithm), *info


def info(content_key: bytes, readers: Sequence[Agreeing], curve: str) -> bytes:
    """Return one KeyAgreeRecipientInfo for readers on one curve."""
    how, digest, _ = WRITTEN[curve]
    wrap = min(len(content_key), 32)  # the key of a code can be longer than that of any wrap
    start, before_ukm, end, info_start, info_end = _written_once(curve, wrap)
    private, point = _ephemeral(curve)
    # With HKDF it would be salt and shared info in one (RFC 8418 §2.2), and there
    # are readers that forget the former; an ephemeral key does not need it.
    ukm = os.urandom(UKM_OCTETS) if how == "x963" else b""
    shared_info = b"".join((info_start, ukm, info_end))
    sealed = []
    for one in readers:
        secret = (
            private.exchange(_ECDH, one.public)
            if curve in _CURVES
            else private.exchange(one.public)
        )
        wrapping_key = _derive(how, digest, secret, b"", shared_info, wrap)
        wrapped = aes_key_wrap(wrapping_key, content_key)
        sealed.append(sequence(one.identifier, head(OCTET_STRING, len(wrapped)), wrapped))
    return tlv(0xA1, b"".join((start, point, before_ukm, ukm, end, sequence(*sealed))))


def alone(reader: Agreeing, octets: int) -> tuple[bytes, int, Callable[[bytes], bytes]]:
    """Return how ``info`` begins for one reader with an EC key, and what makes the rest.

    That is how long the rest is, and what makes it of a content key of so many octets.
    """
    curve = reader.public.curve
    how, digest, _ = WRITTEN[curve.name]
    start, before_ukm, end, info_start, info_end = _written_once(curve.name, octets)
    point_octets = 1 + 2 * ((curve.key_size + 7) // 8)
    wrapped_octets = octets + 8  # RFC 3394 §2.2.1
    # Lengths grow from the inside out.
    end += b"".join(_heads(reader.identifier, wrapped_octets))
    rest = point_octets + len(before_ukm) + UKM_OCTETS + len(end) + wrapped_octets
    start = head(0xA1, len(start) + rest) + start
    public = reader.public

    def wrap(content_key: bytes) -> bytes:
        private, point = _ephemeral(curve.name)
        ukm = os.urandom(UKM_OCTETS)
        secret = private.exchange(_ECDH, public)
        wrapping_key = _derive(
            how, digest, secret, b"", b"".join((info_start, ukm, info_end)), octets
        )
        return b"".join((point, before_ukm, ukm, end, aes_key_wrap(wrapping_key, content_key)))

    return start, rest, wrap


def _heads(identifier: bytes, wrapped_octets: int) -> tuple[bytes, ...]:
    """Return what stands before the wrapped key of the only reader, in DER."""
    string = head(OCTET_STRING, wrapped_octets)
    length = len(identifier) + len(string) + wrapped_octets
    one = head(SEQUENCE, length)
    return head(SEQUENCE, len(one) + length), one, identifier, string


def read(data: bytes, node: Node) -> list[Sealed]:
    """Read a KeyAgreeRecipientInfo: one way in for each key that it holds."""
    fields = children(data, node)
    if len(fields) < 4 or fields[1][0] != 0xA0:
        raise MalformedMail("a key agreement recipient does not have the form of one")
    ukm = b""
    rest = fields[2:]
    if rest[0][0] == 0xA1:
        inner = children(data, rest[0])
        ukm = octets(data, inner[0]) if inner else b""
        rest = rest[1:]
    if len(rest) < 2 or rest[0][0] != SEQUENCE or rest[1][0] != SEQUENCE:
        raise MalformedMail("a key agreement recipient holds no keys")
    shared = _Shared(data, fields[1], data[rest[0][1] : rest[0][3]], ukm)
    weak = shared.weak
    found = []
    for one in children(data, rest[1]):
        parts = children(data, one)
        if len(parts) != 2 or parts[1][0] & ~0x20 != OCTET_STRING:
            raise MalformedMail("a key agreement recipient does not have the form of one")
        identifier, key_identifier = read_identifier(data, parts[0])
        found.append(
            Sealed(
                shared.kind,
                _Preparing(shared, octets(data, parts[1])).prepare,
                identifier=identifier,
                key_identifier=key_identifier,
                weak=weak,
            )
        )
    return found


class _Shared:
    """What all keys of one KeyAgreeRecipientInfo share; its algorithms are read when needed."""

    __slots__ = ("_algorithm", "_data", "_key", "_ready", "_ukm", "kind")

    def __init__(self, data: bytes, originator: Node, algorithm: bytes, ukm: bytes) -> None:
        self._data, self._algorithm, self._ukm = data, algorithm, ukm
        self._ready: Shared | None = None
        self.kind = "ec"
        inner = children(data, originator)
        self._key = children(data, inner[0]) if len(inner) == 1 and inner[0][0] == 0xA1 else []
        """Algorithm and public key of the sender, or nothing for another form."""
        if self._key and self._key[0][0] == SEQUENCE:
            named = children(data, self._key[0])
            content = data[named[0][2] : named[0][3]] if named else b""
            self.kind = _KINDS.get(content) or f"agreement {alg.called(content)}"

    def ready(self) -> Shared:
        if self._ready is None:
            self._ready = self._read()
        return self._ready

    def _read(self) -> Shared:
        data, key = self._data, self._key
        ways = ways_of(self._algorithm, self.kind)
        if not key:
            raise NotSupported("a sender's static key in key agreement is not supported")
        if len(key) != 2 or key[1][0] != 0x03:
            raise MalformedMail("the sender's key of a key agreement is not there")
        return ways, data[key[1][2] + 1 : key[1][3]], self._ukm

    @property
    def weak(self) -> str:
        """What of its algorithms is weak."""
        return "3des-cbc" if alg.WRAP_3DES in self._algorithm else ""


def ways_of(algorithm: bytes, kind: str) -> Ways:
    """Read a keyEncryptionAlgorithm: how the key is derived, and what wraps.

    Raises ``NotSupported`` and ``MalformedMail``.
    """
    known = _known_ways.get(algorithm) if kind in _KINDS.values() else None
    return known or _read_ways(algorithm, kind)


def _read_ways(algorithm: bytes, kind: str) -> Ways:
    parts = children(algorithm, top(algorithm))
    content = algorithm[parts[0][2] : parts[0][3]] if parts else b""
    found = alg.AGREEMENTS.get(content)
    if found is None:
        raise NotSupported(f"key agreement {alg.called(content)} is not supported")
    if kind not in _KINDS.values():
        raise NotSupported(f"key {kind} is not supported")
    how, digest = found
    if len(parts) != 2 or parts[1][0] != SEQUENCE:
        raise MalformedMail("a key agreement names no key wrap")
    named = children(algorithm, parts[1])
    identifier = algorithm[named[0][2] : named[0][3]] if named else b""
    old = identifier == alg.WRAP_3DES[2:]
    wrap = 24 if old else alg.KEY_WRAP_OF.get(identifier)
    if wrap is None:
        what = alg.called(identifier) if named else "without a name"
        raise NotSupported(f"the key wrap {what} of a key agreement is not supported")
    # The wrap algorithm's parameters are absent by RFC 3565; some senders
    # put NULL into what the key is derived from, so that is tried as well.
    as_sent = algorithm[parts[1][1] : parts[1][3]]
    other = sequence(alg.KEY_WRAP[wrap], NULL)
    if as_sent == other:
        other = sequence(alg.KEY_WRAP[wrap])
    ways = how, digest, wrap, as_sent, other, unwrap_3des if old else unwrap_aes
    if len(algorithm) <= MAX_WAY_OCTETS:
        if len(_known_ways) >= MAX_KNOWN_WAYS:
            _known_ways.clear()
        _known_ways[algorithm] = ways
    return ways


class _Preparing:
    """One wrapped key of a KeyAgreeRecipientInfo."""

    __slots__ = ("_sealed", "_shared")

    def __init__(self, shared: _Shared, sealed: bytes) -> None:
        self._shared, self._sealed = shared, sealed

    def prepare(self) -> Opener:
        shared = self._shared.ready()
        sealed = self._sealed

        def unwrap_with(key: OpeningKey) -> Unwrap:
            return lambda length: unwrap(key, shared, sealed, length)

        return unwrap_with


def unwrap(key: OpeningKey, shared: Shared, sealed: bytes, length: int) -> bytes:
    """Return the content key of so many octets, or what stands for it."""
    (how, digest, wrap, as_sent, other, unwrap_by), point, ukm = shared
    behind = _behind_algorithm(ukm, wrap)
    first = sequence(as_sent, behind)
    # RFC 8418 §2.2: with HKDF the keying material is the salt as well; Bouncy
    # Castle 1.86 left that out.
    salt, second = (b"", first) if how == "hkdf" and ukm else (ukm, sequence(other, behind))
    try:
        secret = key.exchange(point)
    except ValueError:  # a point off the curve, a secret of zeros
        secret = substitute(point, 32)
    # Every form is tried whether one before it fitted or not.
    keys = (
        _derive(how, digest, secret, ukm, first, wrap),
        _derive(how, digest, secret, salt, second, wrap),
    )
    return right_length(unwrap_by(keys, sealed, length), length, sealed)
