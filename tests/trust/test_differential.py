"""A thousand chains whose verdict is known by how they were made, judged by us and by OpenSSL.

Each chain has names of its own, so one call of ``openssl verify`` takes all of a kind. A
disagreement is listed with its chain and the rule that decides it; where we accept what
OpenSSL refuses there has to be one.
"""

from __future__ import annotations

import random
from collections import Counter
from dataclasses import dataclass, field
from datetime import timedelta
from typing import Any

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import NameOID

from smime.policy import Policy, Revocation
from smime.trust import Anchors, Evidence
from smime.trust.builder import Search, index_by_subject
from smime.trust.facts import Cache, Facts
from smime.trust.fast import is_surely_valid
from smime.trust.path import validate
from tests.trust.ca import (
    ADDRESS,
    ANY_USE,
    AT,
    BEGIN,
    MAIL,
    TLS_CLIENT,
    Entity,
    claim,
    key_usage,
    name_of,
    new_key,
    root,
    sub_ca,
    user,
)

DAY = timedelta(days=1)
MAX_DISAGREEMENTS = 0.03
COUNTS = {"plain": 800, "revocation": 150, "policies": 150}

ONE, TWO = (x509.ObjectIdentifier(f"1.2.3.{last}") for last in (1, 2))
ANY_POLICY = x509.ObjectIdentifier("2.5.29.32.0")
UNKNOWN = x509.UnrecognizedExtension(x509.ObjectIdentifier("1.2.3.4"), b"\x05\x00")
STRANGER = ec.generate_private_key(ec.SECP256R1())
INSIDE, OUTSIDE = x509.RFC822Name("example.org"), x509.RFC822Name("other.example")
ELSEWHERE = x509.RFC822Name("alice@elsewhere.example")
IN_DIRECTORY = x509.DirectoryName(x509.Name([x509.NameAttribute(NameOID.COUNTRY_NAME, "AT")]))
ADDRESS_NAME = x509.RFC822Name(ADDRESS)


def policies(*found: x509.ObjectIdentifier) -> tuple[tuple[x509.ExtensionType, bool], ...]:
    asserted = [x509.PolicyInformation(one, None) for one in found]
    return ((x509.CertificatePolicies(asserted), False),)


# Where, what, and whether it makes the chain bad.
KNOBS: list[tuple[str, dict[str, Any], bool]] = [
    ("any", {"end": AT - DAY, "begin": BEGIN}, True),
    ("any", {"begin": AT + DAY}, True),
    ("any", {"end": AT}, False),
    ("any", {"begin": AT}, False),
    ("middle", {"ca": False}, True),
    ("middle", {"ca": None}, True),
    ("middle", {"usage": key_usage(crl_sign=True)}, True),
    ("middle", {"extensions": ((UNKNOWN, True),)}, True),
    ("middle", {"sign_with": STRANGER}, True),
    ("middle", {"excluded": (INSIDE,)}, True),
    ("middle", {"permitted": (OUTSIDE,)}, True),
    ("middle", {"permitted": (INSIDE,)}, False),
    ("middle", {"excluded": (OUTSIDE,)}, False),
    ("middle", {"permitted": (ADDRESS_NAME,)}, False),
    ("middle", {"permitted": (x509.DNSName("example.org"),)}, False),
    ("middle", {"permitted": (IN_DIRECTORY,)}, True),
    ("middle", {"excluded": (IN_DIRECTORY,)}, False),
    ("middle", {"purposes": TLS_CLIENT}, True),
    ("middle", {"purposes": MAIL}, False),
    ("middle", {"purposes": ANY_USE}, False),
    ("middle", {"identifiers": False}, False),
    ("middle", {"path_length": 5}, False),
    ("middle", {"extensions": ((UNKNOWN, False),)}, False),
    ("top", {"excluded": (INSIDE,)}, True),
    ("top", {"permitted": (INSIDE,)}, False),
    ("top", {"permitted": (OUTSIDE,)}, True),
    ("leaf", {"sign_with": STRANGER}, True),
    ("leaf", {"extensions": ((UNKNOWN, True),)}, True),
    ("leaf", {"purposes": TLS_CLIENT}, True),
    ("leaf", {"purposes": (*TLS_CLIENT, *MAIL)}, False),
    ("leaf", {"purposes": ()}, False),
    ("leaf", {"usage": key_usage(key_agreement=True)}, True),
    ("leaf", {"usage": key_usage(content_commitment=True)}, False),
    ("leaf", {"usage": None}, False),
    ("leaf", {"names": (ELSEWHERE,)}, True),
    ("leaf", {"names": (ELSEWHERE, ADDRESS_NAME)}, False),
    ("leaf", {"names": (x509.RFC822Name("alice@EXAMPLE.org"),)}, False),
    ("leaf", {"names": (x509.RFC822Name("Alice@example.org"),)}, True),
    ("leaf", {"subject": name_of("Alice", (NameOID.ORGANIZATION_NAME, "Übung"))}, False),
    ("leaf", {"subject": name_of(None)}, False),
    ("leaf", {"identifiers": False}, False),
]


