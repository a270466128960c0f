"""The form in which an entity survives the way to its reader, made before it is signed.

Canonical octets are 7-bit lines that end in CRLF, none longer than 998, none
with a blank at its end or ``From `` at its start, without NUL and bare CR:
nothing that a relay might change. What is canonical already stays as it is,
octet for octet. Otherwise the structure is walked by position, and

- line ends of headers, structure, text and encoded parts become CRLF;
- a part that is not canonical then is encoded: text as quoted-printable (base64
  where that is shorter, or where a charset of wide characters has no lines of
  its own), anything else as base64 of its exact octets, whose line ends are data;
- in header fields of parts only form changes: blanks at line ends, bare CR, NUL
  and lines that are no field go, and long lines are folded where they have a
  blank. Raw 8-bit text in them stays;
- what lies inside multipart/signed and multipart/encrypted stays, but for bare
  LF, which becomes CRLF as it would on the way: any other change breaks the
  signature that is there;
- a forwarded message is walked like a multipart, since it may not be encoded
  itself (RFC 2046 §5.2.1).

So there are three cases whose canonical form ``is_canonical`` still denies: 8-bit
text in header fields, a header line without any blank in 998 octets, and an
inner signed or encrypted multipart that was not canonical itself.

Floor:  mime (uses errors)
Source: RFC 8551 §3.1, RFC 3156 §3, RFC 2045 §6, RFC 2049 §4
"""

from __future__ import annotations

import re
from io import BytesIO, IncrementalNewlineDecoder

from smime.errors import LimitExceeded, MalformedMail
from smime.mime.entity import split_entity, split_part
from smime.mime.multipart import boundary_of, cut

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.mime.entity import Entity, Field

__all__ = [
    "MAX_DEPTH",
    "canonical",
    "clean_field",
    "crlf_form",
    "ignored_text",
    "is_canonical",
    "is_wide",
    "rewritten",
    "to_crlf",
    "to_quoted_printable",
    "write_head",
]

SHORT_LINE = 72  # fits into 76 octets of quoted-printable with a blank at its end encoded
MAX_LINE = 998  # without CRLF (RFC 5322 §2.1.1)
MAX_DEPTH = 50  # parts within parts; Postfix looks 100 deep, people nest five
_CHUNK = 1 << 20  # octets looked at in one go

_BARE_LF = re.compile(rb"(?<!\r)\n")
_BARE_CR = re.compile(rb"\r(?!\n)")
_BLANK_BEFORE_END = re.compile(rb"\r(?<=[ \t]\r)")
_SPACE_BEFORE_END = re.compile(rb"\r(?<= \r)")
_LINE_TAIL = re.compile(rb"(?<![ \t])[ \t]++(?=\r\n|\Z)")
_EMPTY_FOLD = re.compile(rb"\r\n(?=\r\n|\Z)")
_SPACED_NAME = re.compile(rb"[ \t]++:")
# Starts of lines that quoted-printable output must not have: mbox's separator,
# and what could be a delimiter of a multipart around it.
_RISKY_START = re.compile(rb"^(?:From |--)[^\r\n]*+", re.MULTILINE)
_ONLY_CRLF = (None, "\r\n")
_NO_BARE_LF = (None, "\r\n", "\r", ("\r", "\r\n"))
_FEW = 8
_ONE_OCTET_CHARACTERS = bytes(range(128))


def to_crlf(data: bytes) -> bytes:
    r"""Turn bare LF into CRLF; CRLF and bare CR stay.

    >>> to_crlf(b"a\nb\r\nc\rd")
    b'a\r\nb\r\nc\rd'
    """
    if b"\r" not in data:
        return data.replace(b"\n", b"\r\n") if b"\n" in data else data
    if _line_ends(data) in _NO_BARE_LF:
        return data
    return _BARE_LF.sub(b"\r\n", data)


def crlf_form(content: bytes) -> bytes:
    """Return the form that was signed, where line ends were changed on the way.

    A part that says it is binary is never touched below its header block.
    """
    entity = split_entity(content)
    if entity.transfer_encoding != "binary":
        return to_crlf(content)
    return to_crlf(content[: entity.body_at]) + content[entity.body_at :]


