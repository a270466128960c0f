"""A warden for a home: it outlives the program, and wipes the home if that was killed.

A shell that waits for the end of a pipe. Whoever closes the home says so through the
pipe; an end without a word is that of a program that was killed. It is in a session of
its own, so that what ends the program's group, a Ctrl-C too, does not end it.

Floor:  pgp (uses nothing)
"""

from __future__ import annotations

import shutil
import subprocess
from contextlib import suppress

__all__ = ["Warden"]

_SCRIPT = 'read -r _ || { "$2" --homedir "$1" --kill all; rm -rf -- "$1"; }'


class Warden:
    """Watches over a home that this program has made, until ``dismiss``."""

    def __init__(self, home: str) -> None:
        self._shell: subprocess.Popen[bytes] | None = None
        # Where it cannot be, whoever makes the next home wipes this one.
        with suppress(OSError):
            self._shell = subprocess.Popen(  # noqa: S603  # the system's shell, a script of ours
                ["/bin/sh", "-c", _SCRIPT, "sh", home, shutil.which("gpgconf") or "gpgconf"],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )

    def dismiss(self) -> None:
        """Let it go: the home is wiped, or is somebody else's."""
        if self._shell is not None:
            with suppress(OSError):
                self._shell.communicate(b"\n")
            self._shell.wait()