@dataclass
class Chain:
    id: str
    top: Entity
    middle: list[Entity]
    leaf: Entity
    bad: bool
    about: str
    crls: list[bytes] = field(default_factory=list)


def chain_of(number: int, length: int, knobs: dict[int, dict[str, Any]]) -> tuple[Entity, ...]:
    """Return a chain, anchor first, whose names no other chain has."""
    found = [root(f"Root {number}", key=new_key(), **knobs.get(0, {}))]
    for place in range(1, length - 1):
        given = {"common": f"CA {number} {place}", "key": new_key(), **knobs.get(place, {})}
        found.append(sub_ca(found[-1], **given))
    found.append(user(found[-1], **{"key": new_key(), **knobs.get(length - 1, {})}))
    return tuple(found)


def plain(number: int, dice: random.Random) -> Chain:
    special = SPECIAL[number] if number < len(SPECIAL) else None
    if special:
        return special(number)
    length = dice.choice((3, 3, 3, 4, 5))
    knobs: dict[int, dict[str, Any]] = {}
    bad, about = False, []
    for _ in range(dice.choice((0, 1, 1, 1, 2))):
        where, what, is_bad = dice.choice(KNOBS)
        place = {
            "any": dice.randrange(length),
            "top": 0,
            "middle": dice.randrange(1, length - 1),
            "leaf": length - 1,
        }[where]
        if place in knobs:
            continue  # two knobs of one certificate may undo each other
        knobs[place] = what
        bad = bad or is_bad
        about.append(f"{where} {place}: {', '.join(what)}")
    top, *middle, leaf = chain_of(number, length, knobs)
    return Chain(f"plain {number}", top, middle, leaf, bad, "; ".join(about) or "ordinary")


def rollover(number: int) -> Chain:
    """The new root key, certified by the old one."""
    old = root(f"Root {number}", key=new_key())
    new = sub_ca(old, f"Root {number}", key=new_key())
    middle = sub_ca(new, f"CA {number}", key=new_key())
    leaf = user(middle, key=new_key())
    return Chain(f"rollover {number}", old, [new, middle], leaf, False, "self-issued rollover")


def too_long(number: int) -> Chain:
    top = root(f"Root {number}", key=new_key(), path_length=1)
    one = sub_ca(top, f"CA {number} 1", key=new_key(), path_length=0)
    two = sub_ca(one, f"CA {number} 2", key=new_key())
    return Chain(f"length {number}", top, [one, two], user(two, key=new_key()), True, "pathLen 0")


def odd_names(number: int) -> Chain:
    """The issuer spelled in other case, blanks and string types than the subject."""
    top = root(f"Root {number}", key=new_key())
    middle = sub_ca(top, f"Chess Club {number}", key=new_key())
    common = x509.NameAttribute(
        NameOID.COMMON_NAME, f"  CHESS   club {number}", _type=x509.name._ASN1Type.PrintableString
    )
    leaf = user(middle, key=new_key(), issuer_name=x509.Name([common]))
    return Chain(
        f"names {number}", top, [middle], leaf, False, "name of the issuer in other letters"
    )


SPECIAL = [*[rollover] * 20, *[too_long] * 20, *[odd_names] * 20]


def revocation(number: int, dice: random.Random) -> Chain:
    top, middle, leaf = chain_of(10_000 + number, 3, {})
    kind = dice.choice(("clean", "leaf", "ca", "other", "stale", "missing", "forged", "hold"))
    upper, lower = top.crl(), middle.crl()
    if kind == "leaf":
        lower = middle.crl(leaf)
    elif kind == "ca":
        upper = top.crl(middle)
    elif kind == "other":
        lower = middle.crl(top)
    elif kind == "stale":
        lower = middle.crl(end=AT - timedelta(hours=1))
    elif kind == "forged":
        lower = middle.crl(key=STRANGER)
    elif kind == "hold":
        lower = middle.crl(leaf, reason=x509.ReasonFlags.certificate_hold)
    crls = [upper] if kind == "missing" else [upper, lower]
    bad = kind not in ("clean", "other")
    return Chain(f"revocation {number}", top, [middle], leaf, bad, f"CRL: {kind}", crls)


def policy(number: int, dice: random.Random) -> Chain:
    """All are asked to be good for 1.2.3.1."""
    above = dice.choice(((ONE,), (TWO,), (ANY_POLICY,), (ONE, TWO), ()))
    below = dice.choice(((ONE,), (TWO,), (ONE, TWO), ()))
    good = ONE in below and (ONE in above or ANY_POLICY in above)
    knobs = {
        place: {"extensions": policies(*found)}
        for place, found in ((1, above), (2, below))
        if found
    }
    top, middle, leaf = chain_of(20_000 + number, 3, knobs)
    about = f"policies {[one.dotted_string for one in above]} {[o.dotted_string for o in below]}"
    return Chain(f"policies {number}", top, [middle], leaf, not good, about)


MAKERS = {"plain": plain, "revocation": revocation, "policies": policy}
OPTIONS = {
    "plain": [],
    "revocation": ["-crl_check_all", "-CRLfile", "crls.pem"],
    "policies": ["-policy", "1.2.3.1", "-explicit_policy"],
}
POLICIES = {
    "plain": Policy.modern(),
    "revocation": Policy.modern().replace(revocation=Revocation.REQUIRE),
    "policies": Policy.modern().replace(certificate_policies=("1.2.3.1",)),
}


