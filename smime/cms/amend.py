"""Adding to a SignedData that exists: signers, countersignatures, evidence.

What others made stays as it is, byte for byte: their SignerInfos, certificates
and the content are slices of what came in. Only the frame around them is
written anew, in definite lengths.

Floor:  cms (uses errors, policy)
Source: RFC 5652 §5.1 for the version, §11.4 for countersignatures; RFC 5940 for OCSP
        answers; RFC 3161 Appendix A for time stamps
"""

from __future__ import annotations

import os

from smime.cms import algorithms as alg
from smime.cms import attributes as attrs
from smime.cms import signatures, signed
from smime.cms.ber import definite, parsed
from smime.cms.content import content_info
from smime.cms.der import (
    INTEGER,
    SEQUENCE,
    SET,
    Indefinite,
    children,
    integer,
    octet_string,
    oid_text,
    sequence,
    tlv,
    top,
)
from smime.cms.signerinfo import MAX_SIGNERS, OCSP_RESPONSE, read_signer
from smime.errors import LimitExceeded, MalformedMail
from smime.policy import MODERN, moment

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from datetime import datetime
    from typing import Any

    from cryptography import x509

    from smime.cms.der import Node
    from smime.cms.signed import SigningKey
    from smime.policy import Policy

__all__ = ["add_signer", "attach", "countersign", "strip", "timestamp_query"]

MAX_TOKEN_OCTETS = 256 * 1024  # real ones have 2 to 10 KiB, with a chain

_TRUE = b"\x01\x01\xff"


def add_signer(
    blob: bytes,
    *,
    by: Any,
    content: bytes | None = None,
    digests: Mapping[str, bytes] | None = None,
    signed_attributes: Iterable[bytes] = (),
    unsigned_attributes: Iterable[bytes] = (),
    policy: Policy = MODERN,
    at: datetime | None = None,
) -> bytes:
    """Return the SignedData with one signature more, or several.

    ``by`` is an ``Identity``, a ``SigningKey``, anything with ``certificate``
    and ``sign()``, or several. ``content`` is what a detached signature signs;
    ``digests`` its digests by name, where it was digested elsewhere.

    Raises ``MalformedMail`` if ``blob`` is no SignedData, or if the signers that
    it has signed another content; ``ValueError`` without the content of a
    detached one; ``LimitExceeded`` for too many signers; else as ``signed.build``.
    """
    keys, when = _signing_keys(by), moment(at)
    parts = _Parts(bytes(blob))
    message = signatures.read(parts.data)
    over = content if message.content is None else message.content
    if over is None and digests is None:
        raise ValueError("the signature is detached: give content= as well")
    if message.content is not None and content not in (None, message.content):
        raise MalformedMail("the content that is given is not the one inside")
    choices = signed.Choices(message.content_type, True, signed_attributes, unsigned_attributes)
    names = signed.digest_names(keys, policy)
    found = dict(digests or {}) if over is None else {one: alg.digest(one, over) for one in names}
    for one in message.signers:
        _demand_same_content(one, over, found)
    if len(parts.infos) + len(keys) > MAX_SIGNERS:
        raise LimitExceeded(f"a message has at most {MAX_SIGNERS} signers")
    parts.infos = _joined(
        parts.infos,
        [
            signed.signer_info(one, policy, choices, at=when, digests=found, content=over)
            for one in keys
        ],
    )
    parts.digests = _joined(parts.digests, [alg.DIGEST_ALGORITHM[name] for name in names])
    parts.certificates = _joined(
        parts.certificates, [der for one in keys for der in one.certificates_der]
    )
    return parts.whole()


def _demand_same_content(
    signer: signatures.SignerInfo, content: bytes | None, digests: Mapping[str, bytes]
) -> None:
    """Refuse to sign beside somebody who signed something else."""
    if signer.attributes is None or signer.digest not in alg.DIGESTS:
        return
    value = digests.get(signer.digest)
    if value is None and content is not None:
        value = alg.digest(signer.digest, content)
    if value is not None and signer.attributes.message_digest() != value:
        raise MalformedMail(f"the signer {signer.name} signed another content than this one")


def countersign(
    blob: bytes,
    index: int = 0,
    *,
    by: Any,
    policy: Policy = MODERN,
    at: datetime | None = None,
) -> bytes:
    """Return the SignedData with a signature over the signature of one signer.

    ``index`` counts the signers as ``inspect`` lists them, from 0. It says that
    this signature was there, and nothing of the content (RFC 5652 §11.4).

    Raises ``MalformedMail``, ``IndexError`` for a signer that is not there, and
    ``KeyProblem``.
    """
    keys, when = _signing_keys(by), moment(at)
    parts = _Parts(bytes(blob))
    value = parts.signer(index).value
    made = [signed.countersigner_info(one, policy, value, at=when) for one in keys]
    parts.put_beside(index, [sequence(attrs.COUNTERSIGNATURE, tlv(SET, one)) for one in made])
    parts.certificates = _joined(
        parts.certificates, [der for one in keys for der in one.certificates_der]
    )
    return parts.whole()


