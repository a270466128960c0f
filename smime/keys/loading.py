"""Finding out what bytes are: PEM, DER, PKCS#7, PKCS#12, in any mixture.

Everything that is found is kept until keys and certificates are put together
by their public keys. Each form is looked at from outside in before a library
is called, so that a file cannot make it work for minutes.

Floor:  keys (uses errors, source and cms)
Source: RFC 7468 (PEM), RFC 5652 §5.1 (PKCS#7 certificates)
"""

from __future__ import annotations

import binascii
import os

from smime.cms.ber import definite
from smime.cms.der import (
    INTEGER,
    OCTET_STRING,
    SEQUENCE,
    Indefinite,
    children,
    oid_text,
    top,
)
from smime.cms.fitness import unreadable
from smime.errors import KeyProblem, LimitExceeded, MalformedMail, NotSupported
from smime.keys.pbe import Passwords, Writer
from smime.keys.private import Secret, damaged, key_from_der, key_to_pem, traditional_key
from smime.source import read_at_most

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from smime.keys import Passphrase

__all__ = [
    "Found",
    "KeyPair",
    "as_bytes",
    "is_authority",
    "ordered_chain",
    "read_certificates",
    "read_file",
    "read_pairs",
    "to_pem",
]

MAX_FILE = 8 * 1024 * 1024  # octets: a key file is some KiB, a bundle of all public roots 1 MiB
MAX_BLOCKS = 2_000  # keys and certificates of one file; no directory hands out more at once

_BEGIN = b"-----BEGIN "
_BIT_STRING = 0x03
_OID = 0x06
_CERTIFICATE_LABELS = ("CERTIFICATE", "X509 CERTIFICATE", "TRUSTED CERTIFICATE")
_KEY_LABELS = ("PRIVATE KEY", "RSA PRIVATE KEY", "EC PRIVATE KEY", "ENCRYPTED PRIVATE KEY")
_FOREIGN_LABELS = {
    "DSA PRIVATE KEY": "DSA keys are",
    "DH PRIVATE KEY": "DH keys are",
    "X9.42 DH PRIVATE KEY": "DH keys are",
    "OPENSSH PRIVATE KEY": "keys of OpenSSH are",
    "PGP PRIVATE KEY BLOCK": "OpenPGP keys are",
    "PGP PUBLIC KEY BLOCK": "OpenPGP keys are",
}
_PKCS7 = "1.2.840.113549.1.7."
_SIGNED_DATA = "1.2.840.113549.1.7.2"


class KeyPair:
    """A private key and its certificates, the one to use first."""

    __slots__ = ("certificates", "key")

    def __init__(self, key: PrivateKeyTypes, certificates: tuple[x509.Certificate, ...]) -> None:
        self.key = key
        self.certificates = certificates


class Found:
    """What was found so far, in the order in which it came."""

    __slots__ = ("certificates", "keys", "refused")

    def __init__(self) -> None:
        self.keys: list[PrivateKeyTypes] = []
        self.certificates: list[x509.Certificate] = []
        self.refused: list[str] = []  # why certificates could not be read

    def add_certificate(self, cert_der: bytes) -> None:
        """Keep a certificate; one that is damaged is remembered as refused.

        A chain may hold one that the strict parser refuses, and the rest is
        still good.
        """
        if len(self.certificates) + len(self.refused) >= MAX_BLOCKS:
            raise LimitExceeded(f"more than {MAX_BLOCKS} certificates in one place")
        try:
            certificate = _certificate(cert_der)
        except unreadable() as error:
            self.refused.append(str(error))
        except (KeyProblem, MalformedMail, Indefinite) as error:
            self.refused.append(str(error) or "it is not in DER")
        else:
            self.certificates.append(certificate)


def _certificate(cert_der: bytes) -> x509.Certificate:
    """Parse a certificate and its names, which the library reads only when asked."""
    import warnings

    from cryptography import x509

    serial = [
        cert_der[part[2] : part[3]]
        for tbs in children(cert_der, top(cert_der))[:1]
        for part in children(cert_der, tbs)
        if part[0] == INTEGER
    ]
    if serial and any(serial[0]) and serial[0][0] < 0x80:
        certificate = x509.load_der_x509_certificate(cert_der)
    else:
        # Some old roots have a serial number below one, of which the library warns.
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            certificate = x509.load_der_x509_certificate(cert_der)
    _names(certificate)
    return certificate


