"""What was found: findings, checks, layers, the report and the opened mail.

All of it is frozen and can be pickled. There is no accidental truth: a check,
a report or an opened mail has no yes or no of its own; callers ask
``.good``, ``.outcome`` or ``.signer``.

Floor:  report (uses errors and mail)
Source: RFC 5652 §5.4, §5.6; RFC 8550 §3; RFC 5280 §6 for what the findings ask
"""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import StrEnum

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from typing import Any, NoReturn

    from cryptography import x509


__all__ = [
    "Answer",
    "Finding",
    "HeaderCheck",
    "Layer",
    "Note",
    "Outcome",
    "Part",
    "Protection",
    "Report",
    "SignatureCheck",
    "all_accepted",
    "printable",
    "reasons_of",
]

REPORT_VERSION = 1
FINDINGS = ("intact", "genuine", "path", "revocation", "usage", "address", "time")
# Codes of questions that may stay open without making a signature not good:
# the caller did not ask, or the policy does not demand an answer.
MAY_STAY_OPEN = frozenset({"not-asked", "revocation-not-checked", "revocation-unknown"})


def printable(text: str) -> str:
    r"""Escape what could steer a terminal: controls, line ends, bidirectional marks.

    >>> printable("a\x1b[2Jb\u202e")
    'a\\x1b[2Jb\\u202e'
    """
    if text.isprintable():
        return text
    return "".join(c if c.isprintable() else c.encode("unicode_escape").decode() for c in text)


class Answer(StrEnum):
    """The answer to one question; never guessed."""

    YES = "yes"
    NO = "no"
    NOT_CHECKED = "not-checked"


class Outcome(StrEnum):
    """What holds for the message as a whole."""

    GOOD = "good"
    """A good signature by the sender covers the whole mail."""
    GOOD_THEN = "good-when-signed"
    """It was good at a proven time, and its certificate has expired since."""
    UNSIGNED = "unsigned"
    """No signature covers the whole mail."""
    REJECTED = "rejected"
    """A signature covers the mail and is not good."""
    UNKNOWN = "unknown"
    """It could not be judged: no trust was given, or the mail is not readable."""
    SEALED = "sealed"
    """It is encrypted and was not opened."""


@dataclass(frozen=True, slots=True)
class Finding:
    """One question about a signature and its answer."""

    answer: Answer
    """``yes``, ``no`` or ``not-checked``; never guessed."""
    code: str
    """Stable and documented: ``ok``, ``digest-differs``, ``no-anchor``, ``expired``."""
    reason: str
    """One sentence for a person."""
    source: str
    """The rule: ``RFC 5652 §5.4``."""

    @classmethod
    def yes(cls, reason: str, source: str, code: str = "ok") -> Finding:
        return cls(Answer.YES, code, reason, source)

    @classmethod
    def no(cls, code: str, reason: str, source: str) -> Finding:
        return cls(Answer.NO, code, reason, source)

    @classmethod
    def open(cls, code: str, reason: str, source: str) -> Finding:
        return cls(Answer.NOT_CHECKED, code, reason, source)

    @property
    def accepted(self) -> bool:
        """The answer is yes, or it was not demanded."""
        return self.answer is Answer.YES or (
            self.answer is Answer.NOT_CHECKED and self.code in MAY_STAY_OPEN
        )

    def to_dict(self) -> dict[str, str]:
        return {
            "answer": str(self.answer),
            "code": self.code,
            "reason": self.reason,
            "source": self.source,
        }


def all_accepted(findings: Iterable[Finding]) -> bool:
    """Whether each of them is a yes, or was not demanded."""
    # A loop, since this is asked several times of every signature.
    for one in findings:  # noqa: SIM110  # a generator costs three times as much
        if one.answer is not Answer.YES and not one.accepted:
            return False
    return True