def attach(
    blob: bytes,
    *,
    certificates: Iterable[x509.Certificate | bytes] = (),
    crls: Iterable[x509.CertificateRevocationList | bytes] = (),
    ocsps: Iterable[bytes] = (),
    timestamp: bytes | None = None,
    index: int = 0,
) -> bytes:
    """Return the SignedData with evidence beside it, for those who will judge it later.

    ``certificates`` and ``crls`` are objects or DER, ``ocsps`` are OCSP responses
    in DER. ``timestamp`` is an RFC 3161 token, or a whole answer with a token in
    it, over the signature of the signer ``index``; ``timestamp_query`` asks for
    one. What is there already is not added again.

    Raises ``MalformedMail`` for what is not what it should be, and for a token
    that is over something else.
    """
    parts = _Parts(bytes(blob))
    parts.certificates = _joined(parts.certificates, map(_der, certificates))
    others = [tlv(0xA1, OCSP_RESPONSE + _der(one)) for one in ocsps]
    parts.crls = _joined(parts.crls, [*map(_der, crls), *others])
    if timestamp is not None:
        token = _token(bytes(timestamp))
        _demand_over(token, parts.signer(index).value)
        parts.put_beside(index, [sequence(attrs.TIME_STAMP_TOKEN, tlv(SET, token))])
    return parts.whole()


def strip(
    blob: bytes, *, certificates: bool = False, crls: bool = False, unsigned: bool = False
) -> bytes:
    """Return the SignedData without what is named; no signature changes by that.

    ``crls`` are all revocation data, OCSP responses too; ``unsigned`` are the
    unsigned attributes of every signer: countersignatures and time stamps.
    Raises ``MalformedMail``.
    """
    parts = _Parts(bytes(blob))
    if certificates:
        parts.certificates = []
    if crls:
        parts.crls = []
    if unsigned:
        ordered = parts.infos == sorted(parts.infos)
        parts.infos = [_without_unsigned(one) for one in parts.infos]
        if ordered:
            parts.infos.sort()
    return parts.whole()


def timestamp_query(blob: bytes, index: int = 0, *, digest: str = "sha256") -> bytes:
    """Return a TimeStampReq over the signature of one signer, with a fresh nonce.

    Send it by HTTP as ``application/timestamp-query``, and give the answer to
    ``attach(timestamp=...)`` (RFC 3161 §2.4.1, §3.4). ``digest`` is ``sha256``,
    ``sha384`` or ``sha512``.
    """
    if digest not in ("sha256", "sha384", "sha512"):
        raise ValueError(f"digest={digest!r}: choose one of sha256, sha384, sha512")
    value = _Parts(bytes(blob)).signer(index).value
    imprint = sequence(alg.DIGEST_ALGORITHM[digest], octet_string(alg.digest(digest, value)))
    nonce = integer(int.from_bytes(os.urandom(8), "big"))
    return sequence(integer(1), imprint, nonce, _TRUE)


def _signing_keys(by: Any) -> list[SigningKey]:
    several = by if isinstance(by, list | tuple) else (by,)
    found = [_signing_key(one) for one in several]
    if not found:
        raise ValueError("by= is empty: a signature needs at least one Identity")
    return found


def _signing_key(given: Any) -> SigningKey:
    ready = given if isinstance(given, signed.SigningKey) else getattr(given, "signing_key", None)
    if isinstance(ready, signed.SigningKey):
        return ready
    if callable(getattr(given, "sign", None)) and hasattr(given, "certificate"):
        return signed.SigningKey(given, given.certificate, getattr(given, "chain", ()))
    raise TypeError(
        f"by= takes an Identity or several, not {type(given).__name__}:"
        " smime.Identity.load('alice.p12')"
    )


def _der(given: Any) -> bytes:
    """Return an object of ``cryptography``, or DER as it stands, as one element of DER."""
    if not isinstance(given, bytes | bytearray | memoryview):
        from cryptography.hazmat.primitives.serialization import Encoding

        der: bytes = given.public_bytes(Encoding.DER)
        return der
    found = bytes(given)
    try:
        node = top(found)
    except Indefinite:
        node = (0, 0, 0, 0)
    if node[0] != SEQUENCE or node[3] != len(found):
        raise MalformedMail("what is to be attached is not one structure in DER")
    return found


def _joined(found: Sequence[bytes], more: Iterable[bytes]) -> list[bytes]:
    """Add what is not there yet; in DER order if that is the order it had."""
    ordered = list(found) == sorted(found)
    known = set(found)
    joined = [*found, *(one for one in dict.fromkeys(more) if one not in known)]
    return sorted(joined) if ordered else joined


def _token(answer: bytes) -> bytes:
    """Return the token of a TimeStampResp, or what is one already."""
    if len(answer) > MAX_TOKEN_OCTETS:
        raise LimitExceeded(f"a time stamp has at most {MAX_TOKEN_OCTETS} octets")
    try:
        _demand_definite(answer, top(answer))
    except Indefinite:
        answer = definite(answer)
    parts = children(answer, top(answer))
    if len(parts) == 2 and parts[0][0] == parts[1][0] == SEQUENCE:
        answer = answer[parts[1][1] : parts[1][3]]
    if content_info(answer)[0] != alg.SIGNED_DATA:
        raise MalformedMail("there is no time stamp in the answer")
    return answer


