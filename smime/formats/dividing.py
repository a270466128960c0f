"""What of an outgoing mail goes inside, and what stays outside, as the policy says.

Floor:  formats (uses mime, policy)
Source: RFC 9788 §5 for the headers; RFC 4130 §5.2 for what stays octet by octet
"""

from __future__ import annotations

from smime.formats import smime as form
from smime.mime.headers import divide

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.mime.entity import Entity
    from smime.policy import Policy

__all__ = ["divided", "is_exact", "mode_of"]

_WRAPPERS = ("multipart/signed", "multipart/encrypted", *form.PKCS7_MIME)


def is_exact(entity: Entity, policy: Policy) -> bool:
    """AS2: the entity is protected octet by octet (RFC 4130 §5.2)."""
    return (
        policy.headers == "none"
        and policy.line_ends == "exact"
        and all(f.key.startswith("content-") or f.key == "mime-version" for f in entity.fields)
    )


def divided(
    entity: Entity, policy: Policy, mode: str, travels: bool = True, *, bodiless: bool = False
) -> tuple[bytes, bytes, bytes]:
    """Return (entity to protect, fields outside, fields outside when it is sealed).

    ``bodiless``: its body lies elsewhere, written anew already.
    """
    if is_exact(entity, policy):
        return entity.raw, b"", b""
    mode = mode_of(entity, policy, mode)
    made = divide(
        entity,
        mode=mode,
        travels=travels,
        shy=policy.headers == "shy",
        hidden=policy.hidden,
        legacy=policy.legacy_display and not bodiless,
        bodiless=bodiless,
    )
    return made.inner, made.outer, made.sealed_outer if mode == "cipher" else made.outer


def mode_of(entity: Entity, policy: Policy, mode: str) -> str:
    """Return how header fields are protected, where ``mode`` is wished for."""
    if policy.headers == "none":
        return "none"
    # Protected already: what is inside says what it protects.
    return "none" if mode == "cipher" and _is_wrapped(entity) else mode


def _is_wrapped(entity: Entity) -> bool:
    # Most mails are not: no field is read to say so.
    return (entity.mentions(b"multipart/") or entity.mentions(b"pkcs7-mime")) and (
        entity.get("content-type") or ""
    ).lower().startswith(_WRAPPERS)