# --- bytes in ---------------------------------------------------------------
def read_file(path: os.PathLike[str] | str, caller: str) -> tuple[bytes, str]:
    """Return the bytes of a file and how to call it in a message."""
    if not isinstance(path, (str, os.PathLike)):
        raise TypeError(
            f"{caller}.load() takes a path, not {type(path).__name__}: {caller}.parse(data)"
        )
    if isinstance(path, str) and _BEGIN.decode() in path:
        raise TypeError(f"{caller}.load() takes a path: {caller}.parse(pem.encode()) takes PEM")
    with open(path, "rb") as file:
        data = read_at_most(file, MAX_FILE + 1)
    return as_bytes(data, caller), repr(os.fspath(path))


def as_bytes(data: Any, caller: str) -> bytes:
    """Return ``data`` as bytes; refuse what is none, and what is too large."""
    if not isinstance(data, (bytes, bytearray, memoryview)):
        what = type(data).__name__
        raise TypeError(f"{caller}.parse() takes bytes, not {what}: {caller}.load(path)")
    if len(data) > MAX_FILE:
        raise LimitExceeded(f"more than {MAX_FILE} octets: no file of keys is so large")
    return bytes(data)


def read_pairs(
    pieces: Sequence[tuple[bytes, str]], passphrase: Passphrase | None, unauthenticated: bool
) -> tuple[list[KeyPair], list[x509.Certificate]]:
    """Read every piece; return the keys with their certificates, and all other certificates."""
    found = Found()
    name = pieces[0][1]
    for data, called in pieces:
        _read(data, called, found, Secret(passphrase, called), unauthenticated)
    return _paired(found, name)


def read_certificates(data: bytes, name: str) -> list[x509.Certificate]:
    """Return the certificates of PEM, DER or PKCS#7; keys beside them are passed over."""
    found = Found()
    _read(data, name, found, None, False)
    if found.certificates:
        return list(dict.fromkeys(found.certificates))
    if found.refused:
        raise KeyProblem(f"the certificate in {name} is damaged: {found.refused[0]}")
    raise KeyProblem(
        f"{name} holds no certificate",
        hint="a certificate is a .pem, .crt, .cer, .der or .p7b file",
    )


def _read(
    data: bytes, name: str, found: Found, secret: Secret | None, unauthenticated: bool
) -> None:
    """Add what ``data`` holds to ``found``; without ``secret`` certificates only."""
    try:
        if data[:1] == b"0":
            _read_der(data, name, found, secret, unauthenticated)
        elif _BEGIN in data:
            _read_pem(data, name, found, secret, unauthenticated)
        elif not data.strip():
            raise KeyProblem(f"{name} is empty")
        else:
            raise KeyProblem(
                f"{name} holds neither a key nor a certificate",
                hint="known are PEM, DER, PKCS#12 (.p12, .pfx) and PKCS#7 (.p7b)",
            )
    except LimitExceeded:
        raise
    except (MalformedMail, Indefinite) as error:
        raise damaged(name) from error


def _read_pem(
    data: bytes, name: str, found: Found, secret: Secret | None, unauthenticated: bool
) -> None:
    blocks = 0
    at = data.find(_BEGIN)
    while at >= 0:
        blocks += 1
        if blocks > MAX_BLOCKS:
            raise LimitExceeded(f"more than {MAX_BLOCKS} PEM blocks in {name}")
        # The label ends its line; without a limit a missing one costs a search each time.
        dashes = data.find(b"-----", at + len(_BEGIN), at + 100)
        end_line = b"-----END " + data[at + len(_BEGIN) : dashes] + b"-----"
        end = data.find(end_line, dashes) if dashes > 0 else -1
        if end < 0:
            raise damaged(name, "a PEM block has no end")
        label = data[at + len(_BEGIN) : dashes].decode("ascii", "replace").strip()
        stop = end + len(end_line)
        _read_block(
            label, data[at:stop], data[dashes + 5 : end], name, found, secret, unauthenticated
        )
        at = data.find(_BEGIN, stop)


def _read_block(
    label: str,
    block: bytes,
    body: bytes,
    name: str,
    found: Found,
    secret: Secret | None,
    unauthenticated: bool,
) -> None:
    if label in _CERTIFICATE_LABELS:
        der = _from_base64(body, name)
        # A "trusted" certificate of openssl has its settings behind it.
        found.add_certificate(der[: top(der)[3]] if label.startswith("TRUSTED") else der)
    elif label in ("PKCS7", "CMS", "PKCS #7 SIGNED DATA"):
        _read_pkcs7(_from_base64(body, name), name, found)
    elif label == "PKCS12":
        _read_pkcs12(_from_base64(body, name), name, found, secret, unauthenticated)
    elif secret is not None and label in _FOREIGN_LABELS:
        raise NotSupported(
            f"{name}: {_FOREIGN_LABELS[label]} not supported here",
            hint="S/MIME needs an RSA, EC, Ed25519 or X25519 key with its certificate",
        )
    elif secret is not None and label in _KEY_LABELS:
        if b"Proc-Type:" in body[:200]:
            found.keys.append(traditional_key(block, name, secret))
        else:
            found.keys.append(key_from_der(_from_base64(body, name), name, secret))
    # Anything else (EC PARAMETERS, a CRL, a request) is no business of ours.


