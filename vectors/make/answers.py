"""What openssl says of each mail: another implementation's word, measured and kept."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import tomllib
from pathlib import Path

from cryptography.hazmat.primitives.serialization import Encoding
from mails import Vector
from people import BOB, ROOT

SECONDS = 20  # one mail takes some milliseconds


class Answers:
    """Asks the openssl command, or reads what it said before."""

    def __init__(self, before: Path | None) -> None:
        self._before = before
        if before is not None:
            return
        if shutil.which("openssl") is None:
            raise SystemExit("openssl is not on the PATH: it is asked about every vector")
        self._scratch = tempfile.TemporaryDirectory()
        self._folder = Path(self._scratch.name)
        self._write("root.pem", ROOT.certificate.public_bytes(Encoding.PEM))
        for kind, bob in BOB.items():
            self._write(f"{kind}.pem", bob.pem())

    def of(self, vector: Vector) -> str:
        """Return ``accepts`` or ``refuses``."""
        if self._before is not None:
            file = self._before / vector.folder / f"{vector.name}.toml"
            return str(tomllib.loads(file.read_text("utf-8"))["openssl"])
        self._write("in.eml", vector.mail)
        if vector.folder == "sealed" or vector.expect == "opens":
            return "accepts" if self._opens(vector) else "refuses"
        return "accepts" if self._verifies("in.eml", vector) else "refuses"

    def _opens(self, vector: Vector) -> bool:
        """Take layer after layer off, as far as there are any."""
        inside = vector.mail
        if b"multipart/signed" in inside[:600]:
            if not self._verifies("in.eml", vector):
                return False
            inside = (self._folder / "out").read_bytes()
            self._write("in.eml", inside)
        while b"pkcs7-mime" in inside[:600] and b"smime-type=signed" not in inside[:600]:
            if not self._decrypts():
                return False
            inside = (self._folder / "out").read_bytes()
            self._write("in.eml", inside)
        if vector.expect == "opens":
            return inside == vector.content
        return b"pkcs7" not in inside[:200] or self._verifies("in.eml", vector)

    def _decrypts(self) -> bool:
        return any(
            self._run("-decrypt", "-in", "in.eml", "-recip", f"{kind}.pem", "-out", "out")
            for kind in BOB
        )

    def _verifies(self, name: str, vector: Vector) -> bool:
        moment = str(int(vector.at.timestamp()))
        return self._run(
            "-verify",
            "-in",
            name,
            "-CAfile",
            "root.pem",
            "-attime",
            moment,
            "-no-CApath",
            "-no-CAstore",
            "-out",
            "out",
        )

    def _run(self, *arguments: str) -> bool:
        done = subprocess.run(
            ["openssl", "cms", *arguments],
            cwd=self._folder,
            capture_output=True,
            timeout=SECONDS,
            check=False,
        )
        return done.returncode == 0

    def _write(self, name: str, data: bytes) -> None:
        (self._folder / name).write_bytes(data)
