"""What holds for a mail whose layers are off: its signatures judged, then all of it summed up.

Whether a good signature of the sender covers the mail is settled at once; the
report, with all that it tells beside, is made of the same findings when it is
asked for. Nothing here is a secret: no key is kept.

Floor:  judged (uses formats, trust through its protocol, keys, mime, cms)
Source: RFC 8550 §3; RFC 9788 §4.4 for the From that counts
"""

from __future__ import annotations

import logging

from smime.cms import signatures
from smime.cms.unwrapping import spoken
from smime.errors import SmimeError
from smime.formats import judging, senders, shown
from smime.formats import pgplayers as pgp
from smime.formats import smime as form
from smime.formats.parts import find_parts, find_parts_in
from smime.keys.address import same_address
from smime.mime.addresses import addresses
from smime.mime.canonical import crlf_form
from smime.mime.protection import states
from smime.mime.rendering import readable
from smime.protocols import Claim
from smime.report import Answer, Layer, Note, Outcome, Part, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
    from typing import Any, TypeAlias

    from smime.cms.enveloped import Envelope
    from smime.cms.signatures import AnyContent
    from smime.errors import MalformedMail
    from smime.formats.parts import FoundPart
    from smime.formats.spooled import Region
    from smime.keys import Recipient
    from smime.mime.entity import Entity
    from smime.mime.headers import Protected
    from smime.policy import Policy
    from smime.protocols import Judgement, Trust
    from smime.report import SignatureCheck
    from smime.trust import Evidence

    Taken: TypeAlias = "Signed | Sealed | pgp.SignedLayer | Layer"
    View: TypeAlias = "_JudgedLayer | Sealed | Layer"

__all__ = ["Judged", "Sealed", "Signed", "World"]

MAX_LAYERS = 8  # deeper nesting is an attack, not mail
MAX_CHECKED_PARTS = 8  # signed parts of which the signatures are checked; each costs as a mail does
MAX_NAMED = 100  # recipients of a layer that a report names; a mailing can have thousands

_log = logging.getLogger("smime")


class World:
    """What signatures are judged by: all that the caller handed in, and no key."""

    __slots__ = ("_no_chain", "evidence", "parse", "policy", "sender", "times", "trusts")

    def __init__(
        self,
        trusts: tuple[Trust, ...],
        sender: str | None,
        evidence: Evidence | None,
        policy: Policy,
        times: judging.Times,
    ) -> None:
        self.trusts = trusts
        self.sender = sender
        """Who must have signed, where the caller says so."""
        self.evidence = evidence
        self.policy = policy.as_of(times.earliest)
        self.times = times
        self.parse = judging.parser(trusts)
        self._no_chain = judging.wants_no_chain(trusts)

    def check(
        self, data: signatures.SignedData, content: AnyContent
    ) -> tuple[signatures.CheckedSignature, ...]:
        """Do the mathematics of every signature."""
        known = tuple(self.evidence.certificates) if self.evidence is not None else ()
        return signatures.check(data, content, policy=self.policy, known=known)

    def judge(
        self, layer: Signed, sender: str | None, reason: str, checked: signatures.CheckedSignature
    ) -> judging.Judged:
        """Ask the trusts about a signature that is genuine."""
        certificate = checked.certificate
        judgement: Judgement | None = None
        if certificate is not None and checked.genuine.answer is Answer.YES:
            data = layer.data
            assert data is not None
            claim = Claim(
                certificate=certificate,
                sender=sender,
                at=self.times.at,
                certificates=() if self._no_chain else data.certificates(),
                crls=data.crls,
                ocsp=data.ocsp,
                sender_reason=reason,
                evidence=self.evidence,
                policy=self.policy,
                digest_algorithm=checked.digest_algorithm,
                fetches=self.times.fetches,
            )
            judgement = judging.judge(self.trusts, claim, checked, self.times)
        return judging.judged(checked, judgement, self.times.at)


class Signed:
    """A signed layer taken off, before anybody was asked about trust."""

    __slots__ = ("checked", "data", "form", "notes", "sealed_form")

    def __init__(self, form_name: str) -> None:
        self.form = form_name
        self.data: signatures.SignedData | None = None
        self.checked: tuple[signatures.CheckedSignature, ...] = ()
        self.sealed_form = False
        self.notes: tuple[Note, ...] = ()


