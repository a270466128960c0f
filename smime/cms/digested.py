"""DigestedData: a content and its digest, which shows accidents and nothing else.

Whoever changes the content makes a digest for it as well.

Floor:  cms (uses errors, policy, source, release)
Source: RFC 5652 §7
"""

from __future__ import annotations

import hmac

from smime.cms import algorithms as alg
from smime.cms.der import OCTET_STRING, SEQUENCE, integer, octet_string, oid, top
from smime.cms.encapsulated import encapsulate
from smime.cms.schemes import digest_name
from smime.errors import MalformedMail, NotSupported
from smime.policy import MODERN
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator
    from typing import overload

    from smime.cms.stream import Reader
    from smime.policy import Policy
    from smime.release import Out, Release
    from smime.source import Data, Piece

__all__ = ["Digested", "digest"]

_PLAIN_DATA = "1.2.840.113549.1.7.1"


if TYPE_CHECKING:

    @overload
    def digest(
        data: Data,
        *,
        detached: bool = False,
        content_type: str = ...,
        policy: Policy = ...,
        out: None = None,
    ) -> bytes: ...
    @overload
    def digest(
        data: Data,
        *,
        detached: bool = False,
        content_type: str = ...,
        policy: Policy = ...,
        out: Out,
    ) -> None: ...


def digest(
    data: Data,
    *,
    detached: bool = False,
    content_type: str = _PLAIN_DATA,
    policy: Policy = MODERN,
    out: Out | None = None,
) -> bytes | None:
    """Put a digest beside content of any size; return the ContentInfo, or write it to ``out``.

    It shows accidents on the way, and not that nobody changed the content: for
    that ``sign`` it. ``data`` is bytes, a path or a binary file; it is inside, or
    with ``detached`` stays where it is. The digest is SHA-256, or the policy's.
    The result is DER, but for a pipe, whose size is not known. ``open`` checks it.

    Raises ``OSError``.
    """
    name = "sha256" if policy.digest == "auto" else policy.digest
    kind = oid(content_type)[2:]
    tally = alg.new_hash(name)
    return encapsulate(
        data,
        out,
        tally=tally,
        kind=alg.DIGESTED_DATA,
        # RFC 5652 §7: 2 where the content is not plain data.
        before=integer(0 if kind == alg.DATA else 2) + alg.DIGEST_ALGORITHM[name],
        content_type=kind,
        behind=lambda: octet_string(tally.digest()),
        behind_octets=2 + alg.DIGESTS[name][1],
        detached=detached,
    )


class Digested:
    """A DigestedData that is read up to its content at first.

    ``reader`` is inside the ContentInfo. Raises ``MalformedMail``.
    """

    __slots__ = ("_reader", "content_type", "detached", "digest")

    content_type: bytes
    detached: bool
    """The content stands elsewhere."""
    digest: str
    """Name of the digest; its dotted identifier if it is not known."""

    def __init__(self, reader: Reader) -> None:
        reader.enter(SEQUENCE)
        reader.whole(0x02)  # the version says nothing that is not seen otherwise
        algorithm = reader.whole(SEQUENCE)
        self.digest = digest_name(algorithm, top(algorithm))
        reader.enter(SEQUENCE)
        self.content_type = reader.whole(0x06)[2:]
        self.detached = reader.peek() != 0xA0
        self._reader = reader

    def check(self, content: Source | None, policy: Policy, to: Release) -> None:
        """Write the content to ``to``, which is not published, if its digest is right.

        ``content`` is what stands elsewhere. Raises ``NotSupported`` for a digest
        that is not known or that the policy does not allow, and ``MalformedMail``.
        """
        if self.digest not in alg.DIGESTS:
            raise NotSupported(f"digest {self.digest} is not supported")
        alg.refuse_weak(self.digest, policy)
        tally = alg.new_hash(self.digest)
        for piece in inner_content(self._reader, self.detached, content):
            tally.update(piece)
            to.write(piece)
        stated = self._reader.string()
        for _ in range(3):
            self._reader.leave()
        if not hmac.compare_digest(tally.digest(), stated):
            raise MalformedMail("the content does not have the digest that stands beside it")


def inner_content(reader: Reader, detached: bool, content: Source | None) -> Iterator[Piece]:
    """Yield the content inside, or the one that stands elsewhere, and leave its structure.

    Raises ``MalformedMail`` for none, or for two of which one could be shown
    and the other checked.
    """
    if not detached:
        if content is not None:
            raise MalformedMail(
                "the structure carries a content of its own beside the one that is given",
                hint="without content= the one inside is read",
            )
        reader.enter(0xA0)
        yield from reader.content(OCTET_STRING)
        reader.leave()
    elif content is None:
        raise MalformedMail("the content stands elsewhere", hint="give it: content=...")
    else:
        yield from content.pieces()
    reader.leave()
