"""Outgoing mail: content goes in, protected mail comes out.

What is given as ``by=`` and ``to=`` says in which form: certificates make S/MIME,
OpenPGP keys make PGP/MIME.

Floor:  outgoing (uses formats, keys, mime, cms)
Source: RFC 8551 §3.4, §3.5; RFC 3156; RFC 9788 for the headers
"""

from __future__ import annotations

from smime.cms import enveloped, signed
from smime.errors import KeyProblem
from smime.formats import pgpmime as pgp
from smime.formats import smime as form
from smime.keys.choice import chosen, refuse_strangers
from smime.keys.roles import recipients_of, signers_of
from smime.mail import Mail, write_out
from smime.mime.entity import split_entity
from smime.mime.headers import addresses, divide
from smime.policy import MODERN, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from smime.keys import Addressee, Identity, Recipient, Sender
    from smime.mail import Out, Source
    from smime.mime.entity import Entity
    from smime.pgp import PgpKey
    from smime.policy import Policy

__all__ = ["encrypt", "protect", "protect_each", "sign"]

_WRAPPERS = ("multipart/signed", "multipart/encrypted", *form.PKCS7_MIME)


def sign(
    mail: Source,
    *,
    by: Sender | Sequence[Sender],
    opaque: bool = False,
    policy: Policy = MODERN,
    at: datetime | None = None,
    out: Out | None = None,
) -> Mail:
    """Sign a whole mail; its headers stay outside and a copy of them goes inside.

    ``by`` is an ``Identity`` or several, of which each signs. The result is
    multipart/signed, which everybody can read, or with ``opaque=True``
    application/pkcs7-mime, which survives gateways that change mail. The
    content is brought into canonical form first (CRLF, 7 bits), unless the
    policy says ``line_ends="exact"``. ``at`` is the signing time. With ``out``
    the mail is also written to a path (renamed when whole) or a binary file.
    One ``PgpKey`` signs in the form of OpenPGP, which has no opaque one here.

    Raises ``KeyProblem`` for a certificate that is expired or must not sign,
    ``MalformedMail`` for what is not a mail, ``OSError`` from the file system.
    """
    source = mail if isinstance(mail, Mail) else Mail(mail)
    openpgp, others = _apart(by, "by")
    signers = () if openpgp else signers_of(others)
    when = moment(at)
    entity = split_entity(bytes(source))
    outer, inner, _ = _divide(entity, policy, "clear")
    if openpgp:
        if opaque:
            raise TypeError("an OpenPGP key signs in the open: leave opaque=True out")
        return _made(source, pgp.sign(inner, _only(openpgp), policy, at, outer), out)
    return _made(source, _sign(inner, signers, opaque, policy, when, outer), out)


def encrypt(
    mail: Source,
    *,
    to: Addressee | Iterable[Addressee],
    policy: Policy = MODERN,
    out: Out | None = None,
) -> Mail:
    """Seal a whole mail for its readers; nobody can tell who wrote it: prefer ``protect()``.

    ``to`` is a ``Recipient`` or several; of several certificates for one
    address the newest that is valid and fit is taken. The subject goes inside and is
    replaced outside by ``[...]`` (RFC 9788), unless the policy says
    ``headers="none"`` or the mail is signed already. The content cipher is
    AES-256-CBC unless every reader is known to read AES-GCM; CBC does not show
    whether the content was changed on the way.

    A ``PgpKey`` or several, all of one keyring, seal in the form of OpenPGP: its
    content shows whether it was changed, and Bcc readers are not named in it.

    Raises ``KeyProblem`` for readers whose certificates are expired or must not
    be written to (``missing`` lists their addresses), and when a Bcc reader is
    among ``to``: a sealed mail names all its readers. With the policy
    ``readers="named"`` also when To, Cc and ``to`` do not name the same people.
    ``MalformedMail``, ``LimitExceeded`` and ``OSError`` as ``sign``.
    """
    source = mail if isinstance(mail, Mail) else Mail(mail)
    openpgp, rest = _apart(to, "to")
    readers = () if openpgp else recipients_of(rest)
    entity = split_entity(bytes(source))
    _refuse_bcc(entity, readers)
    if policy.readers == "named":
        refuse_strangers(openpgp or readers, source.recipients)
    _, inner, sealed_outer = _divide(entity, policy, "cipher", travels=False)
    if openpgp:
        blind = pgp.blind_readers(entity)
        return _made(source, pgp.seal(inner, openpgp, policy, blind=blind, outer=sealed_outer), out)
    return _made(source, _seal(inner, readers, policy, None, sealed_outer), out)


