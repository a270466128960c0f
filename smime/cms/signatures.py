"""SignedData as it arrives, checked signer by signer.

Floor:  cms (uses errors, report, policy)
Source: RFC 5652 §5.4 to §5.6, §11; RFC 8933 for the digest of the attributes
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms.attributes import COUNTERSIGNATURE, TIME_STAMP_TOKEN, reads_as_attributes
from smime.cms.bindings import check_protection, names_certificate
from smime.cms.contents import Content, HashedContent
from smime.cms.der import Indefinite, top
from smime.cms.names import by_value, issuer_and_serial, key_identifiers
from smime.cms.schemes import FIXED_DIGEST, verify
from smime.cms.signerinfo import SignedData, SignerInfo, exact, read, read_signer
from smime.errors import LimitExceeded, MalformedMail, NotSupported, SmimeError
from smime.report import Answer, Finding, Note

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence
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
    "sound",
]

# Countersignatures and time stamps of one message that are looked at: each costs a
# signature check, and anybody on the way can add some.
MAX_COUNTERSIGNATURES = 16
MAX_TIME_STAMPS = 4
MAX_COUNTERSIGNATURE_DEPTH = 4

_INTACT = Finding.yes("the content is what was signed", "RFC 5652 §5.4")
_GENUINE = Finding.yes("the signature was made with the signer's key", "RFC 5652 §5.6")
_INTACT_OPEN = Finding.open("not-checked", "the content was not checked", "RFC 5652 §5.4")
_GENUINE_OPEN = Finding.open("not-checked", "the signature value was not checked", "RFC 5652 §5.6")
_WEAK = alg.WEAK_DIGESTS | alg.WEAK_SIGNATURES
_LINE_ENDS = Note("line-ends", "the line ends were changed on the way and put back to CRLF")


class CheckedSignature:
    """What the mathematics of one signature gave."""

    __slots__ = (
        "_signer",
        "alone",
        "cert_der",
        "certificate",
        "countersignatures",
        "digest",
        "digest_algorithm",
        "genuine",
        "intact",
        "notes",
        "time_stamps",
    )

    def __init__(self, signer: SignerInfo) -> None:
        self._signer = signer
        self.certificate: x509.Certificate | None = None
        self.cert_der: bytes | None = None
        """The same certificate as DER."""
        self.alone = False
        """No other certificate that is at hand is named by the signer's identifier."""
        self.intact = _INTACT_OPEN
        self.genuine = _GENUINE_OPEN
        self.digest = b""
        self.digest_algorithm = signer.digest
        self.notes: tuple[Note, ...] = ()
        self.countersignatures: tuple[CheckedSignature, ...] = ()
        """Signatures over this signature's value (RFC 5652 §11.4)."""
        self.time_stamps: tuple[CheckedTimeStamp, ...] = ()
        """RFC 3161 tokens over this signature's value; nobody vouched for their makers."""

    @property
    def name(self) -> str:
        """How the message names the signer, for people."""
        return self._signer.name

    @property
    def signed_at(self) -> datetime | None:
        """When the signer says that it signed."""
        attributes = self._signer.attributes
        return attributes.signing_time() if attributes is not None else None

    @property
    def capabilities(self) -> tuple[str, ...]:
        """What the signer says that it reads."""
        attributes = self._signer.attributes
        return attributes.capabilities() if attributes is not None else ()

    @property
    def holds(self) -> bool:
        """Content and value are right, by mathematics alone."""
        return self.intact.answer is self.genuine.answer is Answer.YES


def sound(
    signer: SignerInfo, digest: bytes, cert_der: bytes, certificate: x509.Certificate
) -> CheckedSignature:
    """Return what ``check`` finds of a signature that is known to be right in every respect."""
    result = CheckedSignature(signer)
    result.cert_der, result.certificate, result.alone = cert_der, certificate, True
    result.intact, result.genuine, result.digest = _INTACT, _GENUINE, digest
    return result


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
            if name in _WEAK and name not in self.policy.weak:
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
) -> list[tuple[bytes, x509.Certificate]]:
    """Return every certificate that the signer's identifier can mean."""
    if signer.identifier and not known and (named := signed.carried.named(signer.identifier)):
        found = [(der, signed.certificate(der)) for der in named]
        return [(der, one) for der, one in found if one is not None]
    pairs: dict[bytes, x509.Certificate | None] = dict.fromkeys(signed.certificates_der)
    if known:
        from cryptography.hazmat.primitives.serialization import Encoding

        pairs |= {one.public_bytes(Encoding.DER): one for one in known}
    if not signer.identifier:
        return [
            (der, one)
            for der, parsed in pairs.items()
            if (one := parsed or signed.certificate(der)) is not None
            and signer.key_identifier in _key_identifiers(one)
        ]
    hits = exact(signer.identifier, pairs)
    if not hits:
        value = by_value(signer.identifier)
        names = [(der, _identifier_of(der)) for der in pairs]
        hits = [der for der, name in names if name and by_value(name) == value]
    return [
        (der, one) for der in hits if (one := pairs[der] or signed.certificate(der)) is not None
    ]


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
    candidates: list[tuple[bytes, x509.Certificate]],
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
    result.cert_der, result.certificate = candidates[0]
    result.alone = len(candidates) == 1
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
            (pair, verify(pair[1], scheme, result.digest_algorithm, signer.value, covered))
            for pair in candidates
        ]
    except NotSupported as unsupported:
        result.genuine = Finding.open("not-supported", str(unsupported), "RFC 5754 §3")
        return
    fitting = [pair for pair, form in tried if form is not None]
    result.genuine = _settle(signer, fitting, result)
    if signer.attributes is None and any(form not in (None, covered[0]) for _, form in tried):
        # It is the form with CRLF that was signed.
        content.repaired = True
        result.digest = content.digest(result.digest_algorithm, repaired=True) or b""
        result.notes += (_LINE_ENDS,)


def _settle(
    signer: SignerInfo, fitting: list[tuple[bytes, x509.Certificate]], result: CheckedSignature
) -> Finding:
    """Say whether exactly one certificate made the signature, and is the one it names."""
    if not fitting:
        return Finding.no(
            "signature-wrong", "the signature was not made with the signer's key", "RFC 5652 §5.6"
        )
    result.cert_der, result.certificate = fitting[0]
    attributes = signer.attributes
    if attributes is not None and attributes.names_certificates():
        fitting = [pair for pair in fitting if names_certificate(attributes, pair[0])]
        if not fitting:
            return Finding.no(
                "certificate-differs",
                "the signed attributes name another certificate than the signer's",
                "RFC 5035 §5.4.1",
            )
        result.cert_der, result.certificate = fitting[0]
    if len(fitting) > 1:
        return Finding.no(
            "certificate-ambiguous",
            f"{len(fitting)} certificates with the same key claim this signature",
            "RFC 5652 §5.3",
        )
    return _GENUINE
