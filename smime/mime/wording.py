"""Header fields written in 7-bit, for the copies that go inside what is signed.

Raw 8-bit text outside is the outer mail's business and stays as it is. Inside
it becomes encoded words of the same text where RFC 2047 lets them be: in
unstructured fields as a whole, in address fields in the display names. An 8-bit
address, comment or message identifier has no 7-bit form and stays raw (RFC 6532).

Floor:  mime (uses errors)
Source: RFC 2047 §4, §5; RFC 1428 §3 for octets of an unknown charset;
        RFC 2231 §4 for parameters
"""

from __future__ import annotations

import re

from smime.mime.canonical import clean_field
from smime.mime.entity import ContentType, Field

__all__ = ["mark", "write_content_type", "written_7bit"]

ADDRESS_FIELDS = frozenset(
    {
        "cc", "disposition-notification-to", "errors-to", "from", "mail-followup-to",
        "mail-reply-to", "reply-to", "return-receipt-to", "sender", "to",
    }
)  # fmt: skip
# Structured, and without any place for an encoded word.
_NO_WORDS = frozenset({"date", "in-reply-to", "message-id", "references"})
WORD_OCTETS = 45  # in base64 60 characters, with the frame below the 75 of RFC 2047 §2

# A display name (or what could be one) with what follows it, or an address.
_NAME_OR_ADDRESS = re.compile(
    r"""((?:"(?:[^"\\]++|\\.)*+"|[^"<>(),:;@\\\r\n]++)++)([<:]?)|<[^<>]*+>?|.""", re.DOTALL
)
_QUOTED = re.compile(r'"((?:[^"\\]++|\\.)*+)"', re.DOTALL)
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
# A content type that all read alike, to which a parameter is merely added.
_PLAIN_TYPE = re.compile(
    rb"""(?i)content-type:[ \t]?[!#$&^_.+\-0-9a-z]++/[!#$&^_.+\-0-9a-z]++"""
    rb"""(?:;(?:\r\n)?[ \t]?[0-9a-z-]++=(?:[!#$&^_.+\-0-9a-z]++|"[^"\\\r\n()]*+"))*+\r\n"""
)
_TOKEN = re.compile(r"[!#$%&'*+\-.^_`{|}~0-9A-Za-z]+")


def written_7bit(field: Field) -> bytes:
    r"""Return the field with CRLF and, where there is a way, in 7-bit.

    >>> written_7bit(Field("Subject", "Subject: café\n".encode()))
    b'Subject: =?utf-8?B?Y2Fmw6k=?=\r\n'
    """
    if field.raw.isascii() or field.key in _NO_WORDS:
        return clean_field(field)
    value = field.raw.partition(b":")[2].replace(b"\r\n", b"").replace(b"\n", b"").strip(b" \t\r")
    try:
        value.decode("utf-8")
    except UnicodeDecodeError:
        if field.key in ADDRESS_FIELDS:
            return clean_field(field)  # where its display names end is not certain
        return _line(field.name, _words(value, "unknown-8bit"))
    if field.key not in ADDRESS_FIELDS:
        return _line(field.name, _words(field.text.encode(), "utf-8"))
    text = _NAME_OR_ADDRESS.sub(_encoded_name, value.decode("utf-8"))
    return clean_field(Field(field.name, f"{field.name}: {text}\r\n".encode()))


def _line(name: str, words: str) -> bytes:
    return f"{name}: {words}\r\n".encode()


def _encoded_name(match: re.Match[str]) -> str:
    name, follows = match[1], match[2]
    if not name or not follows or name.isascii():
        return match[0]
    name = _QUOTED.sub(lambda quoted: _ESCAPED.sub(r"\1", quoted[1]), name)
    text = " ".join(name.split())
    before = " " if match[0][:1] == " " else ""
    return f"{before}{_words(text.encode(), 'utf-8')}{' ' if follows == '<' else ''}{follows}"


def _words(data: bytes, charset: str) -> str:
    """Write encoded words of whole characters, folded between them."""
    from binascii import b2a_base64

    out: list[str] = []
    at = 0
    while at < len(data):
        end = at + WORD_OCTETS
        while charset == "utf-8" and end < len(data) and data[end] & 0xC0 == 0x80:
            end -= 1
        word = b2a_base64(data[at:end], newline=False).decode("ascii")
        out.append(f"=?{charset}?B?{word}?=")
        at = end
    return "\r\n ".join(out)


def write_content_type(kind: ContentType) -> bytes:
    r"""Write a Content-Type field anew, one parameter a line.

    >>> from smime.mime.entity import ContentType
    >>> write_content_type(ContentType("text/plain", {"charset": "utf-8"}))
    b'Content-Type: text/plain;\r\n charset="utf-8"\r\n'
    """
    out = [f"Content-Type: {kind.value}"]
    for name, value in kind.params.items():
        if value.isascii() and value.isprintable():
            escaped = value.replace("\\", "\\\\").replace('"', '\\"')
            out.append(f'{name}="{escaped}"')
        elif _TOKEN.fullmatch(name):
            from urllib.parse import quote

            out.append(f"{name}*=utf-8''{quote(value, safe='')}")
    return (";\r\n ".join(out) + "\r\n").encode("ascii", "replace")


def mark(heads: list[bytes], mode: str) -> None:
    """Put ``hp`` into the Content-Type (RFC 9788 §2.1)."""
    at = next(n for n, raw in enumerate(heads) if raw[:12].lower() == b"content-type")
    raw = heads[at]
    line = raw.rstrip(b"\r\n \t;")
    long = len(line) - line.rfind(b"\n") > 62
    marked = line + (b";\r\n " if long else b"; ") + f'hp="{mode}"\r\n'.encode()
    if not ((_PLAIN_TYPE.fullmatch(raw) and b"hp=" not in raw.lower()) or _says_once(marked, mode)):
        # An hp from before, an open quote or comment, or no type that can be read.
        kind = ContentType.parse(Field("Content-Type", raw).value)
        marked = write_content_type(ContentType(kind.value, {**kind.params, "hp": mode}))
    heads[at] = marked


def _says_once(line: bytes, mode: str) -> bool:
    params = ContentType.parse(Field("Content-Type", line).value).params
    return params.get("hp") == mode and line.lower().count(b"hp=") == 1
