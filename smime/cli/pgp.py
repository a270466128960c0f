"""``smimetool pgp``: OpenPGP keys in a GnuPG keyring.

Floor:  cli
"""

from __future__ import annotations

import os

import smime
from smime.cli import options, pgpedit, pgpmail
from smime.cli.failures import UsageError, name_subject
from smime.cli.files import STANDARD, Files
from smime.cli.pgpsaid import Action, given_passphrase, own, say_keys, which

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    from collections.abc import Callable

    from smime.cli.options import Parser

    Option = Callable[[Parser], None]

__all__ = ["main"]

_WHICH = """\
WHICH is an address or a whole fingerprint. The keyring is your own (GNUPGHOME, ~/.gnupg),
or that of --pgp-home DIR."""


def main(argv: list[str]) -> int:
    """Run ``smimetool pgp`` with these arguments."""
    name = argv[0] if argv else ""
    action = ACTIONS.get(name)
    if action is None:
        return _top(argv)
    parser = _parser(name, action)
    args = parser.parse_args(argv[1:])
    if not action.takes(len(args.names)):
        wanted = f"takes {action.names}" if action.names else "takes no names"
        raise UsageError(f"{name} {wanted}", command=f"pgp {name}", hint=_hint(name))
    _make_home(args.pgp_home, action)
    with smime.PgpKeyring.user(args.pgp_home, passphrase=given_passphrase(args)) as ring:
        action.do(args, ring, Files())
    return 0


def _top(argv: list[str]) -> int:
    """Answer where no action was named."""
    width = max(len(f"{name} {one.names}") for name, one in ACTIONS.items()) + 2
    lines = [f"  {f'{name} {one.names}':<{width}}{one.about}" for name, one in ACTIONS.items()]
    parser = options.parser_of(
        "pgp",
        "OpenPGP keys in a GnuPG keyring: make, list, take in, give out.",
        ["3", "4", "5", "6"],
        "actions (each has its own --help):",
        *lines,
        "",
        _WHICH,
    )
    parser.usage = "smimetool pgp ACTION [WHICH]... [OPTION]..."
    if argv[:1] in (["-h"], ["--help"]):
        parser.parse_args(argv[:1])
    if not argv:
        raise UsageError("which action?", command="pgp", hint=_hint())
    if argv[0].startswith("-"):
        raise UsageError(
            f"no option {argv[0]} stands before an action", command="pgp", hint=_hint()
        )
    from difflib import get_close_matches

    near = get_close_matches(argv[0], list(ACTIONS), 1)
    hint = f"did you mean {near[0]}? " if near else ""
    raise UsageError(f"there is no action {argv[0]}", command="pgp", hint=hint + _hint())


def _hint(name: str = "") -> str:
    return f"`smimetool pgp {name}{' ' if name else ''}--help` shows how"


def _parser(name: str, action: Action) -> Parser:
    more = [_WHICH, "", f"example:\n  smimetool pgp {action.example}"]
    about = action.about[0].upper() + action.about[1:] + "."
    parser = options.parser_of(f"pgp {name}", about, action.statuses, *more)
    parser.usage = f"smimetool pgp {name} {action.names} [OPTION]...".replace("  ", " ")
    if action.names:
        shown = tuple(action.names.removesuffix("...").split())
        parser.add_argument(
            "names",
            metavar=shown[0],
            nargs="*",
            help=", then ".join(_MEANING[one] for one in shown),
        )
    else:
        parser.add_argument("names", nargs="*", help=_SUPPRESS)
    parser.add_argument("--pgp-home", metavar="DIR", help="GnuPG home to use instead of your own")
    for option in action.options:
        option(parser)
    if name not in _SILENT:
        options.add_json(parser, help="say the keys as JSON")
    return parser


_SUPPRESS = "==SUPPRESS=="  # argparse.SUPPRESS, without importing argparse for its name
_SILENT = frozenset({"export", "announce", "setup"})  # what they write is no report
_MEANING = {
    "WHICH": "the key: address or whole fingerprint",
    "ADDRESS": "mail address",
    "FINGERPRINT": "the whole fingerprint of the part",
    "FILE": "files of keys or revocations; - is standard input",
    "MAIL": "the mail; - is standard input",
}


