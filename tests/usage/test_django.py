"""Django: a message class that signs, under the backends that Django has."""
# mypy: allow-untyped-calls
# Django has no types of its own.

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import django
import pytest
from django.conf import settings
from django.core import mail
from django.test import RequestFactory, override_settings

import smime
from tests.mail.test_smtp import Inbox, Server
from tests.support.world import World
from tests.usage.conftest import load

if not settings.configured:
    settings.configure(USE_TZ=True, DEFAULT_CHARSET="utf-8", ALLOWED_HOSTS=["*"])
    django.setup()

LOCMEM = "django.core.mail.backends.locmem.EmailBackend"
FILES = "django.core.mail.backends.filebased.EmailBackend"
SMTP = "django.core.mail.backends.smtp.EmailBackend"


@pytest.fixture
def shop(world: World, tmp_path: Path) -> Iterator[ModuleType]:
    orders = world.ca.issue("orders@shop.example")
    identity = tmp_path / "orders.p12"
    identity.write_bytes(orders.to_p12("from-the-secret-store"))
    with override_settings(SHOP_IDENTITY=identity, SHOP_PASSPHRASE="from-the-secret-store"):
        yield load("shop.py")


def order(shop: ModuleType) -> None:
    response = shop.confirm(RequestFactory().post("/orders"))
    assert response.status_code == 202


def check(world: World, arrived: Any) -> None:
    opened = smime.verify(arrived, trust=world.anchors)
    assert opened.signer == "orders@shop.example"
    assert opened.message["Subject"] == "Bestellung 7 ist bestätigt"
    (invoice,) = opened.message.iter_attachments()
    assert invoice.get_filename() == "Rechnung für Kim.csv"
    assert "Äpfel" in invoice.get_content()
    assert b"archive@" not in bytes(opened.mail)


def test_in_memory(world: World, shop: ModuleType) -> None:
    with override_settings(EMAIL_BACKEND=LOCMEM):
        outbox: Any = []
        vars(mail)["outbox"] = outbox
        order(shop)

        (sent,) = outbox
        assert sent.recipients() == ["kim@example.org", "archive@shop.example"]
        check(world, sent.message())
        check(world, sent.message().as_bytes())


def test_in_files(world: World, shop: ModuleType, tmp_path: Path) -> None:
    """The file is the mail, and a line of dashes that Django adds."""
    with override_settings(EMAIL_BACKEND=FILES, EMAIL_FILE_PATH=str(tmp_path / "outbox")):
        order(shop)

    (file,) = (tmp_path / "outbox").iterdir()
    check(world, file.read_bytes())


@pytest.mark.server
def test_over_smtp(world: World, shop: ModuleType) -> None:
    inbox = Inbox()
    server = Server(inbox, hostname="127.0.0.1", port=0, decode_data=False)
    server.start()
    try:
        with override_settings(EMAIL_BACKEND=SMTP, EMAIL_HOST="127.0.0.1", EMAIL_PORT=server.at):
            order(shop)
    finally:
        server.stop()

    recipients, arrived = inbox.take()
    assert recipients == ["kim@example.org", "archive@shop.example"]
    check(world, arrived)
