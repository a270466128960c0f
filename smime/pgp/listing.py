"""Keys as gpg lists them, with every self-signature and revocation and when each was made.

gpg says of a key what holds now. What held when a mail was signed follows from
its self-signatures and revocations, which ``--check-sigs`` lists after it
verified them.

Floor:  pgp (uses backend, status)
Source: GnuPG's doc/DETAILS, "Format of the colon listings"; RFC 9580 §5.2.3.31 for
        the reasons of a revocation
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime

from smime.pgp.backend import DIGESTS
from smime.pgp.status import moment_of

__all__ = ["KeyFacts", "Mark", "Subkey", "UserId", "read_listing"]

ALGORITHMS = {
    1: "rsa", 2: "rsa", 3: "rsa", 16: "elgamal", 17: "dsa", 18: "ecdh", 19: "ecdsa", 22: "eddsa",
    25: "x25519", 26: "x448", 27: "ed25519", 28: "ed448",
}  # fmt: skip
# Superseded, retired, and for a user ID no longer valid: what was signed before stays signed.
SOFT_REASONS = frozenset({1, 3, 32})

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)

_ESCAPE = re.compile(r"(?:\\x[0-9a-fA-F]{2})+")
_ADDRESS = re.compile(r"[^<>]*<([^<>\s]+)>\s*")
_BARE = re.compile(r"[^<>\s()]+@[^<>\s()]+")


@dataclass(frozen=True, slots=True)
class Mark:
    """A signature of the key over itself: made when, with which digest, holding until when."""

    made: datetime
    digest: str
    expires: datetime | None = None


@dataclass(frozen=True, slots=True)
class Revocation:
    """It takes back what it is on, from ``made`` on or, if ``hard``, from ever."""

    made: datetime
    hard: bool


@dataclass(frozen=True, slots=True)
class Subkey:
    """A primary key or a subkey."""

    fingerprint: str
    """40 or 64 digits, lower case."""
    key_id: str
    created: datetime
    expires: datetime | None
    algorithm: str
    bits: int
    capabilities: frozenset[str]
    """Of ``sign``, ``encrypt``, ``certify``, ``authenticate``."""
    marks: tuple[Mark, ...] = ()
    """What binds it to the primary key, newest first; of the primary key, all that it says
    of itself and its user IDs."""
    revocations: tuple[Revocation, ...] = ()
    bound_until: datetime | None = None
    """When what binds it ceases to hold; None for never."""
    usable: bool = True
    """gpg found no fault with it beyond expiry and revocation."""
    secret: bool = False
    """Its secret half is at hand, here or on a card."""

    def revoked_at(self, moment: datetime) -> bool:
        """Whether it was revoked at that moment, judged by all that is known now."""
        if any(one.hard for one in self.revocations):
            return True
        taken_back = [one.made for one in self.revocations if one.made <= moment]
        # Who binds it anew after a soft revocation takes that back.
        return bool(taken_back) and not any(
            max(taken_back) < one.made <= moment for one in self.marks
        )

    @property
    def ends(self) -> datetime | None:
        """When it ceases to be valid: itself, or what binds it."""
        both = (self.expires, self.bound_until)
        return min((one for one in both if one is not None), default=None)

    def state_at(self, moment: datetime) -> str:
        """Return ``valid``, ``revoked``, ``expired`` or ``unusable``."""
        if self.valid_at(moment):
            return "valid"
        if self.revoked_at(moment):
            return "revoked"
        return "expired" if self.ends is not None and self.ends <= moment else "unusable"

    def valid_at(self, moment: datetime) -> bool:
        return (
            self.usable
            and self.created <= moment
            and (self.ends is None or moment < self.ends)
            and not self.revoked_at(moment)
        )


@dataclass(frozen=True, slots=True)
class UserId:
    """A name of the key, most often with a mail address."""

    text: str
    address: str
    """The one address in it; empty if there is none, or it is not one."""
    marks: tuple[Mark, ...] = ()
    revocations: tuple[Revocation, ...] = ()
    vouched: bool = False
    """GnuPG takes it for the owner's, fully or ultimately, by what its user told it."""

    def valid_at(self, moment: datetime) -> bool:
        """Whether the key said so itself, and had not taken it back."""
        if not self.marks or any(one.hard for one in self.revocations):
            return False
        if self.marks[0].expires is not None and self.marks[0].expires <= moment:
            return False
        taken_back = [one.made for one in self.revocations if one.made <= moment]
        return not taken_back or any(max(taken_back) < one.made <= moment for one in self.marks)


