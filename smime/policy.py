"""Which algorithms, sizes and proofs are accepted: a frozen value, passed in.

A policy names what is written and what is believed when read. The default is
the safe choice; whoever wants a weaker one names it at the call, for instance
``policy=Policy.legacy_read()``.

Floor:  policy (uses errors)
Source: RFC 8551 §2 for the algorithms, RFC 8550 §4 for keys and certificates
"""

from __future__ import annotations

from datetime import UTC, datetime
from enum import StrEnum

from smime import choices

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence
    from typing import Any, Self

__all__ = ["Policy", "Revocation", "moment"]

CONTENT_CIPHERS = (
    *("aes-256-cbc", "aes-192-cbc", "aes-128-cbc", "aes-256-gcm", "aes-192-gcm", "aes-128-gcm"),
    *("aes-256-ccm", "aes-192-ccm", "aes-128-ccm", "chacha20-poly1305"),
)
CONTENT_KEYS = ("plain", "derived")
DIGESTS = ("sha256", "sha384", "sha512")
KEY_TRANSPORTS = ("rsa-v15", "rsa-oaep")
HEADER_POLICIES = ("baseline", "shy", "none")
NEVER_HIDDEN = frozenset({"date", "from", "mime-version"})  # no mail is delivered without them
READERS = ("given", "named")
SIGNATURES = ("rsa-v15", "rsa-pss")
WEAK = (
    *("sha1", "md5", "3des-cbc", "rc2-128-cbc", "no-attributes", "dsa"),
    *("gcm-in-enveloped", "loose"),
)

_WEAK_SIGNATURES = frozenset({"sha1", "md5", "no-attributes", "dsa", "loose"})

_CHOICES: dict[str, tuple[str, ...]] = {
    "digest": ("auto", *DIGESTS),
    "signature": ("auto", *SIGNATURES),
    "cipher": ("auto", "auto-gcm", *CONTENT_CIPHERS),
    "content_key": ("auto", *CONTENT_KEYS),
    "key_transport": ("auto", *KEY_TRANSPORTS),
    "headers": HEADER_POLICIES,
    "line_ends": ("repair", "exact"),
    "local_part": ("exact", "any-case"),
    "readers": READERS,
}
_MICALG = {
    "sha256": "sha-256",
    "sha384": "sha-384",
    "sha512": "sha-512",
    "sha1": "sha-1",
    "md5": "md5",
    # Ed448 has no name that is settled; strict readers fail on any (RFC 8419 gives none).
    "shake256": "shake256",
}


def moment(at: datetime | None, name: str = "at") -> datetime:
    """Return the moment meant by ``at=``, or the argument ``name``: now if it is None, in UTC.

    Raises ``ValueError`` for a time without a zone, ``TypeError`` for anything else.
    """
    if at is None:
        return datetime.now(UTC)
    if not isinstance(at, datetime):
        raise TypeError(f"{name}= takes a datetime with a time zone, not {type(at).__name__}")
    if at.tzinfo is None:
        raise ValueError(f"{name}={at.isoformat()} has no time zone: add tzinfo=datetime.UTC")
    return at.astimezone(UTC)


class Revocation(StrEnum):
    """What is demanded of a certificate's revocation status."""

    REQUIRE = "require"
    """A certificate whose status is unknown is refused."""
    IF_AVAILABLE = "if-available"
    """Revoked is never good; unknown is good and said."""
    OFF = "off"
    """Nothing is looked at."""


