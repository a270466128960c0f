"""OpenPGP messages by their packets: what they are made of, and nothing more or less.

An engine that is handed a mixture picks a part of it and calls that good. So
what goes to one is first taken apart here: of an encrypted message, exactly one
container and the session keys in front; of a signed one, exactly one content
and its signatures. Nothing is decrypted or verified here.

Floor:  pgp (uses errors)
Source: RFC 9580 §4 for packets, §10.3 for what a message is, §6 for armour
"""

from __future__ import annotations

import re

from pybase64 import b64decode, encodebytes

from smime.errors import LimitExceeded, MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence

__all__ = [
    "Message",
    "Packet",
    "Sealed",
    "dearmor",
    "dearmor_keys",
    "enarmor",
    "key_id_of",
    "packets",
    "read_cleartext",
    "read_message",
    "read_sealed",
    "read_signatures",
]

MAX_PACKETS = 20_000  # 10,000 recipients have to work; a key of many people's signatures has fewer
MAX_PIECES = 200_000  # of partial lengths; GnuPG writes pieces of 8 KiB
MAX_SIGNATURES = 16  # of one content; each is a run of the engine
MAX_NESTING = 3  # compressed in signed in compressed; more is an attack
MAX_INFLATED = 256 << 20  # what a mail may grow to: five times what mail servers take

SESSION_KEY, SIGNATURE, SESSION_KEY_PASSPHRASE, ONE_PASS = 1, 2, 3, 4
COMPRESSED, UNPROTECTED, MARKER, LITERAL = 8, 9, 10, 11
PROTECTED, AEAD, PADDING = 18, 20, 21
_STREAMED = frozenset({COMPRESSED, UNPROTECTED, LITERAL, PROTECTED, AEAD})
_HIDDEN = "0" * 16

_BEGIN = re.compile(rb"-----BEGIN PGP ([A-Z ]{1,40})-----[ \t]*+\r?\n")
_HEADERS = re.compile(rb"(?:[!-9;-~]++:[^\n]*+\n)*+[ \t]*+\r?\n")
_CHECKSUM = re.compile(rb"^=[A-Za-z0-9+/]{4}[ \t]*+\r?\n?", re.MULTILINE)
_CLEARTEXT = re.compile(rb"-----BEGIN PGP SIGNED MESSAGE-----[ \t]*+\r?\n")
# Others than Hash have been used to show as signed what is not (RFC 9580 §7.2).
_HASHES = re.compile(rb"(?:Hash:[ \tA-Za-z0-9,/-]*+\r?\n)*+[ \t]*+\r?\n")
_SIGNATURE_BLOCK = b"-----BEGIN PGP SIGNATURE-----"
_KEY_BLOCK = re.compile(
    rb"^-----BEGIN PGP (PUBLIC|PRIVATE) KEY BLOCK-----.*?^-----END PGP \1 KEY BLOCK-----",
    re.MULTILINE | re.DOTALL,
)
_BLANKS = b" \t\r\n"


class Packet:
    """One packet: its tag, its octets as they stand, and its body."""

    __slots__ = ("_data", "_pieces", "end", "start", "tag")

    def __init__(
        self, tag: int, data: bytes, start: int, end: int, pieces: list[tuple[int, int]]
    ) -> None:
        self.tag = tag
        self.start = start
        self.end = end
        self._data = data
        self._pieces = pieces

    @property
    def raw(self) -> bytes:
        """Header and body, as they stand."""
        return self._data[self.start : self.end]

    @property
    def body(self) -> bytes:
        """The body, put together where it comes in pieces."""
        if len(self._pieces) == 1:
            start, end = self._pieces[0]
            return self._data[start:end]
        return b"".join([self._data[start:end] for start, end in self._pieces])

    def beginning(self, octets: int) -> bytes:
        """Return the first octets of the body; fewer if the first piece has fewer."""
        start, end = self._pieces[0]
        return self._data[start : min(end, start + octets)]

    def __repr__(self) -> str:
        return f"<Packet {self.tag} of {self.end - self.start} octets>"


