"""``smimetool ca recover WHICH --reason TEXT -i AGENT.p12 -o DIR``: get reading keys back.

Floor:  cli (uses archive)
"""

from __future__ import annotations

import argparse
import os

from pki.cli import common, delivery, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from pki.ledger import Ledger

EXAMPLE = (
    "smimetool ca recover alice@chess.example --reason 'lost laptop, asked for by the board' "
    "-i ann.p12 -o alice-keys --write-passphrase alice-keys.pass"
)
_NEW_KINDS = frozenset({"x25519", "x448", "mlkem768", "mlkem1024"})
MAX_LETTER_OCTETS = 4_194_304  # as large as a record


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.add_argument(
        "which",
        metavar="WHICH",
        nargs="+",
        help="serial number, SHA-256 fingerprint, file, or address: all its kept keys",
    )
    parser.add_argument(
        "--reason", required=True, metavar="TEXT", help="why; the log keeps it for good"
    )
    options.identity(parser)
    parser.add_argument(
        "--handed-over",
        action="append",
        default=[],
        metavar="FILE",
        help="what an agent who is elsewhere sent: `ca escrow hand-over`",
    )
    parser.add_argument(
        "--single", action="store_true", help="one file with all keys, not one for each"
    )
    delivery.arguments(parser, "DIR", "folder for the .p12 files; made if it is not there")
    options.ca(parser, key=False)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Open what the agents can open, have the log say so, write the files."""
    from pki import archive
    from pki.bundle import former_keys
    from pki.keys import key_name

    new = delivery.Delivery(arguments)
    if os.path.lexists(arguments.output) and not os.path.isdir(arguments.output):
        raise NotADirectoryError(20, "not a folder", arguments.output)
    letters = [_read(path) for path in arguments.handed_over]
    agents = common.identities(arguments)
    with common.opened(arguments) as (records, ledger):
        serials = kept_serials(ledger, arguments.which)
        secret = new.secret()
        found = archive.recover(
            ledger, serials, reason=arguments.reason, keys=agents, handed_over=letters
        )
        chain = (records.issuing, *records.above)
        files = former_keys(found, secret, chain=chain, compat=new.compat, single=arguments.single)
    os.makedirs(arguments.output, mode=0o700, exist_ok=True)
    paths = [(os.path.join(arguments.output, name), data) for name, data in files.items()]
    new.write([(path, data, 0o600) for path, data in paths])
    if arguments.json:
        common.say_json(
            {"written": [path for path, _ in paths], "recovered": [f"{one:x}" for one in serials]}
        )
        return 0
    for one in found:
        common.announce(
            f"{one.subject}: key of {one.certificate.serial_number:x}, "
            f"until {one.certificate.not_valid_after_utc:%Y-%m-%d}"
        )
    for path, _ in paths:
        common.announce(path)
    new_kinds = {key_name(one.certificate.public_key()) for one in found} & _NEW_KINDS
    if arguments.single and new_kinds:
        names = ", ".join(sorted(new_kinds))
        common.tell(
            f"the file holds {names} keys: Thunderbird stops at them, and openssl before 3.5 at "
            "ML-KEM; without --single each key has a file of its own"
        )
    return 0


def kept_serials(ledger: Ledger, names: list[str]) -> list[int]:
    """Find the certificates meant whose keys are kept. Raises ``RequestRefused``."""
    from pki import archive
    from pki.errors import RequestRefused

    serials: list[int] = []
    for which in names:
        held = archive.serials_of(ledger, [one.serial for one in common.chosen(ledger, which)])
        if not held:
            raise RequestRefused(
                f"no key is kept for {which!a}",
                hint="kept are reading keys of pairs that were made here: `ca issue --pair`",
            )
        serials += [serial for serial in held if serial not in serials]
    return serials


def _read(path: str) -> bytes:
    with open(path, "rb") as file:
        return file.read(MAX_LETTER_OCTETS + 1)
