"""What a mail reader should show of a mail that was opened.

``view`` puts side by side what a person sees, header by header, and what
protects it; the verdict in plain words; what to beware of; the text.

Floor:  viewing (uses incoming's results, mime)
Source: RFC 9788 §4 for the headers; RFC 9787 §6 for what to tell people
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field

from smime.errors import MalformedMail
from smime.mime.entity import decode_charset, decode_words, split_entity
from smime.mime.multipart import boundary_of, cut
from smime.mime.wording import ADDRESS_FIELDS
from smime.opened import Opened
from smime.report import (
    Answer,
    HeaderCheck,
    Note,
    Outcome,
    Part,
    Protection,
    Report,
    SignatureCheck,
    printable,
    reasons_of,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from smime.mime.entity import Entity, Field

__all__ = ["ShownFile", "ShownHeader", "View", "signature_in_words", "view"]

MAX_VALUE = 1000  # characters of a header that are shown; the middle of a longer one is left out
MAX_SAME = 8  # headers of one name that are shown
MAX_TEXT = 1_000_000  # characters of text that are shown; people write some thousands
MAX_VIEWED = 4 << 20  # octets of a mail that are looked at; its text stands at the front
MAX_DEPTH = 16  # parts within parts that are looked at; people nest five
MAX_PARTS = 1000  # of one multipart that are looked at
MAX_FILES = 200  # parts that are named

_SHOWN = ("From", "Sender", "Reply-To", "To", "Cc", "Subject", "Date")
_WORDS = re.compile(  # encoded words with nothing but blanks between them
    r"=\?[^?\s]{1,60}\?[bBqQ]\?[^?\s]*+\?=(?:\s++=\?[^?\s]{1,60}\?[bBqQ]\?[^?\s]*+\?=)*+"
)
_STATES = {Protection.NONE: "unprotected"}
# Notes that a reader has to be told; the others are for who looks closer.
_WARNINGS = frozenset(
    {
        "countersignature-wrong", "display-name-address", "from-mismatch", "header-changed",
        "header-ignored", "inline-part", "no-signers",
        "not-addressed-to-you", "parts-limit", "protected-part", "sender-differs", "since-then",
        "time-stamp-refused", "time-stamp-wrong", "tnef",
    }
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class ShownHeader:
    """A header field as a person sees it, and what protects it."""

    name: str
    value: str = field(repr=False)
    """Decoded (RFC 2047), not escaped: ``printable`` it before a terminal sees it."""
    protection: Protection
    outside: tuple[str, ...] | None = None
    """What stands outside in its place, if that is another value; empty if nothing does."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "value": self.value,
            "protection": str(self.protection),
            "outside": None if self.outside is None else list(self.outside),
        }


@dataclass(frozen=True, slots=True)
class ShownFile:
    """A part that is not shown as text: an attachment, a picture, HTML without a plain form."""

    path: str
    """Where it stands: ``2.1`` is the first part of the second; empty for the mail itself."""
    kind: str
    """Its content type."""
    name: str
    """The file name that its sender gave, decoded; it may hold anything. Empty if there is none."""
    octets: int
    """Size in the mail, as it is encoded there."""

    def to_dict(self) -> dict[str, Any]:
        return {
            "path": self.path,
            "kind": self.kind,
            "name": self.name,
            "octets": self.octets,
        }


@dataclass(frozen=True, slots=True)
class View:
    """What a mail reader should show; ``str()`` of it is fit for a terminal."""

    verdict: str
    """Who wrote it and who could read it, in one sentence."""
    headers: tuple[ShownHeader, ...]
    """From (always there), Sender, Reply-To, To, Cc, Subject and Date."""
    warnings: tuple[Note, ...]
    """What the reader has to be told beside the verdict."""
    notes: tuple[Note, ...]
    """What is worth knowing for who looks closer."""
    parts: tuple[Part, ...]
    """Signed and sealed parts that are not the whole mail, and count for nothing but themselves."""
    text: str = field(repr=False)
    """All plain text, decoded; HTML is never shown."""
    files: tuple[ShownFile, ...] = ()
    reasons: tuple[str, ...] = ()
    """Why the verdict is what it is, a line for each signature and each seal."""

    def to_dict(self) -> dict[str, Any]:
        """Return the same as plain values for JSON."""
        return {
            "verdict": self.verdict,
            "headers": [one.to_dict() for one in self.headers],
            "warnings": [{"code": note.code, "text": note.text} for note in self.warnings],
            "notes": [{"code": note.code, "text": note.text} for note in self.notes],
            "parts": [part.to_dict() for part in self.parts],
            "files": [one.to_dict() for one in self.files],
            "reasons": list(self.reasons),
            "text": self.text,
        }

    def __str__(self) -> str:
        # What protects a header stands before its value, and every line of the text has a
        # mark before it: nobody can write a state or a verdict of his own there.
        states = [_STATES.get(one.protection, str(one.protection)) for one in self.headers]
        width = max(map(len, states))
        lines = [f"verdict: {self.verdict}"]
        for one, state in zip(self.headers, states, strict=True):
            lines.append(f"  {state:{width}}  {one.name}: {one.value}")
            if one.outside is not None:
                outside = " | ".join(_short(value) for value in one.outside) or "(nothing)"
                lines.append(f"  {'':{width}}    outside: {outside}")
        lines += [f"warning: {note.text}" for note in self.warnings]
        lines += [f"part {part.path or 'itself'}: {_part_in_words(part)}" for part in self.parts]
        lines += [f"why: {line}" for line in self.reasons]
        lines += [f"note: {note.text}" for note in self.notes]
        lines += [f"not shown: {_file_in_words(one)}" for one in self.files]
        if self.text:
            lines.append("text:")
            lines += [f"| {line.expandtabs()}" for line in self.text.splitlines()]
        return "\n".join(printable(line) for line in lines)


