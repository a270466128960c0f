"""What the signatures of one signer have in common, octet for octet.

Floor:  cms (uses algorithms, attributes, schemes)
Source: RFC 5652 §5
"""

from __future__ import annotations

from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

from smime.cms import algorithms as alg
from smime.cms.attributes import MESSAGE_DIGEST, SIGNING_TIME
from smime.cms.content import content_info
from smime.cms.der import children, head
from smime.cms.schemes import FIXED_DIGEST, how_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any, TypeAlias

    from cryptography import x509

    from smime.cms.signatures import CheckedSignature, SignedData

    Span: TypeAlias = tuple[int, int]

__all__ = ["Likeness", "likeness"]


class Likeness:
    """A signature that was good, as far as others by the same signer are alike.

    All octets but those of content, time, digest and signature value are kept. Every tag and
    every length is among them, or follows from the content's, so what has the same ones is
    read to the same elements: certificates, signer, algorithms, attributes.

    ``tail`` is what stands behind a content that is inside; of a detached signature it is all.
    """

    __slots__ = (
        "_attributes",
        "_digest",
        "_fixed",
        "_how",
        "_value",
        "_verify",
        "around",
        "cert_der",
        "certificate",
        "digest",
        "octets",
    )

    def __init__(
        self,
        tail: bytes,
        data: SignedData,
        checked: CheckedSignature,
        places: list[Span],
        around: Around | None,
    ) -> None:
        """``places`` are those of the attributes, the digest, perhaps the time, and the value."""
        (signer,) = data.signers
        assert checked.certificate is not None
        assert checked.cert_der is not None
        self.certificate: x509.Certificate = checked.certificate
        self.cert_der = checked.cert_der
        self.digest = signer.digest
        self.octets = len(tail)
        self.around = around
        """What stands before a content that is inside; None for a detached signature."""
        # The full way found that the key is one for this scheme.
        public: Any = checked.certificate.public_key()
        self._verify = public.verify
        kind = signer.scheme.kind
        self._how = () if kind in FIXED_DIGEST else how_to(signer.scheme, signer.digest, False)
        self._attributes, self._digest, *_, self._value = places
        self._fixed: list[tuple[int, int, bytes]] = []
        at = 0
        for start, end in sorted(places[1:]):
            self._fixed.append((at, start, tail[at:start]))
            at = end
        self._fixed.append((at, len(tail), tail[at:]))

    def fits(self, tail: bytes) -> bool:
        """Whether one of the same length is alike."""
        alike = [tail[start:end] == octets for start, end, octets in self._fixed]
        return False not in alike

    def parts(self, blob: bytes, content: bytes | None) -> tuple[bytes, bytes] | None:
        """Return tail and content of a ContentInfo that is alike, else None.

        ``content`` is that of a detached signature, None where it has to be inside.
        """
        around = self.around
        if content is not None:
            alike = around is None and len(blob) == self.octets and self.fits(blob)
            return (blob, content) if alike else None
        before = around.before(len(blob)) if around is not None else None
        if before is None or not blob.startswith(before):
            return None
        tail = blob[-self.octets :]
        return (tail, blob[len(before) : -self.octets]) if self.fits(tail) else None

    def stated(self, tail: bytes) -> bytes:
        """Return the digest that one which fits states."""
        start, end = self._digest
        return tail[start:end]

    def holds(self, tail: bytes, content: bytes) -> bool:
        """Whether one that fits is a good signature over the content."""
        if alg.digest(self.digest, content) != self.stated(tail):
            return False
        start, end = self._attributes
        covered = b"\x31" + tail[start + 1 : end]
        start, end = self._value
        try:
            self._verify(tail[start:end], covered, *self._how)
        except (InvalidSignature, ValueError, UnsupportedAlgorithm):
            return False
        return True


class Around:
    """What stands before a content that is inside, in DER: all of it follows from the length."""

    __slots__ = ("_between", "_kind", "_tail_octets")

    def __init__(self, between: bytes, kind: bytes, tail_octets: int) -> None:
        """``between`` is version and digest algorithms, ``kind`` the content's type."""
        self._between, self._kind = between, kind
        self._tail_octets = tail_octets

    def before(self, octets: int) -> bytes | None:
        """Return what stands before the content of a ContentInfo of so many octets.

        None where there is no such ContentInfo. The content ends where the tail begins.
        """
        parts: list[bytes] = []
        for tag, behind, following in (
            (0x30, 0, _ID_SIGNED_DATA),
            (0xA0, 0, b""),
            (0x30, 0, self._between),
            (0x30, self._tail_octets, self._kind),
            (0xA0, 0, b""),
            (0x04, 0, b""),
        ):
            octets -= behind
            size = 2 if octets < 0x82 else 3 if octets < 0x103 else 4 if octets < 0x10004 else 5
            if octets < size:
                return None
            first = head(tag, octets - size)
            if len(first) != size:
                return None  # no length of so many octets, or one beyond what is usual
            octets -= size + len(following)
            parts += (first, following)
        return b"".join(parts)


_ID_SIGNED_DATA = b"\x06" + bytes((len(alg.SIGNED_DATA),)) + alg.SIGNED_DATA


def likeness(data: SignedData, checked: CheckedSignature) -> Likeness | None:
    """Return what others by the signer of ``data`` are like, if it is of the usual form.

    ``checked`` is its one signature, which holds, found without certificates from elsewhere.
    """
    if len(data.signers) != 1:
        return None
    (signer,) = data.signers
    attributes = signer.attributes
    if (
        attributes is None
        or not attributes.in_order
        or signer.value_at < 0
        or signer.unsigned is not None
        or data.crls
        or data.ocsp
        or not checked.holds
        or not checked.alone
        or checked.notes
        # What a policy may allow is for the full way.
        or not _WEAK.isdisjoint((signer.digest, signer.scheme.digest, signer.scheme.kind))
    ):
        return None
    digest, time = attributes.place(MESSAGE_DIGEST), attributes.place(SIGNING_TIME)
    if digest is None:
        return None
    blob, begin, around = attributes.data, 0, None
    if data.content is not None:
        found = _around(blob)
        if found is None:
            return None
        around, begin = found
    value = signer.value_at, signer.value_at + len(signer.value)
    places = [attributes.span, digest, *([time] if time else []), value]
    shifted = [(start - begin, end - begin) for start, end in places]
    return Likeness(blob[begin:], data, checked, shifted, around)


def _around(blob: bytes) -> tuple[Around, int] | None:
    """Return what stands before the content inside, and where the tail begins; None if unusual."""
    _, inner = content_info(blob)
    encapsulated = children(blob, inner)[2]
    parts = children(blob, encapsulated)
    (content,) = children(blob, parts[1])
    between = blob[inner[2] : encapsulated[1]]
    tail_at = content[3]
    around = Around(between, blob[parts[0][1] : parts[0][3]], len(blob) - tail_at)
    if around.before(len(blob)) != blob[: content[2]]:
        return None
    return around, tail_at


_WEAK = alg.WEAK_DIGESTS | alg.WEAK_SIGNATURES
