"""A key and a certificate that certify others; no disk, no clock but the one given.

In memory it is the whole CA that tests and small programs need. What it signed it
forgets: who must not, uses ``pki.Registrar``.

Floor:  authority (uses rules, certificate, lint, requests, profiles, keys)
Source: RFC 5280 §4 and §5, RFC 8550 §4.4 for certificates of mail users
"""

from __future__ import annotations

import os
from datetime import UTC, datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives.serialization import Encoding

import smime
from pki import keys, lint, rules
from pki.certificate import Template, signed, subject_of
from pki.errors import ProfileProblem, RequestRefused
from pki.names import checked_domain, checked_url, subject_name
from pki.profiles import Profile
from pki.requests import CertificationRequest

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import NoReturn, Self

__all__ = ["Authority", "halves", "identity_of", "moment", "new_serial"]

CLOCK_SKEW = timedelta(hours=1)
"""How far notBefore lies before the moment given: a reader whose clock is slow
must not find today's certificate not yet valid."""

CRL_LIFETIME = timedelta(days=7)
"""After this a CRL is stale, and a revocation may be missing from it."""

MAX_TEMPLATES = 64  # profiles in use by one CA; beyond, a fault of the caller that makes new ones


def new_serial() -> int:
    """Draw a serial number: positive, 128 random bits (RFC 5280 §4.1.2.2 allows 159)."""
    return int.from_bytes(os.urandom(16), "big") + 1


