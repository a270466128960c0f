"""New PKCS#12 files from the command line: where they go, and under which passphrase.

All that can be refused is refused before a question is asked or a certificate recorded.

Floor:  cli
"""

from __future__ import annotations

import argparse
import contextlib
import os

from pki.cli import common, options

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from typing import Self

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
        self._shown = False
        self._staged: list[tuple[str, str]] = []
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
        self.stage(files)
        self.publish()

    def stage(self, files: list[tuple[str, bytes, int]]) -> None:
        """Write them beside where they shall be, so that only a rename is left; or none."""
        also = [(self._path, f"{self.secret()}\n".encode(), 0o600)] if self._path else []
        mark = os.urandom(4).hex()
        staged = [(path, _beside(path, mark), data, mode) for path, data, mode in [*also, *files]]
        common.write_all([(beside, data, mode) for _, beside, data, mode in staged])
        self._staged = [(path, beside) for path, beside, _, _ in staged]

    def __enter__(self) -> Self:
        return self

    def __exit__(self, failed: type[BaseException] | None, *exc: object) -> None:
        """Publish what was staged inside, or take it away if that failed."""
        if failed is None:
            self.publish()
            return
        for _, beside in self._staged:
            with contextlib.suppress(OSError):  # the failure before is the one to tell
                os.unlink(beside)

    def publish(self) -> None:
        """Give the staged files their names, and tell the person what there is to tell."""
        for path, beside in self._staged:
            common.refuse_unwritable(path)
            os.rename(beside, path)
        names = [path for path, _ in self._staged if path.endswith((".p12", ".pfx"))]
        what = names[0] if len(names) == 1 else "the .p12"
        if self.compat == "legacy":
            common.tell(f"{what} is weakly encrypted, as asked: hand it over, do not mail it")
        if self._shown:
            common.tell(f"passphrase of {what}, shown this once: {self.secret()}")


def _beside(path: str, mark: str) -> str:
    return os.path.join(os.path.dirname(path), f".{os.path.basename(path)}.{mark}")
