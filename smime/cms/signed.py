"""SignedData: made by joining bytes, and checked signer by signer.

``check`` is mathematics: does the content have the digest that was signed, and
was the signature value made with the key of this certificate? Whether that key
may speak for anybody is asked elsewhere.

Floor:  cms (uses errors, report, policy)
Source: RFC 5652 §5; RFC 5754 for algorithms; RFC 8551 §2.5 for the attributes
"""

from __future__ import annotations

from smime.cms import attributes as attrs
from smime.cms.algorithms import (
    DATA,
    DIGEST_ALGORITHM,
    ECDSA_SIGNATURE,
    RSA_SIGNATURE,
    SIGNED_DATA,
    digest,
    hash_class,
)
from smime.cms.der import enclose, head, integer, sequence, set_of, tlv
from smime.cms.names import issuer_and_serial
from smime.errors import KeyProblem, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Sequence
    from datetime import datetime

    from cryptography import x509

    from smime.policy import Policy

__all__ = ["SigningKey", "build"]

_ID_SIGNED_DATA = tlv(0x06, SIGNED_DATA)
_ID_DATA = tlv(0x06, DATA)
_ONE = integer(1)
_THREE = integer(3)
_DIGEST_SET = {name: set_of(whole) for name, whole in DIGEST_ALGORITHM.items()}


class SigningKey:
    """A private key with its certificate and chain, made ready to sign many times.

    ``key`` is a private key of ``cryptography`` (RSA, or EC on P-256, P-384 or
    P-521), or an object with ``certificate`` and ``sign(data, algorithm)``.
    Raises ``NotSupported`` for a key of another kind.
    """

    __slots__ = ("_around", "_sign", "certificate", "certificates_der", "digest", "kind")

    def __init__(
        self, key: object, certificate: x509.Certificate, chain: Sequence[x509.Certificate] = ()
    ) -> None:
        from cryptography.hazmat.primitives.asymmetric import ec, rsa
        from cryptography.hazmat.primitives.serialization import Encoding

        self.certificate = certificate
        leaf_der = certificate.public_bytes(Encoding.DER)
        # A root that signed itself stays out: whoever trusts it has it, and
        # nobody may come to trust it because it was in a mail.
        above = (one.public_bytes(Encoding.DER) for one in chain if one.issuer != one.subject)
        self.certificates_der = tuple(sorted({leaf_der, *above}))  # SET OF in DER order
        public = certificate.public_key()
        if isinstance(public, rsa.RSAPublicKey):
            self.kind, self.digest = "rsa", "sha256"
        elif isinstance(public, ec.EllipticCurvePublicKey):
            by_curve = {"secp256r1": "sha256", "secp384r1": "sha384", "secp521r1": "sha512"}
            if public.curve.name not in by_curve:
                raise NotSupported(f"signing with a key on curve {public.curve.name}")
            self.kind, self.digest = "ec", by_curve[public.curve.name]
        else:
            name = type(public).__name__.removesuffix("PublicKey")
            raise NotSupported(f"signing with a key of kind {name}")
        self._sign = _signer(key, self.kind)
        # What stands before and behind the attributes of a SignerInfo, by digest.
        sid = issuer_and_serial(leaf_der)
        self._around = {
            name: (
                _ONE + sid + DIGEST_ALGORITHM[name],
                RSA_SIGNATURE if self.kind == "rsa" else ecdsa,
            )
            for name, ecdsa in ECDSA_SIGNATURE.items()
        }

    def sign(self, data: bytes, algorithm: str) -> bytes:
        """Return the signature value over ``data`` with the digest named."""
        return self._sign(data, algorithm)

    def signer_info(
        self, content_type: bytes, content_digest: bytes, name: str, at: datetime
    ) -> bytes:
        """Return the SignerInfo for content with this digest (RFC 5652 §5.3)."""
        signed = attrs.write(content_type, content_digest, at)
        value = self._sign(signed, name)
        before, behind = self._around[name]
        return sequence(before, b"\xa0", signed[1:], behind, head(0x04, len(value)), value)


def _signer(key: object, kind: str) -> Callable[[bytes, str], bytes]:
    """Return ``sign(data, digest name)`` for a private key or a foreign signer."""
    from cryptography.hazmat.primitives.asymmetric import ec, padding, rsa

    if isinstance(key, rsa.RSAPrivateKey):
        pkcs1 = padding.PKCS1v15()
        hash_of = {name: hash_class(name) for name in ECDSA_SIGNATURE}
        sign_rsa = key.sign
        return lambda data, name: sign_rsa(data, pkcs1, hash_of[name])
    if isinstance(key, ec.EllipticCurvePrivateKey):
        ecdsa = {name: ec.ECDSA(hash_class(name)) for name in ECDSA_SIGNATURE}
        sign_ec = key.sign
        return lambda data, name: sign_ec(data, ecdsa[name])
    sign = getattr(key, "sign", None)
    if not callable(sign) or not hasattr(key, "certificate"):
        raise KeyProblem(
            f"{type(key).__name__} cannot sign with an {kind.upper()} certificate",
            hint="give a private key, or an object with .certificate and .sign(data, algorithm)",
        )
    return lambda data, name: bytes(sign(data, name))


def build(
    content: bytes,
    signers: Sequence[SigningKey],
    *,
    detached: bool,
    at: datetime,
    policy: Policy,
    content_type: bytes = DATA,
) -> tuple[bytes, list[str]]:
    """Return a ContentInfo with SignedData in DER, and the digests that were used.

    Every signer signs ``content``; its certificate and the chain above it, but
    no self-signed root, go along. Raises ``KeyProblem`` or ``NotSupported``
    when a key does not sign.
    """
    if len(signers) == 1:
        (only,) = signers
        name = only.digest if policy.digest == "auto" else policy.digest
        info = only.signer_info(content_type, digest(name, content), name, at)
        blob = _assemble(
            _DIGEST_SET[name],
            only.certificates_der,
            tlv(0x31, info),
            content_type,
            content,
            detached,
        )
        return blob, [name]
    names = [one.digest if policy.digest == "auto" else policy.digest for one in signers]
    digests = {name: digest(name, content) for name in dict.fromkeys(names)}
    infos = [
        one.signer_info(content_type, digests[name], name, at)
        for one, name in zip(signers, names, strict=True)
    ]
    certificates = sorted({der for one in signers for der in one.certificates_der})
    digest_set = set_of(*(DIGEST_ALGORITHM[name] for name in digests))
    return _assemble(
        digest_set, certificates, set_of(*infos), content_type, content, detached
    ), list(digests)


def _assemble(
    digest_set: bytes,
    certificates: Sequence[bytes],
    infos: bytes,
    content_type: bytes,
    content: bytes,
    detached: bool,
) -> bytes:
    """Return the ContentInfo (RFC 5652 §3, §5.1)."""
    if content_type == DATA:
        start, inner = _ONE + digest_set, _ID_DATA
    else:
        start, inner = _THREE + digest_set, tlv(0x06, content_type)
    if not detached:
        inner += tlv(0xA0, tlv(0x04, content))
    joined = b"".join(certificates)
    parts = [start, head(0x30, len(inner)), inner, head(0xA0, len(joined)), joined, infos]
    parts = [_ID_SIGNED_DATA, *enclose(0xA0, enclose(0x30, parts))]
    return b"".join(enclose(0x30, parts))
