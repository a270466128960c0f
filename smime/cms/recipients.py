"""RecipientInfos: the content key sealed for each reader, and got back by one.

What depends on a private key never shows: a value that does not unwrap is
replaced by one that nobody can predict, and decryption goes on with it, so
that a wrong key, a wrong padding and a wrong tag look the same from outside.

Floor:  cms (uses errors)
Source: RFC 5652 §6.2; RFC 8017 §7 for RSA; RFC 5753 for key agreement
"""

from __future__ import annotations

import hashlib
import hmac
import os

from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa
from cryptography.hazmat.primitives.kdf.x963kdf import X963KDF
from cryptography.hazmat.primitives.keywrap import InvalidUnwrap, aes_key_unwrap, aes_key_wrap
from cryptography.hazmat.primitives.serialization import Encoding, PublicFormat

from smime.cms import algorithms as alg
from smime.cms.ber import octets
from smime.cms.der import (
    NULL,
    OCTET_STRING,
    SEQUENCE,
    children,
    integer,
    octet_string,
    sequence,
    set_of,
    tlv,
    top,
)
from smime.cms.names import (
    by_value,
    computed_identifier,
    describe,
    issuer_and_serial,
    key_identifiers,
)
from smime.errors import KeyProblem, LimitExceeded, MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from typing import TypeAlias

    from cryptography import x509

    from smime.cms.der import Node

    Unwrap: TypeAlias = Callable[[int], bytes]

__all__ = ["OpeningKey", "RecipientKey", "Sealed", "find", "read", "seal"]

MAX_RECIPIENTS = 20_000  # the largest known mailings in one message have some thousands
MAX_TRIALS = 16  # recipients tried for a key that comes without a certificate
UKM_OCTETS = 64  # RFC 5753 §7.2 and NIST SP 800-56A: fresh for each message

_ZERO, _TWO, _THREE = integer(0), integer(2), integer(3)
_OAEP_SHA256 = sequence(
    alg.RSA_OAEP,
    sequence(
        tlv(0xA0, alg.DIGEST_ALGORITHM["sha256"]),
        tlv(0xA1, sequence(alg.MGF1, alg.DIGEST_ALGORITHM["sha256"])),
    ),
)
# What a substitute for a content key is derived from: new for each process,
# never shown. The same message then fails in the same way every time; a fresh
# substitute each time would make failures differ, which tells something.
_SUBSTITUTE_SECRET = os.urandom(32)


class RecipientKey:
    """The public key of a certificate, made ready to seal many times.

    Raises ``NotSupported`` for a key that cannot be written to.
    """

    __slots__ = ("_identifier", "_public", "certificate", "curve", "kind")

    def __init__(self, certificate: x509.Certificate) -> None:
        self.certificate = certificate
        self._identifier = issuer_and_serial(certificate.public_bytes(Encoding.DER))
        public = certificate.public_key()
        self.curve = ""
        if isinstance(public, rsa.RSAPublicKey):
            self.kind = "rsa"
        elif isinstance(public, ec.EllipticCurvePublicKey):
            self.kind, self.curve = "ec", public.curve.name
            if self.curve not in _KDF_OF_CURVE:
                raise NotSupported(f"encrypting to a key on curve {self.curve}")
        else:
            name = type(public).__name__.removesuffix("PublicKey")
            raise NotSupported(f"encrypting to a key of kind {name}")
        self._public = public

    def transport(self, content_key: bytes, how: str) -> bytes:
        """Return a KeyTransRecipientInfo (RFC 5652 §6.2.1); for RSA keys."""
        public: rsa.RSAPublicKey = self._public  # type: ignore[assignment]
        if how == "rsa-oaep":
            algorithm = _OAEP_SHA256
            sealed = public.encrypt(content_key, _oaep("sha256", "sha256", b""))
        else:
            algorithm = alg.RSA_SIGNATURE
            sealed = public.encrypt(content_key, _PKCS1)
        return sequence(_ZERO, self._identifier, algorithm, octet_string(sealed))

    def agreed(self, ephemeral: ec.EllipticCurvePrivateKey, shared_info: bytes, wrap: int) -> bytes:
        """Return the key that wraps the content key for this reader; for EC keys."""
        public: ec.EllipticCurvePublicKey = self._public  # type: ignore[assignment]
        secret = ephemeral.exchange(ec.ECDH(), public)
        return _x963(secret, shared_info, wrap, _KDF_OF_CURVE[self.curve])

    @property
    def identifier(self) -> bytes:
        """IssuerAndSerialNumber, as it is written."""
        return self._identifier


