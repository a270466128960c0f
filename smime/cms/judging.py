"""Signatures that were checked, put before the trust that the caller hands in.

Nothing here knows how trust is come by: whatever has ``judge(claim)`` is asked.

Floor:  cms (uses errors, report, protocols)
Source: RFC 5652 §5.6
"""

from __future__ import annotations

from smime.cms.names import name_of
from smime.cms.signerinfo import parse_certificate
from smime.errors import NotSupported, SignatureRejected
from smime.report import (
    Answer,
    Finding,
    Layer,
    Outcome,
    Report,
    SignatureCheck,
    all_accepted,
    unsupported,
)

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from typing import Any

    from cryptography import x509

    from smime.cms import signatures
    from smime.cms.proving import Times
    from smime.policy import Policy
    from smime.protocols import Claim, Judgement, Trust, Trusts

__all__ = ["Judged", "best", "demand", "judged", "parser", "signature_check", "trusts"]

_NOT_REACHED = Finding.open(
    "not-reached", "not asked, since the signature itself does not hold", "RFC 5652 §5.6"
)


def trusts(trust: Trusts, argument: str = "trust") -> tuple[Trust, ...]:
    """Return what ``trust=`` holds; raises ``TypeError`` for what cannot judge."""
    several = tuple(trust) if isinstance(trust, (list, tuple)) else (trust,)
    for one in several:
        if not callable(getattr(one, "judge", None)):
            raise TypeError(
                f"{argument}= takes smime.Anchors, smime.Pinned or another Trust, not "
                f"{type(one).__name__}: smime.Anchors.load('root.pem'), or smime.NoTrust() to "
                "check the mathematics alone"
            )
    if not several:
        raise TypeError(f"{argument}= is empty: smime.Anchors.load('root.pem')")
    return several


def parser(trusts: tuple[Trust, ...]) -> Callable[[bytes], x509.Certificate | None]:
    """Return what parses certificates: a trust that keeps those it has parsed, else the plain way.

    That saves work; what a certificate is worth is judged all the same.
    """
    kept: list[Callable[[bytes], x509.Certificate | None]] = [
        one.parse_certificate for one in trusts if hasattr(one, "parse_certificate")
    ]
    return kept[0] if kept else parse_certificate


def wants_no_chain(trusts: tuple[Trust, ...]) -> bool:
    """Say whether all of them look at the signer's certificate alone, so that others can wait."""
    return all(getattr(one, "wants_no_chain", False) for one in trusts)


def best(trusts: tuple[Trust, ...], claim: Claim) -> Judgement:
    """Ask every trust; the first good answer counts, else the one that found a path."""
    if claim.policy.weak_until is not None:
        from dataclasses import replace

        claim = replace(claim, policy=claim.policy.as_of(claim.at))
    answers = []
    for one in trusts:
        judgement = one.judge(claim)
        if judgement.good:
            return judgement
        answers.append(judgement)
    return next((one for one in answers if one.path.answer is Answer.YES), answers[0])


def signature_check(
    checked: signatures.CheckedSignature, judgement: Judgement | None, at: datetime, signer: str
) -> SignatureCheck:
    """Put what mathematics and what trust found into one check; ``signer`` names who signed."""
    der = checked.cert_der
    chain = judgement.chain if judgement else ()
    # Encoding a certificate anew costs more than a digest of it; trust has done it.
    chain_der = judgement.chain_der if judgement else ()
    if chain and not chain_der:
        from cryptography.hazmat.primitives.serialization import Encoding

        chain_der = tuple(one.public_bytes(Encoding.DER) for one in chain)
    return SignatureCheck(
        signer=signer,
        intact=checked.intact,
        genuine=checked.genuine,
        path=judgement.path if judgement else _NOT_REACHED,
        revocation=judgement.revocation if judgement else _NOT_REACHED,
        usage=judgement.usage if judgement else _NOT_REACHED,
        address=judgement.address if judgement else _NOT_REACHED,
        time=judgement.time if judgement else _NOT_REACHED,
        at=(judgement.at if judgement else None) or at,
        signed_at=checked.signed_at,
        digest=checked.digest,
        digest_algorithm=checked.digest_algorithm,
        fingerprint=_fingerprint(der),
        proof=judgement.proof if judgement else "",
        notes=checked.notes + judgement.notes if judgement else checked.notes,
        chain=chain_der,
        cert_der=der,
    )


