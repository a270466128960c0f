"""OpenPGP messages by their packets: what they are made of, and nothing more or less.

An engine that is handed a mixture picks a part of it and calls that good. So
what goes to one is first taken apart here: of an encrypted message, exactly one
container and the session keys in front; of a signed one, exactly one content
and its signatures. Nothing is decrypted or verified here.

Floor:  pgp (uses errors, armour, inflating, stored)
Source: RFC 9580 §4 for packets, §10.3 for what a message is, §7 for text in the clear
"""

from __future__ import annotations

import re

from smime.errors import LimitExceeded, MalformedMail, NotSupported
from smime.pgp.armour import BLANKS, dearmor, dearmor_keys, enarmor
from smime.pgp.inflating import Allowance, inflate
from smime.stored import Behind, Keeping, Stored

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator, Sequence
    from typing import TypeAlias

    from smime.stored import Data

    Octets: TypeAlias = bytes | Stored

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
MAX_PART = 1 << 20  # octets of a session key or a signature; those of large keys have some 30,000
MAX_TRIALS = 32  # session keys that are tried, for readers that are not named; each is a run
MAX_NESTING = 3  # compressed in signed in compressed; more is an attack

SESSION_KEY, SIGNATURE, SESSION_KEY_PASSPHRASE, ONE_PASS = 1, 2, 3, 4
COMPRESSED, UNPROTECTED, MARKER, LITERAL = 8, 9, 10, 11
PROTECTED, AEAD, PADDING = 18, 20, 21
_STREAMED = frozenset({COMPRESSED, UNPROTECTED, LITERAL, PROTECTED, AEAD})
_HIDDEN = "0" * 16

_CLEARTEXT = re.compile(rb"-----BEGIN PGP SIGNED MESSAGE-----[ \t]*+\r?\n")
# Others than Hash have been used to show as signed what is not (RFC 9580 §7.2).
_HASHES = re.compile(rb"(?:Hash:[ \tA-Za-z0-9,/-]*+\r?\n)*+[ \t]*+\r?\n")
_SIGNATURE_BLOCK = b"-----BEGIN PGP SIGNATURE-----"


