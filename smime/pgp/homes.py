"""Private homes for gpg: short, of nobody else, and gone when they are no longer used.

gpg-agent outlives the program that started it, and a program that is killed
wipes nothing. So the agent of a home is tied to us, and each home holds a lock that
the system lets go of when its program ends, however it ends: whoever makes the next
home wipes those whose lock is free, and ends what gpg started for them since.

Floor:  pgp (uses errors, gnupg, tied)
"""

from __future__ import annotations

import os
import shutil
import stat
import tempfile
import time
import weakref
from contextlib import suppress

from smime.errors import KeyProblem
from smime.pgp.gnupg import agent_socket, end_agents
from smime.pgp.tied import TiedAgent

__all__ = ["PrivateHome", "prepare_own"]

PREFIX = "smime-pgp-"
MAX_HOME = 80  # octets: the agent's sockets lie in it, and a socket's path has at most 107
MAX_SOCKET = 107 - len(".browser")  # octets of the path of the agent's main one; others are longer
UNFINISHED_SECONDS = 3600  # a home without lock is one that was never finished

# No passphrase is kept: who may use the key says so each time.
_AGENT_CONF = "default-cache-ttl 0\nmax-cache-ttl 0\nno-grab\n"


class PrivateHome:
    """A new home, mode 0700.

    ``close`` ends its agents and wipes it, as does the garbage collector.
    """

    def __init__(self, folder: str | None = None) -> None:
        import fcntl

        parent = _parent(folder)
        wipe_forsaken(parent)
        self.path = tempfile.mkdtemp(prefix=PREFIX, dir=parent)
        self._lock = os.open(
            os.path.join(self.path, "lock.new"), os.O_CREAT | os.O_EXCL | os.O_RDWR, 0o600
        )
        fcntl.flock(self._lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        # Renamed when locked: whoever looks at ``lock`` finds it held as long as we live.
        os.rename(os.path.join(self.path, "lock.new"), os.path.join(self.path, "lock"))
        with open(os.path.join(self.path, "gpg-agent.conf"), "w", encoding="ascii") as file:
            file.write(_AGENT_CONF)
        agent = TiedAgent(self.path)
        self._end = weakref.finalize(self, _wipe, self.path, self._lock, os.getpid(), agent)

    def close(self) -> None:
        """End the agents and wipe the home; more than once does nothing more."""
        self._end()

    @property
    def closed(self) -> bool:
        return not self._end.alive


def _parent(folder: str | None) -> str:
    """Return where homes are made: the system's temporary folder, or /tmp if that is too long."""
    asked = folder if folder is not None else tempfile.gettempdir()
    # A home is made by mkdtemp: 0700, and of a name that nobody else can take.
    for parent in (asked,) if folder is not None else (asked, "/tmp"):  # noqa: S108
        path = os.path.join(parent, PREFIX + "12345678")
        if len(os.fsencode(path)) <= MAX_HOME and os.path.isdir(parent):
            return parent
    raise KeyProblem(
        f"a home for gpg below {asked} would have a path of more than {MAX_HOME} octets, too "
        "long for the sockets of its agent",
        hint="set TMPDIR to a folder with a short name",
    )


def prepare_own(home: str | None) -> None:
    """Make ``~/.gnupg`` where there is none, as gpg does by itself unless it has our options.

    Raises ``KeyProblem`` for a home of the user's own whose agent could not be reached:
    gpg takes such a home, and says of every secret key in it that it is not there.
    """
    if home is None and "GNUPGHOME" not in os.environ:
        with suppress(OSError):  # it is there, most often; else gpg says what is wrong
            os.mkdir(os.path.expanduser("~/.gnupg"), 0o700)
    path = home if home is not None else os.environ.get("GNUPGHOME", "")
    if len(os.fsencode(path)) > MAX_HOME and len(os.fsencode(agent_socket(path))) > MAX_SOCKET:
        raise KeyProblem(
            f"the GnuPG home {path} has a path that is too long for the sockets of its agent",
            hint="use a home with a shorter name, or a link to it",
        )


def _wipe(path: str, lock: int, owner: int, agent: TiedAgent | None = None) -> None:
    if os.getpid() != owner:
        return  # a child that was forked: the home is its parent's
    end_agents(path)
    shutil.rmtree(path, ignore_errors=True)
    os.close(lock)
    if agent is not None:
        agent.let_go()


def wipe_forsaken(parent: str) -> None:
    """End the agents of homes whose program is gone, and wipe them; only our user's."""
    import fcntl

    with os.scandir(parent) as found:
        paths = [one.path for one in found if one.name.startswith(PREFIX) and _is_ours(one)]
    for path in paths:
        try:
            lock = os.open(os.path.join(path, "lock"), os.O_RDWR | os.O_NOFOLLOW)
        except FileNotFoundError:
            if _age(path) > UNFINISHED_SECONDS:
                shutil.rmtree(path, ignore_errors=True)
            continue
        except OSError:
            continue
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError:
            os.close(lock)  # somebody lives there
            continue
        _wipe(path, lock, os.getpid())


def _is_ours(entry: os.DirEntry[str]) -> bool:
    try:
        found = entry.stat(follow_symlinks=False)
    except OSError:
        return False
    return stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid()


def _age(path: str) -> float:
    try:
        return time.time() - os.stat(path).st_mtime
    except OSError:
        return 0.0
