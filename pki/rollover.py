"""A new key for the issuing CA, while the one before goes on signing its revocation lists.

    succeed(records, authority, passphrase=ask, crl_url="http://pki.example/club-2.crl")

The CA's folder is that of the new one from then on. The old one lies in ``former/N``, a
folder like any CA's, with the same ledger: ``Registrar.load`` opens it, and it signs lists
and speaks by OCSP to the end of its certificates, and nothing else. It may have ended
itself: its lists count all the same, for those who read old mail.

Floor:  rollover (uses folder, ledger, authority)
Source: RFC 5280 §5 (a list is its issuer's), RFC 4210 §4.4 for the root's own change
"""

from __future__ import annotations

import os
import re
from dataclasses import replace
from typing import TYPE_CHECKING

from cryptography import x509
from cryptography.x509.oid import NameOID

from pki import keys
from pki.authority import Authority, moment
from pki.errors import NoAuthority, RequestRefused
from pki.files import write_new
from pki.folder import FORMER, FORMER_OF, SETTINGS, Records, change, settings_toml, to_pem
from pki.profiles import Profile

if TYPE_CHECKING:
    from datetime import datetime

    from pki.token import Token
    from smime import Passphrase

__all__ = ["check_places", "domains_of", "kind_of", "next_label", "next_name", "succeed"]

KINDS = ("issuing", "issuing-multipurpose", "issuing-services")
"""The shipped profiles of issuing CAs, told apart by their purposes."""
_KEY = "private/issuing.key.pem"
_LABELLED = re.compile(r"(.*)-([0-9]{1,9})")
_NUMBERED = re.compile(r"(.*\(issuing)( [0-9]+)?\)")


def next_name(certificate: x509.Certificate) -> str:
    """Give the name of the CA that comes next: another one, for a list is by its issuer's name."""
    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else "CA (issuing)"
    found = _NUMBERED.fullmatch(name)
    if found is None:
        return f"{name} 2"
    return f"{found[1]} {int(found[2] or 1) + 1})"


def domains_of(certificate: x509.Certificate) -> tuple[str, ...]:
    """Give the mail domains that a CA is limited to; none if it is not."""
    try:
        limits = certificate.extensions.get_extension_for_class(x509.NameConstraints).value
    except x509.ExtensionNotFound:
        return ()
    found = limits.permitted_subtrees or []
    return tuple(name.value for name in found if isinstance(name, x509.RFC822Name))


def kind_of(certificate: x509.Certificate) -> str:
    """Give the shipped profile of an issuing CA that has the purposes of this one.

    Raises ``RequestRefused`` if there is none.
    """
    try:
        found = certificate.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
    except x509.ExtensionNotFound:
        purposes: set[str] = set()
    else:
        purposes = {one.dotted_string for one in found}
    for name in KINDS:
        if set(Profile.named(name).purposes) == purposes:
            return name
    raise RequestRefused(
        "the CA is of no shipped kind", hint="certify its successor by `ca root sign-request`"
    )


def next_label(label: str) -> str:
    """Give the label of the key that comes next in a token.

    >>> next_label("issuing"), next_label("issuing-2")
    ('issuing-2', 'issuing-3')
    """
    found = _LABELLED.fullmatch(label)
    return f"{label}-2" if found is None else f"{found[1]}-{int(found[2]) + 1}"


def check_places(records: Records, *, crl_url: str, ca_url: str, delta_url: str) -> None:
    """Refuse a former CA, and addresses at which the list of the CA of today is read.

    Raises ``RequestRefused``.
    """
    if records.ledger_of:
        raise RequestRefused("this is a former CA: it has a successor already")
    for what, before, now in (
        ("revocation list", records.crl_url, crl_url),
        ("CA's certificate", records.ca_url, ca_url),
        ("delta list", records.delta_url, delta_url),
    ):
        if before and before == now:
            raise RequestRefused(
                f"the address of the {what} is that of the CA before",
                hint="what stands there is read by who has old certificates: name another one",
            )
    replace(records, crl_url=crl_url, ca_url=ca_url, delta_url=delta_url).check()


