"""Reading keys kept for the day they are lost, sealed so that their keepers alone open them.

A record is sealed to recovery agents: people whose private keys are not on the CA's
machine. With ``threshold=1`` each of them opens it. With ``threshold=2`` it takes two:
what is sealed to one is a random half, which tells nothing of the whole.

    record = escrow.seal(key, certificate, agents=[ann, ben, cem], threshold=2, at=now)
    found = escrow.recover(record, keys=[ann_identity, cem_identity])

Signing keys are never kept: who holds a copy could sign in the owner's name.

Floor:  escrow (uses sealed and rules)
Source: RFC 5083 for the seal; the halves are a one-time pad
"""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import combinations
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from pki import keys as key_kinds
from pki import sealed
from pki.errors import RequestRefused
from pki.rules import extension, reads
from smime.cms.der import children, integer, octet_string, sequence, tlv, top

if TYPE_CHECKING:
    from collections.abc import Iterable, Sequence

    from smime.cms.der import Node

__all__ = ["Recovered", "agents_of", "check_agents", "hand_over", "may_be_kept", "recover"]
__all__ += ["rotate", "seal"]

MAX_AGENTS = 20  # with two of them needed 190 pairs, each with two seals of a key
MAX_RECORD_OCTETS = 4_194_304  # 190 pairs of an RSA-4096 key and its certificate are under 3 MiB
MAX_KEY_OCTETS = 16_384  # RSA-8192 as PKCS#8 is under 5,000; larger ones cost seconds to check

_VERSION = integer(1)
_FAILED = "the record could not be opened with the keys given"


@dataclass(frozen=True, slots=True)
class Recovered:
    """A key from the archive, with the certificate that it was kept for."""

    key: Any = field(repr=False)
    certificate: x509.Certificate
    subject: str
    """Whose it is, as written when it was sealed: mail addresses."""
    at: datetime
    """When it was sealed."""

    def identity(self, chain: Iterable[x509.Certificate] = ()) -> smime.Identity:
        """Give key and certificate as an Identity: ``.to_p12(passphrase)`` writes the file."""
        return smime.Identity(self.key, self.certificate, chain)

    def __reduce__(self) -> Any:
        raise TypeError("a recovered key is not pickled")


def seal(
    key: key_kinds.AnyKey,
    certificate: x509.Certificate,
    *,
    agents: Sequence[x509.Certificate],
    threshold: int = 1,
    at: datetime,
) -> bytes:
    """Seal a reading key with its certificate, its owner and the moment, for the agents.

    ``threshold`` is 1 (each agent opens it) or 2 (two of them must). Raises
    ``RequestRefused`` for a key that signs, or that is not the certificate's, and for
    agents that are too few or cannot read.
    """
    _demand_reading(certificate)
    if key.public_key() != certificate.public_key():
        raise RequestRefused("the key to keep does not belong to its certificate")
    check_agents(agents, threshold, at)
    return _sealed(_pack(key, certificate, at), agents, threshold)


def recover(record: bytes, *, keys: Any, handed_over: Iterable[bytes] = ()) -> Recovered:
    """Open a record with the Identity of an agent, or those of two.

    An agent who is elsewhere sends what ``hand_over`` makes for the one who is here.

    Raises ``DecryptionFailed`` if the keys are not enough of the right ones,
    ``MalformedMail`` for what is no record.
    """
    identities = (keys,) if isinstance(keys, smime.Identity) else tuple(keys)
    threshold, blobs = _parse(record)
    if threshold == 1:
        return _unpack(_first(blobs, identities))
    found = [share for one in identities for share in _shares(blobs, one)]
    for given in handed_over:
        found += _read_shares(_first([given], identities))
    known: dict[bytes, dict[int, bytes]] = {}
    for pair, half, share in found:
        known.setdefault(pair, {})[half] = share
    for halves in known.values():
        if len(halves) == 2:
            return _unpack(_joined(halves[0], halves[1]))
    raise smime.DecryptionFailed(
        _FAILED, hint=f"it takes {threshold} different agents; their halves must be of one pair"
    )


