"""Answers to "is this certificate revoked?", signed by a responder of the CA.

Joined from octets: what does not change from answer to answer is written once.

Floor:  ocsp (uses signing and facts; asks a function for the status)
Source: RFC 6960 §4, RFC 9654 for the nonce, RFC 9919 for the hashes that name a CA
"""

from __future__ import annotations

import hashlib
from datetime import timedelta
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from pki import keys
from pki.facts import REASONS, Revocation
from pki.signing import Signing
from smime import SmimeError
from smime.cms import der

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
    from datetime import datetime

    # Of each serial number given out: None if it is good. Others are left out.
    Statuses = Callable[[Sequence[int]], Mapping[int, Revocation | None]]

__all__ = ["Responder"]

LIFETIME = timedelta(days=1)  # of an answer; a revocation may stay unseen for so long
MAX_REQUEST_OCTETS = 10_000  # a request for one certificate has about 100
MAX_QUESTIONS = 20  # in one request; RFC 9919 has one
MAX_NONCE_OCTETS = 128  # RFC 9654 §2.1
PRESIGNED_AT_ONCE = 500

_BASIC = der.oid("1.3.6.1.5.5.7.48.1.1")
_NONCE = der.oid("1.3.6.1.5.5.7.48.1.2")
_HASHES = {
    "sha1": "1.3.14.3.2.26",
    "sha256": "2.16.840.1.101.3.4.2.1",
    "sha384": "2.16.840.1.101.3.4.2.2",
    "sha512": "2.16.840.1.101.3.4.2.3",
}
_GOOD, _UNKNOWN = b"\x80\x00", b"\x82\x00"
_MALFORMED, _UNAUTHORIZED = 1, 6  # OCSPResponseStatus (RFC 6960 §4.2.1)


class _Malformed(Exception):
    """The request is not one."""


class Responder:
    """Answers for one CA with a key of its own, whose certificate goes with each answer."""

    __slots__ = ("_certificate", "_id", "_issuers", "_signing", "_statuses", "_times")

    def __init__(
        self,
        key: keys.Key,
        certificate: x509.Certificate,
        issuer: x509.Certificate,
        statuses: Statuses,
    ) -> None:
        """Take the responder's key and certificate, the CA it speaks for, and whom to ask.

        The certificate is the CA's own, or one that the CA made with ``id-kp-OCSPSigning``.
        """
        self._signing = Signing(key)
        self._statuses = statuses
        own = certificate.public_bytes(Encoding.DER)
        self._certificate = b"" if certificate == issuer else der.tlv(0xA0, der.sequence(own))
        name, key_bits = issuer.subject.public_bytes(), _key_bits(issuer)
        # byKey: SHA-1 of the responder's public key (RFC 6960 §4.2.1), no secret is made of it.
        key_hash = hashlib.sha1(_key_bits(certificate)).digest()  # noqa: S324
        self._id = der.tlv(0xA2, der.octet_string(key_hash))
        # How a CertID begins that names this CA: per hash, with NULL parameters and without.
        beginnings: list[bytes] = []
        for hash_name, oid in _HASHES.items():
            names = der.octet_string(hashlib.new(hash_name, name).digest()) + der.octet_string(
                hashlib.new(hash_name, key_bits).digest()
            )
            for parameters in (der.NULL, b""):
                beginnings.append(der.sequence(der.oid(oid), parameters) + names)

        self._issuers = frozenset(beginnings)
        self._times: tuple[datetime, datetime, bytes, bytes] | None = None

    def answer(self, request_der: bytes, *, at: datetime) -> bytes:
        """Answer a request; what cannot be read, or is for another CA, gets an unsigned refusal."""
        try:
            questions, nonce = _read(request_der)
        except _Malformed:
            return _refusal(_MALFORMED)
        if any(beginning not in self._issuers for beginning, _, _ in questions):
            return _refusal(_UNAUTHORIZED)
        known = self._statuses([serial for _, serial, _ in questions])
        singles = [(cert_id, known.get(serial, "unknown")) for _, serial, cert_id in questions]
        extra = b""
        if nonce is not None:
            extra = der.tlv(0xA1, der.sequence(der.sequence(_NONCE, der.octet_string(nonce))))
        # An answer to a nonce is for nobody else, but may be kept by who asked.
        return self._signed(singles, extra, at, at + LIFETIME)

    def presign(
        self,
        serials: Iterable[int],
        *,
        at: datetime,
        lifetime: timedelta = timedelta(days=7),
        hash_name: str = "sha1",
    ) -> Iterator[tuple[int, bytes]]:
        """Sign answers beforehand, without a nonce: for a web server or a cache (RFC 9919 §5).

        ``hash_name`` is ``sha1``, which every program asks with, or ``sha256``. Serials
        that were not given out are left out.
        """
        oid = der.oid(_HASHES[hash_name])
        # As openssl and the RFC's examples write it: SHA-1 with NULL.
        start = der.sequence(oid, der.NULL)
        beginning = next(one for one in self._issuers if one.startswith(start))
        batch: list[int] = []
        for serial in serials:
            batch.append(serial)
            if len(batch) == PRESIGNED_AT_ONCE:
                yield from self._presigned(batch, beginning, at, at + lifetime)
                batch = []
        yield from self._presigned(batch, beginning, at, at + lifetime)

    def _presigned(
        self, serials: list[int], beginning: bytes, at: datetime, until: datetime
    ) -> Iterator[tuple[int, bytes]]:
        known = self._statuses(serials) if serials else {}
        for serial in serials:
            if serial in known:
                cert_id = der.sequence(beginning, der.integer(serial))
                yield serial, self._signed([(cert_id, known[serial])], b"", at, until)

    def _signed(
        self,
        singles: Sequence[tuple[bytes, Revocation | str | None]],
        extra: bytes,
        at: datetime,
        until: datetime,
    ) -> bytes:
        last = self._times
        if last is None or last[0] != at or last[1] != until:  # written once a second
            now = _time(at)
            last = self._times = (at, until, now, now + der.tlv(0xA0, _time(until)))
        _, _, now, times = last
        answers = [der.sequence(cert_id, _status(status), times) for cert_id, status in singles]
        tbs = der.sequence(self._id, now, der.sequence(*answers), extra)
        signature = self._signing.sign(tbs)
        basic = der.sequence(
            tbs,
            self._signing.algorithm,
            der.head(0x03, len(signature) + 1),
            b"\0",
            signature,
            self._certificate,
        )
        inner = der.sequence(_BASIC, der.octet_string(basic))
        return der.sequence(b"\x0a\x01\x00", der.tlv(0xA0, inner))


