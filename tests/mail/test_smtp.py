"""Through a real SMTP server: what arrives is byte for byte what was made."""

from __future__ import annotations

import asyncio
import smtplib
from collections.abc import Iterator
from email.message import EmailMessage
from typing import Any

import aiosmtplib
import pytest
from aiosmtpd.controller import Controller
from aiosmtpd.smtp import SMTP, Envelope, Session

import smime
from tests.mail.letters import FORMS, LETTERS
from tests.support.world import World

pytestmark = pytest.mark.server


class Inbox:
    """Keeps what arrives, as it arrived."""

    def __init__(self) -> None:
        self.arrived: list[tuple[list[str], bytes]] = []

    async def handle_DATA(self, server: SMTP, session: Session, envelope: Envelope) -> str:
        assert isinstance(envelope.content, bytes)
        self.arrived.append((list(envelope.rcpt_tos), envelope.content))
        return "250 OK"

    def take(self) -> tuple[list[str], bytes]:
        (one,) = self.arrived
        self.arrived.clear()
        return one


class Server(Controller):
    """On a free port, and known by it."""

    inbox: Inbox

    @property
    def at(self) -> int:
        server: Any = self.server
        return int(server.sockets[0].getsockname()[1])

    def _trigger_server(self) -> None:
        # The controller looks at the port it was given, and that one is "any".
        self.port = self.at
        super()._trigger_server()  # type: ignore[no-untyped-call]


@pytest.fixture(scope="module")
def server() -> Iterator[Server]:
    inbox = Inbox()
    server = Server(inbox, hostname="127.0.0.1", port=0, decode_data=False, enable_SMTPUTF8=True)
    server.inbox = inbox
    server.start()
    yield server
    server.stop()


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LETTERS)
def test_smtplib(world: World, server: Server, name: str, form: str) -> None:
    mail = FORMS[form](world, LETTERS[name]())

    with smtplib.SMTP("127.0.0.1", server.at) as smtp:
        refused = smtp.send_message(mail.message, to_addrs=mail.recipients)

    recipients, arrived = server.inbox.take()
    assert refused == {}
    assert arrived == bytes(mail)
    assert recipients == list(mail.recipients)
    assert b"secret@" not in arrived


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("name", LETTERS)
def test_aiosmtplib(world: World, server: Server, name: str, form: str) -> None:
    mail = FORMS[form](world, LETTERS[name]())

    asyncio.run(
        aiosmtplib.send(
            mail.message,
            sender="alice@example.org",
            recipients=list(mail.recipients),
            hostname="127.0.0.1",
            port=server.at,
        )
    )

    recipients, arrived = server.inbox.take()
    assert arrived == bytes(mail)
    assert recipients == list(mail.recipients)


def test_each_reader_gets_his_copy(world: World, server: Server) -> None:
    letter = LETTERS["bcc"]()
    readers = [world.bob, world.carol]

    with smtplib.SMTP("127.0.0.1", server.at) as smtp:
        for copy in smime.protect_each(letter, by=world.alice, to=readers):
            smtp.send_message(copy.message, to_addrs=copy.recipients)

    got = list(server.inbox.arrived)
    server.inbox.arrived.clear()
    assert [to for to, _ in got] == [["bob@example.org"], ["carol@example.org"]]
    for reader, (_, raw) in zip(readers, got, strict=True):
        opened = smime.verify(raw, keys=reader, trust=world.anchors)
        assert opened.signer == "alice@example.org"


def test_the_usual_way_changes_a_signed_mail(world: World, server: Server) -> None:
    """The control: parsed and written anew by the library, a signed mail can break."""
    mail = smime.sign(LETTERS["header-folded-oddly"](), by=world.alice)
    message: EmailMessage = mail.parsed()

    with smtplib.SMTP("127.0.0.1", server.at) as smtp:
        smtp.send_message(message, to_addrs=mail.recipients)

    assert server.inbox.take()[1] != bytes(mail)