@dataclass(frozen=True, slots=True)
class Note:
    """Something worth knowing that moves no verdict."""

    code: str
    """Stable and documented: ``line-ends``, ``from-mismatch``."""
    text: str
    """One sentence for a person."""


@dataclass(frozen=True, slots=True)
class SignatureCheck:
    """What one signature turned out to be, good or bad."""

    signer: str
    """Mail address in the certificate, else its subject or fingerprint."""
    intact: Finding
    """The content still has the digest that was signed (RFC 5652 §5.4)."""
    genuine: Finding
    """The signature value was made with the signer's key (RFC 5652 §5.6)."""
    path: Finding
    """A chain leads from the certificate to an anchor (RFC 5280 §6)."""
    revocation: Finding
    """The certificate was not revoked (RFC 5280 §6.3)."""
    usage: Finding
    """The key may sign mail, and is strong enough (RFC 8550 §4.4)."""
    address: Finding
    """The certificate names the sender (RFC 8550 §3)."""
    time: Finding
    """The certificate was valid at the moment judged (RFC 5280 §4.1.2.5)."""
    at: datetime
    """The moment judged; always with a time zone. With a ``proof`` it lies in the past."""
    signed_at: datetime | None = None
    """What the signer says (signingTime); it moves no verdict."""
    digest: bytes = b""
    """Digest of the content as it was signed: the MIC of AS2."""
    digest_algorithm: str = ""
    fingerprint: str = ""
    """SHA-256 of the certificate, or the fingerprint of the OpenPGP key (the key id, where
    nobody has it); lower-case hexadecimal digits."""
    proof: str = ""
    """Good when it was signed, not now; and what proves when: ``time-stamp`` (RFC 3161) or
    ``received`` (the caller's word). Else empty."""
    notes: tuple[Note, ...] = ()
    chain: tuple[bytes, ...] = field(default=(), repr=False)
    """The path found, leaf first, as DER."""
    cert_der: bytes | None = field(default=None, repr=False)
    addresses: tuple[str, ...] = ()
    """What the OpenPGP key names; empty for a certificate, which says so itself."""

    @property
    def certificate(self) -> x509.Certificate | None:
        """The certificate whose key made the signature, or None if it is not known."""
        if self.cert_der is None:
            return None
        from cryptography import x509

        return x509.load_der_x509_certificate(self.cert_der)

    @property
    def findings(self) -> tuple[tuple[str, Finding], ...]:
        """The seven questions by name, in the order in which they are asked."""
        return tuple((name, getattr(self, name)) for name in FINDINGS)

    @property
    def problems(self) -> tuple[Finding, ...]:
        """The findings that keep the signature from being good."""
        return tuple(finding for _, finding in self.findings if not finding.accepted)

    @property
    def good(self) -> bool:
        """All that the policy demands: the only property a caller should act on."""
        return not self.problems

    def __bool__(self) -> NoReturn:
        raise TypeError("a check is not a yes or no: ask .good or read .problems")

    def to_dict(self) -> dict[str, Any]:
        return {
            "signer": self.signer,
            "good": self.good,
            "fingerprint": self.fingerprint,
            "signed_at": self.signed_at.isoformat() if self.signed_at else None,
            "at": self.at.isoformat(),
            "proof": self.proof,
            "digest": self.digest.hex(),
            "digest_algorithm": self.digest_algorithm,
            **{name: finding.to_dict() for name, finding in self.findings},
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
        }


def unsupported(checks: Sequence[SignatureCheck]) -> str:
    """Say which algorithm is lacking, if that alone keeps every signature from being judged."""
    found = ""
    for check in checks:
        lacking = [one.reason for one in check.problems if one.code == "not-supported"]
        if not lacking or any(one.answer is Answer.NO for one in check.problems):
            return ""
        found = found or lacking[0]
    return found


