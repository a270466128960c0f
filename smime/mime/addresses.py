"""Addresses in From, To and their like, read as a careful reader would.

Who signed is compared with who is said to have written, so a field must not
give one address here and show another there. Therefore all or nothing: if
anything in any field of the name asked for leaves the grammar in a way that
could be read differently, no address is given out. What is let pass is what
all readers take alike: dots and brackets in display names, a display name that
repeats the very address it stands before, empty list elements, old routes.

A display name never gives an address, whether quoted, in a comment or in an
encoded word, and encoded words are not decoded at all.

Floor:  mime (uses errors)
Source: RFC 5322 §3.4, §4.4; RFC 6532 §3.2 for UTF-8; RFC 2047 §5 for where
        encoded words may not be
"""

from __future__ import annotations

import re

from smime.mime.entity import Entity

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable

    from smime.mime.entity import Field

    Token = tuple[str, str]  # kind and text; of a special the kind is the character

__all__ = ["addresses"]

# Any character but controls, blanks and specials; above ASCII too (RFC 6532).
_ATOM = r"[^\x00-\x20\x7f()<>@,;:\\\".\[\]]"
_TOKEN = re.compile(
    rf"""(?P<blank>[ \t]++)
    |(?P<atom>{_ATOM}++(?:\.{_ATOM}++)*+)
    |(?P<quoted>"(?:[^"\\]++|\\.)*+")
    |(?P<literal>\[[^\[\]\\\s]*+\])
    |(?P<special>[<>@,;:.])
    |(?P<comment>\()""",
    re.VERBOSE,
)
_IN_COMMENT = re.compile(r"(?:[^()\\]++|\\.)*+([()])", re.DOTALL)
_DOT_ATOM = re.compile(rf"{_ATOM}++(?:\.{_ATOM}++)*+")
_ESCAPED = re.compile(r"\\(.)", re.DOTALL)
_ENCODED_WORD = re.compile(r"=\?[^?]*\?[bq]\?", re.IGNORECASE)
_CONTROL = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
# In GB 18030, Big5 and Shift_JIS the second octet of a character can be one of
# these: who reads them by charset sees other tokens than who does not.
_HALF_CHARACTER = re.compile(rb"[\x80-\xff][@\[\\\]]")
_PHRASE = frozenset({"atom", "quoted", "literal", ".", "@"})


class _BrokenField(Exception):
    """The field can be read in more than one way; never leaves this module."""


def addresses(source: Entity | Iterable[Field], name: str) -> tuple[str, ...]:
    """Return the addresses of all fields of this name, as written, in order.

    ``source`` is an entity or its fields. Groups are flattened; a quoted local
    part loses quotes that it does not need. The result is empty if a field is
    broken or has no address.

    >>> from smime.mime.entity import split_entity
    >>> addresses(split_entity(b'From: "a@b.example, Bob" <m@c.example>'), "From")
    ('m@c.example',)
    """
    key = name.lower()
    fields = source.fields if isinstance(source, Entity) else source
    found: list[str] = []
    try:
        for field in fields:
            if field.key == key:
                found += _mailboxes(list(_tokens(_text(field))))
    except _BrokenField:
        return ()
    return tuple(found)


def _text(field: Field) -> str:
    text = field.value
    if _CONTROL.search(text):
        raise _BrokenField
    if not text.isascii():
        try:
            field.raw.decode("utf-8")
        except UnicodeDecodeError:
            if _HALF_CHARACTER.search(field.raw):
                raise _BrokenField from None
            # Of an unknown charset, good for display names only: an address
            # with one of these characters is not printable and so is broken.
            return re.sub(r"[\x80-\xff]", "\x80", text)
    return text


def _tokens(text: str) -> Iterable[Token]:
    """Cut a structured field into tokens, without blanks and comments.

    Raises ``_BrokenField`` where no token is. Linear in the length of ``text``.
    """
    at, size = 0, len(text)
    while at < size:
        match = _TOKEN.match(text, at)
        if match is None:
            raise _BrokenField
        at = match.end()
        kind = match.lastgroup or ""
        if kind == "comment":
            at = _after_comment(text, at)
        elif kind == "special":
            yield match[0], match[0]
        elif kind != "blank":
            yield kind, match[0]


def _after_comment(text: str, at: int) -> int:
    depth = 1
    while depth:
        match = _IN_COMMENT.match(text, at)
        if match is None:
            raise _BrokenField
        at = match.end()
        depth += 1 if match[1] == "(" else -1
    return at


def _mailboxes(parts: list[Token]) -> Iterable[str]:
    """Read a mailbox or address list (RFC 5322 §3.4)."""
    at, size = 0, len(parts)
    in_group = False
    while at < size:
        if parts[at][0] == ",":
            at += 1
            continue
        if parts[at][0] == ";":
            if not in_group:
                raise _BrokenField
            in_group = False
            at = _list_goes_on(parts, at + 1, "")
            continue
        end = at
        while end < size and parts[end][0] in _PHRASE:
            end += 1
        head = parts[at:end]
        stop = parts[end][0] if end < size else ""
        if stop == ":":
            if in_group or not head or ("@", "@") in head:
                raise _BrokenField
            in_group = True
            at = end + 1
        elif stop == "<":
            try:
                close = parts.index((">", ">"), end)
            except ValueError:
                raise _BrokenField from None
            address = _address(_without_route(parts[end + 1 : close]))
            _check_display_name(head, address)
            yield address
            at = _list_goes_on(parts, close + 1, ";" if in_group else "")
        else:
            yield _address(head)
            at = _list_goes_on(parts, end, ";" if in_group else "")
    if in_group:
        raise _BrokenField


def _list_goes_on(parts: list[Token], at: int, also: str) -> int:
    """After an element there is a comma, the group's end, or nothing."""
    if at < len(parts) and parts[at][0] != "," and parts[at][0] != also:
        raise _BrokenField
    return at


def _without_route(inner: list[Token]) -> list[Token]:
    """Drop ``@relay,@relay:`` of old mail (RFC 5322 §4.4, obs-route)."""
    if inner and inner[0][0] == "@" and (":", ":") in inner:
        colon = inner.index((":", ":"))
        if all(kind in ("@", ",", "atom", "literal") for kind, _ in inner[:colon]):
            return inner[colon + 1 :]
    return inner


def _check_display_name(head: list[Token], address: str) -> None:
    """Refuse an unquoted display name with an at sign, unless it says the same address."""
    for kind, text in head:
        if kind == "@":
            if _address(head).casefold() != address.casefold():
                raise _BrokenField
            return
        if kind == "literal" and "@" in text:
            raise _BrokenField


def _address(parts: list[Token]) -> str:
    """Read an addr-spec (RFC 5322 §3.4.1)."""
    if len(parts) != 3 or parts[1][0] != "@":
        raise _BrokenField
    (local_kind, local), _, (domain_kind, domain) = parts
    if local_kind not in ("atom", "quoted") or domain_kind not in ("atom", "literal"):
        raise _BrokenField
    if local_kind == "quoted":
        content = _ESCAPED.sub(r"\1", local[1:-1])
        if _DOT_ATOM.fullmatch(content):
            local = content
    # What looks like an encoded word would be decoded by some readers, though
    # it may not be here (RFC 2047 §5); what is invisible, overlooked by all.
    if not (local + domain).isprintable() or _ENCODED_WORD.search(local + domain):
        raise _BrokenField
    return f"{local}@{domain}"