def is_canonical(entity: bytes, *, travels: bool = True) -> bool:
    r"""Whether the octets can travel without being changed on the way.

    With ``travels=False``, for what is going to be sealed: whether it is of 7 bits
    and lines end in CRLF; no relay will see long lines, blanks or ``From ``.

    >>> is_canonical(b"\r\nhello\r\n"), is_canonical(b"\r\nhello \r\n")
    (True, False)
    """
    return _is_plain(entity, travels) and (not travels or _first_blank_end(entity) < 0)


def _is_plain(entity: bytes, travels: bool) -> bool:
    """Whether it is canonical but for blanks at line ends."""
    if b"\0" in entity or not entity.isascii():
        return False
    if travels and (not _lines_are_short(entity) or _has_from_line(entity)):
        return False
    return _line_ends(entity) in _ONLY_CRLF


def _has_from_line(data: bytes) -> bool:
    # A letter that is rare is found several times as quickly as a word, and every mail has a From.
    at = data.find(b"F")
    for _ in range(_FEW):
        if at < 0:
            return False
        if data.startswith(b"From ", at) and (at == 0 or data[at - 1] == 0x0A):
            return True
        at = data.find(b"F", at + 1)
    return at >= 0 and data.find(b"\nFrom ", at - 1) >= 0


def _first_blank_end(data: bytes) -> int:
    """Return where the first blank at the end of a line is, or -1; lines end in CRLF."""
    # To look back from each line end is quicker than to look for a blank: text is full of them.
    found = (_BLANK_BEFORE_END if b"\t" in data else _SPACE_BEFORE_END).search(data)
    if found is not None:
        return found.start() - 1
    return len(data) - 1 if data.endswith((b" ", b"\t")) else -1


def _line_ends(data: bytes) -> str | tuple[str, ...] | None:
    """Return the kinds of line end that occur: CRLF, bare LF, bare CR."""
    # Python's text files must know the same; their decoder is the fastest to ask.
    decoder = IncrementalNewlineDecoder(None, translate=False)
    if len(data) <= _CHUNK:
        decoder.decode(data.decode("latin-1"), True)
        return decoder.newlines
    for at in range(0, len(data), _CHUNK):
        decoder.decode(data[at : at + _CHUNK].decode("latin-1"))
    decoder.decode("", final=True)
    return decoder.newlines


def _lines_are_short(data: bytes) -> bool:
    """Hop from line break to line break, each time as far as a line may reach.

    A bare LF counts as one: whether there are any is asked elsewhere.
    """
    at, size = 0, len(data)
    while size - at > MAX_LINE:
        at = data.rfind(b"\n", at, at + MAX_LINE + 2) + 1
        if not at:
            return False
    return True


def canonical(entity: bytes | Entity) -> bytes:
    r"""Return the same entity in canonical form; see the module for what may change.

    Raises ``MalformedMail`` for a part that has to be encoded anew and cannot be
    read, ``LimitExceeded`` for parts within parts deeper than mail has them.

    >>> canonical("Content-Type: text/plain; charset=utf-8\n\ncafé\n".encode())[-19:]
    b'able\r\n\r\ncaf=C3=A9\r\n'
    """
    return rewritten(entity, "text/plain", 0)


