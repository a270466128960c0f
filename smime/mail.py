"""Mail: a whole mail whose bytes are exact and never change.

Python's ``email`` does not give back the bytes it was given, so nothing that
is signed passes through it. The two places where ``email`` is used at all are
here: a message object that a program built becomes bytes once, on its way in,
and a mail that is made becomes a message object for an SMTP library, in a form
that flattens to exactly the same bytes.

Floor:  mail (uses errors)
Source: RFC 5322 §2.1 for the form of a message
"""

from __future__ import annotations

import os

from smime.errors import MalformedMail
from smime.release import beside
from smime.release import to as release_to

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from email.message import EmailMessage, Message
    from typing import Any, BinaryIO, TypeAlias

    from smime.release import Release

    Source: TypeAlias = (
        "bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO | Message[Any, Any] | Mail"
    )
    Out: TypeAlias = os.PathLike[str] | BinaryIO
else:
    # For whoever looks at run time; evaluated they would import typing and email.
    Source = "bytes | bytearray | memoryview | os.PathLike[str] | BinaryIO | Message | Mail"
    Out = "os.PathLike[str] | BinaryIO"

__all__ = ["Mail", "write_beside", "write_out"]


class Mail:
    r"""A whole mail whose bytes are exact and never change.

    ``data`` is the mail as bytes, a path to it, an open binary file, an
    ``email.message.Message`` or another ``Mail``. A ``str`` is refused, for
    it could be a path or a letter.

    Raises ``TypeError`` for anything else, and ``OSError`` for a path that
    cannot be read.

    >>> bytes(Mail(b"Subject: hi\r\n\r\nhello\r\n"))
    b'Subject: hi\r\n\r\nhello\r\n'
    """

    __slots__ = (
        "_envelope",
        "_make",
        "_octets",
        "_pieces",
        "_recipients",
        "_size",
        "_unverified",
    )

    def __init__(self, data: Source) -> None:
        self._recipients: tuple[str, ...] | None = None
        self._envelope: bytes | None = None
        self._octets: bytes | None
        self._make: Callable[[], bytes] | None = None
        self._pieces: Callable[[], Iterator[bytes]] | None = None
        self._size: int | None = None
        self._unverified: tuple[str, ...] = ()
        if isinstance(data, bytes):
            self._octets = data
        elif isinstance(data, Mail):
            self._octets = data._data
            self._recipients = data._recipients
            self._envelope = data._envelope
        else:
            self._octets = _read(data)

    @classmethod
    def _made(
        cls,
        data: bytes | None,
        recipients: tuple[str, ...] | None = None,
        make: Callable[[], bytes] | None = None,
    ) -> Mail:
        """Wrap bytes just made, or ``make`` that makes them when they are asked for."""
        self = cls.__new__(cls)
        self._octets = data
        self._make = make
        self._pieces = None
        self._size = None
        self._envelope = None
        self._recipients = recipients
        self._unverified = ()
        return self

    @classmethod
    def _of_pieces(cls, pieces: Callable[[], Iterator[bytes]], size: int) -> Mail:
        """Wrap a mail that is kept in a file; ``pieces`` reads it."""
        self = cls._made(None, make=lambda: b"".join(pieces()))
        self._pieces = pieces
        self._size = size
        return self

    def _changed(self, data: bytes) -> Mail:
        """Wrap what was made of this mail: the envelope addresses stay, Bcc among them."""
        made = type(self)._made(data, self._recipients)
        made._envelope = self._data if self._envelope is None else self._envelope
        return made

    @classmethod
    def _written(cls, size: int, source: bytes) -> Mail:
        """Stand for a mail that went to ``out=``; ``source`` has the envelope addresses."""

        def elsewhere() -> bytes:
            raise ValueError(
                "the mail was written to out= and is not held: for a path, Mail(path) reads it"
            )

        self = cls._made(None, make=elsewhere)
        self._envelope = source
        self._size = size
        return self

    @property
    def _data(self) -> bytes:
        if self._octets is None:
            assert self._make is not None
            self._octets = self._make()
            self._make = None
        return self._octets

    def pieces(self) -> Iterator[bytes]:
        """Yield its octets piece by piece; one that was opened from a large file is not held."""
        if self._octets is None and self._pieces is not None:
            return self._pieces()
        return iter((self._data,))

    def _beginning(self, count: int) -> bytes:
        """Return the first octets, or all of a mail that is held."""
        if self._octets is None and self._pieces is not None and self.size > count:
            found = bytearray()
            for piece in self._pieces():
                found += piece
                if len(found) >= count:
                    break
            return bytes(found[:count])
        return self._data

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self)._made, (self._data, self.recipients)

    def __bytes__(self) -> bytes:
        octets = self._octets
        return self._data if octets is None else octets

    @property
    def size(self) -> int:
        """Number of octets."""
        return len(self._data) if self._size is None else self._size

    @property
    def message(self) -> EmailMessage:
        """The mail for ``smtplib``, ``aiosmtplib`` or Django: flattens to exactly ``bytes(self)``.

        Its payload is one text, so that no library can write it anew in other
        words; to read parts and attachments use ``parsed()`` or ``Opened.message``.
        """
        return _message_that_flattens_to(self._data)

    def parsed(self) -> EmailMessage:
        """The mail parsed for reading; its flattened form need not be the same bytes."""
        from email import message_from_bytes, policy

        return message_from_bytes(self._data, policy=policy.default)

    @property
    def recipients(self) -> tuple[str, ...]:
        """Envelope addresses (To, Cc, Bcc) read before Bcc was dropped.

        Give them to the SMTP library, for instance
        ``smtp.send_message(m.message, to_addrs=m.recipients)``.
        """
        if self._recipients is None:
            self._recipients = _recipients(self._data if self._envelope is None else self._envelope)
        return self._recipients

    @property
    def unverified(self) -> tuple[str, ...]:
        """Addresses of readers for whose certificates nobody was asked to vouch.

        Those of ``encrypt``, ``protect`` or ``protect_each`` without ``trust=``; empty
        with it, and for every other mail.
        """
        return self._unverified

    @property
    def body(self) -> bytes:
        """What comes after the blank line that ends the headers."""
        return self._data[_body_at(self._data) :]

    def save(self, path: os.PathLike[str]) -> None:
        """Write beside ``path`` and rename, so that no half mail is ever there.

        Raises ``OSError`` if the file cannot be written.
        """
        if isinstance(path, str):
            raise TypeError(f"save(Path({path!r})): a path is given as a Path, not a str")
        write_beside(path, self.pieces())

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Mail):
            return NotImplemented
        return self._data == other._data

    def __hash__(self) -> int:
        return hash(self._data)

    def __repr__(self) -> str:
        return f"<Mail of {self.size} octets>"


