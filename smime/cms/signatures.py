"""SignedData as it arrives: read whole, then checked signer by signer.

Floor:  cms (uses errors, report, policy)
Source: RFC 5652 §5.1 to §5.6, §11; RFC 8933 for the digest of the attributes
"""

from __future__ import annotations

import logging

from smime.cms import algorithms as alg
from smime.cms.attributes import Attributes
from smime.cms.ber import octets, parsed
from smime.cms.content import content_info
from smime.cms.der import SEQUENCE, SET, Indefinite, children, oid_text, top
from smime.cms.names import by_value, describe, issuer_and_serial, key_identifiers
from smime.errors import LimitExceeded, MalformedMail, SmimeError
from smime.report import Finding, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cryptography import x509

    from smime.cms.der import Node
    from smime.policy import Policy

__all__ = ["CheckedSignature", "SignedData", "SignerInfo", "check", "read"]

MAX_SIGNERS = 64  # each costs a signature check; real messages have one, rarely five
MAX_CERTIFICATES = 20  # more than any chain; the rest is not looked at
MAX_CRLS = 20

# id-ri-ocsp-response (RFC 5940 §2.1)
OCSP_RESPONSE = bytes.fromhex("06082b06010505071002")

_log = logging.getLogger("smime.cms")

_INTACT = Finding.yes("the content is what was signed", "RFC 5652 §5.4")
_GENUINE = Finding.yes("the signature was made with the signer's key", "RFC 5652 §5.6")


class SignerInfo:
    """One signer as it arrived (RFC 5652 §5.3)."""

    __slots__ = (
        "attributes",
        "digest",
        "identifier",
        "key_identifier",
        "name",
        "signature",
        "value",
    )

    identifier: bytes
    """IssuerAndSerialNumber as it stands, or empty."""
    key_identifier: bytes
    """subjectKeyIdentifier, or empty."""
    name: str
    """The identifier, for people."""
    digest: str
    """Name of the digest algorithm; its dotted identifier if it is not known."""
    signature: tuple[str, str | None]
    """Kind of key and digest that the signature algorithm names."""
    attributes: Attributes | None
    value: bytes


class SignedData:
    """A SignedData as it arrived."""

    __slots__ = (
        "_parsed",
        "certificates_der",
        "content",
        "content_type",
        "crls",
        "ocsp",
        "signers",
    )

    content_type: bytes
    content: bytes | None
    """The content inside, or None when it is detached."""
    certificates_der: tuple[bytes, ...]
    crls: tuple[bytes, ...]
    ocsp: tuple[bytes, ...]
    """OCSP responses among the revocation data (RFC 5940 §2.1)."""
    signers: tuple[SignerInfo, ...]
    _parsed: tuple[x509.Certificate, ...] | None

    def certificates(self) -> tuple[x509.Certificate, ...]:
        """Return the certificates that a strict parser accepts, parsed once."""
        if self._parsed is None:
            found = [parse_certificate(der) for der in self.certificates_der]
            self._parsed = tuple(one for one in found if one is not None)
        return self._parsed


def parse_certificate(der: bytes) -> x509.Certificate | None:
    """Return a certificate, or None where a strict parser refuses it."""
    from cryptography import x509

    try:
        return x509.load_der_x509_certificate(der)
    except (ValueError, x509.InvalidVersion, Warning) as problem:  # python -W error
        _log.debug("a certificate in a message was skipped: %s", problem)
        return None


class CheckedSignature:
    """What the mathematics of one signature gave."""

    __slots__ = (
        "capabilities",
        "certificate",
        "digest",
        "digest_algorithm",
        "genuine",
        "intact",
        "name",
        "notes",
        "signed_at",
    )

    def __init__(self, signer: SignerInfo) -> None:
        self.name = signer.name
        self.certificate: x509.Certificate | None = None
        self.intact = Finding.open("not-checked", "the content was not checked", "RFC 5652 §5.4")
        self.genuine = Finding.open(
            "not-checked", "the signature value was not checked", "RFC 5652 §5.6"
        )
        self.digest = b""
        self.digest_algorithm = signer.digest
        self.signed_at: datetime | None = None
        self.capabilities: tuple[str, ...] = ()
        self.notes: tuple[Note, ...] = ()


