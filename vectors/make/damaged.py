"""Signed mails after an accident on the way, each with the diagnosis; and forged ones with none.

Source: RFC 8551 §3.1.1, §3.1.2 for what gateways change; RFC 4155 for mailboxes
"""

from __future__ import annotations

import base64
from collections.abc import Iterator

from cms import By, signed_data
from mails import ENTITY, Vector, fields, mixed, shelf, signed_entity
from people import ALICE

P256 = ALICE["p256"]
vector = shelf("damaged")

TEXT = b"Content-Type: text/plain; charset=us-ascii\r\n\r\n"
FOOTER = b"\r\n_______________\r\nlist@lists.example\r\nhttps://lists.example/options\r\n"


def arrived(signed: bytes, now: bytes) -> bytes:
    """Return a mail of which Alice signed the one content, and that arrived with the other."""
    return fields() + signed_entity(now, signed_data(signed, By(P256), detached=True))


def attached(width: int) -> bytes:
    data = base64.b64encode(bytes(range(256)) * 3)
    lines = [data[at : at + width] for at in range(0, len(data), width)]
    part = (
        b"Content-Type: application/pdf; name=a.pdf\r\nContent-Transfer-Encoding: base64\r\n\r\n"
        + b"\r\n".join(lines)
    )
    return mixed(TEXT + b"see the file", part, edge="inner")


def vectors() -> Iterator[Vector]:
    plain = TEXT + b"Hello Bob,\r\n\r\nwe meet at noon.\r\n"
    tight = TEXT + b"Hello Bob,\r\nno line break at the end"
    list_mail = mixed(plain, b"Content-Type: text/html\r\n\r\n<p>noon</p>\r\n", edge="inner")
    flowed = (
        b"Content-Type: text/plain; format=flowed\r\n\r\nThis is one paragraph of \r\n"
        b"three lines that are \r\nput together.\r\n\r\nAnd another one.\r\n"
    )
    separator = TEXT + b"noon\r\n\r\n-- \r\nAlice\r\n"
    quoted = TEXT + b"> one\r\n> \r\n> two\r\nyes\r\n\r\n-- \r\nAlice\r\n"
    one = TEXT + b"we meet \r\nat noon,\r\nnot later\r\n"
    mailbox = TEXT + b"Hello,\r\nFrom here it is far.\r\n>From there too.\r\n"
    cases = (
        ("line-ends", "line-ends", "signed with bare LF, and CRLF arrived", plain.replace(b"\r\n", b"\n"), plain),
        ("footer", "footer", "a list put its footer below the text", plain, plain + FOOTER),
        ("footer-tight", "footer", "a footer below a text without a last line break", tight, tight + FOOTER),
        (
            "footer-in-part",
            "footer",
            "a list put its footer into the first of two parts",
            list_mail,
            list_mail.replace(b"at noon.\r\n", b"at noon.\r\n" + FOOTER, 1),
        ),
        ("footer-lf", "footer", "a footer, and bare LF in all of it", plain, (plain + FOOTER).replace(b"\r\n", b"\n")),
        ("base64-72-to-76", "base64", "base64 of 72 columns wrapped at 76", attached(72), attached(76)),
        ("base64-64-to-76", "base64", "base64 of 64 columns wrapped at 76", attached(64), attached(76)),
        ("base64-to-one-line", "base64", "base64 of 76 columns joined to one line", attached(76), attached(2000)),
        ("blanks-separator", "blanks", "the blank after -- was lost", separator, separator.replace(b"-- ", b"--")),
        ("blanks-quoted", "blanks", "blanks after > and -- were lost", quoted, quoted.replace(b"> \r", b">\r").replace(b"-- ", b"--")),
        ("blanks-flowed", "blanks", "flowed text lost its blanks", flowed, flowed.replace(b" \r\n", b"\r\n")),
        ("blank-one", "blanks", "one blank at the end of one line was lost", one, one.replace(b" \r\n", b"\r\n")),
        ("from", "from", "a mailbox wrote >From", mailbox, mailbox.replace(b"\r\nFrom ", b"\r\n>From ").replace(b"\r\n>From there", b"\r\n>>From there")),
    )  # fmt: skip
    for name, code, about, signed, now in cases:
        assert signed != now, name
        yield vector(
            name, about, "RFC 8551 §3.1.1", "digest", arrived(signed, now), damage=f"damage-{code}"
        )
    yield from forged(plain)


def forged(plain: bytes) -> Iterator[Vector]:
    other = ENTITY.replace(b"at noon", b"at dusk")
    for name, about, signed, now in (
        ("forged", "another text in place of the one that was signed", ENTITY, other),
        (
            "forged-with-footer",
            "another text, and a footer below it",
            plain,
            plain.replace(b"noon", b"dusk") + FOOTER,
        ),
        (
            "forged-above",
            "a text put above the one that was signed",
            plain,
            plain.replace(b"Hello", b"Pay 7,000 to Eve.\r\nHello"),
        ),
        (
            "forged-with-lf",
            "another text with bare LF",
            plain,
            plain.replace(b"noon", b"dusk").replace(b"\r\n", b"\n"),
        ),
        (
            "forged-from",
            "a line taken out of a text that has From in it",
            plain + b">From me\r\nnot to you\r\n",
            plain + b">From me\r\n",
        ),
    ):
        yield vector(name, about, "RFC 5652 §5.4", "digest", arrived(signed, now))
