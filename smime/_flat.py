"""An ``email`` policy that writes headers exactly as they stand.

The policies of the library parse a header and write it anew: they insert
blanks, fold, and drop what they cannot parse. A mail that is signed must not
change on its way through an SMTP library, so headers are kept here as the
text after the colon, line end included, and written back as that.

Apart from ``mail`` because importing ``email.policy`` is dear.

Floor:  mail (used by mail alone)
"""

from __future__ import annotations

from email.policy import EmailPolicy
from typing import Any

__all__ = ["AS_IT_IS", "Verbatim"]


class Verbatim(str):
    """Header text after the colon, blanks and line end included."""

    __slots__ = ()


class _ExactPolicy(EmailPolicy):
    verify_generated_headers = False  # they are not generated, they are kept

    def header_fetch_parse(self, name: str, value: str) -> Any:
        if isinstance(value, Verbatim):
            value = str(value).strip()
        return super().header_fetch_parse(name, value)

    def fold(self, name: str, value: str) -> Any:
        if isinstance(value, Verbatim):
            return f"{name}:{value}"
        return super().fold(name, value)

    def fold_binary(self, name: str, value: str) -> bytes:
        if isinstance(value, Verbatim):
            return f"{name}:{value}".encode("ascii", "surrogateescape")
        return bytes(super().fold_binary(name, value))


AS_IT_IS = _ExactPolicy(linesep="\r\n", refold_source="none")