class Authority:
    """A key and a certificate that can certify; it knows no disk and no clock but the one given.

    ``crl_url``, ``ca_url`` and ``ocsp_url`` are written into what is certified: where its
    CRL, this CA's certificate and its answers on revocation can be fetched.

    >>> alice = Authority.create("Test CA").issue("alice@example.org")
    >>> alice.addresses
    ('alice@example.org',)
    """

    __slots__ = (
        "_algorithm",
        "_certificate",
        "_chain",
        "_facts",
        "_key",
        "_key_id",
        "_root",
        "_signer",
        "_subject",
        "_templates",
        "ca_url",
        "crl_url",
        "ocsp_url",
    )

    def __init__(
        self,
        key: keys.Key,
        certificate: x509.Certificate,
        issuers: Iterable[x509.Certificate] = (),
        *,
        crl_url: str = "",
        ca_url: str = "",
        ocsp_url: str = "",
    ) -> None:
        """Take a CA's key and certificate, and the certificates above it up to its root.

        The key is one of ``cryptography``, or an object of a class below one of its that
        signs with a key kept elsewhere.
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
        self.ocsp_url = checked_url(ocsp_url)
        self._facts = rules.CaFacts(certificate, upwards[1:])
        self._subject = subject_of(certificate.tbs_certificate_bytes)
        self._algorithm = keys.signature_algorithm(key)
        self._signer = keys.signer(key)
        found = rules.extension(certificate, x509.SubjectKeyIdentifier)
        self._key_id = found or x509.SubjectKeyIdentifier.from_public_key(certificate.public_key())
        self._templates: dict[tuple[int, str, str, str], tuple[Profile, Template]] = {}

    @classmethod
    def create(
        cls,
        name: str,
        *,
        algorithm: str = "p256",
        at: datetime | None = None,
        domains: Iterable[str] = (),
        key: keys.Key | None = None,
        **subject: str,
    ) -> Self:
        """Make a root: a fresh key and its own certificate, valid from ``at`` (now).

        ``algorithm`` is one that signs: ``p256 p384 rsa3072 rsa4096 ed25519 mldsa65`` and
        others of ``pki.keys``. ``domains`` limits all below it, as in ``subordinate``.
        ``subject`` is what else its name says: ``organization="Example"``.
        """
        own = key if key is not None else keys.generate(_certifying(algorithm))
        request = CertificationRequest(own.public_key(), name=name, **subject)
        profile = Profile.named("root")
        start, end = _validity(moment(at), profile, None)
        named = subject_name({**request.subject, "common_name": _named(request)})
        template = Template(
            profile,
            signature_algorithm=keys.signature_algorithm(own),
            issuer=named,
            issuer_key_id=x509.SubjectKeyIdentifier.from_public_key(request.public_key).digest,
            domains=[checked_domain(domain) for domain in domains],
        )
        tbs = template.fill(
            request,
            serial=new_serial(),
            not_before=start,
            not_after=end,
            subject=named,
            spki=request.spki,
            family=keys.family(request.public_key),
        )
        return cls(own, _signed(own, tbs))

    def subordinate(
        self,
        name: str,
        *,
        algorithm: str = "p256",
        at: datetime | None = None,
        domains: Iterable[str] = (),
        profile: str | Profile = "issuing",
        **subject: str,
    ) -> Authority:
        """Make a CA below this one, for mail users only unless ``profile`` is another.

        With ``domains`` it can certify addresses there and nothing else, which every
        reader checks: ``example.org`` is that host, ``.example.org`` all below it.

        Raises ``RequestRefused`` if this CA may have none below it.
        """
        key = keys.generate(_certifying(algorithm))
        request = CertificationRequest(key.public_key(), name=name, **subject)
        certificate = self.certify_authority(request, profile=profile, at=at, domains=domains)
        return Authority(key, certificate, (*self._chain, self._root))

    def certify_authority(
        self,
        request: CertificationRequest,
        *,
        profile: str | Profile = "issuing",
        serial: int | None = None,
        at: datetime | None = None,
        domains: Iterable[str] = (),
        subject: bytes | None = None,
        until: datetime | None = None,
    ) -> x509.Certificate:
        """Certify the key of another CA, under the name in ``request``.

        ``subject`` is that CA's name in DER where it has one already (a cross-certificate):
        readers find a path by names that agree byte for byte. ``until`` is the latest
        that the certificate may end.

        Raises ``RequestRefused``.
        """
        chosen = _profile(profile)
        if not chosen.authority:
            raise ProfileProblem("a CA is certified under a profile for CAs: issuing, sub-ca")
        serial, at = serial or new_serial(), moment(at)
        self._check(request, chosen, serial, at)
        named = subject or subject_name({**request.subject, "common_name": _named(request)})
        if named == self._subject and subject is None:
            raise RequestRefused("a CA and the one below it have names that differ")
        limits = [checked_domain(domain) for domain in domains]
        template = self._template(chosen, limits)
        return self._sign(request, chosen, template, serial, at, named, until)

    def issue(
        self,
        *addresses: str,
        name: str = "",
        profile: str | Profile = "mailbox",
        algorithm: str = "p256",
        at: datetime | None = None,
        lifetime_days: int | None = None,
        pair: bool | None = None,
        **subject: str,
    ) -> smime.Identity:
        """Make a key and certify it for these mail addresses.

        ``name`` is the person's, shown beside the address; ``algorithm`` one of
        ``p256 p384 p521 rsa2048 rsa3072 rsa4096``, or of those whose keys only sign,
        ``ed25519 ed448 mldsa44 mldsa65 mldsa87``: then, as with ``pair=True``, there are
        two keys and two certificates in the Identity, one that signs and one that reads.
        ``subject`` is what else the certificate says: ``organization="Example"``.

        The certificate is valid from an hour before ``at`` (now), for clocks that are
        slow, and never longer than the CA's own.

        Raises ``RequestRefused`` for a name this CA does not certify, and
        ``ProfileProblem`` for a profile or lifetime that cannot be.
        """
        chosen = _profile(profile)
        if lifetime_days is not None:
            chosen = chosen.lasting(lifetime_days)
        moment_ = moment(at)
        made = []
        for half, kind in halves(chosen, algorithm, pair):
            key = keys.generate(kind)
            request = CertificationRequest(key.public_key(), addresses, name, **subject)
            certificate = self.certify(request, profile=half, serial=new_serial(), at=moment_)
            made.append((key, certificate))
        return identity_of(made, self._chain)

    def certify(
        self, request: CertificationRequest, *, profile: Profile, serial: int, at: datetime
    ) -> x509.Certificate:
        """Sign one certificate: the key and the authorised names of ``request``, nothing else.

        Who calls sees to it that no ``serial`` (1 to 2**159 - 1) is used twice.
        Raises ``RequestRefused``, and ``ProfileProblem`` where no request could be right.
        """
        at = moment(at)
        self._check(request, profile, serial, at)
        if profile.authority:
            raise ProfileProblem("CAs are certified by certify_authority")
        named = subject_name(rules.subject_of(request, profile))
        return self._sign(request, profile, self._template(profile), serial, at, named)

    def _check(
        self, request: CertificationRequest, profile: Profile, serial: int, at: datetime
    ) -> None:
        if not 0 < serial < 1 << 159:
            raise ValueError("a serial number is 1 to 2**159 - 1")
        rules.check(self._facts, request, profile, serial=serial, at=at, crl_url=self.crl_url)

    def _template(self, profile: Profile, domains: Iterable[str] = ()) -> Template:
        place = id(profile), self.crl_url, self.ca_url, self.ocsp_url
        known = self._templates.get(place)
        if known is not None and not domains:
            return known[1]
        made = Template(
            profile,
            signature_algorithm=self._algorithm,
            issuer=self._subject,
            issuer_key_id=self._key_id.digest,
            domains=domains,
            crl_urls=filter(None, (self.crl_url,)),
            ca_urls=filter(None, (self.ca_url,)),
            ocsp_urls=filter(None, (self.ocsp_url,)),
        )
        if not domains:
            if len(self._templates) >= MAX_TEMPLATES:
                self._templates.clear()
            # The profile is kept beside it, so that its id stays its own.
            self._templates[place] = profile, made
        return made

    def _sign(
        self,
        request: CertificationRequest,
        profile: Profile,
        template: Template,
        serial: int,
        at: datetime,
        subject: bytes,
        until: datetime | None = None,
    ) -> x509.Certificate:
        limit = self._facts.not_after
        start, end = _validity(at, profile, limit if until is None else min(limit, until))
        tbs = template.fill(
            request,
            serial=serial,
            not_before=start,
            not_after=end,
            subject=subject,
            spki=request.spki,
            family=keys.family(request.public_key),
        )
        if profile.lint and lint.available():
            # The bits of an empty signature: what is judged is what they would be over.
            problems = lint.findings(signed(tbs, self._algorithm, b"\x30\x00"), profile.lint)
            if problems:
                raise RequestRefused(
                    f"the certificate would break its profile: {'; '.join(problems)}",
                    hint="mend the profile or the request; nothing was signed",
                )
        return x509.load_der_x509_certificate(signed(tbs, self._algorithm, self._signer(tbs)))

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

    def sign(self, data: bytes) -> bytes:
        """Sign with the CA's key, by ``signature_algorithm``: for CRLs and OCSP answers."""
        return self._signer(data)

    @property
    def signature_algorithm(self) -> bytes:
        """The AlgorithmIdentifier, in DER, of what ``sign`` makes."""
        return self._algorithm

    @property
    def name_der(self) -> bytes:
        """This CA's name, byte for byte as in its certificate."""
        return self._subject

    @property
    def key_id(self) -> bytes:
        """The subject key identifier of this CA."""
        return self._key_id.digest

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

    def __repr__(self) -> str:
        end = self._certificate.not_valid_after_utc
        return f"<Authority {self._certificate.subject.rfc4514_string()} until {end:%Y-%m-%d}>"

    def __reduce__(self) -> NoReturn:
        raise TypeError("an Authority holds a private key and is not pickled")


