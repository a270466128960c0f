"""The roots that were given: they alone may vouch for others, never silently the system's.

An ``Anchors`` object is long-lived and shared between threads. It keeps facts
about certificates between calls; every verdict is made anew.

Floor:  trust
Source: RFC 5280 §6; RFC 8550 §4
"""

from __future__ import annotations

import warnings
from typing import TYPE_CHECKING, Any

from cryptography import x509

from smime.errors import KeyProblem
from smime.policy import Revocation
from smime.protocols import Judgement
from smime.report import Finding, all_accepted, printable
from smime.trust.builder import (
    MAX_DEPTH,
    MAX_KEPT_CERTIFICATES,
    MAX_SIGNATURE_CHECKS,
    Search,
    index_by_subject,
)
from smime.trust.chain import STRONG_DIGESTS, Chain
from smime.trust.constraints import constraint_problem
from smime.trust.facts import UNREADABLE, Cache, Facts
from smime.trust.fast import is_surely_valid
from smime.trust.judge import (
    Looked,
    judge_address,
    judge_time,
    judge_usage,
    revocation_not_asked,
    whole_seconds,
)
from smime.trust.loading import load_certificates, parse_certificates

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator, Sequence
    from datetime import datetime
    from os import PathLike
    from typing import Self

    from smime.policy import Policy
    from smime.protocols import Claim
    from smime.report import Note
    from smime.trust.fetching import Run

__all__ = ["Anchors"]

# Paths whose CRLs are looked at for one claim; a large CRL takes a second each.
MAX_REVOCATION_RUNS = 4
MAX_SEARCHES = 1000  # of which the result is kept; each is some references
_RULE = "RFC 5280 §6.1"


