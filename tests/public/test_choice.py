"""Whom a mail is sealed for: the certificate that is taken, who is refused, who has none."""

from __future__ import annotations

import itertools
import tracemalloc
from datetime import UTC, datetime, timedelta
from email.message import EmailMessage, Message

import pytest

import smime
from tests.support.world import World

MAIL = (
    b"From: alice@example.org\r\n"
    b"To: bob@example.org\r\n"
    b"Cc: carol@example.org\r\n"
    b"Subject: hi\r\n"
    b"\r\n"
    b"hello\r\n"
)
NOW = datetime.now(UTC)
YEAR = timedelta(days=365)
NAMED = smime.Policy.modern().replace(readers="named")


@pytest.fixture(scope="module")
def old_bob(world: World) -> smime.Identity:
    return world.ca.issue("bob@example.org", at=NOW - YEAR / 2)


@pytest.fixture(scope="module")
def expired_bob(world: World) -> smime.Identity:
    return world.ca.issue("bob@example.org", at=NOW - 5 * YEAR)


@pytest.fixture(scope="module")
def signing_bob(world: World) -> smime.Identity:
    return world.ca.issue("bob@example.org", profile="signing")


def opens(mail: smime.Mail, key: smime.Identity) -> bool:
    try:
        smime.decrypt(mail, keys=key, trust=smime.NoTrust())
    except smime.DecryptionFailed:
        return False
    return True


def test_the_newest_of_several_certificates_is_taken(
    world: World, old_bob: smime.Identity, expired_bob: smime.Identity
) -> None:
    for order in itertools.permutations([old_bob, world.bob, expired_bob]):
        sealed = smime.encrypt(MAIL, to=[*order, world.carol])

        assert [opens(sealed, one) for one in (world.bob, old_bob, expired_bob)] == [
            True,
            False,
            False,
        ]
        assert opens(sealed, world.carol)


def test_an_older_one_is_taken_where_the_newest_is_not_fit(
    old_bob: smime.Identity, expired_bob: smime.Identity, signing_bob: smime.Identity
) -> None:
    sealed = smime.encrypt(MAIL, to=[expired_bob, signing_bob.certificate, old_bob])

    assert opens(sealed, old_bob)


def test_a_certificate_for_several_addresses_counts_for_each(world: World) -> None:
    both = world.ca.issue("bob@example.org", "robert@example.org", at=NOW - YEAR / 2)

    sealed = smime.encrypt(MAIL, to=[both, world.bob])

    # Newer for bob, and the only one for robert.
    assert opens(sealed, both)
    assert opens(sealed, world.bob)


def test_all_readers_without_a_fit_certificate_are_listed(
    world: World, expired_bob: smime.Identity
) -> None:
    gone = world.ca.issue("erin@example.org", at=NOW - 5 * YEAR)

    with pytest.raises(smime.KeyProblem) as failed:
        smime.encrypt(MAIL, to=[expired_bob, world.carol, gone])

    assert failed.value.missing == ("bob@example.org", "erin@example.org")
    assert "bob@example.org" in str(failed.value)
    assert "erin@example.org" in str(failed.value)
    assert str(failed.value).count("expired on") == 2


def test_one_reader_without_a_fit_certificate(expired_bob: smime.Identity) -> None:
    with pytest.raises(smime.KeyProblem, match="expired on") as failed:
        smime.encrypt(MAIL, to=expired_bob)

    assert failed.value.missing == ("bob@example.org",)


