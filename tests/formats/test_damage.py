"""Diagnoses of damage: every accident is found, no forgery is excused, the work is bounded."""

from __future__ import annotations

import hashlib
import time

import pytest
from hypothesis import given
from hypothesis import strategies as st

import smime
from smime.formats.damage import MAX_OCTETS, diagnose
from tests.support.world import World

TEXT = b"Content-Type: text/plain\r\n\r\n"
MAIL = b"From: alice@example.org\r\nContent-Type: text/plain\r\n\r\nFrom afar,\r\n-- \r\nAlice\r\n"
lines = st.lists(st.binary(max_size=20).map(lambda b: b.translate(None, b"\r\n")), max_size=8)


def sha256(data: bytes) -> bytes:
    return hashlib.sha256(data).digest()


def code(now: bytes, signed: bytes) -> str | None:
    note = diagnose(now, "sha256", sha256(signed))
    return note.code if note else None


@given(text=lines, footer=lines.filter(bool))
def test_a_footer_is_found_below_any_text(text: list[bytes], footer: list[bytes]) -> None:
    signed = TEXT + b"\r\n".join(text) + b"\r\n"
    now = signed + b"\r\n".join(footer) + b"\r\n"

    found = code(now, signed)

    # A footer of empty lines can look like lost blanks as well; nothing else is said.
    assert found in ("damage-footer", "damage-blanks")


@given(text=lines, at=st.integers(0), new=st.binary(min_size=1, max_size=3))
def test_an_octet_changed_in_the_middle_is_not_excused(
    text: list[bytes], at: int, new: bytes
) -> None:
    signed = TEXT + b"x" * 40 + b"\r\n" + b"\r\n".join(text) + b"\r\nthe end"
    place = len(TEXT) + at % 40
    forged = signed[:place] + b"#" + new.replace(b"\n", b"#") + signed[place + 1 :]

    assert code(forged, signed) is None


def test_damage_is_never_good(world: World) -> None:
    signed = bytes(smime.sign(MAIL, by=world.alice))
    damaged = signed.replace(b"--protected", b"--").replace(b"Alice\r\n", b"Alice\r\nlist\r\n", 1)

    opened = smime.open(damaged, trust=world.anchors)

    (check,) = opened.report.signatures
    assert [note.code for note in check.notes] == ["damage-footer"]
    assert not check.good
    assert opened.signer is None
    assert opened.contacts == ()
    with pytest.raises(smime.SignatureRejected):
        smime.verify(damaged, trust=world.anchors)


def test_no_diagnosis_where_the_attributes_are_not_the_signer_s(world: World) -> None:
    """Else whoever writes the attributes could have any text called merely damaged."""
    signed = bytes(smime.sign(MAIL, by=world.alice))
    damaged = signed.replace(b"Alice\r\n", b"Alice\r\nlist\r\n", 1)
    at = damaged.rindex(b"--signed") - 20
    other = b"A" if damaged[at : at + 1] != b"A" else b"B"
    broken = damaged[:at] + other + damaged[at + 1 :]

    (check,) = smime.examine(broken, trust=world.anchors).signatures

    assert check.genuine.code == "signature-wrong"
    assert check.notes == ()


def test_the_work_is_bounded() -> None:
    for content in (
        TEXT + b"x\r\n" * (MAX_OCTETS // 12),
        TEXT + b"\r\n" * 400_000,
        TEXT + b">From " * 400_000,
        TEXT + b"--\r\n" * 200_000,
        b"Content-Type: multipart/mixed; boundary=a\r\n\r\n"
        + b"--a\r\n\r\n\r\n" * 9_000
        + b"--a--",
    ):
        start = time.process_time()
        diagnose(content, "sha256", b"\0" * 32)
        assert time.process_time() - start < 2


def test_an_unknown_digest_is_not_tried() -> None:
    assert diagnose(TEXT, "1.2.3", b"") is None
    assert diagnose(TEXT, "shake_128", b"") is None
