"""``smimetool decrypt``: open a mail that was sealed.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli import keys, options, verdict
from smime.cli.failures import UsageError
from smime.cli.files import STANDARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from smime.cli.files import Files

__all__ = ["main"]

_OPTION = {"received_at": "--received-at", "local_part": "--any-case"}


def main(argv: list[str]) -> int:
    """Run ``smimetool decrypt`` with these arguments."""
    parser = options.parser_of(
        "decrypt",
        "Open a mail that was sealed. Standard error says `unsigned`, `signed by ADDRESS (good)`, "
        "`signature NOT good`, or, without --ca, `signature not judged`.",
        ["3", "4", "5", "6", "7"],
        "Without --ca or --pgp a mail that opens is written whatever its signature. With one of\n"
        "them, status 0 says that the mail is unsigned or its signature good; 7, that a signature\n"
        "inside is not good, and nothing is written.",
    )
    options.add_in_and_out(
        parser,
        output="file for the opened mail; without it, standard output, or nowhere with --json",
    )
    options.add_identity(parser, use="who opens the mail; may be repeated", required=False)
    options.add_pgp(parser)
    options.add_ca(parser, required=False)
    options.add_revocation(parser)
    options.add_at(parser)
    options.add_proof(parser)
    options.add_legacy(parser)
    options.add_json(parser, help="say the report as JSON on standard output")
    return options.run(parser, argv, decrypt)


def decrypt(args: argparse.Namespace, files: Files) -> int:
    """Open IN; with --ca, only if what is signed inside is good."""
    openpgp = args.pgp or args.pgp_home is not None
    if not args.identity and not openpgp:
        raise UsageError("whose key opens it? -i ID is missing, or --pgp for your GnuPG keyring")
    named = (
        "sender",
        "at",
        "crl",
        "ocsp",
        "revocation",
        "fetch",
        "received_at",
        "tsa",
        "local_part",
    )
    alone = [_OPTION.get(name, f"--{name}") for name in named if getattr(args, name)]
    judged = bool(args.ca or args.system_email) or openpgp
    if alone and not judged:
        raise UsageError(
            f"{', '.join(alone)} needs --ca", hint="without --ca no signature is judged at all"
        )
    verdict.refuse_two_on_one_stream(args)
    keys.refuse_to_overwrite(args)
    with keys.keyring_of(args) as ring, keys.token_of(args) as token:
        opened = smime.decrypt(
            files.mail(args.input),
            trust=keys.trusts_of(args, ring) if judged else [smime.NoTrust()],
            keys=keys.openers_of(args, ring, token),
            sender=args.sender,
            evidence=keys.evidence_of(args),
            policy=options.policy_of(args),
            **keys.proof_of(args),
        )
    report = opened.report
    line = verdict.signature_of(report, judged=judged)
    if judged and not verdict.unsigned_or_good(report):
        problem = smime.SignatureRejected(line, report)
        verdict.reject(problem, args, files)
        raise problem
    text = "\n".join([line, *verdict.notes_of(report)])
    verdict.hand_out(opened.mail.pieces(), report, args, files, output=STANDARD, text=text)
    return 0