def protect(
    mail: Source,
    *,
    by: Sender,
    to: Addressee | Iterable[Addressee],
    to_self: bool = True,
    policy: Policy = MODERN,
    at: datetime | None = None,
    out: Out | None = None,
) -> Mail:
    """Sign, then encrypt, the headers inside (RFC 9788), readable by the sender too.

    The arguments are those of ``sign`` and ``encrypt``; ``to_self=False`` leaves
    the sender out of the readers. Raises what they raise.
    """
    source = mail if isinstance(mail, Mail) else Mail(mail)
    keys, _ = _apart(by, "by")
    if keys:
        return _protect_openpgp(source, _only(keys), to, to_self, policy, at, out)
    (signer,) = _one(by)
    others = recipients_of(_certified(to))
    readers = _with_self(others, signer, to_self)
    entity = split_entity(bytes(source))
    _refuse_bcc(entity, readers)
    if policy.readers == "named":
        refuse_strangers(others, source.recipients, also=signer.addresses)
    when = moment(at)
    _, inner, sealed_outer = _divide(entity, policy, "cipher")
    signed_inner = _sign(inner, (signer,), False, policy, when)
    return _made(source, _seal(signed_inner, readers, policy, when, sealed_outer), out)


def protect_each(
    mail: Source,
    *,
    by: Sender,
    to: Iterable[Addressee],
    to_self: bool = True,
    policy: Policy = MODERN,
    at: datetime | None = None,
) -> Iterator[Mail]:
    """Sign once and seal one copy per reader, so that none learns of another.

    For Bcc and newsletters. ``to`` may be any iterable and is read one by one;
    each copy's ``recipients`` are the addresses of its one reader's certificate,
    and each copy is sealed with a content key of its own. Raises what
    ``protect`` raises, for a reader when its copy is due.
    """
    source = mail if isinstance(mail, Mail) else Mail(mail)
    keys, _ = _apart(by, "by")
    if keys:
        return _openpgp_copies(source, _only(keys), to, to_self, policy, at)
    (signer,) = _one(by)
    when = moment(at)
    _, inner, sealed_outer = _divide(split_entity(bytes(source)), policy, "cipher")
    signed_inner = _sign(inner, (signer,), False, policy, when)

    def copies() -> Iterator[Mail]:
        for one in to:
            (reader,) = recipients_of(_certified(one))
            readers = _with_self((reader,), signer, to_self)
            yield Mail._made(
                _seal(signed_inner, readers, policy, when, sealed_outer),
                recipients=reader.addresses,
            )

    return copies()


def _protect_openpgp(
    source: Mail,
    signer: PgpKey,
    to: Addressee | Iterable[Addressee],
    to_self: bool,
    policy: Policy,
    at: datetime | None,
    out: Out | None,
) -> Mail:
    """Sign and seal in one message (RFC 3156 §6.2)."""
    others = _openpgp_readers(to)
    entity = split_entity(bytes(source))
    if policy.readers == "named":
        refuse_strangers(others, source.recipients, also=signer.addresses)
    readers = (*others, signer) if to_self else others
    _, inner, sealed_outer = _divide(entity, policy, "cipher")
    sealed = pgp.seal(
        inner,
        readers,
        policy,
        blind=pgp.blind_readers(entity),
        signer=signer,
        at=at,
        outer=sealed_outer,
    )
    return _made(source, sealed, out)


def _openpgp_copies(
    source: Mail,
    signer: PgpKey,
    to: Iterable[Addressee],
    to_self: bool,
    policy: Policy,
    at: datetime | None,
) -> Iterator[Mail]:
    """Sign once, and seal what was signed for one reader after the other (RFC 3156 §6.1)."""
    _, inner, sealed_outer = _divide(split_entity(bytes(source)), policy, "cipher")
    signed_inner = pgp.sign(inner, signer, policy, at)

    def copies() -> Iterator[Mail]:
        for one in to:
            (reader,) = _openpgp_readers(one)
            readers = (reader, signer) if to_self else (reader,)
            yield Mail._made(
                pgp.seal(signed_inner, readers, policy, outer=sealed_outer),
                recipients=reader.addresses,
            )

    return copies()


def _apart(given: Any, name: str) -> tuple[tuple[PgpKey, ...], Any]:
    """Return OpenPGP keys or what else was given; a mail has one form, so never both."""
    keys, others = pgp.keys_apart(given)
    if keys and others:
        raise TypeError(
            f"{name}= holds OpenPGP keys and certificates: a mail has one form, call once for each"
        )
    return keys, others


def _only(keys: tuple[PgpKey, ...]) -> PgpKey:
    if len(keys) != 1:
        raise TypeError("one OpenPGP key signs a mail: by=alice, not by=[alice, bob]")
    return keys[0]


def _openpgp_readers(to: Addressee | Iterable[Addressee]) -> tuple[PgpKey, ...]:
    keys, others = _apart(to, "to")
    if not keys:
        recipients_of(others)  # says what is wrong with what is no reader at all
        raise TypeError("by= is an OpenPGP key and to= holds certificates: a mail has one form")
    return keys


