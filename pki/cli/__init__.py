"""``smimetool ca``: run a small certification authority in a folder.

One file per command; each has ``arguments(parser)``, ``run(arguments)`` and ``EXAMPLE``.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import errno
import sys

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Any, NoReturn

__all__ = ["main"]

COMMANDS = (
    ("init", "make a CA in a new folder"),
    ("root", "keep the root on a machine of its own, by files"),
    ("rollover", "give the issuing CA a new key; the old one signs lists to its end"),
    ("issue", "make keys and certificates for one user"),
    ("import-csv", "make keys and certificates for many users"),
    ("sign-csr", "certify a key that its holder made"),
    ("challenge", "certify a key that cannot sign, for who opens what is sealed to it"),
    ("renew", "certify the same keys and names again"),
    ("rekey", "make new keys for the same names"),
    ("revoke", "take back certificates, or put them on hold"),
    ("crl", "sign the list of revoked certificates"),
    ("ocsp", "answer whether certificates are revoked"),
    ("escrow", "name who can open kept reading keys"),
    ("recover", "get kept reading keys back"),
    ("publish", "write files for a directory, a name server, a web server"),
    ("export", "write certificates as other programs want them"),
    ("list", "list certificates that were given out"),
    ("show", "say what the CA's folder or a certificate holds"),
    ("remind", "write to people whose certificates end soon"),
    ("backup", "write all of a CA into one file"),
    ("restore", "make a CA's folder from its backup"),
    ("audit", "say whether the ledger is what was written"),
)


def main(argv: list[str]) -> int:
    """Run ``smimetool ca`` with these arguments; give the exit status.

    Raises ``SmimeError`` and ``OSError``, which the command's own main prints.
    """
    arguments, unknown = _parser(argv).parse_known_args(argv)
    if unknown:  # said by the command that was meant, whose help has what it takes
        arguments.refuse(f"unrecognized arguments: {' '.join(unknown)}")
    if sys.stdout is None:
        # Before any work, so that nothing is made of which nobody hears.
        raise OSError(errno.EBADF, "it is closed", "standard output")
    status: int = arguments.run(arguments)
    return status


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as all of smimetool does; no option by half its name."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nhint: `{self.prog} --help`\n")


def _parser(argv: list[str]) -> argparse.ArgumentParser:
    from importlib import import_module

    parser = _Parser(
        prog="smimetool ca", description="Run a small certification authority in a folder."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, about in COMMANDS:
        command = commands.add_parser(
            name,
            help=about,
            description=f"{about[0].upper()}{about[1:]}.",
            formatter_class=argparse.RawDescriptionHelpFormatter,
        )
        if argv[:1] == [name]:  # the others are not needed, nor their imports
            module = import_module(f"pki.cli.{name.replace('-', '_')}")
            command.epilog = f"example:\n  {module.EXAMPLE}"
            module.arguments(command)
            command.set_defaults(run=module.run, refuse=command.error)
    return parser
