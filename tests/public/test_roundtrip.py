"""Whatever a program puts into a message comes out on the other side."""

from __future__ import annotations

from email.message import EmailMessage

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import smime
from tests.support.world import make_world

WORLD = make_world()
PRINTED = st.characters(exclude_categories=["Cc", "Cf", "Cs", "Zl", "Zp", "Cn"])
SUBJECTS = st.text(PRINTED, max_size=120).map(lambda text: " ".join(text.split()))
TEXTS = st.lists(st.text(PRINTED | st.just("\t"), max_size=200), max_size=8).map(
    lambda lines: "".join(line + "\n" for line in lines)
)


def text_of(message: EmailMessage) -> str:
    part = message.get_body(("plain",))
    assert part is not None
    return str(part.get_content()).replace("\r\n", "\n")


@settings(max_examples=120, deadline=None)
@given(
    subject=SUBJECTS,
    text=TEXTS,
    files=st.lists(st.tuples(st.binary(max_size=300), st.sampled_from("ab ü会\"'.")), max_size=2),
    form=st.sampled_from(["sign", "opaque", "encrypt", "protect"]),
    ends=st.sampled_from([b"\r\n", b"\n"]),
)
def test_subject_text_and_files(
    subject: str, text: str, files: list[tuple[bytes, str]], form: str, ends: bytes
) -> None:
    message = EmailMessage()
    message["From"] = "Alice <alice@example.org>"
    message["To"] = "bob@example.org"
    message["Subject"] = subject
    message.set_content(text)
    for content, name in files:
        message.add_attachment(content, "application", "x-test", filename=f"n{name}n.bin")
    match form:
        case "sign" | "opaque":
            made = smime.sign(message, by=WORLD.alice, opaque=form == "opaque")
        case "encrypt":
            made = smime.encrypt(message, to=WORLD.bob)
        case _:
            made = smime.protect(message, by=WORLD.alice, to=WORLD.bob)

    received = bytes(made).replace(b"\r\n", ends)
    opened = smime.open(received, keys=WORLD.bob, trust=WORLD.anchors)

    assert opened.signer == (None if form == "encrypt" else "alice@example.org")
    assert opened.message["Subject"] == message["Subject"]
    assert text_of(opened.message) == text_of(message)
    attached = [
        (part.get_filename(), part.get_content()) for part in opened.message.iter_attachments()
    ]
    assert attached == [(f"n{name}n.bin", content) for content, name in files]


@settings(max_examples=120, deadline=None)
@given(
    fields=st.lists(
        st.tuples(
            st.sampled_from([b"X-A", b"Subject", b"Comments", b"To", b"x-b", b"Reply-To"]),
            st.binary(max_size=120).map(lambda v: v.translate(None, b"\r\n\x00")),
        ),
        max_size=6,
    ),
    body=st.binary(max_size=400),
    kind=st.sampled_from(
        [
            b"",
            b"Content-Type: text/plain; charset=gb18030\r\n",
            b"Content-Type: application/octet-stream\r\nContent-Transfer-Encoding: binary\r\n",
            b"Content-Type: multipart/mixed; boundary=b\r\n",
            b"Content-Type: message/rfc822\r\n",
            b"Content-Type: text/html\r\nContent-Transfer-Encoding: base64\r\n",
            b"Content-Type: ;;;\r\nContent-Transfer-Encoding: x-y\r\n",
        ]
    ),
)
@pytest.mark.parametrize("sealed", [False, True])
def test_any_octets_are_signed_or_refused(
    sealed: bool, fields: list[tuple[bytes, bytes]], body: bytes, kind: bytes
) -> None:
    """What is no good mail is still a mail: it is signed as it can be, and then verifies."""
    mail = b"From: alice@example.org\r\n" + b"".join(
        name + b": " + value + b"\r\n" for name, value in fields
    )
    mail += b"MIME-Version: 1.0\r\n" + kind + b"\r\n" + body
    try:
        made = (
            smime.protect(mail, by=WORLD.alice, to=WORLD.bob)
            if sealed
            else smime.sign(mail, by=WORLD.alice)
        )
    except smime.SmimeError:
        return

    opened = smime.verify(made, keys=WORLD.bob, trust=WORLD.anchors)

    assert opened.signer == "alice@example.org"
    assert bytes(made.message) == bytes(made)
