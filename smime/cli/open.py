"""``smimetool open``: whatever arrives, protected or not.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli import keys, options, verdict
from smime.cli.files import STANDARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from smime.cli.files import Files

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run ``smimetool open`` with these arguments."""
    parser = options.parser_of(
        "open",
        "Open whatever arrives, protected or not, as a mail reader does, and say on standard "
        "error what it was: sealed or not, signed by whom, and whether to believe it.",
        ["3", "4", "5", "6"],
        "Status 0 says that the mail could be opened, not that a signature is good: to demand "
        "one,\nuse `smimetool verify`.",
    )
    options.add_in_and_out(
        parser,
        output="file for the opened mail; without it, standard output, or nowhere with --json",
    )
    options.add_identity(
        parser, use="who opens the mail, if it is sealed; may be repeated", required=False
    )
    options.add_ca(parser, required=False)
    options.add_pgp(parser)
    options.add_at(parser)
    options.add_legacy(parser)
    options.add_json(parser, help="say the report as JSON on standard output")
    return options.run(parser, argv, open_)


def open_(args: argparse.Namespace, files: Files) -> int:
    """Open IN and say what was found."""
    verdict.refuse_two_on_one_stream(args)
    keys.refuse_to_overwrite(args)
    with keys.keyring_of(args) as ring:
        trusts = keys.trusts_of(args, ring)
        readers = keys.openers_of(args, ring)
        opened = smime.open(
            files.read(args.input),
            trust=trusts,
            keys=readers,
            sender=args.sender,
            policy=options.policy_of(args),
            at=args.at,
        )
    verdict.hand_out(opened.mail, opened.report, args, files, output=STANDARD)
    return 0
