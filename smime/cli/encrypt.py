"""``smimetool encrypt``: seal a mail, unsigned.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli import keys, options
from smime.cli.files import STANDARD

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from smime.cli.files import Files

__all__ = ["main"]


def main(argv: list[str]) -> int:
    """Run ``smimetool encrypt`` with these arguments."""
    parser = options.parser_of(
        "encrypt",
        "Seal a mail, so that only its readers can read it. Nobody can tell who wrote it, or "
        "whether it was changed: prefer `smimetool protect`, which signs too.",
        ["3", "4", "5"],
    )
    options.add_in_and_out(parser, output="file for the sealed mail; without it, standard output")
    options.add_to(parser)
    options.add_ca(parser, required=False, sender=False, whom="the readers' certificates")
    options.add_revocation(parser)
    options.add_cipher(parser)
    options.add_pgp(parser)
    options.add_compress(parser)
    return options.run(parser, argv, encrypt)


def encrypt(args: argparse.Namespace, files: Files) -> int:
    """Seal IN for the readers."""
    keys.refuse_to_overwrite(args)
    with keys.keyring_of(args) as ring:
        readers = keys.readers_of(args, ring)
        policy = options.policy_of(args)
        asked = keys.vouching_of(args)
        made = files.send(
            args.input, args.output or STANDARD, smime.encrypt, to=readers, policy=policy, **asked
        )
        keys.tell_unverified(made, args, files)
    return 0
