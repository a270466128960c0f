"""OpenPGP in a mail, and mail in OpenPGP: multipart/signed and multipart/encrypted.

``wrap_signed`` and ``wrap_sealed`` write the two forms, ``recognise`` says which
one an entity has. Between them and the engine: ``sign`` and ``seal`` on the way
out, ``SignedLayer`` and ``open_sealed`` on the way in.

Floor:  formats (uses pgp, keys, mime, report)
Source: RFC 3156 §4 encrypted, §5 signed, §6.2 both in one; RFC 1847
"""

from __future__ import annotations

import os

from smime.errors import DecryptionFailed, KeyProblem, MalformedMail, SmimeError
from smime.keys.address import same_address
from smime.mime.addresses import addresses
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, cut, split_signed
from smime.policy import moment
from smime.report import Answer, Finding, Layer, Note, SignatureCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from typing import Any

    from smime.mime.entity import Entity
    from smime.pgp import PgpKey, PgpKeyring
    from smime.pgp.backend import Decrypted, SignatureFacts
    from smime.policy import Policy
    from smime.protocols import Judgement, Trust

__all__ = [
    "Opener",
    "SignedLayer",
    "Wrapped",
    "blind_readers",
    "keys_apart",
    "open_sealed",
    "opened_layer",
    "recognise",
    "rings_of",
    "seal",
    "sealed_layer",
    "sign",
    "signatures_of",
    "wrap_sealed",
    "wrap_signed",
]

MAX_NAMED = 100  # readers of a layer that a report names; a mailing can have thousands
# Of the two branches that are kept, the first without the faults of December 2025.
SOUND = {(2, 2): (2, 2, 51), (2, 4): (2, 4, 9)}
SOUND_SINCE = (2, 5, 16)

_SIGNATURE = "application/pgp-signature"
_ENCRYPTED = "application/pgp-encrypted"
_VERSION = b"Version: 1"
_RULE = "RFC 9580 §5.2.4"
_NOT_REACHED = Finding.open(
    "not-reached", "not asked, since the signature itself does not hold", _RULE
)
_INTACT = Finding.yes("the content is what was signed", _RULE)
_GENUINE = Finding.yes("the signature was made with the signer's key", _RULE)
_LINE_ENDS = Note("line-ends", "the line ends were changed on the way and put back to CRLF")


class Wrapped:
    """An OpenPGP layer as it stands in a mail.

    ``blob`` is the OpenPGP data, armoured or not; ``content`` the exact bytes that
    a signature is over, and None for an encrypted layer.
    """

    __slots__ = ("blob", "content", "form", "problem")

    def __init__(
        self,
        form: str,
        blob: bytes = b"",
        content: bytes | None = None,
        problem: MalformedMail | None = None,
    ) -> None:
        self.form = form
        self.blob = blob
        self.content = content
        self.problem = problem
        """Why the OpenPGP data could not be got out of the mail, if so."""


# --- the forms ----------------------------------------------------------------


def recognise(entity: Entity) -> Wrapped | None:
    """Return the OpenPGP layer at the root of an entity, or None if there is none.

    Raises ``MalformedMail`` where the entity says that it is one and is not.
    """
    kind = entity.content_type.value
    protocol = entity.content_type.params.get("protocol", "").strip().lower()
    if kind == "multipart/signed" and protocol in ("", _SIGNATURE):
        return _recognise_signed(entity, protocol)
    if kind == "multipart/encrypted" and protocol in ("", _ENCRYPTED):
        return _recognise_sealed(entity, protocol)
    return None


def _recognise_signed(entity: Entity, protocol: str) -> Wrapped | None:
    content, signature = split_signed(entity)
    if signature.content_type.value != _SIGNATURE:
        if not protocol:
            return None
        found = signature.content_type.value
        problem = MalformedMail(f"the signature of a multipart/signed is labelled {found}")
        return Wrapped("multipart/signed", content=content, problem=problem)
    try:
        return Wrapped("multipart/signed", signature.decoded(), content)
    except MalformedMail as broken:
        return Wrapped("multipart/signed", content=content, problem=broken)


