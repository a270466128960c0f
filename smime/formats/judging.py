"""Signatures that were checked, judged: whose they are, and what that is worth.

Floor:  formats (uses trust through its protocol, keys, cms and report)
Source: RFC 8550 §3 for the signer's address
"""

from __future__ import annotations

from smime.keys.address import certificate_addresses, same_address
from smime.report import Answer, Finding, SignatureCheck

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from smime.cms import signatures
    from smime.protocols import Claim, Judgement, Trust, Trusts

__all__ = ["best", "names", "signature_check", "trusts"]

_NOT_REACHED = Finding.open(
    "not-reached", "not asked, since the signature itself does not hold", "RFC 5652 §5.6"
)


def trusts(trust: Trusts) -> tuple[Trust, ...]:
    """Return what ``trust=`` holds; raises ``TypeError`` for what cannot judge."""
    several = tuple(trust) if isinstance(trust, list | tuple) else (trust,)
    for one in several:
        if not callable(getattr(one, "judge", None)):
            raise TypeError(
                f"trust= takes smime.Anchors, smime.Pinned or another Trust, not "
                f"{type(one).__name__}: smime.Anchors.load('root.pem'), or smime.NoTrust() to "
                "check the mathematics alone"
            )
    if not several:
        raise TypeError("trust= is empty: smime.Anchors.load('root.pem')")
    return several


def best(trusts: tuple[Trust, ...], claim: Claim) -> Judgement:
    """Ask every trust; the first good answer counts, else the one that found a path."""
    answers = []
    for one in trusts:
        judgement = one.judge(claim)
        if judgement.good:
            return judgement
        answers.append(judgement)
    return next((one for one in answers if one.path.answer is Answer.YES), answers[0])


def signature_check(
    checked: signatures.CheckedSignature, judgement: Judgement | None, at: datetime
) -> SignatureCheck:
    """Put what mathematics and what trust found into one check."""
    from cryptography.hazmat.primitives.serialization import Encoding

    certificate = checked.certificate
    der = certificate.public_bytes(Encoding.DER) if certificate is not None else None
    chain = judgement.chain if judgement else ()
    # Encoding a certificate anew costs more than a digest of it; trust has done it.
    chain_der = judgement.chain_der if judgement else ()
    return SignatureCheck(
        signer=_certificate_name(checked),
        intact=checked.intact,
        genuine=checked.genuine,
        path=judgement.path if judgement else _NOT_REACHED,
        revocation=judgement.revocation if judgement else _NOT_REACHED,
        usage=judgement.usage if judgement else _NOT_REACHED,
        address=judgement.address if judgement else _NOT_REACHED,
        time=judgement.time if judgement else _NOT_REACHED,
        at=at,
        signed_at=checked.signed_at,
        digest=checked.digest,
        digest_algorithm=checked.digest_algorithm,
        fingerprint=_fingerprint(der),
        notes=checked.notes,
        chain=chain_der or tuple(one.public_bytes(Encoding.DER) for one in chain),
        cert_der=der,
    )


def _fingerprint(der: bytes | None) -> str:
    import hashlib

    return hashlib.sha256(der).hexdigest() if der else ""


def _certificate_name(checked: signatures.CheckedSignature) -> str:
    if checked.certificate is None:
        return checked.name
    found = certificate_addresses(checked.certificate)
    return ", ".join(found) or checked.certificate.subject.rfc4514_string() or checked.name


def names(check: SignatureCheck, sender: str) -> bool:
    """The certificate or OpenPGP key that the signature names is one of the sender's."""
    certificate = check.certificate
    if certificate is None:
        return any(same_address(sender, one) for one in check.addresses)
    return any(same_address(sender, one) for one in certificate_addresses(certificate))
