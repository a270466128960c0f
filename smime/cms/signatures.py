"""SignedData as it arrives, checked signer by signer.

Floor:  cms (uses errors, report, policy)
Source: RFC 5652 §5.4 to §5.6, §11; RFC 8933 for the digest of the attributes
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms.attributes import COUNTERSIGNATURE, TIME_STAMP_TOKEN, reads_as_attributes
from smime.cms.bindings import check_protection, names_certificate
from smime.cms.der import Indefinite, top
from smime.cms.names import by_value, issuer_and_serial, key_identifiers
from smime.cms.schemes import FIXED_DIGEST, Hashed, check_pure_length, verify
from smime.cms.signerinfo import SignedData, SignerInfo, parse_certificate, read, read_signer
from smime.errors import LimitExceeded, MalformedMail, NotSupported, SmimeError
from smime.report import Answer, Finding, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Mapping, Sequence
    from datetime import datetime
    from typing import TypeAlias

    from cryptography import x509

    from smime.cms.timestamp import CheckedTimeStamp
    from smime.policy import Policy

    AnyContent: TypeAlias = "Content | HashedContent"

__all__ = [
    "CheckedSignature",
    "Content",
    "HashedContent",
    "SignedData",
    "SignerInfo",
    "check",
    "read",
]

# Countersignatures and time stamps of one message that are looked at: each costs a
# signature check, and anybody on the way can add some.
MAX_COUNTERSIGNATURES = 16
MAX_TIME_STAMPS = 4
MAX_COUNTERSIGNATURE_DEPTH = 4

_INTACT = Finding.yes("the content is what was signed", "RFC 5652 §5.4")
_GENUINE = Finding.yes("the signature was made with the signer's key", "RFC 5652 §5.6")
_LINE_ENDS = Note("line-ends", "the line ends were changed on the way and put back to CRLF")


class CheckedSignature:
    """What the mathematics of one signature gave."""

    __slots__ = (
        "capabilities",
        "certificate",
        "countersignatures",
        "digest",
        "digest_algorithm",
        "genuine",
        "intact",
        "name",
        "notes",
        "signed_at",
        "time_stamps",
    )

    def __init__(self, signer: SignerInfo) -> None:
        self.name = signer.name
        self.certificate: x509.Certificate | None = None
        self.intact = Finding.open("not-checked", "the content was not checked", "RFC 5652 §5.4")
        self.genuine = Finding.open(
            "not-checked", "the signature value was not checked", "RFC 5652 §5.6"
        )
        self.digest = b""
        self.digest_algorithm = signer.digest
        self.signed_at: datetime | None = None
        self.capabilities: tuple[str, ...] = ()
        self.notes: tuple[Note, ...] = ()
        self.countersignatures: tuple[CheckedSignature, ...] = ()
        """Signatures over this signature's value (RFC 5652 §11.4)."""
        self.time_stamps: tuple[CheckedTimeStamp, ...] = ()
        """RFC 3161 tokens over this signature's value; nobody vouched for their makers."""

    @property
    def holds(self) -> bool:
        """Content and value are right, by mathematics alone."""
        return self.intact.answer is self.genuine.answer is Answer.YES


class Content:
    """The content that signatures are held against, with its digests kept.

    ``repair`` gives the same content with CRLF line ends, or None when there
    is nothing to repair: mail filters and mailboxes hand over bare LF, and
    what was signed had CRLF (RFC 8551 §3.1.1).
    """

    __slots__ = ("_digests", "_repair", "_repaired", "as_received", "repaired")

    def __init__(self, data: bytes, repair: Callable[[bytes], bytes] | None = None) -> None:
        self.as_received = data
        self.repaired = False
        self._repair = repair if repair is not None and b"\n" in data else None
        self._repaired: bytes | None = None
        self._digests: dict[tuple[str, bool], bytes] = {}

    @property
    def beginning(self) -> bytes:
        return self.as_received

    @property
    def data(self) -> bytes:
        """The content in the form in which a signature fitted."""
        return self._repaired if self.repaired and self._repaired is not None else self.as_received

    def digest(self, name: str, repaired: bool = False) -> bytes | None:
        """Return the digest, of the repaired form if asked; None where there is none."""
        known = self._digests.get((name, repaired))
        if known is not None:
            return known
        data = self._repaired_form() if repaired else self.as_received
        if data is None:
            return None
        value = self._digests[name, repaired] = alg.digest(name, data)
        return value

    def _repaired_form(self) -> bytes | None:
        """Return the repaired form where it is another one than what was received."""
        if self._repaired is None and self._repair is not None:
            self._repaired = self._repair(self.as_received)
        return None if self._repaired == self.as_received else self._repaired

    def forms(self, kind: str, name: str) -> list[bytes]:  # noqa: ARG002  # as HashedContent has it
        """Return what a signature without attributes may cover: the content, perhaps repaired.

        Raises ``LimitExceeded`` for what its kind of key does not take whole.
        """
        check_pure_length(kind, len(self.as_received))
        repaired = self._repaired_form()
        return [self.as_received] if repaired is None else [self.as_received, repaired]


