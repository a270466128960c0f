"""Key transport: the content key encrypted with an RSA key.

Floor:  cms (uses errors)
Source: RFC 5652 §6.2.1; RFC 3370 §4.2.1 and RFC 8017 §7.2 for PKCS #1 v1.5;
        RFC 3560 and RFC 8017 §7.1, A.2.1 for OAEP
"""

from __future__ import annotations

from cryptography.hazmat.primitives.asymmetric import padding

from smime.cms import algorithms as alg
from smime.cms.ber import octets
from smime.cms.der import OCTET_STRING, SEQUENCE, children, head, integer
from smime.cms.unwrapping import Sealed, balance, read_identifier, right_length
from smime.errors import MalformedMail, NotSupported

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from cryptography.hazmat.primitives.asymmetric import rsa

    from smime.cms.der import Node
    from smime.cms.recipients import OpeningKey
    from smime.cms.unwrapping import Opener, Unwrap

__all__ = ["V15", "Padding", "Transport", "read", "unwrap"]


class Padding:
    """How the content key is padded in one message."""

    __slots__ = ("name", "primitive")

    def __init__(self, name: str, primitive: padding.AsymmetricPadding) -> None:
        self.name = name
        """As ``Opener.decrypt`` has it; empty for what it has no name for."""
        self.primitive = primitive


# The digests that the library takes in OAEP; SHA-1 is not weak there.
_OAEP_DIGESTS = {
    content: name
    for content, name in alg.DIGEST_OF.items()
    if name in ("sha1", "sha224", "sha256", "sha384", "sha512")
}
# How much longer the library takes to refuse than to open by OAEP, in units of ``balance``.
_REFUSAL = 4
_PKCS1 = padding.PKCS1v15()
V15 = Padding("rsa-v15", _PKCS1)


class Transport:
    """Writes KeyTransRecipientInfo for one RSA key: all but the last octets is made once."""

    __slots__ = ("_identifier", "_ready", "public")

    def __init__(self, public: rsa.RSAPublicKey, identifier: bytes) -> None:
        self.public = public
        self._identifier = identifier
        self._ready: dict[str, tuple[bytes, padding.AsymmetricPadding]] = {}

    def info(self, content_key: bytes, how: str) -> bytes:
        """Return the recipient; ``how`` is ``rsa-v15`` or ``rsa-oaep``."""
        start, pad = self._ready.get(how) or self._prepared(how)
        return start + self.public.encrypt(content_key, pad)

    def alone(self, how: str) -> tuple[bytes, int, Callable[[bytes], bytes]]:
        """Return how the recipient begins, how long the rest is, and what makes it of a key."""
        start, pad = self._ready.get(how) or self._prepared(how)
        encrypt = self.public.encrypt
        return start, (self.public.key_size + 7) // 8, lambda content_key: encrypt(content_key, pad)

    def _prepared(self, how: str) -> tuple[bytes, padding.AsymmetricPadding]:
        algorithm = alg.OAEP_SHA256 if how == "rsa-oaep" else alg.RSA_SIGNATURE
        length = (self.public.key_size + 7) // 8
        start = integer(0) + self._identifier + algorithm + head(OCTET_STRING, length)
        pad = _oaep("sha256", "sha256", b"") if how == "rsa-oaep" else _PKCS1
        self._ready[how] = head(SEQUENCE, len(start) + length) + start, pad
        return self._ready[how]


def _oaep(digest: str, mask_digest: str, label: bytes) -> padding.OAEP:
    return padding.OAEP(
        padding.MGF1(alg.hash_class(mask_digest)), alg.hash_class(digest), label or None
    )


def read(data: bytes, node: Node) -> Sealed:
    """Read a KeyTransRecipientInfo."""
    fields = children(data, node)
    if len(fields) < 4 or fields[3][0] & ~0x20 != OCTET_STRING:
        raise MalformedMail("a recipient does not have the form of one")
    identifier, key_identifier = read_identifier(data, fields[1])
    sealed = octets(data, fields[3])

    def prepare() -> Opener:
        pad = _padding(data, fields[2])

        def unwrap_with(key: OpeningKey) -> Unwrap:
            return lambda length: unwrap(key, sealed, pad, length)

        return unwrap_with

    return Sealed(
        "rsa",
        prepare,
        identifier=identifier,
        key_identifier=key_identifier,
        octets=len(sealed),
    )


def unwrap(key: OpeningKey, sealed: bytes, pad: Padding, length: int) -> bytes:
    """Return the content key of so many octets, or what stands for it."""
    try:
        value = key.decrypt(sealed, pad)
    except ValueError:
        value = b""
    if pad.primitive is not _PKCS1:  # which refuses nothing: it gives some other value
        balance(bool(value), _REFUSAL)
    return right_length(value, length, sealed)


def _padding(data: bytes, node: Node) -> Padding:
    if data[node[1] : node[3]] == alg.RSA_SIGNATURE:  # what most say, word for word
        return V15
    parts = children(data, node)
    if not parts or parts[0][0] != 0x06:
        raise MalformedMail("a recipient names no algorithm")
    kind = data[parts[0][2] : parts[0][3]]
    if kind == alg.RSA_ENCRYPTION[2:]:
        return V15
    if kind != alg.RSA_OAEP[2:]:
        raise NotSupported(f"key transport {alg.called(kind)} is not supported")
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
            digest = alg.named(_OAEP_DIGESTS, name, "OAEP digest")
        elif one[0] == 0xA1:
            of = children(data, described[1]) if len(described) == 2 else []
            if name != alg.MGF1[2:] or not of:
                raise NotSupported("OAEP with a mask generation other than MGF1")
            mask_digest = alg.named(_OAEP_DIGESTS, data[of[0][2] : of[0][3]], "MGF1 digest")
        else:
            if name != alg.P_SPECIFIED[2:] or len(described) != 2:
                raise NotSupported("OAEP with a label of an unknown form")
            label = octets(data, described[1])
    asked = f"rsa-oaep-{digest}"
    if mask_digest != digest:
        asked += f"-mgf1-{mask_digest}"
    return Padding("" if label else asked, _oaep(digest, mask_digest, label))
