"""Signed receipts: a reader proves that a mail arrived as it was signed.

Nothing sends a receipt by itself: whoever answers tells the sender that the mail
was read, and when. A receipt is no mail, and ``open`` does not take it for one.

Floor:  receipts (uses incoming, formats, keys and cms)
Source: RFC 2634 §2
"""

from __future__ import annotations

from smime.cms import receipt as cms_receipt
from smime.cms import signatures, signed
from smime.cms.algorithms import DATA, digest
from smime.errors import KeyProblem, MalformedMail, SignatureRejected
from smime.formats import judging
from smime.formats import smime as form
from smime.incoming import _Peeled, _rejected
from smime.judged import Signed
from smime.keys.address import same_address
from smime.keys.roles import signers_of
from smime.mail import Mail
from smime.mime.addresses import addresses
from smime.mime.entity import split_entity
from smime.policy import MODERN, moment
from smime.protocols import Claim
from smime.report import Layer, Outcome, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from smime.keys import Reader, Sender
    from smime.mail import Source
    from smime.policy import Policy
    from smime.protocols import Trust, Trusts
    from smime.trust import Evidence

__all__ = ["make_receipt", "receipt_wanted", "verify_receipt"]

MAX_IDENTIFIER = 900  # characters of a Message-ID that is named: it is not folded


def receipt_wanted(
    mail: Source,
    *,
    trust: Trusts,
    keys: Reader | Iterable[Reader] = (),
    sender: str | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
) -> tuple[str, ...]:
    """Return the addresses to which the signer of a mail wants a receipt; empty if to none.

    The arguments are those of ``open``. Only a good signature of the sender
    asks for anything. Raises what ``open`` raises.
    """
    peeled = _Peeled.of(mail, trust, keys, sender, evidence, policy, judging.Times(at))
    if peeled.stopped is not None:
        raise peeled.stopped
    asked = _asked(peeled) if peeled.found.report().signer is not None else None
    return asked[1].to if asked else ()


def make_receipt(
    mail: Source,
    *,
    by: Sender,
    trust: Trusts,
    keys: Reader | Iterable[Reader] = (),
    sender: str | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
) -> Mail:
    """Return the receipt for a mail, signed by its reader: a mail to whom it wants it sent.

    Raises ``SignatureRejected`` unless a good signature of the sender covers the
    mail, ``MalformedMail`` if it wants no receipt, ``KeyProblem`` if it wants none
    from ``by``, and what ``open`` raises.
    """
    (reader,) = signers_of(by)
    when = moment(at)
    peeled = _Peeled.of(mail, trust, keys, sender, evidence, policy, judging.Times(at))
    if peeled.stopped is not None:
        raise peeled.stopped
    report = peeled.found.report()
    if report.signer is None:
        raise _rejected(report)
    asked = _asked(peeled)
    if asked is None or not asked[1].to:
        raise MalformedMail("the mail asks for no receipt")
    signer, request = asked
    if request.of is not None and not any(
        same_address(one, own) for one in request.of for own in reader.addresses
    ):
        raise KeyProblem(f"the mail asks for no receipt from {', '.join(reader.addresses)}")
    reader.check_signs(when, policy)
    assert signer.attributes is not None
    covered = signer.attributes.as_received()
    content = cms_receipt.Receipt(DATA, request.identifier, signer.value).to_der()
    blob, _ = signed.build(
        content,
        [reader.signing_key],
        detached=False,
        at=when,
        policy=policy,
        content_type=cms_receipt.RECEIPT,
        signed_attributes=(cms_receipt.write_digest(digest(signer.digest, covered)),),
    )
    # Whoever sent the mail chose the addresses: none may write a header or a command of SMTP.
    to = tuple(one for one in request.to if _is_plain(one) and "@" in one)
    return Mail._made(
        form.wrap_sealed(blob, "receipt", _fields(peeled, reader.addresses, to)),
        recipients=to,
    )


