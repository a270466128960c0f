"""SoftHSM: PKCS#11 tokens in files, one for each part of the tests."""

from __future__ import annotations

import os
from pathlib import Path

from tests.support.peers import peer

PIN = "1234"
# One for each module that opens one: a program logs in to a token once at a time.
LABELS = ("Club", "Office", "Howto", "Registrar", "Desk")
MODULES = (
    "/usr/lib/softhsm/libsofthsm2.so",
    "/usr/lib/x86_64-linux-gnu/softhsm/libsofthsm2.so",
    "/usr/lib/aarch64-linux-gnu/softhsm/libsofthsm2.so",
)


def make_tokens(folder: Path) -> str:
    """Make the tokens in a folder, before the module is loaded; return the module's path."""
    settings = folder / "softhsm2.conf"
    settings.write_text(f"directories.tokendir = {folder}\nobjectstore.backend = file\n")
    # The module reads it when it is loaded, which happens once in a process.
    os.environ["SOFTHSM2_CONF"] = str(settings)
    for label in LABELS:
        peer("softhsm").run(
            "--init-token", "--free", "--label", label, "--pin", PIN, "--so-pin", "12345678"
        )
    return next(path for path in MODULES if Path(path).exists())