class Sealed:
    """A sealed layer taken off; ``by`` is the label of the key that opened it, if one did."""

    __slots__ = ("_names", "by", "form", "label", "tag_note", "tagged")

    kind = "encrypted"
    covers = "content"
    signatures = ()

    def __init__(self, form_name: str, envelope: Envelope) -> None:
        self.form = form_name
        self.label = envelope.label
        self.tagged = envelope.tagged
        self.tag_note = envelope.tag_note
        self.by: str | None = None
        self._names = envelope.sealed.called(MAX_NAMED)

    @property
    def names(self) -> tuple[str, ...]:
        """How the message names its first readers."""
        return tuple(map(spoken, self._names))

    @property
    def layer(self) -> Layer:
        opened = self.by is not None
        return Layer(
            self.kind,
            self.form,
            algorithm=self.label,
            recipients=self.names,
            authenticated=opened and self.tagged,
            opened_by=self.by or "",
            opened=opened,
            notes=(Note("short-tag", self.tag_note),) if opened and self.tag_note else (),
        )


class _JudgedLayer:
    """A signed layer with its signatures judged."""

    __slots__ = ("covers", "signatures", "taken")

    kind = "signed"

    def __init__(self, taken: Signed, judged: list[judging.Judged]) -> None:
        self.taken = taken
        self.signatures = judged
        self.covers = "sealed form" if taken.sealed_form else "content"


def _check_of(one: judging.Judged | SignatureCheck) -> SignatureCheck:
    return one.check if isinstance(one, judging.Judged) else one


