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
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from smime.formats.spooled import Region
    from smime.mime.entity import Entity
    from smime.pgp import PgpKey
    from smime.pgp.backend import Encrypted, Signed
    from smime.pgp.packets import Sealed
    from smime.policy import Policy
    from smime.source import Piece, Source
    from smime.stored import Data

__all__ = [
    "Wrapped",
    "blind_readers",
    "keys_apart",
    "recognise",
    "recognise_stored",
    "seal",
    "seal_pieces",
    "sealed_frame",
    "sign",
    "sign_pieces",
    "signed_frame",
    "wrap_sealed",
    "wrap_signed",
]

_SIGNATURE = "application/pgp-signature"
_ENCRYPTED = "application/pgp-encrypted"
_VERSION = b"Version: 1"
# What a text begins with that is one block of armour; a no-break space in UTF-8 too.
_BEGINS = re.compile(rb"[ \t\r\n\xc2\xa0]*+-----BEGIN PGP")
_TWO_PARTS = "a multipart/encrypted has two parts, a version and the content"
MAX_PART_OCTETS = 8 << 20  # of the part beside a content in a file, which is read into memory


class Wrapped:
    """An OpenPGP layer as it stands in a mail.

    ``blob`` is the OpenPGP data, armoured or not; ``content`` the exact bytes that
    a signature is over, and None for an encrypted layer. What is sealed, or signed, may
    be in a file.
    """

    __slots__ = ("_sealed", "blob", "content", "form", "head", "problem")

    def __init__(
        self,
        form: str,
        blob: bytes | Region = b"",
        content: bytes | Region | None = None,
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
        self._sealed: Sealed | None = None

    @property
    def sealed(self) -> Sealed:
        """The encrypted message. Raises ``MalformedMail``, ``NotSupported``, ``LimitExceeded``."""
        from smime.pgp.armour import dearmored
        from smime.pgp.packets import read_sealed

        if self._sealed is None:
            blob = self.blob
            self._sealed = read_sealed(
                blob if isinstance(blob, bytes) else dearmored(blob, "MESSAGE")
            )
        return self._sealed


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
    if len(spans) != 2 or len(parts) != 2:
        raise MalformedMail(_TWO_PARTS)
    _check_version(parts[0])
    return Wrapped("multipart/encrypted", parts[1].decoded())


def _check_version(first: Entity) -> None:
    if first.content_type.value != _ENCRYPTED:
        raise MalformedMail(_TWO_PARTS)
    if _VERSION not in first.body:
        raise MalformedMail("the multipart/encrypted is of no version that is known")


def recognise_stored(entity: Entity, body: Region) -> Wrapped | None:
    """Return the OpenPGP layer of a mail in a file; None where it is not, or is needed whole.

    ``entity`` is its header block. Raises what ``recognise`` raises.
    """
    from smime.formats.spooled import spans

    kind = entity.content_type.value
    protocol = entity.content_type.params.get("protocol", "").strip().lower()
    if (kind, protocol) not in (
        ("multipart/signed", _SIGNATURE),
        ("multipart/encrypted", _ENCRYPTED),
    ):
        return None
    parts = [body.part(start, end) for start, end in spans(body, boundary_of(entity))]
    if len(parts) != 2 or not all(one.size for one in parts):
        return None
    small = parts[1] if kind == "multipart/signed" else parts[0]
    if small.size > MAX_PART_OCTETS:
        return None
    beside = split_entity(small[:])
    if kind == "multipart/signed":
        if beside.content_type.value != _SIGNATURE:
            return None
        return Wrapped("multipart/signed", beside.decoded(), parts[0])
    _check_version(beside)
    return _stored_seal(parts[1])


def _stored_seal(part: Region) -> Wrapped | None:
    from smime.formats.spooled import Decoded, keep

    head = part.head()
    inside = part.part(head.body_at)
    if head.transfer_encoding == "base64":
        return Wrapped("multipart/encrypted", keep(Decoded(inside, "base64").pieces()))
    if head.transfer_encoding not in ("7bit", "8bit", "binary"):
        return None
    return Wrapped("multipart/encrypted", inside)


def wrap_signed(inner: bytes, signature: bytes, micalg: str, outer: bytes = b"") -> bytes:
    """Return a mail in the form multipart/signed (RFC 3156 §5).

    ``inner`` is the entity exactly as it was signed, ``signature`` the armour,
    ``outer`` the message's own header fields.
    """
    start, end = signed_frame(signature, micalg, outer)
    return b"".join((start, inner, end))


def signed_frame(signature: bytes, micalg: str, outer: bytes = b"") -> tuple[bytes, bytes]:
    """Return what stands before the entity that was signed, and behind it."""
    boundary = _boundary()
    start = (
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
    )
    end = (
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
    return b"".join(start), b"".join(end)


def wrap_sealed(message: bytes, outer: bytes = b"") -> bytes:
    """Return a mail in the form multipart/encrypted (RFC 3156 §4); ``message`` is the armour."""
    start, end = sealed_frame(outer)
    return b"".join((start, message, end))


def sealed_frame(outer: bytes = b"") -> tuple[bytes, bytes]:
    """Return what stands before the armour of a sealed mail, and behind it."""
    boundary = _boundary()
    start = (
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
    )
    return b"".join(start), b"\r\n--" + boundary + b"--\r\n"


def _boundary() -> bytes:
    # 128 bits drawn after the content was settled: it cannot hold them.
    return b"pgp-" + os.urandom(16).hex().encode()


# --- out ----------------------------------------------------------------------


def keys_apart(given: Any) -> tuple[tuple[PgpKey, ...], Any]:
    """Return the OpenPGP keys in what ``by=``, ``to=`` or ``keys=`` was given, and the rest.

    The rest is as it was given where no OpenPGP key is in it.
    """
    if isinstance(given, tuple) and not given:
        return (), ()
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
    made = _signature(inner, key, policy, at)
    return wrap_signed(inner, made.signature, f"pgp-{made.digest}", outer)


def sign_pieces(
    inner: Source, key: PgpKey, policy: Policy, at: datetime | None, outer: bytes
) -> Iterator[Piece]:
    """Yield the same, of an entity that is read piece by piece.

    The digest stands in front of what was signed with it, so that waits in a file.
    """
    from smime.stored import keep

    kept = keep(inner.pieces())
    made = _signature(kept, key, policy, at)
    start, end = signed_frame(made.signature, f"pgp-{made.digest}", outer)
    yield start
    yield from kept.pieces()
    yield end


def _signature(inner: Data, key: PgpKey, policy: Policy, at: datetime | None) -> Signed:
    key.check_signs(moment(at), policy)
    return key.keyring.engine.sign(
        inner, key.fingerprint, passphrase=key.passphrase(), digest=_digest(policy), at=at
    )


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
    return wrap_sealed(_sealed(inner, readers, policy, blind, signer, at).message, outer)


def seal_pieces(
    inner: Source,
    readers: Sequence[PgpKey],
    policy: Policy,
    *,
    blind: Sequence[str] = (),
    signer: PgpKey | None = None,
    at: datetime | None = None,
    outer: bytes = b"",
) -> Iterator[Piece]:
    """Yield the same, of an entity that is read piece by piece."""
    from smime.mime.lines import lines_of
    from smime.pgp.armour import frame

    made = _sealed(inner, readers, policy, blind, signer, at)
    assert made.stored is not None
    start, end = sealed_frame(outer)
    begin_armour, end_armour = frame("MESSAGE", b"\r\n")
    yield start + begin_armour
    yield from lines_of(made.stored.pieces())
    yield end_armour + end


def _sealed(
    inner: Data,
    readers: Sequence[PgpKey],
    policy: Policy,
    blind: Sequence[str],
    signer: PgpKey | None,
    at: datetime | None,
) -> Encrypted:
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
    return ring.engine.encrypt(
        inner,
        list(dict.fromkeys(one.fingerprint for one in readers if one not in hidden)),
        hidden=list(dict.fromkeys(one.fingerprint for one in hidden)),
        sign_with=signer.fingerprint if signer is not None else "",
        passphrase=signer.passphrase() if signer is not None else None,
        cipher=_cipher(policy),
        digest=_digest(policy) if signer is not None else "",
        at=at if signer is not None else None,
    )


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
