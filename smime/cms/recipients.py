"""RecipientInfos: the content key sealed for each reader, and got back by one.

Floor:  cms (uses errors)
Source: RFC 5652 §6.2; the kinds of recipients have modules of their own
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import ec, rsa
from cryptography.hazmat.primitives.serialization import Encoding

from smime.cms import agreement, transport
from smime.cms.algorithms import refuse_weak
from smime.cms.ber import definite
from smime.cms.der import SEQUENCE, SET, Indefinite, set_of, top
from smime.cms.names import (
    by_value,
    computed_identifier,
    issuer_and_serial,
    key_identifiers,
    serial_of,
)
from smime.cms.unwrapping import MAX_ROUNDS, Sealed
from smime.errors import DecryptionFailed, KeyProblem, LimitExceeded, MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from typing import Any, TypeAlias

    from cryptography import x509

    from smime.cms.der import Node
    from smime.cms.fitness import Fitness
    from smime.cms.shared_keys import ContentKey, Passphrase, SharedKey
    from smime.cms.transport import Padding
    from smime.cms.unwrapping import Opener
    from smime.policy import Policy

    Reader: TypeAlias = "RecipientKey | SharedKey | Passphrase | ContentKey"
    Key: TypeAlias = "OpeningKey | SharedKey | Passphrase | ContentKey"

__all__ = [
    "NOBODY",
    "OpeningKey",
    "RecipientKey",
    "Recipients",
    "Sealed",
    "find",
    "read",
    "read_one",
    "seal",
    "unwrapped",
]

MAX_RECIPIENTS = 20_000  # the largest known mailings in one message have some thousands
MAX_TRIALS = 16  # recipients tried for a key that comes without a certificate
# Keys that are looked for by their octets, before every recipient is walked over.
MAX_SEARCHES = 8
SEARCHED_OCTETS = 16 * 1024

# Kinds of keys by the name of the library's class: kind here.
_KINDS = {
    "X25519": "x25519",
    "X448": "x448",
    "MLKEM768": "ml-kem-768",
    "MLKEM1024": "ml-kem-1024",
}


def kind_of(public: object) -> str:
    """Return the kind of a public key that opens, empty for others."""
    if isinstance(public, rsa.RSAPublicKey):
        return "rsa"
    if isinstance(public, ec.EllipticCurvePublicKey):
        return "ec"
    for one in type(public).__mro__:
        kind = _KINDS.get(one.__name__.removesuffix("PublicKey"))
        if kind is not None:
            return kind
    return ""


class RecipientKey:
    """The public key of a certificate, made ready to seal many times.

    Raises ``NotSupported`` for a key that cannot be written to.
    """

    __slots__ = (
        "_fitness",
        "certificate",
        "curve",
        "identifier",
        "kind",
        "public",
        "transport",
        "version",
        "ways",
    )

    def __init__(self, certificate: x509.Certificate) -> None:
        self.certificate = certificate
        self.identifier = issuer_and_serial(certificate.public_bytes(Encoding.DER))
        """IssuerAndSerialNumber, as it is written."""
        self.public: Any = certificate.public_key()
        self.curve = ""
        """What readers with whom one ephemeral key is agreed have in common."""
        self.version = 0
        """What it makes of an EnvelopedData's version (RFC 5652 §6.1)."""
        self._fitness: Fitness | None = None
        self.transport: transport.Transport | None = None
        """What writes for an RSA key."""
        self.ways: dict[tuple[int, tuple[str, ...]], Any] = {}
        """How it is sealed for alone, by policy and capabilities; ``sole`` keeps them here."""
        self.kind = kind_of(self.public)
        if isinstance(self.public, rsa.RSAPublicKey):
            self.transport = transport.Transport(self.public, self.identifier)
        elif isinstance(self.public, ec.EllipticCurvePublicKey):
            self.curve, self.version = self.public.curve.name, 2
            if self.curve not in agreement.WRITTEN:
                raise NotSupported(f"encrypting to a key on curve {self.curve}")
        elif not self.kind:
            name = type(self.public).__name__.removesuffix("PublicKey")
            raise NotSupported(f"encrypting to a key of kind {name}")
        else:
            self.curve, self.version = (self.kind, 2) if self.kind.startswith("x") else ("", 3)

    @property
    def fitness(self) -> Fitness:
        """What the certificate allows, read at the first use."""
        if self._fitness is None:
            from smime.cms.fitness import Fitness

            self._fitness = Fitness(self.certificate)
        return self._fitness

    def info(self, content_key: bytes, how: str) -> bytes:
        """Return the recipient; ``how`` is ``rsa-v15`` or ``rsa-oaep`` and goes for RSA keys."""
        if self.transport is not None:
            return self.transport.info(content_key, how)
        from smime.cms import kem

        return kem.info(content_key, self.public, self.kind, self.identifier)