class HashedContent:
    """Content that went by piece by piece: its digests are left, and how it began.

    ``digests`` are by name, such as ``sha256``; ``beginning`` are its first
    octets, at least 64 KiB of them or all; ``octets`` is its whole length.
    """

    __slots__ = ("_digests", "beginning", "octets", "repaired")

    def __init__(self, digests: Mapping[str, bytes], beginning: bytes, octets: int) -> None:
        self._digests = digests
        self.beginning = beginning
        self.octets = octets
        self.repaired = False

    def digest(self, name: str, repaired: bool = False) -> bytes | None:
        """Return the digest, or None if it was not computed."""
        return None if repaired else self._digests.get(name)

    def forms(self, kind: str, name: str) -> list[bytes]:
        """Return what a signature without attributes may cover, as a digest if that will do.

        Raises ``NotSupported`` where the content would be needed whole.
        """
        check_pure_length(kind, self.octets)
        if len(self.beginning) == self.octets:
            return [self.beginning]
        value = self._digests.get(name)
        if kind in FIXED_DIGEST or value is None:
            raise NotSupported("a signature without attributes needs its content whole here")
        return [Hashed(value)]


def check(
    signed: SignedData,
    content: AnyContent,
    *,
    policy: Policy,
    known: Sequence[x509.Certificate] = (),
) -> tuple[CheckedSignature, ...]:
    """Check every signature over ``content``; never raises for a bad one.

    ``known`` are certificates from elsewhere, for messages that do not carry
    the signer's.
    """
    work = _Work(signed, policy, known)
    return tuple(work.check(signer, content) for signer in signed.signers)


class _Work:
    """One message being checked, and what may still be spent on it."""

    __slots__ = ("countersignatures_left", "known", "policy", "signed", "time_stamps_left")

    def __init__(
        self, signed: SignedData, policy: Policy, known: Sequence[x509.Certificate]
    ) -> None:
        self.signed = signed
        self.policy = policy
        self.known = known
        self.countersignatures_left = MAX_COUNTERSIGNATURES
        self.time_stamps_left = MAX_TIME_STAMPS

    def check(
        self, signer: SignerInfo, content: AnyContent, *, counter: int = 0
    ) -> CheckedSignature:
        """Check one signer; ``counter`` is how deep a countersignature stands, else 0."""
        result = CheckedSignature(signer)
        attributes = signer.attributes
        kind = signer.scheme.kind
        if attributes is None and kind in FIXED_DIGEST:
            # RFC 9882 §3.3, RFC 8419 §2.3: the digest that is named plays no part then.
            result.digest_algorithm = FIXED_DIGEST[kind]
        problem = self._algorithm_problem(signer, result.digest_algorithm)
        if problem is not None:
            result.intact = problem
            return result
        content_type = None if counter else self.signed.content_type
        covered = _covered(signer, content_type, content, self.policy, result)
        if attributes is not None:
            result.signed_at = attributes.signing_time()
            result.capabilities = attributes.capabilities()
        # A signature over attributes can be genuine although the content is not
        # what they say; both are told.
        _check_value(signer, content, covered, _candidates(signer, self.signed, self.known), result)
        if signer.unsigned is not None and counter < MAX_COUNTERSIGNATURE_DEPTH:
            self._check_unsigned(signer, result, counter)
        return result

    def _algorithm_problem(self, signer: SignerInfo, digest: str) -> Finding | None:
        if digest not in alg.DIGESTS:
            reason = f"digest algorithm {digest} is not supported"
            return Finding.open("not-supported", reason, "RFC 5754 §2")
        for name in (digest, signer.scheme.digest, signer.scheme.kind):
            if name in alg.WEAK_DIGESTS | alg.WEAK_SIGNATURES and name not in self.policy.weak:
                reason = f"{name.upper()} is too weak to be relied on"
                return Finding.no("weak-algorithm", reason, "RFC 8551 §2.1")
        return None

    def _check_unsigned(self, signer: SignerInfo, result: CheckedSignature, depth: int) -> None:
        """Check what was put over this signature: countersignatures and time stamps."""
        assert signer.unsigned is not None
        over = Content(signer.value)
        found = []
        for der in signer.unsigned.every(COUNTERSIGNATURE):
            if not self.countersignatures_left:
                break
            self.countersignatures_left -= 1
            try:
                other = read_signer(der, top(der))
            except (MalformedMail, Indefinite):
                text = "a countersignature cannot be read"
                result.notes += (Note("countersignature-wrong", text),)
                continue
            one = self.check(other, over, counter=depth + 1)
            found.append(one)
            result.notes += (_countersignature_note(one),)
        result.countersignatures = tuple(found)
        tokens = signer.unsigned.every(TIME_STAMP_TOKEN)[: self.time_stamps_left]
        if tokens:
            from smime.cms.timestamp import check_token, note_of

            self.time_stamps_left -= len(tokens)
            result.time_stamps = tuple(
                check_token(der, signer.value, policy=self.policy, known=self.known)
                for der in tokens
            )
            result.notes += tuple(map(note_of, result.time_stamps))


