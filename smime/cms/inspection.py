"""What a CMS structure holds, told without keys, trust or verdict.

Floor:  cms (uses errors)
Source: RFC 5652 §3 to §10
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms import enveloped, signatures
from smime.cms.armour import unarmoured
from smime.cms.ber import parsed
from smime.cms.content import content_info
from smime.cms.content import name as content_name
from smime.cms.extras import by_type
from smime.cms.names import name_of
from smime.errors import LimitExceeded
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from cryptography import x509

    from smime.cms.recipients import Recipients
    from smime.source import Data

__all__ = ["inspect"]


MAX_INSPECTED_OCTETS = 1 << 30  # held whole, content and all


def inspect(blob: Data) -> dict[str, Any]:
    """Return what the structure holds as plain values: types, algorithms, names, sizes.

    ``blob`` is a ContentInfo in BER, DER or PEM, as bytes, a path or a binary
    file. No key is needed and nothing is verified. Kinds that are not supported
    are named by their ``type`` alone.

    Raises ``MalformedMail``, ``LimitExceeded`` and ``OSError``.
    """
    with Source(blob, "blob") as given:
        octets = unarmoured(given).read(MAX_INSPECTED_OCTETS)
    if octets is None:
        raise LimitExceeded(f"more than {MAX_INSPECTED_OCTETS} octets are not inspected")
    return _inspect(octets)


def _inspect(blob: bytes) -> dict[str, Any]:
    kind = parsed(blob, lambda data: content_info(data)[0])
    found: dict[str, Any] = {
        "type": content_name(kind),
        "size": len(blob),
    }
    if kind == alg.SIGNED_DATA:
        found.update(_signed(signatures.read(blob)))
    elif kind in (alg.ENVELOPED_DATA, alg.AUTH_ENVELOPED_DATA, alg.ENCRYPTED_DATA):
        found.update(_enveloped(enveloped.read(blob)))
    elif kind == alg.COMPRESSED_DATA:
        found.update(_compressed(blob))
    elif kind == alg.DIGESTED_DATA:
        found.update(_digested(blob))
    elif kind == alg.AUTHENTICATED_DATA:
        found.update(_authenticated(blob))
    return found


def _signed(signed: signatures.SignedData) -> dict[str, Any]:
    return {
        "content_type": content_name(signed.content_type),
        "content_size": None if signed.content is None else len(signed.content),
        "signers": [_signer(one) for one in signed.signers],
        "certificates": [_certificate(one) for one in signed.certificates()],
        "certificates_unreadable": len(signed.certificates_der) - len(signed.certificates()),
        "crls": len(signed.crls),
    }


def _signer(signer: signatures.SignerInfo) -> dict[str, Any]:
    signed_at = signer.attributes.signing_time() if signer.attributes else None
    return {
        "identifier": signer.name,
        "digest": signer.digest,
        "signature": signer.scheme.label,
        "attributes": signer.attributes is not None,
        "signed_at": signed_at.isoformat() if signed_at else None,
        "capabilities": list(signer.attributes.capabilities()) if signer.attributes else [],
    }


def _certificate(certificate: x509.Certificate) -> dict[str, Any]:
    return {
        "subject": name_of(lambda: certificate.subject),
        "issuer": name_of(lambda: certificate.issuer),
        "serial": f"{certificate.serial_number:x}",
        "not_before": certificate.not_valid_before_utc.isoformat(),
        "not_after": certificate.not_valid_after_utc.isoformat(),
    }


def _compressed(blob: bytes) -> dict[str, Any]:
    from smime.cms.compressed import Compressed
    from smime.cms.stream import begin

    packed = Compressed(*begin(Source(blob, "blob")))
    return {
        "compression": packed.why_not or "zlib",
        "content_type": content_name(packed.content_type),
    }


def _digested(blob: bytes) -> dict[str, Any]:
    from smime.cms.digested import Digested
    from smime.cms.stream import begin

    digested = Digested(begin(Source(blob, "blob"))[0])
    return {
        "digest": digested.digest,
        "content_type": content_name(digested.content_type),
        "detached": digested.detached,
    }


def _authenticated(blob: bytes) -> dict[str, Any]:
    from smime.cms.authenticated import Authenticated
    from smime.cms.stream import begin

    coded = Authenticated(begin(Source(blob, "blob"))[0])
    return {
        "code": f"HMAC-{coded.mac.upper()}" if coded.supported else coded.mac,
        "content_type": content_name(coded.content_type),
        "detached": coded.detached,
        "recipients": _recipients(coded.sealed),
    }


def _recipients(sealed: Recipients) -> list[dict[str, Any]]:
    return [
        {"identifier": one.name, "kind": one.kind, "supported": not one.why_not} for one in sealed
    ]


def _enveloped(envelope: enveloped.Envelope) -> dict[str, Any]:
    return {
        "cipher": envelope.label,
        "derived_key": bool(envelope.derived_for),
        "authenticated": envelope.authenticated,
        "content_type": content_name(envelope.content_type),
        "attributes": list(by_type(envelope.aad)),
        "unprotected_attributes": list(by_type(envelope.unprotected)),
        "content_size": len(envelope.ciphertext),
        "recipients": _recipients(envelope.sealed),
    }