_KDF_OF_CURVE = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}


_PKCS1 = padding.PKCS1v15()


def _oaep(digest: str, mask_digest: str, label: bytes) -> padding.OAEP:
    return padding.OAEP(
        padding.MGF1(alg.hash_class(mask_digest)), alg.hash_class(digest), label or None
    )


def _x963(secret: bytes, shared_info: bytes, length: int, digest: str) -> bytes:
    return X963KDF(alg.hash_class(digest), length, shared_info).derive(secret)


def _shared_info(wrap_algorithm: bytes, ukm: bytes, wrap: int) -> bytes:
    """Return ECC-CMS-SharedInfo (RFC 5753 §7.2)."""
    parts = [wrap_algorithm]
    if ukm:
        parts.append(tlv(0xA0, octet_string(ukm)))
    parts.append(tlv(0xA2, octet_string((wrap * 8).to_bytes(4, "big"))))
    return sequence(*parts)


def seal(content_key: bytes, readers: Sequence[RecipientKey], how: str) -> tuple[bytes, bool]:
    """Return RecipientInfos for every reader, and whether any is not KTRI version 0.

    ``how`` is ``rsa-v15`` or ``rsa-oaep`` and goes for RSA keys. Readers on one
    curve share one ephemeral key.
    """
    if len(readers) > MAX_RECIPIENTS:
        raise LimitExceeded(f"more than {MAX_RECIPIENTS} recipients in one message")
    infos = [one.transport(content_key, how) for one in readers if one.kind == "rsa"]
    by_curve: dict[str, list[RecipientKey]] = {}
    for one in readers:
        if one.kind == "ec":
            by_curve.setdefault(one.curve, []).append(one)
    infos += [_agree(content_key, group, curve) for curve, group in by_curve.items()]
    return set_of(*infos), bool(by_curve)


def _agree(content_key: bytes, readers: list[RecipientKey], curve: str) -> bytes:
    """Return one KeyAgreeRecipientInfo for readers on one curve (RFC 5652 §6.2.2)."""
    curves = {"secp256r1": ec.SECP256R1(), "secp384r1": ec.SECP384R1(), "secp521r1": ec.SECP521R1()}
    ephemeral = ec.generate_private_key(curves[curve])
    point = ephemeral.public_key().public_bytes(Encoding.X962, PublicFormat.UncompressedPoint)
    ukm = os.urandom(UKM_OCTETS)
    wrap = len(content_key)
    wrap_algorithm = sequence(alg.KEY_WRAP[wrap])
    shared_info = _shared_info(wrap_algorithm, ukm, wrap)
    sealed = [
        sequence(
            one.identifier,
            octet_string(aes_key_wrap(one.agreed(ephemeral, shared_info, wrap), content_key)),
        )
        for one in readers
    ]
    originator = tlv(0xA1, sequence(alg.EC_PUBLIC_KEY) + tlv(0x03, b"\x00" + point))
    return tlv(
        0xA1,
        _THREE
        + tlv(0xA0, originator)
        + tlv(0xA1, octet_string(ukm))
        + sequence(alg.AGREEMENT_WRITTEN[_KDF_OF_CURVE[curve]], wrap_algorithm)
        + sequence(*sealed),
    )


