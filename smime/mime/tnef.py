"""winmail.dat, the form in which Exchange hands on what it could not send as a mail (TNEF).

Only what leads to an S/MIME mail is read: the class of the message, and its
attachments. Properties, which hold everything else, are passed over.

Floor:  mime (uses errors)
Source: MS-OXTNEF §2.1 for the stream; MS-OXOSMIME §2.1 for a mail that is S/MIME
"""

from __future__ import annotations

import struct

from smime.errors import LimitExceeded, MalformedMail

__all__ = ["smime_of"]

MAX_ATTRIBUTES = 1000  # of the stream; an attachment has five, a message some twenty

_SIGNATURE = b"\x78\x9f\x3e\x22"
_HEAD = struct.Struct("<BHHI")  # level, attribute, type, length
_CHECKSUM = 2  # the CMS inside says better whether anything was changed
_MESSAGE, _ATTACHMENT = 1, 2
_CLASS, _DATA, _BEGINS = 0x8008, 0x800F, 0x9002
_SMIME_CLASS = b"ipm.note.smime"


def smime_of(stream: bytes) -> bytes | None:
    """Return the S/MIME mail that a TNEF stream stands for, or None if it is another message.

    That is either a CMS structure or a multipart/signed with its header fields
    (MS-OXOSMIME §2.1.3). A message that merely has such a file attached is
    another message. Raises ``MalformedMail`` for what is no TNEF, and
    ``LimitExceeded``.
    """
    if not stream.startswith(_SIGNATURE):
        raise MalformedMail("winmail.dat is no TNEF stream")
    at = len(_SIGNATURE) + 2  # a key that says nothing
    kind = b""
    attached: list[bytes] = []
    count = 0
    while at + _HEAD.size <= len(stream):
        level, attribute, _, length = _HEAD.unpack_from(stream, at)
        start = at + _HEAD.size
        if level not in (_MESSAGE, _ATTACHMENT) or start + length + _CHECKSUM > len(stream):
            raise MalformedMail("the TNEF stream of winmail.dat is broken")
        count += 1
        if count > MAX_ATTRIBUTES:
            raise LimitExceeded(f"winmail.dat has more than {MAX_ATTRIBUTES} attributes")
        at = start + length + _CHECKSUM
        if level == _MESSAGE and attribute == _CLASS:
            kind = stream[start : start + min(length, 255)]
        elif level == _ATTACHMENT and attribute == _BEGINS:
            attached.append(b"")
        elif level == _ATTACHMENT and attribute == _DATA and attached:
            attached[-1] = stream[start : start + length]
    if not kind.lower().startswith(_SMIME_CLASS) or len(attached) != 1:
        return None
    return attached[0]
