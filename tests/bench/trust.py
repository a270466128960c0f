"""How long a verdict takes: python -m tests.bench.trust

CPU time of one process. Nothing is cached before the call that is measured, but where the row
says so. ``make bench`` writes the rows into docs/reference/performance.md between its own.
"""

from __future__ import annotations

import statistics
import time
from collections.abc import Callable
from typing import Any

from cryptography import x509

from smime.policy import Policy, Revocation
from smime.trust import Anchors, Evidence
from smime.trust.crl import RevocationList
from smime.trust.facts import Facts
from tests.trust.ca import ADDRESS, Entity, claim, root, sub_ca, user
from tests.trust.test_revocation import ALICE, MIDDLE, TOP, large_crl

HEADING = "## Whom to believe"
OWN = (x509.RFC822Name("example.org"),)
REQUIRE = Policy.modern().replace(revocation=Revocation.REQUIRE)
MANY = 1000
ODD = 20


def human(taken: float) -> str:
    """Return microseconds or milliseconds."""
    if taken < 1e-5:
        return f"{taken * 1e6:.1f} µs"
    return f"{taken * 1e6:.0f} µs" if taken < 1e-3 else f"{taken * 1e3:.1f} ms"


def seconds(work: Callable[[], Any], turns: int = 25) -> float:
    """Return the median CPU time of a call."""
    taken = []
    for _ in range(turns):
        begun = time.process_time()
        work()
        taken.append(time.process_time() - begun)
    return statistics.median(taken)


def judged(top: Entity, leaf: Entity, *middle: Entity, **given: Any) -> Callable[[], Any]:
    """Return a judgement with anchors that know nothing yet; checked to be good."""

    def work() -> Any:
        return Anchors([top.certificate]).judge(claim(leaf, *middle, **given))

    assert work().good
    return work


def verdicts() -> list[list[str]]:
    """Chains of three, P-256: by the own check, and by the engine."""
    top = root("Bench Root")
    middle = sub_ca(top, "Bench CA")
    leaf = user(middle)
    fresh = judged(top, leaf, middle)
    kept = Anchors([top.certificate])

    def again() -> Any:
        return kept.judge(claim(leaf, middle))

    evidence = Evidence(crls=[top.crl(), middle.crl()])
    listed = judged(top, leaf, middle, evidence=evidence, policy=REQUIRE)
    limited = sub_ca(top, "Bench CA", permitted=OWN)
    below = user(limited)
    engine = judged(top, below, limited)
    engine()  # its imports
    return [
        ["ordinary chain", human(seconds(fresh)), ""],
        ["the same, its certificates met before", human(seconds(again)), ""],
        ["ordinary chain with CRLs", human(seconds(listed)), ""],
        ["a chain for the engine (name constraints)", human(seconds(engine)), "6 ms"],
    ]


def lists() -> list[list[str]]:
    """Large CRLs: read, signature checked, first question; then questions."""
    rows = []
    for words, count, goal in (("100,000", 100_000, "150 ms"), ("a million", 1_000_000, "")):
        crl_der = large_crl(count, ALICE)
        kept: list[RevocationList] = []

        def load(crl_der: bytes = crl_der, kept: list[RevocationList] = kept) -> None:
            found = RevocationList(crl_der)
            assert found.signed_by(Facts(MIDDLE.certificate))
            assert found.entry(ALICE.certificate.serial_number) is not None
            kept[:] = [found]

        rows.append([f"CRL of {words}, until the first answer", human(seconds(load, 3)), goal])
        found = kept[0]
        asked = [x509.random_serial_number() for _ in range(MANY)]

        def ask(found: RevocationList = found, asked: list[int] = asked) -> None:
            for one in asked:
                found.entry(one)

        each = seconds(ask) / MANY
        rows.append([f"a question to it ({words})", human(each), "10 µs"])
    evidence = Evidence(crls=[TOP.crl(), large_crl(100_000)])
    anchors = Anchors([TOP.certificate])
    asked_of = claim(ALICE, MIDDLE, evidence=evidence, policy=REQUIRE)
    assert anchors.judge(asked_of).good
    taken = seconds(lambda: anchors.judge(asked_of))
    return [*rows, ["a verdict with a CRL of 100,000", human(taken), ""]]


def hostile() -> list[list[str]]:
    """What is made to keep a server busy; none of it is good, and none takes a second."""
    same = [root("Same Name", identifiers=False) for _ in range(ODD)]
    ring = [
        sub_ca(same[number - 1], "Same Name", key=same[number].key, identifiers=False)
        for number in range(ODD)
    ]
    leaf = user(ring[0])
    names = [x509.RFC822Name(f"a{n}@b{n}.example") for n in range(1500)]
    trees = [x509.RFC822Name(f".c{n}.example") for n in range(1500)]
    top = root("Busy Root", excluded=tuple(trees))
    wide = user(top, names=(x509.RFC822Name(ADDRESS), *names))
    policies = [
        x509.PolicyInformation(x509.ObjectIdentifier(f"1.2.3.{n}"), None) for n in range(200)
    ]
    mapped = [(x509.CertificatePolicies(policies), False)]
    deep = [root("Deep Root")]
    for number in range(6):
        deep.append(sub_ca(deep[-1], f"Deep {number}", extensions=tuple(mapped)))
    last = user(deep[-1], extensions=tuple(mapped))
    other = root("Other Root")
    explicit = Policy.modern().replace(explicit_policy=True)
    work: dict[str, Callable[[], Any]] = {
        f"{ODD} CAs of one name that sign each other": lambda: _ask(other, leaf, *ring, *same),
        "1,500 names under 1,500 constraints": lambda: _ask(top, wide),
        "200 policies in each of 8 certificates": lambda: _ask(
            deep[0], last, *deep[1:], policy=explicit
        ),
    }
    return [[name, human(seconds(one, 3)), "1 s"] for name, one in work.items()]


def _ask(top: Entity, leaf: Entity, *middle: Entity, **given: Any) -> Any:
    return Anchors([top.certificate]).judge(claim(leaf, *middle, **given))


def section() -> str:
    """Measure, and give the section of the page."""
    from tests.bench.run import table

    return f"""{HEADING}

P-256, chains of three; CPU time, and what it may cost at most.

{table(["", "CPU", "at most"], [*verdicts(), *lists(), *hostile()])}
"""


def main() -> None:
    """Write the section anew, in its place on the page."""
    from tests.bench.run import put

    begun = time.monotonic()
    text = section()
    put(HEADING, text)
    print(text)
    print(f"{time.monotonic() - begun:.0f} s")


if __name__ == "__main__":
    main()
