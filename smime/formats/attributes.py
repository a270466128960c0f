"""What a signature over a mail says beside: whom to write to, and who wants a receipt.

Floor:  formats (uses cms, keys, policy)
Source: RFC 8551 §2.5.3; RFC 2634 §2
"""

from __future__ import annotations

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Sequence

    from smime.keys import Identity
    from smime.policy import Policy

__all__ = ["has_own", "signed_attributes"]


def signed_attributes(signers: Sequence[Identity], policy: Policy) -> tuple[bytes, ...]:
    """Return the attributes in DER that are signed with a mail, beside those of every signature."""
    return (*_preference(signers), *_receipt_request(policy))


def has_own(signer: Identity, policy: Policy) -> bool:
    """Whether there are any where one signs."""
    return bool(policy.receipts_to) or not _is_written_to(signer)


def _is_written_to(signer: Identity) -> bool:
    return signer.recipient.certificate is signer.certificate


def _preference(signers: Sequence[Identity]) -> tuple[bytes, ...]:
    """Name the certificate to write to, where it is another one than signs (RFC 8551 §2.5.3)."""
    first = signers[0]
    if len(signers) > 1 or _is_written_to(first):
        return ()
    from cryptography.hazmat.primitives.serialization import Encoding

    from smime.cms.preference import write_preference

    return (write_preference(first.recipient.certificate.public_bytes(Encoding.DER)),)


def _receipt_request(policy: Policy) -> tuple[bytes, ...]:
    if not policy.receipts_to:
        return ()
    from smime.cms.receipt import write_request

    return (write_request(policy.receipts_to),)
