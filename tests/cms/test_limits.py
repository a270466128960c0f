"""Every limit of smime.cms, walked: at it all works, one above is LimitExceeded.

A limit that is not in one of the two tables, however it is written, fails the first test.
"""

from __future__ import annotations

import importlib
import pkgutil
import re
import zlib
from collections.abc import Callable
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

import smime
import smime.cms
from smime import cms
from smime.cms import (
    amend,
    attributes,
    ber,
    ciphers,
    compressed,
    der,
    inspection,
    receipt,
    recipients,
    schemes,
    signerinfo,
    stream,
    timestamp,
)
from smime.cms.der import integer, octet_string, oid, sequence, tlv
from smime.source import Source
from tests.support.world import World

END = b"\0\0"
# What is above these is passed over, or tells that it is no such thing; nothing is refused by size.
NOT_REFUSED = {
    "agreement.MAX_KNOWN_WAYS": "what was read is forgotten and read again",
    "agreement.MAX_WAY_OCTETS": "what is longer is read each time",
    "armour.MAX_LABEL_OCTETS": "what has no label this near to its beginning is no armour",
    "attributes.MAX_CAPABILITIES": "more of them are not looked at",
    "der.MAX_LENGTH_OCTETS": "a length of more octets is malformed",
    "met.MAX_ALIKE": "the form met first is forgotten, and met again",
    "met.MAX_KEPT_OCTETS": "what is longer goes the full way each time",
    "met.MAX_SEEN": "what came once is forgotten",
    "recipients.MAX_SEARCHES": "with more keys every recipient is walked over",
    "schemes.MAX_SALT_OCTETS": "no key has room for more: the signature is not supported",
    "sole.MAX_POLICIES": "what was worked out is forgotten and worked out again",
    "signatures.MAX_COUNTERSIGNATURES": "more are not looked at",
    "signatures.MAX_COUNTERSIGNATURE_DEPTH": "deeper ones are not looked at",
    "signatures.MAX_TIME_STAMPS": "more are not looked at",
    "signerinfo.MAX_FIELD_OCTETS": "what is longer is read each time",
    "signerinfo.MAX_KNOWN_FIELDS": "what was read is forgotten and read again",
    "signerinfo.MAX_CERTIFICATES": "more are not looked at",
    "straight.MAX_KEYS": "with more keys every element is read",
    "straight.MAX_LOOKED_AT": "with more recipients every element is read",
    "signerinfo.MAX_CRLS": "more are not looked at",
    "signerinfo.MAX_OCSP": "more are not looked at",
}

# However it is written: with a type, by a sum of two, as one mode's own.
NAMED = re.compile(r"^((?:\w+_)?MAX_\w+)(?:\s*:[^=\n]+)?\s*=", re.MULTILINE)

Try = Callable[[int, World, pytest.MonkeyPatch], Any]


