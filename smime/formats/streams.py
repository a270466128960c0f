"""The same forms as ``formats.smime`` writes, of a content that goes by in pieces.

Floor:  formats (uses mime, cms, source, release)
Source: RFC 8551 §3
"""

from __future__ import annotations

from smime.cms import sealing, signed, signing
from smime.cms.enveloped import kind_of
from smime.formats import smime as form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from datetime import datetime

    from smime.cms.recipients import RecipientKey
    from smime.cms.signed import SigningKey
    from smime.policy import Policy
    from smime.source import Piece, Source

__all__ = ["opaque_mail", "sealed_mail", "signed_mail"]


def signed_mail(
    source: Source,
    keys: Sequence[SigningKey],
    outer: bytes,
    *,
    at: datetime,
    policy: Policy,
    signed_attributes: tuple[bytes, ...],
) -> Iterator[Piece]:
    """Yield a multipart/signed around the entity that ``source`` holds."""
    frame = signed.frame(
        keys, detached=True, at=at, policy=policy, signed_attributes=signed_attributes
    )
    boundary = form.new_boundary()
    tally = signing.Tally(frame.digests)
    yield b"".join(form.signed_start(policy.micalg_names(frame.digests), boundary, outer))
    for piece in source.pieces():
        tally.add(piece)
        yield piece
    yield b"".join(form.signed_end(frame.after(tally.digests), boundary))


def opaque_mail(
    source: Source,
    keys: Sequence[SigningKey],
    outer: bytes,
    *,
    at: datetime,
    policy: Policy,
    signed_attributes: tuple[bytes, ...],
) -> Iterator[Piece]:
    """Yield an application/pkcs7-mime that holds the entity and its signatures."""
    yield form.sealed_start("signedData", outer)
    yield from form.lines_of(
        signing.signed_pieces(
            source,
            keys,
            detached=False,
            at=at,
            policy=policy,
            signed_attributes=signed_attributes,
        )
    )


def sealed_mail(
    source: Source,
    readers: Sequence[RecipientKey],
    outer: bytes,
    *,
    cipher: str,
    transport: str,
    derived: bool,
) -> Iterator[Piece]:
    """Yield an application/pkcs7-mime that seals the entity."""
    yield form.sealed_start(kind_of(cipher), outer)
    yield from form.lines_of(
        sealing.sealed_pieces(source, readers, cipher=cipher, transport=transport, derived=derived)
    )
