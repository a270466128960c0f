"""What a CA is asked to certify: a key that was proven, and names that were authorised.

A request (CSR) proves who holds the key. It never says who somebody is: the names
in it are the asker's wish, so they are not read; ``authorise`` gives the names.

Floor:  requests (uses errors, keys and names)
Source: RFC 2986 for the request, RFC 9883 for the statement of possession
"""

from __future__ import annotations

import hashlib

from pki import keys
from pki.errors import RequestRefused
from pki.names import (
    MAX_NAME,
    checked_address,
    checked_attribute,
    checked_host,
    checked_name,
    checked_url,
)
from smime.cms.der import children, sequence, top

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable
    from typing import Self, TypeAlias

    from cryptography import x509

    Find: TypeAlias = Callable[[bytes, int], x509.Certificate | None]
    """Gives the certificate with an issuer's name, in DER, and a serial number."""

__all__ = ["MAX_NAME", "CertificationRequest", "check_wishes", "checked_address"]
__all__ += ["checked_name", "checked_url"]

MAX_REQUEST_OCTETS = 65_536  # a request for an 8192-bit RSA key has under 3,000
MAX_ADDRESSES = 100  # of one person; every sender's program walks them at each message
MAX_HOSTS = 100  # of one server; its certificate travels at each connection

_PROOF_HASHES = frozenset({"sha256", "sha384", "sha512", "sha3-256", "sha3-384", "sha3-512"})
_SMTP_UTF8 = "1.3.6.1.5.5.7.8.9"  # id-on-SmtpUTF8Mailbox (RFC 9598 §3)
_POSSESSION = "1.3.6.1.4.1.22112.2.1"  # id-at-privateKeyPossessionStatement (RFC 9883 §3)


class CertificationRequest:
    """A public key with the names that were authorised for it.

    The constructor takes a key whose owner is known to hold it; ``parse`` reads
    that proof from a CSR. Neither believes a name: ``authorise`` adds them.
    """

    __slots__ = (
        "_spki",
        "addresses",
        "hosts",
        "name",
        "proof",
        "public_key",
        "stated_by",
        "subject",
    )

    public_key: keys.PublicKey
    addresses: tuple[str, ...]
    name: str
    """The common name: a person's, or a CA's."""
    hosts: tuple[str, ...]
    """For a server: the names that it is reached by."""
    subject: dict[str, str]
    """What else the subject says, by the names of ``pki.names.ATTRIBUTES``."""
    proof: str
    """How its holder proved the private key: ``signed`` (by a CSR), ``stated`` (by another
    key of the same person, not proven), ``known`` (made here, or by word of the caller)."""
    stated_by: x509.Certificate | None
    """Whose word ``stated`` is: the certificate that signed the request (RFC 9883).
    Who issues sees to it that it is of the same person, and good."""

    def __init__(
        self,
        public_key: keys.PublicKey,
        addresses: Iterable[str] = (),
        name: str = "",
        *,
        hosts: Iterable[str] = (),
        **subject: str,
    ) -> None:
        self._fill(keys.check(public_key), addresses, name, hosts, subject)
        self.proof = "known"
        self.stated_by = None

    def _fill(
        self,
        checked_key: keys.PublicKey,
        addresses: Iterable[str],
        name: str,
        hosts: Iterable[str],
        subject: dict[str, str],
    ) -> None:
        self.public_key = checked_key
        self._spki = b""
        # Dicts, not sets: the order given is the order in the certificate.
        self.addresses = tuple(dict.fromkeys(checked_address(one) for one in addresses))
        self.hosts = tuple(dict.fromkeys(_checked_server(one) for one in hosts))
        if len(self.addresses) > MAX_ADDRESSES or len(self.hosts) > MAX_HOSTS:
            raise RequestRefused(f"more than {MAX_ADDRESSES} addresses in one certificate")
        self.name = checked_name(name)
        self.subject = {field: checked_attribute(field, text) for field, text in subject.items()}

    def __repr__(self) -> str:
        names = ", ".join((*self.addresses, *self.hosts))
        return f"<CertificationRequest {self.name or names or 'unnamed'}>"

    @property
    def spki(self) -> bytes:
        """The SubjectPublicKeyInfo of the key, in DER."""
        if not self._spki:
            self._spki = keys.spki(self.public_key)
        return self._spki

    @property
    def key_id(self) -> bytes:
        """SHA-256 of the public key: by it one key in two certificates is found."""
        return hashlib.sha256(self.spki).digest()

    @classmethod
    def parse(cls, data: bytes, *, find: Find | None = None) -> Self:
        """Read a CSR, DER or PEM, and check that its maker holds the private key.

        The names in it are not taken. A key that cannot sign (X25519, X448, ML-KEM)
        comes in a request signed by another, certified key of the same person:
        ``find(issuer_der, serial)`` gives its certificate, or None. Then ``proof`` is
        ``stated``, and ``stated_by`` that certificate.

        Raises ``RequestRefused``.
        """
        csr = _load(data)
        try:
            public_key = csr.public_key()
        except _trouble() as error:
            raise RequestRefused("the key in the request cannot be read") from error
        statement = _statement(csr)
        made = cls.__new__(cls)
        if statement is None:
            _demand_signature(csr, public_key, "the key in it")
            made._fill(keys.check(public_key), (), "", (), {})
            made.proof, made.stated_by = "signed", None
            return made
        signer = find(*statement) if find is not None else None
        if signer is None:
            raise RequestRefused(
                "the request is signed by a key whose certificate is not known here",
                hint="sign it with a key that this CA certified",
            )
        _demand_signature(csr, signer.public_key(), "the key of the certificate that it names")
        checked = keys.check(public_key)
        if checked == signer.public_key():
            raise RequestRefused("the request names its own key as another one that vouches for it")
        made._fill(checked, (), "", (), {})
        made.proof, made.stated_by = "stated", signer
        return made

    def authorise(
        self, *addresses: str, name: str = "", hosts: Iterable[str] = (), **subject: str
    ) -> CertificationRequest:
        """Give the same key with the names that the CA found to be its holder's."""
        made = CertificationRequest.__new__(CertificationRequest)
        made._fill(self.public_key, addresses, name, hosts, subject)
        made.proof, made.stated_by = self.proof, self.stated_by
        return made