class Sealed:
    """An encrypted message: session keys in front of exactly one container.

    ``recipients`` are the key ids (16 digits) or fingerprints that the session keys
    are for, in order; all zero for a reader that is not named. ``passphrases``
    counts session keys for a passphrase; with ``argon2`` one of them is hashed in the
    way of RFC 9106.
    """

    __slots__ = (
        "_keys",
        "argon2",
        "container",
        "container_tag",
        "container_version",
        "passphrases",
    )

    def __init__(self, keys: list[tuple[str, Packet]], container: Packet) -> None:
        self._keys = keys
        self.container = container.raw
        self.container_tag = container.tag
        self.container_version = (container.beginning(1) or b"\0")[0]
        self.passphrases = sum(not name for name, _ in keys)
        self.argon2 = any(
            not name and one.beginning(3)[:1] == b"\4" and one.beginning(3)[2:] == b"\4"
            for name, one in keys
        )

    @property
    def recipients(self) -> tuple[str, ...]:
        return tuple(name for name, _ in self._keys if name)

    def attempts(self, key_ids: Sequence[str]) -> list[bytes]:
        """Return the message once for each session key that may be for one of these keys.

        Each copy has that session key alone: those that name one of ``key_ids``
        first, then those for readers that are not named. A session key is part of no
        signature and no tag: leaving others out changes nothing.
        """
        named = [packet for name, packet in self._keys if name and key_id_of(name) in key_ids]
        hidden = [packet for name, packet in self._keys if name == _HIDDEN]
        return [packet.raw + self.container for packet in (*named, *hidden)]

    def by_passphrase(self) -> list[bytes]:
        """Return the message once for each session key for a passphrase."""
        return [packet.raw + self.container for name, packet in self._keys if not name]

    def is_for(self, key_ids: Sequence[str]) -> bool:
        """Whether one of these keys is named as a reader."""
        return any(key_id_of(name) in key_ids for name in self.recipients)

    def __repr__(self) -> str:
        return f"<Sealed for {len(self._keys)}, {len(self.container)} octets>"


class Message:
    """What a message says: the content as it stands, and the signatures on it, as packets."""

    __slots__ = ("content", "signatures")

    def __init__(self, content: bytes, signatures: tuple[bytes, ...] = ()) -> None:
        self.content = content
        self.signatures = signatures

    def __repr__(self) -> str:
        return f"<Message of {len(self.content)} octets, {len(self.signatures)} signatures>"


def dearmor(data: bytes, *kinds: str) -> bytes:
    r"""Return the octets in one block of armour; what is no armour comes back as it is.

    ``kinds`` are those allowed: ``MESSAGE``, ``SIGNATURE``. Around the block only
    blanks may stand. The checksum is not looked at (RFC 9580 §6.1): it protects
    from nobody.

    Raises ``MalformedMail`` for a block that is cut, of another kind, not
    base64, or not alone.

    >>> dearmor(b"-----BEGIN PGP MESSAGE-----\n\nywViAG5vdGU=\n-----END PGP MESSAGE-----\n")
    b'\xcb\x05b\x00note'
    """
    if data[:1] >= b"\x80":
        return data
    text = data.strip(_BLANKS)
    begin = _BEGIN.match(text)
    if begin is None:
        raise MalformedMail("this is no OpenPGP data: neither packets nor armour")
    kind = begin[1].decode("ascii")
    if kinds and kind not in kinds:
        raise MalformedMail(f"an armoured {kind} stands where {' or '.join(kinds)} should")
    end = b"-----END PGP " + begin[1] + b"-----"
    headers = _HEADERS.match(text, begin.end())
    if not text.endswith(end) or headers is None:
        raise MalformedMail("the OpenPGP armour is cut short, or something follows it")
    inside = text[headers.end() : -len(end)]
    sum_line = _CHECKSUM.search(inside, max(len(inside) - 80, 0))
    if sum_line is not None:
        if inside[sum_line.end() :].strip(_BLANKS):
            raise MalformedMail("the OpenPGP armour goes on after its checksum")
        inside = inside[: sum_line.start()]
    try:
        return b64decode(b"".join(inside.split()), validate=True)
    except ValueError as wrong:
        raise MalformedMail("the OpenPGP armour is not base64") from wrong


