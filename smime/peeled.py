"""What is known of a mail while its layers come off, in memory or in files alike.

Floor:  peeled (uses judged, formats, mime, cms)
Source: RFC 5652 §14 for the one error inside a seal without a tag
"""

from __future__ import annotations

import logging

from smime.cms import enveloped
from smime.errors import DecryptionFailed, NotSupported, SmimeError
from smime.formats import pgplayers as pgp
from smime.judged import Judged, Signed
from smime.mime.canonical import crlf_form

TYPE_CHECKING = False
if TYPE_CHECKING:
    from smime.cms.recipients import Key
    from smime.errors import MalformedMail
    from smime.formats import pgpmime
    from smime.formats.spooled import Region
    from smime.judged import Sealed, Taken, World
    from smime.mime.entity import Entity
    from smime.mime.headers import Protected
    from smime.pgp import PgpKey

__all__ = ["Peeled"]

_log = logging.getLogger("smime")


class Peeled:
    """A mail with its layers off: what the loop of a subclass found."""

    def __init__(
        self, world: World, keys: tuple[Key, ...], pgp_keys: tuple[PgpKey, ...], outer: Entity
    ) -> None:
        self.world = world
        self.keys = keys
        self.pgp_keys = pgp_keys
        self.outer = self.inner = outer
        self.taken: list[Taken] = []
        self.stopped: SmimeError | None = None
        """Why the content could not be got at."""
        self.damaged: MalformedMail | None = None
        """Why a signature could not be read, where the content is there all the same."""
        self.inflated = 0
        """What came out of compressed layers, in octets."""
        self.unauthenticated = False
        """A layer was opened whose content carries no tag."""
        self.opened_by: str | None = None
        """Whose key opened the innermost sealed layer, by its addresses."""
        payload: Protected | None = None
        try:
            self._peel()
            if self.taken:
                payload = self._payload()
        except SmimeError as stopped:
            self.stopped = stopped
        finally:
            self.keys = self.pgp_keys = ()
        inside = self.damaged if self.stopped is None else self.stopped
        if self.unauthenticated and inside is not None:
            # Whoever may change sealed content that has no tag could learn of it
            # from what is said of the parts that no longer fit (RFC 5652 §14).
            _log.debug("inside sealed content: %s", inside)
            self.stopped = DecryptionFailed(enveloped.FAILED)
        self.found = Judged(
            world,
            self.taken,
            outer=self.outer,
            inner=self.inner,
            payload=payload if self.stopped is None else None,
            stopped=self.stopped,
            damaged=self.damaged,
            unauthenticated=self.unauthenticated,
            opened_by=self.opened_by,
            kept=self._kept(),
        )

    def _peel(self) -> None:
        """Take the layers off, one after another."""
        raise NotImplementedError  # each of the two subclasses has its own

    def _payload(self) -> Protected | None:
        """Return the header fields that the innermost entity protects."""
        raise NotImplementedError  # each of the two subclasses has its own

    def _kept(self) -> Region | None:
        """Return the content that waits in a file."""
        return None

    def _open_openpgp(self, wrapped: pgpmime.Wrapped) -> bytes | Region:
        """Take a layer of OpenPGP off and return what is inside."""
        repair = crlf_form if self.world.policy.line_ends == "repair" else None
        rings = pgp.rings_of(self.world.trusts, self.pgp_keys)
        taken = pgp.take(wrapped, self.pgp_keys, rings, self.world.times.at, repair)
        if taken.opened_by is not None:
            self._was_sealed(taken.opened_by.label)
        self.taken += taken.layers
        self.damaged = taken.damaged or self.damaged
        if taken.stopped is not None:
            raise taken.stopped
        return taken.content

    def _check_keys(self, envelope: enveloped.Envelope, layer: Sealed) -> None:
        """Raise what anybody can see: that no key would open it, or that none was given."""
        if envelope.why_not:
            raise NotSupported(envelope.why_not)
        if not self.keys:
            if why_not := envelope.sealed.why_not:  # nor would any key help
                raise NotSupported(why_not)
            raise DecryptionFailed(
                "the mail is sealed, and no key was given",
                hint=f"it is sealed for {'; '.join(layer.names[:8]) or 'nobody'}",
            )

    def _was_sealed(self, by: str) -> None:
        self.opened_by = by
        for layer in self.taken:
            if isinstance(layer, (Signed, pgp.SignedLayer)):
                layer.sealed_form = True
