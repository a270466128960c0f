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
    from collections.abc import Callable, Iterator, Mapping
    from datetime import datetime
    from typing import Any, TextIO

    from cryptography import x509

    import smime
    from pki.facts import Record
    from pki.folder import Records
    from pki.ledger import Ledger
    from pki.registrar import Registrar

MAX_PASSPHRASE_OCTETS = 4_096  # the first line of a file; more is a wrong file
MAX_ASKED = 3  # a person who mistypes three times wants to read the hint
MAX_CRL_OCTETS = 268_435_456  # five million entries
MAX_CERTIFICATE_OCTETS = 1_048_576  # of a file that names a certificate
_GENERATED_CHARACTERS = 26  # of 5 bits each: 130 bits
_LAPSES_SOON_DAYS = 2  # a list is warned of so long before its end: over a weekend


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
        finish(records, ledger)
        yield records, ledger
        warn_lapsing(ledger)


@contextlib.contextmanager
def registrar(arguments: argparse.Namespace) -> Iterator[Registrar]:
    """Open the CA with its key; the passphrase is asked for if no option gives it."""
    from pki.registrar import Registrar

    records = records_of(arguments)
    passphrase = given_or_asked(arguments, records.name)
    with Registrar.load(records.folder, passphrase=passphrase) as ca:
        finish(records, ca.ledger)
        yield ca
        warn_lapsing(ca.ledger)


def finish(records: Records, ledger: Ledger) -> None:
    """Hand over the keys, or take them away, of commands that were killed before they did."""
    from pki.handover import unfinished

    for one in unfinished(records.folder):
        try:
            recorded = one.settle(ledger)
        except OSError as error:
            tell(f"a key made by a command that was killed waits still: {error}")
            continue
        for path, _ in one.paths:
            what = "made" if recorded else "not made, and not certified,"
            tell(f"{path}: {what} by a command that was killed")


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


def newest(ledger: Ledger, names: list[str]) -> list[Record]:
    """Find the newest certificate of each name that was not revoked; of an address its pair too.

    Of a pair the one that signs comes first.
    """
    from pki.escrow import may_be_kept

    found: dict[int, Record] = {}
    for which in names:
        records = chosen(ledger, which)
        usable = [one for one in records if one.state(now()) in ("valid", "expired")] or records
        found[usable[0].serial] = usable[0]
        if "@" in which:
            reads = may_be_kept(usable[0].certificate)
            halves = ("-signing", "signing") if reads else ("-encryption", "encryption")
            kind = usable[0].profile
            other = [
                one for one in usable[1:] if one.profile != kind and one.profile.endswith(halves)
            ]
            if other and kind.endswith(("signing", "encryption")):
                found[other[0].serial] = other[0]
    return sorted(found.values(), key=lambda one: may_be_kept(one.certificate))


def refuse_waiting(ledger: Ledger, records: list[Record]) -> None:
    """Raise ``RequestRefused`` for a certificate whose holder has not shown the key yet."""
    for record in records:
        waiting = ledger.challenge(record.serial)
        if waiting is not None and not waiting[1]:
            raise RequestRefused(
                f"the certificate {record.serial:x} waits for the answer to its challenge",
                hint="until then its holder alone may have it: `ca challenge answer`",
            )


def kept_of(ledger: Ledger, records: list[Record]) -> list[int]:
    """Say of which of these a sealed copy of the key is kept."""
    from pki.archive import serials_of

    return serials_of(ledger, [record.serial for record in records])


def certificates_of(identity: smime.Identity) -> list[x509.Certificate]:
    """Give all certificates that have a key, the signing one first."""
    reading = identity.recipient.certificate
    own = identity.certificate
    return [own] if reading == own else [own, reading]


def _fingerprint(path: str) -> bytes:
    from cryptography.hazmat.primitives.hashes import SHA256

    return read_certificates(path)[0].fingerprint(SHA256())


