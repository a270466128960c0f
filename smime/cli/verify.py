"""``smimetool verify``: who signed, when, whether to believe it and why.

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
    """Run ``smimetool verify`` with these arguments."""
    parser = options.parser_of(
        "verify",
        "Say who signed a mail, when, whether to believe it and why. Succeeds only if a good "
        "signature by the sender covers the whole mail.",
        ["3", "4", "5", "6", "7"],
        "With status 7 standard error says why, and nothing is written; with --json the report "
        "is on\nstandard output all the same.",
    )
    options.add_in_and_out(
        parser,
        output="file for exactly what was signed, written only if the signature is good; with "
        "-o - it goes to standard output, and the report to standard error",
    )
    options.add_ca(parser, required=False)
    options.add_pgp(parser)
    options.add_revocation(parser)
    options.add_at(parser)
    options.add_proof(parser)
    options.add_identity(
        parser, use="who opens the mail, if it is sealed; may be repeated", required=False
    )
    options.add_legacy(parser)
    options.add_json(parser, help="say the report as JSON")
    return options.run(parser, argv, verify)


def verify(args: argparse.Namespace, files: Files) -> int:
    """Say who signed IN; write what was signed to OUT only if it is good."""
    verdict.refuse_two_on_one_stream(args)
    keys.refuse_to_overwrite(args)
    with keys.keyring_of(args) as ring, keys.token_of(args) as token:
        trusts = keys.trusts_of(args, ring)
        readers = keys.openers_of(args, ring, token)
        mail = files.mail(args.input)
        try:
            opened = smime.verify(
                mail,
                trust=trusts,
                keys=readers,
                sender=args.sender,
                evidence=keys.evidence_of(args),
                policy=options.policy_of(args),
                **keys.proof_of(args),
            )
        except smime.SignatureRejected as problem:
            verdict.reject(problem, args, files)
            raise
    verdict.hand_out(opened.content_pieces(), opened.report, args, files)
    return 0
