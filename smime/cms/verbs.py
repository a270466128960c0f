"""The verbs of ``smime.cms``, for those who have no mail: files, passes, EDI, key services.

What is in memory goes through functions that join and slice bytes; paths and
files go through the same structures piece by piece, in one pass. Blobs are
read in BER, DER or PEM armour, and written in DER wherever lengths are known
beforehand.

Floor:  cms (uses errors, report, policy, source, release)
Source: RFC 5652; RFC 7468 §8 for the armour
"""

from __future__ import annotations

from types import NoneType

from smime.choices import cipher_for, derives_for, transport_for
from smime.cms.algorithms import (
    CIPHERS,
    DATA,
    SIGNED_DATA,
)
from smime.cms.armour import unarmoured
from smime.cms.der import integer, sequence, set_of, tlv
from smime.cms.extras import PLAIN
from smime.cms.extras import extras as make_extras
from smime.cms.met import Met, content_kind
from smime.cms.roles import of_rsa, opening_keys_of, recipient_keys_of, signing_keys_of, sole_cipher
from smime.errors import DecryptionFailed, MalformedMail
from smime.policy import MODERN, moment
from smime.release import Nowhere
from smime.release import to as release_to
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Sequence
    from datetime import datetime
    from typing import Any, Literal, overload

    from cryptography import x509

    from smime.cms.judging import Judged
    from smime.cms.opened import Opened
    from smime.cms.recipients import Key
    from smime.cms.signatures import CheckedSignature, SignedData
    from smime.policy import Policy
    from smime.protocols import Trusts
    from smime.release import Out, Release
    from smime.source import Data

__all__ = ["bundle", "certificates", "decrypt", "encrypt", "sign", "verify"]

_PLAIN_DATA = "1.2.840.113549.1.7.1"

if TYPE_CHECKING:

    @overload
    def sign(
        data: Data,
        *,
        by: Any,
        detached: bool = False,
        attributes: bool = True,
        content_type: str = ...,
        signed_attributes: Iterable[bytes] = (),
        unsigned_attributes: Iterable[bytes] = (),
        policy: Policy = ...,
        at: datetime | None = None,
        out: None = None,
    ) -> bytes: ...
    @overload
    def sign(
        data: Data,
        *,
        by: Any,
        detached: bool = False,
        attributes: bool = True,
        content_type: str = ...,
        signed_attributes: Iterable[bytes] = (),
        unsigned_attributes: Iterable[bytes] = (),
        policy: Policy = ...,
        at: datetime | None = None,
        out: Out,
    ) -> None: ...


def sign(
    data: Data,
    *,
    by: Any,
    detached: bool = False,
    attributes: bool = True,
    content_type: str = _PLAIN_DATA,
    signed_attributes: Iterable[bytes] = (),
    unsigned_attributes: Iterable[bytes] = (),
    policy: Policy = MODERN,
    at: datetime | None = None,
    out: Out | None = None,
) -> bytes | None:
    """Sign content of any size; return the ContentInfo, or write it to ``out``.

    ``data`` is bytes, a path or a binary file, and is signed octet for octet.
    ``by`` is an ``Identity``, anything with ``certificate`` and ``sign()``, or
    several, of which each signs. The content is inside, or with ``detached``
    stays where it is. ``content_type`` says what it is, as a dotted identifier;
    ``signed_attributes`` and ``unsigned_attributes`` are further attributes as
    DER. ``attributes=False`` signs the content alone, for old protocols that
    want it: such a signature can be taken for one over other content. ``at`` is
    the signing time. ``out`` is a path (renamed when whole) or a binary file.

    The result is DER, but for what is opaque and of unknown size or signed
    with ECDSA while it is streamed: then its lengths are indefinite.

    Raises ``KeyProblem`` for a certificate that is expired or whose keyUsage
    forbids it, ``NotSupported`` and ``LimitExceeded`` for what a kind of key
    cannot sign without attributes, and ``OSError``.
    """
    when = moment(at)
    keys = signing_keys_of(by, when, policy)
    more: dict[str, Any] = {
        "detached": detached,
        "at": when,
        "policy": policy,
        "attributes": attributes,
        "content_type": content_type,
        "signed_attributes": signed_attributes,
        "unsigned_attributes": unsigned_attributes,
    }
    with Source(data, "data") as source:
        if source.whole is not None and out is None:
            from smime.cms.signed import build

            return build(source.whole, keys, **more)[0]
        from smime.cms.signing import signed_pieces

        with release_to(out, private=False, wait=False) as release:
            for piece in signed_pieces(source, keys, **more):
                release.write(piece)
            release.publish()
            return release.value