def halves(
    profile: Profile, algorithm: str, pair: bool | None = None
) -> tuple[tuple[Profile, str], ...]:
    """Say which certificates a user gets: profile and kind of key of each, the signing one first.

    There are two where ``pair`` says so, or else the profile, or where keys of this kind
    only sign, and the profile is for more.
    """
    signing, reading = keys.PAIRS.get(algorithm, (algorithm, algorithm))
    apart = signing != reading and profile.reads
    if pair is False and apart:
        raise RequestRefused(f"a key of the kind {algorithm} does not read: it needs a second one")
    if not (apart or (profile.pair if pair is None else pair)):
        return ((profile, algorithm),)
    return (profile.signing, signing), (profile.reading, reading)


def identity_of(
    pairs: Iterable[tuple[keys.AnyKey, x509.Certificate]], chain: Iterable[x509.Certificate]
) -> smime.Identity:
    """Put keys with their certificates together: one Identity, whose certificate is the first."""
    from cryptography.hazmat.primitives.serialization import NoEncryption, PrivateFormat

    pairs = list(pairs)
    [key, certificate] = pairs[0]
    if len(pairs) == 1:
        return smime.Identity(key, certificate, chain)
    pieces = [
        piece
        for key, certificate in pairs
        for piece in (
            key.private_bytes(Encoding.PEM, PrivateFormat.PKCS8, NoEncryption()),
            certificate.public_bytes(Encoding.PEM),
        )
    ]
    pieces += [one.public_bytes(Encoding.PEM) for one in chain]
    return smime.Identity.parse(b"".join(pieces))


def _signed(key: keys.Key, tbs: bytes) -> x509.Certificate:
    algorithm = keys.signature_algorithm(key)
    return x509.load_der_x509_certificate(signed(tbs, algorithm, keys.sign(key, tbs)))


def _validity(at: datetime, profile: Profile, limit: datetime | None) -> tuple[datetime, datetime]:
    start = at - CLOCK_SKEW
    # Both ends belong to the validity, so a day that starts at noon ends at 11:59:59.
    end = start + timedelta(days=profile.lifetime_days, seconds=-1)
    return start, end if limit is None else min(end, limit)


def _profile(given: str | Profile) -> Profile:
    return given if isinstance(given, Profile) else Profile.named(given)


def _certifying(algorithm: str) -> str:
    if algorithm not in keys.CA_ALGORITHMS:
        raise ValueError(f"algorithm {algorithm!r} is none of {', '.join(keys.CA_ALGORITHMS)}")
    return algorithm


def _named(request: CertificationRequest) -> str:
    if not request.name:
        raise RequestRefused("neither a name nor a mail address to certify")
    return request.name


def moment(at: datetime | None) -> datetime:
    """Give a moment with a time zone, to the second, as a certificate can hold it."""
    if at is None:
        at = datetime.now(UTC)
    elif at.tzinfo is None:
        raise ValueError("at needs a time zone: datetime(..., tzinfo=UTC)")
    return at.astimezone(UTC).replace(microsecond=0)