def enarmor(data: bytes, kind: str, line_end: bytes = b"\n") -> bytes:
    """Return packets as armour, without a checksum (RFC 9580 §6.1)."""
    lines = encodebytes(data)  # of 76 characters, as §6.2 allows
    name = kind.encode("ascii")
    return b"".join(
        (
            b"-----BEGIN PGP " + name + b"-----" + 2 * line_end,
            lines if line_end == b"\n" else lines.replace(b"\n", line_end),
            b"-----END PGP " + name + b"-----" + line_end,
        )
    )


def read_cleartext(data: bytes) -> Message:
    r"""Read text that is signed in the clear (RFC 9580 §7).

    The content is the text as it was signed: no dashes escaped, no blanks at line
    ends, CRLF between lines and none at the end. Around the block only blanks may
    stand. Raises ``MalformedMail`` for anything that two readers could take
    differently: headers but Hash, dashes that are not escaped, something behind.

    >>> hello = b"-----BEGIN PGP SIGNED MESSAGE-----\n\nhi \n- --\n-----BEGIN PGP SIGNATURE-----\n"
    >>> read_cleartext(hello + b"\nwgFx\n-----END PGP SIGNATURE-----\n").content
    b'hi\r\n--'
    """
    text = data.strip(_BLANKS)
    begin = _CLEARTEXT.match(text)
    headers = _HASHES.match(text, begin.end()) if begin else None
    if headers is None:
        raise MalformedMail("this is no text that is signed in the clear, or has strange headers")
    lines: list[bytes] = []
    at = headers.end()
    while not text.startswith(_SIGNATURE_BLOCK, at):
        end = text.find(b"\n", at)
        if end < 0:
            raise MalformedMail("the text that is signed in the clear has no signature")
        line = text[at:end].removesuffix(b"\r").rstrip(b" \t")
        if line.startswith(b"-"):
            if line[:2] != b"- " and line != b"-":
                raise MalformedMail("a dash in the text that is signed is not escaped")
            line = line[2:]
        lines.append(line)
        at = end + 1
    return Message(b"\r\n".join(lines), read_signatures(text[at:]))


def dearmor_keys(data: bytes) -> bytes:
    """Return the octets of all blocks of keys in a file; text may stand around them.

    What is no text comes back as it is. Raises ``MalformedMail`` if there is no
    block of keys, or one is damaged.
    """
    if data[:1] >= b"\x80":
        return data
    found = [
        dearmor(match[0], "PUBLIC KEY BLOCK", "PRIVATE KEY BLOCK")
        for match in _KEY_BLOCK.finditer(data)
    ]
    if not found:
        raise MalformedMail("there is no OpenPGP key: neither packets nor armour of keys")
    return b"".join(found)


def packets(data: bytes) -> Iterator[Packet]:
    """Cut data into packets, to its last octet (RFC 9580 §4.2).

    Raises ``MalformedMail`` where a packet is cut or there is none, and
    ``LimitExceeded`` for more than a message has.
    """
    at, count = 0, 0
    while at < len(data):
        count += 1
        if count > MAX_PACKETS:
            raise LimitExceeded(f"there are more than {MAX_PACKETS} OpenPGP packets")
        packet = _packet(data, at)
        at = packet.end
        yield packet