def read(blob: bytes) -> SignedData:
    """Read a ContentInfo with SignedData, BER or DER.

    Raises ``MalformedMail`` for anything else, ``LimitExceeded`` for more
    signers than ``MAX_SIGNERS``.
    """
    return parsed(blob, _read)


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
    found._parsed = None
    encapsulated = children(data, fields[2])
    if not encapsulated or encapsulated[0][0] != 0x06:
        raise MalformedMail("the signedData names no content type")
    found.content_type = data[encapsulated[0][2] : encapsulated[0][3]]
    found.content = _content(data, encapsulated)
    certificates: list[bytes] = []
    crls: list[bytes] = []
    ocsp: list[bytes] = []
    infos: Node | None = None
    for node in fields[3:]:
        if node[0] == 0xA0:
            # Only plain certificates: attribute certificates and other forms are passed over.
            certificates += [data[c[1] : c[3]] for c in children(data, node) if c[0] == SEQUENCE]
        elif node[0] == 0xA1:
            for one in children(data, node):
                if one[0] == SEQUENCE:
                    crls.append(data[one[1] : one[3]])
                elif one[0] == 0xA1:
                    other = children(data, one)
                    if len(other) == 2 and data[other[0][1] : other[0][3]] == OCSP_RESPONSE:
                        ocsp.append(data[other[1][1] : other[1][3]])
        elif node[0] == SET and infos is None:
            infos = node
    if infos is None:
        raise MalformedMail("the signedData has no place for signers")
    found.certificates_der = tuple(certificates[:MAX_CERTIFICATES])
    found.crls = tuple(crls[:MAX_CRLS])
    found.ocsp = tuple(ocsp[:MAX_CRLS])
    signers = children(data, infos)
    if len(signers) > MAX_SIGNERS:
        raise LimitExceeded(f"the message has more than {MAX_SIGNERS} signers")
    found.signers = tuple(_signer_info(data, one) for one in signers)
    return found


def _content(data: bytes, encapsulated: list[Node]) -> bytes | None:
    if len(encapsulated) < 2:
        return None
    inner = children(data, encapsulated[1])
    if len(inner) != 1 or inner[0][0] & ~0x20 != 0x04:
        raise MalformedMail("the signed content is not an OCTET STRING")
    return octets(data, inner[0])


def _signer_info(data: bytes, node: Node) -> SignerInfo:
    fields = children(data, node)
    if len(fields) < 5:
        raise MalformedMail("a signer does not have the form of one")
    signer = SignerInfo()
    sid, digest_algorithm = fields[1], fields[2]
    signer.identifier = data[sid[1] : sid[3]] if sid[0] == SEQUENCE else b""
    signer.key_identifier = octets(data, sid) if sid[0] in (0x80, 0xA0) else b""
    if not signer.identifier and not signer.key_identifier:
        raise MalformedMail("a signer is named in no known way")
    signer.name = describe(data, sid)
    digest_oid = _algorithm(data, digest_algorithm)
    signer.digest = alg.DIGEST_OF.get(digest_oid) or oid_text(digest_oid)
    rest = fields[3:]
    signer.attributes = None
    if rest[0][0] == 0xA0:
        signer.attributes = Attributes(data, rest[0])
        rest = rest[1:]
    if len(rest) < 2 or rest[1][0] & ~0x20 != 0x04:
        raise MalformedMail("a signer has no signature value")
    signature_oid = _algorithm(data, rest[0])
    signer.signature = alg.SIGNATURES.get(signature_oid, (oid_text(signature_oid), None))
    signer.value = octets(data, rest[1])
    return signer


def _algorithm(data: bytes, node: Node) -> bytes:
    """Return the content octets of an AlgorithmIdentifier's identifier."""
    parts = children(data, node) if node[0] == SEQUENCE else []
    if not parts or parts[0][0] != 0x06:
        raise MalformedMail("an algorithm is named in no known way")
    return data[parts[0][2] : parts[0][3]]


