"""OpenPGP layers on the way in: opened, checked, and said what holds of them.

Mathematics is asked of the keyrings, one after the other, since one may hold my keys
and another those of my friends; trust is asked only of a signature that holds.

Floor:  formats (uses pgp, report)
Source: RFC 3156; RFC 9580 §5.2 for signatures
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from smime.errors import (
    DecryptionFailed,
    KeyProblem,
    MalformedMail,
    NotSupported,
    SmimeError,
)
from smime.policy import moment
from smime.report import Answer, Finding, Layer, Note, SignatureCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from typing import Any

    from smime.formats.pgpmime import Wrapped
    from smime.formats.spooled import Region
    from smime.mime.entity import Entity
    from smime.pgp import PgpKey, PgpKeyring
    from smime.pgp.backend import Decrypted, SignatureFacts
    from smime.pgp.listing import KeyFacts
    from smime.policy import Policy
    from smime.protocols import Judgement, Trust

__all__ = [
    "Opener",
    "SignedLayer",
    "Taken",
    "rings_of",
    "take",
    "text_notes",
]

MAX_NAMED = 100  # readers of a layer that a report names; a mailing can have thousands
# Of the two branches that are kept, the first without the faults of December 2025.
SOUND = {(2, 2): (2, 2, 51), (2, 4): (2, 4, 9)}
SOUND_SINCE = (2, 5, 16)

_RULE = "RFC 9580 §5.2.4"
_NOT_REACHED = Finding.open(
    "not-reached", "not asked, since the signature itself does not hold", _RULE
)
_INTACT = Finding.yes("the content is what was signed", _RULE)
_GENUINE = Finding.yes("the signature was made with the signer's key", _RULE)
_LINE_ENDS = Note("line-ends", "the line ends were changed on the way and put back to CRLF")


class Opener:
    """Whose key opened a layer; ``label`` is its addresses."""

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        self.label = label


def rings_of(trusts: Iterable[Trust], keys: Iterable[PgpKey]) -> tuple[PgpKeyring, ...]:
    """Return the keyrings in which the keys of signers are looked for, each once."""
    vouching = [one for one in trusts if hasattr(one, "judge_openpgp")]
    found: list[Any] = [getattr(one, "keyring", None) or one for one in vouching]
    found += [one.keyring for one in keys]
    return tuple({id(one): one for one in found if hasattr(one, "engine")}.values())


def open_sealed(wrapped: Wrapped, keys: Sequence[PgpKey]) -> tuple[Decrypted, Opener]:
    """Open an encrypted layer with one of these keys.

    Raises ``DecryptionFailed``, ``KeyProblem`` for a locked key, ``MalformedMail``,
    ``NotSupported`` and ``LimitExceeded``; no plaintext leaves then.
    """
    sealed = wrapped.sealed
    if not keys:
        raise DecryptionFailed(
            "the mail is sealed, and no OpenPGP key was given",
            hint=f"it is sealed for {', '.join(sealed.recipients[:8]) or 'a passphrase'}",
        )
    secret = [one for one in keys if one.is_secret]
    if not secret:
        raise KeyProblem(f"{keys[0]!r} opens nothing: only its public half is in the keyring")
    failed: SmimeError | None = None
    for ring in {id(one.keyring): one.keyring for one in secret}.values():
        mine = [one for one in secret if one.keyring is ring]
        try:
            message = ring.engine.decrypt(sealed, mine)
        except (DecryptionFailed, KeyProblem, NotSupported) as problem:
            # The engine of another keyring may know what this one does not.
            failed = problem if failed is None or _rank(problem) > _rank(failed) else failed
            continue
        by = next(one for one in mine if one.fingerprint == message.opened_by)
        return message, Opener(", ".join(by.addresses))
    assert failed is not None
    raise failed


def _rank(problem: SmimeError) -> int:
    """Say how much an error tells: of a locked key most, of an engine least."""
    return 2 if isinstance(problem, KeyProblem) else isinstance(problem, DecryptionFailed)


class Taken:
    """What came of taking a layer off: its content, and what there is to say of it."""

    __slots__ = ("content", "damaged", "layers", "opened_by", "stopped")

    def __init__(self) -> None:
        self.content: bytes | Region = b""
        self.layers: list[SignedLayer | Layer] = []
        """One, or two where one message is sealed and signed (RFC 3156 §6.2)."""
        self.opened_by: Opener | None = None
        self.damaged: MalformedMail | None = None
        """Why a signature could not be read, where the content is there all the same."""
        self.stopped: SmimeError | None = None
        """Why there is no content."""


def take(
    wrapped: Wrapped,
    keys: Sequence[PgpKey],
    rings: Sequence[PgpKeyring],
    at: datetime,
    repair: Callable[[bytes], bytes] | None,
) -> Taken:
    """Take a layer off: check what is signed, open what is sealed. Never raises for the mail."""
    taken = Taken()
    layer = SignedLayer(wrapped.form)
    if wrapped.content is not None:
        taken.layers.append(layer)
        taken.content = wrapped.content
        try:
            signatures = signatures_of(wrapped)
        except MalformedMail as broken:
            taken.damaged = broken
        else:
            taken.content = layer.check(wrapped.content, signatures, rings, at, repair)
        return taken
    try:
        message, taken.opened_by = open_sealed(wrapped, keys)
    except SmimeError as stopped:
        taken.layers.append(sealed_layer(wrapped))
        taken.stopped = stopped
        return taken
    taken.layers.append(opened_layer(wrapped, message, taken.opened_by, keys))
    taken.content = content = _content_of(message)
    if message.signatures or message.checked:
        layer.check(content, message.signatures, rings, at)
        layer.take_checked(message.checked, rings)
        taken.layers.append(layer)
    return taken


def _content_of(message: Decrypted) -> bytes | Region:
    if message.stored is None:
        return message.content
    from smime.formats.spooled import Region

    return Region.over(message.stored)


def sealed_layer(wrapped: Wrapped) -> Layer:
    """Describe a layer that did not open, as far as it can be read."""
    try:
        named = wrapped.sealed.recipients[:MAX_NAMED]
    except SmimeError:
        named = ()
    return Layer("encrypted", wrapped.form, algorithm="OpenPGP", recipients=named, opened=False)


def opened_layer(wrapped: Wrapped, message: Decrypted, by: Opener, keys: Sequence[PgpKey]) -> Layer:
    """Describe a layer that was opened; it was whole and unchanged."""
    return Layer(
        "encrypted",
        wrapped.form,
        algorithm=message.cipher,
        authenticated=True,
        opened_by=by.label,
        recipients=wrapped.sealed.recipients[:MAX_NAMED],
        notes=_about([one.keyring for one in keys]),
    )


class _Check(NamedTuple):
    """What the mathematics of one signature gave, and what is known of its key."""

    facts: SignatureFacts
    key: KeyFacts | None
    """What the keyring that has the key knows of it; nothing where it does not hold."""
    named: tuple[str, ...]
    notes: tuple[Note, ...] = ()


class SignedLayer:
    """A signed layer taken off, before anybody was asked about trust."""

    __slots__ = ("checks", "form", "notes", "sealed_form")

    def __init__(self, form: str) -> None:
        self.form = form
        self.checks: list[_Check] = []
        self.sealed_form = False
        self.notes: tuple[Note, ...] = ()

    def check(
        self,
        content: bytes | Region,
        signatures: Sequence[bytes],
        rings: Sequence[PgpKeyring],
        at: datetime,
        repair: Callable[[bytes], bytes] | None = None,
    ) -> bytes | Region:
        """Hold the signatures against the content; return it in the form that was signed.

        ``repair`` gives the form with CRLF, which is what was signed if all is well
        (RFC 3156 §5). A signature that fits the other line ends alone is a loose one:
        others, who put CRLF back first, take it for bad.
        """
        self.notes = _about(rings)
        fixed = _repaired(content, repair)
        forms: list[tuple[bytes | Region, tuple[Note, ...]]] = [(content, ())]
        if fixed is not None:
            forms.insert(0, (fixed, (_LINE_ENDS,)))
        used = content
        for one in signatures:
            notes: tuple[Note, ...] = ()
            for form, changed in forms:
                facts, known = _first_answer(form, one, rings, at)
                if facts.state == "holds":
                    used, notes = form, changed
                    facts = replace(facts, loose=facts.loose or form is not forms[0][0])
                if facts.state != "bad":
                    break
            named = known.addresses_of(facts.primary or facts.key) if known is not None else ()
            key = known.facts_of(facts.primary) if known is not None else None
            self.checks.append(_Check(facts, key, named, notes))
        return used

    def take_checked(self, checked: Sequence[SignatureFacts], rings: Sequence[PgpKeyring]) -> None:
        """Take what the engine found while it opened."""
        for facts in checked:
            found = (ring.addresses_of(facts.primary or facts.key) for ring in rings)
            keys = (ring.facts_of(facts.primary) for ring in rings)
            key = next((one for one in keys if one is not None), None)
            self.checks.append(_Check(facts, key, next((one for one in found if one), ())))

    def judged(
        self,
        trusts: Sequence[Trust],
        sender: str | None,
        reason: str,
        at: datetime,
        policy: Policy,
    ) -> Layer:
        """Ask who vouches for the signers, and say it of each signature."""
        return Layer(
            "signed",
            self.form,
            signatures=tuple(
                _signature_check(one, _judged(one, trusts, sender, reason, at, policy), at)
                for one in self.checks
            ),
            covers="sealed form" if self.sealed_form else "content",
            notes=self.notes,
        )


def _repaired(
    content: bytes | Region, repair: Callable[[bytes], bytes] | None
) -> bytes | Region | None:
    """Return the content with CRLF; None if it has them, or is to stay as it is."""
    if repair is None:
        return None
    if isinstance(content, bytes):
        fixed = repair(content) if b"\n" in content else content
        return fixed if fixed != content else None
    from smime.formats.spooled import keep

    # It only ever grows.
    grown = sum(map(len, content.crlf())) != content.size
    return keep(content.crlf()) if grown else None


def signatures_of(wrapped: Wrapped) -> tuple[bytes, ...]:
    """Return the signature packets of a signed layer. Raises ``MalformedMail``."""
    from smime.pgp.packets import read_signatures

    if wrapped.problem is not None:
        raise wrapped.problem
    blob = wrapped.blob
    return read_signatures(blob if isinstance(blob, bytes) else blob[:])


def _first_answer(
    content: bytes | Region, signature: bytes, rings: Sequence[PgpKeyring], at: datetime
) -> tuple[SignatureFacts, PgpKeyring | None]:
    """Ask the keyrings in turn; the first that has the key answers."""
    from smime.pgp.backend import SignatureFacts

    facts = SignatureFacts("no-key", reason="no OpenPGP keyring was given to check it with")
    # gpg takes what was made later than now for broken; the moment judged may be later.
    later = at if (at - moment(None)).total_seconds() > 60 else None
    for ring in rings:
        (facts,) = ring.engine.check(content, (signature,), at=later)
        if facts.state != "no-key":
            return facts, ring
    return facts, None


def _about(rings: Sequence[PgpKeyring]) -> tuple[Note, ...]:
    """Say that an engine has known faults."""
    for ring in rings:
        if not ring.version:
            continue
        major, minor, patch = (int(part) for part in ring.version.split("."))
        if (major, minor, patch) < SOUND.get((major, minor), SOUND_SINCE):
            text = (
                f"GnuPG {ring.version} has known faults (CVE-2025-68973 and others), unless its "
                "distributor mended them"
            )
            return (Note("engine-old", text),)
    return ()


def text_notes(entity: Entity) -> list[Note]:
    """Say that a text holds a block of armour that does not count."""
    from smime.formats.pgpinline import holds_block

    if not holds_block(entity):
        return []
    text = "the text holds an OpenPGP block that is not all of it, and says nothing of the mail"
    return [Note("inline-part", text)]


def _judged(
    check: _Check,
    trusts: Sequence[Trust],
    sender: str | None,
    reason: str,
    at: datetime,
    policy: Policy,
) -> Judgement | None:
    """Return the best answer of those who know OpenPGP keys; None where nobody need be asked."""
    facts = check.facts
    if facts.state != "holds":
        return None
    from smime.protocols import Judgement, PgpClaim

    claim = PgpClaim(facts, sender, at, sender_reason=reason, policy=policy, key=check.key)
    answers: list[Judgement] = []
    for one in trusts:
        ask = getattr(one, "judge_openpgp", None)
        if ask is None:
            continue
        answer: Judgement = ask(claim)
        if answer.good:
            return answer
        answers.append(answer)
    if answers:
        return next((one for one in answers if one.path.answer is Answer.YES), answers[0])
    text = "no trust was given that vouches for OpenPGP keys"
    path = Finding.open("no-trust", text, "RFC 9580 §12")
    return Judgement(path, _NOT_REACHED, _NOT_REACHED, _NOT_REACHED, _NOT_REACHED)


def _signature_check(check: _Check, judgement: Judgement | None, at: datetime) -> SignatureCheck:
    facts, named = check.facts, check.named
    intact, genuine = _mathematics(facts)
    name = facts.primary or facts.key
    return SignatureCheck(
        signer=", ".join(named) or name or "an OpenPGP key that is not named",
        intact=intact,
        genuine=genuine,
        path=judgement.path if judgement else _NOT_REACHED,
        revocation=judgement.revocation if judgement else _NOT_REACHED,
        usage=judgement.usage if judgement else _NOT_REACHED,
        address=judgement.address if judgement else _NOT_REACHED,
        time=judgement.time if judgement else _NOT_REACHED,
        at=at,
        signed_at=facts.created,
        digest_algorithm=facts.digest,
        fingerprint=name,
        notes=check.notes,
        addresses=named,
    )


def _mathematics(facts: SignatureFacts) -> tuple[Finding, Finding]:
    if facts.state == "holds":
        return _INTACT, _GENUINE
    if facts.state == "bad":
        return Finding.no("digest-differs", facts.reason, _RULE), _NOT_REACHED
    open_ = Finding.open("not-checked", "the content was not checked", _RULE)
    if facts.state == "no-key":
        return open_, Finding.open("no-certificate", facts.reason, _RULE)
    if facts.state == "unsupported":
        return open_, Finding.open("not-supported", facts.reason, _RULE)
    return open_, Finding.no("signature-wrong", facts.reason, _RULE)
