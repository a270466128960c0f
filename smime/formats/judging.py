"""Signatures that were checked, judged: whose they are, and what that is worth.

Floor:  formats (uses trust through its protocol, keys, cms and report)
Source: RFC 8550 §3 for the signer's address
"""

from __future__ import annotations

from smime.cms.judging import Judged, best, parser, trusts, wants_no_chain
from smime.cms.names import name_of
from smime.cms.proving import Times, judge
from smime.keys.address import certificate_addresses, same_address

TYPE_CHECKING = False
if TYPE_CHECKING:
    from datetime import datetime

    from cryptography import x509

    from smime.cms import signatures
    from smime.policy import Policy
    from smime.protocols import Judgement
    from smime.report import SignatureCheck

__all__ = [
    "Judged",
    "Times",
    "best",
    "judge",
    "judged",
    "names",
    "parser",
    "signature_check",
    "trusts",
    "wants_no_chain",
]


def signature_check(
    checked: signatures.CheckedSignature, judgement: Judgement | None, at: datetime
) -> SignatureCheck:
    """Put what mathematics and what trust found into one check."""
    return judged(checked, judgement, at).check


def judged(
    checked: signatures.CheckedSignature, judgement: Judgement | None, at: datetime
) -> Judged:
    """Keep what mathematics and what trust found together, to be put into words later."""
    return Judged(checked, judgement, at, _certificate_name)


def _certificate_name(certificate: x509.Certificate) -> str:
    return ", ".join(certificate_addresses(certificate)) or name_of(lambda: certificate.subject)


def names(check: SignatureCheck, sender: str, policy: Policy) -> bool:
    """The certificate or OpenPGP key that the signature names is one of the sender's."""
    certificate = check.certificate
    any_case = policy.local_part == "any-case"
    named = check.addresses if certificate is None else certificate_addresses(certificate)
    return any(same_address(sender, one, any_case=any_case) for one in named)
