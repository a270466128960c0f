"""Every length of every structure, told to be more than there is; nesting; counts.

What is announced is never believed: no memory for it, no time, and no content
but the one that was put in.
"""

from __future__ import annotations

import time

import pytest

import smime
from smime import cms
from smime.cms import algorithms as alg
from smime.cms import der
from tests.fuzz.damage import fitted, spans
from tests.fuzz.judge import MAX_SECONDS, faults
from tests.fuzz.run import peak_octets
from tests.fuzz.structures import Case, Pipe, structures
from tests.support.world import World

ENLARGED = (1, 2**31, 2**62, 2**63, 2**64 - 1)
MAX_SPANS = 40  # of one structure; they are spread over it
MAX_GROWTH_OCTETS = 48 << 20


@pytest.fixture(scope="module")
def cases(world: World) -> list[Case]:
    found = [one for one in structures(world) if "mail" not in one.name]
    return [one for one in found if one.name != "armoured"]


def spread(blob: bytes) -> list[tuple[int, int, int]]:
    every = spans(blob)
    return every[:: max(1, len(every) // MAX_SPANS)]


def said(blob: bytes, span: tuple[int, int, int], length: int) -> bytes:
    start, content, _ = span
    octets = length.to_bytes(8, "big")
    return blob[: start + 1] + b"\x88" + octets + blob[content:]


def test_every_length_enlarged(cases: list[Case]) -> None:
    before = peak_octets()
    wrong = []
    for case in cases:
        for number, span in enumerate(spread(case.blob)):
            more = ENLARGED[number % len(ENLARGED)]
            length = more if more > 2**30 else span[2] - span[1] + more
            wrong += [
                f"{case.name} at {span[0]}: {one}"
                for one in faults(case, said(case.blob, span, length))
            ]

    assert not wrong, "\n".join(wrong)
    assert peak_octets() - before < MAX_GROWTH_OCTETS


def test_a_length_in_a_longer_form_is_the_same_length(cases: list[Case]) -> None:
    """The control: the same octets with their true length in eight octets are read (BER)."""
    for case in cases:
        start, content, end = spans(case.blob)[0]
        if case.blob[1] == 0x80:
            continue
        blob = said(case.blob, (start, content, end), end - content)
        assert case.ways[0](blob) in (None, case.vouched or case.ways[0](case.blob)), case.name


def test_nested_ten_thousand_deep(cases: list[Case]) -> None:
    """In the place of each element, and with each tag that holds others."""
    for case in cases:
        for span in spread(case.blob)[::9]:
            for tag in (b"\x30", b"\x24", b"\xa0"):
                deep = (tag + b"\x80") * 10_000
                for inside in (deep, deep + b"\0\0" * 10_000):
                    blob = fitted(case.blob, span[0], inside, span[2])
                    assert not faults(case, blob), f"{case.name} at {span[0]}"


def many(kind: bytes, one: bytes, count: int) -> bytes:
    """Return a structure of ``count`` recipients that are alike."""
    infos = der.tlv(0x31, one * count)
    algorithm = der.sequence(alg.CIPHERS["aes-128-cbc"][0], der.octet_string(bytes(16)))
    content = der.sequence(der.tlv(0x06, alg.DATA), algorithm, der.tlv(0x80, bytes(32)))
    inner = der.sequence(der.integer(2), infos, content)
    return der.sequence(der.tlv(0x06, kind), der.tlv(0xA0, inner))


@pytest.mark.parametrize("form", ["bytes", "pipe"])
@pytest.mark.parametrize("kind", ["envelopedData", "authEnvelopedData"])
def test_a_million_recipients(world: World, form: str, kind: str) -> None:
    """They are refused at the first that is too many, whatever they are."""
    identifier = next(one for one, name in alg.CONTENT_TYPES.items() if name == kind)
    shared = cms.SharedKey(bytes(16), b"july").info(bytes(16))
    for one, count in ((b"\x30\x00", 1_000_000), (shared, 100_000)):
        blob = many(identifier, one, count)
        given: object = blob if form == "bytes" else Pipe(blob)
        began = time.process_time()
        with pytest.raises((smime.MalformedMail, smime.NotSupported)):
            cms.decrypt(given, keys=world.bob)  # type: ignore[call-overload]
        assert time.process_time() - began < MAX_SECONDS


def test_a_million_attributes(world: World) -> None:
    blob = cms.authenticate(b"x", to=cms.SharedKey(bytes(16), b"july"))
    span = next(one for one in spans(blob) if blob[one[0]] == 0xA2 and one[2] - one[1] > 100)
    one = cms.attribute("1.2.3", der.NULL)
    other = fitted(blob, span[0], der.tlv(0xA2, one * 1_000_000), span[2])

    began = time.process_time()
    with pytest.raises(smime.LimitExceeded):
        cms.open(other, keys=cms.SharedKey(bytes(16), b"july"))

    assert time.process_time() - began < MAX_SECONDS


def test_versions_that_nobody_knows(cases: list[Case]) -> None:
    """A version says nothing that is not seen otherwise, so none is refused for it alone."""
    read = 0
    for case in cases:
        span = next(
            (one for one in spans(case.blob) if case.blob[one[0]] == 2 and one[2] - one[1] == 1),
            None,
        )
        if span is None:
            continue
        for version in (11, 2**31, 2**70):
            blob = fitted(case.blob, span[0], der.integer(version), span[2])
            assert not faults(case, blob), case.name
            read += 1
    assert read > 20