class Packet:
    """One packet: its tag, its octets as they stand, and its body."""

    __slots__ = ("_data", "_pieces", "end", "start", "tag")

    def __init__(
        self, tag: int, data: Octets, start: int, end: int, pieces: list[tuple[int, int]]
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

    @property
    def whole(self) -> Octets:
        """Header and body where they are: from a file a part of the file."""
        data = self._data
        return data.part(self.start, self.end) if isinstance(data, Stored) else self.raw

    @property
    def content(self) -> Octets:
        """The body in the same way; put together in a file of its own where it comes in pieces."""
        if not isinstance(self._data, Stored):
            return self.body
        parts = [self._data.part(start, end) for start, end in self._pieces]
        if len(parts) == 1:
            return parts[0]
        with Keeping() as kept:
            for one in parts:
                for piece in one.pieces():
                    kept.write(piece)
            return kept.stored()

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
        self.container = container.whole
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

    def attempts(self, key_ids: Sequence[str]) -> Iterator[Data]:
        """Yield the message once for each session key that may be for one of these keys.

        Each copy has that session key alone: those that name one of ``key_ids``
        first, then those for readers that are not named. A session key is part of no
        signature and no tag: leaving others out changes nothing.
        """
        named = [packet for name, packet in self._keys if name and key_id_of(name) in key_ids]
        hidden = [packet for name, packet in self._keys if name == _HIDDEN]
        return (self._with(packet) for packet in (*named, *hidden))

    def by_passphrase(self) -> Iterator[Data]:
        """Yield the message once for each session key for a passphrase."""
        return (self._with(packet) for name, packet in self._keys if not name)

    def _with(self, key: Packet) -> Data:
        rest = self.container
        return key.raw + rest if isinstance(rest, bytes) else Behind(key.raw, rest)

    def is_for(self, key_ids: Sequence[str]) -> bool:
        """Whether one of these keys is named as a reader."""
        return any(key_id_of(name) in key_ids for name in self.recipients)

    def __repr__(self) -> str:
        return f"<Sealed for {len(self._keys)}, {len(self.container)} octets>"


class Message:
    """What a message says: the content as it stands, and the signatures on it, as packets.

    Of a message in a file the content is ``stored``, and ``content`` is empty.
    """

    __slots__ = ("content", "signatures", "stored")

    def __init__(self, content: Octets, signatures: tuple[bytes, ...] = ()) -> None:
        self.content = content if isinstance(content, bytes) else b""
        self.stored = None if isinstance(content, bytes) else content
        self.signatures = signatures

    def __repr__(self) -> str:
        octets = len(self.content if self.stored is None else self.stored)
        return f"<Message of {octets} octets, {len(self.signatures)} signatures>"


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
    text = data.strip(BLANKS)
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


def packets(data: Octets) -> Iterator[Packet]:
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


def _packet(data: Octets, start: int) -> Packet:
    first = _octets(data, start, 1)[0]
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


def _whole(tag: int, data: Octets, start: int, at: int, length: int) -> Packet:
    _octets(data, at, length, copy=False)
    return Packet(tag, data, start, at + length, [(at, at + length)])


def _octets(data: Octets, at: int, length: int, *, copy: bool = True) -> bytes:
    if at + length > len(data):
        raise MalformedMail("an OpenPGP packet is cut short")
    return data[at : at + length] if copy else b""


def read_sealed(data: Octets) -> Sealed:
    """Read an encrypted message, armoured or not; in a file, not armoured.

    Raises ``MalformedMail`` unless it is session keys and exactly one container,
    and ``NotSupported`` for a container without protection against change.
    """
    keys: list[tuple[str, Packet]] = []
    container: Packet | None = None
    for packet in packets(dearmor(data, "MESSAGE") if isinstance(data, bytes) else data):
        if packet.tag in (MARKER, PADDING):
            continue
        if container is not None:
            raise MalformedMail("something follows the encrypted message")
        if packet.tag == SESSION_KEY:
            keys.append((_reader(packet), _small(packet)))
        elif packet.tag == SESSION_KEY_PASSPHRASE:
            keys.append(("", _small(packet)))
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
    return _limited(found)


def _limited(signatures: list[Packet]) -> tuple[bytes, ...]:
    if len(signatures) > MAX_SIGNATURES:
        raise LimitExceeded(f"there are more than {MAX_SIGNATURES} OpenPGP signatures")
    return tuple([_small(one).raw for one in signatures])


def _small(packet: Packet) -> Packet:
    if packet.end - packet.start > MAX_PART:
        raise LimitExceeded(f"a part of an OpenPGP message has more than {MAX_PART} octets")
    return packet


def read_message(data: Octets) -> Message:
    """Read a message that is not, or no longer, encrypted (RFC 9580 §10.3).

    It holds exactly one content, perhaps compressed and signed. Raises
    ``MalformedMail`` for anything else, and ``LimitExceeded`` for what grows to more than
    ``inflating`` allows.
    """
    return _message(data, 0, Allowance(len(data)))


def _message(data: Octets, depth: int, allowance: Allowance) -> Message:
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
    raw = _limited(signatures)
    if middle[0].tag == LITERAL:
        return Message(_literal(middle[0].content), raw)
    inner = _message(inflate(middle[0].content, allowance), depth + 1, allowance)
    if raw and inner.signatures:
        raise MalformedMail("the OpenPGP message is signed twice over, once inside the other")
    return Message(inner.content if inner.stored is None else inner.stored, raw or inner.signatures)


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


def _literal(body: Octets) -> Octets:
    start = body[:2]
    if len(start) < 2 or start[:1] not in b"btul1m" or len(body) < 6 + start[1]:
        raise MalformedMail("the content of the OpenPGP message cannot be read")
    at = 6 + start[1]
    return body[at:] if isinstance(body, bytes) else body.part(at)
