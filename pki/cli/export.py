"""``smimetool ca export WHICH -o FILE``: certificates as other programs want them.

Floor:  cli (uses bundle)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common, delivery, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from cryptography import x509

EXAMPLE = "smimetool ca export alice@chess.example -o alice.vcf"

_FORMATS = {
    ".pem": "pem",
    ".der": "der",
    ".cer": "der",
    ".p7c": "p7c",
    ".p7b": "p7c",
    ".vcf": "vcard",
    ".p12": "p12",
    ".pfx": "p12",
}
MAX_KEY_OCTETS = 65_536  # of a person's key file


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "which",
        metavar="WHICH",
        nargs="+",
        help="serial number, SHA-256 fingerprint, file, or address: its newest certificate, "
        "or its newest pair",
    )
    parser.add_argument(
        "--format",
        choices=("pem", "der", "p7c", "vcard", "p12"),
        help="default: by the name of the new file",
    )
    parser.add_argument(
        "--chain", action="store_true", help="with the CA's certificates (pem; p7c and p12 always)"
    )
    parser.add_argument("--vcard", choices=("3.0", "4.0"), default="4.0", help="3.0 is for Outlook")
    parser.add_argument("--name", default="", help="the person's name in the vCard")
    parser.add_argument(
        "--key",
        action="append",
        default=[],
        metavar="FILE",
        help="for p12: the key that the person made; once for each certificate",
    )
    parser.add_argument(
        "--key-passphrase-file", metavar="F", help="first line of F is the passphrase of --key"
    )
    delivery.arguments(parser, "FILE")
    options.ca(parser, key=False)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Find the certificates, write one file."""
    from pki import bundle

    path: str = arguments.output
    form = arguments.format or _FORMATS.get(os.path.splitext(path)[1].lower())
    if form is None:
        arguments.refuse(f"what is {path} to be? --format, or a name like alice.pem, alice.vcf")
    if bool(arguments.key) != (form == "p12"):
        arguments.refuse("--key and --format p12 go together")
    new = delivery.Delivery(arguments, path) if form == "p12" else None
    common.refuse_unwritable(path)
    with common.opened(arguments) as (records, ledger):
        found = common.newest(ledger, arguments.which)
        common.refuse_waiting(ledger, found)
        certificates = [record.certificate for record in found]
        chain = [records.issuing, *records.above]
        if form == "der" and len(certificates) != 1:
            arguments.refuse("a DER file holds one certificate: name its serial number")
        if new is not None:
            data = _p12(arguments, certificates, chain, new)
        elif form == "vcard":
            data = bundle.to_vcard(*certificates, name=arguments.name, version=arguments.vcard)
        elif form == "p7c":
            data = bundle.to_p7c(*certificates, *chain, records.root)
        elif form == "der":
            data = bundle.to_der(certificates[0])
        else:
            data = bundle.to_pem(*certificates, *(chain if arguments.chain else ()))
    if new is not None:
        new.write([(path, data, 0o600)])
    else:
        common.write_all([(path, data, 0o644)])
    if arguments.json:
        common.say_json(
            {
                "written": path,
                "format": form,
                "certificates": [record.to_dict(common.now()) for record in found],
            }
        )
    else:
        common.announce(path)
    return 0


def _p12(
    arguments: argparse.Namespace,
    certificates: list[x509.Certificate],
    chain: list[x509.Certificate],
    new: delivery.Delivery,
) -> bytes:
    """Put the person's own keys with their certificates."""
    import smime
    from pki import bundle

    def asked() -> str:
        given = common.given_passphrase(arguments.key_passphrase_file, None)
        return given or common.secret("Passphrase of the key: ", "--key-passphrase-file")

    pieces = []
    for path in arguments.key:
        with open(path, "rb") as file:
            pieces.append(file.read(MAX_KEY_OCTETS))
    pem = bundle.to_pem(*certificates, *chain)
    identity = smime.Identity.parse(*pieces, pem, passphrase=asked)
    return identity.to_p12(new.secret(), compat=new.compat)
