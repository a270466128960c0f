"""``smimetool protect``: sign, then encrypt.

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
    """Run ``smimetool protect`` with these arguments."""
    parser = options.parser_of(
        "protect",
        "Sign a mail, then seal it for its readers and for the sender, its headers inside "
        "(RFC 9788): nobody else can read it, and the readers see who wrote it.",
        ["3", "4", "5"],
    )
    options.add_in_and_out(parser, output="file for the sealed mail; without it, standard output")
    options.add_identity(parser, use="who signs")
    options.add_to(parser)
    options.add_ca(parser, required=False, sender=False, whom="the readers' certificates")
    options.add_revocation(parser)
    options.add_digest(parser)
    options.add_cipher(parser)
    options.add_pgp(parser)
    options.add_compress(parser)
    return options.run(parser, argv, protect)


def protect(args: argparse.Namespace, files: Files) -> int:
    """Sign IN and seal it for the readers."""
    if len(args.identity) > 1:
        raise UsageError("one --identity signs; several are for `smimetool sign`")
    keys.refuse_to_overwrite(args)
    with keys.keyring_of(args) as ring, keys.token_of(args) as token:
        (signer,) = keys.signers_of(args, ring, token)
        readers = keys.readers_of(args, ring)
        made = files.send(
            args.input,
            args.output or STANDARD,
            smime.protect,
            by=signer,
            to=readers,
            policy=options.policy_of(args),
            **keys.vouching_of(args),
        )
        keys.tell_unverified(made, args, files)
    return 0
