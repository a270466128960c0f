"""``smimetool ca rollover``: a new key for the issuing CA; the old one signs its lists to the end.

Floor:  cli (uses rollover)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from pki.authority import Authority
    from pki.folder import Records

EXAMPLE = (
    "smimetool ca rollover --root-key /media/stick/root.key.pem "
    "--crl-url http://pki.chess.example/club-2.crl --ca-url http://pki.chess.example/club-2.cer"
)
MAX_READ_OCTETS = 1_048_576


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    how = parser.add_mutually_exclusive_group(required=True)
    how.add_argument("--root-key", metavar="FILE", help="the root's key, from its medium")
    how.add_argument(
        "--request-dir",
        metavar="DIR",
        help="folder of `ca root request`, where the root is on a machine of its own",
    )
    parser.add_argument(
        "--answer", metavar="FILE", help="with --request-dir: what the root's machine wrote"
    )
    options.ca_key(parser, "--key", "")
    parser.add_argument("--crl-url", metavar="URL", default="", help="of the new CA's list")
    parser.add_argument("--ca-url", metavar="URL", default="", help="of the new CA's certificate")
    parser.add_argument("--ocsp-url", metavar="URL", help="default: as before")
    parser.add_argument("--delta-url", metavar="URL", default="", help="of the new CA's deltas")
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Make or take the new CA, put the old one aside."""
    from pki.rollover import succeed

    if bool(arguments.request_dir) != bool(arguments.answer):
        arguments.refuse("--request-dir and --answer go together")
    records = common.records_of(arguments)
    for option, before in (("crl_url", records.crl_url), ("ca_url", records.ca_url)):
        if before and not getattr(arguments, option):
            name = f"--{option.replace('_', '-')}"
            arguments.refuse(f"{name} is needed: certificates before name {before}")
    passphrase = common.given_or_asked(arguments, records.name)
    authority = _made(arguments, records, passphrase)
    ocsp_url = records.ocsp_url if arguments.ocsp_url is None else arguments.ocsp_url
    new = succeed(
        records,
        authority,
        passphrase=passphrase,
        crl_url=arguments.crl_url,
        ca_url=arguments.ca_url,
        ocsp_url=ocsp_url,
        delta_url=arguments.delta_url,
    )
    if arguments.json:
        common.say_json({**new.to_dict(), "former": list(new.former)})
        return 0
    common.announce(f"{os.path.join(new.folder, 'issuing.pem')}\n  the CA that issues from now on")
    common.announce(f"{new.former[-1]}\n  the one before; `ca crl` signs its list too, to its end")
    return 0


def _made(arguments: argparse.Namespace, records: Records, passphrase: str) -> Authority:
    from pki import ceremony
    from pki.authority import Authority
    from pki.keys import key_name, passphrase_octets, unseal
    from pki.rollover import domains_of, next_name

    if arguments.request_dir:
        path = os.path.join(arguments.request_dir, "private", "issuing.key.pem")
        key = unseal(_read(path), passphrase_octets(passphrase))
        return ceremony.accept(key, _read(arguments.answer))
    root_key = unseal(_read(arguments.root_key), passphrase_octets(passphrase))
    root = Authority(root_key, records.root)
    return root.subordinate(
        next_name(records.issuing),
        algorithm=arguments.key or key_name(records.issuing.public_key()),
        domains=domains_of(records.issuing),
    )


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_READ_OCTETS)