def hand_over(record: bytes, *, keys: smime.Identity, to: x509.Certificate) -> bytes:
    """Give an agent's halves of a record, sealed to another agent, who then can recover it.

    Raises ``DecryptionFailed`` if this agent has none, ``RequestRefused`` for a record
    that each agent opens alone.
    """
    threshold, blobs = _parse(record)
    if threshold == 1:
        raise RequestRefused("each agent opens this record alone: there is nothing to hand over")
    shares = _shares(blobs, keys)
    if not shares:
        raise smime.DecryptionFailed(_FAILED)
    packed = (sequence(octet_string(p), integer(h), octet_string(s)) for p, h, s in shares)
    return sealed.seal(sequence(*packed), [to])


def rotate(
    record: bytes,
    *,
    keys: Any,
    agents: Sequence[x509.Certificate],
    threshold: int,
    at: datetime,
    handed_over: Iterable[bytes] = (),
) -> bytes:
    """Seal a record anew, for other agents; the moment it was first sealed stays in it.

    Raises what ``recover`` and ``seal`` raise; then the old record stands.
    """
    found = recover(record, keys=keys, handed_over=handed_over)
    check_agents(agents, threshold, at)
    return _sealed(_pack(found.key, found.certificate, found.at), agents, threshold)


def agents_of(record: bytes) -> tuple[int, frozenset[str]]:
    """Say how many agents a record takes, and which, by issuer and serial number; no key needed.

    Raises ``MalformedMail`` for what is no record.
    """
    threshold, blobs = _parse(record)
    return threshold, frozenset().union(*map(sealed.readers_of, blobs))


# --- what is sealed ---------------------------------------------------------


