"""What nearly every message says word for word, read by comparing octets.

All else is ``None`` here and is read element by element; what is read here is
read there to the same values.

Floor:  cms (uses algorithms, attributes, ciphers)
Source: RFC 3565 §4.1 for AES-CBC; RFC 5084 §3.2 for AES-GCM; RFC 5652 §5 for SignedData
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms.attributes import MESSAGE_DIGEST, SIGNING_TIME
from smime.cms.ciphers import NONCE_OCTETS, TAG_OCTETS
from smime.cms.der import integer, octet_string, sequence
from smime.cms.schemes import verify

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography import x509

    from smime.cms.signatures import CheckedSignature, SignedData

__all__ = ["Likeness", "content_cipher", "likeness"]

_BEGINNING = 15  # octets up to the parameters: of AES-CBC one OCTET STRING, of AES-GCM a SEQUENCE


def content_cipher(algorithm: bytes) -> tuple[str, bytes, bytes] | None:
    """Return name, nonce and room for the tag of a contentEncryptionAlgorithm.

    >>> content_cipher(bytes.fromhex("301d060960864801650304012a0410") + b"sixteen octets..")
    ('aes-256-cbc', b'sixteen octets..', b'')
    """
    found = _CIPHERS.get(algorithm[:_BEGINNING])
    if found is None:
        return None
    name, tag, length, before, after = found
    end = length - len(after)
    if (
        len(algorithm) != length
        or not algorithm.startswith(before, _BEGINNING)
        or algorithm[end:] != after
    ):
        return None
    return name, algorithm[_BEGINNING + len(before) : end], tag


def _written(name: str) -> tuple[bytes, tuple[str, bytes, int, bytes, bytes]]:
    """Return how it begins; name, tag, length, and what stands before and after the nonce."""
    identifier, _, mode, _ = alg.CIPHERS[name]
    nonce = octet_string(bytes(NONCE_OCTETS[mode]))
    if mode == "cbc":
        whole = sequence(identifier, nonce)
        return whole[:_BEGINNING], (name, b"", len(whole), b"", b"")
    after = integer(TAG_OCTETS)
    whole = sequence(identifier, sequence(nonce, after))
    return whole[:_BEGINNING], (name, bytes(TAG_OCTETS), len(whole), nonce[:2], after)


_CIPHERS = dict(
    _written(name)
    for name, (_, _, mode, _) in alg.CIPHERS.items()
    if name.startswith("aes-") and mode in ("cbc", "gcm")
)


class Likeness:
    """A detached signature that was good, as far as others by the same signer are alike.

    All octets but those of time, digest and signature value are kept. Every tag and every
    length is among them, so what has the same ones is read to the same elements: certificates,
    signer, algorithms, attributes.
    """

    __slots__ = ("_attributes", "_digest", "_fixed", "_value", "certificate", "digest", "scheme")

    def __init__(
        self, blob: bytes, data: SignedData, checked: CheckedSignature, free: list[tuple[int, int]]
    ) -> None:
        (signer,) = data.signers
        assert signer.attributes is not None
        assert checked.certificate is not None
        self.certificate: x509.Certificate = checked.certificate
        self.digest, self.scheme = signer.digest, signer.scheme
        self._attributes = signer.attributes.span
        self._digest, self._value = free[0], free[-1]
        self._fixed: list[tuple[int, int, bytes]] = []
        at = 0
        for start, end in sorted(free):
            self._fixed.append((at, start, blob[at:start]))
            at = end
        self._fixed.append((at, len(blob), blob[at:]))

    def fits(self, blob: bytes) -> bool:
        """Whether a blob of the same length is alike."""
        alike = [blob[start:end] == octets for start, end, octets in self._fixed]
        return False not in alike

    def holds(self, blob: bytes, content: bytes) -> bool:
        """Whether one that fits is a good signature over the content."""
        start, end = self._digest
        if alg.digest(self.digest, content) != blob[start:end]:
            return False
        start, end = self._attributes
        covered = (b"\x31" + blob[start + 1 : end],)
        start, end = self._value
        value = blob[start:end]
        return verify(self.certificate, self.scheme, self.digest, value, covered) is not None


def likeness(data: SignedData, checked: CheckedSignature) -> Likeness | None:
    """Return what others by the signer of ``data`` are like, if it is of the usual form.

    ``checked`` is its one signature.
    """
    signer = data.signers[0]
    attributes = signer.attributes
    if (
        len(data.signers) != 1
        or attributes is None
        or not attributes.in_order
        or signer.value_at < 0
        or signer.unsigned is not None
        or data.content is not None
        or data.crls
        or data.ocsp
        or not checked.holds
        or checked.notes
        # What a policy may allow is for the full way.
        or not _WEAK.isdisjoint((signer.digest, signer.scheme.digest, signer.scheme.kind))
        or len(data.carried.named(signer.identifier)) != 1
    ):
        return None
    digest, time = attributes.place(MESSAGE_DIGEST), attributes.place(SIGNING_TIME)
    if digest is None:
        return None
    value = signer.value_at, signer.value_at + len(signer.value)
    return Likeness(attributes.data, data, checked, [digest, *([time] if time else []), value])


_WEAK = alg.WEAK_DIGESTS | alg.WEAK_SIGNATURES
