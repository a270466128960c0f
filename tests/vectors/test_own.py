"""The project's own vectors: each is good, opens, or is refused on the floor it names alone."""

from __future__ import annotations

import hashlib
import subprocess
import sys
import tomllib
from dataclasses import dataclass, field
from datetime import datetime
from functools import cache
from pathlib import Path

import pytest

import smime
from smime.formats.smime import recognise
from smime.mime.entity import split_entity
from smime.report import Finding, Outcome, Report

HOME = Path(__file__).resolve().parents[2] / "vectors"
FOLDER = HOME / "smime"
FLOORS = ("mime", "cms", "digest", "key", "trust")
POLICIES = {"": smime.Policy.modern(), "legacy": smime.Policy.legacy_read()}
KEYS_OF_MAIL = {"good", "opens", *FLOORS}


@dataclass(frozen=True)
class Vector:
    """A mail on disk, and what must come of it."""

    name: str
    mail: bytes = field(repr=False)
    expect: str
    at: datetime
    policy: str = ""
    signer: str = ""
    content: str = ""
    damage: str = ""

    def __str__(self) -> str:
        return self.name


def load_vectors() -> list[Vector]:
    found = []
    for told in sorted(FOLDER.glob("*/*.toml")):
        table = tomllib.loads(told.read_text("utf-8"))
        known = {one: table[one] for one in ("policy", "signer", "content", "damage") if one in table}
        found.append(
            Vector(
                name=f"{told.parent.name}/{told.stem}",
                mail=told.with_suffix(".eml").read_bytes(),
                expect=table["expect"],
                at=table["at"],
                **known,
            )
        )
    return found


VECTORS = load_vectors()


@cache
def anchors() -> smime.Anchors:
    return smime.Anchors.load(FOLDER / "root.pem")


@cache
def bobs() -> tuple[smime.Identity, ...]:
    return tuple(smime.Identity.load(one) for one in sorted(FOLDER.glob("bob-*.pem")))


def floors_of(report: Report, mail: bytes) -> set[str]:
    """Return every floor that refuses, told by the codes of the findings."""
    if report.problem is not None:
        return {_floor_of_problem(report.problem, mail)}
    if not report.layers:
        return {"mime"}  # nothing that is signed or sealed stands around the mail
    covering = [
        layer for layer in report.layers if layer.kind == "signed" and layer.covers == "content"
    ]
    if not covering:
        if any(layer.covers == "sealed form" for layer in report.layers):
            return {"trust"}  # a signature, but not of whoever wrote the mail
        return set() if report.encrypted else {"cms"}  # certificates, and nobody signed
    checks = [check for layer in covering for check in layer.signatures]
    if not checks:
        return {"cms"}  # signed by nobody
    found = {_floor_of_intact(check.intact) for check in checks if not check.intact.accepted}
    found |= {"key" for check in checks if check.genuine.code not in ("ok", "not-checked")}
    others = [
        finding
        for check in checks
        for finding in (check.path, check.revocation, check.usage, check.time)
    ]
    # One signer must be the sender; the others need not.
    if not any(check.address.accepted for check in checks):
        others += [check.address for check in checks]
    if any(not finding.accepted and finding.code != "not-reached" for finding in others):
        found.add("trust")
    return found


def damages_of(report: Report) -> list[str]:
    notes = [note for check in report.signatures for note in check.notes]
    return [note.code for note in notes if note.code.startswith("damage-")]


def _floor_of_intact(finding: Finding) -> str:
    return "cms" if finding.code.startswith("attributes-") else "digest"


def _floor_of_problem(problem: Finding, mail: bytes) -> str:
    """Tell who stopped: mime and cms have one code, and are told apart by what mime can do."""
    if problem.code in _FLOOR_OF_PROBLEM:
        return _FLOOR_OF_PROBLEM[problem.code]
    assert problem.code == "malformed"
    try:
        wrapped = recognise(split_entity(mail))
    except smime.MalformedMail:
        return "mime"
    return "mime" if wrapped is None or wrapped.problem is not None else "cms"


