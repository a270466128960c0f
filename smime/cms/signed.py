"""SignedData, made by joining bytes.

``build`` makes it of content in memory. ``frame`` makes what stands before and
behind a content that goes by piece by piece; only its digests are needed.

Floor:  cms (uses errors, policy)
Source: RFC 5652 §5; RFC 5754 for algorithms; RFC 8551 §2.5 for the attributes
"""

from __future__ import annotations

from smime.cms import attributes as attrs
from smime.cms.algorithms import DATA, DIGEST_ALGORITHM, DIGESTS, SIGNED_DATA, digest
from smime.cms.der import head, integer, oid, sequence, set_of, tlv
from smime.cms.names import issuer_and_serial
from smime.cms.schemes import FIXED_DIGEST, Keyed, check_pure_length, is_private
from smime.errors import KeyProblem, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from cryptography import x509

    from smime.cms.fitness import Fitness
    from smime.policy import Policy

__all__ = ["Frame", "SigningKey", "Way", "build", "digest_names", "frame"]

_ID_SIGNED_DATA = tlv(0x06, SIGNED_DATA)
_ID_DATA = tlv(0x06, DATA)
_ONE = integer(1)
_THREE = integer(3)
_DIGEST_SET = {name: set_of(whole) for name, whole in DIGEST_ALGORITHM.items()}
_END = b"\x00\x00"


class Way:
    """One way in which a key signs, ready to be used many times."""

    __slots__ = (
        "_around",
        "after",
        "announced",
        "before",
        "certificates_der",
        "digest",
        "fill",
        "fixed_octets",
        "more",
        "sign",
        "sign_hashed",
    )

    before: bytes
    """Version, signer identifier and digest algorithm."""
    after: bytes
    """The signature algorithm."""
    digest: str
    fixed_octets: int
    more: tuple[bytes, ...]
    """Attributes beside type, time, digest and capabilities."""
    announced: bytes
    """The capabilities, of those who write back."""
    sign: Callable[[bytes], bytes]
    sign_hashed: Callable[[bytes], bytes] | None
    fill: Callable[[bytes, datetime], bytes]
    """Makes the attributes of plain data of digest and time."""
    certificates_der: tuple[bytes, ...]

    def __init__(self) -> None:
        self._around: dict[tuple[int, int], tuple[bytes, bytes]] = {}

    def detached(self, signed: bytes, value: bytes) -> bytes:
        """Return the ContentInfo over detached plain data: these attributes, and their value.

        All else in it is the same while their lengths are, so it is cut out of the
        first one that was made.
        """
        lengths = len(signed), len(value)
        around = self._around.get(lengths)
        if around is None:
            infos = tlv(0x31, _signer_info(self, signed, value))
            digest_set = _DIGEST_SET[self.digest]
            made = _assemble(digest_set, self.certificates_der, infos, DATA, b"", True)
            # From the end: value, signature algorithm, attributes (but for their tag).
            value_at = len(made) - len(value)
            after_at = value_at - len(head(0x04, len(value))) - len(self.after)
            around = made[: after_at - len(signed) + 1], made[after_at:value_at]
            self._around[lengths] = around
        return b"".join((around[0], signed[1:], around[1], value))


