"""Candidate paths: from a certificate up to an anchor, along verified signatures.

A parent counts only if its name is the child's issuer and its key made the
child's signature. What came with a message was chosen by its sender, so every
step is counted, and a budget ends the search.

Floor:  trust (uses facts)
Source: RFC 4158 in spirit; RFC 5280 §6.1 for what a path is
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from smime.trust.chain import Chain

if TYPE_CHECKING:
    from collections.abc import Iterable, Mapping, Sequence
    from typing import TypeAlias

    from smime.trust.facts import Cache, Facts

    _Index: TypeAlias = Mapping[object, Sequence[Facts]]

__all__ = ["Search", "index_by_subject"]

# What an honest message needs, ten times over; certificates that cross-sign
# each other would otherwise keep a server busy for hours.
MAX_SIGNATURE_CHECKS = 100
MAX_PATHS = 32
MAX_DEPTH = 8  # certificates in a path, leaf and anchor included
MAX_KEPT_CERTIFICATES = 20  # of those that came with the message


class Search:
    """Every path from a certificate to an anchor, leaf first and anchor last, within the budget.

    ``anchors`` and each of ``pools`` map a normalised subject to certificates;
    anchors end a path, those of a pool stand in the middle. Whatever the
    budget cuts off is no path: the search never errs towards yes.
    """

    def __init__(self, leaf: Facts, anchors: _Index, pools: Sequence[_Index], cache: Cache) -> None:
        self.paths: list[Chain] = []
        self.exact = True
        """In every step issuer and subject were equal byte for byte."""
        self.exhausted = False
        """The budget ended before the search did."""
        self._anchors = anchors
        self._pools = pools
        self._cache = cache
        self._checks_left = MAX_SIGNATURE_CHECKS
        self._climb((leaf,), {_identity(leaf)})

    def _climb(self, path: tuple[Facts, ...], used: set[tuple[object, bytes]]) -> None:
        child = path[-1]
        for parent, is_anchor in self._parents(child):
            if len(path) >= MAX_DEPTH or len(self.paths) >= MAX_PATHS or self._checks_left <= 0:
                self.exhausted = True
                return
            identity = _identity(parent)
            # The same name and key again lead nowhere that was not reached before.
            if identity in used:
                continue
            # Counted whether or not the answer is cached: what a message is worth
            # must not depend on the messages before it.
            self._checks_left -= 1
            how = self._cache.signed_by(child, parent)
            if not how:
                continue
            self.exact = self.exact and how == "exact"
            if is_anchor:
                self.paths.append(Chain((*path, parent)))
            else:
                self._climb((*path, parent), {*used, identity})

    def _parents(self, child: Facts) -> list[tuple[Facts, bool]]:
        """Return who may have signed the child: anchors first, likely ones before others."""
        if not child.issuer:
            return []  # nobody: an issuer has a name (RFC 5280 §4.1.2.4)
        wanted = child.issuer_key_identifier
        ends = self._anchors.get(child.issuer, ())
        found = [(one, True) for one in ends]
        seen = {one.digest for one in ends}
        for pool in self._pools:
            for one in pool.get(child.issuer, ()):
                if one.digest not in seen:
                    seen.add(one.digest)
                    found.append((one, False))
        if wanted is not None and len(found) > 1:
            # A key identifier is a hint, never a reason to refuse (RFC 5280 §4.2.1.1).
            found.sort(key=lambda pair: (not pair[1], pair[0].key_identifier != wanted))
        return found


def index_by_subject(certificates: Iterable[Facts]) -> dict[object, list[Facts]]:
    """Group certificates that can be read by their normalised subject, without repeats."""
    groups: dict[object, list[Facts]] = {}
    seen = set()
    for one in certificates:
        if one.digest not in seen and not one.problem:
            seen.add(one.digest)
            groups.setdefault(one.subject, []).append(one)
    return groups


def _identity(one: Facts) -> tuple[object, bytes]:
    return one.subject, one.key_der