class OpeningKey:
    """A private key that opens what was sealed for it, with its certificate or alone."""

    __slots__ = (
        "_private",
        "certificate",
        "computed",
        "identifier",
        "key_identifiers",
        "kind",
        "label",
    )

    def __init__(
        self, key: object, certificate: x509.Certificate | None = None, label: str = ""
    ) -> None:
        self.label = label
        """Whose key it is, for reports: the certificate's addresses."""
        self.certificate = certificate
        self.kind = (
            "rsa"
            if isinstance(key, rsa.RSAPrivateKey)
            else "ec"
            if isinstance(key, ec.EllipticCurvePrivateKey)
            else ""
        )
        public_key = getattr(key, "public_key", None)
        if not callable(public_key):
            raise KeyProblem(f"{type(key).__name__} is not a private key that opens mail")
        self.computed = computed_identifier(public_key())
        self._private = key
        self.identifier = b""
        self.key_identifiers: tuple[bytes, ...] = (self.computed,)
        if certificate is not None:
            self.identifier = issuer_and_serial(certificate.public_bytes(Encoding.DER))
            self.key_identifiers = key_identifiers(certificate)

    @property
    def modulus_octets(self) -> int:
        """Length of the modulus of an RSA key, 0 for others."""
        if self.kind != "rsa":
            return 0
        return (self._private.key_size + 7) // 8  # type: ignore[attr-defined,no-any-return]

    @property
    def curve(self) -> str:
        """Name of the curve of an EC key, else empty."""
        return self._private.curve.name if self.kind == "ec" else ""  # type: ignore[attr-defined]

    def decrypt(self, sealed: bytes, pad: padding.AsymmetricPadding) -> bytes:
        """Decrypt with an RSA key; raises ``ValueError``."""
        return self._private.decrypt(sealed, pad)  # type: ignore[attr-defined,no-any-return]

    def exchange(self, point: bytes) -> bytes:
        """Agree with an EC key on a secret; raises ``ValueError`` for a point off the curve."""
        private: ec.EllipticCurvePrivateKey = self._private  # type: ignore[assignment]
        public = ec.EllipticCurvePublicKey.from_encoded_point(private.curve, point)
        return private.exchange(ec.ECDH(), public)

    def __repr__(self) -> str:
        return f"<OpeningKey {self.kind} {self.computed.hex()[:16]}>"

    def __reduce__(self) -> str:
        raise TypeError("a private key does not leave its process: load it where it is used")


class Sealed:
    """One way in: a recipient as it stands in the message."""

    __slots__ = ("identifier", "key_identifier", "kind", "unwrap_with", "why_not")

    def __init__(
        self,
        *,
        kind: str,
        identifier: bytes = b"",
        key_identifier: bytes = b"",
        unwrap_with: Callable[[OpeningKey], Unwrap] | None = None,
        why_not: str = "",
    ) -> None:
        self.kind = kind
        self.identifier = identifier
        self.key_identifier = key_identifier
        self.unwrap_with = unwrap_with
        self.why_not = why_not
        """Why nobody can be this recipient here: an algorithm that is not supported."""

    @property
    def name(self) -> str:
        """The recipient for people: ``serial 1f2e issued by Test CA``."""
        if self.identifier:
            return describe(self.identifier, top(self.identifier))
        return f"key {self.key_identifier.hex()}" if self.key_identifier else self.kind


def read(data: bytes, recipients: Node) -> list[Sealed]:
    """Read a SET OF RecipientInfo; kinds that are not known are named and stay out of the way."""
    found: list[Sealed] = []
    for node in children(data, recipients):
        if node[0] == SEQUENCE:
            found.append(_read_transport(data, node))
        elif node[0] == 0xA1:
            found += _read_agreement(data, node)
        else:
            kind = {0xA2: "a shared key", 0xA3: "a passphrase"}.get(node[0], "another kind of key")
            found.append(Sealed(kind=kind, why_not=f"recipients by {kind} are not supported"))
    if len(found) > MAX_RECIPIENTS:
        raise LimitExceeded(f"the message has more than {MAX_RECIPIENTS} recipients")
    return found


def _identifier(data: bytes, node: Node) -> tuple[bytes, bytes]:
    """Return (IssuerAndSerialNumber, key identifier) of a recipient; one of them is empty."""
    if node[0] == SEQUENCE:
        return data[node[1] : node[3]], b""
    if node[0] == 0x80:
        return b"", data[node[2] : node[3]]
    if node[0] == 0xA0:
        inner = children(data, node)
        # RecipientKeyIdentifier is a sequence of the identifier, and a date perhaps.
        return b"", octets(data, inner[0]) if inner else b""
    raise MalformedMail("a recipient is named in no known way")