def _from_base64(body: bytes, name: str) -> bytes:
    head, blank, rest = body.strip().replace(b"\r", b"").partition(b"\n\n")
    if blank and b":" in head:
        body = rest
    try:
        return binascii.a2b_base64(body)
    except binascii.Error as error:
        raise damaged(name, "a PEM block is not base64") from error


def _read_der(
    data: bytes, name: str, found: Found, secret: Secret | None, unauthenticated: bool
) -> None:
    """Read DER values, one behind the other, or a single one in BER."""
    at = 0
    for _ in range(MAX_BLOCKS):
        try:
            end = top(data, at)[3]
            _read_value(data[at:end], name, found, secret, unauthenticated)
        except Indefinite:
            _read_value(definite(data[at:]), name, found, secret, unauthenticated)
            return
        while end < len(data) and data[end] in b"\r\n\0 ":
            end += 1
        if end == len(data):
            return
        at = end
    raise LimitExceeded(f"more than {MAX_BLOCKS} DER values in {name}")


def _read_value(
    der: bytes, name: str, found: Found, secret: Secret | None, unauthenticated: bool
) -> None:
    """Add what one DER value holds; ``Indefinite`` if it is not DER throughout."""
    kind = _kind(der)
    if kind == "certificate":
        found.add_certificate(der)
    elif kind == "pkcs7":
        _read_pkcs7(der, name, found)
    elif kind == "pkcs12":
        _read_pkcs12(der, name, found, secret, unauthenticated)
    elif kind == "key":
        if secret is not None:
            found.keys.append(key_from_der(der, name, secret))
    else:
        raise KeyProblem(
            f"{name} holds {kind}, neither a private key nor a certificate",
            hint="known are PEM, DER, PKCS#12 (.p12, .pfx) and PKCS#7 (.p7b)",
        )


def _kind(der: bytes) -> str:
    """Say what a DER value is by its first elements."""
    parts = children(der, top(der))
    tags = [part[0] for part in parts]
    if tags[:1] == [_OID]:
        return "pkcs7"
    if tags[:2] == [INTEGER, SEQUENCE]:
        first = children(der, parts[1])
        version = der[parts[0][2] : parts[0][3]]
        is_content = bool(first) and oid_text(der[first[0][2] : first[0][3]]).startswith(_PKCS7)
        return "pkcs12" if version == b"\x03" and is_content else "key"
    if tags[:2] in ([INTEGER, INTEGER], [INTEGER, OCTET_STRING], [SEQUENCE, OCTET_STRING]):
        return "key"
    if tags == [SEQUENCE, _BIT_STRING]:
        return "a public key alone"
    if tags == [SEQUENCE, SEQUENCE, _BIT_STRING]:
        # A certificate has its version first, or, in version 1, a serial number
        # and five structures; requests and lists have fewer.
        inner = [part[0] for part in children(der, parts[0])]
        named = inner[:1] == [0xA0] or inner[:6] == [INTEGER, *[SEQUENCE] * 5]
        return "certificate" if named else "a request or a list of revoked certificates"
    return "something unknown"


def _read_pkcs7(der: bytes, name: str, found: Found) -> None:
    """Keep the certificates of a SignedData (RFC 5652 §5.1); nothing else of it is looked at."""
    der = definite(der)
    content_info = children(der, top(der))
    kind = oid_text(der[content_info[0][2] : content_info[0][3]]) if content_info else ""
    wrapped = children(der, content_info[1]) if len(content_info) > 1 else []
    if kind != _SIGNED_DATA or not wrapped:
        raise KeyProblem(
            f"{name} is CMS, but no collection of certificates",
            hint="a sealed mail is opened with smime.open()",
        )
    for part in children(der, wrapped[0]):
        if part[0] == 0xA0:
            for one in children(der, part):
                if one[0] == SEQUENCE:  # attribute certificates have other tags
                    found.add_certificate(der[one[1] : one[3]])