def verify(
    blob: Data,
    *,
    trust: Trusts,
    content: Data | None = None,
    sender: str | None = None,
    require: Literal["all", "any"] = "all",
    purpose: str = "mail",
    evidence: Any = None,
    policy: Policy = MODERN,
    at: datetime | None = None,
    received_at: datetime | None = None,
    tsa: Trusts | None = None,
    out: Out | None = None,
) -> Opened:
    """Return the signed content only if its signatures are good, else raise.

    ``blob`` is SignedData as bytes, a path or a binary file, in DER, BER or
    PEM; ``content`` is what a detached signature signs, octet for octet.
    ``trust`` says whom to believe. There is no From here, so all signatures
    must be good, or with ``require="any"`` one; and no address is asked for
    unless ``sender`` names one. Certificates with an extended key usage must be
    meant for mail, as everywhere, or for ``purpose``: a dotted identifier, or
    ``any`` where the anchors vouch for this use alone. ``at`` is the moment to judge at (now).
    What is not good then may have been when it was signed: ``tsa`` is the trust in
    time-stamp authorities (RFC 3161), ``received_at`` is when the caller had it.

    ``out`` gets exactly the octets that were verified, once they are good: a
    path by a rename, an open file or a pipe by a copy from a spool. A content
    that went there, or that a file held, is not held in the result.

    Raises ``SignatureRejected``, whose ``.report`` says why, ``NotSupported``
    where nothing is wrong but an algorithm that is not known here,
    ``MalformedMail``, ``LimitExceeded`` and ``OSError``.
    """
    if require not in ("all", "any"):
        raise ValueError(f"require={require!r}: choose all or any")
    kept = getattr(trust, "met", None)
    # Nothing is asked but whether the one key signed it.
    ordinary = out is None and evidence is None and tsa is None and received_at is None
    met = kept if isinstance(kept, Met) and ordinary and isinstance(purpose, str) else None
    if met is not None and isinstance(blob, bytes) and isinstance(content, (bytes, NoneType)):
        at = moment(at)
        lone: Any = trust
        quick = met.opened(
            blob, content, lone, sender=sender, purpose=purpose, policy=policy, at=at
        )
        if quick is not None:
            return quick
    from smime.cms.judging import demand, judged, parser
    from smime.cms.judging import trusts as trusts_of
    from smime.cms.proving import Times

    trusts = trusts_of(trust)
    times = Times(at, received_at, tsa)
    policy = policy.as_of(times.earliest)
    parse = parser(trusts)
    held: bytes | None

    def judge(checked: tuple[CheckedSignature, ...]) -> tuple[Judged, ...]:
        how: dict[str, Any] = {"times": times, "sender": sender, "evidence": evidence}
        how |= {"policy": policy, "purpose": purpose}
        checks = tuple([judged(one, data, trusts, **how) for one in checked])
        demand(checks, require)
        return checks

    if (
        out is None
        and isinstance(blob, bytes)
        and isinstance(content, bytes)
        and blob[:1] == b"0"
        and len(blob) <= _SHORT_OCTETS
    ):
        # Nothing is read from anywhere, and nothing goes anywhere.
        from smime.cms.signatures import Content, check
        from smime.cms.signing import read_detached

        data, held = read_detached(blob, parse), content
        known = tuple(evidence.certificates) if evidence is not None else ()
        checked = check(data, Content(content), policy=policy, known=known)
        checks = judge(checked)
    else:
        target = Nowhere() if out is None and content is not None else None
        with (
            Source(blob, "blob") as given,
            target or release_to(out, private=True, wait=True) as release,
        ):
            data, checked, held = _check(
                unarmoured(given), content, evidence, policy, release, parse
            )
            checks = judge(checked)
            release.publish()
            if target is None:
                held = release.value
    if met is not None and isinstance(blob, bytes):
        met.remember(blob, data, checked[0])
    from smime.cms.opened import Opened

    return Opened(held, *content_kind(data.content_type), (checks, data))