class Content:
    """The content that signatures are held against, with its digests kept.

    ``repair`` gives the same content with CRLF line ends, or None when there
    is nothing to repair: mail filters and mailboxes hand over bare LF, and
    what was signed had CRLF (RFC 8551 §3.1.1).
    """

    __slots__ = ("_digests", "_repair", "_repaired", "as_received", "repaired")

    def __init__(self, data: bytes, repair: Callable[[bytes], bytes] | None = None) -> None:
        self.as_received = data
        self.repaired = False
        self._repair = repair if repair is not None and b"\n" in data else None
        self._repaired: bytes | None = None
        self._digests: dict[tuple[str, bool], bytes] = {}

    @property
    def data(self) -> bytes:
        """The content in the form in which a signature fitted."""
        return self._repaired if self.repaired and self._repaired is not None else self.as_received

    def digest(self, name: str, repaired: bool = False) -> bytes | None:
        """Return the digest, of the repaired form if asked; None where there is none."""
        known = self._digests.get((name, repaired))
        if known is not None:
            return known
        data = self.as_received
        if repaired:
            if self._repair is None:
                return None
            if self._repaired is None:
                self._repaired = self._repair(data)
            if self._repaired == data:
                return None
            data = self._repaired
        value = self._digests[name, repaired] = alg.digest(name, data)
        return value


def check(
    signed: SignedData,
    content: Content,
    *,
    policy: Policy,
    known: Sequence[x509.Certificate] = (),
) -> tuple[CheckedSignature, ...]:
    """Check every signature over ``content``; never raises for a bad one.

    ``known`` are certificates from elsewhere, for messages that do not carry
    the signer's.
    """
    return tuple(_check(signer, signed, content, policy, known) for signer in signed.signers)


def _check(
    signer: SignerInfo,
    signed: SignedData,
    content: Content,
    policy: Policy,
    known: Sequence[x509.Certificate],
) -> CheckedSignature:
    result = CheckedSignature(signer)
    if signer.digest not in alg.DIGESTS:
        reason = f"digest algorithm {signer.digest} is not supported"
        result.intact = Finding.open("not-supported", reason, "RFC 5754 §2")
        return result
    if signer.digest in alg.WEAK_DIGESTS and signer.digest not in policy.weak:
        reason = f"{signer.digest.upper()} is too weak to be relied on"
        result.intact = Finding.no("weak-algorithm", reason, "RFC 8551 §2.1")
        return result
    covered = _covered(signer, signed, content, policy, result)
    if signer.attributes is not None:
        result.signed_at = signer.attributes.signing_time()
        result.capabilities = signer.attributes.capabilities()
    # A signature over attributes can be genuine although the content is not
    # what they say; both are told.
    _check_value(signer, covered, _candidates(signer, signed, known), result)
    return result


def _covered(
    signer: SignerInfo,
    signed: SignedData,
    content: Content,
    policy: Policy,
    result: CheckedSignature,
) -> list[bytes]:
    """Settle ``intact`` and return the octets that the value may cover, likeliest first."""
    attributes = signer.attributes
    if attributes is None:
        return _covered_without_attributes(signed, content, policy, result)
    stated = attributes.message_digest()
    if stated is None or attributes.content_type() != signed.content_type:
        result.intact = Finding.no(
            "attributes-invalid",
            "the signed attributes do not name exactly one digest and the type of the content",
            "RFC 5652 §11.1, §11.2",
        )
    else:
        result.digest = content.digest(signer.digest) or b""
        if stated == result.digest:
            result.intact = _INTACT
        elif stated == content.digest(signer.digest, repaired=True):
            result.digest = stated
            result.intact = _INTACT
            content.repaired = True
            result.notes += (
                Note("line-ends", "the line ends were changed on the way and put back to CRLF"),
            )
        else:
            result.intact = Finding.no(
                "digest-differs", "the content was changed after signing", "RFC 5652 §5.4"
            )
    forms = [attributes.as_received()]
    if not attributes.in_order:
        # RFC 5652 §5.3 wants DER. Some sign what they send, some sort first.
        result.notes += (Note("attributes-not-der", "the signed attributes are not in DER order"),)
        forms.append(attributes.in_der())
    return forms


def _covered_without_attributes(
    signed: SignedData, content: Content, policy: Policy, result: CheckedSignature
) -> list[bytes]:
    result.digest = content.digest(result.digest_algorithm) or b""
    if signed.content_type != alg.DATA:
        result.intact = Finding.no(
            "attributes-missing",
            "content that is not plain data must be signed through attributes",
            "RFC 5652 §5.3",
        )
        return []
    if _is_attributes(content.as_received):
        # Whoever holds a signature over attributes could show those as content.
        result.intact = Finding.no(
            "attributes-as-content",
            "the content is the signed attributes of another message: a forgery",
            "RFC 5652 §5.3",
        )
        return []
    if "no-attributes" not in policy.weak:
        result.intact = Finding.no(
            "attributes-missing",
            "the signature has no signed attributes, so it could be taken from another message",
            "RFC 8551 §2.5",
        )
        return []
    result.intact = _INTACT
    return [content.as_received]


