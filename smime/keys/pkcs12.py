"""PKCS#12 with any number of keys, read and written.

The library's own functions know one key and drop the others, write 2,048
rounds whatever is asked, and fail on X25519. Here the whole file is walked
and its cost added up before anything is computed; then the MAC is checked,
and only then is anything decrypted.

Floor:  keys (uses errors and cms)
Source: RFC 7292 (the numbers are its sections), RFC 9879 (PBMAC1),
        RFC 2985 §5.5 (friendlyName, localKeyId)
"""

from __future__ import annotations

import hmac
import os

from smime.cms.ber import definite, octets
from smime.cms.der import (
    NULL,
    children,
    integer,
    octet_string,
    oid,
    oid_text,
    sequence,
    set_of,
    tlv,
    top,
)
from smime.errors import KeyProblem, LimitExceeded, NotSupported
from smime.keys import pbe
from smime.keys.private import plain_key

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Sequence

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from smime.cms.der import Node
    from smime.keys.loading import Found
    from smime.keys.private import Secret

__all__ = ["read", "write"]

MAX_BAGS = 2_000  # keys, certificates and more; the largest key stores hold some hundred
MAX_BAG_DEPTH = 8  # SafeContents within SafeContents; nobody nests them more than once

_DATA = "1.2.840.113549.1.7.1"
_SIGNED = "1.2.840.113549.1.7.2"
_ENVELOPED = "1.2.840.113549.1.7.3"
_ENCRYPTED = "1.2.840.113549.1.7.6"
_BAG = "1.2.840.113549.1.12.10.1."
_KEY_BAG, _SHROUDED_BAG, _CERT_BAG, _SAFE_BAG = (_BAG + one for one in "1236")
_X509 = "1.2.840.113549.1.9.22.1"
_FRIENDLY_NAME = "1.2.840.113549.1.9.20"
_LOCAL_KEY_ID = "1.2.840.113549.1.9.21"
_BMP_STRING = 0x1E
_PBMAC1 = "1.2.840.113549.1.5.14"
_SHA1 = "1.3.14.3.2.26"
_SHA256 = "2.16.840.1.101.3.4.2.1"
_DIGESTS = {
    "1.2.840.113549.2.5": "md5",
    _SHA1: "sha1",
    "2.16.840.1.101.3.4.2.4": "sha224",
    _SHA256: "sha256",
    "2.16.840.1.101.3.4.2.2": "sha384",
    "2.16.840.1.101.3.4.2.3": "sha512",
}
_HMACS = {
    "1.2.840.113549.2.8": "sha224",
    "1.2.840.113549.2.9": "sha256",
    "1.2.840.113549.2.10": "sha384",
    "1.2.840.113549.2.11": "sha512",
}


class _Mac:
    """The MAC over the file's content, planned and paid for."""

    __slots__ = ("_asked", "_derive_digest", "_digest", "_rounds", "_salt", "_value")

    def __init__(self, mac_data: bytes, budget: pbe.Budget) -> None:
        node = top(mac_data)
        parts = children(mac_data, node, 4)
        info = children(mac_data, parts[0], 4) if parts else []
        if len(parts) < 2 or len(info) != 2:
            raise KeyProblem("the MAC of the PKCS#12 file is damaged")
        name, parameters = pbe.algorithm_of(mac_data, info[0])
        self._value = octets(mac_data, info[1])
        self._asked: int | None = None
        if name == _PBMAC1 and parameters:
            steps = children(mac_data, parameters, 4)
            if len(steps) != 2:
                raise KeyProblem("the parameters of the PKCS#12 file's PBMAC1 are damaged")
            _, derivation = pbe.algorithm_of(mac_data, steps[0])
            mac_name, _ = pbe.algorithm_of(mac_data, steps[1])
            if derivation is None or mac_name not in _HMACS:
                raise NotSupported(f"PBMAC1 with {mac_name} is not built")
            self._digest = _HMACS[mac_name]
            self._derive_digest, self._salt, self._rounds, self._asked = pbe.pbkdf2_parameters(
                mac_data, derivation, budget
            )
            if self._asked is None:  # RFC 9879: it must be there
                raise KeyProblem("the PBMAC1 of the PKCS#12 file does not say how long its key is")
            return
        if name not in _DIGESTS:
            raise NotSupported(f"a PKCS#12 file whose MAC is made with {name} is not read")
        self._digest = _DIGESTS[name]
        self._derive_digest = ""
        self._salt = octets(mac_data, parts[1])
        self._rounds = pbe.number(mac_data, parts[2]) if len(parts) > 2 else 1
        budget.charge_rounds(self._rounds)

    def agrees(self, passwords: pbe.Passwords, content: bytes) -> bool:
        """Say whether the content was written under this passphrase, and is unchanged."""
        if self._asked is not None:
            import hashlib

            key = hashlib.pbkdf2_hmac(
                self._derive_digest, passwords.utf8, self._salt, self._rounds, self._asked
            )
        else:
            key = pbe.mac_key(self._digest, passwords, self._salt, self._rounds)
        return hmac.compare_digest(hmac.digest(key, content, self._digest), self._value)


