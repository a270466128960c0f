"""Public objects are immutable or locked: threads share them."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from threading import Barrier

import smime
from tests.support.world import World, make_world

THREADS = 8
ROUNDS = 12


def test_eight_threads_share_everything() -> None:
    """Made anew here, so that what is computed late is computed by all at the same moment."""
    world: World = make_world()
    start = Barrier(THREADS)
    anchors = world.anchors
    readers: list[smime.Addressee] = [world.bob, world.rsa, world.carol.recipient]

    def work(number: int) -> set[str | None]:
        start.wait()
        found: set[str | None] = set()
        for turn in range(ROUNDS):
            text = f"thread {number}, turn {turn}"
            letter = f"From: alice@example.org\r\nSubject: {text}\r\n\r\n{text}\r\n".encode()
            signed = smime.sign(letter, by=world.alice)
            assert text in smime.verify(signed, trust=anchors).content.decode()
            sealed = smime.protect(letter, by=world.alice, to=readers)
            opened = smime.open(sealed, keys=[world.carol, world.rsa], trust=anchors)
            assert opened.message["Subject"] == text
            found.add(opened.signer)
            forged = bytes(signed).replace(text.encode(), text.upper().encode())
            assert smime.open(forged, trust=anchors).signer is None
        return found

    with ThreadPoolExecutor(THREADS) as pool:
        signers = list(pool.map(work, range(THREADS)))

    assert signers == [{"alice@example.org"}] * THREADS


def test_threads_share_one_mail_and_one_report(world: World) -> None:
    mail = smime.protect(b"From: alice@example.org\r\n\r\nhi\r\n", by=world.alice, to=world.bob)
    opened = smime.open(mail, keys=world.bob, trust=world.anchors)

    def read(_: int) -> tuple[object, ...]:
        check = opened.report.signatures[0]
        return opened.message["From"], mail.recipients, check.certificate, hash(mail)

    with ThreadPoolExecutor(THREADS) as pool:
        assert len(set(pool.map(read, range(THREADS * 4)))) == 1
