"""``smimetool ca``: make a CA, issue a certificate to a user, say what a CA's folder holds.

Passphrases come from a file, the environment or the terminal, never from the
command line, which every user of the machine can read.

Floor:  cli (uses registrar)
"""

from __future__ import annotations

import argparse
import contextlib
import errno
import os
import sys

from pki.errors import NoAuthority, Unattended

TYPE_CHECKING = False  # what typing.TYPE_CHECKING is, without importing typing
if TYPE_CHECKING:
    from collections.abc import Callable
    from typing import Any, NoReturn, TextIO

__all__ = ["main"]

MAX_PASSPHRASE_OCTETS = 4_096  # the first line of a file; more is a wrong file
MAX_ASKED = 3  # a person who mistypes three times wants to read the hint
_GENERATED_CHARACTERS = 26  # of 5 bits each: 130 bits

_URLS = """\
Certificates can say where to fetch two files: the list of revoked certificates, and
the certificate of the CA. Certificates already given out cannot be mended, so name
now an address that will last, even if nothing is there yet. Empty for none."""


def main(argv: list[str]) -> int:
    """Run ``smimetool ca`` with these arguments; give the exit status.

    Raises ``SmimeError`` and ``OSError``, which the command's own main prints.
    """
    arguments = _parser().parse_args(argv)
    if sys.stdout is None:
        # Before any work, so that nothing is made of which nobody hears.
        raise OSError(errno.EBADF, "it is closed", "standard output")
    run: Callable[[argparse.Namespace], int] = arguments.run
    return run(arguments)


