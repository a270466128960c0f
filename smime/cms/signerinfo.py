"""SignedData and its signers as they arrived: positions and names, nothing checked.

Floor:  cms (uses errors)
Source: RFC 5652 §5.1 to §5.3, §10.2; RFC 5940 for OCSP answers that came along
"""

from __future__ import annotations

import logging

from smime.cms import algorithms as alg
from smime.cms.attributes import Attributes
from smime.cms.ber import octets, parsed
from smime.cms.content import content_info
from smime.cms.der import SEQUENCE, SET, Indefinite, children, oid, oid_text, top
from smime.cms.names import bears, describe
from smime.cms.schemes import digest_name
from smime.cms.schemes import read as read_scheme
from smime.errors import LimitExceeded, MalformedMail

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Any

    from cryptography import x509

    from smime.cms.der import Node
    from smime.cms.schemes import Scheme

__all__ = ["SignedData", "SignerInfo", "parse_certificate", "read", "read_signer"]

MAX_SIGNERS = 64  # each costs a signature check; real messages have one, rarely five
MAX_CERTIFICATES = 20  # more than any chain; the rest is not looked at
MAX_CRLS = 20
MAX_OCSP = 20

# Fields of certificates that are kept, read: who writes often sends the same each time.
MAX_KNOWN_FIELDS = 64
MAX_FIELD_OCTETS = 16 * 1024
_known_fields: dict[bytes, Carried] = {}

OCSP_RESPONSE = oid("1.3.6.1.5.5.7.16.2")  # RFC 5940 §3

_log = logging.getLogger("smime.cms")
_UNREAD: Any = object()  # unlike None, which stands for what a strict parser refuses


class SignerInfo:
    """One signer as it arrived (RFC 5652 §5.3)."""

    __slots__ = (
        "attributes",
        "digest",
        "digest_algorithm",
        "identifier",
        "key_identifier",
        "scheme",
        "signature_algorithm",
        "unsigned",
        "value",
        "value_at",
    )

    identifier: bytes
    """IssuerAndSerialNumber as it stands, or empty."""
    key_identifier: bytes
    """subjectKeyIdentifier, or empty."""
    digest: str
    """Name of the digest algorithm; its dotted identifier if it is not known."""
    digest_algorithm: bytes
    """The AlgorithmIdentifier of the digest, whole."""
    scheme: Scheme
    """The signature algorithm, taken apart."""
    signature_algorithm: bytes
    """The AlgorithmIdentifier of the signature, whole."""
    attributes: Attributes | None
    """What was signed along with the content."""
    unsigned: Attributes | None
    """What anybody may have put beside the signature."""
    value: bytes
    value_at: int
    """Where it stands; -1 if it came in pieces."""

    @property
    def name(self) -> str:
        """The identifier, for people."""
        if not self.identifier:
            return f"key {self.key_identifier.hex()}"
        try:
            return describe(self.identifier, top(self.identifier))
        except (MalformedMail, Indefinite):
            return "(unreadable identifier)"


class Carried:
    """The certificates that a message carries: what holds of these octets in any message."""

    __slots__ = ("_named", "ders", "field")

    def __init__(self, ders: tuple[bytes, ...], field: bytes = b"") -> None:
        self.ders = ders
        self.field = field
        """The whole field, of certificates that stand in one, as is usual."""
        self._named: dict[bytes, tuple[bytes, ...]] = {}

    def named(self, identifier: bytes) -> tuple[bytes, ...]:
        """Return those of exactly this IssuerAndSerialNumber, each once."""
        found = self._named.get(identifier)
        if found is None:
            found = tuple(dict.fromkeys(exact(identifier, self.ders)))
            if found:  # else there would be no end of names
                self._named[identifier] = found
        return found


class SignedData:
    """A SignedData as it arrived."""

    __slots__ = (
        "_parse",
        "_parsed",
        "carried",
        "content",
        "content_type",
        "crls",
        "ocsp",
        "signers",
    )

    content_type: bytes
    content: bytes | None
    """The content inside, or None when it is detached."""
    carried: Carried
    crls: tuple[bytes, ...]
    ocsp: tuple[bytes, ...]
    """OCSP responses that came along, as DER (RFC 5940)."""
    signers: tuple[SignerInfo, ...]
    _parse: Callable[[bytes], x509.Certificate | None]
    _parsed: dict[bytes, x509.Certificate | None]

    @property
    def certificates_der(self) -> tuple[bytes, ...]:
        return self.carried.ders

    def certificate(self, der: bytes) -> x509.Certificate | None:
        """Return a certificate parsed once, or None where a strict parser refuses it."""
        found: x509.Certificate | None = self._parsed.get(der, _UNREAD)
        if found is _UNREAD:
            found = self._parsed[der] = self._parse(der)
        return found

    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Return the certificates that a strict parser accepts."""
        found = [self.certificate(der) for der in self.certificates_der]
        return tuple([one for one in found if one is not None])


def parse_certificate(der: bytes) -> x509.Certificate | None:
    """Return a certificate, or None where a strict parser refuses it."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion, Warning) as problem:  # python -W error
        _log.debug("a certificate in a message was skipped: %s", problem)
        return None


def read(
    blob: bytes, parse: Callable[[bytes], x509.Certificate | None] = parse_certificate
) -> SignedData:
    """Read a ContentInfo with SignedData, BER or DER.

    ``parse`` parses certificates as ``parse_certificate`` does, which somebody
    may have done before. Raises ``MalformedMail`` for anything else, ``LimitExceeded`` for more
    signers than ``MAX_SIGNERS``.
    """
    found = parsed(blob, _read)
    found._parse = parse
    return found