def seal(content_key: bytes, readers: Sequence[Reader], how: str) -> tuple[bytes, int]:
    """Return RecipientInfos for every reader, and what version they make of an EnvelopedData.

    ``how`` is ``rsa-v15`` or ``rsa-oaep`` and goes for RSA keys. Readers on one
    curve share one ephemeral key.
    """
    if len(readers) > MAX_RECIPIENTS:
        raise LimitExceeded(f"more than {MAX_RECIPIENTS} recipients in one message")
    infos: list[bytes] = []
    by_curve: dict[str, list[RecipientKey]] = {}
    for one in readers:
        if one.curve:
            by_curve.setdefault(one.curve, []).append(one)  # type: ignore[arg-type]
        else:
            infos.append(one.info(content_key, how))
    infos += [agreement.info(content_key, group, curve) for curve, group in by_curve.items()]
    return set_of(*infos), max([one.version for one in readers], default=0)


class OpeningKey:
    """A private key that opens what was sealed for it, with its certificate or alone."""

    __slots__ = (
        "_by_value",
        "_private",
        "_public",
        "certificate",
        "computed",
        "identifier",
        "key_identifiers",
        "kind",
        "label",
    )

    def __init__(
        self, key: object, certificate: x509.Certificate | None = None, label: str = ""
    ) -> None:
        public_key = getattr(key, "public_key", None)
        if not callable(public_key):
            raise KeyProblem(f"{type(key).__name__} is not a private key that opens mail")
        self._fill(key, public_key(), certificate, label)

    def _fill(
        self, key: Any, public: Any, certificate: x509.Certificate | None, label: str
    ) -> None:
        self.label = label
        """Whose key it is, for reports: the certificate's addresses."""
        self.certificate = certificate
        self.kind = kind_of(public)
        self.computed = computed_identifier(public)
        self._private = key
        self._public = public
        self.identifier = b""
        self.key_identifiers: tuple[bytes, ...] = (self.computed,)
        self._by_value: tuple[object, ...] | None = None
        if certificate is not None:
            self.identifier = issuer_and_serial(certificate.public_bytes(Encoding.DER))
            self.key_identifiers = key_identifiers(certificate)

    @property
    def modulus_octets(self) -> int:
        """Length of the modulus of an RSA key, 0 for others."""
        return (self._public.key_size + 7) // 8 if self.kind == "rsa" else 0

    @property
    def curve(self) -> str:
        """Name of the curve of an EC key, else empty."""
        return str(self._public.curve.name) if self.kind == "ec" else ""

    @property
    def by_value(self) -> tuple[object, ...]:
        """The identifier in the form that compares by value."""
        if self._by_value is None:
            self._by_value = by_value(self.identifier)
        return self._by_value

    def decrypt(self, sealed: bytes, pad: Padding) -> bytes:
        """Decrypt with an RSA key; raises ``ValueError``."""
        plain: bytes = self._private.decrypt(sealed, pad.primitive)
        return plain

    def exchange(self, point: bytes) -> bytes:
        """Agree on a secret; raises ``ValueError`` for a point that is none of the curve."""
        public = self._known(point)
        secret: bytes = (
            self._private.exchange(_ECDH, public)
            if self.kind == "ec"
            else self._private.exchange(public)
        )
        return secret

    def _known(self, point: bytes) -> Any:
        """Return the public key that a sender names; raises ``ValueError`` if it is none."""
        if self.kind == "ec":
            return ec.EllipticCurvePublicKey.from_encoded_point(self._public.curve, point)
        from cryptography.hazmat.primitives.asymmetric import x448, x25519

        known = x25519.X25519PublicKey if self.kind == "x25519" else x448.X448PublicKey
        return known.from_public_bytes(point)

    def decapsulate(self, ciphertext: bytes) -> bytes:
        """Return the secret that was encapsulated; raises ``ValueError``."""
        secret: bytes = self._private.decapsulate(ciphertext)
        return secret

    def __repr__(self) -> str:
        return f"<OpeningKey {self.kind} {self.computed.hex()[:16]}>"

    def __reduce__(self) -> str:
        raise TypeError("a private key does not leave its process: load it where it is used")