@dataclass(frozen=True, slots=True)
class KeyFacts:
    """A key with its user IDs and subkeys; the primary key is the first of ``keys``."""

    keys: tuple[Subkey, ...]
    user_ids: tuple[UserId, ...]
    loose: frozenset[str] = frozenset()
    """Fingerprints of those of ``keys`` that nothing binds which can be read in one way only."""

    @property
    def secret(self) -> bool:
        """Some secret half is at hand."""
        return any(one.secret for one in self.keys)

    @property
    def primary(self) -> Subkey:
        return self.keys[0]

    @property
    def fingerprint(self) -> str:
        return self.keys[0].fingerprint

    def find(self, fingerprint: str) -> Subkey | None:
        """Return the key or subkey with this whole fingerprint."""
        return next((one for one in self.keys if one.fingerprint == fingerprint), None)

    def addresses_at(self, moment: datetime) -> tuple[str, ...]:
        """Return the addresses in user IDs that were valid at that moment, without repeats."""
        valid = (one.address for one in self.user_ids if one.address and one.valid_at(moment))
        return tuple(dict.fromkeys(valid))

    def encrypts_at(self, moment: datetime) -> Subkey | None:
        """Return the newest key to encrypt to at that moment."""
        if not self.primary.valid_at(moment):
            return None
        fit = [one for one in self.keys if "encrypt" in one.capabilities and one.valid_at(moment)]
        return max(fit, key=lambda one: one.created, default=None)

    def signs_at(self, moment: datetime) -> bool:
        """Whether some key of it may sign at that moment."""
        return self.primary.valid_at(moment) and any(
            "sign" in one.capabilities and one.valid_at(moment) for one in self.keys
        )


def address_of(user_id: str) -> str:
    """Return the mail address of a user ID, as it is spelled; empty if there is not exactly one.

    >>> address_of("Alice (at work) <alice@example.org>")
    'alice@example.org'
    >>> address_of("alice@example.org <mallory@example.net> <alice@example.org>")
    ''
    """
    match = _ADDRESS.fullmatch(user_id)
    found = match[1] if match else user_id if _BARE.fullmatch(user_id) else ""
    if found.count("@") != 1 or not found.isprintable() or found.strip("@") != found:
        return ""
    return found