def _read_transport(data: bytes, node: Node) -> Sealed:
    fields = children(data, node)
    if len(fields) < 4 or fields[3][0] & ~0x20 != OCTET_STRING:
        raise MalformedMail("a recipient does not have the form of one")
    identifier, key_identifier = _identifier(data, fields[1])
    sealed = octets(data, fields[3])
    try:
        pad = _transport_padding(data, fields[2])
    except NotSupported as unknown:
        return Sealed(
            kind="rsa",
            identifier=identifier,
            key_identifier=key_identifier,
            why_not=str(unknown),
        )

    def unwrap_with(key: OpeningKey) -> Unwrap:
        def unwrap(length: int) -> bytes:
            try:
                value = key.decrypt(sealed, pad)
            except ValueError:
                value = b""
            return _right_length(value, length, sealed)

        return unwrap

    return Sealed(
        kind="rsa",
        identifier=identifier,
        key_identifier=key_identifier,
        unwrap_with=unwrap_with,
    )


def _right_length(value: bytes, length: int, sealed: bytes) -> bytes:
    """Return ``value`` if it can be the content key, else a substitute for it."""
    substitute = hmac.digest(_SUBSTITUTE_SECRET, sealed, "sha256")[:length]
    return value if len(value) == length else substitute


def _transport_padding(data: bytes, node: Node) -> padding.AsymmetricPadding:
    parts = children(data, node)
    if not parts or parts[0][0] != 0x06:
        raise MalformedMail("a recipient names no algorithm")
    kind = data[parts[0][2] : parts[0][3]]
    if kind == alg.RSA_ENCRYPTION[2:]:
        return _PKCS1
    if kind != alg.RSA_OAEP[2:]:
        from smime.cms.der import oid_text

        raise NotSupported(f"key transport {oid_text(kind)} is not supported")
    # RFC 8017 A.2.1: what is absent is SHA-1, MGF1 with SHA-1, and the empty label.
    digest, mask_digest, label = "sha1", "sha1", b""
    given = children(data, parts[1]) if len(parts) > 1 and parts[1][0] == SEQUENCE else []
    for one in given:
        inner = children(data, one)
        if one[0] not in (0xA0, 0xA1, 0xA2) or len(inner) != 1:
            raise NotSupported("OAEP with parameters of an unknown form")
        described = children(data, inner[0])
        name = data[described[0][2] : described[0][3]] if described else b""
        if one[0] == 0xA0:
            digest = alg.named(alg.DIGEST_OF, name, "OAEP digest")
        elif one[0] == 0xA1:
            of = children(data, described[1]) if len(described) == 2 else []
            if name != alg.MGF1[2:] or not of:
                raise NotSupported("OAEP with a mask generation other than MGF1")
            mask_digest = alg.named(alg.DIGEST_OF, data[of[0][2] : of[0][3]], "MGF1 digest")
        else:
            if name != alg.P_SPECIFIED[2:] or len(described) != 2:
                raise NotSupported("OAEP with a label of an unknown form")
            label = octets(data, described[1])
    return _oaep(digest, mask_digest, label)


def _read_agreement(data: bytes, node: Node) -> list[Sealed]:
    fields = children(data, node)
    if len(fields) < 4 or fields[1][0] != 0xA0:
        raise MalformedMail("a key agreement recipient does not have the form of one")
    ukm = b""
    rest = fields[2:]
    if rest[0][0] == 0xA1:
        inner = children(data, rest[0])
        ukm = octets(data, inner[0]) if inner else b""
        rest = rest[1:]
    if len(rest) < 2 or rest[1][0] != SEQUENCE:
        raise MalformedMail("a key agreement recipient holds no keys")
    why_not = ""
    agreement: _Agreement | None = None
    try:
        agreement = _Agreement(data, fields[1], rest[0], ukm)
    except NotSupported as unknown:
        why_not = str(unknown)
    found = []
    for one in children(data, rest[1]):
        parts = children(data, one)
        if len(parts) != 2 or parts[1][0] & ~0x20 != OCTET_STRING:
            raise MalformedMail("a key agreement recipient does not have the form of one")
        identifier, key_identifier = _identifier(data, parts[0])
        found.append(
            Sealed(
                kind="ec",
                identifier=identifier,
                key_identifier=key_identifier,
                unwrap_with=agreement.unwrapper(octets(data, parts[1])) if agreement else None,
                why_not=why_not,
            )
        )
    return found


