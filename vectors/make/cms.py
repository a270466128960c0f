"""CMS put together by hand, with a place to break each rule.

Source: RFC 5652, RFC 5083, RFC 5084, RFC 5753, RFC 8017
"""

from __future__ import annotations

import hashlib
import hmac
import zlib
from dataclasses import dataclass
from typing import Any

from cryptography.hazmat.decrepit.ciphers.algorithms import TripleDES
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec, padding
from cryptography.hazmat.primitives.ciphers import Cipher
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from cryptography.hazmat.primitives.ciphers.algorithms import AES
from cryptography.hazmat.primitives.ciphers.modes import CBC, GCM
from cryptography.hazmat.primitives.keywrap import aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat
from der import (
    NULL,
    bits,
    indefinite,
    integer,
    octets,
    oid,
    seq,
    set_of,
    split_octets,
    tlv,
    utc_time,
)
from people import CURVES, Person, ec_key, seeded

DATA = "1.2.840.113549.1.7.1"
SIGNED = "1.2.840.113549.1.7.2"
ENVELOPED = "1.2.840.113549.1.7.3"
COMPRESSED = "1.2.840.113549.1.9.16.1.9"
ZLIB = "1.2.840.113549.1.9.16.3.8"
CEK_HKDF = "1.2.840.113549.1.9.16.3.31"
AUTH_ENVELOPED = "1.2.840.113549.1.9.16.1.23"

DIGESTS = {
    "md5": ("1.2.840.113549.2.5", hashes.MD5()),
    "sha1": ("1.3.14.3.2.26", hashes.SHA1()),
    "sha256": ("2.16.840.1.101.3.4.2.1", hashes.SHA256()),
    "sha384": ("2.16.840.1.101.3.4.2.2", hashes.SHA384()),
    "sha512": ("2.16.840.1.101.3.4.2.3", hashes.SHA512()),
}
ECDSA = {
    "sha1": "1.2.840.10045.4.1",
    "sha256": "1.2.840.10045.4.3.2",
    "sha384": "1.2.840.10045.4.3.3",
    "sha512": "1.2.840.10045.4.3.4",
}
RSA = "1.2.840.113549.1.1.1"
OAEP = "1.2.840.113549.1.1.7"
MGF1 = "1.2.840.113549.1.1.8"
LABEL = "1.2.840.113549.1.1.9"
CIPHERS = {
    "aes-128-cbc": ("2.16.840.1.101.3.4.1.2", 16),
    "aes-192-cbc": ("2.16.840.1.101.3.4.1.22", 24),
    "aes-256-cbc": ("2.16.840.1.101.3.4.1.42", 32),
    "aes-128-gcm": ("2.16.840.1.101.3.4.1.6", 16),
    "aes-192-gcm": ("2.16.840.1.101.3.4.1.26", 24),
    "aes-256-gcm": ("2.16.840.1.101.3.4.1.46", 32),
    "3des-cbc": ("1.2.840.113549.3.7", 24),
    "rc2-cbc": ("1.2.840.113549.3.2", 16),
}
WRAPS = {
    16: "2.16.840.1.101.3.4.1.5",
    24: "2.16.840.1.101.3.4.1.25",
    32: "2.16.840.1.101.3.4.1.45",
}
AGREEMENTS = {
    "std-sha1": ("1.3.133.16.840.63.0.2", "sha1"),
    "std-sha224": ("1.3.132.1.11.0", "sha224"),
    "std-sha256": ("1.3.132.1.11.1", "sha256"),
    "std-sha384": ("1.3.132.1.11.2", "sha384"),
    "std-sha512": ("1.3.132.1.11.3", "sha512"),
    "cofactor-sha256": ("1.3.132.1.14.1", "sha256"),
}


def content_info(kind: str, body: bytes) -> bytes:
    return seq(oid(kind), tlv(0xA0, body))