def rewritten(given: bytes | Entity, default: str, depth: int) -> bytes:
    """Return the canonical form of a part so many parts deep; ``default`` is its type unsaid."""
    raw = given if isinstance(given, bytes) else given.raw
    blank_at = -1
    if _is_plain(raw, True):
        blank_at = _first_blank_end(raw)
        if blank_at < 0:
            return raw
    if depth > MAX_DEPTH:
        raise LimitExceeded(f"there are more than {MAX_DEPTH} parts within parts")
    entity = split_part(raw) if isinstance(given, bytes) else given
    kind = entity.content_type.value
    if kind == "text/plain" and entity.get("content-type") is None:
        kind = default
    if kind in ("multipart/signed", "multipart/encrypted"):
        return to_crlf(entity.header_block) + to_crlf(entity.body)
    plain = entity.transfer_encoding in ("7bit", "8bit", "binary")
    if kind.startswith("multipart/"):
        return _around(entity, _multipart_body(entity, kind, depth))
    if kind in ("message/rfc822", "message/global", "message/news") and plain:
        return _around(entity, rewritten(entity.body, "text/plain", depth + 1))
    if plain and blank_at >= entity.body_at and kind.startswith("text/") and not is_wide(entity):
        # Ordinary text with blanks at line ends, and nothing else to be done to it.
        body = to_quoted_printable(entity.body, blank_at - entity.body_at)
        return write_head(entity, "quoted-printable", tidy=True) + body
    return _leaf(entity, kind, plain)


def _around(entity: Entity, body: bytes) -> bytes:
    # An inner signature may have kept 8-bit content: then the label stays true.
    return write_head(entity, "" if body.isascii() else None) + body


def _multipart_body(entity: Entity, kind: str, depth: int) -> bytes:
    body = entity.body
    try:
        boundary = boundary_of(entity)
        cuts = cut(body, boundary)
    except LimitExceeded:
        raise
    except MalformedMail:
        body = to_crlf(body)
        if is_canonical(body):
            return body
        raise
    default = "message/rfc822" if kind == "multipart/digest" else "text/plain"
    pieces: list[bytes] = []
    preamble = ignored_text(body[: cuts.preamble])
    if preamble:
        pieces += preamble, b"\r\n"
    for start, end in cuts.spans:
        pieces += b"--", boundary, b"\r\n", rewritten(body[start:end], default, depth + 1), b"\r\n"
    pieces += b"--", boundary, b"--"
    if body.endswith(b"\n", 0, cuts.epilogue):
        pieces += b"\r\n", ignored_text(body[cuts.epilogue :])
    return b"".join(pieces)


def ignored_text(text: bytes) -> bytes:
    """Keep a preamble or epilogue, which no reader is shown, only if it can stay as it is."""
    text = to_crlf(text)
    return text if is_canonical(text) else b""


def _leaf(entity: Entity, kind: str, plain: bool) -> bytes:
    body = entity.body
    is_text = kind.startswith(("text/", "message/")) and not is_wide(entity)
    ends = _line_ends(body)
    if is_text or not plain:
        lines = body if ends in _NO_BARE_LF else to_crlf(body)
        # Line ends of quoted-printable are those of the content, data if it is no text.
        same = is_text or entity.transfer_encoding != "quoted-printable" or lines == body
        if same and is_canonical(lines):
            return write_head(entity, "") + lines
    elif is_canonical(body):
        return write_head(entity, "") + body
    if plain:
        content = body
    elif entity.transfer_encoding in ("base64", "quoted-printable"):
        content = entity.decoded()
        ends = _line_ends(content)
    else:
        raise MalformedMail(
            f"a part in the encoding {entity.transfer_encoding!r} cannot be encoded anew",
            hint="write the part in base64 or quoted-printable",
        )
    if is_text and b"\0" not in content:
        if ends not in _NO_BARE_LF:
            content = to_crlf(content)
        has_bare_cr = "\r" in ends if isinstance(ends, tuple) else ends == "\r"
        if not has_bare_cr and _mostly_ascii(content):
            return write_head(entity, "quoted-printable") + to_quoted_printable(content)
    return write_head(entity, "base64") + _to_base64(content)


def is_wide(entity: Entity) -> bool:
    """Whether the octets of CR and LF are not line ends in this text's charset."""
    charset = entity.content_type.params.get("charset", "").lower().replace("_", "-")
    return charset.startswith(("utf-16", "utf-32", "ucs-", "iso-10646", "unicode")) or (
        b"\0" in entity.body
    )


def _mostly_ascii(text: bytes) -> bool:
    eight_bit = 0 if text.isascii() else len(text.translate(None, _ONE_OCTET_CHARACTERS))
    return eight_bit * 2 <= len(text)  # above, nobody can read it and base64 is far shorter


