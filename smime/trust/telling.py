"""A judgement told as a tree: the path from the anchor down, and what each question got.

Floor:  trust (uses protocols, facts)
Source: RFC 5280 §6.1 for what a path is
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from smime.report import Answer
from smime.trust.facts import Facts

if TYPE_CHECKING:
    from smime.protocols import Judgement

__all__ = ["judgement_dict", "judgement_lines"]

QUESTIONS = ("path", "time", "revocation", "usage", "address")
_SAID = {Answer.YES: "yes, ", Answer.NO: "NO, ", Answer.NOT_CHECKED: ""}


def judgement_lines(judgement: Judgement) -> list[str]:
    """Return the path as a tree, anchor first, and below it the five findings."""
    lines = []
    for depth, certificate in enumerate(reversed(judgement.chain)):
        facts = Facts(certificate)
        names = ", ".join(facts.addresses)
        named = f"{facts.label} <{names}>" if names and names != facts.label else facts.label
        dates = f", valid {facts.dates}" if facts.validity else ""
        lines.append(f"{'   ' * (depth - 1)}`- {named}{dates}" if depth else f"{named}{dates}")
    for name in QUESTIONS:
        finding = getattr(judgement, name)
        lines.append(f"{name}: {_SAID[finding.answer]}{finding.reason} ({finding.source})")
    lines += [f"note: {note.text}" for note in judgement.notes]
    return lines


def judgement_dict(judgement: Judgement) -> dict[str, Any]:
    """Return the same as plain values for JSON."""
    return {
        "good": judgement.good,
        "chain": [
            {
                "name": facts.label,
                "addresses": list(facts.addresses),
                "fingerprint": facts.digest.hex(),
                "valid": [one.isoformat() for one in facts.validity or ()],
            }
            for facts in map(Facts, reversed(judgement.chain))
        ],
        **{name: getattr(judgement, name).to_dict() for name in QUESTIONS},
        "notes": [{"code": note.code, "text": note.text} for note in judgement.notes],
    }