def _checked_server(host: str) -> str:
    star = "*." if host.startswith("*.") else ""
    return star + checked_host(host.removeprefix("*."))


def _trouble() -> tuple[type[Exception], ...]:
    """All that the parser raises on bytes made to trouble it; not one family."""
    from cryptography import x509
    from cryptography.exceptions import UnsupportedAlgorithm

    return (ValueError, TypeError, x509.InvalidVersion, UnsupportedAlgorithm)


def _load(data: bytes) -> x509.CertificateSigningRequest:
    from cryptography import x509

    if len(data) > MAX_REQUEST_OCTETS:
        raise RequestRefused(f"a request of more than {MAX_REQUEST_OCTETS} octets")
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_csr(data)
        return x509.load_der_x509_csr(data)
    except _trouble() as error:
        raise RequestRefused(
            "not a certification request that can be read",
            hint="send a PKCS#10 request (CSR), as PEM or DER",
        ) from error


def _demand_signature(csr: x509.CertificateSigningRequest, key: object, whose: str) -> None:
    """Refuse a request that this key did not sign."""
    from cryptography.exceptions import InvalidSignature
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    try:
        digest = csr.signature_hash_algorithm
        if isinstance(key, rsa.RSAPublicKey | ec.EllipticCurvePublicKey):
            if digest is None or digest.name not in _PROOF_HASHES:
                raise RequestRefused(
                    "the request is signed with a hash that proves nothing today",
                    hint="sign the request with SHA-256",
                )
            if isinstance(key, rsa.RSAPublicKey):
                scheme = csr.signature_algorithm_parameters
                if not isinstance(scheme, padding.PKCS1v15 | padding.PSS):
                    raise InvalidSignature
                key.verify(csr.signature, csr.tbs_certrequest_bytes, scheme, digest)
            else:
                key.verify(csr.signature, csr.tbs_certrequest_bytes, ec.ECDSA(digest))
            return
        name = keys.key_name(key)
        # The algorithm named must be the key's own: nothing else was signed.
        pure = keys.pure_algorithm(name)
        if pure is None or csr.signature_algorithm_oid.dotted_string != pure:
            raise RequestRefused(
                "a key of this kind cannot sign the request for its certificate",
                hint="have the CA make the key, or sign with a certified key (RFC 9883)",
            )
        key.verify(csr.signature, csr.tbs_certrequest_bytes)  # type: ignore[attr-defined]
    except RequestRefused:
        raise
    except Exception as error:
        if not isinstance(error, (InvalidSignature, *_trouble())):
            raise
        raise RequestRefused(
            f"the request is not signed by {whose}",
            hint="make the request again with the private key that belongs to it",
        ) from error


