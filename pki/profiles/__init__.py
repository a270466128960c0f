"""Each kind of certificate as data: what a TOML file beside this one says.

``root`` and ``issuing`` are for CAs; ``mailbox`` is what users get; ``signing`` and
``encryption`` are its two halves for those who keep them apart.

Floor:  profiles (uses errors)
Source: RFC 5280 §4.2.1 for the extensions, RFC 8550 §4.4 for their values in mail
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from pki.errors import ProfileProblem

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Profile"]

MAX_PROFILE_OCTETS = 65_536  # the longest shipped one has under 1,000

_USAGES = {
    "digitalSignature": "digital_signature",
    "contentCommitment": "content_commitment",
    "keyEncipherment": "key_encipherment",
    "dataEncipherment": "data_encipherment",
    "keyAgreement": "key_agreement",
    "keyCertSign": "key_cert_sign",
    "cRLSign": "crl_sign",
}
_PURPOSES = {
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "anyExtendedKeyUsage": "2.5.29.37.0",
}
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,38})){1,30}", re.ASCII)
_FAMILIES = ("rsa", "ec")


@dataclass(frozen=True, slots=True)
class Profile:
    """What goes into one kind of certificate; a frozen value.

    >>> Profile.named("mailbox").key_usage["rsa"]
    ('digitalSignature', 'keyEncipherment')
    """

    key_usage: Mapping[str, tuple[str, ...]]
    """Key usages per family of key, ``rsa`` and ``ec``; a family not listed is not certified."""
    extended_key_usage: tuple[str, ...] = ()
    """Purposes, by name (``emailProtection``) or dotted OID; none means any purpose."""
    authority: bool = False
    """The certificate may certify others."""
    path_length: int | None = None
    """How many CAs may stand below a CA; None means any number."""
    policies: tuple[str, ...] = ()
    """Certificate policies, as dotted OIDs."""
    lifetime_days: int = 365
    max_lifetime_days: int = 825
    """The most that ``lifetime_days`` may be."""
    about: str = field(default="", compare=False)
    """One line for a person who chooses."""

    def __post_init__(self) -> None:
        self._demand(bool(self.key_usage), "names no key usage")
        for family, usages in self.key_usage.items():
            self._demand(family in _FAMILIES, f"key usage for {family!r}, not rsa or ec")
            self._demand(bool(usages), f"key usage for {family} is empty")
            for usage in usages:
                self._demand(usage in _USAGES, f"unknown key usage {usage!r}")
        for purpose in self.extended_key_usage:
            self._demand(
                purpose in _PURPOSES or bool(_OID.fullmatch(purpose)),
                f"unknown extended key usage {purpose!r}",
            )
        for policy in self.policies:
            self._demand(bool(_OID.fullmatch(policy)), f"policy {policy!r} is no OID")
        self._demand(
            self.path_length is None or (self.authority and self.path_length >= 0),
            "a path length is a CA's, and not negative",
        )
        self._demand(
            0 < self.lifetime_days <= self.max_lifetime_days,
            f"{self.lifetime_days} days is not within 1 to {self.max_lifetime_days}",
        )
        # A frozen value must not change through the dict it was made from.
        object.__setattr__(self, "key_usage", MappingProxyType(dict(self.key_usage)))

    @staticmethod
    def _demand(holds: bool, problem: str) -> None:
        if not holds:
            raise ProfileProblem(f"profile: {problem}")

    @classmethod
    def load(cls, path: PathLike[str] | str) -> Self:
        """Read a TOML file. Raises ``ProfileProblem``, and ``OSError`` from the file system."""
        with open(path, "rb") as file:
            return cls.parse(file.read(MAX_PROFILE_OCTETS + 1))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read TOML: the attributes of this class by name. Raises ``ProfileProblem``."""
        import tomllib

        if len(data) > MAX_PROFILE_OCTETS:
            raise ProfileProblem(f"a profile of more than {MAX_PROFILE_OCTETS} octets")
        try:
            table = tomllib.loads(data.decode())
        except ValueError as error:
            raise ProfileProblem(f"profile: not TOML: {error}") from error
        values = {name: _value(name, value) for name, value in table.items()}
        return cls(**{"key_usage": {}, **values})

    @classmethod
    def named(cls, name: str) -> Profile:
        """One of the shipped ones: ``root issuing mailbox signing encryption``."""
        return _shipped(name)

    def lasting(self, days: int) -> Profile:
        """Give the same profile with another lifetime, within its maximum."""
        return replace(self, lifetime_days=days)

    def usage_flags(self, family: str) -> dict[str, bool] | None:
        """Arguments for ``x509.KeyUsage``; None if this family of keys is not certified."""
        usages = self.key_usage.get(family)
        if usages is None:
            return None
        flags = {flag: usage in usages for usage, flag in _USAGES.items()}
        return {**flags, "encipher_only": False, "decipher_only": False}

    @property
    def purposes(self) -> tuple[str, ...]:
        """Extended key usages as dotted OIDs."""
        return tuple(_PURPOSES.get(purpose, purpose) for purpose in self.extended_key_usage)


_SHAPES: dict[str, type] = {
    "about": str,
    "authority": bool,
    "extended_key_usage": list,
    "key_usage": dict,
    "lifetime_days": int,
    "max_lifetime_days": int,
    "path_length": int,
    "policies": list,
}


def _value(name: str, value: object) -> Any:
    """Give one value of a TOML table the type that ``Profile`` wants."""
    shape = _SHAPES.get(name)
    if shape is None:
        raise ProfileProblem(
            f"profile: unknown name {name!r}", hint=f"known are {', '.join(_SHAPES)}"
        )
    if type(value) is not shape:  # exact: a TOML boolean is an int to isinstance
        raise ProfileProblem(f"profile: {name} is not a {shape.__name__}")
    if isinstance(value, dict):
        return {family: _texts(name, usages) for family, usages in value.items()}
    return _texts(name, value) if isinstance(value, list) else value


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ProfileProblem(f"profile: {name} is not a list of texts")
    return tuple(value)


@lru_cache(maxsize=16)
def _shipped(name: str) -> Profile:
    from importlib.resources import files

    folder = files("pki") / "profiles"
    names = sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if ".toml" in f.name)
    if name not in names:
        raise ProfileProblem(f"no profile {name!r}", hint=f"there are {', '.join(names)}")
    return Profile.parse((folder / f"{name}.toml").read_bytes())
