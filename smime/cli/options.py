"""Options that commands share, and how a command is run.

Floor:  cli
"""

from __future__ import annotations

import argparse

from smime.cli.failures import UsageError, name_subject
from smime.cli.files import STANDARD, Files
from smime.errors import DecryptionFailed, KeyProblem, SmimeError

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from datetime import datetime
    from typing import NoReturn

    from smime.policy import Policy

    Command = Callable[[argparse.Namespace, Files], int]

__all__ = [
    "Parser",
    "add_at",
    "add_ca",
    "add_cipher",
    "add_compress",
    "add_digest",
    "add_identity",
    "add_in",
    "add_in_and_out",
    "add_json",
    "add_legacy",
    "add_pgp",
    "add_proof",
    "add_revocation",
    "add_to",
    "parser_of",
    "policy_of",
    "run",
]


class _Help(argparse.HelpFormatter):
    """Fills the description; text that has lines of its own keeps them."""

    def __init__(self, prog: str) -> None:
        # A fixed width: asking the terminal imports shutil and all its compressors.
        super().__init__(prog, max_help_position=26, width=88)

    def _fill_text(self, text: str, width: int, indent: str) -> str:
        return text if "\n" in text else super()._fill_text(text, width, indent)


class Parser(argparse.ArgumentParser):
    """A parser that says what is wrong in one line, as all of smimetool does."""

    def error(self, message: str) -> NoReturn:
        command = self.prog.partition(" ")[2]
        hint = f"`{self.prog} --help` lists the options"
        if message.startswith("unrecognized arguments"):
            hint = "each file after the first needs its option again, as in -t A -t B; " + hint
        raise UsageError(message, hint=hint, command=command)

    def print_help(self, file: object = None) -> None:  # noqa: ARG002
        Files().say(self.format_help().rstrip("\n"))


def parser_of(name: str, description: str, statuses: Iterable[str], *more: str) -> Parser:
    """Return the parser of a command; its help names the exit statuses in ``statuses``."""
    from smime.cli.main import STATUSES

    known = dict(STATUSES)
    wanted = ["0", "2", *statuses, "8", "70", "130"]
    lines = [f"  {number:<5} {known[number]}" for number in wanted]
    parser = Parser(
        prog=f"smimetool {name}",
        description=description,
        epilog="\n".join([*more, *([""] if more else []), "exit status:", *lines]),
        formatter_class=_Help,
        allow_abbrev=False,
    )
    parser.color = False  # type: ignore[attr-defined]  # Python 3.14 would colour the help
    return parser


def run(parser: Parser, argv: list[str], command: Command) -> int:
    """Parse the arguments, do the command, and name the mail that an error is about."""
    args = parser.parse_args(argv)
    files = Files()
    try:
        return command(args, files)
    except UsageError as problem:
        problem.command = problem.command or parser.prog.partition(" ")[2]
        raise
    except KeyProblem:
        raise  # it is about a key, and names it
    except SmimeError as problem:
        if isinstance(problem, DecryptionFailed) and not args.identity:
            problem.hint = f"-i names the key that opens it; {problem.hint}".rstrip("; ")
        name_subject(problem, files.subject)
        raise


def add_in(parser: Parser) -> None:
    """Add IN."""
    parser.add_argument(
        "input",
        metavar="IN",
        nargs="?",
        type=_name,
        default=STANDARD,
        help="file that holds the mail; without it, or -, standard input",
    )


def add_in_and_out(parser: Parser, *, output: str) -> None:
    """Add IN and -o; ``output`` says what is written."""
    add_in(parser)
    parser.add_argument("-o", "--output", metavar="OUT", type=_name, help=output)


def add_identity(parser: Parser, *, use: str, required: bool = True) -> None:
    """Add -i and what is needed to open the files it names."""
    parser.add_argument(
        "-i",
        "--identity",
        metavar="ID",
        action="append",
        default=[],
        required=required,
        help=f"{use}: PKCS#12 file (.p12, .pfx), or PEM file of key and certificate; with --pgp "
        "an address, with --token the label of a key",
    )
    parser.add_argument(
        "--certificate",
        metavar="FILE",
        action="append",
        default=[],
        help="certificate of the key in ID, where it is in a file of its own",
    )
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--passphrase-file",
        metavar="FILE",
        help="file whose first line is the passphrase of ID, or the PIN of the token; else it "
        "is asked for if needed",
    )
    group.add_argument(
        "--passphrase-env", metavar="NAME", help="environment variable that holds the passphrase"
    )
    parser.add_argument(
        "--token",
        metavar="MODULE",
        type=_name,
        help="the key is in a PKCS#11 token, used through this module (a shared library)",
    )
    parser.add_argument("--token-label", metavar="LABEL", type=_name, help="label of the token")


