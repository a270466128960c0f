"""``smimetool sign``: multipart/signed, or opaque.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli import keys, options
from smime.cli.failures import UsageError
from smime.cli.files import STANDARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from smime.cli.files import Files

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run ``smimetool sign`` with these arguments."""
    parser = options.parser_of(
        "sign",
        "Sign a mail: everybody can read it, nobody can change it unseen. Its headers stay "
        "outside and a copy of them goes inside.",
        ["3", "4", "5"],
    )
    options.add_in_and_out(parser, output="file for the signed mail; without it, standard output")
    options.add_identity(parser, use="who signs; several -i make several signatures")
    parser.add_argument(
        "--opaque",
        action="store_true",
        help="wrap the mail in application/pkcs7-mime; only S/MIME software can read it then",
    )
    options.add_digest(parser)
    options.add_pgp(parser)
    options.add_compress(parser)
    return options.run(parser, argv, sign)


def sign(args: argparse.Namespace, files: Files) -> int:
    """Sign IN as each of the identities."""
    keys.refuse_to_overwrite(args)
    with keys.keyring_of(args) as ring, keys.token_of(args) as token:
        _refuse_forms(args, ring)
        files.send(
            args.input,
            args.output or STANDARD,
            smime.sign,
            by=keys.signers_of(args, ring, token),
            opaque=args.opaque,
            policy=options.policy_of(args),
        )
    return 0


def _refuse_forms(args: argparse.Namespace, ring: smime.PgpKeyring | None) -> None:
    if ring is not None and (args.opaque or len(args.identity) > 1):
        raise UsageError("with --pgp one key signs, and not --opaque")
