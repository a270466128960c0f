"""What a CA may certify: name constraints and certificate policies."""

from __future__ import annotations

import time
from datetime import timedelta
from ipaddress import ip_address, ip_network

import pytest
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from smime.cms import der
from smime.policy import Policy
from smime.trust import Anchors
from tests.trust.ca import (
    ADDRESS,
    SIGNS_CERTIFICATES,
    Entity,
    claim,
    codes,
    make,
    name_of,
    root,
    sub_ca,
    user,
)

DAY = timedelta(days=1)


def judge(anchor: Entity, leaf: Entity, *others: Entity, **given: object):
    return Anchors([anchor.certificate]).judge(claim(leaf, *others, **given))


INSIDE, OUTSIDE = x509.RFC822Name("example.org"), x509.RFC822Name("other.example")
CONSTRAINTS = {
    "permitted host": ({"permitted": (INSIDE,)}, True),
    "permitted other host": ({"permitted": (OUTSIDE,)}, False),
    "permitted this mailbox": ({"permitted": (x509.RFC822Name(ADDRESS),)}, True),
    "permitted another mailbox": ({"permitted": (x509.RFC822Name("b@example.org"),)}, False),
    "permitted subdomains only": ({"permitted": (x509.RFC822Name(".example.org"),)}, False),
    "permitted all below": ({"permitted": (x509.RFC822Name(".org"),)}, True),
    "excluded host": ({"excluded": (INSIDE,)}, False),
    "excluded other host": ({"excluded": (OUTSIDE,)}, True),
    "both": ({"permitted": (x509.RFC822Name(".org"),), "excluded": (INSIDE,)}, False),
    "other kinds do not matter": (
        {
            "permitted": (INSIDE,),
            "excluded": (x509.DNSName(""), x509.IPAddress(ip_network("0.0.0.0/0"))),
        },
        True,
    ),
}


@pytest.mark.parametrize("name", CONSTRAINTS)
@pytest.mark.parametrize("place", ["root", "intermediate"])
def test_name_constraints_hold_in_the_anchor_too(name, place):
    constraints, good = CONSTRAINTS[name]
    top = root(**(constraints if place == "root" else {}))
    middle = sub_ca(top, **(constraints if place == "intermediate" else {}))

    judgement = judge(top, user(middle), middle)

    assert codes(judgement) == ({} if good else {"path": "name-constraints"})


def mailbox(text: str) -> x509.OtherName:
    body = text.encode()
    return x509.OtherName(
        x509.ObjectIdentifier("1.3.6.1.5.5.7.8.9"), bytes([0x0C, len(body)]) + body
    )


@pytest.mark.parametrize(
    ("names", "subject", "good"),
    [
        ((mailbox("älice@example.org"),), None, True),
        ((mailbox("älice@other.example"),), None, False),
        ((x509.RFC822Name(ADDRESS), mailbox("älice@other.example")), None, False),
        ((x509.RFC822Name(ADDRESS),), "alice@example.org", True),
        ((x509.RFC822Name(ADDRESS),), "alice@other.example", False),
        ((x509.DNSName("host.example"),), "alice@other.example", False),
        ((), "alice@other.example", False),
    ],
)
def test_name_constraints_hold_for_every_form_of_a_mailbox(names, subject, good):
    top = root(permitted=(INSIDE,))
    given = {"subject": name_of("A", (NameOID.EMAIL_ADDRESS, subject))} if subject else {}
    leaf = user(top, names=names, **given)

    path = judge(top, leaf).path

    assert path.code == ("ok" if good else "name-constraints")


@pytest.mark.parametrize("damaged", [False, True])
def test_a_damaged_name_is_not_within_constraints(damaged):
    """A BIT STRING where a text belongs, certified so by the CA itself: the library raises."""
    top = root(permitted=(INSIDE,))
    leaf = user(top, subject=name_of("Alice"))
    tbs = leaf.certificate.tbs_certificate_bytes
    text = b"\x0c\x05Alice"
    assert text in tbs
    if damaged:
        tbs = tbs.replace(text, b"\x03\x05\x00lice")
    value = top.key.sign(tbs, ec.ECDSA(hashes.SHA256()))
    algorithm = der.sequence(der.oid("1.2.840.10045.4.3.2"))
    blob = der.sequence(tbs, algorithm, der.tlv(0x03, b"\0" + value))
    again = Entity(x509.load_der_x509_certificate(blob), leaf.key)

    assert codes(judge(top, again)).get("path", "ok") == ("name-constraints" if damaged else "ok")


@pytest.mark.parametrize("side", ["permitted", "excluded"])
def test_constraints_on_other_kinds_of_names_have_the_same_code(side):
    """Those are the engine's, which says so in words only."""
    ours = x509.DirectoryName(name_of("Alice"))
    theirs = x509.DirectoryName(name_of("Bob"))
    good, bad = (ours, theirs) if side == "permitted" else (theirs, ours)

    for base, code in ((good, {}), (bad, {"path": "name-constraints"})):
        top = root()
        middle = sub_ca(top, **{side: (base,)})
        assert codes(judge(top, user(middle), middle)) == code


