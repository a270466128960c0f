"""``smimetool ca publish``: files for a directory, a name server, a web server; or the directory.

Floor:  cli (uses publish and directory)
"""

from __future__ import annotations

import argparse
import os
from itertools import chain

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator

    from cryptography import x509

    from pki.folder import Records
    from pki.ledger import Ledger

EXAMPLE = (
    "smimetool ca publish --static /srv/www/pki --zone smimea.zone "
    "--ldif people.ldif --dn 'uid={local},ou=people,dc=chess,dc=example'"
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "--static",
        metavar="DIR",
        help="folder of a web server: root.cer, and what the addresses in certificates name",
    )
    parser.add_argument(
        "--zone", metavar="FILE", help="SMIMEA records (RFC 8162), a fragment of a zone file"
    )
    parser.add_argument(
        "--generic", action="store_true", help="write them for name servers that know no SMIMEA"
    )
    parser.add_argument("--ttl", type=int, default=3600, metavar="S", help="their lifetime")
    parser.add_argument("--ldif", metavar="FILE", help="changes for ldapmodify")
    parser.add_argument(
        "--dn", metavar="DN", help="name of a person's entry, with {local}, {domain} or {address}"
    )
    parser.add_argument("--ca-dn", metavar="DN", help="name of the CA's entry, also to be set")
    parser.add_argument(
        "--ldap", metavar="URL", help="make these changes at ldaps://HOST (or ldap://, with TLS)"
    )
    parser.add_argument("--ldap-name", metavar="DN", help="log in there as DN")
    options.passphrase(parser, "ldap-", "of that name")
    parser.add_argument(
        "--ldap-ca", metavar="FILE", help="PEM file with the CA of that host, if not the system's"
    )
    options.ca(parser, key=False)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Write each kind of file that is asked for; what was there before is replaced."""
    from pki import publish
    from pki.files import write_over
    from pki.folder import Records

    if not (arguments.static or arguments.zone or arguments.ldif or arguments.ldap):
        arguments.refuse("name what to write: --static, --zone, --ldif, --ldap")
    if bool(arguments.ldif or arguments.ldap) != bool(arguments.dn):
        arguments.refuse("--ldif or --ldap, and --dn, go together")
    if bool(arguments.ldap) != bool(arguments.ldap_name):
        arguments.refuse("--ldap and --ldap-name go together")
    if not 0 <= arguments.ttl <= 2**31 - 1:
        arguments.refuse("--ttl is a number of seconds")
    if arguments.dn:
        try:
            publish.entry_name(arguments.dn, "somebody@example.org")
        except ValueError as error:
            arguments.refuse(str(error))
    written: list[str] = []
    with common.opened(arguments) as (records, ledger):
        lists = _lists(records, ledger) if arguments.static or arguments.ca_dn else {}
        people = People(ledger)
        if arguments.ldif:
            own = b""
            if arguments.ca_dn:
                own = publish.ldif_authority(arguments.ca_dn, records.issuing, *lists.values())
                own = b"\n" + own.removeprefix(b"version: 1\n\n")
            ldif = publish.ldif_pieces(people, arguments.dn)
            write_over(arguments.ldif, chain(ldif, (own,)), mode=0o644)
            written.append(arguments.ldif)
        absent = _push(arguments, records, people, lists) if arguments.ldap else []
        if arguments.zone:
            zone = publish.smimea_pieces(people, ttl=arguments.ttl, generic=arguments.generic)
            write_over(arguments.zone, map(str.encode, zone), mode=0o644)
            written.append(arguments.zone)
        if arguments.static:
            files = _static(records, lists)
            for folder in records.former:
                former = Records.load(folder)
                files |= _static(former, _lists(former, ledger))
            if not os.path.isdir(arguments.static):
                os.makedirs(arguments.static)
                # A web server reads it, whatever the umask: nothing in it is secret.
                os.chmod(arguments.static, 0o755)  # noqa: S103 - public by purpose
            publish.write_static(arguments.static, files)
            written += [os.path.join(arguments.static, name) for name in files]
        missing = records.crl_url and not lists and (arguments.static or arguments.ca_dn)
    if arguments.json:
        common.say_json({"written": written, "people": people.held, "absent": absent})
    else:
        for path in written:
            common.announce(path)
    for address in absent:
        common.tell(f"{address} has no entry in the directory")
    if missing:
        common.tell("no revocation list was signed yet: `smimetool ca crl`")
    return 0


def _push(
    arguments: argparse.Namespace,
    records: Records,
    people: People,
    lists: dict[str, bytes],
) -> list[str]:
    """Change the directory itself; give the addresses that have no entry there."""
    from pki.directory import Directory

    given = common.given_passphrase(arguments.ldap_passphrase_file, arguments.ldap_passphrase_env)
    with Directory.open(
        arguments.ldap,
        name=arguments.ldap_name,
        passphrase=given
        or (lambda: common.secret("Passphrase of the directory: ", "--ldap-passphrase-file")),
        ca_file=arguments.ldap_ca,
    ) as directory:
        absent = directory.put(people, arguments.dn)
        if arguments.ca_dn:
            directory.put_authority(arguments.ca_dn, records.issuing, *lists.values())
    return absent


def _static(records: Records, lists: dict[str, bytes]) -> dict[str, bytes]:
    from pki import publish

    upwards = (records.issuing, *records.above)
    return publish.files_at(upwards, records.root, ca_url=records.ca_url, lists=lists)


class People:
    """Each address with its valid certificates that can be written to; none is there too.

    So what was published once and is revoked since is taken away again. They come from
    the ledger anew each time: of a million people some hundred are in memory.
    """

    def __init__(self, ledger: Ledger) -> None:
        self._ledger = ledger
        self.held = 0
        """How many had one, the last time."""

    def __iter__(self) -> Iterator[tuple[str, list[x509.Certificate]]]:
        from pki.rules import reads

        now = common.now()
        self.held = 0
        for lower, records in self._ledger.holders():
            # Spelt as in the certificates: what is before the @ may be told apart by case.
            found: dict[str, list[x509.Certificate]] = {}
            for record in records:
                valid = record.not_before <= now and record.state(now) == "valid"
                spelt = [address for address in record.addresses if address.lower() == lower]
                now_theirs = [record.certificate] if valid and reads(record.certificate) else []
                for address in spelt:
                    found.setdefault(address, []).extend(now_theirs)
            self.held += sum(map(bool, found.values()))
            yield from found.items()


def _lists(records: Records, ledger: Ledger) -> dict[str, bytes]:
    """Give the lists that `ca crl` wrote into the CA's folder, by their addresses."""
    found = {}
    for scope in records.scopes(ledger) if records.crl_url else ():
        for url, name in (
            (records.crl_url, common.crl_path(records.folder, scope)),
            (records.delta_url, common.crl_path(records.folder, scope, delta=True)),
        ):
            if url and os.path.exists(name):
                with open(name, "rb") as file:
                    found[records.url(url, scope)] = file.read(common.MAX_CRL_OCTETS)
    return found
