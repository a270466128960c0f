"""An agent that ends when the program does, killed or not.

gpg-agent outlives whoever started it, unless it was started together with a program:
then it looks every few seconds whether that one still runs. The program is
gpg-connect-agent, which waits for commands on a pipe from us and ends with the pipe.
It is in a session of its own, so that what ends our group does not end it before us.

Floor:  pgp (uses nothing)
Source: gpg-agent(1), ``--daemon [command line]``
"""

from __future__ import annotations

import select
import shutil
import subprocess
from contextlib import suppress

__all__ = ["TiedAgent"]

START_SECONDS = 10  # until it answers: some 10 ms, and more on a busy machine


class TiedAgent:
    """The agent of one home, until ``let_go``; where it cannot be, gpg starts one itself."""

    def __init__(self, home: str) -> None:
        self._client: subprocess.Popen[bytes] | None = None
        agent, client = shutil.which("gpg-agent"), shutil.which("gpg-connect-agent")
        if agent is None or client is None:
            return
        asking = [client, "--homedir", home, "--no-autostart"]
        with suppress(OSError):
            self._client = subprocess.Popen(  # noqa: S603  # programs of GnuPG, a home of ours
                [agent, "--homedir", home, "--daemon", "--", *asking],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            self._wait()

    def _wait(self) -> None:
        """Wait until it answers, lest gpg find none and start another, tied to nobody."""
        assert self._client is not None
        assert self._client.stdin is not None
        assert self._client.stdout is not None
        self._client.stdin.write(b"NOP\n")
        self._client.stdin.flush()
        if not select.select([self._client.stdout], [], [], START_SECONDS)[0]:
            self._client.kill()

    def let_go(self) -> None:
        """End what ties it; the agent goes too, within seconds if it was not ended before."""
        if self._client is not None:
            with suppress(OSError):
                self._client.communicate()
            self._client.wait()
