"""Certificates joined from their parts, in DER.

A CA's certificates differ in few of their fields. What is the same for all of one kind
is encoded once, by ``Template``; each certificate is then some forty short joins.

Floor:  certificate (uses names, profiles and keys)
Source: RFC 5280 §4.1 for the fields and §4.2.1 for the extensions, in their order there;
        RFC 4262 for the capabilities, RFC 6960 §4.2.2.2.1 for OCSP responders
"""

from __future__ import annotations

import hashlib

from pki import names
from smime.cms.algorithms import CAPABILITIES
from smime.cms.der import (
    children,
    integer,
    octet_string,
    oid,
    sequence,
    time,
    tlv,
    top,
)

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from datetime import datetime

    from pki.profiles import Profile
    from pki.requests import CertificationRequest

__all__ = ["Template", "issuer_of", "key_identifier", "signed", "subject_of"]

_V3 = tlv(0xA0, integer(2))
_TRUE = b"\x01\x01\xff"
_BIT_STRING = 0x03
_NO_HOSTS = (
    tlv(0x82, b""),  # every dNSName
    tlv(0x87, bytes(8)),  # 0.0.0.0/0
    tlv(0x87, bytes(32)),  # ::/0
)
_CAPABILITY = dict(CAPABILITIES)

_SKI = oid("2.5.29.14")
_KEY_USAGE = oid("2.5.29.15")
_SAN = oid("2.5.29.17")
_BASIC = oid("2.5.29.19")
_NAME_CONSTRAINTS = oid("2.5.29.30")
_CRL_POINTS = oid("2.5.29.31")
_POLICIES = oid("2.5.29.32")
_AKI = oid("2.5.29.35")
_EXTENDED = oid("2.5.29.37")
_AIA = oid("1.3.6.1.5.5.7.1.1")
_AD_OCSP = oid("1.3.6.1.5.5.7.48.1")
_AD_ISSUERS = oid("1.3.6.1.5.5.7.48.2")
_NO_CHECK = oid("1.3.6.1.5.5.7.48.1.5")
_SMIME_CAPABILITIES = oid("1.2.840.113549.1.9.15")


def _extension(identifier: bytes, value: bytes, *, critical: bool = False) -> bytes:
    return sequence(identifier, _TRUE if critical else b"", octet_string(value))


class Template:
    """What all certificates of one profile by one CA have in common."""

    __slots__ = ("_algorithm", "_families", "_issuer", "_profile", "_tail", "_top", "_validity")

    def __init__(
        self,
        profile: Profile,
        *,
        signature_algorithm: bytes,
        issuer: bytes,
        issuer_key_id: bytes,
        domains: Iterable[str] = (),
        crl_urls: Iterable[str] = (),
        ca_urls: Iterable[str] = (),
        ocsp_urls: Iterable[str] = (),
    ) -> None:
        self._profile = profile
        self._algorithm = signature_algorithm
        self._issuer = issuer
        self._validity: tuple[datetime, datetime, bytes] | None = None
        basic = _TRUE if profile.authority else b""
        if profile.path_length is not None:
            basic += integer(profile.path_length)
        # DER leaves FALSE out, so for users basicConstraints is an empty SEQUENCE.
        self._top = _extension(_BASIC, sequence(basic), critical=True)
        self._families = {
            family: _extension(_KEY_USAGE, _bits(profile.usage_bits(family) or 0), critical=True)
            for family in profile.key_usage
        }
        after_key = _extension(_AKI, sequence(tlv(0x80, issuer_key_id)))
        self._tail = (
            after_key,
            b"".join(_common(profile, domains, crl_urls, ca_urls, ocsp_urls)),
        )

    def fill(
        self,
        request: CertificationRequest,
        *,
        serial: int,
        not_before: datetime,
        not_after: datetime,
        subject: bytes,
        spki: bytes,
        family: str,
    ) -> bytes:
        """Give the TBSCertificate."""
        aki, tail = self._tail
        own = [
            self._top,
            self._families[family],
            _extension(_SKI, octet_string(key_identifier(spki))),
            aki,
        ]
        if request.addresses or request.hosts:
            san = names.alternative_names(request.addresses, request.hosts)
            # An empty subject makes this the only name, and then it is critical (§4.2.1.6).
            own.append(_extension(_SAN, san, critical=subject == b"\x30\x00"))
        return sequence(
            _V3,
            integer(serial),
            self._algorithm,
            self._issuer,
            self._written(not_before, not_after),
            subject,
            spki,
            tlv(0xA3, sequence(*own, tail)),
        )

    def _written(self, not_before: datetime, not_after: datetime) -> bytes:
        """Give the Validity; many certificates are made in one second."""
        last = self._validity
        if last is None or last[0] != not_before or last[1] != not_after:
            validity = sequence(time(not_before), time(not_after))
            last = self._validity = (not_before, not_after, validity)
        return last[2]


