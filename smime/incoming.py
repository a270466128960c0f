"""Incoming mail: one loop takes layer after layer off, then says what holds.

``verify``, ``decrypt`` and ``examine`` are ``open`` with a demand. The loop
follows the chain of layers from the root of the mail and nothing else: a
signed or sealed part beside others is a part, not the state of the message.

Floor:  incoming (uses formats, trust, keys, mime, cms)
Source: RFC 8551 §3; RFC 8550 §3; RFC 9788 §4 for the headers
"""

from __future__ import annotations

import logging

from smime.cms import enveloped, signatures
from smime.cms.algorithms import DATA
from smime.cms.content import kind as cms_kind
from smime.cms.content import name as content_name
from smime.errors import (
    DecryptionFailed,
    LimitExceeded,
    MalformedMail,
    NotSupported,
    SignatureRejected,
    SmimeError,
)
from smime.formats import judging, pgpmime, senders, shown
from smime.formats import pgplayers as pgp
from smime.formats import smime as form
from smime.formats.parts import find_parts
from smime.formats.structure import inspect
from smime.keys.address import same_address
from smime.keys.roles import opening_keys_of
from smime.mail import Mail, write_out
from smime.mime.canonical import to_crlf
from smime.mime.entity import split_entity
from smime.mime.headers import addresses, protected, readable
from smime.mime.protection import states
from smime.policy import MODERN
from smime.protocols import Claim
from smime.report import (
    Answer,
    Layer,
    Note,
    Opened,
    Outcome,
    Part,
    Report,
    SignatureCheck,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from typing import Any

    from smime.cms.recipients import Key
    from smime.formats.parts import FoundPart
    from smime.keys import Reader, Recipient
    from smime.mail import Out, Source
    from smime.mime.entity import Entity
    from smime.mime.headers import Protected
    from smime.policy import Policy
    from smime.protocols import Judgement, Trusts
    from smime.trust import Evidence

__all__ = ["decrypt", "examine", "inspect", "open", "verify"]

_log = logging.getLogger("smime")

MAX_LAYERS = 8  # deeper nesting is an attack, not mail
MAX_CHECKED_PARTS = 8  # signed parts of which the signatures are checked; each costs as a mail does
MAX_INFLATED_OCTETS = 256 << 20  # out of all compressed layers of a mail; it is held in memory
MAX_NAMED = 100  # recipients of a layer that a report names; a mailing can have thousands


def open(
    mail: Source,
    *,
    trust: Trusts,
    keys: Reader | Iterable[Reader] = (),
    sender: str | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
    received_at: datetime | None = None,
    tsa: Trusts | None = None,
    out: Out | None = None,
) -> Opened:
    """Open whatever arrives, protected or not, as a mail reader does.

    ``trust`` says whom to believe, ``keys`` are tried on what is sealed,
    ``sender`` names who must have signed instead of the mail's one From,
    ``at`` is the moment to judge at (now). What is not good then may have been
    when it was signed: ``tsa`` is the trust in time-stamp authorities (RFC 3161),
    ``received_at`` is when the caller had the mail. The result's ``.signer`` is
    None unless a good signature of the sender covers the whole mail; the content
    is there all the same. With ``out`` the opened mail is also written to a
    path (renamed when whole) or to a binary file.

    Raises ``DecryptionFailed`` or ``NotSupported`` if it is sealed and does
    not open, ``MalformedMail`` if its content cannot be got at, ``OSError``
    from the file system.
    """
    peeled = _Peeled(
        mail, trust, keys, sender, evidence, policy, judging.Times(at, received_at, tsa)
    )
    if peeled.stopped is not None:
        raise peeled.stopped
    return _opened(peeled, out)


def verify(
    mail: Source,
    *,
    trust: Trusts,
    keys: Reader | Iterable[Reader] = (),
    sender: str | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
    received_at: datetime | None = None,
    tsa: Trusts | None = None,
    out: Out | None = None,
) -> Opened:
    """Return the mail only if a good signature by its From (or ``sender``) covers all of it.

    The arguments are those of ``open``. Raises ``SignatureRejected``, whose
    ``.report`` says why, and what ``open`` raises; nothing is written then.
    """
    peeled = _Peeled(
        mail, trust, keys, sender, evidence, policy, judging.Times(at, received_at, tsa)
    )
    if peeled.stopped is not None:
        raise peeled.stopped
    if peeled.damaged is not None:
        raise peeled.damaged
    report = peeled.report()
    if report.outcome not in (Outcome.GOOD, Outcome.GOOD_THEN):
        raise _rejected(report)
    return _opened(peeled, out)


def decrypt(
    mail: Source,
    *,
    trust: Trusts,
    keys: Reader | Iterable[Reader],
    sender: str | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
    received_at: datetime | None = None,
    tsa: Trusts | None = None,
    out: Out | None = None,
) -> Opened:
    """Return the mail only if all of it was encrypted and opens.

    Signatures inside are reported, not required. The arguments are those of
    ``open``. Raises ``DecryptionFailed`` also if the mail is not encrypted.
    """
    peeled = _Peeled(
        mail, trust, keys, sender, evidence, policy, judging.Times(at, received_at, tsa)
    )
    if peeled.stopped is not None:
        raise peeled.stopped
    if not any(layer.kind == "encrypted" for layer in peeled.layers()):
        raise DecryptionFailed(
            "the mail is not encrypted",
            hint="open() takes mail in any state: smime.open(mail, ...)",
        )
    return _opened(peeled, out)


def examine(
    mail: Source,
    *,
    trust: Trusts,
    keys: Reader | Iterable[Reader] = (),
    sender: str | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
    received_at: datetime | None = None,
    tsa: Trusts | None = None,
) -> Report:
    """Say what holds for every layer and signature, without giving out the content.

    The arguments are those of ``open``. Never raises for a mail that is bad
    or sealed: ``Report.outcome`` and ``Report.problem`` say so.
    """
    try:
        return _Peeled(
            mail, trust, keys, sender, evidence, policy, judging.Times(at, received_at, tsa)
        ).report()
    except MalformedMail as broken:  # not even a mail
        return Report(Outcome.UNKNOWN, problem=shown.problem(broken))


class _Signed:
    """A signed layer taken off, before anybody was asked about trust."""

    __slots__ = ("checked", "data", "form", "notes", "sealed_form")

    def __init__(self, form_name: str) -> None:
        self.form = form_name
        self.data: signatures.SignedData | None = None
        self.checked: tuple[signatures.CheckedSignature, ...] = ()
        self.sealed_form = False
        self.notes: tuple[Note, ...] = ()


class _Peeled:
    """A mail with its layers off: the loop, and what it found."""

    def __init__(
        self,
        mail: Source,
        trust: Trusts,
        keys: Reader | Iterable[Reader],
        sender: str | None,
        evidence: Evidence | None,
        policy: Policy,
        times: judging.Times,
    ) -> None:
        self.trusts = judging.trusts(trust)
        self.parse = judging.parser(self.trusts)
        self.pgp_keys, others = pgpmime.keys_apart(keys)
        self.keys = opening_keys_of(others)
        self.rings = pgp.rings_of(self.trusts, self.pgp_keys)
        self.policy = policy
        self.times = times
        self.evidence = evidence
        self.asked_sender = sender
        self.source = mail if isinstance(mail, Mail) else Mail(mail)
        self.outer = split_entity(bytes(self.source))
        self.outer.fields  # noqa: B018  # all are needed later: read once, not one by one
        self.inner = self.outer
        self.content = bytes(self.source)
        self.taken: list[_Signed | pgp.SignedLayer | Layer] = []
        self.stopped: SmimeError | None = None
        """Why the content could not be got at."""
        self.damaged: MalformedMail | None = None
        """Why a signature could not be read, where the content is there all the same."""
        self.inflated = 0
        """What came out of compressed layers, in octets."""
        self.unauthenticated = False
        """A layer was opened whose content carries no tag."""
        self.opened_by: Key | pgp.Opener | None = None
        """The key that opened the innermost sealed layer."""
        self.payload: Protected | None = None
        """The header fields that stand inside."""
        self.use_inner_from = False
        self._report: Report | None = None
        try:
            self._peel()
            if self.taken:
                self.payload = protected(self.inner, self.outer)
        except SmimeError as stopped:
            self.stopped = stopped
        inside = self.damaged if self.stopped is None else self.stopped
        if self.unauthenticated and inside is not None:
            # Whoever may change sealed content that has no tag could learn of it
            # from what is said of the parts that no longer fit (RFC 5652 §14).
            _log.debug("inside sealed content: %s", inside)
            self.stopped = DecryptionFailed(enveloped.FAILED)
        if self.stopped is not None:
            self.payload = None

    # --- taking layers off --------------------------------------------------

    def _peel(self) -> None:
        while wrapped := pgpmime.recognise(self.inner) or form.recognise(self.inner):
            if len(self.taken) >= MAX_LAYERS:
                raise LimitExceeded(f"the mail is wrapped in more than {MAX_LAYERS} layers")
            head = b""
            if isinstance(wrapped, pgpmime.Wrapped):
                self._take_openpgp(wrapped)
                head = wrapped.head
            elif wrapped.content is not None:
                self._take_detached(wrapped)
            else:
                kind = cms_kind(wrapped.blob)
                if kind in ("envelopedData", "authEnvelopedData"):
                    self._take_sealed(wrapped)
                elif kind == "compressedData":
                    self._take_compressed(wrapped)
                elif kind != "signedData":
                    raise NotSupported(f"mail in the form of CMS {kind} is not supported")
                elif not self._take_opaque(wrapped):
                    return
            # Nothing at all may be sealed, too: then it is a mail without fields and text.
            self.inner = split_entity(head + self.content or b"\r\n")

    def _take_detached(self, wrapped: form.Wrapped) -> None:
        layer = _Signed(wrapped.form)
        self.taken.append(layer)
        assert wrapped.content is not None
        self.content = wrapped.content
        try:
            if wrapped.problem is not None:
                raise wrapped.problem
            layer.data = signatures.read(wrapped.blob, self.parse)
            if layer.data.content_type != DATA:
                raise MalformedMail("the signature is over something else than mail")
            if layer.data.content is not None:
                raise MalformedMail(
                    "the signature carries a content of its own beside the one that is shown"
                )
        except MalformedMail as broken:
            self.damaged = broken
            return
        repair = _crlf_form if self.policy.line_ends == "repair" else None
        content = signatures.Content(wrapped.content, repair)
        layer.checked = self._check(layer.data, content)
        self.content = content.data
        for signer, one in zip(layer.data.signers, layer.checked, strict=True):
            if one.intact.code == "digest-differs" and one.genuine.answer is Answer.YES:
                self._diagnose(signer, one)
                break  # one accident explains all

    def _diagnose(
        self, signer: signatures.SignerInfo, checked: signatures.CheckedSignature
    ) -> None:
        """Say which known accident on the way explains the digest that differs."""
        from smime.formats.damage import diagnose

        stated = signer.attributes.message_digest() if signer.attributes else None
        note = diagnose(self.content, signer.digest, stated) if stated else None
        if note is not None:
            checked.notes += (note,)

    def _take_opaque(self, wrapped: form.Wrapped) -> bool:
        """Take an opaque layer off; False where nothing is inside (certificates only)."""
        data = signatures.read(wrapped.blob, self.parse)
        if not data.signers:
            note = Note("no-signers", "it is called signed, and nobody signed it")
            has_content = data.content is not None
            self.taken.append(
                Layer("certificates", wrapped.form, notes=(note,) if has_content else ())
            )
            if data.content is None:
                return False
            self.content = data.content
            return True
        if data.content is None and wrapped.form == "text/plain":
            return False  # the signature of some file, in a letter: a text like any other
        layer = _Signed(wrapped.form)
        layer.data = data
        self.taken.append(layer)
        if data.content is None:
            raise MalformedMail("the mail is a signature without the content that it signs")
        layer.checked = self._check(data, signatures.Content(data.content))
        if data.content_type != DATA:
            # Signed as something else: whoever could have it signed, as a receipt
            # or a time stamp, could else show it as a mail.
            raise NotSupported(
                f"what is signed is {content_name(data.content_type)}, and no mail",
                hint="a receipt is for smime.verify_receipt(receipt, sent=...)",
            )
        self.content = data.content
        return True

    def _take_sealed(self, wrapped: form.Wrapped) -> None:
        envelope = enveloped.read(wrapped.blob)
        label = envelope.label
        names = envelope.sealed.names(MAX_NAMED)
        try:
            self.content, key = self._unseal(envelope, names)
        except SmimeError:
            self.taken.append(
                Layer("encrypted", wrapped.form, algorithm=label, recipients=names, opened=False)
            )
            raise
        self.unauthenticated = self.unauthenticated or not envelope.tagged
        self._was_sealed(key)
        self.taken.append(
            Layer(
                "encrypted",
                wrapped.form,
                algorithm=label,
                recipients=names,
                authenticated=envelope.tagged,
                opened_by=key.label,
                notes=(Note("short-tag", envelope.tag_note),) if envelope.tag_note else (),
            )
        )

    def _was_sealed(self, key: Key | pgp.Opener) -> None:
        self.opened_by = key
        for layer in self.taken:
            if not isinstance(layer, Layer):
                layer.sealed_form = True

    def _take_openpgp(self, wrapped: pgpmime.Wrapped) -> None:
        repair = _crlf_form if self.policy.line_ends == "repair" else None
        taken = pgp.take(wrapped, self.pgp_keys, self.rings, self.times.at, repair)
        if taken.opened_by is not None:
            self._was_sealed(taken.opened_by)
        self.taken += taken.layers
        self.damaged = taken.damaged or self.damaged
        if taken.stopped is not None:
            raise taken.stopped
        self.content = taken.content

    def _take_compressed(self, wrapped: form.Wrapped) -> None:
        from smime.cms import compressed  # rare, and it brings zlib along

        self.taken.append(Layer("compressed", wrapped.form, algorithm="zlib"))
        # One packed into another would multiply what each may grow by.
        limit = compressed.FREE_OCTETS + compressed.MAX_RATIO * self.source.size
        limit = min(MAX_INFLATED_OCTETS, limit) - self.inflated
        self.content, content_type = compressed.unpacked(wrapped.blob, limit)
        self.inflated += len(self.content)
        if content_type != DATA:
            raise NotSupported(f"what is compressed is {content_name(content_type)}, and no mail")

    def _unseal(self, envelope: enveloped.Envelope, names: tuple[str, ...]) -> tuple[bytes, Key]:
        if envelope.why_not:
            raise NotSupported(envelope.why_not)
        if not self.keys:
            if why_not := envelope.sealed.why_not:  # nor would any key help
                raise NotSupported(why_not)
            raise DecryptionFailed(
                "the mail is sealed, and no key was given",
                hint=f"it is sealed for {'; '.join(names[:8]) or 'nobody'}",
            )
        return enveloped.open_with(envelope, self.keys, self.policy)

    def _check(
        self, data: signatures.SignedData, content: signatures.Content
    ) -> tuple[signatures.CheckedSignature, ...]:
        known = tuple(self.evidence.certificates) if self.evidence is not None else ()
        return signatures.check(data, content, policy=self.policy, known=known)

    def readable(self) -> bytes:
        """Return the mail that a reader should see; the report has to be made before."""
        return readable(
            self.outer,
            self.inner,
            self.payload,
            use_from=self.use_inner_from,
            sealed=self.opened_by is not None,
        )

    # --- judging ------------------------------------------------------------

    def report(self) -> Report:
        """Judge every signature and sum up; done once."""
        if self._report is None:
            self._report = self._judge()
        return self._report

    def layers(self) -> tuple[Layer, ...]:
        return self.report().layers

    def _judge(self) -> Report:
        notes: list[Note] = []
        sender, reason = self._outer_sender()
        layers = None
        payload = self.payload
        inside: tuple[str, ...] = ()
        within = (*payload.fields, *payload.ignored) if payload is not None else ()
        blocked = ""
        if self.asked_sender is None:
            blocked = senders.sender_problem(self.outer.fields, within)
            if blocked:
                sender, reason = None, blocked
        # RFC 9788 §4.4, with the From that arrived, not what HP-Outer says of it:
        # 1. §4.4.1.1: do the addr-specs inside and outside match, as §4.4.5 compares them?
        # 2. §4.4.1.2: if not, is there a valid signature bound to the address inside?
        # 3. §4.4.3: only then the From inside is shown, and signed; else the one outside.
        # 4. §4.4.2: a mismatch is told either way, naming both.
        if self.asked_sender is None and payload is not None and not blocked:
            authors = [f for f in within if f.key == "from"]
            outside = [f.raw for f in self.outer.fields if f.key == "from"]
            if len(authors) == 1:  # of two, readers would show one or the other
                same = sender is not None and outside == [authors[0].raw]
                inside = (sender or "",) if same else addresses(authors, "from")
            if len(inside) == 1 and (sender is None or not same_address(inside[0], sender)):  # 1
                tried = self._judge_layers(inside[0], "")
                if self._signer(tried, inside[0]) is not None:  # 2
                    sender, reason, layers = inside[0], "", tried
                    self.use_inner_from = True  # 3
                # 4
                notes.append(shown.from_note(inside[0], sender, self.use_inner_from))
        if layers is None:
            layers = self._judge_layers(sender, reason)
        signer = self._signer(layers, sender)
        if signer is not None:
            # The same address outside may have another name before it.
            self.use_inner_from = len(inside) == 1 and same_address(inside[0], signer)
        sealed = self.opened_by is not None
        found_states = states(
            self.outer, self.payload, encrypted=sealed, use_from=self.use_inner_from
        )
        found = find_parts(self.inner) if self.stopped is None else None
        parts = self._parts(found.parts, sender, reason) if found else ()
        to_me = shown.addressed_to_me(
            self.opened_by.label if self.opened_by else None, self.payload, signer
        )
        notes += shown.header_notes(found_states, but_from=bool(notes))
        notes += senders.sender_notes(
            sender, senders.shown(self.outer.fields, within, use_from=self.use_inner_from)
        )
        notes += shown.part_notes(parts, found is None or found.complete)
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
                untagged=self.unauthenticated and signer is None,
            ),
            **shown.signed_values(payload, signer),
        )

    def _parts(self, found: list[FoundPart], sender: str | None, reason: str) -> tuple[Part, ...]:
        parts: list[Part] = []
        for one in found:
            checks: tuple[SignatureCheck, ...] = ()
            if one.kind == "signed" and len(parts) < MAX_CHECKED_PARTS and not one.forwarded:
                checks = self._check_part(one.entity, sender, reason)
            parts.append(Part(one.path, one.kind, one.form, one.forwarded, checks))
        return tuple(parts)

    def _check_part(
        self, entity: Entity, sender: str | None, reason: str
    ) -> tuple[SignatureCheck, ...]:
        """Return what the signatures of a part say of that part; never raises."""
        try:
            wrapped = form.recognise(entity)
            if wrapped is None or wrapped.problem is not None:
                return ()
            data = signatures.read(wrapped.blob, self.parse)
            signed = wrapped.content if wrapped.content is not None else data.content
            if signed is None or (wrapped.content is not None and data.content is not None):
                return ()
            layer = _Signed(wrapped.form)
            layer.data = data
            layer.checked = self._check(data, signatures.Content(signed, _crlf_form))
        except SmimeError as problem:
            _log.debug("a signed part was not checked: %s", problem)
            return ()
        return tuple(self._judge_signature(layer, one, sender, reason) for one in layer.checked)

    def _outer_sender(self) -> tuple[str | None, str]:
        """Return the one address that must be spoken for, or why there is none."""
        if self.asked_sender is not None:
            return self.asked_sender, ""
        return senders.sole_author(self.outer.fields)

    def _judge_layers(self, sender: str | None, reason: str) -> tuple[Layer, ...]:
        return tuple(self._judge_layer(layer, sender, reason) for layer in self.taken)

    def _judge_layer(
        self, layer: _Signed | pgp.SignedLayer | Layer, sender: str | None, reason: str
    ) -> Layer:
        if isinstance(layer, Layer):
            return layer
        if isinstance(layer, pgp.SignedLayer):
            return layer.judged(self.trusts, sender, reason, self.times.at, self.policy)
        checks = [self._judge_signature(layer, one, sender, reason) for one in layer.checked]
        inside = self.payload.fields if self.payload is not None else ()
        return Layer(
            "signed",
            layer.form,
            signatures=senders.with_gaps(checks, (*inside, *self.outer.fields)),
            covers="sealed form" if layer.sealed_form else "content",
            notes=layer.notes,
        )

    def _judge_signature(
        self,
        layer: _Signed,
        checked: signatures.CheckedSignature,
        sender: str | None,
        reason: str,
    ) -> SignatureCheck:
        certificate = checked.certificate
        judgement: Judgement | None = None
        if certificate is not None and checked.genuine.answer is Answer.YES:
            assert layer.data is not None
            claim = Claim(
                certificate=certificate,
                sender=sender,
                at=self.times.at,
                certificates=layer.data.certificates(),
                crls=layer.data.crls,
                ocsp=layer.data.ocsp,
                sender_reason=reason,
                evidence=self.evidence,
                policy=self.policy,
                digest_algorithm=checked.digest_algorithm,
            )
            judgement = judging.judge(self.trusts, claim, checked, self.times)
        return judging.signature_check(checked, judgement, self.times.at)

    def _signer(self, layers: tuple[Layer, ...], sender: str | None) -> str | None:
        """Return the sender if a signature of it is good and none of it is bad."""
        if sender is None or self.damaged is not None or self.stopped is not None:
            return None
        checks = [
            check for layer in layers if layer.covers == "content" for check in layer.signatures
        ]
        # All signers of a layer signed the same octets. One whose digest is of
        # others shows that the layer was put together from two messages.
        if any(check.intact.answer is Answer.NO for check in checks):
            return None
        mine = [one for one in checks if one.good or judging.names(one, sender, self.policy)]
        good = [check for check in mine if check.good]
        return sender if good and len(good) == len(mine) else None

    def _outcome(self, layers: tuple[Layer, ...], signer: str | None) -> Outcome:
        if self.stopped is not None:
            sealed = any(layer.kind == "encrypted" and not layer.opened for layer in layers)
            return Outcome.SEALED if sealed else Outcome.UNKNOWN
        if signer is not None:
            covering = [layer for layer in layers if layer.covers == "content"]
            good = [check for layer in covering for check in layer.signatures if check.good]
            return Outcome.GOOD_THEN if all(check.proof for check in good) else Outcome.GOOD
        covering = [one for one in layers if one.kind == "signed" and one.covers == "content"]
        if not covering:
            return Outcome.UNSIGNED
        checks = [check for layer in covering for check in layer.signatures]
        refused = any(f.answer is Answer.NO for check in checks for f in check.problems)
        return Outcome.REJECTED if refused or self.damaged or not checks else Outcome.UNKNOWN

    def contacts(self) -> Callable[[], tuple[Recipient, ...]]:
        """Return what makes the contacts, when they are asked for; it holds no key."""
        good: list[tuple[Any, ...]] = []
        report = self.report()
        for taken, layer in zip(self.taken, report.layers, strict=True):
            if report.signer is None or not isinstance(taken, _Signed) or taken.data is None:
                continue
            good += [
                (taken.data, signer, checked, check)
                for signer, checked, check in zip(
                    taken.data.signers, taken.checked, layer.signatures, strict=False
                )
                if check.good
            ]

        def make() -> tuple[Recipient, ...]:
            from smime.formats.contacts import contacts_of

            return tuple(dict.fromkeys(one for each in good for one in contacts_of(*each)))

        return make