def digest(name: str, data: bytes) -> bytes:
    return hashlib.new(name, data).digest()


def attribute(kind: str, *values: bytes) -> bytes:
    return seq(oid(kind), set_of(*values))


def a_type(*kinds: str) -> bytes:
    return attribute("1.2.840.113549.1.9.3", *(oid(one) for one in kinds or (DATA,)))


def a_digest(*values: bytes) -> bytes:
    return attribute("1.2.840.113549.1.9.4", *(octets(one) for one in values))


def a_time(text: str = "300531120000Z") -> bytes:
    return attribute("1.2.840.113549.1.9.5", utc_time(text))


def signed_value(person: Person, name: str, covered: bytes) -> bytes:
    """Return the signature value, the same in every run."""
    algorithm: Any = DIGESTS[name][1]
    if person.is_rsa:
        return person.key.sign(covered, padding.PKCS1v15(), algorithm)
    return person.key.sign(covered, ec.ECDSA(algorithm, deterministic_signing=True))


def issuer_and_serial(person: Person) -> bytes:
    certificate = person.certificate
    return seq(certificate.issuer.public_bytes(), integer(certificate.serial_number))


def key_identifier(person: Person) -> bytes:
    from cryptography import x509

    found = person.certificate.extensions.get_extension_for_class(x509.SubjectKeyIdentifier)
    return found.value.digest


@dataclass
class By:
    """One signer, and what is broken about it. Every field has an honest default."""

    person: Person
    name: str = "sha256"
    attributes: list[bytes] | None = None
    """In the order in which they are sent; None for content type, time and digest."""
    plain: bool = False
    """No signed attributes at all."""
    sort: bool = True
    covered: bytes | None = None
    """What the signature value covers instead."""
    key: Person | None = None
    """Whose key signs instead."""
    identifier: bytes | None = None
    digest_oid: str | None = None
    signature_algorithm: bytes | None = None
    value: bytes | None = None
    unsigned: bytes = b""

    def info(self, content: bytes) -> bytes:
        """Return the SignerInfo over ``content``."""
        attributes = self.attributes
        if attributes is None:
            attributes = [a_type(), a_time(), a_digest(digest(self.name, content))]
        if self.sort:
            attributes = sorted(attributes)
        covered = content if self.plain else tlv(0x31, *attributes)
        if self.covered is not None:
            covered = self.covered
        value = self.value or signed_value(self.key or self.person, self.name, covered)
        identifier = self.identifier or issuer_and_serial(self.person)
        version = 3 if identifier[0] == 0x80 else 1
        algorithm = self.signature_algorithm
        if algorithm is None:
            algorithm = seq(oid(RSA), NULL) if self.person.is_rsa else seq(oid(ECDSA[self.name]))
        return seq(
            integer(version),
            identifier,
            seq(oid(self.digest_oid or DIGESTS[self.name][0])),
            b"" if self.plain else tlv(0xA0, *attributes),
            algorithm,
            octets(value),
            self.unsigned,
        )


def signed_data(
    content: bytes,
    *signers: By,
    detached: bool = False,
    certificates: tuple[bytes, ...] | None = None,
    crls: tuple[bytes, ...] = (),
    inside: bytes | None = None,
    kind: str = DATA,
    piece: int = 0,
    digests: bytes | None = None,
) -> bytes:
    """Return a ContentInfo with SignedData over ``content``.

    ``inside`` is carried instead of ``content``; ``piece`` writes BER, with the content in
    pieces of so many octets.
    """
    if certificates is None:
        every = [der for one in signers for der in one.person.all]
        certificates = tuple(dict.fromkeys(every))
    names = dict.fromkeys(one.digest_oid or DIGESTS[one.name][0] for one in signers)
    if digests is None:
        digests = set_of(*(seq(oid(one)) for one in names))
    carried = content if inside is None else inside
    tail = (
        tlv(0xA0, *certificates) if certificates else b"",
        tlv(0xA1, *crls) if crls else b"",
        set_of(*(one.info(content) for one in signers)),
    )
    if piece:
        body = split_octets(0x04, carried, piece)
        capsule = indefinite(0x30, oid(kind), indefinite(0xA0, body))
        inner = indefinite(0x30, integer(1), digests, capsule, *tail)
        return indefinite(0x30, oid(SIGNED), indefinite(0xA0, inner))
    shown = b"" if detached and inside is None else tlv(0xA0, octets(carried))
    return content_info(SIGNED, seq(integer(1), digests, seq(oid(kind), shown), *tail))


