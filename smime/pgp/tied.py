"""An agent that ends when the program does, killed or not.

gpg-agent outlives whoever started it, unless it was started together with a program:
then it looks every few seconds whether that one still runs. The program is
gpg-connect-agent, which waits for commands on a pipe from us and ends with the pipe.
It is in a session of its own, so that what ends our group does not end it before us.

Floor:  pgp (uses nothing)
Source: gpg-agent(1), ``--daemon [command line]``
"""

from __future__ import annotations

import os
import shutil
import subprocess
import time
from contextlib import suppress

__all__ = ["TiedAgent"]

START_SECONDS = 5  # until its socket is there: some 10 ms, and more on a busy machine
LOOK_SECONDS = 0.001


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
                stdout=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                cwd="/",
                start_new_session=True,
            )
            self._wait(os.path.join(home, "S.gpg-agent"))

    def _wait(self, socket: str) -> None:
        """Wait for the agent's socket, lest gpg find none and start another, tied to nobody."""
        assert self._client is not None
        end = time.monotonic() + START_SECONDS
        while not os.path.exists(socket) and self._client.poll() is None:
            if time.monotonic() > end:
                break
            time.sleep(LOOK_SECONDS)

    def let_go(self) -> None:
        """End what ties it; the agent goes too, within seconds if it was not ended before."""
        if self._client is not None:
            with suppress(OSError):
                self._client.communicate()
