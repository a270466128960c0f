"""AuthenticatedData: a content under a code that only its readers can make.

The key of the code (HMAC) is sealed for the readers as a content key is. Each
of them could have made the message: it shows that one of them did.

Floor:  cms (uses errors, policy, source, release)
Source: RFC 5652 §9; RFC 4231 for HMAC with SHA-2; RFC 6211 for cmsAlgorithmProtection
"""

from __future__ import annotations

import hmac
import os

from smime.cms import algorithms as alg
from smime.cms import attributes as attrs
from smime.cms import recipients
from smime.cms.attributes import Attributes, checked, reads_as_attributes
from smime.cms.ber import parsed
from smime.cms.bindings import same_algorithm
from smime.cms.der import (
    NULL,
    SEQUENCE,
    SET,
    children,
    integer,
    octet_string,
    oid,
    sequence,
    set_of,
    tlv,
    top,
)
from smime.cms.digested import inner_content
from smime.cms.encapsulated import encapsulate
from smime.cms.roles import of_rsa, recipient_keys_of
from smime.cms.schemes import digest_name
from smime.errors import DecryptionFailed, MalformedMail, NotSupported
from smime.policy import MODERN, moment
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterable
    from typing import Any, overload

    from smime.cms.recipients import Key
    from smime.cms.stream import Reader
    from smime.policy import Policy
    from smime.release import Out, Release
    from smime.source import Data

__all__ = ["Authenticated", "authenticate"]

FAILED = "the content could not be authenticated with the key that it names"
MACS = {alg.HMACS[name][2:]: name for name in ("sha256", "sha384", "sha512")}

_PLAIN_DATA = "1.2.840.113549.1.7.1"
_BEGINNING_OCTETS = 64 * 1024  # enough to tell attributes from any other content


if TYPE_CHECKING:

    @overload
    def authenticate(
        data: Data,
        *,
        to: Any,
        detached: bool = False,
        content_type: str = ...,
        authenticated_attributes: Iterable[bytes] = (),
        policy: Policy = ...,
        out: None = None,
    ) -> bytes: ...
    @overload
    def authenticate(
        data: Data,
        *,
        to: Any,
        detached: bool = False,
        content_type: str = ...,
        authenticated_attributes: Iterable[bytes] = (),
        policy: Policy = ...,
        out: Out,
    ) -> None: ...


def authenticate(
    data: Data,
    *,
    to: Any,
    detached: bool = False,
    content_type: str = _PLAIN_DATA,
    authenticated_attributes: Iterable[bytes] = (),
    policy: Policy = MODERN,
    out: Out | None = None,
) -> bytes | None:
    """Put a code beside content of any size that the readers can check, and nobody else.

    Everybody can read the content. ``to`` is as in ``encrypt``; each reader could
    make such a message too, so it proves nothing to others: for that ``sign``.
    The code is HMAC with SHA-256, or the policy's digest, over attributes that
    hold the content's digest and its type; ``authenticated_attributes`` are
    further ones, as DER. ``detached``, ``content_type`` and ``out`` are as in
    ``sign``; the result is DER, but for a pipe. ``open`` checks it.

    Raises what ``encrypt`` raises for its readers, ``ValueError`` for what is no
    attribute, and ``OSError``.
    """
    readers, capabilities = recipient_keys_of(to, moment(None), policy)
    if any(one.kind == "content key" for one in readers):
        raise ValueError("a ContentKey is for EncryptedData: share a SharedKey")
    name = "sha256" if policy.digest == "auto" else policy.digest
    kind = oid(content_type)[2:]
    key = os.urandom(alg.DIGESTS[name][1])  # as long as the digest (RFC 2104 §3)
    infos, _ = recipients.seal(key, readers, policy.choose_transport(of_rsa(readers, capabilities)))
    mac, digest = sequence(alg.HMACS[name], NULL), alg.DIGEST_ALGORITHM[name]
    own = (
        sequence(attrs.CONTENT_TYPE, tlv(SET, tlv(0x06, kind))),
        sequence(attrs.ALGORITHM_PROTECTION, tlv(SET, sequence(digest, b"\xa2" + mac[1:]))),
        *checked(authenticated_attributes, signed=True),
    )
    tally = alg.new_hash(name)

    def behind() -> bytes:
        stated = sequence(attrs.MESSAGE_DIGEST, tlv(SET, octet_string(tally.digest())))
        covered = set_of(stated, *own)
        return b"\xa2" + covered[1:] + octet_string(hmac.digest(key, covered, name))

    behind_octets = len(behind())
    return encapsulate(
        data,
        out,
        tally=tally,
        kind=alg.AUTHENTICATED_DATA,
        before=integer(0) + infos + mac + b"\xa1" + digest[1:],
        content_type=kind,
        behind=behind,
        behind_octets=behind_octets,
        detached=detached,
    )


