"""A mail taken apart as its policy asks: what is protected, and what stays outside.

Floor:  formats (uses mime, policy)
Source: RFC 9788 §3, §5; RFC 4130 §5.2 for AS2
"""

from __future__ import annotations

from smime.formats.smime import PKCS7_MIME
from smime.mime.headers import divide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.mime.entity import Entity
    from smime.policy import Policy

__all__ = ["divided", "is_exact"]

_WRAPPERS = ("multipart/signed", "multipart/encrypted", *PKCS7_MIME)


def is_exact(entity: Entity, policy: Policy) -> bool:
    """AS2: the entity is protected octet by octet (RFC 4130 §5.2)."""
    return (
        policy.headers == "none"
        and policy.line_ends == "exact"
        and all(f.key.startswith("content-") or f.key == "mime-version" for f in entity.fields)
    )


def divided(
    entity: Entity, policy: Policy, mode: str, travels: bool = True
) -> tuple[bytes, bytes, bytes]:
    """Return (entity to protect, fields outside, fields outside when it is sealed).

    ``mode`` and ``travels`` are those of ``divide``, which says what is raised.
    """
    if policy.headers == "none":
        if is_exact(entity, policy):
            return entity.raw, b"", b""
        mode = "none"
    elif mode == "cipher" and _is_wrapped(entity):
        mode = "none"  # protected already: what is inside says what it protects
    found = divide(
        entity,
        mode=mode,
        travels=travels,
        shy=policy.headers == "shy",
        hidden=policy.hidden,
        legacy=policy.legacy_display,
    )
    return found.inner, found.outer, found.sealed_outer if mode == "cipher" else found.outer


def _is_wrapped(entity: Entity) -> bool:
    # Most mails are not: no field is read to say so.
    return (entity.mentions(b"multipart/") or entity.mentions(b"pkcs7-mime")) and (
        entity.get("content-type") or ""
    ).lower().startswith(_WRAPPERS)
