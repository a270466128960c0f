"""``smimetool ca init DIR``: make a CA in a new folder.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common

EXAMPLE = "smimetool ca init club --name 'Chess Club CA' --passphrase-file ca.pass"

_URLS = """\
Certificates can say where to fetch two files: the list of revoked certificates, and
the certificate of the CA. Certificates already given out cannot be mended, so name
now an address that will last, even if nothing is there yet. Empty for none."""


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("dir", metavar="DIR", help="new or empty folder")
    parser.add_argument("--name", help="name of the CA, as readers see it")
    parser.add_argument("--rsa", action="store_true", help="RSA-4096 keys, not P-384 and P-256")
    parser.add_argument(
        "--crl-url",
        metavar="URL",
        help="where its revocation list will be; {shard} and {profile} make several lists",
    )
    parser.add_argument("--ca-url", metavar="URL", help="where issuing.pem will be, as DER")
    parser.add_argument("--delta-url", metavar="URL", default="", help="where delta lists will be")
    parser.add_argument(
        "--shards", type=int, default=1, metavar="N", help="how many lists {shard} makes"
    )
    parser.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="D",
        help="certify only addresses at D (.D: below D); may be repeated",
    )
    parser.add_argument(
        "--ledger", metavar="URL", default="", help="keep the records in PostgreSQL, not in a file"
    )
    common.passphrase_options(parser, "", "of the CA's keys")
    common.json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask what no option says, make the CA, say what goes where."""
    from pki.folder import refuse_existing
    from pki.registrar import Registrar

    refuse_existing(arguments.dir)  # before any question
    name = arguments.name
    if name is None:
        name = common.ask("Name of the CA: ", option="--name", needed=True)
    given = common.given_passphrase(arguments.passphrase_file, arguments.passphrase_env)
    passphrase = given or common.new_passphrase("Passphrase for the CA's keys", "--passphrase-file")
    crl_url, ca_url = arguments.crl_url, arguments.ca_url
    if common.terminal() and None in (crl_url, ca_url):
        common.tell(_URLS)
        if crl_url is None:
            crl_url = common.ask("URL of the revocation list: ", option="--crl-url")
        if ca_url is None:
            ca_url = common.ask("URL of the CA's certificate: ", option="--ca-url")
    with Registrar.create(
        arguments.dir,
        name=name,
        passphrase=passphrase,
        rsa=arguments.rsa,
        crl_url=crl_url or "",
        ca_url=ca_url or "",
        delta_url=arguments.delta_url,
        domains=arguments.domain,
        ledger_url=arguments.ledger,
        shards=arguments.shards,
    ) as ca:
        root = os.path.join(arguments.dir, "root.pem")
        key = os.path.join(arguments.dir, "private", "root.key.pem")
        if arguments.json:
            common.say_json(ca.records.to_dict())
            return 0
        common.announce(f"{root}\n  give it to everybody who reads your users' mail: --ca {root}")
        common.announce(f"{key}\n  move it to a medium of its own; issuing does not need it")
    return 0