def _read_pkcs12(
    der: bytes, name: str, found: Found, secret: Secret | None, unauthenticated: bool
) -> None:
    if secret is None:
        raise KeyProblem(
            f"{name} is a PKCS#12 file: it holds somebody's private key",
            hint="smime.Identity.load(path, passphrase=...).recipient is its owner to write to",
        )
    from smime.keys import pkcs12

    pkcs12.read(der, name, found, secret, unauthenticated)


# --- putting together -------------------------------------------------------
def _paired(found: Found, name: str) -> tuple[list[KeyPair], list[x509.Certificate]]:
    """Put each key with its certificates, and return the other certificates apart."""
    from smime.keys.fitness import public_key_of

    if not found.keys:
        raise KeyProblem(
            f"{name} holds no private key",
            hint="a certificate alone is loaded with smime.Recipient.load(path)",
        )
    by_key: dict[bytes, list[x509.Certificate]] = {}
    for certificate in dict.fromkeys(found.certificates):
        try:
            spki = _spki(public_key_of(certificate))
        except (KeyProblem, NotSupported):
            spki = b""  # an authority may have a kind of key that we do not read
        by_key.setdefault(spki, []).append(certificate)
    pairs: list[KeyPair] = []
    done: set[bytes] = set()
    for key in found.keys:
        spki = _spki(key.public_key())
        if spki in done:
            continue
        done.add(spki)
        own = by_key.pop(spki, [])
        if not own:
            raise _lonely(found, name)
        pairs.append(KeyPair(key, tuple(_best_first(own))))
    return pairs, [one for several in by_key.values() for one in several]


def _lonely(found: Found, name: str) -> KeyProblem:
    if found.refused:
        return KeyProblem(f"the certificate of the key in {name} is damaged: {found.refused[0]}")
    if found.certificates:
        return KeyProblem(
            f"no certificate in {name} belongs to the private key: their public keys differ",
            hint="give the certificate that was issued for this key",
        )
    return KeyProblem(
        f"{name} holds a private key and no certificate",
        hint="smime.Identity.load('alice.key', 'alice.crt') takes them from two files",
    )


def _spki(public_key: Any) -> bytes:
    from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

    der: bytes = public_key.public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
    return der


def _best_first(certificates: list[x509.Certificate]) -> list[x509.Certificate]:
    """Of several certificates for one key prefer what signs, then what is valid longest."""
    if len(certificates) == 1:
        return certificates
    from smime.keys.fitness import Fitness

    fit = [(Fitness(one), one) for one in certificates]
    fit.sort(key=lambda pair: (pair[0].signs, pair[0].not_after), reverse=True)
    return [one for _, one in fit]


def ordered_chain(
    leaf: x509.Certificate, certificates: Iterable[x509.Certificate]
) -> tuple[x509.Certificate, ...]:
    """Return the certificates above ``leaf``, issuer first, then all others as they came.

    By names only: whether a signature fits is a question for trust.
    """
    by_subject: dict[x509.Name, list[x509.Certificate]] = {}
    rest = [one for one in dict.fromkeys(certificates) if one != leaf]
    for one in rest:
        by_subject.setdefault(_names(one)[0], []).append(one)
    path: list[x509.Certificate] = []
    subject, issuer = _names(leaf)
    while issuer != subject and by_subject.get(issuer):
        path.append(by_subject[issuer].pop(0))
        subject, issuer = _names(path[-1])
    taken = set(path)
    return (*path, *(one for one in rest if one not in taken))


def _names(certificate: x509.Certificate) -> tuple[x509.Name, x509.Name]:
    """Return subject and issuer, which the library reads only when asked."""
    try:
        return certificate.subject, certificate.issuer
    except unreadable() as error:
        raise KeyProblem(f"a name in a certificate is damaged: {error}") from error


def is_authority(certificate: x509.Certificate) -> bool:
    """Say whether basicConstraints makes it an authority's (RFC 5280 §4.2.1.9)."""
    from cryptography import x509

    try:
        value = certificate.extensions.get_extension_for_class(x509.BasicConstraints).value
    except x509.ExtensionNotFound:
        return False
    except unreadable():
        return False
    return value.ca


# --- bytes out --------------------------------------------------------------
def to_pem(
    keys: Sequence[PrivateKeyTypes],
    certificates: Sequence[x509.Certificate],
    passphrase: bytes | None,
) -> bytes:
    """Return keys (encrypted under ``passphrase``) and certificates as PEM, each once."""
    from cryptography.hazmat.primitives.serialization import Encoding

    writer = Writer(Passwords(passphrase))
    blocks = [key_to_pem(key, writer) for key in {id(key): key for key in keys}.values()]
    blocks += [one.public_bytes(Encoding.PEM) for one in dict.fromkeys(certificates)]
    return b"".join(blocks)
