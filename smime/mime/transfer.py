"""Content transfer encodings, undone.

Floor:  mime (uses errors)
Source: RFC 2045 §6
"""

from __future__ import annotations

import re

from smime.errors import MalformedMail

__all__ = ["BASE64_DAMAGED", "from_base64", "from_quoted_printable"]

BASE64_DAMAGED = "the base64 is cut short or holds characters that are none"

_TRAILING_BLANKS = re.compile(rb"(?<![ \t])[ \t]++(?=\r?\n|\Z)")
_BARE_SOFT_BREAK = re.compile(rb"=(?=\r(?!\n))")


def from_base64(body: bytes) -> bytes:
    """Return what base64 holds; raises ``MalformedMail`` if it is damaged."""
    import pybase64

    # To take out single octets is several times as fast as to translate.
    text = body.replace(b"\n", b"")
    if b"\r" in text:
        text = text.replace(b"\r", b"")
    try:
        return pybase64.b64decode(text, validate=True)
    except ValueError:
        pass
    # Blanks are rare, so they are looked for only now.
    try:
        return pybase64.b64decode(text.translate(None, b" \t"), validate=True)
    except ValueError as problem:
        raise MalformedMail(BASE64_DAMAGED) from problem


def from_quoted_printable(body: bytes) -> bytes:
    """Return what quoted-printable holds, read as far as it goes (RFC 2045 §6.7)."""
    from binascii import a2b_qp

    # Blanks at the end of a line were added on the way (RFC 2045 §6.7 rule 3).
    body = _TRAILING_BLANKS.sub(b"", body)
    if b"=\r" in body:
        # The C decoder drops a line after "=" and a bare CR; no reader would.
        body = _BARE_SOFT_BREAK.sub(b"=3D", body)
    return a2b_qp(body)
