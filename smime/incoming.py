"""Incoming mail: one loop takes layer after layer off, then says what holds.

``verify``, ``decrypt`` and ``examine`` are ``open`` with a demand. The loop
follows the chain of layers from the root of the mail and nothing else: a
signed or sealed part beside others is a part, not the state of the message.

Floor:  incoming (uses formats, trust, keys, mime, cms)
Source: RFC 8551 §3; RFC 8550 §3; RFC 9788 §4 for the headers
"""

from __future__ import annotations

from smime import swift
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
)
from smime.formats import judging, packing, pgpmime, shown
from smime.formats import smime as form
from smime.formats.large import Large
from smime.formats.spooled import keep
from smime.formats.structure import inspect
from smime.judged import MAX_LAYERS, Sealed, Signed, World
from smime.keys.roles import opening_keys_of
from smime.mail import Mail, write_out
from smime.mime.canonical import crlf_form
from smime.mime.entity import split_entity, split_part
from smime.mime.headers import protected
from smime.opened import Opened
from smime.peeled import Peeled
from smime.peeling import NeededWhole, PeeledFile
from smime.policy import MODERN
from smime.report import Answer, Layer, Note, Outcome, Report, unsupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from smime.cms.recipients import Key
    from smime.judged import Judged
    from smime.keys import Reader
    from smime.mail import Out, Source
    from smime.mime.entity import Entity
    from smime.mime.headers import Protected
    from smime.pgp import PgpKey
    from smime.policy import Policy
    from smime.protocols import Trusts
    from smime.trust import Evidence

