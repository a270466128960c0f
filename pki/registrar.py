"""Authority and ledger together: what is signed is recorded before it leaves.

The one place where both meet. ``pki.folder`` says what lies where.

Floor:  registrar (uses folder, ledger, crl, authority)
"""

from __future__ import annotations

import contextlib
import os
from dataclasses import replace
from typing import TYPE_CHECKING, Self

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa
from cryptography.x509.oid import NameOID

import smime
from pki import crl, keys, revocation
from pki.audit import checkpoint, log_key_detail
from pki.authority import Authority, halves, identity_of, moment, new_serial
from pki.errors import NoAuthority, RequestRefused
from pki.facts import CrlRecord, Issue, Record, public_key_hash
from pki.folder import LOG_KEY, Records, read_key, refuse_existing, write_folder, write_new
from pki.names import MAX_NAME, checked_name
from pki.ocsp import Responder
from pki.orders import Known, Order, Outcome
from pki.profiles import Profile
from pki.requests import CertificationRequest
from pki.signing import Signing

if TYPE_CHECKING:
    from collections.abc import Iterable, Iterator
    from datetime import datetime, timedelta
    from os import PathLike

    from pki.ledger import Ledger, Writing

__all__ = ["Order", "Outcome", "Registrar"]

GROUP = 200
"""Certificates that are recorded by one commit: a tenth of a second is lost by a crash."""

_ISSUING_SUFFIX = " (issuing)"  # the two names differ, else the issuing CA looks self-issued


