"""OpenPGP in a mail, and mail in OpenPGP: multipart/signed and multipart/encrypted.

``wrap_signed`` and ``wrap_sealed`` write the two forms, ``recognise`` says which
one an entity has. Between them and the engine: ``sign`` and ``seal`` on the way
out, ``pgplayers`` on the way in.

Floor:  formats (uses pgp, keys, mime)
Source: RFC 3156 §4 encrypted, §5 signed, §6.2 both in one; RFC 1847
"""

from __future__ import annotations

import os
import re

from smime.errors import KeyProblem, MalformedMail
from smime.keys.address import same_address
from smime.mime.addresses import addresses
from smime.mime.entity import split_entity
from smime.mime.multipart import boundary_of, cut, split_signed
from smime.policy import moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from datetime import datetime
    from typing import Any

    from smime.mime.entity import Entity
    from smime.pgp import PgpKey
    from smime.policy import Policy

__all__ = [
    "Wrapped",
    "blind_readers",
    "keys_apart",
    "recognise",
    "seal",
    "sign",
    "wrap_sealed",
    "wrap_signed",
]

_SIGNATURE = "application/pgp-signature"
_ENCRYPTED = "application/pgp-encrypted"
_VERSION = b"Version: 1"
# What a text begins with that is one block of armour; a no-break space in UTF-8 too.
_BEGINS = re.compile(rb"[ \t\r\n\xc2\xa0]*+-----BEGIN PGP")


class Wrapped:
    """An OpenPGP layer as it stands in a mail.

    ``blob`` is the OpenPGP data, armoured or not; ``content`` the exact bytes that
    a signature is over, and None for an encrypted layer.
    """

    __slots__ = ("blob", "content", "form", "head", "problem")

    def __init__(
        self,
        form: str,
        blob: bytes = b"",
        content: bytes | None = None,
        problem: MalformedMail | None = None,
        head: bytes = b"",
    ) -> None:
        self.form = form
        self.blob = blob
        self.content = content
        self.head = head
        """Header fields for a content that has none of its own."""
        self.problem = problem
        """Why the OpenPGP data could not be got out of the mail, if so."""


# --- the forms ----------------------------------------------------------------


def recognise(entity: Entity) -> Wrapped | None:
    """Return the OpenPGP layer at the root of an entity, or None if there is none.

    Raises ``MalformedMail`` where the entity says that it is one and is not.
    """
    kind = entity.content_type.value
    if kind == "text/plain":
        # Asked first, since reading it costs: armour begins so in every encoding but these.
        encoded = entity.transfer_encoding in ("base64", "quoted-printable")
        if not encoded and not _BEGINS.match(entity.raw, entity.body_at):
            return None
        from smime.formats.pgpinline import recognise_inline

        return recognise_inline(entity)
    if kind in ("multipart/signed", "multipart/encrypted"):
        protocol = entity.content_type.params.get("protocol", "").strip().lower()
        if kind == "multipart/signed" and protocol in ("", _SIGNATURE):
            return _recognise_signed(entity, protocol)
        if kind == "multipart/encrypted" and protocol in ("", _ENCRYPTED):
            return _recognise_sealed(entity, protocol)
    elif kind == "multipart/mixed" and b"\nSig:" in entity.raw:
        from smime.formats.pgpinline import recognise_unobtrusive

        return recognise_unobtrusive(entity)
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
    if not hasattr(given, "__iter__"):
        return ((given,), ()) if _is_openpgp(given) else ((), given)
    if isinstance(given, (str, bytes, bytearray, memoryview)):
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
    return policy.cipher[:7] if policy.cipher.startswith("aes-") else "aes-256"