__all__ = ["decrypt", "examine", "inspect", "open", "verify"]


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
    peeled = _taken_apart(
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
    ``.report`` says why, ``NotSupported`` where nothing is wrong with a signature
    but that its algorithm is not known here, and what ``open`` raises; nothing
    is written then.
    """
    times = judging.Times(at, received_at, tsa)
    # Nothing is asked but whether the sender signed it.
    ordinary = (
        isinstance(keys, tuple)
        and not keys
        and evidence is None
        and received_at is None
        and tsa is None
        and out is None
    )
    if ordinary:

        def full() -> Judged:
            return _Peeled.of(mail, trust, (), sender, None, policy, times).found

        quick = swift.vouched(mail, trust, sender, policy, times.at, full)
        if quick is not None:
            readable = Mail._made(None, make=quick.readable)
            return Opened(readable, quick.content, quick, quick.contacts)
    peeled = _taken_apart(mail, trust, keys, sender, evidence, policy, times)
    if peeled.stopped is not None:
        raise peeled.stopped
    if peeled.damaged is not None:
        raise peeled.damaged
    if peeled.found.signer is None:
        raise _rejected(peeled.found.report())
    if ordinary:
        swift.remember(trust, peeled.found.taken)
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
    peeled = _taken_apart(
        mail, trust, keys, sender, evidence, policy, judging.Times(at, received_at, tsa)
    )
    if peeled.stopped is not None:
        raise peeled.stopped
    if not peeled.found.encrypted:
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
    times = judging.Times(at, received_at, tsa)
    try:
        return _taken_apart(mail, trust, keys, sender, evidence, policy, times).found.report()
    except MalformedMail as broken:  # not even a mail
        return Report(Outcome.UNKNOWN, problem=shown.problem(broken))


def _taken_apart(
    mail: Source,
    trust: Trusts,
    keys: Reader | Iterable[Reader],
    sender: str | None,
    evidence: Evidence | None,
    policy: Policy,
    times: judging.Times,
) -> _Peeled | PeeledFile | swift.Unsealed:
    """Take the layers off a mail; one in a file that is large stays in files.

    Raises ``MalformedMail`` for what is no mail at all, and ``OSError``.
    """
    world = World(judging.trusts(trust), sender, evidence, policy, times)
    pgp_keys, certified = pgpmime.keys_apart(keys)
    opening = opening_keys_of(certified)
    if isinstance(mail, (bytes, Mail)) or not (
        hasattr(mail, "__fspath__") or hasattr(mail, "read")
    ):
        return _in_memory(mail, world, opening, pgp_keys)
    given = Large.open(mail)
    if isinstance(given, Large):
        with given:
            copy = keep(given.pieces())
        try:
            return PeeledFile(copy, world, opening, pgp_keys)
        except NeededWhole:
            given = b"".join(copy.pieces())
    return _in_memory(given, world, opening, pgp_keys)


def _in_memory(
    mail: Source, world: World, keys: tuple[Key, ...], pgp_keys: tuple[PgpKey, ...]
) -> _Peeled | swift.Unsealed:
    """Take the layers off a mail that is held; what is said of a mere letter can wait."""
    source = mail if isinstance(mail, Mail) else Mail(mail)
    outer = split_entity(bytes(source))
    first = swift.unsealed(outer, keys) if keys else None
    if first is None or first[0] is None or not swift.is_letter(first[0]):
        return _Peeled(source, outer, world, keys, pgp_keys, first)

    def full() -> Judged:
        return _Peeled(source, outer, world, (), (), first).found

    return swift.Unsealed(first[0], full)


class _Peeled(Peeled):
    """A mail with its layers off: the loop, and what it found.

    ``first`` is what came out of the first layer, if that is off already: the content,
    or None if it does not open, and the key.
    """

    def __init__(
        self,
        source: Mail,
        outer: Entity,
        world: World,
        keys: tuple[Key, ...],
        pgp_keys: tuple[PgpKey, ...],
        first: tuple[bytes | None, Key] | None = None,
    ) -> None:
        self.source = source
        self.content = outer.raw
        self._first = first
        super().__init__(world, keys, pgp_keys, outer)

    @classmethod
    def of(
        cls,
        mail: Source,
        trust: Trusts,
        keys: Reader | Iterable[Reader],
        sender: str | None,
        evidence: Evidence | None,
        policy: Policy,
        times: judging.Times,
    ) -> _Peeled:
        """Take the layers off a mail of any source, held in memory."""
        world = World(judging.trusts(trust), sender, evidence, policy, times)
        pgp_keys, certified = pgpmime.keys_apart(keys)
        source = mail if isinstance(mail, Mail) else Mail(mail)
        outer = split_entity(bytes(source))
        return cls(source, outer, world, opening_keys_of(certified), pgp_keys)

    @property
    def mail(self) -> Mail:
        """The mail as a reader should see it."""
        return Mail._made(None, make=self.found.readable) if self.taken else self.source

    def _payload(self) -> Protected | None:
        return protected(self.inner, self.outer)

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
            self.inner = split_part(head + self.content or b"\r\n")

    def _take_detached(self, wrapped: form.Wrapped) -> None:
        layer = Signed(wrapped.form)
        self.taken.append(layer)
        assert wrapped.content is not None
        self.content = wrapped.content
        try:
            if wrapped.problem is not None:
                raise wrapped.problem
            layer.data = signatures.read(wrapped.blob, self.world.parse)
            if layer.data.content_type != DATA:
                raise MalformedMail("the signature is over something else than mail")
            if layer.data.content is not None:
                raise MalformedMail(
                    "the signature carries a content of its own beside the one that is shown"
                )
        except MalformedMail as broken:
            self.damaged = broken
            return
        repair = crlf_form if self.world.policy.line_ends == "repair" else None
        content = signatures.Content(wrapped.content, repair)
        layer.checked = self.world.check(layer.data, content)
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
        data = signatures.read(wrapped.blob, self.world.parse)
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
        layer = Signed(wrapped.form)
        layer.data = data
        self.taken.append(layer)
        if data.content is None:
            raise MalformedMail("the mail is a signature without the content that it signs")
        layer.checked = self.world.check(data, signatures.Content(data.content))
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
        layer = Sealed(wrapped.form, envelope)
        self.taken.append(layer)
        self.content, key = self._unseal(envelope, layer)
        layer.by = key.label
        self.unauthenticated = self.unauthenticated or not envelope.tagged
        self._was_sealed(key.label)

    def _take_openpgp(self, wrapped: pgpmime.Wrapped) -> None:
        content = self._open_openpgp(wrapped)
        assert isinstance(content, bytes)
        self.content = content

    def _take_compressed(self, wrapped: form.Wrapped) -> None:
        from smime.cms.compressed import unpacked  # rare, and it brings zlib along

        self.taken.append(Layer("compressed", wrapped.form, algorithm="zlib"))
        limit = packing.allowance(self.source.size, self.inflated)
        self.content, content_type = unpacked(wrapped.blob, limit)
        self.inflated += len(self.content)
        if content_type != DATA:
            raise NotSupported(f"what is compressed is {content_name(content_type)}, and no mail")

    def _unseal(self, envelope: enveloped.Envelope, layer: Sealed) -> tuple[bytes, Key]:
        if self._first is not None:
            content, key = self._first
            self._first = None
            if content is None:
                raise DecryptionFailed(enveloped.FAILED)
            return content, key
        self._check_keys(envelope, layer)
        return enveloped.open_with(envelope, self.keys, self.world.policy)


def _rejected(report: Report) -> SignatureRejected | NotSupported:
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
    if report.sender is not None and (lacking := unsupported(covering)):
        return NotSupported(lacking, hint=hint)
    bad = next((check for check in covering if not check.good), None)
    if bad is None:
        text = f"no signature is by the sender {report.sender or ''}".rstrip()
        return SignatureRejected(text, report, hint=hint)
    reasons = [f.reason for f in bad.problems if f.code != "not-reached"]
    return SignatureRejected("; ".join(reasons), report)


def _opened(peeled: _Peeled | PeeledFile | swift.Unsealed, out: Out | None) -> Opened:
    found = peeled.found
    found.ask()
    mail = peeled.mail
    if out is not None:
        write_out(out, mail.pieces())
    return Opened(mail, peeled.content, found, found.contacts)
