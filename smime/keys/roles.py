"""What ``by=``, ``to=`` and ``keys=`` take: one or several, never a str.

Each refusal is a ``TypeError`` that holds the line to type instead.

Floor:  keys
"""

from __future__ import annotations

from smime.keys.identity import Identity, is_private_key
from smime.keys.recipient import Recipient

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any

    from smime.cms.recipients import Key
    from smime.keys import Addressee, Reader, Sender

__all__ = ["opening_keys_of", "recipients_of", "signers_of"]

_LOAD_IDENTITY = "smime.Identity.load('alice.p12')"
_LOAD_RECIPIENT = "smime.Recipient.load('bob.pem')"


def signers_of(by: Sender | Sequence[Sender]) -> tuple[Identity, ...]:
    """Return the identities that sign.

    ``by`` is an ``Identity``, any object with ``certificate`` and ``sign()``,
    or a sequence of them. Raises ``TypeError`` for anything else and
    ``ValueError`` if there is none.
    """
    if _is_signer(by):
        return (_signer(by),)
    signers = tuple(_signer(one) for one in _several(by, "by", "an Identity", _LOAD_IDENTITY))
    if not signers:
        raise ValueError("by= is empty: a signature needs at least one Identity")
    return signers


def recipients_of(to: Addressee | Iterable[Addressee]) -> tuple[Recipient, ...]:
    """Return whom to write to.

    ``to`` is a ``Recipient``, an ``Identity`` (its encryption certificate), an
    ``x509.Certificate`` or an iterable of them. Raises ``TypeError`` for
    anything else and ``ValueError`` if there is none.
    """
    if _is_addressee(to):
        return (_recipient(to),)
    readers = tuple(_recipient(one) for one in _several(to, "to", "a Recipient", _LOAD_RECIPIENT))
    if not readers:
        raise ValueError("to= is empty: nobody could read the mail")
    return readers


def opening_keys_of(keys: Reader | Iterable[Reader]) -> tuple[Key, ...]:
    """Return what may open: empty if ``keys`` is empty.

    ``keys`` is an ``Identity`` (all of its keys), a private key of
    ``cryptography``, an ``Opener``, a ``SharedKey`` or ``Passphrase`` of
    ``smime.cms``, or an iterable of them. Raises ``TypeError`` for anything else.
    """
    if isinstance(keys, Identity):
        return keys.opening_keys
    if isinstance(keys, tuple) and not keys:
        return ()
    from smime.cms.roles import opening_keys

    alone = None if hasattr(keys, "__iter__") else _named(opening_keys(keys))
    if alone is not None:
        return alone
    found: list[Key] = []
    for one in _several(keys, "keys", "an Identity", _LOAD_IDENTITY):
        opening = _named(opening_keys(one))
        if opening is None:
            raise _refusal(one, "keys", "an Identity", _LOAD_IDENTITY)
        found += opening
    return tuple(found)


def _named(keys: tuple[Key, ...] | None) -> tuple[Key, ...] | None:
    """Say for reports whose key it is that is kept elsewhere: its certificate tells."""
    from smime.cms.kept import KeptKey
    from smime.keys.address import certificate_addresses

    for key in keys or ():
        if isinstance(key, KeptKey) and key.certificate is not None and not key.label:
            key.label = ", ".join(certificate_addresses(key.certificate))
    return keys


def _several(given: Any, name: str, kind: str, line: str) -> Iterable[Any]:
    """Return ``given`` if it is a collection of objects; ``line`` is what to type instead."""
    if given is None or isinstance(given, (str, bytes, bytearray, memoryview)) or _is_path(given):
        raise TypeError(f"{name}= takes {kind}, not {_kind(given)}: {line}")
    if isinstance(given, Recipient) or not hasattr(given, "__iter__"):
        raise _refusal(given, name, kind, line)
    members: Iterable[Any] = given
    return members


def _refusal(given: Any, name: str, kind: str, line: str) -> TypeError:
    if isinstance(given, Recipient) or _is_certificate(given):
        verb = {"by": "sign", "keys": "open"}.get(name, "be used")
        return TypeError(
            f"{name}= takes {kind}: a certificate cannot {verb}, its private key is needed: {line}"
        )
    if is_private_key(given):
        return TypeError(f"{name}= takes {kind}, not a bare key: smime.Identity(key, certificate)")
    return TypeError(f"{name}= takes {kind}, not {_kind(given)}: {line}")


def _kind(given: Any) -> str:
    if given is None:
        return "None"
    name = type(given).__name__
    return f"{'an' if name[:1].lower() in 'aeiou' else 'a'} {name}"


def _is_path(given: Any) -> bool:
    return hasattr(given, "__fspath__")


def _is_certificate(given: Any) -> bool:
    return hasattr(given, "tbs_certificate_bytes")


def _is_signer(given: Any) -> bool:
    return isinstance(given, Identity) or (
        callable(getattr(given, "sign", None)) and hasattr(given, "certificate")
    )


def _is_addressee(given: Any) -> bool:
    return isinstance(given, (Recipient, Identity)) or _is_certificate(given)


def _signer(given: Any) -> Identity:
    if isinstance(given, Identity):
        return given
    if _is_signer(given):
        return Identity(given, given.certificate, getattr(given, "chain", ()))
    raise _refusal(given, "by", "an Identity", _LOAD_IDENTITY)


def _recipient(given: Any) -> Recipient:
    if isinstance(given, Recipient):
        return given
    if isinstance(given, Identity):
        return given.recipient
    if _is_certificate(given):
        return Recipient(given)
    raise _refusal(given, "to", "a Recipient", _LOAD_RECIPIENT)
