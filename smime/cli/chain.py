"""``smimetool chain``: the path of a certificate as a tree, and what each question got.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli import keys, options

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from smime.cli.files import Files

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run ``smimetool chain`` with these arguments."""
    parser = options.parser_of(
        "chain",
        "Show the path from a certificate up to those who may vouch for it, and what holds of it.",
        ["3", "5"],
        "With status 5 the tree and what is wrong are on standard output all the same.",
    )
    parser.add_argument(
        "cert",
        metavar="CERT",
        help="file of the certificate (PEM, DER or PKCS#7); more in it may stand in the middle",
    )
    options.add_ca(parser, sender=False)
    parser.add_argument(
        "--with",
        dest="middle",
        metavar="FILE",
        action="append",
        default=[],
        help="certificates that may stand in the middle; may be repeated",
    )
    options.add_revocation(parser)
    options.add_at(parser)
    parser.add_argument("--address", metavar="ADDR", help="ask whether it names this address, too")
    parser.add_argument(
        "--use",
        choices=("sign", "encrypt"),
        default="sign",
        help="what the key is for: sign (without it) or encrypt",
    )
    parser.add_argument(
        "--why", action="store_true", help="show every path, with what is wrong with it"
    )
    options.add_legacy(parser)
    options.add_json(parser, help="say it as JSON")
    parser.set_defaults(identity=None)
    return options.run(parser, argv, chain)


def chain(args: argparse.Namespace, files: Files) -> int:
    """Say what holds of the first certificate in CERT."""
    from smime.policy import moment
    from smime.trust.loading import load_certificates
    from smime.trust.telling import judgement_dict, judgement_lines

    anchors = keys.anchors_of(args)
    leaf, *beside = load_certificates([args.cert])
    claim = smime.Claim(
        certificate=leaf,
        sender=args.address,
        sender_asked=args.address is not None,
        at=moment(args.at),
        certificates=tuple(beside),
        evidence=keys.evidence_of(args, args.middle),
        policy=options.policy_of(args),
        use=args.use,
    )
    answer = anchors.judge(claim)
    shown = anchors.judge_each(claim) if args.why else (answer,)
    if args.json:
        from json import dumps

        found = {"good": answer.good, "paths": [judgement_dict(one) for one in shown]}
        files.say(dumps(found, indent=2))
    else:
        files.say("\n\n".join("\n".join(judgement_lines(one)) for one in shown))
    if answer.good:
        return 0
    problems = [
        finding.reason
        for finding in (answer.path, answer.time, answer.revocation, answer.usage, answer.address)
        if not finding.accepted
    ]
    raise smime.KeyProblem(f"{args.cert}: {'; '.join(problems)}")
