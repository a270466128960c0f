"""``smimetool pgp``: keys that come from elsewhere, by mail or from somebody's domain.

What comes so says to whom mail may be sealed; whose it is nobody vouched for, and
in the user's own keyring its signatures are not good until somebody does.

Floor:  cli
"""

from __future__ import annotations

import smime
from smime.cli.failures import UsageError, name_subject
from smime.cli.files import STANDARD
from smime.cli.passphrase import Passphrases
from smime.cli.pgpedit import add_passphrase
from smime.cli.pgpsaid import Action, say_keys, which

TYPE_CHECKING = False
if TYPE_CHECKING:
    import argparse
    import ssl

    from smime.autocrypt import Announced
    from smime.cli.files import Files
    from smime.cli.options import Parser

__all__ = ["ACTIONS"]

_UNVOUCHED = "note: nobody vouched for what came in; once you know whose it is: smimetool pgp vouch"


# --- Web Key Directory --------------------------------------------------------------


def _where(parser: Parser) -> None:
    parser.add_argument(
        "--tls-ca",
        metavar="FILE",
        help="certificates (PEM) of those who may vouch for the web server, instead of those "
        "that the system trusts",
    )
    parser.add_argument(
        "--private",
        action="store_true",
        help="ask servers at private addresses too, for an intranet",
    )


def _lookup(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    from smime import wkd

    fetch = smime.HttpFetcher(allow_private=args.private, tls=_tls(args.tls_ca))
    found = []
    for address in args.names:
        try:
            found.append(wkd.find_key(address, ring, fetch=fetch))
        except OSError as problem:  # first: what TLS refuses is a ValueError too
            text = problem.strerror or str(problem)
            raise smime.KeyProblem(
                f"the domain of {address} gives out no key: {text}",
                hint="ask its owner for the key: smimetool pgp import FILE",
                missing=(address,),
            ) from problem
        except ValueError as wrong:
            raise UsageError(str(wrong), command="pgp lookup") from wrong
    say_keys(args, found, files)
    files.tell(_UNVOUCHED)


def _tls(name: str | None) -> ssl.SSLContext | None:
    import ssl

    if name is None:
        return None
    try:
        return ssl.create_default_context(cafile=name)
    except ssl.SSLError as problem:
        raise smime.KeyProblem(f"{name}: it holds no certificates in PEM") from problem
    except OSError as problem:
        problem.filename = name
        raise


# --- Autocrypt ------------------------------------------------------------------------


def _learn(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    from smime import autocrypt

    found: list[smime.PgpKey] = []
    for name in args.names:
        data = files.read(name)
        try:
            told = autocrypt.announced(data)
            announced = [told] if told is not None else []
            gossiped = _gossip(data, ring, files, files.subject)
            taken = [_taken(one, ring, files, files.subject) for one in (*announced, *gossiped)]
        except smime.SmimeError as problem:
            name_subject(problem, files.subject)
            raise
        if not announced and not gossiped:
            files.tell(f"note: {files.subject} announces no key")
        found += [one for one in taken if one is not None]
    say_keys(args, found, files)
    if found:
        files.tell(_UNVOUCHED)


def _gossip(data: bytes, ring: smime.PgpKeyring, files: Files, name: str) -> tuple[Announced, ...]:
    from smime import autocrypt

    keys = [one for one in ring if one.is_secret]
    try:
        opened = smime.open(data, keys=keys, trust=smime.NoTrust())
    except (smime.DecryptionFailed, smime.KeyProblem, smime.NotSupported) as problem:
        files.tell(f"note: {name}: what it may announce inside was not read: {problem}")
        return ()
    return autocrypt.gossip(opened)


def _taken(one: Announced, ring: smime.PgpKeyring, files: Files, name: str) -> smime.PgpKey | None:
    try:
        return one.add_to(ring)
    except smime.SmimeError as problem:
        files.tell(f"note: {name}: {problem}")
        return None


def _announcing(parser: Parser) -> None:
    parser.add_argument(
        "-i", "--identity", metavar="WHICH", required=True, help="your key: address or fingerprint"
    )
    parser.add_argument(
        "-o", "--output", metavar="OUT", default=STANDARD, help="file for the mail with the field"
    )
    _mutual(parser)


def _mutual(parser: Parser) -> None:
    parser.add_argument(
        "--mutual", action="store_true", help="say that you wish to get sealed mail"
    )


def _announce(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    from smime import autocrypt

    key = which(ring, args.identity)
    made = autocrypt.announce(files.read(args.names[0]), key, mutual=args.mutual)
    files.write(args.output, bytes(made), private=False)


def _setting_up(parser: Parser) -> None:
    parser.add_argument(
        "-o", "--output", metavar="OUT", required=True, help="file for the setup message"
    )
    _mutual(parser)


def _setup(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    from smime import autocrypt

    if args.output == STANDARD:
        raise UsageError(
            "the code goes to standard output, and the setup message to a file",
            command="pgp setup",
        )
    mail, code = autocrypt.write_setup(which(ring, args.names[0]), mutual=args.mutual)
    files.write(args.output, bytes(mail), private=True)
    files.say(code)
    files.tell("note: this code opens the setup message; write it down, and send it nowhere")


def _code(parser: Parser) -> None:
    group = parser.add_mutually_exclusive_group()
    group.add_argument(
        "--code-file",
        metavar="FILE",
        help="file whose first line is the code; it is asked for otherwise",
    )
    group.add_argument(
        "--code-env", metavar="NAME", help="environment variable that holds the code"
    )


def _setup_import(args: argparse.Namespace, ring: smime.PgpKeyring, files: Files) -> None:
    from smime import autocrypt

    data = files.read(args.names[0])
    try:
        given = Passphrases(file=args.code_file, variable=args.code_env, option="code")
        code = given.of(files.subject)()
        text = code if isinstance(code, str) else code.decode("ascii", "replace")
        secret, _ = autocrypt.read_setup(data, text, ring)
        found = ring.add(secret)
    except smime.SmimeError as problem:
        name_subject(problem, files.subject)
        raise
    say_keys(args, found, files)
    files.tell("note: the key has no passphrase; smimetool pgp passwd gives it one")
    files.tell("note: say that it is yours: smimetool pgp vouch")


ACTIONS = {
    "lookup": Action(
        _lookup,
        "ADDRESS...",
        "take in the keys that the mail domain gives out (WKD)",
        "lookup bob@example.org",
        (_where,),
        makes_home=True,
    ),
    "learn": Action(
        _learn,
        "MAIL...",
        "take in the keys that a mail announces (Autocrypt)",
        "learn letter.eml",
        (add_passphrase,),
        makes_home=True,
    ),
    "announce": Action(
        _announce,
        "MAIL",
        "write a mail that announces your key (Autocrypt)",
        "announce letter.eml -i alice@example.org -o announced.eml",
        (_announcing,),
    ),
    "setup": Action(
        _setup,
        "WHICH",
        "write a mail to yourself with your secret key (Autocrypt)",
        "setup alice@example.org -o setup.eml",
        (_setting_up, add_passphrase),
    ),
    "setup-import": Action(
        _setup_import,
        "MAIL",
        "take in the secret key of such a mail",
        "setup-import setup.eml --code-file code",
        (_code,),
        makes_home=True,
        statuses=("3", "4", "5", "6"),
    ),
}
