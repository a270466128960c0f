"""What a reader is told beside the mail: what protects what is shown, and what to beware of.

Floor:  formats (uses keys, mime and report)
Source: RFC 9788 §4.3 for headers; RFC 9787 §4 for what a signature says of recipients
"""

from __future__ import annotations

from smime.errors import DecryptionFailed, LimitExceeded, MalformedMail
from smime.keys.address import same_address
from smime.mime.addresses import addresses
from smime.report import HARMLESS, NOT_SEALED, Finding, HeaderCheck, Note, Protection

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.errors import SmimeError
    from smime.mime.headers import Protected
    from smime.mime.protection import States
    from smime.report import Part

__all__ = [
    "addressed_to_me",
    "from_note",
    "header_checks",
    "header_notes",
    "part_notes",
    "problem",
    "rendering",
    "signed_values",
]

MAX_LISTED = 8  # names in one sentence

_TO_ME = Finding.yes("the signed headers name whoever's key opened it", "RFC 9787 §4")
_NOBODY_SAYS = Finding.open(
    "unknown-recipients", "no good signature says whom it was written to", "RFC 9787 §4"
)
_NAMES_NOBODY = Finding.open(
    "unknown-recipients", "its signed headers name no recipient", "RFC 9787 §4"
)
_NOT_OPENED = Finding.open("not-opened", "the content was not got at", "RFC 8551 §6")
_SEALED_PART = Finding.no(
    "sealed-part",
    "a sealed part stands among others, which could carry off what it says once it is opened",
    "RFC 9787 §4",
)
_UNSEEN = Finding.open(
    "parts-not-seen", "the mail has more parts than were looked at", "RFC 9787 §4"
)
_NO_TAG = Finding.no(
    "content-not-authenticated",
    "the sealed content carries no tag and no good signature, so it may have been changed to "
    "give itself away",
    "RFC 8551 §6",
)
_PROTECTION = {
    (False, False): Protection.NONE,
    (False, True): Protection.ENCRYPTED,
    (True, False): Protection.SIGNED,
    (True, True): Protection.BOTH,
}


def header_checks(found: States, signer: str | None) -> tuple[HeaderCheck, ...]:
    """Return what protects each field, where a good signature is by ``signer`` or by nobody."""
    signed = signer is not None
    return tuple(
        [
            HeaderCheck(one.name, _PROTECTION[signed and one.inside, one.sealed], one.outside)
            for one in found.fields
        ]
    )


def signed_values(payload: Protected | None, signer: str | None) -> dict[str, str | None]:
    """Return the Date and Message-ID that were signed; whoever sends a mail again keeps both."""
    if payload is None or signer is None:
        return {}
    return {"date": payload.get("date"), "message_id": payload.get("message-id")}


def header_notes(found: States, *, but_from: bool) -> list[Note]:
    """Say what of the headers does not fit together, ``but_from`` where that is said already."""
    notes = []
    changed = [name for name in found.changed if not (but_from and name.lower() == "from")]
    if changed:
        text = "outside, these headers are not as the author left them: "
        notes.append(Note("header-changed", text + ", ".join(changed[:MAX_LISTED])))
    if found.contradiction:
        notes.append(Note("header-contradiction", found.contradiction))
    if found.ignored:
        text = "inside, these headers are not believed: "
        notes.append(Note("header-ignored", text + ", ".join(found.ignored[:MAX_LISTED])))
    return notes


def part_notes(parts: tuple[Part, ...], complete: bool) -> list[Note]:
    """Say that protected parts stand beside others, and that they do not count."""
    notes = []
    guarded = [part for part in parts if part.kind != "tnef"]
    if guarded:
        named = ", ".join(f"{part.path} {part.form}" for part in guarded[:MAX_LISTED])
        text = "a part of the mail is signed or sealed, which says nothing about the mail: "
        notes.append(Note("protected-part", text + named))
    if len(guarded) < len(parts):
        text = "Outlook packed a message into winmail.dat (TNEF), which is not read"
        notes.append(Note("tnef", text))
    if not complete:
        notes.append(Note("parts-limit", "the mail has more parts than were looked at"))
    return notes


def addressed_to_me(
    opened_by: str | None, payload: Protected | None, signer: str | None
) -> Finding:
    """Say whether the signed To and Cc name whoever's key opened the mail.

    A signature does not cover for whom a mail was sealed: its reader can seal it
    anew for somebody else, who then takes himself for the one addressed.
    ``opened_by`` holds the addresses of the key; None if nothing was sealed.
    """
    if opened_by is None:
        return NOT_SEALED
    mine = opened_by.split(", ") if opened_by else []
    if signer is None or payload is None or not mine:
        return _NOBODY_SAYS
    readers = [*addresses(payload.fields, "to"), *addresses(payload.fields, "cc")]
    # Its author has a copy, too.
    if any(same_address(one, own) for one in (*readers, signer) for own in mine):
        return _TO_ME
    if not readers:
        return _NAMES_NOBODY
    return Finding.no(
        "not-addressed-to-you",
        f"the signed headers do not name {', '.join(mine)}: it is a blind copy, or somebody "
        "else passed it on",
        "RFC 9787 §4",
    )


def rendering(
    parts: tuple[Part, ...], *, stopped: bool, untagged: bool, unseen: bool = False
) -> Finding:
    """Say whether the mail may be shown as HTML with remote content, and quoted.

    ``untagged`` says that sealed content has neither tag nor good signature,
    ``unseen`` that the mail has parts which were not looked at.
    """
    if stopped:
        return _NOT_OPENED
    if any(part.kind == "encrypted" and not part.forwarded for part in parts):
        return _SEALED_PART
    if untagged:
        return _NO_TAG
    return _UNSEEN if unseen else HARMLESS


def from_note(inside: str, outside: str | None, believed: bool) -> Note:
    """Say that the From outside is not the one inside."""
    if believed:
        return Note("from-mismatch", f"the From outside is another one; {inside} signed it")
    return Note(
        "from-mismatch",
        f"inside, the mail claims to be from {inside}, which no good signature supports; "
        f"outside it says {outside or 'nobody'}",
    )


def problem(stopped: SmimeError | None) -> Finding | None:
    """Say why the content could not be got at."""
    if stopped is None:
        return None
    codes = (
        (LimitExceeded, "limit-exceeded", "RFC 5652 §2"),
        (MalformedMail, "malformed", "RFC 8551 §3"),
        (DecryptionFailed, "not-opened", "RFC 5652 §6"),
    )
    for kind, code, source in codes:
        if isinstance(stopped, kind):
            return Finding.no(code, str(stopped), source)
    return Finding.open("not-supported", str(stopped), "RFC 8551 §2")