def _fingerprint(der: bytes | None) -> str:
    import hashlib

    return hashlib.sha256(der).hexdigest() if der else ""


def judged(
    checked: signatures.CheckedSignature,
    data: signatures.SignedData,
    trusts: tuple[Trust, ...],
    *,
    times: Times,
    sender: str | None,
    evidence: Any,
    policy: Policy,
    purpose: str,
) -> Judged:
    """Put a signature outside of mail before the trusts; an address is asked only of ``sender``."""
    from smime.cms.proving import judge
    from smime.protocols import Claim

    certificate = checked.certificate
    judgement: Judgement | None = None
    if certificate is not None and checked.genuine.answer is Answer.YES:
        claim = Claim(
            certificate=certificate,
            sender=sender,
            at=times.at,
            certificates=() if wants_no_chain(trusts) else data.certificates(),
            crls=data.crls,
            ocsp=data.ocsp,
            sender_asked=sender is not None,
            evidence=evidence,
            policy=policy,
            digest_algorithm=checked.digest_algorithm,
            purpose=purpose,
            fetches=times.fetches,
        )
        judgement = judge(trusts, claim, checked, times)
    return Judged(checked, judgement, times.at, _name)


class Judged:
    """A signature with what the trusts say of it; ``check`` puts that in words, when it is asked.

    ``name_of`` names its certificate for people.
    """

    __slots__ = ("_at", "_check", "_checked", "_judgement", "_name_of", "good", "intact", "proof")

    def __init__(
        self,
        checked: signatures.CheckedSignature,
        judgement: Judgement | None,
        at: datetime,
        name_of: Callable[[x509.Certificate], str],
    ) -> None:
        self._checked, self._judgement, self._at = checked, judgement, at
        self._name_of = name_of
        self._check: SignatureCheck | None = None
        self.intact = checked.intact
        self.proof = judgement.proof if judgement is not None else ""
        self.good = (
            judgement is not None
            and all_accepted((checked.intact, checked.genuine))
            and judgement.good
        )

    @property
    def check(self) -> SignatureCheck:
        if self._check is None:
            certificate = self._checked.certificate
            name = self._name_of(certificate) if certificate is not None else ""
            self._check = signature_check(
                self._checked, self._judgement, self._at, name or self._checked.name
            )
        return self._check


def demand(judged: tuple[Judged, ...], require: str) -> None:
    """Raise ``SignatureRejected`` unless all signatures are good, or one where that will do.

    ``NotSupported`` where nothing is wrong with any but its algorithm, which is not known here.
    """
    good = [one for one in judged if one.good]
    if good and (require == "any" or len(good) == len(judged)):
        return
    checks = tuple(one.check for one in judged)
    refused = not checks or any(f.answer is Answer.NO for one in checks for f in one.problems)
    report = Report(
        Outcome.REJECTED if refused else Outcome.UNKNOWN,
        layers=(Layer("signed", "CMS", signatures=checks),),
    )
    if not checks:
        raise SignatureRejected("nobody signed this: it holds no signatures", report)
    if lacking := unsupported(checks):
        raise NotSupported(lacking)
    bad = next(one for one in checks if not one.good)
    reasons = [one.reason for one in bad.problems if one.code != "not-reached"]
    raise SignatureRejected("; ".join(reasons), report)


def _name(certificate: x509.Certificate) -> str:
    """Name a certificate for people: its mail addresses, else its subject."""
    from cryptography import x509

    try:
        names = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName).value
        addresses = names.get_values_for_type(x509.RFC822Name)
    except (
        x509.ExtensionNotFound,
        x509.DuplicateExtension,
        x509.UnsupportedGeneralNameType,
        ValueError,
        Warning,
    ):
        addresses = []
    return ", ".join(addresses) or name_of(lambda: certificate.subject)