def _common(
    profile: Profile,
    domains: Iterable[str],
    crl_urls: Iterable[str],
    ca_urls: Iterable[str],
    ocsp_urls: Iterable[str],
) -> Iterable[bytes]:
    """Extensions that do not depend on the holder."""
    if profile.purposes:
        purposes = sequence(*map(oid, profile.purposes))
        yield _extension(_EXTENDED, purposes, critical=profile.critical_purposes)
    if profile.policies:
        yield _extension(_POLICIES, sequence(*(sequence(oid(one)) for one in profile.policies)))
    permitted = [sequence(tlv(0x81, domain.encode())) for domain in domains]
    if permitted:
        # Mail of these domains, and no host at all: the certificate of a web server
        # below this CA is refused by every reader.
        constraints = sequence(
            tlv(0xA0, b"".join(permitted)),
            tlv(0xA1, b"".join(sequence(one) for one in _NO_HOSTS)),
        )
        yield _extension(_NAME_CONSTRAINTS, constraints, critical=True)
    points = [sequence(tlv(0xA0, tlv(0xA0, tlv(0x86, url.encode())))) for url in crl_urls]
    if points:
        yield _extension(_CRL_POINTS, sequence(*points))
    access = [sequence(_AD_OCSP, tlv(0x86, url.encode())) for url in ocsp_urls]
    access += [sequence(_AD_ISSUERS, tlv(0x86, url.encode())) for url in ca_urls]
    if access:
        yield _extension(_AIA, sequence(*access))
    if profile.ocsp_no_check:
        yield _extension(_NO_CHECK, b"\x05\x00")
    if profile.capabilities:
        known = sequence(*(_CAPABILITY[name] for name in profile.capabilities))
        yield _extension(_SMIME_CAPABILITIES, known)


def _bits(value: int) -> bytes:
    """Encode named bits, the lowest first, without zeros at the end (X.690 §11.2.2)."""
    width = value.bit_length()
    octets = (width + 7) // 8
    reverse = int(f"{value:0{octets * 8}b}"[::-1], 2) if octets else 0
    return tlv(_BIT_STRING, bytes((octets * 8 - width,)) + reverse.to_bytes(octets, "big"))


def key_identifier(spki: bytes) -> bytes:
    """Give SHA-1 of the key's bits: a name for it, not a protection (§4.2.1.2)."""
    bits = children(spki, top(spki))[1]
    return hashlib.sha1(spki[bits[2] + 1 : bits[3]], usedforsecurity=False).digest()


def signed(tbs: bytes, algorithm: bytes, signature: bytes) -> bytes:
    """Give the Certificate (or CertificateList, or request) of its signed part."""
    return sequence(tbs, algorithm, tlv(_BIT_STRING, b"\x00" + signature))


def issuer_of(tbs: bytes) -> bytes:
    """Give the issuer of a TBSCertificate, byte for byte as it stands there."""
    return _field(tbs, 3)


def subject_of(tbs: bytes) -> bytes:
    """Give the subject of a TBSCertificate, byte for byte as it stands there."""
    return _field(tbs, 5)


def _field(tbs: bytes, place: int) -> bytes:
    parts = children(tbs, top(tbs))
    node = parts[place if parts[0][0] == 0xA0 else place - 1]
    return tbs[node[1] : node[3]]
