"""Who signs and who reads: keys and certificates as people hand them over.

``Identity`` is a private key with its certificate, ``Recipient`` a certificate
to write to. ``signers_of``, ``recipients_of`` and ``opening_keys_of`` turn
what a caller gave as ``by=``, ``to=`` or ``keys=`` into tuples, and refuse
what cannot be meant with the line to type instead.

Floor:  keys (uses errors, policy and cms; knows nothing of mail or trust)
"""

from __future__ import annotations

from smime.keys.address import certificate_addresses, same_address, split_address
from smime.keys.identity import Identity
from smime.keys.recipient import Recipient
from smime.keys.roles import opening_keys_of, recipients_of, signers_of

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import TypeAlias

    from cryptography import x509
    from cryptography.hazmat.primitives.asymmetric.types import PrivateKeyTypes

    from smime.cms import Passphrase as SharedPassphrase
    from smime.cms import SharedKey
    from smime.pgp import PgpKey
    from smime.protocols import Opener, Signer

    Passphrase: TypeAlias = str | bytes | Callable[[], str | bytes]
    Sender: TypeAlias = Identity | Signer | PgpKey
    Reader: TypeAlias = Identity | PrivateKeyTypes | Opener | SharedKey | SharedPassphrase | PgpKey
    Addressee: TypeAlias = Recipient | Identity | x509.Certificate | PgpKey
else:
    # For whoever looks at run time; evaluated they would import cryptography.
    Passphrase = "str | bytes | Callable[[], str | bytes]"  # noqa: S105
    Sender = "Identity | Signer | PgpKey"
    Reader = "Identity | PrivateKeyTypes | Opener | SharedKey | SharedPassphrase | PgpKey"
    Addressee = "Recipient | Identity | x509.Certificate | PgpKey"

__all__ = [
    "Addressee",
    "Identity",
    "Passphrase",
    "Reader",
    "Recipient",
    "Sender",
    "certificate_addresses",
    "opening_keys_of",
    "recipients_of",
    "same_address",
    "signers_of",
    "split_address",
]
