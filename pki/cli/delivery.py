"""New PKCS#12 files from the command line: where they go, and under which passphrase.

All that can be refused is refused before a question is asked or a certificate recorded.

Floor:  cli
"""

from __future__ import annotations

import argparse
import contextlib
import os

from pki.cli import common, options
from pki.errors import LedgerProblem
from pki.handover import HandOver

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Self

    import smime
    from pki.ledger import Ledger
    from pki.registrar import Registrar

__all__ = ["Delivery", "arguments"]


def arguments(
    parser: argparse.ArgumentParser, output: str = "FILE.p12", about: str = "new file"
) -> None:
    """Add the options of what writes PKCS#12 files."""
    parser.add_argument("-o", "--output", metavar=output, required=True, help=about)
    parser.add_argument(
        "--compat",
        choices=("modern", "legacy"),
        default="modern",
        help="legacy: weak encryption of the .p12, for old Windows, macOS and gpgsm",
    )
    group = options.passphrase(parser, "p12-", "of the new .p12")
    group.add_argument(
        "--write-passphrase", metavar="FILE", help="make one up and write it to this new file"
    )


class Delivery:
    """The files to be made, and the passphrase of the PKCS#12 among them."""

    def __init__(self, given: argparse.Namespace, *paths: str) -> None:
        for path in filter(None, (*paths, given.write_passphrase)):
            common.refuse_unwritable(path)
        self.compat: str = given.compat
        self._path: str | None = given.write_passphrase
        self._secret = common.given_passphrase(given.p12_passphrase_file, given.p12_passphrase_env)
        self._shown = self._told = False
        self._staged: HandOver | None = None
        self._ledger: Ledger | None = None
        if not self._secret and not self._path:
            common.demand_terminal(
                "the passphrase of the .p12", "--write-passphrase or --p12-passphrase-file"
            )

    def secret(self) -> str:
        """Give the passphrase; it is asked for, or made up, at the first time."""
        if not self._secret and not self._path:
            self._secret = common.new_passphrase(
                "Passphrase for the .p12, empty to have one made up", "", empty=True
            )
            self._shown = not self._secret
        self._secret = self._secret or common.made_up()
        return self._secret

    def write(self, files: list[tuple[str, bytes, int]]) -> None:
        """Write all of them, and the passphrase where that was asked for, or none."""
        self._staged = HandOver.stage([*self._own(), *files])
        self._publish()

    def _own(self) -> list[tuple[str, bytes, int]]:
        return [(self._path, f"{self.secret()}\n".encode(), 0o600)] if self._path else []

    def stage(
        self, files: list[tuple[str, bytes, int]], ca: Registrar, identity: smime.Identity
    ) -> None:
        """Write them beside where they shall be, so that only a rename is left; or none."""
        serials = [one.serial_number for one in common.certificates_of(identity)]
        whole = [(os.path.abspath(path), data, mode) for path, data, mode in files]
        own = [(os.path.abspath(path), data, mode) for path, data, mode in self._own()]
        self._ledger = ca.ledger
        self._staged = HandOver.stage([*own, *whole], ca.records.folder, serials)
        self._show(files)  # now: who is killed after this has a key that opens

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *exc: object) -> None:
        """Publish what was staged inside, or take it away if it was not recorded."""
        if failed is None:
            self._publish()
        elif self._staged is not None and self._ledger is not None:
            # The failure before is the one to tell; what is open still the next command does.
            with contextlib.suppress(OSError, LedgerProblem):
                self._staged.settle(self._ledger)

    def _publish(self) -> None:
        """Give the staged files their names, and tell the person what there is to tell."""
        assert self._staged is not None
        self._staged.publish()
        self._show([(path, b"", 0) for path, _ in self._staged.paths])

    def _show(self, files: list[tuple[str, bytes, int]]) -> None:
        if self._told:
            return
        self._told = True
        names = [path for path, _, _ in files if path.endswith((".p12", ".pfx"))]
        what = names[0] if len(names) == 1 else "the .p12"
        if self.compat == "legacy":
            common.tell(f"{what} is weakly encrypted, as asked: hand it over, do not mail it")
        if self._shown:
            common.tell(f"passphrase of {what}, shown this once: {self.secret()}")
