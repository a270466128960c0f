"""The page of algorithms says what the code does, and names only what confirms it."""

from __future__ import annotations

import re

import pytest

from smime import Policy
from smime.cms import algorithms as alg
from smime.policy import DIGESTS, WEAK
from tests.cms.signers import KEYS, signing_key
from tests.docs.blocks import ROOT
from tests.support.peers import listed

PAGE = (ROOT / "docs/reference/algorithms.md").read_text(encoding="utf-8")
OWN = "own vectors only"


def rows(section: str) -> dict[str, tuple[str, str, str]]:
    """Name of each row -> write, read, verified against."""
    part = PAGE.split(f"\n## {section}\n")[1].split("\n## ")[0]
    found = {}
    for line in part.splitlines():
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        name = re.match(r"`([^`]+)`", cells[0])
        if len(cells) == 5 and name:
            found[name[1]] = (cells[2], cells[3], cells[4])
    return found


def test_signatures() -> None:
    table = rows("Signatures")
    policies = (Policy.modern(), Policy.modern().replace(signature="rsa-pss"))
    written = [
        {signature_kind(signing_key(kind).way(policy).after) for kind in KEYS}
        for policy in policies
    ]

    assert set(table) == {kind for kind, _ in alg.SIGNATURES.values()}
    for kind, (write, read, _) in table.items():
        default, by_policy = (kind in one for one in written)
        assert write == ("yes" if default else "by policy" if by_policy else "-"), kind
        assert read == (f"`{kind}`" if kind in alg.WEAK_SIGNATURES else "yes"), kind


def signature_kind(algorithm: bytes) -> str:
    from smime.cms.der import top
    from smime.cms.schemes import read

    return read(algorithm, top(algorithm)).kind


def test_digests() -> None:
    table = rows("Digests")
    written = {*DIGESTS, *(signing_key(kind).digest for kind in KEYS)}

    assert set(table) == set(alg.DIGESTS)
    for name, (write, read, _) in table.items():
        assert write == ("yes" if name in written else "-"), name
        assert read == (f"`{name}`" if name in alg.WEAK_DIGESTS else "yes"), name


def test_weak_names_are_a_policys() -> None:
    for section in ("Signatures", "Digests"):
        for _, read, _ in rows(section).values():
            assert read == "yes" or read.strip("`") in WEAK


@pytest.mark.parametrize("section", ["Signatures", "Digests", "What is signed beside the content"])
def test_what_confirms_it_is_there(section: str) -> None:
    """A peer of the list, other projects' vectors, or the plain word that there is nothing."""
    for name, (_, _, confirmed) in rows(section).items():
        told = set(confirmed.split(", "))
        assert told == {OWN} or told <= {*listed(), "vectors"}, name


def test_vectors_that_confirm_are_claimed() -> None:
    """What the page says of vectors is what their runner demands."""
    from tests.vectors.foreign_algorithms import CLAIMED

    spelled = {
        "rsa": "rsassa_pkcs1v15",
        "ec": "sha512_ecdsa",
        "dsa": "sha1_dsa",
        "ml-dsa-44": "2.16.840.1.101.3.4.3.17",
        "ml-dsa-65": "2.16.840.1.101.3.4.3.18",
        "ml-dsa-87": "2.16.840.1.101.3.4.3.19",
    }
    named = {
        name
        for section in ("Signatures", "Digests")
        for name, (_, _, confirmed) in rows(section).items()
        if "vectors" in confirmed.split(", ")
    }

    assert {spelled.get(name, name) for name in named} <= CLAIMED