@dataclass(frozen=True, slots=True)
class Layer:
    """One wrapping taken off."""

    kind: str
    """``signed``, ``encrypted``, ``compressed`` or ``certificates``."""
    form: str = ""
    """How the mail carries it: ``multipart/signed`` or ``application/pkcs7-mime``."""
    signatures: tuple[SignatureCheck, ...] = ()
    authenticated: bool = False
    """An encrypted layer whose content carried a tag that is right (AES-GCM)."""
    algorithm: str = ""
    """Content cipher of an encrypted layer: ``AES-256-GCM``."""
    opened_by: str = ""
    """Address of the key that opened it."""
    opened: bool = True
    """False for an encrypted layer for which no key was given."""
    covers: str = "content"
    """``content``, or ``sealed form`` for a signature around encrypted content."""
    recipients: tuple[str, ...] = ()
    """How an encrypted layer names its readers, the first 100: issuer and serial, or key
    identifier."""
    notes: tuple[Note, ...] = ()

    def to_dict(self) -> dict[str, Any]:
        return {
            "kind": self.kind,
            "form": self.form,
            "signatures": [check.to_dict() for check in self.signatures],
            "authenticated": self.authenticated,
            "algorithm": self.algorithm,
            "opened_by": self.opened_by,
            "opened": self.opened,
            "covers": self.covers,
            "recipients": list(self.recipients),
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
        }


@dataclass(frozen=True, slots=True)
class Part:
    """A signed or sealed part in the middle of a mail: never the state of the mail."""

    path: str
    """Where it stands: ``2.1`` is the first part of the second."""
    kind: str
    """``signed``, ``encrypted`` or ``tnef`` (Outlook's winmail.dat)."""
    form: str
    """Its content type."""
    forwarded: bool = False
    """It stands in a message/rfc822: a mail that was passed on whole."""
    signatures: tuple[SignatureCheck, ...] = ()
    """Of a signed part: what its signatures say of it, and of nothing beside it."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "kind": self.kind,
            "form": self.form,
            "forwarded": self.forwarded,
            "signatures": [check.to_dict() for check in self.signatures],
        }


class Protection(StrEnum):
    """What protects a header field (RFC 9788 §4.3)."""

    NONE = "none"
    """Anybody on the way could write it."""
    SIGNED = "signed"
    ENCRYPTED = "encrypted"
    """Nobody on the way could read it; who wrote it is not known."""
    BOTH = "signed and encrypted"


@dataclass(frozen=True, slots=True)
class HeaderCheck:
    """A header field that a reader is shown, and what protects it; not its value."""

    name: str
    protection: Protection
    outside: tuple[str, ...] | None = None
    """What stands outside in its place, if that is another value; empty if nothing does."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "protection": str(self.protection),
            "outside": None if self.outside is None else list(self.outside),
        }


NOT_SEALED = Finding.open("not-sealed", "the mail was not opened with a key", "RFC 9787 §4")
HARMLESS = Finding.yes("nothing in it could have been put there to get at a secret", "RFC 8551 §6")


