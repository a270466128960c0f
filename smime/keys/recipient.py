"""Who reads: a certificate to encrypt to.

Floor:  keys (uses errors, policy and cms)
Source: RFC 8551 §2.5.2 for capabilities, RFC 8550 §4.4 for fitness
"""

from __future__ import annotations

from smime.errors import KeyProblem, NotSupported
from smime.keys.fitness import Fitness, fingerprint

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    import os
    from collections.abc import Sequence
    from datetime import datetime
    from typing import Any, NoReturn, Self

    from cryptography import x509

    from smime.cms import RecipientKey
    from smime.cms.sole import Sole
    from smime.policy import Policy

__all__ = ["Recipient"]


class Recipient:
    """A certificate to encrypt to, and what its owner's software can open.

    ``capabilities`` are names as in ``Policy.cipher`` (``aes-256-gcm``), best
    first; empty when nothing is known. Immutable, and it pickles. Two are
    equal if certificate and capabilities are.
    """

    __slots__ = ("_capabilities", "_certificate", "_fitness", "_key", "_ways")

    _certificate: x509.Certificate
    _capabilities: tuple[str, ...]
    _fitness: Fitness | None
    _key: RecipientKey | None
    _ways: dict[int, Sole] | None

    def __init__(self, certificate: x509.Certificate, capabilities: Sequence[str] = ()) -> None:
        if not hasattr(certificate, "tbs_certificate_bytes"):
            raise TypeError(
                f"a Recipient is made from a certificate, not {type(certificate).__name__}:"
                " smime.Recipient.load('bob.pem')"
            )
        if isinstance(capabilities, str):
            raise TypeError(f"capabilities= takes several names: ({capabilities!r},)")
        _set(self, "_certificate", certificate)
        _set(self, "_capabilities", tuple(capabilities))
        _set(self, "_fitness", None)
        _set(self, "_key", None)
        _set(self, "_ways", None)

    @classmethod
    def load(cls, path: os.PathLike[str] | str) -> Self:
        """Read the certificate from a file; ``parse`` says of what forms.

        Raises what ``parse`` raises, and ``OSError``.
        """
        from smime.keys.loading import read_file

        return cls._from(*read_file(path, "smime.Recipient"))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read the certificate from PEM, DER or PKCS#7.

        Of a chain it takes the one certificate that is no authority's; of
        several of those, the one that allows encryption. Keys beside them are
        not looked at.

        Raises ``KeyProblem`` if there is no certificate, or there are several
        to choose from, and ``LimitExceeded`` for more than any file of keys has.
        """
        from smime.keys.loading import as_bytes

        return cls._from(as_bytes(data, "smime.Recipient"), "the data")

    @classmethod
    def _from(cls, data: bytes, name: str) -> Self:
        from smime.keys.loading import is_authority, read_certificates

        found = read_certificates(data, name)
        leaves = [one for one in found if not is_authority(one)] if len(found) > 1 else found
        if len(leaves) > 1:
            leaves = [one for one in leaves if _reads(one)] or leaves
        if len(leaves) == 1:
            return cls(leaves[0])
        if not leaves:
            raise KeyProblem(f"{name} holds certificates of authorities only, and none of a person")
        listed = "; ".join(describe(one) for one in leaves)
        raise KeyProblem(
            f"{name} holds {len(leaves)} certificates to choose from: {listed}",
            hint="give the one that is meant in a file of its own",
        )

    @property
    def certificate(self) -> x509.Certificate:
        """The certificate."""
        return self._certificate

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What its owner's software says that it opens, best first."""
        return self._capabilities

    @property
    def addresses(self) -> tuple[str, ...]:
        """The mail addresses in the certificate."""
        return self.fitness.addresses

    @property
    def fitness(self) -> Fitness:
        """What the certificate is fit for."""
        fitness = self._fitness
        if fitness is None:
            fitness = Fitness(self._certificate)
            _set(self, "_fitness", fitness)
        return fitness

    @property
    def recipient_key(self) -> RecipientKey:
        """The certificate, prepared for being written to."""
        key = self._key
        if key is None:
            from smime.cms import RecipientKey

            key = RecipientKey(self._certificate)
            _set(self, "_key", key)
        return key

    def _alone(self, policy: Policy) -> Sole | None:
        """Return how mail is sealed for it alone under this policy, worked out once."""
        ways = self._ways
        if ways is None:
            _set(self, "_ways", ways := {})
        way = ways.get(id(policy))
        if way is None:
            from smime.cms.sole import MAX_POLICIES, sole

            fitness = self.fitness  # first: it says by name which kinds of keys are not supported
            way = sole(self.recipient_key, self._capabilities, fitness, policy)
            if way is not None:
                if len(ways) >= MAX_POLICIES:
                    ways.clear()
                ways[id(policy)] = way  # which keeps the policy, and so its id
        return way

    def check_reads(self, at: datetime, policy: Policy) -> None:
        """Raise ``KeyProblem`` unless mail may be sealed for it at this moment.

        It must be valid at ``at`` (with a time zone), allow the encryption of
        mail, and have a key of a size within ``policy``.
        """
        self.fitness.check_reads(at, policy)

    def to_pem(self) -> bytes:
        """Return the certificate as PEM."""
        from cryptography.hazmat.primitives.serialization import Encoding

        return self._certificate.public_bytes(Encoding.PEM)

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("a Recipient is immutable: make another one")

    def __delattr__(self, name: str) -> NoReturn:
        raise AttributeError("a Recipient is immutable: make another one")

    def __copy__(self) -> Self:
        return self

    def __deepcopy__(self, memo: dict[int, Any]) -> Self:
        return self

    def __reduce__(self) -> tuple[Any, ...]:
        from cryptography.hazmat.primitives.serialization import Encoding

        der = self._certificate.public_bytes(Encoding.DER)
        return _rebuild, (type(self), der, self._capabilities)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, Recipient):
            return NotImplemented
        return self._certificate == other._certificate and self._capabilities == other._capabilities

    def __hash__(self) -> int:
        return hash((self._certificate, self._capabilities))

    def __repr__(self) -> str:
        return f"<Recipient {describe(self._certificate)}>"


_set = object.__setattr__


def describe(certificate: x509.Certificate, *, usage: bool = True) -> str:
    """Say which certificate it is: kind, address, usage, expiry, fingerprint."""
    shown = f"sha256 {fingerprint(certificate)[:16]}"
    try:
        fitness = Fitness(certificate)
    except (KeyProblem, NotSupported):
        return f"certificate that is not supported, {shown}"
    address = ", ".join(fitness.addresses) or "no address"
    use = f", {fitness.usage}" if usage else ""
    return f"{address}, {fitness.kind}{use}, until {fitness.not_after:%Y-%m-%d}, {shown}"


def _reads(certificate: x509.Certificate) -> bool:
    try:
        return Fitness(certificate).reads
    except (KeyProblem, NotSupported):
        return False


def _rebuild(cls: type[Recipient], cert_der: bytes, capabilities: tuple[str, ...]) -> Recipient:
    from cryptography import x509

    return cls(x509.load_der_x509_certificate(cert_der), capabilities)