class Policy:
    """Which algorithms, sizes and proofs are accepted: a frozen value.

    Make one with ``modern()``, ``rfc8551()``, ``edi_energy()``, ``as2()`` or
    ``legacy_read()`` and change single fields with ``replace()``. Two policies
    with equal fields are equal.

    Written:

    - ``digest``: ``auto`` (by the key: SHA-384 for P-384, SHA-512 for P-521,
      else SHA-256), ``sha256``, ``sha384`` or ``sha512``. Keys that fix their
      digest (Ed25519, Ed448, ML-DSA, restricted RSASSA-PSS keys) keep it.
    - ``signature``: for RSA signers, ``auto`` (PKCS#1 v1.5, which every client
      reads; RSASSA-PSS for keys that do nothing else), ``rsa-v15`` (the same)
      or ``rsa-pss`` (salt as long as the digest).
    - ``cades``: sign the signer's certificate too (signingCertificateV2), as
      CAdES-B-B asks.
    - ``cipher``: ``auto`` (AES-256-CBC unless every recipient is known to
      read AES-GCM), ``auto-gcm`` (AES-256-GCM unless a recipient is known not to
      read it), ``aes-256-cbc``, ``aes-256-gcm`` or ``aes-256-ccm``, the same
      with 192 or 128 bits, or ``chacha20-poly1305``. AES-CCM holds the whole
      content in memory, less than 16 MiB.
    - ``content_key``: ``plain`` (the key that recipients get is the cipher's),
      ``derived`` (it is derived for this cipher, RFC 9709, so that nobody can pass
      AES-GCM content off as AES-CBC) or ``auto`` (derived if every recipient is
      known to read that).
    - ``key_transport``: for RSA recipients, ``auto`` (PKCS#1 v1.5, which
      every client reads, unless all are known to read OAEP), ``rsa-v15`` or
      ``rsa-oaep`` (with SHA-256).
    - ``compress``: the content is compressed (RFC 3274) before it is signed or
      sealed. Few mail programs read that; AS2 partners agree on it.
    - ``headers``: ``baseline`` (RFC 9788: a copy of the headers goes inside,
      and the subject is hidden when encrypting), ``shy`` (names before
      addresses and the time zone, too) or ``none``.
    - ``hidden``: names of more headers that are left out when encrypting, such
      as ``cc``; see ``Opened.reply_policy()``.
    - ``legacy_display``: when encrypting, repeat what is hidden at the top of
      the text, for readers that do not know RFC 9788.
    - ``readers``: ``given`` (mail is sealed for whoever is in ``to=``), or
      ``named`` (it is refused unless ``to=`` and the mail's To, Cc and Bcc name
      the same people).
    - ``receipts_to``: addresses to which readers are asked to send a signed
      receipt (RFC 2634) when signing.
    - ``micalg``: how the digest is spelled in ``multipart/signed``; empty for
      the names of RFC 8551 (``sha-256``).

    Read:

    - ``rsa_bits_min``, ``rsa_bits_max``: size of RSA keys, signers' and CAs'.
    - ``weak``: what is read although it is weak, by name: ``sha1``, ``md5``,
      ``3des-cbc``, ``rc2-128-cbc``, ``no-attributes`` (a signature without
      signed attributes), ``dsa``, ``gcm-in-enveloped`` (AES-GCM where only
      AES-CBC belongs, as some Go and Java programs write it), ``loose`` (an
      OpenPGP signature that not everybody takes: it is older than what its key says
      of itself, or over text with odd line ends).
    - ``weak_until``: what ``weak`` names of signatures, and RSA keys below 2048
      bits, count only at moments before this one: those given as ``at=`` or
      ``received_at=``. None for no such end.
    - ``line_ends``: ``repair`` (a bare LF may have been CRLF when it was
      signed) or ``exact``.
    - ``local_part``: ``exact`` (what stands before the @ in a certificate and
      in the mail must be the same, as RFC 5321 §2.4 has it), or ``any-case``:
      for servers that take Alice@ and alice@ for one mailbox.
    - ``revocation``: see ``Revocation``.

    Certificate policies (RFC 5280 §6.1.1), which few users need:

    - ``certificate_policies``: identifiers, dotted, of which the chain must be
      good for at least one; empty for any.
    - ``explicit_policy``: the chain must be good for some policy.
    - ``inhibit_policy_mapping``, ``inhibit_any_policy``: no CA of the chain
      may map one policy to another, or stand for all by anyPolicy.

    >>> Policy.modern().replace(cipher="aes-256-gcm").cipher
    'aes-256-gcm'
    """

    __slots__ = (
        "cades",
        "certificate_policies",
        "cipher",
        "compress",
        "content_key",
        "digest",
        "explicit_policy",
        "headers",
        "hidden",
        "inhibit_any_policy",
        "inhibit_policy_mapping",
        "key_transport",
        "legacy_display",
        "line_ends",
        "local_part",
        "micalg",
        "readers",
        "receipts_to",
        "revocation",
        "rsa_bits_max",
        "rsa_bits_min",
        "signature",
        "weak",
        "weak_until",
    )

    certificate_policies: frozenset[str]
    cades: bool
    cipher: str
    compress: bool
    content_key: str
    digest: str
    explicit_policy: bool
    headers: str
    inhibit_any_policy: bool
    inhibit_policy_mapping: bool
    hidden: frozenset[str]
    key_transport: str
    legacy_display: bool
    line_ends: str
    local_part: str
    micalg: str
    readers: str
    receipts_to: tuple[str, ...]
    revocation: Revocation
    rsa_bits_max: int
    rsa_bits_min: int
    signature: str
    weak: frozenset[str]
    weak_until: datetime | None

    def __init__(
        self,
        *,
        digest: str = "auto",
        cipher: str = "auto",
        key_transport: str = "auto",
        headers: str = "baseline",
        hidden: Iterable[str] = (),
        legacy_display: bool = False,
        micalg: str = "",
        rsa_bits_min: int = 2048,
        rsa_bits_max: int = 8192,
        weak: Iterable[str] = (),
        weak_until: datetime | None = None,
        line_ends: str = "repair",
        local_part: str = "exact",
        readers: str = "given",
        receipts_to: Iterable[str] = (),
        revocation: Revocation = Revocation.IF_AVAILABLE,
        certificate_policies: Iterable[str] = (),
        explicit_policy: bool = False,
        inhibit_policy_mapping: bool = False,
        inhibit_any_policy: bool = False,
        signature: str = "auto",
        cades: bool = False,
        content_key: str = "auto",
        compress: bool = False,
    ) -> None:
        given = {
            "digest": digest,
            "signature": signature,
            "cipher": cipher,
            "content_key": content_key,
            "key_transport": key_transport,
            "headers": headers,
            "line_ends": line_ends,
            "local_part": local_part,
            "readers": readers,
        }
        for name, value in given.items():
            if value not in _CHOICES[name]:
                choices = ", ".join(_CHOICES[name])
                raise ValueError(f"policy {name}={value!r}: choose one of {choices}")
        names = frozenset(one.lower() for one in hidden)
        if isinstance(hidden, str) or any(
            one in NEVER_HIDDEN or one.startswith("content-") for one in names
        ):
            raise ValueError(f"policy hidden={hidden!r}: several names, and none of From, Date")
        unknown = sorted(set(weak) - set(WEAK))
        if unknown:
            raise ValueError(f"policy weak={unknown}: choose from {', '.join(WEAK)}")
        if isinstance(certificate_policies, str):
            raise TypeError(f"certificate_policies= takes several: ({certificate_policies!r},)")
        wanted = frozenset(certificate_policies)
        for dotted in wanted:
            if not all(arc.isascii() and arc.isdigit() for arc in dotted.split(".")):
                raise ValueError(f"policy certificate_policies: {dotted!r} is no dotted identifier")
        given_all: dict[str, Any] = {
            **given,
            "hidden": names,
            "legacy_display": bool(legacy_display),
            "micalg": micalg,
            "receipts_to": _ascii_addresses(receipts_to),
            "rsa_bits_min": rsa_bits_min,
            "rsa_bits_max": rsa_bits_max,
            "weak": frozenset(weak),
            "weak_until": None if weak_until is None else moment(weak_until, "weak_until"),
            "revocation": Revocation(revocation),
            "certificate_policies": wanted,
            "explicit_policy": bool(explicit_policy or wanted),
            "inhibit_policy_mapping": bool(inhibit_policy_mapping),
            "inhibit_any_policy": bool(inhibit_any_policy),
            "cades": bool(cades),
            "compress": bool(compress),
        }
        for name, value in given_all.items():
            object.__setattr__(self, name, value)

    @classmethod
    def modern(cls) -> Self:
        """Return the default: what RFC 8551 asks for, as today's clients read it."""
        return cls()

    @classmethod
    def rfc8551(cls) -> Self:
        """Return a policy that seals as RFC 8551 §2.7.1 says, whatever clients do not read it yet.

        Recipients of whom nothing is known get AES-256-GCM, for S/MIME 4.0 demands
        that everybody reads it; several clients show an empty mail instead.
        """
        return cls(cipher="auto-gcm")

    @classmethod
    def edi_energy(cls) -> Self:
        """Return a policy for the German energy market (EDI@Energy, BDEW).

        RSASSA-PSS with SHA-256 and a salt as long, RSAES-OAEP with SHA-256 and
        MGF1 with the same, AES-128-GCM, which its rules ask for alone since October
        2025. Keys on brainpool curves, as the Smart Metering PKI has them, sign by
        ECDSA and read by ECDH. The subject, which names the file, stays outside.
        A partner who is not there yet: ``.replace(cipher="aes-128-cbc")``.
        """
        return cls(
            digest="sha256",
            signature="rsa-pss",
            key_transport="rsa-oaep",
            cipher="aes-128-gcm",
            content_key="plain",
            headers="none",
        )

    @classmethod
    def legacy_read(cls) -> Self:
        """Return a policy that also reads what is weak, for old archives only.

        That is SHA-1, MD5, 3DES, RC2, RSA from 1024 bits, and signatures without
        signed attributes: such signatures can be forged and such content
        altered today. Nothing weak is ever written under it.
        """
        return cls(weak=WEAK, rsa_bits_min=1024)

    @classmethod
    def as2(cls, *, micalg: str = "sha256") -> Self:
        """Return a policy for AS2 (RFC 4130): the entity is signed as it is.

        ``micalg`` is the spelling that the partner expects, ``sha256`` or
        ``sha-256``; the digest follows it.
        """
        plain = micalg.lower().replace("-", "")
        if plain not in DIGESTS:
            raise ValueError(f"micalg={micalg!r}: choose one of {', '.join(DIGESTS)}")
        return cls(digest=plain, micalg=micalg, headers="none", line_ends="exact")

    def replace(self, **changes: Any) -> Self:
        """Return a copy with the named fields changed."""
        unknown = sorted(set(changes) - set(self.__slots__))
        if unknown:
            raise TypeError(f"a policy has no field {', '.join(unknown)}")
        fields: dict[str, Any] = {name: getattr(self, name) for name in self.__slots__}
        return type(self)(**{**fields, **changes})

    def as_of(self, at: datetime) -> Self:
        """Return what of it holds for signatures at this moment; see ``weak_until``.

        >>> until = datetime(2017, 1, 1, tzinfo=UTC)
        >>> policy = Policy(weak=["sha1"], weak_until=until)
        >>> sorted(policy.as_of(until).weak), policy.as_of(datetime(2016, 1, 1, tzinfo=UTC)).weak
        ([], frozenset({'sha1'}))
        """
        if self.weak_until is None or at < self.weak_until:
            return self
        return self.replace(
            weak=self.weak - _WEAK_SIGNATURES,
            rsa_bits_min=max(self.rsa_bits_min, MODERN.rsa_bits_min),
            weak_until=None,
        )

    @property
    def asks_for_policies(self) -> bool:
        """Say whether a chain has to be held against certificate policies."""
        return self.explicit_policy or self.inhibit_policy_mapping or self.inhibit_any_policy

    def choose_cipher(self, capabilities: Iterable[Sequence[str]]) -> str:
        """Return the content cipher for recipients with these capabilities.

        ``capabilities`` holds one sequence per recipient, empty when nothing
        is known of it.
        """
        return choices.cipher_for(self.cipher, capabilities)

    def choose_transport(self, capabilities: Iterable[Sequence[str]]) -> str:
        """Return how content keys go to recipients with RSA keys and these capabilities."""
        return choices.transport_for(self.key_transport, capabilities)

    def derives_key(self, capabilities: Iterable[Sequence[str]]) -> bool:
        """Say whether the content key is derived, for recipients with these capabilities."""
        return choices.derives_for(self.content_key, capabilities)

    def explain(self, to: Iterable[Any], *, by: Any = None) -> str:
        """Say in words which algorithms these recipients would get, and why.

        ``by`` is the ``Identity`` that signs in ``protect``, which seals for it as
        well: it is known to read what its signed mails announce. The first line is of
        the content cipher, then its key, then a line for each.
        """
        return choices.explain(self, to, by)

    def micalg_names(self, digests: Iterable[str]) -> str:
        """Return the ``micalg`` parameter for these digests, without repeats.

        The policy's own spelling is used if it is of the digest that was used:
        keys that fix their digest do not follow the policy.
        """
        used = tuple(dict.fromkeys(digests))
        if self.micalg:
            meant = self.micalg.lower().replace("-", "")
            if meant not in _MICALG or used == (meant,):
                return self.micalg
        return ",".join([_MICALG[name] for name in used]) if len(used) > 1 else _MICALG[used[0]]

    def __setattr__(self, name: str, value: object) -> None:
        raise AttributeError(f"a policy is frozen: use replace({name}=...)")

    def __delattr__(self, name: str) -> None:
        raise AttributeError("a policy is frozen")

    def __reduce__(self) -> tuple[Any, ...]:
        fields = {name: getattr(self, name) for name in self.__slots__}
        return _rebuild, (type(self), fields)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Policy):
            return NotImplemented
        return all(getattr(self, name) == getattr(other, name) for name in self.__slots__)

    def __hash__(self) -> int:
        return hash(tuple(getattr(self, name) for name in self.__slots__))

    def __repr__(self) -> str:
        default = MODERN
        changed = [
            f"{name}={getattr(self, name)!r}"
            for name in self.__slots__
            if getattr(self, name) != getattr(default, name)
        ]
        return f"Policy({', '.join(changed)})"


def _ascii_addresses(given: Iterable[str]) -> tuple[str, ...]:
    found = tuple(given)
    if isinstance(given, str) or not all(one.isascii() and "@" in one for one in found):
        raise ValueError(f"policy receipts_to={given!r}: several ASCII addresses: ['a@b.example']")
    return found


def _rebuild(cls: type[Policy], fields: dict[str, Any]) -> Policy:
    return cls(**fields)


MODERN = Policy.modern()