class Registrar:
    """A CA in a folder that remembers what it gave out; a context manager.

    Every certificate is in the ledger, on the disk, before it is given back. The
    passphrase may be text, bytes, or a function that asks for it. Two processes
    may have the same CA open.
    """

    __slots__ = ("_authority", "_issuer", "_scoped", "_signing", "ledger", "records")

    def __init__(self, authority: Authority, records: Records, ledger: Ledger) -> None:
        self._authority: Authority | None = authority
        self._scoped: dict[str, Authority] = {}
        self._signing = Signing(authority.private_key)
        self.records = records
        self.ledger = ledger
        with ledger.writing() as log:
            self._issuer = log.issuer(authority.certificate, at=moment(None))

    @classmethod
    def create(
        cls,
        folder: PathLike[str] | str,
        *,
        name: str,
        passphrase: smime.Passphrase,
        rsa: bool = False,
        crl_url: str = "",
        ca_url: str = "",
        delta_url: str = "",
        domains: Iterable[str] = (),
        ledger_url: str = "",
        shards: int = 1,
        at: datetime | None = None,
    ) -> Self:
        """Make a CA in a new or empty folder: a root, and below it a CA for mail users.

        Their keys are P-384 and P-256, with ``rsa`` both RSA-4096, each encrypted
        under ``passphrase``. The URLs are written into every certificate and cannot be
        mended in those given out; ``{shard}`` and ``{profile}`` in ``crl_url`` and
        ``delta_url`` spread the certificates over several CRLs. With ``domains`` the
        CA certifies addresses there and nothing else (``Authority.subordinate``). The
        ledger is a file in the folder, or the PostgreSQL database that ``ledger_url`` names.

        Raises ``AuthorityExists``, ``RequestRefused`` for a name, URL or domain that
        cannot be, ``LedgerProblem``, ``OSError``. On failure nothing is left behind.
        """
        place = os.fspath(folder)
        refuse_existing(place)
        if not name or len(checked_name(name)) > MAX_NAME - len(_ISSUING_SUFFIX):
            raise RequestRefused(
                f"the name of a CA has 1 to {MAX_NAME - len(_ISSUING_SUFFIX)} characters"
            )
        secret = keys.passphrase_octets(passphrase)
        root = Authority.create(name, algorithm="rsa4096" if rsa else "p384", at=at)
        below = root.subordinate(
            name + _ISSUING_SUFFIX,
            algorithm="rsa4096" if rsa else "p256",
            at=at,
            domains=domains,
        )
        records = Records(
            place,
            name,
            crl_url,
            ca_url,
            root.certificate,
            below.certificate,
            ledger_url,
            delta_url,
            shards,
        )
        records.check()
        log_key = keys.generate("p256")
        when = moment(None)

        def first(ledger: Ledger) -> None:
            with ledger.writing() as log:
                log.issuer(below.certificate, at=when)
                log.note("log-key", log_key_detail(log_key), at=when)

        ledger = write_folder(
            records,
            {
                "root.key.pem": keys.seal(root.private_key, secret),
                "issuing.key.pem": keys.seal(below.private_key, secret),
                LOG_KEY: keys.seal(log_key, secret),
            },
            first,
        )
        return cls(Authority(below.private_key, below.certificate, (root.root,)), records, ledger)

    @classmethod
    def load(cls, folder: PathLike[str] | str, *, passphrase: smime.Passphrase) -> Self:
        """Open a CA's folder and its issuing key; the root's key is not needed.

        A folder of the first version gets its ledger and the key of its log.
        Raises ``NoAuthority``, ``WrongPassphrase``, ``LedgerProblem``, ``OSError``.
        """
        records = Records.load(folder)
        secret = keys.passphrase_octets(passphrase)
        key = read_key(records, "issuing.key.pem", secret)
        if key.public_key() != records.issuing.public_key():
            raise NoAuthority(f"issuing.pem and its key in {records.folder} do not belong together")
        ledger = records.ledger()
        try:
            if not os.path.exists(os.path.join(records.folder, "private", LOG_KEY)):
                _make_log_key(records, ledger, secret)
            return cls(Authority(key, records.issuing, (records.root,)), records, ledger)
        except BaseException:
            ledger.close()
            raise

    # --- certificates -------------------------------------------------------

    def issue(
        self,
        *addresses: str,
        name: str = "",
        profile: str | Profile = "mailbox",
        algorithm: str = "rsa3072",
        at: datetime | None = None,
        lifetime_days: int | None = None,
        pair: bool | None = None,
        **subject: str,
    ) -> smime.Identity:
        """Make a key, certify it for these addresses, record the certificate.

        As ``Authority.issue``, but RSA-3072 unless told otherwise: every mail program
        reads it. The key is kept by nobody but the caller.
        """
        chosen = profile if isinstance(profile, Profile) else Profile.named(profile)
        if lifetime_days is not None:
            chosen = chosen.lasting(lifetime_days)
        if not addresses:
            raise RequestRefused("no mail address to certify", hint="issue('alice@example.org')")
        made, issues, when = [], [], moment(at)
        for half, kind in halves(chosen, algorithm, pair):
            key = keys.generate(kind)
            request = CertificationRequest(key.public_key(), addresses, name, **subject)
            issue = self._sign(Order(request, half), when, _name_of(profile, half))
            issues.append(issue)
            made.append((key, issue.certificate))
        self._record(issues, moment(None))
        return identity_of(made, self.chain)

    def certify(
        self,
        request: CertificationRequest,
        *,
        profile: str | Profile = "mailbox",
        at: datetime | None = None,
        label: str | None = None,
        renews: int | None = None,
    ) -> x509.Certificate:
        """Certify the key of a request under its authorised names, record the certificate.

        Raises ``RequestRefused``, also for a key that somebody else has a certificate
        for, or that was revoked because it was compromised.
        """
        (outcome,) = self.certify_many([Order(request, profile, label, renews)], at=at)
        if outcome.refused is not None:
            raise outcome.refused
        assert outcome.certificate is not None
        return outcome.certificate

    def enrol(
        self,
        csr: bytes,
        *addresses: str,
        name: str = "",
        profile: str | Profile = "mailbox",
        at: datetime | None = None,
    ) -> x509.Certificate:
        """Certify the key of a CSR, DER or PEM, under names that its holder was found to have.

        The names in the request are not read. Raises ``RequestRefused``.
        """
        request = CertificationRequest.parse(csr).authorise(*addresses, name=name)
        return self.certify(request, profile=profile, at=at)

    def certify_many(
        self, orders: Iterable[Order], *, at: datetime | None = None, group: int = GROUP
    ) -> Iterator[Outcome]:
        """Certify one after another, recorded in groups; what is refused does not stop the rest.

        An outcome comes when its group is on the disk. An order whose label is in
        the ledger gives the certificate made for it: so a run that was cut off is
        started again from its beginning.
        """
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
        hashes = [public_key_hash(order.request.public_key) for order in orders]
        with self.ledger.reading() as connection:
            known = Known(connection, labels, hashes)
        outcomes: list[Outcome] = []
        issues: dict[int, Issue] = {}
        for place, (order, key_hash) in enumerate(zip(orders, hashes, strict=True)):
            outcome = known.outcome(order, key_hash)
            if outcome is None:
                try:
                    profile = order.profile
                    chosen = profile if isinstance(profile, Profile) else Profile.named(profile)
                    signed = replace(order, profile=chosen)
                    issue = issues[place] = self._sign(signed, when, _name_of(profile))
                    outcome = Outcome(order, issue.certificate)
                    known.add(order, key_hash, issue.certificate)
                except smime.SmimeError as refused:
                    outcome = Outcome(order, None, refused)
            outcomes.append(outcome)
        if issues:
            with self.ledger.writing() as log:
                if log.number != known.number:
                    # Others wrote while this group was signed: look again, now that they wait.
                    latest = Known(log.connection, labels, hashes)
                    for place in list(issues):
                        outcome = latest.outcome(orders[place], hashes[place])
                        if outcome is not None:
                            outcomes[place] = outcome
                            del issues[place]
                log.record(list(issues.values()), self._issuer, at=moment(None))
        return outcomes

    def renew(
        self, serial: int, *, at: datetime | None = None, lifetime_days: int = 365
    ) -> x509.Certificate:
        """Certify the same key and names again, from ``at`` (now) on.

        Raises ``RequestRefused`` for a certificate that is revoked or not here.
        """
        before = self._renewable(serial)
        certificate = before.certificate
        key = certificate.public_key()
        request = CertificationRequest(keys.check(key), before.addresses, _name_in(before))
        profile = _profile_named(before.profile).lasting(lifetime_days)
        issue = self._sign(Order(request, profile, renews=serial), moment(at), before.profile)
        self._record([issue], moment(None))
        return issue.certificate

    def rekey(
        self,
        serial: int,
        *,
        algorithm: str = "",
        at: datetime | None = None,
        lifetime_days: int = 365,
    ) -> smime.Identity:
        """Make a new key for the same names, of the same kind unless told otherwise.

        The old certificate stays as it is: mail sealed with it must be readable still.
        Raises ``RequestRefused`` for a certificate that is not here.
        """
        before = self._renewable(serial, revoked=True)
        profile = _profile_named(before.profile).lasting(lifetime_days)
        key = keys.generate(algorithm or _algorithm_of(before.certificate))
        request = CertificationRequest(key.public_key(), before.addresses, _name_in(before))
        issue = self._sign(Order(request, profile, renews=serial), moment(at), before.profile)
        self._record([issue], moment(None))
        return smime.Identity(key, issue.certificate, self.chain)

    def due(self, now: datetime, until: datetime) -> list[int]:
        """Name the serials of valid users' certificates that end before ``until``.

        What is revoked or renewed already is left out, and what machines make anew.
        """
        return [
            record.serial
            for record in self._pages(ending_after=now, ending_before=until, due=True)
            if record.profile != "ocsp-responder"
        ]

    def current(self, now: datetime) -> Iterator[int]:
        """Name the serials of all certificates that have not ended, revoked ones too."""
        return (record.serial for record in self._pages(ending_after=now))

    def _pages(
        self,
        *,
        ending_after: datetime,
        ending_before: datetime | None = None,
        due: bool = False,
    ) -> Iterator[Record]:
        after = 0
        while page := self.ledger.page(
            after=after,
            limit=1_000,
            ending_after=ending_after,
            ending_before=ending_before,
            due=due,
        ):
            yield from page
            after = page[-1].number

    def _renewable(self, serial: int, *, revoked: bool = False) -> Record:
        before = self.find(serial)
        if before.revocation is not None and not revoked:
            raise RequestRefused(
                f"the certificate {serial:x} is revoked: {before.revocation.reason}",
                hint="a new key is needed: Registrar.rekey(), or `smimetool ca issue`",
            )
        return before

    def find(self, serial: int) -> Record:
        """Give what the ledger has of one certificate. Raises ``RequestRefused``."""
        found = self.ledger.find(serial=serial)
        if not found:
            raise RequestRefused(
                f"no certificate with the serial number {serial:x} was given out here",
                hint="`smimetool ca list` shows those that were",
            )
        return found[0]

    # --- revocation ---------------------------------------------------------

    def revoke(
        self, *serials: int, reason: str = "unspecified", at: datetime | None = None
    ) -> None:
        """Revoke certificates as of ``at`` (now), all or none of them.

        ``reason`` is one of RFC 5280 §5.3.1: ``unspecified keyCompromise cACompromise
        affiliationChanged superseded cessationOfOperation certificateHold
        privilegeWithdrawn aACompromise``; only ``certificateHold`` can be undone.

        Readers learn of it from the next ``crl``. Raises ``RequestRefused``.
        """
        revocation.revoke(self.ledger, serials, reason=reason, at=at)

    def release(self, *serials: int, at: datetime | None = None) -> None:
        """Let certificates count again that were on hold. Raises ``RequestRefused``."""
        revocation.release(self.ledger, serials, at=at)

    def crl(
        self,
        scope: str = "",
        *,
        delta: bool = False,
        at: datetime | None = None,
        lifetime: timedelta = crl.LIFETIME,
    ) -> bytes:
        """Sign a new revocation list, as DER, and record it.

        ``scope`` is one of ``scopes()``. A delta holds what changed since the last full
        list of its scope. Numbers grow, also after the ledger was put back from a copy.

        Raises ``RequestRefused`` for a scope that is none, or a delta without a full list.
        """
        when = moment(at)
        if scope and scope not in self.scopes():
            raise RequestRefused(f"no certificates belong to the list {scope!r}")
        with self.ledger.writing() as log:
            return self._crl(log, scope, delta, when, when + lifetime)

    def _crl(self, log: Writing, scope: str, delta: bool, when: datetime, until: datetime) -> bytes:
        base = log.last_crl(self._issuer, scope) if delta else None
        if delta and base is None:
            raise RequestRefused(
                "a delta needs a full list first", hint="`smimetool ca crl` makes one"
            )
        # The second it was made: higher than any before it, though the ledger forgot some.
        number = max(log.last_crl_number(self._issuer) + 1, int(when.timestamp()))
        form = crl.Form(
            number,
            when,
            until,
            base=None if base is None else base.number,
            point=self.records.url(self.records.crl_url, scope) if scope else "",
            freshest=""
            if delta or not self.records.delta_url
            else self.records.url(self.records.delta_url, scope),
        )
        entries = log.revoked_entries(
            self._issuer, scope or None, None if base is None else base.covers
        )
        covers = log.number
        made = crl.build(self._signing, self._open.certificate, entries, form)
        log.crl(
            self._issuer,
            scope,
            CrlRecord(number, form.base, when, until, covers),
            made,
        )
        return made

    def crl_due(self, scope: str = "", *, at: datetime | None = None) -> bool:
        """Tell whether a new full list is called for.

        That is so if there is none, if something changed since, or if less than
        half of its time is left.
        """
        when = moment(at)
        with self.ledger.writing() as log:
            last = log.last_crl(self._issuer, scope)
            changed = log.last_change(self._issuer, scope or None)
        if last is None or changed > last.covers:
            return True
        return when >= last.this_update + (last.next_update - last.this_update) / 2

    def scopes(self) -> tuple[str, ...]:
        """Name the lists that this CA's certificates point to; one without a name covers all."""
        return self.records.scopes(self.ledger)

    def responder(self, *, at: datetime | None = None) -> Responder:
        """Make a key and a certificate that answer OCSP requests for this CA, for 30 days.

        The key stays in memory; the certificate is recorded like all others.
        """
        when = moment(at)
        key = keys.generate("p256")
        request = CertificationRequest(key.public_key(), name=f"{self.records.name} OCSP")
        profile = Profile.named("ocsp-responder")
        issue = self._sign(Order(request, profile), when, "ocsp-responder")
        self._record([issue], moment(None))
        return Responder(key, issue.certificate, self._open.certificate, self.ledger.statuses)

    # --- the rest -----------------------------------------------------------

    @property
    def anchors(self) -> smime.Anchors:
        """The root, to be trusted: ``smime.verify(mail, trust=ca.anchors)``."""
        return self._open.anchors

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What goes along with each certificate: the issuing CA's."""
        return self._open.chain

    @property
    def authority(self) -> Authority:
        """The issuing CA itself; what it signs alone is not recorded."""
        return self._open

    @property
    def _open(self) -> Authority:
        if self._authority is None:
            raise ValueError("the Registrar is closed")
        return self._authority

    def _sign(self, order: Order, at: datetime, profile_name: str) -> Issue:
        assert isinstance(order.profile, Profile)
        serial = new_serial()
        scope = self.records.scope(serial, profile_name)
        certificate = self._for_scope(scope).certify(
            order.request, profile=order.profile, serial=serial, at=at
        )
        return Issue(certificate, profile_name, scope, order.label, order.renews)

    def _for_scope(self, scope: str) -> Authority:
        """Give the same CA, which writes the URL of that scope's list into certificates."""
        own = self._open
        found = self._scoped.get(scope)
        if found is None:
            found = Authority(
                own.private_key,
                own.certificate,
                (*own.chain[1:], own.root),
                crl_url=self.records.url(self.records.crl_url, scope),
                ca_url=self.records.ca_url,
            )
            self._scoped[scope] = found
        return found

    def _record(self, issues: list[Issue], at: datetime) -> None:
        if issues:
            with self.ledger.writing() as log:
                log.record(issues, self._issuer, at=at)

    def close(self) -> None:
        """Let go of the key and the ledger. Closing twice does no harm."""
        self._authority = None
        self._scoped.clear()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._authority is None else "open"
        return f"<Registrar {self.records.name} in {self.records.folder}, {state}>"


