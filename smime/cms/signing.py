"""Signed content of any size: digested while it goes by, in one pass.

Signing writes what stands before the content, the content, and what stands
behind it. Checking keeps of the content its digests and how it began; whoever
wants the content gets it through a ``Release``, published when all is good.

Floor:  cms (uses errors, policy, source, release)
Source: RFC 5652 §5.1, §5.4; §5.1 for the digests that are announced before the content
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms import signed
from smime.cms.der import OCTET_STRING, SEQUENCE, SET, children, head, tlv, top
from smime.cms.schemes import FIXED_DIGEST, MAX_EDDSA_OCTETS, digest_name
from smime.cms.stream import MAX_HELD_OCTETS, Reader
from smime.errors import LimitExceeded, MalformedMail, SmimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from cryptography import x509

    from smime.cms.signatures import HashedContent, SignedData, SignerInfo
    from smime.cms.signed import SigningKey
    from smime.policy import Policy
    from smime.release import Release
    from smime.source import Piece, Source

__all__ = [
    "Tally",
    "check_detached",
    "check_opaque",
    "read_held",
    "read_signature",
    "signed_pieces",
]

_BEGINNING_OCTETS = 64 * 1024  # enough to tell attributes from any other content
# Where a message announces no digest (some do not), those that a signer is likely to use.
_LIKELY = ("sha256", "sha384", "sha512")

DETACHED = "the signature is detached: the content that it signs is not inside"
DETACHED_HINT = "give it: verify(blob, content=..., trust=...)"


class Tally:
    """Digests, length and beginning of a content that goes by."""

    __slots__ = ("_hashes", "_keep", "beginning", "octets")

    def __init__(self, names: Iterable[str], keep: int = _BEGINNING_OCTETS) -> None:
        self._hashes = {name: alg.new_hash(name) for name in names}
        self._keep = keep
        self.beginning = b""
        self.octets = 0

    def add(self, piece: Piece) -> None:
        self.octets += len(piece)
        missing = self._keep - len(self.beginning)
        if missing > 0:
            self.beginning += bytes(piece[:missing])
        for one in self._hashes.values():
            one.update(piece)

    @property
    def digests(self) -> dict[str, bytes]:
        return {name: one.digest() for name, one in self._hashes.items()}

    def content(self) -> HashedContent:
        """Return the content as signatures are held against it."""
        from smime.cms.signatures import HashedContent

        return HashedContent(self.digests, self.beginning, self.octets)


def signed_pieces(
    source: Source,
    keys: Sequence[SigningKey],
    *,
    detached: bool,
    at: datetime,
    policy: Policy,
    attributes: bool = True,
    **more: Any,
) -> Iterator[Piece]:
    """Yield a ContentInfo with SignedData, as ``signed.build`` makes it; the rest goes there.

    An opaque one is in DER where all lengths are known before the content was
    read, else with indefinite lengths. Raises what ``signed.frame`` raises, and
    ``OSError``.
    """
    frame = signed.frame(
        keys,
        detached=detached,
        at=at,
        policy=policy,
        octets=source.size,
        attributes=attributes,
        **more,
    )
    # EdDSA goes over all of it twice, so without attributes all of it is kept.
    pure = not attributes and any(one.kind in FIXED_DIGEST for one in keys)
    tally = Tally(frame.digests, MAX_EDDSA_OCTETS + 1 if pure else _BEGINNING_OCTETS)
    if not detached:
        yield frame.before
    for piece in source.pieces():
        tally.add(piece)
        if detached:
            continue
        if frame.in_pieces:
            yield head(OCTET_STRING, len(piece))
        yield piece
    yield frame.after(tally.digests, beginning=tally.beginning, octets=tally.octets)


def read_held(source: Source) -> bytes:
    """Return a structure whole that has no content to speak of."""
    blob = source.read(MAX_HELD_OCTETS)
    if blob is None:
        raise LimitExceeded(f"a signature or bundle has more than {MAX_HELD_OCTETS} octets")
    return blob


def read_signature(
    source: Source, parse: Callable[[bytes], x509.Certificate | None] | None = None
) -> SignedData:
    """Read a SignedData whose content stands elsewhere, from its source.

    Raises what ``read_detached`` raises, and ``LimitExceeded``.
    """
    return read_detached(read_held(source), parse)


def read_detached(
    blob: bytes, parse: Callable[[bytes], x509.Certificate | None] | None = None
) -> SignedData:
    """Read a SignedData whose content stands elsewhere.

    Raises ``MalformedMail``, also for one that brings a content of its own, for
    nobody could say which of the two was meant.
    """
    from smime.cms.signatures import read

    data = read(blob, parse) if parse is not None else read(blob)
    if data.content is not None:
        raise MalformedMail(
            "the signature carries a content of its own beside the one that is given",
            hint="without content= the one inside is verified",
        )
    return data


def check_detached(data: SignedData, content: Source, policy: Policy, to: Release) -> HashedContent:
    """Digest the content for the signers of ``data``, and pass it on to ``to``."""
    names = {_digest_of(one) for one in data.signers} & _readable(policy)
    pure = any(one.attributes is None and one.scheme.kind in FIXED_DIGEST for one in data.signers)
    tally = Tally(sorted(names), MAX_EDDSA_OCTETS + 1 if pure else _BEGINNING_OCTETS)
    for piece in content.pieces():
        tally.add(piece)
        to.write(piece)
    return tally.content()


def check_opaque(source: Source, policy: Policy, to: Release) -> tuple[SignedData, HashedContent]:
    """Read a SignedData with its content inside, which is passed on to ``to``.

    Raises what ``signatures.read`` raises, and ``MalformedMail`` where a signer
    uses a digest that the message does not announce before its content.
    """
    from smime.cms.signatures import read

    reader = Reader(source)
    reader.enter(SEQUENCE)
    kind = reader.whole(0x06)
    reader.enter(0xA0)
    if kind[2:] != alg.SIGNED_DATA:
        name = alg.CONTENT_TYPES.get(kind[2:], "another kind of CMS")
        raise MalformedMail(f"this is {name}, not signedData")
    reader.enter(SEQUENCE)
    start = reader.whole(0x02)
    announced = reader.whole(SET)
    reader.enter(SEQUENCE)
    content_type = reader.whole(0x06)
    names = _announced(announced) or set(_LIKELY)
    tally = Tally(sorted(names & _readable(policy)))
    if reader.at_end():
        raise MalformedMail(DETACHED, hint=DETACHED_HINT)
    reader.enter(0xA0)
    for piece in reader.content(OCTET_STRING):
        tally.add(piece)
        to.write(piece)
    reader.leave()
    reader.leave()
    rest = []
    while not reader.at_end():
        rest.append(reader.whole(reader.peek()))
    for _ in range(3):
        reader.leave()
    # The same structure with its content taken out is read as every other is.
    inner = start + announced + tlv(SEQUENCE, content_type) + b"".join(rest)
    data = read(tlv(SEQUENCE, kind + tlv(0xA0, tlv(SEQUENCE, inner))))
    missing = {_digest_of(one) for one in data.signers} & _readable(policy) - set(tally.digests)
    if missing:
        raise MalformedMail(
            f"a signer uses {min(missing)}, which the message does not announce before its content",
            hint="verify it in memory: give the blob as bytes",
        )
    return data, tally.content()


def _digest_of(signer: SignerInfo) -> str:
    """Return the digest that a signer takes of the content."""
    if signer.attributes is None and signer.scheme.kind in FIXED_DIGEST:
        return FIXED_DIGEST[signer.scheme.kind]
    return signer.digest


def _readable(policy: Policy) -> set[str]:
    return set(alg.DIGESTS) - (alg.WEAK_DIGESTS - policy.weak)


def _announced(digest_set: bytes) -> set[str]:
    """Return the names of the digests that a SET OF DigestAlgorithmIdentifier lists."""
    from smime.cms.ber import parsed

    def names(data: bytes) -> set[str]:
        return {digest_name(data, one) for one in children(data, top(data))}

    try:
        return parsed(digest_set, names)
    except SmimeError:
        return set()  # what is wrong with it is told when all is read
