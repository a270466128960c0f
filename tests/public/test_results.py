"""Results and errors: they pickle, have no truth of their own, and show no content."""

from __future__ import annotations

import json
import pickle
from concurrent.futures import ProcessPoolExecutor
from dataclasses import FrozenInstanceError
from multiprocessing import get_context

import pytest

import smime
from tests.support.world import World

SECRET = b"the cat is called Schroedinger"
MAIL = b"From: alice@example.org\r\nTo: bob@example.org\r\nSubject: %b\r\n\r\n%b\r\n" % (
    SECRET,
    SECRET,
)


@pytest.fixture
def opened(world: World) -> smime.Opened:
    mail = smime.protect(MAIL, by=world.alice, to=world.bob)
    return smime.open(mail, keys=world.bob, trust=world.anchors)


def test_results_come_back_from_a_pickle(opened: smime.Opened) -> None:
    again = pickle.loads(pickle.dumps(opened))

    assert again == opened
    assert again.report == opened.report
    assert again.signer == "alice@example.org"
    assert again.content == opened.content
    assert again.contacts == opened.contacts
    assert again.report.signatures[0].certificate == opened.report.signatures[0].certificate
    assert bytes(again.mail) == bytes(opened.mail)


def fails(call: str, world: World) -> object:
    """Do what raises one error of each kind."""
    match call:
        case "SignatureRejected":
            return smime.verify(MAIL, trust=world.anchors)
        case "DecryptionFailed":
            sealed = smime.encrypt(MAIL, to=world.bob)
            return smime.decrypt(sealed, keys=world.carol, trust=world.anchors)
        case "KeyProblem":
            return smime.Identity.parse(b"nothing")
        case "MalformedMail":
            broken = b"Content-Type: application/pkcs7-mime\r\n\r\nMIIB"
            return smime.open(broken, keys=world.bob, trust=world.anchors)
        case _:
            return smime.open(b"A: b\r\n" * 100_000 + b"\r\n", trust=world.anchors)


@pytest.mark.parametrize(
    ("call", "status"),
    [
        ("SignatureRejected", 7),
        ("DecryptionFailed", 6),
        ("KeyProblem", 5),
        ("MalformedMail", 3),
        ("LimitExceeded", 3),
    ],
)
def test_errors_come_back_from_a_pickle(world: World, call: str, status: int) -> None:
    with pytest.raises(smime.SmimeError) as raised:
        fails(call, world)
    error = raised.value

    again = pickle.loads(pickle.dumps(error))

    assert type(again) is type(error) is getattr(smime, call)
    assert (str(again), again.hint, again.exit_status) == (str(error), error.hint, status)
    assert getattr(again, "report", None) == getattr(error, "report", None)


def verify_there(mail: bytes, trust: smime.Anchors) -> smime.Opened:
    return smime.verify(mail, trust=trust)


def test_results_and_errors_come_home_from_another_process(world: World) -> None:
    signed = bytes(smime.sign(MAIL, by=world.alice))
    with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as pool:
        good = pool.submit(verify_there, signed, world.anchors)
        bad = pool.submit(verify_there, MAIL, world.anchors)

        assert good.result().signer == "alice@example.org"
        with pytest.raises(smime.SignatureRejected) as refused:
            bad.result()

    assert refused.value.report.outcome is smime.Outcome.UNSIGNED
    assert refused.value.hint


def test_private_keys_do_not_pickle(world: World) -> None:
    with pytest.raises(TypeError):
        pickle.dumps(world.alice)
    assert pickle.loads(pickle.dumps(world.alice.recipient)) == world.alice.recipient


def test_nothing_is_true_by_itself(opened: smime.Opened) -> None:
    for result in (opened, opened.report, opened.report.signatures[0]):
        with pytest.raises(TypeError, match="not a yes or no"):
            bool(result)


def test_results_are_frozen(opened: smime.Opened) -> None:
    for result, name in (
        (opened, "content"),
        (opened.report, "signer"),
        (opened.report.layers[0], "kind"),
        (opened.report.signatures[0], "signer"),
        (opened.report.signatures[0].path, "answer"),
    ):
        with pytest.raises((FrozenInstanceError, AttributeError)):
            setattr(result, name, None)


def test_no_repr_shows_content(world: World, opened: smime.Opened) -> None:
    mail = smime.protect(MAIL, by=world.alice, to=world.bob)
    shown = [opened, opened.report, mail, opened.mail, opened.report.layers, world.alice, world.bob]

    for one in shown:
        text = repr(one) + str(one)
        assert "Schroedinger" not in text
        assert "PRIVATE" not in text
    assert repr(opened.mail) == f"<Mail of {opened.mail.size} octets>"
    assert "alice@example.org" in repr(world.alice)


def test_a_report_is_json(opened: smime.Opened) -> None:
    plain = json.loads(json.dumps(opened.report.to_dict()))

    assert plain["version"] == 1
    assert plain["outcome"] == "good"
    assert plain["signer"] == "alice@example.org"
    assert [layer["kind"] for layer in plain["layers"]] == ["encrypted", "signed"]
    check = plain["layers"][1]["signatures"][0]
    assert check["path"]["answer"] == "yes"
    assert "Schroedinger" not in json.dumps(plain)


def test_a_report_for_people_steers_no_terminal(world: World) -> None:
    mail = b"From: \x1b[2Jalice@example.org\r\n\r\nhi\r\n"
    report = smime.examine(smime.sign(mail, by=world.bob), trust=world.anchors)

    assert str(report).replace("\n", "").isprintable()


def test_contacts_only_with_a_good_signature(world: World) -> None:
    signed = smime.sign(MAIL, by=world.alice)

    assert [one.addresses for one in smime.open(signed, trust=world.anchors).contacts] == [
        ("alice@example.org",)
    ]
    assert smime.open(signed, trust=smime.NoTrust()).contacts == ()
    assert smime.open(MAIL, trust=world.anchors).contacts == ()
    forged = smime.sign(MAIL, by=world.bob)
    assert smime.open(forged, trust=world.anchors).contacts == ()


def test_the_tree_of_errors() -> None:
    statuses: dict[type[smime.SmimeError], int] = {
        smime.SmimeError: 1,
        smime.MalformedMail: 3,
        smime.LimitExceeded: 3,
        smime.NotSupported: 4,
        smime.KeyProblem: 5,
        smime.DecryptionFailed: 6,
        smime.SignatureRejected: 7,
    }
    assert {kind: kind.exit_status for kind in statuses} == statuses
    assert all(issubclass(kind, smime.SmimeError) for kind in statuses)
    assert issubclass(smime.LimitExceeded, smime.MalformedMail)
