"""A key and a certificate that certify others; no disk, no clock but the one given.

In memory it is the whole CA that tests and small programs need. What it signed it
forgets: who must not, uses ``pki.Registrar``.

Floor:  authority (uses requests, profiles, keys)
Source: RFC 5280 §4 and §5, RFC 8550 §4.4 for certificates of mail users
"""

from __future__ import annotations

import ipaddress
import os
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding
from cryptography.x509.oid import AuthorityInformationAccessOID, NameOID, ObjectIdentifier

import smime
from pki import keys
from pki.errors import RequestRefused
from pki.profiles import Profile
from pki.requests import MAX_NAME, CertificationRequest, checked_address, checked_url

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn, Self, TypeVar

    E = TypeVar("E", bound=x509.ExtensionType)

__all__ = ["Authority", "moment", "new_serial"]

CLOCK_SKEW = timedelta(hours=1)
"""How far notBefore lies before the moment given: a reader whose clock is slow
must not find today's certificate not yet valid."""

CRL_LIFETIME = timedelta(days=7)
"""After this a CRL is stale, and a revocation may be missing from it."""


def new_serial() -> int:
    """Draw a serial number: positive, 128 random bits (RFC 5280 §4.1.2.2 allows 159)."""
    return int.from_bytes(os.urandom(16), "big") + 1


