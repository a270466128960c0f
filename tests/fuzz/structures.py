"""Every structure that is read, whole and good, and how each is read.

``Case.read`` takes octets and either raises an ``SmimeError`` or returns the
content; where something vouches for the content it is the one that was put in.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import smime
from smime import cms
from smime.cms import algorithms as alg
from smime.cms import der, enveloped, receipt, signatures, timestamp
from smime.formats import smime as form
from tests.cms.people import person
from tests.support.world import LETTER, World

LENIENT = smime.Policy(weak=["gcm-in-enveloped"])
KEM = "ml-kem-768"
TST_INFO = "1.2.840.113549.1.9.16.1.4"
CONTENT_KEY = cms.ContentKey(bytes(32))
CONTENT = b"the content of a structure, longer than a block\r\n" * 3


class Pipe:
    """Octets that come as from a pipe: once, and nobody knows how many."""

    def __init__(self, data: bytes) -> None:
        self.data = io.BytesIO(data)

    def read(self, size: int = -1) -> bytes:
        return self.data.read(size)


@dataclass(frozen=True)
class Case:
    """One structure, and the ways in which it is read."""

    name: str
    blob: bytes
    ways: tuple[Callable[[bytes], bytes | None], ...]
    """Each gives the content, or None where it gives none."""
    vouched: bytes | None
    """The only content that may come out; None where nothing vouches for it."""


def in_pieces(blob: bytes, octets: int = 1) -> bytes:
    """Return the content of an opaque structure cut into tiny OCTET STRINGs, lengths left open."""
    spans_of = der.children
    outer = der.top(blob)
    kind, explicit = spans_of(blob, outer)
    (inner,) = spans_of(blob, explicit)
    fields = spans_of(blob, inner)
    at = max(n for n, one in enumerate(fields) if one[0] == 0x30)
    encapsulated = spans_of(blob, fields[at])
    content = encapsulated[-1]
    string = content if content[0] == 0x80 else spans_of(blob, content)[0]
    data = blob[string[2] : string[3]]
    pieces = b"".join(der.octet_string(data[n : n + octets]) for n in range(0, len(data), octets))
    written = b"\xa0\x80" + pieces + b"\0\0"
    if content[0] != 0x80:
        written = b"\xa0\x80\x24\x80" + pieces + b"\0\0\0\0"
    head = blob[encapsulated[0][1] : content[1]]
    before = blob[fields[0][1] : fields[at][1]]
    after = blob[fields[at][3] : inner[3]]
    inside = before + b"\x30\x80" + head + written + b"\0\0" + after
    return b"\x30\x80" + blob[kind[1] : kind[3]] + b"\xa0\x80\x30\x80" + inside + b"\0\0\0\0\0\0"


def other_structures(world: World, shared: cms.SharedKey) -> list[tuple[str, bytes, bytes | None]]:
    """Return what ``cms.open`` reads beside the ordinary: name, octets, what may come out."""
    own = [cms.attribute(f"1.2.3.{n}", der.octet_string(bytes(n))) for n in range(3)]
    gcm = smime.Policy(cipher="aes-256-gcm")
    to = [world.bob, shared]
    spoken = [*to, cms.Passphrase("july")]
    both: dict[str, Any] = {"authenticated_attributes": own, "unprotected_attributes": own}
    derived = gcm.replace(content_key="derived")
    sealed = cms.encrypt(CONTENT, to=to, policy=derived, content_type="1.2.3", **both)
    coded = cms.authenticate(CONTENT, to=to, authenticated_attributes=own)
    digested = cms.digest(CONTENT)
    plain = cms.encrypt(CONTENT, to=CONTENT_KEY, unprotected_attributes=own)
    inside = tag_inside(cms.encrypt(CONTENT, to=to, policy=gcm))
    return [
        ("sealed, attributes", sealed, CONTENT),
        ("sealed, attributes, tiny pieces", in_pieces(sealed), CONTENT),
        ("sealed, tag inside", inside, CONTENT),
        ("sealed, tag inside, tiny pieces", in_pieces(inside), CONTENT),
        ("coded", coded, CONTENT),
        ("coded, tiny pieces", in_pieces(coded), CONTENT),
        ("digested", digested, None),
        ("digested, tiny pieces", in_pieces(digested), None),
        ("encrypted", plain, None),
        ("encrypted, tiny pieces", in_pieces(plain), None),
        ("sealed by encapsulation", encapsulated(gcm), CONTENT),
        ("sealed by passphrase too", cms.encrypt(CONTENT, to=spoken, policy=gcm), CONTENT),
    ]


def encapsulated(policy: smime.Policy) -> bytes:
    """Return a structure with a KEMRecipientInfo."""
    return cms.encrypt(CONTENT, to=smime.Recipient(person(KEM)[1]), policy=policy)


def values(world: World) -> list[Case]:
    """Return what stands as a content or an attribute in a structure: no content comes of it."""
    blob = cms.sign(CONTENT, by=world.alice)
    imprint = der.sequence(
        der.sequence(der.oid("2.16.840.1.101.3.4.2.1")), der.octet_string(bytes(32))
    )
    info = der.sequence(
        der.integer(1),
        der.oid("1.2.3"),
        imprint,
        der.integer(7),
        der.tlv(0x18, b"20261124123456Z"),
        der.sequence(der.integer(1)),
    )
    asked = receipt.Receipt(alg.DATA, bytes(24), bytes(64)).to_der()
    with_request = cms.sign(CONTENT, by=world.alice, attributes=[receipt.write_request(["a@b.c"])])

    def time_stamp(data: bytes) -> None:
        timestamp.read_info(data)

    def receipt_of(data: bytes) -> None:
        receipt.Receipt.parse(data)

    def request(data: bytes) -> None:
        for one in signatures.read(data).signers:
            if one.attributes is not None:
                receipt.read_request(one.attributes)

    def token(data: bytes) -> None:
        timestamp.check_token(data, blob, policy=LENIENT)  # which answers, and never raises
        timestamp.read_info(signatures.read(data).content or b"")

    return [
        Case("time stamp's content", info, (time_stamp,), None),
        Case("receipt", asked, (receipt_of,), None),
        Case("signed, asks for a receipt", with_request, (request,), None),
        Case("token", cms.sign(info, by=world.alice, content_type=TST_INFO), (token,), None),
    ]


def tag_inside(blob: bytes) -> bytes:
    """Return AuthEnvelopedData as some write it: EnvelopedData with the tag in the content."""
    _, explicit = der.children(blob, der.top(blob))
    (inner,) = der.children(blob, explicit)
    version, infos, sealed, tag = der.children(blob, inner)
    kind, algorithm, content = der.children(blob, sealed)
    string = der.tlv(0x80, blob[content[2] : content[3]] + blob[tag[2] : tag[3]])
    other = der.sequence(blob[kind[1] : algorithm[3]], string)
    whole = der.sequence(blob[version[1] : infos[3]], other)
    return der.sequence(der.tlv(0x06, alg.ENVELOPED_DATA), der.tlv(0xA0, whole))


def structures(world: World) -> list[Case]:
    """Return every structure, made anew."""
    anchors = world.anchors
    shared = cms.SharedKey(bytes(16), b"july")
    encapsulating = smime.Identity(*person(KEM))
    keys = [world.bob, world.rsa, shared, CONTENT_KEY, encapsulating]

    def verify(blob: bytes) -> bytes:
        return cms.verify(blob, trust=anchors).content

    def verify_stream(blob: bytes) -> bytes:
        return cms.verify(Pipe(blob), trust=anchors).content  # type: ignore[arg-type]

    def verify_detached(blob: bytes) -> bytes:
        return cms.verify(blob, content=CONTENT, trust=anchors).content

    def verify_beside(blob: bytes) -> bytes:
        out = io.BytesIO()
        beside: Any = Pipe(CONTENT)
        cms.verify(Pipe(blob), content=beside, trust=anchors, out=out)  # type: ignore[arg-type]
        return out.getvalue()

    def decrypt(blob: bytes) -> bytes:
        return cms.decrypt(blob, keys=keys)

    def decrypt_stream(blob: bytes) -> bytes:
        return cms.decrypt(Pipe(blob), keys=keys)  # type: ignore[call-overload, no-any-return]

    def decompress(blob: bytes) -> bytes:
        return cms.decompress(blob)

    def decompress_stream(blob: bytes) -> bytes:
        return cms.decompress(Pipe(blob))  # type: ignore[call-overload, no-any-return]

    def open_layer(blob: bytes) -> bytes:
        return cms.open(blob, keys=keys, policy=LENIENT).content

    def open_stream(blob: bytes) -> bytes:
        return cms.open(Pipe(blob), keys=keys, policy=LENIENT).content  # type: ignore[arg-type]

    def inspect(blob: bytes) -> None:
        cms.inspect(blob)

    def certificates(blob: bytes) -> None:
        cms.certificates(blob)

    def open_mail(mail: bytes) -> None:
        smime.examine(mail, trust=anchors, keys=keys[:2])
        smime.open(mail, trust=anchors, keys=keys[:2])

    def verify_mail(mail: bytes) -> bytes:
        return smime.verify(mail, trust=anchors, keys=keys[:2]).content

    opaque = (verify, verify_stream, inspect, certificates)
    beside = (verify_detached, verify_beside, inspect)
    sealed = (decrypt, decrypt_stream, inspect)
    both = [world.alice, world.rsa]
    found = [
        Case("signed by EC", cms.sign(CONTENT, by=world.alice), opaque, CONTENT),
        Case("signed by RSA", cms.sign(CONTENT, by=world.rsa), opaque, CONTENT),
        Case("signed twice", cms.sign(CONTENT, by=both), opaque, CONTENT),
        Case("signed, BER", cms.sign(Pipe(CONTENT), by=both), opaque, CONTENT),  # type: ignore[call-overload]
        Case("signed, tiny pieces", in_pieces(cms.sign(CONTENT, by=both)), opaque, CONTENT),
        Case("signed beside", cms.sign(CONTENT, by=both, detached=True), beside, CONTENT),
        Case("certificates", cms.bundle([world.bob.certificate]), (inspect, certificates), None),
        Case(
            "countersigned",
            cms.countersign(cms.sign(CONTENT, by=world.alice), by=world.rsa),
            opaque,
            CONTENT,
        ),
    ]
    for cipher in ("aes-256-cbc", "aes-256-gcm", "chacha20-poly1305"):
        to = [world.rsa, world.bob, shared]
        vouched = None if cipher.endswith("cbc") else CONTENT
        readers, _ = [one if one is shared else one.recipient.recipient_key for one in to], None
        blob = enveloped.build(CONTENT, readers, cipher=cipher, transport="rsa-oaep")
        found.append(Case(f"sealed, {cipher}", blob, sealed, vouched))
        found.append(Case(f"sealed, {cipher}, tiny pieces", in_pieces(blob), sealed, vouched))
    packed = cms.compress(CONTENT)
    for name, blob in (("", packed), (", tiny pieces", in_pieces(packed))):
        ways = (decompress, decompress_stream, inspect)
        found.append(Case(f"compressed{name}", blob, ways, CONTENT))
    layers = (open_layer, open_stream, inspect)
    for name, blob, vouched in other_structures(world, shared):
        found.append(Case(name, blob, layers, vouched))
    found += values(world)
    armoured = b"-----BEGIN CMS-----\n%b-----END CMS-----\n"
    import base64

    pem = armoured % base64.encodebytes(cms.sign(CONTENT, by=world.alice))
    found.append(Case("armoured", pem, (verify, verify_stream), CONTENT))
    protected = bytes(smime.protect(LETTER, by=world.alice, to=world.bob))
    signed = bytes(smime.sign(LETTER, by=world.alice))
    compressed = form.wrap_sealed(cms.compress(signed), "compressedData", LETTER[:60])
    found.append(Case("compressed mail", compressed, (open_mail,), None))
    found.append(Case("signed mail", signed, (open_mail, verify_mail), None))
    found.append(Case("protected mail", protected, (open_mail, verify_mail), None))
    return found
