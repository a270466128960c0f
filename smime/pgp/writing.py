"""Signed messages put together from signatures that were made apart: by several keys, or engines.

A signature over octets is the same whether it stands beside them or in one message
with them; so none is made here.

Floor:  pgp (uses errors, packets, strict, armour)
Source: RFC 9580 §5.4 for one-pass signatures, §5.9 for the content, §7 for text in the clear
"""

from __future__ import annotations

from smime.pgp.armour import enarmor
from smime.pgp.backend import DIGESTS
from smime.pgp.packets import SIGNATURE, packets
from smime.pgp.strict import subpackets_of

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

__all__ = ["clear_message", "signed_message", "text_in_the_clear"]

_ONE_PASS, _LITERAL = 4, 11
_ISSUER, _ISSUER_FINGERPRINT = 16, 33


def signed_message(content: bytes, signatures: Sequence[bytes]) -> bytes:
    """Return a message with the content and these detached signatures of it, as packets.

    The signatures, one packet each, are taken as they are; whoever reads needs one pass.
    """
    bodies = [_body(one) for one in signatures]
    # The last signature belongs to the first of the packets in front: they nest.
    first = [
        _packet(_ONE_PASS, _one_pass(body, last=n == 0)) for n, body in enumerate(reversed(bodies))
    ]
    literal = _packet(_LITERAL, b"b\0" + bytes(4) + content)
    return b"".join((*reversed(first), literal, *reversed(signatures)))


def text_in_the_clear(text: bytes) -> bytes:
    """Return what a signature in the clear is over: no blanks at line ends, no last line end."""
    lines = text.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    return b"\r\n".join(line.rstrip(b" \t\r") for line in lines)


def clear_message(text: bytes, signatures: Sequence[bytes]) -> bytes:
    """Return text in the clear with signatures that were made of ``text_in_the_clear``."""
    digests = dict.fromkeys(DIGESTS.get(_body(one)[3], "") for one in signatures)
    hashes = ",".join(one.upper() for one in digests if one)
    lines = text.replace(b"\r\n", b"\n").removesuffix(b"\n").split(b"\n")
    escaped = b"\n".join(b"- " + line if line.startswith(b"-") else line for line in lines)
    head = f"-----BEGIN PGP SIGNED MESSAGE-----\nHash: {hashes}\n\n".encode()
    return head + escaped + b"\n" + enarmor(b"".join(signatures), "SIGNATURE")


def _body(signature: bytes) -> bytes:
    (packet,) = packets(signature)
    if packet.tag != SIGNATURE:
        raise ValueError("a detached signature is one signature packet")
    return packet.body


def _one_pass(body: bytes, *, last: bool) -> bytes:
    version, kind, algorithm, digest = body[:4]
    named = dict(subpackets_of(body)[1]) | dict(subpackets_of(body)[0])
    fingerprint = named.get(_ISSUER_FINGERPRINT, b"")[1:]
    head = bytes((kind, digest, algorithm))
    if version == 6:
        return b"\6" + head + _salt(body) + fingerprint + bytes((last,))
    return b"\3" + head + (named.get(_ISSUER) or fingerprint[-8:]) + bytes((last,))


def _salt(body: bytes) -> bytes:
    """Return the salt of a signature of version 6, its length in front (RFC 9580 §5.2.3)."""
    at = 4
    for _ in range(2):
        at += 4 + int.from_bytes(body[at : at + 4], "big")
    at += 2  # the first octets of the digest
    return body[at : at + 1 + body[at]]


def _packet(tag: int, body: bytes) -> bytes:
    return bytes((0xC0 | tag, 0xFF)) + len(body).to_bytes(4, "big") + body
