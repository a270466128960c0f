"""The quick way says yes only where the engine says yes too."""

from __future__ import annotations

import random
from datetime import timedelta

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smime.trust import Anchors
from smime.trust.builder import Search, index_by_subject
from smime.trust.facts import Cache
from smime.trust.fast import is_surely_valid
from smime.trust.path import validate
from tests.trust.ca import AT, BEGIN, Entity, claim, key_usage, name_of, new_key, root, sub_ca, user

DAY = timedelta(days=1)
# AES-256-CBC, as the certificates of mail users announce it (RFC 4262).
CAPABILITIES = x509.UnrecognizedExtension(
    x509.ObjectIdentifier("1.2.840.113549.1.9.15"),
    bytes.fromhex("300d300b060960864801650304012a"),
)
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
INSIDE, OUTSIDE = x509.RFC822Name("example.org"), x509.RFC822Name("other.example")
POLICY = x509.CertificatePolicies([x509.PolicyInformation(x509.ObjectIdentifier("1.2.3"), None)])
DEMANDS_POLICY = x509.PolicyConstraints(require_explicit_policy=0, inhibit_policy_mapping=None)

# Each knob, for whom, and whether the chain is bad by construction because of it.
FAULTS = [
    ("any", {"begin": BEGIN, "end": AT - DAY}, True),
    ("any", {"begin": AT + DAY, "end": AT + 2 * DAY}, True),
    ("ca", {"ca": False}, True),
    ("ca", {"ca": None}, True),
    ("ca", {"usage": key_usage(crl_sign=True)}, True),
    ("middle", {"extensions": ((UNKNOWN, True),)}, True),
    ("leaf", {"extensions": ((UNKNOWN, True),)}, True),
    ("any", {"extensions": ((CAPABILITIES, True),)}, True),
    ("any", {"extensions": ((CAPABILITIES, False),)}, False),
    ("middle", {"extensions": ((DEMANDS_POLICY, True),)}, True),
    ("ca", {"excluded": (INSIDE,)}, True),
    ("ca", {"permitted": (OUTSIDE,)}, True),
    ("signed", {"sign_with": ec.generate_private_key(ec.SECP256R1())}, True),
    ("top", {"path_length": 0}, None),
    ("ca", {"path_length": 0}, None),
    ("ca", {"path_length": 3}, False),
    ("ca", {"permitted": (INSIDE,)}, False),
    ("any", {"extensions": ((UNKNOWN, False),)}, False),
    ("any", {"extensions": ((POLICY, False),)}, False),
    ("any", {"identifiers": False}, False),
    ("ca", {"usage": None}, False),
    ("leaf", {"usage": None}, False),
    ("leaf", {"subject": name_of(None)}, False),
    ("leaf", {"ca": None}, False),
    ("leaf", {"ca": True}, False),
    ("top", {"subject": name_of("CHESS  club CA", (NameOID.ORGANIZATION_NAME, "Ä"))}, False),
]


def generate(dice: random.Random) -> tuple[list[Entity], bool | None]:
    """Return a chain, anchor first, and if it is bad by construction (None: perhaps)."""
    length = dice.choice((2, 3, 3, 3, 4, 5))
    roles = ["top", *["middle"] * (length - 2), "leaf"]
    knobs: list[dict[str, object]] = [{} for _ in roles]
    bad: bool | None = False
    for _ in range(dice.choice((0, 1, 1, 2))):
        whom, fault, is_bad = dice.choice(FAULTS)
        fits = {
            "any": range(length),
            "ca": range(length - 1),
            "signed": range(1, length),
            "top": [0],
            "middle": range(1, length - 1),
            "leaf": [length - 1],
        }[whom]
        if fits:
            place = dice.choice(list(fits))
            # A later knob may undo an earlier one: then nobody knows by construction.
            bad = None if set(fault) & set(knobs[place]) else (bad if bad is not False else is_bad)
            knobs[place].update(fault)
    keys = [new_key() for _ in range(length)]
    chain = [root(key=keys[0], **knobs[0])]
    for place in range(1, length - 1):
        chain.append(sub_ca(chain[-1], f"CA {place}", key=keys[place], **knobs[place]))
    chain.append(user(chain[-1], key=keys[-1], **knobs[-1]))
    return chain, bad


def test_a_quick_yes_is_a_yes_of_the_engine(capsys):
    dice = random.Random(20300601)
    total = bad = quick = good = 0
    for _ in range(320):
        (top, *middle, leaf), is_bad = generate(dice)
        cache = Cache()
        search = Search(
            cache.facts(leaf.certificate),
            anchors=index_by_subject([cache.facts(top.certificate)]),
            pools=[index_by_subject(cache.facts(one.certificate) for one in middle)],
            cache=cache,
        )
        at = AT + timedelta(seconds=dice.choice((0, 0, 0, 1)))
        total += 1
        bad += is_bad is True
        judged = Anchors([top.certificate]).judge(claim(leaf, *middle, at=at))
        valid = judged.path.accepted and judged.time.accepted
        good += valid
        if is_bad is not None:
            assert valid is not is_bad
        for path in search.paths:
            if len(search.paths) == 1 and search.exact and is_surely_valid(path, at):
                quick += 1
                assert validate(path, at=at).kind == "ok"
                assert valid
    with capsys.disabled():
        print(
            f"\nquick yes for {quick} of {good} good chains; {bad} of {total} bad by construction"
        )
    assert total >= 200
    assert bad >= 0.3 * total
    assert quick >= good // 4


def test_the_ordinary_chain_goes_the_quick_way():
    top = root()
    middle = sub_ca(top, path_length=0)
    leaf = user(middle)
    path = [Cache().facts(one.certificate) for one in (leaf, middle, top)]

    assert is_surely_valid(path, AT)
    assert not is_surely_valid(path, AT + 5000 * DAY)
    assert not is_surely_valid(path[:1], AT)


def test_announced_capabilities_are_no_reason_for_the_long_way():
    top = root()
    ways = {
        critical: is_surely_valid(
            [
                Cache().facts(one.certificate)
                for one in (user(top, extensions=((CAPABILITIES, critical),)), top)
            ],
            AT,
        )
        for critical in (False, True)
    }
    assert ways == {False: True, True: False}