class _Bag:
    """A key or a certificate; with ``scheme`` its value is encrypted."""

    __slots__ = ("kind", "scheme", "value")

    def __init__(self, kind: str, value: bytes, scheme: pbe.Scheme | None) -> None:
        self.kind = kind
        self.value = value
        self.scheme = scheme


class _Part:
    """One piece of the content: bags in the open, or bags encrypted together."""

    __slots__ = ("bags", "content", "scheme", "sealed")

    def __init__(self, content: bytes) -> None:
        self.content = content  # the ContentInfo, in definite lengths
        self.scheme: pbe.Scheme | None = None
        self.sealed = b""
        self.bags: list[_Bag] = []

    @property
    def locked(self) -> bool:
        return self.scheme is not None or any(bag.scheme for bag in self.bags)


# --- reading ----------------------------------------------------------------
def read(file_der: bytes, name: str, found: Found, secret: Secret, unauthenticated: bool) -> None:
    """Add every key and certificate of the file to ``found``.

    Raises ``KeyProblem``, ``NotSupported``, ``LimitExceeded``, or
    ``MalformedMail`` if the structure ends in the middle.
    """
    # Everything is planned first: nothing is computed for a file that asks for too much.
    content, mac_data = _outer(definite(file_der))
    budget = pbe.Budget()
    mac = _Mac(mac_data, budget) if mac_data else None
    parts = _parts(definite(content), budget)
    if mac is None and not unauthenticated:
        raise KeyProblem(
            f"{name} is a PKCS#12 file without a MAC: anybody can have changed it",
            hint="allow_unauthenticated=True reads it all the same",
        )
    if mac is None and not any(part.locked for part in parts):
        _keep(parts, pbe.Passwords(None), name, found, budget)
        return
    for passwords in _spellings(secret):
        if mac is not None and not mac.agrees(passwords, content):
            continue
        try:
            _keep(parts, passwords, name, found, budget)
        except pbe.WrongPassphrase as error:
            if mac is None:
                continue
            raise KeyProblem(
                f"{name}: the passphrase agrees with the MAC, but a part inside does not open",
                hint="that part has another passphrase, or it is damaged",
            ) from error
        return
    secret.demand()
    raise secret.wrong()


def _spellings(secret: Secret) -> list[pbe.Passwords]:
    """Return the passphrase; an absent and an empty one are each written by some software."""
    value = secret.ask()
    if value:
        return [pbe.Passwords(value)]
    return [pbe.Passwords(b""), pbe.Passwords(None)]


def _outer(der: bytes) -> tuple[bytes, bytes]:
    """Return the authenticated content and the MacData, empty if there is none (§4)."""
    parts = children(der, top(der), 4)
    info = children(der, parts[1], 4) if len(parts) > 1 else []
    kind = oid_text(der[info[0][2] : info[0][3]]) if info else ""
    if kind == _SIGNED:
        raise NotSupported("a PKCS#12 file that is signed instead of having a MAC is not read")
    inside = children(der, info[1], 4) if len(info) == 2 else []
    if kind != _DATA or len(inside) != 1:
        raise KeyProblem("the PKCS#12 file has no content: it is damaged")
    mac_data = der[parts[2][1] : parts[2][3]] if len(parts) > 2 else b""
    return octets(der, inside[0]), mac_data


def _parts(der: bytes, budget: pbe.Budget) -> list[_Part]:
    """Return the pieces of an AuthenticatedSafe (§4.1), each planned as far as it is open."""
    parts: list[_Part] = []
    for node in children(der, top(der), MAX_BAGS):
        info = children(der, node, 4)
        kind = oid_text(der[info[0][2] : info[0][3]]) if info else ""
        inside = children(der, info[1], 4) if len(info) == 2 else []
        if kind == _ENVELOPED:
            raise NotSupported("a PKCS#12 file sealed for a public key is not read")
        if kind not in (_DATA, _ENCRYPTED) or len(inside) != 1:
            raise KeyProblem("a part of the PKCS#12 file is of no known kind")
        part = _Part(der[node[1] : node[3]])
        if kind == _DATA:
            part.bags = _bags(octets(der, inside[0]), budget)
        else:
            fields = children(der, inside[0], 4)
            sealed = children(der, fields[1], 4) if len(fields) > 1 else []
            if len(sealed) != 3:
                raise KeyProblem("an encrypted part of the PKCS#12 file is damaged")
            part.scheme = pbe.plan(der, sealed[1], budget)
            part.sealed = octets(der, sealed[2])
        parts.append(part)
    return parts


