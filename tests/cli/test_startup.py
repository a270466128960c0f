"""What is imported before a command does its work: start-up is felt at every call."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest

from tests.cli.stories import Stage

REPOSITORY = Path(__file__).parents[2]
SLOW = set(
    "email dataclasses asn1crypto pyhanko_certvalidator json pathlib typing importlib.metadata "  # noqa: SIM905
    "shutil tempfile inspect subprocess socket ssl asyncio logging urllib sqlite3".split()
)


def imported(*argv: str, code: str = "") -> set[str]:
    """Run the command in a fresh interpreter and return the modules it has then imported."""
    program = code or f"import sys; from smime.cli.main import main; status = main({list(argv)!r})"
    # -S: what site imports for its .pth files is not ours. site-packages is added by hand.
    done = subprocess.run(
        [
            sys.executable,
            "-S",
            "-c",
            f"import sys; sys.path[:0] = {[str(REPOSITORY), *map(str, _site())]!r}\n"
            f"{program}\nassert not status, status\n"
            "print(*sorted(sys.modules), file=sys.stderr)",
        ],
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr.decode()
    return set(done.stderr.decode().split())


def _site() -> list[str]:
    import cryptography

    return [str(Path(cryptography.__file__).parents[1])]


@pytest.mark.parametrize("option", ["--version", "--help"])
def test_version_and_help_import_nothing(option: str) -> None:
    """They are answered from the table before argparse."""
    bare = imported(code="status = 0")

    assert imported(option) - bare == {"__future__", "smime", "smime.cli", "smime.cli.main"}


def test_sign_imports_nothing_slow(stage: Stage) -> None:
    """It stays near what loading a key and a certificate costs by itself."""
    floor = imported(
        code="from cryptography import x509\n"
        "from cryptography.hazmat.primitives import hashes, serialization\n"
        "from cryptography.hazmat.primitives.asymmetric import ec, padding\n"
        "status = 0"
    )
    more = imported("sign", "-i", "alice-id.pem", "-o", "out.eml", "letter.eml") - floor

    assert more.isdisjoint(SLOW), more & SLOW
    assert "smime.outgoing" in more


def test_everything_imports_without_what_only_unix_has() -> None:
    """fcntl, pwd, grp, resource and termios are not there on Windows."""
    code = """
import importlib, pkgutil, sys
import multiprocessing, tempfile, subprocess, getpass  # the library's own use is its own affair
hidden = {"fcntl", "pwd", "grp", "resource", "termios"}
for name in hidden:
    sys.modules[name] = None
import smime, pki
for package in (smime, pki):
    for module in pkgutil.walk_packages(package.__path__, package.__name__ + "."):
        if not module.name.endswith("__main__"):
            importlib.import_module(module.name)
status = 0
"""
    assert "smime.cli.main" in imported(code=code)
