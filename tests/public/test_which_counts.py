"""Which signature counts: one by the From is good, none by it is bad, others are reported."""

from __future__ import annotations

import pytest

import pki
import smime
from tests.support.world import LETTER, World


@pytest.fixture(scope="module")
def stranger() -> smime.Identity:
    """Somebody whose certificate says alice, too, from a CA that nobody believes."""
    return pki.Authority.create("Strange CA").issue("alice@example.org")


@pytest.fixture(scope="module")
def lister(world: World) -> smime.Identity:
    return world.ca.issue("list@example.org")


def swap_first_signer(mail: bytes, other: bytes) -> bytes:
    """Put a signer of another mail into this one, in place of the one who is not alice."""
    from base64 import b64decode, encodebytes

    from asn1crypto import cms

    head, _, body = mail.rpartition(b"\r\n\r\nMI")
    text, _, end = (b"MI" + body).partition(b"\r\n--")
    mine = cms.ContentInfo.load(b64decode(text))
    theirs = cms.ContentInfo.load(
        b64decode((b"MI" + other.rpartition(b"\r\n\r\nMI")[2]).partition(b"\r\n--")[0])
    )
    kept, foreign = (
        {one["sid"].dump(): one for one in info["content"]["signer_infos"]}
        for info in (mine, theirs)
    )
    first, second = kept
    mine["content"]["signer_infos"] = cms.SignerInfos([kept[first], foreign[second]])
    return head + b"\r\n\r\n" + encodebytes(mine.dump(force=True)) + b"\r\n--" + end


def checks(report: smime.Report) -> list[tuple[str, bool]]:
    return [(one.signer, one.good) for one in report.signatures]


@pytest.mark.parametrize("opaque", [False, True])
def test_a_bad_one_by_the_same_address_spoils_a_good_one(
    world: World, stranger: smime.Identity, opaque: bool
) -> None:
    mail = smime.sign(LETTER, by=[world.alice, stranger], opaque=opaque)

    opened = smime.open(mail, trust=world.anchors)

    assert opened.signer is None
    assert opened.contacts == ()
    assert sorted(checks(opened.report)) == [
        ("alice@example.org", False),
        ("alice@example.org", True),
    ]
    with pytest.raises(smime.SignatureRejected):
        smime.verify(mail, trust=world.anchors)


def test_a_second_one_by_the_same_address_that_is_good(world: World) -> None:
    again = world.ca.issue("alice@example.org", algorithm="rsa2048")

    opened = smime.verify(smime.sign(LETTER, by=[world.alice, again]), trust=world.anchors)

    assert checks(opened.report) == [("alice@example.org", True)] * 2


@pytest.mark.parametrize("outer_opaque", [False, True])
def test_a_list_signs_around_it(world: World, lister: smime.Identity, outer_opaque: bool) -> None:
    inner = smime.sign(LETTER, by=world.alice)
    mail = smime.sign(inner, by=lister, opaque=outer_opaque)

    opened = smime.verify(mail, trust=world.anchors)

    assert opened.signer == "alice@example.org"
    assert checks(opened.report) == [("list@example.org", False), ("alice@example.org", True)]
    assert opened.report.signatures[0].problems[0].code == "address-differs"
    # Asked whether the list signed, the list's counts.
    assert smime.verify(mail, trust=world.anchors, sender="list@example.org").signer == (
        "list@example.org"
    )


def test_a_list_s_alone_is_not_the_author_s(world: World, lister: smime.Identity) -> None:
    mail = smime.sign(LETTER, by=lister)

    assert smime.open(mail, trust=world.anchors).signer is None
    with pytest.raises(smime.SignatureRejected, match=r"list@example.org, not alice@example.org"):
        smime.verify(mail, trust=world.anchors)


def test_a_gateway_s_broken_one_around_it(world: World, lister: smime.Identity) -> None:
    """Something changed on the way between the two; what Alice signed is whole."""
    mail = bytes(smime.sign(smime.sign(LETTER, by=world.alice), by=lister))
    outer = mail.partition(b'boundary="')[2].partition(b'"')[0]
    # Only the outer signature covers the preamble of the inner multipart.
    changed = mail.replace(b"This is a signed mail", b"This is a signed MAIL", 2)
    assert changed.count(outer) == mail.count(outer)
    assert changed != mail

    report = smime.examine(changed, trust=world.anchors)

    assert [one.intact.code for one in report.signatures] == ["digest-differs", "ok"]
    assert report.signer == "alice@example.org"
    # In one layer with Alice's it shows that the layer was put together from two messages.
    both = bytes(smime.sign(LETTER, by=[world.alice, lister]))
    other = bytes(smime.sign(LETTER.replace(b"noon", b"dusk"), by=[world.alice, lister]))
    swapped = swap_first_signer(both, other)
    report = smime.examine(swapped, trust=world.anchors)
    assert sorted(one.intact.code for one in report.signatures) == ["digest-differs", "ok"]
    assert report.signer is None
