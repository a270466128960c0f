"""What the commands of ``smimetool ca`` share: the folder, passphrases, questions, output.

Passphrases come from a file, the environment or the terminal, never from the
command line, which every user of the machine can read.

Floor:  cli (uses folder)
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys

from pki.errors import NoAuthority, RequestRefused, Unattended

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Iterator, Mapping
    from datetime import datetime
    from typing import Any, TextIO

    from pki.facts import Record
    from pki.folder import Records
    from pki.ledger import Ledger
    from pki.registrar import Registrar

__all__ = [
    "announce",
    "ask",
    "ca_options",
    "chosen",
    "demand_terminal",
    "given_passphrase",
    "json_option",
    "made_up",
    "new_passphrase",
    "now",
    "opened",
    "passphrase_options",
    "records_of",
    "refuse_unwritable",
    "registrar",
    "say",
    "say_json",
    "secret",
    "tell",
    "terminal",
    "warn_lapsing",
    "write_all",
]

MAX_PASSPHRASE_OCTETS = 4_096  # the first line of a file; more is a wrong file
MAX_ASKED = 3  # a person who mistypes three times wants to read the hint
MAX_CERTIFICATE_OCTETS = 1_048_576  # of a file that names a certificate
_GENERATED_CHARACTERS = 26  # of 5 bits each: 130 bits
_LAPSES_SOON_DAYS = 2  # a list is warned of so long before its end: over a weekend


# --- options ----------------------------------------------------------------


def passphrase_options(
    parser: argparse.ArgumentParser, prefix: str, whose: str
) -> argparse._MutuallyExclusiveGroup:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        f"--{prefix}passphrase-file", metavar="F", help=f"first line of F is the passphrase {whose}"
    )
    group.add_argument(
        f"--{prefix}passphrase-env", metavar="V", help=f"variable V is the passphrase {whose}"
    )
    return group


def ca_options(parser: argparse.ArgumentParser, *, key: bool = True) -> None:
    """Add the options that name the CA and, for those that open it, its passphrase."""
    parser.add_argument("--ca-dir", metavar="DIR", help="folder of the CA, if not found here")
    if key:
        passphrase_options(parser, "", "of the CA's keys")


def json_option(parser: argparse.ArgumentParser) -> None:
    """Add --json."""
    parser.add_argument("--json", action="store_true", help="say it as JSON")


# --- the CA -----------------------------------------------------------------


def records_of(arguments: argparse.Namespace) -> Records:
    """Give what the CA's folder says; no key is opened."""
    from pki.folder import Records

    return Records.load(arguments.ca_dir or _find_ca())


@contextlib.contextmanager
def opened(arguments: argparse.Namespace) -> Iterator[tuple[Records, Ledger]]:
    """Open the CA's ledger without its keys, and warn of a list that ends soon."""
    records = records_of(arguments)
    with records.ledger() as ledger:
        yield records, ledger
        warn_lapsing(ledger)


@contextlib.contextmanager
def registrar(arguments: argparse.Namespace) -> Iterator[Registrar]:
    """Open the CA with its key; the passphrase is asked for if no option gives it."""
    from pki.registrar import Registrar

    records = records_of(arguments)
    passphrase = given_passphrase(arguments.passphrase_file, arguments.passphrase_env)
    if not passphrase:
        passphrase = secret(f"Passphrase of {records.name}: ", "--passphrase-file")
    with Registrar.load(records.folder, passphrase=passphrase) as ca:
        yield ca
        warn_lapsing(ca.ledger)


def now() -> datetime:
    """Give this moment, to the second."""
    from pki.authority import moment

    return moment(None)


def warn_lapsing(ledger: Ledger) -> None:
    """Tell the person of revocation lists that have ended or soon will."""
    from datetime import timedelta

    soon = now() + timedelta(days=_LAPSES_SOON_DAYS)
    for scope, end in ledger.lapsing():
        if end < soon:
            which = f" {scope}" if scope else ""
            tell(f"the revocation list{which} ends on {end:%Y-%m-%d %H:%M} UTC: `smimetool ca crl`")


def chosen(ledger: Ledger, which: str) -> list[Record]:
    """Find the certificates meant: a serial number, fingerprint, address, or file.

    Raises ``RequestRefused`` if there is none.
    """
    digits = which.replace(":", "").removeprefix("0x").lower()
    hexadecimal = all(digit in "0123456789abcdef" for digit in digits)
    if "@" in which and not os.path.exists(which):
        found = ledger.find(address=which)
    elif hexadecimal and len(digits) == 64:
        found = ledger.find(fingerprint=bytes.fromhex(digits))
    elif hexadecimal and 0 < len(digits) <= 40:
        found = ledger.find(serial=int(digits, 16))
    elif os.path.exists(which):
        found = ledger.find(fingerprint=_fingerprint(which))
    else:
        found = []
    if not found:
        raise RequestRefused(
            f"no certificate here is meant by {which!a}",
            hint="name a serial number, fingerprint, address or file: `smimetool ca list`",
        )
    return found