def _countersignature_note(checked: CheckedSignature) -> Note:
    if checked.holds:
        return Note(
            "countersignature",
            f"countersigned by {checked.name}, for whom nobody was asked to vouch",
        )
    bad = checked.intact if checked.intact.answer is not Answer.YES else checked.genuine
    return Note(
        "countersignature-wrong", f"a countersignature by {checked.name} is not right: {bad.reason}"
    )


def _covered(
    signer: SignerInfo,
    content_type: bytes | None,
    content: AnyContent,
    policy: Policy,
    result: CheckedSignature,
) -> list[bytes]:
    """Settle ``intact`` and return the octets that the value may cover, likeliest first."""
    attributes = signer.attributes
    if attributes is None:
        return _covered_without_attributes(signer, content_type, content, policy, result)
    stated = attributes.message_digest()
    protected = check_protection(attributes, signer.digest_algorithm, signer.signature_algorithm)
    if stated is None or attributes.content_type() != content_type:
        result.intact = Finding.no(
            "attributes-invalid",
            "the signed attributes do not name exactly one digest and the type of the content",
            "RFC 5652 §11.1, §11.2",
        )
    elif protected is not None:
        result.intact = protected
    else:
        result.digest = content.digest(signer.digest) or b""
        if stated == result.digest:
            result.intact = _INTACT
        elif stated == content.digest(signer.digest, repaired=True):
            result.digest = stated
            result.intact = _INTACT
            content.repaired = True
            result.notes += (_LINE_ENDS,)
        else:
            result.intact = Finding.no(
                "digest-differs", "the content was changed after signing", "RFC 5652 §5.4"
            )
    forms = [attributes.as_received()]
    if not attributes.in_order:
        # RFC 5652 §5.3 wants DER. Some sign what they send, some sort first.
        result.notes += (Note("attributes-not-der", "the signed attributes are not in DER order"),)
        forms.append(attributes.in_der())
    return forms


def _covered_without_attributes(
    signer: SignerInfo,
    content_type: bytes | None,
    content: AnyContent,
    policy: Policy,
    result: CheckedSignature,
) -> list[bytes]:
    result.digest = content.digest(result.digest_algorithm) or b""
    if content_type not in (alg.DATA, None):
        result.intact = Finding.no(
            "attributes-missing",
            "content that is not plain data must be signed through attributes",
            "RFC 5652 §5.3",
        )
        return []
    try:
        forms = content.forms(signer.scheme.kind, result.digest_algorithm)
    except (NotSupported, LimitExceeded) as lacking:
        result.intact = Finding.open("not-supported", str(lacking), "RFC 5652 §5.4")
        return []
    if any(map(reads_as_attributes, (*forms, content.beginning))):
        # Whoever holds a signature over attributes could show those as content.
        result.intact = Finding.no(
            "attributes-as-content",
            "the content is the signed attributes of another message: a forgery",
            "RFC 5652 §5.3",
        )
        return []
    if "no-attributes" not in policy.weak:
        result.intact = Finding.no(
            "attributes-missing",
            "the signature has no signed attributes, so it could be taken from another message",
            "RFC 8551 §2.5",
        )
        return []
    result.intact = _INTACT
    return forms


