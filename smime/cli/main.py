"""Where ``smimetool`` starts: one table of commands, and one place that ends them all.

``--version`` and the top ``--help`` are answered from the table before anything
is imported; a command's module is imported when it is called, and no other.

Floor:  cli
"""

from __future__ import annotations

import sys

from smime import __version__

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence

__all__ = ["main"]

COMMANDS = (
    ("sign", "smime.cli.sign:main", "sign a mail, so that nobody can change it unseen"),
    ("encrypt", "smime.cli.encrypt:main", "seal a mail for its readers, without a signature"),
    ("protect", "smime.cli.protect:main", "sign a mail, then seal it: what to use by default"),
    ("verify", "smime.cli.verify:main", "say who signed a mail, and whether to believe it"),
    ("decrypt", "smime.cli.decrypt:main", "open a mail that was sealed"),
    ("open", "smime.cli.open:main", "open whatever arrives, and print what a reader should see"),
    ("inspect", "smime.cli.inspect:main", "show how a mail is built, without keys or verdict"),
    ("chain", "smime.cli.chain:main", "show the path of a certificate, and what holds of it"),
    ("pgp", "smime.cli.pgp:main", "OpenPGP keys: keygen, import, list, export and more"),
    ("sop", "smime.cli.sop:main", "OpenPGP as a stateless command, for programs that drive one"),
    ("ca", "pki.cli:main", "a small certification authority: init, issue"),
)
"""Each command: its name, the ``module:function`` that takes its arguments, one line."""

STATUSES = (
    ("0", "done"),
    ("2", "wrong usage"),
    ("3", "the input is not what it should be, or larger than the limits"),
    ("4", "an algorithm or feature that is not built or not allowed"),
    ("5", "a key or certificate is missing, locked, expired or unfit"),
    ("6", "the mail did not open: not for this key, or damaged"),
    ("7", "no acceptable signature"),
    ("8", "a file could not be read or written"),
    ("20-29", "of `smimetool ca` alone, see there"),
    ("70", "a fault in smimetool itself"),
    ("130", "interrupted"),
)
"""Each exit status that leaves here, and what it means."""


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command and return its exit status; never raises."""
    try:
        return _dispatch(list(sys.argv[1:] if argv is None else argv))
    except BaseException as problem:  # the one place where everything ends
        from smime.cli.failures import status_of

        return status_of(problem)


def _dispatch(argv: list[str]) -> int:
    first = argv[0] if argv else ""
    if first in {"--version", "-V"}:
        return _say(f"smimetool {__version__}\n")
    if first in {"--help", "-h"} or (first == "help" and len(argv) == 1):
        return _say(_help())
    if first == "help":
        return _dispatch([argv[1], "--help"])
    for name, place, _ in COMMANDS:
        if name == first:
            return _command(place)(argv[1:])
    from smime.cli.failures import UsageError

    if not first:
        raise UsageError("which command?", hint="`smimetool --help` lists them")
    if first.startswith("-"):
        raise UsageError(
            f"no option {first} stands before a command", hint="smimetool COMMAND [OPTION]... [IN]"
        )
    from difflib import get_close_matches

    near = get_close_matches(first, [name for name, _, _ in COMMANDS], 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no command {first}", hint=hint + "`smimetool --help` lists them")


def _command(place: str) -> Callable[[list[str]], int]:
    from importlib import import_module

    module, _, function = place.partition(":")
    command: Callable[[list[str]], int] = getattr(import_module(module), function)
    return command


def _help() -> str:
    commands = "".join(f"  {name:<9} {line}\n" for name, _, line in COMMANDS)
    statuses = "".join(f"  {number:<9} {line}\n" for number, line in STATUSES)
    return (
        "usage: smimetool COMMAND [OPTION]... [IN]\n"
        "\n"
        "Protect and open mail end to end.\n"
        "\n"
        f"Commands (each has its own --help):\n{commands}"
        "\n"
        "Options:\n"
        "  --help    show this\n"
        "  --version show the version\n"
        "\n"
        "Without IN the mail is read from standard input, without -o it is written to\n"
        "standard output. A failure leaves nothing behind.\n"
        "\n"
        f"Exit status:\n{statuses}"
    )


def _say(text: str) -> int:
    """Write ASCII text without importing anything."""
    if sys.stdout is None:
        raise OSError(9, "it is closed", "standard output")  # 9 is EBADF
    try:
        sys.stdout.write(text)
        sys.stdout.flush()
    except OSError as problem:
        from smime.cli.files import shut_up

        problem.filename = "standard output"
        shut_up(sys.stdout)
        raise
    return 0
