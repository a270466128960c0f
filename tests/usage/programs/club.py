"""A CA for your club, in Python."""

from pathlib import Path

import pki

with pki.Registrar.create(Path("club-ca"), name="Chess Club CA", passphrase=input) as ca:
    alice = ca.issue("alice@chess.example", name="Alice")
    Path("alice.p12").write_bytes(alice.to_p12("correct horse battery staple"))