def _demand_over(token: bytes, value: bytes) -> None:
    from smime.cms.timestamp import check_token

    checked = check_token(token, value, policy=MODERN)
    if not checked.intact.accepted:
        raise MalformedMail(f"the time stamp does not fit: {checked.intact.reason}")


class _Parts:
    """A SignedData taken apart into slices that can be joined again."""

    __slots__ = (
        "certificates",
        "content_type",
        "crls",
        "data",
        "digests",
        "encapsulated",
        "infos",
    )

    def __init__(self, blob: bytes) -> None:
        self.data = blob
        parsed(blob, self._read)

    def _read(self, data: bytes) -> None:
        kind, inner = content_info(data)
        if kind != alg.SIGNED_DATA:
            name = alg.CONTENT_TYPES.get(kind, oid_text(kind))
            raise MalformedMail(f"this is {name}, not signedData")
        fields = children(data, inner)
        tags = [one[0] for one in fields]
        if tags[:3] != [INTEGER, SET, SEQUENCE] or tags[-1:] != [SET] or len(fields) < 4:
            raise MalformedMail("the signedData does not have the form of one")
        _demand_definite(data, inner)
        self.data = data
        self.digests = _slices(data, fields[1])
        self.encapsulated = data[fields[2][1] : fields[2][3]]
        named = children(data, fields[2])
        if not named or named[0][0] != 0x06:
            raise MalformedMail("the signedData names no content type")
        self.content_type = data[named[0][2] : named[0][3]]
        self.certificates: list[bytes] = []
        self.crls: list[bytes] = []
        for one in fields[3:-1]:
            if one[0] == 0xA0:
                self.certificates += _slices(data, one)
            elif one[0] == 0xA1:
                self.crls += _slices(data, one)
        self.infos = _slices(data, fields[-1])
        for info in self.infos:
            read_signer(info, top(info))

    def signer(self, index: int) -> signatures.SignerInfo:
        if not 0 <= index < len(self.infos):
            raise IndexError(f"there is no signer {index}: the message has {len(self.infos)}")
        return read_signer(self.infos[index], top(self.infos[index]))

    def put_beside(self, index: int, more: Sequence[bytes]) -> None:
        """Add unsigned attributes to a signer; those that it has keep their bytes."""
        info = self.infos[index]
        fields = children(info, top(info))
        found: list[bytes] = []
        rest = b"".join(info[one[1] : one[3]] for one in fields)
        if fields[-1][0] == 0xA1:
            found = _slices(info, fields[-1])
            rest = b"".join(info[one[1] : one[3]] for one in fields[:-1])
        if len(found) + len(more) > attrs.MAX_ATTRIBUTES:
            raise LimitExceeded(f"a signer has at most {attrs.MAX_ATTRIBUTES} attributes")
        ordered = self.infos == sorted(self.infos)
        self.infos[index] = sequence(rest, tlv(0xA1, b"".join(_joined(found, more))))
        if ordered:
            self.infos.sort()

    def whole(self) -> bytes:
        """Return all parts joined, with the version that they ask for (RFC 5652 §5.1)."""
        certificates = tlv(0xA0, b"".join(self.certificates)) if self.certificates else b""
        crls = tlv(0xA1, b"".join(self.crls)) if self.crls else b""
        digests, infos = tlv(SET, b"".join(self.digests)), tlv(SET, b"".join(self.infos))
        inner = sequence(
            integer(self._version()), digests, self.encapsulated, certificates, crls, infos
        )
        return sequence(tlv(0x06, alg.SIGNED_DATA), tlv(0xA0, inner))

    def _version(self) -> int:
        certificate_forms = {one[:1] for one in self.certificates}
        if b"\xa3" in certificate_forms or any(one[:1] == b"\xa1" for one in self.crls):
            return 5
        if b"\xa2" in certificate_forms:
            return 4
        newer = any(one[top(one)[2] :][:3] == integer(3) for one in self.infos)
        if b"\xa1" in certificate_forms or newer or self.content_type != alg.DATA:
            return 3
        return 1


def _slices(data: bytes, node: Node) -> list[bytes]:
    return [data[one[1] : one[3]] for one in children(data, node)]


def _without_unsigned(info: bytes) -> bytes:
    fields = children(info, top(info))
    if fields[-1][0] != 0xA1:
        return info
    return sequence(*(info[one[1] : one[3]] for one in fields[:-1]))


def _demand_definite(data: bytes, node: Node) -> None:
    """Raise ``Indefinite`` if any length inside is, so that slices can stand anywhere."""
    waiting = [node]
    while waiting:
        try:
            waiting += [one for one in children(data, waiting.pop()) if one[0] & 0x20]
        except LimitExceeded:
            raise
        except MalformedMail:
            continue  # a certificate of a form of its own is its makers' business
