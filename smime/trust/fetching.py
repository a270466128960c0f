"""What certificates name by URL, got by the fetcher that the caller handed in.

Issuers (AIA), CRLs (distribution points) and OCSP answers are bytes like any
other evidence: they are kept for a while by URL and judged anew each time. Of a
message only so much is fetched, and for so long. CRLs and answers are asked for
only along a path that leads to an anchor already.

Floor:  trust (uses protocols' fetcher, crl, ocsp, facts, loading)
Source: RFC 5280 §4.2.1.13, §4.2.2.1; RFC 6960 Appendix A.1
"""

from __future__ import annotations

import threading
import time
from base64 import b64encode
from typing import TYPE_CHECKING, Any

from cryptography import x509
from cryptography.hazmat.primitives.hashes import SHA1
from cryptography.x509 import ocsp
from cryptography.x509.oid import AuthorityInformationAccessOID

from smime.errors import KeyProblem, SmimeError
from smime.report import Note
from smime.trust.builder import MAX_DEPTH
from smime.trust.crl import RevocationList
from smime.trust.facts import UNREADABLE
from smime.trust.loading import parse_certificates

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Mapping, Sequence
    from datetime import datetime

    from smime.protocols import FetchBudget, Fetcher
    from smime.trust.facts import Cache, Facts

__all__ = ["Fetching", "Run"]

MAX_URLS = 2  # of a certificate, for one thing; more are spares
MAX_CERTIFICATES_OCTETS = 64 * 1024
MAX_ANSWER_OCTETS = 100_000
MAX_LIST_OCTETS = 50 * 1024 * 1024  # the fetcher's own limit is lower unless it was raised
MAX_KEPT = 256  # things that were fetched
KEEP_SECONDS = 3600.0  # then a thing that is still current is asked for anew
RETRY_SECONDS = 60.0  # before that nothing is asked for twice: not what failed, nor what is old


class Fetching:
    """A fetcher, and what it got, by URL; shared between threads."""

    def __init__(self, fetcher: Fetcher) -> None:
        self.fetcher = fetcher
        self._lock = threading.Lock()
        self._kept: dict[str, tuple[float, Any]] = {}
        self._numbers: dict[str, int] = {}

    def known(self, url: str, fits: Callable[[Any], bool]) -> tuple[bool, Any]:
        """Return whether it need not be asked for, and what was got: a value, or why not."""
        with self._lock:
            got_at, value = self._kept.get(url, (0.0, None))
        if value is None:
            return False, None
        age = time.monotonic() - got_at
        good = not isinstance(value, str) and fits(value)
        return age < (KEEP_SECONDS if good else RETRY_SECONDS), value

    def keep(self, url: str, value: Any) -> None:
        with self._lock:
            self._kept.pop(url, None)
            while len(self._kept) >= MAX_KEPT:
                del self._kept[next(iter(self._kept))]
            self._kept[url] = (time.monotonic(), value)

    def went_back(self, url: str, crl: RevocationList) -> str:
        """Say that a place which gave a newer CRL before gives an older one now."""
        if crl.number is None:
            return ""
        with self._lock:
            before = self._numbers.get(url, crl.number)
            if url in self._numbers or len(self._numbers) < MAX_KEPT:
                self._numbers[url] = max(before, crl.number)
        if crl.number >= before:
            return ""
        return f"{url} gave the CRL with number {before} before, and gives {crl.number} now"


