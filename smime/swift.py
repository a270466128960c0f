"""The signed mail of somebody met before, verified by the shortest way: yes, or the full way.

Nearly all signed mail of a correspondent has the same certificates, the same
algorithms and one layer. What these octets mean was worked out by the full way
before: whose key they name, and which path leads from it to an anchor. The
content, the signature and what the path is worth now are asked of each mail.
Never is a no said here, nor anything else that a report tells: for all that the
full way is gone, from the beginning. A test holds each yes against it.

Floor:  swift (uses formats, trust, mime, cms)
Source: RFC 8551 §3.5.3; RFC 5652 §5.4, §5.6
"""

from __future__ import annotations

from smime.cms.algorithms import digest as digest_of
from smime.cms.ordinary import detached
from smime.cms.schemes import verify
from smime.errors import SmimeError
from smime.formats import pgpmime, senders
from smime.formats import smime as form
from smime.judged import Signed
from smime.mime.entity import split_entity, split_part
from smime.mime.headers import protected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cryptography import x509

    from smime.cms.schemes import Scheme
    from smime.judged import Judged, Taken
    from smime.keys import Recipient
    from smime.policy import Policy
    from smime.report import Report
    from smime.trust.chain import Chain

__all__ = ["Vouched", "remember", "vouched"]

MAX_SIGNERS = 256  # who are kept; each is a public key, a path, and some KiB of certificates


class _Known:
    """A signer met before: no verdict, but what those same octets mean in any mail."""

    __slots__ = ("certificate", "chain", "digest", "scheme")

    def __init__(
        self, certificate: x509.Certificate, chain: Chain, digest: str, scheme: Scheme
    ) -> None:
        self.certificate = certificate
        self.chain = chain
        self.digest = digest
        self.scheme = scheme


class Vouched:
    """A mail for whose sender a good signature speaks; the rest is told by the full way."""

    __slots__ = ("_full", "_make", "content", "signer")

    encrypted = False

    def __init__(self, content: bytes, signer: str, make: Callable[[], Judged]) -> None:
        self.content = content
        self.signer = signer
        self._make = make
        self._full: Judged | None = None

    def full(self) -> Judged:
        """Go the full way, once."""
        if self._full is None:
            self._full = self._make()
        return self._full

    def report(self) -> Report:
        return self.full().report()

    def readable(self) -> bytes:
        return self.full().readable()

    def contacts(self) -> tuple[Recipient, ...]:
        return self.full().contacts()


def vouched(
    mail: object,
    trust: object,
    sender: str | None,
    policy: Policy,
    at: datetime,
    make: Callable[[], Judged],
) -> Vouched | None:
    """Return the mail if its one signature is good beyond doubt; None for "go the full way".

    The arguments are those of ``smime.verify``; ``make`` goes the full way.
    """
    signers = getattr(trust, "signers", None)
    if not signers or not isinstance(mail, bytes):
        return None
    from smime.trust.anchors import Anchors  # late: who only decrypts needs none

    if type(trust) is not Anchors:
        return None
    try:
        outer = split_entity(mail)
        if outer.content_type.value != "multipart/signed":
            return None
        wrapped = form.recognise(outer)
        if wrapped is None or wrapped.problem is not None or wrapped.content is None:
            return None
        content = wrapped.content
        found = detached(wrapped.blob)
        known: _Known | None = None if found is None else signers.get(found.by)
        if found is None or known is None:
            return None
        inner = split_part(content)
        if (
            pgpmime.recognise(inner) is not None
            or form.recognise(inner) is not None
            or protected(inner, outer) is not None
        ):
            return None
        if sender is None and not senders.sender_problem(outer.fields):
            sender, _ = senders.sole_author(outer.fields)
        if (
            sender is None
            or not found.covers(digest_of(known.digest, content))
            or not trust.surely(known.chain, sender, at, policy, known.digest)
        ):
            return None
        covered = (found.attributes.as_received(),)
        if not verify(known.certificate, known.scheme, known.digest, found.value, covered):
            return None
    except SmimeError:
        return None  # the full way says what is wrong
    return Vouched(content, sender, make)


def remember(trust: object, taken: Sequence[Taken]) -> None:
    """Keep who signed a mail that was found good, from the second one on."""
    signers = getattr(trust, "signers", None)
    if signers is None or len(taken) != 1 or not isinstance(taken[0], Signed):
        return
    from smime.trust.anchors import Anchors

    data = taken[0].data
    if type(trust) is not Anchors or data is None or len(data.signers) != 1:
        return
    signer, certificate = data.signers[0], taken[0].checked[0].certificate
    if certificate is None or data.crls or data.ocsp or not data.carried.field:
        return
    by = data.carried.field, signer.identifier, signer.digest_algorithm, signer.signature_algorithm
    if by not in signers:
        if len(signers) >= MAX_SIGNERS:
            signers.clear()
        signers[by] = None
        return
    chain = trust.sole_chain(certificate, data.certificates())
    if chain is not None and len(data.carried.named(signer.identifier)) == 1:
        signers[by] = _Known(certificate, chain, signer.digest, signer.scheme)