def ours(chain: Chain, asked: Policy) -> bool:
    evidence = Evidence(crls=chain.crls)
    given = {"policy": asked, "evidence": evidence}
    return Anchors([chain.top.certificate]).judge(claim(chain.leaf, *chain.middle, **given)).good


def goes_quickly(chain: Chain) -> bool:
    """Say whether the own check says yes to the path; where it does, the engine must too."""
    search = Search(
        Facts(chain.leaf.certificate),
        index_by_subject([Facts(chain.top.certificate)]),
        [index_by_subject(Facts(one.certificate) for one in chain.middle)],
        Cache(),
    )
    (path,) = search.paths
    if not (search.exact and is_surely_valid(path, AT)):
        return False
    assert validate(path, at=AT).kind == "ok", chain.id
    return True


def theirs(chains: list[Chain], kind: str, openssl: Any, folder: Any) -> dict[str, str]:
    """Return what OpenSSL says against each chain, or nothing, in one call."""
    (folder / "roots.pem").write_bytes(pem(*(one.top for one in chains)))
    (folder / "middle.pem").write_bytes(pem(*(each for one in chains for each in one.middle)))
    lists = [x509.load_der_x509_crl(crl) for one in chains for crl in one.crls]
    (folder / "crls.pem").write_bytes(b"".join(one.public_bytes(Encoding.PEM) for one in lists))
    names = []
    for place, one in enumerate(chains):
        (folder / f"{place}.pem").write_bytes(pem(one.leaf))
        names.append(str(folder / f"{place}.pem"))
    options = [one if one != "crls.pem" else folder / one for one in OPTIONS[kind]]
    done = openssl.attempt(
        *("verify", "-no-CApath", "-no-CAstore", "-CAfile", folder / "roots.pem"),
        *("-untrusted", folder / "middle.pem", "-attime", str(int(AT.timestamp()))),
        *("-purpose", "smimesign", "-verify_email", ADDRESS, *options, *names),
    )
    good = {
        line[: -len(": OK")] for line in done.stdout.decode().splitlines() if line.endswith(": OK")
    }
    said = done.stderr.decode(errors="replace")
    assert good, said[:2000]
    against = {}
    for name, one in zip(names, chains, strict=True):
        before = said.partition(f"error {name}: verification failed")[0]
        against[one.id] = "" if name in good else (before.strip().splitlines() or ["refused"])[-1]
    return against


def pem(*entities: Entity) -> bytes:
    return b"".join(one.certificate.public_bytes(Encoding.PEM) for one in entities)


def rule_of(chain: Chain, we: bool, they: str) -> str:
    """Return the rule by which a disagreement is decided; empty if there is none."""
    certificates = [one.certificate for one in (chain.leaf, *chain.middle, chain.top)]
    if we and "expired" in they and any(one.not_valid_after_utc == AT for one in certificates):
        return "RFC 5280 §4.1.2.5: notAfter itself belongs to the validity"
    if we and "purpose" in they and "purposes" in chain.about:
        return "RFC 8550 §4.4.4: anyExtendedKeyUsage in a CA allows mail"
    return ""


@pytest.mark.filterwarnings("ignore::cryptography.utils.CryptographyDeprecationWarning")
def test_a_thousand_chains_are_judged_as_made_and_as_openssl_does(openssl, tmp_path, capsys):
    dice = random.Random(20261124)
    total = bad = 0
    disagreements: list[tuple[str, str]] = []
    wrong: list[str] = []
    counts: Counter[str] = Counter()
    for kind, count in COUNTS.items():
        folder = tmp_path / kind
        folder.mkdir()
        chains = [MAKERS[kind](number, dice) for number in range(count)]
        against = theirs(chains, kind, openssl, folder)
        for one in chains:
            we, they = ours(one, POLICIES[kind]), not against[one.id]
            total += 1
            bad += one.bad
            counts["good" if we else "refused"] += 1
            if we and not POLICIES[kind].asks_for_policies:
                counts["quick"] += goes_quickly(one)
            if we is one.bad:
                wrong.append(f"{one.id} ({one.about}): we say {'good' if we else 'bad'}")
            if we is not they:
                rule = rule_of(one, we, against[one.id])
                line = f"{one.id} ({one.about}): we {we}, OpenSSL {they} {against[one.id]}; {rule}"
                disagreements.append((line, rule))

    with capsys.disabled():
        print(
            f"\ndifferential: {total} chains, {bad} bad by construction, "
            f"{len(disagreements)} disagreements with {openssl.version}; "
            f"the own check took {counts['quick']} of {counts['good']} good ones"
        )
        for line, _ in disagreements:
            print(f"  {line}")
    assert not wrong, "\n".join(wrong)
    assert total >= 1000
    assert bad >= 0.3 * total
    assert all(rule for _, rule in disagreements)
    assert len(disagreements) <= MAX_DISAGREEMENTS * total
