"""How CMS names a certificate: issuer and serial number, or key identifier.

Issuer and serial are compared as the bytes stand. Where no bytes are equal
they are compared again by value, for senders write the same name as
PrintableString here and as UTF8String there.

Floor:  cms (uses errors)
Source: RFC 5652 §5.3, §6.2.1, §10.2.4; RFC 5280 §4.2.1.2 for the identifier
"""

from __future__ import annotations

import hashlib

from smime.cms.ber import octets
from smime.cms.der import SEQUENCE, children, tlv, top
from smime.errors import MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography import x509

    from smime.cms.der import Node

__all__ = [
    "bears",
    "by_value",
    "computed_identifier",
    "describe",
    "issuer_and_serial",
    "key_identifiers",
    "name_of",
    "serial_of",
]


def issuer_and_serial(cert_der: bytes) -> bytes:
    """Return IssuerAndSerialNumber of a certificate, made of the certificate's own bytes."""
    try:
        tbs = children(cert_der, top(cert_der))[0]
        fields = children(cert_der, tbs)
        at = 1 if fields[0][0] == 0xA0 else 0
        serial, issuer = fields[at], fields[at + 2]
    except IndexError:
        raise MalformedMail("a certificate does not have the form of one") from None
    return tlv(SEQUENCE, cert_der[issuer[1] : issuer[3]] + cert_der[serial[1] : serial[3]])


def bears(cert_der: bytes, issuer: bytes, serial: bytes) -> bool:
    """Say whether a certificate has exactly this issuer and serial number, each as DER.

    The same question as to ``issuer_and_serial``, answered without making anything.
    """
    try:
        at = _inside(cert_der, _inside(cert_der, 0))
        if cert_der[at] == 0xA0:
            at += 2 + cert_der[at + 1]  # the version
        if not cert_der.startswith(serial, at):
            return False
        at += len(serial)
        length, at = cert_der[at + 1], _inside(cert_der, at)
        if length >= 0x80:
            length = int.from_bytes(cert_der[at - (length & 0x7F) : at], "big")
        return cert_der.startswith(issuer, at + length)
    except IndexError:
        return False


def _inside(data: bytes, at: int) -> int:
    """Return where the content of the element begins that stands at this place."""
    length = data[at + 1]
    return at + 2 if length < 0x80 else at + 2 + (length & 0x7F)


def key_identifiers(certificate: x509.Certificate) -> tuple[bytes, ...]:
    """Return what may stand for a certificate: its own key identifier, and the computed one."""
    from cryptography import x509

    found = []
    try:
        extension = certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
        found.append(extension.value.digest)
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
    ):
        pass  # the computed one is left
    found.append(computed_identifier(certificate.public_key()))
    return tuple(dict.fromkeys(found))


def computed_identifier(public_key: object) -> bytes:
    """Return the SHA-1 of the subjectPublicKey bits (RFC 5280 §4.2.1.2, method 1)."""
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    spki = public_key.public_bytes(  # type: ignore[attr-defined]
        Encoding.DER, PublicFormat.SubjectPublicKeyInfo
    )
    bits = children(spki, top(spki))[1]
    return hashlib.sha1(spki[bits[2] + 1 : bits[3]], usedforsecurity=False).digest()


def by_value(issuer_serial: bytes) -> tuple[object, ...]:
    """Return an IssuerAndSerialNumber in a form that compares by value (RFC 5280 §7.1).

    That is the serial number, and the name's attributes with case and spaces folded.
    """
    try:
        name, serial = children(issuer_serial, top(issuer_serial))[:2]
        attributes = []
        for relative in children(issuer_serial, name):
            for pair in children(issuer_serial, relative):
                kind, value = children(issuer_serial, pair)[:2]
                raw = issuer_serial[value[2] : value[3]]
                text = raw.decode("utf-16-be" if value[0] == 0x1E else "utf-8", "replace")
                attributes.append(
                    (issuer_serial[kind[2] : kind[3]], " ".join(text.split()).casefold())
                )
    except (MalformedMail, ValueError):
        return (issuer_serial,)
    return (issuer_serial[serial[2] : serial[3]], *attributes)


def serial_of(issuer_serial: bytes) -> bytes:
    """Return the serial number's octets of an IssuerAndSerialNumber, empty if it has none."""
    try:
        parts = children(issuer_serial, top(issuer_serial))
    except MalformedMail:
        return b""
    return issuer_serial[parts[1][2] : parts[1][3]] if len(parts) > 1 else b""


def describe(data: bytes, node: Node) -> str:
    """Name an identifier for people: ``serial 1f2e issued by Test CA`` or ``key 0a1b…``."""
    if node[0] & 0x1F == 0 and node[0] != SEQUENCE:
        return f"key {octets(data, node).hex()}"
    parts = children(data, node)
    if len(parts) < 2 or parts[0][0] != SEQUENCE:
        return "(unreadable identifier)"
    issuer, serial = parts[0], parts[1]
    return (
        f"serial {data[serial[2] : serial[3]].hex().lstrip('0') or '0'} "
        f"issued by {_common_name(data, issuer)}"
    )


def _common_name(data: bytes, name: Node) -> str:
    """Return the most telling attribute of a name: CN, else O, else the last one."""
    found: dict[bytes, str] = {}
    last = "(no name)"
    for relative in children(data, name):
        for pair in children(data, relative):
            parts = children(data, pair)
            if len(parts) != 2:
                raise MalformedMail("a name does not have the form of one")
            kind, value = parts
            raw = data[value[2] : value[3]]
            last = raw.decode("utf-16-be" if value[0] == 0x1E else "utf-8", "replace")
            found[data[kind[2] : kind[3]]] = last
    return found.get(b"\x55\x04\x03") or found.get(b"\x55\x04\x0a") or last


def name_of(name: Callable[[], x509.Name]) -> str:
    """Return a name of a certificate as text (RFC 4514); empty where it cannot be read.

    ``name`` gives it: the library parses names when they are asked for, and has
    more to say against them than against the certificate.
    """
    try:
        return name().rfc4514_string()
    except (TypeError, ValueError, Warning):  # a BIT STRING where a text belongs; python -W error
        return ""