def _certified(to: Any) -> Any:
    """Return the readers of S/MIME mail; raises ``TypeError`` for OpenPGP keys."""
    keys, others = _apart(to, "to")
    if keys:
        raise TypeError("by= has a certificate and to= holds OpenPGP keys: a mail has one form")
    return others


def _one(by: Sender) -> tuple[Identity, ...]:
    signers = signers_of(by)
    if len(signers) != 1:
        raise TypeError("protect takes one signer: for several, smime.encrypt(smime.sign(...))")
    return signers


def _with_self(
    readers: tuple[Recipient, ...], signer: Identity, to_self: bool
) -> tuple[Recipient, ...]:
    if not to_self or any(one.certificate == signer.recipient.certificate for one in readers):
        return readers
    if not signer.recipient.fitness.reads:
        raise KeyProblem(
            f"{signer!r} signs and cannot be written to, so the sender could not read this mail",
            hint="leave the sender out with to_self=False, or load the encryption key as well",
        )
    return (*readers, signer.recipient)


def _divide(
    entity: Entity, policy: Policy, mode: str, *, travels: bool = True
) -> tuple[bytes, bytes, bytes]:
    """Return (fields outside, entity to protect, fields outside when it is sealed)."""
    if policy.headers == "none":
        if policy.line_ends == "exact" and all(
            f.key.startswith("content-") or f.key == "mime-version" for f in entity.fields
        ):
            return b"", entity.raw, b""  # AS2: protected octet by octet (RFC 4130 §5.2)
        mode = "none"
    elif mode == "cipher" and _is_wrapped(entity):
        mode = "none"  # protected already: what is inside says what it protects
    divided = divide(
        entity,
        mode=mode,
        travels=travels,
        shy=policy.headers == "shy",
        hidden=policy.hidden,
        legacy=policy.legacy_display,
    )
    return divided.outer, divided.inner, divided.sealed_outer if mode == "cipher" else divided.outer


def _is_wrapped(entity: Entity) -> bool:
    return (entity.get("content-type") or "").lower().startswith(_WRAPPERS)


def _sign(
    inner: bytes,
    signers: Sequence[Identity],
    opaque: bool,
    policy: Policy,
    when: datetime,
    outer: bytes = b"",
) -> bytes:
    for one in signers:
        one.check_signs(when, policy)
    keys = [one.signing_key for one in signers]
    blob, digests = signed.build(
        inner,
        keys,
        detached=not opaque,
        at=when,
        policy=policy,
        signed_attributes=(*_preference(signers), *_receipt_request(policy)),
    )
    if opaque:
        return form.wrap_sealed(blob, "signedData", outer)
    return form.wrap_signed(inner, blob, policy.micalg_names(digests), outer)


def _preference(signers: Sequence[Identity]) -> tuple[bytes, ...]:
    """Name the certificate to write to, where it is another one than signs (RFC 8551 §2.5.3)."""
    first = signers[0]
    if len(signers) > 1 or first.recipient.certificate is first.certificate:
        return ()
    from cryptography.hazmat.primitives.serialization import Encoding

    from smime.cms.preference import write_preference

    return (write_preference(first.recipient.certificate.public_bytes(Encoding.DER)),)


def _receipt_request(policy: Policy) -> tuple[bytes, ...]:
    if not policy.receipts_to:
        return ()
    from smime.cms.receipt import write_request

    return (write_request(policy.receipts_to),)


def _seal(
    inner: bytes,
    readers: Sequence[Recipient],
    policy: Policy,
    when: datetime | None,
    outer: bytes,
) -> bytes:
    readers = chosen(readers, moment(when), policy)
    cipher = policy.choose_cipher(one.capabilities for one in readers)
    transport = "rsa-oaep" if policy.key_transport == "rsa-oaep" else "rsa-v15"
    unique = {one.recipient_key.identifier: one.recipient_key for one in readers}
    blob = enveloped.build(inner, list(unique.values()), cipher=cipher, transport=transport)
    return form.wrap_sealed(blob, enveloped.kind_of(cipher), outer)


def _refuse_bcc(entity: Entity, readers: Sequence[Recipient]) -> None:
    """Refuse to seal one mail for open and for blind readers: it would name them all."""
    if not any(field.key == "bcc" for field in entity.fields):
        return
    from smime.keys.address import same_address

    named = {*addresses(entity, "to"), *addresses(entity, "cc"), *addresses(entity, "from")}
    for blind in addresses(entity, "bcc"):
        if any(same_address(blind, one) for one in named):
            continue
        if any(same_address(blind, own) for one in readers for own in one.addresses):
            raise KeyProblem(
                f"{blind} is a Bcc reader, and a sealed mail shows all its readers to each of them",
                hint="give Bcc readers their own copies: smime.protect_each(mail, by=..., to=...)",
            )


def _made(source: Mail, data: bytes, out: Out | None) -> Mail:
    if out is not None:
        write_out(out, (data,))
    return source._changed(data)
