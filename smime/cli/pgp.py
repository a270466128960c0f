"""``smimetool pgp``: OpenPGP keys in a GnuPG keyring.

Floor:  cli
"""

from __future__ import annotations

import argparse

import smime
from smime.cli import options
from smime.cli.failures import UsageError, name_subject
from smime.cli.files import STANDARD, Files
from smime.cli.passphrase import Passphrases

TYPE_CHECKING = False
if TYPE_CHECKING:
    from collections.abc import Callable

    from smime.cli.passphrase import Ask

    Action = Callable[[argparse.Namespace, smime.PgpKeyring, Files], None]

__all__ = ["main"]

_USE = """\
actions:
  keygen ADDRESS            make a key that signs and reads
  import FILE...            take keys in; --vouch says that they are whose they name
  list                      list the keys
  show WHICH                say what a key holds
  export WHICH...           write keys to give away; --secret, to keep
  vouch WHICH               say that a key is whose it names: it may speak for them
  revoke WHICH              revoke a key of yours; -o keeps what tells others, for you alone;
                            --prepare only writes that, for the day on which the key is lost
  passwd WHICH              lock a key of yours with another passphrase: --new-passphrase-file
  extend WHICH              let a key of yours be valid for another --days

WHICH is an address or a whole fingerprint. The keyring is your own (GNUPGHOME, ~/.gnupg),
or that of --pgp-home DIR, which keygen and import make."""


def main(argv: list[str]) -> int:
    """Run ``smimetool pgp`` with these arguments."""
    parser = options.parser_of(
        "pgp",
        "OpenPGP keys in a GnuPG keyring: make, list, take in, give out.",
        ["3", "4", "5"],
        _USE,
    )
    parser.add_argument("action", metavar="ACTION", choices=tuple(_ACTIONS), help="see below")
    parser.add_argument("names", metavar="WHICH", nargs="*", help="address, fingerprint or file")
    parser.add_argument("--pgp-home", metavar="DIR", help="GnuPG home to use instead of your own")
    parser.add_argument("-o", "--output", metavar="OUT", help="export, revoke: where to write")
    parser.add_argument(
        "--name", default="", metavar="NAME", help="keygen: a name beside the address"
    )
    parser.add_argument(
        "--days",
        type=_days,
        default=730,
        metavar="N",
        help="keygen, extend: valid so long; 0 for ever",
    )
    parser.add_argument(
        "--rsa", action="store_true", help="keygen: RSA-3072 instead of Ed25519, for old software"
    )
    parser.add_argument("--secret", action="store_true", help="export: secret halves too")
    parser.add_argument("--vouch", action="store_true", help="import: see vouch")
    parser.add_argument(
        "--reason",
        choices=("none", "stolen", "superseded", "retired"),
        default="none",
        help="revoke: after superseded and retired, what the key signed before stays good",
    )
    parser.add_argument("--prepare", action="store_true", help="revoke: not yet, see above")
    new = parser.add_mutually_exclusive_group()
    new.add_argument(
        "--new-passphrase-file", metavar="FILE", help="passwd: file whose first line is the new one"
    )
    new.add_argument(
        "--new-passphrase-env", metavar="NAME", help="passwd: environment variable that holds it"
    )
    new.add_argument("--no-passphrase", action="store_true", help="passwd: leave the key unlocked")
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--passphrase-file", metavar="FILE", help="file whose first line is the passphrase"
    )
    group.add_argument(
        "--passphrase-env", metavar="NAME", help="environment variable that holds the passphrase"
    )
    args = parser.parse_args(argv)
    action, least, most = _ACTIONS[args.action]
    if not least <= len(args.names) <= most:
        number = "takes no names" if most == 0 else "needs a name" if least else "takes one name"
        raise UsageError(f"{args.action} {number}", command="pgp")
    _make_home(args)
    files = Files()
    with smime.PgpKeyring.user(args.pgp_home, passphrase=_passphrase(args)) as ring:
        action(args, ring, files)
    return 0


