"""What ``by=``, ``to=`` and ``keys=`` take in ``smime.cms``: objects by their shape.

An ``Identity`` brings ``signing_key`` and ``opening_keys``, a ``Recipient`` its
``recipient_key``; a certificate, a private key, or what signs with a key kept
elsewhere, will do as well, and a secret that both sides share. A str never does.

Floor:  cms (uses errors, policy)
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import Any

    from smime.cms.recipients import Key, Reader
    from smime.cms.signed import SigningKey
    from smime.policy import Policy

__all__ = [
    "of_rsa",
    "opening_keys",
    "opening_keys_of",
    "recipient_keys_of",
    "signing_keys_of",
    "sole_cipher",
]

_IDENTITY = "smime.Identity.load('alice.p12')"
_RECIPIENT = "smime.Recipient.load('bob.pem')"


def signing_keys_of(by: Any, at: datetime, policy: Policy) -> list[SigningKey]:
    """Return the keys that sign; each may, at this moment.

    Raises ``TypeError``, ``ValueError`` if there is none, and ``KeyProblem``.
    """
    found = [_signing_key(one) for one in _several(by, "by", "an Identity", _IDENTITY)]
    if not found:
        raise ValueError("by= is empty: a signature needs at least one Identity")
    for one in found:
        one.fitness.check_signs(at, policy)
    return found


def _signing_key(given: Any) -> SigningKey:
    from smime.cms.signed import SigningKey

    if isinstance(given, SigningKey):
        return given
    if isinstance(getattr(type(given), "signing_key", None), property):
        ready: SigningKey = given.signing_key
        return ready
    if callable(getattr(given, "sign", None)) and hasattr(given, "certificate"):
        return SigningKey(given, given.certificate, getattr(given, "chain", ()))
    raise _refusal(given, "by", "an Identity", _IDENTITY)


def recipient_keys_of(
    to: Any, at: datetime, policy: Policy
) -> tuple[list[Reader], list[tuple[str, ...]]]:
    """Return whom to seal for, each once, and what each is known to read.

    Raises ``TypeError``, ``ValueError`` if there is none, and ``KeyProblem``.
    """
    found: dict[object, Reader] = {}
    capabilities = []
    for one in _several(to, "to", "a Recipient", _RECIPIENT):
        key = getattr(one, "recipient_key", None)  # the ordinary case, thousands at times
        key, known = (key, one.capabilities) if key is not None else _recipient_key(one)
        name = getattr(key, "identifier", None) or key
        if name not in found:
            fitness = getattr(key, "fitness", None)  # of a shared secret there is none
            if fitness is not None:
                fitness.check_reads(at, policy)
            found[name] = key
            capabilities.append(known)
    if not found:
        raise ValueError("to= is empty: nobody could read the content")
    return list(found.values()), capabilities


def of_rsa(
    readers: Sequence[Reader], capabilities: Sequence[tuple[str, ...]]
) -> Iterator[tuple[str, ...]]:
    """Yield what the readers with RSA keys are known to read: key transport is theirs alone."""
    return (one for key, one in zip(readers, capabilities, strict=True) if key.kind == "rsa")


def _recipient_key(given: Any) -> tuple[Reader, tuple[str, ...]]:
    from smime.cms.recipients import RecipientKey
    from smime.cms.shared_keys import ContentKey, Passphrase, SharedKey

    if isinstance(given, (RecipientKey, SharedKey, Passphrase, ContentKey)):
        return given, ()
    if isinstance(getattr(type(given), "recipient", None), property):
        return given.recipient.recipient_key, given.recipient.capabilities
    if hasattr(given, "tbs_certificate_bytes"):
        return RecipientKey(given), ()
    raise _refusal(given, "to", "a Recipient", _RECIPIENT)


def sole_cipher(readers: Sequence[Reader], policy: Policy) -> str:
    """Return the cipher that a lone ``ContentKey`` asks for, and nothing without one.

    Raises ``ValueError`` where it is not alone, or is for another cipher than the policy's.
    """
    if "content key" not in {one.kind for one in readers}:
        return ""
    first = next(one for one in readers if one.kind == "content key")
    from smime.cms.shared_keys import ContentKey

    assert isinstance(first, ContentKey)
    if len(readers) > 1:
        raise ValueError("a ContentKey stands alone in to=: EncryptedData names no readers")
    return first.cipher(policy.cipher)


def opening_keys_of(keys: Any) -> list[Key]:
    """Return what may open; raises ``TypeError``."""
    found: list[Key] = []
    for one in _several(keys, "keys", "an Identity", _IDENTITY):
        opening = opening_keys(one)
        if opening is None:
            raise _refusal(one, "keys", "an Identity", _IDENTITY)
        found += opening
    return found


def opening_keys(given: Any) -> tuple[Key, ...] | None:
    """Return the keys of one object, or None for what does not open.

    An ``Identity`` has several, a private key, an ``Opener``, a ``SharedKey``
    or a ``Passphrase`` one.
    """
    from smime.cms.recipients import OpeningKey
    from smime.cms.shared_keys import ContentKey, Passphrase, SharedKey

    if isinstance(given, (OpeningKey, SharedKey, Passphrase, ContentKey)):
        return (given,)
    if isinstance(getattr(type(given), "opening_keys", None), property):
        ready: tuple[Key, ...] = given.opening_keys
        return ready
    if callable(getattr(given, "private_bytes", None)) and hasattr(given, "public_key"):
        return (OpeningKey(given, None),)
    from smime.cms.kept import KeptKey, is_opener

    return (KeptKey(given),) if is_opener(given) else None


def _several(given: Any, name: str, kind: str, line: str) -> Iterable[Any]:
    if given is None or isinstance(given, (str, bytes, bytearray, memoryview)):
        raise _refusal(given, name, kind, line)
    if hasattr(given, "__fspath__"):
        raise _refusal(given, name, kind, line)
    return given if hasattr(given, "__iter__") else (given,)


def _refusal(given: Any, name: str, kind: str, line: str) -> TypeError:
    return TypeError(f"{name}= takes {kind} or several, not {type(given).__name__}: {line}")
