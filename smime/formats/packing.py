"""An entity compressed before it is signed or sealed, where the policy says so; and unpacked.

Floor:  formats (uses mime, cms, source, release)
Source: RFC 8551 §3.6; RFC 5402 for AS2
"""

from __future__ import annotations

from smime.errors import NotSupported
from smime.formats import smime as form
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator

    from smime.policy import Policy
    from smime.source import Piece

__all__ = ["allowance", "large", "refuse", "small"]

MAX_INFLATED_OCTETS = 256 << 20  # out of all compressed layers of one mail


def allowance(mail_octets: int, unpacked: int) -> int:
    """Return what may still come out of compressed layers, in octets.

    All layers of a mail share it: one packed into another would multiply it.
    """
    from smime.cms.compressed import FREE_OCTETS, MAX_RATIO

    return min(MAX_INFLATED_OCTETS, FREE_OCTETS + MAX_RATIO * mail_octets) - unpacked


def small(inner: bytes, policy: Policy) -> bytes:
    """Return the entity, or an application/pkcs7-mime that holds it compressed."""
    if not policy.compress:
        return inner
    from smime.cms.compressed import compress

    return form.wrap_sealed(compress(inner), "compressedData")


def large(
    protect: Callable[[Source, bytes, bytes], Iterator[Piece]],
    inner: Source,
    policy: Policy,
    outer: bytes,
    sealed_outer: bytes,
) -> Iterator[Piece]:
    """Protect an entity that is read in pieces, compressed first where that is wanted.

    What is compressed waits in an unlinked file, for its size is needed.
    """
    if not policy.compress:
        yield from protect(inner, outer, sealed_outer)
        return
    from smime.cms.compressed import packed_pieces
    from smime.release import spool

    with spool() as waiting:
        waiting.write(form.sealed_start("compressedData"))
        for line in form.lines_of(packed_pieces(inner.pieces())):
            waiting.write(line)
        waiting.seek(0)
        yield from protect(Source(waiting, "the compressed mail"), outer, sealed_outer)


def refuse(policy: Policy) -> None:
    """Refuse compression where the mail is not S/MIME."""
    if policy.compress:
        raise NotSupported(
            "compress=True is for S/MIME",
            hint="OpenPGP mail is never compressed: its size would tell of its content",
        )