def _days(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 36500:
        raise argparse.ArgumentTypeError(f"{text} is no number of days")
    return int(text)


def _make_home(args: argparse.Namespace) -> None:
    import os

    home = args.pgp_home
    if home is None or os.path.isdir(home):
        return
    if args.action not in ("keygen", "import"):
        raise FileNotFoundError(2, "there is no such GnuPG home", home)
    os.mkdir(home, 0o700)


def _passphrase(args: argparse.Namespace) -> Ask | None:
    if args.passphrase_file is None and args.passphrase_env is None:
        return None
    passphrases = Passphrases(file=args.passphrase_file, variable=args.passphrase_env)
    return passphrases.of("the OpenPGP key")


def _keygen(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    try:
        key = ring.generate(
            args.names[0],
            name=args.name,
            algorithm="rsa3072" if args.rsa else "ed25519",
            lifetime_days=args.days or None,
            passphrase=_passphrase(args),
        )
    except ValueError as wrong:
        raise UsageError(str(wrong), command="pgp") from wrong
    files.say(_line(key))
    if _passphrase(args) is None:
        files.tell("note: the key has no passphrase; --passphrase-file gives it one")


def _import(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    for name in args.names:
        data = files.read(name)
        try:
            found = ring.add(data)
        except smime.SmimeError as problem:
            name_subject(problem, name)
            raise
        for key in found:
            if args.vouch:
                ring.vouch(key, by=_own(ring))
            files.say(_line(key))
        if not found:
            files.say(f"{name}: a revocation, which is in force now")


def _own(ring: smime.PgpKeyring) -> smime.PgpKey:
    """Return the key that vouches: the newest of one's own that may sign."""
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    own = [key for key in ring if key.is_secret and key.facts.signs_at(now)]
    if not own:
        raise smime.KeyProblem(
            "there is no key of your own to vouch with",
            hint="make one: smimetool pgp keygen ADDRESS",
        )
    return max(own, key=lambda key: key.created)


# Every one of these is called with the same three.
def _list(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:  # noqa: ARG001
    for key in ring:
        files.say(_line(key))


def _show(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    from datetime import UTC, datetime

    now = datetime.now(UTC)
    key = _which(ring, args.names[0])
    files.say(_line(key))
    for one in key.facts.user_ids:
        state = "valid" if one.valid_at(now) else "revoked or expired"
        vouched = ", vouched for" if one.vouched else ""
        files.say(f"  user ID  {one.text} ({state}{vouched})")
    for part in key.facts.keys:
        state = "valid" if part.valid_at(now) else "revoked" if part.revoked_at(now) else "expired"
        until = f"until {part.ends:%Y-%m-%d}" if part.ends else "without end"
        use = ", ".join(sorted(part.capabilities)) or "no use"
        half = "secret" if part.secret else "public"
        size = f"{part.algorithm} {part.bits}"
        files.say(f"  key      {part.fingerprint} {size}, {use}, {half}, {until} ({state})")


def _export(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    found = [_which(ring, name) for name in args.names]
    data = ring.export(*found, secret=args.secret)
    files.write(args.output or STANDARD, data, private=args.secret)


def _vouch(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = _which(ring, args.names[0])
    ring.vouch(key, by=_own(ring))
    files.say(_line(key))


def _revoke(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = _which(ring, args.names[0])
    if args.output is None and args.prepare:
        raise UsageError("revoke --prepare writes a file: -o OUT is missing", command="pgp")
    certificate = ring.make_revocation(key, reason=args.reason)
    if args.output is not None:
        files.write(args.output, certificate, private=True)
    if args.prepare:
        files.tell(f"note: whoever has this can revoke {key.fingerprint}: keep it apart")
        return
    ring.add(certificate)
    files.say(f"{key.fingerprint} revoked")
    files.tell("note: give the key out again, so that others learn of it: smimetool pgp export")


def _passwd(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = _which(ring, args.names[0])
    new: str | bytes | None = None
    if not args.no_passphrase:
        wanted = Passphrases(file=args.new_passphrase_file, variable=args.new_passphrase_env)
        new = wanted.of(f"the new lock of {key.fingerprint}")()
        if not new:
            raise UsageError("an empty passphrase locks nothing: --no-passphrase", command="pgp")
    ring.change_passphrase(key, new)
    files.say(f"{key.fingerprint} {'unlocked' if new is None else 'has another passphrase'}")


def _extend(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = _which(ring, args.names[0])
    files.say(_line(ring.extend(key, lifetime_days=args.days or None)))
    files.tell("note: give the key out again, so that others learn of it: smimetool pgp export")


def _which(ring: smime.PgpKeyring, name: str) -> smime.PgpKey:
    return ring.find(name) if "@" in name else ring.key(name)


def _line(key: smime.PgpKey) -> str:
    half = "secret" if key.is_secret else "public"
    until = f"until {key.expires:%Y-%m-%d}" if key.expires else "without end"
    return f"{key.fingerprint} {half} {until} {', '.join(key.user_ids)}"


_ACTIONS: dict[str, tuple[Action, int, int]] = {
    "keygen": (_keygen, 1, 1),
    "import": (_import, 1, 100),
    "list": (_list, 0, 0),
    "show": (_show, 1, 1),
    "export": (_export, 1, 100),
    "vouch": (_vouch, 1, 1),
    "revoke": (_revoke, 1, 1),
    "passwd": (_passwd, 1, 1),
    "extend": (_extend, 1, 1),
}