class _Agreement:
    """What all keys of one KeyAgreeRecipientInfo share."""

    __slots__ = ("_digest", "_forms", "_point", "_wrap")

    def __init__(self, data: bytes, originator: Node, algorithm: Node, ukm: bytes) -> None:
        parts = children(data, algorithm)
        kind = data[parts[0][2] : parts[0][3]] if parts else b""
        self._digest = alg.named(alg.AGREEMENTS, kind, "key agreement")
        if len(parts) != 2 or parts[1][0] != SEQUENCE:
            raise MalformedMail("a key agreement names no key wrap")
        wrap_oid = children(data, parts[1])[0]
        wrap = alg.KEY_WRAP_OF.get(data[wrap_oid[2] : wrap_oid[3]])
        if wrap is None:
            raise NotSupported("the key wrap of a key agreement is not supported")
        self._wrap = wrap
        inner = children(data, originator)
        if len(inner) != 1 or inner[0][0] != 0xA1:
            raise NotSupported("a sender's static key in key agreement is not supported")
        key = children(data, inner[0])
        if len(key) != 2 or key[1][0] != 0x03:
            raise MalformedMail("the sender's key of a key agreement is not there")
        self._point = data[key[1][2] + 1 : key[1][3]]
        # The wrap algorithm's parameters are absent by RFC 3565; some senders
        # put NULL into what the key is derived from, so that is tried as well.
        as_sent = data[parts[1][1] : parts[1][3]]
        other = sequence(alg.KEY_WRAP[wrap], NULL)
        if as_sent == other:
            other = sequence(alg.KEY_WRAP[wrap])
        self._forms = [_shared_info(form, ukm, wrap) for form in (as_sent, other)]

    def unwrapper(self, sealed: bytes) -> Callable[[OpeningKey], Unwrap]:
        def unwrap_with(key: OpeningKey) -> Unwrap:
            def unwrap(length: int) -> bytes:
                try:
                    secret = key.exchange(self._point)
                except ValueError:
                    secret = hashlib.sha256(_SUBSTITUTE_SECRET + sealed).digest()
                value = b""
                for shared_info in self._forms:
                    wrapping_key = _x963(secret, shared_info, self._wrap, self._digest)
                    try:
                        value = aes_key_unwrap(wrapping_key, sealed)
                    except (InvalidUnwrap, ValueError):
                        continue
                    break
                return _right_length(value, length, sealed)

            return unwrap

        return unwrap_with


def find(sealed: Sequence[Sealed], keys: Iterable[OpeningKey]) -> list[tuple[OpeningKey, Sealed]]:
    """Return the ways in for these keys, chosen by public data alone.

    One pair where a recipient is named by the certificate or key identifier of
    a key. For RSA keys without certificate, and only when nothing else fits,
    up to ``MAX_TRIALS`` pairs to be tried, all of them.
    """
    by_name: dict[bytes, OpeningKey] = {}
    bare: list[OpeningKey] = []
    for key in keys:
        if key.identifier:
            by_name.setdefault(key.identifier, key)
        else:
            bare.append(key)
        for identifier in key.key_identifiers:
            by_name.setdefault(b"key:" + identifier, key)
    why_not = ""
    for one in sealed:
        fitting = by_name.get(one.identifier or b"key:" + one.key_identifier)
        if fitting is not None and fitting.kind == one.kind:
            if one.unwrap_with is not None:
                return [(fitting, one)]
            why_not = one.why_not
    values = {by_value(key.identifier): key for key in by_name.values() if key.identifier}
    for one in sealed if values else ():
        fitting = values.get(by_value(one.identifier)) if one.identifier else None
        if fitting is not None and fitting.kind == one.kind and one.unwrap_with is not None:
            return [(fitting, one)]
    if why_not:
        raise NotSupported(why_not)
    return [
        (key, one) for key in bare for one in sealed if one.kind == key.kind and one.unwrap_with
    ][:MAX_TRIALS]