def _packet(data: bytes, start: int) -> Packet:
    first = data[start]
    at = start + 1
    if not first & 0x80:
        raise MalformedMail("this is no OpenPGP packet")
    if not first & 0x40:  # the old form (RFC 9580 §4.2.2)
        tag, kind = first >> 2 & 0x0F, first & 3
        if kind == 3:
            if tag not in _STREAMED:
                raise MalformedMail("an OpenPGP packet does not say how long it is")
            return Packet(tag, data, start, len(data), [(at, len(data))])
        size = 1 << kind
        length = int.from_bytes(_octets(data, at, size), "big")
        return _whole(tag, data, start, at + size, length)
    tag = first & 0x3F
    pieces: list[tuple[int, int]] = []
    while True:
        lead = _octets(data, at, 1)[0]
        if lead < 192:
            at, length = at + 1, lead
        elif lead < 224:
            length = (lead - 192 << 8) + _octets(data, at + 1, 1)[0] + 192
            at += 2
        elif lead == 255:
            length = int.from_bytes(_octets(data, at + 1, 4), "big")
            at += 5
        else:
            if tag not in _STREAMED:
                raise MalformedMail("an OpenPGP packet that may not be is in pieces")
            at, length = at + 1, 1 << (lead & 0x1F)
            _octets(data, at, length, copy=False)
            pieces.append((at, at + length))
            at += length
            if len(pieces) > MAX_PIECES:
                raise LimitExceeded(f"an OpenPGP packet is in more than {MAX_PIECES} pieces")
            continue
        last = _whole(tag, data, start, at, length)
        return Packet(tag, data, start, last.end, [*pieces, (at, last.end)])


def _whole(tag: int, data: bytes, start: int, at: int, length: int) -> Packet:
    _octets(data, at, length, copy=False)
    return Packet(tag, data, start, at + length, [(at, at + length)])


def _octets(data: bytes, at: int, length: int, *, copy: bool = True) -> bytes:
    if at + length > len(data):
        raise MalformedMail("an OpenPGP packet is cut short")
    return data[at : at + length] if copy else b""


def read_sealed(data: bytes) -> Sealed:
    """Read an encrypted message, armoured or not.

    Raises ``MalformedMail`` unless it is session keys and exactly one container,
    and ``NotSupported`` for a container without protection against change.
    """
    keys: list[tuple[str, Packet]] = []
    container: Packet | None = None
    for packet in packets(dearmor(data, "MESSAGE")):
        if packet.tag in (MARKER, PADDING):
            continue
        if container is not None:
            raise MalformedMail("something follows the encrypted message")
        if packet.tag == SESSION_KEY:
            keys.append((_reader(packet), packet))
        elif packet.tag == SESSION_KEY_PASSPHRASE:
            keys.append(("", packet))
        elif packet.tag in (PROTECTED, AEAD, UNPROTECTED):
            container = packet
        else:
            raise MalformedMail("this is no encrypted OpenPGP message")
    if container is None:
        raise MalformedMail("the OpenPGP message has no encrypted content")
    if container.tag == UNPROTECTED:
        raise NotSupported(
            "the encrypted content carries nothing that shows whether it was changed, and is "
            "not opened (RFC 9580 §13.7)"
        )
    return Sealed(keys, container)


def _reader(packet: Packet) -> str:
    body = packet.beginning(64)
    if len(body) > 10 and body[0] in (2, 3):
        return body[1:9].hex()
    if len(body) > 2 and body[0] == 6:
        length = body[1]
        if length == 0:
            return _HIDDEN
        if 3 + length <= len(body):
            return body[3 : 2 + length].hex()
    raise MalformedMail("a session key of the OpenPGP message cannot be read")


def key_id_of(name: str) -> str:
    """Return the key id of a fingerprint: its last digits, or for version 6 its first."""
    if len(name) == 64:
        return name[:16]
    return name[-16:]


def read_signatures(data: bytes) -> tuple[bytes, ...]:
    """Return the signature packets of a detached signature, armoured or not.

    Raises ``MalformedMail`` unless it is signatures and nothing else, and
    ``LimitExceeded`` for more than are checked.
    """
    found = [one for one in packets(dearmor(data, "SIGNATURE", "MESSAGE")) if one.tag != MARKER]
    if not found or any(one.tag != SIGNATURE for one in found):
        raise MalformedMail("this is no detached OpenPGP signature")
    return _limited([one.raw for one in found])