def to_quoted_printable(text: bytes, blank_at: int = 0) -> bytes:
    """``text`` has lines that end in CRLF, and neither NUL nor bare CR.

    Before ``blank_at`` no line ends in a blank.
    """
    if (
        b"=" not in text
        and not _has_from_line(text)
        and text.isascii()
        and not text.endswith((b" ", b"\t"))
        and max(map(len, BytesIO(text).readlines()), default=0) < SHORT_LINE + 2
    ):
        # Ordinary text: blanks before a line end are all that the encoding
        # changes, and dashes that could become a delimiter.
        rest = text[blank_at:]
        tabs = b"\t" in rest
        *before, last = _SPACE_BEFORE_END.split(rest)
        rest = b"=20\r".join([*[one[:-1] for one in before], last])
        if tabs:
            rest = rest.replace(b"\t\r\n", b"=09\r\n")
        quick = text[:blank_at] + rest
        if b"-" not in quick or not (quick.startswith(b"--") or b"\n--" in quick):
            return quick
    from binascii import b2a_qp

    return _RISKY_START.sub(_defuse, to_crlf(b2a_qp(text)))


def _defuse(line: re.Match[bytes]) -> bytes:
    text = line[0]
    fits = len(text) <= 74  # in 76 when the first character has become three
    if text.startswith(b"F"):
        return b"=46rom" + (b"" if fits else b"=\r\n") + text[4:]
    if fits:
        return b"=2D" + text[1:]
    dashes = min(len(text) - len(text.lstrip(b"-")), 40)
    rest = _RISKY_START.sub(_defuse, text[dashes:])
    return b"=2D" + text[1:dashes] + b"=\r\n" + rest


def _to_base64(data: bytes) -> bytes:
    import pybase64

    return pybase64.encodebytes(data).replace(b"\n", b"\r\n")


def write_head(entity: Entity, encoding: str | None, *, tidy: bool = False) -> bytes:
    """Write the header block anew, with this content transfer encoding.

    ``None`` keeps the encoding; the empty text takes out one that says 8-bit,
    since all parts inside are 7-bit now. ``tidy`` says that its lines are canonical.
    """
    if not entity.fields and not encoding:
        return b"\r\n" if entity.header_block else b""
    lines: list[bytes] = []
    replaced = encoding or (encoding is not None and entity.transfer_encoding in ("8bit", "binary"))
    field_line = f"Content-Transfer-Encoding: {encoding}\r\n".encode() if encoding else b""
    for field in entity.fields:
        if replaced and field.key == "content-transfer-encoding":
            lines.append(field_line)
            field_line = b""
        elif tidy and field.raw[len(field.name)] == 0x3A:
            lines.append(field.raw)
        else:
            lines.append(clean_field(field))
    return b"".join([*lines, field_line, b"\r\n"])


def clean_field(field: Field) -> bytes:
    """Write a field with CRLF, without what a relay might change; its text stays the same."""
    raw = to_crlf(field.raw)
    if is_canonical(raw) and raw.endswith(b"\n") and raw[len(field.name)] == 0x3A:
        return raw
    raw = _SPACED_NAME.sub(b":", raw, count=1) if raw[len(field.name)] != 0x3A else raw
    raw = _BARE_CR.sub(b" ", raw.replace(b"\0", b" "))
    raw = _EMPTY_FOLD.sub(b"", _LINE_TAIL.sub(b"", raw)) + b"\r\n"
    if _lines_are_short(raw):
        return raw
    return b"".join(_fold(line) for line in raw.splitlines(keepends=True))


def _fold(line: bytes) -> bytes:
    """Fold a line that is too long at the last blanks where it may be."""
    out: list[bytes] = []
    while len(line) > MAX_LINE + 2:
        at = max(line.rfind(b" ", 1, MAX_LINE), line.rfind(b"\t", 1, MAX_LINE))
        while at > 1 and line[at - 1 : at] in (b" ", b"\t"):
            at -= 1
        if at <= 1 or not line[:at].strip():
            break
        out += line[:at], b"\r\n"
        line = line[at:]
    return b"".join([*out, line])