_FLOOR_OF_PROBLEM = {
    "not-opened": "key",
    "not-supported": "cms",
    "limit-exceeded": "mime",  # nested deeper than any mail
}


@pytest.mark.parametrize("vector", VECTORS, ids=str)
def test_own_vector_comes_out_as_stated(vector):
    """Each vector is good, or opens, or is refused on the floor it names and no other."""
    given = {
        "trust": anchors(),
        "keys": bobs(),
        "at": vector.at,
        "policy": POLICIES[vector.policy],
    }
    report = smime.examine(vector.mail, **given)

    if vector.expect == "opens":
        opened = smime.decrypt(vector.mail, **given)
        assert hashlib.sha256(opened.content).hexdigest() == vector.content
        assert opened.signer is None
        assert report.outcome is Outcome.UNSIGNED
    elif vector.expect == "good":
        opened = smime.verify(vector.mail, **given)
        assert hashlib.sha256(opened.content).hexdigest() == vector.content
        assert (opened.signer, report.signer) == (vector.signer, vector.signer)
        assert report.outcome is Outcome.GOOD, report
    else:
        assert floors_of(report, vector.mail) == {vector.expect}, report
        # An accident is named where there was one, and never where a forger was at work.
        assert damages_of(report) == ([vector.damage] if vector.damage else [])
        assert report.signer is None
        assert report.outcome not in (Outcome.GOOD, Outcome.GOOD_THEN)
        with pytest.raises(smime.SmimeError):
            smime.verify(vector.mail, **given)


@pytest.mark.parametrize(
    "vector", [one for one in VECTORS if one.expect in ("mime", "cms", "key")], ids=str
)
def test_what_is_refused_below_trust_is_never_decrypted(vector):
    """No content comes out of ``decrypt`` where the mail, the CMS or the key is wrong."""
    with pytest.raises(smime.SmimeError):
        smime.decrypt(
            vector.mail,
            trust=anchors(),
            keys=bobs(),
            at=vector.at,
            policy=POLICIES[vector.policy],
        )


def test_vectors_are_many_half_refused_and_name_every_floor(record_property):
    """At least 80, half of them refused, every floor named."""
    record_property("vectors", f"own: {len(VECTORS)} of {len(list(FOLDER.glob('*/*.eml')))}")
    refused = [one for one in VECTORS if one.expect in FLOORS]

    assert len(VECTORS) >= 80
    assert len(refused) * 2 >= len(VECTORS)
    assert {one.expect for one in VECTORS} == KEYS_OF_MAIL


def test_every_vector_says_what_it_is():
    """Each .toml has the same fields, and each mail its .toml."""
    for told in sorted(FOLDER.glob("*/*.toml")):
        table = tomllib.loads(told.read_text("utf-8"))
        assert {"about", "rule", "source", "at", "expect", "openssl"} <= set(table), told
        assert table["openssl"] in ("accepts", "refuses"), told
        assert table["at"].tzinfo is not None, told
    assert {one.stem for one in FOLDER.glob("*/*.eml")} == {
        one.stem for one in FOLDER.glob("*/*.toml")
    }


def test_vectors_made_anew_are_the_same_bytes(tmp_path):
    """The maker gives exactly what is kept: nothing in a vector was drawn or typed by hand."""
    subprocess.run(
        [sys.executable, HOME / "make", tmp_path, "--keep-answers"], check=True, timeout=60
    )
    kept = {one.relative_to(FOLDER): one.read_bytes() for one in FOLDER.rglob("*") if one.is_file()}
    made = {
        one.relative_to(tmp_path): one.read_bytes() for one in tmp_path.rglob("*") if one.is_file()
    }

    assert made.keys() == kept.keys()
    assert [str(name) for name in made if made[name] != kept[name]] == []