class Run:
    """The fetches for one claim, and what is to be said of them."""

    def __init__(self, fetching: Fetching, cache: Cache, budget: FetchBudget) -> None:
        self._fetching = fetching
        self._cache = cache
        self._budget = budget
        self.notes: list[Note] = []

    def issuers(
        self, leaf: Facts, pools: Sequence[Mapping[object, Sequence[Facts]]]
    ) -> dict[object, list[Facts]]:
        """Climb from a certificate up, and fetch what is missing on the way, by subject.

        A parent counts only if its key made the child's signature, so nobody is
        sent further than one step by what he made up.
        """
        found: dict[object, list[Facts]] = {}
        child = leaf
        for _ in range(MAX_DEPTH):
            parents = [one for pool in (*pools, found) for one in pool.get(child.issuer, ())]
            above = self._parent(child, parents)
            if above is None:
                above = self._parent(child, self._fetched_parents(child))
                if above is None:
                    break
                found.setdefault(above.subject, []).append(above)
            if above.self_issued:
                break
            child = above
        return found

    def _parent(self, child: Facts, candidates: Iterable[Facts]) -> Facts | None:
        for one in candidates:
            if one.subject == child.issuer and self._cache.signed_by(child, one):
                return one
        return None

    def _fetched_parents(self, child: Facts) -> list[Facts]:
        urls = _access_urls(child, AuthorityInformationAccessOID.CA_ISSUERS)
        for url in urls:
            got = self._get(url, MAX_CERTIFICATES_OCTETS, _certificates, lambda _: True)
            if got:
                return [self._cache.facts(one) for one in got]
        return []

    def answers(self, one: Facts, issuer: Facts, at: datetime) -> list[ocsp.OCSPResponse]:
        """Ask the responders that a certificate names (RFC 6960 Appendix A.1)."""

        def fits(answer: ocsp.OCSPResponse) -> bool:
            return all(
                single.next_update_utc is not None
                and single.this_update_utc <= at <= single.next_update_utc
                for single in answer.responses
            )

        for url in _access_urls(one, AuthorityInformationAccessOID.OCSP):
            # SHA-1 names the issuer here and protects nothing; not every responder has another.
            named = SHA1()  # noqa: S303
            builder = ocsp.OCSPRequestBuilder()
            try:
                asked = builder.add_certificate(one.certificate, issuer.certificate, named).build()
            except UNREADABLE:
                return []
            text = b64encode(asked.public_bytes(_der())).decode()
            escaped = text.replace("+", "%2B").replace("/", "%2F").replace("=", "%3D")
            where = f"{url.rstrip('/')}/{escaped}"
            got = self._get(where, MAX_ANSWER_OCTETS, _answer, fits, shown=url)
            if got is not None:
                return [got]
        return []

    def lists(self, one: Facts, at: datetime) -> list[RevocationList]:
        """Get the CRLs that a certificate names."""
        for url in _list_urls(one):
            got = self._get(url, MAX_LIST_OCTETS, RevocationList, lambda crl: crl.is_current(at))
            if got is not None:
                back = self._fetching.went_back(url, got)
                if back:
                    self.notes.append(Note("crl-number-back", back))
                return [got]
        return []

    def _get(
        self,
        url: str,
        limit: int,
        read: Callable[[bytes], Any],
        fits: Callable[[Any], bool],
        shown: str = "",
    ) -> Any:
        """Return what the URL names, or None; what failed is noted."""
        fresh, value = self._fetching.known(url, fits)
        if not fresh:
            if not self._budget.take():
                self._say("no more was fetched for this mail: the limits are reached")
                return None
            try:
                value = read(self._fetching.fetcher.get(url, limit_octets=limit))
            except (OSError, SmimeError, *UNREADABLE) as problem:
                value = f"{shown or url} could not be fetched: {problem}"
            self._fetching.keep(url, value)
        if isinstance(value, str):
            self._say(value)
            return None
        return value

    def _say(self, text: str) -> None:
        note = Note("fetch-failed", text)
        if note not in self.notes:
            self.notes.append(note)


def _der() -> Any:
    from cryptography.hazmat.primitives.serialization import Encoding

    return Encoding.DER


def _certificates(data: bytes) -> list[x509.Certificate]:
    found = parse_certificates(data)
    if not found:
        raise KeyProblem("there is no certificate in it")
    return found[:MAX_DEPTH]


def _answer(data: bytes) -> ocsp.OCSPResponse:
    answer = ocsp.load_der_ocsp_response(data)
    if answer.response_status is not ocsp.OCSPResponseStatus.SUCCESSFUL:
        raise KeyProblem(f"the responder says {answer.response_status.name}")
    return answer


def _access_urls(one: Facts, method: x509.ObjectIdentifier) -> list[str]:
    access = one.information_access
    return _web(found.access_location for found in access or () if found.access_method == method)


def _list_urls(one: Facts) -> list[str]:
    return _web(name for point in one.distribution_points or () for name in point.full_name or ())


def _web(names: Iterable[x509.GeneralName]) -> list[str]:
    """Return the first few URLs of the web; those of directories are left alone."""
    found = [
        name.value
        for name in names
        if isinstance(name, x509.UniformResourceIdentifier)
        and name.value.lower().startswith(("http://", "https://"))
    ]
    return list(dict.fromkeys(found))[:MAX_URLS]
