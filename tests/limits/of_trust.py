"""The limits of smime.trust: what a chain may cost. What they cut off is no path."""

from __future__ import annotations

from datetime import timedelta

import pytest
from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

from smime import Evidence, Policy
from smime.errors import LimitExceeded
from smime.trust import Anchors, builder, chain, constraints, facts
from smime.trust.builder import Search, index_by_subject
from smime.trust.crl import Numbers, RevocationList
from tests.limits.walk import Bench, Passed, Refused, Table, lowered
from tests.trust.ca import ADDRESS, AT, Entity, claim, codes, name_of, new_key, root, sub_ca, user


def judged(top: Entity, leaf: Entity, *others: Entity, **given: object) -> dict[str, str]:
    return codes(Anchors([top.certificate]).judge(claim(leaf, *others, **given)))


def line(length: int) -> list[Entity]:
    """Return a chain of so many certificates, anchor first."""
    made = [root("Anchor")]
    for n in range(length - 2):
        made.append(sub_ca(made[-1], f"CA {n}"))
    return [*made, user(made[-1])]


def depth(limit: int, bench: Bench) -> None:
    for length, good in ((limit, True), (limit + 1, False)):
        top, *middle, leaf = line(length)
        assert (judged(top, leaf, *middle) == {}) is good


def plain_path(limit: int, bench: Bench) -> None:
    """A longer one is for the engine to judge, and as good."""
    for length, plain in ((limit, True), (limit + 1, False)):
        made = line(length)
        cache = facts.Cache()
        read = chain.Chain([cache.facts(one.certificate) for one in reversed(made)])
        assert read.is_plain is plain
        assert judged(made[0], made[-1], *made[1:-1]) == {}


def twins(count: int) -> list[Entity]:
    """Return so many CAs of one name, each with a key of its own."""
    top = root("Elsewhere")
    return [sub_ca(top, "Twin") for _ in range(count)]


def signature_checks(limit: int, bench: Bench) -> None:
    """The right one of many of the same name is found at the last check, and not behind it."""
    top = root()
    middle = sub_ca(top, "Twin")
    leaf = user(middle, identifiers=False)
    for wrong, good in ((limit - 2, True), (limit - 1, False)):
        evidence = evidence_of(*twins(wrong), middle)
        assert (judged(top, leaf, evidence=evidence) == {}) is good


def evidence_of(*some: Entity) -> Evidence:
    return Evidence(certificates=[one.certificate for one in some])


def paths(limit: int, bench: Bench) -> None:
    """Cross-signed by so many anchors: paths are made to the limit, and one is enough."""
    key = new_key()
    tops = [root(f"Anchor {n}") for n in range(limit + 1)]
    crossed = [sub_ca(top, "Crossed", key=key) for top in tops]
    leaf = user(crossed[0], identifiers=False)
    for count in (limit, limit + 1):
        cache = facts.Cache()
        anchors = index_by_subject(cache.facts(one.certificate) for one in tops[:count])
        pool = index_by_subject(cache.facts(one.certificate) for one in crossed[:count])
        search = Search(cache.facts(leaf.certificate), anchors, [pool], cache)
        assert len(search.paths) == limit
        assert search.exhausted is (count > limit)


def kept_certificates(limit: int, bench: Bench) -> None:
    top = root()
    middle = sub_ca(top, "Right")
    leaf = user(middle)
    others = [sub_ca(top, f"Other {n}") for n in range(limit)]
    assert judged(top, leaf, *others[: limit - 1], middle) == {}
    assert judged(top, leaf, *others, middle) == {"path": "no-anchor"}


def revocation_runs(limit: int, bench: Bench) -> None:
    """So many revoked paths are looked at; the good one behind them is not."""
    key, top = new_key(), root()
    # The engine's order is that of the message: the good one stands last.
    for bad, good in ((limit - 1, True), (limit, False)):
        revoked = [sub_ca(top, "Middle", key=key) for _ in range(bad)]
        sound = sub_ca(top, "Middle", key=key)
        leaf = user(sound)
        evidence = Evidence(crls=[top.crl(*revoked), sound.crl()])
        found = judged(top, leaf, *revoked, sound, evidence=evidence, policy=Policy.modern())
        assert (found == {}) is good


