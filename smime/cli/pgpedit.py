"""``smimetool pgp``: what is done to a key of one's own.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli.failures import UsageError
from smime.cli.passphrase import Passphrases
from smime.cli.pgpsaid import GIVE_OUT, Action, days, say_keys, which

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse

    from smime.cli.files import Files
    from smime.cli.options import Parser

__all__ = ["ACTIONS", "add_days", "add_passphrase", "add_rsa"]


def add_passphrase(parser: Parser) -> None:
    """Add what opens one's own key."""
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--passphrase-file", metavar="FILE", help="file whose first line is the passphrase"
    )
    group.add_argument(
        "--passphrase-env", metavar="NAME", help="environment variable that holds the passphrase"
    )


def add_days(parser: Parser) -> None:
    """Add how long something is valid."""
    parser.add_argument(
        "--days",
        type=days,
        default=730,
        metavar="N",
        help="valid so long from now; 0 for ever; without it 730",
    )


def add_rsa(parser: Parser) -> None:
    """Add the choice of old software."""
    parser.add_argument(
        "--rsa", action="store_true", help="RSA-3072 instead of Ed25519, for old software"
    )


def _reason(parser: Parser) -> None:
    parser.add_argument(
        "--reason",
        choices=("none", "stolen", "superseded", "retired"),
        default="none",
        help="after superseded and retired, what was signed before stays good; without it none",
    )


def _revocation(parser: Parser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="OUT", help="file for what tells others, readable by you alone"
    )
    parser.add_argument(
        "--prepare",
        action="store_true",
        help="revoke nothing yet: only write OUT, for the day on which the key is lost",
    )


def _new_passphrase(parser: Parser) -> None:
    new = parser.add_mutually_exclusive_group()
    new.add_argument(
        "--new-passphrase-file",
        metavar="FILE",
        help="file whose first line is the new one; without any of these it is asked for",
    )
    new.add_argument(
        "--new-passphrase-env", metavar="NAME", help="environment variable that holds it"
    )
    new.add_argument("--no-passphrase", action="store_true", help="leave the key unlocked")


def _use(parser: Parser) -> None:
    parser.add_argument(
        "--use", choices=("encrypt", "sign"), default="encrypt", help="without it encrypt"
    )


def _name(parser: Parser) -> None:
    parser.add_argument("--name", default="", metavar="NAME", help="a name beside the address")


def _revoke(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    if args.output is None and args.prepare:
        raise UsageError("revoke --prepare writes a file: -o OUT is missing", command="pgp revoke")
    certificate = ring.make_revocation(key, reason=args.reason)
    if args.output is not None:
        files.write(args.output, certificate, private=True)
    if args.prepare:
        files.tell(f"note: whoever has this can revoke {key.fingerprint}: keep it apart")
        return
    ring.add(certificate)
    if args.json:
        say_keys(args, [ring.key(key.fingerprint)], files)
    else:
        files.say(f"{key.fingerprint} revoked")
    files.tell(GIVE_OUT)


def _passwd(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    new: str | bytes | None = None
    if not args.no_passphrase:
        wanted = Passphrases(
            file=args.new_passphrase_file, variable=args.new_passphrase_env, option="new-passphrase"
        )
        new = wanted.of(f"the new lock of {key.fingerprint}")()
        if not new:
            raise UsageError(
                "an empty passphrase locks nothing: --no-passphrase", command="pgp passwd"
            )
    changed = ring.change_passphrase(key, new)
    if args.json:
        say_keys(args, [changed], files)
    else:
        files.say(f"{key.fingerprint} {'unlocked' if new is None else 'has another passphrase'}")


def _extend(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    _changed(args, ring.extend(key, lifetime_days=args.days or None), files)


def _add_address(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    try:
        changed = ring.add_address(key, args.names[1], name=args.name)
    except ValueError as wrong:
        raise UsageError(str(wrong), command="pgp add-address") from wrong
    _changed(args, changed, files)


def _revoke_address(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    if not [one for one in key.addresses if one != args.names[1]]:
        raise smime.KeyProblem(
            f"{args.names[1]} is the only address of this key",
            hint="smimetool pgp revoke takes back the whole key",
        )
    _changed(args, ring.revoke_address(key, args.names[1]), files)


def _add_subkey(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    made = ring.add_subkey(
        key,
        use=args.use,
        algorithm="rsa3072" if args.rsa else "ed25519",
        lifetime_days=args.days or None,
    )
    if not args.json:
        before = {one.fingerprint for one in key.facts.keys}
        for one in made.facts.keys:
            if one.fingerprint not in before:
                files.say(f"subkey {one.fingerprint}, {', '.join(sorted(one.capabilities))}")
    _changed(args, made, files)


def _revoke_subkey(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    key = which(ring, args.names[0])
    _changed(args, ring.revoke_subkey(key, args.names[1], reason=args.reason), files)


def _changed(args: argparse.Namespace, key: smime.PgpKey, files: Files) -> None:
    say_keys(args, [key], files)
    files.tell(GIVE_OUT)


ACTIONS = {
    "revoke": Action(
        _revoke,
        "WHICH",
        "revoke a key of yours; -o keeps what tells others",
        "revoke alice@example.org --prepare -o revocation.asc",
        (_reason, _revocation, add_passphrase),
    ),
    "passwd": Action(
        _passwd,
        "WHICH",
        "lock a key of yours with another passphrase",
        "passwd alice@example.org --passphrase-file old --new-passphrase-file new",
        (_new_passphrase, add_passphrase),
    ),
    "extend": Action(
        _extend,
        "WHICH",
        "let a key of yours be valid for another --days",
        "extend alice@example.org --days 365",
        (add_days, add_passphrase),
    ),
    "add-address": Action(
        _add_address,
        "WHICH ADDRESS",
        "let a key of yours name another address",
        "add-address alice@example.org alice@example.net",
        (_name, add_passphrase),
    ),
    "revoke-address": Action(
        _revoke_address,
        "WHICH ADDRESS",
        "take back an address that a key of yours names",
        "revoke-address alice@example.org alice@example.net",
        (add_passphrase,),
    ),
    "add-subkey": Action(
        _add_subkey,
        "WHICH",
        "make another part of a key of yours; the newest is used",
        "add-subkey alice@example.org --use encrypt --days 365",
        (_use, add_rsa, add_days, add_passphrase),
    ),
    "revoke-subkey": Action(
        _revoke_subkey,
        "WHICH FINGERPRINT",
        "revoke one part of a key of yours",
        "revoke-subkey alice@example.org 0123456789abcdef0123456789abcdef01234567",
        (_reason, add_passphrase),
    ),
}
