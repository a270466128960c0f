"""``smimetool open``: whatever arrives, protected or not.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli import keys, options, verdict

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from smime.cli.files import Files

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run ``smimetool open`` with these arguments."""
    parser = options.parser_of(
        "open",
        "Open whatever arrives, protected or not, and print what a mail reader should show: who "
        "wrote it and who could read it, each header with what protects it, what to beware of, "
        "the text.",
        ["3", "4", "5", "6"],
        "Status 0 says that the mail could be opened, not that a signature is good: to demand "
        "one,\nuse `smimetool verify`.",
    )
    options.add_in_and_out(
        parser,
        output="file for the opened mail; with -o - it goes to standard output, and what would "
        "be printed to standard error",
    )
    options.add_identity(
        parser, use="who opens the mail, if it is sealed; may be repeated", required=False
    )
    options.add_ca(parser, required=False)
    options.add_pgp(parser)
    options.add_revocation(parser)
    options.add_at(parser)
    options.add_proof(parser)
    options.add_legacy(parser)
    options.add_json(parser, help="print the report and what is shown as JSON")
    return options.run(parser, argv, open_)


def open_(args: argparse.Namespace, files: Files) -> int:
    """Open IN, print what a reader should see, and write the mail to OUT."""
    verdict.refuse_two_on_one_stream(args)
    keys.refuse_to_overwrite(args)
    with keys.keyring_of(args) as ring, keys.token_of(args) as token:
        opened = smime.open(
            files.mail(args.input),
            trust=keys.trusts_of(args, ring),
            keys=keys.openers_of(args, ring, token),
            sender=args.sender,
            evidence=keys.evidence_of(args),
            policy=options.policy_of(args),
            **keys.proof_of(args),
        )
    shown = smime.view(opened)
    more: dict[str, object] = {"shown": shown.to_dict()}
    verdict.hand_out(opened.mail.pieces(), opened.report, args, files, text=str(shown), more=more)
    return 0
