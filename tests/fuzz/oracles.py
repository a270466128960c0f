"""Sealed content that does not open, in each way in which that depends on a secret.

A class of failures for each step: the content key does not unwrap, what
unwraps has another length than the cipher's key, or all unwraps and the
content's padding or tag is not right. Whoever sends messages must not be able
to tell one from the other (rules of RFC 3218 §2.3, and of RFC 8017 §7.2.2).
"""

from __future__ import annotations

import os
from collections.abc import Callable
from contextlib import ExitStack
from typing import Any
from unittest.mock import patch

from cryptography.hazmat.primitives.keywrap import aes_key_wrap

from smime import Identity, NoTrust, decrypt
from smime.cms import (
    OpeningKey,
    RecipientKey,
    SharedKey,
    agreement,
    enveloped,
    kem,
    shared_keys,
    straight,
)
from smime.cms.content import kind
from smime.cms.der import children, top
from smime.cms.transport import Transport
from smime.errors import DecryptionFailed
from smime.formats.smime import wrap_sealed
from smime.policy import Policy
from tests.cms.people import person

CONTENT = bytes(range(256)) * 8
KINDS = ("rsa-v15", "rsa-oaep", "p256", "p384", "x25519", "ml-kem-768", "shared key")
CIPHERS = ("aes-256-cbc", "aes-256-gcm", "aes-128-cbc")
CLASSES = ("does not unwrap", "key of another length", "bad padding or tag")
ORDINARY = ("rsa-v15", "p256", "p384")  # kinds that are opened the straight way
_POLICY = Policy.modern()
_SECRET = SharedKey(bytes(range(32)), b"july")


def keys_of(kind: str) -> tuple[Any, Any]:
    """Return who is sealed for, and what opens it."""
    if kind == "shared key":
        return _SECRET, _SECRET
    name = "rsa" if kind.startswith("rsa") else kind
    return RecipientKey(person(name)[1]), OpeningKey(*person(name))


def made(kind: str, cipher: str, way: str) -> bytes:
    """Return one message of a class of failures; what a substitute opens by chance is left out."""
    while True:
        blob = _made(kind, cipher, way)
        if not opens(blob, keys_of(kind)[1]):
            return blob


def opens(blob: bytes, key: Any) -> bool:
    """Open a structure element by element."""
    return _opens(lambda: enveloped.open_with(enveloped.read(blob), [key], _POLICY))


def opens_straight(blob: bytes, key: Any) -> bool:
    """Open one of the ordinary form the straight way."""
    found = straight.opened(blob, [key])
    assert found is not None
    return found[0] is not None


def mail_of(blob: bytes) -> bytes:
    """Return a mail with the structure in it."""
    return wrap_sealed(blob, kind(blob), b"From: a@example.org\r\n")


def opens_as_mail(mail: bytes, key: Any) -> bool:
    """Open such a mail; the key needs its certificate."""
    reader = Identity(key._private, key.certificate)
    return _opens(lambda: decrypt(mail, keys=reader, trust=NoTrust()))


def _opens(way: Callable[[], object]) -> bool:
    try:
        way()
    except DecryptionFailed as failed:
        if str(failed) != enveloped.FAILED:
            raise
        return False
    return True


def _made(kind: str, cipher: str, way: str) -> bytes:
    reader, _ = keys_of(kind)
    transport = kind if kind.startswith("rsa") else "rsa-v15"
    with ExitStack() as changed:
        if way == "key of another length":
            _wrap_another_length(changed)
        blob = bytearray(enveloped.build(CONTENT, [reader], cipher=cipher, transport=transport))
    if way == "does not unwrap":
        # In the middle, so that to an RSA key it stays a number below its modulus.
        blob[_wrapped_at(bytes(blob))] ^= 0x40
    elif way == "bad padding or tag":
        # The last octet of what is padded stands in the last block, which the one before changes.
        blob[-17 if cipher.endswith("cbc") else -1] ^= 0x80
    return bytes(blob)


def _wrap_another_length(changed: ExitStack) -> None:
    """Put a key for another cipher in the message; everything else is as it should be."""

    def info(self: Transport, content_key: bytes, how: str) -> bytes:
        return real_info(self, os.urandom(48 - len(content_key)), how)

    def wrap(wrapping_key: bytes, content_key: bytes) -> bytes:
        return aes_key_wrap(wrapping_key, os.urandom(48 - len(content_key)))

    real_info = Transport.info
    changed.enter_context(patch.object(Transport, "info", info))
    for module in (agreement, kem, shared_keys):
        changed.enter_context(patch.object(module, "aes_key_wrap", wrap))


def _wrapped_at(blob: bytes) -> int:
    """Return where the middle of the wrapped content key stands: the last string of the first."""
    content = children(blob, children(blob, top(blob))[1])[0]
    infos = children(blob, content)[1]
    node = children(blob, infos)[0]
    while node[0] & 0x20:
        node = children(blob, node)[-1]
    return (node[2] + node[3]) // 2