def _make_home(home: str | None, action: Action) -> None:
    home = home or os.environ.get("GNUPGHOME")
    if home is None or os.path.isdir(home):
        return
    if not action.makes_home:
        raise FileNotFoundError(2, "there is no such GnuPG home", home)
    os.mkdir(home, 0o700)


# --- actions ----------------------------------------------------------------------------


def _naming(parser: Parser) -> None:
    parser.add_argument("--name", default="", metavar="NAME", help="a name beside the address")


def _vouching(parser: Parser) -> None:
    parser.add_argument("--vouch", action="store_true", help="they are whose they name: see vouch")


def _exporting(parser: Parser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="OUT", default=STANDARD, help="file for the keys, as armour"
    )
    parser.add_argument(
        "--secret", action="store_true", help="secret halves too: to keep, readable by you alone"
    )


def _keygen(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    passphrase = given_passphrase(args)
    try:
        key = ring.generate(
            args.names[0],
            name=args.name,
            algorithm="rsa3072" if args.rsa else "ed25519",
            lifetime_days=args.days or None,
            passphrase=passphrase,
        )
    except ValueError as wrong:
        raise UsageError(str(wrong), command="pgp keygen") from wrong
    say_keys(args, [key], files)
    if passphrase is None:
        files.tell("note: the key has no passphrase; --passphrase-file gives it one")


def _import(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    taken: list[smime.PgpKey] = []
    for name in args.names:
        data = files.read(name)
        try:
            found = ring.add(data)
        except smime.SmimeError as problem:
            name_subject(problem, name)
            raise
        for key in found:
            if args.vouch:
                ring.vouch(key, by=own(ring, key))
        taken += [ring.key(key.fingerprint) for key in found]
        if not found:
            files.tell(f"note: {name} is a revocation, which is in force now")
    say_keys(args, taken, files)


def _list(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    say_keys(args, ring, files)


def _show(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    key = which(ring, args.names[0])
    say_keys(args, [key], files)
    if args.json:
        return
    for one in key.facts.user_ids:
        state = "valid" if one.valid_at(now) else "revoked or expired"
        vouched = ", vouched for" if one.vouched else ""
        files.say(f"  user ID  {one.text} ({state}{vouched})")
    for part in key.facts.keys:
        until = f"until {part.ends:%Y-%m-%d}" if part.ends else "without end"
        use = ", ".join(sorted(part.capabilities)) or "no use"
        half = "secret" if part.secret else "public"
        size = f"{part.algorithm} {part.bits}"
        state = part.state_at(now)
        files.say(f"  key      {part.fingerprint} {size}, {use}, {half}, {until} ({state})")


def _export(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    found = [which(ring, name) for name in args.names]
    data = ring.export(*found, secret=args.secret)
    files.write(args.output, data, private=args.secret)


def _vouch(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    ring.vouch(key, by=own(ring, key))
    say_keys(args, [ring.key(key.fingerprint)], files)


ACTIONS: dict[str, Action] = {
    "keygen": Action(
        _keygen,
        "ADDRESS",
        "make a key that signs and reads",
        "keygen alice@example.org --name Alice --passphrase-file pass",
        (_naming, pgpedit.add_days, pgpedit.add_rsa, pgpedit.add_passphrase),
        makes_home=True,
    ),
    "import": Action(
        _import,
        "FILE...",
        "take keys and revocations in",
        "import bob.asc --vouch",
        (_vouching, pgpedit.add_passphrase),
        makes_home=True,
    ),
    "list": Action(_list, "", "list the keys", "list --json"),
    "show": Action(_show, "WHICH", "say what a key holds", "show alice@example.org"),
    "export": Action(
        _export,
        "WHICH...",
        "write keys to give away, or to keep",
        "export alice@example.org -o alice.asc",
        (_exporting, pgpedit.add_passphrase),
    ),
    "vouch": Action(
        _vouch,
        "WHICH",
        "say that a key is whose it names: it may speak for them",
        "vouch bob@example.org",
        (pgpedit.add_passphrase,),
    ),
    **pgpedit.ACTIONS,
    **pgpmail.ACTIONS,
}
