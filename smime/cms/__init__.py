"""CMS (RFC 5652) and its family: BER in, DER out; knows no mail and no trust.

Floor:  cms (uses errors, report, policy)
"""

from __future__ import annotations

_HOME_OF = {
    "OpeningKey": "smime.cms.recipients",
    "Passphrase": "smime.cms.shared_keys",
    "RecipientKey": "smime.cms.recipients",
    "SharedKey": "smime.cms.shared_keys",
    "SigningKey": "smime.cms.signed",
    "add_signer": "smime.cms.amend",
    "attach": "smime.cms.amend",
    "attribute": "smime.cms.attributes",
    "countersign": "smime.cms.amend",
    "inspect": "smime.cms.inspection",
    "strip": "smime.cms.amend",
    "timestamp_query": "smime.cms.amend",
}

__all__ = [
    "OpeningKey",
    "Passphrase",
    "RecipientKey",
    "SharedKey",
    "SigningKey",
    "add_signer",
    "attach",
    "attribute",
    "countersign",
    "inspect",
    "strip",
    "timestamp_query",
]

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.cms.amend import add_signer as add_signer
    from smime.cms.amend import attach as attach
    from smime.cms.amend import countersign as countersign
    from smime.cms.amend import strip as strip
    from smime.cms.amend import timestamp_query as timestamp_query
    from smime.cms.attributes import attribute as attribute
    from smime.cms.inspection import inspect as inspect
    from smime.cms.recipients import OpeningKey as OpeningKey
    from smime.cms.recipients import RecipientKey as RecipientKey
    from smime.cms.shared_keys import Passphrase as Passphrase
    from smime.cms.shared_keys import SharedKey as SharedKey
    from smime.cms.signed import SigningKey as SigningKey
else:

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'smime.cms' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(home), name)
        globals()[name] = value
        return value
