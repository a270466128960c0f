"""Outgoing mail: content goes in, protected mail comes out.

What is given as ``by=`` and ``to=`` says in which form: certificates make S/MIME,
OpenPGP keys make PGP/MIME.

Floor:  outgoing (uses formats, keys, mime, cms)
Source: RFC 8551 §3.4, §3.5; RFC 3156; RFC 9788 for the headers
"""

from __future__ import annotations

from smime.choices import cipher_for, derives_for, transport_for, with_sender
from smime.cms import signed
from smime.errors import KeyProblem
from smime.formats import packing
from smime.formats import pgpout as pgp
from smime.formats import smime as form
from smime.formats.attributes import signed_attributes
from smime.formats.dividing import divided, is_exact, mode_of
from smime.formats.large import Large, NotCanonical, Parted
from smime.formats.readers import refuse_bcc, vouching
from smime.keys.choice import chosen, refuse_strangers
from smime.keys.roles import recipients_of, signers_of
from smime.mail import Mail, write_out
from smime.mime.entity import split_entity
from smime.mime.headers import hidden_fields
from smime.policy import MODERN, moment
from smime.release import spool
from smime.release import to as release_to
from smime.sole import sealed as sealed_alone
from smime.sole import signed as signed_alone
from smime.source import Source as Octets

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime

    from smime.cms.recipients import RecipientKey
    from smime.formats.readers import Vouch
    from smime.keys import Addressee, Identity, Recipient, Sender
    from smime.mail import Out, Source
    from smime.mime.entity import Entity, Field
    from smime.pgp import PgpKey
    from smime.policy import Policy
    from smime.protocols import Trusts
    from smime.source import Piece
    from smime.trust import Evidence

__all__ = ["encrypt", "protect", "protect_each", "sign"]


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
    From a file larger than 1 MiB it goes there in pieces, and the result does
    not hold it. One ``PgpKey`` signs in the form of OpenPGP, which has no opaque one here.

    Raises ``KeyProblem`` for a certificate that is expired or must not sign,
    ``MalformedMail`` for what is not a mail, ``OSError`` from the file system.
    """
    if not opaque and out is None:
        alone = signed_alone(mail, by, policy, at)
        if alone is not None:
            return alone
    key, others = pgp.signer_of(by)
    if key is not None:
        if opaque:
            raise TypeError("an OpenPGP key signs in the open: leave opaque=True out")
        return _by_openpgp(mail, policy, "clear", pgp.Signing(key, policy, at), out)
    signers = signers_of(others)
    when = moment(at)

    def small(inner: bytes, outer: bytes, _: bytes) -> bytes:
        return _sign(inner, signers, opaque, policy, when, outer)

    def large(inner: Octets, outer: bytes, _: bytes) -> Iterator[Piece]:
        return _sign_pieces(inner, signers, opaque, policy, when, outer)

    return _protected(mail, policy, "clear", small=small, large=large, out=out)


def encrypt(
    mail: Source,
    *,
    to: Addressee | Iterable[Addressee],
    trust: Trusts | None = None,
    evidence: Evidence | None = None,
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

    With ``trust`` the path and the revocation of each certificate are judged as a
    signer's are, with what ``evidence`` adds; without it, nobody is asked, and
    ``Mail.unverified`` of the result names the readers. Of OpenPGP keys it is asked
    whose they are: of a keyring, or of ``Pinned``.

    A ``PgpKey`` or several, all of one keyring, seal in the form of OpenPGP: its
    content shows whether it was changed, and Bcc readers are not named in it.

    Raises ``KeyProblem`` for readers whose certificates are expired, must not
    be written to or are not to be believed (``missing`` lists their addresses),
    and when a Bcc reader is among ``to``: a sealed mail names all its readers.
    With the policy ``readers="named"`` also when To, Cc and ``to`` do not name the same people.
    ``MalformedMail``, ``LimitExceeded`` and ``OSError`` as ``sign``.
    """
    if trust is None and evidence is None and out is None:
        alone = sealed_alone(mail, to, policy)
        if alone is not None:
            return alone
    keys, rest = pgp.apart(to, "to")
    if keys:
        way = pgp.Sealing(keys, policy, trust=_openpgp_trust(trust, evidence))
        made = _by_openpgp(mail, policy, "cipher", way, out, travels=False)
        return _say_unverified(made, keys, trust)
    readers = recipients_of(rest)
    vouch = vouching(trust, evidence, policy)

    def look(entity: Entity, named: Mail) -> None:
        refuse_bcc(entity, readers)
        if policy.readers == "named":
            refuse_strangers(readers, named.recipients)

    def small(inner: bytes, _: bytes, sealed_outer: bytes) -> bytes:
        return _seal(inner, readers, policy, None, sealed_outer, vouch)

    def large(inner: Octets, _: bytes, sealed_outer: bytes) -> Iterator[Piece]:
        return _seal_pieces(inner, readers, policy, None, sealed_outer, vouch)

    made = _protected(
        mail, policy, "cipher", travels=False, look=look, small=small, large=large, out=out
    )
    return _say_unverified(made, readers, trust)


