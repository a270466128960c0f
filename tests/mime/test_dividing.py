"""A mail divided without an object for each field is divided as ever."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from smime.errors import SmimeError
from smime.mime import headers

FIELDS = [
    b"From: a@example.org\r\n", b"SUBJECT: x\r\n", b"subject : y\r\n z\r\n", b"Comments: c\r\n",
    b"Message-ID: <1@x>\r\n", b"Message-Id: <2@x>\r\n", b"MIME-Version: 1.0\r\n", b"X-Any: y\r\n",
    b"Received: by x\r\n", b"List-Id: <l.x>\r\n", b"DKIM-Signature: v=1\r\n", b"BCC: b@x\r\n",
    b"HP-Outer: To: c@x\r\n", b"Content-Type: text/plain\r\n", b"content-TYPE: a/b; hp=clear\r\n",
    b"Content-Transfer-Encoding: 7bit\r\n", b"Content-ID: <3@x>\r\n", b"no field\r\n", b"To:\r\n",
    b"References: " + b"<a@x>\r\n " * 150 + b"<b@x>\r\n", b"Keywords: " + b"k" * 990 + b"\r\n",
    b"X-Long: " + b"k" * 985 + b"\r\n", b"To: " + b"k" * 2000 + b"\r\n", b"X-Blank: z \r\n",
    b"From: b\xc3\xbc@x\r\n", b"Date: today\n",
]  # fmt: skip
BODIES = [b"hi\r\n", b"hi\n", b"", b"hi \r\n", b"h\xfc\r\n", b"\r\n\r\n"]


def divided(mail: bytes, mode: str, travels: bool) -> object:
    try:
        made = headers.divide(mail, mode=mode, travels=travels)
    except SmimeError as problem:
        return type(problem), str(problem)
    return made.outer, made.inner, made.sealed_outer


@given(
    st.lists(st.sampled_from(FIELDS), min_size=1, max_size=7),
    st.sampled_from(BODIES),
    st.sampled_from([b"\r\n", b""]),
)
def test_both_ways_divide_alike(fields: list[bytes], body: bytes, end: bytes) -> None:
    compare(b"".join([*fields, end, body if end else b""]))


def test_each_field_beside_ordinary_ones_is_divided_alike() -> None:
    for field in FIELDS:
        for body in BODIES:
            compare(b"From: a@x\r\n" + field + b"Content-Type: text/plain\r\n\r\n" + body)


def compare(mail: bytes) -> None:
    for mode in ("clear", "cipher", "none"):
        for travels in (True, False):
            quick = divided(mail, mode, travels)
            with pytest.MonkeyPatch.context() as patch:
                patch.setattr(headers, "at_once", lambda *_: None)
                assert divided(mail, mode, travels) == quick, (mail[:200], mode, travels)


def test_an_ordinary_mail_is_divided_at_once(monkeypatch: pytest.MonkeyPatch) -> None:
    """Under each mode; one with an 8-bit field is not."""
    found: list[object] = []
    real = headers.at_once
    monkeypatch.setattr(
        headers, "at_once", lambda *given: found.append(real(*given)) or real(*given)
    )
    mail = b"".join(FIELDS[:1] + FIELDS[4:5] + FIELDS[13:16]) + b"\r\nhi\r\n"
    for mode in ("clear", "cipher", "none"):
        divided(mail, mode, True)
        divided(mail, mode, False)
    assert len(found) == 6
    assert None not in found
    divided(FIELDS[-2] + mail, "clear", True)
    assert len(found) == 6