_SHORT_OCTETS = 64 * 1024  # of a detached signature, with all that may be in it


def _check(
    source: Source,
    content: Data | None,
    evidence: Any,
    policy: Policy,
    release: Release,
    parse: Callable[[bytes], x509.Certificate | None],
) -> tuple[SignedData, tuple[CheckedSignature, ...], bytes | None]:
    """Do the mathematics; return the content too where it is in memory already."""
    from smime.cms import signatures, signing

    known = tuple(evidence.certificates) if evidence is not None else ()
    held = None
    found: signatures.Content | signatures.HashedContent
    if content is not None:
        data = signing.read_signature(source, parse)
        with Source(content, "content") as beside:
            held = beside.whole
            if held is not None:
                found = signatures.Content(held)
                release.write(held)
            else:
                found = signing.check_detached(data, beside, policy, release)
    elif source.whole is not None:
        data = signatures.read(source.whole, parse)
        if data.content is None:
            raise MalformedMail(signing.DETACHED, hint=signing.DETACHED_HINT)
        found = signatures.Content(data.content)
        release.write(data.content)
    else:
        data, found = signing.check_opaque(source, policy, release)
    return data, signatures.check(data, found, policy=policy, known=known), held


def certificates(blob: Data) -> tuple[x509.Certificate, ...]:
    """Return the certificates that a SignedData carries, signed or not.

    That is how chains are handed over (``.p7b``, ``.p7c``, certs-only). Nobody
    vouches for them: give them as ``evidence``, never as anchors. One that a
    strict parser refuses is left out. Raises ``MalformedMail``.
    """
    from smime.cms import signatures, signing

    with Source(blob, "blob") as given:
        return signatures.read(signing.read_held(unarmoured(given))).certificates()


def bundle(certificates: Iterable[x509.Certificate]) -> bytes:
    """Return a SignedData that carries certificates and nothing else, in DER (certs-only).

    Raises ``ValueError`` for none.
    """
    from cryptography.hazmat.primitives.serialization import Encoding

    ders = sorted({one.public_bytes(Encoding.DER) for one in certificates})
    if not ders:
        raise ValueError("a bundle needs at least one certificate")
    # RFC 5652 §5.1: no digests, plain data that is not there, no signers.
    inner = sequence(
        integer(1), set_of(), sequence(tlv(0x06, DATA)), tlv(0xA0, b"".join(ders)), set_of()
    )
    return sequence(tlv(0x06, SIGNED_DATA), tlv(0xA0, inner))


if TYPE_CHECKING:

    @overload
    def encrypt(
        data: Data,
        *,
        to: Any,
        content_type: str = ...,
        authenticated_attributes: Iterable[bytes] = (),
        unprotected_attributes: Iterable[bytes] = (),
        policy: Policy = ...,
        out: None = None,
    ) -> bytes: ...
    @overload
    def encrypt(
        data: Data,
        *,
        to: Any,
        content_type: str = ...,
        authenticated_attributes: Iterable[bytes] = (),
        unprotected_attributes: Iterable[bytes] = (),
        policy: Policy = ...,
        out: Out,
    ) -> None: ...