def _recognise_sealed(entity: Entity, protocol: str) -> Wrapped | None:
    spans = cut(body := entity.body, boundary_of(entity)).spans
    parts = [split_entity(body[start:end]) for start, end in spans[:2] if end > start]
    if not protocol and (not parts or parts[0].content_type.value != _ENCRYPTED):
        return None
    if len(spans) != 2 or len(parts) != 2 or parts[0].content_type.value != _ENCRYPTED:
        raise MalformedMail("a multipart/encrypted has two parts, a version and the content")
    if _VERSION not in parts[0].body:
        raise MalformedMail("the multipart/encrypted is of no version that is known")
    return Wrapped("multipart/encrypted", parts[1].decoded())


def wrap_signed(inner: bytes, signature: bytes, micalg: str, outer: bytes = b"") -> bytes:
    """Return a mail in the form multipart/signed (RFC 3156 §5).

    ``inner`` is the entity exactly as it was signed, ``signature`` the armour,
    ``outer`` the message's own header fields.
    """
    boundary = _boundary()
    return b"".join(
        (
            outer,
            b"MIME-Version: 1.0\r\n"
            b'Content-Type: multipart/signed; protocol="application/pgp-signature";\r\n'
            b' micalg="',
            micalg.encode("ascii"),
            b'"; boundary="',
            boundary,
            b'"\r\n\r\n',
            b"This is a signed mail in OpenPGP form (RFC 3156).\r\n",
            b"\r\n--",
            boundary,
            b"\r\n",
            inner,
            b"\r\n--",
            boundary,
            b"\r\n"
            b'Content-Type: application/pgp-signature; name="signature.asc"\r\n'
            b'Content-Disposition: attachment; filename="signature.asc"\r\n'
            b"Content-Description: OpenPGP digital signature\r\n"
            b"\r\n",
            signature,
            b"\r\n--",
            boundary,
            b"--\r\n",
        )
    )


def wrap_sealed(message: bytes, outer: bytes = b"") -> bytes:
    """Return a mail in the form multipart/encrypted (RFC 3156 §4); ``message`` is the armour."""
    boundary = _boundary()
    return b"".join(
        (
            outer,
            b"MIME-Version: 1.0\r\n"
            b'Content-Type: multipart/encrypted; protocol="application/pgp-encrypted";\r\n'
            b' boundary="',
            boundary,
            b'"\r\n\r\n',
            b"This is an encrypted mail in OpenPGP form (RFC 3156).\r\n",
            b"\r\n--",
            boundary,
            b"\r\nContent-Type: application/pgp-encrypted\r\n"
            b"Content-Description: PGP/MIME version identification\r\n"
            b"\r\nVersion: 1\r\n"
            b"\r\n--",
            boundary,
            b"\r\n"
            b'Content-Type: application/octet-stream; name="encrypted.asc"\r\n'
            b'Content-Disposition: inline; filename="encrypted.asc"\r\n'
            b"Content-Description: OpenPGP encrypted message\r\n"
            b"\r\n",
            message,
            b"\r\n--",
            boundary,
            b"--\r\n",
        )
    )


def _boundary() -> bytes:
    # 128 bits drawn after the content was settled: it cannot hold them.
    return b"pgp-" + os.urandom(16).hex().encode()


# --- out ----------------------------------------------------------------------


def keys_apart(given: Any) -> tuple[tuple[PgpKey, ...], Any]:
    """Return the OpenPGP keys in what ``by=``, ``to=`` or ``keys=`` was given, and the rest.

    The rest is as it was given where no OpenPGP key is in it.
    """
    if _is_openpgp(given):
        return (given,), ()
    if isinstance(given, str | bytes | bytearray | memoryview) or not hasattr(given, "__iter__"):
        return (), given
    several = tuple(given)
    found = tuple(one for one in several if _is_openpgp(one))
    if not found:
        return (), several if several or not isinstance(given, list | tuple) else given
    return found, tuple(one for one in several if not _is_openpgp(one))


def _is_openpgp(given: object) -> bool:
    return getattr(given, "is_openpgp", False) is True


def sign(
    inner: bytes, key: PgpKey, policy: Policy, at: datetime | None, outer: bytes = b""
) -> bytes:
    """Return a signed mail (RFC 3156 §5), the entity ``inner`` signed as it is."""
    key.check_signs(moment(at), policy)
    made = key.keyring.engine.sign(
        inner, key.fingerprint, passphrase=key.passphrase(), digest=_digest(policy), at=at
    )
    return wrap_signed(inner, made.signature, f"pgp-{made.digest}", outer)