# --- sealing ------------------------------------------------------------------


def transport(
    person: Person,
    key: bytes,
    label: str,
    *,
    identifier: bytes | None = None,
    block: bytes | None = None,
) -> bytes:
    """Return a KeyTransRecipientInfo by RSA PKCS#1 v1.5 (RFC 8017 §7.2.1)."""
    numbers = person.key.public_key().public_numbers()
    size = (person.key.key_size + 7) // 8
    if block is None:
        filling = bytes(one % 255 + 1 for one in seeded(label + " v15", size - 3 - len(key)))
        block = b"\x00\x02" + filling + b"\x00" + key
    sealed = pow(int.from_bytes(block, "big"), numbers.e, numbers.n).to_bytes(size, "big")
    identifier = identifier or issuer_and_serial(person)
    version = 2 if identifier[0] == 0x80 else 0
    return seq(integer(version), identifier, seq(oid(RSA), NULL), octets(sealed))


def transport_oaep(
    person: Person,
    key: bytes,
    label: str,
    *,
    name: str = "sha256",
    mask: str = "",
    text: bytes = b"",
) -> bytes:
    """Return a KeyTransRecipientInfo by RSA-OAEP (RFC 8017 §7.1.1)."""
    mask = mask or name
    numbers = person.key.public_key().public_numbers()
    size = (person.key.key_size + 7) // 8
    width = hashlib.new(name).digest_size
    zeros = bytes(size - len(key) - 2 * width - 2)
    block = digest(name, text) + zeros + b"\x01" + key
    seed = seeded(label + " oaep", width)
    masked = _xor(block, _mgf1(mask, seed, len(block)))
    masked_seed = _xor(seed, _mgf1(mask, masked, width))
    whole = int.from_bytes(b"\x00" + masked_seed + masked, "big")
    sealed = pow(whole, numbers.e, numbers.n).to_bytes(size, "big")
    parameters = b""
    if name != "sha1":
        parameters += tlv(0xA0, seq(oid(DIGESTS[name][0])))
    if mask != "sha1":
        parameters += tlv(0xA1, seq(oid(MGF1), seq(oid(DIGESTS[mask][0]))))
    if text:
        parameters += tlv(0xA2, seq(oid(LABEL), octets(text)))
    return seq(
        integer(0), issuer_and_serial(person), seq(oid(OAEP), seq(parameters)), octets(sealed)
    )


def _xor(one: bytes, other: bytes) -> bytes:
    return bytes(a ^ b for a, b in zip(one, other, strict=True))


