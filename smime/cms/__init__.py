"""CMS (RFC 5652) and its family, for those who have no mail: files, passes, EDI, key services.

    signature = cms.sign(Path("manifest.json"), by=team, detached=True)
    cms.verify(signature, content=Path("manifest.json"), trust=anchors)
    cms.encrypt(Path("big.bin"), to=bob, out=Path("big.p7m"))
    cms.decrypt(Path("big.p7m"), keys=bob_identity, out=Path("big.bin"))
    cms.sign(cms.compress(edi), by=us)

BER, DER or PEM in, DER out; bytes, paths and binary files of any size. Knows no
mail and no trust: it asks the trust that is handed in.

Floor:  cms (uses errors, report, policy)
"""

from __future__ import annotations

_HOMES = {
    "smime.cms.amend": "add_signer attach countersign strip timestamp_query",
    "smime.cms.attributes": "attribute",
    "smime.cms.authenticated": "authenticate",
    "smime.cms.compressed": "compress decompress",
    "smime.cms.digested": "digest",
    "smime.cms.inspection": "inspect",
    "smime.cms.opened": "Content Opened",
    "smime.cms.opening": "open",
    "smime.cms.recipients": "OpeningKey RecipientKey",
    "smime.cms.shared_keys": "ContentKey Passphrase SharedKey",
    "smime.cms.signed": "SigningKey",
    "smime.cms.verbs": "bundle certificates decrypt encrypt sign verify",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = [*sorted(_HOME_OF)]  # noqa: PLE0604

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.cms.amend import add_signer as add_signer
    from smime.cms.amend import attach as attach
    from smime.cms.amend import countersign as countersign
    from smime.cms.amend import strip as strip
    from smime.cms.amend import timestamp_query as timestamp_query
    from smime.cms.attributes import attribute as attribute
    from smime.cms.authenticated import authenticate as authenticate
    from smime.cms.compressed import compress as compress
    from smime.cms.compressed import decompress as decompress
    from smime.cms.digested import digest as digest
    from smime.cms.inspection import inspect as inspect
    from smime.cms.opened import Content as Content
    from smime.cms.opened import Opened as Opened
    from smime.cms.opening import open as open
    from smime.cms.recipients import OpeningKey as OpeningKey
    from smime.cms.recipients import RecipientKey as RecipientKey
    from smime.cms.shared_keys import ContentKey as ContentKey
    from smime.cms.shared_keys import Passphrase as Passphrase
    from smime.cms.shared_keys import SharedKey as SharedKey
    from smime.cms.signed import SigningKey as SigningKey
    from smime.cms.verbs import bundle as bundle
    from smime.cms.verbs import certificates as certificates
    from smime.cms.verbs import decrypt as decrypt
    from smime.cms.verbs import encrypt as encrypt
    from smime.cms.verbs import sign as sign
    from smime.cms.verbs import verify as verify
else:

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'smime.cms' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(home), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