def comparisons(limit: int, bench: Bench) -> None:
    many = tuple(x509.RFC822Name(f"h{n}.example") for n in range(100))
    top = root(permitted=(x509.RFC822Name("example.org"), *many[1:]))
    names = tuple(x509.RFC822Name(f"a{n}@example.org") for n in range(100))
    leaf = user(top, names=(x509.RFC822Name(ADDRESS), *names[2:]), subject=name_of("Alice"))
    cache = facts.Cache()
    path = [cache.facts(one.certificate) for one in (leaf, top)]
    count = constraints._comparisons(path)
    assert count >= 99 * 99
    bench.patch.setattr(constraints, "MAX_COMPARISONS", count)
    assert judged(top, leaf) == {}
    bench.patch.setattr(constraints, "MAX_COMPARISONS", count - 1)
    assert judged(top, leaf) == {"path": "name-constraints"}


def cached_facts(limit: int, bench: Bench) -> None:
    assert facts.Cache()._size == limit
    limit = 5
    ders = [user(root(f"R{n}")).certificate for n in range(2 * limit + 3)]
    cache = facts.Cache(limit)
    for certificate in ders:
        read = cache.certificate(certificate.public_bytes(Encoding.DER))
        assert read is not None
        assert cache.facts(read).certificate == certificate
        cache.signed_by(cache.facts(read), cache.facts(read))
        assert len(cache) <= limit
        assert max(len(cache._parsed), len(cache._near)) <= limit


def cached_names(limit: int, bench: Bench) -> None:
    cache = facts.Cache()
    for n in range(2 * limit + 3):
        cache.name(name_of(f"Name {n}").public_bytes())
        assert len(cache._names) <= limit


def searches(limit: int, bench: Bench) -> None:
    top = root()
    anchors = Anchors([top.certificate])
    for _ in range(2 * limit + 3):
        assert anchors.judge(claim(user(top))).good
        assert len(anchors._searches) <= limit


def remembered_numbers(limit: int, bench: Bench) -> None:
    numbers, cache = Numbers(), facts.Cache()
    made = [root(f"CA {n}") for n in range(limit + 5)]
    for one in made:
        crl = RevocationList(one.crl())
        assert numbers.problem(crl, cache.facts(one.certificate)) == ""
        assert len(numbers._seen) <= limit
    # The last is still known: a lower number of a later list is found out.
    older = RevocationList(made[-1].crl(number=3, begin=AT - timedelta(hours=1)))
    assert "went back" in numbers.problem(older, cache.facts(made[-1].certificate))


def roots_file(count: int, bench: Bench) -> None:
    path = bench.folder / "roots.pem"
    path.write_bytes(root().certificate.public_bytes(Encoding.PEM).ljust(count))
    assert len(Anchors.load(path).certificates) == 1


def loose_limit(limit: int, bench: Bench) -> None:
    """It stands for "none" in RFC 5280 §6.1; no path comes near it."""
    assert limit > builder.MAX_DEPTH


def all_crls(limit: int, bench: Bench) -> None:
    """Of all CRLs at hand together."""
    top = root()
    crl = top.crl()
    for octets, good in ((2 * len(crl), True), (2 * len(crl) - 1, False)):
        lowered("smime.trust.evidence.MAX_CRL_OCTETS", octets, bench.patch)
        if good:
            assert judged(top, user(top), evidence=Evidence(crls=[crl, crl])) == {}
        else:
            with pytest.raises(LimitExceeded):
                judged(top, user(top), evidence=Evidence(crls=[crl, crl]))


HOME = "smime.trust."
TABLE: Table = {
    HOME + "anchors.MAX_REVOCATION_RUNS": Passed(revocation_runs, "further paths do not count"),
    HOME + "anchors.MAX_SEARCHES": Passed(searches, "what is kept is dropped", lower=5),
    HOME + "builder.MAX_DEPTH": Passed(depth, "there is no path"),
    HOME + "builder.MAX_KEPT_CERTIFICATES": Passed(kept_certificates, "there is no path"),
    HOME + "builder.MAX_PATHS": Passed(paths, "further paths are not sought"),
    HOME + "builder.MAX_SIGNATURE_CHECKS": Passed(signature_checks, "no path", lower=10),
    HOME + "chain.MAX_PLAIN_PATH": Passed(plain_path, "the engine judges it"),
    HOME + "constraints.MAX_COMPARISONS": Passed(comparisons, "the path is refused"),
    HOME + "crl.MAX_REMEMBERED": Passed(remembered_numbers, "the first is forgotten", lower=5),
    HOME + "evidence.MAX_CRL_OCTETS": Passed(all_crls, "LimitExceeded"),
    HOME + "facts.MAX_CACHED_FACTS": Passed(cached_facts, "the oldest is forgotten"),
    HOME + "facts.MAX_CACHED_NAMES": Passed(cached_names, "what is kept is dropped", lower=5),
    HOME + "loading.MAX_FILE_OCTETS": Refused(roots_file),
    HOME + "path._NO_LIMIT": Passed(loose_limit, "it is none"),
}