def _crlf_form(content: bytes) -> bytes:
    """Return the form that was signed, where line ends were changed on the way.

    A part that says it is binary is never touched below its header block.
    """
    entity = split_entity(content)
    if entity.transfer_encoding != "binary":
        return to_crlf(content)
    return to_crlf(content[: entity.body_at]) + content[entity.body_at :]


def _rejected(report: Report) -> SignatureRejected:
    """Return the error for a mail that must be signed well and is not."""
    hint = "see what was found: smime.examine(mail, ...), or smimetool inspect"
    checks = report.signatures
    if not checks:
        return SignatureRejected("the mail is not signed", report, hint=hint)
    covering = [
        check for layer in report.layers if layer.covers == "content" for check in layer.signatures
    ]
    if not covering:
        text = "the signature is around sealed content and does not say who wrote it"
        return SignatureRejected(text, report, hint=hint)
    bad = next((check for check in covering if not check.good), None)
    if bad is None:
        text = f"no signature is by the sender {report.sender or ''}".rstrip()
        return SignatureRejected(text, report, hint=hint)
    reasons = [f.reason for f in bad.problems if f.code != "not-reached"]
    return SignatureRejected("; ".join(reasons), report)


def _opened(peeled: _Peeled, out: Out | None) -> Opened:
    report = peeled.report()
    mail = Mail._made(None, make=peeled.readable) if peeled.taken else peeled.source
    if out is not None:
        write_out(out, (bytes(mail),))
    return Opened(mail=mail, content=peeled.content, report=report, _contacts=peeled.contacts())
