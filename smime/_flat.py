"""An ``email`` policy that writes headers exactly as they stand.

The policies of the library parse a header and write it anew: they insert
blanks, fold, and drop what they cannot parse. A mail that is signed must not
change on its way through an SMTP library, so headers are kept here as the
text after the colon, line end included, and written back as that.

Apart from ``mail`` because importing ``email.policy`` is dear.

Floor:  mail (used by mail alone)
"""

from __future__ import annotations

from email.message import EmailMessage
from email.policy import EmailPolicy, Policy
from typing import Any

__all__ = ["AS_IT_IS", "ExactMessage", "Verbatim"]


class Verbatim(str):
    """Header text after the colon, blanks and line end included.

    With ``name`` and ``fold`` it is a header object to every ``EmailPolicy``,
    which then leaves the folding to it. Some SMTP libraries flatten under a
    policy of their own, and this holds there too.
    """

    __slots__ = ("name",)

    name: str

    @classmethod
    def of(cls, name: str, value: str) -> Verbatim:
        """Make the value of the header ``name``."""
        made = cls(value)
        made.name = name
        return made

    def fold(self, *, policy: Policy) -> str:  # noqa: ARG002
        """Return the whole header as it stands."""
        return f"{self.name}:{self}"


class _ExactPolicy(EmailPolicy):
    verify_generated_headers = False  # they are not generated, they are kept

    def header_fetch_parse(self, name: str, value: str) -> Any:
        if isinstance(value, Verbatim):
            value = str(value).strip()
        return super().header_fetch_parse(name, value)


AS_IT_IS = _ExactPolicy(linesep="\r\n", refold_source="none")


class ExactMessage(EmailMessage):
    """A message whose body is one text, 8-bit octets as surrogates, written as it stands."""

    def get_payload(self, i: Any = None, decode: Any = False) -> Any:
        """Return the body; where the library would replace 8-bit octets, as it stands."""
        if i is None and not decode:
            return vars(self)["_payload"]  # a generator of a multipart writes what it gets here
        return super().get_payload(i, decode)

    def as_bytes(
        self,
        unixfrom: bool = False,
        policy: Any = None,
        linesep: str | None = None,  # noqa: ARG002
    ) -> bytes:
        """Return the octets of the mail.

        Django's SMTP backend names the ``linesep`` it wants; those of the mail
        are part of it, and stay.
        """
        return super().as_bytes(unixfrom, policy)