def _is_attributes(content: bytes) -> bool:
    """Content reads as SET OF Attribute with contentType and messageDigest among them."""
    if content[:1] != b"\x31":
        return False
    try:
        found = Attributes(content, top(content))
    except (SmimeError, Indefinite):
        return False
    return found.content_type() is not None or found.message_digest() is not None


def _candidates(
    signer: SignerInfo, signed: SignedData, known: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return every certificate that the signer's identifier can mean."""
    from cryptography.hazmat.primitives.serialization import Encoding

    pairs: list[tuple[bytes, x509.Certificate | None]] = [
        (d, None) for d in signed.certificates_der
    ]
    pairs += [(one.public_bytes(Encoding.DER), one) for one in known]
    if signer.identifier:
        names = [(_identifier_of(der), der, one) for der, one in pairs]
        hits = [(der, one) for name, der, one in names if name == signer.identifier]
        if not hits:
            value = by_value(signer.identifier)
            hits = [(der, one) for name, der, one in names if name and by_value(name) == value]
        found = [one or parse_certificate(der) for der, one in dict(hits).items()]
    else:
        parsed_all = [one or parse_certificate(der) for der, one in dict(pairs).items()]
        found = [
            one
            for one in parsed_all
            if one is not None and signer.key_identifier in _key_identifiers(one)
        ]
    return [one for one in found if one is not None]


def _identifier_of(der: bytes) -> bytes:
    try:
        return issuer_and_serial(der)
    except (SmimeError, Indefinite):
        return b""


def _key_identifiers(certificate: x509.Certificate) -> tuple[bytes, ...]:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return key_identifiers(certificate)
    except (UnsupportedAlgorithm, ValueError):
        return ()


def _check_value(
    signer: SignerInfo,
    covered: list[bytes],
    candidates: list[x509.Certificate],
    result: CheckedSignature,
) -> None:
    """Settle ``genuine`` and ``certificate``."""
    if not candidates:
        result.genuine = Finding.open(
            "no-certificate",
            f"the certificate of the signer ({signer.name}) is not at hand",
            "RFC 5652 §5.1",
        )
        return
    result.certificate = candidates[0]
    if not covered:
        return
    key_kind, named_digest = signer.signature
    if key_kind not in ("rsa", "ec"):
        reason = f"signature algorithm {key_kind} is not supported"
        result.genuine = Finding.open("not-supported", reason, "RFC 5754 §3")
        return
    if named_digest not in (None, signer.digest):
        result.genuine = Finding.no(
            "algorithms-differ",
            f"the signature names {named_digest}, the signer {signer.digest}",
            "RFC 5652 §5.3",
        )
        return
    fitting = [one for one in candidates if _verifies(one, key_kind, signer, covered)]
    if not fitting:
        result.genuine = Finding.no(
            "signature-wrong", "the signature was not made with the signer's key", "RFC 5652 §5.6"
        )
    elif len(fitting) > 1:
        result.certificate = fitting[0]
        result.genuine = Finding.no(
            "certificate-ambiguous",
            f"{len(fitting)} certificates with the same key claim this signature",
            "RFC 5652 §5.3",
        )
    else:
        result.certificate = fitting[0]
        result.genuine = _GENUINE


def _verifies(
    certificate: x509.Certificate, kind: str, signer: SignerInfo, covered: list[bytes]
) -> bool:
    """The value was made with this certificate's key over one of the forms."""
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    try:
        public = certificate.public_key()
    except (UnsupportedAlgorithm, ValueError):
        return False
    hash_algorithm = alg.hash_class(signer.digest)
    for octets_covered in covered:
        try:
            if kind == "rsa" and isinstance(public, rsa.RSAPublicKey):
                public.verify(signer.value, octets_covered, padding.PKCS1v15(), hash_algorithm)
            elif kind == "ec" and isinstance(public, ec.EllipticCurvePublicKey):
                public.verify(signer.value, octets_covered, ec.ECDSA(hash_algorithm))
            else:
                return False
        except (InvalidSignature, UnsupportedAlgorithm, ValueError):
            continue
        return True
    return False