def add_pgp(parser: Parser) -> None:
    """Add --pgp and --pgp-home."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--pgp",
        action="store_true",
        help="use your GnuPG keyring: -i and -t take addresses and fingerprints of its OpenPGP "
        "keys, and what it vouches for is believed",
    )
    group.add_argument(
        "--pgp-home", metavar="DIR", type=_name, help="the same, with the GnuPG home in DIR"
    )


def add_to(parser: Parser) -> None:
    """Add -t."""
    parser.add_argument(
        "-t",
        "--to",
        metavar="CERT",
        action="append",
        required=True,
        help="certificate of a reader (PEM, DER or PKCS#7), with --pgp an address; once for "
        "each reader",
    )


def add_ca(
    parser: Parser, *, required: bool = True, sender: bool = True, whom: str = "the signer"
) -> None:
    """Add --ca and --sender: whom to believe about ``whom``, and for which address."""
    group = parser.add_mutually_exclusive_group(required=required)
    group.add_argument(
        "--ca",
        metavar="FILE",
        action="append",
        default=[],
        help=f"certificates of those who may vouch for {whom}; may be repeated",
    )
    group.add_argument(
        "--system-email",
        action="store_true",
        help="believe the roots that this system trusts for e-mail, as p11-kit knows them",
    )
    if not sender:
        return
    parser.add_argument(
        "--sender",
        metavar="ADDR",
        type=_address,
        help="who must have signed, instead of the mail's one From address",
    )
    parser.add_argument(
        "--any-case",
        action="store_const",
        const="any-case",
        dest="local_part",
        help="take Alice@ and alice@ for the same mailbox; domains never have a case",
    )


def add_revocation(parser: Parser) -> None:
    """Add --crl, --ocsp, --revocation and --fetch."""
    parser.add_argument(
        "--crl",
        metavar="FILE",
        action="append",
        default=[],
        help="list of revoked certificates (DER or PEM); may be repeated",
    )
    parser.add_argument(
        "--ocsp",
        metavar="FILE",
        action="append",
        default=[],
        help="answer of an OCSP responder (DER); may be repeated",
    )
    parser.add_argument(
        "--revocation",
        choices=("require", "if-available", "off"),
        metavar="HOW",
        help="require: refuse what no CRL or OCSP answer speaks for; if-available (without it): "
        "refuse what is revoked; off: do not look",
    )
    parser.add_argument(
        "--fetch",
        choices=("public", "private"),
        metavar="WHERE",
        help="get missing issuers, CRLs and OCSP answers from the URLs in certificates, which "
        "tells those servers that the mail is read: from public addresses, or, for an intranet, "
        "from private ones too; without it nothing is fetched",
    )


def add_at(parser: Parser) -> None:
    """Add --at."""
    parser.add_argument(
        "--at",
        metavar="TIME",
        type=_moment,
        help="judge certificates at this moment: 2026-11-24T09:30:00Z, or 2026-11-24; "
        "UTC if it has no zone; without it, now",
    )


def add_proof(parser: Parser) -> None:
    """Add --received-at and --tsa: what proves that a mail was good when it was signed."""
    parser.add_argument(
        "--received-at",
        metavar="TIME",
        type=_moment,
        help="you had the mail at this moment, and know that not from the mail: what expired "
        "since is good when signed",
    )
    parser.add_argument(
        "--tsa",
        metavar="FILE",
        action="append",
        default=[],
        help="certificates of those who vouch for time-stamp authorities: what expired after a "
        "time stamp is good when signed; may be repeated",
    )


def add_legacy(parser: Parser) -> None:
    """Add --legacy."""
    parser.add_argument(
        "--legacy",
        action="store_true",
        help="read SHA-1, MD5, 3DES and RSA from 1024 bits too; for old archives, "
        "since such mail can be forged today",
    )


def add_json(parser: Parser, *, help: str) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help=help)


def add_digest(parser: Parser) -> None:
    """Add --digest and --rsa-pss."""
    from smime.policy import DIGESTS

    parser.add_argument(
        "--digest",
        choices=DIGESTS,
        metavar="NAME",
        help=f"digest that is signed: {', '.join(DIGESTS)}; without it, as the key asks",
    )
    parser.add_argument(
        "--rsa-pss",
        action="store_const",
        const="rsa-pss",
        dest="signature",
        help="RSA keys sign by RSASSA-PSS, which not every client reads",
    )


def add_cipher(parser: Parser) -> None:
    """Add --cipher and --key-transport."""
    from smime.policy import CONTENT_CIPHERS, KEY_TRANSPORTS

    parser.add_argument(
        "--cipher",
        choices=CONTENT_CIPHERS,
        metavar="NAME",
        help=f"content cipher: {', '.join(CONTENT_CIPHERS)}; without it aes-256-cbc, "
        "unless every reader is known to read GCM",
    )
    parser.add_argument(
        "--key-transport",
        choices=KEY_TRANSPORTS,
        metavar="NAME",
        help=f"for readers with RSA keys: {', '.join(KEY_TRANSPORTS)}; without it rsa-v15, "
        "which every client reads",
    )


def add_compress(parser: Parser) -> None:
    """Add --compress."""
    parser.add_argument(
        "--compress",
        action="store_true",
        help="compress the content first (RFC 3274), which few mail programs read",
    )


def policy_of(args: argparse.Namespace) -> Policy:
    """Return the policy that the options name."""
    from smime.policy import Policy

    names = (
        "digest",
        "signature",
        "cipher",
        "key_transport",
        "revocation",
        "local_part",
        "compress",
    )
    named = {name: getattr(args, name, None) for name in names}
    legacy = getattr(args, "legacy", False)
    policy = Policy.legacy_read() if legacy else Policy.modern()
    return policy.replace(**{name: value for name, value in named.items() if value})


def _name(text: str) -> str:
    # An empty name is a script's unset variable; it must not come to mean standard output.
    if not text:
        raise argparse.ArgumentTypeError("an empty name is no file")
    return text


def _moment(text: str) -> datetime:
    from datetime import UTC, datetime

    try:
        at = datetime.fromisoformat(text)
        return at.replace(tzinfo=UTC) if at.tzinfo is None else at.astimezone(UTC)
    except (ValueError, OverflowError):
        raise argparse.ArgumentTypeError(
            f"{text} is no time; write it like 2026-11-24T09:30:00Z"
        ) from None


def _address(text: str) -> str:
    local, _, domain = text.rpartition("@")
    if not local or not domain:
        raise argparse.ArgumentTypeError(f"{text} is no mail address")
    return text
