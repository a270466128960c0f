"""Signatures of a key met before, verified by the shortest way: yes, or the full way.

A partner's signatures are alike but for content, time, digest and value. What all else in
them means was worked out by the full way before; then the content, the value, and what the
certificate is worth now are asked of each. Never is a no said here: for that the full way is
gone, from the beginning. What a report tells is put together when somebody asks for it. A
test holds each yes, and its report, against the full way.

Floor:  cms (uses likeness, opened; knows no trust but the one handed in)
Source: RFC 5652 §5.4, §5.6
"""

from __future__ import annotations

from smime.cms.algorithms import AUTH_ENVELOPED_DATA, DATA, ENCRYPTED_DATA, ENVELOPED_DATA
from smime.cms.der import oid_text

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime
    from typing import Any, Protocol

    from cryptography import x509

    from smime.cms.judging import Judged
    from smime.cms.likeness import Likeness
    from smime.cms.opened import Opened
    from smime.cms.signatures import CheckedSignature, SignedData
    from smime.policy import Policy
    from smime.protocols import Trust

    class Sure(Trust, Protocol):
        """A trust in one certificate alone, that keeps what its signatures are like."""

        def surely(
            self, cert_der: bytes, sender: str | None, at: datetime, policy: Policy, digest: str
        ) -> bool: ...

        def parse_certificate(self, der: bytes) -> x509.Certificate | None: ...


__all__ = ["Met", "content_kind"]

# Forms that are kept: an ECDSA value has four usual lengths, a partner one program or two.
MAX_ALIKE = 16
MAX_KEPT_OCTETS = 16 * 1024  # of one: some ten certificates
MAX_SEEN = 64  # lengths of which one was seen: what comes once is not worth keeping

_TEXTS = {DATA: oid_text(DATA)}
_SEALED = (ENVELOPED_DATA, AUTH_ENVELOPED_DATA, ENCRYPTED_DATA)


def content_kind(content_type: bytes) -> tuple[str, bool]:
    """Return the identifier of a content type in dots, and whether that is sealed itself."""
    return _TEXTS.get(content_type) or oid_text(content_type), content_type in _SEALED


class Met:
    """What the good signatures of one certificate were like; no verdicts.

    For a trust whose ``judge`` looks at the signer's certificate alone, and which has
    ``surely`` and ``parse_certificate`` beside it. Threads may share it.
    """

    __slots__ = ("_alike", "_seen")

    def __init__(self) -> None:
        self._alike: tuple[_Known, ...] = ()
        self._seen: set[int] = set()

    def __len__(self) -> int:
        return len(self._alike)

    def opened(
        self,
        blob: bytes,
        content: bytes | None,
        trust: Sure,
        *,
        sender: str | None,
        purpose: str,
        policy: Policy,
        at: datetime,
    ) -> Opened | None:
        """Return what ``verify`` gives for a signature that is good beyond doubt, else None.

        The arguments are those of ``verify``; ``trust`` is the one that keeps this.
        """
        for known in self._alike:
            like = known.likeness
            parts = like.parts(blob, content)
            if parts is not None:
                break
        else:
            return None
        tail, found = parts
        if not trust.surely(like.cert_der, sender, at, policy, like.digest) or not like.holds(
            tail, found
        ):
            return None
        from smime.cms.opened import Opened

        def tell() -> tuple[tuple[Judged], SignedData]:
            from smime.cms.judging import judged
            from smime.cms.proving import Times
            from smime.cms.signatures import read, sound

            data = read(blob, trust.parse_certificate)
            checked = sound(data.signers[0], like.stated(tail), like.cert_der, like.certificate)
            how: dict[str, Any] = {"sender": sender, "policy": policy, "purpose": purpose}
            times = Times(at)
            return (judged(checked, data, (trust,), times=times, evidence=None, **how),), data

        return Opened(found, known.content_type, known.encrypted, tell=tell)

    def remember(self, blob: bytes, data: SignedData, checked: CheckedSignature) -> None:
        """Keep what the signature of ``data`` is like, which was good, at the second of its form.

        It was found without certificates from elsewhere; ``blob`` is what it was read of.
        """
        inside = data.content
        octets = len(blob) - len(inside or b"")
        if octets > MAX_KEPT_OCTETS:
            return
        if octets not in self._seen:
            if len(self._seen) >= MAX_SEEN:
                self._seen.clear()
            self._seen.add(octets)
            return
        content = b"" if inside is None else None
        if any(one.likeness.parts(blob, content) is not None for one in self._alike):
            return
        attributes = data.signers[0].attributes
        if attributes is None or attributes.data != blob:
            return  # indefinite lengths were rewritten
        from smime.cms.likeness import likeness

        found = likeness(data, checked)
        if found is not None:
            known = _Known(found, *content_kind(data.content_type))
            self._alike = (*self._alike[-MAX_ALIKE + 1 :], known)


class _Known:
    """One form of signature."""

    __slots__ = ("content_type", "encrypted", "likeness")

    def __init__(self, likeness: Likeness, content_type: str, encrypted: bool) -> None:
        self.likeness = likeness
        self.content_type = content_type
        self.encrypted = encrypted