_ECDH = ec.ECDH()


class Recipients:
    """The recipients of a message in their order, read as far as they are asked for."""

    __slots__ = ("_at", "_data", "_node", "_read")

    def __init__(self, data: bytes, node: Node) -> None:
        self._data, self._node = data, node
        self._at = node[2]
        self._read: list[Sealed] = []
        """Those that stand before ``_at``."""

    def __iter__(self) -> Iterator[Sealed]:
        return iter(self.first(MAX_RECIPIENTS + 1))

    def first(self, limit: int) -> list[Sealed]:
        """Return so many recipients; raises ``LimitExceeded`` for more than any message has."""
        if len(self._read) >= limit and limit <= MAX_RECIPIENTS:
            return self._read[:limit]
        try:
            return self._first(limit)
        except Indefinite:
            self.make_definite()
            return self._first(limit)

    def _first(self, limit: int) -> list[Sealed]:
        data, end, found = self._data, self._node[3], self._read
        while self._at < end and len(found) < limit:
            one = top(data, self._at, end)
            found += read_one(data, one)
            self._at = one[3]
        if len(found) > MAX_RECIPIENTS:
            raise LimitExceeded(f"the message has more than {MAX_RECIPIENTS} recipients")
        return found[:limit]

    def make_definite(self) -> None:
        """Go over to definite lengths: some stand inside others that are definite."""
        self._data = definite(self._data[self._node[1] : self._node[3]])
        self._node = top(self._data)
        self._at, self._read = self._node[2], []

    @property
    def octets(self) -> int:
        """How much there is to walk over."""
        return self._node[3] - self._node[2]

    def names(self, limit: int) -> tuple[str, ...]:
        """Return the first recipients, as people call them."""
        return tuple(one.name for one in self.first(limit))

    def called(self, limit: int) -> list[tuple[bytes, bytes, str]]:
        """Return how the message calls the first recipients; ``spoken`` says it for people."""
        return [one.called for one in self.first(limit)]

    @property
    def why_not(self) -> str:
        """Why no key at all would help: no recipient is of a kind that is supported."""
        why = ""
        for one in self:
            reason = one.why_not
            if not reason:
                return ""
            why = why or reason
        return why

    def at_identifier(self, identifier: bytes) -> Sealed | None:
        """Return the key transport recipient of this name, found by its octets.

        That spares walking over thousands of others. Octets that stand in
        another place than a recipient's name are no answer.
        """
        data, begin, end = self._data, self._node[2], self._node[3]
        at = data.find(identifier, begin, end)
        if at < 0 or data[at - 3 : at] != _VERSION_0:
            return None
        for header_octets in (4, 3, 2):
            start = at - 3 - header_octets
            if start >= begin and data[start] == SEQUENCE:
                try:
                    one = top(data, start, end)
                    if one[2] == at - 3:
                        return transport.read(data, one)
                except (MalformedMail, Indefinite):
                    continue
        return None


_VERSION_0 = b"\x02\x01\x00"
NOBODY = Recipients(b"", (SET, 0, 0, 0))
"""Of a structure that has no recipients."""


def read(data: bytes, recipients: Node) -> Recipients:
    """Read a SET OF RecipientInfo; kinds that are not known stay out of the way."""
    found = Recipients(data, recipients)
    # The first ones show what has not the form of recipients at all.
    found.first(1)
    return found


def find(recipients: Recipients, keys: Iterable[Key]) -> list[tuple[Key, Sealed]]:
    """Return the ways in for these keys, chosen by public data alone.

    One pair where a recipient is named by the certificate or key identifier of
    a key. Only where nothing is, for keys that come without a name, pairs to be
    tried, all of them: at most ``MAX_TRIALS`` recipients.

    Raises ``NotSupported`` where only what is not supported fits, and
    ``LimitExceeded`` for more trials or rounds of a passphrase than allowed.
    """
    keys = tuple(keys)
    try:
        return _find(recipients, keys)
    except Indefinite:
        recipients.make_definite()
        return _find(recipients, keys)


