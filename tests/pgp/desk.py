"""Where commands are typed: a folder and a GnuPG home; and a mail domain's web server."""

from __future__ import annotations

import json
import ssl
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

import smime
from smime.cli.main import main
from tests.support.web import Web


@dataclass
class Desk:
    """A folder with a letter and a GnuPG home, and what was said there."""

    folder: Path
    home: str
    capture: pytest.CaptureFixture[str]

    def said(self, *words: str, status: int = 0) -> tuple[str, str]:
        """Run smimetool with --pgp-home; return standard output, and error."""
        got = main([*words, "--pgp-home", self.home])
        said = self.capture.readouterr()
        assert got == status, said.err
        if status:
            assert said.err.startswith("smimetool")
            assert "Traceback" not in said.err
        return said.out, said.err

    def run(self, *words: str, status: int = 0) -> str:
        """Run it, and return both in one."""
        return "".join(self.said(*words, status=status))

    def json(self, *words: str) -> Any:
        """Run it, and return what it says in JSON."""
        return json.loads(self.said(*words, "--json")[0])


@dataclass
class Place:
    """The web server of example.org, and the root of our own CA that vouches for it."""

    site: Web
    root: Path

    @property
    def fetcher(self) -> smime.HttpFetcher:
        return smime.HttpFetcher(allow_private=True, tls=self.tls)

    def put(self, url: str, octets: bytes) -> None:
        """Serve octets at this URL."""
        self.site.pages[url[url.index("/", len("https://")) :]] = octets

    @property
    def tls(self) -> ssl.SSLContext:
        return ssl.create_default_context(cafile=str(self.root))
