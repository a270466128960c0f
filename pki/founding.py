"""A new CA: its keys, its certificates, its folder and the first entries of its ledger.

Floor:  founding (uses folder, audit, authority)
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from typing import TYPE_CHECKING

from pki import keys
from pki.audit import log_key_detail
from pki.authority import Authority, moment
from pki.errors import RequestRefused
from pki.folder import (
    LOG_KEY,
    SETTINGS,
    Records,
    complete_folder,
    refuse_existing,
    write_folder,
)
from pki.names import MAX_NAME, checked_name

if TYPE_CHECKING:
    from collections.abc import Callable
    from datetime import datetime
    from os import PathLike

    from pki.ledger import Ledger
    from pki.profiles import Profile
    from smime import Passphrase

__all__ = ["Settings", "found", "found_below"]

_ISSUING_SUFFIX = " (issuing)"  # the two names differ, else the issuing CA looks self-issued


@dataclass(frozen=True, slots=True)
class Settings:
    """What is decided once for a CA: certificates that are out cannot be mended."""

    name: str
    crl_url: str = ""
    ca_url: str = ""
    ocsp_url: str = ""
    delta_url: str = ""
    domains: tuple[str, ...] = ()
    ledger_url: str = ""
    shards: int = 1
    token: str = ""
    token_label: str = ""
    token_key: str = ""

    def records(self, folder: str, authority: Authority) -> Records:
        """Give what the folder will say. Raises ``RequestRefused`` for what cannot be."""
        made = Records(
            folder=folder,
            name=self.name,
            crl_url=self.crl_url,
            ca_url=self.ca_url,
            root=authority.root,
            issuing=authority.certificate,
            ledger_url=self.ledger_url,
            delta_url=self.delta_url,
            shards=self.shards,
            ocsp_url=self.ocsp_url,
            above=authority.chain[1:],
            token=self.token,
            token_label=self.token_label,
            token_key=self.token_key,
        )
        made.check()
        return made


def found(
    folder: PathLike[str] | str,
    settings: Settings,
    *,
    passphrase: Passphrase,
    root_algorithm: str,
    algorithm: str,
    profile: str | Profile = "issuing",
    constrain: bool = False,
    at: datetime | None = None,
) -> tuple[Authority, Records, Ledger]:
    """Make a root, and below it a CA for mail users (``Registrar.create``)."""
    place = os.fspath(folder)
    refuse_existing(place)
    name = settings.name
    if not name or len(checked_name(name)) > MAX_NAME - len(_ISSUING_SUFFIX):
        raise RequestRefused(
            f"the name of a CA has 1 to {MAX_NAME - len(_ISSUING_SUFFIX)} characters"
        )
    if constrain and not settings.domains:
        raise RequestRefused("a root is limited to domains: name them")
    secret = keys.passphrase_octets(passphrase)
    limits = settings.domains if constrain else ()
    root = Authority.create(name, algorithm=root_algorithm, at=at, domains=limits)
    below = root.subordinate(
        name + _ISSUING_SUFFIX,
        algorithm=algorithm,
        at=at,
        profile=profile,
        domains=settings.domains,
    )
    records = settings.records(place, below)
    log_key = keys.generate("p256")
    sealed = {
        "root.key.pem": keys.seal(root.private_key, secret),
        "issuing.key.pem": keys.seal(below.private_key, secret),
        LOG_KEY: keys.seal(log_key, secret),
    }
    return below, records, write_folder(records, sealed, _first(below, log_key))


def found_below(
    folder: PathLike[str] | str, settings: Settings, authority: Authority, *, passphrase: Passphrase
) -> tuple[Authority, Records, Ledger]:
    """Make a CA whose root is elsewhere, of a folder with its key in ``private``, or of a token.

    ``authority`` is what ``pki.ceremony.accept`` gives. Raises what ``Registrar.create``
    raises. On failure the folder is as before.
    """
    place = os.fspath(folder)
    if os.path.exists(os.path.join(place, SETTINGS)):
        refuse_existing(place)
    records = settings.records(place, authority)
    secret = keys.passphrase_octets(passphrase)
    log_key = keys.generate("p256")
    sealed = {LOG_KEY: keys.seal(log_key, secret)}
    return authority, records, complete_folder(records, sealed, _first(authority, log_key))


def _first(authority: Authority, log_key: keys.Key) -> Callable[[Ledger], None]:
    when = moment(None)

    def first(ledger: Ledger) -> None:
        with ledger.writing() as log:
            log.issuer(authority.certificate, at=when)
            log.note("log-key", log_key_detail(log_key), at=when)

    return first
