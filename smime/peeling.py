"""A mail too large to hold, with its layers off: each waits in an unnamed file for the next.

The ordinary forms are taken off so. Whatever else a mail can be is needed
whole: ``NeededWhole`` says so, and the caller takes it into memory.

Floor:  peeling (uses judged, formats, keys, mime, cms)
Source: RFC 8551 §3, RFC 3156
"""

from __future__ import annotations

from smime.cms import algorithms as alg
from smime.cms import sealing, signatures, signing, stream
from smime.cms.content import name as content_name
from smime.errors import LimitExceeded, MalformedMail, NotSupported, SmimeError
from smime.formats import packing, pgpmime
from smime.formats import smime as form
from smime.formats.spooled import Decoded, Keeping, RegionContent, spans
from smime.judged import MAX_LAYERS, Sealed, Signed
from smime.mail import Mail
from smime.mime.entity import split_entity
from smime.mime.headers import protected
from smime.mime.multipart import boundary_of
from smime.peeled import Peeled
from smime.report import Layer

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Iterator

    from smime.cms.recipients import Key
    from smime.formats.spooled import Region
    from smime.judged import World
    from smime.mime.entity import Entity
    from smime.mime.headers import Protected
    from smime.pgp import PgpKey

__all__ = ["NeededWhole", "PeeledFile"]

MAX_SIGNATURE_OCTETS = 8 << 20  # of a signature part that is read into memory
PEEK_OCTETS = 64 * 1024  # of a text that tell what it is


class NeededWhole(Exception):
    """The mail has a form that is read in memory only."""


