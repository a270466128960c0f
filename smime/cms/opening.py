"""``smime.cms.open``: one layer off, whatever it does to its content.

Floor:  cms (uses errors, policy, report, source, release)
Source: RFC 5652 §6 to §9; RFC 5083; RFC 3274
"""

from __future__ import annotations

from contextlib import ExitStack

from smime.cms import algorithms as alg
from smime.cms.armour import unarmoured
from smime.cms.content import name as content_name
from smime.cms.der import oid_text
from smime.cms.extras import by_type
from smime.cms.opened import Content
from smime.cms.roles import opening_keys_of
from smime.cms.stream import begin
from smime.errors import MalformedMail
from smime.policy import MODERN
from smime.release import Nowhere
from smime.release import to as release_to
from smime.report import Note
from smime.source import Source

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

    from smime.cms.stream import Reader
    from smime.policy import Policy
    from smime.release import Out, Release
    from smime.source import Data

__all__ = ["open"]


def open(
    blob: Data,
    *,
    keys: Any = (),
    content: Data | None = None,
    policy: Policy = MODERN,
    out: Out | None = None,
) -> Content:
    """Take one layer off, of any size, and say what it was.

    ``blob`` is EnvelopedData, AuthEnvelopedData, EncryptedData, AuthenticatedData,
    DigestedData or CompressedData as bytes, a path or a binary file, in DER, BER
    or PEM. ``keys`` are as in ``decrypt``; ``content`` is what a detached digest
    or code is of. ``out`` gets the content when its tag, code, digest or check
    sum is right: a path by a rename, an open file or a pipe by a copy from a
    spool. Signed content is for ``verify``, which asks whom to believe.

    Raises ``DecryptionFailed``, ``NotSupported``, ``MalformedMail``,
    ``LimitExceeded`` and ``OSError``.
    """
    with ExitStack() as stack:
        given = stack.enter_context(Source(blob, "blob"))
        beside = None
        target: Release
        if content is not None:
            beside = stack.enter_context(Source(content, "content"))
        if out is None and content is not None:
            target = stack.enter_context(Nowhere())
        else:
            target = stack.enter_context(release_to(out, private=True, wait=True))
        reader, kind = begin(unarmoured(given))
        if beside is not None and kind not in (alg.DIGESTED_DATA, alg.AUTHENTICATED_DATA):
            raise MalformedMail(f"{content_name(kind)} has its content inside")
        found = _open(reader, kind, keys, beside, policy, target)
        target.publish()
        held = target.value if beside is None else beside.whole
    return Content(kind=content_name(kind), held=held, **found)


def _open(
    reader: Reader, kind: bytes, keys: Any, beside: Source | None, policy: Policy, to: Release
) -> dict[str, Any]:
    """Write the content to ``to`` and return what is said of it."""
    if kind in (alg.ENVELOPED_DATA, alg.AUTH_ENVELOPED_DATA, alg.ENCRYPTED_DATA):
        from smime.cms.sealing import unseal_begun

        sealed = unseal_begun(reader, kind, opening_keys_of(keys), policy, to)
        return {
            "content_type": oid_text(sealed.content_type),
            "algorithm": sealed.label,
            "authenticated": sealed.tagged,
            "attributes": by_type(sealed.aad),
            "unprotected_attributes": by_type(sealed.unprotected),
            "notes": (Note("short-tag", sealed.tag_note),) if sealed.tag_note else (),
        }
    if kind == alg.AUTHENTICATED_DATA:
        from smime.cms.authenticated import Authenticated

        coded = Authenticated(reader)
        coded.check(opening_keys_of(keys), beside, policy, to)
        return {
            "content_type": oid_text(coded.content_type),
            "algorithm": f"HMAC-{coded.mac.upper()}",
            "authenticated": True,
            "attributes": by_type(coded.attributes),
            "unprotected_attributes": by_type(coded.unprotected),
        }
    if kind == alg.DIGESTED_DATA:
        from smime.cms.digested import Digested

        digested = Digested(reader)
        digested.check(beside, policy, to)
        return {
            "content_type": oid_text(digested.content_type),
            "algorithm": digested.digest.upper(),
        }
    if kind == alg.COMPRESSED_DATA:
        from smime.cms.compressed import Compressed

        packed = Compressed(reader, kind)
        for piece in packed.content():
            to.write(piece)
        return {"content_type": oid_text(packed.content_type), "algorithm": "zlib"}
    hint = "verify(blob, trust=...) opens it" if kind == alg.SIGNED_DATA else ""
    raise MalformedMail(f"{content_name(kind)} is not opened", hint=hint)