def succeed(
    records: Records,
    authority: Authority,
    *,
    passphrase: Passphrase = "",
    token: Token | None = None,
    token_key: str = "",
    crl_url: str = "",
    ca_url: str = "",
    ocsp_url: str = "",
    delta_url: str = "",
    at: datetime | None = None,
) -> Records:
    """Make ``authority`` the issuing CA of this folder, and the one of today a former one.

    It is certified by the same root, as ``Authority.subordinate`` or ``pki.ceremony`` do.
    What stands in old certificates stays where it is, so the addresses of revocation lists
    are others than before. ``passphrase`` is that of the folder's keys. Of a CA whose key is
    in a token, ``token`` is that token, open, and ``token_key`` the new key's label in it; the
    old key stays there and signs the old lists.

    Raises ``RequestRefused``, ``NoAuthority``, ``WrongPassphrase``, ``OSError``; then the
    CA of today stands.
    """
    check_places(records, crl_url=crl_url, ca_url=ca_url, delta_url=delta_url)
    if authority.root != records.root:
        raise NoAuthority("the new CA is below another root", hint="that is a new CA: ca init")
    old = records.issuing
    if authority.certificate.subject == old.subject:
        raise RequestRefused("the new CA has the name of the old one", hint="their lists differ")
    if authority.certificate.public_key() == old.public_key():
        raise RequestRefused("the new CA has the key of the old one")
    new = replace(
        records,
        crl_url=crl_url,
        ca_url=ca_url,
        ocsp_url=ocsp_url,
        delta_url=delta_url,
        issuing=authority.certificate,
        above=authority.chain[1:],
        token_key=token_key,
    )
    new.check()
    if bool(records.token) != (token is not None):
        raise NoAuthority("the new key of a CA is kept where the one before is")
    before: bytes | None = None
    written = {"issuing.pem": to_pem(authority.certificate, *authority.chain[1:])}
    if token is not None:
        _demand(token.key(records.token_key), old, f"the key {records.token_key}")
        _demand(token.key(token_key), authority.certificate, f"the key {token_key}")
    else:
        secret = keys.passphrase_octets(passphrase)
        with open(os.path.join(records.folder, _KEY), "rb") as file:
            before = file.read()
        _demand(keys.unseal(before, secret), old, "issuing.pem and its key")
        written[_KEY] = keys.seal(authority.private_key, secret)
    written[SETTINGS] = settings_toml(new)
    _set_aside(records, before)
    change(records.folder, written)
    with new.ledger() as ledger, ledger.writing() as log:
        log.issuer(authority.certificate, at=moment(at))
    return Records.load(records.folder)


def _demand(key: keys.Key, certificate: x509.Certificate, what: str) -> None:
    if key.public_key() != certificate.public_key():
        raise NoAuthority(f"{what} and the certificate of the CA do not belong together")


def _set_aside(records: Records, sealed: bytes | None) -> None:
    """Make the folder of the CA of today as a former one, whole or not at all."""
    for folder in records.former:
        if Records.load(folder).issuing == records.issuing:
            return  # a run before came so far
    place = os.path.join(records.folder, FORMER)
    number = max((int(os.path.basename(one)) for one in records.former), default=0) + 1
    beside = os.path.join(place, f"{number}.{os.urandom(4).hex()}")
    private = os.path.join(beside, "private")
    os.makedirs(beside, 0o755)
    os.mkdir(private, 0o700)
    old = replace(records, ledger_of=FORMER_OF, ledger_url="")
    for name, data, mode in (
        ("root.pem", to_pem(records.root), 0o644),
        ("issuing.pem", to_pem(records.issuing, *records.above), 0o644),
        (_KEY, sealed, 0o600),
        (SETTINGS, settings_toml(old), 0o644),
    ):
        if data is None:
            continue  # the key is in a token, and stays there
        write_new(os.path.join(beside, name), data, mode=mode)
    os.rename(beside, os.path.join(place, str(number)))