def encrypt(
    data: Data,
    *,
    to: Any,
    content_type: str = _PLAIN_DATA,
    authenticated_attributes: Iterable[bytes] = (),
    unprotected_attributes: Iterable[bytes] = (),
    policy: Policy = MODERN,
    out: Out | None = None,
) -> bytes | None:
    """Seal content of any size; return the ContentInfo, or write it to ``out``.

    ``data`` is bytes, a path or a binary file. ``to`` is a ``Recipient``, an
    ``Identity``, a certificate, a ``SharedKey`` or ``Passphrase``, or several; or
    one ``ContentKey``, which makes EncryptedData. The cipher is chosen as for
    mail, by ``policy``. ``content_type`` says what the content is, as a dotted
    identifier. Attributes are given as DER, see ``attribute``: readers are shown
    all of them unopened, the tag of AES-GCM, AES-CCM or ChaCha20-Poly1305 vouches
    for ``authenticated_attributes``, and nothing for ``unprotected_attributes``.
    The result is DER, but for a pipe, whose size is not known: then its lengths
    are indefinite. ``out`` is a path (renamed when whole) or a binary file.

    Nothing shows who sealed it: sign first. Raises ``KeyProblem`` for a
    certificate that is expired or whose keyUsage forbids it, ``LimitExceeded``
    for more than the cipher carries, ``ValueError`` for attributes that a cipher
    without a tag cannot authenticate, and ``OSError``.
    """
    plain = not (authenticated_attributes or unprotected_attributes or content_type != _PLAIN_DATA)
    if plain and out is None and type(data) is bytes:
        from smime.cms.sole import seal

        alone = seal(data, to, policy)
        if alone is not None:
            return alone
    readers, capabilities = recipient_keys_of(to, moment(None), policy)
    cipher = sole_cipher(readers, policy) or cipher_for(policy.cipher, capabilities)
    extras = PLAIN
    if not plain:
        extras = make_extras(
            content_type,
            authenticated_attributes,
            unprotected_attributes,
            tagged=CIPHERS[cipher][2] != "cbc",
        )
    transport = transport_for(policy.key_transport, of_rsa(readers, capabilities))
    derived = derives_for(policy.content_key, capabilities)
    if out is None and isinstance(data, (bytes, bytearray, memoryview)):
        from smime.cms.enveloped import build

        return build(
            data if isinstance(data, bytes) else bytes(data),
            readers,
            cipher=cipher,
            transport=transport,
            derived=derived,
            extras=extras,
        )
    with Source(data, "data") as source:
        from smime.cms.sealing import sealed_pieces

        with release_to(out, private=False, wait=False) as release:
            for piece in sealed_pieces(
                source, readers, cipher=cipher, transport=transport, derived=derived, extras=extras
            ):
                release.write(piece)
            release.publish()
            return release.value


if TYPE_CHECKING:

    @overload
    def decrypt(blob: Data, *, keys: Any, policy: Policy = ..., out: None = None) -> bytes: ...
    @overload
    def decrypt(blob: Data, *, keys: Any, policy: Policy = ..., out: Out) -> None: ...


def decrypt(
    blob: Data, *, keys: Any, policy: Policy = MODERN, out: Out | None = None
) -> bytes | None:
    """Open sealed content of any size; return it, or write it to ``out``.

    ``blob`` is EnvelopedData, AuthEnvelopedData or EncryptedData as bytes, a path
    or a binary file, in DER, BER or PEM. ``keys`` is an ``Identity``, a bare private
    key, a ``SharedKey``, ``Passphrase`` or ``ContentKey``, or several. ``out`` gets
    the content only when all of it was read and its tag, if it has one, is right:
    a path by a rename, an open file or a pipe by a copy from a spool. AES-CBC
    content has no tag: it may have been changed on the way. ``open`` does the same
    and says what the layer was, with its attributes.

    Raises ``DecryptionFailed``, ``NotSupported``, ``MalformedMail``,
    ``LimitExceeded`` and ``OSError``.
    """
    openers = opening_keys_of(keys)
    with Source(blob, "blob") as given:
        source = unarmoured(given)
        if source.whole is not None and out is None:
            return _unsealed(source.whole, openers, policy)
        from smime.cms.sealing import unseal

        with release_to(out, private=True, wait=True) as release:
            unseal(source, openers, policy, release)
            release.publish()
            return release.value


def _unsealed(blob: bytes, keys: Sequence[Key], policy: Policy) -> bytes:
    from smime.cms import enveloped, straight

    found = straight.opened(blob, keys)
    if found is None:
        return enveloped.open_with(enveloped.read(blob), keys, policy)[0]
    if found[0] is None:
        raise DecryptionFailed(enveloped.FAILED)
    return found[0]