def _read(data: Any) -> bytes:
    """Return the octets of any other source of a mail."""
    if isinstance(data, bytearray | memoryview):
        return bytes(data)
    if isinstance(data, str):
        raise TypeError(
            "a mail is not a str: for a file write Path('letter.eml'), for a text .encode() it"
        )
    if isinstance(data, os.PathLike):
        with open(data, "rb") as file:
            return file.read()
    if hasattr(data, "read"):
        content = data.read()
        if not isinstance(content, bytes):
            raise TypeError("the file is open as text: open it with mode 'rb'")
        return content
    if hasattr(data, "get_content_maintype"):
        return _flatten(data)
    raise TypeError(
        f"a mail is bytes, a Path, a binary file or an email message, not {type(data).__name__}"
    )


def _flatten(message: Message[Any, Any]) -> bytes:
    """Write a message object as bytes with CRLF, once, before anything is signed."""
    from email.errors import MessageError
    from email.generator import BytesGenerator
    from io import BytesIO

    _refuse_injection(message)
    out = BytesIO()
    changes: dict[str, Any] = {"linesep": "\r\n", "cte_type": "8bit"}
    if hasattr(message.policy, "refold_source"):
        changes["refold_source"] = "none"  # headers that were parsed stay as they were written
    try:
        BytesGenerator(out, mangle_from_=False, policy=message.policy.clone(**changes)).flatten(
            message
        )
    except (LookupError, ValueError, TypeError, AttributeError, MessageError) as problem:
        raise MalformedMail(
            f"the message object cannot be written as a mail: {problem}",
            hint="try message.as_bytes() to see which part is at fault",
        ) from problem
    return out.getvalue()


