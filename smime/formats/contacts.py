"""Who signed, as somebody to write to: the certificate for it, told from the one that signs.

Floor:  formats (uses keys and cms)
Source: RFC 8551 §2.5.2, §2.5.3
"""

from __future__ import annotations

from smime.cms.preference import prefers
from smime.cms.signerinfo import parse_certificate
from smime.errors import SmimeError
from smime.keys.recipient import Recipient

TYPE_CHECKING = False
if TYPE_CHECKING:
    from cryptography import x509

    from smime.cms.signatures import CheckedSignature, SignedData, SignerInfo
    from smime.report import SignatureCheck

__all__ = ["contacts_of"]


def contacts_of(
    data: SignedData, signer: SignerInfo, checked: CheckedSignature, check: SignatureCheck
) -> list[Recipient]:
    """Return the certificates of a good signer: the one to write to first.

    That is the one that the signed attributes name, else the signing one if it
    reads, else another that came along. Another than the signing one counts
    only if it names an address of the signer and the issuer of the signing
    certificate issued it: what is in the bag of certificates nobody signed.
    """
    if checked.certificate is None:
        return []
    signing = Recipient(checked.certificate, checked.capabilities)
    others = [
        one
        for certificate in data.certificates()
        if certificate != signing.certificate
        and (one := _partner(certificate, signing, check)) is not None
    ]
    attributes = signer.attributes
    if attributes is not None:
        named = [one for one in others if prefers(attributes, one.certificate)]
        if named:
            return named[:1] if signing.fitness.reads else [named[0], signing]
    if signing.fitness.reads or not others:
        return [signing]
    newest = max(others, key=lambda one: one.fitness.not_before)
    return [newest, signing]


def _partner(
    certificate: x509.Certificate, signing: Recipient, check: SignatureCheck
) -> Recipient | None:
    from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm

    issuer = parse_certificate(check.chain[1]) if len(check.chain) > 1 else None
    if issuer is None:
        return None
    one = Recipient(certificate, signing.capabilities)
    try:
        if not one.fitness.reads or not set(one.addresses) & set(signing.addresses):
            return None
        certificate.verify_directly_issued_by(issuer)
    except (SmimeError, InvalidSignature, UnsupportedAlgorithm, ValueError, TypeError):
        return None
    return one
