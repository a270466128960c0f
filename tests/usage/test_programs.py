"""The programs that users write, run as they run them."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

import pki
import smime
from tests.support.world import LETTER, World
from tests.usage.conftest import PASSPHRASE, Desk, load


def test_readme(world: World, desk: Desk) -> None:
    printed = desk.run("readme.py", typed=PASSPHRASE + "\n")

    signer, *report = printed.splitlines()
    assert signer == "alice@example.org"
    assert report[0].startswith("good: signed by alice@example.org")
    assert any(line.startswith("sealed for alice@example.org") for line in report)
    sealed = desk.folder / "sealed.eml"
    assert smime.verify(sealed, keys=world.bob, trust=world.anchors).signer == signer
    assert b"noon" not in sealed.read_bytes()


def test_readme_with_the_wrong_passphrase_leaves_nothing(desk: Desk) -> None:
    with pytest.raises(AssertionError, match=r"smime\.errors\.KeyProblem"):
        desk.run("readme.py", typed="wrong\n")

    assert not (desk.folder / "sealed.eml").exists()


def test_club_ca(desk: Desk) -> None:
    (desk.folder / "alice.p12").unlink()

    desk.run("club.py", typed="a passphrase for the CA\n")

    alice = smime.Identity.load(desk.folder / "alice.p12", passphrase=PASSPHRASE)
    with pki.Registrar.load(desk.folder / "club-ca", passphrase="a passphrase for the CA") as ca:
        signed = smime.sign(b"From: alice@chess.example\r\n\r\nhi\r\n", by=alice)
        assert smime.verify(signed, trust=ca.anchors).signer == "alice@chess.example"


def test_migrate(world: World, desk: Desk) -> None:
    printed = desk.run("migrate.py")

    assert printed.splitlines() == ["alice@example.org", "True", "yes yes False"]
    sealed = desk.folder / "sealed.eml"
    assert smime.decrypt(sealed, keys=world.bob, trust=smime.NoTrust()).encrypted


def test_wallet_pass(desk: Desk) -> None:
    printed = desk.run("wallet.py")

    assert printed.splitlines() == [
        "alice@example.org",
        "True",
        "the content was changed after signing",
    ]


def test_as2(desk: Desk) -> None:
    printed = desk.run("as2.py")

    mic = "Received-content-MIC: 32 sha256"
    assert printed.splitlines() == [mic, "True", mic, "True", mic, "True", "b'ISA*00*'"]


def test_key_service(desk: Desk) -> None:
    printed = desk.run("kms.py")

    assert printed.splitlines() == [
        "office@example.org True office@example.org",
        "b'data'",
        "True ('office@example.org',)",
        "the content could not be opened with the key that it names",
        "the key service does not open rsa-v15",
    ]


def test_webhook(world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(desk.folder)
    hook = load("webhook.py")
    partner = world.ca.issue("orders@partner.example")
    letter = LETTER.replace(b"alice@example.org", b"orders@partner.example")
    good = bytes(smime.sign(letter, by=partner))
    other = bytes(smime.sign(LETTER, by=world.alice))
    forged = good.replace(b"noon", b"dusk")

    assert hook.who(good) == "orders@partner.example"
    assert hook.who(other) == "alice@example.org"
    assert hook.who(forged) is hook.who(letter) is None
    assert hook.order(good) == (200, "会议记录")
    for bad in (forged, other, letter):
        status, why = hook.order(bad)
        assert status == 403
        assert "'outcome'" in why
    broken = good.replace(b"boundary=", b"xoundary=")
    assert hook.order(broken)[0] in (400, 403)
    assert asyncio.run(hook.order_async(good)).signer == "orders@partner.example"
    with pytest.raises(smime.SignatureRejected):
        asyncio.run(hook.order_async(forged))


def test_webhook_serves_many_at_once(
    world: World, desk: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(desk.folder)
    hook = load("webhook.py")
    partner = world.ca.issue("orders@partner.example")
    letter = LETTER.replace(b"alice@example.org", b"orders@partner.example")
    good = bytes(smime.sign(letter, by=partner))

    async def all_of_them() -> set[str | None]:
        opened = await asyncio.gather(*(hook.order_async(good) for _ in range(20)))
        return {one.signer for one in opened}

    assert asyncio.run(all_of_them()) == {"orders@partner.example"}


def test_every_program_is_run_here() -> None:
    """A program that no test names is one that nobody knows to work."""
    folder = Path(__file__).parent
    tests = "".join(path.read_text(encoding="utf-8") for path in folder.glob("test_*.py"))

    for program in (folder / "programs").glob("*.py"):
        assert f'"{program.name}"' in tests, program.name