def unwrapped(
    recipients: Recipients, keys: Iterable[Key], octets: int, policy: Policy
) -> list[tuple[Key, bytes]]:
    """Return what may be the key that was sealed, of so many octets, and whose key gave it.

    Raises what ``find`` raises, ``NotSupported`` for what is too weak for the
    policy, and ``DecryptionFailed`` where no recipient is
    one of the keys, which is visible to everybody.
    """
    ways = find(recipients, keys)
    if not ways:
        names = list(dict.fromkeys(recipients.names(9)))
        raise DecryptionFailed(
            "the mail is not sealed for any of the keys given",
            hint=f"it is sealed for {'; '.join(names[:8]) or 'nobody'}"
            + (" and others" if len(names) > 8 else ""),
        )
    for _, sealed in ways:
        if sealed.weak:
            refuse_weak(sealed.weak, policy)
    return [(key, sealed.unwrap_with(key)(octets)) for key, sealed in ways]


def _find(recipients: Recipients, keys: tuple[Key, ...]) -> list[tuple[Key, Sealed]]:
    if len(keys) <= MAX_SEARCHES and recipients.octets > SEARCHED_OCTETS:
        for key in keys:
            fitting = recipients.at_identifier(key.identifier) if key.kind == "rsa" else None
            if key.identifier and fitting is not None and not fitting.why_not:
                return [(key, fitting)]
    every = recipients.first(MAX_RECIPIENTS + 1)
    why_not = ""
    for pairs in (_by_name, _by_value):
        for key, one in pairs(every, keys):
            reason = one.why_not
            if not reason:
                return [(key, one)]
            why_not = why_not or reason
    found = _trials(every, keys)
    if not found and (why_not := why_not or recipients.why_not):
        raise NotSupported(why_not)
    return found


def _by_name(every: list[Sealed], keys: tuple[Key, ...]) -> Iterator[tuple[Key, Sealed]]:
    if len(keys) == 1:
        (only,) = keys
        kind, name, identifiers = only.kind, only.identifier, only.key_identifiers
        for one in every:
            if one.kind == kind and (
                one.identifier == name if one.identifier else one.key_identifier in identifiers
            ):
                yield only, one
        return
    named: dict[tuple[str, bytes], Key] = {}
    for key in keys:
        if key.identifier:
            named.setdefault((key.kind, key.identifier), key)
        for identifier in key.key_identifiers:
            named.setdefault((key.kind, b"key:" + identifier), key)
    for one in every:
        found = named.get((one.kind, one.identifier or b"key:" + one.key_identifier))
        if found is not None:
            yield found, one


def _by_value(every: list[Sealed], keys: tuple[Key, ...]) -> Iterator[tuple[Key, Sealed]]:
    """Yield what fits though not by its octets: senders write names in other string types."""
    values = {one.by_value: one for one in keys if isinstance(one, OpeningKey) and one.identifier}
    serials = {value[0] for value in values}
    for one in every if values else ():
        if one.identifier and serial_of(one.identifier) in serials:
            key = values.get(by_value(one.identifier))
            if key is not None and key.kind == one.kind:
                yield key, one


def _trials(every: list[Sealed], keys: tuple[Key, ...]) -> list[tuple[Key, Sealed]]:
    """Return what to try with keys that have no name in any message."""
    found: list[tuple[Key, Sealed]] = []
    tried: set[int] = set()
    for key in keys:
        if key.identifier or key.kind == "shared key":
            continue
        for place, one in enumerate(every):
            if one.kind != key.kind or key.modulus_octets not in (0, one.octets) or one.why_not:
                continue
            tried.add(place)
            found.append((key, one))
            if len(tried) > MAX_TRIALS:
                raise LimitExceeded(
                    f"more than {MAX_TRIALS} recipients would have to be tried",
                    hint="give the certificate with the key: it says which recipient is meant",
                )
    if sum(one.rounds for _, one in found) > MAX_ROUNDS:
        raise LimitExceeded(f"a passphrase with more than {MAX_ROUNDS} rounds in all")
    return found


def read_one(data: bytes, node: Node) -> list[Sealed]:
    """Read one RecipientInfo: the ways in that it holds."""
    if node[0] == SEQUENCE:
        return [transport.read(data, node)]
    if node[0] == 0xA1:
        return agreement.read(data, node)
    if node[0] == 0xA2:
        from smime.cms.shared_keys import read_shared_key

        return [read_shared_key(data, node)]
    if node[0] == 0xA3:
        from smime.cms.shared_keys import read_passphrase

        return [read_passphrase(data, node)]
    if node[0] == 0xA4:
        from smime.cms import kem

        return [kem.read(data, node)]

    def prepare() -> Opener:
        raise NotSupported("a recipient is of a kind that is not supported")

    return [Sealed("another kind of key", prepare)]