class _Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, as all of smimetool does; no option by half its name."""

    def __init__(self, **settings: Any) -> None:
        super().__init__(allow_abbrev=False, **settings)

    def error(self, message: str) -> NoReturn:
        self.exit(2, f"{self.prog}: {message}\nhint: `{self.prog} --help`\n")


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(
        prog="smimetool ca", description="Run a small certification authority in a folder."
    )
    commands = parser.add_subparsers(required=True, metavar="COMMAND")

    init = commands.add_parser("init", help="make a CA", description="Make a CA in a new folder.")
    init.set_defaults(run=_init)
    init.add_argument("dir", metavar="DIR", help="new or empty folder")
    init.add_argument("--name", help="name of the CA, as readers see it")
    init.add_argument("--rsa", action="store_true", help="RSA-4096 keys, not P-384 and P-256")
    init.add_argument("--crl-url", metavar="URL", help="where its revocation list will be")
    init.add_argument("--ca-url", metavar="URL", help="where issuing.pem will be, as DER")
    init.add_argument(
        "--domain",
        action="append",
        default=[],
        metavar="D",
        help="certify only addresses at D (.D: below D); may be repeated",
    )
    _passphrase_options(init, "", "of the CA's keys")

    issue = commands.add_parser(
        "issue", help="make a key and its certificate", description="Issue to one user."
    )
    issue.set_defaults(run=_issue, refuse=issue.error)
    issue.add_argument("address", metavar="ADDRESS", nargs="+", help="mail address of the user")
    issue.add_argument("-o", "--output", metavar="FILE.p12", required=True, help="new file")
    issue.add_argument("--name", default="", help="the user's name")
    issue.add_argument("--ca-dir", metavar="DIR", help="folder of the CA, if not found here")
    issue.add_argument(
        "--key",
        choices=("rsa3072", "rsa4096", "p256", "p384"),
        default="rsa3072",
        help="kind of key (default: rsa3072, which every mail program reads)",
    )
    issue.add_argument("--days", type=int, default=365, metavar="N", help="lifetime (default: 365)")
    issue.add_argument(
        "--compat",
        choices=("modern", "legacy"),
        default="modern",
        help="legacy: weak encryption of the .p12, for old Windows, macOS and gpgsm",
    )
    _passphrase_options(issue, "", "of the CA's keys")
    group = _passphrase_options(issue, "p12-", "of the new .p12")
    group.add_argument(
        "--write-passphrase", metavar="FILE", help="make one up and write it to this new file"
    )

    show = commands.add_parser("show", help="say what a CA's folder holds")
    show.set_defaults(run=_show)
    show.add_argument("--ca-dir", metavar="DIR", help="folder of the CA, if not found here")
    show.add_argument("--json", action="store_true", help="as JSON")
    return parser


def _passphrase_options(
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


# --- the commands -----------------------------------------------------------


def _init(arguments: argparse.Namespace) -> int:
    from pki.registrar import Registrar, refuse_existing

    refuse_existing(arguments.dir)  # before any question
    name = arguments.name
    if name is None:
        name = _ask("Name of the CA: ", option="--name", needed=True)
    given = _given_passphrase(arguments.passphrase_file, arguments.passphrase_env)
    passphrase = given or _new_passphrase("Passphrase for the CA's keys", "--passphrase-file")
    crl_url, ca_url = arguments.crl_url, arguments.ca_url
    if _terminal() and None in (crl_url, ca_url):
        _tell(_URLS)
        if crl_url is None:
            crl_url = _ask("URL of the revocation list: ", option="--crl-url")
        if ca_url is None:
            ca_url = _ask("URL of the CA's certificate: ", option="--ca-url")
    with Registrar.create(
        arguments.dir,
        name=name,
        passphrase=passphrase,
        rsa=arguments.rsa,
        crl_url=crl_url or "",
        ca_url=ca_url or "",
        domains=arguments.domain,
    ):
        root = os.path.join(arguments.dir, "root.pem")
        key = os.path.join(arguments.dir, "private", "root.key.pem")
        _announce(f"{root}\n  give it to everybody who reads your users' mail: --ca {root}")
        _announce(f"{key}\n  move it to a medium of its own; issuing does not need it")
    return 0


def _issue(arguments: argparse.Namespace) -> int:
    from pki.registrar import Records, Registrar, to_pem

    p12_path: str = arguments.output
    stem, extension = os.path.splitext(p12_path)
    # All that can be refused is, before a question is asked or a certificate recorded.
    if extension == ".pem" or p12_path == "-":
        arguments.refuse("-o names the .p12, a file; the certificate goes beside it as .pem")
    pem_path = f"{stem}.pem"
    for path in filter(None, (p12_path, pem_path, arguments.write_passphrase)):
        _refuse_unwritable(path)
    records = Records.load(arguments.ca_dir or _find_ca())
    ca_passphrase = _given_passphrase(arguments.passphrase_file, arguments.passphrase_env)
    p12_passphrase = _given_passphrase(arguments.p12_passphrase_file, arguments.p12_passphrase_env)
    if not p12_passphrase and not arguments.write_passphrase:
        _demand_terminal(
            "the passphrase of the .p12", "--write-passphrase or --p12-passphrase-file"
        )
    if not ca_passphrase:
        ca_passphrase = _secret(f"Passphrase of {records.name}: ", "--passphrase-file")
    with Registrar.load(records.folder, passphrase=ca_passphrase) as ca:
        generated = bool(arguments.write_passphrase)
        if not p12_passphrase and not generated:
            p12_passphrase = _new_passphrase(
                "Passphrase for the .p12, empty to have one made up", "", empty=True
            )
            generated = not p12_passphrase
        secret = p12_passphrase or _made_up()
        identity = ca.issue(
            *arguments.address,
            name=arguments.name,
            algorithm=arguments.key,
            lifetime_days=arguments.days,
        )
        p12 = identity.to_p12(secret, compat=arguments.compat)
        certificates = (identity.certificate, *ca.chain)
    files = [(pem_path, to_pem(*certificates), 0o644)]
    if arguments.write_passphrase:
        files.append((arguments.write_passphrase, f"{secret}\n".encode(), 0o600))
    files.append((p12_path, p12, 0o600))
    _write_all(files)
    if arguments.compat == "legacy":
        _tell(f"{p12_path} is weakly encrypted, as asked: hand it over, do not mail it")
    if generated and not arguments.write_passphrase:
        _tell(f"passphrase of {p12_path}, shown this once: {secret}")
    _announce(f"{p12_path}\n  key and certificate, for {', '.join(arguments.address)} alone")
    _announce(f"{pem_path}\n  certificate, for everybody who writes to them")
    return 0


def _show(arguments: argparse.Namespace) -> int:
    from pki.registrar import Records

    facts = Records.load(arguments.ca_dir or _find_ca()).to_dict()
    if arguments.json:
        import json

        _say(json.dumps({"version": 1, **facts}, ensure_ascii=True, indent=2))
    else:
        for key, value in facts.items():
            _say(f"{key.replace('_', ' ')}: {value}")
    return 0


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


def _refuse_unwritable(path: str) -> None:
    if os.path.lexists(path):
        raise FileExistsError(errno.EEXIST, "exists already and is not written over", path)
    folder = os.path.dirname(path) or "."
    if not os.path.isdir(folder):
        raise FileNotFoundError(errno.ENOENT, "no such folder", folder)
    if not os.access(folder, os.W_OK | os.X_OK):
        raise PermissionError(errno.EACCES, "no file can be made in this folder", folder)


def _write_all(files: list[tuple[str, bytes, int]]) -> None:
    """Write new files: all of them or, if one fails, none."""
    from pki.registrar import write_new

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


def _terminal() -> bool:
    return sys.stdin is not None and not sys.stdin.closed and sys.stdin.isatty()


def _demand_terminal(what: str, option: str) -> None:
    if not _terminal():
        raise Unattended(
            f"{what} is missing and there is no terminal to ask", hint=f"give {option}"
        )


def _ask(question: str, *, option: str, needed: bool = False) -> str:
    _demand_terminal(question.rstrip(": ").lower(), option)
    for _ in range(MAX_ASKED):
        _tell(question, end="")
        line = sys.stdin.readline()
        if line.strip() or not needed:
            return line.strip()
    raise Unattended("no answer", hint=f"give {option}")


def _secret(question: str, option: str) -> str:
    import getpass

    _demand_terminal(question.rstrip(": ").lower(), option)
    try:
        return getpass.getpass(question, stream=sys.stderr)
    except EOFError:
        raise Unattended("no answer", hint=f"give {option}" if option else "") from None


def _new_passphrase(question: str, option: str, *, empty: bool = False) -> str:
    """Ask twice until both answers agree; an empty one only where ``empty`` allows it."""
    for _ in range(MAX_ASKED):
        first = _secret(f"{question}: ", option)
        if not first and empty:
            return ""
        if not first:
            _tell("It cannot be empty.")
        elif _secret("The same again: ", option) == first:
            return first
        else:
            _tell("The two differ.")
    raise Unattended("no passphrase was agreed on", hint="try again")


def _given_passphrase(path: str | None, variable: str | None) -> str:
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


def _made_up() -> str:
    import base64

    return base64.b32encode(os.urandom(20)).decode()[:_GENERATED_CHARACTERS].lower()


def _say(text: str) -> None:
    _write(sys.stdout, f"{text}\n")


def _announce(text: str) -> None:
    """Say which files were made; that the reader is gone does not unmake them."""
    with contextlib.suppress(OSError):
        _say(text)


def _tell(text: str, end: str = "\n") -> None:
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
