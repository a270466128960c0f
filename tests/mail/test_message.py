"""Mail.message: whatever flattens it, the bytes are those that were signed."""

from __future__ import annotations

import copy
import pickle
from collections.abc import Callable
from email import policy
from email.generator import BytesGenerator
from email.message import EmailMessage
from io import BytesIO
from typing import Any

import pytest

import smime
from tests.mail.letters import FORMS, LETTERS
from tests.support.world import World


def flattened(message: EmailMessage, **settings: Any) -> bytes:
    out = BytesIO()
    BytesGenerator(out, **settings).flatten(message)
    return out.getvalue()


def as_smtplib_does(message: EmailMessage) -> bytes:
    """``smtplib.SMTP.send_message`` without SMTPUTF8."""
    out = BytesIO()
    BytesGenerator(out).flatten(message, linesep="\r\n")
    return out.getvalue()


def as_smtplib_does_with_utf8(message: EmailMessage) -> bytes:
    out = BytesIO()
    utf8: Any = message.policy
    utf8 = utf8.clone(utf8=True)
    BytesGenerator(out, policy=utf8).flatten(message, linesep="\r\n")
    return out.getvalue()


WRITERS: dict[str, Callable[[EmailMessage], bytes]] = {
    "as_bytes": lambda m: m.as_bytes(),
    "bytes": bytes,
    "own-policy": lambda m: flattened(m, policy=m.policy),
    "smtplib": as_smtplib_does,
    "smtplib-utf8": as_smtplib_does_with_utf8,
    "without-from-mangling": lambda m: flattened(m, mangle_from_=False, policy=m.policy),
    # Libraries that flatten under a policy of their own, as aiosmtplib does.
    "smtp-policy": lambda m: flattened(m, policy=policy.SMTP),
    "smtputf8-policy": lambda m: flattened(m, policy=policy.SMTPUTF8),
    "copied": lambda m: copy.copy(m).as_bytes(),
    "deep-copied": lambda m: copy.deepcopy(m).as_bytes(),
    "pickled": lambda m: bytes(pickle.loads(pickle.dumps(m))),
}


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize("form", FORMS.values(), ids=FORMS)
@pytest.mark.parametrize("name", LETTERS)
def test_it_flattens_to_the_same_bytes(
    world: World,
    name: str,
    form: Callable[[World, EmailMessage | bytes], smime.Mail],
    writer: Callable[[EmailMessage], bytes],
) -> None:
    mail = form(world, LETTERS[name]())

    assert writer(mail.message) == bytes(mail)


@pytest.mark.parametrize("writer", WRITERS.values(), ids=WRITERS)
@pytest.mark.parametrize(
    "kind", [b"text/plain", b"multipart/mixed; boundary=b", b"multipart/signed; boundary=b", b"x/y"]
)
def test_any_mail_flattens_to_itself(kind: bytes, writer: Callable[[EmailMessage], bytes]) -> None:
    raw = b"X: \xff\r\nContent-Type: " + kind + b"\r\n\r\n--b\r\n\r\n\xc3\xbc \xff\r\n--b--\r\n"

    assert writer(smime.Mail(raw).message) == raw


@pytest.mark.parametrize("name", LETTERS)
def test_what_was_sent_is_what_is_read(world: World, name: str) -> None:
    mail = smime.protect(LETTERS[name](), by=world.alice, to=world.bob)

    opened = smime.verify(mail.message, keys=world.bob, trust=world.anchors)

    assert opened.signer == "alice@example.org"


def test_headers_of_the_message_can_be_read(world: World) -> None:
    message = smime.sign(LETTERS["subject-chinese"](), by=world.alice).message

    assert str(message["Subject"]).startswith("会议记录")
    assert message["To"].addresses[0].addr_spec == "bob@example.org"
    assert message.get_content_type() == "multipart/signed"


def test_a_message_is_made_anew_each_time(world: World) -> None:
    """Changing the one that was handed out changes no mail."""
    mail = smime.sign(LETTERS["plain"](), by=world.alice)
    before = bytes(mail)

    mail.message["X-Added"] = "later"
    del mail.message["To"]

    assert bytes(mail) == before
    assert bytes(mail.message) == before


def test_bcc_is_among_the_recipients_and_nowhere_else(world: World) -> None:
    for name, form in FORMS.items():
        mail = form(world, LETTERS["bcc"]())

        assert mail.recipients == (
            "bob@example.org",
            "dora@example.org",
            "carol@example.org",
            "secret@example.org",
            "other@example.org",
        ), name
        readers = [world.alice, world.bob, world.carol]
        opened = smime.open(mail, keys=readers, trust=world.anchors)
        for data in (bytes(mail), bytes(mail.message), bytes(opened.mail), opened.content):
            assert b"secret@" not in data
            assert b"other@" not in data
            assert not any(line.lower().startswith(b"bcc:") for line in data.splitlines())
        assert smime.Mail(mail).recipients == mail.recipients
        assert "secret@example.org" not in opened.mail.recipients
