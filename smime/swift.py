"""Ordinary mail taken the shortest way: yes, or the full way.

For the signed mail of somebody met before: nearly all signed mail of a correspondent
has the same certificates, the same algorithms and one layer. What these octets mean
was worked out by the full way before: whose key they name, and which path leads from
it to an anchor. The content, the signature and what the path is worth now are asked
of each mail. Never is a no said here, nor anything else that a report tells: for all
that the full way is gone, from the beginning. A test holds each yes against it.

Sealed mail is of one form, too. Whether it is shows before any key is used; what
came out of it then is what the full way goes on with, and most often it is a
letter, of which the full way has nothing to say until somebody asks.

Floor:  swift (uses formats, trust, mime, cms)
Source: RFC 8551 §3.5.3; RFC 5652 §5.4, §5.6
"""

from __future__ import annotations

from smime.cms import straight
from smime.cms.likeness import likeness
from smime.errors import SmimeError
from smime.formats import pgpmime, senders
from smime.formats import smime as form
from smime.judged import Signed
from smime.mail import Mail
from smime.mime.entity import MAX_FIELDS, split_entity, split_part
from smime.mime.headers import protected

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from smime.cms.likeness import Likeness
    from smime.cms.recipients import Key, OpeningKey
    from smime.judged import Judged, Taken
    from smime.keys import Recipient
    from smime.mime.entity import Entity
    from smime.mime.headers import Protected
    from smime.policy import Policy
    from smime.report import Report
    from smime.trust.anchors import Anchors
    from smime.trust.chain import Chain

__all__ = ["Unsealed", "Vouched", "is_letter", "remember", "unsealed", "vouched"]

# Signers that are kept, by the length of their signatures: each is some KiB of certificates.
MAX_LENGTHS = 256
MAX_ALIKE = 4
MAX_KEPT_OCTETS = 16 * 1024  # of one: some ten certificates
# ``Anchors`` itself, once it vouched for somebody: who only decrypts does not load it.
_kinds: set[type] = set()


class _Known:
    """A signer met before: no verdict, but what its signatures are like, and its path."""

    __slots__ = ("chain", "likeness")

    def __init__(self, likeness: Likeness, chain: Chain) -> None:
        self.likeness = likeness
        self.chain = chain


class _Told:
    """A mail of which the first is known; the rest is told by the full way."""

    __slots__ = ("_full", "_make", "content")

    def __init__(self, content: bytes, make: Callable[[], Judged]) -> None:
        self.content = content
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


class Vouched(_Told):
    """A mail for whose sender a good signature speaks."""

    __slots__ = ("signer",)

    encrypted = False

    def __init__(self, content: bytes, signer: str, make: Callable[[], Judged]) -> None:
        super().__init__(content, make)
        self.signer = signer


class Unsealed(_Told):
    """A mail that was sealed, and nothing but a letter was inside."""

    __slots__ = ()

    stopped = damaged = signer = None
    taken = ()
    encrypted = True

    @property
    def found(self) -> Unsealed:
        """What holds for it."""
        return self

    @property
    def mail(self) -> Mail:
        """The mail as a reader should see it."""
        return Mail._made(None, make=self.readable)

    def ask(self) -> None:
        """Ask nobody: nothing is signed."""


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
    if type(trust) not in _kinds or not isinstance(mail, bytes):
        return None
    anchors: Anchors = trust  # type: ignore[assignment]  # no other type is among the kinds
    signers: dict[int, tuple[_Known, ...]] | None = anchors.signers
    if not signers:
        return None
    try:
        outer = split_entity(mail)
        if outer.content_type.value != "multipart/signed":
            return None
        wrapped = form.recognise(outer)
        if wrapped is None or wrapped.problem is not None or wrapped.content is None:
            return None
        content, blob = wrapped.content, wrapped.blob
        for known in signers.get(len(blob), ()):
            if known.likeness.fits(blob):
                break
        else:
            return None
        inner = split_part(content)
        if pgpmime.recognise(inner) is not None or form.recognise(inner) is not None:
            return None
        payload = protected(inner, outer)
        if sender is None:
            sender = _author(outer, payload)
        if (
            sender is None
            or not anchors.surely(known.chain, sender, at, policy, known.likeness.digest)
            or not known.likeness.holds(blob, content)
        ):
            return None
    except SmimeError:
        return None  # the full way says what is wrong
    return Vouched(content, sender, make)


def unsealed(outer: Entity, keys: tuple[Key, ...]) -> tuple[bytes | None, OpeningKey] | None:
    """Return the content of a mail that is sealed in the ordinary form, and the key it opened with.

    Without a content it does not open with the key that it names. None is for
    what is not ordinary: then no key was used.
    """
    if outer.content_type.value != "application/pkcs7-mime":
        return None
    try:
        wrapped = form.recognise(outer)
    except SmimeError:
        return None  # the full way says what is wrong
    return None if wrapped is None else straight.opened(wrapped.blob, keys)


def is_letter(content: bytes) -> bool:
    """Whether what was sealed is a letter, with no more layers and no accident in it."""
    try:
        inner = split_part(content)
        return (
            inner.body_at <= MAX_FIELDS  # so many octets hold no more fields than may be
            and inner.content_type.value != "message/rfc822"
            and pgpmime.recognise(inner) is None
            and form.recognise(inner) is None
        )
    except SmimeError:
        return False


def _author(outer: Entity, payload: Protected | None) -> str | None:
    """Return the one author, of whom the header inside says nothing else."""
    within = (*payload.fields, *payload.ignored) if payload is not None else ()
    inside = [one.raw for one in within if one.key == "from"]
    if len(inside) == 1 and inside != [one.raw for one in outer.fields if one.key == "from"]:
        return None
    if senders.sender_problem(outer.fields, within):
        return None
    return senders.sole_author(outer.fields)[0]


def remember(trust: object, taken: Sequence[Taken]) -> None:
    """Keep who signed a mail that was found good, at the second one of its length."""
    signers = getattr(trust, "signers", None)
    if signers is None or len(taken) != 1 or not isinstance(taken[0], Signed):
        return
    data, attributes = taken[0].data, None
    if data is not None and len(data.signers) == 1:
        attributes = data.signers[0].attributes
    if data is None or attributes is None:
        return
    blob = attributes.data
    if len(blob) > MAX_KEPT_OCTETS:
        return
    alike = signers.get(len(blob))
    if alike is None:
        if len(signers) >= MAX_LENGTHS:
            signers.clear()
        signers[len(blob)] = ()
        return
    if any(one.likeness.fits(blob) for one in alike):
        return
    from smime.trust.anchors import Anchors

    _kinds.add(Anchors)
    checked = taken[0].checked[0]
    found = likeness(data, checked)
    if type(trust) is not Anchors or found is None or found.around is not None:
        return
    chain = trust.sole_chain(found.certificate, data.certificates())
    if chain is not None:
        signers[len(blob)] = (*alike[-MAX_ALIKE + 1 :], _Known(found, chain))