def seal(
    inner: bytes,
    readers: Sequence[PgpKey],
    policy: Policy,
    *,
    blind: Sequence[str] = (),
    signer: PgpKey | None = None,
    at: datetime | None = None,
    outer: bytes = b"",
) -> bytes:
    """Return an encrypted mail (RFC 3156 §4), signed inside by ``signer`` (§6.2).

    Readers with an address in ``blind`` are not named in it.
    """
    when = moment(at)
    _check_readers(readers, when, policy)
    if signer is not None:
        signer.check_signs(when, policy)
    ring = signer.keyring if signer is not None else readers[0].keyring
    strangers = [one for one in readers if one.keyring is not ring]
    if strangers:
        raise KeyProblem(
            f"{strangers[0]!r} is in another keyring, and GnuPG works with one at a time",
            hint="bring it in: keyring.add(other.export(key))",
        )
    hidden = [one for one in readers if _meets(one.addresses, blind)]
    made = ring.engine.encrypt(
        inner,
        list(dict.fromkeys(one.fingerprint for one in readers if one not in hidden)),
        hidden=list(dict.fromkeys(one.fingerprint for one in hidden)),
        sign_with=signer.fingerprint if signer is not None else "",
        passphrase=signer.passphrase() if signer is not None else None,
        cipher=_cipher(policy),
        digest=_digest(policy) if signer is not None else "",
        at=at if signer is not None else None,
    )
    return wrap_sealed(made.message, outer)


def blind_readers(entity: Entity) -> tuple[str, ...]:
    """Return the addresses of Bcc that stand nowhere else."""
    if not any(field.key == "bcc" for field in entity.fields):
        return ()
    named = [*addresses(entity, "to"), *addresses(entity, "cc"), *addresses(entity, "from")]
    return tuple(one for one in addresses(entity, "bcc") if not _meets([one], named))


def _meets(some: Iterable[str], others: Sequence[str]) -> bool:
    return any(same_address(one, other) for one in some for other in others)


def _check_readers(readers: Sequence[PgpKey], at: datetime, policy: Policy) -> None:
    """Raise ``KeyProblem`` that names all who cannot be written to."""
    problems: list[KeyProblem] = []
    for one in readers:
        try:
            one.check_reads(at, policy)
        except KeyProblem as problem:
            problems.append(problem)
    if problems:
        missing = tuple(address for one in problems for address in one.missing)
        raise KeyProblem("; ".join(map(str, problems)), missing=missing)


def _digest(policy: Policy) -> str:
    return "" if policy.digest == "auto" else policy.digest


def _cipher(policy: Policy) -> str:
    # The mode is OpenPGP's own; of what the policy names, the size of the key counts.
    return "aes-256" if policy.cipher == "auto" else policy.cipher[:7]


# --- in -----------------------------------------------------------------------


class Opener:
    """Whose key opened a layer; ``label`` is its addresses."""

    __slots__ = ("label",)

    def __init__(self, label: str) -> None:
        self.label = label


def rings_of(trusts: Iterable[Trust], keys: Iterable[PgpKey]) -> tuple[PgpKeyring, ...]:
    """Return the keyrings in which the keys of signers are looked for, each once."""
    found: list[Any] = [one for one in trusts if hasattr(one, "judge_openpgp")]
    found += [one.keyring for one in keys]
    return tuple({id(one): one for one in found if hasattr(one, "engine")}.values())


def open_sealed(wrapped: Wrapped, keys: Sequence[PgpKey]) -> tuple[Decrypted, Opener]:
    """Open an encrypted layer with one of these keys.

    Raises ``DecryptionFailed``, ``KeyProblem`` for a locked key, ``MalformedMail``,
    ``NotSupported`` and ``LimitExceeded``; no plaintext leaves then.
    """
    from smime.pgp.packets import read_sealed

    sealed = read_sealed(wrapped.blob)
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
        except (DecryptionFailed, KeyProblem) as problem:
            failed = problem if failed is None or isinstance(problem, KeyProblem) else failed
            continue
        by = next(one for one in mine if one.fingerprint == message.opened_by)
        return message, Opener(", ".join(by.addresses))
    assert failed is not None
    raise failed


