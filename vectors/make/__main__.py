"""Make every vector of the project anew: ``python vectors/make [FOLDER]``.

The same bytes come out in every run. openssl is asked about each mail and its answer is
written beside it; with ``--keep-answers`` the answers that are there already stay.
"""

from __future__ import annotations

import argparse
import hashlib
import sys
from pathlib import Path

import chains
import damaged
import forms
import layers
import sealed
import signed
import structures
import trust
import unopened
from answers import Answers
from cryptography.hazmat.primitives.serialization import Encoding
from mails import Vector
from people import BOB, ROOT

HOME = Path(__file__).resolve().parents[1]
MAKERS = (signed, structures, sealed, unopened, layers, forms, damaged, trust, chains)


def describe(vector: Vector, maker: str, answer: str) -> str:
    """Return the text of the .toml beside a mail."""
    said = {"accepts": "agrees" if _good(vector) else "accepts it", "refuses": "agrees"}
    word = "refuses it" if answer == "refuses" and _good(vector) else said[answer]
    lines = [
        f'about   = "{vector.about}"',
        f'rule    = "{vector.rule}"',
        f'source  = "vectors/make/{maker}.py; openssl cms {word}"',
        f"at      = {vector.at:%Y-%m-%dT%H:%M:%SZ}",
        f'expect  = "{vector.expect}"',
    ]
    if vector.policy:
        lines.append(f'policy  = "{vector.policy}"')
    if vector.damage:
        lines.append(f'damage  = "{vector.damage}"')
    if vector.signer:
        lines.append(f'signer  = "{vector.signer}"')
    if vector.content is not None:
        lines.append(f'content = "{hashlib.sha256(vector.content).hexdigest()}"')
    lines.append(f'openssl = "{answer}"')
    return "\n".join(lines) + "\n"


def _good(vector: Vector) -> bool:
    return vector.expect in ("good", "opens")


def main() -> int:
    parser = argparse.ArgumentParser(description="Make the vectors anew.")
    parser.add_argument("folder", nargs="?", type=Path, default=HOME / "smime")
    parser.add_argument("--keep-answers", action="store_true", help="do not ask openssl")
    given = parser.parse_args()
    answers = Answers(HOME / "smime" if given.keep_answers else None)
    made: set[Path] = set()

    def write(name: str, data: bytes) -> None:
        path = given.folder / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(data)
        if path in made:
            raise SystemExit(f"two vectors are called {name}")
        made.add(path)

    write("root.pem", ROOT.certificate.public_bytes(Encoding.PEM))
    for kind, bob in BOB.items():
        write(f"bob-{kind}.pem", bob.pem())
    count = 0
    for module in MAKERS:
        for vector in module.vectors():
            name = f"{vector.folder}/{vector.name}"
            write(f"{name}.eml", vector.mail)
            write(f"{name}.toml", describe(vector, module.__name__, answers.of(vector)).encode())
            count += 1
    for old in given.folder.rglob("*"):
        if old.is_file() and old not in made:
            old.unlink()
    print(f"{count} vectors in {given.folder}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
