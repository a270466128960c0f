"""A small certification authority that gives every user a certificate.

    ca = pki.Authority.create("Test CA")             # in memory: no disk, no passphrase
    alice = ca.issue("alice@example.org")            # a smime.Identity: key, certificate, chain
    smime.verify(mail, trust=ca.anchors)

    with pki.Registrar.create(Path("club-ca"), name="Chess Club CA", passphrase=ask) as ca:
        ca.issue("alice@chess.example", name="Alice")  # on disk: every certificate is recorded

``Authority`` signs and remembers nothing; ``Registrar`` keeps a CA in a folder.
"""

from __future__ import annotations

_HOMES = {
    "pki.authority": "Authority",
    "pki.errors": "AuditFailed AuthorityExists DirectoryProblem LedgerProblem NoAuthority PkiError"
    " ProfileProblem RequestRefused Unattended WrongPassphrase",
    "pki.profiles": "Profile",
    "pki.registrar": "Registrar",
    "pki.requests": "CertificationRequest",
}
_HOME_OF = {name: home for home, names in _HOMES.items() for name in names.split()}

__all__ = sorted(_HOME_OF)  # noqa: PLE0605

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from pki.authority import Authority as Authority
    from pki.errors import AuditFailed as AuditFailed
    from pki.errors import AuthorityExists as AuthorityExists
    from pki.errors import DirectoryProblem as DirectoryProblem
    from pki.errors import LedgerProblem as LedgerProblem
    from pki.errors import NoAuthority as NoAuthority
    from pki.errors import PkiError as PkiError
    from pki.errors import ProfileProblem as ProfileProblem
    from pki.errors import RequestRefused as RequestRefused
    from pki.errors import Unattended as Unattended
    from pki.errors import WrongPassphrase as WrongPassphrase
    from pki.profiles import Profile as Profile
    from pki.registrar import Registrar as Registrar
    from pki.requests import CertificationRequest as CertificationRequest
else:

    def __getattr__(name: str) -> object:
        home = _HOME_OF.get(name)
        if home is None:
            raise AttributeError(f"module 'pki' has no attribute {name!r}")
        from importlib import import_module

        value = getattr(import_module(home), name)
        globals()[name] = value
        return value

    def __dir__() -> list[str]:
        return sorted(__all__)
