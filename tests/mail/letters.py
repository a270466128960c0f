"""Letters of the kind that broke on their way in other libraries."""

from __future__ import annotations

from collections.abc import Callable
from email.message import EmailMessage
from typing import Any

import smime
from tests.support.world import LETTER, World

SEALED = smime.Policy.modern().replace(headers="none")


def letter(subject: str = "noon", text: str = "at noon\n", **more: str) -> EmailMessage:
    """A letter as a program builds it."""
    message = EmailMessage()
    message["From"] = "Alice Müller <alice@example.org>"
    message["To"] = "Bob <bob@example.org>, dora@example.org"
    message["Cc"] = "carol@example.org"
    message["Subject"] = subject
    message["Message-ID"] = "<one@example.org>"
    message["Date"] = "Tue, 24 Nov 2026 12:00:00 +0000"
    for name, value in more.items():
        message[name] = value
    message.set_content(text)
    return message


def with_file(name: str) -> EmailMessage:
    message = letter()
    message.add_attachment(bytes(range(256)), "application", "octet-stream", filename=name)
    return message


def related() -> EmailMessage:
    message = letter(text="Grüße, mit Bild\n")
    message.add_alternative("<p>Grüße, mit <img src='cid:one'></p>\n", subtype="html")
    payload: Any = message.get_payload()
    payload[1].add_related(b"\x89PNG" + bytes(60), "image", "png", cid="<one>")
    message.add_attachment("a,b\n1,2\n", subtype="csv", filename="daten für dich.csv")
    return message


def forwarding() -> EmailMessage:
    message = letter(subject="Fwd: noon")
    message.add_attachment(letter(subject="Grüße vom anderen"))
    return message


def signed_8bit() -> bytes:
    """Signed elsewhere over 8-bit text, which cannot be written in another way any more."""
    return (
        b"From: alice@example.org\r\nTo: bob@example.org\r\nMIME-Version: 1.0\r\n"
        b'Content-Type: multipart/signed; protocol="application/x-other"; boundary="b"\r\n\r\n'
        b"--b\r\nContent-Type: text/plain; charset=utf-8\r\n\r\n"
        + "Grüße\r\n".encode()
        + b"--b\r\nContent-Type: application/x-other\r\n\r\nabc\r\n--b--\r\n"
    )


LETTERS: dict[str, Callable[[], EmailMessage | bytes]] = {
    "plain": letter,
    "subject-70": lambda: letter("s" * 30 + " " + "t" * 39),
    "subject-73": lambda: letter("s" * 30 + " " + "t" * 42),
    "subject-77": lambda: letter("s" * 30 + " " + "t" * 46),
    "subject-77-no-blank": lambda: letter("s" * 77),
    "subject-998": lambda: b"Subject: " + b"x" * 989 + b"\r\n" + LETTER.replace(b"Subject", b"X-S"),
    "subject-umlauts": lambda: letter("Grüße aus Köln, und noch ein paar Wörter, für die Länge"),
    "subject-chinese": lambda: letter(
        "会议记录和下一次会议的日程安排以及所有与会者的名单和联系方式"
    ),
    "subject-raw-utf8": lambda: LETTER.replace(b"=?utf-8?b?5Lya6K6u6K6w5b2V?=", "会议".encode()),
    "header-latin-1": lambda: LETTER.replace(b"To: Bob", "To: Björn".encode("latin-1")),
    "signed-8bit": signed_8bit,
    "header-folded-oddly": lambda: (
        b"In-Reply-To:\r\n <one@example.org>\r\nX-Tight:value\r\nReferences: <a@b>\r\n\t<c@d>\r\n"
        b"X-Empty:\r\nX-Trailing: blank \r\n" + LETTER
    ),
    "file-name-60": lambda: with_file("n" * 56 + ".bin"),
    "file-name-umlauts": lambda: with_file("Übersicht der Maßnahmen für das kommende Jahr.bin"),
    "file-name-chinese": lambda: with_file("会议记录.bin"),
    "umlauts": lambda: letter(text="Grüße\nFrom here\n.\n..\ntrailing  \n"),
    "long-line": lambda: letter(text="x" * 3000 + "\n"),
    "empty": lambda: letter(text=""),
    "related": related,
    "forwarding": forwarding,
    "bcc": lambda: letter(Bcc="secret@example.org, Other <other@example.org>"),
}

FORMS: dict[str, Callable[[World, EmailMessage | bytes], smime.Mail]] = {
    "signed": lambda w, m: smime.sign(m, by=w.alice),
    "opaque": lambda w, m: smime.sign(m, by=w.alice, opaque=True),
    "sealed": lambda w, m: smime.encrypt(m, to=[w.bob, w.carol]),
    "sealed-without-headers": lambda w, m: smime.encrypt(m, to=w.bob, policy=SEALED),
    "protected": lambda w, m: smime.protect(m, by=w.alice, to=[w.bob, w.carol]),
}