def protect(
    mail: Source,
    *,
    by: Sender,
    to: Addressee | Iterable[Addressee],
    to_self: bool = True,
    trust: Trusts | None = None,
    evidence: Evidence | None = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
    out: Out | None = None,
) -> Mail:
    """Sign, then encrypt, the headers inside (RFC 9788), readable by the sender too.

    The arguments are those of ``sign`` and ``encrypt``; ``to_self=False`` leaves
    the sender out of the readers. Raises what they raise.
    """
    key, certified = pgp.signer_of(by)
    if key is not None:
        asked = _openpgp_trust(trust, evidence)
        keys = pgp.openpgp_readers(to)
        way = pgp.Sealing(keys, policy, signer=key, to_self=to_self, at=at, trust=asked)
        made = _by_openpgp(mail, policy, "cipher", way, out)
        return _say_unverified(made, keys, trust)
    (signer,) = _one(certified)
    others = recipients_of(pgp.certified(to))
    readers = _with_self(others, signer, to_self)
    when = moment(at)
    vouch = vouching(trust, evidence, policy, signer.recipient)

    def look(entity: Entity, named: Mail) -> None:
        refuse_bcc(entity, readers)
        if policy.readers == "named":
            refuse_strangers(others, named.recipients, also=signer.addresses)

    def small(inner: bytes, _: bytes, sealed_outer: bytes) -> bytes:
        signed_inner = _sign(inner, (signer,), False, policy, when)
        return _seal(signed_inner, readers, policy, when, sealed_outer, vouch)

    def large(inner: Octets, _: bytes, sealed_outer: bytes) -> Iterator[Piece]:
        # The length of what is signed is to be known before it is sealed (DER),
        # so it waits in an unlinked file.
        with spool() as waiting:
            for piece in _sign_pieces(inner, (signer,), False, policy, when, b""):
                waiting.write(piece)
            waiting.seek(0)
            signed_inner = Octets(waiting, "the signed mail")
            yield from _seal_pieces(signed_inner, readers, policy, when, sealed_outer, vouch)

    made = _protected(mail, policy, "cipher", look=look, small=small, large=large, out=out)
    return _say_unverified(made, others, trust)