def _bags(safe_contents: bytes, budget: pbe.Budget) -> list[_Bag]:
    """Return the keys and certificates of a SafeContents (§4.2), planned and not yet opened."""
    der = definite(safe_contents)
    bags: list[_Bag] = []
    waiting = [(node, 1) for node in reversed(children(der, top(der), MAX_BAGS))]
    while waiting:
        node, depth = waiting.pop()
        fields = children(der, node, 4)
        inside = children(der, fields[1], 4) if len(fields) > 1 else []
        if len(inside) != 1:
            raise KeyProblem("a bag of the PKCS#12 file is damaged")
        value, kind = inside[0], oid_text(der[fields[0][2] : fields[0][3]])
        if kind == _SAFE_BAG:
            if depth >= MAX_BAG_DEPTH:
                raise LimitExceeded(f"bags nested deeper than {MAX_BAG_DEPTH} in a PKCS#12 file")
            inner = children(der, value, MAX_BAGS)
            waiting += [(one, depth + 1) for one in reversed(inner)]
        elif kind == _SHROUDED_BAG:
            bags.append(_Bag(_KEY_BAG, *_shrouded(der, value, budget)))
        elif kind == _KEY_BAG:
            bags.append(_Bag(_KEY_BAG, der[value[1] : value[3]], None))
        elif kind == _CERT_BAG:
            certificate = children(der, value, 4)
            wrapped = children(der, certificate[1], 4) if len(certificate) == 2 else []
            if wrapped and oid_text(der[certificate[0][2] : certificate[0][3]]) == _X509:
                bags.append(_Bag(_CERT_BAG, octets(der, wrapped[0]), None))
        # CRLs, secrets and what others invented are no keys; they are passed over.
        if len(bags) + len(waiting) > MAX_BAGS:
            raise LimitExceeded(f"more than {MAX_BAGS} bags in a PKCS#12 file")
    return bags


def _shrouded(der: bytes, value: Node, budget: pbe.Budget) -> tuple[bytes, pbe.Scheme]:
    fields = children(der, value, 4)
    if len(fields) != 2:
        raise KeyProblem("an encrypted key of the PKCS#12 file is damaged")
    return octets(der, fields[1]), pbe.plan(der, fields[0], budget)


def _keep(
    parts: list[_Part], passwords: pbe.Passwords, name: str, found: Found, budget: pbe.Budget
) -> None:
    """Open everything and add it to ``found``; ``WrongPassphrase`` if a part does not open."""
    known: dict[object, bytes] = {}
    opened: list[tuple[str, bytes]] = []
    for part in parts:
        bags = part.bags
        if part.scheme is not None and part.scheme.primitive_missing:
            opened += _by_the_library(part, passwords)
        elif part.scheme is not None:
            plain = part.scheme.decrypt(passwords, part.sealed, known)
            bags = _bags(plain, budget)
        opened += [
            (bag.kind, bag.scheme.decrypt(passwords, bag.value, known) if bag.scheme else bag.value)
            for bag in bags
        ]
    for kind, value in opened:
        if kind == _CERT_BAG:
            found.add_certificate(value)
        else:
            found.keys.append(plain_key(value, name))


def _by_the_library(part: _Part, passwords: pbe.Passwords) -> list[tuple[str, bytes]]:
    """Open a part under RC2 with 40 bits, for which only the library's reader has a cipher.

    It is handed a file of this part alone, so that what it cannot read
    elsewhere does not stop it. The MAC is made anew: by it the library tells
    an empty passphrase from none.
    """
    import warnings

    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        pkcs12,
    )

    content = sequence(part.content)
    alone = sequence(
        integer(3),
        sequence(oid(_DATA), tlv(0xA0, octet_string(content))),
        _mac_data(content, passwords, legacy=True),
    )
    try:
        with warnings.catch_warnings():
            # Old files hold BER inside, which the library reads and regrets.
            warnings.simplefilter("ignore", UserWarning)
            one = pkcs12.load_pkcs12(alone, passwords.utf8 if passwords.bmp else None)
    except UnsupportedAlgorithm as error:
        raise NotSupported("this build of cryptography has no RC2") from error
    except (ValueError, TypeError) as error:
        if "parsing" in str(error):
            raise KeyProblem(f"a certificate in the PKCS#12 file is damaged: {error}") from error
        raise pbe.WrongPassphrase from error
    kept = [one.cert, *one.additional_certs]
    opened = [(_CERT_BAG, each.certificate.public_bytes(Encoding.DER)) for each in kept if each]
    if one.key is not None:
        key_der = one.key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
        opened.append((_KEY_BAG, key_der))
    return opened