def _limited(signatures: list[bytes]) -> tuple[bytes, ...]:
    if len(signatures) > MAX_SIGNATURES:
        raise LimitExceeded(f"there are more than {MAX_SIGNATURES} OpenPGP signatures")
    return tuple(signatures)


def read_message(data: bytes) -> Message:
    """Read a message that is not, or no longer, encrypted (RFC 9580 §10.3).

    It holds exactly one content, perhaps compressed and signed. Raises
    ``MalformedMail`` for anything else, and ``LimitExceeded`` for more than
    ``MAX_INFLATED`` octets.
    """
    return _message(data, 0)


def _message(data: bytes, depth: int) -> Message:
    if depth > MAX_NESTING:
        raise LimitExceeded(f"the OpenPGP message is nested more than {MAX_NESTING} deep")
    found = [one for one in packets(data) if one.tag not in (MARKER, PADDING)]
    tags = [one.tag for one in found]
    middle = [one for one in found if one.tag not in (SIGNATURE, ONE_PASS)]
    if len(middle) != 1 or middle[0].tag not in (LITERAL, COMPRESSED):
        raise MalformedMail("the OpenPGP message does not hold exactly one content")
    at = found.index(middle[0])
    before, after = tags[:at], tags[at + 1 :]
    if ONE_PASS in before:
        # Each one in front announces one behind.
        if before != [ONE_PASS] * at or after != [SIGNATURE] * at:
            raise MalformedMail("the signatures of the OpenPGP message do not fit together")
        signatures = found[at + 1 :]
        # The first one in front announces the last one behind.
        if [_announced(one) for one in found[:at]] != [_kind(one) for one in signatures[::-1]]:
            raise MalformedMail("the signatures of the OpenPGP message are others than announced")
    else:
        if after:
            raise MalformedMail("something follows the content of the OpenPGP message")
        signatures = found[:at]
    raw = _limited([one.raw for one in signatures])
    if middle[0].tag == LITERAL:
        return Message(_literal(middle[0].body), raw)
    inner = _message(_inflate(middle[0].body), depth + 1)
    if raw and inner.signatures:
        raise MalformedMail("the OpenPGP message is signed twice over, once inside the other")
    return Message(inner.content, raw or inner.signatures)


def _announced(one_pass: Packet) -> bytes:
    """Return class, key algorithm and digest of the signature that is to come."""
    body = one_pass.beginning(4)
    if body[:1] not in (b"\3", b"\6"):
        raise MalformedMail("a signature of the OpenPGP message is announced in no known way")
    return bytes((body[1], body[3], body[2])) if len(body) == 4 else b""


def _kind(signature: Packet) -> bytes:
    """Return class, key algorithm and digest of a signature (RFC 9580 §5.2.2, §5.2.3)."""
    body = signature.beginning(17)
    if body[:1] in (b"\2", b"\3"):
        return body[2:3] + body[15:17]
    return body[1:4]


def _literal(body: bytes) -> bytes:
    if len(body) < 2 or body[:1] not in b"btul1m" or len(body) < 6 + body[1]:
        raise MalformedMail("the content of the OpenPGP message cannot be read")
    return body[6 + body[1] :]


def _inflate(body: bytes) -> bytes:
    import bz2
    import zlib

    method, packed = body[:1], body[1:]
    if method == b"\0":
        return packed
    reader: bz2.BZ2Decompressor | zlib._Decompress
    if method == b"\1":
        reader = zlib.decompressobj(-15)
    elif method == b"\2":
        reader = zlib.decompressobj()
    elif method == b"\3":
        reader = bz2.BZ2Decompressor()
    else:
        raise NotSupported("the OpenPGP message is compressed in a way that is not known")
    try:
        content = reader.decompress(packed, MAX_INFLATED + 1)
    except (OSError, ValueError, zlib.error) as broken:
        raise MalformedMail("the compressed OpenPGP message is damaged") from broken
    if len(content) > MAX_INFLATED:
        raise LimitExceeded(f"the OpenPGP message grows to more than {MAX_INFLATED} octets")
    if not reader.eof:
        raise MalformedMail("the compressed OpenPGP message is cut short")
    return content
