"""``smimetool ca challenge ACTION``: certify a key that cannot sign a request for itself.

    holder   ca challenge key           a key, and its public half for the CA
    CA       ca challenge new           the certificate, sealed to that key, and on hold
    holder   ca challenge open          opened: the certificate, and the answer for the CA
    CA       ca challenge answer        now it counts

Floor:  cli (uses registrar and proving)
"""

from __future__ import annotations

import argparse
import contextlib
import os

from pki.cli import common, options
from pki.errors import LedgerProblem, NoAuthority, RequestRefused, WrongPassphrase

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Any

    from pki.challenge import Challenge

EXAMPLE = (
    "smimetool ca challenge new alice@chess.example --public-key alice.pub.pem -o alice.challenge"
)
MAX_READ_OCTETS = 1_048_576  # of a key, a challenge, an answer; they have under 20,000


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the actions."""
    actions = parser.add_subparsers(required=True, metavar="ACTION")
    kinds = ("x25519", "x448", "mlkem768", "mlkem1024")

    one = options.action(
        actions,
        "key",
        "make a key that reads, and its public half for the CA",
        "smimetool ca challenge key --key x25519 -o alice.key.pem --public-key alice.pub.pem",
    )
    one.add_argument(
        "--key", choices=kinds, default="x25519", metavar="KIND", help=f"{', '.join(kinds)}"
    )
    one.add_argument("-o", "--output", required=True, metavar="FILE", help="new file, locked")
    one.add_argument("--public-key", required=True, metavar="FILE", help="new file, for the CA")
    options.passphrase(one, "", "of the new key")
    one.set_defaults(act=key)

    one = options.action(
        actions, "new", "certify a public key, and seal the certificate to it", EXAMPLE
    )
    one.add_argument(
        "address",
        metavar="ADDRESS",
        nargs="+",
        help="mail address that the holder was found to have",
    )
    one.add_argument("--public-key", required=True, metavar="FILE", help="PEM or DER")
    one.add_argument(
        "-o", "--output", required=True, metavar="FILE", help="new file, for the holder (CMS, DER)"
    )
    options.subject(one)
    options.profile(one, "encryption")
    options.days(one)
    options.ca(one)
    one.set_defaults(act=new)

    one = options.action(
        actions,
        "open",
        "open a challenge with the private key: the certificate, and the answer",
        "smimetool ca challenge open alice.challenge --key alice.key.pem -o alice.pem "
        "--answer alice.answer",
    )
    one.add_argument("challenge", metavar="FILE", help="what `ca challenge new` made")
    one.add_argument("--key", required=True, metavar="KEY.pem", help="the private key, PEM or DER")
    options.passphrase(one, "key-", "of the key, if it is locked")
    one.add_argument(
        "-o", "--output", required=True, metavar="FILE.pem", help="new file: certificate and chain"
    )
    one.add_argument("--answer", required=True, metavar="FILE", help="new file, for the CA")
    one.set_defaults(act=open_challenge)

    one = options.action(
        actions,
        "answer",
        "take the answer: from then on the certificate counts",
        "smimetool ca challenge answer alice@chess.example --answer alice.answer -o alice.pem",
    )
    one.add_argument(
        "which", metavar="WHICH", help="serial number, SHA-256 fingerprint, or address"
    )
    one.add_argument("--answer", required=True, metavar="FILE", help="what the holder sent back")
    one.add_argument("-o", "--output", metavar="FILE.pem", help="new file: certificate and chain")
    options.ca(one, key=False)
    one.set_defaults(act=answer)


def run(arguments: argparse.Namespace) -> int:
    """Do what the action says."""
    status: int = arguments.act(arguments)
    return status


def key(arguments: argparse.Namespace) -> int:
    """Make both halves of a key."""
    from pki.keys import generate, passphrase_octets, seal, spki_pem

    common.refuse_unwritable(arguments.output)
    common.refuse_unwritable(arguments.public_key)
    passphrase = common.agreed_passphrase(arguments, "Passphrase for the key")
    made = generate(arguments.key)
    common.write_all(
        [
            (arguments.output, seal(made, passphrase_octets(passphrase)), 0o600),
            (arguments.public_key, spki_pem(made.public_key()), 0o644),
        ]
    )
    if arguments.json:
        common.say_json({"key": arguments.output, "public_key": arguments.public_key})
        return 0
    common.announce(f"{arguments.output}\n  the key: keep it, and a copy")
    common.announce(f"{arguments.public_key}\n  for the CA: `ca challenge new`")
    return 0


def new(arguments: argparse.Namespace) -> int:
    """Certify what is to be shown yet, and seal it."""
    from pki.handover import HandOver
    from pki.requests import CertificationRequest

    path: str = arguments.output
    common.refuse_unwritable(path)
    request = CertificationRequest(
        _public_key(arguments.public_key),
        arguments.address,
        arguments.name,
        **options.subject_of(arguments),
    )
    staged: list[HandOver] = []
    with common.registrar(arguments) as ca:

        def stage(made: Challenge) -> None:
            files = [(os.path.abspath(path), made.sealed, 0o644)]
            staged.append(HandOver.stage(files, ca.records.folder, [made.serial]))

        try:
            made = ca.challenge(
                request,
                profile=options.profile_of(arguments.profile),
                lifetime_days=arguments.days,
                stage=stage,
            )
        except BaseException:
            for one in staged:
                # The failure before is the one to tell; what is open the next command does.
                with contextlib.suppress(OSError, LedgerProblem):
                    one.settle(ca.ledger)
            raise
        staged[0].publish()
        record = ca.find(made.serial)
    if arguments.json:
        common.say_json({"challenge": path, "certificate": record.to_dict(common.now())})
        return 0
    names = ", ".join(record.addresses)
    common.announce(f"{path}\n  for {names}: `ca challenge open`; on hold until the answer comes")
    return 0


def open_challenge(arguments: argparse.Namespace) -> int:
    """Open it, for the holder: no CA is needed."""
    from cryptography.hazmat.primitives.serialization import Encoding

    from pki import challenge
    from pki.facts import addresses_of
    from pki.folder import to_pem

    common.refuse_unwritable(arguments.output)
    common.refuse_unwritable(arguments.answer)
    private = _private_key(arguments)
    answer, certificates = challenge.read(_read(arguments.challenge), private)
    own = certificates[0]
    if own.public_key() != private.public_key():
        raise RequestRefused("the certificate in the challenge is for another key")
    common.write_all(
        [
            (arguments.output, to_pem(*certificates), 0o644),
            (arguments.answer, f"answer: {answer}\n".encode(), 0o600),
        ]
    )
    addresses = addresses_of(own.public_bytes(Encoding.DER))
    if arguments.json:
        common.say_json(
            {
                "pem": arguments.output,
                "answer": arguments.answer,
                "serial": f"{own.serial_number:x}",
                "addresses": list(addresses),
            }
        )
        return 0
    common.announce(f"{arguments.output}\n  certificate, for {', '.join(addresses)}")
    common.announce(f"{arguments.answer}\n  send it back: `ca challenge answer`")
    return 0


def answer(arguments: argparse.Namespace) -> int:
    """Find which certificate was waiting for this, and let it count."""
    from pki import challenge, proving
    from pki.folder import to_pem

    if arguments.output is not None:
        common.refuse_unwritable(arguments.output)
    given = challenge.find_answer(_read(arguments.answer))
    digest = challenge.digest_of(given)
    with common.opened(arguments) as (records, ledger):
        found = common.chosen(ledger, arguments.which)
        meant = [one.serial for one in found if (digest, False) == ledger.challenge(one.serial)]
        serial = meant[0] if meant else found[0].serial
        certificate = proving.take(ledger, serial, given)
        record = ledger.find(serial=serial)[0]
        if arguments.output is not None:
            ours = certificate.issuer == records.issuing.subject
            chain = (records.issuing, *records.above) if ours else ()
            common.write_recorded(arguments.output, certificate, to_pem(certificate, *chain))
    if arguments.json:
        facts = {"pem": arguments.output, "certificate": record.to_dict(common.now())}
        common.say_json(facts)
        return 0
    if arguments.output is not None:
        common.announce(f"{arguments.output}\n  certificate, for everybody who writes to them")
    common.announce(f"{serial:x}\n  {record.state(common.now())}: {', '.join(record.addresses)}")
    return 0


def _public_key(path: str) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        load_der_public_key,
        load_pem_public_key,
    )

    data = _read(path)
    try:
        return load_pem_public_key(data) if b"-----BEGIN" in data else load_der_public_key(data)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise RequestRefused(
            f"{path} is no public key", hint="`openssl pkey -in KEY -pubout` writes one"
        ) from error


def _private_key(arguments: argparse.Namespace) -> Any:
    from cryptography.exceptions import UnsupportedAlgorithm
    from cryptography.hazmat.primitives.serialization import (
        load_der_private_key,
        load_pem_private_key,
    )

    data = _read(arguments.key)
    load = load_pem_private_key if b"-----BEGIN" in data else load_der_private_key
    given = common.given_passphrase(arguments.key_passphrase_file, arguments.key_passphrase_env)
    try:
        if not given:
            with contextlib.suppress(TypeError):  # it is locked
                return load(data, None)
            given = common.secret(f"Passphrase of {arguments.key}: ", "--key-passphrase-file")
        return load(data, given.encode())
    except (ValueError, TypeError) as error:
        if b"ENCRYPTED" not in data:
            raise NoAuthority(f"{arguments.key} is no private key") from error
        raise WrongPassphrase(
            f"{arguments.key} does not open: wrong passphrase, or a damaged file"
        ) from error
    except UnsupportedAlgorithm as error:
        raise NoAuthority(f"{arguments.key} holds a key of another kind") from error


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_READ_OCTETS)