class Authenticated:
    """An AuthenticatedData that is read up to its content at first.

    ``reader`` is inside the ContentInfo. Raises ``MalformedMail``.
    """

    __slots__ = (
        "_digest",
        "_digest_algorithm",
        "_mac_algorithm",
        "_reader",
        "attributes",
        "content_type",
        "detached",
        "mac",
        "sealed",
        "unprotected",
    )

    attributes: bytes
    """The authenticated attributes as SET OF in DER, after ``check``."""
    unprotected: bytes
    content_type: bytes
    detached: bool
    """The content stands elsewhere."""
    mac: str
    """Digest of the HMAC; name or dotted identifier of another code."""
    sealed: recipients.Recipients

    def __init__(self, reader: Reader) -> None:
        reader.enter(SEQUENCE)
        reader.whole(0x02)
        if reader.peek() == 0xA0:
            reader.whole(0xA0)  # originatorInfo: certificates and CRLs, not needed here
        infos = reader.whole(SET)
        self.sealed = parsed(infos, lambda data: recipients.read(data, top(data)))
        self._mac_algorithm = reader.whole(SEQUENCE)
        named = children(self._mac_algorithm, top(self._mac_algorithm))
        if not named or named[0][0] != 0x06:
            raise MalformedMail("the authenticated content names no code")
        identifier = self._mac_algorithm[named[0][2] : named[0][3]]
        self.mac = MACS.get(identifier, alg.called(identifier))
        self._digest = ""
        self._digest_algorithm = b""
        if reader.peek() == 0xA1:
            self._digest_algorithm = b"\x30" + reader.whole(0xA1)[1:]
            self._digest = digest_name(self._digest_algorithm, top(self._digest_algorithm))
        reader.enter(SEQUENCE)
        self.content_type = reader.whole(0x06)[2:]
        self.detached = reader.peek() != 0xA0
        self.attributes = self.unprotected = b""
        self._reader = reader

    @property
    def supported(self) -> bool:
        """The code is one that is known here."""
        return self.mac in MACS.values()

    def check(
        self, keys: Iterable[Key], content: Source | None, policy: Policy, to: Release
    ) -> None:
        """Write the content to ``to``, which is not published, if its code is right.

        Raises ``NotSupported`` for algorithms that are not known or not allowed,
        ``MalformedMail``, and one ``DecryptionFailed`` for all that depends on a key.
        """
        if not self.supported:
            raise NotSupported(f"authentication by {self.mac} is not supported")
        if self._digest and self._digest not in alg.DIGESTS:
            raise NotSupported(f"digest {self._digest} is not supported")
        if self._digest:
            alg.refuse_weak(self._digest, policy)
        length = alg.DIGESTS[self.mac][1]
        secrets = [one for _, one in recipients.unwrapped(self.sealed, keys, length, policy)]
        ways = [hmac.new(secret, digestmod=self.mac) for secret in secrets]
        tally = alg.new_hash(self._digest) if self._digest else None
        beginning = b""
        for piece in inner_content(self._reader, self.detached, content):
            if tally is not None:
                tally.update(piece)
            else:
                beginning += bytes(piece[: _BEGINNING_OCTETS - len(beginning)])
                for one in ways:
                    one.update(piece)
            to.write(piece)
        mac = self._read_tail()
        self._check_form(beginning)
        right = True
        if tally is not None:
            found = Attributes(self.attributes, top(self.attributes))
            stated = found.message_digest() or b""
            right = hmac.compare_digest(tally.digest(), stated)
            for one in ways:
                one.update(self.attributes)
        fitting = {
            secret
            for secret, one in zip(secrets, ways, strict=True)
            if hmac.compare_digest(one.digest(), mac)
        }
        # Several keys can only be tried where they have no name; one alone may fit.
        if len(fitting) != 1 or not right:
            raise DecryptionFailed(FAILED)

    def _read_tail(self) -> bytes:
        """Read attributes and code; return the code."""
        reader = self._reader
        if reader.peek() == 0xA2:
            self.attributes = _attributes(reader.whole(0xA2))
        mac = reader.string()
        if reader.peek() == 0xA3:
            self.unprotected = _attributes(reader.whole(0xA3))
        for _ in range(3):
            reader.leave()
        return mac

    def _check_form(self, beginning: bytes) -> None:
        """Refuse what everybody can see to be wrong (RFC 5652 §9.1, §9.2, §11)."""
        if not self.attributes:
            if self._digest:
                raise MalformedMail("the authenticated attributes are not there")
            if self.content_type != alg.DATA:
                raise MalformedMail("a content that is not plain data has no attributes")
            if reads_as_attributes(beginning):
                # Whoever has a code over attributes could show those as content.
                raise MalformedMail("the content is the attributes of another message: a forgery")
            return
        if not self._digest:
            raise MalformedMail("the authenticated attributes name no digest")
        found = Attributes(self.attributes, top(self.attributes))
        if found.content_type() != self.content_type:
            raise MalformedMail("the authenticated attributes are of another kind of content")
        if found.message_digest() is None:
            raise MalformedMail("the authenticated attributes hold no digest, or several")
        if not self._protects(found):
            raise MalformedMail("the authenticated attributes protect other algorithms")

    def _protects(self, found: Attributes) -> bool:
        """Hold cmsAlgorithmProtection, if it is there, against the algorithms (RFC 6211 §4)."""
        if not found.has(attrs.ALGORITHM_PROTECTION):
            return True
        value = found.single(attrs.ALGORITHM_PROTECTION)
        parts = (
            {value[one[1]]: value[one[1] : one[3]] for one in children(value, top(value))}
            if value
            else {}
        )
        digest, mac = parts.get(SEQUENCE, b""), parts.get(0xA2, b"")
        return bool(digest and mac) and (
            same_algorithm(digest, self._digest_algorithm, hashing=True)
            and same_algorithm(b"\x30" + mac[1:], self._mac_algorithm, hashing=True)
        )


def _attributes(element: bytes) -> bytes:
    """Return attributes as SET OF in DER, whatever their form."""
    from smime.cms.extras import read_attributes

    return parsed(element, lambda data: read_attributes(data, top(data)))