class Authority:
    """A key and a certificate that can certify; it knows no disk and no clock but the one given.

    >>> alice = Authority.create("Test CA").issue("alice@example.org")
    >>> alice.addresses
    ('alice@example.org',)
    """

    __slots__ = ("_certificate", "_chain", "_key", "_root", "ca_url", "crl_url")

    def __init__(
        self,
        key: keys.Key,
        certificate: x509.Certificate,
        issuers: Iterable[x509.Certificate] = (),
        *,
        crl_url: str = "",
        ca_url: str = "",
    ) -> None:
        """Take a CA's key and certificate, and the certificates above it up to its root.

        ``crl_url`` and ``ca_url`` are written into what is certified: where its CRL
        and this CA's certificate can be fetched.
        """
        if key.public_key() != certificate.public_key():
            raise RequestRefused("the key and the certificate of the CA do not belong together")
        upwards = (certificate, *issuers)
        self._key = key
        self._certificate = certificate
        self._root = upwards[-1]
        self._chain = upwards[:-1]
        self.crl_url = checked_url(crl_url)
        self.ca_url = checked_url(ca_url)

    @classmethod
    def create(cls, name: str, *, algorithm: str = "p256", at: datetime | None = None) -> Self:
        """Make a root: a fresh key and its own certificate, valid from ``at`` (now)."""
        key = keys.generate(algorithm)
        subject = _subject(CertificationRequest(key.public_key(), name=name))
        certificate = _certify(
            CertificationRequest(key.public_key(), name=name),
            Profile.named("root"),
            new_serial(),
            moment(at),
            signer=key,
            issuer=subject,
            issuer_key_id=x509.SubjectKeyIdentifier.from_public_key(key.public_key()),
        )
        return cls(key, certificate)

    def subordinate(
        self,
        name: str,
        *,
        algorithm: str = "p256",
        at: datetime | None = None,
        domains: Iterable[str] = (),
    ) -> Authority:
        """Make a CA below this one, for mail users only (profile ``issuing``).

        With ``domains`` it can certify addresses there and nothing else, which every
        reader checks: ``example.org`` is that host, ``.example.org`` all below it.

        Raises ``RequestRefused`` if this CA may have none below it.
        """
        key = keys.generate(algorithm)
        certificate = self._sign(
            CertificationRequest(key.public_key(), name=name),
            Profile.named("issuing"),
            new_serial(),
            moment(at),
            domains=tuple(domains),
        )
        return Authority(key, certificate, (*self._chain, self._root))

    def issue(
        self,
        *addresses: str,
        name: str = "",
        profile: str | Profile = "mailbox",
        algorithm: str = "p256",
        at: datetime | None = None,
        lifetime_days: int = 365,
    ) -> smime.Identity:
        """Make a key and certify it for these mail addresses.

        ``name`` is the person's, shown beside the address; ``algorithm`` one of
        ``p256 p384 p521 rsa2048 rsa3072 rsa4096``. The certificate is valid from an
        hour before ``at`` (now), for clocks that are slow, and never longer than the CA's own.

        Raises ``RequestRefused`` for a name this CA does not certify, and
        ``ProfileProblem`` for a profile or lifetime that cannot be.
        """
        chosen = profile if isinstance(profile, Profile) else Profile.named(profile)
        key = keys.generate(algorithm)
        request = CertificationRequest(key.public_key(), addresses, name)
        certificate = self.certify(
            request, profile=chosen.lasting(lifetime_days), serial=new_serial(), at=moment(at)
        )
        return smime.Identity(key, certificate, self._chain)

    def certify(
        self, request: CertificationRequest, *, profile: Profile, serial: int, at: datetime
    ) -> x509.Certificate:
        """Sign one certificate: the key and the authorised names of ``request``, nothing else.

        Who calls sees to it that no ``serial`` (1 to 2**159 - 1) is used twice.
        Raises ``RequestRefused``.
        """
        return self._sign(request, profile, serial, moment(at))

    def _sign(
        self,
        request: CertificationRequest,
        profile: Profile,
        serial: int,
        at: datetime,
        domains: tuple[str, ...] = (),
    ) -> x509.Certificate:
        self._allow(request, profile, at)
        return _certify(
            request,
            profile,
            serial,
            at,
            signer=self._key,
            issuer=self._certificate.subject,
            issuer_key_id=self._key_id,
            not_after=self._certificate.not_valid_after_utc,
            domains=domains,
            crl_url=self.crl_url,
            ca_url=self.ca_url,
        )

    def _allow(self, request: CertificationRequest, profile: Profile, at: datetime) -> None:
        """Refuse what every reader would refuse later, because this CA may not certify it."""
        if at >= self._certificate.not_valid_after_utc:
            raise RequestRefused(
                f"the CA's certificate ended on {self._certificate.not_valid_after_utc:%Y-%m-%d}",
                hint="make a new CA",
            )
        if request.public_key == self._key.public_key():
            raise RequestRefused("the key of the CA is not certified for a user")
        if profile.authority:
            basic = _extension(self._certificate, x509.BasicConstraints)
            if basic is not None and basic.path_length == 0:
                raise RequestRefused(
                    "this CA may have no CA below it", hint="make it below the root"
                )
        elif not request.addresses:
            raise RequestRefused(
                "no mail address to certify",
                hint="issue('alice@example.org'), or request.authorise('alice@example.org')",
            )
        constraints = _extension(self._certificate, x509.NameConstraints)
        allowed = [
            subtree.value
            for subtree in (constraints and constraints.permitted_subtrees) or ()
            if isinstance(subtree, x509.RFC822Name)
        ]
        for address in request.addresses if allowed else ():
            if not any(_within(address, domain) for domain in allowed):
                raise RequestRefused(
                    f"{address} is outside of the CA's domains", hint=f"they are {allowed}"
                )

    def crl(self, *revoked: x509.Certificate, at: datetime | None = None) -> bytes:
        """Sign a revocation list with these certificates, as DER (RFC 5280 §5).

        Each is revoked as of ``at``. The list is for a week; its number is the
        second it was made, so a later one has a higher number.
        """
        made = moment(at)
        builder = (
            x509.CertificateRevocationListBuilder()
            .issuer_name(self._certificate.subject)
            .last_update(made)
            .next_update(made + CRL_LIFETIME)
            .add_extension(
                x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(self._key_id),
                critical=False,
            )
            .add_extension(x509.CRLNumber(int(made.timestamp())), critical=False)
        )
        for certificate in revoked:
            if certificate.issuer != self._certificate.subject:
                raise RequestRefused("a certificate of another CA cannot be revoked here")
            builder = builder.add_revoked_certificate(
                x509.RevokedCertificateBuilder()
                .serial_number(certificate.serial_number)
                .revocation_date(made)
                .build()
            )
        return builder.sign(self._key, keys.hash_for(self._key)).public_bytes(Encoding.DER)

    @property
    def anchors(self) -> smime.Anchors:
        """The root above this CA, to be trusted: ``smime.verify(mail, trust=ca.anchors)``."""
        return smime.Anchors((self._root,))

    @property
    def certificate(self) -> x509.Certificate:
        """This CA's own certificate."""
        return self._certificate

    @property
    def chain(self) -> tuple[x509.Certificate, ...]:
        """What goes along with each certificate: this CA's and those above, without the root."""
        return self._chain

    @property
    def root(self) -> x509.Certificate:
        """The root above this CA, or its own certificate."""
        return self._root

    @property
    def private_key(self) -> keys.Key:
        """The CA's key, for who stores it; it is in no repr and no pickle."""
        return self._key

    @property
    def _key_id(self) -> x509.SubjectKeyIdentifier:
        found = _extension(self._certificate, x509.SubjectKeyIdentifier)
        return found or x509.SubjectKeyIdentifier.from_public_key(self._certificate.public_key())

    def __repr__(self) -> str:
        end = self._certificate.not_valid_after_utc
        return f"<Authority {self._certificate.subject.rfc4514_string()} until {end:%Y-%m-%d}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Authority holds a private key and is not pickled")