def _refuse_injection(message: Message[Any, Any]) -> None:
    """Refuse a header from whose name or value another header, or a body, would grow.

    Programs put what users typed into Subject and To; not every version of
    ``email`` looks for line ends there, and none at names.
    """
    import re

    name_of_field = re.compile(r"[!-9;-~]+")
    line_end = re.compile(r"[\r\n](?![ \t\r\n])|\n[ \t]*(?:\r?\n|\Z)")
    for part in message.walk():
        for name, value in part.raw_items():
            if not name_of_field.fullmatch(name):
                raise MalformedMail(f"{name!r} cannot be the name of a header")
            if line_end.search(str(value).rstrip("\r\n")):
                raise MalformedMail(
                    f"the header {name} holds a line end, and what follows would be a header of "
                    "its own",
                    hint="take line ends out of what users typed: ' '.join(text.split())",
                )


def _body_at(data: bytes) -> int:
    """Return where the body begins: after the first empty line, or at the end."""
    if data.startswith(b"\r\n"):
        return 2
    if data.startswith(b"\n"):
        return 1
    crlf, lf = data.find(b"\n\r\n"), data.find(b"\n\n")
    if crlf < 0 and lf < 0:
        return len(data)
    return lf + 2 if crlf < 0 or 0 <= lf < crlf else crlf + 3


def _recipients(data: bytes) -> tuple[str, ...]:
    from email import message_from_bytes, policy
    from email.utils import getaddresses

    message = message_from_bytes(data[: _body_at(data)], policy=policy.compat32)
    raw = [(key.lower(), value) for key, value in message.raw_items()]  # UTF-8 as it stands
    fields = [
        str(value).encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        for name in ("to", "cc", "bcc")
        for key, value in raw
        if key == name
    ]
    found = (address.strip() for _, address in getaddresses(fields))
    return tuple(dict.fromkeys(address for address in found if "@" in address))


def _message_that_flattens_to(data: bytes) -> EmailMessage:
    """Return a message object that every generator writes as exactly ``data``.

    The payload is one string and headers are kept as they stand, with a policy
    that writes both back untouched: nothing is folded, joined or re-encoded.
    """
    from smime._flat import AS_IT_IS, ExactMessage, Verbatim

    message = ExactMessage(policy=AS_IT_IS)
    at = _body_at(data)
    fields: list[str] = []
    for line in data[:at].decode("ascii", "surrogateescape").split("\n")[:-1]:
        if line[:1] in (" ", "\t") and fields:
            fields[-1] += line + "\n"
        elif line.strip("\r"):
            fields.append(line + "\n")
    for text in fields:
        name, _, value = text.partition(":")
        message.set_raw(name, Verbatim.of(name, value))
    message.set_payload(data[at:].decode("ascii", "surrogateescape"))
    return message


def write_beside(
    path: os.PathLike[str] | str, pieces: Iterable[bytes], *, private: bool = True
) -> None:
    """Write ``pieces`` to a new file in the folder of ``path``, then rename it to ``path``.

    The new file is 0600 whatever the umask when ``private``. A symbolic link
    keeps pointing: its target is replaced. On any failure nothing is left
    behind and the former file is untouched. Raises ``OSError``.
    """
    _publish(beside(path, private=private), pieces)


def write_out(out: Out, pieces: Iterable[bytes]) -> None:
    """Write ``pieces`` to a path (beside, then renamed) or to an open binary file."""
    _publish(release_to(out, private=True, wait=False), pieces)


def _publish(release: Release, pieces: Iterable[bytes]) -> None:
    with release:
        for piece in pieces:
            release.write(piece)
        release.publish()
