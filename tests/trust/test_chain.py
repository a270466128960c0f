"""Which certificate is believed: chains, and what breaks them."""

from __future__ import annotations

import asyncio
import time
from datetime import UTC, datetime, timedelta, timezone

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smime.report import Answer
from smime.trust import Anchors, Evidence
from smime.trust.telling import judgement_dict, judgement_lines
from tests.trust.ca import (
    AT,
    BEGIN,
    END,
    SIGNS_CERTIFICATES,
    Entity,
    claim,
    codes,
    key_usage,
    make,
    name_of,
    new_key,
    root,
    sub_ca,
    user,
    version_1,
)

DAY = timedelta(days=1)


def judge(anchor: Entity, leaf: Entity, *others: Entity, **given: object):
    return Anchors([anchor.certificate]).judge(claim(leaf, *others, **given))


def test_a_chain_over_an_intermediate_is_good():
    top = root()
    middle = sub_ca(top)
    alice = user(middle)

    judgement = judge(top, alice, middle)

    assert judgement.good
    assert judgement.path.reason == "chain to Chess Club CA"
    assert judgement.path.source == "RFC 5280 §6.1"
    assert judgement.revocation.code == "revocation-not-checked"
    assert judgement.revocation.answer is Answer.NOT_CHECKED
    assert list(judgement.chain) == [one.certificate for one in (alice, middle, top)]


def test_intermediates_of_the_evidence_serve_as_well():
    top = root()
    middle = sub_ca(top)
    alice = user(middle)
    evidence = Evidence(certificates=[middle.certificate])

    assert codes(judge(top, alice)) == {"path": "no-anchor"}
    assert judge(top, alice, evidence=evidence).good


def test_another_root_of_the_same_name_is_no_anchor():
    top, other = root(), root()
    alice = user(top)

    assert judge(top, alice).good
    judgement = judge(other, alice)
    assert codes(judgement) == {"path": "no-anchor"}
    assert judgement.path.answer is Answer.NO
    assert "Chess Club CA" in judgement.path.reason
    assert judgement.chain == ()


def test_a_root_in_the_message_is_never_an_anchor():
    top, evil = root(), root("Evil CA")
    mallory = user(evil)

    assert codes(judge(top, mallory, evil)) == {"path": "no-anchor"}
    evidence = Evidence(certificates=[evil.certificate])
    assert codes(judge(top, mallory, evidence=evidence)) == {"path": "no-anchor"}


def test_a_self_signed_certificate_is_good_only_as_an_anchor():
    top = root()
    alone = user(None)

    judgement = judge(top, alone)
    assert codes(judgement) == {"path": "no-anchor"}
    assert "vouches for itself only" in judgement.path.reason
    judgement = judge(alone, alone)
    assert judgement.good
    assert judgement.path.reason == "Alice is itself an anchor"


@pytest.mark.parametrize(
    ("knobs", "code"),
    [
        ({"end": AT - DAY}, {"time": "expired"}),
        ({"usage": key_usage(key_encipherment=True)}, {"usage": "usage-wrong"}),
        ({"names": (x509.RFC822Name("bob@example.org"),)}, {"address": "address-differs"}),
    ],
)
def test_a_certificate_that_is_an_anchor_is_judged_otherwise_as_any(knobs, code):
    alone = user(None, **knobs)

    assert codes(judge(alone, alone)) == code


def test_an_anchor_need_not_be_self_signed():
    top = root()
    middle = sub_ca(top)
    alice = user(middle)

    assert judge(middle, alice).path.reason == "chain to Chess Club Mail CA"
    assert judge(middle, alice).good