def verify_receipt(
    receipt: Source,
    *,
    sent: Source,
    trust: Trusts,
    keys: Reader | Iterable[Reader] = (),
    sender: str | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
) -> Report:
    """Return the report of a receipt for the mail ``sent``; its ``signer`` is who received it.

    ``sent`` is the mail as it went out, opened with ``keys`` if it was sealed.
    ``sender`` names whose receipt it must be, instead of its From. Raises
    ``SignatureRejected`` if the receipt's signature is not good or it is for
    another mail, ``MalformedMail`` if it is no receipt.
    """
    arrived = receipt if isinstance(receipt, Mail) else Mail(receipt)
    entity = split_entity(bytes(arrived))
    wrapped = form.recognise(entity)
    if wrapped is None or wrapped.content is not None:
        raise MalformedMail("this is no signed receipt")
    data = signatures.read(wrapped.blob)
    if data.content_type != cms_receipt.RECEIPT or data.content is None or len(data.signers) != 1:
        raise MalformedMail("this is no signed receipt")
    if sender is None:
        found = addresses(entity, "from")
        sender = found[0] if len(found) == 1 else None
    report = _judge(data, wrapped.form, sender, judging.trusts(trust), evidence, policy, moment(at))
    if report.signer is None:
        raise _rejected(report)
    peeled = _Peeled.of(sent, trust, keys, None, evidence, policy, judging.Times(at))
    if peeled.stopped is not None:
        raise peeled.stopped
    asked = _asked(peeled)
    if asked is None:
        raise SignatureRejected("the mail that was sent asks for no receipt", report)
    _compare(data, *asked, report)
    return report


def _judge(
    data: signatures.SignedData,
    form_name: str,
    sender: str | None,
    trusts: tuple[Trust, ...],
    evidence: Evidence | None,
    policy: Policy,
    when: datetime,
) -> Report:
    assert data.content is not None
    policy = policy.as_of(when)
    known = tuple(evidence.certificates) if evidence is not None else ()
    content = signatures.Content(data.content)
    (checked,) = signatures.check(data, content, policy=policy, known=known)
    judgement = None
    if checked.certificate is not None and checked.holds:
        claim = Claim(
            certificate=checked.certificate,
            sender=sender,
            at=when,
            certificates=data.certificates(),
            crls=data.crls,
            sender_reason="the receipt has not exactly one From address",
            evidence=evidence,
            policy=policy,
            digest_algorithm=checked.digest_algorithm,
        )
        judgement = judging.best(trusts, claim)
    check = judging.signature_check(checked, judgement, when)
    return Report(
        outcome=Outcome.GOOD if check.good else Outcome.REJECTED,
        layers=(Layer("signed", form_name, signatures=(check,)),),
        sender=sender,
        signer=sender if check.good else None,
    )


def _compare(
    data: signatures.SignedData,
    original: signatures.SignerInfo,
    request: cms_receipt.Request,
    report: Report,
) -> None:
    """Hold a receipt against the message (RFC 2634 §2.6)."""
    assert data.content is not None
    receipt = cms_receipt.Receipt.parse(data.content)
    attributes = data.signers[0].attributes
    stated = cms_receipt.message_digest_of(attributes) if attributes is not None else None
    assert original.attributes is not None
    forms = (original.attributes.as_received(), original.attributes.in_der())
    if (
        receipt.content_type != DATA
        or receipt.identifier != request.identifier
        or receipt.signature != original.value
        or stated not in [digest(original.digest, one) for one in forms]
    ):
        raise SignatureRejected("the receipt is for another mail than this", report)


def _asked(peeled: _Peeled) -> tuple[signatures.SignerInfo, cms_receipt.Request] | None:
    """Return the innermost signer that asks for a receipt, and what it asks for.

    Outer signatures are around sealed content, or a list's (RFC 2634 §2.3).
    """
    for layer in reversed(peeled.taken):
        if isinstance(layer, Signed) and layer.data is not None:
            for signer in layer.data.signers:
                request = cms_receipt.read_request(signer.attributes) if signer.attributes else None
                if request is not None:
                    return signer, request
            return None
    return None


def _is_plain(address: str) -> bool:
    return address.isascii() and address.isprintable() and not set(address) & set(' ,;:<>()"')


def _fields(peeled: _Peeled, own: tuple[str, ...], to: tuple[str, ...]) -> bytes:
    """Return the fields of the mail that carries a receipt."""
    lines = [f"From: {own[0]}"] if own and _is_plain(own[0]) else []
    lines += [f"To: {', '.join(to)}"] if to else []
    lines.append("Subject: Receipt")
    source = peeled.found.payload.fields if peeled.found.payload else peeled.outer.fields
    identifier = next((one.value for one in source if one.key == "message-id"), "")
    if identifier.isascii() and identifier.isprintable() and 0 < len(identifier) <= MAX_IDENTIFIER:
        lines.append(f"In-Reply-To: {identifier}")
    return "".join(f"{line}\r\n" for line in lines).encode("ascii")
