"""Certificates and keys as files for other programs: PEM, DER, PKCS#7, vCard, PKCS#12.

Floor:  bundle (uses authority and escrow)
Source: RFC 7468, RFC 5652 §10.2.4 (certs-only), RFC 6350 and RFC 2426 for vCards
"""

from __future__ import annotations

import base64
import os

from cryptography.hazmat.primitives.serialization import Encoding, pkcs7

from pki.authority import identity_of
from pki.errors import RequestRefused

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from cryptography import x509

    import smime
    from pki.escrow import Recovered

__all__ = ["former_keys", "new_passphrase", "to_der", "to_p7c", "to_pem", "to_vcard"]

_PASSPHRASE_CHARACTERS = 26  # of 5 bits each: 130, so no number of rounds needs to protect it
_VCARD_LINE = 75  # RFC 6350 §3.2


def new_passphrase() -> str:
    """Make up a passphrase of 130 bits that can be read out and typed.

    >>> len(new_passphrase())
    26
    """
    return base64.b32encode(os.urandom(20)).decode()[:_PASSPHRASE_CHARACTERS].lower()


def to_pem(*certificates: x509.Certificate) -> bytes:
    """Write certificates one after another, as PEM."""
    return b"".join(one.public_bytes(Encoding.PEM) for one in certificates)


def to_der(certificate: x509.Certificate) -> bytes:
    """Write one certificate as DER: the form that AIA addresses serve (RFC 5280 §4.2.2.1)."""
    return certificate.public_bytes(Encoding.DER)


def to_p7c(*certificates: x509.Certificate) -> bytes:
    """Write certificates as PKCS#7 without a signature, DER (``.p7c``, ``.p7b``)."""
    return pkcs7.serialize_certificates(list(certificates), Encoding.DER)


def to_vcard(*certificates: x509.Certificate, name: str = "", version: str = "4.0") -> bytes:
    """Write a person's certificates as a vCard: what address books take in.

    The addresses are those of the certificates; ``name`` is shown, or else the first
    address. ``version`` is ``4.0``, or ``3.0`` for Outlook and older address books.

    Raises ``RequestRefused`` if there is no address.
    """
    import smime

    if version not in ("3.0", "4.0"):
        raise ValueError(f"version={version!r}: choose one of 3.0, 4.0")
    spoken = [address for one in certificates for address in smime.Recipient(one).addresses]
    addresses = list(dict.fromkeys(spoken))
    if not addresses:
        raise RequestRefused("a vCard is a person's, and no certificate holds a mail address")
    shown = _vcard_text(name or addresses[0])
    lines = ["BEGIN:VCARD", f"VERSION:{version}", f"FN:{shown}", f"N:{shown};;;;"]
    lines += [f"EMAIL:{_vcard_text(address)}" for address in addresses]
    for one in certificates:
        value = base64.b64encode(to_der(one)).decode()
        if version == "4.0":
            lines.append(f"KEY:data:application/pkix-cert;base64,{value}")
        else:
            lines.append(f"KEY;TYPE=X509;ENCODING=b:{value}")
    return b"".join(map(_folded, [*lines, "END:VCARD"]))


def _vcard_text(text: str) -> str:
    for special in "\\,;":
        text = text.replace(special, f"\\{special}")
    return text.replace("\r", "").replace("\n", "\\n")


def _folded(line: str) -> bytes:
    """Break a line after 75 octets, never within a character (RFC 6350 §3.2)."""
    pieces: list[bytes] = []
    piece = b""
    for character in line:
        octets = character.encode()
        if len(piece) + len(octets) > _VCARD_LINE - bool(pieces):
            pieces.append(piece)
            piece = b""
        piece += octets
    return b"\r\n ".join((*pieces, piece)) + b"\r\n"


def former_keys(
    found: Sequence[Recovered],
    passphrase: smime.Passphrase,
    *,
    chain: Iterable[x509.Certificate] = (),
    compat: str = "modern",
    single: bool = False,
) -> dict[str, bytes]:
    """Write recovered keys as PKCS#12 files, by file name: one each, or one with all.

    The name of each holds when its certificate ends and its serial number. The
    passphrase is asked for once, and is that of all.

    Raises ``RequestRefused`` if there is none.
    """
    if not found:
        raise RequestRefused("there is no former key to write")
    secret = passphrase() if callable(passphrase) else passphrase
    upwards = tuple(chain)
    if single:
        newest = sorted(found, key=lambda one: one.certificate.not_valid_after_utc, reverse=True)
        pairs = [(one.key, one.certificate) for one in newest]
        return {"former-keys.p12": identity_of(pairs, upwards).to_p12(secret, compat=compat)}
    return {
        f"{one.certificate.not_valid_after_utc:%Y-%m-%d}-{one.certificate.serial_number:x}.p12": (
            one.identity(upwards).to_p12(secret, compat=compat)
        )
        for one in found
    }
