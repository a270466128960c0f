"""Damaged mail: examine() always answers, and nothing but an SmimeError leaves open()."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

import smime
from smime import Outcome
from smime.incoming import MAX_LAYERS
from tests.support.world import LETTER, World, make_world

FORMS: dict[str, Callable[[World], smime.Mail]] = {
    "clear": lambda w: smime.sign(LETTER, by=[w.alice, w.rsa]),
    "opaque": lambda w: smime.sign(LETTER, by=w.alice, opaque=True),
    "cbc": lambda w: smime.encrypt(LETTER, to=[w.bob, w.rsa]),
    "protected": lambda w: smime.protect(LETTER, by=w.alice, to=[w.bob, w.rsa]),
    "gcm": lambda w: smime.protect(
        LETTER,
        by=w.alice,
        to=[w.bob, w.rsa],
        policy=smime.Policy.modern().replace(cipher="aes-256-gcm"),
    ),
}
WORLD = make_world()
MAILS = {name: bytes(make(WORLD)) for name, make in FORMS.items()}
NEVER_GOOD = {Outcome.UNSIGNED, Outcome.REJECTED, Outcome.UNKNOWN, Outcome.SEALED}


def look(mail: bytes) -> smime.Report:
    """Open and examine it; only an SmimeError may leave, and examine() agrees with open()."""
    report = smime.examine(mail, keys=[WORLD.bob, WORLD.rsa], trust=WORLD.anchors)
    str(report)
    report.to_dict()
    try:
        opened = smime.open(mail, keys=[WORLD.bob, WORLD.rsa], trust=WORLD.anchors)
    except smime.SmimeError:
        assert report.signer is None
        assert report.problem is not None
    else:
        assert opened.signer == report.signer
        assert opened.report.outcome == report.outcome
    return report


@pytest.mark.parametrize("form", list(FORMS))
def test_undamaged(form: str) -> None:
    expected = Outcome.UNSIGNED if form == "cbc" else Outcome.GOOD

    assert look(MAILS[form]).outcome is expected


@pytest.mark.parametrize("form", list(FORMS))
@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(data=st.data())
def test_flipped_and_cut(form: str, data: st.DataObject) -> None:
    mail = bytearray(MAILS[form])
    for _ in range(data.draw(st.integers(1, 3))):
        mail[data.draw(st.integers(0, len(mail) - 1))] = data.draw(st.integers(0, 255))
    end = data.draw(st.one_of(st.just(len(mail)), st.integers(0, len(mail))))

    look(bytes(mail[:end]))


@pytest.mark.parametrize("form", list(FORMS))
def test_cut_anywhere(form: str) -> None:
    """A mail cut before its end is not good; what a sealed one held is not given out."""
    mail = MAILS[form].rstrip(b"\r\n")
    for end in range(0, len(mail) - 4, max(1, len(mail) // 150)):
        report = look(mail[:end])
        assert report.outcome in NEVER_GOOD
        assert report.signer is None


@settings(max_examples=100, deadline=None)
@given(
    head=st.sampled_from(
        [
            b"",
            b"Content-Type: application/pkcs7-mime\r\n\r\n",
            b"Content-Type: application/pkcs7-mime\r\nContent-Transfer-Encoding: base64\r\n\r\n",
            b'Content-Type: multipart/signed; protocol="application/pkcs7-signature";'
            b" boundary=b\r\n\r\n--b\r\n\r\nhi\r\n--b\r\n"
            b"Content-Type: application/pkcs7-signature\r\n\r\n",
        ]
    ),
    body=st.one_of(
        st.binary(max_size=300),
        st.binary(max_size=60).map(
            lambda tail: b"\x30\x80\x06\x09*\x86H\x86\xf7\r\x01\x07\x02" + tail
        ),
        st.binary(max_size=60).map(
            lambda tail: b"\x30\x80\x06\x09*\x86H\x86\xf7\r\x01\x07\x03" + tail
        ),
        st.integers(1, 400).map(lambda depth: b"\x30\x80" * depth),
    ),
    tail=st.sampled_from([b"", b"\r\n--b--\r\n"]),
)
def test_noise(head: bytes, body: bytes, tail: bytes) -> None:
    assert look(head + body + tail).outcome in NEVER_GOOD


@pytest.mark.parametrize("layers", [MAX_LAYERS, MAX_LAYERS + 1], ids=["most", "too-many"])
def test_wrapped_too_often(layers: int) -> None:
    mail: bytes | smime.Mail = b"From: alice@example.org\r\n\r\nhi\r\n"
    for _ in range(layers):
        mail = smime.sign(mail, by=WORLD.alice)

    report = smime.examine(mail, trust=WORLD.anchors)

    if layers > MAX_LAYERS:
        assert report.problem is not None
        assert report.problem.code == "limit-exceeded"
        with pytest.raises(smime.LimitExceeded):
            smime.open(mail, trust=WORLD.anchors)
    else:
        assert report.outcome is Outcome.GOOD