def view(opened: Opened) -> View:
    """Return what a mail reader should show of a mail that was opened.

    The headers are those of ``opened.mail``, each with what protects it; the
    text is its plain text, for which the mail is read into memory. Never raises
    for what a mail holds: a part that cannot be decoded is listed as a file.
    """
    report = opened.report
    entity = split_entity(opened.mail._beginning(MAX_VIEWED))
    every = (
        *report.notes,
        *(note for layer in report.layers for note in layer.notes),
        *(note for check in report.signatures for note in check.notes),
    )
    notes = dict.fromkeys(every)  # each once
    warnings = [note for note in notes if _warns(note, report)]
    if report.rendering.answer is Answer.NO:
        text = f"show as plain text, do not quote: {report.rendering.reason}"
        warnings.append(Note(report.rendering.code, text))
    found = _Found()
    found.look(entity, "", 0)
    return View(
        verdict=_verdict(report),
        headers=tuple(_headers(entity, report)),
        warnings=tuple(warnings),
        notes=tuple(note for note in notes if note not in warnings),
        parts=report.parts,
        text="\n\n".join(found.texts)[:MAX_TEXT],
        files=tuple(found.files),
        reasons=tuple(reasons_of(report, notes=False)),
    )


def _warns(note: Note, report: Report) -> bool:
    if note.code == "header-contradiction":
        # A gateway that seals what its users signed does no harm; what was sealed and
        # comes in the open was taken out of its seal (RFC 9788 §4.3.1, §10.2).
        return not report.encrypted
    return note.code in _WARNINGS or note.code.startswith("damage-")


# --- the verdict ------------------------------------------------------------


def _verdict(report: Report) -> str:
    written = signature_in_words(report)
    if report.encrypted and report.signer:
        return f"{written}; sealed: nobody on the way could read it"
    if report.encrypted:
        untagged = not all(one.authenticated for one in report.layers if one.kind == "encrypted")
        changed = ", and it may have been changed" if untagged else ""
        return f"{written}; sealed: nobody on the way could read it{changed}"
    return written


def signature_in_words(report: Report, *, judged: bool = True) -> str:
    """Say in one line what holds of the signature inside; not ``judged``: nobody was believed."""
    if report.signer:
        when = " when signed" if report.outcome is Outcome.GOOD_THEN else ""
        return f"signed by {report.signer} (good{when})"
    checks = [
        check for layer in report.layers if layer.covers == "content" for check in layer.signatures
    ]
    if not checks and report.problem:
        return f"signature NOT good: {report.problem.reason}"
    if not checks and [layer.kind for layer in report.layers] == ["certificates"]:
        return "no mail, only certificates, for which nobody vouches"
    if not checks:
        return "unsigned: nobody vouches for this mail"
    broken = [
        finding.reason
        for check in checks
        for finding in (check.intact, check.genuine)
        if finding.answer is Answer.NO
    ]
    if not broken and (not judged or _nobody_was_trusted(checks)):
        names = ", ".join(dict.fromkeys(check.signer for check in checks))
        return f"signature not judged: it claims to be by {names}"
    reasons = broken or [finding.reason for check in checks for finding in check.problems]
    why = "; ".join(dict.fromkeys(reasons))
    return f"signature NOT good: {why or 'it is not by the sender'}"


def _nobody_was_trusted(checks: list[SignatureCheck]) -> bool:
    return all(check.path.code == "no-trust" for check in checks)