def _statement(csr: x509.CertificateSigningRequest) -> tuple[bytes, int] | None:
    """Find issuer, as DER, and serial number in a statement of possession (RFC 9883 §3).

    The attribute may carry the certificate as well. It is not looked at: whom the CA
    certified it knows from its own records.
    """
    from cryptography import x509

    from smime import SmimeError

    try:
        values = [one for one in csr.attributes if one.oid.dotted_string == _POSSESSION]
    except _trouble() as error:
        raise RequestRefused("the attributes of the request cannot be read") from error
    if not values:
        return None
    if len(values) > 1:
        raise RequestRefused("the request holds more than one statement of possession")
    # PrivateKeyPossessionStatement ::= SEQUENCE { signer IssuerAndSerialNumber, cert ... }
    content = values[0].value
    whole = sequence(content)
    try:
        [name, serial] = children(whole, children(whole, top(whole))[0])[:2]
    except (SmimeError, ValueError, IndexError) as error:
        raise RequestRefused("the statement of possession in the request is damaged") from error
    if name[0] != 0x30 or serial[0] != 0x02:
        raise RequestRefused("the statement of possession in the request is damaged")
    number = int.from_bytes(whole[serial[2] : serial[3]], "big", signed=True)
    assert isinstance(csr, x509.CertificateSigningRequest)
    return whole[name[1] : name[3]], number


def check_wishes(csr: bytes, addresses: Iterable[str], hosts: Iterable[str] = ()) -> None:
    """Refuse a request that asks for a name which is not among those authorised.

    Nothing of it would be certified; but who sends a request for somebody else has
    mistaken the file, or means no good. Compared are mail addresses and hosts, in the
    alternative names and the subject; of other names in a subject none is looked at.

    Raises ``RequestRefused``.
    """
    from cryptography import x509
    from cryptography.x509.oid import NameOID

    from smime import SmimeError

    trouble: tuple[type[Exception], ...] = (*_trouble(), SmimeError)
    given = {checked_address(one) for one in addresses} | {_checked_server(one) for one in hosts}
    request = _load(csr)
    try:
        asked = [
            str(one.value)
            for kind in (NameOID.EMAIL_ADDRESS, NameOID.COMMON_NAME)
            for one in request.subject.get_attributes_for_oid(kind)
            if kind == NameOID.EMAIL_ADDRESS or "@" in str(one.value)
        ]
        for extension in request.extensions:
            if isinstance(extension.value, x509.SubjectAlternativeName):
                asked += [_wish(name) for name in extension.value]
    except trouble as error:
        raise RequestRefused("the names in the request cannot be read") from error
    for wish in asked:
        if _as_certified(wish) not in given:
            raise RequestRefused(
                f"the request asks for {wish!a}, which is not among the names given",
                hint="is it the right file? --ignore-names certifies its key all the same",
            )


def _wish(name: x509.GeneralName) -> str:
    from cryptography import x509

    if isinstance(name, x509.OtherName) and name.type_id.dotted_string == _SMTP_UTF8:
        node = top(name.value)
        return name.value[node[2] : node[3]].decode("utf-8")
    return str(name.value)


def _as_certified(wish: str) -> str:
    for check in (checked_address, _checked_server):
        try:
            return check(wish)
        except RequestRefused:
            continue
    return ""