def protect_each(
    mail: Source,
    *,
    by: Sender,
    to: Iterable[Addressee],
    to_self: bool = True,
    trust: Trusts | None = None,
    evidence: Evidence | None = None,
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
    key, certified = pgp.signer_of(by)
    inner, _, sealed_outer = divided(split_entity(bytes(source)), policy, "cipher")
    if key is not None:
        packing.refuse(policy)
        asked = _openpgp_trust(trust, evidence)
        return pgp.copies(inner, sealed_outer, key, to, to_self, policy, at, asked)
    (signer,) = _one(certified)
    when = moment(at)
    signed_inner = _sign(packing.small(inner, policy), (signer,), False, policy, when)
    vouch = vouching(trust, evidence, policy, signer.recipient)

    def copies() -> Iterator[Mail]:
        for one in to:
            (reader,) = recipients_of(pgp.certified(one))
            readers = _with_self((reader,), signer, to_self)
            made = Mail._made(
                _seal(signed_inner, readers, policy, when, sealed_outer, vouch),
                recipients=reader.addresses,
            )
            yield _say_unverified(made, (reader,), trust)

    return copies()


def _openpgp_trust(trust: Trusts | None, evidence: Evidence | None) -> Trusts | None:
    if evidence is not None:
        raise TypeError("evidence= is for certificates: OpenPGP keys bring theirs along")
    return trust


def _say_unverified(
    mail: Mail, readers: Sequence[Recipient] | Sequence[PgpKey], trust: Trusts | None
) -> Mail:
    if trust is None:
        mail._unverified = tuple([address for one in readers for address in one.addresses])
    return mail


def _by_openpgp(
    mail: Source,
    policy: Policy,
    mode: str,
    way: pgp.Signing | pgp.Sealing,
    out: Out | None,
    travels: bool = True,
) -> Mail:
    look, small, large = way.look, way.small, way.large
    return _protected(
        mail, policy, mode, look=look, small=small, large=large, travels=travels, out=out
    )


def _protected(
    mail: Source,
    policy: Policy,
    mode: str,
    *,
    small: Callable[[bytes, bytes, bytes], bytes],
    large: Callable[[Octets, bytes, bytes], Iterator[Piece]],
    look: Callable[[Entity, Mail], None] | None = None,
    travels: bool = True,
    out: Out | None,
) -> Mail:
    """Divide the mail, protect what goes inside and write it to ``out``.

    ``small`` protects octets, ``large`` what is read from a file in pieces; both
    are given the entity to protect, and the fields outside when it is signed and
    when it is sealed.
    """
    if out is not None and (hasattr(mail, "__fspath__") or hasattr(mail, "read")):
        opened = Large.open(mail)
        if isinstance(opened, Large):
            return _from_file(opened, policy, mode, travels, look, large, out)
        mail = opened
    source = mail if isinstance(mail, Mail) else Mail(mail)
    entity = split_entity(bytes(source))
    if look is not None:
        look(entity, source)
    inner, outer, sealed_outer = divided(entity, policy, mode, travels)
    return _made(source, small(packing.small(inner, policy), outer, sealed_outer), out)


def _from_file(
    mail: Large,
    policy: Policy,
    mode: str,
    travels: bool,
    look: Callable[[Entity, Mail], None] | None,
    large: Callable[[Octets, bytes, bytes], Iterator[Piece]],
    out: Out,
) -> Mail:
    """Protect a mail whose body goes by, as it is if it can stay so, else written anew."""
    from smime.formats.recoding import recoded

    hidden: Sequence[Field] = ()
    if policy.legacy_display and mode_of(mail.head, policy, mode) == "cipher":
        hidden = hidden_fields(mail.head, shy=policy.headers == "shy", hidden=policy.hidden)

    def in_pieces(mail: Large, *, anew: bool) -> Mail:
        """Protect it as its body goes by; raises ``NotCanonical`` unless it was written anew."""
        if look is not None:
            look(mail.head, Mail._made(mail.head.raw))
        inner_head, outer, sealed_outer = divided(mail.head, policy, mode, travels, bodiless=anew)
        looked_at = not anew and not is_exact(mail.head, policy)
        inner = Parted(inner_head, mail, looked_at=looked_at, travels=travels)
        size = 0
        # Whether the body is canonical shows at its end: until then nothing may be out.
        with release_to(out, private=True, wait=True) as release:
            for piece in packing.large(large, inner, policy, outer, sealed_outer):
                size += len(piece)
                release.write(piece)
            release.publish()
        return Mail._written(size, mail.head.raw)

    with mail:
        if not hidden:
            try:
                return in_pieces(mail, anew=False)
            except NotCanonical:
                pass
        with recoded(mail, hidden) as anew:
            return in_pieces(anew, anew=True)


def _one(by: Sender) -> tuple[Identity, ...]:
    signers = signers_of(by)
    if len(signers) != 1:
        raise TypeError("protect takes one signer: for several, smime.encrypt(smime.sign(...))")
    return signers


def _with_self(
    readers: tuple[Recipient, ...], signer: Identity, to_self: bool
) -> tuple[Recipient, ...]:
    own = signer.announcing
    found: tuple[Recipient, ...] = with_sender(readers, own, to_self)
    if len(found) > len(readers) and not own.fitness.reads:
        raise KeyProblem(
            f"{signer!r} signs and cannot be written to, so the sender could not read this mail",
            hint="leave the sender out with to_self=False, or load the encryption key as well",
        )
    return found


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
    blob, digests = signed.build(
        inner,
        [one.signing_key for one in signers],
        detached=not opaque,
        at=when,
        policy=policy,
        signed_attributes=signed_attributes(signers, policy),
    )
    if opaque:
        return form.wrap_sealed(blob, "signedData", outer)
    return form.wrap_signed(inner, blob, policy.micalg_names(digests), outer)


def _sign_pieces(
    inner: Octets,
    signers: Sequence[Identity],
    opaque: bool,
    policy: Policy,
    when: datetime,
    outer: bytes,
) -> Iterator[Piece]:
    from smime.formats import streams

    for one in signers:
        one.check_signs(when, policy)
    write = streams.opaque_mail if opaque else streams.signed_mail
    return write(
        inner,
        [one.signing_key for one in signers],
        outer,
        at=when,
        policy=policy,
        signed_attributes=signed_attributes(signers, policy),
    )


def _seal(
    inner: bytes,
    readers: Sequence[Recipient],
    policy: Policy,
    when: datetime | None,
    outer: bytes,
    vouch: Vouch | None = None,
) -> bytes:
    # Late: who only signs need not wait for it.
    from smime.cms.enveloped import build, kind_of

    keys, cipher, transport, derived = _seals(readers, policy, when, vouch)
    blob = build(inner, keys, cipher=cipher, transport=transport, derived=derived)
    return form.wrap_sealed(blob, kind_of(cipher), outer)


def _seal_pieces(
    inner: Octets,
    readers: Sequence[Recipient],
    policy: Policy,
    when: datetime | None,
    outer: bytes,
    vouch: Vouch | None = None,
) -> Iterator[Piece]:
    from smime.formats import streams

    keys, cipher, transport, derived = _seals(readers, policy, when, vouch)
    return streams.sealed_mail(
        inner, keys, outer, cipher=cipher, transport=transport, derived=derived
    )


def _seals(
    readers: Sequence[Recipient], policy: Policy, when: datetime | None, vouch: Vouch | None
) -> tuple[list[RecipientKey], str, str, bool]:
    """Return the keys to seal for, each once, and how: cipher, RSA keys, whether it is derived."""
    readers = chosen(readers, moment(when), policy, vouch)
    capabilities = [one.capabilities for one in readers]
    cipher = cipher_for(policy.cipher, capabilities)
    keys = [one.recipient_key for one in readers]
    rsa = (c for key, c in zip(keys, capabilities, strict=True) if key.kind == "rsa")
    transport = transport_for(policy.key_transport, rsa)
    if len(keys) > 1:
        keys = list({one.identifier: one for one in keys}.values())
    return keys, cipher, transport, derives_for(policy.content_key, capabilities)


def _made(source: Mail, data: bytes, out: Out | None) -> Mail:
    if out is not None:
        write_out(out, (data,))
    return source._changed(data)