SERVER = x509.OtherName(x509.ObjectIdentifier("1.2.3.4"), b"\x0c\x01a")
OTHER_KIND = x509.OtherName(x509.ObjectIdentifier("1.2.3.5"), b"\x0c\x01a")
MAIL = x509.RFC822Name(ADDRESS)


@pytest.mark.parametrize(
    ("side", "base", "name", "good"),
    [
        ("permitted", SERVER, SERVER, False),
        ("excluded", SERVER, SERVER, False),
        ("excluded", SERVER, OTHER_KIND, True),
        ("permitted", SERVER, MAIL, True),
        ("permitted", x509.RegisteredID(x509.ObjectIdentifier("1.2.3")), MAIL, True),
        (
            "excluded",
            x509.RegisteredID(x509.ObjectIdentifier("1.2.3")),
            x509.RegisteredID(x509.ObjectIdentifier("1.2.4")),
            False,
        ),
        *(
            (side, x509.IPAddress(ip_network(net)), x509.IPAddress(ip_address(one)), good)
            for side, net, one, good in (
                ("permitted", "10.0.0.0/8", "10.1.2.3", True),
                ("permitted", "10.0.0.0/8", "11.1.2.3", False),
                ("permitted", "2001:db8::/32", "2001:db8::1", True),
                ("permitted", "2001:db8::/32", "2001:db9::1", False),
                ("permitted", "10.0.0.0/8", "2001:db8::1", False),
                ("excluded", "10.0.0.0/8", "10.1.2.3", False),
                ("excluded", "0.0.0.0/0", "10.1.2.3", False),
                ("excluded", "10.0.0.0/8", "2001:db8::1", True),
            )
        ),
    ],
    ids=str,
)
@pytest.mark.parametrize("place", ["top", "middle"])
def test_constraints_on_names_the_engine_cannot_compare(side, base, name, good, place):
    """They are judged here, and their sight alone refuses nobody."""
    bounds = {side: (base,)}
    top = root(**(bounds if place == "top" else {}))
    middle = sub_ca(top, **(bounds if place == "middle" else {}))
    alice = user(middle, names=(MAIL, *([name] if name is not MAIL else [])))

    judgement = judge(top, alice, middle)

    assert judgement.good is good
    assert codes(judgement) == ({} if good else {"path": "name-constraints"})


@pytest.mark.parametrize("base", [SERVER, x509.IPAddress(ip_network("10.0.0.0/8"))], ids=str)
def test_beside_them_the_other_constraints_still_hold(base):
    top = root(permitted=(base, x509.DirectoryName(name_of("Somebody else"))))
    assert codes(judge(top, user(top)))["path"] == "name-constraints"


GOLD, TIN = (x509.ObjectIdentifier(f"1.2.3.{last}") for last in (1, 2))
ANY = x509.ObjectIdentifier("2.5.29.32.0")


def asserts(*policies: x509.ObjectIdentifier):
    found = x509.CertificatePolicies([x509.PolicyInformation(one, None) for one in policies])
    return {"extensions": ((found, False),)}


@pytest.mark.parametrize(
    ("middle", "leaf", "asked", "good"),
    [
        ({}, {}, {}, True),
        ({}, {}, {"explicit_policy": True}, False),
        ({}, asserts(GOLD), {"explicit_policy": True}, False),
        (asserts(GOLD), asserts(GOLD), {"explicit_policy": True}, True),
        (asserts(GOLD), asserts(TIN), {"explicit_policy": True}, False),
        (asserts(GOLD), asserts(GOLD), {"certificate_policies": ("1.2.3.1",)}, True),
        (asserts(GOLD), asserts(GOLD), {"certificate_policies": ("1.2.3.2",)}, False),
        (asserts(ANY), asserts(TIN), {"certificate_policies": ("1.2.3.2",)}, True),
        (
            asserts(ANY),
            asserts(TIN),
            {"certificate_policies": ("1.2.3.2",), "inhibit_any_policy": True},
            False,
        ),
    ],
)
def test_certificate_policies_count_if_they_are_asked_for(middle, leaf, asked, good):
    top = root()
    ca = sub_ca(top, **middle)

    judgement = judge(top, user(ca, **leaf), ca, policy=Policy.modern().replace(**asked))

    assert judgement.good is good
    assert codes(judgement) == ({} if good else {"path": "path-invalid"})


def test_names_times_constraints_have_a_limit():
    many = tuple(x509.RFC822Name(f"h{n}.example") for n in range(300))
    names = tuple(x509.RFC822Name(f"a{n}@h1.example") for n in range(300))
    top = root(permitted=many)
    leaf = user(top, names=(x509.RFC822Name(ADDRESS), *names))

    started = time.process_time()
    assert codes(judge(top, leaf))["path"] == "name-constraints"
    assert time.process_time() - started < 1


def test_a_constrained_self_issued_ca_may_roll_over_its_key():
    top = root(permitted=(INSIDE,))
    rolled = make("Chess Club CA", top, ca=True, usage=SIGNS_CERTIFICATES)

    assert judge(top, user(rolled), rolled).good