def _pack(key: key_kinds.AnyKey, certificate: x509.Certificate, at: datetime) -> bytes:
    plain = key.private_bytes(
        Encoding.DER, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    subject = ", ".join(smime.Recipient(certificate).addresses)
    moment = at.astimezone(UTC).strftime("%Y%m%d%H%M%SZ")
    return sequence(
        _VERSION,
        tlv(0x0C, subject.encode()),
        tlv(0x18, moment.encode()),
        octet_string(certificate.public_bytes(Encoding.DER)),
        octet_string(plain),
    )


def _unpack(content: bytes) -> Recovered:
    """Read what was sealed, and see that key and certificate belong together."""
    try:
        parts = _fields(content, top(content), 5)
        subject = parts[1].decode()
        at = datetime.strptime(parts[2].decode(), "%Y%m%d%H%M%SZ").replace(tzinfo=UTC)
        certificate = x509.load_der_x509_certificate(parts[3])
        if len(parts[4]) > MAX_KEY_OCTETS:
            raise ValueError("no key is so large")
        key = serialization.load_der_private_key(parts[4], None)
        right = key.public_key() == certificate.public_key()
    except (ValueError, TypeError, smime.SmimeError) as error:
        raise smime.DecryptionFailed(_FAILED) from error
    if not right:
        raise smime.DecryptionFailed(_FAILED)
    return Recovered(key, certificate, subject, at)


def _sealed(content: bytes, agents: Sequence[x509.Certificate], threshold: int) -> bytes:
    if threshold == 1:
        blobs = [sealed.seal(content, agents)]
    else:
        blobs = []
        # Each half tells by it whether the two joined well. It tells nothing of the key,
        # which nobody can guess.
        digest = hashlib.sha256(content).digest()
        for pair in combinations(agents, 2):
            # A fresh pad for each pair: two agents of different pairs learn nothing together
            # that they should not, and one agent's many halves are random each.
            name = os.urandom(16)
            pad = os.urandom(len(content))
            halves = pad, bytes(a ^ b for a, b in zip(content, pad, strict=True))
            for number, (agent, half) in enumerate(zip(pair, halves, strict=True)):
                share = sequence(octet_string(name), integer(number), octet_string(digest + half))
                blobs.append(sealed.seal(sequence(share), [agent]))
    return sequence(_VERSION, integer(threshold), sequence(*blobs))


def _joined(first: bytes, second: bytes) -> bytes:
    content = bytes(a ^ b for a, b in zip(first[32:], second[32:], strict=False))
    right = hmac.compare_digest(first[:32], second[:32])
    if not right or not hmac.compare_digest(hashlib.sha256(content).digest(), first[:32]):
        raise smime.DecryptionFailed(_FAILED)
    return content


def _parse(record: bytes) -> tuple[int, list[bytes]]:
    if len(record) > MAX_RECORD_OCTETS:
        raise smime.LimitExceeded(f"a record of more than {MAX_RECORD_OCTETS} octets")
    outer = top(record)
    parts = children(record, outer, 4)
    if len(parts) != 3 or outer[3] != len(record) or parts[2][0] != 0x30:
        raise smime.MalformedMail("this is no record of an archived key")
    version, threshold = (
        int.from_bytes(record[node[2] : node[3]][:8], "big") for node in parts[:2]
    )
    blobs = [record[node[1] : node[3]] for node in children(record, parts[2], 2 * MAX_AGENTS**2)]
    if version != 1 or threshold not in (1, 2) or not blobs:
        raise smime.NotSupported("a record of an archived key in a form that is not known here")
    return threshold, blobs


def _first(blobs: Sequence[bytes], identities: Iterable[smime.Identity]) -> bytes:
    """Open the first that one of the identities opens."""
    for identity in identities:
        for blob in blobs:
            try:
                return sealed.unseal(blob, identity)
            except smime.DecryptionFailed:
                continue
    raise smime.DecryptionFailed(_FAILED)


def _shares(blobs: Sequence[bytes], identity: smime.Identity) -> list[tuple[bytes, int, bytes]]:
    """Open all halves that are an agent's."""
    found = []
    for blob in blobs:
        try:
            content = sealed.unseal(blob, identity)
        except smime.DecryptionFailed:
            continue
        found += _read_shares(content)
    return found


def _read_shares(content: bytes) -> list[tuple[bytes, int, bytes]]:
    found = []
    try:
        for node in children(content, top(content), MAX_AGENTS):
            name, half, share = _fields(content, node, 3)
            found.append((name, int.from_bytes(half[:1], "big") & 1, share))
    except (smime.SmimeError, ValueError) as error:
        raise smime.DecryptionFailed(_FAILED) from error
    return found


def _fields(data: bytes, node: Node, count: int) -> list[bytes]:
    parts = children(data, node, 8)
    if len(parts) != count:
        raise ValueError("another number of fields")
    return [data[one[2] : one[3]] for one in parts]


# --- what is refused --------------------------------------------------------


def may_be_kept(certificate: x509.Certificate) -> bool:
    """Say whether the key of this certificate reads and does nothing else."""
    usage = extension(certificate, x509.KeyUsage)
    return (
        usage is not None
        and reads(certificate)
        and not usage.digital_signature
        and not usage.content_commitment
        and not usage.key_cert_sign
        and not usage.crl_sign
    )


def _demand_reading(certificate: x509.Certificate) -> None:
    if not may_be_kept(certificate):
        raise RequestRefused(
            "this key signs, or may: a copy of it is never kept",
            hint="issue a pair (pair=True) and keep the reading half",
        )


def check_agents(agents: Sequence[x509.Certificate], threshold: int, at: datetime) -> None:
    """Raise ``RequestRefused`` or ``KeyProblem`` for agents who cannot be."""
    if threshold not in (1, 2):
        raise ValueError("threshold is 1 or 2")
    if not threshold <= len(agents) <= MAX_AGENTS:
        raise RequestRefused(f"there are {threshold} to {MAX_AGENTS} recovery agents")
    distinct = {key_kinds.spki(agent.public_key()) for agent in agents}  # type: ignore[arg-type]
    if len(distinct) != len(agents):
        raise RequestRefused("two recovery agents have the same key: they are one")
    for agent in agents:
        smime.Recipient(agent).check_reads(at, smime.Policy.modern())