@dataclass(frozen=True, slots=True)
class Report:
    """Everything found, outermost layer first."""

    outcome: Outcome
    layers: tuple[Layer, ...] = ()
    sender: str | None = None
    """The address that had to be spoken for: the one From, or ``sender=``."""
    signer: str | None = None
    """The address that a good signature over the whole mail speaks for, or None."""
    problem: Finding | None = None
    """Why the mail could not be read to its end, if so."""
    notes: tuple[Note, ...] = ()
    parts: tuple[Part, ...] = ()
    """Signed and sealed parts that are not the whole mail."""
    headers: tuple[HeaderCheck, ...] = ()
    """The header fields that are shown, and what protects each."""
    addressed_to_me: Finding = NOT_SEALED
    """Whether the signed To or Cc names the one whose key opened it: else it was passed on."""
    rendering: Finding = HARMLESS
    """Whether it may be shown as HTML with remote content, and quoted; ``no`` says why not."""
    date: str | None = field(default=None, repr=False)
    """The Date that the signer signed, as written: with ``message_id``, to notice a mail again."""
    message_id: str | None = field(default=None, repr=False)
    """The Message-ID that the signer signed."""

    @property
    def signatures(self) -> tuple[SignatureCheck, ...]:
        """Every signature of every layer, outermost layer first."""
        return tuple(check for layer in self.layers for check in layer.signatures)

    @property
    def encrypted(self) -> bool:
        """The whole mail was sealed."""
        return any(layer.kind == "encrypted" for layer in self.layers)

    def __bool__(self) -> NoReturn:
        raise TypeError("a report is not a yes or no: ask .outcome or .signer")

    def to_dict(self) -> dict[str, Any]:
        """Return the report as plain values for JSON; its form has a ``version``."""
        return {
            "version": REPORT_VERSION,
            "outcome": str(self.outcome),
            "sender": self.sender,
            "signer": self.signer,
            "layers": [layer.to_dict() for layer in self.layers],
            "problem": self.problem.to_dict() if self.problem else None,
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
            "parts": [part.to_dict() for part in self.parts],
            "headers": [header.to_dict() for header in self.headers],
            "addressed_to_me": self.addressed_to_me.to_dict(),
            "rendering": self.rendering.to_dict(),
            "date": self.date,
            "message_id": self.message_id,
        }

    def __str__(self) -> str:
        return "\n".join(printable(line) for line in _lines(self))


def _lines(report: Report) -> list[str]:
    """Say the report in plain lines: the verdict first, then why."""
    lines = reasons_of(report)
    if not report.signatures and report.outcome is not Outcome.SEALED:
        lines.insert(0, "unsigned: nobody vouches for this mail")
    lines += [f"note: {note.text}" for layer in report.layers for note in layer.notes]
    lines += [f"note: {note.text}" for note in report.notes]
    if report.rendering.answer is Answer.NO:
        lines.append(f"show as plain text, do not quote: {report.rendering.reason}")
    return lines


def reasons_of(report: Report, *, notes: bool = True) -> list[str]:
    """Say in plain lines, not escaped, what each signature and each seal is worth, and why."""
    lines: list[str] = []
    for layer in report.layers:
        for check in layer.signatures:
            lines += _signature_lines(report, layer, check, notes)
    for layer in report.layers:
        if layer.kind == "encrypted":
            lines.append(_sealed_line(report, layer))
        elif layer.kind != "signed":
            lines.append(layer.kind)
    if report.problem:
        lines.append(f"stopped: {report.problem.reason}")
    return lines


def _signature_lines(report: Report, layer: Layer, check: SignatureCheck, notes: bool) -> list[str]:
    when = (
        f", says it was signed on {check.signed_at:%Y-%m-%d %H:%M} UTC" if check.signed_at else ""
    )
    if check.good and layer.covers != "content":
        return [
            f"good signature by {check.signer}{when}, around sealed content only: "
            "it does not say who wrote the mail"
        ]
    if check.good:
        verdict = "good when signed" if check.proof else "good"
        if not report.signer:
            verdict += " by itself, but not by the sender of this mail"
        why = [check.path.reason, check.revocation.reason]
        why += [check.time.reason] if check.proof else []
    else:
        verdict = "NOT good"
        why = [f.reason for f in check.problems if f.code != "not-reached"]
    lines = [f"{verdict}: signed by {check.signer}{when}", f"  because {'; '.join(why)}"]
    return lines + [f"  note: {note.text}" for note in check.notes if notes]


def _sealed_line(report: Report, layer: Layer) -> str:
    if not layer.opened:
        return f"sealed with {layer.algorithm}: not opened"
    by = f" for {layer.opened_by}" if layer.opened_by else ""
    vouched = layer.authenticated or report.signer is not None
    tag = "" if vouched else ", which does not show whether it was changed"
    return f"sealed{by} with {layer.algorithm}{tag}"