def _status(status: Revocation | str | None) -> bytes:
    """Write a CertStatus: good [0], revoked [1], unknown [2]."""
    if status is None:
        return _GOOD
    if isinstance(status, str):
        return _UNKNOWN
    reason = REASONS[status.reason]
    # Unspecified is left out, as in a CRL.
    why = der.tlv(0xA0, bytes((0x0A, 1, reason))) if reason else b""
    return der.tlv(0xA1, _time(status.at) + why)


def _refusal(status: int) -> bytes:
    return der.sequence(bytes((0x0A, 1, status)))


def _time(at: datetime) -> bytes:
    year, month, day, hour, minute, second = at.utctimetuple()[:6]
    return b"\x18\x0f%04d%02d%02d%02d%02d%02dZ" % (year, month, day, hour, minute, second)


def _key_bits(certificate: x509.Certificate) -> bytes:
    """Give the octets of the BIT STRING subjectPublicKey, which OCSP hashes."""
    spki = keys.spki(keys.check(certificate.public_key()))
    _, _, at, end = der.children(spki, der.top(spki))[1]
    return spki[at + 1 : end]  # the first octet counts unused bits: none


def _read(data: bytes) -> tuple[list[tuple[bytes, int, bytes]], bytes | None]:
    """Read an OCSPRequest (RFC 6960 §4.1.1): its questions, and the nonce with its own header.

    Of each question: how its CertID begins, the serial number, the whole CertID. A
    signature on the request is not looked at: everybody may ask.
    """
    try:
        if len(data) > MAX_REQUEST_OCTETS:
            raise _Malformed
        outer = der.top(data)
        if outer[0] != der.SEQUENCE or outer[3] != len(data):
            raise _Malformed
        tbs = der.children(data, outer)[0]
        wanted, nonce = None, None
        for tag, start, content, end in der.children(data, tbs):
            if tag == der.SEQUENCE:
                wanted = (tag, start, content, end)
            elif tag == 0xA2:
                nonce = _nonce(data, der.children(data, (tag, start, content, end))[0])
            elif tag not in (0xA0, 0xA1):  # version, requestorName
                raise _Malformed
        if wanted is None:
            raise _Malformed
        questions = []
        for one in der.children(data, wanted, MAX_QUESTIONS):
            cert_id = der.children(data, one)[0]
            parts = der.children(data, cert_id)
            serial = parts[3]
            octets = data[serial[2] : serial[3]]
            number = int.from_bytes(octets, "big", signed=True)
            well_formed = (
                one[0] == cert_id[0] == der.SEQUENCE
                and len(parts) == 4
                and 0 < number < 1 << 160
                # It goes into the answer as it stands, so it has to be DER.
                and data[serial[1] : serial[3]] == der.integer(number)
            )
            if not well_formed:
                raise _Malformed
            questions.append(
                (
                    data[cert_id[2] : serial[1]],
                    number,
                    data[cert_id[1] : cert_id[3]],
                )
            )
        if not questions:
            raise _Malformed
    except (SmimeError, IndexError, der.Indefinite) as error:
        raise _Malformed from error
    return questions, nonce


def _nonce(data: bytes, extensions: der.Node) -> bytes | None:
    """Give the nonce, an OCTET STRING of 1 to 128 octets, as it came; None if there is none."""
    found = None
    for each in der.children(data, extensions, MAX_QUESTIONS):
        parts = der.children(data, each)
        if data[parts[0][1] : parts[0][3]] != _NONCE:
            continue  # what else may be asked for is a wish (RFC 6960 §4.4)
        value = data[parts[-1][2] : parts[-1][3]]
        inner = der.top(value)
        length = inner[3] - inner[2]
        right = inner[0] == der.OCTET_STRING and inner[3] == len(value)
        if found is not None or not right or not 1 <= length <= MAX_NONCE_OCTETS:
            raise _Malformed
        found = value
    return found