class _Reader:
    """Collects the records of one key until the next begins."""

    def __init__(self) -> None:
        self.keys: list[KeyFacts] = []
        self._subkeys: list[tuple[list[str], str]] = []
        self._marks: list[tuple[list[Mark], list[Revocation]]] = []
        self._ids: list[tuple[list[str], list[Mark], list[Revocation]]] = []
        self._target: tuple[list[Mark], list[Revocation]] | None = None

    def read(self, fields: list[str]) -> None:
        kind = fields[0]
        if kind in ("pub", "sec", "sub", "ssb"):
            if kind in ("pub", "sec"):
                self.end()
            elif not self._subkeys:
                return
            self._subkeys.append((fields, ""))
            self._target = ([], [])
            self._marks.append(self._target)
        elif kind == "fpr" and self._subkeys and not self._subkeys[-1][1]:
            self._subkeys[-1] = (self._subkeys[-1][0], fields[9].lower())
        elif kind == "uid":
            self._target = ([], [])
            self._ids.append((fields, *self._target))
        elif kind == "uat":
            self._target = None
        elif kind in ("sig", "rev") and self._target is not None and self._subkeys:
            self._signature(kind, fields)

    def _signature(self, kind: str, fields: list[str]) -> None:
        made = moment_of(fields[5])
        mine = fields[4] == self._subkeys[0][0][4]
        if fields[1] != "!" or not mine or made is None or self._target is None:
            return
        marks, revocations = self._target
        if kind == "sig":
            digest = DIGESTS.get(int(fields[15]), "") if fields[15].isdigit() else ""
            marks.append(Mark(made, digest, moment_of(fields[6])))
        else:
            _, _, reason = fields[10].partition(",")
            soft = bool(re.fullmatch(r"[0-9a-f]{2}", reason)) and int(reason, 16) in SOFT_REASONS
            revocations.append(Revocation(made, not soft))

    def end(self) -> None:
        """Make the key of what was read."""
        of_names = [mark for _, marks, _ in self._ids for mark in marks]
        subkeys = [
            one
            for n, ((fields, fingerprint), (marks, revocations)) in enumerate(
                zip(self._subkeys, self._marks, strict=True)
            )
            if (
                one := _subkey(
                    fields,
                    fingerprint,
                    # The newest binds a subkey; a primary key stands as long as any of its own.
                    _newest_first(marks if n else marks + of_names),
                    revocations,
                    primary=n == 0,
                )
            )
            is not None
        ]
        primary_read = bool(subkeys) and subkeys[0].fingerprint == self._subkeys[0][1]
        if primary_read:
            user_ids = tuple(_user_id(*one) for one in self._ids)
            self.keys.append(KeyFacts(tuple(subkeys), user_ids))
        self._subkeys, self._marks, self._ids, self._target = [], [], [], None


def _user_id(fields: list[str], marks: list[Mark], revocations: list[Revocation]) -> UserId:
    text = _unescaped(fields[9])
    return UserId(
        text,
        address_of(text),
        _newest_first(marks),
        tuple(revocations),
        vouched=fields[1][:1] in ("f", "u"),
    )


def _subkey(
    fields: list[str],
    fingerprint: str,
    marks: tuple[Mark, ...],
    revocations: list[Revocation],
    *,
    primary: bool,
) -> Subkey | None:
    # Some keys say that they were made when time began.
    created = EPOCH if fields[5] == "0" else moment_of(fields[5])
    if created is None or not re.fullmatch(r"[0-9a-f]{40}|[0-9a-f]{64}", fingerprint):
        return None
    letters = {"s": "sign", "e": "encrypt", "c": "certify", "a": "authenticate"}
    number = int(fields[3]) if fields[3].isdigit() else 0
    return Subkey(
        fingerprint=fingerprint,
        key_id=fields[4].lower(),
        created=created,
        expires=moment_of(fields[6]),
        algorithm=ALGORITHMS.get(number, f"algorithm {number}"),
        bits=int(fields[2]) if fields[2].isdigit() else 0,
        # Capital letters speak of the key as a whole; small ones of this one.
        capabilities=frozenset(letters[one] for one in fields[11] if one in letters),
        marks=marks,
        revocations=tuple(revocations),
        bound_until=_end_of(marks if primary else marks[:1]),
        usable=fields[1][:1] not in ("i", "d"),
        secret=fields[0] in ("sec", "ssb") or fields[14] not in ("", "#"),
    )


def _end_of(marks: tuple[Mark, ...]) -> datetime | None:
    ends = [one.expires for one in marks if one.expires is not None]
    return max(ends) if ends and len(ends) == len(marks) else None


def _newest_first(marks: list[Mark]) -> tuple[Mark, ...]:
    return tuple(sorted(marks, key=lambda one: one.made, reverse=True))


def read_listing(output: bytes) -> tuple[KeyFacts, ...]:
    """Read what ``gpg --with-colons --check-sigs`` or ``--list-keys`` printed. Never raises."""
    reader = _Reader()
    for raw in output.split(b"\n"):
        fields = raw.decode("utf-8", "replace").split(":")
        if len(fields) > 9:
            reader.read([*fields, *[""] * (21 - len(fields))])
    reader.end()
    return tuple(reader.keys)


def _unescaped(text: str) -> str:
    def octets(match: re.Match[str]) -> str:
        return bytes.fromhex(match[0].replace("\\x", "")).decode("utf-8", "replace")

    return _ESCAPE.sub(octets, text)