def sign_checkpoint(
    records: Records, ledger: Ledger, passphrase: smime.Passphrase, *, at: datetime | None = None
) -> bytes:
    """Sign how far the ledger has come, with the log's own key (``pki.audit.checkpoint``).

    Raises ``WrongPassphrase``, ``NoAuthority``, ``OSError``.
    """
    secret = keys.passphrase_octets(passphrase)
    if not os.path.exists(os.path.join(records.folder, "private", LOG_KEY)):
        read_key(records, "issuing.key.pem", secret)  # the same passphrase for all keys
        _make_log_key(records, ledger, secret)
    return checkpoint(ledger, read_key(records, LOG_KEY, secret), at=moment(at))


def _make_log_key(records: Records, ledger: Ledger, secret: bytes) -> None:
    key = keys.generate("p256")
    with ledger.writing() as log:
        log.note("log-key", log_key_detail(key), at=moment(None))
    path = os.path.join(records.folder, "private", LOG_KEY)
    with contextlib.suppress(FileExistsError):  # another process was first; its key counts too
        write_new(path, keys.seal(key, secret), mode=0o600)


def _name_of(profile: str | Profile, half: Profile | None = None) -> str:
    """Name a profile for the ledger; the halves of a pair have names of their own."""
    if not isinstance(profile, str):
        return "own"
    whole = Profile.named(profile)
    if half is not None and whole.reads and not half.reads:
        return "signing" if profile == "mailbox" else f"{profile}-signing"
    if half is not None and half.key_usage != whole.key_usage:
        return "encryption" if profile == "mailbox" else f"{profile}-encryption"
    return profile


def _profile_named(name: str) -> Profile:
    """Give the profile that the ledger names, for a certificate that is made again.

    Raises ``RequestRefused`` for one that was made with a profile of its own.
    """
    for ending, half in (("-signing", "signing"), ("-encryption", "reading")):
        if name.endswith(ending):
            whole: Profile = getattr(Profile.named(name.removesuffix(ending)), half)
            return whole
    if name == "own":
        raise RequestRefused(
            "this certificate was made with a profile that the ledger does not know",
            hint="issue a new one with that profile",
        )
    return Profile.named(name)


def _name_in(record: Record) -> str:
    """Give the person's name from a certificate, empty if its subject is an address."""
    names = record.certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    name = str(names[0].value) if names else ""
    return "" if name in record.addresses else name


def _algorithm_of(certificate: x509.Certificate) -> str:
    key = certificate.public_key()
    if isinstance(key, rsa.RSAPublicKey):
        return f"rsa{max(2048, min(key.key_size, 4096) // 1024 * 1024)}"
    return keys.key_name(key)
