"""Pytest plugin: tests that need a peer are skipped without it, failed in CI, and counted.

The count goes to the JSON file named by the environment variable PEER_COUNTS, added to
what is there. In CI a skipped test fails the run, unless its reason starts with
``platform:``; nothing is skipped silently. The blocks of the docs that ran are counted too,
and so are the vectors that were judged.
"""

from __future__ import annotations

import json
import os
from collections import Counter
from pathlib import Path

import pytest

from tests.support.peers import PeerMissing, listed, peer

IN_CI = os.environ.get("CI") == "true"


class PeerCount:
    """Counts what ran; with xdist only in the process that collects the reports."""

    def __init__(self) -> None:
        self.ran: Counter[str] = Counter()
        self.skipped: list[str] = []
        self.blocks: Counter[str] = Counter()
        self.vectors: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.skipped and not hasattr(report, "wasxfail"):
            reason = str(report.longrepr[2]) if isinstance(report.longrepr, tuple) else ""
            if not reason.removeprefix("Skipped: ").startswith("platform:"):
                self.skipped.append(report.nodeid)
        elif report.when == "call":
            for kind, value in report.user_properties:
                if kind == "peer":
                    self.ran[str(value)] += 1
                elif kind in {"blocks run", "blocks due"}:
                    self.blocks[kind] += int(str(value))
                elif kind == "vectors":
                    self.vectors.append(str(value))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        file = os.environ.get("PEER_COUNTS")
        if file:
            path = Path(file)
            before = Counter(json.loads(path.read_text()) if path.exists() else {})
            path.write_text(json.dumps(before + self.ran))
        if IN_CI and self.skipped and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for name, count in sorted(self.ran.items()):
            terminalreporter.write_line(f"peer {name}: {count} tests run")
        for told in sorted(self.vectors):
            terminalreporter.write_line(f"vectors {told}")
        if self.blocks:
            ran, due = self.blocks["blocks run"], self.blocks["blocks due"]
            terminalreporter.write_line(f"blocks run {ran} of {due}")
        if IN_CI and self.skipped:
            terminalreporter.write_line(f"skipped, which CI does not allow: {self.skipped}")


def pytest_configure(config: pytest.Config) -> None:
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(PeerCount(), "peer-count")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """A test that takes the fixture of a peer needs that peer."""
    for item in items:
        marked = {mark.args[0] for mark in item.iter_markers("peer")}
        for name in set(getattr(item, "fixturenames", ())) & set(listed()) - marked:
            item.add_marker(pytest.mark.peer(name))


@pytest.hookimpl(tryfirst=True)
def pytest_runtest_setup(item: pytest.Item) -> None:
    for mark in item.iter_markers("peer"):
        name = mark.args[0]
        try:
            peer(name)
        except PeerMissing as missing:
            if IN_CI:
                pytest.fail(str(missing), pytrace=False)
            pytest.skip(str(missing))
        item.user_properties.append(("peer", name))
