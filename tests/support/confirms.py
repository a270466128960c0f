"""Pytest plugin: which foreign program confirms which algorithm, told by the tests that show it.

A test of a peer says what its passing shows: ``confirms("ours", "cipher:{cipher}")`` that the
foreign program reads what we write, ``"theirs"`` that we read what it writes, ``"both"`` both.
Names in braces are the test's parameters. What was confirmed goes to the JSON file named by the
environment variable CONFIRMED: what passed, or with --collect-only what is said.
"""

from __future__ import annotations

import json
import os
from pathlib import Path

import pytest

DIRECTIONS = {
    "ours": ("ours",),
    "theirs": ("theirs",),
    "both": ("ours", "theirs"),
    "ours -> openssl": ("ours",),
    "openssl -> ours": ("theirs",),
}
_KEYS = {"rsa2048": "rsa", "rsa3072": "rsa", "bp256": "ec", "bp384": "ec"}
_CURVES = {
    "p256": "secp256r1",
    "p384": "secp384r1",
    "p521": "secp521r1",
    "ecdh": "secp256r1",
    **{f"brainpool{bits}": f"brainpoolP{bits}r1" for bits in (256, 384, 512)},
    "shared": "shared key",
}
_AGREEMENTS = {
    **{f"1.3.132.1.11.{arc}": f"x963-sha{bits}" for arc, bits in ((1, 256), (2, 384), (3, 512))},
    "v15": "",
    "oaep": "",
    "-": "",
}


def name_of(said: str) -> str:
    """Return the name of a row: section and name in the registry; empty if it shows nothing."""
    section, _, name = said.partition(":")
    if section == "content":
        return said
    name = name.lower().removeprefix("-")
    if section == "signature":
        name = _KEYS.get(name, "ec" if name.startswith(("p2", "p3", "p5")) else name)
    elif section == "recipient":
        kind = name.partition("-1.3.132")[0].removesuffix("--")
        name = _CURVES.get(kind, kind)
    elif section == "agreement":
        name = _AGREEMENTS.get(name, name)
    elif section == "cipher" and name.startswith("aes") and "-" not in name:
        name = f"aes-{name[3:]}-cbc"  # as gpgsm calls them
    elif section == "derived":
        section, name = "cipher", {"hkdf": "cek-hkdf-sha256", "plain": ""}[name]
    elif section == "wrap" and name.isdigit():
        name = f"aes-{int(name) * 8}-wrap"
    return f"{section}:{name}" if name else ""


def confirmed_by(item: pytest.Item) -> list[tuple[str, str, str]]:
    """Return peer, direction and name of each thing that the test's passing shows."""
    peers = [mark.args[0] for mark in item.iter_markers("peer")]
    parameters = getattr(getattr(item, "callspec", None), "params", {})
    found = []
    for mark in item.iter_markers("confirms"):
        direction, *said = (one.format(**parameters) for one in mark.args)
        names = [name for one in said if (name := name_of(one))]
        for name in names:
            if name.startswith("cipher:") and name != "cipher:cek-hkdf-sha256":
                cbc = name.endswith("-cbc")
                kind = "envelopedData" if cbc else "authEnvelopedData"
                names.append(f"content:{kind}")
            if name.startswith("signature:"):
                names.append("content:signedData")
            if name == "signature:ed448" and direction == "ours":
                names.append("digest:shake256")  # which no policy changes
        found += [
            (peers[-1], way, name) for way in DIRECTIONS[direction] for name in dict.fromkeys(names)
        ]
    return found


class Confirmed:
    """Collects what was shown and writes it down at the end."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.found: set[tuple[str, str, str]] = set()

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        if session.config.option.collectonly:
            for item in session.items:
                self.found |= set(confirmed_by(item))

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when == "call" and report.passed:
            self.found |= {
                (peer, way, name)
                for kind, value in report.user_properties
                if kind == "confirms"
                for peer, way, name in [str(value).split("|")]
            }

    def pytest_sessionfinish(self) -> None:
        self.path.write_text(json.dumps(sorted(self.found)))


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "confirms(direction, *names): what its passing shows")
    path = os.environ.get("CONFIRMED")
    if path and not hasattr(config, "workerinput"):
        config.pluginmanager.register(Confirmed(Path(path)), "confirmed")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    for item in items:
        if item.get_closest_marker("confirms") is not None:
            for shown in confirmed_by(item):
                item.user_properties.append(("confirms", "|".join(shown)))
