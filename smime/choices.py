"""Which algorithms readers get, by what is known of them; and the same in words.

A reader is known by its capabilities, which its owner's software announced in
a signed mail. Nothing known is not the same as nothing possible: then what
every client reads is taken.

Floor:  policy (uses nothing)
Source: RFC 8551 §2.7.1 for the choice; RFC 3560 §5 and RFC 9709 §4 for capabilities
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from smime.policy import Policy

__all__ = ["cipher_for", "derives_for", "explain", "transport_for", "with_sender"]

# Most wanted first; what is not here is written only when the policy names it.
_CHOSEN = ("aes-256-gcm", "aes-128-gcm", "aes-256-cbc", "aes-192-cbc", "aes-128-cbc")
_EVERY_CLIENT = frozenset({"aes-256-cbc", "aes-192-cbc", "aes-128-cbc"})
_FALLBACK = "aes-256-cbc"


def cipher_for(wanted: str, capabilities: Iterable[Sequence[str]]) -> str:
    """Return the content cipher; ``wanted`` is a name, ``auto`` or ``auto-gcm``."""
    if wanted not in ("auto", "auto-gcm"):
        return wanted
    # RFC 8551 §2.7.1.2 counts who is not known as a reader of AES-256-GCM; several
    # clients show an empty mail instead.
    unknown = _EVERY_CLIENT | {"aes-256-gcm"} if wanted == "auto-gcm" else _EVERY_CLIENT
    readers = [_ciphers(one) or unknown for one in capabilities]
    for cipher in _CHOSEN:
        if readers and all(cipher in one for one in readers):
            return cipher
    return _FALLBACK


def _ciphers(capabilities: Sequence[str]) -> frozenset[str]:
    return frozenset(capabilities).intersection(_CHOSEN)


def transport_for(wanted: str, capabilities: Iterable[Sequence[str]]) -> str:
    """Return how content keys are encrypted for RSA keys: ``rsa-v15`` or ``rsa-oaep``.

    ``capabilities`` are of those readers who have such keys.
    """
    if wanted != "auto":
        return wanted
    return "rsa-oaep" if _all_say("rsa-oaep", capabilities) else "rsa-v15"


def derives_for(wanted: str, capabilities: Iterable[Sequence[str]]) -> bool:
    """Say whether the content key is derived (RFC 9709)."""
    if wanted != "auto":
        return wanted == "derived"
    return _all_say("cek-hkdf-sha256", capabilities)


def _all_say(name: str, capabilities: Iterable[Sequence[str]]) -> bool:
    known = False
    for one in capabilities:
        if name not in one:
            return False
        known = True
    return known


def with_sender(readers: Sequence[Any], own: Any, to_self: bool = True) -> tuple[Any, ...]:
    """Return the readers and the sender, who is known by ``own`` if nothing else is known of it."""
    found, there = [], False
    for one in readers:
        same = getattr(one, "certificate", one) == own.certificate
        there = there or same
        found.append(own if same and not getattr(one, "capabilities", ()) else one)
    return tuple(found) if there or not to_self else (*found, own)


def explain(policy: Policy, to: Iterable[Any], by: Any = None) -> str:
    """Say what these recipients get, and why: a line for the content, its key, and each of them.

    ``by`` is an ``Identity`` that signs, and reads too.
    """
    readers: Sequence[Any] = [getattr(one, "recipient", one) for one in to]
    if by is not None:
        readers = with_sender(readers, by.announcing)
    known = [tuple(getattr(one, "capabilities", ())) for one in readers]
    names = [", ".join(getattr(one, "addresses", ())) or "a recipient" for one in readers]
    cipher = cipher_for(policy.cipher, known)
    lines = [f"{cipher}: {_why_cipher(policy.cipher, cipher, known, names)}"]
    if cipher.endswith("-cbc"):
        lines.append("it has no tag that shows whether it was changed on the way: sign as well")
    lines.append(_key_line(policy.content_key, known))
    rsa = [
        can
        for one, can in zip(readers, known, strict=True)
        if getattr(_key(one), "kind", "") == "rsa"
    ]
    transport = transport_for(policy.key_transport, rsa)
    for one, name in zip(readers, names, strict=True):
        lines.append(f"{name}: {_way(one, transport, policy.key_transport)}")
    return "\n".join(lines)


def _why_cipher(
    wanted: str, cipher: str, known: Sequence[Sequence[str]], names: Sequence[str]
) -> str:
    if wanted not in ("auto", "auto-gcm"):
        return "named by the policy"
    if cipher.endswith("-gcm"):
        if all(cipher in one for one in known):
            return "every recipient says that it reads it"
        silent = [name for name, one in zip(names, known, strict=True) if not _ciphers(one)]
        return f"the policy counts on it; nothing is known of {'; '.join(silent)}"
    silent = [
        name
        for name, one in zip(names, known, strict=True)
        if not any(can.endswith("-gcm") for can in one)
    ]
    return f"AES-GCM is not known to be readable by {'; '.join(silent) or 'all of them alike'}"


def _key_line(wanted: str, known: Sequence[Sequence[str]]) -> str:
    derived = derives_for(wanted, known)
    if wanted != "auto":
        why = "named by the policy"
    elif derived:
        why = "every recipient says that it reads that"
    else:
        why = "not every recipient says that it reads derived ones"
    how = "derived for this cipher, RFC 9709" if derived else "plain"
    return f"content key: {how}; {why}"


_WAYS = {
    "ec": "ECDH",
    "x25519": "X25519",
    "x448": "X448",
    "ml-kem-768": "ML-KEM-768",
    "ml-kem-1024": "ML-KEM-1024",
}


def _key(reader: Any) -> Any:
    return getattr(reader, "recipient_key", reader)


def _way(reader: Any, transport: str, wanted: str) -> str:
    key = _key(reader)
    kind = getattr(key, "kind", "")
    if kind == "rsa":
        if transport == "rsa-oaep":
            why = (
                "every one with an RSA key says that it reads it"
                if wanted == "auto"
                else "by the policy"
            )
            return f"RSA, OAEP with SHA-256; {why}"
        return (
            f"RSA, PKCS #1 v1.5; {'by the policy' if wanted != 'auto' else 'every client reads it'}"
        )
    if kind == "ec":
        return f"ECDH on {key.curve}"
    return _WAYS.get(kind, "as its key asks")
