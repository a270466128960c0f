"""The IMAP loop against a small server of its own: real imaplib, real sockets."""

from __future__ import annotations

import imaplib
import re
import socketserver
from collections.abc import Iterator
from threading import Thread

import pytest

import smime
from tests.support.world import LETTER, World
from tests.usage.conftest import load

pytestmark = pytest.mark.server


class Session(socketserver.StreamRequestHandler):
    """As much of IMAP4rev1 (RFC 3501) as a reading loop asks for."""

    server: Mailbox

    def handle(self) -> None:
        self.wfile.write(b"* OK ready\r\n")
        for line in self.rfile:
            tag, command, *rest = line.strip().split(b" ", 2)
            match command.upper():
                case b"CAPABILITY":
                    self.wfile.write(b"* CAPABILITY IMAP4rev1\r\n")
                case b"SELECT" | b"EXAMINE":
                    self.wfile.write(b"* %d EXISTS\r\n" % len(self.server.mails))
                case b"SEARCH":
                    numbers = " ".join(str(n + 1) for n in range(len(self.server.mails)))
                    self.wfile.write(f"* SEARCH {numbers}\r\n".encode())
                case b"FETCH":
                    number = int(rest[0].split()[0])
                    mail = self.server.mails[number - 1]
                    self.wfile.write(b"* %d FETCH (RFC822 {%d}\r\n" % (number, len(mail)))
                    self.wfile.write(mail + b")\r\n")
            self.wfile.write(tag + b" OK done\r\n")
            if command.upper() == b"LOGOUT":
                return


class Mailbox(socketserver.ThreadingTCPServer):
    daemon_threads = True

    def __init__(self, mails: list[bytes]) -> None:
        super().__init__(("127.0.0.1", 0), Session)
        self.mails = mails


@pytest.fixture
def mails(world: World) -> list[bytes]:
    sealed = bytes(smime.protect(LETTER, by=world.alice, to=world.bob))
    signed = bytes(smime.sign(LETTER, by=world.alice))
    return [
        sealed,
        signed,
        signed.replace(b"noon", b"dusk"),
        LETTER,
        bytes(smime.protect(LETTER, by=world.alice, to=world.carol)),
        bytes(smime.encrypt(LETTER, to=world.bob)),
    ]


@pytest.fixture
def imap(mails: list[bytes]) -> Iterator[imaplib.IMAP4]:
    with Mailbox(mails) as server:
        Thread(target=server.serve_forever, daemon=True).start()
        with imaplib.IMAP4("127.0.0.1", server.server_address[1]) as client:
            client.login("bob", "x")
            yield client
        server.shutdown()


def test_the_loop(world: World, imap: imaplib.IMAP4) -> None:
    seen = list(load("inbox.py").read_new(imap, world.bob, world.anchors))

    assert [what for _, what in seen if not re.search("seal|key", what)] == [
        "alice@example.org, open",
        "nobody we can name, open",
        "nobody we can name, open",
    ]
    assert [subject for subject, _ in seen] == ["会议记录"] * 4 + ["?", "会议记录"]
    assert seen[0][1] == "alice@example.org, sealed"
    assert "sealed" in seen[4][1]
    assert seen[5][1] == "nobody we can name, sealed"
