"""Sealed content of any size: written and read piece by piece.

Sealing takes one pass. Opening takes one too where all that is needed before
the content stands before it, or can be read ahead; else the ciphertext, which
tells nothing, waits in a spool. What is opened goes to a ``Release``, which
its caller publishes when this returned and all else is good as well.

Floor:  cms (uses errors, policy, source, release)
Source: RFC 5652 §6; RFC 5083 §2.1, where authAttrs stand behind what they protect
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms import ciphers
from smime.cms.der import OCTET_STRING, SEQUENCE, SET, head, tlv
from smime.cms.enveloped import (
    FAILED,
    PLACE_HOLDER,
    Envelope,
    Frame,
    content_keys,
    read_head,
    read_tail,
)
from smime.cms.extras import PLAIN
from smime.cms.stream import Reader, begin
from smime.errors import DecryptionFailed, MalformedMail
from smime.release import spool

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence

    from smime.cms.extras import Extras
    from smime.cms.recipients import Key
    from smime.cms.recipients import Reader as AnyReader
    from smime.policy import Policy
    from smime.release import Release
    from smime.source import Piece, Source

__all__ = ["read_through", "sealed_pieces", "unseal", "unseal_begun"]

_END = b"\0\0"
_COPY_OCTETS = 256 * 1024


def sealed_pieces(
    source: Source,
    readers: Sequence[AnyReader],
    *,
    cipher: str,
    transport: str,
    derived: bool = False,
    extras: Extras = PLAIN,
) -> Iterator[Piece]:
    """Yield a ContentInfo that seals the source, as ``enveloped.build`` makes it.

    In DER where the size of the source is known, else with indefinite lengths.
    Raises ``LimitExceeded`` for more than the cipher carries, of a known size
    before anything is yielded, and ``OSError``.
    """
    frame = Frame(readers, cipher, transport, derived, extras)
    encryptor = ciphers.encryptor(cipher, frame.key, frame.nonce, extras.authenticated)
    padded = alg.CIPHERS[cipher][2] == "cbc"
    if source.size is None:
        yield from _indefinite(source, frame, encryptor)
        return
    ciphers.check_length(cipher, len(frame.nonce), source.size)
    size = source.size // 16 * 16 + 16 if padded else source.size
    tail = len(extras.tail(b"" if padded else bytes(ciphers.TAG_OCTETS)))
    yield b"".join(frame.before(size, tail))
    for piece in source.pieces():
        yield encryptor.update(piece)
    yield encryptor.finalize()
    yield extras.tail(encryptor.tag)


def _indefinite(source: Source, frame: Frame, encryptor: ciphers.Encryptor) -> Iterator[Piece]:
    yield b"\x30\x80" + frame.outer + b"\xa0\x80\x30\x80" + frame.start
    yield b"\x30\x80" + frame.described + b"\xa0\x80"
    for piece in source.pieces():
        yield from _string(encryptor.update(piece))
    yield from _string(encryptor.finalize())
    yield _END * 2
    yield frame.extras.tail(encryptor.tag)
    yield _END * 3


def _string(content: bytes) -> Iterator[Piece]:
    if content:
        yield head(OCTET_STRING, len(content))
        yield content


def unseal(source: Source, keys: Iterable[Key], policy: Policy, to: Release) -> Envelope:
    """Write the content to ``to``, which is not published, and return what sealed it.

    Raises what ``enveloped.read`` and ``enveloped.open_with`` raise, the one
    ``DecryptionFailed`` for all that depends on a key, and ``OSError``.
    """
    return unseal_begun(*begin(source), keys, policy, to)


def unseal_begun(
    reader: Reader, kind: bytes, keys: Iterable[Key], policy: Policy, to: Release
) -> Envelope:
    """Do so for a structure of which the kind was read already."""
    envelope, authenticated = _read_head(reader, kind)
    ways = content_keys(envelope, keys, policy)
    if not ways:
        raise DecryptionFailed(FAILED)
    # Attributes that a tag covers stand behind the content, and the cipher wants them first.
    ahead = reader.read_behind() if authenticated and len(ways) == 1 else None
    if ahead is not None:
        read_tail(envelope, ahead)
    if len(ways) == 1 and (ahead is not None or not authenticated):
        content = _measured(_ciphertext(reader, envelope), envelope)
        good = _open(content, ways[0][1], envelope, to)
        if ahead is None:
            _finish(reader, envelope)
        if not good:
            raise DecryptionFailed(FAILED)
        envelope.opened_by = ways[0][0]
        return envelope
    with spool() as ciphertext:
        for piece in _measured(_ciphertext(reader, envelope), envelope):
            ciphertext.write(piece)
        _finish(reader, envelope)

        def again() -> Iterator[Piece]:
            ciphertext.seek(0)
            while piece := ciphertext.read(_COPY_OCTETS):
                yield piece

        if len(ways) > 1:
            # Only for a key without certificate, where unwrapping always "works":
            # one that opens the content is believed if no other one does.
            ways = [one for one in ways if _open(again(), one[1], envelope, None)]
        if len({content_key for _, content_key in ways}) != 1 or not _open(
            again(), ways[0][1], envelope, to
        ):
            raise DecryptionFailed(FAILED)
        envelope.opened_by = ways[0][0]
    return envelope


def read_through(reader: Reader, kind: bytes) -> Envelope:
    """Read a structure that nobody can open here to its end, and say what it is."""
    envelope, _ = _read_head(reader, kind)
    pieces = _ciphertext(reader, envelope)
    for _ in pieces if envelope.why_not else _measured(pieces, envelope):
        pass
    _finish(reader, envelope)
    return envelope


def _read_head(reader: Reader, kind: bytes) -> tuple[Envelope, bool]:
    """Read up to the content; say whether a tag follows it."""
    reader.enter(SEQUENCE)
    parts = [reader.whole(0x02)]
    if kind != alg.ENCRYPTED_DATA:
        if reader.peek() == 0xA0:
            parts.append(reader.whole(0xA0))  # originatorInfo
        parts.append(reader.whole(SET))
    reader.enter(SEQUENCE)
    described = reader.whole(0x06) + reader.whole(SEQUENCE)
    if reader.peek() not in (0x80, 0xA0):
        raise MalformedMail("the encrypted content is not there")
    parts.append(tlv(SEQUENCE, described + PLACE_HOLDER))
    blob = tlv(SEQUENCE, tlv(0x06, kind) + tlv(0xA0, tlv(SEQUENCE, b"".join(parts))))
    envelope = read_head(blob)
    return envelope, envelope.authenticated


def _ciphertext(reader: Reader, envelope: Envelope) -> Iterator[Piece]:
    """Yield the encrypted content; a tag at its end is kept for the envelope."""
    if not envelope.tag_inside:
        yield from reader.content(0x80)
        return
    count, held = len(envelope.tag), b""
    for piece in reader.content(0x80):
        if len(piece) >= count:
            yield held
            yield piece[:-count]
            held = bytes(piece[-count:])
        else:
            held += bytes(piece)
            yield held[:-count]
            held = held[-count:]
    if len(held) < count:
        raise MalformedMail("the tag that protects the content is not there")
    envelope.tag = held


def _measured(pieces: Iterable[Piece], envelope: Envelope) -> Iterator[Piece]:
    """Pass the ciphertext on and refuse a length that cannot be, which everybody can see."""
    octets = 0
    for piece in pieces:
        octets += len(piece)
        yield piece
    if alg.CIPHERS[envelope.cipher][2] == "cbc" and (not octets or octets % len(envelope.nonce)):
        raise MalformedMail("the encrypted content is not a whole number of blocks")


def _open(pieces: Iterable[Piece], key: bytes, envelope: Envelope, to: Release | None) -> bool:
    """Decrypt to ``to`` and say whether padding or tag is right."""
    decryptor = ciphers.decryptor(
        envelope.cipher, key, envelope.nonce, tag_octets=len(envelope.tag), aad=envelope.aad
    )
    for piece in pieces:
        content = decryptor.update(piece)
        if to is not None:
            to.write(content)
    try:
        content = decryptor.finalize(envelope.tag)
    except ciphers.BadSeal:
        return False
    if to is not None:
        to.write(content)
    return True


def _finish(reader: Reader, envelope: Envelope) -> None:
    """Read what stands behind the content, to the end of the structure."""
    reader.leave()
    behind = []
    while not reader.at_end():
        behind.append(reader.whole(reader.peek()))
    for _ in range(3):
        reader.leave()
    read_tail(envelope, b"".join(behind))
