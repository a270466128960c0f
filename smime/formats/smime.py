"""S/MIME: CMS in a mail, and mail in CMS.

``wrap_signed`` and ``wrap_sealed`` write the two forms; ``recognise`` says
which one an entity has, by its structure first and its labels second, for
labels are missing, old or wrong often enough.

Floor:  formats (uses mime, cms)
Source: RFC 8551 §3; RFC 1847 §2.1 for multipart/signed
"""

from __future__ import annotations

import os

from pybase64 import b64decode

from smime.errors import MalformedMail
from smime.mime.entity import split_entity
from smime.mime.lines import base64_blocks, base64_lines, before_base64, lines_of
from smime.mime.multipart import split_signed

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.mime.entity import Entity

__all__ = [
    "Wrapped",
    "base64_lines",
    "begins_armoured",
    "binary",
    "is_named_p7m",
    "is_tnef",
    "lines_of",
    "new_boundary",
    "recognise",
    "sealed_start",
    "signed_end",
    "signed_of",
    "signed_start",
    "wrap_sealed",
    "wrap_signed",
]

PKCS7_MIME = frozenset({"application/pkcs7-mime", "application/x-pkcs7-mime"})
_TNEF_TYPES = frozenset({"application/ms-tnef", "application/vnd.ms-tnef"})
PKCS7_SIGNATURE = frozenset({"application/pkcs7-signature", "application/x-pkcs7-signature"})
_ARMOUR = (b"-----BEGIN PKCS7-----", b"-----BEGIN CMS-----", b"-----BEGIN PKCS #7 SIGNED DATA-----")
ARMOUR_OCTETS = 64  # blanks that a text may have before it, and its first line
_SMIME_TYPE = {
    "signedData": "signed-data",
    "envelopedData": "enveloped-data",
    "authEnvelopedData": "authEnveloped-data",  # so spelled in the IANA registry
    "compressedData": "compressed-data",
    "receipt": "signed-receipt",  # a signedData with another content (RFC 2634 §2.5)
}
_BEFORE_BOUNDARY = b'"\r\n\r\nThis is a signed mail in S/MIME form (RFC 8551).\r\n\r\n--'


def wrap_signed(inner: bytes, signature_der: bytes, micalg: str, outer: bytes = b"") -> bytes:
    """Return a mail in the form multipart/signed (RFC 8551 §3.5.3).

    ``inner`` is the entity exactly as it was signed, ``outer`` the message's
    own header fields.
    """
    # 128 bits drawn after the content was settled: it cannot hold them.
    boundary = new_boundary()
    start, end = signed_start(micalg, boundary, outer), signed_end(signature_der, boundary)
    return b"".join((*start, inner, *end))


def new_boundary() -> bytes:
    """Return a boundary that no content holds unless it was made from it."""
    return b"signed-" + os.urandom(16).hex().encode()


def signed_start(micalg: str, boundary: bytes, outer: bytes = b"") -> tuple[bytes, ...]:
    """Return what stands before the entity in a multipart/signed, in pieces."""
    return (
        outer,
        b"MIME-Version: 1.0\r\n"
        b'Content-Type: multipart/signed; protocol="application/pkcs7-signature";\r\n'
        b' micalg="',
        micalg.encode("ascii"),
        b'"; boundary="',
        boundary,
        _BEFORE_BOUNDARY,
        boundary,
        b"\r\n",
    )


def signed_end(signature_der: bytes, boundary: bytes) -> tuple[bytes, ...]:
    """Return what stands behind the entity in a multipart/signed, in pieces."""
    return (
        b"\r\n--",
        boundary,
        b"\r\n"
        b'Content-Type: application/pkcs7-signature; name="smime.p7s"\r\n'
        b"Content-Transfer-Encoding: base64\r\n"
        b'Content-Disposition: attachment; filename="smime.p7s"\r\n'
        b"Content-Description: S/MIME Cryptographic Signature\r\n"
        b"\r\n",
        *base64_blocks(signature_der),
        b"\r\n--",
        boundary,
        b"--\r\n",
    )


def wrap_sealed(cms_der: bytes, kind: str, outer: bytes = b"") -> bytes:
    """Return a mail in the form application/pkcs7-mime (RFC 8551 §3.2).

    ``kind`` is the CMS content type: ``signedData``, ``envelopedData``,
    ``authEnvelopedData``, ``compressedData``, or ``receipt``; ``outer`` are the
    message's own header fields.
    """
    return before_base64(outer + _SEALED_START[kind], cms_der)


def sealed_start(kind: str, outer: bytes = b"") -> bytes:
    """Return what stands before the base64 text of an application/pkcs7-mime."""
    return outer + _SEALED_START[kind]


def _sealed_start(kind: str) -> bytes:
    name = b"smime.p7z" if kind == "compressedData" else b"smime.p7m"  # RFC 8551 §3.2.1
    return b"".join(
        (
            b"MIME-Version: 1.0\r\nContent-Type: application/pkcs7-mime; smime-type=",
            _SMIME_TYPE[kind].encode("ascii"),
            b';\r\n name="',
            name,
            b'"\r\nContent-Transfer-Encoding: base64\r\n'
            b'Content-Disposition: attachment; filename="',
            name,
            b'"\r\n\r\n',
        )
    )


