"""``smimetool ca init DIR``: make a CA in a new folder.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common, options

EXAMPLE = "smimetool ca init club --name 'Chess Club CA' --passphrase-file ca.pass"

_URLS = """\
Certificates can say where to fetch the list of revoked certificates and the
certificate of the CA, and where to ask whether one is revoked (OCSP). Certificates
already given out cannot be mended, so name now an address that will last, even if
nothing is there yet. Empty for none."""
_ASKED = (
    ("crl_url", "URL of the revocation list: ", "--crl-url"),
    ("ca_url", "URL of the CA's certificate: ", "--ca-url"),
    ("ocsp_url", "URL of the OCSP responder: ", "--ocsp-url"),
)


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("dir", metavar="DIR", help="new or empty folder")
    parser.add_argument("--name", help="name of the CA, as readers see it")
    parser.add_argument("--rsa", action="store_true", help="RSA-4096 keys, not P-384 and P-256")
    options.ca_key(parser, "--root-key", "")
    options.ca_key(parser, "--key", "")
    parser.add_argument(
        "--kind",
        default="issuing",
        choices=("issuing", "issuing-multipurpose", "issuing-services"),
        help="kind of CA (default: issuing, for mail; issuing-services for servers)",
    )
    options.domain(parser, "certify only addresses at D")
    parser.add_argument(
        "--constrain",
        action="store_true",
        help="limit the root to these domains too: then people can import it with an easy mind",
    )
    options.urls(parser, asked=True)
    options.passphrase(parser, "", "of the CA's keys")
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Ask what no option says, make the CA, say what goes where."""
    from pki.folder import refuse_existing
    from pki.registrar import Registrar

    refuse_existing(arguments.dir)  # before any question
    if arguments.rsa and (arguments.key or arguments.root_key):
        arguments.refuse("--rsa says the kind of both keys")
    if arguments.constrain and not arguments.domain:
        arguments.refuse("--constrain goes with --domain")
    name = arguments.name
    if name is None:
        name = common.ask("Name of the CA: ", option="--name", needed=True)
    passphrase = common.agreed_passphrase(arguments, "Passphrase for the CA's keys")
    open_ones = [one for one in _ASKED if getattr(arguments, one[0]) is None]
    if common.terminal() and open_ones:
        common.tell(_URLS)
        for field, question, option in open_ones:
            setattr(arguments, field, common.ask(question, option=option))
    elif not arguments.crl_url:
        common.tell("certificates will name no revocation list; --crl-url cannot be added later")
    with Registrar.create(
        arguments.dir,
        name=name,
        passphrase=passphrase,
        rsa=arguments.rsa,
        algorithm=arguments.key,
        root_algorithm=arguments.root_key,
        profile=arguments.kind,
        domains=arguments.domain,
        constrain=arguments.constrain,
        **options.urls_of(arguments),
    ) as ca:
        root = os.path.join(arguments.dir, "root.pem")
        key = os.path.join(arguments.dir, "private", "root.key.pem")
        if arguments.json:
            common.say_json(ca.records.to_dict())
            return 0
        common.announce(f"{root}\n  give it to everybody who reads your users' mail: --ca {root}")
        common.announce(f"{key}\n  move it to a medium of its own; issuing does not need it")
    return 0
