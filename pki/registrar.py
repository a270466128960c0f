"""Authority and ledger together: what is signed is recorded before it leaves.

The one place where both meet, for programs; the parts are ``pki.issuance``,
``pki.renewal`` and ``pki.status``. ``pki.folder`` says what lies where.

Floor:  registrar (uses founding, issuance, renewal, proving, status)
"""

from __future__ import annotations

import contextlib
from typing import TYPE_CHECKING, Self

import smime
from pki import crl, founding, keys, proving, renewal, revocation, status, vouching
from pki.authority import Authority, moment
from pki.errors import NoAuthority
from pki.folder import Records, read_key
from pki.issuance import GROUP, Issuance
from pki.log_key import demand_log_key
from pki.orders import Order, Outcome
from pki.requests import CertificationRequest, check_wishes

if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator
    from datetime import datetime, timedelta
    from os import PathLike

    from cryptography import x509

    from pki.challenge import Challenge
    from pki.facts import Record
    from pki.issuance import Stage
    from pki.ledger import Ledger
    from pki.ocsp import Responder
    from pki.profiles import Profile

__all__ = ["Order", "Outcome", "Registrar"]


class Registrar:
    """A CA in a folder that remembers what it gave out; a context manager.

    Every certificate is in the ledger, on the disk, before it is given back. The
    passphrase may be text, bytes, or a function that asks for it. Two processes
    may have the same CA open, and threads share one: what they issue at once is
    recorded by one commit.
    """

    __slots__ = ("_clean", "_desk", "_lists", "ledger", "records")

    def __init__(self, authority: Authority, records: Records, ledger: Ledger) -> None:
        self._clean = contextlib.ExitStack()  # what has to be closed beside the ledger
        self._desk = Issuance(authority, records, ledger)
        self._lists = status.Lists(self._desk)
        self.records = records
        self.ledger = ledger

    @classmethod
    def create(
        cls,
        folder: PathLike[str] | str,
        *,
        name: str,
        passphrase: smime.Passphrase,
        rsa: bool = False,
        algorithm: str = "",
        root_algorithm: str = "",
        profile: str | Profile = "issuing",
        constrain: bool = False,
        crl_url: str = "",
        ca_url: str = "",
        ocsp_url: str = "",
        delta_url: str = "",
        domains: Iterable[str] = (),
        ledger_url: str = "",
        shards: int = 1,
        at: datetime | None = None,
    ) -> Self:
        """Make a CA in a new or empty folder: a root, and below it a CA for mail users.

        Their keys are P-384 and P-256, with ``rsa`` both RSA-4096, or of the kinds that
        ``root_algorithm`` and ``algorithm`` name, each encrypted under ``passphrase``.
        ``profile`` is another kind of issuing CA: ``issuing-services`` for servers.

        The URLs are written into every certificate and cannot be mended in those given
        out; ``{shard}`` and ``{profile}`` in ``crl_url`` and ``delta_url`` spread the
        certificates over several CRLs. With ``domains`` the CA certifies addresses there
        and nothing else (``Authority.subordinate``); with ``constrain`` its root as well.
        The ledger is a file in the folder, or the PostgreSQL database that ``ledger_url``
        names.

        Raises ``AuthorityExists``, ``RequestRefused`` for a name, URL or domain that
        cannot be, ``LedgerProblem``, ``OSError``. On failure nothing is left behind.
        """
        settings = founding.Settings(
            name, crl_url, ca_url, ocsp_url, delta_url, tuple(domains), ledger_url, shards
        )
        kinds = ("rsa4096", "rsa4096") if rsa else ("p384", "p256")
        made = founding.found(
            folder,
            settings,
            passphrase=passphrase,
            root_algorithm=root_algorithm or kinds[0],
            algorithm=algorithm or kinds[1],
            profile=profile,
            constrain=constrain,
            at=at,
        )
        return cls(*made)

    @classmethod
    def load(cls, folder: PathLike[str] | str, *, passphrase: smime.Passphrase) -> Self:
        """Open a CA's folder and its issuing key; the root's key is not needed.

        Of a CA whose key is in a PKCS#11 token ``passphrase`` is the token's PIN.
        A folder of the first version gets its ledger and the key of its log.
        Raises ``NoAuthority``, ``WrongPassphrase``, ``LedgerProblem``, ``OSError``.
        """
        records = Records.load(folder)
        with contextlib.ExitStack() as clean:
            if records.token:
                from pki.token import Token

                token = Token.open(records.token, label=records.token_label, pin=passphrase)
                clean.callback(token.close)
                key = token.key(records.token_key)
            else:
                secret = keys.passphrase_octets(passphrase)
                key = read_key(records, "issuing.key.pem", secret)
            if key.public_key() != records.issuing.public_key():
                raise NoAuthority(
                    f"issuing.pem and its key in {records.folder} do not belong together"
                )
            ledger = records.ledger()
            clean.callback(ledger.close)
            if not records.token:
                demand_log_key(records, ledger, secret)
            above = (*records.above, records.root)
            made = cls(Authority(key, records.issuing, above), records, ledger)
            made._clean = clean.pop_all()
        return made

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
        keep: bool | None = None,
        stage: Stage | None = None,
        **subject: str,
    ) -> smime.Identity:
        """Make a key, certify it for these addresses, record the certificate.

        As ``Authority.issue``, but RSA-3072 unless told otherwise: every mail program
        reads it. Where recovery agents are named (``pki.archive``) a sealed copy of a key
        that only reads is kept for them, unless ``keep`` is false; with ``keep=True`` it is
        an error if that cannot be. Any other key is kept by nobody but the caller.

        ``stage`` is called with the Identity before it is recorded: who writes it to a disk
        there learns that the disk is full while nothing was given out yet.
        """
        return self._desk.make(
            addresses,
            name,
            profile=profile,
            algorithm=algorithm,
            at=at,
            lifetime_days=lifetime_days,
            pair=pair,
            keep=keep,
            stage=stage,
            subject=subject,
        )

    def certify(
        self,
        request: CertificationRequest,
        *,
        profile: str | Profile = "mailbox",
        at: datetime | None = None,
        label: str | None = None,
        renews: int | None = None,
        lifetime_days: int | None = None,
    ) -> x509.Certificate:
        """Certify the key of a request under its authorised names, record the certificate.

        Raises ``RequestRefused``, also for a key that somebody else has a certificate
        for, or that was revoked because it was compromised.
        """
        order = Order(request, profile, label, renews, lifetime_days)
        (outcome,) = self.certify_many([order], at=at)
        if outcome.refused is not None:
            raise outcome.refused
        assert outcome.certificate is not None
        return outcome.certificate

    def enrol(
        self,
        csr: bytes,
        *addresses: str,
        name: str = "",
        hosts: Iterable[str] = (),
        profile: str | Profile = "mailbox",
        at: datetime | None = None,
        lifetime_days: int | None = None,
        demand_names: bool = False,
        **subject: str,
    ) -> x509.Certificate:
        """Certify the key of a CSR, DER or PEM, under names that its holder was found to have.

        The names in the request are not taken; with ``demand_names`` it is refused if it
        asks for a mail address or host that is not among those given here: it may be the
        wrong file. A key that cannot sign comes in a request signed by a certified key of
        the same person (RFC 9883): the log says so. Raises ``RequestRefused``.
        """
        when, servers = moment(at), tuple(hosts)
        request = CertificationRequest.parse(csr, find=vouching.finder(self._desk))
        if demand_names:
            check_wishes(csr, addresses, servers)
        authorised = request.authorise(*addresses, name=name, hosts=servers, **subject)
        vouching.check(self._desk, authorised, at=when)
        return self.certify(authorised, profile=profile, at=at, lifetime_days=lifetime_days)

    def challenge(
        self,
        request: CertificationRequest,
        *,
        profile: str | Profile = "encryption",
        at: datetime | None = None,
        lifetime_days: int | None = None,
        stage: Callable[[Challenge], object] | None = None,
    ) -> Challenge:
        """Certify a key that cannot sign, for who can open what is sealed to it.

        The certificate is recorded on hold: readers are told not to believe it, and nothing
        publishes it. ``sealed`` of what comes back goes to the holder, who opens it
        (``pki.challenge.read``) and sends the answer back, for ``answer``. ``stage`` is
        called before it is recorded, as in ``issue``.

        Raises ``RequestRefused``, ``NotSupported`` for a key that cannot be written to.
        """
        return proving.ask(
            self._desk, request, profile=profile, at=at, lifetime_days=lifetime_days, stage=stage
        )

    def answer(self, serial: int, answer: str, *, at: datetime | None = None) -> x509.Certificate:
        """Let a certificate count whose holder opened its challenge: give it.

        Raises ``RequestRefused`` for another answer, or if no challenge was made.
        """
        return proving.take(self.ledger, serial, answer, at=at)

    def certify_many(
        self, orders: Iterable[Order], *, at: datetime | None = None, group: int = GROUP
    ) -> Iterator[Outcome]:
        """Certify one after another, recorded in groups; what is refused does not stop the rest.

        An outcome comes when its group is on the disk. An order whose label is in
        the ledger gives the certificate made for it: so a run that was cut off is
        started again from its beginning.
        """
        return self._desk.certify_many(orders, at=at, group=group)

    def renew(
        self, serial: int, *, at: datetime | None = None, lifetime_days: int = 365
    ) -> x509.Certificate:
        """Certify the same key and names again, from ``at`` (now) on.

        Raises ``RequestRefused`` for a certificate that is revoked or not here.
        """
        return renewal.renew(self._desk, serial, at=at, lifetime_days=lifetime_days)

    def rekey(
        self,
        *serials: int,
        algorithm: str = "",
        at: datetime | None = None,
        lifetime_days: int = 365,
        keep: bool | None = None,
        stage: Stage | None = None,
    ) -> smime.Identity:
        """Make new keys for the same names, of the same kinds unless told otherwise.

        Of a pair give both serial numbers, the signing one first. The old certificates stay
        as they are: mail sealed with them must be readable still. ``keep`` and ``stage`` as
        in ``issue``. Raises ``RequestRefused`` for a certificate that is not here.
        """
        return renewal.rekey(
            self._desk,
            serials,
            algorithm=algorithm,
            at=at,
            lifetime_days=lifetime_days,
            keep=keep,
            stage=stage,
        )

    def due(self, now: datetime, until: datetime) -> list[int]:
        """Name the serials of valid users' certificates that end before ``until``.

        What is revoked or renewed already is left out, and what machines make anew.
        """
        return [record.serial for record in renewal.due(self.ledger, now, until)]

    def current(self, now: datetime) -> Iterator[int]:
        """Name the serials of this CA's certificates that have not ended, revoked ones too."""
        own = self._desk.issuer
        return (one.serial for one in renewal.ending(self.ledger, now) if one.issuer == own)

    def find(self, serial: int) -> Record:
        """Give what the ledger has of one certificate. Raises ``RequestRefused``."""
        return renewal.find(self.ledger, serial)

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
        return self._lists.crl(scope, delta, at, lifetime)

    def crl_due(
        self, scope: str = "", *, at: datetime | None = None, published: bytes | None = None
    ) -> bool:
        """Tell whether a new full list is called for.

        That is so if there is none, if something changed since, or if less than
        half of its time is left; also if what is ``published`` (DER) is not the last one
        that was signed: who was to put it there did not come to that.
        """
        return self._lists.due(scope, at, published)

    def scopes(self) -> tuple[str, ...]:
        """Name the lists that this CA's certificates point to; one without a name covers all."""
        return self._lists.scopes()

    def responder(self, *, at: datetime | None = None) -> Responder:
        """Make a key and a certificate that answer OCSP requests for this CA, for 30 days.

        The key stays in memory; the certificate is recorded like all others.
        """
        return status.responder(self._desk, at=at)

    # --- the rest -----------------------------------------------------------

    @property
    def anchors(self) -> smime.Anchors:
        """The root, to be trusted: ``smime.verify(mail, trust=ca.anchors)``."""
        return self.authority.anchors

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What goes along with each certificate: the issuing CA's."""
        return self.authority.chain

    @property
    def authority(self) -> Authority:
        """The issuing CA itself; what it signs alone is not recorded."""
        return self._desk.authority

    @property
    def issuance(self) -> Issuance:
        """Signing and recording apart: for who makes many certificates in a way of its own."""
        return self._desk

    def close(self) -> None:
        """Let go of the key and the ledger. Closing twice does no harm."""
        self._desk.close()
        self._clean.close()
        self.ledger.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *exc: object) -> None:
        self.close()

    def __repr__(self) -> str:
        state = "closed" if self._desk.closed else "open"
        return f"<Registrar {self.records.name} in {self.records.folder}, {state}>"
