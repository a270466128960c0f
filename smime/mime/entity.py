"""A mail or a part of one, as positions in the bytes that arrived.

The header block and the body are slices; nothing is decoded and written out
again. Fields, the content type and decoded text are worked out when asked for.

Where real mail leaves the grammar, one reading is chosen and kept to: the
header block ends at the first empty line and nowhere else; a line in it that
is no field is not seen; if the very first line is no field there is no header
block at all, and everything is body.

Floor:  mime (uses errors; knows nothing of CMS, OpenPGP or trust)
Source: RFC 5322 §2 for the form, RFC 2045 §5, §6 for the content fields,
        RFC 2047 for encoded words, RFC 2231 for parameters
"""

from __future__ import annotations

import re

from smime.errors import LimitExceeded, MalformedMail
from smime.mime.transfer import from_base64, from_quoted_printable

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator

__all__ = ["ContentType", "Entity", "Field", "decode_words", "split_entity", "split_part"]

MAX_HEADER_OCTETS = 1 << 20  # ten times what Postfix lets one field have; more is an attack
MAX_FIELDS = 10_000  # real mail has some dozens; a list's expanded trace, some hundreds

MAX_KNOWN_TYPES = 256  # values of Content-Type that are kept, read; mail programs repeat theirs

# A field, or a line that is none (no name), with the lines folded below it.
LINES = re.compile(rb"(?:([!-9;-~]++)[ \t]*+:)?+[^\n]*+(?:\n[ \t][^\n]*+)*+\n?+")
_FIELD_STARTS = re.compile(rb"[!-9;-~]++[ \t]*+:")
# What an mbox file or a mail filter puts on top, when a field follows it.
_MBOX_LINES = re.compile(rb"(?:>?From (?![ \t]*:)[^\n]*+\n)+(?=[!-9;-~]++[ \t]*+:)")
_EMPTY_LINES = re.compile(rb"(?:\r?\n)+")