def sealed_layer(wrapped: Wrapped) -> Layer:
    """Describe a layer that did not open, as far as it can be read."""
    from smime.pgp.packets import read_sealed

    try:
        named = read_sealed(wrapped.blob).recipients[:MAX_NAMED]
    except SmimeError:
        named = ()
    return Layer("encrypted", wrapped.form, algorithm="OpenPGP", recipients=named, opened=False)


def opened_layer(wrapped: Wrapped, message: Decrypted, by: Opener, keys: Sequence[PgpKey]) -> Layer:
    """Describe a layer that was opened; it was whole and unchanged."""
    from smime.pgp.packets import read_sealed

    return Layer(
        "encrypted",
        wrapped.form,
        algorithm=message.cipher,
        authenticated=True,
        opened_by=by.label,
        recipients=read_sealed(wrapped.blob).recipients[:MAX_NAMED],
        notes=_about([one.keyring for one in keys]),
    )


class SignedLayer:
    """A signed layer taken off, before anybody was asked about trust."""

    __slots__ = ("checks", "form", "notes", "sealed_form")

    def __init__(self, form: str) -> None:
        self.form = form
        self.checks: list[tuple[SignatureFacts, tuple[str, ...], tuple[Note, ...]]] = []
        self.sealed_form = False
        self.notes: tuple[Note, ...] = ()

    def check(
        self,
        content: bytes,
        signatures: Sequence[bytes],
        rings: Sequence[PgpKeyring],
        at: datetime,
        repair: Callable[[bytes], bytes] | None = None,
    ) -> bytes:
        """Hold the signatures against the content; return it in the form that was signed.

        ``repair`` gives the form with CRLF, tried where a signature does not fit.
        """
        self.notes = _about(rings)
        fixed = repair(content) if repair is not None and b"\n" in content else content
        forms: list[tuple[bytes, tuple[Note, ...]]] = [(content, ())]
        if fixed != content:
            forms.append((fixed, (_LINE_ENDS,)))
        used = content
        for one in signatures:
            notes: tuple[Note, ...] = ()
            for form, changed in forms:
                facts, known = _first_answer(form, one, rings, at)
                if facts.state == "holds":
                    used, notes = form, changed
                if facts.state != "bad":
                    break
            named = known.addresses_of(facts.primary or facts.key) if known is not None else ()
            self.checks.append((facts, named, notes))
        return used

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
                _signature_check(
                    facts, named, notes, _judged(facts, trusts, sender, reason, at, policy), at
                )
                for facts, named, notes in self.checks
            ),
            covers="sealed form" if self.sealed_form else "content",
            notes=self.notes,
        )


def signatures_of(wrapped: Wrapped) -> tuple[bytes, ...]:
    """Return the signature packets of a signed layer. Raises ``MalformedMail``."""
    from smime.pgp.packets import read_signatures

    if wrapped.problem is not None:
        raise wrapped.problem
    return read_signatures(wrapped.blob)


def _first_answer(
    content: bytes, signature: bytes, rings: Sequence[PgpKeyring], at: datetime
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
        major, minor, patch = (int(part) for part in ring.version.split("."))
        if (major, minor, patch) < SOUND.get((major, minor), SOUND_SINCE):
            text = (
                f"GnuPG {ring.version} has known faults (CVE-2025-68973 and others), unless its "
                "distributor mended them"
            )
            return (Note("engine-old", text),)
    return ()


def _judged(
    facts: SignatureFacts,
    trusts: Sequence[Trust],
    sender: str | None,
    reason: str,
    at: datetime,
    policy: Policy,
) -> Judgement | None:
    """Return the best answer of those who know OpenPGP keys; None where nobody need be asked."""
    if facts.state != "holds":
        return None
    from smime.protocols import Judgement, PgpClaim

    claim = PgpClaim(facts, sender, at, sender_reason=reason, policy=policy)
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


def _signature_check(
    facts: SignatureFacts,
    named: tuple[str, ...],
    notes: tuple[Note, ...],
    judgement: Judgement | None,
    at: datetime,
) -> SignatureCheck:
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
        notes=notes,
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
