"""``smimetool ca`` at a terminal: what it asks, and what it takes for an answer."""

from __future__ import annotations

import os
import re
import signal
from pathlib import Path

import pytest
from cryptography import x509

import smime
from tests.pki.house import COMMAND, ENVIRONMENT


class Terminal:
    """A person at a terminal: waits for a question, types an answer."""

    def __init__(self, *arguments: str, cwd: Path, **environment: str) -> None:
        import pty

        self.seen = b""
        self.read = 0  # how much of it was waited for already
        self.process, self.terminal = pty.fork()
        if not self.process:  # the child, which becomes the command
            os.chdir(cwd)
            # What runs behind a shell ignores it, and so would the command.
            signal.signal(signal.SIGINT, signal.default_int_handler)
            os.execve(COMMAND[0], [*COMMAND, *arguments], ENVIRONMENT | environment)

    def answer(self, question: str, typed: str) -> None:
        self._read_until(question.encode())
        os.write(self.terminal, f"{typed}\n".encode())

    def end(self) -> tuple[int, str]:
        """Wait for its end; give its status and all that the terminal showed."""
        self._read_until(None)
        _, status = os.waitpid(self.process, 0)
        os.close(self.terminal)
        return os.waitstatus_to_exitcode(status), self.seen.decode()

    def _read_until(self, text: bytes | None) -> None:
        """Read to the text after what was read before, or to the end."""
        import select

        while text is None or text not in self.seen[self.read :]:
            ready, _, _ = select.select([self.terminal], [], [], 20)
            assert ready, f"waited for {text!r}, saw {self.seen!r}"
            try:
                piece = os.read(self.terminal, 4096)
            except OSError:  # how Linux says that the other side is gone
                piece = b""
            self.seen += piece
            if not piece:
                assert text is None, f"ended before {text!r}, saw {self.seen!r}"
                return
        self.read = self.seen.index(text, self.read) + len(text)


terminal = pytest.mark.skipif(os.name != "posix", reason="platform: no pseudo-terminals")


@terminal
def test_a_ca_and_a_user_made_at_a_terminal(here: Path) -> None:
    """Init asks name, passphrase twice, both URLs; issue asks the passphrases."""
    init = Terminal("init", "club", cwd=here)
    init.answer("Name of the CA: ", "Chess Club CA")
    init.answer("Passphrase for the CA's keys: ", "horse")
    init.answer("The same again: ", "hores")
    init.answer("The two differ.\r\nPassphrase for the CA's keys: ", "horse")
    init.answer("The same again: ", "horse")
    init.answer("URL of the revocation list: ", "http://ca.example/ca.crl")
    init.answer("URL of the CA's certificate: ", "")
    init.answer("URL of the OCSP responder: ", "http://ca.example/ocsp")
    status, seen = init.end()
    assert status == 0, seen
    assert "cannot be" in seen
    assert "horse" not in seen

    made = Terminal("issue", "a@chess.example", "--key", "p256", "-o", "a.p12", cwd=here)
    made.answer("Passphrase of Chess Club CA: ", "horse")
    made.answer("empty to have one made up: ", "")
    status, seen = made.end()
    assert status == 0, seen
    secret = re.search(r"shown this once: ([a-z2-7]{26})\r\n", seen)
    assert secret
    alice = smime.Identity.load(here / "a.p12", passphrase=secret[1])
    assert (
        b"http://ca.example/ca.crl"
        in alice.certificate.extensions.get_extension_for_class(
            x509.CRLDistributionPoints
        ).value.public_bytes()
    )

    own = Terminal("issue", "b@chess.example", "--key", "p256", "-o", "b.p12", cwd=here)
    own.answer("Passphrase of Chess Club CA: ", "horse")
    own.answer("empty to have one made up: ", "battery")
    own.answer("The same again: ", "battery")
    assert own.end()[0] == 0
    assert smime.Identity.load(here / "b.p12", passphrase="battery").addresses


@terminal
def test_three_times_different_is_enough(here: Path) -> None:
    init = Terminal("init", "club", "--name", "Club", cwd=here)
    for _ in range(3):
        init.answer("Passphrase for the CA's keys: ", "one")
        init.answer("The same again: ", "two")
    status, seen = init.end()

    assert status == 26, seen
    assert not (here / "club").exists()


@terminal
def test_interrupted_at_a_question_leaves_nothing(here: Path) -> None:
    init = Terminal("init", "club", "--name", "Club", cwd=here)
    init._read_until(b"Passphrase for the CA's keys: ")
    os.write(init.terminal, b"\x03")
    status, seen = init.end()

    assert status == 130, seen
    assert "Traceback" not in seen
    assert not (here / "club").exists()