class TestNamed:
    """The policy under which To, Cc, Bcc and ``to=`` must name the same people."""

    def test_all_are_there(self, world: World) -> None:
        for sealed in (
            smime.encrypt(MAIL, to=[world.bob, world.carol], policy=NAMED),
            smime.protect(MAIL, by=world.alice, to=[world.bob, world.carol], policy=NAMED),
        ):
            assert opens(sealed, world.bob)

    def test_whoever_has_no_certificate_is_listed(self, world: World) -> None:
        mail = MAIL.replace(b"Cc: ", b"Cc: erin@EXAMPLE.org, ")
        with pytest.raises(smime.KeyProblem, match="no certificate") as failed:
            smime.protect(mail, by=world.alice, to=world.bob, policy=NAMED)

        assert failed.value.missing == ("erin@EXAMPLE.org", "carol@example.org")

    def test_whoever_is_not_named_is_refused(self, world: World) -> None:
        with pytest.raises(smime.KeyProblem, match="not addressed to dave"):
            smime.encrypt(MAIL, to=[world.bob, world.carol, world.rsa], policy=NAMED)

    def test_it_is_not_asked_for_unless_wanted(self, world: World) -> None:
        assert opens(smime.encrypt(MAIL, to=world.rsa), world.rsa)


class TestEach:
    """One copy per reader, from any iterable, one after the other."""

    def test_readers_without_end_are_read_one_by_one(self, world: World) -> None:
        asked = []

        def readers():
            for n in itertools.count():
                asked.append(n)
                yield (world.bob, world.carol)[n % 2]

        copies = smime.protect_each(MAIL, by=world.alice, to=readers(), to_self=False)
        assert asked == []
        first, second = itertools.islice(copies, 2)

        assert asked == [0, 1]
        assert (first.recipients, second.recipients) == (
            ("bob@example.org",),
            ("carol@example.org",),
        )
        assert opens(first, world.bob)
        assert not opens(first, world.carol)

    def test_memory_does_not_grow(self, world: World) -> None:
        to = itertools.cycle([world.rsa.recipient, world.bob.recipient])
        copies = smime.protect_each(MAIL, by=world.alice, to=to, to_self=False)
        for _ in range(50):
            next(copies)
        tracemalloc.start()
        try:
            for _ in range(500):
                next(copies)
            now, peak = tracemalloc.get_traced_memory()
        finally:
            tracemalloc.stop()

        assert now < 50_000
        assert peak < 500_000


class TestInjection:
    """What a user typed into a form makes no header of its own."""

    @pytest.mark.parametrize("name", ["Subject", "From", "To", "Cc", "Reply-To", "X-Form"])
    @pytest.mark.parametrize(
        "value",
        [
            "hi\r\nBcc: eve@example.net",
            "hi\nBcc: eve@example.net",
            "hi\rBcc: eve@example.net",
            "hi\r\n\r\nbody",
            "hi\n \n\nbody",
        ],
    )
    def test_a_line_end_in_a_value(self, world: World, name: str, value: str) -> None:
        message = Message()
        message["From"] = "alice@example.org"
        message[name] = value
        message.set_payload("hello")

        with pytest.raises(smime.MalformedMail, match=f"header {name} holds a line end"):
            smime.sign(message, by=world.alice)

    @pytest.mark.parametrize("name", ["X\nBcc", "X\r\nBcc", "X Y", "X:", "", "X\u00e9"])
    def test_a_name_that_is_none(self, world: World, name: str) -> None:
        message = Message()
        message["From"] = "alice@example.org"
        message[name] = "eve@example.net"
        message.set_payload("hello")

        with pytest.raises(smime.MalformedMail, match="name of a header"):
            smime.sign(message, by=world.alice)

    def test_in_a_part(self, world: World) -> None:
        message = EmailMessage()
        message["From"] = "alice@example.org"
        message.set_content("hello")
        message.add_attachment(b"x", maintype="a", subtype="b", filename="x")
        part = Message()
        part["X-Part"] = "a\r\nX-More: b"
        message.attach(part)

        with pytest.raises(smime.MalformedMail):
            smime.sign(message, by=world.alice)

    def test_folded_values_are_fine(self, world: World) -> None:
        message = Message()
        message["From"] = "alice@example.org"
        message["Subject"] = "one\r\n two\n\tthree"
        message.set_payload("hello")

        opened = smime.open(smime.sign(message, by=world.alice), trust=world.anchors)

        assert opened.signer == "alice@example.org"