class Judged:
    """A mail with its layers off, judged."""

    __slots__ = (
        "_kept",
        "_notes",
        "_reason",
        "_report",
        "_sender",
        "_signer",
        "_unauthenticated",
        "_use_inner_from",
        "_views",
        "_world",
        "damaged",
        "inner",
        "opened_by",
        "outer",
        "payload",
        "stopped",
        "taken",
    )

    def __init__(
        self,
        world: World,
        taken: Sequence[Taken],
        *,
        outer: Entity,
        inner: Entity,
        payload: Protected | None,
        stopped: SmimeError | None,
        damaged: MalformedMail | None,
        unauthenticated: bool,
        opened_by: str | None,
        kept: Region | None = None,
    ) -> None:
        self._world = world
        self.taken = taken
        self.outer, self.inner = outer, inner
        self.payload = payload
        """The header fields that stand inside."""
        self.stopped = stopped
        """Why the content could not be got at."""
        self.damaged = damaged
        """Why a signature could not be read, where the content is there all the same."""
        self.opened_by = opened_by
        """Whose key opened the innermost sealed layer, by its addresses."""
        self._unauthenticated = unauthenticated
        self._kept = kept
        """Where ``inner`` is, if the entities are their header blocks alone."""
        self._views: Sequence[View] | None = None
        self._reason = ""
        self._sender: str | None = None
        self._signer: str | None = None
        self._use_inner_from = False
        self._notes: list[Note] = []
        self._report: Report | None = None

    @property
    def encrypted(self) -> bool:
        """The whole mail was sealed."""
        return any(
            isinstance(one, Sealed) or (isinstance(one, Layer) and one.kind == "encrypted")
            for one in self.taken
        )

    @property
    def signer(self) -> str | None:
        """The address that a good signature over the whole mail speaks for, or None."""
        self.settle()
        return self._signer

    def readable(self) -> bytes:
        """Return the mail that a reader should see."""
        self.settle()
        return readable(
            self.outer,
            self.inner,
            self.payload,
            use_from=self._use_inner_from,
            sealed=self.opened_by is not None,
        )

    def ask(self) -> None:
        """Ask whoever was handed in as a trust now, and not at some later time."""
        if any(isinstance(one, (Signed, pgp.SignedLayer)) for one in self.taken):
            self.settle()

    def settle(self) -> Sequence[View]:
        """Judge every signature and find whose mail it is; done once."""
        if self._views is None:
            self._views = self._settle()
        return self._views

    def _settle(self) -> Sequence[View]:
        # RFC 9788 §4.4, with the From that arrived, not what HP-Outer says of it:
        # 1. §4.4.1.1: do the addr-specs inside and outside match, as §4.4.5 compares them?
        # 2. §4.4.1.2: if not, is there a valid signature bound to the address inside?
        # 3. §4.4.3: only then the From inside is shown, and signed; else the one outside.
        # 4. §4.4.2: a mismatch is told either way, naming both.
        asked, payload = self._world.sender, self.payload
        sender, reason = asked, ""
        views: Sequence[View] | None = None
        inside: tuple[str, ...] = ()
        if asked is None:
            within = self._within()
            reason = senders.sender_problem(self.outer.fields, within)
            if not reason:
                sender, reason = senders.sole_author(self.outer.fields)
                inside = self._authors_inside(within, sender) if payload is not None else ()
            if len(inside) == 1 and (sender is None or not same_address(inside[0], sender)):  # 1
                tried = self._judge_layers(inside[0], "")
                if self._whose(tried, inside[0]) is not None:  # 2
                    sender, reason, views = inside[0], "", tried
                    self._use_inner_from = True  # 3
                # 4
                self._notes.append(shown.from_note(inside[0], sender, self._use_inner_from))
        if views is None:
            views = self._judge_layers(sender, reason)
        self._sender, self._reason = sender, reason
        self._signer = self._whose(views, sender)
        if self._signer is not None:
            # The same address outside may have another name before it.
            self._use_inner_from = len(inside) == 1 and same_address(inside[0], self._signer)
        return views

    def _within(self) -> tuple[Any, ...]:
        """Return every header field that stands inside, believed or not."""
        return (*self.payload.fields, *self.payload.ignored) if self.payload is not None else ()

    def _authors_inside(self, within: tuple[Any, ...], sender: str | None) -> tuple[str, ...]:
        authors = [f for f in within if f.key == "from"]
        if len(authors) != 1:  # of two, readers would show one or the other
            return ()
        outside = [f.raw for f in self.outer.fields if f.key == "from"]
        if sender is not None and outside == [authors[0].raw]:
            return (sender,)
        return tuple(addresses(authors, "from"))

    def _judge_layers(self, sender: str | None, reason: str) -> list[View]:
        world = self._world
        views: list[View] = []
        for one in self.taken:
            if isinstance(one, Signed):
                judged = [world.judge(one, sender, reason, checked) for checked in one.checked]
                views.append(_JudgedLayer(one, judged))
            elif isinstance(one, pgp.SignedLayer):
                by = world.times.at, world.policy
                views.append(one.judged(world.trusts, sender, reason, *by))
            else:
                views.append(one)
        return views

    def _whose(self, views: Sequence[View], sender: str | None) -> str | None:
        """Return the sender if a signature of it is good and none of it is bad."""
        if sender is None or self.damaged is not None or self.stopped is not None:
            return None
        policy = self._world.policy
        found = False
        for view in views:
            if view.covers != "content":
                continue
            mine = [
                one
                for one in view.signatures
                if one.good or judging.names(_check_of(one), sender, policy)
            ]
            if not mine:
                continue  # a list's, or a gateway's: reported
            # All signers of a layer signed the same octets. One whose digest is of
            # others shows that the layer was put together from two messages.
            if not all(one.good for one in mine) or any(
                one.intact.answer is Answer.NO for one in view.signatures
            ):
                return None
            found = True
        return sender if found else None

    def report(self) -> Report:
        """Sum up; done once."""
        if self._report is None:
            self._report = self._summed_up(self.settle())
        return self._report

    def _summed_up(self, views: Sequence[View]) -> Report:
        sender, signer, notes = self._sender, self._signer, list(self._notes)
        layers = tuple(self._in_words(view) for view in views)
        sealed = self.opened_by is not None
        found_states = states(
            self.outer, self.payload, encrypted=sealed, use_from=self._use_inner_from
        )
        found = None
        if self.stopped is None:
            kept = self._kept
            found = find_parts(self.inner) if kept is None else find_parts_in(kept)
        parts = self._parts(found.parts) if found else ()
        to_me = shown.addressed_to_me(self.opened_by, self.payload, signer)
        notes += shown.header_notes(found_states, but_from=bool(notes))
        notes += senders.sender_notes(
            sender,
            senders.shown(self.outer.fields, self._within(), use_from=self._use_inner_from),
        )
        complete = found is None or found.complete
        notes += shown.part_notes(parts, complete)
        notes += pgp.text_notes(self.inner)
        if to_me.answer is Answer.NO:
            notes.append(Note(to_me.code, to_me.reason))
        return Report(
            outcome=self._outcome(layers, signer),
            layers=layers,
            sender=sender,
            signer=signer,
            problem=shown.problem(self.stopped or self.damaged),
            notes=tuple(notes),
            parts=parts,
            headers=shown.header_checks(found_states, signer),
            addressed_to_me=to_me,
            rendering=shown.rendering(
                parts,
                stopped=self.stopped is not None,
                untagged=self._unauthenticated and signer is None,
                unseen=not complete,
            ),
            **shown.signed_values(self.payload, signer),
        )

    def _in_words(self, view: View) -> Layer:
        if isinstance(view, Layer):
            return view
        if isinstance(view, Sealed):
            return view.layer
        inside = self.payload.fields if self.payload is not None else ()
        return Layer(
            "signed",
            view.taken.form,
            signatures=senders.with_gaps(
                [one.check for one in view.signatures], (*inside, *self.outer.fields)
            ),
            covers=view.covers,
            notes=view.taken.notes,
        )

    def _parts(self, found: list[FoundPart]) -> tuple[Part, ...]:
        parts: list[Part] = []
        for one in found:
            checks: tuple[SignatureCheck, ...] = ()
            few = len(parts) < MAX_CHECKED_PARTS
            if one.kind == "signed" and few and one.whole and not one.forwarded:
                checks = self._check_part(one.entity)
            parts.append(Part(one.path, one.kind, one.form, one.forwarded, checks))
        return tuple(parts)

    def _check_part(self, entity: Entity) -> tuple[SignatureCheck, ...]:
        """Return what the signatures of a part say of that part; never raises."""
        world = self._world
        try:
            wrapped = form.recognise(entity)
            if wrapped is None or wrapped.problem is not None:
                return ()
            data = signatures.read(wrapped.blob, world.parse)
            signed = wrapped.content if wrapped.content is not None else data.content
            if signed is None or (wrapped.content is not None and data.content is not None):
                return ()
            layer = Signed(wrapped.form)
            layer.data = data
            layer.checked = world.check(data, signatures.Content(signed, crlf_form))
        except SmimeError as problem:
            _log.debug("a signed part was not checked: %s", problem)
            return ()
        asked = self._sender, self._reason
        return tuple(world.judge(layer, *asked, one).check for one in layer.checked)

    def _outcome(self, layers: tuple[Layer, ...], signer: str | None) -> Outcome:
        if self.stopped is not None:
            sealed = any(layer.kind == "encrypted" and not layer.opened for layer in layers)
            return Outcome.SEALED if sealed else Outcome.UNKNOWN
        covering = [one for one in layers if one.kind == "signed" and one.covers == "content"]
        checks = [check for layer in covering for check in layer.signatures]
        if signer is not None:
            then = all(check.proof for check in checks if check.good)
            return Outcome.GOOD_THEN if then else Outcome.GOOD
        if not covering:
            return Outcome.UNSIGNED
        refused = any(f.answer is Answer.NO for check in checks for f in check.problems)
        return Outcome.REJECTED if refused or self.damaged or not checks else Outcome.UNKNOWN

    def contacts(self) -> tuple[Recipient, ...]:
        """Return the certificates of who signed well, the one to write to first."""
        from smime.formats.contacts import contacts_of

        found: dict[Recipient, None] = {}
        if self.signer is None:
            return ()
        for view, layer in zip(self.settle(), self.report().layers, strict=True):
            if not isinstance(view, _JudgedLayer) or view.taken.data is None:
                continue
            signers = view.taken.data.signers
            for signer, checked, check in zip(
                signers, view.taken.checked, layer.signatures, strict=False
            ):
                if check.good:
                    found |= dict.fromkeys(contacts_of(view.taken.data, signer, checked, check))
        return tuple(found)