def _fingerprint(path: str) -> bytes:
    from cryptography import x509
    from cryptography.hazmat.primitives.hashes import SHA256

    with open(path, "rb") as file:
        data = file.read(MAX_CERTIFICATE_OCTETS)
    load = x509.load_der_x509_certificate
    if b"-----BEGIN" in data:
        load = x509.load_pem_x509_certificate
    try:
        return load(data).fingerprint(SHA256())
    except ValueError as error:
        raise RequestRefused(f"{path} is no certificate") from error


# --- files ------------------------------------------------------------------


def _find_ca() -> str:
    """Find the CA's folder: this one, or the only one below it that is one."""
    if os.path.exists("ca.toml"):
        return "."
    found = sorted(e.name for e in os.scandir(".") if os.path.exists(f"{e.name}/ca.toml"))
    if len(found) == 1:
        return found[0]
    if found:
        raise NoAuthority(f"{len(found)} CAs here: {', '.join(found)}", hint="say which: --ca-dir")
    raise NoAuthority(
        "no CA in this folder or the ones below",
        hint="name its folder with --ca-dir, or make one with `smimetool ca init DIR`",
    )


def refuse_unwritable(path: str) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already and is not written over", path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "no such folder", folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "no file can be made in this folder", folder)


def write_all(files: list[tuple[str, bytes, int]]) -> None:
    """Write new files: all of them or, if one fails, none."""
    from pki.folder import write_new

    written: list[str] = []
    try:
        for path, data, mode in files:
            write_new(path, data, mode=mode)
            written.append(path)
    except BaseException:
        for path in written:
            os.unlink(path)
        raise


# --- questions --------------------------------------------------------------


def terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def demand_terminal(what: str, option: str) -> None:
    if not terminal():
        raise Unattended(
            f"{what} is missing and there is no terminal to ask", hint=f"give {option}"
        )


def ask(question: str, *, option: str, needed: bool = False) -> str:
    demand_terminal(question.rstrip(": ").lower(), option)
    for _ in range(MAX_ASKED):
        tell(question, end="")
        line = sys.stdin.readline()
        if line.strip() or not needed:
            return line.strip()
    raise Unattended("no answer", hint=f"give {option}")


def secret(question: str, option: str) -> str:
    import getpass

    demand_terminal(question.rstrip(": ").lower(), option)
    try:
        return getpass.getpass(question, stream=sys.stderr)
    except EOFError:
        raise Unattended("no answer", hint=f"give {option}" if option else "") from None


def new_passphrase(question: str, option: str, *, empty: bool = False) -> str:
    """Ask twice until both answers agree; an empty one only where ``empty`` allows it."""
    for _ in range(MAX_ASKED):
        first = secret(f"{question}: ", option)
        if not first and empty:
            return ""
        if not first:
            tell("It cannot be empty.")
        elif secret("The same again: ", option) == first:
            return first
        else:
            tell("The two differ.")
    raise Unattended("no passphrase was agreed on", hint="try again")


def given_passphrase(path: str | None, variable: str | None) -> str:
    """Read the passphrase that an option names; empty if there is no such option."""
    if path is not None:
        with open(path, "rb") as file:
            line = file.readline(MAX_PASSPHRASE_OCTETS + 1)
        try:
            passphrase = line.decode().rstrip("\r\n")
        except UnicodeDecodeError:
            raise Unattended(f"the passphrase in {path} is not UTF-8") from None
        if not passphrase or len(line) > MAX_PASSPHRASE_OCTETS:
            raise Unattended(f"the first line of {path} is no passphrase")
        return passphrase
    if variable is not None:
        passphrase = os.environ.get(variable, "")
        if not passphrase:
            raise Unattended(f"the environment variable {variable} is not set or is empty")
        return passphrase
    return ""


def made_up() -> str:
    import base64

    return base64.b32encode(os.urandom(20)).decode()[:_GENERATED_CHARACTERS].lower()


def say(text: str) -> None:
    _write(sys.stdout, f"{text}\n")


def say_json(facts: Mapping[str, Any]) -> None:
    """Write facts as JSON, in ASCII."""
    import json

    say(json.dumps({"version": 1, **facts}, ensure_ascii=True, indent=2))


def announce(text: str) -> None:
    """Say which files were made; that the reader is gone does not unmake them."""
    with contextlib.suppress(OSError):
        say(text)


def tell(text: str, end: str = "\n") -> None:
    """Speak to the person, not to what reads the output."""
    _write(sys.stderr, text + end)


def _write(stream: TextIO | None, text: str) -> None:
    if stream is None:
        return  # closed by who started us: there is nobody to tell
    # A name from a certificate must not fail a terminal of another character set.
    encoding = stream.encoding or "ascii"
    try:
        stream.write(text.encode(encoding, "backslashreplace").decode(encoding))
        stream.flush()
    except OSError:
        # Python writes what is left once more at its end: let that go nowhere.
        nowhere = os.open(os.devnull, os.O_WRONLY)
        os.dup2(nowhere, stream.fileno())
        os.close(nowhere)
        raise