def read_certificates(path: str) -> list[x509.Certificate]:
    """Read a file of certificates, PEM or DER. Raises ``RequestRefused``."""
    from cryptography import x509

    with open(path, "rb") as file:
        data = file.read(MAX_CERTIFICATE_OCTETS)
    try:
        if b"-----BEGIN" in data:
            return x509.load_pem_x509_certificates(data)
        return [x509.load_der_x509_certificate(data)]
    except (ValueError, TypeError, x509.InvalidVersion) as error:
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


def crl_path(folder: str, scope: str, *, delta: bool = False) -> str:
    """Say where a revocation list lies in a CA's folder."""
    parts = ["ca", *([scope] if scope else []), *(["delta"] if delta else [])]
    return os.path.join(folder, "crl", f"{'-'.join(parts)}.crl")


def beside_p12(arguments: argparse.Namespace) -> str:
    """Say where the certificate goes that stands beside the .p12."""
    stem, extension = os.path.splitext(arguments.output)
    if extension == ".pem" or arguments.output == "-":
        arguments.refuse("-o names the .p12, a file; the certificate goes beside it as .pem")
    return f"{stem}.pem"


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
    from pki.files import write_new

    written: list[str] = []
    try:
        for path, data, mode in files:
            write_new(path, data, mode=mode)
            written.append(path)
    except BaseException:
        for path in written:
            os.unlink(path)
        raise


def write_recorded(path: str, certificate: x509.Certificate, pem: bytes) -> None:
    """Write a certificate that is recorded; if that fails, say how it is had all the same."""
    try:
        write_all([(path, pem, 0o644)])
    except OSError as error:
        how = f"`smimetool ca export {certificate.serial_number:x} -o FILE.pem`"
        said = f"{error.strerror}; the certificate is recorded: {how}"
        raise OSError(error.errno, said, error.filename) from error


# --- questions --------------------------------------------------------------


def terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def demand_terminal(what: str, option: str) -> None:
    if not terminal():
        raise Unattended(
            f"{what} is missing and there is no terminal to ask", hint=f"give {option}"
        )


def _asked_for(question: str) -> str:
    return question[:1].lower() + question[1:].rstrip(": ")


def ask(question: str, *, option: str, needed: bool = False) -> str:
    demand_terminal(_asked_for(question), option)
    for _ in range(MAX_ASKED):
        tell(question, end="")
        line = sys.stdin.readline()
        if line.strip() or not needed:
            return line.strip()
    raise Unattended("no answer", hint=f"give {option}")


def secret(question: str, option: str) -> str:
    import getpass

    demand_terminal(_asked_for(question), option)
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


def identities(arguments: argparse.Namespace) -> list[smime.Identity]:
    """Open the agents' keys; a passphrase is asked for where no option gives it.

    Of a file with several keys all are taken: it is one agent's.
    """
    import smime

    files: list[str] = arguments.identity_passphrase_file
    if len(files) > len(arguments.identity):
        arguments.refuse("--identity-passphrase-file is given once for each -i")
    found: list[smime.Identity] = []
    for place, path in enumerate(arguments.identity):
        given = given_passphrase(files[place], None) if place < len(files) else ""
        found += smime.Identity.load_all(path, passphrase=given or _asking(path))
    return found


def _asking(path: str) -> Callable[[], str]:
    return lambda: secret(f"Passphrase of {path}: ", "--identity-passphrase-file")


def agreed_passphrase(arguments: argparse.Namespace, question: str) -> str:
    """Give the passphrase for new keys: by option, or asked for twice."""
    given = given_passphrase(arguments.passphrase_file, arguments.passphrase_env)
    return given or new_passphrase(question, "--passphrase-file")


def given_or_asked(arguments: argparse.Namespace, whose: str) -> str:
    """Give the passphrase of keys that are there: by option, or asked for."""
    given = given_passphrase(arguments.passphrase_file, arguments.passphrase_env)
    return given or secret(f"Passphrase of {whose}: ", "--passphrase-file")


def common_name(certificate: x509.Certificate) -> str:
    """Give what a CA is called."""
    from cryptography.x509.oid import NameOID

    names = certificate.subject.get_attributes_for_oid(NameOID.COMMON_NAME)
    return str(names[0].value) if names else certificate.subject.rfc4514_string()


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