def _read(data: bytes) -> SignedData:
    kind, inner = content_info(data)
    if kind != alg.SIGNED_DATA:
        raise MalformedMail(
            f"this is {alg.CONTENT_TYPES.get(kind, oid_text(kind))}, not signedData"
        )
    fields = children(data, inner)
    if inner[0] != SEQUENCE or len(fields) < 4 or fields[2][0] != SEQUENCE:
        raise MalformedMail("the signedData does not have the form of one")
    found = SignedData()
    found._parsed = {}
    encapsulated = children(data, fields[2])
    if not encapsulated or encapsulated[0][0] != 0x06:
        raise MalformedMail("the signedData names no content type")
    found.content_type = data[encapsulated[0][2] : encapsulated[0][3]]
    found.content = _content(data, encapsulated)
    carried: Carried | None = None
    crls: list[bytes] = []
    ocsp: list[bytes] = []
    infos: Node | None = None
    for node in fields[3:]:
        if node[0] == 0xA0:
            carried = _carried(data, node, () if carried is None else carried.ders)
        elif node[0] == 0xA1:
            for one in children(data, node):
                if one[0] == SEQUENCE:
                    crls.append(data[one[1] : one[3]])
                elif one[0] == 0xA1:
                    ocsp += _ocsp(data, one)
        elif node[0] == SET and infos is None:
            infos = node
    if infos is None:
        raise MalformedMail("the signedData has no place for signers")
    found.carried = Carried(()) if carried is None else carried
    found.crls = tuple(crls[:MAX_CRLS])
    found.ocsp = tuple(ocsp[:MAX_OCSP])
    signers = children(data, infos)
    if len(signers) > MAX_SIGNERS:
        raise LimitExceeded(f"the message has more than {MAX_SIGNERS} signers")
    found.signers = tuple(read_signer(data, one) for one in signers)
    return found


def _carried(data: bytes, node: Node, before: tuple[bytes, ...]) -> Carried:
    """Read a field of certificates, after those of one ``before``, which is seldom there."""
    field = data[node[1] : node[3]]
    known = None if before else _known_fields.get(field)
    if known is not None:
        return known
    # Only plain certificates: attribute certificates and other forms are passed over.
    ders = [data[c[1] : c[3]] for c in children(data, node) if c[0] == SEQUENCE]
    found = Carried((*before, *ders)[:MAX_CERTIFICATES], b"" if before else field)
    if not before and len(field) <= MAX_FIELD_OCTETS:
        if len(_known_fields) >= MAX_KNOWN_FIELDS:
            _known_fields.clear()
        _known_fields[field] = found
    return found


def exact(identifier: bytes, certificates_der: Iterable[bytes]) -> list[bytes]:
    """Return the certificates of exactly this issuer and serial number."""
    try:
        parts = children(identifier, top(identifier))
    except (MalformedMail, Indefinite):
        return []
    if len(parts) != 2:
        return []
    issuer, serial = (identifier[one[1] : one[3]] for one in parts)
    return [der for der in certificates_der if bears(der, issuer, serial)]


def _content(data: bytes, encapsulated: list[Node]) -> bytes | None:
    if len(encapsulated) < 2:
        return None
    inner = children(data, encapsulated[1])
    if len(inner) != 1 or inner[0][0] & ~0x20 != 0x04:
        raise MalformedMail("the signed content is not an OCTET STRING")
    return octets(data, inner[0])


def _ocsp(data: bytes, node: Node) -> list[bytes]:
    """Return the OCSP response of an OtherRevocationInfoFormat, if it is one."""
    parts = children(data, node)
    if len(parts) == 2 and data[parts[0][1] : parts[0][3]] == OCSP_RESPONSE:
        return [data[parts[1][1] : parts[1][3]]]
    return []


def read_signer(data: bytes, node: Node) -> SignerInfo:
    """Read one SignerInfo at its place in ``data``; raises ``MalformedMail``."""
    fields = children(data, node)
    if len(fields) < 5:
        raise MalformedMail("a signer does not have the form of one")
    signer = SignerInfo()
    sid, digest_algorithm = fields[1], fields[2]
    signer.identifier = data[sid[1] : sid[3]] if sid[0] == SEQUENCE else b""
    signer.key_identifier = octets(data, sid) if sid[0] in (0x80, 0xA0) else b""
    if not signer.identifier and not signer.key_identifier:
        raise MalformedMail("a signer is named in no known way")
    if b"\x80" in signer.identifier:
        describe(data, sid)  # an indefinite length in it shows now, and is rewritten
    signer.digest = digest_name(data, digest_algorithm)
    signer.digest_algorithm = data[digest_algorithm[1] : digest_algorithm[3]]
    rest = fields[3:]
    signer.attributes = None
    if rest[0][0] == 0xA0:
        signer.attributes = Attributes(data, rest[0])
        rest = rest[1:]
    if len(rest) < 2 or rest[1][0] & ~0x20 != 0x04:
        raise MalformedMail("a signer has no signature value")
    signer.scheme = read_scheme(data, rest[0])
    signer.signature_algorithm = data[rest[0][1] : rest[0][3]]
    signer.value = octets(data, rest[1])
    signer.value_at = rest[1][2] if rest[1][0] == 0x04 else -1
    signer.unsigned = None
    if len(rest) > 2 and rest[2][0] == 0xA1:
        signer.unsigned = _unsigned(data, rest[2])
    return signer


def _unsigned(data: bytes, node: Node) -> Attributes | None:
    """Return the unsigned attributes; damage in what nobody signed harms no signature."""
    try:
        return Attributes(data, node)
    except (MalformedMail, Indefinite) as problem:
        _log.debug("the unsigned attributes of a signer were skipped: %s", problem)
        return None