class SigningKey:
    """A private key with its certificate and chain, made ready to sign many times.

    ``key`` is a private key of ``cryptography`` (RSA; EC on P-256, P-384, P-521
    or a brainpool curve; Ed25519, Ed448; ML-DSA), or an object with
    ``certificate`` and ``sign(data, algorithm)``. Ed25519, Ed448, ML-DSA and
    id-RSASSA-PSS keys with parameters fix their digest: a policy's ``digest``
    is for the other keys of a message and changes nothing for them.

    Raises ``NotSupported`` for a key of another kind, ``KeyProblem`` for an
    object that does not sign.
    """

    __slots__ = (
        "_announced",
        "_fitness",
        "_keyed",
        "_sid",
        "_ways",
        "certificate",
        "certificates_der",
        "digest",
        "kind",
    )

    def __init__(
        self, key: object, certificate: x509.Certificate, chain: Sequence[x509.Certificate] = ()
    ) -> None:
        from cryptography.hazmat.primitives.serialization import Encoding

        self.certificate = certificate
        leaf_der = certificate.public_bytes(Encoding.DER)
        # A root that signed itself stays out: whoever trusts it has it, and
        # nobody may come to trust it because it was in a mail.
        above = (one.public_bytes(Encoding.DER) for one in chain if one.issuer != one.subject)
        self.certificates_der = tuple(sorted({leaf_der, *above}))  # SET OF in DER order
        self._keyed = Keyed(key, certificate)
        self.kind = self._keyed.kind
        self.digest = self._keyed.digest
        """The digest that is taken unless a policy names another."""
        kept = self.kind == "rsa" and not is_private(key)
        self._announced = attrs.KEPT_CAPABILITIES if kept else attrs.CAPABILITIES_ATTRIBUTE
        self._sid = issuer_and_serial(leaf_der)
        self._fitness: Fitness | None = None
        self._ways: dict[tuple[str, str, bool], Way] = {}

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return the signature value over ``data`` with the digest named."""
        return self._keyed.signer("auto", algorithm).sign(data)

    @property
    def fitness(self) -> Fitness:
        """What the certificate allows, read at the first use."""
        if self._fitness is None:
            from smime.cms.fitness import Fitness

            self._fitness = Fitness(self.certificate)
        return self._fitness

    def way(self, policy: Policy) -> Way:
        """Return how it signs under this policy, made at the first call."""
        key = (policy.signature, policy.digest, policy.cades)
        way = self._ways.get(key)
        if way is None:
            way = self._ways[key] = self._make(*key)
        return way

    def _make(self, signature: str, digest_name: str, cades: bool) -> Way:
        signer = self._keyed.signer(signature, digest_name)
        way = Way()
        way.certificates_der = self.certificates_der
        way.digest = signer.digest
        way.before = _ONE + self._sid + DIGEST_ALGORITHM[signer.digest]
        way.after = signer.algorithm
        way.fixed_octets = signer.fixed_octets
        way.sign = signer.sign
        way.sign_hashed = signer.sign_hashed
        more = [attrs.protection(DIGEST_ALGORITHM[signer.digest], signer.algorithm)]
        if cades:
            from cryptography.hazmat.primitives.serialization import Encoding

            more.append(attrs.signing_certificate(self.certificate.public_bytes(Encoding.DER)))
        way.more = tuple(more)
        way.announced = self._announced
        way.fill = attrs.Template(DIGESTS[signer.digest][1], (way.announced, *more)).fill
        return way


class Choices:
    """What the caller of ``build`` and ``frame`` asks for, checked once."""

    __slots__ = ("attributes", "content_type", "signed", "unsigned")

    def __init__(
        self,
        content_type: bytes | str,
        attributes: bool,
        signed: Iterable[bytes],
        unsigned: Iterable[bytes],
    ) -> None:
        if isinstance(content_type, str):
            content_type = oid(content_type)[2:]
        self.content_type = content_type
        self.attributes = attributes
        self.signed = attrs.checked(signed, signed=True)
        self.unsigned = attrs.checked(unsigned, signed=False)
        if not attributes and self.signed:
            raise ValueError("attributes=False leaves no place for signed_attributes")
        if not attributes and content_type != DATA:
            raise ValueError(
                "content that is not plain data must be signed through attributes (RFC 5652 §5.3)"
            )


def digest_names(signers: Sequence[SigningKey], policy: Policy) -> list[str]:
    """Return the digests of the content that these signers need, without repeats."""
    return list(dict.fromkeys(one.way(policy).digest for one in signers))


def build(
    content: bytes,
    signers: Sequence[SigningKey],
    *,
    detached: bool,
    at: datetime,
    policy: Policy,
    content_type: bytes | str = DATA,
    attributes: bool = True,
    signed_attributes: Iterable[bytes] = (),
    unsigned_attributes: Iterable[bytes] = (),
) -> tuple[bytes, list[str]]:
    """Return a ContentInfo with SignedData in DER, and the digests that were used.

    Every signer signs ``content``; its certificate and the chain above it, but
    no self-signed root, go along. ``content_type`` is dotted, or the content
    octets of its identifier. ``signed_attributes`` and ``unsigned_attributes``
    are further attributes as DER (``attributes.attribute`` makes them), the
    same for every signer. ``attributes=False`` signs the content itself.

    Raises ``KeyProblem`` or ``NotSupported`` when a key does not sign, or when
    content without attributes could be taken for the attributes of another
    message; ``LimitExceeded`` for what EdDSA cannot sign without attributes;
    ``ValueError`` for attributes that are none.
    """
    if len(signers) == 1 and content_type == DATA and attributes and not unsigned_attributes:
        (only,) = signers
        way = only.way(policy)
        if not signed_attributes:
            # The ordinary case, as short as it can be.
            signed = way.fill(digest(way.digest, content), at)
            if detached:
                return way.detached(signed, way.sign(signed)), [way.digest]
            info = _signer_info(way, signed, way.sign(signed))
            infos, digest_set = tlv(0x31, info), _DIGEST_SET[way.digest]
            made = _assemble(digest_set, only.certificates_der, infos, DATA, content, detached)
            return made, [way.digest]
    choices = Choices(content_type, attributes, signed_attributes, unsigned_attributes)
    names = digest_names(signers, policy)
    digests = {name: digest(name, content) for name in names}
    infos = set_of(
        *(
            signer_info(one, policy, choices, at=at, digests=digests, content=content)
            for one in signers
        )
    )
    certificates = sorted({der for one in signers for der in one.certificates_der})
    digest_set = set_of(*(DIGEST_ALGORITHM[name] for name in names))
    return (
        _assemble(digest_set, certificates, infos, choices.content_type, content, detached),
        names,
    )


def _signer_info(way: Way, signed: bytes, value: bytes, unsigned: bytes = b"") -> bytes:
    """Return a SignerInfo (RFC 5652 §5.3) whose value is over the attributes ``signed``."""
    return sequence(
        way.before, b"\xa0", signed[1:], way.after, head(0x04, len(value)), value, unsigned
    )


def signer_info(
    signer: SigningKey,
    policy: Policy,
    choices: Choices,
    *,
    at: datetime,
    digests: Mapping[str, bytes],
    content: bytes | None,
    octets: int = 0,
) -> bytes:
    """Return one SignerInfo for content that has these digests.

    ``content`` is None where it went by already; its length is ``octets`` then.
    """
    way = signer.way(policy)
    unsigned = tlv(0xA1, b"".join(sorted(choices.unsigned))) if choices.unsigned else b""
    if not choices.attributes:
        value = _sign_content(way, signer.kind, digests, content, octets)
        return sequence(way.before, way.after, head(0x04, len(value)), value, unsigned)
    more = (*way.more, *choices.signed)
    if choices.content_type == DATA:
        more = (*more, way.announced)
    signed = attrs.write(choices.content_type, digests[way.digest], at, more)
    return _signer_info(way, signed, way.sign(signed), unsigned)


def countersigner_info(signer: SigningKey, policy: Policy, value: bytes, *, at: datetime) -> bytes:
    """Return the SignerInfo of a countersignature over a signature value (RFC 5652 §11.4)."""
    way = signer.way(policy)
    signed = attrs.write(None, digest(way.digest, value), at, way.more)
    return _signer_info(way, signed, way.sign(signed))


def _sign_content(
    way: Way, kind: str, digests: Mapping[str, bytes], content: bytes | None, octets: int
) -> bytes:
    if kind in FIXED_DIGEST:
        check_pure_length(kind, octets if content is None else len(content))
    if content is None:
        if way.sign_hashed is None:
            raise NotSupported(
                f"a key of kind {kind}, or one kept elsewhere, signs content without attributes"
                " only when it is in memory"
            )
        return way.sign_hashed(digests[way.digest])
    refuse_attributes(content)
    return way.sign(content)


def refuse_attributes(beginning: bytes) -> None:
    """Refuse to sign content itself that reads as attributes: no verifier could see the trick.

    Such a signature would fit a message that has this content for its signed
    attributes, and another content of somebody's choice (RFC 5652 §5.4).
    """
    if attrs.reads_as_attributes(beginning):
        raise KeyProblem(
            "content that is the signed attributes of a message is not signed without attributes:"
            " the signature would fit another content",
            hint="sign it with attributes, which is the default",
        )


def _assemble(
    digest_set: bytes,
    certificates: Sequence[bytes],
    infos: bytes,
    content_type: bytes,
    content: bytes,
    detached: bool,
) -> bytes:
    """Return the ContentInfo (RFC 5652 §3, §5.1)."""
    if content_type == DATA:
        start, inner = _ONE + digest_set, _ID_DATA
    else:
        start, inner = _THREE + digest_set, tlv(0x06, content_type)
    if not detached:
        inner += tlv(0xA0, tlv(0x04, content))
    joined = b"".join(certificates)
    signed = sequence(start, head(0x30, len(inner)), inner, head(0xA0, len(joined)), joined, infos)
    return sequence(_ID_SIGNED_DATA, head(0xA0, len(signed)), signed)


class Frame:
    """What stands around a content that goes by in pieces.

    ``digests`` names what has to be computed over the content. Write
    ``before``, the content, and ``after(...)``. For an opaque message of known
    length the result is DER; where ``in_pieces`` is true the content has to be
    written as OCTET STRINGs one after the other (``piece``). A detached message
    has nothing before; ``after`` is all of it.
    """

    __slots__ = ("_after", "before", "digests", "in_pieces")

    before: bytes
    digests: tuple[str, ...]
    in_pieces: bool
    _after: Callable[[Mapping[str, bytes], bytes, int], bytes]

    @staticmethod
    def piece(data: bytes) -> bytes:
        """Return a piece of the content as it stands in a message of unknown length."""
        return head(0x04, len(data)) + data

    def after(
        self, digests: Mapping[str, bytes], *, beginning: bytes = b"", octets: int = 0
    ) -> bytes:
        """Sign, and return what stands behind the content.

        ``digests`` are by name. ``beginning`` are the first octets of the content,
        at least 64 KiB or all, and ``octets`` its length; both are needed only
        without attributes.
        """
        return self._after(digests, beginning, octets)


def frame(
    signers: Sequence[SigningKey],
    *,
    detached: bool,
    at: datetime,
    policy: Policy,
    octets: int | None = None,
    content_type: bytes | str = DATA,
    attributes: bool = True,
    signed_attributes: Iterable[bytes] = (),
    unsigned_attributes: Iterable[bytes] = (),
) -> Frame:
    """Return what stands around a content that is signed while it goes by.

    The arguments are those of ``build``. With ``octets``, the length of the
    content, and keys whose values all have one length (all but ECDSA), an
    opaque message comes out in DER, else with indefinite lengths (BER).
    """
    choices = Choices(content_type, attributes, signed_attributes, unsigned_attributes)
    names = digest_names(signers, policy)
    digest_set = set_of(*(DIGEST_ALGORITHM[name] for name in names))
    certificates = b"".join(sorted({der for one in signers for der in one.certificates_der}))
    certificates = tlv(0xA0, certificates)
    version = _ONE if choices.content_type == DATA else _THREE
    start = version + digest_set
    kind = tlv(0x06, choices.content_type)
    found = Frame()
    found.digests = tuple(names)

    def infos(digests: Mapping[str, bytes], beginning: bytes, length: int) -> bytes:
        if not attributes:
            refuse_attributes(beginning)
        content = beginning if not attributes and len(beginning) == length else None
        return set_of(
            *(
                signer_info(
                    one, policy, choices, at=at, digests=digests, content=content, octets=length
                )
                for one in signers
            )
        )

    if detached:
        found.before, found.in_pieces = b"", False

        def after_detached(digests: Mapping[str, bytes], beginning: bytes, length: int) -> bytes:
            inner = sequence(start, sequence(kind), certificates, infos(digests, beginning, length))
            return sequence(_ID_SIGNED_DATA, tlv(0xA0, inner))

        found._after = after_detached
        return found
    known = octets is not None and all(one.way(policy).fixed_octets for one in signers)
    found.in_pieces = not known
    if octets is not None and known:
        behind = len(certificates) + _infos_octets(signers, policy, choices, at)
        found.before = _definite(start, kind, octets, behind)
        found._after = lambda *given: certificates + infos(*given)
        return found
    found.before = b"".join(
        (
            *(b"\x30\x80", _ID_SIGNED_DATA, b"\xa0\x80\x30\x80", start),
            *(b"\x30\x80", kind, b"\xa0\x80\x24\x80"),
        )
    )
    found._after = lambda *given: _END * 3 + certificates + infos(*given) + _END * 3
    return found


def _infos_octets(
    signers: Sequence[SigningKey], policy: Policy, choices: Choices, at: datetime
) -> int:
    """Return how long the SET of SignerInfos will be, by making it with empty values."""
    infos = []
    for one in signers:
        way = one.way(policy)
        signed = b""
        if choices.attributes:
            more = (*way.more, *choices.signed)
            if choices.content_type == DATA:
                more = (*more, way.announced)
            empty = bytes(DIGESTS[way.digest][1])
            signed = b"\xa0" + attrs.write(choices.content_type, empty, at, more)[1:]
        unsigned = tlv(0xA1, b"".join(choices.unsigned)) if choices.unsigned else b""
        value = tlv(0x04, bytes(way.fixed_octets))
        infos.append(sequence(way.before, signed, way.after, value, unsigned))
    return len(set_of(*infos))


def _definite(start: bytes, kind: bytes, octets: int, behind: int) -> bytes:
    """Return what stands before the content in DER; lengths grow from the inside out."""
    string = head(0x04, octets)
    explicit = head(0xA0, len(string) + octets)
    encapsulated_octets = len(kind) + len(explicit) + len(string) + octets
    encapsulated = head(0x30, encapsulated_octets)
    signed_octets = len(start) + len(encapsulated) + encapsulated_octets + behind
    signed = head(0x30, signed_octets)
    inner = head(0xA0, len(signed) + signed_octets)
    outer_octets = len(_ID_SIGNED_DATA) + len(inner) + len(signed) + signed_octets
    outer = head(0x30, outer_octets)
    return b"".join(
        (outer, _ID_SIGNED_DATA, inner, signed, start, encapsulated, kind, explicit, string)
    )
