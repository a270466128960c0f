"""Each kind of certificate as data: what a TOML file beside this one says.

For users: ``mailbox`` and ``internal`` for an organisation's own CA, ``mailbox-strict``,
``mailbox-multipurpose`` and ``sponsored`` as the S/MIME Baseline Requirements want them.
Each can be one certificate that signs and reads, or a pair of halves, ``.signing`` and
``.reading``. For machines ``tls-server``, ``ocsp-responder``, ``time-stamping``; for CAs
``root``, ``sub-ca``, ``issuing``, ``issuing-services``.

Floor:  profiles (uses errors, names and keys)
Source: RFC 5280 §4.2.1 for the extensions, RFC 8550 §4.4 for their values in mail;
        S/MIME Baseline Requirements §7.1 for the profiles that are named after them
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from functools import lru_cache
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, Self

from pki.errors import ProfileProblem, RequestRefused
from pki.keys import FAMILIES
from pki.names import ATTRIBUTES, checked_attribute
from smime.cms.algorithms import CAPABILITIES

if TYPE_CHECKING:
    from os import PathLike

__all__ = ["Profile"]

MAX_PROFILE_OCTETS = 65_536  # the longest shipped one has under 2,000

_USAGES = {
    "digitalSignature": 0,
    "contentCommitment": 1,
    "keyEncipherment": 2,
    "dataEncipherment": 3,
    "keyAgreement": 4,
    "keyCertSign": 5,
    "cRLSign": 6,
}
"""Each key usage and its bit (RFC 5280 §4.2.1.3)."""
_SIGNING = ("digitalSignature", "contentCommitment")
_READING = ("keyEncipherment", "dataEncipherment", "keyAgreement")
_CERTIFYING = ("keyCertSign", "cRLSign")
_POSSIBLE = {
    "rsa": {*_USAGES} - {"keyAgreement"},
    "ec": {*_USAGES} - {"keyEncipherment", "dataEncipherment"},
    "eddsa": {*_SIGNING, *_CERTIFYING},
    "xdh": {"keyAgreement"},
    "mldsa": {*_SIGNING, *_CERTIFYING},
    "mlkem": {"keyEncipherment"},
}
"""What a key of each family can do at all (RFC 3279 §2.3, 5480 §3, 8410 §5, 9881, 9935)."""
_PURPOSES = {
    "emailProtection": "1.3.6.1.5.5.7.3.4",
    "clientAuth": "1.3.6.1.5.5.7.3.2",
    "serverAuth": "1.3.6.1.5.5.7.3.1",
    "timeStamping": "1.3.6.1.5.5.7.3.8",
    "OCSPSigning": "1.3.6.1.5.5.7.3.9",
    "anyExtendedKeyUsage": "2.5.29.37.0",
}
_OID = re.compile(r"[0-2](\.(0|[1-9][0-9]{0,38})){1,30}", re.ASCII)
_COMMON_NAMES = ("name", "mailbox", "host", "required")
_NAMES = ("mail", "host", "none")
_CAPABILITIES = tuple(name for name, _ in CAPABILITIES)


@dataclass(frozen=True, slots=True)
class Profile:
    """What goes into one kind of certificate; a frozen value.

    >>> Profile.named("mailbox").key_usage["rsa"]
    ('digitalSignature', 'keyEncipherment')
    >>> Profile.named("mailbox").reading.key_usage["rsa"]
    ('keyEncipherment',)
    """

    key_usage: Mapping[str, tuple[str, ...]]
    """Key usages per family of key (``rsa ec eddsa xdh mldsa mlkem``); one that is not
    listed is not certified."""
    extended_key_usage: tuple[str, ...] = ()
    """Purposes, by name (``emailProtection``) or dotted OID; none means any purpose."""
    critical_purposes: bool = False
    """A reader that does not know the purposes must refuse (RFC 3161 §2.3)."""
    authority: bool = False
    """The certificate may certify others."""
    path_length: int | None = None
    """How many CAs may stand below a CA; None means any number."""
    policies: tuple[str, ...] = ()
    """Certificate policies, as dotted OIDs."""
    names: str = "mail"
    """What the alternative names hold: ``mail``, ``host``, or ``none`` for CAs and services."""
    common_name: str = "name"
    """The subject's: ``name`` (the person's, else the address), ``mailbox`` (the address,
    and no name), ``host``, or ``required`` (a name must be given)."""
    subject: Mapping[str, str] = field(default_factory=dict)
    """What every subject says: ``organization``, ``country`` and others of ``pki.names``."""
    subject_required: tuple[str, ...] = ()
    """What a subject must say. ``given_name|pseudonym`` is one of the two."""
    subject_allowed: tuple[str, ...] = ()
    """What else a subject may say."""
    capabilities: tuple[str, ...] = ()
    """Content ciphers that the holder's software opens, best first (RFC 4262)."""
    ocsp_no_check: bool = False
    """For OCSP responders: their own revocation is not asked for (RFC 6960 §4.2.2.2.1)."""
    baseline: bool = False
    """The S/MIME Baseline Requirements hold: their dates, a CRL address, large CA keys."""
    ca_rsa_bits_min: int = 3072
    """The least size of a CA's RSA key that certifies under this profile."""
    pair: bool = False
    """Two certificates are made for a user, one that signs and one that reads."""
    lint: str = ""
    """What the linter checks against before signing, if it is installed: ``pkix``, or
    ``mailbox-strict`` and the like; empty for none."""
    lifetime_days: int = 365
    max_lifetime_days: int = 825
    """The most that ``lifetime_days`` may be."""
    about: str = field(default="", compare=False)
    """One line for a person who chooses."""

    def __post_init__(self) -> None:
        self._demand(bool(self.key_usage), "names no key usage")
        for family, usages in self.key_usage.items():
            self._demand(
                family in FAMILIES, f"key usage for {family!r}, not one of {', '.join(FAMILIES)}"
            )
            self._demand(bool(usages), f"key usage for {family} is empty")
            for usage in usages:
                self._demand(usage in _USAGES, f"unknown key usage {usage!r}")
                self._demand(
                    usage in _POSSIBLE[family], f"a key of the family {family} has no {usage}"
                )
                self._demand(
                    self.authority or usage not in _CERTIFYING, f"{usage} is for CAs alone"
                )
        for purpose in self.extended_key_usage:
            self._demand(
                purpose in _PURPOSES or bool(_OID.fullmatch(purpose)),
                f"unknown extended key usage {purpose!r}",
            )
        for policy in self.policies:
            self._demand(bool(_OID.fullmatch(policy)), f"policy {policy!r} is no OID")
        for name in self.capabilities:
            self._demand(name in _CAPABILITIES, f"{name!r} is none of {', '.join(_CAPABILITIES)}")
        self._demand(self.names in _NAMES, f"names {self.names!r}, not one of {_NAMES}")
        self._demand(
            self.common_name in _COMMON_NAMES,
            f"common_name {self.common_name!r}, not one of {_COMMON_NAMES}",
        )
        for spoken in (*self.subject_required, *self.subject_allowed):
            for name in spoken.split("|"):
                self._demand(name in ATTRIBUTES, f"a subject has no {name!r}")
        for name, value in self.subject.items():
            try:
                checked_attribute(name, value)
            except RequestRefused as error:
                self._demand(False, str(error))
        self._demand(
            self.path_length is None or (self.authority and self.path_length >= 0),
            "a path length is a CA's, and not negative",
        )
        self._demand(
            0 < self.lifetime_days <= self.max_lifetime_days,
            f"{self.lifetime_days} days is not within 1 to {self.max_lifetime_days}",
        )
        # A frozen value must not change through the dicts it was made from.
        object.__setattr__(self, "key_usage", MappingProxyType(dict(self.key_usage)))
        object.__setattr__(self, "subject", MappingProxyType(dict(self.subject)))

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
        """Read TOML: the attributes of this class by name. Raises ``ProfileProblem``.

        ``based_on = "sponsored"`` begins with a shipped one, and changes what is named.
        """
        import tomllib

        if len(data) > MAX_PROFILE_OCTETS:
            raise ProfileProblem(f"a profile of more than {MAX_PROFILE_OCTETS} octets")
        try:
            table = tomllib.loads(data.decode())
        except ValueError as error:
            raise ProfileProblem(f"profile: not TOML: {error}") from error
        values: dict[str, Any] = {"key_usage": {}}
        if "based_on" in table:
            base = cls.named(_value("based_on", table.pop("based_on")))
            values = {one.name: getattr(base, one.name) for one in fields(cls)}
        values |= {name: _value(name, value) for name, value in table.items()}
        return cls(**values)

    @classmethod
    def named(cls, name: str) -> Profile:
        """One of the shipped ones. Raises ``ProfileProblem`` with their names."""
        return _shipped(name)

    @classmethod
    def shipped(cls) -> tuple[str, ...]:
        """Give the names of the shipped ones."""
        return _shipped_names()

    def lasting(self, days: int) -> Profile:
        """Give the same profile with another lifetime, within its maximum."""
        return replace(self, lifetime_days=days)

    def speaking_for(self, **subject: str) -> Profile:
        """Give the same profile with these in every subject: ``organization="Example"``."""
        return replace(self, subject={**self.subject, **subject})

    @property
    def signing(self) -> Profile:
        """The half of a pair that signs. Raises ``ProfileProblem`` if nothing signs."""
        return self._half(_SIGNING)

    @property
    def reading(self) -> Profile:
        """The half of a pair that is written to. Raises ``ProfileProblem`` if nothing reads."""
        return self._half(_READING)

    def _half(self, usages: tuple[str, ...]) -> Profile:
        kept = {
            family: tuple(usage for usage in mine if usage in usages)
            for family, mine in self.key_usage.items()
        }
        return replace(
            self,
            key_usage={family: usages for family, usages in kept.items() if usages},
            capabilities=self.capabilities if usages is _READING else (),
            pair=False,
        )

    @property
    def reads(self) -> bool:
        """Some certificate of this profile can be written to."""
        return any(usage in _READING for usages in self.key_usage.values() for usage in usages)

    def usage_bits(self, family: str) -> int | None:
        """Key usages as bits, digitalSignature lowest; None if the family is not certified."""
        usages = self.key_usage.get(family)
        return None if usages is None else sum(1 << _USAGES[usage] for usage in usages)

    @property
    def purposes(self) -> tuple[str, ...]:
        """Extended key usages as dotted OIDs."""
        return tuple(_PURPOSES.get(purpose, purpose) for purpose in self.extended_key_usage)


