"""Certificates signed and recorded: none leaves before it is in the ledger, on the disk.

Floor:  issuance (uses folder, ledger, orders, authority)
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import smime
from pki import archive, keys
from pki.authority import Authority, halves, identity_of, moment, new_serial
from pki.errors import RequestRefused
from pki.escrow import may_be_kept
from pki.facts import Issue
from pki.orders import Known, Order, Outcome
from pki.profiles import Profile
from pki.requests import CertificationRequest

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator, Sequence
    from datetime import datetime
    from typing import TypeAlias

    from cryptography import x509

    from pki.folder import Records
    from pki.ledger import Ledger, Writing

    Pair: TypeAlias = tuple[keys.AnyKey, x509.Certificate]
    Stage: TypeAlias = Callable[[smime.Identity], object]

__all__ = ["GROUP", "Issuance"]

GROUP = 200
"""Certificates that are recorded by one commit: a tenth of a second is lost by a crash."""


class Issuance:
    """The issuing CA with its folder and its ledger."""

    __slots__ = ("_authority", "_profiles", "_scoped", "issuer", "ledger", "records")

    def __init__(self, authority: Authority, records: Records, ledger: Ledger) -> None:
        self._authority: Authority | None = authority
        self._scoped: dict[str, Authority] = {}
        self._profiles: dict[str, Profile] = {}
        self.records = records
        self.ledger = ledger
        with ledger.writing() as log:
            self.issuer = log.issuer(authority.certificate, at=moment(None))
            """The number by which the ledger knows this CA."""

    @property
    def authority(self) -> Authority:
        """The issuing CA; ``ValueError`` once it is closed."""
        if self._authority is None:
            raise ValueError("the Registrar is closed")
        return self._authority

    @property
    def _home(self) -> str:
        return os.path.join(self.records.folder, self.records.ledger_of)

    @property
    def closed(self) -> bool:
        """The key was let go of."""
        return self._authority is None

    def close(self) -> None:
        """Let go of the key."""
        self._authority = None
        self._scoped.clear()

    def profile(self, given: str | Profile) -> Profile:
        """Give the profile that is meant: one of the CA's own, a shipped one, or half of one.

        Raises ``ProfileProblem``, and ``RequestRefused`` for one that only its caller had.
        """
        if isinstance(given, Profile):
            return given
        found = self._profiles.get(given)
        if found is None:
            found = self._profiles[given] = self._named(given)
        return found

    def _named(self, name: str) -> Profile:
        if name == "own":
            raise RequestRefused(
                "this certificate was made with a profile that the ledger does not know",
                hint="issue a new one with that profile",
            )
        whole, _, ending = name.rpartition("-")
        if whole and ending in ("signing", "encryption"):
            halved = self.profile(whole)
            return halved.signing if ending == "signing" else halved.reading
        return self.records.profile(name)

    def profile_name(self, profile: str | Profile, half: Profile | None = None) -> str:
        """Name a profile for the ledger; the halves of a pair have names of their own."""
        if not isinstance(profile, str):
            return "own"
        whole = self.profile(profile)
        if half is not None and whole.reads and not half.reads:
            return "signing" if profile == "mailbox" else f"{profile}-signing"
        if half is not None and half.key_usage != whole.key_usage:
            return "encryption" if profile == "mailbox" else f"{profile}-encryption"
        return profile

    def sign(
        self, order: Order, at: datetime, profile_name: str, profile: Profile | None = None
    ) -> Issue:
        """Sign what is ordered under a profile that is looked up; it is not recorded yet."""
        chosen = order.profile if profile is None else profile
        assert isinstance(chosen, Profile)
        if self.records.ledger_of and profile_name != "ocsp-responder":
            raise RequestRefused(
                "this CA has a successor, and signs nothing but what tells of revocation",
                hint=f"issue from {os.path.normpath(self._home)}",
            )
        serial = new_serial()
        scope = self.records.scope(serial, profile_name)
        certificate = self._for_scope(scope).certify(
            order.request, profile=chosen, serial=serial, at=at
        )
        return Issue(certificate, profile_name, scope, order.label, order.renews)

    def record(self, issues: Sequence[Issue], kept: Sequence[Pair] = ()) -> None:
        """Record certificates that were signed, and keys to keep, all in one commit."""
        if issues:
            self.ledger.write(lambda log: self._write(log, issues, kept))

    def _write(self, log: Writing, issues: Sequence[Issue], kept: Sequence[Pair]) -> None:
        log.record(issues, self.issuer, at=moment(None))
        if kept:
            archive.keep(log, kept, self._demand_agents(), at=moment(None))

    def to_keep(self, made: Sequence[Pair], keep: bool | None) -> list[Pair]:
        """Choose the keys of which a sealed copy is kept.

        That is, unless told otherwise, all that only read, if there are recovery agents.
        Raises ``RequestRefused`` if told to keep and it cannot be.
        """
        if keep is False or (keep is None and archive.agents(self.ledger) is None):
            return []
        found = [pair for pair in made if may_be_kept(pair[1])]
        if keep:
            self._demand_agents()
            if not found:
                raise RequestRefused(
                    "a key that signs too is never kept", hint="two keys are needed: --pair"
                )
        return found

    def _demand_agents(self) -> archive.Agents:
        found = archive.agents(self.ledger)
        if found is None:
            raise RequestRefused(
                "there are no recovery agents to keep keys for",
                hint="`smimetool ca escrow agents` names them",
            )
        return found

    def _for_scope(self, scope: str) -> Authority:
        """Give the same CA, which writes the URL of that scope's list into certificates."""
        own = self.authority
        found = self._scoped.get(scope)
        if found is None:
            found = Authority(
                own.private_key,
                own.certificate,
                (*own.chain[1:], own.root),
                crl_url=self.records.url(self.records.crl_url, scope),
                ca_url=self.records.ca_url,
                ocsp_url=self.records.ocsp_url,
            )
            self._scoped[scope] = found
        return found

    # --- on behalf ----------------------------------------------------------

    def make(
        self,
        addresses: Sequence[str],
        name: str,
        *,
        profile: str | Profile,
        algorithm: str,
        at: datetime | None,
        lifetime_days: int | None,
        pair: bool | None,
        keep: bool | None,
        subject: dict[str, str],
        stage: Stage | None = None,
    ) -> smime.Identity:
        """Make the keys of a person, certify and record them (``Registrar.issue``)."""
        chosen = self.profile(profile)
        if lifetime_days is not None:
            chosen = chosen.lasting(lifetime_days)
        if not addresses:
            raise RequestRefused("no mail address to certify", hint="issue('alice@example.org')")
        made: list[Pair] = []
        issues, when = [], moment(at)
        for half, kind in halves(chosen, algorithm, pair):
            key = keys.generate(kind)
            request = CertificationRequest(key.public_key(), addresses, name, **subject)
            issue = self.sign(Order(request, half), when, self.profile_name(profile, half))
            issues.append(issue)
            made.append((key, issue.certificate))
        return self.hand_over(made, issues, keep, stage)

    def hand_over(
        self, made: list[Pair], issues: Sequence[Issue], keep: bool | None, stage: Stage | None
    ) -> smime.Identity:
        """Record what was signed; before that ``stage`` may put it on the disk, or stop it all."""
        identity = identity_of(made, self.authority.chain)
        kept = self.to_keep(made, keep)
        if stage is not None:
            stage(identity)
        self.record(issues, kept)
        return identity

    # --- orders -------------------------------------------------------------

    def certify_many(
        self, orders: Iterable[Order], *, at: datetime | None = None, group: int = GROUP
    ) -> Iterator[Outcome]:
        """Certify one after another, recorded in groups (``Registrar.certify_many``)."""
        batch: list[Order] = []
        for order in orders:
            batch.append(order)
            if len(batch) == group:
                yield from self._certify_group(batch, at)
                batch = []
        if batch:
            yield from self._certify_group(batch, at)

    def _certify_group(self, orders: list[Order], at: datetime | None) -> list[Outcome]:
        when = moment(at)
        labels = [order.label for order in orders if order.label is not None]
        hashes = [order.request.key_id for order in orders]
        known = self.ledger.ask(lambda connection: Known(connection, labels, hashes))
        outcomes: list[Outcome] = []
        issues: dict[int, Issue] = {}
        for place, (order, key_hash) in enumerate(zip(orders, hashes, strict=True)):
            outcome = known.outcome(order, key_hash)
            if outcome is None:
                try:
                    chosen = self.profile(order.profile)
                    if order.lifetime_days is not None:
                        chosen = chosen.lasting(order.lifetime_days)
                    name = self.profile_name(order.profile)
                    issue = issues[place] = self.sign(order, when, name, chosen)
                    outcome = Outcome(order, issue.certificate)
                    known.add(order, key_hash, issue.certificate)
                except smime.SmimeError as refused:
                    outcome = Outcome(order, None, refused)
            outcomes.append(outcome)
        if issues:

            def write(log: Writing) -> None:
                if log.number != known.number:
                    # Others wrote while this group was signed: look again, now that they wait.
                    latest = Known(log.connection, labels, hashes)
                    for place in list(issues):
                        outcome = latest.outcome(orders[place], hashes[place])
                        if outcome is not None:
                            outcomes[place] = outcome
                            del issues[place]
                kept = [
                    (key, issue.certificate)
                    for place, issue in issues.items()
                    if (key := orders[place].kept) is not None
                ]
                self._write(log, list(issues.values()), kept)
                for place, issue in issues.items():
                    _note_stated(log, orders[place].request, issue)

            self.ledger.write(write)
        return outcomes


def _note_stated(log: Writing, request: CertificationRequest, issue: Issue) -> None:
    """Have the log say whose word it was that the key is its holder's (RFC 9883)."""
    if request.stated_by is not None:
        said = {"by": f"{request.stated_by.serial_number:x}"}
        serial = issue.certificate.serial_number
        log.note("stated", said, at=moment(None), serial=serial)
