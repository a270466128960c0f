"""``smimetool ca issue ADDRESS -o FILE.p12``: make a key and its certificate for one user.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common

EXAMPLE = "smimetool ca issue alice@chess.example --name Alice -o alice.p12"


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument("address", metavar="ADDRESS", nargs="+", help="mail address of the user")
    parser.add_argument("-o", "--output", metavar="FILE.p12", required=True, help="new file")
    parser.add_argument("--name", default="", help="the user's name")
    parser.add_argument(
        "--profile", default="mailbox", help="kind of certificate (default: mailbox)"
    )
    parser.add_argument(
        "--key",
        choices=("rsa3072", "rsa4096", "p256", "p384"),
        default="rsa3072",
        help="kind of key (default: rsa3072, which every mail program reads)",
    )
    parser.add_argument(
        "--days", type=int, default=365, metavar="N", help="lifetime (default: 365)"
    )
    parser.add_argument(
        "--compat",
        choices=("modern", "legacy"),
        default="modern",
        help="legacy: weak encryption of the .p12, for old Windows, macOS and gpgsm",
    )
    common.ca_options(parser)
    group = common.passphrase_options(parser, "p12-", "of the new .p12")
    group.add_argument(
        "--write-passphrase", metavar="FILE", help="make one up and write it to this new file"
    )
    common.json_option(parser)


def run(arguments: argparse.Namespace) -> int:
    """Refuse what can be refused, ask, issue, write the files."""
    from pki.folder import to_pem
    from pki.registrar import Registrar

    p12_path: str = arguments.output
    stem, extension = os.path.splitext(p12_path)
    # All that can be refused is, before a question is asked or a certificate recorded.
    if extension == ".pem" or p12_path == "-":
        arguments.refuse("-o names the .p12, a file; the certificate goes beside it as .pem")
    pem_path = f"{stem}.pem"
    for path in filter(None, (p12_path, pem_path, arguments.write_passphrase)):
        common.refuse_unwritable(path)
    records = common.records_of(arguments)
    ca_passphrase = common.given_passphrase(arguments.passphrase_file, arguments.passphrase_env)
    p12_passphrase = common.given_passphrase(
        arguments.p12_passphrase_file, arguments.p12_passphrase_env
    )
    if not p12_passphrase and not arguments.write_passphrase:
        common.demand_terminal(
            "the passphrase of the .p12", "--write-passphrase or --p12-passphrase-file"
        )
    if not ca_passphrase:
        ca_passphrase = common.secret(f"Passphrase of {records.name}: ", "--passphrase-file")
    with Registrar.load(records.folder, passphrase=ca_passphrase) as ca:
        generated = bool(arguments.write_passphrase)
        if not p12_passphrase and not generated:
            p12_passphrase = common.new_passphrase(
                "Passphrase for the .p12, empty to have one made up", "", empty=True
            )
            generated = not p12_passphrase
        secret = p12_passphrase or common.made_up()
        identity = ca.issue(
            *arguments.address,
            name=arguments.name,
            profile=arguments.profile,
            algorithm=arguments.key,
            lifetime_days=arguments.days,
        )
        p12 = identity.to_p12(secret, compat=arguments.compat)
        certificates = (identity.certificate, *ca.chain)
        record = ca.find(identity.certificate.serial_number)
        common.warn_lapsing(ca.ledger)
    files = [(pem_path, to_pem(*certificates), 0o644)]
    if arguments.write_passphrase:
        files.append((arguments.write_passphrase, f"{secret}\n".encode(), 0o600))
    files.append((p12_path, p12, 0o600))
    common.write_all(files)
    if arguments.compat == "legacy":
        common.tell(f"{p12_path} is weakly encrypted, as asked: hand it over, do not mail it")
    if generated and not arguments.write_passphrase:
        common.tell(f"passphrase of {p12_path}, shown this once: {secret}")
    if arguments.json:
        common.say_json(
            {"p12": p12_path, "pem": pem_path, "certificate": record.to_dict(common.now())}
        )
        return 0
    common.announce(f"{p12_path}\n  key and certificate, for {', '.join(arguments.address)} alone")
    common.announce(f"{pem_path}\n  certificate, for everybody who writes to them")
    return 0
