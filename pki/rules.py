"""What must hold before a certificate is signed; each refusal names the rule.

Floor:  rules (uses certificate, profiles, requests)
Source: RFC 5280 §6.1 for what every reader checks; S/MIME Baseline Requirements §6.1.5,
        §6.3.2, §7.1 and ballots SMC017 and SMC018 for their dates
"""

from __future__ import annotations

from datetime import UTC, datetime

from cryptography import x509
from cryptography.hazmat.primitives.asymmetric import rsa

from pki import keys
from pki.errors import ProfileProblem, RequestRefused

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import TypeVar

    from pki.profiles import Profile
    from pki.requests import CertificationRequest

    E = TypeVar("E", bound=x509.ExtensionType)

__all__ = ["CaFacts", "check", "extension", "subject_of"]

_EMAIL_PROTECTION = "1.3.6.1.5.5.7.3.4"
_CLIENT_AUTH = "1.3.6.1.5.5.7.3.2"
_OCSP_SIGNING = "1.3.6.1.5.5.7.3.9"
_ANY_PURPOSE = "2.5.29.37.0"
_BASELINE_POLICIES = "2.23.140.1.5."
_STRICT = ".3"

# Baseline Requirements: RSA keys of CAs made from then on have 4096 bits (SMC017) ...
NEW_CA_KEYS_4096 = datetime(2026, 9, 15, tzinfo=UTC)
# ... and older ones of less than 3072 sign nothing more.
OLD_CA_KEYS_3072 = datetime(2027, 9, 15, tzinfo=UTC)
# No other purpose than mail and logging in (SMC018).
MAIL_PURPOSES_ONLY = datetime(2027, 7, 1, tzinfo=UTC)
_UNKNOWN_TO_BASELINE = ("p521", "x25519", "x448")  # §7.1.3.1
LEAST_SERIAL_BITS = 64  # Baseline Requirements §7.1


class CaFacts:
    """What a CA's own certificate says, read once."""

    __slots__ = (
        "domains",
        "not_after",
        "not_before",
        "path_length",
        "public_key",
        "purposes",
        "rsa_bits",
    )

    domains: tuple[tuple[str, ...], ...]
    """What it and each CA above it are limited to, where they are: one of each must fit."""

    def __init__(
        self, certificate: x509.Certificate, issuers: Iterable[x509.Certificate] = ()
    ) -> None:
        self.public_key = certificate.public_key()
        self.not_before = certificate.not_valid_before_utc
        self.not_after = certificate.not_valid_after_utc
        basic = extension(certificate, x509.BasicConstraints)
        if basic is None or not basic.ca:
            raise RequestRefused("the certificate is of no CA: it may certify nobody")
        self.path_length = basic.path_length
        limits = (_permitted(one) for one in (certificate, *issuers))
        self.domains = tuple(limit for limit in limits if limit)
        purposes = extension(certificate, x509.ExtendedKeyUsage)
        self.purposes = (
            frozenset() if purposes is None else frozenset(one.dotted_string for one in purposes)
        )
        is_rsa = isinstance(self.public_key, rsa.RSAPublicKey)
        self.rsa_bits = self.public_key.key_size if is_rsa else 0  # type: ignore[union-attr]


def _permitted(certificate: x509.Certificate) -> tuple[str, ...]:
    constraints = extension(certificate, x509.NameConstraints)
    return tuple(
        subtree.value
        for subtree in (constraints and constraints.permitted_subtrees) or ()
        if isinstance(subtree, x509.RFC822Name)
    )


def check(
    ca: CaFacts,
    request: CertificationRequest,
    profile: Profile,
    *,
    serial: int,
    at: datetime,
    crl_url: str,
) -> None:
    """Refuse what the profile forbids, and what every reader would refuse later.

    Raises ``RequestRefused``, and ``ProfileProblem`` for what no request can mend.
    """
    if at >= ca.not_after:
        raise RequestRefused(
            f"the CA's certificate ended on {ca.not_after:%Y-%m-%d}", hint="make a new CA"
        )
    if request.public_key == ca.public_key:
        raise RequestRefused("the key of the CA is not certified for a user")
    if profile.authority and ca.path_length == 0:
        raise RequestRefused("this CA may have no CA below it", hint="make it below the root")
    if keys.family(request.public_key) not in profile.key_usage:
        raise RequestRefused("the profile has no key usage for a key of this kind")
    _check_names(ca, request, profile)
    _check_purposes(ca, profile)
    if 0 < ca.rsa_bits < profile.ca_rsa_bits_min:
        raise RequestRefused(
            f"the CA's key has {ca.rsa_bits} bits, this profile asks for {profile.ca_rsa_bits_min}",
            hint="certify under a CA with a longer key, or under the profile internal",
        )
    if profile.baseline:
        _check_baseline(ca, request.public_key, profile, serial, at, crl_url)


def _check_names(ca: CaFacts, request: CertificationRequest, profile: Profile) -> None:
    if profile.names == "mail" and not request.addresses:
        raise RequestRefused(
            "no mail address to certify",
            hint="issue('alice@example.org'), or request.authorise('alice@example.org')",
        )
    if profile.names == "host" and not request.hosts:
        raise RequestRefused("no host to certify", hint="authorise(hosts=['mail.example.org'])")
    if request.hosts and profile.names != "host":
        raise RequestRefused("a host has no place in a certificate of this profile")
    if request.addresses and profile.names != "mail":
        raise RequestRefused("a mail address has no place in a certificate of this profile")
    for permitted in ca.domains:
        for address in request.addresses:
            if not any(_within(address, domain) for domain in permitted):
                raise RequestRefused(
                    f"{address!a} is outside of the CA's domains",
                    hint=f"they are {', '.join(permitted)}",
                )
    if request.hosts and ca.domains:
        raise RequestRefused("this CA is for mail alone: readers refuse hosts below it")


