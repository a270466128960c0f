"""Where passphrases come from: a file, the environment or the terminal; never argv.

Floor:  cli
"""

from __future__ import annotations

import os
import sys

from smime.errors import KeyProblem

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    Ask = Callable[[], str | bytes]

__all__ = ["Passphrases"]

MAX_PASSPHRASE_OCTETS = 4096  # of a first line; a file without line ends is no passphrase file


class Passphrases:
    """The passphrases of one call; those of a file or a variable are read once, at once.

    For a wrong name is a mistake whether or not it is needed, and a pipe can be
    read only once. Raises ``OSError`` and ``KeyProblem``.
    """

    def __init__(
        self, *, file: str | None, variable: str | None, option: str = "passphrase"
    ) -> None:
        self._remedy = f"give --{option}-file or --{option}-env"
        self._found: bytes | None = None
        if file is not None:
            self._found = _first_line(file, option)
        elif variable is not None:
            self._found = _variable(variable, option)

    def of(self, name: str) -> Ask:
        """Return what the library calls if the key file ``name`` needs a passphrase."""
        found = self._found
        return (lambda: _ask(name, self._remedy)) if found is None else (lambda: found)


def _variable(name: str, option: str) -> bytes:
    value = os.environ.get(name)
    if value is None:
        raise KeyProblem(
            f"the environment variable {name} is not set",
            hint=f"--{option}-env takes the name of an exported variable, not the "
            f"{option.rpartition('-')[2]}",
        )
    return os.fsencode(value)


def _first_line(name: str, option: str) -> bytes:
    with open(name, "rb") as file:
        line = file.readline(MAX_PASSPHRASE_OCTETS + 2)
    line = line.removesuffix(b"\n").removesuffix(b"\r")
    if len(line) > MAX_PASSPHRASE_OCTETS:
        raise KeyProblem(
            f"{name}: its first line is longer than {MAX_PASSPHRASE_OCTETS} octets",
            hint=f"the first line of the file is the {option.rpartition('-')[2]}",
        )
    return line


def _ask(name: str, remedy: str) -> str:
    """Ask on the terminal, or say at once that there is none."""
    from getpass import getpass

    from smime.report import printable

    if not _has_terminal():
        raise KeyProblem(
            f"{name} needs a passphrase, and there is no terminal to ask for it", hint=remedy
        )
    # getpass would stop at a name that the terminal's encoding lacks.
    shown = printable(name).encode("ascii", "backslashreplace").decode()
    try:
        return getpass(f"Passphrase of {shown}: ")
    except EOFError:
        raise KeyProblem(f"no passphrase was given for {name}", hint=remedy) from None


def _has_terminal() -> bool:
    if os.name == "nt":
        return sys.stdin is not None and sys.stdin.isatty()
    try:
        os.close(os.open("/dev/tty", os.O_RDWR | os.O_NOCTTY))
    except OSError:
        return False
    return True