def depth(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    nested = b"\x24\x80" * count + der.octet_string(b"x") + END * count
    ber.definite(nested)
    list(stream.Reader(Source(nested, "blob")).content(0x04))


def elements(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    patch.setattr(ber, "MAX_ELEMENTS", 1000)
    ber.definite(b"\x30\x80" + b"\x05\x00" * (count - ber_elements + 1000 - 1) + END)


ber_elements = ber.MAX_ELEMENTS


def children(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    blob = der.sequence(b"\x05\x00" * count)
    der.children(blob, der.top(blob))


def held(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    octets = 1000 + count - stream_held
    patch.setattr(stream, "MAX_HELD_OCTETS", 1000)
    blob = der.octet_string(bytes(octets - 4))
    assert len(blob) == octets
    stream.Reader(Source(blob, "blob")).whole(0x04)


stream_held = stream.MAX_HELD_OCTETS


def attribute_count(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    one = der.sequence(der.oid("1.2.3"), der.tlv(0x31, der.integer(1)))
    blob = der.tlv(0xA0, one * count)
    attributes.Attributes(blob, der.top(blob))


def signers(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    blob = cms.sign(b"x", by=world.alice)
    _, explicit = der.children(blob, der.top(blob))
    (inner,) = der.children(blob, explicit)
    fields = der.children(blob, inner)
    infos = fields[-1]
    many = der.tlv(0x31, blob[infos[2] : infos[3]] * count)
    whole = der.sequence(blob[fields[0][1] : infos[1]] + many)
    made = der.sequence(der.tlv(0x06, smime.cms.algorithms.SIGNED_DATA) + der.tlv(0xA0, whole))
    signerinfo.read(made)


def recipient_count(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    one = cms.SharedKey(bytes(16), b"july")
    infos, _ = recipients.seal(bytes(32), [one] * min(count, recipients.MAX_RECIPIENTS), "")
    if count > recipients.MAX_RECIPIENTS:
        node = der.top(infos)
        infos = der.tlv(0x31, infos[node[2] : node[3]] + one.info(bytes(32)))
        patch.setattr(der, "MAX_CHILDREN", count)
    recipients.find(recipients.read(infos, der.top(infos)), (cms.SharedKey(bytes(16), b"may"),))
    recipients.seal(bytes(32), [one] * count, "")


def trials(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    from cryptography.hazmat.primitives.asymmetric import rsa

    bare = rsa.generate_private_key(65537, 2048)
    reader = world.rsa.recipient.recipient_key
    infos, _ = recipients.seal(bytes(32), [reader] * count, "rsa-v15")
    found = recipients.find(recipients.read(infos, der.top(infos)), (cms.OpeningKey(bare),))
    assert len(found) == count


def spoken(rounds: int, salt: int) -> bytes:
    """Return a recipient by passphrase that asks for so many rounds."""
    one = cms.Passphrase("x").info(bytes(32))
    _, derivation, wrap, sealed = der.children(one, der.top(one))
    kdf = der.children(one, derivation)
    parameters = der.children(one, kdf[1])
    other = der.sequence(
        der.octet_string(bytes(salt)),
        der.integer(rounds),
        *(one[part[1] : part[3]] for part in parameters[2:]),
    )
    derivation_of = der.tlv(0xA0, one[kdf[0][1] : kdf[0][3]] + other)
    return der.tlv(
        0xA3, der.integer(0) + derivation_of + one[wrap[1] : wrap[3]] + one[sealed[1] : sealed[3]]
    )


def find_spoken(info: bytes) -> None:
    blob = der.tlv(0x31, info)
    found = recipients.find(recipients.read(blob, der.top(blob)), (cms.Passphrase("x"),))
    assert len(found) == 1  # nothing was derived yet


def rounds(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    find_spoken(spoken(count, 16))


def salt(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    find_spoken(spoken(1000, count))


def eddsa(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    schemes.check_pure_length("ed25519", count)


def token(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    blob = cms.sign(b"x", by=world.alice)
    try:
        amend.attach(blob, timestamp=bytes(count))
    except smime.LimitExceeded:
        raise
    except smime.MalformedMail:
        pass  # it is no time stamp, and not too large


def accuracy(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    imprint = sequence(sequence(oid("2.16.840.1.101.3.4.2.1")), octet_string(bytes(32)))
    time = tlv(0x18, b"20261124123456Z")
    parts = integer(1), oid("1.2.3"), imprint, integer(7), time, sequence(integer(count))
    timestamp.read_info(sequence(*parts))


def names(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    receipt.write_request([f"{n}@example.org" for n in range(count)])


def inspected(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    blob = cms.bundle([world.alice.certificate])
    patch.setattr(inspection, "MAX_INSPECTED_OCTETS", len(blob))
    cms.inspect(blob + bytes(count - (1 << 30)))


def inflated(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    limit = compressed.MAX_INFLATED_OCTETS
    assert (cms.decompress.__kwdefaults__ or {})["limit_octets"] == limit
    cms.decompress(cms.compress(bytes(1000 + count - limit)), limit_octets=1000)


def ratio(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    limit = compressed.MAX_RATIO
    stream = zlib.compress(bytes(1000))
    patch.setattr(compressed, "FREE_OCTETS", 1000 - limit * len(stream) - (count - limit))
    assert (cms.decompress.__kwdefaults__ or {})["limit_ratio"] == limit
    list(compressed.inflated([stream], 1 << 20, limit))


def gcm(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    ciphers.check_length("aes-256-gcm", 12, count)


def chacha(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    ciphers.check_length("chacha20-poly1305", 12, count)


def ccm(count: int, world: World, patch: pytest.MonkeyPatch) -> None:
    ciphers.check_length("aes-256-ccm", 8, count)  # longer nonces have a lower limit of their own


REFUSED: dict[str, Try] = {
    "amend.MAX_TOKEN_OCTETS": token,
    "attributes.MAX_ATTRIBUTES": attribute_count,
    "ber.MAX_DEPTH": depth,
    "ber.MAX_ELEMENTS": elements,
    "ciphers.CCM_MAX_OCTETS": ccm,
    "ciphers.CHACHA_MAX_OCTETS": chacha,
    "ciphers.GCM_MAX_OCTETS": gcm,
    "compressed.MAX_INFLATED_OCTETS": inflated,
    "compressed.MAX_RATIO": ratio,
    "der.MAX_CHILDREN": children,
    "inspection.MAX_INSPECTED_OCTETS": inspected,
    "receipt.MAX_NAMES": names,
    "recipients.MAX_RECIPIENTS": recipient_count,
    "recipients.MAX_TRIALS": trials,
    "schemes.MAX_EDDSA_OCTETS": eddsa,
    "shared_keys.MAX_SALT_OCTETS": salt,
    "signerinfo.MAX_SIGNERS": signers,
    "stream.MAX_HELD_OCTETS": held,
    "timestamp.MAX_ACCURACY_SECONDS": accuracy,
    "unwrapping.MAX_ROUNDS": rounds,
}


def test_every_limit_is_walked_or_said_to_refuse_nothing() -> None:
    found = set()
    for module in pkgutil.iter_modules(smime.cms.__path__):
        home = f"smime.cms.{module.name}"
        loaded = importlib.import_module(home)
        source = Path(loaded.__file__ or "").read_text(encoding="utf-8")
        found |= {f"{module.name}.{name}" for name in NAMED.findall(source)}

    assert found == set(REFUSED) | set(NOT_REFUSED)


@pytest.mark.parametrize("name", sorted(REFUSED))
def test_a_limit(world: World, monkeypatch: pytest.MonkeyPatch, name: str) -> None:
    module, constant = name.split(".")
    limit = getattr(importlib.import_module(f"smime.cms.{module}"), constant)
    began = datetime.now(UTC)

    REFUSED[name](limit, world, monkeypatch)
    with pytest.raises(smime.LimitExceeded):
        REFUSED[name](limit + 1, world, monkeypatch)

    assert (datetime.now(UTC) - began).total_seconds() < 5
