"""Protect and open mail: S/MIME and OpenPGP behind the same verbs.

    signed = smime.sign(letter, by=alice)            # all can read it, nobody can change it
    sealed = smime.protect(letter, by=alice, to=[bob])
    opened = smime.open(raw, keys=[bob], trust=anchors)
    opened.signer                                    # 'alice@example.org', or None

Outgoing: sign, encrypt, protect, protect_each.  Incoming: verify, decrypt, open, examine.
Everything is synchronous, thread-safe and free of global state; in async code call it
through asyncio.to_thread.
"""

from __future__ import annotations

__version__ = "0.1.0"

_HOMES = {
    "smime.errors": "DecryptionFailed KeyProblem LimitExceeded MalformedMail NotSupported"
    " SignatureRejected SmimeError",
    "smime.fetch": "HttpFetcher",
    "smime.incoming": "decrypt examine open verify",
    "smime.keys": "Addressee Identity Passphrase Reader Recipient Sender",
    "smime.keys.token": "Token",
    "smime.mail": "Mail Out Source",
    "smime.outgoing": "encrypt protect protect_each sign",
    "smime.pgp": "PgpKey PgpKeyring",
    "smime.policy": "Policy Revocation",
    "smime.protocols": "Claim Fetcher Judgement Opener Signer Trust Trusts",
    "smime.receipts": "make_receipt receipt_wanted verify_receipt",
    "smime.opened": "Opened",
    "smime.report": "Answer Finding HeaderCheck Layer Note Outcome Part Protection"
    " Report SignatureCheck",
    "smime.trust": "Anchors Evidence NoTrust Pinned",
    "smime.viewing": "ShownFile ShownHeader View view",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = ["__version__", *sorted(_HOME_OF)]  # noqa: PLE0604

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from smime.errors import DecryptionFailed as DecryptionFailed
    from smime.errors import KeyProblem as KeyProblem
    from smime.errors import LimitExceeded as LimitExceeded
    from smime.errors import MalformedMail as MalformedMail
    from smime.errors import NotSupported as NotSupported
    from smime.errors import SignatureRejected as SignatureRejected
    from smime.errors import SmimeError as SmimeError
    from smime.fetch import HttpFetcher as HttpFetcher
    from smime.incoming import decrypt as decrypt
    from smime.incoming import examine as examine
    from smime.incoming import open as open
    from smime.incoming import verify as verify
    from smime.keys import Addressee as Addressee
    from smime.keys import Identity as Identity
    from smime.keys import Passphrase as Passphrase
    from smime.keys import Reader as Reader
    from smime.keys import Recipient as Recipient
    from smime.keys import Sender as Sender
    from smime.keys.token import Token as Token
    from smime.mail import Mail as Mail
    from smime.mail import Out as Out
    from smime.mail import Source as Source
    from smime.opened import Opened as Opened
    from smime.outgoing import encrypt as encrypt
    from smime.outgoing import protect as protect
    from smime.outgoing import protect_each as protect_each
    from smime.outgoing import sign as sign
    from smime.pgp import PgpKey as PgpKey
    from smime.pgp import PgpKeyring as PgpKeyring
    from smime.policy import Policy as Policy
    from smime.policy import Revocation as Revocation
    from smime.protocols import Claim as Claim
    from smime.protocols import Fetcher as Fetcher
    from smime.protocols import Judgement as Judgement
    from smime.protocols import Opener as Opener
    from smime.protocols import Signer as Signer
    from smime.protocols import Trust as Trust
    from smime.protocols import Trusts as Trusts
    from smime.receipts import make_receipt as make_receipt
    from smime.receipts import receipt_wanted as receipt_wanted
    from smime.receipts import verify_receipt as verify_receipt
    from smime.report import Answer as Answer
    from smime.report import Finding as Finding
    from smime.report import HeaderCheck as HeaderCheck
    from smime.report import Layer as Layer
    from smime.report import Note as Note
    from smime.report import Outcome as Outcome
    from smime.report import Part as Part
    from smime.report import Protection as Protection
    from smime.report import Report as Report
    from smime.report import SignatureCheck as SignatureCheck
    from smime.trust import Anchors as Anchors
    from smime.trust import Evidence as Evidence
    from smime.trust import NoTrust as NoTrust
    from smime.trust import Pinned as Pinned
    from smime.viewing import ShownFile as ShownFile
    from smime.viewing import ShownHeader as ShownHeader
    from smime.viewing import View as View
    from smime.viewing import view as view
else:

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'smime' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(home), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