_PARAMETER = re.compile(
    r""";\s*+(?:([^\s;="]++)\s*+=\s*+)?+(?:"((?:[^"\\]++|\\.)*+)"?+)?+([^;]*+)""", re.DOTALL
)
_TYPE = re.compile(r"\s*+([!#$&^_.+\-0-9A-Za-z]++/[!#$&^_.+\-0-9A-Za-z]++)\s*+(?=;|$)")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_COMMENT_TOKEN = re.compile(r'"(?:[^"\\]++|\\.)*+"?+|[()]|\\.|[^"()\\]++|\\', re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?([!->@-~]{1,60})\?([bBqQ])\?([^?\s]*+)\?=")
_CHARSET = re.compile(r"[A-Za-z0-9][A-Za-z0-9._:+-]{0,39}")
# Codecs of Python that are no charsets of mail: they raise, warn, or take too long.
_NO_CHARSET = frozenset(
    {"idna", "mbcs", "oem", "punycode", "rawunicodeescape", "undefined", "unicodeescape"}
)
# GB 18030 contains GB 2312 and GBK, and mail that says one often uses more.
_WIDER = {"gb2312": "gb18030", "gbk": "gb18030"}

_known_types: dict[str, ContentType] = {}
# The same of whole header blocks of parts: type and transfer encoding.
MAX_KNOWN_HEAD_OCTETS = 256
_known_heads: dict[bytes, tuple[ContentType, str]] = {}


class Field:
    """One header field as it stands.

    ``name`` is the name as written and ``key`` the same in lower case; ``raw``
    has every octet of the field, folds and line end included.
    """

    __slots__ = ("_text", "_value", "key", "name", "raw")

    def __init__(self, name: str, raw: bytes) -> None:
        self.name = name
        self.key = name.lower()
        self.raw = raw
        self._value: str | None = None
        self._text: str | None = None

    @property
    def value(self) -> str:
        """Unfolded, without blanks at the ends; as UTF-8, or as Latin-1 if it is not.

        Encoded words stay as they are.
        """
        if self._value is None:
            self._value = _unfolded(self.raw[self.raw.index(b":") + 1 :])
        return self._value

    @property
    def text(self) -> str:
        """For display: ``value`` with encoded words decoded (RFC 2047)."""
        if self._text is None:
            self._text = decode_words(self.value)
        return self._text

    def __repr__(self) -> str:
        return f"<Field {self.name} of {len(self.raw)} octets>"


class ContentType:
    """The media type in lower case, and its parameters by lower-case name."""

    __slots__ = ("_params", "_rest", "value")

    def __init__(self, value: str, params: dict[str, str] | None, rest: str = "") -> None:
        self.value = value
        self._params = params
        self._rest = rest  # what ``params`` are read of when they are asked for

    @property
    def params(self) -> dict[str, str]:
        """The parameters by lower-case name."""
        if self._params is None:
            self._params = _read_params(self._rest)
        return self._params

    @classmethod
    def parse(cls, text: str) -> ContentType:
        """Read a Content-Type value; one that cannot be read is ``text/plain``.

        Of parameters given twice the first counts; one in the form of RFC 2231
        counts before a plain one.

        >>> ContentType.parse('Text/HTML; charset="utf-8" (really)').params
        {'charset': 'utf-8'}
        """
        if "(" in text:
            text = _without_comments(text)
        match = _TYPE.match(text)
        if match is None:
            return cls("text/plain", {})
        return cls(match[1].lower(), None, text[match.end() :])

    def __repr__(self) -> str:
        return f"<ContentType {self.value}>"


def _read_type(text: str) -> ContentType:
    """Read a Content-Type value, or find what was read of the same text before."""
    found = _known_types.get(text)
    if found is None:
        found = ContentType.parse(text)
        if "boundary" not in text and len(text) <= MAX_KNOWN_HEAD_OCTETS:  # else it is of one mail
            if len(_known_types) >= MAX_KNOWN_TYPES:
                _known_types.clear()
            _known_types[text] = found
    return found


def _read_params(text: str) -> dict[str, str]:
    params: dict[str, str] = {}
    extended = False
    for name, quoted, rest in _PARAMETER.findall(text):
        if name:
            extended = extended or "*" in name
            content = _ESCAPED.sub(r"\1", quoted) if "\\" in quoted else quoted
            params.setdefault(name.lower(), content or rest.strip())
    return _join_extended(params) if extended else params


class Entity:
    """A mail or a part: slices of ``raw``, and what they say.

    ``body_at`` is where the body begins in ``raw``. ``header_block`` ends with
    the empty line, if there is one.
    """

    __slots__ = ("_content_type", "_encoding", "_fields", "_lower", "body_at", "head_at", "raw")

    def __init__(self, raw: bytes, head_at: int, body_at: int) -> None:
        self.raw = raw
        self.head_at = head_at
        self.body_at = body_at
        self._fields: tuple[Field, ...] | None = None
        self._content_type: ContentType | None = None
        self._encoding: str | None = None
        self._lower: bytes | None = None
        """The header block in lower case after a line end, once a field was looked for."""

    @property
    def header_block(self) -> bytes:
        """Up to and including the empty line; without an mbox line on top."""
        return self.raw[self.head_at : self.body_at]

    @property
    def body(self) -> bytes:
        """All that comes after the empty line."""
        return self.raw[self.body_at :]

    @property
    def fields(self) -> tuple[Field, ...]:
        """The header fields in order; lines that are no field are left out."""
        if self._fields is None:
            self._fields = tuple(_read_fields(self.header_block))
        return self._fields

    def get(self, name: str) -> str | None:
        """Value of the first field of this name, or ``None``."""
        if self._fields is None:
            # Most are asked for just one or two: those are found without reading the others.
            return self._find(b"\n" + name.lower().encode("ascii", "replace"))
        key = name.lower()
        return next((field.value for field in self._fields if field.key == key), None)

    def _find(self, start: bytes) -> str | None:
        """Return the value of the first field that begins so: line end, name in lower case."""
        raw, head_at, end = self.raw, self.head_at, self.body_at
        lower = self._lower or self._lowered()
        at = lower.find(start)
        while at >= 0:
            at += len(start)
            while lower[at : at + 1] in (b" ", b"\t"):
                at += 1
            if lower[at : at + 1] == b":":
                at += head_at  # what follows the colon, since ``lower`` has one octet before it
                stop = raw.find(b"\n", at, end)
                while stop >= 0 and stop + 1 < end and raw[stop + 1] in b" \t":
                    stop = raw.find(b"\n", stop + 1, end)
                return _unfolded(raw[at : end if stop < 0 else stop])
            at = lower.find(start, at)
        return None

    def mentions(self, word: bytes) -> bool:
        """Whether a word, in lower case, stands anywhere in the header block, in any case.

        A quick look: what is not mentioned is no name and no value of a field.
        """
        return word in (self._lower or self._lowered())

    def _lowered(self) -> bytes:
        self._lower = lower = b"\n" + self.raw[self.head_at : self.body_at].lower()
        return lower

    def get_all(self, name: str) -> list[str]:
        """Values of all fields of this name, in order."""
        key = name.lower()
        return [field.value for field in self.fields if field.key == key]

    @property
    def content_type(self) -> ContentType:
        """The content type; ``text/plain`` if there is none or it cannot be read."""
        if self._content_type is None:
            self._content_type = _read_type(self._find(b"\ncontent-type") or "text/plain")
        return self._content_type

    @property
    def transfer_encoding(self) -> str:
        """The content transfer encoding in lower case; ``7bit`` if there is none."""
        if self._encoding is None:
            value = self._find(b"\ncontent-transfer-encoding") or "7bit"
            if "(" in value:
                value = _without_comments(value)
            self._encoding = value.strip().strip(";").lower() or "7bit"
        return self._encoding

    @property
    def file_name(self) -> str:
        """The name that the sender gave the part, decoded; empty if there is none.

        It may hold anything, paths and controls too (RFC 2183 §2.3).
        """
        disposition = ContentType.parse("x/" + (self.get("content-disposition") or "x")).params
        name = disposition.get("filename") or self.content_type.params.get("name", "")
        return decode_words(name)

    def decoded(self) -> bytes:
        """Return the body without its base64 or quoted-printable encoding.

        Raises ``MalformedMail`` for base64 that is cut short or holds foreign
        characters; quoted-printable is read as far as it goes (RFC 2045 §6.7).
        """
        encoding = self.transfer_encoding
        if encoding == "base64":
            return from_base64(self.body)
        if encoding == "quoted-printable":
            return from_quoted_printable(self.body)
        return self.body

    def __repr__(self) -> str:
        return f"<Entity of {len(self.raw)} octets>"


def split_entity(raw: bytes, *, message: bool = False) -> Entity:
    r"""Find where header block and body of a mail or part are.

    Lines end in CRLF, LF or both, mixed. mbox lines (``From ``, ``>From ``) on
    top are passed over when a field follows. An empty first line means that
    there are no fields (RFC 2046 §5.1); with ``message=True``, for the top of a
    mail that a filter handed on, empty lines before a field are passed over.

    Raises ``MalformedMail`` for no octets at all, and ``LimitExceeded`` for a
    header block that is longer or has more fields than mail has.

    >>> split_entity(b"Subject: hi\n\nhello\n").body
    b'hello\n'
    """
    if not raw:
        raise MalformedMail("there is no mail: it is empty")
    head_at = 0
    if message and (blank := _EMPTY_LINES.match(raw)):
        after = blank.end()
        if _FIELD_STARTS.match(raw, after) or _MBOX_LINES.match(raw, after):
            head_at = after
    if raw[head_at : head_at + 1] in b">F" and (mbox := _MBOX_LINES.match(raw, head_at)):
        head_at = mbox.end()
    if raw.startswith((b"\r\n", b"\n"), head_at):
        return Entity(raw, head_at, raw.index(b"\n", head_at) + 1)
    if not _FIELD_STARTS.match(raw, head_at):
        return Entity(raw, head_at, head_at)

    limit = head_at + MAX_HEADER_OCTETS
    # The empty line that is like the first line end is looked for first: then the other one
    # is not sought in all of the body.
    likely, other = b"\n\r\n", b"\n\n"
    if raw[raw.find(b"\n", head_at) - 1] != 0x0D:
        likely, other = other, likely
    end = limit + 2
    empty = raw.find(likely, head_at, end)
    if empty >= 0:
        end = empty + 2
    sooner = raw.find(other, head_at, end)
    if sooner >= 0:
        empty, likely = sooner, other
    body_at = len(raw) if empty < 0 else empty + len(likely)
    if body_at > limit:
        raise LimitExceeded(f"the header block is longer than {MAX_HEADER_OCTETS} octets")
    entity = Entity(raw, head_at, body_at)
    if body_at - head_at > MAX_FIELDS and raw.count(b"\n", head_at, body_at) > MAX_FIELDS:
        entity.fields  # noqa: B018  # counts them now
    return entity


def split_part(raw: bytes) -> Entity:
    """Do the same for a part, whose few fields are often those of parts met before."""
    part = split_entity(raw)
    if part.body_at - part.head_at <= MAX_KNOWN_HEAD_OCTETS:
        block = part.header_block
        known = _known_heads.get(block)
        if known is not None:
            part._content_type, part._encoding = known
        elif b"boundary" not in block:
            if len(_known_heads) >= MAX_KNOWN_TYPES:
                _known_heads.clear()
            _known_heads[block] = part.content_type, part.transfer_encoding
    return part


def decode_words(text: str) -> str:
    """Decode the encoded words in ``text``; one that cannot be read stays as it is (RFC 2047).

    Neighbours in one charset are put together before they are decoded, since
    real mail cuts characters in two.

    >>> decode_words("=?utf-8?q?caf=C3?= =?utf-8?b?qQ==?= au lait")
    'café au lait'
    """
    if "=?" not in text:
        return text
    out: list[str] = []
    charset = ""  # of the words that wait to be decoded together
    octets: list[bytes] = []
    written: list[str] = []
    at = 0
    for match in _ENCODED_WORD.finditer(text):
        between = text[at : match.start()]
        at = match.end()
        data = _word_octets(match[2], match[3])
        its_charset = match[1].partition("*")[0].lower()  # *language: RFC 2231 §5
        follows = bool(written) and not between.strip()
        if not (follows and data is not None and its_charset == charset):
            out.append(_decode_word(charset, octets, written))
            if not follows or data is None:
                out.append(between)
            between = ""
            octets, written = [], []
        if data is None:
            out.append(match[0])
        else:
            charset = its_charset
            octets.append(data)
            written += between, match[0]
    out += _decode_word(charset, octets, written), text[at:]
    return "".join(out)


def _word_octets(encoding: str, text: str) -> bytes | None:
    from binascii import Error, a2b_base64, a2b_qp

    try:
        if encoding in "bB":
            return a2b_base64(text + "=" * (-len(text) % 4))
        return a2b_qp(text, header=True)
    except (Error, ValueError):
        return None


def _decode_word(charset: str, octets: list[bytes], written: list[str]) -> str:
    text = decode_charset(b"".join(octets), charset) if octets else ""
    return "".join(written) if text is None else text


def decode_charset(data: bytes, charset: str) -> str | None:
    """Decode by a charset that mail names, or ``None`` if there is no such charset."""
    plain = charset.lower().replace("-", "").replace("_", "")
    if not _CHARSET.fullmatch(charset) or plain in _NO_CHARSET:
        return None
    if plain == "unknown8bit":  # RFC 1428: octets passed on by who did not know either
        return _decode(data)
    try:
        return data.decode(_WIDER.get(plain, charset), "replace")
    except (LookupError, ValueError):
        return None


def _unfolded(value: bytes) -> str:
    if b"\n" in value:
        value = value.replace(b"\r\n", b"").replace(b"\n", b"")
    return _decode(value.strip(b" \t\r"))


def _decode(value: bytes) -> str:
    try:
        return value.decode("utf-8")
    except UnicodeDecodeError:
        return value.decode("latin-1")


def _read_fields(block: bytes) -> Iterator[Field]:
    count = 0
    for match in LINES.finditer(block):
        name = match[1]
        if name:
            count += 1
            if count > MAX_FIELDS:
                raise LimitExceeded(f"there are more than {MAX_FIELDS} header fields")
            yield Field(name.decode("ascii"), match[0])


def _without_comments(text: str) -> str:
    """Take out ``(comments)``, which nest, where no quotes stand around them."""
    out: list[str] = []
    depth = 0
    for piece in _COMMENT_TOKEN.findall(text):
        if piece == "(":
            depth += 1
        elif piece == ")":
            depth = max(depth - 1, 0)
        elif not depth:
            out.append(piece)
    return "".join(out)


def _join_extended(params: dict[str, str]) -> dict[str, str]:
    """Put together ``name*0``, ``name*1*`` and ``name*`` (RFC 2231 §3, §4)."""
    plain = {name: value for name, value in params.items() if "*" not in name}
    for name in dict.fromkeys(name.partition("*")[0] for name in params if "*" in name):
        if f"{name}*" in params:
            pieces = [(params[f"{name}*"], True)]
        else:
            pieces = []
            while True:
                key = f"{name}*{len(pieces)}"
                if f"{key}*" in params:
                    pieces.append((params[f"{key}*"], True))
                elif key in params:
                    pieces.append((params[key], False))
                else:
                    break
        if name and pieces:
            plain[name] = _decode_extended(pieces)
    return plain


def _decode_extended(pieces: list[tuple[str, bool]]) -> str:
    from urllib.parse import unquote_to_bytes

    charset = "utf-8"
    first, encoded = pieces[0]
    if encoded and first.count("'") >= 2:
        charset, _, first = first.split("'", 2)
        pieces = [(first, True), *pieces[1:]]
    data = b"".join(unquote_to_bytes(t) if enc else t.encode() for t, enc in pieces)
    return decode_charset(data, charset or "us-ascii") or _decode(data)