_SEALED_START = {kind: _sealed_start(kind) for kind in _SMIME_TYPE}


class Wrapped:
    """An S/MIME layer as it stands in a mail.

    ``blob`` is the CMS structure; ``content`` the exact bytes that it signs
    where they stand beside it, and None where they are inside.
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
        """Why the CMS structure could not be got out of the mail, if so."""


def recognise(entity: Entity) -> Wrapped | None:
    """Return the S/MIME layer at the root of an entity, or None if there is none.

    Raises ``MalformedMail`` where the entity says that it is S/MIME and holds
    nothing that could be.
    """
    kind = entity.content_type.value
    if kind == "multipart/signed":
        return _recognise_signed(entity)
    if kind in PKCS7_MIME:
        return Wrapped("application/pkcs7-mime", binary(entity))
    if kind == "text/plain":
        return _recognise_armour(entity) if _is_armoured(entity) else None
    if is_tnef(entity):
        return _recognise_tnef(entity)
    if kind == "application/octet-stream" and is_named_p7m(entity):
        return Wrapped("application/octet-stream", binary(entity))
    return None


def _recognise_armour(entity: Entity) -> Wrapped | None:
    """Return the layer that a text is; one that is no CMS after all is a text."""
    from smime.cms.content import kind

    blob = binary(entity)
    try:
        kind(blob)
    except MalformedMail:
        return None
    return Wrapped("text/plain", blob)


def begins_armoured(text: bytes) -> bool:
    """Whether a text begins with PEM armour around CMS."""
    return text[:ARMOUR_OCTETS].lstrip().startswith(_ARMOUR)


def _is_armoured(entity: Entity) -> bool:
    """Whether the whole body is one block of PEM armour around CMS."""
    at = entity.body_at
    if not begins_armoured(entity.raw[at : at + ARMOUR_OCTETS]):
        return False
    text = entity.body.strip()
    return text.count(b"-----BEGIN ") == 1 and text.rpartition(b"\n")[2].startswith(b"-----END ")


def _recognise_tnef(entity: Entity) -> Wrapped | None:
    """Return the layer that Exchange packed into winmail.dat, or None for any other message."""
    from smime.mime.tnef import smime_of

    try:
        data = smime_of(entity.decoded())
        if not data:
            return None
        inner = split_entity(data)
    except MalformedMail as problem:
        import logging  # late: signing imports this file, and needs no log

        logging.getLogger("smime").debug("winmail.dat: %s", problem)
        return None
    signed = inner.content_type.value == "multipart/signed"
    found = _recognise_signed(inner) if signed else Wrapped("", data)
    if found is not None:
        found.form = entity.content_type.value
    return found


def _recognise_signed(entity: Entity) -> Wrapped | None:
    protocol = entity.content_type.params.get("protocol", "").strip().lower()
    if protocol and protocol not in PKCS7_SIGNATURE:
        return None
    return signed_of(protocol, *split_signed(entity))


def signed_of(protocol: str, content: bytes, signature: Entity) -> Wrapped | None:
    """Return the layer that content and signature part of a multipart/signed are, or None."""
    if signature.content_type.value not in PKCS7_SIGNATURE:
        if not protocol:
            return None
        if signature.content_type.value not in PKCS7_MIME | {"application/octet-stream"}:
            found = signature.content_type.value
            problem = MalformedMail(f"the signature of a multipart/signed is labelled {found}")
            return Wrapped("multipart/signed", content=content, problem=problem)
    try:
        return Wrapped("multipart/signed", binary(signature), content)
    except MalformedMail as broken:
        return Wrapped("multipart/signed", content=content, problem=broken)


def is_tnef(entity: Entity) -> bool:
    """Whether the part is Outlook's winmail.dat."""
    kind = entity.content_type.value
    unnamed = kind == "application/octet-stream"
    return kind in _TNEF_TYPES or (unnamed and entity.file_name.lower() == "winmail.dat")


def is_named_p7m(entity: Entity) -> bool:
    """Whether the part has a file name of S/MIME."""
    names = (entity.content_type.params.get("name", ""), entity.file_name)
    return any(name.lower().endswith((".p7m", ".p7s", ".p7c", ".p7z")) for name in names)


def binary(entity: Entity) -> bytes:
    """Return the CMS structure of a part: decoded, PEM armour taken off."""
    blob = entity.decoded()
    if blob[:1] == b"0":
        return blob
    text = blob.strip()
    if text.startswith(b"-----BEGIN "):
        lines = text.splitlines()
        text = b"".join(lines[1:-1])
    elif entity.transfer_encoding not in ("7bit", "8bit", "binary"):
        return blob
    return _base64(text) or blob


def _base64(text: bytes) -> bytes:
    """Return what base64 text without a label holds, or nothing if it is not base64."""
    from binascii import Error

    try:
        return b64decode(b"".join(text.split()), validate=True)
    except (Error, ValueError):
        return b""