_SHAPES: dict[str, type] = {
    "about": str,
    "authority": bool,
    "based_on": str,
    "baseline": bool,
    "ca_rsa_bits_min": int,
    "capabilities": list,
    "common_name": str,
    "critical_purposes": bool,
    "extended_key_usage": list,
    "key_usage": dict,
    "lifetime_days": int,
    "lint": str,
    "max_lifetime_days": int,
    "names": str,
    "ocsp_no_check": bool,
    "pair": bool,
    "path_length": int,
    "policies": list,
    "subject": dict,
    "subject_allowed": list,
    "subject_required": list,
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
    if name == "subject" and isinstance(value, dict):
        return dict(zip(value, _texts(name, list(value.values())), strict=True))
    if isinstance(value, dict):
        return {family: _texts(name, usages) for family, usages in value.items()}
    return _texts(name, value) if isinstance(value, list) else value


def _texts(name: str, value: object) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise ProfileProblem(f"profile: {name} is not a list of texts")
    return tuple(value)


@lru_cache(maxsize=1)
def _shipped_names() -> tuple[str, ...]:
    from importlib.resources import files

    folder = files("pki") / "profiles"
    return tuple(
        sorted(f.name.removesuffix(".toml") for f in folder.iterdir() if ".toml" in f.name)
    )


@lru_cache(maxsize=32)
def _shipped(name: str) -> Profile:
    from importlib.resources import files

    names = _shipped_names()
    if name not in names:
        raise ProfileProblem(f"no profile {name!r}", hint=f"there are {', '.join(names)}")
    return Profile.parse((files("pki") / "profiles" / f"{name}.toml").read_bytes())
