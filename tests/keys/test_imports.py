"""What signing costs before it begins."""

from __future__ import annotations

import subprocess
import sys

from tests.keys.people import pem, person

CODE = """
import sys
import cryptography.x509, cryptography.hazmat.primitives.serialization
before = set(sys.modules)
from smime.keys import Identity
Identity.load(sys.argv[1])
print(*set(sys.modules) - before)
"""


def run(code: str, *arguments: str) -> set[str]:
    done = subprocess.run(
        [sys.executable, "-c", code, *arguments], capture_output=True, text=True, check=True
    )
    return set(done.stdout.split())


def test_the_package_alone_imports_nothing_large():
    loaded = run("import sys, smime.keys; print(*sys.modules)")

    assert "smime.keys.identity" in loaded
    assert not loaded & {"cryptography", "typing", "dataclasses", "email", "enum", "asn1crypto"}


def test_a_pair_in_pem_needs_no_pkcs12(tmp_path):
    path = tmp_path / "alice.pem"
    path.write_bytes(pem(*person("alice@example.org")))
    loaded = run(CODE, str(path))

    assert "smime.keys.loading" in loaded
    assert not loaded & {"asn1crypto", "dataclasses", "email", "logging", "smime.keys.pkcs12"}