class PeeledFile(Peeled):
    """A mail in pieces, with its layers off. Raises ``NeededWhole``."""

    def __init__(
        self,
        source: Region,
        world: World,
        keys: tuple[Key, ...],
        pgp_keys: tuple[PgpKey, ...] = (),
    ) -> None:
        self.source = self.content = source
        """``content`` is exactly what was signed or sealed, innermost layer."""
        super().__init__(world, keys, pgp_keys, source.head())

    @property
    def mail(self) -> Mail:
        """The mail as a reader should see it."""
        if not self.taken:
            return Mail._of_pieces(self.source.pieces, self.source.size)
        head, body = self.found.readable(), self.content.part(self.inner.body_at)

        def pieces() -> Iterator[bytes]:
            yield head
            yield from body.pieces()

        return Mail._of_pieces(pieces, len(head) + body.size)

    # --- taking layers off --------------------------------------------------

    def _peel(self) -> None:
        while self._take():
            if len(self.taken) > MAX_LAYERS:
                raise LimitExceeded(f"the mail is wrapped in more than {MAX_LAYERS} layers")
            if not self.content.size:
                raise NeededWhole
            self.inner = self.content.head()

    def _take(self) -> bool:
        """Take one layer off; False where there is none."""
        entity = self.inner
        kind = entity.content_type.value
        body = self.content.part(entity.body_at)
        if (wrapped := pgpmime.recognise_stored(entity, body)) is not None:
            return self._take_openpgp(wrapped)
        if kind == "multipart/signed":
            self._take_detached(entity, body)
            return True
        if kind in form.PKCS7_MIME or (
            kind == "application/octet-stream" and form.is_named_p7m(entity)
        ):
            self._take_cms(entity, body)
            return True
        if form.is_tnef(entity) or kind in ("multipart/encrypted", "message/rfc822"):
            raise NeededWhole
        beginning = body.read(0, PEEK_OCTETS)
        if (
            b"-----BEGIN PGP" in beginning
            or b"\nSig:" in beginning
            or form.begins_armoured(beginning)
        ):
            raise NeededWhole  # a text may be a layer of its own
        return False

    def _take_openpgp(self, wrapped: pgpmime.Wrapped) -> bool:
        content = self._open_openpgp(wrapped)
        assert not isinstance(content, bytes)
        self.content = content
        return True

    def _take_detached(self, entity: Entity, body: Region) -> None:
        protocol = entity.content_type.params.get("protocol", "").strip().lower()
        found = spans(body, boundary_of(entity))
        if protocol not in form.PKCS7_SIGNATURE or len(found) != 2:
            raise NeededWhole
        (start, end), (signature_start, signature_end) = found
        if signature_end - signature_start > MAX_SIGNATURE_OCTETS or start == end:
            raise NeededWhole
        part = split_entity(body.read(signature_start, signature_end - signature_start))
        wrapped = form.signed_of(protocol, b"", part)
        if wrapped is None or wrapped.problem is not None:
            raise NeededWhole
        layer = Signed(wrapped.form)
        try:
            layer.data = signatures.read(wrapped.blob, self.world.parse)
        except MalformedMail:
            raise NeededWhole from None
        if layer.data.content_type != alg.DATA or layer.data.content is not None:
            raise NeededWhole
        content = RegionContent(
            body.part(start, end), repair=self.world.policy.line_ends == "repair"
        )
        layer.checked = self.world.check(layer.data, content)
        self.content = content.region
        self.taken.append(layer)

    def _take_cms(self, entity: Entity, body: Region) -> None:
        encoding = entity.transfer_encoding
        if encoding != "base64" and (
            encoding not in ("7bit", "8bit", "binary") or body.read(0, 1) != b"0"
        ):
            raise NeededWhole
        source = Decoded(body, encoding)
        first = next(iter(source.pieces()), b"")
        if bytes(first[:1]) != b"0":
            raise NeededWhole
        label = entity.content_type.value
        label = "application/pkcs7-mime" if label in form.PKCS7_MIME else label
        reader, kind = stream.begin(source)
        if kind in (alg.ENVELOPED_DATA, alg.AUTH_ENVELOPED_DATA):
            self._take_sealed(label, reader, kind)
        elif kind == alg.SIGNED_DATA:
            self._take_opaque(label, source)
        elif kind == alg.COMPRESSED_DATA:
            self._take_compressed(label, reader)
        else:
            raise NeededWhole

    def _take_sealed(self, label: str, reader: stream.Reader, kind: bytes) -> None:
        if not self.keys:
            found = sealing.read_through(reader, kind)
            without_key = Sealed(label, found)
            self.taken.append(without_key)
            self._check_keys(found, without_key)
        with Keeping() as kept:
            try:
                envelope = sealing.unseal_begun(reader, kind, self.keys, self.world.policy, kept)
            except SmimeError:
                self.taken.append(Layer("encrypted", label, opened=False))
                raise
            self.content = kept.region()
        layer = Sealed(label, envelope)
        assert envelope.opened_by is not None
        layer.by = envelope.opened_by.label
        self.unauthenticated = self.unauthenticated or not envelope.tagged
        self._was_sealed(layer.by)
        self.taken.append(layer)

    def _take_opaque(self, label: str, source: Decoded) -> None:
        with Keeping() as kept:
            try:
                data, content = signing.check_opaque(source, self.world.policy, kept)
            except (MalformedMail, NotSupported):
                raise NeededWhole from None  # what is wrong with it is told there
            if not data.signers or data.content_type != alg.DATA:
                raise NeededWhole
            layer = Signed(label)
            layer.data = data
            layer.checked = self.world.check(data, content)
            self.content = kept.region()
        self.taken.append(layer)

    def _take_compressed(self, label: str, reader: stream.Reader) -> None:
        from smime.cms.compressed import Compressed  # rare, and it brings zlib along

        packed = Compressed(reader, alg.COMPRESSED_DATA)
        with Keeping() as kept:
            for piece in packed.content(packing.allowance(self.source.size, self.inflated)):
                kept.write(piece)
            self.content = kept.region()
        self.inflated += self.content.size
        self.taken.append(Layer("compressed", label, algorithm="zlib"))
        if packed.content_type != alg.DATA:
            raise NotSupported(
                f"what is compressed is {content_name(packed.content_type)}, and no mail"
            )

    def _kept(self) -> Region:
        return self.content

    def _payload(self) -> Protected | None:
        payload = protected(self.inner, self.outer)
        if payload is None:
            return None
        shown_twice = self.opened_by is not None and payload.mode == "cipher"
        if payload.mode in ("v1", "wrapped") or (
            shown_twice and b"hp-legacy-display" in self.content.read(0, 1 << 20).lower()
        ):
            raise NeededWhole  # something of the body is taken out before it is shown
        return payload