def _certify(
    request: CertificationRequest,
    profile: Profile,
    serial: int,
    at: datetime,
    *,
    signer: keys.Key,
    issuer: x509.Name,
    issuer_key_id: x509.SubjectKeyIdentifier,
    not_after: datetime | None = None,
    domains: tuple[str, ...] = (),
    crl_url: str = "",
    ca_url: str = "",
) -> x509.Certificate:
    """Build and sign: fields in the order of RFC 5280 §4.1, then its extensions of §4.2."""
    if not 0 < serial < 1 << 159:
        raise ValueError("a serial number is 1 to 2**159 - 1")
    subject = _subject(request)
    start = at - CLOCK_SKEW
    # Both ends belong to the validity, so a day that starts at noon ends at 11:59:59.
    end = start + timedelta(days=profile.lifetime_days, seconds=-1)
    flags = profile.usage_flags(keys.family(request.public_key))
    if flags is None:
        raise RequestRefused("the profile has no key usage for a key of this kind")
    builder = (
        x509.CertificateBuilder()
        .serial_number(serial)
        .issuer_name(issuer)
        .not_valid_before(start)
        .not_valid_after(end if not_after is None else min(end, not_after))
        .subject_name(subject)
        .public_key(request.public_key)
        .add_extension(x509.BasicConstraints(profile.authority, profile.path_length), critical=True)
        .add_extension(x509.KeyUsage(**flags), critical=True)
        .add_extension(
            x509.SubjectKeyIdentifier.from_public_key(request.public_key), critical=False
        )
        .add_extension(
            x509.AuthorityKeyIdentifier.from_issuer_subject_key_identifier(issuer_key_id),
            critical=False,
        )
    )
    if request.addresses:
        names = x509.SubjectAlternativeName([x509.RFC822Name(a) for a in request.addresses])
        # An empty subject makes this the only name, and then it is critical (§4.2.1.6).
        builder = builder.add_extension(names, critical=not list(subject))
    for extension, critical in _optional(profile, domains, crl_url, ca_url):
        builder = builder.add_extension(extension, critical=critical)
    return builder.sign(signer, keys.hash_for(signer))


def _optional(
    profile: Profile, domains: tuple[str, ...], crl_url: str, ca_url: str
) -> Iterable[tuple[x509.ExtensionType, bool]]:
    """Extensions that not every certificate has, with whether they are critical."""
    if profile.purposes:
        yield x509.ExtendedKeyUsage([ObjectIdentifier(oid) for oid in profile.purposes]), False
    if profile.policies:
        policies = [x509.PolicyInformation(ObjectIdentifier(p), None) for p in profile.policies]
        yield x509.CertificatePolicies(policies), False
    if domains:
        # Mail of these domains, and no host at all: the certificate of a web server
        # below this CA is refused by every reader.
        yield (
            x509.NameConstraints(
                permitted_subtrees=[x509.RFC822Name(_checked_domain(d)) for d in domains],
                excluded_subtrees=[
                    x509.DNSName(""),
                    x509.IPAddress(ipaddress.ip_network("0.0.0.0/0")),
                    x509.IPAddress(ipaddress.ip_network("::/0")),
                ],
            ),
            True,
        )
    if crl_url:
        point = x509.DistributionPoint([x509.UniformResourceIdentifier(crl_url)], None, None, None)
        yield x509.CRLDistributionPoints([point]), False
    if ca_url:
        where = x509.AccessDescription(
            AuthorityInformationAccessOID.CA_ISSUERS, x509.UniformResourceIdentifier(ca_url)
        )
        yield x509.AuthorityInformationAccess([where]), False


def _subject(request: CertificationRequest) -> x509.Name:
    """One common name: the person's, else the first address if it is short enough."""
    name = request.name or next(iter(request.addresses), "")
    if not name:
        raise RequestRefused("neither a name nor a mail address to certify")
    if len(name) > MAX_NAME:
        return x509.Name([])
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])


def _checked_domain(domain: str) -> str:
    bare = domain.removeprefix(".")
    checked_address(f"postmaster@{bare}")
    return domain.lower()


def _within(address: str, domain: str) -> bool:
    """Tell whether a permitted rfc822Name covers an address (RFC 5280 §4.2.1.10)."""
    host = address.rpartition("@")[2]
    return host.endswith(domain) if domain.startswith(".") else host == domain


def moment(at: datetime | None) -> datetime:
    """Give a moment with a time zone, to the second, as a certificate can hold it."""
    if at is None:
        at = datetime.now(UTC)
    elif at.tzinfo is None:
        raise ValueError("at needs a time zone: datetime(..., tzinfo=UTC)")
    return at.astimezone(UTC).replace(microsecond=0)


def _extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None