def _candidates(
    signer: SignerInfo, signed: SignedData, known: Sequence[x509.Certificate]
) -> list[x509.Certificate]:
    """Return every certificate that the signer's identifier can mean."""
    from cryptography.hazmat.primitives.serialization import Encoding

    pairs: list[tuple[bytes, x509.Certificate | None]] = [
        (d, None) for d in signed.certificates_der
    ]
    pairs += [(one.public_bytes(Encoding.DER), one) for one in known]
    if signer.identifier:
        names = [(_identifier_of(der), der, one) for der, one in pairs]
        hits = [(der, one) for name, der, one in names if name == signer.identifier]
        if not hits:
            value = by_value(signer.identifier)
            hits = [(der, one) for name, der, one in names if name and by_value(name) == value]
        found = [one or parse_certificate(der) for der, one in dict(hits).items()]
    else:
        parsed_all = [one or parse_certificate(der) for der, one in dict(pairs).items()]
        found = [
            one
            for one in parsed_all
            if one is not None and signer.key_identifier in _key_identifiers(one)
        ]
    return [one for one in found if one is not None]


def _identifier_of(der: bytes) -> bytes:
    try:
        return issuer_and_serial(der)
    except (SmimeError, Indefinite):
        return b""


def _key_identifiers(certificate: x509.Certificate) -> tuple[bytes, ...]:
    from cryptography.exceptions import UnsupportedAlgorithm

    try:
        return key_identifiers(certificate)
    except (UnsupportedAlgorithm, ValueError):
        return ()


def _check_value(
    signer: SignerInfo,
    content: AnyContent,
    covered: list[bytes],
    candidates: list[x509.Certificate],
    result: CheckedSignature,
) -> None:
    """Settle ``genuine`` and ``certificate``."""
    if not candidates:
        result.genuine = Finding.open(
            "no-certificate",
            f"the certificate of the signer ({signer.name}) is not at hand",
            "RFC 5652 §5.1",
        )
        return
    result.certificate = candidates[0]
    if not covered:
        return
    scheme = signer.scheme
    if not scheme.kind:
        reason = f"signature algorithm {scheme.label} is not supported"
        result.genuine = Finding.open("not-supported", reason, "RFC 5754 §3")
        return
    if scheme.problem:
        result.genuine = Finding.no("parameters-invalid", scheme.problem, "RFC 5652 §5.3")
        return
    if scheme.digest not in (None, result.digest_algorithm):
        result.genuine = Finding.no(
            "algorithms-differ",
            f"the signature names {scheme.digest}, the signer {result.digest_algorithm}",
            "RFC 5652 §5.3",
        )
        return
    lacking = scheme.refuses(result.digest_algorithm)
    if lacking:
        result.genuine = Finding.open("not-supported", lacking, "RFC 5754 §3")
        return
    try:
        tried = [
            (one, verify(one, scheme, result.digest_algorithm, signer.value, covered))
            for one in candidates
        ]
    except NotSupported as unsupported:
        result.genuine = Finding.open("not-supported", str(unsupported), "RFC 5754 §3")
        return
    fitting = [one for one, form in tried if form is not None]
    result.genuine = _settle(signer, fitting, result)
    if signer.attributes is None and any(form not in (None, covered[0]) for _, form in tried):
        # It is the form with CRLF that was signed.
        content.repaired = True
        result.digest = content.digest(result.digest_algorithm, repaired=True) or b""
        result.notes += (_LINE_ENDS,)


def _settle(
    signer: SignerInfo, fitting: list[x509.Certificate], result: CheckedSignature
) -> Finding:
    """Say whether exactly one certificate made the signature, and is the one it names."""
    if not fitting:
        return Finding.no(
            "signature-wrong", "the signature was not made with the signer's key", "RFC 5652 §5.6"
        )
    result.certificate = fitting[0]
    attributes = signer.attributes
    if attributes is not None and attributes.names_certificates():
        from cryptography.hazmat.primitives.serialization import Encoding

        fitting = [
            one for one in fitting if names_certificate(attributes, one.public_bytes(Encoding.DER))
        ]
        if not fitting:
            return Finding.no(
                "certificate-differs",
                "the signed attributes name another certificate than the signer's",
                "RFC 5035 §5.4.1",
            )
        result.certificate = fitting[0]
    if len(fitting) > 1:
        return Finding.no(
            "certificate-ambiguous",
            f"{len(fitting)} certificates with the same key claim this signature",
            "RFC 5652 §5.3",
        )
    return _GENUINE
