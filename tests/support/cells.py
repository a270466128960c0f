"""Pytest plugin: counts the cells of a table of agreement, and prints it at the end.

A test is a cell when it carries ``pytest.mark.cell(peer, row)``. The number due is what was
collected, so a run of a part says so: ``cells run 12 of 130``.
"""

from __future__ import annotations

from collections import Counter

import pytest


class CellCount:
    """Counts what passed; with xdist only in the process that collects the reports."""

    def __init__(self) -> None:
        self.due: Counter[str] = Counter()
        self.ran: Counter[str] = Counter()

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for kind, value in report.user_properties:
            if kind != "cell":
                continue
            row, _, due = str(value).rpartition("/")
            self.due[row] = int(due)
            if report.when == "call" and report.passed:
                self.ran[row] += 1

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        if not self.due:
            return
        for row in sorted(self.due):
            terminalreporter.write_line(f"  {row:52} {self.ran[row]:3} of {self.due[row]}")
        due, ran = sum(self.due.values()), sum(self.ran.values())
        terminalreporter.write_line(f"cells run {ran} of {due}")


def pytest_configure(config: pytest.Config) -> None:
    config.addinivalue_line("markers", "cell(peer, row): one cell of a table of agreement")
    if not hasattr(config, "workerinput"):
        config.pluginmanager.register(CellCount(), "cell-count")


@pytest.hookimpl(tryfirst=True)
def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Write row and number due into each cell, before anything is deselected."""
    rows = {
        item: f"{mark.args[0]}: {mark.args[1]}"
        for item in items
        if (mark := item.get_closest_marker("cell")) is not None
    }
    due = Counter(rows.values())
    for item, row in rows.items():
        item.user_properties.append(("cell", f"{row}/{due[row]}"))