def _check_purposes(ca: CaFacts, profile: Profile) -> None:
    """Purposes of a CA limit those below it, though RFC 5280 does not say so; all readers do."""
    if not ca.purposes or _ANY_PURPOSE in ca.purposes:
        return
    # An answer about the CA's own certificates is not within the purposes of those.
    wanted = set(profile.purposes) - {_OCSP_SIGNING}
    if not profile.purposes or not wanted <= ca.purposes:
        raise RequestRefused(
            "the CA's own certificate does not allow the purposes of this profile",
            hint="certify it under the root, or under a CA made for that",
        )


def _check_baseline(
    ca: CaFacts,
    key: keys.PublicKey,
    profile: Profile,
    serial: int,
    at: datetime,
    crl_url: str,
) -> None:
    """Check what the Baseline Requirements ask beyond the profile's own data."""
    if 0 < ca.rsa_bits < 4096 and ca.not_before >= NEW_CA_KEYS_4096:
        raise RequestRefused(
            f"the CA's RSA key has {ca.rsa_bits} bits: the Baseline Requirements ask for 4096"
            f" in keys made after {NEW_CA_KEYS_4096:%Y-%m-%d}"
        )
    if 0 < ca.rsa_bits < 3072 and at >= OLD_CA_KEYS_3072:
        raise RequestRefused(
            f"the CA's RSA key has {ca.rsa_bits} bits: under the Baseline Requirements it signs"
            f" nothing after {OLD_CA_KEYS_3072:%Y-%m-%d}"
        )
    if not crl_url.startswith("http://"):
        raise RequestRefused(
            "the Baseline Requirements ask for the http:// address of the CA's CRL",
            hint="give the CA a crl_url",
        )
    if serial.bit_length() < LEAST_SERIAL_BITS:
        raise RequestRefused(f"a serial number of less than {LEAST_SERIAL_BITS} bits")
    purposes = set(profile.purposes)
    policies = [one for one in profile.policies if one.startswith(_BASELINE_POLICIES)]
    if len(policies) != 1 or _EMAIL_PROTECTION not in purposes:
        raise ProfileProblem(
            "under the Baseline Requirements there is one of their policies, and emailProtection"
        )
    others = purposes - {_EMAIL_PROTECTION}
    if others and policies[0].endswith(_STRICT):
        raise ProfileProblem("a strict profile has no purpose but emailProtection")
    if others - {_CLIENT_AUTH} and (_ANY_PURPOSE in others or at >= MAIL_PURPOSES_ONLY):
        raise ProfileProblem("a multipurpose profile has no purposes but mail and clientAuth")
    if profile.max_lifetime_days > 825:
        raise ProfileProblem("the Baseline Requirements allow 825 days at most")
    if keys.key_name(key) in _UNKNOWN_TO_BASELINE:
        raise RequestRefused("the Baseline Requirements know no keys of this kind")


def subject_of(request: CertificationRequest, profile: Profile) -> dict[str, str]:
    """Put together what the subject says, as the profile wants it.

    Raises ``RequestRefused`` for what is missing or has no place in it.
    """
    said = {**profile.subject, **request.subject}
    required = [spoken.split("|") for spoken in profile.subject_required]
    allowed = {*profile.subject_allowed, *profile.subject}.union(*required)
    for field in said:
        if field not in allowed:
            raise RequestRefused(f"a subject under this profile has no {field.replace('_', ' ')}")
    for fields in required:
        if not any(said.get(field) for field in fields):
            raise RequestRefused(
                f"the subject needs a {' or '.join(fields).replace('_', ' ')}",
                hint=f"give {fields[0]}=, or write it into a profile of your own",
            )
    if said.get("pseudonym") and (said.get("given_name") or said.get("surname")):
        raise RequestRefused("a pseudonym stands instead of a name, not beside it")
    said["common_name"] = _common_name(request, profile)
    return said


def _common_name(request: CertificationRequest, profile: Profile) -> str:
    """Give the common name; empty if only an address fits there and it is too long."""
    if profile.common_name == "required" and not request.name:
        raise RequestRefused("this profile needs a name", hint="give name=")
    first = next(iter((*request.addresses, *request.hosts)), "")
    name = first if profile.common_name in ("mailbox", "host") else request.name or first
    if profile.common_name == "mailbox" and request.name:
        raise RequestRefused(
            "this profile certifies an address and no person's name", hint="leave out the name"
        )
    if not name:
        raise RequestRefused("neither a name nor a mail address to certify")
    return name if len(name) <= 64 else ""


def _within(address: str, domain: str) -> bool:
    """Tell whether a permitted rfc822Name covers an address (RFC 5280 §4.2.1.10)."""
    host = address.rpartition("@")[2]
    return host.endswith(domain) if domain.startswith(".") else host == domain


def extension(certificate: x509.Certificate, kind: type[E]) -> E | None:
    """Give an extension's value, or None if the certificate has none of that kind."""
    try:
        return certificate.extensions.get_extension_for_class(kind).value
    except x509.ExtensionNotFound:
        return None


def reads(certificate: x509.Certificate) -> bool:
    """Say whether mail may be sealed to the key of this certificate (RFC 8550 §4.4.2)."""
    usage = extension(certificate, x509.KeyUsage)
    return usage is None or usage.key_encipherment or usage.key_agreement
