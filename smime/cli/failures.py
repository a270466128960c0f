"""How every command ends badly: one clear line on standard error, and a status.

Floor:  cli
"""

from __future__ import annotations

import os
import sys

from smime.cli.files import say_to, shut_up
from smime.errors import KeyProblem, SmimeError

__all__ = ["UsageError", "hint_of", "name_subject", "status_of"]

INTERNAL_ERROR = 70  # EX_SOFTWARE of sysexits.h
FILE_ERROR = 8
USAGE_ERROR = 2
INTERRUPTED = 130  # 128 + SIGINT, as shells count

# The library's hints name the call to write in Python; here they name the option.
_AS_OPTION = {
    "policy=Policy.legacy_read()": "--legacy reads it all the same; it can be forged today",
    "smime.protect_each(": "take the Bcc line out of the mail, and seal a copy for each Bcc reader "
    "by a call of its own",
    "smime.Identity.load_all(": "for -i, split it into files of one signing key each",
    "smime.Identity.load('": "--certificate FILE names the certificate, or join both in one file",
    "smime.Identity.load(path": "its owner can export the certificate alone, without the key",
    "smime.Recipient.load(": "-i takes a .p12 file, or a PEM file of key and certificate",
    "smime.open(": "`smimetool open` takes mail in any state",
    "smime.examine(": "`smimetool inspect` shows its layers",
    "getpass.getpass": "give --passphrase-file or --passphrase-env",
    "allow_unauthenticated=": "export it again, with a passphrase that protects it from change",
}


class UsageError(Exception):
    """The command was called in a way that means nothing."""

    def __init__(self, message: str, *, hint: str = "", command: str = "") -> None:
        super().__init__(message)
        self.hint = hint
        self.command = command


def name_subject(problem: SmimeError, *subjects: str) -> None:
    """Let the message begin with the files it is about, unless it names one of them already."""
    message = str(problem)
    names = [name for name in subjects if name]
    if names and not any(message.startswith(f"{n}: ") or repr(n) in message for n in names):
        problem.args = (f"{' or '.join(names)}: {message}", *problem.args[1:])


def hint_of(problem: SmimeError) -> str:
    """Return the error's hint in the words of the command line, or nothing if it has none."""
    for call, words in _AS_OPTION.items():
        if call in problem.hint:
            return words
    speaks_python = "smime." in problem.hint or "=" in problem.hint or "message." in problem.hint
    return "" if speaks_python else problem.hint


def status_of(problem: BaseException) -> int:
    """Say what went wrong on standard error and return the exit status."""
    if isinstance(problem, SystemExit):
        return problem.code if isinstance(problem.code, int) else int(problem.code is not None)
    try:
        return _say_failure(problem)
    except OSError:  # standard error itself is gone: the status has to do
        shut_up(sys.stderr)
        return _status(problem)


def _status(problem: BaseException) -> int:
    if isinstance(problem, SmimeError):
        return problem.exit_status
    if isinstance(problem, UsageError):
        return USAGE_ERROR
    if isinstance(problem, OSError):
        return FILE_ERROR
    if isinstance(problem, KeyboardInterrupt):
        return INTERRUPTED
    return INTERNAL_ERROR


def _say_failure(problem: BaseException) -> int:
    status = _status(problem)
    hint = ""
    if isinstance(problem, UsageError):
        name, hint = f"smimetool {problem.command}".rstrip(), problem.hint
        line = f"{name}: {problem}"
    elif isinstance(problem, SmimeError):
        line, hint = f"smimetool: {problem}", hint_of(problem)
        if isinstance(problem, KeyProblem) and problem.missing and not hint:
            hint = f"no certificate for {', '.join(problem.missing)}"
    elif isinstance(problem, OSError):
        line = f"smimetool: {_about_file(problem)}"
    elif isinstance(problem, KeyboardInterrupt):
        line = "smimetool: interrupted"
    else:
        # The type alone: the text of an unforeseen error could hold what was being read.
        line = f"smimetool: a fault in smimetool itself: {type(problem).__name__}"
        hint = "please report it; with SMIMETOOL_DEBUG=1 in the environment it shows where"
        if os.environ.get("SMIMETOOL_DEBUG") == "1":
            from traceback import format_exception

            say_to(sys.stderr, "".join(format_exception(problem)).rstrip("\n"))
    say_to(sys.stderr, line.replace("\n", " "))
    if hint:
        say_to(sys.stderr, f"hint: {hint}".replace("\n", " "))
    return status


def _about_file(problem: OSError) -> str:
    """Return ``name: what the system says``; the names of temporary files stay inside."""
    reason = problem.strerror or str(problem) or type(problem).__name__
    name = problem.filename
    if name is None:
        return reason
    return f"{os.fsdecode(name) if isinstance(name, (str, bytes)) else name}: {reason}"