def _mgf1(name: str, seed: bytes, size: int) -> bytes:
    out = b""
    for count in range(size // hashlib.new(name).digest_size + 1):
        out += digest(name, seed + count.to_bytes(4, "big"))
    return out[:size]


def agreement(
    persons: list[Person],
    key: bytes,
    label: str,
    *,
    scheme: str = "std-sha256",
    wrap: int = 32,
    ukm: bool = True,
    null: bool = False,
    by_key: bool = False,
    point: bytes | None = None,
    curve: str = "p256",
    damage: bool = False,
) -> bytes:
    """Return a KeyAgreeRecipientInfo by ephemeral ECDH (RFC 5753 §3.1, §7.2)."""
    identifier, kdf = AGREEMENTS[scheme]
    ephemeral = ec_key(label + " ephemeral", curve)
    wrapping = seq(oid(WRAPS[wrap]), NULL if null else b"")
    drawn = seeded(label + " ukm", 64) if ukm else b""
    shared = seq(
        wrapping,
        tlv(0xA0, octets(drawn)) if ukm else b"",
        tlv(0xA2, octets((wrap * 8).to_bytes(4, "big"))),
    )
    sealed = []
    for person in persons:
        public = person.key.public_key()
        if public.curve.name == CURVES[curve].name:
            secret = ephemeral.exchange(ec.ECDH(), public)
        else:
            secret = seeded(label + " no secret", 32)
        kek = b""
        for count in range(1, 4):
            kek += digest(kdf, secret + count.to_bytes(4, "big") + shared)
        wrapped = bytearray(aes_key_wrap(kek[:wrap], key))
        if damage:
            wrapped[0] ^= 1
        rid = issuer_and_serial(person)
        if by_key:
            rid = tlv(0xA0, octets(key_identifier(person)))
        sealed.append(seq(rid, octets(bytes(wrapped))))
    if point is None:
        point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    origin = tlv(0xA1, seq(oid("1.2.840.10045.2.1")), bits(point))
    return tlv(
        0xA1,
        integer(3),
        tlv(0xA0, origin),
        tlv(0xA1, octets(drawn)) if ukm else b"",
        seq(oid(identifier), wrapping),
        seq(*sealed),
    )


def kek_recipient(label: str) -> bytes:
    """Return a recipient by a shared key (RFC 5652 §6.2.3) that nobody has here."""
    return tlv(
        0xA2,
        integer(4),
        seq(octets(b"shared key 1")),
        seq(oid(WRAPS[16])),
        octets(seeded(label + " kek", 24)),
    )


def passphrase_recipient(label: str) -> bytes:
    """Return a recipient by passphrase (RFC 5652 §6.2.4) that nobody has here."""
    pbkdf2 = seq(octets(seeded(label + " salt", 8)), integer(2048))
    wrap = seq(oid(CIPHERS["aes-128-cbc"][0]), octets(seeded(label + " iv of pwri", 16)))
    return tlv(
        0xA3,
        integer(0),
        tlv(0xA0, oid("1.2.840.113549.1.5.12"), pbkdf2),
        seq(oid("1.2.840.113549.1.9.16.3.9"), wrap),
        octets(seeded(label + " pwri", 32)),
    )


def other_recipient(label: str) -> bytes:
    """Return a recipient of a kind that does not exist yet (RFC 5652 §6.2.5)."""
    return tlv(0xA4, oid("1.3.6.1.4.1.99999.1"), octets(seeded(label + " ori", 40)))


def content_key(label: str, cipher: str) -> bytes:
    return seeded(label + " content key", CIPHERS[cipher][1])


def derived_key(key: bytes, algorithm: bytes) -> bytes:
    """Return the content key that is derived for an algorithm (RFC 9709), with HMAC alone."""
    extracted = hmac.digest(b"The Cryptographic Message Syntax", key, "sha256")
    return hmac.digest(extracted, algorithm + b"\x01", "sha256")[: len(key)]


def compressed(stream: bytes, kind: str = DATA, algorithm: str = ZLIB) -> bytes:
    """Return a ContentInfo with CompressedData around a zlib stream (RFC 3274)."""
    content = seq(oid(kind), tlv(0xA0, octets(stream)))
    return content_info(COMPRESSED, seq(integer(0), seq(oid(algorithm)), content))


def stored(content: bytes) -> bytes:
    """Return a zlib stream that packs nothing: the same whichever zlib there is (RFC 1950)."""
    size = len(content).to_bytes(2, "little")
    inverted = bytes(one ^ 0xFF for one in size)
    block = b"\x01" + size + inverted + content
    return b"\x78\x01" + block + zlib.adler32(content).to_bytes(4, "big")


def enveloped(
    content: bytes,
    recipients: list[bytes],
    label: str,
    *,
    cipher: str = "aes-256-cbc",
    padded: bytes | None = None,
    ciphertext: bytes | None = None,
    absent: bool = False,
    originator: bytes = b"",
    piece: int = 0,
) -> bytes:
    """Return a ContentInfo with EnvelopedData in a cipher in CBC mode (RFC 5652 §6)."""
    key = content_key(label, cipher)
    block = 16 if cipher.startswith("aes") else 8
    iv = seeded(label + " iv", block)
    if padded is None:
        pad = block - len(content) % block
        padded = content + bytes((pad,)) * pad
    if ciphertext is None:
        algorithm: Any = TripleDES(key) if cipher == "3des-cbc" else AES(key)
        # RC2 is only named, to be refused by its name; what it would give does not matter.
        if cipher == "rc2-cbc":
            algorithm, iv = AES(key), iv + iv
        encryptor = Cipher(algorithm, CBC(iv)).encryptor()
        padded += bytes(-len(padded) % 16) if cipher == "rc2-cbc" else b""
        ciphertext = encryptor.update(padded) + encryptor.finalize()
    named = seq(oid(CIPHERS[cipher][0]), octets(iv))
    if piece:
        inner = indefinite(0x30, oid(DATA), named, split_octets(0x80, ciphertext, piece))
        body = indefinite(0x30, integer(0), originator, set_of(*recipients), inner)
        return indefinite(0x30, oid(ENVELOPED), indefinite(0xA0, body))
    shown = b"" if absent else tlv(0x80, ciphertext)
    return content_info(
        ENVELOPED,
        seq(integer(2), originator, set_of(*recipients), seq(oid(DATA), named, shown)),
    )


def auth_enveloped(
    content: bytes,
    recipients: list[bytes],
    label: str,
    *,
    cipher: str = "aes-256-gcm",
    tag: int = 16,
    stated: int | None = None,
    attributes: list[bytes] | None = None,
    damage: str = "",
    kind: str = AUTH_ENVELOPED,
    content_type: str = DATA,
    derived: bool = False,
) -> bytes:
    """Return a ContentInfo with AuthEnvelopedData in AES-GCM (RFC 5083, RFC 5084).

    As EnvelopedData it has its tag at the end of the content.
    """
    nonce = seeded(label + " nonce", 12)
    size = tag if stated is None else stated
    named = seq(oid(CIPHERS[cipher][0]), seq(octets(nonce), integer(size)))
    key = content_key(label, cipher)
    if derived:
        key = derived_key(key, named)
        named = seq(oid(CEK_HKDF), named)
    aad = set_of(*attributes) if attributes else None
    if tag == 16:
        whole = AESGCM(key).encrypt(nonce, content, aad)
        ciphertext, mac = whole[:-16], whole[-16:]
    else:
        encryptor = Cipher(AES(key), GCM(nonce)).encryptor()
        ciphertext = encryptor.update(content) + encryptor.finalize()
        mac = encryptor.tag[:tag]
    if damage == "tag":
        mac = bytes((mac[0] ^ 1,)) + mac[1:]
    elif damage == "content":
        ciphertext = bytes((ciphertext[0] ^ 1,)) + ciphertext[1:]
    if kind == ENVELOPED:
        inner = seq(oid(content_type), named, tlv(0x80, ciphertext + mac))
        return content_info(ENVELOPED, seq(integer(0), set_of(*recipients), inner))
    inner = seq(oid(content_type), named, tlv(0x80, ciphertext))
    shown = tlv(0xA1, *sorted(attributes)) if attributes and damage != "attributes" else b""
    if damage == "attributes":
        shown = tlv(0xA1, *sorted([a_type(), a_time()]))
    return content_info(kind, seq(integer(0), set_of(*recipients), inner, shown, octets(mac)))