class Anchors:
    """Root certificates that may vouch for others; long-lived, share it between threads.

    An anchor is trusted as it stands: its own signature means nothing, but
    what it says of itself is kept to (validity, path length, name
    constraints, key usage; RFC 5937). An anchor need not be self-signed. A
    signer's certificate that is itself an anchor is a chain of one: its dates,
    use and address are still judged.

    Raises ``KeyProblem`` if there is no certificate, or one that cannot be read.
    """

    def __init__(self, certificates: Iterable[x509.Certificate]) -> None:
        given = tuple(certificates)
        for one in given:
            if not isinstance(one, x509.Certificate):
                raise TypeError(
                    f"Anchors takes x509.Certificate objects, not {type(one).__name__}: "
                    "use Anchors.load(path) or Anchors.parse(data)"
                )
        if not given:
            raise KeyProblem(
                "no anchors: nobody could be trusted",
                hint="give the certificate of the CA that you trust",
            )
        self._cache = Cache()
        facts = [Facts(one, self._cache.name) for one in given]
        self._all = tuple({one.digest: one for one in facts}.values())
        for known in self._all:
            if known.problem:
                raise KeyProblem(f"{known.label} cannot be an anchor: {known.problem}")
        self._by_subject = index_by_subject(self._all)
        self._searches: dict[tuple[Facts, ...], tuple[Search, list[dict[object, list[Facts]]]]] = {}
        self._digests = {one.digest for one in self._all}
        self.signers: dict[Any, Any] | None = {} if type(self) is Anchors else None
        """Signers met before, as ``smime.swift`` keeps them: keys and paths, no verdicts.

        None where ``judge`` may be another."""
        self._last_issued: dict[bytes, datetime] = {}
        """Until when an anchor may have issued a signer's certificate, by its digest."""

    @classmethod
    def load(cls, *paths: PathLike[str] | str) -> Self:
        """Read anchors from files (PEM, DER, PKCS#7) and folders of such files.

        Folders are not searched deeper. Files in them that hold no certificate
        are passed over, unless their name says that they do. Raises
        ``KeyProblem`` if no certificate is found, ``OSError`` as the file
        system does.
        """
        return cls(load_certificates(paths))

    @classmethod
    def parse(cls, data: bytes) -> Self:
        """Read anchors from PEM, DER or PKCS#7; raises ``KeyProblem`` if there are none."""
        return cls(parse_certificates(data))

    @classmethod
    def system_email(cls) -> Self:
        """Return the roots that this system trusts for e-mail, through p11-kit.

        Never its roots for web servers: where nothing tells the two apart, and
        where p11-kit is not there, it raises ``KeyProblem`` with what to install. A
        root that is trusted only for certificates issued until some day
        (``nss-email-distrust-after``) is an anchor for those alone.
        """
        from smime.trust.system import email_roots

        found = []
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # of serial numbers that some old roots have
            for root in email_roots():
                try:
                    one = x509.load_der_x509_certificate(root.der)
                    if not Facts(one).problem:
                        found.append((one, root.distrust_after))
                except UNREADABLE:
                    continue  # nobody could be judged by it
        made = cls([one for one, _ in found])
        made._last_issued = {Facts(one).digest: last for one, last in found if last is not None}
        return made

    @property
    def certificates(self) -> tuple[x509.Certificate, ...]:
        """The anchors, each once."""
        return tuple(one.certificate for one in self._all)

    def judge(self, claim: Claim) -> Judgement:
        """Say whether the key of the claim may speak for its sender at its moment.

        Never raises for a certificate that is bad, whatever is in it. Raises
        ``ValueError`` if ``claim.at`` has no time zone.
        """
        best: Judgement | None = None
        for now, settled in self._judgements(claim):
            if settled:
                return now
            if best is None or _worth(now) > _worth(best):
                best = now
        assert best is not None
        return best

    def judge_each(self, claim: Claim) -> tuple[Judgement, ...]:
        """Judge every path that leads to an anchor, or say why there is none.

        One of them is what ``judge`` answers; the others say what was refused.
        """
        return tuple(now for now, _ in self._judgements(claim))

    def _judgements(self, claim: Claim) -> Iterator[tuple[Judgement, bool]]:
        """Judge path after path; with each comes whether it settles the question."""
        at = whole_seconds(claim.at)
        if claim.policy.weak_until is not None:
            from dataclasses import replace

            claim = replace(claim, policy=claim.policy.as_of(claim.at))
        leaf = self._cache.facts(claim.certificate)
        address = judge_address(claim, leaf)
        if leaf.unusable:
            yield _no_path(claim, leaf, at, address, _malformed(leaf)), True
            return
        search, others = self._search(claim, leaf)
        run = self._run(claim)
        if run is not None and not search.paths and leaf.digest not in self._digests:
            fetched = run.issuers(leaf, others)
            if fetched:
                others = [*others, fetched]
                search = Search(leaf, self._by_subject, others, self._cache)
        paths = list(search.paths)
        if leaf.digest in self._digests:
            # Last, so that a CRL of its issuer is heard first.
            paths.append(Chain((leaf,)))
        if not paths:
            notes = _told(run, ())
            yield _no_path(claim, leaf, at, address, self._no_anchor(leaf, search), notes), True
            return
        runs_left = MAX_REVOCATION_RUNS
        for path in paths:
            surely = (
                len(paths) == 1
                and search.exact
                and not claim.policy.asks_for_policies
                and is_surely_valid(path, at)
            )
            found = self._path_finding(path, at, surely, claim.policy)
            time = judge_time(path, at)
            usage = judge_usage(path, claim)
            revoked = False
            notes = ()
            if found.accepted and time.accepted:
                if runs_left == 0:
                    return
                looked = self._revocation(claim, path, at, others, run)
                runs_left -= looked.ran
                revocation, revoked, notes = looked.finding, looked.revoked, looked.notes
            else:
                revocation = revocation_not_asked(
                    claim.policy, "revocation was not checked: the chain is not good anyway"
                )
            now = Judgement(
                path=found,
                revocation=revocation,
                usage=usage,
                address=address,
                time=time,
                chain=path.certificates,
                chain_der=path.ders,
                notes=_told(run, notes),
            )
            good = all_accepted((found, time, usage, revocation))
            # A certificate that its issuer revoked is that on every path.
            yield now, good or revoked

    def parse_certificate(self, der: bytes) -> x509.Certificate | None:
        """Return a certificate, parsed now or before; None where a strict parser refuses it.

        Whoever asks here before it makes a ``Claim`` saves parsing it twice.
        """
        return self._cache.certificate(der)

    def sole_chain(
        self, certificate: x509.Certificate, sent: Sequence[x509.Certificate]
    ) -> Chain | None:
        """Return the one path that was found of this certificate and those sent with it, if any.

        What it is worth, ``surely`` and ``judge`` say.
        """
        leaf = self._cache.facts(certificate)
        others = [self._cache.facts(one) for one in sent if one is not certificate]
        known = self._searches.get((leaf, *others))
        if known is None or leaf.digest in self._digests or self._last_issued:
            return None
        search = known[0]
        return search.paths[0] if search.exact and len(search.paths) == 1 else None

    @staticmethod
    def surely(chain: Chain, sender: str, at: datetime, policy: Policy, digest: str) -> bool:
        """Say yes if ``judge`` would find all good, no for "ask it"; never more than that.

        ``chain`` is of ``sole_chain``, of a signer who sent no CRL or OCSP answer and of
        whom no evidence is at hand. What it is worth is asked anew each time, as ever.
        """
        bits = chain.mail_rsa_bits
        return (
            bits is not None
            and policy.rsa_bits_min <= bits[0]
            and bits[1] <= policy.rsa_bits_max
            and digest in STRONG_DIGESTS
            and sender in chain[0].naming
            and policy.revocation is not Revocation.REQUIRE
            and policy.weak_until is None
            and not policy.asks_for_policies
            and is_surely_valid(chain, whole_seconds(at))
        )

    def _search(self, claim: Claim, leaf: Facts) -> tuple[Search, list[dict[object, list[Facts]]]]:
        """Return the paths of a leaf, and by subject what else may stand in one.

        Paths are made of facts alone: verified signatures and equal names. What was
        found of the same certificates before is found again.
        """
        sent = [
            self._cache.facts(one)
            for one in claim.certificates[: MAX_KEPT_CERTIFICATES + 1]
            if one is not claim.certificate
        ]
        evidence = claim.evidence
        if evidence is not None and evidence.certificates:
            others = self._others(claim, leaf, sent)
            return Search(leaf, self._by_subject, others, self._cache), others
        key = (leaf, *sent)
        known = self._searches.get(key)
        if known is None:
            others = self._others(claim, leaf, sent)
            known = Search(leaf, self._by_subject, others, self._cache), others
            if known[0].paths:  # of junk nothing is kept
                if len(self._searches) >= MAX_SEARCHES:
                    self._searches.clear()
                self._searches[key] = known
        return known

    def _others(
        self, claim: Claim, leaf: Facts, sent: list[Facts]
    ) -> list[dict[object, list[Facts]]]:
        """Return what may stand in the middle of a path, by subject."""
        kept = [one for one in sent if one.digest != leaf.digest][:MAX_KEPT_CERTIFICATES]
        pools = [index_by_subject(kept)]
        if claim.evidence is not None:
            pools.append(claim.evidence.by_subject())
        # An anchor in the middle may lead to another one.
        if len(self._all) > 1:
            pools.append(self._by_subject)
        return pools

    def _path_finding(self, path: Chain, at: datetime, surely: bool, policy: Policy) -> Finding:
        anchor = path[-1]
        if len(path) == 1:
            return Finding.yes(f"{anchor.label} is itself an anchor", _RULE)
        last = self._last_issued.get(anchor.digest)
        if last is not None and (path[0].validity is None or path[0].validity[0] > last):
            return Finding.no(
                "anchor-distrusted",
                f"the system trusts {anchor.label} only for certificates issued until "
                f"{last:%Y-%m-%d}",
                _RULE,
            )
        if surely:
            return path.leads
        for one in path:
            if one.unusable:
                return Finding.no(
                    "path-invalid",
                    f"the certificate of {one.label} cannot be used: {one.unusable}",
                    "RFC 5280 §4.2",
                )
        if not anchor.may_certify:
            return Finding.no(
                "path-invalid", f"{anchor.label} may not certify others", "RFC 5280 §4.2.1.9"
            )
        problem = constraint_problem(path)
        if problem:
            return Finding.no("name-constraints", problem, "RFC 5280 §4.2.1.10")
        from smime.trust.path import validate

        in_time = all(
            one.validity is not None and one.validity[0] <= at <= one.validity[1] for one in path
        )
        # Dates are the finding "time"; if they fail, this one is about the rest.
        result = validate(path, at=at, dates=in_time, policy=policy)
        if result.kind == "ok":
            return path.leads
        reason = f"the chain to {anchor.label} is not valid: {result.reason}"
        if result.kind == "names":
            return Finding.no("name-constraints", reason, "RFC 5280 §4.2.1.10")
        return Finding.no("path-invalid", reason, _RULE)

    def _revocation(
        self,
        claim: Claim,
        path: Sequence[Facts],
        at: datetime,
        pools: Sequence[dict[object, list[Facts]]],
        run: Run | None,
    ) -> Looked:
        policy = claim.policy
        if len(path) == 1:
            why = "revocation was not checked: the certificate is itself an anchor"
            return Looked(revocation_not_asked(policy, why))
        evidence = claim.evidence
        at_hand = bool(
            claim.crls or claim.ocsp or (evidence is not None and (evidence.crls or evidence.ocsp))
        )
        required = policy.revocation is Revocation.REQUIRE
        if policy.revocation is Revocation.OFF or not (at_hand or required or run):
            why = "revocation was not checked: no CRL or OCSP answer is at hand"
            return Looked(revocation_not_asked(policy, why))
        from smime.trust.crl import Numbers
        from smime.trust.ocsp import read_answers
        from smime.trust.revocation import judge_revocation, read_lists

        lists = [read_lists(claim.crls), evidence.lists if evidence is not None else {}]
        answers = [
            *read_answers(claim.ocsp),
            *(evidence.answers if evidence is not None else ()),
        ]

        def look() -> Looked:
            return judge_revocation(
                path,
                at=at,
                lists=lists,
                answers=answers,
                others=[one for pool in pools for group in pool.values() for one in group],
                policy=policy,
                cache=self._cache,
                numbers=evidence.numbers if evidence is not None else Numbers(),
                proof=claim.proof,
            )

        looked = look()
        if run is not None and looked.unknown:
            # What is at hand was asked first: a fetch takes a thousand times as long, and tells.
            for place in looked.unknown:
                answers += run.answers(path[place], path[place + 1], at)
            looked = look()
        if run is not None and looked.unknown:
            for place in looked.unknown:
                lists += [{crl.issuer: [crl]} for crl in run.lists(path[place], at)]
            looked = look()
        return looked

    def _run(self, claim: Claim) -> Run | None:
        """Return what fetches for this claim; None without a fetcher."""
        fetching = None if claim.evidence is None else claim.evidence.fetching
        if fetching is None:
            return None
        from smime.trust.fetching import Run

        return Run(fetching, self._cache, claim.fetches)

    def _no_anchor(self, leaf: Facts, search: Search) -> Finding:
        if search.exhausted:
            return Finding.no(
                "search-limit",
                "no chain to an anchor was found within the limits of the search "
                f"({MAX_SIGNATURE_CHECKS} signatures, {MAX_DEPTH} certificates in a chain)",
                _RULE,
            )
        names = ", ".join(one.label for one in self._all[:3])
        if len(self._all) > 3:
            names += f" or {len(self._all) - 3} more"
        if leaf.self_issued:
            reason = f"{leaf.label} vouches for itself only; it is not certified by {names}"
        else:
            reason = f"no chain leads from the certificate of {leaf.label} to {names}"
        return Finding.no("no-anchor", reason, _RULE)

    def __repr__(self) -> str:
        names = ", ".join(printable(one.label) for one in self._all[:5])
        more = f" and {len(self._all) - 5} more" if len(self._all) > 5 else ""
        return f"<Anchors: {names}{more}>"

    def __reduce__(self) -> tuple[Any, ...]:
        return _rebuild, (type(self), tuple(one.der for one in self._all), self._last_issued)