# --- writing ----------------------------------------------------------------
def write(
    pairs: Sequence[tuple[PrivateKeyTypes, x509.Certificate]],
    chain: Sequence[x509.Certificate],
    passphrase: bytes,
    *,
    legacy: bool,
) -> bytes:
    """Return a PKCS#12 file of the keys, their certificates and the chain (§4)."""
    import hashlib

    from cryptography.hazmat.primitives.serialization import (
        Encoding,
        NoEncryption,
        PrivateFormat,
        PublicFormat,
    )

    if legacy:
        import logging

        logging.getLogger(__name__).warning("writing PKCS#12 with 3DES and a SHA-1 MAC, as asked")
    passwords = pbe.Passwords(passphrase)
    writer = pbe.Writer(passwords, legacy=legacy)
    certificates: list[bytes] = []
    keys: dict[bytes, bytes] = {}
    names: set[str] = set()
    for key, certificate in pairs:
        spki = key.public_key().public_bytes(Encoding.DER, PublicFormat.SubjectPublicKeyInfo)
        name = _new_name(certificate, names)
        attributes = _attributes(hashlib.sha256(spki).digest()[:20], name)
        certificates.append(_cert_bag(certificate.public_bytes(Encoding.DER), attributes))
        if spki not in keys:
            key_der = key.private_bytes(Encoding.DER, PrivateFormat.PKCS8, NoEncryption())
            algorithm, sealed = writer.seal(key_der)
            value = tlv(0xA0, sequence(algorithm, octet_string(sealed)))
            keys[spki] = sequence(oid(_SHROUDED_BAG), value, attributes)
    certificates += [_cert_bag(one.public_bytes(Encoding.DER), b"") for one in chain]
    algorithm, sealed = writer.seal(sequence(*certificates))
    encrypted = sequence(integer(0), sequence(oid(_DATA), algorithm, tlv(0x80, sealed)))
    content = sequence(
        sequence(oid(_ENCRYPTED), tlv(0xA0, encrypted)),
        sequence(oid(_DATA), tlv(0xA0, octet_string(sequence(*keys.values())))),
    )
    return sequence(
        integer(3),
        sequence(oid(_DATA), tlv(0xA0, octet_string(content))),
        _mac_data(content, passwords, legacy=legacy),
    )


def _cert_bag(cert_der: bytes, attributes: bytes) -> bytes:
    value = sequence(oid(_X509), tlv(0xA0, octet_string(cert_der)))
    return sequence(oid(_CERT_BAG), tlv(0xA0, value), attributes)


def _new_name(certificate: x509.Certificate, taken: set[str]) -> str:
    """Return the name that key stores show: the address, with a number where it is taken.

    Java keeps its keys by this name, in any case: of two under one name the first is lost.
    """
    from smime.keys.address import certificate_addresses

    address = next(iter(certificate_addresses(certificate)), "")
    name, number = address, 1
    while name and name.lower() in taken:
        number += 1
        name = f"{address} ({number})"
    taken.add(name.lower())
    return name


def _attributes(local_key_id: bytes, name: str) -> bytes:
    """Return what ties certificate and key together, and the name that is shown."""
    attributes = [sequence(oid(_LOCAL_KEY_ID), set_of(octet_string(local_key_id)))]
    if name:
        shown = tlv(_BMP_STRING, name.encode("utf-16-be"))
        attributes.append(sequence(oid(_FRIENDLY_NAME), set_of(shown)))
    return set_of(*attributes)


def _mac_data(content: bytes, passwords: pbe.Passwords, *, legacy: bool) -> bytes:
    digest, name, rounds = (
        ("sha1", _SHA1, pbe.LEGACY_ROUNDS) if legacy else ("sha256", _SHA256, pbe.MODERN_ROUNDS)
    )
    salt = os.urandom(8)  # as openssl writes it: macOS was seen to refuse 16 octets
    key = pbe.mac_key(digest, passwords, salt, rounds)
    value = octet_string(hmac.digest(key, content, digest))
    return sequence(sequence(sequence(oid(name), NULL), value), octet_string(salt), integer(rounds))
