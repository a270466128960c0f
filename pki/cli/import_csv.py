"""``smimetool ca import-csv FILE -o DIR``: many users at once; started again it goes on.

Floor:  cli (uses bulk)
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys

from pki.cli import common, options
from pki.errors import RequestRefused

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable, Iterable, Iterator

    from pki.bulk import Result

EXAMPLE = (
    "smimetool ca import-csv people.csv -o people --write-passphrases people.pass "
    "--passphrase-file ca.pass"
)
_COLUMNS = """\
The first line names the columns: address (several separated by blanks), and any of name,
profile, key, days, pair, csr (file of a request, relative to FILE) and what --subject takes."""
_SHOWN = 10  # refused rows told on the terminal; all are in refused.csv


def arguments(parser: argparse.ArgumentParser) -> None:
    """Add the options."""
    parser.description = f"{parser.description}\n\n{_COLUMNS}"
    parser.add_argument("file", metavar="FILE", help="CSV file, UTF-8")
    parser.add_argument(
        "-o",
        "--output",
        metavar="DIR",
        required=True,
        help="folder for ADDRESS.p12 and .pem: a new one, or that of a run that was cut off",
    )
    parser.add_argument(
        "--write-passphrases",
        metavar="FILE",
        required=True,
        help="CSV file for the passphrases that are made up, one for each .p12",
    )
    options.profile(parser)
    options.key(parser, "rsa3072", "rsa3072, which every mail program reads")
    options.days(parser)
    parser.add_argument(
        "--pair", action="store_true", default=None, help="two keys each, one of which reads"
    )
    parser.add_argument(
        "--compat",
        choices=("modern", "legacy"),
        default="modern",
        help="legacy: weak encryption of the .p12, for old Windows, macOS and gpgsm",
    )
    options.keep(parser)
    options.ca(parser)
    options.json(parser)


def run(arguments: argparse.Namespace) -> int:
    """Work through the file; status 23 if a row was refused and all others made."""
    from pki.bulk import Defaults, Import, read_rows

    if arguments.profile.endswith(".toml"):
        arguments.refuse("--profile is a name: put the file into profiles/ of the CA's folder")
    defaults = Defaults(arguments.profile, arguments.key, arguments.days, arguments.pair)
    made = again = 0
    refused: list[Result] = []
    # Octets that are no UTF-8 stay with their row, which is refused.
    with open(arguments.file, encoding="utf-8-sig", errors="surrogateescape", newline="") as file:
        total = sum(1 for _ in read_rows(file, defaults))
        file.seek(0)
        with common.registrar(arguments) as ca, _bar(total) as step:
            run = Import(
                ca,
                arguments.output,
                arguments.write_passphrases,
                base=os.path.dirname(arguments.file) or ".",
                compat=arguments.compat,
                keep=arguments.keep,
            )
            for result in run.run(read_rows(file, defaults)):
                step()
                if result.refused is not None:
                    refused.append(result)
                elif result.again:
                    again += 1
                else:
                    made += 1
    report = os.path.join(arguments.output, "refused.csv")
    _write_refused(report, refused)
    if arguments.json:
        common.say_json(
            {
                "made": made,
                "made_before": again,
                "refused": [
                    {
                        "line": one.row.number,
                        "addresses": list(one.row.addresses),
                        "reason": str(one.refused),
                    }
                    for one in refused
                ],
            }
        )
    else:
        before = f", {again} made before" if again else ""
        common.announce(f"{arguments.output}\n  {made} made{before}, {len(refused)} refused")
    for one in refused[:_SHOWN]:
        common.tell(f"line {one.row.number}: {one.refused}")
    if refused:
        raise RequestRefused(
            f"{len(refused)} of {total} rows were refused, the others are made",
            hint=f"see {report}; mend those lines and start again with the same folder",
        )
    return 0


def _write_refused(path: str, refused: Iterable[Result]) -> None:
    """Write which rows were refused, or take away what an earlier run wrote."""
    import csv
    import io

    from pki.files import write_over

    rows = [
        (one.row.number, " ".join(one.row.addresses), str(one.refused), one.refused.hint)
        for one in refused
        if one.refused is not None
    ]
    if rows:
        text = io.StringIO(newline="")
        csv.writer(text).writerows([("line", "address", "reason", "hint"), *rows])
        write_over(path, text.getvalue().encode(errors="backslashreplace"), mode=0o600)
    else:
        with contextlib.suppress(FileNotFoundError):
            os.unlink(path)


@contextlib.contextmanager
def _bar(total: int) -> Iterator[Callable[[], None]]:
    """Show how far it is, on a terminal and where rich is installed."""
    if sys.stderr is None or not sys.stderr.isatty():
        yield lambda: None
        return
    try:
        from rich.console import Console
        from rich.progress import Progress
    except ModuleNotFoundError:
        yield lambda: None
        return
    with Progress(console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("certificates", total=total)
        yield lambda: progress.advance(task)