BROKEN_CHAINS = {
    "intermediate is no CA": ({"ca": False}, {}),
    "intermediate says nothing of CA": ({"ca": None}, {}),
    "intermediate may not sign certificates": ({"usage": key_usage(crl_sign=True)}, {}),
    "intermediate has an unknown critical extension": (
        {
            "extensions": (
                (x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00"), True),
            )
        },
        {},
    ),
    "root is no CA": ({}, {"ca": False}),
    "root may not sign certificates": ({}, {"usage": key_usage(crl_sign=True)}),
    "root allows no intermediate": ({}, {"path_length": 0}),
}


@pytest.mark.parametrize("name", BROKEN_CHAINS)
def test_a_chain_that_breaks_a_rule_is_invalid(name):
    middle_knobs, root_knobs = BROKEN_CHAINS[name]
    top = root(**root_knobs)
    middle = sub_ca(top, **middle_knobs)

    assert codes(judge(top, user(middle), middle)) == {"path": "path-invalid"}


def test_path_length_is_counted_below_each_ca():
    top = root(path_length=2)
    one = sub_ca(top, "One", path_length=0)
    two = sub_ca(one, "Two")

    assert judge(top, user(one), one).good
    assert codes(judge(top, user(two), one, two)) == {"path": "path-invalid"}


def test_an_unknown_critical_extension_in_the_leaf_refuses_it():
    top = root()
    unknown = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")

    assert judge(top, user(top, extensions=((unknown, False),))).good
    assert "path" in codes(judge(top, user(top, extensions=((unknown, True),))))


def test_a_changed_byte_in_the_certificate_breaks_the_chain():
    from cryptography.hazmat.primitives.serialization import Encoding

    top = root()
    der = bytearray(user(top).certificate.public_bytes(Encoding.DER))
    place = der.index(b"Alice")
    der[place] = ord("B")
    forged = Entity(x509.load_der_x509_certificate(bytes(der)), None)

    assert codes(judge(top, forged)) == {"path": "no-anchor"}


# --- dates -------------------------------------------------------------------

DATES = {
    "leaf expired": ({"end": AT - DAY}, {}, {}, "expired"),
    "leaf not yet": ({"begin": AT + DAY}, {}, {}, "not-yet-valid"),
    "intermediate expired": ({}, {"end": AT - DAY}, {}, "chain-expired"),
    "intermediate not yet": ({}, {"begin": AT + DAY}, {}, "chain-expired"),
    "root expired": ({}, {}, {"end": AT - DAY}, "chain-expired"),
    "root not yet": ({}, {}, {"begin": AT + DAY}, "chain-expired"),
    "all at different times": (
        {"end": BEGIN + DAY},
        {"begin": BEGIN + 10 * DAY},
        {"end": BEGIN + 5 * DAY},
        "expired",
    ),
}


@pytest.mark.parametrize("name", DATES)
def test_dates_are_their_own_question(name):
    """The chain still leads to the anchor; it is the time that is wrong."""
    leaf, middle, top, code = DATES[name]
    anchor = root(**top)
    between = sub_ca(anchor, **middle)

    judgement = judge(anchor, user(between, **leaf), between)

    assert codes(judgement) == {"time": code}
    assert judgement.path.reason == "chain to Chess Club CA"
    assert not judgement.good


def test_an_expired_chain_that_is_broken_too_is_said_to_be_broken():
    top = root()
    middle = sub_ca(top, ca=False)

    assert codes(judge(top, user(middle, end=AT - DAY), middle)) == {
        "path": "path-invalid",
        "time": "expired",
    }


@pytest.mark.parametrize(
    ("at", "good"),
    [
        (BEGIN - timedelta(seconds=1), False),
        (BEGIN - timedelta(microseconds=1), False),
        (BEGIN, True),
        (END, True),
        (END + timedelta(microseconds=999_999), True),
        (END + timedelta(seconds=1), False),
    ],
)
@pytest.mark.parametrize("by_engine", [False, True])
def test_both_ends_of_the_validity_belong_to_it(at, good, by_engine):
    top = root()
    constraints = {"permitted": (x509.RFC822Name("example.org"),)} if by_engine else {}
    middle = sub_ca(top, **constraints)

    assert judge(top, user(middle), middle, at=at).good is good


def test_any_time_zone_serves_and_none_is_a_mistake():
    top = root()
    tokyo = timezone(timedelta(hours=9))
    assert judge(top, user(top), at=AT.astimezone(tokyo)).good
    with pytest.raises(ValueError, match="time zone"):
        judge(top, user(top), at=datetime(2030, 6, 1))


def test_far_away_moments_are_judged_too():
    top = root()

    for at in (datetime(1, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)):
        assert "time" in codes(judge(top, user(top), at=at))


# --- more than one path -----------------------------------------------------


def test_rollover_two_roots_of_one_name():
    old, new = root(), root()
    crossed = make(
        "Chess Club CA", old, ca=True, usage=SIGNS_CERTIFICATES, key=new.key
    )  # the new key, certified by the old one
    alice = user(new)
    both = Anchors([old.certificate, new.certificate])

    assert both.judge(claim(alice)).good
    assert judge(new, alice, crossed).good
    assert judge(old, alice, crossed).good
    assert codes(judge(old, alice)) == {"path": "no-anchor"}


def test_a_cross_certificate_leads_around_a_broken_one():
    good_root, bad_root = root("Good Root"), root("Bad Root")
    key = new_key()
    by_bad = sub_ca(bad_root, "Middle", key=key, end=AT - DAY)
    by_good = sub_ca(good_root, "Middle", key=key)
    alice = user(by_good)
    both = Anchors([bad_root.certificate, good_root.certificate])

    for order in ((by_bad, by_good), (by_good, by_bad)):
        judgement = both.judge(claim(alice, *order))
        assert judgement.good
        assert judgement.path.reason == "chain to Good Root"
    assert codes(both.judge(claim(alice, by_bad))) == {"time": "chain-expired"}


def test_names_are_compared_as_rfc_5280_says():
    top = root(subject=name_of("Chess  Club ca", (NameOID.ORGANIZATION_NAME, "Club")))
    other_spelling = name_of("CHESS Club CA ", (NameOID.ORGANIZATION_NAME, "club"))
    alice = user(top, issuer_name=other_spelling)

    assert judge(top, alice).good
    assert codes(judge(top, user(top, issuer_name=name_of("Chess Clubs CA")))) == {
        "path": "no-anchor"
    }


def test_an_issuer_without_a_name_is_nobody():
    top = root(subject=name_of(None))

    assert codes(judge(top, user(top))) == {"path": "no-anchor"}


def test_a_version_1_root_may_be_an_anchor_and_never_an_intermediate():
    top = root()
    old = version_1(top, top.key)
    middle = version_1(sub_ca(top), top.key)

    assert judge(old, user(old)).good
    assert codes(judge(top, user(middle), middle)) == {"path": "path-invalid"}


def test_wrong_key_identifiers_are_a_hint_only():
    top = root()
    wrong = x509.AuthorityKeyIdentifier(b"\x01" * 20, None, None)
    alice = user(top, identifiers=False, extensions=((wrong, False),))

    assert judge(top, alice, root()).good


def test_cas_that_sign_each_other_are_given_up_on_in_bounded_time():
    """12 CAs of one name certify each other; a naive search takes 12! steps."""
    keys = [ec.generate_private_key(ec.SECP256R1()) for _ in range(12)]
    cas = [make("Same", ca=True, usage=SIGNS_CERTIFICATES, key=key) for key in keys]
    crossed = [
        make("Same", cas[(n + step) % 12], ca=True, usage=SIGNS_CERTIFICATES, key=cas[n].key)
        for n in range(12)
        for step in (1, 5)
    ]
    mallory = user(cas[0], identifiers=False)
    anchors = Anchors([root().certificate])
    evidence = Evidence(certificates=[one.certificate for one in crossed])

    started = time.process_time()
    sent = anchors.judge(claim(mallory, *crossed))
    given = anchors.judge(claim(mallory, evidence=evidence))
    assert time.process_time() - started < 1
    assert codes(sent)["path"] in ("no-anchor", "search-limit")
    assert codes(given)["path"] == "search-limit"


def test_many_cas_of_the_right_name_do_not_hide_the_right_one():
    top = root()
    middle = sub_ca(top, "Same")
    junk = [make("Same", ca=True, usage=SIGNS_CERTIFICATES) for _ in range(11)]

    started = time.process_time()
    assert judge(top, user(middle), *junk, middle).good
    assert time.process_time() - started < 1


def test_chains_up_to_eight_certificates_are_followed():
    def chain_of(length: int) -> list[Entity]:
        chain = [root()]
        for number in range(length - 2):
            chain.append(sub_ca(chain[-1], f"CA {number}"))
        return [*chain, user(chain[-1])]

    top, *middle, leaf = chain_of(8)
    assert judge(top, leaf, *middle).good
    top, *middle, leaf = chain_of(9)
    assert codes(judge(top, leaf, *middle)) == {"path": "search-limit"}


# --- where it is called from ------------------------------------------------


def test_the_engine_runs_inside_of_an_event_loop():
    top = root(permitted=(x509.RFC822Name("example.org"),))
    alice = user(top)

    async def inside() -> bool:
        await asyncio.sleep(0)
        return judge(top, alice).good

    assert asyncio.run(inside()) is True


def test_every_path_is_told_with_what_is_wrong_with_it():
    top = root()
    key = new_key()
    bad = sub_ca(top, key=key, ca=False)
    good = sub_ca(top, key=key)
    alice = user(good)
    anchors = Anchors([top.certificate])

    # The same name and key: the second one is looked at since the first leads to nothing good.
    each = anchors.judge_each(claim(alice, bad, good))

    assert anchors.judge(claim(alice, bad, good)).good
    assert sorted(codes(one).get("path", "ok") for one in each) == ["ok", "path-invalid"]
    lines = judgement_lines(next(one for one in each if one.good))
    assert lines[0].startswith("Chess Club CA, valid from 2029-01-01")
    assert lines[2].startswith("   `- Alice <alice@example.org>, valid")
    assert judgement_dict(each[0])["path"]["source"].startswith("RFC 5280")
    (none,) = Anchors([root("Other").certificate]).judge_each(claim(alice, good))
    assert codes(none)["path"] == "no-anchor"
