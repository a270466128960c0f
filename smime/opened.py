"""A mail that was opened, and what is known about it.

What nobody asks for is not worked out: the report, the mail as it is shown and
whom to write to are made of what was found, when they are first asked for.

Floor:  opened (uses report and mail)
Source: RFC 9788 §6.1 for answers; RFC 9787 §4 for what may be shown
"""

from __future__ import annotations

from smime.report import Answer, Protection, Report

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterator
    from email.message import EmailMessage
    from typing import Any, NoReturn, Protocol

    from smime.keys.recipient import Recipient
    from smime.mail import Mail
    from smime.policy import Policy

    class Found(Protocol):
        """What a report says first, and the report itself when it is asked for."""

        @property
        def signer(self) -> str | None: ...
        @property
        def encrypted(self) -> bool: ...
        def report(self) -> Report: ...

    class Kept(Protocol):
        """A content in a file."""

        def pieces(self) -> Iterator[bytes]: ...


__all__ = ["Opened"]


class Opened:
    """A mail that was opened, with what is known about it; immutable."""

    __slots__ = ("_contacts", "_content", "_found", "mail")

    mail: Mail
    """The mail as a reader should see it, protected headers in place."""
    _content: bytes | Kept
    _found: Report | Found
    _contacts: tuple[Recipient, ...] | Callable[[], tuple[Recipient, ...]]

    def __init__(
        self,
        mail: Mail,
        content: bytes | Kept,
        report: Report | Found,
        _contacts: tuple[Recipient, ...] | Callable[[], tuple[Recipient, ...]] = (),
    ) -> None:
        _set(self, "mail", mail)
        _set(self, "_content", content)
        _set(self, "_found", report)
        _set(self, "_contacts", _contacts)

    @property
    def content(self) -> bytes:
        """Exactly the bytes that were signed or sealed, innermost layer.

        Of a large mail they are in a temporary file, and are read from there each time.
        """
        content = self._content
        return content if isinstance(content, bytes) else b"".join(content.pieces())

    def content_pieces(self) -> Iterator[bytes]:
        """Yield ``content`` piece by piece, for one that is too large to hold."""
        content = self._content
        return iter((content,)) if isinstance(content, bytes) else content.pieces()

    @property
    def report(self) -> Report:
        """Everything that was found; it says so of the moment at which the mail was opened."""
        found = self._found
        return found if isinstance(found, Report) else found.report()

    @property
    def signer(self) -> str | None:
        """Address that a good signature over the whole mail speaks for; None if there is none."""
        return self._found.signer

    @property
    def encrypted(self) -> bool:
        """The whole mail was sealed."""
        return self._found.encrypted

    @property
    def contacts(self) -> tuple[Recipient, ...]:
        """Certificates and capabilities of who signed, the one to write to first.

        Empty unless the signature is good. Made when first asked for.
        """
        found = self._contacts
        if not isinstance(found, tuple):
            found = found()
            _set(self, "_contacts", found)
        return found

    @property
    def message(self) -> EmailMessage:
        """The mail parsed for reading: parts, attachments, decoded headers."""
        return self.mail.parsed()

    @property
    def safe_to_render(self) -> bool:
        """Whether its HTML may load what it names, and an answer may quote it.

        False where somebody on the way could have put their own words around the
        secret (EFAIL): ``report.rendering.reason`` says why. Then show plain text
        and quote nothing.
        """
        return self.report.rendering.answer is Answer.YES

    def reply_policy(self, policy: Policy | None = None) -> Policy:
        """Return a policy for answers, which hides what this mail hid (RFC 9788 §6.1).

        ``policy`` is what would be used otherwise (``Policy.modern()``). Who
        quotes a mail must seal the answer; this keeps its headers as shy as the
        mail's own: names, Cc, and the threading of a hidden Message-ID.
        """
        from smime.policy import MODERN

        chosen = MODERN if policy is None else policy
        hid = {
            one.name.lower(): one
            for one in self.report.headers
            if one.protection in (Protection.ENCRYPTED, Protection.BOTH)
        }
        if not hid:
            return chosen
        headers = "baseline" if chosen.headers == "none" else chosen.headers
        hidden = set(chosen.hidden)
        for name, one in hid.items():
            if name in ("from", "to", "cc", "date") and one.outside:
                headers = "shy"
            elif name in ("message-id", "in-reply-to", "references"):
                hidden |= {"in-reply-to", "references"}
            elif name in ("to", "cc"):
                hidden |= {"cc", name}
            elif name not in ("subject", "comments", "keywords", "from", "date"):
                hidden.add(name)
        return chosen.replace(headers=headers, hidden=hidden)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Opened):
            return NotImplemented
        mine = (self.mail, self.content, self.report)
        return mine == (other.mail, other.content, other.report)

    def __hash__(self) -> int:
        return hash((self.mail, self.content))

    def __reduce__(self) -> tuple[Any, ...]:
        return Opened, (self.mail, self.content, self.report, self.contacts)

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError("an opened mail is frozen")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("an opened mail is frozen")

    def __repr__(self) -> str:
        return f"Opened(mail={self.mail!r}, report={self.report!r})"

    def __bool__(self) -> NoReturn:
        raise TypeError("an opened mail is not a yes or no: ask .signer or .report")


_set = object.__setattr__
