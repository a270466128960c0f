"""Mails around CMS: the honest forms, with a place to break each rule.

Source: RFC 8551 §3, RFC 1847 §2.1, RFC 2046 §5.1
"""

from __future__ import annotations

import base64
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime

from people import AT

ENTITY = (
    b"Content-Type: text/plain; charset=utf-8\r\n"
    b"Content-Transfer-Encoding: 7bit\r\n"
    b"\r\n"
    b"Hello Bob,\r\n"
    b"\r\n"
    b"we meet at noon. \r\n"
    b"\r\n"
    b"Alice\r\n"
)
EDGE = "edge"


@dataclass(frozen=True)
class Vector:
    """One mail, and what must come of it."""

    folder: str
    name: str
    about: str
    rule: str
    expect: str
    mail: bytes
    content: bytes | None = None
    """The exact bytes that were signed or sealed, where the mail is good or opens."""
    at: datetime = AT
    policy: str = ""
    signer: str = ""
    damage: str = ""
    """The diagnosis that explains why the digest differs, where an accident does."""


def shelf(folder: str) -> Callable[..., Vector]:
    """Return what makes the vectors of a folder: name, about, rule, expect, mail and exceptions."""

    def vector(
        name: str, about: str, rule: str, expect: str, mail: bytes, **more: object
    ) -> Vector:
        if expect in ("good", "opens"):
            more.setdefault("content", ENTITY)
        if expect == "good":
            more.setdefault("signer", "alice@example.org")
        return Vector(folder, name, about, rule, expect, mail, **more)

    return vector


def fields(
    sender: str | None = "Alice <alice@example.org>", *, subject: str = "Noon", more: bytes = b""
) -> bytes:
    """Return the outer fields of a mail, without an end."""
    head = b"" if sender is None else b"From: " + sender.encode() + b"\r\n"
    return (
        head + b"To: Bob <bob@example.org>\r\nSubject: " + subject.encode() + b"\r\n"
        b"Date: Fri, 31 May 2030 12:00:00 +0000\r\n"
        b"Message-ID: <noon@example.org>\r\nMIME-Version: 1.0\r\n" + more
    )


def base64_text(data: bytes, width: int = 64) -> bytes:
    text = base64.b64encode(data)
    lines = [text[at : at + width] for at in range(0, len(text), width)]
    return b"".join(line + b"\r\n" for line in lines)


def signed_entity(
    content: bytes,
    blob: bytes,
    *,
    edge: str = EDGE,
    quoted: bool = False,
    micalg: str = "sha-256",
    protocol: str | None = "application/pkcs7-signature",
    kind: str = "application/pkcs7-signature",
    preamble: bytes = b"This is a signed mail.\r\n",
    epilogue: bytes = b"",
    delimiter_tail: bytes = b"",
    close: bool = True,
    signature: bytes | None = None,
    between: bytes = b"",
) -> bytes:
    """Return fields and body of multipart/signed."""
    line = b"\r\n--" + edge.encode() + delimiter_tail + b"\r\n"
    named = f'"{edge}"' if quoted else edge
    head = "Content-Type: multipart/signed;"
    head += f' protocol="{protocol}";' if protocol else ""
    head += f"\r\n micalg={micalg}; boundary={named}\r\n\r\n"
    if signature is None:
        signature = (
            b"Content-Type: " + kind.encode() + b"; name=smime.p7s\r\n"
            b"Content-Transfer-Encoding: base64\r\n"
            b"Content-Disposition: attachment; filename=smime.p7s\r\n\r\n" + base64_text(blob)
        )
    first = preamble + line if preamble else line[2:]
    end = b"\r\n--" + edge.encode() + b"--\r\n" if close else b"\r\n"
    return head.encode() + first + content + line + between + signature + end + epilogue


def wrapped_entity(
    blob: bytes,
    smime_type: str | None = "signed-data",
    *,
    kind: str = "application/pkcs7-mime",
    file: str = "smime.p7m",
    body: bytes | None = None,
    encoding: str | None = "base64",
) -> bytes:
    """Return fields and body of application/pkcs7-mime."""
    head = f"Content-Type: {kind};"
    head += f" smime-type={smime_type};" if smime_type else ""
    head += f" name={file}\r\n"
    head += f"Content-Transfer-Encoding: {encoding}\r\n" if encoding else ""
    head += f"Content-Disposition: attachment; filename={file}\r\n\r\n"
    return head.encode() + (base64_text(blob) if body is None else body)


def sealed_entity(blob: bytes, smime_type: str = "enveloped-data") -> bytes:
    return wrapped_entity(blob, smime_type)


def mixed(*parts: bytes, edge: str = "mixed", subtype: str = "mixed") -> bytes:
    """Return fields and body of a multipart around whole entities."""
    head = f"Content-Type: multipart/{subtype}; boundary={edge}\r\n\r\n".encode()
    line = f"--{edge}\r\n".encode()
    return head + b"".join(line + one + b"\r\n" for one in parts) + f"--{edge}--\r\n".encode()