# --- what is shown ----------------------------------------------------------


def _headers(entity: Entity, report: Report) -> list[ShownHeader]:
    states = {one.name.lower(): one for one in report.headers}
    shown = []
    for name in _SHOWN:
        key = name.lower()
        state = states.get(key, HeaderCheck(name, Protection.NONE))
        read = _with_quotes if key in ADDRESS_FIELDS else _decoded
        values = [read(one) for one in entity.fields if one.key == key][:MAX_SAME]
        if not values and key == "from":
            values = ["(nobody)"]
        shown += [
            ShownHeader(name, _short(value), state.protection, state.outside) for value in values
        ]
    return shown


def _decoded(field: Field) -> str:
    return field.text


def _with_quotes(field: Field) -> str:
    """Decode the names before addresses; one that could be read as an address has quotes."""
    return _WORDS.sub(_one_with_quotes, field.value)


def _one_with_quotes(match: re.Match[str]) -> str:
    name = decode_words(match[0])
    if not set(name) & set('<>@,;:"()'):
        return name
    escaped = name.replace("\\", "\\\\").replace('"', '\\"')
    return f'"{escaped}"'


def _short(value: str) -> str:
    """Return a value in one line; of a long one the ends, for an address stands there."""
    text = " ".join(value.split())
    if len(text) <= MAX_VALUE:
        return text
    return f"{text[: MAX_VALUE // 2]} […] {text[-MAX_VALUE // 2 :]}"


class _Found:
    """The texts of a mail, and the parts that are not shown."""

    __slots__ = ("files", "left", "texts")

    def __init__(self) -> None:
        self.texts: list[str] = []
        self.files: list[ShownFile] = []
        self.left = MAX_TEXT

    def look(self, entity: Entity, path: str, depth: int) -> None:
        """Look at an entity and what is in it; never raises."""
        kind = entity.content_type
        if kind.value.startswith("multipart/") and depth < MAX_DEPTH:
            children = _children(entity)
            if kind.value == "multipart/signed":
                del children[1:]  # the signature is in the report
            if kind.value == "multipart/alternative":
                children = _plainest(children)
            if children:
                for number, child in children:
                    self.look(child, f"{path}.{number}" if path else str(number), depth + 1)
                return
        elif kind.value == "text/plain" and (text := _text(entity)) is not None:
            if text.strip() and self.left > 0:
                self.texts.append(text[: self.left])
                self.left -= len(text)
            return
        if len(self.files) < MAX_FILES:
            octets = len(entity.raw) - entity.body_at
            self.files.append(ShownFile(path, kind.value, _short(entity.file_name), octets))


def _children(entity: Entity) -> list[tuple[int, Entity]]:
    try:
        body = entity.body
        spans = cut(body, boundary_of(entity)).spans
    except MalformedMail:
        return []
    found = []
    for number, (start, end) in enumerate(spans, 1):
        if number > MAX_PARTS:
            break
        try:
            found.append((number, split_entity(body[start:end])))
        except MalformedMail:
            continue  # an empty part
    return found


def _plainest(children: list[tuple[int, Entity]]) -> list[tuple[int, Entity]]:
    """Of several forms of one text take the plain one, else the last, as readers do."""
    plain = [one for one in children if one[1].content_type.value == "text/plain"]
    return plain[:1] or children[-1:]


def _text(entity: Entity) -> str | None:
    """Return the text of a part that is to be read; None if it is a file or cannot be decoded."""
    disposition = (entity.get("content-disposition") or "").lower()
    if disposition.startswith("attachment"):
        return None
    try:
        octets = entity.decoded()
    except MalformedMail:
        return None
    text = decode_charset(octets, entity.content_type.params.get("charset", "utf-8"))
    return octets.decode("utf-8", "backslashreplace") if text is None else text


def _part_in_words(part: Part) -> str:
    forwarded = " in a forwarded mail" if part.forwarded else ""
    if part.kind == "tnef":
        return f"Outlook's winmail.dat{forwarded}, which is not read"
    if part.kind == "encrypted":
        return f"sealed by itself{forwarded} ({part.form}), and not opened"
    whole = "; it says nothing about the mail"
    if not part.signatures:
        return f"signed by itself{forwarded} ({part.form}), and not checked{whole}"
    names = ", ".join(
        f"{check.signer} ({'good' if check.good else 'NOT good'})" for check in part.signatures
    )
    return f"signed by itself{forwarded} ({part.form}) by {names}{whole}"


def _file_in_words(one: ShownFile) -> str:
    where = f"{one.path} " if one.path else ""
    named = f" {one.name!r}" if one.name else ""
    return f"{where}{one.kind}{named}, {one.octets} octets"
