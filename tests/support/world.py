"""The people of the tests: a CA, and certificates from it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pki
    import smime

LETTER = (
    "From: Alice <alice@example.org>\r\n"
    "To: Bob <bob@example.org>\r\n"
    "Subject: =?utf-8?b?5Lya6K6u6K6w5b2V?=\r\n"
    "Date: Tue, 24 Nov 2026 12:00:00 +0000\r\n"
    "Message-ID: <letter-1@example.org>\r\n"
    "MIME-Version: 1.0\r\n"
    'Content-Type: multipart/mixed; boundary="part"\r\n'
    "\r\n"
    "--part\r\n"
    "Content-Type: text/plain; charset=utf-8\r\n"
    "Content-Transfer-Encoding: quoted-printable\r\n"
    "\r\n"
    "Gr=C3=BC=C3=9Fe, we meet at noon.\r\n"
    "--part\r\n"
    "Content-Type: application/octet-stream\r\n"
    "Content-Transfer-Encoding: base64\r\n"
    'Content-Disposition: attachment; filename="minutes.bin"\r\n'
    "\r\n"
    "AAECAwQFBgcICQoLDA0ODw==\r\n"
    "--part--\r\n"
).encode("ascii")


@dataclass(frozen=True)
class World:
    """Who there is. ``rsa`` is dave, whose key is RSA-2048; the others have P-256."""

    ca: pki.Authority
    anchors: smime.Anchors
    alice: smime.Identity
    bob: smime.Identity
    carol: smime.Identity
    rsa: smime.Identity


def make_world() -> World:
    """Make a new authority and new keys; about a second, most of it the RSA key."""
    import pki

    # Before every moment at which a test signs, whatever the day on which it runs.
    since = datetime(2026, 11, 1, tzinfo=UTC)
    ca = pki.Authority.create("Test CA", at=since)

    def issue(address: str, name: str, algorithm: str = "p256") -> smime.Identity:
        # As long as may be, since much is judged now.
        return ca.issue(address, name=name, algorithm=algorithm, at=since, lifetime_days=825)

    return World(
        ca=ca,
        anchors=ca.anchors,
        alice=issue("alice@example.org", "Alice"),
        bob=issue("bob@example.org", "Bob"),
        carol=issue("carol@example.org", "Carol"),
        rsa=issue("dave@example.org", "Dave", "rsa2048"),
    )