def _rebuild(
    cls: type[Anchors], ders: tuple[bytes, ...], last_issued: dict[bytes, datetime]
) -> Anchors:
    made = cls([x509.load_der_x509_certificate(der) for der in ders])
    made._last_issued = last_issued
    return made


def _worth(judgement: Judgement) -> tuple[bool, int]:
    findings = (judgement.path, judgement.revocation, judgement.usage, judgement.time)
    return judgement.path.accepted, sum(one.accepted for one in findings)


def _malformed(leaf: Facts) -> Finding:
    reason = f"the certificate of {leaf.label} cannot be used: {leaf.unusable}"
    return Finding.no("certificate-malformed", reason, "RFC 5280 §4.2")


def _told(run: Run | None, notes: tuple[Note, ...]) -> tuple[Note, ...]:
    """Return the notes, and those of what was fetched."""
    return notes if run is None else (*notes, *run.notes)


def _no_path(
    claim: Claim,
    leaf: Facts,
    at: datetime,
    address: Finding,
    path: Finding,
    notes: tuple[Note, ...] = (),
) -> Judgement:
    return Judgement(
        path=path,
        notes=notes,
        revocation=revocation_not_asked(
            claim.policy, "revocation was not checked: there is no chain to an anchor"
        ),
        usage=judge_usage((leaf,), claim),
        address=address,
        time=judge_time((leaf,), at),
    )
